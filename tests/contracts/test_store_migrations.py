"""Migrations: the schema that they build, run by several processes at once, and after one that died midway."""

import asyncio

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from bot.store.database import create_engine
from bot.store.migrate import _LOCK_KEY, migrate
from bot.store.schema import REVISION, metadata
from tests.contracts.databases import Process
from tests.contracts.stores import asked

pytestmark = pytest.mark.empty_database


class TestMigrations:
    async def test_migrations_build_the_schema_of_the_tables(self, shared_url: str) -> None:
        engine = create_engine(shared_url)
        await migrate(engine)
        await migrate(engine)
        async with engine.connect() as connection:
            diff = await connection.run_sync(lambda sync: compare_metadata(MigrationContext.configure(sync), metadata))
        await engine.dispose()
        assert diff == []

    def test_schema_is_that_of_the_newest_revision(self) -> None:
        assert ScriptDirectory.from_config(scripts()).get_heads() == [REVISION]

    async def test_several_processes_may_migrate_at_once(self, process: Process) -> None:
        opening = (process(f"w{number}") for number in range(4))
        stores = await asyncio.gather(*opening)
        assert await stores[0].question_queue.enqueue("Ev1", asked(1))
        assert [len(await store.worker_queue.claim(1)) for store in stores] == [1, 0, 0, 0]
        for store in stores:
            await store.close()

    async def test_database_of_a_newer_version_is_used_unchanged(self, process: Process) -> None:
        newer = await process("w1")
        async with newer.database.engine.begin() as connection:
            await connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
        await newer.close()
        older = await process("w1")
        assert await older.question_queue.enqueue("Ev1", asked(1))


class TestInterrupted:
    """A process that dies during a migration leaves nothing behind and blocks no other process."""

    async def test_interrupted_migration_leaves_nothing_behind_and_the_next_start_migrates(
        self, process: Process, shared_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        engine = create_engine(shared_url)
        with monkeypatch.context() as during:
            during.setattr(command, "upgrade", upgrade_half)
            with pytest.raises(RuntimeError, match="died midway"):
                await migrate(engine)
        async with engine.connect() as connection:
            tables = await connection.run_sync(lambda sync: sa.inspect(sync).get_table_names())
        await engine.dispose()
        assert tables == []
        store = await process()
        assert await store.question_queue.enqueue("Ev1", asked(1))

    async def test_waiting_process_migrates(self, shared_url: str) -> None:
        dying, waiting = create_engine(shared_url), create_engine(shared_url)
        async with dying.connect() as connection:
            transaction = await connection.begin()
            if dying.dialect.name == "postgresql":
                await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK_KEY)))
            await connection.run_sync(upgrade_to, REVISION)
            migrating = asyncio.create_task(migrate(waiting))
            done, _ = await asyncio.wait((migrating,), timeout=0.2)
            assert not done, "it migrates beside a migration that has not ended"
            await transaction.rollback()
        assert await migrating == REVISION
        for engine in (dying, waiting):
            await engine.dispose()


def upgrade_half(config: Config, revision: str) -> None:
    """Creates all tables and dies before the commit."""
    upgrade_to(config.attributes["connection"], revision)
    raise RuntimeError("died midway")


def upgrade_to(connection: sa.Connection, revision: str) -> None:
    config = scripts()
    config.attributes["connection"] = connection
    UPGRADE(config, revision)


UPGRADE = command.upgrade


def scripts() -> Config:
    config = Config()
    config.set_main_option("script_location", "bot.store:migrations")
    return config
