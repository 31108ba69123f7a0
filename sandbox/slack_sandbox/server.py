"""A simulated Slack on 127.0.0.1 over real HTTP and WebSocket, with Slack's rules, and faults on demand."""

import asyncio
import itertools
import linecache
import random
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from aiohttp import web

from slack_sandbox.action_tokens import ActionTokens
from slack_sandbox.client import Client, Surfaces
from slack_sandbox.commands import Commands
from slack_sandbox.events import EVENTS, Events, TwinOrder
from slack_sandbox.export.opened import Export
from slack_sandbox.faults import Faults
from slack_sandbox.files import MAX_BYTES, Files, Mail, UploadedFile
from slack_sandbox.interactivity import Interactivity
from slack_sandbox.manifest import EVENT_SCOPES, Manifest, read_manifest
from slack_sandbox.modals import Modals
from slack_sandbox.notifications import Notifications
from slack_sandbox.page.actions import PageActions
from slack_sandbox.page.guard import refuse_other_sites
from slack_sandbox.page.guide import Guide
from slack_sandbox.page.routes import PageApi
from slack_sandbox.panes import Panes
from slack_sandbox.people import Content, People
from slack_sandbox.problems import Problems
from slack_sandbox.responses import Responses
from slack_sandbox.sample_workspace import bot_user, populate
from slack_sandbox.setup import DEFAULT_SETUP, Setup
from slack_sandbox.socket_mode import Delivery, SocketMode
from slack_sandbox.triggers import Triggers
from slack_sandbox.views import Views
from slack_sandbox.web_api.budgets import GENEROUS, STRICT, Budgets, PostRule
from slack_sandbox.web_api.http import SCOPES, CallRecord, Tokens, WebApi
from slack_sandbox.web_api.method import App
from slack_sandbox.web_api.streams import STOPPED_BY_USER, close
from slack_sandbox.workspace import TEAM_ID, Change, Json, Message, Revision, Stream, Workspace

T = TypeVar("T")

HOST = "127.0.0.1"
_CLOSE_TIMEOUT_S = 1.0
_LOOK_S = 1.0
_WAIT_S = 120.0
_QUIET_S = 90.0
"""The idle time after which an app counts as finished, even on a busy machine."""
_NEWEST = 8


def _describe_predicate(predicate: Callable[[], object]) -> str:
    code = getattr(predicate, "__code__", None)
    if code is None:
        return repr(predicate)
    line = linecache.getline(code.co_filename, code.co_firstlineno).strip()
    return f"{code.co_filename}:{code.co_firstlineno}: {line}"


