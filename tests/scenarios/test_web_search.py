"""Web search: what readers see while the vendor searches, and the sources below the answer, wherever it goes."""

from dataclasses import replace
from pathlib import Path

import pytest

from bot.clock import SystemClock
from bot.core import texts
from bot.core.actions import ReplyAction
from bot.core.channel_settings import ChannelSettings
from bot.models.prompt import WebSearch
from bot.models.setup import VendorSettings
from bot.settings import Settings
from bot.store import Stores
from bot.store.schema import turns
from sandbox.server import Sandbox
from sandbox.workspace import TEAM_ID, Message
from tests.scenarios.answers import on_record, press, rows
from tests.scenarios.conftest import Stage, running, shown
from tests.scenarios.tools import tools_in
from tests.streams import speech, steps
from tests.streams.server import ResponseEnd, VendorResponse, VendorServer, refusal

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


def search_answer(*blocks: steps.Item, stop_reason: str = "end_turn", searches: int = 1) -> VendorResponse:
    """Returns an answer that searched before these blocks."""
    return VendorResponse(steps.messages(*SEARCH, *blocks, stop_reason=stop_reason, searches=searches))


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


async def with_sources(stage: Stage, asked: str, count: int, timeout_s: float = 40) -> Message:
    """Waits until a reply shows this many sources, and returns the message that does."""

    def listing() -> list[Message]:
        return [message for message in stage.bots("general", asked) if len(sources(message)) == count]

    return (await stage.sandbox.wait_for(listing, timeout_s))[0]


async def test_footer_says_that_the_model_refuses_to_search(stage: Stage) -> None:
    error = {"type": "invalid_request_error", "message": "tools.0: web_search is not enabled for this organization."}
    stage.vendor.script(
        refusal(400, {"type": "error", "error": error}), VendorResponse(steps.messages(steps.text("By heart.")))
    )
    asked = await stage.mention()
    told = "answered without web search, which this model refuses"
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
    assert texts.SOURCES in shown(message)
    await on_record(settings)
    [turn] = await rows(settings, turns)
    assert turn.web_searches == 2
    assert turn.answer == "It streams into Slack."
    assert turn.cost_usd == pytest.approx(0.02 + 12 * 0.1e-6 + 42 * 0.5e-6)


async def test_paused_answer_costs_what_its_requests_cost(stage: Stage, settings: Settings) -> None:
    """Both requests have 60,000 tokens of input. As one request they would cost five times as much."""
    stage.vendor.script(
        VendorResponse(steps.messages(*SEARCH, stop_reason="pause_turn", searches=1, input_tokens=60_000)),
        VendorResponse(steps.messages(*SEARCH, steps.text("It streams.", TYPIST), searches=2, input_tokens=60_000)),
    )
    asked = await stage.mention()
    message = await with_sources(stage, asked, 1)
    assert shown(message).endswith("claude-haiku-5-5 · 3 searches")
    await on_record(settings)
    [turn] = await rows(settings, turns)
    assert turn.web_searches == 3
    assert turn.cost_usd == pytest.approx(0.03 + 2 * (60_000 * 0.1e-6 + 42 * 0.5e-6))


async def test_answer_of_openai_lists_its_sources(sandbox: Sandbox, vendor: VendorServer, settings: Settings) -> None:
    vendor.script(
        VendorResponse(steps.responses(steps.SEARCH_CALL, steps.OPEN_PAGE, steps.message("It streams.", TYPIST)))
    )
    openai = {"openai": VendorSettings("key", f"{vendor.url}/v1", api="responses")}
    async with running(replace(settings, vendors=openai, models=("openai/gpt-6-luna",))):
        stage = Stage(sandbox, vendor)
        message = await with_sources(stage, await stage.mention(), 1)
    assert sources(message) == [label(TYPIST)]
    [turn] = await rows(settings, turns)
    assert turn.web_searches == 1


async def test_placeholder_says_what_is_searched_for(stage: Stage) -> None:
    chunks = search_answer(steps.text("It streams.", TYPIST)).chunks
    at = next(number for number, chunk in enumerate(chunks) if b'"type": "web_search_tool_result"' in chunk)
    stage.vendor.script(VendorResponse([b"".join(chunks[:at]), b"".join(chunks[at:])], pause_s=1.5))
    asked = await stage.mention()
    searching = texts.searching("Typist Slack bot")
    await stage.sandbox.wait_for(lambda: [m for m in stage.bots("general", asked) if searching in shown(m)])
    message = await with_sources(stage, asked, 1)
    assert searching not in shown(message)
    assert len(stage.bots("general", asked)) == 1


