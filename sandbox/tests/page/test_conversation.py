"""A conversation on the page: what people see and do there."""

import asyncio
from typing import Any

import pytest
from playwright.async_api import Locator, Page, Route, expect
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from slack_sandbox.server import Sandbox
from slack_sandbox.testing.browser import Visit, choose_action, message, thread

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slack(note="running on nothing at all")]

GENERAL = "C0GENERAL"
SHIFTS = """() => new PerformanceObserver((list) => {
  for (const { value } of list.getEntries()) window.shift += value;
}).observe({ type: "layout-shift", buffered: true })"""
"""Sums the layout shifts of the page, as Chromium counts them."""
WIDE = f"|{'|'.join('abcdefgh')}|\n{'|---' * 8}|\n|{'|'.join(['a few words that wrap'] * 8)}|"
LONG = "\n\n".join(
    ["| a | b | c |\n|:--|--:|--:|\n" + "| one value | another value | 1234567890 |\n" * 8]
    + [
        "```python\n"
        + "x = 'a line of code that goes on far beyond what a narrow window can show at once'\n" * 8
        + "```"
    ]
    + ["A paragraph with averylongwordwithoutanybreak" + "k" * 200] * 6
)


def box(page: Page) -> Locator:
    return page.locator("#main-box")


def messages(page: Page) -> Locator:
    return page.get_by_role("log", name="Messages").get_by_role("listitem")


def markdown(text: str) -> dict[str, Any]:
    return {"text": text[:100], "blocks": [{"type": "markdown", "text": text}]}


async def test_first_visit_shows_what_to_try(page: Page, sandbox: Sandbox) -> None:
    await expect(page.get_by_role("heading", name="Nothing in #general yet")).to_be_visible()
    await page.get_by_role("button", name="@Bot hello").press("Enter")
    await expect(box(page)).to_have_value("@Bot hello")
    await expect(page.get_by_role("status").first).to_contain_text("Bot isn't connected · running on nothing at all")
    await page.get_by_role("button", name="a direct message").press("Enter")
    await expect(page.get_by_role("heading", name="Bot", exact=True)).to_be_visible()
    await expect(box(page)).to_be_focused()


async def test_what_is_typed_before_the_channel_is_shown_stays(page: Page) -> None:
    typed = asyncio.Event()

    async def after_typing(route: Route) -> None:
        await typed.wait()
        await route.continue_()

    await page.route("**/sandbox/state", after_typing)
    await page.reload()
    await box(page).fill("early")
    typed.set()
    await expect(box(page)).to_be_focused()
    await expect(page.get_by_role("heading", name="Nothing in #general yet")).to_be_visible()
    await expect(box(page)).to_have_value("early")


async def test_question_and_thread_work_by_keyboard_alone(page: Page, sandbox: Sandbox) -> None:
    keyboard = page.keyboard
    await keyboard.type("Hi @bo")
    await expect(page.get_by_role("option", name="Bot")).to_have_attribute("aria-selected", "true")
    await keyboard.press("Tab")
    await keyboard.type("are you")
    await keyboard.press("Shift+Enter")
    await keyboard.type("there?")
    await keyboard.press("Enter")
    asked = message(page, "are you")
    await expect(asked.locator(".mention")).to_have_text("@Bot")
    assert sandbox.messages(GENERAL)[0].text == f"Hi <@{sandbox.bot_user_id}> are you\nthere?"

    await asked.focus()
    await keyboard.press("Enter")
    await expect(page.locator("#thread-box")).to_be_focused()
    await keyboard.type("a first reply")
    await keyboard.press("Enter")
    await expect(thread(page).get_by_role("listitem")).to_have_count(2)
    await expect(asked.get_by_role("button", name="1 reply")).to_be_visible()
    await keyboard.press("Escape")
    await expect(thread(page)).to_be_hidden()
    await expect(asked).to_be_focused()


@pytest.mark.long
async def test_tab_reaches_everything_with_visible_focus(page: Page, sandbox: Sandbox) -> None:
    await sandbox.say("ada", GENERAL, "something to look at")
    await expect(messages(page)).to_have_count(1)
    await page.get_by_role("button", name="Simulate Slack failures").click()
    await page.get_by_role("switch", name="Slow responses").press("Space")
    await expect(page.get_by_role("button", name="Reset all")).to_be_enabled()
    seen = set()
    for _ in range(45):
        await page.keyboard.press("Tab")
        if await page.evaluate("document.activeElement === document.body"):
            continue  # past the last element, where the browser's own controls follow
        seen.add(await page.evaluate("document.activeElement.innerText || document.activeElement.id"))
        outline = "getComputedStyle(document.activeElement.closest('label, .field') || document.activeElement)"
        assert await page.evaluate(f"{outline}.outlineStyle !== 'none' || {outline}.boxShadow !== 'none'")
    for name in ("Skip to the message box", "Simulate Slack failures 1 on", "⋯", "main-box", "Reset all"):
        assert name in {text.strip() for text in seen}
    assert any("HTTP 500" in name for name in seen)


