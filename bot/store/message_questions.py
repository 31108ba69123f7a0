"""Submitted questions about a message: on record before anything is posted, so that any process can continue them.

A process holds a question for QUESTION_HOLD_S. It posts the question in the first seconds of that time, and gets
Slack's answer or gives up before the time is over. A process that takes the question later finds the post, if any.
"""

from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.clock import Clock
from bot.core.message_question import QUESTION_HOLD_S, MessageQuestion, QuotedMessage
from bot.store.database import Database
from bot.store.predicates import has_come
from bot.store.rows import insert_into
from bot.store.schema import message_questions


class MessageQuestions:
    """Implements the port MessageQuestions."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def begin(
        self, team_id: str, view_id: str, user_id: str, about: QuotedMessage, text: str
    ) -> MessageQuestion | None:
        """Stores a submitted question and returns it; returns None while another process has it.

        This process holds the question for QUESTION_HOLD_S, unless it is complete. A modal that is submitted again
        keeps its first text, unless its asker has read that the question was given up.
        """
        now = self._clock.now()
        values = {"user_id": user_id, "about": asdict(about), "text": text, "due_at": now + QUESTION_HOLD_S}
        key = {"team_id": team_id, "view_id": view_id}
        first = {"created_at": now, "tries": 1, "elsewhere": False, "done": False}

        async def work(connection: AsyncConnection) -> MessageQuestion | None:
            new = insert_into(connection, message_questions).values(**key, **values, **first).on_conflict_do_nothing()
            if row := (await connection.execute(new.returning(message_questions))).one_or_none():
                return _question(row)
            was_given_up = message_questions.c.due_at.is_(None)
            again = {
                "due_at": now + QUESTION_HOLD_S,
                "tries": message_questions.c.tries + 1,
                "text": sa.case((was_given_up, text), else_=message_questions.c.text),
            }
            is_free = sa.or_(was_given_up, _is_due(now))
            free = (_is(team_id, view_id), ~message_questions.c.done, is_free)
            taken = sa.update(message_questions).where(*free).values(**again).returning(message_questions)
            if row := (await connection.execute(taken)).one_or_none():
                return _question(row)
            done = sa.select(message_questions).where(_is(team_id, view_id), message_questions.c.done)
            row = (await connection.execute(done)).one_or_none()
            return _question(row) if row else None

        return await self._database.write(work)

    async def take(self, limit: int) -> list[MessageQuestion]:
        """Returns questions that another process began and left; this process holds them for QUESTION_HOLD_S."""
        now = self._clock.now()

        async def work(connection: AsyncConnection) -> list[MessageQuestion]:
            due = sa.select(message_questions.c.team_id, message_questions.c.view_id).where(
                ~message_questions.c.done, _is_due(now)
            )
            keys = (await connection.execute(due.order_by(message_questions.c.due_at).limit(limit))).all()
            taken = []
            for team_id, view_id in keys:
                free = (_is(team_id, view_id), ~message_questions.c.done, _is_due(now))
                ours = (
                    sa.update(message_questions)
                    .where(*free)
                    .values(due_at=now + QUESTION_HOLD_S, tries=message_questions.c.tries + 1)
                )
                # Another process may have taken it since.
                if row := (await connection.execute(ours.returning(message_questions))).one_or_none():
                    taken.append(_question(row))
            return taken

        return await self._database.write(work)

    async def record_direct_post(self, question: MessageQuestion, *, begun: bool) -> bool:
        """Records that a post in the asker's direct message is about to begin, or that it was not made.

        Returns False if another process has the question by now.
        """
        return await self._change(question, elsewhere=begun)

    async def postpone(self, question: MessageQuestion, delay_s: float | None) -> None:
        """Lets any process go on with the question after the delay; None: only when the modal is submitted again."""
        await self._change(question, due_at=None if delay_s is None else self._clock.now() + delay_s)

    async def record_post(self, team_id: str, view_id: str, channel_id: str, ts: str) -> None:
        """Records where, according to Slack's event, the question was posted."""
        now = self._clock.now()

        async def work(connection: AsyncConnection) -> None:
            place = {"posted_channel_id": channel_id, "posted_ts": ts}
            # The question was posted after all, so it is answered even if its asker read that it was given up.
            due = {"due_at": sa.func.coalesce(message_questions.c.due_at, now)}
            await connection.execute(
                sa.update(message_questions)
                .where(_is(team_id, view_id), ~message_questions.c.done)
                .values(**place, **due)
            )

        await self._database.write(work)

    async def complete(self, question: MessageQuestion) -> None:
        """Records that the question is a job, and empties its texts."""

        async def work(connection: AsyncConnection) -> None:
            values: dict[str, Any] = {"done": True, "due_at": None, "about": {}, "text": ""}
            await connection.execute(
                sa.update(message_questions).where(_is(question.team_id, question.view_id)).values(**values)
            )

        await self._database.write(work)

    async def _change(self, question: MessageQuestion, **values: Any) -> bool:
        async def work(connection: AsyncConnection) -> bool:
            ours = (
                _is(question.team_id, question.view_id),
                ~message_questions.c.done,
                message_questions.c.due_at == question.due_at,
            )
            return (await connection.execute(sa.update(message_questions).where(*ours).values(**values))).rowcount > 0

        return await self._database.write(work)


def _is(team_id: str, view_id: str) -> sa.ColumnElement[bool]:
    return sa.and_(message_questions.c.team_id == team_id, message_questions.c.view_id == view_id)


def _is_due(now: float) -> sa.ColumnElement[bool]:
    return has_come(message_questions.c.due_at, now, QUESTION_HOLD_S)


def _question(row: sa.Row[Any]) -> MessageQuestion:
    return MessageQuestion(
        team_id=row.team_id,
        view_id=row.view_id,
        user_id=row.user_id,
        about=QuotedMessage(
            **(row.about or {"channel_id": "", "ts": "", "thread_ts": "", "quote": "", "response_url": ""})
        ),
        text=row.text,
        created_at=row.created_at,
        due_at=row.due_at or 0.0,
        tries=row.tries,
        elsewhere=row.elsewhere,
        posted=(row.posted_channel_id, row.posted_ts) if row.posted_ts else None,
        done=row.done,
    )
