"""Recordings: in which format they are sent to a model, by their bytes, and the words of captions."""

import pytest

from bot.core.conversation import File
from bot.core.inbound.recordings import is_recording, sound_of, text_of_captions

FORMATS = {
    "a clip of Slack": (b"\0\0\0\x20ftypM4A \0\0\0\0", "clip.m4a", "audio/mp4"),
    "a clip with a picture": (b"\0\0\0\x20ftypisom\0\0\0\0", "clip.m4a", "audio/mp4"),
    "WebM": (b"\x1a\x45\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01B\x82\x84webm", "clip.webm", "audio/webm"),
    "WAV": (b"RIFF\x24\0\0\0WAVEfmt ", "clip.wav", "audio/wav"),
    "Ogg": (b"OggS\0\x02", "clip.ogg", "audio/ogg"),
    "FLAC": (b"fLaC\0\0\0\x22", "clip.flac", "audio/flac"),
    "MP3 with tags": (b"ID3\x04\0", "clip.mp3", "audio/mpeg"),
    "MP3": (b"\xff\xfb\x90\x64", "clip.mp3", "audio/mpeg"),
}


@pytest.mark.parametrize(("content", "name", "media_type"), FORMATS.values(), ids=FORMATS.keys())
def test_format_is_found_by_the_first_bytes(content: bytes, name: str, media_type: str) -> None:
    sound = sound_of(content)
    assert sound is not None
    assert (sound.name, sound.media_type, sound.content) == (name, media_type, content)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\0\0\0\x14ftypqt  ", id="QuickTime"),
        pytest.param(b"\x1a\x45\xdf\xa3\x9fB\x82\x88matroska", id="Matroska"),
        pytest.param(b"\xff\xf1\x50\x80", id="AAC"),
        pytest.param(b"RIFF\x24\0\0\0WEBPVP8 ", id="WebP"),
        pytest.param(b"\xff", id="one byte"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_formats_that_models_do_not_take_are_no_recordings(content: bytes) -> None:
    assert sound_of(content) is None


@pytest.mark.parametrize(
    ("file", "can_be_heard"),
    [
        (File("F1", "song.mp3", "audio/mpeg"), True),
        (File("F1", "오디오 클립 (1).m4a", "video/mp4", is_clip=True), True),
        (File("F1", "film.mp4", "video/mp4"), False),
        (File("F1", "notes.md", "text/markdown"), False),
    ],
)
def test_clips_and_audio_are_recordings(file: File, can_be_heard: bool) -> None:
    assert is_recording(file) is can_be_heard


CAPTIONS = {
    "cues with times, names and marks": (
        "WEBVTT\n\n1\n00:00:00.000 --> 00:00:02.000 align:start\n<v Ada>What day\nis it?\n\n"
        "00:02.500 --> 00:04.000\nFriday &amp; <i>late</i> &lt;3\n",
        "What day is it? Friday & late <3",
    ),
    "notes and styles": (
        "\ufeffWEBVTT Kind: captions\r\n\r\nNOTE by a machine\r\nno word of it\r\n\r\nSTYLE\r\n::cue {}\r\n\r\n"
        "00:00:00.000 --> 00:00:01.000\r\nHello.\r\n",
        "Hello.",
    ),
    "no cue": ("WEBVTT\n", ""),
    "another format": ("1\n00:00:00,000 --> 00:00:01,000\nHello.\n", None),
    "a page": ("<!DOCTYPE html><title>Slack</title>", None),
}


@pytest.mark.parametrize(("captions", "words"), CAPTIONS.values(), ids=CAPTIONS.keys())
def test_captions_are_read_as_their_words(captions: str, words: str | None) -> None:
    assert text_of_captions(captions.encode()) == words
