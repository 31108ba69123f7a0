"""Converted images, and the memory for one within the limits: less than 120 MB, measured in a separate process."""

import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, TiffImagePlugin

from files_to_markdown import images
from files_to_markdown.document import MAX_IMAGE_BYTES, MAX_PAGES, Obstacle, Unreadable
from files_to_markdown.plain_images import image_size, is_plain_image

MAX_PEAK_KB = 120_000
PREPARE = """
import pathlib, sys
from files_to_markdown import document, images
try:
    images.convert_first_page(pathlib.Path(sys.argv[1]).read_bytes())
    print("accepted")
except document.Unreadable:
    print("refused")
print(pathlib.Path("/proc/self/status").read_text())
"""


def picture(kind: str, size: tuple[int, int], mode: str = "RGB", **more: Any) -> bytes:
    packed = io.BytesIO()
    Image.new(mode, size, None if mode in ("P", "I;16") else "teal").save(packed, kind, **more)
    return packed.getvalue()


MOVING: dict[str, Any] = {"save_all": True, "append_images": [Image.new("RGB", (8, 6), "red")]}
TURNED = Image.Exif()
TURNED[0x0112] = 6
PLAIN = {
    "png": (picture("PNG", (2_000, 20)), "image/png"),
    "png of few colors": (picture("PNG", (8, 6), "P"), "image/png"),
    "png that is transparent": (picture("PNG", (8, 6), "RGBA"), "image/png"),
    "jpeg": (picture("JPEG", (20, 2_000)), "image/jpeg"),
    "jpeg in gray": (picture("JPEG", (8, 6), "L"), "image/jpeg"),
    "progressive jpeg": (picture("JPEG", (8, 6), progressive=True), "image/jpeg"),
    "jpeg with a byte that only fills": (
        picture("JPEG", (8, 6))[:2] + b"\xff" + picture("JPEG", (8, 6))[2:],
        "image/jpeg",
    ),
    "jpeg with bytes behind its end": (picture("JPEG", (8, 6)) + bytes(30), "image/jpeg"),
    "webp": (picture("WEBP", (8, 6)), "image/webp"),
    "lossless webp": (picture("WEBP", (8, 6), lossless=True), "image/webp"),
    "webp that is transparent": (picture("WEBP", (8, 6), "RGBA"), "image/webp"),
}
CONVERTED = {
    "tall png": (picture("PNG", (400, 4_000)), "image/png", (200, 2_000)),
    "png of one line": (picture("PNG", (12_000, 1)), "image/png", (2_000, 1)),
    "png of one column": (picture("PNG", (1, 12_000), "RGBA"), "image/png", (1, 2_000)),
    "wide jpeg": (picture("JPEG", (9_000, 900)), "image/jpeg", (2_000, 200)),
    "large webp": (picture("WEBP", (2_001, 90)), "image/webp", (2_000, 90)),
    "gif": (picture("GIF", (8, 6)), "image/gif", (8, 6)),
    "avif": (picture("AVIF", (2_400, 30)), "image/avif", (2_000, 25)),
    "avif that is transparent": (picture("AVIF", (8, 6), "RGBA"), "image/avif", (8, 6)),
    "tiff": (picture("TIFF", (8, 6), compression="tiff_lzw"), "image/tiff", (8, 6)),
    "tiff in ink": (picture("TIFF", (8, 6), "CMYK"), "image/tiff", (8, 6)),
    "fax": (picture("TIFF", (2_400, 30), "1", compression="group4"), "image/tiff", (2_000, 25)),
    "bmp": (picture("BMP", (2_400, 30)), "image/bmp", (2_000, 25)),
    "webp that moves": (picture("WEBP", (8, 6), **MOVING), "image/webp", (8, 6)),
    "png that moves": (picture("PNG", (8, 6), **MOVING), "image/png", (8, 6)),
    "png of 16 bits": (picture("PNG", (8, 6), "I;16"), "image/png", (8, 6)),
    "jpeg in ink": (picture("JPEG", (8, 6), "CMYK"), "image/jpeg", (8, 6)),
    "jpeg that is turned": (picture("JPEG", (8, 6), exif=TURNED), "image/jpeg", (6, 8)),
    "png that is turned": (picture("PNG", (8, 6), exif=TURNED), "image/png", (6, 8)),
    "webp that is turned": (picture("WEBP", (8, 6), exif=TURNED), "image/webp", (6, 8)),
    "jpeg with more bytes behind its end": (picture("JPEG", (8, 6)) + bytes(31), "image/jpeg", (8, 6)),
}
DAMAGED = {
    "png without its end": (picture("PNG", (800, 600))[:-2_000], "image/png"),
    "jpeg without its end": (picture("JPEG", (800, 600))[:-200], "image/jpeg"),
    "webp without its end": (picture("WEBP", (800, 600), lossless=True)[:-20], "image/webp"),
    "png of no width": (picture("PNG", (8, 6))[:16] + bytes(4) + picture("PNG", (8, 6))[20:], "image/png"),
    "nothing but its name": (b"\x89PNG\r\n\x1a\n", "image/png"),
    "jpeg of segments without end": (b"\xff\xd8" + b"\xff\xe2\0\2" * 1_000 + b"\xff\xd9", "image/jpeg"),
}


