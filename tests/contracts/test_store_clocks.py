"""A wall clock that jumps, or differs from another machine's, delays and ends nothing that is stored."""

from dataclasses import dataclass

import pytest

from bot.clock import SystemClock
from bot.core.calls import APPROVAL_S
from bot.core.job import End
from bot.core.outbox import OUTBOX_HOLD_S
from bot.core.unposted import QuotedMessage
from bot.errors import EndReason
from bot.store.claim import PLACEHOLDER_HOLD_S
from tests.clocks import ManualClock
from tests.contracts.databases import Process
from tests.contracts.stores import SAID, STEPPED, asked, asking_step, begun, one, unclaimed

pytestmark = pytest.mark.is_postgresql

HOUR_S = 3600.0
ABOUT = QuotedMessage("C1", "1.0", "1.0", "quoted", "https://hooks.slack.com/1")


@dataclass
class JumpingClock(SystemClock):
    """A machine's clock: its wall clock is set by hand, and its monotonic time is not."""

    wall_s: float = 1_700_000_000.0
    monotonic_s: float = 500.0

    def now(self) -> float:
        return self.wall_s

    def monotonic(self) -> float:
        return self.monotonic_s

    def wait(self, delay_s: float) -> None:
        self.wall_s += delay_s
        self.monotonic_s += delay_s


JUMPS = pytest.mark.parametrize("jump_s", [-3 * HOUR_S, -HOUR_S / 2, 5 * 24 * HOUR_S])


@JUMPS
async def test_queued_question_is_claimed_on_time_while_the_clock_jumps(worker: Process, jump_s: float) -> None:
    clock = JumpingClock()
    store = await worker("w1", clock)
    taken = await store.question_queue.enqueue("Ev1", asked(1), full=True)
    assert taken
    assert await store.worker_queue.begin_placeholder(unclaimed(taken))
    clock.wall_s += jump_s
    clock.wait(PLACEHOLDER_HOLD_S - 1)
    assert await store.worker_queue.claim(1) == []
    clock.wait(2)
    assert await one(store)


@JUMPS
async def test_approval_and_outbox_keep_their_times_while_the_clock_jumps(worker: Process, jump_s: float) -> None:
    clock = JumpingClock()
    store = await worker("w1", clock)
    job = await begun(store)
    await store.recorded_calls.record_step(job, asking_step(), STEPPED, SAID)
    await store.recorded_calls.wait_for_decisions(job, None, store.clock.now() + 60, store.clock.now())
    clock.wall_s += jump_s
    clock.wait(59)
    assert await store.outbox.claim_due(10) == []
    clock.wait(2)
    assert len(await store.outbox.claim_due(10)) == 1
    assert await store.approvals.expire() == 0
    clock.wait(APPROVAL_S)
    assert await store.approvals.expire() == 1


async def test_what_was_due_before_the_clock_was_set_back_is_due_after_a_restart(
    process: Process, clock: ManualClock
) -> None:
    store = await process("w1", clock)
    job = await begun(store)
    await store.worker_queue.finish(job, End(EndReason.WHOLE), "Yes.", should_mention=True)
    assert len(await store.outbox.claim_due(1)) == 1, "held when the process died"
    await store.question_queue.enqueue("Ev2", asked(2), full=True)
    assert await store.notifications.claim("T1", "U1", "hint", 60)
    await store.close()
    clock.now_s -= 3 * HOUR_S
    store = await process("w2", clock)
    assert len(await store.outbox.claim_due(1)) == 1
    assert (await one(store)).question == asked(2)
    assert await store.notifications.claim("T1", "U1", "hint", 60)


async def test_clock_set_back_by_less_than_an_hour_delays_an_entry_by_that_and_repeats_none(
    process: Process, clock: ManualClock
) -> None:
    back_s = HOUR_S / 2
    store = await process("w1", clock)
    job = await begun(store)
    await store.worker_queue.finish(job, End(EndReason.WHOLE), "Yes.", should_mention=True)
    (held,) = await store.outbox.claim_due(1)
    await store.close()
    clock.now_s -= back_s
    store = await process("w2", clock)
    assert await store.outbox.claim_due(1) == [], "the other process may be at it"
    clock.now_s += back_s + OUTBOX_HOLD_S
    (entry,) = await store.outbox.claim_due(1)
    await store.outbox.complete(held)
    await store.outbox.complete(entry)
    clock.now_s += HOUR_S
    assert await store.outbox.claim_due(1) == []


async def test_processes_on_a_server_share_its_clock(on_server: Process) -> None:
    right = await on_server("w1")
    clock = JumpingClock()
    wrong = await on_server("w2", clock)
    assert abs(right.clock.now() - wrong.clock.now()) < 60
    await right.unposted_questions.ask("T1", "V1", "U1", ABOUT, "Why?")
    assert len(await right.outbox.claim_due(1)) == 1
    assert await wrong.outbox.claim_due(1) == [], "the other process is posting it"
    clock.wait(OUTBOX_HOLD_S + 60)
    assert len(await wrong.outbox.claim_due(1)) == 1
