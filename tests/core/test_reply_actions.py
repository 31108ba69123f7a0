"""Who may press which button, and when, and which buttons an answer has."""

import json
from dataclasses import replace
from typing import Any

import pytest

from bot.core import texts
from bot.core.actions import CALL_ACTIONS, WISHES, ReplyAction
from bot.core.asks import ApprovalCard, ArgumentField, approval_cards, argument_fields, call_details, decider_ids
from bot.core.calls import REMEMBER, SCHEDULE, CallState, DecidedCalls, Decision, RecordedCall, decisions_by_button
from bot.core.conversation import File
from bot.core.job import AnswerRecord, End, Notice, NoticeKind, State, sentence_notice
from bot.core.picture import CANVAS_MIN_CHARS, Picture, refusal
from bot.errors import EndReason
from bot.reply import blocks as reply_blocks
from bot.reply.messages import PageView
from slack_markdown.escaping import JOINER
from slack_sandbox.blocks.rules import check_blocks
from tests.core.conversations import question
from tests.pictures import below, ended, recorded

ADMINS = frozenset({"U9"})
ACTIONS = list(ReplyAction)
GROWING, WHOLE = recorded(None, "", state=State.RUNNING), recorded(End(EndReason.WHOLE), "Because.")
QUEUED, UNBEGUN = replace(GROWING, state=State.QUEUED), replace(GROWING, state=State.UNBEGUN)
EXPIRED, DELETED = replace(WHOLE, question=question("")), replace(WHOLE, is_deleted=True)
ONLY_FILES = replace(WHOLE, question=replace(question(""), files=(File("F1", "plan.pdf"),)))
OFFER = recorded(End(EndReason.OFFERED), "")
REFUSALS: list[tuple[ReplyAction, AnswerRecord | None, str | None]] = [
    *((action, None, texts.actions.ANSWER_UNKNOWN) for action in ACTIONS),
    *((action, DELETED, texts.actions.ANSWER_DELETED) for action in ACTIONS),
    *(
        (action, answer, texts.approvals.NOTHING_TO_DECIDE)
        for action in CALL_ACTIONS
        for answer in (GROWING, QUEUED, WHOLE, EXPIRED)
        if action not in (ReplyAction.SIGN_IN, ReplyAction.ALLOW_ALWAYS)
    ),
    *((ReplyAction.SIGN_IN, answer, texts.accounts.NOTHING_WAITS) for answer in (GROWING, QUEUED, WHOLE)),
    *(
        (action, GROWING, texts.actions.ANSWER_UNFINISHED)
        for action in (*WISHES, ReplyAction.DETAILS, ReplyAction.CHOOSE)
    ),
    *(
        (action, WHOLE, texts.actions.BUTTON_OUTDATED)
        for action in (ReplyAction.STOP, ReplyAction.NEXT, ReplyAction.CHOOSE)
    ),
    *(
        (action, EXPIRED, texts.actions.QUESTION_EXPIRED)
        for action in (*WISHES, ReplyAction.PREVIOUS, ReplyAction.TABLES)
    ),
    (ReplyAction.REGENERATE, UNBEGUN, texts.actions.BUTTON_OUTDATED),
    (ReplyAction.REGENERATE, ONLY_FILES, None),
]


@pytest.mark.parametrize("state", State)
def test_answer_is_whole_until_a_new_version_is_begun(state: State) -> None:
    # Until the new version ends, the text and its end on record are those of the one before.
    assert replace(WHOLE, state=state).is_whole is not state.is_live
    assert not replace(WHOLE, state=state, is_deleted=True).is_whole


@pytest.mark.parametrize(("action", "answer", "sentence"), REFUSALS)
@pytest.mark.parametrize("user_id", ["UADA", "U9"])
def test_asker_or_admin_reads_why_an_action_is_refused(
    action: ReplyAction, answer: AnswerRecord | None, sentence: str | None, user_id: str
) -> None:
    assert refusal(action, answer, user_id, ADMINS) == sentence


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("answer", [GROWING, WHOLE, OFFER, EXPIRED])
def test_others_may_only_choose_see_the_previous_version_and_give_feedback(
    action: ReplyAction, answer: AnswerRecord
) -> None:
    sentence = refusal(action, answer, "U5", ADMINS)
    if action in FOR_ALL:
        assert sentence == refusal(action, answer, "UADA", ADMINS)
    else:
        assert sentence is not None
        assert sentence.startswith(("Only <@UADA> or a Typist admin can", "Only a Typist admin can"))


