"""Stored enums: a value that only another version of Typist knows is read as a default, with a line in the log."""

import ast
import enum
import importlib
import logging
from pathlib import Path

import pytest
import sqlalchemy as sa

import bot.store
from bot.core.job import Notice, NoticeKind
from bot.errors import EndReason, StoredEnum
from bot.models.prompt import Origin
from bot.store import Stores
from bot.store.schema import jobs, turns
from tests.contracts.stores import THREAD, YES, answered

LATER = "from_a_later_version"
READ_OTHERWISE = {
    "Scope": "queries select known scopes only",
    "UserKind": "an unknown user type is looked up again",
    "CheckKind": "checks of unknown kinds are left out",
    "OutboxKind": "entries of unknown kinds stay for the version that knows them",
}
STORE = Path(bot.store.__file__).parent


def enums_read_by(module: Path) -> set[type[enum.Enum]]:
    """Returns the enums that a module of the store calls with a value."""
    names = vars(importlib.import_module(f"bot.store.{module.stem}"))
    called = [node.func for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Call)]
    found = [names.get(one.id) for one in called if isinstance(one, ast.Name)]
    return {one for one in found if isinstance(one, type) and issubclass(one, enum.Enum)}


def test_store_reads_only_enums_that_have_a_default() -> None:
    read = {one for module in STORE.glob("*.py") if module.stem != "__init__" for one in enums_read_by(module)}
    assert EndReason in read
    assert {one.__name__ for one in read if not issubclass(one, StoredEnum)} == set(READ_OTHERWISE)


@pytest.mark.parametrize("kind", StoredEnum.__subclasses__(), ids=lambda kind: kind.__name__)
def test_unknown_value_becomes_the_default_and_is_logged_once(
    kind: type[StoredEnum], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert {kind("later"), kind("later")} == {next(one for one in kind if one.value == kind.unknown_value)}
    assert caplog.messages == [f"unknown stored value, using the default: {kind.__name__} 'later' -> {kind('later')}"]


async def test_answer_of_a_later_version_can_be_read(store: Stores) -> None:
    job = await answered(store)
    async with store.database.engine.begin() as connection:
        [messages] = await connection.scalars(sa.select(jobs.c.messages))
        [end] = await connection.scalars(sa.select(turns.c.end))
        later = {"end_reason": LATER, "origins": [LATER], "end": {**(end or {}), "notices": [[LATER, "Moved.", 0]]}}
        await connection.execute(sa.update(turns).values(later))
        roles = [{**one, "ts": "5.9", "role": LATER} for one in messages] + messages
        await connection.execute(sa.update(jobs).values(end_reason=LATER, messages=roles))
    found = await store.recorded_answers.answer_in_message(THREAD, "5.1")
    assert found is not None
    assert found.end is not None
    assert (found.end.reason, found.end.origins) == (EndReason.INTERNAL_ERROR, frozenset({Origin.UNKNOWN}))
    assert found.end.notices == (Notice(NoticeKind.SENTENCE, "Moved."),)
    replies = await store.recorded_answers.replies(THREAD)
    assert (replies["5.1"].text, replies["5.1"].question_ts) == (YES, job.question.ts)
