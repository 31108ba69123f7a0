"""Models that write answers: the protocols, and the one Provider class that serves every vendor.

A `VendorModel` sends requests through an `Api` (api.py), which contains the differences between APIs, and yields the
events that the API's reader finds. It changes refused requests and sends them again (remedies.py), remembers what that
teaches about the server (trials.py), and fails an answer that ends without its terminal marker.

Tool calls are yielded only after that marker, because a call with half of its arguments can't be undone.
"""

import logging
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Protocol

import httpx2

from bot.errors import EndReason, FileFault, ProviderError
from bot.models.api import Api
from bot.models.events import Completion, FinishReason, StreamEvent, TextPart, Thinking
from bot.models.failures import ErrorResponse, RequestAttempt, error_response
from bot.models.parameters import LEVELS, OptionalParameter
from bot.models.prompt import Effort, Prompt, ToolResult, Turn, prompt_texts
from bot.models.reading import deltas_of
from bot.models.remedies import apply_remedy
from bot.models.streams import AnswerReader
from bot.models.trials import Learned, Trial

log = logging.getLogger(__name__)


class Provider(Protocol):
    model: str
    """The name used in the settings, such as openai/gpt-6-luna."""

    def stream(self, prompt: Prompt) -> AsyncGenerator[StreamEvent, None]:
        """Yields the answer's deltas (never empty), signs of work and citations, and one Completion at the end.

        If the model calls tools, everything that the request with their results repeats comes before the Completion:
        the whole text, the calls and the opaque items.

        Raises ProviderError at any time if the answer can't be completed. Close the generator (contextlib.aclosing) to
        hang up: nothing else reaches the vendor and stops the billing.
        """
        ...


@dataclass(frozen=True, slots=True)
class Vendor:
    model: Callable[[str], Provider]
    """Returns the model with this vendor-specific name, which can contain slashes."""
    aclose: Callable[[], Awaitable[None]]
    """Closes all connections, including those of answers being streamed."""


class Models(Protocol):
    names: tuple[str, ...]

    def led_by(self, model: str | None, prompt: Prompt) -> Provider:
        """Returns a provider that tries `model` first; if it is None or not in use, the models in their usual order."""
        ...


MAX_NOTED = 20
_NOT_IN_NAMES = re.compile(r"[^a-z0-9]")
MAX_PAUSES = 4
"""The number of times a paused answer is continued. Each continuation sends the whole conversation as input again."""


class VendorModel:
    def __init__(self, api: Api, api_key: str, name: str, access: str = "") -> None:
        """`access`: the role or permission that the vendor requires instead of a key."""
        self.model = f"{api.vendor}/{name}"
        self._name = name
        self._access = access
        self._api_key = api_key
        self._learned = Learned(api, name)
        self._noted: set[tuple[str, str]] = set()

    async def stream(self, prompt: Prompt) -> AsyncGenerator[StreamEvent, None]:
        """Yields an answer's events. An answer without text and without a tool call fails as EMPTY or ONLY_THOUGHT."""
        of_other_kinds: tuple[str, ...] = ()
        refused: dict[str, FileFault] = {}
        if any(turn.media for turn in prompt.turns):
            prompt, of_other_kinds, refused = await self._learned.with_files_that_fit(prompt)
        parts = [part for turn in prompt.turns for part in turn.parts]
        texts = [*prompt_texts(prompt), *(part.text for part in parts if isinstance(part, TextPart | ToolResult))]
        with RequestAttempt(self.model, self._api_key, texts, self._access) as attempt:
            trial, reader = await self._learned.first(prompt), None
            pauses = 0
            while True:
                if trial.comes_whole:
                    # Nothing else will be yielded until the whole answer arrives.
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
                    # Some servers report a refusal in the stream.
                    following = (
                        None if attempt.written_chars else await self._learn_from(trial, attempt.refusal, attempt)
                    )
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
            self._learned.remember(trial)
            self._note_answer(trial, reader)
            yield self._completion(trial, reader, finish_reason, of_other_kinds, refused)

    def _completion(
        self,
        trial: Trial,
        reader: AnswerReader,
        reason: FinishReason,
        of_other_kinds: Sequence[str],
        refused: Mapping[str, FileFault],
    ) -> Completion:
        faults = {**refused, **{media.name: fault for media, fault in trial.left_out}}
        return Completion(
            self.model,
            reason,
            reader.usage,
            left_out=(*of_other_kinds, *refused, *(media.name for media, _ in trial.left_out)),
            refused=trial.refused,
            effort=trial.effort,
            thinks_longer=OptionalParameter.EFFORT not in self._learned.parameters.refused
            and self._learned.levels.level(Effort.THOROUGH) != "",
            max_output_tokens=trial.output_tokens if trial.has_too_little_room else None,
            window_tokens=self._learned.room.window_tokens,
            refused_files={name: fault for name, fault in faults.items() if fault is not FileFault.KIND},
            unparsed=reader.unparsed,
            refusal=trial.said,
        )

    def _finish_reason(self, attempt: RequestAttempt, reader: AnswerReader) -> FinishReason:
        if reader.finish_reason is None:
            raise attempt.failed(EndReason.CUT, "the stream ended without its terminal marker")
        # A model that still pauses after MAX_PAUSES has used up the budget of one answer.
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

    def _note_answer(self, trial: Trial, reader: AnswerReader) -> None:
        """Records the model's default effort if the response reports it, and logs if a different model answered."""
        if not trial.effort and reader.effort in LEVELS:
            self._learned.levels = replace(self._learned.levels, own=reader.effort)
        asked, answered = (_NOT_IN_NAMES.sub("", name.casefold()) for name in (self._name, reader.answered_by))
        # The name can be an alias for a dated version, or a cloud's name for the model.
        if answered and answered not in asked and asked not in answered:
            self._note_once("another model answers:", reader.answered_by)

    def _note_once(self, what: str, name: str) -> None:
        name = name if re.fullmatch(r"[\w .:/@-]{0,80}", name) else "…"
        if (what, name) not in self._noted and len(self._noted) < MAX_NOTED:
            self._noted.add((what, name))
            log.warning("%s: %s %r", self.model, what, name)

    async def _send(self, trial: Trial, attempt: RequestAttempt) -> tuple[httpx2.Response | None, Trial]:
        """Returns the response and the request that was accepted, after any refused ones.

        The response is None if the next request is the first one without streaming; that request hasn't been sent yet.
        """
        began_whole = trial.comes_whole
        while True:
            try:
                return await trial.api.post(trial.body(self._name)), trial
            except Exception as error:
                following = await self._learn_from(trial, error_response(error), attempt)
                if following is None:
                    raise
                trial = following
                if trial.comes_whole and not began_whole:
                    return None, trial

    async def _learn_from(self, trial: Trial, refusal: ErrorResponse | None, attempt: RequestAttempt) -> Trial | None:
        if refusal is None:
            return None
        following = await apply_remedy(trial, refusal, self._learned, attempt)
        if following is None:
            return None
        said = attempt.said(refusal)
        log.info("%s: request refused, asking again: %s", self.model, said)
        return replace(following, said=said)


def _reader(trial: Trial, attempt: RequestAttempt) -> AnswerReader:
    # A call can only be for a tool that the request offered.
    reader = trial.api.reader(attempt, trial.sent, trial.output_tokens)
    reader.marks.may_be_left = trial.api.may_leave_marks
    return reader


def _longer(trial: Trial, paused: Turn) -> Trial:
    longer = replace(trial.prompt, turns=(*trial.prompt.turns, paused))
    return replace(trial, prompt=longer, refusals=0, room_refusals=0)
