"""Measures one, two and four processes on one database: latency, load, cost, take-overs and bursts.

Run: python -m benchmarks.scale [--processes 1,2,4] [--database postgresql] [--parts idle,way,load,live,takeover,burst]

The parts, for each number of processes:

- idle: CPU and memory without work
- way: latency from an event to its acknowledgment and to the placeholder
- load: edits and 429s under Slack's budget, which the sandbox enforces
- live: memory and CPU of a live answer
- takeover: time until an answer continues after its process was killed
- burst: 1,000 events in a second, each to be recorded and acknowledged within Slack's 3 s

Each part has its own sandbox, database and processes. Exits with 1 if a target is missed. Reads /proc, so Linux only.
"""

import argparse
import asyncio
import contextlib
import math
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.chaos import EDITS_A_MINUTE, environment
from benchmarks.databases import Engine, Postgresql, Sqlite, database
from benchmarks.fleet import BotProcess, Fleet
from benchmarks.message_recorder import MessageRecorder
from benchmarks.process import Process
from benchmarks.question_plan import CHANNELS, PEOPLE, words_in
from benchmarks.scripted_model import RequestEnd, ScriptedModel
from sandbox.server import Sandbox

IDLE_S = 20.0
WORDS = 60
LATENCY_QUESTIONS, LATENCY_S = 20, 20.0
LOAD_QUESTIONS, LOAD_S = 60, 30.0
LIVE_ANSWERS, LIVE_S = 50, 10.0
TAKEOVERS = 3
TAKEN_OVER_WITHIN_S = 20.0
BURST_EVENTS, BURST_S = 1_000, 1.0
WARM_UP_S = 2.0
DRAIN_S = 6
ASKED_CHANNELS = CHANNELS[:3]

Figures = dict[str, float]
TARGETS = {
    "idle: CPU of a process, % of a core": 1.0,
    "take-over: asked again p95, s": 3.0,
    "burst: not on record": 0.0,
    "burst: not acknowledged": 0.0,
    "burst: acknowledged, slowest, s": 3.0,
    "load: 429s": 0.0,
}
RESTARTED_WITHIN_S = 10.0
"""The target of a take-over if no other process is running."""


@dataclass
class Deployment:
    """Some bot processes with their sandbox, model and database, and a recorder of their messages."""

    sandbox: Sandbox
    model: ScriptedModel
    store: Sqlite | Postgresql
    fleet: Fleet
    recorder: MessageRecorder
    asked_s: dict[str, float] = field(default_factory=dict)
    """When each question was asked, in monotonic seconds by its ts."""

    def processes(self) -> list[Process]:
        return [Process(bot.pid, bot.log) for bot in self.fleet.ready_bots()]

    def cpu_s(self) -> float:
        """Returns the CPU time of all processes since their start."""
        return sum(process.cpu_s() for process in self.processes())

    def memory_bytes(self) -> int:
        return sum(process.memory_bytes() for process in self.processes())

    async def commits(self) -> int:
        return await self.store.commits() if isinstance(self.store, Postgresql) else 0

    def database_cpu_s(self) -> float:
        """Returns the CPU time of PostgreSQL. SQLite runs within the bot's processes."""
        return self.store.cpu_s() if isinstance(self.store, Postgresql) else 0.0

    async def ask(self, number: int, words: int, words_per_s: int) -> str:
        """Asks the first question of a new thread and returns its ts."""
        channel, person = ASKED_CHANNELS[number % len(ASKED_CHANNELS)], PEOPLE[number % len(PEOPLE)]
        text = f"@typist q{number}: {words} words, {words_per_s} a second"
        now_s = time.monotonic()
        ts = await self.sandbox.say(person, channel, text)
        self.asked_s[ts] = now_s
        return ts

    def words(self, ts: str) -> int:
        """Returns how many words of an answer Slack shows."""
        pages = [history for history in self.recorder.histories.values() if history.question_ts == ts]
        return sum(len(words_in(history.last.text)) for history in pages)

    def acknowledged_s(self) -> list[float]:
        """Returns the time from sending to acknowledgment for each question's events; infinite without one."""
        events = [event for event in self.sandbox.deliveries if event.payload["event"]["ts"] in self.asked_s]
        return [
            (event.acked_at_s or math.inf) - event.sent_at_s[0] if event.sent_at_s else math.inf for event in events
        ]

    def placeholders_s(self) -> list[float]:
        """Returns the time from each question to its placeholder; infinite without one."""
        first_shown_s: dict[str, float] = {}
        for history in self.recorder.histories.values():
            first_shown_s.setdefault(history.question_ts, history.revisions[0].at_s)
        return [first_shown_s.get(ts, math.inf) - asked_s for ts, asked_s in self.asked_s.items()]


