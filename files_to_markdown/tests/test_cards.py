"""Address books and calendars with encoded and folded lines."""

import base64
import quopri

import pytest

from files_to_markdown import formats
from files_to_markdown.document import Document, Format, LeftOut, Part
from files_to_markdown.kind import document_kind
from files_to_markdown.process import read_document

NAME = "Иван Петров"


def quoted(text: str, charset: str = "utf-8") -> str:
    return "".join(f"={byte:02X}" for byte in text.encode(charset))


def in_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


CASES = {
    "quoted-printable": (f"N;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:{quoted(NAME)};;;;", f"N:{NAME};;;;"),
    "without the word": (f"N;QUOTED-PRINTABLE;CHARSET=utf-8:{quoted(NAME)}", f"N:{NAME}"),
    "settings that stay": (
        f'item1.TEL;HOME;ENCODING=quoted-printable;X-L="a;b:c":+1{quoted("ё")}',
        'item1.TEL;HOME;X-L="a;b:c":+1ё',
    ),
    "another charset": (f"FN;CHARSET=windows-1251;ENCODING=QUOTED-PRINTABLE:{quoted(NAME, 'cp1251')}", f"FN:{NAME}"),
    "of two bytes a letter": (
        f"FN;ENCODING=QUOTED-PRINTABLE;CHARSET=SHIFT_JIS:{quoted('山田太郎', 'cp932')}",
        "FN:山田太郎",
    ),
    "soft ends of lines": ("NOTE;ENCODING=QUOTED-PRINTABLE:Gr=C3=\n=BC=C3=9Fe a=\nlle", "NOTE:Grüße alle"),
    "soft ends and spaces": ("NOTE;ENCODING=QUOTED-PRINTABLE:Gr=C3=\n =BC=C3=9Fe=\n alle", "NOTE:Grüße alle"),
    "several lines": ("NOTE;ENCODING=QUOTED-PRINTABLE:a=0D=0AFN:b", "NOTE:a\n  FN:b"),
    "base64": (f"NOTE;CHARSET=UTF-8;ENCODING=BASE64:\n {in_base64(NAME)}\n", f"NOTE:{NAME}"),
    "base64 in short": (f"NOTE;ENCODING=b:{in_base64(NAME)[:8]}\n {in_base64(NAME)[8:]}", f"NOTE:{NAME}"),
    "a key": ("KEY;ENCODING=b:/+8A/w==", "KEY;ENCODING=b:/+8A/w=="),
    "folds": ("VERSION:3.0\nNOTE:One wo\n rd and tw\n\to", "VERSION:3.0\nNOTE:One word and two"),
    "folds at spaces": ("VERSION:2.1\nNOTE:One\n word", "VERSION:2.1\nNOTE:One word"),
    "folds of the newest version": ("VERSION: 4.0\nNOTE:One wo\n rd", "VERSION: 4.0\nNOTE:One word"),
    "base64 in two lines of an old version": (
        f"VERSION:2.1\nNOTE;BASE64:\n {in_base64(NAME)[:8]}\n {in_base64(NAME)[8:]}",
        f"VERSION:2.1\nNOTE:{NAME}",
    ),
    "folds at spaces of a calendar": ("VERSION:1.0\nNOTE:One\n word", "VERSION:1.0\nNOTE:One word"),
    "no encoding": ("URL:https://example.com/?a=3D\nX=41", "URL:https://example.com/?a=3D\nX=41"),
}


@pytest.mark.parametrize(("lines", "shown"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("kind", ["VCARD", "VCALENDAR"])
def test_encoded_and_folded_lines_are_read(lines: str, shown: str, kind: str) -> None:
    content = f"BEGIN:{kind}\n{lines}\nEND:{kind}\n".replace("\n", "\r\n").encode()
    found = document_kind("a", "", content)
    assert found is Format.CARDS
    assert formats.read(found, content) == Document(f"BEGIN:{kind}\n{shown}\nEND:{kind}", is_markdown=False)


def test_letter_that_a_fold_divides_is_whole() -> None:
    raw = f"NOTE:{NAME}".encode()
    read = formats.read(Format.CARDS, b"BEGIN:VCALENDAR\r\n" + raw[:6] + b"\r\n " + raw[6:])
    assert (read.text.split("\n")[1], read.guessed_charset) == (f"NOTE:{NAME}", "")


def test_cards_of_two_bytes_a_letter_and_with_bytes_that_are_no_text_are_read() -> None:
    assert formats.read(Format.CARDS, f"BEGIN:VCARD\nFN:{NAME}".encode("utf-16")).text == f"BEGIN:VCARD\nFN:{NAME}"
    assert formats.read(Format.CARDS, b"BEGIN:VCARD\nNOTE:a\x0bb\0c").text == "BEGIN:VCARD\nNOTE:a bc"


def test_each_value_has_the_charset_that_it_names() -> None:
    lines = (b"FN;CHARSET=windows-1251:" + NAME.encode("cp1251"), b"NOTE;CHARSET=koi8-r:" + NAME.encode("koi8-r"))
    read = formats.read(Format.CARDS, b"\n".join((b"BEGIN:VCARD", *lines)))
    assert [line.partition(":")[2] for line in read.text.split("\n")] == ["VCARD", NAME, NAME]


def test_base64_without_a_charset_is_utf_8_among_lines_in_another() -> None:
    lines = ("FN:Łódź".encode("cp1250"), f"NOTE;ENCODING=b:{in_base64(NAME)}".encode())
    read = formats.read(Format.CARDS, b"\n".join((b"BEGIN:VCARD", *lines)))
    assert read.text == f"BEGIN:VCARD\nFN:Łódź\nNOTE:{NAME}"


def test_directory_of_names_is_read() -> None:
    content = f"version: 1\ndn:: {in_base64('cn=Пётр')}\ncn:: {in_base64(NAME)[:6]}\n {in_base64(NAME)[6:]}\nsn: b\n"
    kind = document_kind("a.ldif", "", content.encode())
    assert kind is Format.CARDS
    assert formats.read(kind, content.encode()).text == f"version: 1\ndn: cn=Пётр\ncn: {NAME}\nsn: b"


async def test_charset_of_encoded_names_is_guessed_in_the_process() -> None:
    encoded = quopri.encodestring("Иван Петров из города Санкт-Петербурга".encode("cp1251"))
    content = b"BEGIN:VCARD\nNOTE;ENCODING=QUOTED-PRINTABLE:" + encoded
    read = await read_document(Format.CARDS, content)
    assert isinstance(read, Document)
    assert (read.text.split("\n")[1], read.guessed_charset) == (
        "NOTE:Иван Петров из города Санкт-Петербурга",
        "windows-1251",
    )


@pytest.mark.parametrize("char", ["a", ";", '"', ":"])
def test_line_of_any_length_is_read(char: str) -> None:
    content = f"BEGIN:VCARD\n{char * 300_000}\nFN:Ada"
    assert formats.read(Format.CARDS, content.encode()).text == content


def test_photo_is_named() -> None:
    photo = base64.b64encode(bytes(range(256)) * 20).decode()
    lines = "".join(f"\n {photo[at : at + 70]}" for at in range(0, len(photo), 70))
    read = formats.read(Format.CARDS, f"BEGIN:VCARD\nVERSION:2.1\nPHOTO;ENCODING=BASE64:{lines}\n\nFN:Ada".encode())
    assert (read.left_out, read.text[-6:]) == ((LeftOut(Part.EMBEDDED, 1),), "FN:Ada")
