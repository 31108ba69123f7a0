"""Calls that Slack rejects regardless of the workspace: the method, its arguments, and the name of the error."""

import json
from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from slack_sandbox.testing.bolt import actions, button, option, plain
from slack_sandbox.testing.requests import error_of
from slack_sandbox.workspace import Json

GENERAL = "C0GENERAL"
TS = "1700000000.000000"
"""No message has this ts."""


def markdown(characters: int) -> Json:
    return {"type": "markdown", "text": "x" * characters}


def section(text: str, **more: Any) -> Json:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}, **more}


@pytest.mark.parametrize(
    ("method", "arguments", "error"),
    [
        ("api.test", {"error": "my_error"}, "my_error"),
        ("api.test", {"error": "ratelimited"}, "ratelimited"),
        ("bots.info", {"bot": "B0NOBODY"}, "bot_not_found"),
        ("canvases.create", {"document_content": {"type": "blocks"}}, "invalid_arguments"),
        ("chat.getPermalink", {"channel": GENERAL, "message_ts": TS}, "message_not_found"),
        ("chat.postMessage", {"channel": "#nowhere", "text": "x"}, "channel_not_found"),
        ("chat.postMessage", {"channel": "C0NOWHERE", "text": "x"}, "channel_not_found"),
        ("chat.postMessage", {"channel": "mpdm-ada--grace--bot-1", "text": "x"}, "channel_not_found"),
        ("chat.postMessage", {"channel": "dm-ada", "text": "x"}, "channel_not_found"),
        ("chat.postMessage", {"channel": "", "text": "x"}, "invalid_arguments"),
        ("chat.scheduleMessage", {"channel": GENERAL, "text": "x", "post_at": 1_700_000_000}, "time_in_past"),
        ("chat.update", {"channel": GENERAL, "ts": TS, "text": "x"}, "message_not_found"),
        ("chat.update", {"channel": "#general", "ts": TS, "text": "x"}, "channel_not_found"),
        ("conversations.history", {"channel": "C0NOWHERE"}, "channel_not_found"),
        ("conversations.history", {"channel": "general"}, "channel_not_found"),
        ("conversations.history", {"channel": GENERAL, "cursor": "?"}, "invalid_cursor"),
        ("conversations.history", {"channel": GENERAL, "limit": "-1"}, "invalid_limit"),
        ("conversations.list", {"types": "public_channel,secret"}, "invalid_types"),
        ("conversations.open", {}, "users_list_not_supplied"),
        ("conversations.open", {"users": "U0NOBODY"}, "user_not_found"),
        ("conversations.open", {"users": "U0ADA,U0NOBODY"}, "user_not_found"),
        ("conversations.open", {"users": "U0BOT"}, "not_enough_users"),
        ("conversations.open", {"users": "U0BOTDEPLOYS"}, "cannot_dm_bot"),
        ("conversations.open", {"users": "U0KATHERINE"}, "user_disabled"),
        ("conversations.open", {"channel": GENERAL}, "method_not_supported_for_channel_type"),
        ("conversations.replies", {"channel": GENERAL, "ts": TS}, "thread_not_found"),
        ("files.getUploadURLExternal", {"filename": "", "length": 1}, "invalid_arguments"),
        ("files.getUploadURLExternal", {"filename": "a", "length": 0}, "invalid_arguments"),
        ("files.getUploadURLExternal", {"filename": "a", "length": 1, "snippet_type": "k"}, "unknown_snippet_type"),
        ("files.getUploadURLExternal", {"filename": "a", "length": 1, "alt_txt": "x" * 1_001}, "alt_txt_too_large"),
        ("reactions.get", {"channel": GENERAL}, "no_item_specified"),
        ("reactions.get", {"channel": GENERAL, "timestamp": TS}, "message_not_found"),
        ("reactions.remove", {"channel": GENERAL, "timestamp": TS, "name": "eyes"}, "message_not_found"),
        ("team.info", {"team": "T0PARTNERS"}, "team_not_found"),
        ("users.conversations", {"types": "secret"}, "invalid_types"),
        ("users.info", {"user": "U0NOBODY"}, "user_not_found"),
        ("users.lookupByEmail", {"email": "emmy@sandbox.example"}, "users_not_found"),
        ("users.lookupByEmail", {"email": "bot@sandbox.example"}, "users_not_found"),
        ("users.lookupByEmail", {"email": "nobody@sandbox.example"}, "users_not_found"),
        ("users.profile.get", {"user": "U0NOBODY"}, "user_not_found"),
    ],
)
async def test_call_is_refused(web: AsyncWebClient, method: str, arguments: Json, error: str) -> None:
    assert await error_of(web, method, **arguments) == error


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ({"text": ""}, "no_text"),
        ({"text": "  \n"}, "no_text"),
        ({"blocks": []}, "no_text"),
        ({"text": "x", "thread_ts": "yesterday"}, "invalid_thread_ts"),
        ({"text": "x", "metadata": {"event_type": "t"}}, "invalid_metadata_format"),
        ({"text": "x", "blocks": "nonsense"}, "invalid_blocks_format"),
        ({"text": "x", "blocks": [section("x")] * 51}, "invalid_blocks"),
        ({"text": "x", "blocks": [section("x", block_id="b"), section("y", block_id="b")]}, "invalid_blocks"),
        ({"text": "x", "blocks": [markdown(12_001)]}, "msg_too_long"),
        ({"text": "x", "blocks": [markdown(6_601)] * 2}, "msg_blocks_too_long"),
        ({"text": "x", "blocks": [section("x" * 2_900)] * 5}, "msg_blocks_too_long"),
        ({"markdown_text": "x" * 12_001}, "msg_too_long"),
        ({"markdown_text": "x", "text": "x"}, "markdown_text_conflict"),
    ],
)
async def test_post_is_refused(web: AsyncWebClient, content: Json, error: str) -> None:
    assert await error_of(web, "chat.postMessage", channel=GENERAL, **content) == error


