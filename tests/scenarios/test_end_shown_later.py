"""An end that Slack did not accept, and that another process shows later in a new message, while waits are skipped."""

import pytest

from bot.core import texts
from bot.core.actions import ReplyAction
from bot.settings import Settings
from bot.store import Stores
from bot.store.schema import outbox_entries
from slack_sandbox.server import Sandbox
from tests.clocks import until_read
from tests.contracts.stores import count
from tests.scenarios.answers import press
from tests.scenarios.conftest import Stage, buttons, footer, running, says, shown
from tests.scenarios.outages import GIVE_UP_S, until
from tests.streams.server import VendorServer

pytestmark = [pytest.mark.skips_waits, pytest.mark.bot(on_disk=True)]

TEXT = " ".join(f"word{number}" for number in range(40))


async def until_the_end_is_in_the_outbox(store: Stores) -> None:
    await until_read(lambda: count(store, outbox_entries), "an outbox entry", GIVE_UP_S, look_s=1.0)


@pytest.mark.long
async def test_buttons_work_below_an_end_that_another_process_showed_in_a_new_message(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings, another_process: Stores
) -> None:
    vendor.script(says(TEXT, 0.05))
    stage, faults = Stage(sandbox, vendor), sandbox.faults
    async with running(settings):
        faults.start("internal_error", method="chat.update")
        asked = await stage.mention()
        [placeholder] = await until(lambda: stage.bots("general", asked), "the placeholder")
        faults.start("error_500", method="chat.postMessage")
        await until_the_end_is_in_the_outbox(another_process)
    faults.stop("internal_error")
    faults.stop("error_500")
    faults.start("refuse", method="chat.update", match_text=placeholder.ts)
    async with running(settings):
        await until(lambda: any(footer(message) for message in stage.bots("general", asked)), "the end")
        [message] = await until(
            lambda: [m for m in stage.bots("general", asked) if ReplyAction.DELETE in buttons(m)], "the buttons"
        )
        assert (message.ts != placeholder.ts, shown(message)) == (True, TEXT)
        await until(lambda: [m.ts for m in stage.bots("general", asked)] == [message.ts], "one message")
        await sandbox.client("ada").press("general", message.ts, ReplyAction.DELETE.value)
        await until(lambda: not stage.bots("general", asked), "the deletion of the answer")


@pytest.mark.parametrize("closed", ["archived", "bot removed"])
@pytest.mark.long(after_row=1)
async def test_answer_in_a_channel_that_was_closed_is_incomplete_and_goes_on_once_the_channel_is_back(
    stage: Stage, another_process: Stores, closed: str
) -> None:
    stage.vendor.script(says(TEXT, 0.5), says("And so on."))
    channel, bot = stage.sandbox.workspace.channel("general"), stage.sandbox.bot_user_id
    asked = await stage.mention()
    await until(lambda: [m for m in stage.bots("general", asked) if "word1" in shown(m)], "words")
    if closed == "archived":
        channel.archived = True
    else:
        channel.members.remove(bot)
    await until_the_end_is_in_the_outbox(another_process)
    channel.archived = False
    if bot not in channel.members:
        channel.members.append(bot)
    [message] = await until(
        lambda: [m for m in stage.bots("general", asked) if ReplyAction.REGENERATE in buttons(m)], "an end"
    )
    assert TEXT.startswith(shown(message).removesuffix(texts.answers.SHUT_OUT).strip())
    assert texts.answers.FOOTER_INCOMPLETE in footer(message)
    assert await press(stage, message, ReplyAction.CONTINUE) is None
    await until(lambda: "And so on." in shown(stage.bots("general", asked)[0]), "the rest")
