"""All tools of an answer as one: each call goes to the one that has the tool."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from bot.core.conversation import Question, ThreadKey, ToolDefinition
from bot.core.tools import CallOutcome, CallResult
from bot.services.toolbox import Toolbox

QUESTION = Question(ThreadKey("T1", "C1", "1.0"), "1.0", "U1", "why?")


@dataclass
class NamedTools:
    """Has these tools; each returns the owner's name."""

    owner: str
    names: tuple[str, ...]
    calls: list[str] = field(default_factory=list)

    async def definitions(self, question: Question) -> tuple[ToolDefinition, ...]:
        return tuple(ToolDefinition(name, "", {}) for name in self.names)

    async def call(
        self, question: Question, tool: str, definition_hash: str, arguments: Mapping[str, Any], *, timeout_s: float
    ) -> CallResult:
        self.calls.append(tool)
        return CallResult(CallOutcome.DONE, self.owner)


@pytest.fixture
def ours() -> NamedTools:
    return NamedTools("ours", ("slack__search",))


@pytest.fixture
def theirs() -> NamedTools:
    return NamedTools("theirs", ("github__list", "slack__search", "slack__post", "search"))


async def test_no_other_tool_can_have_the_name_of_ours(ours: NamedTools, theirs: NamedTools) -> None:
    definitions = await Toolbox({"slack": ours}, theirs).definitions(QUESTION)
    assert [tool.name for tool in definitions] == ["slack__search", "github__list", "search"]


@pytest.mark.parametrize(
    ("tool", "owner"),
    [
        ("slack__search", "ours"),
        ("slack__post", "ours"),
        ("github__list", "theirs"),
        ("search", "theirs"),
        ("slackish__search", "theirs"),
    ],
)
async def test_call_goes_to_the_tools_that_have_it(ours: NamedTools, theirs: NamedTools, tool: str, owner: str) -> None:
    toolbox = Toolbox({"slack": ours}, theirs)
    assert (await toolbox.call(QUESTION, tool, "", {}, timeout_s=1)).text == owner
    assert ours.calls + theirs.calls == [tool]
