"""Sign-ins in a real browser, from a question to its answer, where nobody pastes an address."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from bot.core import texts
from bot.mcp.config import HttpTransport, SignInConfig
from bot.settings import Settings
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.browser import Visit, send
from tests.mcp.servers import be_patient
from tests.mcp.sign_in_server import BY_DEVICE, sign_in_server
from tests.processes import own_port
from tests.scenarios.conftest import manifest, running
from tests.scenarios.test_accounts import ASKS, with_jira
from tests.streams.server import VendorServer

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.slack(manifest=manifest()),
    pytest.mark.bot(welcome=False, on_disk=True),
]
DESKTOP = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "color_scheme": "dark"}
screens = pytest.mark.parametrize("screen", [DESKTOP, PHONE], ids=["desktop", "phone"])


async def asked(page: Page) -> tuple[Locator, Locator]:
    """Asks what needs a sign-in, and opens its modal; returns the answer and the modal."""
    await send(page, "what is open?")
    answer = page.locator("#main .message").last
    await expect(answer).to_contain_text(texts.accounts.wants_sign_in("jira"))
    await answer.get_by_role("button", name=texts.accounts.SIGN_IN).click()
    return answer, page.get_by_role("dialog")


async def server_page(page: Page, modal: Locator) -> Page:
    async with page.context.expect_page() as opened:
        await modal.get_by_role("link").click()
    there = await opened.value
    await there.wait_for_load_state()
    return there


@screens
async def test_person_types_the_code_of_typists_page(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings, visit: Visit, tmp_path: Path, screen: Mapping[str, Any]
) -> None:
    be_patient()
    vendor.script(ASKS)
    port = own_port()
    url = f"http://127.0.0.1:{port}"
    async with sign_in_server() as jira:
        assert isinstance(jira.config.transport, HttpTransport)
        transport = replace(jira.config.transport, sign_in=SignInConfig(public_url=url))
        ours = with_jira(settings, replace(jira, config=replace(jira.config, transport=transport)))
        async with running(replace(ours, public_url=url, health_at=("127.0.0.1", port))):
            page = await visit(f"{sandbox.url}/?channel={sandbox.dm('ada')}", **screen)
            answer, modal = await asked(page)
            there = await server_page(page, modal)
            await expect(there.get_by_role("main")).to_contain_text(texts.accounts.NOT_YOURS)
            shown = there.locator("strong")
            await expect(shown).to_have_text(re.compile("[A-Z]{4}-[A-Z]{4}"))
            await expect(shown).to_be_in_viewport(ratio=1)
            assert await shown.evaluate("code => parseFloat(getComputedStyle(code).fontSize)") > 24, "no style applies"
            await there.screenshot(path=tmp_path / "code.png")
            await page.screenshot(path=tmp_path / "modal.png")
            await modal.get_by_role("textbox").fill(await shown.inner_text())
            await modal.get_by_role("button", name=texts.accounts.SIGN_IN).click()
            await expect(answer).to_contain_text("Found it.")
            await expect(answer).to_contain_text(texts.accounts.signed_in_message("jira"))
            await page.screenshot(path=tmp_path / "answer.png")


@screens
async def test_person_confirms_a_code_at_the_server(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings, visit: Visit, tmp_path: Path, screen: Mapping[str, Any]
) -> None:
    be_patient()
    vendor.script(ASKS)
    async with sign_in_server(says=BY_DEVICE) as jira, running(with_jira(settings, jira)):
        jira.people.interval_s = 1
        page = await visit(f"{sandbox.url}/?channel={sandbox.dm('ada')}", **screen)
        answer, modal = await asked(page)
        await expect(modal.get_by_role("link")).to_be_visible()
        [device] = jira.people.devices.values()
        await expect(modal).to_contain_text(texts.accounts.device_code_instructions(device.user_code))
        there = await server_page(page, modal)
        assert there.url.endswith(f"user_code={device.user_code}")
        await page.screenshot(path=tmp_path / "device.png")
        await modal.get_by_role("button", name=texts.accounts.DONE).click()
        await expect(modal).to_have_count(0)
        device.agreed = "ada"
        await expect(answer).to_contain_text("Found it.")
        await expect(answer).to_contain_text(texts.accounts.signed_in_message("jira"))
