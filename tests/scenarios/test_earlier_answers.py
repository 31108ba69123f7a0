"""Buttons of answers that aren't the last of their conversation, and the edits that this costs."""

import pytest

from bot.core import texts
from bot.core.actions import MORE, ReplyAction
from bot.settings import Settings
from slack_sandbox.blocks.elements import interactive
from slack_sandbox.workspace import Message
from tests.pictures import buttons_below
from tests.scenarios.answers import on_record
from tests.scenarios.conftest import Stage, buttons, says

pytestmark = [pytest.mark.skips_waits, pytest.mark.bot(on_disk=True)]

ANSWERS = 10
MENU = [ReplyAction.FEEDBACK, MORE]
LAST = buttons_below()


async def ask(stage: Stage, settings: Settings, channel: str, thread: str | None, count: int = ANSWERS) -> str | None:
    """Asks and has every question answered before the next one; returns the thread."""
    for number in range(1, count + 1):
        asked = await stage.sandbox.say("ada", channel, f"@typist question {number}?", thread)
        thread = thread if stage.sandbox.workspace.channel(channel).type == "im" else thread or asked
        await stage.answers(channel, thread, number)
        await on_record(settings)
    return thread


def controls(messages: list[Message]) -> int:
    return sum(1 for message in messages for _ in interactive(message.blocks))


@pytest.mark.parametrize("place", ["thread", "direct message"])
async def test_only_a_conversations_last_answer_has_all_buttons_and_each_other_one_costs_an_edit(
    stage: Stage, settings: Settings, place: str
) -> None:
    stage.vendor.script(*[says("Because.")] * ANSWERS)
    channel = "general" if place == "thread" else stage.sandbox.dm("ada")
    thread = await ask(stage, settings, channel, None)
    shown = [*[MENU] * (ANSWERS - 1), LAST]
    await stage.sandbox.wait_for(lambda: [buttons(one) for one in stage.bots(channel, thread)] == shown)
    assert controls(stage.bots(channel, thread)) == 3 * (ANSWERS - 1) + 5
    edits = [call.arguments["ts"] for call in stage.calls("chat.update") if MORE in str(call.arguments["blocks"])]
    assert sorted(edits) == [message.ts for message in stage.bots(channel, thread)][:-1]


async def test_earlier_answer_is_deleted_and_regenerated_from_its_menu(stage: Stage, settings: Settings) -> None:
    stage.vendor.script(says("The first."), says("The second."), says("The first again."))
    thread = await ask(stage, settings, "general", None, 2)
    ada, workspace = stage.sandbox.client("ada"), stage.sandbox.workspace
    await stage.sandbox.wait_for(lambda: buttons(stage.bots("general", thread)[0]) == MENU)
    first, second = stage.bots("general", thread)
    assert await ada.press("general", first.ts, MORE, ReplyAction.REGENERATE)
    again = [ReplyAction.FEEDBACK, MORE]
    await stage.sandbox.wait_for(lambda: "The first again." in str(stage.bots("general", thread)[0].sent_blocks))
    await on_record(settings)
    await stage.sandbox.wait_for(lambda: buttons(stage.bots("general", thread)[0]) == again)
    assert await ada.press("general", first.ts, MORE, ReplyAction.DELETE)
    [asks] = await stage.sandbox.wait_for(lambda: workspace.ephemerals)
    assert asks.text.startswith(texts.actions.delete_answer("question 1?"))
    assert len(stage.bots("general", thread)) == 2, "nothing is deleted before it is confirmed"
    await ada.press("general", asks.ts, f"{ReplyAction.DELETE}-confirmed")
    await stage.sandbox.wait_for(lambda: [one.ts for one in stage.bots("general", thread)] == [second.ts])
    await stage.sandbox.wait_for(lambda: workspace.ephemerals[0].text == texts.actions.ANSWER_DELETED)


async def test_earlier_answer_that_slack_lets_nobody_edit_stays_where_it_is(stage: Stage, settings: Settings) -> None:
    stage.vendor.script(says("The first."), says("The second."))
    thread = await ask(stage, settings, "general", None, 1)
    [first] = stage.bots("general", thread)
    stage.sandbox.faults.start("refuse", method="chat.update", match_text=first.ts)
    await stage.sandbox.say("ada", "general", "@typist and then?", thread)
    await stage.answers("general", thread, 2)
    await stage.sandbox.wait_for(lambda: [one for one in stage.calls("chat.update") if MORE in str(one.arguments)])
    await stage.settled()
    shown = stage.bots("general", thread)
    assert (shown[0].ts, [buttons(one) for one in shown]) == (first.ts, [LAST, LAST])
