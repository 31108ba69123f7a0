"""Arguments of calls: only what every reader of JSON understands alike is called with, so what is approved is sent."""

from collections.abc import Mapping
from typing import Any

import pytest

from bot.models.calls import ChatToolCalls, parse_call

DEEP = '{"a": ' + "[" * 200 + "]" * 200 + "}"


@pytest.mark.parametrize(
    "arguments",
    [
        '{"n": 1e999}',
        '{"n": -1e400}',
        '{"n": NaN}',
        '{"n": Infinity}',
        '{"deep": [{"n": -Infinity}]}',
        '{"n": 9007199254740993}',
        '{"n": -9007199254740993}',
        '{"n": 123456789012345678901234567890}',
        '{"n": 1' + "0" * 5_000 + "}",
        '{"to": "ada", "to": "eve"}',
        '{"in": [{"a": 1, "a": 1}]}',
        '{"to": 1, "\\u0074o": 2}',
        DEEP,
        DEEP.replace("[", "[" * 500).replace("]", "]" * 500),
        {"n": float("inf")},
        {"n": float("nan")},
        {"in": [2**53 + 1]},
        {"when": b"now"},
    ],
    ids=lambda arguments: str(arguments)[:40],
)
def test_arguments_that_another_reader_may_change_are_refused(arguments: str | Mapping[str, Any]) -> None:
    assert parse_call(0, "c1", "pay__send", arguments).arguments is None


@pytest.mark.parametrize(
    ("arguments", "parsed"),
    [
        ('{"n": 9007199254740992}', {"n": 2**53}),
        ('{"n": 18014398509481984}', {"n": 2**54}),
        ('{"n": 1e308, "m": -0.1}', {"n": 1e308, "m": -0.1}),
        ('{"n": "9007199254740993"}', {"n": "9007199254740993"}),
        ({"a": [1, {"b": True}], "c": None}, {"a": [1, {"b": True}], "c": None}),
        ('{"a": "one\ntwo\t"}', {"a": "one\ntwo\t"}),
        ("null", {}),
        ("", {}),
    ],
)
def test_other_arguments_are_taken_as_they_are(arguments: object, parsed: Mapping[str, Any]) -> None:
    assert parse_call(0, "c1", "pay__send", arguments).arguments == parsed


def test_data_beside_a_call_is_collected_from_all_its_pieces() -> None:
    calls = ChatToolCalls()
    calls.add({"index": 0, "id": "c1", "function": {"name": "add"}, "extra_content": {"google": {"signature": "s"}}})
    calls.add({"index": 0, "function": {"arguments": "{}"}, "provider_data": "p"})
    calls.add({"index": 0, "function": {"arguments": ""}})
    calls.add({"index": 1, "id": "c2", "function": {"name": "list", "arguments": "{}"}})
    assert calls.extra_fields() == [{"extra_content": {"google": {"signature": "s"}}, "provider_data": "p"}, {}]
