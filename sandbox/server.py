"""A Slack for one machine: real HTTP and WebSocket on 127.0.0.1, with Slack's rules and faults on demand."""

import asyncio
import random
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import TypeVar

from aiohttp import web

from sandbox.api import App
from sandbox.budgets import Budgets
from sandbox.client import Client, Surfaces
from sandbox.commands import Commands
from sandbox.events import EVENTS, Events, TwinOrder
from sandbox.faults import Faults
from sandbox.files import MAX_BYTES, Files, Upload
from sandbox.interactivity import Interactivity
from sandbox.manifest import Manifest, read_manifest
from sandbox.modals import Modals
from sandbox.page_actions import PageActions
from sandbox.page_api import PageApi
from sandbox.panes import Panes
from sandbox.people import Content, People
from sandbox.responses import Responses
from sandbox.sample_workspace import populate
from sandbox.socket_mode import Delivery, SocketMode
from sandbox.triggers import Triggers
from sandbox.views import Views
from sandbox.web_api import SCOPES, CallRecord, Tokens, WebApi
from sandbox.workspace import APP_ID, TEAM_ID, Change, Json, Message, Revision, Stream, User, Workspace

T = TypeVar("T")

HOST = "127.0.0.1"
BOT_TOKEN = "xoxb-sandbox-typist"  # noqa: S105 - opens nothing but this sandbox
APP_TOKEN = f"xapp-1-{APP_ID}-sandbox"
_CLOSE_WITHIN_S = 1.0


