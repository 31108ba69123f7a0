"""What a model reads: the prompt, its turns, where their words come from, and how many tokens they are. Pure.

Whose words a prompt holds decides whether a call that may change something needs a person. A text can ask for a call as
well as a person can, and a model can't tell the two apart for certain. So each part of a prompt says where its words
come from: each turn, each tool's definition, and the instructions (core/conversation.py). A call that an admin allows
is made unasked only if the whole prompt holds nothing but the askers' own words, an admin's, and ours. The askers are
the people whose questions the answer is for.

What a model writes carries what it had read. Each recorded step and answer says so (`origins` in the tables steps and
turns), for the steps, questions and attempts that come after it. A part that says nothing may hold anybody's words.

The tokens of a text are estimated: a tokenizer would be exact, but fetches its tables from the network.
"""

import json
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal

from bot.models.events import Citation, Completion, Opaque, Searching, StreamEvent, TextPart, ToolCall, Usage
from files_to_markdown.document import Document


class Origin(StrEnum):
    """Where words in a prompt come from."""

    ASKERS = "askers"
    """The people whose questions are answered."""
    OTHERS = "others"
    """Other people, apps and bots: messages, names, quoted and forwarded text, link previews, channel instructions.

    Also a choice that an asker pressed: a model wrote its words."""
    FILE = "file"
    """A file's content or name, also of a file that an asker shared."""
    TOOL = "tool"
    """A tool's result, or an error of its server."""
    AGREED = "agreed"
    """Others' words that the asker or an admin let in: what the asker's own account found, a schedule's task as its
    creator agreed to it, a definition that no admin has read in a server's first list."""
    WEB = "web"
    """What the model's vendor found on the web."""
    UNKNOWN = "unknown"
    """Anybody's: no record says what the model had read when it wrote them."""


Origins = frozenset[Origin]

OURS: Origins = frozenset()
"""Typist's own words, and those of the people who configure it."""
ASKERS: Origins = frozenset({Origin.ASKERS})
OTHERS: Origins = frozenset({Origin.OTHERS})
FILE: Origins = frozenset({Origin.FILE})
TOOL: Origins = frozenset({Origin.TOOL})
AGREED: Origins = frozenset({Origin.AGREED})
WEB: Origins = frozenset({Origin.WEB})
UNKNOWN: Origins = frozenset({Origin.UNKNOWN})

_MODELS_OWN = {"message", "reasoning", "function_call", "text", "thinking", "redacted_thinking", "tool_use", ""}
"""The types of vendors' items that hold only what the model wrote. All others come from the vendor's own tools."""
_FINDS_TOOLS = "tool_search"
"""Begins the type or the name of vendors' items that hold only what a prompt's definitions say."""


def folded(parts: Iterable[Origins]) -> Origins:
    """Returns where the words of all parts together come from."""
    return frozenset[Origin]().union(*parts)


def read_more_than_askers(origins: Origins) -> bool:
    """Whether a prompt holds words of anybody but its askers, an admin and us."""
    return not origins <= ASKERS


def may_steer_reading(origins: Origins) -> bool:
    """Whether a prompt holds words that could make the asker's own account read what they, and not the asker, want."""
    return not origins <= ASKERS | AGREED


def of_answer(recorded: Origins, its_asker: str, asker: str) -> Origins:
    """Returns where an earlier answer's words come from, when `asker` asks now."""
    return recorded if its_asker == asker else recorded | OTHERS


def of_event(event: StreamEvent) -> Origins:
    """Returns where words come from that the model has read by an event of its stream."""
    match event:
        case Searching() | Citation():
            return WEB
        case Opaque(item=item) if finds_tools(item):
            return OURS
        case Opaque(item=item):
            return OURS if str(item.get("type") or "") in _MODELS_OWN else WEB
        case Completion(usage=Usage(web_searches=searches)) if searches:
            return WEB
    return OURS


def finds_tools(item: Mapping[str, Any]) -> bool:
    """Whether an item of a vendor is a search for tools, or what it found."""
    return str(item.get("type")).startswith(_FINDS_TOOLS) or str(item.get("name")).startswith(_FINDS_TOOLS)


def of_record(values: Sequence[str] | None) -> Origins:
    """Returns recorded origins; UNKNOWN if there is no record, or one of a newer version."""
    known = set(Origin)
    return UNKNOWN if values is None else frozenset(Origin(v) if v in known else Origin.UNKNOWN for v in values)


