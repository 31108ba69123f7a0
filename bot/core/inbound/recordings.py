"""Recordings: clips and other audio that people share, the form in which a model hears them, and captions. Pure.

A model that transcribes goes by a file's name and type, and Slack's may be wrong. So the bytes decide both.
"""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from bot.core.conversation import File

MAX_TRANSCRIPT_CHARS = 100_000
"""Over an hour of speech. More is left out."""
MAX_CAPTIONS_BYTES = 500_000

_TIMES = re.compile(r"(?:\d+:)?\d\d:\d\d[.,]\d{3}[ \t]+-->")
_TAG = re.compile(r"<[^<>]*>")
_QUICKTIME = b"qt  "


@dataclass(frozen=True, slots=True)
class Sound:
    """A recording as it is sent to a model."""

    name: str
    """With the extension of its format."""
    media_type: str
    content: bytes = field(repr=False)


def is_recording(file: File) -> bool:
    """Whether a file may be heard: a clip that a person recorded in Slack, or other audio."""
    return file.is_clip or file.mimetype.startswith("audio/")


def sound_of(content: bytes) -> Sound | None:
    """Returns a recording, by its first bytes; None if it is none, or of a format that models don't take."""
    extension, media_type = _format_of(content)
    return Sound(f"clip.{extension}", media_type, content) if extension else None


def _format_of(content: bytes) -> tuple[str, str]:
    """Returns the extension and the MIME type of a recording's format, twice "" if it isn't known."""
    # Slack's clips with a picture are of the same format.
    if content[4:8] == b"ftyp" and content[8:12] != _QUICKTIME:
        return "m4a", "audio/mp4"
    if content.startswith(b"\x1a\x45\xdf\xa3") and b"webm" in content[:64]:
        return "webm", "audio/webm"
    if content.startswith(b"RIFF") and content[8:12] == b"WAVE":
        return "wav", "audio/wav"
    if content.startswith(b"OggS"):
        return "ogg", "audio/ogg"
    if content.startswith(b"fLaC"):
        return "flac", "audio/flac"
    # Without the two bits of an MPEG layer, these bits begin AAC.
    is_mpeg_frame = len(content) > 1 and content[0] == 0xFF and content[1] & 0xE0 == 0xE0 and content[1] & 0x06 != 0
    return ("mp3", "audio/mpeg") if content.startswith(b"ID3") or is_mpeg_frame else ("", "")


def text_of_captions(content: bytes) -> str | None:
    """Returns the words of WebVTT captions, None if the bytes are something else. https://www.w3.org/TR/webvtt1/"""
    text = content[:MAX_CAPTIONS_BYTES].decode("utf-8-sig", "replace").replace("\r\n", "\n").replace("\r", "\n")
    if not re.match(r"WEBVTT(?:[ \t\n]|$)", text):
        return None
    words = (word for line in _cue_lines(text) for word in html.unescape(_TAG.sub("", line)).split())
    return " ".join(words)[:MAX_TRANSCRIPT_CHARS]


def _cue_lines(text: str) -> Iterator[str]:
    """Yields the lines of the cues' texts. Other blocks, such as notes, have no times."""
    is_cue = False
    for line in text.split("\n"):
        if not line.strip():
            is_cue = False
        elif _TIMES.match(line):
            is_cue = True
        elif is_cue:
            yield line
