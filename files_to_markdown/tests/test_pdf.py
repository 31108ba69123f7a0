"""PDFs: content other than the text of pages."""

import pytest

from files_to_markdown import formats
from files_to_markdown.document import Document, Format, LeftOut, Part
from files_to_markdown.process import read_document


def pdf(words: str, annotations: str = "", objects: str = "", catalog: str = "") -> bytes:
    """Returns a PDF with one page. PDFium finds the objects of a file without a table of them."""
    stream = f"BT /F1 12 Tf 20 180 Td 14 TL {words} ET"
    return (
        f"%PDF-1.7\n1 0 obj<</Type/Catalog/Pages 2 0 R {catalog}>>endobj\n"
        "2 0 obj<</Type/Pages/Count 1/Kids[3 0 R]>>endobj\n"
        "3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 200]/Contents 4 0 R"
        f"/Resources<</Font<</F1 5 0 R>>>>/Annots[{annotations}]>>endobj\n"
        f"4 0 obj<</Length {len(stream)}>>stream\n{stream}\nendstream endobj\n"
        "5 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj\n"
        f"{objects}\ntrailer<</Root 1 0 R>>\n%%EOF"
    ).encode("latin-1")


_WIDGET = "<</Type/Annot/Subtype/Widget/Rect[0 0 9 9]"
_BOX = f"{_WIDGET}/FT/Btn/AP<</N<</Yes 5 0 R/Off 5 0 R>>>>"
FIELDS = (
    f"10 0 obj{_WIDGET}/FT/Tx/T(Name)/V(Ada Lovelace)>>endobj\n"
    f"11 0 obj{_BOX}/T(Approved)/V/Yes/AS/Yes>>endobj\n"
    f"12 0 obj{_BOX}/T(Rejected)/V/Off/AS/Off>>endobj\n"
    f"13 0 obj{_WIDGET}/FT/Ch/T(Land)/V(UK)/Opt[(UK)(DE)]>>endobj\n"
    f"14 0 obj{_WIDGET}/FT/Tx/T(Empty)>>endobj\n"
)
CHOICES = (
    f"10 0 obj{_WIDGET}/FT/Ch/Ff 131072/T(Land)/V(49)/Opt[[(44)(United Kingdom)][(49)(Germany)]]>>endobj\n"
    f"11 0 obj{_WIDGET}/FT/Ch/Ff 2097152/T(Days)/V[(1)(5)]/I[0 2]"
    "/Opt[[(1)(Monday)][(3)(Tuesday)][(5)(Friday)]]>>endobj\n"
    f"12 0 obj{_WIDGET}/FT/Ch/Ff 393216/T(Other)/V(my own)/Opt[(a)(b)]>>endobj\n"
)
_CHOSEN = "10 0 R 11 0 R 12 0 R"
UNSEEN = (
    f"10 0 obj{_WIDGET}/F 2/FT/Tx/T(Hidden)/V(a)>>endobj\n"
    f"11 0 obj{_WIDGET}/F 32/FT/Tx/T(On paper)/V(b)>>endobj\n"
    f"12 0 obj{_WIDGET}/FT/Tx/Ff 8192/T(PIN)/V(0000)>>endobj\n"
)
_UNSEEN = _CHOSEN
_MARK = "<</Type/Annot/Subtype/{0}/Contents({0})/Rect[0 0 9 9]>>"
_ALL = " ".join(f"{number} 0 R" for number in range(10, 15))
CASES = {
    "fields": (
        pdf("(Form) Tj", _ALL, FIELDS, f"/AcroForm<</Fields[{_ALL}]>>"),
        "Form\n\nName: Ada Lovelace\n☒ Approved\n☐ Rejected\nLand: UK",
        (),
    ),
    "labels of chosen options": (
        pdf("(Form) Tj", _CHOSEN, CHOICES, f"/AcroForm<</Fields[{_CHOSEN}]>>"),
        "Form\n\nLand: Germany\nDays: Monday, Friday\nOther: my own",
        (),
    ),
    "fields that people can't see": (
        pdf("(Form) Tj", _UNSEEN, UNSEEN, f"/AcroForm<</Fields[{_UNSEEN}]>>"),
        "Form\n\nPIN: •••",
        (LeftOut(Part.HIDDEN_TEXT, 2),),
    ),
    "comments on drawn marks": (
        pdf("(Text) Tj", " ".join(_MARK.format(kind) for kind in ("Square", "Circle", "Line", "Polygon", "Popup"))),
        "Text\n\nComment: Square\nComment: Circle\nComment: Line\nComment: Polygon",
        (),
    ),
    "recordings, models and files": (
        pdf(
            "(Text) Tj",
            " ".join(map(_MARK.format, ("Movie", "Sound", "RichMedia", "Screen", "3D", "FileAttachment"))),
        ),
        "Text",
        (LeftOut(Part.RECORDING, 4), LeftOut(Part.MODEL, 1), LeftOut(Part.ATTACHMENT, 1)),
    ),
    "comment": (
        pdf("(Text) Tj", "<</Type/Annot/Subtype/Text/Contents(Why\nso?)/Rect[0 0 9 9]>>"),
        "Text\n\nComment: Why so?",
        (),
    ),
    "marked": (
        pdf("(Text) Tj", "<</Type/Annot/Subtype/Highlight/Contents(Check)/Rect[0 0 9 9]/QuadPoints[0 0 1 0 0 1 1 1]>>"),
        "Text\n\nComment: Check",
        (),
    ),
    "link": (
        pdf("(here) Tj", "<</Type/Annot/Subtype/Link/Rect[0 0 9 9]/A<</S/URI/URI(https://example.com/a)>>>>"),
        "here\n\nLink: https://example.com/a",
        (),
    ),
    "attached file": (
        pdf(
            "(Text) Tj",
            objects="20 0 obj<</Type/Filespec/F(a.xlsx)/UF(a.xlsx)/EF<</F 4 0 R>>>>endobj",
            catalog="/Names<</EmbeddedFiles<</Names[(a.xlsx) 20 0 R]>>>>",
        ),
        "Text",
        (LeftOut(Part.ATTACHMENT, 1, ("a.xlsx",)),),
    ),
    "divided word": (pdf("(The develop-) Tj T* (ment plan) Tj"), "The develop-\nment plan", ()),
    "a page without text": (pdf(""), "", (LeftOut(Part.PAGE, 1, ("1",)),)),
    "signs of a list": (pdf("(\\004 one) Tj T* (\\004 two) Tj"), "\x04 one\n\x04 two", ()),
    "a font that doesn't name its letters": (
        pdf("(\\003\\004\\005\\006 1) Tj", "<</Type/Annot/Subtype/Text/Contents(Why?)/Rect[0 0 9 9]>>"),
        "Comment: Why?",
        (LeftOut(Part.PAGE, 1, ("1",)),),
    ),
}


