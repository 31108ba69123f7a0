"""Injects the faults of a chaos run into bots, database and Slack, in an order that depends on a seed.

The failures of the model's vendor follow a separate plan (vendor_failures.py).
"""

import asyncio
import random
import signal
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.databases import Database, Postgresql
from benchmarks.fleet import BotProcess, Fleet
from slack_sandbox.server import Sandbox

STREAMING = ("chat.startStream", "chat.appendStream", "chat.stopStream")
ANSWERING = ("chat.update", "chat.postMessage", *STREAMING)
READING = ("conversations.replies", "conversations.history")
STARTING = ("auth.test", "apps.connections.open")
SOME_METHODS = (*ANSWERING, *ANSWERING, *READING)
"""Those of answers come twice as often as those that read."""


@dataclass(frozen=True)
class RateLimitFault:
    """A period in which the sandbox answered all calls of a method with 429, in monotonic seconds."""

    method: str
    began_s: float
    ended_s: float


@dataclass
class FaultTargets:
    """Everything that faults are injected into, and a record of the rate-limit faults."""

    sandbox: Sandbox
    database: Database
    fleet: Fleet
    rng: random.Random
    note: Callable[[str], None]
    """Called with a line about each fault as it begins."""
    pause_s: tuple[float, float] = (9.0, 30.0)
    """How long a process is paused, from and to."""
    rate_limit_faults: list[RateLimitFault] = field(default_factory=list)

    def pick_bot(self) -> BotProcess | None:
        """Returns a process that is ready and marks it as under a fault. Returns None if there is none."""
        ready = self.fleet.ready_bots()
        if not ready:
            return None
        bot = self.rng.choice(ready)
        bot.under_fault = True
        return bot

    async def sleep_between(self, least_s: float, most_s: float) -> None:
        await asyncio.sleep(self.rng.uniform(least_s, most_s))


Fault = Callable[[FaultTargets], Coroutine[Any, Any, None]]


async def kill(targets: FaultTargets) -> None:
    if bot := targets.pick_bot():
        targets.note(f"kill -9 {bot.name}")
        bot.end(signal.SIGKILL)
        await targets.sleep_between(0.2, 4)
        await targets.fleet.start()


async def pause(targets: FaultTargets) -> None:
    if bot := targets.pick_bot():
        away_s = targets.rng.uniform(*targets.pause_s)
        targets.note(f"SIGSTOP {bot.name} for {away_s:.1f} s")
        began_s = time.monotonic()
        bot.send(signal.SIGSTOP)
        try:
            await asyncio.sleep(away_s)
        finally:
            bot.send(signal.SIGCONT)
            bot.under_fault = False
            bot.pauses.append((began_s, time.monotonic()))
        if not isinstance(targets.database, Postgresql):
            # A process that is paused in a transaction keeps all others from writing.
            targets.database.outages += bot.pauses[-1:]


async def deploy(targets: FaultTargets) -> None:
    if bot := targets.pick_bot():
        targets.note(f"rolling deployment: SIGTERM {bot.name} after a new process is ready")
        await targets.fleet.replace(bot)


async def restart(targets: FaultTargets) -> None:
    if bot := targets.pick_bot():
        targets.note(f"restart: SIGTERM {bot.name}, then a new process")
        await targets.fleet.stop(bot)
        await targets.fleet.start()


async def redeliver(targets: FaultTargets) -> None:
    targets.note("the next 4 events are delivered twice, and an old one again")
    targets.sandbox.faults.start("redeliver", times=4)
    if targets.sandbox.deliveries:
        targets.sandbox.redeliver(targets.rng.choice(targets.sandbox.deliveries).event_id)


async def rate_limit(targets: FaultTargets) -> None:
    method, retry_after_s = targets.rng.choice((*ANSWERING, *READING)), targets.rng.randint(1, 4)
    targets.note(f"429 for all {method}, Retry-After {retry_after_s} s")
    began_s = time.monotonic()
    targets.sandbox.faults.start("rate_limit", method=method, retry_after_s=retry_after_s)
    try:
        await targets.sleep_between(0.5, 4)
    finally:
        targets.sandbox.faults.stop("rate_limit")
        targets.rate_limit_faults.append(RateLimitFault(method, began_s, time.monotonic()))


def disturb(name: str, note: str, **options: Any) -> Fault:
    """Returns a fault of the sandbox that needs no end."""

    async def inject(targets: FaultTargets) -> None:
        targets.note(note)
        targets.sandbox.faults.start(name, **options)

    return inject


def fail_next_calls(name: str, most: int, methods: Sequence[str] = ANSWERING) -> Fault:
    """Returns the fault that up to so many next calls of a method fail."""

    async def inject(targets: FaultTargets) -> None:
        times, method = targets.rng.randint(1, most), targets.rng.choice(methods)
        targets.note(f"{name} for the next {times} {method}")
        targets.sandbox.faults.start(name, method=method, times=times)

    return inject


