"""A model server with a small window: the requests that it gets, and the answers that askers read."""

import json
import re

import pytest

from bot.core.steps import CUT
from bot.settings import Settings
from slack_sandbox.server import Sandbox
from tests.scenarios.conftest import Stage, running, says
from tests.scenarios.tools import Notes, calls, results_in
from tests.streams.server import VendorRequest, VendorResponse, VendorServer, refusal

WINDOW = 4_000


def prompt_words(request: VendorRequest) -> int:
    return len(re.findall(r"\w+", json.dumps(request.body["messages"])))


def serve(request: VendorRequest) -> VendorResponse:
    """Answers if the prompt, a token a word, and the answer's limit fit; else says so as vLLM does."""
    prompt, limit = prompt_words(request), request.body["max_tokens"]
    if prompt + limit <= WINDOW:
        return says("The answer.")
    message = (
        f"This model's maximum context length is {WINDOW} tokens. However, you requested {prompt + limit} tokens "
        f"({prompt} in the messages, {limit} in the completion)."
    )
    return refusal(400, {"object": "error", "message": message, "type": "BadRequestError", "code": 400})


# A window of 4,000 tokens, as small servers have.
async def test_history_and_answer_fit_into_a_window_that_is_learned(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.vendor.script(serve)
    root = await stage.sandbox.say("ada", "general", "We plan a trip.")
    for number in range(30):
        await stage.sandbox.say("ada", "general", f"{number}: {'thought ' * 200}", root)
    await stage.sandbox.say("ada", "general", "@typist where to?", root)
    assert await stage.answers("general", root) == ["The answer."]
    assert "29: thought" in str(stage.vendor.requests[-1].body), "the newest messages are kept"
    asked_before = len(stage.vendor.requests)
    await stage.sandbox.say("ada", "general", "@typist and when?", root)
    assert await stage.answers("general", root, 2) == ["The answer.", "The answer."]
    assert len(stage.vendor.requests) == asked_before + 1, "the window is remembered"
    assert len([record for record in caplog.records if "BOT_HISTORY_TOKENS" in record.getMessage()]) == 1


def serve_any_limit(request: VendorRequest) -> VendorResponse:
    """Answers if the prompt fits, whatever the answer's limit is; else says so as llama.cpp's server does."""
    prompt = prompt_words(request)
    if prompt <= WINDOW:
        return says("The answer.")
    message = f"request ({prompt} tokens) exceeds the available context size ({WINDOW} tokens), try increasing it"
    return refusal(400, {"error": {"code": 400, "message": message, "type": "exceed_context_size_error"}})


async def test_step_is_tried_again_where_a_window_is_learned_after_tools_ran(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings
) -> None:
    notes = Notes(result="thought " * 5_000)

    def use_tool(request: VendorRequest) -> VendorResponse:
        is_read = any(message["role"] == "tool" for message in request.body["messages"])
        response = serve_any_limit(request)
        return response if is_read or response.status != 200 else calls("I'll look.", ("notes__list", {}))

    async with running(settings, tools=notes):
        stage = Stage(sandbox, vendor)
        vendor.script(use_tool)
        root = await sandbox.say("ada", "general", "We plan a trip.")
        for number in range(15):
            await sandbox.say("ada", "general", f"{number}: {'thought ' * 200}", root)
        await sandbox.say("ada", "general", "@typist list them all", root)
        [answer] = await stage.answers("general", root)
    assert answer.startswith("I'll look.\n\nThe answer.")
    assert notes.listed == 1, "no call is made again"
    assert len(vendor.requests) == 3
    [read] = results_in(vendor.requests[-1])
    assert read.startswith("thought")
    assert CUT in read
    assert "14: thought" in str(vendor.requests[-1].body), "the newest messages are kept"
