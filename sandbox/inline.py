"""What stands in a line, as the elements of a `rich_text` block: text with its style, links, mentions, emoji."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Final

from markdown_it.token import Token

from sandbox.control import unescape
from sandbox.emoji import with_emoji
from sandbox.markdown import BARE_ADDRESS, TOKEN, References, parse_inline
from sandbox.workspace import Json

_STYLES: Final = {"strong": "bold", "em": "italic", "s": "strike"}
_IDS: Final = (
    ("user", "user_id"),
    ("channel", "channel_id"),
    ("usergroup", "usergroup_id"),
)
Style = tuple[str, ...]


def inline_elements(source: str, references: References) -> list[Json]:
    """The elements that a paragraph, a table's cell or an item's line says. The elements must not be changed."""
    # A growing answer repeats all of its paragraphs but the last.
    return list(_without_references(source) if not references else _read(source, references))


def plain_text(source: str, references: References) -> str:
    """What a heading says, without any mark."""
    return _plain(parse_inline(source, references)).strip()


@lru_cache(maxsize=4096)
def _without_references(source: str) -> tuple[Json, ...]:
    return _read(source, {})


def _read(source: str, references: References) -> tuple[Json, ...]:
    return tuple(merged(_Inline(parse_inline(source, references)).elements()))


def _plain(tokens: Sequence[Token]) -> str:
    parts = []
    for token in tokens:
        if token.type in ("softbreak", "hardbreak"):
            parts.append(" ")
        elif token.type == "image":
            parts.append(_plain(token.children or []) or str(token.attrs["src"]))
        elif token.type == "slack":
            parts.append(_spoken(token.content))
        else:
            parts.append(token.content)
    return "".join(parts)


def token_element(token: str, style: Style = ()) -> Json:
    """The element of one of Slack's own tokens, `<…>` included."""
    found = TOKEN.fullmatch(token)
    assert found is not None
    for kind, key in _IDS:
        if value := found[kind]:
            return styled({"type": kind, key: value}, style)
    if value := found["range"]:
        return styled({"type": "broadcast", "range": value}, style)
    if value := found["timestamp"]:
        said = {"timestamp": int(value), "format": found["format"], "fallback": found["fallback"]}
        return styled({"type": "date", **said}, style)
    return link(unescape(found["url"]), unescape(found["label"]), style)


def text_elements(text: str, style: Style = ()) -> Iterator[Json]:
    """Text with its bare addresses as links and its emoji as emoji."""
    at = 0
    if "://" in text:
        for match in BARE_ADDRESS.finditer(text):
            yield from _with_emoji(text[at : match.start()], style)
            yield link(match[0], "", style)
            at = match.end()
    yield from _with_emoji(text[at:], style)


def link(url: str, text: str, style: Style = ()) -> Json:
    """A link; an empty text is for an address that stands for itself."""
    said: Json = {"type": "link", "url": url}
    return styled(said | ({"text": text} if text else {}), style)


def styled(element: Json, style: Style) -> Json:
    """The element, with its style where there is one."""
    return element | {"style": dict.fromkeys(style, True)} if style else element


def merged(elements: Iterator[Json]) -> list[Json]:
    """The elements, texts of one style that follow each other as one."""
    out: list[Json] = []
    for (kind, _), group in groupby(elements, key=lambda each: (each.get("type"), str(each.get("style")))):
        if kind == "text":
            texts = list(group)
            out.append(texts[0] | {"text": "".join(each["text"] for each in texts)})
        else:
            out.extend(group)
    return out


class _Inline:
    """Walks an inline token's children."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = iter(tokens)
        self._style: list[str] = []

    def elements(self) -> Iterator[Json]:
        for token in self._tokens:
            if token.type == "link_open":
                yield self._link(str(token.attrs["href"]))
            elif token.nesting:
                self._turn(token)
            else:
                yield from self._leaf(token)

    def _turn(self, token: Token) -> None:
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
                # Nothing is shown that somebody would have to fetch.
                yield link(str(token.attrs["src"]), _plain(token.children or []), style)

    def _link(self, url: str) -> Json:
        label, styles = "", list[Style]()
        for token in self._tokens:
            if token.type == "link_close":
                break
            if token.nesting:
                self._turn(token)
                continue
            label += _plain([token])
            code = ("code",) if token.type == "code_inline" else ()
            styles.append((*dict.fromkeys(self._style), *code))
        same = styles[0] if len(set(styles)) == 1 else tuple(dict.fromkeys(self._style))
        return link(url, "" if label == url else label, same)


def _with_emoji(text: str, style: Style) -> Iterator[Json]:
    for part in with_emoji(text):
        yield styled({"type": "text", "text": part} if isinstance(part, str) else part, style)


def _spoken(token: str) -> str:
    found = TOKEN.fullmatch(token)
    assert found is not None
    if found["url"]:
        return unescape(found["label"])
    return found["fallback"] or token
