"""Measures the memory and CPU time that the bot needs when idle, for each live reply, and by an answer's length.

Live replies are measured with both carriers: edits of a message, and native streams. The CPU time of 100 live replies
is also measured for the edit scheduler alone, in simulated time.

The benchmark also measures the cost of metrics and traces, and of reading many streams at once. Each stream comes from
a vendor in another process (`--serve`), and passes through the real provider into a Reply.

Run: python -m benchmarks.costs. Exits with 1 if a target is missed.
"""

import asyncio
import json
import os
import statistics
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType

import aiohttp
from aiohttp import web

from benchmarks.numbered_model import NumberedModel, question, word
from benchmarks.process import Process, running
from benchmarks.readers import Readers
from bot.core import texts
from bot.core.conversation import Question, ThreadKey
from bot.core.job import End, Job
from bot.errors import EndReason
from bot.models import anthropic, openai
from bot.models.model import Provider
from bot.models.prompt import Prompt, Turn
from bot.models.setup import RequestOptions, VendorSettings
from bot.models.wrappers import Fallback, StallTimeout
from bot.reply import blocks as reply_blocks
from bot.reply.answer import Answer
from bot.reply.edits import Post, Update
from bot.reply.outcomes import CallDone
from bot.reply.reply import Reply
from bot.reply.scheduler import ScheduledReply
from slack_pacing.tests.simulated_time import run_simulated
from slack_sandbox.server import Sandbox, find_port
from slack_sandbox.web_api.budgets import GENEROUS
from tests.reply.schedules import scheduling
from tests.streams import speech
from tests.streams.server import VendorResponse, VendorServer

BOT = ("-m", "bot", "run")
CHANNEL_ID = "C0GENERAL"
SETTLE_S = 5.0
"""Wait after connecting, until the process is idle."""
IDLE_TARGET_BYTES = 140e6
REPLY_TARGET_BYTES = 100e3
FEW_AND_MANY = {"edit": (5, 45), "stream": (4, 19)}
"""Numbers of live replies to compare, by carrier. Slack lets a bot read 50 threads and start 20 streams a minute."""
WHOLE_WORDS, WORDS_PER_S = 600, 40
ANSWERED_WITHIN_S = 120.0
SCRAPES = 200
NO_SETTINGS: Mapping[str, str] = MappingProxyType({})
LIVE_WORDS, LIVE_WORDS_PER_S, SENT_WORDS = 900, 20, 300
"""Long answers, so that all are still live when the last one has `SENT_WORDS` words."""
LENGTHS = (1_000, 10_000, 50_000)
LONG_LENGTHS = (1_000, 20_000)
FAST_WORDS_PER_S = 2_000
"""About as fast as the model's server can be. Only CPU per word is measured."""
WORDS_AN_EDIT = 24
"""0.6 s at 40 words/s: the pace of a single reply, which gets the most edits."""
LINEAR_WITHIN = 1.25
"""How many times as much a word of the longest answer may cost as one of the middle length."""
PACED_S, SIMULATED_S = 30, 120
PACED_WORDS = 10_000
SCHEDULER_TARGET = 0.1
"""The most of the whole process that the edit scheduler and the pacing may take."""
UNLIMITED = dict.fromkeys(
    ("chat.postMessage", "chat.update", "chat.startStream", "chat.appendStream", "chat.stopStream"), 100_000
)
ANY_POSTS = replace(GENEROUS, burst=1_000)


@dataclass(frozen=True)
class Figure:
    """One line of the report."""

    what: str
    value: str
    target: str = ""
    meets_target: bool = True


async def idle_memory(models: str) -> Figure:
    """Measures the memory of a bot that is connected and idle."""
    async with _idle(models) as process:
        resident = process.memory_bytes()
    return Figure(
        f"memory when idle, {models}",
        f"{resident / 1e6:.0f} MB",
        f"at most {IDLE_TARGET_BYTES / 1e6:.0f} MB",
        resident <= IDLE_TARGET_BYTES,
    )


