"""What the bot costs: memory at rest and for each live reply, and an answer's CPU as it gets longer.

Run: python -m benchmarks.costs. Exits with 1 where a target is missed. What it costs to read many streams at once is
in benchmarks.parsing.
"""

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.process import Process, running
from benchmarks.vendor import NumberedWords, question, word
from bot.core import texts
from bot.core.conversation import Question, ThreadKey
from bot.core.reply.state import Ending, Post, Reply, Update
from bot.slack.format import reply_blocks
from sandbox.server import Sandbox

BOT = ("-m", "bot", "run")
REST_S = 5.0
"""From connected to at rest."""
REST_TARGET_BYTES = 120e6
REPLY_TARGET_BYTES = 100e3
FEW, MANY = 5, 45
"""A bot reads no more than 50 threads a minute."""
LIVE_WORDS, LIVE_WORDS_PER_S, SAID_WORDS = 900, 20, 300
"""Answers that are still live when the last one has said so much."""
LENGTHS = (1_000, 10_000, 50_000)
FAST_WORDS_PER_S = 2_000
"""As fast as the model's process can, about: the CPU that a word takes is what counts."""
WORDS_AN_EDIT = 24
"""0.6 s at 40 words/s: a lone reply's pace, the most edits that an answer ever gets."""
LINEAR_WITHIN = 1.25
"""A word of the longest answer may cost so many times what one of the middle length does."""
GENEROUS = {"chat.postMessage": 100_000, "chat.update": 100_000}


@dataclass(frozen=True)
class Figure:
    """One line of the report."""

    what: str
    value: str
    target: str = ""
    good: bool = True


async def at_rest(models: str) -> Figure:
    """A bot that is connected and has nothing to do."""
    async with Sandbox() as sandbox, running(BOT, sandbox, "http://127.0.0.1:9/v1", models) as process:
        await asyncio.sleep(REST_S)
        resident = process.memory_bytes()
    return Figure(
        f"memory at rest, {models}",
        f"{resident / 1e6:.0f} MB",
        f"at most {REST_TARGET_BYTES / 1e6:.0f} MB",
        resident <= REST_TARGET_BYTES,
    )


async def each_live_reply() -> Figure:
    """From few live replies to many, each with some text, in the bot's process."""
    async with (
        Sandbox(budgets=GENEROUS, post_burst=1_000) as sandbox,
        NumberedWords(LIVE_WORDS_PER_S) as model,
        running(BOT, sandbox, model.url) as process,
    ):
        await _all_saying(sandbox, model, range(FEW))
        few = process.memory_bytes()
        await _all_saying(sandbox, model, range(FEW, MANY))
        many = process.memory_bytes()
    each = (many - few) / (MANY - FEW)
    return Figure(
        f"memory for each live reply, {FEW} to {MANY}",
        f"{each / 1e3:.0f} kB",
        f"at most {REPLY_TARGET_BYTES / 1e3:.0f} kB",
        each <= REPLY_TARGET_BYTES,
    )


async def _all_saying(sandbox: Sandbox, model: NumberedWords, numbers: range) -> None:
    for number in numbers:
        await sandbox.say("ada", "general", f"@typist {question(number, LIVE_WORDS)}")
    await _until(lambda: all(len(model.said_at_s[number]) >= SAID_WORDS for number in numbers))
    if any(len(said) >= LIVE_WORDS for said in model.said_at_s.values()):
        raise TimeoutError("the first answers ended before the last ones had begun: this machine is too busy")


async def whole_answers() -> list[Figure]:
    """The bot's process, from a question to its whole answer: the SDK's parsing, the Store, Slack's calls."""
    costs_us = {}
    async with (
        Sandbox(budgets=GENEROUS, post_burst=1_000) as sandbox,
        NumberedWords(FAST_WORDS_PER_S) as model,
        running(BOT, sandbox, model.url) as process,
    ):
        await _answer_cpu_s(sandbox, process, 100)
        for words in LENGTHS:
            costs_us[words] = await _answer_cpu_s(sandbox, process, words) / words * 1e6
    return _by_length("an answer, all of the bot", costs_us)


