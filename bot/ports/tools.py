"""Tools that a model may ask for. No method raises: what fails costs tools or is a failed call, never the answer."""

from collections.abc import Mapping
from typing import Any, Protocol

from bot.core.conversation import Question, ToolDefinition
from bot.core.tools import CallResult, ToolRule


class Tools(Protocol):
    """Offers tools and calls them."""

    async def definitions(self, question: Question) -> tuple[ToolDefinition, ...]:
        """Returns the tools that may be used to answer a question, within seconds; unavailable tools are left out.

        Tools that an admin denies, and tools whose definition has changed since an admin agreed to it, are missing too.
        """
        ...

    def rule_for(self, name: str) -> ToolRule:
        """Returns what an admin has decided about a tool; ASK for a name that no rule covers."""
        ...

    async def call(
        self, question: Question, tool: str, definition_hash: str, arguments: Mapping[str, Any], *, timeout_s: float
    ) -> CallResult:
        """Calls a tool once, and never again. It must have been decided about already: only DENY is checked here.

        The call fails before it leaves if `definitions` wouldn't offer the tool with this hash. A call of a tool that
        isn't declared read-only is UNKNOWN if nobody knows whether it happened.
        """
        ...
