"""What Typist admins read once a week (BOT_WEEKLY_REPORT): the figures of `typist usage`, and no name of an asker."""

import asyncio
import csv
import io
import json
import signal
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.clock import SystemClock
from bot.core.caps import DAY_S, day_of, format_day
from bot.core.conversation import Question, ThreadKey
from bot.core.job import End
from bot.core.schedules import parse_weekly_rule
from bot.core.texts.quotas import dollars
from bot.errors import EndReason
from bot.models.events import Usage
from bot.models.prices import ModelPrices
from bot.services import admin_notices
from bot.settings import Settings
from bot.store import Stores
from bot.store.accounts import Owner
from bot.store.schema import feedback, notifications
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.processes import WITHIN_S
from slack_sandbox.workspace import TEAM_ID, Message
from tests.clocks import LateClock, ManualClock
from tests.contracts.stores import enqueued
from tests.forked import forked_command
from tests.scenarios.conftest import Stage, running
from tests.scenarios.fleet import fleet_of
from tests.scenarios.process_ends import Step, die_at
from tests.streams.server import VendorResponse, VendorServer

MODEL = "openai/gpt-6.1-sol"
SECRET = "the words of a question"
DUE = "mon 9:00"
CHECK_INTERVAL_S = 0.2
HOLD_S = 8.0
"""How long a process has to send the report before another one looks for it."""


def due_day() -> int:
    """Returns the day of the newest report, in days of UTC since 1970."""
    now = time.time()
    return day_of(max(at for at in parse_weekly_rule(DUE).next_times(now - 8 * DAY_S, 2) if at <= now))


def ended(reason: EndReason, dollars: float = 0.0, first_token_s: float | None = None) -> End:
    """Returns an end for which the model charges so many dollars."""
    usage = Usage(round(dollars / 2 * 1_000_000), 0) if dollars else None
    return End(reason, model=MODEL if usage else None, usage=usage, first_token_s=first_token_s)


ASKED: Sequence[tuple[int, str, str, End]] = [
    # Days before the report, the asker, the channel, and how it ended.
    (8, "U0ADA", "C0GENERAL", ended(EndReason.WHOLE, 0.5, 9.0)),
    (7, "U0ADA", "C0GENERAL", ended(EndReason.WHOLE, 1.0, 1.0)),
    (6, "U0ALAN", "C0GENERAL", ended(EndReason.WHOLE, 0.25, 3.0)),
    (5, "U0ADA", "C0RANDOM", ended(EndReason.WHOLE, 0.25, 2.0)),
    (4, "U0ADA", "C0MPDM", ended(EndReason.WHOLE, 0.5, 4.5)),
    (3, "U0ALAN", "C0RANDOM", ended(EndReason.STOPPED)),
    (2, "U0ADA", "C0RANDOM", ended(EndReason.OVERLOADED)),
    (2, "U0ADA", "C0RANDOM", ended(EndReason.OVERLOADED)),
    (1, "U0ADA", "C0RANDOM", ended(EndReason.CONTEXT_TOO_LONG)),
    (1, "U0ALAN", "C0RANDOM", ended(EndReason.CAP_REACHED)),
    (1, "U0MARY", "C0RANDOM", ended(EndReason.DENIED)),
    (0, "U0ADA", "C0GENERAL", ended(EndReason.WHOLE, 3.0, 90.0)),
]
DISLIKED = [(2, "wrong"), (2, "too_long"), (3, "wrong"), (4, None), (5, None)]
"""Which of the questions has a 👎, and why."""


@pytest.fixture
async def used(database_url: str) -> str:
    """Returns a database with two weeks of usage, and a day of the next one."""
    clock = ManualClock()
    clock.now_s = (due_day() - 20.0) * DAY_S
    store = await Stores.open(database_url, "w1", clock, prices=ModelPrices())
    job_ids = []
    for number, (days_before, user_id, channel_id, end) in enumerate(ASKED):
        clock.now_s = (due_day() - days_before + 0.5) * DAY_S + number
        thread = ThreadKey(TEAM_ID, channel_id, f"{clock.now_s:.6f}")
        job_ids.append(await enqueued(store, Question(thread, f"{clock.now_s:.6f}", user_id, SECRET)))
        [job] = await store.worker_queue.claim(1)
        assert await store.worker_queue.finish(job, end, "An answer.")
    values = [
        {"job_id": job_ids[number], "user_id": f"U9{at}", "value": -1, "reason": why}
        for at, (number, why) in enumerate(DISLIKED)
    ]
    values += [{"job_id": job_ids[1], "user_id": "U8", "value": 1, "reason": None}]
    async with store.database.engine.begin() as connection:
        at = (due_day() - 1.0) * DAY_S
        await connection.execute(sa.insert(feedback), [{**value, "model": MODEL, "at": at} for value in values])
    clock.now_s = (due_day() - 1.0) * DAY_S
    for number, why in enumerate(["ended", "ended", "signed_out"]):
        owner = Owner(TEAM_ID, f"U{number}", "tracker")
        await store.accounts.sign_in(owner, f"secret {number}", "")
        assert await store.accounts.delete_account(owner, f"secret {number}", why)
    await store.close()
    return database_url