def find_port(preferred: int = 3000) -> int:
    """The preferred port, or the next that is free on this machine. Raises OSError where none of 100 is."""
    for port in range(preferred, preferred + 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise OSError(f"No free port from {preferred} to {preferred + 99}.")


@dataclass
class Sandbox:
    """`async with Sandbox() as sandbox:` serves until the block ends; all fields are how it is set."""

    port: int = 0
    """0: any free one."""
    note: str = ""
    """Shown on the page: what the bot runs on."""
    budgets: Mapping[str, int] = field(default_factory=dict)
    """Calls a minute, by method, where they differ from Slack's floors."""
    post_burst: int = 10
    """Posts that one channel takes at once before one a second holds."""
    scopes: AbstractSet[str] = SCOPES - {"assistant:write"}
    """What the bot's token begins with; `granted` is what it has now. Only apps with a pane may write in it."""
    subscribed: frozenset[str] = EVENTS
    twin_order: TwinOrder = "either"
    seed: int = 0
    """Decides the order of twin events."""
    ack_timeout_s: float = 3.0
    redelivery_delays_s: Sequence[float] = (0.0, 60.0, 300.0)
    keep_revisions: bool = True
    manifest: Json | None = None
    """The app's: its scopes, events, commands and all else; `scopes` and `subscribed` are for an app without one."""
    monotonic: Callable[[], float] = time.monotonic
    """What budgets, streams and statuses go by, and what records are stamped with."""

    bot_token = BOT_TOKEN
    app_token = APP_TOKEN
    team_id = TEAM_ID

    def __post_init__(self) -> None:
        bot = User("U0TYPIST", "typist", "Typist", "#4a154b", bot_id="B0TYPIST")
        self.workspace = Workspace(bot, self.monotonic, self.keep_revisions)
        populate(self.workspace)
        self.faults = Faults()
        unset = Manifest(self.scopes, self.subscribed)
        self.config = unset if self.manifest is None else read_manifest(self.manifest)
        self.granted = set(self.config.scopes)
        self.workspace.declared_metadata = self.config.metadata
        self.files = Files(self.workspace, self.faults, lambda: self.url, self.bot_token, self.granted)
        self.people = People(self.workspace, self.files)
        self.sockets = SocketMode(
            self.faults, self.ack_timeout_s, self.redelivery_delays_s, self.monotonic, self._on_sockets
        )
        chooser = random.Random(self.seed)  # noqa: S311 - no secret is made of it
        self._events = Events(
            self.workspace,
            self.config.events,
            self.twin_order,
            chooser,
            lambda message: self.panes.message_fields(message),
        )
        self.views, triggers, streams = Views(bot), Triggers(self.monotonic), dict[tuple[str, str], Stream]()
        self.panes = Panes(self.workspace, self.config, self.views, streams, self._emit)
        app = App(
            self.workspace,
            self.monotonic,
            self._socket_url,
            self.granted,
            self.files,
            self.config,
            triggers,
            self.views,
            self.panes,
            streams,
        )
        self._budgets = Budgets(self.budgets, self.post_burst, self.monotonic)
        tokens = Tokens(self.bot_token, self.app_token)
        self._web = WebApi(app, self._budgets, self.faults, tokens, lambda _: self._pulse())
        self._responses = Responses(self.workspace, self.monotonic, lambda: self.url)
        interactivity = Interactivity(self.workspace, self.sockets, self.config.interactive, triggers, self._responses)
        commands, modals = Commands(interactivity, self.config), Modals(interactivity, self.views)
        self._surfaces = Surfaces(self.workspace, interactivity, commands, modals, self.panes)
        self._page = PageApi(
            self.workspace, self.people, self._budgets, self.faults, self.sockets, self.note, self._surfaces
        )
        self.workspace.listeners.append(self._on_change)
        self._waiters: set[asyncio.Event] = set()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> "Sandbox":
        app = web.Application(client_max_size=MAX_BYTES)
        app.add_routes(self._page.routes())
        app.add_routes(PageActions(self._surfaces).routes())
        app.add_routes([web.post("/response/{token}", self._responses.handle)])
        app.add_routes([web.post("/api/{method}", self._web.handle), web.get("/api/{method}", self._web.handle)])
        app.add_routes(self.files.routes())
        app.add_routes([web.get("/link/", self.sockets.connect)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_CLOSE_WITHIN_S)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self._page.updates.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.files.close()
        await self.sockets.close()
        await self._page.updates.close()
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def api_url(self) -> str:
        """The Web API's base, as slack_sdk wants it."""
        return f"{self.url}/api/"

    @property
    def bot_user_id(self) -> str:
        return self.workspace.bot.id

    @property
    def calls(self) -> deque[CallRecord]:
        """The Web API's calls, oldest first, the last 5,000."""
        return self._web.calls

    @property
    def deliveries(self) -> deque[Delivery]:
        """The events that were sent and what became of them, oldest first."""
        return self.sockets.deliveries

    def set_note(self, note: str) -> None:
        """Changes what the page says the bot runs on."""
        self._page.set_note(note)

    async def say(
        self, user: str, channel: str, text: str, thread_ts: str | None = None, *, broadcast: bool = False
    ) -> str:
        """Writes as a person; the new message's ts. `@typist` and `<@BOT>` are a mention of the bot."""
        return self.people.say(user, channel, text.replace("<@BOT>", "@typist"), thread_ts, broadcast=broadcast)

    async def share(
        self, user: str, channel: str, text: str, files: Sequence[Upload], thread_ts: str | None = None
    ) -> str:
        """Writes as a person, with files."""
        return self.people.share(user, channel, text, files, thread_ts)

    async def say_as_bot(
        self, name: str, channel: str, text: str, thread_ts: str | None = None, *, old: bool = False
    ) -> str:
        """Writes as another bot; `old`: as an old-style integration, with subtype bot_message."""
        return self.people.say_as_bot(name, channel, text, thread_ts, old=old)

    async def say_through(self, app_id: str, user: str, channel: str, text: str) -> str:
        """Writes as an app that acts for a person: without a bot_id."""
        return self.people.say_through(app_id, user, channel, text.replace("<@BOT>", "@typist"))

    async def post(self, user: str, channel: str, content: Content, thread_ts: str | None = None) -> str:
        """Writes with text, blocks and attachments as they are given."""
        return self.people.post(user, channel, content, thread_ts)

    async def forward(self, user: str, channel: str, ts: str, to: str, comment: str = "") -> str:
        """Shares a message of one channel in another, as a person."""
        message = self.workspace.message(self.workspace.channel(channel).id, ts)
        return self.people.forward(user, message, to, comment)

    async def paste(self, user: str, channel: str, text: str, rows: Sequence[Sequence[str | float]]) -> str:
        """Writes as a person, with a table that was copied from elsewhere."""
        return self.people.paste(user, channel, text, rows)

    async def notice(self, user: str, text: str) -> str:
        """Writes as Slack itself into a person's DM with the bot."""
        return self.people.notice(user, text)

    async def edit(self, channel: str, ts: str, text: str) -> None:
        """Edits a person's message."""
        self.people.edit(channel, ts, text)

    async def delete(self, channel: str, ts: str) -> None:
        """Deletes a person's message."""
        self.people.delete(channel, ts)

    def client(self, user: str) -> Client:
        """A person's Slack: what they do with the app's buttons, modals, commands and tabs."""
        return Client(self.workspace.user(user).id, self._surfaces)

    def dm(self, user: str) -> str:
        """The id of a person's DM with the bot."""
        return self.workspace.dm(user).id

    def messages(self, channel: str, thread_ts: str | None = None) -> list[Message]:
        """A channel's messages at its root, or a thread with its root, oldest first."""
        place = self.workspace.channel(channel).id
        if thread_ts is not None:
            return [self.workspace.message(place, thread_ts), *self.workspace.replies(place, thread_ts)]
        return [message for message in self.workspace.messages(place) if message.thread_ts is None]

    def revisions(self, channel: str, ts: str) -> list[Revision]:
        """All that readers saw of a message, and from when on."""
        return self.workspace.revisions(self.workspace.channel(channel).id, ts)

    def redeliver(self, event_id: str | None = None) -> None:
        """Delivers an event again, the last one where none is named, though it was acknowledged."""
        for delivery in reversed(self.deliveries):
            if event_id in (None, delivery.event_id):
                self.sockets.redeliver(delivery)
                return

    async def wait_for(self, predicate: Callable[[], T], timeout_s: float = 10.0) -> T:
        """What the predicate gives as soon as it is true; asked on every change. Raises TimeoutError."""
        changed = asyncio.Event()
        self._waiters.add(changed)
        try:
            async with asyncio.timeout(timeout_s):
                while not (found := predicate()):
                    await changed.wait()
                    changed.clear()
                return found
        finally:
            self._waiters.discard(changed)

    async def wait_for_bot(self, timeout_s: float = 10.0) -> None:
        """Until the bot's socket is there. Raises TimeoutError."""
        await self.wait_for(lambda: self.sockets.connections, timeout_s)

    def _socket_url(self) -> str:
        return f"ws://{HOST}:{self.port}/link/?ticket={self.sockets.ticket()}&app_id={APP_ID}"

    def _emit(self, event: Json) -> None:
        payload = self._events.payload(event)
        if payload is not None:
            self.sockets.send(payload)

    def _on_change(self, change: Change) -> None:
        for payload in self._events.payloads(change):
            self.sockets.send(payload)
        self._pulse()

    def _on_sockets(self) -> None:
        self._page.tell_bot()
        self._pulse()

    def _pulse(self) -> None:
        for waiter in self._waiters:
            waiter.set()
