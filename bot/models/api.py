"""The base class for model servers' APIs.

APIs differ in four ways: the request's body, the SDK method that posts it, the class that reads the response, and the
supported features. Each API's module (openai.py, anthropic.py) defines them in a subclass of `Api`. Requests are sent
by `VendorModel` (model.py), the Provider for every API.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx2

from bot import network
from bot.identity import GATEWAY_HEADERS, identifying_client, placeholders
from bot.models.bodies import limited_client
from bot.models.events import LONGER_THINKING_TOKENS, THINKING_TOKENS, Opaque, TextPart
from bot.models.parameters import OptionalParameter, Parameters
from bot.models.prices import is_vendors_server
from bot.models.prompt import Effort, Media, Prompt, Turn, TurnPart
from bot.models.setup import RequestOptions
from bot.models.streams import AnswerReader


def client_arguments(http_client: type[httpx2.AsyncClient], url: str) -> dict[str, Any]:
    """Returns the constructor arguments for a vendor SDK's client. `http_client`: the SDK's connection pool class."""
    # No read timeout, because a model can think for a long time and pings would keep a stalled read alive.
    # `StallTimeout` limits silence.
    timeout = httpx2.Timeout(None, connect=5.0)
    # Follow-up questions arrive within a minute or two. A kept connection saves their handshakes.
    limits = httpx2.Limits(max_connections=1000, keepalive_expiry=120.0)
    client = limited_client(http_client)
    if any(placeholders(os.environ.get(variable, "")) for variable in GATEWAY_HEADERS.values()):
        client = identifying_client(client, is_gateway=not is_vendors_server(url))
    return {
        # The SDKs would wait as long as a Retry-After asks. `RetryPlan` decides instead.
        "max_retries": 0,
        "timeout": timeout,
        # A redirect could send the conversation anywhere.
        "http_client": client(
            timeout=timeout,
            limits=limits,
            verify=network.tls(),
            proxy=network.httpx2_proxy(url),
            headers=network.forwarded_headers(url),
            trust_env=False,
            follow_redirects=False,
        ),
    }


class Api(ABC):
    reader: type[AnswerReader]
    max_media_bytes: int
    """Maximum base64 bytes in one request."""
    optional_parameters: frozenset[OptionalParameter]
    thinking_tokens = THINKING_TOKENS
    """Output tokens to request for thinking, in addition to those for the answer's text."""
    accepts_pdfs = True
    can_leave_marks = False
    """Whether template markup can be left in the text, which happens on servers that the model's vendor doesn't run."""
    other_api: "Api | None" = None
    """Another API on the same server, which might support models or tools that this API rejects."""

    def __init__(self, create: Callable[..., Awaitable[Any]], options: RequestOptions, vendor: str) -> None:
        """`create`: sends a request and returns the raw response. The SDK's method is looked up on the first call."""
        # The SDK's part for an API takes long to import.
        self.vendor = vendor
        """Only this vendor's opaque items are sent back. Other vendors' items might be encrypted."""
        self.prepare: Callable[[], Awaitable[object]] | None = None
        self.fetch_description: Callable[[str], Awaitable[object]] | None = None
        self.describes_thinking = False
        """Whether the model's description lists thinking types and effort levels, so that Typist doesn't have to learn
        them from refusals."""
        self.prices = options.prices
        self.text_tokens = options.max_output_tokens
        self._create = create

    @abstractmethod
    def body(
        self, model: str, prompt: Prompt, parameters: Parameters, output_tokens: int, effort: str = ""
    ) -> dict[str, Any]:
        """Returns a request's body. `effort`: the vendor's name for the level, or "" for the model's default."""

    def wanted_tokens(self, effort: Effort) -> int:
        """Returns the output limit to send. Vendors count thinking toward the limit, not only text."""
        is_longer = effort is Effort.THOROUGH and self.thinking_tokens
        return self.text_tokens + (LONGER_THINKING_TOKENS if is_longer else self.thinking_tokens)

    async def post(self, body: Mapping[str, Any]) -> httpx2.Response:
        if self.prepare:
            await self.prepare()
        response: httpx2.Response = (await self._create(**body)).http_response
        return response


def turn_content(
    turn: Turn, media_part: Callable[[Media], dict[str, Any]], text_type: str = "text"
) -> str | list[dict[str, Any]]:
    if not turn.media:
        return turn.text
    return [*(media_part(media) for media in turn.media), {"type": text_type, "text": turn.text}]


def parts_to_send(turn: Turn, is_own: Callable[[Opaque], bool]) -> list[TurnPart]:
    """Returns a turn's opaque items that `is_own` accepts, or all of its other parts if there are no such items."""
    own: list[TurnPart] = [part for part in turn.parts if isinstance(part, Opaque) and is_own(part)]
    neutral: list[TurnPart] = [part for part in turn.parts if not isinstance(part, Opaque)]
    if not own and not neutral and turn.text:
        neutral = [TextPart(turn.text)]
    return own or neutral