@pytest.mark.parametrize(("typed", "keys", "written"), [
    ("@", ["Enter"], "@Bot "),
    ("@", ["ArrowDown", "Enter"], "@Grace "),
    ("hey @GR", ["Tab"], "hey @Grace "),
    ("@gra", ["Escape"], "@gra"),
    ("a@ty", [], "a@ty"),
])  # fmt: skip
async def test_names_are_completed(page: Page, typed: str, keys: list[str], written: str) -> None:
    await page.keyboard.type(typed)
    for key in keys:
        await page.keyboard.press(key)
    await expect(page.get_by_role("listbox")).to_be_hidden()
    await expect(box(page)).to_have_value(written)


async def test_arrow_keys_move_between_conversations(page: Page) -> None:
    await page.get_by_role("button", name="general").focus()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="random", exact=True)).to_be_visible()
    await expect(page.get_by_role("button", name="random")).to_have_attribute("aria-current", "page")


@pytest.mark.long
async def test_own_messages_can_be_edited_and_deleted(page: Page, sandbox: Sandbox) -> None:
    await sandbox.say("grace", GENERAL, "not yours")
    await page.keyboard.type("a < b @grace")
    await page.keyboard.press("Enter")
    await page.keyboard.press("Enter")
    await expect(message(page, "a < b")).to_be_visible()
    await page.keyboard.press("ArrowUp")
    editor = page.get_by_role("textbox", name="Edit message")
    await expect(editor).to_have_value("a < b @Grace")
    await editor.fill("b > a")
    await editor.press("Enter")
    await expect(message(page, "b > a")).to_contain_text("(edited)")

    await message(page, "not yours").get_by_role("button", name="Message actions").press("Enter")
    await expect(page.get_by_role("menuitem")).to_have_text(["Reply in thread", "Add reaction…"])
    await page.keyboard.press("Escape")
    await message(page, "b > a").focus()
    await choose_action(message(page, "b > a"), "Delete")
    dialog = page.get_by_role("dialog", name="Delete this message?")
    await expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(message(page, "b > a")).to_be_visible()
    await choose_action(message(page, "b > a"), "Delete")
    await dialog.get_by_role("button", name="Delete").press("Enter")
    await expect(message(page, "b > a")).to_have_count(0)
    await expect(message(page, "not yours")).to_be_focused()


async def test_answer_grows_in_place(page: Page, sandbox: Sandbox, web: AsyncWebClient) -> None:
    await page.keyboard.type("@bot hello")
    await page.keyboard.press("Enter")
    await expect(messages(page)).to_have_count(1)
    asked = sandbox.messages(GENERAL)[0].ts
    ts = (await web.chat_postMessage(channel=GENERAL, thread_ts=asked, **markdown("…")))["ts"]
    answer = thread(page).get_by_role("listitem").nth(1)
    await expect(answer).to_contain_text("…")  # the thread opens automatically, next to the new question
    await expect(box(page)).to_be_focused()
    await page.evaluate("for (const node of document.querySelectorAll('.message')) node.known = true")

    await web.chat_update(channel=GENERAL, ts=ts, **markdown("First **bold** words.\n\nThen"))
    await expect(answer.locator("strong")).to_have_text("bold")
    await answer.locator("p").first.evaluate("node => { node.known = true }")
    await web.chat_update(channel=GENERAL, ts=ts, **markdown("First **bold** words.\n\nThen more.\n\n- and more"))
    await expect(answer.locator("li")).to_have_text("and more")

    assert await answer.locator("p").first.evaluate("node => node.known")
    assert await page.evaluate("[...document.querySelectorAll('.message')].every((node) => node.known)")
    await expect(page.locator("#announcer")).to_contain_text("and more")


STOP = {
    "type": "actions",
    "elements": [{"type": "button", "action_id": "a", "text": {"type": "plain_text", "text": "Stop"}}],
}


