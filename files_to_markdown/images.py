"""Converts images for vendors: one frame, or the pages of a scan, scaled to the size that models use."""

import io
from collections.abc import Iterator
from contextlib import suppress

from PIL import AvifImagePlugin, Image, ImageOps, TiffImagePlugin

from files_to_markdown.document import MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS, MAX_PAGES, Obstacle, Unreadable

MAX_UNPACKED_BYTES = 84_000_000
"""The limit for the file, its pixels, and the pixels of half a resize together, because a small file can declare any
number of pixels. Including Python and the result, a process that does nothing else uses less than 120 MB."""
MAX_SUBFILES = 50
"""Maximum number of images in a TIFF file to check for pages."""
PIXEL_BYTES = {"1": 1, "L": 1, "P": 1, "RGBA": 5, "LA": 5, "PA": 5}
"""Bytes per pixel by mode, including a copy of one band if bands are scaled one by one. Other modes need 4."""
_SUBFILE, _OLD_SUBFILE = 254, 255
"""TIFF tags that show whether an image is a smaller copy or a mask of another one, and so isn't a page."""
_FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")

# The process can't start threads.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1
# PIL's limit only warns at first; this module has its own.
Image.MAX_IMAGE_PIXELS = None


def convert_first_page(
    content: bytes, max_pixels: int = MAX_IMAGE_PIXELS, max_png_bytes: int = MAX_IMAGE_BYTES
) -> tuple[str, bytes, bool]:
    """Converts an image's first page. Returns the media type, the bytes, and whether there are more pages or frames.
    `max_pixels`: the maximum longer side. `max_png_bytes`: the maximum size of a PNG, because a larger one becomes a
    JPEG. Raises Unreadable if unpacking would need too much memory, or any error of the library."""
    pages = list(_pages(content))
    most = max_png_bytes // MAX_PAGES if len(pages) > 1 else max_png_bytes
    return *_convert_page(content, pages[0], max_pixels, most), len(pages) > 1 or _is_animated(content)


def convert_further_pages(content: bytes, room_bytes: int) -> tuple[list[tuple[str, bytes]], bool]:
    """Converts an image's pages (not frames) after the first, and also returns whether there are more."""
    found: list[tuple[str, bytes]] = []
    pages = list(_pages(content))[1:]
    # A page that is damaged or too large ends the list, and so does running out of time.
    with suppress(Exception):
        for page in pages[: MAX_PAGES - 1]:
            kind, packed = _convert_page(content, page, MAX_IMAGE_PIXELS, MAX_IMAGE_BYTES // MAX_PAGES)
            if (room_bytes := room_bytes - len(packed)) < 0:
                break
            found.append((kind, packed))
    return found, len(found) < len(pages) or _is_animated(content)


def _pages(content: bytes) -> Iterator[int]:
    """Yields the indexes of a scan's pages, up to one more than can become images. For any other image, yields only the
    first."""
    yield 0
    with suppress(Exception), Image.open(io.BytesIO(content), formats=_FORMATS) as image:
        found, at = 1, 0
        while isinstance(image, TiffImagePlugin.TiffImageFile) and found <= MAX_PAGES and at < MAX_SUBFILES:
            at += 1
            image.seek(at)
            if not (image.tag_v2.get(_SUBFILE, 0) & 5 or image.tag_v2.get(_OLD_SUBFILE) == 2):
                found += 1
                yield at


def _convert_page(content: bytes, page: int, max_pixels: int, max_png_bytes: int) -> tuple[str, bytes]:
    with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
        # In addition to the pixels, the decoders of libwebp and libavif allocate more than one canvas, and libjpeg
        # stores each pixel of a progressive JPEG, even if it is unpacked at a small size.
        image.seek(page)
        of_a_pixel = {"AVIF": 12, "WEBP": 12, "JPEG": 6 if image.info.get("progressive") else 0}.get(
            image.format or "", 0
        )
        held_bytes = image.width * image.height * of_a_pixel
        # Only JPEG can be unpacked at a smaller size.
        image.draft("RGB", (max_pixels, max_pixels))
        held_bytes += len(content) + image.width * image.height * PIXEL_BYTES.get(image.mode, 4)
        # PIL resizes all rows first, then all columns.
        width, _ = _scaled_size(image, max_pixels)
        held_bytes += width * image.height * (1 if image.mode in PIXEL_BYTES else 4)
        if held_bytes > MAX_UNPACKED_BYTES:
            raise Unreadable(Obstacle.TOO_MANY_PIXELS)
        # Scaled first, because rotating needs another copy of the image.
        return _encode(ImageOps.exif_transpose(_scale(image, max_pixels)), max_png_bytes)


def _is_animated(content: bytes) -> bool:
    """Returns whether an image has a second frame. Counting all of them could take as long as unpacking them."""
    # A damaged second frame doesn't count.
    with suppress(Exception), Image.open(io.BytesIO(content), formats=_FORMATS) as image:
        image.seek(1)
        return image.format != "TIFF"
    return False


def _scale(image: Image.Image, max_pixels: int) -> Image.Image:
    """Scales an image to the size that models use, band by band, because PIL would copy all bands at once."""
    size = _scaled_size(image, max_pixels)
    if size == image.size or image.mode not in ("RGBA", "LA"):
        image.thumbnail((max_pixels, max_pixels))
        return image
    bands = [image.getchannel(band).resize(size, Image.Resampling.BICUBIC) for band in image.getbands()]
    scaled = Image.merge(image.mode, bands)
    scaled.getexif().update(image.getexif())
    return scaled


def _scaled_size(image: Image.Image, max_pixels: int) -> tuple[int, int]:
    scale = min(1.0, max_pixels / max(image.size))
    return max(1, round(image.width * scale)), max(1, round(image.height * scale))


def _encode(image: Image.Image, max_png_bytes: int) -> tuple[str, bytes]:
    """Returns an image as a lossless PNG, or as a JPEG if the PNG would be too large."""
    packed = io.BytesIO()
    if image.mode.startswith("I;16") or image.mode == "I":
        # The direct conversion would clip each of 65,536 shades at 255.
        image = image.convert("I").point(lambda shade: shade / 256).convert("L")
    # A PNG can declare one color as transparent, instead of a band.
    if image.mode not in ("RGB", "RGBA", "L") or "transparency" in image.info:
        image = image.convert("RGBA")
    image.save(packed, "PNG")
    if packed.tell() <= max_png_bytes:
        return "image/png", packed.getvalue()
    packed = io.BytesIO()
    if image.mode == "RGBA":
        # JPEG doesn't support transparency, and most programs store black under it.
        paper = Image.new("RGB", image.size, "white")
        paper.paste(image, mask=image.getchannel("A"))
        image = paper
    image.convert("RGB").save(packed, "JPEG", quality=85)
    return "image/jpeg", packed.getvalue()
