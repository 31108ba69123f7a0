"""Translates every failure between Typist and a vendor into a ProviderError without secrets.

A vendor reports a failure as a response with an error status, as an event in mid-stream, or as a body with status 200.
A failure contains a code, a type, a sentence, or several of these. Codes with a single cause (codes.py) are checked
first, then the sentence, then other codes (which are less precise), and finally the status. A transport error is
UNREACHABLE before the response has begun, and CUT afterwards.

Whether a failure is temporary depends on its meaning, unless the vendor states otherwise (`x-should-retry`). A status
of 408, 409, 424, 499, or 500 and above is the server's fault, as in both SDKs. A mid-stream error is also the server's
fault unless it blames the request.

A ProviderError is logged and shown. The error's detail never contains the API key or words from the question or the
answer, which vendors often quote, and the error isn't chained to an exception that contains the request.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import aiohttp
import httpx2

from bot import network
from bot.errors import EndReason, ProviderError
from bot.models.codes import general_reason, precise_reason
from bot.models.events import Citation, Searching, Thinking
from bot.models.waits import is_temporary_limit, retry_after_s
from bot.text import object_in, objects_in
from slack_markdown.growing_text import GrowingText, join_halves

# Patterns for sentences, most specific first. Few servers have codes for all of these, and gateways pass on the
# sentence without the code. A single word means little: "blocked" can refer to an IP address, "policy" to a routing
# policy.
_SENTENCE_PATTERNS = {
    # Cerebras returns 403 and mlx_lm 404 if a model doesn't accept images; OpenRouter returns 404 if no provider
    # accepts all parts of a request.
    EndReason.UNEXPECTED: re.compile(
        r"multimodal is not enabled|no endpoints found that (?:support|can)\b"
        r"|only \W?text\W? [\w ]{0,20}(?:supported|accepted|allowed)"
    ),
    # The path is wrong, for example without /v1: LM Studio (with status 200), OpenAI, Cloudflare, Go and Express.
    EndReason.UNREADABLE: re.compile(
        r"^(?:unexpected endpoint|invalid url|could not route|404 page not found|cannot (?:post|get) /)"
    ),
    EndReason.OUT_OF_CREDIT: re.compile(
        r"(?:insufficient|not (?:have )?enough) (?:account )?(?:balance|credit|funds|quota)"
        r"|(?:credits?|balance|quota)[\w ]{0,20} (?:too low|not enough|exhausted|insufficient|negative|restricted)"
        r"|\b(?:credits?|balance|budget)\b[\w '\"-]{0,40} (?:depleted|exhausted|used up)"
        r"|used (?:all|up)\b[\w ,]{0,30}(?:credit|allocation|balance)|(?:out of|requires more) credit|credit card"
        r"|(?:exceeded|crossed|over|reached) (?:(?:your|the|its|monthly|specified|included|total|\w+space) ){0,3}"
        r"(?:credit|budget|spend|current quota|api usage limit)"
        r"|(?:budget|spend|credit|key|usage) (?:limit )?(?:has been |was )?(?:exceeded|reached)"
        r"|spend(?:ing)? limit|payment (?:required|method|failed|instrument)"
        r"|\b(?:have (?:any|no)|no(?: more| remaining| available)?) credits(?! were)"
        r"|(?:plan|package|subscription|trial|free tier)(?! key)\b[\w ]{0,24} (?:expired|exhausted)"
        r"|billing (?:hard )?(?:limit|details|to be enabled)|\benable billing"
        r"|余额|额度.{0,8}(?:不足|用尽|耗尽)|充值"
    ),
    EndReason.UNKNOWN_MODEL: re.compile(
        r"\bmodel\b(?: (?:id|name|identifier|code|you requested))?[ :=`'\"]{0,3}[\w./:@-]{0,100}[`'\"]{0,2},?"
        r" (?:(?:is|was|does|has|been|either) ){0,3}"
        r"(?:not (?:a valid|valid|found|exist|known|recogni[sz]ed|servable|loaded\b(?! yet)"
        r"|supported(?! (?:with|when|by)(?! provider)))|unknown|decommissioned|retired|deprecated|unavailable in\b)"
        r"|(?:unknown|invalid|unavailable|no such|(?:un|not )supported|access to(?: the)?) (?:model|deployment)\b"
        r"(?! (?:output|response|param|config|argument|input))|model (?:identifier|id|name) is invalid"
        # Classified as a limit or a server error, it would be retried.
        r"|\b(?:plan|subscription|tier)\b[\w ]{0,20}(?:not|n't) (?:include access|support model)"
        r"|\bmodel requires an? [\w ]{0,20}(?:subscription|plan)\b|\bmodel\b[^\n]{0,140}\bend of (?:its )?life\b"
        r"|not a valid model|on-demand throughput|模型不存在"
    ),
    EndReason.BAD_KEY: re.compile(
        r"\b(?:api[ _-]?key|access token|auth\w* token|token|credentials?|(?:subscription|api) key)\b[ :]{1,2}?"
        r"(?:[\w*.-]{1,60} )?(?:is |are |was |has )?"
        r"(?:not valid|not found|invalid|expired|incorrect|missing|revoked)"
        r"|(?:invalid|incorrect|missing|expired|wrong|\bno)(?: (?:or|missing|proxy|server|authentication)){0,3}"
        r" (?:api[ _-]?(?:key|token)|(?:access|auth\w*|server) token|token passed|auth\w* header|credentials)"
        r"|(?:organization|account|workspace|project)\b[\w -]{0,40} (?:has been|is|was)"
        r" (?:disabled|deactivated|banned|restricted|suspended|terminated)"
        r"|authorization header|login fail"
    ),
    EndReason.CONTEXT_TOO_LONG: re.compile(
        r"(?:prompt|inputs?|messages|request)\b(?! (?:image|file|pdf|audio))"
        r"[\w `()]{0,20} (?:too long|too large|longer than|greater than max|exceeds? max)"
        r"|(?:prompt|inputs?|messages|request) (?:contains?|has|have) \d+ tokens, [\w ]{0,20}(?:above|exceed|large)"
        r"|(?:prompt|inputs?|messages|image and text)(?:\b|_tokens)(?! (?:image|file|pdf|audio))[\w `()+]{0,40}"
        r" (?:exceed\w*|must be (?:<=|less than)) (?:the |its |your )?(?:max|limit|model|\d{4})"
        r"|shorter (?:prompt|or fewer inputs)|'(?:input|messages)\b[^'\n]{0,60}': string too long"
        r"|prompt too long|context (?:window|limit|size|length)|max(?:imum)? (?:prompt|input) length"
        r"|number of input tokens(?! per\b)[\w ]{0,30} exceed|range of input length|`?inputs`? must have less"
        r"|model token limit|reduce the length of the (?:mes|inp|pro)"
        r"|(?:prompt|input|context) length\b[\w `()+.,]{0,60} (?:should|must|can)\W?not exceed"
        r"|超长|token数?量?超过上限"
    ),
    EndReason.REFUSED: re.compile(
        r"\bflagged\b|(?:content|safety|usage) [\w ]{0,12}(?:polic|guideline|filter)"
        r"|violat\w* [\w ]{0,30}(?:polic|guideline|safety)|inappropriate content|(?:high|exists) risk"
        r"|sensitive (?:content|words?|data|info)|new_sensitive|safety (?:system|check|model)"
        r"|guardrail\w*\b[^\n]{0,60}\b(?:block|violat|fail|interven|trigger|reject)"
        r"|(?:block|violat|fail|interven|trigger|reject)\w*\b[^\n]{0,60}\b(?:(?:guard)?rails?|moderation)\b"
        r"|\b(?:prompt|request|content|response|entity|question)\b[\w ]{0,20}\b(?:blocked|filtered)\b"
        r"(?! by (?:an? )?(?:ip|network|firewall))|不安全|敏感"
    ),
    EndReason.OVERLOADED: re.compile(
        r"\boverload(?:ed)?\b|high (?:demand|traffic|load)\b|capacity (?:temporarily )?exceeded|over capacity"
        r"|currently loading"
        r"|(?:service|temporarily) (?:unavailable|offline|down)|\bdegraded (?:function|state|mode)\b"
    ),
    EndReason.RATE_LIMITED: re.compile(r"rate limit (?:exceeded|reached)|too many requests|due to rate limit"),
    # LM Studio and Ollama report this, and load the model again.
    EndReason.SERVER_ERROR: re.compile(
        r"\b(?:model|runner|worker)\b(?: process)?(?: has| is| was)? (?:crashed|unloaded|terminated)"
    ),
}
_MAX_WORDS_CHARS = 2_000
_REASONS_BY_STATUS = {
    401: EndReason.BAD_KEY,
    402: EndReason.OUT_OF_CREDIT,
    403: EndReason.BAD_KEY,
    404: EndReason.UNKNOWN_MODEL,
    405: EndReason.UNREADABLE,
    # From a proxy on the way to a server that is reached over http.
    407: EndReason.UNREACHABLE,
    # From NVIDIA, for a model that has reached the end of its life.
    410: EndReason.UNKNOWN_MODEL,
    413: EndReason.CONTEXT_TOO_LONG,
    429: EndReason.RATE_LIMITED,
    502: EndReason.UNREACHABLE,
    503: EndReason.OVERLOADED,
    504: EndReason.UNREACHABLE,
    529: EndReason.OVERLOADED,
}
_OVER_QUOTA = re.compile(r"\bquota (?:is |was |has been )?(?:exceeded|reached)|out of [\w ]{0,20}quota", re.IGNORECASE)
_WEB_PAGE = re.compile(r"\s*<(?:!doctype|html|head|body|\?xml)", re.IGNORECASE)
_ERROR_KEYS = ("error", "errors", "base_resp")
"""Names of the error field: for most vendors, for Cloudflare and watsonx, and for MiniMax (with status 200)."""
_SENTENCE_KEYS = ("message", "Message", "msg", "status_msg", "error_msg")
_WAIT_KEYS = ("retry_after", "retry_after_seconds", "resets_in_seconds", "estimated_time")
"""Fields with the seconds until the next request: from Cloudflare, gateways, OpenAI (for plans) and Hugging Face."""
_MAX_NESTED = 4
_CREDENTIAL_MODULES = ("botocore.exceptions", "google.auth.", "azure.")
_TRANSPORT_ERRORS = (httpx2.TransportError, aiohttp.ClientError, OSError)
_MIN_KEY_CHARS = 8
# Vendors show part of a wrong key with asterisks: sk-proj-****abcd. AWS quotes a request with a wrong signature,
# including its session token.
_KEY_SHAPED = re.compile(r"\b(?:sk|xai|gsk|AIza)[-_][\w*.-]{4,}|(?<=security-token:)\S+|\beyJ[\w-]{8,}(?:\.[\w-]+)*")
# The model wrote a call that its server can't parse. It rarely does so twice: Groq, Ollama, llama.cpp, vLLM.
_OUTPUT_CODES = {"tool_use_failed", "output_parse_failed"}
_OUTPUT_WORDS = re.compile(
    r"(?:fail(?:ed|ure)?|error|unable|cannot|could not|couldn't)(?: to)? (?:pars|decod)\w{1,5} (?:the )?(?:model'?s? )?"
    r"(?:(?:tool|function)[ _]call|(?:tool|function|call) argument|(?:generated )?output|input at pos)"
    r"|xml syntax error|model (?:produced|generated|wrote) (?:an )?invalid (?:tool|function)[ _]call",
    re.IGNORECASE,
)
MAX_EXPLANATION_CHARS = 1_000
BAD_REQUEST = (400, 422)
MAX_WRITTEN_CHARS = 4_000_000
"""Maximum length of an answer's text, thinking and calls: five times what BOT_MAX_OUTPUT_TOKENS and thinking allow."""
_SERVER_FAULT_STATUSES = {408, 409, 424, 499}
"""Statuses below 500 that are the server's fault: both SDKs retry 408 and 409, Bedrock uses 424 for a failed model, and
Google uses 499 for a request that Google canceled."""
_WORD = re.compile(r"\w{3,}")


