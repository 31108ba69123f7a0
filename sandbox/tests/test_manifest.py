"""Slack's rules for manifests, and the configuration read from one."""

import copy
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from slack_sandbox.manifest import EVENT_SCOPES, NEVER_SENT, read_manifest
from slack_sandbox.server import Sandbox
from slack_sandbox.testing import manifests
from slack_sandbox.workspace import Json, SlackError


def test_manifest_may_name_the_schema_that_editors_check_it_with() -> None:
    assert read_manifest({**manifests.agent(), "$schema": "https://example.com/manifest.schema.json"}).home_tab


@pytest.mark.parametrize("manifest_of", [manifests.classic, manifests.assistant, manifests.agent])
def test_manifest_of_each_kind_of_app_is_accepted(manifest_of: Callable[[], Json]) -> None:
    assert read_manifest(manifest_of()).home_tab


def without_scope(scope: str) -> Callable[[Json], None]:
    return lambda manifest: manifest["oauth_config"]["scopes"]["bot"].remove(scope)


def optional(*scopes: Any) -> Callable[[Json], None]:
    return lambda manifest: manifest["oauth_config"]["scopes"].update(bot_optional=list(scopes))


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
        (optional("chat:write", "reactions:write"), "/oauth_config/scopes/bot_optional"),
        (optional(7), "/oauth_config/scopes/bot_optional"),
        (without_scope("im:history"), "/settings/event_subscriptions/bot_events/3"),
        (feature("slash_commands", [{**manifests.COMMAND, "command": "bot"}]), "/features/slash_commands/0/command"),
        (feature("slash_commands", [manifests.COMMAND] * 51), "/features/slash_commands"),
        (feature("shortcuts", [{**manifests.SHORTCUTS[0], "name": "n" * 25}]), "/features/shortcuts/0/name"),
        (feature("shortcuts", [{**manifests.SHORTCUTS[0], "type": "any"}]), "/features/shortcuts/0/type"),
        (feature("assistant_view", {"assistant_description": "x"}), "/features/agent_view"),
        (feature("agent_view", {"agent_description": ""}), "/features/agent_view/agent_description"),
        (feature("app_home", {"home_tab_enabled": "yes"}), "/features/app_home/home_tab_enabled"),
        (setting("event_subscriptions", {"bot_events": ["tea_time"]}), "/settings/event_subscriptions/bot_events/0"),
        (setting("socket_mode_enabled", False), "/settings/interactivity"),
        (feature("slash_commands", {"command": "/bot"}), "/features/slash_commands"),
        (lambda manifest: manifest.update(features=[]), "/features"),
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


async def test_event_whose_scope_was_declined_is_not_sent() -> None:
    manifest = manifests.manifest({}, ["channels:history", "reactions:read"], ["message.channels", "reaction_added"])
    manifest["oauth_config"]["scopes"]["bot_optional"] = ["reactions:read"]
    async with Sandbox(manifest=manifest) as sandbox:
        ts = await sandbox.say("ada", "general", "hi")
        await sandbox.react("ada", "general", ts, "eyes")
        sandbox.granted.discard("reactions:read")
        await sandbox.react("grace", "general", ts, "eyes")
        assert [delivery.payload["event"]["type"] for delivery in sandbox.deliveries] == ["message", "reaction_added"]


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yields the path to each value in a JSON value."""
    yield path
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def full_manifest() -> Json:
    manifest = copy.deepcopy(manifests.agent())
    manifest["features"] |= {"slash_commands": [manifests.COMMAND], "shortcuts": manifests.SHORTCUTS}
    manifest["settings"]["event_subscriptions"]["metadata_subscriptions"] = [{"app_id": "*", "event_type": "reply"}]
    return copy.deepcopy(manifest | {"event_types": {"reply": {}}, "_metadata": {"major_version": 2}})


@pytest.mark.parametrize("value", [None, True, 7, "text", [], ["text"], {}, [{}], [None], {"key": None}], ids=repr)
def test_any_value_anywhere_is_read_or_refused(value: Any) -> None:
    for place in places(full_manifest()):
        manifest: Any = [full_manifest()]
        *path, last = (0, *place)
        parent = manifest
        for key in path:
            parent = parent[key]
        parent[last] = value
        with suppress(SlackError):
            read_manifest(manifest[0])


def test_events_that_the_sandbox_never_sends_are_accepted() -> None:
    manifest = copy.deepcopy(manifests.classic())
    manifest["settings"]["event_subscriptions"]["bot_events"] += ["team_join", "link_shared"]
    assert read_manifest(manifest).events & NEVER_SENT == {"team_join", "link_shared"}
    assert not NEVER_SENT & EVENT_SCOPES.keys()


@pytest.mark.parametrize(
    ("app", "bot", "expected"),
    [
        ("Order Bot", "Order Bot", ("orderbot", "Order Bot")),
        ("Ada", "ada", ("ada2", "Ada")),
        ("火", "火", ("bot", "火")),
    ],
)
async def test_bot_is_named_by_the_manifest(app: str, bot: str, expected: tuple[str, str]) -> None:
    manifest = manifests.classic(bot_user={"display_name": bot})
    manifest["display_information"]["name"] = app
    async with Sandbox(manifest=manifest) as sandbox:
        user = sandbox.workspace.bot
        assert (user.name, user.real_name) == expected
        ts = await sandbox.say("ada", "general", f"@{user.name} hi")
        assert sandbox.messages("general")[-1].text == "<@U0BOT> hi"
        assert sandbox.messages("general")[-1].user_id == "U0ADA"
        assert ts == await sandbox.wait_for(
            lambda: sandbox.deliveries and sandbox.deliveries[-1].payload["event"]["ts"]
        )
