"""What stands below an answer: what is on record of it, whichever way it came to be shown."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from bot.core import texts
from bot.core.actions import ReplyAction
from bot.core.calls import REMEMBER, SCHEDULE, SIGN_IN, Decision
from bot.core.job import AnswerRecord, End, Notice, NoticeKind, sentence_notice
from bot.core.picture import CANVAS_MIN_CHARS, picture
from bot.errors import EndReason
from tests.pictures import CALL, CALLS, END, FACTS, REMEMBERED, SCHEDULED, TEXT, UNREAD, below, recorded, seen

USUAL = tuple(FACTS)[:-1]
WAYS: Mapping[str, tuple[AnswerRecord, set[str]]] = {
    "at once, or later": (recorded(), set(USUAL)),
    "by Previous": (recorded(has_next=True), {*USUAL} - {"Save as canvas", "choices"}),
    "by Previous and Next": (recorded(has_previous=True), set(USUAL)),
    "after Undo": (recorded(undone_notices=frozenset(END.notices[:1])), {*USUAL} - {"what was remembered"}),
    "after its schedule was stopped": (
        recorded(undone_notices=frozenset(END.notices[1:2])),
        {*USUAL} - {"what was scheduled"},
    ),
    "after an edit of the question": (recorded(is_edited=True), {*FACTS} - {"choices"}),
    "after a choice": (recorded(chosen_choice="Staging"), {*USUAL} - {"choices"}),
}
"""How it came to be shown: what is on record then, and which facts are seen."""


@pytest.mark.parametrize("way", WAYS)
def test_each_fact_is_seen_as_long_as_it_holds_whichever_way_the_answer_came_to_be_shown(way: str) -> None:
    record, facts = WAYS[way]
    assert seen(picture(replace(record, calls=CALLS), optional=[ReplyAction.CANVAS])) == facts


@pytest.mark.parametrize(
    ("record", "notes"),
    [
        (recorded(undone_notices=frozenset(END.notices[:1])), (texts.memory.UNDONE, SCHEDULED, UNREAD)),
        (recorded(undone_notices=frozenset(END.notices[1:2])), (REMEMBERED, texts.schedules.SCHEDULE_STOPPED, UNREAD)),
    ],
)
def test_what_is_taken_back_is_said_in_its_own_place(record: AnswerRecord, notes: tuple[str, ...]) -> None:
    assert picture(record).notices == notes


@pytest.mark.parametrize(
    ("made", "stopped", "over", "schedule_id"),
    [
        ((3,), (), (), 3),
        ((3, 5), (), (), 5),
        ((3, 5), (5,), (), 3),
        ((3, 5), (3, 5), (), 0),
        ((3, 5), (), (5,), 3),
        ((3, 5), (3,), (5,), 0),
        ((), (), (), 0),
    ],
)
def test_button_stops_the_last_schedule_that_runs(
    made: tuple[int, ...], stopped: tuple[int, ...], over: tuple[int, ...], schedule_id: int
) -> None:
    end = End(EndReason.WHOLE, tuple(Notice(NoticeKind.SCHEDULED, SCHEDULED, number) for number in made))
    undone = frozenset(notice for notice in end.notices if notice.number in stopped)
    assert below(end, TEXT, undone_notices=undone, finished_schedules=frozenset(over)).schedule_id == schedule_id


@pytest.mark.parametrize(
    ("has_scope", "reason", "chars", "offered"),
    [
        (True, EndReason.WHOLE, CANVAS_MIN_CHARS, True),
        (True, EndReason.WHOLE, CANVAS_MIN_CHARS - 1, False),
        (True, EndReason.LENGTH_LIMIT, CANVAS_MIN_CHARS, False),
        (True, EndReason.STOPPED, CANVAS_MIN_CHARS, False),
        (False, EndReason.WHOLE, CANVAS_MIN_CHARS, False),
    ],
)
def test_only_a_long_and_complete_answer_is_offered_as_a_canvas(
    has_scope: bool, reason: EndReason, chars: int, offered: bool
) -> None:
    shown = below(End(reason), "x" * chars, optional=[ReplyAction.CANVAS] if has_scope else ())
    assert (ReplyAction.CANVAS in shown.buttons) is offered


def test_answer_that_its_vendor_stopped_for_what_the_model_did_is_not_written_again() -> None:
    shown = below(End(EndReason.MISALIGNED, model="openai/m"), TEXT)
    repeats = {ReplyAction.REGENERATE, ReplyAction.REGENERATE_WITH, ReplyAction.CONTINUE}
    assert not repeats & {*shown.buttons}


@pytest.mark.parametrize("tool", [REMEMBER, SCHEDULE])
def test_answer_that_did_what_can_be_done_once_is_not_written_again(tool: str) -> None:
    acted = recorded(End(EndReason.WHOLE), calls=(replace(CALL, tool=tool),), is_edited=True)
    for record in (acted, recorded(End(EndReason.WHOLE), has_acted=True, has_next=True, is_edited=True)):
        shown = picture(record)
        assert not {ReplyAction.REGENERATE, ReplyAction.REGENERATE_WITH} & {*shown.buttons}
        assert shown.notices == (texts.answers.QUESTION_EDITED,)


@pytest.mark.parametrize(
    ("tool", "decision", "is_offered"),
    [
        (REMEMBER, Decision.DENIED, False),
        (SCHEDULE, Decision.REPLIED, False),
        (SCHEDULE, Decision.EXPIRED, True),
        (SIGN_IN, Decision.APPROVED, True),
        (CALL.tool, Decision.DENIED, True),
    ],
)
def test_answer_whose_proposal_a_person_decided_about_is_not_written_again(
    tool: str, decision: Decision, is_offered: bool
) -> None:
    shown = below(END, TEXT, calls=(replace(CALL, tool=tool, decision=decision),))
    assert (ReplyAction.REGENERATE in shown.buttons) is is_offered


@pytest.mark.parametrize("reason", [EndReason.STUCK, EndReason.WHOLE])
def test_text_that_cannot_be_shown_takes_its_sources_choices_and_buttons_along(reason: EndReason) -> None:
    shown = below(replace(END, reason=reason), TEXT, calls=CALLS, optional=[ReplyAction.CANVAS]).without_text
    assert (shown.notice, shown.sources, shown.choices) == (texts.answers.STUCK, (), ())
    left = (ReplyAction.UNDO, ReplyAction.DETAILS, ReplyAction.DELETE)
    assert shown.buttons == (left if reason is EndReason.STUCK else ())


def test_denied_person_sees_why_and_no_button() -> None:
    shown = below(End(EndReason.DENIED, sentence_notice("No access.")))
    assert (shown.notice, shown.buttons) == ("No access.", ())


@pytest.mark.parametrize(
    ("kind", "restored"),
    [(NoticeKind.FORGOTTEN, texts.memory.RESTORED), (NoticeKind.STOPPED, texts.schedules.RESTORED)],
)
def test_what_was_taken_away_by_words_can_be_brought_back_once(kind: NoticeKind, restored: str) -> None:
    notices = (Notice(kind, "It is gone.", 3), Notice(kind, "That one, too.", 4))
    end = End(EndReason.COMMAND, notices)
    for back, said_now, buttons in (
        ((), ["It is gone.", "That one, too."], (ReplyAction.UNDO, ReplyAction.DELETE)),
        (notices[1:], ["It is gone.", restored], (ReplyAction.UNDO, ReplyAction.DELETE)),
        (notices, [restored, restored], (ReplyAction.DELETE,)),
    ):
        shown = below(end, undone_notices=frozenset(back))
        assert (list(shown.notices), shown.buttons) == (said_now, buttons)


@pytest.mark.parametrize(
    ("reason", "decision", "was_replied_to"),
    [
        (EndReason.STOPPED, Decision.REPLIED, True),
        (EndReason.STOPPED, Decision.DENIED, False),
        (EndReason.WHOLE, Decision.REPLIED, False),
    ],
)
def test_footer_says_nothing_of_an_answer_whose_asker_wrote_instead(
    reason: EndReason, decision: Decision, was_replied_to: bool
) -> None:
    shown = below(End(reason, footer="a model"), TEXT, calls=(replace(CALL, decision=decision),))
    assert (shown.was_replied_to, shown.footer) == (was_replied_to, "" if was_replied_to else "a model")


def test_deciders_and_the_admins_to_ask_are_named() -> None:
    calls = [replace(CALL, index=at, decided_by=by) for at, by in enumerate(("U2", "U1", ""))]
    shown = below(End(EndReason.WHOLE, sentence_notice("Not now.")), TEXT, calls=calls)
    asks_admin = below(End(EndReason.DENIED, sentence_notice(texts.access.Denial.PERSON)), TEXT, calls=calls)
    assert (shown.user_ids_to_name(["U9"]), asks_admin.user_ids_to_name(["U9", "U8"])) == (
        ["U2", "U1"],
        ["U2", "U1", "U9", "U8"],
    )
    named = asks_admin.with_names({"U1": "Ada", "U9": "Grace"}, ["U8", "U9"])
    assert [one.name for one in named.decisions] == ["U2", "Ada", ""]
    assert named.notices == (texts.access.with_admins(texts.access.Denial.PERSON, ["Grace"]),)
    assert below(END, TEXT, chosen_choice="Staging").chosen_choice == "Staging"