@dataclass(frozen=True)
class ErrorResponse:
    status: int
    headers: Mapping[str, str]
    body: object


def error_response(error: Exception) -> ErrorResponse | None:
    """Returns the response that caused an SDK's `error`, or None if there was no response."""
    # Naming the SDKs' error classes, which are similar, would import both SDKs.
    response = getattr(error, "response", None)
    if not isinstance(response, httpx2.Response):
        return None
    body = getattr(error, "body", None)
    if isinstance(body, str):
        # OpenAI's SDK provides only `error`, which can be a title next to the sentence.
        with suppress(ValueError, RecursionError):
            body = json.loads(response.content)
    return ErrorResponse(response.status_code, response.headers, body)


def reason_and_sentence(response: ErrorResponse, *, by_numbers: bool = True) -> tuple[EndReason, str]:
    """Returns an error response's reason and sentence. `by_numbers`: whether to use the status and numeric codes."""
    codes, message = _codes_and_message(response.body)
    codes = codes if by_numbers else [code for code in codes if not code.isdecimal()]
    return _reason(codes, message, response.status if by_numbers else BAD_REQUEST[0]), message


def codes_text(response: ErrorResponse) -> str:
    return " ".join(_codes_and_message(response.body)[0]).replace("_", " ")


def is_temporary(refusal: ErrorResponse) -> bool:
    """Returns whether the same request might soon succeed, according to `x-should-retry` or the refusal's reason."""
    codes, message = _codes_and_message(refusal.body)
    stated = refusal.headers.get("x-should-retry")
    if stated in ("true", "false"):
        return stated == "true"
    return _reason(codes, message, refusal.status).is_temporary or is_about_output(refusal)


