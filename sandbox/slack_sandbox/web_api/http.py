"""The Web API over HTTP: checks tokens, scopes and budgets, applies faults, runs methods and records calls."""

import asyncio
import json
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from email.utils import formatdate

from aiohttp import web

from slack_sandbox.faults import ANSWER_FAULTS, RAW_ANSWERS, Fault, Faults
from slack_sandbox.web_api import (
    app,
    assistant,
    blocks,
    canvases,
    chat,
    conversations,
    files,
    people,
    search,
    streams,
    views,
)
from slack_sandbox.web_api.budgets import Budgets
from slack_sandbox.web_api.method import App, Method, TokenKind, require_scope
from slack_sandbox.workspace import APP_ID, Json, SlackError

METHODS: Mapping[str, Method] = {
    **app.METHODS,
    **assistant.METHODS,
    **blocks.METHODS,
    **canvases.METHODS,
    **chat.METHODS,
    **streams.METHODS,
    **conversations.METHODS,
    **files.METHODS,
    **people.METHODS,
    **search.METHODS,
    **views.METHODS,
}
SCOPES = frozenset(scope for method in METHODS.values() for scope in method.scopes if method.called_with == "bot") | {
    "app_mentions:read",
    "commands",
}
UNSUPPORTED_METHOD = "not_in_this_sandbox"
"""The sandbox's own error for methods that it doesn't support. Slack doesn't have this error."""
_POLL_S = 0.2
"""The interval at which a call without a response checks whether its client has disconnected."""
_EDGE_HEADERS = {"Server": "Apache", "Vary": "Accept-Encoding", "Via": "envoy-www-sandbox, envoy-edge-sandbox"}
FORM_ONLY = frozenset(
    {
        "bots.info",
        "chat.getPermalink",
        "conversations.history",
        "conversations.info",
        "conversations.list",
        "conversations.members",
        "conversations.replies",
        "files.getUploadURLExternal",
        "files.info",
        "reactions.get",
        "team.info",
        "users.conversations",
        "users.info",
        "users.list",
        "usergroups.list",
        "users.lookupByEmail",
        "users.profile.get",
    }
)
"""Methods that only read. Slack accepts their arguments in the query and in forms, and ignores a JSON body."""
_JSON_FIELDS = ("blocks", "metadata", "attachments", "chunks", "document_content", "files", "prompts", "view")


