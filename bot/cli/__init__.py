"""The subcommands of `typist`, which command_line.py lists."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass

EXIT_FAILED = 1
"""The exit code if something failed, is unhealthy or was declined by the user."""
EXIT_INVALID = 2
WORKER = "admin"
"""The worker name of a subcommand's process, which doesn't claim jobs."""


@dataclass(frozen=True, slots=True)
class Subcommand:
    help: str
    description: str
    run: Callable[[Mapping[str, str], argparse.Namespace], int]
    """Runs the subcommand with the environment and arguments, and returns the exit code. Raises TypistError."""
    add_arguments: Callable[[argparse.ArgumentParser], None] | None = None
