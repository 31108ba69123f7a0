"""DATABASE_URL: which forms are accepted, and how errors are reported."""

import asyncio
import errno
import os
import re
import subprocess
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
import trustme

from bot.clock import SystemClock
from bot.core.conversation import Question, ThreadKey
from bot.errors import SettingsError, StoreError
from bot.store import Stores
from bot.store.database import connected, create_engine, database_errors
from bot.store.migrate import migrate
from tests.contracts.databases import PostgresqlServer, create_role, server
from tests.contracts.tls import tls

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize(
    ("given", "understood"),
    [
        ("sqlite://", "sqlite+aiosqlite://"),
        ("sqlite:///typist.db", "sqlite+aiosqlite:///typist.db"),
        ("sqlite+aiosqlite:////var/lib/typist.db", "sqlite+aiosqlite:////var/lib/typist.db"),
        ("postgresql://u:p@h/d", "postgresql+psycopg://u:***@h/d"),
        ("postgres://u:p%40q@h:6543/d", "postgresql+psycopg://u:***@h:6543/d"),
        ("postgres://u:p@h/d?sslmode=require", "postgresql+psycopg://u:***@h/d?sslmode=require"),
        ("postgresql+psycopg://u:p/q@[::1]/d", "postgresql+psycopg://u:***@[::1]/d"),
        ("postgresql://u:p@h1:1,h2:2/d?a=b", "postgresql+psycopg://u:***@/d?a=b&host=h1%3A1&host=h2%3A2"),
        ("postgres://h1,h2:2", "postgresql+psycopg:///?host=h1&host=h2%3A2"),
        ("postgres://u:1,b:2/x@h/d", "postgresql+psycopg://u:***@h/d"),
    ],
)
def test_valid_url_is_accepted(given: str, understood: str) -> None:
    assert str(create_engine(given).url) == understood


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("", "Use sqlite:///"),
        ("sqlite:///typist.db?foo=s3cret", "Correct or remove them"),
        ("sqlite:///typist.db?timeout=s3cret", "Correct or remove them"),
        ("sqlite:///what?.db", "Write it as %3F"),
        ("sqlite://typist.db", "three slashes before the file, as in sqlite:///typist.db"),
        ("sqlite://data/typist.db", "three slashes before the file"),
        ("typist.db", "Use sqlite:///"),
        ("mysql://u:s3cret@h/d", "Use sqlite:///"),
        ("postgres://u:s3cret@h:port/d", "Use sqlite:///"),
        ("postgres://u:s3@cret@h/d", "@ as %40"),
        ("postgres://u:s3@cr/et@h/d", "@ as %40"),
        ("postgres://u:s3@cr?et@h/d", "@ as %40"),
        ("postgres://u:s3@1:cret@h/d", "@ as %40"),
        ("postgres://u/x:s3cret@h/d", "/ as %2F"),
        ("sqlite:////nowhere/at/all/typist.db", "The directory /nowhere/at/all in DATABASE_URL doesn't exist"),
        ("postgres://u:s3cret@127.0.0.1:1/d", "Connection refused"),
        ("postgres://u:s3cret@127.0.0.1:1/d?pgbouncer=s3cret", 'option "pgbouncer". Correct it in DATABASE_URL, or'),
        ("postgres://u:s3cret@127.0.0.1:1/d?sslmode=no-verify", 'value: "no-verify". Correct it in DATABASE_URL'),
        ("postgres://u:s3cret@127.0.0.1:99999/d", 'number: "99999". Correct it in DATABASE_URL'),
        ("postgres://u:s3cret@127.0.0.1:1/d?connect_timeout=x", "Correct it in DATABASE_URL"),
        ("postgres://u:s3cret@/d?port=x", "Use sqlite:///"),
        ("postgres://u:s3cret@127.0.0.1:1,127.0.0.1:2/d", "Connection refused"),
        ("postgres://u:s3cret@no-such-host.invalid/d", "'no-such-host.invalid': [A-Z]"),
    ],
)
async def test_unusable_url_is_reported_without_its_password(given: str, message: str) -> None:
    with pytest.raises((SettingsError, StoreError), match=message) as raised:
        await Stores.open(given, "w1", SystemClock())
    whole = "".join(traceback.format_exception(raised.value))
    assert "s3" not in str(raised.value)
    assert "cret" not in str(raised.value)
    assert "u:s3" not in whole


