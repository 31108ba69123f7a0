"""Reads shared files, but only from Slack's hosts and with limits on bytes, time and memory.

A file's URL comes from an event, and a redirect can lead to any host, so the token is sent only to Slack's hosts. An
HTML page instead of the expected type is Slack's sign-in page, which means that the scope is missing.

One user's files never block other users' files. Memory is reserved based on the sizes that Slack reports, and each user
can reserve up to half of it. Each user can have at most one document in the queue of the process that reads documents.
"""

import asyncio
import base64
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp
from yarl import URL

from bot.clock import Turns
from bot.core.canvases import is_canvas
from bot.core.conversation import CHECK_FILE_INFO, File
from bot.core.files import (
    HEIC,
    MAX_BYTES,
    MAX_FILE_BYTES,
    REFUSED,
    Content,
    OpenedFile,
    Transcript,
    captions_text,
    detect_media_type,
    is_recording,
    is_sign_in_page,
    preview_of,
    reason_not_transcribed,
    reason_unreadable,
    short_name,
    supported_sound,
)
from bot.core.texts.files import Unread
from bot.errors import RateLimited, Refused
from bot.models.prompt import PDF, PDF_PAGE_TOKENS, Media, Sound, image_tokens
from bot.slack.client import SlackClient
from bot.slack.file_objects import file_of, mail_of
from bot.slack.json_values import json_object
from files_to_markdown.document import Document, Format, Obstacle, short_text
from files_to_markdown.kind import document_kind
from files_to_markdown.plain_images import image_size, is_plain_image
from files_to_markdown.process import convert_image, read_document

READING_S = 60.0
"""Time limit for all files of one question, including the wait for memory."""
MAX_HELD_BYTES = 100 * 2**20
"""Memory limit for the files of all live answers in the process. Sending a request takes about three times as much
memory."""
TEXT_BYTES = 2**20
"""Memory reserved for a document's text in addition to its bytes (documents/document.py). Also the tolerance for wrong
sizes."""
MAX_REDIRECTS = 2

Transcribe = Callable[[File, Sound], Awaitable[str | Unread]]
"""Returns the words spoken in a recording, or the reason they are unknown, within READING_S."""

log = logging.getLogger(__name__)


