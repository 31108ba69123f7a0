"""A message's metadata: what it holds is shown where the app's manifest declares its type, or all is asked for."""

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


def declaring(where: str, app_id: str = "A0TYPIST") -> Json:
    manifest = manifests.classic()
    if where == "event_types":
        manifest["event_types"] = {"reply": {"type": "object", "properties": {}}}
    if where == "metadata_subscriptions":
        subscriptions = manifest["settings"]["event_subscriptions"]
        subscriptions["metadata_subscriptions"] = [{"app_id": app_id, "event_type": "reply"}]
    return manifest


@pytest.mark.parametrize(
    ("manifest", "shown"),
    [
        (None, TYPE_ALONE),
        (declaring(""), TYPE_ALONE),
        (declaring("event_types"), WHOLE),
        (declaring("metadata_subscriptions"), WHOLE),
        (declaring("metadata_subscriptions", "*"), WHOLE),
        (declaring("metadata_subscriptions", "A0ANOTHER"), TYPE_ALONE),
    ],
)
async def test_metadata_is_stripped_unless_it_is_declared(
    session: aiohttp.ClientSession, manifest: Json | None, shown: Json
) -> None:
    async with Sandbox(manifest=manifest) as sandbox:
        web = AsyncWebClient(sandbox.bot_token, base_url=sandbox.api_url, session=session)
        post: dict[str, Any] = {"channel": GENERAL, "text": "x", "blocks": [actions(button())]}
        posted = await web.chat_postMessage(**post, metadata=WHOLE)
        changed = await web.chat_update(**{**post, "text": "y"}, ts=posted["ts"])
        read = await web.conversations_history(channel=GENERAL)
        told = [delivery.payload["event"] for delivery in sandbox.deliveries]
        seen = [posted["message"], changed["message"], read["messages"][0], told[0], told[-1]["message"]]
        assert [message["metadata"] for message in seen] == [shown] * 5
        whole = await web.conversations_history(channel=GENERAL, include_all_metadata=True)
        assert whole["messages"][0]["metadata"] == WHOLE


async def test_a_message_without_metadata_has_none(sandbox: Sandbox, web: AsyncWebClient) -> None:
    posted = await web.chat_postMessage(channel=GENERAL, text="x")
    assert "metadata" not in posted["message"]
