import re

import pytest
from playwright.async_api import expect

from bot.core import texts
from bot.core.caps import parse_caps
from slack_sandbox.testing.browser import Visit
from tests.scenarios.conftest import Stage, manifest

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.slack(manifest=manifest()),
    pytest.mark.bot(caps=parse_caps("user/day=200000tokens"), admins=frozenset({"U0GRACE"}), system_prompt="Be kind."),
]
DIRECT = re.compile("^Typist( ?unread)?$")
"""The direct message with the bot in the sidebar."""


async def test_member_reads_home_in_their_time_zone_and_an_admin_the_setup_too(stage: Stage, visit: Visit) -> None:
    page = await visit(stage.sandbox.url, timezone_id="Asia/Kolkata")
    home = page.get_by_role("tabpanel", name="Home")
    for person, is_admin in (("Ada", False), ("Grace", True)):
        await page.get_by_role("radio", name=person).check()
        await page.locator("#directs").get_by_role("button", name=DIRECT).click()
        await page.get_by_role("tab", name="Home").click()
        await expect(home.get_by_role("heading", name=texts.welcome.PANE_HEADING)).to_be_visible()
        for label in texts.welcome.PANE_SUGGESTIONS:
            await expect(home.get_by_role("button", name=label)).to_be_visible()
        await expect(home).to_contain_text("% of your quota of 200,000 tokens per day is used. It resets to")
        # Midnight of UTC.
        await expect(home).to_contain_text(" at 5:30 AM.")
        await expect(home.get_by_text("Be kind.")).to_have_count(int(is_admin))
        await expect(home.get_by_role("heading", name=texts.home.WORKSPACE_HEADING)).to_have_count(int(is_admin))
