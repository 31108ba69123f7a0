"""A clean conversation once for each of its calls, with that call failing: Slack's, the model's, the database's.

The conversation is a question, a question in its thread whose tool waits for an approval, and a rating. Whichever call
fails, each question has one answer that ends, complete or with a notice, and the tool acts at most once.
"""

import asyncio
import json
import random
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from bot.core import texts
from bot.core.actions import ReplyAction
from bot.wiring import Bot
from slack_sandbox.faults import FAULTS, Fault, Faults
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.gate import rounds
from slack_sandbox.workspace import Message
from tests.fast import run_fast
from tests.scenarios.conftest import Stage, buttons, growing, manifest, running, says, settings_of, shown
from tests.scenarios.outages import until
from tests.scenarios.tools import Notes, calls
from tests.streams.server import VendorRequest, VendorResponse, VendorServer, refusal

AT_MOST = rounds(10, 40)
"""So many calls of a kind are tried, at random. There are 141 transactions."""
FIRST, SECOND = "why?", "note milk"
ANSWERS = {FIRST: "Because it is so.", SECOND: "Noted, and nothing else."}
NOTICES = (texts.answers.NOT_SHOWN, "again", "went wrong", "unclear")


@dataclass
class Count:
    """Counts calls of one kind, and says which of them fails."""

    fails_at: int | None = None
    made: int = 0
    names: list[str] = field(default_factory=list)

    def is_next_to_fail(self, name: str) -> bool:
        self.made += 1
        self.names.append(name)
        return self.made - 1 == self.fails_at


class CountedFaults(Faults):
    """Breaks one of Slack's calls, by its number."""

    def __init__(self, kind: str, count: Count) -> None:
        super().__init__()
        self._kind, self._count, self._breaks = kind, count, False

    def take(self, name: str, method: str | None = None, arguments: Mapping[str, object] | None = None) -> Fault | None:
        if name == "rate_limit" and method is not None:
            self._breaks = self._count.is_next_to_fail(method)
        if name == self._kind and self._breaks:
            return FAULTS[name]
        return super().take(name, method, arguments)


def model(count: Count) -> Callable[[VendorRequest], VendorResponse]:
    def answer(request: VendorRequest) -> VendorResponse:
        if count.is_next_to_fail("model"):
            return refusal(500, {"error": {"message": "Internal error"}})
        asked = [message for message in request.body["messages"] if message["role"] == "user"][-1]
        question = next(words for words in reversed(ANSWERS) if words in json.dumps(asked["content"]))
        if question == SECOND and request.body["messages"][-1]["role"] != "tool":
            return calls("I'll note it.", ("notes__add", {"text": "Milk"}))
        return says(ANSWERS[question])

    return answer


@contextmanager
def counted_transactions(count: Count) -> Iterator[None]:
    """Makes one transaction fail at its beginning, as where a disk doesn't answer."""

    def begin(_connection: sa.Connection) -> None:
        if count.is_next_to_fail("transaction"):
            raise OperationalError("BEGIN", None, sqlite3.OperationalError("disk I/O error"))

    sa.event.listen(sa.Engine, "begin", begin)
    try:
        yield
    finally:
        sa.event.remove(sa.Engine, "begin", begin)


@dataclass(frozen=True)
class Conversation:
    """What people see at the end, and what the tool has done."""

    first: list[str]
    second: list[str]
    written: list[Mapping[str, Any]]


async def conversation(kind: str, count: Count) -> Conversation:
    """Has the conversation, with the call of this kind failing that `count` says."""
    unused = Count()
    loop, notes = asyncio.get_running_loop(), Notes()
    sandbox = Sandbox(ack_timeout_s=120.0, manifest=manifest(), monotonic=loop.time)
    async with sandbox, VendorServer() as vendor, running(settings_of(sandbox, vendor), tools=notes) as bot:
        vendor.script(model(count if kind == MODEL else unused))
        if kind in SLACKS:
            faults = CountedFaults(kind, count)
            sandbox.faults.take = faults.take  # type: ignore[method-assign]
        with counted_transactions(count if kind == DATABASE else unused):
            return await converse(Stage(sandbox, vendor), bot, notes)


async def converse(stage: Stage, bot: Bot, notes: Notes) -> Conversation:
    asked = await stage.mention(FIRST)

    def asks() -> list[Message]:
        return [message for message in stage.bots("general", asked) if ReplyAction.DENY in buttons(message)]

    def ended(count: int) -> list[Message]:
        messages = stage.bots("general", asked)
        is_over = not any(map(growing, messages)) and not bot.worker.live and not asks()
        return messages if len(messages) >= count and is_over else []

    first = await until(lambda: ended(1), "the end of the first answer")
    await stage.sandbox.say("ada", "general", f"@{stage.sandbox.workspace.bot.name} {SECOND}", asked)
    await until(lambda: asks() or ended(len(first) + 1), "an approval")
    # A person presses again where nothing happens.
    while waiting := asks():
        await stage.sandbox.client("ada").press("general", waiting[0].ts, ReplyAction.APPROVE)
        await asyncio.sleep(5)
    second = (await until(lambda: ended(len(first) + 1), "the end of the second answer"))[len(first) :]
    await stage.sandbox.client("ada").press("general", second[-1].ts, f"{ReplyAction.FEEDBACK}-up")
    return Conversation(list(map(shown, first)), list(map(shown, second)), notes.written)


def problem(found: Conversation) -> str:
    for asked, answer in ((FIRST, found.first), (SECOND, found.second)):
        text = " ".join(answer)
        if len(answer) != 1:
            return f"{len(answer)} messages for {asked}: {answer}"
        if ANSWERS[asked] not in text and not any(notice in text for notice in NOTICES):
            return f"no answer and no notice for {asked}: {answer}"
    return "" if len(found.written) <= 1 else f"the tool acted {len(found.written)} times"


SLACKS = ("internal_error", "lose_response", "drop_request")
MODEL, DATABASE = "model", "database"
REST = ("internal_error", "drop_request", MODEL)


@pytest.mark.parametrize(
    "kind", ["lose_response", DATABASE, *(pytest.param(kind, marks=pytest.mark.long) for kind in REST)]
)
@pytest.mark.long(after_row=1)
def test_each_question_has_one_answer_whichever_call_fails(kind: str) -> None:
    clean = Count()
    whole = run_fast(conversation(kind, clean))
    assert (problem(whole), *(ANSWERS[FIRST] in text for text in whole.first)) == ("", True)
    assert len(whole.written) == 1
    problems = {}
    for number in sorted(random.sample(range(clean.made), min(clean.made, AT_MOST))):
        try:
            wrong = problem(run_fast(conversation(kind, Count(number))))
        except AssertionError as error:
            wrong = str(error)
        if wrong:
            problems[number, clean.names[number]] = wrong
    assert problems == {}, f"of {clean.made} calls"
