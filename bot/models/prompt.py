"""What a model reads: the prompt, its turns and their parts. Pure."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal

from bot.documents.document import Document
from bot.models.stream import Opaque, ToolCall
from bot.models.trust import TOOL, UNKNOWN, Origins, folded


class Permission(StrEnum):
    """What may happen with a tool's calls."""

    ALLOW = "allow"
    """They run without a question."""
    ASK = "ask"
    """A person decides about each call."""
    DENY = "deny"
    """The model doesn't learn of the tool, and no call runs."""


@dataclass(frozen=True, slots=True)
class ToolRule:
    """What an admin has decided about a tool."""

    permission: Permission
    read_only: bool = False
    """An admin has declared that the tool changes nothing, so that a call may be repeated."""


READS_ONLY = ToolRule(Permission.ALLOW, read_only=True)


MAX_TRANSCRIPT_CHARS = 100_000
"""Over an hour of speech. More is left out."""


@dataclass(frozen=True, slots=True)
class Sound:
    """A recording as it is sent to a model."""

    name: str
    """With the extension of its format."""
    media_type: str
    content: bytes = field(repr=False)


Role = Literal["user", "assistant"]


class Effort(StrEnum):
    """How much a model thinks about an answer."""

    FAST = "fast"
    NORMAL = "normal"
    """As much as the model does by itself."""
    THOROUGH = "thorough"


@dataclass(frozen=True, slots=True)
class Media:
    """An image or a PDF for a model."""

    name: str
    media_type: str
    """image/png, image/jpeg, image/webp or application/pdf."""
    base64: str = field(repr=False)
    """The bytes in base64, the form that all vendors accept."""
    alternative: Document | None = None
    """A PDF's text, for models that don't take PDFs."""


@dataclass(frozen=True, slots=True)
class TextPart:
    """Text among the other parts of a turn."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool returned, as the model reads it."""

    call_id: str
    name: str
    """The tool's name, which some vendors want again."""
    text: str = field(repr=False)
    is_error: bool = False


TurnPart = TextPart | ToolCall | ToolResult | Opaque


@dataclass(frozen=True, slots=True)
class Turn:
    """The words of one side of the conversation, as the model reads them."""

    role: Role
    text: str = field(repr=False)
    media: tuple[Media, ...] = ()
    """The images and PDFs that were shared with it."""
    parts: tuple[TurnPart, ...] = field(default=(), repr=False)
    """What a model's earlier step in this answer consisted of, or the results of its tools.

    If there are any, they are sent in place of `text`: to the vendor of the opaque items nothing but these items, to
    others everything else.
    """
    origins: Origins = field(default=UNKNOWN, compare=False)
    """Whose words they are."""
    now: str = ""
    """A line that says when it is. It changes from prompt to prompt, so it stands last, after what vendors cache."""

    @property
    def whole(self) -> str:
        """The text, with the line that says when it is."""
        return "\n\n".join(filter(None, (self.text, self.now)))


@dataclass(frozen=True, slots=True)
class ToolDefinition:
    """A function that the model may ask for."""

    name: str
    """server__tool, of letters, digits, _ and -, at most 64."""
    description: str = field(repr=False)
    parameters: Mapping[str, Any] = field(repr=False)
    """The JSON Schema of its arguments."""
    definition_hash: str = ""
    """Identifies what an admin has agreed to: name, title, description and parameters."""
    origins: Origins = field(default=TOOL, compare=False)
    """OURS if it is our own, or if an admin has read it and agreed to it."""
    rule: ToolRule = field(default=ToolRule(Permission.ASK), compare=False)
    """What an admin has decided about it."""
    is_dispensable: bool = field(default=False, compare=False)
    """Nobody misses it: a model that refuses tools, or takes them only at a price, is asked without it."""


@dataclass(frozen=True, slots=True)
class WebSearch:
    """The model may search the web, if its vendor offers that."""

    allowed_domains: tuple[str, ...] = ()
    """Searches stay within these domains and their subdomains; empty: the whole web."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """Everything a model reads for one answer. Turns alternate; the first and the last are the user's."""

    system: str = field(repr=False)
    turns: tuple[Turn, ...]
    cache_key: str = ""
    """Identifies the conversation to a vendor's cache, without revealing anything about it."""
    tools: tuple[ToolDefinition, ...] = ()
    web_search: WebSearch | None = None
    """None: the model may not search the web."""
    effort: Effort = Effort.NORMAL
    system_origins: Origins = field(default=UNKNOWN, compare=False)
    """Whose words the system prompt holds."""

    @property
    def origins(self) -> Origins:
        """Whose words a model reads with it."""
        parts = (*(turn.origins for turn in self.turns), *(tool.origins for tool in self.tools))
        return folded((self.system_origins, *parts))


PDF = "application/pdf"


def without_media(prompt: Prompt, keep: Callable[[Media], bool]) -> tuple[Prompt, tuple[str, ...]]:
    """Returns the prompt with a remark in place of each medium that `keep` rejects, and the names of those media."""
    left_out: list[str] = []
    turns = []
    for turn in prompt.turns:
        sent = tuple(media for media in turn.media if keep(media))
        removed = [media for media in turn.media if media not in sent]
        left_out += [media.name for media in removed]
        remarks = "".join(f"\n\n{_remark(media)}" for media in removed)
        turns.append(replace(turn, text=turn.text + remarks, media=sent) if removed else turn)
    return replace(prompt, turns=tuple(turns)), tuple(left_out)


def not_shown(name: str) -> str:
    """Returns the remark about a medium that a model can't be shown."""
    return f"(You can't be shown {name}.)"


def _remark(media: Media) -> str:
    """Returns what stands in place of a medium: a PDF's text, if it has one."""
    text = media.alternative.text if media.alternative else ""
    return text or not_shown(media.name)


def newest_media_within(turns: Sequence[Turn], max_bytes: int) -> Collection[Media]:
    """Returns the newest media that together take at most `max_bytes`, in base64 as they are sent."""
    newest: set[Media] = set()
    for turn in reversed(turns):
        for media in turn.media:
            if len(media.base64) <= max_bytes:
                newest.add(media)
                max_bytes -= len(media.base64)
    return newest


@dataclass(frozen=True, slots=True)
class Decision:
    """What a model says about a statement."""

    probability: float
    """From 0 to 1; 0 if the model refused to decide."""
    input_tokens: int
