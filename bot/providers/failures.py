"""What goes wrong between us and a vendor, told as one of our few failures, with no secret in it."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self

import aiohttp
import httpx2

from bot.core.surrogates import paired
from bot.errors import Failure, ProviderError

# The vendors' own names for what happened: error.code, error.type, and Anthropic's error.details.error_code.
_BY_CODE = {
    "invalid_api_key": Failure.BAD_KEY,
    "authentication_error": Failure.BAD_KEY,
    "permission_error": Failure.BAD_KEY,
    "model_not_found": Failure.UNKNOWN_MODEL,
    "not_found_error": Failure.UNKNOWN_MODEL,
    "insufficient_quota": Failure.OUT_OF_CREDIT,
    "credit_balance_exhausted": Failure.OUT_OF_CREDIT,
    "billing_hard_limit_reached": Failure.OUT_OF_CREDIT,
    "billing_not_active": Failure.OUT_OF_CREDIT,
    "billing_error": Failure.OUT_OF_CREDIT,
    "contract_spend_limit_reached": Failure.OUT_OF_CREDIT,
    "enforced_spend_limit_reached": Failure.OUT_OF_CREDIT,
    "linked_organization_spend_limit_reached": Failure.OUT_OF_CREDIT,
    "rate_limit_exceeded": Failure.RATE_LIMITED,
    "rate_limit_error": Failure.RATE_LIMITED,
    "overloaded_error": Failure.OVERLOADED,
    "server_is_overloaded": Failure.OVERLOADED,
    "slow_down": Failure.OVERLOADED,
    "context_length_exceeded": Failure.CONTEXT_TOO_LONG,
    "exceed_context_size_error": Failure.CONTEXT_TOO_LONG,
    "request_too_large": Failure.CONTEXT_TOO_LONG,
    "content_filter": Failure.REFUSED,
    "invalid_prompt": Failure.REFUSED,
    "bio_policy": Failure.REFUSED,
    "misalignment_policy_violation": Failure.REFUSED,
}
# Some only say it in words: Anthropic, vLLM, llama.cpp; OpenAI where one request is over a minute's limit.
_BY_PHRASE = {
    "prompt is too long": Failure.CONTEXT_TOO_LONG,
    "maximum context length": Failure.CONTEXT_TOO_LONG,
    "context window": Failure.CONTEXT_TOO_LONG,
    "context size": Failure.CONTEXT_TOO_LONG,
    "request too large": Failure.CONTEXT_TOO_LONG,
    "credit balance is too low": Failure.OUT_OF_CREDIT,
    "exceeded your current quota": Failure.OUT_OF_CREDIT,
}
_BY_STATUS = {
    401: Failure.BAD_KEY,
    402: Failure.OUT_OF_CREDIT,
    403: Failure.BAD_KEY,
    404: Failure.UNKNOWN_MODEL,
    413: Failure.CONTEXT_TOO_LONG,
    429: Failure.RATE_LIMITED,
    502: Failure.UNREACHABLE,
    503: Failure.OVERLOADED,
    504: Failure.UNREACHABLE,
    529: Failure.OVERLOADED,
}
_TRANSPORT_ERRORS = (httpx2.TransportError, aiohttp.ClientError, OSError)
# Vendors show a wrong key in part, with stars in it: sk-proj-****abcd.
_KEY_SHAPED = re.compile(r"\b(?:sk|xai|gsk|AIza)[-_][\w*.-]{4,}")
_DETAIL_CHARACTERS = 300
_WORD = re.compile(r"\w{3,}")


class RequestAttempt:
    """One request to a vendor, as a context: whatever is raised inside leaves it as a ProviderError."""

    def __init__(self, model: str, secret: str, asked: Sequence[str] = ()) -> None:
        self.model = model
        self.connected = False
        """The vendor has begun to answer: what breaks from now on is a cut."""
        self.private = list(asked)
        """The texts of question and answer: vendors quote them in errors, and errors are logged."""
        self._secret = secret

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception) and not isinstance(error, ProviderError):
            # None: the SDK's error and its request hold the key.
            raise self._translated(error) from None

    def failed(self, failure: Failure, detail: str, retry_after_s: float | None = None) -> ProviderError:
        """The error to raise; `detail` may hold a vendor's words."""
        clean = detail.replace(self._secret, "[key]") if self._secret else detail
        clean = _KEY_SHAPED.sub("[key]", paired(clean))[:_DETAIL_CHARACTERS]
        return ProviderError(failure, self.model, retry_after_s=retry_after_s, detail=clean)

    def reported(
        self, body: object, status: int | None = None, headers: Mapping[str, str] | None = None
    ) -> ProviderError:
        """The error to raise for an error that the vendor reported, in a response or as an event."""
        codes, message = _vendors_words(body)
        detail = " ".join(str(part) for part in (status, *codes, self._unquoted(message)) if part)
        return self.failed(_failure(codes, message, status), detail, _retry_after_s(headers or {}))

    def _unquoted(self, message: str) -> str:
        """A vendor's sentence without the words that it shares with question and answer."""
        private = {word for text in self.private for word in _WORD.findall(text.lower())}
        return _WORD.sub(lambda word: "…" if word[0].lower() in private else word[0], message)

    def _translated(self, error: Exception) -> ProviderError:
        # The SDKs wrap the transport's errors, though not all of them.
        transport = next((e for e in (error, error.__cause__) if isinstance(e, _TRANSPORT_ERRORS)), None)
        if transport is not None:
            cut = self.connected or isinstance(transport, httpx2.ReadError)
            failure = Failure.CUT if cut else Failure.UNREACHABLE
            return self.failed(failure, f"{type(transport).__name__}: {transport}")
        if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
            return self.failed(Failure.UNEXPECTED, "what came is not JSON")
        if isinstance(response := getattr(error, "response", None), httpx2.Response):
            # Anthropic's errors in mid-stream carry the stream's own 200.
            status = response.status_code if response.status_code >= 400 else None
            return self.reported(getattr(error, "body", None), status, response.headers)
        if (body := getattr(error, "body", None)) is not None:
            return self.reported(body)
        # Its words may quote what it stumbled over.
        return self.failed(Failure.UNEXPECTED, type(error).__name__)


