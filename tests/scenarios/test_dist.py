"""The wheel as its users have it: in a separate environment without extras, an empty HOME and another folder.

`make test-dist` installs the wheel that `make dist` built, and runs these tests.
"""

import asyncio
import os
import re
import signal
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.async_api import expect

from demo.scripted_model import ScriptedModel
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.browser import Visit, browser, visit
from slack_sandbox.testing.processes import output, running_process, wait_for_line
from tests.newcomer import KEY, as_openai, terminal
from tests.processes import REPOSITORY
from tests.scenarios.conftest import manifest
from tests.streams.server import VendorServer

__all__ = ["browser", "visit"]

BIN = REPOSITORY / ".venv/installed/bin"
TYPIST = str(BIN / "typist")
CARDS = 12

pytestmark = [
    pytest.mark.long,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not Path(TYPIST).exists(), reason="needs the environment that `make test-dist` installs"),
]


@dataclass(frozen=True)
class Home:
    """An empty home, which is also the folder in which commands run."""

    folder: Path

    @property
    def env(self) -> Mapping[str, str]:
        return {"HOME": str(self.folder), "PATH": f"{BIN}:/usr/bin:/bin", "LANG": "C.UTF-8"}

    def running(
        self, *command: str, env: Mapping[str, str] | None = None
    ) -> AbstractAsyncContextManager[asyncio.subprocess.Process]:
        piped = dict.fromkeys(("stdin", "stdout", "stderr"), asyncio.subprocess.PIPE)
        return running_process(*command, cwd=self.folder, env={**self.env, **(env or {})}, **piped)

    async def output(self, *command: str, env: Mapping[str, str] | None = None) -> tuple[int | None, str, str]:
        async with self.running(*command, env=env) as process:
            out, err = await output(process)
        return process.returncode, out, err


@pytest.fixture
def home(tmp_path: Path) -> Home:
    (tmp_path / "home").mkdir()
    return Home(tmp_path / "home")


async def test_typist_without_settings_opens_the_showcase(home: Home, visit: Visit) -> None:
    async with home.running(TYPIST) as process:
        url = re.search(r"http://127\.0\.0\.1:\d+", await wait_for_line(process.stdout, "Typist's sandbox is at"))
        assert url
        await wait_for_line(process.stdout, "To connect your own Slack: typist init")
        page = await visit(url[0], viewport={"width": 1280, "height": 800})
        await expect(page.locator(".card")).to_have_count(CARDS)
        await page.locator(".card").first.click()
        answer = page.get_by_role("region", name="Thread").get_by_role("listitem").last
        await expect(answer).to_contain_text("Finding slow queries")
        await expect(page.get_by_role("region", name="Thread").get_by_role("button", name="Regenerate")).to_be_visible()
        process.send_signal(signal.SIGTERM)
        _, err = await output(process)
        assert process.returncode == 0, err
    assert os.listdir(home.folder) == []


async def test_typist_ask_answers_in_the_terminal(home: Home) -> None:
    async with ScriptedModel(()) as model:
        env = {"OPENAI_BASE_URL": model.base_url, "BOT_MODELS": "openai/scripted"}
        code, out, err = await home.output(TYPIST, "ask", "What is a monad?", env=env)
    assert (code, "scripted answer" in out) == (0, True), err


async def test_typist_check_and_init_connect_to_slack(home: Home) -> None:
    async with Sandbox(manifest=manifest()) as sandbox, VendorServer() as vendor:
        vendor.script(*[as_openai] * 50)
        vendors = {"OPENAI_BASE_URL": "http://api.openai.com/v1", "BOT_OPENAI_API": "chat", "HTTP_PROXY": vendor.url}
        env = {**home.env, **vendors, "BOT_SLACK_API_URL": sandbox.api_url}
        async with terminal(home.folder, TYPIST, "init", env=env) as person:
            for pasted in (sandbox.bot_token, sandbox.app_token, KEY):
                await person.types("stays hidden): ", pasted)
            await person.types("to skip this): ", "ada")
            await person.types("press Enter for $", "")
            ended = await person.end()
        assert ended[0] == 0, ended
        assert f"Now start Typist: {TYPIST} run" in ended[1]
        code, out, err = await home.output(TYPIST, "check", env=env)
        assert (code, "Everything is set up." in out) == (0, True), out + err


async def test_missing_extras_are_named(home: Home) -> None:
    code, _, err = await home.output(TYPIST, "migrate", env={"DATABASE_URL": "postgresql://typist@127.0.0.1/typist"})
    assert (code, "PostgreSQL in DATABASE_URL needs the extra postgresql. Install it: " in err) == (2, True), err
    (home.folder / "note.rtf").write_text(r"{\rtf1 Hello}")
    code, _, err = await home.output(TYPIST, "ask", "Summarize", "note.rtf", env={"OPENAI_API_KEY": KEY})
    reason = "note.rtf (reading this format requires my “files” extra, which isn't installed)"
    assert (code, reason in err) == (2, True), err


async def test_typist_settings_lists_all_settings(home: Home) -> None:
    assert await home.output(TYPIST, "settings") == (0, (REPOSITORY / ".env.example").read_text(), "")
