"""GET /healthz and GET /readyz over real HTTP: the body and the status."""

import asyncio
from dataclasses import replace
from typing import NoReturn

import aiohttp
import pytest

from bot import __version__
from bot.errors import SettingsError, StoreError
from bot.services import health
from bot.services.health import Probes, serving
from bot.telemetry_sdk import opened
from tests.services.probes import WELL, none

LOCAL = "127.0.0.1"
DOWN = "The database can't be used: no route."


async def refuses() -> NoReturn:
    raise StoreError(DOWN)


async def hangs() -> NoReturn:
    await asyncio.Event().wait()
    raise AssertionError("nothing sets the event")


async def get(path: str, probes: Probes) -> tuple[int, dict[str, object]]:
    async with (
        serving(LOCAL, 0, probes) as port,
        aiohttp.ClientSession() as session,
        session.get(f"http://{LOCAL}:{port}{path}") as response,
    ):
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
        (replace(WELL, stopping=lambda: True), {"slack": 2, "live": 7, "problem": "Typist is shutting down."}),
        (Probes(), {"database": "Typist is starting: the database is not open yet.", "slack": 0, "live": 0}),
    ],
    ids=["no database", "a database that hangs", "no connection to Slack", "a refused token", "stopping", "starting"],
)
async def test_process_that_is_not_ready_reports_the_problem(
    probes: Probes, fields: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "DATABASE_TIMEOUT_S", 0.05)
    status, body = await get("/readyz", probes)
    assert status == 503
    assert body == {**body, "ok": False, **fields}


async def scrape(probes: Probes) -> str:
    """Returns what /metrics says."""
    with opened(with_metrics=True, traces_url="") as telemetry:
        async with (
            serving("127.0.0.1", 0, probes, telemetry) as port,
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{port}/metrics") as response,
        ):
            assert response.content_type == "text/plain"
            return await response.text()


async def counted() -> int:
    return 4


async def test_scrape_reads_the_state_of_the_process() -> None:
    text = await scrape(replace(WELL, waiting=counted))
    for line in ("typist_answers_live 7.0", "typist_jobs_waiting 4.0", "typist_slack_connections 2.0"):
        assert f"{line}\n" in text


async def test_scrape_leaves_out_what_the_database_does_not_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "DATABASE_TIMEOUT_S", 0.05)
    for waiting in (refuses, hangs):
        text = await scrape(replace(WELL, waiting=waiting))
        assert "typist_answers_live 7.0\n" in text
        assert "typist_jobs_waiting " not in text


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *((host, 200) for host in ("127.0.0.1", "10.1.2.3:8080", "[::1]:8080", "localhost", "typist:8080")),
        *((host, 200) for host in ("typist.prod.svc", "10-1-2-3.typist.prod.pod.cluster.local.", "host.internal")),
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
    async with (
        serving(LOCAL, 0, WELL) as port,
        aiohttp.ClientSession() as session,
        session.get(f"http://{LOCAL}:{port}/readyz", headers={"Host": host}) as response,
    ):
        assert response.status == status


async def test_no_other_path_is_served() -> None:
    async with (
        serving(LOCAL, 0, WELL) as port,
        aiohttp.ClientSession() as session,
        session.get(f"http://{LOCAL}:{port}/") as response,
    ):
        assert response.status == 404


async def test_taken_port_is_reported_as_a_settings_error() -> None:
    async with serving(LOCAL, 0, WELL) as port:
        with pytest.raises(SettingsError, match=rf"Can't listen on port \d+ of {LOCAL}: Address already in use"):
            async with serving(LOCAL, port, WELL):
                pass


@pytest.mark.parametrize(("host", "reached"), [("127.0.0.2", "127.0.0.2"), ("0.0.0.0", "127.0.0.3")])
async def test_port_is_open_on_the_chosen_address(host: str, reached: str) -> None:
    async with serving(host, 0, WELL) as port:
        is_ready, _ = await asyncio.to_thread(health.ask, host, port)
        _, writer = await asyncio.open_connection(reached, port)
        writer.close()
        await writer.wait_closed()
    assert is_ready


async def test_port_is_closed_on_other_addresses() -> None:
    async with serving(LOCAL, 0, WELL) as port:
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.2", port)
