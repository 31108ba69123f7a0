"""Error codes: each code that an SDK lists has a meaning, which no sentence changes."""

import re
from collections.abc import Iterable
from typing import Any, get_args, get_overloads

import anthropic.types
import pytest
from anthropic.resources.messages import AsyncMessages
from anthropic.types.shared.error_type import ErrorType
from openai.types.beta.session_turn_error import SessionTurnError
from openai.types.responses.response_error import ResponseError

from bot.errors import EndReason
from bot.models.codes import CODES, precise_reason
from bot.models.failures import RequestAttempt

SENTENCES = {
    EndReason.OUT_OF_CREDIT: "Your credit balance is too low.",
    EndReason.UNKNOWN_MODEL: "The model is not found.",
    EndReason.BAD_KEY: "Incorrect API key.",
    EndReason.CONTEXT_TOO_LONG: "The prompt is too long.",
    EndReason.REFUSED: "This violates our usage policies.",
    EndReason.OVERLOADED: "The service is overloaded.",
    EndReason.RATE_LIMITED: "Too many requests.",
}


def anthropics_codes() -> Iterable[str]:
    """Returns the codes of the errors that a request for a message is documented to raise."""
    for overload in get_overloads(AsyncMessages.create):
        for name in re.findall(r"^ +(\w+Error):$", (overload.__doc__ or "").partition("Raises:")[2], re.MULTILINE):
            yield from get_args(getattr(anthropic.types, name).__annotations__["error_code"])


def openais_codes() -> Iterable[str]:
    errors: list[Any] = [ResponseError, SessionTurnError]
    return (code for error in errors for code in get_args(error.model_fields["code"].annotation))


LISTED = {
    "anthropic": {*anthropics_codes(), *get_args(ErrorType)},
    "openai": {*openais_codes()},
}


@pytest.mark.parametrize(("sdk", "minimum"), [("anthropic", 40), ("openai", 40)])
def test_each_code_that_an_sdk_lists_has_a_meaning(sdk: str, minimum: int) -> None:
    assert len(LISTED[sdk]) >= minimum, "the SDK lists its codes elsewhere"
    assert LISTED[sdk] - CODES.keys() == set()


@pytest.mark.parametrize("code", sorted(code for code in CODES if precise_reason([code], "")))
def test_no_sentence_changes_the_meaning_of_a_code_with_one_cause(code: str) -> None:
    reasons = {
        RequestAttempt("openai/m", "").reported_failure({"error": {"message": sentence, "code": code}}, status).reason
        for sentence in SENTENCES.values()
        for status in (None, 400, 403, 429)
    }
    assert reasons == {CODES[code]}
