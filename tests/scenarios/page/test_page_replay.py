from pathlib import Path

import pytest
from playwright.async_api import Page, Request, expect

from bot.cli.replay_report import labeled_totals, page, totals
from bot.core.usage import AnswerUsage, Thumb
from bot.errors import EndReason
from bot.store.replays import Given
from slack_sandbox.testing.browser import Visit, browser, visit
from tests.cli.test_replay_report import HOSTILE, line, use

__all__ = ["browser", "visit"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

ANSWER = """**Two ways** lead there:

1. `make run` starts the sandbox.
2. `typist init` connects Typist to Slack.

| Command | Minutes |
| --- | --- |
| `make run` | 1 |
| `typist init` | 10 |
"""


def report() -> str:
    short = AnswerUsage(0.0, 0, "", "", "openai/other", EndReason.WHOLE, 1_200, 90, 0.0008, 0.4)
    good = line(ANSWER, Given("Run `make run`.", EndReason.WHOLE, 1.1, [short]), question="How do I try it?")
    down = {**good, "thumbs_down": 1, "question": "What does it cost?", "job": 8}
    refused = AnswerUsage(0.0, 0, "", "", "openai/other", EndReason.REFUSED, 1_200, 0, 0.0003, None)
    lines = [good, down, line(HOSTILE[0], Given("", EndReason.REFUSED, 0.6, [refused]))]
    lines += [line(text + " long" * 300 + "x" * 400) for text in HOSTILE[1:]]
    sums = labeled_totals(lines, totals([use()] * len(lines), [Thumb(0.0, "", "", None, -1)]))
    return page(f"{len(lines)} questions at openai/other", sums, lines, {"C1": "#general"})


@pytest.mark.parametrize(("width", "columns"), [(1280, 2), (390, 1)])
async def test_report_shows_both_answers_and_loads_and_runs_nothing(
    visit: Visit, tmp_path: Path, width: int, columns: int
) -> None:
    (tmp_path / "report.html").write_text(report())
    requested: list[str] = []
    opened: Page = await visit("about:blank", viewport={"width": width, "height": 900})

    def on_request(request: Request) -> None:
        requested.append(request.url)

    opened.on("request", on_request)
    await opened.goto(f"file://{tmp_path}/report.html")
    await expect(opened.locator("h1")).to_have_text("8 questions at openai/other")
    assert await opened.title() == "8 questions at openai/other"
    assert requested == [f"file://{tmp_path}/report.html"]
    await expect(opened.locator("section").first).to_contain_text("2026-11-20 08:00 UTC · #general · job 7")
    await expect(opened.locator("section > pre").first).to_have_css("white-space", "pre-wrap")
    then, now = [await pair.bounding_box() for pair in await opened.locator(".pair").first.locator("> div").all()]
    assert then is not None
    assert now is not None
    assert (then["y"] == now["y"]) is (columns == 2)
    await expect(opened.locator(".answer b").first).to_have_text("Two ways")
    await opened.get_by_label("Only 👎").check()
    await expect(opened.locator("section:visible")).to_have_count(1)
    await opened.get_by_label("Only 👎").uncheck()
    await expect(opened.locator("section:visible")).to_have_count(8)
    assert await opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await opened.screenshot(path=tmp_path / f"report-{width}.png", full_page=False)