def _vendors_words(body: object) -> tuple[list[str], str]:
    """The names a vendor has for an error, the most exact first, and its sentence."""
    error = body.get("error", body) if isinstance(body, dict) else body
    if not isinstance(error, dict):
        return [], str(error or "")
    details: Any = error.get("details")
    exact = details.get("error_code") if isinstance(details, dict) else None
    codes = [str(code) for code in (exact, error.get("code"), error.get("type")) if code]
    return codes, str(error.get("message") or "")


def _failure(codes: list[str], message: str, status: int | None) -> Failure:
    words = message.lower()
    for phrase, failure in _BY_PHRASE.items():
        if phrase in words:
            return failure
    for code in codes:
        if code in _BY_CODE:
            return _BY_CODE[code]
    # Compatible servers put a status where OpenAI has a code.
    statuses = [status, *(int(code) for code in codes if len(code) == 3 and code.isdecimal())]
    return next((_BY_STATUS[s] for s in statuses if s in _BY_STATUS), Failure.UNEXPECTED)


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """How long the vendor asks us to wait; a date is measured by the vendor's own clock."""
    value = headers.get("retry-after", "")
    try:
        if "retry-after-ms" in headers:
            wait_s = float(headers["retry-after-ms"]) / 1000
        elif value.endswith("GMT"):
            until = parsedate_to_datetime(value) - parsedate_to_datetime(headers.get("date", ""))
            wait_s = until.total_seconds()
        else:
            wait_s = float(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, wait_s) if math.isfinite(wait_s) else None
