"""Prompts' texts as tests compare them: without the codes of their marks (core/prompt.py)."""

import re

from demo.marks import without_our_text

_SPEAKER = re.compile(r"^\[[0-9a-f]{8}-[0-9a-f]{4} ([^\n]*)\]\n", re.MULTILINE)
_BROUGHT = re.compile(r"^\[[0-9a-f]{8} (?:attached|file)\]\n|\n\[[0-9a-f]{8} end\]$", re.MULTILINE)


def unmarked(text: str) -> str:
    """Returns a text with `Ada: ` for a mark above a message, without what we say and marks of what comes along."""
    return _BROUGHT.sub("", _SPEAKER.sub(r"\1: ", untimed(text)))


def untimed(text: str) -> str:
    """Returns a text without what we say in it: when something was written, the conversation's code, and notes."""
    return without_our_text(text)
