"""Which replies the edit scheduler gives to native streams, and when their calls go: in simulated time."""

import asyncio
from itertools import pairwise

import pytest

from bot.core.asks import ApprovalCard
from bot.core.job import End, MessageRole, RecordedMessage
from bot.core.surfaces import Visibility
from bot.errors import EndReason, RateLimited
from bot.reply.answer import Answer
from bot.reply.carriers import METHODS
from bot.reply.edits import Post, Update
from bot.reply.messages import Call
from bot.reply.scheduler import ScheduledReply
from bot.reply.streams import AppendStream, StartStream, StopStream
from slack_pacing.budget import CALLS_PER_MINUTE
from slack_pacing.carriers import STREAM_LIFE_S, CarrierName
from slack_pacing.pacer import OWN_GAP_S
from slack_pacing.tests.simulated_time import run_simulated
from tests.reply.schedules import Schedule, SimulatedTransport, job_of, scheduling
from tests.reply.simulated import simulated

STREAM: CarrierName = "stream"
STREAMED = ["StartStream", "AppendStream", "StopStream"]
EDITED = ["Post", "Update", "Update"]


def kinds(schedule: Schedule, job_id: int = 1) -> list[str]:
    return [kind for job, kind in schedule.calls() if job == job_id]


async def tell(reply: ScheduledReply) -> None:
    reply.append("One two ")
    await asyncio.sleep(2)
    reply.append("three ")
    await asyncio.sleep(2)
    await reply.finish(End(EndReason.WHOLE))


@simulated
async def test_stream_carries_an_answer_from_its_first_words_to_its_end() -> None:
    async with scheduling(SimulatedTransport(latency_s=0.0), carrier=STREAM) as schedule:
        reply = await schedule.open_in_pane(1)
        await asyncio.sleep(5)
        await tell(reply)
    assert kinds(schedule) == STREAMED
    times = [schedule.times(kind) for kind in (StartStream, AppendStream, StopStream)]
    assert times == [[5], [7], [9]]
    texts = [sent.call.text for sent in schedule.transport.sent]  # type: ignore[union-attr]
    assert "".join(texts) == "One two three"
    assert reply.reply.page_ts == ("1.0",)


@pytest.mark.parametrize(
    ("carrier", "allowed", "streams_for", "expected"),
    [
        ("stream", True, {"U1"}, STREAMED),
        (None, True, {"U1"}, STREAMED),
        ("edit", True, {"U1"}, EDITED),
        ("stream", False, {"U1"}, EDITED),
        ("stream", True, {"U2"}, EDITED),
    ],
    ids=["stream", "auto", "edit", "not every reader would see it", "Slack is known to refuse"],
)
def test_what_carries_an_answer(
    carrier: CarrierName | None, allowed: bool, streams_for: set[str], expected: list[str]
) -> None:
    async def test() -> None:
        transport = SimulatedTransport(streams_for=frozenset(streams_for))
        async with scheduling(transport, carrier=carrier) as schedule:
            await tell(await schedule.open_in_pane(1, allowed=allowed))
        assert kinds(schedule) == expected

    run_simulated(test())


@simulated
async def test_only_the_reply_that_may_be_streamed_is() -> None:
    async with scheduling(carrier=STREAM) as schedule:
        others = await schedule.open_in_pane(2, allowed=False)
        await asyncio.gather(tell(await schedule.open_in_pane(1)), tell(others))
    assert (kinds(schedule, 1), kinds(schedule, 2)) == (STREAMED, EDITED)


@simulated
async def test_stream_without_a_complete_word_holds_back_no_other_reply() -> None:
    async with scheduling(SimulatedTransport(latency_s=0.0), carrier=STREAM) as schedule:
        slow, other = await schedule.open_in_pane(1), await schedule.open_in_pane(2)
        slow.append("Donau")
        other.append("One two ")
        await asyncio.sleep(1)
        assert schedule.calls() == [(2, "StartStream")]
        assert schedule.times(StartStream) == [0]
        slow.append("dampfschiff ")
        await asyncio.sleep(1)
    assert [sent.call.text for sent in schedule.transport.sent] == ["One two", "Donaudampfschiff"]  # type: ignore[union-attr]


@simulated
async def test_old_stream_is_stopped_and_the_answer_goes_on_in_edits() -> None:
    async with scheduling(SimulatedTransport(latency_s=0.0), carrier=STREAM) as schedule:
        reply = await schedule.open_in_pane(1)
        while asyncio.get_running_loop().time() < STREAM_LIFE_S + 20:
            reply.append("word ")
            await asyncio.sleep(1)
        await reply.finish(End(EndReason.WHOLE))
    (stopped_at,) = schedule.times(StopStream)
    assert STREAM_LIFE_S <= stopped_at <= STREAM_LIFE_S + 2
    assert max(schedule.times(AppendStream)) < stopped_at <= min(schedule.times(Update))
    last = schedule.transport.sent[-1].call
    assert isinstance(last, Update)
    assert last.view.markdown == "word " * (int(STREAM_LIFE_S) + 20)


@simulated
async def test_start_that_slack_limits_leaves_the_answer_to_edits_at_once() -> None:
    def error_of(call: Call) -> RateLimited | None:
        return RateLimited("chat.startStream", 30.0) if isinstance(call, StartStream) else None

    async with scheduling(SimulatedTransport(latency_s=0.0, error_of=error_of), carrier=STREAM) as schedule:
        await tell(await schedule.open_in_pane(1))
    assert kinds(schedule) == ["StartStream", *EDITED]
    assert schedule.times(Post) == [0]
    assert schedule.records.messages == {1: (RecordedMessage("2.0", MessageRole.PAGE, for_stream=True),)}