@pytest.mark.parametrize(("content", "media_type"), PLAIN.values(), ids=PLAIN)
def test_plain_image_is_sent_as_it_is(content: bytes, media_type: str) -> None:
    with Image.open(io.BytesIO(content)) as image:
        assert (is_plain_image(content, media_type), image_size(content, media_type)) == (True, image.size)


@pytest.mark.parametrize(("content", "media_type", "size"), CONVERTED.values(), ids=CONVERTED)
def test_large_or_rare_image_becomes_a_plain_one(content: bytes, media_type: str, size: tuple[int, int]) -> None:
    assert not is_plain_image(content, media_type)
    kind, converted, _ = images.convert_first_page(content)
    assert (is_plain_image(converted, kind), image_size(converted, kind)) == (True, size)


@pytest.mark.parametrize(("content", "media_type"), DAMAGED.values(), ids=DAMAGED)
def test_damaged_image_is_found_before_it_is_sent(content: bytes, media_type: str) -> None:
    assert not is_plain_image(content, media_type)
    with pytest.raises((OSError, SyntaxError, ValueError, EOFError)):
        images.convert_first_page(content)


def test_image_of_many_bytes_is_converted() -> None:
    content = picture("PNG", (8, 6))
    end = content[-12:]
    assert not is_plain_image(content[:-12] + bytes(MAX_IMAGE_BYTES) + end, "image/png")


def test_shades_of_16_bits_stay_apart() -> None:
    gray = io.BytesIO()
    Image.new("I;16", (8, 6), 0x8000).save(gray, "PNG")
    _, content, _ = images.convert_first_page(gray.getvalue())
    assert Image.open(io.BytesIO(content)).getpixel((0, 0)) == 0x80


def test_animated_image_becomes_its_first_frame() -> None:
    moving = picture("WEBP", (8, 6), save_all=True, append_images=[Image.new("RGB", (8, 6), "red")])
    media_type, content, has_more = images.convert_first_page(moving)
    with Image.open(io.BytesIO(content)) as image:
        red, green, blue = image.convert("RGB").getpixel((0, 0))  # type: ignore[misc]
    assert (media_type, has_more, red < 20, green > 110, blue > 110) == ("image/png", True, True, True, True)


def scan(*pages: tuple[int, dict[int, int]], size: tuple[int, int] = (8, 6)) -> bytes:
    packed = io.BytesIO()
    with TiffImagePlugin.AppendingTiffWriter(packed, new=True) as file:
        for shade, tags in pages:
            known = TiffImagePlugin.ImageFileDirectory_v2()
            for tag, value in tags.items():
                known[tag] = value
            Image.new("L", size, shade).save(file, "TIFF", tiffinfo=known)
            file.newFrame()
    return packed.getvalue()


def shades_of(pages: list[tuple[str, bytes]]) -> list[object]:
    return [Image.open(io.BytesIO(page)).getpixel((0, 0)) for _, page in pages]


@pytest.mark.parametrize(
    ("content", "shades", "has_more"),
    [
        (scan(*((shade, {}) for shade in (0, 1, 2, 3, 4))), [1, 2, 3, 4], False),
        (scan(*((shade, {}) for shade in (0, 1, 2, 3, 4, 5))), [1, 2, 3, 4], True),
        (scan((0, {}), (1, {254: 1}), (2, {254: 2}), (3, {255: 2}), (4, {254: 4})), [2], False),
        (scan((0, {}), (1, {}), size=(80, 60))[:-1_000], [], True),
        (picture("GIF", (8, 6), **MOVING), [], True),
        (picture("PNG", (8, 6)), [], False),
    ],
    ids=["as many as are shown", "more", "smaller copies and masks", "a damaged page", "frames", "one"],
)
def test_pages_of_a_scan_become_images(content: bytes, shades: list[int], has_more: bool) -> None:
    pages, is_more = images.convert_further_pages(content, MAX_IMAGE_BYTES)
    assert (shades_of(pages), is_more) == (shades, has_more)


