"""The models that write answers: what they promise, and the one class for all vendors' models.

A `VendorModel` sends requests to an API, and yields the events that the API's reader finds. An API differs from another
in four things, which its module in this package defines: the body of a request, the method of the vendor's SDK that
posts it, the reader of a response, and what the API accepts. Everything else is here, once for all vendors: optional
parameters that a model refuses, images that it can't take, the response's form (a stream of events or one JSON body),
text that can't be encoded, and the rule that an answer without its terminal marker is no answer.

Tool calls come after that marker, too: a call with half of its arguments can't be undone.
"""

import asyncio
import json
import logging
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Protocol

import httpx2

from bot import network
from bot.errors import EndReason, FileFault, ProviderError
from bot.models.bodies import bounded, whole
from bot.models.events import (
    SIGNS_OF_WORK,
    THINKING_TOKENS,
    Completion,
    Feature,
    FinishReason,
    Opaque,
    StreamEvent,
    Thinking,
    Usage,
)
from bot.models.failures import ErrorResponse, RequestAttempt, error_response, meaning
from bot.models.prompt import (
    Effort,
    Media,
    Prompt,
    TextPart,
    TokenEstimate,
    ToolResult,
    Turn,
    TurnPart,
    newest_media_within,
    prompt_texts,
    without_media,
)
from bot.models.refused_files import FileRequests
from bot.models.room import MAX_TRIES, Room, read_refusal
from bot.models.setup import (
    OF_TOOLS,
    WEB,
    EffortLevels,
    OptionalParameter,
    RequestOptions,
    is_bad_request,
    is_no_such_api,
    refused_parameters,
    refuses_effort,
)
from bot.models.streams import (
    AWS_EVENTS,
    COMMENT,
    DONE,
    AnswerReader,
    Delta,
    read_aws_events,
    read_events,
)
from bot.text import Pairing

log = logging.getLogger(__name__)


class Provider(Protocol):
    """One model of one vendor."""

    model: str
    """As the settings name it: openai/gpt-6-luna."""

    def stream(self, prompt: Prompt) -> AsyncGenerator[StreamEvent, None]:
        """Yields the answer's deltas (never empty), signs of work and citations, and one Completion at the end.

        If the model calls tools, the calls and the opaque items to send back with their results come before it.

        Raises ProviderError, at any time, if the answer can't be completed.
        Close the generator (contextlib.aclosing) to hang up: only that reaches the vendor and stops the billing.
        """
        ...


@dataclass(frozen=True, slots=True)
class Vendor:
    """A vendor's connections."""

    model: Callable[[str], Provider]
    """Returns the model that the vendor calls by this name, which may hold slashes."""
    aclose: Callable[[], Awaitable[None]]
    """Closes all connections, those of live answers too."""


class Models(Protocol):
    """The models in use."""

    names: tuple[str, ...]

    def led_by(self, model: str | None, prompt: Prompt) -> Provider:
        """Returns a provider for this prompt that tries `model` first and falls back to the others.

        If `model` is None or not in use, the usual order applies.
        """
        ...


