"""A reply to a deleted thread never stays at the channel's root."""

import pytest

from bot.core import texts
from bot.slack.views.question import ASK_ABOUT, QUESTION
from tests.scenarios.conftest import Stage, says
from tests.scenarios.surfaces import ephemerals

pytestmark = pytest.mark.skips_waits


async def mention_and_delete(stage: Stage) -> None:
    """Deletes a question while the post of its placeholder is on its way."""
    stage.sandbox.faults.start("slow", method="chat.postMessage", times=1, delay_s=0.7)
    asked = await stage.mention()
    await stage.sandbox.wait_for(lambda: not stage.sandbox.faults.active("slow"))
    await stage.sandbox.delete("general", asked)


def taken_back(stage: Stage) -> bool:
    return any(call.ok for call in stage.sandbox.calls if call.method == "chat.delete")


@pytest.mark.parametrize("fault", [None, "lose_response"], ids=["answered", "with its answer lost"])
async def test_post_into_a_deleted_thread_is_deleted(stage: Stage, fault: str | None) -> None:
    stage.vendor.script(says("word " * 40, pause_s=0.06))
    if fault:
        stage.sandbox.faults.start(fault, method="chat.postMessage", times=1)
    await mention_and_delete(stage)
    await stage.sandbox.wait_for(lambda: taken_back(stage))
    assert stage.bots("general") == []
    next_one = await stage.mention("and now?")
    assert await stage.answers("general", next_one) == [("word " * 40).rstrip()]


async def test_question_about_a_deleted_message_is_not_asked(stage: Stage) -> None:
    about = await stage.sandbox.say("grace", "general", "We moved to the new build.")
    ada = stage.sandbox.client("ada")
    await ada.use_message_shortcut("general", about, ASK_ABOUT)
    await stage.sandbox.wait_for(lambda: ada.modal)
    await stage.sandbox.delete("general", about)
    assert await ada.submit({QUESTION: "why?"}) == {}
    await stage.sandbox.wait_for(lambda: ephemerals(stage) == [("U0ADA", texts.shortcut.MESSAGE_DELETED)])
    assert stage.bots("general") == []
    assert not stage.vendor.requests
