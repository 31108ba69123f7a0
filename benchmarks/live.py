"""How live answers are: the bot as a process, against the sandbox with Slack's budgets and a model at 40 words/s.

Run: python -m benchmarks.live [--rows 1,8,20,rate] [--no-rivals] [--seed 1]

A row is so many questions at once, or ten a minute at random over three minutes; each answer has 600 words. Every
row starts with a bot and a Slack of its own, so that no budget is spent before. Beside the bot, two rules that other
bots use. Exits with 1 where the bot misses a target, or loses or doubles a word.
"""

import argparse
import asyncio
import math
import random
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.freshness import Lags, Shown, lags, words_in
from benchmarks.process import Process, running
from benchmarks.vendor import NumberedWords, question, word
from sandbox.server import Sandbox

WORDS = 600
WORDS_PER_S = 40
FIRST_WORD_S = 0.3
EDITS_A_MINUTE = 50
LATE_S = 150.0
"""An answer that is not whole so long after its last word is given up."""
SETTLED_S = 1.5
"""No edit comes so long after the last one of a whole answer."""
WARM_UP_S = 1.0
"""From connected to the first question: a bot that has just started is not what is measured."""
CHANNELS = ("general", "random", "project-x")

MINUTES, A_MINUTE = 3, 10


@dataclass(frozen=True)
class Row:
    """Questions, and what the bot is held to: figures of Result, in seconds."""

    name: str
    at_s: tuple[float, ...]
    """When each question is asked."""
    counted: int
    """Answers that share a minute's edits."""
    targets: dict[str, float]
    longest_s: float
    """How long the slowest rule takes, about."""


@dataclass(frozen=True)
class Contender:
    name: str
    arguments: tuple[str, ...]


BOT = Contender("Typist", ("-m", "bot", "run"))
RIVALS = (
    Contender("every 20 words", ("-m", "benchmarks.rivals", "20-words")),
    Contender("every 3 s", ("-m", "benchmarks.rivals", "3-s")),
)


@dataclass(frozen=True)
class Result:
    """What one contender did in one row."""

    lags: list[Lags]
    limited: int
    """Calls that Slack answered with 429."""
    edits: int
    """Edits that Slack took."""
    cpu_share: float
    """Of one core, from the first question to the last word shown."""
    peak_bytes: int

    def figure(self, name: str) -> float:
        """`stale`, or `placeholder`, `first`, `final` with ` p50` or ` p95`; infinite where answers never came."""
        what, _, which = name.partition(" ")
        if what == "stale":
            return _finite(statistics.fmean(each.staleness_s for each in self.lags))
        field = {"placeholder": "placeholder_s", "first": "first_word_s", "final": "final_s"}[what]
        values = sorted(_finite(getattr(each, field)) for each in self.lags)
        return values[math.ceil(len(values) * (0.5 if which == "p50" else 0.95)) - 1]

    @property
    def broken(self) -> int:
        """Answers that ended without all their words, each once and in order."""
        return sum(not each.whole for each in self.lags)


def rows(seed: int) -> dict[str, Row]:
    """All rows by how they are called on the command line."""
    chooser = random.Random(seed)
    scattered = tuple(sorted(chooser.uniform(0, 60 * MINUTES) for _ in range(A_MINUTE * MINUTES)))
    first, stale, final = "first p95", "stale", "final p95"
    alone = {"placeholder p95": 0.3, first: 0.3, stale: 0.75, final: 0.3}
    return {
        "1": Row("1 at once", (0.0,), 1, alone, 20),
        "8": Row("8 at once", (0.0,) * 8, 8, {first: 1.0, stale: 2.4, final: 1.0}, 70),
        "20": Row("20 at once", (0.0,) * 20, 20, {stale: 7.5, final: 2.0}, 90),
        "rate": Row("10 a minute", scattered, A_MINUTE, {first: 1.0, stale: 5.0, final: 1.0}, 270),
    }


async def measure(contender: Contender, row: Row) -> Result:
    """One contender in one row, with a Slack and a model of its own."""
    async with (
        Sandbox(budgets={"chat.update": EDITS_A_MINUTE}) as sandbox,
        NumberedWords(WORDS_PER_S, FIRST_WORD_S) as model,
        running(contender.arguments, sandbox, model.url) as process,
    ):
        await sandbox.wait_for_bot()
        await asyncio.sleep(WARM_UP_S)
        cpu_s, began_s = process.cpu_s(), time.monotonic()
        asked = await _ask(sandbox, row, began_s)
        await _all_whole(sandbox, asked, model)
        cpu_share = (process.cpu_s() - cpu_s) / (time.monotonic() - began_s)
        await asyncio.sleep(SETTLED_S)
        return _result(sandbox, model, asked, cpu_share, process)


async def _ask(sandbox: Sandbox, row: Row, began_s: float) -> list[tuple[str, str]]:
    """Asks all questions when they are due, each at the root of a channel; their channels and ts."""
    asked = []
    for number, at_s in enumerate(row.at_s):
        await asyncio.sleep(began_s + at_s - time.monotonic())
        channel = CHANNELS[number % len(CHANNELS)]
        asked.append((channel, await sandbox.say("ada", channel, f"@typist {question(number, WORDS)}")))
    return asked


async def _all_whole(sandbox: Sandbox, asked: Sequence[tuple[str, str]], model: NumberedWords) -> None:
    """Until each answer's last word can be seen, or is too late."""
    unseen = list(asked)
    give_up_s = time.monotonic() + FIRST_WORD_S + WORDS / WORDS_PER_S + LATE_S
    while unseen and time.monotonic() < give_up_s:
        await asyncio.sleep(0.2)
        unseen = [each for each in unseen if not _shows_last_word(sandbox, *each)]


