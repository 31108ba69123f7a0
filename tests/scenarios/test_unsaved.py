"""A database that answers and takes no question: a full disk, a server that turned read-only.

Askers read a sentence once, whatever Slack delivers again and to which process, and are answered once the database
takes questions again.
"""

import socket
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import pytest
import sqlalchemy as sa

from bot.core import texts
from bot.services.operations import UNSAVED
from bot.settings import Settings
from slack_sandbox.server import Sandbox
from tests.contracts.databases import PostgresqlServer, set_read_only
from tests.scenarios.conftest import Stage, running
from tests.scenarios.surfaces import ephemerals
from tests.streams.server import VendorServer

pytestmark = pytest.mark.skips_waits

LONG = "why " * 3_000
"""SQLite needs new pages for it."""


@dataclass
class Switched:
    """A database whose room a test takes away, and the number of processes that may share it."""

    url: str
    processes: int
    take_away: Callable[[], object]
    give_back: Callable[[], object]
    reason: str
    """What /readyz says of it."""


@pytest.fixture(params=["full disk", "read-only server"])
def switched(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Switched]:
    if request.param == "full disk":
        full = tmp_path / "full"

        def fill(connection: sa.Connection) -> None:
            connection.exec_driver_sql(f"PRAGMA max_page_count = {1 if full.exists() else 1_000_000}")

        sa.event.listen(sa.Engine, "begin", fill)
        yield Switched(f"sqlite:///{tmp_path}/typist.db", 1, full.touch, full.unlink, UNSAVED)
        sa.event.remove(sa.Engine, "begin", fill)
        return
    server: PostgresqlServer = request.getfixturevalue("own_server")

    def turn(*, on: bool) -> Callable[[], object]:
        return lambda: set_read_only(server.url, is_on=on)

    yield Switched(server.url, 2, turn(on=True), turn(on=False), "read-only transaction")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def ready(port: int) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/readyz") as response:
        return response.status, (await response.json())["database"]


@pytest.mark.empty_database
async def test_askers_read_once_that_their_question_is_not_saved(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings, switched: Switched
) -> None:
    stage, port = Stage(sandbox, vendor), free_port()
    async with AsyncExitStack() as stack:
        for number in range(switched.processes):
            health_at = ("127.0.0.1", port) if number == 0 else None
            ours = replace(settings, database_url=switched.url, health_at=health_at)
            await stack.enter_async_context(running(ours))
        assert await ready(port) == (200, "ok")
        switched.take_away()
        direct = stage.sandbox.dm("grace")
        await stage.mention(LONG)
        await stage.sandbox.say("grace", direct, LONG)
        tries = 1 + len(stage.sandbox.redelivery_delays_s)
        await stage.sandbox.wait_for(
            lambda: (
                len(stage.sandbox.deliveries) == 3
                and all(len(delivery.sent_at_s) == tries for delivery in stage.sandbox.deliveries)
            )
        )
        await stage.sandbox.wait_for(lambda: len(ephemerals(stage)) == 2)
        status, problem = await ready(port)
        assert status == 503
        assert switched.reason in problem
        switched.give_back()
        assert await stage.answers("general", await stage.mention()) == ["The whole answer."]
        assert await ready(port) == (200, "ok")
        assert sorted(ephemerals(stage)) == [("U0ADA", texts.NOT_SAVED_YET), ("U0GRACE", texts.NOT_SAVED_YET)]
