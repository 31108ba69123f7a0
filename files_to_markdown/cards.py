"""Converts address books and calendars (vCard, iCalendar, LDIF) to decoded text, one line per property.

Lines in these files are folded, and each value can be encoded in a different charset. Property names, and everything
that isn't encoded, stay the same.
"""

import binascii
import re
from collections.abc import Iterator, Sequence

from files_to_markdown.charsets import DecodedText, decode, python_charset
from files_to_markdown.document import Draft, Obstacle, Unreadable, displayed_text, is_binary

_PROPERTY = re.compile(rb'[^:";]*+(?P<settings>[^:"]*+(?:"[^"]*+"[^:"]*+)*):(?P<value>(?s:.*))')
_QUOTED = re.compile(rb";(?:ENCODING=)?QUOTED-PRINTABLE\b", re.IGNORECASE)
_BASE64 = re.compile(rb";(?:ENCODING=)?(?:BASE64|B)(?=;|$)", re.IGNORECASE)
_CHARSET = re.compile(rb';CHARSET="?([\w.:-]{2,40})', re.IGNORECASE)
_SETTING = re.compile(rb';(?:(?:ENCODING=)?(?:QUOTED-PRINTABLE|BASE64|B)|CHARSET="?[\w.:-]*"?)(?=;|$)', re.IGNORECASE)
_VERSION = re.compile(rb"VERSION:\s*(\d\.\d)", re.IGNORECASE)
"""Matches the version. In vCard up to 2.1 and vCalendar 1.0, lines are folded at a space, which is kept."""
_WITHIN_LETTER = re.compile(rb"[ \t]=[89AB][0-9A-F]", re.IGNORECASE)


def read_cards(content: bytes, declared: Sequence[str], draft: Draft) -> None:
    """Adds an address book or a calendar to a draft. `declared`: the charsets that the file declares, best first."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        content = content.decode("utf-16", errors="replace").encode()
    lines = [_parse_line(line) for line in _unfold(content.replace(b"\x0b", b" ").replace(b"\0", b""))]
    plain = decode(b"\n".join(value for _, value, charset in lines if not charset), declared)
    if plain is None:
        raise Unreadable(Obstacle.KIND)
    draft.record_guess(plain.guess)
    for name, value, charset in lines:
        letters = _decode_value(value, [charset, *declared, plain.guess])
        draft.record_guess(letters.guess if letters.guess != plain.guess else "")
        # A value of several lines must not look like several properties.
        draft.add((name.decode(errors="replace") + letters.text).replace("\n", "\n  "), "\n")


def _decode_value(value: bytes, names: Sequence[str]) -> DecodedText:
    if value.isascii() and b"\x1b" not in value:
        return DecodedText(displayed_text(value.decode()))
    return decode(value, names) or DecodedText(value.decode(errors="replace"))


def _unfold(content: bytes) -> Iterator[bytes]:
    pieces: list[bytes] = []
    fold, is_quoted, is_base64 = b"", False, False
    for line in content.splitlines():
        if is_quoted and pieces[-1].endswith(b"="):
            # Some programs fold such lines in both ways.
            pieces[-1:] = [pieces[-1][:-1], line[1:] if _WITHIN_LETTER.match(line) else line]
        elif pieces and line[:1] in (b" ", b"\t"):
            pieces += (b"" if is_base64 else fold, line[1:])
        else:
            yield b"".join(pieces)
            pieces = [line]
            name = line.partition(b":")[0]
            is_quoted, is_base64 = _QUOTED.search(name) is not None, _BASE64.search(name) is not None
            if version := _VERSION.match(line):
                fold = b" " if version[1] in (b"1.0", b"2.1") else b""
    yield b"".join(pieces)


def _parse_line(line: bytes) -> tuple[bytes, bytes, str]:
    """Returns a line's name (including parameters other than encodings), its value, and its declared charset."""
    found = _PROPERTY.match(line)
    if found is None:
        return b"", line, ""
    settings, value = found["settings"], found["value"]
    name = line[: found.start("settings")] + _SETTING.sub(b"", settings) + b":"
    charset = _CHARSET.search(settings)
    named = charset[1].decode() if charset else ""
    if _QUOTED.search(settings):
        return name, binascii.a2b_qp(value).replace(b"\r\n", b"\n"), named
    is_of_ldif = not settings and value.startswith(b": ")
    if (is_of_ldif or _BASE64.search(settings)) and (
        text := _decode_base64(value.removeprefix(b":"), named)
    ) is not None:
        return name + b" " * is_of_ldif, text, named or "utf-8"
    return (line[: found.start("value")], value, named) if named else (b"", line, "")


def _decode_base64(encoded: bytes, charset: str) -> bytes | None:
    """Decodes base64 text. Returns None if it is damaged or contains another type of file."""
    try:
        content = binascii.a2b_base64(encoded.strip(), strict_mode=True)
        text = content.decode(python_charset(charset) or "utf-8")
    except ValueError:
        return None
    return None if is_binary(text, 0) else content
