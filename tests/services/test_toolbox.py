"""All tools of an answer as one: each call goes to the one that has the tool."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from bot.core.conversation import Question, ThreadKey, ToolDefinition
from bot.core.tools import CallOutcome, CallResult, Permission, ToolRule
from bot.services.toolbox import Toolbox

QUESTION = Question(ThreadKey("T1", "C1", "1.0"), "1.0", "U1", "why?")


@dataclass
class NamedTools:
    """Has these tools, and allows each in its own way."""

    names: tuple[str, ...]
    permission: Permission
    calls: list[str] = field(default_factory=list)

    async def definitions(self, question: Question) -> tuple[ToolDefinition, ...]:
        return tuple(ToolDefinition(name, "", {}) for name in self.names)

    def rule_for(self, name: str) -> ToolRule:
        return ToolRule(self.permission)

    async def call(
        self, question: Question, tool: str, definition_hash: str, arguments: Mapping[str, Any], *, timeout_s: float
    ) -> CallResult:
        self.calls.append(tool)
        return CallResult(CallOutcome.DONE, self.permission)


@pytest.fixture
def ours() -> NamedTools:
    return NamedTools(("slack__search",), Permission.ALLOW)


@pytest.fixture
def theirs() -> NamedTools:
    return NamedTools(("github__list", "slack__search", "slack__post", "search"), Permission.ASK)


async def test_no_other_tool_can_have_the_name_of_ours(ours: NamedTools, theirs: NamedTools) -> None:
    definitions = await Toolbox({"slack": ours}, theirs).definitions(QUESTION)
    assert [tool.name for tool in definitions] == ["slack__search", "github__list", "search"]


@pytest.mark.parametrize(
    ("tool", "permission"),
    [
        ("slack__search", Permission.ALLOW),
        ("slack__post", Permission.ALLOW),
        ("github__list", Permission.ASK),
        ("search", Permission.ASK),
        ("slackish__search", Permission.ASK),
    ],
)
async def test_rule_and_call_go_to_the_tools_that_have_it(
    ours: NamedTools, theirs: NamedTools, tool: str, permission: Permission
) -> None:
    toolbox = Toolbox({"slack": ours}, theirs)
    assert toolbox.rule_for(tool).permission is permission
    assert (await toolbox.call(QUESTION, tool, "", {}, timeout_s=1)).text == permission
    assert ours.calls + theirs.calls == [tool]
