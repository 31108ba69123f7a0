"""The Web API over HTTP: tokens, scopes, budgets and faults around the methods; and a log of the calls."""

import asyncio
import json
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import web

from sandbox import api_app, api_assistant, api_chat, api_conversations, api_files, api_streams, api_views
from sandbox.api import App, Method
from sandbox.budgets import Budgets
from sandbox.faults import ANSWER_FAULTS, RAW_ANSWERS, Fault, Faults
from sandbox.workspace import Json, SlackError

METHODS: Mapping[str, Method] = {
    **api_app.METHODS,
    **api_assistant.METHODS,
    **api_chat.METHODS,
    **api_streams.METHODS,
    **api_conversations.METHODS,
    **api_files.METHODS,
    **api_views.METHODS,
}
SCOPES = frozenset(scope for method in METHODS.values() for scope in method.scopes if not method.app_level) | {
    "app_mentions:read"
}
_LOOK_S = 0.2
"""How often a call without an answer looks whether its caller has gone."""
_EDGE = {"Server": "Apache", "Vary": "Accept-Encoding", "Via": "envoy-www-sandbox, envoy-edge-sandbox"}
_JSON_FIELDS = ("blocks", "metadata", "attachments", "chunks", "files", "prompts", "view")


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call as Slack saw it; `error` is None where the call was done, also if its answer was broken."""

    method: str
    at_monotonic_s: float
    """When it arrived."""
    at_wall: float
    channel: str | None
    ts: str | None
    """Of the message that was written or was to be changed."""
    error: str | None
    arguments: Json

    @property
    def ok(self) -> bool:
        return self.error is None


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the app calls with."""

    bot: str
    app: str


@dataclass
class WebApi:
    """Answers under /api/."""

    app: App
    budgets: Budgets
    faults: Faults
    tokens: Tokens
    called: Callable[[CallRecord], None] = lambda record: None
    calls: deque[CallRecord] = field(default_factory=lambda: deque(maxlen=5_000))

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One call; it is logged, with the time of its arrival, when it is done and before it is answered."""
        name, at_s, at_wall = request.match_info["method"], self.app.monotonic(), time.time()
        arguments: Json = {}
        answer: Json = {}
        error = None
        broken = None
        try:
            arguments = await _arguments(request)
            method = self._admit(name, arguments, request.headers.get("Authorization"))
            broken = await self._break(name, arguments)
            if broken is None or broken.done:
                answer = method.run(self.app, arguments)
            else:
                error = broken.error or broken.name
        except SlackError as refused:
            error, answer = refused.error, refused.fields
        said = arguments | answer
        channel, ts = said.get("channel", said.get("channel_id")), said.get("ts")
        self._log(CallRecord(name, at_s, at_wall, _text(channel), _text(ts), error, arguments))
        if broken is not None:
            return await self._broken_answer(request, name, broken)
        return self._response(name, error, answer)

    def _admit(self, name: str, arguments: Json, authorization: str | None) -> Method:
        """The method, where its token, scopes and budget allow the call. Raises SlackError."""
        method = METHODS.get(name)
        if method is None:
            raise SlackError("unknown_method", req_method=name)
        self._check_token(method, str(arguments.pop("token", "")), authorization)
        storm = self.faults.take("rate_limit", name, arguments)
        wait_s = storm.retry_after_s if storm else self.budgets.spend(name, str(arguments.get("channel", "")))
        if wait_s is not None:
            raise SlackError("ratelimited", retry_after_s=wait_s)
        return method

    async def _break(self, name: str, arguments: Json) -> Fault | None:
        """The fault that takes the place of this call's answer; None where the call is answered as it should be."""
        if slow := self.faults.take("slow", name, arguments):
            await asyncio.sleep(slow.delay_s)
        for kind in ANSWER_FAULTS:
            if broken := self.faults.take(kind.name, name, arguments):
                return broken
        return None

    async def _broken_answer(self, request: web.Request, name: str, broken: Fault) -> web.Response:
        if raw := RAW_ANSWERS.get(broken.name):
            return web.Response(status=raw.status, text=raw.text, content_type=raw.content_type)
        if broken.error:
            return self._response(name, broken.error, {})
        if broken.name == "no_answer":
            # aiohttp tells a handler nothing when its caller goes.
            while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110
                await asyncio.sleep(_LOOK_S)
        return _hang_up(request)

    def _check_token(self, method: Method, in_body: str, authorization: str | None) -> None:
        token = (authorization or "").removeprefix("Bearer ").strip() or in_body
        if not token:
            raise SlackError("not_authed")
        if token not in (self.tokens.bot, self.tokens.app):
            raise SlackError("invalid_auth")
        if (token == self.tokens.app) != method.app_level:
            raise SlackError("not_allowed_token_type")
        if not method.app_level:
            self.app.need(*method.scopes)

    def _response(self, name: str, error: str | None, answer: Json) -> web.Response:
        method = METHODS.get(name)
        headers = {
            **_EDGE,
            "X-Slack-Req-Id": secrets.token_hex(16),
            "X-OAuth-Scopes": ",".join(sorted(self.app.scopes)),
        }
        if method and method.scopes:
            headers["X-Accepted-OAuth-Scopes"] = ",".join(method.scopes)
        if error is None:
            return web.json_response({"ok": True, **answer}, headers=headers)
        if error == "ratelimited":
            headers["Retry-After"] = str(answer["retry_after_s"])
            return web.json_response({"ok": False, "error": error}, status=429, headers=headers)
        return web.json_response({"ok": False, "error": error, **answer}, headers=headers)

    def _log(self, record: CallRecord) -> None:
        self.calls.append(record)
        self.called(record)


async def _arguments(request: web.Request) -> Json:
    """The query's, the form's or the JSON body's. Raises SlackError."""
    arguments: Json = dict(request.query)
    if request.content_type == "application/json":
        try:
            body = json.loads(await request.text() or "{}")
        except ValueError:
            raise SlackError("invalid_json") from None
        if not isinstance(body, dict):
            raise SlackError("json_not_object")
        arguments |= body
    elif request.can_read_body:
        arguments |= dict(await request.post())
    for key in _JSON_FIELDS:
        if isinstance(arguments.get(key), str):
            try:
                arguments[key] = json.loads(arguments[key])
            except ValueError:
                raise SlackError("invalid_blocks_format" if key == "blocks" else "invalid_arguments") from None
    return arguments


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _hang_up(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
