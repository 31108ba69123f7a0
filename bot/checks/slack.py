"""The checks of `typist check` that concern Slack: tokens, scopes, Socket Mode, the manifest, and events.

Slack tells a bot token little of how its app is set up: not which events it is subscribed to, nor whether its Messages
tab is on. With a configuration token, the whole manifest is compared. Without one, a probe shows whether events arrive:
it posts a message, waits for the event of that message, and deletes it.

The checks open a socket of their own. Slack sends each event to one of an app's connections, so a bot that runs may get
the probe's event, and this socket may get one that was meant for the bot. This socket acknowledges the probe's event
and nothing else: Slack delivers the others again, to another connection.
"""

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable, Collection
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp

from bot import network
from bot.checks import check_texts
from bot.checks.report import ANSWER_WITHIN_S, Check, CheckStatus, fail, ok, skipped, skipped_for, warn
from bot.clock import Clock
from bot.core.access import AccessRules, UserKind
from bot.errors import RateLimited, Refusal, Refused, SlackSetupError
from bot.slack.client import CLOSE_TIMEOUT_S, Installation, SlackClient
from bot.slack.json_values import json_object, string
from bot.slack.manifest import AGENT_SCOPE, NEEDED_SCOPES, OPTIONAL_SCOPES, differences, scopes_of
from bot.slack.socket import CONNECTIONS
from bot.slack.user_groups import read_groups
from bot.slack.users import is_open, kinds_by_id

SKEW_WARNED_S = 30.0
SKEW_FAILED_S = 300.0
"""Beyond this, Slack's signed requests count as replayed."""

BOT_TOKEN, SCOPES_ID, CLOCK = "slack.bot_token", "slack.scopes", "slack.clock"
APP_TOKEN, SOCKET_MODE, SAME_APP = "slack.app_token", "slack.socket_mode", "slack.same_app"
CONNECTIONS_ID, USER_GROUPS, NAMED = "slack.connections", "slack.user_groups", "slack.named"
MANIFEST = "slack.manifest"
PROBE_POST, PROBE_EVENT, PROBE_DELETE = "slack.probe_post", "slack.probe_event", "slack.probe_delete"

log = logging.getLogger(__name__)

_ERROR_NAME = re.compile("[a-z_]+")
"""Slack's own names. Those that Typist gives to answers that aren't Slack's are written in another way."""


def check_scopes(installation: Installation, *, extra: Collection[str] = ()) -> Check:
    """Compares the token's scopes with the manifest's."""
    if installation.scopes is None:
        return skipped(SCOPES_ID, check_texts.SCOPES_UNKNOWN)
    agent = AGENT_SCOPE in installation.scopes
    expected = scopes_of(agent=agent, extra=extra)
    missing = [scope for scope in expected if scope not in installation.scopes]
    if OPTIONAL_SCOPES.issuperset(missing):
        return ok(SCOPES_ID, check_texts.scopes(len(expected), missing, agent=agent))
    severity = fail if NEEDED_SCOPES.intersection(missing) else warn
    return severity(SCOPES_ID, check_texts.scopes_missing(missing), check_texts.MANIFEST_FIX)


def check_clock(installation: Installation, now_s: float) -> Check:
    """Compares this machine's clock, in seconds since 1970, with Slack's."""
    if installation.slack_time_s is None:
        return skipped(CLOCK, check_texts.CLOCK_UNKNOWN)
    skew_s = now_s - installation.slack_time_s
    message = check_texts.clock(skew_s)
    if abs(skew_s) <= SKEW_WARNED_S:
        return ok(CLOCK, message)
    severity = fail if abs(skew_s) > SKEW_FAILED_S else warn
    return severity(CLOCK, message, check_texts.CLOCK_FIX)


async def misnamed(slack: SlackClient, team_id: str, admins: Collection[str], rules: AccessRules) -> dict[str, str]:
    """Returns a sentence for each person or channel of the settings that Slack doesn't know, or that has no rights.

    Raises RateLimited, Refused.
    """
    kinds = await kinds_by_id(slack, {*admins, *rules.people}, team_id)
    wrong = [("BOT_ADMINS", one) for one in sorted(admins) if kinds[one] is not UserKind.MEMBER]
    wrong += [("BOT_ALLOW_USERS", one) for one in sorted(rules.people) if kinds[one] in (None, UserKind.DEACTIVATED)]
    people: dict[str, list[str]] = {}
    for variable, one in wrong:
        people.setdefault(one, []).append(check_texts.misnamed_person(variable, one, kinds[one]))
    channels = [one for one in sorted(rules.allow_channels) if not await is_open(slack, one)]
    sentences = {one: "\n".join(said) for one, said in people.items()}
    return sentences | {one: check_texts.misnamed_channel(one) for one in channels}


