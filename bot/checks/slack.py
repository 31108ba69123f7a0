"""Checks of the Slack app: tokens, scopes, Socket Mode, the manifest, and events.

A bot token can't see much of its app's setup: neither its event subscriptions nor whether the Messages tab is on. With
a configuration token, the whole manifest is compared. Without one, a probe shows whether events arrive: it posts a
message, waits for the message's event, and deletes the message.

The checks open a separate socket. Slack sends each event to only one of an app's connections, so a running bot might
get the probe's event, and this socket might get an event meant for the bot. This socket acknowledges only the probe's
event, so Slack delivers all others again over another connection.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp

from bot import network
from bot.checks.report import ANSWER_WITHIN_S, Finding, fail, ok, skip_because, skipped, warn
from bot.clock import Clock
from bot.core.access import AccessRules, UserKind
from bot.errors import RateLimited, Refusal, Refused, SlackSetupError
from bot.slack.client import CLOSE_TIMEOUT_S, Installation, SlackClient
from bot.slack.json_values import json_object, string
from bot.slack.manifest import AGENT_SCOPE, NEEDED_SCOPES, OPTIONAL_SCOPES, differences, scopes_of
from bot.slack.socket import CONNECTIONS
from bot.slack.user_groups import read_groups
from bot.slack.users import is_channel_open, kinds_by_id

SKEW_WARNED_S = 30.0
SKEW_FAILED_S = 300.0
"""The clock error above which Slack's signed requests would count as replayed."""

YOUR_APP = "api.slack.com/apps → your app"
TRY_LATER_FIX = "Try again in a few minutes. Slack's status: slack-status.com."
TOKEN_FIX = (
    f"Copy it again: {YOUR_APP} → OAuth & Permissions → Bot User OAuth Token (xoxb-…). If the workspace restricts IP "
    "addresses, allow this machine's address."
)
REINSTALL_FIX = f"Install the app again and copy the new token: {YOUR_APP} → Install App."
EXPIRED_FIX = (
    "Typist doesn't renew rotating tokens. Create the app again from `typist manifest`, without token rotation."
)
KIND_FIX = "SLACK_BOT_TOKEN must be a bot token (xoxb-…), and SLACK_APP_TOKEN an app-level token (xapp-…)."
POLICY_FIX = "A policy of the workspace or organization forbids this call. Ask a Slack admin to allow the app."
APP_TOKEN_FIX = (
    f"Generate an app-level token with the scope connections:write: {YOUR_APP} → Basic Information → App-Level Tokens."
)
SOCKET_MODE_FIX = f"Turn Socket Mode on: {YOUR_APP} → Socket Mode."
SOCKET_MODE_OFF = "Socket Mode is off, so Slack sends no events."
SOCKET_FIX = f"Check that firewalls and proxies allow WebSockets (wss). {TRY_LATER_FIX}"
MANIFEST_FIX = (
    f"Paste the output of `typist manifest` at {YOUR_APP} → App Manifest. Then install the app again: → Install App."
)
ORGANIZATION = (
    "SLACK_BOT_TOKEN belongs to an organization (Enterprise Grid). With that token, every member would count as an "
    "outsider."
)
ORGANIZATION_FIX = (
    f"Install the app in one workspace, and copy that workspace's token: {YOUR_APP} → Install App. Turn off "
    "organization-wide deployment."
)
CONFIG_FIX = (
    "Generate a new configuration token: api.slack.com/apps → Your App Configuration Tokens. It lasts 12 hours."
)
APP_UNKNOWN = "Slack didn't report which app a token belongs to."
PROBE = "I'm checking that events arrive. I'll delete this message in a moment."
UNREACHABLE, UNAVAILABLE = "Slack can't be reached", "Slack isn't accepting calls right now"
_ERROR_NAME = re.compile("[a-z_]+")
"""Matches Slack's error names, but not Typist's names for responses that aren't from Slack."""

