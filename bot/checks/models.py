"""Checks of models: existence, retirement date, tool calls, and transcription."""

import asyncio
import io
import wave
from contextlib import aclosing
from dataclasses import replace
from datetime import date, timedelta

from bot.checks.report import Finding, fail, ok, skipped, warn
from bot.core import texts
from bot.errors import EndReason, ProviderError
from bot.models.events import Completion, ToolCall
from bot.models.lookups import Lookup, LookupOutcome
from bot.models.prompt import MIN_COUNTED_TOKENS, Prompt, Sound, ToolDefinition, Turn
from bot.models.registry import VENDORS, VendorEntry, open_models, vendor_settings
from bot.models.setup import ModelSetup, VendorSettings
from bot.models.wrappers import LOADS_WITHIN_S
from bot.network import remedy

_PING = ToolDefinition("ping", "Answers pong.", {"type": "object", "properties": {}})
PROBE_TOKENS = 6_000
"""The minimum size of the probe, which exceeds the smallest default context windows. Each of its words is at least one
token in every vocabulary."""
_PROBE_TEXT = f"{'word ' * PROBE_TOKENS}\n\nIgnore these words. Call the tool ping once, now."
_PROBE = Prompt("You test a connection.", (Turn("user", _PROBE_TEXT),), tools=(_PING,))
PROBE_WITHIN_S = LOADS_WITHIN_S
"""Time limit for a probe of a model. The server might have to load the model, and reads a prompt slowly without a
GPU."""
LOOKED_UP_WITHIN_S = 60.0
"""Time limit for a lookup, including importing the vendor's SDK."""
PROBE_LATE_S = 10.0
RETIRES_WITHIN_DAYS = 30


async def probe_model(setup: ModelSetup, model: str) -> Finding:
    """Checks whether a model calls a tool and answers within PROBE_WITHIN_S. Uses PROBE_TOKENS input tokens."""
    loop = asyncio.get_running_loop()
    begun, setup = loop.time(), replace(setup, stall_timeout_s=max(setup.stall_timeout_s, PROBE_WITHIN_S))
    try:
        async with asyncio.timeout(PROBE_WITHIN_S):
            found = await _probe_finding(setup, model)
    except TimeoutError:
        fix = "If its server is loading the model, check again once it has. Otherwise, read the server's log."
        return fail(f"{model} didn't answer within {PROBE_WITHIN_S:.0f} s.", fix)
    took_s = loop.time() - begun
    if not found.passed or took_s < PROBE_LATE_S:
        return found
    late = f"It took {took_s:.0f} s to answer. If its server was loading the model, later answers will start sooner."
    return replace(found, message=f"{found.message} {late}")


async def _probe_finding(setup: ModelSetup, model: str) -> Finding:
    """Asks a model to call a tool at the end of a long prompt. A lookup can't reveal these failures, because servers
    refuse or ignore tools and truncate prompts without an error."""
    called = False
    end: Completion | None = None
    try:
        async with (
            open_models(replace(setup, models=(model,)), patience_s=0.0) as provider,
            aclosing(provider.stream(_PROBE)) as events,
        ):
            async for event in events:
                called = called or isinstance(event, ToolCall)
                end = event if isinstance(event, Completion) else end
    except ProviderError as error:
        if error.reason is EndReason.CONTEXT_TOO_LONG:
            window = f"{error.window_tokens:,} tokens" if error.window_tokens else f"fewer than {PROBE_TOKENS:,} tokens"
            message = f"{model} has a window of {window}, so most of a long thread or tool result won't fit."
            return warn(message, "Give it a larger window: --ctx-size for llama.cpp, --max-model-len for vLLM.")
        if error.reason is not EndReason.EMPTY:
            return _no_answer_finding(model, error, setup)
    if end and end.usage and MIN_COUNTED_TOKENS <= end.usage.input_tokens < PROBE_TOKENS:
        return warn(
            f"{model}: its server read only {end.usage.input_tokens:,} of more than {PROBE_TOKENS:,} tokens: it cuts "
            "off the beginning of long prompts without an error.",
            "Give the model a window of at least 64,000 tokens: OLLAMA_CONTEXT_LENGTH=65536 for Ollama, the context "
            "length for LM Studio.",
        )
    if end and end.max_output_tokens is not None:
        most, wanted = end.max_output_tokens, setup.options.max_output_tokens
        return warn(
            f"{model} supports at most {most:,} output tokens: BOT_MAX_OUTPUT_TOKENS={wanted} is too large.",
            f"Set BOT_MAX_OUTPUT_TOKENS to {most} or less. Until then, Typist will request fewer.",
        )
    if end and end.unparsed == "thoughts":
        return warn(
            f"{model} puts its reasoning into the answer, where readers would see it: its server's reasoning parser "
            "is off.",
            "Turn on the server's parser: --reasoning-parser for vLLM and SGLang, --reasoning-format for llama.cpp.",
        )
    if end and end.substitute_model:
        message = texts.models.another_model_answers(model, end.substitute_model, end.model)
        return warn(message, texts.models.CHOOSE_ANOTHER)
    return ok(f"{model} calls tools.") if called else _no_tools_finding(model, end)


