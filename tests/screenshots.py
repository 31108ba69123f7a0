"""Takes the screenshots in docs/ in a real Chromium: `python -m tests.screenshots`, with the fonts of FONTS.

The bot streams a long answer with all kinds of Markdown: growing in a thread, and complete in a direct message, in the
light and dark scheme. Further screenshots show the showcase's cards, queued and edited questions, a channel's settings,
a question about a message, an approval, App Home and the assistant pane.
"""

import asyncio
import io
import re
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.async_api import Browser, Page, async_playwright, expect

from bot.clock import SystemClock
from bot.core import texts
from bot.core.caps import parse_caps
from bot.mcp.config import McpSetup
from bot.models.setup import VendorSettings
from bot.settings import Settings
from bot.store import Stores
from demo.guide import guide_of
from demo.models import ModelChoice
from demo.scenes import SCENES
from slack_sandbox.page.guide import Guide
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.browser import ARGUMENTS, find_chromium
from tests.mcp.servers import RawServer, agree, text_result, tool
from tests.scenarios.conftest import manifest, running, says
from tests.scenarios.surfaces import with_assistant_view
from tests.scenarios.tools import calls
from tests.streams.server import VendorResponse, VendorServer

DOCS = Path(__file__).parent.parent / "docs"
QUESTION = "how do I find slow queries, and what helps against them?"
DIRECT = re.compile("^Typist( ?unread)?$")
"""The direct message with the bot in the sidebar."""
VISIBLE_TEXT = "Read it from the inside out"
"""The growing answer is captured when this text is visible."""
ANSWER = '''## Slow queries, found and cured

PostgreSQL counts for you once `pg_stat_statements` is loaded. Three steps, of which the first matters most.

### 1. Look before you change anything

> A query that takes 2 ms and runs a million times costs more than the one that takes a minute once a day.

| Query | Calls | Mean | Total |
|:--|--:|--:|--:|
| `select … from orders where customer_id = $1` | 1,204,113 | 2.1 ms | **42 min** |
| `select … from events order by at desc` | 8,020 | 190 ms | 25 min |
| nightly report | 1 | 61 s | 1 min |

### 2. Ask for its plan

```sql
explain (analyze, buffers)
select * from orders
where customer_id = 4711 and created_at > now() - interval '30 days';  -- a parameter as in real life, not a sample
```

1. Read it from the inside out:
   - *Seq Scan* on a large table: an index is missing, or it is not used because
     - the column is inside a function, or
     - the types differ.
   - *Rows Removed by Filter* far above the rows returned: the same.
2. Compare `rows` with `actual rows`; far apart means stale statistics.

### 3. Change one thing, and measure again

```python
def slowest(connection: Connection, at_least_ms: float = 50.0) -> list[str]:
    """The statements to look at first."""
    rows = connection.execute(text("select query, mean_exec_time from pg_stat_statements"))
    return [row.query for row in rows if row.mean_exec_time >= at_least_ms]
```

- [x] `create index concurrently` on `orders (customer_id, created_at)`
- [x] `analyze orders`
- [ ] ~~a bigger machine~~ only when the two above were not enough

More in the [documentation](https://www.postgresql.org/docs/current/using-explain.html).
'''


