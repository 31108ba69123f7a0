"""Every button that a reply shows can be pressed by the asker, and no other: in all states of an answer's record."""

import itertools
from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from functools import cache
from typing import Any

import pytest

from bot.core.actions import OPTIONAL_ACTIONS, Press, ReplyAction
from bot.core.asks import approval_cards
from bot.core.awaited import clicked_decision
from bot.core.calls import REMEMBER, SIGN_IN, CallState, Decision, RecordedCall
from bot.core.conversation import Question
from bot.core.job import AnswerRecord, End, Notice, NoticeKind, State
from bot.core.picture import CANVAS_MIN_CHARS, Picture, picture, refusal
from bot.errors import EndReason
from bot.reply import blocks as reply_blocks
from bot.reply.messages import PageView
from bot.reply.style import ReplyStyle
from slack_sandbox.blocks.elements import interactive
from tests.core.conversations import question

ASKER = "UADA"
ASKED, ERASED = question("why?"), question("")
UNDOABLE = [Notice(kind, "So.") for kind in (NoticeKind.REMEMBERED, NoticeKind.FORGOTTEN, NoticeKind.STOPPED)]
ARGUMENTS: Mapping[str, Mapping[str, Any]] = {
    REMEMBER: {"text": "Tea at four.", "for": "channel"},
    SIGN_IN: {"server": "notes"},
    "notes__list": {},
    "notes__add": {"text": "Milk"},
    "notes__long": {"text": "long " * 1_000},
}


def called(tool: str, state: CallState = CallState.DONE, decision: Decision | None = None, index: int = 0) -> Any:
    return RecordedCall(0, index, "", tool, ARGUMENTS[tool], "hash", state, decision=decision)


CALLS: Sequence[Sequence[RecordedCall]] = (
    (),
    (called("notes__add"),),
    (called("notes__add", CallState.DENIED, Decision.REPLIED),),
    (called(REMEMBER, decision=Decision.APPROVED),),
    (called(SIGN_IN, decision=Decision.APPROVED),),
)
WAITING: Sequence[RecordedCall] = [
    replace(called(tool, CallState.ASKED), read_only=read_only, uses_own_account=own_account)
    for tool in ARGUMENTS
    for read_only in (False, True)
    for own_account in (False, True)
]
Values = Mapping[str, Any]
OF_END = {field.name for field in fields(End)}


def each(name: str, *values: Any) -> Sequence[Values]:
    return [{name: value} for value in values]


