"""Calls Slack's Web API, and turns each failure into RateLimited or Refused.

A Slack token is considered invalid only if Slack returns one of a fixed list of errors. Other errors can be temporary,
such as rate limits, server errors, a proxy's HTML page, or a network that isn't up yet. Typist retries these forever
and logs each attempt. While the bot token is considered refused, the worker claims no jobs and questions stay queued
(services/worker.py). Any call can reveal that the token is refused (`Credential.on_call_refused`), but only auth.test
can reveal that it works again (`watch`).
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import Context, ContextVar
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse
from yarl import URL

from bot import network
from bot.clock import Clock
from bot.core.triage import Identity
from bot.errors import RateLimited, Refusal, Refused, SettingsError, SlackSetupError
from bot.retry import CONNECTION, OUTSIDE_THREAD_DELETION, Retrier
from bot.slack.json_values import Payload, json_objects, next_cursor, string
from bot.slack.manifest import AGENT_SCOPE
from bot.slack.refusals import RATE_LIMITED, reason_of
from bot.telemetry import OFF, Telemetry
from bot.text import with_joined_surrogates
from slack_pacing.budget import RateBudget

T = TypeVar("T")

log = logging.getLogger(__name__)


CALL_TIMEOUT_S = 15
CLOSE_TIMEOUT_S = 1.0
"""Time limit for closing a WebSocket. Slack leaves TCP connections open, and a process that is exiting has little
time."""
TURN_WITHIN_S = 20.0
"""Time limit for fetching data from Slack while a user or model waits, including the wait for budget."""
DEFAULT_RETRY_AFTER_S = 30.0
MAX_RETRY_AFTER_S = 3_600.0
"""Maximum Retry-After that Typist obeys. Slack's values are about a minute, and a rate limit outlasts a restart."""
CHECK_INTERVAL_S = 60.0
"""Interval at which a running process checks its bot token."""
LOOK_AGAIN_S = 5.0
"""Interval at which a refused token is checked again. It is short because users are waiting for answers."""
CONFIRM_DELAY_S = 5.0
"""Delay before checking a token after a call was refused. It is short so that a single wrong error doesn't delay
questions for long."""
MAX_LIST_PAGES = 20
NO_UNFURLS = {"unfurl_links": False, "unfurl_media": False}
"""Turns off link previews, which are a known way to leak data because Slack fetches their URLs. The arguments have an
effect only when a message is posted."""
NO_OBJECT = "no JSON object"
"""Our own error for a response that isn't a JSON object."""
_ADMIN_ERRORS = """
    access_denied account_inactive app_uninstalled bot_removed ekm_access_denied enterprise_is_restricted
    forbidden_team invalid_auth missing_scope no_permission not_allowed_token_type not_authed org_login_required
    socket_mode_not_enabled team_access_not_granted token_expired token_revoked two_factor_setup_required
    user_removed_from_team
"""
"""Errors from auth.test and apps.connections.open that only an admin can resolve (docs.slack.dev)."""


_is_request_allowed: ContextVar[Callable[[], bool] | None] = ContextVar("allowed", default=None)


class RequestWithheld(aiohttp.ClientError):
    """The request wasn't sent, because another process might own its job."""


class CallRedirected(aiohttp.ClientError):
    """The call was redirected, for example to a proxy's sign-in page. Slack's API never redirects calls."""


@contextmanager
def only_while(is_allowed: Callable[[], bool]) -> Iterator[None]:
    """Withholds the block's requests if `is_allowed` returns False once a connection is open, because opening one can
    take a while."""
    token = _is_request_allowed.set(is_allowed)
    try:
        yield
    finally:
        _is_request_allowed.reset(token)


def new_session() -> aiohttp.ClientSession:
    """Returns an HTTP session for the process. Without a session, the SDK would open a TCP connection for each call."""
    checks = aiohttp.TraceConfig()
    checks.on_connection_reuseconn.append(_check_allowed)
    checks.on_connection_create_end.append(_check_allowed)
    checks.on_request_redirect.append(_reject_redirect)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=network.tls()),
        timeout=aiohttp.ClientTimeout(total=CALL_TIMEOUT_S),
        trace_configs=[checks],
        middlewares=[_send_through_proxy],
    )