def _shows_last_word(sandbox: Sandbox, channel: str, ts: str) -> bool:
    last = sandbox.messages(channel, ts)[-1]
    return word(WORDS) in last.text or any(word(WORDS) in block.get("text", "") for block in last.sent_blocks)


def _result(
    sandbox: Sandbox, model: NumberedWords, asked: Sequence[tuple[str, str]], cpu_share: float, process: Process
) -> Result:
    found = []
    for number, (channel, ts) in enumerate(asked):
        root, *replies = sandbox.messages(channel, ts)
        history = [
            Shown(revision.at_s, reply.ts, words_in(revision.text, revision.sent_blocks))
            for reply in replies
            for revision in sandbox.revisions(channel, reply.ts)
        ]
        asked_at_s = sandbox.revisions(channel, root.ts)[0].at_s
        found.append(lags(asked_at_s, model.said_at_s[number], history))
    calls = sandbox.calls
    return Result(
        lags=found,
        limited=sum(call.error == "ratelimited" for call in calls),
        edits=sum(call.method == "chat.update" and call.ok for call in calls),
        cpu_share=cpu_share,
        peak_bytes=process.peak_bytes(),
    )


def _finite(value: float) -> float:
    return math.inf if math.isnan(value) else value


HEADER = (
    f"{'row':<12} {'who':<15} {'429s':>5} {'edits':>5}  {'placeholder':>12}  {'first word':>12}  "
    f"{'staleness':>9} {'bound':>5}  {'final':>13}  {'CPU':>6} {'memory':>7} {'broken':>6}\n"
    f"{'':<28} {'':>5} {'':>5}  {'p50   p95':>12}  {'p50   p95':>12}  {'mean':>9} {'':>5}  {'p50    p95':>13}"
)


def line(row: Row, contender: Contender, result: Result) -> str:
    """A line of the table."""
    figure = result.figure
    bound_s = WORDS / WORDS_PER_S * row.counted / (2 * EDITS_A_MINUTE)
    return (
        f"{row.name:<12} {contender.name:<15} {result.limited:>5} {result.edits:>5}  "
        f"{figure('placeholder p50'):5.2f} {figure('placeholder p95'):6.2f}  "
        f"{figure('first p50'):5.2f} {figure('first p95'):6.2f}  {figure('stale'):9.2f} {bound_s:5.2f}  "
        f"{figure('final p50'):6.2f} {figure('final p95'):6.2f}  {result.cpu_share:6.1%} "
        f"{result.peak_bytes / 1e6:4.0f} MB {result.broken:>6}"
    )


def misses(row: Row, result: Result) -> list[str]:
    """What the bot was held to and did not reach, a sentence each."""
    found = []
    for name, target_s in row.targets.items():
        value_s = result.figure(name)
        if value_s > target_s:
            over = (value_s - target_s) / target_s
            found.append(f"{row.name}: {name} is {value_s:.2f} s, over its {target_s:g} s by {over:.0%}")
    if result.limited:
        found.append(f"{row.name}: {result.limited} calls were answered with 429, none may be")
    if result.broken:
        found.append(f"{row.name}: {result.broken} answers are not whole")
    return found


def groups(row: Row, rivals: bool) -> list[tuple[Contender, ...]]:
    """Who runs side by side: the bot has the machine to itself but in the long row, where little goes on."""
    if not rivals:
        return [(BOT,)]
    return [(BOT,), RIVALS] if len(set(row.at_s)) == 1 else [(BOT, *RIVALS)]


async def run(chosen: Sequence[Row], rivals: bool) -> list[str]:
    """Measures, prints, and returns the misses."""
    found = []
    print(HEADER, flush=True)
    for row in chosen:
        for group in groups(row, rivals):
            results = await asyncio.gather(*(measure(contender, row) for contender in group))
            for contender, result in zip(group, results, strict=True):
                print(line(row, contender, result), flush=True)
                if contender is BOT:
                    found += misses(row, result)
    return found


def _expected_s(chosen: Sequence[Row], rivals: bool) -> float:
    ours_s = sum(row.at_s[-1] + WORDS / WORDS_PER_S + 8 for row in chosen)
    return ours_s + (sum(row.longest_s - row.at_s[-1] for row in chosen) if rivals else 0)


def main() -> int:
    parser = argparse.ArgumentParser(description="How live the bot's answers are, within Slack's budgets.")
    parser.add_argument("--rows", default="1,8,20,rate", help="by commas: 1, 8, 20 at once; rate: 10 a minute")
    parser.add_argument("--rivals", action=argparse.BooleanOptionalAction, default=True, help="other rules, too")
    parser.add_argument("--seed", type=int, default=1, help="decides when the questions of `rate` are asked")
    options = parser.parse_args()
    known = rows(options.seed)
    names = options.rows.split(",")
    if unknown := [name for name in names if name not in known]:
        parser.error(f"no such row: {', '.join(unknown)}")
    chosen = [known[name] for name in names]
    print(f"{WORDS} words an answer at {WORDS_PER_S} a second, {EDITS_A_MINUTE} edits a minute; seconds.")
    print(f"This takes about {_expected_s(chosen, options.rivals) / 60:.0f} minutes.\n")
    missed = asyncio.run(run(chosen, options.rivals))
    print("\n" + ("\n".join(missed) if missed else "Every target is met."))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
