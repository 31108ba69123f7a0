"""Replacements in a text: how the parsers say what Slack is sent in place of the source."""

from collections.abc import Iterable
from typing import NamedTuple


class Replacement(NamedTuple):
    """A part of a text, and what replaces it. An empty part is a place where something is inserted."""

    start: int
    end: int
    text: str


def with_replacements(text: str, replacements: Iterable[Replacement], start: int = 0, end: int | None = None) -> str:
    """Returns a part of the text with its replacements, which come in order."""
    parts = []
    for replacement in replacements:
        parts += [text[start : replacement.start], replacement.text]
        start = replacement.end
    return "".join([*parts, text[start:end]])
