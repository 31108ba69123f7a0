"""Converts inline Markdown to the elements of a `rich_text` block: styled text, links, mentions and emoji.

markdown-it parses a line into a flat list of tokens: text, and tokens that open and close a style or a link. `_Inline`
walks that list once. It keeps the open styles in a list and gives each piece of text the styles that are open there.

- Text is split further: bare URLs become `link` elements, emoji become `emoji` elements.
- Slack's own tokens (`<@U…>`, `<!here>`, `<url|label>`) become `user`, `broadcast`, `link` and other elements.
- A link is one element with one style: the style of its label if that is uniform, or otherwise the styles around the
  link.
- An image becomes a link, as in Slack.
- Adjacent texts with the same style are merged, as Slack stores them.

A bot edits a growing message, so all its paragraphs except the last are parsed again for each edit. Elements are
therefore cached by a paragraph's source. Sources in documents with link definitions aren't cached, because their
meaning depends on those definitions.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Final

from markdown_it.token import Token

from slack_sandbox.control import unescape
from slack_sandbox.text.emoji import split_emoji
from slack_sandbox.text.markdown import BARE_ADDRESS, TOKEN, References, parse_inline
from slack_sandbox.workspace import Json

_STYLES: Final = {"strong": "bold", "em": "italic", "s": "strike"}
_IDS: Final = (
    ("user", "user_id"),
    ("channel", "channel_id"),
    ("usergroup", "usergroup_id"),
)
Style = tuple[str, ...]


def inline_elements(source: str, references: References) -> list[Json]:
    """Returns the elements of a paragraph, a table cell or a list item. Callers must not change the elements."""
    return list(_cached_elements(source) if not references else _parse_elements(source, references))


def plain_text(source: str, references: References) -> str:
    return _plain(parse_inline(source, references)).strip()


@lru_cache(maxsize=4096)
def _cached_elements(source: str) -> tuple[Json, ...]:
    return _parse_elements(source, {})


def _parse_elements(source: str, references: References) -> tuple[Json, ...]:
    return tuple(merge_texts(_Inline(parse_inline(source, references)).elements()))


def _plain(tokens: Sequence[Token]) -> str:
    parts = []
    for token in tokens:
        if token.type in ("softbreak", "hardbreak"):
            parts.append(" ")
        elif token.type == "image":
            parts.append(_plain(token.children or []) or str(token.attrs["src"]))
        elif token.type == "slack":
            parts.append(_token_text(token.content))
        else:
            parts.append(token.content)
    return "".join(parts)


def token_element(token: str, style: Style = ()) -> Json:
    """Returns the element for one of Slack's own tokens, such as `<@U123>`."""
    match = TOKEN.fullmatch(token)
    assert match is not None
    for kind, key in _IDS:
        if value := match[kind]:
            return styled({"type": kind, key: value}, style)
    if value := match["range"]:
        return styled({"type": "broadcast", "range": value}, style)
    if value := match["timestamp"]:
        fields = {"timestamp": int(value), "format": match["format"], "fallback": match["fallback"]}
        return styled({"type": "date", **fields}, style)
    return link(unescape(match["url"]), unescape(match["label"]), style)


def text_elements(text: str, style: Style = ()) -> Iterator[Json]:
    """Yields a text's elements: bare URLs as links, emoji as emoji, the rest as text."""
    at = 0
    if "://" in text:
        for match in BARE_ADDRESS.finditer(text):
            yield from _emoji_elements(text[at : match.start()], style)
            yield link(match[0], "", style)
            at = match.end()
    yield from _emoji_elements(text[at:], style)


def link(url: str, text: str, style: Style = ()) -> Json:
    """Returns a link element. With an empty text, the link shows its URL."""
    fields: Json = {"type": "link", "url": url}
    return styled(fields | ({"text": text} if text else {}), style)


def styled(element: Json, style: Style) -> Json:
    return element | {"style": dict.fromkeys(style, True)} if style else element


def merge_texts(elements: Iterator[Json]) -> list[Json]:
    result: list[Json] = []
    for (kind, _), group in groupby(elements, key=lambda element: (element.get("type"), str(element.get("style")))):
        if kind == "text":
            texts = list(group)
            result.append(texts[0] | {"text": "".join(element["text"] for element in texts)})
        else:
            result.extend(group)
    return result


class _Inline:
    """Converts a line's tokens into elements. `_style` contains the open styles."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = iter(tokens)
        self._style: list[str] = []

    def elements(self) -> Iterator[Json]:
        for token in self._tokens:
            if token.type == "link_open":
                yield self._link(str(token.attrs["href"]))
            elif token.nesting:
                self._toggle_style(token)
            else:
                yield from self._leaf(token)

    def _toggle_style(self, token: Token) -> None:
        if style := _STYLES.get(token.tag):
            if token.nesting > 0:
                self._style.append(style)
            else:
                self._style.remove(style)

    def _leaf(self, token: Token) -> Iterator[Json]:
        style = tuple(dict.fromkeys(self._style))
        match token.type:
            case "text":
                yield from text_elements(token.content, style)
            case "softbreak" | "hardbreak":
                yield styled({"type": "text", "text": "\n"}, style)
            case "code_inline":
                yield styled({"type": "text", "text": token.content}, (*style, "code"))
            case "slack":
                yield token_element(token.content, style)
            case "image":
                # Slack shows Markdown images as links.
                yield link(str(token.attrs["src"]), _plain(token.children or []), style)

    def _link(self, url: str) -> Json:
        label, styles = "", list[Style]()
        for token in self._tokens:
            if token.type == "link_close":
                break
            if token.nesting:
                self._toggle_style(token)
                continue
            label += _plain([token])
            code = ("code",) if token.type == "code_inline" else ()
            styles.append((*dict.fromkeys(self._style), *code))
        style = styles[0] if len(set(styles)) == 1 else tuple(dict.fromkeys(self._style))
        return link(url, "" if label == url else label, style)


def _emoji_elements(text: str, style: Style) -> Iterator[Json]:
    for part in split_emoji(text):
        yield styled({"type": "text", "text": part} if isinstance(part, str) else part, style)


def _token_text(token: str) -> str:
    match = TOKEN.fullmatch(token)
    assert match is not None
    if match["url"]:
        return unescape(match["label"])
    return match["fallback"] or token
