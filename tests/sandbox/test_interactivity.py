"""Buttons and menus: what a press tells a Bolt app, and what the app can do in answer."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from sandbox.server import Sandbox
from sandbox.workspace import Json, SlackError
from tests.sandbox.bolt import actions, button, connected, new_app, option, plain
from tests.sandbox.conftest import ManualClock

GENERAL = "C0GENERAL"
SAID = {"type": "section", "text": plain("A growing answer")}


class Pressed:
    """A Bolt app that keeps what is pressed."""

    def __init__(self, bolt: AsyncApp) -> None:
        self.bolt = bolt
        self.bodies: list[Json] = []
        self.acknowledges = True

        async def keep(ack: Any, body: Json) -> None:
            self.bodies.append(body)
            if self.acknowledges:
                await ack()

        bolt.action({"type": "block_actions"})(keep)
        for name in ("stop", "model", "more", "who", "rate", "remove"):
            bolt.action(name)(keep)

    @property
    def last(self) -> Json:
        return self.bodies[-1]


@pytest.fixture
async def pressed(sandbox: Sandbox, session: aiohttp.ClientSession) -> AsyncIterator[Pressed]:
    sandbox.sockets.ack_timeout_s = 3.0
    pressed = Pressed(new_app(sandbox, session))
    async with connected(pressed.bolt, sandbox):
        yield pressed


async def post(web: AsyncWebClient, *elements: Json, **more: Any) -> str:
    """A message with these elements; its ts."""
    said = await web.chat_postMessage(channel=GENERAL, text="x", blocks=[SAID, actions(*elements)], **more)
    return str(said["ts"])


async def test_a_press_is_told_whole(sandbox: Sandbox, web: AsyncWebClient, pressed: Pressed) -> None:
    root = await sandbox.say("grace", "general", "question")
    ts = await post(web, button(style="danger"), thread_ts=root)
    assert await sandbox.client("ada").press("general", ts, "stop")
    body = pressed.last
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
MORE = {"type": "overflow", "action_id": "more", "options": [option("again"), option("delete")]}
WHO = {"type": "multi_users_select", "action_id": "who"}


@pytest.mark.parametrize(
    ("element", "value", "expected", "state"),
    [
        (SELECT, "large", {"selected_option": option("large")}, {"selected_option": option("large")}),
        (MORE, "again", {"selected_option": option("again")}, None),
        (WHO, ["U0ADA", "U0ALAN"], {"selected_users": ["U0ADA", "U0ALAN"]}, {"selected_users": ["U0ADA", "U0ALAN"]}),
        (button(), "job-2", {"value": "job-2"}, None),
    ],
)
async def test_each_element_tells_what_was_chosen(
    sandbox: Sandbox, web: AsyncWebClient, pressed: Pressed, element: Json, value: Any, expected: Json, state: Any
) -> None:
    ts = await post(web, element)
    await sandbox.client("ada").press("general", ts, element["action_id"], value)
    assert expected.items() <= pressed.last["actions"][0].items()
    values = pressed.last["state"]["values"]
    held = {"type": element["type"], **state} if state else None
    assert values.get("controls", {}).get(element["action_id"]) == held


@pytest.mark.parametrize(("value", "label"), [("good", "Good answer"), ("bad", "Bad answer")])
async def test_feedback_tells_which_thumb_it_was(
    sandbox: Sandbox, web: AsyncWebClient, pressed: Pressed, value: str, label: str
) -> None:
    element = {
        "type": "feedback_buttons",
        "action_id": "rate",
        "positive_button": {"text": plain("Good answer"), "value": "good"},
        "negative_button": {"text": plain("Bad answer"), "value": "bad"},
    }
    icon = {"type": "icon_button", "action_id": "remove", "icon": "trash", "text": plain("Delete")}
    block = {"type": "context_actions", "elements": [element, icon]}
    ts = (await web.chat_postMessage(channel=GENERAL, text="x", blocks=[SAID, block]))["ts"]
    await sandbox.client("ada").press("general", ts, "rate", value)
    action = pressed.last["actions"][0]
    assert (action["type"], action["value"], action["text"]) == ("feedback_buttons", value, plain(label))
    assert action["block_id"]
    await sandbox.client("ada").press("general", ts, "remove")
    assert pressed.last["actions"][0]["icon"] == "trash"


async def test_what_a_client_makes_up_is_passed_on(sandbox: Sandbox, web: AsyncWebClient, pressed: Pressed) -> None:
    ts = await post(web, button())
    await sandbox.client("alan").press("general", ts, "stop", "somebody-else's-job")
    assert pressed.last["actions"][0]["value"] == "somebody-else's-job"
    await sandbox.client("alan").press("general", ts, "remove", "made up")
    assert pressed.last["actions"][0]["action_id"] == "remove"
    with pytest.raises(SlackError, match="action_not_found"):
        await sandbox.client("alan").press("general", ts, "remove")


async def test_a_message_may_be_gone_when_its_button_is_pressed(
    sandbox: Sandbox, web: AsyncWebClient, pressed: Pressed
) -> None:
    ts = await post(web, button())
    await web.chat_delete(channel=GENERAL, ts=ts)
    assert await sandbox.client("ada").press("general", ts, "stop")
    assert await respond(pressed.last["response_url"], text="It is gone.", replace_original=True) == (200, "ok")
    assert sandbox.messages("general") == []


async def test_an_app_that_does_not_acknowledge_has_not_heard(
    sandbox: Sandbox, web: AsyncWebClient, pressed: Pressed
) -> None:
    ts = await post(web, button())
    sandbox.sockets.ack_timeout_s = 0.1
    pressed.acknowledges = False
    assert not await sandbox.client("ada").press("general", ts, "stop")


async def test_without_a_connection_nobody_hears(sandbox: Sandbox, web: AsyncWebClient) -> None:
    ts = await post(web, button())
    assert not await sandbox.client("ada").press("general", ts, "stop")


async def respond(url: str, **said: Any) -> tuple[int, str]:
    """What a response_url answers, as status and text."""
    async with aiohttp.ClientSession() as session, session.post(url, json=said) as answer:
        return answer.status, await answer.text()


async def test_respond_answers_the_one_who_pressed(sandbox: Sandbox, web: AsyncWebClient, pressed: Pressed) -> None:
    ts = await post(web, button())
    await sandbox.client("ada").press("general", ts, "stop")
    assert await respond(pressed.last["response_url"], text="Only the asker may.") == (200, "ok")
    (shown,) = sandbox.workspace.ephemerals
    assert (shown.ephemeral_to, shown.text, shown.channel) == ("U0ADA", "Only the asker may.", GENERAL)
    assert [message.ts for message in sandbox.messages("general")] == [ts]


async def test_respond_replaces_and_deletes_the_message(
    sandbox: Sandbox, web: AsyncWebClient, pressed: Pressed
) -> None:
    ts = await post(web, button())
    await sandbox.client("ada").press("general", ts, "stop")
    url = pressed.last["response_url"]
    await respond(url, text="Stopped.", replace_original=True)
    assert [(message.text, message.sent_blocks) for message in sandbox.messages("general")] == [("Stopped.", ())]
    await respond(url, text="for all", response_type="in_channel")
    assert [message.text for message in sandbox.messages("general")] == ["Stopped.", "for all"]
    await respond(url, delete_original=True)
    assert [message.text for message in sandbox.messages("general")] == ["for all"]


async def test_a_response_url_is_good_five_times_and_half_an_hour(
    sandbox: Sandbox, web: AsyncWebClient, pressed: Pressed, clock: ManualClock
) -> None:
    ts = await post(web, button())
    await sandbox.client("ada").press("general", ts, "stop")
    url = pressed.last["response_url"]
    assert {await respond(url, text="again") for _ in range(5)} == {(200, "ok")}
    assert (await respond(url, text="again"))[0] == 404
    await sandbox.client("ada").press("general", ts, "stop")
    clock.now_s += 1_801
    assert "expired_url" in (await respond(pressed.last["response_url"], text="late"))[1]


async def test_a_button_that_one_person_alone_sees(sandbox: Sandbox, web: AsyncWebClient, pressed: Pressed) -> None:
    said = await web.chat_postEphemeral(channel=GENERAL, user="U0ADA", text="x", blocks=[actions(button())])
    await sandbox.client("ada").press("general", said["message_ts"], "stop")
    assert pressed.last["container"]["is_ephemeral"] is True
    assert "message" not in pressed.last
    with pytest.raises(SlackError, match="message_not_found"):
        await sandbox.client("grace").press("general", said["message_ts"], "stop")
    await respond(pressed.last["response_url"], delete_original=True)
    assert not sandbox.workspace.ephemerals
    with pytest.raises(SlackApiError, match="message_not_found"):
        await web.chat_update(channel=GENERAL, ts=said["message_ts"], text="x")


@pytest.mark.parametrize(
    "block",
    [
        actions(button(value="v" * 2_001)),
        actions(button(text=plain("t" * 76))),
        actions(button("a" * 256)),
        actions(button(text={"type": "mrkdwn", "text": "*no*"})),
        actions(button(style="green")),
        actions(button(), button()),
        actions(button(confirm={"title": plain("t" * 101)})),
        actions({"type": "static_select", "action_id": "model", "options": []}),
        actions({"type": "static_select", "action_id": "model", "options": [option("v" * 151)]}),
        actions({"type": "overflow", "action_id": "more", "options": [option(str(n)) for n in range(6)]}),
        actions({"type": "feedback_buttons", "action_id": "rate"}),
        {"type": "context_actions", "elements": [button()]},
        {"type": "section", "text": plain("x"), "accessory": {"type": "feedback_buttons"}},
        {"type": "input", "element": {"type": "plain_text_input", "action_id": "a"}},
    ],
)
async def test_what_slack_refuses_of_elements(web: AsyncWebClient, block: Json) -> None:
    with pytest.raises(SlackApiError, match="invalid_blocks"):
        await web.chat_postMessage(channel=GENERAL, text="x", blocks=[block])


async def test_the_largest_button_is_taken(web: AsyncWebClient) -> None:
    largest = button("a" * 255, "v" * 2_000, text=plain("t" * 75))
    posted = await web.chat_postMessage(channel=GENERAL, text="x", blocks=[{"type": "actions", "elements": [largest]}])
    (block,) = posted["message"]["blocks"]
    assert (block["elements"], bool(block["block_id"])) == ([largest], True)
