"""Requests to a model, and the limits that its server is known to have.

A `Trial` is one request with assumptions about the server. If the request succeeds, `LearnedLimits` remembers the
assumptions for later requests. After a refusal, remedies.py changes the Trial.
"""

import asyncio
import logging
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

from bot.errors import FileFault
from bot.models.api import Api
from bot.models.events import Feature
from bot.models.parameters import (
    INCOMPLETE_MESSAGES,
    LEVELS,
    MESSAGE_PARAMETERS,
    TOOL_PARAMETERS,
    TOOLS,
    WEB,
    EffortLevels,
    OptionalParameter,
    RefusedParameters,
)
from bot.models.prompt import (
    PDF,
    Effort,
    Media,
    Prompt,
    TokenEstimate,
    inline_system,
    newest_media_within,
    with_noted_instructions,
    without_items,
    without_media,
)
from bot.models.refused_files import RefusedFiles, shrink_images
from bot.models.room import Room

log = logging.getLogger(__name__)

MIN_SEARCHABLE = 10
"""Minimum number of tools for a tool search. If there are fewer, all are offered at once, regardless of length."""
MAX_REFUSED_FILES = 500
MAX_REFUSED_ITEMS = 5_000
MAX_CONVERSATIONS = 100
DESCRIBED_WITHIN_S = 2.0
"""Time limit for requesting the server's model description, which delays the first answer that needs it."""
EFFORT_PARAMETERS = frozenset((OptionalParameter.EFFORT, OptionalParameter.MESSAGE_EFFORT))
_FEATURES: Mapping[OptionalParameter, Feature] = {
    OptionalParameter.TOOLS: "tools",
    OptionalParameter.WEB_SEARCH: "web search",
}


@dataclass(frozen=True, slots=True)
class Trial:
    api: Api
    prompt: Prompt
    parameters: frozenset[OptionalParameter]
    levels: EffortLevels
    room: Room
    output_tokens: int
    refused_tools: frozenset[str]
    max_tools: int | None
    refusals: int = 0
    """The number of earlier requests that were refused because of their form or files."""
    room_refusals: int = 0
    refused_items: frozenset[int] = frozenset()
    """Hashes of the model's own items, such as thinking, that were refused and removed from the prompt."""
    dropped: frozenset[OptionalParameter] = frozenset()
    is_conclusive: bool = True
    """Whether the refusals named every omitted part, or only a single part is omitted."""
    max_pixels: int = 0
    """The maximum side length of images that a refusal stated, or 0. It is remembered."""
    has_smaller_images: bool = False
    left_out: tuple[tuple[Media, FileFault], ...] = ()
    refusal_sentence: str = ""
    is_about_history: bool = False
    """Whether a refusal might have been about earlier steps or messages, so it applies only to this conversation."""

    def body(self, name: str) -> dict[str, Any]:
        return self.api.body(name, self.sent_prompt, self.parameters, self.output_tokens, self.effort)

    @property
    def has_too_little_room(self) -> bool:
        return self.output_tokens < self.api.text_tokens

    @property
    def is_without_streaming(self) -> bool:
        return OptionalParameter.STREAM in self.omitted_parameters

    @property
    def omitted_parameters(self) -> frozenset[OptionalParameter]:
        """Parameters that the prompt could use but the request omits."""
        return needed_parameters(self.prompt, self.api) - self.parameters

    @property
    def sent_prompt(self) -> Prompt:
        prompt = self.prompt
        if OptionalParameter.OUR_ROLE not in self.parameters and any(turn.instruction for turn in prompt.turns):
            prompt = with_noted_instructions(prompt)
        prompt = inline_system(prompt) if OptionalParameter.SYSTEM_ROLE in self.omitted_parameters else prompt
        tools = [tool for tool in prompt.tools if tool.definition_hash not in self.refused_tools][: self.max_tools]
        return replace(prompt, tools=tuple(tools) if self.omitted_parameters.isdisjoint(TOOLS) else ())

    @property
    def effort(self) -> str:
        # Such a model accepts tools only if it doesn't reason.
        can_reason = OptionalParameter.TOOLS_WITH_REASONING not in self.omitted_parameters or not self.sent_prompt.tools
        has_level = can_reason and OptionalParameter.EFFORT in self.parameters
        return self.levels.level(self.prompt.effort) if has_level else ""

    @property
    def sent_parameters(self) -> frozenset[OptionalParameter]:
        return self.parameters if self.effort else self.parameters - EFFORT_PARAMETERS

    @property
    def refused_features(self) -> tuple[Feature, ...]:
        refused = tuple(feature for parameter, feature in _FEATURES.items() if parameter in self.omitted_parameters)
        if self.omitted_parameters.isdisjoint(TOOLS) and len(self.sent_prompt.tools) < len(self.prompt.tools):
            refused = ("some tools", *refused)
        is_missed = self.prompt.effort is Effort.THOROUGH and not self.effort
        return (*refused, "thinking longer") if is_missed else refused

    def without_parameters(self, dropped: frozenset[OptionalParameter], *, is_conclusive: bool) -> "Trial":
        return replace(
            self,
            parameters=self.parameters - dropped,
            dropped=self.dropped | dropped,
            is_conclusive=self.is_conclusive and is_conclusive,
            refusals=self.refusals + 1,
        )

    def without_files(self, refused: RefusedFiles) -> "Trial":
        files = [media for turn in self.prompt.turns for media in turn.media]
        pdfs = [media for media in files if media.media_type == PDF] if refused.is_about_pdfs else []
        going = pdfs or files
        prompt = without_media(self.prompt, lambda media: media not in going)[0]
        left_out = (*self.left_out, *((media, refused.fault) for media in going))
        return replace(self, prompt=prompt, left_out=left_out, refusals=self.refusals + 1)