@asynccontextmanager
async def new_deployment(engine: Engine, processes: int, **sandbox_settings: Any) -> AsyncIterator[Deployment]:
    """Yields a new deployment. In the end its processes are killed without draining."""
    with tempfile.TemporaryDirectory(prefix="scale-") as directory:
        limits = {"chat.update": EDITS_A_MINUTE}
        async with (
            Sandbox(budgets=limits, **sandbox_settings) as sandbox,
            ScriptedModel() as model,
            database(engine, Path(directory)) as store,
        ):
            fleet = Fleet(Path(directory), environment(sandbox, model, store.url, DRAIN_S))
            try:
                # One after the other, because the first creates the tables.
                for _ in range(processes):
                    await fleet.start()
                await asyncio.sleep(WARM_UP_S)
                yield Deployment(sandbox, model, store, fleet, MessageRecorder(sandbox.workspace))
            finally:
                fleet.kill()


async def idle(engine: Engine, processes: int) -> Figures:
    async with new_deployment(engine, processes) as deployment:
        cpu_s, commits, database_cpu_s = deployment.cpu_s(), await deployment.commits(), deployment.database_cpu_s()
        await asyncio.sleep(IDLE_S)
        return {
            "idle: CPU of a process, % of a core": (deployment.cpu_s() - cpu_s) / IDLE_S / processes * 100,
            "idle: memory of a process, MB": deployment.memory_bytes() / processes / 1e6,
            "idle: PostgreSQL's CPU for a process, % of a core": (deployment.database_cpu_s() - database_cpu_s)
            / IDLE_S
            / processes
            * 100,
            "idle: transactions a second, of a process": (await deployment.commits() - commits) / IDLE_S / processes,
        }


async def latency(engine: Engine, processes: int) -> Figures:
    """Asks questions one by one, within Slack's budget: their latency and cost."""
    async with new_deployment(engine, processes) as deployment:
        cpu_s, commits, database_cpu_s = deployment.cpu_s(), await deployment.commits(), deployment.database_cpu_s()
        await _ask(deployment, LATENCY_QUESTIONS, LATENCY_S)
        acknowledged_s, placeholders_s = deployment.acknowledged_s(), deployment.placeholders_s()
        return {
            "way: event to acknowledgment p50, ms": _percentile(acknowledged_s, 50) * 1e3,
            "way: event to acknowledgment p95, ms": _percentile(acknowledged_s, 95) * 1e3,
            "way: event to placeholder p50, ms": _percentile(placeholders_s, 50) * 1e3,
            "way: event to placeholder p95, ms": _percentile(placeholders_s, 95) * 1e3,
            "way: CPU of a question, ms": (deployment.cpu_s() - cpu_s) / LATENCY_QUESTIONS * 1e3,
            "way: PostgreSQL's CPU of a question, ms": (deployment.database_cpu_s() - database_cpu_s)
            / LATENCY_QUESTIONS
            * 1e3,
            "way: transactions of a question": (await deployment.commits() - commits) / LATENCY_QUESTIONS,
        }


async def load(engine: Engine, processes: int) -> Figures:
    """Asks more questions than Slack's budget allows edits for: all must wait without a 429."""
    async with new_deployment(engine, processes) as deployment:
        commits, began_s = await deployment.commits(), time.monotonic()
        await _ask(deployment, LOAD_QUESTIONS, LOAD_S)
        edits = [call.at_monotonic_s for call in deployment.sandbox.calls if call.method == "chat.update" and call.ok]
        placeholders_s = deployment.placeholders_s()
        return {
            "load: event to placeholder p95, ms": _percentile(placeholders_s, 95) * 1e3,
            "load: edits in the busiest minute": _busiest(edits, 60),
            "load: 429s": float(sum(call.error == "ratelimited" for call in deployment.sandbox.calls)),
            "load: questions answered": float(sum(deployment.words(ts) == WORDS for ts in deployment.asked_s)),
            "load: until the last was shown, s": time.monotonic() - began_s,
            "load: transactions of a question": (await deployment.commits() - commits) / LOAD_QUESTIONS,
        }