class Files:
    def __init__(self, client: SlackClient) -> None:
        self._client = client
        self._headers = {"Authorization": f"Bearer {client.token}"}
        self._api = URL(client.api_url)
        self._memory = MemoryBudget(MAX_HELD_BYTES)
        self._contents = FileContents()

    @asynccontextmanager
    async def reading(
        self, files: Sequence[File], asker: str, *, transcribe: Transcribe | None = None
    ) -> AsyncIterator[Mapping[str, OpenedFile]]:
        """Yields each file's content, or the reason it can't be read, keyed by ID. Doesn't raise an exception for a
        file that can't be read. Until the context ends, memory is reserved for the reported sizes, and later for the
        actual sizes. `asker`: the asker's user ID. `transcribe`: transcribes recordings that have no transcript."""
        opened: dict[str, OpenedFile] = {}
        held_bytes = 0
        max_bytes = min(MAX_BYTES, sum(map(_reserved_bytes, files)))
        try:
            try:
                async with asyncio.timeout(READING_S):
                    await self._memory.reserve(max_bytes, asker)
                    held_bytes = max_bytes
                    bytes_left = MAX_BYTES
                    for file in files:
                        read, read_bytes = await self._read(file, bytes_left, asker, transcribe)
                        bytes_left -= read_bytes
                        if preview := preview_of(read.file, read.content):
                            copy, read_bytes = await self._read(preview, bytes_left, asker, None)
                            bytes_left -= read_bytes
                            read = replace(read, content=copy.content) if isinstance(copy.content, Media) else read
                        opened[file.id] = read
            except TimeoutError:
                log.warning("files not read in time: count=%d limit_s=%.0f", len(files), READING_S)
            needed_bytes = min(held_bytes, sum(_size_bytes(file.content) for file in opened.values()))
            self._memory.give_back(held_bytes - needed_bytes, asker)
            held_bytes = needed_bytes
            yield {file.id: opened.get(file.id, OpenedFile(file, Unread.TOO_SLOW)) for file in files}
        finally:
            self._memory.give_back(held_bytes, asker)

    async def _read(
        self, file: File, bytes_left: int, asker: str, transcribe: Transcribe | None
    ) -> tuple[OpenedFile, int]:
        described, found = await self._fetch_content(file, bytes_left, transcribe)
        if not isinstance(found, bytes):
            return OpenedFile(described, found), 0
        return OpenedFile(described, await self._contents.convert(described, found, asker)), len(found)

    async def _fetch_content(
        self, file: File, bytes_left: int, transcribe: Transcribe | None
    ) -> tuple[File, bytes | str | Transcript | Unread]:
        """Returns Slack's current file object and its bytes, email or transcript, or the reason it can't be read."""
        try:
            if file.transcript is None and (file.access == CHECK_FILE_INFO or not file.url):
                # In a channel shared with another organization, the event has only the ID.
                described = json_object(await self._client.call("files.info", file=file.id), "file")
                file = file_of(described)
                if mail := mail_of(described):
                    return file, mail
            if reason := reason_unreadable(file):
                return file, reason
            if is_canvas(file):
                # A canvas's bytes are an HTML page. canvases.py reads its text.
                return file, Unread.KIND
            if is_recording(file):
                return file, await self._read_recording(file, bytes_left, transcribe)
            return file, await self._download(file, bytes_left)
        except Refused as error:
            log.warning("file %s: %s", file.id, error)
            return file, _REASONS.get(error.name, Unread.FAILED)
        except (aiohttp.ClientError, RateLimited, OSError, ValueError) as error:
            log.warning("file %s not read: %s", file.id, type(error).__name__)
            return file, Unread.FAILED

    async def _read_recording(self, file: File, bytes_left: int, transcribe: Transcribe | None) -> Transcript | Unread:
        """Returns a recording's transcript: a stored one, Slack's, or one made by a model."""
        if file.transcript is not None:
            return Transcript(file.transcript)
        if file.captions_url:
            captions = await self._download(replace(file, url=file.captions_url), bytes_left)
            text = None if isinstance(captions, Unread) else captions_text(captions)
            if text is not None:
                return Transcript(text)
            log.warning("file %s: no transcript in its captions", file.id)
        if transcribe is None:
            return reason_not_transcribed(file)
        content = await self._download(file, bytes_left)
        if isinstance(content, Unread):
            return content
        sound = supported_sound(content)
        heard = await transcribe(file, sound) if sound else Unread.KIND
        return heard if isinstance(heard, Unread) else Transcript(heard)

    async def _download(self, file: File, bytes_left: int) -> bytes | Unread:
        url = URL(file.url)
        for _ in range(1 + MAX_REDIRECTS):
            if not is_trusted_with_token(url, self._api):
                log.warning("file %s not read: host %s must not get the token", file.id, url.host)
                return Unread.FAILED
            timeout = aiohttp.ClientTimeout(total=READING_S)
            async with self._client.session.get(
                url, headers=self._headers, allow_redirects=False, timeout=timeout
            ) as response:
                if response.status in (301, 302, 303, 307, 308):
                    url = url.join(URL(response.headers.get("Location", "")))
                    continue
                if response.status != 200:
                    log.warning("file %s: HTTP %d", file.id, response.status)
                    return {403: Unread.NO_ACCESS, 404: Unread.DELETED}.get(response.status, Unread.FAILED)
                return await _read_body(file, response, bytes_left)
        return Unread.FAILED


_REASONS = {
    "missing_scope": Unread.SCOPE,
    "access_denied": Unread.NO_ACCESS,
    "not_visible": Unread.NO_ACCESS,
    # Slack also returns this error for files that the app can't see.
    "file_not_found": Unread.NO_ACCESS,
    "file_deleted": Unread.DELETED,
}


class FileContents:
    """Converts file bytes to text, Markdown, images or PDFs, one file at a time per `asker`."""

    def __init__(self) -> None:
        self._converting = FairLock()
        self._document_lock = FairLock()

    async def convert(self, file: File, content: bytes, asker: str) -> Content:
        kind = detect_media_type(content)
        if kind == HEIC:
            return Unread.IMAGE_KIND
        if kind.startswith("image/"):
            if is_plain_image(content, kind):
                return _image_media(short_name(file.name), kind, content)
            return await self._convert_image(file, content, asker)
        if kind != PDF:
            document = document_kind(file.name, file.mimetype, content)
            if document is None and (text := short_text(content)) is not None:
                return text
            # Guessing a charset takes unbounded time, and a long text blocks the event loop, so both are done in the
            # process.
            read = await self._read_document(document or Format.TEXT, content, asker)
            return REFUSED[read] if isinstance(read, Obstacle) else read
        # The text is needed for the page count, and for models that don't support PDFs or that many pages.
        alternative = await self._read_document(Format.PDF, content, asker)
        if alternative is Obstacle.PROTECTED:
            return Unread.PROTECTED
        # Models can see a PDF's pages even if its text can't be read.
        text_instead = alternative if isinstance(alternative, Document) else None
        tokens = PDF_PAGE_TOKENS * text_instead.pages if text_instead else 0
        return Media(short_name(file.name), kind, base64.b64encode(content).decode(), text_instead, tokens=tokens)

    async def _convert_image(self, file: File, content: bytes, asker: str) -> Media | Unread:
        # Images are unpacked one at a time, because unpacking can take a hundred times their bytes.
        async with self._converting.turn(asker):
            image = await convert_image(content)
        if isinstance(image, Obstacle):
            return REFUSED[image]
        name = short_name(file.name)
        first, *other_pages = (
            _image_media(name, page.media_type, base64.b64decode(page.base64)) for page in (image, *image.other_pages)
        )
        return replace(first, is_first=image.has_more, other_pages=tuple(other_pages))

    async def _read_document(self, kind: Format, content: bytes, asker: str) -> Document | Obstacle:
        # Documents are read one at a time, because each can take a lot of memory. Images have a separate queue, because
        # a hostile document can take seconds.
        async with self._document_lock.turn(asker):
            return await read_document(kind, content)


