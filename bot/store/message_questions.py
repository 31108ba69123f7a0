"""Submitted questions about a message: on record before anything is posted, so that any process can go on with them.

A process has a question for ASK_S. It posts in the first seconds of that and hears Slack's answer, or gives up waiting
for one, before the time is over: a process that takes the question later and looks for the post finds it.
"""

from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.message_question import ASK_S, Ask, AskAbout
from bot.ports.clock import Clock
from bot.store.database import Database
from bot.store.rows import insert_into
from bot.store.schema import asks


class SqlMessageQuestions:
    """Implements the port MessageQuestions."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def begin(self, team_id: str, view_id: str, user_id: str, about: AskAbout, text: str) -> Ask | None:
        now = self._clock.now()
        values = {"user_id": user_id, "about": asdict(about), "text": text, "due_at": now + ASK_S}
        key = {"team_id": team_id, "view_id": view_id}
        first = {"created_at": now, "tries": 1, "elsewhere": False, "done": False}

        async def work(connection: AsyncConnection) -> Ask | None:
            new = insert_into(connection, asks).values(**key, **values, **first).on_conflict_do_nothing()
            if row := (await connection.execute(new.returning(asks))).one_or_none():
                return _ask(row)
            told = asks.c.due_at.is_(None)
            again = {
                "due_at": now + ASK_S,
                "tries": asks.c.tries + 1,
                "text": sa.case((told, text), else_=asks.c.text),
            }
            free = (_is(team_id, view_id), ~asks.c.done, sa.or_(told, asks.c.due_at <= now))
            taken = sa.update(asks).where(*free).values(**again).returning(asks)
            if row := (await connection.execute(taken)).one_or_none():
                return _ask(row)
            done = sa.select(asks).where(_is(team_id, view_id), asks.c.done)
            row = (await connection.execute(done)).one_or_none()
            return _ask(row) if row else None

        return await self._database.write(work)

    async def take(self, limit: int) -> list[Ask]:
        now = self._clock.now()

        async def work(connection: AsyncConnection) -> list[Ask]:
            due = sa.select(asks.c.team_id, asks.c.view_id).where(~asks.c.done, asks.c.due_at <= now)
            found = (await connection.execute(due.order_by(asks.c.due_at).limit(limit))).all()
            taken = []
            for team_id, view_id in found:
                free = (_is(team_id, view_id), ~asks.c.done, asks.c.due_at <= now)
                ours = sa.update(asks).where(*free).values(due_at=now + ASK_S, tries=asks.c.tries + 1)
                # Another process may have taken it since.
                if row := (await connection.execute(ours.returning(asks))).one_or_none():
                    taken.append(_ask(row))
            return taken

        return await self._database.write(work)

    async def record_direct_post(self, ask: Ask, *, begun: bool) -> bool:
        return await self._change(ask, elsewhere=begun)

    async def postpone(self, ask: Ask, delay_s: float | None) -> None:
        await self._change(ask, due_at=None if delay_s is None else self._clock.now() + delay_s)

    async def record_post(self, team_id: str, view_id: str, channel_id: str, ts: str) -> None:
        now = self._clock.now()

        async def work(connection: AsyncConnection) -> None:
            place = {"posted_channel_id": channel_id, "posted_ts": ts}
            # Whoever was told that it is not asked is answered all the same: the question stands there.
            due = {"due_at": sa.func.coalesce(asks.c.due_at, now)}
            await connection.execute(sa.update(asks).where(_is(team_id, view_id), ~asks.c.done).values(**place, **due))

        await self._database.write(work)

    async def complete(self, ask: Ask) -> None:
        async def work(connection: AsyncConnection) -> None:
            values: dict[str, Any] = {"done": True, "due_at": None, "about": {}, "text": ""}
            await connection.execute(sa.update(asks).where(_is(ask.team_id, ask.view_id)).values(**values))

        await self._database.write(work)

    async def _change(self, ask: Ask, **values: Any) -> bool:
        async def work(connection: AsyncConnection) -> bool:
            ours = (_is(ask.team_id, ask.view_id), ~asks.c.done, asks.c.due_at == ask.due_at)
            return (await connection.execute(sa.update(asks).where(*ours).values(**values))).rowcount > 0

        return await self._database.write(work)


def _is(team_id: str, view_id: str) -> sa.ColumnElement[bool]:
    return sa.and_(asks.c.team_id == team_id, asks.c.view_id == view_id)


def _ask(row: sa.Row[Any]) -> Ask:
    return Ask(
        team_id=row.team_id,
        view_id=row.view_id,
        user_id=row.user_id,
        about=AskAbout(**(row.about or {"channel_id": "", "ts": "", "thread_ts": "", "quote": "", "response_url": ""})),
        text=row.text,
        created_at=row.created_at,
        due_at=row.due_at or 0.0,
        tries=row.tries,
        elsewhere=row.elsewhere,
        posted=(row.posted_channel_id, row.posted_ts) if row.posted_ts else None,
        done=row.done,
    )
