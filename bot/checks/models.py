"""The checks of `typist check` that concern models: whether each exists, calls tools, or hears."""

import asyncio
import io
import logging
import wave
from contextlib import aclosing
from dataclasses import replace
from datetime import date
from functools import partial

from bot.checks import check_texts
from bot.checks.report import Check, CheckStatus, PlannedCheck, fail, ok, run_checks, warn
from bot.errors import EndReason, ProviderError
from bot.models.events import Completion, ToolCall, Unparsed
from bot.models.lookups import LookupOutcome
from bot.models.prompt import Prompt, Sound, ToolDefinition, Turn
from bot.models.registry import VENDORS, open_models, resolved
from bot.models.setup import ModelSetup

TRANSCRIPTION = "transcription"

log = logging.getLogger(__name__)


def model_check_id(model: str) -> str:
    """Returns the id of a model's check."""
    return f"model.{model}"


_PING = ToolDefinition("ping", "Answers pong.", {"type": "object", "properties": {}})
_PROBE = Prompt("You test a connection.", (Turn("user", "Call the tool ping once, now."),), tools=(_PING,))


def probe_id(model: str) -> str:
    """Returns the id of the check that has a model call a tool."""
    return f"model.{model}.tools"


PROBE_WITHIN_S = 60.0
"""How long a model may take for the probe: its server may load it first."""
LOOKED_UP_WITHIN_S = 60.0
"""How long a look-up may take together with the import of the vendor's SDK, by which it begins."""
PROBE_LATE_S = 10.0
"""From here on, the report says how long it took."""


async def probe_model(setup: ModelSetup, model: str) -> Check:
    """Asks a model to call a tool, and says if that took long, or more than PROBE_WITHIN_S. Costs a short answer."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    try:
        async with asyncio.timeout(PROBE_WITHIN_S):
            check = await _probe(replace(setup, stall_timeout_s=max(setup.stall_timeout_s, PROBE_WITHIN_S)), model)
    except TimeoutError:
        return fail(probe_id(model), *check_texts.model_late(model, PROBE_WITHIN_S))
    took_s = loop.time() - begun
    is_late = check.passed and took_s >= PROBE_LATE_S
    return replace(check, message=f"{check.message} {check_texts.model_slow(took_s)}") if is_late else check


async def _probe(setup: ModelSetup, model: str) -> Check:
    """Asks a model to call a tool, which no look-up can tell: servers refuse tools, or leave them out, in silence."""
    line = probe_id(model)
    called = refused = False
    unparsed: Unparsed = ""
    refusal = ""
    taken_tokens: int | None = None
    try:
        async with (
            open_models(replace(setup, models=(model,)), patience_s=0.0) as provider,
            aclosing(provider.stream(_PROBE)) as events,
        ):
            async for event in events:
                called = called or isinstance(event, ToolCall)
                if isinstance(event, Completion):
                    refused, unparsed = "tools" in event.refused, event.unparsed
                    taken_tokens, refusal = event.max_output_tokens, event.refusal
    except ProviderError as error:
        if error.reason is not EndReason.EMPTY:
            reason = f"{error.reason}: {error.detail}" if error.detail else str(error.reason)
            if error.reason is EndReason.UNREADABLE:
                variable = VENDORS[model.partition("/")[0]].base_url_variable
                return fail(line, *check_texts.model_unreadable(model, reason, variable))
            return fail(line, *check_texts.model_silent(model, reason))
    if taken_tokens is not None:
        return warn(line, *check_texts.model_takes_less(model, taken_tokens, setup.options.max_output_tokens))
    if unparsed == "thoughts":
        return warn(line, check_texts.model_leaves_thoughts(model), check_texts.REASONING_FIX)
    message = check_texts.model_tools(
        model, called=called, refused=refused, wrote_call=unparsed == "call", refusal=refusal
    )
    return ok(line, message) if called else warn(line, message, check_texts.TOOLS_FIX)


async def check_model(setup: ModelSetup, model: str, today: date) -> Check:
    """Looks a model up at its vendor, and says what to do about what it finds."""
    vendor, _, name = model.partition("/")
    entry = VENDORS[vendor]
    settings = resolved(vendor, setup)
    lookup = await entry.look_up(vendor, settings, name, today)
    line = model_check_id(model)
    if lookup.outcome is LookupOutcome.NO_LIST:
        return warn(line, *check_texts.model_unlisted(model))
    if lookup.outcome is not LookupOutcome.MODEL:
        return fail(line, *check_texts.model_problem(model, lookup, entry, has_key=bool(settings.api_key)))
    if entry.cloud:
        return ok(line, check_texts.model_in_cloud(model))
    found = check_texts.model(model) if entry.needs_key(settings) else check_texts.model_served(model)
    if lookup.retires:
        message = f"{found} {check_texts.model_retires(lookup.retires, lookup.replacement)}"
        return warn(line, message, check_texts.model_fix(model, entry.api_key_variable))
    return ok(line, found)


def planned(setup: ModelSetup, today: date) -> list[PlannedCheck]:
    """Returns the look-ups of all models in use."""
    return [
        PlannedCheck(model_check_id(model), partial(check_model, setup, model, today), within_s=LOOKED_UP_WITHIN_S)
        for model in setup.models
    ]


async def log_models(setup: ModelSetup, today: date) -> None:
    """Logs what is wrong with the models in use, as `typist check` would say it. No answer waits for that."""
    checks = planned(setup, today)
    for check in (await run_checks(checks)).for_people:
        if check.status in (CheckStatus.WARN, CheckStatus.FAIL):
            log.warning("setup of the models: %s %s", check.message, check.fix)


async def check_transcription(setup: ModelSetup, model: str) -> Check:
    """Has the model that transcribes listen to a second of silence, which costs next to nothing."""
    # Only now: it imports OpenAI's SDK.
    from bot.models.transcription import Transcriber

    vendor = model.partition("/")[0]
    try:
        async with aclosing(Transcriber(resolved(vendor, setup), model)) as transcriber:
            await transcriber.transcribe(_silence())
    except ProviderError as error:
        reason = f"{error.reason}: {error.detail}" if error.detail else str(error.reason)
        entry = VENDORS[vendor]
        variables = (entry.api_key_variable, entry.base_url_variable)
        return warn(TRANSCRIPTION, *check_texts.transcription_failed(model, reason, *variables))
    return ok(TRANSCRIPTION, check_texts.transcribes(model))


def _silence() -> Sound:
    rate, written = 16_000, io.BytesIO()
    with wave.open(written, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(bytes(2 * rate))
    return Sound("clip.wav", "audio/wav", written.getvalue())