async def check_named(slack: SlackClient, team_id: str, admins: Collection[str], rules: AccessRules) -> Check:
    """Looks for the people and channels of BOT_ADMINS, BOT_ALLOW_USERS and BOT_ALLOW_CHANNELS."""
    try:
        wrong = await misnamed(slack, team_id, admins, rules)
    except (RateLimited, Refused) as error:
        return skipped(NAMED, check_texts.not_looked_up(_error_of(error)))
    if wrong:
        return fail(NAMED, "\n".join(wrong.values()), check_texts.NAMED_FIX)
    return ok(NAMED, check_texts.named(len({*admins, *rules.people}) + len(rules.allow_channels)))


def refuse_organization(installation: Installation) -> None:
    """Raises SlackSetupError for the token of an organization, whose members would all count as outsiders."""
    if installation.is_organization:
        raise SlackSetupError(f"{check_texts.ORGANIZATION} {check_texts.ORGANIZATION_FIX}")


def log_setup(installation: Installation, now_s: float, *, extra: Collection[str]) -> None:
    """Logs what auth.test's own answer shows to be wrong or left out, at each start. It makes no call, and no delay."""
    scopes, skew = check_scopes(installation, extra=extra), check_clock(installation, now_s)
    for check in (scopes, skew):
        if check.status in (CheckStatus.WARN, CheckStatus.FAIL):
            log.warning("setup of the Slack app: %s %s", check.message, check.fix)
    if scopes.status is CheckStatus.OK and not OPTIONAL_SCOPES.issubset(installation.scopes or ()):
        log.info("setup of the Slack app: %s", scopes.message)


