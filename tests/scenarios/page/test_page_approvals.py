"""An approval in a real browser: what people see of it, and what becomes of it."""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from bot.core import texts
from bot.mcp.config import McpSetup
from bot.settings import Settings
from slack_sandbox.testing.browser import send
from tests.mcp.servers import RawServer, text_result, tool
from tests.scenarios.conftest import Stage, manifest, says
from tests.scenarios.tools import calls

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.slack(manifest=manifest()),
    pytest.mark.bot(admins=frozenset({"U0ADA"}), welcome=False),
]

ISSUE = {"title": "Nightly export fails", "body": "Since Tuesday:\n\n- exit code 137\n- out of memory"}
LONG = {"body": "Since Tuesday. " * 200 + "All."}
CREATE = tool("create", "Creates an issue in acme/export.\n\nUse it for bugs.", title="Create an issue")


@dataclass(frozen=True)
class ApprovalPage:
    """A person's page, on a direct message with the bot."""

    page: Page
    raw: RawServer

    @property
    def reply(self) -> Locator:
        return self.page.locator("#main .message").filter(has_text="issues")

    def button(self, name: str) -> Locator:
        return self.page.locator("#main").get_by_role("button", name=name, exact=True)


@pytest.fixture
def raw(tmp_path: Path) -> RawServer:
    raw = RawServer(tmp_path / "raw.json")
    raw.script([CREATE, tool("search")], {"create": text_result("Created #212."), "search": text_result("None.")})
    return raw


@pytest.fixture
def settings(settings: Settings, raw: RawServer) -> Settings:
    return replace(settings, mcp=McpSetup((raw.config("issues"),), direct_message_servers=("issues",)))


@pytest_asyncio.fixture(loop_scope="module")
async def view(stage: Stage, page: Page, raw: RawServer) -> ApprovalPage:
    asked = calls("To the issues:", ("issues__create", ISSUE), ("issues__search", LONG))
    stage.vendor.script(asked, says("Filed."))
    await page.locator("#directs").get_by_role("button", name="Typist", exact=True).click()
    await send(page, "File an issue, please.")
    return ApprovalPage(page, raw)


async def test_colleague_reads_what_would_be_done_by_whom_and_until_when(view: ApprovalPage) -> None:
    headings = view.reply.locator("p").filter(has_text=re.compile(r"^\w.*\?$"))
    await expect(headings).to_have_text(["Create this issue?", "Search?"])
    await expect(view.reply).not_to_contain_text("issues.create")
    await expect(view.reply.locator("li").first).to_have_text("title: Nightly export fails")
    await expect(view.reply.locator("pre").first).to_have_text(ISSUE["body"])
    await expect(view.reply.get_by_text(texts.approvals.acts_as(["issues"]).rstrip())).to_have_count(1)
    await expect(view.reply.locator(".date").first).to_have_text(re.compile(r"at \d+:\d\d"))
    primary = view.reply.locator(".button.primary")
    await expect(primary).to_have_text(["Show all"])
    await view.button("Details").first.click()
    modal = view.page.get_by_role("dialog", name=texts.actions.ARGUMENTS_TITLE)
    await expect(modal).to_contain_text("issues.create")
    await expect(modal.locator("blockquote")).to_have_text("issues says: Creates an issue in acme/export.")
    assert json.loads(await modal.locator("pre").last.inner_text()) == ISSUE
    await modal.get_by_role("button", name="Approve", exact=True).click()
    await expect(view.reply).to_contain_text("Approved.")
    await view.button("Deny").click()
    await expect(view.reply).to_contain_text("test · 1 tool")
    assert view.raw.calls == [["create", ISSUE]]


async def test_long_arguments_are_approved_where_they_are_shown_whole(view: ApprovalPage) -> None:
    arguments = view.reply.locator("pre").last
    await expect(arguments).to_contain_text("Since Tuesday.")
    assert await arguments.evaluate("pre => pre.scrollWidth <= pre.clientWidth"), "no argument is out of sight"
    await view.button("Show all").click()
    modal = view.page.get_by_role("dialog", name=texts.actions.ARGUMENTS_TITLE)
    await expect(modal).to_contain_text("issues.search")
    assert "".join(await modal.locator("pre").all_inner_texts()).startswith(LONG["body"])
    await modal.get_by_role("button", name="Approve", exact=True).click()
    await expect(view.reply).to_contain_text("Approved.")
    await view.button("Deny").click()
    await expect(view.reply).to_contain_text("test · 1 tool")
    assert view.raw.calls == [["search", LONG]]


async def test_always_allow_says_its_scope_and_is_removed_in_the_settings(view: ApprovalPage) -> None:
    page, dialog = view.page, view.page.get_by_role("dialog", name=texts.actions.ARGUMENTS_TITLE)
    await view.button("Details").first.click()
    await expect(dialog).to_contain_text(texts.approvals.ALLOW_ALWAYS_SCOPE)
    await dialog.get_by_role("checkbox", name=texts.actions.ALLOW_ALWAYS).check()
    await dialog.get_by_role("button", name="Approve", exact=True).click()
    await expect(page.locator("#main")).to_contain_text(texts.approvals.ALWAYS_ALLOWED.partition("`")[0])
    await expect(view.reply).to_contain_text("Approved.")
    await view.button("Deny").click()
    await expect(view.reply).to_contain_text("test · 1 tool")
    settings = page.get_by_role("dialog", name=texts.settings.SETTINGS_TITLE)
    for is_listed in (True, False):
        await send(page, "/typist model")
        await expect(settings.get_by_role("button", name=texts.settings.SAVE)).to_be_visible()
        await expect(settings.get_by_text(texts.settings.ALLOWED_TOOLS)).to_have_count(int(is_listed))
        if is_listed:
            await settings.locator("summary").click()
            await settings.get_by_role("checkbox", name="issues.create").uncheck()
        await settings.get_by_role("button", name=texts.settings.SAVE).click()
        await expect(settings).to_be_hidden()
