"""The alert about an expensive day: when admins get it, and that it has no names or text."""

from collections.abc import AsyncIterator, Mapping

import pytest
import sqlalchemy as sa

from bot.core.caps import DAY_S, HOUR_S
from bot.core.texts.models import ModelNames
from bot.services.admin_notices import AdminNotices
from bot.services.cost_alert import CostAlert
from bot.store import Stores
from bot.store.schema import charges
from tests.clocks import ManualClock
from tests.services.notified import told_directly

TODAY = 20_000
TEAM = "T1"


@pytest.fixture
async def clock() -> ManualClock:
    return ManualClock(TODAY * DAY_S + 10 * HOUR_S)


@pytest.fixture
async def stores(clock: ManualClock) -> AsyncIterator[Stores]:
    opened = await Stores.open("sqlite://", "w1", clock)
    try:
        yield opened
    finally:
        await opened.close()


async def spend(stores: Stores, day: int, usd: float, user: str = "U1", channel: str = "C1", jobs: int = 1) -> None:
    row = {"team_id": TEAM, "channel_id": channel, "user_id": user, "day": day, "model": "openai/luna"}
    async with stores.database.engine.begin() as connection:
        for number in range(jobs):
            job_id = hash((day, user, channel, number)) % 10**9
            values = {**row, "job_id": job_id, "cost_usd": usd / jobs, "input_tokens": 10}
            await connection.execute(sa.insert(charges).values(values))


def alert_of(stores: Stores) -> CostAlert:
    async def is_direct(channel_id: str) -> bool:
        return channel_id.startswith("G")

    admins = AdminNotices(stores.notifications, TEAM, ("UADMIN", "UBOSS"))
    return CostAlert(stores, admins, ModelNames({"openai/luna": "Luna"}), is_direct)


def each(days: range, usd: float) -> dict[int, float]:
    return dict.fromkeys(days, usd)


BEFORE = range(TODAY - 14, TODAY)


@pytest.mark.parametrize(
    ("before", "today", "is_told"),
    [
        (each(BEFORE, 2.0), 6.0, True),
        (each(BEFORE, 2.0), 5.99, False),
        (each(BEFORE, 0.5), 4.99, False),
        (each(BEFORE, 0.5), 5.0, True),
        ({}, 5.0, True),
        ({}, 4.99, False),
        ({TODAY - 1: 6.0}, 17.9, False),
        ({TODAY - 1: 6.0}, 18.0, True),
        ({TODAY - 14: 7.0}, 5.0, True),
        ({TODAY - 15: 99.0}, 5.0, True),
        (each(BEFORE, 2.0), 0.0, False),
    ],
    ids=[
        "three times the mean",
        "a little less",
        "three times the mean, below five dollars",
        "five dollars",
        "no days before",
        "no days before, below five dollars",
        "one day before",
        "three times the one day before",
        "quiet days count since the first day with usage",
        "older days don't count",
        "nothing today",
    ],
)
async def test_admins_are_told_of_a_day_that_costs_three_times_the_mean_and_five_dollars(
    stores: Stores, before: Mapping[int, float], today: float, is_told: bool
) -> None:
    for day, usd in before.items():
        await spend(stores, day, usd)
    if today:
        await spend(stores, TODAY, today)
    await alert_of(stores).check()
    assert {admin for admin, _ in await told_directly(stores)} == ({"UADMIN", "UBOSS"} if is_told else set())


async def test_alert_has_the_channel_the_model_and_numbers_of_questions_and_comes_once(
    stores: Stores, clock: ManualClock
) -> None:
    for day in BEFORE:
        await spend(stores, day, 2.0)
    for user, jobs in (("U1", 1), ("U2", 40), ("U3", 12), ("U4", 7)):
        await spend(stores, TODAY, 4.0, user, "C1" if user == "U2" else "D1", jobs)
    await spend(stores, TODAY, 9.0, "U2", "G7")
    await alert_of(stores).check()
    told = dict(await told_directly(stores))
    assert set(told) == {"UADMIN", "UBOSS"}
    assert told["UADMIN"] == (
        "Today's answers have cost $25 so far (the average of the last two weeks is $2 a day). Of that, $12 was spent "
        "in direct messages. Luna accounts for $25. The most active people asked 41, 12 and 7 questions. To set "
        "quotas, open my Home tab."
    )
    assert not [user for user in ("U1", "U2", "U3", "U4") if user in told["UADMIN"]]
    for _ in range(3):
        clock.now_s += HOUR_S
        await spend(stores, TODAY, 50.0, "U1", "C1")
        await alert_of(stores).check()
    assert {text for _, text in await told_directly(stores)} <= set(told.values())
