"""Message metadata: the payload is shown if the app's manifest declares the type, or with include_all_metadata."""

from typing import Any

import aiohttp
import pytest
from slack_sdk.web.async_client import AsyncWebClient

from sandbox.server import Sandbox
from sandbox.workspace import Json
from tests.sandbox import manifests
from tests.sandbox.bolt import actions, button

GENERAL = "C0GENERAL"
WHOLE = {"event_type": "reply", "event_payload": {"job": 7}}
TYPE_ALONE = {"event_type": "reply"}


def manifest_with(where: str, app_id: str = "A0TYPIST") -> Json:
    manifest = manifests.classic()
    if where == "event_types":
        manifest["event_types"] = {"reply": {"type": "object", "properties": {}}}
    if where == "metadata_subscriptions":
        subscriptions = manifest["settings"]["event_subscriptions"]
        subscriptions["metadata_subscriptions"] = [{"app_id": app_id, "event_type": "reply"}]
    return manifest


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        (None, TYPE_ALONE),
        (manifest_with(""), TYPE_ALONE),
        (manifest_with("event_types"), WHOLE),
        (manifest_with("metadata_subscriptions"), WHOLE),
        (manifest_with("metadata_subscriptions", "*"), WHOLE),
        (manifest_with("metadata_subscriptions", "A0ANOTHER"), TYPE_ALONE),
    ],
)
async def test_metadata_payload_is_removed_unless_the_type_is_declared(
    session: aiohttp.ClientSession, manifest: Json | None, expected: Json
) -> None:
    async with Sandbox(manifest=manifest) as sandbox:
        web = AsyncWebClient(sandbox.bot_token, base_url=sandbox.api_url, session=session)
        post: dict[str, Any] = {"channel": GENERAL, "text": "x", "blocks": [actions(button())]}
        posted = await web.chat_postMessage(**post, metadata=WHOLE)
        changed = await web.chat_update(**{**post, "text": "y"}, ts=posted["ts"])
        history = await web.conversations_history(channel=GENERAL)
        events = [delivery.payload["event"] for delivery in sandbox.deliveries]
        messages = [posted["message"], changed["message"], history["messages"][0], events[0], events[-1]["message"]]
        assert [message["metadata"] for message in messages] == [expected] * 5
        full_history = await web.conversations_history(channel=GENERAL, include_all_metadata=True)
        assert full_history["messages"][0]["metadata"] == WHOLE


async def test_message_without_metadata_has_no_metadata_field(sandbox: Sandbox, web: AsyncWebClient) -> None:
    posted = await web.chat_postMessage(channel=GENERAL, text="x")
    assert "metadata" not in posted["message"]
