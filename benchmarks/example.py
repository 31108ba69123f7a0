"""Compares the example (examples/streaming_bot.py) with Typist, and with the example with plain throttling.

Run: python -m benchmarks.example [--rows 8,20] [--posts strict]. The rows are the same as in `benchmarks.live`: this
many questions at once, with 600-word answers at 40 words a second. `throttled` edits each answer every second
(benchmarks/timed_bot.py). Exits with 1 if the example gets a 429 or loses a word.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks import live
from benchmarks.process import Process, started
from slack_sandbox.server import Sandbox
from slack_sandbox.web_api.budgets import POST_RULES

MODULES = {"example": "examples.streaming_bot", "throttled": "benchmarks.timed_bot"}


def python_bot(module: str) -> live.Starts:
    """Returns a function that runs a module as the bot."""

    @asynccontextmanager
    async def running(sandbox: Sandbox, model_url: str) -> AsyncIterator[Process]:
        env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(live.ROOT),
            "SLACK_API_URL": sandbox.api_url,
            "SLACK_BOT_TOKEN": sandbox.bot_token,
            "SLACK_APP_TOKEN": sandbox.app_token,
            "OPENAI_API_KEY": "none",
            "OPENAI_BASE_URL": model_url,
            "MODEL": "openai/numbered",
        }
        with tempfile.TemporaryDirectory() as folder:
            command, log = [sys.executable, "-m", module], Path(folder, "log")
            async with started(command, env, Path(folder), log) as (process, output):
                draining = asyncio.create_task(output.read())
                try:
                    yield process
                finally:
                    draining.cancel()

    return running


async def run(rows: list[str], posts: str) -> bool:
    """Prints the table; returns whether the example got no 429 and lost no word."""
    bots = {"typist": live.typist("auto"), **{name: python_bot(module) for name, module in MODULES.items()}}
    known, is_met = live.rows(1), True
    print(live.HEADER, flush=True)
    for name in rows:
        for bot, starts in bots.items():
            result = await live.measure(starts, known[name], posts)
            print(live.line(known[name], bot, posts, result), flush=True)
            if bot == "example":
                is_met = is_met and not result.limited.total() and not result.broken
    return is_met


def main() -> int:
    parser = argparse.ArgumentParser(description="Measures the example beside Typist and plain throttling.")
    parser.add_argument("--rows", default="8,20", help="comma-separated rows of benchmarks.live")
    parser.add_argument("--posts", default="strict", choices=list(POST_RULES), help="the rule for posts")
    options = parser.parse_args()
    return int(not asyncio.run(run(options.rows.split(","), options.posts)))


if __name__ == "__main__":
    sys.exit(main())
