"""The page's HTTP routes: its files, the state, live updates, and people's messages. Only the page can call them."""

import io
import secrets
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from aiohttp import web

from slack_sandbox.client import Surfaces
from slack_sandbox.faults import FAULTS, GROUPS, Fault, Faults, FaultSettings
from slack_sandbox.notifications import Notifications
from slack_sandbox.page.calls import AnswerCalls
from slack_sandbox.page.carriers import CarrierCounts
from slack_sandbox.page.files import PageFiles
from slack_sandbox.page.guard import body, done, for_page, strings
from slack_sandbox.page.guide import Guide
from slack_sandbox.page.render import Renderer
from slack_sandbox.page.surfaces import PageSurfaces
from slack_sandbox.page.tabs import tabs_json
from slack_sandbox.page.updates import PageUpdates
from slack_sandbox.people import People
from slack_sandbox.problems import Problems
from slack_sandbox.socket_mode import SocketMode
from slack_sandbox.text.words import full_text
from slack_sandbox.web_api.budgets import Budgets
from slack_sandbox.web_api.http import CallRecord
from slack_sandbox.workspace import SLACK, SLACKBOT, Channel, Json, Log, Message, SlackError, Workspace

_PAGE = Path(__file__).parent / "static"
_ASSET_TYPES = frozenset({".js", ".css"})
_PAGE_MESSAGES = 50
_PAGE_REPLIES = 20
"""The number of replies per thread on a page of a channel. The thread's button shows this many faces."""
_THREAD_MESSAGES = 1_000
MAX_DROPPED_BYTES = 512 * 2**20
"""The largest export that the page loads into memory. A larger one must be opened from disk."""
EXPORT_TOO_LARGE = "This export is too large to drop here. Start the sandbox with it on the command line."


