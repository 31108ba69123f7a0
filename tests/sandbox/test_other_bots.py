"""Bots that others could have written run on the sandbox unchanged: the same one with each of Slack's frameworks."""

from collections.abc import AsyncIterator

import pytest

from sandbox.server import Sandbox
from sandbox.workspace import Message
from tests.sandbox.bolt import option
from tests.sandbox.conftest import ManualTime
from tests.sandbox.other_bots.blocks import MANIFEST
from tests.sandbox.other_bots.running import BOTS

pytestmark = pytest.mark.long


@pytest.fixture(params=list(BOTS))
async def sandbox(request: pytest.FixtureRequest) -> AsyncIterator[Sandbox]:
    """A sandbox in which a sample bot is connected."""
    # A machine under load may take longer than Slack's 3 s.
    patient = Sandbox(manifest=MANIFEST, monotonic=ManualTime(), ack_timeout_s=30.0)
    async with patient as sandbox, BOTS[request.param](sandbox):
        await sandbox.wait_for_bot()
        yield sandbox


async def by_bot(sandbox: Sandbox, root: str | None = None) -> Message:
    """Returns the bot's last message in #general or in a thread, as soon as it is there."""

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
