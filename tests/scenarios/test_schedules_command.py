"""`typist schedules`: an admin lists, pauses and stops schedules at the command line."""

from pathlib import Path

import pytest

from bot.clock import SystemClock
from bot.core.schedules import PauseReason, Proposal, Rule
from bot.store import Stores
from slack_sandbox.server import Sandbox
from slack_sandbox.workspace import TEAM_ID
from tests.forked import forked_command
from tests.scenarios.conftest import connected
from tests.streams.server import VendorServer


@pytest.fixture
def env(sandbox: Sandbox, vendor: VendorServer, sqlite_url: str) -> dict[str, str]:
    return {**connected(sandbox, vendor), "DATABASE_URL": sqlite_url}


async def run(folder: Path, env: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    return await forked_command(folder, "schedules", *arguments, env=env)


async def test_admin_lists_pauses_and_stops_schedules(tmp_path: Path, env: dict[str, str]) -> None:
    assert await run(tmp_path, env) == (0, "There are no schedules.\n", "")
    stores = await Stores.open(env["DATABASE_URL"], "w1", SystemClock())
    try:
        proposal = Proposal(f"Sum \x1b[2J up {'and on ' * 20}", Rule("Europe/Berlin", "0 9 * * 1-5"))
        created = await stores.schedules.create(TEAM_ID, "C0GENERAL", "U0ADA", proposal)
        await stores.schedules.create("T0OTHER", "C0OTHER", "U0OTHER", proposal)
        code, out, _ = await run(tmp_path, env, "list")
        state, words = out.splitlines()
        assert (code, state.partition(" UTC")[2]) == (
            0,
            "  0 9 * * 1-5 Europe/Berlin  C0GENERAL #general  by U0ADA Ada  0 tokens and 0.00 USD this month",
        )
        assert state.startswith(f"    {created}  next ")
        assert words.startswith('       "Sum \\u001b[2J up and on ')
        assert words.endswith('..."')

        paused = f"Schedule {created} is paused. Its creator or a Typist admin can resume it in Slack.\n"
        assert await run(tmp_path, env, "pause", str(created)) == (0, paused, "")
        [schedule] = await stores.schedules.all(TEAM_ID)
        assert schedule.paused is PauseReason.BY_PERSON
        assert "paused (by_person)" in (await run(tmp_path, env))[1]

        stopped = f"Schedule {created} is stopped: it doesn't run again.\n"
        assert await run(tmp_path, env, "stop", str(created)) == (0, stopped, "")
        assert await stores.schedules.all(TEAM_ID) == []
        code, out, err = await run(tmp_path, env, "stop", str(created))
        assert (code, out) == (2, "")
        assert f"There is no schedule {created}. `typist schedules` lists them." in err
    finally:
        await stores.close()


async def test_command_needs_the_token_of_a_workspace(tmp_path: Path, sqlite_url: str) -> None:
    code, out, err = await run(tmp_path, {"DATABASE_URL": sqlite_url})
    assert (code, out) == (2, "")
    assert "SLACK_BOT_TOKEN is not set" in err
