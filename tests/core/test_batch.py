"""Questions that waited together stand together at the end of what the model is told."""

from bot.core.conversation import Job, Question, ThreadKey
from bot.core.inbound.batch import with_earlier_questions
from tests.core.conversations import message

THREAD = ThreadKey("T1", "C1", "1.0")


def asked(ts: str, text: str) -> Question:
    return Question(THREAD, ts, "UADA", text)


def test_they_come_after_what_was_answered_meanwhile() -> None:
    job = Job(3, asked("4.0", "third?"), 1, earlier=(asked("2.0", "second? (as asked)"), asked("3.0", "lost?")))
    told = [message("first?", ts="1.0"), message("second?", ts="2.0"), message("An answer.", ts="5.0", user_id="UBOT")]
    assert [each.text for each in with_earlier_questions(job, told)] == ["first?", "An answer.", "second?", "lost?"]