async def test_screen_readers_hear_a_message_once_and_then_what_is_new_of_it(page: Page, web: AsyncWebClient) -> None:
    announcer = page.locator("#announcer")
    words = {"type": "markdown", "text": "# Title\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\nFirst words"}
    ts = (await web.chat_postMessage(channel=GENERAL, text="First words", blocks=[words, STOP]))["ts"]
    await expect(announcer).to_have_text("Bot: Title. a. b. 1. 2. First words.")
    words["text"] += " and more"
    await web.chat_update(channel=GENERAL, ts=ts, text="First words", blocks=[words, STOP])
    await expect(announcer).to_have_text("and more.")


async def test_screen_readers_hear_a_message_while_it_grows(page: Page, web: AsyncWebClient) -> None:
    await page.clock.install()
    ts = (await web.chat_postMessage(channel=GENERAL, **markdown("Word 0.")))["ts"]
    for number in range(1, 12):
        text = " ".join(f"Word {each}." for each in range(number + 1))
        await web.chat_update(channel=GENERAL, ts=ts, **markdown(text))
        await expect(messages(page)).to_contain_text(f"Word {number}.")
        await page.clock.run_for(1000)
    # Checked immediately, because a moment later the edits would have stopped for long enough.
    assert "Word" in str(await page.locator("#announcer").text_content())


async def test_switch_shows_the_text_alone(page: Page, web: AsyncWebClient) -> None:
    blocks = [{"type": "markdown", "text": "**Shown** in blocks"}]
    await web.chat_postMessage(channel=GENERAL, text="Said <https://a.example|in> *text*", blocks=blocks)
    await expect(message(page, "Shown in blocks")).to_be_visible()
    await page.get_by_role("button", name="Simulate Slack failures").first.click()
    await page.get_by_role("switch", name="only each message's text").click()
    await expect(message(page, "Said in text").locator("strong")).to_have_text("text")
    await page.get_by_role("switch", name="only each message's text").click()
    await expect(message(page, "Shown in blocks")).to_be_visible()


@pytest.mark.long
async def test_scroll_position_is_kept(page: Page, sandbox: Sandbox, web: AsyncWebClient) -> None:
    for index in range(30):
        await sandbox.say("ada", GENERAL, f"message {index}")
    ts = (await web.chat_postMessage(channel=GENERAL, **markdown("Growing")))["ts"]
    await expect(message(page, "Growing")).to_be_in_viewport()
    for lines in (10, 20, 40):
        await web.chat_update(channel=GENERAL, ts=ts, **markdown("\n\n".join(["line"] * lines + ["last line"])))
        await expect(page.get_by_text("last line")).to_be_in_viewport()

    await page.locator("#main .scroller").evaluate("node => { node.scrollTop = 100 }")
    await expect(message(page, "message 3")).to_be_in_viewport()
    await web.chat_update(channel=GENERAL, ts=ts, **markdown("line\n\n" * 60 + "the end"))
    await sandbox.say("grace", GENERAL, "below the fold")
    newest = page.get_by_role("button", name="Newest")
    await expect(newest).to_be_visible()
    assert await page.locator("#main .scroller").evaluate("node => node.scrollTop") == 100
    await newest.click()
    await expect(message(page, "below the fold")).to_be_in_viewport()


async def test_message_content_executes_nothing(page: Page, web: AsyncWebClient) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    attack = (
        "<script>window.hacked = 1</script> <img src=x onerror='window.hacked = 1'> &lt;b&gt;bold&lt;/b&gt; "
        "<style>body { display: none }</style> <iframe src=https://example.invalid></iframe> "
        "[click](javascript:window.hacked=1) ![picture](https://example.invalid/p.png) &lt;!channel&gt; the end"
    )
    await web.chat_postMessage(channel=GENERAL, **markdown(attack))
    await web.chat_postMessage(channel=GENERAL, text=f"plain {attack}")
    await expect(message(page, "the end")).to_have_count(2)
    await expect(page.get_by_text("<script>window.hacked = 1</script>")).to_have_count(2)
    assert await page.evaluate("window.hacked === undefined")
    assert (
        await page.locator(".body :is(script, style, img, iframe, b, [onerror], [style], [href^='javascript'])").count()
        == 0
    )
    assert await page.locator(".body .mention").count() == 0
    assert not [url for url in asked if "example.invalid" in url]


