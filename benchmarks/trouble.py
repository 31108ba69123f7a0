"""What goes wrong in a chaos run, and when: drawn from a seed; done to bots, their database, Slack and the model."""

import asyncio
import random
import signal
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.databases import Postgresql, Sqlite
from benchmarks.fleet import Bot, Fleet
from benchmarks.speaker import Speaker
from sandbox.server import Sandbox

ANSWERING = ("chat.update", "chat.postMessage")
READING = ("conversations.replies", "conversations.history")
STARTING = ("auth.test", "apps.connections.open")
NO_JSON_OBJECT = ("text_200", "html_200", "empty_200", "list_200")


@dataclass(frozen=True)
class Storm:
    """When Slack answered all calls of a method with 429 because it was told to; monotonic seconds."""

    method: str
    began_s: float
    ended_s: float


@dataclass
class Stage:
    """All that trouble is made for, and what became of it."""

    sandbox: Sandbox
    model: Speaker
    database: Sqlite | Postgresql
    fleet: Fleet
    chooser: random.Random
    note: Callable[[str], None]
    """Told of each trouble as it begins."""
    pause_s: tuple[float, float] = (9.0, 30.0)
    """How long a process is stopped."""
    storms: list[Storm] = field(default_factory=list)

    def victim(self) -> Bot | None:
        """A process that works, and is in trouble from now on; None where all are."""
        working = self.fleet.working()
        if not working:
            return None
        bot = self.chooser.choice(working)
        bot.in_trouble = True
        return bot

    async def some_s(self, least: float, most: float) -> None:
        await asyncio.sleep(self.chooser.uniform(least, most))


async def kill(stage: Stage) -> None:
    if bot := stage.victim():
        stage.note(f"kill -9 {bot.name}")
        bot.end(signal.SIGKILL)
        await stage.some_s(0.2, 4)
        await stage.fleet.start()


async def pause(stage: Stage) -> None:
    if bot := stage.victim():
        away_s = stage.chooser.uniform(*stage.pause_s)
        stage.note(f"SIGSTOP {bot.name} for {away_s:.1f} s")
        began_s = time.monotonic()
        bot.send(signal.SIGSTOP)
        try:
            await asyncio.sleep(away_s)
        finally:
            bot.send(signal.SIGCONT)
            bot.in_trouble = False
            bot.pauses.append((began_s, time.monotonic()))
        if isinstance(stage.database, Sqlite):
            # Stopped in the middle of a transaction, it keeps all others from writing.
            stage.database.outages += bot.pauses[-1:]


async def deploy(stage: Stage) -> None:
    if bot := stage.victim():
        stage.note(f"a new process, then SIGTERM {bot.name}")
        await stage.fleet.replace(bot)


async def restart(stage: Stage) -> None:
    if bot := stage.victim():
        stage.note(f"SIGTERM {bot.name}, then a new process")
        await stage.fleet.stop(bot)
        await stage.fleet.start()


async def drop_sockets(stage: Stage) -> None:
    stage.note("all sockets dropped")
    stage.sandbox.faults.start("drop_socket")


async def refresh(stage: Stage) -> None:
    stage.note("all connections refreshed")
    stage.sandbox.faults.start("refresh")


async def redeliver(stage: Stage) -> None:
    stage.note("the next 4 events twice, and an old one again")
    stage.sandbox.faults.start("redeliver", times=4)
    if stage.sandbox.deliveries:
        stage.sandbox.redeliver(stage.chooser.choice(stage.sandbox.deliveries).event_id)


async def lose_acknowledgements(stage: Stage) -> None:
    stage.note("the next 2 acknowledgements lost")
    stage.sandbox.faults.start("unacked", times=2)


async def storm(stage: Stage) -> None:
    method, retry_after_s = stage.chooser.choice((*ANSWERING, *READING)), stage.chooser.randint(1, 4)
    stage.note(f"429 to all {method}, Retry-After {retry_after_s} s")
    began_s = time.monotonic()
    stage.sandbox.faults.start("rate_limit", method=method, retry_after_s=retry_after_s)
    try:
        await stage.some_s(0.5, 4)
    finally:
        stage.sandbox.faults.stop("rate_limit")
        stage.storms.append(Storm(method, began_s, time.monotonic()))


async def _fault(stage: Stage, name: str, times: int) -> None:
    method = stage.chooser.choice(ANSWERING)
    stage.note(f"{name} on the next {times} {method}")
    stage.sandbox.faults.start(name, method=method, times=times)


async def http_500(stage: Stage) -> None:
    await _fault(stage, "error_500", stage.chooser.randint(1, 4))


async def internal_error(stage: Stage) -> None:
    await _fault(stage, "internal_error", stage.chooser.randint(1, 4))


async def lost_request(stage: Stage) -> None:
    await _fault(stage, "drop_request", stage.chooser.randint(1, 2))


async def lost_response(stage: Stage) -> None:
    await _fault(stage, "lose_response", stage.chooser.randint(1, 2))


