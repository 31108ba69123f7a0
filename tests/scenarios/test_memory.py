"""Memory as people see it: commands, what a model reads and proposes, lists and their modal."""

import asyncio
import re
from collections.abc import Sequence

import pytest

from bot.core import texts
from bot.core.actions import ReplyAction
from bot.core.calls import REMEMBER
from bot.settings import Settings
from bot.slack.views.memory import OPEN_MEMORY
from bot.store import Stores
from slack_sandbox.client import Client
from slack_sandbox.workspace import TEAM_ID, Message
from tests.clocks import until_read
from tests.scenarios.answers import on_record, press
from tests.scenarios.conftest import Stage, buttons, grows, says, shown
from tests.scenarios.surfaces import ephemerals, queued_placeholders
from tests.scenarios.tools import asking, by_results, calls, value_of

pytestmark = [pytest.mark.skips_waits, pytest.mark.bot(on_disk=True)]

DEPLOY = "We deploy on Tuesdays."
PROPOSES = by_results(calls("", (REMEMBER, {"text": DEPLOY})), says("Done."))


async def told(stage: Stage, text: str, channel: str = "general", user: str = "ada") -> Message:
    return await answer(stage, channel, await said(stage, text, channel, user))


async def said(stage: Stage, text: str, channel: str = "general", user: str = "ada") -> str:
    if channel != "dm":
        return await stage.mention(text, channel, user)
    return await stage.sandbox.say(user, stage.sandbox.dm(user), text)


async def answer(stage: Stage, channel: str, asked: str) -> Message:
    await stage.answers(channel, asked)
    [message] = stage.bots(channel, asked)
    return message


async def direct(stage: Stage, user: str, text: str, count: int) -> Message:
    """Writes a direct message, and returns the bot's newest one there."""
    await stage.sandbox.say(user, stage.sandbox.dm(user), text)
    await stage.answers(stage.sandbox.dm(user), None, count)
    return stage.bots(stage.sandbox.dm(user))[-1]


async def shows(stage: Stage, message: Message, words: str) -> Message:
    """Waits until the bot's message begins with these words, and returns it as it is then."""

    def now() -> list[Message]:
        messages = stage.bots(message.channel, message.thread_ts)
        return [one for one in messages if one.ts == message.ts and shown(one).startswith(words)]

    return (await stage.sandbox.wait_for(now))[0]


def notes_read(stage: Stage) -> list[str]:
    """Returns the memories in the last request to the model."""
    _, first, *_ = stage.vendor.requests[-1].body["messages"]
    found = re.search(r"\n\[(\w+) memory\]\n(.*?)\n\[\1 end\]", first["content"], re.DOTALL)
    return found[2].split("\n") if found else []


async def on_record_here(stores: Stores) -> Sequence[str]:
    return [memory.text for memory in await stores.memories.of_place((TEAM_ID, "C0GENERAL"))]


async def has_on_record(stores: Stores, *expected: str) -> None:
    async def are_there() -> bool:
        return await on_record_here(stores) == list(expected)

    await until_read(are_there, f"the memories {expected}")


async def test_what_a_channel_is_told_to_remember_is_read_with_later_questions_there_alone(stage: Stage) -> None:
    remembered = await told(stage, f"remember: {DEPLOY}")
    assert shown(remembered) == texts.memory.remembered_notice("#general", 1)
    assert buttons(remembered)[:1] == [ReplyAction.UNDO]
    assert not stage.vendor.requests
    message = await told(stage, "when do we deploy?", user="grace")
    assert [re.sub(r"\([-\d]+\)", "(day)", note) for note in notes_read(stage)] == [f"1. Ada (day): {DEPLOY}"]
    assert shown(message).endswith("test · 1 memory")
    await told(stage, "when do we deploy?", "random")
    assert notes_read(stage) == []
    await direct(stage, "ada", "when do we deploy?", 1)
    assert notes_read(stage) == []


async def test_undo_forgets_and_says_so_for_everybody(stage: Stage, settings: Settings) -> None:
    message = await told(stage, f"remember: {DEPLOY}")
    await on_record(settings)
    assert await press(stage, message, ReplyAction.UNDO, "grace") == texts.actions.only_asker("U0ADA", "undo this")
    assert await press(stage, message, ReplyAction.UNDO) is None
    assert buttons(await shows(stage, message, texts.memory.UNDONE)) == [ReplyAction.DELETE]
    # Buttons from before an upgrade, or forged ones.
    assert await press(stage, message, ReplyAction.REGENERATE, value="old") == texts.actions.BUTTON_OUTDATED
    assert await press(stage, message, ReplyAction.UNDO, value="old") == texts.memory.UNDONE
    other = await told(stage, "why?")
    assert notes_read(stage) == []
    assert await press(stage, other, ReplyAction.UNDO, value="forged") == texts.actions.BUTTON_OUTDATED
    assert shown(other) == shown(await shows(stage, other, "The whole answer."))


