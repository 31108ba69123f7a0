"""Builds the app's manifest. The repository's manifests are generated from it.

The bot works with any names that operators choose in the manifest, because the handler accepts every slash command sent
to the app, and shortcuts are identified by their callback_id. https://docs.slack.dev/reference/app-manifest
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bot.core import texts
from bot.core.texts.commands import SUBCOMMANDS
from bot.slack.blockkit import Json
from bot.slack.views.question import ASK_ABOUT

DEFAULT_NAME = "Typist"
DEFAULT_COMMAND = "/typist"
MAX_NAME_CHARACTERS = 35
_MAX_SHORTCUT_CHARACTERS = 24
_COMMAND = re.compile(r"/[a-z0-9_-]{1,31}")

SCOPES = (
    "app_mentions:read",
    "canvases:read",
    "canvases:write",
    "channels:history",
    "channels:read",
    "chat:write",
    "commands",
    "files:read",
    "files:write",
    "groups:history",
    "groups:read",
    "im:history",
    "im:read",
    "mpim:history",
    "mpim:read",
    "reactions:read",
    "reactions:write",
    "users:read",
)
READ_CANVASES_SCOPE = "canvases:read"
WRITE_CANVASES_SCOPE = "canvases:write"
REACTIONS_SCOPE = "reactions:read"
REACT_SCOPE = "reactions:write"
OPTIONAL_SCOPES = frozenset(
    {READ_CANVASES_SCOPE, WRITE_CANVASES_SCOPE, "files:read", "files:write", REACTIONS_SCOPE, REACT_SCOPE}
)
"""Scopes that admins can decline when they install the app. Without them, only canvases, files and reactions are
unavailable."""
AGENT_SCOPE = "assistant:write"
PINS_SCOPE = "pins:read"
SEARCH_SCOPE = "search:read.public"
GROUPS_SCOPE, EMAIL_SCOPE = "usergroups:read", "users:read.email"
NEEDED_SCOPES = frozenset({"app_mentions:read", "chat:write", "im:history", "users:read", EMAIL_SCOPE})
"""Scopes without which some users' questions would stay unanswered. Each of the other scopes is for a single
feature."""
_EVENTS = (
    "app_home_opened",
    "app_mention",
    "member_joined_channel",
    "message.channels",
    "message.groups",
    "message.im",
    "message.mpim",
    "reaction_added",
)
_AGENT_EVENTS = ("agent_session_stopped", "agent_session_title_changed", "app_context_changed")

_IGNORED = re.compile(
    r"^display_information\."
    r"|^features\.bot_user\.|^features\.agent_view\.(agent_description|suggested_prompts)\b"
    r"|^features\.(shortcuts|slash_commands)\.\d+\.(name|command|description|usage_hint)$"
)
_ESSENTIAL = re.compile(
    r" (app_mention|message\.im|app_mentions:read|chat:write|im:history|users:read)$"
    r"|socket_mode_enabled|token_rotation_enabled|messages_tab|bot_user"
)


@dataclass(frozen=True, slots=True)
class Difference:
    where: str
    """The path of the setting in the manifest, such as "settings.socket_mode_enabled"."""
    expected: str
    """The requirement, such as "be true" or "contain message.im"."""

    @property
    def is_essential(self) -> bool:
        """Whether the difference leaves questions unanswered, rather than just breaking a single feature."""
        return bool(_ESSENTIAL.search(f"{self.where} {self.expected}"))

    def __str__(self) -> str:
        return f"{self.where} must {self.expected}"


def scopes_of(*, agent: bool, extra: Collection[str] = ()) -> list[str]:
    return sorted((*SCOPES, *([AGENT_SCOPE] if agent else ()), *extra))


def app_manifest(
    *, agent: bool = False, extra: Collection[str] = (), name: str = DEFAULT_NAME, command: str = DEFAULT_COMMAND
) -> Json:
    """Returns an app's manifest, which includes Slack's Agents feature if `agent` is set. Raises ValueError if a name
    can't be used."""
    if not 1 <= len(name) <= MAX_NAME_CHARACTERS:
        raise ValueError(f"--name must have 1 to {MAX_NAME_CHARACTERS} characters.")
    if not _COMMAND.fullmatch(command):
        raise ValueError("--command must start with /, then 1 to 31 of a-z, 0-9, _ and -.")
    # Slack allows a-z, 0-9, -, _ and . in the bot user's name.
    display_name = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-") or DEFAULT_NAME.lower()
    shortcut_name = f"Ask {name} about this"
    features: Json = {
        "app_home": {
            "home_tab_enabled": True,
            "messages_tab_enabled": True,
            "messages_tab_read_only_enabled": False,
        },
        "bot_user": {"display_name": display_name, "always_online": True},
        "shortcuts": [
            {
                "name": shortcut_name if len(shortcut_name) <= _MAX_SHORTCUT_CHARACTERS else "Ask about this",
                "type": "message",
                "callback_id": ASK_ABOUT,
                "description": f"Asks {name} about a message, in its thread",
            }
        ],
        "slash_commands": [
            {
                "command": command,
                "description": "What I do and remember here, and how I'm set",
                "usage_hint": ", ".join(SUBCOMMANDS),
                "should_escape": False,
            }
        ],
    }
    if agent:
        features["agent_view"] = {
            "agent_description": "Answers questions, and reads what you share with it.",
            # Shown before anybody has opened the app, and after assistant.threads.setSuggestedPrompts ends.
            "suggested_prompts": texts.welcome.suggested_prompts(),
        }
    return {
        "display_information": {
            "name": name,
            "description": "Streams answers from an LLM into Slack, live.",
            "background_color": "#1f2937",
        },
        "features": features,
        "oauth_config": {
            "scopes": {"bot": scopes_of(agent=agent, extra=extra), "bot_optional": sorted(OPTIONAL_SCOPES)}
        },
        "settings": {
            "event_subscriptions": {"bot_events": sorted((*_EVENTS, *(_AGENT_EVENTS if agent else ())))},
            "interactivity": {"is_enabled": True},
            "org_deploy_enabled": False,
            "socket_mode_enabled": True,
            "token_rotation_enabled": False,
        },
    }


