"""The tools of an answer: an MCP server's, Slack's search, or both together."""

from collections.abc import Mapping
from typing import Any, Protocol

from bot.core.conversation import Question, ToolDefinition
from bot.core.tools import CallResult, owner_of


class Tools(Protocol):
    """Offers tools and calls them."""

    async def definitions(self, question: Question) -> tuple[ToolDefinition, ...]:
        """Returns the tools that may be used to answer a question, within seconds; unavailable tools are left out.

        Tools that an admin denies, and tools whose definition has changed since an admin agreed to it, are missing too.
        """
        ...

    async def call(
        self, question: Question, tool: str, definition_hash: str, arguments: Mapping[str, Any], *, timeout_s: float
    ) -> CallResult:
        """Calls a tool once, and never again. It must have been decided about already: only DENY is checked here.

        The call fails before it leaves if `definitions` wouldn't offer the tool with this hash. A call of a tool that
        isn't declared read-only is UNKNOWN if nobody knows whether it happened.
        """
        ...


class Toolbox:
    """All tools together. A tool's name says whose it is.

    `own`: tools of Typist's own, by their owner's name. `others` has all other tools. It can't replace one of ours.
    """

    def __init__(self, own: Mapping[str, Tools], others: Tools) -> None:
        self._own = own
        self._others = others

    async def definitions(self, question: Question) -> tuple[ToolDefinition, ...]:
        """Returns Typist's own tools, and then the others."""
        ours = [definition for tools in self._own.values() for definition in await tools.definitions(question)]
        theirs = [
            tool for tool in await self._others.definitions(question) if self._tools_of(tool.name) is self._others
        ]
        return (*ours, *theirs)

    async def call(
        self, question: Question, tool: str, definition_hash: str, arguments: Mapping[str, Any], *, timeout_s: float
    ) -> CallResult:
        """Has the owner of the tool call it."""
        return await self._tools_of(tool).call(question, tool, definition_hash, arguments, timeout_s=timeout_s)

    def _tools_of(self, name: str) -> Tools:
        return self._own.get(owner_of(name), self._others)
