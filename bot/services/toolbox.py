"""All tools of an answer, wherever they come from, as one."""

from collections.abc import Mapping
from typing import Any

from bot.core.conversation import Question, ToolDefinition
from bot.core.tools import CallResult, ToolRule, owner_of
from bot.ports.tools import Tools


class Toolbox:
    """Implements the port Tools. A tool's name says whose it is.

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

    def rule_for(self, name: str) -> ToolRule:
        """Returns the rule of the tool's owner."""
        return self._tools_of(name).rule_for(name)

    async def call(
        self, question: Question, tool: str, definition_hash: str, arguments: Mapping[str, Any], *, timeout_s: float
    ) -> CallResult:
        """Has the owner of the tool call it."""
        return await self._tools_of(tool).call(question, tool, definition_hash, arguments, timeout_s=timeout_s)

    def _tools_of(self, name: str) -> Tools:
        return self._own.get(owner_of(name), self._others)