@pytest.mark.parametrize(("content", "shown", "left_out"), CASES.values(), ids=CASES)
def test_pdf_is_read_with_what_stands_beside_its_text(
    content: bytes, shown: str, left_out: tuple[LeftOut, ...]
) -> None:
    read = formats.read(Format.PDF, content)
    assert (read.text.removeprefix("## Page 1\n\n"), read.left_out) == (shown, left_out)


async def test_forms_are_read_once_files_are_denied() -> None:
    read = await read_document(Format.PDF, CASES["fields"][0])
    assert isinstance(read, Document)
    assert "Name: Ada Lovelace" in read.text
    assert read.pages == 1


async def test_pages_are_counted_also_those_without_text() -> None:
    scan = pdf("", objects="20 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>endobj\n").replace(
        b"/Count 1/Kids[3 0 R]", b"/Count 2/Kids[3 0 R 20 0 R]"
    )
    read = await read_document(Format.PDF, scan)
    assert isinstance(read, Document)
    assert (read.text, read.pages, read.left_out) == ("", 2, (LeftOut(Part.PAGE, 2, ("1", "2")),))


def drawn_from_left(*glyphs: str) -> bytes:
    """Returns a PDF whose font maps each glyph to these letters."""
    lines = "".join(f"<{65 + at:02x}> <{letters.encode('utf-16-be').hex()}>\n" for at, letters in enumerate(glyphs))
    codes = "1 begincodespacerange <00> <ff> endcodespacerange"
    table = f"begincmap\n{codes}\n{len(glyphs)} beginbfchar\n{lines}endbfchar\nendcmap"
    font = (
        "5 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica/ToUnicode 6 0 R>>endobj\n"
        f"6 0 obj<</Length {len(table)}>>stream\n{table}\nendstream endobj"
    )
    return pdf(f"<{''.join(f'{65 + at:02x}' for at in range(len(glyphs)))}> Tj", objects=font)


@pytest.mark.parametrize(
    ("glyphs", "word"),
    [
        (("د", "لا", "ب"), "بلاد"),
        (("د", "\ufefb", "ب"), "بلاد"),
        (("د", "لأ", "ب"), "بلأد"),
        (("ب", "لا"), "لاب"),
        (("د", "ل", "ا", "ب"), "بالد"),
        # PDFium counts a control character, but omits it from the text.
        (("د", "لا", "ب", "\x02"), "بلاد"),
        (("a", "fi", "b"), "afib"),
    ],
)
def test_letters_of_a_ligature_stand_in_their_order(glyphs: tuple[str, ...], word: str) -> None:
    document = formats.read(Format.PDF, drawn_from_left(*glyphs))
    assert document.text.split("\n")[-1] == word
