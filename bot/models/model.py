"""The models that write answers: what they promise, and the one class for all vendors' models.

A `VendorModel` sends requests to an API (api.py), which has what differs between APIs, and yields the events that the
API's reader finds. Here is what is the same for all vendors: what a server refuses of a request, images that a model
can't take, and the rule that an answer without its terminal marker is no answer.

Tool calls come after that marker, too: a call with half of its arguments can't be undone.
"""

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Protocol

import httpx2

from bot.errors import EndReason, FileFault, ProviderError
from bot.models.api import Api
from bot.models.events import (
    Completion,
    Feature,
    FinishReason,
    StreamEvent,
    TextPart,
    Thinking,
)
from bot.models.failures import ErrorResponse, RequestAttempt, error_response, is_about_output, meaning
from bot.models.parameters import (
    LEVELS,
    MAX_REFUSALS,
    MAX_REFUSED_TOOLS,
    MISSED,
    NO_SUCH_API,
    OF_TOOLS,
    WEB,
    EffortLevels,
    OptionalParameter,
    RefusedParameters,
    is_about_api,
    is_about_form,
    is_about_items,
    most_tools,
    named_parameters,
    refused_tools,
)
from bot.models.prompt import (
    PDF,
    Effort,
    Media,
    Prompt,
    TokenEstimate,
    ToolResult,
    Turn,
    instructed,
    item_hashes,
    newest_media_within,
    prompt_texts,
    without_items,
    without_media,
)
from bot.models.reading import deltas_of
from bot.models.refused_files import SMALLER_PIXELS, RefusedFiles, refused_files, with_images_within
from bot.models.room import MAX_TRIES, SHORT_TOKENS, Room, RoomRefusal, read_refusal
from bot.models.streams import AnswerReader

log = logging.getLogger(__name__)


class Provider(Protocol):
    """One model of one vendor."""

    model: str
    """As the settings name it: openai/gpt-6-luna."""

    def stream(self, prompt: Prompt) -> AsyncGenerator[StreamEvent, None]:
        """Yields the answer's deltas (never empty), signs of work and citations, and one Completion at the end.

        If the model calls tools, what the request with their results repeats comes before it: the whole text, the
        calls and the opaque items.

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


MAX_NOTED = 20
MIN_SEARCHABLE = 10
"""Fewer tools are offered all at once, whatever their definitions' length."""
_NOT_IN_NAMES = re.compile(r"[^a-z0-9]")
MAX_REFUSED_FILES = 500
MAX_REFUSED_ITEMS = 5_000
MAX_PAUSES = 4
"""How often a paused answer goes on. Each time, the whole conversation is input again."""
_FEATURES: Mapping[OptionalParameter, Feature] = {
    OptionalParameter.TOOLS: "tools",
    OptionalParameter.WEB_SEARCH: "web search",
}
MAX_FAULTS = 3
"""After so many failures of the server in a row, one question is asked again as if the request were the reason."""
DESCRIBED_WITHIN_S = 2.0
"""How long a server may take to describe a model. The first answer that needs the description waits."""


