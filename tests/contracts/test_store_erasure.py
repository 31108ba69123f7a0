"""Erasure and retention: which rows and texts go, and that no byte of what has gone is left in the database.

Each text column of the schema gets a marker. A new column is one more marker: it fails these tests until it is erased,
or listed below with the reason why it may stay.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from bot.clock import SystemClock
from bot.core.channel_settings import ChannelSettings
from bot.core.conversation import File, Question, ThreadKey
from bot.core.job import End, Piece, StepEstimate
from bot.errors import EndReason
from bot.models.events import Citation
from bot.store import Stores
from bot.store.erasure import RECORDS_KEPT_S, SLACK_RETRIES_S, expiries
from bot.store.schema import (
    THREAD_TABLES,
    MemberId,
    OwnerId,
    SafeText,
    channel_settings,
    checkpoints,
    feedback,
    jobs,
    metadata,
    seen_events,
    turns,
)
from slack_sandbox.testing.processes import WITHIN_S
from tests.charged_turns import CHARGED_TURNS
from tests.clocks import ManualClock
from tests.contracts.databases import Process
from tests.contracts.stores import (
    CALL,
    DIRECT,
    DONE,
    THREAD,
    YES,
    apart,
    asked,
    begun,
    count,
    enqueued,
    texts_of,
)
from tests.core.conversations import recorded_pages
from tests.store.test_schema import HAVE_OWN_RULES, all_columns

DAY_S = 86_400.0
MANY = 400


async def answered_with_sources(store: Stores, question: Question) -> None:
    job = await begun(store, question)
    await store.worker_queue.record_messages(job, recorded_pages(f"5.{job.id}"))
    await store.worker_queue.finish(job, replace(DONE, sources=(Citation("https://a.example", "A"),)), YES)


async def test_texts_expire_and_usage_stays(timed: Stores, clock: ManualClock) -> None:
    await answered_with_sources(timed, replace(asked(1), files=(File("F1", "salaries.pdf"),)))
    clock.now_s += 10 * DAY_S
    await answered_with_sources(timed, asked(2))
    assert await timed.erasure.expire(clock.now_s - 5 * DAY_S) == 2
    assert await timed.erasure.expire(clock.now_s - 5 * DAY_S) == 0
    async with timed.database.begin_read() as connection:
        asked_about = (await connection.execute(sa.select(jobs.c.text, jobs.c.files).order_by(jobs.c.id))).all()
        recorded = (await connection.execute(CHARGED_TURNS)).all()
    assert [tuple(row) for row in asked_about] == [("", []), ("Why?", [])]
    assert [(turn.answer, turn.output_tokens) for turn in recorded] == [("", 20), (YES, 20)]
    assert [turn.sources for turn in recorded] == [None, [["https://a.example", "A"]]]
    assert (await timed.participants.participants_at(THREAD, "U1", "9")).has_bot
    replies = texts_of(await timed.recorded_answers.replies(THREAD))
    assert list(replies.values()) == [YES], "the other answer is in Slack only"


async def test_checkpoint_expires_with_the_texts(timed: Stores, clock: ManualClock) -> None:
    await timed.worker_queue.release(await begun(timed, asked(1)), Piece(0, "old"))
    await timed.erasure.expire(clock.now_s)
    assert await count(timed, checkpoints) == 1
    await timed.erasure.expire(clock.now_s + 1)
    assert await count(timed, checkpoints) == 0


async def test_live_jobs_do_not_expire(timed: Stores, clock: ManualClock) -> None:
    for number in (1, 2):
        await enqueued(timed, apart(number))
    await timed.worker_queue.claim(1)
    assert await timed.erasure.expire(clock.now_s + DAY_S) == 0


async def test_events_are_remembered_while_slack_may_redeliver_them(timed: Stores, clock: ManualClock) -> None:
    await enqueued(timed, asked(1))
    for passed_s, left in ((SLACK_RETRIES_S - 1, 1), (2, 0)):
        clock.now_s += passed_s
        await timed.erasure.expire(clock.now_s)
        assert await count(timed, seen_events) == left


async def answer_many(store: Stores, number: int) -> None:
    now = store.clock.now()
    async with store.database.engine.begin() as connection:
        values = [
            {"team_id": "T1", "channel_id": "C1", "thread_ts": f"{n}", "ts": f"{n}", "user_id": "U1", "text": "Why?"}
            for n in range(number)
        ]
        ended = [{**row, "files": [], "created_at": now, "status": "ended"} for row in values]
        await connection.execute(sa.insert(jobs), ended)
        ids = (await connection.scalars(sa.select(jobs.c.id))).all()
        answer = {"version": 0, "answer": "Yes.", "end_reason": "whole", "origins": [], "created_at": now}
        answers = [{"job_id": i, **answer} for i in ids]
        await connection.execute(sa.insert(turns), answers)


async def test_others_may_write_between_the_batches_of_retention(timed: Stores, clock: ManualClock) -> None:
    await answer_many(timed, MANY)
    written: list[int] = []

    @sa.event.listens_for(timed.database.engine.sync_engine, "after_cursor_execute")
    def note(_connection: object, cursor: sa.CursorResult[object], statement: str, *_: object) -> None:
        if statement.startswith(("UPDATE", "DELETE")):
            written.append(cursor.rowcount)

    assert await timed.erasure.expire(clock.now_s + DAY_S) == 2 * MANY
    # The clock stands still, so batches grow as far as they may.
    assert written[:3] == [50, 100, 100]
    assert sum(written) >= 2 * MANY


@pytest.mark.parametrize("number", range(len(expiries(0, 0))))
async def test_retention_finds_old_rows_by_an_index(on_file: Process, clock: ManualClock, number: int) -> None:
    store = await on_file("w1", clock)
    await answer_many(store, 10)
    expiry = expiries(clock.now_s, clock.now_s)[number]
    statement = expiry.due_rows.compile(store.database.engine.sync_engine, compile_kwargs={"literal_binds": True})
    async with store.database.engine.connect() as connection:
        plan = [str(row.detail) for row in await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}")]
    small = {
        "accounts",
        "sign_ins",
        "checkpoints",
        "steps",
        "slack_calls",
        "notifications",
        "pane_contexts",
        "schedules",
        "kept_tests",
    }
    if expiry.table.name not in small:
        assert any("INDEX ix_" in step for step in plan), plan
    assert not any(step.startswith(("SCAN jobs", "SCAN turns", "SCAN tool_calls")) for step in plan), plan


async def test_records_without_texts_are_removed_after_400_days(timed: Stores, clock: ManualClock) -> None:
    for question in (asked(1), asked(2, DIRECT)):
        await timed.worker_queue.finish(await begun(timed, question), DONE, YES)
    await timed.participants.mark_group(THREAD, "1.0")
    await timed.participants.record_line(THREAD, "U2", "2.0")
    await timed.participants.set_quiet(THREAD, quiet=True, ts="2.0")
    answer = await timed.recorded_answers.answer_of_job(THREAD, 1)
    assert answer
    await timed.recorded_answers.record_feedback(answer, "U1", 1)
    clock.now_s += RECORDS_KEPT_S - DAY_S
    await timed.worker_queue.finish(await begun(timed, asked(3, DIRECT)), End(EndReason.WHOLE), "Yes.")
    await timed.erasure.expire(clock.now_s - 30 * DAY_S)
    assert await count(timed, jobs) == 3
    clock.now_s += 2 * DAY_S
    await timed.erasure.expire(clock.now_s - 30 * DAY_S)
    assert [await count(timed, table) for table in (jobs, turns, feedback, *THREAD_TABLES)] == [1, 1, 0, 0, 0, 0]


async def test_records_are_kept_as_long_as_texts_are(timed: Stores, clock: ManualClock) -> None:
    await answer_many(timed, 1)
    clock.now_s += 2 * RECORDS_KEPT_S
    await timed.erasure.expire(clock.now_s - 3 * RECORDS_KEPT_S)
    assert await count(timed, jobs) == 1


def text_columns() -> Iterable[tuple[sa.Table, sa.Column[Any]]]:
    for column in all_columns():
        if isinstance(column.type, sa.Text | sa.JSON | sa.types.TypeDecorator):
            yield column.table, column


PERSON, OTHER = "U0PERSON77", "U0OTHER88"
NAMES_A_PERSON = {
    *(f"{column.table.name}.{column.name}" for column in all_columns() if isinstance(column.type, OwnerId | MemberId)),
    *HAVE_OWN_RULES,
}
CODES = {
    # Names and numbers that Typist, Slack or a vendor makes, which say nothing of what was written.
    *("jobs.status", "jobs.end_reason", "jobs.worker", "jobs.messages", "jobs.edited_ts", "jobs.ts"),
    *("messages_beside.role", "messages_beside.ts"),
    *("jobs.asked_as", "jobs.wish"),
    *("turns.model", "turns.end_reason", "turns.prompt_version", "steps.model", "feedback.model"),
    "feedback.reason",
    *("feedback.prompt_version", "tool_calls.call_id", "tool_calls.tool", "tool_calls.definition_hash"),
    *(
        "tool_calls.state",
        "tool_calls.decision",
        "workers.worker",
        "charges.model",
        "charges.worker",
        "slack_calls.method",
    ),
    *("slack_calls.worker", "outbox_entries.kind", "notifications.kind", "notifications.key", "seen_events.event_id"),
    *(
        "group_threads.since_ts",
        "thread_lines.ts",
        "quiet_threads.switched_ts",
        "pane_contexts.channel_id",
        "pane_contexts.message_ts",
        "pane_contexts.canvas_id",
        "memories.ts",
        "allowed_tools.tool",
        "allowed_tools.definition_hash",
    ),
    *("tool_pins.tool", "tool_pins.definition_hash"),
    *("learned_budgets.budget", "outbox_entries.about", "caps.scope", "caps.period"),
    "account_kinds.kind",
    *("schedules.cron", "schedules.zone", "schedules.paused"),
    *("listening.held_by", "listening.progress", "listening.report"),
    *("accounts.server", "accounts.scope", "sign_ins.state_hash", "sign_ins.server", "sign_ins.call"),
    *("oauth_clients.issuer", "oauth_clients.redirect_uri", "oauth_clients.secret"),
    *("audit_entries.kind", "audit_entries.facts", "audit_entries.ts", "audit_entries.arguments_hash"),
}
PLACES = {"team_id", "channel_id", "thread_ts"}
OF_CHANNELS = {column.name for table, column in text_columns() if table is channel_settings} - PLACES
ADMINS_SETTINGS = {"tool_pins.definition", *(f"channel_settings.{name}" for name in OF_CHANNELS)}
"""They hold until an admin changes them, and don't say who wrote them."""
OF_NO_THREAD = {
    *("schedules.text", "schedules.only_if", "schedules.accounts"),
    *("accounts.secret", "sign_ins.secret", "notifications.content"),
}


