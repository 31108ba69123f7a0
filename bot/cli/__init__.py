"""The subcommands of `typist`: command_line.py lists them."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass

EXIT_FAILED = 1
"""For what failed, isn't well or was declined."""
EXIT_INVALID = 2
"""For settings and arguments that can't be used."""
WORKER = "admin"
"""The name of a subcommand's process among the workers. It claims no jobs."""


@dataclass(frozen=True, slots=True)
class Subcommand:
    """One subcommand."""

    help: str
    """One line for the list of subcommands."""
    description: str
    """Heads the subcommand's own help."""
    run: Callable[[Mapping[str, str], argparse.Namespace], int]
    """Runs it with the environment and the arguments, and returns the exit code. Raises TypistError."""
    add_arguments: Callable[[argparse.ArgumentParser], None] | None = None
    """None if the settings say all."""
