"""Prompts: turns, tools, the origins of their text, and token estimates. Pure.

The origins of a prompt's text determine whether a call with side effects needs approval. Text can request a call just
as a person can, and a model can't reliably tell the two apart. Turns, tool definitions and the instructions
(core/conversation.py) therefore record their origins. A call that an admin allows is made without approval only if all
text in the prompt comes from the askers, an admin or Typist. The askers are the people whose questions are being
answered.

A model's output inherits the origins of its input. Recorded steps and answers store their origins (`origins` in the
tables steps and turns) for later steps, questions and attempts. Text whose origins weren't recorded could be anyone's.

Token counts are estimates, because a tokenizer would have to download its tables.
"""

import json
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal

from bot.errors import StoredEnum
from bot.models.events import Citation, Completion, Opaque, Searching, StreamEvent, TextPart, ToolCall, Usage
from files_to_markdown.document import Document


class Origin(StoredEnum, unknown="unknown"):
    ASKERS = "askers"
    OTHERS = "others"
    """Text from other people, apps and bots: messages, names, quoted and forwarded text, and link previews. Also
    choices that an asker clicked, because a model wrote them."""
    INSTRUCTIONS = "instructions"
    """A channel's own instructions. The channel's creator, who might not be a Typist admin, can write them."""
    MEMORY = "memory"
    """Memories that somebody else wrote or changed."""
    FILE = "file"
    """A file's content or name, even if an asker shared it."""
    TOOL = "tool"
    AGREED = "agreed"
    """A model's text that the asker accepted on a card: a schedule's task or a proposed memory."""
    FOUND = "found"
    """A result from the asker's own account, which might be text that anyone could have sent to them."""
    DEFINITION = "definition"
    """A definition in a server's first list, which no admin has read."""
    WEB = "web"
    UNKNOWN = "unknown"
    """Possibly anyone, because the origins of the text that the model had read weren't recorded."""


Origins = frozenset[Origin]

OURS: Origins = frozenset()
ASKERS: Origins = frozenset({Origin.ASKERS})
OTHERS: Origins = frozenset({Origin.OTHERS})
INSTRUCTIONS: Origins = frozenset({Origin.INSTRUCTIONS})
MEMORY: Origins = frozenset({Origin.MEMORY})
FILE: Origins = frozenset({Origin.FILE})
TOOL: Origins = frozenset({Origin.TOOL})
AGREED: Origins = frozenset({Origin.AGREED})
FOUND: Origins = frozenset({Origin.FOUND})
DEFINITION: Origins = frozenset({Origin.DEFINITION})
WEB: Origins = frozenset({Origin.WEB})
UNKNOWN: Origins = frozenset({Origin.UNKNOWN})

_MODEL_TEXT_TYPES = {"message", "reasoning", "function_call", "text", "thinking", "redacted_thinking", "tool_use", ""}
"""Types of vendor items that contain only the model's text. Items of other types come from the vendor's tools."""
_TOOL_SEARCH = "tool_search"
"""The prefix of the type or name of vendor items that contain only text from tool definitions."""


def merge(origin_sets: Iterable[Origins]) -> Origins:
    return frozenset[Origin]().union(*origin_sets)


def steering_origins(origins: Origins, *, is_private_read: bool) -> Origins:
    """Returns the origins that could make a call do something that the askers don't want. `is_private_read`: whether
    the call only reads with the asker's own account and with the asker's arguments."""
    return origins - (ASKERS | AGREED | FOUND | DEFINITION if is_private_read else ASKERS)


def answer_origins(recorded: Origins, past_asker: str, asker: str) -> Origins:
    """Returns the origins of an earlier answer when `asker` asks a new question."""
    return recorded if past_asker == asker else recorded | OTHERS


def event_origins(event: StreamEvent) -> Origins:
    match event:
        case Searching() | Citation():
            return WEB
        case Opaque(item=item) if is_tool_search(item):
            return OURS
        case Opaque(item=item):
            return OURS if str(item.get("type") or "") in _MODEL_TEXT_TYPES else WEB
        case Completion(usage=Usage(web_searches=searches)) if searches:
            return WEB
    return OURS


def is_tool_search(item: Mapping[str, Any]) -> bool:
    return str(item.get("type")).startswith(_TOOL_SEARCH) or str(item.get("name")).startswith(_TOOL_SEARCH)


