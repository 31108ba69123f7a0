"""Who may press which button when, and which buttons an answer has: the sentences, and blocks that Slack takes."""

from typing import Any

import pytest

from bot.core.answering import blocks, controls
from bot.core.answering.controls import Control, Kept, State, refusal
from bot.core.answering.reply import End, View
from bot.core.completion import FinishReason
from sandbox.rules import check_blocks
from tests.core.conversations import question

ADMINS = frozenset({"U9"})
EVERY = list(Control)


def kept(state: State, finish_reason: FinishReason | None = FinishReason.STOP, **more: Any) -> Kept:
    """Asked by U1, and by U2 together with it."""
    asked = more.pop("question", question("why?"))
    model = more.pop("model", "openai/test")
    return Kept(7, asked, state, frozenset({"U1", "U2"}), ("1.0",), model=model, finish_reason=finish_reason, **more)


GROWING, WHOLE = kept(State.GROWING, None), kept(State.ENDED)
CUT = kept(State.ENDED, FinishReason.LENGTH)
REFUSALS: list[tuple[Control, Kept | None, str | None]] = [
    *((control, None, controls.NOT_KNOWN) for control in EVERY),
    *((control, kept(State.DELETED), controls.DELETED) for control in EVERY),
    (Control.STOP, kept(State.WAITING, None), None),
    (Control.STOP, GROWING, None),
    (Control.STOP, WHOLE, controls.ENDED),
    (Control.STOP, kept(State.STOPPED, None), controls.STOPPED),
    (Control.AGAIN, GROWING, controls.NOT_YET),
    (Control.AGAIN, WHOLE, None),
    (Control.AGAIN, kept(State.STOPPED, None), None),
    (Control.AGAIN, kept(State.ENDED, question=question("")), controls.EXPIRED),
    (Control.GO_ON, GROWING, controls.NOT_YET),
    (Control.GO_ON, CUT, None),
    (Control.GO_ON, WHOLE, controls.WHOLE),
    (Control.GO_ON, kept(State.STOPPED, None), controls.NOT_CUT),
    (Control.GO_ON, kept(State.ENDED, FinishReason.LENGTH, question=question("")), controls.EXPIRED),
    (Control.PREVIOUS, WHOLE, controls.NO_PREVIOUS),
    (Control.PREVIOUS, kept(State.ENDED, previous="before"), None),
    (Control.PREVIOUS, kept(State.GROWING, None, previous="before"), None),
    (Control.FEEDBACK, GROWING, controls.NOT_YET),
    (Control.FEEDBACK, WHOLE, None),
    (Control.FEEDBACK, kept(State.ENDED, model=None), controls.NOTHING_TO_RATE),
    (Control.DELETE, GROWING, None),
    (Control.DELETE, WHOLE, None),
]


@pytest.mark.parametrize(("control", "answer", "sentence"), REFUSALS)
@pytest.mark.parametrize("user_id", ["U1", "U2", "U9"])
def test_those_who_asked_and_admins_are_told_why_not_now(
    control: Control, answer: Kept | None, sentence: str | None, user_id: str
) -> None:
    assert refusal(control, answer, user_id, ADMINS) == sentence


@pytest.mark.parametrize("control", EVERY)
@pytest.mark.parametrize("answer", [GROWING, WHOLE, CUT])
def test_somebody_else_may_read_and_rate_and_nothing_more(control: Control, answer: Kept) -> None:
    said = refusal(control, answer, "U5", ADMINS)
    if control in (Control.PREVIOUS, Control.FEEDBACK):
        assert said == refusal(control, answer, "U1", ADMINS)
    else:
        assert said is not None
        assert said.startswith("Only the person who asked and this bot's admins can")


STOP, AGAIN, GO_ON, PREVIOUS = "stop", "regenerate", "continue", "previous"
QUIET = ["feedback", "delete"]
SHOWN: list[tuple[View, list[str]]] = [
    (View("", growing=True), [STOP]),
    (View("Half of", growing=True), [STOP]),
    (View("A page that is full"), []),
    (View("All of it", ended=End.WHOLE), [AGAIN, *QUIET]),
    (View("All of it", ended=End.WHOLE, previous=True), [AGAIN, PREVIOUS, *QUIET]),
    (View("As much as", ended=End.LENGTH), [GO_ON, AGAIN, *QUIET]),
    (View("Half of", ended=End.STOPPED), [AGAIN, *QUIET]),
    (View("", notice="Stopped.", ended=End.STOPPED), [AGAIN, "delete"]),
    (View("", notice="It failed.", ended=End.PART), [AGAIN, "delete"]),
    (View("", notice="Ask me anything.", ended=End.WHOLE), []),
]


@pytest.mark.parametrize(("view", "buttons"), SHOWN)
def test_a_page_has_the_buttons_that_its_answer_can_do_with(view: View, buttons: list[str]) -> None:
    shown = blocks.message(view)["blocks"]
    assert [
        element["action_id"] for block in shown for element in block.get("elements", ()) if "action_id" in element
    ] == buttons
    assert check_blocks(shown)


@pytest.mark.parametrize(
    ("view", "footer"),
    [
        (View("All", ended=End.WHOLE, footer="openai/test"), "openai/test"),
        (View("Half", ended=End.STOPPED, footer="openai/test"), "openai/test · stopped"),
        (View("Half", ended=End.LENGTH, footer="openai/test"), "openai/test · cut"),
        (View("Half", ended=End.PART, footer="fell back to openai/other"), "fell back to openai/other · cut"),
        (View("Half", ended=End.STOPPED), "stopped"),
    ],
)
def test_one_quiet_line_says_who_wrote_it_and_that_it_is_not_whole(view: View, footer: str) -> None:
    quiet = [block["elements"] for block in blocks.message(view)["blocks"] if block["type"] == "rich_text"]
    assert [section["elements"][0]["text"] for (section,) in quiet] == [footer]
