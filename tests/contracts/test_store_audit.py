"""The audit: an entry in the transaction of each event, and what erasure and retention leave."""

import json
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from bot.clock import SystemClock
from bot.core.audit import arguments_hash
from bot.core.calls import CallState, Decision, Pin, RecordedCall
from bot.core.channel_settings import ChannelSettings, prompt_version
from bot.core.job import End, Job, StepEstimate
from bot.errors import EndReason
from bot.models.events import Usage
from bot.store import Stores
from bot.store.accounts import Owner
from tests.clocks import ManualClock
from tests.contracts.databases import Process
from tests.contracts.stores import (
    CALL,
    DIRECT,
    DONE,
    OTHER_THREAD,
    SAID,
    STEPPED,
    THREAD,
    YES,
    answered,
    asked,
    asking_step,
    begun,
    enqueued,
    one,
    taken_over,
)

SECRET = "a secret of mine"
HASH = arguments_hash(CALL.arguments)


async def lines(store: Stores) -> list[dict[str, Any]]:
    return await store.audit.page(1, 100_000)


async def said(store: Stores, *names: str) -> list[dict[str, Any]]:
    """Returns these fields of all entries, in the order in which they were written; without names, all facts."""
    return [
        {name: value for name, value in line.items() if (name in names if names else name not in ("id", "at"))}
        for line in await lines(store)
    ]


async def with_call(store: Stores, *calls: RecordedCall) -> Job:
    job = await begun(store, asked(1, text=SECRET))
    assert await store.recorded_calls.record_step(job, asking_step(*calls), STEPPED, SAID)
    return job


async def test_question_and_answer_are_recorded_without_their_texts(store: Stores) -> None:
    job = await begun(store, asked(1, text=SECRET))
    end = End(EndReason.WHOLE, model="openai/gpt-4o-mini", usage=Usage(1_000_000, 20, 5), prompt_version="p1")
    assert await store.worker_queue.finish(job, end, YES)
    about = {"team": "T1", "job": job.id, "user": "U1", "channel": "C1", "thread": THREAD.thread_ts, "ts": asked(1).ts}
    used = {"input_tokens": 1_000_000, "output_tokens": 20, "cached_input_tokens": 5}
    answer = {"kind": "answer", "end": "whole", "model": "openai/gpt-4o-mini", "prompt_version": "p1", **used}
    first, second = await said(store)
    cost_usd = second.pop("cost_usd")
    assert [first, second] == [{"kind": "question", **about}, {**answer, **about}]
    assert 0.1 < cost_usd < 0.2
    assert SECRET not in json.dumps(await lines(store))


async def test_what_interrupted_attempts_used_is_recorded(worker: Process) -> None:
    store = await worker("w1")
    job = await begun(store)
    await store.worker_queue.heartbeat({job: StepEstimate(900, 30, "scripted/echo")})
    [again] = await taken_over(store, 1)
    other = await worker("w2")
    assert await other.worker_queue.release(again, estimate=StepEstimate(70, 7, "scripted/echo"))
    assert (await said(store, "end", "input_tokens"))[1:] == [
        {"end": "interrupted", "input_tokens": 900},
        {"end": "interrupted", "input_tokens": 70},
    ]


async def test_call_is_recorded_when_it_is_asked_for_decided_begun_and_over(store: Stores) -> None:
    job = await with_call(store, CALL)
    assert await store.recorded_calls.wait_for_decisions(job, None, None, store.clock.now())
    assert await store.approvals.decide(job.id, 0, CALL, Decision.APPROVED, "U2")
    job = await one(store)
    ready = replace(CALL, state=CallState.READY)
    assert await store.recorded_calls.begin_call(job, ready)
    done = replace(CALL, state=CallState.DONE, result=SECRET)
    assert await store.recorded_calls.end_call(job, done)
    call = {"tool": "notes__add", "version": 0, "step": 0, "index": 0, "user": "U1", "arguments_sha256": HASH}
    names = ("state", "decision", "by", *call)
    assert [line for line in await said(store, *names) if "tool" in line] == [
        {"state": "asked", **call},
        {"decision": "approved", "by": "U2", **call},
        {"state": "begun", **call},
        {"state": "done", **call},
    ]


async def test_name_that_a_model_made_up_for_a_tool_is_not_recorded(store: Stores) -> None:
    made_up = replace(CALL, tool=SECRET * 1_000, definition_hash="", state=CallState.FAILED)
    await with_call(store, made_up)
    [call] = [line for line in await said(store, "kind", "state", "tool", "index") if line["kind"] == "call"]
    assert call == {"kind": "call", "state": "failed", "index": 0}


