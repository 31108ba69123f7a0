"""Makes the documents that benchmarks.documents and the tests read: what people share, written by several producers.

    apt-get install --no-install-recommends libreoffice-writer-nogui libreoffice-calc-nogui \
        libreoffice-impress-nogui pandoc
    pip install python-docx python-pptx openpyxl xlsxwriter xlwt odfpy fpdf2
    python -m benchmarks.document_corpus

The files are in the repository, packed together, so that nothing but this command needs the producers. A file is named
`{content}-{producer}.{format}`; `pieces()` returns the paragraphs and cells that are in it. Files named `protected-…`
need a password.
"""

import csv
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from datetime import date
from email.message import EmailMessage
from itertools import count
from pathlib import Path

CORPUS = Path(__file__).parents[1] / "tests" / "documents" / "corpus.tar.xz"
CONTENTS = 4
_WORDS = (
    "The quick report covers revenue, churn & hiring for the third quarter",
    "Größere Änderungen wären früh genug „abzustimmen“, sagte Zoë",
    "Отчёт о продажах за третий квартал готов к проверке",
    "第三季度的销售报告已经准备好 and 日本語のテキストも入る",
)
_ENDS = ("in <all> regions.", "at 5 > 3 sites.", "by A|B tests.", "for Müller & Söhne.", "with 100% care.")


@dataclass(frozen=True)
class Content:
    """What is in the documents with one number: every piece is there once, and none is part of another."""

    number: int

    @property
    def headings(self) -> list[str]:
        return [f"Heading {self.number}{at:02} of the plan" for at in range(4)]

    @property
    def paragraphs(self) -> list[str]:
        words = _WORDS[self.number % len(_WORDS)]
        return [f"Paragraph {self.number}{at:02}: {words} {_ENDS[at % len(_ENDS)]}" for at in range(12)]

    @property
    def items(self) -> list[str]:
        return [f"Item {self.number}{at:02} to do" for at in range(6)]

    @property
    def footnote(self) -> str:
        return f"Footnote {self.number} of the plan"

    @property
    def header(self) -> str:
        return f"Header {self.number} of every page"

    @property
    def footer(self) -> str:
        return f"Footer {self.number} of every page"

    @property
    def inserted(self) -> str:
        return f"Words that somebody inserted {self.number}"

    @property
    def notes(self) -> str:
        return f"Notes {self.number} for the speaker"

    @property
    def rows(self) -> list[list[str]]:
        """A table of texts."""
        names = [f"Column {self.number}{name}" for name in "ABCD"]
        return [names, *([f"cell {self.number}{row:02}{column}" for column in "abcd"] for row in range(8))]

    @property
    def values(self) -> list[list[str | int | float | date | bool]]:
        """A sheet of typed cells."""
        rows: list[list[str | int | float | date | bool]] = [["Name", "Count", "Price", "Since", "Note"]]
        for at in range(12):
            price, since = 1000.25 + at * 3 + self.number * 100, date(2021 + self.number, 1 + at, 11 + at)
            note = f'{_WORDS[self.number % 4][:20]} {at:02}; said "yes", and\nno'
            rows.append([f"Person {self.number}{at:02}", 700_001 + at * 13 + self.number * 1_000, price, since, note])
        return rows

    def markdown(self) -> str:
        """Returns the text for pandoc."""
        escaped = [one.replace("<", "\\<").replace("|", "\\|") for one in self.paragraphs]
        half = len(escaped) // 2
        table = [f"| {' | '.join(row)} |" for row in self.rows]
        table.insert(1, "|---" * 4 + "|")
        parts = [
            f"# {self.headings[0]}",
            *escaped[:half],
            f"## {self.headings[1]}",
            f"Noted.[^1]\n\n[^1]: {self.footnote}",
        ]
        parts += ["\n".join(f"- {item}" for item in self.items), f"## {self.headings[2]}", "\n".join(table)]
        return "\n\n".join([*parts, f"# {self.headings[3]}", *escaped[half:]])

    def slides_markdown(self) -> str:
        """Returns slides for pandoc: a heading, and list or table or notes below it."""
        items = "\n".join(f"- {item}" for item in self.items)
        table = [f"| {' | '.join(row)} |" for row in self.rows]
        table.insert(1, "|---" * 4 + "|")
        notes = f"::: notes\n{self.notes}\n:::"
        texts = [items, "\n".join(table), "\n\n".join(self.paragraphs[:2]).replace("<", "\\<").replace("|", "\\|"), ""]
        texts[0] += f"\n\n{notes}"
        return "\n\n".join(f"## {heading}\n\n{text}" for heading, text in zip(self.headings, texts, strict=True))


