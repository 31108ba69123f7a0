"""Which call the edit scheduler sends, and when: in simulated time, with another transport and without Slack."""

import asyncio
import itertools
import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bot.core import texts
from bot.core.asks import ApprovalCard
from bot.core.conversation import Question, ThreadKey
from bot.core.job import POSTING, Checkpoint, End, Job, sentence_notice
from bot.core.lease import LEASE_S
from bot.core.outbox import OutboxKind
from bot.core.surfaces import Visibility
from bot.errors import EndReason, RateLimited, Refusal, Refused, Stuck
from bot.logs import PrivateFormatter, of_job
from bot.reply.answer import Answer
from bot.reply.carriers import METHODS
from bot.reply.delivery import CALL_TIMEOUT_S
from bot.reply.edits import Post, Update
from bot.reply.messages import Call, Delete, Life, PageView, Upload, VisibleReply
from bot.reply.outcomes import Outcome
from bot.reply.reply import Reply
from bot.reply.scheduler import (
    LAST_CALLS_S,
    MAX_IN_FLIGHT,
    MAX_WORDLESS_S,
    PLACEHOLDER_DELAY_S,
    PLACEHOLDER_TIMEOUT_S,
    RECHECK_DELAY_S,
    REFUSED_DELAY_S,
    SCARCE_DELAY_S,
    STORE_RETRY_DELAY_S,
    ScheduledReply,
)
from bot.retry import REPLY_CALLS
from slack_pacing.budget import CALLS_PER_MINUTE
from slack_pacing.pacer import FINAL_WAIT_S, STEP_GAP_S, Urgency
from slack_pacing.posts import POST_BURST
from slack_pacing.tests.ledgers import LoneLedger
from slack_pacing.tests.simulated_time import run_simulated
from tests.core.conversations import recorded_pages
from tests.reply.schedules import Schedule, SimulatedTransport, job_of, scheduling
from tests.reply.simulated import simulated


def fails_for(seconds: float, error: Exception, kind: Any = Update) -> Callable[[Call], Exception | None]:
    """Returns an `error_of` with which calls of one kind fail until a time."""
    return lambda call: error if isinstance(call, kind) and asyncio.get_running_loop().time() < seconds else None


TRANSIENT = Refused("chat.update", "fatal_error", Refusal.TRANSIENT)


Errors = Callable[[Call], Exception | None]
Happens = Callable[[Schedule, ScheduledReply], object]


def append(schedule: Schedule, reply: ScheduledReply) -> None:
    reply.append("Hello. ")


def finish(schedule: Schedule, reply: ScheduledReply) -> asyncio.Task[None]:
    return asyncio.create_task(reply.finish(End(EndReason.WHOLE, sentence_notice("Done."))))


def limit(method: str, seconds: float) -> Happens:
    return lambda schedule, reply: schedule.budget.on_rate_limit(f"chat.{method}", seconds, "C1")


def fail_once(*errors: Exception | None) -> Errors:
    """Returns an `error_of` with which the first edits fail so."""
    left = list(errors)
    return lambda call: left.pop(0) if left and isinstance(call, Update) else None


LONG_S = REPLY_CALLS.within_s + 10
FIVE_TRIES = [(at, "Update") for at in (0, 0.5, 1.5, 3.5, 7.5)]
SEVEN_TRIES = [*FIVE_TRIES, (15.5, "Update"), (23.5, "Update")]
TIMELINES: dict[str, tuple[Errors, list[tuple[float, Happens]], list[tuple[float, str]]]] = {
    "text and end": (fail_once(), [(1, append), (2, finish)], [(1, "Update"), (2, "Update")]),
    "activity": (fail_once(), [(5, lambda _, reply: reply.show_activity("Searching…"))], [(5, "Update")]),
    "refused": (
        fails_for(20, TRANSIENT),
        [(0, append), (0, finish)],
        SEVEN_TRIES,
    ),
    "the end waits for no next try": (
        fails_for(17, TRANSIENT),
        [(0, append), (17, finish)],
        [*SEVEN_TRIES[:-1], (17, "Update")],
    ),
    "waits start over": (
        fail_once(TRANSIENT, TRANSIENT, TRANSIENT, None, TRANSIENT),
        [(0, append), (20, finish)],
        [*FIVE_TRIES[:4], (20, "Update"), (20.5, "Update")],
    ),
    "long rate limit": (fail_once(), [(0, limit("update", LONG_S)), (0, append)], [(LONG_S, "Update")]),
    "end behind a long rate limit": (
        fail_once(),
        [(0, limit("update", LONG_S)), (0, limit("postMessage", LONG_S)), (0, append), (0, finish)],
        [],
    ),
    "end and spent edits": (
        fail_once(),
        [(0, append), (1, limit("update", 30)), (1, finish)],
        [(0, "Update"), (1, "Post"), (1, "Delete")],
    ),
    "end and edits that come back soon": (
        fail_once(),
        [(0, append), (1, limit("update", FINAL_WAIT_S - 0.1)), (1, finish)],
        [(0, "Update"), (0.9 + FINAL_WAIT_S, "Update")],
    ),
    "end and edits that are put off again and again": (
        fail_once(),
        [(0, append), (5, finish), *((5 + 1.3 * number, limit("update", 1.4)) for number in range(5))],
        [(0, "Update"), (6.4, "Post"), (6.4, "Delete")],
    ),
    "end, and posts that come back later than edits": (
        fail_once(),
        [(0, limit("update", 5)), (0, limit("postMessage", 20)), (0, append), (0, finish)],
        [(5, "Update")],
    ),
    "end, and posts that come back sooner than edits": (
        fail_once(),
        [(0, limit("update", 30)), (0, limit("postMessage", 3)), (0, append), (0, finish)],
        [(3, "Post"), (3, "Delete")],
    ),
}


