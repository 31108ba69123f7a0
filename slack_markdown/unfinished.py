"""What a reader sees of a construct whose end hasn't come: a link's words, a formula's lines as code.

A growing page holds back what may still become a link or a formula. Edits can show its words at once, since the next
one replaces them. They are only words or code: no mark in them can open anything, and no address is sent.
"""

import re

import regex

from slack_markdown.escaping import escape_code, with_replacements
from slack_markdown.formulas import SIGN

_LABEL = regex.compile(r"[*_~]{0,3}!?\[\s?[*_~`]{0,3}(\p{L}(?:[\p{L}\p{M}\p{N} ,;'’\"“”()?!%–—-]|[.:](?= ))*+)")
"""Matches a label up to the first character that may be markup or a part of an address."""
_FORMULA = re.compile(r"(?:\$\$|\\\[|\\\(|\\begin\{[a-zA-Z]+\*?\})([^`$]+)")
_HALF_CLOSED = re.compile(r"(?:\\(?:e(?:nd?(?:\{[a-zA-Z]*\*?)?)?)?)\Z")
_MAX_LINE_CHARS = 390
"""A longer line of a formula comes as several code spans, once its end has come (`dialects.py`)."""


def label_words(held_back: str) -> str:
    """Returns the words of a link or an image that begins what is held back; "" if none does."""
    label = _LABEL.match(held_back)
    return label[1].rstrip() if label else ""


def formula_lines(held_back: str) -> str:
    """Returns the lines, as code, of a formula that begins what is held back; "" if none does."""
    formula = _FORMULA.match(held_back)
    if not formula or not SIGN.search(formula[1]):
        return ""
    lines = (line.strip()[:_MAX_LINE_CHARS] for line in _HALF_CLOSED.sub("", formula[1]).expandtabs(4).splitlines())
    return "\n".join(f"`{with_replacements(line, escape_code(line, 0, len(line)))}`" for line in lines if line)
