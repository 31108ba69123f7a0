"""The assistant pane and an agent's messages on the page, with a Bolt app."""

from typing import Any

import pytest
from playwright.async_api import expect
from slack_sdk.web.async_client import AsyncWebClient

from slack_sandbox.server import Sandbox
from slack_sandbox.testing import manifests
from slack_sandbox.testing.bolt import connected, new_app
from slack_sandbox.testing.browser import Visit, open_page, send, thread
from slack_sandbox.workspace import Json

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.long,
    pytest.mark.slack(manifest=manifests.agent()),
]


@pytest.mark.slack(manifest=manifests.assistant())
async def test_assistant_pane_follows_the_open_channel(sandbox: Sandbox, visit: Visit) -> None:
    bolt = new_app(sandbox)

    @bolt.event("assistant_thread_started")
    async def started(event: Json, client: AsyncWebClient) -> None:
        thread = event["assistant_thread"]
        where = {"channel_id": thread["channel_id"], "thread_ts": thread["thread_ts"]}
        seen = thread["context"]["channel_id"]
        prompts = [{"title": "Summarize it", "message": f"Summarize <#{seen}>"}]
        await client.assistant_threads_setSuggestedPrompts(**where, prompts=prompts, title="Try this")

    @bolt.event("message")
    async def answer(event: Json, client: AsyncWebClient) -> None:
        where: Any = {"channel_id": event["channel"], "thread_ts": event["thread_ts"]}
        if event.get("bot_id"):
            return
        await client.assistant_threads_setTitle(**where, title="A summary")
        await client.assistant_threads_setStatus(**where, status="is reading…")

    async with connected(bolt, sandbox):
        page = await open_page(visit, sandbox)
        await page.get_by_role("button", name="Ask Bot").press("Enter")
        pane = page.get_by_role("region", name="New chat")
        await expect(pane.get_by_role("group", name="Try this")).to_be_visible()
        await pane.get_by_role("button", name="Summarize it").click()
        pane = page.get_by_role("region", name="A summary")
        await expect(pane.get_by_role("listitem")).to_contain_text("Summarize #general")
        await expect(pane.get_by_role("status")).to_have_text("Bot is reading…")
        await expect(pane.get_by_role("group", name="Try this")).to_be_hidden()
        await page.get_by_role("button", name="random").click()
        changed = "assistant_thread_context_changed"
        await sandbox.wait_for(lambda: sandbox.deliveries[-1].payload["event"]["type"] == changed)

        await page.get_by_role("button", name="Bot", exact=True).click()
        await send(page, "another matter")
        await expect(thread(page).get_by_text("another matter")).to_be_visible()
        await expect(thread(page).get_by_role("status")).to_have_text("Bot is reading…")
        await expect(pane).to_be_hidden()


async def test_agents_prompts_and_slacks_own_stop_button_work(sandbox: Sandbox, visit: Visit) -> None:
    bolt = new_app(sandbox)

    @bolt.event("message")
    async def work(event: Json, client: AsyncWebClient) -> None:
        if event.get("bot_id") or event.get("subtype"):
            return
        where: Any = {"channel_id": event["channel"], "thread_ts": event["ts"]}
        await client.agents_sessions_setStatus(**where, status="processing", title="Helping")
        await client.chat_postMessage(channel=event["channel"], thread_ts=event["ts"], text="On it")

    @bolt.event("agent_session_stopped")
    async def stopped(event: Json, client: AsyncWebClient) -> None:
        where: Any = {"channel": event["channel"], "thread_ts": event["thread_ts"]}
        await client.chat_postMessage(**where, text="Okay, I stopped.")
        await client.agents_sessions_setStatus(
            channel_id=event["channel"], thread_ts=event["thread_ts"], status="active"
        )

    async with connected(bolt, sandbox):
        page = await open_page(visit, sandbox)
        await page.get_by_role("button", name="Bot", exact=True).click()
        await page.get_by_role("button", name="What can you do?").click()
        helping = page.get_by_role("region", name="Helping")
        await expect(helping.get_by_text("On it")).to_be_visible()
        await expect(helping.get_by_role("status")).to_have_text("Bot is working…")
        await helping.get_by_role("button", name="Stop").press("Enter")
        await expect(helping.get_by_text("Okay, I stopped.")).to_be_visible()
        await expect(helping.get_by_role("button", name="Stop")).to_be_hidden()


