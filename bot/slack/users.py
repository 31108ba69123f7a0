"""Looks up people: their names and time zones, and whether they are members, guests or strangers.

users.info answers all of it, so each answer is kept once. A kind decides over access, so it is trusted for ten minutes,
or looked up as of now; a name only reads better than an id, so it is trusted for an hour, with the time zone. Channels
have names as well (conversations.info) and are kept beside people. `ChannelReaders` says of a channel whether all who
read it belong to the workspace.

Slack takes 100 calls of users.info a minute (pacing/budget.py), for kinds and names together. Therefore:

- All who wait for one person share that person's lookup and its retries.
- Lookups of kinds stand in one line, and AT_ONCE of them are open. One that fails keeps its place for a wait that grows
  with the failures in a row, whomever they are about, and then goes to the end of the line. So an outage costs half of
  the calls however many people wait, and its end is noticed within seconds: a success waits for nothing.
- Once more than MAX_LOOKED_UP people wait, or more than calls are left for, users.list is read beside the line, a
  thousand people a call, until all of them are found. Of others, such as strangers, users.info still tells; and if
  Slack refuses the list, the line goes on alone.
- Names are left out while the calls get scarce.
- The last KEPT_FOR_PRESSES calls are left to people who press, type a command or submit a modal: they look up ahead of
  the line, because Slack gives them seconds.

The kinds that somebody waited for are on record with the time of their lookup (store/account_kinds.py). A restarted
process and the other processes trust them for as long as the one that asked.
"""

import asyncio
import logging
import math
import re
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from bot.clock import Background
from bot.core.access import UserKind
from bot.core.conversation import ThreadKey, is_direct
from bot.errors import RateLimited, Refused, StoreError
from bot.pacing.retry import NO_FAILURES, USER_KIND
from bot.slack.client import PacedClient, SlackClient, pages
from bot.slack.json_values import Payload, json_object, json_objects, next_cursor, string, strings
from bot.store.account_kinds import KINDS_KEPT_S, AccountKind, AccountKinds

NOW_S = 1.0
"""A lookup under way that began this long ago still says what is true now. One that has ended doesn't."""
KIND_TRUSTED_S = 600.0
KEPT_S = KINDS_KEPT_S
"""How long a name is trusted, and a kind applies while Slack gives no newer one."""
NAMES_WITHIN_S = 5.0
"""How long a prompt waits for names, and a question to know a channel's readers. What comes later is kept, too."""
KIND_WITHIN_S = 45.0
"""Room for two calls without a response, so that a short outage of Slack denies nobody. Callers may wait longer."""
AT_ONCE = 5
"""Lookups of kinds that are open at once."""
MAX_NAMES = 50
"""The most lookups for one prompt: half of the calls of users.info that Slack allows in a minute."""
KEPT_FOR_KINDS = 40
"""Calls of a minute that no name uses."""
KEPT_FOR_PRESSES = 10
"""Calls of a minute that the line doesn't use."""
TURN_S = 0.5
"""The pause before the line looks again whether a call may go."""
READERS_TRUSTED_S = 60.0
PEOPLE_PER_PAGE = 1_000
MAX_PAGES = 3
"""A channel with more members counts as one with outsiders."""
MAX_LOOKED_UP = 20
"""If more people than this are unknown, the people of the workspace are listed instead."""
MAX_LISTED = 20_000
"""More people of a workspace aren't listed: their pages take a minute of the calls of users.list."""
LIST_AGAIN_S = 60.0
"""The pause after a list that was read to its end, or that Slack refused."""
LISTED_AT_ONCE = 100
"""How many listed people are read before the event loop gets a turn."""
MAX_KEPT = 5_000
"""How many channels or questions are remembered of one kind."""
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
    """When the lookup began that says so; of a channel, the one that says whether it is private."""
    team_id: str = ""
    """The workspace of a person who isn't in ours; "" for others, and if Slack doesn't say."""
    zone: ZoneInfo | None = None
    """A person's time zone; None if Slack doesn't say."""
    domain: str | None = None
    """Of a member's address, as of `kind_at`: "" for others, and without the scope; None if Slack wasn't asked."""
    is_private: bool = False
    """Whether only its members know the name of the channel."""


