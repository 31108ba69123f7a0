"""Tells the Typist admins, in direct messages, that most of a cap is used or all of it."""

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass

from bot.clock import Clock
from bot.core.limits.caps import CapNotice, notice_text
from bot.core.outbox import OutboxEntry
from bot.errors import RateLimited, Refused
from bot.slack.outbox_sender import OutboxSender
from bot.store.notices import Notices

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CapNotices:
    """Sends each notice once to each admin. Its outbox entry has been added once over all processes."""

    notices: Notices
    sender: OutboxSender
    clock: Clock
    admins: Collection[str]

    async def send(self, entry: OutboxEntry, still: Callable[[], bool]) -> None:
        """Tells the admins who have not been told by an earlier try. Raises RateLimited, Refused and StoreError.

        An admin whom Slack refuses holds up nobody else. Once `still()` is False, nothing is sent. A notice comes
        twice only if this process dies between Slack's answer and the record of it.
        """
        team_id = entry.question.thread.team_id
        sentence = notice_text(CapNotice.parse(entry.about), self.clock.now())
        again: RateLimited | Refused | None = None
        for admin in sorted(self.admins):
            if await self.notices.is_given(team_id, admin, entry.about):
                continue
            try:
                await self.sender.tell_admin(admin, sentence, still)
            except RateLimited as error:
                again = error
                continue
            except Refused as refused:
                if refused.reason.may_pass:
                    again = refused
                    continue
                log.warning("admin %s not told about a cap: %s", admin, refused)
            await self.notices.claim(team_id, admin, entry.about)
        if again is not None:
            raise again
