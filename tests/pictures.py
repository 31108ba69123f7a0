"""What stands below an answer, for tests of what is shown."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from bot.core import texts
from bot.core.actions import ReplyAction
from bot.core.calls import REMEMBER, SCHEDULE, CallState, Decision, RecordedCall
from bot.core.job import AnswerRecord, End, Notice, NoticeKind, State
from bot.core.picture import CANVAS_MIN_CHARS, Picture
from bot.errors import EndReason
from bot.models.events import Citation
from slack_probe.forms import below as below
from slack_probe.forms import ended as ended
from tests.core.conversations import question

TEXT = "word " * CANVAS_MIN_CHARS
UNREAD, REMEMBERED, SCHEDULED = "Not read: a.zip.", "Remembered as number 1.", "Runs daily, as number 3."
NUMBER = 3
END = End(
    EndReason.WHOLE,
    (
        Notice(NoticeKind.REMEMBERED, REMEMBERED),
        Notice(NoticeKind.SCHEDULED, SCHEDULED, NUMBER),
        Notice(NoticeKind.UNREAD, UNREAD),
    ),
    "openai/gpt-test",
    sources=(Citation("https://a.example", "A"),),
    choices=("Staging", "Production"),
)
CALL = RecordedCall(0, 0, "", "notes__add", {}, "hash", CallState.DONE, decision=Decision.APPROVED, decided_by="U1")
CALLS = tuple(replace(CALL, index=index, tool=tool, item_no=index) for index, tool in enumerate((CALL.tool, REMEMBER)))
CALLS += (replace(CALL, index=2, tool=SCHEDULE, item_no=NUMBER),)

FACTS: Mapping[str, Callable[[Picture], bool]] = {
    "files that were not read": lambda shown: UNREAD in shown.notices,
    "what the model's name and sources are": lambda shown: (shown.footer, len(shown.sources)) == (END.footer, 1),
    "who decided": lambda shown: [one.user_id for one in shown.decisions] == ["U1"],
    "Details": lambda shown: ReplyAction.DETAILS in shown.buttons,
    "what was remembered": lambda shown: ReplyAction.UNDO in shown.buttons and REMEMBERED in shown.notices,
    "what was scheduled": lambda shown: shown.schedule_id == NUMBER and SCHEDULED in shown.notices,
    "Save as canvas": lambda shown: ReplyAction.CANVAS in shown.buttons,
    "choices": lambda shown: shown.choices == END.choices,
    "that the question was edited": lambda shown: texts.answers.QUESTION_EDITED in shown.notices,
}
"""What may be seen below an answer that has all of it."""


def recorded(end: End | None = END, text: str = TEXT, **record: Any) -> AnswerRecord:
    """Returns the record of an answer to a question of UADA. `record`: what else is recorded (AnswerRecord)."""
    record = {"question": question("why?"), "state": State.ENDED, **record}
    return AnswerRecord(7, text=text, end=end, **record)


def buttons_below(reason: EndReason = EndReason.WHOLE, text: str = "Yes.", **record: Any) -> list[ReplyAction]:
    """Returns the buttons below a model's answer. `record`: as in `below`."""
    return [*below(End(reason, model="openai/gpt-test"), text, **record).buttons]


def seen(shown: Picture) -> set[str]:
    """Returns which facts a picture shows."""
    return {fact for fact, is_seen in FACTS.items() if is_seen(shown)}
