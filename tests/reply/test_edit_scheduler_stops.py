"""The scheduler's loop ends when it is canceled, even if something else happens at the same moment."""

import asyncio

from bot.clock import SystemClock
from bot.core.conversation import Question, ThreadKey
from bot.core.job import Job, MessageRole
from bot.reply.answer import Answer
from bot.reply.delivery import MessageDelivery
from bot.reply.scheduler import EditScheduler
from slack_pacing.budget import CALLS_PER_MINUTE
from tests.slack.workspaces import connected_workspace

QUESTION = Question(ThreadKey("T1", "C1", None), "1.0", "U1", "?")


def _has_lost_post(scheduler: EditScheduler) -> bool:
    delivery = scheduler._live_replies[0].delivery
    assert isinstance(delivery, MessageDelivery)
    return MessageRole.POSTING in delivery.lost


async def test_cancellation_at_the_moment_of_a_change_is_not_lost() -> None:
    async with connected_workspace(SystemClock()) as (_, workspace):
        scheduler = workspace.scheduler
        # Without a valid lease nothing is sent, and the loop checks again regularly.
        waiting = asyncio.create_task(scheduler.post_placeholder(Job(1, QUESTION, 0)))
        for ticks in range(6):
            running = asyncio.create_task(scheduler.run())
            await asyncio.sleep(0.01)
            scheduler.on_changed(scheduler._live_replies[0])
            for _ in range(ticks):
                await asyncio.sleep(0)
            running.cancel()
            _, hanging = await asyncio.wait((running,), timeout=10)
            assert not hanging, f"canceled {ticks} ticks after the touch"
        waiting.cancel()


async def test_search_for_a_lost_post_does_not_keep_the_loop_running() -> None:
    clock = SystemClock()
    async with connected_workspace(clock) as (sandbox, workspace):
        scheduler = workspace.scheduler
        question_ts = await sandbox.say("ada", "general", "why?")
        for _ in range(CALLS_PER_MINUTE["conversations.replies"]):
            workspace.budget.on_send("conversations.replies", clock.monotonic(), None)
            workspace.budget.on_end("conversations.replies")
        sandbox.faults.start("lose_response", method="chat.postMessage", times=1)
        workspace.lease.renew(clock.monotonic())
        running = asyncio.create_task(scheduler.run())
        await scheduler.open(
            Answer(Job(1, Question(ThreadKey("T1", "C0GENERAL", question_ts), question_ts, "U1", "why?"), 1))
        )
        async with asyncio.timeout(10):
            while not (_has_lost_post(scheduler) and scheduler._in_flight):
                workspace.lease.renew(clock.monotonic())
                await asyncio.sleep(0.01)
        running.cancel()
        _, hanging = await asyncio.wait((running,), timeout=10)
        assert not hanging
