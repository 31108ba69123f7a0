"""`python -m bot audit` exports the entries, without texts unless asked for, and `memory` memories."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from bot.clock import SystemClock
from bot.core.calls import CallState, Decision
from bot.core.job import End
from bot.errors import EndReason
from bot.models.events import Usage
from bot.models.prices import ModelPrices
from bot.store import Stores
from bot.store.schema import audit_entries
from slack_sandbox.server import Sandbox
from tests.clocks import ManualClock
from tests.contracts.stores import CALL, DIRECT, SAID, STEPPED, THREAD, asked, asking_step, enqueued, one
from tests.forked import forked_command
from tests.scenarios.conftest import Stage, running, says, settings_of
from tests.streams.server import VendorServer

QUESTION, ANSWER, RESULT = "a secret question", "a secret answer", "a secret result"
FIRST_DAY = 1_800_000_000.0
"""2027-01-15 08:00 UTC."""
END = End(EndReason.WHOLE, model="openai/gpt-4o-mini", usage=Usage(1_000, 200))


@pytest.fixture(params=["sqlite_url", pytest.param("postgresql_url", marks=pytest.mark.long)])
async def used(request: pytest.FixtureRequest) -> str:
    """Returns a database with an approved call, an answer, and on the next day a setting and another question."""
    url: str = request.getfixturevalue(request.param)
    clock = ManualClock()
    clock.now_s = FIRST_DAY
    store = await Stores.open(url, "w1", clock, prices=ModelPrices())
    await enqueued(store, asked(1, text=QUESTION))
    job = await one(store)
    await store.recorded_calls.record_step(job, asking_step(), STEPPED, SAID)
    await store.recorded_calls.wait_for_decisions(job, None, None, store.clock.now())
    await store.approvals.decide(job.id, 0, CALL, Decision.APPROVED, "U2")
    job = await one(store)
    assert await store.recorded_calls.begin_call(job, replace(CALL, state=CallState.READY))
    assert await store.recorded_calls.end_call(job, replace(CALL, state=CallState.DONE, result=RESULT))
    assert await store.worker_queue.finish(job, END, ANSWER)
    clock.now_s += 86_400
    await store.approvals.allow_always(THREAD, CALL, "U3")
    await enqueued(store, asked(2, DIRECT))
    await store.close()
    return url


def _call(state: str) -> str:
    return _CALL.replace("step", f"state={state} step")


async def export(folder: Path, url: str, *options: str) -> list[dict[str, Any]]:
    code, out, err = await forked_command(folder, "audit", "--json", *options, env={"DATABASE_URL": url})
    assert code == 0, err
    return [json.loads(line) for line in out.splitlines()]


async def test_export_names_asker_approver_channel_model_cost_and_end_and_no_text(tmp_path: Path, used: str) -> None:
    code, out, err = await forked_command(tmp_path, "audit", env={"DATABASE_URL": used})
    heading, *rows = out.splitlines()
    assert heading.split() == ["entry", "time", "(UTC)", "kind", "user", "channel", "by", "details"]
    assert [row.split(maxsplit=7) for row in rows] == [
        ["1", "2027-01-15", "08:00:00", "question", "U1", "C1", "-"],
        ["2", "2027-01-15", "08:00:00", "call", "U1", "C1", "-", _call("asked")],
        ["3", "2027-01-15", "08:00:00", "answer", "U1", "C1", "-", _STEP],
        ["4", "2027-01-15", "08:00:00", "decision", "U1", "C1", "U2", f"decision=approved {_CALL}"],
        ["5", "2027-01-15", "08:00:00", "call", "U1", "C1", "-", _call("begun")],
        ["6", "2027-01-15", "08:00:00", "call", "U1", "C1", "-", _call("done")],
        ["7", "2027-01-15", "08:00:00", "answer", "U1", "C1", "-", _ANSWER],
        ["8", "2027-01-16", "08:00:00", "setting", "-", "C1", "U3", _SETTING],
        ["9", "2027-01-16", "08:00:00", "question", "U1", "D1", "-"],
    ]
    assert (code, err) == (0, "")
    exported = json.dumps(await export(tmp_path, used))
    assert not [text for text in (QUESTION, ANSWER, RESULT, "Milk", "note it") if text in out + exported]


_CALL = "index=0 step=0 tool=notes__add version=0"
_STEP = "end=stepped input_tokens=10 model=scripted/echo output_tokens=5"
_ANSWER = "cost_usd=0.00027 end=whole input_tokens=1000 model=openai/gpt-4o-mini output_tokens=200"
_SETTING = "definition=hash setting=always_allowed tool=notes__add"


async def test_texts_are_added_where_they_are_asked_for_and_still_stored(tmp_path: Path, used: str) -> None:
    exported = await export(tmp_path, used, "--texts")
    call = {"arguments": {"text": "Milk"}, "result": RESULT}
    assert [line.get("texts") for line in exported] == [
        {"question": QUESTION},
        call,
        None,
        call,
        call,
        call,
        {"answer": ANSWER},
        None,
        {"question": "Why?"},
    ]
    await forked_command(tmp_path, "forget", "--user", "U1", "--yes", env={"DATABASE_URL": used})
    assert not any("texts" in line for line in await export(tmp_path, used, "--texts"))


async def test_persons_export_has_entries_about_and_by_them_and_text_of_nobody_else(tmp_path: Path, used: str) -> None:
    whole = await export(tmp_path, used, "--texts")
    about_them = [line for line in whole if line.get("user") == "U1"]
    assert await export(tmp_path, used, "--texts", "--user", "U1") == about_them
    [decision] = await export(tmp_path, used, "--texts", "--user", "U2")
    assert decision == {name: value for name, value in whole[3].items() if name != "texts"}
    assert decision["by"] == "U2"
    ended, out, err = await forked_command(tmp_path, "audit", "--user", "U9", "--json", env={"DATABASE_URL": used})
    assert (ended, out, err) == (0, "", "No audit entries about or by U9.\n")


async def test_export_begins_at_a_day_or_a_time_and_is_the_same_each_time(tmp_path: Path, used: str) -> None:
    # More than are read at once.
    store = await Stores.open(used, "w2", SystemClock())
    async with store.database.engine.begin() as connection:
        last = (await connection.execute(sa.select(audit_entries).where(audit_entries.c.id == 9))).mappings().one()
        values = {name: value for name, value in last.items() if name != "id"}
        await connection.execute(sa.insert(audit_entries), [values] * 500)
    await store.close()
    whole = await export(tmp_path, used)
    assert len(whole) == 509
    for since, first in (("2027-01-15", 1), ("2027-01-15T08:00:01", 8), ("2027-01-17", 510)):
        assert await export(tmp_path, used, "--since", since) == whole[first - 1 :], since


async def test_running_bot_records_without_texts(sandbox: Sandbox, vendor: VendorServer, sqlite_url: str) -> None:
    vendor.script(says(ANSWER))
    async with running(replace(settings_of(sandbox, vendor), database_url=sqlite_url)):
        stage = Stage(sandbox, vendor)
        assert await stage.answers("general", await stage.mention(QUESTION)) == [ANSWER]
    store = await Stores.open(sqlite_url, "reader", SystemClock())
    lines = await store.audit.page(1, 100)
    assert [line["kind"] for line in lines] == ["question", "answer"]
    assert not [text for text in (QUESTION, ANSWER) if text in json.dumps(lines)]
    await store.close()


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--since", "someday"], 2, "typist: --since must be a day such as 2026-11-20, yesterday or 7d, or a time"),
        (["--texts"], 2, "typist: --texts needs --json.\n"),
        (["--user", "@ada"], 2, "typist: --user must be a member ID such as U0123ABCD"),
        (["verify"], 2, "usage: "),
        ([], 0, "Nothing is recorded yet: there is no database at "),
    ],
    ids=str,
)
async def test_what_cannot_be_done_is_said_in_a_sentence(
    tmp_path: Path, arguments: list[str], code: int, sentence: str
) -> None:
    ended, out, err = await forked_command(tmp_path, "audit", *arguments, env={})
    assert (ended, out) == (code, "")
    assert err.startswith(sentence)
