"""Looks up people's names and time zones, and whether people are members, guests or strangers.

All of this is in the response of users.info, which is cached as a whole. User types decide who has access, so they are
trusted for only ten minutes and then looked up immediately. Names only make IDs readable, so they are trusted for an
hour, as are time zones. Channel names (conversations.info) are cached the same way. `ChannelReaders` determines whether
everyone who can read a channel belongs to the workspace.

Slack accepts 100 users.info calls a minute (pacing/budget.py), for user types and names together. Therefore:

- Everyone waiting for the same person shares one lookup and its retries.
- Lookups of user types are queued, with MAX_OPEN_LOOKUPS of them open at a time. A failed lookup keeps its slot for a
  delay that grows with the number of consecutive failures (for any person), and then goes to the end of the queue.
  During an outage, at most half of the calls are used, no matter how many lookups are waiting. The recovery is noticed
  within seconds, because successful lookups aren't delayed.
- If lookups of more than MAX_LOOKED_UP people are waiting, or of more people than there are calls left, users.list is
  read in parallel, a thousand people per call, until all of them are found. People who aren't in the list, such as
  strangers, are still looked up with users.info. If Slack refuses the list, the queue continues without it.
- Names aren't looked up when calls become scarce.
- The last RESERVED_FOR_PRESSES calls are for people who click a button, enter a command or submit a modal. Lookups of
  these people skip the queue, because Slack expects a response within seconds.

If something waited for a user type, the type is stored with the time of its lookup (store/account_kinds.py). Other
processes, and a restarted process, trust it for as long as the process that looked it up.
"""

import asyncio
import logging
import math
import re
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from bot.clock import Background
from bot.core.access import MAX_ADMINS_LISTED, UserKind
from bot.core.channels import DIRECT_MESSAGE, Channel, ChannelType
from bot.core.conversation import ThreadKey, is_direct_message
from bot.errors import RateLimited, Refused, StoreError
from bot.retry import NO_FAILURES, USER_KIND
from bot.slack.client import PacedClient, SlackClient, pages
from bot.slack.json_values import Payload, json_object, json_objects, next_cursor, string, strings
from bot.slack.text import message_text
from bot.store.account_kinds import AccountKind, AccountKinds
from bot.store.schema import KINDS_KEPT_S

CURRENT_WITHIN_S = 1.0
"""The maximum age at which a running lookup counts as current. A lookup that has ended never does."""
KIND_TRUSTED_S = 600.0
TRUSTED_S = KINDS_KEPT_S
"""The time for which a name is trusted. A user type is used for this long if Slack doesn't return a newer one."""
NAMES_WITHIN_S = 5.0
"""Time limit for a prompt's names, and for a channel's readers. Later responses are also cached."""
KIND_WITHIN_S = 45.0
"""Default time limit for a user type. It is enough for two calls that get no response, so that nobody is denied because
of a short outage."""
MAX_OPEN_LOOKUPS = 5
MAX_NAMES = 50
"""Maximum number of lookups per prompt: half of the users.info calls that Slack allows per minute."""
RESERVED_FOR_KINDS = 40
RESERVED_FOR_PRESSES = 10
QUEUE_CHECK_S = 0.5
"""Interval at which the queue checks whether a call is available."""
READERS_TRUSTED_S = 60.0
PEOPLE_PER_PAGE = 1_000
MAX_PAGES = 3
"""Maximum number of pages with a channel's members. A channel with more members counts as having outsiders."""
MAX_LOOKED_UP = 20
MAX_LISTED = 20_000
"""Maximum number of people to list. Their pages take a minute's worth of users.list calls."""
LIST_PAUSE_S = 60.0
"""The pause after a list was read completely or refused by Slack."""
LIST_BATCH_SIZE = 100
"""Number of listed people to process before yielding to the event loop."""
MAX_CACHED = 5_000
"""Maximum number of channels or questions to remember, per cache."""
STRANGER_ERRORS = ("user_not_found", "user_not_visible")
"""Slack's errors for people who aren't visible in the workspace."""
SHARED_FIELDS = ("is_shared", "is_ext_shared", "is_org_shared", "is_pending_ext_shared", "pending_shared")
"""Slack's fields for a channel that people in other workspaces can read, now or soon."""

