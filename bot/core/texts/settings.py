"""A channel's own settings: the modal, and what people read when they change."""

from collections.abc import Mapping, Sequence

from bot.core.texts.actions import THINK_LONGER

OWN_PROMPT_HERE = {True: "I follow instructions of this channel's own.", False: "I follow my default instructions."}
NEW_POSTS_HERE = {True: "I answer every new post.", False: "New posts need a mention."}
GATE_HERE = {True: "A model decides about unclear follow-ups.", False: "No model decides about unclear follow-ups."}
READ_CHANNEL_HERE = {
    True: "I read messages of this channel when a question is about them.",
    False: "I don't read messages of this channel, except in the thread in which I am asked.",
}
WEB_SEARCH_HERE = {True: "I search the web when an answer needs it.", False: "I don't search the web."}
EFFORT_HERE = {
    "fast": "I think less before I answer.",
    "normal": "I think as much as usual before I answer.",
    "thorough": "I think longer before I answer.",
}
"""By Effort."""
LENGTH_HERE = {
    "brief": "My answers are brief.",
    "normal": "My answers have their usual length.",
    "full": "My answers are full, with reasons, alternatives and examples.",
}
"""By Length."""


def settings_changed(person: str, changes: Sequence[str]) -> str:
    return f"{person} changed my settings here: {' '.join(changes)}"


def asks_first(model: str) -> str:
    return f"I ask {model} first."


def engagement_here(engagement: str) -> str:
    """Says what needs a mention in a channel; `engagement` is a key of ENGAGEMENTS."""
    return f"{ENGAGEMENTS[engagement]}."


def reaction_here(reaction: str) -> str:
    """Says which emoji asks; `reaction` is its name, "" if none does."""
    return f"React with :{reaction}: to ask me about a message." if reaction else "There's no question emoji."


MAX_TOOLS_NAMED = 20


def tools_left_out(counts: Mapping[str, int], most: int, left_out: Sequence[str]) -> str:
    """Warns, in mrkdwn, of MCP servers that have more tools than a model is offered. `counts`: theirs, by server."""
    servers = ", ".join(f"{server} ({count})" for server, count in counts.items())
    named = [*left_out[:MAX_TOOLS_NAMED], *([f"{more} more"] if (more := len(left_out) - MAX_TOOLS_NAMED) > 0 else [])]
    return (
        f":warning: Models don't get all tools of {servers}. I offer at most {most} in one place, and none that are "
        f"too large. Left out: {', '.join(named)}. `typist check` says what to do."
    )


def tools_price(tokens: int, usd: float | None) -> str:
    """Says what tools cost though nobody calls them, as the rest of a sentence. `usd`: for 1,000 questions."""
    price = "" if usd is None else f", ${usd:,.2f} a thousand questions"
    # More digits would be no estimate.
    return f"about {float(f'{tokens:.2g}'):,.0f} tokens with each question{price}"


def tools_priced(price: str) -> str:
    """Says, in mrkdwn, what the tools of a channel cost by themselves."""
    return f"Models read these tools' definitions: {price}. A vendor's cache or tool search may make them cheaper."


def server_down(server: str, reason: str) -> str:
    """Warns, in mrkdwn, of an MCP server that can't be used now. `reason` is that of the log."""
    return f":warning: I can't use the tools of {server} now: {reason}."


def signs_in(server: str) -> str:
    """Says, in mrkdwn, why an MCP server has no tools yet."""
    return f"Each person signs in to {server} when they first need it."


def tools_here(servers: Sequence[str]) -> str:
    return f"I may use the tools of {', '.join(servers)}." if servers else "I use no tools of MCP servers."


SETTINGS_TITLE = "Settings"
SAVE = "Save"
CANCEL = "Cancel"
THIS_DIRECT_MESSAGE = "this direct message"
SETTING_LABELS = {
    "model": "Model",
    "system_prompt": "System prompt",
    "length": "Length of answers",
    "effort": "Effort",
    "engagement": "Mentions",
    "new_posts": "New posts",
    "gate": "Unclear follow-ups",
    "reaction": "Question emoji",
    "web_search": "Web search",
    "read_channel": "Reading this channel",
    "mcp_servers": "Tools",
    "allowed_tools": "Always allowed tools",
}
"""By SettingsField."""
SETTING_HINTS = {
    "model": "I ask this model first, and the others if it fails.",
    "system_prompt": "Instructions for the model. Leave this empty for the default prompt.",
    "effort": f"Thinking longer takes more time and costs more. For one answer, press {THINK_LONGER} below it.",
    "engagement": (
        "Without a mention, I never answer a message that begins by mentioning someone else, "
        "or a file in a thread of several people."
    ),
    "gate": "It reads the thread's last messages. Its tokens count as usage of the message's writer.",
    "reaction": (
        "When someone adds this emoji to a message, I answer it or explain it in its thread. "
        "Copy the emoji's name from Slack's emoji picker."
    ),
    "web_search": "I look things up when an answer needs it, and list the sources below it.",
    "read_channel": "I read earlier messages when a question is about them, and say how many.",
    "mcp_servers": "MCP servers whose tools I may use here. Only Typist admins can change this.",
    "allowed_tools": "Remove a tool, and I'll ask about its calls here again. Only Typist admins see this.",
}
"""Stand below the fields, by SettingsField; the others have none."""
ENGAGEMENTS = {
    "mentions": "Every question needs a mention",
    "follow-ups": "Whoever I'm talking with needs no mention",
    "everyone": "Nobody needs a mention in a thread where I was mentioned",
}
"""The options, by Engagement."""
NEW_POSTS_OPTION = "Answer each new post in its thread"
GATE_OPTION = "Let a small model at OpenAI decide whether they're for me"
REACTION_PLACEHOLDER = "For example: robot_face"
REACTION_UNKNOWN = "Enter one emoji, or its name, such as robot_face."
REACTION_EVERYDAY = (
    "People react with this emoji all the time, and I'd answer each time. Choose another one, such as ❓."
)
REACTION_QUESTION = "Answer this message. If it asks nothing, explain it."
"""What the model is asked when a person adds the emoji to a message. Nobody else reads it."""
TOO_MANY_REACTIONS = (
    "You asked about many messages by emoji, so I skipped the last one. Please wait a few minutes, or mention me."
)
EFFORT_OPTIONS = {"fast": "Fast: less thinking", "normal": "Normal", "thorough": "Thorough: more thinking"}
"""By Effort."""
LENGTH_OPTIONS = {
    "brief": "Brief: a few sentences",
    "normal": "Normal: short, unless the system prompt says otherwise",
    "full": "Full: with reasons, alternatives and examples",
}
"""By Length."""
SWITCH = {"on": "On", "off": "Off"}


def settings_apply_to(place: str) -> str:
    """Heads the modal, in mrkdwn."""
    return f"These settings apply only to {place}, from the next question on."


def default_option(option: str) -> str:
    """Stands for leaving a choice or a quota to the environment, which chose `option`."""
    return f"Default: {option}"


def choose_a_model(models: Sequence[str]) -> str:
    """Stands below a model that is not in BOT_MODELS."""
    return f"Please choose one of these models: {', '.join(models)}."


def prompt_too_long(chars: int, limit: int) -> str:
    """Stands below a system prompt."""
    return f"Please use at most {limit:,} characters. This prompt has {chars:,}."
