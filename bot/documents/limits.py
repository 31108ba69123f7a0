"""The limits of the process that reads a document or converts an image. Both sides know them."""

MAX_DOCUMENT_BYTES = 64 * 2**20
"""More than any file that is downloaded."""
MEMORY_BYTES = 384 * 2**20
"""Of addresses, which is more than of memory in use."""
CPU_S = 6
WALL_S = 8.0
"""Also for a process that waits for a CPU."""
MAX_OUTPUT_BYTES = 5 * 2**20
"""More than MAX_CHARS take, and more than an image of MAX_IMAGE_BYTES in base64."""
OUT_OF_MEMORY = 3
"""The exit code of a process that couldn't get more memory."""
MAX_IMAGE_BYTES = 3_700_000
"""Anthropic accepts 5 MB of base64 per image: https://platform.claude.com/docs/en/build-with-claude/vision"""


def is_accepted_image(content: bytes, media_type: str) -> bool:
    """Returns whether vendors accept an image as it is: small enough, and of one frame.

    Source of the bytes of WebP: https://developers.google.com/speed/webp/docs/riff_container, "Extended File Format".
    """
    may_move = media_type == "image/gif" or (content[12:16] == b"VP8X" and bool(content[20:21] and content[20] & 2))
    return len(content) <= MAX_IMAGE_BYTES and not may_move
