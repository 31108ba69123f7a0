"""Determines from an image's bytes whether it can be sent unchanged. No I/O, and the time doesn't depend on the number
of pixels.

Vendors reject a whole request if one image is too large, damaged or in an unusual format. So an image is sent unchanged
only if its bytes show that it is plain. Any other image is decoded and rewritten in a separate process. The limits are
those of the strictest vendor, because any model in use might answer.

Sources: RFC 2083 and the APNG extension for PNG, ITU-T T.81 for JPEG, and
https://developers.google.com/speed/webp/docs/riff_container for WebP.
"""

import struct
from collections.abc import Callable, Mapping

from files_to_markdown.document import MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS

MAX_SEGMENTS = 200
"""Maximum number of segments before a JPEG's size. Cameras write about twenty."""
MAX_CHUNKS = 64
"""Maximum number of chunks before a PNG's pixels."""
END_BYTES = 32
"""The maximum distance between a JPEG's end marker and the end of the file."""
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_COMMON_FRAMES = (0xC0, 0xC1, 0xC2)
_WITHOUT_LENGTH = (0x01, *range(0xD0, 0xD8))

Size = tuple[int, int]


def is_plain_image(content: bytes, media_type: str) -> bool:
    """Returns whether all vendors accept an image unchanged because it is complete, upright, still, small and in a
    common format.
    """
    read = _READERS.get(media_type)
    size = read(content) if read and len(content) <= MAX_IMAGE_BYTES else None
    return size is not None and min(size) > 0 and max(size) <= MAX_IMAGE_PIXELS


def image_size(content: bytes, media_type: str) -> Size | None:
    read = _READERS.get(media_type)
    return read(content) if read else None


def _png_size(content: bytes) -> Size | None:
    if len(content) < 45 or content[12:16] != b"IHDR" or content[-8:-4] != b"IEND":
        return None
    width, height, depth = struct.unpack(">IIB", content[16:25])
    at = 8
    for _ in range(MAX_CHUNKS):
        if at + 8 > len(content):
            return None
        length, kind = struct.unpack(">I4s", content[at : at + 8])
        if kind == b"IDAT":
            return (width, height) if depth <= 8 else None
        # An animated or rotated image.
        if kind in (b"acTL", b"eXIf"):
            return None
        at += 12 + length
    return None


def _jpeg_size(content: bytes) -> Size | None:
    if b"\xff\xd9" not in content[-END_BYTES:]:
        return None
    at = 2
    for _ in range(MAX_SEGMENTS):
        if at + 10 > len(content) or content[at] != 0xFF:
            return None
        marker, length = content[at + 1], int.from_bytes(content[at + 2 : at + 4])
        if marker == 0xFF or marker in _WITHOUT_LENGTH:
            at += 1 if marker == 0xFF else 2
            continue
        # A camera's metadata may rotate the image.
        if marker == 0xE1 and content[at + 4 : at + 8] == b"Exif":
            return None
        if marker in _FRAMES:
            depth, height, width, bands = struct.unpack(">BHHB", content[at + 4 : at + 10])
            is_common = marker in _COMMON_FRAMES and depth == 8 and bands in (1, 3)
            return (width, height) if is_common else None
        at += 2 + length
    return None


def _webp_size(content: bytes) -> Size | None:
    if len(content) < 30 or int.from_bytes(content[4:8], "little") + 8 > len(content):
        return None
    match content[12:16]:
        case b"VP8X":
            moves_or_turned = content[20] & 0b1010
            width, height = (1 + int.from_bytes(content[at : at + 3], "little") for at in (24, 27))
            return None if moves_or_turned else (width, height)
        case b"VP8L":
            bits = int.from_bytes(content[21:25], "little")
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        case b"VP8 ":
            width, height = struct.unpack("<HH", content[26:30])
            return width & 0x3FFF, height & 0x3FFF
    return None


_READERS: Mapping[str, Callable[[bytes], Size | None]] = {
    "image/png": _png_size,
    "image/jpeg": _jpeg_size,
    "image/webp": _webp_size,
}