async def _ask(deployment: Deployment, questions: int, span_s: float) -> None:
    """Asks at equal intervals and waits until Slack shows all answers, at most 240 s."""
    began_s = time.monotonic()
    for number in range(questions):
        await asyncio.sleep(began_s + number * span_s / questions - time.monotonic())
        await deployment.ask(number, WORDS, 30)
    with contextlib.suppress(TimeoutError):
        await deployment.sandbox.wait_for(lambda: all(deployment.words(ts) == WORDS for ts in deployment.asked_s), 240)


async def live(engine: Engine, processes: int) -> Figures:
    """Streams many answers at once, at 10 words/s: more than Slack's budget can keep fresh."""
    async with new_deployment(engine, processes) as deployment:
        memory_bytes = deployment.memory_bytes()
        for number in range(LIVE_ANSWERS):
            await deployment.ask(number, 600, 10)
        await deployment.sandbox.wait_for(lambda: sum(map(len, deployment.model.requests.values())) == LIVE_ANSWERS, 60)
        await asyncio.sleep(WARM_UP_S)
        cpu_s = deployment.cpu_s()
        await asyncio.sleep(LIVE_S)
        return {
            "live: memory of an answer, kB": (deployment.memory_bytes() - memory_bytes) / LIVE_ANSWERS / 1e3,
            "live: CPU of an answer, % of a core": (deployment.cpu_s() - cpu_s) / LIVE_S / LIVE_ANSWERS * 100,
        }


async def takeover(engine: Engine, processes: int) -> Figures:
    """Kills a process while it answers. If it is the only one, a new one is started at once."""
    requested_again_s: list[float] = []
    continued_s: list[float] = []
    for _ in range(TAKEOVERS):
        async with new_deployment(engine, processes) as deployment:
            asked = [await deployment.ask(number, 400, 20) for number in range(2 * processes)]
            await _until_all_have_words(deployment, asked)
            killed_s = await _kill(deployment, deployment.fleet.ready_bots()[0])
            shown = {ts: deployment.words(ts) for ts in asked}
            if processes == 1:
                await deployment.fleet.start()
            await asyncio.sleep(TAKEN_OVER_WITHIN_S)
            for number, ts in enumerate(asked):
                begun_s = [request.at_s for request in deployment.model.requests[number] if request.at_s > killed_s]
                if begun_s or deployment.model.requests[number][0].end is RequestEnd.HUNG_UP:
                    requested_again_s.append(min(begun_s, default=math.inf) - killed_s)
                    continued_s.append(_continued_at_s(deployment, ts, shown[ts]) - killed_s)
    return {
        "take-over: answers": float(len(requested_again_s)),
        "take-over: asked again p50, s": _percentile(requested_again_s, 50),
        "take-over: asked again p95, s": _percentile(requested_again_s, 95),
        "take-over: new words in Slack p50, s": _percentile(continued_s, 50),
        "take-over: new words in Slack p95, s": _percentile(continued_s, 95),
    }


async def _until_all_have_words(deployment: Deployment, asked: Sequence[str]) -> None:
    """Waits until Slack shows a word of each answer. Raises TimeoutError after 30 s."""
    await deployment.sandbox.wait_for(lambda: all(deployment.words(ts) for ts in asked), 30)


async def _kill(deployment: Deployment, bot: BotProcess) -> float:
    """Kills a process and returns when it had ended, in monotonic seconds."""
    bot.end(signal.SIGKILL)
    await bot.ended()
    return time.monotonic()


def _continued_at_s(deployment: Deployment, ts: str, words: int) -> float:
    """Returns when Slack first showed more than `words` words of an answer; infinite if never."""
    for history in deployment.recorder.histories.values():
        for revision in history.revisions:
            if history.question_ts == ts and len(words_in(revision.text)) > words:
                return revision.at_s
    return math.inf


