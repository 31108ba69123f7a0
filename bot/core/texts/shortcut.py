"""Text about questions about a message: the modal, the question in the thread, and clicked choices."""

ASK_TITLE = "Ask about a message"
ASK = "Ask"
EXPLAIN = "Explain this."
NO_TEXT = "(no text)"
QUESTION_LABEL = "Your question"
QUESTION_HINT = "I'll post it in the message's thread, where everyone can see it."
MESSAGE_DELETED = "The message you're asking about was deleted."
QUESTION_REFUSED = "Slack won't let me do that right now. Please try again in a minute."
NOT_SAVED_YET = (
    "My database has a problem, so I can't save your message. I'll answer once that's fixed. If I don't, please send "
    "it again."
)
QUESTION_NOT_SAVED = "I can't save your question right now. Please try again in a minute."
QUESTION_MAYBE_ASKED = (
    "I don't know whether Slack posted your question. If you don't see it, please ask again from the message's menu."
)
ASKED_IN_THREAD = "I posted your question in the message's thread. I'll answer there."
ASKED_IN_DIRECT_MESSAGE = "I can't post in that thread, so I'll answer in our direct message."


def message_from(writer: str) -> str:
    return f"Message from {writer}:" if writer else "Message:"


CHOSEN = "✓"
MY_CHOICE = "My choice:"
"""The beginning of the message that is posted for a person who clicks a choice. The choice follows it."""


def chosen_by(asker: str) -> str:
    return f"{asker} chose:"


def asker_line(asker: str) -> str:
    return f"{asker} asks:"


def asks_about_this(asker: str) -> str:
    return f"{asker} asks about this message:"


def asks_about_message_in(asker: str, channel: str) -> str:
    return f"{asker} asks about a message in {channel}, where I can't post:"
