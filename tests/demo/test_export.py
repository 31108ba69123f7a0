"""A company's own Slack export in the demo: its settings and cards, and the start with one that is dropped."""

import asyncio
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.app import Shutdown
from bot.settings import Settings
from bot.slack.manifest import app_manifest
from demo.export import settings_for, tour, workspace_name
from demo.guide import guide_of
from demo.models import ModelChoice
from demo.serve import serve
from slack_sandbox.export.opened import Export, open_export
from slack_sandbox.page.guide import Spot
from slack_sandbox.server import find_port

ADA, GRACE = "U07SAMPLE0A", "U07SAMPLE0G"
QUIET, BUSY, ELSEWHERE, ARCHIVED = "C07SAMPLE01", "C07SAMPLE02", "C07SAMPLE03", "C07SAMPLE04"
ROOT = "1791190000.000001"
WITHIN_S = 60.0


def day(texts: int, user: str, **more: Any) -> list[dict[str, Any]]:
    """Returns messages of a person."""
    return [{"user": user, "text": f"text {n}", "ts": f"179119{n:04d}.000001"} | more for n in range(texts)]


def packed() -> io.BytesIO:
    """Returns an export: Ada writes most, in a busy channel; the longest threads are where she isn't, or archived."""
    shared = {"thread_ts": ROOT}
    files = {
        "users.json": [{"id": ADA, "name": "ada", "is_owner": True}, {"id": GRACE, "name": "grace"}],
        "channels.json": [
            {"id": QUIET, "name": "quiet", "members": [ADA, GRACE]},
            {"id": BUSY, "name": "busy", "members": [ADA, GRACE]},
            {"id": ELSEWHERE, "name": "elsewhere", "members": [GRACE]},
            {"id": ARCHIVED, "name": "archived", "members": [ADA], "is_archived": True},
        ],
        "quiet/2026-10-05.json": [
            *day(1, ADA),
            *day(3, GRACE, files=[{"id": "F07PLAN", "name": "plan.pdf"}], **shared)[1:],
        ],
        "busy/2026-10-05.json": day(30, ADA),
        "elsewhere/2026-10-05.json": [*day(1, GRACE), *day(8, GRACE, **shared)[1:]],
        "archived/2026-10-05.json": [*day(1, ADA), *day(9, ADA, **shared)[1:]],
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, json.dumps(content))
    return out


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


@pytest.fixture
def export() -> Export:
    return open_export(packed(), "Larkfield")


def test_cards_are_asked_where_the_most_active_person_is(export: Export) -> None:
    places = {card.title: card.place for card in tour(export)}
    assert places == {
        "Your longest thread": Spot(QUIET, ROOT),
        "Your last day": Spot(BUSY),
        "A file": Spot(QUIET),
        "Each weekday": Spot(BUSY),
        "In private": "direct message",
    }


def test_export_without_channels_has_only_the_card_for_direct_messages() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("dms.json", json.dumps([{"id": "D07SAMPLE01", "members": [ADA, GRACE]}]))
    assert [card.title for card in tour(open_export(out))] == ["In private"]


def test_owner_is_admin_and_the_model_knows_the_last_day(export: Export) -> None:
    settings = settings_for(export, Settings())
    assert settings.admins == {ADA}
    assert "Monday, October 5, 2026" in settings.system_prompt
    assert settings.system_prompt.startswith(settings_for(export, Settings(system_prompt="")).system_prompt[:40])


def test_page_names_who_gets_the_questions_and_says_that_nothing_else_leaves(export: Export) -> None:
    note = guide_of(ModelChoice(Settings(), "openai/gpt-6-luna"), export=export).answers_note
    assert "Your own questions go to openai/gpt-6-luna." in note
    assert "nothing else leaves this machine" in note
    assert "export" not in guide_of(ModelChoice(Settings(), "openai/gpt-6-luna")).answers_note


@pytest.mark.parametrize(
    ("file_name", "name"),
    [("Larkfield Slack export Oct 5 2026 - Oct 25 2026.zip", "Larkfield"), ("export.zip", "export")],
)
def test_workspace_has_the_name_in_the_zips(file_name: str, name: str) -> None:
    assert workspace_name(file_name) == name


async def test_dropped_export_replaces_the_sample_workspace_and_is_written_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutdown, port = Shutdown(), find_port(3_600)
    url = f"http://127.0.0.1:{port}/sandbox"
    settings = Settings(database_url="sqlite://", drain_s=0)
    serving = asyncio.create_task(serve(settings, shutdown, port, "scripted", app_manifest(), strict_posts=False))
    try:
        async with asyncio.timeout(WITHIN_S), aiohttp.ClientSession() as session:

            async def state() -> Any:
                while not serving.done():
                    try:
                        async with session.get(f"{url}/state") as response:
                            found = await response.json()
                    except aiohttp.ClientError:
                        found = None
                    if found and found["bot"]["connected"]:
                        return found
                    await asyncio.sleep(0.1)
                return await serving

            async def drop(content: bytes, token: str) -> str:
                headers = {"Content-Type": "application/octet-stream"}
                query = {"name": "Larkfield Slack export.zip", "token": token}
                async with session.post(f"{url}/export", params=query, data=content, headers=headers) as response:
                    return str((await response.json()).get("error", ""))

            sample = await state()
            assert await drop(packed().getvalue(), "another page's") == "invalid_token"
            assert "isn't a ZIP" in await drop(b"no zip", sample["token"])
            assert await drop(packed().getvalue(), sample["token"]) == ""
            while (shown := await state())["team"]["name"] != "Larkfield":  # noqa: ASYNC110 - it starts again
                await asyncio.sleep(0.1)
            named = {channel["name"] for channel in shown["channels"]}
            assert {"quiet", "busy"} <= named
            assert "general" not in named
            assert shown["messages"] == []
    finally:
        shutdown.requested.set()
        shutdown.at_once.set()
        await serving
    assert files_in(tmp_path) == []
