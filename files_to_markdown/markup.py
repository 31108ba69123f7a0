"""Converts HTML to Markdown: web pages, mail bodies, and mammoth's output for docx files."""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from html.parser import HTMLParser

from files_to_markdown.document import MAX_REPEATED, Draft, Part, code_block
from files_to_markdown.hiding import StyleSheets
from files_to_markdown.numerals import MAX_NUMBER, letters, roman

_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_CELLS = ("td", "th")
_LED = frozenset((*_HEADINGS, "title", "li"))
"""Blocks that begin with a mark, such as # or a hyphen."""
_BLOCKS = frozenset(
    (
        *("p", "div", "section", "article", "header", "footer", "main", "nav", "aside", "blockquote", "pre", "hr"),
        *("ul", "ol", "li", "dl", "dt", "dd", "figure", "figcaption", "form", "fieldset", "details", "summary"),
        *("table", "caption", "thead", "tbody", "tfoot", "tr", "title", "body", "address"),
        *_HEADINGS,
        *_CELLS,
    )
)
_SKIPPED = frozenset(("script", "style", "template", "noscript", "noframes", "svg", "iframe", "datalist"))
_VOID = frozenset(
    ("area", "base", "br", "col", "embed", "frame", "hr", "img", "input", "link", "meta", "source", "track", "wbr")
)
_MAX_DEPTH = 500
_ENDED_BY_NEXT = {
    "p": _BLOCKS - {"caption", "tr", "td", "th"},
    **dict.fromkeys(("dt", "dd"), frozenset(("dt", "dd"))),
    **dict.fromkeys(("td", "th"), frozenset(("td", "th", "tr"))),
    **{tag: frozenset((tag,)) for tag in ("li", "tr", "option")},
}
"""Elements whose end tag is optional, and the start tags that end them."""
_NAMED = {
    **dict.fromkeys(("audio", "video"), Part.RECORDING),
    **dict.fromkeys(("embed", "object", "frame"), Part.ATTACHMENT),
    "math": Part.EQUATION,
}
"""Elements to report as left out. The letters and digits of an equation are still read, without their layout."""
_MARKS = {"code": "`", "q": '"', "s": "~~", "del": "~~", "strike": "~~"}
"""Marks for inline elements. There are none for bold and italic, because editors split words into several runs."""
_LONG_END = re.compile(r"</(script|style)[\s/][^<>]{0,200}>", re.IGNORECASE)
_LINK = re.compile(r"(?!javascript:|data:|about:|blob:|cid:)[a-z][a-z0-9+.-]{1,20}:", re.IGNORECASE)
"""Matches URLs of links to show. Other links point to places in the document or contain data."""
_RAISED = {"sup": "^", "sub": "_"}
_STRUCK = re.compile(r"text-decoration(?:-line)?\s*:[^;]{0,60}line-through", re.IGNORECASE)
_SHIFTED = re.compile(r"vertical-align\s*:\s*(su[pb])", re.IGNORECASE)
_SIMPLE = re.compile(r"[\w.,+*\u2212-]+")
_BETWEEN_STRUCK = re.compile(r"~~([ \t]*)~~")
_LINE = re.compile("^", re.MULTILINE)
_MAX_QUOTATIONS = 10
"""The deepest quotation level that gets its own mark. The marks of deeper levels would be longer than their text."""
_SPACES = re.compile(r"[^\S\t]+")
_TICKED = {"checkbox": "☐☒", "radio": "○◉", "switch": "☐☒"}
_UNSEEN = ("hidden", "password", "file")
_NUMBERS: Mapping[str, Callable[[int], str | None]] = {
    "a": lambda number: letters(number, counts_on=True),
    "A": lambda number: (letters(number, counts_on=True) or "").upper(),
    "i": roman,
    "I": lambda number: (roman(number) or "").upper(),
}
"""Number formats by a list's `type` attribute."""


_FORMULA_LINK = re.compile(r'HYPERLINK\(\s{0,9}"([^"]+)"', re.IGNORECASE)
_MAX_FORMULA_LEAD_CHARS = 3_000


def link(words: str, url: str) -> str:
    """Returns a Markdown link, or only the words if the destination is within the document."""
    return f"[{words}]({url})" if _LINK.match(url) and words.strip() else words


def link_to_formula_url(words: str, formula: str) -> str:
    found = _FORMULA_LINK.search(formula, 0, _MAX_FORMULA_LEAD_CHARS)
    return link(words, found[1]) if found else words


