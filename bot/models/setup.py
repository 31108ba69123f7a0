"""What the settings say about models, and what models may refuse of a request.

bot.settings creates a ModelSetup, and the registry builds models from it. This module and the registry import no
vendor's module and no SDK, so that reading the settings stays cheap.

The other part is what improves an answer, and what some models and servers refuse: optional parameters, and levels of
effort. Which models take them changes with every new model, so there is no list of models. A parameter is sent until a
model refuses it by name; then the request is sent again without it. If that helps, the refusal is remembered while the
process runs: the error "'rs_…' of type 'reasoning' was provided without its required following item" names a parameter
and means something else.

Vendors share the names of the levels of effort, but not each model takes each level. What a model takes comes from its
vendor's description of it, where there is one, or from a refusal, most of which list the values that are taken. The
level that is sent is the nearest one to what the asker wants. A model that refuses an effort and lists nothing answers
with its own default. Refusals of an effort also say "reasoning" or "thinking", as refusals of summaries do. So the
effort is looked for first, and nothing else is given up for it.

The output limit is a parameter, too. What a server takes of it is learned by number (room.py), by the same rule: it is
remembered if the repeat succeeds.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from urllib.parse import urlsplit

from bot.models.failures import error_response
from bot.models.prompt import Effort


@dataclass(frozen=True, slots=True)
class VendorSettings:
    """How to reach one vendor, or a server that is compatible with it."""

    api_key: str = field(default="", repr=False)
    base_url: str = ""
    """Empty: the vendor's own."""
    api: str = ""
    """Which of the vendor's APIs to use, by its name in the registry. Empty: the vendor's module decides."""
    region: str = ""
    """The cloud's region, and in project its project, for a vendor that needs them."""
    project: str = ""


@dataclass(frozen=True, slots=True)
class RequestOptions:
    """The options of every request to a model."""

    max_output_tokens: int
    """For the answer's text."""


@dataclass(frozen=True, slots=True)
class ModelSetup:
    """The models in use and all that is needed to build them."""

    models: tuple[str, ...]
    """In the order in which they are asked; each is written vendor/name."""
    vendors: Mapping[str, VendorSettings]
    """By the vendor's name. A vendor that is not in here has no key and its own base URL."""
    options: RequestOptions
    stall_timeout_s: float


def speaks_responses(base_url: str) -> bool:
    """Returns whether this is OpenAI or Azure's v1 endpoint. Other servers reliably support only Chat Completions."""
    return (urlsplit(base_url).hostname or "").endswith(".openai.com") or is_azure(base_url)


_VENDORS_OWN = (
    ".openai.com",
    ".anthropic.com",
    ".azure.com",
    ".azure.us",
    ".amazonaws.com",
    ".amazonaws.com.cn",
    ".googleapis.com",
)


def is_vendors_own(base_url: str) -> bool:
    """Returns whether requests go to OpenAI, Anthropic or a cloud; an empty URL is the SDK's own for a cloud."""
    return not base_url or f".{urlsplit(base_url).hostname or ''}".endswith(_VENDORS_OWN)


def is_azure(base_url: str) -> bool:
    """Returns whether this is Azure's v1 endpoint, also in Azure Government (.azure.us)."""
    return (urlsplit(base_url).hostname or "").endswith((".azure.com", ".azure.us"))


def speaks_responses_api(api: str, base_url: str) -> bool:
    """Returns whether requests go to the Responses API: by the setting of the API, or else by the server."""
    return api == "responses" or (api != "chat" and speaks_responses(base_url))


class OptionalParameter(Enum):
    """A parameter that is left out once a model refuses it. The value is a pattern of the words in such a refusal."""

    REASONING_SUMMARIES = r"reasoning|thinking"
    """Summaries of the model's reasoning, which show that it is at work."""
    ENCRYPTED_REASONING = r"\binclude\b|encrypted.content"
    """The reasoning before a tool call, to send back with its result: requests aren't stored."""
    WEB_SEARCH = r"web.?search|max_tool_calls"
    """The vendor's own web search, which models or organizations may not have."""
    WEB_FETCH = r"web.?fetch"
    """The vendor's own tool that opens a web page."""
    CACHE_KEY = r"prompt_cache_key"
    """Leads a conversation's requests to the machine that has their common beginning in its cache."""
    TOOLS = (
        r"cannot use tools|"
        r"not support (tools|function)|support tool use|auto-tool-choice|tools param requires|unsupported param: tools"
        r"|(tool|function).calling\W{1,3}(is )?not (support|enabled)"
    )
    """The definitions of functions: servers refuse them for models without tools, each in its own words."""
    USAGE = r"stream_options|include_usage"
    """A count of tokens at a stream's end: without it, an estimate counts."""
    SYSTEM_ROLE = (
        r"system (?:role|messages?|prompts?) (?:is |are )?not|not support\w* (?:the )?system|role\W{1,3}system"
    )
    """The role of the instructions. Without it, they begin the first message."""
    TOOLS_WITH_REASONING = r"/v1/responses"
    """Functions for a model that reasons: OpenAI's refuse them at Chat Completions, also behind gateways."""
    OLD_LIMIT = r"unsupported.{0,40}max_tokens|use\W{1,3}max_completion_tokens|max_completion_tokens\W{1,3}instead"
    """The older name of Chat Completions' output limit. All compatible servers know it; OpenAI's models refuse it."""


