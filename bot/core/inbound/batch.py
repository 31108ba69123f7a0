"""Questions that are answered together all go into the prompt, even if Slack's history lacks one of them."""

from collections.abc import Sequence

from bot.core.conversation import Job, Message


def with_earlier_questions(job: Job, messages: Sequence[Message]) -> list[Message]:
    """Returns the conversation with the job's earlier questions moved to its end.

    The bot's answers between them were to other questions. A question that is missing from `messages` is added
    with its original text.
    """
    by_ts = {message.ts: message for message in messages}
    earlier = [by_ts.pop(question.ts) if question.ts in by_ts else question.as_message() for question in job.earlier]
    return [*by_ts.values(), *earlier]
