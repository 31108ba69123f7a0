"""Emoji as Slack's `rich_text` names them: characters and `:names:` become `emoji` elements."""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from sandbox.workspace import Json

# What most readers see as an emoji without a variation selector, and the few that need one.
_ALONE: Final = (
    "\u231a\u231b\u23e9-\u23ec\u23f0\u23f3\u25fd\u25fe\u2614\u2615\u2648-\u2653\u267f\u2693\u26a1\u26aa\u26ab\u26bd\u26be"
    "\u26c4\u26c5\u26ce\u26d4\u26ea\u26f2\u26f3\u26f5\u26fa\u26fd\u2705\u270a\u270b\u2728\u274c\u274e\u2753-\u2755\u2757"
    "\u2795-\u2797\u27b0\u27bf\u2b1b\u2b1c\u2b50\u2b55\U0001f300-\U0001faff"
)
_SELECTED: Final = "(?:[\u00a9\u00ae\u203c-\u3299]\ufe0f)"
_ONE: Final = f"(?:{_SELECTED}|[{_ALONE}]\ufe0f?)[\U0001f3fb-\U0001f3ff]?"
_EMOJI: Final = re.compile(
    f"(?P<sign>[0-9#*]\ufe0f?\u20e3|[\U0001f1e6-\U0001f1ff]{{2}}|{_ONE}(?:\u200d{_ONE})*)"
    r"|:(?P<name>[a-z0-9_+'-]+):"
)
_SKIN: Final = {chr(0x1F3FB + number): number + 2 for number in range(5)}
_NAMES: Final = {
    "+1": "\U0001f44d",
    "-1": "\U0001f44e",
    "bug": "\U0001f41b",
    "bulb": "\U0001f4a1",
    "fire": "\U0001f525",
    "grinning": "\U0001f600",
    "heart": "\u2764\ufe0f",
    "joy": "\U0001f602",
    "memo": "\U0001f4dd",
    "smile": "\U0001f604",
    "star": "\u2b50",
    "tada": "\U0001f389",
    "thinking_face": "\U0001f914",
    "thumbsup": "\U0001f44d",
    "wave": "\U0001f44b",
    "white_check_mark": "\u2705",
    "x": "\u274c",
    "zap": "\u26a1",
}
_OF_SIGNS: Final = {sign: name for name, sign in reversed(_NAMES.items())}


def with_emoji(text: str) -> Iterator[str | Json]:
    """The text's parts in order: text between emoji, and an element for each emoji."""
    at = 0
    # A name's colon is the cheapest sign that there is something to look for.
    if ":" in text or not text.isascii() or "\u20e3" in text:
        for match in _EMOJI.finditer(text):
            element = _named(match["name"]) if match["name"] else _signed(match["sign"])
            if element is None:
                continue
            if match.start() > at:
                yield text[at : match.start()]
            yield element
            at = match.end()
    if at < len(text):
        yield text[at:]


def sign_of(element: Json) -> str:
    """The characters that an `emoji` element shows; its name where Slack has a picture of its own."""
    try:
        return "".join(chr(int(code, 16)) for code in str(element["unicode"]).split("-"))
    except (KeyError, ValueError, OverflowError):
        return f":{element.get('name', '')}:"


def _named(name: str) -> Json | None:
    sign = _sign(name)
    return {"type": "emoji", "name": name, "unicode": _codes(sign)} if sign else None


@lru_cache(maxsize=256)
def _sign(name: str) -> str | None:
    if name in _NAMES:
        return _NAMES[name]
    try:
        sign = unicodedata.lookup(name.replace("_", " "))
    except KeyError:
        return None
    return sign if re.fullmatch(f"[{_ALONE}]", sign) else None


def _signed(sign: str) -> Json:
    element: Json = {"type": "emoji", "name": _name(sign), "unicode": _codes(sign)}
    tones = [_SKIN[each] for each in sign if each in _SKIN]
    return element | ({"skin_tone": tones[0]} if tones else {})


def _name(sign: str) -> str:
    plain = "".join(each for each in sign if each not in _SKIN)
    if plain in _OF_SIGNS:
        return _OF_SIGNS[plain]
    return unicodedata.name((plain or sign)[0], "emoji").lower().replace(" ", "_")


def _codes(sign: str) -> str:
    return "-".join(f"{ord(each):x}" for each in sign)
