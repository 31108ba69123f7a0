"""Runs several bots as processes: starts, kills, pauses and replaces them, and checks how they ended.

Their logs are read for unexpected errors, secrets and user text.
"""

import asyncio
import contextlib
import itertools
import re
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from benchmarks.process import spawn

if TYPE_CHECKING:
    from tests.forked import ForkedBot

READY_WITHIN_S = 120.0
"""A start takes a second, and on a machine at a load of ten most of a minute."""
END_WITHIN_S = 30.0
"""How long platforms wait after SIGTERM before they kill."""
_RESTART_DELAY_S = 1.0


SpawnedProcess: TypeAlias = "asyncio.subprocess.Process | ForkedBot"
Spawn = Callable[[Path, Mapping[str, str], Path], Awaitable[SpawnedProcess]]
"""Starts a bot in a folder with these settings, and with a file for its stderr."""


@dataclass(eq=False)
class BotProcess:
    """One bot process, from start to end."""

    name: str
    process: SpawnedProcess
    log: Path
    """The file with its stderr."""
    started_s: float
    """Start in monotonic seconds."""
    ready: bool = False
    under_fault: bool = False
    """A fault is being injected into it. It gets no second one until that is over."""
    pauses: list[tuple[float, float]] = field(default_factory=list)
    """When it was stopped by SIGSTOP: start and end in monotonic seconds."""
    end_signal: signal.Signals | None = None
    """The signal that was sent to end it."""
    end_signal_s: float = 0.0
    ended_s: float | None = None

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.returncode is None

    def send(self, number: signal.Signals) -> None:
        """Sends a signal, or does nothing if the process has ended."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    def end(self, number: signal.Signals) -> None:
        """Sends a signal that ends the process, and records it."""
        self.end_signal, self.end_signal_s = number, time.monotonic()
        self.send(number)

    async def ended(self) -> int:
        """Waits for the process to end and returns its exit code."""
        return await self.process.wait()


@dataclass
class Fleet:
    """All bot processes of a run. Their environment is `env` alone: nothing of the caller's reaches them."""

    folder: Path
    """The folder for their logs."""
    env: Mapping[str, str]
    spawn: Spawn = spawn
    bots: list[BotProcess] = field(default_factory=list)
    """All processes that were started, in order."""
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _watches: set[asyncio.Task[None]] = field(default_factory=set)
    _closing: bool = False

    def ready_bots(self) -> list[BotProcess]:
        """Returns the processes that are ready, not ending and not under a fault."""
        return [bot for bot in self.bots if bot.alive and bot.ready and bot.end_signal is None and not bot.under_fault]

    async def start(self) -> BotProcess:
        """Starts a process and returns it once it is connected to Slack. Restarts one that fails, as supervisors do."""
        async with asyncio.timeout(READY_WITHIN_S):
            while True:
                bot = await self._spawn()
                assert bot.process.stdout is not None
                if await bot.process.stdout.readline():
                    bot.ready = True
                    return bot
                await bot.ended()
                await asyncio.sleep(_RESTART_DELAY_S)

    async def replace(self, bot: BotProcess) -> None:
        """Replaces a process as a rolling deployment does: the new one is ready before the old one gets SIGTERM."""
        await self.start()
        await self.stop(bot)

    async def stop(self, bot: BotProcess) -> None:
        """Sends SIGTERM, and SIGKILL if the process doesn't end in time. `logs.process_faults` reports a late end."""
        bot.end(signal.SIGTERM)
        try:
            await asyncio.wait_for(bot.ended(), END_WITHIN_S + 5)
        except TimeoutError:
            bot.send(signal.SIGKILL)
            await bot.ended()

    async def close(self) -> None:
        """Stops all processes with SIGTERM."""
        self._closing = True
        for bot in self.bots:
            if bot.alive and bot.under_fault:
                bot.send(signal.SIGCONT)
        await asyncio.gather(*(self.stop(bot) for bot in self.bots if bot.alive))
        await asyncio.gather(*self._watches)

    def kill(self) -> None:
        """Kills all remaining processes."""
        self._closing = True
        for bot in self.bots:
            if bot.alive:
                bot.end(signal.SIGKILL)

    async def _spawn(self) -> BotProcess:
        name = f"bot-{next(self._numbers):02d}"
        log = self.folder / f"{name}.log"
        process = await self.spawn(self.folder, self.env, log)
        bot = BotProcess(name, process, log, time.monotonic())
        self.bots.append(bot)
        watch = asyncio.create_task(self._watch(bot))
        self._watches.add(watch)
        watch.add_done_callback(self._watches.discard)
        return bot

    async def _watch(self, bot: BotProcess) -> None:
        """Records when the process ended, and starts a new one if it ended by itself."""
        await bot.ended()
        bot.ended_s = time.monotonic()
        if bot.ready and bot.end_signal is None and not self._closing:
            with contextlib.suppress(TimeoutError):
                await self.start()