async def test_sqlite_syncs_each_commit_and_allows_concurrent_readers(sqlite_url: str) -> None:
    engine = create_engine(sqlite_url)
    pragmas = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}
    async with engine.connect() as connection:
        values = {name: await connection.scalar(sa.text(f"PRAGMA {name}")) for name in pragmas}
    await engine.dispose()
    assert values == pragmas


async def test_file_that_is_no_database_is_reported(tmp_path: Path) -> None:
    (tmp_path / "typist.db").write_text("Not a database. " * 100)
    with pytest.raises(StoreError, match="file is not a database"):
        await Stores.open(f"sqlite:///{tmp_path}/typist.db", "w1", SystemClock())


@pytest.mark.empty_database
async def test_database_without_an_encoding_keeps_all_characters(postgresql_server_url: str) -> None:
    with psycopg.connect(postgresql_server_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE plain TEMPLATE template0 ENCODING SQL_ASCII LC_COLLATE 'C' LC_CTYPE 'C'")
    text = "Grüße 🎈"
    store = await Stores.open(postgresql_server_url.replace("/postgres?", "/plain?"), "w1", SystemClock())
    assert await store.question_queue.enqueue("Ev1", Question(ThreadKey("T1", "C1", "1.0"), "1.0", "U1", text))
    (job,) = await store.worker_queue.claim(1)
    await store.close()
    assert job.question.text == text


@pytest.mark.empty_database
@pytest.mark.long
async def test_password_of_any_characters_connects_once_it_is_encoded_as_docs_say(
    own_server: PostgresqlServer,
) -> None:
    """Else the error says how to encode it: a part of it may have been decoded."""
    (command,) = re.findall(r"encodes a password:\s+`(python3 -c .*)`", (ROOT / "docs/admins/company.md").read_text())
    for number, password in enumerate(["p@ss", "a/b", "a:b#c?d", "50%41", " é&=+[x]"]):
        url = create_role(own_server.url, f"role{number}", password)
        encoded = await asyncio.to_thread(
            subprocess.run, command, shell=True, input=password, capture_output=True, text=True, check=True
        )
        start = f"postgresql://role{number}:"
        query = sa.make_url(url).query["host"]
        assert await version(f"{start}{encoded.stdout.strip()}@/postgres?host={query}")
        with pytest.raises(StoreError, match=r"password authentication failed .*write % as %25, @ as %40, / as %2F"):
            await version(f"{start}wrong@/postgres?host={query}")


async def version(url: str, query: str = "SHOW server_version") -> str:
    with database_errors():
        async with connected(url) as engine, engine.connect() as connection:
            return str(await connection.scalar(sa.text(query)))


@pytest.mark.parametrize("number", [errno.EPIPE, errno.ENOSPC, errno.EIO], ids=os.strerror)
async def test_an_error_beside_the_database_is_not_blamed_on_it(database_url: str, number: int) -> None:
    async def report() -> None:
        async with connected(database_url) as engine:
            await migrate(engine)
            raise OSError(number, "stdout")

    with pytest.raises(OSError, match="stdout"):
        await report()


EXPIRED: dict[str, Any] = {
    "not_before": datetime(2024, 1, 1, tzinfo=UTC),
    "not_after": datetime(2025, 1, 1, tzinfo=UTC),
}
CHECKED = "sslmode=verify-full&sslrootcert={ca}"
CERTIFICATE = r"sslrootcert in DATABASE_URL must be a file with the certificate of the server's authority"
HOST = r"Write the host in DATABASE_URL as the certificate has it\. .*add hostaddr=ADDRESS"
NO_TLS = r"does not support SSL.* Turn TLS on in the server"
AT_NAME = f"hostaddr=127.0.0.1&{CHECKED}"


@pytest.mark.parametrize(
    ("issued", "host", "options", "problem"),
    [
        ("localhost", "localhost", CHECKED, ""),
        ("localhost", "localhost", "sslmode=require", ""),
        ("localhost", "localhost", "sslmode=verify-ca&sslrootcert={ca}", ""),
        ("localhost", "localhost", "", ""),
        ("127.0.0.1", "127.0.0.1", CHECKED, ""),
        ("db.example.com", "db.example.com", AT_NAME, ""),
        ("db.example.com", "localhost", "sslmode=require", ""),
        ("db.example.com", "localhost", CHECKED, HOST),
        ("localhost", "127.0.0.1", CHECKED, HOST),
        ("localhost", "localhost", "sslmode=verify-full&sslrootcert={other}", CERTIFICATE),
        ("localhost", "localhost", "sslmode=verify-ca&sslrootcert={other}", CERTIFICATE),
        ("localhost", "localhost", "sslmode=verify-full&sslrootcert=system", CERTIFICATE),
        ("localhost", "localhost", "sslmode=verify-full&sslrootcert=/no/such/ca.crt", CERTIFICATE),
        ("localhost", "localhost", "sslmode=verify-full&sslrootcert={junk}", CERTIFICATE),
        ("expired", "localhost", CHECKED, rf"Check that the server's certificate hasn't expired\. {CERTIFICATE}"),
        ("", "localhost", "sslmode=require", NO_TLS),
        ("", "localhost", CHECKED, NO_TLS),
    ],
)
async def test_certificate_of_a_server_is_checked_as_the_url_says(
    postgresql_server_url: str, tmp_path: Path, issued: str, host: str, options: str, problem: str
) -> None:
    """What is wrong with it is one sentence, and the next one says what to do; none says to check no certificate."""
    authority = trustme.CA()
    for name, written in (("ca", authority), ("other", trustme.CA())):
        written.cert_pem.write_to_path(str(tmp_path / f"{name}.crt"))
    (tmp_path / "junk.crt").write_text("no certificate")
    files = {name: tmp_path / f"{name}.crt" for name in ("ca", "other", "junk")}
    names, valid = ("localhost", EXPIRED) if issued == "expired" else (issued, {})
    certificate = authority.issue_cert(names, **valid) if names else None
    socket_path = f"{sa.make_url(postgresql_server_url).query['host']}/.s.PGSQL.5432"
    async with tls(socket_path, certificate) as port:
        url = f"postgresql://postgres@{host}:{port}/postgres?{options.format(**files)}"
        if not problem:
            assert await is_encrypted(url) == (issued != "")
            return
        with pytest.raises(StoreError, match=problem) as raised:
            await version(url)
    assert "disable" not in str(raised.value)


PASSWORD = "password authentication failed for user .* Check the user and the password in DATABASE_URL"
RULES = "no pg_hba.conf entry .*no encryption. Check the user and the database .*DATABASE_URL needs sslmode=require"
GENERAL = "Check DATABASE_URL, and that the database runs"


@pytest.mark.empty_database
@pytest.mark.parametrize(
    ("url", "is_required", "problem"),
    [
        ("u:right@127.0.0.1:{port}/postgres", True, ""),
        ("u:right@127.0.0.1:{port}/postgres?sslmode=disable", True, RULES),
        ("u:wrong@127.0.0.1:{port}/postgres", True, PASSWORD),
        ("u:wrong@127.0.0.1:{port}/postgres?sslmode=require", True, PASSWORD),
        ("u:wrong@127.0.0.1:{port}/postgres", False, PASSWORD),
        ("u@127.0.0.1:{port}/postgres", True, "no password supplied. Check the user and the password in DATABASE_URL"),
        ("u2:right@127.0.0.1:{port}/postgres", True, f'role "u2" does not exist. {GENERAL}'),
        ("u:right@127.0.0.1:{port}/other", True, f'database "other" does not exist. {GENERAL}'),
        ("u:right@127.0.0.1:1/postgres", False, f"Connection refused. {GENERAL}"),
        ("u:wrong@/postgres?host=127.0.0.1:{port}&host=127.0.0.1:1", True, PASSWORD),
        ("u:wrong@/postgres?host=127.0.0.1:1&host=127.0.0.1:{port}", True, PASSWORD),
        ("u:right@/other?host=127.0.0.1:{port}&host=127.0.0.1:1", True, 'database "other" does not exist'),
        ("u:right@127.0.0.1:1,127.0.0.1:{port}/postgres", True, ""),
        ("u:wrong@127.0.0.1:1,127.0.0.1:{port}/postgres", True, PASSWORD),
        ("u:right@/postgres?host=127.0.0.1:{port}&host=127.0.0.1:1&sslmode=disable", True, RULES),
        ("u:right@/postgres?host=127.0.0.1:1&host=127.0.0.1:2", False, f"Connection refused. {GENERAL}"),
    ],
)
async def test_of_several_errors_of_one_connection_the_most_telling_one_is_told(
    server_with_a_role: str, url: str, is_required: bool, problem: str
) -> None:
    """The client tries each host, with TLS and then without, and joins the errors."""
    async with tls(server_with_a_role, trustme.CA().issue_cert("127.0.0.1"), is_required=is_required) as port:
        connecting = version(f"postgresql://{url.format(port=port)}")
        if not problem:
            assert await connecting
            return
        with pytest.raises(StoreError, match=problem) as raised:
            await connecting
    assert str(raised.value).count("connection to server at") <= 1


@pytest.mark.empty_database
@pytest.mark.long
async def test_what_a_server_does_not_let_a_role_do_is_told_with_its_remedy(own_server: PostgresqlServer) -> None:
    url = create_role(own_server.url, "limited", "right")
    limits = {
        "ALTER ROLE limited SET statement_timeout = 20": "raise this limit",
        "REVOKE CONNECT ON DATABASE postgres FROM PUBLIC": "GRANT CONNECT ON DATABASE",
        "ALTER ROLE limited NOLOGIN": "ALTER ROLE ROLE LOGIN",
    }
    with psycopg.connect(own_server.url, autocommit=True) as connection:
        for statement, remedy in limits.items():
            connection.execute(statement.encode())
            with pytest.raises(StoreError, match=remedy):
                await version(url, "SELECT pg_sleep(1)")
            connection.execute(b"ALTER ROLE limited RESET ALL")


@pytest.mark.empty_database
@pytest.mark.parametrize("name", ["typist-prod", "Typist", 'My "own"', "50%"])
async def test_schema_may_have_any_name(postgresql_server_url: str, name: str) -> None:
    """The search_path that roles have by default begins with a schema of their own name, such as typist-prod."""
    with psycopg.connect(postgresql_server_url, autocommit=True) as connection:
        owner = psycopg.sql.Identifier(name)
        connection.execute(psycopg.sql.SQL("CREATE ROLE {0} LOGIN; CREATE SCHEMA AUTHORIZATION {0}").format(owner))
    url = sa.make_url(postgresql_server_url).difference_update_query(["options"]).set(username=name)
    for _ in range(2):
        async with connected(url) as engine:
            await migrate(engine)


@pytest.fixture(scope="module")
def server_with_a_role() -> Iterator[str]:
    with server() as started:
        create_role(started.url, "u", "right")
        yield f"{sa.make_url(started.url).query['host']}/.s.PGSQL.5432"


async def is_encrypted(url: str) -> bool:
    """Connects and returns whether TLS is in use on our side of the server."""
    with database_errors():
        async with connected(url) as engine, engine.connect() as connection:
            raw = (await connection.get_raw_connection()).driver_connection
            assert raw is not None
            return bool(raw.pgconn.ssl_in_use)


@pytest.mark.empty_database
async def test_file_and_its_log_are_for_their_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        stores = await Stores.open(f"sqlite:///{tmp_path}/typist.db", "w1", SystemClock())
        modes = {entry.name: entry.stat().st_mode & 0o777 for entry in os.scandir(tmp_path)}
        await stores.close()
    finally:
        os.umask(before)
    assert {"typist.db", "typist.db-wal", "typist.db-shm"} <= set(modes)
    assert set(modes.values()) == {0o600}
