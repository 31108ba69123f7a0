"""Reads an app's manifest and checks it against Slack's rules.

The rules are those of docs.slack.dev/reference/app-manifest. A problem is a JSON pointer and a message.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Literal

from slack_sandbox.workspace import APP_ID, Json, SlackError

EVENT_SCOPES: Mapping[str, str | None] = {
    "app_mention": "app_mentions:read",
    "message.channels": "channels:history",
    "message.groups": "groups:history",
    "message.im": "im:history",
    "message.mpim": "mpim:history",
    "reaction_added": "reactions:read",
    "reaction_removed": "reactions:read",
    "member_joined_channel": "channels:read",
    "file_change": "files:read",
    "app_home_opened": None,
    "assistant_thread_started": "assistant:write",
    "assistant_thread_context_changed": "assistant:write",
    "app_context_changed": "assistant:write",
    "agent_session_stopped": "assistant:write",
    "agent_session_title_changed": "assistant:write",
}
"""The events that the sandbox sends, with the scope that each requires."""
NEVER_SENT = frozenset(
    """
    app_deleted app_installed app_requested app_uninstalled app_uninstalled_team call_rejected channel_archive
    channel_created channel_deleted channel_history_changed channel_id_changed channel_left channel_rename
    channel_shared channel_unarchive channel_unshared dnd_updated dnd_updated_user email_domain_changed
    emoji_changed entity_details_requested file_created file_deleted file_public file_shared
    file_unshared function_executed grid_migration_finished grid_migration_started group_archive group_close
    group_deleted group_history_changed group_left group_open group_rename group_unarchive im_close im_created
    im_history_changed im_open invite_requested link_shared member_left_channel
    message_metadata_deleted message_metadata_posted message_metadata_updated pin_added pin_removed
    shared_channel_invite_accepted shared_channel_invite_approved shared_channel_invite_declined
    shared_channel_invite_received shared_channel_invite_requested star_added star_removed subteam_created
    subteam_members_changed subteam_self_added subteam_self_removed subteam_updated team_access_granted
    team_access_revoked team_domain_change team_join team_rename tokens_revoked user_change user_huddle_changed
    user_profile_changed user_status_changed workflow_deleted workflow_published workflow_step_deleted
    workflow_step_execute workflow_unpublished
    """.split()  # noqa: SIM905 - a list of literals takes a line for each
)
"""Slack's other events. A manifest can subscribe to them, but the sandbox never sends them."""
_PANE_EVENTS: Mapping[str, str] = {
    "assistant_thread_started": "assistant_view",
    "assistant_thread_context_changed": "assistant_view",
    "app_context_changed": "agent_view",
    "agent_session_stopped": "agent_view",
    "agent_session_title_changed": "agent_view",
}
MAX_COMMANDS, MAX_SHORTCUTS, MAX_EVENTS, MAX_SCOPES = 50, 10, 100, 255
MAX_PROMPTS = 4

_SECTIONS: Mapping[str, frozenset[str]] = {
    "": frozenset(
        {
            # For editors; the manifests of Slack's samples have it.
            "$schema",
            "_metadata",
            "display_information",
            "features",
            "oauth_config",
            "settings",
            "functions",
            "event_types",
        }
    ),
    "display_information": frozenset({"name", "description", "long_description", "background_color"}),
    "features": frozenset(
        {"app_home", "bot_user", "shortcuts", "slash_commands", "unfurl_domains", "assistant_view", "agent_view"}
    ),
    "oauth_config": frozenset({"redirect_urls", "scopes", "token_management_enabled", "pkce_enabled"}),
    "settings": frozenset(
        {
            "allowed_ip_address_ranges",
            "event_subscriptions",
            "incoming_webhooks",
            "interactivity",
            "org_deploy_enabled",
            "socket_mode_enabled",
            "token_rotation_enabled",
            "is_hosted",
            "is_mcp_enabled",
            "function_runtime",
        }
    ),
}


