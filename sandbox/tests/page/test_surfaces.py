"""Buttons, menus, modals and the Home tab on the page, with a Bolt app."""

from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from slack_sandbox.server import Sandbox
from slack_sandbox.testing import manifests
from slack_sandbox.testing.bolt import actions, button, option, plain
from slack_sandbox.testing.browser import Visit, choose_action, message, thread
from slack_sandbox.workspace import Json

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.long,
    pytest.mark.slack(manifest=manifests.classic()),
]

GENERAL = "C0GENERAL"


def growing(text: str, *elements: Json) -> Json:
    return {"text": text, "blocks": [{"type": "markdown", "text": text}, actions(*elements)]}


@pytest.mark.parametrize("means", ["keyboard", "mouse"])
async def test_button_works_while_the_text_above_it_grows(
    page: Page, bolt: AsyncApp, web: AsyncWebClient, means: str
) -> None:
    """With the mouse, pressing begins before the edits and ends after them."""

    @bolt.action("stop")
    async def stop(ack: Any, body: Json, client: AsyncWebClient) -> None:
        await ack()
        where = body["container"]
        await client.chat_update(channel=where["channel_id"], ts=where["message_ts"], text="Stopped by a press.")

    ts = (await web.chat_postMessage(channel=GENERAL, **growing("One", button())))["ts"]
    pressed = page.get_by_role("button", name="Stop")
    await pressed.focus()
    if means == "mouse":
        await pressed.hover()
        await page.mouse.down()
    for text in ("One two", "One two three", "One two three\n\nfour"):
        await web.chat_update(channel=GENERAL, ts=ts, **growing(text, button()))
        await expect(message(page, text.split("\n")[-1])).to_be_visible()
        await expect(pressed).to_be_focused()
    await (page.mouse.up() if means == "mouse" else page.keyboard.press("Enter"))
    await expect(message(page, "Stopped by a press.")).to_be_visible()
    await expect(pressed).to_have_count(0)


@pytest.mark.parametrize("edits", [["Stopped."], ["Stopping …", "Stopped."]])
async def test_focus_stays_in_a_message_whose_button_goes(
    page: Page, bolt: AsyncApp, web: AsyncWebClient, edits: list[str]
) -> None:
    """An edit replaces the buttons, by the last edit at the latest."""
    ts = (await web.chat_postMessage(channel=GENERAL, **growing("One", button())))["ts"]
    await page.get_by_role("button", name="Stop").focus()
    for text in edits:
        again = growing(text, button("again", text=plain("Again")))
        await web.chat_update(channel=GENERAL, ts=ts, **(again if text == edits[-1] else {"text": text}))
        await expect(message(page, text)).to_be_visible()
        if text != edits[-1]:
            await expect(message(page, text)).to_be_focused()
    await expect(page.get_by_role("button", name="Again")).to_be_focused()


async def test_unanswered_press_shows_a_warning(page: Page, sandbox: Sandbox, web: AsyncWebClient) -> None:
    await web.chat_postMessage(channel=GENERAL, **growing("Nobody is there.", button()))
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_role("img", name="This app did not respond in time.")).to_be_visible()


async def test_confirmation_dialog_asks_before_the_action(page: Page, bolt: AsyncApp, web: AsyncWebClient) -> None:
    @bolt.action("delete")
    async def delete(ack: Any, respond: Any) -> None:
        await ack()
        await respond(delete_original=True)

    confirm = {
        "title": plain("Delete this answer?"),
        "text": plain("It cannot be brought back."),
        "confirm": plain("Delete"),
        "deny": plain("Keep"),
        "style": "danger",
    }
    await web.chat_postMessage(channel=GENERAL, **growing("To be deleted", button("delete", confirm=confirm)))
    await page.get_by_role("button", name="Stop").click()
    dialog = page.get_by_role("dialog", name="Delete this answer?")
    await expect(dialog).to_contain_text("It cannot be brought back.")
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await expect(page.get_by_role("button", name="Stop")).to_be_focused()
    await page.keyboard.press("Enter")
    await dialog.get_by_role("button", name="Delete").press("Enter")
    await expect(message(page, "To be deleted")).to_have_count(0)


