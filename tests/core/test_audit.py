"""The chain of the audit: whatever is changed, inserted, left out or erased by hand shows, and real erasure doesn't."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.audit import SUBJECT_FIELDS, AuditBroken, Verified, digest, hash_of, question_entry, verify, written
from bot.core.conversation import Question, ThreadKey

SALT = "0f" * 16


def line(no: int, previous: str, **fields: Any) -> dict[str, Any]:
    """Returns an entry with its digests and its hash."""
    entry: dict[str, Any] = {"no": no, "at": "2026-11-22T08:00:00.000001Z", "kind": "call", "team": "T1", "job": 7}
    entry |= fields
    about = {name: str(entry[name]) for name in SUBJECT_FIELDS if name in entry}
    if about:
        entry |= {"user_salt": SALT, "user_digest": digest(SALT, about)}
    if "by" in entry:
        entry |= {"by_salt": SALT, "by_digest": digest(SALT, {"by": entry["by"]})}
    entry["previous"] = previous
    return entry | {"hash": hash_of(entry)}


def chain(*entries: dict[str, Any], first: int = 1) -> list[str]:
    """Returns an export of these entries."""
    lines: list[dict[str, Any]] = []
    for no, entry in enumerate(entries, first):
        lines.append(line(no, lines[-1]["hash"] if lines else "", **entry))
    return [written(each) for each in lines]


ASKED = {"user": "U1", "channel": "C1", "thread": "1.1", "ts": "1.2", "cost_usd": 0.00025, "tool": "notes__add"}
DECIDED = {"user": "U1", "channel": "C1", "arguments_sha256": "ab" * 32, "by": "U2", "decision": "approved"}
EXPORT = chain(ASKED, DECIDED, {"setting": "channel", "mcp_servers": ["a", "b"], "by": "U3"})
BYTES = "\n".join(EXPORT).encode()


def verified(exported: bytes, kept_hash: str = "") -> Verified:
    return verify([part.decode("ascii", "replace") for part in exported.split(b"\n")], kept_hash)


def changed(number: int, **fields: Any) -> list[str]:
    """Returns the export with other fields in one line; None removes a field."""
    entry = json.loads(EXPORT[number]) | fields
    lines = list(EXPORT)
    lines[number] = written({name: value for name, value in entry.items() if value is not None})
    return lines


def test_export_as_it_was_written_is_unbroken() -> None:
    found = verified(BYTES)
    assert (found.entries, found.first["no"], found.last["no"], found.erased) == (3, 1, 3, 0)
    assert verify([]) == Verified()


@pytest.mark.parametrize("mask", [0x01, 0x20, 0x80])
def test_every_changed_byte_is_found(mask: int) -> None:
    for at in range(len(BYTES)):
        other = bytearray(BYTES)
        other[at] ^= mask
        with pytest.raises(AuditBroken):
            verified(bytes(other))


@given(at=st.integers(0, len(BYTES) - 1), byte=st.integers(0, 255), instead=st.booleans())
def test_every_inserted_or_replaced_byte_is_found(at: int, byte: int, instead: bool) -> None:
    other = BYTES[:at] + bytes([byte]) + BYTES[at + instead :]
    if other != BYTES:
        with pytest.raises(AuditBroken):
            verified(other)


@pytest.mark.parametrize(
    ("lines", "number"),
    [
        ([EXPORT[0], EXPORT[2]], 2),
        ([EXPORT[1], EXPORT[0]], 2),
        ([EXPORT[0], EXPORT[0]], 2),
        ([*EXPORT, EXPORT[0]], 4),
        ([EXPORT[0], *chain(DECIDED, DECIDED)[1:]], 2),
        (chain({**ASKED, "tool": "notes__list"})[:1] + EXPORT[1:], 2),
        (changed(1, decision="denied"), 2),
        (changed(1, by="U9"), 2),
        (changed(1, by=None), 2),
        (changed(1, by_salt=None), 2),
        (changed(1, channel=None), 2),
        (changed(1, by_digest=None, by=None, by_salt=None), 2),
        (changed(0, by="U9"), 1),
        (changed(2, note="more"), 3),
        ([EXPORT[0].replace('"kind"', '"job":8,"kind"'), *EXPORT[1:]], 1),
        ([EXPORT[0].replace("0.00025", "0.000250"), *EXPORT[1:]], 1),
        (changed(1, by="\ud800", by_salt="\ud800"), 2),
        (changed(1, by_salt=[1], by={"a": None}), 2),
        (["[]"], 1),
        (["[" * 100_000], 1),
        (['{"no":1}'], 1),
        ([EXPORT[0], ""], 2),
    ],
)
def test_the_first_wrong_line_is_named(lines: Sequence[str], number: int) -> None:
    with pytest.raises(AuditBroken, match=f"^Line {number}: "):
        verify(lines)


def test_erased_fields_leave_the_chain_and_are_counted() -> None:
    about = dict.fromkeys(("user", "channel", "arguments_sha256", "user_salt"))
    assert verify(changed(1, **about)).erased == 1
    assert verify(changed(1, by=None, by_salt=None)).erased == 1
    assert verify(changed(1, **about, by=None, by_salt=None)).erased == 1


def test_texts_are_not_covered() -> None:
    assert verify(changed(0, texts={"question": "Why?"})).entries == 3


def test_kept_hash_shows_that_an_export_goes_on_from_an_earlier_one() -> None:
    earlier = verify(EXPORT[:2]).last["hash"]
    assert verify(EXPORT, earlier).has_kept_hash
    assert verify(EXPORT[2:], earlier).has_kept_hash, "its own entry was too old to keep"
    rewritten = chain({**ASKED, "tool": "notes__list"}, DECIDED, {"setting": "channel"})
    assert not verify(rewritten, earlier).has_kept_hash
    assert not verify(EXPORT[:1], earlier).has_kept_hash


def test_question_without_files_by_a_person_has_no_facts() -> None:
    question = Question(ThreadKey("T1", "D1", None), "1.2", "U1", "Why?")
    assert question_entry(question, 7).facts == {}
    assert question_entry(replace(question, from_bot=True), 7, edited=True).facts == {"bot": True, "edited": True}