@dataclass(frozen=True, slots=True)
class _Trial:
    """One request, and what it takes for granted of the server: true if the request succeeds."""

    api: Api
    prompt: Prompt
    """Without files that were refused."""
    parameters: frozenset[OptionalParameter]
    """The optional parameters that the request has."""
    levels: EffortLevels
    room: Room
    output_tokens: int
    """The request's limit."""
    refused_tools: frozenset[str]
    """The hashes of definitions that the model refuses, which the request doesn't have."""
    max_tools: int | None
    """The most tools that the model takes; None: not known."""
    refusals: int = 0
    """How many requests were refused before, for their form or their files."""
    room_refusals: int = 0
    """How many requests were refused before, for their room."""
    refused_items: frozenset[int] = frozenset()
    """The hashes of the model's own items, such as thinking, that the prompt had before they were refused."""
    dropped: frozenset[OptionalParameter] = frozenset()
    """What this request leaves out of the first one."""
    is_sure: bool = True
    """Whether the refusals named what is left out, or only one thing is left out."""
    max_pixels: int = 0
    """The most pixels of an image's side, to which larger images were reduced; 0: they are as they were."""
    left_out: tuple[tuple[Media, FileFault], ...] = ()
    """Files of the first request, each with the reason."""
    said: str = ""
    """The vendor's sentence about what is left out."""

    @property
    def has_too_little_room(self) -> bool:
        """Whether an answer's text may be shorter than the settings say."""
        return self.output_tokens < self.api.text_tokens

    @property
    def comes_whole(self) -> bool:
        """Whether the answer comes at once, when it is complete."""
        return OptionalParameter.STREAM in self.missing

    @property
    def missing(self) -> frozenset[OptionalParameter]:
        """What the prompt could use, and the request doesn't have."""
        return _used_by(self.prompt, self.api) - self.parameters

    @property
    def sent(self) -> Prompt:
        """The prompt as the request has it."""
        prompt = instructed(self.prompt) if OptionalParameter.SYSTEM_ROLE in self.missing else self.prompt
        tools = [tool for tool in prompt.tools if tool.definition_hash not in self.refused_tools][: self.max_tools]
        return replace(prompt, tools=tuple(tools) if self.missing.isdisjoint(_TOOLS) else ())

    @property
    def effort(self) -> str:
        """The level of effort, in the vendor's terms."""
        # Such a model takes tools only if it doesn't reason.
        may_reason = OptionalParameter.TOOLS_WITH_REASONING not in self.missing or not self.sent.tools
        return (
            self.levels.level(self.prompt.effort) if OptionalParameter.EFFORT in self.parameters and may_reason else ""
        )

    @property
    def sent_parameters(self) -> frozenset[OptionalParameter]:
        """The optional parameters in the request: effort only if it has a level."""
        return self.parameters if self.effort else self.parameters - {OptionalParameter.EFFORT}

    @property
    def refused(self) -> tuple[Feature, ...]:
        """What the prompt asks for and the model refused."""
        refused = tuple(feature for parameter, feature in _FEATURES.items() if parameter in self.missing)
        if self.missing.isdisjoint(_TOOLS) and len(self.sent.tools) < len(self.prompt.tools):
            refused = ("some tools", *refused)
        is_missed = self.prompt.effort is Effort.THOROUGH and not self.effort
        return (*refused, "thinking longer") if is_missed else refused

    def without(self, dropped: frozenset[OptionalParameter], *, is_sure: bool) -> "_Trial":
        """Returns the request that follows this one, which was refused."""
        return replace(
            self,
            parameters=self.parameters - dropped,
            dropped=self.dropped | dropped,
            is_sure=self.is_sure and is_sure,
            refusals=self.refusals + 1,
        )

    def without_files(self, refused: RefusedFiles) -> "_Trial":
        """Returns the request that follows this one, which was refused for its files, or for its PDFs alone."""
        files = [media for turn in self.prompt.turns for media in turn.media]
        pdfs = [media for media in files if media.media_type == PDF] if refused.names_pdfs else []
        going = pdfs or files
        prompt = without_media(self.prompt, lambda media: media not in going)[0]
        left_out = (*self.left_out, *((media, refused.fault) for media in going))
        return replace(self, prompt=prompt, left_out=left_out, refusals=self.refusals + 1)


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
        self._learned = RefusedParameters()
        """Remembered while the process runs, as is all that follows."""
        self._refused_tools: frozenset[str] = frozenset()
        self._max_tools: int | None = None
        self._max_pixels = 0
        """The most of an image's side that the model takes; 0: as many as images have."""
        self._refused_files: dict[frozenset[int], FileFault] = {}
        """Why files were refused together, by the hashes of their base64. Which of them was bad isn't known, so those
        that are asked about again without the others are sent."""
        self._refused_items: tuple[int, ...] = ()
        self._room = Room()
        """How many tokens the server takes. The log says once what was learned of that."""
        self._is_described = False
        """Whether the server has been asked for its description of the model."""
        self._faults = 0
        """How often in a row the server said that it failed."""
        self._estimate = TokenEstimate((self.model,))
        self._noted: set[tuple[str, str]] = set()
        """What the log has named of the server's: unknown ends, and other models."""
        self._levels = EffortLevels()

    async def stream(self, prompt: Prompt) -> AsyncGenerator[StreamEvent, None]:
        """Yields the events of one answer, which the vendor may pause. `_after` has what follows a refused request.

        An answer without a word and without a tool call fails as EMPTY or ONLY_THOUGHT.
        """
        of_other_kinds: tuple[str, ...] = ()
        refused: dict[str, FileFault] = {}
        if any(turn.media for turn in prompt.turns):
            prompt, of_other_kinds, refused = await self._with_files_that_fit(prompt)
        parts = [part for turn in prompt.turns for part in turn.parts]
        texts = [*prompt_texts(prompt), *(part.text for part in parts if isinstance(part, TextPart | ToolResult))]
        with RequestAttempt(self.model, self._api_key, texts, self._access) as attempt:
            trial, reader = await self._first(prompt), None
            pauses = 0
            while True:
                if trial.comes_whole:
                    # A sign of work: until then, nothing else comes.
                    yield Thinking()
                response, trial = await self._send(trial, attempt)
                if response is None:
                    continue
                reader = reader or _reader(trial, attempt)
                try:
                    async with aclosing(deltas_of(response, reader, attempt)) as deltas:
                        async for delta in deltas:
                            attempt.received(delta)
                            yield delta
                except ProviderError:
                    # Some servers refuse a request in the stream.
                    following = None if attempt.written_chars else await self._after(trial, attempt.refusal, attempt)
                    if following is None:
                        raise
                    trial, reader = following, None
                    continue
                if reader.finish_reason is not FinishReason.PAUSED or pauses == MAX_PAUSES:
                    break
                pauses += 1
                trial = _longer(trial, Turn("assistant", "", parts=tuple(reader.opaque_items())))
                reader.go_on()
            for event in reader.read_end():
                yield event
            finish_reason = self._finish_reason(attempt, reader)
            self._remember(trial)
            self._note_answer(trial, reader)
            yield self._completion(trial, reader, finish_reason, of_other_kinds, refused)

    async def _with_files_that_fit(self, prompt: Prompt) -> tuple[Prompt, tuple[str, ...], dict[str, FileFault]]:
        """Returns the prompt, and the files that are left out: of kinds that the API takes none of, and why others."""
        accepted, of_other_kinds = without_media(prompt, self._api.accepts)
        fit = newest_media_within(accepted.turns, self._api.max_media_bytes)
        fitting, too_large = without_media(accepted, lambda media: media in fit)
        if self._max_pixels:
            fitting = await with_images_within(fitting, self._max_pixels)
        offered, refused = self._without_refused(fitting)
        return offered, of_other_kinds, refused | dict.fromkeys(too_large, FileFault.TOO_LARGE)

    def _without_refused(self, prompt: Prompt) -> tuple[Prompt, dict[str, FileFault]]:
        """Returns the prompt without files that were refused before, and why, by their names."""
        files = {hash(media.base64): media.name for turn in prompt.turns for media in turn.media}
        known = {
            one: fault
            for together, fault in self._refused_files.items()
            if together <= files.keys()
            for one in together
        }
        kept, _ = without_media(prompt, lambda media: hash(media.base64) not in known)
        return kept, {name: known[one] for one, name in files.items() if one in known}

    def _completion(
        self,
        trial: _Trial,
        reader: AnswerReader,
        reason: FinishReason,
        of_other_kinds: Sequence[str],
        refused: Mapping[str, FileFault],
    ) -> Completion:
        """Returns how an answer ended, and what was left out: files of other kinds, and those that were refused."""
        faults = {**refused, **{media.name: fault for media, fault in trial.left_out}}
        return Completion(
            self.model,
            reason,
            reader.usage,
            left_out=(*of_other_kinds, *refused, *(media.name for media, _ in trial.left_out)),
            refused=trial.refused,
            effort=trial.effort,
            thinks_longer=OptionalParameter.EFFORT not in self._learned.refused
            and self._levels.level(Effort.THOROUGH) != "",
            max_output_tokens=trial.output_tokens if trial.has_too_little_room else None,
            window_tokens=self._room.window_tokens,
            refused_files={name: fault for name, fault in faults.items() if fault is not FileFault.KIND},
            unparsed=reader.unparsed,
            refusal=trial.said,
        )

    def _finish_reason(self, attempt: RequestAttempt, reader: AnswerReader) -> FinishReason:
        """Returns why the model stopped. Raises ProviderError if that makes no answer."""
        if reader.finish_reason is None:
            raise attempt.failed(EndReason.CUT, "the stream ended without its terminal marker")
        # A model that would still go on has used up what one answer may take.
        paused = reader.finish_reason is FinishReason.PAUSED
        reason = FinishReason.LENGTH if paused else reader.finish_reason
        has_text = bool(attempt.text.strip())
        if reader.unknown_end is not None:
            self._note_once("unknown finish reason, its text is taken as whole:", reader.unknown_end)
            if not has_text and reason is not FinishReason.TOOLS:
                raise attempt.failed(EndReason.CUT, f"finish reason {reader.unknown_end}")
        if not has_text and reason is not FinishReason.TOOLS:
            failure = EndReason.ONLY_THOUGHT if reason is FinishReason.LENGTH else EndReason.EMPTY
            raise attempt.failed(failure, f"no text, finish reason {reason}")
        return reason

    def _note_answer(self, trial: _Trial, reader: AnswerReader) -> None:
        """Notes what a response says of its model: at which effort it thinks by itself, and whether it is another."""
        if not trial.effort and reader.effort in LEVELS:
            self._levels = replace(self._levels, own=reader.effort)
        asked, answered = (_NOT_IN_NAMES.sub("", name.casefold()) for name in (self._name, reader.answered_by))
        # A name may stand for a dated version, or be that of a cloud.
        if answered and answered not in asked and asked not in answered:
            self._note_once("another model answers:", reader.answered_by)

    def _note_once(self, what: str, name: str) -> None:
        """Says in the log once which name a server has for something."""
        name = name if re.fullmatch(r"[\w .:/@-]{0,80}", name) else "…"
        if (what, name) not in self._noted and len(self._noted) < MAX_NOTED:
            self._noted.add((what, name))
            log.warning("%s: %s %r", self.model, what, name)

    async def _first(self, prompt: Prompt) -> _Trial:
        """Returns the first request for an answer."""
        api, prompt = self._api, without_items(prompt, frozenset(self._refused_items))
        if prompt.effort is not Effort.NORMAL and api.describes_effort:
            self._room = await self._described_room(self._room)
        parameters = self._learned.of(_used_by(prompt, api))
        output_tokens = self._room.for_output(api.wanted_tokens(prompt.effort), self._estimate.prompt_tokens(prompt))
        return _Trial(
            api,
            prompt,
            parameters,
            levels=self._levels,
            room=self._room,
            output_tokens=output_tokens,
            refused_tools=self._refused_tools,
            max_tools=self._max_tools,
        )

    async def _send(self, trial: _Trial, attempt: RequestAttempt) -> tuple[httpx2.Response | None, _Trial]:
        """Returns the response to a request, or to one that follows it, and the request that was accepted.

        No response: the request that follows is the first one whose answer comes whole, and isn't sent yet.
        """
        began_whole = trial.comes_whole
        while True:
            body = trial.api.request(self._name, trial.sent, trial.parameters, trial.output_tokens, trial.effort)
            try:
                return await trial.api.post(body), trial
            except Exception as error:
                following = await self._after(trial, error_response(error), attempt)
                if following is None:
                    raise
                trial = following
                if trial.comes_whole and not began_whole:
                    return None, trial

    async def _after(self, trial: _Trial, refusal: ErrorResponse | None, attempt: RequestAttempt) -> _Trial | None:
        """Returns the request that follows a refused one; None if none does."""
        if refusal is None:
            return None
        following = await self._changed(trial, refusal, attempt)
        if following is None:
            return None
        said = attempt.said(refusal)
        log.info("%s: request refused, asking again: %s", self.model, said)
        return replace(following, said=said)

    async def _changed(self, trial: _Trial, refusal: ErrorResponse, attempt: RequestAttempt) -> _Trial | None:
        """Returns a refused request with another API, room, files or form, by what the refusal is about.

        Returns None if the refusal is about something else, or if as many requests were refused as may be.
        """
        reason, words = meaning(refusal)
        self._faults += reason is EndReason.SERVER_ERROR or is_about_output(refusal)
        attempt.window_tokens = None
        named = named_parameters(refusal, trial.sent_parameters)
        if trial.api.other is not None and not named and is_about_api(refusal):
            return self._at_other_api(trial)
        if refusal.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            # It may be a proxy's word on bytes.
            words = f"request too large: {words}"
        items = item_hashes(trial.prompt)
        if items and named.isdisjoint(MISSED) and is_about_items(refusal):
            # Thinking is bound to the conversation, the account and the key with which it was made.
            return replace(trial, prompt=without_items(trial.prompt, items), refused_items=items)
        room = read_refusal(reason, words, trial.output_tokens)
        files = refused_files(refusal) if any(turn.media for turn in trial.prompt.turns) else None
        names_files = files is not None and files.names_files
        if room and not names_files:
            smaller = await self._with_less_room(trial, room, attempt)
            if smaller is not None:
                return smaller
        if trial.refusals >= MAX_REFUSALS:
            return None
        if files and (names_files or not named):
            return await self._with_fewer_files(trial, refusal, files)
        if room is None:
            return self._in_another_form(trial, refusal, named)
        return self._without_long_tools(trial, room) if room.is_of_window else None

    async def _with_fewer_files(self, trial: _Trial, refusal: ErrorResponse, refused: RefusedFiles) -> _Trial:
        """Returns the request with smaller images, or without files."""
        if refused.names_files and refused.fault is not FileFault.KIND and not trial.max_pixels:
            max_pixels = refused.max_pixels or SMALLER_PIXELS
            is_halved = refused.fault is FileFault.TOO_LARGE and not refused.max_pixels
            smaller = await with_images_within(trial.prompt, max_pixels, is_halved=is_halved)
            if smaller != trial.prompt:
                return replace(trial, prompt=smaller, max_pixels=max_pixels, refusals=trial.refusals + 1)
        following = trial.without_files(refused)
        if refused.names_files or trial.refusals + 1 < MAX_REFUSALS or not is_about_form(refusal, is_named=False):
            return following
        bare = self._learned.left_out_after(trial.parameters, frozenset(), is_last=True)
        return replace(following.without(bare, is_sure=False), refusals=MAX_REFUSALS)

    def _in_another_form(
        self, trial: _Trial, refusal: ErrorResponse, named: frozenset[OptionalParameter]
    ) -> _Trial | None:
        """Returns the request without what is refused of its form; None if something else is."""
        if trial.api is not self._api and not named and refusal.status in NO_SUCH_API:
            log.warning("%s: the server has no other API, asking without reasoning", self.model)
            return self._at(self._api, trial, frozenset({OptionalParameter.TOOLS_WITH_REASONING}))
        is_chance = is_about_output(refusal)
        if is_chance and self._faults < MAX_FAULTS:
            return None
        put_back = trial.parameters & self._learned.untried
        is_known = bool(named or put_back or trial.dropped or self._faults == MAX_FAULTS)
        if not is_about_form(refusal, is_named=is_known):
            return None
        tools = frozenset() if named.isdisjoint(_TOOLS) else refused_tools(refusal, trial.sent.tools)
        if tools and len(trial.refused_tools) < MAX_REFUSED_TOOLS:
            left_out = [tool.name for tool in trial.sent.tools if tool.definition_hash in tools]
            log.warning("%s: tools refused, asking again without them: %s", self.model, ", ".join(left_out))
            return replace(trial, refused_tools=trial.refused_tools | tools)
        most = None if named.isdisjoint(_TOOLS) else most_tools(refusal, len(trial.sent.tools))
        if most is not None:
            log.warning("%s: too many tools, asking again with the first %d", self.model, most)
            return replace(trial, max_tools=most, refusals=trial.refusals + 1)
        if trial.api.other is not None and OptionalParameter.TOOLS_WITH_REASONING in named:
            log.warning("%s: this API refuses tools, trying the server's other API", self.model)
            return self._at(trial.api.other, trial)
        is_last = trial.refusals + 1 == MAX_REFUSALS
        if named == {OptionalParameter.EFFORT} and not is_last:
            levels = trial.levels.without(trial.effort, refusal)
            nearest = levels.level(trial.prompt.effort) or "the model's default"
            log.info("%s: effort %s refused, asking again with %s", self.model, trial.effort, nearest)
            return replace(trial, levels=levels, refusals=trial.refusals + 1)
        dropped = self._learned.left_out_after(trial.parameters, named, is_last=is_last)
        if dropped:
            self._log_dropped(dropped)
        is_sure = not is_chance and (dropped == named or (len(dropped) == 1 and self._faults < MAX_FAULTS))
        return trial.without(dropped, is_sure=is_sure) if dropped else None

    def _at_other_api(self, trial: _Trial) -> _Trial | None:
        """Returns the request at the server's other API; None if that API was asked before, and refused it."""
        if trial.api.other is None or OptionalParameter.TOOLS_WITH_REASONING in trial.dropped:
            return None
        log.warning("%s: this API doesn't have the model, trying the server's other API", self.model)
        return self._at(trial.api.other, trial)

    def _at(self, api: Api, trial: _Trial, dropped: frozenset[OptionalParameter] = frozenset()) -> _Trial:
        """Returns the same request at another API."""
        dropped |= trial.dropped
        parameters = self._learned.of(_used_by(trial.prompt, api)) - dropped
        wanted_tokens = api.wanted_tokens(trial.prompt.effort)
        output_tokens = trial.room.for_output(wanted_tokens, self._estimate.prompt_tokens(trial.prompt))
        return replace(trial, api=api, parameters=parameters, dropped=dropped, output_tokens=output_tokens)

    async def _with_less_room(self, trial: _Trial, read: RoomRefusal, attempt: RequestAttempt) -> _Trial | None:
        """Returns the request with less room for output; None if the prompt is too long."""
        prompt_tokens = self._estimate.prompt_tokens(trial.prompt)
        room = replace(trial.room, window_tokens=read.window_tokens or trial.room.window_tokens)
        if room.window_tokens is None:
            room = await self._described_room(room)
        # A prompt that surely fits is not the reason.
        is_short = self._estimate.conversation_tokens(trial.prompt) < SHORT_TOKENS
        fits = prompt_tokens < room.window_tokens // 2 if room.window_tokens else is_short
        is_limit = read.names_output or (fits and not read.counts_more_than(prompt_tokens + trial.output_tokens))
        is_first = trial.room_refusals == 0
        limit = room.after(read, trial.output_tokens, prompt_tokens, is_first=is_first) if is_limit else None
        if limit is None or trial.room_refusals == MAX_TRIES:
            # Less output didn't help, and such a text isn't the reason either.
            attempt.is_short = is_limit and is_short
            if read.is_of_window:
                attempt.window_tokens = room.window_tokens or read.longest_prompt
                self._room = replace(self._room, window_tokens=room.window_tokens)
            return None
        log.info("%s: limit of output refused, asking again: tokens=%d next=%d", self.model, trial.output_tokens, limit)
        if room.window_tokens is None or trial.room_refusals:
            room = replace(room, output_tokens=limit)
        return replace(trial, room=room, output_tokens=limit, room_refusals=trial.room_refusals + 1)

    def _without_long_tools(self, trial: _Trial, read: RoomRefusal) -> _Trial | None:
        """Returns the request without tools if their definitions are most of a prompt that is too long.

        Tools that nobody misses are few, and no reason.
        """
        definitions_tokens = self._estimate.definitions_tokens(trial.sent.tools)
        prompt_tokens = self._estimate.prompt_tokens(replace(trial.prompt, tools=trial.sent.tools))
        is_most = definitions_tokens > max(SHORT_TOKENS, prompt_tokens // 2)
        if OptionalParameter.TOOLS not in trial.parameters or not is_most:
            return None
        log.warning("%s: tools are too long for this model, asking again without them", self.model)
        room = replace(self._room, window_tokens=read.longest_prompt or trial.room.window_tokens)
        shorter = replace(trial.prompt, tools=())
        wanted_tokens = trial.api.wanted_tokens(trial.prompt.effort)
        output_tokens = room.for_output(wanted_tokens, self._estimate.prompt_tokens(shorter))
        # Fewer tools may fit into the window: the next request has them again.
        without = trial.without(frozenset({OptionalParameter.TOOLS}), is_sure=False)
        return replace(without, room=room, output_tokens=output_tokens)

    async def _described_room(self, room: Room) -> Room:
        """Returns the room with what the server says of the model. The server is asked once."""
        if self._is_described or self._api.described is None:
            return room
        self._is_described = True
        try:
            async with asyncio.timeout(DESCRIBED_WITHIN_S):
                described = await self._api.described(self._name)
        except Exception as error:
            log.info("%s: window not known: %s", self.model, type(error).__name__)
            return room
        self._levels = self._levels.told_by(described)
        return room.told_by(described)

    def _remember(self, trial: _Trial) -> None:
        """Remembers what the server takes, and says once which setting exceeds its limits."""
        self._faults = 0
        self._api = trial.api
        self._refused_tools, self._max_tools = trial.refused_tools, trial.max_tools
        self._refused_items = (*self._refused_items, *trial.refused_items)[-MAX_REFUSED_ITEMS:]
        self._learned = self._learned.after(trial.parameters, trial.dropped, is_sure=trial.is_sure)
        self._levels = trial.levels
        self._max_pixels = trial.max_pixels or self._max_pixels
        if trial.is_sure:
            found = {hash(media.base64): fault for media, fault in trial.left_out if fault is not FileFault.TOGETHER}
            together = {frozenset(found): next(iter(found.values()))} if found else {}
            self._refused_files = dict([*self._refused_files.items(), *together.items()][-MAX_REFUSED_FILES:])
        known, self._room = self._room, trial.room
        if trial.has_too_little_room and known != trial.room:
            log.warning(
                "%s: BOT_MAX_OUTPUT_TOKENS is too large for this model: it took %d of %d, which is remembered",
                self.model,
                trial.output_tokens,
                trial.api.text_tokens,
            )

    def _log_dropped(self, dropped: Collection[OptionalParameter]) -> None:
        names = ", ".join(sorted(parameter.name.lower() for parameter in dropped))
        is_missed = not {*WEB, OptionalParameter.TOOLS}.isdisjoint(dropped)
        log.log(logging.WARNING if is_missed else logging.INFO, "%s: asking again without %s", self.model, names)


def _reader(trial: _Trial, attempt: RequestAttempt) -> AnswerReader:
    """Returns what reads the response to a request."""
    # A call can only be one of tools that the request offered.
    reader = trial.api.reader(attempt, trial.sent, trial.output_tokens)
    reader.marks.may_be_left = trial.api.may_leave_marks
    return reader


def _longer(trial: _Trial, paused: Turn) -> _Trial:
    """Returns the request with which a paused answer goes on."""
    longer = replace(trial.prompt, turns=(*trial.prompt.turns, paused))
    return replace(trial, prompt=longer, refusals=0, room_refusals=0)


_TOOLS = frozenset((OptionalParameter.TOOLS, OptionalParameter.DISPENSABLE_TOOLS))


def _used_by(prompt: Prompt, api: Api) -> frozenset[OptionalParameter]:
    """Returns the parameters that a prompt needs of an API, whatever an error seems to say of the others."""
    # A prompt that has other tools pays their price anyway.
    is_dispensable = all(tool.is_dispensable for tool in prompt.tools)
    unused = {OptionalParameter.TOOLS if is_dispensable else OptionalParameter.DISPENSABLE_TOOLS}
    for parameters, is_used in (
        (OF_TOOLS, prompt.tools),
        (WEB, prompt.web_search),
        ({OptionalParameter.SYSTEM_ROLE, OptionalParameter.CACHE_BREAKPOINT}, prompt.system),
        (MISSED, any(turn.role == "assistant" for turn in prompt.turns)),
        ({OptionalParameter.EFFORT}, prompt.effort is not Effort.NORMAL),
        ({OptionalParameter.SAFETY_ID}, prompt.asker),
        # A server that only resembles the vendor's may ignore a tool of an unknown type.
        ({OptionalParameter.TOOL_SEARCH}, len(prompt.tools) >= MIN_SEARCHABLE and not api.may_leave_marks),
    ):
        unused |= set() if is_used else parameters
    return api.optional_parameters - unused