def is_about_output(failure: ErrorResponse) -> bool:
    """Returns whether a server reports that it couldn't parse the model's output. The error can quote that output."""
    codes, message = _codes_and_message(failure.body)
    return not _OUTPUT_CODES.isdisjoint(codes) or _OUTPUT_WORDS.search(message[:_MAX_WORDS_CHARS]) is not None


class RequestAttempt:
    """A context manager for one request to a vendor. Turns every exception raised in its block into a ProviderError."""

    def __init__(self, model: str, api_key: str, prompt_texts: Sequence[str] = (), access: str = "") -> None:
        """`access`: the role or permission that the vendor requires, if it doesn't use keys."""
        self.model = model
        self.vendor = model.partition("/")[0]
        self.has_begun = False
        """Whether the response begins like an answer. If it does and the rest is unreadable, the answer was cut off."""
        self.is_connected = False
        """Whether the response has begun, so that a lost connection cuts off the answer."""
        self._missing_access = f"needs {access}:" if access else ""
        self._prompt_texts = prompt_texts
        self.refusal: ErrorResponse | None = None
        self.window_tokens: int | None = None
        """The model's window, if an error about a prompt that is too long has stated it."""
        self.is_short_conversation = False
        """Whether the conversation is too short for any server to refuse it as too long."""
        self.written_chars = 0
        self._answer = GrowingText()
        """The answer's text so far. Vendors quote both the question and the answer in errors."""
        self._api_key = api_key

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception) and not isinstance(error, ProviderError):
            # None, because the SDK's error contains the request, including the key.
            raise self._provider_error(error) from None

    @property
    def text(self) -> str:
        return str(self._answer)

    def record(self, delta: str | Thinking | Searching | Citation) -> None:
        """Records part of the answer. Raises ProviderError if the answer exceeds MAX_WRITTEN_CHARS."""
        if isinstance(delta, str | Thinking):
            self.written_chars += len(delta) if isinstance(delta, str) else delta.chars
        if self.written_chars > MAX_WRITTEN_CHARS:
            raise self.failure(EndReason.CUT, f"more than {MAX_WRITTEN_CHARS} characters", is_temporary=False)
        if isinstance(delta, str):
            self._answer.append(delta)

    def is_whole_text(self, text: str) -> bool:
        return len(self._answer) == len(text) and self.text == text

    def failure(self, reason: EndReason, detail: str, *, is_temporary: bool | None = None) -> ProviderError:
        return ProviderError(reason, self.model, detail=self._redact(detail), is_temporary=is_temporary)

    def _redact(self, detail: str, max_chars: int = 300) -> str:
        # A shorter "key", such as "ollama", is a placeholder, and could be part of other words.
        is_secret = len(self._api_key) >= _MIN_KEY_CHARS
        clean = detail.replace(self._api_key, "[key]") if is_secret else detail
        return _KEY_SHAPED.sub("[key]", join_halves(clean))[:max_chars]

    def reported_failure(
        self, body: object, status: int | None = None, headers: Mapping[str, str] | None = None
    ) -> ProviderError:
        self.refusal = ErrorResponse(status or 200, headers or {}, body)
        codes, message = _codes_and_message(body)
        failure = _reason(codes, message, status)
        if failure is EndReason.CONTEXT_TOO_LONG and self.is_short_conversation:
            failure = EndReason.UNEXPECTED
        needed = self._missing_access if failure is EndReason.BAD_KEY else ""
        sentence = self.without_quotes(message)
        # Servers repeat the status as a code or at the start of their sentence.
        names = dict.fromkeys(map(str, filter(None, (status, *codes))))
        names.pop(re.split(r"\W", sentence, maxsplit=1)[0], None)
        detail = " ".join(filter(None, (needed, *names, sentence)))
        return ProviderError(
            failure,
            self.model,
            retry_after_s=retry_after_s(
                {**_headers_within(body), **(headers or {})},
                message[:_MAX_WORDS_CHARS].lower(),
                is_limit=failure is EndReason.RATE_LIMITED,
            ),
            detail=self._redact(detail),
            is_temporary=is_temporary(self.refusal),
            window_tokens=self.window_tokens if failure is EndReason.CONTEXT_TOO_LONG else None,
            explanation=self._explanation(body, message) if failure is EndReason.MISALIGNED else "",
        )

    def _explanation(self, body: object, message: str) -> str:
        """Returns why OpenAI stopped an answer (openai 3.57.0, ResponseError.misalignment), or its sentence."""
        error = object_in(object_in(body).get("error")) or object_in(body)
        stated = object_in(error.get("misalignment")).get("detailed_explanation")
        return self._redact(stated if isinstance(stated, str) and stated else message, MAX_EXPLANATION_CHARS)

    def loggable_sentence(self, refusal: ErrorResponse) -> str:
        return self._redact(self.without_quotes(_codes_and_message(refusal.body)[1]))

    def missing_answer_failure(self, body: object) -> ProviderError:
        """Returns a ProviderError for JSON that doesn't contain an answer. Each gateway has its own error format."""
        error = self.reported_failure(body)
        first = body[0] if isinstance(body, list) and body else body
        is_error = isinstance(first, dict) and (
            any(first.get(name) and object_in(first[name]).get("status_code") != 0 for name in _ERROR_KEYS)
            or first.get("object") == "error"
            or _is_status(first.get("code"))
        )
        if is_error or error.reason not in (EndReason.SERVER_ERROR, EndReason.UNEXPECTED):
            return error
        said = self.loggable_sentence(ErrorResponse(HTTPStatus.OK, {}, body))
        return self.failure(EndReason.UNREADABLE, ": ".join(filter(None, ("JSON without an answer", said))))

    def without_quotes(self, message: str) -> str:
        """Replaces words in a vendor's sentence with an ellipsis if they also occur in the question or answer."""
        texts = (*self._prompt_texts, self.text)
        private = {word for text in texts for word in _WORD.findall(text.lower())}
        return _WORD.sub(lambda word: "…" if word[0].lower() in private else word[0], message)

    def _provider_error(self, error: Exception) -> ProviderError:
        if response := error_response(error):
            if by_proxy := network.refusal(response.status, url_of(error)):
                return self.failure(EndReason.UNREACHABLE, by_proxy, is_temporary=False)
            return self.reported_failure(response.body, response.status, response.headers)
        if is_without_identity(error):
            lacking = f"no usable credentials ({type(error).__name__})"
            return self.failure(EndReason.BAD_KEY, f"{self._missing_access} {lacking}".strip())
        # The SDKs wrap most transport errors.
        transport = next((e for e in (error, error.__cause__) if isinstance(e, _TRANSPORT_ERRORS)), None)
        if transport is not None:
            # The SDKs read a JSON answer themselves, so the connection can break before the response is returned.
            cut = self.is_connected or isinstance(transport, httpx2.ReadError)
            failure = EndReason.CUT if cut else EndReason.UNREACHABLE
            on_its_way = network.reason_of(error, url_of(error))
            detail = on_its_way or f"{type(transport).__name__}: {transport}"
            return self.failure(failure, detail, is_temporary=False if network.needs_password(error) else None)
        is_not_json = isinstance(error, json.JSONDecodeError | UnicodeDecodeError)
        # The error's message might quote the text that couldn't be parsed.
        detail = "the response is not JSON" if is_not_json else type(error).__name__
        if not (self.is_connected or is_not_json):
            return self.failure(EndReason.UNEXPECTED, detail)
        return self.failure(EndReason.CUT if self.has_begun else EndReason.UNREADABLE, detail)


