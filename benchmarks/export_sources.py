"""Checks that every source that an answer can cite opens on the page.

    python -m benchmarks.export_sources EXPORT QUESTIONS

The sandbox shows the export in Chromium. For each of `--askers` (handles), the bot sends a direct message with a link
to each source (see `export_questions.py`). The asker clicks the link, and a source counts as opened once the page shows
its message. A message in a private channel or a direct message has to open for its members, and for nobody else. Exits
with 1 if a source opens for the wrong people.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from playwright.async_api import Page, TimeoutError, async_playwright
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.manifest import app_manifest
from slack_sandbox.export.opened import Export, open_export
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.browser import ARGUMENTS, find_chromium

ASKERS = "greta", "juno", "kei"
"""The one who writes most, a member of few channels, and a guest."""
OPENED_WITHIN_MS = 3_000


def sources_of(questions: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Returns the channels and timestamps of all sources, each once."""
    return list(dict.fromkeys((source["channel"], source["ts"]) for line in questions for source in line["sources"]))


async def opens(page: Page, sandbox: Sandbox, asker: str, channel: str, ts: str) -> bool:
    """Sends the asker a link to a message and returns whether a click on it shows the message."""
    web = AsyncWebClient(token=sandbox.bot_token, base_url=sandbox.api_url)
    link = (await web.chat_getPermalink(channel=channel, message_ts=ts))["permalink"]
    place, label = sandbox.workspace.dm(asker).id, f"Source {channel} {ts}"
    await web.chat_postMessage(channel=place, text=label, blocks=[{"type": "markdown", "text": f"[{label}]({link})"}])
    person = sandbox.workspace.user(asker).id
    await page.goto(f"{sandbox.url}/?person={person}&channel={place}")
    await page.get_by_role("link", name=label).click()
    try:
        await page.locator(f'.message[data-ts="{ts}"]').first.wait_for(timeout=OPENED_WITHIN_MS)
    except TimeoutError:
        return False
    return channel in page.url


def can_open(export: Export, sandbox: Sandbox, asker: str, channel: str) -> bool:
    """Returns whether Slack would show a person the channel: as a member, or as a full member if it is public."""
    person = sandbox.workspace.user(asker)
    [found] = [one for one in export.channels if one.id == channel]
    return person.id in found.members or (found.type == "channel" and person.is_member)


async def measure(export: Export, questions: Sequence[Mapping[str, Any]], askers: Sequence[str]) -> int:
    """Opens all sources for all askers. Prints each result, and returns the number of wrong ones."""
    sources, wrong = sources_of(questions), 0
    async with (
        Sandbox(export=export, manifest=app_manifest(agent=True)) as sandbox,
        async_playwright() as playwright,
    ):
        browser = await playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        for asker in askers:
            page, opened = await browser.new_page(viewport={"width": 1280, "height": 800}), 0
            await page.goto(sandbox.url)
            await page.get_by_role("button", name="Start").click()
            for channel, ts in sources:
                is_open, expected = (
                    await opens(page, sandbox, asker, channel, ts),
                    can_open(export, sandbox, asker, channel),
                )
                opened, wrong = opened + is_open, wrong + (is_open is not expected)
                name = sandbox.workspace.channels[channel].name
                mark = ("opened" if is_open else "not opened") + ("" if is_open is expected else ", WRONG")
                print(f"{asker:10} {name:15} {ts} {mark}", flush=True)
            print(f"{asker}: {opened} of {len(sources)} sources opened")
        await browser.close()
    return wrong


def main() -> int:
    """Runs the benchmark and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("export", type=Path)
    parser.add_argument("questions", type=Path)
    parser.add_argument("--askers", nargs="+", default=ASKERS)
    options = parser.parse_args()
    questions = [json.loads(line) for line in options.questions.read_text().splitlines()]
    return int(bool(asyncio.run(measure(open_export(options.export), questions, options.askers))))


if __name__ == "__main__":
    sys.exit(main())
