"""The schema: built by migrations, at once by several, and used by older versions and newer."""

import asyncio

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.conversation import Job
from bot.ports.clock import SystemClock
from bot.store import Stores
from bot.store.engine import create_engine
from bot.store.liveness.failure_detector import LEASE_S
from bot.store.migrate import migrate
from bot.store.schema import REVISION, metadata
from tests.contracts.stores import apart, asked

pytest_plugins = ["tests.contracts.databases"]
pytestmark = pytest.mark.empty_database


class TestMigrations:
    async def test_they_build_what_the_tables_say(self, shared_url: str) -> None:
        engine = create_engine(shared_url)
        await migrate(engine)
        await migrate(engine)
        async with engine.connect() as connection:
            diff = await connection.run_sync(lambda sync: compare_metadata(MigrationContext.configure(sync), metadata))
        await engine.dispose()
        assert diff == []

    def test_the_schema_is_that_of_the_last_one(self) -> None:
        assert ScriptDirectory.from_config(scripts()).get_heads() == [REVISION]

    async def test_several_may_run_them_at_once(self, shared_url: str) -> None:
        opening = (Stores.open(shared_url, f"w{number}", SystemClock()) for number in range(4))
        stores = await asyncio.gather(*opening)
        assert await stores[0].queue.enqueue("Ev1", asked(1))
        assert [len(await store.worker_queue.claim(1)) for store in stores] == [1, 0, 0, 0]
        for store in stores:
            await store.close()

    async def test_a_database_of_a_newer_version_is_used_as_it_is(self, shared_url: str) -> None:
        newer = await Stores.open(shared_url, "w1", SystemClock())
        async with newer.database.engine.begin() as connection:
            await connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
        await newer.close()
        older = await Stores.open(shared_url, "w1", SystemClock())
        assert await older.queue.enqueue("Ev1", asked(1))
        await older.close()


class TestFromTheFirstVersion:
    """A database of schema 0001 with what was in it, and statements of that version's processes beside ours."""

    @pytest.fixture
    async def old_url(self, shared_url: str) -> str:
        engine = create_engine(shared_url)
        async with engine.begin() as connection:
            await connection.run_sync(upgrade_to, "0001")
            for number, status in enumerate(("done", "doing", "todo"), start=1):
                await old_job(connection, number, status)
            await connection.execute(
                sa.text("INSERT INTO turns (job_id, answer, output_tokens, created_at) VALUES (1, 'Yes.', 7, 1)")
            )
        await engine.dispose()
        return shared_url

    async def test_what_was_there_stays(self, old_url: str) -> None:
        store = await Stores.open(old_url, "new", SystemClock())
        assert await store.recorded_answers.replies(apart(1).thread) == {"5.1": "Yes."}
        [job] = await store.worker_queue.claim(10)
        assert job == Job(3, apart(3), attempts=1, page_ts=("5.3",))
        await store.close()

    async def test_an_old_process_goes_on_beside_new_ones(self, old_url: str) -> None:
        store = await Stores.open(old_url, "new", SystemClock())
        async with store.database.engine.begin() as connection:
            await old_job(connection, 4, "todo")
            await connection.execute(
                sa.text(
                    "UPDATE jobs SET status = 'doing', worker = 'old', attempts = attempts + 1, heartbeat_at = 1, "
                    "started_at = 1 WHERE id = 4"
                )
            )
            ended = sa.text("UPDATE jobs SET status = 'done', finished_at = 2 WHERE id = 4 AND worker = 'old'")
            assert (await connection.execute(ended)).rowcount == 1
        assert await store.queue.request_stop(2) is True
        assert [job.id for job in await store.worker_queue.claim(10)] == [3]
        await store.close()

    async def test_it_is_gone_when_it_beats_no_more(self, old_url: str) -> None:
        clock = ToldClock()
        store = await Stores.open(old_url, "new", clock)
        await store.worker_queue.claim(10)
        for second in range(20):
            clock.time_s += 1
            if second < 10:
                async with store.database.engine.begin() as connection:
                    await connection.execute(sa.text(f"UPDATE jobs SET heartbeat_at = {second} WHERE id = 2"))
            if claimed := await store.worker_queue.claim(10):
                break
        assert [(job.id, job.attempts, job.interruptions) for job in claimed] == [(2, 2, 1)]
        assert second == 9 + LEASE_S
        await store.close()


class ToldClock(SystemClock):
    time_s = 1_700_000_000.0

    def monotonic(self) -> float:
        return self.time_s


async def old_job(connection: AsyncConnection, number: int, status: str) -> None:
    """As version 0001 wrote it."""
    question = apart(number)
    worker, attempts = (None, 0) if status == "todo" else ("old", 1)
    await connection.execute(
        sa.text(
            "INSERT INTO jobs (team_id, channel_id, thread_ts, ts, user_id, text, status, worker, attempts, "
            "heartbeat_at, page_ts, created_at) VALUES (:team_id, :channel_id, '', :ts, :user_id, :text, :status, "
            ":worker, :attempts, :now, :page_ts, :now)"
        ),
        {
            "team_id": question.thread.team_id,
            "channel_id": question.thread.channel_id,
            "ts": question.ts,
            "user_id": question.user_id,
            "text": question.text,
            "status": status,
            "worker": worker,
            "attempts": attempts,
            "page_ts": f'["5.{number}"]',
            "now": 1.0,
        },
    )


def upgrade_to(connection: sa.Connection, revision: str) -> None:
    config = scripts()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def scripts() -> Config:
    config = Config()
    config.set_main_option("script_location", "bot.store:migrations")
    return config
