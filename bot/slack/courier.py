"""Errands in Slack: messages that are to go, or to be written once."""

from collections.abc import Sequence

from bot.core.errand import Errand
from bot.core.reply import Delete
from bot.errors import Refusal, Refused
from bot.slack.budget import Budget
from bot.slack.poster import Poster


class SlackCourier:
    """The Courier port on Slack's Web API; its calls share the budgets of all others."""

    def __init__(self, poster: Poster, budget: Budget) -> None:
        self._poster = poster
        self._budget = budget

    async def clear(self, errand: Errand) -> None:
        """Those that are not on record are looked for."""
        question = errand.question
        await self._send([Delete(question, ts) for ts in errand.page_ts] or await self._poster.strays(question, ()))

    async def _send(self, deletions: Sequence[Delete]) -> None:
        for call in deletions:
            async with self._budget.spending("chat.delete"):
                try:
                    await self._poster.send(call)
                except Refused as refused:
                    if refused.reason is Refusal.TRANSIENT:
                        raise
