"""Text in App Home, for members and for Typist admins."""

from collections.abc import Sequence

from bot.core.texts.files import READABLE
from bot.core.texts.quotas import tokens
from bot.core.texts.welcome import READ_IN_CHANNEL
from bot.core.texts.words import count

USAGE_HEADING = "Your usage"
DEFAULTS_HEADING = "Default settings"
CHANNELS_DIFFER = "These apply where a channel has no settings of its own."
MENTIONS_NEEDED = {
    "mentions": "Mention me with every question.",
    "follow-ups": "Mention me to start. After that, just reply.",
    "everyone": "Mention me to start. After that, anyone can just reply.",
}
WAITING_FOR_YOU = "Waiting for you"
APPROVAL = "A decision"
DECIDE_UNTIL = "You can decide until "
TRY_ONE = "Try one of these, and I'll answer in our direct message:"
CHANNEL_SETTINGS_HEADING = "Channels with their own settings"
NO_CHANNEL_SETTINGS = "All channels use the default settings."
WORKSPACE_HEADING = "This workspace"
PEOPLE = "People"
CHANNELS = "Channels"
MODELS = "Models"
TOOLS = "Tools"
DIRECT_MESSAGES = "Direct messages"
NO_QUOTAS_SET = "Usage isn't limited."
SET_WORKSPACE_QUOTAS = "Set the workspace's quotas"
SET_PERSON_QUOTAS = "Set a person's quotas"
SET_CHANNEL_QUOTAS = "Set a channel's quotas"
WHY_ADMINS_SEE_THIS = (
    "You can see this because you're listed in BOT_ADMINS. To change these settings or the default quotas (BOT_CAPS), "
    "edit the deployment's configuration."
)


def usage_last_month(amount: str) -> str:
    return f"*Last month*: {amount}"


def this_and_last_month(this_month: str, last_month: str) -> str:
    return f"{this_month} (last month: {last_month})" if last_month else this_month


def calls_made(number: int) -> str:
    return "1 call" if number == 1 else f"{number:,} calls"


def others_line(number: int, used: str) -> str:
    return f"{number:,} {'other' if number == 1 else 'others'}: {used}"


def more_channels(number: int) -> str:
    return f"… and {number:,} more."


def more_quotas(number: int) -> str:
    return f"… and {number:,} more with less usage."


def unpriced_models_text(models: Sequence[str]) -> str:
    return f"Dollar quotas don't count {', '.join(models)} because I don't know the price."


def defaults_text(model: str, mentions: str, system_prompt: str) -> str:
    return f"*Model*: {model}\n*Mentions in channels*: {mentions}\n*System prompt*: {system_prompt}"


def settings_for_admins(
    models: Sequence[str], access: Sequence[str], max_output_tokens: int, concurrent: int, retention_days: int
) -> dict[str, str]:
    return {
        "Models": ", then ".join(models),
        "Access": ", ".join(access),
        "Longest answer": tokens(max_output_tokens),
        "Concurrent answers per person": str(concurrent),
        "Questions and answers are kept for": count(retention_days, "day", "days"),
    }


WHO_SEES_WHAT = "Who sees what"
HOW_TO_STOP = "How to stop me"
WHAT_I_KEEP = "What I'll do later and remember"
HOW_TO_SCHEDULE = (
    "Ask me for something recurring: “every weekday at 9, sum up what happened here”. Later, write “make it ten "
    "instead”, “stop the summary”, or “what is scheduled here?”.\n"
    "Write “remember: we deploy on Tuesdays” to add a memory, and “what do you remember?” for the list."
)
HOW_TO_SET = "How to change my answers"
WHERE_TO_SET = "Use `/typist settings` in a channel that you created or in our direct message."
WHERE_YOU_ASK = "Channels where you asked me questions"
SEEN = {
    reads: (
        f"In a channel, everyone can see my answers. {what_i_read}\n"
        "Other people in Slack can't see our direct messages. To answer one, I read the ones before it.\n"
        "Typist admins can see how much each person uses me."
    )
    for reads, what_i_read in READ_IN_CHANNEL.items()
}
"""Like SEEN_IN_CHANNEL, for both channels and direct messages."""


def asking_instructions(mentions: str) -> str:
    return (
        "*In a direct message*: Just write.\n"
        f"*In a channel*: {mentions}\n"
        "*About any message*: Choose *Ask … about this* from its menu.\n"
        f"I'll read the thread's messages, and its {READABLE}."
    )
