"""Recognizes messages that need no answer: thanks, and words that only say that something was read or is good. Pure.

A closing consists of known words: its parts are phrases of thanks or agreement, and beside them words that add nothing.
An unknown word, a question mark or another emoji makes it a message like any other, because a lost question is worse
than an answer too many. "Yes", "no" and "do it" are none: they answer something.
closings.txt has the words.
"""

import re
import unicodedata
from enum import StrEnum
from itertools import product
from pathlib import Path

MAX_CHARS = 160
MAX_OTHER_WORDS = 8
"""How many words of a closing may be any. A message with more says something."""


class Closing(StrEnum):
    """What a message that needs no answer says."""

    NOTHING = ""
    """Words that add nothing to others."""
    THANKS = "thanks"
    AGREEMENT = "agreement"
    """Words that would answer a question, if there were one."""
    IN_DOUBT = "in doubt"
    """Some of it is a closing, and the rest may be."""


def _phrases(words: str) -> frozenset[str]:
    """Returns the phrases of a line: all ways to choose one phrase of each of its parts."""
    parts = ([phrase.strip(" _") for phrase in part.split(",")] for part in words.split("+"))
    return frozenset(" ".join(phrases).strip() for phrases in product(*parts))


def _read(table: str) -> dict[str, frozenset[str]]:
    """Returns the phrases of a table by what they say."""
    found: dict[str, frozenset[str]] = {}
    for line in table.splitlines():
        kind, separator, words = line.partition(": ")
        if separator:
            found[kind] = found.get(kind, frozenset()) | _phrases(words)
    return found


_TABLE = _read(Path(__file__).with_name("closings.txt").read_text("utf-8"))
_SAYS = {
    **dict.fromkeys(_TABLE["beside"], Closing.NOTHING),
    **dict.fromkeys(_TABLE["agreement"] | _TABLE["rest agreement"], Closing.AGREEMENT),
    **dict.fromkeys(_TABLE["thanks"], Closing.THANKS),
}
_BEGINS_REST = {
    **dict.fromkeys(_TABLE["rest thanks"], Closing.THANKS),
    **dict.fromkeys(_TABLE["rest agreement"], Closing.AGREEMENT),
}
_LONGEST = max(len(phrase.split()) for phrase in _SAYS)
# Names of emoji: Slack's, Unicode's, and those of workspaces.
_EMOJI = {
    Closing.THANKS: re.compile(r"(?<!broken_)heart|pray|folded hands|thank|thx|^ty$|hug|bow\b|bowing|bouquet"),
    Closing.AGREEMENT: re.compile(
        r"\+1|thumbs.?up|\bok\b|ok_hand|check|tada|party|clap|raised_hands|raising both|\b100|hundred|smil|grin|joy|"
        r"laugh|wink|sunglasses|\bstar|sparkle|rocket|\bfire\b|muscle|flexed|salut|handshake|trophy|\bv\b|victory|wav[ei]|"
        r"blush|beer|clinking|confetti|horns|call_me|call me"
    ),
}
_MENTION = re.compile(r"<@[A-Z0-9]+(?:\|[^<>]*)?>")
_EMOJI_NAME = re.compile(r":([\w+'-]{1,100}):(?::skin-tone-[2-6]:)?")
_SMILEY = re.compile(r"(?<!\S)(?:[:;=8][o'-]?[)dp3*]+|<3+|&lt;3+|\^_*\^|xd+)(?!\S)", re.IGNORECASE)
_PART_END = re.compile(r"[.,!;:…~*_\n\"“”()、。！；—–]|(?<!\w)-(?!\w)|\b(?:and|und|et|y|e|och|og|en|и)\b|&amp;")
_REPEATED = re.compile(r"([^\W\d_])\1{2,}")
_WITHOUT_SPACES = "[\u0e00-\u0e7f\u3005-\u30ff\u3400-\u9fff\uac00-\ud7ff]"
_UNSPACED = re.compile("|".join(sorted((p for p in _SAYS if re.match(_WITHOUT_SPACES, p)), key=len, reverse=True)))
_MODIFIER = re.compile("[\u064b-\u0652\ufe0f\u200d\u2640\u2642\U0001f3fb-\U0001f3ff]")
QUESTION_MARKS = "?？؟՞"
"""In Latin, East Asian, Arabic and Armenian script."""
_ASKS = re.compile(rf"[{QUESTION_MARKS}`]|[:;=][-']?[(/|\\]")
"""Matches a question mark, code, or a smiley that isn't pleased."""


def closing_in(text: str, name: str = "") -> Closing | None:
    """Returns what a message says that needs no answer; None if it may need one.

    `text`: without the bot's mention. `name`: the bot's. Thanks to somebody else are agreement.
    """
    if len(text) > MAX_CHARS or _ASKS.search(text):
        return None
    words = _EMOJI_NAME.sub(",", _MENTION.sub(",", _SMILEY.sub(",", text)))
    words = _MODIFIER.sub("", unicodedata.normalize("NFKC", words).casefold().replace("’", "'"))
    symbols = {character for character in words if unicodedata.category(character) in ("So", "Cn")}
    emoji = [*_EMOJI_NAME.findall(text.casefold()), *(unicodedata.name(symbol, "").lower() for symbol in symbols)]
    said = {next((kind for kind, names in _EMOJI.items() if names.search(each)), None) for each in emoji}
    words = "".join("," if character in symbols else character for character in _REPEATED.sub(r"\1", words))
    words = _UNSPACED.sub(r" \g<0> ", re.sub(r"\bill\b", "i'll", words))
    parts = [part.split() for part in _PART_END.split(words) if part.strip()]
    read = [_part(part, name.casefold()) for part in parts]
    unknown = sum(len(part) for part, kind in zip(parts, read, strict=True) if kind is None)
    said |= {kind for kind in read if kind} | ({Closing.AGREEMENT} if _SMILEY.search(text) else set())
    if None in said or not said:
        return None
    if unknown:
        return Closing.IN_DOUBT if (read[0] or read[-1]) and unknown <= MAX_OTHER_WORDS else None
    return Closing.THANKS if Closing.THANKS in said and not _MENTION.search(text) else Closing.AGREEMENT


def _part(words: list[str], name: str) -> Closing | None:
    """Returns what a part of a message says; None if a word of it isn't known."""
    said = {Closing.NOTHING}
    while words:
        sizes = range(min(_LONGEST, len(words)), 0, -1)
        rest = next((size for size in sizes if " ".join(words[:size]) in _BEGINS_REST and size < len(words)), 0)
        kind = _BEGINS_REST.get(" ".join(words[:rest]))
        if kind is Closing.AGREEMENT or (kind and kind in said):
            fits = len(words) - rest <= MAX_OTHER_WORDS and _TABLE["asking"].isdisjoint(words[rest:])
            said.add(kind)
            words = [] if fits else ["?"]
            continue
        size = next((size for size in sizes if " ".join(words[:size]) in _SAYS), 0)
        if not size and words[0] not in (name, f"@{name}"):
            return None
        said.add(_SAYS.get(" ".join(words[:size]), Closing.NOTHING))
        words = words[size or 1 :]
    return next(kind for kind in (Closing.THANKS, Closing.AGREEMENT, Closing.NOTHING) if kind in said)
