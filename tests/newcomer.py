"""What a newcomer has: a terminal to type in, and a key of OpenAI."""

import asyncio
import json
import os
import pty
import sys
import termios
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path

from slack_sandbox.testing.processes import WITHIN_S, inherited_environment, running_process
from tests.forked import ForkedBot, forked_bot
from tests.streams import speech
from tests.streams.server import VendorRequest, VendorResponse

KEY = "sk-proj-Zz0123456789abcdefghij"
ANSWER = "Forty-two."
MODEL = {"id": "gpt-6-luna", "object": "model", "created": 1, "owned_by": "openai"}
CTRL_C, CTRL_D = b"\x03", b"\x04"


class Terminal:
    """A terminal with a process in it: a person types after what they have read."""

    def __init__(self, process: asyncio.subprocess.Process | ForkedBot, fd: int) -> None:
        self.process = process
        self.fd = fd
        self.shown = ""
        """All that the terminal has shown so far."""
        self._read_to = 0
        self._came = asyncio.Event()
        asyncio.get_running_loop().add_reader(fd, self._receive)

    def _receive(self) -> None:
        self.shown += os.read(self.fd, 65_536).decode(errors="replace").replace("\r\n", "\n")
        self._came.set()

    async def reads(self, words: str, within_s: float = WITHIN_S) -> str:
        """Waits for these words and returns what was shown since the last ones."""
        try:
            async with asyncio.timeout(within_s):
                while (at := self.shown.find(words, self._read_to)) < 0:
                    self._came.clear()
                    await self._came.wait()
        except TimeoutError:
            raise AssertionError(f"{words!r} is not in {self.shown[self._read_to :]!r}") from None
        seen, self._read_to = self.shown[self._read_to : at + len(words)], at + len(words)
        return seen

    async def types(self, prompt: str, line: str) -> str:
        """Waits for a prompt, types a line, and returns what was shown before."""
        seen = await self.reads(prompt)
        os.write(self.fd, f"{line}\n".encode())
        return seen

    def presses_ctrl_c(self) -> None:
        os.write(self.fd, CTRL_C)

    async def ends_at(self, key: bytes) -> tuple[int, str]:
        """Presses a key at a prompt until the process ends; returns its exit code and what was shown since.

        Python handles a Ctrl-C that comes between the prompt and the read only after a line. If the process takes
        longer to end, the terminal echoes the repeated key, which is left out.
        """
        ending = asyncio.create_task(self.end())
        while not ending.done():
            os.write(self.fd, key)
            await asyncio.wait([ending], timeout=0.5)
        code, seen = ending.result()
        return code, seen.replace("^C", "")

    @property
    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self.fd)[3] & termios.ECHO)

    async def end(self) -> tuple[int, str]:
        """Waits for the end of the process; returns its exit code and what was shown since the last words."""
        async with asyncio.timeout(WITHIN_S):
            code = await self.process.wait()
        with suppress(BlockingIOError):
            while True:
                self._receive()
        return code, self.shown[self._read_to :]


@contextmanager
def _opened() -> Iterator[tuple[int, int]]:
    """Yields both ends of a new terminal: ours, and that of its process."""
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    try:
        yield ours, theirs
    finally:
        asyncio.get_running_loop().remove_reader(ours)
        os.close(ours)
        os.close(theirs)


@asynccontextmanager
async def terminal(folder: Path, *command: str, env: Mapping[str, str]) -> AsyncIterator[Terminal]:
    with _opened() as (ours, theirs):
        env = {**inherited_environment(), **env}
        options = {"stdin": theirs, "stdout": theirs, "stderr": theirs, "cwd": folder, "env": env}
        async with running_process(*command, preexec_fn=lambda: os.login_tty(0), **options) as process:
            yield Terminal(process, ours)


@asynccontextmanager
async def bot_terminal(
    folder: Path, *arguments: str, env: Mapping[str, str], change: Callable[[], object] | None = None
) -> AsyncIterator[Terminal]:
    """Starts a bot with these arguments in a forked process, which calls `change` first, in a terminal of its own."""
    with _opened() as (ours, theirs):
        before = partial(_log_in, os.ttyname(theirs), change)
        async with forked_bot(folder, *arguments, env=env, before=before) as process:
            yield Terminal(process, ours)


def _log_in(terminal_name: str, change: Callable[[], object] | None) -> None:
    """Makes a terminal this process's own, with its standard streams."""
    if change:
        change()
    os.login_tty(os.open(terminal_name, os.O_RDWR))
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1, closefd=False) for number in (1, 2))


def as_openai(request: VendorRequest) -> VendorResponse:
    """OpenAI, with one key."""
    if request.headers.get("authorization", request.headers.get("Authorization")) != f"Bearer {KEY}":
        return VendorResponse([b'{"error": {"code": "invalid_api_key"}}'], 401, "application/json")
    if request.path.endswith("/chat/completions"):
        return VendorResponse(speech.chat([ANSWER]))
    return VendorResponse([json.dumps(MODEL).encode()], 200, "application/json")
