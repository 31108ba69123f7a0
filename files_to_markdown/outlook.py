"""Converts Outlook messages (msg) to Markdown, by turning them into emails for the email reader.

A message is a compound file. Small properties are in the property table of their storage. Every other property has its
own stream, whose name identifies the property. Recipients and attachments have their own storages. Source: [MS-OXMSG],
https://learn.microsoft.com/openspecs/exchange_server_protocols/ms-oxmsg
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email import message_from_string
from email.message import Message
from email.utils import format_datetime
from struct import iter_unpack, unpack

from compressed_rtf import decompress
from olefile import OleFileIO

from files_to_markdown.charsets import decode, python_charset
from files_to_markdown.document import MAX_CHARS, MAX_NAMES, Draft, Part
from files_to_markdown.mail import add_mail
from files_to_markdown.rtf import read_rtf

PROPERTIES = "__properties_version1.0"
"""The name of a message's property table, which distinguishes messages from other compound files."""
_NOT_A_HEADER = "Microsoft Mail Internet Headers Version 2.0"
_RECIPIENT, _ATTACHMENT, _EMBEDDED = "__recip_version1.0_", "__attach_version1.0_", "__substg1.0_3701000D"
_HEADER_BYTES = {_RECIPIENT: 8, _ATTACHMENT: 8, _EMBEDDED: 24}
"""The size of the header before a property table. For the message itself, it is 32 bytes."""
_SUBJECT, _BODY, _HTML, _RTF, _TRANSPORT = "0037", "1000", "1013", "1009", "007D"
_FROM, _FROM_ADDRESS = ("0042", "0C1A"), ("5D02", "5D01", "0065", "0C1F")
_NAME, _ADDRESS = ("3001",), ("39FE", "3003")
_FILE_NAME = ("3707", "3704", "3001", "370E")
"""Properties with the file name or, if there is none, the file type."""
_KIND, _CODE_PAGE, _BODY_CODE_PAGE = 0x0C15, 0x3FFD, 0x3FDE
_SENT, _ARRIVED = 0x0039, 0x0E06
_MEETING = {"Start": 0x0060, "End": 0x0061}
_NAMES, _SETS, _NUMBERED = "__nameid_version1.0", "0002", "0003"
"""The streams that map named properties to IDs, by property set and number."""
_MAX_NAMED_BYTES = 2**18
"""Maximum size of the entries, which is eight bytes for each ID from 8000 to FFFF."""
_DATES = {
    "Start": (0x62002, 0x820D),
    "End": (0x62002, 0x820E),
    "Starts": (0x62003, 0x8104),
    "Due": (0x62003, 0x8105),
}
_TEXTS = {
    "Location": (0x62002, 0x8208),
    "Repeats": (0x62002, 0x8232),
    "Email": (0x62004, 0x8083),
    "Second email": (0x62004, 0x8093),
    "Third email": (0x62004, 0x80A3),
    "Home address": (0x62004, 0x801A),
    "Work address": (0x62004, 0x801B),
}
"""Visible text properties of appointments, tasks and contacts."""
_DONE = (0x62003, 0x8102)
"""The completed share of a task, from 0 to 1."""
_CONTACT = {
    "Company": "3A16",
    "Department": "3A18",
    "Job title": "3A17",
    "Phone": "3A08",
    "Home phone": "3A09",
    "Mobile": "3A1C",
    "Fax": "3A24",
    "Web page": "3A51",
}
_KINDS = {1: "To", 2: "Cc", 3: "Bcc"}
_CODE_PAGES = {
    20127: "ascii",
    20866: "koi8-r",
    21866: "koi8-u",
    **{28590 + part: f"iso8859-{part}" for part in range(1, 17)},
    51932: "euc_jp",
    51936: "gb18030",
    51949: "cp949",
    54936: "gb18030",
    65000: "utf-7",
    65001: "utf-8",
}
"""Python's names for code pages whose numbers aren't part of the codecs' names."""
_MAX_RECIPIENTS = 200
_MAX_RTF_BYTES = 2 * 2**20
"""Maximum size of compressed RTF. Unpacking more would take seconds."""
_FIRST_DAY = datetime(1601, 1, 1, tzinfo=UTC)