@asynccontextmanager
async def _idle(models: str, settings: Mapping[str, str] = NO_SETTINGS) -> AsyncIterator[Process]:
    """Runs a bot until it is connected and idle."""
    async with Sandbox() as sandbox, running(BOT, sandbox, "http://127.0.0.1:9/v1", models, settings) as process:
        await asyncio.sleep(SETTLE_S)
        yield process


def by(carrier: str) -> tuple[str, ...]:
    """Returns the command that runs Typist with this carrier for all answers."""
    return ("-m", "benchmarks.carried", carrier, "run")


@asynccontextmanager
async def _collector() -> AsyncIterator[str]:
    """Runs a collector that takes all spans, and yields the address for BOT_TRACES_URL."""

    async def take(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(content_type="application/x-protobuf")

    app = web.Application()
    app.router.add_post("/v1/traces", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1/traces"
    finally:
        await runner.cleanup()


async def telemetry_costs() -> list[Figure]:
    """Measures what metrics and traces cost: memory, a live reply's CPU by turns, and the time of a scrape."""
    metrics = {"BOT_HEALTH_PORT": str(find_port(20_000))}
    async with _collector() as url:
        ways = {"off": {}, "metrics": metrics, "metrics and traces": {**metrics, "BOT_TRACES_URL": url}}
        figures = [await _idle_with(what, settings) for what, settings in ways.items()]
        costs_s = await _by_turns({what: partial(live_reply_cpu_s, settings=ways[what]) for what in ways}, 3)
    what = f"a live reply of {WHOLE_WORDS} words, telemetry:"
    return [*figures, *(Figure(f"{what} {way}", _spread_ms(measured_s)) for way, measured_s in costs_s.items())]


async def _by_turns(ways: Mapping[str, Callable[[], Awaitable[float]]], rounds: int) -> dict[str, list[float]]:
    """Measures several ways, each once in each round, so that what slows the machine down slows them all."""
    measured: dict[str, list[float]] = {what: [] for what in ways}
    for _ in range(rounds):
        for what, measure_once in ways.items():
            measured[what].append(await measure_once())
    return measured


async def _idle_with(what: str, settings: Mapping[str, str]) -> Figure:
    """Measures the memory of an idle bot with these settings, and its CPU for a scrape if it has metrics."""
    async with _idle("openai/numbered", settings) as process, aiohttp.ClientSession() as session:
        shown = f"{process.memory_bytes() / 1e6:.1f} MB"
        if "BOT_HEALTH_PORT" in settings:
            before_s = process.cpu_s()
            for _ in range(SCRAPES):
                async with session.get(f"http://127.0.0.1:{settings['BOT_HEALTH_PORT']}/metrics") as response:
                    await response.read()
            shown += f", {(process.cpu_s() - before_s) / SCRAPES * 1e3:.1f} ms a scrape"
    return Figure(f"memory when idle, telemetry: {what}", shown)


async def memory_per_reply(carrier: str) -> Figure:
    """Measures the bot's memory for each live reply, by comparing few with many."""
    few_replies, many_replies = FEW_AND_MANY[carrier]
    async with (
        Sandbox(budgets=UNLIMITED, posts=ANY_POSTS) as sandbox,
        NumberedModel(LIVE_WORDS_PER_S) as model,
        running(by(carrier), sandbox, model.url) as process,
    ):
        await _stream_answers(sandbox, model, range(few_replies))
        few = process.memory_bytes()
        await _stream_answers(sandbox, model, range(few_replies, many_replies))
        many = process.memory_bytes()
    reply_bytes = (many - few) / (many_replies - few_replies)
    return Figure(
        f"memory for each live reply by {carrier}, {few_replies} to {many_replies}",
        f"{reply_bytes / 1e3:.0f} kB",
        f"at most {REPLY_TARGET_BYTES / 1e3:.0f} kB",
        reply_bytes <= REPLY_TARGET_BYTES,
    )


async def carriers_cpu() -> list[Figure]:
    """Measures the CPU of live replies by each carrier, by turns."""
    costs_s = await _by_turns({carrier: partial(live_reply_cpu_s, by(carrier)) for carrier in FEW_AND_MANY}, 5)
    figures = []
    for carrier, measured_s in costs_s.items():
        what = f"a live reply by {carrier}, {WHOLE_WORDS} words, the bot's whole process"
        figures.append(Figure(what, _spread_ms(measured_s)))
    ratio = statistics.median(costs_s["stream"]) / statistics.median(costs_s["edit"])
    return [*figures, Figure("a live reply: stream to edit", f"{ratio:.2f}", "at most 1", ratio <= 1)]


def _spread_ms(measured_s: Sequence[float]) -> str:
    median_ms, least_ms, most_ms = (of(measured_s) * 1e3 for of in (statistics.median, min, max))
    return f"{median_ms:.0f} ms ({least_ms:.0f} to {most_ms:.0f})"


async def live_reply_cpu_s(
    bot: Sequence[str] = by("edit"),
    replies: int = 1,
    settings: Mapping[str, str] = NO_SETTINGS,
    at_end: Callable[[Process], Awaitable[None]] | None = None,
) -> float:
    """Returns the bot's CPU for a reply that is live alone, after an answer that warms it up.

    `bot`: the command. `replies`: how many are asked for, one after the other. `at_end` is called before the bot ends.
    """
    async with (
        Sandbox(budgets=UNLIMITED, posts=ANY_POSTS) as sandbox,
        NumberedModel(WORDS_PER_S) as model,
        running(bot, sandbox, model.url, settings=settings) as process,
    ):
        readers = Readers(sandbox.workspace)
        await _whole_answer(sandbox, readers, 0, WHOLE_WORDS // 10)
        before_s = process.cpu_s()
        for number in range(1, replies + 1):
            await _whole_answer(sandbox, readers, number, WHOLE_WORDS)
        cpu_s = process.cpu_s() - before_s
        if at_end is not None:
            await at_end(process)
        return cpu_s / replies


async def _whole_answer(sandbox: Sandbox, readers: Readers, number: int, words: int) -> None:
    """Asks a question and waits until Slack shows its answer whole."""
    ts = await sandbox.say("ada", CHANNEL_ID, f"<@BOT> {question(number, words)}")
    await sandbox.wait_for(lambda: readers.see_all_of((CHANNEL_ID, ts), words), ANSWERED_WITHIN_S)


async def _stream_answers(sandbox: Sandbox, model: NumberedModel, numbers: range) -> None:
    """Asks these questions and waits until all their answers are live and some words long."""
    for number in numbers:
        await sandbox.say("ada", "general", f"<@BOT> {question(number, LIVE_WORDS)}")
    await sandbox.wait_for(
        lambda: all(len(model.sent_at_s[number]) >= SENT_WORDS for number in numbers), ANSWERED_WITHIN_S
    )
    if any(len(sent) >= LIVE_WORDS for sent in model.sent_at_s.values()):
        raise TimeoutError("the first answers ended before the last ones had begun: the machine is too busy")


async def live_replies_cpu() -> list[Figure]:
    """Measures the CPU of many live replies, which share the edits that Slack takes."""
    whole = await _live_replies_share()
    scheduler = await asyncio.to_thread(_scheduler_share)
    what = f"{STREAMS} live replies of {TOKENS_PER_S} tokens/s"
    return [
        Figure(f"{what}, the bot's whole process", f"{whole:.1%} of a core"),
        Figure(
            f"{what}, scheduler and pacing",
            f"{scheduler:.1%} of a core",
            f"at most {SCHEDULER_TARGET:.0%} of the process",
            scheduler <= SCHEDULER_TARGET * whole,
        ),
    ]


async def _live_replies_share() -> float:
    """Returns the bot's share of a core while live replies receive tokens at the full pace."""
    async with (
        Sandbox(posts=ANY_POSTS) as sandbox,
        NumberedModel(TOKENS_PER_S) as model,
        running(BOT, sandbox, model.url) as process,
    ):
        for number in range(STREAMS):
            await sandbox.say("ada", "general", f"<@BOT> {question(number, PACED_WORDS)}")
        await sandbox.wait_for(lambda: len(model.sent_at_s) == STREAMS, ANSWERED_WITHIN_S)
        before, before_s, began_s = _words_sent(model), process.cpu_s(), time.monotonic()
        await asyncio.sleep(PACED_S)
        took_s = time.monotonic() - began_s
        if _words_sent(model) - before < 0.95 * STREAMS * TOKENS_PER_S * took_s:
            raise TimeoutError("the model's server did not reach the pace: the machine is too busy")
        return (process.cpu_s() - before_s) / took_s


def _words_sent(model: NumberedModel) -> int:
    return sum(map(len, model.sent_at_s.values()))


def _scheduler_share() -> float:
    """Returns the share of a core that the edit scheduler takes for so many replies, in simulated time."""
    tokens = SIMULATED_S * TOKENS_PER_S

    async def schedule_calls() -> None:
        async with scheduling(carrier=None) as schedule:
            live = [await schedule.scheduler.open(Answer(job)) for job in jobs]
            for job in jobs:
                schedule.scheduler.allow_stream(job)
            for number in range(tokens):
                _append(word(number), live)
                await asyncio.sleep(1 / TOKENS_PER_S)

    def append_alone() -> None:
        live = [Reply(Answer(job)) for job in jobs]
        for number in range(tokens):
            _append(word(number), live)

    threads = [ThreadKey("T1", f"C{number}", f"{number}.0") for number in range(STREAMS)]
    jobs = [Job(number, Question(thread, "1.0", "U1", "why?"), 1) for number, thread in enumerate(threads)]
    return (_cpu_s(lambda: run_simulated(schedule_calls())) - _cpu_s(append_alone)) / SIMULATED_S


def _append(text: str, live: Sequence[Reply | ScheduledReply]) -> None:
    for reply in live:
        reply.append(f"{text} ")


def _cpu_s(work: Callable[[], object]) -> float:
    before_s = time.process_time()
    work()
    return time.process_time() - before_s


async def answer_cpu() -> list[Figure]:
    """Measures the CPU of the bot's process for complete answers: SDK, store and Slack calls."""
    costs_us = {}
    async with (
        Sandbox(budgets=UNLIMITED, posts=ANY_POSTS) as sandbox,
        NumberedModel(FAST_WORDS_PER_S) as model,
        running(BOT, sandbox, model.url) as process,
    ):
        await _answer_cpu_s(sandbox, process, 100)
        for words in LENGTHS:
            costs_us[words] = await _answer_cpu_s(sandbox, process, words) / words * 1e6
    return _by_length("an answer, the bot's whole process", costs_us)


async def _answer_cpu_s(sandbox: Sandbox, process: Process, words: int) -> float:
    before_s = process.cpu_s()
    ts = await sandbox.say("ada", "general", f"<@BOT> {question(words, words)}")
    await sandbox.wait_for(lambda: _is_complete(sandbox, ts, word(words)), 60 + words / 200)
    return process.cpu_s() - before_s


def _is_complete(sandbox: Sandbox, ts: str, last_word: str) -> bool:
    """Returns whether Slack shows the answer's last word, or the file of an answer that is too long for its pages."""
    messages = sandbox.messages("general", ts)
    shown = str([message.sent_blocks for message in messages])
    if texts.answers.WRITING in shown or texts.answers.WRITING_LONG in shown:
        return False
    text = "".join(str(block.get("text", "")) for block in messages[-1].sent_blocks)
    return text.endswith(last_word) or any(message.files for message in messages)


def reply_cpu() -> list[Figure]:
    """Measures the CPU of Reply and blocks alone, with the most edits that an answer gets; no network."""

    def show(words: int) -> None:
        reply, _ = _grown(words)
        reply.finish(End(EndReason.WHOLE))
        while not reply.life.is_over:
            _edit(reply)

    def cost_s(words: int) -> float:
        return statistics.median(_cpu_s(partial(show, words)) for _ in range(5))

    return _by_length("an answer, Reply and blocks alone", {words: cost_s(words) / words * 1e6 for words in LENGTHS})


def reply_growth() -> list[Figure]:
    """Compares a word of a long answer with one of the first thousand: its memory, and how often it is edited."""
    (first_bytes, first_edits), (long_bytes, long_edits) = (_memory_and_edits(words) for words in LONG_LENGTHS)
    what = "a live reply alone, {}, {:,} and {:,} words"
    return [
        Figure(
            what.format("memory a word", *LONG_LENGTHS),
            f"{first_bytes:.0f} and {long_bytes:.0f} bytes",
            "at most as the first",
            long_bytes <= first_bytes,
        ),
        Figure(
            what.format("edits", *LONG_LENGTHS),
            f"{first_edits} and {long_edits}",
            "a word at most as the first",
            long_edits / LONG_LENGTHS[1] <= first_edits / LONG_LENGTHS[0],
        ),
    ]


def _memory_and_edits(words: int) -> tuple[float, int]:
    tracemalloc.start()
    grown = _grown(words)
    held_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return held_bytes / words, grown[1]


def _grown(words: int) -> tuple[Reply, int]:
    """Returns a live reply of so many words, and how often it was edited."""
    reply = Reply(Answer(Job(1, Question(ThreadKey("T1", "C1", "1.0"), "1.0", "U1", "why?"), 1)))
    edits = 0
    for number in range(1, words + 1):
        reply.append(f"{word(number)} ")
        if number % WORDS_AN_EDIT == 0:
            edits += _edit(reply)
    return reply, edits


def _edit(reply: Reply) -> bool:
    """Confirms the reply's next call, if it has one. An answer of more than five pages ends with an upload."""
    call = reply.next_call()
    if call is None:
        return False
    if isinstance(call, Post | Update):
        json.dumps(reply_blocks.message(call.view))
    reply.on_send(call)
    reply.on_outcome(call, CallDone(str(call.page) if isinstance(call, Post | Update) else "file"))
    return True


def _by_length(what: str, costs_us: dict[int, float]) -> list[Figure]:
    """Checks that the cost of a word doesn't grow with the length, once the first page is full.

    Each edit carries a whole page, so the cost of a word grows until then.
    """
    _, middle, longest = LENGTHS
    figures = [
        Figure(f"{what}, {words:,} words", f"{cost_us * words / 1e3:.0f} ms, {cost_us:.1f} µs a word")
        for words, cost_us in costs_us.items()
    ]
    growth = costs_us[longest] / costs_us[middle]
    ratio = f"{what}: cost of a word, {longest:,} to {middle:,} words"
    return [*figures, Figure(ratio, f"{growth:.2f}", f"at most {LINEAR_WITHIN:g}", growth <= LINEAR_WITHIN)]


async def streams_cpu(api: str) -> Figure:
    """Measures the CPU of reading many streams of an API at once, from a vendor in another process."""
    pipe = asyncio.subprocess.PIPE
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.costs", "--serve", api, stdin=pipe, stdout=pipe, env=os.environ
    )
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        cost_us = await measure(api, json.loads(await server.stdout.readline()))
    finally:
        server.stdin.close()
        await server.wait()
    # At the nominal pace, even if the vendor's process is slower than that.
    share = cost_us / 1e6 * STREAMS * TOKENS_PER_S
    return Figure(
        f"{STREAMS} streams of {TOKENS_PER_S} tokens/s, {api}",
        f"{share:.1%} of a core, {cost_us:.0f} µs a token",
        f"at most {TARGET_CORE_SHARE:.0%}",
        share <= TARGET_CORE_SHARE,
    )


async def report() -> bool:
    """Measures and prints. Returns whether all targets are met."""
    figures: list[Figure] = []

    def show(*measured: Figure) -> None:
        for figure in measured:
            verdict = f"{figure.target}: {'ok' if figure.meets_target else 'MISSED'}" if figure.target else ""
            print(f"{figure.what:<62} {figure.value:<26} {verdict}", flush=True)
        figures.extend(measured)

    show(*reply_cpu())
    show(*reply_growth())
    show(await idle_memory("openai/numbered"))
    show(await idle_memory("anthropic/other"))
    show(await idle_memory("openai/numbered,anthropic/other"))
    for carrier in FEW_AND_MANY:
        show(await memory_per_reply(carrier))
    show(*await carriers_cpu())
    show(*await telemetry_costs())
    show(*await live_replies_cpu())
    show(*await answer_cpu())
    for api in APIS:
        show(await streams_cpu(api))
    return all(figure.meets_target for figure in figures)


STREAMS = 100
TOKENS_PER_S = 50
TOKENS = 400
TARGET_CORE_SHARE = 0.25

PROMPT = Prompt("Be brief.", (Turn("user", "Tell me a story."),))
APIS: dict[str, Callable[[Sequence[str]], list[bytes]]] = {
    "responses": speech.responses,
    "chat": speech.chat,
    "anthropic": speech.messages,
}


async def serve(api: str) -> None:
    """Runs the vendor's process: prints its address and serves until its stdin is closed."""
    events = APIS[api](["wörd "] * TOKENS)
    async with VendorServer() as vendor:
        vendor.has_all_models = True
        vendor.script(VendorResponse(events, pause_s=1 / TOKENS_PER_S))
        print(json.dumps(vendor.url), flush=True)
        await asyncio.to_thread(sys.stdin.read)


async def read(provider: Provider, number: int) -> int:
    """Reads one answer into a Reply and returns the number of deltas."""
    question = Question(ThreadKey("T1", "C1", None), f"{number}.0", "U1", "Tell me a story.")
    reply = Reply(Answer(Job(1, question, 1)))
    deltas = 0
    async with aclosing(provider.stream(PROMPT)) as stream:
        async for item in stream:
            if isinstance(item, str):
                reply.append(item)
                deltas += 1
    return deltas


async def measure(api: str, url: str) -> float:
    """Reads all streams at once. Returns the CPU per token in µs."""
    options = RequestOptions(max_output_tokens=16_384)
    if api == "anthropic":
        vendor = anthropic.connect("anthropic", VendorSettings("key", url), options)
    else:
        vendor = openai.connect("openai", VendorSettings("key", f"{url}/v1", api), options)
    provider = Fallback([StallTimeout(vendor.model("m"), stall_timeout_s=60)])
    # It imports modules and connects, so that neither is measured.
    async with aclosing(provider.stream(PROMPT)) as stream:
        await anext(stream)
    before_s = time.process_time()
    deltas = await asyncio.gather(*(read(provider, number) for number in range(STREAMS)))
    cpu_s = time.process_time() - before_s
    await vendor.aclose()
    assert deltas == [TOKENS] * STREAMS, f"expected {TOKENS} deltas from each stream, got {deltas}"
    return cpu_s / sum(deltas) * 1e6


def main() -> int:
    if sys.argv[1:2] == ["--serve"]:
        asyncio.run(serve(sys.argv[2]))
        return 0
    print("This takes about 11 minutes.\n")
    return 0 if asyncio.run(report()) else 1


if __name__ == "__main__":
    sys.exit(main())