async def test_menus_feedback_buttons_and_ephemeral_messages_work(
    page: Page, bolt: AsyncApp, web: AsyncWebClient
) -> None:
    chosen: list[Any] = []

    async def keep(ack: Any, action: Json, respond: Any) -> None:
        await ack()
        chosen.append(action)
        await respond(f"You chose {action['action_id']}.")

    for name in ("more", "model", "rate", "trash"):
        bolt.action(name)(keep)
    more = {"type": "overflow", "action_id": "more", "options": [option("again"), option("previous")]}
    model = {"type": "static_select", "action_id": "model", "options": [option("small"), option("large")]}
    good, bad = ({"text": plain(f"{word} answer"), "value": word} for word in ("good", "bad"))
    rate = {"type": "feedback_buttons", "action_id": "rate", "positive_button": good, "negative_button": bad}
    trash = {"type": "icon_button", "action_id": "trash", "icon": "trash", "text": plain("Delete")}
    content = growing("An answer", more, model)
    thumbs = {"type": "context_actions", "elements": [rate, {**trash, "visible_to_user_ids": ["U0GRACE"]}]}
    await web.chat_postMessage(channel=GENERAL, **(content | {"blocks": [*content["blocks"], thumbs]}))

    await page.get_by_role("button", name="More actions").press("Enter")
    await expect(page.get_by_role("menuitem", name="Again")).to_be_focused()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(message(page, "You chose more.")).to_contain_text("Only visible to you")
    await expect(page.get_by_role("menu")).to_be_hidden()
    await page.get_by_role("combobox", name="Choose").select_option("Large")
    await expect(message(page, "You chose model.")).to_be_visible()
    thumb = page.get_by_role("button", name="good answer")
    await thumb.click()
    await expect(thumb).to_have_attribute("aria-pressed", "true")
    assert [c.get("value") or c["selected_option"]["value"] for c in chosen] == ["previous", "large", "good"]

    await expect(page.get_by_role("button", name="Delete", exact=True)).to_have_count(0)
    await page.get_by_role("radio", name="Grace").check()
    await expect(page.get_by_role("button", name="Delete", exact=True)).to_be_visible()
    await expect(message(page, "You chose more.")).to_have_count(0)


SETTINGS: Json = {
    "type": "modal",
    "callback_id": "settings",
    "title": plain("Settings"),
    "submit": plain("Save"),
    "blocks": [
        {
            "type": "input",
            "block_id": "model",
            "label": plain("Model"),
            "element": {"type": "static_select", "action_id": "m", "options": [option("small"), option("large")]},
        },
        {
            "type": "input",
            "block_id": "prompt",
            "label": plain("Prompt"),
            "hint": plain("Said before each question"),
            "element": {"type": "plain_text_input", "action_id": "p"},
        },
        {
            "type": "input",
            "block_id": "how",
            "label": plain("How"),
            "optional": True,
            "element": {"type": "checkboxes", "action_id": "h", "options": [option("quick"), option("cheap")]},
        },
    ],
}


def field(name: str) -> Json:
    element = {"type": "plain_text_input", "action_id": "text"}
    return {"type": "input", "block_id": name, "label": plain(name), "optional": True, "element": element}


async def test_command_opens_a_modal_that_is_filled_in_by_keyboard(page: Page, bolt: AsyncApp) -> None:
    submitted: list[Json] = []

    @bolt.command("/bot")
    async def command(ack: Any, body: Json, client: AsyncWebClient) -> None:
        await ack()
        await client.views_open(trigger_id=body["trigger_id"], view=SETTINGS)

    @bolt.view("settings")
    async def save(ack: Any, view: Json) -> None:
        submitted.append(view["state"]["values"])
        if len(submitted) == 1:
            await ack(response_action="errors", errors={"prompt": "That prompt is taken."})
        else:
            await ack()

    keyboard = page.keyboard
    await keyboard.type("/bo")
    await expect(page.get_by_role("option", name="/bot")).to_contain_text("Ask, and set how it answers")
    await keyboard.press("Enter")
    await expect(page.locator("#main-box")).to_have_value("/bot ")
    await keyboard.type("settings")
    await keyboard.press("Enter")
    modal = page.get_by_role("dialog", name="Settings")
    await expect(modal.get_by_role("combobox", name="Model")).to_be_focused()
    await modal.get_by_role("button", name="Save").press("Enter")
    await expect(modal.get_by_role("alert").filter(has_text="Please complete this required field.")).to_have_count(2)
    await modal.get_by_role("combobox", name="Model").select_option("Large")
    prompt = modal.get_by_role("textbox", name="Prompt")
    await prompt.focus()
    await keyboard.type("Be brief.")
    await modal.get_by_role("checkbox", name="Cheap").press("Space")
    await prompt.press("Enter")
    await expect(modal.get_by_text("That prompt is taken.")).to_be_visible()
    await expect(prompt).to_be_focused()
    await expect(prompt).to_have_attribute("aria-invalid", "true")
    for _ in range(8):  # Tab stays inside the modal, except for the browser's own controls
        await keyboard.press("Tab")
        assert await page.evaluate(
            "document.activeElement.closest('dialog') || document.activeElement === document.body"
        )
    await modal.get_by_role("button", name="Save").click()
    await expect(modal).to_be_hidden()
    await expect(page.locator("#main-box")).to_be_focused()
    assert submitted[1] == {
        "model": {"m": {"type": "static_select", "selected_option": option("large")}},
        "prompt": {"p": {"type": "plain_text_input", "value": "Be brief."}},
        "how": {"h": {"type": "checkboxes", "selected_options": [option("cheap")]}},
    }


