"""Takes back a post that Slack put at a channel's root because its thread had been deleted."""

import logging

from bot.errors import RateLimited, Refusal, Refused
from bot.ports import Clock
from bot.slack.client import SlackClient
from bot.slack.rate_budget import RateBudget

TAKE_BACK_S = (0.5, 1.0, 2.0, 4.0, 8.0)
"""How long to wait before each further try."""

log = logging.getLogger(__name__)


class Threads:
    """Posts messages into threads, and never beside them."""

    def __init__(self, web: SlackClient, budget: RateBudget, clock: Clock) -> None:
        self._web = web
        self._budget = budget
        self._clock = clock

    async def post(self, channel_id: str, thread_ts: str | None, **message: object) -> tuple[str, str]:
        """Posts a message in its turn; returns its channel and ts.

        Raises RateLimited and Refused, with ASTRAY where the thread was deleted: then the post is gone again.
        """
        async with self._budget.spending("chat.postMessage"):
            try:
                return await self._web.post(channel=channel_id, thread_ts=thread_ts, **message)
            except Refused as refused:
                if refused.reason is Refusal.ASTRAY:
                    await self._take_back(channel_id, refused.ts)
                raise

    async def _take_back(self, channel_id: str, ts: str) -> None:
        for delay_s in (*TAKE_BACK_S, None):
            try:
                async with self._budget.spending("chat.delete"):
                    await self._web.call("chat.delete", channel=channel_id, ts=ts)
                return
            except (RateLimited, Refused) as error:
                if delay_s is None or (isinstance(error, Refused) and not error.reason.may_pass):
                    log.error("message %s in %s stands outside of its thread: %s", ts, channel_id, error)
                    return
                await self._clock.sleep(delay_s)
