"""Slack's Web API at the pace of its budgets, for every call that is not one of a live reply's."""

from collections.abc import Mapping
from typing import Any

from bot.clock import Clock
from bot.slack.client import SlackClient
from bot.slack.rate_budget import RateBudget


class PacedClient:
    """Makes each call when its method's budget has room, and counts it. Raises RateLimited and Refused.

    Methods without a budget (rate_budget.py) are called at once.
    """

    def __init__(self, client: SlackClient, budget: RateBudget, clock: Clock) -> None:
        self._client = client
        self.budget = budget
        self.clock = clock

    async def call(self, method: str, **arguments: Any) -> dict[str, Any]:
        """Returns the method's answer. Arguments that are None are left out."""
        async with self.budget.turn(method, _channel_id(arguments)):
            return await self._client.call(method, **arguments)

    async def post(self, **arguments: Any) -> tuple[str, str]:
        """Posts a message; returns its channel and ts. Raises as SlackClient.post does."""
        async with self.budget.turn("chat.postMessage", _channel_id(arguments)):
            return await self._client.post(**arguments)


def _channel_id(arguments: Mapping[str, Any]) -> str:
    return str(arguments.get("channel") or arguments.get("channel_id") or "")
