"""A Slack bot that streams a model's answers into messages, on one page.

Mention it in a channel, or write to it directly. It posts a placeholder at once and edits it while the model writes, as
often as Slack allows for all answers together. In a thread that it has answered in, it needs no further mention.

    pip install slack-bolt aiohttp openai anthropic slack-markdown slack-pacing
    export SLACK_BOT_TOKEN=xoxb-… SLACK_APP_TOKEN=xapp-… OPENAI_API_KEY=… MODEL=openai/gpt-6-luna
    python streaming_bot.py

The app needs Socket Mode, the events app_mention, message.channels and message.im, and the scopes app_mentions:read,
channels:history, chat:write and im:history. MODEL begins with openai/ or anthropic/.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from anthropic import AsyncAnthropic
from openai import AsyncOpenAI
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from slack_markdown.pages import Pages
from slack_markdown.render import first_words, mrkdwn, render_page
from slack_pacing.budget import RateBudget
from slack_pacing.live import LiveMessage

VENDOR, _, MODEL = os.environ["MODEL"].partition("/")
INSTRUCTIONS = "You are a helpful assistant in Slack. Write Markdown. Answer in the language of the question."
MAX_TURNS = 30
MAX_TOKENS = 8_000

Turn = dict[str, str]
"""A message of the conversation, in the form that both vendors' APIs accept: `role` and `content`."""

log = logging.getLogger("streaming_bot")


# The model. Both functions yield the answer piece by piece.


async def openai_deltas(turns: list[Turn]) -> AsyncIterator[str]:
    messages: Any = [{"role": "system", "content": INSTRUCTIONS}, *turns]
    stream = await AsyncOpenAI().chat.completions.create(model=MODEL, messages=messages, stream=True)
    async for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            yield chunk.choices[0].delta.content


async def anthropic_deltas(turns: list[Turn]) -> AsyncIterator[str]:
    messages: Any = turns
    request = AsyncAnthropic().messages.stream(
        model=MODEL, system=INSTRUCTIONS, messages=messages, max_tokens=MAX_TOKENS
    )
    async with request as stream:
        async for text in stream.text_stream:
            yield text


async def answer_deltas(turns: list[Turn]) -> AsyncIterator[str]:
    """Yields the model's answer. If the model fails, the text so far stays, followed by a line that says so."""
    deltas = {"openai": openai_deltas, "anthropic": anthropic_deltas}[VENDOR]
    try:
        async for delta in deltas(turns):
            yield delta
    except Exception:
        log.exception("the model failed")
        yield "\n\n*The model failed. Please ask again.*"


# Slack. One budget paces the calls of all answers. It reserves an edit for the end of each live answer, shows new
# answers' first words before other answers' progress, and waits after a 429.


class Thread:
    """A thread in which the bot answers."""

    def __init__(self, slack: AsyncWebClient, budget: RateBudget, channel: str, thread_ts: str) -> None:
        self.slack = slack
        self.budget = budget
        self.channel = channel
        self.thread_ts = thread_ts

    async def post(self, text: str) -> str:
        """Posts a message and returns its ts."""
        async with self.budget.paced_call("chat.postMessage", self.channel):
            posted = await self.slack.chat_postMessage(channel=self.channel, thread_ts=self.thread_ts, text=text)
        return str(posted["ts"])

    async def edit(self, ts: str, source: str, is_growing: bool) -> None:
        """Shows a model's Markdown in a message. Notifications and screen readers use `text`."""
        markdown = render_page(source, growing=is_growing)
        await self.slack.chat_update(
            channel=self.channel,
            ts=ts,
            text=mrkdwn(first_words(markdown, growing=False)),
            blocks=[{"type": "markdown", "text": markdown}],
        )

    async def turns(self, own_user_id: str, until_ts: str) -> list[Turn]:
        """Returns the thread's messages up to `until_ts` as the model's conversation."""
        async with self.budget.paced_call("conversations.replies"):
            replies = await self.slack.conversations_replies(channel=self.channel, ts=self.thread_ts, limit=200)
        turns: list[Turn] = []
        for message in replies["messages"]:
            if float(message["ts"]) <= float(until_ts) and message.get("text"):
                role = "assistant" if message.get("user") == own_user_id else "user"
                turns.append({"role": role, "content": message["text"].replace(f"<@{own_user_id}>", "").strip()})
        return turns[-MAX_TURNS:]


