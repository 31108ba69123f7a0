"""Submitted questions about a message: on record before anything is posted, so that any process can continue them.

A process holds a question for QUESTION_HOLD_S. It posts the question in the first seconds of that time, and gets
Slack's answer or gives up before the time is over. A process that takes the question later finds the post, if any.
"""

from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.choices import question_id
from bot.core.message_question import QUESTION_HOLD_S, MessageQuestion, QuotedMessage
from bot.store.database import Operations, writes
from bot.store.predicates import has_come
from bot.store.recorded_answers import close_choices
from bot.store.rows import insert_into
from bot.store.schema import jobs, message_questions


class MessageQuestions(Operations):
    """Keeps submitted questions about a message until they are jobs.

    `postpone` and `record_direct_post` do nothing if another process has the question by now.
    """

    @writes
    async def draft(
        self, connection: AsyncConnection, team_id: str, view_id: str, user_id: str, about: QuotedMessage
    ) -> None:
        """Stores what an open modal is about. `begin` adds the question; without one, the row stays for a day."""
        values = {"user_id": user_id, "about": asdict(about), "text": "", "created_at": self._now(), "due_at": None}
        draft = insert_into(connection, message_questions).values(
            team_id=team_id, view_id=view_id, **values, tries=0, elsewhere=False, done=False
        )
        await connection.execute(draft.on_conflict_do_nothing())

    @writes
    async def begin(
        self, connection: AsyncConnection, team_id: str, view_id: str, user_id: str, about: QuotedMessage, text: str
    ) -> MessageQuestion | None:
        """Stores a submitted question and returns it; returns None while another process has it.

        This process holds the question for QUESTION_HOLD_S, unless it is complete. A modal that is submitted again
        keeps its first text, unless its asker has read that the question was given up. A draft's `about` is kept.
        """
        now = self._now()
        values = {"user_id": user_id, "about": asdict(about), "text": text, "due_at": now + QUESTION_HOLD_S}
        first = {"created_at": now, "tries": 1, "elsewhere": False, "done": False}
        new = insert_into(connection, message_questions).values(team_id=team_id, view_id=view_id, **values, **first)
        stored = new.on_conflict_do_nothing().returning(message_questions)
        if row := (await connection.execute(stored)).one_or_none():
            return _question(row)
        was_given_up = message_questions.c.due_at.is_(None)
        again = {
            "due_at": now + QUESTION_HOLD_S,
            "tries": message_questions.c.tries + 1,
            "text": sa.case((was_given_up, text), else_=message_questions.c.text),
            # Another person may add the emoji.
            "user_id": sa.case((was_given_up, user_id), else_=message_questions.c.user_id),
        }
        free = (_is(team_id, view_id), ~message_questions.c.done, sa.or_(was_given_up, _is_due(now)))
        taken = sa.update(message_questions).where(*free).values(**again).returning(message_questions)
        if row := (await connection.execute(taken)).one_or_none():
            return _question(row)
        done = sa.select(message_questions).where(_is(team_id, view_id), message_questions.c.done)
        row = (await connection.execute(done)).one_or_none()
        return _question(row) if row else None

    @writes
    async def take(self, connection: AsyncConnection, limit: int) -> list[MessageQuestion]:
        """Returns questions that another process began and left; this process holds them for QUESTION_HOLD_S."""
        now = self._now()
        due = sa.select(message_questions.c.team_id, message_questions.c.view_id).where(
            ~message_questions.c.done, _is_due(now)
        )
        keys = (await connection.execute(due.order_by(message_questions.c.due_at).limit(limit))).all()
        taken = []
        for team_id, view_id in keys:
            free = sa.update(message_questions).where(_is(team_id, view_id), ~message_questions.c.done, _is_due(now))
            ours = free.values(due_at=now + QUESTION_HOLD_S, tries=message_questions.c.tries + 1)
            # Another process may have taken it since.
            if row := (await connection.execute(ours.returning(message_questions))).one_or_none():
                taken.append(_question(row))
        return taken

    @writes
    async def record_direct_post(self, connection: AsyncConnection, question: MessageQuestion, *, begun: bool) -> bool:
        """Records that a post in the asker's direct message is about to begin, or that it was not made.

        Returns False if another process has the question by now.
        """
        recorded = sa.update(message_questions).where(_is_held(question)).values(elsewhere=begun)
        return (await connection.execute(recorded)).rowcount > 0

    @writes
    async def postpone(self, connection: AsyncConnection, question: MessageQuestion, delay_s: float | None) -> None:
        """Lets any process go on with the question after the delay; None: only when the modal is submitted again."""
        due_at = None if delay_s is None else self._now() + delay_s
        await connection.execute(sa.update(message_questions).where(_is_held(question)).values(due_at=due_at))

    @writes
    async def record_post(
        self, connection: AsyncConnection, team_id: str, view_id: str, channel_id: str, ts: str
    ) -> None:
        """Records where, according to Slack's event, the question was posted."""
        place = {"posted_channel_id": channel_id, "posted_ts": ts}
        # The question was posted after all, so it is answered even if its asker read that it was given up.
        due_at = sa.func.coalesce(message_questions.c.due_at, self._now())
        this = sa.update(message_questions).where(_is(team_id, view_id), ~message_questions.c.done)
        await connection.execute(this.values(**place, due_at=due_at))

    @writes
    async def complete(self, connection: AsyncConnection, question: MessageQuestion) -> None:
        """Records that the question is a job, and empties its texts. Other choices beside it don't stand any more.

        If the answer has a newer version by now, the choices of that one stand.
        """
        offered_by = question.about.offered_by
        if offered_by is not None:
            version = await connection.scalar(sa.select(jobs.c.version).where(jobs.c.id == offered_by))
            if version is not None and question.view_id == question_id(offered_by, version):
                await close_choices(connection, offered_by, self._now())
        this = sa.update(message_questions).where(_is(question.team_id, question.view_id))
        values: dict[str, Any] = {"done": True, "due_at": None, "about": {}, "text": ""}
        await connection.execute(this.values(**values))


def _is_held(question: MessageQuestion) -> sa.ColumnElement[bool]:
    """Whether no other process has taken the question since, and it is no job."""
    this = _is(question.team_id, question.view_id)
    return sa.and_(this, ~message_questions.c.done, message_questions.c.due_at == question.due_at)


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
