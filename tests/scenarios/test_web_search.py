"""Web search: what readers see while the vendor searches, and the sources below the answer, wherever it goes."""

from dataclasses import replace
from pathlib import Path

import pytest

from bot.core import texts
from bot.models.prompt import WebSearch
from bot.models.setup import VendorSettings
from bot.settings import Settings
from bot.store.schema import turns
from slack_sandbox.server import Sandbox
from slack_sandbox.workspace import Message
from tests.scenarios.answers import on_record, rows
from tests.scenarios.conftest import Stage, running, shown
from tests.scenarios.tools import tools_in
from tests.streams import speech, steps
from tests.streams.server import VendorResponse, VendorServer, refusal

pytestmark = pytest.mark.skips_waits

TYPIST, SLACK = ("https://example.com/typist", "Typist"), ("https://docs.slack.dev/apis", "Slack's APIs")
SEARCH = (steps.SERVER_SEARCH, steps.SEARCH_RESULT)
LONG = "It streams answers into Slack by paced edits. " * 20


@pytest.fixture
def settings(settings: Settings, vendor: VendorServer, tmp_path: Path) -> Settings:
    return replace(
        settings,
        database_url=f"sqlite:///{tmp_path}/typist.db",
        vendors={"anthropic": VendorSettings("key", vendor.url)},
        models=("anthropic/claude-haiku-5-5",),
        web_search=WebSearch(),
    )


def search_answer(*blocks: steps.Item, searches: int) -> VendorResponse:
    """Returns an answer that searched before these blocks."""
    return VendorResponse(steps.messages(*SEARCH, *blocks, searches=searches))


def sources(message: Message) -> list[tuple[str, str]]:
    """Returns the list of sources below an answer, as (URL, label)."""
    lists = [
        element
        for block in message.sent_blocks
        if block.get("block_id") == "about-answer-sources"
        for element in block["elements"]
        if element["type"] == "rich_text_list"
    ]
    links = [item["elements"][0] for listed in lists for item in listed["elements"]]
    return [(link["url"], link["text"]) for link in links]


def label(source: tuple[str, str]) -> tuple[str, str]:
    url, title = source
    return url, f"{url.split('/')[2]} · {title}"


async def with_sources(stage: Stage, asked: str, count: int) -> Message:
    """Waits until a reply shows this many sources, and returns the message that does."""

    def listing() -> list[Message]:
        return [message for message in stage.bots("general", asked) if len(sources(message)) == count]

    return (await stage.sandbox.wait_for(listing, 40))[0]


async def test_footer_says_that_the_model_refuses_to_search(stage: Stage) -> None:
    error = {"type": "invalid_request_error", "message": "tools.0: web_search is not enabled for this organization."}
    stage.vendor.script(
        refusal(400, {"type": "error", "error": error}), VendorResponse(steps.messages(steps.text("By heart.")))
    )
    asked = await stage.mention()
    told = "answered without web search, which this model doesn't support"
    [message] = await stage.sandbox.wait_for(
        lambda: [message for message in stage.bots("general", asked) if told in str(message.sent_blocks)], 40
    )
    assert shown(message).startswith("By heart.")


async def test_answer_lists_its_sources_with_honest_links(stage: Stage, settings: Settings) -> None:
    stage.vendor.script(
        search_answer(steps.text("It streams ", TYPIST), steps.text("into Slack.", SLACK, TYPIST), searches=2)
    )
    asked = await stage.mention()
    message = await with_sources(stage, asked, 2)
    assert sources(message) == [label(TYPIST), label(SLACK)]
    assert shown(message).startswith("It streams into Slack.")
    assert texts.answers.SOURCES in shown(message)
    await on_record(settings)
    [turn] = await rows(settings, turns)
    assert turn.web_searches == 2
    assert turn.answer == "It streams into Slack."
    assert turn.cost_usd == pytest.approx(0.02 + 12 * 0.1e-6 + 42 * 0.5e-6)


async def test_servers_without_web_search_are_named_at_the_start(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    compatible = {"openai": VendorSettings("key", f"{vendor.url}/v1")}
    vendor.script(VendorResponse(speech.chat(["Done."])))
    async with running(replace(settings, vendors=compatible, models=("openai/llama",))):
        stage = Stage(sandbox, vendor)
        await stage.answers("general", await stage.mention())
    assert "BOT_WEB_SEARCH has no effect on openai/llama" in caplog.text
    assert tools_in(vendor.requests[0]) == []
