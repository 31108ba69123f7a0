"""Tells the Typist admins, in direct messages, that most of a cap is used or all of it."""

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass

from bot.clock import Clock
from bot.core import texts
from bot.core.limits.caps import DAYS_IN_CHART, CapNotice, CapOwner, daily_use, day_of, notice_text
from bot.core.outbox import OutboxEntry
from bot.errors import RateLimited, Refused
from bot.slack.outbox_sender import OutboxSender
from bot.store.notices import Notices
from bot.store.usage_ledger import UsageLedger

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CapNotices:
    """Sends each notice once to each admin. Its outbox entry has been added once over all processes."""

    notices: Notices
    usage: UsageLedger
    sender: OutboxSender
    clock: Clock
    admins: Collection[str]

    async def send(self, entry: OutboxEntry, still: Callable[[], bool]) -> None:
        """Tells the admins who have not been told by an earlier try. Raises RateLimited, Refused and StoreError.

        An admin whom Slack refuses holds up nobody else. Once `still()` is False, nothing is sent. A notice comes
        twice only if this process dies between Slack's answer and the record of it.
        """
        team_id = entry.question.thread.team_id
        now = self.clock.now()
        notice = CapNotice.parse(entry.about)
        sentence = notice_text(notice, now)
        unit = texts.DOLLARS_UNIT if notice.cap.in_dollars else texts.TOKENS_UNIT
        owner = CapOwner(notice.cap.window.scope, notice.owner_id)
        daily = daily_use(notice.cap, await self.usage.by_day(team_id, owner, day_of(now) - DAYS_IN_CHART), now)
        again: RateLimited | Refused | None = None
        for admin in sorted(self.admins):
            if await self.notices.is_given(team_id, admin, entry.about):
                continue
            try:
                await self.sender.tell_admin(admin, sentence, unit, daily, still)
            except RateLimited as error:
                again = error
                continue
            except Refused as refused:
                if not refused.reason.is_final:
                    again = refused
                    continue
                log.warning("admin %s not told about a cap: %s", admin, refused)
            await self.notices.claim(team_id, admin, entry.about)
        if again is not None:
            raise again
