"""The app's Home and Messages tabs, the assistant pane, and agent sessions."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

from slack_sandbox.action_tokens import ActionTokens
from slack_sandbox.manifest import MAX_PROMPTS, Manifest, SuggestedPrompt
from slack_sandbox.views import Views
from slack_sandbox.workspace import (
    TEAM_ID,
    Channel,
    Json,
    Message,
    Session,
    SessionStatus,
    SlackError,
    Stream,
    Workspace,
)

Tab = Literal["home", "messages"]
NEW_THREAD = "New chat"
SESSION_LIFE_S = 3_600
"""The longest time that a session stays in `processing`."""


@dataclass(frozen=True, slots=True)
class Suggestions:
    prompts: tuple[SuggestedPrompt, ...]
    title: str = ""


@dataclass(frozen=True, slots=True)
class OpenContent:
    """The channel that a person has open next to the pane, and a message or a canvas in it."""

    channel: str
    message_ts: str | None = None
    canvas_id: str | None = None


@dataclass
class Panes:
    """The state of all panes. The `on_changed` functions receive the ID of a changed direct message. `emit` sends the
    app an event about a person, or about the bot for None."""

    workspace: Workspace
    config: Manifest
    views: Views
    streams: dict[tuple[str, str], Stream]
    action_tokens: ActionTokens
    emit: Callable[[Json, str | None], None]
    stop_stream: Callable[[str, str], None]
    """Closes a stream by channel and ts because a person stopped it."""
    on_changed: list[Callable[[str], None]] = field(default_factory=list)
    _suggestions: dict[tuple[str, str | None], Suggestions] = field(default_factory=dict)
    """Suggestions by direct message and thread. An agent's suggestions are for the whole direct message."""
    _looking_at: dict[str, OpenContent] = field(default_factory=dict)
    _threads: dict[str, str] = field(default_factory=dict)
    """The ts of each user's open assistant thread."""

    def open_tab(self, user_id: str, tab: Tab) -> None:
        view = self.views.home(user_id) if tab == "home" else None
        event: Json = {"type": "app_home_opened", "user": user_id, "channel": self._dm(user_id).id, "tab": tab}
        if view is not None:
            event["view"] = self.views.view_json(view)
        if self.config.pane == "agent":
            event |= self._context(user_id)
        self._emit(event)

    def message_fields(self, message: Message) -> Json:
        """Returns a message's extra fields for the app: an action token, and the channel or message that the author has
        open."""
        if self.config.pane is None:
            return {}
        fields: Json = {}
        author = self.workspace.user(message.user_id)
        if author.is_member:
            fields["assistant_thread"] = {"action_token": self.action_tokens.issue(author.id)}
        if self.config.pane == "agent" and message.channel == self._dm(message.user_id).id:
            fields |= {f"app_{key}": value for key, value in self._context(message.user_id).items()}
        return fields

    def start_thread(self, user_id: str) -> str:
        """Starts a thread in the assistant pane and returns its ts. Raises SlackError if the app has no such pane."""
        if self.config.pane != "assistant":
            raise SlackError("not_enabled")
        workspace, channel = self.workspace, self._dm(user_id)
        root = Message(channel.id, workspace.next_ts(), workspace.bot.id, NEW_THREAD, subtype="assistant_app_thread")
        workspace.post(root)
        self._threads[user_id] = root.ts
        if self.config.prompts:
            self._suggestions[channel.id, root.ts] = Suggestions(self.config.prompts)
        self._emit({"type": "assistant_thread_started", "assistant_thread": self._thread_json(user_id)})
        self._notify(channel.id)
        return root.ts

    def look_at(self, user_id: str, channel: str, message_ts: str | None = None, canvas_id: str | None = None) -> None:
        viewed = OpenContent(channel, message_ts, canvas_id)
        if self._looking_at.get(user_id) == viewed:
            return
        self._looking_at[user_id] = viewed
        if self.config.pane == "agent":
            # The event doesn't contain a user, a channel or event_ts.
            self.emit({"type": "app_context_changed", **self._context(user_id)}, user_id)
        elif user_id in self._threads:
            self._emit({"type": "assistant_thread_context_changed", "assistant_thread": self._thread_json(user_id)})

    def stop(self, user_id: str, channel: str, thread_ts: str) -> None:
        """Presses Slack's Stop button: closes the session's streams and notifies the app. Raises SlackError."""
        session = self.session(channel, thread_ts)
        if session is None or session.status != "processing":
            raise SlackError("session_not_processing")
        replies = {message.ts for message in self.workspace.replies(channel, thread_ts)}
        streaming = [ts for stream_channel, ts in self.streams if stream_channel == channel and ts in replies]
        for ts in streaming:
            self.stop_stream(channel, ts)
        fields = {"channel": channel, "thread_ts": thread_ts, "user": user_id, "streaming_message_ts": streaming}
        self._emit({"type": "agent_session_stopped", **fields})

    def rename(self, user_id: str, channel: str, thread_ts: str, title: str) -> None:
        """Changes a session's title for a person, and notifies the app. Raises SlackError without a session."""
        session = self.session(channel, thread_ts)
        if session is None:
            raise SlackError("session_not_found")
        self.set_title(channel, thread_ts, title)
        fields = {"channel": channel, "thread_ts": thread_ts, "user": user_id, "team_id": TEAM_ID, "title": title}
        previous = {"previous_title": session.title} if session.title else {}
        self._emit({"type": "agent_session_title_changed", **fields, **previous})

    def suggest(self, channel: str, thread_ts: str | None, suggestions: Suggestions) -> None:
        """Sets suggested prompts. Raises SlackError if there are too many."""
        if len(suggestions.prompts) > MAX_PROMPTS:
            messages = [f"[ERROR] no more than {MAX_PROMPTS} items allowed [json-pointer:/prompts]"]
            raise SlackError("invalid_arguments", response_metadata={"messages": messages})
        if self.config.pane == "agent" and thread_ts is not None:
            # Documented: for an agent, a call with a thread_ts fails silently.
            return
        self._suggestions[channel, thread_ts] = suggestions
        self._notify(channel)

    def suggestions(self, channel: str, thread_ts: str | None) -> Suggestions:
        """Returns the suggested prompts of a thread, or of an agent's direct message."""
        default = Suggestions(self.config.prompts if self.config.pane == "agent" else ())
        return self._suggestions.get((channel, thread_ts), default)

    def set_title(self, channel: str, thread_ts: str, title: str) -> None:
        """Sets the title of an assistant thread or of an agent session. Raises SlackError."""
        root = self.workspace.message(channel, thread_ts)
        if root.subtype == "assistant_app_thread":
            self.workspace.change(replace(root, title=title))
        else:
            self._store_session(root, replace(root.session or Session("active"), title=title))
        self._notify(channel)

    def session(self, channel: str, thread_ts: str) -> Session | None:
        try:
            return self.workspace.message(channel, thread_ts).session
        except SlackError:
            # The root was deleted, with all replies.
            return None

    def set_session(self, channel: str, thread_ts: str, status: SessionStatus, title: str = "") -> Session:
        """Sets a session's status and returns the session. `title` is used only for a new session. Raises SlackError.

        The session and the app's status share one place in the thread, so this removes the app's status.
        """
        root = self.workspace.message(channel, thread_ts)
        session = _with_status(root.session or Session(status, title), status)
        self._store_session(root, session)
        self.workspace.set_status(channel, thread_ts, "")
        self._notify(channel)
        return session

    def on_status_written(self, channel: str, thread_ts: str) -> None:
        """Removes Slack's Stop button, because the app has set a status in the same place."""
        session = self.session(channel, thread_ts)
        if session is not None and session.status == "processing":
            self._store_session(self.workspace.message(channel, thread_ts), _with_status(session, "active"))
            self._notify(channel)

    def sessions(self, channel: str) -> dict[str, Session]:
        posted = self.workspace.log(channel).posted()
        return {message.ts: message.session for message in posted if message.session}

    def thread(self, user_id: str) -> str | None:
        """Returns the ts of a person's open assistant thread, or None."""
        return self._threads.get(user_id)

    def _store_session(self, root: Message, session: Session) -> None:
        if session != root.session:
            self.workspace.change(replace(root, session=session))

    def _thread_json(self, user_id: str) -> Json:
        looking_at = self._looking_at.get(user_id)
        context = {"channel_id": looking_at.channel, "team_id": TEAM_ID, "enterprise_id": None} if looking_at else {}
        return {
            "user_id": user_id,
            "context": context,
            "channel_id": self._dm(user_id).id,
            "thread_ts": self._threads[user_id],
        }

    def _context(self, user_id: str) -> Json:
        """Returns what a person has open next to the pane, most relevant first, or {}."""
        viewed = self._looking_at.get(user_id)
        if viewed is None:
            return {}
        entity: Json = {"type": "slack#/types/channel_id", "value": viewed.channel}
        if viewed.message_ts is not None:
            value = {"message_ts": viewed.message_ts, "channel_id": viewed.channel}
            entity = {"type": "slack#/types/message_context", "value": value}
        canvas: Json = {"type": "slack#/types/canvas_id", "value": viewed.canvas_id}
        entities = [canvas, entity] if viewed.canvas_id else [entity]
        return {"context": {"entities": [one | {"team_id": TEAM_ID} for one in entities]}}

    def _dm(self, user_id: str) -> Channel:
        return self.workspace.dm(user_id)

    def _emit(self, event: Json) -> None:
        self.emit({**event, "event_ts": self.workspace.next_ts()}, None)

    def _notify(self, channel: str) -> None:
        for listener in self.on_changed:
            listener(channel)


def _with_status(session: Session, status: SessionStatus) -> Session:
    expires_s = int(time.time()) + SESSION_LIFE_S if status == "processing" else None
    return replace(session, status=status, expires_s=expires_s)
