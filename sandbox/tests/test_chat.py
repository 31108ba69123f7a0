"""chat.* through the real SDK: Slack's rules, sizes and error names."""

from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from slack_sandbox.server import Sandbox
from slack_sandbox.testing.bolt import actions, button, plain
from slack_sandbox.testing.requests import error_of
from slack_sandbox.workspace import Json

GENERAL = "C0GENERAL"


def markdown(characters: int) -> list[Json]:
    return [{"type": "markdown", "text": "x" * characters}]


def section(text: str, **more: Any) -> Json:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}, **more}


async def test_posted_message_appears_in_its_channel(sandbox: Sandbox, web: AsyncWebClient) -> None:
    answer = await web.chat_postMessage(channel=GENERAL, text="hi", blocks=markdown(5))
    (message,) = sandbox.messages("general")
    assert (message.ts, message.text, message.sent_blocks) == (answer["ts"], "hi", tuple(markdown(5)))
    assert answer["message"]["blocks"] == list(message.blocks)
    assert answer["message"]["bot_id"] == "B0BOT"


async def test_timestamps_are_unique_and_increasing(web: AsyncWebClient) -> None:
    posted = [(await web.chat_postMessage(channel=GENERAL, text=str(n)))["ts"] for n in range(8)]
    assert posted == sorted(set(posted))


@pytest.mark.parametrize(
    "arguments",
    [
        {"text": "x" * 40_000},
        {"text": "x", "blocks": markdown(12_000)},
        {"text": "x", "blocks": markdown(6_600) * 2},
        {"text": "x", "blocks": [section("x" * 3_000)] * 4},
        {"text": "x", "blocks": [section("x")] * 50},
        {"text": "x", "blocks": [actions(button("a" * 255, "v" * 2_000, text=plain("t" * 75)))]},
        {"markdown_text": "x" * 12_000},
    ],
)
async def test_post_at_a_limit_is_accepted(web: AsyncWebClient, arguments: Json) -> None:
    assert (await web.chat_postMessage(channel=GENERAL, **arguments))["ok"]


async def test_post_text_is_truncated_at_40_000_characters(sandbox: Sandbox, web: AsyncWebClient) -> None:
    await web.chat_postMessage(channel=GENERAL, text="x" * 40_001)
    assert len(sandbox.messages("general")[0].text) == 40_000


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"text": "x" * 4_001}, "msg_too_long"),
        ({"text": "x", "blocks": markdown(12_001)}, "msg_too_long"),
        ({"text": "x", "ts": "1700000000.000000"}, "message_not_found"),
        ({"text": ""}, "no_text"),
    ],
)
async def test_invalid_edit_is_refused(web: AsyncWebClient, arguments: Json, error: str) -> None:
    posted = await web.chat_postMessage(channel=GENERAL, text="…")
    assert await error_of(web, "chat.update", **{"channel": GENERAL, "ts": posted["ts"], **arguments}) == error


async def test_edit_replaces_the_content_and_names_the_bot_as_editor(sandbox: Sandbox, web: AsyncWebClient) -> None:
    metadata = {"event_type": "reply", "event_payload": {"job": 7}}
    posted = await web.chat_postMessage(channel=GENERAL, text="…", blocks=markdown(3), metadata=metadata)
    await web.chat_update(channel=GENERAL, ts=posted["ts"], text="long" * 1_000, blocks=markdown(4_001))
    updated = await web.chat_update(channel=GENERAL, ts=posted["ts"], text="plain")
    (message,) = sandbox.messages("general")
    assert (message.text, message.sent_blocks) == ("plain", ()), "text without blocks removes the blocks"
    assert [element["elements"] for element in message.blocks[0]["elements"]] == [[{"type": "text", "text": "plain"}]]
    assert updated["message"]["edited"]["user"] == "B0BOT"
    assert updated["message"]["edited"]["ts"].endswith(".000000"), "in whole seconds"
    assert message.metadata == metadata
    assert [revision.text[:5] for revision in sandbox.revisions("general", message.ts)] == ["…", "longl", "plain"]


async def test_bot_can_change_only_its_own_messages(sandbox: Sandbox, web: AsyncWebClient) -> None:
    ts = await sandbox.say("ada", "general", "mine")
    assert await error_of(web, "chat.update", channel=GENERAL, ts=ts, text="x") == "cant_update_message"
    assert await error_of(web, "chat.delete", channel=GENERAL, ts=ts) == "cant_delete_message"