@pytest.mark.parametrize(("error_of", "events", "calls"), TIMELINES.values(), ids=TIMELINES)
def test_calls_of_one_reply_leave_in_time(
    error_of: Errors, events: list[tuple[float, Happens]], calls: list[tuple[float, str]]
) -> None:
    async def run() -> list[tuple[float, str]]:
        async with scheduling(SimulatedTransport(latency_s=0.0, error_of=error_of)) as schedule:
            reply, kept = await schedule.open(1, page_ts=("50.0",)), []
            for at, happens in events:
                await asyncio.sleep(at - asyncio.get_running_loop().time())
                kept.append(happens(schedule, reply))
            await asyncio.sleep(LONG_S + 10)
            is_unshown = finish in (happens for _, happens in events) and not calls
            assert (reply.reply.is_unshown, reply.reply.outbox_kind is not None) == (is_unshown, is_unshown)
            return [(round(sent.at, 2), type(sent.call).__name__) for sent in schedule.transport.sent]

    assert run_simulated(run()) == [(round(at, 2), kind) for at, kind in calls]


@simulated
async def test_continued_answer_begins_with_its_text_so_far_and_its_placeholder_waits_for_its_record() -> None:
    async with scheduling() as schedule:
        schedule.records.delay_s = 2.0
        reply = await schedule.scheduler.open(Answer(replace(job_of(1), continued_text="One two\n\n")))
        reply.append("three.")
        await reply.finish(End(EndReason.WHOLE))
    [sent] = schedule.transport.sent
    assert isinstance(sent.call, Post)
    assert (sent.at, sent.call.view.markdown) == (4.0, "One two\n\nthree.")
    assert (reply.successful_calls, reply.reply.outbox_kind, schedule.transport.cleaned_up) == (1, None, [1])


@pytest.mark.parametrize("unforeseen", [None, "no outcome"], ids=["refused", "unforeseen"])
@simulated
async def test_call_that_never_ends_counts_as_refused_and_an_unknown_outcome_gives_the_reply_up(
    unforeseen: Any,
) -> None:
    def on_refusal(outcome: Outcome) -> Outcome:
        transport.latency_s = 0.0
        return unforeseen or outcome

    transport = SimulatedTransport(latency_s=math.inf, on_refusal=on_refusal)
    async with scheduling(transport) as schedule:
        reply = await schedule.open(1, page_ts=("1.0",))
        reply.append("Hello.")
        await asyncio.sleep(CALL_TIMEOUT_S - 1)
        await reply.finish(End(EndReason.WHOLE))
    assert transport.refused == [(transport.sent[0].call, Refusal.TRANSIENT)]
    again = [] if unforeseen else [pytest.approx(CALL_TIMEOUT_S + REPLY_CALLS.backoff.first_s)]
    assert schedule.times(Update) == [0, *again]
    assert reply.reply.is_unshown is (unforeseen is not None)


@simulated
async def test_late_messages_that_cannot_be_deleted_yet_are_left_for_the_outbox() -> None:
    async with scheduling(SimulatedTransport(is_clean=False, error_of=fails_for(0.2, TRANSIENT, Post))) as schedule:
        reply = await schedule.open(1)
        reply.append("Hello.")
        await reply.finish(End(EndReason.WHOLE))
    assert reply.reply.outbox_kind is OutboxKind.REPLY
    assert POSTING in reply.reply.recorded_messages


@simulated
async def test_reply_that_has_ended_holds_no_room_in_the_budget() -> None:
    async with scheduling() as schedule:
        replies = [await schedule.open(number) for number in (1, 2)]
        await replies[0].finish(End(EndReason.WHOLE))
        assert schedule.budget.carrier_room("chat.update", None).live_replies == 1


@simulated
async def test_text_that_cannot_be_laid_out_ends_its_own_reply() -> None:
    def fail() -> None:
        raise ValueError("unforeseen")

    async with scheduling() as schedule:
        broken, other = [await schedule.open(number) for number in (1, 2)]
        broken.reply.next_call = fail  # type: ignore[method-assign]
        for reply in (broken, other):
            async with asyncio.timeout(10):
                await reply.finish(End(EndReason.WHOLE))
    assert [broken.reply.is_unshown, other.reply.is_unshown] == [True, False]


@pytest.mark.parametrize("name", ["next_call", "finish", "_complete_pages", "with_current_text", "prepare_next_call"])
@simulated
async def test_text_that_takes_too_long_to_lay_out_gives_way_to_a_sentence(name: str) -> None:
    async with scheduling() as schedule:
        stuck, other = [await schedule.open(number) for number in (1, 2)]
        owner = stuck.reply.carriers if name == "with_current_text" else stuck.reply
        lay_out = getattr(owner, name)

        def lay_out_slowly(*arguments: object) -> object:
            if stuck.reply.text:
                raise Stuck
            return lay_out(*arguments)

        setattr(owner, name, lay_out_slowly)
        for reply in (stuck, other):
            reply.append("Some words.")
            async with asyncio.timeout(10):
                await reply.finish(End(EndReason.WHOLE))
    for reply, shown in ((stuck, ("", texts.answers.STUCK)), (other, ("Some words.", ""))):
        assert reply.reply.life is Life.SHOWN
        view = reply.reply.messages[0].shown
        assert isinstance(view, PageView)
        assert (view.markdown, view.end and view.end.notice) == shown


@simulated
async def test_first_edit_waits_a_bounded_time_for_a_word() -> None:
    async with scheduling(SimulatedTransport(latency_s=0.0)) as schedule:
        reply = await schedule.open(1)
        await asyncio.sleep(1)
        reply.append("```")
        await asyncio.sleep(5)
        assert schedule.times(Update) == [pytest.approx(1 + MAX_WORDLESS_S, abs=2 * RECHECK_DELAY_S)]
        assert reply.freshness.first_word_delay_s is None
        reply.append("\ncode")
        await asyncio.sleep(5)
        await reply.finish(End(EndReason.WHOLE))
    assert reply.freshness.first_word_delay_s == pytest.approx(0.0, abs=RECHECK_DELAY_S)