@simulated
async def test_streams_stay_within_their_budgets_and_edits_carry_the_rest() -> None:
    starts, count = CALLS_PER_MINUTE[METHODS[StartStream]], 30
    async with scheduling(carrier=STREAM) as schedule:
        replies = [await schedule.open_in_pane(number) for number in range(count)]
        for reply in replies:
            reply.append("One two ")
        await asyncio.sleep(30)
        assert len(schedule.times(StartStream)) == starts
        assert len(schedule.times(StartStream)) + len(schedule.times(Post)) == count
        assert schedule.times(Post) != []
        await asyncio.gather(*(reply.finish(End(EndReason.WHOLE)) for reply in replies))
    stops = schedule.times(StopStream)
    assert len(stops) == len(schedule.times(StartStream))
    assert all(sum(at <= stop < at + 60 for stop in stops) <= CALLS_PER_MINUTE[METHODS[StopStream]] for at in stops)


@simulated
async def test_stop_that_was_held_back_for_a_full_page_may_be_the_next_pages() -> None:
    stops = CALLS_PER_MINUTE[METHODS[StopStream]]
    async with scheduling(SimulatedTransport(latency_s=0.0), carrier=STREAM) as schedule:
        reply = await schedule.open_in_pane(1)
        reply.append("One two ")
        await asyncio.sleep(1)
        schedule.use(METHODS[StopStream], stops - 2)
        reply.append("three four five.\n" * 800)
        await asyncio.sleep(5)
        assert kinds(schedule).count("StartStream") == 2
        await reply.finish(End(EndReason.WHOLE))


@simulated
async def test_appends_of_one_stream_keep_their_distance() -> None:
    async with scheduling(SimulatedTransport(latency_s=0.0), carrier=STREAM) as schedule:
        reply = await schedule.open_in_pane(1)
        for _ in range(100):
            reply.append("word ")
            await asyncio.sleep(0.1)
        times = schedule.times(AppendStream)
    assert min(later - earlier for earlier, later in pairwise(times)) >= OWN_GAP_S - 0.01


@simulated
async def test_start_of_a_stream_is_on_record_before_it_leaves_and_until_it_is_answered() -> None:
    async with scheduling(SimulatedTransport(latency_s=1.0), carrier=STREAM) as schedule:
        reply = await schedule.open_in_pane(1)
        reply.append("One two ")
        await asyncio.sleep(0.5)
        assert (kinds(schedule), schedule.records.messages[1]) == (
            ["StartStream"],
            (RecordedMessage("", MessageRole.STARTING),),
        )
        await asyncio.sleep(1)
        assert schedule.records.messages[1] == (RecordedMessage("1.0", MessageRole.PAGE, for_stream=True),)


@simulated
async def test_stream_starts_once_the_database_records_it() -> None:
    async with scheduling(SimulatedTransport(latency_s=0.0), carrier=STREAM) as schedule:
        schedule.records.is_away = True
        reply = await schedule.open_in_pane(1)
        reply.append("Some words of it. ")
        await asyncio.sleep(20)
        assert kinds(schedule) == []
        schedule.records.is_away = False
        await tell(reply)
    assert kinds(schedule)[0] == "StartStream"


@simulated
async def test_search_for_an_earlier_attempts_messages_knows_whether_slack_shows_its_own_stop() -> None:
    async with scheduling() as schedule:
        await schedule.open(1, ["5.1"])
        await schedule.open_in_pane(2, page_ts=["5.2"])
        await schedule.open(3)
    assert schedule.transport.recovered == [(1, False), (2, True)], "a fresh job has left nothing"


@simulated
async def test_question_about_calls_waits_for_no_status_and_until_it_is_shown() -> None:
    asks = (ApprovalCard("notes.add", "{}", "value"),)
    async with scheduling(SimulatedTransport(latency_s=3.0)) as schedule:
        reply = await schedule.scheduler.open(Answer(job_of(1)), visibility=Visibility.SEEN, has_stop=True)
        await reply.ask_for_decisions(asks)
        assert asyncio.get_running_loop().time() == 3.0
        (sent,) = schedule.transport.sent
        assert isinstance(sent.call, Post)
        assert (sent.call.view.asks, sent.call.view.activity) == (asks, "")
        await reply.ask_for_decisions(())
        assert asyncio.get_running_loop().time() == pytest.approx(6.0, abs=OWN_GAP_S + 0.01)


@simulated
async def test_page_that_cannot_be_laid_out_for_its_carrier_ends_its_own_reply() -> None:
    def fail(now: float, has_stop: bool) -> None:
        raise ValueError("unforeseen")

    async with scheduling(SimulatedTransport(latency_s=0.0), carrier=STREAM) as schedule:
        broken, other = [await schedule.open_in_pane(number) for number in (1, 2)]
        broken.reply.carriers.offer_streams(fail)
        for reply in (broken, other):
            reply.append("One two three. ")
        await asyncio.sleep(1)
        async with asyncio.timeout(10):
            await asyncio.gather(*(reply.finish(End(EndReason.WHOLE)) for reply in (broken, other)))
    assert [broken.reply.is_unshown, other.reply.is_unshown] == [True, False]
