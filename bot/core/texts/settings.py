"""Text about channel settings: the modal, and changes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.core.texts import silence
from bot.core.texts.actions import THINK_LONGER


@dataclass(frozen=True, slots=True)
class Words:
    label: str
    channel_sentences: Mapping[Any, str] | Callable[[Any], str]
    """Sentences in mrkdwn about a channel's setting, by value."""
    hint: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    placeholder: str = ""

    def channel_sentence(self, value: object) -> str:
        """Returns the sentence about a channel's setting. Strings in `value` must be escaped."""
        return self.channel_sentences(value) if callable(self.channel_sentences) else self.channel_sentences[value]


def settings_changed(person: str, changes: Sequence[str]) -> str:
    return f"{person} changed my settings here: {' '.join(changes)}"


MAX_TOOLS_NAMED = 20


def tools_left_out(counts: Mapping[str, int], most: int, left_out: Sequence[str]) -> str:
    """Warns in mrkdwn about MCP servers with more tools than a model can be offered. `counts`: tools by server."""
    servers = ", ".join(f"{server} ({count})" for server, count in counts.items())
    named = [*left_out[:MAX_TOOLS_NAMED], *([f"{more} more"] if (more := len(left_out) - MAX_TOOLS_NAMED) > 0 else [])]
    return (
        f":warning: Models don't get all the tools of {servers}. I offer up to {most} in one conversation, and leave "
        f"out tools that are too large. Left out: {', '.join(named)}. `typist check` explains what to do."
    )


def tools_price(tokens: int, usd: float | None) -> str:
    """Describes the cost of tools even if they aren't called, phrased to complete a sentence. `usd`: the cost of 1,000
    questions."""
    price = "" if usd is None else f", ${usd:,.2f} a thousand questions"
    # More digits would suggest too much precision for an estimate.
    return f"about {float(f'{tokens:.2g}'):,.0f} tokens with each question{price}"


def tools_price_note(price: str) -> str:
    return f"Models read these tools' definitions: {price}. The vendor's cache or tool search can make them cheaper."


def server_down(server: str, reason: str) -> str:
    """Warns in mrkdwn about an unavailable MCP server. `reason`: the reason as it is logged."""
    return f":warning: I can't use the tools of {server} right now: {reason}."


def sign_in_note(server: str) -> str:
    return f"I'll ask each person to sign in to {server} when they first need it."


SETTINGS_TITLE = "Settings"
SAVE = "Save"
CANCEL = "Cancel"
THIS_DIRECT_MESSAGE = "this direct message"
ALLOWED_TOOLS = "Always allowed tools"
ALLOWED_TOOLS_HINT = "Remove a tool, and I'll ask about its calls here again. Only Typist admins can see this."
REACTION_UNKNOWN = "Enter one emoji or its name, such as robot_face."
REACTION_EVERYDAY = "People use this emoji all the time, and I'd answer every time. Choose another one, such as ❓."
REACTION_QUESTION = "Answer this message. If it doesn't ask anything, explain it."
"""The question that the model is asked when a person adds the emoji to a message. People don't see it."""
TOO_MANY_REACTIONS = (
    "You asked about too many messages with the emoji, so I skipped the last one. Please wait a few minutes, or "
    "mention me."
)
SWITCH = {"on": "On", "off": "Off"}


def settings_apply_to(place: str) -> str:
    return f"These settings apply only to {place}, from the next question on."


def default_option(option: str) -> str:
    """Returns the label of the choice that applies the admin's setting, which is currently `option`."""
    return f"Default: {option}"


def choose_a_model(models: Sequence[str]) -> str:
    return f"Please choose one of these models: {', '.join(models)}."


def prompt_too_long(chars: int, limit: int) -> str:
    return f"Please use at most {limit:,} characters. This prompt has {chars:,} characters."


def first_model_text(model: str) -> str:
    return f"I ask {model} first."


def own_prompt_here(system_prompt: str) -> str:
    return "I follow this channel's own instructions." if system_prompt else "I follow my default instructions."


