"""Canvases: those that people share or link are read."""

import pytest

from bot.core import texts
from slack_sandbox.files import UploadedFile, canvas_link
from slack_sandbox.server import Sandbox
from tests.marked import unmarked
from tests.scenarios.conftest import Stage

pytestmark = pytest.mark.skips_waits

ANSWER = "The whole answer."
PLAN = UploadedFile("Plan.canvas", b"# Plan\n\nWe ship by balloon.")
READ = "(Attached: Plan)\n(As Markdown)\n```markdown\n# Plan\n\nWe ship by balloon.\n```"


async def shared_id(sandbox: Sandbox, channel: str) -> str:
    ts = await sandbox.share("grace", channel, "Here it is.", [PLAN])
    return str(sandbox.workspace.message(sandbox.workspace.channel(channel).id, ts).files[0]["id"])


async def answer_to(stage: Stage, text: str) -> str:
    return (await stage.answers("general", await stage.mention(text)))[-1]


def asked(stage: Stage, number: int = -1) -> str:
    """Returns the question in a request to the vendor."""
    return unmarked(stage.prompts()[number][-1]["content"])


async def test_shared_canvas_is_read_as_markdown(stage: Stage) -> None:
    ts = await stage.sandbox.share("ada", "general", "@typist when?", [PLAN])
    assert await stage.answers("general", ts) == [ANSWER]
    assert asked(stage) == f"when?\n\n{READ}"


async def test_linked_canvas_that_is_shared_in_the_channel_is_read(stage: Stage) -> None:
    canvas_id = await shared_id(stage.sandbox, "general")
    assert await answer_to(stage, f"when? {canvas_link(canvas_id)}") == ANSWER
    assert asked(stage) == f"when? {canvas_link(canvas_id)}\n\n{READ}"


@pytest.mark.parametrize("is_member", [True, False])
async def test_linked_canvas_of_another_channel_is_not_read_nor_named(stage: Stage, is_member: bool) -> None:
    canvas_id = await shared_id(stage.sandbox, "random")
    if not is_member:
        stage.sandbox.workspace.leave("random", stage.sandbox.bot_user_id)
    answer = await answer_to(stage, f"when? {canvas_link(canvas_id)}")
    reason = texts.files.Unread.CANVAS_NOT_SHARED.value if is_member else texts.files.Unread.CANVAS_NOT_FOUND.value
    assert answer == f"{ANSWER}\nNot read: {texts.canvases.UNNAMED} ({reason})."
    assert not any(word in str(request.body) for request in stage.vendor.requests for word in ("Plan", "balloon"))
    assert stage.calls("canvases.getContent") == []
