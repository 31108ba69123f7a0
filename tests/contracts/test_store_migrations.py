"""New databases and migrated ones, made by several processes at once, and after one that died midway.

There is no release yet, so the one before this is invented: it lacked a column, which an invented migration adds.
"""

import asyncio
import re
import shutil
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory

from bot.checks.database import DatabaseChecks
from bot.checks.report import CheckStatus, Finding
from bot.errors import StoreError
from bot.store import migrate as migrations
from bot.store.database import create_engine
from bot.store.migrate import lock_migrations, migrate, upgrade
from bot.store.schema import REVISION, metadata
from tests.contracts.databases import PostgresqlServer, Process
from tests.contracts.stores import asked

pytestmark = pytest.mark.empty_database

EARLIER = """
import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = {before}


def upgrade() -> None:
    op.add_column("feedback", sa.Column("reason", sa.Text))
"""


@pytest.fixture
def earlier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has this version migrate databases of an earlier release."""
    scripts = tmp_path / "migrations"
    shutil.copytree(Path(migrations.__file__).with_name("migrations"), scripts, ignore=shutil.ignore_patterns("r*.py"))
    for revision, before in (("earlier", None), (REVISION, "earlier")):
        script = EARLIER.format(revision=revision, before=repr(before))
        (scripts / "versions" / f"r{revision.replace('.', '_')}.py").write_text(script)
    monkeypatch.setattr("bot.store.migrate.SCRIPTS", str(scripts))


async def execute(url: str, *statements: str) -> None:
    engine = create_engine(url)
    async with engine.begin() as connection:
        for statement in statements:
            await connection.exec_driver_sql(statement)
    await engine.dispose()


async def made_by_the_earlier_release(url: str) -> None:
    await migrated(url)
    await execute(url, "ALTER TABLE feedback DROP COLUMN reason", "UPDATE alembic_version SET version_num = 'earlier'")


async def migrated(url: str) -> str:
    engine = create_engine(url)
    try:
        return await migrate(engine)
    finally:
        await engine.dispose()


IN_SQLITE = (
    'SELECT t.name, c.name, c.type, c."notnull", c.dflt_value, c.pk '
    "FROM sqlite_master t JOIN pragma_table_info(t.name) c WHERE t.type = 'table'",
    'SELECT t.name, i.origin, i."unique", i.partial, group_concat(c.name) FROM sqlite_master t '
    "JOIN pragma_index_list(t.name) i JOIN pragma_index_info(i.name) c WHERE t.type = 'table' GROUP BY t.name, i.name",
    'SELECT t.name, f."from", f."table", f."to", f.on_delete '
    "FROM sqlite_master t JOIN pragma_foreign_key_list(t.name) f WHERE t.type = 'table'",
    "SELECT tbl_name, name, sql FROM sqlite_master WHERE type = 'index'",
    "SELECT name, sql LIKE '%AUTOINCREMENT%' FROM sqlite_master WHERE type = 'table'",
)
IN_POSTGRESQL = (
    "SELECT t.relname, c.attname, format_type(c.atttypid, c.atttypmod), c.attnotnull, c.attidentity, "
    "pg_get_expr(d.adbin, d.adrelid) FROM pg_class t JOIN pg_attribute c ON c.attrelid = t.oid AND c.attnum > 0 "
    "LEFT JOIN pg_attrdef d ON d.adrelid = t.oid AND d.adnum = c.attnum "
    "WHERE t.relkind = 'r' AND NOT c.attisdropped AND t.relnamespace = current_schema()::regnamespace",
    "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) "
    "FROM pg_constraint WHERE connamespace = current_schema()::regnamespace",
    "SELECT tablename, indexname, replace(indexdef, current_schema() || '.', '') "
    "FROM pg_indexes WHERE schemaname = current_schema()",
)


async def schema_check(url: str) -> Finding:
    checks = DatabaseChecks(url)
    await checks.check_connection()
    check = await checks.check_schema()
    await checks.close()
    return check


async def catalog(url: str) -> set[str]:
    """Returns what a database says of its tables, columns, defaults, indexes and constraints, one in a line."""
    engine = create_engine(url)
    async with engine.connect() as connection:
        is_sqlite = connection.dialect.name == "sqlite"
        lines = set()
        for query in IN_SQLITE if is_sqlite else IN_POSTGRESQL:
            for row in await connection.exec_driver_sql(query):
                lines.add(" ".join(" ".join(map(str, row)).split()))
        if is_sqlite:
            for row in await connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE sql NOT NULL"):
                lines |= {f"{row.name} {name}" for name in re.findall(r"CONSTRAINT (\w+)", row.sql)}
    await engine.dispose()
    return {line for line in lines if "alembic_version" not in line and "sqlite_sequence" not in line}


class TestMigrations:
    @pytest.mark.usefixtures("earlier")
    async def test_database_of_an_earlier_release_becomes_what_a_new_one_is(self, shared_url: str) -> None:
        assert await migrated(shared_url) == REVISION
        new = await catalog(shared_url)
        await made_by_the_earlier_release(shared_url)
        assert await catalog(shared_url) != new
        check = await schema_check(shared_url)
        assert (check.status, "will be migrated" in check.message) == (CheckStatus.OK, True)
        assert await migrated(shared_url) == REVISION
        assert await migrated(shared_url) == REVISION
        assert await catalog(shared_url) == new

    def test_newest_migration_leads_to_the_schema(self) -> None:
        assert ScriptDirectory(migrations.SCRIPTS.replace(":", "/").replace(".", "/")).get_heads() == [REVISION]

    def test_migrations_repeat_definitions_and_would_change_with_none(self) -> None:
        for path in Path(migrations.__file__).parent.glob("migrations/versions/*.py"):
            assert not re.search(r"^\s*(from|import) bot\b", path.read_text(), re.MULTILINE), path

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
            await connection.execute(sa.text("ALTER TABLE jobs ADD COLUMN later TEXT"))
            await connection.execute(sa.text("ALTER TABLE jobs ADD COLUMN counted INTEGER DEFAULT 0 NOT NULL"))
            await connection.execute(sa.text("CREATE TABLE later (id INTEGER NOT NULL)"))
        await newer.close()
        older = await process("w1")
        assert await older.question_queue.enqueue("Ev1", asked(1))


WORKERS = (
    "CREATE TABLE workers (worker TEXT PRIMARY KEY, beat BIGINT NOT NULL, has_lock BOOLEAN NOT NULL, seen_at {} {})"
)
DOUBLE = "DOUBLE PRECISION NOT NULL"
UNFIT = {
    "column is missing": (["ALTER TABLE jobs DROP COLUMN asked_at"], "jobs.asked_at"),
    "column that must be named": (
        ["DROP TABLE workers", WORKERS.format(DOUBLE, ", usage_so_far TEXT NOT NULL")],
        "workers.usage_so_far",
    ),
    "column of another type": (["DROP TABLE workers", WORKERS.format("TEXT NOT NULL", "")], "workers.seen_at"),
    "database of a commit before the first release": (
        ['ALTER TABLE turns RENAME COLUMN "end" TO below', "UPDATE alembic_version SET version_num = '0017'"],
        "turns.end",
    ),
    "table is missing": (["DROP TABLE feedback"], "feedback"),
    "index is missing": (["DROP INDEX ix_jobs_running_thread"], "jobs.ix_jobs_running_thread"),
    "tables are gone": (
        [f"DROP TABLE {table.name}" for table in reversed(metadata.sorted_tables)],
        ", ".join(sorted(metadata.tables)[:3]) + ", …",
    ),
    "revision of another program": (
        [
            *(f"DROP TABLE {table.name}" for table in reversed(metadata.sorted_tables)),
            "UPDATE alembic_version SET version_num = '3f2a91c07b1d'",
        ],
        "account_kinds, ",
    ),
}


class TestUnfit:
    """A database that lacks what this version needs is refused by name, at the start and by `typist check`."""

    @pytest.mark.parametrize(("statements", "named"), UNFIT.values(), ids=UNFIT)
    @pytest.mark.long(after_row=4)
    async def test_tables_that_this_version_can_not_use_are_named_and_stay(
        self, shared_url: str, statements: list[str], named: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        await migrated(shared_url)
        if "workers" in named and shared_url.startswith("sqlite"):
            statements = [statement.replace("DOUBLE PRECISION", "DOUBLE") for statement in statements]
        await execute(shared_url, *statements)
        before = await catalog(shared_url)
        with pytest.raises(StoreError) as refused:
            await migrated(shared_url)
        assert f"({named}" in str(refused.value)
        assert caplog.messages == [], "it is not said to run with it"
        assert "Name a new database in DATABASE_URL" in str(refused.value)
        check = await schema_check(shared_url)
        assert check.status is CheckStatus.FAIL
        assert f"({named}" in check.message
        assert await catalog(shared_url) == before

    @pytest.mark.long
    async def test_server_that_quotes_all_names_has_the_same_tables(self, own_server: PostgresqlServer) -> None:
        await execute(own_server.url, "ALTER DATABASE postgres SET quote_all_identifiers = on")
        await migrated(own_server.url)
        await migrated(own_server.url)

    async def test_migration_that_fails_changes_nothing_and_says_so(self, shared_url: str) -> None:
        await migrated(shared_url)
        await execute(shared_url, "DROP TABLE alembic_version")
        before = await catalog(shared_url)
        with pytest.raises(
            StoreError, match=r"not migrated from revision none to [\d.]+, and nothing was changed: .*exists"
        ):
            await migrated(shared_url)
        assert await catalog(shared_url) == before


class TestInterrupted:
    """A process that dies during a migration leaves nothing behind and blocks no other process."""

    async def test_interrupted_migration_leaves_nothing_behind_and_the_next_start_migrates(
        self, process: Process, shared_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        engine = create_engine(shared_url)
        with monkeypatch.context() as during:
            during.setattr("bot.store.migrate.upgrade", upgrade_half)
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
                await lock_migrations(connection)
            await connection.run_sync(upgrade)
            migrating = asyncio.create_task(migrate(waiting))
            done, _ = await asyncio.wait((migrating,), timeout=0.2)
            assert not done, "it migrates beside a migration that has not ended"
            await transaction.rollback()
        assert await migrating == REVISION
        for engine in (dying, waiting):
            await engine.dispose()

    @pytest.mark.usefixtures("earlier")
    async def test_migration_waits_for_a_table_for_less_time_than_others_wait_behind_it(
        self, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bot.store.migrate.TABLE_WITHIN_S", 0.1)
        await made_by_the_earlier_release(postgresql_url)
        with psycopg.connect(postgresql_url) as reader:
            reader.execute("SELECT count(*) FROM feedback")
            async with asyncio.timeout(60):
                with pytest.raises(StoreError, match=r"nothing was changed: .* lock timeout\. Another session uses"):
                    await migrated(postgresql_url)
        assert await migrated(postgresql_url) == REVISION


def upgrade_half(connection: sa.Connection) -> str:
    """Creates all tables and dies before the commit."""
    upgrade(connection)
    raise RuntimeError("died midway")


def documented(begins: str) -> str:
    text = (Path(__file__).parent.parent.parent / "docs/admins/company.md").read_text()
    (statement,) = re.findall(rf"^({re.escape(begins)} .*)$", text, re.MULTILINE)
    return str(statement)


def as_typist(url: str, database: str) -> str:
    parts = sa.make_url(url).set(username="typist", password="secret", database=database)
    return parts.render_as_string(hide_password=False)


class TestServers:
    """A server is set up as docs/admins/company.md says, and refused with a remedy if it isn't."""

    @pytest.mark.long
    async def test_documented_statements_give_the_role_its_database(self, own_server: PostgresqlServer) -> None:
        with psycopg.connect(own_server.url, autocommit=True) as admin:
            for begins in ("CREATE ROLE", "CREATE DATABASE"):
                admin.execute(documented(begins).encode())
        assert await migrated(as_typist(own_server.url, "typist")) == REVISION

    @pytest.mark.long
    async def test_documented_schema_serves_in_a_database_of_another_role(self, own_server: PostgresqlServer) -> None:
        url = as_typist(own_server.url, "postgres")
        with psycopg.connect(own_server.url, autocommit=True) as admin:
            admin.execute(documented("CREATE ROLE").encode())
            with pytest.raises(StoreError, match=r"permission denied for schema public\. .*CREATE SCHEMA typist"):
                await migrated(url)
            for begins in ("CREATE SCHEMA", "ALTER ROLE"):
                admin.execute(documented(begins).encode())
        assert await migrated(url) == REVISION

    @pytest.mark.parametrize(
        ("encoding", "is_refused"),
        [("LATIN1", True), pytest.param("EUC_JP", True, marks=pytest.mark.long), ("SQL_ASCII", False)],
    )
    @pytest.mark.long(after_row=1)
    async def test_database_that_can_not_hold_all_text_is_refused(
        self, own_server: PostgresqlServer, encoding: str, is_refused: bool
    ) -> None:
        with psycopg.connect(own_server.url, autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE odd ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0".encode())
        url = sa.make_url(own_server.url).set(database="odd").render_as_string(hide_password=False)
        if is_refused:
            with pytest.raises(StoreError, match=f"encoding is {encoding}, which can't hold all text"):
                await migrated(url)
        else:
            assert await migrated(url) == REVISION
