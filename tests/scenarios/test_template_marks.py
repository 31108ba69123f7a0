"""What readers see of a model whose server leaves the marks of its template in the text (vllm#30651)."""

from bot.core import texts
from tests.scenarios.conftest import PACE_S, Stage
from tests.streams import speech
from tests.streams.server import VendorResponse


async def test_answer_that_is_only_a_tool_call_is_shown_with_the_servers_setting(stage: Stage) -> None:
    call = '<tool_call>{"name": "delete_all", "arguments": {}}</tool_call>'
    stage.vendor.script(VendorResponse(speech.chat(speech.deltas_of(call, 3)), pause_s=PACE_S))
    [answer] = await stage.answers("general", await stage.mention())
    assert "delete_all" in answer
    assert texts.answers.WROTE_CALL in answer


async def test_reasoning_without_its_opening_mark_is_shown_with_the_servers_setting(stage: Stage) -> None:
    words = "So it is four.\n</think>\n\nIt is four."
    stage.vendor.script(VendorResponse(speech.chat(speech.deltas_of(words, 3)), pause_s=PACE_S))
    [answer] = await stage.answers("general", await stage.mention())
    assert "It is four." in answer
    assert texts.answers.WROTE_THOUGHTS in answer