async def test_what_a_message_said_goes_with_the_message(stage: Stage, another_process: Stores) -> None:
    message = await told(stage, "remember: Tea")
    await told(stage, "remember: Milk")
    assert message.thread_ts
    await stage.sandbox.delete("general", message.thread_ts)
    await has_on_record(another_process, "Milk")


async def test_command_behind_other_messages_is_carried_out(stage: Stage, another_process: Stores) -> None:
    are_queued = asyncio.Event()
    stage.vendor.script(grows("First. " * 40, gates={250: are_queued.wait}))
    asked = await stage.mention("first?")
    await stage.sandbox.wait_for(lambda: stage.bots("general", asked))
    for words in ("second?", f"remember: {DEPLOY}", "third?"):
        await stage.sandbox.say("ada", "general", f"@typist {words}", asked)
    await queued_placeholders(stage, 3, "general", asked)
    stage.vendor.script(says("The whole answer."))
    are_queued.set()
    _, *answers = await stage.answers("general", asked, count=4)
    assert [texts.memory.remembered_notice("#general", 1) in answer for answer in answers] == [False, True, False]
    assert await on_record_here(another_process) == [DEPLOY]


async def test_list_says_who_said_what_and_where_and_a_number_forgets(stage: Stage, settings: Settings) -> None:
    assert shown(await told(stage, "What do you remember?")) == texts.memory.NOTHING_REMEMBERED
    first = await told(stage, "remember: @grace owns deploys")
    await told(stage, "remember: Milk is in the fridge", user="grace")
    listed = shown(await told(stage, "what do you remember?"))
    link = rf"https://\S+/archives/C0GENERAL/p{first.thread_ts.replace('.', '')}" if first.thread_ts else ""
    assert re.search(rf"- @Grace owns deploys \(number 1, \[Ada, \w+ \d+, \d{{4}}\]\({link}\)\)", listed), listed
    assert "- Milk is in the fridge (number 2, [Grace, " in listed
    forgotten = await told(stage, "forget 1", user="grace")
    assert shown(forgotten) == texts.memory.forgotten_notice(1, "@Grace owns deploys")
    assert shown(await told(stage, "forget 1")) == texts.memory.nothing_to_forget(1)
    assert "number 1" not in shown(await told(stage, "what do you remember?"))
    assert shown(await told(stage, "remember: Salt")) == texts.memory.remembered_notice("#general", 3)
    await on_record(settings)
    assert await press(stage, forgotten, ReplyAction.UNDO, "ada") == texts.actions.only_asker("U0GRACE", "undo this")
    assert await press(stage, forgotten, ReplyAction.UNDO, "grace") is None
    assert buttons(await shows(stage, forgotten, texts.memory.RESTORED)) == [ReplyAction.DELETE]
    assert "- @Grace owns deploys (number 1, " in shown(await told(stage, "what do you remember?"))
    assert not stage.vendor.requests


async def test_edited_command_says_what_it_says_now(stage: Stage, settings: Settings, another_process: Stores) -> None:
    message = await told(stage, "remember: Tea")
    asked = message.thread_ts
    assert asked
    await stage.sandbox.edit("general", asked, f"@{stage.sandbox.workspace.bot.name} remember: Coffee")
    await on_record(settings)
    assert await on_record_here(another_process) == ["Coffee"]
    await stage.sandbox.edit("general", asked, f"@{stage.sandbox.workspace.bot.name} what is coffee?")
    await shows(stage, message, "The whole answer.")
    assert await on_record_here(another_process) == []


async def test_edited_command_that_others_have_replied_to_says_what_it_says_now(
    stage: Stage, another_process: Stores
) -> None:
    message = await told(stage, "remember: Tea")
    assert message.thread_ts
    await stage.sandbox.say("grace", "general", "Really?", message.thread_ts)
    await stage.delivered()
    for text, left in (("remember: Coffee", ["Coffee"]), ("what do you remember?", [])):
        await stage.sandbox.edit("general", message.thread_ts, f"@{stage.sandbox.workspace.bot.name} {text}")
        await has_on_record(another_process, *left)
        await shows(
            stage, message, texts.memory.remembered_notice("#general", 1) if left else texts.memory.NOTHING_REMEMBERED
        )