_OBJECT, _OBJECTS, _STRING, _STRINGS = "an object", "a list of objects", "a string", "a list of strings"
_TYPES: Mapping[str, str] = {
    **{f"/{section}": _OBJECT for section in ("display_information", "features", "oauth_config", "settings")},
    "/event_types": _OBJECT,
    "/display_information/long_description": _STRING,
    "/display_information/background_color": _STRING,
    **{f"/features/{feature}": _OBJECT for feature in ("app_home", "bot_user", "assistant_view", "agent_view")},
    "/features/slash_commands": _OBJECTS,
    "/features/shortcuts": _OBJECTS,
    "/features/assistant_view/suggested_prompts": _OBJECTS,
    "/features/agent_view/suggested_prompts": _OBJECTS,
    "/oauth_config/scopes": _OBJECT,
    "/oauth_config/scopes/bot": _STRINGS,
    "/oauth_config/scopes/bot_optional": _STRINGS,
    "/settings/event_subscriptions": _OBJECT,
    "/settings/event_subscriptions/bot_events": _STRINGS,
    "/settings/event_subscriptions/metadata_subscriptions": _OBJECTS,
    "/settings/interactivity": _OBJECT,
}
"""The types of a manifest's parts by JSON pointer, outer parts first."""


@dataclass(frozen=True, slots=True)
class Command:
    command: str
    description: str
    usage_hint: str = ""
    should_escape: bool = False
    """Whether names in the command's text are sent as IDs."""


@dataclass(frozen=True, slots=True)
class Shortcut:
    """A shortcut in a message's menu (`message`) or in the shortcuts menu (`global`)."""

    name: str
    type: Literal["message", "global"]
    callback_id: str
    description: str


@dataclass(frozen=True, slots=True)
class SuggestedPrompt:
    title: str
    message: str


@dataclass(frozen=True, slots=True)
class Manifest:
    scopes: AbstractSet[str]
    events: AbstractSet[str]
    commands: tuple[Command, ...] = ()
    shortcuts: tuple[Shortcut, ...] = ()
    home_tab: bool = False
    messages_tab: bool = True
    interactive: bool = True
    pane: Literal["assistant", "agent"] | None = None
    """Whether the app has assistant_view or agent_view."""
    prompts: tuple[SuggestedPrompt, ...] = ()
    """The prompts that the pane shows until the app sets others."""
    metadata: AbstractSet[str] = frozenset()
    """The declared types of message metadata. Their payloads are included in all responses and events."""
    app_name: str = "Bot"
    bot_name: str = "bot"


def read_manifest(manifest: Any) -> Manifest:
    """Returns the configuration of a manifest. Raises SlackError("invalid_manifest") with a list of `errors`."""
    if problems := list(_type_problems(manifest)) or list(_problems(manifest)):
        raise SlackError(
            "invalid_manifest", errors=[{"message": message, "pointer": pointer} for pointer, message in problems]
        )
    features, settings = manifest.get("features", {}), manifest.get("settings", {})
    home = features.get("app_home", {})
    pane: Literal["assistant", "agent"] | None = None
    if "agent_view" in features or "assistant_view" in features:
        pane = "agent" if "agent_view" in features else "assistant"
    return Manifest(
        scopes=frozenset(_scopes(manifest)),
        events=frozenset(_events(manifest)),
        commands=tuple(
            Command(c["command"], c["description"], c.get("usage_hint", ""), bool(c.get("should_escape")))
            for c in features.get("slash_commands", ())
        ),
        shortcuts=tuple(Shortcut(**shortcut) for shortcut in features.get("shortcuts", ())),
        home_tab=bool(home.get("home_tab_enabled")),
        messages_tab=bool(home.get("messages_tab_enabled", True)),
        interactive=bool(settings.get("interactivity", {}).get("is_enabled")),
        pane=pane,
        prompts=tuple(SuggestedPrompt(**p) for p in features.get(f"{pane}_view", {}).get("suggested_prompts", ())),
        metadata=frozenset(_metadata_types(manifest)),
        app_name=manifest["display_information"]["name"],
        bot_name=features.get("bot_user", {}).get("display_name") or manifest["display_information"]["name"],
    )