def parse_origins(values: Sequence[str] | None) -> Origins:
    """Parses recorded origins. Returns UNKNOWN if none were recorded or a newer version recorded them."""
    return UNKNOWN if values is None else frozenset(map(Origin, values))


class Permission(StrEnum):
    ALLOW = "allow"
    ASK = "ask"
    DENY = "deny"
    """The tool is hidden from the model, and calls to it aren't made."""


@dataclass(frozen=True, slots=True)
class ToolRule:
    permission: Permission
    read_only: bool = False
    """Whether an admin has declared that the tool doesn't have side effects, so that calls can be repeated."""


READ_ONLY_RULE = ToolRule(Permission.ALLOW, read_only=True)


MAX_TRANSCRIPT_CHARS = 100_000
"""More than an hour of speech. The rest is left out."""


@dataclass(frozen=True, slots=True)
class Sound:
    name: str
    """The file name with the extension for its format."""
    media_type: str
    content: bytes = field(repr=False)


class Effort(StrEnum):
    FAST = "fast"
    NORMAL = "normal"
    THOROUGH = "thorough"


@dataclass(frozen=True, slots=True)
class Media:
    name: str
    media_type: str
    base64: str = field(repr=False)
    text_alternative: Document | None = None
    """A PDF's text, for models that don't accept PDFs."""
    is_first: bool = False
    """Whether this is the first of several pages or frames and the others aren't sent."""
    other_pages: tuple["Media", ...] = ()
    tokens: int = 0
    """The number of tokens that vendors count for the pixels or pages, or 0 if unknown."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    call_id: str
    name: str
    text: str = field(repr=False)
    is_error: bool = False


TurnPart = TextPart | ToolCall | ToolResult | Opaque


@dataclass(frozen=True, slots=True)
class Turn:
    role: Literal["user", "assistant"]
    text: str = field(repr=False)
    media: tuple[Media, ...] = ()
    parts: tuple[TurnPart, ...] = field(default=(), repr=False)
    """The content of a model's earlier step in this answer, or the results of its tools. Parts are sent instead of
    `text`: opaque items to their own vendor, and the other parts to any other vendor."""
    origins: Origins = field(default=UNKNOWN, compare=False)
    instruction: str = field(default="", repr=False)
    """Our own sentence after a user's turn, without anyone else's words. It is sent in our own role if the vendor has
    one, and otherwise as a note in the message."""


CALL_TIMEOUT_S = 60.0


class ReadResult(str):
    """A tool's result from data that the tool already has, so no call is needed."""


@dataclass(frozen=True, slots=True)
class ToolDefinition:
    name: str
    """The name as server__tool, in at most 64 letters, digits, _ and -."""
    description: str = field(repr=False)
    parameters: Mapping[str, Any] = field(repr=False)
    definition_hash: str = ""
    """Identifies the name, title, description and parameters that an admin has approved."""
    origins: Origins = field(default=TOOL, compare=False)
    """OURS for Typist's own tools and for tools that an admin has read and approved."""
    rule: ToolRule = field(default=ToolRule(Permission.ASK), compare=False)
    timeout_s: float = field(default=CALL_TIMEOUT_S, compare=False)
    prepare: Callable[[Mapping[str, Any]], Mapping[str, Any] | str] | None = field(default=None, compare=False)
    """Returns the arguments to show for approval, an error for the model, or a ReadResult."""
    uses_own_account: bool = field(default=False, compare=False)
    """Whether calls use the asker's own account, which can read data that others can't."""
    is_dispensable: bool = field(default=False, compare=False)
    """Whether nobody would miss the tool. It isn't sent to models that reject tools or tools with reasoning."""

    @property
    def server(self) -> str:
        return self.name.partition("__")[0]


DEFERRED_ABOVE_CHARS = 40_000
"""About 10,000 tokens. For fewer, a search costs more than it saves, according to OpenAI and Anthropic."""


