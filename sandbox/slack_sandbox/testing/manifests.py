"""Manifests of test apps."""

from typing import Any

from slack_sandbox.workspace import Json

COMMAND = {"command": "/bot", "description": "Ask, and set how it answers", "usage_hint": "[help]"}
SHORTCUTS = [
    {"name": "Ask about this", "type": "message", "callback_id": "ask_about", "description": "Asks about a message"},
    {"name": "Ask anything", "type": "global", "callback_id": "ask_anything", "description": "Asks a question"},
]
PROMPTS = [{"title": "What can you do?", "message": "What can you help me with?"}]
SCOPES = ["app_mentions:read", "channels:history", "chat:write", "commands", "im:history", "users:read"]
EVENTS = ["app_mention", "app_home_opened", "message.channels", "message.im"]


def classic(**features: Any) -> Json:
    return manifest({"slash_commands": [COMMAND], "shortcuts": SHORTCUTS, **features}, SCOPES, EVENTS)


def reacting() -> Json:
    return manifest({}, [*SCOPES, "reactions:read"], ["reaction_added", "reaction_removed"])


def greeting() -> Json:
    return manifest({}, [*SCOPES, "channels:read"], ["member_joined_channel"])


def transcribing() -> Json:
    return manifest({}, [*SCOPES, "files:read"], ["message.channels", "file_change"])


def assistant() -> Json:
    events = [*EVENTS, "assistant_thread_started", "assistant_thread_context_changed"]
    view = {"assistant_description": "Answers questions", "suggested_prompts": PROMPTS}
    return manifest({"assistant_view": view}, [*SCOPES, "assistant:write"], events)


def agent() -> Json:
    events = [*EVENTS, "app_context_changed", "agent_session_stopped", "agent_session_title_changed"]
    view = {"agent_description": "Answers questions", "suggested_prompts": PROMPTS}
    return manifest({"agent_view": view}, [*SCOPES, "assistant:write"], events)


def manifest(features: Json, scopes: list[str], events: list[str]) -> Json:
    home = {"home_tab_enabled": True, "messages_tab_enabled": True, "messages_tab_read_only_enabled": False}
    return {
        "display_information": {"name": "Bot"},
        "features": {"bot_user": {"display_name": "bot", "always_online": True}, "app_home": home, **features},
        "oauth_config": {"scopes": {"bot": scopes}},
        "settings": {
            "event_subscriptions": {"bot_events": events},
            "interactivity": {"is_enabled": True},
            "socket_mode_enabled": True,
        },
    }