def select(*options: Json) -> Json:
    return actions({"type": "static_select", "action_id": "model", "options": list(options)})


def external(**fields: Any) -> Json:
    return actions({"type": "external_select", "action_id": "city", "placeholder": plain("City"), **fields})


@pytest.mark.parametrize(
    "block",
    [
        {"type": "marquee"},
        section(""),
        section("x" * 3_001),
        section("x", fields=[plain("x")] * 11),
        section("x", block_id="b" * 256),
        section("x", accessory={"type": "feedback_buttons"}),
        {"type": "header", "text": section("x")["text"]},
        {"type": "markdown", "text": ""},
        {"type": "context", "elements": [plain("x")] * 11},
        {"type": "context", "elements": [plain("x" * 3_001)]},
        {"type": "context_actions", "elements": [button()]},
        {"type": "input", "element": {"type": "plain_text_input", "action_id": "a"}},
        actions(),
        {"type": "actions", "elements": ["Go"]},
        actions(button(), button()),
        actions(button(value="v" * 2_001)),
        actions(button("a" * 256)),
        actions(button(url="https://a.b/" + "u" * 3_000)),
        actions(button(text={"type": "mrkdwn", "text": "*Go*"})),
        actions(button(text=plain("g" * 76))),
        actions(button(style="green")),
        actions(button(confirm={"title": plain("t" * 101)})),
        select(),
        select(option("v" * 151)),
        actions({"type": "overflow", "action_id": "more", "options": [option(str(n)) for n in range(6)]}),
        actions({"type": "feedback_buttons", "action_id": "rate"}),
        external(min_query_length=-1),
        external(min_query_length="3"),
        external(initial_option={}),
    ],
    ids=lambda block: json.dumps(block)[:80],
)
async def test_invalid_block_is_refused(web: AsyncWebClient, block: Json) -> None:
    assert await error_of(web, "chat.postMessage", channel=GENERAL, text="x", blocks=[block]) == "invalid_blocks"
