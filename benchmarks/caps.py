"""Whether a cap holds when everybody asks at once: `python -m benchmarks.caps`.

100 questions by 10 people in 10 channels, all at once, to two bots on one database, SQLite and then PostgreSQL, against
a cap of the workspace. Prints how many were answered, how many were told that it is used up, and how far it was passed;
exits 1 where that is more than one answer, or a question got neither. Slack's edits make a run take 80 s.
"""

import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.fleet import Fleet
from benchmarks.store import sqlite_file
from sandbox.server import Sandbox
from sandbox.workspace import Channel, Message
from tests.contracts.databases import postgresql_server
from tests.streams import speech
from tests.streams.server import Answer, VendorServer

QUESTIONS = 100
PEOPLE = 10
PROCESSES = 2
WORDS = "word " * 240
USED_TOKENS = speech.INPUT_TOKENS + len(speech.tokens(WORDS))
CAP_TOKENS = 12 * USED_TOKENS + 100
TOLD = "is used up"
WITHIN_S = 300.0


def settle(sandbox: Sandbox) -> Sequence[Channel]:
    """People and channels of this run: Slack takes ten posts at once in one channel."""
    people = [sandbox.people.arrive(f"p{number}") for number in range(PEOPLE)]
    members = [*(person.id for person in people), sandbox.bot_user_id]
    channels = [Channel(f"C0CAPS{number}", f"caps-{number}", "channel", list(members)) for number in range(PEOPLE)]
    sandbox.workspace.channels.update({channel.id: channel for channel in channels})
    return channels


def environment(sandbox: Sandbox, vendor: VendorServer, database_url: str) -> dict[str, str]:
    return {
        "SLACK_BOT_TOKEN": sandbox.bot_token,
        "SLACK_APP_TOKEN": sandbox.app_token,
        "BOT_SLACK_API_URL": sandbox.api_url,
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
    """Returns each question's reply when it has ended, "" if it doesn't end in time."""

    def ended(channel: str, ts: str) -> str:
        texts = map(displayed, sandbox.messages(channel, ts)[1:])
        return next((text for answer, text in texts if TOLD in text or answer == WORDS.strip()), "")

    with contextlib.suppress(TimeoutError):
        await sandbox.wait_for(lambda: all(ended(*each) for each in asked), WITHIN_S)
    return [ended(*each) for each in asked]


async def measure(database_url: str) -> bool:
    """Whether the cap held."""
    with tempfile.TemporaryDirectory() as folder:
        async with Sandbox() as sandbox, VendorServer() as vendor:
            vendor.script(Answer(speech.chat(speech.tokens(WORDS)), pause_s=0.005))
            channels = settle(sandbox)
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
            told, none = sum(TOLD in text for text in texts), texts.count("")
            return report(QUESTIONS - told - none, told, len(vendor.requests), took_s)


def report(answered: int, told: int, asked_the_model: int, took_s: float) -> bool:
    used = asked_the_model * USED_TOKENS
    over = used - CAP_TOKENS
    print(f"  {answered} answered, {told} told that it is used up, {QUESTIONS - answered - told} neither")
    print(f"  {used:,} tokens used of {CAP_TOKENS:,}: {over:,} over, and one answer is {USED_TOKENS:,}; {took_s:.0f} s")
    return answered + told == QUESTIONS and answered == asked_the_model and 0 <= over < USED_TOKENS


def main() -> int:
    held = []
    for name, database in (("SQLite", sqlite_file), ("PostgreSQL", postgresql_server)):
        print(f"{name}, {PROCESSES} processes, {QUESTIONS} questions at once by {PEOPLE} people:", flush=True)
        with database() as url:
            held.append(asyncio.run(measure(url)))
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
