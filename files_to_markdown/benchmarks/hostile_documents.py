"""Documents designed to harm the process that reads them, by name. Each document is small, or unpacks to much more data
than its size suggests."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping

MB = 2**20
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
_A = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
_R = 'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
_RELS = "http://schemas.openxmlformats.org/package/2006/relationships"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_ODF = (
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"'
)
_TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="xml" ContentType="application/xml"/></Types>'
)
_LAUGHS = (
    '<!DOCTYPE x [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {chr(98 + at)} "{f"&{chr(97 + at)};" * 10}">' for at in range(9))
    + "]>"
)
_FILE = '<!DOCTYPE x [<!ENTITY j SYSTEM "file:///etc/passwd">]>'
_REMOTE = '<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd" [<!ENTITY j SYSTEM "http://127.0.0.1:9/x">]>'


def pack_zip(parts: Mapping[str, str | bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return content.getvalue()


def _relations(*targets: tuple[str, str]) -> str:
    entries = "".join(
        f'<Relationship Id="r{n}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for n, (kind, target) in enumerate(targets)
    )
    return f'<Relationships xmlns="{_RELS}">{entries}</Relationships>'


def docx(body: str, doctype: str = "") -> bytes:
    return pack_zip(_docx(body, doctype))


def _docx(body: str, doctype: str = "") -> dict[str, str | bytes]:
    return {
        "[Content_Types].xml": _TYPES,
        "_rels/.rels": _relations(("officeDocument", "word/document.xml")),
        "word/document.xml": f"{doctype}<w:document {_W} {_R} {_A}><w:body>{body}</w:body></w:document>",
    }


def xlsx(rows: str, doctype: str = "", strings: str = "") -> bytes:
    sheets = '<sheets><sheet name="S" sheetId="1" r:id="r0"/></sheets>'
    parts = ("worksheet", "worksheets/sheet1.xml"), ("sharedStrings", "sharedStrings.xml")
    data = f"<sheetData>{rows}</sheetData>"
    return pack_zip(
        {
            "[Content_Types].xml": _TYPES,
            "_rels/.rels": _relations(("officeDocument", "xl/workbook.xml")),
            "xl/_rels/workbook.xml.rels": _relations(*parts),
            "xl/workbook.xml": f'<workbook xmlns="{_SHEET}" {_R}>{sheets}</workbook>',
            "xl/sharedStrings.xml": f'<sst xmlns="{_SHEET}">{strings}</sst>',
            "xl/worksheets/sheet1.xml": f'{doctype}<worksheet xmlns="{_SHEET}">{data}</worksheet>',
        }
    )


def pptx(body: str, doctype: str = "") -> bytes:
    slides = '<p:sldIdLst><p:sldId id="256" r:id="r0"/></p:sldIdLst>'
    p = 'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"'
    return pack_zip(
        {
            "[Content_Types].xml": _TYPES,
            "ppt/_rels/presentation.xml.rels": _relations(("slide", "slides/slide1.xml")),
            "ppt/presentation.xml": f"<p:presentation {p} {_R}>{slides}</p:presentation>",
            "ppt/slides/slide1.xml": f"{doctype}<p:sld {p} {_A}>{body}</p:sld>",
        }
    )


def odf(kind: str, body: str, doctype: str = "", manifest: str = "") -> bytes:
    body = f"<office:body><office:{kind}>{body}</office:{kind}></office:body>"
    return pack_zip(
        {
            "mimetype": f"application/vnd.oasis.opendocument.{kind}",
            "META-INF/manifest.xml": manifest or "<manifest/>",
            "content.xml": f"{doctype}<office:document-content {_ODF}>{body}</office:document-content>",
        }
    )


def _spaces() -> str:
    return " " * (110 * MB)


def _nested_elements(opening: str, closing: str, depth: int = 100_000) -> str:
    return opening * depth + closing * depth


def _understated_zip(name: str) -> bytes:
    """Returns an archive whose entry unpacks to 300 MB, although the entry and the directory declare 1,000 bytes."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = b"".join(deflate.compress(b" " * MB) for _ in range(300)) + deflate.flush()
    fields = struct.pack("<HHHHHIII", 20, 0, 8, 0, 0, 0, len(data), 1_000)
    local = b"PK\x03\x04" + fields + struct.pack("<HH", len(name), 0) + name.encode() + data
    entry = b"PK\x01\x02\x14\0" + fields + struct.pack("<HHHHHII", len(name), 0, 0, 0, 0, 0, 0) + name.encode()
    return local + entry + struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 1, 1, len(entry), len(local), 0)


def _encrypted_entry(content: bytes) -> bytes:
    """Returns an archive whose entries are marked as encrypted."""
    changed = bytearray(content)
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = changed.find(magic)
        while at >= 0:
            changed[at + offset] |= 1
            at = changed.find(magic, at + 4)
    return bytes(changed)


