"""Notifying people: nobody is notified by an answer's names, and each accepted card or press posts one message."""

import asyncio

import pytest

from bot.core import texts
from bot.core.actions import ReplyAction
from bot.core.calls import NOTIFY
from bot.core.notify import FIND_PEOPLE
from bot.settings import Settings
from slack_sandbox.workspace import Message
from tests.scenarios.answers import answered, on_record, press
from tests.scenarios.conftest import Stage, buttons, says, shown
from tests.scenarios.tools import asking, by_results, calls, ended, results_in, tools_in, value_of

pytestmark = [pytest.mark.skips_waits, pytest.mark.bot(on_disk=True, notify=True)]

TEXT = "Please look at <@U0ALAN>'s <!channel> question & <https://evil.example|this>."
FINDS = calls("", (FIND_PEOPLE, {"name": "gra"}))
PROPOSES = calls("", (NOTIFY, {"ids": ["U0GRACE"], "text": TEXT}))
SCRIPT = by_results(FINDS, PROPOSES, says("Done."))


def notifications(stage: Stage, asked: str) -> list[Message]:
    return [one for one in stage.bots("general", asked) if "asked me to tell you:" in one.text]


async def test_asker_sees_who_would_be_notified_and_one_press_mentions_them_once(
    stage: Stage, settings: Settings
) -> None:
    stage.vendor.script(SCRIPT)
    asked = await stage.mention("ask Grace to take over")
    card = await asking(stage, asked)
    assert "Should I notify Grace?" in shown(card)
    assert results_in(stage.vendor.requests[-1])[0].splitlines()[2:-1] == ["Grace: U0GRACE"]
    assert not notifications(stage, asked)
    refused = await press(stage, card, ReplyAction.APPROVE, "grace", value_of(card))
    assert refused == texts.actions.only_asker_agrees("U0ADA")
    await asyncio.gather(*(press(stage, card, ReplyAction.APPROVE, value=value_of(card)) for _ in range(5)))
    [message] = await stage.sandbox.wait_for(lambda: notifications(stage, asked))
    assert message.text.startswith("<@U0GRACE>, Ada asked me to tell you:\n\n")
    assert shown(message) == TEXT
    assert TEXT in shown(card)
    assert all(mark not in message.text for mark in ("<@U0ALAN>", "<!channel>", "<https"))
    assert texts.notify.notified_notice(["Grace"], 0) in shown(await ended(stage, asked))
    await on_record(settings)
    assert len(notifications(stage, asked)) == 1


async def test_declined_card_notifies_nobody(stage: Stage, settings: Settings) -> None:
    stage.vendor.script(SCRIPT)
    asked = await stage.mention("ask Grace to take over")
    card = await asking(stage, asked)
    await press(stage, card, ReplyAction.DENY, value=value_of(card))
    await ended(stage, asked)
    await on_record(settings)
    assert not notifications(stage, asked)


@pytest.mark.parametrize(
    ("ids", "result"),
    [
        (["U0BEN"], "Nothing was proposed: give IDs"),
        (["U0NOBODY"], "Nothing was proposed: give IDs"),
        (["channel"], "Nothing was proposed: @here"),
        (["S0GROUP1"], "Nothing was proposed: at most 20"),
        ([], "Nothing was proposed: give IDs"),
    ],
)
async def test_people_who_cant_read_the_channel_large_groups_and_everybody_are_never_proposed(
    stage: Stage, ids: list[str], result: str
) -> None:
    stage.sandbox.granted.add("usergroups:read")
    stage.sandbox.workspace.user_groups["everyone"] = [f"U{number:03}" for number in range(21)]
    stage.vendor.script(by_results(FINDS, calls("", (NOTIFY, {"ids": ids, "text": "Hi."})), says("I can't.")))
    asked = await stage.mention("tell them")
    await stage.answers("general", asked)
    assert results_in(stage.vendor.requests[-1])[-1].startswith(result)


async def test_group_is_mentioned_as_its_members_in_the_channel(stage: Stage) -> None:
    stage.sandbox.granted.add("usergroups:read")
    stage.sandbox.workspace.user_groups["support"] = ["U0GRACE", "U0ALAN", "U0ELSEWHERE"]
    arguments = {"ids": ["S0GROUP1"], "text": "A summary.", "also_to_channel": True}
    stage.vendor.script(
        by_results(calls("", (FIND_PEOPLE, {"name": "@support"})), calls("", (NOTIFY, arguments)), says("Done."))
    )
    asked = await stage.mention("hand this over")
    card = await asking(stage, asked)
    assert "Should I notify Grace and Alan (2 people) and send this to the channel?" in shown(card)
    await press(stage, card, ReplyAction.APPROVE, value=value_of(card))
    [message] = await stage.sandbox.wait_for(lambda: notifications(stage, asked))
    assert message.text.startswith("<@U0GRACE> <@U0ALAN>, Ada asked me to tell you:")
    assert message.subtype == "thread_broadcast"


async def test_direct_message_has_no_tool_that_notifies(stage: Stage) -> None:
    dm = stage.sandbox.dm("ada")
    await stage.sandbox.say("ada", dm, "ask Grace")
    await stage.answers(dm, None, 1)
    assert FIND_PEOPLE not in tools_in(stage.vendor.requests[-1])


@pytest.mark.bot(notify=False)
async def test_tools_and_button_are_off_by_default(stage: Stage, settings: Settings) -> None:
    _, message = await answered(stage, settings)
    assert FIND_PEOPLE not in tools_in(stage.vendor.requests[-1])
    assert ReplyAction.SEND_TO_CHANNEL not in buttons(message)
    pressed = await press(stage, message, ReplyAction.SEND_TO_CHANNEL, value="forged")
    assert pressed == texts.actions.BUTTON_OUTDATED


async def test_asker_sends_an_answer_to_the_channel_once_and_delete_takes_it_away(
    stage: Stage, settings: Settings
) -> None:
    asked, message = await answered(stage, settings)
    assert ReplyAction.SEND_TO_CHANNEL in buttons(message)
    refused = await press(stage, message, ReplyAction.SEND_TO_CHANNEL, "grace")
    assert refused == texts.actions.only_asker("U0ADA", "send this answer to the channel")
    assert await press(stage, message, ReplyAction.SEND_TO_CHANNEL) == texts.notify.SENDING

    def copies() -> list[Message]:
        return [one for one in stage.bots("general", asked) if one.subtype == "thread_broadcast"]

    [copy] = await stage.sandbox.wait_for(copies)
    assert shown(copy).startswith(texts.notify.sent_by("Ada"))
    assert "The whole answer." in shown(copy)
    await stage.sandbox.wait_for(lambda: copies() and not buttons(copies()[0]))
    pressed = await press(stage, message, ReplyAction.SEND_TO_CHANNEL)
    assert pressed in (texts.notify.SENDING, texts.notify.ALREADY_SENT)
    await press(stage, message, ReplyAction.DELETE)
    await stage.sandbox.wait_for(lambda: not stage.bots("general", asked))
