"""What improves an answer, and what some models and servers refuse: optional parameters, and levels of effort.

Which models take them changes with every new model, so there is no list of models, and none of refusals. A refusal that
isn't about the words, the key, the load, the room, the files or the model is about the request's form:

1. What the refusal names is left out. If it names nothing that Typist knows, what nobody misses is left out.
2. If that is refused, too, the bare request follows: the model, the messages with the instructions in the first one,
   and the room. No question makes more than three such requests.
3. What works is remembered for the model while the process runs (`RefusedParameters`). If the bare request did, each of
   the next requests puts back one part, what readers miss most before the rest.

Vendors share the names of the levels of effort, but not each model takes each level. Most refusals list the values that
are taken, and the nearest one to what the asker wants is sent next. A model that refuses an effort and lists nothing
answers with its own default. Refusals of an effort also say "reasoning" or "thinking", as refusals of summaries do. So
the effort is looked for first, and nothing else is given up for it.

Who wants a model to think longer gets the next level above what it does by itself. OpenAI's responses name that level.
Of other models it isn't known, and counts as `high`, which is the default of most.

The output limit is a parameter, too. How much a server takes of it is in room.py.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from bot.errors import EndReason
from bot.models.failures import BAD_REQUEST, ErrorResponse, is_about_output, is_passing, meaning
from bot.models.prompt import Effort, ToolDefinition


class OptionalParameter(Enum):
    """A part of a request that Typist can do without, in the order in which it is put back.

    The value is a pattern of the names that servers have for it.
    """

    TOOLS = r"\btools?\b|tool.(?:us|call|choice)|\bfunctions?\b"
    """The definitions of functions."""
    DISPENSABLE_TOOLS = r"\btools?\b|tool.(?:us|call|choice)|\bfunctions?\b|/v1/responses"
    """The definitions of a prompt that has only dispensable ones. They go wherever tools have a price."""
    TOOL_SEARCH = r"tool.?search|defer.?loading|\bnamespaces?\b"
    """The vendor's search for tools, with which a model reads only the definitions that a question needs."""
    WEB_SEARCH = r"web.?search|max_tool_calls"
    """The vendor's own web search, which models or organizations may not have."""
    WEB_FETCH = r"web.?fetch"
    """The vendor's own tool that opens a web page."""
    SYSTEM_ROLE = (
        r"system\W{0,3}(?:role|message|prompt|instruct)|role\W{1,3}system|support\w* (?:the )?system"
        r"|(?:user|assistant)\b.{0,20}\broles?\b|\binstructions\b"
    )
    """The role of the instructions. Without it, they begin the first message."""
    USAGE = r"stream_options|include_usage"
    """A count of tokens at a stream's end: without it, an estimate counts."""
    EFFORT = r"effort|output_config|(?:reasoning|thinking)(?!\W{0,2}summar)"
    """How much the model thinks, where the prompt says so (EffortLevels)."""
    REASONING_SUMMARIES = r"reasoning|thinking"
    """Summaries of the model's reasoning, which show that it is at work."""
    ENCRYPTED_REASONING = r"\binclude\b|encrypted.content"
    """The reasoning before a tool call, to send back with its result: requests aren't stored."""
    STRICT = r"\bstrict\b"
    """The field by which OpenAI leaves the schemas of tools as they are."""
    SAFETY_ID = r"safety_identifier|metadata"
    """Tells a vendor askers apart, so that it may block one of them rather than the whole organization."""
    CACHE_KEY = r"prompt_cache_key|cache_control"
    """Leads requests to what is cached of their common beginning."""
    CACHE_BREAKPOINT = r"prompt_cache_breakpoint"
    """Ends the beginning that conversations share, where a model finds only what ended there."""
    TOOLS_WITH_REASONING = r"/v1/responses"
    """Functions for a model that reasons: OpenAI's refuse them at Chat Completions, also behind gateways."""
    OLD_LIMIT = r"max_(?:completion_|output_|new_)?tokens"
    """The older name of Chat Completions' output limit. All compatible servers know it; OpenAI's models refuse it."""
    LIMIT = r"max_\w{0,20}tokens"
    """The output limit, by any name."""
    STORE = r"\bstore\b"
    """The field that keeps a server from storing requests."""
    BARE_ANSWERS = r"reasoning_content\b[^\n]{0,80}(?:must be|missing|required)|missing\W{1,3}reasoning_content"
    """Messages of the model without reasoning, which DeepSeek, Kimi and MiMo refuse while they think."""
    UNSIGNED_CALLS = r"missing \w{1,3} \W?thought.?signature"
    """Calls that another model made, or whose signature was refused: Gemini refuses them."""
    STREAM = (
        r"['\"`]stream['\"`]"
        r"|(?:(?:\bnot|n't) (?:yet )?(?:support|allow|accept|enable)\w*|verified to) (?:\w+ ){0,2}stream(?:ing)?\b"
        r"|\bstream(?:ing|ed)? (?:is |are )?(?:not (?:yet )?(?:support|allow|accept|enable|available)|unsupported)"
    )
    """The answer in pieces, which OpenAI refuses organizations that aren't verified. Else it comes whole, and late."""


