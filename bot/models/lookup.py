"""Looks a model up at its vendor, by the method that costs nothing: whether the key is good, and the model exists.

A vendor's SDK asks for one model. Servers that are only compatible may not know that request, so they are asked for the
list of their models. What answers may be no such API at all: the SDKs return a web page with status 200 as a str, and
foreign JSON as an object without an id.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, TypeAlias

from bot.errors import ProviderError
from bot.models.failures import ErrorResponse, RequestAttempt, error_response

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic
    from openai import AsyncOpenAI

Sdk: TypeAlias = "AsyncOpenAI | AsyncAnthropic"

MAX_LISTED = 2_000
_NO_SUCH_REQUEST = (404, 405, 501)
_NO_SUCH_MODEL = ("model_not_found", "not_found_error")


class LookupOutcome(Enum):
    """What a look-up found."""

    MODEL = auto()
    RETIRED = auto()
    """The vendor still lists the model, and no longer answers with it."""
    NO_MODEL = auto()
    NO_LIST = auto()
    """The server knows neither request, and may have the model."""
    KEY_REFUSED = auto()
    NO_IDENTITY = auto()
    """The cloud's library found no credentials, or they got no token."""
    NOT_THE_API = auto()
    UNREACHABLE = auto()
    FAILED = auto()
    """The server can't tell now."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """The result of a look-up."""

    outcome: LookupOutcome
    detail: str = ""
    """What came in place of an answer, for operators. It holds no key."""
    retires: date | None = None
    """The model's last day, if the vendor has announced one."""


async def look_up(sdk: Sdk, name: str, api_key: str, read: Callable[[Any], Lookup]) -> Lookup:
    """Returns what the server says of a model; `read` reads the SDK's model of the vendor."""
    try:
        with RequestAttempt(name, api_key):
            answer = await _answer(sdk.models.retrieve(name))
            if not isinstance(answer, ErrorResponse):
                return read(answer) if _is_model(answer) else Lookup(LookupOutcome.NOT_THE_API, _kind_of(answer))
            if answer.status not in _NO_SUCH_REQUEST:
                return _refused(answer)
            if _says_no_model(answer.body):
                return Lookup(LookupOutcome.NO_MODEL)
            return await _in_list(sdk, name, answer)
    except ProviderError as error:
        kind, _, detail = error.detail.partition(": ")
        # An address may hold a password.
        return Lookup(LookupOutcome.UNREACHABLE, detail if detail and "://" not in detail else kind)


async def _answer(call: Awaitable[Any]) -> Any:
    """Returns what the call gives, or the response with an error status. Raises errors of the transport."""
    try:
        return await call
    except Exception as error:
        if (response := error_response(error)) is None:
            raise
        return response


async def _in_list(sdk: Sdk, name: str, refused: ErrorResponse) -> Lookup:
    """Looks for a model in the list of a server that refused to tell of it alone."""
    listed = await _answer(_ids(sdk))
    if isinstance(listed, ErrorResponse):
        if listed.status not in _NO_SUCH_REQUEST:
            return _refused(listed)
        if isinstance(refused.body, dict):
            return Lookup(LookupOutcome.NO_LIST)
        return Lookup(LookupOutcome.NOT_THE_API, f"HTTP {refused.status}")
    if listed is None:
        return Lookup(LookupOutcome.NOT_THE_API, "something other than a list of models")
    return Lookup(LookupOutcome.MODEL if name in listed else LookupOutcome.NO_MODEL)


async def _ids(sdk: Sdk) -> set[str] | None:
    """Returns the ids in a server's list, None if what it answers is no list of models."""
    page = await sdk.models.list()
    ids: set[str] = set()
    if not isinstance(getattr(page, "data", None), list):
        return None
    async for model in page:
        ids.add(str(getattr(model, "id", "")))
        if len(ids) >= MAX_LISTED:
            break
    return ids


def day_of(value: object) -> date | None:
    """Returns the day that a vendor names: a date, a time, or the text of one. None for anything else."""
    if isinstance(value, datetime):
        return value.date()
    try:
        return date.fromisoformat(str(value)[:10])
    except ValueError:
        return None


def _is_model(answer: Any) -> bool:
    return isinstance(getattr(answer, "id", None), str)


def _kind_of(answer: object) -> str:
    return "a web page" if isinstance(answer, str) else "JSON that isn't a model"


def _says_no_model(body: object) -> bool:
    # OpenAI's SDK gives the inner object, Anthropic's the whole body.
    error = body.get("error", body) if isinstance(body, dict) else None
    return isinstance(error, dict) and not {error.get("code"), error.get("type")}.isdisjoint(_NO_SUCH_MODEL)


def _refused(response: ErrorResponse) -> Lookup:
    status = f"HTTP {response.status}"
    if response.status in (401, 403):
        return Lookup(LookupOutcome.KEY_REFUSED, status)
    return Lookup(LookupOutcome.FAILED, status)