class LearnedLimits:
    def __init__(self, api: Api, name: str) -> None:
        self.model = f"{api.vendor}/{name}"
        self.api = api
        self.parameters = RefusedParameters()
        self.levels = EffortLevels()
        self.room = Room()
        """The server's token limits. A limit below the settings is logged once."""
        self.faults = 0
        self.estimate = TokenEstimate((self.model,))
        self._name = name
        self._refused_tools: frozenset[str] = frozenset()
        self._max_tools: int | None = None
        self._max_pixels = 0
        self._refused_files: dict[frozenset[int], FileFault] = {}
        """Why files were refused together, by the hashes of their base64. A subset of these files is still sent,
        because any of the others might have been at fault."""
        self._refused_items: tuple[int, ...] = ()
        self._is_described = False
        self.by_conversation: dict[int, LearnedLimits] = {}
        """Limits for conversations whose history might be their cause, by the hash of the first message."""
        self._is_for_conversation = False

    async def first_trial(self, prompt: Prompt) -> Trial:
        api, prompt = self.api, without_items(prompt, frozenset(self._refused_items))
        needed = needed_parameters(prompt, api)
        if api.describes_thinking and not needed.isdisjoint((OptionalParameter.EFFORT, OptionalParameter.PROGRESS)):
            self.room = await self.fetch_room(self.room)
        needed = needed if self.levels.always_thinks else needed - {OptionalParameter.PROGRESS}
        parameters = self.parameters.allowed(needed)
        output_tokens = self.room.output_limit(api.wanted_tokens(prompt.effort), self.estimate.prompt_tokens(prompt))
        return Trial(
            api,
            prompt,
            parameters,
            levels=self.levels,
            room=self.room,
            output_tokens=output_tokens,
            refused_tools=self._refused_tools,
            max_tools=self._max_tools,
            is_about_history=self._is_for_conversation,
        )

    async def with_accepted_files(self, prompt: Prompt) -> tuple[Prompt, tuple[str, ...], dict[str, FileFault]]:
        """Returns the prompt, the names of unsupported files, and the reasons why other files are left out."""
        if not any(turn.media for turn in prompt.turns):
            return prompt, (), {}
        accepted, unsupported = without_media(prompt, lambda media: self.api.accepts_pdfs or media.media_type != PDF)
        fit = newest_media_within(accepted.turns, self.api.max_media_bytes)
        fitting, too_large = without_media(accepted, lambda media: media in fit)
        if self._max_pixels:
            fitting = await shrink_images(fitting, self._max_pixels)
        offered, refused = self._without_refused_files(fitting)
        return offered, unsupported, refused | dict.fromkeys(too_large, FileFault.TOO_LARGE)

    def _without_refused_files(self, prompt: Prompt) -> tuple[Prompt, dict[str, FileFault]]:
        files = {hash(media.base64): media.name for turn in prompt.turns for media in turn.media}
        known = {
            one: fault
            for together, fault in self._refused_files.items()
            if together <= files.keys()
            for one in together
        }
        kept, _ = without_media(prompt, lambda media: hash(media.base64) not in known)
        return kept, {name: known[one] for one, name in files.items() if one in known}

    async def fetch_room(self, room: Room) -> Room:
        """Returns the room, updated with the limits in the server's model description, which is requested once."""
        if self._is_described or self.api.fetch_description is None:
            return room
        self._is_described = True
        try:
            async with asyncio.timeout(DESCRIBED_WITHIN_S):
                described = await self.api.fetch_description(self._name)
        except Exception as error:
            log.info("%s: window not known: %s", self.model, type(error).__name__)
            return room
        self.levels = self.levels.with_description(described)
        return room.with_description(described)

    def remember(self, trial: Trial, key: int, effort: str = "") -> None:
        """Remembers what the server accepts, and logs once if a setting exceeds the server's limits. If a refusal might
        have been about the history, most of this is remembered only for this conversation. `effort`: the level that the
        response reports."""
        if trial.is_about_history:
            own = copy(self.by_conversation.pop(key, self))
            own._is_for_conversation = True
            own.remember(replace(trial, is_about_history=False), key, effort)
            self.by_conversation = dict([*self.by_conversation.items(), (key, own)][-MAX_CONVERSATIONS:])
            trial = replace(
                trial,
                api=self.api,
                levels=self.levels,
                room=replace(self.room, window_tokens=trial.room.window_tokens),
                refused_tools=self._refused_tools,
                max_tools=self._max_tools,
                max_pixels=0,
                dropped=trial.dropped & (MESSAGE_PARAMETERS | self.parameters.untried),
            )
        self.faults = 0
        self.api = trial.api
        self._refused_tools, self._max_tools = trial.refused_tools, trial.max_tools
        self._refused_items = (*self._refused_items, *trial.refused_items)[-MAX_REFUSED_ITEMS:]
        self.parameters = self.parameters.after_success(
            trial.parameters, trial.dropped, is_conclusive=trial.is_conclusive
        )
        is_default = not trial.effort and effort in LEVELS
        self.levels = replace(trial.levels, default=effort) if is_default else trial.levels
        self._max_pixels = trial.max_pixels or self._max_pixels
        if trial.is_conclusive:
            found = {hash(media.base64): fault for media, fault in trial.left_out if fault is not FileFault.TOGETHER}
            together = {frozenset(found): next(iter(found.values()))} if found else {}
            self._refused_files = dict([*self._refused_files.items(), *together.items()][-MAX_REFUSED_FILES:])
        known, self.room = self.room, trial.room
        if trial.has_too_little_room and known != trial.room and not trial.is_about_history:
            log.warning(
                "%s: BOT_MAX_OUTPUT_TOKENS is too large for this model: it took %d of %d, which is remembered",
                self.model,
                trial.output_tokens,
                trial.api.text_tokens,
            )