@cache
def marked_columns() -> frozenset[str]:
    """Returns all columns that can hold a person's or a model's words."""
    columns = {f"{table.name}.{column.name}" for table, column in text_columns() if column.name not in PLACES}
    return frozenset(columns - NAMES_A_PERSON - CODES)


def marker(column: str, owner: str) -> str:
    return f"~{column}~{owner}~"


def values(table: sa.Table, owner: str, number: int, length: int) -> dict[str, Any]:
    """Returns a row in which every text column is marked as the owner's; other values are as small as possible."""
    row = {column.key: value(column, owner, number, length) for column in table.columns}
    filled_in = {name: value for name, value in row.items() if value is not None}
    fixed = FIXED[table.name](owner, number) if table.name in FIXED else {}
    return {**filled_in, **fixed}


def value(column: sa.Column[Any], owner: str, number: int, length: int) -> Any:
    name = f"{column.table.name}.{column.name}"
    if column.name in PLACES:
        return place(owner)[column.name]
    if name in marked_columns():
        text = marker(name, owner) * length
        return {**place(owner), "quote": text} if isinstance(column.type, sa.JSON) else text
    if name in NAMES_A_PERSON:
        return PERSON if owner == "theirs" or not column.primary_key else OTHER
    match column.type:
        case sa.Text() | SafeText():
            return f"{owner}{number}"
        case sa.JSON():
            return []
        case sa.Boolean():
            return False
    return number if column.name in {"id", "job_id"} else None if column.nullable else 1


