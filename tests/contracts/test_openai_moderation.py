"""OpenAI's moderation: what is asked of it, and what becomes of flagged questions and answers."""

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import Any

import pytest

from bot import settings
from bot.core import texts
from bot.errors import EndReason, SettingsError
from bot.models.events import Citation, Searching, Thinking, ToolCall
from bot.models.prompt import Prompt, ToolDefinition, Turn, WebSearch
from bot.models.registry import open_models
from bot.settings import model_setup
from tests.contracts.notifications import PROMPT, Received, collect
from tests.streams import speech, steps
from tests.streams.server import ResponseEnd, VendorResponse, VendorServer

WORDS = ["How", " to", " pick a lock."]
TEXT = "".join(WORDS)
GOOD = {"type": "moderation_result", "model": "omni", "flagged": False, "categories": {"illicit": False}}
BAD = {**GOOD, "flagged": True, "categories": {"illicit": True, "self-harm/intent": True, "violence": False}}
UNNAMED = {**BAD, "categories": {"Ada's secret": True, "violence": False}}
FAILED = {"type": "error", "code": "server_error", "message": "No."}
Verdicts = Mapping[str, Any]


def verdicts(question: Verdicts = GOOD, answer: Verdicts = GOOD) -> Verdicts:
    return {"moderation": {"input": question, "output": answer}}


def judged(stream: Sequence[bytes], more: Verdicts) -> VendorResponse:
    """Returns a stream of the Responses API whose last event has these verdicts."""
    *before, last = stream
    event = json.loads(last.partition(b"data: ")[2])
    event["response"] |= more
    return VendorResponse([*before, f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()])


def env(server: VendorServer, mode: str, **more: str) -> dict[str, str]:
    at = {"OPENAI_BASE_URL": f"{server.url}/v1", "BOT_OPENAI_API": "responses", "BOT_MODELS": "openai/m"}
    return {**at, "BOT_MODERATION": mode, **more}


async def asked(server: VendorServer, mode: str, prompt: Prompt = PROMPT, **more: str) -> Received:
    async with open_models(model_setup(settings.read(env(server, mode, **more)))) as models:
        return await collect(models, prompt)


@pytest.mark.parametrize("mode", ["score", "block"])
async def test_policy_is_sent_for_question_and_answer(vendor: VendorServer, mode: str) -> None:
    vendor.script(judged(speech.responses(WORDS), verdicts()))
    assert (await asked(vendor, mode)).text == TEXT
    [request] = vendor.requests
    policy = {"input": {"mode": mode}, "output": {"mode": mode}}
    assert request.body["moderation"] == {"model": "omni-moderation-latest", "policy": policy}


@pytest.mark.parametrize(
    ("mode", "more"),
    [("off", {}), ("score", {"BOT_OPENAI_API": "chat"}), ("score", {"BOT_OPENAI_API": "auto"})],
    ids=["off", "Chat Completions", "a compatible server"],
)
async def test_no_policy_is_sent_where_nothing_is_moderated(
    vendor: VendorServer, mode: str, more: dict[str, str]
) -> None:
    vendor.script(VendorResponse(speech.chat(WORDS) if more else speech.responses(WORDS)))
    received = await asked(vendor, mode, PROMPT, **more)
    assert received.deltas == WORDS
    assert "moderation" not in vendor.requests[0].body


class TestScore:
    """Flagged content is shown, and logged by its categories."""

    @pytest.mark.parametrize(
        ("more", "lines"),
        [
            (verdicts(answer=BAD), ["openai/m: moderation flagged the answer: illicit, self-harm/intent"]),
            (verdicts(question=BAD), ["openai/m: moderation flagged the question: illicit, self-harm/intent"]),
            (verdicts(answer=UNNAMED), ["openai/m: moderation flagged the answer: unnamed"]),
            (verdicts(), []),
            (verdicts(FAILED, FAILED), []),
            ({}, []),
        ],
        ids=["answer", "question", "no category of theirs", "nothing", "failed", "absent"],
    )
    async def test_flagged_answer_streams_and_its_categories_are_logged(
        self, vendor: VendorServer, caplog: pytest.LogCaptureFixture, more: Verdicts, lines: list[str]
    ) -> None:
        vendor.script(judged(speech.responses(WORDS), more))
        with caplog.at_level(logging.WARNING, "bot"):
            received = await asked(vendor, "score")
        assert (received.deltas, received.error) == (WORDS, None)
        assert caplog.messages == lines


