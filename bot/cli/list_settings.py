"""`typist settings`: prints all settings with their explanations, in the format of `.env`."""

import argparse
from collections.abc import Mapping
from pathlib import Path

from bot.cli import Subcommand

EXAMPLE = Path(__file__).with_name("env.example")


def run(env: Mapping[str, str], options: argparse.Namespace) -> int:
    print(EXAMPLE.read_text("utf-8"), end="")
    return 0


SUBCOMMAND = Subcommand(
    "list all settings",
    "Prints all settings with their defaults and explanations, in the format of .env.",
    run,
)
