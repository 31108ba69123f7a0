"""A channel's own settings: a model, a system prompt, what is answered without a mention, and what a model may use."""

import hashlib
import re
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from functools import cache
from pathlib import Path

from bot.core import texts
from bot.core.closings import closing_in
from bot.core.conversation import escape, is_direct
from bot.core.triage import Engagement
from bot.models.prompt import Effort
from slack_markdown.render import beginning

MAX_PROMPT_CHARS = 2_000
"""The system prompt is billed with each question. Slack's field takes 3,000, so our own error shows first."""
DISPLAYED_PROMPT_CHARS = 60
_EMOJI = re.compile(r"[\w+'-]{1,100}")
"""The names that Slack takes for emoji; people may use any script."""
_VARIANT = re.compile("[\ufe0f\U0001f3fb-\U0001f3ff]")
"""Matches what chooses an emoji's look: color, or a tone of skin."""


class SettingsField(StrEnum):
    """A field of the settings."""

    MODEL = "model"
    SYSTEM_PROMPT = "system_prompt"
    ENGAGEMENT = "engagement"
    NEW_POSTS = "new_posts"
    GATE = "gate"
    REACTION = "reaction"
    EFFORT = "effort"
    LENGTH = "length"
    WEB_SEARCH = "web_search"
    READ_CHANNEL = "read_channel"
    MCP_SERVERS = "mcp_servers"
    ALLOWED_TOOLS = "allowed_tools"


class Length(StrEnum):
    """How long answers are."""

    BRIEF = "brief"
    NORMAL = "normal"
    """As the system prompt says; the default one asks for short answers."""
    FULL = "full"


@dataclass(frozen=True, slots=True)
class SettingsPlace:
    """The channel whose settings a person changes, and where Slack takes the confirmation."""

    channel_id: str
    response_url: str


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """A channel's own settings; DefaultSettings applies to the rest."""

    model: str | None = None
    """The first model to ask in this channel; the other models are its fallbacks."""
    system_prompt: str = ""
    """Empty for the default."""
    engagement: Engagement | None = None
    """What is answered without a mention in threads; None for the default."""
    new_posts: bool = False
    """Whether each new post of the channel is a question."""
    gate: bool = False
    """Whether a model decides about follow-ups in doubt."""
    web_search: bool | None = None
    """False: the model doesn't search the web. None or True: it does if BOT_WEB_SEARCH is on."""
    read_channel: bool | None = None
    """False: the model doesn't read the channel. None or True: it does unless BOT_READ_CHANNEL is off."""
    mcp_servers: tuple[str, ...] = ()
    """The servers of BOT_MCP_CONFIG whose tools may be used in this channel."""
    effort: Effort = Effort.NORMAL
    length: Length = Length.NORMAL
    reaction: str = ""
    """The name of the emoji that asks about the message under it; empty for none."""


def with_changes(before: ChannelSettings, shown: ChannelSettings, submitted: ChannelSettings) -> ChannelSettings:
    """Returns a channel's settings with what a person changed in a form.

    Somebody else may have changed the rest since the form was shown, and it may have no field for some.
    """
    entered = {field.name: getattr(submitted, field.name) for field in fields(ChannelSettings)}
    return replace(before, **{name: value for name, value in entered.items() if value != getattr(shown, name)})


def emoji_name(text: str) -> str:
    """Returns the name of an emoji that a person typed or Slack reported, without colons and skin tone.

    An emoji has several names, such as "thumbsup", and may be typed itself. This returns the name that Slack's events
    have: "+1".
    """
    name = text.strip().strip(":").partition("::")[0].lower()
    return _emoji_names().get(_VARIANT.sub("", name), name)


@cache
def _emoji_names() -> dict[str, str]:
    """Returns the name that Slack's events have, by each emoji itself and by its other names."""
    table = Path(__file__).with_name("emoji.txt").read_text("utf-8").partition("\n\n")[2]
    each = (entry.split() for entry in table.replace("\n", " ").split(","))
    return {key.lower(): name for emoji, name, *others in each for key in (emoji, *others)}


def _is_everyday(emoji: str) -> bool:
    """Returns whether people react with an emoji of Slack's all the time: to thank, to agree or to disagree."""
    # ✨ is many products' sign of a model.
    is_ours = emoji == "sparkles" or emoji not in _emoji_names().values()
    return not is_ours and (emoji == "-1" or closing_in(f":{emoji}:") is not None)


