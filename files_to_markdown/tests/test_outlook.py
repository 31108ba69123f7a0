"""Outlook messages (msg), built here as compound files: headers, texts in each format and charset, attachments."""

import struct
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Union

import compressed_rtf
import pytest

from files_to_markdown import formats, outlook
from files_to_markdown.document import CPU_S, Document, Format, LeftOut, Part
from files_to_markdown.kind import document_kind
from files_to_markdown.process import read_document

Storage = Mapping[str, Union[bytes, "Storage"]]
_FREE, _END = 0xFFFFFFFF, 0xFFFFFFFE


def compound(root: Storage) -> bytes:
    """Returns a compound file ([MS-CFB], version 3)."""
    entries: list[bytes] = []
    large: list[tuple[int, bytes]] = []
    mini = bytearray()
    short_table: list[int] = []

    def add(name: str, inner: bytes | Storage, kind: int) -> int:
        at = len(entries)
        entries.append(b"")
        child, begin, size = _FREE, 0, 0
        if not isinstance(inner, bytes):
            names = sorted(inner, key=lambda one: (len(one), one.upper()))
            child = tree([add(one, inner[one], 2 if isinstance(inner[one], bytes) else 1) for one in names])
        elif len(inner) >= 4096:
            large.append((at, inner))
        else:
            begin, size = len(mini) // 64, len(inner)
            mini.extend(inner.ljust(-(-size // 64) * 64, b"\0"))
            short_table.extend(chain(begin, len(mini) // 64))
        encoded = name.encode("utf-16-le")
        head = struct.pack("<64sHBBIII", encoded, len(encoded) + 2, kind, 1, _FREE, _FREE, child)
        entries[at] = head + bytes(36) + struct.pack("<IQ", begin, size)
        return at

    def tree(numbers: list[int]) -> int:
        if not numbers:
            return _FREE
        middle = len(numbers) // 2
        top = numbers[middle]
        sides = struct.pack("<II", tree(numbers[:middle]), tree(numbers[middle + 1 :]))
        entries[top] = entries[top][:68] + sides + entries[top][76:]
        return top

    add("Root Entry", root, 5)
    short = struct.pack(f"<{len(short_table)}I", *short_table)
    parts = [bytes(128 * len(entries)), short, bytes(mini), *(content for _, content in large)]
    counts = [-(-len(part) // 512) for part in parts]
    table_sectors = -(-sum(counts) // 127)
    begins = [table_sectors + sum(counts[:at]) for at in range(len(parts))]
    for at, begin, size in [
        (0, begins[2], len(mini)),
        *((at, b, len(c)) for (at, c), b in zip(large, begins[3:], strict=True)),
    ]:
        entries[at] = entries[at][:116] + struct.pack("<IQ", begin, size)
    parts[0] = b"".join(entries)
    table = [0xFFFFFFFD] * table_sectors
    for begin, count in zip(begins, counts, strict=True):
        table += chain(begin, begin + count)
    table += [_FREE] * (table_sectors * 128 - len(table))
    sizes = (0x3E, 3, 0xFFFE, 9, 6, 0, table_sectors, begins[0], 0, 4096, begins[1], counts[1], _END, 0)
    header = struct.pack("<8s16xHHHHH6xIIIIIIIII", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", *sizes)
    listed = [*range(table_sectors), *[_FREE] * (109 - table_sectors)]
    sectors = b"".join(part.ljust(count * 512, b"\0") for part, count in zip(parts, counts, strict=True))
    return header + struct.pack("<109I", *listed) + struct.pack(f"<{len(table)}I", *table) + sectors


def chain(begin: int, end: int) -> list[int]:
    return [*range(begin + 1, end), _END][: end - begin]


def stored(values: Mapping[str, object], header_bytes: int = 32) -> dict[str, bytes | Storage]:
    """Returns the storage of a message, recipient or attachment. Texts are UTF-16; `id:charset` encodes one."""
    table = bytes(header_bytes)
    storage: dict[str, bytes | Storage] = {}
    for key, value in values.items():
        id_, _, charset = key.partition(":")
        if isinstance(value, dict):
            storage[key] = value
        elif isinstance(value, int):
            table += struct.pack("<HHIQ", 3, int(id_, 16), 6, value)
        elif isinstance(value, float):
            table += struct.pack("<HHId", 5, int(id_, 16), 6, value)
        elif isinstance(value, datetime):
            ticks = (value - datetime(1601, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 10
            table += struct.pack("<HHIQ", 0x40, int(id_, 16), 6, ticks)
        elif isinstance(value, bytes):
            storage[f"__substg1.0_{id_}0102"] = value
        else:
            kind = "001E" if charset else "001F"
            storage[f"__substg1.0_{id_}{kind}"] = str(value).encode(charset or "utf-16-le") + b"\0" * bool(charset)
    return {**storage, "__properties_version1.0": table}


def recipient(at: int, kind: int, name: str, **ids: str) -> dict[str, object]:
    values = {"0C15": kind, "3001": name} | {id_[1:]: value for id_, value in ids.items()}
    return {f"__recip_version1.0_#{at:08X}": stored(values, 8)}


def attached(at: int, values: Mapping[str, object]) -> dict[str, object]:
    return {f"__attach_version1.0_#{at:08X}": stored(values, 8)}


def read(values: Mapping[str, object]) -> Document:
    return formats.read(Format.OLE, compound(stored(values)))


SENT = "Microsoft Mail Internet Headers Version 2.0\r\nFrom: =?utf-8?q?J=C3=B6rg?= <j@a.de>\r\nTo: b@c.de\r\n"
PEOPLE = {
    **recipient(0, 1, "Ada", _39FE="ada@example.com"),
    **recipient(1, 2, "Bob", _3003="/O=X/CN=BOB"),
    **recipient(2, 3, "c@d.de", _39FE="c@d.de"),
    **recipient(3, 0x10000001, "Dan"),
}
DAY = datetime(2024, 3, 1, 9, tzinfo=UTC)


def named(*numbers: tuple[int, int]) -> dict[str, object]:
    """Returns the IDs 8000, 8001 and so on for named properties, given as set and number."""
    sets = list(dict.fromkeys(of for of, _ in numbers))
    entries = [struct.pack("<IHH", number, 2 * sets.index(of) + 6, at) for at, (of, number) in enumerate(numbers)]
    names = {"0002": b"".join(of.to_bytes(16, "little") for of in sets), "0003": b"".join(entries)}
    return {"__nameid_version1.0": stored(names, 0)}


RTF = compressed_rtf.compress(rb"{\rtf1\ansi One \b two\b0}")
SHOWN = {
    "sent": (
        {"007D": SENT, "0037": "Grüße", "1000": "a"},
        "From: Jörg <j@a.de>\nTo: b@c.de\nSubject: Grüße\n\n---\n\na",
    ),
    "a draft": (
        {"0042": "Jörg", "0C1F": "j@a.de", "0037": "日本", "0039": DAY, "1000": "a\r\nb", **PEOPLE},
        "From: Jörg <j@a.de>\nTo: Ada <ada@example.com>, Dan\nCc: Bob\nBcc: c@d.de\n"
        "Date: Fri, 01 Mar 2024 09:00:00 +0000\nSubject: 日本\n\n---\n\na\nb",
    ),
    "a page": ({"0037": "a", "1013": b"<h1>Gr\xfc\xdfe</h1>", "3FDE": 28591}, "Subject: a\n\n---\n\n# Grüße"),
    "a wide page": ({"1013": "<p>Имя"}, "---\n\nИмя"),
    "both": ({"1000": "plain", "1013": b"<p>plain"}, "---\n\nplain"),
    "a page beside a stub": ({"1000": "HTML", "1013": b"<p>" + b"word " * 60}, "---\n\n" + ("word " * 60).strip()),
    "rtf": ({"0037": "a", "1009": RTF}, "Subject: a\n\n---\n\nOne two"),
    "a charset": ({"0037:cp1251": "Имя", "1000:cp1251": "Город", "3FFD": 1251}, "Subject: Имя\n\n---\n\nГород"),
    "utf-8": ({"0037:utf-8": "Имя", "3FFD": 65001}, "Subject: Имя\n\n---"),
    "a meeting": (
        {"0060": DAY, "0061": DAY + timedelta(hours=1), "0037": "Plan"},
        "Start: Fri, 01 Mar 2024 09:00:00 +0000\nEnd: Fri, 01 Mar 2024 10:00:00 +0000\nSubject: Plan\n\n---",
    ),
    "an appointment": (
        {
            **named((0x62002, 0x820D), (0x62002, 0x820E), (0x62002, 0x8208), (0x62002, 0x8232)),
            "8000": DAY,
            "8001": DAY + timedelta(hours=1),
            "8002": "Room\t2",
            "8003": "every Friday",
            "0037": "Plan",
        },
        "Start: Fri, 01 Mar 2024 09:00:00 +0000\nEnd: Fri, 01 Mar 2024 10:00:00 +0000\nLocation: Room 2\n"
        "Repeats: every Friday\nSubject: Plan\n\n---",
    ),
    "a task": (
        {**named((0x62003, 0x8105), (0x62003, 0x8102)), "8000": DAY, "8001": 0.5, "0037": "Plan"},
        "Due: Fri, 01 Mar 2024 09:00:00 +0000\nDone: 50%\nSubject: Plan\n\n---",
    ),
    "a contact's addresses": (
        {
            **named((0x62004, 0x8083), (0x62004, 0x801B)),
            "8000": "a@b.de",
            "8001": "Way 1\r\nTown",
            "3A09": "1",
            "0037": "A",
        },
        "Email: a@b.de\nWork address: Way 1 Town\nHome phone: 1\nSubject: A\n\n---",
    ),
    "the charset of the text alone": ({"0037:cp1251": "Имя", "3FDE": 1251}, "Subject: Имя\n\n---"),
    "names of a damaged table": (
        {"__nameid_version1.0": stored({"0002": b"", "0003": b"\6\0\0\0\xfe\xff\0\0abc"}, 0), "0037": "a"},
        "Subject: a\n\n---",
    ),
    "a contact": (
        {"0037": "Ada", "3A16": "Firm", "3A18": "Sales", "3A17": "Head", "3A08": "+44 1", "3A09": "2", "3A1C": "3"}
        | {"3A24": "4", "3A51": "a.example"},
        "Company: Firm\nDepartment: Sales\nJob title: Head\nPhone: +44 1\nHome phone: 2\nMobile: 3\nFax: 4\n"
        "Web page: a.example\nSubject: Ada\n\n---",
    ),
    "all addresses of a contact": (
        {
            **named(*((0x62004, number) for number in (0x8083, 0x8093, 0x80A3, 0x801A, 0x801B))),
            **{f"800{at}": text for at, text in enumerate("abcde")},
        },
        "Email: a\nSecond email: b\nThird email: c\nHome address: d\nWork address: e\n\n---",
    ),
    "a task that is done": (
        {**named((0x62003, 0x8104), (0x62003, 0x8102)), "8000": DAY, "8001": 1.0},
        "Starts: Fri, 01 Mar 2024 09:00:00 +0000\nDone: 100%\n\n---",
    ),
    "a task that isn't begun": ({**named((0x62003, 0x8102)), "8000": 0.0, "0037": "a"}, "Subject: a\n\n---"),
    "received": (
        {"0E06": DAY, "0C1A": "Ada", "0065": "/O=X/CN=A@B", "0C1F": "a@b.de", **recipient(0, 0, "Bob", _3003="b@c.de")},
        "From: Ada <a@b.de>\nTo: Bob <b@c.de>\nDate: Fri, 01 Mar 2024 09:00:00 +0000\n\n---",
    ),
    "no date that there is": ({"0039": 2**63, "1000": "a"}, "---\n\na"),
}


@pytest.mark.parametrize(("values", "shown"), SHOWN.values(), ids=SHOWN)
def test_message_is_read(values: Mapping[str, object], shown: str) -> None:
    assert read(values) == Document(shown)


def test_text_that_is_damaged_is_named() -> None:
    assert read({"0037": "a", "1009": b"x" * 20}) == Document("Subject: a\n\n---", (LeftOut(Part.END, 1),))


def test_attachments_are_named_and_attached_messages_by_their_subjects() -> None:
    inner = {"__substg1.0_3701000D": stored({"0037:cp1251": "Имя", "3FFD": 1251}, 24)}
    files: list[Mapping[str, object]] = [
        {"3707": "plan.pdf", "3701": b"%PDF"},
        {"3704": "a~1.doc"},
        inner,
        {"370E": "image/png"},
    ]
    values = {key: value for at, one in enumerate(files) for key, value in attached(at, one).items()}
    assert read(values).left_out == (LeftOut(Part.ATTACHMENT, 4, ("plan.pdf", "a~1.doc", "Имя")),)
    assert read(attached(0, files[3])).left_out == (LeftOut(Part.ATTACHMENT, 1, ("image/png",)),)


@pytest.mark.parametrize(("count", "parts"), [(2, ()), (3, (LeftOut(Part.END, 1),))])
def test_recipients_are_read_up_to_a_limit(
    monkeypatch: pytest.MonkeyPatch, count: int, parts: tuple[LeftOut, ...]
) -> None:
    monkeypatch.setattr(outlook, "_MAX_RECIPIENTS", 2)
    people = {key: value for at in range(count) for key, value in recipient(at, 1, f"n{at}").items()}
    assert read(people) == Document("To: n0, n1\n\n---", parts)


def test_message_of_a_charset_that_it_does_not_name_is_a_guess() -> None:
    assert read({"1000:cp1251": "Имя; Город; Сумма за месяц"}).guessed_charset == "windows-1251"


async def test_process_reads_a_message_without_opening_files() -> None:
    values = {"007D": SENT, "1009": RTF, **attached(0, {"3707": "a.pdf"})}
    content = compound(stored(values))
    assert document_kind("a.msg", "application/vnd.ms-outlook", content) is Format.OLE
    shown = Document("From: Jörg <j@a.de>\nTo: b@c.de\n\n---\n\nOne two", (LeftOut(Part.ATTACHMENT, 1, ("a.pdf",)),))
    assert await read_document(Format.OLE, content) == shown
    guessed = await read_document(Format.OLE, compound(stored({"1000:cp1251": "Имя; Город; Сумма за месяц"})))
    assert isinstance(guessed, Document)
    assert guessed.text == "---\n\nИмя; Город; Сумма за месяц"


def many(count: int) -> Iterator[tuple[str, object]]:
    for at in range(count):
        yield from recipient(at, 1, f"n{at}").items()
        yield from attached(at, {"3707": f"f{at}"}).items()


HOSTILE: dict[str, Mapping[str, object]] = {
    "recipients and attachments": dict(many(1_000)),
    "rtf": {"1009": compressed_rtf.compress(b"{\\rtf1 " + b"\\'41" * 5_000)},
    "a large rtf": {"1009": b"\xff" * 3_000_000},
    "headers": {"007D": "From: " + "=?utf-8?q?a?= " * 50_000},
    "properties": {f"{at:04X}": at for at in range(0x4000, 0x8000)},
}


@pytest.mark.parametrize("values", HOSTILE.values(), ids=HOSTILE)
def test_message_that_is_made_to_take_long_is_read_in_linear_time(values: Mapping[str, object]) -> None:
    content = compound(stored(values))
    began_s = time.process_time()
    formats.read(Format.OLE, content)
    assert time.process_time() - began_s < CPU_S
