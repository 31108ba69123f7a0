"""GET /health over real HTTP: the body and the status."""

import asyncio
from dataclasses import replace

import aiohttp
import pytest

from bot import __version__
from bot.errors import SettingsError, StoreError
from bot.services import health
from bot.services.health import Probes, serving
from tests.services.probes import WELL, none

DOWN = "The database can't be used: no route."


async def refuses() -> None:
    raise StoreError(DOWN)


async def hangs() -> None:
    await asyncio.Event().wait()


async def get_health(probes: Probes) -> tuple[int, dict[str, object]]:
    async with (
        serving(0, probes) as port,
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/health") as response,
    ):
        return response.status, await response.json()


async def test_working_process_is_healthy() -> None:
    body = {"ok": True, "database": "ok", "slack": 2, "live": 7, "version": __version__}
    assert await get_health(WELL) == (200, body)


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
        (Probes(), {"database": "Typist is starting: the database is not open yet.", "slack": 0, "live": 0}),
    ],
    ids=["no database", "a database that hangs", "no connection to Slack", "a refused token", "starting"],
)
async def test_unhealthy_process_reports_the_problem(
    probes: Probes, fields: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "DATABASE_TIMEOUT_S", 0.05)
    status, body = await get_health(probes)
    assert status == 503
    assert body == {**body, "ok": False, **fields}


async def test_no_other_path_is_served() -> None:
    async with (
        serving(0, WELL) as port,
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/") as response,
    ):
        assert response.status == 404


async def test_taken_port_is_reported_as_a_settings_error() -> None:
    async with serving(0, WELL) as port:
        with pytest.raises(SettingsError, match=r"Can't listen on BOT_HEALTH_PORT \d+: Address already in use"):
            async with serving(port, WELL):
                pass