def problems(settings: ChannelSettings, defaults: "DefaultSettings") -> dict[str, str]:
    """Returns a sentence for each field that can't be saved, by SettingsField."""
    problems: dict[str, str] = {}
    if settings.model is not None and settings.model not in defaults.models:
        problems[SettingsField.MODEL] = texts.settings.choose_a_model(list(map(defaults.names.of, defaults.models)))
    if len(settings.system_prompt) > MAX_PROMPT_CHARS:
        problem = texts.settings.prompt_too_long(len(settings.system_prompt), MAX_PROMPT_CHARS)
        problems[SettingsField.SYSTEM_PROMPT] = problem
    if settings.reaction and not _EMOJI.fullmatch(settings.reaction):
        problems[SettingsField.REACTION] = texts.settings.REACTION_UNKNOWN
    elif settings.reaction and _is_everyday(settings.reaction):
        problems[SettingsField.REACTION] = texts.settings.REACTION_EVERYDAY
    return problems


def prompt_version(system_prompt: str) -> str:
    """Returns a short name for a system prompt, so that votes on answers can be compared by prompt."""
    return hashlib.sha256(system_prompt.encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class DefaultSettings:
    """The settings of channels without their own."""

    models: tuple[str, ...]
    """The models in use, in the order in which they are asked."""
    system_prompt: str
    engagement: Engagement = Engagement.FOLLOW_UPS
    web_search: bool = False
    """Whether models may search the web in channels that don't turn it off."""
    read_channel: bool = False
    """Whether models may read the channel, in channels that don't turn that off."""
    gate: bool = False
    """Whether a channel may have a model decide about follow-ups in doubt."""
    mcp_servers: tuple[str, ...] = ()
    """The servers of BOT_MCP_CONFIG. A channel uses none of them unless a Typist admin chooses it."""
    reactions: bool = True
    """Whether Slack tells the app of reactions, so that a channel may have a question emoji."""
    names: texts.models.ModelNames = texts.models.OWN_NAMES
    """What people read of models."""


@dataclass(frozen=True, slots=True)
class EffectiveSettings:
    """The settings that apply to the next question in a channel."""

    model_name: str
    system_prompt: str
    has_own_prompt: bool
    engagement: Engagement
    new_posts: bool
    gate: bool
    web_search: bool | None
    """None if BOT_WEB_SEARCH is off."""
    read_channel: bool | None
    """None if BOT_READ_CHANNEL is off."""
    effort: Effort
    length: Length
    reaction: str


def effective_settings(settings: ChannelSettings, defaults: DefaultSettings) -> EffectiveSettings:
    """Returns a channel's settings over the defaults. A model that is no longer in use is not asked."""
    first = next(iter(defaults.models), "")
    return EffectiveSettings(
        defaults.names.of(settings.model if settings.model in defaults.models else first),
        settings.system_prompt or defaults.system_prompt,
        bool(settings.system_prompt),
        settings.engagement or defaults.engagement,
        settings.new_posts,
        settings.gate and defaults.gate,
        settings.web_search is not False if defaults.web_search else None,
        settings.read_channel is not False if defaults.read_channel else None,
        settings.effort,
        settings.length,
        settings.reaction if defaults.reactions else "",
    )


def changes(before: ChannelSettings, after: ChannelSettings, defaults: DefaultSettings) -> list[str]:
    """Returns a sentence of mrkdwn for each setting that has another effect in a channel than before.

    A system prompt's words are left out, because they may be long.
    """
    old, new = effective_settings(before, defaults), effective_settings(after, defaults)
    sentences = {
        texts.settings.asks_first(escape(new.model_name)): new.model_name != old.model_name,
        texts.settings.OWN_PROMPT_HERE[new.has_own_prompt]: before.system_prompt != after.system_prompt,
        texts.settings.engagement_here(new.engagement): new.engagement != old.engagement,
        texts.settings.NEW_POSTS_HERE[new.new_posts]: new.new_posts != old.new_posts,
        texts.settings.GATE_HERE[new.gate]: new.gate != old.gate,
        texts.settings.reaction_here(new.reaction): new.reaction != old.reaction,
        texts.settings.EFFORT_HERE[new.effort]: new.effort != old.effort,
        texts.settings.LENGTH_HERE[new.length]: new.length != old.length,
        texts.settings.WEB_SEARCH_HERE[bool(new.web_search)]: new.web_search != old.web_search,
        texts.settings.READ_CHANNEL_HERE[bool(new.read_channel)]: new.read_channel != old.read_channel,
        texts.settings.tools_here([escape(name) for name in after.mcp_servers]): before.mcp_servers
        != after.mcp_servers,
    }
    return [sentence for sentence, is_new in sentences.items() if is_new]


def settings_line(settings: EffectiveSettings, channel_id: str) -> str:
    """Returns the settings as one line of plain text."""
    own_prompt = beginning(settings.system_prompt, DISPLAYED_PROMPT_CHARS) if settings.has_own_prompt else None
    engagement = texts.commands.answered_here(settings.engagement, settings.new_posts, settings.gate, settings.reaction)
    answers = texts.commands.answers_here(settings.effort, settings.length)
    answered = "" if is_direct(channel_id) else engagement
    return texts.commands.settings_here(
        settings.model_name, own_prompt, answers, answered, settings.web_search, settings.read_channel
    )
