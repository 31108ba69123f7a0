r"""Tells LaTeX formulas from prices, shell variables and words in brackets.

Formulas are delimited by `\(` and `\)`, `\[` and `\]`, dollar signs, or an environment, `\begin{…}`.

The opening mark of a **display formula** is at the beginning or end of its line. Such a formula can contain blank
lines, and lines that would begin another block elsewhere, such as `- b` or `=`. So `blocks.py` calls `find_displays`
before it reads further lines.

Formulas are shown as LaTeX without the marks that only lay them out: an environment's rows become lines, and the braces
of `\begin{cases}` are written.

Growing text is held back as long as it can still become a formula. Text that contains a sentence can't, because
formulas don't contain sentences.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

import regex

MAX_DOLLARS_CHARS = 100
MAX_DISPLAY_CHARS = 1_000
"""The maximum length of a display formula, including its marks. Longer formulas are text."""
MAX_WORDS_CHARS = 200
"""The number of characters to search for a sentence. A sentence rules out a formula."""
MAX_LINE_CHARS = 20_000
"""The number of characters at the end of a line to search for formulas. Longer lines are split into pages."""

NOTHING_BEHIND = re.compile(r"(?:\s*</\w+\s*>){0,4}\s*(?:\Z|\|)")
"""Matches if nothing but end tags follows in a line or table cell."""
_PROSE = re.compile(r"(?:[^\W\d_]{2,}|\d+)?(?:[\s,.;:'’!?/&–—-]+(?:[^\W\d_]{2,}|\d+))*[\s.!?]*")
SIGN = re.compile(r"[\\^_=+<>{}]")
ENVIRONMENT = re.compile(r"\\begin\{([a-zA-Z]+\*?)\}")
_ENVIRONMENTS = {
    **dict.fromkeys(["align", "aligned", "alignat", "alignedat", "displaymath", "equation", "gather"], ("", "", "")),
    **dict.fromkeys(["gathered", "math", "multline", "split"], ("", "", "")),
    "eqnarray": ("", "", " "),
    **dict.fromkeys(["array", "matrix", "smallmatrix"], ("", "", "  ")),
    **dict.fromkeys(["cases", "dcases"], ("{ ", " }", ", ")),
    "Bmatrix": ("{ ", " }", "  "),
    "bmatrix": ("[ ", " ]", "  "),
    "pmatrix": ("( ", " )", "  "),
    "vmatrix": ("| ", " |", "  "),
    "Vmatrix": ("‖ ", " ‖", "  "),
}
"""Text for an environment's beginning, its end and its `&` ("" if `&` only aligns). Other environments stay as
written."""
_LAYOUT = re.compile(
    r"\\(?P<edge>begin|end)\{(?P<name>[a-zA-Z]+)\*?\}(?:(?:(?<=array\})|(?<=at\}))\{[^{}\n]{0,60}\})?"
    r"|(?P<row>\\\\\*?(?:\[-?[\d.]{1,6}[a-z]{2}\])?)|(?P<column>&)"
    r"|(?P<unseen>\\(?:label\{[^{}\n]{0,60}\}|(?:nonumber|notag|hline)(?![a-zA-Z])))|\\.",
    re.DOTALL,
)
_IN_DOLLARS = r"(?:\\[^\n`]|[^$\n`\\])"
_TERM = r"(?: ?(?:[-+*/=<>^_(){}.,|]|\\[a-zA-Z]++(?:\{[^{}$\n`]{0,60}\})?|\\[^a-zA-Z\n`]|\d|[a-zA-Z](?![a-zA-Z])))"
_OPEN_TERM = r" ?\\[a-zA-Z]++\{[^{}$\n`]{0,60}"
"""Matches a command whose braces aren't closed yet."""
DOLLARS = re.compile(rf"\$(?![\s$])({_IN_DOLLARS}{{1,{MAX_DOLLARS_CHARS}}}?)(?<![\s\\])\$(?![\w$({{])")
HALF_DOLLARS = regex.compile(
    rf"\$(?:(?!\d)(?![\s$]){_IN_DOLLARS}{{0,{MAX_DOLLARS_CHARS}}}\\?"
    rf"|\d(?:\\\S|[^$\s`\\]){{0,{MAX_DOLLARS_CHARS}}}\\?(?: (?:[-+*/=<>^]|\\)?)?"
    rf"|\d[\d.,]*+[a-zA-Z]?(?= ?[-+*/=<>^\\])(?:(?!{_OPEN_TERM}\Z){_TERM})*+(?:{_OPEN_TERM}| ?\\?[a-zA-Z]*))\Z"
)
_NUMBERS = regex.compile(rf"-?\d(?:[\d.,]*+(?<![.,]))?[a-zA-Z]?(?: ?(?=[-+*/=<>^\\]){_TERM}*+)?")
"""Matches numbers and calculations. Unlike these, a price isn't followed by another dollar sign."""
_BRACKETED = re.compile(r"[a-zA-Z]?'?(?:\([^()]+\)|\[[^\[\]]+\])|\|[^|]+\|")
"""Matches `f(x)`, `(0, 1)` and `|x|`."""

