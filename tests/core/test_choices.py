"""Choices that a model offers: what it may offer, what it reads otherwise, and what is shown."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from bot.core.choices import (
    LABEL_CHARS,
    MAX_CHOICE_CHARS,
    MAX_CHOICES,
    MAX_QUESTION_CHARS,
    TOOL_NAME,
    Choices,
    button_value,
    choice_list,
    choice_of_button,
    mark_choice,
    offered_choices,
    without_choice_list,
)
from bot.models.events import ToolCall

QUESTION = "Which environment?"


def call(name: str = TOOL_NAME, **arguments: Any) -> ToolCall:
    return ToolCall(0, "call_1", name, arguments)


def test_question_and_choices_become_a_text_with_a_list() -> None:
    choices = offered_choices([call(question=f" {QUESTION} ", choices=["Staging", " Production,\n all  regions"])])
    assert choices == Choices(QUESTION, ("Staging", "Production, all regions"))
    assert choices.markdown == f"{QUESTION}\n\n1. Staging\n2. Production, all regions"


@pytest.mark.parametrize("choices", [["Yes"], ["1", "2", "3", "4", "5"], ["x" * MAX_CHOICE_CHARS]])
@pytest.mark.parametrize("written", [list, json.dumps])
def test_one_to_five_choices_may_be_offered(choices: list[str], written: Callable[[list[str]], Any]) -> None:
    assert offered_choices([call(question=QUESTION, choices=written(choices))]) == Choices(QUESTION, tuple(choices))


def test_list_goes_where_buttons_show_each_choice_and_comes_back_with_a_mark() -> None:
    short, long = ("Staging", "x" * LABEL_CHARS), ("Staging", "x" * (LABEL_CHARS + 1))
    text = f"I can.\n\n{Choices(QUESTION, short).markdown}"
    assert without_choice_list(text, short).rstrip() == f"I can.\n\n{QUESTION}"
    assert without_choice_list(Choices(QUESTION, long).markdown, long) == Choices(QUESTION, long).markdown
    assert mark_choice(text, "Staging", "✓") == text.replace("1. Staging", "1. Staging ✓")
    assert mark_choice(text, "Nowhere", "✓") == text


def test_each_of_the_most_choices_is_marked_and_no_line_above_them() -> None:
    names = tuple(f"Region {number}" for number in range(1, MAX_CHOICES + 1))
    text = f"1. Elsewhere\n{choice_list(names)}"
    assert [mark_choice(text, name, "✓") for name in names] == [text.replace(name, f"{name} ✓") for name in names]
    assert mark_choice(text, "Elsewhere", "✓") == text


def test_characters_that_hide_or_reorder_text_are_seen_in_a_question_and_a_choice() -> None:
    choices = offered_choices([call(question="Which\u202e?\u200b", choices=["Keep\u202e it\u200b"])])
    assert choices == Choices("Which\ufffd?\ufffd", ("Keep\ufffd it\ufffd",))


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"choices": ["Yes"]}, "the question must be"),
        ({"question": " ", "choices": ["Yes"]}, "the question must be"),
        ({"question": ["Why?"], "choices": ["Yes"]}, "the question must be"),
        ({"question": "x" * (MAX_QUESTION_CHARS + 1), "choices": ["Yes"]}, "the question must be"),
        ({"question": QUESTION}, "a list of one to 5 texts"),
        ({"question": QUESTION, "choices": "Yes"}, "a list of one to 5 texts"),
        ({"question": QUESTION, "choices": []}, "a list of one to 5 texts"),
        ({"question": QUESTION, "choices": list("abcdef")}, "a list of one to 5 texts"),
        ({"question": QUESTION, "choices": ["Yes", 2]}, "a list of one to 5 texts"),
        ({"question": QUESTION, "choices": ["Yes", " \n"]}, "a choice is empty"),
        ({"question": QUESTION, "choices": ["Yes", " yes"]}, "a choice comes twice"),
        ({"question": QUESTION, "choices": ["x" * (MAX_CHOICE_CHARS + 1)]}, "a choice is longer than 200"),
    ],
)
def test_model_reads_why_nothing_was_offered(arguments: dict[str, Any], why: str) -> None:
    problem = offered_choices([call(**arguments)])
    assert why in str(problem)


def test_choices_are_not_offered_beside_other_calls_or_with_broken_arguments() -> None:
    offer = call(question=QUESTION, choices=["Yes"])
    beside = [
        offered_choices([offer, call("notes__add")]),
        offered_choices([call("notes__add"), offer]),
        offered_choices([offer, offer]),
    ]
    assert all(isinstance(problem, str) and "no other tool" in problem for problem in beside)
    assert "the question must be" in str(offered_choices([ToolCall(0, "call_1", TOOL_NAME, None, '{"question":')]))


@pytest.mark.parametrize("value", ["1.1", "0.2", "0.-1", "", "0", "x"])
def test_button_of_another_version_or_place_names_no_choice(value: str) -> None:
    choices = ("Staging", "Production")
    assert choice_of_button(button_value(0, 1), 0, choices) == "Production"
    assert choice_of_button(value, 0, choices) is None
