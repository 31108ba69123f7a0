"""Traces of answers, as a collector on this machine receives them by OTLP: what belongs together, what is absent."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from aiohttp import web
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import TracerProvider

from bot.settings import Settings
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.processes import WITHIN_S
from tests.forked import forked_bot
from tests.scenarios.answers import rate
from tests.scenarios.conftest import Stage, running, says
from tests.scenarios.tools import Notes, by_results, calls
from tests.streams import speech
from tests.streams.server import VendorResponse, VendorServer

QUESTION, ANSWER = "Quokkas", "Wombats"
"""A word of each text, which occurs nowhere else."""


@dataclass
class Collector:
    url: str = ""
    received: bytes = b""
    spans: list[Span] = field(default_factory=list)
    arrival: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.received += body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.spans += [span for scope in resource.scope_spans for span in scope.spans]
        async with self.arrival:
            self.arrival.notify_all()
        return web.Response(content_type="application/x-protobuf")

    async def wait_for(self, answers: int) -> None:
        """Returns once the spans of so many answers are here."""
        async with asyncio.timeout(WITHIN_S), self.arrival:
            await self.arrival.wait_for(lambda: len(self.traces()) == answers)

    def traces(self) -> list[Sequence[Span]]:
        """Returns the spans of each answer, with that of the answer first."""
        roots = [span for span in self.spans if span.name == "answer"]
        return [
            (root, *(span for span in self.spans if span.trace_id == root.trace_id and span is not root))
            for root in roots
        ]


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.receive)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    collector.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/traces"
    try:
        yield collector
    finally:
        await runner.cleanup()


def attributes(span: Span) -> Mapping[str, str | int]:
    return {pair.key: pair.value.string_value or pair.value.int_value for pair in span.attributes}


async def test_trace_of_an_answer_has_its_requests_and_its_calls_and_no_text(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings
) -> None:
    vendor.script(says(f"{ANSWER} dig burrows."))
    async with collecting() as collector:
        async with running(replace(settings, traces_url=collector.url)):
            stage = Stage(sandbox, vendor)
            channels = ("general", "random")
            asked = [await stage.mention(f"why do {QUESTION} smile?", channel) for channel in channels]
            await asyncio.gather(*map(stage.answers, channels, asked))
        # The bot's end doesn't wait for the collector, which is in the same loop.
        await collector.wait_for(2)
    for answer, *others in collector.traces():
        assert attributes(answer)["typist.end"] == "whole"
        assert {span.parent_span_id for span in others} == {answer.span_id}
        names = [span.name for span in others]
        assert names.count("chat test") == names.count("chat.postMessage") == 1
    jobs = {attributes(answer)["typist.job"] for answer, *_ in collector.traces()}
    assert len(jobs) == 2
    people = [person.id for person in sandbox.workspace.users.values()]
    for private in (QUESTION, ANSWER, sandbox.bot_token, *people, *sandbox.workspace.channels, *asked):
        assert private.encode() not in collector.received


async def test_feedback_is_found_by_the_job_of_its_answer(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings
) -> None:
    vendor.script(says(ANSWER))
    async with collecting() as collector:
        async with running(replace(settings, traces_url=collector.url)):
            stage = Stage(sandbox, vendor)
            asked = await stage.mention()
            await stage.answers("general", asked)
            await rate(stage, asked)
        await collector.wait_for(1)
    [(answer, *_)] = collector.traces()
    given = [attributes(span) for span in collector.spans if span.name == "feedback"]
    job = {"typist.job": attributes(answer)["typist.job"], "typist.feedback": "down"}
    assert given == [job, {**job, "typist.feedback.reason": "wrong"}]


async def test_call_of_a_tool_is_a_span_of_its_answer(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings
) -> None:
    vendor.script(by_results(calls("Let me see. ", ("notes__list", {"text": QUESTION})), says("Three.")))
    async with collecting() as collector:
        async with running(replace(settings, traces_url=collector.url), tools=Notes()):
            stage = Stage(sandbox, vendor)
            await stage.answers("general", await stage.mention())
        await collector.wait_for(1)
    [(answer, *others)] = collector.traces()
    [call] = [span for span in others if span.name.startswith("execute_tool")]
    assert call.parent_span_id == answer.span_id
    assert attributes(call)["gen_ai.tool.name"] == "notes__list"
    assert QUESTION.encode() not in collector.received


async def test_bot_answers_and_ends_in_time_without_a_collector(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings
) -> None:
    async with asyncio.timeout(settings.drain_s):
        async with running(replace(settings, traces_url="http://127.0.0.1:9/v1/traces")):
            stage = Stage(sandbox, vendor)
            assert await stage.answers("general", await stage.mention()) == ["The whole answer."]


def register_a_provider() -> None:
    """Registers a provider for all libraries of this process, as OpenTelemetry's own launcher does."""
    trace.set_tracer_provider(TracerProvider())


@pytest.mark.parametrize("model", ["anthropic/test", "openai/test"])
async def test_vendor_gets_no_trace_id(tmp_path: Path, vendor: VendorServer, model: str) -> None:
    chunks = speech.messages(["Yes."]) if model.startswith("anthropic") else speech.chat(["Yes."])
    vendor.script(VendorResponse(chunks))
    env = {
        "BOT_MODELS": model,
        "ANTHROPIC_API_KEY": "key",
        "ANTHROPIC_BASE_URL": vendor.url,
        "OPENAI_BASE_URL": f"{vendor.url}/v1",
    }
    async with forked_bot(tmp_path, "ask", "why?", env=env, before=register_a_provider) as process:
        assert await process.wait() == 0
    [request] = vendor.requests
    assert {"traceparent", "tracestate", "baggage"}.isdisjoint(name.lower() for name in request.headers)