def _no_answer_finding(model: str, error: ProviderError, setup: ModelSetup) -> Finding:
    reason, vendor = _reason_of(error), model.partition("/")[0]
    entry = VENDORS[vendor]
    if error.reason is EndReason.UNREADABLE:
        return fail(f"{model} sent a response that can't be read ({reason}).", f"Check {entry.base_url_variable}.")
    if error.reason is EndReason.OUT_OF_CREDIT:
        is_own = entry.company and entry.is_own_server(vendor_settings(vendor, setup))
        page = f" at {entry.api_key_page.partition('/')[0]}" if is_own else ""
        return fail(f"{model}: the account is out of credit ({error.detail}).", f"Check the account's billing{page}.")
    fix = f"The server gave this reason. To try again: typist ask --model {model} hello"
    return fail(f"{model} didn't answer ({reason}).", fix)


def _reason_of(error: ProviderError) -> str:
    return f"{error.reason}: {error.detail}" if error.detail else str(error.reason)


def _no_tools_finding(model: str, end: Completion | None) -> Finding:
    message = f"{model} didn't call the tool that it was asked to call."
    if end and "tools" in end.refused:
        said = f" Its server says: {end.refusal}" if end.refusal else ""
        message = f"{model} doesn't support tools, so Typist will ask it without them.{said}"
    elif end and end.unparsed == "call":
        message = f"{model} calls tools, but its server returns the calls as text: the server's tool parser is off."
    return warn(
        message,
        "Choose a model that calls tools, or turn on tool calls on its server: --enable-auto-tool-choice and "
        "--tool-call-parser for vLLM, --jinja for llama.cpp.",
    )


async def check_model(setup: ModelSetup, model: str, today: date) -> Finding:
    entry, lookup = VENDORS[model.partition("/")[0]], await _look_up(setup, model, today)
    if lookup.outcome is LookupOutcome.NO_LIST:
        message = f"{model}: the server is reachable, but it doesn't list its models."
        return warn(message, f"To test it: typist ask --model {model} hello")
    settings = vendor_settings(model.partition("/")[0], setup)
    if lookup.outcome is not LookupOutcome.MODEL:
        return fail(*_lookup_problem(model, lookup, entry, settings))
    if entry.cloud:
        return ok(f"{model}: this identity has access to the model.")
    if lookup.retirement_date:
        return _retirement_warning(model, lookup.retirement_date, lookup.replacement)
    if entry.needs_key(settings):
        return ok(f"{model}: the key is accepted, and the model exists.")
    return ok(f"{model}: the server has this model.")


async def check_retirement(setup: ModelSetup, model: str, today: date) -> Finding:
    """Warns about a model that retires within RETIRES_WITHIN_DAYS. The check is skipped if the server doesn't report
    dates."""
    try:
        async with asyncio.timeout(LOOKED_UP_WITHIN_S):
            lookup = await _look_up(setup, model, today)
    except Exception as error:
        return skipped(f"{model}: the lookup failed ({type(error).__name__}).")
    if lookup.retirement_date and today <= lookup.retirement_date <= today + timedelta(RETIRES_WITHIN_DAYS):
        return _retirement_warning(model, lookup.retirement_date, lookup.replacement)
    return ok(f"According to its vendor, {model} won't retire within {RETIRES_WITHIN_DAYS} days.")


async def _look_up(setup: ModelSetup, model: str, today: date) -> Lookup:
    vendor, _, name = model.partition("/")
    return await VENDORS[vendor].look_up(vendor, vendor_settings(vendor, setup), name, today)


def _retirement_warning(model: str, day: date, replacement: str) -> Finding:
    such_as = f", such as {replacement}" if replacement else ""
    return warn(
        f"{model} retires on {day:%B} {day.day}, {day.year}.",
        f"Choose another model in BOT_MODELS before then{such_as}.",
    )