Span = tuple[float, float]

_SURPRISES = re.compile(
    r"Traceback \(most recent call last\)|never retrieved|never awaited|Unclosed|was destroyed but|CRITICAL"
)
_ERROR = re.compile(r"^\S+ \S+ ERROR (.*)$", re.MULTILINE)
_USER_TEXT = re.compile(r"\bq\d+w\d+\b|\bq\d+s\d+c\d+\b|\bq\d+: \d+ words")
_RECONNECT_ERROR = re.compile(r"^slack_bolt: Failed to run message listeners")
"""Bolt logs this if it can't replace a closed connection at once. Typist's watch over the sockets then does it."""
_ENDING = "because this process is ending"
"""What a person does in the last moment of a process fails, and the person is told."""
_OUTAGE_EFFECT_S = 15.0
"""Errors caused by a database outage may be logged up to this long after it."""


def process_faults(bots: Sequence[BotProcess], outages: Sequence[Span], secrets: Sequence[str]) -> list[str]:
    """Returns one sentence for each fault of a process's end or log.

    Database outages excuse errors about the database. So do pauses: they can interrupt a transaction.
    """
    sentences = []
    for bot in bots:
        log = bot.log.read_text(errors="replace")
        lifetime = bot.started_s, bot.ended_s or bot.started_s
        excused = any(_overlap(lifetime, span) for span in (*outages, *bot.pauses))
        faults = (*_end(bot, excused), *log_faults(log, excused, secrets))
        sentences += [f"{bot.name}: {sentence}" for sentence in faults]
    return sentences


def log_faults(log: str, excused: bool, secrets: Sequence[str]) -> list[str]:
    """Returns one sentence for each fault of a log. `excused`: the database was unavailable meanwhile."""
    return [*_surprises(log), *_errors(log, excused), *_leaks(log, secrets)]


def _end(bot: BotProcess, excused: bool) -> Iterator[str]:
    code = bot.process.returncode
    if bot.end_signal is None:
        if bot.ready:
            yield f"ended by itself with code {code}"
        elif not (excused and code == 1):
            yield f"did not start: ended with code {code}"
    elif bot.end_signal is signal.SIGTERM:
        took_s = (bot.ended_s or 0) - bot.end_signal_s
        if code != 0 or took_s > END_WITHIN_S:
            yield f"ended with code {code}, {took_s:.1f} s after SIGTERM"
    elif code != -bot.end_signal:
        yield f"ended with code {code} after signal {bot.end_signal}"


def _surprises(log: str) -> Iterator[str]:
    counts = Counter(match[0] for match in _SURPRISES.finditer(log))
    for what, times in counts.items():
        at = log.index(what)
        last = log[at:].split("\n\n")[0].splitlines()
        yield f"{what!r} {times} times in its log, first before {_shortened(last[-1])}"


def _errors(log: str, excused: bool) -> Iterator[str]:
    for line in dict.fromkeys(_ERROR.findall(log)):
        is_expected = _RECONNECT_ERROR.match(line) or line.endswith(_ENDING)
        if not (excused and "database" in line.lower()) and not is_expected:
            yield f"an error in its log: {_shortened(line)}"


def _leaks(log: str, secrets: Sequence[str]) -> Iterator[str]:
    if any(secret in log for secret in secrets):
        yield "a secret is in its log"
    if words := _USER_TEXT.search(log):
        yield f"text of a question or an answer is in its log: {words[0]!r}"


def _overlap(lifetime: Span, outage: Span) -> bool:
    return lifetime[0] <= outage[1] + _OUTAGE_EFFECT_S and outage[0] <= lifetime[1]


def _shortened(text: str) -> str:
    return text if len(text) < 200 else f"{text[:200]}…"
