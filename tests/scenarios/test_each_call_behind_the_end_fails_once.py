"""What people do with answers that have ended, once for each call that follows, with that call failing.

Whichever fails, and in whichever way: in the end Slack shows exactly what is on record.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bot.core import texts
from bot.core.actions import ReplyAction
from bot.store import Stores
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.gate import rounds
from slack_sandbox.workspace import Message
from tests.fast import FastClock, run_fast
from tests.scenarios.conftest import Stage, buttons, manifest, running, settings_of, shown
from tests.scenarios.outages import until
from tests.scenarios.shown_on_record import Shown
from tests.scenarios.test_each_call_fails_once import DATABASE, SLACKS, Count, CountedFaults, counted_transactions
from tests.scenarios.test_pictures_at_random import model
from tests.scenarios.tools import GENERAL, Notes
from tests.streams.server import VendorServer

AT_MOST = rounds(2, 60)
PATIENCE_S, PRESSES = 90, 5
"""A person who sees nothing happen presses again, some times."""


async def behind_the_end(kind: str, count: Count, folder: Path) -> None:
    """Has people do all that changes an ended answer, with the call of this kind failing that `count` says."""
    loop = asyncio.get_running_loop()
    url = f"sqlite:///{folder}/{kind}{count.fails_at}.db"
    sandbox = Sandbox(ack_timeout_s=120.0, manifest=manifest(), monotonic=loop.time)
    async with sandbox, VendorServer() as vendor:
        vendor.script(model)
        settings = replace(settings_of(sandbox, vendor), database_url=url, done_mention_s=20)
        async with running(settings, tools=Notes()):
            if kind in SLACKS:
                sandbox.faults.take = CountedFaults(kind, count).take  # type: ignore[method-assign]
            with counted_transactions(count if kind == DATABASE else Count()):
                await change(Stage(sandbox, vendor))
            store = await Stores.open(url, "w2", FastClock())
            try:
                on_record = Shown(Stage(sandbox, vendor), store)
                await on_record.quiet()
                await on_record.check()
                assert on_record.compared == 2
            finally:
                await store.close()


async def change(stage: Stage) -> None:
    """An answer that came late goes with its question, one is undone and deleted, and one is changed back."""

    late = await stage.mention("task slow")
    await until(lambda: says(stage, late, texts.answers.ANSWER_READY), "a mention")
    await stage.sandbox.delete("general", late)
    await until(lambda: not replies(stage, late), "a deleted question without its messages")

    noted = await stage.mention("task memorizing")
    await press(stage, noted, ReplyAction.APPROVE, lambda: has(stage, noted, ReplyAction.DETAILS))
    # Nothing is kept if Slack doesn't say whether the channel is private.
    if has(stage, noted, ReplyAction.UNDO):
        await press(stage, noted, ReplyAction.UNDO, lambda: says(stage, noted, texts.memory.UNDONE))

    asked = await stage.mention("task plain")
    await press(stage, asked, ReplyAction.REGENERATE, lambda: has(stage, asked, ReplyAction.PREVIOUS))
    await press(stage, asked, ReplyAction.PREVIOUS, lambda: has(stage, asked, ReplyAction.NEXT))
    await stage.sandbox.say("alan", "general", "I see.", asked)
    await stage.delivered()
    await stage.sandbox.edit("general", asked, "@typist task plain, really")
    await until(lambda: says(stage, asked, texts.answers.QUESTION_EDITED), "a word on the edit")

    gone = await stage.mention("task plain once more")
    await press(stage, gone, ReplyAction.DELETE, lambda: not replies(stage, gone))


def replies(stage: Stage, asked: str) -> list[Message]:
    """Returns the bot's messages in a thread, whose first message may be gone."""
    messages, bot = stage.sandbox.workspace.messages(GENERAL), stage.sandbox.bot_user_id
    return [message for message in messages if message.thread_ts == asked and message.user_id == bot]


def has(stage: Stage, asked: str, action: str) -> bool:
    return any(action in buttons(message) for message in replies(stage, asked))


def says(stage: Stage, asked: str, words: str) -> bool:
    return any(words in shown(message) for message in replies(stage, asked))


async def press(stage: Stage, asked: str, action: str, is_done: Callable[[], bool]) -> None:
    """Presses a button below an answer until it has had its effect."""
    await until(lambda: has(stage, asked, action), f"a button {action}")
    for _ in range(PRESSES):
        for message in replies(stage, asked):
            if action in buttons(message):
                await stage.sandbox.client("ada").press("general", message.ts, action)
        for _ in range(PATIENCE_S):
            if is_done():
                return
            await asyncio.sleep(1)
    raise AssertionError(f"{action} had no effect: {[shown(message) for message in replies(stage, asked)]}")


@pytest.mark.parametrize("kind", [DATABASE, *(pytest.param(kind, marks=pytest.mark.long) for kind in SLACKS)])
@pytest.mark.long
def test_slack_shows_what_is_on_record_whichever_call_behind_the_end_fails(kind: str, tmp_path: Path) -> None:
    clean = Count()
    run_fast(behind_the_end(kind, clean, tmp_path))
    problems = {}
    for number in sorted(random.sample(range(clean.made), min(clean.made, AT_MOST))):
        try:
            run_fast(behind_the_end(kind, Count(number), tmp_path))
        except AssertionError as error:
            problems[number, clean.names[number]] = str(error)
    assert problems == {}, f"of {clean.made} calls"
