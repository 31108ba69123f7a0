"""Responses to the slash command."""

WHAT_I_DO = (
    "Mention me in a channel or send me a direct message. I'll read the thread and its files. To ask about any "
    "message, choose *Ask … about this* from its menu."
)
NOT_YOUR_CHANNEL = "Only the person who created this channel and Typist admins can change its settings."
INVITE_ME_FIRST = "I'm not in the channel yet. If you created it, invite me first so that I can check."
"""Follows NOT_YOUR_CHANNEL if Slack doesn't show the channel to the app."""
SETTINGS_SAVED = "Saved. The new settings will apply from the next question on."
SLACK_SLOW = "Slack is slow right now. Please try again in a minute."
COMMAND_FAILED = "That didn't work. I can't reach Slack or my database right now. Please try again in a minute."


SUBCOMMANDS = {
    "schedules": "lists what's scheduled here. To add something, ask me: “every weekday at 9, …”.",
    "memory": "shows what I remember here. To add something, write “remember: …”.",
    "settings": "opens this channel's settings.",
    "usage": "shows your usage and your quotas.",
    "accounts": "shows where you're signed in for me, and lets you sign out.",
}
"""Descriptions of the subcommands, in the order of the help text and of Slack's hint."""


def commands(command: str) -> str:
    return "\n".join(f"• `{command} {name}` {does}" for name, does in SUBCOMMANDS.items())


def unknown_command(command: str, subcommand: str) -> str:
    return f"I don't know `{command} {subcommand}`. These are the commands I know:\n"


def answered_messages_text(engagement: str, new_posts: bool, gate: bool, reaction: str) -> str:
    """Describes which messages in a channel are answered without a mention. `engagement`: a key of ENGAGEMENTS.
    `reaction`: the name of the emoji that asks about a message, or ""."""
    summaries = {
        "mentions": "every question needs a mention",
        "follow-ups": "follow-ups don't need a mention",
        "everyone": "nobody needs to mention me in my threads",
    }
    decides = " · a model decides in unclear cases" if gate and engagement == "follow-ups" else ""
    posts = " · I answer every new post" if new_posts else ""
    return (
        summaries[engagement]
        + decides
        + posts
        + (f" · react with :{reaction}: to ask about a message" if reaction else "")
    )


def answer_style_text(effort: str, length: str) -> str:
    """Describes the effort and length chosen for a channel, or returns "" for the defaults."""
    chosen = [choice for choice in (effort, length) if choice != "normal"]
    return f"{' and '.join(chosen)} answers" if chosen else ""


def settings_here(
    model: str, own_prompt: str | None, answers: str, answered: str, web_search: bool | None, read_channel: bool | None
) -> str:
    """Summarizes a channel's settings. `own_prompt`: the beginning of the channel's prompt. `answered`: "" in a direct
    message. `web_search` is None if BOT_WEB_SEARCH is off, and `read_channel` if BOT_READ_CHANNEL is off."""
    prompt = "default prompt" if own_prompt is None else f"custom prompt (“{own_prompt}”)"
    search = {None: None, True: "web search on", False: "web search off"}[web_search]
    reading = "reading this channel is off" if read_channel is False else None
    return " · ".join(filter(None, (f"Settings here: {model}", prompt, answers, answered, search, reading)))