def place(owner: str) -> dict[str, Any]:
    return {"team_id": "T1", "channel_id": "C1" if owner == "theirs" else "C2", "thread_ts": "1.000100"}


FIXED: Mapping[str, Any] = {
    "jobs": lambda owner, number: {
        "user_id": PERSON if owner == "theirs" else OTHER,
        "status": "ended",
        "ts": f"1.{number:06d}",
        "answered_with": None,
    },
    "charges": lambda owner, number: {"day": 20_000},
    "memories": lambda owner, number: {
        "number": number,
        "ts": f"1.{number:06d}",
        **dict.fromkeys(("user_id", "changed_by"), PERSON if owner == "theirs" else OTHER),
    },
    "caps": lambda owner, number: {"scope": "user"},
    "sign_ins": lambda owner, number: {"user_id": PERSON if owner == "theirs" else OTHER},
    # Those whose single time has passed.
    "schedules": lambda owner, number: {"user_id": PERSON if owner == "theirs" else OTHER, "cron": "", "once_at": 1.0},
    "tool_calls": lambda owner, number: {"index": 0},
    # PostgreSQL counts only the ids that it chooses itself.
    "audit_entries": lambda owner, number: {"id": 1_000 + number},
}

JOBS_OF_EACH = 40
"""So many that SQLite's pages split and are balanced again when rows go."""


