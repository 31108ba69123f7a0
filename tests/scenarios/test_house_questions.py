"""BOT_HOUSE_QUESTIONS: kept tests run at a weekly time and after a change, and admins read only about failures."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from bot.clock import SystemClock
from bot.core.channel_settings import ChannelSettings
from bot.core.kept_tests import Check, CheckKind
from bot.core.schedules import parse_weekly_rule
from bot.errors import ProviderError
from bot.services import admin_notices, house_questions
from bot.services.admin_notices import AdminNotices
from bot.services.answering import Answering
from bot.services.house_questions import HouseQuestions
from bot.settings import Settings, read
from bot.wiring import open_answering
from slack_sandbox.server import Sandbox
from slack_sandbox.workspace import TEAM_ID
from tests.scenarios.conftest import Stage, running, says
from tests.scenarios.test_replay import Recorded, settled, written
from tests.scenarios.test_replay import recorded as recorded
from tests.scenarios.test_replay_kept import keep, word
from tests.services.notified import told_directly
from tests.streams.server import VendorServer, refusal


@pytest.fixture
async def answering(recorded: Recorded) -> AsyncIterator[Answering]:
    """Returns what the bot runs its tests with. Questions 1 (public) and 4 (random) are kept, and 5 in a direct
    message."""
    await keep(recorded, {number: [word("word")] for number in (1, 4, 5)})
    async with open_answering(read(recorded.env, needs_model=True), SystemClock(), has_tools=True) as opened:
        yield opened


def house(answering: Answering, rule: str = "mon 8:00") -> HouseQuestions:
    """Returns the house questions of a process that has just started."""
    admins = AdminNotices(answering.stores.notifications, TEAM_ID, ("U0GRACE",))
    return HouseQuestions(parse_weekly_rule(rule), answering, admins)


async def told(answering: Answering) -> list[str]:
    return [text for _, text in await told_directly(answering.stores)]


async def test_unchanged_bot_is_tested_once_a_week_and_nobody_is_told(recorded: Recorded, answering: Answering) -> None:
    for _ in range(2):
        await house(answering).check()
        assert recorded.asked() == [1, 4, 5]
    await house(answering, "tue 8:00").check()
    assert recorded.asked() == [1, 4, 5] * 2
    assert await told(answering) == []
    assert written(recorded.sandbox.calls) == []


async def test_change_of_a_channel_runs_that_channels_tests(recorded: Recorded, answering: Answering) -> None:
    await house(answering).check()
    for change in (ChannelSettings(system_prompt="Be brief."), ChannelSettings(model="openai/other")):
        recorded.vendor.requests.clear()
        await answering.stores.channel_settings.write(TEAM_ID, "C0RANDOM", change)
        await house(answering).check()
        assert recorded.asked() == [4]


async def test_admins_read_about_failures_with_before_and_after_and_no_text_of_private_conversations(
    recorded: Recorded, answering: Answering
) -> None:
    recorded.vendor.script(lambda _: says("Something <!channel> else."))
    await house(answering).check()
    [message] = await told(answering)
    assert message.startswith("3 of 3 kept tests failed.\n")
    assert "What is number 1?>\nThe answer no longer contains “word”.\n_Before:_ test on 1." in message
    assert "_Now:_ Something &lt;!channel&gt; else." in message
    assert "|A question> in a private conversation: 1 check failed." in message
    assert "number 5" not in message
    await house(answering).check()
    assert await told(answering) == [], "they were claimed before"


async def test_run_stops_at_its_limit_and_says_so(
    recorded: Recorded, answering: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(house_questions, "LIMIT_USD", 0.0)
    await house(answering).check()
    assert (await told(answering), recorded.asked()) == (["I stopped running kept tests at the limit of $0."], [])


async def test_run_that_fails_is_repeated_later_and_not_at_once(recorded: Recorded, answering: Answering) -> None:
    recorded.vendor.script(lambda _: refusal(401, "invalid_api_key"))
    with pytest.raises(ProviderError):
        await house(answering).check()
    requests = len(recorded.vendor.requests)
    await house(answering).check()
    assert len(recorded.vendor.requests) == requests
    assert await told(answering) == []


async def test_two_processes_run_the_tests_once(recorded: Recorded, answering: Answering) -> None:
    await asyncio.gather(house(answering).check(), house(answering).check())
    assert recorded.asked() == [1, 4, 5]


async def test_bot_runs_kept_tests_by_itself(
    recorded: Recorded,
    sandbox: Sandbox,
    vendor: VendorServer,
    settings: Settings,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await keep(recorded, {1: [Check(CheckKind.ASKS)]})
    monkeypatch.setattr(admin_notices, "CHECK_INTERVAL_S", 0.1)
    on = replace(settled(settings, database_url), house_questions="mon 8:00", admins=frozenset({"U0GRACE"}))
    async with running(on):
        grace = sandbox.dm("grace")
        await sandbox.wait_for(lambda: Stage(sandbox, vendor).bots(grace))
        [message] = Stage(sandbox, vendor).bots(grace)
    assert message.text.startswith("1 of 1 kept test failed.")
    assert "The answer no longer asks back." in message.text