WEB = frozenset((OptionalParameter.WEB_SEARCH, OptionalParameter.WEB_FETCH))
"""Parameters of requests that may search the web."""
OF_TOOLS = frozenset(
    (
        OptionalParameter.TOOLS,
        OptionalParameter.DISPENSABLE_TOOLS,
        OptionalParameter.TOOL_SEARCH,
        OptionalParameter.TOOLS_WITH_REASONING,
        OptionalParameter.ENCRYPTED_REASONING,
        OptionalParameter.STRICT,
    )
)
"""Parameters of requests that offer tools."""
MISSED = frozenset((OptionalParameter.BARE_ANSWERS, OptionalParameter.UNSIGNED_CALLS))
"""What a refusal misses a field of messages for. Without them, requests have that field."""
_NEEDED = WEB | {OptionalParameter.TOOLS, OptionalParameter.SYSTEM_ROLE}
"""Parameters without which answers are worse."""
_KEPT = MISSED | {
    OptionalParameter.TOOLS_WITH_REASONING,
    OptionalParameter.OLD_LIMIT,
    OptionalParameter.LIMIT,
    OptionalParameter.STORE,
    OptionalParameter.STREAM,
}
"""Parameters that even the bare request has, unless a refusal names them."""
_ALONE = (
    OptionalParameter.CACHE_BREAKPOINT,
    OptionalParameter.TOOL_SEARCH,
    *MISSED,
    OptionalParameter.STRICT,
    OptionalParameter.DISPENSABLE_TOOLS,
    OptionalParameter.TOOLS_WITH_REASONING,
    OptionalParameter.EFFORT,
    OptionalParameter.OLD_LIMIT,
)
"""If a refusal names one of these, nothing else is given up for it, the first one before the others."""
MAX_REFUSALS = 2
"""How many requests of one question may be refused and followed by another one."""
MAX_WORDS_CHARS = 20_000
"""How much of a refusal is searched for names."""
MAX_REFUSED_TOOLS = 8
"""How many tools are left out one after another, because refusals name them. Then all are."""
_TOOLS_PLACE = re.compile(r"\btools[.\[](\d{1,3})\b\]?(?:\W?function_declarations\[(\d{1,3})\])?")
"""A tool's place in the request, as Anthropic, OpenAI and Gemini name it. Gemini counts in one of two lists."""
_TOO_MANY_TOOLS = re.compile(
    r"too many (?:tools|functions)|\b(?:tools|declarations)\b[^.]{0,60}(?:exceed|maximum|at most|limit|up to)"
    r"|\btools\W{1,3}array too long|(?:at most|up to|maximum of|limit of|more than) \d{1,4} (?:tools|functions)",
    re.IGNORECASE,
)
_MOST = re.compile(
    r"(?:max|at most|up to|limit|more than|exceed|less than|fewer than)\D{0,50}(\d{1,4})\b", re.IGNORECASE
)
NO_SUCH_API = (400, 403, 404, 405, 501)
"""The statuses of a server that lacks an API."""
_OTHER_API = re.compile(
    r"(?:\b(?:only|not)|n't)\b[^\n]{0,80}(?:v1/responses|responses api|chat[/ _]?completions?)"
    r"|chat[/ _]?completions? operation",
    re.IGNORECASE,
)
"""What OpenAI, GitHub Copilot, xAI and Azure say of models that only another API has."""
_OTHER_API_CODES = re.compile(r"operation_?not_?supported|unsupported_api", re.IGNORECASE)
_OF_ITEMS = re.compile(r"signature|thinking|thought|reasoning|encrypted.content|\brs_\w", re.IGNORECASE)
"""What refusals call the model's own items."""
_NOT_OF_THE_REQUEST = (401, 402, 407, 408, 409, 424, 425, 429, 499)
_SERVERS_OWN = (500, 501)
"""Statuses of a server's own fault. llama.cpp and others refuse parameters with them."""
_UNCLEAR = (EndReason.UNEXPECTED, EndReason.UNREADABLE, EndReason.SERVER_ERROR)