def looking_often(step: Step | None) -> None:
    """Has a process look all the time, and die at a step."""
    from bot.services import admin_notices, outbox
    from bot.store import notifications

    admin_notices.CHECK_INTERVAL_S = CHECK_INTERVAL_S
    vars(notifications)["OUTBOX_HOLD_S"] = HOLD_S
    vars(outbox)["TRY_TIMEOUT_S"] = HOLD_S / 2
    if step is not None:
        die_at(step)


async def all_sent(database_url: str, admins: int) -> None:
    """Waits until the report is on record as sent to each admin."""
    store = await Stores.open(database_url, "watching", SystemClock())
    sent = sa.select(sa.func.count()).where(notifications.c.key.startswith("weekly"), notifications.c.due_at.is_(None))
    async with asyncio.timeout(WITHIN_S):
        while True:
            async with store.database.engine.connect() as connection:
                if await connection.scalar(sent) == admins:
                    break
            await asyncio.sleep(CHECK_INTERVAL_S)
    await store.close()


def told(stage: Stage, user: str = "grace") -> list[Message]:
    return stage.bots(stage.sandbox.dm(user))


BEFORE, AFTER = (("bot.slack.surfaces", "Surfaces", "notify", is_after) for is_after in (False, True))
ADDED = ("bot.store.notifications", "Notifications", "add", True)
SENT = ("bot.slack.client", "PacedClient", "post", True)


@pytest.mark.parametrize(
    "step",
    [SENT, *(pytest.param(step, marks=pytest.mark.long) for step in (None, ADDED, BEFORE, AFTER))],
    ids=lambda step: f"{'after' if step[3] else 'before'} {step[2]}" if step else "none",
)
async def test_three_processes_send_one_report_whenever_one_of_them_is_killed(
    sandbox: Sandbox, vendor: VendorServer, used: str, tmp_path: Path, step: Step | None
) -> None:
    stage = Stage(sandbox, vendor)
    async with fleet_of(stage, tmp_path, used, BOT_WEEKLY_REPORT=DUE, BOT_ADMINS="U0GRACE, U0ALAN") as fleet:
        if step is not None:
            killed = await fleet.start(partial(looking_often, step))
            assert await asyncio.wait_for(killed.wait(), WITHIN_S) == -signal.SIGKILL
        await asyncio.gather(*(fleet.start(partial(looking_often, None)) for _ in range(3)))
        await all_sent(used, 2)
    assert [len(told(stage, user)) for user in ("grace", "alan")] == [1, 1]
    assert told(stage)[0].text == told(stage, "alan")[0].text


