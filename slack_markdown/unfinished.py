"""Shows the words of an unfinished link and the lines of an unfinished formula.

A growing page holds back text that can still become a link or a formula. An edit can show its words early, because the
next edit replaces them. These words are plain text or code. They don't contain URLs or marks that could open another
construct.
"""

import re

import regex

from slack_markdown.escaping import escape_code, with_replacements
from slack_markdown.formulas import SIGN, readable_formula

_LABEL = regex.compile(r"[*_~]{0,3}!?\[\s?[*_~`]{0,3}(\p{L}(?:[\p{L}\p{M}\p{N} ,;'’\"“”()?!%–—-]|[.:](?= ))*+)")
"""Matches a label up to the first character that might be markup or part of a URL."""
_FORMULA = re.compile(r"(?P<mark>\$\$|\\\[|\\\(|\\begin\{[a-zA-Z]+\*?\})(?P<formula>[^`$]+)")
_HALF_MARK = re.compile(r"(?:\\\\(?:\[[^\]\n\\]*)?|\\(?:(?:e(?:nd?)?|b(?:e(?:g(?:in?)?)?)?)(?:\{[a-zA-Z]*\*?)?)?)\Z")
_MAX_LINE_CHARS = 390
"""The maximum length of a formula's line. The complete formula's longer lines become several code spans
(`dialects.py`)."""


def label_words(held_back: str) -> str:
    """Returns the label of a link or image at the beginning of held-back text, or "" if there is none."""
    label = _LABEL.match(held_back)
    return label[1].rstrip() if label else ""


def formula_lines(held_back: str) -> str:
    """Returns the lines of a formula at the beginning of held-back text as code, or "" if there is none."""
    formula = _FORMULA.match(held_back)
    if not formula or not SIGN.search(formula["formula"]):
        return ""
    mark = formula["mark"]
    whole = (mark if mark.startswith("\\begin") else "") + _HALF_MARK.sub("", formula["formula"])
    shown = readable_formula(whole, "; " if mark == "\\(" else "\n", has_rows=mark in ("$$", "\\["))
    lines = (line.strip()[:_MAX_LINE_CHARS] for line in shown.expandtabs(4).splitlines())
    return "\n".join(f"`{with_replacements(line, escape_code(line, 0, len(line)))}`" for line in lines if line)
