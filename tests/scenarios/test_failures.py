"""Failures of the model, of Slack or of the network: each reply ends with the answer, or with a part and a notice."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from bot.core import texts
from bot.core.actions import ReplyAction
from bot.core.prompt import MESSAGES_OMITTED
from bot.errors import EndReason
from slack_sandbox.faults import FaultSettings
from slack_sandbox.testing.processes import WITHIN_S
from tests.scenarios.answers import press
from tests.scenarios.conftest import EACH_CARRIER, Stage, buttons, says, shown
from tests.streams import speech
from tests.streams.server import ResponseEnd, VendorResponse, VendorServer, refusal

pytestmark = pytest.mark.skips_waits

LONG = "word " * 80
PART = "The first half. "


def part(ending: ResponseEnd, text: str = PART) -> VendorResponse:
    """Returns the first part of an answer whose connection then ends in this way."""
    tokens = speech.tokens(text)
    return VendorResponse(speech.chat(tokens)[: 1 + len(tokens)], ending=ending)


def finished_by(reason: str) -> VendorResponse:
    """Returns half an answer that the vendor ends with this finish reason."""
    return VendorResponse(
        [event.replace(b'"stop"', f'"{reason}"'.encode()) for event in speech.chat(speech.tokens(PART))]
    )


def openai_error(status: int, code: str, **headers: str) -> VendorResponse:
    return refusal(status, {"error": {"message": code, "type": code, "code": code}}, **headers)


WITHOUT_TEXT = {
    "a bad key": (openai_error(401, "invalid_api_key"), EndReason.BAD_KEY),
    "an unknown model": (openai_error(404, "model_not_found"), EndReason.UNKNOWN_MODEL),
    "overloaded for longer than an asker would wait": (openai_error(503, "slow_down"), EndReason.OVERLOADED),
    "a server error that stays": (openai_error(500, "server_error"), EndReason.SERVER_ERROR),
    "a rate limit without a time that stays": (openai_error(429, "rate_limit_exceeded"), EndReason.RATE_LIMITED),
    # By the server's count: a refusal without one isn't blamed on a question as short as these.
    "a context too long": (
        refusal(400, {"error": {"message": "prompt is too long: 250000 tokens > 200000 maximum"}}),
        EndReason.CONTEXT_TOO_LONG,
    ),
    "refused": (openai_error(400, "invalid_prompt"), EndReason.REFUSED),
}

AFTER_SOME_TEXT = {
    "cut": (part(ResponseEnd.CUT), EndReason.CUT),
}


@pytest.mark.bot(admins=frozenset({"U0GRACE", "U0ALAN"}))
async def test_who_is_sent_to_an_admin_reads_who_that_is(stage: Stage) -> None:
    stage.vendor.script(openai_error(401, "invalid_api_key"))
    asked = await stage.mention()
    assert await stage.answers("general", asked) == [
        "I don't have access to test. Ask Alan or Grace to check its credentials."
    ]
    # A mention would notify them.
    assert "<@U0GRACE>" not in str(stage.bots("general", asked)[0].sent_blocks)


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        # Those that are asked again take long; one of them is enough in each run.
        pytest.param(*case, id=name, marks=pytest.mark.long if name.endswith(("wait", "a time that stays")) else ())
        for name, case in WITHOUT_TEXT.items()
    ],
)
@pytest.mark.long(after_row=2)
async def test_failure_before_the_first_word_is_explained_in_a_notice(
    stage: Stage, answer: VendorResponse, failure: EndReason
) -> None:
    stage.vendor.script(answer)
    asked = await stage.mention()
    assert await stage.answers("general", asked, timeout_s=300) == [texts.models.model_failure(failure, "test")]


# A broken stream is one failure, however it breaks (tests/contracts/test_provider.py).
@pytest.mark.parametrize(("answer", "failure"), AFTER_SOME_TEXT.values(), ids=AFTER_SOME_TEXT)
async def test_failure_midway_leaves_the_part_and_a_notice(
    stage: Stage, answer: VendorResponse, failure: EndReason
) -> None:
    stage.vendor.script(answer)
    asked = await stage.mention()
    sentence = texts.models.model_failure(failure, "test", goes_on=True)
    assert await stage.answers("general", asked) == [f"{PART.rstrip()}\n{sentence}"]
    assert len(stage.vendor.requests) == (3 if failure.is_temporary else 1)
    assert (ReplyAction.CONTINUE in buttons(stage.bots("general", asked)[0])) is failure.is_temporary


@pytest.mark.parametrize("carrier", EACH_CARRIER)
async def test_refusal_midway_takes_back_the_part(stage: Stage, carrier: str) -> None:
    stage.vendor.script(replace(finished_by("content_filter"), pause_s=0.5))
    asked = await stage.mention()
    await stage.sandbox.wait_for(lambda: any(PART[:10] in shown(one) for one in stage.bots("general", asked)))
    sentence = texts.models.model_failure(EndReason.REFUSED, "test")
    await stage.sandbox.wait_for(lambda: [shown(one) for one in stage.bots("general", asked)] == [sentence])
    assert len(stage.vendor.requests) == 1


@pytest.mark.parametrize("text", ["", PART], ids=["before the first word", "midway"])
async def test_stalled_model_leaves_its_part_and_a_notice(with_short_stall_timeout: Stage, text: str) -> None:
    with_short_stall_timeout.vendor.script(part(ResponseEnd.HANG) if text else VendorResponse(ending=ResponseEnd.HANG))
    asked = await with_short_stall_timeout.mention()
    sentence = texts.models.model_failure(EndReason.STALLED, "test", goes_on=bool(text))
    whole = f"{text.rstrip()}\n{sentence}".lstrip()
    assert await with_short_stall_timeout.answers("general", asked, timeout_s=300) == [whole]


LOADS_S = 70.0
"""How long a server takes to load a large model: longer than a model may be silent."""


async def test_server_that_loads_its_model_is_waited_for_and_asked_once(stage: Stage) -> None:
    stage.vendor.script(replace(says("The whole answer."), delay_s=LOADS_S))
    asked = await stage.mention()
    assert await stage.answers("general", asked, timeout_s=2 * LOADS_S) == ["The whole answer."]
    assert len(stage.vendor.requests) == 1
    seen = list(map(str, revisions(stage, asked)))
    assert any(texts.models.LOADING in revision for revision in seen)
    assert not [revision for revision in seen if texts.models.TRYING_AGAIN in revision]


async def test_answer_can_be_stopped_while_the_server_loads_its_model(stage: Stage) -> None:
    stage.vendor.script(replace(says("The whole answer."), delay_s=LOADS_S))
    asked = await stage.mention()
    await stage.sandbox.wait_for(lambda: texts.models.LOADING in str(stage.bots("general", asked)), LOADS_S)
    assert await press(stage, stage.bots("general", asked)[0], ReplyAction.STOP) is None
    assert await stage.answers("general", asked) == [texts.answers.STOPPED]
    await asyncio.wait_for(stage.vendor.requests[0].hung_up.wait(), WITHIN_S)


def revisions(stage: Stage, asked: str) -> list[Sequence[dict[str, Any]]]:
    [reply] = stage.bots("general", asked)
    return [revision.sent_blocks for revision in stage.sandbox.revisions("general", reply.ts)]


PASSING = {
    "500": openai_error(500, "server_error"),
    "error in the stream": VendorResponse([b'data: {"error":{"message":"Internal error","code":500}}\n\n']),
    "cut": VendorResponse(speech.chat(["x"])[:1], ending=ResponseEnd.CUT),
}
"""Before the stream, in it, and of the connection. The others are in tests/contracts/test_provider_wrapping.py."""


@pytest.mark.parametrize("failed", PASSING.values(), ids=PASSING.keys())
async def test_failure_that_passes_is_a_status_and_not_an_error(stage: Stage, failed: VendorResponse) -> None:
    stage.vendor.script(failed, failed, says("After all."))
    asked = await stage.mention()
    assert await stage.answers("general", asked) == ["After all."]
    seen = list(map(str, revisions(stage, asked)))
    assert any(texts.models.TRYING_AGAIN in revision for revision in seen)
    assert not [revision for revision in seen if "Please ask again" in revision]


FIRST, REST = (" ".join(f"word{number}" for number in numbers) for numbers in (range(80), range(80, 120)))


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("ending", [ResponseEnd.CUT, ResponseEnd.HANG], ids=["cut", "stalled"])
@pytest.mark.long(after_row=2)
async def test_stream_that_breaks_goes_on_by_itself(
    with_short_stall_timeout: Stage, ending: ResponseEnd, times: int
) -> None:
    stage = with_short_stall_timeout
    parts = [f"{FIRST} ", "and "][:times]
    stage.vendor.script(*(part(ending, text) for text in parts), says(REST))
    asked = await stage.mention()
    whole = "".join(parts) + REST
    assert await stage.answers("general", asked) == [whole]
    bodies = [
        block["text"] for revision in revisions(stage, asked) for block in revision if block["type"] == "markdown"
    ]
    assert all(later.startswith(earlier) for earlier, later in pairwise(bodies)), "nothing shown shrinks"
    assert not [revision for revision in revisions(stage, asked) if "connection to" in str(revision)]
    assert len(stage.vendor.requests) == times + 1
    assert FIRST in str(stage.prompts()[-1])


async def test_short_rate_limit_is_waited_for(stage: Stage) -> None:
    stage.vendor.script(openai_error(429, "rate_limit_exceeded", retry_after="1"), says("After all."))
    assert await stage.answers("general", await stage.mention()) == ["After all."]


@pytest.mark.bot(models=("openai/test", "openai/other"))
async def test_fallback_model_answers_if_the_first_fails_before_its_first_word(
    stage: Stage, vendor: VendorServer
) -> None:
    vendor.script(openai_error(404, "model_not_found"), says("The other model."))
    assert await stage.answers("general", await stage.mention()) == ["The other model."]
    assert [request.body["model"] for request in vendor.requests] == ["test", "other"]


async def test_answer_of_a_server_that_cannot_stream_is_posted(stage: Stage, vendor: VendorServer) -> None:
    vendor.script(VendorResponse([speech.chat_whole("At once.")], content_type="application/json"))
    assert await stage.answers("general", await stage.mention()) == ["At once."]


FAULTS: dict[str, tuple[str, FaultSettings]] = {
    "429s on edits": ("rate_limit", {"times": 2, "retry_after_s": 1}),
    "500s on posts": ("error_500", {"method": "chat.postMessage", "times": 2}),
    "connections dropped before an edit": ("drop_request", {"times": 2}),
    "a post's answer lost": ("lose_response", {"method": "chat.postMessage", "times": 1}),
    "blocks refused": ("refuse", {"times": 1, "error": "invalid_blocks"}),
    "edits refused in both forms": ("refuse", {"times": 2, "error": "invalid_attachments"}),
    "events delivered twice": ("redeliver", {}),
    "acknowledgments lost": ("unacked", {"times": 1}),
}
"""What follows each refused or lost call is in tests/slack and tests/reply."""


@pytest.mark.parametrize(("name", "fault"), FAULTS.values(), ids=FAULTS)
@pytest.mark.long(after_row=3)
async def test_answer_is_shown_once_under_any_slack_fault(stage: Stage, name: str, fault: FaultSettings) -> None:
    root = await stage.sandbox.say("ada", "general", "some context")
    stage.vendor.script(says(LONG, pause_s=0.01))
    stage.sandbox.faults.start(name, **fault)
    await stage.sandbox.say("ada", "general", "@typist why?", root)
    assert await stage.answers("general", root) == [LONG.rstrip()]
    assert len(stage.vendor.requests) == 1


@pytest.mark.parametrize("fault", ["drop_socket", "refresh"])
async def test_question_is_answered_across_lost_connections(stage: Stage, fault: str) -> None:
    stage.sandbox.faults.start(fault)
    asked = await stage.mention()
    assert await stage.answers("general", asked) == ["The whole answer."]


async def test_deleted_reply_is_left_alone_and_its_stream_is_closed(stage: Stage) -> None:
    stage.vendor.script(says("word " * 600, pause_s=0.02))
    asked = await stage.mention()
    (reply,) = await stage.sandbox.wait_for(lambda: stage.bots("general", asked))
    stage.sandbox.faults.start("refuse", error="message_not_found")
    await stage.vendor.request(0)
    await asyncio.wait_for(stage.vendor.requests[0].hung_up.wait(), WITHIN_S)
    assert [message.ts for message in stage.bots("general", asked)] == [reply.ts]


async def test_question_is_answered_without_readable_history(stage: Stage) -> None:
    root = await stage.sandbox.say("ada", "general", "some context")
    stage.sandbox.faults.start("refuse", method="conversations.replies", error="missing_scope")
    await stage.sandbox.say("ada", "general", "@typist why?", root)
    assert await stage.answers("general", root) == ["The whole answer."]
    assert stage.prompts() == [[{"role": "user", "content": f"{MESSAGES_OMITTED}\n\nwhy?"}]]