def fail_calls_briefly(names: Sequence[str], most: int, methods: Sequence[str] = SOME_METHODS) -> Fault:
    """Returns the fault that up to so many calls of a method fail in one of these ways, within a few seconds.

    Slack does the call or doesn't.
    """

    async def inject(targets: FaultTargets) -> None:
        rng, faults = targets.rng, targets.sandbox.faults
        name, method, times, done = rng.choice(names), rng.choice(methods), rng.randint(1, most), rng.random() < 0.5
        targets.note(f"{name} for the next {times} {method}, which Slack {'does' if done else 'does not do'}")
        faults.start(name, method=method, times=times, done=done)
        try:
            await targets.sleep_between(2, 6)
        finally:
            faults.stop(name)

    return inject


async def unavailable(targets: FaultTargets) -> None:
    """Makes Slack unavailable to processes that connect. All sockets are dropped, so that some do."""
    targets.sandbox.faults.start("drop_socket")
    await fail_calls_briefly(("unavailable",), 3, STARTING)(targets)


async def slow_slack(targets: FaultTargets) -> None:
    """Makes Slack slow. No other fault begins meanwhile: Slack could do a call after its caller died."""
    delay_s = targets.rng.uniform(1, 3)
    targets.note(f"Slack takes {delay_s:.1f} s for each call")
    targets.sandbox.faults.start("slow", delay_s=delay_s)
    try:
        await targets.sleep_between(1, 3)
    finally:
        targets.sandbox.faults.stop("slow")
    await asyncio.sleep(delay_s)


def take_database_away(what: str, *, crash: bool) -> Fault:
    """Returns the fault that PostgreSQL ends, and starts again later."""

    async def inject(targets: FaultTargets) -> None:
        if isinstance(targets.database, Postgresql):
            away_s = targets.rng.uniform(0, 5)
            targets.note(f"PostgreSQL {what}, and starts again after {away_s:.1f} s")
            await targets.database.restart(away_s, crash=crash)

    return inject


async def cut_database(targets: FaultTargets) -> None:
    if isinstance(targets.database, Postgresql):
        targets.note("all connections to PostgreSQL are cut")
        await targets.database.cut()


async def freeze_database(targets: FaultTargets) -> None:
    if isinstance(targets.database, Postgresql):
        for_s = targets.rng.uniform(1, 14)
        targets.note(f"PostgreSQL is frozen for {for_s:.1f} s")
        await targets.database.freeze(for_s)


EXCLUSIVE = (slow_slack,)
"""No other fault begins until these are over."""

COMMON_FAULTS: Mapping[Fault, int] = {
    kill: 4,
    pause: 3,
    deploy: 3,
    restart: 1,
    disturb("drop_socket", "all sockets are dropped"): 2,
    disturb("refresh", "Slack refreshes all connections"): 1,
    redeliver: 2,
    disturb("unacked", "the next 2 acknowledgments are lost", times=2): 1,
    rate_limit: 2,
    fail_next_calls("error_500", 4): 2,
    fail_next_calls("internal_error", 4): 1,
    fail_next_calls("drop_request", 2): 1,
    fail_next_calls("lose_response", 2): 3,
    fail_next_calls("close_stream", 1, STREAMING): 2,
    fail_calls_briefly(("stream_timeout",), 3): 2,
    fail_calls_briefly(("text_200", "html_200", "empty_200", "list_200"), 3): 2,
    fail_calls_briefly(("unknown_error",), 2): 1,
    unavailable: 1,
    slow_slack: 1,
}
"""How often each fault occurs in one round."""
POSTGRESQL_FAULTS: Mapping[Fault, int] = {
    **COMMON_FAULTS,
    take_database_away("stops", crash=False): 1,
    take_database_away("crashes", crash=True): 1,
    cut_database: 1,
    freeze_database: 1,
}
"""The same with the faults of a server."""


def fault_sequence(rng: random.Random, counts: Mapping[Fault, int]) -> Iterator[Fault]:
    """Yields faults without end: first each kind once, then rounds with each kind as often as its count, shuffled."""
    round_ = list(counts)
    while True:
        rng.shuffle(round_)
        yield from round_
        round_ = [kind for kind, count in counts.items() for _ in range(count)]


async def inject_faults(targets: FaultTargets, kinds: Mapping[Fault, int], for_s: float, gap_s: float) -> None:
    """Injects faults for `for_s` seconds. Then ends them all; killed and paused processes run again."""
    until_s = time.monotonic() + for_s
    running: dict[Fault, asyncio.Task[None]] = {}
    for kind in fault_sequence(targets.rng, kinds):
        await asyncio.sleep(min(targets.rng.expovariate(1 / gap_s), 3 * gap_s, max(0.0, until_s - time.monotonic())))
        if time.monotonic() >= until_s:
            break
        if kind in running and not running[kind].done():
            continue
        running[kind] = asyncio.create_task(kind(targets))
        if kind in EXCLUSIVE:
            await running[kind]
    for fault in (
        "error_500",
        "internal_error",
        "drop_request",
        "lose_response",
        "close_stream",
        "redeliver",
        "unacked",
    ):
        targets.sandbox.faults.stop(fault)
    await asyncio.gather(*running.values())
