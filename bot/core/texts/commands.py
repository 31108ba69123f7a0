"""Responses to the slash command."""

from collections.abc import Sequence

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


def command_list(command: str) -> str:
    return "\n".join(f"• `{command} {name}` {does}" for name, does in SUBCOMMANDS.items())


def unknown_command(command: str, subcommand: str) -> str:
    return f"I don't know `{command} {subcommand}`. These are the commands I know:\n"


def settings_here(sentences: Sequence[str], own_prompt: str) -> str:
    """Lists what applies in a channel. `own_prompt`: the beginning of the channel's system prompt, or ""."""
    quoted = [f"My instructions begin with: “{own_prompt}”"] if own_prompt else []
    return f"Settings here: {' '.join([*sentences, *quoted])}"