def format_script(before: str, text: str, sign: str) -> str:
    """Returns a superscript or subscript as text. `before`: the preceding text. `sign`: ^ or _. Footnote marks, which
    are in brackets or stand alone, don't count as superscripts."""
    is_joined = before[-1:].isalnum() or before[-1:] in (")", "]", "}", "'", '"', "’", "”")
    if not is_joined or not text.strip() or text.lstrip().startswith(("[", "^", "_")):
        return text
    return f"{sign}{text}" if _SIMPLE.fullmatch(text) else f"{sign}({text.strip()})"


def strike_out(text: str) -> str:
    words = text.strip()
    return text.replace(words, f"~~{words}~~", 1) if words else text


def merge_strikethrough(text: str) -> str:
    """Merges adjacent runs of strikethrough, because programs split text arbitrarily."""
    return _BETWEEN_STRUCK.sub(r"\1", text)


class _Table:
    def __init__(self) -> None:
        self.rows: list[list[str]] = []
        self.spans: list[tuple[int, int]] = []
        self._row_spans: Counter[int] = Counter()
        """By column: the number of further rows that a cell above spans."""

    def begin_row(self) -> None:
        if self.rows:
            self._skip_spanned_columns(self.rows[-1])
        self.rows.append([])

    def add_cell(self, text: str) -> None:
        columns, rows = self.spans.pop()
        if not self.rows:
            self.begin_row()
        row = self.rows[-1]
        self._skip_spanned_columns(row)
        for column in range(len(row), len(row) + columns):
            self._row_spans[column] = rows - 1
        row += [text, *[""] * (columns - 1)]

    def _skip_spanned_columns(self, row: list[str]) -> None:
        while self._row_spans[len(row)] > 0:
            self._row_spans[len(row)] -= 1
            row.append("")


@dataclass(slots=True)
class _List:
    number: int | None = None
    """The next item's number, or None if it is unknown or the items don't have numbers."""
    step: int = 1
    type: str = ""

    def next_marker(self, value: str | None) -> str:
        if self.number is None:
            return "-"
        self.number = _parse_number(value, self.number)
        sign = _NUMBERS.get(self.type, str)(self.number)
        self.number += self.step
        return f"{sign or self.number - self.step}."


class _Visibility(IntEnum):
    """The extent to which people can see an element."""

    NOTHING = 0
    NO_LETTERS = 1
    """The font size is zero, unless a nested element sets another one. Mails do this around columns."""
    ALL = 2


@dataclass(slots=True)
class _Choice:
    shows_all: bool
    options: list[list[str]] = field(default_factory=list)
    chosen: list[bool] = field(default_factory=list)

    def text(self) -> str:
        options = [" ".join("".join(pieces).split()) for pieces in self.options]
        if self.shows_all:
            boxes = [_TICKED["checkbox"][is_chosen] for is_chosen in self.chosen]
            return " ".join(f"{box} {option}" for box, option in zip(boxes, options, strict=True))
        # The last selected one, or the first if none is selected.
        at = next((at for at in reversed(range(len(options))) if self.chosen[at]), 0)
        return options[at] if options else ""


