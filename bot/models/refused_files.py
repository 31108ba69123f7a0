"""The images of a request that a vendor refuses for its files: once more with smaller ones, then without files."""

import base64
from dataclasses import replace

from bot.models.prompt import Media, Prompt
from files_to_markdown.document import MAX_IMAGE_BYTES, Obstacle
from files_to_markdown.plain_images import image_size
from files_to_markdown.process import convert_image

SMALLER_PIXELS = 1_000
"""The longer side of images where a vendor says that something is too large. Text in them stays legible."""
MIN_SHRUNK_BYTES = 20_000
"""Smaller images aren't what makes a request too large."""


async def with_images_within(prompt: Prompt, max_pixels: int, *, is_halved: bool = False) -> Prompt:
    """Returns the prompt with no image of more pixels on a side; `is_halved`: nor of more than half of its bytes."""
    turns = [
        replace(turn, media=tuple([await _within(file, max_pixels, is_halved=is_halved) for file in turn.media]))
        for turn in prompt.turns
    ]
    return replace(prompt, turns=tuple(turns))


async def _within(file: Media, max_pixels: int, *, is_halved: bool) -> Media:
    """Returns an image in a smaller form, or the file as it is if that is no image, or gets no smaller."""
    content = base64.b64decode(file.base64)
    size = image_size(content, file.media_type)
    is_large = is_halved and len(content) >= MIN_SHRUNK_BYTES
    if size is None or not (is_large or max(size) > max_pixels):
        return file
    converted = await convert_image(content, max_pixels, len(content) // 2 if is_large else MAX_IMAGE_BYTES)
    if isinstance(converted, Obstacle) or (is_halved and len(converted.base64) >= len(file.base64)):
        return file
    return replace(file, media_type=converted.media_type, base64=converted.base64)
