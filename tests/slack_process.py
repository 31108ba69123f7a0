"""A sandbox as a process of its own, so that it can be frozen: `python -m tests.slack_process [PORT]`.

Writes its Web API's address, then reads lines: "ask TEXT" mentions the bot in #general and answers "asked TS".
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

from sandbox.server import APP_TOKEN, BOT_TOKEN, Sandbox
from tests.processes import said

REPOSITORY = Path(__file__).parent.parent


@dataclass(frozen=True)
class Slack:
    """The process, and what the bot needs to connect to it."""

    process: asyncio.subprocess.Process
    api_url: str

    @property
    def env(self) -> dict[str, str]:
        return {"SLACK_BOT_TOKEN": BOT_TOKEN, "SLACK_APP_TOKEN": APP_TOKEN, "BOT_SLACK_API_URL": self.api_url}

    async def ask(self, text: str = "why?") -> str:
        """Mentions the bot in #general; the question's ts."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"ask {text}\n".encode())
        return (await said(self.process.stdout, "asked ")).split()[1]

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """For the block its sockets are open and nothing is answered, as on a machine that hangs."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


@contextlib.asynccontextmanager
async def slack_process(port: int = 0) -> AsyncIterator[Slack]:
    """Such a process; killed with the block."""
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
        yield Slack(process, (await said(process.stdout, "http://")).strip())
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def main(port: int) -> None:
    loop = asyncio.get_running_loop()
    async with Sandbox(port=port) as sandbox:
        sys.stdout.write(f"{sandbox.api_url}\n")
        sys.stdout.flush()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            word, _, text = line.strip().partition(" ")
            if word == "ask":
                ts = await sandbox.say("ada", "general", f"@typist {text}")
                sys.stdout.write(f"asked {ts}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
