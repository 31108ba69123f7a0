"""`typist smoke`: six small conversations with each model, for a nightly job that detects vendor changes."""

import argparse
import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from bot import logs, settings
from bot.cli import EXIT_FAILED, Subcommand
from bot.cli.check import replace_unencodable_output
from bot.settings import model_prices, model_setup, system_prompt_in_use

if TYPE_CHECKING:
    from bot.cli.smoke_conversations import SmokeResult

LIMIT_USD = 0.1


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--limit",
        metavar="USD",
        type=dollars,
        default=LIMIT_USD,
        help="maximum to spend on all models (default: %(default)s); requests that might exceed it are skipped",
    )
    parser.add_argument("--json", action="store_true", help="print the report as one line of JSON")


def dollars(text: str) -> float:
    if not 0 < (usd := float(text)) <= 1_000:
        raise ValueError(text)
    return usd


dollars.__name__ = "number of dollars"
"""Shown in argparse's error message."""


def _smoke(env: Mapping[str, str], options: argparse.Namespace) -> int:
    ours = settings.read(env, needs_model=True)
    logs.set_up_quietly(ours.log_level, ours.log_format)
    # Imported here because it loads the vendors' libraries.
    from bot.cli.smoke_conversations import run_smoke

    found = asyncio.run(run_smoke(model_setup(ours), model_prices(ours), system_prompt_in_use(ours), options.limit))
    replace_unencodable_output()
    print(json.dumps(as_json(found)) if options.json else as_text(found))
    return 0 if all_passed(found) else EXIT_FAILED


def all_passed(results: Sequence["SmokeResult"]) -> bool:
    """Returns whether nothing failed and every model was called at least once."""
    asked = {one.model for one in results if one.status == "ok"}
    return all(one.status != "fail" and one.model in asked for one in results)


def as_text(results: Sequence["SmokeResult"]) -> str:
    lines = [line for one in results for line in one.lines()]
    return "\n".join([*lines, "", f"${sum(one.usd for one in results):.4f} in total"])


def as_json(results: Sequence["SmokeResult"]) -> dict[str, object]:
    conversations = [asdict(one) | {"usd": round(one.usd, 6), "seconds": round(one.seconds, 1)} for one in results]
    return {"ok": all_passed(results), "usd": round(sum(one.usd for one in results), 6), "conversations": conversations}


SUBCOMMAND = Subcommand(
    "have six short conversations with each model",
    "Has six short conversations with each model, with the code that answers questions in Slack: a question, a "
    "thread, a tool with an approval, a picture and a PDF, an answer that is cut off and continued, and a tool "
    "among many. Nothing is posted. Each conversation can cost a cent or two. Exits with 1 if one failed, or if a "
    "model wasn't asked anything.",
    _smoke,
    _add_arguments,
)
