"""Protocols for models that write answers, and VendorModel, the Provider for every vendor.

A `VendorModel` sends requests through an `Api` (api.py), which handles the differences between APIs, and yields the
events that the API's reader returns. Rejected requests are changed and sent again (remedies.py), and the server's
limits are remembered (trials.py). An answer fails if the response ends without its terminal marker. Tool calls are
yielded only after the marker, because a call made with incomplete arguments can't be undone.
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
from bot.models.events import Answering, Completion, FinishReason, StreamEvent, Thinking
from bot.models.failures import ErrorResponse, RequestAttempt, error_response
from bot.models.parameters import OptionalParameter
from bot.models.prompt import Effort, Prompt, Turn, prompt_texts
from bot.models.reading import read_deltas
from bot.models.remedies import apply_remedy
from bot.models.streams import AnswerReader
from bot.models.trials import LearnedLimits, Trial

log = logging.getLogger(__name__)


class Provider(Protocol):
    model: str
    """The model's name in the settings, such as openai/gpt-6-luna."""

    def stream(self, prompt: Prompt) -> AsyncGenerator[StreamEvent, None]:
        """Yields the answer's deltas (never empty), signs of work and citations, and one Completion at the end.

        If the model calls tools, the whole text, the calls and the opaque items come before the Completion, because the
        request with the tools' results must repeat all of these.

        Raises ProviderError at any time if the answer can't be completed. Only closing the generator
        (contextlib.aclosing) closes the connection, so that the vendor stops billing."""
        ...


@dataclass(frozen=True, slots=True)
class Vendor:
    model: Callable[[str], Provider]
    """Returns the model with this vendor-specific name. The name can contain slashes."""
    aclose: Callable[[], Awaitable[None]]


class Models(Protocol):
    names: tuple[str, ...]

    def starting_with(self, model: str | None, prompt: Prompt) -> Provider:
        """Returns a provider that tries `model` first. If `model` is None or not in use, the usual order applies."""
        ...


MAX_LOGGED_NAMES = 20
_NAME = re.compile(r"[\w.:@-]+(?:/[\w.:@-]+)*")
MAX_NAME_CHARS = 80
MAX_PAUSES = 4
"""Maximum continuations of a paused answer. Every continuation sends the whole conversation as input again."""


