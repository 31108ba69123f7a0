"""Looks up people: their names and time zones, and whether they are members, guests or strangers.

users.info answers all of it, so each answer is kept once. A kind decides over access, so it is trusted for ten minutes,
or looked up as of now; a name only reads better than an id, so it is trusted for an hour, with the time zone. Channels
have names as well (conversations.info) and are kept beside people. `ChannelReaders` says of a channel whether all who
read it belong to the workspace.

Slack takes 100 calls of users.info a minute (budget.py), for kinds and names together. Therefore:

- All who wait for one person share that person's lookup and its retries.
- Lookups of kinds stand in one line, and AT_ONCE of them are open. One that fails keeps its place for a wait that grows
  with the failures in a row, whomever they are about, and then goes to the end of the line. So an outage costs half of
  the calls however many people wait, and its end is noticed within seconds: a success waits for nothing.
- Names are left out while the calls get scarce.
"""

import asyncio
import logging
import math
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from bot.core.access import UserKind
from bot.core.conversation import ThreadKey
from bot.errors import RateLimited, Refused
from bot.slack.client import PacedClient, SlackClient
from bot.slack.retry import NO_FAILURES, USER_KIND
from bot.slack.text import json_object, json_objects, next_cursor, string, strings

NOW_S = 1.0
"""A lookup under way that began this long ago still says what is true now. One that has ended doesn't."""
KIND_TRUSTED_S = 600.0
KEPT_S = 3_600.0
"""How long a name is trusted, and a kind applies while Slack gives no newer one."""
NAMES_WITHIN_S = 5.0
"""How long a prompt waits for names, and a question to know a channel's readers. What comes later is kept, too."""
KIND_WITHIN_S = 45.0
"""Room for two calls without a response, so that a short outage of Slack denies nobody."""
AT_ONCE = 5
"""Lookups of kinds that are open at once."""
MAX_NAMES = 50
"""The most lookups for one prompt: half of the calls of users.info that Slack allows in a minute."""
KEPT_FOR_KINDS = 40
"""Calls of a minute that no name uses."""
READERS_TRUSTED_S = 60.0
PEOPLE_PER_PAGE = 1_000
MAX_PAGES = 3
"""A channel with more members counts as one with outsiders."""
MAX_LOOKED_UP = 20
"""Of more people in a channel than this who are unknown, all people of the workspace are listed instead."""
MAX_KEPT = 5_000
"""How many people, channels or questions are remembered of one kind. More people of a workspace aren't listed."""
STRANGER_ERRORS = ("user_not_found", "user_not_visible")
"""Slack's errors for people outside the workspace's view."""
SHARED = ("is_shared", "is_ext_shared", "is_org_shared", "is_pending_ext_shared", "pending_shared")
"""Slack's fields of a channel that people of other workspaces read, or will."""

MEMBER_ID = re.compile("[UW][A-Z0-9]{2,}")
_USER, _CHANNEL = ("users.info", "user"), ("conversations.info", "channel")
_METHODS = {"U": _USER, "W": _USER, "C": _CHANNEL, "G": _CHANNEL}
"""Method and argument by the first letter of an id."""

K = TypeVar("K")
V = TypeVar("V")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Profile:
    """Slack's answer about a person or a channel. Times are by the monotonic clock."""

    name: str = ""
    """Empty if Slack gives none, because a scope is missing."""
    named_at: float = -math.inf
    kind: UserKind | None = None
    """Of a person; None if Slack doesn't say."""
    kind_at: float = -math.inf
    """When the lookup began that says so."""
    team_id: str = ""
    """The workspace of a person who isn't in ours; "" for others, and if Slack doesn't say."""
    zone: ZoneInfo | None = None
    """A person's time zone; None if Slack doesn't say."""
    is_private: bool = False
    """Whether it is a channel whose name only its members know."""


@dataclass(slots=True)
class _Lookup:
    """A lookup that is going on. Its result is False if Slack refuses for good."""

    task: asyncio.Task[bool]
    waiting: int = 0
    """How many wait for it."""


