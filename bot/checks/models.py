"""The checks of `typist check` that concern models."""

import io
import wave
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import replace
from datetime import date

from bot.checks import check_texts
from bot.checks.report import Check, fail, ok, warn
from bot.errors import EndReason, ProviderError
from bot.models.events import Completion, Feature, ToolCall
from bot.models.failures import Lookup, LookupOutcome
from bot.models.prompt import Prompt, Sound, ToolDefinition, Turn
from bot.models.registry import VENDORS, Cloud, VendorEntry, open_models, resolved
from bot.models.setup import ModelSetup

TRANSCRIPTION = "transcription"
_RATE = 16_000
"""Samples of a second."""


def check_id(model: str) -> str:
    """Returns the id of a model's check."""
    return f"model.{model}"


_PING = ToolDefinition("ping", "Answers pong.", {"type": "object", "properties": {}})
_PROBE = Prompt("You test a connection.", (Turn("user", "Call the tool ping once, now."),), tools=(_PING,))


def probe_id(model: str) -> str:
    """Returns the id of the check that has a model call a tool."""
    return f"model.{model}.tools"


async def probe_model(setup: ModelSetup, model: str) -> Check:
    """Asks a model to call a tool, which no look-up can tell: servers refuse tools, or leave them out, in silence.

    It costs a short answer.
    """
    line = probe_id(model)
    called = False
    refused = False
    try:
        async with (
            open_models(replace(setup, models=(model,)), patience_s=0.0) as provider,
            aclosing(provider.stream(_PROBE)) as events,
        ):
            async for event in events:
                called = called or isinstance(event, ToolCall)
                refused = refused or (isinstance(event, Completion) and Feature.TOOLS in event.refused)
    except ProviderError as error:
        if error.reason is not EndReason.EMPTY:
            reason = f"{error.reason}: {error.detail}" if error.detail else str(error.reason)
            return fail(line, check_texts.model_silent(model, reason), check_texts.model_silent_fix(model))
    if called:
        return ok(line, check_texts.model_calls_tools(model))
    message = check_texts.model_refuses_tools(model) if refused else check_texts.model_calls_no_tool(model)
    return warn(line, message, check_texts.TOOLS_FIX)


async def check_model(setup: ModelSetup, model: str, today: date) -> Check:
    """Looks a model up at its vendor, and says what to do about what it finds."""
    vendor, _, name = model.partition("/")
    entry = VENDORS[vendor]
    settings = resolved(vendor, setup)
    lookup = await entry.look_up(settings, name, today)
    line = check_id(model)
    retires = _day(lookup)
    if lookup.outcome is LookupOutcome.NO_LIST:
        return warn(line, check_texts.model_unlisted(model), check_texts.model_unlisted_fix(model))
    if lookup.outcome is not LookupOutcome.MODEL:
        return fail(line, *_problems(model, lookup, entry)[lookup.outcome])
    if entry.cloud:
        return ok(line, check_texts.model_in_cloud(model))
    if retires:
        return warn(line, check_texts.model(model, retires), check_texts.model_fix(model, entry.api_key_variable))
    return ok(line, check_texts.model(model) if entry.needs_key(settings) else check_texts.model_served(model))


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
        fix = check_texts.transcription_fix(entry.api_key_variable, entry.base_url_variable)
        return warn(TRANSCRIPTION, check_texts.transcription_failed(model, reason), fix)
    return ok(TRANSCRIPTION, check_texts.transcribes(model))


def _silence() -> Sound:
    written = io.BytesIO()
    with wave.open(written, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(_RATE)
        sound.writeframes(bytes(2 * _RATE))
    return Sound("clip.wav", "audio/wav", written.getvalue())


def _problems(model: str, lookup: Lookup, entry: VendorEntry) -> Mapping[LookupOutcome, tuple[str, str]]:
    """Returns the message and the remedy for each finding that must be fixed.

    What concerns all models of a vendor names the vendor, so that it is one problem of the report.
    """
    if entry.cloud:
        return _cloud_problems(model, lookup, entry.cloud, entry.base_url_variable)
    vendor = model.partition("/")[0]
    choose = check_texts.model_fix(model, entry.api_key_variable)
    return {
        LookupOutcome.RETIRED: (check_texts.model_retired(model, _day(lookup)), choose),
        LookupOutcome.NO_MODEL: (check_texts.model_missing(model), choose),
        LookupOutcome.KEY_REFUSED: (
            check_texts.key_refused(vendor, lookup.detail),
            check_texts.key_fix(entry.api_key_variable, entry.api_key_page),
        ),
        LookupOutcome.NOT_THE_API: (
            check_texts.not_api(vendor, lookup.detail),
            check_texts.base_url_fix(entry.base_url_variable, entry.base_url),
        ),
        LookupOutcome.UNREACHABLE: (
            check_texts.model_unreachable(vendor, lookup.detail),
            check_texts.model_unreachable_fix(entry.base_url_variable),
        ),
        LookupOutcome.FAILED: (check_texts.model_failed(model, lookup.detail), check_texts.MODEL_FAILED_FIX),
    }


def _cloud_problems(
    model: str, lookup: Lookup, cloud: Cloud, base_url_variable: str
) -> Mapping[LookupOutcome, tuple[str, str]]:
    vendor = model.partition("/")[0]
    place = cloud.region_variable or base_url_variable
    return {
        LookupOutcome.NO_MODEL: (
            check_texts.model_missing_in_cloud(model, lookup.detail),
            check_texts.model_in_cloud_fix(model, place),
        ),
        LookupOutcome.KEY_REFUSED: (
            check_texts.access_refused(model, lookup.detail),
            check_texts.access_fix(cloud.access),
        ),
        LookupOutcome.NO_IDENTITY: (
            check_texts.no_identity(vendor, lookup.detail),
            check_texts.no_identity_fix(cloud.identity, cloud.access),
        ),
        LookupOutcome.UNREACHABLE: (
            check_texts.model_unreachable(vendor, lookup.detail),
            check_texts.model_unreachable_fix(place),
        ),
        LookupOutcome.FAILED: (check_texts.model_failed(model, lookup.detail), check_texts.MODEL_FAILED_FIX),
    }


def _day(lookup: Lookup) -> str:
    return lookup.retires.isoformat() if lookup.retires else ""
