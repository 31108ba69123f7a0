"""Optional parameters and effort levels: parts of a request that some models and servers reject.

Support for them changes with every new model, so Typist doesn't keep a list of models or refusals. A refusal that isn't
about the content, the key, the load, the room, the files or the model is about the request's form:

1. The next request omits the parts that the refusal names. If Typist doesn't recognize any, it omits the parts that
   nobody would miss.
2. If the next request is refused too, a bare request follows. It has only the model, the messages (with the
   instructions in the first one) and the room. Each question causes at most three of these requests.
3. The accepted form is remembered for the model for as long as the process runs (`RefusedParameters`). If only the bare
   request was accepted, every following request restores one part, starting with the part that readers miss most. If a
   refusal might be due to a conversation's history, only that conversation's requests change.

Vendors share the names of effort levels, but models support different levels. Most refusals list the supported levels,
and the next request uses the level nearest to the asker's choice. If a refusal lists no levels, the model answers with
its own default. Errors about an effort level mention "reasoning" or "thinking", just as errors about summaries do. So
effort is checked first, and no other part is omitted because of that refusal.

For longer thinking, a request uses the next level above the model's default. OpenAI's responses report the default. For
other models, Typist assumes `high`, the most common default.

The output limit is a parameter too. room.py determines the highest limit that a server accepts.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from bot.errors import EndReason
from bot.models.failures import BAD_REQUEST, ErrorResponse, is_about_output, is_temporary, reason_and_sentence
from bot.models.prompt import Effort, ToolDefinition
from bot.text import object_in


class OptionalParameter(Enum):
    """Parts of a request that can be omitted, in the order in which they are restored."""

    # The values are patterns for the names that servers use.

    TOOLS = r"\btools?\b|tool.(?:us|call|choice)|tools_limit|\bfunctions?\b"
    DISPENSABLE_TOOLS = r"\btools?\b|tool.(?:us|call|choice)|tools_limit|\bfunctions?\b|/v1/responses"
    """Tool definitions, if all of them are dispensable. They are dropped once tools, or tools with reasoning, are
    refused."""
    TOOL_SEARCH = r"tool.?search|defer.?loading|\bnamespaces?\b"
    """The vendor's tool search, which makes a model read only the definitions that a question needs."""
    WEB_SEARCH = r"web.?search|max_tool_calls"
    """The vendor's web search, which isn't available to all models and organizations."""
    WEB_FETCH = r"web.?fetch"
    SYSTEM_ROLE = (
        r"system\W{0,3}(?:role|message|prompt|instruct)|role\W{1,3}system|support\w* (?:the )?system"
        r"|(?:user|assistant)\b.{0,20}\broles?\b|\binstructions\b"
    )
    """The system role for instructions. Without it, instructions are put at the start of the first message."""
    OUR_ROLE = r"role\W{1,3}(?:system|developer)"
    """The role for our instructions in mid-conversation. Without it, they become notes in people's messages."""
    USAGE = r"stream_options|include_usage"
    """The token count at the end of a stream. Without it, the count is estimated."""
    PROGRESS = r"\bdisplay\b|\badaptive\b"
    """Claude's notes between calls, which are empty unless requested. The parameter also turns on thinking, so it is
    sent only to models that always think."""
    EFFORT = r"effort|output_config|(?:reasoning|thinking)(?!\W{0,2}summar)"
    MESSAGE_EFFORT = r"configuration_update|mid.conversation|messages\W\d+\W(?:role|output_config)\b(?!\Weffort)"
    """The effort level as a message, which keeps the cached prefix valid. Without it, the request sets the level."""
    REASONING_SUMMARIES = r"reasoning|thinking"
    ENCRYPTED_REASONING = r"\binclude\b|encrypted.content"
    """The reasoning before a tool call, which must be sent back with the result because requests aren't stored."""
    STRICT = r"\bstrict\b"
    """The field that stops OpenAI from changing tool schemas."""
    SAFETY_ID = r"safety_identifier|metadata"
    """Identifies askers to the vendor, which can then block a single asker instead of the whole organization."""
    CACHE_KEY = r"prompt_cache_key|cache_control"
    """Routes requests with a common prefix to the cache of that prefix."""
    CACHE_BREAKPOINT = r"prompt_cache_breakpoint"
    """Marks the end of the prefix that conversations share, for models that cache a prefix only up to such a mark."""
    PHASE = r"\bphase\b"
    """Tells the model which of its earlier messages were answers and which were only comments before calls."""
    TOOLS_WITH_REASONING = r"/v1/responses"
    """Tools together with reasoning, which OpenAI's models reject in Chat Completions, even through gateways."""
    OLD_LIMIT = r"max_(?:completion_|output_|new_)?tokens"
    """The older output limit of Chat Completions, which all compatible servers support but OpenAI's models reject."""
    LIMIT = r"max_\w{0,20}tokens"
    STORE = r"\bstore\b"
    """The field that prevents a server from storing requests."""
    BARE_ANSWERS = r"reasoning_content\b[^\n]{0,80}(?:must be|missing|required)|missing\W{1,3}reasoning_content"
    """Assistant messages without reasoning, which DeepSeek, Kimi and MiMo reject in thinking mode."""
    UNSIGNED_CALLS = r"missing \w{1,3} \W?thought.?signature"
    """Calls that were made by another model or whose signature was rejected. Gemini rejects both."""
    STREAM = (
        r"['\"`]stream['\"`]"
        r"|(?:(?:\bnot|n't) (?:yet )?(?:support|allow|accept|enable)\w*|verified to) (?:\w+ ){0,2}stream(?:ing)?\b"
        r"|\bstream(?:ing|ed)? (?:is |are )?(?:not (?:yet )?(?:support|allow|accept|enable|available)|unsupported)"
    )
    """Streaming, which OpenAI denies to unverified organizations. Without it, the answer arrives all at once."""