def find_port(preferred: int = 3000) -> int:
    """Returns the preferred port or the next free one. Raises OSError if the next 100 ports are taken."""
    for port in range(preferred, preferred + 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise OSError(f"No free port between {preferred} and {preferred + 99}.")


@dataclass
class Sandbox:
    """A workspace with its servers. `async with Sandbox() as sandbox:` serves until the block ends."""

    port: int = 0
    """0 selects any free port."""
    listen_on: str = HOST
    """The IP address to listen on. A container's ports are published only if it is 0.0.0.0."""
    note: str = ""
    guide: Guide = field(default_factory=Guide)
    budgets: Mapping[str, int] = field(default_factory=dict)
    """Calls per minute by method that override Slack's limits."""
    posts: PostRule = GENEROUS
    """The limit on posts per channel. The fault strict_posts replaces it."""
    stream_capacity_bytes: int | None = 10_000
    """The maximum size of a native stream's text in UTF-8, or None for no limit. Reports about Slack's limit
    conflict."""
    scopes: AbstractSet[str] = SCOPES - {"assistant:write"}
    """The bot's initial scopes; `granted` has the current ones. Only apps with a pane have assistant:write."""
    subscribed: frozenset[str] = EVENTS
    share_delay_s: float = 0.05
    """Slack's delay before sharing an app's files. Shorter than the real delay (files.SHARE_DELAY_S), so that tests are
    fast."""
    index_delay_s: float = 0.0
    """The delay before Slack's search finds a message. 0, so that tests are fast."""
    twin_order: TwinOrder = "either"
    seed: int = 0
    ack_timeout_s: float = 3.0
    redelivery_delays_s: Sequence[float] = (0.0, 60.0, 300.0)
    keep_revisions: bool = True
    manifest: Json | None = None
    """The app's manifest. `scopes` and `subscribed` are only used without one."""
    setup: Setup = DEFAULT_SETUP
    tokens: Tokens = field(default_factory=Tokens)
    """Random at each start, because a web page that guesses them could read the workspace and post."""
    monotonic: Callable[[], float] = time.monotonic
    export: Export | None = None

    team_id = TEAM_ID

    def __post_init__(self) -> None:
        default_config = Manifest(self.scopes, self.subscribed)
        self.config = default_config if self.manifest is None else read_manifest(self.manifest)
        bot = bot_user(self.config)
        self.workspace = Workspace(bot, self.monotonic, self.keep_revisions)
        populate(self.workspace) if self.export is None else self.export.add_to(self.workspace)
        self.faults = Faults()
        self.granted = set(self.config.scopes)
        self.workspace.declared_metadata = self.config.metadata
        self.files = Files(
            self.workspace,
            self.faults,
            lambda: self.url,
            self.bot_token,
            self.granted,
            self.share_delay_s,
            self.emit,
        )
        self.people = People(self.workspace, self.files)
        # Posted before anything listens, so the app doesn't get events about them.
        for room in self.guide.rooms:
            self.people.add_room(room)
        self.problems = Problems()
        self.notifications = Notifications(self.workspace)
        self.sockets = SocketMode(
            self.faults,
            self.setup,
            self.ack_timeout_s,
            self.redelivery_delays_s,
            self.monotonic,
            self._on_sockets_changed,
            acknowledged=self.problems.on_acknowledged,
            not_acknowledged=self.problems.on_not_acknowledged,
        )
        chooser = random.Random(self.seed)  # noqa: S311 - not used for secrets
        self._events = Events(
            self.workspace,
            self.config.events,
            self.twin_order,
            chooser,
            lambda message: self.panes.message_fields(message),
        )
        self.views, triggers, streams = Views(bot), Triggers(self.monotonic), dict[tuple[str, str], Stream]()
        action_tokens = ActionTokens(self.monotonic)
        self.panes = Panes(
            self.workspace,
            self.config,
            self.views,
            streams,
            action_tokens,
            self.emit,
            lambda channel, ts: close(app, channel, ts, STOPPED_BY_USER),
        )
        self._scheduled: dict[int, asyncio.TimerHandle] = {}
        app = App(
            self.workspace,
            self.monotonic,
            self._socket_url,
            self.granted,
            self.files,
            self.config,
            triggers,
            action_tokens,
            self.views,
            self.panes,
            streams,
            {},
            self._scheduled,
            itertools.count(1),
            self.setup,
            self.manifest,
            self.stream_capacity_bytes,
            self.index_delay_s,
            export=self.export,
        )
        self._budgets = Budgets(self.budgets, self.posts, self.monotonic)
        self.faults.listeners.append(self._set_post_rule)
        self._web = WebApi(app, self._budgets, self.faults, self.tokens, self._on_call)
        self.responses = Responses(self.workspace, self.monotonic, lambda: self.url)
        interactivity = Interactivity(
            self.workspace,
            self.sockets,
            self.config.interactive,
            triggers,
            self.responses,
            self.views.suggested,
        )
        commands, modals = Commands(interactivity, self.config), Modals(interactivity, self.views)
        self._surfaces = Surfaces(self.workspace, interactivity, commands, modals, self.panes)
        self._page = PageApi(
            self.workspace,
            self.people,
            self._budgets,
            self.faults,
            self.sockets,
            self.note,
            self._surfaces,
            self.guide,
            self.problems,
            self.notifications,
            tuple(self.export.report.lines()) if self.export else (),
        )
        self.workspace.listeners.append(self._on_change)
        self._waiters: set[asyncio.Event] = set()
        self._given_up = ""
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> "Sandbox":
        app = web.Application(client_max_size=MAX_BYTES, middlewares=[refuse_other_sites])
        app.add_routes(self._page.routes())
        app.add_routes(PageActions(self._surfaces, self._page.page_surfaces.record_tab).routes())
        app.add_routes([web.post("/response/{token}", self.responses.handle)])
        app.add_routes([web.post("/api/{method}", self._web.handle), web.get("/api/{method}", self._web.handle)])
        app.add_routes(self.files.routes())
        app.add_routes([web.get("/link/", self.sockets.connect)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_CLOSE_TIMEOUT_S)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.listen_on, self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self._page.updates.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.files.close()
        self.problems.close()
        for timer in self._scheduled.values():
            timer.cancel()
        await self.sockets.close()
        await self._page.updates.close()
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def api_url(self) -> str:
        return f"{self.url}/api/"

    @property
    def bot_token(self) -> str:
        return self.tokens.bot

    @property
    def app_token(self) -> str:
        return self.tokens.app

    @property
    def config_token(self) -> str:
        return self.tokens.config

    @property
    def bot_user_id(self) -> str:
        return self.workspace.bot.id

    @property
    def calls(self) -> deque[CallRecord]:
        """The last 20,000 Web API calls, oldest first."""
        return self._web.calls

    @property
    def deliveries(self) -> deque[Delivery]:
        """The last 5,000 events with their delivery state, oldest first."""
        return self.sockets.deliveries

    def set_note(self, note: str) -> None:
        self._page.set_note(note)

    async def say(
        self, user: str, channel: str, text: str, thread_ts: str | None = None, *, broadcast: bool = False
    ) -> str:
        """Posts as a person and returns the message's ts. `<@BOT>` and `@` with the bot's name mention the bot."""
        return self.people.say(user, channel, self._with_mention(text), thread_ts, broadcast=broadcast)

    async def share(
        self, user: str, channel: str, text: str, files: Sequence[UploadedFile | Mail], thread_ts: str | None = None
    ) -> str:
        """Posts files as a person and returns the message's ts. `<@BOT>` mentions the bot."""
        return self.people.share(user, channel, self._with_mention(text), files, thread_ts)

    async def receive_mail(self, channel: str, mail: Mail) -> str:
        """Posts an email that was sent to a channel's address, and returns the message's ts."""
        return self.people.receive_mail(channel, mail)

    async def say_as_slackbot(self, channel: str, text: str, bot_id: str = "B0FEEDS") -> str:
        """Posts an app's message that Slack shows as Slackbot's, and returns its ts."""
        return self.people.say_as_slackbot(channel, text, bot_id)

    async def transcribe(self, file_id: str, text: str) -> None:
        """Makes Slack transcribe an audio clip, as if a person had requested it, with its four file_change events."""
        self.files.transcribe(self.files.get(file_id), text)

    async def say_as_bot(
        self, name: str, channel: str, text: str, thread_ts: str | None = None, *, is_legacy: bool = False
    ) -> str:
        """Posts as another bot and returns the message's ts. `is_legacy`: whether it is a legacy integration
        (bot_message)."""
        return self.people.say_as_bot(name, channel, text, thread_ts, is_legacy=is_legacy)

    async def stream_as_bot(self, name: str, channel: str, thread_ts: str) -> str:
        return self.people.stream_as_bot(name, self.workspace.channel(channel).id, thread_ts)

    async def end_stream_as_bot(self, channel: str, ts: str, text: str) -> None:
        self.people.end_stream_as_bot(self.workspace.channel(channel).id, ts, self._with_mention(text))

    async def say_through_app(self, app_id: str, user: str, channel: str, text: str) -> str:
        """Posts as an app that acts for a person, without a bot_id, and returns the message's ts."""
        return self.people.say_through_app(app_id, user, channel, self._with_mention(text))

    async def post(self, user: str, channel: str, content: Content, thread_ts: str | None = None) -> str:
        return self.people.post(user, channel, content, thread_ts)

    async def pin(self, user: str, channel: str, ts: str) -> None:
        self.workspace.pin(self.workspace.channel(channel).id, ts, self.workspace.user(user).id)

    async def add_tab(self, user: str, channel: str, canvas: UploadedFile) -> str:
        """Adds a canvas to a channel's tabs as a person, and returns the canvas's ID."""
        return self.people.add_tab(user, channel, canvas)

    async def forward(self, user: str, channel: str, ts: str, to: str, comment: str = "") -> str:
        """Forwards a message to another channel as a person, and returns the new message's ts."""
        message = self.workspace.message(self.workspace.channel(channel).id, ts)
        return self.people.forward(user, message, to, comment)

    async def paste(self, user: str, channel: str, text: str, rows: Sequence[Sequence[str]]) -> str:
        return self.people.paste(user, channel, text, rows)

    async def react(self, user: str, channel: str, ts: str, name: str, *, add: bool = True) -> None:
        self.people.react(user, channel, ts, name, add=add)

    async def say_as_slack(self, user: str, text: str) -> str:
        """Posts as Slack itself in a person's direct message with the bot, and returns the message's ts."""
        return self.people.say_as_slack(user, text)

    async def edit(self, channel: str, ts: str, text: str) -> None:
        self.people.edit(channel, ts, text)

    async def delete(self, channel: str, ts: str) -> None:
        self.people.delete(channel, ts)

    def client(self, user: str) -> Client:
        return Client(self.workspace.user(user).id, self._surfaces)

    def dm(self, user: str) -> str:
        return self.workspace.dm(user).id

    def messages(self, channel: str, thread_ts: str | None = None) -> list[Message]:
        """Returns a channel's messages outside threads, or a thread with its root; oldest first."""
        channel_id = self.workspace.channel(channel).id
        if thread_ts is not None:
            return [self.workspace.message(channel_id, thread_ts), *self.workspace.replies(channel_id, thread_ts)]
        return [message for message in self.workspace.messages(channel_id) if message.thread_ts is None]

    def revisions(self, channel: str, ts: str) -> list[Revision]:
        return self.workspace.revisions(self.workspace.channel(channel).id, ts)

    def redeliver(self, event_id: str | None = None) -> None:
        """Delivers an acknowledged event again, the last one by default."""
        for delivery in reversed(self.deliveries):
            if event_id in (None, delivery.event_id):
                self.sockets.redeliver(delivery)
                return

    async def wait_for(self, predicate: Callable[[], T], timeout_s: float | None = None) -> T:
        """Waits until the predicate is true and returns its result. Raises TimeoutError with the newest messages.

        The predicate is called after each change, call and delivery, and every second, because it can depend on
        anything. Without `timeout_s`, the wait ends after 120 s, or when none of these has occurred for 90 s of the
        machine's time.
        """
        changed = asyncio.Event()
        self._waiters.add(changed)
        limit_s, changed_at_s = _WAIT_S if timeout_s is None else timeout_s, time.monotonic()
        reason = f"waited {limit_s:g} s"
        try:
            async with asyncio.timeout(limit_s):
                while not (result := predicate()):
                    if self._given_up:
                        reason = f"gave up ({self._given_up}) the wait"
                        raise TimeoutError
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_LOOK_S):
                            await changed.wait()
                    if changed.is_set():
                        changed_at_s = time.monotonic()
                    elif timeout_s is None and time.monotonic() > changed_at_s + _QUIET_S:
                        reason = f"waited until nothing had happened here for {_QUIET_S:g} s"
                        raise TimeoutError
                    changed.clear()
                return result
        except TimeoutError:
            raise TimeoutError(
                f"{reason} for {_describe_predicate(predicate)}; {self._describe_newest_messages()}"
            ) from None
        finally:
            self._waiters.discard(changed)

    def give_up(self, reason: str) -> None:
        """Ends all current and future waits, because a test knows why the app won't continue, such as a crash."""
        self._given_up = self._given_up or reason
        self._wake_waiters()

    def _describe_newest_messages(self) -> str:
        """Describes the newest messages of all channels, for a failed wait."""
        channels = self.workspace.channels
        newest = sorted(
            (message for name in channels for message in self.workspace.log(name).posted()),
            key=lambda message: message.ts,
        )
        lines = [
            f"{message.channel} {message.ts} {message.user_id}: {str(message.sent_blocks or message.text)[:300]}"
            for message in newest[-_NEWEST:]
        ]
        return "\n".join(["newest messages:", *lines]) if lines else "no messages"

    async def wait_for_bot(self, timeout_s: float = 120.0) -> None:
        await self.wait_for(lambda: self.sockets.connections, timeout_s)

    def _socket_url(self) -> str:
        return (
            f"ws://{HOST}:{self.port}/link/?ticket={self.sockets.issue_ticket()}&app_id={self.setup.app_token_app_id}"
        )

    def _with_mention(self, text: str) -> str:
        return text.replace("<@BOT>", f"@{self.workspace.bot.name}")

    def emit(self, event: Json, person_id: str | None = None) -> None:
        payload = self._events.payload(event, person_id)
        if payload is not None:
            self._send(payload)

    def _on_change(self, change: Change) -> None:
        for payload in self._events.payloads(change):
            self._send(payload)
        self._wake_waiters()

    def _send(self, payload: Json) -> None:
        """Sends an event, unless its scope was declined. Messages are always sent (see the page Sandbox fidelity)."""
        scope = EVENT_SCOPES.get(payload["event"]["type"])
        if scope is None or scope in self.granted:
            self.sockets.send(payload)

    def _on_call(self, call: CallRecord) -> None:
        self.problems.on_call(call)
        self._page.record(call)
        self._wake_waiters()

    def _set_post_rule(self) -> None:
        self._budgets.posts = STRICT if self.faults.active("strict_posts") else self.posts

    def _on_sockets_changed(self) -> None:
        self._page.send_bot_state()
        self._wake_waiters()

    def _wake_waiters(self) -> None:
        for waiter in self._waiters:
            waiter.set()