class Permission(StrEnum):
    """What may happen with a tool's calls."""

    ALLOW = "allow"
    """Calls run without a question."""
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
    is_first: bool = False
    """Whether the file has further pages or frames, which nobody sends."""
    further: tuple["Media", ...] = ()
    """The pages of a scan behind the first one."""
    tokens: int = 0
    """What vendors count for it, by its pixels or pages; 0: they aren't known."""


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


CALL_TIMEOUT_S = 60.0
"""How long a call of a tool may take unless an admin says otherwise."""


class Reading(str):
    """What a call returns that only reads what its tool has at hand, so that it is done without being made."""


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
    timeout_s: float = field(default=CALL_TIMEOUT_S, compare=False)
    """How long a call may take."""
    prepared: Callable[[Mapping[str, Any]], Mapping[str, Any] | str] | None = field(default=None, compare=False)
    """Returns a call's arguments as a person is asked about them; or for the model why it can't be made, or a Reading.
    """
    own_account: bool = field(default=False, compare=False)
    """Whether the asker's own account acts, which reads what nobody else may."""
    is_dispensable: bool = field(default=False, compare=False)
    """Nobody misses it: a model that refuses tools, or takes them only at a price, is asked without it."""

    @property
    def server(self) -> str:
        """The server's name, with which the tool's begins."""
        return self.name.partition("__")[0]


DEFERRED_ABOVE_CHARS = 40_000
"""Of definitions, about 10,000 tokens. Below that, a search costs more than it saves, by OpenAI and Anthropic."""