class TestBlock:
    """Nothing that a model says is shown before both verdicts are good."""

    async def test_answer_comes_in_one_piece_after_its_verdicts(self, vendor: VendorServer) -> None:
        stream = judged(speech.responses(WORDS), verdicts())
        is_held = asyncio.Event()
        last = len(stream.chunks) - 1
        vendor.script(VendorResponse(stream.chunks, gates={last: is_held.wait}))
        async with (
            open_models(model_setup(settings.read(env(vendor, "block")))) as models,
            aclosing(models.stream(PROMPT)) as events,
        ):
            signs = [await anext(events) for _ in WORDS]
            assert signs == [Thinking(len(word)) for word in WORDS]
            is_held.set()
            said = [event async for event in events if isinstance(event, str)]
        assert said == [TEXT]

    @pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])
    @pytest.mark.parametrize(
        ("more", "failure"),
        [
            (verdicts(answer=BAD), EndReason.REFUSED),
            (verdicts(question=BAD), EndReason.REFUSED),
            (verdicts(question=BAD, answer=FAILED), EndReason.REFUSED),
            (verdicts(answer=FAILED), EndReason.UNEXPECTED),
            (verdicts(question={}), EndReason.UNEXPECTED),
            ({}, EndReason.UNEXPECTED),
        ],
        ids=["answer", "question", "question, other failed", "failed", "one absent", "absent"],
    )
    async def test_answer_without_good_verdicts_is_not_shown(
        self, vendor: VendorServer, more: Verdicts, failure: EndReason, streaming: bool
    ) -> None:
        whole = json.dumps(json.loads(speech.responses_whole(TEXT)) | more).encode()
        once = VendorResponse([whole], content_type="application/json")
        vendor.script(judged(speech.responses(WORDS), more) if streaming else once)
        received = await asked(vendor, "block")
        assert (received.deltas, received.others, received.failure) == ([], [], failure)

    def test_reader_sees_that_the_model_declined(self) -> None:
        shown = texts.model_failure(EndReason.REFUSED, "m")
        assert shown == "m declined to answer. Please try rephrasing your question."

    @pytest.mark.parametrize("ending", [ResponseEnd.END, ResponseEnd.CUT])
    async def test_answer_that_is_cut_before_its_verdicts_is_not_shown(
        self, vendor: VendorServer, ending: ResponseEnd
    ) -> None:
        vendor.script(VendorResponse(speech.responses(WORDS)[:-1], ending=ending))
        received = await asked(vendor, "block")
        assert (received.deltas, received.failure) == ([], EndReason.CUT)

    async def test_flagged_answer_shows_no_sources_no_search_and_calls_no_tool(self, vendor: VendorServer) -> None:
        said = steps.message(TEXT, ("https://example.com/locks", "Locks"))
        stream = steps.responses(steps.SEARCH_CALL, said, steps.function_call("c1", "look", "{}"))
        vendor.script(judged(stream, verdicts(answer=BAD)), judged(stream, verdicts()))
        tool = ToolDefinition("look", "Looks.", {"type": "object", "properties": {}})
        prompt = Prompt("", (Turn("user", "Locks?"),), tools=(tool,), web_search=WebSearch())
        flagged = await asked(vendor, "block", prompt)
        assert (flagged.deltas, flagged.failure) == ([], EndReason.REFUSED)
        assert flagged.others == [Searching(), Searching(done=True)]
        good = await asked(vendor, "block", prompt)
        assert good.text == TEXT
        assert Citation("https://example.com/locks", "Locks") in good.others
        assert any(isinstance(part, ToolCall) for part in good.others)

    @pytest.mark.parametrize(
        ("more", "unmoderated"),
        [
            ({"BOT_MODELS": "openai/m,anthropic/c", "ANTHROPIC_API_KEY": "k"}, ["anthropic/c"]),
            ({"OPENAI_BASE_URL": "http://127.0.0.1:1/v1", "BOT_MODELS": "openai/m"}, ["openai/m"]),
            ({"BOT_OPENAI_API": "chat"}, ["openai/gpt-6-luna"]),
            ({"OPENAI_BASE_URL": "https://ours.openai.azure.com/openai/v1/"}, ["openai/gpt-6-luna"]),
            ({"OPENAI_BASE_URL": "https://ours.openai.azure.us/openai/v1/"}, ["openai/gpt-6-luna"]),
            ({}, []),
        ],
        ids=["another vendor", "a compatible server", "Chat Completions", "Azure", "Azure Government", "OpenAI"],
    )
    def test_models_that_nobody_moderates_are_a_problem(self, more: dict[str, str], unmoderated: list[str]) -> None:
        env = {"OPENAI_API_KEY": "k", "BOT_MODERATION": "block", **more}
        problems = []
        try:
            settings.read(env)
        except SettingsError as error:
            problems = error.problems
        assert [problem.split(",")[1].split()[1] for problem in problems] == unmoderated
        assert all(problem.startswith("BOT_MODERATION is block, and ") for problem in problems)
