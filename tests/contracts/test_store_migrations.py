"""The schema: built by migrations, at once by several, and used by older versions and newer."""

import asyncio

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from bot.ports import SystemClock
from bot.store import SqlStore
from bot.store.engine import create_engine
from bot.store.migrate import migrate
from bot.store.schema import metadata
from tests.contracts.stores import asked

pytest_plugins = ["tests.contracts.databases"]


class TestMigrations:
    async def test_they_build_what_the_tables_say(self, shared_url: str) -> None:
        engine = create_engine(shared_url)
        await migrate(engine)
        await migrate(engine)
        async with engine.connect() as connection:
            diff = await connection.run_sync(lambda sync: compare_metadata(MigrationContext.configure(sync), metadata))
        await engine.dispose()
        assert diff == []

    async def test_several_may_run_them_at_once(self, shared_url: str) -> None:
        opening = (SqlStore.open(shared_url, f"w{number}", SystemClock()) for number in range(4))
        stores = await asyncio.gather(*opening)
        assert await stores[0].enqueue("Ev1", asked(1))
        assert [len(await store.claim(1)) for store in stores] == [1, 0, 0, 0]
        for store in stores:
            await store.close()

    async def test_a_database_of_a_newer_version_is_used_as_it_is(self, shared_url: str) -> None:
        newer = await SqlStore.open(shared_url, "w1", SystemClock())
        async with newer.engine.begin() as connection:
            await connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
        await newer.close()
        older = await SqlStore.open(shared_url, "w1", SystemClock())
        assert await older.enqueue("Ev1", asked(1))
        await older.close()
