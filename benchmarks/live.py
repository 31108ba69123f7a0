"""Measures how fresh live answers are within Slack's rate limits, with a model that writes 40 words a second.

Run: python -m benchmarks.live [--carriers auto,edit,stream] [--posts generous,strict] [--seed 1]
    [--rows beginnings-1,…,1,8,20,50,20-a-minute,60-a-minute,one-channel,new-people-200,…,runs-48,…,agent-1,…,
    no-statuses-8,…]

A row is a number of simultaneous questions, or so many a minute at random over some minutes, in some channels and
direct messages. Each answer has 600 words. In the rows of beginnings, answers are short, and begin with a heading, a
bold lead, a quote, a list, a table or code. Each row runs once with each carrier (benchmarks/carried.py), one after the
other, with a new bot process and a new sandbox, so that all budgets are unused. The sandbox enforces the budgets of all
methods, and of posts in each channel. How many posts a channel takes isn't known, so each row also runs with each rule
for posts (sandbox/web_api/budgets.py).

All questions start threads in channels, as with the app that manifest.json makes. Only in `alerts-20` each is asked
below another app's message. In the rows whose names begin with `agent-`, the app is an agent, and every other question
is asked in its direct messages, where it answers each question in a thread of its own. Each thread has one person. Only
there may answers come as native streams: in a thread with several people, only one of them would see a stream grow.
In the rows of `new-people`, each question has an asker of its own, whom the new process doesn't know. In those of
`runs`, so many runs of schedules are due at once, ten people's, who ask meanwhile and have three answers at once.
"late" is when the last run's first sign came after that. In those of `no-statuses`, Slack has no assistant.threads.*
any more. Messages and notifications are those that the asker gets for an answer, on average. "no stop" is for how long
an answer grew while nothing in its thread said how to stop it.

Exits with 1 if `auto` misses a target, gets too many 429s (none with the generous rule for posts), or loses or doubles
a word.
"""

import argparse
import asyncio
import json
import math
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.freshness import Lags, lags
from benchmarks.message_recorder import MessageRecorder
from benchmarks.numbered_model import BEGINNINGS, NumberedModel, question
from benchmarks.process import Process, running
from benchmarks.readers import Place, Readers
from benchmarks.scheduled_questions import schedule_id_of
from bot.clock import SystemClock
from bot.core.schedules import GRACE_S, Proposal, Rule
from bot.store.database import Database, connected
from bot.store.schedules import ScheduleStore
from slack_sandbox.server import Sandbox
from slack_sandbox.web_api.budgets import FLOORS, POST_RULES, WINDOW_S
from slack_sandbox.workspace import TEAM_ID, Channel, User

WORDS = 600
WORDS_PER_S = 40
FIRST_WORD_S = 0.3
EDITS_A_MINUTE = 50
POSTS_A_MINUTE = FLOORS["chat.postMessage"]
GIVE_UP_S = 150.0
"""How long to wait for an answer after the model's last word."""
SETTLED_S = 1.5
"""How long to wait for late edits of a complete answer."""
WARM_UP_S = 1.0
"""Wait after connecting, so that the start isn't measured."""
OVERHEAD_S = 12.0
"""About how long a row takes besides its questions and answers."""
RUN = 1_000
"""The number of the first run's question."""
RUNS_DUE_S = 3.0
"""Runs are due so long after the start, when all schedules are created."""
ROOT = Path(__file__).parent.parent

Targets = Mapping[str, float]
"""The most of a figure of LiveResult: seconds, but messages and 429s are numbers, and memory is in MB."""


@dataclass(frozen=True)
class LiveRow:
    """The questions of one row, and Typist's targets."""

    name: str
    at_s: tuple[float, ...]
    """When each question is asked, in seconds from the start."""
    counted: int
    """Number of answers that share a minute's edits."""
    targets: Targets
    places: int = 6
    """The channels and direct messages in which the questions are asked; half of them are direct messages."""
    people: int = 0
    """The people who ask; 0: one in each place."""
    at_once: int = 1_000
    """The answers that one person may have under way: few people here ask as many questions as a large workspace."""
    runs: int = 0
    """Runs of schedules that are due together, of those people and in their places."""
    words: int = WORDS
    """The words of each answer."""
    begins_with_marks: bool = False
    """Whether the answers begin with each of BEGINNINGS in turn."""
    manifest: str = "manifest.json"
    """The app's. Without agents, direct messages have no threads, so all questions are asked in channels."""
    below_alerts: bool = False
    """Whether each question is asked below another app's message, which the model reads."""
    has_statuses: bool = True
    """Whether Slack has assistant.threads.*: statuses and titles of threads."""
    posts_limited: int = 0
    """429s of posts that the strict rule may cost: Typist tries longer bursts of posts until Slack refuses one."""


