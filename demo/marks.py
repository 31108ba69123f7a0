"""Removes the marks with which Typist structures a prompt, for models that only see what people wrote."""

import re

from bot.models.prompt import OUR_SECTIONS

_SECTION = f"(?:{'|'.join(OUR_SECTIONS)})"
_END_OF_OURS = rf"(?:(?!\[(?P=code) (?:{_SECTION}|end)\]).*\n)*\[(?P=code) end\](?:\n(?=\[))?"
_OURS = re.compile(
    r"^\[[0-9a-f]{8} is the code of this conversation[^\]\n]*\](?:\n\n)?|^\[[0-9a-f]{8} at [^\n]*\]\n"
    rf"|(?:\n\n)?^\[(?P<code>[0-9a-f]{{8}}) {_SECTION}\]\n{_END_OF_OURS}",
    re.MULTILINE,
)


def without_our_text(text: str) -> str:
    """Returns a turn's text without Typist's code, times, notes and lists of calls. Keeps marks around other text."""
    return _OURS.sub("", text).removeprefix("\n\n")
