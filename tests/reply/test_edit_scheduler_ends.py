"""How the edit scheduler shows the ends of answers that no edit can show at once: in simulated time."""

import asyncio
from collections.abc import Callable

import pytest

from bot.core.job import End, sentence_notice
from bot.core.surfaces import Visibility
from bot.errors import EndReason, RateLimited, Refusal, Refused
from bot.reply.answer import Answer
from bot.reply.carriers import METHODS
from bot.reply.edits import Post, Update
from bot.reply.messages import Call, Upload
from bot.retry import REPLY_CALLS
from slack_pacing import budget
from tests.reply.schedules import SimulatedTransport, job_of, scheduling
from tests.reply.simulated import simulated

TRANSIENT = Refused("chat.update", "fatal_error", Refusal.TRANSIENT)


def lines(count: int) -> str:
    """Returns an answer of so many lines. A page holds about 400."""
    return "".join(f"Line {number} of a long answer.\n" for number in range(count))


def at_update(number: int, happens: Callable[[], Refused | None]) -> Callable[[Call], Refused | None]:
    """Returns an `error_of` by which something happens while Slack does an edit with this number."""
    updates = 0

    def error_of(call: Call) -> Refused | None:
        nonlocal updates
        if not isinstance(call, Update):
            return None
        updates += 1
        return happens() if updates == number else None

    return error_of


@simulated
async def test_end_that_slack_refused_waits_for_the_budget_only_since_its_next_try() -> None:
    transport = SimulatedTransport(latency_s=0.0)
    async with scheduling(transport) as schedule:

        def refuse() -> Refused:
            schedule.budget.on_rate_limit("chat.update", 2.5)
            return TRANSIENT

        refusals = iter([lambda: TRANSIENT, lambda: TRANSIENT, refuse])
        transport.error_of = lambda call: next(refusals, lambda: None)()
        reply = await schedule.open(1, page_ts=("50.0",))
        ending = asyncio.create_task(reply.finish(End(EndReason.WHOLE, sentence_notice("Done."))))
        await asyncio.sleep(3.6)
        await schedule.open(2)
        await ending
    assert schedule.times(Post) == [3.6], "the other reply's"
    assert schedule.times(Update) == [0, 0.5, 1.5, 4.0]


@simulated
async def test_each_page_of_an_end_waits_for_its_own_edit() -> None:
    transport = SimulatedTransport()
    async with scheduling(transport) as schedule:
        transport.error_of = at_update(1, lambda: schedule.budget.on_rate_limit("chat.update", 1.4))
        reply = await schedule.open(1, page_ts=("1.0", "1.1"))
        schedule.budget.on_rate_limit("chat.update", 1.0)
        reply.append(lines(500))
        await reply.finish(End(EndReason.WHOLE))
    assert schedule.calls() == [(1, "Update")] * 2


@simulated
async def test_end_that_cannot_be_laid_out_as_a_new_message_ends_its_own_reply() -> None:
    def fail() -> None:
        raise ValueError("unforeseen")

    async with scheduling() as schedule:
        broken, other = [await schedule.open(number, page_ts=(f"5{number}.0",)) for number in (1, 2)]
        post_again = broken.reply.post_again

        def post_broken(page: int) -> None:
            post_again(page)
            broken.reply.next_call = fail  # type: ignore[method-assign]

        broken.reply.post_again = post_broken  # type: ignore[method-assign]
        schedule.budget.on_rate_limit("chat.update", 30.0)
        await asyncio.gather(
            *(reply.finish(End(EndReason.WHOLE, sentence_notice("Done."))) for reply in (broken, other))
        )
    assert [broken.reply.is_unshown, other.reply.is_unshown] == [True, False]


@simulated
async def test_pages_follow_at_once_if_the_file_below_them_would_come_too_late() -> None:
    def error_of(call: Call) -> RateLimited | None:
        return RateLimited(METHODS[Upload], REPLY_CALLS.within_s + 20.0) if isinstance(call, Upload) else None

    async with scheduling(SimulatedTransport(error_of=error_of)) as schedule:
        reply = await schedule.open(1)
        reply.append(lines(2_300))
        async with asyncio.timeout(30):
            await reply.finish(End(EndReason.WHOLE))
    assert len(schedule.times(Upload)) == 1
    assert len(reply.reply.page_ts) == 6
    assert not reply.reply.is_unshown
    assert schedule.times(Post)[-1] > schedule.times(Upload)[0]


@pytest.mark.parametrize(("asked", "begins", "most_messages"), [(8, True, 12), (20, False, 22)])
@simulated
async def test_answers_begin_late_where_calls_cannot_carry_all_first_words_and_ends(
    asked: int, begins: bool, most_messages: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tenth of Slack's budgets, and so many people within ten seconds. Each end is shown at once."""
    for method, calls in {"chat.update": 5, "chat.postMessage": 24, "chat.delete": 5}.items():
        monkeypatch.setitem(budget.CALLS_PER_MINUTE, method, calls)
    async with scheduling(carrier=None) as schedule:

        async def answer(number: int) -> tuple[float, float]:
            await asyncio.sleep(10 * number / asked)
            job = job_of(number, channel_id=f"C{number}")
            live = await schedule.scheduler.open(Answer(job), visibility=Visibility.MAY_BE_SEEN)
            for _ in range(150):
                await asyncio.sleep(0.1)
                live.append("words ")
            said_at = asyncio.get_running_loop().time()
            await live.finish(End(EndReason.WHOLE))
            of_job = [sent for sent in schedule.transport.sent if sent.job_id == number]
            return of_job[0].at - (said_at - 15.0), asyncio.get_running_loop().time() - said_at

        lags = await asyncio.gather(*map(answer, range(asked)))
        assert max(end_s for _, end_s in lags) < 1.0
        assert sum(first_s < 1.0 for first_s, _ in lags) >= (asked if begins else asked // 4)
        assert any(first_s > 14.0 for first_s, _ in lags) is not begins
        assert len(schedule.times(Post)) <= most_messages
