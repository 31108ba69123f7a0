"""What images become, and that one that is accepted takes less than 120 MB to unpack, measured in its own process."""

import io
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from bot.documents import images
from bot.documents.document import MAX_IMAGE_BYTES, Refusal, Unreadable, is_accepted_image

MAX_PEAK_KB = 120_000
PREPARE = """
import pathlib, sys
from bot.documents import document, images
try:
    images.converted(pathlib.Path(sys.argv[1]).read_bytes())
    print("accepted")
except document.Unreadable:
    print("refused")
print(pathlib.Path("/proc/self/status").read_text())
"""


def picture(kind: str, size: tuple[int, int], mode: str = "RGB", **more: object) -> bytes:
    packed = io.BytesIO()
    Image.new(mode, size, None if mode == "P" else "teal").save(packed, kind, **more)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("content", "media_type", "is_accepted"),
    [
        (picture("PNG", (3_000, 20)), "image/png", True),
        (picture("WEBP", (8, 6)), "image/webp", True),
        (picture("GIF", (8, 6)), "image/gif", False),
        (picture("WEBP", (8, 6), save_all=True, append_images=[Image.new("RGB", (8, 6), "red")]), "image/webp", False),
        (bytes(MAX_IMAGE_BYTES + 1), "image/png", False),
    ],
    ids=["small", "still", "gif", "animated", "large"],
)
def test_small_image_of_one_frame_is_accepted_as_it_is(content: bytes, media_type: str, is_accepted: bool) -> None:
    assert is_accepted_image(content, media_type) is is_accepted


def test_animated_image_becomes_its_first_frame() -> None:
    moving = picture("WEBP", (8, 6), save_all=True, append_images=[Image.new("RGB", (8, 6), "red")])
    media_type, content = images.converted(moving)
    with Image.open(io.BytesIO(content)) as image:
        red, green, blue = image.convert("RGB").getpixel((0, 0))  # type: ignore[misc]
    assert (media_type, red < 20, green > 110, blue > 110) == ("image/png", True, True, True)


@pytest.mark.parametrize("mode", ["P", "L", "LA", "RGBA", "CMYK"])
def test_large_image_of_any_color_mode_is_converted(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_IMAGE_BYTES", 10)
    media_type, content = images.converted(picture("JPEG" if mode == "CMYK" else "PNG", (2_100, 700), mode))
    assert media_type == "image/jpeg"
    assert Image.open(io.BytesIO(content)).size == (2_048, 683)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak from /proc")
@pytest.mark.parametrize(
    ("kind", "mode", "size", "is_accepted"),
    [
        ("PNG", "RGB", (4_032, 3_024), True),
        pytest.param("PNG", "RGBA", (4_500, 2_800), True, marks=pytest.mark.long),
        ("PNG", "RGB", (8_000, 5_000), False),
        ("JPEG", "RGB", (8_000, 6_000), True),
        pytest.param("JPEG", "RGB", (4_090, 4_090), False, marks=pytest.mark.long),
        pytest.param("WEBP", "RGB", (2_200, 1_900), True, marks=pytest.mark.long),
        pytest.param("GIF", "P", (5_000, 5_000), True, marks=pytest.mark.long),
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
        images.converted(picture("JPEG", (6_000, 5_000), progressive=True))
    assert raised.value.refusal is Refusal.TOO_MANY_PIXELS
