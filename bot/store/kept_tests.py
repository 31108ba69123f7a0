"""Stores kept tests with the jobs whose answers were kept (core/kept_tests.py).

Retention keeps such a job's text while its test exists. The test is deleted with the job, when it expires, or within an
hour after its question or answer was deleted.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.conversation import Question
from bot.core.kept_tests import MAX_TESTS, Check, CheckKind, KeptTest
from bot.store import audit
from bot.store.database import Operations, acquire_lock, reads, writes
from bot.store.rows import has_row, upsert
from bot.store.schema import jobs, kept_tests


class KeptTests(Operations):
    @reads
    async def checks(self, connection: AsyncConnection, job_id: int) -> tuple[Check, ...]:
        """Returns the checks for an answer, or () if it isn't kept."""
        these = sa.select(kept_tests.c.checks).where(kept_tests.c.job_id == job_id)
        return _checks_of(await connection.scalar(these) or ())

    @reads
    async def all(self, connection: AsyncConnection, team_id: str) -> list[KeptTest]:
        """Returns a workspace's tests, oldest first."""
        both = sa.select(kept_tests, jobs.c.channel_id).join_from(kept_tests, jobs).where(jobs.c.team_id == team_id)
        rows = await connection.execute(both.order_by(kept_tests.c.job_id))
        return [KeptTest(row.job_id, row.channel_id, _checks_of(row.checks)) for row in rows]

    @writes
    async def keep(
        self, connection: AsyncConnection, job_id: int, question: Question, checks: Sequence[Check], by: str
    ) -> bool:
        """Keeps an answer as a test with these checks, or stops keeping it if there are none. Returns False if the
        workspace has too many tests."""
        team_id, channel_id = question.thread.place
        await acquire_lock(connection, f"kept tests {team_id}")
        this, is_of_team = kept_tests.c.job_id == job_id, jobs.c.team_id == team_id
        kept = sa.select(sa.func.count()).select_from(kept_tests.join(jobs)).where(is_of_team)
        if not checks:
            await connection.execute(sa.delete(kept_tests).where(this))
        elif not await has_row(connection, this) and (await connection.scalar(kept) or 0) >= MAX_TESTS:
            return False
        elif await has_row(connection, jobs.c.id == job_id):
            values = {"checks": [[one.kind, one.value] for one in checks], "renewed_at": self._now()}
            await upsert(connection, kept_tests, {"job_id": job_id}, values)
        about = {"team_id": team_id, "channel_id": channel_id}
        await audit.record_setting(connection, self._now(), "kept_test", {"checks": len(checks)}, by=by, **about)
        return True


def _checks_of(values: Sequence[Sequence[str]]) -> tuple[Check, ...]:
    """Returns stored checks. Kinds from newer versions of Typist are ignored."""
    return tuple(Check(CheckKind(kind), value) for kind, value in values if kind in set(CheckKind))
