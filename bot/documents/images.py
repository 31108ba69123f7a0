"""Converts images to what vendors accept: one frame, and no larger than models look at anyway."""

import io

from PIL import Image, ImageOps

from bot.documents.document import MAX_IMAGE_BYTES, Refusal, Unreadable

LOOKED_AT_PIXELS = 2048
"""The longer side. Vendors scale larger images down themselves."""
MAX_UNPACKED_BYTES = 84_000_000
"""A file, its pixels, and those of half a resize. A small file may claim any number of pixels; more aren't unpacked.

With Python and the result, a process that does nothing else takes less than 120 MB (tests/documents/test_images.py).
"""
PIXEL_BYTES = {"1": 1, "L": 1, "P": 1, "RGBA": 5, "LA": 5, "PA": 5}
"""Bytes that a pixel takes by its mode, with a copy of one band where bands are scaled one by one. Others take 4."""
_FORMATS = ("GIF", "JPEG", "PNG", "WEBP")


def converted(content: bytes) -> tuple[str, bytes]:
    """Returns an image's media type and bytes in a form that vendors accept.

    Raises Unreadable if unpacking it would take too much memory, or any error of the library.
    """
    # PIL's own limit only warns at first; ours is below.
    Image.MAX_IMAGE_PIXELS = None
    with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
        # Beside the pixels, libwebp's animation decoder holds more than one canvas, and libjpeg each pixel of a
        # progressive JPEG, however small it is unpacked.
        of_a_pixel = {"WEBP": 12, "JPEG": 6 if image.info.get("progressive") else 0}.get(image.format or "", 0)
        held_bytes = image.width * image.height * of_a_pixel
        # Only JPEG can be unpacked at a smaller size.
        image.draft("RGB", (LOOKED_AT_PIXELS, LOOKED_AT_PIXELS))
        held_bytes += len(content) + image.width * image.height * PIXEL_BYTES.get(image.mode, 4)
        # PIL resizes all rows first, then all columns.
        held_bytes += LOOKED_AT_PIXELS * image.height * (1 if image.mode in PIXEL_BYTES else 4)
        if held_bytes > MAX_UNPACKED_BYTES:
            raise Unreadable(Refusal.TOO_MANY_PIXELS)
        image.seek(0)
        # Scaled first: turning an image takes another copy of it.
        return _packed(ImageOps.exif_transpose(_scaled(image)))


def _scaled(image: Image.Image) -> Image.Image:
    """Returns the image no larger than models look at.

    PIL would copy all of an image with an alpha band. So its bands are scaled one by one.
    """
    scale = LOOKED_AT_PIXELS / max(image.size)
    if scale >= 1 or image.mode not in ("RGBA", "LA"):
        image.thumbnail((LOOKED_AT_PIXELS, LOOKED_AT_PIXELS))
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    bands = [image.getchannel(band).resize(size, Image.Resampling.BICUBIC) for band in image.getbands()]
    scaled = Image.merge(image.mode, bands)
    scaled.getexif().update(image.getexif())
    return scaled


def _packed(image: Image.Image) -> tuple[str, bytes]:
    """Returns the image as PNG, which loses nothing, or as JPEG if the PNG is too large."""
    packed = io.BytesIO()
    if image.mode not in ("RGB", "RGBA", "L"):
        image = image.convert("RGBA")
    image.save(packed, "PNG")
    if packed.tell() <= MAX_IMAGE_BYTES:
        return "image/png", packed.getvalue()
    packed = io.BytesIO()
    image.convert("RGB").save(packed, "JPEG", quality=85)
    return "image/jpeg", packed.getvalue()