def differences(exported: Mapping[str, Any], *, extra: Collection[str] = ()) -> list[Difference]:
    """Returns the settings that this version of Typist needs but that an app's manifest lacks or sets differently.
    `exported`: the response of apps.manifest.export. Names, descriptions and additional settings don't count, because
    Slack adds settings that nobody made (slackapi/slack-cli#591) and operators can add their own."""
    features = exported.get("features") or {}
    expected = app_manifest(agent="agent_view" in features or "assistant_view" in features, extra=extra)
    # Optional scopes can be required: in apps created before Slack had optional scopes, or by an operator's choice.
    del expected["oauth_config"]["scopes"]["bot_optional"]
    if "assistant_view" in features:
        # Typist also supports apps with the older assistant_view.
        del expected["features"]["agent_view"]
        events = expected["settings"]["event_subscriptions"]["bot_events"]
        events[:] = [event for event in events if event not in _AGENT_EVENTS]
    return [difference for difference in _differences(expected, exported, "") if not _IGNORED.search(difference.where)]


def _differences(expected: object, exported: object, where: str) -> Iterator[Difference]:
    match expected:
        case dict():
            held = exported if isinstance(exported, Mapping) else {}
            for key, value in expected.items():
                yield from _differences(value, held.get(key), f"{where}.{key}" if where else key)
        case list() if expected and isinstance(expected[0], str):
            yield from (Difference(where, f"contain {entry}") for entry in expected if entry not in _as_list(exported))
        case list():
            if len(_as_list(exported)) < len(expected):
                yield Difference(where, f"have {len(expected)} or more entries")
                return
            for index, value in enumerate(expected):
                # An entry is compared with the most similar one, because an app can have other commands, too.
                compared = (list(_differences(value, entry, f"{where}.{index}")) for entry in _as_list(exported))
                yield from min(compared, key=len)
        # Slack can omit settings that are false.
        case _ if (exported or False) != expected:
            yield Difference(where, f"be {str(expected).lower()}")


def _as_list(exported: object) -> list[Any]:
    return exported if isinstance(exported, list) else []
