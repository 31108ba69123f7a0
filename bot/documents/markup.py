"""HTML as Markdown: web pages, what mails hold, and what mammoth makes of docx files."""

from collections import Counter
from html.parser import HTMLParser

from bot.documents.document import MAX_REPEATED, Draft

_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_CELLS = ("td", "th")
_BLOCKS = frozenset(
    (
        *("p", "div", "section", "article", "header", "footer", "main", "nav", "aside", "blockquote", "pre", "hr"),
        *("ul", "ol", "li", "dl", "dt", "dd", "figure", "figcaption", "form", "fieldset", "details", "summary"),
        *("table", "caption", "thead", "tbody", "tfoot", "tr", "title", "body", "option", "address"),
        *_HEADINGS,
        *_CELLS,
    )
)
_SKIPPED = frozenset(("script", "style", "template", "noscript", "svg", "iframe"))
_MARKS = {"code": "`", "s": "~~", "del": "~~", "strike": "~~"}
"""Not bold and italic: editors split a word into several runs."""
_LINKS = ("http:", "https:", "mailto:", "tel:")
"""Others lead to a place in the document, or hold data."""


class _Table:
    """A table that is being read."""

    def __init__(self) -> None:
        self.rows: list[list[str]] = []
        self.spans: list[tuple[int, int]] = []
        """How many columns and rows the open cell takes."""
        self._hanging: Counter[int] = Counter()
        """How many further rows a cell above takes, by column."""

    def begin_row(self) -> None:
        if self.rows:
            self._skip_taken(self.rows[-1])
        self.rows.append([])

    def add_cell(self, text: str) -> None:
        columns, rows = self.spans.pop()
        if not self.rows:
            self.begin_row()
        row = self.rows[-1]
        self._skip_taken(row)
        for column in range(len(row), len(row) + columns):
            self._hanging[column] = rows - 1
        row += [text, *[""] * (columns - 1)]

    def _skip_taken(self, row: list[str]) -> None:
        while self._hanging[len(row)] > 0:
            self._hanging[len(row)] -= 1
            row.append("")


class Markup(HTMLParser):
    """Adds the blocks of an HTML text to a draft."""

    def __init__(self, draft: Draft) -> None:
        super().__init__()
        self._draft = draft
        self._text: list[str] = []
        self._lists: list[int | None] = []
        """The numbers of the lists that are open, None for one without numbers."""
        self._lead = ""
        """What stands before the next block: the mark of a heading, list item or quotation."""
        self._tables: list[_Table] = []
        self._links: list[str] = []
        self._skipping = ""
        self._skipped_depth = 0
        self._is_code = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._skipping:
            self._skipped_depth += tag == self._skipping
        elif tag in _SKIPPED:
            self._skipping, self._skipped_depth = tag, 1
        elif tag in _BLOCKS:
            self._begin_block(tag, dict(attrs))
        elif tag == "br":
            self._text.append("\n")
        elif tag == "a":
            href = dict(attrs).get("href") or ""
            self._links.append(href if href.startswith(_LINKS) else "")
            self._text.append("[" if self._links[-1] else "")
        elif tag == "img" and (alt := dict(attrs).get("alt")):
            self._text.append(f"![{alt}]")
        elif tag in _MARKS and not self._is_code:
            self._text.append(_MARKS[tag])

    def handle_endtag(self, tag: str) -> None:
        if self._skipping:
            self._skipped_depth -= tag == self._skipping
            self._skipping = self._skipping if self._skipped_depth else ""
        elif tag in _BLOCKS:
            self._end_block(tag)
        elif tag == "a" and self._links:
            href = self._links.pop()
            self._text.append(f"]({href})" if href else "")
        elif tag in _MARKS and not self._is_code:
            self._text.append(_MARKS[tag])

    def handle_data(self, data: str) -> None:
        if not self._skipping:
            self._text.append(data if self._is_code else data.replace("\n", " "))

    def close(self) -> None:
        super().close()
        self._flush()
        while self._tables:
            self._end_table()

    def _begin_block(self, tag: str, attributes: dict[str, str | None]) -> None:
        if self._tables:
            self._begin_in_table(tag, attributes)
            return
        self._flush()
        if tag == "table":
            self._tables.append(_Table())
        elif tag in ("ul", "ol"):
            self._lists.append(1 if tag == "ol" else None)
        elif tag == "li":
            number = self._lists[-1] if self._lists else None
            if number is not None:
                self._lists[-1] = number + 1
            sign = "-" if number is None else f"{number}."
            self._lead = f"{'  ' * (min(len(self._lists), 20) - 1)}{sign} "
        elif tag in _HEADINGS:
            self._lead = f"{'#' * int(tag[1])} "
        elif tag == "title":
            self._lead = "Title: "
        elif tag == "pre":
            self._is_code = True

    def _begin_in_table(self, tag: str, attributes: dict[str, str | None]) -> None:
        if tag == "table":
            self._tables.append(_Table())
        elif tag == "tr":
            self._end_cell()
            # What stands above the rows of a table, unless the table stands in another one's cell.
            if len(self._tables) == 1:
                self._draft.add(_tidy("".join(self._text)))
                self._text.clear()
            self._tables[-1].begin_row()
        elif tag in _CELLS:
            self._end_cell()
            self._tables[-1].spans.append((_span(attributes, "colspan"), _span(attributes, "rowspan")))
        self._text.append(" ")

    def _end_block(self, tag: str) -> None:
        if self._tables:
            if tag in ("table", "tr", *_CELLS):
                self._end_cell()
            if tag == "table":
                self._end_table()
            self._text.append(" ")
            return
        self._flush()
        if tag in ("ul", "ol") and self._lists:
            self._lists.pop()
        elif tag == "pre":
            self._is_code = False

    def _end_cell(self) -> None:
        table = self._tables[-1]
        if table.spans:
            table.add_cell(_tidy("".join(self._text)))
            self._text.clear()

    def _end_table(self) -> None:
        table = self._tables.pop()
        outside = _tidy("".join(self._text))
        self._text.clear()
        if self._tables:
            # A table within a cell becomes part of the cell.
            inner = " ; ".join(" , ".join(filter(None, row)) for row in table.rows)
            self._text.append(f" {outside} {inner} ")
            return
        self._draft.add(outside)
        self._draft.table(table.rows)

    def _flush(self) -> None:
        if self._tables:
            return
        text = "".join(self._text)
        self._text.clear()
        if not text.strip():
            return
        if self._is_code:
            fence = "````" if "```" in text else "```"
            self._draft.add(f"{fence}\n{text.strip(chr(10))}\n{fence}")
        else:
            self._draft.add(self._lead + _tidy(text), "\n" if self._lists else "\n\n")
        self._lead = ""


def read_html(html: str, draft: Draft) -> None:
    """Adds an HTML text to a draft."""
    markup = Markup(draft)
    markup.feed(html)
    markup.close()


def _span(attributes: dict[str, str | None], name: str) -> int:
    span = attributes.get(name) or ""
    return max(1, min(int(span), MAX_REPEATED)) if span.isdecimal() else 1


def _tidy(text: str) -> str:
    return "\n".join(" ".join(line.split()) for line in text.split("\n")).strip()