CARRIERS = ("auto", "edit", "stream")


@dataclass(frozen=True)
class LiveResult:
    """The result of a carrier in one row."""

    lags: list[Lags]
    limited: Counter[str]
    """Calls that got 429, by method."""
    calls: Counter[str]
    """Calls that Slack accepted, by method."""
    messages: int
    """Messages that the bot has posted, streams included."""
    notifications: int
    """How often people were notified."""
    cpu_share: float
    """Share of one core, from the first question to the last visible word."""
    peak_bytes: int
    runs: Sequence[Lags] = ()
    """Those of runs: the placeholder's delay counts from the due time."""

    def figure(self, name: str) -> float:
        """Returns `messages` (for an answer), `stale`, or `sign`, `first`, `final`, `doubled`, `unstoppable` with
        ` p50` or ` p95`.

        Seconds, infinite if missing. Or `429s`, or `memory` in MB, or `late`: of the last run's first sign.
        """
        what, _, which = name.partition(" ")
        if what == "messages":
            return self.messages / len(self.lags)
        if what == "429s":
            return self.limited.total()
        if what == "memory":
            return self.peak_bytes / 1e6
        if what == "late":
            return max((_finite(run.placeholder_s) for run in self.runs), default=0.0)
        if what == "stale":
            return _finite(statistics.fmean(answer.staleness_s for answer in self.lags))
        field = {"first": "first_word_s", "sign": "placeholder_s"}.get(what, f"{what}_s")
        values = sorted(_finite(getattr(answer, field)) for answer in self.lags)
        return values[math.ceil(len(values) * {"p50": 0.5, "p95": 0.95}[which]) - 1]

    @property
    def broken(self) -> int:
        """Returns how many answers ended without all their words, each once and in order."""
        return sum(not answer.complete for answer in (*self.lags, *self.runs))


def rows(seed: int) -> dict[str, LiveRow]:
    """Returns all rows by their name on the command line."""
    rng = random.Random(seed)
    twenty_a_minute = tuple(sorted(rng.uniform(0, 60 * 3) for _ in range(60)))
    rng = random.Random(seed)
    sixty_a_minute = tuple(sorted(rng.uniform(0, 60 * 2) for _ in range(120)))
    within_10_s = tuple(0.5 * number for number in range(20))
    # The questions' times, how many answers share a minute's edits, their places, the 429s of posts that may come, and
    # the targets.
    classic = {
        "1": ((0.0,), 1, 6, 0, _targets(0.2, 0.1, 0.27, 0.1)),
        "8": ((0.0,) * 8, 8, 6, 0, _targets(0.3, 0.3, 0.65, 0.3)),
        "20": ((0.0,) * 20, 20, 5, 0, _targets(0.5, 0.7, 1.6, 0.4)),
        "50": ((0.0,) * 50, 50, 12, 1, _targets(1.0, 1.0, 4.0, 1.0)),
        "20-a-minute": (twenty_a_minute, 20, 6, 0, _targets(0.4, 0.3, 1.5, 0.3)),
        "60-a-minute": (sixty_a_minute, 60, 4, 1, _targets(0.5, 0.5, 5.2, 0.8, 1.2)),
        "one-channel": (within_10_s, 20, 1, 1, _targets(1.0, 8.0, math.inf, 2.0)),
    }
    # Every other question comes in a direct message, where Slack shows its own Stop.
    agent = {
        "agent-1": ((0.0,), 1, 6, 2, _targets(0.2, 0.1, 0.4, 0.1)),
        "agent-8": ((0.0,) * 8, 8, 6, 2, _targets(0.3, 0.3, 0.8, 0.4)),
        "agent-20": ((0.0,) * 20, 20, 5, 2, _targets(0.5, 1.0, 1.8, 0.5)),
        "agent-50": ((0.0,) * 50, 50, 12, 5, _targets(1.0, 1.0, 4.5, 1.0)),
        "agent-20-a-minute": (twenty_a_minute, 20, 6, 2, _targets(0.3, 0.5, 1.8, 0.4, 1.2)),
        "agent-60-a-minute": (sixty_a_minute, 60, 4, 2, _targets(0.5, 1.0, 6.5, 1.0, 1.5)),
    }
    in_channels, half_direct = (
        {
            name: LiveRow(name, at_s, counted, targets, places, manifest=manifest, posts_limited=limited)
            for name, (at_s, counted, places, limited, targets) in found.items()
        }
        for manifest, found in (("manifest.json", classic), ("manifest.agent.json", agent))
    )
    return {
        **_beginnings("beginnings", "manifest.json"),
        **_beginnings("beginnings-agent", "manifest.agent.json"),
        **in_channels,
        **{f"new-people-{count}": _new_people(count, seed) for count in (100, 200, 400)},
        **{f"runs-{count}": _runs(count, seed) for count in (48, 110, 200)},
        "alerts-20": replace(in_channels["20"], name="alerts-20", below_alerts=True),
        **half_direct,
        **_without_statuses(in_channels, "8", "20"),
        **_without_statuses(half_direct, "agent-20"),
    }


