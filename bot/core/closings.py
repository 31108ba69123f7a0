"""Recognizes messages that need no answer, such as thanks or approval. Pure.

A closing consists of known phrases of thanks or agreement and of filler words, all listed in closings.txt. A message
with an unknown word, a question mark or another emoji isn't a closing, because missing a question is worse than
answering once too often. "Yes", "no" and "do it" aren't closings either, because they answer something. When these
phrases or a greeting accompany a name or a command, they are treated as courtesy.
"""

import re
import unicodedata
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from itertools import product
from pathlib import Path

MAX_CHARS = 160
MAX_OTHER_WORDS = 8


class Closing(StrEnum):
    NOTHING = ""
    THANKS = "thanks"
    AGREEMENT = "agreement"
    """Words that would answer the bot if it had asked a question."""
    POSSIBLE = "in doubt"
    """Part of the message is a closing, and the rest might be."""


_ACCENTED = re.compile("[\u00c0-\u04ff\u1e00-\u1fff]")
_STROKES = str.maketrans("łøđı", "lodi")


def unaccented(text: str) -> str:
    """Returns text in lowercase without accents, which many people leave out: "dzieki" for "dzięki"."""
    letters = _ACCENTED.sub(lambda letter: unicodedata.normalize("NFD", letter[0])[0], text)
    return letters.translate(_STROKES)


def _normalized(text: str) -> str:
    return unaccented(unicodedata.normalize("NFKC", text).casefold().replace("’", "'"))


def _phrases(words: str) -> frozenset[str]:
    parts = ([phrase.strip(" _") for phrase in part.split(",")] for part in words.split("+"))
    return frozenset(" ".join(phrases).strip() for phrases in product(*parts))


def _parse_table(table: str) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for line in table.splitlines():
        kind, separator, words = line.partition(": ")
        if separator:
            found[kind] = found.get(kind, frozenset()) | _phrases(words)
    return found


_Part = tuple[int, Closing | None]
"""The word count and meaning of part of a message. The meaning is None if unknown."""
_TABLE = _parse_table(_normalized(Path(__file__).with_name("closings.txt").read_text("utf-8")))
_MEANINGS = {
    **dict.fromkeys(_TABLE["beside"], Closing.NOTHING),
    **dict.fromkeys(_TABLE["agreement"] | _TABLE["rest agreement"], Closing.AGREEMENT),
    **dict.fromkeys(_TABLE["thanks"], Closing.THANKS),
}
_OPENING_MEANINGS = {
    **dict.fromkeys(_TABLE["rest thanks"], Closing.THANKS),
    **dict.fromkeys(_TABLE["rest agreement"], Closing.AGREEMENT),
}
_ALL_MEANINGS = _MEANINGS | dict.fromkeys(_TABLE["before"], Closing.AGREEMENT)
_MAX_PHRASE_WORDS = max(len(phrase.split()) for phrase in _ALL_MEANINGS)
# Emoji names from Slack, Unicode and workspaces.
_EMOJI = {
    Closing.THANKS: re.compile(r"(?<!broken[_ ])heart|pray|folded hands|thank|thx|^ty$|hug|bow\b|bowing|bouquet"),
    Closing.AGREEMENT: re.compile(
        r"\+1|thumbs.?up|\bok\b|ok_hand|check|tada|party|clap|raised_hands|raising both|\b100|hundred|smil|grin|joy|"
        r"laugh|wink|sunglasses|\bstar|sparkle|rocket|\bfire\b|muscle|flexed|salut|handshake|trophy|\bv\b|victory|wav[ei]|"
        r"blush|beer|clinking|confetti|horns|call_me|call me"
    ),
}
_MENTION = re.compile(r"<@[A-Z0-9]+(?:\|[^<>]*)?>")
_OWN_EMOJI = re.compile(r"<![A-Z0-9]+\|(:[^<>:]+:)>")
_EMOJI_NAME = re.compile(r":([\w+'-]{1,100}):(?::skin-tone-[2-6]:)?")
_SMILEY = re.compile(r"(?<!\S)(?:[:;=8][o'-]?[)dp3*]+|<3+|&lt;3+|\^_*\^|xd+|\+1)(?!\S)", re.IGNORECASE)
_PART_END = re.compile(r"[.,!;:~*_\n\"()]|(?<!\w)-(?!\w)|\b(?:and|und|et|y|e|och|og|en|и)\b|&amp;")
_REPEATED = re.compile(r"([^\W\d_])\1{2,}")
_LAUGHTER = re.compile(r"\ba?(ha|he|hi|ho|ja|je|ха|хе)\1+[hх]?\b")
_WITHOUT_SPACES = "[\u0e00-\u0e7f\u3005-\u30ff\u3400-\u9fff\uac00-\ud7ff]"
_UNSPACED = re.compile("|".join(sorted((p for p in _MEANINGS if re.match(_WITHOUT_SPACES, p)), key=len, reverse=True)))
_MODIFIER = re.compile("[\u064b-\u0652\ufe0f\u200d\u2640\u2642\U0001f3fb-\U0001f3ff]")
QUESTION_MARKS = "?？؟՞"
_ASKS = re.compile(rf"[{QUESTION_MARKS}`]|[:;=][-']?[(/|\\]")


