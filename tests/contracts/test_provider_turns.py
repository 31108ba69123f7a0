"""Who speaks in a request: people, models, tools and Typist, at vendors that tell them apart (vendor_rules.py)."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from bot.errors import EndReason
from bot.models.events import TextPart, ToolCall
from bot.models.prompt import ToolResult, Turn
from bot.models.wrappers import Fallback
from bot.services.standalone import Answered, InMemoryConversation, answer
from tests.contracts.cache_rules import beginnings, blocks_of
from tests.contracts.in_process import InProcessVendor
from tests.contracts.notifications import PROMPT, collect, connected
from tests.contracts.test_provider_tool_search import own
from tests.contracts.vendor_rules import PHASES, SILENT_ENDS, Vendor
from tests.contracts.vendors import ANTHROPIC, RESPONSES, VendorApi, unsupported
from tests.services.answering import QUESTION
from tests.services.notes import READ, NotesServer
from tests.streams import steps
from tests.streams.server import VendorRequest, VendorResponse


async def answered(api: VendorApi, in_process: InProcessVendor, notes: NotesServer) -> Answered:
    async with connected(api, in_process) as model:
        return await answer(QUESTION, InMemoryConversation(), Fallback([model]), notes)


def lists(request: VendorRequest) -> Sequence[steps.Item]:
    """Lists notes before all else."""
    has_listed = "'tool_result'" in str(request.body)
    return [steps.text("There are three.") if has_listed else steps.tool_use("c0", READ, {})]


async def test_model_that_says_nothing_about_results_is_asked_to_go_on(in_process: InProcessVendor) -> None:
    in_process.script(Vendor([SILENT_ENDS], lists))
    notes = NotesServer()
    done = await answered(ANTHROPIC, in_process, notes)
    assert (done.text, done.end.reason, notes.calls) == ("There are three.", EndReason.WHOLE, [(READ, {})])
    _, silent, last = [request.body for request in in_process.requests]
    assert last["messages"][-1] == {"role": "user", "content": "Go on."}, "a new message"
    assert beginnings(blocks_of(last))[:-1] == beginnings(blocks_of(silent))


CALL = ToolCall(0, "c0", READ, {})
SECOND = (Turn("user", "Why?"), Turn("assistant", "Because."), Turn("user", "And how?"))
STEPPED = (
    *SECOND,
    Turn("assistant", "Let me see.", parts=(TextPart("Let me see."), CALL)),
    Turn("user", "None.", parts=(ToolResult("c0", READ, "None."),)),
)


@pytest.mark.parametrize("turns", [SECOND, STEPPED], ids=["a second question", "a step of it"])
async def test_model_knows_which_of_its_messages_were_answers(
    in_process: InProcessVendor, turns: tuple[Turn, ...]
) -> None:
    in_process.script(Vendor([PHASES], lambda request: [steps.message("So.")]))
    async with own(RESPONSES) as model:
        assert (await collect(model, replace(PROMPT, turns=turns))).text == "So."


async def test_older_model_refuses_phases_once_for_all_threads(in_process: InProcessVendor) -> None:
    def answer(request: VendorRequest) -> VendorResponse:
        places = [at for at, item in enumerate(request.body["input"]) if "phase" in item]
        place = f"input[{places[0]}].phase" if places else ""
        return unsupported(f"Unknown parameter: '{place}'.", param=place) if places else RESPONSES.streamed("So.")

    in_process.script(answer)
    async with own(RESPONSES) as model:
        for turns in (STEPPED, SECOND, STEPPED):
            assert (await collect(model, replace(PROMPT, turns=turns))).text == "So."
    assert len(in_process.requests) == 4
