"""Text of JSON, and that surrogates are repaired in linear time."""

import json

import pytest

from benchmarks.hostile import milliseconds
from bot.text import paired_json
from slack_markdown.growing_text import paired


@pytest.mark.parametrize("repeated", ["\ud83d", "?\ud83d", "\0\ude00", "\ud83d\ude00\ud83d"])
def test_many_lone_halves_take_about_as_long_as_one(repeated: str) -> None:
    one, many = "😀" * 300_000 + "\ud83d", repeated * (300_000 // len(repeated))
    assert milliseconds(paired, many) < 5 * max(milliseconds(paired, one), 1.0)


def test_strings_in_json_are_repaired_at_any_depth() -> None:
    body = json.loads(r'{"a\ud83d": [{"text": "\ud83d\ude00 \ud83d"}, 1, null, true]}')
    assert paired_json(body) == {"a\ufffd": [{"text": "😀 \ufffd"}, 1, None, True]}