MEMBER_ID = re.compile("[UW][A-Z0-9]{2,}")
_USER, _CHANNEL = ("users.info", "user"), ("conversations.info", "channel")
_METHODS = {"U": _USER, "W": _USER, "C": _CHANNEL, "G": _CHANNEL}
"""The method and argument for looking up an ID, keyed by the ID's first letter."""

K = TypeVar("K")
V = TypeVar("V")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Profile:
    name: str = ""
    """The name, or "" if a scope for names is missing."""
    named_at: float = -math.inf
    kind: UserKind | None = None
    kind_as_of: float = -math.inf
    """When the lookup of the user type or the channel began."""
    team_id: str = ""
    """The workspace of a person who is outside ours, or "" for other people and if Slack doesn't report it."""
    zone: ZoneInfo | None = None
    domain: str | None = None
    """A member's email domain at the time `kind_as_of`. "" for anyone else or if the scope is missing, and None if
    Slack wasn't asked."""
    channel: Channel | None = None


@dataclass(eq=False, slots=True)
class _Lookup:
    listed: asyncio.Future[None]
    """Completed once the list contains this person."""
    task: asyncio.Task[bool] | None = None
    """The lookup. Its result is False if Slack refused permanently."""
    waiting: int = 0

    @property
    def is_needed(self) -> bool:
        return self.waiting > 0 and not self.listed.done()