SCOPE_LOSSES: Mapping[str, str] = {
    "app_mentions:read": "mentions aren't answered",
    "canvases:read": "shared and linked canvases aren't read",
    "canvases:write": "answers can't be saved as canvases",
    "channels:history": "Typist can't read threads in public channels, or answer follow-ups without a mention there",
    "channels:read": "Typist can't show public channels' names or welcome people there, App Home lists no "
    "channels, and only Typist admins can change channel settings",
    "chat:write": "Typist can't answer",
    "commands": "the slash command and the message shortcut don't work",
    "files:read": "shared files aren't read",
    "files:write": "long answers and long code aren't attached as files",
    "groups:history": "Typist can't read threads in private channels, or answer follow-ups without a mention there",
    "groups:read": "Typist can't show private channels' names or welcome people there, App Home lists no "
    "channels, and only Typist admins can change channel settings",
    "im:history": "direct messages aren't answered",
    "im:read": "after an outage, Typist can't find direct messages from people who had never written to it before",
    "mpim:history": "Typist can't read threads in group messages, or answer follow-ups without a mention there",
    "mpim:read": "Typist can't look up group messages",
    "pins:read": "models can't read pins",
    "reactions:read": "a channel's question emoji doesn't work",
    "reactions:write": "Typist can't react to thanks",
    "search:read.public": "models can't search Slack",
    "usergroups:read": "user groups in BOT_ALLOW_USERS don't give anyone access, and BOT_NOTIFY can't find user groups",
    "users:read.email": "domains in BOT_ALLOW_USERS don't give anyone access, and headers have no email address",
    "users:read": "Typist can't distinguish members from guests and denies access to everyone",
}

_TOKEN_FIXES: Mapping[str, str] = {
    **dict.fromkeys(("account_inactive", "app_uninstalled", "bot_removed", "token_revoked"), REINSTALL_FIX),
    "token_expired": EXPIRED_FIX,
    "not_allowed_token_type": KIND_FIX,
    **dict.fromkeys(
        (
            "access_denied",
            "accesslimited",
            "ekm_access_denied",
            "enterprise_is_restricted",
            "org_login_required",
            "team_access_not_granted",
        ),
        POLICY_FIX,
    ),
    "team_added_to_org": TRY_LATER_FIX,
}
_POST_FIXES: Mapping[str, str] = {
    "not_in_channel": "Invite the app into the channel: /invite, then its name.",
    "channel_not_found": "Check the channel's ID. If the channel is private, invite the app first.",
    "is_archived": "Choose a channel that isn't archived.",
    "messages_tab_disabled": f"Turn the Messages tab on: {YOUR_APP} → App Home.",
    "missing_scope": MANIFEST_FIX,
}
_KINDS = {
    UserKind.DEACTIVATED: "a deactivated account",
    UserKind.GUEST: "a guest",
    UserKind.BOT: "a bot",
    UserKind.EXTERNAL: "not a member of this workspace",
    None: "unknown to Slack",
}

_NAMED_FIXES = {
    "BOT_ADMINS": "Replace them in BOT_ADMINS with members of the workspace.",
    "BOT_ALLOW_USERS": "Remove them from BOT_ALLOW_USERS, or have their accounts reactivated.",
    "BOT_ALLOW_CHANNELS": "Correct or remove the channel in BOT_ALLOW_CHANNELS, or invite the app there.",
}


def check_clock(installation: Installation, now_s: float) -> Finding:
    if installation.slack_time_s is None:
        return skipped("Slack's response didn't have a usable Date header.")
    skew_s = now_s - installation.slack_time_s
    # Slack reports whole seconds, and the response took a moment.
    if abs(skew_s) < 2:
        return ok("This machine's clock agrees with Slack's.")
    about_s = f"{abs(skew_s):.0f}" if abs(skew_s) < 10 else f"about {round(abs(skew_s), -1):.0f}"
    message = f"This machine's clock is {about_s} s {'ahead of' if skew_s > 0 else 'behind'} Slack's."
    if abs(skew_s) <= SKEW_WARNED_S:
        return ok(message)
    severity = fail if abs(skew_s) > SKEW_FAILED_S else warn
    fix = "Synchronize this machine's clock, for example with NTP. Costs, quotas and retention depend on it."
    return severity(message, fix)