async def test_deleted_message_is_not_found(sandbox: Sandbox, web: AsyncWebClient) -> None:
    posted = await web.chat_postMessage(channel=GENERAL, text="…")
    await web.chat_delete(channel=GENERAL, ts=posted["ts"])
    assert sandbox.messages("general") == []
    assert await error_of(web, "chat.update", channel=GENERAL, ts=posted["ts"], text="x") == "message_not_found"


async def test_deleted_root_with_replies_becomes_a_tombstone(sandbox: Sandbox, web: AsyncWebClient) -> None:
    root = await sandbox.say("ada", "general", "question")
    await web.chat_postMessage(channel=GENERAL, text="answer", thread_ts=root)
    await sandbox.delete("general", root)
    thread = await web.conversations_replies(channel=GENERAL, ts=root)
    assert [m.get("subtype") for m in thread["messages"]] == ["tombstone", None]


@pytest.mark.parametrize(("channel", "error"), [("random", "not_in_channel"), ("project-x", "channel_not_found")])
async def test_bot_cannot_post_in_a_channel_that_it_has_not_joined(
    sandbox: Sandbox, web: AsyncWebClient, channel: str, error: str
) -> None:
    sandbox.workspace.leave(channel, "bot")
    channel_id = sandbox.workspace.channel(channel).id
    assert await error_of(web, "chat.postMessage", channel=channel_id, text="x") == error


async def test_archived_channel_refuses_posts_and_edits(sandbox: Sandbox, web: AsyncWebClient) -> None:
    posted = await web.chat_postMessage(channel=GENERAL, text="x")
    sandbox.workspace.channel("general").archived = True
    assert await error_of(web, "chat.postMessage", channel=GENERAL, text="x") == "is_archived"
    assert await error_of(web, "chat.update", channel=GENERAL, ts=posted["ts"], text="y") == "is_inactive"


async def test_thread_ts_of_a_reply_is_refused(sandbox: Sandbox, web: AsyncWebClient) -> None:
    root = await sandbox.say("ada", "general", "question")
    reply = await web.chat_postMessage(channel=GENERAL, text="answer", thread_ts=root)
    assert reply["message"]["thread_ts"] == root
    error = await error_of(web, "chat.postMessage", channel=GENERAL, text="x", thread_ts=reply["ts"])
    assert error == "cannot_reply_to_message"
    await web.chat_postEphemeral(channel=GENERAL, user="U0ADA", text="only you", thread_ts=reply["ts"])
    assert sandbox.workspace.ephemerals[0].thread_ts == root


async def test_ephemeral_message_is_not_in_the_history(sandbox: Sandbox, web: AsyncWebClient) -> None:
    answer = await web.chat_postEphemeral(channel=GENERAL, user="U0ADA", text="only you")
    assert sandbox.messages("general") == []
    assert sandbox.workspace.ephemerals[0].ts == answer["message_ts"]
    error = await error_of(web, "chat.update", channel=GENERAL, ts=answer["message_ts"], text="x")
    assert error == "message_not_found"


@pytest.mark.parametrize(
    ("arguments", "notified"),
    [
        ({"text": "&lt;!channel&gt; @here", "blocks": [{"type": "markdown", "text": "&lt;@U0ADA&gt;"}]}, []),
        ({"text": "<!channel> and <!subteam^S012|@team>"}, ["<!channel>", "<!subteam^S012|@team>"]),
        ({"text": "x", "blocks": [{"type": "markdown", "text": "<@U0ADA> <!here>"}]}, ["user:U0ADA", "broadcast:here"]),
        ({"text": "x", "blocks": [{"type": "markdown", "text": "`<@U0ADA>`"}]}, []),
        ({"text": "x", "blocks": [section("<!here>")]}, ["<!here>"]),
        ({"text": "@channel", "link_names": True}, ["@channel"]),
    ],
)
async def test_control_sequences_that_notify_people_are_recorded(
    sandbox: Sandbox, web: AsyncWebClient, arguments: Json, notified: list[str]
) -> None:
    await web.chat_postMessage(channel=GENERAL, **arguments)
    assert [notification.control for notification in sandbox.workspace.notified] == notified


async def test_form_encoded_call_is_accepted(sandbox: Sandbox, web: AsyncWebClient) -> None:
    blocks = '[{"type": "markdown", "text": "form"}]'
    await web.api_call("chat.postMessage", data={"channel": GENERAL, "text": "x", "blocks": blocks})
    assert sandbox.messages("general")[0].sent_blocks == ({"type": "markdown", "text": "form"},)
