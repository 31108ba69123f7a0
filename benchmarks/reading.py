"""Measures how a model reads a channel: `python -m benchmarks.reading [--messages 2000] [--since-monday 600]`.

A channel has this many messages. Some are from Monday or later in the time zone of the asker, who lives in Tokyo, and
some of these were sent within seconds of midnight. The asker wants to know what was said since Monday. The model reads
the first page, and then each page that the tool's results mention. The sandbox enforces Slack's limits.

Prints which messages the model got, the number of Slack calls and of requests to the model, the number of tokens in the
last request by the bot's own estimate, and how long the answer took. Exits with 1 if a message is missing or
shouldn't be there, or if Slack refused a call.
"""

import argparse
import asyncio
import json
import random
import re
import sys
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from bot.clock import SystemClock
from bot.core.calls import READ_CHANNEL
from bot.models.prompt import TokenEstimate
from bot.settings import read
from slack_sandbox.server import Sandbox
from slack_sandbox.workspace import Message
from tests.scenarios.conftest import Stage, connected, manifest, running
from tests.streams import steps
from tests.streams.server import VendorRequest, VendorResponse, VendorServer

ZONE = "Asia/Tokyo"
WRITERS = ("U0GRACE", "U0ALAN")
WORDS = ("export", "slow", "again", "because", "its", "query", "reads", "all", "orders", "of", "last", "year", "please")
ANSWERED_WITHIN_S = 120.0
DONE = "That is all."
_NUMBER = re.compile(r"#(\d+)#")
_PAGE = re.compile(r"page=([\d.]+)\Z")


@dataclass(frozen=True)
class Reading:
    """What it took to read a channel."""

    wanted: set[int]
    got: list[int]
    calls: Counter[str]
    """Calls of Slack that read messages, or say where they are."""
    refused: int
    requests: int
    tokens: int
    seconds: float

    @property
    def is_right(self) -> bool:
        return sorted(self.got) == sorted(self.wanted) and not self.refused

    def __str__(self) -> str:
        missing, others = self.wanted - set(self.got), set(self.got) - self.wanted
        return (
            f"messages since Monday: {len(self.wanted)}\n"
            f"got: {len(self.got)}, missing {len(missing)}, others {len(others)}\n"
            f"calls of Slack: {', '.join(f'{name} {count}' for name, count in sorted(self.calls.items()))}\n"
            f"refused: {self.refused}\n"
            f"requests to the model: {self.requests}\n"
            f"tokens of the last request: {self.tokens:,}\n"
            f"seconds: {self.seconds:.1f}"
        )


def follows_pages(since: str, request: VendorRequest) -> VendorResponse:
    """Asks for the messages since a time, and for each further page."""
    results = _results(request)
    next_page = _PAGE.search(results[-1]) if results else None
    if results and next_page is None:
        return VendorResponse(steps.chat({"content": DONE}, finish_reason="stop"))
    arguments = {"since": since} | ({"page": next_page[1]} if next_page else {})
    call = steps.chat_call(index=0, id=f"call_{len(results)}", name=READ_CHANNEL)
    return VendorResponse(steps.chat(call, *steps.fragments(json.dumps(arguments), 0)))


def _results(request: VendorRequest) -> list[str]:
    return [str(turn["content"]) for turn in request.body["messages"] if turn["role"] == "tool"]


async def measure(messages: int, since_monday: int) -> Reading:
    """Has a channel read since Monday."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        sandbox = await stack.enter_async_context(Sandbox(manifest=manifest()))
        vendor = await stack.enter_async_context(VendorServer())
        people = sandbox.workspace.users
        people["U0ADA"] = replace(people["U0ADA"], tz=ZONE)
        now_s = time.time()
        now = datetime.fromtimestamp(now_s, ZoneInfo(ZONE))
        begins = (now - timedelta(days=now.weekday())).replace(hour=0, minute=0, second=0, microsecond=0)
        rng = random.Random(1)
        begun_s, week_s = begins.timestamp(), 7 * 86_400.0
        before = [rng.uniform(begun_s - week_s, begun_s) for _ in range(messages - since_monday - 1)]
        after = [rng.uniform(begun_s, now_s - 1) for _ in range(since_monday - 1)]
        times = sorted([*before, begun_s - 0.001, begun_s, *after])
        for number, at_s in enumerate(times):
            text = f"#{number}# {' '.join(rng.choices(WORDS, k=rng.randint(3, 25)))}"
            sandbox.workspace.post(Message("C0GENERAL", f"{at_s:.6f}", rng.choice(WRITERS), text))
        wanted = {number for number, at_s in enumerate(times) if at_s >= begun_s}
        vendor.script(lambda request: follows_pages(begins.replace(tzinfo=None).isoformat(), request))
        settings = read({**connected(sandbox, vendor), "DATABASE_URL": f"sqlite:///{folder}/typist.db"})
        await stack.enter_async_context(running(settings, SystemClock()))
        stage, began_s = Stage(sandbox, vendor), time.monotonic()
        calls_before = len(sandbox.calls)
        asked = await stage.mention("what was said here since Monday?")
        await stage.answers("general", asked, timeout_s=ANSWERED_WITHIN_S)
        seconds = time.monotonic() - began_s
        made = list(sandbox.calls)[calls_before:]
        reads = ("conversations.history", "conversations.replies", "chat.getPermalink", "users.info")
        last = vendor.requests[-1]
        estimate = TokenEstimate((settings.models[0],))
        return Reading(
            wanted,
            [int(number) for result in _results(last) for number in _NUMBER.findall(result)],
            Counter(call.method for call in made if call.method in reads),
            sum(not call.ok for call in made),
            len(vendor.requests),
            sum(estimate.tokens(json.dumps(turn, ensure_ascii=False)) for turn in last.body["messages"]),
            seconds,
        )


def main() -> int:
    parser = argparse.ArgumentParser(description="Measures how a channel is read.")
    parser.add_argument("--messages", type=int, default=2_000)
    parser.add_argument("--since-monday", type=int, default=600)
    options = parser.parse_args()
    reading = asyncio.run(measure(options.messages, options.since_monday))
    print(reading)
    return 0 if reading.is_right else 1


if __name__ == "__main__":
    sys.exit(main())