def refuse_organization(installation: Installation) -> None:
    """Raises SlackSetupError for an organization's token, because all members would be treated as outsiders."""
    if installation.is_organization:
        raise SlackSetupError(f"{ORGANIZATION} {ORGANIZATION_FIX}")


def bot_token_fix(error: str) -> str:
    return _TOKEN_FIXES.get(error, TOKEN_FIX)


def app_token_fix(error: str) -> str:
    if error in ("invalid_auth", "not_allowed_token_type"):
        # Slack doesn't document its response while Socket Mode is off; both were observed.
        return f"{APP_TOKEN_FIX} {SOCKET_MODE_FIX}"
    if error in ("missing_scope", "token_revoked", "token_expired"):
        # Installing the app again renews only the bot token.
        return APP_TOKEN_FIX
    return _TOKEN_FIXES.get(error, APP_TOKEN_FIX)


def new_app_fix(error: str) -> str:
    if error in _TOKEN_FIXES or error == "invalid_auth":
        return CONFIG_FIX
    return "Create it on Slack's page instead, unless api.slack.com/apps already lists it."


def post_fix(error: str) -> str:
    if error.startswith("restricted_action"):
        return POLICY_FIX
    return _POST_FIXES.get(error, _TOKEN_FIXES.get(error, TRY_LATER_FIX))


def connections_sentence(others: int) -> str:
    return "1 other connection is open" if others == 1 else f"{others} other connections are open"


