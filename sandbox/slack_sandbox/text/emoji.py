"""Emoji in `rich_text`: characters and `:names:` become `emoji` elements."""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from slack_sandbox.workspace import Json

# Characters that are emoji by default. The next pattern has those that need a variation selector.
_DEFAULT_EMOJI: Final = (
    "\u231a\u231b\u23e9-\u23ec\u23f0\u23f3\u25fd\u25fe\u2614\u2615\u2648-\u2653\u267f\u2693\u26a1\u26aa\u26ab\u26bd\u26be"
    "\u26c4\u26c5\u26ce\u26d4\u26ea\u26f2\u26f3\u26f5\u26fa\u26fd\u2705\u270a\u270b\u2728\u274c\u274e\u2753-\u2755\u2757"
    "\u2795-\u2797\u27b0\u27bf\u2b1b\u2b1c\u2b50\u2b55\U0001f300-\U0001faff"
)
_TEXT_WITH_SELECTOR: Final = "(?:[\u00a9\u00ae\u203c-\u3299]\ufe0f)"
_SINGLE: Final = f"(?:{_TEXT_WITH_SELECTOR}|[{_DEFAULT_EMOJI}]\ufe0f?)[\U0001f3fb-\U0001f3ff]?"
_EMOJI: Final = re.compile(
    f"(?P<characters>[0-9#*]\ufe0f?\u20e3|[\U0001f1e6-\U0001f1ff]{{2}}|{_SINGLE}(?:\u200d{_SINGLE})*)"
    r"|:(?P<name>[a-z0-9_+'-]+):"
)
_SKIN_TONES: Final = {chr(0x1F3FB + number): number + 2 for number in range(5)}
_NAMES: Final = {
    "+1": "\U0001f44d",
    "-1": "\U0001f44e",
    "100": "\U0001f4af",
    "bar_chart": "\U0001f4ca",
    "bug": "\U0001f41b",
    "bulb": "\U0001f4a1",
    "clap": "\U0001f44f",
    "eyes": "\U0001f440",
    "fire": "\U0001f525",
    "grinning": "\U0001f600",
    "heart": "\u2764\ufe0f",
    "joy": "\U0001f602",
    "memo": "\U0001f4dd",
    "muscle": "\U0001f4aa",
    "point_right": "\U0001f449",
    "pray": "\U0001f64f",
    "question": "\u2753",
    "raised_hands": "\U0001f64c",
    "rocket": "\U0001f680",
    "rotating_light": "\U0001f6a8",
    "smile": "\U0001f604",
    "sparkles": "\u2728",
    "star": "\u2b50",
    "tada": "\U0001f389",
    "thinking_face": "\U0001f914",
    "thumbsup": "\U0001f44d",
    "warning": "\u26a0\ufe0f",
    "wave": "\U0001f44b",
    "white_check_mark": "\u2705",
    "x": "\u274c",
    "zap": "\u26a1",
}
_NAMES_BY_CHARACTERS: Final = {characters: name for name, characters in reversed(_NAMES.items())}


def split_emoji(text: str) -> Iterator[str | Json]:
    """Yields the text's parts in order: plain text as strings, each emoji as an element."""
    at = 0
    # Most text has no emoji: this check is cheaper than the pattern.
    if ":" in text or not text.isascii() or "\u20e3" in text:
        for match in _EMOJI.finditer(text):
            element = emoji_element(match["name"]) if match["name"] else _element_of_characters(match["characters"])
            if element is None:
                continue
            if match.start() > at:
                yield text[at : match.start()]
            yield element
            at = match.end()
    if at < len(text):
        yield text[at:]


def emoji_text(element: Json) -> str:
    """Returns an `emoji` element's characters, or its `:name:` if it is a custom emoji."""
    try:
        return "".join(chr(int(code, 16)) for code in str(element["unicode"]).split("-"))
    except (KeyError, ValueError, OverflowError):
        return f":{element.get('name', '')}:"


def emoji_element(name: str) -> Json | None:
    """Returns the element for an emoji by its name without colons, or None if it is unknown."""
    characters = _characters(name)
    return {"type": "emoji", "name": name, "unicode": _code_points(characters)} if characters else None


@lru_cache(maxsize=256)
def _characters(name: str) -> str | None:
    if name in _NAMES:
        return _NAMES[name]
    try:
        characters = unicodedata.lookup(name.replace("_", " "))
    except KeyError:
        return None
    return characters if re.fullmatch(f"[{_DEFAULT_EMOJI}]", characters) else None


def _element_of_characters(characters: str) -> Json:
    element: Json = {"type": "emoji", "name": _name_of(characters), "unicode": _code_points(characters)}
    tones = [_SKIN_TONES[char] for char in characters if char in _SKIN_TONES]
    return element | ({"skin_tone": tones[0]} if tones else {})


def _name_of(characters: str) -> str:
    plain = "".join(char for char in characters if char not in _SKIN_TONES)
    if plain in _NAMES_BY_CHARACTERS:
        return _NAMES_BY_CHARACTERS[plain]
    return unicodedata.name((plain or characters)[0], "emoji").lower().replace(" ", "_")


def _code_points(characters: str) -> str:
    return "-".join(f"{ord(char):x}" for char in characters)
