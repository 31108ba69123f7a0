"""A hostile answer delays nobody else: the event loop goes on to other work after few steps, however it comes.

Calls are counted, not time: each callback of the loop has to end within so many.
"""

import asyncio
import sqlite3
import sys
from asyncio.events import Handle
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

import aiohttp
import pytest

from bot.core import texts
from bot.settings import Settings
from slack_markdown.tests.hostile_texts import forget_renderings, text_of
from slack_sandbox.server import Sandbox
from tests.clocks import until
from tests.processes import own_port
from tests.scenarios.conftest import ROOT, Stage, running, shown
from tests.streams import speech
from tests.streams.server import VendorRequest, VendorResponse, VendorServer

BOT = (str(ROOT / "bot"), str(ROOT / "slack_markdown"))
WORST_CHARS = 100_000
MAX_CALLS = 200_000
"""They take about 20 ms: more than searching the answer for code takes, less than rendering all of its pages."""
PLACEHOLDERS = (
    texts.answers.THINKING,
    texts.answers.CHECKING_ACCESS,
    texts.models.TAKES_LONG,
    texts.models.LOADING,
    texts.answers.QUEUED,
)


@dataclass
class LongestTurn:
    """The most calls that the bot has made in one callback of the loop."""

    calls: int = 0


@contextmanager
def counted_turns() -> Iterator[LongestTurn]:
    """Counts the bot's calls in each callback of the loop that begins in the context."""
    forget_renderings()
    longest, calls = LongestTurn(), 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        if frame.f_code is Handle._run.__code__:
            calls = 0
        # The sandbox works in the same loop.
        calls += event in ("call", "c_call") and frame.f_code.co_filename.startswith(BOT)
        longest.calls = max(longest.calls, calls)

    sys.setprofile(count)
    try:
        yield longest
    finally:
        sys.setprofile(None)


def heartbeats(database: Path) -> int:
    with closing(sqlite3.connect(database)) as connection:
        return int(connection.execute("SELECT max(beat) FROM workers").fetchone()[0])


async def is_healthy(port: int) -> bool:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/readyz") as response:
        return response.status == 200 and bool((await response.json())["ok"])


@pytest.mark.skips_waits
@pytest.mark.parametrize("delta_chars", [pytest.param(100, marks=pytest.mark.long), WORST_CHARS // 2])
@pytest.mark.parametrize("shape", ["tables", pytest.param("open emphasis", marks=pytest.mark.long)])
@pytest.mark.long
async def test_others_are_answered_beside_the_worst_answer(
    shape: str, delta_chars: int, sandbox: Sandbox, vendor: VendorServer, settings: Settings, tmp_path: Path
) -> None:
    text, database = text_of(shape, WORST_CHARS), tmp_path / "typist.db"
    port = own_port()
    stage = Stage(sandbox, vendor)
    half, has_placeholder, answered = (asyncio.Event() for _ in range(3))

    async def say_half() -> None:
        half.set()

    chunks = speech.chat(speech.deltas_of(text, delta_chars))
    worst = VendorResponse(chunks, gates={len(chunks) // 2 - 1: say_half, len(chunks) - 3: answered.wait})
    other = VendorResponse(speech.chat(["The other answer."]), gates={0: has_placeholder.wait})

    def answer(request: VendorRequest) -> VendorResponse:
        return worst if "the worst" in str(request.body["messages"][-1]) else other

    vendor.script(answer)
    async with running(replace(settings, health_at=("127.0.0.1", port), database_url=f"sqlite:///{database}")):
        with counted_turns() as longest:
            first = await stage.mention("the worst?")
            await half.wait()
            before = heartbeats(database)
            second = await stage.mention(channel="random", user="grace")
            [placeholder] = await sandbox.wait_for(lambda: stage.bots("random", second))
            assert shown(placeholder) in PLACEHOLDERS
            has_placeholder.set()
            assert await is_healthy(port)
            assert await stage.answers("random", second) == ["The other answer."]
            await until(lambda: heartbeats(database) >= before + 2, "two heartbeats", look_s=0.1)
            answered.set()
            await sandbox.wait_for(lambda: any(message.files for message in stage.bots("general", first)))
            await stage.answers("general", first, count=6)
    files = [file["id"] for message in stage.bots("general", first) for file in message.files]
    assert text in [sandbox.files.get(file).content.decode() for file in files]
    assert longest.calls < MAX_CALLS
