"""Content other than replies: App Home, responses to the slash command, and the assistant pane. Pure.

The channel that a person has open next to the pane is stored for hours, because agents' events don't include a thread.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum, auto
from typing import Generic, TypeVar

from bot.core import texts
from bot.core.calls import READ_CHANNEL
from bot.core.caps import Amount, Cap, OwnCap, Period, UsageToDate
from bot.core.channel_settings import DefaultSettings
from bot.core.conversation import Question, with_names, without_user_mentions
from bot.core.schedules import Schedule
from bot.core.texts.models import OWN_NAMES, ModelNames
from slack_markdown.render import beginning, first_words

UsageT = TypeVar("UsageT", Amount, int)

TITLE_CHARS = 60
MAX_LISTED = 10
"""Maximum number of people, channels, models and tools to list. The rest are added up."""
DIRECT_MESSAGES = ""
"""Represents all direct messages in a list of channels, because a single direct message would identify a person."""


@dataclass(frozen=True, slots=True)
class MonthUsage:
    total: Amount
    people: Mapping[str, Amount]
    channels: Mapping[str, Amount]
    models: Mapping[str, Amount]
    calls: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Ranking(Generic[UsageT]):
    top: Sequence[tuple[str, UsageT, UsageT]]
    other_count: int
    other_usage: tuple[UsageT, UsageT]


@dataclass(frozen=True, slots=True)
class Quotas:
    defaults: Sequence[Cap]
    own_caps: Sequence[OwnCap]
    unpriced: Sequence[str]
    """Models without a price. Dollar caps don't include their usage."""


@dataclass(frozen=True, slots=True)
class ChannelsWithSettings:
    listed_channels: Sequence[tuple[str, Sequence[str]]] = ()
    """At most MAX_LISTED channels, with sentences about how their settings differ from the defaults."""
    other_count: int = 0


@dataclass(frozen=True, slots=True)
class WorkspaceUsage:
    usage_by_period: Mapping[Period, Amount]
    this_month: MonthUsage
    last_month: MonthUsage
    quotas: Quotas
    settings: Mapping[str, str]
    built_at: float
    channels: ChannelsWithSettings = ChannelsWithSettings()
    names: ModelNames = OWN_NAMES


@dataclass(frozen=True, slots=True)
class HomeView:
    defaults: DefaultSettings
    usage: UsageToDate
    channels: Sequence[str] = ()
    workspace: WorkspaceUsage | None = None
    schedules: Sequence[Schedule] = ()
    waiting_answers: Sequence[tuple[str, str, float]] = ()
    """The person's answers that await approval: channel, message link and deadline."""
    accounts: Mapping[str, tuple[float, str]] = field(default_factory=dict)
    """The person's accounts by MCP server: time of sign-in, in seconds since the epoch, and scopes."""


def rank(this_month: Mapping[str, UsageT], last_month: Mapping[str, UsageT], zero: UsageT) -> Ranking[UsageT]:
    names = sorted({*this_month, *last_month})
    lines = [(name, this_month.get(name, zero), last_month.get(name, zero)) for name in names]
    lines.sort(key=lambda line: (_usage_key(line[1]), _usage_key(line[2])), reverse=True)
    others = lines[MAX_LISTED:]
    other_usage = sum((this for _, this, _ in others), zero), sum((last for *_, last in others), zero)
    return Ranking(lines[:MAX_LISTED], len(others), other_usage)


def _usage_key(used: Amount | int) -> tuple[float, float]:
    return (used.cost_usd, used.tokens) if isinstance(used, Amount) else (0.0, used)


HELP, USAGE = "help", "usage"
SETTINGS_FIELDS = {
    "settings": "model",
    "model": "model",
    "prompt": "system_prompt",
    "mentions": "engagement",
}
"""The setting that the modal is opened at, keyed by subcommand. The help text lists only the first subcommand."""


@dataclass(frozen=True, slots=True)
class Invocation:
    user_id: str
    channel_id: str
    trigger_id: str
    response_url: str


@dataclass(frozen=True, slots=True)
class TypedCommand:
    """A typed slash command. "/typist usage" has the name "/typist" and the text "usage"."""

    name: str
    text: str

    @property
    def subcommand(self) -> str:
        words = self.text.split()
        return words[0].lower() if words else HELP


@dataclass(frozen=True, slots=True)
class Help:
    command: str
    unknown_subcommand: str = ""


@dataclass(frozen=True, slots=True)
class CommandResponse:
    content: str | Help | UsageToDate
    settings: str = ""


class Visibility(StrEnum):
    """Whether a status or agent session shows readers that an answer has begun, before the first message is posted."""

    NONE = auto()
    REFUSED = auto()
    MAY_BE_SEEN = auto()
    """Slack accepts a status, but reports differ on whether it is visible outside the pane."""
    SEEN = auto()
    """According to Slack's docs, the asker sees the status."""


def was_asked_in_pane(question: Question) -> bool:
    """Returns whether a question was asked in the pane. In apps with a pane, all direct messages are in threads."""
    return question.thread.in_direct_message and question.thread.thread_ts is not None


def thread_title(question: Question) -> str:
    words = first_words(with_names(without_user_mentions(question.text), {}), growing=False)
    return beginning(words, TITLE_CHARS) or texts.welcome.PANE_UNTITLED


@dataclass(frozen=True, slots=True)
class AppContext:
    """The IDs of the channel, message and canvas that a person has open. Each can be ""."""

    channel_id: str = ""
    message_ts: str = ""
    canvas_id: str = ""


def pane_context_line(context: AppContext, channel: str, title: str = "") -> str:
    """Returns sentences for the prompt about what the asker has open, if its name or title is known, or ""."""
    message = f" at the message with ts {context.message_ts}" if context.message_ts else ""
    viewed = [f"the canvas “{title}” ({context.canvas_id})"] if title else []
    viewed += [f"the channel #{channel} ({context.channel_id}){message}"] if channel else []
    this = "“This”, “here”, “the channel” and “catch me up”" if channel else "“This” and “here”"
    if not viewed:
        return ""
    return (
        f"Beside this conversation the person is looking at {' and '.join(viewed)}. "
        f"{this} can mean it. If so, read it with {READ_CHANNEL}, or say that you can't."
    )
