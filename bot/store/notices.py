"""Notices that people received, and counts of other bots' questions."""

import math

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.clock import Clock
from bot.core.conversation import Question
from bot.core.limits.access import MOST_BOT_QUESTIONS_AN_HOUR, MOST_BOT_ROUNDS, BotQuestions
from bot.store.database import Database
from bot.store.predicates import has_come, in_thread
from bot.store.rows import insert_into
from bot.store.schema import jobs, notices

NOTICES_KEPT_S = 62 * 24 * 3600.0
"""A notice that is sent once may be sent again after this time."""


class Notices:
    """Implements the port Notices."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def claim(self, team_id: str, user_id: str, notice: str, every_s: float = math.inf) -> bool:
        """Returns True once within `every_s` for a person and a notice: then the caller sends it.

        An empty `user_id` stands for everybody in the workspace.
        """
        return await self._database.write(claim_notice, (team_id, user_id), notice, every_s, self._clock.now())


class BotQuestionCounts:
    """Implements the port BotQuestionCounts."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def count(self, question: Question) -> BotQuestions:
        """Returns how many questions the asker, a bot, asked in the last hour, and how many bots asked last in a row.

        The row is the end of the question's thread. Both numbers are exact only up to their limits.
        """
        return await self._database.read(bot_questions, question, self._clock.now())


async def claim_notice(
    connection: AsyncConnection, person: tuple[str, str], notice: str, every_s: float, now: float
) -> bool:
    """Returns whether a notice is due, and marks it as sent. `person`: team and user."""
    team_id, user_id = person
    row = insert_into(connection, notices).values(team_id=team_id, user_id=user_id, notice=notice, given_at=now)
    again = row.on_conflict_do_update(
        index_elements=list(notices.primary_key),
        set_={"given_at": now},
        where=has_come(notices.c.given_at + min(every_s, NOTICES_KEPT_S), now, min(every_s, NOTICES_KEPT_S)),
    )
    return await connection.scalar(again.returning(notices.c.given_at)) is not None


async def bot_questions(connection: AsyncConnection, question: Question, now: float) -> BotQuestions:
    """Counts the questions of bots, up to the limits."""
    newest = sa.select(jobs.c.from_bot).where(in_thread(question.thread)).order_by(jobs.c.ts.desc())
    in_a_row = 0
    for from_bot in await connection.scalars(newest.limit(MOST_BOT_ROUNDS)):
        if not from_bot:
            break
        in_a_row += 1
    lately = (
        sa.select(jobs.c.id)
        .where(
            jobs.c.team_id == question.thread.team_id,
            jobs.c.user_id == question.user_id,
            jobs.c.from_bot,
            jobs.c.created_at > now - 3600,
        )
        .limit(MOST_BOT_QUESTIONS_AN_HOUR)
    )
    return BotQuestions(in_a_row, len((await connection.scalars(lately)).all()))
