"""The daily checks: Typist admins are told of each finding once, over all processes and restarts."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from bot import settings
from bot.checks.daily import notify_admins, retirement_sentences
from bot.checks.registry import Checkup
from bot.core.caps import DAY_S, HOUR_S
from bot.services.admin_notices import AdminNotices
from bot.slack.client import SlackClient, new_session
from bot.slack.manifest import app_manifest
from bot.store import Stores
from slack_sandbox.server import Sandbox
from tests.clocks import SteppedClock
from tests.services.notified import Recipients
from tests.streams.server import VendorRequest, VendorResponse, VendorServer, refusal

SEPTEMBER_1 = datetime(2026, 9, 1, tzinfo=UTC).timestamp()
SLACK = {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1"}


class Process:
    """One process after the other, with one database, and what admins read: the day, the admin and the sentence."""

    def __init__(self, folder: Path) -> None:
        self.clock = SteppedClock(SEPTEMBER_1)
        self.read: list[tuple[str, str, str]] = []
        self._url = f"sqlite:///{folder}/typist.db"

    async def run_for_days(self, days: int, admins: list[str], env: Mapping[str, str]) -> None:
        """Starts a process, which looks twice a day."""
        store = await Stores.open(self._url, "me", self.clock)
        notices = AdminNotices(store.notifications, "T1", admins)
        async with checkup(self.clock, env) as at:
            if at.settings.admins:
                at.slack.installation = await at.bot.installation()
            for _ in range(days):
                for later_s in (HOUR_S, DAY_S - HOUR_S):
                    await notify_admins(at, notices)
                    reading = Recipients()
                    await reading.get_due(store)
                    day = f"{datetime.fromtimestamp(self.clock.now(), UTC):%m-%d}"
                    self.read += ((day, *read) for read in reading.read)
                    self.clock.now_s += later_s
        await store.close()


@asynccontextmanager
async def checkup(clock: SteppedClock, env: Mapping[str, str]) -> AsyncIterator[Checkup]:
    ours = settings.read({**SLACK, "OPENAI_API_KEY": "sk-test", **env}, needs_slack=True)
    async with new_session() as session:
        yield Checkup(ours, clock, session, SlackClient(ours.slack_bot_token, ours.slack_api_url, session))


def announcing(ends: Mapping[str, Mapping[str, str]]) -> Callable[[VendorRequest], VendorResponse]:
    """Answers what a server says of its models: of some, when they end."""

    def answer(request: VendorRequest) -> VendorResponse:
        name = request.path.rpartition("/")[2]
        if name == "broken":
            return refusal(500, {"error": {"message": "down"}})
        body = {"id": name, "object": "model", "created": 1, "owned_by": "x"}
        return VendorResponse([json.dumps({**body, **ends.get(name, {})}).encode()], content_type="application/json")

    return answer


async def test_admin_reads_a_month_ahead_and_once_that_a_model_ends(tmp_path: Path) -> None:
    """Also over a restart; a server that tells nothing, or fails, is passed over in silence."""
    listed = {"deprecation": "2026-10-23", "deprecation_replacement_model": "newer"}
    process = Process(tmp_path)
    async with VendorServer() as vendor:
        vendor.script(announcing({"ending": listed, "later": {"shutdown_date": "2027-10-23"}}))
        models = ",".join(f"openai/{name}" for name in ("broken", "plain", "later", "ending"))
        for days in (30, 10):
            await process.run_for_days(
                days, ["U2", "U1"], {"BOT_MODELS": models, "OPENAI_BASE_URL": f"{vendor.url}/v1"}
            )
        asked = [request for request in vendor.requests if request.path.endswith("ending")]
    choose = "Choose another model in BOT_MODELS before then, such as newer."
    sentence = f"openai/ending retires on October 23, 2026. {choose}"
    assert process.read == [("09-23", "U1", sentence), ("09-23", "U2", sentence)]
    assert len(asked) == 40, "once a day"


async def test_model_retires_soon_from_a_month_before_its_last_day_to_that_day() -> None:
    days = [date(2026, 8, 31), date(2026, 9, 1), date(2026, 10, 1), date(2026, 10, 2)]
    async with VendorServer() as vendor:
        vendor.script(announcing({f"{day}": {"shutdown_date": f"{day}"} for day in days}))
        env = {"BOT_MODELS": ",".join(f"openai/{day}" for day in days), "OPENAI_BASE_URL": f"{vendor.url}/v1"}
        async with checkup(SteppedClock(SEPTEMBER_1 + DAY_S / 2), env) as at:
            soon = await retirement_sentences(at)
    assert [sentence.partition(".")[0] for sentence in soon] == [
        "openai/2026-09-01 retires on September 1, 2026",
        "openai/2026-10-01 retires on October 1, 2026",
    ]


@asynccontextmanager
async def slack_and_model() -> AsyncIterator[tuple[Sandbox, Mapping[str, str]]]:
    """Yields a Slack, and the settings of a process that uses it and a model that doesn't retire."""
    async with Sandbox(manifest=app_manifest()) as sandbox, VendorServer() as vendor:
        vendor.script(announcing({}))
        yield (
            sandbox,
            {
                "SLACK_BOT_TOKEN": sandbox.bot_token,
                "BOT_SLACK_API_URL": sandbox.api_url,
                "BOT_ADMINS": "U0ADA,U0KATHERINE",
                "BOT_MODELS": "openai/plain",
                "OPENAI_BASE_URL": f"{vendor.url}/v1",
            },
        )


async def test_the_other_admins_are_told_once_of_a_name_that_is_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    process = Process(tmp_path)
    async with slack_and_model() as (sandbox, env):
        for days in (3, 1):
            await process.run_for_days(days, ["U0ADA", "U0KATHERINE"], env)
        looks = [call for call in sandbox.calls if "U0KATHERINE" in str(call.arguments)]
    lost = "BOT_ADMINS includes U0KATHERINE, who is a deactivated account."
    fix = "Replace them in BOT_ADMINS with members of the workspace. Then restart Typist."
    assert process.read == [("09-01", "U0ADA", f"{lost} {fix}")]
    assert len(looks) == 4, "once a day"
    assert [message for message in caplog.messages if lost in message] == [f"setup: slack.named: {lost} {fix}"] * 4


async def test_admins_are_told_again_of_a_name_that_was_lost_found_and_lost(tmp_path: Path) -> None:
    process = Process(tmp_path)
    async with slack_and_model() as (sandbox, env):
        users = sandbox.workspace.users
        for is_deleted in (True, False, True):
            users["U0KATHERINE"] = replace(users["U0KATHERINE"], deleted=is_deleted)
            await process.run_for_days(2, ["U0ADA"], env)
    assert [day for day, _, _ in process.read] == ["09-01", "09-05"]


async def test_check_that_gets_no_answer_is_logged_and_not_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.checks.report.WITHIN_S", 0.2)
    process = Process(tmp_path)
    async with slack_and_model() as (sandbox, env):
        sandbox.faults.start("no_answer", method="users.info")
        await process.run_for_days(1, ["U0ADA"], {**env, "BOT_ADMINS": "U0ADA"})
    assert process.read == []
    assert "setup: slack.named: Slack didn't respond in time." in caplog.text
