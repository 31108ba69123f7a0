"""Lets time pass in the sandbox, so that the next run of each schedule is due at once."""

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot.core.conversation import is_direct_message

if TYPE_CHECKING:
    from bot.core.schedules import Schedule
    from bot.wiring import Bot
    from slack_sandbox.server import Sandbox

NOTHING_SCHEDULED = "Nothing is scheduled yet. The card Come back each weekday does that."
STARTING = "Typist is still starting."
UNDER_WAY = "Its run is under way."
SILENT = "Nobody has written since: it stays silent."
NOT_POSTED = "Its run wasn't posted: Slack refuses it, or a person of the channel is told why."
_WITHIN_S = 10.0
_LOOK_S = 0.05
_LOOKS_BY = "conversations.history"
"""The method with which the bot checks, before it posts a run, whether somebody has written."""


@dataclass
class PassingTime:
    """Lets time pass for a bot until the next run of each of its schedules."""

    bot: "Bot | None" = None
    """The bot, or None until it has started."""
    sandbox: "Sandbox | None" = None
    """The sandbox in which runs are posted."""

    async def __call__(self) -> str:
        """Makes the runs due, and returns sentences about what happened."""
        if self.bot is None or self.sandbox is None:
            return STARTING
        due = [
            one for one in await self.bot.outbox.stores.schedules.all(self.bot.me.team_id) if one.next_at is not None
        ]
        said = await asyncio.gather(*(self._run(one, self.bot, self.sandbox) for one in due))
        numbered = [f"Number {one.id}: {sentence}" for one, sentence in zip(due, said, strict=True)]
        return " ".join(said if len(said) == 1 else numbered) or NOTHING_SCHEDULED

    async def _run(self, schedule: "Schedule", bot: "Bot", sandbox: "Sandbox") -> str:
        channel, ours_before = sandbox.workspace.channel(schedule.channel_id), _posts(schedule, bot, sandbox)
        began = time.time()
        if not await bot.outbox.stores.schedules.run_now(bot.me.team_id, schedule.id, ""):
            return UNDER_WAY
        bot.outbox.check_now()
        for _ in range(int(_WITHIN_S / _LOOK_S)):
            if _posts(schedule, bot, sandbox) - ours_before:
                return f"Its run is in {'the direct message' if is_direct_message(channel.id) else f'#{channel.name}'}."
            looks = (call for call in sandbox.calls if (call.method, call.channel) == (_LOOKS_BY, channel.id))
            has_looked = any(call.at_wall >= began for call in looks)
            since = max([schedule.created_at, *map(float, ours_before)])
            written = [one for one in sandbox.workspace.messages(channel.id) if one.user_id != bot.me.user_id]
            if schedule.only_if_changed and has_looked and all(float(one.ts) <= since for one in written):
                return SILENT
            await asyncio.sleep(_LOOK_S)
        return NOT_POSTED


def _posts(schedule: "Schedule", bot: "Bot", sandbox: "Sandbox") -> set[str]:
    """Returns the ts of the bot's messages outside threads in a schedule's channel."""
    return {one.ts for one in sandbox.messages(schedule.channel_id) if one.user_id == bot.me.user_id}
