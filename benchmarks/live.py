"""Measures how fresh live answers are, within Slack's budgets, with a model that sends 40 words/s.

Run: python -m benchmarks.live [--rows 1,8,20,rate] [--no-rivals] [--seed 1]

A row is a number of simultaneous questions, or ten a minute at random over three minutes. Each answer has 600 words.
Each row has a new bot process and a new sandbox, so that all budgets are unused. Two simpler rules (rivals.py) are
measured for comparison. Exits with 1 if the bot misses a target, or loses or doubles a word.
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
from benchmarks.numbered_model import NumberedModel, question, word
from benchmarks.process import Process, running
from sandbox.server import Sandbox

WORDS = 600
WORDS_PER_S = 40
FIRST_WORD_S = 0.3
EDITS_A_MINUTE = 50
GIVE_UP_S = 150.0
"""How long to wait for an answer after the model's last word."""
SETTLED_S = 1.5
"""How long to wait for late edits of a complete answer."""
WARM_UP_S = 1.0
"""Wait after connecting, so that the start isn't measured."""
CHANNELS = ("general", "random", "project-x")

MINUTES, A_MINUTE = 3, 10


@dataclass(frozen=True)
class Row:
    """The questions of one row, and the bot's targets: figures of Result, in seconds."""

    name: str
    at_s: tuple[float, ...]
    """When each question is asked, in seconds from the start."""
    counted: int
    """Number of answers that share a minute's edits."""
    targets: dict[str, float]
    longest_s: float
    """About how long the slowest rule takes."""


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
    """The result of one contender in one row."""

    lags: list[Lags]
    limited: int
    """Calls that got 429."""
    edits: int
    """Edits that Slack accepted."""
    cpu_share: float
    """Share of one core, from the first question to the last visible word."""
    peak_bytes: int

    def figure(self, name: str) -> float:
        """Returns `stale`, or `placeholder`, `first`, `final` with ` p50` or ` p95`; infinite without answers."""
        what, _, which = name.partition(" ")
        if what == "stale":
            return _finite(statistics.fmean(answer.staleness_s for answer in self.lags))
        field = {"placeholder": "placeholder_s", "first": "first_word_s", "final": "final_s"}[what]
        values = sorted(_finite(getattr(answer, field)) for answer in self.lags)
        return values[math.ceil(len(values) * (0.5 if which == "p50" else 0.95)) - 1]

    @property
    def broken(self) -> int:
        """Returns how many answers ended without all their words, each once and in order."""
        return sum(not answer.complete for answer in self.lags)


def rows(seed: int) -> dict[str, Row]:
    """Returns all rows by their name on the command line."""
    rng = random.Random(seed)
    scattered = tuple(sorted(rng.uniform(0, 60 * MINUTES) for _ in range(A_MINUTE * MINUTES)))
    first, stale, final = "first p95", "stale", "final p95"
    alone = {"placeholder p95": 0.3, first: 0.3, stale: 0.75, final: 0.3}
    return {
        "1": Row("1 at once", (0.0,), 1, alone, 20),
        "8": Row("8 at once", (0.0,) * 8, 8, {first: 1.0, stale: 2.4, final: 1.0}, 70),
        "20": Row("20 at once", (0.0,) * 20, 20, {stale: 7.5, final: 2.0}, 90),
        "rate": Row("10 a minute", scattered, A_MINUTE, {first: 1.0, stale: 5.0, final: 1.0}, 270),
    }


async def measure(contender: Contender, row: Row) -> Result:
    """Measures one contender in one row, with its own sandbox and model."""
    async with (
        Sandbox(budgets={"chat.update": EDITS_A_MINUTE}) as sandbox,
        NumberedModel(WORDS_PER_S, FIRST_WORD_S) as model,
        running(contender.arguments, sandbox, model.url) as process,
    ):
        await sandbox.wait_for_bot()
        await asyncio.sleep(WARM_UP_S)
        cpu_s, began_s = process.cpu_s(), time.monotonic()
        asked = await _ask(sandbox, row, began_s)
        await _until_complete(sandbox, asked, model)
        cpu_share = (process.cpu_s() - cpu_s) / (time.monotonic() - began_s)
        await asyncio.sleep(SETTLED_S)
        return _result(sandbox, model, asked, cpu_share, process)


async def _ask(sandbox: Sandbox, row: Row, began_s: float) -> list[tuple[str, str]]:
    """Asks each question at the root of a channel when it is due. Returns channels and ts."""
    asked = []
    for number, at_s in enumerate(row.at_s):
        await asyncio.sleep(began_s + at_s - time.monotonic())
        channel = CHANNELS[number % len(CHANNELS)]
        asked.append((channel, await sandbox.say("ada", channel, f"@typist {question(number, WORDS)}")))
    return asked