class Users:
    """Looks up people's kinds of account, and the names of people and channels.

    Needs the scope users:read for people and channels:read for channels. Without users:read, all kinds are unknown;
    without both, all names are.
    """

    def __init__(self, client: PacedClient, team_id: str) -> None:
        self._client = client
        self._clock = client.clock
        self._team_id = team_id
        self._profiles: dict[str, Profile] = {}
        self._lookups: dict[str, _Lookup] = {}
        self._line = asyncio.Semaphore(AT_ONCE)
        self._failures = NO_FAILURES
        """Of lookups of kinds in a row, whomever they were about."""

    def known(self, user_id: str) -> UserKind | None:
        """Returns a person's kind of account if Slack reported it within the last ten minutes, else None."""
        return self._kind_within(user_id, KIND_TRUSTED_S)

    async def kind(self, user_id: str, *, now_within_s: float | None = None) -> UserKind | None:
        """Returns a person's kind of account, None if Slack doesn't say in time.

        What it said in the last ten minutes is enough, and while it fails, in the last hour. With `now_within_s`, Slack
        has to say within this time what is true now.
        """
        if now_within_s is not None:
            return await self._look_up_kind(user_id, NOW_S, now_within_s)
        kind = self.known(user_id) or await self._look_up_kind(user_id, KIND_TRUSTED_S, KIND_WITHIN_S)
        return kind or self._kind_within(user_id, KEPT_S)

    def _kind_within(self, user_id: str, age_s: float) -> UserKind | None:
        profile = self._profile(user_id)
        return profile.kind if self._clock.monotonic() < profile.kind_at + age_s else None

    async def _look_up_kind(self, user_id: str, max_age_s: float, within_s: float) -> UserKind | None:
        """Returns a person's kind by a lookup that is under way or begins now, None if Slack doesn't say in time.

        `max_age_s`: how long ago it may have begun.
        """
        after = self._clock.monotonic() - max_age_s
        try:
            async with asyncio.timeout(within_s):
                while await self._share(user_id, self._ask_in_line):
                    if (profile := self._profile(user_id)).kind_at > after:
                        return profile.kind
        except TimeoutError:
            log.warning("the kind of user %s is not known: Slack doesn't answer", user_id)
        return None

    async def _ask_in_line(self, user_id: str) -> bool:
        """Asks for a person's kind until Slack answers or refuses for good, or nobody waits for it."""
        while True:
            async with self._line:
                if not self._lookups[user_id].waiting:
                    return True
                try:
                    await self._ask(user_id)
                except (RateLimited, Refused) as error:
                    now = self._clock.monotonic()
                    self._failures = self._failures.and_one(now)
                    next_try_at = USER_KIND.next_try_at(error, self._failures, now)
                    if next_try_at is None:
                        log.error("the kind of user %s is not known (is users:read granted?): %s", user_id, error)
                        return False
                    log.warning("the kind of user %s is not known yet: %s", user_id, error)
                    await self._clock.sleep(next_try_at - now)
                else:
                    self._failures = NO_FAILURES
                    return True

    async def list_all(self) -> None:
        """Keeps what Slack says of all people of the workspace. Raises RateLimited and Refused."""
        now = self._clock.monotonic()
        async for person in _everybody(self._client):
            self._keep(str(person.get("id")), self._person(person, now, now))

    async def team_id(self, user_id: str) -> str:
        """Returns a person's workspace: ours, unless Slack says in time that they are in another one alone."""
        await self.names((user_id,))
        return self._profile(user_id).team_id or self._team_id

    async def names(self, ids: Sequence[str], *, in_channel: str = "") -> Mapping[str, str]:
        """Returns the names of the first MAX_NAMES people and channels, by id, as far as Slack gives them.

        Of private channels, it gives only the name of the one that the names are for: others' readers may not know it.
        """
        wanted = [id_ for id_ in ids if id_[:1] in _METHODS][:MAX_NAMES]
        with suppress(TimeoutError):
            async with asyncio.timeout(NAMES_WITHIN_S):
                await asyncio.gather(*map(self._look_up_name, wanted))
        found = {id_: self._profile(id_) for id_ in wanted}
        return {id_: one.name for id_, one in found.items() if one.name and (not one.is_private or id_ == in_channel)}

    def zones(self, ids: Sequence[str]) -> Mapping[str, ZoneInfo]:
        """Returns the time zones of people, by id, as far as lookups of their names or kinds gave them."""
        return {id_: zone for id_ in ids if (zone := self._profile(id_).zone)}

    async def _look_up_name(self, id_: str) -> None:
        is_known = self._clock.monotonic() < self._profile(id_).named_at + KEPT_S
        spare = self._client.budget.spare(_USER[0]) - len(self._lookups)
        is_left_out = _method_of(id_) is _USER and spare <= KEPT_FOR_KINDS
        if not is_known and not is_left_out:
            await self._share(id_, self._ask_for_name)

    async def _ask_for_name(self, id_: str) -> bool:
        try:
            await self._ask(id_)
        except (RateLimited, Refused) as error:
            log.info("name of %s not found: %s", id_, error)
        return True

    async def _share(self, id_: str, ask: Callable[[str], Coroutine[Any, Any, bool]]) -> bool:
        """Waits for the lookup that is going on, or for the one that `ask` begins, which outlives a canceled one."""
        lookup = self._lookups.get(id_)
        if lookup is None:
            # In a context of its own: it answers other jobs, too.
            lookup = self._lookups[id_] = _Lookup(asyncio.create_task(self._run(id_, ask), context=Context()))
        lookup.waiting += 1
        try:
            return await asyncio.shield(lookup.task)
        finally:
            lookup.waiting -= 1

    async def _run(self, id_: str, ask: Callable[[str], Coroutine[Any, Any, bool]]) -> bool:
        try:
            return await ask(id_)
        finally:
            del self._lookups[id_]

    async def _ask(self, id_: str) -> None:
        """Asks Slack once and keeps the answer. Raises RateLimited and Refused."""
        method, argument = _method_of(id_)
        asked_at = self._clock.monotonic()
        try:
            answer = await self._client.call(method, **{argument: id_})
        except Refused as error:
            now = self._clock.monotonic()
            if method == _USER[0] and error.error in STRANGER_ERRORS:
                self._keep(id_, Profile("", now, UserKind.EXTERNAL, asked_at))
                return
            if not error.reason.may_pass:
                # Slack would refuse the name again, so it isn't requested again; a kind is, each time.
                self._keep(id_, replace(self._profile(id_), named_at=now))
            raise
        now = self._clock.monotonic()
        subject = json_object(answer, argument)
        if method == _USER[0]:
            self._keep(id_, self._person(subject, now, asked_at))
        else:
            self._keep(id_, Profile(name_of(subject), now, is_private=subject.get("is_private") is not False))

    def _person(self, subject: Mapping[str, Any], now: float, asked_at: float) -> Profile:
        teams = teams_of(subject, self._team_id)
        team_id = "" if self._team_id in teams else teams[0]
        kind = kind_of(subject, self._team_id)
        return Profile(name_of(subject), now, kind, asked_at, team_id, zone_of(subject))

    def _profile(self, id_: str) -> Profile:
        return self._profiles.get(id_, _UNKNOWN)

    def _keep(self, id_: str, profile: Profile) -> None:
        keep_newest(self._profiles, id_, profile)


