"""The example on one page, as a process on the sandbox: what people see of its answers, and what it costs."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web

from benchmarks.chat_server import ChatServer, event
from benchmarks.numbered_model import NumberedModel, question
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.processes import inherited_environment, running_process
from tests.processes import REPOSITORY

pytestmark = pytest.mark.wide

EXAMPLE = REPOSITORY / "examples/streaming_bot.py"
GENERAL = "C0GENERAL"


@asynccontextmanager
async def example(model: ChatServer, tmp_path: Path) -> AsyncIterator[Sandbox]:
    manifest = json.loads((REPOSITORY / "manifest.json").read_text())
    async with Sandbox(manifest=manifest, budgets={"chat.update": 50}) as sandbox:
        env = inherited_environment() | {
            "PYTHONPATH": str(REPOSITORY),
            "SLACK_API_URL": sandbox.api_url,
            "SLACK_BOT_TOKEN": sandbox.bot_token,
            "SLACK_APP_TOKEN": sandbox.app_token,
            "OPENAI_API_KEY": "none",
            "OPENAI_BASE_URL": model.url,
            "MODEL": "openai/numbered",
        }
        with (tmp_path / "log").open("wb") as log:
            async with running_process(sys.executable, str(EXAMPLE), env=env, cwd=tmp_path, stderr=log):
                await sandbox.wait_for_bot()
                yield sandbox


def words_of(sandbox: Sandbox, channel: str, thread_ts: str) -> list[str]:
    """Returns the numbered words of all answers in a thread, in order. Slack turns Markdown into rich text."""
    answers = [json.dumps(message.blocks) for message in sandbox.messages(channel, thread_ts)[1:]]
    return [word for answer in answers if "rich_text" in answer for word in re.findall(r"\bw\d+\b", answer)]


async def wait_for_words(sandbox: Sandbox, channel: str, thread_ts: str, expected: list[str]) -> None:
    await sandbox.wait_for(lambda: words_of(sandbox, channel, thread_ts) == expected)


def numbered(count: int) -> list[str]:
    return [f"w{number}" for number in range(1, count + 1)]


async def test_mention_direct_message_and_follow_up_are_answered_completely(tmp_path: Path) -> None:
    async with NumberedModel(words_per_s=400) as model, example(model, tmp_path) as sandbox:
        asked = await sandbox.say("ada", GENERAL, f"<@BOT> {question(1, 30)}")
        await wait_for_words(sandbox, GENERAL, asked, numbered(30))
        await sandbox.say("ada", GENERAL, question(2, 20), asked)
        await wait_for_words(sandbox, GENERAL, asked, numbered(30) + numbered(20))
        direct = await sandbox.say("ada", sandbox.dm("ada"), question(3, 10))
        await wait_for_words(sandbox, sandbox.dm("ada"), direct, numbered(10))


async def test_message_without_a_mention_gets_no_answer(tmp_path: Path) -> None:
    async with NumberedModel(words_per_s=400) as model, example(model, tmp_path) as sandbox:
        ignored = await sandbox.say("ada", GENERAL, question(1, 5))
        asked = await sandbox.say("ada", GENERAL, f"<@BOT> {question(2, 5)}")
        await wait_for_words(sandbox, GENERAL, asked, numbered(5))
        assert len(sandbox.messages(GENERAL, ignored)) == 1


async def test_eight_answers_at_once_grow_without_a_429(tmp_path: Path) -> None:
    async with NumberedModel(words_per_s=40) as model, example(model, tmp_path) as sandbox:
        asked = [await sandbox.say("ada", GENERAL, f"<@BOT> {question(number, 120)}") for number in range(8)]
        for ts in asked:
            await wait_for_words(sandbox, GENERAL, ts, numbered(120))
        assert [call.method for call in sandbox.calls if call.error == "ratelimited"] == []


async def test_long_answer_continues_in_another_message(tmp_path: Path) -> None:
    async with NumberedModel(words_per_s=4_000) as model, example(model, tmp_path) as sandbox:
        asked = await sandbox.say("ada", GENERAL, f"<@BOT> {question(1, 3_000)}")
        await wait_for_words(sandbox, GENERAL, asked, numbered(3_000))
        assert len(sandbox.messages(GENERAL, asked)) == 3


@dataclass
class BrokenModel(ChatServer):
    """Ends the connection after some words."""

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(event({"content": "Half an answer"}))
        await asyncio.sleep(0.1)
        assert request.transport is not None
        request.transport.abort()
        return response


async def test_text_of_a_model_that_fails_stays_with_a_line_that_reports_it(tmp_path: Path) -> None:
    async with BrokenModel() as model, example(model, tmp_path) as sandbox:
        asked = await sandbox.say("ada", GENERAL, "<@BOT> hi")
        await sandbox.wait_for(lambda: "The model failed" in json.dumps(sandbox.messages(GENERAL, asked)[-1].blocks))
        assert "Half an answer" in json.dumps(sandbox.messages(GENERAL, asked)[1].blocks)
