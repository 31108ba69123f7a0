"""What a small model reads to decide whether a doubtful message is spoken to the bot. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from bot.core.conversation import Message
from bot.core.inbound.mentions import mentioned_users, with_names
from bot.core.inbound.triage import Identity, by_person

USD_PER_TOKEN = 0.10 / 1_000_000
"""What OpenAI charges for a decision's input. Output is free."""
MAX_MESSAGES = 12
MAX_CHARS = 500
"""Of each message."""
NEEDED_PROBABILITY = 0.8
"""Of decisions that were so sure, 199 of 201 were right (etsabary/luna-decisions-benchmark)."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a model says about a statement."""

    probability: float
    """From 0 to 1; 0 if the model refused to decide."""
    input_tokens: int


def transcript(messages: Iterable[Message], ts: str, me: Identity) -> str:
    """Returns the end of a thread up to the message `ts`: each message with its writer, and no name or ID of people."""
    last = [message for message in messages if message.ts <= ts][-MAX_MESSAGES:]
    writers = [message.user_id or "" for message in last if by_person(message, me)]
    mentioned = [user_id for message in last for user_id in mentioned_users(message.text)]
    people = [user_id for user_id in dict.fromkeys((*writers, *mentioned)) if user_id != me.user_id]
    names = {user_id: f"person {number}" for number, user_id in enumerate(people, start=1)} | {me.user_id: me.name}
    # In one line: the next could imitate another writer.
    said = [" ".join(with_names(message.text, names).split())[:MAX_CHARS] for message in last]
    return "\n".join(f"[{names.get(m.user_id or '', 'an app')}] {text}" for m, text in zip(last, said, strict=True))


def statement(me: Identity) -> str:
    """Returns what must be true for an answer."""
    return (
        f"The last message is spoken to {me.name}, the bot, and needs its answer. It is not spoken to another person, "
        "and it is no remark or thanks that nobody has to answer."
    )