def _image_media(name: str, media_type: str, content: bytes) -> Media:
    size = image_size(content, media_type)
    return Media(name, media_type, base64.b64encode(content).decode(), tokens=image_tokens(*size) if size else 0)


def is_trusted_with_token(url: URL, api: URL) -> bool:
    """Returns whether the bot token can safely be sent to a URL: HTTPS on slack.com or on the API's domain, or the
    API's own origin."""
    if not (url.scheme and url.host) or url.user is not None:
        return False
    if url.origin() == api.origin():
        return True
    host = url.host or ""
    ours = any(host == domain or host.endswith(f".{domain}") for domain in ("slack.com", api.host))
    return ours and url.scheme == "https" and url.explicit_port is None


async def _read_body(file: File, response: aiohttp.ClientResponse, bytes_left: int) -> bytes | Unread:
    """Reads a file's bytes. Enforces the limits while reading, because the size that Slack reports isn't trusted."""
    max_bytes = min(bytes_left, _reserved_bytes(file))
    if (response.content_length or 0) > max_bytes:
        return _exceeded_limit(file, max_bytes, bytes_left)
    content = bytearray()
    async for chunk in response.content.iter_chunked(2**16):
        content += chunk
        if len(content) > max_bytes:
            return _exceeded_limit(file, max_bytes, bytes_left)
    if is_sign_in_page(file, response.content_type, bytes(content[:4096])):
        return Unread.SCOPE
    return bytes(content)


def _exceeded_limit(file: File, max_bytes: int, bytes_left: int) -> Unread:
    """Returns which limit a file exceeds: the limit for a single file (`max_bytes`) or for all files of a question
    (`bytes_left`)."""
    if max_bytes in (MAX_FILE_BYTES, bytes_left):
        return Unread.TOO_BIG if max_bytes == MAX_FILE_BYTES else Unread.TOO_MUCH
    log.warning("file %s not read: larger than Slack says: size=%d", file.id, file.size_bytes)
    return Unread.FAILED


def _reserved_bytes(file: File) -> int:
    stated_bytes = file.size_bytes or MAX_FILE_BYTES
    return min(MAX_FILE_BYTES, stated_bytes + TEXT_BYTES)


def _size_bytes(content: Content) -> int:
    if isinstance(content, Media):
        pages = sum(len(page.base64) for page in (content, *content.other_pages))
        return pages + (len(content.text_alternative.text) if content.text_alternative else 0)
    text = content.text if isinstance(content, Document | Transcript) else content
    return len(text) if isinstance(text, str) else 0


class MemoryBudget:
    """Memory that live answers share. Each person can reserve up to half of it. An answer reserves all of its memory at
    once."""

    def __init__(self, free_bytes: int) -> None:
        self._free_bytes = free_bytes
        self._max_person_bytes = free_bytes // 2
        self._held_bytes: Counter[str] = Counter()
        self._changed = asyncio.Event()

    async def reserve(self, size_bytes: int, person: str) -> None:
        while min(self._free_bytes, self._max_person_bytes - self._held_bytes[person]) < size_bytes:
            self._changed.clear()
            await self._changed.wait()
        self._add_held(size_bytes, person)

    def give_back(self, size_bytes: int, person: str) -> None:
        self._add_held(-size_bytes, person)
        self._changed.set()

    def _add_held(self, size_bytes: int, person: str) -> None:
        self._free_bytes -= size_bytes
        self._held_bytes[person] += size_bytes
        if not self._held_bytes[person]:
            del self._held_bytes[person]


class FairLock:
    """A lock with a fair queue, in which each person can have only one place at a time."""

    def __init__(self) -> None:
        self._lock, self._turns = asyncio.Lock(), Turns()

    @asynccontextmanager
    async def turn(self, person: str) -> AsyncIterator[None]:
        async with self._turns.lock_of(person), self._lock:
            yield
