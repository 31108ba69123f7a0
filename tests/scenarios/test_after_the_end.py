"""What stands below an answer after its end follows from its record, whatever people do, and in whichever order."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bot.core import texts
from bot.core.actions import ReplyAction
from bot.core.calls import REMEMBER
from bot.settings import Settings
from bot.slack.views.schedules import ScheduleAction
from bot.store import Stores
from bot.store.schema import outbox_entries
from slack_sandbox.files import UploadedFile
from slack_sandbox.workspace import Message
from tests.contracts.stores import count
from tests.scenarios.answers import answered, on_record, press, reply
from tests.scenarios.conftest import Stage, buttons, says, shown
from tests.scenarios.outages import GIVE_UP_S, until
from tests.scenarios.test_schedules import proposed
from tests.scenarios.tools import asking, by_results, calls, ended, value_of

pytestmark = [pytest.mark.skips_waits, pytest.mark.bot(on_disk=True)]

LONG_S = 10
LONG = "We ship on Tuesdays. " * 200
EDITED = texts.answers.QUESTION_EDITED


def ready(stage: Stage) -> list[Message]:
    """Returns the messages that mention an asker because the answer is ready."""
    messages = stage.sandbox.workspace.messages(stage.sandbox.workspace.channel("general").id)
    return [message for message in messages if texts.answers.ANSWER_READY in message.text]


async def with_all(stage: Stage, asked: str, *seen: str, without: str = "") -> Message:
    """Waits until the answer shows all of these words and buttons, and returns it."""

    def found() -> list[Message]:
        first = stage.bots("general", asked)[:1]
        return [one for one in first if all(part in shown(one) or part in buttons(one) for part in seen)]

    [message] = await stage.sandbox.wait_for(found)
    assert not without or without not in shown(message)
    return message


async def pressing(stage: Stage, answer: Message, action: ReplyAction) -> None:
    assert await press(stage, answer, action) is None


async def deleted(stage: Stage, asked: str, answer: Message) -> None:
    await pressing(stage, answer, ReplyAction.DELETE)


async def question_deleted(stage: Stage, asked: str, answer: Message) -> None:
    await stage.sandbox.delete("general", asked)


async def regenerated(stage: Stage, asked: str, answer: Message) -> None:
    await pressing(stage, answer, ReplyAction.REGENERATE)
    await reply(stage, asked, "Quick.")


@pytest.mark.bot(done_mention_s=LONG_S)
@pytest.mark.parametrize("gone", [deleted, question_deleted, regenerated])
@pytest.mark.long(after_row=1)
async def test_mention_goes_with_the_answer_that_it_is_about(
    stage: Stage, settings: Settings, gone: Callable[[Stage, str, Message], Awaitable[None]]
) -> None:
    stage.vendor.script(says("word " * 60, pause_s=1.5 * LONG_S / 60), says("Quick."))
    asked = await stage.mention("why?")
    await stage.sandbox.wait_for(lambda: ready(stage))
    await on_record(settings)
    await gone(stage, asked, stage.bots("general", asked)[0])
    await stage.sandbox.wait_for(lambda: not ready(stage))


async def test_schedule_keeps_its_buttons_when_the_question_is_edited(stage: Stage, another_process: Stores) -> None:
    asked, card = await proposed(stage)
    assert await press(stage, card, ReplyAction.APPROVE, "alan") is None
    await ended(stage, asked)
    await stage.sandbox.say("grace", "general", "Great.", asked)
    await stage.delivered()
    await stage.sandbox.edit("general", asked, "@typist every weekday at 10, sum up what happened here")
    await with_all(stage, asked, EDITED, ScheduleAction.STOP, ReplyAction.DETAILS)


async def test_undo_changes_its_own_sentence_alone(stage: Stage) -> None:
    stage.vendor.script(by_results(calls("", (REMEMBER, {"text": "We deploy on Tuesdays."})), says("Done.")))
    song = UploadedFile("song.xyz", b"\0\1\2" * 99)
    asked = await stage.sandbox.share("ada", "general", "<@BOT> note that we deploy on Tuesdays", (song,), None)
    card = await asking(stage, asked)
    await press(stage, card, ReplyAction.APPROVE, value=value_of(card))
    message = await with_all(stage, asked, "Not read: song.xyz", ReplyAction.UNDO)
    await pressing(stage, message, ReplyAction.UNDO)
    remembered = texts.memory.remembered_notice("#general", 1)
    await with_all(stage, asked, texts.memory.UNDONE, "Not read: song.xyz", ReplyAction.DETAILS, without=remembered)


async def answered_twice(stage: Stage, settings: Settings, *answers: str) -> str:
    stage.vendor.script(*map(says, answers))
    asked, message = await answered(stage, settings)
    await pressing(stage, message, ReplyAction.REGENERATE)
    await with_all(stage, asked, answers[1][:20], ReplyAction.PREVIOUS)
    await on_record(settings)
    return asked


async def test_newest_version_has_its_buttons_again_after_previous_and_next(stage: Stage, settings: Settings) -> None:
    asked = await answered_twice(stage, settings, "The first.", LONG)
    message = await with_all(stage, asked, ReplyAction.CANVAS)
    await pressing(stage, message, ReplyAction.PREVIOUS)
    message = await with_all(stage, asked, "The first.", ReplyAction.NEXT)
    assert ReplyAction.CANVAS not in buttons(message)
    await pressing(stage, message, ReplyAction.NEXT)
    await with_all(stage, asked, LONG[:20], ReplyAction.CANVAS)


async def test_each_version_says_that_its_question_was_edited_since(stage: Stage, settings: Settings) -> None:
    asked = await answered_twice(stage, settings, "The first.", "The second.", "The third.")
    await stage.sandbox.say("grace", "general", "I see.", asked)
    await stage.delivered()
    await stage.sandbox.edit("general", asked, "@typist what was it?")
    message = await with_all(stage, asked, "The second.", EDITED)
    await pressing(stage, message, ReplyAction.PREVIOUS)
    message = await with_all(stage, asked, "The first.", EDITED)
    await pressing(stage, message, ReplyAction.NEXT)
    message = await with_all(stage, asked, "The second.", EDITED)
    await pressing(stage, message, ReplyAction.REGENERATE)
    await with_all(stage, asked, "The third.", ReplyAction.PREVIOUS, without=EDITED)


@pytest.mark.bot(done_mention_s=LONG_S)
@pytest.mark.long
async def test_asker_of_an_answer_whose_end_slack_refused_for_minutes_is_mentioned_once_it_is_shown(
    stage: Stage, another_process: Stores
) -> None:
    stage.vendor.script(says("word " * 40, 0.05))
    stage.sandbox.faults.start("internal_error", method="chat.update")
    asked = await stage.mention()
    await until(lambda: stage.bots("general", asked), "the placeholder")
    stage.sandbox.faults.start("error_500", method="chat.postMessage")
    for _ in range(int(GIVE_UP_S)):
        if await count(another_process, outbox_entries):
            break
        await asyncio.sleep(1)
    assert not ready(stage)
    stage.sandbox.faults.stop("internal_error")
    stage.sandbox.faults.stop("error_500")
    await until(lambda: any(ReplyAction.DELETE in buttons(one) for one in stage.bots("general", asked)), "the end")
    await until(lambda: ready(stage), "the mention")