@dataclass
class SlackChecks:
    """Checks one Slack app. The client `app` uses the app-level token, and `config` uses the configuration token, if
    there is one."""

    bot: SlackClient
    app: SlackClient
    config: SlackClient | None
    clock: Clock
    extra: Collection[str]
    _installation: Installation | None = field(default=None, init=False)
    _bot_token: Finding | None = field(default=None, init=False)
    _bot_app_id: str = field(default="", init=False)
    _socket_url: str = field(default="", init=False)
    _socket: "CheckSocket | None" = field(default=None, init=False)
    _probe: tuple[str, str] = field(default=("", ""), init=False)
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack, init=False)

    @property
    def installation(self) -> Installation:
        assert self._installation is not None
        return self._installation

    @installation.setter
    def installation(self, installation: Installation) -> None:
        self._installation = installation

    async def close(self) -> None:
        if self._probe[1]:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await self.probe_delete()
        await self._stack.aclose()

    async def check_bot_token(self) -> Finding:

        async def ask() -> Finding:
            self._installation = installation = await self.bot.installation()
            if installation.is_organization:
                return fail(ORGANIZATION, ORGANIZATION_FIX)
            return ok(f"SLACK_BOT_TOKEN is accepted: @{installation.identity.name} in {installation.team_name}.")

        self._bot_token = await _report_refusal("SLACK_BOT_TOKEN", bot_token_fix, ask)
        return self._bot_token

    async def check_scopes(self) -> Finding:
        installation = self.installation
        if installation.scopes is None:
            return skipped("Slack's response didn't list the token's scopes.")
        agent = AGENT_SCOPE in installation.scopes
        expected = scopes_of(agent=agent, extra=self.extra)
        missing = [scope for scope in expected if scope not in installation.scopes]
        agents = f"the Agents feature is {'on' if agent else 'off'}"
        if not missing:
            return ok(f"The bot token has all {len(expected)} scopes, and {agents}.")
        missing.sort(key=lambda scope: scope not in NEEDED_SCOPES)
        losses = ("\n" if len(missing) > 1 else " ") + ";\n".join(f"{one} ({SCOPE_LOSSES[one]})" for one in missing)
        if OPTIONAL_SCOPES.issuperset(missing):
            message = f"The bot token has all required scopes, and {agents}. Without optional scopes:{losses}."
            return ok(message, is_notable=True)
        severity = fail if NEEDED_SCOPES.intersection(missing) else warn
        return severity(f"Missing scopes:{losses}.", MANIFEST_FIX)

    async def check_user_groups(self, rules: AccessRules) -> Finding:
        try:
            people = await read_groups(self.bot, rules.groups)
            missing = ", ".join(sorted(rules.groups - people.keys()))
        except (RateLimited, Refused) as error:
            people, missing = {}, _error_name(error)
        if missing:
            fix = (
                "Check BOT_ALLOW_USERS and the scope usergroups:read. Until that's fixed, such a group doesn't give "
                "anyone access."
            )
            # Other entries give people access.
            severity = warn if people or len(rules.groups) < len(rules.allow_users) else fail
            return severity(f"The user group doesn't exist, or Slack refuses to list user groups ({missing}).", fix)
        sizes = ", ".join(f"{group} {len(people[group])}" for group in sorted(people))
        return ok(f"People in user groups: {sizes}.")

    async def check_people_and_channels(self, admins: Collection[str], rules: AccessRules) -> Finding:
        try:
            kinds = await kinds_by_id(self.bot, {*admins, *rules.people}, self.installation.identity.team_id)
            channels = [one for one in sorted(rules.allow_channels) if not await is_channel_open(self.bot, one)]
        except (RateLimited, Refused) as error:
            return skipped(f"Slack didn't return the users and channels in the settings ({_error_name(error)}).")
        lost = {one for one in rules.people if kinds[one] in (None, UserKind.DEACTIVATED)}
        wrong = [("BOT_ADMINS", one) for one in sorted(admins) if kinds[one] is not UserKind.MEMBER]
        wrong += [("BOT_ALLOW_USERS", one) for one in sorted(lost)]
        sentences = [f"{variable} includes {one}, who is {_KINDS[kinds[one]]}." for variable, one in wrong]
        sentences += [
            f"BOT_ALLOW_CHANNELS includes {one}, which doesn't exist, is archived, or is private and doesn't include "
            "this app."
            for one in channels
        ]
        if not sentences:
            count = len({*admins, *rules.people}) + len(rules.allow_channels)
            return ok(f"All {count} people and channels in the settings exist in Slack.")
        fixes = dict.fromkeys(_NAMED_FIXES[variable] for variable, _ in wrong)
        fixes |= dict.fromkeys([_NAMED_FIXES["BOT_ALLOW_CHANNELS"]] if channels else [])
        # Otherwise, others are served.
        is_vital = lost == rules.allow_users != set() or set(channels) == rules.allow_channels != set()
        found = (fail if is_vital else warn)("\n".join(sentences), f"{' '.join(fixes)} Then restart Typist.")
        return replace(found, people=frozenset(one for _, one in wrong))

    async def check_clock(self) -> Finding:
        return check_clock(self.installation, self.clock.now())

    async def check_app_token(self) -> Finding:

        async def ask() -> Finding:
            self._socket_url = str((await self.app.call("apps.connections.open")).get("url", ""))
            return ok("SLACK_APP_TOKEN is accepted, with the scope connections:write.")

        return await _report_refusal("SLACK_APP_TOKEN", app_token_fix, ask)

    async def check_socket_mode(self) -> Finding:
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                opening = self.bot.session.ws_connect(
                    self._socket_url, timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT_S)
                )
                connection = await self._stack.enter_async_context(opening)
                first = await connection.receive()
        except TimeoutError:
            return _no_hello("nothing")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            why = network.reason_of(error, self._socket_url) or type(error).__name__
            fix = network.remedy(why, "the socket URL from Slack") or SOCKET_FIX
            return fail(f"The Socket Mode connection couldn't be opened ({why}).", fix)
        hello = _parsed_json(first)
        match hello.get("type"), hello.get("reason"):
            case "hello", _:
                self._socket = CheckSocket(connection, hello)
                self._stack.push_async_callback(self._socket.close)
                return ok(
                    "Socket Mode is on: a connection opened, and Slack said hello.",
                    "Slack doesn't report whether Delayed Events is on. If it's off, Slack drops events after an "
                    "outage of 6 minutes.",
                    f"To turn it on: {YOUR_APP} → Event Subscriptions.",
                )
            case "disconnect", "link_disabled":
                return fail(SOCKET_MODE_OFF, SOCKET_MODE_FIX)
            case "disconnect", "too_many_websockets":
                fix = "Stop the other processes that use this Slack app. Each Typist process opens two connections."
                return fail("The app already has ten Socket Mode connections, the maximum that Slack accepts.", fix)
            case kind, reason:
                return _no_hello(" ".join(str(part) for part in (kind, reason) if part) or first.type.name)

    async def check_connections(self, count_processes: Callable[[], Awaitable[int | None]]) -> Finding:
        """Compares the app's connections with the number of running processes. `count_processes`: returns that number,
        or None if it is unknown."""
        assert self._socket is not None
        processes = await count_processes()
        if processes is None:
            return skipped("Other processes' connections weren't checked because the database couldn't be read.")
        found = (
            f"{connections_sentence(self._socket.other_connections)}. Typist processes with this database: {processes}."
        )
        if self._socket.other_connections <= CONNECTIONS * processes:
            return ok(found)
        return warn(
            found,
            "Stop the other process, or give it this DATABASE_URL: each process is receiving some of the questions. "
            "If a process has just ended, check again in a few minutes. If Typist runs elsewhere, run this command "
            "there.",
        )

    async def check_same_app(self) -> Finding:
        bot_app_id = await self._find_bot_app_id()
        socket_app_id = self._socket_app_id()
        if not bot_app_id or not socket_app_id:
            return skipped(APP_UNKNOWN)
        if bot_app_id == socket_app_id:
            return ok("Both tokens belong to the same app.")
        message = (
            f"The tokens belong to two apps: SLACK_BOT_TOKEN to {bot_app_id}, SLACK_APP_TOKEN to {socket_app_id}. The "
            "bot receives no events."
        )
        fix = f"Copy both tokens from the same app: {YOUR_APP} → OAuth & Permissions, and → Basic Information."
        return fail(message, fix)

    async def check_manifest(self) -> Finding:
        if self.config is None:
            return skipped("Events, tabs and interactivity weren't compared because SLACK_CONFIG_TOKEN isn't set.")
        app_id = await self._find_bot_app_id() or self._socket_app_id()
        config = self.config
        if not app_id and self._bot_token is not None and self._bot_token.cause:
            return skip_because(self._bot_token.cause)
        if not app_id:
            return skipped(APP_UNKNOWN)

        async def compare() -> Finding:
            exported = json_object(await config.call("apps.manifest.export", app_id=app_id), "manifest")
            problems = differences(exported, extra=self.extra)
            if not problems:
                return ok("The app's manifest has everything that Typist needs.")
            severity = fail if any(problem.is_essential for problem in problems) else warn
            rotates = any("token_rotation" in problem.where for problem in problems)
            # Slack doesn't allow turning it off again.
            fix = EXPIRED_FIX if rotates else MANIFEST_FIX
            return severity(f"The app's manifest differs: {'; '.join(map(str, problems))}.", fix)

        # Only a warning: Typist runs without this token, which lasts 12 hours.
        return await _report_refusal("SLACK_CONFIG_TOKEN", lambda _: CONFIG_FIX, compare, severity=warn)

    async def probe_post(self, channel_id: str) -> Finding:
        try:
            self._probe = await self.bot.post(channel=channel_id, text=PROBE)
        except (RateLimited, Refused) as error:
            name = _error_name(error)
            return fail(f"Slack rejected a message in {channel_id} ({name}).", post_fix(name))
        return ok(f"Posted the test message in {channel_id}.")

    async def probe_event(self) -> Finding:
        assert self._socket is not None
        if await self._socket.receive_event(self._probe[1], ANSWER_WITHIN_S):
            return ok("Slack delivered the test message's event.")
        missing = "The test message's event didn't arrive"
        if self._socket.other_connections:
            opened = connections_sentence(self._socket.other_connections)
            return warn(
                f"{missing}, but {opened} and might have received it.", "Stop the other process, and check again."
            )
        return fail(
            f"{missing}.",
            f"Subscribe to the message events of `typist manifest`: {YOUR_APP} → Event Subscriptions. Then install the "
            "app again.",
        )

    async def probe_delete(self) -> Finding:
        channel_id, ts = self._probe
        self._probe = ("", "")
        try:
            await self.bot.call("chat.delete", channel=channel_id, ts=ts)
        except (RateLimited, Refused) as error:
            message = f"Slack refused to delete the test message ({_error_name(error)})."
            return warn(message, "Delete the message manually.")
        return ok("Deleted the test message.")

    async def _find_bot_app_id(self) -> str:
        if not self._bot_app_id and self._installation is not None:
            try:
                answer = await self.bot.call("bots.info", bot=self._installation.identity.bot_id)
            except (RateLimited, Refused):
                return ""
            self._bot_app_id = string(json_object(answer, "bot"), "app_id")
        return self._bot_app_id

    def _socket_app_id(self) -> str:
        """Returns the ID of the app-level token's app, from Slack's hello or from the socket's URL."""
        if self._socket is not None and self._socket.app_id:
            return self._socket.app_id
        return parse_qs(urlsplit(self._socket_url).query).get("app_id", [""])[0]


