"""Converts mrkdwn text into the `rich_text` block that Slack stores for a message without blocks.

The text is split from the outside in: fenced code, quoted lines, inline code, Slack's own tokens, then bold, italic and
strikethrough. A placeholder character replaces each token while the styles are matched, so that `_` in a URL doesn't
become italic.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Final

from slack_sandbox.control import unescape
from slack_sandbox.text.inline import Style, link, merge_texts, styled, text_elements, token_element
from slack_sandbox.text.markdown import TOKEN
from slack_sandbox.workspace import Json

_FENCED: Final = re.compile(r"\n?```\n?(?P<code>.*?)\n?```\n?", re.DOTALL)
_LINK: Final = re.compile(r"<(?P<url>(?:https?://|mailto:)[^<>|\n]*)>")
_TOKEN: Final = re.compile(f"{TOKEN.pattern}|{_LINK.pattern.replace('<url>', '<bare>')}")
_PLACEHOLDER: Final = "\ue000"
_CODE: Final = re.compile(r"`(?P<code>[^`\n]+)`")
Marks = Sequence[tuple[str, re.Pattern[str]]]
_STYLED: Final[Marks] = tuple(
    (style, re.compile(rf"(?<![\w{mark}]){mark}(?=\S)(?P<content>[^{mark}\n]+?)(?<=\S){mark}(?![\w{mark}])"))
    for style, mark in (("bold", r"\*"), ("italic", "_"), ("strike", "~"))
)
_QUOTED: Final = re.compile(r"&gt; ?")


@lru_cache(maxsize=256)
def mrkdwn_blocks(text: str) -> tuple[Json, ...]:
    """Returns the block that Slack stores for a text, or none for an empty text. Callers must not change it."""
    elements, at = list[Json](), 0
    for match in _FENCED.finditer(text):
        elements += _lines(text[at : match.start()])
        code = unescape(match["code"])
        content = [{"type": "text", "text": code}] if code else []
        elements.append({"type": "rich_text_preformatted", "elements": content, "border": 0})
        at = match.end()
    elements += _lines(text[at:])
    return ({"type": "rich_text", "elements": elements},) if elements else ()


def _lines(text: str) -> list[Json]:
    elements = []
    for quoted, group in groupby(text.splitlines(keepends=True), key=lambda line: bool(_QUOTED.match(line))):
        kind = "rich_text_quote" if quoted else "rich_text_section"
        content = "".join(_QUOTED.sub("", line, count=1) if quoted else line for line in group)
        content = content.removesuffix("\n") if quoted else content
        elements.append({"type": kind, "elements": merge_texts(_inline(content, ()))})
    return elements


def _inline(text: str, style: Style) -> Iterator[Json]:
    at = 0
    for match in _CODE.finditer(text):
        yield from _prose(text[at : match.start()], style)
        yield styled({"type": "text", "text": unescape(match["code"])}, (*style, "code"))
        at = match.end()
    yield from _prose(text[at:], style)


def _prose(text: str, style: Style) -> Iterator[Json]:
    text = text.replace(_PLACEHOLDER, "")
    tokens = iter([match[0] for match in _TOKEN.finditer(text)])
    yield from _styles(_TOKEN.sub(_PLACEHOLDER, text), style, tokens)


def _styles(text: str, style: Style, tokens: Iterator[str], marks: Marks = _STYLED) -> Iterator[Json]:
    if not marks:
        yield from _words(text, style, tokens)
        return
    (name, pattern), *rest = marks
    at = 0
    for match in pattern.finditer(text):
        yield from _styles(text[at : match.start()], style, tokens, rest)
        yield from _styles(match["content"], (*style, name), tokens, rest)
        at = match.end()
    yield from _styles(text[at:], style, tokens, rest)


def _words(text: str, style: Style, tokens: Iterator[str]) -> Iterator[Json]:
    for index, words in enumerate(text.split(_PLACEHOLDER)):
        if index:
            yield _token(next(tokens), style)
        yield from text_elements(unescape(words), style)


def _token(token: str, style: Style) -> Json:
    bare = _LINK.fullmatch(token)
    return link(unescape(bare["url"]), "", style) if bare else token_element(token, style)
