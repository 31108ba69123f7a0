"""The registry of checks: each is documented, and builds only on others that are made with it."""

import json
import re
from collections.abc import Sequence
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from bot import settings
from bot.checks.registry import Checkup, all_checks
from bot.checks.report import Check, Occasion
from bot.clock import SystemClock
from bot.slack.client import SlackClient, new_session

ROOT = Path(__file__).parents[2]
COMMAND = Occasion.COMMAND | Occasion.PROBE | Occasion.PROBE_MODELS
ENV = {
    "SLACK_BOT_TOKEN": "xoxb-1",
    "SLACK_APP_TOKEN": "xapp-1",
    "OPENAI_API_KEY": "sk-test",
    "BOT_MODELS": "openai/MODEL",
    "BOT_TRANSCRIBE": "openai/SOUND",
    "BOT_ADMINS": "U1",
    "BOT_ALLOW_USERS": "S1",
    "BOT_TRACES_URL": "http://127.0.0.1:4318/v1/traces",
}


@pytest.fixture
async def checks(tmp_path: Path) -> Sequence[Check]:
    """All checks, with one model and one server."""
    config = tmp_path / "mcp.json"
    config.write_text(json.dumps({"mcpServers": {"SERVER": {"command": "true"}}}))
    ours = settings.read({**ENV, "BOT_MCP_CONFIG": str(config)}, needs_slack=True)
    async with new_session() as session:
        bot = SlackClient(ours.slack_bot_token, ours.slack_api_url, session)
        return [*all_checks(Checkup(ours, SystemClock(), session, bot))]


async def test_page_of_checks_has_a_row_for_each_one_of_the_command_and_no_other(checks: Sequence[Check]) -> None:
    rows = re.findall(r"^\| `(\S+)` \|", (ROOT / "docs/admins/check.md").read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(check.id.replace("openai/", "") for check in checks if check.on & COMMAND)


async def test_each_check_has_an_id_and_a_name_of_its_own(checks: Sequence[Check]) -> None:
    for name in ("id", "name"):
        values = [getattr(check, name) for check in checks]
        assert len(set(values)) == len(values)


async def test_checks_build_on_each_other_without_a_circle(checks: Sequence[Check]) -> None:
    builds_on = {check.id: {*check.needs, *check.after} for check in checks}
    assert set().union(*builds_on.values()) <= builds_on.keys()
    assert [*TopologicalSorter(builds_on).static_order()]


async def test_check_of_the_command_needs_no_check_that_is_made_elsewhere(checks: Sequence[Check]) -> None:
    made = {check.id: {*check.needs, *check.after} for check in checks if check.on & COMMAND}
    assert set().union(*made.values()) <= made.keys()
