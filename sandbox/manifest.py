"""An app's manifest: how the app is set by it, and what Slack refuses (docs.slack.dev/reference/app-manifest)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Literal

from sandbox.workspace import APP_ID, Json, SlackError

EVENT_SCOPES: Mapping[str, str | None] = {
    "app_mention": "app_mentions:read",
    "message.channels": "channels:history",
    "message.groups": "groups:history",
    "message.im": "im:history",
    "message.mpim": "mpim:history",
    "reaction_added": "reactions:read",
    "reaction_removed": "reactions:read",
    "app_home_opened": None,
    "assistant_thread_started": "assistant:write",
    "assistant_thread_context_changed": "assistant:write",
    "app_context_changed": "assistant:write",
    "agent_session_stopped": "assistant:write",
}
"""The events that are known here, and the scope that each needs."""
_PANE_EVENTS: Mapping[str, str] = {
    "assistant_thread_started": "assistant_view",
    "assistant_thread_context_changed": "assistant_view",
    "app_context_changed": "agent_view",
    "agent_session_stopped": "agent_view",
}
MAX_COMMANDS, MAX_SHORTCUTS, MAX_EVENTS, MAX_SCOPES = 50, 10, 100, 255
MAX_PROMPTS = 4

_SECTIONS: Mapping[str, frozenset[str]] = {
    "": frozenset(
        {"_metadata", "display_information", "features", "oauth_config", "settings", "functions", "event_types"}
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


@dataclass(frozen=True, slots=True)
class Command:
    """A slash command, as the composer offers it."""

    command: str
    description: str
    usage_hint: str = ""
    should_escape: bool = False
    """Names in its text are told as ids."""


@dataclass(frozen=True, slots=True)
class Shortcut:
    """What stands in a message's menu (`message`), or among the app's own (`global`)."""

    name: str
    type: Literal["message", "global"]
    callback_id: str
    description: str


@dataclass(frozen=True, slots=True)
class SuggestedPrompt:
    """A suggestion: what is on its button, and what pressing it says."""

    title: str
    message: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """How the app is set."""

    scopes: AbstractSet[str]
    events: AbstractSet[str]
    commands: tuple[Command, ...] = ()
    shortcuts: tuple[Shortcut, ...] = ()
    home_tab: bool = False
    messages_tab: bool = True
    interactive: bool = True
    pane: Literal["assistant", "agent"] | None = None
    """assistant_view or agent_view, where the app has either."""
    prompts: tuple[SuggestedPrompt, ...] = ()
    """Those of the manifest: shown until the app sets others."""
    metadata: AbstractSet[str] = frozenset()
    """The types of metadata that it declares: their payloads are shown everywhere."""


def read_manifest(manifest: Json) -> Manifest:
    """Raises SlackError("invalid_manifest"), whose `errors` say what is wrong and where."""
    if found := list(_problems(manifest)):
        raise SlackError("invalid_manifest", errors=[{"message": said, "pointer": where} for where, said in found])
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
        messages_tab=bool(home.get("messages_tab_enabled")) and not home.get("messages_tab_read_only_enabled"),
        interactive=bool(settings.get("interactivity", {}).get("is_enabled")),
        pane=pane,
        prompts=tuple(SuggestedPrompt(**p) for p in features.get(f"{pane}_view", {}).get("suggested_prompts", ())),
        metadata=frozenset(_metadata(manifest)),
    )


def _problems(manifest: Json) -> Iterator[tuple[str, str]]:
    for section, known in _SECTIONS.items():
        held = manifest.get(section, {}) if section else manifest
        for key in held.keys() - known:
            yield f"/{section}/{key}".replace("//", "/"), "is not a known property"
    features, settings = manifest.get("features", {}), manifest.get("settings", {})
    yield from _display(manifest.get("display_information", {}))
    yield from _user_and_home(features)
    yield from _commands(features.get("slash_commands", []))
    yield from _shortcuts(features.get("shortcuts", []))
    yield from _pane(features)
    yield from _needed_scopes(manifest)
    yield from _subscriptions(manifest)
    if not settings.get("socket_mode_enabled"):
        for key in ("event_subscriptions", "interactivity"):
            held = settings.get(key, {})
            if (held.get("is_enabled") or held.get("bot_events")) and not held.get("request_url"):
                yield f"/settings/{key}", "needs a request_url where socket_mode_enabled is false"


def _display(shown: Json) -> Iterator[tuple[str, str]]:
    where = "/display_information"
    yield from _text(shown, "name", 35, where, needed=True)
    yield from _text(shown, "description", 140, where)
    if "long_description" in shown and not 174 <= len(shown["long_description"]) <= 4_000:
        yield f"{where}/long_description", "must have 174 to 4000 characters"
    if not re.fullmatch(r"#([0-9A-Fa-f]{3}){1,2}", shown.get("background_color", "#000")):
        yield f"{where}/background_color", "must be a hex colour with its #"


def _user_and_home(features: Json) -> Iterator[tuple[str, str]]:
    if "bot_user" in features:
        yield from _text(features["bot_user"], "display_name", 80, "/features/bot_user", needed=True)
        yield from _flags(features["bot_user"], {"display_name"}, "/features/bot_user")
    yield from _flags(features.get("app_home", {}), set(), "/features/app_home")


def _commands(commands: Sequence[Json]) -> Iterator[tuple[str, str]]:
    if len(commands) > MAX_COMMANDS:
        yield "/features/slash_commands", f"must have no more than {MAX_COMMANDS}"
    for index, command in enumerate(commands):
        where = f"/features/slash_commands/{index}"
        if not re.fullmatch(r"/[a-z0-9_-]{1,31}", str(command.get("command"))):
            yield f"{where}/command", "must begin with / and have at most 32 lower-case characters"
        yield from _text(command, "description", 2_000, where, needed=True)
        yield from _text(command, "usage_hint", 1_000, where)
        for key in command.keys() - {"command", "description", "usage_hint", "should_escape", "url"}:
            yield f"{where}/{key}", "is not a known property"


def _shortcuts(shortcuts: Sequence[Json]) -> Iterator[tuple[str, str]]:
    if len(shortcuts) > MAX_SHORTCUTS:
        yield "/features/shortcuts", f"must have no more than {MAX_SHORTCUTS}"
    for index, shortcut in enumerate(shortcuts):
        where = f"/features/shortcuts/{index}"
        if shortcut.get("type") not in ("message", "global"):
            yield f"{where}/type", "must be message or global"
        yield from _text(shortcut, "name", 24, where, needed=True)
        yield from _text(shortcut, "callback_id", 255, where, needed=True)
        yield from _text(shortcut, "description", 150, where, needed=True)
        for key in shortcut.keys() - {"name", "type", "callback_id", "description"}:
            yield f"{where}/{key}", "is not a known property"


def _pane(features: Json) -> Iterator[tuple[str, str]]:
    if "assistant_view" in features and "agent_view" in features:
        yield "/features/agent_view", "can't be there with assistant_view"
    for kind in ("assistant", "agent"):
        where = f"/features/{kind}_view"
        if (view := features.get(f"{kind}_view")) is None:
            continue
        yield from _text(view, f"{kind}_description", 300, where, needed=True)
        prompts = view.get("suggested_prompts", [])
        if len(prompts) > MAX_PROMPTS or any(p.keys() != {"title", "message"} for p in prompts):
            yield f"{where}/suggested_prompts", f"must be at most {MAX_PROMPTS}, each a title and a message"
        for key in view.keys() - {f"{kind}_description", "suggested_prompts", "actions"}:
            yield f"{where}/{key}", "is not a known property"


def _needed_scopes(manifest: Json) -> Iterator[tuple[str, str]]:
    features, scopes = manifest.get("features", {}), _scopes(manifest)
    where = "/oauth_config/scopes/bot"
    if len(scopes) > MAX_SCOPES:
        yield where, f"must have no more than {MAX_SCOPES}"
    if (features.get("slash_commands") or features.get("shortcuts")) and "commands" not in scopes:
        yield where, "commands and shortcuts need the scope commands"
    if ("assistant_view" in features or "agent_view" in features) and "assistant:write" not in scopes:
        yield where, "the agents feature needs the scope assistant:write"
    if features.get("shortcuts") and not manifest.get("settings", {}).get("interactivity", {}).get("is_enabled"):
        yield "/settings/interactivity/is_enabled", "shortcuts need interactivity"


def _subscriptions(manifest: Json) -> Iterator[tuple[str, str]]:
    features, scopes, events = manifest.get("features", {}), _scopes(manifest), _events(manifest)
    where = "/settings/event_subscriptions/bot_events"
    if len(events) > MAX_EVENTS:
        yield where, f"must have no more than {MAX_EVENTS}"
    for index, event in enumerate(events):
        needed = EVENT_SCOPES.get(event)
        if event not in EVENT_SCOPES:
            yield f"{where}/{index}", f"{event} is not a known event"
        elif needed is not None and needed not in scopes:
            yield f"{where}/{index}", f"{event} needs the scope {needed}"
        if (view := _PANE_EVENTS.get(event)) and view not in features:
            yield f"{where}/{index}", f"{event} needs {view}"


def _text(holder: Json, key: str, most: int, where: str, *, needed: bool = False) -> Iterator[tuple[str, str]]:
    held = holder.get(key, "")
    if not isinstance(held, str) or len(held) > most or (needed and not held):
        yield f"{where}/{key}", f"must be a text of {1 if needed else 0} to {most} characters"


def _flags(holder: Mapping[str, Any], others: AbstractSet[str], where: str) -> Iterator[tuple[str, str]]:
    for key in holder.keys() - others:
        if not isinstance(holder[key], bool):
            yield f"{where}/{key}", "must be true or false"


def _scopes(manifest: Json) -> list[str]:
    return list(manifest.get("oauth_config", {}).get("scopes", {}).get("bot", ()))


def _events(manifest: Json) -> list[str]:
    return list(manifest.get("settings", {}).get("event_subscriptions", {}).get("bot_events", ()))


def _metadata(manifest: Json) -> Iterator[str]:
    """Types that the app defines itself (`event_types`), and those that it subscribes to."""
    yield from manifest.get("event_types", {})
    for each in manifest.get("settings", {}).get("event_subscriptions", {}).get("metadata_subscriptions", ()):
        if each.get("app_id") in (APP_ID, "*"):
            yield str(each.get("event_type"))
