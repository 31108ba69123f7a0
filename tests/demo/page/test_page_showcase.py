"""The sandbox's cards, in a real browser, with the real bot: each one sends at a press, and a script answers."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, Route, expect

from bot.core import texts
from demo.guide import guide_of, sandbox_settings
from demo.models import GO_ON, ModelChoice, cards_model
from demo.passing_time import NOTHING_SCHEDULED, PassingTime
from demo.scripted_model import TOKENS_PER_S, ScriptedModel
from demo.tracker_server import TASKS, TrackerServer
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.browser import Visit, send, thread
from tests.mcp.servers import PATIENCE_S
from tests.scenarios.conftest import manifest, running, says, settings_of
from tests.streams.server import VendorServer

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.wide]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scripted() -> AsyncIterator[ScriptedModel]:
    async with ScriptedModel(GO_ON) as scripted:
        yield scripted


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tracker() -> AsyncIterator[TrackerServer]:
    async with TrackerServer() as tracker:
        yield tracker


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox(scripted: ScriptedModel, tracker: TrackerServer) -> AsyncIterator[Sandbox]:
    """Each test has a channel of its own."""
    async with VendorServer() as vendor, AsyncExitStack() as stack:
        vendor.script(says("The model's own words."))
        time_passes = PassingTime()
        guide = guide_of(ModelChoice(settings_of(Sandbox(), vendor), "a small model"), pass_time=time_passes)
        async with Sandbox(guide=guide, manifest=manifest()) as sandbox:
            time_passes.sandbox = sandbox
            settings = sandbox_settings(replace(settings_of(sandbox, vendor), drain_s=0, welcome=False), tracker.url)
            async with running(settings, wrap_models=await cards_model(settings, scripted, stack)) as time_passes.bot:
                yield sandbox


PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
ZOOMED = {"viewport": {"width": 640, "height": 400}}
"""A window of 1280 × 800 at 200% zoom."""
CUT_OFF = """() => [...document.querySelectorAll("body *")].filter((node) => {
  const { overflowX, overflowY } = getComputedStyle(node), isOut = (way) => ["hidden", "clip"].includes(way);
  return node.checkVisibility() && node.clientWidth > 1 &&
    ((isOut(overflowX) && node.scrollWidth > node.clientWidth + 1) ||
     (isOut(overflowY) && node.scrollHeight > node.clientHeight + 1));
}).map((node) => node.outerHTML.slice(0, 100))"""
"""The nodes whose content is cut off and can't be scrolled."""
TOO_LOW = """() => {
  const height = (node) => (node.closest("label") || node).getBoundingClientRect().height;
  return [...document.querySelectorAll("button, a.button, summary, select, input, textarea")].filter((node) =>
    node.checkVisibility({ visibilityProperty: true }) && node.offsetWidth > 1 && height(node) < 32)
    .map((node) => `${height(node)} px: ${node.outerHTML.slice(0, 100)}`);
}"""
"""What a finger presses that is less than 32 pixels high."""
SPILLED = """() => [...document.querySelectorAll("button")].filter((node) => node.checkVisibility() &&
  node.scrollWidth > node.clientWidth + 1).map((node) => node.outerHTML.slice(0, 100))"""
"""The buttons whose words don't fit into them."""
ZOOMING = """() => [...document.querySelectorAll("textarea, input, select")].filter((node) => node.checkVisibility() &&
  parseFloat(getComputedStyle(node).fontSize) < 16).map((node) => node.outerHTML.slice(0, 100))"""
"""The boxes into which iOS zooms, so that the page scrolls sideways."""
GAP = """message => message.querySelector(".body").getBoundingClientRect().top -
  message.querySelector(".name").getBoundingClientRect().bottom"""
"""The pixels between a writer's name and the message's text."""


