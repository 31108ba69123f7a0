"""Message metadata: the payload is shown if the app's manifest declares the type, or with include_all_metadata."""

from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from slack_sandbox.server import Sandbox
from slack_sandbox.testing import manifests
from slack_sandbox.testing.bolt import actions, button
from slack_sandbox.workspace import Json
from tests.conftest import sent_events

GENERAL = "C0GENERAL"
WHOLE = {"event_type": "reply", "event_payload": {"job": 7}}
TYPE_ALONE = {"event_type": "reply"}


def manifest_with(where: str, app_id: str = "A0BOT") -> Json:
    manifest = manifests.classic()
    if where == "event_types":
        manifest["event_types"] = {"reply": {"type": "object", "properties": {}}}
    if where == "metadata_subscriptions":
        subscriptions = manifest["settings"]["event_subscriptions"]
        subscriptions["metadata_subscriptions"] = [{"app_id": app_id, "event_type": "reply"}]
    return manifest


@pytest.mark.parametrize(
    ("sandbox", "expected"),
    [
        ({}, TYPE_ALONE),
        ({"manifest": manifest_with("")}, TYPE_ALONE),
        ({"manifest": manifest_with("event_types")}, WHOLE),
        ({"manifest": manifest_with("metadata_subscriptions")}, WHOLE),
        ({"manifest": manifest_with("metadata_subscriptions", "*")}, WHOLE),
        ({"manifest": manifest_with("metadata_subscriptions", "A0ANOTHER")}, TYPE_ALONE),
    ],
    indirect=["sandbox"],
)
async def test_metadata_payload_is_removed_unless_the_type_is_declared(
    sandbox: Sandbox, web: AsyncWebClient, expected: Json
) -> None:
    post: dict[str, Any] = {"channel": GENERAL, "text": "x", "blocks": [actions(button())]}
    posted = await web.chat_postMessage(**post, metadata=WHOLE)
    changed = await web.chat_update(**{**post, "text": "y"}, ts=posted["ts"])
    history = await web.conversations_history(channel=GENERAL)
    events = sent_events(sandbox)
    messages = [posted["message"], changed["message"], history["messages"][0], events[0], events[-1]["message"]]
    assert [message["metadata"] for message in messages] == [expected] * 5
    full_history = await web.conversations_history(channel=GENERAL, include_all_metadata=True)
    assert full_history["messages"][0]["metadata"] == WHOLE


async def test_message_without_metadata_has_no_metadata_field(sandbox: Sandbox, web: AsyncWebClient) -> None:
    posted = await web.chat_postMessage(channel=GENERAL, text="x")
    assert "metadata" not in posted["message"]
