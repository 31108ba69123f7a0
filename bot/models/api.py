"""An API of a model's server: the four things in which one differs from another, and what all of them share.

They are the body of a request, the method of the vendor's SDK that posts it, the reader of a response, and what the API
accepts. The module of an API (openai.py, anthropic.py) defines them in a subclass of `Api`. The Provider for its models
is `VendorModel` (model.py).
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

import httpx2

from bot import network
from bot.models.bodies import bounded
from bot.models.events import LONGER_THINKING_TOKENS, THINKING_TOKENS, Opaque, TextPart
from bot.models.failures import RequestAttempt
from bot.models.parameters import OptionalParameter
from bot.models.prompt import Effort, Media, Prompt, Turn, TurnPart
from bot.models.setup import RequestOptions
from bot.models.streams import AnswerReader


def client_arguments(http_client: type[httpx2.AsyncClient], url: str) -> dict[str, Any]:
    """Returns the arguments that every client of a vendor's SDK gets, with a connection pool of its own.

    `http_client` is the SDK's class of pools; `url` leads to the server.
    """
    # No read timeout: a model may think for long, and pings would keep a stalled read alive. `Stall` limits silence.
    timeout = httpx2.Timeout(None, connect=5.0)
    # Follow-up questions come within a minute or two: a kept connection saves them the handshakes.
    limits = httpx2.Limits(max_connections=1000, keepalive_expiry=120.0)
    return {
        # The SDKs would wait for as long as a Retry-After says. `Tries` decides instead.
        "max_retries": 0,
        "timeout": timeout,
        # A redirect would send the conversation wherever it leads.
        "http_client": bounded(http_client)(
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
    """One API of a server: what differs between vendors."""

    max_media_bytes: int
    """Of base64, in one request."""
    optional_parameters: frozenset[OptionalParameter]
    """Parameters that are sent until the model refuses them."""
    thinking_tokens = THINKING_TOKENS
    """Output tokens beyond those of the answer's text."""
    may_leave_marks = False
    """Whether the server is no vendor's own, so that it may leave a template's marks in the text."""
    other: "Api | None" = None
    """An API of the same server that may have models that this one refuses, or refuses with tools."""

    def __init__(self, create: Callable[..., Awaitable[Any]], options: RequestOptions, vendor: str) -> None:
        """`create` sends a request by the SDK's method and returns the raw response.

        The SDK is asked for that method with the first request: its part for an API takes long to import.
        """
        self.vendor = vendor
        """Only its own opaque items are sent back: another vendor's may be encrypted for that one."""
        self.prepare: Callable[[], Awaitable[object]] | None = None
        """What has to be done before each request."""
        self.described: Callable[[str], Awaitable[object]] | None = None
        """Returns the server's description of a model, which may have its window."""
        self.describes_effort = False
        """Whether the description has the levels of effort, so that none has to be refused."""
        self._create = create
        self._options = options

    def accepts(self, media: Media) -> bool:
        """Returns whether a model may be sent this kind of file, as far as is documented."""
        return True

    @abstractmethod
    def request(
        self,
        model: str,
        prompt: Prompt,
        parameters: Collection[OptionalParameter],
        output_tokens: int,
        effort: str = "",
    ) -> dict[str, Any]:
        """Returns the body of a request.

        `output_tokens`: its limit. `effort`: the level in the vendor's terms; "" for the model's default.
        """

    @property
    def text_tokens(self) -> int:
        """The output tokens that the settings want for an answer's text."""
        return self._options.max_output_tokens

    def wanted_tokens(self, effort: Effort) -> int:
        """Returns the limit to send to the vendor, which counts thinking as well as text."""
        is_longer = effort is Effort.THOROUGH and self.thinking_tokens
        return self.text_tokens + (LONGER_THINKING_TOKENS if is_longer else self.thinking_tokens)

    async def post(self, body: Mapping[str, Any]) -> httpx2.Response:
        """Returns the response to a request, for a stream as soon as its headers are here. Raises the SDK's errors."""
        if self.prepare:
            await self.prepare()
        response: httpx2.Response = (await self._create(**body)).http_response
        return response

    @abstractmethod
    def reader(self, attempt: RequestAttempt, prompt: Prompt, output_tokens: int) -> AnswerReader:
        """Returns a reader for the response to one request, which had this limit."""


def content_of(
    turn: Turn, media_part: Callable[[Media], dict[str, Any]], text_type: str = "text"
) -> str | list[dict[str, Any]]:
    """Returns a turn's content in the form that all APIs share: files come before the text about them."""
    if not turn.media:
        return turn.text
    return [*(media_part(media) for media in turn.media), {"type": text_type, "text": turn.text}]


def parts_for(turn: Turn, is_own: Callable[[Opaque], bool]) -> list[TurnPart]:
    """Returns the parts of a turn to send: those that are opaque to others if `is_own` finds any, else all others."""
    own: list[TurnPart] = [part for part in turn.parts if isinstance(part, Opaque) and is_own(part)]
    neutral: list[TurnPart] = [part for part in turn.parts if not isinstance(part, Opaque)]
    if not own and not neutral and turn.text:
        neutral = [TextPart(turn.text)]
    return own or neutral
