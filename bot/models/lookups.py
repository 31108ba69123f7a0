"""Looks up a model with its vendor, free of charge.

A failed request is also a result, because it shows whether the key is valid and the model exists.
"""

import asyncio
import re
from collections.abc import Awaitable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum, auto
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeAlias

from bot import network
from bot.errors import EndReason, ProviderError
from bot.models.failures import ErrorResponse, RequestAttempt, error_response, url_of

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic
    from openai import AsyncOpenAI

Sdk: TypeAlias = "AsyncOpenAI | AsyncAnthropic"

ANSWERED_WITHIN_S = 10.0
"""Time limit for a lookup, excluding the import of the SDK, which takes seconds on a busy machine."""
MAX_LISTED = 2_000
_UNSUPPORTED_REQUEST_STATUSES = (404, 405, 501)
_ENDS = re.compile(r"shut_?down|retire(?!d)|expir|sunset|end_?of_?(?:life|support)|deprecation", re.IGNORECASE)
"""Matches the names of fields with the last day of a model, as opposed to the day when the vendor deprecates it."""
_REPLACES = re.compile("replacement|successor", re.IGNORECASE)
_NAME = re.compile(r"(?!None)[\w./:@-]{2,80}")


class LookupOutcome(Enum):
    MODEL = auto()
    RETIRED = auto()
    """The vendor still lists the model but doesn't answer with it anymore."""
    NO_MODEL = auto()
    NO_LIST = auto()
    """The server doesn't support either lookup request, so the model might still exist."""
    KEY_REFUSED = auto()
    NO_IDENTITY = auto()
    """The cloud's library found no credentials, or couldn't exchange them for a token."""
    NOT_THE_API = auto()
    UNREACHABLE = auto()
    REFUSED = auto()
    """The server permanently rejects the lookup. For example, a gateway requires more than a key."""
    FAILED = auto()


@dataclass(frozen=True, slots=True)
class Lookup:
    outcome: LookupOutcome
    detail: str = ""
    """The reason why the lookup failed, for operators. Never contains the key."""
    retirement_date: date | None = None
    replacement: str = ""

    @classmethod
    def from_model(cls, model: Any, today: date) -> "Lookup":
        fields = dict(_flat_fields(model))
        days = (parse_day(value) for name, value in fields.items() if _ENDS.search(name))
        named = (str(value) for name, value in fields.items() if _REPLACES.search(name) and _NAME.fullmatch(str(value)))
        retirement_date, shut_down = min(filter(None, days), default=None), parse_day(fields.get("shutdown_date"))
        # Anthropic's date isn't used: a deprecated model might still answer after it.
        has_ended = fields.get("lifecycle") == "retired" or (shut_down and shut_down <= today)
        outcome = LookupOutcome.RETIRED if has_ended else LookupOutcome.MODEL
        return cls(outcome, retirement_date=retirement_date, replacement=next(named, "") if retirement_date else "")


async def look_up(sdk: Sdk, name: str, api_key: str, today: date) -> Lookup:
    """Checks whether the key is valid and the model exists. Raises TimeoutError after ANSWERED_WITHIN_S.

    https://developers.openai.com/api/reference/resources/models
    https://platform.claude.com/docs/en/api/models/retrieve"""
    # A vendor's SDK requests the one model. Compatible servers might not support that request, so they are asked for a
    # list of models. Something that isn't such an API can also respond: the SDKs return a web page with status 200 as a
    # str, and foreign JSON as an object without an ID.
    try:
        async with asyncio.timeout(ANSWERED_WITHIN_S):
            return await _look_up_model(sdk, name, api_key, today)
    except ProviderError as error:
        kind, _, detail = error.detail.partition(": ")
        if not kind.isidentifier():
            # The detail begins with a host, not with an error's class.
            detail = error.detail
        # A URL can contain a password.
        return Lookup(LookupOutcome.UNREACHABLE, detail if detail and "://" not in detail else kind)


async def _look_up_model(sdk: Sdk, name: str, api_key: str, today: date) -> Lookup:
    with RequestAttempt(name, api_key) as attempt:
        answer = await _result_or_error(sdk.models.retrieve(name))
        if not isinstance(answer, ErrorResponse):
            if isinstance(getattr(answer, "id", None), str):
                return Lookup.from_model(answer, today)
            received = "a web page" if isinstance(answer, str) else "JSON that isn't a model"
            return Lookup(LookupOutcome.NOT_THE_API, received)
        if answer.status not in _UNSUPPORTED_REQUEST_STATUSES:
            return _lookup_after_refusal(attempt, answer)
        if _is_about_missing_model(answer.body, name):
            return Lookup(LookupOutcome.NO_MODEL)
        return await _look_up_in_list(sdk, name, answer, attempt, today)


async def _result_or_error(call: Awaitable[Any]) -> Any:
    try:
        return await call
    except Exception as error:
        response = error_response(error)
        if response is None or network.refusal(response.status, url_of(error)):
            raise
        return response


async def _look_up_in_list(sdk: Sdk, name: str, refusal: ErrorResponse, attempt: RequestAttempt, today: date) -> Lookup:
    listed = await _result_or_error(_list_models(sdk))
    if isinstance(listed, ErrorResponse):
        if listed.status not in _UNSUPPORTED_REQUEST_STATUSES:
            return _lookup_after_refusal(attempt, listed)
        if isinstance(refusal.body, dict):
            is_no_model = "not_found_error" in str(refusal.body)
            return Lookup(LookupOutcome.NO_MODEL if is_no_model else LookupOutcome.NO_LIST)
        return Lookup(LookupOutcome.NOT_THE_API, f"HTTP {refusal.status}")
    if listed is None:
        return Lookup(LookupOutcome.NOT_THE_API, "something other than a list of models")
    return Lookup.from_model(listed[name], today) if name in listed else Lookup(LookupOutcome.NO_MODEL)


async def _list_models(sdk: Sdk) -> dict[str, Any] | None:
    page = await sdk.models.list()
    models: dict[str, Any] = {}
    if not isinstance(getattr(page, "data", None), list):
        return None
    async for model in page:
        models[str(getattr(model, "id", ""))] = model
        if len(models) >= MAX_LISTED:
            break
    return models


def _flat_fields(description: Any) -> Iterator[tuple[str, object]]:
    for name, value in dict(description).items():
        yield from value.items() if isinstance(value, Mapping) else ((name, value),)


def parse_day(value: object) -> date | None:
    if isinstance(value, datetime):
        return value.date()
    try:
        return date.fromisoformat(str(value)[:10])
    except ValueError:
        return None


def _is_about_missing_model(body: object, name: str) -> bool:
    """Returns whether a 404 is about the model rather than the URL. llama.cpp uses the same code for both."""
    # OpenAI's SDK provides the inner object, Anthropic's the whole body.
    error = body.get("error", body) if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return False
    codes = {str(error.get("code")), str(error.get("type"))}
    return "model_not_found" in codes or ("not_found_error" in codes and name in str(error.get("message")))


def _lookup_after_refusal(attempt: RequestAttempt, response: ErrorResponse) -> Lookup:
    status = f"HTTP {response.status}"
    error = attempt.reported_failure(response.body, response.status, response.headers)
    if error.reason is EndReason.BAD_KEY:
        return Lookup(LookupOutcome.KEY_REFUSED, status)
    if error.is_temporary or response.status < HTTPStatus.BAD_REQUEST:
        return Lookup(LookupOutcome.FAILED, status)
    words = error.detail.removeprefix(str(response.status)).strip()
    return Lookup(LookupOutcome.REFUSED, f"{status}: {words}" if words else status)
