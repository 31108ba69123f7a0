"""What a person is asked to approve: nothing in it is invisible, cut, or passes for something else."""

import json
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import takewhile

import pytest
import regex
from hypothesis import example, given
from hypothesis import strategies as st

from bot.core import texts
from bot.core.asks import (
    INLINE_CHARS,
    MAX_ARGUMENT_CHARS,
    MAX_DEPTH,
    MAX_EDITABLE,
    MAX_EDITED_CHARS,
    SHOWN_ARGUMENT_CHARS,
    ApprovalCard,
    ArgumentField,
    activity_of,
    approval_card,
    approval_cards,
    argument_fields,
    button_value,
    call_details,
    call_of_button,
    can_be_shown,
    mixed_script_words,
    readable_json,
    with_edited_strings,
)
from bot.core.calls import (
    MAX_CLAIM_CHARS,
    MAX_TITLE_CHARS,
    REMEMBER,
    SCHEDULE,
    SIGN_IN,
    CallState,
    Claims,
    Decision,
    RecordedCall,
    accepted_proposals,
    card_types,
    claims_of_definition,
    decisions_by_button,
    tool_label,
    tool_title,
)
from bot.mcp.definitions import ListedTool
from bot.reply import blocks as reply_blocks
from bot.reply.messages import PageView
from bot.slack import cards
from bot.slack.views.arguments import arguments_modal
from slack_pacing.carriers import STREAM_BYTES
from slack_sandbox.blocks.rules import check_blocks

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
    shown = readable_json({f"to{char}": "x"} if place == "key" else {"to": f"ada{char}"})
    assert char not in shown
    assert f"\\u{ord(char):04x}" in shown


@pytest.mark.parametrize("char", [chr(0xE0100), chr(0xE01EF), chr(0xE0041), chr(0x1D173), chr(0x1D159), chr(0x13441)])
def test_character_beyond_the_first_plane_is_escaped_as_json_writes_it(char: str) -> None:
    assert json.dumps(char)[1:-1] in readable_json({"to": char})


@pytest.mark.parametrize("space", SPACES, ids=lambda space: f"U+{ord(space):04X}")
def test_only_the_plain_space_stays(space: str) -> None:
    assert (space in readable_json({"a": f"x{space}y"}).replace(" ", "", 1)) is (space == " ")


@given(st.dictionaries(st.text(max_size=5), st.text(), max_size=3))
def test_what_is_shown_is_what_is_sent(arguments: dict[str, str]) -> None:
    shown = readable_json(arguments)
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
        ("pay \u09ea00 now", ("\\u09ea00",)),
        ("1\uff10\u0660", ("1\\uff10\\u0660",)),
        ("to \u212aeller, pay\u217coad", ("\\u212aeller", "pay\\u217coad")),
        (f"{'x' * 79}\u0430 {'x' * 80}\u0430", (f"{'x' * 79}\\u0430", f"{'x' * 80}…")),
        ("a\u0430 b\u0430 a\u0430 c\u0430 d\u0430", ("a\\u0430", "b\\u0430", "c\\u0430")),
        ("\u0663\u0664 \u516d\u5341 12 m\u00b2 n\u00ba 5", ()),
        ("Привет, мир and hello", ()),
        ("PDF文件を読む 서울특별시A동 naïve", ()),
    ],
)
def test_words_that_mix_scripts_are_named(text: str, words: tuple[str, ...]) -> None:
    assert mixed_script_words(text) == words
    assert bool(approval_card(call(text=text), (), 0, None).warnings) is bool(words)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def meant(shown: str) -> object:
    """Reads a shown value back: as JSON if it is JSON, else as text with escapes."""

    def no_json(constant: str) -> object:
        raise ValueError(constant)

    try:
        return json.loads(shown, parse_constant=no_json)
    except ValueError:
        return re.sub(r"(?:\\u[0-9a-f]{4})+", lambda escapes: json.loads(f'"{escapes[0]}"'), shown)


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=3))
@example({"text": "\\u200b"})
@example({"text": "\\\u200b"})
@example({"path": "C:\\new\\users", "code": "5", "on": "true", "said": '"hi"', "none": "", "padded": " x\n"})
def test_fields_show_what_is_sent_and_hide_nothing(arguments: dict[str, object]) -> None:
    fields = argument_fields(arguments)
    assert not any(UNSEEN.search(re.sub("[ \n]", "", field.name + field.value)) for field in fields)
    assert as_sent(list(fields)) == json.loads(json.dumps(arguments))


