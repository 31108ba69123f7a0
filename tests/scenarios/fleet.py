"""Bot processes that share a database, for tests that start and end them one by one."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from slack_sandbox.testing.processes import WITHIN_S, wait_for_line
from slack_sandbox.workspace import Message
from tests.forked import ForkedBot, forked_bot
from tests.scenarios.conftest import Stage, connected, shown


@dataclass(frozen=True)
class Fleet:
    stage: Stage
    folder: Path
    env: dict[str, str]
    stack: AsyncExitStack

    async def start(self, before: Callable[[], object] | None = None, **env: str) -> ForkedBot:
        """Starts another process and returns it once it is connected. `before` is called in it first."""
        starting = forked_bot(self.folder, "run", env={**self.env, **env}, before=before)
        process = await self.stack.enter_async_context(starting)
        await wait_for_line(process.stdout, "is connected to Slack")
        return process

    async def killed(self, process: ForkedBot) -> None:
        """Kills a process, as by `kill -9`, and waits until it is gone."""
        process.kill()
        await asyncio.wait_for(process.wait(), WITHIN_S)

    async def visible(self, asked: str, words: str) -> Message:
        matching = await self.stage.sandbox.wait_for(
            lambda: [message for message in self.stage.bots("general", asked) if words in shown(message)]
        )
        return matching[0]

    async def asked_the_model(self, times: int) -> None:
        try:
            await self.stage.vendor.request(times - 1)
        except TimeoutError:
            replies = [shown(message) for message in self.stage.bots("general")]
            count = len(self.stage.vendor.requests)
            raise AssertionError(f"waited 40 s for request {times}; the vendor got {count}; Slack: {replies}") from None


@asynccontextmanager
async def fleet_of(stage: Stage, folder: Path, database_url: str, **env: str) -> AsyncIterator[Fleet]:
    """Yields a fleet whose processes have this database, and ends those that run at the end."""
    async with AsyncExitStack() as stack:
        yield Fleet(
            stage, folder, {**connected(stage.sandbox, stage.vendor), "DATABASE_URL": database_url, **env}, stack
        )
