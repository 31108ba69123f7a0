"""A database that answers and takes no question: a full disk, a server that turned read-only.

Askers read a sentence once, whatever Slack delivers again and to which process, and are answered once the database
takes questions again.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.clock import SystemClock
from bot.core import texts
from bot.core.actions import ReplyAction
from bot.core.channel_settings import ChannelSettings
from bot.core.triage import Engagement
from bot.settings import Settings
from bot.store import Stores
from bot.store.schema import jobs
from slack_sandbox.server import Sandbox
from slack_sandbox.workspace import TEAM_ID
from tests.clocks import until_read
from tests.contracts.databases import PostgresqlServer, needs_mount, set_read_only
from tests.processes import own_port
from tests.scenarios.answers import press
from tests.scenarios.conftest import Stage, running
from tests.scenarios.surfaces import ephemerals
from tests.streams.server import VendorServer

pytestmark = [pytest.mark.skips_waits, pytest.mark.slack(ack_timeout_s=Sandbox.ack_timeout_s)]

LONG = f"why {random.Random(1).randbytes(6_000).hex()}"
"""A database needs new pages for it, however well it compresses."""


@dataclass
class Switched:
    """A database whose room a test takes away, and the number of processes that may share it."""

    url: str
    processes: int
    take_away: Callable[[], object]
    give_back: Callable[[], object]
    reason: str
    """What /readyz says of it."""


@pytest.fixture(
    params=[
        "full disk",
        pytest.param("read-only file", marks=pytest.mark.long),
        pytest.param("read-only server", marks=pytest.mark.wide),
        pytest.param("full tablespace", marks=[pytest.mark.wide, needs_mount]),
    ]
)
def switched(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Switched]:
    if request.param == "full tablespace":
        with request.getfixturevalue("own_server").small_disk() as (url, filler):

            def fill() -> None:
                with suppress(OSError), filler.open("wb") as file:
                    while file.write(bytes(4096)):
                        file.flush()

            yield Switched(url, 2, fill, filler.unlink, "No space left on device")
        return
    if request.param != "read-only server":
        taken = tmp_path / "taken"

        def take_away(connection: sa.Connection) -> None:
            if request.param == "full disk":
                connection.exec_driver_sql(f"PRAGMA max_page_count = {1 if taken.exists() else 1_000_000}")
            else:
                connection.exec_driver_sql(f"PRAGMA query_only = {taken.exists():d}")

        reason = "disk is full" if request.param == "full disk" else "readonly database"
        sa.event.listen(sa.Engine, "begin", take_away)
        yield Switched(f"sqlite:///{tmp_path}/typist.db", 1, taken.touch, taken.unlink, reason)
        sa.event.remove(sa.Engine, "begin", take_away)
        return
    server: PostgresqlServer = request.getfixturevalue("own_server")

    def turn(*, on: bool) -> Callable[[], object]:
        return lambda: set_read_only(server.url, is_on=on)

    yield Switched(server.url, 2, turn(on=True), turn(on=False), "read-only transaction")


async def ready(port: int) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/readyz") as response:
        return response.status, (await response.json())["database"]


async def is_ready(port: int) -> bool:
    return await ready(port) == (200, "ok")


@pytest.mark.empty_database
async def test_askers_read_once_that_their_question_is_not_saved(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings, switched: Switched
) -> None:
    stage, port = Stage(sandbox, vendor), own_port()
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
        await until_read(lambda: is_ready(port), "readiness once what failed is done")
        assert sorted(ephemerals(stage)) == [
            ("U0ADA", texts.shortcut.NOT_SAVED_YET),
            ("U0GRACE", texts.shortcut.NOT_SAVED_YET),
        ]


@pytest.mark.empty_database
@pytest.mark.parametrize("switched", ["read-only file", "read-only server"], indirect=True)
@pytest.mark.long(after_row=1)
async def test_askers_without_a_mention_read_it_too_and_are_answered_once_afterwards(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings, switched: Switched
) -> None:
    """By a follow-up, as the first or second person in a thread, and by an emoji. Slack sends no press again."""
    sandbox.redelivery_delays_s = (0.0, 300.0)
    stage, general = Stage(sandbox, vendor), sandbox.workspace.channel("general").id
    stores = await Stores.open(switched.url, "setting up", SystemClock())
    chosen = ChannelSettings(reaction="eyes", engagement=Engagement.EVERYONE)
    await stores.channel_settings.write(TEAM_ID, general, chosen)
    joined = f"{texts.access.SOMEBODY_JOINED[Engagement.EVERYONE]}\n\nButton: {texts.access.STAY_QUIET}."
    async with AsyncExitStack() as stack:
        stack.push_async_callback(stores.close)
        for _ in range(switched.processes):
            await stack.enter_async_context(running(replace(settings, database_url=switched.url)))
        asked = await stage.mention()
        await stage.answers("general", asked)
        await until_read(lambda: stores.database.read(all_ended), "the record of the answer")
        remark = await stage.sandbox.say("ada", "general", "The deploy failed.")
        await stage.delivered()
        switched.take_away()
        (answer,) = stage.bots("general", asked)
        assert await press(stage, answer, ReplyAction.REGENERATE) == texts.actions.ACTION_FAILED
        await stage.sandbox.say("ada", "general", "and then?", asked)
        await stage.sandbox.say("grace", "general", "and for me?", asked)
        await stage.sandbox.react("alan", "general", remark, "eyes")
        told = {(user, texts.shortcut.NOT_SAVED_YET) for user in ("U0ADA", "U0GRACE", "U0ALAN")}
        told.add(("U0ADA", texts.actions.ACTION_FAILED))
        await stage.sandbox.wait_for(lambda: told <= set(ephemerals(stage)))
        switched.give_back()
        answered = await stage.answers("general", asked, count=3, timeout_s=600)
        assert answered == ["The whole answer."] * 3
        assert len(await stage.answers("general", remark, count=2, timeout_s=600)) == 2
        assert sorted(pair for pair in ephemerals(stage) if pair[1] != joined) == sorted(told)


async def all_ended(connection: AsyncConnection) -> bool:
    is_live = jobs.c.status.in_(("queued", "running"))
    return not await connection.scalar(sa.select(sa.func.count()).where(is_live))
