"""Recognizes refusals caused by a request's files, and shrinks images for the next request.

A refused request is sent again with smaller images, then without files. Servers word these refusals in many ways, and
llama.cpp sends status 500.
"""

import base64
import re
from dataclasses import dataclass, replace
from http import HTTPStatus

from bot.errors import EndReason, FileFault
from bot.models.failures import BAD_REQUEST, ErrorResponse, codes_text, is_temporary, reason_and_sentence
from bot.models.prompt import Media, Prompt
from files_to_markdown.document import MAX_IMAGE_BYTES, Obstacle
from files_to_markdown.plain_images import image_size
from files_to_markdown.process import convert_image

SMALLER_PIXELS = 1_000
"""Maximum side length of images after a vendor refused a large file. Text in images stays legible."""
MIN_SHRUNK_BYTES = 20_000
"""Minimum size of images to shrink. Smaller ones aren't the reason why a request is too large."""
_REFUSAL_REASONS = {EndReason.UNEXPECTED, EndReason.CONTEXT_TOO_LONG}
_FILE_WORDS = re.compile(r"\b(?:image(?:s|_url)?|vision|multi-?modal|pdfs?|documents?|input_(?:file|image))\b", re.I)
_PDF_WORDS = re.compile(r"\bpdfs?\b", re.I)
"""Matches mentions of PDFs. A single PDF can be refused for having too many pages."""
_HAS_NO_VISION = re.compile(
    r"(?:\bnot?\b|n't|\bonly\b)[^.]{0,40}(?:support|accept|enabled|multi-?modal|vision)|\b0 image|text.only", re.I
)
_FILE_FAULT = re.compile(r"format|media.type|size|dimension|resolution|pixel|corrupt|decode|could not process", re.I)
_TOO_MANY_BYTES = re.compile(
    r"too (?:large|big)|larger than|payload"
    r"|\bexceed\w*\b[^.]{0,40}\b(?:size|bytes?|[kmg]i?b)\b|(?:size|bytes)\b[^.]{0,40}\b(?:exceed|limit)",
    re.I,
)
_TOO_MANY_FILES = re.compile(
    r"(?:at most|up to|more than|maximum of|limit of) [1-9]\d{0,3} (?:image|file|picture|document|pdf)"
    r"|too many (?:images|files|pictures|documents|pdfs)|(?:number|count) of (?:images|files|documents|pdfs)",
    re.I,
)
_MAX_PIXELS = re.compile(
    r"(?:exceed|max|limit|at most|up to|larger than|less than|within)[^\d]{0,60}(\d{2,5})(?:\s*[x×*]\s*(\d{2,5}))?",
    re.I,
)
_STATED_PIXELS = re.compile(r"max_side_length_pixels\W{1,5}(\d{2,5})")
"""Matches the limit in Anthropic's image_dimensions_too_large errors (anthropic 2.14.0)."""
_PIXEL_WORDS = re.compile(r"pixel|dimension|resolution|width|height|\bsides?\b|\d\s*[x×]\s*\d", re.I)


@dataclass(frozen=True, slots=True)
class RefusedFiles:
    fault: FileFault
    is_about_files: bool
    """Whether the refusal mentions files or sizes, so nothing else can be the cause."""
    max_pixels: int = 0
    is_about_pdfs: bool = False


def parse_file_refusal(refusal: ErrorResponse) -> RefusedFiles | None:
    failure, message = reason_and_sentence(refusal)
    words = f"{codes_text(refusal)} {message}"
    is_about_files = _FILE_WORDS.search(words) is not None
    # If the refusal looks like a server error or an unknown model, it must mention files.
    needs_name = failure in (EndReason.SERVER_ERROR, EndReason.UNKNOWN_MODEL)
    is_refusal = failure in _REFUSAL_REASONS or (failure is EndReason.UNREADABLE and refusal.status in BAD_REQUEST)
    if not (is_about_files if needs_name else is_refusal and not is_temporary(refusal)):
        return None
    limits = [int(side) for found in _MAX_PIXELS.findall(message) for side in found if side]
    max_pixels = min(limits, default=0) if _PIXEL_WORDS.search(message) else 0
    if stated := _STATED_PIXELS.search(str(refusal.body)):
        max_pixels = int(stated[1])
    is_too_long = failure is EndReason.CONTEXT_TOO_LONG
    is_about_pdfs = _PDF_WORDS.search(message) is not None and "image" not in message.lower()
    if refusal.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE or (not is_too_long and _TOO_MANY_BYTES.search(words)):
        fault = FileFault.TOO_LARGE
    elif is_too_long or (_TOO_MANY_FILES.search(message) and not is_about_pdfs):
        fault = FileFault.TOGETHER
    elif needs_name or (_HAS_NO_VISION.search(message) and not _FILE_FAULT.search(message)):
        fault = FileFault.KIND
    else:
        fault = FileFault.FILE
    is_about_files = is_about_files or fault is FileFault.TOO_LARGE or max_pixels > 0
    return RefusedFiles(fault, is_about_files, max_pixels, is_about_pdfs)


async def shrink_images(prompt: Prompt, max_pixels: int, *, is_halved: bool = False) -> Prompt:
    """Shrinks a prompt's images to `max_pixels` per side and, if `is_halved`, to half their bytes."""
    turns = [
        replace(turn, media=tuple([await _shrink_image(file, max_pixels, is_halved=is_halved) for file in turn.media]))
        for turn in prompt.turns
    ]
    return replace(prompt, turns=tuple(turns))


async def _shrink_image(file: Media, max_pixels: int, *, is_halved: bool) -> Media:
    content = base64.b64decode(file.base64)
    size = image_size(content, file.media_type)
    is_large = is_halved and len(content) >= MIN_SHRUNK_BYTES
    if size is None or not (is_large or max(size) > max_pixels):
        return file
    converted = await convert_image(content, max_pixels, len(content) // 2 if is_large else MAX_IMAGE_BYTES)
    if isinstance(converted, Obstacle) or (is_halved and len(converted.base64) >= len(file.base64)):
        return file
    return replace(file, media_type=converted.media_type, base64=converted.base64)
