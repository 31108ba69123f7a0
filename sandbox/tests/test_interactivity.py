"""Buttons and menus: the payloads that a Bolt app receives, and its responses."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from slack_sandbox.server import Sandbox
from slack_sandbox.testing.bolt import actions, button, connected, new_app, option, plain
from slack_sandbox.testing.requests import error_name, respond
from slack_sandbox.workspace import Json
from tests.conftest import ManualTime

GENERAL = "C0GENERAL"
SECTION = {"type": "section", "text": plain("A growing answer")}


class PressRecorder:
    """A Bolt app that records interactions."""

    def __init__(self, bolt: AsyncApp) -> None:
        self.bolt = bolt
        self.bodies: list[Json] = []
        self.acknowledges = True

        async def record(ack: Any, body: Json) -> None:
            self.bodies.append(body)
            if self.acknowledges:
                await ack()

        bolt.action({"type": "block_actions"})(record)
        for name in ("stop", "model", "more", "who", "rate", "remove"):
            bolt.action(name)(record)

    @property
    def last(self) -> Json:
        return self.bodies[-1]


@pytest.fixture
async def recorder(sandbox: Sandbox, session: aiohttp.ClientSession) -> AsyncIterator[PressRecorder]:
    recorder = PressRecorder(new_app(sandbox, session))
    async with connected(recorder.bolt, sandbox):
        yield recorder


async def post(web: AsyncWebClient, *elements: Json, **fields: Any) -> str:
    posted = await web.chat_postMessage(channel=GENERAL, text="x", blocks=[SECTION, actions(*elements)], **fields)
    return str(posted["ts"])


async def test_press_payload_has_all_fields(sandbox: Sandbox, web: AsyncWebClient, recorder: PressRecorder) -> None:
    root = await sandbox.say("grace", "general", "question")
    ts = await post(web, button(style="danger"), thread_ts=root)
    assert await sandbox.client("ada").press("general", ts, "stop")
    body = recorder.last
    (action,) = body["actions"]
    assert action.pop("action_ts")
    assert action == {
        "type": "button",
        "action_id": "stop",
        "block_id": "controls",
        "value": "job-1",
        "text": plain("Stop"),
        "style": "danger",
    }
    assert body["user"] == {"id": "U0ADA", "username": "ada", "name": "ada", "team_id": sandbox.team_id}
    assert body["channel"] == {"id": GENERAL, "name": "general"}
    assert body["container"] == {
        "type": "message",
        "message_ts": ts,
        "channel_id": GENERAL,
        "is_ephemeral": False,
        "thread_ts": root,
    }
    assert (body["message"]["ts"], body["message"]["thread_ts"]) == (ts, root)
    assert body["state"] == {"values": {}}
    assert body["trigger_id"]


SELECT = {"type": "static_select", "action_id": "model", "options": [option("small"), option("large")]}
OVERFLOW = {"type": "overflow", "action_id": "more", "options": [option("again"), option("delete")]}
USERS = {"type": "multi_users_select", "action_id": "who"}


@pytest.mark.parametrize(
    ("element", "value", "expected", "state"),
    [
        (SELECT, "large", {"selected_option": option("large")}, {"selected_option": option("large")}),
        (OVERFLOW, "again", {"selected_option": option("again")}, None),
        (USERS, ["U0ADA", "U0ALAN"], {"selected_users": ["U0ADA", "U0ALAN"]}, {"selected_users": ["U0ADA", "U0ALAN"]}),
        (button(), "job-2", {"value": "job-2"}, None),
    ],
)
async def test_press_payload_has_the_elements_choice(
    sandbox: Sandbox,
    web: AsyncWebClient,
    recorder: PressRecorder,
    element: Json,
    value: Any,
    expected: Json,
    state: Any,
) -> None:
    ts = await post(web, element)
    await sandbox.client("ada").press("general", ts, element["action_id"], value)
    assert expected.items() <= recorder.last["actions"][0].items()
    values = recorder.last["state"]["values"]
    expected_state = {"type": element["type"], **state} if state else None
    assert values.get("controls", {}).get(element["action_id"]) == expected_state


@pytest.mark.parametrize(("value", "label"), [("good", "Good answer"), ("bad", "Bad answer")])
async def test_feedback_payload_has_the_pressed_button(
    sandbox: Sandbox, web: AsyncWebClient, recorder: PressRecorder, value: str, label: str
) -> None:
    element = {
        "type": "feedback_buttons",
        "action_id": "rate",
        "positive_button": {"text": plain("Good answer"), "value": "good"},
        "negative_button": {"text": plain("Bad answer"), "value": "bad"},
    }
    icon = {"type": "icon_button", "action_id": "remove", "icon": "trash", "text": plain("Delete")}
    block = {"type": "context_actions", "elements": [element, icon]}
    ts = (await web.chat_postMessage(channel=GENERAL, text="x", blocks=[SECTION, block]))["ts"]
    await sandbox.client("ada").press("general", ts, "rate", value)
    action = recorder.last["actions"][0]
    assert (action["type"], action["value"], action["text"]) == ("feedback_buttons", value, plain(label))
    assert action["block_id"]
    await sandbox.client("ada").press("general", ts, "remove")
    assert recorder.last["actions"][0]["icon"] == "trash"


async def test_forged_press_is_passed_on(sandbox: Sandbox, web: AsyncWebClient, recorder: PressRecorder) -> None:
    ts = await post(web, button())
    await sandbox.client("alan").press("general", ts, "stop", "somebody-else's-job")
    assert recorder.last["actions"][0]["value"] == "somebody-else's-job"
    await sandbox.client("alan").press("general", ts, "remove", "made up")
    assert recorder.last["actions"][0]["action_id"] == "remove"
    assert await error_name(sandbox.client("alan").press("general", ts, "remove")) == "action_not_found"


async def test_button_of_a_deleted_message_can_still_be_pressed(
    sandbox: Sandbox, web: AsyncWebClient, recorder: PressRecorder
) -> None:
    ts = await post(web, button())
    await web.chat_delete(channel=GENERAL, ts=ts)
    assert await sandbox.client("ada").press("general", ts, "stop")
    assert await respond(recorder.last["response_url"], text="It is gone.", replace_original=True) == (200, "ok")
    assert sandbox.messages("general") == []


async def test_press_is_not_acknowledged_after_the_timeout(
    sandbox: Sandbox, web: AsyncWebClient, recorder: PressRecorder
) -> None:
    ts = await post(web, button())
    sandbox.sockets.ack_timeout_s = 0.1
    recorder.acknowledges = False
    assert not await sandbox.client("ada").press("general", ts, "stop")


async def test_press_is_not_acknowledged_without_a_connection(sandbox: Sandbox, web: AsyncWebClient) -> None:
    ts = await post(web, button())
    assert not await sandbox.client("ada").press("general", ts, "stop")


async def test_response_is_ephemeral_to_the_person_who_pressed(
    sandbox: Sandbox, web: AsyncWebClient, recorder: PressRecorder
) -> None:
    ts = await post(web, button())
    await sandbox.client("ada").press("general", ts, "stop")
    assert await respond(recorder.last["response_url"], text="Only the asker may.") == (200, "ok")
    (ephemeral,) = sandbox.workspace.ephemerals
    assert (ephemeral.ephemeral_to, ephemeral.text, ephemeral.channel) == ("U0ADA", "Only the asker may.", GENERAL)
    assert [message.ts for message in sandbox.messages("general")] == [ts]


async def test_response_can_replace_and_delete_the_message(
    sandbox: Sandbox, web: AsyncWebClient, recorder: PressRecorder
) -> None:
    ts = await post(web, button())
    await sandbox.client("ada").press("general", ts, "stop")
    url = recorder.last["response_url"]
    await respond(url, text="Stopped.", replace_original=True)
    assert [(message.text, message.sent_blocks) for message in sandbox.messages("general")] == [("Stopped.", ())]
    await respond(url, text="for all", response_type="in_channel")
    assert [message.text for message in sandbox.messages("general")] == ["Stopped.", "for all"]
    await respond(url, delete_original=True)
    assert [message.text for message in sandbox.messages("general")] == ["for all"]


async def test_response_url_expires_after_five_uses_or_30_minutes(
    sandbox: Sandbox, web: AsyncWebClient, recorder: PressRecorder, clock: ManualTime
) -> None:
    ts = await post(web, button())
    await sandbox.client("ada").press("general", ts, "stop")
    url = recorder.last["response_url"]
    assert {await respond(url, text="again") for _ in range(5)} == {(200, "ok")}
    assert (await respond(url, text="again"))[0] == 404
    await sandbox.client("ada").press("general", ts, "stop")
    clock.now_s += 1_801
    assert "expired_url" in (await respond(recorder.last["response_url"], text="late"))[1]


async def test_only_the_recipient_can_press_an_ephemeral_messages_button(
    sandbox: Sandbox, web: AsyncWebClient, recorder: PressRecorder
) -> None:
    posted = await web.chat_postEphemeral(channel=GENERAL, user="U0ADA", text="x", blocks=[actions(button())])
    await sandbox.client("ada").press("general", posted["message_ts"], "stop")
    assert recorder.last["container"]["is_ephemeral"] is True
    assert "message" not in recorder.last
    assert (
        await error_name(sandbox.client("grace").press("general", posted["message_ts"], "stop")) == "message_not_found"
    )
    await respond(recorder.last["response_url"], delete_original=True)
    assert not sandbox.workspace.ephemerals
    assert await error_name(web.chat_update(channel=GENERAL, ts=posted["message_ts"], text="x")) == "message_not_found"