def _ole(*names: str) -> bytes:
    return _OLE + b"\0" * 504 + b"".join(name.encode("utf-16-le").ljust(128, b"\0") for name in names) + b"\0" * 4096


def _nested_mail() -> bytes:
    lines = [b"Subject: x"]
    for at in range(20_000):
        lines += [b'Content-Type: multipart/mixed; boundary="b%d"' % at, b"", b"--b%d" % at]
    return b"\n".join([*lines, b"", b"deep"])


def _page_tree(depth: int) -> bytes:
    pages = b"".join(
        b"%d 0 obj<</Type/Pages/Count 1000000000/Kids[%d 0 R %d 0 R]>>endobj\n" % (n, n, 2 + (n - 1) % depth)
        for n in range(2, 2 + depth)
    )
    return b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n" + pages + b"trailer<</Root 1 0 R>>\n%%EOF"


_PARAGRAPH = "<w:p><w:r><w:t>a</w:t></w:r></w:p>"
_FAR = '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'

HOSTILE: Mapping[str, Callable[[], bytes]] = {
    "bomb.docx": lambda: docx(_spaces()),
    "bomb.xlsx": lambda: xlsx(_spaces()),
    "bomb.pptx": lambda: pptx(_spaces()),
    "bomb.odt": lambda: odf("text", _spaces()),
    "bomb.ods": lambda: odf("spreadsheet", _spaces()),
    "bomb.odp": lambda: odf("presentation", _spaces()),
    "lying directory.docx": lambda: _understated_zip("word/document.xml"),
    "lying directory.pptx": lambda: _understated_zip("ppt/presentation.xml"),
    "lying directory.xlsx": lambda: _understated_zip("xl/workbook.xml"),
    "laughs.docx": lambda: docx("<w:p><w:r><w:t>&j;</w:t></w:r></w:p>", _LAUGHS),
    "laughs.pptx": lambda: pptx("<a:p><a:r><a:t>&j;</a:t></a:r></a:p>", _LAUGHS),
    "laughs.odt": lambda: odf("text", "<text:p>&j;</text:p>", _LAUGHS),
    "entity of a file.docx": lambda: docx("<w:p><w:r><w:t>&j;</w:t></w:r></w:p>", _FILE),
    "entity of a file.pptx": lambda: pptx("<a:p><a:r><a:t>&j;</a:t></a:r></a:p>", _FILE),
    "entity of a file.odt": lambda: odf("text", "<text:p>&j;</text:p>", _FILE),
    "entity of a server.docx": lambda: docx("<w:p><w:r><w:t>&j;</w:t></w:r></w:p>", _REMOTE),
    "entity of a server.odp": lambda: odf("presentation", "<text:p>&j;</text:p>", _REMOTE),
    "protected.docx": lambda: _ole("EncryptionInfo", "EncryptedPackage"),
    "protected.xlsx": lambda: _encrypted_entry(xlsx("")),
    "protected.odt": lambda: odf("text", "", manifest="<manifest><encryption-data/></manifest>"),
    "nested.docx": lambda: docx(_nested_elements("<w:tbl><w:tr><w:tc>", "</w:tc></w:tr></w:tbl>")),
    "nested.pptx": lambda: pptx(_nested_elements("<a:x>", "</a:x>")),
    "nested.odt": lambda: odf("text", _nested_elements("<text:section>", "</text:section>")),
    "nested.eml": _nested_mail,
    "many elements.pptx": lambda: pptx("<a:p/>" * 16_000_000),
    "many elements.odt": lambda: odf("text", "<text:s/>" * 10_000_000),
    "many entries.docx": lambda: pack_zip({**_docx(""), **{f"word/{at}.xml": "" for at in range(6_000)}}),
    "cut off.docx": lambda: docx(_PARAGRAPH * 1_000)[:500],
    "cut off.xlsx": lambda: xlsx(_FAR)[:900],
    "cut off.odt": lambda: odf("text", "<text:p>a</text:p>")[:300],
    "not well-formed.docx": lambda: docx("<w:p><w:r>"),
    "not well-formed.odt": lambda: odf("text", "<text:p>"),
    "no office file.docx": lambda: pack_zip({"a.txt": "a"}),
    "an old format.doc": lambda: _ole("WordDocument"),
    "damaged.xls": lambda: _ole("Root Entry", "Workbook"),
    "binary.csv": lambda: b"a,\0\0\n" * 1_000,
    "no pages.pdf": lambda: b"%PDF-1.7\n" + b"\0\xff" * 5_000,
    "endless pages.pdf": lambda: _page_tree(1_000),
}
"""Documents that must be refused, by name. A name's extension is the document's format."""
