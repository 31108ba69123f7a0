"""Where Slack doesn't read `*` and `**` as CommonMark does: beside CJK letters, and around bare URLs.

Nobody has measured exactly which forms Slack accepts. So the plainest forms are sent: white space between a CJK letter
and the delimiter, and no delimiters where a bare URL begins or ends the emphasized text.
"""

import re

HAIR_SPACE = "\u200a"
"""White space by every definition, and hardly visible."""
CJK = re.compile(
    "[\u1100-\u11ff\u2e80-\u2fdf\u3005-\u3007\u3031-\u3035\u3041-\u318f\u31a0-\u31ff\u3400-\u9fff"
    "\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\uff66-\uffdc\U00020000-\U0003ffff]"
)
"""Matches a letter of Chinese, Japanese or Korean."""

_URL_START = re.compile(r"<?https?://", re.IGNORECASE)
_INCOMPLETE_URL = re.compile(r"h|ht|htt|https?:?/?|https?://.*", re.IGNORECASE)
_LAST_WORD = re.compile(r"(?<!\S)[*_~(\[{\"'<]*(\S+)$")
_MAX_WORD_CHARS = 1_000


def begins_with_url(text: str, start: int) -> bool:
    """Whether a bare URL begins at an offset."""
    return bool(_URL_START.match(text, start))


def start_of_last_url(text: str, end: int, *, growing: bool = False) -> int | None:
    """Returns the offset of the bare URL that ends at `end`, or None where none ends.

    `growing`: the text may continue, so the beginning of a URL counts too.
    """
    start = max(0, end - _MAX_WORD_CHARS)
    if not growing and text.rfind("://", start, end) < 0:
        return None
    word = _LAST_WORD.search(text, start, end)
    if word and (_INCOMPLETE_URL.fullmatch(word[1]) if growing else _URL_START.match(word[1])):
        return word.start(1)
    return None