async def test_channel_threads_status_or_session_is_shown_below_its_question_and_in_the_thread(
    sandbox: Sandbox, web: AsyncWebClient, visit: Visit
) -> None:
    bolt = new_app(sandbox)

    @bolt.event("app_mention")
    async def think(event: Json, client: AsyncWebClient) -> None:
        where: Any = {"channel_id": event["channel"], "thread_ts": event["ts"]}
        await client.assistant_threads_setStatus(**where, status="is thinking…")

    @bolt.event("agent_session_stopped")
    async def stopped(event: Json, client: AsyncWebClient) -> None:
        where: Any = {"channel_id": event["channel"], "thread_ts": event["thread_ts"]}
        await client.agents_sessions_setStatus(**where, status="active")
        await client.chat_postMessage(channel=event["channel"], thread_ts=event["thread_ts"], text="I stopped.")

    async with connected(bolt, sandbox):
        page = await open_page(visit, sandbox)
        asked = await sandbox.say("ada", "general", "@bot why?")
        question = page.locator("#main .message").filter(has_text="why?")
        await question.get_by_role("button", name="Bot is thinking…").click()
        await expect(thread(page).get_by_role("status")).to_have_text("Bot is thinking…")
        await expect(thread(page).get_by_role("button", name="Stop")).to_be_hidden()

        await web.agents_sessions_setStatus(channel_id="C0GENERAL", thread_ts=asked, status="processing")
        await expect(thread(page).get_by_role("status")).to_have_text("Bot is working…")
        await expect(question.get_by_role("button", name="Bot is working…")).to_be_visible()
        await thread(page).get_by_role("button", name="Stop").press("Enter")
        await expect(thread(page).get_by_text("I stopped.")).to_be_visible()
        await expect(thread(page).get_by_role("status")).to_have_text("")
        await expect(thread(page).get_by_role("button", name="Stop")).to_be_hidden()
        await expect(question.get_by_role("button", name="1 reply")).to_be_visible()


async def test_thread_shows_the_session_or_the_loading_messages_that_began_before_the_page_opened(
    sandbox: Sandbox, web: AsyncWebClient, visit: Visit
) -> None:
    processing, loading = [
        {"channel_id": "C0GENERAL", "thread_ts": await sandbox.say("ada", "general", f"@bot {question}?")}
        for question in ("why", "how many")
    ]
    await web.agents_sessions_setStatus(**processing, status="processing")
    await web.assistant_threads_setStatus(**loading, status="is thinking…", loading_messages=["is counting…"])

    page = await open_page(visit, sandbox)
    await page.get_by_role("button", name="Bot is working…").click()
    await expect(thread(page).get_by_role("button", name="Stop")).to_be_visible()
    await page.get_by_role("button", name="Bot is thinking…").click()
    await expect(thread(page).get_by_role("status")).to_have_text("Bot is counting…")


async def test_button_below_a_question_keeps_the_focus_when_a_reply_or_a_status_changes_it(
    sandbox: Sandbox, web: AsyncWebClient, visit: Visit
) -> None:
    ts = await sandbox.say("ada", "general", "@bot why?")
    await sandbox.say("grace", "general", "I wonder, too", ts)
    page = await open_page(visit, sandbox)
    await page.get_by_role("button", name="1 reply").focus()
    await sandbox.say("grace", "general", "and so does Alan", ts)
    await expect(page.get_by_role("button", name="2 replies")).to_be_focused()
    await web.assistant_threads_setStatus(channel_id="C0GENERAL", thread_ts=ts, status="is thinking…")
    await expect(page.get_by_role("button", name="Bot is thinking…")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(thread(page).get_by_text("and so does Alan")).to_be_visible()