@dataclass
class SlackChecks:
    """Checks one app. Each method is one check, and says in its name's order what it builds on.

    `app` calls with the app-level token, `config` with the configuration token, if there is one.
    """

    bot: SlackClient
    app: SlackClient
    config: SlackClient | None
    clock: Clock
    extra: Collection[str]
    """The scopes that only some settings need."""
    _installation: Installation | None = field(default=None, init=False)
    _bot_token: Check | None = field(default=None, init=False)
    _bot_app_id: str = field(default="", init=False)
    _socket_url: str = field(default="", init=False)
    _socket: "CheckSocket | None" = field(default=None, init=False)
    _probe: tuple[str, str] = field(default=("", ""), init=False)
    """The channel and the ts of the probe's message."""
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack, init=False)

    @property
    def installation(self) -> Installation:
        """What auth.test told, once the bot token was accepted."""
        assert self._installation is not None
        return self._installation

    async def close(self) -> None:
        """Closes the socket. If a probe was interrupted, its message is deleted."""
        if self._probe[1]:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await self.probe_delete()
        await self._stack.aclose()

    async def bot_token(self) -> Check:
        """Asks who the bot is."""

        async def ask() -> Check:
            self._installation = installation = await self.bot.installation()
            if installation.is_organization:
                return fail(BOT_TOKEN, check_texts.ORGANIZATION, check_texts.ORGANIZATION_FIX)
            return ok(BOT_TOKEN, check_texts.bot(installation.identity.name, installation.team_name))

        self._bot_token = await _refused_as(BOT_TOKEN, "SLACK_BOT_TOKEN", check_texts.bot_token_fix, ask)
        return self._bot_token

    async def scopes(self) -> Check:
        """Compares the scopes, after `bot_token`."""
        return check_scopes(self.installation, extra=self.extra)

    async def user_groups(self, groups: Collection[str]) -> Check:
        """Looks for the user groups of BOT_ALLOW_USERS, after `scopes`."""
        try:
            people = await read_groups(self.bot, groups)
            missing = ", ".join(sorted(set(groups) - people.keys()))
        except (RateLimited, Refused) as error:
            missing = _error_of(error)
        if missing:
            return fail(USER_GROUPS, check_texts.no_groups(missing), check_texts.GROUPS_FIX)
        return ok(USER_GROUPS, check_texts.groups({group: len(people[group]) for group in sorted(people)}))

    async def named(self, admins: Collection[str], rules: AccessRules) -> Check:
        """Looks for the people and channels of the settings, after `scopes`."""
        return await check_named(self.bot, self.installation.identity.team_id, admins, rules)

    async def clocks(self) -> Check:
        """Compares the clocks, after `bot_token`."""
        return check_clock(self.installation, self.clock.now())

    async def app_token(self) -> Check:
        """Asks for the address of a socket."""

        async def ask() -> Check:
            self._socket_url = str((await self.app.call("apps.connections.open")).get("url", ""))
            return ok(APP_TOKEN, check_texts.APP_ACCEPTED)

        return await _refused_as(APP_TOKEN, "SLACK_APP_TOKEN", check_texts.app_token_fix, ask)

    async def socket_mode(self) -> Check:
        """Opens a socket and waits for Slack's hello, after `app_token`."""
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                opening = self.bot.session.ws_connect(
                    self._socket_url, timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT_S)
                )
                connection = await self._stack.enter_async_context(opening)
                first = await connection.receive()
        except TimeoutError:
            return fail(SOCKET_MODE, check_texts.no_hello("nothing"), check_texts.SOCKET_FIX)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            why = network.reason_of(error, self._socket_url) or type(error).__name__
            fix = network.remedy(why, "the socket's address, which Slack gives") or check_texts.SOCKET_FIX
            return fail(SOCKET_MODE, check_texts.no_socket(why), fix)
        hello = _json(first)
        match hello.get("type"), hello.get("reason"):
            case "hello", _:
                self._socket = CheckSocket(connection, hello)
                self._stack.push_async_callback(self._socket.close)
                return ok(SOCKET_MODE, check_texts.SOCKET_MODE)
            case "disconnect", "link_disabled":
                return fail(SOCKET_MODE, check_texts.SOCKET_MODE_OFF, check_texts.SOCKET_MODE_FIX)
            case "disconnect", "too_many_websockets":
                return fail(SOCKET_MODE, check_texts.TOO_MANY_SOCKETS, check_texts.TOO_MANY_SOCKETS_FIX)
            case kind, reason:
                received = " ".join(str(part) for part in (kind, reason) if part) or first.type.name
                return fail(SOCKET_MODE, check_texts.no_hello(received), check_texts.SOCKET_FIX)

    async def connections(self, living: Callable[[], Awaitable[int | None]]) -> Check:
        """Compares the app's connections with those of the database's processes, after `socket_mode`.

        `living` returns how many processes run with the database, None if it doesn't say.
        """
        assert self._socket is not None
        processes = await living()
        if processes is None:
            return skipped(CONNECTIONS_ID, check_texts.CONNECTIONS_UNKNOWN)
        found = check_texts.connections(self._socket.others, processes)
        if self._socket.others <= CONNECTIONS * processes:
            return ok(CONNECTIONS_ID, found)
        return warn(CONNECTIONS_ID, found, check_texts.OTHER_PROCESS_FIX)

    async def same_app(self) -> Check:
        """Compares the apps that both tokens belong to, after `bot_token` and `app_token`."""
        bot_app_id = await self._find_bot_app_id()
        socket_app_id = self._socket_app_id()
        if not bot_app_id or not socket_app_id:
            return skipped(SAME_APP, check_texts.APP_UNKNOWN)
        if bot_app_id == socket_app_id:
            return ok(SAME_APP, check_texts.SAME_APP)
        return fail(SAME_APP, check_texts.two_apps(bot_app_id, socket_app_id), check_texts.TWO_APPS_FIX)

    async def manifest(self) -> Check:
        """Compares the app's manifest with ours, after `same_app`."""
        if self.config is None:
            return skipped(MANIFEST, check_texts.MANIFEST_NOT_COMPARED)
        app_id = await self._find_bot_app_id() or self._socket_app_id()
        config = self.config
        if not app_id and self._bot_token is not None and self._bot_token.cause:
            return skipped_for(MANIFEST, self._bot_token)
        if not app_id:
            return skipped(MANIFEST, check_texts.APP_UNKNOWN)

        async def compare() -> Check:
            exported = json_object(await config.call("apps.manifest.export", app_id=app_id), "manifest")
            problems = differences(exported, extra=self.extra)
            if not problems:
                return ok(MANIFEST, check_texts.MANIFEST)
            severity = fail if any(problem.is_essential for problem in problems) else warn
            rotates = any("token_rotation" in problem.where for problem in problems)
            # Slack doesn't let anybody turn it off again.
            fix = check_texts.EXPIRED_FIX if rotates else check_texts.MANIFEST_FIX
            return severity(MANIFEST, check_texts.manifest_differs(list(map(str, problems))), fix)

        # Only a warning: Typist runs without this token, which lasts 12 hours.
        return await _refused_as(
            MANIFEST, "SLACK_CONFIG_TOKEN", lambda _: check_texts.CONFIG_FIX, compare, severity=warn
        )

    async def probe_post(self, channel_id: str) -> Check:
        """Posts the probe's message, after `socket_mode`."""
        try:
            self._probe = await self.bot.post(channel=channel_id, text=check_texts.PROBE)
        except (RateLimited, Refused) as error:
            name = _error_of(error)
            return fail(PROBE_POST, check_texts.probe_refused(channel_id, name), check_texts.probe_fix(name))
        return ok(PROBE_POST, check_texts.probe_posted(channel_id))

    async def probe_event(self) -> Check:
        """Waits for the event of the probe's message, after `probe_post`."""
        assert self._socket is not None
        if await self._socket.event_of(self._probe[1], ANSWER_WITHIN_S):
            return ok(PROBE_EVENT, check_texts.PROBE_EVENT)
        others = self._socket.others
        message = check_texts.probe_no_event(others)
        if others:
            return warn(PROBE_EVENT, message, check_texts.PROBE_ELSEWHERE_FIX)
        return fail(PROBE_EVENT, message, check_texts.PROBE_EVENT_FIX)

    async def probe_delete(self) -> Check:
        """Deletes the probe's message, after `probe_event`."""
        channel_id, ts = self._probe
        self._probe = ("", "")
        try:
            await self.bot.call("chat.delete", channel=channel_id, ts=ts)
        except (RateLimited, Refused) as error:
            message = check_texts.probe_not_deleted(_error_of(error))
            return warn(PROBE_DELETE, message, check_texts.PROBE_DELETE_FIX)
        return ok(PROBE_DELETE, check_texts.PROBE_DELETED)

    async def _find_bot_app_id(self) -> str:
        """Returns the app that the bot token belongs to, "" where Slack doesn't tell."""
        if not self._bot_app_id and self._installation is not None:
            try:
                answer = await self.bot.call("bots.info", bot=self._installation.identity.bot_id)
            except (RateLimited, Refused):
                return ""
            self._bot_app_id = string(json_object(answer, "bot"), "app_id")
        return self._bot_app_id

    def _socket_app_id(self) -> str:
        """Returns the app that the app-level token belongs to, by Slack's hello or else by the socket's address."""
        if self._socket is not None and self._socket.app_id:
            return self._socket.app_id
        return parse_qs(urlsplit(self._socket_url).query).get("app_id", [""])[0]


