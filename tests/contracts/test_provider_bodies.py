"""How much is read of a response that is no stream, and of a stream that doesn't end, over real HTTP."""

import asyncio
import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from functools import cache, partial

import pytest

from bot.errors import EndReason
from bot.models import bodies
from bot.models.bodies import MAX_ERROR_BYTES
from bot.models.failures import MAX_WRITTEN_CHARS
from bot.models.lookups import Lookup, LookupOutcome
from bot.models.prompt import ToolDefinition
from bot.models.reading import PIECE_BYTES
from bot.models.registry import VENDORS
from bot.models.setup import VendorSettings
from bot.models.streams import MAX_CALLS
from bot.models.wire import MAX_EVENT_BYTES
from slack_sandbox.testing.processes import WITHIN_S
from tests.contracts.in_process import InProcessVendor
from tests.contracts.notifications import PROMPT, ask
from tests.contracts.vendors import APIS, KEY, VendorApi
from tests.streams import speech, steps
from tests.streams.server import ResponseEnd, VendorResponse, VendorServer

ALL_APIS = pytest.mark.parametrize("api", APIS, ids=str)
UNPACKED_BYTES = 64 * 2**20
MAX_MEMORY_BYTES = 24 * 2**20
"""What a piece of the unpacked body takes on its way, and much less than the whole body."""


@contextmanager
def little_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < MAX_MEMORY_BYTES


ERROR = b'{"error": {"message": "'


def error_of(size_bytes: int, beginning: bytes = ERROR) -> bytes:
    return beginning + b"x" * size_bytes


def packed(status: int, body: bytes, encoding: str, pack: Callable[[bytes], bytes]) -> VendorResponse:
    return VendorResponse([pack(body)], status, "application/json", {"Content-Encoding": encoding})


def twice(body: bytes) -> bytes:
    return gzip.compress(gzip.compress(body))


@cache
def large_body(beginning: bytes, pack: Callable[[bytes], bytes]) -> bytes:
    """Returns a body that unpacks to UNPACKED_BYTES. Packing one takes a quarter of a second."""
    return pack(error_of(UNPACKED_BYTES, beginning))


def large(
    status: int, beginning: bytes, encoding: str = "gzip", pack: Callable[[bytes], bytes] = gzip.compress
) -> VendorResponse:
    return packed(status, large_body(beginning, pack), encoding, bytes)


# ours, run: 200 kB of gzip held the event loop for 10.7 s.
LARGE: dict[str, Callable[[], VendorResponse]] = {
    "gzip": partial(large, 400, ERROR),
    "gzip, a failure that passes": partial(large, 500, ERROR),
    "deflate": partial(large, 429, ERROR, "deflate", zlib.compress),
    "gzip twice": partial(large, 400, ERROR, "gzip, gzip", twice),
    "as it is": lambda: VendorResponse([error_of(2**20)] * 32, 400, "application/json"),
    "without end": lambda: VendorResponse([error_of(2**20)], 400, "application/json", ending=ResponseEnd.HANG),
    "a web page": partial(large, 503, b"<html>"),
    "a redirect": partial(large, 302, b"<html>"),
}


@ALL_APIS
@pytest.mark.parametrize("made", LARGE.values(), ids=LARGE.keys())
@pytest.mark.long(after_row=4)
async def test_body_of_an_error_is_read_to_a_limit(
    vendor: VendorServer, api: VendorApi, made: Callable[[], VendorResponse]
) -> None:
    answer = made()
    async with asyncio.timeout(WITHIN_S):
        with little_memory():
            received = await ask(api, vendor, answer)
    assert received.error is not None
    assert str(answer.status) in received.error.detail


REASON = json.dumps({"error": {"message": "The key is out.", "code": "invalid_api_key"}}).encode()
SMALL = {
    "as it is": VendorResponse([REASON], 403, "application/json"),
    "gzip": packed(403, REASON, "gzip", gzip.compress),
    "deflate": packed(403, REASON, "deflate", zlib.compress),
    "in pieces": VendorResponse([REASON[:9], REASON[9:]], 403, "application/json"),
    "close to the limit": VendorResponse([REASON + b" " * (MAX_ERROR_BYTES - len(REASON))], 403, "application/json"),
}


@ALL_APIS
@pytest.mark.parametrize("answer", SMALL.values(), ids=SMALL.keys())
async def test_error_within_the_limit_is_read_as_it_is(
    vendor: VendorServer, api: VendorApi, answer: VendorResponse
) -> None:
    received = await ask(api, vendor, answer)
    assert received.failure is EndReason.BAD_KEY
    assert received.error is not None
    assert received.error.detail == "403 invalid_api_key The key is out."