Parameters = Collection[OptionalParameter]
WEB = frozenset((OptionalParameter.WEB_SEARCH, OptionalParameter.WEB_FETCH))
TOOLS = frozenset((OptionalParameter.TOOLS, OptionalParameter.DISPENSABLE_TOOLS))
TOOL_PARAMETERS = TOOLS | {
    OptionalParameter.TOOL_SEARCH,
    OptionalParameter.TOOLS_WITH_REASONING,
    OptionalParameter.ENCRYPTED_REASONING,
    OptionalParameter.STRICT,
}
INCOMPLETE_MESSAGES = frozenset((OptionalParameter.BARE_ANSWERS, OptionalParameter.UNSIGNED_CALLS))
"""Messages that lack a certain field. If a model rejects such messages, requests include the field."""
MESSAGE_PARAMETERS = INCOMPLETE_MESSAGES | {OptionalParameter.OUR_ROLE, OptionalParameter.PHASE}
"""Forms of messages that also occur in other conversations, even if a refusal points to an earlier message."""
_MISSED_BY_READERS = WEB | {OptionalParameter.TOOLS, OptionalParameter.SYSTEM_ROLE}
_KEPT_IN_BARE_REQUEST = INCOMPLETE_MESSAGES | {
    OptionalParameter.TOOLS_WITH_REASONING,
    OptionalParameter.OLD_LIMIT,
    OptionalParameter.LIMIT,
    OptionalParameter.STORE,
    OptionalParameter.STREAM,
}
"""Parameters that even the bare request keeps, unless a refusal names them."""
_OMITTED_ALONE = (
    OptionalParameter.MESSAGE_EFFORT,
    OptionalParameter.CACHE_BREAKPOINT,
    OptionalParameter.TOOL_SEARCH,
    OptionalParameter.OUR_ROLE,
    OptionalParameter.PHASE,
    OptionalParameter.PROGRESS,
    *INCOMPLETE_MESSAGES,
    OptionalParameter.STRICT,
    OptionalParameter.DISPENSABLE_TOOLS,
    OptionalParameter.TOOLS_WITH_REASONING,
    OptionalParameter.EFFORT,
    OptionalParameter.OLD_LIMIT,
)
"""If a refusal names one of these, no other part is omitted. Earlier entries take precedence."""
MAX_REFUSALS = 2
"""Maximum number of refused requests per question to follow up with another request."""
MAX_WORDS_CHARS = 20_000
MAX_REFUSED_TOOLS = 8
"""Maximum number of tools to drop individually because refusals name them. After that, all tools are dropped."""
_TOOLS_PLACE = re.compile(r"\btools[.\[](\d{1,3})\b\]?(?:\W?function_declarations\[(\d{1,3})\])?")
"""Matches a tool's position in the request, as reported by Anthropic, OpenAI and Gemini (which has two lists)."""
_TOO_MANY_TOOLS = re.compile(
    r"too many (?:tools|functions)|tools_limit_exceeded"
    r"|\b(?:tools|declarations)\b[^.]{0,60}(?:exceed|maximum|at most|limit|up to)"
    r"|\btools\W{1,3}array too long|(?:at most|up to|maximum of|limit of|more than) \d{1,4} (?:tools|functions)",
    re.IGNORECASE,
)
_STATED_MAX = re.compile(
    r"(?:max|at most|up to|limit|more than|exceed|less than|fewer than)\D{0,50}(\d{1,4})\b", re.IGNORECASE
)
NO_SUCH_API = (400, 403, 404, 405, 501)
_OTHER_API = re.compile(
    r"(?:\b(?:only|not)|n't)\b[^\n]{0,80}(?:v1/responses|responses api|chat[/ _]?completions?)"
    r"|chat[/ _]?completions? operation",
    re.IGNORECASE,
)
"""Matches errors from OpenAI, GitHub Copilot, xAI and Azure about models that only another API supports."""
_OTHER_API_CODES = re.compile(r"operation_?not_?supported|unsupported_api", re.IGNORECASE)
_ITEM_WORDS = re.compile(
    r"signature|thinking|thought|reasoning|encrypted.content|\brs_\w|tool_reference_unresolved", re.IGNORECASE
)
_FIELD_NAME = re.compile(r"[a-z_]{1,40}(?=$|[\[.:])")
_UNRELATED_STATUSES = (401, 402, 407, 408, 409, 424, 425, 429, 499)
_INTERNAL_ERRORS = (500, 501)
"""Statuses for internal server errors. llama.cpp and other servers also use them when they reject parameters."""
_UNCLEAR_REASONS = (EndReason.UNEXPECTED, EndReason.UNREADABLE, EndReason.SERVER_ERROR)