def url_of(error: Exception) -> str:
    try:
        # httpx2's own errors raise if they have no request.
        return str(error.request.url)  # type: ignore[attr-defined]
    except (AttributeError, RuntimeError):
        return ""


def _is_status(code: object) -> bool:
    """Returns whether a code is an HTTP error status. Some servers send such a code in the body of a 200 response."""
    return str(code).isdecimal() and HTTPStatus.BAD_REQUEST <= int(str(code)[:4]) < 600


def is_without_identity(error: Exception) -> bool:
    """Returns whether a cloud's library didn't find credentials, or the token service rejected them."""
    # The libraries are optional extras, so their classes are recognized by their modules.
    # The SDKs ask AWS's library, which can return nothing.
    is_sdks = str(error).startswith(("Could not resolve AWS credentials", "Could not find credentials for Bedrock"))
    return is_sdks or type(error).__module__.startswith(_CREDENTIAL_MODULES)


def _codes_and_message(body: object, levels: int = _MAX_NESTED) -> tuple[list[str], str]:
    """Returns an error's codes, most specific first, and the vendor's message."""
    # A gateway's sentence is followed by the upstream server's, which contains the reason.
    # Gemini's errors are lists of one.
    first = body[0] if isinstance(body, list) and body else body
    error = next((first[name] for name in _ERROR_KEYS if first.get(name)), first) if isinstance(first, dict) else first
    error = error[0] if isinstance(error, list) and error else error
    if isinstance(error, str) and isinstance(first, dict):
        # NestJS, Fastify and Spring put a title there, and the sentence next to it.
        beside = next((first[name] for name in _SENTENCE_KEYS if isinstance(first.get(name), str)), "")
        sentences = [error, "" if beside in error else beside, *_stated_waits(first)]
        return [], ": ".join(filter(None, sentences))
    if not isinstance(error, dict):
        return [], error if isinstance(error, str) else ""
    details: Any = error.get("details")
    exact = details.get("error_code") if isinstance(details, dict) else None
    codes = [str(code) for code in (exact, error.get("error_code"), error.get("code"), error.get("type")) if code]
    # AWS capitalizes the field if the request didn't get past its front door.
    message = next((error[name] for name in _SENTENCE_KEYS if error.get(name)), None)
    waits = [f"retry in {one['retryDelay']}" for one in objects_in(details) if one.get("retryDelay")]
    sentences = [message if isinstance(message, str) else "", _mistral_detail(error.get("detail"))]
    sentences += waits or _stated_waits(error)
    # Xiaomi puts the reason where others name a parameter.
    param = error.get("param")
    if isinstance(param, str) and " " in param:
        sentences.append(param)
    # OpenRouter: https://openrouter.ai/docs/api/reference/errors-and-debugging
    metadata = object_in(error.get("metadata"))
    if kind := metadata.get("error_type"):
        codes = [str(kind), *codes]
    if metadata.get("flagged_input"):
        # The status is 403, which would mean a refused key.
        codes = ["moderation_blocked", *codes]
    raw = metadata.get("raw")
    if isinstance(raw, str):
        # If the text isn't JSON, it is the sentence.
        with suppress(ValueError, RecursionError):
            raw = json.loads(raw)
    # FastAPI's detail can be an object, and Mistral's message can be one with details.
    inner = message, error.get("error"), object_in(error.get("errors")), error.get("detail")
    for behind in (raw, *(one for one in inner if isinstance(one, dict))):
        if behind and levels:
            more, sentence = _codes_and_message(behind, levels - 1)
            codes = [*more, *codes]
            sentences.append(sentence)
    return codes, ": ".join(dict.fromkeys(filter(None, sentences)))