async def _answers_for_a_while(stage: Stage, name: str, methods: Sequence[str], most: int) -> None:
    """Slack answers so, once or a few times, and no longer than some seconds; the call is done or not."""
    method, times, done = stage.chooser.choice(methods), stage.chooser.randint(1, most), stage.chooser.random() < 0.5
    stage.note(f"{name} on the next {times} {method}, {'done' if done else 'not done'}")
    stage.sandbox.faults.start(name, method=method, times=times, done=done)
    try:
        await stage.some_s(2, 6)
    finally:
        stage.sandbox.faults.stop(name)


async def stream_timeout(stage: Stage) -> None:
    await _answers_for_a_while(stage, "stream_timeout", (*ANSWERING, *ANSWERING, *READING), 3)


async def no_json_object(stage: Stage) -> None:
    await _answers_for_a_while(stage, stage.chooser.choice(NO_JSON_OBJECT), (*ANSWERING, *ANSWERING, *READING), 3)


async def unknown_error(stage: Stage) -> None:
    await _answers_for_a_while(stage, "unknown_error", (*ANSWERING, *ANSWERING, *READING), 2)


async def unavailable(stage: Stage) -> None:
    """Where a process starts or connects anew: all sockets drop, so that there is something to refuse."""
    stage.sandbox.faults.start("drop_socket")
    await _answers_for_a_while(stage, "unavailable", STARTING, 3)


async def slow_slack(stage: Stage) -> None:
    """No process is hurt meanwhile: a call that Slack does after its sender died is beyond anybody's control."""
    delay_s = stage.chooser.uniform(1, 3)
    stage.note(f"Slack takes {delay_s:.1f} s")
    stage.sandbox.faults.start("slow", delay_s=delay_s)
    try:
        await stage.some_s(1, 3)
    finally:
        stage.sandbox.faults.stop("slow")
    await asyncio.sleep(delay_s)


async def cut_model(stage: Stage) -> None:
    words = stage.chooser.choice((0, 3, 10, 10, 30))
    stage.note(f"the next model's answer is cut after {words} words")
    stage.model.break_next("cut", words)


async def stall_model(stage: Stage) -> None:
    words = stage.chooser.choice((0, 3, 10, 10, 30))
    stage.note(f"the next model's answer goes silent after {words} words")
    stage.model.break_next("stall", words)


async def restart_database(stage: Stage) -> None:
    await _without_database(stage, crash=False)


async def crash_database(stage: Stage) -> None:
    await _without_database(stage, crash=True)


async def _without_database(stage: Stage, crash: bool) -> None:
    if isinstance(stage.database, Postgresql):
        away_s = stage.chooser.uniform(0, 5)
        stage.note(f"PostgreSQL {'crashes' if crash else 'stops'}, back after {away_s:.1f} s")
        await stage.database.restart(away_s, crash=crash)


async def cut_database(stage: Stage) -> None:
    if isinstance(stage.database, Postgresql):
        stage.note("all connections to PostgreSQL cut")
        await stage.database.cut()


async def freeze_database(stage: Stage) -> None:
    if isinstance(stage.database, Postgresql):
        for_s = stage.chooser.uniform(1, 14)
        stage.note(f"PostgreSQL stands still for {for_s:.1f} s")
        await stage.database.stand_still(for_s)


Trouble = Callable[[Stage], Coroutine[Any, Any, None]]
ALONE = (slow_slack,)
"""Nothing else begins until these are over."""

COMMON: Mapping[Trouble, int] = {
    kill: 4,
    pause: 3,
    deploy: 3,
    restart: 1,
    drop_sockets: 2,
    refresh: 1,
    redeliver: 2,
    lose_acknowledgements: 1,
    storm: 2,
    http_500: 2,
    internal_error: 1,
    lost_request: 1,
    lost_response: 3,
    stream_timeout: 2,
    no_json_object: 2,
    unknown_error: 1,
    unavailable: 1,
    slow_slack: 1,
    cut_model: 2,
    stall_model: 1,
}
"""How often each comes in a deck."""
ON_POSTGRESQL: Mapping[Trouble, int] = {
    **COMMON,
    restart_database: 1,
    crash_database: 1,
    cut_database: 1,
    freeze_database: 1,
}
"""All there is."""


def deck(chooser: random.Random, counts: Mapping[Trouble, int]) -> Iterator[Trouble]:
    """Without end: each kind once in the beginning, then as often as it counts, shuffled each time."""
    cards = list(counts)
    while True:
        chooser.shuffle(cards)
        yield from cards
        cards = [kind for kind, count in counts.items() for _ in range(count)]


async def make_trouble(stage: Stage, kinds: Mapping[Trouble, int], for_s: float, gap_s: float) -> None:
    """Until the time is over; then all of it ends, and what was killed or stopped runs again."""
    until_s = time.monotonic() + for_s
    running: dict[Trouble, asyncio.Task[None]] = {}
    for kind in deck(stage.chooser, kinds):
        await asyncio.sleep(min(stage.chooser.expovariate(1 / gap_s), 3 * gap_s, max(0.0, until_s - time.monotonic())))
        if time.monotonic() >= until_s:
            break
        if kind in running and not running[kind].done():
            continue
        running[kind] = asyncio.create_task(kind(stage))
        if kind in ALONE:
            await running[kind]
    for fault in ("error_500", "internal_error", "drop_request", "lose_response", "redeliver", "unacked"):
        stage.sandbox.faults.stop(fault)
    stage.model.mend()
    await asyncio.gather(*running.values())
