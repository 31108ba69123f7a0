"""What Slack's JSON holds: a value of another type counts as none."""

from typing import Any

import pytest

from bot.slack.json_values import (
    count,
    json_object,
    json_objects,
    messages_in,
    next_cursor,
    string,
    strings,
    utc_text,
)

OTHERS: tuple[Any, ...] = (None, 0, 7, 0.5, "", "a", [], [7, "a", None, {"b": 1}], {}, {"b": 1})
READ: dict[str, tuple[Any, Any, list[Any]]] = {
    # What reads, what it returns of no value, and what of each value above.
    "a text": (string, "", ["", "", "", "", "", "a", "", "", "", ""]),
    "texts": (strings, [], [[], [], [], [], [], [], [], ["a"], [], []]),
    "a number": (count, 0, [0, 0, 7, 0, 0, 0, 0, 0, 0, 0]),
    "an object": (json_object, {}, [{}, {}, {}, {}, {}, {}, {}, {}, {}, {"b": 1}]),
    "objects": (json_objects, [], [[], [], [], [], [], [], [], [{"b": 1}], [], []]),
}


@pytest.mark.parametrize(("read", "nothing", "found"), READ.values(), ids=READ.keys())
def test_value_of_another_type_counts_as_none(read: Any, nothing: Any, found: list[Any]) -> None:
    assert [read({"key": value, "other": "b"}, "key") for value in OTHERS] == found
    assert read({"other": "b"}, "key") == nothing


def test_negative_number_counts_as_none() -> None:
    assert [count({"key": value}, "key") for value in (-1, 1)] == [0, 1]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        ("1795168800.000001", "2026-11-20 10:00 UTC"),
        ("0", "1970-01-01 00:00 UTC"),
        ("soon", ""),
        ("", ""),
        ("1e400", ""),
        ("nan", ""),
        ("9" * 18, ""),
    ],
)
def test_time_is_shown_in_utc_unless_it_is_none(seconds: str, shown: str) -> None:
    assert utc_text(seconds) == shown


def test_message_has_a_ts_and_the_last_page_no_cursor() -> None:
    page = {"messages": [{"ts": "1.0"}, {"ts": ""}, {}, "?", {"ts": 2.0}, {"ts": "3.0", "text": ""}]}
    assert messages_in(page) == [{"ts": "1.0"}, {"ts": "3.0", "text": ""}]
    assert next_cursor(page) == ""
    assert next_cursor({**page, "response_metadata": {"next_cursor": "b2"}}) == "b2"
