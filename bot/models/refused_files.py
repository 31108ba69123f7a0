"""Which request follows one that a vendor refuses for its images and PDFs: one refused file never costs the others.

A vendor may name the place of the file, or the most pixels that it takes. Then only that file is left out, or all
images are scaled. If it names nothing, each file is left out in turn: images were unpacked before they came here, so
seldom is more than one refused. A model that can't see is sent none, and neither is one whose refusal doesn't speak of
files.
"""

import base64
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from bot.documents.plain_images import image_size
from bot.documents.process import convert_image
from bot.errors import RefusedFiles
from bot.models.prompt import Media, Prompt, without_media

_MEDIA_PARTS = ("image", "image_url", "input_image", "document", "file", "input_file")
"""The types of parts that hold a file, in all APIs."""


class FileRequests:
    """The requests with the files of one prompt, each with fewer or smaller ones than the refused one before."""

    def __init__(self, prompt: Prompt) -> None:
        self._prompt = prompt
        self._files = _files_of(prompt)
        """What stands in each file's place; a file that is left out for good has none."""
        self._tries = list(self._files)
        """The places of files that haven't been left out alone."""
        self._without: Collection[int] = ()
        """The places that this request leaves out."""
        self.speaks_of_files = False
        """Whether the vendor said that a file is the reason, and not that the model takes none."""
        self.max_pixels = 0
        """The most pixels of a side that the vendor has named; 0 if it has named none."""

    @property
    def sent(self) -> Mapping[int, Media]:
        """The files of the request, by their places in the prompt."""
        return {place: file for place, file in self._files.items() if place not in self._without}

    def prompt(self) -> tuple[Prompt, tuple[str, ...]]:
        """Returns the prompt with the files of the request, and the names of the others."""
        sent, place, turns = self.sent, 0, []
        for turn in self._prompt.turns:
            files = tuple(sent.get(place + number, file) for number, file in enumerate(turn.media))
            turns.append(replace(turn, media=files))
            place += len(files)
        shown = {id(file) for file in sent.values()}
        return without_media(replace(self._prompt, turns=tuple(turns)), lambda file: id(file) in shown)

    async def scale(self, max_pixels: int) -> bool:
        """Scales larger images; returns whether there were any. An image that can't be scaled is left out."""
        scaled = {place: await _scaled(file, max_pixels) for place, file in self._files.items()}
        is_scaled = scaled != self._files
        self._files = {place: file for place, file in scaled.items() if file is not None}
        return is_scaled

    async def after(self, refusal: RefusedFiles, body: Mapping[str, Any]) -> bool:
        """Prepares the request that follows a refused one with this body. Returns False if there is none."""
        sent = list(self.sent)
        if not sent:
            return False
        at = _number_of(body, refusal.place)
        self.speaks_of_files = refusal.names_files or at is not None or refusal.max_pixels > 0
        if refusal.max_pixels and await self.scale(refusal.max_pixels):
            self.max_pixels, self._without = refusal.max_pixels, ()
        elif at is not None and at < len(sent):
            self._files = {place: self._files[place] for place in sent if place != sent[at]}
            self._without, self._tries = (), list(self._files)
        elif refusal.names_files and self._tries and len(self._files) > 1:
            self._without = {self._tries.pop(0)}
        else:
            self._without = set(self._files)
        return True


def _files_of(prompt: Prompt) -> dict[int, Media]:
    return dict(enumerate(media for turn in prompt.turns for media in turn.media))


async def _scaled(file: Media, max_pixels: int) -> Media | None:
    """Returns an image no larger than a number of pixels, any other file as it is; None if it can't be scaled."""
    content = base64.b64decode(file.base64)
    size = image_size(content, file.media_type)
    if size is None or max(size) <= max_pixels:
        return file
    converted = await convert_image(content, max_pixels)
    return replace(file, media_type=converted[0], base64=converted[1]) if isinstance(converted, tuple) else None


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
