"""The names in the root of a compound file, which old office files are.

A document may hold a file of another program with names of its own, so only the root tells what was shared.
Source: [MS-CFB], https://learn.microsoft.com/openspecs/windows_protocols/ms-cfb
"""

import struct
from collections.abc import Iterator

_ENTRY_BYTES = 128
_LAST_SECTOR = 0xFFFFFFFA


def root_names(content: bytes) -> frozenset[str]:
    """Returns the names of the streams and storages in the root. Raises ValueError or struct.error if it's damaged."""
    (shift,) = struct.unpack_from("<H", content, 30)
    if shift not in (9, 12):
        raise ValueError
    size_bytes = 1 << shift
    (first,) = struct.unpack_from("<I", content, 48)
    table = [entry for sector in _table_sectors(content, size_bytes) for entry in _numbers(content, sector, size_bytes)]
    directory = b"".join(_sector(content, at, size_bytes) for at in _chain(table, first))
    if len(directory) < _ENTRY_BYTES:
        raise ValueError
    (child,) = struct.unpack_from("<I", directory, 76)
    names, seen, left = set(), set(), [child]
    while left:
        at = left.pop()
        if at in seen or (at + 1) * _ENTRY_BYTES > len(directory):
            continue
        seen.add(at)
        length, before, after = struct.unpack_from("<H2x2I", directory, at * _ENTRY_BYTES + 64)
        name = directory[at * _ENTRY_BYTES :][: max(0, min(length, 64) - 2)]
        names.add(name.decode("utf-16-le", "replace"))
        left += [before, after]
    return frozenset(names)


def _table_sectors(content: bytes, size_bytes: int) -> Iterator[int]:
    """Yields the sectors that hold the table of all sectors: 109 are listed in the header, the others in a chain."""
    listed = struct.unpack_from("<109I", content, 76)
    yield from (sector for sector in listed if sector < _LAST_SECTOR)
    (at,) = struct.unpack_from("<I", content, 68)
    seen = set()
    while at < _LAST_SECTOR and at not in seen:
        seen.add(at)
        *more, at = _numbers(content, at, size_bytes)
        yield from (sector for sector in more if sector < _LAST_SECTOR)


def _chain(table: list[int], at: int) -> Iterator[int]:
    seen = set()
    while at < len(table) and at not in seen:
        seen.add(at)
        yield at
        at = table[at]


def _sector(content: bytes, at: int, size_bytes: int) -> bytes:
    # Sectors are counted from the one after the header, which takes a whole one.
    begin = (at + 1) * size_bytes
    return content[begin : begin + size_bytes].ljust(size_bytes, b"\xff")


def _numbers(content: bytes, at: int, size_bytes: int) -> tuple[int, ...]:
    return struct.unpack(f"<{size_bytes // 4}I", _sector(content, at, size_bytes))
