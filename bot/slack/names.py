"""How people and channels are called: Slack is asked once for each, and the answer kept for a while."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from async_lru import alru_cache

from bot.errors import RateLimited, Refused
from bot.slack.client import SlackClient

MOST_ASKED = 50
"""For one prompt: half of what Slack allows of users.info in a minute."""
MOST_KEPT = 5_000
KEPT_S = 3_600.0
"""A new name, or a scope that was granted, is known after this."""

log = logging.getLogger(__name__)


class Names:
    """Needs the scope users:read for people and channels:read for channels; without, they have no names."""

    def __init__(self, web: SlackClient) -> None:
        self._web = web
        self._name = alru_cache(maxsize=MOST_KEPT, ttl=KEPT_S)(self._ask)

    async def of(self, ids: Sequence[str]) -> Mapping[str, str]:
        """The names of the first MOST_ASKED, by id, as far as Slack tells them."""
        asked = [each for each in ids if each[:1] in _METHODS][:MOST_ASKED]
        names = await asyncio.gather(*map(self._known, asked))
        return {each: name for each, name in zip(asked, names, strict=True) if name}

    async def _known(self, id_: str) -> str:
        try:
            return await self._name(id_)
        except (RateLimited, Refused) as error:
            log.info("no name for %s: %s", id_, error)
            return ""

    async def _ask(self, id_: str) -> str:
        """ "" is kept as well: Slack would refuse again. Raises what may be otherwise in a moment."""
        method, key = _METHODS[id_[0]]
        try:
            answer = await self._web.call(method, **{key: id_})
        except Refused as refused:
            if refused.reason.may_pass:
                raise
            log.info("no name for %s: %s", id_, refused)
            return ""
        return _called(answer.get(key) or {})


_USER, _CHANNEL = ("users.info", "user"), ("conversations.info", "channel")
_METHODS = {"U": _USER, "W": _USER, "C": _CHANNEL, "G": _CHANNEL}
"""By the first letter of an id."""


def _called(user_or_channel: Mapping[str, Any]) -> str:
    profile = user_or_channel.get("profile") or {}
    names = (profile.get("display_name"), user_or_channel.get("real_name"), profile.get("real_name"))
    return str(next(filter(None, (*names, user_or_channel.get("name"))), ""))