@pytest.fixture(params=["file", pytest.param("postgresql", marks=pytest.mark.long)])
def shared_url(request: pytest.FixtureRequest) -> str:
    """Returns a database's URL. Filling and reading one takes 3 s, and both kinds run the same statements."""
    url: str = request.getfixturevalue("sqlite_url" if request.param == "file" else "postgresql_url")
    return url


@pytest.fixture
async def filled(process: Process) -> Stores:
    """Returns a store with rows of the person ("theirs") and of others ("others") in every table."""
    store = await process()
    rows = [
        (owner, 2 * number + place, (1, 3, 40, 200)[number % 4])
        for number in range(JOBS_OF_EACH)
        for place, owner in enumerate(("theirs", "others"))
    ]
    async with store.database.engine.begin() as connection:
        for table in metadata.sorted_tables:
            if table.name == "workers":
                continue
            by_key: dict[tuple[Any, ...], dict[str, Any]] = {}
            for owner, number, length in rows:
                row = values(table, owner, number + 1, length)
                by_key.setdefault(tuple(row[column.name] for column in table.primary_key), row)
            await connection.execute(sa.insert(table), list(by_key.values()))
    return store


def contents(url: str) -> bytes:
    if url.startswith("sqlite"):
        folder = Path(url.removeprefix("sqlite:///")).parent
        return b"\0".join(file.read_bytes() for file in sorted(folder.iterdir()))
    dumped = b""
    with psycopg.connect(url) as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()").fetchall()
        for (name,) in names:
            with connection.cursor().copy(f'COPY "{name}" TO STDOUT'.encode()) as rows:
                dumped += b"".join(bytes(row) for row in rows)
    return dumped


def found(url: str, owner: str) -> set[str]:
    """Returns the columns whose markers are in the database, with the columns that name the person as `PERSON`."""
    everything = contents(url)
    columns = {column for column in marked_columns() if marker(column, owner).encode() in everything}
    return columns | ({PERSON} if PERSON.encode() in everything else set())


def test_every_listed_column_exists() -> None:
    existing = {f"{table.name}.{column.name}" for table, column in text_columns()}
    assert existing >= NAMES_A_PERSON | CODES


@pytest.mark.usefixtures("filled")
def test_every_column_is_filled_before_erasure(shared_url: str) -> None:
    assert found(shared_url, "theirs") == marked_columns() | {PERSON}


ALL_OF_THEM = {*marked_columns(), PERSON}


@pytest.mark.parametrize(
    ("erased", "theirs", "others"),
    [
        # Prompts of others' answers may have the person's words.
        ({"user_id": PERSON}, ADMINS_SETTINGS, marked_columns() - {"steps.beginning"}),
        ({"thread": ThreadKey("T1", "C1", "1.000100")}, ADMINS_SETTINGS | OF_NO_THREAD | {PERSON}, ALL_OF_THEM),
        ({}, ADMINS_SETTINGS, ADMINS_SETTINGS),
    ],
    ids=["a person", "a thread", "everything"],
)
async def test_erasure_leaves_no_trace_of_what_it_erases_and_all_else(
    filled: Stores, shared_url: str, erased: dict[str, Any], theirs: set[str], others: set[str]
) -> None:
    await filled.erasure.erase(**erased)
    assert found(shared_url, "theirs") <= theirs
    assert found(shared_url, "others") == others