async def show_answer(thread: Thread, ts: str, deltas: AsyncIterator[str]) -> None:
    """Shows a growing answer: first in the message `ts`, and in a new message whenever a page is full."""
    pages, number = Pages(), 0
    while True:
        async with LiveMessage(thread.budget, partial(thread.edit, ts)) as message:
            continues = await fill_page(pages, number, deltas, message)
        if not continues:
            return
        number += 1
        ts = await thread.post("…")


async def fill_page(pages: Pages, number: int, deltas: AsyncIterator[str], message: LiveMessage) -> bool:
    """Shows the page with this number in a message while it grows. Returns whether another page follows."""
    while len(pages.full_pages) <= number:
        delta = await anext(deltas, None)
        if delta is None:
            pages.finish()
            break
        pages.append(delta)
        message.write(pages.growing_page.markdown)
    is_full = len(pages.full_pages) > number
    page = pages.full_pages[number] if is_full else pages.growing_page
    message.write(page.markdown or "*The answer is empty.*")
    return is_full


# The app: which messages are questions.


class Bot:
    """Answers mentions, direct messages, and follow-ups in threads that it has answered in."""

    def __init__(self, app: AsyncApp) -> None:
        self.slack = app.client
        self.budget = RateBudget()
        self.own_user_id = ""
        self.threads: set[tuple[str, str]] = set()
        self.answering: set[asyncio.Task[None]] = set()
        app.event("app_mention")(self.on_mention)
        app.event("message")(self.on_message)

    async def on_mention(self, event: dict[str, Any]) -> None:
        self.start_answer(event)

    async def on_message(self, event: dict[str, Any]) -> None:
        is_from_person = "subtype" not in event and "bot_id" not in event
        is_mention = f"<@{self.own_user_id}>" in event.get("text", "")
        is_direct = event.get("channel_type") == "im"
        is_follow_up = (event["channel"], event.get("thread_ts")) in self.threads
        # In channels, Slack sends mentions as app_mention, too.
        if is_from_person and (is_direct or (is_follow_up and not is_mention)):
            self.start_answer(event)

    def start_answer(self, event: dict[str, Any]) -> None:
        """Answers in a task, because Slack delivers the event again unless it is acknowledged within 3 s."""
        task = asyncio.create_task(self.answer(event))
        self.answering.add(task)
        task.add_done_callback(self.answering.discard)

    async def answer(self, event: dict[str, Any]) -> None:
        thread = Thread(self.slack, self.budget, event["channel"], event.get("thread_ts", event["ts"]))
        self.threads.add((thread.channel, thread.thread_ts))
        try:
            ts = await thread.post("Thinking…")
            turns = await thread.turns(self.own_user_id, event["ts"])
            await show_answer(thread, ts, answer_deltas(turns))
        except Exception:
            log.exception("a question in %s wasn't answered", thread.channel)


async def main() -> None:
    logging.basicConfig(level=logging.INFO)
    base_url = os.environ.get("SLACK_API_URL", AsyncWebClient.BASE_URL)
    client = AsyncWebClient(token=os.environ["SLACK_BOT_TOKEN"], base_url=base_url)
    app = AsyncApp(client=client)
    bot = Bot(app)
    bot.own_user_id = str((await client.auth_test())["user_id"])
    await AsyncSocketModeHandler(app, os.environ["SLACK_APP_TOKEN"]).start_async()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    asyncio.run(main())

# What this page leaves out, and Typist does:
# - Crashes and several processes: a question is stored before it is acknowledged, so its answer survives a restart.
# - Limits: caps on cost, who can ask, Stop, edited and deleted questions, retries of a failed model.
# - Tools, files, memory, schedules.
