"""Health over real HTTP, and retention, which empties old texts every hour and retries after a failure."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import NoReturn

import aiohttp
import pytest
import sqlalchemy as sa

from bot import __version__
from bot.accounts import page as sign_in_page
from bot.core import texts
from bot.core.caps import DAY_S, HOUR_S
from bot.core.conversation import Question, ThreadKey
from bot.core.job import End
from bot.errors import EndReason, SettingsError, StoreError
from bot.services import operations
from bot.services.operations import (
    START_DELAY_S,
    Probes,
    RetentionRule,
    SlackTime,
    expire_hourly,
    serving,
)
from bot.store import Stores
from bot.store.schema import jobs
from bot.telemetry import Telemetry
from bot.telemetry_sdk import open_sdk
from slack_sandbox.testing.processes import WITHIN_S
from tests.clocks import SteppedClock
from tests.services.probes import WELL, none

LOCAL = "127.0.0.1"
DOWN = "The database can't be used: no route."


async def refuses() -> NoReturn:
    raise StoreError(DOWN)


async def hangs() -> NoReturn:
    await asyncio.Event().wait()
    raise AssertionError("nothing sets the event")


@asynccontextmanager
async def response_to(
    path: str, probes: Probes = WELL, telemetry: Telemetry | None = None, **headers: str
) -> AsyncIterator[aiohttp.ClientResponse]:
    async with (
        serving(LOCAL, 0, probes, telemetry) as port,
        aiohttp.ClientSession() as session,
        session.get(f"http://{LOCAL}:{port}{path}", headers=headers) as response,
    ):
        yield response


async def get(path: str, probes: Probes) -> tuple[int, dict[str, object]]:
    async with response_to(path, probes) as response:
        return response.status, await response.json()


async def test_working_process_is_ready() -> None:
    body = {"ok": True, "database": "ok", "slack": 2, "live": 7, "version": __version__}
    assert await get("/readyz", WELL) == (200, body)


@pytest.mark.parametrize("probes", [WELL, Probes()], ids=["working", "starting"])
async def test_process_whose_loop_runs_is_alive(probes: Probes) -> None:
    assert await get("/healthz", probes) == (200, {"ok": True, "version": __version__})


@pytest.mark.parametrize(
    ("probes", "fields"),
    [
        (replace(WELL, database=refuses), {"database": DOWN, "slack": 2}),
        (replace(WELL, database=hangs), {"database": "The database did not answer within 0 s."}),
        (replace(WELL, connections=none), {"database": "ok", "slack": 0}),
        (
            replace(WELL, token_refused=lambda: True, problem=lambda: "Reinstall."),
            {"slack": 2, "problem": "Reinstall."},
        ),
        (replace(WELL, is_stopping=lambda: True), {"slack": 2, "live": 7, "problem": "Typist is shutting down."}),
        (Probes(), {"database": "Typist is starting: the database is not open yet.", "slack": 0, "live": 0}),
    ],
    ids=[
        "no database",
        "a database that hangs",
        "no connection to Slack",
        "a refused token",
        "stopping",
        "starting",
    ],
)
async def test_process_that_is_not_ready_reports_the_problem(
    probes: Probes, fields: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "DATABASE_TIMEOUT_S", 0.05)
    status, body = await get("/readyz", probes)
    assert status == 503
    assert body == {**body, "ok": False, **fields}


async def scrape(probes: Probes) -> str:
    with open_sdk(with_metrics=True, traces_url="") as telemetry:
        async with response_to("/metrics", probes, telemetry) as response:
            assert response.content_type == "text/plain"
            return await response.text()


async def counted() -> int:
    return 4


async def test_scrape_reads_the_state_of_the_process() -> None:
    text = await scrape(replace(WELL, queued=counted))
    for line in ("typist_answers_live 7.0", "typist_jobs_waiting 4.0", "typist_slack_connections 2.0"):
        assert f"{line}\n" in text


async def test_scrape_leaves_out_what_the_database_does_not_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "DATABASE_TIMEOUT_S", 0.05)
    for waiting in (refuses, hangs):
        text = await scrape(replace(WELL, queued=waiting))
        assert "typist_answers_live 7.0\n" in text
        assert "typist_jobs_waiting " not in text


@pytest.mark.parametrize(("database", "writable"), [(WELL.database, 1), (refuses, 0), (hangs, 0)])
async def test_scrape_says_whether_the_database_takes_questions(
    database: Callable[[], Awaitable[None]], writable: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "DATABASE_TIMEOUT_S", 0.05)
    assert f"typist_database_writable {writable}.0\n" in await scrape(replace(WELL, database=database))


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *((host, 200) for host in ("127.0.0.1", "10.1.2.3:8080", "[::1]:8080", "localhost", "typist:8080")),
        *((host, 200) for host in ("typist.prod.svc", "10-1-2-3.typist.prod.pod.cluster.local.", "host.internal")),
        ("typist.localhost:8080", 200),
        *(
            (host, 421)
            for host in (
                "evil.example",
                "evil.example.:8080",
                "127.0.0.1.evil.example",
                "local.evil.example",
                "evil.example:80:80",
                "[::1",
            )
        ),
    ],
)
async def test_only_addresses_and_private_names_are_answered(host: str, status: int) -> None:
    """A web page can make its own name point to this machine, and then read what is served here."""
    async with response_to("/readyz", Host=host) as response:
        assert response.status == status


QUERY = "code=canary-code&state=canary-state&x=<script>"


async def arrived(query: str, server: str) -> tuple[str, str]:
    assert query.startswith("code=canary-code&state=canary-state")
    return texts.accounts.TYPE_CODE, "WDJBMJHT"


@asynccontextmanager
async def page(
    method: str, path: str, host: str, probes: Probes, url: str = ""
) -> AsyncIterator[aiohttp.ClientResponse]:
    async with (
        serving(LOCAL, 0, probes, public_url=url) as port,
        aiohttp.ClientSession() as session,
        session.request(method, f"http://{LOCAL}:{port}{path}", headers={"Host": host}) as response,
    ):
        yield response


@pytest.mark.parametrize(
    ("method", "path", "host", "status"),
    [
        *(("GET", "/oauth/callback", host, 200) for host in ("typist.example", "Typist.example.:443", "10.1.2.3")),
        ("GET", "/oauth/client.json", "typist.example", 200),
        ("GET", "/oauth/callback-jira", "typist.example", 200),
        ("GET", "/oauth/client/jira.json", "typist.example", 200),
        ("GET", "/oauth/callback-ji%2Fra", "typist.example", 421),
        ("GET", "/oauth/callback-jira/x", "typist.example", 421),
        ("GET", "/oauth/client.json", "evil.example", 421),
        ("GET", "/oauth/callback", "evil.example", 421),
        ("GET", "/oauth/callback/../../readyz", "typist.example", 421),
        ("GET", "/oauth/callback/", "typist.example", 421),
        *(("GET", path, "typist.example", 421) for path in ("/", "/healthz", "/readyz", "/metrics")),
        *((method, "/oauth/callback", "typist.example", 405) for method in ("HEAD", "POST", "PUT", "OPTIONS")),
    ],
)
async def test_public_name_reaches_only_the_page_of_sign_ins(method: str, path: str, host: str, status: int) -> None:
    probes = replace(WELL, on_redirect=arrived)
    async with page(method, f"{path}?{QUERY}", host, probes, "https://typist.example") as response:
        assert response.status == status


async def test_page_of_sign_ins_shows_a_code_and_nothing_of_the_request() -> None:
    probes = replace(WELL, on_redirect=arrived)
    async with page("GET", f"/oauth/callback?{QUERY}", "typist.example", probes, "https://typist.example") as response:
        text = await response.text()
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Content-Security-Policy"].startswith("default-src 'none';")
    assert f"<p>{escape(texts.accounts.TYPE_CODE)}<p><strong>WDJB-MJHT</strong><p>" in text
    assert escape(texts.accounts.NOT_YOURS) in text
    assert "canary" not in text
    assert "script" not in text


@pytest.mark.parametrize("arriving", [lambda *_: refuses(), lambda *_: hangs(), Probes().on_redirect])
async def test_page_of_sign_ins_answers_in_time_without_a_database(
    arriving: Callable[[str, str], Awaitable[tuple[str, str]]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(sign_in_page, "WITHIN_S", 0.05)
    probes = replace(WELL, on_redirect=arriving)
    async with page("GET", f"/oauth/callback?{QUERY}", "typist.example", probes, "https://typist.example") as response:
        assert response.status == 503
        assert escape(texts.accounts.TRY_AGAIN) in await response.text()
    assert "canary" not in caplog.text


async def test_page_of_sign_ins_is_served_only_with_an_address() -> None:
    async with page("GET", "/oauth/callback", LOCAL, WELL) as response:
        assert response.status == 404


async def test_no_other_path_is_served() -> None:
    async with response_to("/") as response:
        assert response.status == 404


async def test_taken_port_is_reported_as_a_settings_error() -> None:
    async with serving(LOCAL, 0, WELL) as port:
        with pytest.raises(SettingsError, match=rf"Can't listen on port \d+ of {LOCAL}: Address already in use"):
            async with serving(LOCAL, port, WELL):
                pass


@pytest.mark.parametrize(("host", "reached"), [("127.0.0.2", "127.0.0.2"), ("0.0.0.0", "127.0.0.3")])
async def test_port_is_open_on_the_chosen_address(host: str, reached: str) -> None:
    async with serving(host, 0, WELL) as port:
        is_ready, _ = await asyncio.to_thread(operations.ask_readiness, host, port)
        _, writer = await asyncio.open_connection(reached, port)
        writer.close()
        await writer.wait_closed()
    assert is_ready


async def test_port_is_closed_on_other_addresses() -> None:
    async with serving(LOCAL, 0, WELL) as port:
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.2", port)


DAYS = 30
ASKED_AT = 1_700_000_000.0


@dataclass
class Retention:
    """A database with one answered question, and the loop that expires its texts, some days after the question."""

    store: Stores
    clock: SteppedClock
    slack_time: SlackTime
    loop: asyncio.Task[None] | None = None

    async def until_next(self, *more: RetentionRule) -> None:
        """Begins, or goes on to the next hour; ends once everything of that time is done."""
        if self.loop is None:
            kept = [RetentionRule("texts", self.store.erasure.expire, DAYS), *more]
            self.loop = asyncio.create_task(expire_hourly(kept, self.clock, self.slack_time))
            assert await asyncio.wait_for(self.clock.slept.get(), WITHIN_S) == START_DELAY_S
            self.clock.advance(START_DELAY_S)
        else:
            self.clock.advance(HOUR_S)
        assert await asyncio.wait_for(self.clock.slept.get(), WITHIN_S) == HOUR_S

    async def texts(self) -> list[str]:
        async with self.store.database.engine.begin() as connection:
            return list((await connection.scalars(sa.select(jobs.c.text))).all())

    async def rename(self, table: str, name: str) -> None:
        async with self.store.database.engine.begin() as connection:
            await connection.execute(sa.text(f"ALTER TABLE {table} RENAME TO {name}"))


@pytest.fixture
async def retention(tmp_path: Path) -> AsyncIterator[Retention]:
    clock = SteppedClock(ASKED_AT)

    async def slack_time() -> float | None:
        return clock.now()

    store = await Stores.open(f"sqlite:///{tmp_path}/typist.db", "me", clock)
    await store.question_queue.enqueue("Ev1", Question(ThreadKey("T1", "C1", "1.000001"), "1.000001", "U1", "why?"))
    [job] = await store.worker_queue.claim(1)
    await store.worker_queue.finish(job, End(EndReason.WHOLE), "because")
    retention = Retention(store, clock, slack_time)
    yield retention
    assert retention.loop
    retention.loop.cancel()
    await store.close()


async def test_text_is_emptied_within_an_hour_of_its_retention_time(retention: Retention) -> None:
    retention.clock.now_s += DAYS * DAY_S - START_DELAY_S
    await retention.until_next()
    assert await retention.texts() == ["why?"]
    await retention.until_next()
    assert await retention.texts() == [""]


async def test_audit_entries_go_after_days_of_their_own(retention: Retention, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    retention.clock.now_s += (DAYS - 1) * DAY_S
    await retention.until_next(RetentionRule("audit entries", retention.store.erasure.expire_audit, DAYS - 2))
    assert "retention: removed: what=audit entries count=2 " in caplog.text
    assert await retention.store.audit.page(1, 100) == []
    assert await retention.texts() == ["why?"]


async def test_retention_is_retried_in_an_hour_after_a_database_failure(
    retention: Retention, caplog: pytest.LogCaptureFixture
) -> None:
    retention.clock.now_s += (DAYS + 1) * DAY_S
    await retention.rename("jobs", "away")
    await retention.until_next()
    assert "retrying in an hour" in caplog.text
    await retention.rename("away", "jobs")
    await retention.until_next()
    assert await retention.texts() == [""]


@pytest.mark.parametrize("ahead_s", [None, HOUR_S + 60, -(HOUR_S + 60), (DAYS + 1) * DAY_S])
async def test_nothing_is_erased_until_our_clock_agrees_with_slacks(
    retention: Retention, caplog: pytest.LogCaptureFixture, ahead_s: float | None
) -> None:
    retention.clock.now_s += (DAYS + 1) * DAY_S
    by_s = [ahead_s, HOUR_S]

    async def slack_time() -> float | None:
        ahead = by_s.pop(0)
        return None if ahead is None else retention.clock.now() - ahead

    retention.slack_time = slack_time
    await retention.until_next()
    assert await retention.texts() == ["why?"]
    assert "this clock and Slack's differ" in caplog.text
    await retention.until_next()
    assert await retention.texts() == [""]