class VendorModel:
    def __init__(self, api: Api, api_key: str, name: str, access: str = "") -> None:
        """`access`: the role or permission that the vendor requires instead of a key."""
        self.model = f"{api.vendor}/{name}"
        self._name = name
        self._access = access
        self._api_key = api_key
        self._learned = LearnedLimits(api, name)
        self._logged: set[tuple[str, str]] = set()

    async def stream(self, prompt: Prompt) -> AsyncGenerator[StreamEvent, None]:
        """Yields an answer's events. An answer without text or a tool call fails as EMPTY or ONLY_THOUGHT."""
        key = hash(prompt.turns[0].text)
        learned = self._learned.by_conversation.get(key, self._learned)
        prompt, unsupported_files, refused = await learned.with_accepted_files(prompt)
        with RequestAttempt(self.model, self._api_key, prompt_texts(prompt), self._access) as attempt:
            trial, reader = await learned.first_trial(prompt), None
            pauses, charged = 0, ""
            while True:
                if trial.is_without_streaming:
                    # Nothing else will be yielded until the whole answer arrives.
                    yield Thinking()
                response, trial = await self._send(trial, learned, attempt)
                if response is None:
                    continue
                reader = reader or _open_reader(trial, attempt)
                try:
                    async with aclosing(read_deltas(response, reader, attempt)) as deltas:
                        async for delta in deltas:
                            attempt.record(delta)
                            names_other = reader.answering_model not in ("", self._name) and not charged
                            other = (self._substitute_model(reader) or self.model) if names_other else ""
                            charged = learned.api.prices.charged_model(self.model, other) if other else charged
                            if names_other and charged != self.model:
                                yield Answering(charged)
                            yield delta
                except ProviderError:
                    # Some servers report a refusal in the stream.
                    refusal = None if attempt.written_chars else attempt.refusal
                    following = await self._next_trial(trial, refusal, learned, attempt)
                    if following is None:
                        raise
                    trial, reader = following, None
                    continue
                if reader.finish_reason is not FinishReason.PAUSED or pauses == MAX_PAUSES:
                    break
                pauses += 1
                paused = Turn("assistant", "", parts=tuple(reader.opaque_items()))
                longer = replace(trial.prompt, turns=(*trial.prompt.turns, paused))
                trial = replace(trial, prompt=longer, refusals=0, room_refusals=0)
                reader.prepare_continuation()
            for event in reader.read_end():
                yield event
            finish_reason = self._finish_reason(attempt, reader)
            self._learned.remember(trial, key, reader.effort)
            learned = self._learned.by_conversation.get(key, self._learned)
            yield self._completion(trial, reader, learned, finish_reason, unsupported_files, refused)

    def _completion(
        self,
        trial: Trial,
        reader: AnswerReader,
        learned: LearnedLimits,
        reason: FinishReason,
        unsupported_files: Sequence[str],
        refused: Mapping[str, FileFault],
    ) -> Completion:
        faults = {**refused, **{media.name: fault for media, fault in trial.left_out}}
        prices = learned.api.prices
        substitute_model = self._substitute_model(reader) if reader.answering_model not in ("", self._name) else ""
        model = prices.charged_model(self.model, substitute_model or self.model)
        unlisted_terms = prices.unlisted_terms(model, reader.usage) if reader.usage and reader.usage.terms else ()
        for term in unlisted_terms:
            self._log_once("the standard price counts for", term)
        return Completion(
            model,
            reason,
            reader.usage,
            left_out=(*unsupported_files, *refused, *(media.name for media, _ in trial.left_out)),
            refused=trial.refused_features,
            effort=trial.effort,
            can_think_longer=OptionalParameter.EFFORT not in learned.parameters.refused
            and learned.levels.level(Effort.THOROUGH) != "",
            max_output_tokens=trial.output_tokens if trial.has_too_little_room else None,
            window_tokens=learned.room.window_tokens,
            refused_files={name: fault for name, fault in faults.items() if fault is not FileFault.KIND},
            unparsed=reader.unparsed,
            refusal=trial.refusal_sentence,
            unlisted_terms=unlisted_terms,
            asked_model=self.model if substitute_model else "",
            substitute_model=substitute_model,
        )

    def _finish_reason(self, attempt: RequestAttempt, reader: AnswerReader) -> FinishReason:
        if reader.finish_reason is None:
            raise attempt.failure(EndReason.CUT, "the stream ended without its terminal marker")
        # A model that still pauses after MAX_PAUSES has used up the budget of one answer.
        paused = reader.finish_reason is FinishReason.PAUSED
        reason = FinishReason.LENGTH if paused else reader.finish_reason
        has_text = bool(attempt.text.strip())
        if reader.unknown_finish_reason is not None:
            self._log_once("unknown finish reason, its text is taken as whole:", reader.unknown_finish_reason)
            if not has_text and reason is not FinishReason.TOOLS:
                raise attempt.failure(EndReason.CUT, f"finish reason {reader.unknown_finish_reason}")
        if not has_text and reason is not FinishReason.TOOLS:
            failure = EndReason.ONLY_THOUGHT if reason is FinishReason.LENGTH else EndReason.EMPTY
            raise attempt.failure(failure, f"no text, finish reason {reason}")
        return reason

    def _substitute_model(self, reader: AnswerReader) -> str:
        """Returns the name of the model that answered, or "" if it is the requested model."""
        api, name = self._learned.api, reader.answering_model[: MAX_NAME_CHARS + 1]
        if api.prices.is_same_model(self.model, f"{api.vendor}/{name}"):
            return ""
        self._log_once("another model answers:", name)
        return f"{api.vendor}/{name if len(name) <= MAX_NAME_CHARS and _NAME.fullmatch(name) else '…'}"

    def _log_once(self, message: str, name: str) -> None:
        name = name if re.fullmatch(r"[\w .:/@-]{0,80}", name) else "…"
        if (message, name) not in self._logged and len(self._logged) < MAX_LOGGED_NAMES:
            self._logged.add((message, name))
            log.warning("%s: %s %r", self.model, message, name)

    async def _send(
        self, trial: Trial, learned: LearnedLimits, attempt: RequestAttempt
    ) -> tuple[httpx2.Response | None, Trial]:
        """Sends the request, changing it after each refusal. Returns the response and the accepted request. The
        response is None if the next request, which hasn't been sent yet, is the first one without streaming."""
        began_whole = trial.is_without_streaming
        while True:
            try:
                return await trial.api.post(trial.body(self._name)), trial
            except Exception as error:
                following = await self._next_trial(trial, error_response(error), learned, attempt)
                if following is None:
                    raise
                trial = following
                if trial.is_without_streaming and not began_whole:
                    return None, trial

    async def _next_trial(
        self, trial: Trial, refusal: ErrorResponse | None, learned: LearnedLimits, attempt: RequestAttempt
    ) -> Trial | None:
        following = await apply_remedy(trial, refusal, learned, attempt) if refusal else None
        if refusal is None or following is None:
            return None
        said = attempt.loggable_sentence(refusal)
        log.info("%s: request refused, asking again: %s", self.model, said)
        return replace(following, refusal_sentence=said)


def _open_reader(trial: Trial, attempt: RequestAttempt) -> AnswerReader:
    # A call can only be for a tool that the request offered.
    reader = trial.api.reader(attempt, trial.sent_prompt, trial.output_tokens)
    reader.marks.is_expected = trial.api.can_leave_marks
    reader.has_progress = OptionalParameter.PROGRESS in trial.parameters
    return reader
