"""The subcommands of `typist`, one module each."""

import argparse
from collections.abc import Mapping
from typing import Protocol

EXIT_INVALID = 2
"""For settings and arguments that can't be used."""


class Subcommand(Protocol):
    """The interface of each module in this package."""

    HELP: str
    """One line for the list of subcommands."""
    DESCRIPTION: str
    """Heads the subcommand's own help."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Adds the subcommand's arguments to its parser."""
        ...

    def run(self, env: Mapping[str, str], options: argparse.Namespace) -> int:
        """Runs the subcommand and returns the exit code. Raises TypistError."""
        ...