async def test_updated_modal_keeps_its_input_and_escape_closes_it(page: Page, bolt: AsyncApp, sandbox: Sandbox) -> None:
    closed: list[bool] = []
    shown = {**SETTINGS, "notify_on_close": True, "blocks": [*SETTINGS["blocks"], actions(button("more"))]}

    @bolt.shortcut("ask_anything")
    async def start(ack: Any, body: Json, client: AsyncWebClient) -> None:
        await ack()
        await client.views_open(trigger_id=body["trigger_id"], view=shown)

    @bolt.action("more")
    async def more(ack: Any, body: Json, client: AsyncWebClient) -> None:
        await ack()
        section = {"type": "section", "text": plain("Here is more.")}
        await client.views_update(view_id=body["view"]["id"], view={**shown, "blocks": [section, *SETTINGS["blocks"]]})

    @bolt.view_closed("settings")
    async def on_close(ack: Any, body: Json) -> None:
        await ack()
        closed.append(body["is_cleared"])

    await page.keyboard.type("/")
    await page.get_by_role("option", name="Ask anything").click()
    modal = page.get_by_role("dialog", name="Settings")
    await modal.get_by_role("textbox", name="Prompt").fill("kept")
    await modal.get_by_role("button", name="Stop").click()
    await expect(modal.get_by_text("Here is more.")).to_be_visible()
    await expect(modal.get_by_role("textbox", name="Prompt")).to_have_value("kept")
    await page.keyboard.press("Escape")
    await expect(modal).to_be_hidden()
    await sandbox.wait_for(lambda: closed == [True])


async def test_option_of_an_external_menu_is_searched_and_chosen(
    page: Page, bolt: AsyncApp, web: AsyncWebClient
) -> None:
    chosen: list[Json] = []

    @bolt.options("city")
    async def suggest(ack: Any, payload: Json) -> None:
        cities = [city for city in ("berlin", "bergen", "oslo") if city.startswith(payload["value"])]
        await ack(options=[option(city) for city in cities])

    @bolt.action("city")
    async def choose(ack: Any, action: Json) -> None:
        await ack()
        chosen.append(action["selected_option"])

    @bolt.options("cities")
    async def refuse(ack: Any) -> None:
        await ack(text="no options")

    menu = {"type": "external_select", "action_id": "city", "placeholder": plain("City")}
    many = {"type": "multi_external_select", "action_id": "cities", "placeholder": plain("Cities")}
    await web.chat_postMessage(channel=GENERAL, **growing("Where to?", menu, many))
    shown = message(page, "Where to?")
    await shown.get_by_role("searchbox").first.fill("ber")
    await expect(shown.get_by_role("combobox", name="City").locator("option")).to_have_text(
        ["City", "Berlin", "Bergen"]
    )
    await shown.get_by_role("combobox", name="City").select_option("Bergen")
    await shown.get_by_text("Cities").click()
    await shown.get_by_role("searchbox").last.fill("oslo")
    await expect(shown.get_by_role("img", name="That didn't work: invalid_response_options")).to_be_visible()
    assert chosen == [option("bergen")]


