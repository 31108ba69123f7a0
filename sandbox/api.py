"""What all Web API methods share: their table's entries and the checks at their beginning."""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from sandbox.files import Files
from sandbox.manifest import Manifest
from sandbox.panes import Panes
from sandbox.triggers import Triggers
from sandbox.views import Views
from sandbox.workspace import Channel, Json, SlackError, Stream, Workspace


@dataclass(frozen=True, slots=True)
class App:
    """What a method works on."""

    workspace: Workspace
    monotonic: Callable[[], float]
    open_socket: Callable[[], str]
    """Gives the address for a new Socket Mode connection."""
    scopes: AbstractSet[str]
    """What the bot's token is granted now."""
    files: Files
    config: Manifest
    """How the app is set."""
    triggers: Triggers
    views: Views
    panes: Panes
    streams: dict[tuple[str, str], Stream]
    """Open streams by channel and ts."""

    def readable(self, args: Json, key: str = "channel") -> Channel:
        """A channel the bot can read: any public one, others that it is in. Raises SlackError."""
        try:
            channel = self.workspace.channels[required(args, key)]
        except KeyError:
            raise SlackError("channel_not_found") from None
        if channel.type != "channel" and self.workspace.bot.id not in channel.members:
            raise SlackError("channel_not_found")
        return channel

    def need(self, *scopes: str) -> None:
        """One of these is enough. Raises SlackError("missing_scope")."""
        if scopes and self.scopes.isdisjoint(scopes):
            raise SlackError("missing_scope", needed=scopes[0], provided=",".join(sorted(self.scopes)))

    def joined(self, args: Json, key: str = "channel") -> Channel:
        """A channel the bot is in. Raises SlackError."""
        channel = self.readable(args, key)
        if self.workspace.bot.id not in channel.members:
            raise SlackError("not_in_channel")
        return channel


@dataclass(frozen=True, slots=True)
class Method:
    """`scopes`: one of them is enough, none are needed where there are none."""

    run: Callable[[App, Json], Json]
    scopes: tuple[str, ...] = ()
    app_level: bool = False
    """Called with the app's token, not the bot's."""


def required(args: Json, key: str) -> str:
    """Raises SlackError("invalid_arguments")."""
    value = args.get(key)
    if value in (None, ""):
        messages = [f"[ERROR] missing required field: {key}"]
        raise SlackError("invalid_arguments", response_metadata={"messages": messages})
    return str(value)


def flag(args: Json, key: str) -> bool:
    """A yes or no, as JSON or as a form says it."""
    value: Any = args.get(key)
    return value is True or str(value).lower() in ("1", "true")
