"""Channel settings, such as the model, the system prompt, and when to answer without a mention.

Each setting is a field of ChannelSettings and a row of CHANNEL_SETTINGS with the same name. The modal, its parser and
the announcement of changes are derived from the row.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

from bot.core import alerts, texts
from bot.core.closings import closing_of_text
from bot.core.conversation import escape, is_direct_message
from bot.core.silence import MAX_RULE_CHARS
from bot.core.texts import settings as words
from bot.core.triage import Engagement
from bot.models.prompt import Effort
from slack_markdown.render import beginning

MAX_PROMPT_CHARS = 2_000
"""Maximum length of a system prompt, which is billed with every question. Slack's limit is 3,000 characters."""
DISPLAYED_PROMPT_CHARS = 60
_EMOJI = re.compile(r"[\w+'-]{1,100}")
_EMOJI_VARIATION = re.compile("[\ufe0f\U0001f3fb-\U0001f3ff]")


class Length(StrEnum):
    BRIEF = "brief"
    NORMAL = "normal"
    """The length that the system prompt asks for. The default prompt asks for short answers."""
    FULL = "full"


@dataclass(frozen=True, slots=True)
class SettingsPlace:
    channel_id: str
    response_url: str


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """A channel's settings. Unset fields use the values in DefaultSettings."""

    model: str | None = None
    """The first model to ask in this channel. The other models are fallbacks."""
    system_prompt: str = ""
    engagement: Engagement | None = None
    """The rule for messages without a mention in threads, or None for the default."""
    new_posts: bool = False
    only_if: str = ""
    """The rule in words that decides whether an answer to a post without a mention is posted (core/silence.py)."""
    alert_apps: str = ""
    """The IDs of the apps whose posts are answered, separated by spaces (core/alerts.py)."""
    gate: bool = False
    reaction: str = ""
    """The name of the emoji that people add to a message to ask about it, or "" if there is none."""
    effort: Effort = Effort.NORMAL
    length: Length = Length.NORMAL
    web_search: bool | None = None
    """False turns web search off in this channel. None means that BOT_WEB_SEARCH applies."""
    read_channel: bool | None = None
    """False prevents models from reading the channel. None means that BOT_READ_CHANNEL applies."""
    mcp_servers: tuple[str, ...] = ()
    """Names of the BOT_MCP_CONFIG servers whose tools can be used in this channel."""


def with_changes(before: ChannelSettings, shown: ChannelSettings, submitted: ChannelSettings) -> ChannelSettings:
    """Returns `before` with the values that a person changed in a form. The form might be outdated or lack settings."""
    entered = {field.name: getattr(submitted, field.name) for field in fields(ChannelSettings)}
    return replace(before, **{name: value for name, value in entered.items() if value != getattr(shown, name)})


def emoji_name(text: str) -> str:
    """Returns an emoji's name in Slack's events, without skin tone: "+1" for 👍 or "thumbsup"."""
    name = text.strip().strip(":").partition("::")[0].lower()
    return _emoji_names().get(_EMOJI_VARIATION.sub("", name), name)


@cache
def _emoji_names() -> dict[str, str]:
    """Returns Slack's emoji names by character and by alternative name."""
    table = Path(__file__).with_name("emoji.txt").read_text("utf-8").partition("\n\n")[2]
    each = (entry.split() for entry in table.replace("\n", " ").split(","))
    return {key.lower(): name for emoji, name, *others in each for key in (emoji, *others)}


def _is_everyday_reaction(emoji: str) -> bool:
    """Returns whether people often use an emoji to thank, agree or disagree. Such an emoji can't be chosen for asking
    questions."""
    # Many products use ✨ as a sign of a model.
    is_ours = emoji == "sparkles" or emoji not in _emoji_names().values()
    return not is_ours and (emoji == "-1" or closing_of_text(f":{emoji}:") is not None)