async def test_link_is_followed_only_when_pressed_and_sends_no_referrer(page: Page, web: AsyncWebClient) -> None:
    requests: list[str] = []

    async def elsewhere(route: Route) -> None:
        requests.append(route.request.url)
        await route.fulfill(body="elsewhere", content_type="text/html")

    await page.context.route("https://*.example/**", elsewhere)
    await web.chat_postMessage(
        channel=GENERAL, **markdown("[page](https://docs.example/page) ![picture](https://docs.example/p.png)")
    )
    for name in ("page", "picture"):
        link = page.locator(".body").get_by_role("link", name=name)
        await expect(link).to_have_attribute("rel", "noopener noreferrer")
        await expect(link).to_have_attribute("target", "_blank")
    assert requests == []
    async with page.context.expect_page() as opening:
        await page.locator(".body").get_by_role("link", name="page").click()
    opened = await opening.value
    await opened.wait_for_load_state()
    assert requests == ["https://docs.example/page"]
    assert await opened.evaluate("[window.opener, document.referrer]") == [None, ""]


async def test_fault_can_be_switched_on_and_off(page: Page, web: AsyncWebClient) -> None:
    ts = (await web.chat_postMessage(channel=GENERAL, text="one"))["ts"]
    await page.get_by_role("button", name="Simulate Slack failures").press("Enter")
    switch = page.get_by_role("switch", name="Edits refused")
    await switch.press("Space")
    await expect(switch).to_be_checked()
    with pytest.raises(SlackApiError, match="cant_update_message"):
        await web.chat_update(channel=GENERAL, ts=ts, text="two")
    await switch.press("Space")
    await expect(switch).not_to_be_checked()
    await web.chat_update(channel=GENERAL, ts=ts, text="three")
    await expect(message(page, "three")).to_be_visible()
    await expect(page.get_by_role("button", name="Drop the connections")).to_be_visible()


async def test_meter_follows_the_calls(page: Page, web: AsyncWebClient) -> None:
    await page.get_by_role("button", name="Simulate Slack failures").press("Enter")
    meter = page.get_by_role("meter", name="chat.update")
    await expect(meter).to_have_attribute("aria-valuenow", "0")
    ts = (await web.chat_postMessage(channel=GENERAL, text="one"))["ts"]
    for number in range(3):
        await web.chat_update(channel=GENERAL, ts=ts, text=f"edit {number}")
    await expect(meter).to_have_attribute("aria-valuenow", "3")
    await expect(meter).to_have_attribute("aria-valuetext", "3 of 50 calls")
    await expect(meter.locator("..")).to_contain_text("3 of 50 calls")
    await expect(page.get_by_role("meter", name="chat.postMessage")).to_have_attribute("aria-valuenow", "1")


async def test_meter_follows_calls_that_name_a_channel_which_the_page_does_not_know(
    page: Page, web: AsyncWebClient
) -> None:
    await page.get_by_role("button", name="Simulate Slack failures").press("Enter")
    group = (await web.conversations_open(users="U0ADA,U0GRACE"))["channel"]["id"]
    await web.chat_postMessage(channel=group, text="for two")
    with pytest.raises(SlackApiError, match="channel_not_found"):
        await web.chat_postMessage(channel="C0NOWHERE", text="for nobody")
    await expect(page.get_by_role("meter", name="chat.postMessage")).to_have_attribute("aria-valuenow", "2")


async def test_ephemeral_message_is_shown_to_its_recipient_only(page: Page, web: AsyncWebClient) -> None:
    await web.chat_postEphemeral(channel=GENERAL, user="U0ADA", text="for Ada's eyes")
    await expect(message(page, "for Ada's eyes")).to_contain_text("Only visible to you")
    await page.get_by_role("radio", name="Grace").check()
    await expect(message(page, "for Ada's eyes")).to_have_count(0)


async def test_assistant_status_is_shown_until_it_is_cleared(page: Page, sandbox: Sandbox, web: AsyncWebClient) -> None:
    asked = await sandbox.say("grace", GENERAL, "@bot a long one")
    await web.chat_postMessage(channel=GENERAL, thread_ts=asked, text="one reply")
    await web.assistant_threads_setStatus(channel_id=GENERAL, thread_ts=asked, status="is thinking…")
    opener = page.get_by_role("button", name="1 reply")
    await expect(opener).to_contain_text("Bot is thinking…")
    await opener.click()
    await expect(thread(page).get_by_role("status")).to_have_text("Bot is thinking…")
    await web.chat_postMessage(channel=GENERAL, thread_ts=asked, text="done")
    await expect(thread(page).get_by_role("status")).to_have_text("")
    await expect(page.get_by_role("button", name="2 replies")).to_contain_text("Last at")


async def test_message_that_slack_refuses_stays_in_the_input(page: Page, sandbox: Sandbox) -> None:
    sandbox.workspace.channel(GENERAL).archived = True
    await page.keyboard.type("too late")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_have_text("That didn't work: is_archived")
    await expect(box(page)).to_have_value("too late")