def _stated_waits(error: Mapping[str, Any]) -> list[str]:
    stated = (error.get(name) for name in _WAIT_KEYS)
    waits = [wait for wait in stated if isinstance(wait, int | float) and not isinstance(wait, bool) and 0 < wait < 1e8]
    return [f"retry in {math.ceil(wait)}s" for wait in waits[:1]]


def _headers_within(body: object) -> Mapping[str, str]:
    error = object_in(object_in(body).get("error")) or object_in(body)
    return {name: str(value) for name, value in object_in(object_in(error.get("metadata")).get("headers")).items()}


def _mistral_detail(detail: object) -> str:
    """Returns Mistral's error and its location in the request, but not the value, which might be a user's text."""
    if not isinstance(detail, list):
        return detail if isinstance(detail, str) else ""
    problems = [problem for problem in detail[:5] if isinstance(problem, dict)]
    places = [problem["loc"] if isinstance(problem.get("loc"), list) else [] for problem in problems]
    return "; ".join(
        f"{'.'.join(map(str, place))} {problem.get('msg') or ''}".strip()
        for place, problem in zip(places, problems, strict=True)
    )


def _reason(codes: list[str], message: str, status: int | None) -> EndReason:
    if (by_code := precise_reason(codes, message)) is not None:
        return by_code
    is_page = _WEB_PAGE.match(message) is not None
    if not is_page and (by_words := _reason_by_message(message, status)) is not None:
        return by_words
    if (by_code := general_reason(codes, message, status)) is not None:
        return by_code
    # Compatible servers put a status where OpenAI has a code.
    numbers = [status or 0, *(int(code) for code in codes if len(code) == 3 and code.isdecimal())]
    # A mid-stream error has the response's status, 200.
    statuses = [number for number in numbers if number >= 300]
    if HTTPStatus.FORBIDDEN in statuses and _OVER_QUOTA.search(message[:_MAX_WORDS_CHARS]):
        # Azure's gateway counts tokens per month and reports when the next month begins.
        return EndReason.RATE_LIMITED
    for known in statuses:
        if known in _REASONS_BY_STATUS and not (is_page and known == HTTPStatus.NOT_FOUND):
            return _REASONS_BY_STATUS[known]
    if statuses:
        is_servers = any(known in _SERVER_FAULT_STATUSES or known >= 500 for known in statuses)
    else:
        is_servers = not (message.lower().startswith("invalid") or any("invalid" in code for code in codes))
    if is_servers:
        return EndReason.SERVER_ERROR
    # The URL belongs to something else: its server redirects, or returns a web page.
    is_elsewhere = is_page or any(known < HTTPStatus.BAD_REQUEST for known in statuses)
    return EndReason.UNREADABLE if is_elsewhere else EndReason.UNEXPECTED


def _reason_by_message(message: str, status: int | None) -> EndReason | None:
    words = message[:_MAX_WORDS_CHARS].lower()
    # Rate limits and server errors mention policies and keys of their own.
    passed_over = (EndReason.REFUSED, EndReason.BAD_KEY) if status and (status == 429 or status >= 500) else ()
    for failure, pattern in _SENTENCE_PATTERNS.items():
        if failure not in passed_over and pattern.search(words):
            is_soon = failure is EndReason.OUT_OF_CREDIT and is_temporary_limit(words)
            return EndReason.RATE_LIMITED if is_soon else failure
    return None
