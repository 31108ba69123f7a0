"""Two small bots that edit by simpler rules, for comparison: `python -m benchmarks.rivals 20-words|3-s`.

Both read the model while they edit, so that a slow edit delays nothing, and each edit has the newest text. A 429 is
left to the SDK's retry handler, which waits for Retry-After and tries once more. After that the edit is dropped: the
next one has more text. Only the last edit is retried until it succeeds.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import openai
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.async_client import AsyncWebClient

WORDS = 20
GAP_S = 3.0
_MODEL_READ_S = 600


class ArrivingText:
    """The model's text as it arrives."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.done = False
        self._more = asyncio.Event()

    @property
    def text(self) -> str:
        return "".join(self.parts)

    async def read(self, client: openai.AsyncOpenAI, model: str, question: str) -> None:
        stream = await client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": question}], stream=True
        )
        async for chunk in stream:
            if chunk.choices and (delta := chunk.choices[0].delta.content):
                self.parts.append(delta)
                self._more.set()
        self.done = True
        self._more.set()

    async def wait_for_parts(self, parts: int) -> None:
        """Waits until the answer has so many parts, or ends."""
        while len(self.parts) < parts and not self.done:
            self._more.clear()
            await self._more.wait()


async def every_20_words(answer: ArrivingText, shown: int) -> None:
    await answer.wait_for_parts(shown + WORDS)


async def every_3_s(answer: ArrivingText, shown: int) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(answer.wait_for_parts(sys.maxsize), GAP_S)


Rule = Callable[[ArrivingText, int], Awaitable[None]]
RULES: dict[str, Rule] = {"20-words": every_20_words, "3-s": every_3_s}


class Rival:
    """Answers each mention and direct message by a rule that doesn't consider other answers."""

    def __init__(self, rule: Rule, web: AsyncWebClient, model: openai.AsyncOpenAI) -> None:
        self._rule = rule
        self._web = web
        self._model = model
        self._tasks: set[asyncio.Task[None]] = set()

    async def on_request(self, client: AsyncBaseSocketModeClient, request: SocketModeRequest) -> None:
        await client.send_socket_mode_response(SocketModeResponse(request.envelope_id))
        event = request.payload.get("event", {})
        is_direct = event.get("type") == "message" and event.get("channel_type") == "im" and not event.get("bot_id")
        if event.get("type") == "app_mention" or (is_direct and not event.get("subtype")):
            task = asyncio.create_task(self._answer(event))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, event: dict[str, Any]) -> None:
        channel = event["channel"]
        posted = await self._web.chat_postMessage(channel=channel, thread_ts=event["ts"], text="Thinking…")
        answer, shown = ArrivingText(), 0
        reading = asyncio.create_task(answer.read(self._model, os.environ["BOT_MODELS"], event["text"]))
        while True:
            await self._rule(answer, shown)
            done, words = answer.done, len(answer.parts)
            if words > shown and await self._edited(channel, posted["ts"], answer.text):
                shown = words
            if done and shown == len(answer.parts):
                break
        await reading

    async def _edited(self, channel: str, ts: str, text: str) -> bool:
        try:
            await self._web.chat_update(channel=channel, ts=ts, text=text)
        except SlackApiError as error:
            if error.response["error"] != "ratelimited":
                raise
            return False
        return True


async def main(rule: Rule) -> None:
    async with aiohttp.ClientSession() as session:
        web = AsyncWebClient(
            os.environ["SLACK_BOT_TOKEN"],
            os.environ["BOT_SLACK_API_URL"],
            session=session,
            retry_handlers=[AsyncRateLimitErrorRetryHandler()],
        )
        model = openai.AsyncOpenAI(
            api_key="none", base_url=os.environ["OPENAI_BASE_URL"], timeout=_MODEL_READ_S, max_retries=0
        )
        rival = Rival(rule, web, model)
        client = SocketModeClient(os.environ["SLACK_APP_TOKEN"], web_client=web)
        client.socket_mode_request_listeners.append(rival.on_request)
        await client.connect()  # type: ignore[no-untyped-call]
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(RULES[sys.argv[1]]))
