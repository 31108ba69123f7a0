"""The Previous button: the presser alone gets the previous version, in whatever form Slack accepts."""

from dataclasses import replace
from pathlib import Path

import pytest

from bot.core import texts
from bot.core.reply.actions import ReplyAction
from bot.settings import Settings
from sandbox.faults import FaultSettings
from sandbox.workspace import Message
from tests.scenarios.answers import answered, on_record, press, reply
from tests.scenarios.conftest import Stage, says

pytestmark = pytest.mark.long

FIRST = "The **first** answer, with `<!channel>` and [a link](https://example.com/a)."


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    return replace(settings, database_url=f"sqlite:///{tmp_path}/typist.db")


async def answered_twice(stage: Stage, settings: Settings) -> Message:
    """Asks, regenerates, and returns the reply. Its first version was FIRST."""
    stage.vendor.script(says(FIRST), says("The second."))
    asked, message = await answered(stage, settings)
    await press(stage, message, ReplyAction.REGENERATE)
    message = await reply(stage, asked, "The second.")
    await stage.answers("general", asked)
    await on_record(settings)
    return message


def last_ephemeral(stage: Stage) -> Message:
    """Returns the newest ephemeral message."""
    return stage.sandbox.workspace.ephemerals[-1]


async def test_previous_version_is_markdown_in_its_thread(stage: Stage, settings: Settings) -> None:
    message = await answered_twice(stage, settings)
    assert await press(stage, message, ReplyAction.PREVIOUS, "alan") == texts.PREVIOUS_VERSION
    (call,) = [call for call in stage.sandbox.calls if call.method == "chat.postEphemeral"]
    assert (call.ok, call.arguments["user"], call.arguments["thread_ts"]) == (True, "U0ALAN", message.thread_ts)
    (markdown,) = [block["text"] for block in call.arguments["blocks"] if block["type"] == "markdown"]
    assert "The **first** answer" in markdown


@pytest.mark.parametrize(
    ("fault", "setting"),
    [
        ("refuse", {"error": "user_not_in_channel"}),
        ("refuse", {"error": "msg_blocks_too_long"}),
        ("unknown_error", {}),
        ("rate_limit", {}),
        ("stream_timeout", {}),
        ("html_200", {}),
        ("list_200", {}),
        ("drop_request", {}),
    ],
)
async def test_previous_version_is_plain_text_if_slack_refuses_markdown(
    stage: Stage, settings: Settings, fault: str, setting: FaultSettings
) -> None:
    message = await answered_twice(stage, settings)
    stage.sandbox.faults.start(fault, method="chat.postEphemeral", times=1, **setting)  # type: ignore[misc]
    notice = await press(stage, message, ReplyAction.PREVIOUS)
    assert notice is not None
    assert notice.startswith(f"{texts.PREVIOUS_VERSION}\n\nThe **first** answer")
    assert "<!channel>" not in notice
    assert last_ephemeral(stage).thread_ts == message.thread_ts
    assert stage.sandbox.workspace.notified == []


async def test_previous_version_reaches_people_who_are_not_in_the_channel(stage: Stage, settings: Settings) -> None:
    message = await answered_twice(stage, settings)
    stage.sandbox.workspace.leave("general", "grace")
    notice = await press(stage, message, ReplyAction.PREVIOUS, "grace")
    assert notice is not None
    assert notice.startswith(texts.PREVIOUS_VERSION)
    assert stage.sandbox.calls[-1].error == "user_not_in_channel"


async def test_previous_version_stays_in_the_thread_of_an_ephemeral_message(stage: Stage, settings: Settings) -> None:
    message = await answered_twice(stage, settings)
    await stage.sandbox.edit("general", str(message.thread_ts), "@typist what else?")
    (offer,) = await stage.sandbox.wait_for(lambda: list(stage.sandbox.workspace.ephemerals))
    job_id = offer.blocks[1]["elements"][0]["value"]
    assert await press(stage, offer, ReplyAction.PREVIOUS, value=job_id) == texts.PREVIOUS_VERSION
    assert last_ephemeral(stage).thread_ts == message.thread_ts
