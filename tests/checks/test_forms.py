"""The forms that `typist check --forms` sends: all of them, each as Slack takes it."""

import inspect
import sys
from collections.abc import Iterator
from types import CodeType, FrameType, ModuleType
from typing import Any

import pytest

from bot.checks.forms import forms
from bot.reply import blocks as reply_blocks
from bot.slack import blockkit, cards, home, modals, schedule_views
from bot.slack.blockkit import Json
from slack_sandbox.blocks.rules import check_blocks
from slack_sandbox.blocks.view_rules import check_view

FORMS = forms()
READERS = {"untouched"}
"""What reads a view."""


@pytest.mark.parametrize("name", FORMS)
def test_slack_takes_each_form(name: str) -> None:
    form = FORMS[name]
    if "type" in form:
        check_view(form, form["type"])
    elif form["blocks"]:
        check_blocks(form["blocks"])
    else:
        assert form["text"].strip()


def builders(module: ModuleType) -> Iterator[tuple[str, CodeType]]:
    """Yields the public functions of a module that return JSON for Slack."""
    for name, function in inspect.getmembers(module, inspect.isfunction):
        is_own = function.__module__ == module.__name__ and not name.startswith("_")
        if is_own and inspect.signature(function).return_annotation in (Json, list[Json]) and name not in READERS:
            yield name, function.__code__


def test_every_builder_of_a_message_or_a_view_makes_one_of_the_forms() -> None:
    called: set[CodeType] = set()

    def note(frame: FrameType, event: str, argument: Any) -> None:
        called.add(frame.f_code)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        forms()
    finally:
        sys.setprofile(before)
    unused = [
        f"{module.__name__}.{name}"
        for module in (blockkit, cards, home, modals, reply_blocks, schedule_views)
        for name, code in builders(module)
        if code not in called
    ]
    assert unused == []