def parameters_in_refusal(refusal: ErrorResponse, parameters: Parameters) -> frozenset[OptionalParameter]:
    """Returns the most specific `parameters` that a refusal names."""
    words = str(refusal.body)[:MAX_WORDS_CHARS]
    named = frozenset(parameter for parameter in parameters if re.search(parameter.value, words, re.IGNORECASE))
    if not named.isdisjoint(WEB):
        # A hosted tool is called a tool too.
        named -= TOOLS
    # A feature that the server doesn't stream is dropped before streaming is.
    named = named - {OptionalParameter.STREAM} or named
    return next((frozenset({alone}) for alone in _OMITTED_ALONE if alone in named), named)


def refused_tools(refusal: ErrorResponse, tools: Sequence[ToolDefinition]) -> frozenset[str]:
    """Returns the hashes of the tools that a refusal names or, if it doesn't name any, of the tools whose positions it
    states."""
    words = str(refusal.body)[:MAX_WORDS_CHARS] if refusal.status != 404 else ""
    named = {t.definition_hash for t in tools if re.search(rf"(?<![\w-]){re.escape(t.name)}(?![\w-])", words)}
    places = {int(tool) + int(function or 0) for tool, function in _TOOLS_PLACE.findall(words)}
    return frozenset(named or (tool.definition_hash for place, tool in enumerate(tools) if place in places))


