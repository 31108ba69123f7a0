"""Looks up people: their names, and whether they are members, guests or strangers.

users.info answers both, so each answer is kept once and used for both. A kind decides over access, so it is trusted for
ten minutes; a name only reads better than an id, so it is trusted for an hour. Channels have names as well
(conversations.info) and are kept beside people.
"""

import asyncio
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bot.core.limits.access import UserKind
from bot.errors import RateLimited, Refused
from bot.slack.paced_client import PacedClient
from bot.slack.retry_policy import USER_KIND
from bot.slack.retrying import Retrying

KIND_TRUSTED_S = 600.0
KIND_KEPT_S = 3_600.0
"""How long a kind applies while Slack gives no newer one."""
KIND_WITHIN_S = 45.0
"""Room for two calls without a response, so that a short outage of Slack denies nobody."""
NAME_TRUSTED_S = 3_600.0
MAX_NAMES = 50
"""The most lookups for one prompt: half of the calls of users.info that Slack allows in a minute."""
PEOPLE_PER_PAGE = 1_000
MAX_PROFILES = 5_000
"""Kept in memory; the oldest are dropped."""
STRANGER_ERRORS = ("user_not_found", "user_not_visible")
"""Slack's errors for people outside the workspace's view."""

_USER, _CHANNEL = ("users.info", "user"), ("conversations.info", "channel")
_METHODS = {"U": _USER, "W": _USER, "C": _CHANNEL, "G": _CHANNEL}
"""Method and argument by the first letter of an id."""

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
        self._lookups: dict[str, asyncio.Task[None]] = {}

    def known(self, user_id: str) -> UserKind | None:
        """Returns a person's kind of account if Slack reported it within the last ten minutes, else None."""
        profile = self._profile(user_id)
        return profile.kind if self._clock.monotonic() < profile.kind_at + KIND_TRUSTED_S else None

    async def kind(self, user_id: str) -> UserKind | None:
        """Returns a person's kind of account, None if Slack doesn't say within seconds.

        While Slack fails, its last answer still applies.
        """
        if kind := self.known(user_id):
            return kind
        await self._ask_until_answered(user_id, KIND_WITHIN_S)
        profile = self._profile(user_id)
        return profile.kind if self._clock.monotonic() < profile.kind_at + KIND_KEPT_S else None

    async def kind_now(self, user_id: str, within_s: float) -> UserKind | None:
        """Returns a person's kind of account as Slack says now, whatever it said before; None if it doesn't in time."""
        started = self._clock.monotonic()
        await self._ask_until_answered(user_id, within_s)
        profile = self._profile(user_id)
        return profile.kind if profile.kind_at >= started else None

    async def _ask_until_answered(self, user_id: str, within_s: float) -> None:
        """Asks for a person's kind until Slack answers or refuses for good, or the time is up."""
        try:
            async with asyncio.timeout(within_s):
                await Retrying(USER_KIND, self._clock, "a person's kind is not known").call(
                    lambda: self._look_up(user_id)
                )
        except TimeoutError:
            log.warning("the kind of user %s is not known: Slack doesn't answer", user_id)
        except RateLimited as error:
            log.warning("the kind of user %s is not known: %s", user_id, error)
        except Refused as error:
            level = logging.WARNING if error.reason.may_pass else logging.ERROR
            log.log(level, "the kind of user %s is not known (is the scope users:read granted?): %s", user_id, error)

    async def list_all(self) -> None:
        """Keeps what Slack says of all people of the workspace. Raises RateLimited and Refused."""
        cursor = ""
        for _ in range(MAX_PROFILES // PEOPLE_PER_PAGE):
            page = await self._client.call("users.list", limit=PEOPLE_PER_PAGE, cursor=cursor or None)
            now = self._clock.monotonic()
            for person in page.get("members") or ():
                self._keep(str(person.get("id")), Profile(name_of(person), now, kind_of(person, self._team_id), now))
            cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
            if not cursor:
                return

    async def names(self, ids: Sequence[str]) -> Mapping[str, str]:
        """Returns the names of the first MAX_NAMES people and channels, by id, as far as Slack gives them."""
        wanted = [id_ for id_ in ids if id_[:1] in _METHODS][:MAX_NAMES]
        names = await asyncio.gather(*map(self._name, wanted))
        return {id_: name for id_, name in zip(wanted, names, strict=True) if name}

    async def _name(self, id_: str) -> str:
        if self._clock.monotonic() >= self._profile(id_).named_at + NAME_TRUSTED_S:
            try:
                await self._look_up(id_)
            except (RateLimited, Refused) as error:
                log.info("name of %s not found: %s", id_, error)
        return self._profile(id_).name

    async def _look_up(self, id_: str) -> None:
        """Asks Slack and keeps the answer. Simultaneous lookups share one call, which outlives a canceled one."""
        lookup = self._lookups.get(id_)
        if lookup is None:
            lookup = self._lookups[id_] = asyncio.create_task(self._ask(id_))
            lookup.add_done_callback(lambda _: self._lookups.pop(id_, None))
        await asyncio.shield(lookup)

    async def _ask(self, id_: str) -> None:
        method, argument = _METHODS.get(id_[:1], _USER)
        try:
            answer = await self._client.call(method, **{argument: id_})
        except Refused as error:
            now = self._clock.monotonic()
            if method == _USER[0] and error.error in STRANGER_ERRORS:
                self._keep(id_, Profile("", now, UserKind.EXTERNAL, now))
                return
            if not error.reason.may_pass:
                # Slack would refuse the name again, so it isn't requested again; a kind is, each time.
                self._keep(id_, replace(self._profile(id_), named_at=now))
            raise
        now = self._clock.monotonic()
        subject = answer.get(argument) or {}
        kind = kind_of(subject, self._team_id) if method == _USER[0] else None
        self._keep(id_, Profile(name_of(subject), now, kind, now))

    def _profile(self, id_: str) -> Profile:
        return self._profiles.get(id_, _UNKNOWN)

    def _keep(self, id_: str, profile: Profile) -> None:
        self._profiles.pop(id_, None)
        self._profiles[id_] = profile
        if len(self._profiles) > MAX_PROFILES:
            del self._profiles[next(iter(self._profiles))]


_UNKNOWN = Profile()


def kind_of(user: Mapping[str, Any], team_id: str) -> UserKind | None:
    """Returns a person's kind in a workspace.

    None for a deactivated account, because Slack no longer says whether it was a guest's.
    """
    if not user or user.get("deleted"):
        return None
    # In an Enterprise Grid a person has one home workspace, and may belong to more.
    teams = {user.get("team_id", team_id), *(user.get("enterprise_user") or {}).get("teams", ())}
    if user.get("is_stranger") or team_id not in teams:
        return UserKind.EXTERNAL
    if user.get("is_restricted") or user.get("is_ultra_restricted"):
        return UserKind.GUEST
    return UserKind.BOT if user.get("is_bot") else UserKind.MEMBER


def name_of(user_or_channel: Mapping[str, Any]) -> str:
    """Returns the name that Slack shows, or "" if the answer has none."""
    profile = user_or_channel.get("profile") or {}
    names = (profile.get("display_name"), user_or_channel.get("real_name"), profile.get("real_name"))
    return str(next(filter(None, (*names, user_or_channel.get("name"))), ""))
