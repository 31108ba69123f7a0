"""Definitions of tools that an admin has agreed to. Raises StoreError."""

from collections.abc import Mapping
from typing import Protocol

from bot.core.tools import Pin


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