def _targets(sign_s: float, first_s: float, stale_s: float, final_s: float, messages: float = 1.0) -> Targets:
    figures = {"sign p95": sign_s, "first p95": first_s, "stale": stale_s, "final p95": final_s}
    return {**figures, "messages": messages}


def _new_people(count: int, seed: int) -> LiveRow:
    """Returns the row of a launch: so many people ask within ten seconds, each for the first time."""
    rng = random.Random(seed)
    at_s = tuple(sorted(rng.uniform(0, 10) for _ in range(count)))
    targets = {"429s": 5, "memory": 150}
    return LiveRow(f"new-people-{count}", at_s, count, targets, places=min(50, count // 4), people=count)


def _runs(count: int, seed: int) -> LiveRow:
    """Returns the row of so many runs, due at once, while ten people ask. One run begins a second."""
    rng = random.Random(seed)
    at_s = tuple(sorted(rng.uniform(RUNS_DUE_S, RUNS_DUE_S + count) for _ in range(10)))
    targets = {"sign p95": 1.0, "first p95": 1.0, "429s": 0, "late": GRACE_S}
    return LiveRow(f"runs-{count}", at_s, 10, targets, places=10, people=10, words=200, at_once=3, runs=count)


def _without_statuses(known: Mapping[str, LiveRow], *names: str) -> dict[str, LiveRow]:
    """Returns rows as they are once Slack has ended assistant.threads.*: without Slack's own Stop, edits carry them.

    What edits alone can do is their target, and that each answer shows how to stop it while it grows. Where calls are
    scarce, the first sign are an answer's words, or a placeholder after a second.
    """
    rows = [replace(known[name], name=f"no-statuses-{name}", has_statuses=False) for name in names]
    bounds_s = [row.words / WORDS_PER_S * row.counted / (2 * EDITS_A_MINUTE) for row in rows]
    return {
        row.name: replace(row, targets={**_targets(1.3, 0.7, 1.7 * bound_s, 0.7), "unstoppable p95": 0.5})
        for row, bound_s in zip(rows, bounds_s, strict=True)
    }


def _beginnings(name: str, manifest: str) -> dict[str, LiveRow]:
    """Returns the rows of answers that begin with Markdown's marks: one at a time, and eight at once."""
    one_by_one, at_once = tuple(6.0 * number for number in range(len(BEGINNINGS))), (0.0,) * 8
    return {
        f"{name}-{counted}": LiveRow(
            f"{name}-{counted}", at_s, counted, {"first p95": 0.3}, words=120, begins_with_marks=True, manifest=manifest
        )
        for counted, at_s in ((1, one_by_one), (8, at_once))
    }


Starts = Callable[[Sandbox, str], AbstractAsyncContextManager[Process]]
"""Runs a bot against a sandbox and the model at a base URL."""


def typist(carrier: str, at_once: int = 1_000) -> Starts:
    """Returns what runs Typist with a carrier, and so many answers at once for one person."""
    settings = {"BOT_MAX_CONCURRENT_PER_USER": str(at_once)}
    return partial(running, ("-m", "benchmarks.carried", carrier, "run"), settings=settings)


async def measure(
    starts: Starts,
    row: LiveRow,
    posts: str,
    app: dict[str, Any] | None = None,
    model_of: type[NumberedModel] = NumberedModel,
) -> LiveResult:
    """Measures a bot in one row, with its own sandbox and model.

    `posts`: the rule for posts. `app`: the bot's manifest, if it has another than the row.
    """
    limits = {"chat.update": EDITS_A_MINUTE}
    async with (
        Sandbox(
            manifest=app or json.loads((ROOT / row.manifest).read_text()), budgets=limits, posts=POST_RULES[posts]
        ) as sandbox,
        model_of(WORDS_PER_S, FIRST_WORD_S, BEGINNINGS if row.begins_with_marks else ()) as model,
        starts(sandbox, model.url) as process,
    ):
        await sandbox.wait_for_bot()
        if not row.has_statuses:
            sandbox.faults.start("no_statuses")
        await asyncio.sleep(WARM_UP_S)
        askers = _askers(sandbox, row)
        channels = [askers[number % len(askers)][1] for number in range(len(row.at_s))] if row.below_alerts else []
        roots = [await sandbox.say_as_bot("alerts", channel, "Search is slow.") for channel in channels]
        readers, recorder = Readers(sandbox.workspace), MessageRecorder(sandbox.workspace)
        cpu_s, began_s = process.cpu_s(), time.monotonic()
        numbers = await _schedule(process, askers, row) if row.runs else {}
        asked = dict(enumerate(await _ask(sandbox, askers, roots, row, began_s)))
        for number, place in (await _posted(recorder, numbers)).items():
            asked[number] = place, began_s + RUNS_DUE_S
        await _until_complete(readers, list(asked.values()), row.words)
        cpu_share = (process.cpu_s() - cpu_s) / (time.monotonic() - began_s)
        await asyncio.sleep(SETTLED_S)
        answers = {
            number: lags(
                at_s,
                model.sent_at_s[number],
                readers.histories[place],
                readers.sign_at_s.get(place, math.inf),
                readers.stops[place],
            )
            for number, (place, at_s) in asked.items()
        }
        return LiveResult(
            lags=[answer for number, answer in answers.items() if number < RUN],
            runs=[answer for number, answer in answers.items() if number >= RUN],
            limited=Counter(call.method for call in sandbox.calls if call.error == "ratelimited"),
            calls=Counter(call.method for call in sandbox.calls if call.ok),
            messages=readers.posted,
            notifications=sum(int(count["count"]) for count in sandbox.notifications.counts_json()),
            cpu_share=cpu_share,
            peak_bytes=process.peak_bytes(),
        )


def _askers(sandbox: Sandbox, row: LiveRow) -> list[tuple[str, str]]:
    """Adds people and channels to the workspace; returns who asks where: every other person in an agent's DM."""
    workspace, askers = sandbox.workspace, list[tuple[str, str]]()
    is_agent = "agent" in row.manifest
    for number in range(row.people or row.places):
        person = User(f"U0LIVE{number}", f"person-{number}", f"Person {number}", "#0f766e")
        place, members = number % row.places, [person.id, workspace.bot.id]
        direct = Channel(f"D0LIVE{number}", f"dm-{number}", "im", members, person.id)
        new = Channel(f"C0LIVE{place}", f"channel-{place}", "channel", [workspace.bot.id], creator=person.id)
        channel = workspace.channels.setdefault(new.id, new)
        channel.members.append(person.id)
        workspace.users[person.id] = person
        workspace.channels[direct.id] = direct
        askers.append((person.id, (direct if number % 2 and is_agent else channel).id))
    return askers


async def _ask(
    sandbox: Sandbox, askers: Sequence[tuple[str, str]], roots: Sequence[str], row: LiveRow, began_s: float
) -> list[tuple[Place, float]]:
    """Asks each question when it is due, below its root if there are roots. Returns where and when, in their order."""
    asked = []
    for number, at_s in enumerate(row.at_s):
        await asyncio.sleep(began_s + at_s - time.monotonic())
        person, channel = askers[number % len(askers)]
        text = question(number, row.words)
        asked_at_s = time.monotonic()
        root = roots[number] if roots else None
        ts = await sandbox.say(person, channel, text if channel.startswith("D") else f"<@BOT> {text}", root)
        asked.append(((channel, root or ts), asked_at_s))
    return asked


async def _schedule(process: Process, askers: Sequence[tuple[str, str]], row: LiveRow) -> Mapping[int, int]:
    """Creates a row's schedules in the process's database; returns the number of each one's question, by its id."""
    numbers, due_at = {}, math.ceil(time.time() + RUNS_DUE_S)
    async with connected(f"sqlite:///{process.log.parent}/typist.db") as engine:
        store = ScheduleStore(Database(engine, SystemClock()))
        for number in range(RUN, RUN + row.runs):
            person, channel = askers[number % len(askers)]
            proposal = Proposal(question(number, row.words), Rule("UTC", at=due_at))
            schedule_id = await store.create(TEAM_ID, channel, person, proposal)
            assert schedule_id is not None, "a channel has room for all of its schedules"
            numbers[schedule_id] = number
    return numbers


async def _posted(recorder: MessageRecorder, numbers: Mapping[int, int]) -> dict[int, Place]:
    """Waits until each run has its message, at most five seconds for each. Returns where, by its question's number."""
    give_up_s = time.monotonic() + GIVE_UP_S + 5 * len(numbers)
    while len(recorder.run_posts) < len(numbers) and time.monotonic() < give_up_s:  # noqa: ASYNC110 - the bot posts
        await asyncio.sleep(0.2)
    posts = [(numbers[schedule_id_of(run_id)], post) for run_id, post in recorder.run_posts]
    assert len({number for number, _ in posts}) == len(posts) == len(numbers), "each run is posted once"
    return {number: (post.channel, post.ts) for number, post in posts}


async def _until_complete(readers: Readers, asked: Sequence[tuple[Place, float]], words: int) -> None:
    """Waits until Slack shows every answer once and whole, `GIVE_UP_S` longer than its limits take at most.

    Where edits are used up, each answer is posted twice: a placeholder, and its whole text.
    """
    incomplete = [place for place, _ in asked]
    limits_s = 2 * len(asked) / POSTS_A_MINUTE * WINDOW_S
    give_up_s = time.monotonic() + FIRST_WORD_S + words / WORDS_PER_S + limits_s + GIVE_UP_S
    while incomplete and time.monotonic() < give_up_s:
        await asyncio.sleep(0.2)
        incomplete = [place for place in incomplete if not readers.see_all_of(place, words)]


def _finite(value: float) -> float:
    return math.inf if math.isnan(value) else value


HEADER = (
    f"{'row':<20} {'posts':<8} {'bot':<16} {'429s':>5} {'edits':>5} {'appends':>7} {'deletes':>7}  "
    f"{'sign':>12}  {'first word':>12}  {'staleness':>9} {'bound':>5}  {'final':>13}  {'doubled':>7} {'messages':>8} "
    f"{'notices':>7} {'no stop':>7} {'CPU':>6} {'memory':>7} {'broken':>6} {'late':>6}\n"
    f"{'':<54} {'':>5} {'':>5} {'':>7} {'':>7}  {'p50   p95':>12}  {'p50   p95':>12}  {'mean':>9} {'':>5}  "
    f"{'p50    p95':>13}  {'p95':>7} {'':>8} {'':>7} {'p95':>7}"
)


def line(row: LiveRow, carrier: str, posts: str, result: LiveResult) -> str:
    """Formats one line of the table."""
    figure, calls = result.figure, result.calls
    bound_s = row.words / WORDS_PER_S * row.counted / (2 * EDITS_A_MINUTE)
    return (
        f"{row.name:<20} {posts:<8} {carrier:<16} {result.limited.total():>5} {calls['chat.update']:>5} "
        f"{calls['chat.appendStream']:>7} {calls['chat.delete']:>7}  "
        f"{figure('sign p50'):5.2f} {figure('sign p95'):6.2f}  "
        f"{figure('first p50'):5.2f} {figure('first p95'):6.2f}  {figure('stale'):9.2f} {bound_s:5.2f}  "
        f"{figure('final p50'):6.2f} {figure('final p95'):6.2f}  {figure('doubled p95'):7.2f} "
        f"{figure('messages'):8.1f} {result.notifications / len(result.lags):7.1f} {figure('unstoppable p95'):7.2f} "
        f"{result.cpu_share:6.1%} {result.peak_bytes / 1e6:4.0f} MB {result.broken:>6} "
        f"{figure('late'):6.1f}"
    )


def misses(row: LiveRow, carrier: str, posts: str, result: LiveResult) -> list[str]:
    """Returns a sentence for each target that Typist missed. `posts`: the rule for posts."""
    missed, what = [], f"{row.name}, {posts} posts, {carrier}"
    for name, target in row.targets.items():
        value = result.figure(name)
        if value > target:
            over = (value - target) / target
            missed.append(f"{what}: {name} is {value:.2f}, {over:.0%} over its target of {target:g}")
    if result.broken:
        missed.append(f"{what}: {result.broken} answers are not shown whole and once")
    if "429s" in row.targets:
        return missed
    can_be_limited = POST_RULES["strict"].methods if posts == "strict" else frozenset[str]()
    if (posts_limited := sum(result.limited[method] for method in can_be_limited)) > row.posts_limited:
        missed.append(f"{what}: {posts_limited} posts got 429; at most {row.posts_limited} may")
    for method, count in result.limited.items():
        if method not in can_be_limited:
            missed.append(f"{what}: {count} calls of {method} got 429; none may")
    return missed


async def run(chosen: Sequence[LiveRow], rules: Sequence[str], carriers: Sequence[str]) -> list[str]:
    """Measures the rows, prints the table and returns the missed targets."""
    missed = []
    print(HEADER, flush=True)
    for row in chosen:
        for posts, carrier in product(rules, carriers):
            result = await measure(typist(carrier, row.at_once), row, posts)
            print(line(row, carrier, posts, result), flush=True)
            if carrier == "auto":
                missed += misses(row, carrier, posts, result)
    return missed


def _chosen(parser: argparse.ArgumentParser, what: str, names: str, known: Sequence[str]) -> list[str]:
    chosen = names.split(",")
    if unknown := [name for name in chosen if name not in known]:
        parser.error(f"unknown {what}: {', '.join(unknown)}")
    return chosen


def main() -> int:
    parser = argparse.ArgumentParser(description="Measures how fresh live answers are, within Slack's budgets.")
    names = list(rows(1))
    parser.add_argument("--rows", default=",".join(names), help=f"comma-separated: {', '.join(names)}")
    parser.add_argument("--carriers", default="auto,edit", help=f"comma-separated: {', '.join(CARRIERS)}")
    parser.add_argument("--posts", default=",".join(POST_RULES), help=f"comma-separated: {', '.join(POST_RULES)}")
    parser.add_argument("--seed", type=int, default=1, help="decides when the questions of a minute are asked")
    options = parser.parse_args()
    known = rows(options.seed)
    chosen = [known[name] for name in _chosen(parser, "row", options.rows, names)]
    carriers = _chosen(parser, "carrier", options.carriers, CARRIERS)
    rules = _chosen(parser, "rule for posts", options.posts, list(POST_RULES))
    print(f"{WORDS} words an answer at {WORDS_PER_S} a second, {EDITS_A_MINUTE} edits a minute; seconds.")
    row_s = sum(max(row.at_s[-1], row.runs) + row.words / WORDS_PER_S + OVERHEAD_S for row in chosen)
    print(f"This takes about {len(rules) * len(carriers) * row_s / 60:.0f} minutes.\n")
    missed = asyncio.run(run(chosen, rules, carriers))
    print("\n" + ("\n".join(missed) if missed else "All targets are met."))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
