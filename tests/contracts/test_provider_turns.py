"""Who speaks in a request: people, models, tools and Typist, at vendors that tell them apart (vendor_rules.py)."""

from collections.abc import Sequence

from bot.errors import EndReason
from bot.models.wrappers import Fallback
from bot.services.standalone import Answered, InMemoryConversation, answer
from tests.contracts.cache_rules import beginnings, blocks_of
from tests.contracts.in_process import InProcessVendor
from tests.contracts.notifications import connected
from tests.contracts.vendor_rules import SILENT_ENDS, Vendor
from tests.contracts.vendors import ANTHROPIC, VendorApi
from tests.services.answering import QUESTION
from tests.services.notes import READ, NotesServer
from tests.streams import steps
from tests.streams.server import VendorRequest


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