FONTS = {"Inter": "fonts-inter", "Noto Color Emoji": "fonts-noto-color-emoji"}
"""The fonts of the pictures, and Debian's packages that have them."""
NO_GUIDE = Guide()
NO_SERVERS = McpSetup()
SMALL_SIZE = {"width": 1180, "height": 780}
FILING = "I'll file this in acme/export."
ISSUE = {
    "repository": "acme/export",
    "title": "Nightly export failing since Tuesday",
    "body": "The job ends with exit code 137.\n\n- Since: Tuesday, 02:00 UTC\n- Log: OOMKilled",
    "labels": ["bug"],
}
CREATE_ISSUE = tool("create_issue", "Creates an issue in a repository.", title="Create an issue")
ASKED = "We could give every service its own database."
EDITED = "a database for each service, what would that bring?"
SHORT_ANSWER = (
    "Every service could then change its tables without asking the others. What it costs: no joins across services, "
    "and no transaction over two of them.\n\n- Start with the one that changes most.\n- Leave reports to a copy."
)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Yields a browser for pictures. Raises RuntimeError if it or one of FONTS is not installed."""
    path = find_chromium()
    listing = await asyncio.create_subprocess_exec("fc-list", ":", "family", stdout=asyncio.subprocess.PIPE)
    installed, _ = await listing.communicate()
    missing = [package for font, package in FONTS.items() if font not in installed.decode().splitlines()]
    if path is None or missing:
        packages = [*missing, *([] if path else ["chromium-headless-shell"])]
        raise RuntimeError(f"The pictures need more packages: apt-get install {' '.join(packages)}")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        await browser.close()


async def main() -> None:
    """Takes all screenshots. Raises RuntimeError if Chromium or a font is missing."""
    async with chromium() as browser:
        guide = guide_of(ModelChoice(Settings(), "openai/gpt-6-luna"))
        async with bot_in(manifest(), says(SHORT_ANSWER), guide=guide) as sandbox:
            await take_showcase(browser, sandbox)
        async with bot_in(manifest(), says(ANSWER, pause_s=0.02)) as sandbox:
            await take_growing(browser, sandbox)
            await take_whole(browser, sandbox)
        slow = says(SHORT_ANSWER, pause_s=0.1), says(SHORT_ANSWER, pause_s=0.03)
        async with bot_in(manifest(), *slow, done_mention_s=1) as sandbox:
            await take_queued(browser, sandbox)
            await take_edited(browser, sandbox)
        async with bot_in(manifest(), says(SHORT_ANSWER)) as sandbox:
            await take_asked(browser, sandbox)
            await take_settings(browser, sandbox)
            await take_home(browser, sandbox)
        with tempfile.TemporaryDirectory() as folder:
            server = RawServer(Path(folder) / "issues.json")
            server.script([CREATE_ISSUE], {"create_issue": text_result("Created #212.")})
            mcp = McpSetup((server.config("issues"),), direct_message_servers=("issues",))
            stores = await Stores.open(f"sqlite:///{folder}/typist.db", "admin", SystemClock())
            await agree(stores, mcp)
            await stores.close()
            files = calls(FILING, ("issues__create_issue", ISSUE))
            async with bot_in(manifest(), files, mcp=mcp, folder=folder) as sandbox:
                await take_approval(browser, sandbox)
        async with bot_in(with_assistant_view(), says(SHORT_ANSWER, pause_s=5)) as sandbox:
            await take_pane(browser, sandbox)


@asynccontextmanager
async def bot_in(
    app: Any,
    *answers: VendorResponse,
    done_mention_s: int = 0,
    guide: Guide = NO_GUIDE,
    mcp: McpSetup = NO_SERVERS,
    folder: str = "",
) -> AsyncIterator[Sandbox]:
    """Runs the bot with a model that gives these answers, then repeats the last. `folder`: of its database, or ""."""
    async with VendorServer() as vendor, Sandbox(guide=guide, manifest=app) as sandbox:
        vendor.script(*answers)
        settings = Settings(
            slack_bot_token=sandbox.bot_token,
            slack_app_token=sandbox.app_token,
            slack_api_url=sandbox.api_url,
            vendors={"openai": VendorSettings(base_url=f"{vendor.url}/v1", api="chat")},
            models=("openai/gpt-6-luna", "openai/gpt-6.1-terra"),
            database_url=f"sqlite:///{folder}/typist.db" if folder else "sqlite://",
            done_mention_s=done_mention_s,
            caps=parse_caps("user/day=200000tokens,workspace/month=500usd"),
            admins=frozenset({"U0ADA"}),
            mcp=mcp,
        )
        async with running(settings):
            yield sandbox


async def take_showcase(browser: Browser, sandbox: Sandbox) -> None:
    page = await opened(browser, sandbox, SMALL_SIZE, "light")
    await expect(page.locator(".card")).to_have_count(len(SCENES))
    await shoot(page, "showcase.png")


async def take_growing(browser: Browser, sandbox: Sandbox) -> None:
    page = await opened(browser, sandbox, {"width": 1500, "height": 1000}, "light")
    await page.locator("#main-box").fill(f"@typist {QUESTION}")
    await page.locator("#main-box").press("Enter")
    answer = page.get_by_role("region", name="Thread").locator(".message").last
    await expect(answer).to_contain_text(VISIBLE_TEXT, timeout=60_000)
    await shoot(page, "answer-growing.png")


async def take_whole(browser: Browser, sandbox: Sandbox) -> None:
    await sandbox.say("ada", sandbox.dm("ada"), QUESTION)
    for scheme, name in (("light", "answer.png"), ("dark", "answer-dark.png")):
        page = await opened(browser, sandbox, {"width": 1180, "height": 1280}, scheme)
        await page.locator("#directs").get_by_role("button", name=DIRECT).press("Enter")
        answer = page.locator("#main .message").last
        await expect(answer.get_by_role("link", name="documentation")).to_be_visible(timeout=60_000)
        await expect(answer).not_to_contain_text("Writing…", timeout=60_000)
        await shoot(page, name)


async def take_queued(browser: Browser, sandbox: Sandbox) -> None:
    page = await opened(browser, sandbox, SMALL_SIZE, "light")
    asked = await sandbox.say("ada", "general", f"@typist {EDITED}")
    await page.get_by_role("button", name="1 reply").click()
    await sandbox.say("grace", "general", "@typist and what of reports?", asked)
    await sandbox.say("ada", "general", "@typist and where would you begin?", asked)
    thread = page.get_by_role("region", name="Thread")
    await expect(thread.get_by_text(texts.answers.QUEUED)).to_have_count(2)
    await expect(thread).to_contain_text("What it costs")
    await shoot(page, "queued.png")


async def take_edited(browser: Browser, sandbox: Sandbox) -> None:
    page = await opened(browser, sandbox, SMALL_SIZE, "light")
    await page.locator("#directs").get_by_role("button", name=DIRECT).press("Enter")
    await page.locator("#main-box").fill("one database for all services?")
    await page.locator("#main-box").press("Enter")
    await expect(page.locator("#main").get_by_text(texts.answers.ANSWER_READY)).to_be_visible(timeout=30_000)
    await page.locator("#main-box").press("ArrowUp")
    await page.get_by_role("textbox", name="Edit message").fill(EDITED)
    await page.keyboard.press("Enter")
    reply = page.locator("#main .message").filter(has=page.get_by_role("button", name=texts.actions.PREVIOUS))
    await expect(reply).to_be_visible(timeout=30_000)
    await page.locator("#main-box").focus()
    await shoot(page, "edited.png")


async def take_asked(browser: Browser, sandbox: Sandbox) -> None:
    await sandbox.say("grace", "general", ASKED)
    page = await opened(browser, sandbox, SMALL_SIZE, "light")
    message = page.locator("#main .message").filter(has_text=ASKED)
    await message.hover()
    await message.get_by_role("button", name="Message actions").click()
    await page.get_by_role("menuitem", name="Ask Typist about this").click()
    modal = page.get_by_role("dialog", name=texts.shortcut.ASK_TITLE)
    await modal.get_by_role("textbox", name="Your question").fill("What would we gain, and what would it cost?")
    await shoot(page, "ask-about.png")
    await modal.get_by_role("button", name="Ask").click()
    await page.get_by_role("button", name="2 replies").click()
    await expect(page.get_by_role("region", name="Thread")).to_contain_text("Leave reports to a copy.")
    await shoot(page, "asked-about.png")


async def take_settings(browser: Browser, sandbox: Sandbox) -> None:
    page = await opened(browser, sandbox, {"width": 1180, "height": 940}, "light")
    await page.locator("#main-box").fill("/typist settings")
    await page.locator("#main-box").press("Enter")
    modal = page.get_by_role("dialog", name="Settings")
    await modal.get_by_role("textbox", name=texts.settings.REACTION.label).fill("two eyes")
    await modal.get_by_role("button", name="Save").click()
    await expect(modal.get_by_role("alert").filter(has_text=texts.settings.REACTION_UNKNOWN)).to_be_visible()
    await shoot(page, "settings.png")
    await page.keyboard.press("Escape")
    await expect(modal).to_be_hidden()


async def take_home(browser: Browser, sandbox: Sandbox) -> None:
    page = await opened(browser, sandbox, {"width": 1180, "height": 1320}, "light")
    await page.get_by_role("button", name=DIRECT).click()
    await page.get_by_role("tab", name="Home").click()
    await expect(page.get_by_role("heading", name="This workspace")).to_be_visible()
    await shoot(page, "home.png")


async def take_approval(browser: Browser, sandbox: Sandbox) -> None:
    page = await opened(browser, sandbox, SMALL_SIZE, "light")
    await page.locator("#directs").get_by_role("button", name=DIRECT).press("Enter")
    await page.locator("#main-box").fill("Please file an issue: the nightly export has failed since Tuesday.")
    await page.locator("#main-box").press("Enter")
    await expect(page.get_by_role("button", name="Approve", exact=True)).to_be_visible(timeout=60_000)
    await shoot(page, "approval.png")


async def take_pane(browser: Browser, sandbox: Sandbox) -> None:
    await sandbox.say("grace", "general", ASKED)
    page = await opened(browser, sandbox, SMALL_SIZE, "light")
    await page.get_by_role("button", name="Ask Typist", exact=True).click()
    pane = page.locator("#pane")
    await expect(pane.get_by_role("button", name="Weigh options")).to_be_visible()
    await shoot(page, "pane.png")
    await pane.get_by_role("button", name="Weigh options").click()
    await expect(pane.get_by_role("status")).to_have_text("Typist is thinking…")
    await expect(pane.get_by_role("heading", name="Help me decide")).to_be_visible()
    await shoot(page, "pane-thinking.png")


async def opened(browser: Browser, sandbox: Sandbox, size: dict[str, int], scheme: str) -> Page:
    context = await browser.new_context(viewport=size, device_scale_factor=1.5, color_scheme=scheme)  # type: ignore[arg-type]
    page = await context.new_page()
    await page.goto(sandbox.url)
    await expect(page.locator("#main-box")).to_be_focused()
    await page.evaluate("fonts => document.documentElement.style.setProperty('--font', fonts)", ", ".join(FONTS))
    return page


async def shoot(page: Page, name: str) -> None:
    # Without this, the page would show the pointer's target as hovered and blink what has just changed.
    await page.mouse.move(0, 0)
    taken = await page.screenshot(animations="disabled")
    # 256 colors are enough for a page and save two thirds of the bytes.
    Image.open(io.BytesIO(taken)).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(
        DOCS / name, optimize=True
    )
    sys.stdout.write(f"docs/{name}\n")


if __name__ == "__main__":
    asyncio.run(main())
