"""Code shared by all Web API methods: their context, their declaration and argument checks."""

import asyncio
import base64
import binascii
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from slack_sandbox.action_tokens import ActionTokens
from slack_sandbox.export.opened import Export
from slack_sandbox.files import Files
from slack_sandbox.manifest import Manifest
from slack_sandbox.panes import Panes
from slack_sandbox.setup import Setup
from slack_sandbox.triggers import Triggers
from slack_sandbox.views import Views
from slack_sandbox.workspace import Channel, Json, Message, SlackError, Stream, Workspace

T = TypeVar("T")
TokenKind = Literal["bot", "app", "config"]


@dataclass(frozen=True, slots=True)
class App:
    """The app's state in the sandbox, which every Web API method reads and changes."""

    workspace: Workspace
    monotonic: Callable[[], float]
    open_socket: Callable[[], str]
    """Returns the URL for a new Socket Mode connection."""
    scopes: AbstractSet[str]
    files: Files
    config: Manifest
    triggers: Triggers
    action_tokens: ActionTokens
    views: Views
    panes: Panes
    streams: dict[tuple[str, str], Stream]
    closed_streams: dict[tuple[str, str], str]
    """The error for calls to a stream that the app didn't stop itself, by channel and ts."""
    scheduled: dict[int, asyncio.TimerHandle]
    schedule_numbers: Iterator[int]
    setup: Setup
    manifest: Json | None
    """The manifest that the app was created from, or None."""
    stream_capacity_bytes: int | None
    """The maximum size of a stream's text in UTF-8. If None, only the limits of messages apply."""
    index_delay_s: float
    created: dict[str, Json] = field(default_factory=dict)
    """The manifests of other apps created with apps.manifest.create, by ID."""
    export: Export | None = None
    """The workspace's export, or None for the sample workspace."""

    def post_later(self, draft: Message, delay_s: float) -> int:
        """Posts a message of the bot after a delay. Returns its number among all scheduled messages."""
        number = next(self.schedule_numbers)

        def post() -> None:
            del self.scheduled[number]
            self.workspace.post(replace(draft, ts=self.workspace.next_ts()))

        self.scheduled[number] = asyncio.get_running_loop().call_later(delay_s, post)
        return number

    def readable_channel(self, args: Json, key: str = "channel") -> Channel:
        """Returns a channel that the bot can see: a public one, or one that it is a member of. Raises SlackError."""
        try:
            channel = self.workspace.channels[required(args, key)]
        except KeyError:
            raise SlackError("channel_not_found") from None
        if channel.type != "channel" and self.workspace.bot.id not in channel.members:
            raise SlackError("channel_not_found")
        return channel

    def channel_id(self, name_or_id: str) -> str:
        """Returns the ID for `#general`, `general` or a person's ID (their direct message); other text unchanged."""
        name = name_or_id.removeprefix("#")
        channels = self.workspace.channels.values()
        named = (c.id for c in channels if c.type in ("channel", "group") and c.name == name)
        return next(named, None) or next((c.id for c in channels if c.user_id == name_or_id), name_or_id)

    def require_scope(self, *scopes: str) -> None:
        """Raises SlackError("missing_scope") unless the bot has one of the scopes, if any are given."""
        require_scope(self.scopes, *scopes)

    def joined_channel(self, args: Json, key: str = "channel") -> Channel:
        """Returns a channel that the bot is a member of. Raises SlackError."""
        channel = self.readable_channel(args, key)
        if self.workspace.bot.id not in channel.members:
            raise SlackError("not_in_channel")
        return channel


@dataclass(frozen=True, slots=True)
class Method:
    """A Web API method. The caller needs one of `scopes`, if there are any."""

    run: Callable[[App, Json], Json]
    scopes: tuple[str, ...] = ()
    called_with: TokenKind | None = "bot"
    """The type of token that the method accepts. `config` is the app configuration token; None accepts any or none."""


def require_scope(granted: AbstractSet[str], *scopes: str) -> None:
    """Raises SlackError("missing_scope") unless one of the scopes is granted, if any are given."""
    if scopes and granted.isdisjoint(scopes):
        raise SlackError("missing_scope", needed=scopes[0], provided=",".join(sorted(granted)))


def required(args: Json, key: str) -> str:
    """Returns an argument as a string. Raises SlackError("invalid_arguments") if it is missing or empty."""
    value = args.get(key)
    if value in (None, ""):
        messages = [f"[ERROR] missing required field: {key}"]
        raise SlackError("invalid_arguments", response_metadata={"messages": messages})
    return str(value)


def flag(args: Json, key: str) -> bool:
    value: Any = args.get(key)
    return value is True or str(value).lower() in ("1", "true")


def paginate(args: Json, items: Sequence[T], default_limit: int, max_limit: int = 1_000) -> tuple[Sequence[T], Json]:
    """Returns the requested page, and the response metadata with the next page's cursor, if there is one."""
    limit, start = _requested_limit(args, default_limit, max_limit), _start_index(args)
    if start + limit >= len(items):
        return items[start:], {}
    cursor = base64.b64encode(f"next:{start + limit}".encode()).decode()
    return items[start : start + limit], {"response_metadata": {"next_cursor": cursor}}


def _requested_limit(args: Json, default_limit: int, max_limit: int) -> int:
    try:
        limit = int(args.get("limit") or default_limit)
    except ValueError:
        raise SlackError("invalid_limit") from None
    if not 1 <= limit <= max_limit:
        raise SlackError("invalid_limit")
    return limit


def _start_index(args: Json) -> int:
    cursor = args.get("cursor")
    if not cursor:
        return 0
    try:
        return int(base64.b64decode(str(cursor), validate=True).decode().removeprefix("next:"))
    except (ValueError, binascii.Error):
        raise SlackError("invalid_cursor") from None