@dataclass(eq=False, slots=True)
class _Lookup:
    """A lookup that is going on."""

    listed: asyncio.Future[None]
    """Done once a list has told what is looked up."""
    task: asyncio.Task[bool] | None = None
    """Its result is False if Slack refuses for good."""
    waiting: int = 0
    """How many wait for it."""

    @property
    def is_needed(self) -> bool:
        return self.waiting > 0 and not self.listed.done()


class Users:
    """Looks up people's kinds of account, and the names of people and channels.

    Needs the scope users:read for people and channels:read for channels. Without users:read, all kinds are unknown;
    without both, all names are.
    """

    def __init__(self, client: PacedClient, team_id: str, recorded: AccountKinds) -> None:
        self._client = client
        self._clock = client.clock
        self._team_id = team_id
        self._recorded = recorded
        self._profiles: dict[str, Profile] = {}
        self._lookups: dict[str, _Lookup] = {}
        self._line = asyncio.Semaphore(AT_ONCE)
        self._failures = NO_FAILURES
        """Of lookups of kinds in a row, whomever they were about."""
        self._to_list: set[str] = set()
        """Whose kinds somebody waits for, and the list hasn't told."""
        self._listing: asyncio.Task[None] | None = None
        self._list_again_at = -math.inf
        self._background = Background()

    def known(self, user_id: str) -> UserKind | None:
        """Returns a person's kind of account if Slack reported it within the last ten minutes, else None."""
        return self._kind_within(user_id, KIND_TRUSTED_S)

    async def kind(
        self,
        user_id: str,
        *,
        now_within_s: float | None = None,
        max_age_s: float = 0.0,
        within_s: float = KIND_WITHIN_S,
        is_press: bool = False,
    ) -> UserKind | None:
        """Returns a person's kind of account, None if Slack doesn't say within `within_s`.

        What it said in the last ten minutes is enough, and while it fails, in the last hour. With `now_within_s`, Slack
        has to say within this time what is true now, or was `max_age_s` ago. `is_press`: the person waits for what they
        pressed, so they are looked up ahead of the line.
        """
        if now_within_s is not None:
            recent = self._kind_within(user_id, max_age_s)
            return recent or await self._look_up_kind(user_id, NOW_S, now_within_s, is_press)
        if (kind := self.known(user_id)) is None:
            await self._recall(user_id)
            kind = self.known(user_id) or await self._look_up_kind(user_id, KIND_TRUSTED_S, within_s, is_press)
        return kind or self._kind_within(user_id, KEPT_S)

    def known_domain(self, user_id: str) -> str | None:
        """Returns the domain of a member's e-mail address, "" if there is none, as `known` does for the kind."""
        return None if self.known(user_id) is None else self._profile(user_id).domain

    async def domain(self, user_id: str, *, within_s: float = KIND_WITHIN_S, is_press: bool = False) -> str | None:
        """Returns the domain of a member's e-mail address. Slack has `within_s` to say it. Needs users:read.email."""
        if self.known_domain(user_id) is None:
            await self._look_up_kind(user_id, KIND_TRUSTED_S, within_s, is_press)
        return self.known_domain(user_id)

    async def last_known(self, user_id: str) -> UserKind | None:
        """Returns what Slack said of a person in the last hour. It isn't asked."""
        if self._kind_within(user_id, KEPT_S) is None:
            await self._recall(user_id)
        return self._kind_within(user_id, KEPT_S)

    def _kind_within(self, user_id: str, age_s: float) -> UserKind | None:
        profile = self._profile(user_id)
        return profile.kind if self._clock.monotonic() < profile.kind_at + age_s else None

    async def _look_up_kind(self, user_id: str, max_age_s: float, within_s: float, is_press: bool) -> UserKind | None:
        """Returns a person's kind by a lookup that is under way or begins now, None if Slack doesn't say in time.

        `max_age_s`: how long ago it may have begun.
        """
        after = self._clock.monotonic() - max_age_s
        try:
            async with asyncio.timeout(within_s):
                if is_press and await self._ask_ahead(user_id):
                    self._record(user_id, self._profile(user_id))
                    return self._profile(user_id).kind
                while await self._share(user_id, self._ask_in_line):
                    if (profile := self._profile(user_id)).kind_at > after:
                        self._record(user_id, profile)
                        return profile.kind
        except TimeoutError:
            log.warning("the kind of user %s is not known: Slack doesn't answer", user_id)
        return None

    async def _ask_ahead(self, user_id: str) -> bool:
        """Asks for a person's kind once, if there is a call left. Returns False if it has to be asked in line."""
        if self._client.budget.spare(_USER[0]) <= 0:
            return False
        try:
            await self._ask(user_id)
        except (RateLimited, Refused) as error:
            log.info("the kind of user %s is not known yet: %s", user_id, error)
            return False
        return True

    async def _ask_in_line(self, user_id: str, lookup: _Lookup) -> bool:
        """Asks for a person's kind until Slack answers or refuses for good, or nobody waits for it."""
        self._to_list.add(user_id)
        self._list_if_many()
        try:
            while True:
                async with self._line:
                    while lookup.is_needed and self._spare <= 0:
                        self._list_if_many()
                        await self._clock.sleep(TURN_S)
                    if not lookup.is_needed:
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
                        self._list_if_many()
                        await self._clock.sleep(next_try_at - now)
                    else:
                        self._failures = NO_FAILURES
                        return True
        finally:
            if self._lookups.get(user_id) is lookup:
                self._to_list.discard(user_id)

    @property
    def _spare(self) -> int:
        """How many calls the line may make now."""
        return self._client.budget.spare(_USER[0]) - KEPT_FOR_PRESSES

    def _list_if_many(self) -> None:
        """Begins to list people if more are waited for than are looked up one by one, or can be looked up now."""
        if len(self._to_list) > min(MAX_LOOKED_UP, max(0, self._spare)):
            self._list_people()

    def _list_people(self) -> asyncio.Task[None] | None:
        """Returns the list that is being read, or begins it; None if that was done or refused lately."""
        if self._listing is None and self._clock.monotonic() >= self._list_again_at:
            # In a context of its own: it answers other jobs, too.
            self._listing = asyncio.create_task(self._read_list(), context=Context())
        return self._listing

    async def _read_list(self) -> None:
        """Keeps what Slack says of the people of the workspace, page by page, until all who are wanted are found."""
        asked_at = self._clock.monotonic()
        try:
            async for people in pages_of_people(self._client):
                for number, person in enumerate(people):
                    if number % LISTED_AT_ONCE == LISTED_AT_ONCE - 1:
                        await asyncio.sleep(0)
                    self._found(str(person.get("id")), self._person(person, self._clock.monotonic(), asked_at))
                if not self._to_list:
                    return
                asked_at = self._clock.monotonic()
        except (RateLimited, Refused) as error:
            log.warning("people are not listed, so each is looked up alone: %s", error)
        finally:
            self._listing = None
        # Who isn't on it isn't looked for on the next one.
        self._to_list.clear()
        self._list_again_at = self._clock.monotonic() + LIST_AGAIN_S

    def _found(self, user_id: str, profile: Profile) -> None:
        """Keeps what a list says of a person, and tells those who wait for it."""
        if profile.kind_at > self._profile(user_id).kind_at:
            self._keep(user_id, profile)
        self._to_list.discard(user_id)
        if lookup := self._lookups.pop(user_id, None):
            lookup.listed.set_result(None)

    async def list_people(self, ids: Collection[str]) -> None:
        """Keeps what Slack's list says of people, unless it was read or refused lately."""
        self._to_list.update(ids)
        if listing := self._list_people():
            await asyncio.wait((listing,))
        self._to_list.difference_update(ids)

    async def _recall(self, user_id: str) -> None:
        """Takes over what is on record about a person's kind, if it is newer than what this process knows."""
        try:
            found = await self._recorded.read(self._team_id, user_id)
        except StoreError as error:
            log.debug("kind of user %s not read: %s", user_id, error)
            return
        if found is not None:
            profile = self._profile(user_id)
            if found.at > profile.kind_at:
                self._keep(user_id, replace(profile, kind=found.kind, kind_at=found.at, domain=None))

    def _record(self, user_id: str, profile: Profile) -> None:
        """Puts a person's kind on record in the background."""
        if profile.kind is not None:
            found = AccountKind(self._team_id, user_id, profile.kind, profile.kind_at)
            self._background.start(self._recorded.record(found), f"kind of user {user_id} not recorded")

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

    async def is_private(self, channel_id: str) -> bool | None:
        """Returns whether only its members can read a channel, as of the last minutes; None if Slack doesn't say."""
        if is_direct(channel_id):
            return True
        if self._clock.monotonic() >= self._profile(channel_id).kind_at + KIND_TRUSTED_S:
            with suppress(TimeoutError):
                async with asyncio.timeout(NAMES_WITHIN_S):
                    await self._share(channel_id, self._ask_for_name)
        channel = self._profile(channel_id)
        return channel.is_private if self._clock.monotonic() < channel.kind_at + KIND_TRUSTED_S else None

    def zones(self, ids: Sequence[str]) -> Mapping[str, ZoneInfo]:
        """Returns the time zones of people, by id, as far as lookups of their names or kinds gave them."""
        return {id_: zone for id_ in ids if (zone := self._profile(id_).zone)}

    async def _look_up_name(self, id_: str) -> None:
        if self._clock.monotonic() < self._profile(id_).named_at + KEPT_S:
            return
        spare = self._client.budget.spare(_USER[0]) - len(self._lookups)
        if _method_of(id_) is not _USER or spare > KEPT_FOR_KINDS:
            await self._share(id_, self._ask_for_name)

    async def _ask_for_name(self, id_: str, _: _Lookup) -> bool:
        try:
            await self._ask(id_)
        except (RateLimited, Refused) as error:
            log.info("name of %s not found: %s", id_, error)
        return True

    async def _share(self, id_: str, ask: Callable[[str, _Lookup], Coroutine[Any, Any, bool]]) -> bool:
        """Waits for the lookup that is going on, or for the one that `ask` begins, which outlives a canceled one."""
        lookup = self._lookups.get(id_)
        if lookup is None:
            lookup = self._lookups[id_] = _Lookup(asyncio.get_running_loop().create_future())
            # In a context of its own: it answers other jobs, too.
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

    async def _ask(self, id_: str) -> None:
        """Asks Slack once and keeps the answer. Raises RateLimited and Refused."""
        method, argument = _method_of(id_)
        asked_at = self._clock.monotonic()
        try:
            answer = await self._client.call(method, **{argument: id_})
        except Refused as error:
            now = self._clock.monotonic()
            if method == _USER[0] and error.error in STRANGER_ERRORS:
                self._keep(id_, Profile("", now, UserKind.EXTERNAL, asked_at, domain=""))
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
            self._keep(
                id_, Profile(name_of(subject), now, None, asked_at, is_private=subject.get("is_private") is not False)
            )

    def _person(self, subject: Mapping[str, Any], now: float, asked_at: float) -> Profile:
        teams = teams_of(subject, self._team_id)
        team_id = "" if self._team_id in teams else teams[0]
        kind = kind_of(subject, self._team_id)
        domain = domain_of(subject) if kind is UserKind.MEMBER else ""
        return Profile(name_of(subject), now, kind, asked_at, team_id, zone_of(subject), domain)

    def _profile(self, id_: str) -> Profile:
        return self._profiles.get(id_, _UNKNOWN)

    def _keep(self, id_: str, profile: Profile) -> None:
        keep_newest(self._profiles, id_, profile, MAX_LISTED)


