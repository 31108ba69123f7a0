"""What Slack takes as a manifest, and what it makes of it."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.manifest import read_manifest
from sandbox.server import Sandbox
from sandbox.workspace import Json, SlackError
from tests.sandbox import manifests

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", sorted(ROOT.glob("manifest*.json")), ids=lambda path: path.name)
def test_the_apps_own_manifests_are_accepted_as_they_are(path: Path) -> None:
    assert "chat:write" in read_manifest(json.loads(path.read_text())).scopes


@pytest.mark.parametrize("made", [manifests.classic, manifests.assistant, manifests.agent])
def test_each_kind_of_app_is_accepted(made: Callable[[], Json]) -> None:
    assert read_manifest(made()).home_tab


def without_scope(scope: str) -> Callable[[Json], None]:
    return lambda manifest: manifest["oauth_config"]["scopes"]["bot"].remove(scope)


def feature(key: str, value: Any) -> Callable[[Json], None]:
    return lambda manifest: manifest["features"].update({key: value})


def shown(**information: Any) -> Callable[[Json], None]:
    return lambda manifest: manifest["display_information"].update(information)


def setting(key: str, value: Any) -> Callable[[Json], None]:
    return lambda manifest: manifest["settings"].update({key: value})


@pytest.mark.parametrize(
    ("spoil", "pointer"),
    [
        (shown(name="n" * 36), "/display_information/name"),
        (shown(description="d" * 141), "/display_information/description"),
        (shown(long_description="too short"), "/display_information/long_description"),
        (shown(background_color="red"), "/display_information/background_color"),
        (shown(motto="x"), "/display_information/motto"),
        (lambda manifest: manifest.update(surprise=1), "/surprise"),
        (without_scope("commands"), "/oauth_config/scopes/bot"),
        (without_scope("assistant:write"), "/oauth_config/scopes/bot"),
        (without_scope("im:history"), "/settings/event_subscriptions/bot_events/3"),
        (feature("slash_commands", [{**manifests.COMMAND, "command": "typist"}]), "/features/slash_commands/0/command"),
        (feature("slash_commands", [manifests.COMMAND] * 51), "/features/slash_commands"),
        (feature("shortcuts", [{**manifests.SHORTCUTS[0], "name": "n" * 25}]), "/features/shortcuts/0/name"),
        (feature("shortcuts", [{**manifests.SHORTCUTS[0], "type": "any"}]), "/features/shortcuts/0/type"),
        (feature("assistant_view", {"assistant_description": "x"}), "/features/agent_view"),
        (feature("agent_view", {"agent_description": ""}), "/features/agent_view/agent_description"),
        (feature("app_home", {"home_tab_enabled": "yes"}), "/features/app_home/home_tab_enabled"),
        (setting("event_subscriptions", {"bot_events": ["tea_time"]}), "/settings/event_subscriptions/bot_events/0"),
        (setting("socket_mode_enabled", False), "/settings/interactivity"),
        (setting("interactivity", {"is_enabled": False}), "/settings/interactivity/is_enabled"),
    ],
)
def test_what_slack_refuses_of_a_manifest(spoil: Callable[[Json], None], pointer: str) -> None:
    manifest = copy.deepcopy(manifests.agent())
    manifest["features"] |= {"slash_commands": [manifests.COMMAND], "shortcuts": manifests.SHORTCUTS}
    read_manifest(manifest)
    spoil(manifest)
    with pytest.raises(SlackError, match="invalid_manifest") as refused:
        read_manifest(manifest)
    assert pointer in [error["pointer"] for error in refused.value.fields["errors"]]


async def test_scopes_and_events_are_the_manifests() -> None:
    async with Sandbox(manifest=manifests.classic()) as sandbox:
        assert sandbox.granted == set(manifests.SCOPES)
        await sandbox.say("ada", "project-x", "hi")
        await sandbox.say("ada", "general", "hi")
        assert [delivery.payload["event"]["channel"] for delivery in sandbox.deliveries] == ["C0GENERAL"]