MAX_UNKNOWN_ENDS = 20
MAX_REFUSED_FILES = 500
SHORT_TOKENS = 1_000
"""Every model takes a conversation that is shorter."""
MAX_PAUSES = 4
"""How often a paused answer goes on. Each time, the whole conversation is input again."""
MAX_WRITTEN_CHARS = 4_000_000
"""Of text, thinking and calls in one answer. BOT_MAX_OUTPUT_TOKENS and the room to think allow a fifth of this."""
REST_S = 10.0
"""How long what may follow a finish reason, such as usage, may take. Some servers don't end their streams."""
_FEATURES: Mapping[OptionalParameter, Feature] = {
    OptionalParameter.TOOLS: "tools",
    OptionalParameter.WEB_SEARCH: "web search",
}
_PRICE_OF_TOOLS = frozenset((OptionalParameter.TOOLS, OptionalParameter.TOOLS_WITH_REASONING))
"""What a model that refuses tools is asked without, for all or for a part of what it can do."""
LEVELS_WITHIN_S = 2.0
"""How long a vendor may take to say which levels of effort a model takes. The first answer that needs one waits."""
_BLANK = b"\xef\xbb\xbf \t\r\n"
"""What may stand before JSON and events: a byte order mark and whitespace."""
_STREAM_BEGINS = (b":", b"d", b"e", b"i", b"r")
"""A comment, or a field of an event: data, event, id, retry. No JSON of an answer begins like this."""


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
    """An API of the same server that takes tools where this one refuses them."""

    def __init__(self, create: Callable[..., Awaitable[Any]], options: RequestOptions, vendor: str) -> None:
        """`create` sends a request by the SDK's method and returns the raw response.

        It is asked for that method with the first request: the SDK's part for an API takes long to import.
        """
        self.vendor = vendor
        """Only its own opaque items are sent back: another vendor's may be encrypted for that one."""
        self.prepare: Callable[[], Awaitable[object]] | None = None
        """What has to be done before each request."""
        self.effort_levels: Callable[[str], Awaitable[EffortLevels]] | None = None
        """Returns which levels of effort a model takes, where the vendor tells."""
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

    @property
    def wanted_tokens(self) -> int:
        """The limit to send to the vendor, which counts thinking as well as text."""
        return self.text_tokens + self.thinking_tokens

    async def post(self, body: Mapping[str, Any]) -> httpx2.Response:
        """Returns the response to a request, for a stream as soon as its headers are here. Raises the SDK's errors."""
        if self.prepare:
            await self.prepare()
        response: httpx2.Response = (await self._create(**body)).http_response
        return response

    @abstractmethod
    def reader(self, attempt: RequestAttempt, prompt: Prompt, output_tokens: int) -> AnswerReader:
        """Returns a reader for the response to one request, which had this limit."""


@dataclass(frozen=True, slots=True)
class _Answered:
    """A response that has begun, and what the request for it was."""

    response: httpx2.Response
    api: Api
    prompt: Prompt
    """Without dispensable tools, such as choices, if the model refuses them."""
    parameters: frozenset[OptionalParameter]
    effort: str
    output_tokens: int
    """Its limit."""
    trial: "_Trial"

    @property
    def has_too_little_room(self) -> bool:
        """Whether an answer's text may be shorter than the settings say."""
        return self.output_tokens < self.api.text_tokens

    @property
    def refused(self) -> tuple[Feature, ...]:
        """What the prompt asks for and the model refused."""
        missing = self.api.optional_parameters - self.parameters - _unused_by(self.prompt)
        refused = tuple(feature for parameter, feature in _FEATURES.items() if parameter in missing)
        is_missed = self.prompt.effort is Effort.THOROUGH and not self.effort
        return (*refused, "thinking longer") if is_missed else refused


@dataclass(frozen=True, slots=True)
class _Trial:
    """What a request takes for granted of the server's limits. It is true if the request succeeds."""

    room: Room
    output_tokens: int | None = None
    """The limit that a refusal has named; None: as the room says."""
    refusals: int = 0
    """How many requests were refused before."""


