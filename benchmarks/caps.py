"""Measures by how much simultaneous questions pass a cap: `python -m benchmarks.caps`.

Ten people ask 100 questions at once in 10 channels, to two bots on one database (SQLite, then PostgreSQL), under a
cap for the workspace. Prints how many were answered, how many were refused at the cap, and by how much the cap was
passed. Exits with 1 if it was passed by more than one answer, or if a question got no reply. A run takes 80 s,
because Slack limits edits.
"""

import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.fleet import Fleet
from benchmarks.process import connected_to
from benchmarks.store import sqlite_file
from sandbox.server import Sandbox
from sandbox.workspace import Channel, Message
from tests.contracts.databases import postgresql_server
from tests.streams import speech
from tests.streams.server import VendorResponse, VendorServer

QUESTIONS = 100
PEOPLE = 10
PROCESSES = 2
WORDS = "word " * 240
USED_TOKENS = speech.INPUT_TOKENS + len(speech.tokens(WORDS))
CAP_TOKENS = 12 * USED_TOKENS + 100
REFUSAL = "is used up"
WITHIN_S = 300.0


def add_people_and_channels(sandbox: Sandbox) -> Sequence[Channel]:
    """Adds the people and channels of this run. Slack takes ten simultaneous posts in one channel."""
    people = [sandbox.people.arrive(f"p{number}") for number in range(PEOPLE)]
    members = [*(person.id for person in people), sandbox.bot_user_id]
    channels = [Channel(f"C0CAPS{number}", f"caps-{number}", "channel", list(members)) for number in range(PEOPLE)]
    sandbox.workspace.channels.update({channel.id: channel for channel in channels})
    return channels


def environment(sandbox: Sandbox, vendor: VendorServer, database_url: str) -> dict[str, str]:
    return {
        **connected_to(sandbox),
        "OPENAI_BASE_URL": f"{vendor.url}/v1",
        "BOT_MODELS": "openai/test",
        "BOT_MAX_OUTPUT_TOKENS": "400",
        "BOT_MAX_CONCURRENT_PER_USER": str(QUESTIONS),
        "BOT_CAPS": f"workspace/day={CAP_TOKENS}tokens",
        "DATABASE_URL": database_url,
    }


def displayed(message: Message) -> tuple[str, str]:
    """Returns a message's answer, and all its text with notices and footer."""
    answer = "".join(block["text"] for block in message.sent_blocks if block["type"] == "markdown")
    return answer.strip(), str(message.sent_blocks)


async def replies(sandbox: Sandbox, asked: Sequence[tuple[str, str]]) -> list[str]:
    """Returns the final text of each question's reply, or "" if there is none within `WITHIN_S`."""

    def final_text(channel: str, ts: str) -> str:
        texts = map(displayed, sandbox.messages(channel, ts)[1:])
        return next((text for answer, text in texts if REFUSAL in text or answer == WORDS.strip()), "")

    with contextlib.suppress(TimeoutError):
        await sandbox.wait_for(lambda: all(final_text(*question) for question in asked), WITHIN_S)
    return [final_text(*question) for question in asked]


async def measure(database_url: str) -> bool:
    """Asks all questions and returns whether the cap held."""
    with tempfile.TemporaryDirectory() as folder:
        async with Sandbox() as sandbox, VendorServer() as vendor:
            vendor.script(VendorResponse(speech.chat(speech.tokens(WORDS)), pause_s=0.005))
            channels = add_people_and_channels(sandbox)
            fleet = Fleet(Path(folder), environment(sandbox, vendor, database_url))
            try:
                for _ in range(PROCESSES):
                    await fleet.start()
                began_s = time.monotonic()
                asked = []
                for number in range(QUESTIONS):
                    channel = channels[number // PEOPLE].name
                    asked.append((channel, await sandbox.say(f"p{number % PEOPLE}", channel, "@typist why?")))
                texts = await replies(sandbox, asked)
                took_s = time.monotonic() - began_s
                await fleet.close()
            finally:
                fleet.kill()
            refused, unanswered = sum(REFUSAL in text for text in texts), texts.count("")
            return report(QUESTIONS - refused - unanswered, refused, len(vendor.requests), took_s)


def report(answered: int, refused: int, model_requests: int, took_s: float) -> bool:
    """Prints the figures and returns whether every question got its reply and the cap held."""
    used = model_requests * USED_TOKENS
    over = used - CAP_TOKENS
    print(f"  {answered} answered, {refused} refused at the cap, {QUESTIONS - answered - refused} without a reply")
    print(f"  {used:,} tokens used of {CAP_TOKENS:,}: {over:,} over; one answer uses {USED_TOKENS:,}; {took_s:.0f} s")
    return answered + refused == QUESTIONS and answered == model_requests and 0 <= over < USED_TOKENS


def main() -> int:
    held = []
    for name, database in (("SQLite", sqlite_file), ("PostgreSQL", postgresql_server)):
        print(f"{name}, {PROCESSES} processes, {QUESTIONS} questions at once by {PEOPLE} people:", flush=True)
        with database() as url:
            held.append(asyncio.run(measure(url)))
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
