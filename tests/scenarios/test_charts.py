"""An answer's chart, as people see it: beside its table, and only that where Slack takes no chart."""

import pytest

from bot.core.actions import ReplyAction
from bot.settings import Settings
from slack_sandbox.workspace import Message
from tests.scenarios.answers import answered, press
from tests.scenarios.conftest import Stage, footer, says

pytestmark = pytest.mark.skips_waits

TABLE = "| Quarter | Sales |\n|---|---|\n| Q1 | 4 |\n| Q2 | 5 |"
ANSWER = f"Sales grew:\n\n{TABLE}\n\n```chart\nbar: Sales\n```\n\nThat is all."


def kinds(message: Message) -> list[str]:
    return [block["type"] for block in message.blocks]


async def answer(stage: Stage) -> Message:
    stage.vendor.script(says(ANSWER, pause_s=0.1))
    asked = await stage.mention("a chart of sales, please")
    [message] = await stage.sandbox.wait_for(lambda: [one for one in stage.bots("general", asked) if footer(one)])
    return message


async def test_numbers_are_drawn_below_their_table_once_the_answer_is_whole(stage: Stage) -> None:
    message = await answer(stage)
    assert kinds(message).count("table") == kinds(message).count("data_visualization") == 1
    assert "bar: Sales" not in str(message.blocks)
    drawn = ["data_visualization" in str(shown) for shown in stage.sandbox.revisions("general", message.ts)]
    assert drawn.index(True) == len(drawn) - 1 > 0


@pytest.mark.bot(carrier="stream")
async def test_streamed_answer_ends_with_its_chart(stage: Stage) -> None:
    message = await answer(stage)
    assert "data_visualization" in kinds(message)
    assert stage.calls("chat.startStream")


@pytest.mark.bot(on_disk=True)
async def test_canvas_has_the_table_without_the_mark(stage: Stage, settings: Settings) -> None:
    long = "Words of it.\n\n" * 300
    stage.vendor.script(says(f"{long}{ANSWER}"))
    _, message = await answered(stage, settings)
    await press(stage, message, ReplyAction.CANVAS)
    [canvas] = await stage.sandbox.wait_for(
        lambda: [one for one in stage.sandbox.files.all_files() if one.is_canvas], 600
    )
    content = canvas.content.decode()
    assert "Q1" in content
    assert "bar: Sales" not in content
