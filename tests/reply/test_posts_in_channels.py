"""Live replies on a Slack that takes five posts in five seconds from each channel, in simulated time."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace

import pytest

from bot.core.job import End, Job
from bot.core.surfaces import Visibility
from bot.errors import EndReason, RateLimited
from bot.reply.answer import Answer
from bot.reply.carriers import METHODS
from bot.reply.edits import Post, Update
from bot.reply.messages import Call
from bot.reply.scheduler import ScheduledReply
from bot.reply.streams import StartStream
from slack_pacing.carriers import CarrierName
from slack_pacing.tests.simulated_time import run_simulated
from tests.reply.schedules import Schedule, SimulatedTransport, job_of, scheduling

LATENCY_S = 0.1


def strict_slack(limited: Counter[str]) -> Callable[[Call], RateLimited | None]:
    """Returns the errors of a Slack that takes five posts, or starts of streams, in five seconds from a channel."""
    posts: defaultdict[str, list[float]] = defaultdict(list)

    def error_of(call: Call) -> RateLimited | None:
        if not isinstance(call, Post | StartStream):
            return None
        channel_id, now = call.question.thread.channel_id, asyncio.get_running_loop().time()
        if sum(at > now - 5 for at in posts[channel_id]) >= 5:
            limited[channel_id] += 1
            return RateLimited(METHODS[type(call)], 5.0)
        posts[channel_id].append(now)
        return None

    return error_of


def job_in(channel_id: str, job_id: int) -> Job:
    job = job_of(job_id)
    thread = replace(job.question.thread, channel_id=channel_id)
    return replace(job, question=replace(job.question, thread=thread))


async def ask(schedule: Schedule, channel_id: str, job_id: int, sign: Visibility = Visibility.NONE) -> ScheduledReply:
    """Asks a question whose answer a native stream may carry, unless a placeholder begins it."""
    job = job_in(channel_id, job_id)
    reply = await schedule.scheduler.open(Answer(job), visibility=sign)
    schedule.scheduler.allow_stream(job)
    return reply


def words_of(call: Call) -> str:
    match call:
        case StartStream(text=text):
            return text
        case Post(view=view) | Update(view=view):
            return view.markdown
    return ""


def shown_at(schedule: Schedule, job_id: int, *, words: bool) -> float:
    """Returns when a reply's first message, or its first words, were there."""
    calls = [sent for sent in schedule.transport.sent if sent.job_id == job_id]
    return LATENCY_S + min(sent.at for sent in calls if words_of(sent.call) or not words)


@pytest.mark.parametrize("carrier", ["edit", "stream"])
def test_crowded_channel_delays_no_other_one(carrier: CarrierName | None) -> None:
    limited: Counter[str] = Counter()

    async def run() -> Schedule:
        transport = SimulatedTransport(LATENCY_S, error_of=strict_slack(limited))
        async with scheduling(transport, carrier=carrier) as schedule:
            replies = [await ask(schedule, "C1", number) for number in range(12)]
            await asyncio.sleep(0.3)
            replies += [await ask(schedule, f"C{number}", number) for number in range(12, 16)]
            await asyncio.sleep(0.3)
            for reply in replies:
                reply.append("One two three. ")
            await asyncio.sleep(15)
            await asyncio.gather(*(reply.finish(End(EndReason.WHOLE)) for reply in replies))
        return schedule

    schedule = run_simulated(run())
    assert all(shown_at(schedule, number, words=False) <= 0.3 + 0.5 for number in range(12, 16))
    assert all(shown_at(schedule, number, words=True) <= 0.6 + 1.0 for number in range(12, 16))
    assert all(shown_at(schedule, number, words=True) < 15 for number in range(12)), "the crowd is answered as well"
    assert limited.total() == 1, "what one channel refused is tried in no other one"


def test_streams_are_one_message_each() -> None:
    limited: Counter[str] = Counter()

    async def run() -> Schedule:
        transport = SimulatedTransport(LATENCY_S, error_of=strict_slack(limited))
        async with scheduling(transport, carrier="stream") as schedule:
            replies = [await ask(schedule, "C1", number, Visibility.SEEN) for number in range(5)]
            await asyncio.sleep(1)
            for reply in replies:
                reply.append("One two three. ")
            await asyncio.sleep(4)
            await asyncio.gather(*(reply.finish(End(EndReason.WHOLE)) for reply in replies))
        return schedule

    schedule = run_simulated(run())
    assert max(shown_at(schedule, number, words=True) for number in range(5)) <= 2
    kinds = [kind for _, kind in schedule.calls()]
    assert (kinds.count("StartStream"), kinds.count("Post"), kinds.count("Delete")) == (5, 0, 0)
    assert limited.total() == 0


def test_placeholders_come_at_once_beside_streams() -> None:
    limited: Counter[str] = Counter()

    async def run() -> Schedule:
        transport = SimulatedTransport(LATENCY_S, error_of=strict_slack(limited))
        async with scheduling(transport, carrier="stream") as schedule:
            replies = [await ask(schedule, "C1", number, Visibility.SEEN) for number in range(3)]
            await asyncio.sleep(0.5)
            for reply in replies:
                reply.append("One two three. ")
            replies += [await ask(schedule, "C1", number) for number in range(3, 5)]
            await asyncio.sleep(1)
            await asyncio.gather(*(reply.finish(End(EndReason.WHOLE)) for reply in replies))
        return schedule

    schedule = run_simulated(run())
    assert max(shown_at(schedule, number, words=False) for number in range(3, 5)) <= 0.5 + 0.5