def searchable(tools: Sequence[ToolDefinition]) -> Mapping[str, Sequence[ToolDefinition]]:
    """Returns the tools that a model may find by its vendor's search, by their servers; none if all are short together.

    Tools of servers with few definitions stay with the others, and so do our own.
    """
    servers: dict[str, list[ToolDefinition]] = {}
    for tool in tools:
        servers.setdefault(tool.server, []).append(tool)
    chars = {server: sum(len(_definition(tool)) for tool in its) for server, its in servers.items()}
    if sum(chars.values()) <= DEFERRED_ABOVE_CHARS:
        return {}
    return {server: its for server, its in servers.items() if chars[server] > DEFERRED_ABOVE_CHARS // 10}


@dataclass(frozen=True, slots=True)
class Offered:
    """Tools that may be used to answer a question."""

    definitions: tuple[ToolDefinition, ...] = ()
    missing: str = ""
    """What a model is told of tools that it would have at another time; "" if there are none."""


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
    """Identifies prompts that begin alike to a vendor's cache, without revealing anything about them."""
    tools: tuple[ToolDefinition, ...] = ()
    web_search: WebSearch | None = None
    """None: the model may not search the web."""
    effort: Effort = Effort.NORMAL
    system_origins: Origins = field(default=UNKNOWN, compare=False)
    """Whose words the system prompt holds."""
    asker: str = ""
    """Tells a vendor askers apart, without revealing anything about them."""
    code: str = ""
    """The code of the prompt's marks, lines that begin with `[CODE`. A model that repeats one means nothing by it."""

    @property
    def origins(self) -> Origins:
        """Whose words a model reads with it."""
        parts = (*(turn.origins for turn in self.turns), *(tool.origins for tool in self.tools))
        return folded((self.system_origins, *parts))


PDF = "application/pdf"


def instructed(prompt: Prompt) -> Prompt:
    """Returns a prompt whose first turn begins with its instructions, for a model that takes none apart."""
    first, *rest = prompt.turns
    parts = (TextPart(prompt.system), *first.parts) if first.parts else ()
    text = "\n\n".join(filter(None, (prompt.system, first.text)))
    return replace(prompt, system="", turns=(replace(first, text=text, parts=parts), *rest))


def without_media(prompt: Prompt, keep: Callable[[Media], bool]) -> tuple[Prompt, tuple[str, ...]]:
    """Returns the prompt with a remark in place of each medium that `keep` rejects, and the names of those media."""
    left_out: list[str] = []
    turns = []
    for turn in prompt.turns:
        sent = tuple(media for media in turn.media if keep(media))
        removed = [media for media in turn.media if not keep(media)]
        left_out += [media.name for media in removed]
        # A PDF's text stands in place of it, if it has one.
        texts = (media.alternative.text if media.alternative else "" for media in removed)
        remarks = "".join(f"\n\n{text or not_shown(media.name)}" for text, media in zip(texts, removed, strict=True))
        turns.append(replace(turn, text=turn.text + remarks, media=sent) if removed else turn)
    return replace(prompt, turns=tuple(turns)), tuple(left_out)


def not_shown(name: str) -> str:
    """Returns the remark about a medium that a model can't be shown."""
    return f"(You can't be shown {name}.)"


def item_hashes(prompt: Prompt) -> frozenset[int]:
    """Returns the hashes of a prompt's opaque items that turns can do without: they have words, calls or results too.

    A paused answer has nothing else.
    """
    turns = [turn for turn in prompt.turns if not all(isinstance(part, Opaque) for part in turn.parts)]
    return frozenset(item for turn in turns for item in _hashes(turn))


def without_items(prompt: Prompt, refused: Collection[int]) -> Prompt:
    """Returns a prompt in which each turn that has a refused item is what any vendor reads: words, calls and results.

    So a call that was made stays a call that was made. `refused`: hashes of items.
    """
    if not refused:
        return prompt
    turns = [
        replace(turn, parts=tuple(part for part in turn.parts if not isinstance(part, Opaque)))
        if not _hashes(turn).isdisjoint(refused)
        else turn
        for turn in prompt.turns
    ]
    return replace(prompt, turns=tuple(turns))


def _hashes(turn: Turn) -> frozenset[int]:
    return frozenset(map(hash, _opaque_items(turn)))


def newest_media_within(
    turns: Sequence[Turn], limit: int, size_of: Callable[[Media], int] = lambda media: len(media.base64)
) -> Collection[Media]:
    """Returns the newest media that together take at most `limit`: in base64 as they are sent, or by another size."""
    newest: set[Media] = set()
    for turn in reversed(turns):
        for media in turn.media:
            if (size := size_of(media)) <= limit:
                newest.add(media)
                limit -= size
    return newest


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a model says about a statement."""

    probability: float
    """From 0 to 1; 0 if the model refused to decide."""
    input_tokens: int


BYTES_PER_TOKEN = {"openai": 3.0, "azure": 3.0, "anthropic": 2.0}
"""Bytes per token by vendor: cautious first guesses, which reported usage corrects."""
TURN_TOKENS = 4
"""The tokens that a vendor adds for each turn."""
LEARNING_RATE = 0.2
MAX_IMAGE_TOKENS = 4_000
"""What the vendors that count most count for an image at their largest resolution."""
PIXELS_OF_TOKEN = 28
"""The side of the square that vendors count as one token."""
PDF_PAGE_TOKENS = 2_350
"""The tokens of a PDF page, its text and its image, as measured on Claude 5.5."""
PDF_PAGE_BYTES = 75_000
"""Of a PDF whose pages can't be counted, in a page of a scan."""


def image_tokens(width: int, height: int) -> int:
    """Returns what vendors count for an image of these pixels."""
    squares = math.ceil(width / PIXELS_OF_TOKEN) * math.ceil(height / PIXELS_OF_TOKEN)
    return min(MAX_IMAGE_TOKENS, squares)


MEASURABLE_BYTES = 300
"""Shorter prompts don't correct the estimate, because the vendor's own additions outweigh their text."""


class TokenEstimate:
    """Estimates for the models in use, each corrected by the usage that its answers report."""

    def __init__(self, models: tuple[str, ...]) -> None:
        self.window_tokens: int | None = None
        """The smallest window that a model in use has named, which holds prompt and answer; None: none has."""
        self._bytes_per_token = {model: BYTES_PER_TOKEN.get(model.split("/")[0], 2.0) for model in models}

    def tokens(self, text: str) -> int:
        """Returns the estimate of the model that counts most: the prompt must fit a fallback too."""
        return int(len(text.encode(errors="replace")) / min(self._bytes_per_token.values())) + TURN_TOKENS

    def prompt_tokens(self, prompt: Prompt) -> int:
        """Returns the estimate of all that a request with this prompt sends: texts, files, definitions and steps."""
        texts = [prompt.system, *(text for turn in prompt.turns for text in _sent_texts(turn))]
        media = (self.media_tokens(media) for turn in prompt.turns for media in turn.media)
        return sum(map(self.tokens, texts)) + self.definitions_tokens(prompt.tools) + sum(media)

    def conversation_tokens(self, prompt: Prompt) -> int:
        """Returns the estimate of what people can shorten: the prompt without instructions and definitions of tools."""
        return self.prompt_tokens(replace(prompt, system="", tools=()))

    def media_tokens(self, media: Media) -> int:
        """Returns the estimate of an image or a PDF."""
        if media.media_type != PDF:
            return media.tokens or MAX_IMAGE_TOKENS
        pages = media.tokens or PDF_PAGE_TOKENS * (1 + len(media.base64) * 3 // 4 // PDF_PAGE_BYTES)
        # Some models get the text in its place.
        return max(pages, self.tokens(media.alternative.text) if media.alternative else 0)

    def definitions_tokens(self, tools: Sequence[ToolDefinition]) -> int:
        """Returns the estimate of tools' definitions, which every request of an answer sends."""
        return sum(self.tokens(_definition(tool)) for tool in tools)

    def window_with(self, tokens: int | None) -> int | None:
        """Returns the smaller one of the window that is known and this one."""
        return min((window for window in (self.window_tokens, tokens) if window is not None), default=None)

    def learn_window(self, tokens: int | None) -> bool:
        """Notes a window; returns whether it is smaller than any before."""
        if tokens is None or (self.window_tokens is not None and self.window_tokens <= tokens):
            return False
        self.window_tokens = tokens
        return True

    def learn(self, model: str, prompt: Prompt, usage: Usage) -> None:
        """Corrects the estimate of a model by the usage of an answer."""
        # Neither media nor what a search found is in the prompt's texts, and encrypted items are not texts. Definitions
        # that can be searched for may not be read. A paused answer has sent the prompt more than once.
        if (
            usage.web_searches
            or usage.requests
            or searchable(prompt.tools)
            or any(turn.media or _opaque_items(turn) for turn in prompt.turns)
        ):
            return
        texts = [*prompt_texts(prompt), *map(_definition, prompt.tools)]
        size_bytes = sum(len(text.encode(errors="replace")) for text in texts)
        if model not in self._bytes_per_token or usage.input_tokens <= 0 or size_bytes < MEASURABLE_BYTES:
            return
        measured = min(6.0, max(1.0, size_bytes / usage.input_tokens))
        estimate = self._bytes_per_token[model]
        self._bytes_per_token[model] = estimate + LEARNING_RATE * (measured - estimate)


def prompt_texts(prompt: Prompt) -> list[str]:
    """Returns what people and the model wrote in a prompt, and what tools returned."""
    return [prompt.system, *(turn.text for turn in prompt.turns)]


def room_for_conversation(limit_tokens: int, taken_tokens: int) -> int:
    """Returns what definitions of tools and the answer so far leave of BOT_HISTORY_TOKENS to the conversation.

    That is at least half.
    """
    return max(limit_tokens // 2, limit_tokens - taken_tokens)


def room_in_window(limit_tokens: int, window_tokens: int | None, instruction_tokens: int) -> int:
    """Returns how much of BOT_HISTORY_TOKENS a window leaves beside the instructions, and a quarter for the answer."""
    if window_tokens is None:
        return limit_tokens
    return min(limit_tokens, max(window_tokens // 4, window_tokens * 3 // 4 - instruction_tokens))


def room_for_results(limit_tokens: int) -> int:
    """Returns how many tokens of tools' results a request may have, by BOT_HISTORY_TOKENS.

    They take more room than a conversation, because a model compares what it has found.
    """
    return 5 * limit_tokens


def results_in_window(limit_tokens: int, window_tokens: int | None, prompt_tokens: int) -> int:
    """Returns how many tokens of tools' results a window leaves beside a prompt, and a quarter for the answer."""
    if window_tokens is None:
        return limit_tokens
    return min(limit_tokens, max(window_tokens // 8, window_tokens * 3 // 4 - prompt_tokens))


def _definition(tool: ToolDefinition) -> str:
    return json.dumps({"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)})


def _sent_texts(turn: Turn) -> list[str]:
    """Returns what a vendor gets of a turn: its own items, which hold all of a step, or else the text and the calls."""
    calls = (part for part in turn.parts if isinstance(part, ToolCall))
    arguments = (f"{call.name} {json.dumps(dict(call.arguments or {}))}" for call in calls)
    return _opaque_items(turn) or [turn.text, *arguments]


def _opaque_items(turn: Turn) -> list[str]:
    return [json.dumps(dict(part.item), sort_keys=True) for part in turn.parts if isinstance(part, Opaque)]
