"""Questions that are answered together are all before the model, whatever Slack tells of the conversation."""

from collections.abc import Sequence

from bot.core.conversation import Job, Message


def with_earlier(job: Job, messages: Sequence[Message]) -> list[Message]:
    """The conversation with the job's earlier questions at its end: what we answered meanwhile was not for them.

    Those that Slack does not tell of are as they were asked.
    """
    told = {message.ts: message for message in messages}
    earlier = [told.pop(each.ts) if each.ts in told else each.as_message() for each in job.earlier]
    return [*told.values(), *earlier]
