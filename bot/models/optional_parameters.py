"""Request parameters that improve an answer, and that some models and servers refuse.

Which models take them changes with every new model, so there is no list of models. A parameter is sent until a model
refuses it by name; then the request is sent again without it. If that helps, the refusal is remembered while the
process runs: the error "'rs_…' of type 'reasoning' was provided without its required following item" names a parameter
and means something else.
"""

import re
from collections.abc import Iterable
from enum import Enum

from bot.models.failures import error_response


class OptionalParameter(Enum):
    """A parameter that is left out once a model refuses it. The value is a pattern of the words in such a refusal."""

    REASONING_SUMMARIES = r"reasoning|thinking"
    """Summaries of the model's reasoning, which show that it is at work."""
    ENCRYPTED_REASONING = r"\binclude\b|encrypted.content"
    """The reasoning before a tool call, to send back with its result: requests aren't stored."""
    ROOM_TO_THINK = r"max_\w{0,40}tokens|in the completion|output tokens must be reduced"
    """Output tokens beyond those of the answer's text."""
    WEB_SEARCH = r"web.?search|max_tool_calls"
    """The vendor's own web search, which models or organizations may not have."""
    WEB_FETCH = r"web.?fetch"
    """The vendor's own tool that opens a web page."""
    CACHE_KEY = r"prompt_cache_key"
    """Leads a conversation's requests to the machine that has their common beginning in its cache."""
    TOOLS = (
        r"not support (tools|function)|support tool use|auto-tool-choice|tools param requires|unsupported param: tools"
        r"|(tool|function).calling\W{1,3}(is )?not (support|enabled)"
    )
    """The definitions of functions: servers refuse them for models without tools, each in its own words."""
    TOOLS_WITH_REASONING = r"/v1/responses"
    """Functions for a model that reasons: OpenAI's refuse them at Chat Completions, also behind gateways."""
    OLD_LIMIT = r"max_completion_tokens"
    """The older name of Chat Completions' output limit. All compatible servers know it; OpenAI's models refuse it."""


WEB = frozenset((OptionalParameter.WEB_SEARCH, OptionalParameter.WEB_FETCH))
"""Parameters of requests that may search the web."""
OF_TOOLS = frozenset(
    (OptionalParameter.TOOLS, OptionalParameter.TOOLS_WITH_REASONING, OptionalParameter.ENCRYPTED_REASONING)
)
"""Parameters of requests that offer tools."""
_BAD_REQUEST = (400, 422)
_NO_SUCH_API = (400, 403, 404, 405, 501)


def is_no_such_api(error: Exception) -> bool:
    """Returns whether this may be how a server refuses a request to an API that it lacks."""
    response = error_response(error)
    return response is not None and response.status in _NO_SUCH_API


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