async def test_message_is_shown_as_being_sent_until_the_server_answers(page: Page) -> None:
    answers = asyncio.Event()

    async def late(route: Route) -> None:
        await answers.wait()
        await route.continue_()

    await page.route("**/sandbox/say", late)
    await page.keyboard.type("on its way :question: ```x``` 👋")
    await page.keyboard.press("Enter")
    await expect(messages(page).filter(has_text="Sending…")).to_contain_text("on its way")
    answers.set()
    await expect(page.get_by_text("Sending…")).to_have_count(0)
    await expect(messages(page)).to_have_count(1)
    await expect(messages(page)).to_contain_text("on its way ❓")
    await expect(messages(page).locator("pre")).to_have_text("x")


async def test_first_paint_stays_where_it_is(sandbox: Sandbox, visit: Visit) -> None:
    page = await visit("about:blank", viewport={"width": 1180, "height": 800})
    await page.add_init_script(f"window.shift = 0; ({SHIFTS})()")
    await page.goto(sandbox.url)
    await expect(page.locator(".example")).to_be_visible()
    await page.evaluate("new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))")
    assert await page.evaluate("window.shift") < 0.02


async def test_unread_conversation_is_marked_until_it_is_opened(page: Page, sandbox: Sandbox) -> None:
    await sandbox.say("grace", "C0RANDOM", "over here")
    await expect(page.get_by_role("button", name="random unread")).to_be_visible()
    await page.get_by_role("button", name="random").click()
    await expect(message(page, "over here")).to_be_visible()
    await expect(page.get_by_role("button", name="random unread")).to_have_count(0)


@pytest.mark.long
async def test_conversations_slide_in_on_a_narrow_window(sandbox: Sandbox, visit: Visit) -> None:
    page = await visit(sandbox.url, viewport={"width": 390, "height": 740})
    await expect(page.get_by_role("heading", name="general", exact=True)).to_be_visible()
    random = page.get_by_role("button", name="random")
    await expect(random).to_be_hidden()
    menu = page.get_by_role("button", name="Conversations")
    await menu.press("Enter")
    await expect(page.get_by_role("button", name="general")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(menu).to_be_focused()
    await menu.press("Enter")
    await random.click()
    await expect(page.get_by_role("heading", name="random", exact=True)).to_be_visible()
    await expect(random).to_be_hidden()


@pytest.mark.long
async def test_page_reconnects_when_the_sandbox_is_back(visit: Visit) -> None:
    async with Sandbox() as first:
        page = await visit(first.url)
        await first.say("ada", GENERAL, "before")
        await expect(message(page, "before")).to_be_visible()
    await expect(page.get_by_role("status").first).to_contain_text("can't be reached")
    lost = page.locator("#main .lost-note")
    await expect(lost).to_have_text("The sandbox can't be reached. Trying again…")
    async with Sandbox(port=first.port) as second:
        await second.say("ada", GENERAL, "after")
        await expect(message(page, "after")).to_be_visible(timeout=10_000)
        await expect(message(page, "before")).to_have_count(0)
        await expect(lost).to_be_hidden()
        await expect(page.get_by_role("status").first).to_contain_text("Bot isn't connected")


@pytest.mark.long
@pytest.mark.parametrize("width", [390, 1180])
async def test_wide_table_scrolls_and_its_cells_stay_readable(
    sandbox: Sandbox, web: AsyncWebClient, visit: Visit, width: int
) -> None:
    await web.chat_postMessage(channel=GENERAL, **markdown(WIDE))
    page = await visit(sandbox.url, viewport={"width": width, "height": 740})
    table = page.locator(".table")
    await expect(table.locator("td").last).to_be_visible()
    widths = await table.locator("td").evaluate_all("cells => cells.map((cell) => cell.clientWidth)")
    assert min(widths) >= 119
    assert await table.evaluate("node => node.scrollWidth > node.clientWidth")
    assert await page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.long
@pytest.mark.parametrize("width", [360, 768, 1024, 1440])
async def test_long_answer_fits_any_window(sandbox: Sandbox, web: AsyncWebClient, visit: Visit, width: int) -> None:
    asked = await sandbox.say("ada", GENERAL, "@bot a long one")
    await web.chat_postMessage(channel=GENERAL, thread_ts=asked, **markdown(LONG))
    page = await visit(sandbox.url, viewport={"width": width, "height": 740})
    await page.get_by_role("button", name="1 reply").click()
    await expect(thread(page).get_by_role("listitem")).to_have_count(2)
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    scroller = "const node = document.querySelector('#thread .scroller'); return node.scrollWidth <= node.clientWidth"
    assert await page.evaluate(f"(() => {{ {scroller} }})()")
