"""What Slack stores in place of a `markdown` block: header, divider, table and rich_text blocks.

Headings, rules and tables become blocks of their own, in place. What stands between two of them becomes one rich_text
block, however many paragraphs it has. Blocks come without a block_id: the sandbox gives ids to all blocks of a message
together (sandbox.stored).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from markdown_it.token import Token

from sandbox.inline import inline_elements, merged, plain_text
from sandbox.markdown import References, parse
from sandbox.workspace import Json

_ALIGN: Final = re.compile(r"text-align:(left|center|right)")
_TASK: Final = re.compile(r"\[([ xX])\] ")
_BLANK: Final[Json] = {"type": "text", "text": "\n\n"}


@lru_cache(maxsize=256)
def translate(markdown: str) -> tuple[Json, ...]:
    """The blocks that Slack stores for Markdown; none where it shows nothing. They must not be changed."""
    return tuple(_Translation(*parse(markdown)).blocks())


@dataclass(slots=True)
class _List:
    """A list that is open."""

    style: str
    number: int
    """Of its next item."""


@dataclass(slots=True)
class _Item:
    """A list item that is open; `begun` once something of it is shown."""

    task: str = ""
    begun: bool = False


@dataclass
class _Translation:
    """Walks the tokens; `_elements` are those of the rich_text block that grows."""

    tokens: Sequence[Token]
    references: References
    _blocks: list[Json] = field(default_factory=list)
    _elements: list[Json] = field(default_factory=list)
    _lists: list[_List] = field(default_factory=list)
    _items: list[_Item] = field(default_factory=list)
    _quotes: int = 0
    _shown_list: _List | None = None
    """Whose element is the last of `_elements`."""

    def blocks(self) -> list[Json]:
        at = 0
        while at < len(self.tokens):
            at = self._take(at)
        self._end_run()
        return self._blocks

    def _take(self, at: int) -> int:
        """Takes the token there, or the whole block that it opens; where to go on."""
        token = self.tokens[at]
        match token.type:
            case "heading_open":
                self._heading(self.tokens[at + 1])
                return at + 3
            case "table_open":
                return self._table(at)
            case "hr":
                self._end_run()
                self._blocks.append({"type": "divider"})
            case "fence" | "code_block":
                self._code(token)
            case "inline":
                self._paragraph(inline_elements(token.content, self.references))
            case _:
                self._nest(token)
        return at + 1

    def _nest(self, token: Token) -> None:
        match token.type:
            case "bullet_list_open":
                self._begin_item()
                self._lists.append(_List("bullet", 1))
            case "ordered_list_open":
                self._begin_item()
                self._lists.append(_List("ordered", int(token.attrs.get("start", 1))))
            case "bullet_list_close" | "ordered_list_close":
                self._lists.pop()
            case "list_item_open":
                self._items.append(_Item())
            case "list_item_close":
                self._begin_item()
                self._items.pop()
                self._lists[-1].number += 1
            case "blockquote_open":
                self._quotes += 1
            case "blockquote_close":
                self._quotes -= 1

    def _begin_item(self) -> None:
        """Shows an item that has no text of its own."""
        if self._items and not self._items[-1].begun:
            self._item([])

    def _heading(self, inline: Token) -> None:
        self._end_run()
        if text := plain_text(inline.content, self.references):
            self._blocks.append({"type": "header", "text": {"type": "plain_text", "text": text, "emoji": True}})

    def _paragraph(self, said: list[Json]) -> None:
        if not said:
            return
        if not self._items:
            self._append("rich_text_quote" if self._quotes else "rich_text_section", said, _BLANK)
        elif not self._items[-1].begun:
            self._item(_with_box(said))
        elif self._shown_list is self._lists[-1]:
            section = self._elements[-1]["elements"][-1]
            section["elements"] = merged(iter([*section["elements"], {"type": "text", "text": "\n"}, *said]))
        else:
            self._append("rich_text_section", said, _BLANK)

    def _append(self, kind: str, said: list[Json], between: Json) -> None:
        """A paragraph; one that follows another of its kind joins it."""
        self._shown_list = None
        if self._elements and self._elements[-1]["type"] == kind:
            last = self._elements[-1]
            last["elements"] = merged(iter([*last["elements"], between, *said]))
        else:
            self._elements.append({"type": kind, "elements": said})

    def _item(self, said: list[Json]) -> None:
        self._items[-1].begun = True
        current, section = self._lists[-1], {"type": "rich_text_section", "elements": said}
        if self._shown_list is current:
            self._elements[-1]["elements"].append(section)
            return
        how: Json = {"style": current.style, "indent": len(self._lists) - 1, "border": int(self._quotes > 0)}
        if current.style == "ordered" and current.number > 1:
            how["offset"] = current.number - 1
        self._elements.append({"type": "rich_text_list", **how, "elements": [section]})
        self._shown_list = current

    def _code(self, token: Token) -> None:
        self._begin_item()
        self._shown_list = None
        code, language = token.content.removesuffix("\n"), token.info.strip().partition(" ")[0]
        said = [{"type": "text", "text": code}] if code else []
        element: Json = {"type": "rich_text_preformatted", "elements": said, "border": int(self._quotes > 0)}
        self._elements.append(element | ({"language": language} if language else {}))

    def _table(self, at: int) -> int:
        self._begin_item()
        self._end_run()
        rows, align = list[list[Json]](), list[str]()
        while self.tokens[at].type != "table_close":
            token = self.tokens[at]
            if token.type == "tr_open":
                rows.append([])
            elif token.type in ("th_open", "td_open"):
                rows[-1].append(_cell(inline_elements(self.tokens[at + 1].content, self.references)))
                if token.type == "th_open":
                    align.append(_alignment(token.attrs))
            at += 1
        table: Json = {"type": "table", "rows": rows}
        if any(align):
            table["column_settings"] = [{"align": each or "left"} for each in align]
        self._blocks.append(table)
        return at + 1

    def _end_run(self) -> None:
        self._shown_list = None
        if self._elements:
            self._blocks.append({"type": "rich_text", "elements": self._elements})
            self._elements = []


def _with_box(said: list[Json]) -> list[Json]:
    """A task's text with a box in place of its `[ ]`."""
    first = said[0]
    if first["type"] != "text" or "style" in first or not (found := _TASK.match(first["text"])):
        return said
    box = "☐ " if found[1] == " " else "☑ "
    return [{"type": "text", "text": box + first["text"][len(found[0]) :]}, *said[1:]]


def _cell(said: list[Json]) -> Json:
    if all(each["type"] == "text" and "style" not in each for each in said):
        return {"type": "raw_text", "text": "".join(each["text"] for each in said)}
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": said}]}


def _alignment(attributes: dict[str, Any]) -> str:
    found = _ALIGN.fullmatch(str(attributes.get("style", "")))
    return found[1] if found else ""