def is_within(outer: ArgumentField, inner: ArgumentField) -> bool:
    return inner.depth > outer.depth


def as_sent(fields: list[ArgumentField]) -> object:
    """Reads fields back: what a list or an object holds is deeper than its own field, which has no value."""
    found: list[tuple[str, object]] = []
    while fields:
        field = fields.pop(0)
        held = list(takewhile(partial(is_within, field), fields))
        del fields[: len(held)]
        found.append((field.name, as_sent([*held]) if held else meant(field.value)))
        assert bool(field.value) is not bool(held)
    if found and not any(name for name, _ in found):
        return [value for _, value in found]
    return {name if name[:1] != '"' else json.loads(name): value for name, value in found}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("Nightly export fails", "Nightly export fails"),
        ("one\n\ntwo", "one\n\ntwo"),
        ("C:\\temp", "C:\\temp"),
        ("2026-11-22", "2026-11-22"),
        ("12", '"12"'),
        (12, "12"),
        ("true", '"true"'),
        (True, "true"),
        (None, "null"),
        ("", '""'),
        ([], "[]"),
    ],
)
def test_field_reads_as_a_colleague_would_write_it(value: object, shown: str) -> None:
    assert argument_fields({"due_date": value}) == (ArgumentField("due_date", shown),)


def test_what_lists_and_objects_hold_follows_them_without_json() -> None:
    nested: dict[str, object] = {"labels": ["bug", "5"], "who": {"id": 7, "teams": [{"a b": True}]}, "last": "x"}
    assert [(field.depth, field.name, field.value) for field in argument_fields(nested)] == [
        (0, "labels", ""),
        (1, "", "bug"),
        (1, "", '"5"'),
        (0, "who", ""),
        (1, "id", "7"),
        (1, "teams", ""),
        (2, "", ""),
        (3, '"a b"', "true"),
        (0, "last", "x"),
    ]
    assert approval_card(replace(call(), arguments=nested), (), 0, None).editable_strings == {2: "x"}
    deep = argument_fields({"a": [[[[[["x"]]]]]]})
    assert (deep[-1].depth, deep[-1].value) == (MAX_DEPTH, '[["x"]]')


@pytest.mark.parametrize("name", ["a b", "x\n• amount", "amount:", "p\u0430y", ":wave:", "example.com", ""])
def test_field_whose_name_is_no_plain_one_is_a_json_string(name: str) -> None:
    [field] = argument_fields({name: 1})
    assert (field.name[0], json.loads(field.name)) == ('"', name)


def test_fields_that_a_reply_has_no_room_for_are_cut_in_their_order() -> None:
    ask = approval_card(call(first="x" * 400, second="y" * 900, third="z"), (), 0, None)
    left = SHOWN_ARGUMENT_CHARS - ask.fields[0].chars
    assert ask.shown_fields == (ask.fields[0], ArgumentField("second", f"{'y' * (left - len('second'))}…"))
    nested = replace(approval_card(replace(call(), arguments={"of": ["y" * 90, "z"]}), (), 0, None), max_shown_chars=14)
    assert nested.shown_fields == (ArgumentField("of", ""), ArgumentField("", f"{'y' * 10}…", depth=1))
    assert replace(ask, max_shown_chars=3).shown_fields == (ArgumentField("fir", "…"),)


@pytest.mark.parametrize(
    ("value", "is_block"),
    [("x" * INLINE_CHARS, False), ("x" * (INLINE_CHARS + 1), True), ("a\nb", True), ("", False)],
)
def test_long_value_and_one_of_several_lines_are_blocks(value: str, is_block: bool) -> None:
    assert ArgumentField("text", value).is_block is is_block