async def _until_complete(sandbox: Sandbox, asked: Sequence[tuple[str, str]], model: NumberedModel) -> None:
    """Waits until Slack shows the last word of every answer, at most `GIVE_UP_S`."""
    unseen = list(asked)
    give_up_s = time.monotonic() + FIRST_WORD_S + WORDS / WORDS_PER_S + GIVE_UP_S
    while unseen and time.monotonic() < give_up_s:
        await asyncio.sleep(0.2)
        unseen = [question for question in unseen if not _shows_last_word(sandbox, *question)]


def _shows_last_word(sandbox: Sandbox, channel: str, ts: str) -> bool:
    last = sandbox.messages(channel, ts)[-1]
    return word(WORDS) in last.text or any(word(WORDS) in block.get("text", "") for block in last.sent_blocks)


def _result(
    sandbox: Sandbox, model: NumberedModel, asked: Sequence[tuple[str, str]], cpu_share: float, process: Process
) -> Result:
    answers = []
    for number, (channel, ts) in enumerate(asked):
        root, *replies = sandbox.messages(channel, ts)
        history = [
            Shown(revision.at_s, reply.ts, words_in(revision.text, revision.sent_blocks))
            for reply in replies
            for revision in sandbox.revisions(channel, reply.ts)
        ]
        asked_at_s = sandbox.revisions(channel, root.ts)[0].at_s
        answers.append(lags(asked_at_s, model.sent_at_s[number], history))
    calls = sandbox.calls
    return Result(
        lags=answers,
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
    """Formats one line of the table."""
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
    """Returns a sentence for each missed target."""
    missed = []
    for name, target_s in row.targets.items():
        value_s = result.figure(name)
        if value_s > target_s:
            over = (value_s - target_s) / target_s
            missed.append(f"{row.name}: {name} is {value_s:.2f} s, {over:.0%} over its target of {target_s:g} s")
    if result.limited:
        missed.append(f"{row.name}: {result.limited} calls got 429; none may")
    if result.broken:
        missed.append(f"{row.name}: {result.broken} answers are not complete")
    return missed


def groups(row: Row, rivals: bool) -> list[tuple[Contender, ...]]:
    """Returns which contenders run at the same time. The bot runs alone, except in the long row with little load."""
    if not rivals:
        return [(BOT,)]
    return [(BOT,), RIVALS] if len(set(row.at_s)) == 1 else [(BOT, *RIVALS)]


async def run(chosen: Sequence[Row], rivals: bool) -> list[str]:
    """Measures the rows, prints the table and returns the missed targets."""
    missed = []
    print(HEADER, flush=True)
    for row in chosen:
        for group in groups(row, rivals):
            results = await asyncio.gather(*(measure(contender, row) for contender in group))
            for contender, result in zip(group, results, strict=True):
                print(line(row, contender, result), flush=True)
                if contender is BOT:
                    missed += misses(row, result)
    return missed


def _expected_s(chosen: Sequence[Row], rivals: bool) -> float:
    ours_s = sum(row.at_s[-1] + WORDS / WORDS_PER_S + 8 for row in chosen)
    return ours_s + (sum(row.longest_s - row.at_s[-1] for row in chosen) if rivals else 0)


def main() -> int:
    parser = argparse.ArgumentParser(description="Measures how fresh live answers are, within Slack's budgets.")
    parser.add_argument("--rows", default="1,8,20,rate", help="comma-separated: 1, 8, 20 at once; rate: 10 a minute")
    parser.add_argument(
        "--rivals", action=argparse.BooleanOptionalAction, default=True, help="measure simpler rules, too"
    )
    parser.add_argument("--seed", type=int, default=1, help="decides when the questions of `rate` are asked")
    options = parser.parse_args()
    known = rows(options.seed)
    names = options.rows.split(",")
    if unknown := [name for name in names if name not in known]:
        parser.error(f"unknown row: {', '.join(unknown)}")
    chosen = [known[name] for name in names]
    print(f"{WORDS} words an answer at {WORDS_PER_S} a second, {EDITS_A_MINUTE} edits a minute; seconds.")
    print(f"This takes about {_expected_s(chosen, options.rivals) / 60:.0f} minutes.\n")
    missed = asyncio.run(run(chosen, options.rivals))
    print("\n" + ("\n".join(missed) if missed else "All targets are met."))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
