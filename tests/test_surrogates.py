"""Text of JSON that UTF-8 can encode."""

import json

from bot.text import with_joined_surrogates


def test_strings_in_json_are_repaired_at_any_depth() -> None:
    body = json.loads(r'{"a\ud83d": [{"text": "\ud83d\ude00 \ud83d"}, 1, null, true]}')
    assert with_joined_surrogates(body) == {"a\ufffd": [{"text": "😀 \ufffd"}, 1, None, True]}