@ALL_APIS
@pytest.mark.parametrize(
    "answer",
    [
        VendorResponse([b"{"], 429, "application/json", ending=ResponseEnd.CUT, pause_s=0.01),
        VendorResponse([b"no gzip"], 429, "application/json", {"Content-Encoding": "gzip"}),
        VendorResponse([b"{"], 429, "application/json", ending=ResponseEnd.HANG, ping=b""),
    ],
    ids=["cut", "not packed", "a body that stops"],
)
async def test_error_whose_body_cannot_be_read_has_its_status(
    vendor: VendorServer, api: VendorApi, answer: VendorResponse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "ERROR_WITHIN_S", 0.2)
    assert (await ask(api, vendor, answer)).failure is EndReason.RATE_LIMITED


NO_END = b'{"id": "m", "object": "model", "x": "'


async def look_up(url: str, vendor: str) -> Lookup:
    settings = VendorSettings(KEY, f"{url}/v1" if vendor == "openai" else url)
    return await VENDORS[vendor].look_up(vendor, settings, "m", date(2026, 11, 25))


@pytest.mark.parametrize("name", ["openai", "anthropic"])
@pytest.mark.parametrize(("status", "outcome"), [(500, LookupOutcome.FAILED), (200, LookupOutcome.UNREACHABLE)])
async def test_look_up_reads_no_more_than_an_event(
    vendor: VendorServer, name: str, status: int, outcome: LookupOutcome
) -> None:
    vendor.script(large(status, NO_END))
    with little_memory():
        assert (await look_up(vendor.url, name)).outcome is outcome


@ALL_APIS
async def test_answer_in_one_body_is_read_to_the_length_of_an_event(vendor: VendorServer, api: VendorApi) -> None:
    answer = large(200, NO_END)
    with little_memory():
        received = await ask(api, vendor, answer)
    assert received.failure is EndReason.CUT
    assert received.error is not None
    assert received.error.detail == f"EventTooLongError: more than {MAX_EVENT_BYTES} bytes"


OFFERING = replace(PROMPT, tools=(ToolDefinition("time__now", "The time", {"type": "object"}),))


@ALL_APIS
async def test_answer_ends_as_cut_at_a_limit(in_process: InProcessVendor, api: VendorApi) -> None:
    piece = "word " * 20_000
    deltas = [piece] * (MAX_WRITTEN_CHARS // len(piece) + 2)
    received = await ask(api, in_process, api.streamed(*deltas))
    assert received.failure is EndReason.CUT
    assert received.error is not None
    assert not received.error.is_temporary, "it would be as long again"
    assert MAX_WRITTEN_CHARS - len(piece) <= len(received.text) <= MAX_WRITTEN_CHARS


def calls_of(api: str, count: int) -> list[bytes]:
    match api:
        case "responses":
            return steps.responses(*(steps.function_call(f"c{at}", "time__now", "{}") for at in range(count)))
        case "chat":
            return speech.chat_calls("", *[("time__now", {})] * count)
        case _:
            uses = [steps.tool_use(f"c{at}", "time__now", {}) for at in range(count)]
            return steps.messages(*uses, stop_reason="tool_use")


@ALL_APIS
async def test_step_has_at_most_so_many_calls(in_process: InProcessVendor, api: VendorApi) -> None:
    # ours, run: 3,000 calls of one step held the event loop for 1.9 s.
    taken = await ask(api, in_process, VendorResponse(calls_of(api.name, MAX_CALLS)), prompt=OFFERING)
    assert len(taken.calls) == MAX_CALLS
    refused = await ask(api, in_process, VendorResponse(calls_of(api.name, MAX_CALLS + 1)), prompt=OFFERING)
    assert (refused.failure, refused.calls) == (EndReason.CUT, [])
    assert refused.error is not None
    assert not refused.error.is_temporary


async def test_other_work_goes_on_while_an_answer_comes_at_once(in_process: InProcessVendor) -> None:
    """A gateway's cache sends it whole."""
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    cached = b": ping\n" * 100_000
    working = asyncio.create_task(others())
    await ask(APIS[0], in_process, VendorResponse([cached + b"data: [DONE]\n\n"]))
    working.cancel()
    # The last piece of each chunk needs no pause.
    assert turns >= len(cached) // PIECE_BYTES / 2
