"""Parameters that we would like to give, and that some models and servers refuse."""

import re
from collections.abc import Iterable
from enum import Enum
from typing import Any

import httpx2


class OptionalParameter(Enum):
    """A parameter of a request, by the words that tell of its refusal."""

    SUMMARIES = r"reasoning|thinking"
    """Of the model's reasoning: they show that it is at work."""
    ROOM_TO_THINK = r"max_\w*tokens|in the completion|output tokens must be reduced"
    """Output tokens beyond those of the answer."""
    CACHE_KEY = r"prompt_cache_key"
    """Leads the turns of a conversation to the machine that has its beginning in its cache."""


def refused(wishes: Iterable[OptionalParameter], error: Exception) -> frozenset[OptionalParameter]:
    """The wishes that the server names as its reason to refuse a request."""
    response: Any = getattr(error, "response", None)
    if not isinstance(response, httpx2.Response) or not 400 <= response.status_code < 500:
        return frozenset()
    words = str(getattr(error, "body", "") or "")
    return frozenset(wish for wish in wishes if re.search(wish.value, words, re.IGNORECASE))
