"""Other people's bots run on the sandbox unchanged: a sample for each of Slack's frameworks, and well-known ones."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from slack_sandbox.blocks.elements import interactive
from slack_sandbox.server import Sandbox
from slack_sandbox.testing import manifests
from slack_sandbox.testing.bolt import option
from slack_sandbox.workspace import Message
from tests.conftest import ManualTime
from tests.other_bots.blocks import MANIFEST
from tests.other_bots.player import RECORDED, player
from tests.other_bots.running import BOTS, FOLDER, node_bot, threaded_bot

pytestmark = [pytest.mark.long, pytest.mark.node]


@pytest.fixture(params=list(BOTS))
async def sandbox(request: pytest.FixtureRequest) -> AsyncIterator[Sandbox]:
    """Yields a sandbox with a connected sample bot."""
    # A busy machine may need longer than Slack's 3 s.
    patient = Sandbox(manifest=MANIFEST, monotonic=ManualTime(), ack_timeout_s=30.0)
    async with patient as sandbox, BOTS[request.param](sandbox):
        await sandbox.wait_for_bot()
        yield sandbox


async def by_bot(sandbox: Sandbox, root: str | None = None) -> Message:
    """Waits for the bot's message in #general or in a thread, and returns its last one."""

    def last() -> Message | None:
        shown = [message for message in sandbox.messages("general", root) if message.user_id == sandbox.bot_user_id]
        return shown[-1] if shown else None

    newest = await sandbox.wait_for(last)
    assert newest is not None
    return newest


async def test_mention_is_answered_in_its_thread_and_the_button_updates_the_answer(sandbox: Sandbox) -> None:
    root = await sandbox.say("ada", "general", "<@BOT> hi")
    answer = await by_bot(sandbox, root)
    assert (answer.thread_ts, answer.blocks[0]["text"]["text"]) == (root, "Hello <@U0ADA>")
    assert await sandbox.client("grace").press("general", answer.ts, "wave")
    await sandbox.wait_for(lambda: sandbox.workspace.message("C0GENERAL", answer.ts).text == "grace waved")
    assert [block["type"] for block in sandbox.workspace.message("C0GENERAL", answer.ts).blocks] == ["section"]


async def test_command_responds_to_the_person(sandbox: Sandbox) -> None:
    await sandbox.client("ada").command("general", "/echo out there")
    (shown,) = await sandbox.wait_for(lambda: list(sandbox.workspace.ephemerals))
    assert (shown.text, shown.ephemeral_to) == ("You said out there", "U0ADA")


async def test_modal_with_an_external_menu_is_submitted_and_posted_by_channel_name(sandbox: Sandbox) -> None:
    ada = sandbox.client("ada")
    await ada.command("random", "/order")
    modal = await sandbox.wait_for(lambda: ada.modal)
    assert modal is not None
    assert await ada.suggest_in_view(modal, "city", "ber") == [option("Berlin"), option("Bergen")]
    assert await ada.submit({"what": "tea", "city": "Bergen"}) == {}
    assert (await by_bot(sandbox)).text == "tea to Bergen"


async def test_reaction_is_counted(sandbox: Sandbox) -> None:
    root = await sandbox.say("ada", "general", "lunch?")
    await sandbox.react("grace", "general", root, "eyes")
    assert (await by_bot(sandbox, root)).text == "eyes 1"


async def test_file_is_uploaded_into_the_thread(sandbox: Sandbox) -> None:
    root = await sandbox.say("ada", "general", "report")
    shared = await by_bot(sandbox, root)
    assert [(file["name"], file["size"]) for file in shared.files] == [("report.txt", 11)]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("who is grace@sandbox.example", "That is <@U0GRACE>"), ("channels", "general random | partners")],
)
async def test_question_is_looked_up(sandbox: Sandbox, asked: str, expected: str) -> None:
    await sandbox.say("ada", "general", asked)
    assert (await by_bot(sandbox)).text == expected


# Other people's bots, from a mention to a click on their feedback button.

FOREIGN = manifests.manifest(
    {"agent_view": {"agent_description": "Answers questions"}},
    [*manifests.SCOPES, "assistant:write", "reactions:write"],
    ["app_mention", "message.channels"],
)
PLAYERS: Mapping[str, Callable[[Sandbox, str], AbstractAsyncContextManager[None]]] = {
    "Python": lambda sandbox, name: threaded_bot(sandbox, lambda token, url: player(token, url, name)),
    "JavaScript": lambda sandbox, name: node_bot(sandbox, FOLDER / "player.js", RECORDED_BOT=name),
}


@asynccontextmanager
async def alone(play: Callable[[Sandbox], AbstractAsyncContextManager[None]]) -> AsyncIterator[Sandbox]:
    """Yields a sandbox with another project's bot."""
    patient = Sandbox(manifest=FOREIGN, monotonic=ManualTime(), ack_timeout_s=30.0)
    async with patient as sandbox, play(sandbox):
        await sandbox.wait_for_bot()
        yield sandbox


async def ended(sandbox: Sandbox, root: str) -> Message:
    """Waits until the bot's answer in a thread is complete, and returns it."""

    def last() -> Message | None:
        shown = [message for message in sandbox.messages("general", root) if message.user_id == sandbox.bot_user_id]
        is_over = shown and (shown[-1].streaming_state == "completed" or shown[-1].text == "All is *well*.")
        return shown[-1] if is_over else None

    newest = await sandbox.wait_for(last)
    assert newest is not None
    return newest


async def pressed(sandbox: Sandbox, answer: Message) -> Message:
    """Clicks the positive feedback button and returns the resulting ephemeral message."""
    [buttons] = [element for _, element in interactive(answer.blocks)]
    value = buttons["positive_button"]["value"]
    assert await sandbox.client("ada").press("general", answer.ts, buttons["action_id"], value)
    [thanks] = await sandbox.wait_for(lambda: list(sandbox.workspace.ephemerals))
    return thanks


def refused(sandbox: Sandbox) -> list[tuple[str, str | None]]:
    return [(call.method, call.error) for call in sandbox.calls if call.error]


@pytest.mark.parametrize("language", PLAYERS)
@pytest.mark.parametrize("name", RECORDED)
async def test_recorded_calls_of_another_bot_are_accepted(name: str, language: str) -> None:
    recorded = RECORDED[name]
    async with alone(lambda sandbox: PLAYERS[language](sandbox, name)) as sandbox:
        before = len(sandbox.calls)
        root = await sandbox.say("ada", "general", "<@BOT> is all well?")
        answer = await ended(sandbox, root)
        if recorded["press"]:
            assert (await pressed(sandbox, answer)).thread_ts == root
        await sandbox.wait_for(lambda: len(sandbox.calls) - before >= len(recorded["methods"]))
        assert [call.method for call in list(sandbox.calls)[before:]] == recorded["methods"]
        assert [block["type"] for block in answer.blocks] == recorded["blocks"]
        assert refused(sandbox) == []


async def test_bot_on_vercel_chat_streams_with_feedback_buttons_and_goes_on() -> None:
    async with alone(lambda sandbox: node_bot(sandbox, FOLDER / "chat_sdk.js")) as sandbox:
        root = await sandbox.say("ada", "general", "<@BOT> is all well?")
        answer = await ended(sandbox, root)
        assert [block["type"] for block in answer.blocks] == ["rich_text", "context_actions"]
        assert (await pressed(sandbox, answer)).text == "Thanks: positive"
        await sandbox.say("ada", "general", "and now?", root)
        await sandbox.wait_for(lambda: sandbox.messages("general", root)[-1].text == "You said: and now?")
        assert refused(sandbox) == []