class CheckSocket:
    """A socket that said hello, and keeps note of the messages whose events arrive."""

    def __init__(self, connection: aiohttp.ClientWebSocketResponse, hello: dict[str, Any]) -> None:
        count = hello.get("num_connections")
        self.others = count - 1 if isinstance(count, int) else 0
        """How many connections the app has besides this one."""
        self.app_id = string(json_object(hello, "connection_info"), "app_id")
        self._connection = connection
        self._events: dict[str, str] = {}
        """Envelope ids by the ts of the message."""
        self._arrived = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    async def event_of(self, ts: str, within_s: float) -> bool:
        """Returns whether the event of a message arrives in time, and acknowledges it."""
        try:
            async with asyncio.timeout(within_s):
                while ts not in self._events:
                    await self._arrived.wait()
                    self._arrived.clear()
                await self._connection.send_json({"envelope_id": self._events[ts]})
        except (TimeoutError, ConnectionError):
            return False
        return True

    async def close(self) -> None:
        """Stops reading."""
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self) -> None:
        async for message in self._connection:
            envelope = _json(message)
            event = (envelope.get("payload") or {}).get("event") or {}
            if "envelope_id" in envelope and "ts" in event:
                self._events[str(event["ts"])] = str(envelope["envelope_id"])
                self._arrived.set()


async def _refused_as(
    check_id: str,
    variable: str,
    fix_of: Callable[[str], str],
    check: Callable[[], Awaitable[Check]],
    severity: Callable[[str, str, str], Check] = fail,
) -> Check:
    """Makes a check, or reports by `severity` why Slack refused its call."""
    try:
        return await check()
    except (RateLimited, Refused) as error:
        name = _error_of(error)
        if name == "socket_mode_not_enabled":
            return severity(check_id, check_texts.SOCKET_MODE_OFF, check_texts.SOCKET_MODE_FIX)
        if isinstance(error, RateLimited) or error.reason is Refusal.TRANSIENT:
            if isinstance(error, RateLimited) or _ERROR_NAME.fullmatch(name):
                found = severity(check_id, check_texts.unavailable(name), check_texts.TRY_LATER_FIX)
                return replace(found, cause=check_texts.UNAVAILABLE)
            found = severity(check_id, *check_texts.unreachable(error.error))
            return replace(found, cause=check_texts.UNREACHABLE)
        return severity(check_id, check_texts.refused(variable, error.error), fix_of(name))


def _error_of(error: RateLimited | Refused) -> str:
    """Returns Slack's name for an error; a missing scope's own name follows it in brackets."""
    return "ratelimited" if isinstance(error, RateLimited) else error.error.partition(" (")[0]


def _json(message: aiohttp.WSMessage) -> dict[str, Any]:
    try:
        payload = json.loads(message.data) if isinstance(message.data, str) else None
    except ValueError:
        payload = None
    return payload if isinstance(payload, dict) else {}