def prompt_version(system_prompt: str) -> str:
    """Returns a short hash of a system prompt, so that votes on answers can be compared by prompt."""
    return hashlib.sha256(system_prompt.encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class DefaultSettings:
    models: tuple[str, ...]
    system_prompt: str
    engagement: Engagement = Engagement.FOLLOW_UPS
    web_search: bool = False
    read_channel: bool = False
    gate: bool = False
    mcp_servers: tuple[str, ...] = ()
    """The servers in BOT_MCP_CONFIG. A channel can use a server only after a Typist admin has chosen it."""
    has_reactions: bool = True
    """Whether Slack sends reactions to the app. If it doesn't, channels can't have a question emoji."""
    names: texts.models.ModelNames = texts.models.OWN_NAMES
    has_alerts: bool = False

    def model_name(self, chosen: str | None = None) -> str:
        """Returns the name of the model to ask first: the chosen model if it is still in use, otherwise the default."""
        return self.names.label(chosen if chosen in self.models else next(iter(self.models), ""))


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting's form field, parser, validation and announcement. The setting is documented at its field in
    ChannelSettings."""

    control: Literal["menu", "radio buttons", "switch", "checkboxes", "line", "area"]
    """The form control. A switch can only turn off (False) a feature that Typist's settings turn on (None)."""
    parse: Callable[[Any], Any]
    """Converts an entered or stored value other than None."""
    words: words.Words
    is_channel_only: bool = False
    is_always_listed: bool = False
    """Whether a channel's line lists the setting even if the channel hasn't changed it."""
    is_available: Callable[[DefaultSettings], bool] = lambda _: True
    options: Callable[[DefaultSettings], Mapping[str, str]] = lambda _: {}
    """Returns the labels of the options, if they aren't in `words`."""
    resolve: Callable[[DefaultSettings, Any], Any] = lambda _, value: value
    problem: Callable[[DefaultSettings, Any], str] = lambda *_: ""

    def effective_value(self, defaults: DefaultSettings, value: Any) -> Any:
        """Returns the value that applies to the channel, or None if the setting isn't available."""
        if not self.is_available(defaults):
            return None
        return value is not False if self.control == "switch" else self.resolve(defaults, value)


def _model_problem(defaults: DefaultSettings, model: str | None) -> str:
    is_one = model is None or model in defaults.models
    return "" if is_one else words.choose_a_model(list(map(defaults.names.label, defaults.models)))


def _prompt_problem(_: DefaultSettings, prompt: str) -> str:
    return words.prompt_too_long(len(prompt), MAX_PROMPT_CHARS) if len(prompt) > MAX_PROMPT_CHARS else ""


def _only_if_problem(_: DefaultSettings, rule: str) -> str:
    return texts.silence.rule_too_long(MAX_RULE_CHARS) if len(rule) > MAX_RULE_CHARS else ""


def _apps_problem(_: DefaultSettings, apps: str) -> str:
    return words.ALERT_APPS_UNKNOWN if alerts.has_invalid_app_ids(apps) else ""


def _emoji_problem(_: DefaultSettings, emoji: str) -> str:
    if emoji and not _EMOJI.fullmatch(emoji):
        return words.REACTION_UNKNOWN
    return words.REACTION_EVERYDAY if _is_everyday_reaction(emoji) else ""


_ChannelSetting = partial(Setting, is_channel_only=True)
CHANNEL_SETTINGS: Mapping[str, Setting] = {
    "model": Setting(
        "menu",
        str,
        words.MODEL,
        is_always_listed=True,
        options=lambda bot: {model: bot.names.label(model) for model in bot.models},
        resolve=DefaultSettings.model_name,
        problem=_model_problem,
    ),
    "system_prompt": Setting("area", str, words.SYSTEM_PROMPT, is_always_listed=True, problem=_prompt_problem),
    "length": Setting("menu", Length, words.LENGTH),
    "effort": Setting("menu", Effort, words.EFFORT),
    "engagement": _ChannelSetting(
        "radio buttons",
        Engagement,
        words.ENGAGEMENT,
        is_always_listed=True,
        resolve=lambda bot, own: own or bot.engagement,
    ),
    "new_posts": _ChannelSetting("checkboxes", bool, words.NEW_POSTS),
    "only_if": _ChannelSetting("line", str, words.ONLY_IF, problem=_only_if_problem),
    "alert_apps": _ChannelSetting(
        "line",
        lambda entered: " ".join(dict.fromkeys(entered.replace(",", " ").upper().split())),
        words.ALERT_APPS,
        is_available=lambda bot: bot.has_alerts,
        problem=_apps_problem,
    ),
    "gate": _ChannelSetting("checkboxes", bool, words.GATE, is_available=lambda bot: bot.gate),
    "reaction": _ChannelSetting(
        "line", emoji_name, words.REACTION, is_available=lambda bot: bot.has_reactions, problem=_emoji_problem
    ),
    "read_channel": _ChannelSetting("switch", bool, words.READ_CHANNEL, is_available=lambda bot: bot.read_channel),
    "mcp_servers": _ChannelSetting(
        "checkboxes", tuple, words.MCP_SERVERS, options=lambda bot: {name: name for name in bot.mcp_servers}
    ),
    "web_search": Setting(
        "switch", bool, words.WEB_SEARCH, is_always_listed=True, is_available=lambda bot: bot.web_search
    ),
}


def setting_problems(settings: ChannelSettings, defaults: DefaultSettings) -> dict[str, str]:
    sentences = {name: row.problem(defaults, getattr(settings, name)) for name, row in CHANNEL_SETTINGS.items()}
    return {name: sentence for name, sentence in sentences.items() if sentence}


def change_sentences(before: ChannelSettings, after: ChannelSettings, defaults: DefaultSettings) -> list[str]:
    """Returns a mrkdwn sentence for each setting whose effective value changed. The system prompt isn't quoted because
    of its length."""
    old, new = _effective_values(before, defaults), _effective_values(after, defaults)
    return [_sentence(name, value) for name, value in new.items() if value != old[name]]


def settings_line(settings: ChannelSettings, defaults: DefaultSettings, channel_id: str) -> str:
    """Returns mrkdwn sentences about the settings that apply in a channel: the most important ones, and those that the
    channel has changed."""
    default, own = _effective_values(ChannelSettings(), defaults), _effective_values(settings, defaults)
    rows = CHANNEL_SETTINGS.items()
    here = [(name, row) for name, row in rows if not (row.is_channel_only and is_direct_message(channel_id))]
    available = [(name, row) for name, row in here if own[name] is not None]
    listed = [name for name, row in available if row.is_always_listed or own[name] != default[name]]
    own_prompt = escape(beginning(settings.system_prompt, DISPLAYED_PROMPT_CHARS))
    return texts.commands.settings_here([_sentence(name, own[name]) for name in listed], own_prompt)


def _effective_values(settings: ChannelSettings, defaults: DefaultSettings) -> dict[str, Any]:
    return {name: row.effective_value(defaults, getattr(settings, name)) for name, row in CHANNEL_SETTINGS.items()}


def _sentence(name: str, value: Any) -> str:
    if isinstance(value, tuple):
        value = tuple(map(escape, value))
    elif isinstance(value, str):
        value = escape(value)
    return CHANNEL_SETTINGS[name].words.channel_sentence(value)