_PANDOC = shutil.which("pandoc") or "pandoc"
_SOFFICE = shutil.which("soffice") or "soffice"
_TEXT = ("headings", "paragraphs", "items")
_MADE: dict[str, tuple[str, ...]] = {
    "python-docx.docx": (*_TEXT, "rows", "header", "footer", "inserted"),
    "pandoc.docx": (*_TEXT, "rows", "footnote"),
    "libreoffice.docx": (*_TEXT, "rows", "footnote"),
    "pandoc.odt": (*_TEXT, "rows", "footnote"),
    "libreoffice.odt": (*_TEXT, "rows", "header", "footer", "inserted"),
    "odfpy.odt": (*_TEXT, "rows"),
    "pandoc.rtf": (*_TEXT, "rows", "footnote"),
    "libreoffice.rtf": (*_TEXT, "rows", "header", "footer", "inserted"),
    "pandoc.html": (*_TEXT, "rows", "footnote"),
    "libreoffice.html": (*_TEXT, "rows", "footnote"),
    "libreoffice.pdf": (*_TEXT, "rows", "footnote"),
    "fpdf2.pdf": ("headings", "items", "rows"),
    "openpyxl.xlsx": ("values",),
    "xlsxwriter.xlsx": ("values",),
    "libreoffice.xlsx": ("values",),
    "libreoffice.xls": ("values",),
    "xlwt.xls": ("values",),
    "libreoffice.ods": ("values",),
    "odfpy.ods": ("values",),
    "python.csv": ("values",),
    "libreoffice.csv": ("values",),
    "python-pptx.pptx": ("headings", "items", "rows", "notes"),
    "pandoc.pptx": ("headings", "items", "rows", "notes"),
    "libreoffice.pptx": ("headings", "items", "rows", "notes"),
    "libreoffice.odp": ("headings", "items", "rows", "notes"),
    "python.eml": ("paragraphs",),
    "python-html.eml": (*_TEXT, "rows", "footnote"),
}
"""What each producer's files have of a content."""


def pieces(file: str) -> list[str]:
    """Returns the paragraphs and cells of a file by its name, as texts."""
    number, _, made_by = file.partition("-")
    content = Content(int(number))
    found: list[str] = []
    for name in _MADE[made_by]:
        part = getattr(content, name)
        if isinstance(part, str):
            found.append(part)
        elif name in ("rows", "values"):
            found += [str(cell) for row in part for cell in row]
        else:
            found += part
    return found


def corpus() -> dict[str, bytes]:
    """Returns the files by name."""
    with tarfile.open(CORPUS) as packed:
        members = [(member.name, packed.extractfile(member)) for member in packed]
        return {name: file.read() for name, file in members if file is not None}