_UNKNOWN = Profile()


def keep_newest(kept: dict[K, V], key: K, value: V) -> None:
    """Puts a value into a cache as its newest, and drops the oldest beyond MAX_KEPT."""
    kept.pop(key, None)
    kept[key] = value
    if len(kept) > MAX_KEPT:
        del kept[next(iter(kept))]


async def _everybody(client: PacedClient | SlackClient) -> AsyncIterator[Mapping[str, Any]]:
    """Yields what Slack says of each person of the workspace, MAX_KEPT at most. Raises RateLimited and Refused."""
    cursor = ""
    for _ in range(MAX_KEPT // PEOPLE_PER_PAGE):
        page = await client.call("users.list", limit=PEOPLE_PER_PAGE, cursor=cursor or None)
        for person in json_objects(page, "members"):
            yield person
        cursor = next_cursor(page)
        if not cursor:
            return


async def find_members(client: SlackClient, words: str) -> Mapping[str, str]:
    """Returns the names of the members whom a member ID, an email address or a name means, by their IDs.

    A name is a whole name as Slack shows it, in any case. Raises RateLimited and Refused: email addresses need the
    scope users:read.email, the others users:read.
    """
    try:
        if MEMBER_ID.fullmatch(words):
            found = [json_object(await client.call("users.info", user=words), "user")]
        elif "@" in words[1:]:
            found = [json_object(await client.call("users.lookupByEmail", email=words), "user")]
        else:
            name = words.removeprefix("@").casefold()
            found = [dict(person) async for person in _everybody(client) if name in _names_of(person)]
    except Refused as error:
        if error.error not in (*STRANGER_ERRORS, "users_not_found"):
            raise
        found = []
    team_id = (await client.identity()).team_id
    members = [person for person in found if kind_of(person, team_id) is UserKind.MEMBER]
    return {str(person.get("id")): name_of(person) for person in members}


def _names_of(person: Mapping[str, Any]) -> set[str]:
    profile = json_object(person, "profile")
    names = (person.get("name"), person.get("real_name"), profile.get("real_name"), profile.get("display_name"))
    return {str(name).casefold() for name in names if name}


def _method_of(id_: str) -> tuple[str, str]:
    return _METHODS.get(id_[:1], _USER)


def kind_of(user: Mapping[str, Any], team_id: str) -> UserKind | None:
    """Returns a person's kind in a workspace, None if Slack's answer has nothing about them."""
    if not user:
        return None
    if user.get("deleted"):
        return UserKind.DEACTIVATED
    if user.get("is_stranger") or team_id not in teams_of(user, team_id):
        return UserKind.EXTERNAL
    if user.get("is_restricted") or user.get("is_ultra_restricted"):
        return UserKind.GUEST
    return UserKind.BOT if user.get("is_bot") else UserKind.MEMBER


def zone_of(user: Mapping[str, Any]) -> ZoneInfo | None:
    """Returns a person's time zone, None if Slack doesn't say, or names one that this machine doesn't know."""
    try:
        return ZoneInfo(string(user, "tz"))
    except (ValueError, LookupError, OSError):
        return None


def teams_of(user: Mapping[str, Any], team_id: str) -> list[str]:
    """Returns a person's workspaces, by default `team_id`.

    In an Enterprise Grid a person has one home workspace, which comes first, and may belong to more.
    """
    home = string(user, "team_id") or team_id
    return [home, *strings(json_object(user, "enterprise_user"), "teams")]


def name_of(user_or_channel: Mapping[str, Any]) -> str:
    """Returns the name that Slack shows, or "" if the answer has none."""
    profile = json_object(user_or_channel, "profile")
    names = (profile.get("display_name"), user_or_channel.get("real_name"), profile.get("real_name"))
    return str(next(filter(None, (*names, user_or_channel.get("name"))), ""))


class ChannelReaders:
    """Says whether all who can read a channel belong to the workspace.

    What a model finds on behalf of a member is shown to everybody in the channel. A guest, or a person of another
    organization, would read public channels that they aren't in. Slack has no flag for channels with guests, so the
    channel's members are compared with the workspace's people. What Slack doesn't say in time counts as an outsider.

    Needs the scopes channels:read, groups:read, mpim:read and users:read.
    """

    def __init__(self, client: PacedClient, users: Users) -> None:
        self._client = client
        self._users = users
        self._insiders_only: dict[str, tuple[bool, float]] = {}
        """By channel: the last answer, and its time by the monotonic clock."""

    async def are_insiders(self, thread: ThreadKey) -> bool:
        """Returns whether only people of the workspace read a thread; of a direct message, only its person does."""
        if thread.in_direct_message:
            return True
        channel_id, now = thread.channel_id, self._client.clock.monotonic()
        known, at = self._insiders_only.get(channel_id, (False, -READERS_TRUSTED_S))
        if now < at + READERS_TRUSTED_S:
            return known
        try:
            async with asyncio.timeout(NAMES_WITHIN_S):
                known = await self._has_insiders_only(channel_id)
        except (RateLimited, Refused, TimeoutError) as error:
            log.warning("channel %s: its readers are not known: %s", channel_id, error or "Slack doesn't answer")
            return False
        keep_newest(self._insiders_only, channel_id, (known, self._client.clock.monotonic()))
        return known

    async def _has_insiders_only(self, channel_id: str) -> bool:
        answer = await self._client.call("conversations.info", channel=channel_id)
        channel = json_object(answer, "channel")
        if not channel or any(channel.get(field) for field in SHARED):
            return False
        members: list[str] = []
        cursor = ""
        for _ in range(MAX_PAGES):
            page = await self._client.call(
                "conversations.members", channel=channel_id, limit=PEOPLE_PER_PAGE, cursor=cursor or None
            )
            members += strings(page, "members")
            cursor = next_cursor(page)
            if not cursor:
                break
        if cursor:
            return False
        unknown = [member for member in members if self._users.known(member) is None]
        if len(unknown) > MAX_LOOKED_UP:
            await self._users.list_all()
        else:
            await asyncio.gather(*map(self._users.kind, unknown))
        kinds = {self._users.known(member) for member in members}
        return bool(members) and kinds <= {UserKind.MEMBER, UserKind.BOT}
