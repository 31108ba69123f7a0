"""Nothing in a model's text is an instruction to Slack, and all of it reads as it was written.

Every instruction begins with `<`: `<!channel>`, `<@U…>`, `<https://…|label>`. In prose Slack decodes `&lt;` once and
never reads it as the beginning of one. In code it decodes nothing, as far as is known: so `<` stays there, and U+2060,
which nobody sees, goes into what would be an instruction if Slack read it.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

JOINER = "\u2060"
"""WORD JOINER: no width, no line break, no part of any of Slack's tokens."""

_TOKEN = re.compile(
    r"<(?=@[A-Z0-9]|#[A-Z0-9]+[|>]|!(?i:channel|here|everyone|group|subteam|date)|[A-Za-z][\w.+-]*:[^<>\s|]*\|)"
)
_AT_ALL = re.compile(r"@(?=(?:channel|here|everyone)\b)", re.I)
_ENTITY = re.compile(r"&(?=(?:lt|gt|amp);)")
_ADDRESS = re.compile(r"(?<=\w)\.(?=[^\W\d_])|:(?=//)")


class Edit(NamedTuple):
    """A part of a text, and what is there instead."""

    start: int
    end: int
    text: str


def mrkdwn(text: str) -> str:
    """Plain text for a message's `text`, which Slack reads as its own markup, decoding entities once."""
    return _AT_ALL.sub(f"@{JOINER}", _ENTITY.sub("&amp;", text).replace("<", "&lt;"))


def unlinked(text: str) -> str:
    """Plain text for a `rich_text` element, where Slack makes links of addresses: a file's name may look like one."""
    return _ADDRESS.sub(lambda mark: f"{mark[0]}{JOINER}", text)


def in_code(text: str, start: int, end: int) -> Iterator[Edit]:
    """What breaks instructions in a part of a text that is code."""
    for token in _TOKEN.finditer(text, start, end):
        yield Edit(token.end(), token.end(), JOINER)


def in_text(text: str, code: Sequence[tuple[int, int]], replaced: Sequence[Edit]) -> Iterator[Edit]:
    """What makes `<` harmless in a paragraph; `code` are its code spans, `replaced` is not sent as it stands."""
    gone = [(edit.start, edit.end) for edit in replaced if edit.end > edit.start]
    at = 0
    for start, end in sorted([*code, *gone]):
        yield from _escapes(text, at, start)
        at = max(at, end)
    yield from _escapes(text, at, len(text))
    for start, end in code:
        if not any(first <= start < last for first, last in gone):
            yield from in_code(text, start, end)


def _escapes(text: str, start: int, end: int) -> Iterator[Edit]:
    at = text.find("<", start, end)
    while at >= 0:
        yield Edit(at, at + 1, "&lt;")
        at = text.find("<", at + 1, end)