def read_message(file: OleFileIO, draft: Draft) -> None:
    message = _Storage(file, (), draft)
    for name, said in _fields(message).items():
        if said := " ".join(said.split()):
            draft.add(f"{name}: {said}", "\n")
    mail = _headers(message, draft)
    page = message.html()
    texts = {"plain": message.text(_BODY), "html": page}
    mail["Content-Type"] = "multipart/alternative"
    mail.set_payload([_text_part(kind, text) for kind, text in texts.items() if text.strip()])
    add_mail(mail, draft)
    if not mail.get_payload():
        _add_rtf(message.binary(_RTF), draft)
    attached = message.entries_named(_ATTACHMENT)
    draft.record_left_out(Part.ATTACHMENT, [_name_of(message.storage(name)) for name in attached[:MAX_NAMES]], count=0)
    draft.record_left_out(Part.ATTACHMENT, count=max(0, len(attached) - MAX_NAMES))


def _fields(message: "_Storage") -> dict[str, str]:
    """Returns the named fields of a meeting, appointment, task or contact."""
    ids = _named_property_ids(message)
    done = message.float_number(ids[_DONE]) if _DONE in ids else 0
    return {
        **{name: message.date(ids[key]) for name, key in _DATES.items() if key in ids},
        **{name: date for name, id_ in _MEETING.items() if (date := message.date(id_))},
        **{name: message.text(f"{ids[key]:04X}") for name, key in _TEXTS.items() if key in ids},
        "Done": f"{done:.0%}" if 0 < done <= 1 else "",
        **{name: message.text(id_) for name, id_ in _CONTACT.items()},
    }


