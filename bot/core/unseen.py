"""Handles invisible characters. They are replaced in text for models, and escaped in text on which people decide.
Pure."""

import regex

_HIDDEN = regex.compile(
    r"[[\p{Default_Ignorable_Code_Point}\p{Cc}\p{Cs}\u061c\u200e\u200f\u202a-\u202e\ufff9-\ufffb]"
    r"--[\t\n\u200c\u200d\ufe0e\ufe0f]]+",
    regex.V1,
)
"""Matches characters that are invisible or reorder text, except for four that emoji and scripts need."""
_UNSEEN = regex.compile(
    r"[[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}\u2800\U00013441\U00013442\U00016fe4\U0001d159]--[\x20\n]]", regex.V1
)
"""Matches all characters that people can't see or can't tell from a space, including the blanks of Braille, hieroglyphs
and musical notation."""
HIDDEN_WORDS = regex.compile(r"(?:[\U000e0000-\U000e00ff\U000e01f0-\U000e0fff]|(?<!\p{Han})[\U000e0100-\U000e01ef])+")
"""Matches tags, and variation selectors that have no effect. Models read them as letters, so an asker might paste
hidden text without knowing. Other invisible characters are kept, because people ask about them."""


def visible(text: str) -> str:
    """Returns text with each run of hidden characters replaced with U+FFFD, and line endings replaced with newlines."""
    return _HIDDEN.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))


def escape_unseen(text: str) -> str:
    r"""Returns text with invisible characters, except newlines, escaped as they are in JSON, such as \u200b."""
    return _UNSEEN.sub(json_escape, text)


def json_escape(match: regex.Match[str]) -> str:
    raw = match[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{int.from_bytes(raw[at : at + 2], 'big'):04x}" for at in range(0, len(raw), 2))
