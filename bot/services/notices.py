"""Notices to several people from one outbox entry: each person gets one once, over all processes and tries."""

import logging
from collections.abc import Awaitable, Callable, Mapping

from bot.errors import RateLimited, Refused
from bot.store.threads import Notices

log = logging.getLogger(__name__)


async def tell_each(
    notices: Notices, team_id: str, notice: str, senders: Mapping[str, Callable[[], Awaitable[None]]]
) -> None:
    """Sends a notice to each person who didn't get it from an earlier try, and records who got it.

    `notice`: its name in the records. `senders`: by the person's ID, or "" for all in a place, what sends it.

    Where Slack refuses to tell one person, the others are still told. Then raises RateLimited or Refused if a later try
    may succeed. Raises StoreError. A notice comes twice only if this process dies between Slack's response and the
    record of it.
    """
    again: RateLimited | Refused | None = None
    for user_id, send in senders.items():
        if await notices.is_given(team_id, user_id, notice):
            continue
        try:
            await send()
        except RateLimited as error:
            again = error
            continue
        except Refused as refused:
            if not refused.reason.is_final:
                again = refused
                continue
            log.warning("%s not told: notice=%s: %s", user_id or "a place", notice, refused)
        await notices.claim(team_id, user_id, notice)
    if again is not None:
        raise again
