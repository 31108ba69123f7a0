"""A message's `text` as the `rich_text` block that Slack stores where an app sends no blocks."""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Final

from sandbox.control import unescape
from sandbox.inline import Style, link, merged, styled, text_elements, token_element
from sandbox.markdown import TOKEN
from sandbox.workspace import Json

_FENCED: Final = re.compile(r"\n?```\n?(?P<code>.*?)\n?```\n?", re.DOTALL)
_LINK: Final = re.compile(r"<(?P<url>(?:https?://|mailto:)[^<>|\n]*)>")
_TOKEN: Final = re.compile(f"{TOKEN.pattern}|{_LINK.pattern.replace('<url>', '<bare>')}")
_HELD: Final = "\ue000"
"""Stands for a token while styles are looked for: those inside a token are none."""
_CODE: Final = re.compile(r"`(?P<code>[^`\n]+)`")
Marks = Sequence[tuple[str, re.Pattern[str]]]
_STYLED: Final[Marks] = tuple(
    (style, re.compile(rf"(?<![\w{mark}]){mark}(?=\S)(?P<said>[^{mark}\n]+?)(?<=\S){mark}(?![\w{mark}])"))
    for style, mark in (("bold", r"\*"), ("italic", "_"), ("strike", "~"))
)
_QUOTED: Final = re.compile(r"&gt; ?")


@lru_cache(maxsize=256)
def mrkdwn_blocks(text: str) -> tuple[Json, ...]:
    """The one block that Slack stores for a text; none where there is no text. It must not be changed."""
    elements, at = list[Json](), 0
    for match in _FENCED.finditer(text):
        elements += _lines(text[at : match.start()])
        code = unescape(match["code"])
        said = [{"type": "text", "text": code}] if code else []
        elements.append({"type": "rich_text_preformatted", "elements": said, "border": 0})
        at = match.end()
    elements += _lines(text[at:])
    return ({"type": "rich_text", "elements": elements},) if elements else ()


def _lines(text: str) -> list[Json]:
    """Sections and quotes."""
    elements = []
    for quoted, group in groupby(text.splitlines(keepends=True), key=lambda line: bool(_QUOTED.match(line))):
        kind = "rich_text_quote" if quoted else "rich_text_section"
        said = "".join(_QUOTED.sub("", line, count=1) if quoted else line for line in group)
        said = said.removesuffix("\n") if quoted else said
        elements.append({"type": kind, "elements": merged(_inline(said, ()))})
    return elements


def _inline(text: str, style: Style) -> Iterator[Json]:
    at = 0
    for match in _CODE.finditer(text):
        yield from _prose(text[at : match.start()], style)
        yield styled({"type": "text", "text": unescape(match["code"])}, (*style, "code"))
        at = match.end()
    yield from _prose(text[at:], style)


def _prose(text: str, style: Style) -> Iterator[Json]:
    text = text.replace(_HELD, "")
    tokens = iter([match[0] for match in _TOKEN.finditer(text)])
    yield from _styles(_TOKEN.sub(_HELD, text), style, tokens)


def _styles(text: str, style: Style, tokens: Iterator[str], marks: Marks = _STYLED) -> Iterator[Json]:
    if not marks:
        yield from _words(text, style, tokens)
        return
    (name, pattern), *rest = marks
    at = 0
    for match in pattern.finditer(text):
        yield from _styles(text[at : match.start()], style, tokens, rest)
        yield from _styles(match["said"], (*style, name), tokens, rest)
        at = match.end()
    yield from _styles(text[at:], style, tokens, rest)


def _words(text: str, style: Style, tokens: Iterator[str]) -> Iterator[Json]:
    for index, words in enumerate(text.split(_HELD)):
        if index:
            yield _token(next(tokens), style)
        yield from text_elements(unescape(words), style)


def _token(token: str, style: Style) -> Json:
    bare = _LINK.fullmatch(token)
    return link(unescape(bare["url"]), "", style) if bare else token_element(token, style)