@pytest.mark.bot(admins=frozenset({"U0GRACE"}))
async def test_model_proposes_and_only_the_asker_decides(stage: Stage, another_process: Stores) -> None:
    stage.vendor.script(PROPOSES)
    asked = await stage.mention("denk bitte dran: wir deployen dienstags")
    card = await asking(stage, asked)
    assert texts.memory.REMEMBER_THIS["channel"] in shown(card)
    assert DEPLOY in shown(card)
    assert await on_record_here(another_process) == []
    assert await press(stage, card, ReplyAction.APPROVE, "grace", value_of(card)) == texts.actions.only_asker_agrees(
        "U0ADA"
    )
    await press(stage, card, ReplyAction.APPROVE, value=value_of(card))
    done = await shows(stage, card, "Done.")
    assert await on_record_here(another_process) == [DEPLOY]
    assert not {ReplyAction.REGENERATE, ReplyAction.REGENERATE_WITH} & set(buttons(done))
    assert await press(stage, done, ReplyAction.REGENERATE, value="old") == texts.actions.BUTTON_OUTDATED
    [result] = [one["content"] for one in stage.prompts()[-1] if one["role"] == "tool"]
    assert texts.memory.remembered_notice("#general", 1) in result
    assert texts.memory.remembered_notice("#general", 1) in shown(done)
    assert await press(stage, done, ReplyAction.UNDO) is None
    undone = await shows(stage, done, f"Done.\n{texts.memory.UNDONE}")
    assert await on_record_here(another_process) == []
    assert not {ReplyAction.REGENERATE, ReplyAction.REGENERATE_WITH, ReplyAction.UNDO} & set(buttons(undone))


@pytest.mark.parametrize("was_private", [True, False])
async def test_memories_are_hidden_once_their_channel_has_other_readers(
    stage: Stage, settings: Settings, was_private: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.slack.users.KIND_TRUSTED_S", 1.0)
    general = stage.sandbox.workspace.channel("general")
    general.type = "group" if was_private else "channel"
    await told(stage, f"remember: {DEPLOY}")
    await told(stage, "why?")
    assert len(notes_read(stage)) == 1
    general.type = "channel" if was_private else "group"
    await asyncio.sleep(2)
    assert "memory" not in shown(await told(stage, "why?"))
    assert notes_read(stage) == []
    listed = shown(await told(stage, "what do you remember?"))
    assert DEPLOY not in listed
    assert texts.memory.HIDDEN in listed
    assert texts.memory.MEMORIES_HIDDEN[not was_private] in listed


def fields(client: Client) -> dict[str, str]:
    """Returns the memories in the open modal: their texts by their labels."""
    assert client.modal
    elements = [block for block in client.modal.blocks if block["type"] == "input"]
    return {block["label"]["text"]: block["element"].get("initial_value", "") for block in elements}


def field_of(client: Client, number: int) -> str:
    assert client.modal
    labels = {block["label"]["text"]: block["block_id"] for block in client.modal.blocks if block["type"] == "input"}
    return str(labels[texts.memory.memory_number(number)])


async def test_modal_shows_who_said_what_and_changes_and_removes_it(stage: Stage, another_process: Stores) -> None:
    await told(stage, "remember: @grace owns <deploys> & tests")
    await told(stage, "remember: Milk", user="grace")
    ada = stage.sandbox.client("ada")
    await ada.command("general", "/typist memory")
    assert fields(ada) == {"Number 1": "<@U0GRACE> owns <deploys> & tests", "Number 2": "Milk"}
    assert ada.modal
    assert "<@U0GRACE>, <!date^" in str(ada.modal.blocks)
    assert await ada.submit({field_of(ada, 1): "<@U0ALAN> owns <deploys>", field_of(ada, 2): "x" * 301}) == {
        field_of(ada, 1): texts.memory.memory_too_long(301, 300)
    }
    assert await ada.submit({field_of(ada, 1): "<@U0ALAN> owns <deploys>", field_of(ada, 2): ""}) == {}
    assert ephemerals(stage)[-1] == ("U0ADA", texts.memory.MEMORY_SAVED)
    assert await on_record_here(another_process) == ["<@U0ALAN> owns &lt;deploys&gt;"]
    await told(stage, "who owns deploys?")
    assert notes_read(stage)[0].endswith(": @Alan owns <deploys>")
    grace = stage.sandbox.client("grace")
    await grace.command("general", "/typist memory")
    assert await grace.submit({field_of(grace, 1): "Alan owns deploys"}) == {}
    assert re.search(
        r"\(number 1, \[Ada, \w+ \d+, \d{4}, changed by Grace\]", shown(await told(stage, "what do you remember?"))
    )


async def test_settings_lead_to_the_memories_of_their_channel(stage: Stage, another_process: Stores) -> None:
    await told(stage, f"remember: {DEPLOY}")
    grace = stage.sandbox.client("grace")
    dm = stage.sandbox.dm("grace")
    await direct(stage, "grace", "remember: I like tea", 1)
    await grace.command(dm, "/typist settings")
    settings = grace.modal
    assert settings
    await grace.press_in_view(settings, OPEN_MEMORY)
    assert fields(grace) == {"Number 1": "I like tea"}
    assert await grace.submit({field_of(grace, 1): ""}) == {}
    assert grace.modal
    assert grace.modal.id == settings.id, "the settings are below"
    await grace.press_in_view(settings, OPEN_MEMORY)
    assert texts.memory.NOTHING_REMEMBERED in str(grace.modal.blocks)
    assert grace.modal.previous_id == settings.id
    assert await on_record_here(another_process) == [DEPLOY]