@pytest.mark.parametrize("replied", [False, True])
async def test_call_that_nobody_approved_is_denied_by_its_time_or_a_reply(
    timed: Stores, clock: ManualClock, replied: bool
) -> None:
    job = await with_call(timed, CALL, replace(CALL, index=1))
    assert await timed.recorded_calls.wait_for_decisions(job, None, None, timed.clock.now())
    if replied:
        await enqueued(timed, asked(2))
    else:
        clock.now_s += 86_400
        assert await timed.approvals.expire() == 1
    decided = [line for line in await said(timed, "decision", "index", "by", "arguments_sha256") if "decision" in line]
    how = {"decision": "replied", "by": "U1"} if replied else {"decision": "expired"}
    assert decided == [{**how, "index": index, "arguments_sha256": HASH} for index in (0, 1)]


async def test_changed_settings_are_recorded_without_the_system_prompt(store: Stores) -> None:
    settings = ChannelSettings("openai/test", SECRET, new_posts=True, mcp_servers=("notes",))
    await store.channel_settings.write("T1", "C1", settings, "U1")
    await store.channel_settings.write("T1", "D1", ChannelSettings(), "U1")
    await store.approvals.allow_always(THREAD, CALL, "U2")
    await store.tool_pins.approve("notes__add", Pin("hash", SECRET))
    assert SECRET not in json.dumps(await lines(store))
    of_channel = ("model", "system_prompt", "new_posts", "mcp_servers")
    names = ("kind", "team", "setting", *of_channel, "tool", "definition", "channel", "user", "by")
    exported = await said(store, *names)
    prompt = {"system_prompt": prompt_version(SECRET), "new_posts": True, "mcp_servers": ["notes"]}
    setting = {"kind": "setting", "team": "T1"}
    assert exported == [
        {**setting, "setting": "channel", "model": "openai/test", **prompt, "channel": "C1", "by": "U1"},
        {**setting, "setting": "channel", "system_prompt": "", "new_posts": False, "mcp_servers": []}
        | {"channel": "D1", "by": "U1", "user": "U1"},
        {**setting, "setting": "always_allowed", "tool": "notes__add", "definition": "hash", "channel": "C1"}
        | {"by": "U2"},
        {"kind": "setting", "setting": "definition", "tool": "notes__add", "definition": "hash"},
    ]


async def test_entry_is_not_there_if_what_it_records_is_not(store: Stores) -> None:
    job = await begun(store)
    engine = store.database.engine.sync_engine
    sa.event.listen(engine, "commit", _fail)
    with pytest.raises(Exception, match="died before the commit"):
        await store.worker_queue.finish(job, DONE, YES)
    sa.event.remove(engine, "commit", _fail)
    assert await said(store, "kind") == [{"kind": "question"}]
    assert await store.worker_queue.finish(job, DONE, YES)
    assert await said(store, "kind") == [{"kind": "question"}, {"kind": "answer"}]


def _fail(_connection: sa.Connection) -> None:
    raise RuntimeError("died before the commit")


async def test_export_with_texts_has_what_is_still_stored_beside_each_entry(timed: Stores, clock: ManualClock) -> None:
    job = await with_call(timed, CALL, other := replace(CALL, index=1, arguments={"text": "Bread"}))
    assert await timed.approvals.decide(job.id, 0, CALL, Decision.DENIED, "U2")
    clock.now_s += 1
    assert await timed.worker_queue.finish(job, DONE, YES)
    assert await timed.question_queue.regenerate(job.id)
    clock.now_s += 1
    assert await timed.worker_queue.finish(await one(timed), DONE, "Second.")
    await enqueued(timed, asked(2, OTHER_THREAD, "Newer?"))
    exported = await timed.audit.page(1, 100, texts=True)
    add, bread = {"arguments": dict(CALL.arguments)}, {"arguments": dict(other.arguments)}
    assert [line.get("texts") for line in exported] == [
        *({"question": SECRET}, add, bread, None, add, {"answer": YES}, {"answer": "Second."}, {"question": "Newer?"}),
    ]
    without = [{name: value for name, value in line.items() if name != "texts"} for line in exported]
    assert await lines(timed) == without
    assert await timed.audit.page(exported[1]["id"], 2) == without[1:3]
    await timed.erasure.expire(clock.now_s + 1)
    assert [line["texts"] for line in await timed.audit.page(1, 100, texts=True) if "texts" in line] == [
        {"question": "Newer?"}
    ]


async def test_erased_person_is_gone_and_the_entries_stay(store: Stores) -> None:
    job = await with_call(store, CALL)
    assert await store.approvals.decide(job.id, 0, CALL, Decision.APPROVED, "U2")
    assert await store.worker_queue.finish(job, DONE, YES)
    before = await lines(store)
    await store.erasure.erase(user_id="U1")
    after = await lines(store)
    assert [line["id"] for line in after[:-1]] == [line["id"] for line in before]
    assert all(not {"user", "channel", "thread", "ts", "arguments_sha256"} & line.keys() for line in after)
    assert [line["by"] for line in after if "by" in line] == ["U2"], "who approved stays"
    await store.erasure.erase(user_id="U2")
    assert [line for line in await lines(store) if "by" in line] == []
    assert await said(store, "kind", "erased", "questions") == [
        *({"kind": line["kind"]} for line in before),
        {"kind": "erasure", "erased": "person", "questions": 1},
        {"kind": "erasure", "erased": "person", "questions": 0},
    ]


