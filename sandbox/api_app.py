"""auth.test, apps.connections.open and assistant.threads.*: the app itself, and its signs of life."""

from sandbox.api import App, Method, required
from sandbox.workspace import TEAM_ID, Json


def auth_test(app: App, args: Json) -> Json:
    del args
    bot = app.workspace.bot
    return {
        "url": "https://sandbox.slack.com/",
        "team": app.workspace.name,
        "user": bot.name,
        "team_id": TEAM_ID,
        "user_id": bot.id,
        "bot_id": bot.bot_id,
        "is_enterprise_install": False,
    }


def open_connection(app: App, args: Json) -> Json:
    del args
    return {"url": app.open_socket()}


def set_status(app: App, args: Json) -> Json:
    channel = app.joined(args, "channel_id")
    root = app.workspace.message(channel.id, required(args, "thread_ts"))
    app.workspace.set_status(channel.id, root.root_ts, str(args.get("status") or ""))
    return {}


def set_title(app: App, args: Json) -> Json:
    app.joined(args, "channel_id")
    required(args, "thread_ts")
    required(args, "title")
    return {}


def set_suggested_prompts(app: App, args: Json) -> Json:
    app.joined(args, "channel_id")
    required(args, "prompts")
    return {}


_ASSISTANT = ("assistant:write", "chat:write")
METHODS = {
    "auth.test": Method(auth_test),
    "apps.connections.open": Method(open_connection, ("connections:write",), app_level=True),
    "assistant.threads.setStatus": Method(set_status, _ASSISTANT),
    "assistant.threads.setTitle": Method(set_title, _ASSISTANT),
    "assistant.threads.setSuggestedPrompts": Method(set_suggested_prompts, _ASSISTANT),
}
