"""Starts the process that reads a document or converts an image, and bounds it.

Nothing that the process does or leaves undone holds up the program that starts it.

It runs in a thread, because starting a process and waiting for pipes would block the event loop.
"""

import asyncio
import base64
import json
import logging
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from files_to_markdown.document import (
    MAX_IMAGE_BYTES,
    MAX_IMAGE_PIXELS,
    MAX_OUTPUT_BYTES,
    MAX_PAGES,
    OUT_OF_MEMORY,
    WALL_S,
    ConvertedImage,
    Document,
    Format,
    LeftOut,
    Obstacle,
    Part,
)

_ROOT = Path(__file__).parents[1]
_TRIES = 2
MAX_COUNTED_PAGES = 1_000_000
_CHUNK_BYTES = 64 * 1024
_TOO_MUCH = (OUT_OF_MEMORY, -signal.SIGXCPU, -signal.SIGKILL, -signal.SIGABRT)
"""How a process ends that reaches a limit. Libraries in Rust and C++ abort if they get no memory."""

T = TypeVar("T")

log = logging.getLogger(__name__)


async def read_document(kind: Format, content: bytes) -> Document | Obstacle:
    """Returns a document as Markdown, or why it can't be read, within twice WALL_S and a moment."""
    return _checked(await _said(kind, content), _document)


async def convert_image(
    content: bytes, max_pixels: int = MAX_IMAGE_PIXELS, max_png_bytes: int = MAX_IMAGE_BYTES
) -> ConvertedImage | Obstacle:
    """Returns an image that vendors accept, or why there is none, within twice WALL_S.

    `max_pixels`: of the longer side. `max_png_bytes`: a PNG that is larger becomes a JPEG.
    """
    return _checked(await _said(Format.IMAGE, content, str(max_pixels), str(max_png_bytes)), _image)


async def _said(kind: Format, content: bytes, *arguments: str) -> bytes | Obstacle:
    """Returns what the process says of a document. Where only the time was up, a second process may say more."""
    said: bytes | Obstacle = Obstacle.TOO_SLOW
    for _ in range(_TRIES):
        reader = _Reader((kind, *arguments), content)
        try:
            said = await asyncio.to_thread(reader.run)
        finally:
            reader.kill()
        if said is not Obstacle.TOO_SLOW:
            break
    return said


class _Reader:
    """One process and its pipes."""

    def __init__(self, arguments: Sequence[str], content: bytes) -> None:
        self._arguments = arguments
        self._content = memoryview(content)
        self._process: subprocess.Popen[bytes] | None = None
        self._is_killed = False

    def run(self) -> bytes | Obstacle:
        """Runs the process to its end. Call it in a thread."""
        deadline = time.monotonic() + WALL_S
        try:
            with self._start() as process:
                self._process = process
                if self._is_killed:
                    # While it started.
                    self.kill()
                try:
                    output = self._output(process, deadline)
                    code = process.wait(max(0.0, deadline - time.monotonic())) if output is not None else None
                except subprocess.TimeoutExpired:
                    code = None
                finally:
                    self.kill()
        except OSError as error:
            log.error("document not read, process not started: %s", error)
            return Obstacle.TOO_LARGE
        if code != 0 or output is None:
            log.warning("document not read: kind=%s exit=%s", self._arguments[0], code)
            if code is None and time.monotonic() >= deadline:
                return Obstacle.TOO_SLOW
            return Obstacle.TOO_LARGE if code is None or code in _TOO_MUCH else Obstacle.DAMAGED
        return output

    def kill(self) -> None:
        """Kills the process and its children, which share its group, if need be as soon as it has started."""
        self._is_killed = True
        process = self._process
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)

    def _start(self) -> subprocess.Popen[bytes]:
        # It finds modules where this process found them. Nothing else of the environment is its business.
        path = os.pathsep.join([str(_ROOT), *filter(None, sys.path)])
        return subprocess.Popen(  # noqa: S603
            [sys.executable, "-P", "-s", "-m", "files_to_markdown.child", *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={"PYTHONPATH": path},
            start_new_session=True,
            bufsize=0,
        )

    def _output(self, process: subprocess.Popen[bytes], deadline: float) -> bytes | None:
        """Feeds the process and returns what it writes, None if it writes too much or is too slow."""
        assert process.stdin is not None
        assert process.stdout is not None
        output = bytearray()
        with selectors.DefaultSelector() as selector:
            for pipe, event in ((process.stdin, selectors.EVENT_WRITE), (process.stdout, selectors.EVENT_READ)):
                os.set_blocking(pipe.fileno(), False)
                selector.register(pipe, event)
            while len(output) <= MAX_OUTPUT_BYTES and (left_s := deadline - time.monotonic()) > 0:
                for key, _ in selector.select(left_s):
                    if key.fileobj is process.stdin:
                        if not self._fed(process):
                            selector.unregister(process.stdin)
                            process.stdin.close()
                    elif chunk := os.read(key.fd, _CHUNK_BYTES):
                        output += chunk
                    else:
                        return bytes(output)
        return None

    def _fed(self, process: subprocess.Popen[bytes]) -> bool:
        """Writes a piece of the document. Returns whether more can follow."""
        assert process.stdin is not None
        try:
            written = os.write(process.stdin.fileno(), self._content[:_CHUNK_BYTES])
        except OSError:
            # It has ended, and its exit code says why.
            return False
        self._content = self._content[written:]
        return bool(self._content)


def _checked(output: bytes | Obstacle, parse: Callable[[Mapping[str, Any]], T]) -> T | Obstacle:
    """Returns what the process said, which may be anything: a document may have taken it over."""
    if isinstance(output, Obstacle):
        return output
    try:
        said: Mapping[str, Any] = json.loads(output)
        return Obstacle(said["refusal"]) if "refusal" in said else parse(said)
    except (ValueError, TypeError, KeyError, AttributeError):
        return Obstacle.DAMAGED


def _document(said: Mapping[str, Any]) -> Document:
    left_out = [
        LeftOut(Part(one["part"]), int(one["count"]), tuple(map(str, one["names"]))) for one in said["left_out"]
    ]
    charset, is_markdown = str(said["guessed_charset"])[:40], bool(said["is_markdown"])
    pages = min(max(0, int(said["pages"])), MAX_COUNTED_PAGES)
    return Document(str(said["text"]), tuple(left_out), charset, is_markdown, pages)


def _image(said: Mapping[str, Any]) -> ConvertedImage:
    media_type, encoded = said["media_type"], said["base64"]
    if media_type not in ("image/png", "image/jpeg"):
        raise ValueError
    base64.b64decode(encoded, validate=True)
    further = tuple(_image(page) for page in said.get("further", ())[: MAX_PAGES - 1])
    return ConvertedImage(media_type, encoded, said["has_more"] is True, further)
