"""What Typist shows beside its replies: App Home, responses to the slash command, and the assistant pane. Pure.

The manifest decides on the slash command's name, /typist by default. The channel that a person views beside the pane is
kept by person, for hours, because agents' events name no thread.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum, auto
from typing import Generic, TypeVar

from bot.core import texts
from bot.core.caps import Amount, Cap, OwnCap, Period, UsageToDate
from bot.core.channel_settings import DefaultSettings
from bot.core.conversation import Question, with_names, without_users
from bot.core.schedules import Schedule
from bot.core.texts.models import OWN_NAMES, ModelNames
from slack_markdown.render import beginning, first_words

UsedT = TypeVar("UsedT", Amount, int)

TITLE_CHARS = 60
TOP = 10
"""So many people, channels, models and tools are listed. The rest is a sum, or a number."""
DIRECT_MESSAGES = ""
"""Stands for all direct messages among the channels: each would name a person."""


@dataclass(frozen=True, slots=True)
class MonthUsage:
    """What a workspace used in a month."""

    total: Amount
    people: Mapping[str, Amount]
    channels: Mapping[str, Amount]
    models: Mapping[str, Amount]
    calls: Mapping[str, int]
    """How often each tool was called."""


@dataclass(frozen=True, slots=True)
class Ranking(Generic[UsedT]):
    """The largest users of this month and the last, and the sum of the others."""

    top: Sequence[tuple[str, UsedT, UsedT]]
    """A name, with what it stands for in this month and in the last."""
    others: int
    others_used: tuple[UsedT, UsedT]


@dataclass(frozen=True, slots=True)
class Quotas:
    """The caps in force for a workspace's channels and people."""

    defaults: Sequence[Cap]
    """The caps of BOT_CAPS."""
    own: Sequence[OwnCap]
    unpriced: Sequence[str]
    """The models that have no price, so that caps in dollars don't count them."""


@dataclass(frozen=True, slots=True)
class ChannelsWithSettings:
    """The channels with settings of their own."""

    listed: Sequence[tuple[str, Sequence[str]]] = ()
    """At most TOP channels, each with sentences about what differs from the default."""
    others: int = 0


@dataclass(frozen=True, slots=True)
class WorkspaceUsage:
    """What only admins see."""

    spent: Mapping[Period, Amount]
    """Today and this month."""
    this_month: MonthUsage
    last_month: MonthUsage
    quotas: Quotas
    settings: Mapping[str, str]
    """The environment's settings, by label."""
    built_at: float
    channels: ChannelsWithSettings = ChannelsWithSettings()
    names: ModelNames = OWN_NAMES
    """What the admin reads of models."""


@dataclass(frozen=True, slots=True)
class HomeView:
    """One person's App Home."""

    defaults: DefaultSettings
    """The settings of channels without their own."""
    usage: UsageToDate
    channels: Sequence[str] = ()
    """The channels in which this person has asked and which they may see, the last one first."""
    workspace: WorkspaceUsage | None = None
    """None for people who are not admins."""
    schedules: Sequence[Schedule] = ()
    """The person's own schedules."""
    waiting: Sequence[tuple[str, str, float]] = ()
    """The person's answers that await an approval: the channel, the link of the message, and until when."""
    accounts: Mapping[str, tuple[float, str]] = field(default_factory=dict)
    """The person's accounts by MCP server: since when, in seconds since the epoch, and with which scopes."""


def ranked(this_month: Mapping[str, UsedT], last_month: Mapping[str, UsedT], zero: UsedT) -> Ranking[UsedT]:
    """Returns who used most, in this month and then in the last."""
    names = sorted({*this_month, *last_month})
    lines = [(name, this_month.get(name, zero), last_month.get(name, zero)) for name in names]
    lines.sort(key=lambda line: (_weight(line[1]), _weight(line[2])), reverse=True)
    others_this = zero
    others_last = zero
    for _, this, last in lines[TOP:]:
        others_this = others_this + this
        others_last = others_last + last
    return Ranking(lines[:TOP], len(lines[TOP:]), (others_this, others_last))


def _weight(used: Amount | int) -> tuple[float, float]:
    return (used.cost_usd, used.tokens) if isinstance(used, Amount) else (0.0, used)


HELP, USAGE = "help", "usage"
SETTINGS_FIELDS = {
    "settings": "model",
    "model": "model",
    "prompt": "system_prompt",
    "mentions": "engagement",
}
"""The setting at which the modal opens, by subcommand. The help shows the first one."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """The person and place of a command or shortcut, and its trigger and response_url."""

    user_id: str
    channel_id: str
    trigger_id: str
    response_url: str


@dataclass(frozen=True, slots=True)
class TypedCommand:
    """What somebody typed: "/typist usage" is the name "/typist" and the text "usage"."""

    name: str
    text: str

    @property
    def subcommand(self) -> str:
        """The first word of the text; without any, HELP."""
        words = self.text.split()
        return words[0].lower() if words else HELP


@dataclass(frozen=True, slots=True)
class Help:
    """The help text's contents."""

    command: str
    """The slash command's name."""
    unknown_subcommand: str = ""
    """The unknown subcommand that a person typed; "" if help was requested."""


@dataclass(frozen=True, slots=True)
class CommandResponse:
    """A response that only the person who used the command or shortcut reads."""

    content: str | Help | UsageToDate
    settings: str = ""
    """The settings in effect in the channel, as one line."""


class Sign(StrEnum):
    """Whether a status, or an agent's session, tells readers that an answer has begun, before its first message."""

    NONE = auto()
    REFUSED = auto()
    """Slack takes no status there."""
    MAY_BE_SEEN = auto()
    """Slack takes a status there. Outside the pane, reports differ about whether people see it."""
    SEEN = auto()
    """Slack's docs promise that the asker sees it."""


def in_pane(question: Question) -> bool:
    """Whether a question was asked in the pane: in an app with a pane, each direct message is in a thread."""
    return question.thread.in_direct_message and question.thread.thread_ts is not None


def title_of(question: Question) -> str:
    """Returns a thread's title: the first words of its first question, without mentions."""
    words = first_words(with_names(without_users(question.text), {}), growing=False)
    return beginning(words, TITLE_CHARS) or texts.welcome.PANE_UNTITLED


def pane_context_line(channel: str) -> str:
    """Returns the line that tells the model which channel the person has open."""
    return f"Beside this conversation the person is looking at the channel #{channel}; you can't read it."