def deferred_tools(tools: Sequence[ToolDefinition]) -> Mapping[str, Sequence[ToolDefinition]]:
    """Returns the tools for the vendor's tool search by server, or nothing if all definitions together are short."""
    # Tools of servers with few definitions are left out, and so are Typist's own.
    servers: dict[str, list[ToolDefinition]] = {}
    for tool in tools:
        servers.setdefault(tool.server, []).append(tool)
    chars = {server: sum(len(_definition_json(tool)) for tool in its) for server, its in servers.items()}
    if sum(chars.values()) <= DEFERRED_ABOVE_CHARS:
        return {}
    return {server: its for server, its in servers.items() if chars[server] > DEFERRED_ABOVE_CHARS // 10}


def server_line(server: str, tools: Sequence[ToolDefinition]) -> str:
    return f"{server}: {', '.join(tool.name.removeprefix(f'{server}__') for tool in tools)}"


@dataclass(frozen=True, slots=True)
class OfferedTools:
    definitions: tuple[ToolDefinition, ...] = ()
    missing_note: str = ""
    """A note for the model about tools that are temporarily unavailable, or ""."""
    notice: str = ""
    """The same note, but for the asker."""


@dataclass(frozen=True, slots=True)
class WebSearch:
    allowed_domains: tuple[str, ...] = ()
    """The domains to search, including their subdomains, or () for the whole web."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A model's complete input for one answer. The first and the last turn are user turns. User and assistant turns
    alternate, except that a request to continue can follow tool results."""

    system: str = field(repr=False)
    turns: tuple[Turn, ...]
    cache_key: str = ""
    """Tells a vendor's cache which prompts have a common prefix, without revealing anything about them."""
    tools: tuple[ToolDefinition, ...] = ()
    web_search: WebSearch | None = None
    effort: Effort = Effort.NORMAL
    system_origins: Origins = field(default=UNKNOWN, compare=False)
    asker: str = ""
    """Lets the vendor tell askers apart, without revealing anything about them."""
    code: str = ""
    """The code in the prompt's marks, which are lines that begin with `[CODE`. Models sometimes repeat these lines."""

    @property
    def origins(self) -> Origins:
        parts = (*(turn.origins for turn in self.turns), *(tool.origins for tool in self.tools))
        return merge((self.system_origins, *parts))


PDF = "application/pdf"


OUR_SECTIONS = ("note", "memory", "calls")
"""Types of sections that Typist writes and that are never shown in answers."""


def frame_text(code: str, label: str, text: str) -> str:
    return f"[{code} {label}]\n{text}\n[{code} end]" if code else text


def with_noted_instructions(prompt: Prompt) -> Prompt:
    """Converts each of our instructions to a note in its message, for models without a role for instructions."""
    turns = []
    for turn in prompt.turns:
        if turn.instruction:
            note = frame_text(prompt.code, "note", turn.instruction)
            parts = (*turn.parts, TextPart(note)) if turn.parts else ()
            turn = replace(turn, text=f"{turn.text}\n\n{note}", parts=parts, instruction="")
        turns.append(turn)
    return replace(prompt, turns=tuple(turns))


def inline_system(prompt: Prompt) -> Prompt:
    first, *rest = prompt.turns
    parts = (TextPart(prompt.system), *first.parts) if first.parts else ()
    text = "\n\n".join(filter(None, (prompt.system, first.text)))
    return replace(prompt, system="", turns=(replace(first, text=text, parts=parts), *rest))


def without_media(prompt: Prompt, keep: Callable[[Media], bool]) -> tuple[Prompt, tuple[str, ...]]:
    """Replaces media that `keep` rejects with notes. Returns the new prompt and the names of those media."""
    left_out: list[str] = []
    turns = []
    for turn in prompt.turns:
        sent = tuple(media for media in turn.media if keep(media))
        removed = [media for media in turn.media if not keep(media)]
        left_out += [media.name for media in removed]
        # A PDF is replaced by its text, if it has any.
        texts = (media.text_alternative.text if media.text_alternative else "" for media in removed)
        remarks = "".join(f"\n\n{text or hidden_note(media.name)}" for text, media in zip(texts, removed, strict=True))
        turns.append(replace(turn, text=turn.text + remarks, media=sent) if removed else turn)
    return replace(prompt, turns=tuple(turns)), tuple(left_out)


def hidden_note(name: str) -> str:
    return f"(You can't be shown {name}.)"


def item_hashes(prompt: Prompt) -> frozenset[int]:
    """Returns hashes of the opaque items that can be omitted, because their turns also have other parts."""
    # A paused answer has no other parts.
    turns = [turn for turn in prompt.turns if not all(isinstance(part, Opaque) for part in turn.parts)]
    return frozenset(item for turn in turns for item in _item_hashes(turn))


def without_items(prompt: Prompt, refused: Collection[int]) -> Prompt:
    """Removes all opaque items from turns that contain a refused item. `refused`: hashes of items."""
    # Words, calls and results remain, which any vendor can read, so earlier calls are still recognizable as calls.
    if not refused:
        return prompt
    turns = [
        replace(turn, parts=tuple(part for part in turn.parts if not isinstance(part, Opaque)))
        if not _item_hashes(turn).isdisjoint(refused)
        else turn
        for turn in prompt.turns
    ]
    return replace(prompt, turns=tuple(turns))


def _item_hashes(turn: Turn) -> frozenset[int]:
    return frozenset(map(hash, _opaque_items(turn)))


def newest_media_within(
    turns: Sequence[Turn], limit: int, size_of: Callable[[Media], int] = lambda media: len(media.base64)
) -> Collection[Media]:
    """Returns the newest media whose total size is at most `limit`, by default in base64 characters."""
    newest: set[Media] = set()
    for turn in reversed(turns):
        for media in turn.media:
            if (size := size_of(media)) <= limit:
                newest.add(media)
                limit -= size
    return newest


@dataclass(frozen=True, slots=True)
class Estimate:
    probability: float
    """From 0 to 1, or 0 if the model refused to decide."""
    input_tokens: int


BYTES_PER_TOKEN = {"openai": 3.0, "azure": 3.0, "anthropic": 2.0}
"""Bytes per token by vendor: cautious initial values, corrected by reported usage."""
TURN_TOKENS = 4
LEARNING_RATE = 0.2
MAX_IMAGE_TOKENS = 4_000
"""The highest token count of any vendor for an image at its largest resolution."""
TOKEN_SIDE_PIXELS = 28
"""The side length, in pixels, of a square that vendors count as one token."""
PDF_PAGE_TOKENS = 2_350
"""Tokens per PDF page, for its text and image together, as measured with Claude 5.5."""
PDF_PAGE_BYTES = 75_000
"""The assumed size of a scanned page, for PDFs whose pages can't be counted."""


def image_tokens(width: int, height: int) -> int:
    squares = math.ceil(width / TOKEN_SIDE_PIXELS) * math.ceil(height / TOKEN_SIDE_PIXELS)
    return min(MAX_IMAGE_TOKENS, squares)


MEASURABLE_BYTES = 300
"""Minimum size of prompts that correct the estimate. In shorter ones, the vendor's additions outweigh the text."""
MAX_CHARS_PER_TOKEN = 8
"""Twice the average for English text. If a server counts fewer tokens, it cut the prompt or counted only part of it."""
MIN_COUNTED_TOKENS = 1_000
"""Lower counts don't show how much of the prompt a server has read."""


class TokenEstimate:
    def __init__(self, models: tuple[str, ...]) -> None:
        self.window_tokens: int | None = None
        """The smallest window (for prompt and answer together) that a model in use has reported, or None."""
        self.cut_prompts: dict[str, tuple[int, int]] = {}
        """By model: the estimated and the counted tokens of the first prompt that its server has cut."""
        self._bytes_per_token = {model: BYTES_PER_TOKEN.get(model.split("/")[0], 2.0) for model in models}

    def tokens(self, text: str) -> int:
        """Returns the highest estimate for any model in use, because the prompt must fit every fallback."""
        return int(len(text.encode(errors="replace")) / min(self._bytes_per_token.values())) + TURN_TOKENS

    def prompt_tokens(self, prompt: Prompt) -> int:
        texts = [prompt.system]
        for turn in prompt.turns:
            # The vendor's opaque items contain the whole step.
            calls = (part for part in turn.parts if isinstance(part, ToolCall))
            arguments = (f"{call.name} {json.dumps(dict(call.arguments or {}))}" for call in calls)
            texts += _opaque_items(turn) or [turn.text, *filter(None, (turn.instruction,)), *arguments]
        media = (self.media_tokens(media) for turn in prompt.turns for media in turn.media)
        return sum(map(self.tokens, texts)) + self.definitions_tokens(prompt.tools) + sum(media)

    def conversation_tokens(self, prompt: Prompt) -> int:
        """Estimates a prompt's tokens, excluding instructions and tool definitions, which askers can't shorten."""
        return self.prompt_tokens(replace(prompt, system="", tools=()))

    def media_tokens(self, media: Media) -> int:
        if media.media_type != PDF:
            return media.tokens or MAX_IMAGE_TOKENS
        pages = media.tokens or PDF_PAGE_TOKENS * (1 + len(media.base64) * 3 // 4 // PDF_PAGE_BYTES)
        # Some models get the text instead.
        return max(pages, self.tokens(media.text_alternative.text) if media.text_alternative else 0)

    def definitions_tokens(self, tools: Sequence[ToolDefinition]) -> int:
        return sum(self.tokens(_definition_json(tool)) for tool in tools)

    def smallest_window(self, tokens: int | None) -> int | None:
        return min((window for window in (self.window_tokens, tokens) if window is not None), default=None)

    def learn(self, model: str, prompt: Prompt, usage: Usage | None, window_tokens: int | None = None) -> bool:
        """Corrects the estimate using a request's usage. Returns whether the window is the smallest so far."""
        is_smallest = window_tokens is not None and not (self.window_tokens and self.window_tokens <= window_tokens)
        self.window_tokens = window_tokens if is_smallest else self.window_tokens
        # The prompt's text doesn't include media, search results or the content of encrypted items. Searchable
        # definitions might not be read. A paused answer sent the prompt more than once.
        if (
            usage is None
            or usage.web_searches
            or usage.requests
            or deferred_tools(prompt.tools)
            or any(turn.media or _opaque_items(turn) for turn in prompt.turns)
        ):
            return is_smallest
        texts = [*prompt_texts(prompt), *map(_definition_json, prompt.tools)]
        size_bytes = sum(len(text.encode(errors="replace")) for text in texts)
        if model not in self._bytes_per_token or usage.input_tokens <= 0 or size_bytes < MEASURABLE_BYTES:
            return is_smallest
        estimate = self._bytes_per_token[model]
        counted = usage.input_tokens + usage.cached_input_tokens + usage.cache_write_tokens
        if sum(map(len, texts)) > MAX_CHARS_PER_TOKEN * counted:
            if counted >= MIN_COUNTED_TOKENS:
                self.cut_prompts.setdefault(model, (int(size_bytes / estimate), counted))
            return is_smallest
        measured = min(6.0, max(1.0, size_bytes / usage.input_tokens))
        self._bytes_per_token[model] = estimate + LEARNING_RATE * (measured - estimate)
        return is_smallest


def question_index(prompt: Prompt) -> int:
    steps = next((place for place, turn in enumerate(prompt.turns) if turn.parts), len(prompt.turns))
    return max((place for place, turn in enumerate(prompt.turns[:steps]) if turn.role == "user"), default=0)


def prompt_texts(prompt: Prompt) -> list[str]:
    return [prompt.system, *(text for turn in prompt.turns for text in (turn.text, turn.instruction))]


def room_for_conversation(limit_tokens: int, taken_tokens: int) -> int:
    """Returns how much of BOT_HISTORY_TOKENS is left after tool definitions and the answer so far: at least half."""
    return max(limit_tokens // 2, limit_tokens - taken_tokens)


def room_in_window(limit_tokens: int, window_tokens: int | None, instruction_tokens: int) -> int:
    """Returns how much of BOT_HISTORY_TOKENS fits in a window, next to instructions and a quarter for the answer."""
    if window_tokens is None:
        return limit_tokens
    return min(limit_tokens, max(window_tokens // 4, window_tokens * 3 // 4 - instruction_tokens))


def room_for_results(limit_tokens: int, window_tokens: int | None = None, prompt_tokens: int = 0) -> int:
    """Returns the maximum tokens for tool results in a request. `limit_tokens`: BOT_HISTORY_TOKENS."""
    # Results get more room than a conversation, because a model compares what it has found. They have to fit a window
    # besides the prompt and a quarter for the answer.
    room_tokens = 5 * limit_tokens
    if window_tokens is None:
        return room_tokens
    return min(room_tokens, max(window_tokens // 8, window_tokens * 3 // 4 - prompt_tokens))


def _definition_json(tool: ToolDefinition) -> str:
    return json.dumps({"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)})


def _opaque_items(turn: Turn) -> list[str]:
    return [json.dumps(dict(part.item), sort_keys=True) for part in turn.parts if isinstance(part, Opaque)]
