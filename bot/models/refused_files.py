"""Which request follows one that a vendor refuses for its images and PDFs: one refused file never costs the others.

- A vendor that names the most pixels that it takes gets all images in that size.
- If a file, or the request, is too large, images become smaller twice, in pixels and by a format that loses some.
- A file whose place the vendor names is left out, and only that one.
- If it names nothing, it is asked about each file alone, in a request without the conversation. Where it takes the
  file, we hang up at the first sign of an answer. Files that it takes alone are sent together.
- If it takes each, but not all, they are left out one at a time: the largest if it speaks of size, else the oldest.
- A model that can't see is sent none.

So n files take at most 2 n + 6 requests, the last of which has none. A refused request costs nothing; one about a file
that is taken costs that file's tokens.
"""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from bot.documents.document import Obstacle
from bot.documents.plain_images import image_size
from bot.documents.process import convert_image
from bot.errors import FileFault, RefusedFiles
from bot.models.prompt import Media, Prompt, Turn, prompt_texts, without_media

SMALLER_PIXELS = (1_000, 500)
"""The longer side of images where a vendor says that something is too large. Text in them stays legible at first."""
MIN_SHRUNK_BYTES = 20_000
"""Smaller images aren't what makes a request too large."""
ABOUT_ONE = "What is this?"
_MEDIA_PARTS = ("image", "image_url", "input_image", "document", "file", "input_file")
"""The types of parts that hold a file, in all APIs."""


class FileRequests:
    """The requests with the files of one prompt, each with fewer or smaller ones than the refused one before."""

    def __init__(self, prompt: Prompt) -> None:
        self._prompt = prompt
        self._files = dict(enumerate(media for turn in prompt.turns for media in turn.media))
        """By their places in the prompt, without those that are left out."""
        self._left_out: dict[int, FileFault] = {}
        """Why each other file is left out."""
        self._alone: list[int] = []
        """The places of files that the vendor is still asked about alone."""
        self._asked_about = 0
        """About so many; 0 until then."""
        self._tries = 2 * len(self._files) + 4
        """How many requests with files may follow the first."""
        self._smaller = list(SMALLER_PIXELS)
        self._speaks_of_files = False
        """Whether the vendor has said that files are the reason, or has taken one of several."""
        self.max_pixels = 0
        """The most pixels of a side that the vendor has named; 0 if it has named none."""
        self.too_large_bytes = 0
        """The size of the smallest request that was too large; 0 if none was."""

    @property
    def is_about_one(self) -> bool:
        """Whether the request only asks whether the vendor takes one file."""
        return bool(self._alone)

    @property
    def count(self) -> int:
        """How many files are left."""
        return len(self._files)

    @property
    def size_bytes(self) -> int:
        """About the size of a request with all files that are left."""
        return sum(map(len, prompt_texts(self._prompt))) + sum(len(file.base64) for file in self._files.values())

    def prompt(self) -> Prompt:
        """Returns the prompt of the request."""
        if self._alone:
            return Prompt("", (Turn("user", ABOUT_ONE, (self._files[self._alone[0]],)),))
        place, turns = 0, []
        for turn in self._prompt.turns:
            files = tuple(self._files.get(place + number, file) for number, file in enumerate(turn.media))
            turns.append(replace(turn, media=files))
            place += len(files)
        sent = {id(file) for file in self._files.values()}
        return without_media(replace(self._prompt, turns=tuple(turns)), lambda file: id(file) in sent)[0]

    def left_out(self) -> list[tuple[Media, FileFault]]:
        """Returns the files that are left out, as the prompt has them, each with the reason."""
        files = [media for turn in self._prompt.turns for media in turn.media]
        # A vendor that refuses each file, and doesn't say why, takes none.
        faults = self._left_out if self._speaks_of_files else dict.fromkeys(self._left_out, FileFault.KIND)
        return [(files[place], faults[place]) for place in sorted(faults)]

    async def scale(self, max_pixels: int) -> bool:
        """Scales larger images; returns whether there were any. An image that can't be scaled is left out."""
        scaled = {place: await _scaled(file, max_pixels) for place, file in self._files.items()}
        is_scaled = scaled != self._files
        self._files = {place: file for place, file in scaled.items() if file is not None}
        self._left_out |= dict.fromkeys(scaled.keys() - self._files.keys(), FileFault.TOO_LARGE)
        return is_scaled

    async def shrink(self) -> bool:
        """Makes images smaller; returns whether that is possible."""
        while self._smaller:
            max_pixels = self._smaller.pop(0)
            smaller = {place: await _smaller(file, max_pixels) for place, file in self._files.items()}
            if smaller != self._files:
                self._files = smaller
                return True
        return False

    async def fit(self, too_large_bytes: int) -> None:
        """Makes images smaller, as long as the request has a size that the vendor has refused."""
        while self.size_bytes >= too_large_bytes and await self.shrink():
            pass

    def taken(self) -> None:
        """Notes that the vendor takes the file that it was asked about alone."""
        self._speaks_of_files = True
        self._tries -= 1
        self._alone.pop(0)
        if not self._alone and self.count == self._asked_about:
            # Such a request was refused before.
            self._leave_out_one()

    async def after(self, refusal: RefusedFiles, body: Mapping[str, Any]) -> bool:
        """Prepares the request that follows a refused one with this body. Returns False if there is none."""
        if not self._files:
            return False
        self._tries -= 1
        places, fault = list(self._files), refusal.fault
        number = None if self._alone else _number_of(body, refusal.place)
        is_about_size = fault in (FileFault.TOO_LARGE, FileFault.TOGETHER) or refusal.max_pixels > 0
        self._speaks_of_files |= refusal.names_files or number is not None or is_about_size
        if fault is FileFault.TOO_LARGE:
            self.too_large_bytes = self.too_large_bytes if self._alone else self.size_bytes
        if self._tries <= 0:
            self._leave_out(places, fault)
        elif self._alone:
            self._leave_out([self._alone.pop(0)], fault)
        elif refusal.max_pixels and await self.scale(refusal.max_pixels):
            self.max_pixels = refusal.max_pixels
        elif fault is FileFault.TOO_LARGE and await self.shrink():
            pass
        elif number is not None and number < len(places):
            self._leave_out([places[number]], fault)
        elif fault is FileFault.KIND or len(places) == 1:
            self._leave_out(places, fault)
        elif fault is FileFault.TOGETHER or self._asked_about:
            self._leave_out_one()
        else:
            self._alone, self._asked_about = places, len(places)
        return True

    def _leave_out(self, places: list[int], fault: FileFault) -> None:
        self._left_out |= dict.fromkeys(places, fault)
        self._files = {place: file for place, file in self._files.items() if place not in places}
        self._alone = [place for place in self._alone if place in self._files]

    def _leave_out_one(self) -> None:
        """Leaves out the largest file where it is a question of size, else the oldest."""
        by_size = sorted(self._files, key=lambda place: -len(self._files[place].base64))
        self._leave_out((by_size if self.too_large_bytes else list(self._files))[:1], FileFault.TOGETHER)