def _type_problems(manifest: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(manifest, dict):
        yield "/", f"must be {_OBJECT}"
        return
    for pointer, type_name in _TYPES.items():
        *path, key = pointer[1:].split("/")
        parent: Any = manifest
        for name in path:
            parent = parent.get(name) if isinstance(parent, dict) else None
        if isinstance(parent, dict) and key in parent and not _has_type(parent[key], type_name):
            yield pointer, f"must be {type_name}"


def _has_type(value: Any, type_name: str) -> bool:
    expected = dict if type_name in (_OBJECT, _OBJECTS) else str
    if type_name in (_OBJECT, _STRING):
        return isinstance(value, expected)
    return isinstance(value, list) and all(isinstance(item, expected) for item in value)


def _problems(manifest: Json) -> Iterator[tuple[str, str]]:
    for section, known in _SECTIONS.items():
        value = manifest.get(section, {}) if section else manifest
        for key in value.keys() - known:
            yield f"/{section}/{key}".replace("//", "/"), "is not a known property"
    features, settings = manifest.get("features", {}), manifest.get("settings", {})
    yield from _display_problems(manifest.get("display_information", {}))
    yield from _user_and_home_problems(features)
    yield from _command_problems(features.get("slash_commands", []))
    yield from _shortcut_problems(features.get("shortcuts", []))
    yield from _pane_problems(features)
    yield from _needed_scope_problems(manifest)
    yield from _subscription_problems(manifest)
    if not settings.get("socket_mode_enabled"):
        for key in ("event_subscriptions", "interactivity"):
            value = settings.get(key, {})
            if (value.get("is_enabled") or value.get("bot_events")) and not value.get("request_url"):
                yield f"/settings/{key}", "needs a request_url if socket_mode_enabled is false"


def _display_problems(information: Json) -> Iterator[tuple[str, str]]:
    pointer = "/display_information"
    yield from _text_problems(information, "name", 35, pointer, is_required=True)
    yield from _text_problems(information, "description", 140, pointer)
    if "long_description" in information and not 174 <= len(information["long_description"]) <= 4_000:
        yield f"{pointer}/long_description", "must have 174 to 4000 characters"
    if not re.fullmatch(r"#([0-9A-Fa-f]{3}){1,2}", information.get("background_color", "#000")):
        yield f"{pointer}/background_color", "must be a hex color that begins with #"


def _user_and_home_problems(features: Json) -> Iterator[tuple[str, str]]:
    if "bot_user" in features:
        yield from _text_problems(features["bot_user"], "display_name", 80, "/features/bot_user", is_required=True)
        yield from _flag_problems(features["bot_user"], {"display_name"}, "/features/bot_user")
    yield from _flag_problems(features.get("app_home", {}), set(), "/features/app_home")


def _command_problems(commands: Sequence[Json]) -> Iterator[tuple[str, str]]:
    if len(commands) > MAX_COMMANDS:
        yield "/features/slash_commands", f"must have no more than {MAX_COMMANDS}"
    for index, command in enumerate(commands):
        pointer = f"/features/slash_commands/{index}"
        if not re.fullmatch(r"/[a-z0-9_-]{1,31}", str(command.get("command"))):
            yield f"{pointer}/command", "must begin with / and have at most 32 lower-case characters"
        yield from _text_problems(command, "description", 2_000, pointer, is_required=True)
        yield from _text_problems(command, "usage_hint", 1_000, pointer)
        for key in command.keys() - {"command", "description", "usage_hint", "should_escape", "url"}:
            yield f"{pointer}/{key}", "is not a known property"


def _shortcut_problems(shortcuts: Sequence[Json]) -> Iterator[tuple[str, str]]:
    if len(shortcuts) > MAX_SHORTCUTS:
        yield "/features/shortcuts", f"must have no more than {MAX_SHORTCUTS}"
    for index, shortcut in enumerate(shortcuts):
        pointer = f"/features/shortcuts/{index}"
        if shortcut.get("type") not in ("message", "global"):
            yield f"{pointer}/type", "must be message or global"
        yield from _text_problems(shortcut, "name", 24, pointer, is_required=True)
        yield from _text_problems(shortcut, "callback_id", 255, pointer, is_required=True)
        yield from _text_problems(shortcut, "description", 150, pointer, is_required=True)
        for key in shortcut.keys() - {"name", "type", "callback_id", "description"}:
            yield f"{pointer}/{key}", "is not a known property"


def _pane_problems(features: Json) -> Iterator[tuple[str, str]]:
    if "assistant_view" in features and "agent_view" in features:
        yield "/features/agent_view", "can't be combined with assistant_view"
    for kind in ("assistant", "agent"):
        pointer = f"/features/{kind}_view"
        if (view := features.get(f"{kind}_view")) is None:
            continue
        yield from _text_problems(view, f"{kind}_description", 300, pointer, is_required=True)
        prompts = view.get("suggested_prompts", [])
        if len(prompts) > MAX_PROMPTS or any(p.keys() != {"title", "message"} for p in prompts):
            yield (
                f"{pointer}/suggested_prompts",
                f"must be at most {MAX_PROMPTS} prompts, each with a title and a message",
            )
        for key in view.keys() - {f"{kind}_description", "suggested_prompts", "actions"}:
            yield f"{pointer}/{key}", "is not a known property"


def _needed_scope_problems(manifest: Json) -> Iterator[tuple[str, str]]:
    features, scopes = manifest.get("features", {}), _scopes(manifest)
    pointer = "/oauth_config/scopes/bot"
    if len(scopes) > MAX_SCOPES:
        yield pointer, f"must have no more than {MAX_SCOPES}"
    for scope in manifest.get("oauth_config", {}).get("scopes", {}).get("bot_optional", ()):
        if scope not in scopes:
            yield f"{pointer}_optional", f"{scope} must be one of the bot's scopes"
    if (features.get("slash_commands") or features.get("shortcuts")) and "commands" not in scopes:
        yield pointer, "commands and shortcuts need the scope commands"
    if ("assistant_view" in features or "agent_view" in features) and "assistant:write" not in scopes:
        yield pointer, "the agents feature needs the scope assistant:write"
    if features.get("shortcuts") and not manifest.get("settings", {}).get("interactivity", {}).get("is_enabled"):
        yield "/settings/interactivity/is_enabled", "shortcuts need interactivity"


def _subscription_problems(manifest: Json) -> Iterator[tuple[str, str]]:
    features, scopes, events = manifest.get("features", {}), _scopes(manifest), _events(manifest)
    pointer = "/settings/event_subscriptions/bot_events"
    if len(events) > MAX_EVENTS:
        yield pointer, f"must have no more than {MAX_EVENTS}"
    for index, event in enumerate(events):
        needed = EVENT_SCOPES.get(event)
        if event not in EVENT_SCOPES and event not in NEVER_SENT:
            yield f"{pointer}/{index}", f"{event} is not a known event"
        elif needed is not None and needed not in scopes:
            yield f"{pointer}/{index}", f"{event} needs the scope {needed}"
        if (view := _PANE_EVENTS.get(event)) and view not in features:
            yield f"{pointer}/{index}", f"{event} needs {view}"


def _text_problems(
    holder: Json, key: str, limit: int, pointer: str, *, is_required: bool = False
) -> Iterator[tuple[str, str]]:
    value = holder.get(key, "")
    if not isinstance(value, str) or len(value) > limit or (is_required and not value):
        yield f"{pointer}/{key}", f"must be a string of {1 if is_required else 0} to {limit} characters"


def _flag_problems(holder: Mapping[str, Any], others: AbstractSet[str], pointer: str) -> Iterator[tuple[str, str]]:
    for key in holder.keys() - others:
        if not isinstance(holder[key], bool):
            yield f"{pointer}/{key}", "must be true or false"


def _scopes(manifest: Json) -> list[str]:
    return list(manifest.get("oauth_config", {}).get("scopes", {}).get("bot", ()))


def _events(manifest: Json) -> list[str]:
    return list(manifest.get("settings", {}).get("event_subscriptions", {}).get("bot_events", ()))


def _metadata_types(manifest: Json) -> Iterator[str]:
    """Yields the metadata types that the app defines in `event_types` or subscribes to."""
    yield from manifest.get("event_types", {})
    for subscription in manifest.get("settings", {}).get("event_subscriptions", {}).get("metadata_subscriptions", ()):
        if subscription.get("app_id") in (APP_ID, "*"):
            yield str(subscription.get("event_type"))
