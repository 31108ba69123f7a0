"""Stores notifications to people and channels, so that only one process sends each of them (bot/core/notifications.py).

A row reserves its key. While the row has a `due_at`, its content still has to be sent. A process claims the row like an
outbox entry, by moving `due_at`, which makes writes by other processes fail. Some notifications, such as ephemeral
messages in a channel, are sent directly. In that case, only the key is claimed, and the row never has content.
"""

import math
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.conversation import ThreadKey
from bot.core.notifications import DueNotification, Notification
from bot.core.outbox import BACKOFF, MAX_TRIES, OUTBOX_HOLD_S
from bot.store.database import Operations, completes, reads, writes
from bot.store.rows import insert_into, is_past, known_fields
from bot.store.schema import NOTIFICATIONS_KEPT_S, jobs, notifications

BACKUP_KEY = "backup"
"""The key that records the last `typist backup`, which doesn't belong to a workspace."""
_SENT = {"due_at": None, "content": None}
_KEY = tuple(notifications.primary_key)


class Notifications(Operations):
    @writes
    async def claim(
        self, connection: AsyncConnection, team_id: str, recipient: str, key: str, every_s: float = math.inf
    ) -> bool:
        """Returns True once per key and recipient every `every_s` seconds. The caller must then send the notification.
        The recipient "" stands for everybody."""
        return await claim(connection, team_id, recipient, key, self._now(), every_s)

    async def is_known(self, team_id: str, recipient: str, key: str) -> bool:
        return await self.known_since(team_id, recipient, key) is not None

    @reads
    async def known_since(self, connection: AsyncConnection, team_id: str, recipient: str, key: str) -> float | None:
        """Returns when a key was claimed or sent, or None if the key is unknown."""
        at: float | None = await connection.scalar(
            sa.select(notifications.c.at).where(*_has_key(team_id, recipient, key))
        )
        return at

    @writes
    async def withdraw(self, connection: AsyncConnection, team_id: str, recipient: str, key: str) -> None:
        """Deletes the notification with this key, and all notifications whose keys begin with this key and a space."""
        *of_recipient, is_key = _has_key(team_id, recipient, key)
        begins = notifications.c.key.startswith(f"{key} ", autoescape=True)
        await connection.execute(sa.delete(notifications).where(*of_recipient, is_key | begins))

    @writes
    async def add(self, connection: AsyncConnection, team_id: str, *new: Notification) -> None:
        await add(connection, self._now(), team_id, *new)

    @writes
    async def queue_end(self, connection: AsyncConnection, team_id: str, end_notice: Notification) -> bool:
        """Queues `end_notice` for each recipient of the notification with its key. Returns False if that notification
        is being sent."""
        this, now = _has_key(team_id, end_notice.recipient, end_notice.key), self._now()
        row = (await connection.execute(sa.select(notifications).where(*this).with_for_update())).one_or_none()
        if row is None or (row.is_told and row.due_at is not None):
            return True
        if row.is_told:
            ends = {"content": end_notice.content, "at": now, "due_at": now, "tries": 0}
            await connection.execute(sa.update(notifications).where(*this).values(ends))
            return True
        if row.tries and now < row.due_at <= now + OUTBOX_HOLD_S:
            return False
        await connection.execute(sa.delete(notifications).where(*this))
        return True

    @completes()
    async def claim_due(self, limit: int, kinds: Collection[str]) -> list[DueNotification]:
        """Claims up to `limit` due messages and notifications of these kinds for OUTBOX_HOLD_S."""
        now = self._now()
        # Usually nothing is due, and this check takes no lock.
        async with self._database.begin_read() as connection:
            if limit <= 0 or not await connection.scalar(_IS_ANY_DUE, {"now": now}):
                return []
        async with self._database.begin_write() as connection:
            # Kinds that only a newer version of Typist knows are left to that version.
            due = _DUE.where(notifications.c.kind.in_(["", *kinds])).order_by(notifications.c.due_at).limit(limit)
            free = due.with_for_update(skip_locked=True).cte("free")
            taken = sa.update(notifications).where(sa.tuple_(*_KEY).in_(sa.select(*free.c)))
            held = taken.values(due_at=now + OUTBOX_HOLD_S, tries=notifications.c.tries + 1).returning(notifications)
            rows = (await connection.execute(held, {"now": now})).all()
            return [DueNotification(**known_fields(DueNotification, row._mapping), since=row.at) for row in rows]

    @writes
    async def complete(self, connection: AsyncConnection, due: DueNotification) -> None:
        """Records that a notification was sent, unless another process claimed it. Deletes a notification that reported
        the end of an earlier one."""
        await connection.execute(sa.delete(notifications).where(*_is_unchanged(due), notifications.c.is_told))
        told = sa.update(notifications).where(*_is_unchanged(due)).values(is_told=True, at=self._now(), **_SENT)
        await connection.execute(told)

    @writes
    async def postpone(self, connection: AsyncConnection, due: DueNotification, delay_s: float) -> None:
        later = sa.update(notifications).where(*_is_unchanged(due)).values(due_at=self._now() + delay_s)
        await connection.execute(later)


