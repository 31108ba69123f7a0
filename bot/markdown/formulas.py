r"""What is a formula in LaTeX, and what is a price, a shell's variable or words in brackets.

Formulas stand between `\(` and `\)`, `\[` and `\]`, or dollar signs, or in an environment, `\begin{…}`.
"""

import re

MAX_DOLLARS_CHARS = 100
"""How long a formula between single dollars may be."""

NOTHING_BEHIND = re.compile(r"(?:\s*</\w+\s*>){0,4}\s*(?:\Z|\|)")
"""Matches where nothing follows in a line or a table's cell but the ends of elements."""
_PROSE = re.compile(r"(?:[^\W\d_]{2,}|\d+)?(?:[\s,.;:'’!?/&-]+(?:[^\W\d_]{2,}|\d+))*[\s.!?]*")
_SIGN = re.compile(r"[\\^_=+<>{}]")
ENVIRONMENT = re.compile(r"\\begin\{([a-zA-Z]+\*?)\}")
WRAPPERS = frozenset(["align", "displaymath", "equation", "eqnarray", "gather", "math", "multline"])
_IN_DOLLARS = r"(?:\\[^\n`]|[^$\n`\\])"
_TERM = r"(?: ?(?:[-+*/=<>^_(){}.,|]|\\[a-zA-Z]++(?:\{[^{}$\n`]{0,60}\})?|\\[^a-zA-Z\n`]|\d|[a-zA-Z](?![a-zA-Z])))"
DOLLARS = re.compile(rf"\$(?![\s$])({_IN_DOLLARS}{{1,{MAX_DOLLARS_CHARS}}}?)(?<![\s\\])\$(?![\w$({{])")
HALF_DOLLARS = re.compile(
    rf"\$(?:(?!\d)(?![\s$]){_IN_DOLLARS}{{0,{MAX_DOLLARS_CHARS}}}\\?"
    rf"|\d(?:\\\S|[^$\s`\\]){{0,{MAX_DOLLARS_CHARS}}}\\?(?: (?:[-+*/=<>^]|\\)?)?"
    rf"|\d[\d.,]*+[a-zA-Z]?(?= ?[-+*/=<>^\\]){_TERM}*+ ?\\?(?:[a-zA-Z]*(?:(?<=[a-zA-Z])\{{[^{{}}$\n`]{{0,60}})?)?)?\Z"
)
_NUMBERS = re.compile(rf"-?\d(?:[\d.,]*+(?<![.,]))?[a-zA-Z]?(?: ?(?=[-+*/=<>^\\]){_TERM}*+)?")
"""Matches a number, and what is calculated with it. Behind a price is no dollar sign."""
_BRACKETED = re.compile(r"[a-zA-Z]?'?(?:\([^()]+\)|\[[^\[\]]+\])|\|[^|]+\|")
"""Matches `f(x)`, `(0, 1)` and `|x|`."""


def is_in_dollars(formula: str) -> bool:
    """Whether a text between two dollar signs is a formula."""
    if _NUMBERS.fullmatch(formula) or _BRACKETED.fullmatch(formula) or (formula.isalpha() and len(formula) == 1):
        return True
    if formula[0].isdigit():
        return " " not in formula and bool(re.search(r"[\\^_]", formula))
    return bool(re.search(r"[\\^_=+<>{}/-]", formula))


def is_formula(text: str, mark: str, formula: str, start: int, end: int) -> bool:
    """Whether what stands between two marks is a formula, such as brackets with backslashes.

    `start`, `end`: where the opening mark begins in the text, and where the closing one ends.
    """
    if not formula.strip() or "`" in formula or "<br" in formula:
        return False
    if mark == "$$" and "\n" not in formula and " " in formula.strip() and _PROSE.fullmatch(formula):
        return False
    if mark in ("$$", "\\begin{"):
        return True
    if mark == "\\[" and text.startswith("(", end):
        return False
    if mark == "\\[" and not _SIGN.search(formula):
        is_alone = not text[max(0, text.rfind("\n", 0, start)) : start].strip()
        return is_alone and bool(NOTHING_BEHIND.match(text, end) or text.startswith("\n", end))
    is_padded = formula[0].isspace() and formula[-1].isspace()
    return is_padded or not _PROSE.fullmatch(formula)
