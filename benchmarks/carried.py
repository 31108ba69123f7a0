"""Runs Typist with the same carrier for all answers: `python -m benchmarks.carried edit|stream|auto run`.

Normally, Typist chooses a carrier for each answer (slack_pacing/carriers.py). Benchmarks and tests force one.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, cast

from bot import app
from bot.__main__ import main as run_typist
from bot.settings import Settings
from slack_pacing.carriers import CarrierName

run_bot = app.run


async def _run(carrier: str, settings: Settings, *arguments: Any, **options: Any) -> None:
    await run_bot(
        replace(settings, carrier=None if carrier == "auto" else cast(CarrierName, carrier)), *arguments, **options
    )


def force(carrier: str) -> None:
    """Has this process's bot send all answers by a carrier, wherever Slack takes it: edit, stream, or auto for both."""
    forced: Callable[..., Any] = partial(_run, carrier)
    app.run = forced


if __name__ == "__main__":
    force(sys.argv.pop(1))
    run_typist()
