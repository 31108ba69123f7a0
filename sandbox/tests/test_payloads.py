"""Recorded Slack payloads (slack_sandbox/testing/payloads) have the same shapes as the sandbox's."""

import json
from pathlib import Path

import pytest

from slack_sandbox.testing import payloads
from slack_sandbox.testing.shapes import events, interactivity, web_api
from slack_sandbox.testing.shapes.shape import Shape, problems

PAYLOADS = Path(payloads.__file__).parent
NAMES = sorted(path.relative_to(PAYLOADS).with_suffix("").as_posix() for path in PAYLOADS.glob("*/*.json"))
METHODS = {
    "auth_test": "auth.test",
    "chat_postMessage": "chat.postMessage",
    "chat_update": "chat.update",
    "chat_getPermalink": "chat.getPermalink",
    "conversations_info_mpim": "conversations.info",
    "conversations_info_private_channel": "conversations.info",
    "conversations_list": "conversations.list",
    "conversations_open": "conversations.open",
    "conversations_replies": "conversations.replies",
    "files_completeUploadExternal": "files.completeUploadExternal",
    "files_getUploadURLExternal": "files.getUploadURLExternal",
    "team_info": "team.info",
}


def shape_of(name: str) -> Shape:
    folder, _, stem = name.partition("/")
    match folder:
        case "events":
            return events.EVENT
        case "socket_mode":
            return events.HELLO if stem == "hello" else events.SOCKET_EVENT
        case "interactivity":
            return interactivity.COMMAND if stem == "slash_command" else interactivity.INTERACTIVE
    if stem.startswith("error"):
        return web_api.REFUSAL
    if stem == "assistant_search_context":
        return web_api.SEARCHED
    return web_api.ANSWERS["users.info" if stem.startswith("users_info") else METHODS[stem]]


@pytest.mark.parametrize("name", NAMES)
def test_payload_has_its_declared_shape(name: str) -> None:
    assert problems(json.loads((PAYLOADS / f"{name}.json").read_text()), shape_of(name)) == []
