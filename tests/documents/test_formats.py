"""How single formats become Markdown: what the producers of the corpus don't write."""

import pytest

from benchmarks.hostile_documents import docx, odf, pptx, xlsx
from bot.core.documents import Document, Kind, LeftOut, Part, Refusal
from bot.documents import formats
from bot.documents.draft import Unreadable


def text(kind: Kind, content: bytes) -> str:
    return formats.read(kind, content).text


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ("name;sum\nAda;1,5\nGrace;2,5\n", "| name | sum |\n|---|---|\n| Ada | 1,5 |\n| Grace | 2,5 |"),
        ("a\tb, c\nd\te, f\n", "| a | b, c |\n|---|---|\n| d | e, f |"),
        ('"a;b","c"\n"d","e ""f"""\n', '| a;b | c |\n|---|---|\n| d | e "f" |'),
        ("sep=|\na|b;c\n", "| a | b;c |\n|---|---|"),
        ("one\n\ntwo\n", "| one |\n|---|\n| two |"),
        ('a,"two\nlines",\nb,"x | y",,\n', "| a | two lines |\n|---|---|\n| b | x \\| y |"),
        ('a,b\n"c,d\ne,f\n', "| a | b |\n|---|---|\n| c,d e,f |"),
        ("", ""),
    ],
    ids=["semicolons", "tabs", "quoted", "said", "one column", "lines and bars", "open quote", "empty"],
)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_dialect_of_csv_is_guessed(content: str, rows: str, encoding: str) -> None:
    assert text(Kind.CSV, content.encode(encoding)) == rows


PAGE = """<!DOCTYPE html><html><head><title>Plan</title><style>p {}</style><script>let x = "<p>no</p>";</script></head>
<body><h2>Part <em>one</em></h2><p>First<br>second <a href="https://example.com/a">link</a>, <a href="#top">up</a></p>
<ul><li>one<ul><li>inner</li></ul></li><li><p>two</p></li></ul><ol><li>x</li><li>y</li></ol>
<table><tr><th colspan=2>wide</th><th>c</th></tr><tr><td><p>p1</p><p>p2</p></td><td>1 | 2<td>
<table><tr><td>in</td><td>ner</td></tr></table></table><pre>
  def x():
    pass</pre><p>&lt;tag&gt; &amp; Zo&euml;<img src=x alt="a picture">"""


def test_html_becomes_markdown() -> None:
    assert text(Kind.HTML, PAGE.encode()) == (
        "Title: Plan\n\n## Part one\n\nFirst\nsecond [link](https://example.com/a), up\n\n"
        "- one\n  - inner\n- two\n1. x\n2. y\n\n"
        "| wide |  | c |\n|---|---|---|\n| p1 p2 | 1 \\| 2 | in , ner |\n\n"
        "```\n  def x():\n    pass\n```\n\n<tag> & Zoë![a picture]"
    )


@pytest.mark.parametrize("encoding", ["cp1251", "shift_jis", "iso-8859-15"])
def test_encoding_that_a_page_names_is_used(encoding: str) -> None:
    words = {"cp1251": "Привет", "shift_jis": "日本語", "iso-8859-15": "5 €"}[encoding]
    page = f"<html><head><meta charset='{encoding}'></head><p>{words}"
    assert text(Kind.HTML, page.encode(encoding)) == words


def test_merged_cells_keep_the_columns_of_the_others() -> None:
    page = (
        "<table><tr><td rowspan=2>a</td><td>b</td><td rowspan=3>c</td></tr><tr><td>d</td></tr>"
        "<tr><td colspan=2>e</td></tr><tr><td>f</td><td>g</td><td>h</td></tr></table>"
    )
    assert text(Kind.HTML, page.encode()) == ("| a | b | c |\n|---|---|---|\n|  | d |\n| e |\n| f | g | h |")


def test_mail_in_an_unknown_encoding_is_read() -> None:
    mail = b"Subject: x\nContent-Type: text/plain; charset=unknown-8bit\n\nhello \xff\n"
    assert text(Kind.MAIL, mail) == "Subject: x\n\n---\n\nhello \ufffd"


def test_formula_without_a_result_and_errors_are_counted() -> None:
    rows = '<row r="1"><c r="A1"><f>1+1</f></c><c r="B1" t="e"><f>1/0</f><v>#DIV/0!</v></c><c r="C1"><v>7</v></c></row>'
    read = formats.read(Kind.ARCHIVE, xlsx(rows))
    assert "| 7 |" in read.text
    assert read.left_out == (LeftOut(Part.FORMULA, 1), LeftOut(Part.ERROR, 1))


def test_mail_without_plain_text_is_read_as_a_page_and_names_its_attachments() -> None:
    mail = (
        b"From: =?utf-8?q?Zo=C3=AB?= <z@example.com>\r\nSubject: Plan\r\n"
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: text/html; charset=koi8-r\r\n\r\n<h1>\xf0\xcc\xc1\xce</h1>\r\n"
        b"--b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=a.pdf\r\n\r\nx\r\n--b--\r\n"
    )
    read = formats.read(Kind.MAIL, mail)
    assert read == Document(
        "From: Zoë <z@example.com>\nSubject: Plan\n\n---\n\n# План", (LeftOut(Part.ATTACHMENT, 1, ("a.pdf",)),)
    )


def test_far_empty_cells_of_a_sheet_take_no_room() -> None:
    first = '<row r="1"><c r="A1"><v>1.5</v></c><c r="B1" t="b"><v>1</v></c></row>'
    last = '<row r="5000"><c r="C5000"><v>3</v></c></row>'
    assert text(Kind.ARCHIVE, xlsx(first + last)) == "## Sheet S\n\n| 1.5 | TRUE |\n|---|---|\n|  |  | 3 |"


def test_hidden_slide_is_left_out_and_a_fallback_not_repeated() -> None:
    paragraph = "<a:p><a:r><a:t>One</a:t></a:r></a:p>"
    slide = f"{paragraph}<a:Fallback>{paragraph}</a:Fallback>"
    assert text(Kind.ARCHIVE, pptx(slide)) == "## Slide 1\n\nOne"
    hidden = formats.read(Kind.ARCHIVE, pptx(slide, attributes='show="0"'))
    assert hidden == Document("", (LeftOut(Part.HIDDEN_SLIDE, 1, ("1",)),))


def test_deleted_text_and_notes_of_open_documents() -> None:
    body = (
        "<text:tracked-changes><text:p>gone</text:p></text:tracked-changes>"
        '<text:p>a<text:s text:c="3"/>b<text:note><text:note-citation>1</text:note-citation>'
        "<text:note-body><text:p>below</text:p></text:note-body></text:note> c</text:p>"
    )
    assert text(Kind.ARCHIVE, odf("text", body)) == "a   b1 (below) c"


def test_link_to_a_picture_in_a_file_is_not_followed() -> None:
    drawing = '<w:p><w:r><w:drawing><a:blip r:link="r9"/></w:drawing><w:t>text</w:t></w:r></w:p>'
    assert text(Kind.ARCHIVE, docx(drawing)) == "text"


@pytest.mark.parametrize("content", [b"a\0b", b"\x01\x02"])
def test_bytes_without_text_are_refused(content: bytes) -> None:
    with pytest.raises(Unreadable) as caught:
        formats.read(Kind.CSV, content)
    assert caught.value.refusal is Refusal.KIND
