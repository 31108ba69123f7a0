"""The editor's loop ends when it is told to, whatever happens in the same moment."""

import asyncio
from pathlib import Path

from bot.core.conversation import Job, Question, ThreadKey
from bot.core.lease import Lease
from bot.core.reply.draft import Draft
from bot.core.reply.state import Reply
from bot.ports import SystemClock
from bot.slack.client import SlackClient, new_session
from bot.slack.edit_scheduler import EditScheduler
from bot.slack.rate_budget import CALLS_PER_MINUTE, RateBudget
from bot.slack.reply_transport import ReplyTransport
from bot.slack.scheduled_reply import ScheduledReply
from bot.store import SqlStore
from sandbox.server import Sandbox

QUESTION = Question(ThreadKey("T1", "C1", None), "1.0", "U1", "?")


async def test_a_cancellation_that_comes_as_a_reply_has_something_to_show_is_not_lost(tmp_path: Path) -> None:
    clock = SystemClock()
    store = await SqlStore.open(f"sqlite:///{tmp_path}/typist.db", "w1", clock)
    async with new_session() as session:
        budget = RateBudget(store, clock)
        web = SlackClient("xoxb-1", "http://127.0.0.1:1/", session)
        editor = EditScheduler(ReplyTransport(web, budget, clock), budget, Lease(), clock, store)
        # Nothing is sent while the lease is not sure: the loop looks again every now and then.
        waiting = asyncio.create_task(editor.announce(Job(1, QUESTION, 0), clock.monotonic() + 60))
        for ticks in range(6):
            running = asyncio.create_task(editor.run())
            await asyncio.sleep(0.01)
            editor.touch(ScheduledReply(1, Reply(QUESTION)))
            for _ in range(ticks):
                await asyncio.sleep(0)
            running.cancel()
            _, hanging = await asyncio.wait((running,), timeout=1)
            assert not hanging, f"cancelled {ticks} ticks after the touch"
        waiting.cancel()
    await store.close()


async def test_a_search_that_waits_for_its_turn_does_not_keep_it_from_ending(tmp_path: Path) -> None:
    clock, lease = SystemClock(), Lease()
    store = await SqlStore.open(f"sqlite:///{tmp_path}/typist.db", "w1", clock)
    async with new_session() as session, Sandbox() as sandbox:
        budget = RateBudget(store, clock)
        editor = EditScheduler(
            ReplyTransport(SlackClient(sandbox.bot_token, sandbox.api_url, session), budget, clock),
            budget,
            lease,
            clock,
            store,
        )
        asked = await sandbox.say("ada", "general", "why?")
        for _ in range(CALLS_PER_MINUTE["conversations.replies"]):
            await store.reserve("conversations.replies", 1_000)
        sandbox.faults.start("lose_response", method="chat.postMessage", times=1)
        lease.beat(clock.monotonic())
        running = asyncio.create_task(editor.run())
        await editor.open(Draft(Job(1, Question(ThreadKey("T1", "C0GENERAL", asked), asked, "U1", "why?"), 1)))
        async with asyncio.timeout(10):
            while not (editor._slots[0].lost_post and editor._slots[0].in_flight):
                lease.beat(clock.monotonic())
                await asyncio.sleep(0.01)
        running.cancel()
        _, hanging = await asyncio.wait((running,), timeout=10)
        assert not hanging
    await store.close()
