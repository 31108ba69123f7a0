"""What a model may say to each of Typist's own tools: the arguments that these read, under their names."""

import pytest

from bot.core import choices, memory
from bot.mcp.tools import sign_in_tool
from bot.models.prompt import ToolDefinition
from bot.services import schedule_tool
from bot.slack import history, search

# The tool, the arguments that a call must have, and the others that it may have.
ARGUMENTS = [
    (choices.DEFINITION, {"question", "choices"}, set[str]()),
    (memory.TOOLS[True], {"text"}, set[str]()),
    (memory.TOOLS[False], {"text"}, set[str]()),
    (
        schedule_tool.DEFINITION,
        set[str](),
        {"words", "cron", "at", "zone", "only_if_changed", "only_if", "number", "stop"},
    ),
    (sign_in_tool(["jira"], {}), {"server"}, set[str]()),
    (history.DEFINITION, set[str](), {"since", "newest", "thread", "channel", "link", "page", "canvas", "about"}),
    (
        history.WITH_TABS,
        set[str](),
        {"since", "newest", "thread", "channel", "link", "page", "canvas", "about"},
    ),
    (search.KEYWORD_SEARCH, {"query"}, set[str]()),
    (search.SEMANTIC_SEARCH, {"query"}, set[str]()),
]


@pytest.mark.parametrize(("tool", "required", "optional"), ARGUMENTS, ids=lambda value: getattr(value, "name", ""))
def test_tool_names_the_arguments_that_it_reads(tool: ToolDefinition, required: set[str], optional: set[str]) -> None:
    assert tool.parameters["properties"].keys() == required | optional
    assert set(tool.parameters.get("required", ())) == required
    assert tool.parameters["additionalProperties"] is False