async def _send_through_proxy(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    try:
        proxy = network.proxy_of(str(request.url))
    except SettingsError as error:
        raise aiohttp.ClientConnectionError(str(error)) from error
    request.update_proxy(URL(proxy) if proxy else None, None, None)
    return await handler(request)


async def _check_allowed(*_: object) -> None:
    is_allowed = _is_request_allowed.get()
    if is_allowed is not None and not is_allowed():
        raise RequestWithheld


async def _reject_redirect(_session: object, _context: object, redirection: aiohttp.TraceRequestRedirectParams) -> None:
    """Rejects a redirected call, because its content would be sent to another host. File downloads can be
    redirected."""
    if redirection.method == "POST":
        redirection.response.close()
        raise CallRedirected(f"{redirection.url.host} answers with a redirect, HTTP {redirection.response.status}")


@dataclass(frozen=True, slots=True)
class Installation:
    identity: Identity
    team_name: str
    scopes: frozenset[str] | None
    slack_time_s: float | None
    """The time according to Slack, in seconds since 1970, or None if the response has no date."""
    is_organization: bool = False
    """Whether the token belongs to an organization (Enterprise Grid) instead of a workspace."""


class SlackClient:
    """Calls Slack's methods. Raises only RateLimited and Refused. If Slack refuses the token, first passes the error to
    `token_refused`."""

    def __init__(
        self,
        token: str,
        api_url: str,
        session: aiohttp.ClientSession,
        token_refused: Callable[[Refused], None] = lambda _: None,
        telemetry: Telemetry = OFF,
    ) -> None:
        self.token = token
        self.api_url = api_url
        self.session = session
        self._token_refused = token_refused
        self.telemetry = telemetry
        self._post_listener: Callable[[str, str, bool], None] = lambda channel_id, thread_ts, is_stream: None
        # No retry handlers: a retried post could appear twice, so callers apply their own retry policies.
        self.sdk_client = AsyncWebClient(
            token=token, base_url=api_url, session=session, timeout=CALL_TIMEOUT_S, retry_handlers=[]
        )
        # The SDK's proxy setting ignores NO_PROXY; the session chooses the proxy instead.
        self.sdk_client.proxy = None

    def on_post(self, listener: Callable[[str, str, bool], None]) -> None:
        """Sets a callback for posts in threads. It receives the channel, the thread_ts, and whether a stream has
        begun."""
        self._post_listener = listener

    @property
    def is_govslack(self) -> bool:
        """Whether the API is GovSlack's, which has no native streams."""
        return (urlsplit(self.api_url).hostname or "").endswith("slack-gov.com")

    async def call(self, method: str, **arguments: Any) -> dict[str, Any]:
        """Returns the method's response. Arguments that are None aren't sent."""
        try:
            answer = await self._request(method, arguments)
        except Refused as error:
            if error.reason is Refusal.TOKEN_GONE:
                self._token_refused(error)
            raise
        data: dict[str, Any] = with_joined_surrogates(answer.data)
        return data

    async def post(self, **arguments: Any) -> tuple[str, str]:
        """Posts a message. Returns the message's channel and ts. Raises Refused with OUTSIDE_THREAD if Slack posted the
        message outside its thread because the thread was deleted. The only sign of the deletion is that the response
        lacks a thread_ts (slack-go/slack#1571)."""
        method = "chat.postMessage"
        answer = await self.call(method, **arguments, **NO_UNFURLS)
        channel, ts, message = answer.get("channel"), answer.get("ts"), answer.get("message")
        if not (isinstance(channel, str) and isinstance(ts, str) and isinstance(message, dict)):
            raise Refused(method, "no message", Refusal.TRANSIENT)
        thread_ts = arguments.get("thread_ts")
        if thread_ts is not None and message.get("thread_ts") is None:
            raise Refused(method, "posted outside of its thread", Refusal.OUTSIDE_THREAD, ts)
        if thread_ts is not None:
            self._report_post(channel, str(thread_ts), is_stream=False)
        return channel, ts

    async def start_stream(self, channel: str, thread_ts: str | None, **arguments: Any) -> str:
        method = "chat.startStream"
        answer = await self.call(method, channel=channel, thread_ts=thread_ts, **arguments)
        if not isinstance(answer.get("ts"), str):
            raise Refused(method, "no message", Refusal.TRANSIENT)
        self._report_post(channel, str(thread_ts), is_stream=True)
        return str(answer["ts"])

    def _report_post(self, channel: str, thread_ts: str, *, is_stream: bool) -> None:
        # In a separate context: otherwise the listener's timers and tasks would inherit `only_while`, and their calls
        # would be withheld once the post's job has ended.
        Context().run(self._post_listener, channel, thread_ts, is_stream)

    async def _request(self, method: str, arguments: dict[str, Any]) -> AsyncSlackResponse:
        # Arguments are sent as a form, the only encoding that every method accepts.
        form = {
            name: value if isinstance(value, str) else json.dumps(value)
            for name, value in arguments.items()
            if value is not None
        }
        with self.telemetry.slack_call(method):
            try:
                response = await self.sdk_client.api_call(method, data=form)
            except SlackApiError as error:
                raise _error_from(method, error) from error
            except Exception as error:
                # AttributeError is caught, too, because the SDK treats a string or list body as a dict.
                raise Refused(method, _failure_reason(error, self.api_url), Refusal.TRANSIENT) from error
            if not isinstance(response.data, dict):
                raise Refused(method, NO_OBJECT, Refusal.TRANSIENT)
            return response

    async def respond(self, response_url: str, message: Mapping[str, Any]) -> None:
        """Responds to a command, shortcut or button through its response_url, for which no token is needed."""
        try:
            content = {**message, **NO_UNFURLS}
            async with self.session.post(response_url, json=content, allow_redirects=False) as response:
                if response.status != 200:
                    reason = Refusal.FORBIDDEN if response.status in (403, 404, 410) else Refusal.UNKNOWN
                    raise Refused("a response", f"HTTP {response.status}", reason)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Refused("a response", _failure_reason(error, response_url), Refusal.TRANSIENT) from error

    async def send_bytes(self, upload_url: str, content: bytes) -> None:
        try:
            async with self.session.post(upload_url, data=content, allow_redirects=False) as response:
                if response.status != 200:
                    raise Refused("the upload of a file", f"HTTP {response.status}", Refusal.TRANSIENT)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Refused("the upload of a file", _failure_reason(error, upload_url), Refusal.TRANSIENT) from error

    async def identity(self) -> Identity:
        return (await self.installation()).identity

    async def time_s(self) -> float | None:
        return _response_time_s(await self._request("api.test", {}))

    async def installation(self) -> Installation:
        answer = await self._request("auth.test", {})
        ids = [answer.get(name) for name in ("team_id", "user_id", "bot_id", "user")]
        if not all(isinstance(id_, str) for id_ in ids):
            raise Refused("auth.test", "no bot in the answer", Refusal.TRANSIENT)
        scopes = frozenset(filter(None, map(str.strip, _header_value(answer, "X-OAuth-Scopes").split(","))))
        team_id, user_id, bot_id, name = map(str, ids)
        identity = Identity(team_id, user_id, bot_id, name, AGENT_SCOPE in scopes)
        is_organization = answer.get("is_enterprise_install") is True or team_id.startswith("E")
        team_name = str(answer.get("team") or team_id)
        return Installation(identity, team_name, scopes or None, _response_time_s(answer), is_organization)


def _failure_reason(error: Exception, url: str) -> str:
    """Returns the reason a request didn't get a response. Removes the URL, because it might contain a secret."""
    if isinstance(error, CallRedirected):
        return str(error)
    return network.reason_of(error, url) or type(error).__name__


def _header_value(response: AsyncSlackResponse, name: str) -> str:
    return next((str(value) for key, value in response.headers.items() if key.lower() == name.lower()), "")


def _response_time_s(response: AsyncSlackResponse) -> float | None:
    try:
        return parsedate_to_datetime(_header_value(response, "Date")).timestamp()
    except (ValueError, OverflowError):
        return None


def _error_from(method: str, error: SlackApiError) -> RateLimited | Refused:
    response = error.response
    # The response is aiohttp's if the SDK couldn't read the body.
    status: int = response.status if isinstance(response, aiohttp.ClientResponse) else response.status_code
    data = getattr(response, "data", None)
    name = str(data.get("error") or "") if isinstance(data, dict) else ""
    if status == 429 or name in RATE_LIMITED:
        value = str(getattr(response, "headers", {}).get("Retry-After", ""))
        is_number = value.isascii() and value.isdigit()
        return RateLimited(method, min(float(value), MAX_RETRY_AFTER_S) if is_number else DEFAULT_RETRY_AFTER_S)
    if not name or status >= 500:
        by_proxy = network.refusal(status, getattr(response, "api_url", "") or str(getattr(response, "url", "")))
        said = name or by_proxy or (f"HTTP {status}" if status != 200 else NO_OBJECT)
        return Refused(method, said, Refusal.TRANSIENT)
    needed = data.get("needed") if data and name == "missing_scope" else None
    return Refused(method, f"{name} ({needed})" if needed else name, reason_of(name), problems=_reported_problems(data))


def _reported_problems(data: Any) -> list[str]:
    found = json_objects(data, "errors") if isinstance(data, dict) else ()
    return [" ".join(filter(None, (string(one, "pointer"), string(one, "message")))) for one in found]


@dataclass
class Credential:
    variable: str
    advice: str
    clock: Clock
    problem: str = field(default="", init=False)
    """Why Slack doesn't accept the token, as a sentence, or "" if it does."""
    is_refused: bool = field(default=False, init=False)
    """Whether Slack has rejected the token and hasn't accepted it since."""
    _recheck_requested: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    async def attempt(self, call: Callable[[], Awaitable[T]]) -> T:
        """Makes a call and returns its result. Raises SlackSetupError if Slack refuses the token, and otherwise the
        exceptions of the call."""
        try:
            result = await call()
        except Refused as error:
            # Slack's error is followed by the scope's name if it is missing_scope.
            if error.error.partition(" ")[0] in _ADMIN_ERRORS.split():
                self._refuse(error)
                raise SlackSetupError(self.problem) from error
            self.problem = f"Slack can't be reached: {error}"
            raise
        except RateLimited as error:
            self.problem = str(error)
            raise
        self.problem = ""
        self.is_refused = False
        return result

    def on_call_refused(self, error: Refused) -> None:
        """Marks the token as refused after Slack rejected a call because of it. `watch` then checks the token."""
        if not self.is_refused:
            self._refuse(error)
            log.error("%s", self.problem)
        self._recheck_requested.set()

    async def keep_trying(self, call: Callable[[], Awaitable[T]]) -> T:
        """Retries a call until it succeeds, and returns its result. Raises only SlackSetupError, which means that Slack
        refuses the token."""
        return await Retrier(CONNECTION, self.clock, "not connected yet").call(lambda: self.attempt(call))

    async def watch(self, call: Callable[[], Awaitable[object]]) -> None:
        """Checks the token every minute, and more often while it is refused, so that the log and /readyz report a
        revoked token."""
        while True:
            try:
                async with asyncio.timeout(LOOK_AGAIN_S if self.is_refused else CHECK_INTERVAL_S):
                    await self._recheck_requested.wait()
            except TimeoutError:
                pass
            else:
                await self.clock.sleep(CONFIRM_DELAY_S)
                self._recheck_requested.clear()
            before = self.problem
            try:
                await self.attempt(call)
            except SlackSetupError as error:
                if self.problem != before:
                    log.error("%s", error)
            except (RateLimited, Refused) as error:
                log.warning("%s not verified, retrying: %s", self.variable, error)
            else:
                if before:
                    log.info("%s is accepted by Slack again", self.variable)

    def _refuse(self, error: Refused) -> None:
        self.is_refused = True
        self.problem = f"Slack doesn't accept {self.variable} ({error.error}). {self.advice}"


def bot_credential(clock: Clock) -> Credential:
    advice = "Copy it again from api.slack.com/apps → your app → OAuth & Permissions, or reinstall the app there."
    return Credential("SLACK_BOT_TOKEN", advice, clock)


def app_credential(clock: Clock) -> Credential:
    advice = (
        "It must be an app-level token with the scope connections:write, from api.slack.com/apps → your app → "
        "Basic Information, and Socket Mode must be on."
    )
    return Credential("SLACK_APP_TOKEN", advice, clock)


class PacedClient:
    """Makes calls that aren't for live replies, waiting until the method's budget allows them. Raises RateLimited and
    Refused."""

    def __init__(self, client: SlackClient, budget: RateBudget, clock: Clock) -> None:
        self._client = client
        self.budget = budget
        self.clock = clock

    async def call(self, method: str, **arguments: Any) -> dict[str, Any]:
        channel_id = str(arguments.get("channel") or arguments.get("channel_id") or "")
        async with self.budget.paced_call(method, channel_id):
            return await self._client.call(method, **arguments)

    async def post(self, channel_id: str, thread_ts: str | None, **message: object) -> tuple[str, str]:
        """Posts a message. Returns the message's channel and ts. If the thread was deleted, raises Refused with
        OUTSIDE_THREAD, and deletes the message that Slack posted outside of it."""
        try:
            async with self.budget.paced_call("chat.postMessage", channel_id):
                return await self._client.post(channel=channel_id, thread_ts=thread_ts, **message)
        except Refused as error:
            if error.reason is Refusal.OUTSIDE_THREAD:
                await self._delete(channel_id, error.ts)
            raise

    async def _delete(self, channel_id: str, ts: str) -> None:
        retrying = Retrier(OUTSIDE_THREAD_DELETION, self.clock, "message posted outside its thread, deleting it")
        try:
            await retrying.call(lambda: self.call("chat.delete", channel=channel_id, ts=ts))
        except (RateLimited, Refused) as error:
            log.error("message %s in channel %s posted outside its thread and not deleted: %s", ts, channel_id, error)


async def pages(
    call: Callable[..., Awaitable[Payload]], method: str, max_pages: int = MAX_LIST_PAGES, **arguments: Any
) -> AsyncIterator[Payload]:
    """Yields up to `max_pages` pages of a Slack list. Stops early if a cursor repeats. If the last page that is yielded
    has a cursor, the list continues."""
    cursors = {""}
    cursor: str | None = None
    for _ in range(max_pages):
        page = await call(method, cursor=cursor, **arguments)
        yield page
        if (cursor := next_cursor(page)) in cursors:
            return
        cursors.add(cursor)
