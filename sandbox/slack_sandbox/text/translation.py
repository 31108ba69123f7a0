"""Translates a `markdown` block into the blocks that Slack stores: header, divider, table and rich_text.

Slack never returns a `markdown` block. Limits, edits and events apply to its translation, so a bot's messages can only
be tested against a sandbox that translates in the same way.

The translation:

- A heading becomes a `header`, a thematic break a `divider`, a table a `table`.
- Everything between two of those becomes one `rich_text` block, regardless of the number of paragraphs.
- In a `rich_text` block, paragraphs become sections, and lists, quotes and code blocks become separate elements.
- An empty line is a separate text element: between paragraphs, after a paragraph that is followed by anything else, and
  after the last one before the next block. A section after a list begins with a line break.

markdown-it parses Markdown into a flat list of tokens, such as `list_item_open` and `list_item_close`. `_Translation`
walks that list once:

- `_elements` collects the elements of the current rich_text block. A heading, thematic break or table ends the block.
- Slack doesn't nest elements. A list inside another is a separate `rich_text_list` with a larger indent, so the stack
  `_lists` has the open lists, and the outer list continues in a new element after the inner one. An ordered list
  continues with an `offset`.
- `_items` is the stack of open items. An item's first paragraph starts the item. Further paragraphs are added to it
  after a line break, as long as its list is the last element.
- Quotes aren't nested either. A quoted paragraph is a `rich_text_quote`; a list or code block in a quote has a border.

inline.py translates inline content. The blocks don't have block_ids yet: blocks/stored.py adds IDs to all blocks of a
message together.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from markdown_it.token import Token

from slack_sandbox.text.inline import inline_elements, merge_texts, plain_text
from slack_sandbox.text.markdown import References, parse
from slack_sandbox.workspace import Json

_ALIGN: Final = re.compile(r"text-align:(left|center|right)")
_TASK: Final = re.compile(r"\[([ xX])\] ")
_BLANK: Final[Json] = {"type": "text", "text": "\n\n"}
_BREAK: Final[Json] = {"type": "text", "text": "\n"}


@lru_cache(maxsize=256)
def translate(markdown: str) -> tuple[Json, ...]:
    """Returns the blocks that Slack stores for Markdown, if any. Callers must not change them."""
    return tuple(_Translation(*parse(markdown)).blocks())


def end_last_paragraph(blocks: Sequence[Json]) -> Sequence[Json]:
    """Returns a translation as Slack stores it above another block: an empty line ends its last paragraph."""
    *above, last = blocks
    if last["type"] != "rich_text" or last["elements"][-1]["type"] != "rich_text_section":
        return blocks
    *elements, section = last["elements"]
    return [*above, {**last, "elements": [*elements, {**section, "elements": [*section["elements"], _BLANK]}]}]


@dataclass(slots=True)
class _List:
    style: str
    number: int


@dataclass(slots=True)
class _Item:
    """An open list item. `is_shown` is True once it has an element."""

    is_shown: bool = False


@dataclass
class _Translation:
    tokens: Sequence[Token]
    references: References
    _blocks: list[Json] = field(default_factory=list)
    _elements: list[Json] = field(default_factory=list)
    _lists: list[_List] = field(default_factory=list)
    _items: list[_Item] = field(default_factory=list)
    _quote_depth: int = 0
    _shown_list: _List | None = None
    """The list whose element is the last of `_elements`."""

    def blocks(self) -> list[Json]:
        index = 0
        while index < len(self.tokens):
            index = self._translate_token(index)
        self._end_rich_text()
        return self._blocks

    def _translate_token(self, index: int) -> int:
        """Translates the token at `index`, or the whole block that it opens. Returns the index of the next token."""
        token = self.tokens[index]
        match token.type:
            case "heading_open":
                self._heading(self.tokens[index + 1], int(token.tag.removeprefix("h")))
                return index + 3
            case "table_open":
                return self._table(index)
            case "hr":
                self._begin_block()
                self._blocks.append({"type": "divider"})
            case "fence" | "code_block":
                self._code(token)
            case "inline":
                self._paragraph(inline_elements(token.content, self.references))
            case _:
                self._nest(token)
        return index + 1

    def _nest(self, token: Token) -> None:
        match token.type:
            case "bullet_list_open":
                self._show_empty_item()
                self._lists.append(_List("bullet", 1))
            case "ordered_list_open":
                self._show_empty_item()
                self._lists.append(_List("ordered", int(token.attrs.get("start", 1))))
            case "bullet_list_close" | "ordered_list_close":
                self._lists.pop()
            case "list_item_open":
                self._items.append(_Item())
            case "list_item_close":
                self._show_empty_item()
                self._items.pop()
                self._lists[-1].number += 1
            case "blockquote_open":
                self._quote_depth += 1
            case "blockquote_close":
                self._quote_depth -= 1

    def _show_empty_item(self) -> None:
        if self._items and not self._items[-1].is_shown:
            self._item([])

    def _heading(self, inline: Token, level: int) -> None:
        self._begin_block()
        if text := plain_text(inline.content, self.references):
            title = {"type": "plain_text", "text": text, "emoji": True}
            self._blocks.append({"type": "header", "text": title, "level": level})

    def _paragraph(self, elements: list[Json]) -> None:
        if not elements:
            return
        if not self._items:
            self._append("rich_text_quote" if self._quote_depth else "rich_text_section", elements)
        elif not self._items[-1].is_shown:
            self._item(_with_checkbox(elements))
        elif self._shown_list is self._lists[-1]:
            section = self._elements[-1]["elements"][-1]
            section["elements"] = merge_texts(iter([*section["elements"], {"type": "text", "text": "\n"}, *elements]))
        else:
            self._append("rich_text_section", elements)

    def _append(self, kind: str, elements: list[Json]) -> None:
        """Adds a paragraph. A paragraph after one of the same kind is merged with it."""
        self._shown_list = None
        last: Json = self._elements[-1] if self._elements else {"type": ""}
        if last["type"] == kind:
            last["elements"] = [*last["elements"], _BLANK, *elements]
            return
        self._end_paragraph()
        first = [_BREAK] if last["type"] == "rich_text_list" and kind == "rich_text_section" else []
        self._elements.append({"type": kind, "elements": [*first, *elements]})

    def _end_paragraph(self) -> None:
        """Ends the last paragraph with an empty line, because another element or block follows."""
        if self._elements and self._elements[-1]["type"] == "rich_text_section":
            self._elements[-1]["elements"] = [*self._elements[-1]["elements"], _BLANK]

    def _item(self, elements: list[Json]) -> None:
        self._items[-1].is_shown = True
        current, section = self._lists[-1], {"type": "rich_text_section", "elements": elements}
        if self._shown_list is current:
            self._elements[-1]["elements"].append(section)
            return
        self._end_paragraph()
        attributes: Json = {"style": current.style, "indent": len(self._lists) - 1}
        if self._quote_depth:
            attributes["border"] = 1
        if current.style == "ordered" and current.number > 1:
            attributes["offset"] = current.number - 1
        self._elements.append({"type": "rich_text_list", **attributes, "elements": [section]})
        self._shown_list = current

    def _code(self, token: Token) -> None:
        self._show_empty_item()
        self._shown_list = None
        self._end_paragraph()
        code, language = token.content.removesuffix("\n"), token.info.strip().partition(" ")[0]
        elements = [{"type": "text", "text": code}] if code else []
        element: Json = {"type": "rich_text_preformatted", "elements": elements, "border": int(self._quote_depth > 0)}
        self._elements.append(element | ({"language": language} if language else {}))

    def _table(self, index: int) -> int:
        self._show_empty_item()
        self._begin_block()
        rows, alignments = list[list[Json]](), list[str]()
        while self.tokens[index].type != "table_close":
            token = self.tokens[index]
            if token.type == "tr_open":
                rows.append([])
            elif token.type in ("th_open", "td_open"):
                rows[-1].append(_cell(inline_elements(self.tokens[index + 1].content, self.references)))
                if token.type == "th_open":
                    alignments.append(_alignment(token.attrs))
            index += 1
        table: Json = {"type": "table", "rows": rows}
        if any(alignments):
            table["column_settings"] = [{"align": alignment or "left"} for alignment in alignments]
        self._blocks.append(table)
        return index + 1

    def _begin_block(self) -> None:
        self._end_paragraph()
        self._end_rich_text()

    def _end_rich_text(self) -> None:
        self._shown_list = None
        if self._elements:
            self._blocks.append({"type": "rich_text", "elements": self._elements})
            self._elements = []


def _with_checkbox(elements: list[Json]) -> list[Json]:
    """Returns a task item's elements with a box character instead of `[ ]` or `[x]`."""
    first = elements[0]
    if first["type"] != "text" or "style" in first or not (match := _TASK.match(first["text"])):
        return elements
    box = "☐ " if match[1] == " " else "☑ "
    return [{"type": "text", "text": box + first["text"][len(match[0]) :]}, *elements[1:]]


def _cell(elements: list[Json]) -> Json:
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": elements}]}


def _alignment(attributes: dict[str, Any]) -> str:
    match = _ALIGN.fullmatch(str(attributes.get("style", "")))
    return match[1] if match else ""