_MARK = re.compile(r"\$\$+|\\\[|\\begin\{([a-zA-Z]+\*?)\}|\\.|`[^`\n]+`|`")
MAYBE_DISPLAY = re.compile(r"\$\$+|\\\[|\\begin\{")
_WORD = re.compile(r"[^\W\d_]{3,}")
_PROSE_LINE = regex.compile(
    r"\n(?:(?:[^\W\d_]{1,2}(?![^\W\d_])|\d|[^\w\\^=+<>{}\n])*+[^\W\d_]{3,}+){3}[^\\^_=+<>{}\n]*+(?=\n)"
)
"""Matches a line of three words without any sign of a formula."""
_LONG_WORD = r"[^\W\d_]{3,}+"
_SHORT_WORD = r"[^\W\d_]{1,2}+(?![^\W\d_])"
_BETWEEN_WORDS = r"[\s.,;:!?'’\"“”()–—-]++"
_SENTENCE = regex.compile(
    rf"(?<![\w\\]){_LONG_WORD}(?:{_BETWEEN_WORDS}(?:{_SHORT_WORD}{_BETWEEN_WORDS})*+{_LONG_WORD}){{4}}"
    r"|(?:[^\W\d_\x00-\u0dff][\s\u3000-\u3002\uff0c]*+){20}"
)
"""Matches five words, which rule out a formula unless they are in braces. Thai and similar scripts might not use
spaces."""
_IN_BRACES = regex.compile(r"(?<!\\)\{(?:[^{}\\]|\\.)*+(?:\}|\\?\Z)", regex.DOTALL)
_MEANING = re.compile(r"\s*[=:–—-]\s*[^\W\d_]{3,}")
"""Matches the explanation that follows a sign such as `$$`, as opposed to a formula."""
_BLANK_LINE = re.compile(r"\n[ \t>]*\n")
_SINGLE_DOLLAR = re.compile(r"(?<![\\$])\$(?!\$)")


class Display(NamedTuple):
    """A formula that begins on one line and can continue on others."""

    end: int
    """The offset after the formula, or the end of the text if the closing mark might still follow."""
    is_display: bool
    """Whether it can contain blank lines and lines that would otherwise begin another block."""
    is_open: bool


def find_displays(text: str, start: int, end: int, *, growing: bool) -> Iterator[Display]:
    """Yields the display formulas that begin within a range of a paragraph's line, outside code."""
    at = max(start, end - MAX_LINE_CHARS)
    while (mark := _MARK.search(text, at, end)) and mark[0] != "`":
        at = mark.end()
        if (closing := _closing_mark(mark)) and (formula := _parse_display(text, start, mark, closing, end, growing)):
            yield formula
            at = formula.end


def find_displays_with_blank_lines(text: str, *, growing: bool) -> Iterator[tuple[int, int]]:
    """Yields the start and end of possible display formulas that contain blank lines, including those in code."""
    at = 0
    while mark := MAYBE_DISPLAY.search(text, at):
        start, at = mark.span()
        whole = _MARK.match(text, start)
        closing = _closing_mark(whole) if whole else ""
        stop = text.find(closing, at, start + MAX_DISPLAY_CHARS) if closing else -1
        end = len(text) if stop < 0 else stop + len(closing)
        if closing and (stop >= 0 or (growing and end <= start + MAX_DISPLAY_CHARS)):
            if _BLANK_LINE.search(text, at, end):
                yield start, end
            else:
                at = end


def _closing_mark(mark: re.Match[str]) -> str:
    """Returns the closing mark for the opening mark of a display formula, or "" for other marks."""
    if mark[1]:
        return f"\\end{{{mark[1]}}}"
    return {"$$": "$$", "\\[": "\\]"}.get(mark[0], "")


