"""Batched questions come together at the end of the prompt."""

from bot.core.conversation import Question, ThreadKey
from bot.core.job import Job
from bot.core.prompt import with_earlier_questions
from tests.core.conversations import message

THREAD = ThreadKey("T1", "C1", "1.0")


def question_of(ts: str, text: str) -> Question:
    return Question(THREAD, ts, "UADA", text)


def test_batched_questions_come_after_answers_written_meanwhile() -> None:
    job = Job(
        3,
        question_of("4.0", "third?"),
        1,
        earlier=(question_of("2.0", "second? (as asked)"), question_of("3.0", "lost?")),
    )
    history = [
        message("first?", ts="1.0"),
        message("second?", ts="2.0"),
        message("An answer.", ts="5.0", user_id="UBOT"),
    ]
    assert [read.text for read in with_earlier_questions(job, history)] == ["first?", "An answer.", "second?", "lost?"]