def test_json_that_is_too_long_for_a_line_has_several() -> None:
    fits, longer = ({"a": [[[[["x" * chars]]]]]} for chars in (INLINE_CHARS - 4, INLINE_CHARS - 3))
    assert [argument_fields(one)[-1].value.count("\n") for one in (fits, longer)] == [0, 2]


@pytest.mark.parametrize(
    ("arguments", "can_be_read_whole"),
    [
        ('"' * MAX_ARGUMENT_CHARS, True),
        ("&" * (MAX_ARGUMENT_CHARS // 5), True),
        ("&" * (MAX_ARGUMENT_CHARS // 5 + 1), False),
        ("<" * (MAX_ARGUMENT_CHARS // 4 + 1), False),
        (readable_json({"text": [[1]] * 2_000}), False),
    ],
    ids=["quotation marks", "entities", "more entities", "other entities", "indented lines"],
)
def test_arguments_count_as_slack_takes_them(arguments: str, can_be_read_whole: bool) -> None:
    assert can_be_shown(arguments) is can_be_read_whole


def test_person_is_asked_with_all_that_is_known_of_a_call() -> None:
    asked = RecordedCall(
        *(2, 1, "c1", "notes__add", {"text": "Milk"}, "h", CallState.DENIED),
        uses_own_account=True,
        decision=Decision.DENIED,
        decided_by="U1",
        claims=Claims("Add a note", "Adds a note.", frozenset({"text"})),
        is_repeat=True,
    )
    waiting = replace(asked, index=0, state=CallState.ASKED, decision=None, decided_by="", claims=Claims())
    decided, other = approval_cards([asked, waiting], 7, 1.5, person=" Ada\n\u202eL. ", is_admin=True)
    assert decided == ApprovalCard(
        *("notes.add", '{\n  "text": "Milk"\n}', button_value(asked, 7), (ArgumentField("text", "Milk"),)),
        title="Add a note",
        description="Adds a note.",
        expires_at=1.5,
        is_repeat=True,
        uses_own_account=True,
        decision=Decision.DENIED,
        required_arguments=frozenset({"text"}),
        decider_name="Ada \\u202eL.",
    )
    assert (other.title, other.decision, other.server, other.top_level_fields) == ("Add", None, "notes", other.fields)
    assert decided.value == f"7.2.1.{asked.binding}"


def pinned(description: str, title: str = "") -> Claims:
    return claims_of_definition(ListedTool("add", description, {}, title).canonical_json)


@pytest.mark.parametrize(
    ("description", "line"),
    [
        ("Adds a note.", "Adds a note."),
        ("\n  Adds\ta note.  \n\nArgs:\n  text: the note", "Adds a note."),
        ("Adds\u202e a\u200b note", "Adds\\u202e a\\u200b note"),
        ("x" * 500, "x" * MAX_CLAIM_CHARS + "…"),
        ("", ""),
    ],
)
def test_description_is_one_line_in_which_nothing_hides(description: str, line: str) -> None:
    assert pinned(description).description == line


def test_title_is_one_line_in_which_nothing_hides() -> None:
    assert pinned("", "Add\n a\u202e note").title == "Add a\\u202e note"
    assert len(pinned("", "x" * 5_000).title) == MAX_TITLE_CHARS + 1


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("notes__add_item", "Add item"),
        ("notes__add-item", "Add item"),
        ("notes__addItem", "Add Item"),
        ("notes___", "notes._"),
        ("notes__a b\u202e", "A\\u0020b\\u202e"),
    ],
)
def test_tool_without_a_title_is_named_by_its_words(name: str, title: str) -> None:
    assert tool_title(name) == title


def test_servers_words_stand_beside_its_name_and_details_have_the_tools_real_name() -> None:
    claimed = replace(call(text="Milk"), claims=Claims("Read the weather", "Only reads. See evil.example"))
    message = reply_blocks.message(PageView("", growing=True, asks=(approval_card(claimed, (), 0, 0.0),)))
    blocks = message["blocks"]
    parts = next(block["elements"] for block in blocks if block.get("block_id", "").endswith("ask-0"))
    heading, terms = [
        "".join(e.get("text", "@") for e in part["elements"]) for part in parts if part["type"] != "rich_text_list"
    ]
    assert heading == "Read the weather?"
    assert heading in message["text"], "notifications and screen readers say what is asked"
    assert terms == f"{texts.approvals.acts_as(['notes'])}{texts.approvals.decide_until('')}@."
    assert check_blocks(blocks)
    details = str(arguments_modal(approval_card(claimed, (), 0, 0.0), None)["blocks"])
    for words in ("notes.add", "notes says: ", "Only reads. See evil"):
        assert words in details
    assert "evil.example" not in details, "Slack makes no link of it"


@pytest.mark.parametrize(("calls", "room"), [(1, 1_000), (2, 1_000), (3, 666), (8, 250)])
def test_calls_of_a_step_share_the_room_of_two(calls: int, room: int) -> None:
    asked = [replace(call(text="x" * (room - 6)), index=index) for index in range(calls)]
    elsewhere = replace(call(), step_no=1)
    assert not approval_card(asked[0], [*asked, elsewhere], 0, None).is_cut
    longer = replace(asked[0], arguments={"text": "x" * (room - 5)})
    assert approval_card(longer, [longer, *asked[1:], elsewhere], 0, None).is_cut


@pytest.mark.parametrize(("calls", "text"), [(1, STREAM_BYTES), (2, STREAM_BYTES), (8, 5_000)])
def test_longest_calls_fit_into_a_message_beside_a_text(calls: int, text: int) -> None:
    claims = Claims("t" * MAX_TITLE_CHARS, "d" * MAX_CLAIM_CHARS)
    one = replace(call(f"notes__{'a' * 57}", text="p\u0430y " * 900), claims=claims, is_repeat=True)
    asked = [replace(one, index=index) for index in range(calls)]
    view = PageView(
        "word " * (text // 5), growing=True, asks=approval_cards(asked, 0, 1e9, person="p" * 80, is_admin=True)
    )
    assert check_blocks(reply_blocks.message(view)["blocks"])


@pytest.mark.parametrize(
    ("tool", "own_account", "read_only", "always", "in_thread", "is_warned"),
    [
        ("notes__add", False, False, True, False, True),
        ("notes__add", True, False, False, False, True),
        ("notes__list", False, True, True, False, False),
        ("notes__list", True, True, False, True, False),
        (REMEMBER, False, False, False, False, True),
    ],
)
def test_what_an_admin_or_the_asker_may_allow_beyond_one_call_depends_on_whose_account_acts(
    tool: str, own_account: bool, read_only: bool, always: bool, in_thread: bool, is_warned: bool
) -> None:
    asked = replace(call(tool), uses_own_account=own_account, read_only=read_only, is_repeat=True)
    ask = approval_card(asked, [asked], 0, None, is_admin=True)
    assert (ask.can_allow_always, ask.can_allow_in_thread) == (always, in_thread)
    assert (texts.approvals.REPEATED_CALL in ask.warnings) is is_warned
    assert not approval_card(asked, [asked], 0, None).can_allow_always


def test_card_names_what_was_read_before_it_asks() -> None:
    asked = replace(call("docs__open"), uses_own_account=True, approval_reasons=("not_asked", "found", "docs__find"))
    card = approval_card(asked, [asked], 0, None)
    assert texts.approvals.asking_reasons_text(card.lasting_reasons, card.sources) == (
        "I'm asking because your question doesn't ask for exactly this and I've read results from your account through "
        "“Find” (docs). "
    )


def test_long_arguments_are_cut() -> None:
    assert not approval_card(call(text="x" * (SHOWN_ARGUMENT_CHARS - 20)), (), 0, None).is_cut
    assert approval_card(call(text="x" * SHOWN_ARGUMENT_CHARS), (), 0, None).is_cut
    assert approval_card(call(text="\u200b" * 200), (), 0, None).is_cut, "the escapes count"


@pytest.mark.parametrize("name", ["a`: done\n\n`pay__send", "x\u202eknil", "a__b\r- c", "[x](https://evil.example)"])
def test_name_that_a_model_made_up_stays_a_name(name: str) -> None:
    assert regex.fullmatch(r"(?:[A-Za-z0-9._-]|\\u[0-9a-f]{4})+", tool_label(name))
    assert call_details([call(name)], {}) == f"`{tool_label(name)}`: waiting for a decision"
    assert len(tool_label("x" * 5_000)) <= 101


def test_button_names_the_very_call_that_it_was_shown_with() -> None:
    shown, other = call(text="Milk"), replace(call(text="Milk"), index=1)
    value = button_value(shown, 0)
    assert call_of_button(value, 0, [other, shown]) is shown
    for forged in ("", "0.0.0", value[:-1], f"{value}0", f"1{value}", "💥"):
        assert call_of_button(forged, 0, [other, shown]) is None, forged
    assert call_of_button(value, 1, [other, shown]) is None, "another version"


@pytest.mark.parametrize(
    "change",
    [{"arguments": {"text": "Bread"}}, {"tool": "notes__drop"}, {"definition_hash": "i"}, {"index": 1}, {"step_no": 1}],
    ids=str,
)
def test_button_does_not_name_a_call_that_differs_from_the_shown_one(change: dict[str, object]) -> None:
    shown = call(text="Milk")
    assert call_of_button(button_value(shown, 0), 0, [replace(shown, **change)]) is None  # type: ignore[arg-type]


def test_name_of_a_decider_forges_no_line() -> None:
    shown = call_details([call(decided_by="U1")], {"U1": "Eve\n\n`pay.send`: denied [x](https://evil.example)"})
    assert shown == (
        "`notes.add`: waiting for a decision, approved by Eve  \\`pay.send\\`: denied \\[x\\]\\(https://evil.example\\)"
    )


@pytest.mark.parametrize(
    ("tool", "arguments", "shown"),
    [
        (
            SCHEDULE,
            {"words": "Sum up `it`.", "cron": "0 9 * * 1-5", "zone": "Europe/Berlin", "next": [1_764_000_000.0]},
            "Sum up `it`.\nWeekdays at 09:00 (Berlin)",
        ),
        (
            SCHEDULE,
            {
                "words": "Ask.",
                "at": "2026-12-24T09:00:00+01:00",
                "zone": "Europe/Berlin",
                "next": [1_766_563_200.0],
            },
            "Ask.\nOnce on Thursday, December 24, 2026 at 09:00 (Berlin)",
        ),
        (REMEMBER, {"text": "Tea at four.", "for": "channel"}, "Tea at four."),
        (SIGN_IN, {"server": "tracker"}, "tracker"),
    ],
)
def test_details_have_the_words_and_times_of_a_proposal(tool: str, arguments: dict[str, object], shown: str) -> None:
    asked = replace(call(tool), arguments=arguments)
    assert call_details([asked], {}) == f"`{tool}`: waiting for a decision\n```\n{shown}\n```"


@pytest.mark.parametrize(
    ("tool", "arguments", "editable"),
    [
        ("notes__add", {"text": "Milk", "count": 2, "to": "5", "on": True, "at": None}, {0: "Milk", 2: "5"}),
        ("notes__add", {"text": "", "lines": "a\nb"}, {0: "", 1: "a\nb"}),
        (
            "notes__add",
            {"fits": "x" * MAX_EDITED_CHARS, "too long": "", "long": "x" * (MAX_EDITED_CHARS + 1)},
            ["fits"],
        ),
        ("notes__add", {"hidden": "a\u200bb", "tab": "a\tb", "ends": "a "}, {}),
        ("notes__add", {"nested": {"text": "Milk"}, "list": ["Milk"], "n" * 101: "Milk"}, {}),
        (
            "notes__add",
            {f"n{number}": "x" for number in range(MAX_EDITABLE + 1)},
            [f"n{n}" for n in range(MAX_EDITABLE)],
        ),
        (REMEMBER, {"text": "Tea at four.", "for": "channel"}, {}),
    ],
)
def test_texts_that_a_modal_can_hold_and_shows_as_they_are_can_be_changed(
    tool: str, arguments: dict[str, object], editable: dict[int, str] | list[str]
) -> None:
    asked = replace(call(tool), arguments=arguments)
    found = approval_card(asked, [asked], 0, None).editable_strings
    names = list(arguments)
    assert found == editable or [names[index] for index in found] == editable


def test_changed_texts_take_the_places_of_those_before_them() -> None:
    assert with_edited_strings({"count": 2, "text": "Milk"}, {1: "Bread"}) == {"count": 2, "text": "Bread"}


def test_what_became_of_a_proposal_stands_in_place_of_who_agreed() -> None:
    created = replace(call(SCHEDULE, "U1", words="Sum up."), state=CallState.DONE, result="Created schedule 3: daily.")
    failed = replace(created, state=CallState.FAILED, result="That's already scheduled as number 3.")
    added, read = (replace(one, state=CallState.DONE) for one in (call(decided_by="U1"), call(SCHEDULE)))
    assert accepted_proposals([created, failed, added, read]) == [created, failed]
    assert [(one.kind, one.calls) for one in decisions_by_button([created, failed, added])] == [("call", 1)]
    assert decisions_by_button([created]) == ()


CARDS = {
    "call": call(text="Milk"),
    "create": call(SCHEDULE, words="Sum up.", cron="0 9 * * *"),
    "change": call(SCHEDULE, words="Sum up.", number=3),
    "stop": call(SCHEDULE, words="Sum up.", number=3, stop=True),
    "remember": call(REMEMBER, text="Tea at four."),
    "sign_in": call(SIGN_IN, server="tracker"),
}
"""A call of each kind of card."""
SAID = {
    "call": ("should I go ahead with what I asked you about above?", "Denied by Ada", "I didn't do this"),
    "create": ("should I create the schedule above?", "as Ada decided", "I didn't create this schedule"),
    "change": ("should I change the schedule as I proposed above?", "as Ada decided", "I didn't change this schedule"),
    "stop": ("should I stop the schedule above?", "as Ada decided", "I didn't stop this schedule"),
    "remember": ("should I remember what I proposed above?", "as Ada decided", "I won't remember this"),
    "sign_in": (
        "should I continue the answer above with your sign-in or without it?",
        "as Ada decided",
        "I continued without a sign-in",
    ),
}
REPLIED = {"sign_in": "You wrote instead, so I'm not waiting for your sign-in anymore."}
RUNNING = {
    "call": "Using notes: Add…",
    "create": "Creating the schedule…",
    "change": "Changing the schedule…",
    "stop": "Stopping the schedule…",
    "remember": "Remembering this…",
    "sign_in": "Signing you in…",
}


@pytest.mark.parametrize("kind", CARDS)
def test_each_sentence_about_a_card_comes_from_its_kind(kind: str) -> None:
    asked, (waits, denied, undone) = CARDS[kind], SAID[kind]
    assert texts.approvals.reminder("<@U1>", card_types([asked], None)) == f"<@U1> {waits}"
    ended = {one: replace(asked, state=CallState.DENIED, decision=one, decided_by="U1") for one in Decision}
    instead = texts.approvals.replied_instead_text(card_types([ended[Decision.REPLIED]], Decision.REPLIED))
    assert instead == f"{REPLIED.get(kind, f'{undone} because you wrote instead.')} I'll answer below your message."
    assert activity_of(asked) == RUNNING[kind]
    late = texts.approvals.expired_text(card_types([ended[Decision.EXPIRED]], Decision.EXPIRED))
    assert late == f"{undone} because nobody decided in time."
    [one] = decisions_by_button([ended[each] for each in (Decision.DENIED, Decision.REPLIED, Decision.EXPIRED)])
    said = texts.approvals.decision_text(one.kind, one.decision, one.calls, "Ada", is_only_one=True)
    assert said == (denied if kind == "call" else f"{undone}, {denied}")


def test_no_two_kinds_of_cards_share_a_sentence() -> None:
    """In rows of a table: when a card waits, runs, was declined, replied to, expired, or can't be shown."""
    moments: list[Callable[[str], str]] = [
        lambda kind: texts.approvals.reminder("<@U1>", [kind]),
        lambda kind: activity_of(CARDS[kind]),
        lambda kind: texts.approvals.decision_text(kind, "denied", 1, "Ada", is_only_one=True),
        lambda kind: texts.approvals.replied_instead_text([kind]),
        lambda kind: texts.approvals.expired_text([kind]),
        lambda kind: texts.approvals.asking_without_buttons([(kind, "Add this note?")]),
    ]
    for sentence in moments:
        assert len({sentence(kind) for kind in CARDS}) == len(CARDS)


@pytest.mark.parametrize(
    ("tool", "activity"),
    [
        ("read_channel", "Reading the channel…"),
        ("slack__search", "Searching Slack…"),
        ("desk__find_ticket", "Using desk: Find ticket…"),
        ("desk__findTickets", "Using desk: Find Tickets…"),
    ],
)
def test_running_call_is_described_in_words(tool: str, activity: str) -> None:
    assert activity_of(call(tool)) == activity
    titled = replace(call(tool), claims=Claims("Look up tickets"))
    assert activity_of(titled) == ("Using desk: Look up tickets…" if tool.startswith("desk") else activity)


@pytest.mark.parametrize(
    ("when", "promised", "kept_quiet"),
    [
        ({"cron": "0 9 * * *"}, ("Each time, I'll post", "if it gets expensive", "since its last run"), ("notify",)),
        ({"at": "2026-12-24T09:00+00:00"}, ("post this, notify you", "before then"), ("Each", "expensive", "last run")),
    ],
)
def test_schedule_card_describes_one_run_or_many(
    when: dict[str, str], promised: Sequence[str], kept_quiet: Sequence[str]
) -> None:
    for accounts in ((), ("jira", "wiki")):
        arguments = {"words": "Sum up.", "zone": "UTC", "only_if_changed": True, "accounts": accounts, **when}
        said = str(cards.card_blocks(approval_card(replace(call(SCHEDULE), arguments=arguments), (), 0, 0.0), "ask"))
        assert all(part in said for part in promised)
        assert not any(part in said for part in kept_quiet)
        assert ("I'll use your own jira and wiki account." in said) == bool(accounts)


def test_sentence_about_several_kinds_of_cards_names_none() -> None:
    kinds = card_types([*CARDS.values(), CARDS["call"]], None)
    assert list(kinds) == list(CARDS)
    assert (
        texts.approvals.reminder("<@U1>", kinds) == "<@U1> should I go ahead with everything I asked you about above?"
    )
    assert texts.approvals.expired_text(kinds) == "I did none of this because nobody decided in time."


@pytest.mark.parametrize(
    ("title", "question"),
    [
        ("Add a note", "Add this note?"),
        ("Create an issue", "Create this issue?"),
        ("Send mail to a person", "Send mail to a person?"),
        ("Weather", "Weather?"),
    ],
)
def test_call_is_asked_about_by_its_tools_title(title: str, question: str) -> None:
    assert texts.approvals.question(title) == question


@pytest.mark.parametrize(
    ("schema", "required"),
    [
        ({"required": ["text"], "properties": {"text": {"type": "string"}, "tag": {"type": "string"}}}, {"text"}),
        ({"properties": {"text": {"minLength": 1}, "tag": {"minLength": 0}}}, {"text"}),
        ({"properties": {"size": {"enum": ["s", "m"]}, "tag": {"enum": ["", "x"]}}}, {"size"}),
        ({"required": "text", "properties": {"text": True, "tag": {"minLength": "1", "enum": 5}}}, set()),
        ({"required": [1, None], "properties": ["text"]}, set()),
        ({}, set()),
    ],
)
def test_schema_says_which_texts_are_never_empty(schema: dict[str, object], required: set[str]) -> None:
    assert claims_of_definition(ListedTool("add", "", schema, "").canonical_json).required_arguments == required


@pytest.mark.parametrize(
    ("values", "options"),
    [
        (["low", "high"], ("low", "high")),
        (["low", ""], None),
        (["low", 1], None),
        (["x" * 76], None),
        (["a\u202eb"], None),
        (["a  b"], None),
        ([str(number) for number in range(100)], None),
        ([], None),
        ("low", None),
    ],
)
def test_schema_says_between_which_texts_a_menu_can_choose(values: object, options: tuple[str, ...] | None) -> None:
    schema = {"properties": {"priority": {"enum": values}, "text": {}}}
    claims = claims_of_definition(ListedTool("add", "", schema, "").canonical_json)
    assert claims.options == ({"priority": options} if options else {})
