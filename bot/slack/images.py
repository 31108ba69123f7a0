"""Converts images to what vendors accept: one frame, and no larger than models look at anyway."""

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

MOST_IMAGE_BYTES = 3_700_000
"""Anthropic accepts 5 MB of base64 per image: https://platform.claude.com/docs/en/build-with-claude/vision"""
LOOKED_AT_PIXELS = 2048
"""The longer side. Vendors scale larger images down themselves."""
MOST_PIXELS = 40_000_000
"""A small file may claim any number of pixels; more than this isn't unpacked."""


def prepared(content: bytes, media_type: str) -> tuple[bytes, str]:
    """Returns an image that vendors accept and its media type; unchanged if it is accepted as it is.

    Takes long: call it in a thread. Raises ValueError if the image can't be read.
    """
    if len(content) <= MOST_IMAGE_BYTES and not _moves(content, media_type):
        return content, media_type
    # Megabytes to import, and few questions need it.
    from PIL import Image, ImageOps, UnidentifiedImageError

    # PIL's own limit only warns at first; ours is below.
    Image.MAX_IMAGE_PIXELS = None
    try:
        with Image.open(io.BytesIO(content)) as image:
            # Only JPEG can be unpacked at a smaller size.
            image.draft("RGB", (LOOKED_AT_PIXELS, LOOKED_AT_PIXELS))
            if image.width * image.height > MOST_PIXELS:
                raise ValueError("too many pixels")
            image.seek(0)
            upright = ImageOps.exif_transpose(image)
            upright.thumbnail((LOOKED_AT_PIXELS, LOOKED_AT_PIXELS))
            return _packed(upright)
    except (UnidentifiedImageError, OSError, SyntaxError, EOFError) as error:
        raise ValueError(str(error)) from error


def _moves(content: bytes, media_type: str) -> bool:
    """Returns whether the image may have several frames.

    Source: https://developers.google.com/speed/webp/docs/riff_container, "Extended File Format".
    """
    return media_type == "image/gif" or (content[12:16] == b"VP8X" and bool(content[20:21] and content[20] & 2))


def _packed(image: "Image.Image") -> tuple[bytes, str]:
    """Returns the image as PNG, which loses nothing, or as JPEG if the PNG is too large."""
    packed = io.BytesIO()
    if image.mode not in ("RGB", "RGBA", "L"):
        image = image.convert("RGBA")
    image.save(packed, "PNG")
    if packed.tell() <= MOST_IMAGE_BYTES:
        return packed.getvalue(), "image/png"
    packed = io.BytesIO()
    image.convert("RGB").save(packed, "JPEG", quality=85)
    return packed.getvalue(), "image/jpeg"
