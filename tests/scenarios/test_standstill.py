"""A text that takes forever ends its own answer: no process dies of it, and others are answered (bot/standstill.py).

No text is known that does this. So one function of the bot's processes meets a regular expression that takes 2^40 steps
wherever it meets MARK.
"""

import re
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from bot.core import texts
from slack_sandbox.server import Sandbox
from slack_sandbox.workspace import Message
from tests.scenarios.conftest import Stage, says, shown
from tests.scenarios.fleet import Fleet, fleet_of
from tests.streams.server import VendorRequest, VendorResponse, VendorServer

MARK = "hostile"
ENDLESS = re.compile("(a|a)*b")
ANSWERED_WITHIN_S = 30.0

Place = tuple[str, str]

IN_AN_ANSWER: dict[str, Place] = {
    "the first word is looked for": ("bot.reply.scheduler", "has_word"),
    "text is added to a page": ("slack_markdown.pages", "Pages.append"),
    "a page is rendered": ("bot.reply.blocks", "render_page"),
}


def freeze_at(place: Place) -> None:
    """Patches this process so that a function never returns if it meets MARK."""
    module, path = place
    *owners, name = path.split(".")
    owner: Any = import_module(module)
    for part in owners:
        owner = getattr(owner, part)
    function: Callable[..., Any] = getattr(owner, name)

    def freezing(*arguments: Any, **named: Any) -> Any:
        if any(MARK in str(argument) for argument in (*arguments, *named.values())):
            ENDLESS.match("a" * 40)
        return function(*arguments, **named)

    setattr(owner, name, freezing)


def repeats(request: VendorRequest) -> VendorResponse:
    """Answers as a model that repeats a question."""
    question = request.body["messages"][-1]["content"]
    return says(f"{MARK} text" if MARK in str(question) else "Paris.")


@pytest.fixture
async def fleet(sandbox: Sandbox, vendor: VendorServer, tmp_path: Path, postgresql_url: str) -> AsyncIterator[Fleet]:
    vendor.script(repeats)
    async with fleet_of(Stage(sandbox, vendor), tmp_path, postgresql_url) as fleet:
        yield fleet


async def ended_with(fleet: Fleet, asked: str, sentence: str) -> Message:
    def ended() -> list[Message]:
        replies = fleet.stage.bots("general", asked)
        return replies if [shown(reply) for reply in replies] == [sentence] else []

    return (await fleet.stage.sandbox.wait_for(ended, 60.0))[0]


@pytest.mark.long
@pytest.mark.parametrize("place", [pytest.param(place, id=when) for when, place in IN_AN_ANSWER.items()])
async def test_answer_that_takes_forever_ends_with_a_sentence_in_two_processes_that_go_on(
    fleet: Fleet, place: Place
) -> None:
    processes = [await fleet.start(partial(freeze_at, place)) for _ in range(2)]
    asked = await fleet.stage.mention(f"repeat: {MARK} text")
    await fleet.asked_the_model(1)
    began = time.monotonic()
    of_colleague = await fleet.stage.mention("capital of France?", user="alan")
    assert await fleet.stage.answers("general", of_colleague) == ["Paris."]
    took_s = time.monotonic() - began
    await ended_with(fleet, asked, texts.answers.STUCK)
    assert took_s < ANSWERED_WITHIN_S
    assert [process.returncode for process in processes] == [None, None]
    # On a machine without a free core, the step lasts longer than the silence of 8 s, and is taken over once.
    assert len(fleet.stage.vendor.requests) <= 3