async def test_sources_stand_on_the_last_page(stage: Stage) -> None:
    stage.vendor.script(
        search_answer(steps.text("A sentence of the first page.\n\n" * 500), steps.text("The end.", TYPIST))
    )
    asked = await stage.mention()
    await with_sources(stage, asked, 1)
    pages = stage.bots("general", asked)
    assert len(pages) > 1
    assert [len(sources(page)) for page in pages] == [*[0] * (len(pages) - 1), 1]


async def test_continued_answer_lists_the_sources_of_both_parts(stage: Stage, settings: Settings) -> None:
    stage.vendor.script(
        search_answer(steps.text("It streams.", TYPIST), stop_reason="max_tokens"),
        search_answer(steps.text(" Into Slack.", SLACK)),
    )
    asked = await stage.mention()
    message = await with_sources(stage, asked, 1)
    await on_record(settings)
    await press(stage, message, ReplyAction.CONTINUE)
    assert sources(await with_sources(stage, asked, 2)) == [label(TYPIST), label(SLACK)]
    await on_record(settings)
    old, new = await rows(settings, turns)
    assert (old.sources, old.answer) == (None, "")
    assert new.sources == [list(TYPIST), list(SLACK)]


async def test_regenerated_answer_lists_its_own_sources(stage: Stage, settings: Settings) -> None:
    stage.vendor.script(
        search_answer(steps.text("It streams.", TYPIST)), search_answer(steps.text("Into Slack.", SLACK))
    )
    asked = await stage.mention()
    message = await with_sources(stage, asked, 1)
    await on_record(settings)
    await press(stage, message, ReplyAction.REGENERATE)
    await stage.sandbox.wait_for(lambda: "Into Slack." in shown(stage.bots("general", asked)[0]))
    assert sources(await with_sources(stage, asked, 1)) == [label(SLACK)]


async def test_previous_version_is_shown_with_its_sources(stage: Stage, settings: Settings) -> None:
    stage.vendor.script(
        search_answer(steps.text("It streams.", TYPIST)), search_answer(steps.text("Into Slack.", SLACK))
    )
    asked = await stage.mention()
    message = await with_sources(stage, asked, 1)
    await on_record(settings)
    await press(stage, message, ReplyAction.REGENERATE)
    await stage.sandbox.wait_for(lambda: "Into Slack." in shown(stage.bots("general", asked)[0]))
    message = await with_sources(stage, asked, 1)
    await on_record(settings)
    await press(stage, message, ReplyAction.PREVIOUS)
    await stage.sandbox.wait_for(lambda: "It streams." in shown(stage.bots("general", asked)[0]))
    assert sources(stage.bots("general", asked)[0]) == [label(TYPIST)]


async def test_deleted_answer_leaves_no_sources_on_record(stage: Stage, settings: Settings) -> None:
    stage.vendor.script(search_answer(steps.text("It streams.", TYPIST)))
    asked = await stage.mention()
    message = await with_sources(stage, asked, 1)
    await on_record(settings)
    await press(stage, message, ReplyAction.DELETE)
    await stage.sandbox.wait_for(lambda: not stage.bots("general", asked))
    [turn] = await rows(settings, turns)
    assert (turn.answer, turn.sources) == ("", None)


@pytest.mark.long
async def test_answer_that_another_process_continues_keeps_its_sources(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings
) -> None:
    stage = Stage(sandbox, vendor)
    cited = search_answer(steps.text(LONG, TYPIST)).chunks[:-3]
    vendor.script(VendorResponse(cited, ending=ResponseEnd.HANG, ping=b'event: ping\ndata: {"type": "ping"}\n\n'))
    async with running(replace(settings, drain_s=0)):
        asked = await stage.mention()
        await sandbox.wait_for(lambda: [m for m in stage.bots("general", asked) if "paced edits" in shown(m)])
    vendor.script(search_answer(steps.text("Into Slack.", SLACK)))
    async with running(settings):
        message = await with_sources(stage, asked, 2)
    assert sources(message) == [label(TYPIST), label(SLACK)]
    assert "Into Slack." in shown(message)


async def test_channel_turns_web_search_off(stage: Stage, settings: Settings) -> None:
    store = await Stores.open(settings.database_url, "w2", SystemClock())
    general = stage.sandbox.workspace.channel("general").id
    await store.channel_settings.write(TEAM_ID, general, ChannelSettings(web_search=False))
    await store.close()
    stage.vendor.script(VendorResponse(speech.messages(["Done."])))
    for channel in ("general", "random"):
        await stage.answers(channel, await stage.mention(channel=channel))
    off, on = map(tools_in, stage.vendor.requests)
    assert off == []
    assert on == ["web_search", "web_fetch"]


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
