"""A request to a model, and what is learned about its server from the requests that it accepts.

A `Trial` is one request with what it takes for granted about the server. If the request succeeds, `Learned` remembers
that for the following ones. A request that is refused is changed first: remedies.py has how.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

from bot.errors import FileFault
from bot.models.api import Api
from bot.models.events import Feature
from bot.models.parameters import MISSED, OF_TOOLS, WEB, EffortLevels, OptionalParameter, RefusedParameters
from bot.models.prompt import (
    PDF,
    Effort,
    Media,
    Prompt,
    TokenEstimate,
    instructed,
    newest_media_within,
    without_items,
    without_media,
)
from bot.models.refused_files import RefusedFiles, with_images_within
from bot.models.room import Room

log = logging.getLogger(__name__)

MIN_SEARCHABLE = 10
"""Fewer tools are offered all at once, whatever their definitions' length."""
MAX_REFUSED_FILES = 500
MAX_REFUSED_ITEMS = 5_000
DESCRIBED_WITHIN_S = 2.0
"""How long a server may take to describe a model. The first answer that needs the description waits."""
TOOLS = frozenset((OptionalParameter.TOOLS, OptionalParameter.DISPENSABLE_TOOLS))
_FEATURES: Mapping[OptionalParameter, Feature] = {
    OptionalParameter.TOOLS: "tools",
    OptionalParameter.WEB_SEARCH: "web search",
}


@dataclass(frozen=True, slots=True)
class Trial:
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
        return used_by(self.prompt, self.api) - self.parameters

    @property
    def sent(self) -> Prompt:
        """The prompt as the request has it."""
        prompt = instructed(self.prompt) if OptionalParameter.SYSTEM_ROLE in self.missing else self.prompt
        tools = [tool for tool in prompt.tools if tool.definition_hash not in self.refused_tools][: self.max_tools]
        return replace(prompt, tools=tuple(tools) if self.missing.isdisjoint(TOOLS) else ())

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
        if self.missing.isdisjoint(TOOLS) and len(self.sent.tools) < len(self.prompt.tools):
            refused = ("some tools", *refused)
        is_missed = self.prompt.effort is Effort.THOROUGH and not self.effort
        return (*refused, "thinking longer") if is_missed else refused

    def without(self, dropped: frozenset[OptionalParameter], *, is_sure: bool) -> "Trial":
        """Returns the request that follows this one, which was refused."""
        return replace(
            self,
            parameters=self.parameters - dropped,
            dropped=self.dropped | dropped,
            is_sure=self.is_sure and is_sure,
            refusals=self.refusals + 1,
        )

    def without_files(self, refused: RefusedFiles) -> "Trial":
        """Returns the request that follows this one, which was refused for its files, or for its PDFs alone."""
        files = [media for turn in self.prompt.turns for media in turn.media]
        pdfs = [media for media in files if media.media_type == PDF] if refused.names_pdfs else []
        going = pdfs or files
        prompt = without_media(self.prompt, lambda media: media not in going)[0]
        left_out = (*self.left_out, *((media, refused.fault) for media in going))
        return replace(self, prompt=prompt, left_out=left_out, refusals=self.refusals + 1)


class Learned:
    """What is known about the requests that a model's server accepts, learned while the process runs."""

    def __init__(self, api: Api, name: str) -> None:
        """`name`: as the vendor calls the model."""
        self.model = f"{api.vendor}/{name}"
        self.api = api
        self.parameters = RefusedParameters()
        self.levels = EffortLevels()
        self.room = Room()
        """How many tokens the server takes. The log says once what was learned of that."""
        self.faults = 0
        """How often in a row the server said that it failed."""
        self.estimate = TokenEstimate((self.model,))
        self._name = name
        self._refused_tools: frozenset[str] = frozenset()
        self._max_tools: int | None = None
        self._max_pixels = 0
        """The most of an image's side that the model takes; 0: as many as images have."""
        self._refused_files: dict[frozenset[int], FileFault] = {}
        """Why files were refused together, by the hashes of their base64. Which of them was bad isn't known, so those
        that are asked about again without the others are sent."""
        self._refused_items: tuple[int, ...] = ()
        self._is_described = False
        """Whether the server has been asked for its description of the model."""

    async def first(self, prompt: Prompt) -> Trial:
        """Returns the first request for an answer."""
        api, prompt = self.api, without_items(prompt, frozenset(self._refused_items))
        if prompt.effort is not Effort.NORMAL and api.describes_effort:
            self.room = await self.described_room(self.room)
        parameters = self.parameters.of(used_by(prompt, api))
        output_tokens = self.room.for_output(api.wanted_tokens(prompt.effort), self.estimate.prompt_tokens(prompt))
        return Trial(
            api,
            prompt,
            parameters,
            levels=self.levels,
            room=self.room,
            output_tokens=output_tokens,
            refused_tools=self._refused_tools,
            max_tools=self._max_tools,
        )

    async def with_files_that_fit(self, prompt: Prompt) -> tuple[Prompt, tuple[str, ...], dict[str, FileFault]]:
        """Returns the prompt, and the files that are left out: of kinds that the API takes none of, and why others."""
        accepted, of_other_kinds = without_media(prompt, self.api.accepts)
        fit = newest_media_within(accepted.turns, self.api.max_media_bytes)
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

    async def described_room(self, room: Room) -> Room:
        """Returns the room with what the server says of the model. The server is asked once."""
        if self._is_described or self.api.described is None:
            return room
        self._is_described = True
        try:
            async with asyncio.timeout(DESCRIBED_WITHIN_S):
                described = await self.api.described(self._name)
        except Exception as error:
            log.info("%s: window not known: %s", self.model, type(error).__name__)
            return room
        self.levels = self.levels.with_description(described)
        return room.with_description(described)

    def remember(self, trial: Trial) -> None:
        """Remembers what the server takes, and says once which setting exceeds its limits."""
        self.faults = 0
        self.api = trial.api
        self._refused_tools, self._max_tools = trial.refused_tools, trial.max_tools
        self._refused_items = (*self._refused_items, *trial.refused_items)[-MAX_REFUSED_ITEMS:]
        self.parameters = self.parameters.after(trial.parameters, trial.dropped, is_sure=trial.is_sure)
        self.levels = trial.levels
        self._max_pixels = trial.max_pixels or self._max_pixels
        if trial.is_sure:
            found = {hash(media.base64): fault for media, fault in trial.left_out if fault is not FileFault.TOGETHER}
            together = {frozenset(found): next(iter(found.values()))} if found else {}
            self._refused_files = dict([*self._refused_files.items(), *together.items()][-MAX_REFUSED_FILES:])
        known, self.room = self.room, trial.room
        if trial.has_too_little_room and known != trial.room:
            log.warning(
                "%s: BOT_MAX_OUTPUT_TOKENS is too large for this model: it took %d of %d, which is remembered",
                self.model,
                trial.output_tokens,
                trial.api.text_tokens,
            )


def used_by(prompt: Prompt, api: Api) -> frozenset[OptionalParameter]:
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