class VendorModel:
    """The Provider for one model of an API."""

    def __init__(self, api: Api, api_key: str, name: str, access: str = "") -> None:
        """`access`: the role or permission that the vendor asks for in place of a key."""
        self.model = f"{api.vendor}/{name}"
        self._name = name
        self._access = access
        self._api = api
        self._api_key = api_key
        """Kept so that errors don't quote it."""
        self._refused: frozenset[OptionalParameter] = frozenset()
        """Remembered while the process runs, because each refusal costs an asker a moment."""
        self._takes_dispensable_tools = True
        """Also remembered."""
        self._max_pixels = 0
        """The most of an image's side that the model takes, as a refusal has named it; 0: none has."""
        self._too_large_bytes = 0
        """The size of a request that was too large; 0: none was."""
        self._refused_files: dict[int, FileFault] = {}
        """Why files were refused, by the hashes of their base64. Also remembered."""
        self._room = Room()
        """Also remembered, and said in the log when it is learned."""
        self._estimate = TokenEstimate((self.model,))
        self._unknown_ends: set[str] = set()
        """Those that the log names."""
        self._levels: EffortLevels | None = None
        """As long as no answer needed a level, nobody has asked for them."""

    async def stream(self, prompt: Prompt) -> AsyncGenerator[StreamEvent, None]:
        """Yields the events of one answer. If a request is refused for its files, others follow (refused_files.py)."""
        accepted, of_other_kinds = without_media(prompt, self._api.accepts)
        fit = newest_media_within(accepted.turns, self._api.max_media_bytes)
        fitting, too_large = without_media(accepted, lambda media: media in fit)
        offered, refused = self._without_refused(fitting)
        refused += ((name, FileFault.TOO_LARGE) for name in too_large)
        requests = FileRequests(offered)
        if self._max_pixels:
            await requests.scale(self._max_pixels)
        if self._too_large_bytes:
            await requests.fit(self._too_large_bytes)
        used: list[Usage] = []
        while True:
            asked = requests.prompt()
            begun = False
            try:
                if requests.is_about_one:
                    used.append(await self._ask_about_one(asked))
                    requests.taken()
                    yield Thinking()
                    continue
                async with aclosing(self._answer(asked)) as events:
                    async for event in events:
                        begun = begun or not isinstance(event, SIGNS_OF_WORK)
                        self._max_pixels = requests.max_pixels or self._max_pixels
                        self._too_large_bytes = requests.too_large_bytes or self._too_large_bytes
                        if isinstance(event, Completion):
                            found = requests.left_out()
                            self._remember_files(found)
                            refused += ((media.name, fault) for media, fault in found)
                            event = _completed(event, of_other_kinds, refused, used)
                        yield event
                return
            except ProviderError as error:
                if begun or error.refused_files is None:
                    raise
                # Places count the message of the instructions, if there is one.
                sent = self._api.optional_parameters - self._refused
                body = self._api.request(self._name, asked, sent, self._api.wanted_tokens)
                if not await requests.after(error.refused_files, body):
                    raise
                log.info(
                    "%s: %s (%s), asking again with files: %d", self.model, error.reason, error.detail, requests.count
                )

    def _without_refused(self, prompt: Prompt) -> tuple[Prompt, list[tuple[str, FileFault]]]:
        """Returns the prompt without files that were refused before, and their names with the reasons."""
        if not self._refused_files:
            return prompt, []
        files = [media for turn in prompt.turns for media in turn.media]
        known = [(media, self._refused_files.get(hash(media.base64))) for media in files]
        refused = {id(media): (media.name, fault) for media, fault in known if fault is not None}
        return without_media(prompt, lambda media: id(media) not in refused)[0], list(refused.values())

    def _remember_files(self, refused: Sequence[tuple[Media, FileFault]]) -> None:
        """Remembers which files aren't worth another request: later steps and answers have the same ones."""
        alone = {hash(media.base64): fault for media, fault in refused if fault is not FileFault.TOGETHER}
        self._refused_files = dict([*self._refused_files.items(), *alone.items()][-MAX_REFUSED_FILES:])

    async def _ask_about_one(self, prompt: Prompt) -> Usage:
        """Returns about what it costs to find that the vendor takes a file. Raises ProviderError if it doesn't."""
        try:
            async with aclosing(self._answer(prompt)) as events:
                await anext(events)
        except ProviderError as error:
            # Any other failure is one of the answer.
            if error.refused_files is not None or error.may_pass:
                raise
        return Usage(input_tokens=self._estimate.prompt_tokens(prompt))

    async def _answer(self, prompt: Prompt) -> AsyncGenerator[StreamEvent, None]:
        """Yields the events of one answer, which the vendor may pause.

        An answer without a word and without a tool call fails as EMPTY or ONLY_THOUGHT.
        """
        parts = [part for turn in prompt.turns for part in turn.parts]
        texts = [*prompt_texts(prompt), *(part.text for part in parts if isinstance(part, TextPart | ToolResult))]
        with RequestAttempt(self.model, self._api_key, texts, self._access) as attempt:
            answered = await self._send(prompt, attempt, _Trial(self._room))
            reader = self._reader(answered, attempt)
            has_text = False
            written_chars = 0
            pauses = 0
            while True:
                try:
                    async with aclosing(_deltas_of(answered.response, reader, attempt)) as deltas:
                        async for delta in deltas:
                            written_chars += _written_chars(delta)
                            if written_chars > MAX_WRITTEN_CHARS:
                                more = f"more than {MAX_WRITTEN_CHARS} characters"
                                raise attempt.failed(EndReason.CUT, more, may_pass=False)
                            if isinstance(delta, str):
                                attempt.received(delta)
                                has_text = has_text or bool(delta.strip())
                            yield delta
                except ProviderError:
                    # Some servers refuse a request in the stream.
                    was_asked = answered.prompt, answered.output_tokens, answered.trial
                    less = None if written_chars else self._with_less(*was_asked, attempt.refusal, attempt)
                    if less is None:
                        raise
                    answered = await self._send(prompt, attempt, less)
                    reader = self._reader(answered, attempt)
                    continue
                if reader.finish_reason is not FinishReason.PAUSED or pauses == MAX_PAUSES:
                    break
                pauses += 1
                paused = Turn("assistant", "", parts=tuple(reader.opaque_items()))
                longer = replace(prompt, turns=(*prompt.turns, paused))
                answered = await self._send(longer, attempt, _Trial(answered.trial.room))
                reader.go_on()
            for event in reader.read_end():
                yield event
            finish_reason = self._finish_reason(attempt, reader, has_text)
            self._remember(answered)
            yield Completion(
                self.model,
                finish_reason,
                reader.usage,
                refused=answered.refused,
                effort=answered.effort,
                max_output_tokens=answered.output_tokens if answered.has_too_little_room else None,
                window_tokens=self._room.window_tokens,
                wrote_call=reader.marks.may_be_left and bool(prompt.tools) and reader.marks.is_call,
            )

    def _reader(self, answered: _Answered, attempt: RequestAttempt) -> AnswerReader:
        """Returns what reads a response."""
        refuses_tools = OptionalParameter.TOOLS in answered.api.optional_parameters - answered.parameters
        # A call can only be one of tools that the request offered.
        prompt = replace(answered.prompt, tools=()) if refuses_tools else answered.prompt
        reader = answered.api.reader(attempt, prompt, answered.output_tokens)
        reader.marks.may_be_left = answered.api.may_leave_marks
        return reader

    def _finish_reason(self, attempt: RequestAttempt, reader: AnswerReader, has_text: bool) -> FinishReason:
        """Returns why the model stopped. Raises ProviderError if that makes no answer."""
        if reader.finish_reason is None:
            raise attempt.failed(EndReason.CUT, "the stream ended without its terminal marker")
        # A model that would still go on has used up what one answer may take.
        paused = reader.finish_reason is FinishReason.PAUSED
        reason = FinishReason.LENGTH if paused else reader.finish_reason
        if reader.unknown_end is not None:
            self._note_end(reader.unknown_end)
            if not has_text and reason is not FinishReason.TOOLS:
                raise attempt.failed(EndReason.CUT, f"finish reason {reader.unknown_end}")
        if not has_text and reason is not FinishReason.TOOLS:
            failure = EndReason.ONLY_THOUGHT if reason is FinishReason.LENGTH else EndReason.EMPTY
            raise attempt.failed(failure, f"no text, finish reason {reason}")
        return reason

    def _note_end(self, reason: str) -> None:
        """Says once in the log that an end has a name of its own."""
        name = reason if re.fullmatch(r"[\w .-]{0,40}", reason) else "…"
        if name not in self._unknown_ends and len(self._unknown_ends) < MAX_UNKNOWN_ENDS:
            self._unknown_ends.add(name)
            log.warning("%s: unknown finish reason %r, its text is taken as whole", self.model, name)

    async def _send(self, prompt: Prompt, attempt: RequestAttempt, trial: _Trial) -> _Answered:
        """Returns the response to a request without what the model refuses.

        A refusal is remembered only if the request without it succeeds, because an error may name a parameter and mean
        something else.
        """
        api = self._api
        refused = frozenset[OptionalParameter]()
        levels = await self._known_levels(prompt)
        is_dispensed = False
        prompt = self._without_known_price(prompt)
        while True:
            parameters = api.optional_parameters - self._refused - refused - _unused_by(prompt)
            # Such a model takes tools only if it doesn't reason.
            may_reason = not (prompt.tools and OptionalParameter.TOOLS_WITH_REASONING in self._refused | refused)
            effort = levels.level(prompt.effort) if may_reason else ""
            known = trial.room.for_output(api.wanted_tokens, self._estimate.prompt_tokens(prompt))
            output_tokens = trial.output_tokens or known
            try:
                response = await api.post(api.request(self._name, prompt, parameters, output_tokens, effort))
            except Exception as error:
                if less := self._with_less(prompt, output_tokens, trial, error_response(error), attempt):
                    trial = less
                    continue
                named = refused_parameters(parameters, error)
                means_effort = effort and refuses_effort(error, is_likely=not named and api is self._api)
                # Not every server names tools in its refusal.
                is_unclear = is_bad_request(error) and not (named or means_effort)
                bare = _without_dispensable(prompt)
                if bare.tools != prompt.tools and (is_unclear or not _PRICE_OF_TOOLS.isdisjoint(named)):
                    log.info("%s: asking again without dispensable tools", self.model)
                    prompt = bare
                    is_dispensed = True
                elif api.other is not None and OptionalParameter.TOOLS_WITH_REASONING in named:
                    log.warning("%s: this API refuses tools, trying the server's other API", self.model)
                    api = api.other
                elif means_effort:
                    levels = levels.without(effort, error)
                    nearest = levels.level(prompt.effort) or "the model's default"
                    log.info("%s: effort %s refused, asking again with %s", self.model, effort, nearest)
                elif named:
                    refused |= named
                    self._log_refused(named)
                elif api is not self._api and is_no_such_api(error):
                    log.warning("%s: the server has no other API, asking without reasoning", self.model)
                    api = self._api
                    refused |= {OptionalParameter.TOOLS_WITH_REASONING}
                else:
                    raise
            else:
                self._api = api
                self._refused |= refused
                self._takes_dispensable_tools &= not is_dispensed
                self._levels = self._levels if prompt.effort is Effort.NORMAL else levels
                return _Answered(response, api, prompt, parameters, effort, output_tokens, trial)

    def _without_known_price(self, prompt: Prompt) -> Prompt:
        """Returns the prompt without dispensable tools, if the model refuses them or asks a price for tools."""
        takes_all = self._takes_dispensable_tools and self._refused.isdisjoint(_PRICE_OF_TOOLS)
        return prompt if takes_all else _without_dispensable(prompt)

    def _with_less(
        self, prompt: Prompt, asked_tokens: int, trial: _Trial, refusal: ErrorResponse | None, attempt: RequestAttempt
    ) -> _Trial | None:
        """Returns what to try after a refusal; None if it isn't about the room, or if the prompt is too long."""
        if refusal is None:
            return None
        reason, words = meaning(refusal)
        if refusal.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            # It may be a proxy's word on bytes.
            words = f"request too large: {words}"
        read = read_refusal(reason, words, asked_tokens, self._estimate.prompt_tokens(prompt), trial.room)
        attempt.window_tokens = read.room.window_tokens if read else None
        if read is None or read.output_tokens is None:
            return None
        if trial.refusals == MAX_TRIES:
            # Less output didn't help, and such a text isn't the reason either.
            attempt.is_short = self._estimate.conversation_tokens(prompt) < SHORT_TOKENS
            return None
        log.info(
            "%s: limit of output refused, asking again: tokens=%d next=%d", self.model, asked_tokens, read.output_tokens
        )
        return _Trial(read.room, read.output_tokens, trial.refusals + 1)

    def _remember(self, answered: _Answered) -> None:
        """Remembers the server's limits, and says once which setting exceeds them."""
        known, learned = self._room, answered.trial.room
        self._room = learned
        if answered.has_too_little_room and (known.output_tokens, known.window_tokens) != (
            learned.output_tokens,
            learned.window_tokens,
        ):
            log.warning(
                "%s: BOT_MAX_OUTPUT_TOKENS is too large for this model: it took %d of %d, which is remembered",
                self.model,
                answered.output_tokens,
                answered.api.text_tokens,
            )

    async def _known_levels(self, prompt: Prompt) -> EffortLevels:
        """Returns which levels of effort the model takes. The vendor is asked once, when an answer needs one."""
        ask = self._api.effort_levels
        if self._levels is not None or prompt.effort is Effort.NORMAL or ask is None:
            return self._levels or EffortLevels()
        try:
            async with asyncio.timeout(LEVELS_WITHIN_S):
                return await ask(self._name)
        except Exception as error:
            log.info("%s: levels of effort not known: %s", self.model, type(error).__name__)
            return EffortLevels()

    def _log_refused(self, refused: Collection[OptionalParameter]) -> None:
        names = ", ".join(sorted(parameter.name.lower() for parameter in refused))
        is_missed = not {*WEB, OptionalParameter.TOOLS}.isdisjoint(refused)
        log.log(logging.WARNING if is_missed else logging.INFO, "%s: asking again without %s", self.model, names)


