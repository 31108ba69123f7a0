"""Who can read a channel: whether all of them belong to the workspace.

What a model finds on behalf of a member is shown to everybody in the channel. A guest, or a person of another
organization, would read public channels that they aren't in. Slack has no flag for channels with guests, so the
channel's members are compared with the workspace's people. What Slack doesn't say in time counts as an outsider.
"""

import asyncio
import logging
from collections.abc import AsyncIterator

from bot.core.conversation import ThreadKey
from bot.core.limits.access import UserKind
from bot.errors import RateLimited, Refused
from bot.slack.format.payload import json_object, next_cursor, strings
from bot.slack.paced_client import PacedClient
from bot.slack.users import Users

WITHIN_S = 5.0
"""How long a question waits for the answer. The lookups that were made are kept for the next one."""
TRUSTED_S = 60.0
MEMBERS_PER_PAGE = 1_000
MAX_PAGES = 3
"""A channel with more members counts as one with outsiders."""
MAX_LOOKED_UP = 20
"""Of more people than this who are unknown, all people of the workspace are listed instead."""
MAX_CHANNELS = 1_000
"""Kept in memory; the oldest are dropped."""
SHARED = ("is_shared", "is_ext_shared", "is_org_shared", "is_pending_ext_shared", "pending_shared")
"""Slack's fields of a channel that people of other workspaces read, or will."""

log = logging.getLogger(__name__)


class ChannelReaders:
    """Needs the scopes channels:read, groups:read, mpim:read and users:read."""

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
        known, at = self._insiders_only.get(channel_id, (False, -TRUSTED_S))
        if now < at + TRUSTED_S:
            return known
        try:
            async with asyncio.timeout(WITHIN_S):
                known = await self._has_insiders_only(channel_id)
        except (RateLimited, Refused, TimeoutError) as error:
            log.warning("channel %s: its readers are not known: %s", channel_id, error or "Slack doesn't answer")
            return False
        self._insiders_only.pop(channel_id, None)
        self._insiders_only[channel_id] = known, self._client.clock.monotonic()
        if len(self._insiders_only) > MAX_CHANNELS:
            del self._insiders_only[next(iter(self._insiders_only))]
        return known

    async def _has_insiders_only(self, channel_id: str) -> bool:
        answer = await self._client.call("conversations.info", channel=channel_id)
        channel = json_object(answer, "channel")
        if not channel or any(channel.get(field) for field in SHARED):
            return False
        members = [member async for page in self._pages(channel_id) for member in page]
        if "" in members:
            return False
        unknown = [member for member in members if self._users.known(member) is None]
        if len(unknown) > MAX_LOOKED_UP:
            await self._users.list_all()
        else:
            await asyncio.gather(*map(self._users.kind, unknown))
        kinds = {self._users.known(member) for member in members}
        return bool(members) and kinds <= {UserKind.MEMBER, UserKind.BOT}

    async def _pages(self, channel_id: str) -> AsyncIterator[list[str]]:
        """Yields the ids of a channel's members; "" stands for those beyond the last page."""
        cursor = ""
        for _ in range(MAX_PAGES):
            page = await self._client.call(
                "conversations.members", channel=channel_id, limit=MEMBERS_PER_PAGE, cursor=cursor or None
            )
            yield strings(page, "members")
            cursor = next_cursor(page)
            if not cursor:
                return
        yield [""]