def test_pages_take_no_more_than_their_room() -> None:
    pages, has_more = images.convert_further_pages(scan((0, {}), (1, {}), (2, {})), 100)
    assert (shades_of(pages), has_more) == ([1], True)


@pytest.mark.parametrize(("pages", "media_type"), [(1, "image/png"), (2, "image/jpeg")])
def test_first_page_of_several_takes_its_share_of_the_room(pages: int, media_type: str) -> None:
    content = scan(*[(0, {})] * pages)
    _, packed, _ = images.convert_first_page(content)
    assert images.convert_first_page(content, max_png_bytes=len(packed) * MAX_PAGES - 1)[0] == media_type


def test_small_copy_is_no_further_page() -> None:
    assert images.convert_first_page(scan((0, {}), (1, {254: 1})))[2] is False


@pytest.mark.parametrize("mode", ["P", "L", "LA", "RGBA", "CMYK"])
def test_large_image_of_any_color_mode_is_converted(mode: str) -> None:
    large = picture("JPEG" if mode == "CMYK" else "PNG", (2_100, 700), mode)
    media_type, content, has_more = images.convert_first_page(large, max_png_bytes=10)
    assert (media_type, has_more) == ("image/jpeg", False)
    assert Image.open(io.BytesIO(content)).size == (2_000, 667)


@pytest.mark.parametrize(
    ("mode", "clear_color"), [("LA", None), ("RGBA", None), ("RGB", (0, 0, 0)), ("L", 0), ("P", 0), ("I;16", 0)]
)
def test_transparent_image_that_becomes_a_jpeg_stands_on_white(mode: str, clear_color: object) -> None:
    clear = io.BytesIO()
    Image.new(mode, (2_100, 700)).save(clear, "PNG", **({} if clear_color is None else {"transparency": clear_color}))
    media_type, content, _ = images.convert_first_page(clear.getvalue(), max_png_bytes=10)
    with Image.open(io.BytesIO(content)) as image:
        assert (media_type, image.getpixel((0, 0))) == ("image/jpeg", (255, 255, 255))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak from /proc")
@pytest.mark.parametrize(
    ("kind", "mode", "size", "is_accepted"),
    [
        ("PNG", "RGB", (4_032, 3_024), True),
        pytest.param("PNG", "RGBA", (4_500, 2_800), True, marks=pytest.mark.long),
        ("PNG", "RGB", (8_000, 5_000), False),
        ("JPEG", "RGB", (8_000, 6_000), True),
        pytest.param("JPEG", "RGB", (3_990, 3_990), False, marks=pytest.mark.long),
        pytest.param("WEBP", "RGB", (2_200, 1_900), True, marks=pytest.mark.long),
        pytest.param("GIF", "P", (5_000, 5_000), True, marks=pytest.mark.long),
        pytest.param("TIFF", "RGB", (2_400, 1_900), True, marks=pytest.mark.long),
        pytest.param("AVIF", "RGB", (2_200, 1_900), True, marks=pytest.mark.long),
        pytest.param("BMP", "RGB", (2_400, 1_900), True, marks=pytest.mark.long),
    ],
)
def test_accepted_image_peaks_below_120_mb(
    kind: str, mode: str, size: tuple[int, int], is_accepted: bool, tmp_path: Path
) -> None:
    file = tmp_path / "image"
    file.write_bytes(picture(kind, size, mode))
    said = subprocess.run([sys.executable, "-c", PREPARE, str(file)], capture_output=True, text=True, check=True).stdout
    peak = re.search(r"VmHWM:\s*(\d+) kB", said)
    assert peak is not None
    assert (said.startswith("accepted"), int(peak[1]) < MAX_PEAK_KB) == (is_accepted, True), said.splitlines()[0]


def test_progressive_jpeg_counts_what_its_decoder_holds() -> None:
    with pytest.raises(Unreadable) as raised:
        images.convert_first_page(picture("JPEG", (6_000, 5_000), progressive=True))
    assert raised.value.refusal is Obstacle.TOO_MANY_PIXELS