async def test_erasing_a_person_leaves_no_sum_and_no_notice_of_their_direct_messages(
    process: Process, shared_url: str
) -> None:
    store = await process("w1")
    await store.question_queue.enqueue("Ev1", asked(1, ThreadKey("T1", "D0DIRECT77", None)))
    [job] = await store.worker_queue.claim(1)
    await store.worker_queue.finish(job, DONE, YES)
    await store.notifications.claim("T1", "", f"title {job.question.thread}")
    assert b"D0DIRECT77" in contents(shared_url)
    await store.erasure.erase(user_id="U1")
    assert b"D0DIRECT77" not in contents(shared_url)


@pytest.mark.parametrize("user_id", ["U1", None], ids=["person", "everything"])
@pytest.mark.parametrize("has_asked", [True, False])
async def test_erasing_a_person_leaves_no_setting_of_their_direct_message(
    process: Process, shared_url: str, user_id: str | None, has_asked: bool
) -> None:
    store = await process("w1")
    for place, by in (("D0DIRECT77", "U1"), ("C0TEAM88", "U1")):
        await store.channel_settings.write("T1", place, ChannelSettings(system_prompt=f"Words for {place}."), by)
        await store.approvals.allow_always(ThreadKey("T1", place, None), CALL, by)
    if has_asked:
        await store.question_queue.enqueue("Ev1", asked(1, ThreadKey("T1", "D0DIRECT77", None)))
    await store.erasure.erase(user_id=user_id)
    assert b"D0DIRECT77" not in contents(shared_url)
    assert (await store.channel_settings.read("T1", "C0TEAM88")).system_prompt == "Words for C0TEAM88."
    assert [tool.channel_id for tool in await store.approvals.allowed_tools()] == ["C0TEAM88"]


async def test_postgresql_is_asked_to_free_what_was_erased(on_server: Process, postgresql_url: str) -> None:
    store = await on_server("w1")
    began_at = SystemClock().now()
    await store.erasure.erase(user_id=PERSON)
    await_vacuum(postgresql_url, began_at)


def await_vacuum(url: str, since: float) -> None:
    """Returns once the server has counted a VACUUM of each table, which it does a moment later."""
    vacuumed = (
        "SELECT count(*) FROM pg_stat_user_tables "
        f"WHERE schemaname = current_schema() AND last_vacuum >= to_timestamp({since})"
    )
    deadline = time.monotonic() + WITHIN_S
    with psycopg.connect(url, autocommit=True) as connection:
        while connection.execute(vacuumed).fetchone() != (len(metadata.tables),):
            assert time.monotonic() < deadline
            time.sleep(0.05)


async def test_erasing_a_thread_leaves_no_notice_about_it(process: Process) -> None:
    store = await process("w1")
    thread, other = (ThreadKey("T1", "D1", f"1.0000{number}") for number in (10, 11))
    for named in (thread, other):
        await store.notifications.claim("T1", "", f"title {named}")
    await store.erasure.erase(thread=thread)
    given = [await store.notifications.is_known("T1", "", f"title {named}") for named in (thread, other)]
    assert given == [False, True]


async def test_no_word_is_left_after_its_retention_time(filled: Stores, shared_url: str) -> None:
    await filled.erasure.expire(SystemClock().now() - 86_400)
    assert found(shared_url, "theirs") <= ADMINS_SETTINGS | {PERSON}
    assert found(shared_url, "others") <= ADMINS_SETTINGS | {PERSON}


@pytest.mark.parametrize("by", ["user", "thread"])
async def test_answer_under_way_leaves_no_trace_once_it_has_ended(on_file: Process, sqlite_url: str, by: str) -> None:
    store = await on_file("w1")
    job = await begun(store, asked(1, text="a secret of mine"))
    await store.erasure.erase(user_id="U1" if by == "user" else None, thread=THREAD if by == "thread" else None)
    await store.worker_queue.heartbeat({job: StepEstimate()})
    await store.worker_queue.finish(job, DONE, YES)
    assert b"a secret of mine" not in contents(sqlite_url)
    assert YES.encode() not in contents(sqlite_url)
