"""Addresses of files in Slack in what the bot posts: they open nothing that the readers may not open anyway."""

import pytest

from bot.core.actions import ReplyAction
from slack_pacing.carriers import CarrierName
from slack_sandbox.files import File, UploadedFile, canvas_link
from tests.scenarios.answers import press
from tests.scenarios.conftest import EACH_CARRIER, Stage, buttons, says, shown
from tests.scenarios.outages import CODE
from tests.scenarios.tools import ended

pytestmark = pytest.mark.skips_waits

PLAN = UploadedFile("Plan.canvas", b"# Plan\n\nWe ship on Friday.")


def our_canvas(stage: Stage) -> File:
    """Returns a canvas of the bot's own that nobody else may open, such as another conversation's answer."""
    return stage.sandbox.files.add(stage.sandbox.bot_user_id, PLAN)


def answer_with(file: File) -> str:
    return f"The plan: {canvas_link(file.id)} or [here]({canvas_link(file.id)})."


@pytest.mark.parametrize("carrier", EACH_CARRIER)
async def test_post_with_the_address_of_our_own_file_shares_it_with_nobody(stage: Stage, carrier: CarrierName) -> None:
    file = our_canvas(stage)
    stage.vendor.script(says(answer_with(file), pause_s=0.01))
    # The whole answer is posted, because no edit shows it: a stream is left before an address, and was "The".
    stage.sandbox.faults.start("refuse", method="chat.update", error="cant_update_message")
    asked = await stage.mention()
    address = canvas_link(file.id).removeprefix("https://")
    assert shown(await ended(stage, asked)) == f"The plan: `{address}` or here (`{address}`)."
    await stage.sandbox.wait_for(lambda: len(stage.bots("general", asked)) == 1)
    assert file.shares == []


async def test_file_that_is_shared_in_the_conversation_stays_a_link(stage: Stage) -> None:
    root = await stage.sandbox.share("grace", "general", "Here it is.", [PLAN])
    file = stage.sandbox.files.get(stage.sandbox.workspace.message("C0GENERAL", root).files[0]["id"])
    stage.vendor.script(says(answer_with(file)))
    await stage.sandbox.say("ada", "general", "@typist when?", root)
    assert await stage.answers("general", root) == [answer_with(file)]


@pytest.mark.parametrize("error", ["file_deleting_disabled", "delete_not_allowed"])
async def test_answer_is_deleted_although_its_file_may_not_be(stage: Stage, error: str) -> None:
    stage.vendor.script(says(CODE))
    asked = await stage.mention("code?")
    await stage.sandbox.wait_for(lambda: any(message.files for message in stage.bots("general", asked)))
    (message,) = await stage.sandbox.wait_for(
        lambda: [one for one in stage.bots("general", asked) if ReplyAction.DELETE in buttons(one)]
    )
    stage.sandbox.faults.start("refuse", method="files.delete", error=error)
    await press(stage, message, ReplyAction.DELETE)
    await stage.sandbox.wait_for(lambda: not stage.bots("general", asked))
    assert [call.error for call in stage.calls("files.delete")] == [error]


async def test_posts_that_one_person_sees_unfurl_nothing(stage: Stage) -> None:
    asked = await stage.mention()
    await stage.answers("general", asked)
    (message,) = stage.bots("general", asked)
    stage.vendor.script(says("Another answer."))
    await press(stage, message, ReplyAction.REGENERATE)
    await stage.sandbox.wait_for(lambda: ReplyAction.PREVIOUS in buttons(stage.bots("general", asked)[0]))
    await press(stage, message, ReplyAction.PREVIOUS, "alan")
    sent = [call.arguments for call in (*stage.calls("chat.postMessage"), *stage.calls("chat.postEphemeral"))]
    sent += stage.sandbox.responses.received
    assert len(sent) >= 2
    flags = {str(one.get(name)).lower() for one in sent for name in ("unfurl_links", "unfurl_media")}
    assert flags == {"false"}