@pytest.mark.parametrize(
    ("erased", "left"),
    [
        ({"thread": THREAD}, ["D1", "C1"]),
        ({"thread": DIRECT}, ["C1", "C1"]),
        ({"user_id": "U1", "thread": THREAD}, ["D1", "C1"]),
        ({"user_id": "U2", "thread": THREAD}, ["C1", "D1", "C1"]),
        ({}, []),
    ],
    ids=str,
)
async def test_erased_thread_is_gone_and_others_stay(store: Stores, erased: dict[str, Any], left: list[str]) -> None:
    for number, thread in enumerate((THREAD, DIRECT, OTHER_THREAD)):
        await enqueued(store, asked(number, thread))
    await store.erasure.erase(**erased)
    exported = await lines(store)
    assert [line["channel"] for line in exported if "channel" in line] == left
    assert len(exported) == 4


async def test_answer_under_way_is_recorded_without_its_asker_once_it_was_erased(store: Stores) -> None:
    job = await with_call(store, replace(CALL, state=CallState.READY))
    assert await store.recorded_calls.begin_call(job, replace(CALL, state=CallState.READY))
    await store.erasure.erase(user_id="U1")
    assert await store.recorded_calls.end_call(job, replace(CALL, state=CallState.DONE))
    assert await store.worker_queue.finish(job, DONE, YES)
    exported = await lines(store)
    assert [line["end"] for line in exported if "end" in line] == ["stepped", "whole"]
    assert all("user" not in line and "arguments_sha256" not in line for line in exported)


async def test_deleted_answer_takes_the_hashes_of_its_arguments_along(store: Stores) -> None:
    job = await with_call(store, CALL)
    assert await store.worker_queue.finish(job, DONE, YES)
    await store.recorded_answers.delete(job.id, "U1")
    exported = await lines(store)
    assert [(line["kind"], line.get("user"), line.get("by")) for line in exported] == [
        ("question", "U1", None),
        ("call", None, None),
        ("answer", "U1", None),
        ("answer", "U1", None),
        ("erasure", "U1", "U1"),
    ]
    assert HASH not in json.dumps(exported)


async def test_entries_are_found_by_indexes(on_file: Process) -> None:
    store = await on_file("w1")
    await answered(store, 1)
    ran: list[tuple[str, tuple[Any, ...]]] = []

    # A file is read by connections of their own.
    @sa.event.listens_for(sa.Engine, "before_cursor_execute")
    def note(_connection: object, _cursor: object, statement: str, given: Any, _context: object, many: bool) -> None:
        if "audit_entries" in statement and not statement.startswith("INSERT"):
            ran.append((statement, tuple(given[0] if many else given)))

    await store.audit.first_id_since(1.0)
    await store.audit.page(1, 10)
    await store.erasure.expire_audit(SystemClock().now() + 1)
    await store.recorded_answers.delete(1, "U1")
    await store.erasure.erase(user_id="U1")
    await store.erasure.erase(thread=THREAD)
    sa.event.remove(sa.Engine, "before_cursor_execute", note)
    async with store.database.engine.connect() as connection:
        for statement, given in ran:
            plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", given)
            assert not [row for row in plan if row[-1] == "SCAN audit_entries"], statement
    assert {statement.split(maxsplit=1)[0] for statement, _ in ran} == {"SELECT", "UPDATE", "DELETE"}


async def test_oldest_entries_go(timed: Stores, clock: ManualClock) -> None:
    for number in (1, 2, 3):
        await answered(timed, number)
        clock.now_s += 10
    before = await lines(timed)
    assert await timed.erasure.expire_audit(clock.now_s - 20) == 2
    assert await lines(timed) == before[2:]
    assert await timed.audit.first_id_since(clock.now_s - 20) == before[2]["id"]
    assert await timed.erasure.expire_audit(clock.now_s - 20) == 0
    assert await timed.erasure.expire_audit(clock.now_s) == 4
    assert await timed.audit.first_id_since(0.0) is None
    await answered(timed, 4)
    assert [line["id"] for line in await lines(timed)] == [7, 8], "an id is never used again"


async def test_sign_ins_that_servers_did_not_renew_are_counted_by_server(timed: Stores, clock: ManualClock) -> None:
    since = clock.now_s
    ends = [("jira", "ended"), ("jira", "signed_out"), ("wiki", "ended"), ("jira", "ended")]
    for number, (server, why) in enumerate(ends):
        owner = Owner("T1", f"U{number}", server)
        await timed.accounts.sign_in(owner, f"secret {number}", "")
        assert await timed.accounts.delete_account(owner, f"secret {number}", why)
        clock.now_s += 60.0
    count = timed.audit.count_ended_sign_ins
    assert await count("T1", since, clock.now_s) == {"jira": 2, "wiki": 1}
    assert await count("T1", since + 60.0, clock.now_s - 60.0) == {"wiki": 1}
    assert await count("T2", since, clock.now_s) == {}
