"""Prompts' texts as tests compare them: without the codes of their marks (core/inbound/marks.py)."""

import re

_SPEAKER = re.compile(r"^\[[0-9a-f]{8}-[0-9a-f]{4} ([^\n]*)\]\n", re.MULTILINE)
_BROUGHT = re.compile(r"^\[[0-9a-f]{8} (?:attached|file)\]\n|\n\[[0-9a-f]{8} end\]$", re.MULTILINE)


def unmarked(text: str) -> str:
    """Returns a text with `Ada: ` for a mark above a message, and without the marks of what messages bring along."""
    return _BROUGHT.sub("", _SPEAKER.sub(r"\1: ", text))