class Markup(HTMLParser):
    """Adds the blocks of an HTML text to a draft. `labeled`: whether unordered items already have a bullet and tabs
    separate columns, as in mammoth's output."""

    def __init__(self, draft: Draft, *, labeled: bool = False) -> None:
        super().__init__()
        self._draft = draft
        self._labeled = labeled
        self._text: list[str] = []
        self._lists: list[_List] = []
        self._prefix = ""
        """The mark of a heading, list item or quotation to put before the next block."""
        self._tables: list[_Table] = []
        self._links: list[str] = []
        self._skipping = ""
        self._skipped_depth = 0
        self._is_code = False
        self._quotations = 0
        self._script: list[tuple[str, int]] = []
        """The open superscripts and subscripts, and the positions in the text where they start."""
        self._spans: list[tuple[bool, bool]] = []
        """For each open span: whether its style raises or lowers it, and whether its style strikes it out."""
        self._sheets = StyleSheets()
        self._is_sheet = False
        self._hidden_elements: list[str] = []
        """The innermost invisible element, and all open elements within it."""
        self._visibilities: list[_Visibility] = []
        """The visibility of each element in `_hidden_elements`."""
        self._open_elements = Counter[str]()
        """The open visible elements, by tag."""
        self._is_reported = False
        """Whether the hidden element or drawing has been reported as left out. Elements without words aren't
        reported."""
        self._choice: _Choice | None = None
        self._has_parentheses = False
        """Whether ruby readings already have parentheses in the text."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._skipping:
            self._skipped_depth += tag == self._skipping
        elif tag in _SKIPPED:
            self._skipping, self._skipped_depth, self._is_reported = tag, 1, False
            self._draft.record_left_out(Part.ATTACHMENT, count=tag == "iframe" and self._shows_page(dict(attrs)))
            self._is_sheet = tag == "style" and dict(attrs).get("media") in (None, "", "all", "screen")
        elif self._is_hidden(tag, dict(attrs)):
            pass
        elif self._choice and tag in ("option", "optgroup", "hr"):
            self._begin_option(self._choice, dict(attrs))
        elif tag in _BLOCKS:
            self._end_choice()
            self._begin_block(tag, dict(attrs))
            self._add_checkbox(dict(attrs))
        else:
            self._begin_inline(tag, dict(attrs))

    def _shows_page(self, attributes: Mapping[str, str | None]) -> bool:
        return not (
            self._is_no_more_visible_than(_Visibility.NOTHING)
            or _is_dot(attributes)
            or self._sheets.hide("iframe", attributes)
        )

    def _is_no_more_visible_than(self, visibility: _Visibility) -> bool:
        """Returns whether the innermost open element is no more visible than `visibility`."""
        return bool(self._visibilities) and self._visibilities[-1] <= visibility

    def _is_hidden(self, tag: str, attributes: Mapping[str, str | None]) -> bool:
        while self._hidden_elements and tag in _ENDED_BY_NEXT.get(self._hidden_elements[-1], ()):
            self._close_last()
        seen = self._visibility_of(tag, attributes)
        if not self._hidden_elements:
            if seen is _Visibility.ALL:
                self._open_elements[tag] += tag not in _VOID
                return False
            self._is_reported = False
        if tag not in _VOID and len(self._hidden_elements) < _MAX_DEPTH:
            self._hidden_elements.append(tag)
            self._visibilities.append(seen)
        return seen is _Visibility.NOTHING

    def _visibility_of(self, tag: str, attributes: Mapping[str, str | None]) -> _Visibility:
        if self._is_no_more_visible_than(_Visibility.NOTHING):
            return _Visibility.NOTHING
        if tag not in ("html", "body", "input") and self._sheets.hide(tag, attributes):
            return _Visibility.NOTHING
        if (own := self._sheets.has_visible_letters(tag, attributes)) is not None:
            return _Visibility.ALL if own else _Visibility.NO_LETTERS
        return self._visibilities[-1] if self._visibilities else _Visibility.ALL

    def _close_last(self) -> _Visibility:
        self._hidden_elements.pop()
        return self._visibilities.pop()

    def handle_endtag(self, tag: str) -> None:
        if self._skipping:
            self._skipped_depth -= tag == self._skipping
            self._skipping = self._skipping if self._skipped_depth else ""
            return
        if tag in self._hidden_elements:
            while self._hidden_elements[-1] != tag:
                self._close_last()
            if self._close_last() is not _Visibility.NOTHING:
                self._end(tag)
            return
        # The end of an outer element also ends a hidden one.
        if not self._hidden_elements or self._open_elements[tag] > 0:
            self._hidden_elements.clear()
            self._visibilities.clear()
            self._open_elements[tag] -= self._open_elements[tag] > 0
            self._end(tag)

    def _end(self, tag: str) -> None:
        if tag == "select":
            self._end_choice()
        elif tag in _BLOCKS:
            self._end_block(tag)
        elif tag == "a" and self._links:
            href = self._links.pop()
            self._append_text(f"]({href})" if href else "")
        elif tag in _MARKS and not self._is_code:
            self._append_text(_MARKS[tag])
        elif tag in _RAISED:
            self._end_script()
        elif tag == "span" and self._spans:
            is_raised, is_struck = self._spans.pop()
            self._append_text("~~" if is_struck else "")
            if is_raised:
                self._end_script()
        elif tag == "rt" and not self._has_parentheses:
            self._append_text(")")

    def handle_data(self, data: str) -> None:
        if self._skipping == "svg" and data.strip() and not self._is_reported:
            self._is_reported = True
            self._draft.record_left_out(Part.PICTURE)
        if self._is_sheet and self._skipping:
            self._sheets.add(data)
        is_unseen = self._is_no_more_visible_than(_Visibility.NO_LETTERS)
        if is_unseen and not self._skipping and data.strip() and not self._is_reported:
            self._is_reported = True
            self._draft.record_left_out(Part.HIDDEN_TEXT)
        if self._skipping or is_unseen:
            return
        data = data.replace("\u00ad", "")
        if self._choice:
            if self._choice.options:
                self._choice.options[-1].append(data)
        else:
            self._append_text(data if self._is_code else data.replace("\n", " "))

    def close(self) -> None:
        super().close()
        self._end_choice()
        self._flush()
        while self._tables:
            self._end_table()

    def _append_text(self, text: str) -> None:
        if text:
            self._text.append(text)

    def _begin_inline(self, tag: str, attributes: Mapping[str, str | None]) -> None:
        if tag == "br":
            self._append_text("\n")
        elif tag == "a":
            href = attributes.get("href") or ""
            self._links.append(href if _LINK.match(href) else "")
            self._append_text("[" if self._links[-1] else "")
        elif tag == "img":
            self._add_picture(attributes)
        elif tag in _NAMED:
            is_film = (attributes.get("type") or "").startswith(("audio/", "video/"))
            self._draft.record_left_out(Part.RECORDING if is_film else _NAMED[tag])
        elif tag in ("input", "select"):
            self._begin_control(tag, attributes)
        elif tag in _MARKS and not self._is_code:
            self._append_text(_MARKS[tag])
        elif tag in (*_RAISED, "span"):
            self._begin_script(tag, attributes)
        elif tag in ("ruby", "rp"):
            self._has_parentheses = tag == "rp"
        elif tag == "rt" and not self._has_parentheses:
            self._append_text("(")
        self._add_checkbox(attributes)

    def _begin_control(self, tag: str, attributes: Mapping[str, str | None]) -> None:
        if tag == "input":
            self._add_input(attributes)
            return
        self._end_choice()
        size = attributes.get("size") or "1"
        self._choice = _Choice("multiple" in attributes or size not in ("", "0", "1"))

    def _begin_script(self, tag: str, attributes: Mapping[str, str | None]) -> None:
        sign: str | None = tag
        struck = False
        if tag == "span":
            style = attributes.get("style") or ""
            shifted, struck = _SHIFTED.search(style), not self._is_code and _STRUCK.search(style) is not None
            sign = shifted[1].lower() if shifted else None
            self._spans.append((shifted is not None, struck))
        if sign:
            self._script.append((sign, len(self._text)))
        self._append_text("~~" if struck else "")

    def _add_picture(self, attributes: Mapping[str, str | None]) -> None:
        # A one-pixel image only tracks who reads a mail.
        if not _is_dot(attributes):
            self._draft.record_left_out(Part.PICTURE)
        if alt := " ".join((attributes.get("alt") or "").split()):
            self._append_text(f"![{alt}]")

    def _add_input(self, attributes: Mapping[str, str | None]) -> None:
        kind = (attributes.get("type") or "text").lower()
        if kind in _TICKED:
            self._append_text(f"{_TICKED[kind]['checked' in attributes]} ")
        elif kind not in _UNSEEN:
            value = attributes.get("alt" if kind == "image" else "value") or ""
            self._append_text(f" {' '.join(value.split())} " if value else "")

    def _add_checkbox(self, attributes: Mapping[str, str | None]) -> None:
        """Adds a checkbox if scripts turn the element into one."""
        role, state = attributes.get("role") or "", attributes.get("aria-checked")
        if role in _TICKED and state:
            self._append_text(f"{_TICKED[role][state == 'true']} ")

    def _begin_option(self, choice: _Choice, attributes: Mapping[str, str | None]) -> None:
        choice.options.append([attributes.get("label") or ""] if "label" in attributes else [])
        choice.chosen.append("selected" in attributes)

    def _end_choice(self) -> None:
        if self._choice:
            text, self._choice = self._choice.text(), None
            self._append_text(f" {text} ")

    def _end_script(self) -> None:
        if not self._script:
            return
        tag, at = self._script.pop()
        # For nested ones, the outer one is enough.
        if not self._script and len(self._text) > at:
            text = "".join(self._text[at:])
            del self._text[at:]
            self._append_text(format_script(self._text[-1] if self._text else "", text, _RAISED[tag]))

    def _begin_block(self, tag: str, attributes: Mapping[str, str | None]) -> None:
        if self._tables:
            self._begin_in_table(tag, attributes)
            return
        self._flush()
        if tag == "table":
            self._tables.append(_Table())
        elif tag in ("ul", "ol"):
            self._lists.append(_new_list(tag, attributes))
        elif tag == "li":
            self._prefix = "  " * (min(len(self._lists), 20) - 1) + self._list_marker(attributes)
        elif tag in _HEADINGS:
            self._prefix = f"{'#' * int(tag[1])} "
        elif tag == "title":
            self._prefix = "Title: "
        elif tag == "pre":
            self._is_code = True
        self._quotations += tag == "blockquote"

    def _list_marker(self, attributes: Mapping[str, str | None]) -> str:
        of = self._lists[-1] if self._lists else _List()
        return "" if self._labeled and of.number is None else f"{of.next_marker(attributes.get('value'))} "

    def _begin_in_table(self, tag: str, attributes: Mapping[str, str | None]) -> None:
        self._append_text("\n")
        if tag == "table":
            self._tables.append(_Table())
        elif tag == "tr":
            self._end_cell()
            # The text above a table's rows, unless the table is in a cell of another.
            if len(self._tables) == 1:
                self._draft.add(_non_empty_lines("".join(self._text), "\n"))
                self._clear()
            self._tables[-1].begin_row()
        elif tag in _CELLS:
            self._end_cell()
            self._tables[-1].spans.append((_span(attributes, "colspan"), _span(attributes, "rowspan")))
        elif tag in ("ul", "ol"):
            self._lists.append(_new_list(tag, attributes))
        elif tag == "li":
            self._append_text(self._list_marker(attributes))

    def _end_block(self, tag: str) -> None:
        if not self._tables:
            self._flush()
        elif tag in ("table", "tr", *_CELLS):
            self._end_cell()
            if tag == "table":
                self._end_table()
        if self._tables:
            self._append_text("\n")
        elif tag == "blockquote":
            self._quotations = max(0, self._quotations - 1)
        if tag in ("ul", "ol") and self._lists:
            self._lists.pop()
        elif tag == "pre":
            self._is_code = False
        if tag in _LED:
            # An empty heading would pass its mark to the next block.
            self._prefix = ""

    def _end_cell(self) -> None:
        table = self._tables[-1]
        if table.spans:
            table.add_cell(_non_empty_lines("".join(self._text), "<br>", keeps_tabs=self._labeled))
            self._clear()

    def _end_table(self) -> None:
        table = self._tables.pop()
        outside = _non_empty_lines("".join(self._text), " " if self._tables else "\n")
        self._clear()
        if self._tables:
            # A table within a cell becomes part of the cell.
            inner = " ; ".join(" , ".join(filter(None, row)) for row in table.rows)
            self._append_text(f"{outside} {inner}")
            return
        self._draft.add(outside)
        self._draft.add_table(table.rows)

    def _clear(self) -> None:
        self._text.clear()
        self._script.clear()

    def _flush(self) -> None:
        if self._tables:
            return
        text = "".join(self._text)
        self._clear()
        if not text.strip():
            return
        if self._is_code:
            text = code_block(text)
        else:
            text = _tidy(text, keeps_tabs=self._labeled)
            text = self._prefix + (text.lstrip() if self._prefix else text)
        if self._quotations:
            text = _LINE.sub("> " * min(self._quotations, _MAX_QUOTATIONS), text)
        self._draft.add(text, "\n" if self._lists and not self._is_code else "\n\n")
        self._prefix = ""


def read_html(html: str, draft: Draft, *, labeled: bool = False) -> None:
    """Adds an HTML text to a draft. `labeled`: see Markup."""
    markup = Markup(draft, labeled=labeled)
    # Unlike browsers, Python's parser doesn't end a script at an end tag with an extra word, and would skip the rest.
    markup.feed(_LONG_END.sub(r"</\1>", html))
    markup.close()


def _new_list(tag: str, attributes: Mapping[str, str | None]) -> _List:
    is_reversed = "reversed" in attributes
    if tag == "ul" or (is_reversed and not attributes.get("start")):
        return _List()
    return _List(_parse_number(attributes.get("start"), 1), -1 if is_reversed else 1, attributes.get("type") or "")


def _parse_number(text: str | None, default: int) -> int:
    is_number = text is not None and re.fullmatch(r"\s*-?[0-9]{1,7}\s*", text)
    return max(-MAX_NUMBER, min(int(text or ""), MAX_NUMBER)) if is_number else default


def _is_dot(attributes: Mapping[str, str | None]) -> bool:
    return bool({attributes.get("width"), attributes.get("height")} & {"0", "1", "0px", "1px"})


def _span(attributes: Mapping[str, str | None], name: str) -> int:
    span = attributes.get(name) or ""
    return max(1, min(int(span), MAX_REPEATED)) if span.isdecimal() else 1


def _tidy(text: str, *, keeps_tabs: bool = False) -> str:
    if keeps_tabs:
        return "\n".join(_SPACES.sub(" ", line).strip(" ").rstrip() for line in text.split("\n")).strip("\n")
    return "\n".join(" ".join(line.split()) for line in text.split("\n")).strip()


def _non_empty_lines(text: str, separator: str, *, keeps_tabs: bool = False) -> str:
    return separator.join(filter(None, _tidy(text, keeps_tabs=keeps_tabs).split("\n")))
