"""An image that is accepted takes less than 120 MB to unpack, measured in a process of its own."""

import io
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from bot.slack import images

MAX_PEAK_KB = 120_000
PREPARE = """
import pathlib, sys
from bot.slack import images
try:
    images.prepared(pathlib.Path(sys.argv[1]).read_bytes(), "image/gif")
    print("accepted")
except images.TooManyPixels:
    print("refused")
print(pathlib.Path("/proc/self/status").read_text())
"""

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak from /proc")


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
    packed = io.BytesIO()
    Image.new(mode, size).save(packed, kind)
    file = tmp_path / "image"
    file.write_bytes(packed.getvalue())
    said = subprocess.run([sys.executable, "-c", PREPARE, str(file)], capture_output=True, text=True, check=True).stdout
    peak = re.search(r"VmHWM:\s*(\d+) kB", said)
    assert peak is not None
    assert (said.startswith("accepted"), int(peak[1]) < MAX_PEAK_KB) == (is_accepted, True), said.splitlines()[0]


def test_progressive_jpeg_counts_what_its_decoder_holds() -> None:
    packed = io.BytesIO()
    Image.new("RGB", (6_000, 5_000)).save(packed, "JPEG", progressive=True)
    with pytest.raises(images.TooManyPixels):
        images.prepared(packed.getvalue(), "image/gif")
