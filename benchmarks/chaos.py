"""Nothing is lost: bots as processes, asked many questions, while all that they rest on is broken at random.

Run: python -m benchmarks.chaos [--processes 3] [--questions 200] [--threads 40] [--minutes 9] [--seed 1] [--seeds 1]
                                [--database postgresql|sqlite]

Processes are killed, stopped, replaced; sockets drop; events come twice; PostgreSQL restarts; Slack refuses, is slow
or loses its answers; the model breaks off. Slack's budgets are enforced all the while. People edit and delete some of
their questions. In the end each question is to be answered once and whole, in its newest words, in its place and order,
or not at all where it was deleted, and Slack and the database are to agree. Prints what was done and found; exits with
1 where anything is not as it should be. Each run leaves the processes' logs and an account of all that happened in a
folder.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.account import write_account
from benchmarks.databases import Database, Engine, database
from benchmarks.fleet import Fleet
from benchmarks.logs import misbehaviour
from benchmarks.script import Line, script
from benchmarks.speaker import Speaker
from benchmarks.trouble import COMMON, ON_POSTGRESQL, Stage, make_trouble
from benchmarks.verdict import MODEL, Asked, Evidence, finished, limited, stays, violations
from benchmarks.watcher import Watcher
from sandbox.server import Sandbox

EDITS_A_MINUTE = 50
STALL_TIMEOUT_S = 14
"""Longer than a process may be stopped and still own its answers: waking up, it would take that for a stall."""
ALONE_PAUSE_S = (2.0, 10.0)
"""How long a process is stopped that has nobody to take over from it."""
SECRET = "sk-chaos-0123456789abcdef"  # noqa: S105 - opens nothing
REDELIVERIES_S = (0.0, 5.0, 10.0, 20.0, 40.0)
"""Slack's are at once, after one minute and after five: shortened, so that a run ends."""
SETTLED_S = 2.0


@dataclass(frozen=True)
class Run:
    """What is to be done."""

    seed: int
    engine: Engine = "postgresql"
    processes: int = 3
    questions: int = 200
    threads: int = 40
    minutes: float = 9.0
    """In which questions are asked and trouble is made."""
    gap_s: float = 4.0
    """Between the beginnings of two troubles, on average."""
    pause_s: tuple[float, float] = (9.0, 30.0)
    """How long a process is stopped: long enough for others to take over from it."""
    drain_s: int = 6
    """Short, so that answers are handed over and not only waited for."""

    @property
    def quiet_within_s(self) -> float:
        """So long after the last trouble all is to be answered: what is late waits for Slack's budget."""
        return 45 + 15 * self.minutes


@dataclass
class Report:
    """What was done and what was found."""

    folder: Path
    done: list[str] = field(default_factory=list)
    """Troubles and figures, in the order of their time."""
    found: list[str] = field(default_factory=list)
    """What is not as it should be."""


async def chaos(run: Run, folder: Path) -> Report:
    """One run, from the first process to the last; the folder gets the processes' logs, and an account of it all."""
    report = Report(folder)
    limits = {"chat.update": EDITS_A_MINUTE}
    async with (
        Sandbox(budgets=limits, redelivery_delays_s=REDELIVERIES_S, seed=run.seed) as sandbox,
        Speaker() as model,
        database(run.engine, folder) as store,
    ):
        began_s = time.monotonic()

        def note(text: str) -> None:
            report.done.append(f"{time.monotonic() - began_s:7.2f} s  {text}")

        fleet = Fleet(folder, environment(sandbox, model, store.url, run.drain_s))
        stage = Stage(sandbox, model, store, fleet, random.Random(run.seed), note, run.pause_s)
        watcher = Watcher(sandbox.workspace)
        try:
            await asyncio.gather(*(fleet.start() for _ in range(run.processes)))
            asked, _ = await asyncio.gather(_ask(run, sandbox), _trouble(run, stage))
            note("no more trouble")
            await _until_quiet(run, asked, watcher, store)
            note("quiet")
            evidence = Evidence(
                asked=asked,
                lives=list(watcher.lives.values()),
                attempts=model.attempts,
                calls=list(sandbox.calls),
                storms=stage.storms,
                outages=store.outages,
                jobs=await store.jobs(),
                began_s=began_s,
                pings=watcher.pings,
                clock_offset_s=time.time() - time.monotonic(),
            )
            await fleet.close()
        finally:
            fleet.kill()
        write_account(evidence, folder / "account.txt")
        report.done += _figures(evidence, fleet)
        secrets = (sandbox.bot_token, sandbox.app_token, SECRET)
        report.found += [*violations(evidence), *misbehaviour(fleet.bots, store.outages, secrets)]
    return report


