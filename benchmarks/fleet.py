"""Bots as processes of their own: started, killed, paused and replaced, as platforms and accidents do it."""

import asyncio
import contextlib
import itertools
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_ROOT = Path(__file__).parent.parent
READY_WITHIN_S = 60.0
END_WITHIN_S = 30.0
"""Platforms kill so long after SIGTERM."""
_START_AGAIN_S = 1.0


@dataclass(eq=False)
class Bot:
    """One process, from its start to its end."""

    name: str
    process: asyncio.subprocess.Process
    log: Path
    """What it wrote to stderr."""
    started_s: float
    """Monotonic."""
    ready: bool = False
    in_trouble: bool = False
    """Somebody does something to it: no second trouble until that is over."""
    pauses: list[tuple[float, float]] = field(default_factory=list)
    """From when to when it was stopped, monotonic."""
    told: signal.Signals | None = None
    """What was sent to end it."""
    told_s: float = 0.0
    ended_s: float | None = None

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.returncode is None

    def send(self, number: signal.Signals) -> None:
        """A signal; nothing where the process has ended."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    def end(self, number: signal.Signals) -> None:
        """A signal that ends it."""
        self.told, self.told_s = number, time.monotonic()
        self.send(number)

    async def ended(self) -> int:
        """Its exit code, once it has one."""
        return await self.process.wait()


@dataclass
class Fleet:
    """All processes of a run. `env` is all that they know: no setting of who runs the benchmark."""

    folder: Path
    """Where their logs are kept."""
    env: Mapping[str, str]
    bots: list[Bot] = field(default_factory=list)
    """All that ever ran, in the order of their starts."""
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _watches: set[asyncio.Task[None]] = field(default_factory=set)
    _closing: bool = False

    def working(self) -> list[Bot]:
        """Those that run and are left alone."""
        return [bot for bot in self.bots if bot.alive and bot.ready and bot.told is None and not bot.in_trouble]

    async def start(self) -> Bot:
        """A new process, connected to Slack; one that fails to start is started again, as supervisors do."""
        async with asyncio.timeout(READY_WITHIN_S):
            while True:
                bot = await self._spawn()
                assert bot.process.stdout is not None
                if await bot.process.stdout.readline():
                    bot.ready = True
                    return bot
                await bot.ended()
                await asyncio.sleep(_START_AGAIN_S)

    async def replace(self, bot: Bot) -> None:
        """A rolling deployment: the new one is there before the old one is told to go."""
        await self.start()
        await self.stop(bot)

    async def stop(self, bot: Bot) -> None:
        """SIGTERM, and SIGKILL where it has not ended in time; the log of its end is the verdict's to judge."""
        bot.end(signal.SIGTERM)
        try:
            await asyncio.wait_for(bot.ended(), END_WITHIN_S + 5)
        except TimeoutError:
            bot.send(signal.SIGKILL)
            await bot.ended()

    async def close(self) -> None:
        """Lets all end as a deployment does."""
        self._closing = True
        for bot in self.bots:
            if bot.alive and bot.in_trouble:
                bot.send(signal.SIGCONT)
        await asyncio.gather(*(self.stop(bot) for bot in self.bots if bot.alive))
        await asyncio.gather(*self._watches)

    def kill(self) -> None:
        """Ends all that is left of it at once."""
        self._closing = True
        for bot in self.bots:
            if bot.alive:
                bot.end(signal.SIGKILL)

    async def _spawn(self) -> Bot:
        name = f"bot-{next(self._numbers):02d}"
        log = self.folder / f"{name}.log"
        with log.open("wb") as stderr:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "bot",
                "run",
                cwd=self.folder,
                env={"PATH": os.environ["PATH"], "PYTHONPATH": str(_ROOT), **self.env},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
            )
        bot = Bot(name, process, log, time.monotonic())
        self.bots.append(bot)
        watch = asyncio.create_task(self._watch(bot))
        self._watches.add(watch)
        watch.add_done_callback(self._watches.discard)
        return bot

    async def _watch(self, bot: Bot) -> None:
        """Notes when it ended; one that ended by itself is started again."""
        await bot.ended()
        bot.ended_s = time.monotonic()
        if bot.ready and bot.told is None and not self._closing:
            with contextlib.suppress(TimeoutError):
                await self.start()