class Users:
    """Looks up user types and names. Needs users:read for people and channels:read for channels."""

    def __init__(self, client: PacedClient, team_id: str, recorded: AccountKinds) -> None:
        self._client = client
        self._clock = client.clock
        self._team_id = team_id
        self._recorded = recorded
        self._profiles: dict[str, Profile] = {}
        self._lookups: dict[str, _Lookup] = {}
        self._queue_slots = asyncio.Semaphore(MAX_OPEN_LOOKUPS)
        self._failures = NO_FAILURES
        """Number of consecutive failed lookups of user types, for any person."""
        self._not_yet_listed: set[str] = set()
        """People whose user types are needed and who haven't been found in the list yet."""
        self._listing: asyncio.Task[None] | None = None
        self._list_again_at = -math.inf
        self._background = Background()

    def known_kind(self, user_id: str, max_age_s: float = KIND_TRUSTED_S) -> UserKind | None:
        """Returns a person's user type, or None if Slack hasn't reported it recently enough."""
        profile = self._cached_profile(user_id)
        return profile.kind if self._clock.monotonic() < profile.kind_as_of + max_age_s else None

    async def kind(
        self,
        user_id: str,
        *,
        now_within_s: float | None = None,
        max_age_s: float = 0.0,
        within_s: float = KIND_WITHIN_S,
        is_press: bool = False,
    ) -> UserKind | None:
        """Returns a person's user type, or None if Slack doesn't return it within `within_s`.

        The type can be ten minutes old, or an hour old while Slack is failing. If `now_within_s` is given, the type
        must be current, or at most `max_age_s` old, and Slack must return it within that time. `is_press`: whether to
        skip the queue because the person is waiting after clicking something.
        """
        if now_within_s is not None:
            recent = self.known_kind(user_id, max_age_s)
            return recent or await self._look_up_kind(user_id, CURRENT_WITHIN_S, now_within_s, is_press)
        if (kind := self.known_kind(user_id)) is None:
            await self._load_recorded(user_id)
            kind = self.known_kind(user_id) or await self._look_up_kind(user_id, KIND_TRUSTED_S, within_s, is_press)
        return kind or self.known_kind(user_id, TRUSTED_S)

    def known_domain(self, user_id: str) -> str | None:
        """Returns a member's email domain, "" if there is none, or None if the data is too old (just as for
        `known_kind`)."""
        return None if self.known_kind(user_id) is None else self._cached_profile(user_id).domain

    async def domain(self, user_id: str, *, within_s: float = KIND_WITHIN_S, is_press: bool = False) -> str | None:
        """Returns a member's email domain. If it has to be looked up, waits for Slack for up to `within_s`. Needs
        users:read.email."""
        if self.known_domain(user_id) is None:
            await self._look_up_kind(user_id, KIND_TRUSTED_S, within_s, is_press)
        return self.known_domain(user_id)

    async def last_known_kind(self, user_id: str) -> UserKind | None:
        if self.known_kind(user_id, TRUSTED_S) is None:
            await self._load_recorded(user_id)
        return self.known_kind(user_id, TRUSTED_S)

    async def _look_up_kind(self, user_id: str, max_age_s: float, within_s: float, is_press: bool) -> UserKind | None:
        """Returns a person's user type from a lookup begun at most `max_age_s` ago, or None if it takes too long."""
        after = self._clock.monotonic() - max_age_s
        try:
            async with asyncio.timeout(within_s):
                is_found = is_press and await self._request_immediately(user_id)
                while is_found or await self._share_lookup(user_id, self._request_in_queue):
                    profile, is_found = self._cached_profile(user_id), False
                    if profile.kind_as_of > after:
                        if profile.kind is not None:
                            found = AccountKind(self._team_id, user_id, profile.kind, profile.kind_as_of)
                            recording = self._recorded.record(found)
                            self._background.start(recording, f"type of user {user_id} not recorded")
                        return profile.kind
        except TimeoutError:
            log.warning("the type of user %s is not known: Slack doesn't answer", user_id)
        return None

    async def _request_immediately(self, user_id: str) -> bool:
        """Requests a person's user type once if the rate limit allows another call. Returns False if the lookup must be
        queued instead."""
        if self._client.budget.spare_calls(_USER[0]) <= 0:
            return False
        try:
            await self._request(user_id)
        except (RateLimited, Refused) as error:
            log.info("the type of user %s is not known yet: %s", user_id, error)
            return False
        return True

    async def _request_in_queue(self, user_id: str, lookup: _Lookup) -> bool:
        """Keeps requesting a person's user type until Slack returns it or refuses permanently, or until nobody is
        waiting for it anymore."""
        self._not_yet_listed.add(user_id)
        self._list_if_many()
        try:
            while True:
                async with self._queue_slots:
                    while lookup.is_needed and self._spare_calls <= 0:
                        self._list_if_many()
                        await self._clock.sleep(QUEUE_CHECK_S)
                    if not lookup.is_needed:
                        return True
                    try:
                        await self._request(user_id)
                    except (RateLimited, Refused) as error:
                        now = self._clock.monotonic()
                        self._failures = self._failures.plus_one(now)
                        next_try_at = USER_KIND.next_try_at(error, self._failures, now)
                        if next_try_at is None:
                            log.error("the type of user %s is not known (is users:read granted?): %s", user_id, error)
                            return False
                        log.warning("the type of user %s is not known yet: %s", user_id, error)
                        self._list_if_many()
                        await self._clock.sleep(next_try_at - now)
                    else:
                        self._failures = NO_FAILURES
                        return True
        finally:
            if self._lookups.get(user_id) is lookup:
                self._not_yet_listed.discard(user_id)

    @property
    def _spare_calls(self) -> int:
        return self._client.budget.spare_calls(_USER[0]) - RESERVED_FOR_PRESSES

    def _list_if_many(self) -> None:
        """Starts listing everyone if more people must be looked up than MAX_LOOKED_UP or the spare calls allow."""
        if len(self._not_yet_listed) > min(MAX_LOOKED_UP, max(0, self._spare_calls)):
            self._start_listing()

    def _start_listing(self) -> asyncio.Task[None] | None:
        """Returns the task that reads the list, and starts it if necessary. Returns None if the list was recently read
        or refused."""
        if self._listing is None and self._clock.monotonic() >= self._list_again_at:
            # In a separate context, because it serves other jobs too.
            self._listing = asyncio.create_task(self._read_list(), context=Context())
        return self._listing

    async def _read_list(self) -> None:
        """Caches the workspace's people from Slack's list, page by page, until everyone who is needed has been
        found."""
        asked_at = self._clock.monotonic()
        try:
            async for people in pages_of_people(self._client):
                for number, person in enumerate(people):
                    if number % LIST_BATCH_SIZE == LIST_BATCH_SIZE - 1:
                        await asyncio.sleep(0)
                    self._on_listed(
                        str(person.get("id")), self._parse_profile(person, self._clock.monotonic(), asked_at)
                    )
                if not self._not_yet_listed:
                    return
                asked_at = self._clock.monotonic()
        except (RateLimited, Refused) as error:
            log.warning("people are not listed, so each is looked up alone: %s", error)
        finally:
            self._listing = None
        # People missing from this list aren't looked for in the next one.
        self._not_yet_listed.clear()
        self._list_again_at = self._clock.monotonic() + LIST_PAUSE_S

    def _on_listed(self, user_id: str, profile: Profile) -> None:
        if profile.kind_as_of > self._cached_profile(user_id).kind_as_of:
            self._cache(user_id, profile)
        self._not_yet_listed.discard(user_id)
        if lookup := self._lookups.pop(user_id, None):
            lookup.listed.set_result(None)

    async def wait_for_listed(self, ids: Collection[str]) -> None:
        self._not_yet_listed.update(ids)
        if listing := self._start_listing():
            await asyncio.wait((listing,))
        self._not_yet_listed.difference_update(ids)

    async def _load_recorded(self, user_id: str) -> None:
        try:
            found = await self._recorded.read(self._team_id, user_id)
        except StoreError as error:
            log.debug("type of user %s not read: %s", user_id, error)
            return
        if found is not None:
            profile = self._cached_profile(user_id)
            if found.looked_up_at > profile.kind_as_of:
                self._cache(user_id, replace(profile, kind=found.kind, kind_as_of=found.looked_up_at, domain=None))

    async def team_id(self, user_id: str) -> str:
        """Returns the ID of a person's workspace. This is our workspace unless Slack reports in time that the person is
        only in another one."""
        await self.names((user_id,))
        return self._cached_profile(user_id).team_id or self._team_id

    async def names(self, ids: Sequence[str], *, in_channel: str = "") -> Mapping[str, str]:
        """Returns the names of the first MAX_NAMES people and channels, keyed by ID. Excludes names that Slack doesn't
        return. Also excludes private channels other than `in_channel`, because readers of the answer might not know
        their names."""
        wanted = [id_ for id_ in ids if id_[:1] in _METHODS][:MAX_NAMES]
        with suppress(TimeoutError):
            async with asyncio.timeout(NAMES_WITHIN_S):
                await asyncio.gather(*map(self._look_up_name, wanted))
        found = {id_: self._cached_profile(id_) for id_ in wanted}
        private = {id_ for id_, one in found.items() if one.channel and one.channel.is_private} - {in_channel}
        return {id_: one.name for id_, one in found.items() if one.name and id_ not in private}

    def known_names(self, ids: Iterable[str]) -> Mapping[str, str]:
        return {id_: name for id_ in ids if (name := self._cached_profile(id_).name)}

    def admins_to_name(self, admins: Iterable[str]) -> list[str]:
        """Returns the IDs of a few admins to contact. Excludes accounts that are known to be deactivated."""
        left = (one for one in sorted(admins) if self._cached_profile(one).kind is not UserKind.DEACTIVATED)
        return list(islice(left, MAX_ADMINS_LISTED))

    async def is_private(self, channel_id: str) -> bool | None:
        """Returns whether a channel was private within the last few minutes, or None if Slack doesn't report it."""
        if is_direct_message(channel_id):
            return True
        await self._look_up_channel(channel_id, self._cached_profile(channel_id).kind_as_of)
        known = self._cached_profile(channel_id)
        is_current = self._clock.monotonic() < known.kind_as_of + KIND_TRUSTED_S
        return known.channel.is_private if known.channel and is_current else None

    async def channel(self, channel_id: str) -> Channel | None:
        """Returns a channel as it was within the last few minutes. If Slack doesn't respond, returns an older state, or
        None if there isn't one."""
        if is_direct_message(channel_id):
            return DIRECT_MESSAGE
        await self._look_up_channel(channel_id, self._cached_profile(channel_id).named_at)
        return self._cached_profile(channel_id).channel

    async def _look_up_channel(self, channel_id: str, known_at: float) -> None:
        if self._clock.monotonic() >= known_at + KIND_TRUSTED_S:
            with suppress(TimeoutError):
                async with asyncio.timeout(NAMES_WITHIN_S):
                    await self._share_lookup(channel_id, self._request_name)

    def zones(self, ids: Sequence[str]) -> Mapping[str, ZoneInfo]:
        """Returns the time zones of people, keyed by ID. Includes only time zones that were returned by lookups of
        names or user types."""
        return {id_: zone for id_ in ids if (zone := self._cached_profile(id_).zone)}

    async def _look_up_name(self, id_: str) -> None:
        if self._clock.monotonic() < self._cached_profile(id_).named_at + TRUSTED_S:
            return
        spare = self._client.budget.spare_calls(_USER[0]) - len(self._lookups)
        if _METHODS.get(id_[:1], _USER) is not _USER or spare > RESERVED_FOR_KINDS:
            await self._share_lookup(id_, self._request_name)

    async def _request_name(self, id_: str, _: _Lookup) -> bool:
        try:
            await self._request(id_)
        except (RateLimited, Refused) as error:
            log.info("name of %s not found: %s", id_, error)
        return True

    async def _share_lookup(self, id_: str, ask: Callable[[str, _Lookup], Coroutine[Any, Any, bool]]) -> bool:
        """Waits for the running lookup, or for a new one that `ask` starts. The lookup continues even if this call is
        canceled."""
        lookup = self._lookups.get(id_)
        if lookup is None:
            lookup = self._lookups[id_] = _Lookup(asyncio.get_running_loop().create_future())
            # In a separate context, because it serves other jobs too.
            lookup.task = asyncio.create_task(self._run(id_, lookup, ask), context=Context())
        assert lookup.task is not None
        lookup.waiting += 1
        try:
            await asyncio.wait((lookup.task, lookup.listed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            lookup.waiting -= 1
        return lookup.listed.done() or lookup.task.result()

    async def _run(self, id_: str, lookup: _Lookup, ask: Callable[[str, _Lookup], Coroutine[Any, Any, bool]]) -> bool:
        try:
            return await ask(id_, lookup)
        finally:
            if self._lookups.get(id_) is lookup:
                del self._lookups[id_]

    async def _request(self, id_: str) -> None:
        method, argument = _METHODS.get(id_[:1], _USER)
        asked_at = self._clock.monotonic()
        try:
            answer = await self._client.call(method, **{argument: id_})
        except Refused as error:
            now = self._clock.monotonic()
            if method == _USER[0] and error.error in STRANGER_ERRORS:
                self._cache(id_, Profile("", now, UserKind.EXTERNAL, asked_at, domain=""))
                return
            if not error.reason.is_temporary:
                # The name isn't requested again, because Slack would refuse again. User types are requested each time.
                self._cache(id_, replace(self._cached_profile(id_), named_at=now))
            raise
        now = self._clock.monotonic()
        slack_object = json_object(answer, argument)
        if method == _USER[0]:
            self._cache(id_, self._parse_profile(slack_object, now, asked_at))
        else:
            self._cache(id_, Profile(name_of(slack_object), now, None, asked_at, channel=channel_of(slack_object)))

    def _parse_profile(self, slack_object: Mapping[str, Any], now: float, asked_at: float) -> Profile:
        teams = teams_of(slack_object, self._team_id)
        team_id = "" if self._team_id in teams else teams[0]
        kind = kind_of(slack_object, self._team_id)
        domain = domain_of(slack_object) if kind is UserKind.MEMBER else ""
        return Profile(name_of(slack_object), now, kind, asked_at, team_id, zone_of(slack_object), domain)

    def _cached_profile(self, id_: str) -> Profile:
        return self._profiles.get(id_, _UNKNOWN)

    def _cache(self, id_: str, profile: Profile) -> None:
        cache_newest(self._profiles, id_, profile, MAX_LISTED)


_UNKNOWN = Profile()


def cache_newest(cache: dict[K, V], key: K, value: V, max_values: int | None = None) -> None:
    """Adds a value to a cache as its newest value. Drops the oldest value if there are more than `max_values`."""
    cache.pop(key, None)
    cache[key] = value
    if len(cache) > (MAX_CACHED if max_values is None else max_values):
        del cache[next(iter(cache))]


async def pages_of_people(client: PacedClient | SlackClient) -> AsyncIterator[Sequence[Mapping[str, Any]]]:
    """Yields pages of the workspace's people, up to MAX_LISTED people. Raises RateLimited and Refused."""
    async for page in _pages(client, "users.list", "members"):
        yield page


async def pages_of_channels(client: SlackClient) -> AsyncIterator[Sequence[Mapping[str, Any]]]:
    """Yields pages of public channels, and of private channels that the bot is in. Raises RateLimited and Refused."""
    async for page in _pages(client, "conversations.list", "channels", types="public_channel,private_channel"):
        yield page


async def _pages(
    client: PacedClient | SlackClient, method: str, field: str, **arguments: str
) -> AsyncIterator[Sequence[Mapping[str, Any]]]:
    async for page in pages(client.call, method, MAX_LISTED // PEOPLE_PER_PAGE, limit=PEOPLE_PER_PAGE, **arguments):
        yield json_objects(page, field)


async def find_members(client: SlackClient, id_or_name: str) -> Mapping[str, str]:
    """Returns the members who have this ID or whole name, ignoring case, as names keyed by ID. Needs the scope
    users:read."""
    try:
        if MEMBER_ID.fullmatch(id_or_name):
            found = [json_object(await client.call("users.info", user=id_or_name), "user")]
        else:
            name = id_or_name.removeprefix("@").casefold()
            found = [dict(one) async for page in pages_of_people(client) for one in page if name in _names_of(one)]
    except Refused as error:
        if error.error not in STRANGER_ERRORS:
            raise
        found = []
    team_id = (await client.identity()).team_id
    members = [person for person in found if kind_of(person, team_id) is UserKind.MEMBER]
    return {str(person.get("id")): name_of(person) for person in members}


async def kinds_by_id(client: SlackClient, ids: Collection[str], team_id: str) -> Mapping[str, UserKind | None]:
    """Returns people's user types, keyed by ID. The user type is None for people that Slack doesn't know. Needs the
    scope users:read."""
    kinds: dict[str, UserKind | None] = {}
    if len(ids) > MAX_LOOKED_UP:
        async for people in pages_of_people(client):
            kinds |= {id_: kind_of(one, team_id) for one in people if (id_ := string(one, "id")) in ids}
    for id_ in ids - kinds.keys():
        try:
            kinds[id_] = kind_of(json_object(await client.call("users.info", user=id_), "user"), team_id)
        except Refused as error:
            if error.error not in STRANGER_ERRORS:
                raise
            kinds[id_] = UserKind.EXTERNAL if error.error == "user_not_visible" else None
    return kinds


async def is_channel_open(client: SlackClient, channel_id: str) -> bool:
    try:
        channel = json_object(await client.call("conversations.info", channel=channel_id), "channel")
    except Refused as error:
        if error.error != "channel_not_found":
            raise
        return False
    return not channel.get("is_archived")


def _names_of(person: Mapping[str, Any]) -> set[str]:
    profile = json_object(person, "profile")
    names = (person.get("name"), person.get("real_name"), profile.get("real_name"), profile.get("display_name"))
    return {str(name).casefold() for name in names if name}


def kind_of(user: Mapping[str, Any], team_id: str) -> UserKind | None:
    """Returns a person's user type in a workspace, or None if Slack's response has no data."""
    if not user:
        return None
    if user.get("deleted"):
        return UserKind.DEACTIVATED
    if user.get("is_stranger") or team_id not in teams_of(user, team_id):
        return UserKind.EXTERNAL
    if user.get("is_restricted") or user.get("is_ultra_restricted"):
        return UserKind.GUEST
    return UserKind.BOT if user.get("is_bot") else UserKind.MEMBER


async def email_of(client: PacedClient, user_id: str, team_id: str) -> str:
    """Returns a member's confirmed email address, or "" if Slack shows none. Needs users:read.email."""
    user = json_object(await client.call("users.info", user=user_id), "user")
    is_usable = user.get("is_email_confirmed") is not False and kind_of(user, team_id) is UserKind.MEMBER
    return string(json_object(user, "profile"), "email") if is_usable else ""


def domain_of(user: Mapping[str, Any]) -> str:
    """Returns the domain of a person's email address, or "" if Slack doesn't show the address or it isn't confirmed."""
    address = string(json_object(user, "profile"), "email") if user.get("is_email_confirmed") is not False else ""
    return address.rpartition("@")[2].lower()


def zone_of(user: Mapping[str, Any]) -> ZoneInfo | None:
    """Returns a person's time zone, or None if Slack doesn't report the time zone or this machine doesn't know it."""
    try:
        return ZoneInfo(string(user, "tz"))
    except (ValueError, LookupError, OSError):
        return None


def teams_of(user: Mapping[str, Any], team_id: str) -> list[str]:
    """Returns the IDs of a person's workspaces, beginning with their home workspace (`team_id` by default). In
    Enterprise Grid, a person can be in several workspaces."""
    home = string(user, "team_id") or team_id
    return [home, *strings(json_object(user, "enterprise_user"), "teams")]


def name_of(user_or_channel: Mapping[str, Any]) -> str:
    profile = json_object(user_or_channel, "profile")
    names = (profile.get("display_name"), user_or_channel.get("real_name"), profile.get("real_name"))
    return str(next(filter(None, (*names, user_or_channel.get("name"))), ""))


def channel_of(slack_object: Mapping[str, Any]) -> Channel:
    """Converts Slack's channel object to a Channel. A channel whose type is missing counts as private."""
    types = {"is_im": ChannelType.DIRECT, "is_mpim": ChannelType.GROUP}
    default = ChannelType.PUBLIC if slack_object.get("is_private") is False else ChannelType.PRIVATE
    type_ = next((type_ for key, type_ in types.items() if slack_object.get(key)), default)
    topic, purpose = (message_text(string(json_object(slack_object, key), "value")) for key in ("topic", "purpose"))
    return Channel(type_, string(slack_object, "name"), topic, purpose, slack_object.get("is_ext_shared") is True)


class ChannelReaders:
    """Determines whether everyone who can read a channel belongs to the workspace.

    Anything that a model finds on behalf of a member is shown to everyone in the channel, so a guest or a member of
    another organization could read content from public channels that they aren't in. Slack doesn't flag channels that
    have guests, so the channel's members are compared with the workspace's people. If Slack doesn't respond in time, a
    person is treated as an outsider. Needs the scopes channels:read, groups:read, mpim:read and users:read.
    """

    def __init__(self, client: PacedClient, users: Users) -> None:
        self._client = client
        self._users = users
        self._insiders_only: dict[str, tuple[bool, float]] = {}

    async def has_only_insiders(self, thread: ThreadKey) -> bool:
        """Returns whether only people in the workspace can read a thread. A direct message has only one reader."""
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
        cache_newest(self._insiders_only, channel_id, (known, self._client.clock.monotonic()))
        return known

    async def _has_insiders_only(self, channel_id: str) -> bool:
        answer = await self._client.call("conversations.info", channel=channel_id)
        channel = json_object(answer, "channel")
        if not channel or any(channel.get(field) for field in SHARED_FIELDS):
            return False
        members = await self._members(channel_id)
        kinds = {self._users.known_kind(member) for member in members}
        return bool(members) and kinds <= {UserKind.MEMBER, UserKind.BOT}

    async def names_of_members(self, channel_id: str) -> Mapping[str, str]:
        """Returns the names of the people in a channel, keyed by ID, or {} if there are too many people. If Slack
        doesn't return a name, uses the ID instead. Raises RateLimited and Refused."""
        members = await self._members(channel_id)
        people = [
            member for member in members if self._users.known_kind(member) not in (UserKind.BOT, UserKind.DEACTIVATED)
        ]
        # Other processes might have looked up the user types, which are stored without names.
        unnamed = [person for person in people if not self._users.known_names((person,))]
        if len(unnamed) > MAX_LOOKED_UP:
            await self._users.wait_for_listed(unnamed)
        else:
            await self._users.names(unnamed)
        return {**{person: person for person in people}, **self._users.known_names(people)}

    async def _members(self, channel_id: str) -> Sequence[str]:
        """Returns the IDs of a channel's members once their user types are known, or () if there are too many."""
        members: list[str] = []
        page: Payload = {}
        arguments = {"channel": channel_id, "limit": PEOPLE_PER_PAGE}
        async for page in pages(self._client.call, "conversations.members", MAX_PAGES, **arguments):
            members += strings(page, "members")
        if next_cursor(page):
            return ()
        unknown = [member for member in members if self._users.known_kind(member) is None]
        if len(unknown) > MAX_LOOKED_UP:
            await self._users.wait_for_listed(unknown)
        else:
            await asyncio.gather(*map(self._users.kind, unknown))
        return members