ENGAGEMENTS = {
    "mentions": "Every question needs a mention",
    "follow-ups": "The person I'm talking with doesn't need to mention me",
    "everyone": "Nobody needs to mention me in a thread where I was mentioned",
}


def reaction_text(reaction: str) -> str:
    return f"React with :{reaction}: to ask me about a message." if reaction else "There's no question emoji."


def tools_here(servers: Sequence[str]) -> str:
    return f"I can use tools from {', '.join(servers)}." if servers else "I don't use tools from MCP servers."


MODEL = Words("Model", first_model_text, "I'll ask this model first, and the others if it fails.")
SYSTEM_PROMPT = Words(
    "System prompt", own_prompt_here, "Instructions for the model. Leave this empty for the default prompt."
)
LENGTH = Words(
    "Answer length",
    {
        "brief": "My answers are brief.",
        "normal": "My answers are as long as usual.",
        "full": "My answers are detailed, with reasons, alternatives and examples.",
    },
    options={
        "brief": "Brief: a few sentences",
        "normal": "Normal: short, unless the system prompt says otherwise",
        "full": "Full: with reasons, alternatives and examples",
    },
)
EFFORT = Words(
    "Effort",
    {
        "fast": "I think less before I answer.",
        "normal": "I think as much as usual before I answer.",
        "thorough": "I think longer before I answer.",
    },
    f"Thinking longer takes more time and costs more. For one answer, press {THINK_LONGER} below it.",
    {"fast": "Fast: less thinking", "normal": "Normal", "thorough": "Thorough: more thinking"},
)
ENGAGEMENT = Words(
    "Mentions",
    {engagement: f"{option}." for engagement, option in ENGAGEMENTS.items()},
    "Without a mention, I never answer a message that begins by mentioning someone else, or a file in a thread with "
    "several people.",
    ENGAGEMENTS,
)
NEW_POSTS = Words(
    "New posts",
    {True: "I answer every new post.", False: "New posts need a mention."},
    options={"new_posts": "Answer every new post in its thread"},
)
ONLY_IF = Words(
    silence.LABEL,
    lambda rule: f"Without a mention, I post only if: {rule}" if rule else "I answer without a rule for posting.",
    "For posts that don't mention me: I'll look into each one, and answer only if this applies. Failures are always "
    "posted.",
    placeholder=silence.PLACEHOLDER,
)
ALERT_APPS = Words(
    "Alerts from apps",
    lambda apps: f"I look into alerts from these apps: {apps}." if apps else "I don't look into apps' alerts.",
    "IDs of apps whose posts here I'll look into without being asked. The URL of an app's page in Slack ends with its "
    "ID.",
    placeholder="For example: A0F7YS25R",
)
ALERT_APPS_UNKNOWN = "Please enter app IDs, such as A0F7YS25R, separated by spaces."
GATE = Words(
    "Unclear follow-ups",
    {
        True: ("A model decides whether to answer unclear follow-ups."),
        False: "I don't have a model decide about unclear follow-ups.",
    },
    "The model reads the thread's last messages. Its tokens count toward the author's usage.",
    {"gate": "Let a small OpenAI model decide whether they're for me"},
)
REACTION = Words(
    "Question emoji",
    reaction_text,
    "When someone adds this emoji to a message, I'll answer or explain the message in its thread. Copy the emoji's "
    "name from Slack's emoji picker.",
    placeholder="For example: robot_face",
)
READ_CHANNEL = Words(
    "Reading this channel",
    {
        True: "I read this channel's messages when a question is about them.",
        False: "I don't read this channel's messages, except in the thread I'm asked in.",
    },
    "I'll read earlier messages when a question is about them, and say below the answer how many I read.",
)
MCP_SERVERS = Words("Tools", tools_here, "MCP servers whose tools I can use here. Only Typist admins can change this.")
WEB_SEARCH = Words(
    "Web search",
    {True: "I search the web when a question needs it.", False: "I don't search the web."},
    "I'll search the web when a question needs it, and list the sources below the answer.",
)