def named_parameters(refusal: ErrorResponse, parameters: Collection[OptionalParameter]) -> frozenset[OptionalParameter]:
    """Returns those of `parameters` that a refusal names. What it names most exactly goes before the rest."""
    words = str(refusal.body)[:MAX_WORDS_CHARS]
    named = frozenset(parameter for parameter in parameters if re.search(parameter.value, words, re.IGNORECASE))
    if not named.isdisjoint(WEB):
        # A hosted tool is called a tool, too.
        named -= {OptionalParameter.TOOLS, OptionalParameter.DISPENSABLE_TOOLS}
    # A feature that the server doesn't stream is left out before the stream is.
    named = named - {OptionalParameter.STREAM} or named
    return next((frozenset({alone}) for alone in _ALONE if alone in named), named)


def refused_tools(refusal: ErrorResponse, tools: Sequence[ToolDefinition]) -> frozenset[str]:
    """Returns the hashes of those of a request's tools that a refusal names, or else those whose places it names."""
    words = str(refusal.body)[:MAX_WORDS_CHARS] if refusal.status != 404 else ""
    named = {t.definition_hash for t in tools if re.search(rf"(?<![\w-]){re.escape(t.name)}(?![\w-])", words)}
    places = {int(tool) + int(function or 0) for tool, function in _TOOLS_PLACE.findall(words)}
    return frozenset(named or (tool.definition_hash for place, tool in enumerate(tools) if place in places))


