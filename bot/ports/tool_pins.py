"""Definitions of tools that an admin has agreed to. Raises StoreError."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Pin:
    """A definition that a tool may have."""

    definition_hash: str
    definition: str = field(repr=False)
    """As JSON: what the server said when it was agreed to."""
    by_admin: bool = False
    """Whether an admin has read it; else its server's first list had it."""


class ToolPins(Protocol):
    """Remembers the definitions of tools, by the tools' names."""

    async def pin(self, server: str, seen: Mapping[str, Pin]) -> Mapping[str, Pin]:
        """Records a server's first list of tools; returns the definitions that the tools in `seen` may have.

        A tool that came later, and that no admin has agreed to, is missing.
        """
        ...

    async def agree(self, tool: str, definition: Pin) -> None:
        """Replaces a tool's definition with one that an admin has read."""
        ...
