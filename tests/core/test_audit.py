"""Entries of the audit say what happened, without texts, and are written in one form."""

from dataclasses import replace
from typing import Any

import pytest

from bot.core.audit import (
    Entry,
    EntryKind,
    Subject,
    answer_entry,
    arguments_hash,
    call_entry,
    canonical_json,
    json_line,
    question_entry,
    time_text,
)
from bot.core.calls import CallState, RecordedCall
from bot.core.conversation import File, Question, ThreadKey
from bot.core.job import Job


def test_question_without_files_by_a_person_has_no_facts() -> None:
    question = Question(ThreadKey("T1", "D1", None), "1.2", "U1", "Why?")
    assert question_entry(question, 7).facts == {}
    assert question_entry(replace(question, is_from_bot=True), 7, edited=True).facts == {"bot": True, "edited": True}


def test_line_begins_with_id_time_and_people_and_ends_with_hash_and_texts() -> None:
    line = {
        "texts": {},
        "tool": "notes__add",
        "arguments_sha256": "ab",
        "by": "U2",
        "user": "U1",
        "kind": "call",
        "id": 1,
        "at": "now",
        "account": "own",
        "ts": "2.5",
        "channel": "C1",
        "thread": "1.5",
        "job": 7,
        "team": "T1",
    }
    assert json_line(line) == (
        '{"id":1,"at":"now","kind":"call","team":"T1","job":7,"user":"U1","channel":"C1","thread":"1.5","ts":"2.5",'
        '"by":"U2","account":"own","tool":"notes__add","arguments_sha256":"ab","texts":{}}'
    )


ASKED = Question(ThreadKey("T1", "C1", "1.5"), "2.5", "U1", "Why?", (File("F1", "a"), File("F2", "b")))
ASKER = Subject("U1", "C1", "1.5", "2.5")


def test_question_is_on_record_with_who_asked_it_where() -> None:
    assert question_entry(ASKED, 7) == Entry(EntryKind.QUESTION, {"files": 2}, "T1", 7, ASKER)
    assert ASKER.exported_fields == {"user": "U1", "channel": "C1", "thread": "1.5", "ts": "2.5"}
    direct = replace(ASKED, thread=ThreadKey("T1", "D1", None))
    assert question_entry(direct, 7).subject.exported_fields == {"user": "U1", "channel": "D1", "ts": "2.5"}


USED = {"model": "m", "prompt_version": "v", "input_tokens": 5, "output_tokens": 6, "cached_input_tokens": 2}


@pytest.mark.parametrize(
    ("turn", "facts"),
    [
        ({**USED, "web_searches": 3, "cost_usd": 0.5}, {**USED, "web_searches": 3, "cost_usd": 0.5}),
        ({**USED, "web_searches": 0, "cost_usd": 0.0}, {**USED, "cost_usd": 0.0}),
        ({"model": None, "input_tokens": None, "cost_usd": None, "text": "Because."}, {}),
    ],
)
def test_answer_is_on_record_with_what_it_used(turn: dict[str, Any], facts: dict[str, Any]) -> None:
    entry = answer_entry(ASKED, 7, {"end_reason": "whole", **turn})
    assert entry == Entry(EntryKind.ANSWER, {"end": "whole", **facts}, "T1", 7, ASKER)


@pytest.mark.parametrize(
    ("changes", "facts"),
    [
        ({}, {"tool": "notes__add"}),
        ({"uses_own_account": True}, {"tool": "notes__add", "account": "own"}),
        ({"definition_hash": ""}, {}),
    ],
)
def test_call_is_on_record_with_its_tool_only_if_the_model_was_offered_it(
    changes: dict[str, Any], facts: dict[str, Any]
) -> None:
    call = RecordedCall(2, 1, "c1", "notes__add", {"b": 1, "a": "é"}, "h", CallState.BEGUN)
    entry = call_entry(Job(7, ASKED, 1, version=3), replace(call, **changes))
    whole = {"state": "begun", "version": 3, "step": 2, "index": 1, **facts}
    assert entry == Entry(
        EntryKind.CALL, whole, "T1", 7, replace(ASKER, arguments_hash=arguments_hash({"a": "é", "b": 1}))
    )


def test_values_and_times_are_written_in_one_form() -> None:
    assert canonical_json({"b": [1, None], "a": "é"}) == '{"a":"\\u00e9","b":[1,null]}'
    assert arguments_hash({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    assert time_text(1_795_168_800.000001) == "2026-11-20T10:00:00.000001Z"
