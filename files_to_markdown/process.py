"""Starts and limits the process that reads a document or converts an image.

A process that hangs or misbehaves can't block the program that started it. A thread starts the process and waits for
its output, because either would block the event loop.
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
"""Exit codes of a process that has reached a limit. Libraries in Rust and C++ abort if they can't allocate memory."""

T = TypeVar("T")

log = logging.getLogger(__name__)


async def read_document(kind: Format, content: bytes) -> Document | Obstacle:
    """Converts a document to Markdown, or returns the reason why it can't be read. Takes little more than twice WALL_S
    at most."""
    return _parse_output(await _run_reader(kind, content), _parse_document)


async def convert_image(
    content: bytes, max_pixels: int = MAX_IMAGE_PIXELS, max_png_bytes: int = MAX_IMAGE_BYTES
) -> ConvertedImage | Obstacle:
    """Converts an image to one that vendors accept, or returns the reason why it can't be read. Takes twice WALL_S at
    most. `max_pixels`: the maximum longer side. `max_png_bytes`: the maximum size of a PNG, because a larger one
    becomes a JPEG."""
    return _parse_output(await _run_reader(Format.IMAGE, content, str(max_pixels), str(max_png_bytes)), _parse_image)


async def _run_reader(kind: Format, content: bytes, *arguments: str) -> bytes | Obstacle:
    """Returns the process's output for a document. If the first process is too slow, a second one tries again."""
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
    def __init__(self, arguments: Sequence[str], content: bytes) -> None:
        self._arguments = arguments
        self._content = memoryview(content)
        self._process: subprocess.Popen[bytes] | None = None
        self._is_killed = False

    def run(self) -> bytes | Obstacle:
        deadline = time.monotonic() + WALL_S
        try:
            with self._start() as process:
                self._process = process
                if self._is_killed:
                    # It was killed while it started.
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
        """Kills the process and its children, which are in the same group, even if the process has only just
        started."""
        self._is_killed = True
        process = self._process
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)

    def _start(self) -> subprocess.Popen[bytes]:
        # It finds modules in the same places as this process. It doesn't need anything else from the environment.
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
        """Sends the document to the process. Returns the process's output, or None if it is too long or arrives too
        late."""
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
                        if not self._feed(process):
                            selector.unregister(process.stdin)
                            process.stdin.close()
                    elif chunk := os.read(key.fd, _CHUNK_BYTES):
                        output += chunk
                    else:
                        return bytes(output)
        return None

    def _feed(self, process: subprocess.Popen[bytes]) -> bool:
        """Writes the next piece of the document. Returns whether there is more to write."""
        assert process.stdin is not None
        try:
            written = os.write(process.stdin.fileno(), self._content[:_CHUNK_BYTES])
        except OSError:
            # It has ended, and its exit code has the reason.
            return False
        self._content = self._content[written:]
        return bool(self._content)


def _parse_output(output: bytes | Obstacle, parse: Callable[[Mapping[str, Any]], T]) -> T | Obstacle:
    """Parses the process's output, which can be anything, because a document might have taken over the process."""
    if isinstance(output, Obstacle):
        return output
    try:
        said: Mapping[str, Any] = json.loads(output)
        return Obstacle(said["refusal"]) if "refusal" in said else parse(said)
    except (ValueError, TypeError, KeyError, AttributeError):
        return Obstacle.DAMAGED


def _parse_document(said: Mapping[str, Any]) -> Document:
    left_out = [
        LeftOut(Part(one["part"]), int(one["count"]), tuple(map(str, one["names"]))) for one in said["left_out"]
    ]
    charset, is_markdown = str(said["guessed_charset"])[:40], bool(said["is_markdown"])
    pages = min(max(0, int(said["pages"])), MAX_COUNTED_PAGES)
    return Document(str(said["text"]), tuple(left_out), charset, is_markdown, pages)


def _parse_image(said: Mapping[str, Any]) -> ConvertedImage:
    media_type, encoded = said["media_type"], said["base64"]
    if media_type not in ("image/png", "image/jpeg"):
        raise ValueError
    base64.b64decode(encoded, validate=True)
    other_pages = tuple(_parse_image(page) for page in said.get("other_pages", ())[: MAX_PAGES - 1])
    return ConvertedImage(media_type, encoded, said["has_more"] is True, other_pages)
