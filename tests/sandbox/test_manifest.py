"""Slack's rules for manifests, and the configuration that follows from one."""

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
def test_manifests_of_this_repository_are_accepted(path: Path) -> None:
    assert "chat:write" in read_manifest(json.loads(path.read_text())).scopes


@pytest.mark.parametrize("manifest_of", [manifests.classic, manifests.assistant, manifests.agent])
def test_manifest_of_each_kind_of_app_is_accepted(manifest_of: Callable[[], Json]) -> None:
    assert read_manifest(manifest_of()).home_tab


def without_scope(scope: str) -> Callable[[Json], None]:
    return lambda manifest: manifest["oauth_config"]["scopes"]["bot"].remove(scope)


def feature(key: str, value: Any) -> Callable[[Json], None]:
    return lambda manifest: manifest["features"].update({key: value})


def display(**information: Any) -> Callable[[Json], None]:
    return lambda manifest: manifest["display_information"].update(information)


def setting(key: str, value: Any) -> Callable[[Json], None]:
    return lambda manifest: manifest["settings"].update({key: value})


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        (display(name="n" * 36), "/display_information/name"),
        (display(description="d" * 141), "/display_information/description"),
        (display(long_description="too short"), "/display_information/long_description"),
        (display(background_color="red"), "/display_information/background_color"),
        (display(motto="x"), "/display_information/motto"),
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
def test_invalid_manifest_is_refused_with_a_pointer(change: Callable[[Json], None], pointer: str) -> None:
    manifest = copy.deepcopy(manifests.agent())
    manifest["features"] |= {"slash_commands": [manifests.COMMAND], "shortcuts": manifests.SHORTCUTS}
    read_manifest(manifest)
    change(manifest)
    with pytest.raises(SlackError, match="invalid_manifest") as refused:
        read_manifest(manifest)
    assert pointer in [error["pointer"] for error in refused.value.fields["errors"]]


async def test_scopes_and_events_come_from_the_manifest() -> None:
    async with Sandbox(manifest=manifests.classic()) as sandbox:
        assert sandbox.granted == set(manifests.SCOPES)
        await sandbox.say("ada", "project-x", "hi")
        await sandbox.say("ada", "general", "hi")
        assert [delivery.payload["event"]["channel"] for delivery in sandbox.deliveries] == ["C0GENERAL"]
