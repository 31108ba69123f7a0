"""The word with which `typist mcp` lists a tool."""

from dataclasses import replace

import pytest

from bot.cli.mcp import ToolState
from bot.core.calls import Pin
from bot.mcp.definitions import ListedTool

LOOK = ListedTool("look", "Looks.", {"type": "object"})
SAME, OTHER = Pin(LOOK.hash, LOOK.canonical_json), Pin("0" * 64, "[]")


@pytest.mark.parametrize(
    ("agreed", "is_first", "state"),
    [
        (None, True, "first"),
        (None, False, "new"),
        (OTHER, False, "changed"),
        (replace(OTHER, is_admin_approved=True), False, "changed"),
        (SAME, False, "seen"),
        (replace(SAME, is_admin_approved=True), False, "agreed"),
    ],
)
def test_word_says_whether_an_admin_has_read_what_a_tool_is_now(agreed: Pin | None, is_first: bool, state: str) -> None:
    assert ToolState(LOOK, agreed, is_first).state == state