@simulated
async def test_later_page_waits_again_for_its_first_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Reply, "page_chars", 50)
    async with scheduling(SimulatedTransport(latency_s=0.0)) as schedule:
        reply = await schedule.open(1)
        await asyncio.sleep(1)
        for text in ("```", "\ncode\n```\n\n" + "word " * 6, "\n\n---------"):
            reply.append(text)
            await asyncio.sleep(5)
        await reply.abandon()
    assert schedule.times(Post) == [0, pytest.approx(11 + MAX_WORDLESS_S, abs=2 * RECHECK_DELAY_S)]


@simulated
async def test_edit_carries_the_newest_text() -> None:
    async with scheduling(SimulatedTransport(latency_s=2.0)) as schedule:
        reply = await schedule.open(1)
        for number in range(30):
            reply.append(f"w{number} ")
            await asyncio.sleep(0.1)
        await reply.finish(End(EndReason.WHOLE))
    markdown = [sent.call.view.markdown for sent in schedule.transport.sent if isinstance(sent.call, Update)]
    assert len(markdown) == 2
    assert markdown[0].split()[-1] in ("w19", "w20")
    assert markdown[1].split()[-1] == "w29"


@simulated
async def test_finals_go_before_first_words_and_first_words_before_progress() -> None:
    """After the next heartbeat, three calls may go at once. They leave by urgency, in the reverse order of opening."""
    async with scheduling(SimulatedTransport(latency_s=0.0), keep_lease=False) as schedule:
        growing = await schedule.open(1)
        growing.append("a")
        await asyncio.sleep(0.5)
        ending = await schedule.open(3, page_ts=("30.0",))
        ending.append("d")
        await asyncio.sleep(LEASE_S + 1)
        first = await schedule.open(2, page_ts=("20.0",))
        growing.append("b")
        first.append("c")
        finishing = asyncio.create_task(ending.finish(End(EndReason.WHOLE)))
        await asyncio.sleep(30)
        schedule.transport.sent.clear()
        schedule.lease.renew(asyncio.get_running_loop().time())
        await asyncio.sleep(1)
        await finishing
    assert schedule.calls() == [(3, "Update"), (2, "Update"), (1, "Update")]
    assert len(set(schedule.times(Update))) == 1


@simulated
async def test_reply_whose_last_call_is_longest_ago_comes_first_among_equals() -> None:
    async with scheduling(SimulatedTransport(latency_s=0.0)) as schedule:
        replies = [await schedule.open(number) for number in (1, 2, 3)]
        for number in (2, 0, 1):
            await asyncio.sleep(3)
            replies[number].append("begun")
        await asyncio.sleep(10)
        schedule.transport.sent.clear()
        schedule.budget.on_rate_limit("chat.update", 2.0)
        for reply in replies:
            reply.append(" and more")
        await asyncio.sleep(200)
    assert [job_id for job_id, _ in schedule.calls()] == [3, 1, 2]


@simulated
async def test_calls_of_a_method_in_flight_are_limited_and_an_error_makes_room() -> None:
    """A call that raised an unexpected exception must not count as in flight forever."""
    transport = SimulatedTransport(latency_s=3.0, error_of=fails_for(10, ValueError("unforeseen"), Post))
    async with scheduling(transport) as schedule:
        for number in range(MAX_IN_FLIGHT + 2):
            await schedule.open(number, channel_id=f"C{number}")
        await asyncio.sleep(2.9)
        assert len(schedule.transport.sent) == MAX_IN_FLIGHT
        await asyncio.sleep(100)
    assert {job_id for job_id, _ in schedule.records.pages} == set(range(MAX_IN_FLIGHT + 2))
    assert {(type(call), reason) for call, reason in transport.refused} == {(Post, Refusal.UNKNOWN)}


@pytest.mark.wide
@simulated
async def test_unexpected_error_gives_the_budgets_call_back_after_a_minute() -> None:
    transport = SimulatedTransport(latency_s=0.0, error_of=fails_for(5, ValueError("unforeseen")))
    async with scheduling(transport) as schedule:
        replies = [await schedule.open(number, page_ts=(f"{number}.0",)) for number in range(40)]
        for reply in replies:
            reply.append("Hello.")
        await asyncio.gather(*(reply.finish(End(EndReason.WHOLE)) for reply in replies))
        await asyncio.sleep(65)
        now = asyncio.get_running_loop().time()
        assert schedule.budget.final_at("chat.update", now, CALLS_PER_MINUTE["chat.update"] - 1) == now


@simulated
async def test_reply_that_waits_for_its_next_try_delays_no_other() -> None:
    def error_of(call: Call) -> Refused | None:
        return TRANSIENT if call.question.ts == "1.0" else None

    async with scheduling(SimulatedTransport(latency_s=0.0, error_of=error_of)) as schedule:
        refused = await schedule.open(1, page_ts=("1.0",))
        refused.append("Hello.")
        await asyncio.sleep(10)
        other = await schedule.open(2)
        other.append("Hello.")
        async with asyncio.timeout(1):
            await other.finish(End(EndReason.WHOLE))
        await refused.abandon()


@pytest.mark.parametrize(
    ("error_of", "wait_s"),
    [
        (lambda call: TRANSIENT, REPLY_CALLS.backoff.max_s),
        (lambda call: RateLimited(METHODS[type(call)], 20.0), 20.0),
    ],
    ids=["refuses", "limits"],
)
@simulated
async def test_reply_that_slack_refuses_or_limits_for_minutes_is_given_up(error_of: Errors, wait_s: float) -> None:
    async with scheduling(SimulatedTransport(latency_s=0.0, error_of=error_of)) as schedule:
        reply = await schedule.open(1)
        reply.append("Hello.")
        await reply.finish(End(EndReason.WHOLE))
    assert reply.reply.is_unshown
    times = [sent.at for sent in schedule.transport.sent]
    assert REPLY_CALLS.within_s <= times[-1] - times[0] <= REPLY_CALLS.within_s + wait_s
    assert schedule.transport.cleaned_up == []