async def test_failed_commands_are_reported(page: Page) -> None:
    box = page.locator("#main-box")
    for typed, error in (("/tea", "/tea is not a valid command"), ("/bot help", "app_not_responding")):
        await box.fill(typed)
        await box.press("Enter")
        await expect(page.get_by_role("alert").last).to_contain_text(error)
        await expect(box).to_have_value(typed)


async def test_message_shortcut_is_in_a_messages_menu(page: Page, bolt: AsyncApp, sandbox: Sandbox) -> None:
    @bolt.shortcut("ask_about")
    async def ask(ack: Any, respond: Any, shortcut: Json) -> None:
        await ack()
        await respond(f"About: {shortcut['message']['text']}")

    await sandbox.say("grace", GENERAL, "a puzzling thing")
    await message(page, "a puzzling thing").focus()
    await choose_action(message(page, "a puzzling thing"), "Ask about this")
    await expect(message(page, "About: a puzzling thing")).to_contain_text("Only visible to you")


async def test_home_tab_is_opened_and_used(page: Page, bolt: AsyncApp, sandbox: Sandbox) -> None:
    @bolt.event("app_home_opened")
    async def opened(event: Json, client: AsyncWebClient) -> None:
        if event["tab"] == "home":
            blocks = [{"type": "header", "text": plain("Your usage")}, actions(button("reset"))]
            await client.views_publish(user_id=event["user"], view={"type": "home", "blocks": blocks})

    @bolt.action("reset")
    async def reset(ack: Any, body: Json, client: AsyncWebClient) -> None:
        await ack()
        blocks = [{"type": "header", "text": plain("Your usage is reset")}]
        await client.views_publish(user_id=body["user"]["id"], view={"type": "home", "blocks": blocks})

    await page.get_by_role("button", name="Bot", exact=True).click()
    tab = page.get_by_role("tab", name="Messages")
    await expect(tab).to_have_attribute("aria-selected", "true")
    await tab.focus()
    await page.keyboard.press("ArrowLeft")
    await page.keyboard.press("Enter")
    home = page.get_by_role("tabpanel", name="Home")
    await expect(home.get_by_role("heading", name="Your usage")).to_be_visible()
    await expect(page.locator("#main-box")).to_be_hidden()
    await home.get_by_role("button", name="Stop").click()
    await expect(home.get_by_role("heading", name="Your usage is reset")).to_be_visible()
    await page.get_by_role("tab", name="Messages").click()
    await expect(page.locator("#main-box")).to_be_visible()
    opened_tabs = [d.payload["event"].get("tab") for d in sandbox.deliveries]
    assert opened_tabs == ["messages", "home", "messages"]


def home(*blocks: Json) -> Json:
    return {"type": "home", "blocks": list(blocks)}


async def open_home(page: Page) -> Locator:
    await page.get_by_role("button", name="Bot", exact=True).click()
    await page.get_by_role("tab", name="Home").click()
    return page.get_by_role("tabpanel", name="Home")


async def test_new_home_leaves_a_modal_as_it_is_and_forgets_what_was_chosen(
    page: Page, bolt: AsyncApp, web: AsyncWebClient
) -> None:
    @bolt.action("person")
    async def choose(ack: Any, body: Json, client: AsyncWebClient) -> None:
        await ack()
        prompt = SETTINGS["blocks"][1]
        await client.views_open(trigger_id=body["trigger_id"], view={**SETTINGS, "blocks": [prompt]})

    @bolt.view("settings")
    async def refuse(ack: Any) -> None:
        await ack(response_action="errors", errors={"prompt": "That prompt is taken."})

    menu = {"type": "users_select", "action_id": "person", "placeholder": plain("Person")}
    choosing = {"type": "actions", "elements": [menu]}
    await web.views_publish(user_id="U0ADA", view=home(choosing))
    shown = await open_home(page)
    person = shown.get_by_role("combobox", name="Person")
    modal = page.get_by_role("dialog", name="Settings")
    prompt = modal.get_by_role("textbox", name="Prompt")
    await person.focus()
    await page.keyboard.press("g")
    await prompt.fill("Be brief.")
    await prompt.press("Enter")
    await expect(modal.get_by_text("That prompt is taken.")).to_be_visible()
    await web.views_publish(user_id="U0ADA", view=home({"type": "section", "text": plain("A new Home.")}, choosing))
    await expect(shown).to_contain_text("A new Home.")
    await expect(modal.get_by_text("That prompt is taken.")).to_be_visible()
    await expect(prompt).to_be_focused()
    await expect(prompt).to_have_value("Be brief.")
    await page.keyboard.press("Escape")
    await expect(modal).to_be_hidden()
    await expect(person).to_have_value("")
    await person.focus()
    await page.keyboard.press("g")
    await expect(modal).to_be_visible()


