"""Sends each notification once, across all processes. No other module sends notifications.

Features define the content, recipient and key (bot/core/notifications.py), and send notifications in one of two ways:

- `Stores.notifications.add`, also within a transaction: the outbox sends the notification at least once, in a direct
  message or a channel. A retry first looks for a message from an earlier try, so nobody gets it twice.
- `Notifier.show_in_background`: only one person sees the notification, where they wrote, at most once. Slack can lose
  it.
"""

import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.clock import Background
from bot.core import texts
from bot.core.conversation import Question
from bot.core.notifications import DueNotification
from bot.errors import RateLimited, Refused
from bot.reply.workspace import Workspace
from bot.slack.blockkit import Json
from bot.store import Stores

UNSAVED_NOTICE_INTERVAL_S = 600.0
"""Minimum time between two "not saved" messages to a person. Slack stops resending an event sooner than that."""

Writer = Callable[[Any], Awaitable[Mapping[str, Json]]]
"""Returns a notification's messages by recipient. There are none if the notification is outdated."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Notifier:
    stores: Stores
    workspace: Workspace
    _unsaved_at: dict[str, float] = field(default_factory=dict, init=False)
    """The time when this process last told each person that a question wasn't saved, on the monotonic clock."""
    _background: Background = field(default_factory=Background, init=False)

    def show_in_background(
        self, question: Question, sentence: str, key: str, every_s: float = math.inf, blocks: list[Json] | None = None
    ) -> None:
        """Shows only the asker a sentence or `blocks` in the background, once per key within `every_s`."""
        showing = self.show(question, sentence, key, question.user_id, every_s, blocks)
        self._background.start(showing, f"user {question.user_id} is not told: notification={key}")

    async def show(
        self,
        question: Question,
        sentence: str,
        key: str,
        recipient: str,
        every_s: float = math.inf,
        blocks: list[Json] | None = None,
    ) -> None:
        """Shows only the asker a sentence or `blocks`, once per key and `recipient` within `every_s`. If `recipient` is
        empty, only the first asker sees the message. Raises StoreError."""
        if await self.stores.notifications.claim(question.thread.team_id, recipient, key, every_s):
            await self.workspace.ephemeral.show_sentence(question, sentence, blocks)

    def tell_not_saved(self, question: Question) -> None:
        """Tells the asker that their question wasn't saved, at most once per UNSAVED_NOTICE_INTERVAL_S. Call this only
        on an event's first delivery, which goes to one process. Retries can go to any process, and without the
        database, processes can't agree on which of them tells the asker."""
        now, user_id = self.stores.clock.monotonic(), question.user_id
        if question.is_from_bot or now - self._unsaved_at.get(user_id, -math.inf) < UNSAVED_NOTICE_INTERVAL_S:
            return
        for past in [user for user, at in self._unsaved_at.items() if now - at >= UNSAVED_NOTICE_INTERVAL_S]:
            del self._unsaved_at[past]
        self._unsaved_at[user_id] = now
        telling = self.workspace.ephemeral.show_sentence(question, texts.shortcut.NOT_SAVED_YET)
        self._background.start(telling, f"user {user_id} is not told that their question isn't saved")

    async def send(self, due: DueNotification, write: Writer | None, is_still_ours: Callable[[], bool]) -> None:
        """Sends a notification while `is_still_ours()` is True. Raises StoreError. Recipients who were notified in an
        earlier try are skipped. If Slack rejects one recipient, the others still get it; afterwards, RateLimited or
        Refused is raised if a later try might succeed."""
        notifications, failure = self.stores.notifications, None
        messages = await write(due.content) if write else {due.recipient: due.content}
        for recipient, message in messages.items():
            if write and await notifications.is_known(due.team_id, recipient, due.key):
                continue
            try:
                await self._send(due, recipient, message, is_still_ours)
            except (RateLimited, Refused) as error:
                if isinstance(error, RateLimited) or not error.reason.is_final:
                    failure = error
                    continue
                log.warning("%s is not told: notification=%s: %s", recipient, due.key, error)
            if write:
                await notifications.claim(due.team_id, recipient, due.key)
        if failure is not None:
            raise failure

    async def _send(
        self, due: DueNotification, recipient: str, message: Json, is_still_ours: Callable[[], bool]
    ) -> None:
        surfaces = self.workspace.surfaces
        if due.tries == 1 or not await surfaces.is_notified(recipient, message, due.key, due.since):
            await surfaces.notify(recipient, message, due.key, is_still_ours)