def needed_parameters(prompt: Prompt, api: Api) -> frozenset[OptionalParameter]:
    """Returns the API's parameters that a prompt needs. Errors about other parameters are irrelevant."""
    # A prompt that has other tools incurs their cost anyway.
    is_dispensable = all(tool.is_dispensable for tool in prompt.tools)
    unused = {OptionalParameter.TOOLS if is_dispensable else OptionalParameter.DISPENSABLE_TOOLS}
    for parameters, is_used in (
        (TOOL_PARAMETERS, prompt.tools),
        (WEB, prompt.web_search),
        ({OptionalParameter.SYSTEM_ROLE, OptionalParameter.CACHE_BREAKPOINT}, prompt.system),
        (INCOMPLETE_MESSAGES | {OptionalParameter.PHASE}, any(turn.role == "assistant" for turn in prompt.turns)),
        ({OptionalParameter.PROGRESS}, prompt.tools and not api.can_leave_marks),
        ({OptionalParameter.OUR_ROLE}, any(turn.instruction for turn in prompt.turns) and not api.can_leave_marks),
        (EFFORT_PARAMETERS, prompt.effort is not Effort.NORMAL),
        ({OptionalParameter.SAFETY_ID}, prompt.asker),
        # A server that only resembles the vendor's might ignore a tool or message of an unknown type, or a role.
        ({OptionalParameter.MESSAGE_EFFORT}, not api.can_leave_marks),
        ({OptionalParameter.TOOL_SEARCH}, len(prompt.tools) >= MIN_SEARCHABLE and not api.can_leave_marks),
    ):
        unused |= set() if is_used else parameters
    return api.optional_parameters - unused