def _parse_display(
    text: str, line_start: int, mark: re.Match[str], closing: str, line_end: int, growing: bool
) -> Display | None:
    start, limit = mark.end(), mark.start() + MAX_DISPLAY_CHARS
    stop = text.find(closing, start, limit)
    end = stop + len(closing)
    if 0 <= stop < line_end:
        return Display(end, False, False)
    # The closing mark can still arrive, or it may be part of another mark.
    is_open = growing and len(text) <= limit and (stop < 0 or end == len(text))
    if stop < 0 and not is_open:
        return None
    is_first, is_last = not text[line_start : mark.start()].strip(), not text[start:line_end].strip()
    formula = text[start:].rstrip("$") if is_open else f"{text[start:stop]}\n"
    is_placed = is_first or (is_last and closing != "$$")
    is_display = is_placed and (is_open or not text.startswith("$", end)) and _can_be_display(formula, mark[0])
    if is_open:
        return Display(len(text), True, True) if is_display else None
    return Display(end, is_display, False) if is_display or not _BLANK_LINE.search(formula) else None


def _can_be_display(formula: str, mark: str) -> bool:
    """Returns whether the text after an opening mark can be a display formula. Its last line can be incomplete."""
    if "`" in formula or "<br" in formula:
        return False
    if mark not in ("$$", "\\["):
        return True
    if mark == "$$" and (_SINGLE_DOLLAR.search(formula) or _MEANING.match(formula)):
        return False
    if has_sentence(formula):
        return False
    first, has_ended, _ = formula.partition("\n")
    if has_ended and _WORD.search(first) and not SIGN.search(first):
        return False
    return not _PROSE_LINE.search(formula)


def has_sentence(formula: str) -> bool:
    """Returns whether the text after an opening mark begins with so many words that it can't be a formula, whatever
    follows."""
    beginning = formula[:MAX_WORDS_CHARS]
    if not _SENTENCE.search(beginning):
        return False
    # Applied twice, because braces can be nested, as in `\text{a {b}}`.
    return bool(_SENTENCE.search(_IN_BRACES.sub("=", _IN_BRACES.sub("=", beginning))))


def readable_formula(formula: str, row_end: str, *, has_rows: bool) -> str:
    """Returns a formula without the marks that only lay it out. `row_end`: the text between rows. `has_rows`: whether
    there can be rows outside the environments in it."""
    if "&" not in formula and "\\\\" not in formula and "\\begin" not in formula:
        return formula
    shown, at, column, gaps = "", 0, 0, ["" if has_rows else None]
    for mark in _LAYOUT.finditer(formula):
        shown, at = shown + formula[at : mark.start()], mark.end()
        gap, before = gaps[-1], shown.rstrip(" \t")
        if mark["edge"]:
            begins, ends, inner_gap = _ENVIRONMENTS.get(mark["name"], (mark[0], mark[0], None))
            column = 0
            if mark["edge"] == "begin":
                gaps, shown = [*gaps, inner_gap], shown + begins
            else:
                gaps = gaps[: max(1, len(gaps) - 1)]
                shown = (shown if ends == mark[0] else shown.rstrip().removesuffix(row_end.strip()).rstrip()) + ends
        elif gap is None or not (mark["row"] or mark["column"] or mark["unseen"]):
            shown += mark[0]
            continue
        elif mark["row"]:
            column, shown = 0, before + row_end
        elif mark["column"]:
            column += 1
            is_alignment = not gap and column % 2
            shown = shown if is_alignment else before.removesuffix(gap.strip()) + (gap or "  ")
        if not shown or shown[-1].isspace():
            at = len(formula) - len(formula[at:].lstrip(" \t"))
    shown += formula[at:]
    return shown if shown.strip() else formula


def is_in_dollars(formula: str) -> bool:
    if has_sentence(formula):
        return False
    if _NUMBERS.fullmatch(formula) or _BRACKETED.fullmatch(formula) or (formula.isalpha() and len(formula) == 1):
        return True
    if formula[0].isdigit():
        return " " not in formula and bool(re.search(r"[\\^_]", formula))
    return bool(re.search(r"[\\^_=+<>{}/-]", formula))


def is_formula(text: str, mark: str, formula: str, start: int, end: int) -> bool:
    """Returns whether the text between two marks, such as brackets with backslashes, is a formula. `start`: the offset
    of the opening mark. `end`: the offset after the closing mark."""
    if not formula.strip() or "`" in formula or "<br" in formula:
        return False
    if mark != "\\begin{" and has_sentence(formula):
        return False
    if mark == "$$" and len(formula.split()) > 1 and _PROSE.fullmatch(formula):
        return False
    if mark in ("$$", "\\begin{"):
        return not text.startswith("$", end)
    if mark == "\\[" and text.startswith("(", end):
        return False
    if mark == "\\[" and not SIGN.search(formula):
        is_alone = not text[max(0, text.rfind("\n", 0, start)) : start].strip()
        return is_alone and bool(NOTHING_BEHIND.match(text, end) or text.startswith("\n", end))
    is_padded = formula[0].isspace() and formula[-1].isspace()
    return is_padded or not _PROSE.fullmatch(formula)