def _named_property_ids(message: "_Storage") -> dict[tuple[int, int], int]:
    """Returns the IDs of named properties, by property set and number."""
    if not message.entries_named(_NAMES):
        return {}
    names = message.storage(_NAMES)
    sets, ids = names.binary(_SETS), {}
    entries = names.binary(_NUMBERED)[:_MAX_NAMED_BYTES]
    for number, kind, at in iter_unpack("<IHH", entries[: len(entries) // 8 * 8]):
        # Odd kinds have a name instead of a number. Kinds below 6 are in predefined sets.
        if not kind & 1 and kind >= 6:
            begin = ((kind >> 1) - 3) * 16
            ids[int.from_bytes(sets[begin : begin + 4], "little"), number] = 0x8000 + at
    return ids


def _headers(message: "_Storage", draft: Draft) -> Message:
    """Returns an email without text. It has the message's original headers, which drafts don't have."""
    sent = message_from_string(_latin1_text(message.text(_TRANSPORT)).removeprefix(_NOT_A_HEADER).lstrip())
    people = _recipients(message, draft)
    own = {
        "From": _person(message, _FROM, _FROM_ADDRESS),
        **{kind: ", ".join(people[kind]) for kind in _KINDS.values()},
        "Date": message.date(_SENT) or message.date(_ARRIVED),
    }
    mail: Message = Message()
    for name, value in own.items():
        if value := sent.get(name) or _latin1_text(value):
            mail[name] = value
    mail["Subject"] = _latin1_text(message.text(_SUBJECT)) or sent.get("Subject", "")
    return mail


def _recipients(message: "_Storage", draft: Draft) -> dict[str, list[str]]:
    names = message.entries_named(_RECIPIENT)
    draft.record_left_out(Part.END, count=len(names) > _MAX_RECIPIENTS)
    people: dict[str, list[str]] = {kind: [] for kind in _KINDS.values()}
    for storage in map(message.storage, names[:_MAX_RECIPIENTS]):
        people[_KINDS.get(storage.number(_KIND) & 0xF, "To")].append(_person(storage, _NAME, _ADDRESS))
    return people


def _person(storage: "_Storage", names: Sequence[str], addresses: Sequence[str]) -> str:
    name = storage.text(*names)
    # Exchange has its own address format, which begins with a slash.
    address = next((found for id_ in addresses if "@" in (found := storage.text(id_)) and found[0] != "/"), "")
    return f"{name} <{address}>" if address and name != address else name or address


def _name_of(attached: "_Storage") -> str:
    """Returns the name of an attached file, or the subject of an attached message."""
    inner = attached.storage(_EMBEDDED) if attached.entries_named(_EMBEDDED) else None
    return (inner.text(_SUBJECT) if inner else "") or attached.text(*_FILE_NAME) or "?"


def _text_part(kind: str, text: str) -> Message:
    part: Message = Message()
    part["Content-Type"] = f"text/{kind}; charset=utf-8"
    part.set_payload(_latin1_text(text[:MAX_CHARS]))
    return part


def _latin1_text(text: str) -> str:
    """Returns a text in the form that the email reader expects, with one character per byte."""
    return text.encode(errors="replace").decode("latin-1")


def _add_rtf(packed: bytes, draft: Draft) -> None:
    if not packed:
        return
    try:
        rtf: bytes = decompress(packed) if len(packed) <= _MAX_RTF_BYTES else b""
    except Exception:
        # The library doesn't raise other exceptions. The headers are useful without the text.
        rtf = b""
    if rtf:
        read_rtf(rtf, draft)
    else:
        draft.record_left_out(Part.END)


class _Storage:
    def __init__(self, file: OleFileIO, path: tuple[str, ...], draft: Draft, charset: str = "") -> None:
        self._file, self._path, self._draft = file, path, draft
        entry = file.root
        for name in path:
            entry = entry.kids_dict[name]
        self._entry_names = {name: kid.name for name, kid in entry.kids_dict.items()}
        table = self._stream(PROPERTIES)
        begin = next((size for name, size in _HEADER_BYTES.items() if path and path[-1].startswith(name.lower())), 32)
        entries = (table[at : at + 16] for at in range(begin, len(table) - 15, 16))
        self._fixed_properties = {int.from_bytes(entry[2:4], "little"): entry[8:] for entry in entries}
        # Some programs only set the text's code page.
        self._charset = _charset_of(self.number(_CODE_PAGE) or self.number(_BODY_CODE_PAGE)) or charset

    def _stream(self, name: str) -> bytes:
        if name.lower() not in self._entry_names:
            return b""
        content: bytes = self._file.openstream([*self._path, name]).read()
        return content

    def number(self, id_: int) -> int:
        return int.from_bytes(self._fixed_properties.get(id_, b"")[:4], "little")

    def date(self, id_: int) -> str:
        ticks = int.from_bytes(self._fixed_properties.get(id_, b""), "little")
        try:
            return format_datetime(_FIRST_DAY + timedelta(microseconds=ticks // 10)) if ticks else ""
        except OverflowError:
            return ""

    def float_number(self, id_: int) -> float:
        said: tuple[float] = unpack("<d", self._fixed_properties.get(id_, b"")[:8].ljust(8, b"\0"))
        return said[0]

    def binary(self, id_: str) -> bytes:
        return self._stream(f"__substg1.0_{id_}0102")

    def text(self, *ids: str) -> str:
        for id_ in ids:
            if wide := self._stream(f"__substg1.0_{id_}001F"):
                return wide.decode("utf-16-le", errors="replace").rstrip("\0")
            if narrow := self._stream(f"__substg1.0_{id_}001E"):
                return self._decode(narrow, self._charset)
        return ""

    def html(self) -> str:
        page = self.binary(_HTML)
        return self._decode(page, _charset_of(self.number(_BODY_CODE_PAGE))) if page else self.text(_HTML)

    def _decode(self, content: bytes, charset: str) -> str:
        letters = decode(content.rstrip(b"\0"), (charset or self._charset,))
        if letters is None:
            return content.decode("cp1252", errors="replace").replace("\0", "")
        self._draft.record_guess(letters.guess)
        return letters.text

    def entries_named(self, prefix: str) -> list[str]:
        return sorted(name for name in self._entry_names if name.startswith(prefix.lower()))

    def storage(self, name: str) -> "_Storage":
        return _Storage(self._file, (*self._path, name.lower()), self._draft, self._charset)


def _charset_of(code_page: int) -> str:
    return python_charset(_CODE_PAGES.get(code_page, f"cp{code_page}"))
