"""assistant.threads.* and agents.sessions.*: threads' statuses, sessions and titles; the pane's suggested prompts."""

from slack_sandbox.manifest import SuggestedPrompt
from slack_sandbox.panes import Suggestions
from slack_sandbox.web_api.method import App, Method, required
from slack_sandbox.workspace import Channel, Json, Session, SessionStatus, SlackError

MAX_LOADING_MESSAGES = 10
LOADING_MESSAGE_CHARS = 50
"""The maximum length of a loading message. It isn't known how Slack counts characters; UTF-16 units are the strictest
interpretation."""
SESSION_TITLE = 200
_STATUSES: tuple[SessionStatus, ...] = ("active", "processing", "suspended", "closed")
_STOP_EVENT = "agent_session_stopped"


def set_status(app: App, args: Json) -> Json:
    channel = app.joined_channel(args, "channel_id")
    root = app.workspace.message(channel.id, required(args, "thread_ts"))
    loading_messages = args.get("loading_messages") or ()
    if isinstance(loading_messages, str):
        # In a form, they are separated by commas (slack-go/slack#1489).
        loading_messages = [part.strip() for part in loading_messages.split(",")]
    if len(loading_messages) > MAX_LOADING_MESSAGES:
        raise SlackError("invalid_arguments")
    if not all(0 < _utf16_units(str(entry)) <= LOADING_MESSAGE_CHARS for entry in loading_messages):
        raise SlackError("invalid_arguments")
    text = str(args.get("status") or "")
    app.workspace.set_status(channel.id, root.root_ts, text, tuple(map(str, loading_messages)))
    app.panes.on_status_written(channel.id, root.root_ts)
    return {}


def _utf16_units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def set_title(app: App, args: Json) -> Json:
    channel = app.joined_channel(args, "channel_id")
    app.panes.set_title(channel.id, required(args, "thread_ts"), required(args, "title"))
    return {}


def set_suggested_prompts(app: App, args: Json) -> Json:
    channel = app.joined_channel(args, "channel_id")
    required(args, "prompts")
    try:
        prompts = tuple(SuggestedPrompt(str(prompt["title"]), str(prompt["message"])) for prompt in args["prompts"])
    except (TypeError, KeyError):
        raise SlackError("invalid_arguments") from None
    thread_ts = str(args["thread_ts"]) if args.get("thread_ts") else None
    app.panes.suggest(channel.id, thread_ts, Suggestions(prompts, str(args.get("title") or "")))
    return {}


def set_session_status(app: App, args: Json) -> Json:
    channel, thread_ts = _session(app, args)
    status = session_status(args.get("status"))
    title = str(args.get("title") or "")
    if len(title) > SESSION_TITLE:
        raise SlackError("invalid_arguments")
    response = _session_json(app.panes.set_session(channel.id, thread_ts, status, title))
    if _STOP_EVENT not in app.config.events:
        response["warning"] = f"missing_{_STOP_EVENT}_event_subscription"
    return response


def rename_session(app: App, args: Json) -> Json:
    channel, thread_ts = _session(app, args)
    title = required(args, "title")
    if len(title) > SESSION_TITLE:
        raise SlackError("invalid_arguments")
    if app.panes.session(channel.id, thread_ts) is None:
        # Observed (agentconnect-md/agentconnect#1600); the docs name session_not_found.
        raise SlackError("not_authorized")
    app.panes.set_title(channel.id, thread_ts, title)
    return {"title": title}


def session_status(name: object) -> SessionStatus:
    for status in _STATUSES:
        if status == name:
            return status
    raise SlackError("invalid_arguments")


def _session(app: App, args: Json) -> tuple[Channel, str]:
    # Slack allows sessions only for apps with agent_view in their manifest. The error was observed
    # (kirodotdev/KiroCrew#9822).
    if app.config.pane != "agent":
        raise SlackError("not_authorized")
    channel = app.joined_channel(args, "channel_id")
    return channel, app.workspace.message(channel.id, required(args, "thread_ts")).root_ts


def _session_json(session: Session) -> Json:
    return {"agent_status": session.status, "title": session.title}


_ASSISTANT = ("assistant:write", "chat:write")
METHODS = {
    "assistant.threads.setStatus": Method(set_status, _ASSISTANT),
    "assistant.threads.setTitle": Method(set_title, _ASSISTANT),
    "assistant.threads.setSuggestedPrompts": Method(set_suggested_prompts, _ASSISTANT),
    "agents.sessions.setStatus": Method(set_session_status, ("chat:write",)),
    "agents.sessions.rename": Method(rename_session, ("chat:write",)),
}