async def burst(engine: Engine, processes: int) -> Figures:
    """Sends 1,000 events in a second, each a question in a new thread. The answers are not waited for."""
    async with new_deployment(engine, processes, subscribed=frozenset({"app_mention"})) as deployment:
        began_s = time.monotonic()
        for number in range(BURST_EVENTS):
            await asyncio.sleep(began_s + number * BURST_S / BURST_EVENTS - time.monotonic())
            await deployment.ask(number, 60, 30)
        took_s = time.monotonic() - began_s
        with contextlib.suppress(TimeoutError):
            await deployment.sandbox.wait_for(
                lambda: all(event.acked_at_s for event in deployment.sandbox.deliveries), 15
            )
        acknowledged_s = deployment.acknowledged_s()
        peak_bytes = max(process.peak_bytes() for process in deployment.processes())
        recorded = {job.ts for job in await deployment.store.jobs()}
        return {
            "burst: events a second": BURST_EVENTS / took_s,
            "burst: not on record": float(len(deployment.asked_s.keys() - recorded)),
            "burst: not acknowledged": float(sum(map(math.isinf, acknowledged_s))),
            "burst: acknowledged p50, s": _percentile(acknowledged_s, 50),
            "burst: acknowledged p95, s": _percentile(acknowledged_s, 95),
            "burst: acknowledged, slowest, s": max(acknowledged_s),
            "burst: delivered more than once": float(
                sum(len(event.sent_at_s) > 1 for event in deployment.sandbox.deliveries)
            ),
            "burst: peak memory of a process, MB": peak_bytes / 1e6,
        }


PARTS: dict[str, Callable[[Engine, int], Coroutine[Any, Any, Figures]]] = {
    "idle": idle,
    "way": latency,
    "load": load,
    "live": live,
    "takeover": takeover,
    "burst": burst,
}


def _percentile(values: Sequence[float], which: int) -> float:
    ordered = sorted(values)
    return ordered[math.ceil(len(ordered) * which / 100) - 1] if ordered else math.nan


def _busiest(at_s: Sequence[float], span_s: float) -> float:
    """Returns the most calls in any span of this length."""
    return float(max((sum(first <= other < first + span_s for other in at_s) for first in at_s), default=0))


def misses(processes: int, figures: Figures) -> list[str]:
    """Returns a sentence for each missed target."""
    targets = dict(TARGETS)
    if processes == 1:
        targets["take-over: asked again p95, s"] = RESTARTED_WITHIN_S
    return [
        f"{name} is {figures[name]:.2f} with {processes} processes, over {most:g}"
        for name, most in targets.items()
        if name in figures and not figures[name] <= most
    ]


async def measure(engine: Engine, counts: Sequence[int], parts: Sequence[str]) -> list[str]:
    """Measures the parts, prints a table and returns the missed targets."""
    missed: list[str] = []
    for part in parts:
        columns = [await PARTS[part](engine, count) for count in counts]
        for name in columns[0]:
            print(f"{name:<46}" + "".join(f"{column[name]:>10.2f}" for column in columns), flush=True)
        for count, column in zip(counts, columns, strict=True):
            missed += misses(count, column)
    return missed


def main() -> int:
    parser = argparse.ArgumentParser(description="Measures several processes on one database.")
    parser.add_argument("--processes", default="1,2,4", help="comma-separated (default: %(default)s)")
    parser.add_argument("--database", choices=("postgresql", "sqlite"), default="postgresql")
    parser.add_argument("--parts", default=",".join(PARTS), help=f"comma-separated, from {', '.join(PARTS)}")
    options = parser.parse_args()
    counts, parts = [int(count) for count in options.processes.split(",")], options.parts.split(",")
    if unknown := [part for part in parts if part not in PARTS]:
        parser.error(f"unknown part: {', '.join(unknown)}")
    print(f"{options.database + ', processes:':<46}" + "".join(f"{count:>10}" for count in counts), flush=True)
    missed = asyncio.run(measure(options.database, counts, parts))
    print("\n" + ("\n".join(missed) if missed else "All targets are met."))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