def environment(sandbox: Sandbox, model: Speaker, database_url: str, drain_s: int) -> dict[str, str]:
    """All that the bots know."""
    return {
        "SLACK_BOT_TOKEN": sandbox.bot_token,
        "SLACK_APP_TOKEN": sandbox.app_token,
        "BOT_SLACK_API_URL": sandbox.api_url,
        "OPENAI_BASE_URL": model.url,
        "OPENAI_API_KEY": SECRET,
        "BOT_MODELS": MODEL,
        "BOT_STALL_TIMEOUT_S": str(STALL_TIMEOUT_S),
        "BOT_DRAIN_S": str(drain_s),
        "BOT_DONE_PING_S": "10",
        # A few people ask for many.
        "BOT_MAX_CONCURRENT_PER_USER": "1000",
        "DATABASE_URL": database_url,
    }


async def _trouble(run: Run, stage: Stage) -> None:
    kinds = ON_POSTGRESQL if run.engine == "postgresql" else COMMON
    await make_trouble(stage, kinds, run.minutes * 60, run.gap_s)


async def _ask(run: Run, sandbox: Sandbox) -> list[Asked]:
    """Writes all questions when they are due."""
    began_s = time.monotonic()
    asked: list[asyncio.Task[Asked]] = []
    begun = Begun()
    for line in script(random.Random(run.seed), run.questions, run.threads, run.minutes):
        await asyncio.sleep(began_s + line.at_s - time.monotonic())
        written = await _write(sandbox, line, begun)
        asked.append(asyncio.create_task(_change(sandbox, written)))
    return list(await asyncio.gather(*asked))


async def _change(sandbox: Sandbox, asked: Asked) -> Asked:
    """What its writer does with it then.

    Who opens a thread deletes nothing: nobody could be answered in it any more, in a direct message neither.
    """
    change, opens_a_thread = asked.line.change, asked.thread_ts in (asked.ts, None) and not asked.line.thread.at_root
    if change is None or (change == "delete" and opens_a_thread):
        return asked
    await asyncio.sleep(asked.line.change_s)
    # What changes before it is on record is asked as it was: Slack's events have no order.
    await _acknowledged(sandbox, ("",), asked.ts)
    if change == "delete":
        await sandbox.delete(asked.channel, asked.ts)
    else:
        said = next(each for each in sandbox.workspace.messages(asked.channel) if each.ts == asked.ts).text
        text = said.replace(asked.line.text, asked.line.edited.text).replace(f"<@{sandbox.bot_user_id}>", "@typist")
        await sandbox.edit(asked.channel, asked.ts, text)
    # A thread's first message that is deleted is changed into a tombstone.
    await _acknowledged(sandbox, ("message_changed", "message_deleted"), asked.ts)
    return replace(asked, changed=change, changed_s=time.monotonic())


async def _acknowledged(sandbox: Sandbox, subtypes: Collection[str], ts: str) -> None:
    """Until what happened to a message was taken."""
    give_up_s = time.monotonic() + 2 * sum(REDELIVERIES_S)
    while time.monotonic() < give_up_s:
        events = [(each.payload["event"], each) for each in sandbox.deliveries]
        about = [each for event, each in events if event.get("subtype", "") in subtypes and _about(event) == ts]
        if any(each.acked_at_s is not None for each in about):
            return
        await asyncio.sleep(0.1)


def _about(event: Mapping[str, Any]) -> str:
    """The ts of the message that an event tells of."""
    changed = event.get("message") or event.get("previous_message") or event
    return str(changed.get("ts", ""))