async def test_person_can_act_as_guest_partner_or_bot(page: Page, sandbox: Sandbox) -> None:
    box = page.locator("#main-box")
    for name, place, role in (
        ("Mary", "random", "single-channel guest"),
        ("Emmy", "partners", "external"),
        ("Deploys", "general", "app"),
    ):
        await page.get_by_role("radio", name=f"{name} {role}").check()
        await expect(page.get_by_role("heading", name=place, exact=True)).to_be_visible()
        await box.fill(f"written by {name}")
        await box.press("Enter")
        await expect(message(page, f"written by {name}")).to_be_visible()
    sent = [delivery.payload["event"] for delivery in sandbox.deliveries]
    assert [(event.get("bot_id"), event["team"]) for event in sent if event["type"] == "message"] == [
        (None, sandbox.team_id),
        (None, "T0PARTNERS"),
        ("B0DEPLOYS", sandbox.team_id),
    ]


async def test_thread_messages_are_edited_and_deleted(page: Page, sandbox: Sandbox) -> None:
    root = await sandbox.say("ada", GENERAL, "the root")
    await sandbox.say("ada", GENERAL, "a reply", root)
    await page.get_by_role("button", name="1 reply").click()
    await page.keyboard.press("ArrowUp")
    await thread(page).get_by_role("textbox", name="Edit message").fill("a better reply")
    await page.keyboard.press("Enter")
    await expect(thread(page).get_by_text("a better reply")).to_be_visible()
    await message(page, "the root").focus()
    await choose_action(message(page, "the root"), "Delete")
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(message(page, "This message was deleted.")).to_be_visible()
    reply = thread(page).get_by_role("listitem").filter(has_text="a better reply")
    await reply.focus()
    await choose_action(reply, "Delete")
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(reply).to_have_count(0)
    kinds = [delivery.payload["event"].get("subtype") for delivery in sandbox.deliveries]
    # When the last reply is deleted, Slack sends message_changed for the tombstone again.
    assert kinds == [None, None, "message_changed", "message_changed", "message_deleted", "message_changed"]


@pytest.mark.parametrize("width", [360, 768, 1024])
async def test_home_and_modal_fit_any_window(
    sandbox: Sandbox, bolt: AsyncApp, web: AsyncWebClient, visit: Visit, width: int
) -> None:
    tall = [field(f"Field {number}") for number in range(12)]

    @bolt.shortcut("ask_anything")
    async def start(ack: Any, body: Json, client: AsyncWebClient) -> None:
        await ack()
        await client.views_open(trigger_id=body["trigger_id"], view={**SETTINGS, "blocks": tall})

    @bolt.view("settings")
    async def refuse(ack: Any) -> None:
        await ack(response_action="errors", errors={"Field 11": "That is too little."})

    page = await visit(sandbox.url, viewport={"width": width, "height": 640})
    if width < 700:
        await page.get_by_role("button", name="Conversations").click()
    shown = await open_home(page)
    await expect(shown).to_contain_text("There's nothing on this app's Home yet.")
    section = {"type": "section", "text": plain("Averylongword" * 20), "accessory": button()}
    await web.views_publish(user_id="U0ADA", view=home(section, actions(*(button(f"b{at}") for at in range(5)))))
    await expect(shown.get_by_role("button")).to_have_count(6)
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    await page.get_by_role("tab", name="Messages").click()
    await page.locator("#main-box").fill("/")
    await page.get_by_role("option", name="Ask anything").click()
    modal = page.get_by_role("dialog", name="Settings")
    await expect(modal.get_by_role("button", name="Save")).to_be_in_viewport()
    assert await modal.evaluate("node => node.scrollWidth <= node.clientWidth")
    await modal.get_by_role("button", name="Save").click()
    await expect(modal.get_by_text("That is too little.")).to_be_in_viewport(ratio=0.9)