def max_tools_in_refusal(refusal: ErrorResponse, sent: int) -> int | None:
    """Returns the maximum number of tools if a refusal says that `sent` tools are too many, otherwise None."""
    words = str(refusal.body)[:MAX_WORDS_CHARS]
    if not _TOO_MANY_TOOLS.search(words):
        return None
    return next((number for number in map(int, _STATED_MAX.findall(words)) if 0 < number < sent), sent // 2) or None


def is_about_api(refusal: ErrorResponse) -> bool:
    """Returns whether a server has the model but rejects Chat Completions requests for it."""
    reason, words = reason_and_sentence(refusal)
    says_so = _OTHER_API.search(words[:MAX_WORDS_CHARS]) or _OTHER_API_CODES.search(str(refusal.body)[:MAX_WORDS_CHARS])
    return refusal.status in NO_SUCH_API and reason is not EndReason.UNREADABLE and says_so is not None


def is_about_form(refusal: ErrorResponse, *, is_named: bool) -> bool:
    """Returns whether a refusal is about the request's form. `is_named`: whether it names a part of the request."""
    status = refusal.status
    if (
        refusal.headers.get("x-should-retry") == "true"
        or (status in BAD_REQUEST and is_temporary(refusal) and not is_about_output(refusal))
        or status in _UNRELATED_STATUSES
        or (status >= 500 and status not in _INTERNAL_ERRORS)
    ):
        return False
    if is_named:
        return reason_and_sentence(refusal, by_numbers=False)[0] in _UNCLEAR_REASONS
    reason = reason_and_sentence(refusal)[0]
    return reason is EndReason.UNEXPECTED or (reason is EndReason.UNREADABLE and status in BAD_REQUEST)


def is_about_items(refusal: ErrorResponse) -> bool:
    """Returns whether a refusal might be about earlier output items: thinking, signatures or encrypted content."""
    # Vendors use different terms, and bind items to different things, so only a request without the items can tell.
    words = str(refusal.body)[:MAX_WORDS_CHARS]
    return _ITEM_WORDS.search(words) is not None and is_about_form(refusal, is_named=True)


def field_in_refusal(refusal: ErrorResponse) -> str:
    """Returns the field of the request's body that a refusal names in `param` or before its sentence."""
    error = object_in(refusal.body)
    error = object_in(error.get("error")) or error
    place = _FIELD_NAME.match(str(error.get("param") or error.get("message") or ""))
    return place[0] if place else ""


@dataclass(frozen=True, slots=True)
class RefusedParameters:
    """The parameters that a model refuses, as learned from its responses, so that later requests can omit them.

    A parameter is recorded as unsupported once a request without it succeeds, because some errors mention a parameter
    but have another cause ("'rs_…' of type 'reasoning' was provided without its required following item"). If only the
    bare request succeeds, every following request restores one parameter."""

    refused: frozenset[OptionalParameter] = frozenset()
    untried: frozenset[OptionalParameter] = frozenset()
    """Parameters that a bare request omitted. The model refuses at least one of them."""

    def allowed(self, offered: frozenset[OptionalParameter]) -> frozenset[OptionalParameter]:
        waiting = [parameter for parameter in OptionalParameter if parameter in self.untried & offered]
        has_price = not self.refused.isdisjoint((OptionalParameter.TOOLS, OptionalParameter.TOOLS_WITH_REASONING))
        too_costly = {OptionalParameter.DISPENSABLE_TOOLS} if has_price else set()
        return offered - self.refused - set(waiting[1:]) - too_costly

    def parameters_to_omit(
        self, sent: frozenset[OptionalParameter], named: frozenset[OptionalParameter], *, is_last: bool
    ) -> frozenset[OptionalParameter]:
        """Returns the parameters to omit after a refusal. `is_last`: whether only one more request is allowed."""
        bare = sent - _KEPT_IN_BARE_REQUEST
        if is_last:
            return bare | named
        return named or (sent & self.untried) or (sent - _KEPT_IN_BARE_REQUEST - _MISSED_BY_READERS) or bare

    def after_success(
        self, sent: frozenset[OptionalParameter], dropped: frozenset[OptionalParameter], *, is_conclusive: bool
    ) -> "RefusedParameters":
        """Returns the state after success without `dropped`. `is_conclusive`: whether all of them were refused."""
        refused = self.refused | dropped if is_conclusive else self.refused | (dropped & _KEPT_IN_BARE_REQUEST)
        return RefusedParameters(refused, (self.untried | (dropped - _KEPT_IN_BARE_REQUEST)) - sent - refused)


LEVELS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""From the least to the most thinking."""
_FAST = "low"
"""The level for fast answers. Answers without any thinking (`none`) are worse."""
_USUAL_DEFAULT_LEVEL = "high"
_USUAL_LEVELS = frozenset(("low", "medium", "high", "xhigh"))
"""Levels that a model is assumed to support until it reports otherwise. `max` costs more than it is worth."""
_LIST_START = re.compile(
    r"(?:supported|allowed|valid|possible|permitted) values|one of|(?:should|must) be|expected|\buse\b", re.IGNORECASE
)
_LEVEL = re.compile(rf"\b(?:{'|'.join(LEVELS)})\b")


@dataclass(frozen=True, slots=True)
class EffortLevels:
    listed: frozenset[str] | None = None
    """Levels listed by the vendor or a refusal. Empty if the model doesn't support any, None if unknown."""
    refused: frozenset[str] = frozenset()
    default: str = ""
    """The model's default level, or "" if unknown."""
    always_thinks: bool = False
    """Whether the model itself decides how long to think, and refuses to answer without thinking."""

    def level(self, effort: Effort) -> str:
        match effort:
            case Effort.FAST if self.listed is None:
                return "" if _FAST in self.refused else _FAST
            case Effort.FAST:
                # If two levels are equally near, use the cheaper one.
                return min(self._usable, key=lambda level: abs(LEVELS.index(level) - LEVELS.index(_FAST)), default="")
            case Effort.THOROUGH:
                own = LEVELS.index(self.default or _USUAL_DEFAULT_LEVEL)
                # The highest level below could still be above the model's default.
                below = "" if self.default else next((level for level in reversed(self._usable) if level != "none"), "")
                return next((level for level in self._usable if LEVELS.index(level) > own), below)
        return ""

    @property
    def _usable(self) -> list[str]:
        return sorted((_USUAL_LEVELS if self.listed is None else self.listed) - self.refused, key=LEVELS.index)

    def with_description(self, model: object) -> "EffortLevels":
        effort = getattr(getattr(model, "capabilities", None), "effort", None)
        named = {level for level in LEVELS if getattr(getattr(effort, level, None), "supported", False)}
        types = getattr(getattr(getattr(model, "capabilities", None), "thinking", None), "types", None)
        adaptive, off = (getattr(getattr(types, name, None), "supported", None) for name in ("adaptive", "disabled"))
        listed = self.listed if effort is None else frozenset(named)
        return replace(self, listed=listed, always_thinks=adaptive is True and off is False)

    def after_refusal(self, level: str, refusal: ErrorResponse) -> "EffortLevels":
        words = str(refusal.body)
        list_begins = _LIST_START.search(words)
        listed = frozenset(_LEVEL.findall(words, list_begins.end()) if list_begins else ()) or self.listed
        # A refusal that doesn't name the level is about any effort.
        is_of_any = listed is None and level not in _LEVEL.findall(words)
        return replace(self, listed=frozenset() if is_of_any else listed, refused=self.refused | {level})
