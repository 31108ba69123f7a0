"""Counts the Web API calls of each answer, by method.

Slack doesn't identify the question that a call belongs to. A call is counted for a question by the first of these rules
that applies:

1. It refers to a message of the app that was counted before.
2. Its metadata refers to a message in the conversation, possibly the app's own.
3. The conversation's newest message by somebody else is the question.

Calls that don't refer to a conversation (users.info, files.info) are only counted in the meters.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from slack_sandbox.web_api.http import CallRecord
from slack_sandbox.workspace import Json, Message, SlackError, Workspace

_MAX_ANSWERS = 50
_SHOWN = 8
_TEXT_CHARS = 80
_UNRELATED = frozenset({"conversations.info", "conversations.members", "reactions.add", "reactions.remove"})
"""Methods that refer to a channel but aren't called for a specific question."""

Place = tuple[str, str]
"""A message: channel and ts."""


@dataclass(slots=True)
class _Answer:
    question: Message
    calls: Counter[str] = field(default_factory=Counter)
    failed: int = 0


@dataclass
class AnswerCalls:
    workspace: Workspace
    _answers: dict[Place, _Answer] = field(default_factory=dict)
    _question_of: dict[Place, Place] = field(default_factory=dict)

    def record(self, call: CallRecord) -> None:
        if call.channel is None or call.method in _UNRELATED:
            return
        question = self._question(call)
        if question is None:
            return
        place = (question.channel, question.ts)
        if call.ts is not None and call.method.startswith("chat."):
            self._question_of[call.channel, call.ts] = place
        answer = self._answers.setdefault(place, _Answer(question))
        answer.calls[call.method] += 1
        answer.failed += not call.ok
        self._drop_oldest()

    def messages_for_same_question(self, place: Place) -> list[Place]:
        """Returns the app's messages for the same question, including deleted ones."""
        question = self._question_of.get(place)
        return [other for other, of in self._question_of.items() if of == question] if question else []

    def question_of(self, place: Place) -> Message | None:
        """Returns the question that a message of the app answers, or None if it isn't known."""
        answer = self._answers.get(self._question_of.get(place, place))
        return answer.question if answer and place in self._question_of else None

    def newest_json(self) -> list[Json]:
        newest = sorted(self._answers.values(), key=lambda answer: answer.question.ts, reverse=True)
        return [self._answer_json(answer) for answer in newest[:_SHOWN]]

    def _question(self, call: CallRecord) -> Message | None:
        assert call.channel is not None
        if known := self._question_of.get((call.channel, call.ts or "")):
            return self._answers[known].question
        thread_ts = call.arguments.get("thread_ts")
        if call.method == "conversations.replies":
            thread_ts = call.ts
        try:
            channel = self.workspace.channel(call.channel)
            if thread_ts is None and channel.type != "im":
                return None
            if thread_ts is None:
                messages = [message for message in self.workspace.messages(channel.id) if message.thread_ts is None]
            else:
                root = self.workspace.message(channel.id, str(thread_ts))
                messages = [root, *self.workspace.replies(channel.id, root.ts)]
        except SlackError:
            return None
        # A scheduled answer can be below one of the app's own messages, which the call then refers to.
        asked = [message for message in messages if message.user_id != self.workspace.bot.id]
        return _message_in_metadata(call, messages) or (asked[-1] if asked else None)

    def _drop_oldest(self) -> None:
        while len(self._answers) > _MAX_ANSWERS:
            oldest = min(self._answers, key=lambda place: place[1])
            del self._answers[oldest]
            self._question_of = {place: of for place, of in self._question_of.items() if of != oldest}

    def _answer_json(self, answer: _Answer) -> Json:
        question = answer.question
        asker = self.workspace.users.get(question.user_id)
        return {
            "channel": question.channel,
            "ts": question.ts,
            "asker": asker.real_name if asker else question.username or "",
            "text": question.text[:_TEXT_CHARS],
            "calls": [{"method": method, "count": count} for method, count in answer.calls.most_common()],
            "failed": answer.failed,
        }


def _message_in_metadata(call: CallRecord, messages: Iterable[Message]) -> Message | None:
    """Returns the message whose ts is among the values of the call's metadata, or None."""
    metadata = call.arguments.get("metadata")
    payload = metadata.get("event_payload") if isinstance(metadata, dict) else None
    named = set(map(str, payload.values())) if isinstance(payload, dict) else set()
    return next((message for message in messages if message.ts in named), None)