def test_asker_who_is_no_admin_allows_no_tool_for_good() -> None:
    asks = replace(GROWING, calls=(decided(CallState.ASKED, None),))
    assert refusal(ReplyAction.ALLOW_ALWAYS, asks, "UADA", ADMINS) == texts.approvals.ONLY_ADMIN_ALLOWS
    assert refusal(ReplyAction.ALLOW_ALWAYS, asks, "U9", ADMINS) is None


def test_others_who_press_answer_now_read_that_only_its_asker_can() -> None:
    assert (
        refusal(ReplyAction.REGENERATE, OFFER, "U5", ADMINS) == "Only <@UADA> or a Typist admin can press Answer now."
    )
    assert refusal(ReplyAction.REGENERATE, OFFER, "UADA", ADMINS) is None


FOR_ALL = (
    ReplyAction.FEEDBACK,
    ReplyAction.FEEDBACK_REASON,
    ReplyAction.DETAILS,
    ReplyAction.TABLES,
    ReplyAction.CHOOSE,
    ReplyAction.ARGUMENTS,
    # The service also allows it to people who can change the channel's settings.
    ReplyAction.KEEP_TEST,
)
ASK = ApprovalCard("notes.add", '{"text": "Milk"}', "0.0.0.hash", title="Add")
ADMIN_ASK = replace(ASK, can_allow_always=True)
EDITABLE_ASK = replace(ASK, fields=argument_fields({"text": "Milk", "count": 2}))
CUT_ASK = replace(ADMIN_ASK, fields=(ArgumentField("text", "long " * 1_000),))
STOP, CONTINUE, PREVIOUS = "stop", "continue", "previous"
ONLY_REGENERATE = "regenerate"
REGENERATE = [ONLY_REGENERATE, "regenerate_with"]
CALL_DETAILS = "arguments"
THUMBS = ["feedback-up", "feedback-down"]
FEEDBACK_AND_DELETE = [*THUMBS, "delete"]
CHOICES = ("<!channel>", "*Staging* & :tada:", "x" * 75, "y" * 76, "y" * 200)
LABELS = [*CHOICES[:3], f"{'y' * 74}…", f"{'y' * 74}…"]
PROPOSAL = ApprovalCard(
    REMEMBER, json.dumps({"text": "Tea at four.", "for": "channel"}), "0.0.0.hash", expires_at=1_764_000_000.0
)
REMEMBERED = (Notice(NoticeKind.REMEMBERED, "Remembered."),)
LONG = "word " * (CANVAS_MIN_CHARS // 5)


def decided(state: CallState, decision: Decision | None, by: str = "") -> RecordedCall:
    return RecordedCall(0, 0, "", "notes__add", {"text": "Milk"}, "hash", state, decision=decision, decided_by=by)


def agreed(tool: str) -> RecordedCall:
    return replace(decided(CallState.DONE, Decision.APPROVED, "U1"), tool=tool, item_no=3)


SHOWN: list[tuple[PageView, list[str]]] = [
    (PageView("", growing=True), [STOP]),
    (PageView("Half of", growing=True), [STOP]),
    (PageView("Half of", growing=True, has_stop=True), []),
    (PageView("A page that is full"), []),
    (ended("All of it", End(EndReason.WHOLE)), [*REGENERATE, *FEEDBACK_AND_DELETE]),
    (
        ended("Half of", End(EndReason.STOPPED), has_previous=True, has_next=True),
        ["regenerate", PREVIOUS, "next", "regenerate_with", "delete"],
    ),
    (
        ended("All of it", End(EndReason.WHOLE), has_previous=True),
        ["regenerate", PREVIOUS, "regenerate_with", *FEEDBACK_AND_DELETE],
    ),
    (
        ended("As much as", End(EndReason.LENGTH_LIMIT)),
        [CONTINUE, *REGENERATE, *FEEDBACK_AND_DELETE],
    ),
    (ended("Half of", End(EndReason.STOPPED)), [CONTINUE, *REGENERATE, "delete"]),
    (
        ended("Half of", End(EndReason.STOPPED), has_previous=True),
        [CONTINUE, "regenerate", PREVIOUS, "regenerate_with", "delete"],
    ),
    (
        ended("Half of", End(EndReason.CUT, sentence_notice("It failed."))),
        [CONTINUE, *REGENERATE, *FEEDBACK_AND_DELETE],
    ),
    (
        ended("Half of", End(EndReason.REFUSED, sentence_notice("It failed."))),
        [*REGENERATE, *FEEDBACK_AND_DELETE],
    ),
    (ended("", End(EndReason.STOPPED, sentence_notice("Stopped."))), [ONLY_REGENERATE, "delete"]),
    (ended("", End(EndReason.CUT, sentence_notice("It failed."))), [ONLY_REGENERATE, "delete"]),
    (ended("", End(EndReason.WHOLE, sentence_notice("Ask me anything."))), []),
    (ended("", End(EndReason.COMMAND, REMEMBERED)), ["undo", "delete"]),
    (ended("", End(EndReason.COMMAND, sentence_notice("Undone."))), ["delete"]),
    (ended("- Tea (number 1, Ada)", End(EndReason.COMMAND)), ["delete"]),
    (
        ended("Done.", End(EndReason.WHOLE), calls=[agreed(REMEMBER)]),
        ["details", *FEEDBACK_AND_DELETE],
    ),
    (ended("", End(EndReason.NOTHING_ASKED, sentence_notice("Ask me anything."))), []),
    (ended("All of it", End(EndReason.DENIED, sentence_notice("No access."))), []),
    (ended("", End(EndReason.OFFERED, sentence_notice("Shall I answer?"))), [ONLY_REGENERATE]),
    (
        ended("| a |\n| - |\n" + "| 1 |\n" * 3, End(EndReason.WHOLE)),
        ["regenerate", "tables", "regenerate_with", *FEEDBACK_AND_DELETE],
    ),
    (ended("All of it", End(EndReason.WHOLE), is_followed=True), [*THUMBS, "more"]),
    (ended("", End(EndReason.STOPPED), is_followed=True), ["more"]),
    (ended("", End(EndReason.OFFERED), is_followed=True), [ONLY_REGENERATE]),
    (ended("All of it", End(EndReason.WHOLE), is_followed=True, is_deleted=True), []),
    (PageView("", growing=True, asks=(ASK,)), ["approve", "deny", CALL_DETAILS, STOP]),
    (
        PageView("", growing=True, asks=(replace(ADMIN_ASK, decision=Decision.DENIED), ASK)),
        ["approve", "deny", CALL_DETAILS, STOP],
    ),
    (PageView("I'll do it.", growing=True, asks=(ADMIN_ASK,)), ["approve", "deny", "allow_always", CALL_DETAILS, STOP]),
    (PageView("", growing=True, asks=(EDITABLE_ASK,)), ["approve", "edit", "deny", CALL_DETAILS, STOP]),
    (PageView("", growing=True, asks=(replace(EDITABLE_ASK, max_shown_chars=3),)), ["arguments", "edit", "deny", STOP]),
    (PageView("", growing=True, asks=(PROPOSAL,)), ["approve", "deny"]),
    (PageView("", growing=True, asks=(replace(PROPOSAL, decision=Decision.DENIED), PROPOSAL)), ["approve", "deny"]),
    (PageView("", growing=True, asks=(PROPOSAL, ASK)), ["approve", "deny", "approve", "deny", CALL_DETAILS, STOP]),
    (
        ended(
            "Done.", End(EndReason.WHOLE, (Notice(NoticeKind.SCHEDULED, "Scheduled.", 3),)), calls=[agreed(SCHEDULE)]
        ),
        ["schedule_stop", "details", *FEEDBACK_AND_DELETE],
    ),
    (
        ended("Done.", End(EndReason.WHOLE, REMEMBERED), calls=[agreed(REMEMBER)]),
        ["undo", "details", *FEEDBACK_AND_DELETE],
    ),
    (PageView("", growing=True, asks=(CUT_ASK,)), ["arguments", "deny", STOP]),
    (
        ended("All of it", End(EndReason.WHOLE), calls=[decided(CallState.DONE, None)]),
        ["regenerate", "details", "regenerate_with", *FEEDBACK_AND_DELETE],
    ),
    (
        ended(LONG, End(EndReason.WHOLE), optional=[ReplyAction.CANVAS]),
        ["regenerate", "canvas", "regenerate_with", *FEEDBACK_AND_DELETE],
    ),
    (
        ended("All of it", End(EndReason.WHOLE), optional=[ReplyAction.KEEP_TEST]),
        [*REGENERATE, *FEEDBACK_AND_DELETE, "more"],
    ),
    (ended("Half of", End(EndReason.STOPPED), optional=[ReplyAction.KEEP_TEST]), [CONTINUE, *REGENERATE, "delete"]),
    (
        ended("Which?", End(EndReason.WHOLE, choices=CHOICES)),
        [*(f"choose-{index}" for index in range(5)), *REGENERATE, *FEEDBACK_AND_DELETE],
    ),
]


@pytest.mark.parametrize(
    ("call", "heading"),
    [
        (decided(CallState.DONE, None), "`notes.add`: done"),
        (decided(CallState.DONE, Decision.APPROVED, "U1"), "`notes.add`: done, approved by Ada"),
        (decided(CallState.FAILED, Decision.APPROVED, "U2"), "`notes.add`: failed, approved by U2"),
        (decided(CallState.DONE, Decision.EDITED, "U1"), "`notes.add`: done, approved with changes by Ada"),
        (decided(CallState.DENIED, Decision.DENIED, "U1"), "`notes.add`: not made, denied by Ada"),
        (decided(CallState.DENIED, Decision.REPLIED, "U1"), "`notes.add`: not made, Ada wrote instead"),
        (decided(CallState.DENIED, Decision.EXPIRED), "`notes.add`: not made, nobody decided in time"),
        (decided(CallState.DENIED, None), "`notes.add`: not made"),
    ],
)
def test_details_say_what_became_of_a_call_and_who_decided(call: RecordedCall, heading: str) -> None:
    assert call_details([call], {"U1": "Ada"}).splitlines()[0] == heading
    other = decided(CallState.DONE, Decision.APPROVED, "U0")
    assert decider_ids([call, other, call]) == [*([call.decided_by] if call.decided_by else []), "U0"]


def test_decided_calls_keep_their_places_while_others_wait() -> None:
    waiting, denied = decided(CallState.ASKED, None), decided(CallState.DENIED, Decision.DENIED, "U1")
    refused, unasked = decided(CallState.DENIED, None), decided(CallState.DONE, None)
    asks = approval_cards([denied, refused, waiting, unasked], 0, None)
    assert [ask.decision for ask in asks] == [Decision.DENIED, None]
    assert approval_cards([denied, refused, unasked], 0, None) == ()


def test_plain_page_names_the_calls_that_it_has_no_buttons_for() -> None:
    decided = ApprovalCard("notes.list", "{}", "0.0.2.hash", decision=Decision.APPROVED)
    asks = (ASK, ApprovalCard("files.get", "{}", "0.0.1.hash", title="Get files.com"), decided, ASK, PROPOSAL)
    message = reply_blocks.message(PageView("I'll do it.", growing=True, asks=asks, plain=True))
    assert message["blocks"] == []
    text = message["text"].replace(JOINER, "")
    about = "“Add?”, “Get files.com?” and what to remember"
    assert text.startswith(f"I'll do it.\n\nI need your decision on {about}, but Slack rejected my buttons.")
    assert "files.com" not in message["text"], "Slack makes no link of a tool's title"


@pytest.mark.parametrize(("effort", "is_offered"), [("", True), ("normal", True), ("fast", True), ("thorough", False)])
def test_answer_that_was_not_thorough_offers_to_think_longer(effort: str, is_offered: bool) -> None:
    blocks = reply_blocks.message(ended("All of it", End(EndReason.WHOLE, effort=effort)))["blocks"]
    offered = [button["action_id"] for button in blocks[-1]["elements"]]
    assert (ReplyAction.REGENERATE_WITH in offered) == is_offered


@pytest.mark.parametrize(("view", "buttons"), SHOWN)
def test_last_page_has_the_buttons_for_its_answers_state(view: PageView, buttons: list[str]) -> None:
    shown = reply_blocks.message(view)["blocks"]
    assert [
        element["action_id"] for block in shown for element in block.get("elements", ()) if "action_id" in element
    ] == buttons
    assert check_blocks(shown)


@pytest.mark.parametrize(
    ("record", "buttons", "menu"),
    [
        ({}, [], ["regenerate", "regenerate_with", "delete"]),
        ({"has_previous": True}, [], ["regenerate", "previous", "regenerate_with", "delete"]),
        (
            {"has_previous": True, "has_next": True, "calls": [decided(CallState.DONE, None)]},
            ["regenerate"],
            ["previous", "next", "details", "regenerate_with", "delete"],
        ),
    ],
)
def test_earlier_answer_has_a_menu_with_the_last_five_of_the_actions_that_are_possible(
    record: dict[str, Any], buttons: list[str], menu: list[str]
) -> None:
    shown = reply_blocks.message(ended("Yes.", End(EndReason.WHOLE), is_followed=True, **record))["blocks"]
    *before, more = shown[-1]["elements"]
    assert [one["action_id"] for one in before] == [*buttons, *THUMBS]
    assert [ReplyAction(option["value"]) for option in more["options"]] == menu
    possible = below(End(EndReason.WHOLE), "Yes.", is_followed=True, **record).actions
    assert possible == below(End(EndReason.WHOLE), "Yes.", **record).actions >= {*buttons, *menu}
    assert check_blocks(shown)


def test_choices_are_labels_in_which_nothing_is_markup() -> None:
    blocks = reply_blocks.message(
        PageView("Which?", version=2, end=below(End(EndReason.WHOLE, choices=CHOICES), "Which?"))
    )["blocks"]
    [choices] = [block["elements"] for block in blocks if "choose-0" in str(block)]
    assert [button["text"] for button in choices] == [{"type": "plain_text", "text": label} for label in LABELS]
    assert [button["value"] for button in choices] == ["2.0", "2.1", "2.2", "2.3", "2.4"]


@pytest.mark.parametrize(
    ("view", "footer"),
    [
        (ended("All", End(EndReason.WHOLE, footer="openai/test")), "openai/test"),
        (ended("Half", End(EndReason.STOPPED, footer="openai/test")), "openai/test · stopped"),
        (
            ended("Half", End(EndReason.LENGTH_LIMIT, footer="openai/test")),
            "openai/test · incomplete",
        ),
        (
            ended("Half", End(EndReason.STEP_LIMIT, footer="openai/test")),
            "openai/test · incomplete",
        ),
        (
            ended("Half", End(EndReason.SHUT_OUT, footer="openai/test")),
            "openai/test · incomplete",
        ),
        (
            ended("Half", End(EndReason.CUT, footer="fell back to openai/other")),
            "fell back to openai/other · incomplete",
        ),
        (ended("Half", End(EndReason.STOPPED)), "stopped"),
    ],
)
def test_footer_names_the_model_and_an_incomplete_answer(view: PageView, footer: str) -> None:
    small_print = [block["elements"] for block in reply_blocks.message(view)["blocks"] if block["type"] == "context"]
    assert [element["text"] for (element,) in small_print] == [footer]


@pytest.mark.parametrize(
    ("decided", "line"),
    [
        ([DecidedCalls(Decision.APPROVED, "U1", 1)], "Approved by Ada"),
        ([DecidedCalls(Decision.APPROVED, "U1", 2)], "2 calls approved by Ada"),
        ([DecidedCalls(Decision.EDITED, "U1", 1)], "Approved with changes by Ada"),
        (
            [DecidedCalls(Decision.EDITED, "U1", 1), DecidedCalls(Decision.APPROVED, "U2", 1)],
            "1 call approved with changes by Ada · 1 call approved by U2",
        ),
        ([DecidedCalls(Decision.DENIED, "U1", 1, "sign_in")], "I continued without a sign-in, as Ada decided"),
        ([DecidedCalls(Decision.DENIED, "U1", 2, "remember")], "I won't remember this, as Ada decided"),
        ([DecidedCalls(Decision.DENIED, "", 1)], f"Denied by {texts.approvals.SOMEBODY}"),
        (
            [DecidedCalls(Decision.APPROVED, "U1", 1), DecidedCalls(Decision.DENIED, "U2", 2)],
            "1 call approved by Ada · 2 calls denied by U2",
        ),
    ],
)
def test_who_decided_stays_below_the_answer(decided: list[DecidedCalls], line: str) -> None:
    end = Picture(EndReason.WHOLE, decisions=tuple(decided)).with_names({"U1": "Ada"}, ())
    blocks = reply_blocks.message(PageView("All", end=end))["blocks"]
    assert line in [block["elements"][0]["text"] for block in blocks if block["type"] == "context"]
    assert check_blocks(blocks)


def test_decisions_are_counted_by_person_and_those_that_nobody_made_are_not() -> None:
    by_ada = decided(CallState.DONE, Decision.APPROVED, "U1")
    calls = [by_ada, decided(CallState.DENIED, Decision.EXPIRED), decided(CallState.DONE, None), by_ada]
    assert decisions_by_button(calls) == (DecidedCalls(Decision.APPROVED, "U1", 2),)