def _completed(
    completion: Completion,
    of_other_kinds: tuple[str, ...],
    refused: Sequence[tuple[str, FileFault]],
    used: Sequence[Usage],
) -> Completion:
    """Returns a completion that says which files were left out and why. `used`: by requests about single files."""
    usage = completion.usage
    return replace(
        completion,
        usage=usage if usage is None else sum(used, usage),
        left_out=(*of_other_kinds, *(name for name, _ in refused)),
        refused_files={name: fault for name, fault in refused if fault is not FileFault.KIND},
    )


def _unused_by(prompt: Prompt) -> frozenset[OptionalParameter]:
    """Returns the parameters that a prompt doesn't need, whatever an error seems to say of them."""
    web = frozenset() if prompt.web_search else WEB
    return web if prompt.tools else web | OF_TOOLS


def _without_dispensable(prompt: Prompt) -> Prompt:
    """Returns a prompt whose tools are all dispensable without them; any other as it is.

    A prompt that has other tools pays their price anyway.
    """
    return replace(prompt, tools=()) if all(tool.is_dispensable for tool in prompt.tools) else prompt


def content_of(
    turn: Turn, media_part: Callable[[Media], dict[str, Any]], text_type: str = "text"
) -> str | list[dict[str, Any]]:
    """Returns a turn's content in the form that all APIs share: files come before the text about them."""
    if not turn.media:
        return turn.whole
    return [*(media_part(media) for media in turn.media), {"type": text_type, "text": turn.whole}]