class CheckSocket:
    """A Socket Mode connection that has received Slack's hello. It records the messages whose events arrive."""

    def __init__(self, connection: aiohttp.ClientWebSocketResponse, hello: dict[str, Any]) -> None:
        count = hello.get("num_connections")
        self.other_connections = count - 1 if isinstance(count, int) else 0
        self.app_id = string(json_object(hello, "connection_info"), "app_id")
        self._connection = connection
        self._events: dict[str, str] = {}
        """Envelope IDs, keyed by message ts."""
        self._arrived = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    async def receive_event(self, ts: str, within_s: float) -> bool:
        """Waits for the event of a message and acknowledges it. Returns whether the event arrived in time."""
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
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self) -> None:
        async for message in self._connection:
            envelope = _parsed_json(message)
            event = (envelope.get("payload") or {}).get("event") or {}
            if "envelope_id" in envelope and "ts" in event:
                self._events[str(event["ts"])] = str(envelope["envelope_id"])
                self._arrived.set()


async def _report_refusal(
    variable: str,
    fix_of: Callable[[str], str],
    check: Callable[[], Awaitable[Finding]],
    severity: Callable[[str, str], Finding] = fail,
) -> Finding:
    """Runs a check. If Slack refuses the check's call, reports the reason with `severity`."""
    try:
        return await check()
    except (RateLimited, Refused) as error:
        name = _error_name(error)
        if name == "socket_mode_not_enabled":
            return severity(SOCKET_MODE_OFF, SOCKET_MODE_FIX)
        if isinstance(error, RateLimited) or error.reason is Refusal.TRANSIENT:
            if isinstance(error, RateLimited) or _ERROR_NAME.fullmatch(name):
                return replace(severity(f"{UNAVAILABLE} ({name}).", TRY_LATER_FIX), cause=UNAVAILABLE)
            fix = network.remedy(error.error, "BOT_SLACK_API_URL")
            if error.error == "HTTP 404":
                fix = "Correct BOT_SLACK_API_URL, which must end with /api/."
            fix = fix or "Check the network, DNS, a proxy, and BOT_SLACK_API_URL."
            found = severity(f"{UNREACHABLE} ({error.error}).", f"{fix} Slack's status: slack-status.com.")
            return replace(found, cause=UNREACHABLE)
        return severity(f"Slack doesn't accept {variable} ({error.error}).", fix_of(name))


def _no_hello(received: str) -> Finding:
    return fail(f"A Socket Mode connection opened, but Slack sent {received} instead of hello.", SOCKET_FIX)


def _error_name(error: RateLimited | Refused) -> str:
    return "ratelimited" if isinstance(error, RateLimited) else error.error.partition(" (")[0]


def _parsed_json(message: aiohttp.WSMessage) -> dict[str, Any]:
    try:
        payload = json.loads(message.data) if isinstance(message.data, str) else None
    except ValueError:
        payload = None
    return payload if isinstance(payload, dict) else {}
