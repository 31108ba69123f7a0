"""Checks access by user group or email domain (BOT_ALLOW_USERS).

A single usergroups.list call returns all groups with their members. A response is trusted for as long as a person's
user type but is refreshed earlier, so that nobody is denied access because of a short Slack outage.
"""

import asyncio
import logging
import math
from collections.abc import Collection, Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any

from bot.core.access import AccessRules
from bot.errors import RateLimited, Refused
from bot.slack.client import PacedClient, SlackClient
from bot.slack.json_values import json_objects, string, strings
from bot.slack.users import KIND_TRUSTED_S, KIND_WITHIN_S, Users

READ_AGAIN_S = KIND_TRUSTED_S / 2
TRY_AGAIN_S = 15.0
"""The pause after a failed call, unless Slack asks for a different pause."""

log = logging.getLogger(__name__)


async def list_groups(client: PacedClient | SlackClient) -> Sequence[Mapping[str, Any]]:
    """Returns the workspace's user groups with their members. Raises RateLimited and Refused."""
    listed = json_objects(await client.call("usergroups.list", include_users=True), "usergroups")
    # Disabled groups have a date_delete.
    return [one for one in listed if not one.get("date_delete")]


async def read_groups(client: PacedClient | SlackClient, groups: Collection[str]) -> Mapping[str, frozenset[str]]:
    """Returns the members of each group that exists, keyed by the group's ID or handle. Raises RateLimited and
    Refused."""
    alive = await list_groups(client)
    by_name = {string(one, name): frozenset(strings(one, "users")) for name in ("handle", "id") for one in alive}
    return {group: by_name[group] for group in groups if group in by_name}


@dataclass(eq=False)
class AccessGroups:
    client: PacedClient
    users: Users
    rules: AccessRules
    _people: frozenset[str] = field(default=frozenset(), init=False)
    _read_at: float = field(default=-math.inf, init=False)
    _next_try_at: float = field(default=-math.inf, init=False)
    _reading: asyncio.Task[None] | None = field(default=None, init=False)

    def known_access(self, user_id: str) -> bool | None:
        """Returns whether the rules include a person, or None if the data is too old. Data expires after ten minutes,
        or after five for people who aren't included."""
        in_group: bool | None = user_id in self._people
        # Someone who joins a group should gain access sooner than someone who leaves it loses access.
        trusted_s = KIND_TRUSTED_S if in_group else READ_AGAIN_S
        if self.rules.groups and self.client.clock.monotonic() >= self._read_at + trusted_s:
            in_group = None
        domain = self.users.known_domain(user_id) if self.rules.domains else ""
        in_domain = None if domain is None else domain in self.rules.domains
        return in_group or in_domain or (None if None in (in_group, in_domain) else False)

    async def is_listed(self, user_id: str, *, within_s: float = KIND_WITHIN_S, is_press: bool = False) -> bool | None:
        """Returns whether the rules include a person, asking Slack if necessary. `within_s`: time limit for each of the
        two lists."""
        if self.rules.groups and self.client.clock.monotonic() >= max(self._read_at + READ_AGAIN_S, self._next_try_at):
            # In a separate context, because other jobs also wait for this task.
            self._reading = self._reading or asyncio.create_task(self._read(), context=Context())
            await asyncio.wait((self._reading,), timeout=within_s)
        if self.rules.domains and self.known_access(user_id) is None:
            await self.users.domain(user_id, within_s=within_s, is_press=is_press)
        return self.known_access(user_id)

    async def _read(self) -> None:
        asked_at = self.client.clock.monotonic()
        try:
            people = await read_groups(self.client, self.rules.groups)
        except (RateLimited, Refused) as error:
            wait_s = error.retry_after_s if isinstance(error, RateLimited) else TRY_AGAIN_S
            self._next_try_at = self.client.clock.monotonic() + wait_s
            log.warning("user groups not read, nobody has access by one: %s", error)
        else:
            self._people, self._read_at = frozenset().union(*people.values()), asked_at
            if missing := self.rules.groups - people.keys():
                log.warning("BOT_ALLOW_USERS names user groups that don't exist: %s", ", ".join(sorted(missing)))
        finally:
            self._reading = None