async def claim(
    connection: AsyncConnection, team_id: str, recipient: str, key: str, now: float, every_s: float = math.inf
) -> bool:
    wait_s = min(every_s, NOTIFICATIONS_KEPT_S)
    row = insert_into(connection, notifications).values(team_id=team_id, recipient=recipient, key=key, at=now)
    again = row.on_conflict_do_update(
        index_elements=_KEY, set_={"at": now}, where=is_past(notifications.c.at + wait_s, now, wait_s)
    )
    return await connection.scalar(again.returning(notifications.c.at)) is not None


async def add(connection: AsyncConnection, now: float, team_id: str, *new: Notification) -> None:
    """Queues notifications whose keys are new. If a key is known, cancels the notification's unsent end."""
    if not new:
        return
    values: list[dict[str, Any]] = [
        {"recipient": one.recipient, "key": one.key, "kind": one.kind, "content": one.content} for one in new
    ]
    added = insert_into(connection, notifications).on_conflict_do_update(
        index_elements=_KEY, set_=_SENT, where=notifications.c.is_told
    )
    both = {"team_id": team_id, "at": now, "due_at": now, "is_told": False}
    await connection.execute(added, [both | one for one in values])


async def erase_person(connection: AsyncConnection, user_id: str) -> None:
    """Deletes notifications to other people that identify a person, either as the owner of a cap or by the ID of a
    direct message."""
    direct = sa.select(jobs.c.channel_id).where(jobs.c.user_id == user_id, jobs.c.channel_id.startswith("D"))
    in_direct = sa.or_(*(notifications.c.key.contains(mark + jobs.c.channel_id + mark) for mark in (" ", "/")))
    named = sa.or_(
        notifications.c.key.contains(f" {user_id} ", autoescape=True),
        sa.cast(notifications.c.content, sa.Text).contains(user_id, autoescape=True),
        sa.exists(direct.where(in_direct).correlate(notifications)),
    )
    await connection.execute(sa.delete(notifications).where(named))


async def erase_thread(connection: AsyncConnection, thread: ThreadKey) -> None:
    about = notifications.c.key.endswith(f" {thread}", autoescape=True)
    await connection.execute(sa.delete(notifications).where(about))


def _has_key(team_id: str, recipient: str, key: str) -> tuple[sa.ColumnElement[bool], ...]:
    this = notifications.c
    return this.team_id == team_id, this.recipient == recipient, this.key == key


def _is_unchanged(due: DueNotification) -> tuple[sa.ColumnElement[bool], ...]:
    return *_has_key(due.team_id, due.recipient, due.key), notifications.c.due_at == due.due_at


_NOW = sa.bindparam("now", type_=sa.Double)
_DUE = sa.select(*_KEY).where(notifications.c.tries < MAX_TRIES, is_past(notifications.c.due_at, _NOW, BACKOFF.max_s))
_IS_ANY_DUE = sa.select(_DUE.exists())
"""Built once, because it runs every second."""