def make() -> None:
    """Makes all files again and packs them."""
    with tempfile.TemporaryDirectory() as made, tarfile.open(CORPUS, "w:xz", preset=9) as packed:
        _make_files(Path(made))
        for file in sorted(Path(made).iterdir()):
            packed.add(file, file.name, filter=_anonymous)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Drops whose file it was, and when."""
    return member.replace(mtime=0, uid=0, gid=0, uname="", gname="", mode=0o644, deep=False)


def _make_files(folder: Path) -> None:
    for content in map(Content, range(CONTENTS)):
        _make_texts(content, folder)
        _make_sheets(content, folder)
        _make_slides(content, folder)
        _make_mails(content, folder)
        _make_pdf(content, folder / f"{content.number}-fpdf2.pdf")
    _make_pdf(Content(0), folder / "protected-fpdf2.pdf", "secret")
    _convert(folder)


def _make_texts(content: Content, folder: Path) -> None:
    for kind in ("docx", "odt", "rtf", "html"):
        _pandoc(content.markdown(), folder / f"{content.number}-pandoc.{kind}")
    _python_docx(content, folder / f"{content.number}-python-docx.docx")
    _odfpy_text(content, folder / f"{content.number}-odfpy.odt")


def _pandoc(markdown: str, file: Path) -> None:
    subprocess.run(
        [_PANDOC, "--standalone", "--from=markdown-smart", "--metadata=title: ", "--output", file],
        input=markdown.encode(),
        check=True,
        stderr=subprocess.DEVNULL,
    )


def _python_docx(content: Content, file: Path) -> None:
    import docx
    from docx.oxml import parse_xml
    from docx.oxml.ns import nsdecls

    document = docx.Document()
    document.sections[0].header.paragraphs[0].text = content.header
    document.sections[0].footer.paragraphs[0].text = content.footer
    for at, heading in enumerate(content.headings):
        document.add_heading(heading, 1 + at % 2)
        for paragraph in content.paragraphs[at * 3 : at * 3 + 3]:
            # Word splits a paragraph into runs wherever its format or its spelling changed.
            written = document.add_paragraph()
            for run, piece in enumerate(paragraph.split(" ")):
                written.add_run(f"{' ' if run else ''}{piece}").bold = run == 2
    for item in content.items:
        document.add_paragraph(item, style="List Bullet" if content.number % 2 else "List Number")
    written = document.add_paragraph("Changed: ")
    insertion = f'<w:ins {nsdecls("w")} w:id="9" w:author="Ada"><w:r><w:t>{content.inserted}</w:t></w:r></w:ins>'
    written._p.append(parse_xml(insertion))
    document.add_comment(written.runs, "A comment", author="Grace", initials="G")
    table = document.add_table(0, 4, style="Table Grid")
    for row in content.rows:
        for cell, text in zip(table.add_row().cells, row, strict=True):
            cell.text = text
    document.save(str(file))


def _odfpy_text(content: Content, file: Path) -> None:
    from odf import table, text
    from odf.opendocument import OpenDocumentText

    document = OpenDocumentText()
    for at, heading in enumerate(content.headings):
        document.text.addElement(text.H(outlinelevel=1 + at % 2, text=heading))
        for paragraph in content.paragraphs[at * 3 : at * 3 + 3]:
            document.text.addElement(text.P(text=paragraph))
    listed = text.List()
    for item in content.items:
        entry = text.ListItem()
        entry.addElement(text.P(text=item))
        listed.addElement(entry)
    document.text.addElement(listed)
    written = table.Table(name="Table")
    for row in content.rows:
        line = table.TableRow()
        for cell in row:
            box = table.TableCell()
            box.addElement(text.P(text=cell))
            line.addElement(box)
        written.addElement(line)
    document.text.addElement(written)
    document.save(str(file))


def _make_sheets(content: Content, folder: Path) -> None:
    _openpyxl(content, folder / f"{content.number}-openpyxl.xlsx")
    _xlsxwriter(content, folder / f"{content.number}-xlsxwriter.xlsx")
    _xlwt(content, folder / f"{content.number}-xlwt.xls")
    _odfpy_sheet(content, folder / f"{content.number}-odfpy.ods")
    encoding = ("utf-8", "utf-16")[content.number % 2]
    with (folder / f"{content.number}-python.csv").open("w", newline="", encoding=encoding) as file:
        csv.writer(file, delimiter=",;\t|"[content.number]).writerows(content.values)


def _openpyxl(content: Content, file: Path) -> None:
    from openpyxl import Workbook
    from openpyxl.comments import Comment

    book = Workbook()
    sheet = book.active
    sheet.title = "Data & more"
    for row in content.values:
        sheet.append(row)
    sheet["A2"].comment = Comment("A comment", "Grace")
    sheet["H30"] = "=SUM(B2:B9)"
    sheet.merge_cells("G1:H1")
    hidden = book.create_sheet("Prices")
    hidden["A1"] = "hidden"
    hidden.sheet_state = "hidden"
    book.save(file)


def _xlsxwriter(content: Content, file: Path) -> None:
    import xlsxwriter

    # Half of them have their texts in the cells instead of a table of strings.
    options = {"constant_memory": content.number % 2 == 1, "default_date_format": "dd.mm.yyyy"}
    with xlsxwriter.Workbook(str(file), options) as book:
        first, second = book.add_worksheet("First"), book.add_worksheet("Second")
        middle = len(content.values) // 2
        for sheet, rows in ((first, content.values[:middle]), (second, content.values[middle:])):
            for at, row in enumerate(rows):
                sheet.write_row(at + 3, 2, row)
        first.write_formula(20, 0, "=1+1", None, 2)


def _xlwt(content: Content, file: Path) -> None:
    import xlwt

    book = xlwt.Workbook(encoding="utf-8")
    sheet = book.add_sheet("Data")
    is_date = xlwt.easyxf(num_format_str="YYYY-MM-DD")
    for row, cells in enumerate(content.values):
        for column, cell in enumerate(cells):
            sheet.write(row, column, cell, *([is_date] if isinstance(cell, date) else []))
    book.save(str(file))


def _odfpy_sheet(content: Content, file: Path) -> None:
    from odf import table, text
    from odf.opendocument import OpenDocumentSpreadsheet

    document = OpenDocumentSpreadsheet()
    sheet = table.Table(name="Data")
    for row in content.values:
        line = table.TableRow()
        for cell in row:
            if isinstance(cell, date):
                box = table.TableCell(valuetype="date", datevalue=cell.isoformat())
            elif isinstance(cell, str):
                box = table.TableCell(valuetype="string")
            else:
                box = table.TableCell(valuetype="float", value=cell)
            for paragraph in str(cell).split("\n"):
                box.addElement(text.P(text=paragraph))
            line.addElement(box)
        sheet.addElement(line)
    document.spreadsheet.addElement(sheet)
    document.save(str(file))


def _make_slides(content: Content, folder: Path) -> None:
    _pandoc(content.slides_markdown(), folder / f"{content.number}-pandoc.pptx")
    from pptx import Presentation
    from pptx.util import Inches

    show = Presentation()
    for at, heading in enumerate(content.headings):
        slide = show.slides.add_slide(show.slide_layouts[1 if at == 0 else 5])
        slide.shapes.title.text = heading
        if at == 0:
            slide.placeholders[1].text = "\n".join(content.items)
            slide.notes_slide.notes_text_frame.text = content.notes
        elif at == 1:
            place = Inches(1), Inches(2), Inches(8), Inches(3)
            table = slide.shapes.add_table(len(content.rows), 4, *place).table
            for row, column in ((row, column) for row in range(len(content.rows)) for column in range(4)):
                table.cell(row, column).text = content.rows[row][column]
    show.save(str(folder / f"{content.number}-python-pptx.pptx"))


def _make_mails(content: Content, folder: Path) -> None:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = (
        "Zoë <zoe@example.com>",
        "ada@example.com",
        f"Plan {content.number} für alle",
    )
    mail.set_content("\n\n".join(content.paragraphs), cte=("quoted-printable", "base64")[content.number % 2])
    if content.number:
        mail.add_alternative("<p>Another form</p>", subtype="html")
        mail.add_attachment(b"\0", maintype="application", subtype="zip", filename="all.zip")
    (folder / f"{content.number}-python.eml").write_bytes(bytes(mail))
    mail = EmailMessage()
    mail["From"], mail["Subject"] = "ada@example.com", "As a page"
    mail.set_content((folder / f"{content.number}-pandoc.html").read_text(), subtype="html")
    (folder / f"{content.number}-python-html.eml").write_bytes(bytes(mail))


def _make_pdf(content: Content, file: Path, password: str = "") -> None:
    from fpdf import FPDF

    pdf = FPDF()
    if password:
        pdf.set_encryption(owner_password=password, user_password=password)
    pdf.set_font("helvetica", size=11)
    for text in (*content.headings, *content.items):
        pdf.add_page()
        pdf.cell(text=text)
    with pdf.table() as table:
        for row in content.rows:
            table.row(row)
    pdf.output(str(file))


_CONVERTED = {
    "pandoc.odt": ("docx", "html", "pdf"),
    "python-docx.docx": ("odt", "rtf"),
    "openpyxl.xlsx": ("ods", "xls", "csv"),
    "xlsxwriter.xlsx": ("xlsx",),
    "python-pptx.pptx": ("odp", "pptx"),
}
"""What LibreOffice makes of others' files."""
_PDFS = 2
"""How many contents become PDFs, which hold their fonts."""
_FILTERS = {"csv": "csv:Text - txt - csv (StarCalc):59,34,76,1", "html": "html:XHTML Writer File"}


def _convert(folder: Path) -> None:
    order = count()
    for source, kinds in _CONVERTED.items():
        for kind in kinds:
            contents = range(_PDFS if kind == "pdf" else CONTENTS)
            files = [folder / f"{number}-{source}" for number in contents]
            with tempfile.TemporaryDirectory() as out:
                profile = f"-env:UserInstallation=file://{out}/profile{next(order)}"
                target = ["--convert-to", _FILTERS.get(kind, kind), "--outdir", out]
                subprocess.run(
                    [_SOFFICE, profile, "--headless", *target, *files], check=True, stdout=subprocess.DEVNULL
                )
                for number, file in zip(contents, files, strict=True):
                    made = Path(out) / f"{file.stem}.{kind}"
                    (folder / f"{number}-libreoffice.{kind}").write_bytes(made.read_bytes())


if __name__ == "__main__":
    make()