async def _scaled(file: Media, max_pixels: int) -> Media | None:
    """Returns an image no larger than a number of pixels, any other file as it is; None if it can't be scaled."""
    content = base64.b64decode(file.base64)
    size = image_size(content, file.media_type)
    if size is None or max(size) <= max_pixels:
        return file
    converted = await convert_image(content, max_pixels)
    if isinstance(converted, Obstacle):
        return None
    return replace(file, media_type=converted.media_type, base64=converted.base64)


async def _smaller(file: Media, max_pixels: int) -> Media:
    """Returns an image with fewer pixels and bytes, any other file as it is."""
    content = base64.b64decode(file.base64)
    if len(content) < MIN_SHRUNK_BYTES or image_size(content, file.media_type) is None:
        return file
    converted = await convert_image(content, max_pixels, len(content) // 2)
    if isinstance(converted, Obstacle) or len(converted.base64) >= len(file.base64):
        return file
    return replace(file, media_type=converted.media_type, base64=converted.base64)


def _number_of(body: Mapping[str, Any], place: tuple[int, int] | None) -> int | None:
    """Returns which file of a request stands in a place, counted from 0; None if none does."""
    for number, found in enumerate(_places(body)):
        if found == place:
            return number
    return None


def _places(body: Mapping[str, Any]) -> Iterator[tuple[int, int]]:
    """Yields the message and the part of each file in a request."""
    for message, item in enumerate(body.get("messages") or body.get("input") or ()):
        content = item.get("content") if isinstance(item, Mapping) else None
        for part, held in enumerate(content if isinstance(content, list) else ()):
            if isinstance(held, Mapping) and held.get("type") in _MEDIA_PARTS:
                yield message, part
