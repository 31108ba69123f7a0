"""Messages and questions for tests of core."""

from dataclasses import replace

from bot.core.conversation import Message, Question, ThreadKey
from bot.core.job import Checkpoint, Job, MessageRole, RecordedMessage
from bot.core.triage import Identity
from bot.reply.answer import Answer
from bot.reply.reply import Reply

ME = Identity(team_id="T1", user_id="UBOT", bot_id="BBOT", name="typist")


def message(text: str, ts: str = "10.0", user_id: str | None = "UADA", **changes: str | bool | None) -> Message:
    fields: dict[str, str | bool | None] = {"team_id": "T1", "channel_id": "C1", **changes}
    return Message(ts=ts, text=text, user_id=user_id, **fields)  # type: ignore[arg-type]


def question(text: str = "why?", ts: str = "10.0", thread_ts: str | None = "10.0") -> Question:
    return Question(ThreadKey("T1", "C1", thread_ts), ts, "UADA", text)


def job(version: int = 0) -> Job:
    return Job(1, question(), 1, version=version)


def answer(left: str = "") -> Answer:
    """Returns the answer to such a question. `left`: what an earlier attempt left of it."""
    return Answer(replace(job(), checkpoint=Checkpoint(left)))


def reply_on_short_pages(chars: int) -> Reply:
    class ShortPages(Reply):
        page_chars = chars

    return ShortPages(answer())


def recorded_pages(*ts: str, version: int = 0) -> tuple[RecordedMessage, ...]:
    return tuple(RecordedMessage(message_ts, MessageRole.PAGE, version) for message_ts in ts)
