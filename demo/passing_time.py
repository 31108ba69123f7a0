"""Time passes in the sandbox: the next run of each schedule is due at once."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bot.wiring import Bot

NOTHING_SCHEDULED = "Nothing is scheduled yet. The card Come back each weekday does that."
STARTING = "Typist is still starting."


@dataclass
class PassingTime:
    """Lets time pass for a bot, up to the next run of each of its schedules."""

    bot: "Bot | None" = None
    """None until it has started."""

    async def __call__(self) -> str:
        """Makes the runs due; returns "", or why there are none."""
        if self.bot is None:
            return STARTING
        schedules = self.bot.outbox.stores.schedules
        waiting = [one for one in await schedules.all(self.bot.me.team_id) if one.next_at is not None]
        for schedule in waiting:
            await schedules.run_now(self.bot.me.team_id, schedule.id, "")
        self.bot.outbox.look_now()
        return "" if waiting else NOTHING_SCHEDULED
