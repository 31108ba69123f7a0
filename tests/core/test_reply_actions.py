"""Who may press which button when, and which buttons an answer has: the sentences, and blocks that Slack takes."""

from typing import Any

import pytest

from bot.core import texts
from bot.core.job import EndReason
from bot.core.reply.actions import AnswerState, RecordedAnswer, ReplyAction, refusal
from bot.core.reply.state import View
from bot.slack.format import reply_blocks
from sandbox.rules import check_blocks
from tests.core.conversations import question

ADMINS = frozenset({"U9"})
EVERY = list(ReplyAction)


def kept(state: AnswerState, end_reason: EndReason | None = EndReason.WHOLE, **more: Any) -> RecordedAnswer:
    """Asked by U1, and by U2 together with it."""
    asked = more.pop("question", question("why?"))
    model = more.pop("model", "openai/test")
    return RecordedAnswer(
        7, asked, state, frozenset({"U1", "U2"}), ("1.0",), model=model, end_reason=end_reason, **more
    )


GROWING, WHOLE = kept(AnswerState.GROWING, None), kept(AnswerState.ENDED)
CUT = kept(AnswerState.ENDED, EndReason.LENGTH_LIMIT)
REFUSALS: list[tuple[ReplyAction, RecordedAnswer | None, str | None]] = [
    *((control, None, texts.ANSWER_UNKNOWN) for control in EVERY),
    *((control, kept(AnswerState.DELETED), texts.ANSWER_DELETED) for control in EVERY),
    (ReplyAction.STOP, kept(AnswerState.WAITING, None), None),
    (ReplyAction.STOP, GROWING, None),
    (ReplyAction.STOP, WHOLE, texts.ANSWER_FINISHED),
    (ReplyAction.STOP, kept(AnswerState.STOPPED, None), texts.ANSWER_ALREADY_STOPPED),
    (ReplyAction.REGENERATE, GROWING, texts.ANSWER_UNFINISHED),
    (ReplyAction.REGENERATE, WHOLE, None),
    (ReplyAction.REGENERATE, kept(AnswerState.STOPPED, None), None),
    (ReplyAction.REGENERATE, kept(AnswerState.ENDED, question=question("")), texts.QUESTION_EXPIRED),
    (ReplyAction.CONTINUE, GROWING, texts.ANSWER_UNFINISHED),
    (ReplyAction.CONTINUE, CUT, None),
    (ReplyAction.CONTINUE, WHOLE, texts.ANSWER_COMPLETE),
    (ReplyAction.CONTINUE, kept(AnswerState.STOPPED, None), texts.ANSWER_NOT_CUT),
    (
        ReplyAction.CONTINUE,
        kept(AnswerState.ENDED, EndReason.LENGTH_LIMIT, question=question("")),
        texts.QUESTION_EXPIRED,
    ),
    (ReplyAction.PREVIOUS, WHOLE, texts.NO_PREVIOUS_VERSION),
    (ReplyAction.PREVIOUS, kept(AnswerState.ENDED, previous="before"), None),
    (ReplyAction.PREVIOUS, kept(AnswerState.GROWING, None, previous="before"), None),
    (ReplyAction.FEEDBACK, GROWING, texts.ANSWER_UNFINISHED),
    (ReplyAction.FEEDBACK, WHOLE, None),
    (ReplyAction.FEEDBACK, kept(AnswerState.ENDED, model=None), texts.NOTHING_TO_RATE),
    (ReplyAction.DELETE, GROWING, None),
    (ReplyAction.DELETE, WHOLE, None),
]


@pytest.mark.parametrize(("control", "answer", "sentence"), REFUSALS)
@pytest.mark.parametrize("user_id", ["U1", "U2", "U9"])
def test_those_who_asked_and_admins_are_told_why_not_now(
    control: ReplyAction, answer: RecordedAnswer | None, sentence: str | None, user_id: str
) -> None:
    assert refusal(control, answer, user_id, ADMINS) == sentence


@pytest.mark.parametrize("control", EVERY)
@pytest.mark.parametrize("answer", [GROWING, WHOLE, CUT])
def test_somebody_else_may_read_and_rate_and_nothing_more(control: ReplyAction, answer: RecordedAnswer) -> None:
    said = refusal(control, answer, "U5", ADMINS)
    if control in (ReplyAction.PREVIOUS, ReplyAction.FEEDBACK):
        assert said == refusal(control, answer, "U1", ADMINS)
    else:
        assert said is not None
        assert said.startswith("Only the person who asked, or a Typist admin, can")


STOP, AGAIN, GO_ON, PREVIOUS = "stop", "regenerate", "continue", "previous"
QUIET = ["feedback", "delete"]
SHOWN: list[tuple[View, list[str]]] = [
    (View("", growing=True), [STOP]),
    (View("Half of", growing=True), [STOP]),
    (View("A page that is full"), []),
    (View("All of it", ended=EndReason.WHOLE), [AGAIN, *QUIET]),
    (View("All of it", ended=EndReason.WHOLE, previous=True), [AGAIN, PREVIOUS, *QUIET]),
    (View("As much as", ended=EndReason.LENGTH_LIMIT), [GO_ON, AGAIN, *QUIET]),
    (View("Half of", ended=EndReason.STOPPED), [AGAIN, *QUIET]),
    (View("", notice="Stopped.", ended=EndReason.STOPPED), [AGAIN, "delete"]),
    (View("", notice="It failed.", ended=EndReason.CUT), [AGAIN, "delete"]),
    (View("", notice="Ask me anything.", ended=EndReason.WHOLE), []),
]


@pytest.mark.parametrize(("view", "buttons"), SHOWN)
def test_a_page_has_the_buttons_that_its_answer_can_do_with(view: View, buttons: list[str]) -> None:
    shown = reply_blocks.message(view)["blocks"]
    assert [
        element["action_id"] for block in shown for element in block.get("elements", ()) if "action_id" in element
    ] == buttons
    assert check_blocks(shown)


@pytest.mark.parametrize(
    ("view", "footer"),
    [
        (View("All", ended=EndReason.WHOLE, footer="openai/test"), "openai/test"),
        (View("Half", ended=EndReason.STOPPED, footer="openai/test"), "openai/test · stopped"),
        (View("Half", ended=EndReason.LENGTH_LIMIT, footer="openai/test"), "openai/test · incomplete"),
        (
            View("Half", ended=EndReason.CUT, footer="fell back to openai/other"),
            "fell back to openai/other · incomplete",
        ),
        (View("Half", ended=EndReason.STOPPED), "stopped"),
    ],
)
def test_one_quiet_line_says_who_wrote_it_and_that_it_is_not_whole(view: View, footer: str) -> None:
    quiet = [block["elements"] for block in reply_blocks.message(view)["blocks"] if block["type"] == "rich_text"]
    assert [section["elements"][0]["text"] for (section,) in quiet] == [footer]
