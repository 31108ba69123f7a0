"""Choices below an answer: a model that is unsure offers them, and who presses one has asked, once, as themselves."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from bot.core import choices, texts
from bot.core.actions import MORE, ReplyAction
from bot.settings import Settings
from bot.store.schema import outbox_entries
from slack_sandbox.server import Sandbox
from slack_sandbox.workspace import Message
from tests.clocks import until_read
from tests.marked import unmarked
from tests.scenarios.answers import press, reply, rows
from tests.scenarios.conftest import Stage, buttons, footer, grows, running, says, shown
from tests.scenarios.tools import calls
from tests.streams.server import VendorRequest, VendorResponse, VendorServer

pytestmark = [pytest.mark.skips_waits, pytest.mark.bot(on_disk=True)]

QUESTION = "Which environment?"
OFFERED = ["Staging", "Production"]
LISTED = f"{QUESTION}\n\n1. Staging\n2. Production"
WHOLE = says("The whole answer.")


def offers(text: str = "", offered: list[Any] = OFFERED) -> VendorResponse:
    return calls(text, (choices.TOOL_NAME, {"question": QUESTION, "choices": offered}))


def unsure(request: VendorRequest) -> VendorResponse:
    """Offers choices to every question, and answers a choice."""
    is_chosen = texts.shortcut.MY_CHOICE in str(request.body["messages"][-1]["content"])
    return WHOLE if is_chosen else offers("I can deploy that.")


@pytest.fixture
async def stage(sandbox: Sandbox, vendor: VendorServer, settings: Settings) -> AsyncIterator[Stage]:
    vendor.script(unsure)
    async with running(settings):
        yield Stage(sandbox, vendor)


def choice_buttons(message: Message) -> list[str]:
    return [action for action in buttons(message) if action.startswith(f"{ReplyAction.CHOOSE}-")]


def labels(message: Message) -> list[str]:
    elements = [element for block in message.blocks for element in block.get("elements", ())]
    return [element["text"]["text"] for element in elements if element.get("action_id") in choice_buttons(message)]


async def offering(stage: Stage, asked: str | None, channel: str = "general") -> Message:
    found = await stage.sandbox.wait_for(lambda: [m for m in stage.bots(channel, asked) if choice_buttons(m)])
    return found[0]


async def offered(stage: Stage) -> tuple[str, Message]:
    asked = await stage.mention("Deploy it.")
    return asked, await offering(stage, asked)


async def closed(stage: Stage, asked: str) -> None:
    await stage.sandbox.wait_for(lambda: not any(map(choice_buttons, stage.bots("general", asked))))


async def choose(stage: Stage, message: Message, number: int, user: str = "ada") -> str | None:
    """Presses a choice; returns what only the presser reads."""
    return await press(stage, message, f"{ReplyAction.CHOOSE}-{number}", user)


def prompt(stage: Stage) -> str:
    """Returns what the model read last."""
    return unmarked(stage.prompts()[-1][-1]["content"])


async def test_choice_is_asked_in_the_thread_in_the_pressers_name(stage: Stage) -> None:
    asked, message = await offered(stage)
    assert shown(message).startswith("I can deploy that.\n\nWhich environment?")
    assert "Staging" not in shown(message), "the buttons say it"
    assert footer(message) == "test"
    assert labels(message) == OFFERED
    assert await choose(stage, message, 1, "grace") is None
    _, chosen, answer = await stage.answers("general", asked, count=3)
    assert (chosen, answer) == (f"<@U0GRACE> {texts.shortcut.chosen_by('').strip()}\nProduction", "The whole answer.")
    assert prompt(stage) == f"Grace: {texts.shortcut.MY_CHOICE}\n\nProduction"
    await closed(stage, asked)
    assert next(map(shown, stage.bots("general", asked))) == f"I can deploy that.\n\n{LISTED} ✓"


async def test_later_questions_read_the_choice_as_quoted_words(stage: Stage) -> None:
    asked, message = await offered(stage)
    await choose(stage, message, 0)
    await stage.answers("general", asked, count=3)
    stage.vendor.script(WHOLE)
    await stage.sandbox.say("ada", "general", "And then?", asked)
    await stage.answers("general", asked, count=4)
    user, assistant, chosen, _, later = [unmarked(turn["content"]) for turn in stage.prompts()[-1]]
    assert (user, later) == ("Deploy it.", "And then?")
    assert (assistant, chosen) == (f"I can deploy that.\n\n{LISTED}", f"{texts.shortcut.MY_CHOICE}\n\nStaging")


async def test_choice_in_a_direct_message_is_answered_there_also_if_its_post_seems_lost(stage: Stage) -> None:
    dm = stage.sandbox.dm("ada")
    await stage.sandbox.say("ada", dm, "Deploy it.")
    message = await offering(stage, None, dm)
    stage.sandbox.faults.start("lose_response", method="chat.postMessage", times=1)
    assert await stage.sandbox.client("ada").press(dm, message.ts, f"{ReplyAction.CHOOSE}-0")
    _, chosen, answer = await stage.answers(dm, None, count=3)
    assert (chosen, answer) == (f"<@U0ADA> {texts.shortcut.chosen_by('').strip()}\nStaging", "The whole answer.")


async def test_choices_below_a_native_stream(sandbox: Sandbox, vendor: VendorServer, settings: Settings) -> None:
    stage = Stage(sandbox, vendor)
    growing = grows("".join(f"word{number} " for number in range(60)))
    # Its last chunks are those of an answer that is complete.
    vendor.script(replace(growing, chunks=[*growing.chunks[:-3], *offers().chunks]), WHOLE)
    async with running(replace(settings, carrier="stream")):
        asked, message = await offered(stage)
        assert "chat.startStream" in {call.method for call in sandbox.calls}
        assert labels(message) == OFFERED
        assert await choose(stage, message, 0) is None
        assert (await stage.answers("general", asked, count=3))[-1] == "The whole answer."
        await closed(stage, asked)


@pytest.mark.parametrize("is_edited", [True, False], ids=["edited", "regenerated"])
async def test_edited_question_and_regenerated_answer_take_the_choices_away(stage: Stage, is_edited: bool) -> None:
    asked, message = await offered(stage)
    if is_edited:
        await stage.sandbox.edit("general", asked, f"<@{stage.sandbox.bot_user_id}> Roll it back.")
    else:
        stage.vendor.script(WHOLE)
        await press(stage, message, ReplyAction.REGENERATE)
        await reply(stage, asked, "whole answer")
    await closed(stage, asked)
    assert (
        await press(stage, message, f"{ReplyAction.CHOOSE}-0", value=choices.button_value(0, 0))
        == texts.actions.BUTTON_OUTDATED
    )


async def test_answer_whose_choice_was_pressed_stays_when_its_question_is_deleted(
    stage: Stage, settings: Settings
) -> None:
    asked, message = await offered(stage)
    await choose(stage, message, 0, "grace")
    await stage.answers("general", asked, count=3)
    await closed(stage, asked)
    await stage.sandbox.delete("general", asked)
    await stage.delivered()
    assert await press(stage, message, MORE, value=ReplyAction.REGENERATE) == texts.actions.QUESTION_EXPIRED

    async def is_done() -> bool:
        return not await rows(settings, outbox_entries)

    await until_read(is_done, "an empty outbox")
    first, _, answer = map(shown, stage.bots("general", asked))
    assert first.startswith("I can deploy that.\n\nWhich environment?\n\n1. Staging ✓")
    assert answer == "The whole answer."
