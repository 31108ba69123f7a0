"""The operator's commands: migrate, forget, health."""

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet

from bot.accounts.sign_ins import SignIns
from bot.clock import SystemClock
from bot.core.channel_settings import ChannelSettings
from bot.core.conversation import Question, ThreadKey
from bot.core.schedules import Proposal, Rule
from bot.mcp.config import HttpTransport
from bot.services.operations import Probes, serving
from bot.store import Stores
from bot.store.accounts import Owner
from bot.store.database import create_engine
from bot.store.schema import REVISION, jobs, metadata
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.processes import output
from tests.forked import forked_command
from tests.mcp.sign_in_server import sign_in_server
from tests.processes import bot_process
from tests.services.probes import WELL, none

TEAM = "T1"


@pytest.mark.empty_database
@pytest.mark.parametrize("database", ["sqlite_url", "postgresql_url"])
async def test_migrate_creates_the_tables_and_prints_the_revision(
    database: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = request.getfixturevalue(database)
    first = await forked_command(tmp_path, "migrate", env={"DATABASE_URL": url})
    again = await forked_command(tmp_path, "migrate", env={"DATABASE_URL": url})
    assert again == first
    assert first[0] == 0
    assert first[1] == f"The database schema is at revision {REVISION}.\n"
    engine = create_engine(url)
    async with engine.connect() as connection:
        tables = await connection.run_sync(lambda sync: set(sa.inspect(sync).get_table_names()))
    await engine.dispose()
    assert tables == {*metadata.tables, "alembic_version"}


@pytest.fixture
def asked() -> Sequence[Question]:
    """Returns questions by two people in one thread, and one in a direct message."""
    thread, direct = ThreadKey(TEAM, "C1", "1700000000.000000"), ThreadKey(TEAM, "D1", None)
    return [
        Question(thread, "1700000000.000000", "U1", "first"),
        Question(thread, "1700000001.000000", "U2", "second"),
        Question(direct, "1700000002.000000", "U1", "third"),
    ]


@pytest.fixture
async def database(sqlite_url: str, asked: Sequence[Question]) -> str:
    store = await Stores.open(sqlite_url, "test", SystemClock())
    for question in asked:
        await store.question_queue.enqueue(question.ts, question)
    await store.memories.remember(asked[0], "We use tabs.", is_private=False)
    await store.memories.remember(asked[2], "I like short answers.", is_private=False)
    await store.channel_settings.write(TEAM, "D1", ChannelSettings(web_search=False), "U1")
    await store.schedules.create(TEAM, "C1", "U1", Proposal("Sum up the day.", Rule("UTC", "0 9 * * *")))
    await store.close()
    return sqlite_url


async def texts_left(url: str) -> list[str]:
    engine = create_engine(url)
    async with engine.connect() as connection:
        texts = (await connection.scalars(sa.select(jobs.c.text).order_by(jobs.c.ts))).all()
    await engine.dispose()
    return list(texts)


@pytest.mark.parametrize(
    ("arguments", "counted", "remaining"),
    [
        (
            ["--user", "U1"],
            "Deleted 2 questions and their answers, 2 memories, 1 schedule, 1 setting of a direct message",
            ["second"],
        ),
        (
            ["--thread", "T1/C1/1700000000.000000", "--thread", "T1/D1/root"],
            "Deleted 3 questions and their answers, 2 memories",
            [],
        ),
        (["--user", "U3", "--user", "U2"], "No data found for U3", ["first", "third"]),
        (
            ["--all"],
            "Deleted 3 questions and their answers, 2 memories, 1 schedule, 1 setting of a direct message",
            [],
        ),
    ],
)
async def test_forget_removes_what_it_is_given_and_prints_the_count(
    tmp_path: Path, database: str, arguments: list[str], counted: str, remaining: list[str]
) -> None:
    code, out, _ = await forked_command(tmp_path, "forget", *arguments, "--yes", env={"DATABASE_URL": database})
    assert (code, out.partition(".\n")[0].partition(". ")[0]) == (0, counted)
    assert await texts_left(database) == remaining


@pytest.mark.parametrize("has_keys", [True, False])
async def test_forget_revokes_a_persons_tokens_or_says_where_it_cannot(
    tmp_path: Path, sqlite_url: str, has_keys: bool
) -> None:
    key = Fernet.generate_key().decode()
    async with sign_in_server() as jira:
        assert isinstance(jira.config.transport, HttpTransport)
        store = await Stores.open(sqlite_url, "test", SystemClock())
        ours = SignIns(store.accounts, (key,), (jira.config,), store.clock)
        for user_id in ("U1", "U2"):
            owner = Owner(TEAM, user_id, "jira")
            address = await jira.visit((await ours.begin(owner, "1 x")).url, user_id)
            assert await ours.complete(owner, "1 x", address) == ""
        servers = {"mcpServers": {"jira": {"type": "http", "url": jira.config.transport.url}}}
        (tmp_path / "mcp.json").write_text(json.dumps(servers))
        env = {"DATABASE_URL": sqlite_url, "BOT_MCP_CONFIG": "mcp.json", "BOT_SECRET_KEYS": key if has_keys else ""}
        code, out, err = await forked_command(tmp_path, "forget", "--user", "U1", "--yes", env=env)
        assert code == 0
        assert out.startswith("Deleted 1 sign-in to a server. ")
        assert ("couldn't revoke their tokens at jira" in out) is not has_keys
        assert "canary" not in out + err
        people = {token.subject for token in jira.people.access.values()}
        assert people == {token.subject for token in jira.people.refresh.values()}
        assert people == ({"U2"} if has_keys else {"U1", "U2"})
        assert await store.accounts.owners() == [Owner(TEAM, "U2", "jira")]
        await store.close()


async def test_thread_without_team_belongs_to_the_bots_team(tmp_path: Path, sqlite_url: str, sandbox: Sandbox) -> None:
    store = await Stores.open(sqlite_url, "test", SystemClock())
    for team in (sandbox.team_id, "T2"):
        await store.question_queue.enqueue(team, Question(ThreadKey(team, "C1", "17.000001"), "17.000001", "U1", team))
    await store.close()
    env = {"DATABASE_URL": sqlite_url}
    code, _, err = await forked_command(tmp_path, "forget", "--yes", "--thread", "C1/17.000001", env=env)
    assert (code, "Use TEAM/C1/" in err) == (2, True)
    env |= {"SLACK_BOT_TOKEN": sandbox.bot_token, "BOT_SLACK_API_URL": sandbox.api_url}
    code, _, _ = await forked_command(tmp_path, "forget", "--yes", "--thread", "C1/17.000001", env=env)
    assert (code, await texts_left(sqlite_url)) == (0, ["T2"])


@pytest.mark.parametrize(("typed", "code", "remaining"), [(b"y\n", 0, 0), (b"\n", 1, 3)])
@pytest.mark.long(after_row=1)
async def test_forget_asks_for_confirmation_at_a_terminal(
    tmp_path: Path, database: str, typed: bytes, code: int, remaining: int
) -> None:
    ours, theirs = os.openpty()
    try:
        async with bot_process(tmp_path, "forget", "--all", env={"DATABASE_URL": database}, stdin=theirs) as process:
            os.write(ours, typed)
            _, err = await output(process)
    finally:
        os.close(ours)
        os.close(theirs)
    assert "This will permanently delete ALL data (questions and their answers, memories," in err
    assert process.returncode == code
    assert len(await texts_left(database)) == remaining


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--all"], "Use --yes"),
        (["--user", "somebody"], "--user must be a member ID"),
        (["--thread", "general"], "--thread must be CHANNEL/THREAD_TS"),
        ([], "--user --thread --all is required"),
        (["--user", "U1", "--user", "somebody", "--yes"], "--user must be a member ID"),
        (["--all", "--user", "U1"], "not allowed with argument"),
    ],
)
async def test_forget_removes_nothing_if_its_arguments_are_unclear(
    tmp_path: Path, database: str, arguments: list[str], sentence: str
) -> None:
    code, out, err = await forked_command(tmp_path, "forget", *arguments, env={"DATABASE_URL": database})
    assert (code, out) == (2, "")
    assert sentence in err
    assert len(await texts_left(database)) == 3


@pytest.mark.parametrize(("probes", "code"), [(WELL, 0), (replace(WELL, connections=none), 1)])
async def test_health_prints_the_running_bots_answer(tmp_path: Path, probes: Probes, code: int) -> None:
    async with serving("127.0.0.1", 0, probes) as port:
        exited, out, err = await forked_command(tmp_path, "health", env={"BOT_HEALTH_PORT": str(port)})
    assert (exited, err) == (code, "")
    assert json.loads(out)["ok"] is (code == 0)
    exited, out, err = await forked_command(tmp_path, "health", env={"BOT_HEALTH_PORT": str(port)})
    assert (exited, out) == (1, "")
    assert "Is Typist running?" in err


async def test_health_without_a_port_names_the_missing_setting(tmp_path: Path) -> None:
    code, _, err = await forked_command(tmp_path, "health", env={})
    assert (code, "BOT_HEALTH_PORT isn't set" in err) == (2, True)
