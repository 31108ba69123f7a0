"""What a refusal says of the files of its request: what is wrong with them, and how many pixels they may have."""

import pytest

from bot.errors import FileFault
from bot.models.failures import ErrorResponse
from bot.models.refused_files import RefusedFiles, parse_file_refusal

BYTES = RefusedFiles(FileFault.TOO_LARGE, is_about_files=True)
PAGE = "<html><title>413 Request Entity Too Large</title></html>"
IN_BYTES = "messages.0.content.1.image.source.base64: image exceeds 5 MB maximum: 6000000 bytes > 5242880 bytes"
SIZES = "At least one of the image dimensions exceed max allowed size: 1000 pixels"


@pytest.mark.parametrize(
    ("status", "body", "refused"),
    [
        (413, "", BYTES),
        (413, PAGE, BYTES),
        (413, "Request exceeds the maximum size", BYTES),
        (400, IN_BYTES, BYTES),
        (400, SIZES, RefusedFiles(FileFault.TOO_LARGE, is_about_files=True, max_pixels=1_000)),
        (400, "Image size 1500x60 exceeds the maximum of 1024x900", RefusedFiles(FileFault.TOO_LARGE, True, 900)),
        (400, "image resolution must be at most 640 pixels on a side", RefusedFiles(FileFault.FILE, True, 640)),
        (400, "the resolution of an image exceeds the limit", RefusedFiles(FileFault.FILE, is_about_files=True)),
        (400, "Could not process image", RefusedFiles(FileFault.FILE, is_about_files=True)),
        (400, "Bad request.", RefusedFiles(FileFault.FILE, is_about_files=False)),
        (400, "At most 1 image(s) may be provided.", RefusedFiles(FileFault.TOGETHER, is_about_files=True)),
        (400, "At most 5 images or PDFs may be provided.", RefusedFiles(FileFault.TOGETHER, is_about_files=True)),
        # One PDF may be what is too many.
        (400, "Too many PDFs: up to 5 PDFs.", RefusedFiles(FileFault.FILE, is_about_files=True, is_about_pdfs=True)),
        (413, "The PDF is too large", RefusedFiles(FileFault.TOO_LARGE, is_about_files=True, is_about_pdfs=True)),
        (400, "This model does not support image input", RefusedFiles(FileFault.KIND, is_about_files=True)),
        (500, "image input is not supported", RefusedFiles(FileFault.KIND, is_about_files=True)),
        (404, "No model found that supports image input", RefusedFiles(FileFault.KIND, is_about_files=True)),
        (400, {"code": "image_too_large", "message": "No."}, BYTES),
        (400, {"code": "invalid_image_format", "message": "No."}, RefusedFiles(FileFault.FILE, is_about_files=True)),
        (400, {"code": "image_content_policy_violation", "message": "No."}, None),
        (404, "The model does not exist", None),
        (500, "The server had an error.", None),
        (429, "Too many images in a minute", None),
        (401, "No image without a key", None),
        (400, "Invalid API key", None),
        (405, PAGE, None),
    ],
)
def test_refusal_says_what_is_wrong_with_the_files(status: int, body: object, refused: RefusedFiles | None) -> None:
    assert parse_file_refusal(ErrorResponse(status, {}, body)) == refused