def _lookup_problem(model: str, lookup: Lookup, entry: VendorEntry, settings: VendorSettings) -> tuple[str, str]:
    """Returns the message and remedy for a failed lookup. Messages about a vendor don't name the model, so that each is
    reported only once."""
    vendor, reason, key, base_url = model.partition("/")[0], lookup.detail, entry.api_key_variable, entry.base_url
    choose = f"Choose another model in BOT_MODELS instead of {model}, or check what {key} has access to."
    if " " in model:
        choose = f"Did you mean {model.replace(' ', '-')}? Few servers have model names with spaces. {choose}"
    retired = f"was retired on {lookup.retirement_date.isoformat()}" if lookup.retirement_date else "has been retired"
    address = entry.base_url_variable
    path = " For most servers, the URL must end with /v1." if base_url.endswith("/v1") else ""
    if cloud := entry.cloud:
        address = cloud.region_variable or address
    problems = {
        LookupOutcome.RETIRED: (f"{model} {retired}.", choose),
        LookupOutcome.NO_MODEL: (f"{model} doesn't exist, or the key doesn't have access to it.", choose),
        LookupOutcome.KEY_REFUSED: (
            f"{vendor}: the server doesn't accept the key ({reason}).",
            f"Check {key}. Get a key at {entry.api_key_page}. For another server's key, set {address}."
            if settings.base_url == base_url
            else f"Check that {key} is a key for the server in {address}.",
        ),
        LookupOutcome.NOT_THE_API: (
            f"{vendor}: the base URL returns {reason}, so it isn't the URL of this API.",
            f"Check {address}. The vendor's own URL is {base_url}.{path}",
        ),
        LookupOutcome.UNREACHABLE: (
            f"{vendor}: the server can't be reached ({reason}).",
            remedy(reason, address) or f"Check that the server is running, and check the network, DNS and {address}.",
        ),
        LookupOutcome.REFUSED: (
            f"{model}: the server rejects requests for this model ({reason}).",
            "Follow the server's message. If a gateway requires its own header, add it to "
            f"{vendor.upper()}_CUSTOM_HEADERS.",
        ),
        LookupOutcome.FAILED: (
            f"{model}: the model can't be checked right now ({reason}).",
            "Try again in a few minutes.",
        ),
    }
    if not settings.api_key:
        problems[LookupOutcome.KEY_REFUSED] = (
            (f"{vendor}: the server requires a key, and {key} isn't set."),
            f"Set {key}.",
        )
    if cloud:
        problems |= {
            LookupOutcome.NO_MODEL: (
                f"{model} doesn't exist in this region or resource ({reason}).",
                f"Enable {model} in the cloud's console, choose another one in BOT_MODELS, or check {address}.",
            ),
            LookupOutcome.KEY_REFUSED: (
                f"{model}: this identity doesn't have access ({reason}).",
                f"Grant {cloud.access} to the identity that Typist runs as.",
            ),
            LookupOutcome.NO_IDENTITY: (
                f"{vendor}: this process has no credentials for the cloud ({reason}).",
                f"Run Typist with {cloud.identity}, which .env can't set. The identity needs {cloud.access}.",
            ),
        }
    return problems[lookup.outcome]


async def check_transcription(setup: ModelSetup, model: str) -> Finding:
    """Transcribes a second of silence, which costs almost nothing."""
    # Imported here because it loads OpenAI's SDK.
    from bot.models.transcription import Transcriber

    vendor = model.partition("/")[0]
    try:
        async with aclosing(Transcriber(vendor_settings(vendor, setup), model)) as transcriber:
            await transcriber.transcribe(_silent_recording())
    except ProviderError as error:
        entry = VENDORS[vendor]
        return warn(
            f"{model} couldn't transcribe a test recording ({_reason_of(error)}). Until that's fixed, clips without "
            "Slack's transcript won't be read.",
            f"Check BOT_TRANSCRIBE, {entry.api_key_variable} and {entry.base_url_variable}, or leave BOT_TRANSCRIBE "
            "empty.",
        )
    return ok(f"{model} transcribes recordings.")


def _silent_recording() -> Sound:
    rate, written = 16_000, io.BytesIO()
    with wave.open(written, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(bytes(2 * rate))
    return Sound("clip.wav", "audio/wav", written.getvalue())
