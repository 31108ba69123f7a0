"""Escapes a model's text so that it can't give Slack instructions but readers still see it as written.

Every instruction to Slack begins with `<`: `<!channel>`, `<@U…>`, `<https://…|label>`.

- In prose, Slack decodes `&lt;` once and doesn't treat the result as the beginning of an instruction.
- In code, Slack doesn't decode anything, as far as we know. So `<` stays, and an invisible U+2060 breaks up anything
  that would be an instruction if Slack did parse code.

The difference between the source and the sent text is a list of replacements, to which every rendering step adds.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

HAIR_SPACE = "\u200a"
"""A barely visible character that counts as white space by every definition. Zero-width characters reportedly don't
help."""
JOINER = "\u2060"
"""WORD JOINER, which is invisible, prevents line breaks, and isn't part of any instruction. In code, it is inserted
only at the beginning of an instruction, so that people can copy the rest unchanged."""
_TICKS = re.compile("`+")
_INSTRUCTION_START = re.compile(
    r"<(?=@[A-Z0-9]|#[A-Z0-9]+[|>]|!(?i:channel|here|everyone|group|subteam|date)|[A-Za-z][\w.+-]*:[^<>\s|]*\|)"
)
_BRACKET = re.compile(r"\\++<?|<")
_URL_PUNCTUATION = re.compile(r"(?<=\w)\.(?=[^\W\d_])|:(?=//)")


class Replacement(NamedTuple):
    """A range in a text, and the text that replaces it. An empty range means an insertion."""

    start: int
    end: int
    text: str


def with_replacements(text: str, replacements: Iterable[Replacement], start: int = 0, end: int | None = None) -> str:
    """Returns a range of a text with replacements applied, which must be in order."""
    parts = []
    for replacement in replacements:
        parts += [text[start : replacement.start], replacement.text]
        start = replacement.end
    return "".join([*parts, text[start:end]])


def longest_ticks(text: str) -> int:
    return max(map(len, _TICKS.findall(text)), default=0)


def fence_for(code: str) -> str:
    """Returns the shortest fence that doesn't occur in a block of code."""
    return "`" * max(3, longest_ticks(code) + 1)


def fence_code(code: str, language: str = "") -> str:
    fence = fence_for(code)
    return f"{fence}{language}\n{code}\n{fence}"


def break_links(text: str) -> str:
    """Changes plain text in a `rich_text` element, such as a file name, so that Slack doesn't turn parts of it into
    links."""
    return _URL_PUNCTUATION.sub(lambda mark: f"{mark[0]}{JOINER}", text)


def escape_code(text: str, start: int, end: int) -> Iterator[Replacement]:
    """Yields replacements that break up Slack instructions in code."""
    for instruction in _INSTRUCTION_START.finditer(text, start, end):
        yield Replacement(instruction.end(), instruction.end(), JOINER)


def escape_prose(
    text: str, code_spans: Sequence[tuple[int, int]], replacements: Sequence[Replacement]
) -> Iterator[Replacement]:
    """Yields replacements that neutralize each `<` of a paragraph outside code spans and other replacements."""
    replaced = [
        (replacement.start, replacement.end) for replacement in replacements if replacement.end > replacement.start
    ]
    at = 0
    for start, end in sorted([*code_spans, *replaced]):
        yield from _escape_brackets(text, at, start)
        at = max(at, end)
    yield from _escape_brackets(text, at, len(text))
    for start, end in _code_spans_outside(code_spans, replaced):
        yield from escape_code(text, start, end)


def _code_spans_outside(
    code_spans: Sequence[tuple[int, int]], replaced: Sequence[tuple[int, int]]
) -> Iterator[tuple[int, int]]:
    ordered = sorted(replaced)
    position = 0
    replaced_end = 0
    for start, end in sorted(code_spans):
        while position < len(ordered) and ordered[position][0] <= start:
            replaced_end = max(replaced_end, ordered[position][1])
            position += 1
        if start >= replaced_end:
            yield start, end


def _escape_brackets(text: str, start: int, end: int) -> Iterator[Replacement]:
    for bracket in _BRACKET.finditer(text, start, end):
        if bracket[0][-1] == "<":
            # A backslash before `<` would escape the entity's `&` instead.
            is_escaped = len(bracket[0]) % 2 == 0
            yield Replacement(bracket.end() - 1 - is_escaped, bracket.end(), "&lt;")