TEXTS = ("", " \n", "Because.", "word " * (CANVAS_MIN_CHARS // 5), "| a |\n| - |\n" + "| 1 |\n" * 3)
NEXT, EDITED = each("has_next", False, True), each("is_edited", False, True)
ENDED: Sequence[Sequence[Sequence[Values]]] = (
    (
        each("reason", *EndReason),
        [
            *({"text": text, "model": model} for text in TEXTS for model in (None, "openai/test")),
            *({"is_emptied": True, "model": model} for model in (None, "openai/test")),
        ],
        each("question", ASKED, ERASED),
        each("has_previous", False, True),
        each("has_acted", False, True),
        NEXT,
    ),
    (
        each("reason", EndReason.WHOLE, EndReason.STOPPED, EndReason.COMMAND),
        each("text", "", "Because."),
        each("calls", *CALLS),
        each("effort", "", "thorough"),
        [{}, {"choices": ("Tea", "Coffee")}, {"choices": ("Tea", "Coffee"), "chosen_choice": "Tea"}],
        [
            {},
            *each("notices", *((Notice(kind, "So.", 3),) for kind in NoticeKind)),
            {"notices": UNDOABLE, "undone_notices": frozenset(UNDOABLE[1:])},
            {"notices": UNDOABLE, "undone_notices": frozenset(UNDOABLE)},
        ],
        EDITED,
        NEXT,
    ),
)
"""All that the buttons of an ended answer depend on, in two products: what they depend on together is in one."""
BEGUN_BEFORE = {ReplyAction.DELETE, ReplyAction.FEEDBACK_REASON}
"""Delete asks first, and the reason of a vote is asked in another message: meanwhile the answer may have changed."""
IN_MODALS = {ReplyAction.APPROVE, ReplyAction.EDIT, ReplyAction.ALLOW_ALWAYS, ReplyAction.ALLOW_IN_THREAD}
"""What the modal of a call has, and the reply not always: it may have no room for the call, or for several calls."""


def products(dimensions: Sequence[Sequence[Values]]) -> Iterator[Values]:
    return (ChainMap(*map(dict, combination)) for combination in itertools.product(*dimensions))


def record(question: Question = ASKED, state: State = State.ENDED, **values: Any) -> AnswerRecord:
    end = {name: value for name, value in values.items() if name in OF_END}
    others = {name: value for name, value in values.items() if name not in OF_END}
    return AnswerRecord(7, question, state, end=End(**end) if end else None, **others)


def actions_in(view: PageView) -> set[str]:
    """Returns what the buttons of a page do, apart from the schedule's own."""
    elements = [element for _, element in interactive(reply_blocks.message(view)["blocks"])]
    in_menu = {option["value"] for element in elements for option in element.get("options", ())}
    return ({str(element["action_id"]).partition("-")[0] for element in elements} | in_menu) & set(ReplyAction)


@cache
def shown_below(end: Picture) -> set[str]:
    return actions_in(PageView("Because.", end=end))


def pressable(of: AnswerRecord) -> set[str]:
    """Returns what the asker can do, who is a Typist admin."""
    return {action for action in ReplyAction if refusal(action, of, ASKER, {ASKER}) is None}


@pytest.mark.parametrize("dimensions", ENDED, ids=["of itself", "of what came of it"])
def test_of_an_ended_answer_exactly_the_buttons_that_are_shown_can_be_pressed(
    dimensions: Sequence[Sequence[Values]],
) -> None:
    for values in products(dimensions):
        of = record(**values)
        assert pressable(of) == shown_below(picture(of, optional=OPTIONAL_ACTIONS)) | BEGUN_BEFORE, values


def test_of_a_growing_answer_the_buttons_that_are_shown_can_be_pressed_and_those_of_modals() -> None:
    decided = called("notes__add", CallState.READY, Decision.APPROVED, 1)
    together = [(one, replace(other, index=1)) for one, other in itertools.product(WAITING, WAITING)]
    alone = [(), (decided,), *((one,) for one in WAITING), *((one, decided) for one in WAITING)]
    live = [(state, calls) for state in State if state.is_live for calls in alone]
    for state, calls in (*live, *((State.AWAITING_APPROVAL, calls) for calls in together)):
        of = record(state=state, calls=calls, reason=EndReason.STOPPED, text="Half of", has_next=True)
        shown = actions_in(PageView("", growing=True, asks=approval_cards(calls, 0, None, is_admin=True)))
        asks = any(call.state is CallState.ASKED for call in calls)
        beside = {ReplyAction.STOP, *BEGUN_BEFORE, *(IN_MODALS if asks else ())}
        assert shown <= pressable(of) <= shown | beside, (state, calls)


def test_of_a_deleted_answer_nothing_can_be_pressed() -> None:
    for state in State:
        assert pressable(record(state=state, reason=EndReason.WHOLE, text="Because.", is_deleted=True)) == set()


@pytest.mark.parametrize(
    "admins", [frozenset(), frozenset({"UEVE", "UGRACE"}), frozenset(map("U{}".format, range(30)))]
)
def test_button_that_decides_or_deletes_is_shown_to_those_who_can_press_it(admins: frozenset[str]) -> None:
    look = ReplyStyle(admins=admins)
    people = {ASKER, "UBEN", "UEVE", "U7"}
    together = [(one, replace(other, index=1)) for one, other in itertools.product(WAITING, WAITING)]
    for calls in (*((one,) for one in WAITING), *together):
        of = record(state=State.AWAITING_APPROVAL, calls=calls)
        view = PageView("", growing=True, asks=approval_cards(calls, 0, None), style=look, asker=ASKER)
        for _, button in interactive(reply_blocks.message(view)["blocks"]):
            if button["action_id"] == ReplyAction.STOP:
                continue
            able = {person for person in people if any(is_allowed(button, of, person, admins))}
            shown_to = set(button.get("visible_to_user_ids", people)) & people
            assert shown_to == able or (len(admins) > reply_blocks.MAX_VIEWERS and shown_to == people), (button, calls)


def is_allowed(button: Mapping[str, Any], of: AnswerRecord, person: str, admins: frozenset[str]) -> Iterator[bool]:
    action = ReplyAction(button["action_id"])
    for value in button["value"].split():
        press = Press(action, of.question.thread, "1.0", person, value, in_modal=True)
        yield not isinstance(clicked_decision(press, value, of, admins), str)


def test_delete_is_shown_to_the_asker_and_admins_where_others_read_the_answer() -> None:
    end, look = Picture(buttons=(ReplyAction.FEEDBACK, ReplyAction.DELETE)), ReplyStyle(admins=frozenset({"UEVE"}))
    views = {asker: PageView("Because.", end=end, style=look, asker=asker) for asker in (ASKER, "")}
    shown_to = {
        asker: [one.get("visible_to_user_ids") for _, one in interactive(reply_blocks.message(view)["blocks"])]
        for asker, view in views.items()
    }
    assert shown_to == {ASKER: [None, None, [ASKER, "UEVE"]], "": [None, None, None]}