@dataclass(frozen=True, slots=True)
class CallRecord:
    """A call to the Web API. `error` is None if the call took effect, even if its response was broken."""

    method: str
    at_monotonic_s: float
    at_wall: float
    channel: str | None
    ts: str | None
    """The ts of the posted message, or of the message that the call refers to."""
    error: str | None
    arguments: Json
    explanation: str = ""
    """The details of a rejection, in addition to the error's name."""

    @property
    def ok(self) -> bool:
        return self.error is None


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens that the Web API accepts: random ones, unless they are given."""

    bot: str = field(default_factory=lambda: f"xoxb-sandbox-{secrets.token_hex(16)}")
    app: str = field(default_factory=lambda: f"xapp-1-{APP_ID}-{secrets.token_hex(16)}")
    config: str = field(default_factory=lambda: f"xoxe.xoxp-1-{secrets.token_hex(16)}")

    def kind(self, token: str) -> TokenKind | None:
        kinds: dict[str, TokenKind] = {self.bot: "bot", self.app: "app", self.config: "config"}
        return kinds.get(token)


@dataclass
class WebApi:
    app: App
    budgets: Budgets
    faults: Faults
    tokens: Tokens
    called: Callable[[CallRecord], None] = lambda record: None
    calls: deque[CallRecord] = field(default_factory=lambda: deque(maxlen=20_000))

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Handles a call. The call is recorded after it has run and before the response, with its arrival time."""
        name, at_s, at_wall = request.match_info["method"], self.app.monotonic(), time.time()
        arguments: Json = {}
        answer: Json = {}
        error = None
        fault = None
        try:
            arguments = await _arguments(request)
            method = self.authorize(name, arguments, request.headers.get("Authorization"))
            fault = await self._answer_fault(name, arguments)
            if fault is None or fault.done:
                answer = self.run(name, method, arguments)
            else:
                error = fault.error or fault.name
        except SlackError as refusal:
            error, answer = refusal.error, refusal.fields
        fields = arguments | answer
        channel, ts = fields.get("channel", fields.get("channel_id")), fields.get("ts")
        explanation = _explanation(answer) if error else ""
        self._log_call(CallRecord(name, at_s, at_wall, _text(channel), _text(ts), error, arguments, explanation))
        if fault is not None:
            return await self._fault_response(request, name, fault)
        return self._response(name, error, answer)

    def authorize(self, name: str, arguments: Json, authorization: str | None) -> Method:
        """Returns the method if the token, the scopes and the budget allow the call. Raises SlackError."""
        method = METHODS.get(name)
        if method is None:
            lack = f"The sandbox doesn't support the method {name}. Its README lists the supported methods."
            raise SlackError(UNSUPPORTED_METHOD, req_method=name, response_metadata={"messages": [lack]})
        self._check_token(method, str(arguments.pop("token", "")), authorization)
        storm = self.faults.take("rate_limit", name, arguments)
        channel_id = self.app.channel_id(str(arguments.get("channel", "")))
        wait_s = storm.retry_after_s if storm else self.budgets.spend(name, channel_id)
        if wait_s is not None:
            raise SlackError("ratelimited", retry_after_s=wait_s)
        return method

    def run(self, name: str, method: Method, arguments: Json) -> Json:
        """Runs a method. The fault close_stream closes a stream before an append or a stop, and after a start."""
        closes = name in streams.METHODS and self.faults.take("close_stream", name, arguments)
        if closes and name != "chat.startStream":
            streams.close(self.app, str(arguments.get("channel")), str(arguments.get("ts")))
        answer = method.run(self.app, arguments)
        if closes and name == "chat.startStream":
            streams.close(self.app, answer["channel"], answer["ts"])
        return answer

    async def _answer_fault(self, name: str, arguments: Json) -> Fault | None:
        """Returns the fault that replaces this call's response, or None. Delays a slow call."""
        if slow := self.faults.take("slow", name, arguments):
            await asyncio.sleep(slow.delay_s)
        for known in ANSWER_FAULTS:
            if fault := self.faults.take(known.name, name, arguments):
                return fault
        return None

    async def _fault_response(self, request: web.Request, name: str, fault: Fault) -> web.Response:
        if raw := RAW_ANSWERS.get(fault.name):
            return web.Response(status=raw.status, text=raw.text, content_type=raw.content_type)
        if fault.error:
            return self._response(name, fault.error, {})
        if fault.name == "no_answer":
            # aiohttp doesn't notify a handler when its client disconnects.
            while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110
                await asyncio.sleep(_POLL_S)
        return _disconnect(request)

    def _check_token(self, method: Method, body_token: str, authorization: str | None) -> None:
        if method.called_with is None:
            return
        token = (authorization or "").removeprefix("Bearer ").strip() or body_token
        if not token:
            raise SlackError("not_authed")
        kind, setup = self.tokens.kind(token), self.app.setup
        if kind is None:
            raise SlackError("invalid_auth")
        if kind != method.called_with:
            raise SlackError("not_allowed_token_type")
        errors = {"bot": setup.bot_token_error, "app": setup.app_token_error, "config": setup.config_token_error}
        if errors[kind]:
            raise SlackError(errors[kind])
        require_scope(self._scopes(kind), *method.scopes)

    def _scopes(self, kind: TokenKind) -> AbstractSet[str]:
        return {"bot": self.app.scopes, "app": self.app.setup.app_token_scopes, "config": frozenset[str]()}[kind]

    def _response(self, name: str, error: str | None, answer: Json) -> web.Response:
        method = METHODS.get(name)
        setup = self.app.setup
        headers = {
            **_EDGE_HEADERS,
            "X-Slack-Req-Id": secrets.token_hex(16),
            "Date": formatdate(time.time() + setup.clock_ahead_s, usegmt=True),
        }
        if setup.lists_scopes:
            headers["X-OAuth-Scopes"] = ",".join(sorted(self._scopes((method and method.called_with) or "bot")))
        if method and method.scopes:
            headers["X-Accepted-OAuth-Scopes"] = ",".join(method.scopes)
        if error is None:
            return web.json_response({"ok": True, **answer}, headers=headers)
        if error == "ratelimited" and "retry_after_s" in answer:
            headers["Retry-After"] = str(answer["retry_after_s"])
            return web.json_response({"ok": False, "error": error}, status=429, headers=headers)
        return web.json_response({"ok": False, "error": error, **answer}, headers=headers)

    def _log_call(self, record: CallRecord) -> None:
        self.calls.append(record)
        self.called(record)


async def _arguments(request: web.Request) -> Json:
    """Returns the arguments from the query and the form or JSON body. Raises SlackError."""
    arguments: Json = dict(request.query)
    if request.content_type == "application/json":
        try:
            body = json.loads(await request.text() or "{}")
        except ValueError:
            raise SlackError("invalid_json") from None
        if not isinstance(body, dict):
            raise SlackError("json_not_object")
        if request.match_info["method"] not in FORM_ONLY:
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


def _explanation(refusal: Json) -> str:
    """Returns the details of a rejection: a missing scope, or the problem with an argument."""
    if needed := refusal.get("needed"):
        return f"the app needs the scope {needed}"
    return "; ".join((refusal.get("response_metadata") or {}).get("messages", ()))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _disconnect(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
