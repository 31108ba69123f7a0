"""Stores memories for each channel or direct message where people asked Typist to remember something.

Each write adds an audit entry without the memory's text. Writes for one channel run one after another, so that numbers
are unique and the limit is enforced. A removed memory's row and number remain, because people might refer to a list
that was shown earlier.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.conversation import Question
from bot.core.memory import Memory, Place, RememberOutcome, RememberResult, has_room, is_same_text
from bot.store import audit, outbox
from bot.store.database import Operations, acquire_lock, reads, writes
from bot.store.rows import HAS_CONTENT, has_row, thread_values
from bot.store.schema import jobs, memories

NO_TEXT = {"text": "", "user_id": "", "changed_by": "", "is_proposed": True}
_IS_IN_EFFECT = memories.c.forgotten_at.is_(None)
_MEMORY_COLUMNS = [memories.c[name] for name in Memory.__slots__]


class Memories(Operations):
    @reads
    async def of_place(self, connection: AsyncConnection, place: Place) -> list[Memory]:
        these = sa.select(*_MEMORY_COLUMNS).where(_in_place(place), _IS_IN_EFFECT)
        return [Memory(*row) for row in await connection.execute(these.order_by(memories.c.number))]

    @writes
    async def remember(
        self, connection: AsyncConnection, question: Question, text: str, *, is_private: bool, is_proposed: bool = False
    ) -> RememberResult:
        """Stores a memory from a message if there is room, replacing any earlier memory from the same message."""
        now, place = self._now(), question.thread.place
        await _lock_place(connection, place)
        of_message = _in_place(place, jobs), jobs.c.ts == question.ts, ~HAS_CONTENT
        if await has_row(connection, *of_message):
            return RememberResult(RememberOutcome.DELETED, 0)
        in_place = await _memory_rows(connection, place)
        these = sa.select(memories.c.id, memories.c.number).where(_in_place(place), _IS_IN_EFFECT)
        said = sa.false() if is_proposed else _is_from_message(question)
        earlier = (await connection.execute(these.where(said).order_by(memories.c.number))).first()
        same = next((row for row in in_place if is_same_text(row.text, text)), None)
        fresh: dict[str, Any] = {"is_private": is_private, "renewed_at": now}
        if (earlier or not same) and not _has_room(in_place, {earlier.id if earlier else 0: text}):
            return RememberResult(RememberOutcome.FULL, in_place[0].number)
        if known := earlier or same:
            values = fresh | ({"text": text, "changed_by": ""} if earlier else {})
            await connection.execute(sa.update(memories).where(memories.c.id == known.id).values(values))
            number, kept = known.number, RememberOutcome.NEW if earlier else RememberOutcome.KNOWN
        else:
            await _clear_forgotten_memories(connection, place, question.ts)
            last = await connection.scalar(sa.select(sa.func.max(memories.c.number)).where(_in_place(place)))
            number, kept = (last or 0) + 1, RememberOutcome.NEW
            said_in = {**thread_values(question.thread), "ts": question.ts, "user_id": question.user_id}
            values = fresh | {"number": number, "text": text, "is_proposed": is_proposed, "created_at": now}
            await connection.execute(sa.insert(memories).values(values | said_in))
        done = "proposed" if is_proposed else "remembered"
        await _record_change(connection, done, place, now, question.user_id)
        return RememberResult(kept, number)

    @writes
    async def forget(self, connection: AsyncConnection, place: Place, number: int, by: str) -> Memory | None:
        """Removes a memory so that it can be restored. Returns the memory, or None if no memory has this number."""
        this = sa.select(*_MEMORY_COLUMNS).where(_in_place(place), _IS_IN_EFFECT, memories.c.number == number)
        row = (await connection.execute(this)).one_or_none()
        if row is not None:
            await _forget_memories(connection, place, memories.c.id == row.id, self._now(), by, {})
        return Memory(*row) if row else None

    @writes
    async def restore(self, connection: AsyncConnection, question: Question, number: int, by: str, job_id: int) -> bool:
        """Undoes a `forget` that a job's answer reported. Returns False if the text was already deleted or there is no
        room."""
        place, now = question.thread.place, self._now()
        await _lock_place(connection, place)
        is_meant = _in_place(place), ~_IS_IN_EFFECT, memories.c.number == number, memories.c.text != ""
        row = (await connection.execute(sa.select(memories).where(*is_meant))).one_or_none()
        if row is None or not _has_room(await _memory_rows(connection, place), {0: row.text}):
            return False
        await connection.execute(sa.update(memories).where(memories.c.id == row.id).values(forgotten_at=None))
        await _record_change(connection, "restored", place, now, by)
        is_said = sa.and_(_in_place(place, jobs), jobs.c.ts == row.ts)
        await outbox.queue_updates_where(connection, now, sa.or_(is_said, jobs.c.id == job_id))
        return True

    @writes
    async def take_back(self, connection: AsyncConnection, question: Question, by: str) -> bool:
        return await _forget_memories(connection, question.thread.place, _is_from_message(question), self._now(), by)

    @writes
    async def undo(self, connection: AsyncConnection, question: Question, by: str) -> bool:
        """Removes the memories from a message or its answer. Returns False if no such memory exists."""
        return await _forget_memories(connection, question.thread.place, memories.c.ts == question.ts, self._now(), by)

    @writes
    async def change(
        self,
        connection: AsyncConnection,
        place: Place,
        by: str,
        texts: Mapping[int, str],
        kept_ids: Collection[int],
        *,
        is_private: bool,
    ) -> bool:
        """Changes the text of memories by ID, removes memories whose new text is empty, and renews the memories in
        `kept_ids`. Returns False if there is no room."""
        now = self._now()
        await _lock_place(connection, place)
        in_place = await _memory_rows(connection, place)
        if not _has_room(in_place, {row.id: texts[row.id] for row in in_place if row.id in texts}):
            return False
        fresh = {"is_private": is_private, "renewed_at": now}
        for id_ in {*texts, *kept_ids}:
            this, text = memories.c.id == id_, texts.get(id_)
            if text == "":
                await _forget_memories(connection, place, this, now, by)
                continue
            values = fresh | ({"text": text, "changed_by": by} if text else {})
            these = sa.update(memories).where(_in_place(place), _IS_IN_EFFECT, this)
            if (await connection.execute(these.values(values))).rowcount:
                await _record_change(connection, "changed" if text else "kept", place, now, by)
        return True


async def forget_message(connection: AsyncConnection, place: Place, ts: str, now: float) -> None:
    """Removes the memories from a deleted message, including memories that a model proposed in the answer."""
    await _lock_place(connection, place)
    # An attempt that is just storing one waits for this transaction, and then finds the message deleted.
    await _forget_memories(connection, place, memories.c.ts == ts, now)
    await _clear_forgotten_memories(connection, place, ts)


async def _clear_forgotten_memories(connection: AsyncConnection, place: Place, ts: str) -> None:
    forgotten = _in_place(place), ~_IS_IN_EFFECT, memories.c.ts == ts
    await connection.execute(sa.update(memories).where(*forgotten).values(NO_TEXT))


async def _memory_rows(connection: AsyncConnection, place: Place) -> Sequence[sa.Row[int, int, str]]:
    columns = sa.select(memories.c.id, memories.c.number, memories.c.text)
    return (await connection.execute(columns.where(_in_place(place), _IS_IN_EFFECT).order_by(memories.c.number))).all()


def _has_room(existing: Sequence[sa.Row[int, int, str]], changed: Mapping[int, str]) -> bool:
    """Returns whether there is room for changed text, keyed by memory ID. An empty text removes the memory, and an
    unknown ID adds one."""
    before = {row.id: row.text for row in existing}
    after = [text for text in {**before, **changed}.values() if text]
    # Changes that don't increase the size always fit, even if the place is too full.
    grows = len("".join(after).encode()) > len("".join(before.values()).encode())
    return not before or not grows or has_room(after)


async def _lock_place(connection: AsyncConnection, place: Place) -> None:
    await acquire_lock(connection, f"memories {place}")


async def _forget_memories(
    connection: AsyncConnection,
    place: Place,
    condition: sa.ColumnElement[bool],
    now: float,
    by: str = "",
    cleared_values: Mapping[str, Any] = NO_TEXT,
) -> bool:
    removed = sa.update(memories).where(_in_place(place), _IS_IN_EFFECT, condition)
    gone = (await connection.scalars(removed.values(forgotten_at=now, **cleared_values).returning(memories.c.ts))).all()
    if gone:
        await _record_change(connection, "forgotten", place, now, by)
        await outbox.queue_updates_where(connection, now, _in_place(place, jobs), jobs.c.ts.in_(gone))
    return bool(gone)


async def _record_change(connection: AsyncConnection, change: str, place: Place, now: float, by: str) -> None:
    team_id, channel_id = place
    facts = {"memory": change}
    await audit.record_setting(connection, now, "memory", facts, by=by, team_id=team_id, channel_id=channel_id)


def _in_place(place: Place, table: sa.Table = memories) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.team_id == place[0], table.c.channel_id == place[1])


def _is_from_message(question: Question) -> sa.ColumnElement[bool]:
    """Returns whether the memory comes from a person's message. Memories in answers were proposed by a model."""
    return sa.and_(~memories.c.is_proposed, memories.c.ts == question.ts)