def most_tools(refusal: ErrorResponse, sent: int) -> int | None:
    """Returns how many tools to send after `sent` were refused as too many; None if they were refused otherwise."""
    words = str(refusal.body)[:MAX_WORDS_CHARS]
    if not _TOO_MANY_TOOLS.search(words):
        return None
    return next((number for number in map(int, _MOST.findall(words)) if 0 < number < sent), sent // 2) or None


def is_about_api(refusal: ErrorResponse) -> bool:
    """Returns whether a server refuses Chat Completions for a model that it has, and not a wrong path."""
    reason, words = meaning(refusal)
    says_so = _OTHER_API.search(words[:MAX_WORDS_CHARS]) or _OTHER_API_CODES.search(str(refusal.body)[:MAX_WORDS_CHARS])
    return refusal.status in NO_SUCH_API and reason is not EndReason.UNREADABLE and says_so is not None


def is_about_form(refusal: ErrorResponse, *, is_named: bool) -> bool:
    """Returns whether a refusal is about the form of a request: not its words, the key, the model or the server's load.

    `is_named`: whether the refusal names a part of the request, so that its status says little.
    """
    status = refusal.status
    if (
        refusal.headers.get("x-should-retry") == "true"
        or (status in BAD_REQUEST and is_passing(refusal) and not is_about_output(refusal))
        or status in _NOT_OF_THE_REQUEST
        or (status >= 500 and status not in _SERVERS_OWN)
    ):
        return False
    if is_named:
        return meaning(refusal, by_numbers=False)[0] in _UNCLEAR
    reason = meaning(refusal)[0]
    return reason is EndReason.UNEXPECTED or (reason is EndReason.UNREADABLE and status in BAD_REQUEST)


def is_about_items(refusal: ErrorResponse) -> bool:
    """Returns whether a refusal may be about the model's own earlier items: thinking, signatures, encrypted content.

    Which words a vendor has for that differs, and so does what they are bound to. The repeat without them tells.
    """
    words = str(refusal.body)[:MAX_WORDS_CHARS]
    return _OF_ITEMS.search(words) is not None and is_about_form(refusal, is_named=True)


@dataclass(frozen=True, slots=True)
class RefusedParameters:
    """What a model refuses of requests, as far as its answers tell. Each refusal costs an asker a moment.

    A refusal is believed once the request without what it names succeeds: the error "'rs_…' of type 'reasoning' was
    provided without its required following item" names a parameter and means something else. If only the bare request
    succeeds, each of the next requests puts back one part.
    """

    refused: frozenset[OptionalParameter] = frozenset()
    untried: frozenset[OptionalParameter] = frozenset()
    """What a bare request left out. The model refuses at least one of these."""

    def of(self, offered: frozenset[OptionalParameter]) -> frozenset[OptionalParameter]:
        """Returns which of the parameters that a prompt can use its next request has."""
        waiting = [parameter for parameter in OptionalParameter if parameter in self.untried & offered]
        has_price = not self.refused.isdisjoint((OptionalParameter.TOOLS, OptionalParameter.TOOLS_WITH_REASONING))
        return (
            offered - self.refused - set(waiting[1:]) - ({OptionalParameter.DISPENSABLE_TOOLS} if has_price else set())
        )

    def left_out_after(
        self, sent: frozenset[OptionalParameter], named: frozenset[OptionalParameter], *, is_last: bool
    ) -> frozenset[OptionalParameter]:
        """Returns what the request that follows a refused one leaves out of it.

        That is what the refusal names, what was put back, what nobody misses, or all that can be missed.
        `is_last`: whether no other request may follow.
        """
        bare = sent - _KEPT
        if is_last:
            return bare | named
        return named or (sent & self.untried) or (sent - _KEPT - _NEEDED) or bare

    def after(
        self, sent: frozenset[OptionalParameter], dropped: frozenset[OptionalParameter], *, is_sure: bool
    ) -> "RefusedParameters":
        """Returns what is known once a request succeeded that left out `dropped`.

        `is_sure`: whether the refusals named these, or it is only one.
        """
        refused = self.refused | dropped if is_sure else self.refused | (dropped & _KEPT)
        return RefusedParameters(refused, (self.untried | (dropped - _KEPT)) - sent - refused)


LEVELS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""From the least to the most thinking."""
_FAST = "low"
"""Not `none`: without any thinking answers get worse."""
_USUAL_DEFAULT = "high"
_USUAL = frozenset(("low", "medium", "high", "xhigh"))
"""What a model is taken to know until it says more. `max` costs more than it improves."""
_LISTS = re.compile(
    r"(?:supported|allowed|valid|possible|permitted) values|one of|(?:should|must) be|expected|\buse\b", re.IGNORECASE
)
_LEVEL = re.compile(rf"\b(?:{'|'.join(LEVELS)})\b")


@dataclass(frozen=True, slots=True)
class EffortLevels:
    """The levels that a model takes."""

    listed: frozenset[str] | None = None
    """The levels that the vendor or a refusal has named, empty if the model takes none; None: none are named."""
    refused: frozenset[str] = frozenset()
    own: str = ""
    """The level at which the model thinks by itself; "" if that isn't known."""

    def level(self, effort: Effort) -> str:
        """Returns the level to send; "" leaves the effort to the model."""
        match effort:
            case Effort.FAST if self.listed is None:
                return "" if _FAST in self.refused else _FAST
            case Effort.FAST:
                # Of two levels that are as near, the cheaper one.
                return min(self._taken, key=lambda level: abs(LEVELS.index(level) - LEVELS.index(_FAST)), default="")
            case Effort.THOROUGH:
                own = LEVELS.index(self.own or _USUAL_DEFAULT)
                # The highest one below may still be above what the model does by itself.
                below = "" if self.own else next((level for level in reversed(self._taken) if level != "none"), "")
                return next((level for level in self._taken if LEVELS.index(level) > own), below)
        return ""

    @property
    def _taken(self) -> list[str]:
        """The levels that may be sent, from the least thinking to the most."""
        return sorted((_USUAL if self.listed is None else self.listed) - self.refused, key=LEVELS.index)

    def with_description(self, model: object) -> "EffortLevels":
        """Returns the levels that Anthropic's description of a model names."""
        effort = getattr(getattr(model, "capabilities", None), "effort", None)
        named = {level for level in LEVELS if getattr(getattr(effort, level, None), "supported", False)}
        return self if effort is None else replace(self, listed=frozenset(named))

    def without(self, level: str, refusal: ErrorResponse) -> "EffortLevels":
        """Returns what is known once a request with this level was refused."""
        words = str(refusal.body)
        list_begins = _LISTS.search(words)
        listed = frozenset(_LEVEL.findall(words, list_begins.end()) if list_begins else ()) or self.listed
        # A refusal that doesn't name the level is about any effort.
        is_of_any = listed is None and level not in _LEVEL.findall(words)
        return replace(self, listed=frozenset() if is_of_any else listed, refused=self.refused | {level})