_UNKNOWN = Profile()


def keep_newest(kept: dict[K, V], key: K, value: V, most: int | None = None) -> None:
    """Puts a value into a cache as its newest, and drops the oldest beyond `most`, by default MAX_KEPT."""
    kept.pop(key, None)
    kept[key] = value
    if len(kept) > (MAX_KEPT if most is None else most):
        del kept[next(iter(kept))]


async def pages_of_people(client: PacedClient | SlackClient) -> AsyncIterator[Sequence[Mapping[str, Any]]]:
    """Yields what Slack says of the people of the workspace, MAX_LISTED at most. Raises RateLimited and Refused."""
    async for page in _pages(client, "users.list", "members"):
        yield page


async def pages_of_channels(client: SlackClient) -> AsyncIterator[Sequence[Mapping[str, Any]]]:
    """Yields what Slack says of public channels, and of private ones with the bot. Raises RateLimited and Refused."""
    async for page in _pages(client, "conversations.list", "channels", types="public_channel,private_channel"):
        yield page


async def _pages(
    client: PacedClient | SlackClient, method: str, field: str, **arguments: str
) -> AsyncIterator[Sequence[Mapping[str, Any]]]:
    async for page in pages(client.call, method, MAX_LISTED // PEOPLE_PER_PAGE, limit=PEOPLE_PER_PAGE, **arguments):
        yield json_objects(page, field)


async def find_members(client: SlackClient, words: str) -> Mapping[str, str]:
    """Returns the members that a member ID or a name may mean: their names by ID.

    A name is a whole name as Slack shows it, in any case. Needs the scope users:read. Raises RateLimited and Refused.
    """
    try:
        if MEMBER_ID.fullmatch(words):
            found = [json_object(await client.call("users.info", user=words), "user")]
        else:
            name = words.removeprefix("@").casefold()
            found = [dict(one) async for page in pages_of_people(client) for one in page if name in _names_of(one)]
    except Refused as error:
        if error.error not in STRANGER_ERRORS:
            raise
        found = []
    team_id = (await client.identity()).team_id
    members = [person for person in found if kind_of(person, team_id) is UserKind.MEMBER]
    return {str(person.get("id")): name_of(person) for person in members}


async def kinds_by_id(client: SlackClient, ids: Collection[str], team_id: str) -> Mapping[str, UserKind | None]:
    """Returns what people are in a workspace, None for those whom Slack doesn't know. Many are listed first.

    Needs the scope users:read. Raises RateLimited and Refused.
    """
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


async def is_open(client: SlackClient, channel_id: str) -> bool:
    """Returns whether Slack shows a channel that isn't archived. Raises RateLimited and Refused."""
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


def domain_of(user: Mapping[str, Any]) -> str:
    """Returns the domain of a person's e-mail address, "" if Slack shows none, or one that nobody has confirmed."""
    address = string(json_object(user, "profile"), "email") if user.get("is_email_confirmed") is not False else ""
    return address.rpartition("@")[2].lower()


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
        page: Payload = {}
        arguments = {"channel": channel_id, "limit": PEOPLE_PER_PAGE}
        async for page in pages(self._client.call, "conversations.members", MAX_PAGES, **arguments):
            members += strings(page, "members")
        if next_cursor(page):
            return False
        unknown = [member for member in members if self._users.known(member) is None]
        if len(unknown) > MAX_LOOKED_UP:
            await self._users.list_people(unknown)
        else:
            await asyncio.gather(*map(self._users.kind, unknown))
        kinds = {self._users.known(member) for member in members}
        return bool(members) and kinds <= {UserKind.MEMBER, UserKind.BOT}