async def _answer_cpu_s(sandbox: Sandbox, process: Process, words: int) -> float:
    before_s = process.cpu_s()
    ts = await sandbox.say("ada", "general", f"@typist {question(words, words)}")
    await _until(lambda: _shows(sandbox, ts, word(words)), 60 + words / 200)
    return process.cpu_s() - before_s


def _shows(sandbox: Sandbox, ts: str, last_word: str) -> bool:
    """Whether an answer is at its end: its last word, or, of one that is longer than its pages, the file."""
    messages = sandbox.messages("general", ts)
    said = str([message.sent_blocks for message in messages])
    if texts.WRITING in said or texts.WRITING_LONG in said:
        return False
    text = "".join(str(block.get("text", "")) for block in messages[-1].sent_blocks)
    return text.endswith(last_word) or any(message.files for message in messages)


async def _until(holds: Callable[[], bool], timeout_s: float = 120) -> None:
    async with asyncio.timeout(timeout_s):
        while not holds():  # noqa: ASYNC110 - the words that a model says raise no event
            await asyncio.sleep(0.1)


def replies_alone() -> list[Figure]:
    """Reply and blocks, with an edit made as often as an answer ever gets one; no network."""
    costs_us = {words: statistics.median(_reply_cpu_s(words) for _ in range(5)) / words * 1e6 for words in LENGTHS}
    return _by_length("an answer, its reply alone", costs_us)


def _reply_cpu_s(words: int) -> float:
    before_s = time.process_time()
    reply = Reply(Question(ThreadKey("T1", "C1", "1.0"), "1.0", "U1", "why?"))
    for number in range(1, words + 1):
        reply.append(f"{word(number)} ")
        if number % WORDS_AN_EDIT == 0:
            _edit(reply)
    reply.finish(Ending())
    while not reply.finished:
        _edit(reply)
    return time.process_time() - before_s


def _edit(reply: Reply) -> None:
    """Does the reply's next call; an answer of more than five pages ends with an upload."""
    call = reply.next_call()
    if call is None:
        return
    if isinstance(call, Post | Update):
        json.dumps(reply_blocks.message(call.view))
    reply.confirmed(call, str(call.page) if isinstance(call, Post | Update) else "file")


def _by_length(what: str, costs_us: dict[int, float]) -> list[Figure]:
    """An edit carries a page, so a word costs more until the first page is full: from then on it must not."""
    _, middle, longest = LENGTHS
    figures = [
        Figure(f"{what}, {words:,} words", f"{cost_us * words / 1e3:.0f} ms, {cost_us:.1f} µs a word")
        for words, cost_us in costs_us.items()
    ]
    growth = costs_us[longest] / costs_us[middle]
    what = f"{what}: a word of {longest:,} to one of {middle:,}"
    return [*figures, Figure(what, f"{growth:.2f}", f"at most {LINEAR_WITHIN:g}", growth <= LINEAR_WITHIN)]


async def report() -> bool:
    """Measures and prints; True where all targets are met."""
    figures: list[Figure] = []

    def show(*found: Figure) -> None:
        for each in found:
            verdict = f"{each.target}: {'ok' if each.good else 'MISSED'}" if each.target else ""
            print(f"{each.what:<62} {each.value:<26} {verdict}", flush=True)
        figures.extend(found)

    show(*replies_alone())
    show(await at_rest("openai/numbered"))
    show(await at_rest("anthropic/other"))
    show(await at_rest("openai/numbered,anthropic/other"))
    show(await each_live_reply())
    show(*await whole_answers())
    return all(each.good for each in figures)


def main() -> int:
    print("This takes about 2 minutes.\n")
    return 0 if asyncio.run(report()) else 1


if __name__ == "__main__":
    sys.exit(main())
