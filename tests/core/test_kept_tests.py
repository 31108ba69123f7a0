"""What is proposed as a test of an answer, and which other answers pass it."""

import time
from dataclasses import replace

import pytest

from bot.core.calls import CallState, Decision, RecordedCall
from bot.core.kept_tests import MAX_CHECKS, MAX_PROPOSED, Check, CheckKind, proposed_checks

LIST = RecordedCall(0, 0, "", "notes__list", {}, "hash", CallState.DONE, read_only=True)


def proposed(text: str, *calls: RecordedCall) -> list[str]:
    """Returns the preselected checks."""
    checks, preselected = proposed_checks(text, calls)
    return [f"{check.kind} {check.value}".strip() for check in checks[:preselected]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("You have 28 days of leave.", ["word 28", "max_words 10"]),
        ("1. Run `make init`.\n2. Wait **ten minutes**.", ["word make init", "word ten minutes", "max_words 20"]),
        ("See [the handbook](https://wiki.example/leave).", ["link https://wiki.example/leave", "max_words 10"]),
        ("Which office do you mean?", ["asks", "max_words 10"]),
        ("I couldn't find anything in 12 documents.", ["unknown", "max_words 20"]),
        ("It costs $1,200 since 2026.", ["word 1,200", "word 2026", "max_words 10"]),
        ("Hello there.", ["max_words 10"]),
        ("word " * 40, ["max_words 70"]),
    ],
)
def test_facts_states_and_length_of_an_answer_are_proposed(text: str, said: list[str]) -> None:
    assert proposed(text) == said


def test_tools_that_a_replay_can_call_are_proposed() -> None:
    assert proposed("Tea.", LIST, LIST) == ["tool notes__list", "max_words 10"]


def test_facts_that_a_tool_returned_are_preselected_before_others() -> None:
    text = "As of 2026, in 3 steps: it takes 28 days."
    assert proposed(text, replace(LIST, result="28 days"))[1:] == ["word 28", "max_words 20"]
    assert proposed(text)[:2] == ["word 2026", "word 3"]


@pytest.mark.parametrize(
    "change",
    [
        {"read_only": False},
        {"uses_own_account": True},
        {"decision": Decision.APPROVED},
        {"state": CallState.FAILED},
        {"tool": "slack__search"},
        {"tool": "read_channel__read_channel"},
    ],
)
def test_tools_that_a_replay_cant_call_are_not_proposed(change: dict[str, object]) -> None:
    fields = {name: getattr(LIST, name) for name in ("state", "read_only", "tool")} | change
    other = RecordedCall(0, 0, "", fields.pop("tool"), {}, "hash", **fields)
    assert proposed("Tea.", other) == ["max_words 10"]


def test_answer_passes_all_that_is_proposed_from_it() -> None:
    text = "**A** `b` 1 2 3 4 5 6 https://a.example/x. https://b.example I don't know. Which one?"
    checks, preselected = proposed_checks(text, [LIST])
    assert (len(checks), preselected) == (MAX_PROPOSED, MAX_CHECKS)
    assert len({check.key for check in checks}) == MAX_PROPOSED
    assert all(check.passes(text, {"notes__list"}) for check in checks)


@pytest.mark.parametrize(
    ("kind", "value", "passes", "fails"),
    [
        ("word", "12", "It's a 12-day trip", "It's 112 or 12.5 or 12/5"),
        ("word", "1,200", "**1200** dollars", "1,201 dollars"),
        ("word", "make init", "Run `Make Init` now", "Run makeinit"),
        ("word", "2026-12-01", "on 2026-12-01.", "on 2026-12-011"),
        ("word", "99.5%", "(99.5%)", "99.5 percent"),
        ("link", "https://a.example/b", "<https://a.example/b>, or", "https://a.example/bc"),
        ("asks", "", "Sure. Which one? ", "Which one? That one."),
        ("unknown", "", "I’m not sure.", "It is sure."),
        ("unknown", "", "Sorry, I could not find that.", "I found that."),
        ("max_words", "3", "One two three", "One two three four"),
    ],
)
def test_check_is_about_facts_and_not_about_wording(kind: str, value: str, passes: str, fails: str) -> None:
    check = Check(CheckKind(kind), value)
    assert (check.passes(passes, ()), check.passes(fails, ())) == (True, False)


def test_tool_must_have_been_called() -> None:
    check = Check(CheckKind.TOOL, "notes__list")
    assert (check.passes("", {"notes__list"}), check.passes("notes__list", ())) == (True, False)


@pytest.mark.parametrize("part", ["1.", "**", "`", "1,000 ", "**a** ", "https://a.example ", "no ", "\u00a0", "1 "])
def test_long_answers_are_read_in_linear_time(part: str) -> None:
    began = time.process_time()
    checks, _ = proposed_checks(part * (200_000 // len(part)), ())
    assert checks
    assert time.process_time() - began < 5.0
