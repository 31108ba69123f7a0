"""The forms that Slack is asked to validate: all of them, each as Slack takes it.

`make forms` writes forms.txt: what each form is made of, without its prose. It also writes both manifests.
"""

import inspect
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any

import pytest

from bot.reply import blocks as reply_blocks
from bot.slack import blockkit, cards, notices, posted_questions
from bot.slack.blockkit import Json
from bot.slack.manifest import app_manifest
from bot.slack.views import arguments, caps, home, memory, modal, question, schedules, settings
from slack_markdown.escaping import JOINER
from slack_probe.forms import RARE_STATES, STATES, forms
from slack_sandbox.blocks.rules import check_blocks
from slack_sandbox.blocks.view_rules import check_view
from slack_sandbox.control import unescape
from tests.reply.stored_messages import leaves

ROOT = Path(__file__).parents[2]
PAGE = Path(__file__).with_name("forms.txt")
PROSE = ("text", "title", "fallback", "alt_text", "accessibility_label")
MARKUP = re.compile(r"<[^<>]*>|&\w+;|https?://[^\s>|)]+|\$?\d[\d.,:]*%?|[*_`~•·☑☐|\n]+")
"""What stays of prose: mentions, addresses, numbers and marks."""
LONG = 300
FORMS = forms()
READERS = {"initial_view"}
"""What reads a view."""

GROWING = {
    "below a native stream",
    *(f"answer: {name}" for name, view in {**STATES, **RARE_STATES}.items() if view.is_live and not view.asks),
}
"""Their text has the first words, or Slack makes it."""
OWN_BUTTONS = ("about-answer-buttons", "about-answer-stop")
"""What people can do with any answer."""

VIEWS = (arguments, caps, home, memory, modal, question, schedules, settings)


def outlined(value: Any, key: str = "") -> str:
    """Returns a part of a form on one line, with only the markup of its prose."""
    if isinstance(value, dict):
        said = {name: outlined(held, name) for name, held in value.items() if name != "type"}
        fields = ", ".join(f"{name} {words}".rstrip() for name, words in said.items() if words or name != "text")
        return f"{value.get('type', '')}({fields})" if fields or "type" not in value else str(value["type"])
    if isinstance(value, list):
        return f"[{', '.join(map(outlined, value))}]"
    if isinstance(value, str):
        shown = "".join(MARKUP.findall(value)) if key in PROSE else str(value)
        shown = shown if len(shown) < LONG else f"{shown[:20]}…{len(shown)}"
        return repr(shown) if shown or key not in PROSE else ""
    return str(value)


def page() -> str:
    """Returns the outlines of all forms, a line for each block."""
    return "\n\n".join(
        "\n".join([f"# {name}", outlined({**form, "blocks": len(form["blocks"])}), *map(outlined, form["blocks"])])
        for name, form in forms().items()
    )


def test_each_form_is_made_of_what_the_page_has() -> None:
    assert page().splitlines() == PAGE.read_text("utf-8").splitlines(), "`make forms` writes it"


@pytest.mark.parametrize("name", FORMS)
def test_slack_takes_each_form(name: str) -> None:
    form = FORMS[name]
    if "type" in form:
        check_view(form, form["type"])
    elif form["blocks"]:
        check_blocks(form["blocks"])
    else:
        assert form["text"].strip()


@pytest.mark.parametrize(
    "name", [name for name, form in FORMS.items() if form.get("blocks") and "type" not in form and name not in GROWING]
)
def test_text_alone_says_all_that_the_blocks_say(name: str) -> None:
    form = FORMS[name]
    blocks = [block for block in form["blocks"] if block.get("block_id") not in OWN_BUTTONS]
    said = unescape(form["text"]).replace(JOINER, "")
    for leaf in leaves(check_blocks(blocks or [{"type": "divider"}])):
        words = f"{leaf.get('text', '')} {leaf.get('url', '')}".replace(JOINER, "").replace("mailto:", "")
        assert [word for word in unescape(words).split() if word not in said] == []


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
        for module in (blockkit, cards, notices, posted_questions, reply_blocks, *VIEWS)
        for name, code in builders(module)
        if code not in called
    ]
    assert unused == []


if __name__ == "__main__":
    PAGE.write_text(f"{page()}\n", "utf-8")
    for file, agent in {"manifest.json": False, "manifest.agent.json": True}.items():
        (ROOT / file).write_text(f"{json.dumps(app_manifest(agent=agent), indent=2)}\n", "utf-8")