async def test_report_has_the_figures_of_typist_usage_and_names_no_asker(
    sandbox: Sandbox, vendor: VendorServer, used: str, tmp_path: Path
) -> None:
    stage = Stage(sandbox, vendor)
    await forked_command(tmp_path, "backup", "nightly", env={"DATABASE_URL": used})
    async with fleet_of(stage, tmp_path, used, BOT_WEEKLY_REPORT=DUE, BOT_ADMINS="U0GRACE") as fleet:
        await fleet.start(partial(looking_often, None))
        await sandbox.wait_for(lambda: told(stage))
    [message] = told(stage)
    first = format_day(due_day() - 14)
    by_week = ["usage", "--by", "week", "--since", first, "--csv"]
    code, out, _ = await forked_command(tmp_path, *by_week, env={"DATABASE_URL": used})
    assert code == 0
    before, week = list(csv.DictReader(io.StringIO(out)))[:2]
    assert week["week"] == format_day(due_day() - 7)
    lines = message.text.splitlines()
    assert lines[1:] == [
        f"*Questions*: {week['questions']} from {week['people']} people; {before['questions']} the week before",
        f"*Answers*: {week['answers']}, and {week['stopped']} stopped; {before['answers']} the week before",
        f"*Failed*: {week['failures']} (2 overloaded, 1 context too long); "
        f"{before['failures']} the week before (worse)",
        f"*Without an answer*: {week['unanswered']} (1 over a quota, 1 no access); "
        f"{before['unanswered']} the week before (worse)",
        f"*Feedback*: {week['thumbs_up']} 👍, {week['thumbs_down']} 👎 (2 wrong, 1 too long); "
        f"{before['thumbs_up']} 👍, {before['thumbs_down']} 👎 the week before (worse)",
        "*Most 👎*: 2 in <#C0GENERAL>, 2 in <#C0RANDOM> and 1 in direct messages",
        f"*First word*: {float(week['median_first_token_s']):.1f} s (median), "
        f"slowest {float(week['slowest_first_token_s']):.1f} s; "
        f"{float(before['median_first_token_s']):.1f} s the week before (better)",
        f"*Cost*: {dollars(float(week['cost_usd']))}; {dollars(float(before['cost_usd']))} the week before",
        "*Last backup*: less than a day ago",
        "*Sign-ins that ended*: 2 at tracker",
        f"To see both weeks in your terminal: `typist usage --by week --since {first} --csv`",
    ]
    assert (week["questions"], week["people"], week["answers"], week["unanswered"]) == ("10", "3", "4", "2")
    causes = {name: number for name, number in week.items() if name.startswith("failed_") and number != "0"}
    assert causes == {"failed_overloaded": "2", "failed_context_too_long": "1"}
    assert (week["wrong"], week["too_long"], week["not_meant"]) == ("2", "1", "0")
    assert [block["expand"] for block in message.blocks] == [True], "Slack folds long texts"
    blocks = str(message.blocks)
    assert not [name for name in ("U0ADA", "U0ALAN", "U0MARY", "C0MPDM", SECRET, "An answer") if name in blocks]


@pytest.mark.bot(on_disk=True, admins=frozenset({"U0GRACE"}), weekly_report=DUE)
async def test_report_comes_when_it_is_due_but_not_for_a_week_in_which_nobody_asked(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin_notices, "CHECK_INTERVAL_S", 0.05)
    clock, stage = LateClock(), Stage(sandbox, vendor)
    due_at = parse_weekly_rule(DUE).first_due_after(time.time())
    last_day = datetime.fromtimestamp(due_at, UTC).date() + timedelta(days=10)
    listed = {"id": "test", "object": "model", "created": 1, "deprecation": f"{last_day}"}
    vendor.has_all_models = False
    vendor.script(VendorResponse([json.dumps(listed).encode()], content_type="application/json"))
    asked = ManualClock()
    asked.now_s = due_at - DAY_S
    store = await Stores.open(settings.database_url, "w0", asked, prices=ModelPrices())
    thread = ThreadKey(TEAM_ID, "C0GENERAL", "1.000001")
    await enqueued(store, Question(thread, "1.000001", "U0ADA", SECRET))
    [job] = await store.worker_queue.claim(1)
    assert await store.worker_queue.finish(job, ended(EndReason.WHOLE), "An answer.")
    await store.close()
    async with running(settings, clock):
        # Slack doesn't let us look for earlier reports, so a report is sent anyway.
        sandbox.faults.start("refuse", method="users.conversations", error="missing_scope")
        clock.ahead_s = due_at - time.time() - 5.0
        await sandbox.wait_for(lambda: told(stage))
        assert clock.now() >= due_at
    [report] = told(stage)
    today = datetime.fromtimestamp(due_at, UTC).date()
    begun, over = today - timedelta(days=7), today - timedelta(days=1)
    days = f"from {begun:%B} {begun.day} to {over:%B} {over.day} (UTC)"
    assert report.text.splitlines()[0] == f"*My week {days}*"
    assert report.text.splitlines()[1:-1] == [
        "*Questions*: 1 from 1 person; 0 the week before",
        "*Answers*: 1, and 0 stopped; 0 the week before",
        "*Feedback*: 0 👍, 0 👎; 0 👍, 0 👎 the week before",
        "*Cost*: $0; $0 the week before",
        "*Last backup*: none with `typist backup`",
        f"openai/test retires on {last_day:%B} {last_day.day}, {last_day.year}. "
        "Choose another model in BOT_MODELS before then.",
    ]


@pytest.mark.long
async def test_bot_without_the_setting_does_not_import_the_report() -> None:
    code = "import sys, bot.wiring; sys.exit('bot.services.weekly_report' in sys.modules)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    assert await process.wait() == 0