WEB = frozenset((OptionalParameter.WEB_SEARCH, OptionalParameter.WEB_FETCH))
"""Parameters of requests that may search the web."""
OF_TOOLS = frozenset(
    (OptionalParameter.TOOLS, OptionalParameter.TOOLS_WITH_REASONING, OptionalParameter.ENCRYPTED_REASONING)
)
"""Parameters of requests that offer tools."""
_BAD_REQUEST = (400, 422)


def is_no_such_api(error: Exception) -> bool:
    """Returns whether this may be how a server refuses a request to an API that it lacks."""
    response = error_response(error)
    return response is not None and response.status in (400, 403, 404, 405, 501)


def is_bad_request(error: Exception) -> bool:
    """Returns whether a server refuses what a request says, in whatever words."""
    response = error_response(error)
    return response is not None and response.status in _BAD_REQUEST


def refused_parameters(parameters: Iterable[OptionalParameter], error: Exception) -> frozenset[OptionalParameter]:
    """Returns those of `parameters` that the server names in its refusal of a request."""
    response = error_response(error)
    if response is None or not 400 <= response.status <= 500:
        return frozenset()
    words = str(response.body)
    named = frozenset(parameter for parameter in parameters if re.search(parameter.value, words, re.IGNORECASE))
    # llama.cpp refuses tools with a status of 500.
    return named if response.status < 500 else named & {OptionalParameter.TOOLS}


LEVELS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""From the least to the most thinking."""
_WANTED = {Effort.FAST: "low", Effort.THOROUGH: "high"}
"""Not `none` or `max`: without any thinking answers get worse, and above `high` they cost more than they improve."""
_NAMES_EFFORT = re.compile(r"effort|output_config|reasoning value|support (?:thinking|reasoning)", re.IGNORECASE)
_MAY_MEAN_EFFORT = re.compile(
    r"reasoning|thinking|template|unknown|unrecogni[sz]ed|unexpected|unsupported|not supported|extra", re.IGNORECASE
)
_LISTS = re.compile(
    r"(?:supported|allowed|valid|possible|permitted) values|one of|(?:should|must) be|expected|\buse\b", re.IGNORECASE
)
_LEVEL = re.compile(rf"\b(?:{'|'.join(LEVELS)})\b")


@dataclass(frozen=True, slots=True)
class EffortLevels:
    """The levels that a model takes."""

    listed: frozenset[str] | None = None
    """Those that the model or its vendor has named; None: it has named none."""
    refused: frozenset[str] = frozenset()

    def level(self, effort: Effort) -> str:
        """Returns the level to send; "" leaves the effort to the model."""
        wanted = _WANTED.get(effort)
        if wanted is None:
            return ""
        if self.listed is None:
            return "" if wanted in self.refused else wanted
        place = LEVELS.index(wanted)
        # Of two levels that are as near, the cheaper one.
        return min(
            sorted(self.listed - self.refused, key=LEVELS.index),
            key=lambda level: abs(LEVELS.index(level) - place),
            default="",
        )

    def without(self, level: str, error: Exception) -> "EffortLevels":
        """Returns what is known once a request with this level was refused."""
        words = _words(error)
        list_begins = _LISTS.search(words)
        listed = frozenset(_LEVEL.findall(words, list_begins.end()) if list_begins else ())
        return replace(self, listed=listed or self.listed, refused=self.refused | {level})


def refuses_effort(error: Exception, *, is_likely: bool) -> bool:
    """Returns whether an error of a request refuses its effort.

    `is_likely`: nothing else explains the error. Then words count that may mean the effort, which only a request
    without it can show.
    """
    words = _words(error)
    return bool(_NAMES_EFFORT.search(words) or (is_likely and _MAY_MEAN_EFFORT.search(words)))


def _words(error: Exception) -> str:
    """Returns what a server says of a bad request; "" for any other error."""
    response = error_response(error)
    return str(response.body) if response and response.status in _BAD_REQUEST else ""
