"""Text of the welcome, the assistant pane, and the first message to the admin who sets up Typist."""

PANE_HEADING = "How can I help?"
PANE_UNTITLED = "Files"
PANE_SUGGESTIONS = {
    "Draft a message": "Help me write a message. First, ask me what it's about and who will read it.",
    "Explain something": "Explain something to me step by step. First, ask me what.",
    "Weigh options": "Help me decide between options. First, ask me what they are and what matters to me.",
}


def suggested_prompts() -> list[dict[str, str]]:
    """Returns PANE_SUGGESTIONS in the form that Slack's manifest and assistant.threads.setSuggestedPrompts expect."""
    return [{"title": title, "message": message} for title, message in PANE_SUGGESTIONS.items()]


WELCOME_IN_DIRECT_MESSAGE = "Hi! Write your question here, and I'll answer it. Or try one of these:"
STOP_OR_QUIET = (
    "To stop an answer, press *Stop* or write “stop”. Write “stay quiet” in a thread, and I'll only answer mentions "
    "there."
)
COMES_BACK = (
    "I can also come back later (“every weekday at 9, sum up what happened here”) and remember things (“remember: …”)."
)
READ_IN_CHANNEL = {
    True: "I read the thread I'm asked in, and other messages in the channel when a question is about them.",
    False: "I read the thread I'm asked in.",
}
SEEN_IN_CHANNEL = {
    reads: f"Everyone in this channel can see my answers. {what_i_read} {STOP_OR_QUIET} {COMES_BACK}"
    for reads, what_i_read in READ_IN_CHANNEL.items()
}
"""Explanations of privacy and of how to stop answers, in mrkdwn, keyed by whether the bot can read the channel."""
SEEN_IN_DIRECT_MESSAGE = (
    "Other people in Slack can't see this conversation. I read its latest messages. To stop an answer, press *Stop* "
    f"or write “stop”. {COMES_BACK}"
)
SUGGESTION_TITLE = "Suggested prompt"
SUGGESTION_GONE = "That suggestion is no longer available. Please ask me in your own words."
SUGGESTION_ASKED = "You asked that a moment ago."
ASKED_FROM_HOME = (
    "I'm posting that in our direct message: see the Messages tab. If it isn't there within a minute, please try again."
)


def welcome_in_channel(mention: str) -> str:
    return f"Hi! Mention {mention} with your question, and I'll answer in a thread. Or try one of these:"


def first_message_to_admin(name: str) -> str:
    """Tells the admin who sets up Typist that messages arrive, and what to do next. `name`: the bot's name."""
    return (
        f"I'm here. Start me with `typist run`, then write to me here. In a channel, write `/invite @{name}`, then "
        f"`@{name} What can you do?`\n"
        "You're a Typist admin: in the Home tab, you can see who uses me and set quotas."
    )
