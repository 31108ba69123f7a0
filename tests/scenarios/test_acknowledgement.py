"""Every Socket Mode envelope is acknowledged, so that people see no error and Slack redelivers no event."""

from typing import Any

import pytest

from bot.slack.views.schedules import ScheduleAction
from handlers import actions
from handlers.presses import WITHIN_S
from slack_sandbox.server import Sandbox
from tests.scenarios.conftest import Stage
from tests.scenarios.surfaces import ephemerals

pytestmark = pytest.mark.skips_waits

Json = dict[str, Any]

SENDER: Json = {
    "team": {"id": "T0SANDBOX", "domain": "sandbox"},
    "user": {"id": "U0ADA", "username": "ada", "name": "ada", "team_id": "T0SANDBOX"},
    "api_app_id": "A0BOT",
    "token": "sandbox",
    "trigger_id": "1.2.abc",
    "enterprise": None,
    "is_enterprise_install": False,
}
VIEW: Json = {"id": "V0MODAL", "type": "modal", "callback_id": "never_opened", "blocks": [], "state": {"values": {}}}
CHANNEL: Json = {"id": "C0GENERAL", "name": "general"}
BUTTON: Json = {"type": "button", "action_id": "of_an_older_release", "block_id": "b", "value": "1", "action_ts": "1.0"}


def interactive(kind: str, **more: Any) -> tuple[str, Json]:
    return "interactive", {"type": kind, **SENDER, **more}


def event(**content: Any) -> tuple[str, Json]:
    envelope = {
        "type": "event_callback",
        "team_id": "T0SANDBOX",
        "api_app_id": "A0BOT",
        "event_id": "Ev0",
        "token": "",
    }
    return "events_api", {**envelope, "event_time": 1, "authorizations": [], "event": content}


REQUESTS: dict[str, tuple[str, Any]] = {
    "a modal that is closed": interactive("view_closed", view=VIEW, is_cleared=False),
    "our own modal that is closed": interactive("view_closed", view={**VIEW, "callback_id": "settings"}),
    "a view that has no callback_id": interactive("view_closed", view={**VIEW, "callback_id": ""}),
    "a modal that is unknown": interactive("view_submission", view=VIEW),
    "a modal whose callback_id is null": interactive("view_submission", view={**VIEW, "callback_id": None}),
    "a button that is unknown": interactive("block_actions", channel=CHANNEL, actions=[BUTTON]),
    "a button of an attachment": interactive(
        "interactive_message", callback_id="x", channel=CHANNEL, actions=[{"name": "x", "type": "button"}]
    ),
    "a message shortcut that is unknown": interactive(
        "message_action", callback_id="x", channel=CHANNEL, message={"ts": "1.0"}, response_url="http://127.0.0.1:9/"
    ),
    "a global shortcut that is unknown": interactive("shortcut", callback_id="x"),
    "a dialog that is cancelled": interactive("dialog_cancellation", callback_id="x", channel=CHANNEL),
    "a step of a workflow": interactive("workflow_step_edit", callback_id="x", workflow_step={}),
    "an interaction of a kind that does not exist yet": interactive("hologram_actions"),
    "an event that has no listener": event(type="pin_added", user="U0ADA", item={"type": "message"}),
    "an event of a kind that does not exist yet": event(type="hologram_shared"),
    "a function's event": event(type="function_executed", function={"callback_id": "x"}, inputs={}),
    "a warning that events are held back": ("events_api", {"type": "app_rate_limited", "team_id": "T0SANDBOX"}),
    "a payload without a type": ("interactive", SENDER),
    "a payload that is null": ("events_api", None),
    "a payload that is a list": ("interactive", []),
    "an envelope of a kind that does not exist yet": ("hologram", {"type": "hologram"}),
    "an envelope of a kind to come without a payload": ("hologram", None),
}


async def test_request_without_a_listener_is_acknowledged_and_the_bot_goes_on(stage: Stage) -> None:
    for name, (kind, payload) in REQUESTS.items():
        assert await stage.sandbox.sockets.ask(kind, payload) == {}, name
    assert await stage.answers("general", await stage.mention()) == ["The whole answer."]


@pytest.mark.slack(ack_timeout_s=Sandbox.ack_timeout_s)
async def test_press_is_acknowledged_in_time_although_what_it_asks_for_takes_longer(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "WITHIN_S", WITHIN_S)
    asked = await stage.mention()
    assert await stage.answers("general", asked) == ["The whole answer."]
    [answer] = stage.bots("general", asked)
    stage.sandbox.faults.start("slow", method="views.open", delay_s=stage.sandbox.sockets.ack_timeout_s + 1)
    assert await stage.sandbox.client("grace").press("general", answer.ts, ScheduleAction.LIST, "")
    assert not ephemerals(stage)
    await stage.sandbox.wait_for(lambda: ephemerals(stage))


@pytest.mark.parametrize("kind", ["block_suggestion", "dialog_suggestion"])
async def test_menu_that_asks_for_options_gets_none(stage: Stage, kind: str) -> None:
    asked = {"action_id": "x", "block_id": "b", "callback_id": "x", "name": "x", "value": "Ty", "view": VIEW}
    answer = await stage.sandbox.sockets.ask(*interactive(kind, **asked))
    assert answer == {"options": []}
