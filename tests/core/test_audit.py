"""Entries of the audit say what happened, without texts, and are written in one form."""

from dataclasses import replace

from bot.core.audit import question_entry, written
from bot.core.conversation import Question, ThreadKey


def test_question_without_files_by_a_person_has_no_facts() -> None:
    question = Question(ThreadKey("T1", "D1", None), "1.2", "U1", "Why?")
    assert question_entry(question, 7).facts == {}
    assert question_entry(replace(question, from_bot=True), 7, edited=True).facts == {"bot": True, "edited": True}


def test_line_begins_with_id_time_and_people_and_ends_with_hash_and_texts() -> None:
    line = {
        "texts": {},
        "tool": "notes__add",
        "arguments_sha256": "ab",
        "by": "U2",
        "user": "U1",
        "kind": "call",
        "id": 1,
    }
    assert written(line) == (
        '{"id":1,"kind":"call","user":"U1","by":"U2","tool":"notes__add","arguments_sha256":"ab","texts":{}}'
    )
