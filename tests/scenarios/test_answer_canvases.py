"""Answers as canvases: who may save one, where its link appears, who may read it, and what a failure leaves."""

import pytest

from bot.core import texts
from bot.core.actions import ReplyAction
from bot.core.canvases import CANVAS_RULE
from bot.settings import Settings
from slack_sandbox.files import File
from slack_sandbox.workspace import Message
from tests.scenarios.answers import answered, press
from tests.scenarios.conftest import Stage, says
from tests.scenarios.surfaces import ephemerals
from tests.streams.server import VendorServer

pytestmark = [pytest.mark.skips_waits, pytest.mark.bot(on_disk=True, admins=frozenset({"U0GRACE"}))]

LONG = (
    "# Plan for May\n\n" + "We ship <https://a.example> in *May*, says @here.\n\n" * 70 + "#### Last\n\n- a\n  1. b\n"
)
LATER_S = 2_000
"""In the loop's time, which skips waits: longer than the outbox tries to make a canvas."""


@pytest.fixture
def vendor(vendor: VendorServer) -> VendorServer:
    vendor.script(says(LONG))
    return vendor


def canvases(stage: Stage) -> list[File]:
    return [file for file in stage.sandbox.files.all_files() if file.is_canvas]


async def linked(stage: Stage, asked: str | None, channel: str = "general") -> tuple[File, Message]:
    """Waits until a conversation shows a link to a canvas that is shared; returns the canvas and the message."""

    def found() -> list[Message]:
        shared = stage.calls("canvases.access.set")
        return [message for message in stage.bots(channel, asked) if shared and "/docs/" in message.text]

    (message,) = await stage.sandbox.wait_for(found, LATER_S)
    (canvas,) = [file for file in canvases(stage) if file.id in message.text]
    return canvas, message


async def saved(stage: Stage, settings: Settings) -> tuple[str, Message, File, Message]:
    """Asks and saves the answer; returns the question's ts, the answer, the canvas and the message with its link."""
    asked, message = await answered(stage, settings)
    assert await press(stage, message, ReplyAction.CANVAS) == texts.canvases.BEGUN
    return asked, message, *await linked(stage, asked)


async def test_long_answer_is_saved_as_a_canvas_that_the_channel_may_read(stage: Stage, settings: Settings) -> None:
    asked, _, canvas, link = await saved(stage, settings)
    address = f"https://sandbox.slack.com/docs/T0SANDBOX/{canvas.id}"
    assert (canvas.title, link.text) == ("Plan for May", texts.answers.canvas_made(f"<{address}>"))
    assert (link.thread_ts, canvas.readers) == (asked, {"C0GENERAL": "read"})
    content = canvas.content.decode()
    assert content.startswith("# Plan for May\n\nWe ship https://a.example in *May*, says @here.\n")
    assert content.endswith("### Last\n\n- a\n  - (1) b")
    stage.vendor.script(says("Sure."))
    await stage.sandbox.say("ada", "general", "@typist really?", asked)
    await stage.answers("general", asked, count=3)
    question, answer, _ = stage.prompts()[-1]
    assert (question["role"], answer["content"]) == ("user", LONG.rstrip()), "the link is no answer"


async def test_asker_and_admins_save_an_answer_once(stage: Stage, settings: Settings) -> None:
    asked, message = await answered(stage, settings)
    for user in ("grace", "ada"):
        assert await press(stage, message, ReplyAction.CANVAS, user) == texts.canvases.BEGUN
    await linked(stage, asked)
    assert await press(stage, message, ReplyAction.CANVAS) == texts.canvases.EXISTS
    assert len(canvases(stage)) == len(stage.calls("canvases.create")) == 1


REFUSALS = {
    "missing_scope": texts.canvases.FORBIDDEN,
    "canvas_disabled_user_team": texts.canvases.OFF,
    "canvas_creation_failed": texts.canvases.REFUSED,
    "restricted_action": texts.canvases.NOT_MADE,
}


@pytest.mark.parametrize(("error", "sentence"), REFUSALS.items(), ids=REFUSALS)
@pytest.mark.long(after_row=1)
async def test_presser_alone_is_told_of_a_refusal(stage: Stage, settings: Settings, error: str, sentence: str) -> None:
    asked, message = await answered(stage, settings)
    stage.sandbox.faults.start("refuse", method="canvases.create", error=error)
    await press(stage, message, ReplyAction.CANVAS, "grace")
    await stage.sandbox.wait_for(lambda: ("U0GRACE", sentence) in ephemerals(stage))
    assert len(stage.bots("general", asked)) == 1


async def test_deleted_answer_takes_its_canvas_along(stage: Stage, settings: Settings) -> None:
    asked, message, *_ = await saved(stage, settings)
    await press(stage, message, ReplyAction.DELETE)
    await stage.sandbox.wait_for(lambda: not stage.bots("general", asked) and not canvases(stage))


async def test_answer_that_was_asked_for_as_a_canvas_becomes_one_at_its_end(stage: Stage, settings: Settings) -> None:
    stage.vendor.script(says("# Plan\n\nWe ship."))
    asked = await stage.mention("write the plan as a canvas, please")
    canvas, _ = await linked(stage, asked)
    assert (canvas.title, canvas.content.decode(), canvas.readers) == (
        "Plan",
        "# Plan\n\nWe ship.",
        {"C0GENERAL": "read"},
    )
    assert CANVAS_RULE in stage.vendor.requests[-1].body["messages"][-1]["content"]