@dataclass(frozen=True)
class Begun:
    """The threads so far."""

    roots: dict[int, str] = field(default_factory=dict)
    writers: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Who ever wrote in each, though it was deleted, by its root."""


async def _write(sandbox: Sandbox, line: Line, begun: Begun) -> Asked:
    """A question as a person writes it: with a mention but where the thread is between them and the bot."""
    direct = not line.thread.channel
    channel = sandbox.workspace.channel(line.thread.channel or sandbox.dm(line.person)).id
    root = None if line.thread.at_root else _root(sandbox, channel, begun.roots.get(line.thread.number))
    alone = root is not None and begun.writers[root] == {line.person} and _answers_in(sandbox, channel, root)
    known = direct or alone
    at_s = time.monotonic()
    ts = await sandbox.say(line.person, channel, line.text if known else f"@typist {line.text}", root)
    begun.roots[line.thread.number] = root or ts
    begun.writers[root or ts].add(line.person)
    return Asked(line, channel, ts, root if direct else root or ts, at_s)


def _root(sandbox: Sandbox, channel: str, root: str | None) -> str | None:
    """None where a thread is to begin: it did not yet, or its first message was deleted before anybody answered."""
    if root is None or not any(message.ts == root for message in sandbox.workspace.messages(channel)):
        return None
    return root


def _answers_in(sandbox: Sandbox, channel: str, root: str) -> bool:
    return any(message.user_id == sandbox.bot_user_id for message in sandbox.messages(channel, root))


async def _until_quiet(run: Run, asked: Sequence[Asked], watcher: Watcher, store: Database) -> None:
    """Until Slack shows an end of each answer and the database has none to come, or it takes too long."""
    give_up_s = time.monotonic() + run.quiet_within_s
    while time.monotonic() < give_up_s:
        kept = await store.jobs()
        together = {(job.channel, job.ts) for job in kept if job.answered_with}
        under_way = any(job.state in ("queued", "running") for job in kept)
        if not under_way and all(_is_over(each, watcher, together, asked) for each in asked):
            break
        await asyncio.sleep(0.5)
    # What comes after the end would be as wrong as what is missing.
    await asyncio.sleep(SETTLED_S)


def _is_over(asked: Asked, watcher: Watcher, together: Collection[tuple[str, str]], everybody: Sequence[Asked]) -> bool:
    lives = [life for life in watcher.of(asked.channel, asked.ts) if life.deleted_s is None]
    if asked.changed == "delete":
        return not lives or (stays(asked, everybody) and finished(asked, lives))
    return not lives if (asked.channel, asked.ts) in together else finished(asked, lives)


def _figures(found: Evidence, fleet: Fleet) -> list[str]:
    """What a run came to, for its reader."""
    calls = Counter(call.method for call in found.calls if call.ok)
    refused = Counter(call.error for call in found.calls if call.error)
    alone = [each for each in found.asked if found.answered_with(each) is None]
    asked = Counter(len(found.attempts.get(each.line.number, ())) for each in alone)
    told = Counter(str(attempt.told) for attempts in found.attempts.values() for attempt in attempts)
    return [
        f"{len(found.asked)} questions in {len({each.thread for each in found.asked})} threads, "
        f"{len(fleet.bots)} processes; {len(found.asked) - len(alone)} answered with a later one",
        f"changed: {_counts(Counter(str(each.changed) for each in found.asked if each.changed))}",
        f"attempts at an answer: {_counts(asked)}; requests to the model: {_counts(told)}",
        f"calls: {_counts(calls)}; not done: {_counts(refused)}, {len(limited(found))} of them over the budget",
    ]


def _counts(counted: Counter[str] | Counter[int] | Counter[str | None]) -> str:
    return ", ".join(f"{times} × {what}" for what, times in sorted(counted.items(), key=lambda each: str(each[0])))


def main() -> int:
    parser = argparse.ArgumentParser(description="Breaks all that the bot rests on, and looks for what was lost.")
    parser.add_argument("--processes", type=int, default=None, help="bots at once: 3, and 1 on SQLite")
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--threads", type=int, default=40)
    parser.add_argument("--minutes", type=float, default=9.0, help="in which questions are asked and trouble is made")
    parser.add_argument("--seed", type=int, default=1, help="decides what is asked and what goes wrong")
    parser.add_argument("--seeds", type=int, default=1, help="so many runs, each with the next seed")
    parser.add_argument("--database", choices=("postgresql", "sqlite"), default="postgresql")
    options = parser.parse_args()
    processes = options.processes or (3 if options.database == "postgresql" else 1)
    failed = 0
    for seed in range(options.seed, options.seed + options.seeds):
        run = Run(seed, options.database, processes, options.questions, options.threads, options.minutes)
        if processes == 1:
            run = replace(run, pause_s=ALONE_PAUSE_S)
        report = asyncio.run(chaos(run, Path(tempfile.mkdtemp(prefix=f"chaos-{seed}-"))))
        print("\n".join([f"seed {seed}, {run.engine}", *report.done, *(f"WRONG: {each}" for each in report.found)]))
        print(
            f"seed {seed}: {len(report.found)} things are not as they should be; logs in {report.folder}\n", flush=True
        )
        failed += bool(report.found)
    print(f"{options.seeds - failed} of {options.seeds} runs without a fault")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