@pytest.fixture
def hurried(scripted: ScriptedModel) -> Iterator[None]:
    """The script says three times as many words a second."""
    scripted.tokens_per_s = 3 * TOKENS_PER_S
    yield
    scripted.tokens_per_s = TOKENS_PER_S


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers wait for a server that starts slowly beside other tests."""
    monkeypatch.setattr("bot.mcp.tools.OFFERED_WITHIN_S", PATIENCE_S)


async def opened(visit: Visit, sandbox: Sandbox, channel: str) -> Page:
    return await visit(f"{sandbox.url}/?channel={channel}", viewport={"width": 1280, "height": 800})


def answer(page: Page) -> Locator:
    return thread(page).locator(".message").last


def badge(message: Locator) -> Locator:
    return message.locator(".badge", has_text="scripted")


async def test_answer_with_headings_table_and_code_streams_and_is_regenerated(
    sandbox: Sandbox, visit: Visit, hurried: None
) -> None:
    page = await opened(visit, sandbox, "C0GENERAL")
    cards = page.locator(".card")
    await expect(cards).to_have_count(12)
    await expect(cards.last).to_be_in_viewport(ratio=1)
    await expect(page.locator("#main")).to_contain_text("Your own questions go to a small model.")
    await expect(page.locator(".tick")).to_have_count(0)
    await cards.filter(has_text="Watch an answer stream").press("Enter")
    await expect(answer(page)).to_contain_text("Finding slow queries")
    await expect(answer(page)).to_contain_text(texts.answers.WRITING)
    await expect(badge(answer(page))).to_be_visible()
    note = thread(page).get_by_role("complementary", name="About this card")
    await expect(note).to_contain_text("Typist shows the words while the model writes.")
    await expect(answer(page).get_by_role("table")).to_contain_text("42 min")
    await expect(answer(page).locator("figure.code, .code")).to_contain_text("pg_stat_statements")
    seen = page.get_by_role("group", name="Showcase").get_by_role("button", name="stream (seen)")
    await expect(seen).to_contain_text("✓")
    await answer(page).get_by_role("button", name="Regenerate").click()
    await expect(answer(page)).to_contain_text("Attempt 2")
    await expect(answer(page).get_by_role("button", name="Previous")).to_be_visible()
    footer = answer(page).locator(".context").get_by_text("scripted", exact=True)
    await expect(footer).to_be_visible()
    assert await footer.evaluate("element => element.getClientRects().length") == 1

    await send(page, "@typist and what do you say?")
    await expect(answer(page)).to_contain_text("The model's own words.")
    await expect(badge(answer(page))).to_be_hidden()
    await expect(note).to_be_hidden()


@pytest.mark.long
async def test_long_answer_is_stopped_and_another_one_is_continued(
    sandbox: Sandbox, visit: Visit, scripted: ScriptedModel, hurried: None
) -> None:
    page = await opened(visit, sandbox, "C0RANDOM")
    scripted.tokens_per_s = TOKENS_PER_S
    await page.locator(".card", has_text="Stop or continue").click()
    await expect(answer(page)).to_contain_text("Notice it")
    await answer(page).get_by_role("button", name="Stop").click()
    await expect(answer(page)).to_contain_text("stopped")
    scripted.tokens_per_s = 600
    await page.get_by_role("group", name="Showcase").get_by_role("button", name="Stop or continue").click()
    await expect(answer(page)).to_contain_text(texts.answers.LENGTH_LIMIT)
    await answer(page).get_by_role("button", name="Continue").click()
    await expect(answer(page)).to_contain_text("Talk about it")
    await expect(answer(page)).to_contain_text("the time until somebody notices.")
    await expect(answer(page)).not_to_contain_text(texts.answers.LENGTH_LIMIT)
    await answer(page).get_by_role("button", name="Save as canvas").click()
    await expect(answer(page)).to_contain_text("The answer as a canvas:")


async def test_voice_clip_is_answered_below_its_folded_transcript(
    sandbox: Sandbox, visit: Visit, hurried: None
) -> None:
    page = await opened(visit, sandbox, "C0PARTNERS")
    await page.locator(".card, .offers button").filter(has_text="Ask by voice").filter(visible=True).click()
    await expect(page.locator("#main .file").last).to_contain_text("Hi! I'm on the train")
    heard = answer(page).locator("p", has_text="I heard: “Hi! I'm on the train")
    await expect(answer(page)).to_contain_text("Measure these three, in this order:")
    height = "node => node.clientHeight"
    folded = await heard.evaluate(height)
    await answer(page).get_by_text("See more").click()
    await expect(answer(page).get_by_text("See less")).to_be_visible()
    assert await heard.evaluate(height) > folded


@pytest.mark.long
async def test_busy_thread_shows_when_the_bot_answers_and_when_it_stays_out(
    sandbox: Sandbox, visit: Visit, hurried: None
) -> None:
    page = await opened(visit, sandbox, "C0MPDM")
    await page.locator(".card, .offers button").filter(has_text="A busy thread").filter(visible=True).click()
    await expect(thread(page).locator(".message", has_text="I'll look at its plan tomorrow.")).to_be_visible(
        timeout=120_000
    )
    joined = texts.access.SOMEBODY_JOINED["follow-ups"]
    await expect(thread(page).locator(".message", has_text=joined)).to_contain_text("Only visible to you")
    # Where the notice about a second person stands depends on when it comes.
    names = thread(page).locator(".message").filter(has_not_text=joined).locator(".name")
    await expect(names).to_have_text([*(("Ada", "Typist") * 2), "Grace", "Ada", *(("Grace", "Typist") * 2), "Ada"])


async def test_card_for_several_people_is_not_offered_where_there_are_too_few(sandbox: Sandbox, visit: Visit) -> None:
    page = await opened(visit, sandbox, "C0MPDM")
    everywhere = page.locator(".card, .offers button")
    await expect(everywhere.filter(has_text="A busy thread").filter(visible=True)).to_have_count(1)
    await expect(everywhere.filter(has_text="Three people")).to_have_count(0)


async def test_catching_up_sums_up_twelve_posts_and_its_links_lead_to_them(
    sandbox: Sandbox, visit: Visit, hurried: None
) -> None:
    page = await opened(visit, sandbox, "C0GENERAL")
    await page.locator(".card, .offers button").filter(has_text="Catch me up").filter(visible=True).click()
    await expect(page.locator("#title")).to_have_text("#launch")
    posts = page.locator("#main .message")
    await expect(posts).to_have_count(13)
    await expect(answer(page)).to_contain_text("Faster exports go live on Thursday at 10:00 UTC")
    await expect(answer(page)).to_contain_text("read 12 messages")
    assert page.url.startswith(f"{sandbox.url}/?")
    await answer(page).get_by_role("link", name=re.compile("^Alan,")).first.click()
    await expect(posts.filter(has_text="Second run, with 12 workers")).to_be_focused()
    await expect(thread(page)).to_be_visible()
    assert len(page.context.pages) == 1


async def test_schedule_that_a_person_creates_runs_once_time_passes(
    sandbox: Sandbox, visit: Visit, hurried: None
) -> None:
    page = await opened(visit, sandbox, "C0LAUNCH")
    time_passes = thread(page).get_by_role("button", name="Time passes")
    await page.locator(".card, .offers button").filter(has_text="Come back each weekday").filter(visible=True).click()
    await answer(page).get_by_role("button", name="Create", exact=True).click()
    await expect(answer(page)).to_contain_text("It's scheduled.")
    await time_passes.click()
    await expect(time_passes.locator("..").get_by_role("status")).to_have_text("Its run is in #launch.")
    run = page.locator("#main .message").filter(has_text="Scheduled by Ada")
    await run.get_by_text("1 reply").click()
    await expect(answer(page)).to_contain_text("Faster exports go live on Thursday at 10:00 UTC")
    await expect(badge(answer(page))).to_be_visible()
    await run.get_by_role("button", name="Stop schedule").click()
    await page.get_by_role("dialog").get_by_role("button", name="Stop", exact=True).click()
    await expect(page.locator("#main")).to_contain_text("Stopped. It won't run anymore.")
    await page.locator("#main .message", has_text="Each weekday at 9").last.get_by_text("1 reply").click()
    await expect(answer(page)).to_contain_text("Stopped. It won't run anymore.")
    await time_passes.click()
    await expect(time_passes.locator("..").get_by_role("status")).to_have_text(NOTHING_SCHEDULED)


async def test_memory_is_kept_without_a_model_and_read_by_the_next(
    sandbox: Sandbox, visit: Visit, hurried: None
) -> None:
    page = await opened(visit, sandbox, "C0GENERAL")
    await page.locator(".card, .offers button").filter(has_text="Remember something").filter(visible=True).click()
    await expect(thread(page)).to_contain_text("Remembered for #general")
    await expect(badge(thread(page).locator(".message", has_text="Remembered for #general"))).to_be_hidden()
    await expect(thread(page)).to_contain_text("1 memory")
    await expect(answer(page)).to_contain_text("exports go live on Thursdays at 10:00 UTC (number 1, Ada")


async def test_showcase_stays_above_the_box_until_it_is_hidden(sandbox: Sandbox, visit: Visit, hurried: None) -> None:
    page = await opened(visit, sandbox, sandbox.dm("ada"))
    row = page.get_by_role("group", name="Showcase")
    await expect(page.locator(".card")).to_have_count(10)
    await expect(row).to_be_hidden()
    await page.locator(".card", has_text="Share a spreadsheet").click()
    await expect(row.get_by_role("button")).to_have_count(13)
    await row.get_by_role("button", name="Hide showcase").press("Enter")
    link = page.get_by_role("button", name="Show the cards")
    await expect(link).to_be_focused()
    await page.reload()
    await expect(page.locator("#main .file")).to_be_visible()
    await expect(row).to_be_hidden()
    await link.press("Enter")
    await expect(row.get_by_role("button", name="Play all")).to_be_focused()
    await page.reload()
    await expect(row.get_by_role("button", name="Share a spreadsheet (seen)")).to_be_visible()
    await expect(link).to_be_hidden()


@pytest.mark.long
async def test_all_cards_play_in_a_minute_by_keyboard(sandbox: Sandbox, visit: Visit) -> None:
    page = await opened(visit, sandbox, "C0RANDOM")
    playing = page.get_by_role("group", name="Playing all cards")
    row = page.get_by_role("group", name="Showcase")
    await page.get_by_role("button", name="Play all").filter(visible=True).press("Enter")
    await expect(playing.get_by_role("status")).to_have_text("1 of 11: Watch an answer stream")
    stop = playing.get_by_role("button", name="Stop playing")
    await expect(stop).to_be_focused()
    await expect(playing.get_by_role("status")).to_contain_text("2 of 11")
    await expect(stop).to_be_focused()
    await stop.press("Enter")
    await expect(playing).to_be_hidden()
    await expect(page.locator("#main-box")).to_be_focused()

    began_s = time.monotonic()
    await row.get_by_role("button", name="Play all").press("Enter")
    await expect(playing.get_by_role("status")).to_contain_text("11 of 11: Approve a tool call", timeout=130_000)
    bar, below = await playing.bounding_box(), await page.locator("#app").bounding_box()
    assert bar
    assert below
    assert bar["y"] + bar["height"] <= below["y"], "it covers nothing"
    await expect(playing.get_by_role("status")).to_have_text(
        "Now it's your turn: the last answer is waiting for you. Left for you: Sign in as yourself."
    )
    await expect(page.locator("#main-box")).to_be_focused()
    assert 40 < time.monotonic() - began_s < 75, "about the minute that it says"
    await playing.get_by_role("button", name="Close").click()
    await expect(playing).to_be_hidden()
    await page.get_by_role("button", name="Approve", exact=True).click()
    await expect(page.locator("#main .message").last).to_contain_text("The export failed on Tuesday.")
    await page.locator("#channels").get_by_role("button", name="random").click()
    await expect(row.locator(".tick")).to_have_count(11)
    await expect(row.get_by_role("button", name="Choose an answer (seen)")).to_be_visible()
    await expect(page.locator("#main .message").filter(has_text="Announce that exports")).to_be_visible()


@pytest.mark.parametrize("screen", [PHONE, ZOOMED], ids=["phone", "zoomed"])
async def test_on_a_small_screen_a_card_opens_its_thread_and_nothing_is_out_of_reach(
    sandbox: Sandbox, visit: Visit, hurried: None, screen: dict[str, Any]
) -> None:
    page = await visit(f"{sandbox.url}/?channel=C0PROJECTX", **screen)
    everywhere = page.locator(".card, .offers button")
    await expect(everywhere.filter(has_text="Three people").first).to_be_attached()
    assert await page.evaluate(CUT_OFF) == []
    await everywhere.filter(has_text="Three people").filter(visible=True).click()
    await expect(thread(page)).to_be_in_viewport()
    note = thread(page).get_by_role("complementary", name="About this card")
    for name in ("Ada's answer", "Grace's answer", "Alan's answer", re.compile("^All answers")):
        meter = note.get_by_role("meter", name=name)
        await expect(meter).to_be_in_viewport()
        await expect(meter).not_to_have_attribute("aria-valuenow", "0")
    await expect(answer(page)).to_contain_text("Roll back the")
    await expect(page.get_by_role("region", name="Simulate Slack failures")).to_be_hidden()
    assert await page.evaluate(CUT_OFF) == []
    if screen is PHONE:
        assert await answer(page).evaluate(GAP) < 4, "the menu's button pushes the text away"
        assert not await page.locator("textarea:focus").count(), "a focused box opens the keyboard"
    assert "lower left" not in await page.inner_text("body")


async def fits_a_finger(page: Page) -> None:
    for wrong in (TOO_LOW, SPILLED, ZOOMING):
        assert await page.evaluate(wrong) == []
    assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") == 0


async def test_on_a_phone_everything_fits_a_finger_and_an_error_covers_nothing_typed(
    sandbox: Sandbox, visit: Visit, hurried: None, patient: None
) -> None:
    page = await visit(f"{sandbox.url}/?channel=C0RANDOM", **PHONE)
    await expect(page.locator("#main-box")).to_be_visible()
    await page.get_by_role("button", name="Conversations").tap()
    await fits_a_finger(page)
    await page.locator("#channels").get_by_role("button", name="random").tap()
    await page.locator(".card, .offers button").filter(has_text="Approve a tool call").filter(visible=True).tap()
    await expect(page.get_by_role("button", name="Approve", exact=True)).to_be_visible()
    await fits_a_finger(page)
    await page.get_by_role("button", name="Failures").tap()
    await fits_a_finger(page)
    await page.get_by_role("button", name="Close simulated failures").tap()
    box = page.locator("#main-box")
    await box.fill("/typist settings")
    await page.get_by_role("button", name="Send", exact=True).filter(visible=True).tap()
    await expect(page.get_by_role("dialog")).to_contain_text("System prompt")
    await fits_a_finger(page)
    await page.get_by_role("dialog").get_by_role("button", name="Cancel").tap()
    # While a modal is open, the box behind it takes no focus, and Playwright fills nothing.
    await expect(page.get_by_role("dialog")).to_be_hidden()
    await page.route("**/sandbox/say", lambda route: route.fulfill(status=500, json={"error": "Sorry. " * 40}))
    await box.fill("Two\nlines")
    await page.get_by_role("button", name="Send", exact=True).filter(visible=True).tap()
    toast = page.get_by_role("alert").filter(has_text="That didn't work")
    await expect(toast).to_be_visible()
    said, typed = await toast.bounding_box(), await box.bounding_box()
    assert said
    assert typed
    assert said["x"] >= 0
    assert said["width"] > 340, "long words have the whole width"
    assert said["y"] + said["height"] < typed["y"]
    await expect(box).to_have_value("Two\nlines")


async def test_meters_count_questions_that_are_posted_after_the_first_ones_thread_is_open(
    sandbox: Sandbox, visit: Visit, hurried: None
) -> None:
    page = await opened(visit, sandbox, "C0PARTNERS")
    is_open = asyncio.Event()

    async def after_opening(route: Route) -> None:
        if "U0ADA" not in (route.request.post_data or ""):
            await is_open.wait()
        await route.continue_()

    await page.route("**/sandbox/say", after_opening)
    await page.locator(".card, .offers button").filter(has_text="Three people").filter(visible=True).click()
    meters = thread(page).get_by_role("complementary", name="About this card").get_by_role("meter")
    await expect(meters).to_have_count(2)
    is_open.set()
    await expect(meters.nth(3)).to_be_visible()
    names = await meters.evaluate_all("meters => meters.map((meter) => meter.ariaLabel)")
    assert [name.startswith("All answers") for name in names[:4]] == [False, False, False, True]


@pytest.mark.parametrize(
    "screen",
    [
        pytest.param({"viewport": {"width": 1280, "height": 800}}, id="desktop"),
        pytest.param(PHONE, id="phone", marks=pytest.mark.long),
    ],
)
async def test_tool_runs_only_when_it_is_approved(
    sandbox: Sandbox, visit: Visit, hurried: None, patient: None, screen: dict[str, Any]
) -> None:
    page = await visit(f"{sandbox.url}/?channel=C0GENERAL", **screen)
    question = "Please note that the export failed on Tuesday."
    # Another test may have asked it in the same direct message.
    asked = sum(message.text == question for message in sandbox.messages(sandbox.dm("ada")))
    await page.locator(".card, .offers button").filter(has_text="Approve a tool call").filter(visible=True).click()
    messages = page.locator("#main .message")
    await expect(page.locator("#members")).to_have_text("Direct message")
    await expect(messages.filter(has_text=question)).to_have_count(asked + 1)
    await expect(badge(messages.last)).to_be_visible()
    await expect(messages.last).to_contain_text("Add this note?")
    note = page.locator("#main").get_by_role("complementary", name="About this card")
    await expect(note).to_contain_text("it runs only if you approve it")
    await expect(messages.last).not_to_contain_text("Note 1")
    await page.get_by_role("button", name="Deny", exact=True).click()
    await expect(messages.last).to_contain_text("I didn't add the note.")
    await messages.last.get_by_role("button", name="Regenerate").click()
    await page.get_by_role("button", name="Approve", exact=True).click()
    await expect(messages.last).to_contain_text(re.compile(r"Note \d says:\s*The export failed on Tuesday\."))
    await messages.last.get_by_role("button", name="Details").click()
    await expect(page.locator("#main")).to_contain_text("notes.add_note: done, approved by Ada")


@pytest.mark.parametrize(
    ("person", "screen"),
    [
        pytest.param("Ada", {"viewport": {"width": 1280, "height": 800}}, id="desktop", marks=pytest.mark.long),
        pytest.param("Grace", PHONE, id="phone"),
    ],
)
@pytest.mark.long
async def test_person_signs_in_to_the_tracker_reads_their_tasks_and_signs_out(
    sandbox: Sandbox,
    tracker: TrackerServer,
    visit: Visit,
    hurried: None,
    patient: None,
    person: str,
    screen: dict[str, Any],
) -> None:
    page = await visit(f"{sandbox.url}/?channel=C0GENERAL", **screen)
    await page.locator(".card, .offers button").filter(has_text="Sign in as yourself").filter(visible=True).click()
    answered = page.locator("#main .message").last
    await expect(answered).to_contain_text("To use tracker for you, I need you to sign in.")
    await answered.get_by_role("button", name="Sign in").click()
    modal = page.get_by_role("dialog")
    async with page.context.expect_page() as opened_page:
        await modal.get_by_role("link", name="Sign in to tracker at").click()
    there = await opened_page.value
    async with there.expect_event("requestfailed") as failed:
        await there.get_by_role("button", name=f"Continue as {person}").click()
    address = (await failed.value).url
    await there.close()
    await modal.get_by_role("textbox").fill(address)
    await modal.get_by_role("button", name="Sign in").click()
    for task in TASKS[person]:
        await expect(answered).to_contain_text(task)
    await expect(answered).to_contain_text("You're signed in to tracker.")
    assert address not in await page.inner_text("body")
    await send(page, "/typist accounts")
    await modal.get_by_role("checkbox", name="tracker, since").uncheck()
    await modal.get_by_role("button", name="Save").click()
    await expect(modal).to_have_count(0)
    await sandbox.wait_for(lambda: not tracker.signed_in)


async def test_press_of_a_choice_is_answered_in_the_pressers_name(
    sandbox: Sandbox, visit: Visit, hurried: None
) -> None:
    page = await opened(visit, sandbox, "C0RANDOM")
    await page.locator(".card, .offers button").filter(has_text="Choose an answer").filter(visible=True).click()
    offering = thread(page).locator(".message", has_text="Who is it for?")
    choice = offering.get_by_role("button", name="Our developers", exact=True)
    await choice.click()
    # The answer that asked may come again below this one, without its buttons.
    answered = thread(page).locator(".message", has_text="now streams from a cursor")
    await expect(answered).to_be_visible()
    chosen = thread(page).locator(".message", has_text="@Ada chose:")
    await expect(chosen).to_contain_text("Our developers")
    await expect(choice).to_have_count(0)
    await offering.get_by_role("button", name="More actions").click()
    await expect(offering.get_by_role("menuitem", name="Regenerate")).to_be_visible()
