"""Runs a sandbox as a process, so that it can be frozen: `python -m tests.slack_process [PORT]`.

Writes its Web API's URL, then reads lines: "ask TEXT" mentions the bot in #general and answers "asked TS".
It ends when its stdin is closed.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from slack_sandbox.server import Sandbox
from slack_sandbox.testing.processes import wait_for_line
from slack_sandbox.web_api.http import Tokens

REPOSITORY = Path(__file__).parent.parent
TOKENS = Tokens("xoxb-process", "xapp-1-process", "xoxe.xoxp-1-process")


@dataclass(frozen=True)
class SlackProcess:
    """A sandbox process, and the settings with which the bot connects to it."""

    process: asyncio.subprocess.Process
    api_url: str

    @property
    def env(self) -> dict[str, str]:
        return {"SLACK_BOT_TOKEN": TOKENS.bot, "SLACK_APP_TOKEN": TOKENS.app, "BOT_SLACK_API_URL": self.api_url}

    async def ask(self, text: str = "why?") -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(f"ask {text}\n".encode())
        return (await wait_for_line(self.process.stdout, "asked ")).split()[1]

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Freezes the sandbox during the block: its sockets stay open and nothing answers, as on a hung machine."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


@contextlib.asynccontextmanager
async def slack_process(port: int = 0) -> AsyncIterator[SlackProcess]:
    """Starts a sandbox process and kills it at the end of the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.slack_process",
        str(port),
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield SlackProcess(process, (await wait_for_line(process.stdout, "http://")).strip())
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def main(port: int) -> None:
    loop = asyncio.get_running_loop()
    async with Sandbox(port=port, tokens=TOKENS) as sandbox:
        sys.stdout.write(f"{sandbox.api_url}\n")
        sys.stdout.flush()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            word, _, text = line.strip().partition(" ")
            if word == "ask":
                ts = await sandbox.say("ada", "general", f"@bot {text}")
                sys.stdout.write(f"asked {ts}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
