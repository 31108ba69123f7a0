"""The scheduler's loop ends when it is canceled, even if something else happens at the same moment."""

import asyncio
from pathlib import Path

from bot.clock import SystemClock
from bot.core.conversation import Question, ThreadKey
from bot.core.job import Job, MessageRole
from bot.core.triage import Identity
from bot.pacing.budget import CALLS_PER_MINUTE
from bot.reply.answer import Answer
from bot.reply.delivery import MessageDelivery
from bot.reply.scheduler import EditScheduler
from bot.reply.workspace import Workspace
from bot.slack.client import SlackClient, new_session
from bot.store import Stores
from slack_sandbox.server import Sandbox

QUESTION = Question(ThreadKey("T1", "C1", None), "1.0", "U1", "?")
ME = Identity("T1", "U0BOT", "B0BOT", "typist")


def _has_lost_post(scheduler: EditScheduler) -> bool:
    delivery = scheduler._live[0].delivery
    assert isinstance(delivery, MessageDelivery)
    return MessageRole.POSTING in delivery.lost


async def test_cancellation_at_the_moment_of_a_change_is_not_lost(tmp_path: Path) -> None:
    clock = SystemClock()
    store = await Stores.open(f"sqlite:///{tmp_path}/typist.db", "w1", clock)
    async with new_session() as session:
        client = SlackClient("xoxb-1", "http://127.0.0.1:1/", session)
        scheduler = Workspace(
            ME,
            client,
            ledger=store.rate_ledger,
            worker_queue=store.worker_queue,
            account_kinds=store.account_kinds,
            clock=clock,
        ).scheduler
        # Without a valid lease nothing is sent, and the loop checks again regularly.
        waiting = asyncio.create_task(scheduler.post_placeholder(Job(1, QUESTION, 0)))
        for ticks in range(6):
            running = asyncio.create_task(scheduler.run())
            await asyncio.sleep(0.01)
            scheduler.touch(scheduler._live[0])
            for _ in range(ticks):
                await asyncio.sleep(0)
            running.cancel()
            _, hanging = await asyncio.wait((running,), timeout=10)
            assert not hanging, f"canceled {ticks} ticks after the touch"
        waiting.cancel()
    await store.close()


async def test_search_for_a_lost_post_does_not_keep_the_loop_running(tmp_path: Path) -> None:
    clock = SystemClock()
    store = await Stores.open(f"sqlite:///{tmp_path}/typist.db", "w1", clock)
    async with new_session() as session, Sandbox() as sandbox:
        client = SlackClient(sandbox.bot_token, sandbox.api_url, session)
        workspace = Workspace(
            ME,
            client,
            ledger=store.rate_ledger,
            worker_queue=store.worker_queue,
            account_kinds=store.account_kinds,
            clock=clock,
        )
        scheduler = workspace.scheduler
        question_ts = await sandbox.say("ada", "general", "why?")
        for _ in range(CALLS_PER_MINUTE["conversations.replies"]):
            await store.rate_ledger.reserve("conversations.replies", 1_000)
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
    await store.close()