@dataclass
class PageApi:
    """Serves the page. `note` is the page's line about the models that answer."""

    workspace: Workspace
    people: People
    budgets: Budgets
    faults: Faults
    sockets: SocketMode
    note: str
    surfaces: Surfaces
    guide: Guide
    problems: Problems
    notifications: Notifications
    about: tuple[str, ...] = ()
    """The text about an export that the page shows before a person's first question."""

    def __post_init__(self) -> None:
        self._token = secrets.token_urlsafe(16)
        """Proves that a request comes from a page that this sandbox served."""
        self._renderer = Renderer(self.workspace.names)
        self._files = PageFiles(self.workspace, self.people.files, self._renderer)
        self._last_bot_state: Json = {}
        self._answer_calls = AnswerCalls(self.workspace)
        polled = {
            "budgets": self.budgets_json,
            "answers": self._answer_calls.newest_json,
            "problems": self.problems.newest_json,
            "notifications": self.notifications.counts_json,
            "tabs": self.tabs_json,
        }
        self.updates = PageUpdates(self.workspace, self.message_json, polled)
        self._carriers = CarrierCounts(self.workspace, self._answer_calls, self.updates.refresh)
        self.page_surfaces = PageSurfaces(self.surfaces, self.updates, self._renderer)
        self.faults.listeners.append(lambda: self.updates.send("faults", self.faults_json()))

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/", for_page(self._index)),
            web.get("/static/{name}", for_page(self._asset)),
            web.get("/sandbox/state", for_page(self._state)),
            web.get("/sandbox/messages", for_page(self._messages)),
            web.get("/sandbox/events", for_page(self.updates.serve)),
            web.post("/sandbox/say", for_page(self._on_say)),
            web.post("/sandbox/upload", for_page(self._files.upload)),
            web.get("/sandbox/files/{file_id}", for_page(self._files.download)),
            web.get("/sandbox/canvases/{file_id}", for_page(self._files.canvas)),
            web.post("/sandbox/transcribe", for_page(self._on_transcribe)),
            web.post("/sandbox/join", for_page(self._on_join)),
            web.post("/sandbox/edit", for_page(self._on_edit)),
            web.post("/sandbox/delete", for_page(self._on_delete)),
            web.post("/sandbox/react", for_page(self._on_react)),
            web.post("/sandbox/fault", for_page(self._on_fault)),
            web.post("/sandbox/stop_faults", for_page(self._on_stop_faults)),
            web.post("/sandbox/key", for_page(self._on_key)),
            web.post("/sandbox/export", for_page(self._on_export)),
            web.post("/sandbox/time", for_page(self._on_time)),
            web.post("/sandbox/zone", for_page(self._on_zone)),
        ]

    def record(self, call: CallRecord) -> None:
        self._answer_calls.record(call)
        self._carriers.record(call)

    def set_note(self, note: str) -> None:
        self.note = note
        self.send_bot_state()

    def send_bot_state(self) -> None:
        state = {"connected": bool(self.sockets.connections), "note": self.note}
        if state != self._last_bot_state:
            self._last_bot_state = state
            self.updates.send("bot", state)

    def message_json(self, message: Message) -> Json:
        author = self.workspace.users.get(message.user_id)
        is_bot = author is not None and author.bot_id is not None
        return {
            "channel": message.channel,
            "ts": message.ts,
            "thread_ts": message.thread_ts,
            "user_id": message.user_id,
            "name": message.username or (author.real_name if author else "Slackbot"),
            "is_bot": is_bot,
            "html": self._html(message),
            "text_html": self._renderer.mrkdwn(message.text) if message.blocks else "",
            "text": message.title or message.text,
            "files": self._files.message_files(message),
            "edited": message.edited_ts is not None and not is_bot,
            "ephemeral_to": message.ephemeral_to,
            "only_for": message.only_for,
            "reactions": [{"name": name, "users": users} for name, users in message.reactions],
            "reply_count": len(self.workspace.log(message.channel).replies(message.ts)),
            "deleted": message.subtype == "tombstone",
            "opens_pane": message.subtype == "assistant_app_thread",
            "status": self.workspace.status(message.channel, message.ts),
            "loading": self.workspace.loading_messages(message.channel, message.ts),
            "carrier": self._carriers.json(message),
            "card": self._card(message, is_bot),
            "badge": self._badge(message) if is_bot else None,
            "offers_time": is_bot and self.guide.offers_time(message),
        }

    def _html(self, message: Message) -> str:
        """Returns a message's HTML. Old apps' blocks can have outdated forms, for which only the words are shown."""
        try:
            return self._renderer.html(message)
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError):
            return self._renderer.mrkdwn(full_text(message))

    def _card(self, message: Message, is_bot: bool) -> str | None:
        card = None if is_bot else self.guide.card_of(message.text)
        return card.title if card else None

    def _badge(self, message: Message) -> Json | None:
        badge = self.guide.badge_of(message, self._answer_calls.question_of((message.channel, message.ts)))
        return asdict(badge) if badge else None

    def budgets_json(self) -> list[Json]:
        """Returns all methods with a budget, and the channels that have recent posts."""
        methods = [
            {"method": method, "used": used, "limit": limit, "called": method in self.budgets.called}
            for method, (used, limit) in self.budgets.used().items()
        ]
        in_channels = self.budgets.used_in_channels().items()
        channels = [
            {"method": "chat.postMessage", "channel": channel, "used": used, "limit": limit, "called": True}
            for channel, (used, limit) in in_channels
        ]
        return methods + channels

    def tabs_json(self) -> list[Json]:
        return tabs_json(self.workspace, self.people.files)

    def faults_json(self) -> list[Json]:
        return [self._fault_json(group, kind) for group, kinds in GROUPS.items() for kind in kinds]

    def _fault_json(self, group: str, kind: Fault) -> Json:
        fault = self.faults.active(kind.name)
        return {
            "name": kind.name,
            "group": group,
            "label": kind.label,
            "on": bool(fault),
            "instant": kind.name in self.faults.actions,
            "remaining": fault.times if fault else None,
            "detail": (fault or kind).detail,
        }

    async def _index(self, request: web.Request) -> web.StreamResponse:
        del request
        return web.FileResponse(_PAGE / "index.html")

    async def _asset(self, request: web.Request) -> web.StreamResponse:
        # The route's name can't contain a slash, so no other folder can be read.
        asset = _PAGE / request.match_info["name"]
        if asset.suffix not in _ASSET_TYPES or not asset.is_file():
            raise web.HTTPNotFound
        return web.FileResponse(asset)

    async def _state(self, request: web.Request) -> web.StreamResponse:
        del request
        bot, everyone = self.workspace.bot, self.workspace.users.values()
        logs = {channel: self.workspace.log(channel) for channel in self.workspace.channels}
        messages = [message for log in logs.values() if not log.is_long for message in log.all()]
        state = {
            "team": {"name": self.workspace.name},
            "bot": {
                "user_id": bot.id,
                "name": bot.name,
                "real_name": bot.real_name,
                "connected": bool(self.sockets.connections),
                "note": self.note,
            },
            "people": [self.guide.person_json(user) for user in everyone if user.id not in (bot.id, SLACK, SLACKBOT)],
            "channels": [
                _channel_json(channel) | {"is_long": logs[channel.id].is_long}
                for channel in self.workspace.channels.values()
            ],
            "about": self.about,
            "now": self.workspace.next_ts(),
            "messages": [self.message_json(message) for message in [*messages, *self.workspace.ephemerals]],
            "budgets": self.budgets_json(),
            "answers": self._answer_calls.newest_json(),
            "problems": self.problems.newest_json(),
            "notifications": self.notifications.counts_json(),
            "tabs": self.tabs_json(),
            "faults": self.faults_json(),
            "guide": self.guide.state(),
            "token": self._token,
            **self.page_surfaces.state(),
        }
        return web.json_response(state)

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        """Serves one thread, or a page of a long channel in which each message has its thread's newest replies."""
        channel, log = self._long_log(request)
        shown, is_thread = list(log.in_channel()), request.query.get("thread")
        if is_thread:
            root = self.workspace.message(channel, is_thread).root_ts
            wanted, has_more, oldest = [root, *log.replies(root)[-_THREAD_MESSAGES:]], False, root
        else:
            end = bisect_left(shown, request.query["before"]) if "before" in request.query else len(shown)
            page = shown[max(0, end - _PAGE_MESSAGES) : end]
            wanted = [ts for root in page for ts in (root, *log.replies(root)[-_PAGE_REPLIES:])]
            has_more, oldest = end > _PAGE_MESSAGES, page[0] if page else ""
        messages = [self.message_json(self.workspace.message(channel, ts)) for ts in dict.fromkeys(wanted)]
        return web.json_response({"ok": True, "messages": messages, "has_more": has_more, "oldest": oldest})

    def _long_log(self, request: web.Request) -> tuple[str, Log]:
        channel = request.query.get("channel", "")
        if channel not in self.workspace.channels:
            raise SlackError("channel_not_found")
        return channel, self.workspace.log(channel)

    async def _on_say(self, request: web.Request) -> web.StreamResponse:
        data = await body(request)
        thread_ts = str(data["thread_ts"]) if data.get("thread_ts") else None
        if not data.get("files"):
            user, channel, text = strings(data, "user_id", "channel", "text")
            return done(ts=self.people.say(user, channel, text, thread_ts))
        user, channel = strings(data, "user_id", "channel")
        files = [self.people.files.get(str(file_id)) for file_id in data["files"]]
        return done(ts=self.people.share(user, channel, str(data.get("text") or ""), files, thread_ts))

    async def _on_transcribe(self, request: web.Request) -> web.StreamResponse:
        file_id, text = strings(await body(request), "file_id", "text")
        self.people.files.transcribe(self.people.files.get(file_id), text)
        return done()

    async def _on_join(self, request: web.Request) -> web.StreamResponse:
        self.people.join(*strings(await body(request), "user_id", "channel"))
        return done()

    async def _on_edit(self, request: web.Request) -> web.StreamResponse:
        self.people.edit(*strings(await body(request), "channel", "ts", "text"))
        return done()

    async def _on_delete(self, request: web.Request) -> web.StreamResponse:
        self.people.delete(*strings(await body(request), "channel", "ts"))
        return done()

    async def _on_react(self, request: web.Request) -> web.StreamResponse:
        data = await body(request)
        user, channel, ts, name = strings(data, "user_id", "channel", "ts", "name")
        self.people.react(user, channel, ts, name, add=bool(data.get("add")))
        return done()

    async def _on_fault(self, request: web.Request) -> web.StreamResponse:
        data = await body(request)
        (name,) = strings(data, "name")
        if name not in FAULTS:
            raise SlackError("unknown_fault")
        if data.get("on"):
            self.faults.start(name, **_settings(data))
        else:
            self.faults.stop(name)
        return done()

    async def _on_stop_faults(self, request: web.Request) -> web.StreamResponse:
        await body(request)
        self.faults.stop_all()
        return done()

    async def _on_key(self, request: web.Request) -> web.StreamResponse:
        """Passes a pasted key to the app, and updates the guide on all pages; "" removes the key."""
        data = await body(request)
        key = data.get("key")
        if not secrets.compare_digest(str(data.get("token")).encode(), self._token.encode()):
            raise SlackError("invalid_token")
        if self.guide.use_key is None or not isinstance(key, str):
            raise SlackError("invalid_arguments")
        changed = await self.guide.use_key(key)
        if isinstance(changed, str):
            raise SlackError(changed)
        self.guide = changed
        self.updates.send("guide", changed.state())
        return done()

    async def _on_export(self, request: web.Request) -> web.StreamResponse:
        """Passes a dropped Slack export to the app, which then restarts with it. It stays in memory.

        Other sites' forms can't send this content type without a preflight request.
        """
        if request.content_type != "application/octet-stream":
            raise web.HTTPUnsupportedMediaType(text="Send application/octet-stream.")
        if not secrets.compare_digest(request.query.get("token", "").encode(), self._token.encode()):
            raise SlackError("invalid_token")
        if self.guide.use_export is None:
            raise SlackError("invalid_arguments")
        content = io.BytesIO()
        async for chunk in request.content.iter_any():
            content.write(chunk)
            if content.tell() > MAX_DROPPED_BYTES:
                raise SlackError(EXPORT_TOO_LARGE)
        if problem := await self.guide.use_export(request.query.get("name", ""), content):
            raise SlackError(problem)
        return done()

    async def _on_time(self, request: web.Request) -> web.StreamResponse:
        """Advances the app's time to its next scheduled action, and returns what happened."""
        await body(request)
        if self.guide.pass_time is None:
            raise SlackError("invalid_arguments")
        return done(said=await self.guide.pass_time())

    async def _on_zone(self, request: web.Request) -> web.StreamResponse:
        """Moves all people to the time zone of the page's visitor."""
        self.people.move_to_zone(*strings(await body(request), "zone"))
        return done()


def _settings(data: Json) -> FaultSettings:
    """Returns the fault settings in a request. Missing settings keep the fault's defaults."""
    kinds: Mapping[str, type | tuple[type, ...]] = {
        "method": (str, type(None)),
        "times": (int, type(None)),
        "done": bool,
        "error": str,
    }
    settings = {key: data[key] for key in kinds if key in data}
    if not all(isinstance(value, kinds[key]) for key, value in settings.items()):
        raise SlackError("invalid_arguments")
    return cast(FaultSettings, settings)


def _channel_json(channel: Channel) -> Json:
    return {
        "id": channel.id,
        "name": channel.name,
        "type": channel.type,
        "user_id": channel.user_id,
        "members": channel.members,
        "archived": channel.archived,
    }
