"""Text about notifying people: the tool's card, the message to the people, and copies of answers in the channel."""

from collections.abc import Sequence

from bot.core.texts.words import CardWords, count, listed

SEND_TO_CHANNEL = "Also send to channel"
SENDING = "I'm sending this answer to the channel. You'll see it there in a moment."
ALREADY_SENT = "I've already sent this answer to the channel."
NOT_SENT = "I couldn't send this answer to the channel: Slack didn't accept it. Please share a link to it instead."
NOTIFY, DONT_NOTIFY = "Notify", "Don't notify"
CARDS = {
    "notify": CardWords(
        "Notifying people…",
        "I won't notify anyone",
        "should I notify the people that I listed above?",
        "who to notify",
    )
}
TERMS = "I'll mention them in this thread, and say that you asked me to."
TERMS_IN_CHANNEL = "I'll write this in the channel and in this thread, and say that you asked me to."
NOBODY_LEFT = "I didn't notify anyone, because these people aren't in this channel anymore."


def card_question(names: Sequence[str], *, in_channel: bool) -> str:
    """Returns a card's question. `names`: the names of the people to mention."""
    if not names:
        return "Should I send this to the channel?"
    people = f"{listed(names)} ({len(names)} people)" if len(names) > 1 else names[0]
    return f"Should I notify {people}{' and send this to the channel' if in_channel else ''}?"


def heading(mentions: str, asker: str) -> str:
    """Returns the line above a text for people or, if there are no `mentions`, for the whole channel. `mentions`: in
    Slack's syntax."""
    person = asker or "Somebody in this thread"
    return f"{mentions}, {person} asked me to tell you:" if mentions else f"{person} asked me to post this:"


def notified_notice(names: Sequence[str], left: int) -> str:
    """Returns the notice below the answer. `left`: the number of people who have left the channel."""
    gone = f" {count(left, 'person is', 'people are')} not in this channel anymore." if left else ""
    return f"I notified {listed(names)}.{gone}" if names else f"I sent this to the channel.{gone}"


def sent_by(person: str) -> str:
    """Returns the line to show above a copy of an answer in a channel."""
    return f"{person or 'The person who asked'} sent this answer to the channel."


REST_IN_THREAD = "The rest of the answer is in the thread."
