"""Prompts' texts as tests compare them: without the codes of their marks (core/prompt.py)."""

import re

_SPEAKER = re.compile(r"^\[[0-9a-f]{8}-[0-9a-f]{4} ([^\n]*)\]\n", re.MULTILINE)
_TIME = re.compile(r"^\[[0-9a-f]{8} at [^\n]*\]\n|(?:\n\n)?\[[0-9a-f]{8} now [^\n]*\]$", re.MULTILINE)
_BROUGHT = re.compile(r"^\[[0-9a-f]{8} (?:attached|file)\]\n|\n\[[0-9a-f]{8} end\]$", re.MULTILINE)


def unmarked(text: str) -> str:
    """Returns a text with `Ada: ` for a mark above a message, and without times and the marks of what comes along."""
    return _BROUGHT.sub("", _SPEAKER.sub(r"\1: ", untimed(text)))


def untimed(text: str) -> str:
    """Returns a text without the marks that say when something was written, and when it is."""
    return _TIME.sub("", text)