def parts_for(turn: Turn, is_own: Callable[[Opaque], bool]) -> list[TurnPart]:
    """Returns the parts of a turn to send: those that are opaque to others if `is_own` finds any, else all others."""
    own: list[TurnPart] = [part for part in turn.parts if isinstance(part, Opaque) and is_own(part)]
    neutral: list[TurnPart] = [part for part in turn.parts if not isinstance(part, Opaque)]
    if not own and not neutral and turn.text:
        neutral = [TextPart(turn.text)]
    return own or neutral


async def _deltas_of(
    response: httpx2.Response, reader: AnswerReader, attempt: RequestAttempt
) -> AsyncGenerator[Delta, None]:
    """Yields what a response says, and closes it."""
    async with aclosing(response), aclosing(_encodable(_read(response, reader, attempt))) as deltas:
        attempt.connected = True
        async for delta in deltas:
            yield delta


async def _encodable(deltas: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
    """Yields `deltas` with their text in a form that UTF-8 can encode."""
    pairing = Pairing()
    async with aclosing(deltas):
        async for delta in deltas:
            match delta:
                case str():
                    if text := pairing.add(delta):
                        yield text
                case _:
                    yield delta
    if text := pairing.end():
        yield text


def _written_chars(delta: Delta) -> int:
    return len(delta) if isinstance(delta, str) else delta.chars if isinstance(delta, Thinking) else 0


async def _read(
    response: httpx2.Response, reader: AnswerReader, attempt: RequestAttempt
) -> AsyncGenerator[Delta, None]:
    media_type = response.headers.get("Content-Type", "").partition(";")[0].strip()
    body: AsyncIterator[bytes] = response.aiter_bytes()
    if media_type == "application/json":
        # Also the answer of a server that cannot stream, or an error under a status of 200; but some call streams so.
        beginning, body = await _peeked(body)
        if beginning.lstrip(_BLANK)[:1] not in _STREAM_BEGINS:
            known = len(reader.beside_text)
            attempt.has_begun = beginning.lstrip(_BLANK)[:1] in (b"{", b"")
            answer = json.loads(await whole(body))
            if not isinstance(answer, dict) or not (answer.get(reader.answer_field) is not None or answer.get("error")):
                raise attempt.no_answer(answer)
            text = reader.read_response(answer)
            if whole_text := (text if isinstance(text, str) else "") + reader.withheld_text():
                yield whole_text
            for found in reader.beside_text[known:]:
                yield found
            return
    attempt.has_begun = True
    events = read_aws_events(body) if media_type == AWS_EVENTS else read_events(body)
    has_events = False
    async with aclosing(_read_stream(events, reader, attempt)) as deltas:
        async for delta in deltas:
            has_events = True
            if delta:
                yield delta
    if rest := reader.withheld_text():
        yield rest
    if not has_events and media_type not in ("text/event-stream", AWS_EVENTS):
        raise attempt.failed(EndReason.UNREADABLE, f"no stream of events but {media_type or 'no content type'}")


async def _read_stream(
    stream: AsyncGenerator[Any, None], reader: AnswerReader, attempt: RequestAttempt
) -> AsyncGenerator[Delta, None]:
    """Yields what each event says, "" for most."""
    try:
        async with aclosing(stream) as events, aclosing(_expected(events, reader)) as expected:
            async for event in expected:
                for delta in _deltas(reader, event):
                    yield delta
                if reader.is_complete or event == DONE:
                    await _drain(events)
                    break
    except Exception:
        # After the terminal marker the answer is whole, however the vendor hangs up.
        if reader.finish_reason is None:
            raise


async def _expected(events: AsyncGenerator[Any, None], reader: AnswerReader) -> AsyncGenerator[Any, None]:
    """Yields events; of those behind the finish reason only what comes soon, while comments may come forever."""
    async for event in events:
        yield event
        if reader.finish_reason is not None:
            break
    while True:
        try:
            async with asyncio.timeout(REST_S):
                while (event := await anext(events)) == COMMENT:
                    pass
        except (StopAsyncIteration, TimeoutError):
            return
        yield event


async def _peeked(body: AsyncIterator[bytes]) -> tuple[bytes, AsyncIterator[bytes]]:
    """Returns a body's beginning, up to the first chunk that is not blank, and all of the body."""
    beginning = b""
    async for chunk in body:
        beginning += chunk
        if beginning.lstrip(_BLANK) or len(beginning) > 4096:
            break

    async def again() -> AsyncIterator[bytes]:
        yield beginning
        async for chunk in body:
            yield chunk

    return beginning, again()


def _deltas(reader: AnswerReader, event: Any) -> Iterator[Delta]:
    """Yields what an event says, or a sign of work where it says nothing and the model is at work."""
    if event == DONE:
        reader.read_done()
        yield ""
        return
    was_at_work, known = reader.at_work, len(reader.beside_text)
    delta = reader.read_event(event)
    if not delta and (was_at_work or reader.at_work):
        delta = Thinking(ended=not reader.at_work)
    yield delta
    yield from reader.beside_text[known:]


async def _drain(events: AsyncGenerator[Any, None]) -> None:
    """Reads the rest of the response if it comes at once, which keeps the connection for the next request."""
    with suppress(TimeoutError):
        async with asyncio.timeout(0.1):
            async for _ in events:
                pass
