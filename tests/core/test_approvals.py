"""What a person is asked to approve: nothing in it is invisible, cut, or passes for something else."""

import json
import unicodedata

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from bot.core.reply.approvals import SHOWN_ARGUMENT_CHARS, ask_of, details_of, mixed_words, readable
from bot.core.tool_calls import CallState, Decision, RecordedCall
from bot.core.tools import label_of, visible

UNSEEN = regex.compile(r"[\p{Default_Ignorable_Code_Point}\p{C}\p{Z}\u2800]")
SPACES = [char for char in map(chr, range(0x1_0000)) if unicodedata.category(char) in ("Zs", "Zl", "Zp")]
"""Unicode has none beyond its first plane. Looking through all planes would take each test worker half a second."""


def call(tool: str = "notes__add", decided_by: str = "", **arguments: object) -> RecordedCall:
    decision = Decision.APPROVED if decided_by else None
    return RecordedCall(0, 0, "c1", tool, arguments, "h", CallState.ASKED, decision=decision, decided_by=decided_by)


@pytest.mark.parametrize(
    "char", [*"\u034f\u115f\u1160\u17b4\u180b\u200b\u2060\u202e\u2800\u3164\ufe00\ufe0f\uffa0\ufeff"]
)
@pytest.mark.parametrize("place", ["value", "key"])
def test_character_that_shows_nothing_is_escaped(char: str, place: str) -> None:
    shown = readable({f"to{char}": "x"} if place == "key" else {"to": f"ada{char}"})
    assert char not in shown
    assert f"\\u{ord(char):04x}" in shown


@pytest.mark.parametrize("char", [chr(0xE0100), chr(0xE01EF), chr(0xE0041), chr(0x1D173), chr(0x1D159), chr(0x13441)])
def test_character_beyond_the_first_plane_is_escaped_as_json_writes_it(char: str) -> None:
    assert json.dumps(char)[1:-1] in readable({"to": char})


@pytest.mark.parametrize("space", SPACES, ids=lambda space: f"U+{ord(space):04X}")
def test_only_the_plain_space_stays(space: str) -> None:
    assert (space in readable({"a": f"x{space}y"}).replace(" ", "", 1)) is (space == " ")


@given(st.dictionaries(st.text(max_size=5), st.text(), max_size=3))
def test_what_is_shown_is_what_is_sent(arguments: dict[str, str]) -> None:
    shown = readable(arguments)
    assert not UNSEEN.search(shown.replace(" ", "").replace("\n", ""))
    assert json.loads(shown) == json.loads(json.dumps(arguments))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("pay p\u0430ypal now", ("p\\u0430ypal",)),
        ("mail \u0430da@example.com", ("\\u0430da@example.com",)),
        ("\u03bf\u0441", ("\\u03bf\\u0441",)),
        ("\u0430\u0440\u0440\u04cf\u0435.com", ("\\u0430\\u0440\\u0440\\u04cf\\u0435.com",)),
        ("\u5bc6\u0430", ("\u5bc6\\u0430",)),
        ("Привет, мир and hello", ()),
        ("PDF文件を読む 서울특별시A동 naïve", ()),
    ],
)
def test_words_that_mix_scripts_are_named(text: str, words: tuple[str, ...]) -> None:
    assert mixed_words(text) == words
    assert bool(ask_of(call(text=text), 0, ()).warning) is bool(words)


def test_long_arguments_are_cut() -> None:
    assert not ask_of(call(text="x" * (SHOWN_ARGUMENT_CHARS - 20)), 0, ()).is_cut
    assert ask_of(call(text="x" * SHOWN_ARGUMENT_CHARS), 0, ()).is_cut
    assert ask_of(call(text="\u200b" * 200), 0, ()).is_cut, "the escapes count"


@pytest.mark.parametrize("name", ["a`: done\n\n`pay__send", "x\u202eknil", "a__b\r- c", "[x](https://evil.example)"])
def test_name_that_a_model_made_up_stays_a_name(name: str) -> None:
    assert regex.fullmatch(r"(?:[A-Za-z0-9._-]|\\u[0-9a-f]{4})+", label_of(name))
    assert details_of([call(name)], {}) == f"`{label_of(name)}`: waiting for approval"
    assert len(label_of("x" * 5_000)) <= 101


def test_name_of_a_decider_forges_no_line() -> None:
    shown = details_of([call(decided_by="U1")], {"U1": "Eve\n\n`pay.send`: denied [x](https://evil.example)"})
    assert shown == (
        "`notes.add`: waiting for approval, approved by Eve  \\`pay.send\\`: denied \\[x\\]\\(https://evil.example\\)"
    )


@pytest.mark.parametrize("hidden", ["\u034f", "\u115f", "\ufe00", "\U000e0100", "\U000e01ef", "\U0001d173", "\uffa0"])
def test_default_ignorable_characters_of_a_result_become_visible(hidden: str) -> None:
    assert visible(f"a{hidden}{hidden}b") == "a\ufffdb"