@simulated
async def test_log_lines_of_a_reply_have_its_job_whichever_job_woke_the_scheduler(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuses(call: Call) -> Refused:
        return Refused("chat.postMessage", f"fatal_error_of_{call.question.ts}", Refusal.TRANSIENT)

    caplog.handler.setFormatter(PrivateFormatter("%(message)s"))
    async with scheduling(SimulatedTransport(error_of=refuses)) as schedule:
        replies = []
        for job_id in (1, 2):
            with of_job(job_id):
                replies.append(await schedule.open(job_id))
        await asyncio.gather(*(reply.finish(End(EndReason.WHOLE)) for reply in replies))
    lines = caplog.text.splitlines()
    assert {line.partition(": ")[0] for line in lines if "Slack doesn't accept" in line} == {"job 1", "job 2"}
    assert all("fatal_error_of_1.0" in line for line in lines if line.startswith("job 1: ") and "fatal" in line)
    assert all("fatal_error_of_2.0" in line for line in lines if line.startswith("job 2: ") and "fatal" in line)
    assert all(re.match("job [12]: ", line) for line in lines)


@simulated
async def test_rate_limit_delays_all_replies() -> None:
    transport = SimulatedTransport(latency_s=0.0, error_of=fails_for(1, RateLimited("chat.update", 20.0)))
    async with scheduling(transport) as schedule:
        replies = [await schedule.open(number, page_ts=(f"{number}.0",)) for number in (1, 2)]
        replies[0].append("Hello.")
        await asyncio.sleep(5)
        replies[1].append("Hello.")
        await asyncio.sleep(20)
        assert schedule.times(Update)[0] == 0
        assert min(schedule.times(Update)[1:]) >= 20
        await asyncio.gather(*(reply.finish(End(EndReason.WHOLE)) for reply in replies))
    assert [reply.reply.is_unshown for reply in replies] == [False, False]


@simulated
async def test_rate_limit_of_a_search_for_a_lost_post_holds_back_no_other_reply() -> None:
    errors = iter([RateLimited("conversations.replies", 20.0)])
    async with scheduling(SimulatedTransport(error_of=lambda call: next(errors, None))) as schedule:
        replies = [await schedule.open(number, page_ts=(f"{number}.0",)) for number in (1, 2)]
        for reply in replies:
            reply.append("Hello.")
        await asyncio.sleep(2)
    assert schedule.calls() == [(1, "Update"), (2, "Update"), (1, "Update")]


SIX_PAGES = "".join(f"Line {number} of a long answer.\n" for number in range(2_300))


@simulated
async def test_page_after_a_file_that_slack_limits_for_minutes_has_tries_of_its_own() -> None:
    transport = SimulatedTransport()

    def error_of(call: Call) -> RateLimited | Refused | None:
        if isinstance(call, Upload):
            return RateLimited(METHODS[Upload], 20.0)
        before = [sent.call for sent in transport.sent[:-1]]
        return TRANSIENT if before and isinstance(before[-1], Upload) else None

    transport.error_of = error_of
    async with scheduling(transport) as schedule:
        reply = await schedule.open(1)
        reply.append(SIX_PAGES)
        await reply.finish(End(EndReason.WHOLE))
    assert len(reply.reply.page_ts) == 6
    assert not reply.reply.is_unshown


@simulated
async def test_end_whose_edit_goes_to_another_reply_is_posted_at_once() -> None:
    async with scheduling(SimulatedTransport(latency_s=0.0)) as schedule:
        replies = [await schedule.open(number, page_ts=(f"{number}.0",)) for number in (1, 2)]
        for sent_at, calls in ((0, 1), (30, CALLS_PER_MINUTE["chat.update"] - 1)):
            await asyncio.sleep(sent_at)
            schedule.use("chat.update", calls)
        await asyncio.sleep(29)
        await asyncio.gather(*(reply.finish(End(EndReason.WHOLE, sentence_notice("Cut."))) for reply in replies))
    assert schedule.times(Post) == [59]
    assert schedule.times(Update) == [pytest.approx(60, abs=0.1)]


@simulated
async def test_ends_that_come_together_share_the_edits_and_the_posts_that_are_left() -> None:
    """The edits that are left, or soon come back, are used; the rest is posted at once."""
    async with scheduling(SimulatedTransport(latency_s=0.1)) as schedule:
        schedule.use("chat.update", 40)
        replies = [await schedule.open(number, page_ts=(f"{number}.0",)) for number in range(18)]
        await asyncio.sleep(30)
        for reply in replies:
            reply.append("Hello.")
        await asyncio.gather(*(reply.finish(End(EndReason.WHOLE)) for reply in replies))
    assert max(schedule.times(Update) + schedule.times(Post)) <= 30 + 2
    made = {call.__name__: len(schedule.times(call)) for call in (Update, Post, Delete)}
    assert made == {"Update": 10, "Post": 8, "Delete": 8}
    assert not any(reply.reply.is_unshown for reply in replies)


@simulated
async def test_channel_gets_no_more_than_a_burst_of_posts_and_then_one_a_second() -> None:
    async with scheduling(SimulatedTransport(latency_s=0.1)) as schedule:
        for number in range(POST_BURST + 5):
            await schedule.open(number)
        await asyncio.sleep(20)
    times = schedule.times(Post)
    assert times[POST_BURST - 1] < 1
    assert [round(at) for at in times[POST_BURST:]] == [1, 2, 3, 4, 5]


async def prepared_slowly(slow: Callable[[SimulatedTransport, LoneLedger], None]) -> dict[str, int]:
    """Lets the lease expire before an edit; returns how many edits left, reached Slack and are in flight."""
    transport, ledger = SimulatedTransport(latency_s=0.0), LoneLedger()
    async with scheduling(transport, ledger=ledger, keep_lease=False) as schedule:
        reply = await schedule.open(1, page_ts=("1.0",))
        slow(transport, ledger)
        reply.append("Hello.")
        await asyncio.sleep(LEASE_S + 10)
        edits = len(schedule.times(Update))
        in_flight = list(schedule.scheduler._in_flight.values()).count("chat.update")
        return {"left": transport.withheld + edits, "reached Slack": edits, "in flight": in_flight}


@pytest.mark.parametrize(
    ("slow", "left_calls"),
    [
        (lambda transport, ledger: setattr(ledger, "delay_s", LEASE_S + 1), 0),
        (lambda transport, ledger: setattr(transport, "connecting_s", LEASE_S + 1), 1),
    ],
    ids=["the database", "the connection"],
)
def test_lease_that_expires_before_a_call_leaves_withholds_it(
    slow: Callable[[SimulatedTransport, LoneLedger], None], left_calls: int
) -> None:
    assert run_simulated(prepared_slowly(slow)) == {"left": left_calls, "reached Slack": 0, "in flight": 0}


@simulated
async def test_withheld_calls_use_no_budget() -> None:
    """Another process takes over again and again. Once it stops, every call of the minute is available."""
    async with scheduling(SimulatedTransport(latency_s=0.0)) as schedule:
        schedule.ledger.delay_s = 0.5
        for number in range(60):
            reply = await schedule.open(number, page_ts=(f"{number}.0",))
            reply.append("Hello.")
            await asyncio.sleep(0.1)
            schedule.scheduler.abandon(number)
            await reply.abandon()
        schedule.ledger.delay_s = 0.0
        assert schedule.times(Update) == []
        now = asyncio.get_running_loop().time()
        free_at = [schedule.budget.ready_at("chat.update", now, Urgency.FINAL, "a")]
        for _ in range(CALLS_PER_MINUTE["chat.update"] - 1):
            schedule.budget.on_send("chat.update", now, "a")
            free_at.append(schedule.budget.ready_at("chat.update", now, Urgency.FINAL, "a"))
    assert set(free_at) == {now}


@simulated
async def test_nothing_is_sent_without_a_lease_and_everything_after_the_next_heartbeat() -> None:
    async with scheduling(keep_lease=False) as schedule:
        await asyncio.sleep(LEASE_S)
        reply = await schedule.open(1)
        await asyncio.sleep(20)
        assert schedule.calls() == []
        schedule.lease.renew(asyncio.get_running_loop().time())
        await asyncio.sleep(1)
        assert schedule.calls() == [(1, "Post")]
        await reply.abandon()


@simulated
async def test_reply_is_left_at_once_without_a_lease() -> None:
    async with scheduling(keep_lease=False) as schedule:
        reply = await schedule.open(1)
        await asyncio.sleep(LEASE_S + 1)
        async with asyncio.timeout(0.01):
            await reply.abandon()


@simulated
async def test_abandoned_reply_is_over_at_once_and_others_go_on() -> None:
    async with scheduling() as schedule:
        abandoned, other = [await schedule.open(number) for number in (1, 2)]
        await asyncio.sleep(1)
        schedule.scheduler.abandon(1)
        assert abandoned.reply.life.is_over
        assert abandoned.idle.is_set()
        await other.finish(End(EndReason.WHOLE))
    assert not other.reply.is_unshown
    assert schedule.calls()[2:] == [(2, "Update")]


@simulated
async def test_abandoned_reply_sends_nothing_even_if_a_call_was_about_to_leave() -> None:
    async with scheduling(SimulatedTransport(connecting_s=1.0)) as schedule:
        reply = await schedule.open(1)
        await asyncio.sleep(0.5)
        schedule.scheduler.abandon(1)
        await reply.abandon()
    assert schedule.calls() == []
    assert schedule.transport.withheld == 1


@simulated
async def test_text_is_recorded_before_slack_shows_it() -> None:
    async with scheduling(SimulatedTransport(latency_s=0.0)) as schedule:
        schedule.records.delay_s = 0.5
        reply = await schedule.open(1, page_ts=("1.0",))
        reply.append("Hello.")
        await asyncio.sleep(0.4)
        assert schedule.calls() == []
        await reply.finish(End(EndReason.WHOLE))
        assert reply.reply.answer.piece_to_record() is None, "it is recorded once"
    assert schedule.records.texts == {1: "Hello."}
    assert schedule.times(Update)[0] == pytest.approx(0.5)


@simulated
async def test_reply_is_left_alone_once_another_worker_has_its_job() -> None:
    async with scheduling(SimulatedTransport(latency_s=0.0)) as schedule:
        reply = await schedule.open(1, page_ts=("1.0",))
        reply.append("Hello.")
        await asyncio.sleep(5)
        before = schedule.calls()
        schedule.records.lost.add(1)
        reply.append(" More.")
        await reply.finish(End(EndReason.WHOLE))
    assert schedule.calls() == before == [(1, "Update")]


@simulated
async def test_answers_pause_while_the_database_is_away_and_go_on_after_it() -> None:
    async with scheduling(SimulatedTransport(latency_s=0.0)) as schedule:
        first, second = [await schedule.open(number, page_ts=(f"{number}.0",)) for number in (1, 2)]
        first.append("Hello.")
        second.append("Hello.")
        await asyncio.sleep(5)
        schedule.records.is_away = True
        before = schedule.calls()
        first.append(" More.")
        await asyncio.sleep(20)
        second.append(" More.")
        await schedule.open(3)
        await asyncio.sleep(20)
        assert schedule.calls() == before
        schedule.records.is_away = False
        async with asyncio.timeout(2 * STORE_RETRY_DELAY_S):
            await asyncio.gather(first.finish(End(EndReason.WHOLE)), second.finish(End(EndReason.WHOLE)))
    assert schedule.records.texts == {1: "Hello. More.", 2: "Hello. More."}
    assert schedule.records.asked_while_away < 50, "one answer asks for all"


@simulated
async def test_messages_of_a_reply_are_recorded_once_per_change() -> None:
    async with scheduling() as schedule:
        reply = await schedule.open(1)
        reply.append("Hello.")
        await asyncio.sleep(5)
        reply.append(" More.")
        await reply.finish(End(EndReason.WHOLE))
    assert schedule.records.pages == [(1, ("1.0",))]
    assert schedule.records.writes == 2, "before the post and after it"


@simulated
async def test_other_replies_wait_for_no_record_of_messages() -> None:
    async with scheduling(SimulatedTransport(latency_s=1.0)) as schedule:
        schedule.records.pages_delay_s = 5.0
        for number in range(MAX_IN_FLIGHT + 1):
            await schedule.open(number, channel_id=f"C{number}")
        await asyncio.sleep(2)
        assert schedule.times(Post) == [0] * MAX_IN_FLIGHT + [1]


@simulated
async def test_messages_of_a_recovered_reply_are_known_and_not_recorded_again() -> None:
    async with scheduling() as schedule:
        reply = await schedule.open(1, page_ts=("1.0",))
        assert reply.reply.initial == VisibleReply(("1.0",))
        reply.append("Hello.")
        await reply.finish(End(EndReason.WHOLE))
    assert schedule.calls() == [(1, "Update")]
    assert schedule.records.pages == []


@pytest.mark.parametrize("step_s", [0.05, 0.3, 0.7, 0.9, 1.3])
def test_edits_of_quick_steps_are_at_least_a_second_apart(step_s: float) -> None:
    async def times() -> list[float]:
        async with scheduling(SimulatedTransport(latency_s=0.01)) as schedule:
            reply = await schedule.open(1, page_ts=("1.0",))
            for number in range(round(15 / step_s)):
                reply.append(f"Step {number}. ")
                reply.show_activity("Running notes.list…")
                await asyncio.sleep(step_s / 4)
                reply.show_activity("")
                await asyncio.sleep(step_s * 3 / 4)
            await reply.abandon()
            return schedule.times(Update)

    _, *after_first_words = run_simulated(times())
    assert len(after_first_words) >= 8
    assert min(after - before for before, after in itertools.pairwise(after_first_words)) >= STEP_GAP_S - 1e-6


@simulated
async def test_calls_name_their_question_and_the_answers_version() -> None:
    async with scheduling() as schedule:
        answered = Job(1, Question(ThreadKey("T1", "C1", "1.0"), "1.0", "U1", "why?"), 1, version=3)
        reply = await schedule.scheduler.open(Answer(answered))
        await reply.finish(End(EndReason.WHOLE))
        queued = Job(2, Question(ThreadKey("T1", "C1", "1.0"), "2.0", "U2", "and then?"), 0, version=2)
        await schedule.scheduler.post_placeholder(queued)
    posts = [sent.call for sent in schedule.transport.sent if isinstance(sent.call, Post)]
    assert [(post.question, post.view.version, post.view.queued) for post in posts] == [
        (answered.question, 3, False),
        (queued.question, 2, True),
    ]


@simulated
async def test_message_of_an_earlier_version_becomes_the_placeholder_while_the_question_is_queued_again() -> None:
    job = Job(1, Question(ThreadKey("T1", "C1", "1.0"), "1.0", "U1", "why?"), 0, recorded_pages("5.0"), version=1)
    async with scheduling() as schedule:
        await schedule.scheduler.post_placeholder(job)
    [sent] = schedule.transport.sent
    assert isinstance(sent.call, Update)
    assert (sent.call.ts, sent.call.view.queued) == ("5.0", True)
    assert schedule.records.pages == [(1, ("5.0",))]


@simulated
async def test_placeholder_that_is_shown_in_a_message_on_record_is_recorded() -> None:
    async with scheduling() as schedule:
        await schedule.scheduler.post_placeholder(job_of(1, ("50.0",)))
    assert schedule.records.writes == 1, "the job waits for that"


@simulated
async def test_post_that_slack_limited_is_not_looked_for() -> None:
    limited = RateLimited("chat.postMessage", 2.0)
    async with scheduling(SimulatedTransport(error_of=fails_for(1, limited, Post))) as schedule:
        reply = await schedule.open(1)
        await asyncio.sleep(1)
        assert schedule.calls() == [(1, "Post")]
        assert reply.reply.recorded_messages == ()


@simulated
async def test_post_is_on_record_before_it_leaves_and_until_it_is_answered() -> None:
    async with scheduling(SimulatedTransport(latency_s=1.0)) as schedule:
        await schedule.open(1)
        await asyncio.sleep(0.5)
        assert (schedule.calls(), schedule.records.messages[1]) == ([(1, "Post")], (POSTING,))
        await asyncio.sleep(1)
        assert schedule.records.messages[1] == recorded_pages("1.0")


@simulated
async def test_post_whose_answer_was_lost_stays_on_record_until_it_was_looked_for_at_the_end() -> None:
    async with scheduling(SimulatedTransport(error_of=fails_for(0.2, TRANSIENT, Post))) as schedule:
        reply = await schedule.open(1)
        await asyncio.sleep(5)
        assert schedule.records.messages[1] == (*recorded_pages("2.0"), POSTING)
        reply.append("Hello.")
        await reply.finish(End(EndReason.WHOLE))
        assert reply.reply.recorded_messages == recorded_pages("2.0")


@simulated
async def test_placeholder_of_a_queued_question_waits_for_no_record() -> None:
    async with scheduling() as schedule:
        schedule.records.delay_s = 100.0
        await schedule.scheduler.post_placeholder(job_of(1))
        assert schedule.times(Post) == [0]


@simulated
async def test_placeholder_of_a_queued_question_waits_for_its_budget_and_holds_its_job_only_while_it_is_posted() -> (
    None
):
    async with scheduling() as schedule:
        schedule.budget.on_rate_limit("chat.postMessage", 200.0, "C1")
        await schedule.scheduler.post_placeholder(job_of(1))
        assert schedule.times(Post) == [pytest.approx(200.0)]
        assert schedule.records.begun_at == schedule.times(Post)
        assert schedule.records.pages == [(1, ("1.0",))]


@simulated
async def test_answers_go_before_placeholders_of_queued_questions() -> None:
    async with scheduling() as schedule:
        schedule.budget.on_rate_limit("chat.postMessage", 30.0, "C1")
        queued = [asyncio.create_task(schedule.scheduler.post_placeholder(job_of(number))) for number in (1, 2)]
        await asyncio.sleep(1)
        await schedule.open(3)
        await asyncio.gather(*queued)
    assert schedule.calls() == [(3, "Post"), (1, "Post"), (2, "Post")]


@pytest.mark.parametrize("ends", ["claimed", "canceled"])
@simulated
async def test_placeholder_of_a_question_that_is_not_queued_any_more_is_not_posted(ends: str) -> None:
    async with scheduling() as schedule:
        schedule.budget.on_rate_limit("chat.postMessage", 30.0, "C1")
        posting = asyncio.create_task(schedule.scheduler.post_placeholder(job_of(1)))
        await asyncio.sleep(1)
        if ends == "claimed":
            schedule.records.lost.add(1)
        else:
            posting.cancel()
        await asyncio.wait((posting,), timeout=31)
        assert posting.done()
    assert (schedule.calls(), schedule.records.pages) == ([], [])


@simulated
async def test_placeholder_that_was_begun_too_long_ago_is_withheld_and_begun_again() -> None:
    async with scheduling() as schedule:
        schedule.records.begins_s = PLACEHOLDER_TIMEOUT_S + 1
        posting = asyncio.create_task(schedule.scheduler.post_placeholder(job_of(1)))
        await asyncio.sleep(schedule.records.begins_s + 0.5)
        schedule.records.begins_s = 0.0
        assert schedule.calls() == []
        schedule.records.is_away = True
        await asyncio.sleep(30)
        schedule.records.is_away = False
        await asyncio.wait_for(posting, 30)
        assert schedule.calls() == [(1, "Post")]
    assert schedule.records.asked_while_away <= 30 / STORE_RETRY_DELAY_S + 1


@simulated
async def test_call_in_flight_at_the_end_may_end_and_is_recorded() -> None:
    async with scheduling(SimulatedTransport(latency_s=LAST_CALLS_S / 2)) as schedule:
        await schedule.open(1)
        await asyncio.sleep(LAST_CALLS_S / 4)
    assert schedule.records.pages == [(1, ("1.0",))]


@simulated
async def test_reply_with_an_unanswered_call_is_left_once_the_scheduler_ends() -> None:
    async with scheduling(SimulatedTransport(latency_s=math.inf)) as schedule:
        reply = await schedule.open(1)
        await asyncio.sleep(1)
        leaving = asyncio.create_task(reply.abandon())
        await asyncio.sleep(1)
        assert not leaving.done(), "the call may still change the reply"
        ends_at = asyncio.get_running_loop().time()
    await asyncio.wait_for(leaving, 0.1)
    assert asyncio.get_running_loop().time() - ends_at == pytest.approx(LAST_CALLS_S)


@simulated
async def test_scheduler_has_ended_once_the_calls_that_it_cut_off_have_ended() -> None:
    async with scheduling(SimulatedTransport(latency_s=math.inf, closing_s=0.5)) as schedule:
        await schedule.open(1)
        await asyncio.sleep(1)
    assert schedule.transport.cut_off == 1


@pytest.mark.parametrize(
    ("sign", "others", "posts", "placeholder_s"),
    [
        pytest.param(Visibility.NONE, 9, 0, 0, id="nothing-else-says-that-it-began"),
        pytest.param(Visibility.REFUSED, 0, 0, 0, id="slack-takes-no-status"),
        pytest.param(Visibility.REFUSED, 9, 0, REFUSED_DELAY_S, id="edits-are-scarce-and-slack-takes-no-status"),
        pytest.param(Visibility.MAY_BE_SEEN, 0, 0, 0, id="edits-keep-it-fresh"),
        pytest.param(Visibility.MAY_BE_SEEN, 9, 0, SCARCE_DELAY_S, id="edits-are-scarce"),
        pytest.param(Visibility.MAY_BE_SEEN, 0, POST_BURST - 2, 0, id="its-channel-has-two-posts-left"),
        pytest.param(Visibility.MAY_BE_SEEN, 0, POST_BURST - 1, SCARCE_DELAY_S, id="its-channel-has-one-post-left"),
        pytest.param(Visibility.SEEN, 0, 0, PLACEHOLDER_DELAY_S, id="the-status-is-certain"),
    ],
)
@simulated
async def test_placeholder_waits_for_first_words_where_calls_are_scarce_and_a_status_may_be_seen(
    sign: Visibility, others: int, posts: int, placeholder_s: float
) -> None:
    async with scheduling(SimulatedTransport(latency_s=0.0)) as schedule:
        for job_id in range(2, 2 + others):
            await schedule.open(job_id, (f"{job_id}.1",))
        schedule.use("chat.postMessage", posts, "C1")
        began = asyncio.get_running_loop().time()
        await schedule.scheduler.open(Answer(job_of(1)), visibility=sign)
        await asyncio.sleep(placeholder_s + 0.1)
        assert [at - began for at in schedule.times(Post)] == [pytest.approx(placeholder_s)]


@simulated
async def test_words_that_an_earlier_attempt_left_without_a_message_are_posted_at_once() -> None:
    async with scheduling(SimulatedTransport(latency_s=0.0)) as schedule:
        job = replace(job_of(1), checkpoint=Checkpoint("The first half of it.\n" * 20))
        reply = await schedule.scheduler.open(Answer(job), visibility=Visibility.SEEN)
        await asyncio.sleep(0.1)
        assert schedule.calls() == [(1, "Post")]
        await reply.abandon()


@simulated
async def test_first_words_are_the_first_post_where_calls_are_scarce() -> None:
    async with scheduling(SimulatedTransport(latency_s=0.0)) as schedule:
        replies = [
            await schedule.scheduler.open(Answer(job_of(n)), visibility=Visibility.MAY_BE_SEEN) for n in range(1, 9)
        ]
        await asyncio.sleep(0.5)
        with_placeholder = len(schedule.calls())
        assert 2 <= with_placeholder <= 4, "edits keep the first answers fresh"
        for reply in replies:
            reply.append("Hello.")
        await asyncio.sleep(0.5)
        posted = {
            sent.job_id: sent.call.view.markdown for sent in schedule.transport.sent if isinstance(sent.call, Post)
        }
    assert posted == {n: "" if n <= with_placeholder else "Hello." for n in range(1, 9)}


@simulated
async def test_first_words_are_posted_in_the_order_of_asking() -> None:
    """A post that was refused keeps its place before the questions that came after it."""
    limited = RateLimited("chat.postMessage", 2.0)
    async with scheduling(SimulatedTransport(latency_s=0.0, error_of=fails_for(1, limited, Post))) as schedule:
        for job_id in (1, 2, 3):
            await schedule.open(job_id)
            await asyncio.sleep(0.5)
        await asyncio.sleep(3)
    assert schedule.calls() == [(1, "Post"), (1, "Post"), (2, "Post"), (3, "Post")]


@simulated
async def test_end_and_earlier_messages_wait_for_no_status_of_the_pane() -> None:
    async with scheduling(SimulatedTransport(latency_s=0.0)) as schedule:
        silent = await schedule.scheduler.open(Answer(job_of(1)), visibility=Visibility.SEEN)
        begun = await schedule.scheduler.open(Answer(job_of(2, ("2.0",))), visibility=Visibility.SEEN)
        begun.show_activity("Searching the web…")
        await silent.finish(End(EndReason.CUT, sentence_notice("Cut.")))
        await asyncio.sleep(5)
    assert schedule.calls() == [(1, "Post"), (2, "Update")]


@simulated
async def test_call_that_is_about_to_leave_at_a_replys_until_is_withheld() -> None:
    async with scheduling(SimulatedTransport(connecting_s=1.0)) as schedule:
        reply = await schedule.scheduler.open(Answer(job_of(1)), until=0.5)
        await reply.idle.wait()
    assert (schedule.calls(), schedule.transport.withheld) == ([], 1)


@simulated
async def test_nothing_is_sent_after_a_replys_until() -> None:
    question = Question(ThreadKey("T1", "D1", "1.0"), "1.0", "U1", "why?")
    async with scheduling() as schedule:
        await asyncio.sleep(10)
        schedule.budget.on_rate_limit("chat.postMessage", 30.0, "D1")
        async with asyncio.timeout(21):
            reply = await schedule.scheduler.open(Answer(Job(1, question, 0)), until=30.0)
            await reply.idle.wait()
        assert schedule.calls() == []
        other = await schedule.open(2)
        await other.finish(End(EndReason.WHOLE))
    assert {job_id for job_id, _ in schedule.calls()} == {2}


@simulated
async def test_earliest_of_several_waiting_calls_wakes_the_scheduler() -> None:
    """The first reply waits for its next try, the second one until the pane's status would vanish."""
    question = Question(ThreadKey("T1", "D1", "1.0"), "1.0", "U1", "why?")
    async with scheduling(SimulatedTransport(latency_s=0.0, error_of=fails_for(1, TRANSIENT))) as schedule:
        refused = await schedule.open(1, page_ts=("1.0",))
        await schedule.scheduler.open(Answer(Job(2, question, 1)), visibility=Visibility.SEEN)
        refused.append("Hello.")
        await asyncio.sleep(5)
        assert schedule.times(Update) == [0, pytest.approx(0.5), pytest.approx(1.5)]


@simulated
async def test_reply_whose_time_is_over_asks_nothing_and_holds_nobody_up() -> None:
    async with scheduling() as schedule:
        reply = await schedule.scheduler.open(Answer(job_of(1, ("1.1",))), until=1.0)
        await asyncio.sleep(2)
        for value in ("0.0.0.hash", "0.0.1.hash"):
            await reply.ask_for_decisions((ApprovalCard("notes.add", "{}", value),))
    assert schedule.calls() == []


@simulated
async def test_reply_that_asks_and_is_gone_asks_no_longer() -> None:
    gone = Refused("chat.update", "message_not_found", Refusal.MESSAGE_GONE)
    async with scheduling(SimulatedTransport(error_of=fails_for(math.inf, gone))) as schedule:
        reply = await schedule.open(1, page_ts=("1.0",))
        async with asyncio.timeout(1):
            await reply.ask_for_decisions((ApprovalCard("notes.add", "{}", "0.0.0.hash"),))
    assert reply.reply.is_gone


@simulated
async def test_one_long_delta_is_shown_whole() -> None:
    text = "|\n" * 50_000
    async with scheduling() as schedule:
        reply = await schedule.open(1)
        reply.append(text[:-1])
        reply.append(text[-1])
        await reply.finish(End(EndReason.WHOLE))
    uploads = [sent.call for sent in schedule.transport.sent if isinstance(sent.call, Upload)]
    assert [file.content.decode() for upload in uploads for file in upload.files] == [text]


@simulated
async def test_reply_that_waits_is_not_laid_out_again_for_each_call_and_word_of_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """200 replies of one process took a whole core for 65 s, and the database waited for its turn meanwhile."""
    looked: list[int] = []
    next_call = Reply.next_call

    def counted(reply: Reply) -> Call | None:
        looked.append(reply.job.id)
        return next_call(reply)

    monkeypatch.setattr(Reply, "next_call", counted)
    async with scheduling() as schedule:
        schedule.budget.on_rate_limit("chat.postMessage", 3.0, "C1")
        waiting = [await schedule.open(number) for number in range(1, 21)]
        for reply in waiting:
            reply.append("Hello")
        await asyncio.sleep(0.5)
        looked.clear()
        for second in range(20):
            await asyncio.sleep(0.1)
            for reply in waiting[:10]:
                reply.append(" again")
            waiting[0].show_activity(str(second))
        assert looked.count(20) < 20 / 2, "about once a second"