def has_question_mark(text: str) -> bool:
    return not set(QUESTION_MARKS).isdisjoint(text)


def closing_of_text(text: str, name: str = "") -> Closing | None:
    """Returns the type of closing, or None if the text isn't a closing. `text`: without the bot's mention. Thanks to
    other people are classified as agreement."""
    said, parts = _parse_parts(text, _phrases_with_name(_normalized(name), Closing.NOTHING))
    unknown = sum(words for words, kind in parts if kind is None)
    said |= {kind for _, kind in parts if kind}
    if None in said or not said:
        return None
    if unknown:
        return Closing.POSSIBLE if (parts[0][1] or parts[-1][1]) and unknown <= MAX_OTHER_WORDS else None
    return Closing.THANKS if Closing.THANKS in said and not _MENTION.search(text) else Closing.AGREEMENT


def is_courtesy(text: str, name: str = "") -> bool:
    """Returns whether text is only a greeting, thanks or emoji. The message can include the bot's `name`."""
    said, parts = _parse_parts(text, _phrases_with_name(_normalized(name), Closing.AGREEMENT))
    kinds = {kind for _, kind in parts}
    return None not in kinds and bool(said | kinds - {Closing.NOTHING})


@cache
def _phrases_with_name(name: str, name_meaning: Closing) -> Mapping[str, Closing]:
    """Returns the meaning of each known phrase, including the bot's name, whose meaning is `name_meaning`. Greetings
    are included unless `name_meaning` is NOTHING."""
    names = dict.fromkeys((name, f"@{name}"), name_meaning) if name else {}
    return (_ALL_MEANINGS if name_meaning else _MEANINGS) | names


def _parse_parts(text: str, meanings: Mapping[str, Closing]) -> tuple[set[Closing | None], list[_Part]]:
    """Splits a message into emoji and phrases. Returns the meanings of the emoji, and the phrases. Long text or a
    question is returned as a single phrase."""
    text = _OWN_EMOJI.sub(r"\1", text)
    if len(text) > MAX_CHARS or _ASKS.search(text):
        return set(), [(len(text), None)]
    words = _EMOJI_NAME.sub(",", _MENTION.sub(",", _SMILEY.sub(",", text)))
    words = _MODIFIER.sub("", _normalized(words))
    symbols = {character for character in words if unicodedata.category(character) in ("So", "Cn")}
    marks = {character for character in words if character > "\x7f" and unicodedata.category(character)[0] == "P"}
    emoji = [*_EMOJI_NAME.findall(text.casefold()), *(unicodedata.name(symbol, "").lower() for symbol in symbols)]
    said = {next((kind for kind, names in _EMOJI.items() if names.search(each)), None) for each in emoji}
    said |= {Closing.AGREEMENT} if _SMILEY.search(text) else set()
    words = "".join("," if character in symbols | marks else character for character in _REPEATED.sub(r"\1", words))
    words = _LAUGHTER.sub("haha", words)
    words = _UNSPACED.sub(r" \g<0> ", re.sub(r"\bill\b", "i'll", words))
    parts = [part.split() for part in _PART_END.split(words) if part.strip()]
    return said, [(len(part), _parse_part(part, meanings)) for part in parts]


def _parse_part(words: list[str], meanings: Mapping[str, Closing]) -> Closing | None:
    said = {Closing.NOTHING}
    while words:
        sizes = range(min(_MAX_PHRASE_WORDS, len(words)), 0, -1)
        rest = next((size for size in sizes if " ".join(words[:size]) in _OPENING_MEANINGS and size < len(words)), 0)
        kind = _OPENING_MEANINGS.get(" ".join(words[:rest]))
        if kind is Closing.AGREEMENT or (kind and kind in said):
            fits = len(words) - rest <= MAX_OTHER_WORDS and _TABLE["asking"].isdisjoint(words[rest:])
            said.add(kind)
            words = [] if fits else ["?"]
            continue
        size = next((size for size in sizes if " ".join(words[:size]) in meanings), 0)
        if not size:
            return None
        said.add(meanings[" ".join(words[:size])])
        words = words[size:]
    return next(kind for kind in (Closing.THANKS, Closing.AGREEMENT, Closing.NOTHING) if kind in said)
