"""Images as vendors take them: the first frame of one that moves, and none larger than a model looks at anyway."""

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

MOST_IMAGE_BYTES = 3_700_000
"""Anthropic takes 5 MB of base64 an image: https://platform.claude.com/docs/en/build-with-claude/vision"""
LOOKED_AT_PIXELS = 2048
"""Of the longer side: vendors make larger images smaller themselves."""
MOST_PIXELS = 40_000_000
"""More than a small file may claim to hold is not unpacked."""


def prepared(content: bytes, media_type: str) -> tuple[bytes, str]:
    """The image and its type, as they are where that will do. Takes its time: call it in a thread.

    Raises ValueError where it can't be read.
    """
    if len(content) <= MOST_IMAGE_BYTES and not _moves(content, media_type):
        return content, media_type
    # Megabytes to import, for what few questions need.
    from PIL import Image, ImageOps, UnidentifiedImageError

    # Its own guard only warns at first; ours is below.
    Image.MAX_IMAGE_PIXELS = None
    try:
        with Image.open(io.BytesIO(content)) as image:
            # JPEG alone can be unpacked smaller than it is.
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
    """May have several frames: https://developers.google.com/speed/webp/docs/riff_container, "Extended File Format"."""
    return media_type == "image/gif" or (content[12:16] == b"VP8X" and bool(content[20:21] and content[20] & 2))


def _packed(image: "Image.Image") -> tuple[bytes, str]:
    """PNG, which loses nothing, or JPEG where that would be too large."""
    packed = io.BytesIO()
    if image.mode not in ("RGB", "RGBA", "L"):
        image = image.convert("RGBA")
    image.save(packed, "PNG")
    if packed.tell() <= MOST_IMAGE_BYTES:
        return packed.getvalue(), "image/png"
    packed = io.BytesIO()
    image.convert("RGB").save(packed, "JPEG", quality=85)
    return packed.getvalue(), "image/jpeg"
