"""What readers see of a model whose server leaves the marks of its template in the text (vllm#17144, vllm#30651)."""

from tests.scenarios.conftest import PACE_S, Stage, grows, shown
from tests.streams import speech
from tests.streams.server import VendorResponse

THOUGHT = "The user wants the number. A secret plan of many words. " * 4
ANSWER = "The answer is four, and this is why. " * 4


async def test_thought_without_an_opening_mark_leaves_its_message_and_the_next_one_is_not_shown(stage: Stage) -> None:
    text = f"{THOUGHT}</think>{ANSWER}"

    def shows_thought() -> bool:
        return any("secret" in shown(message) for message in stage.bots("general", asked))

    async def is_seen() -> None:
        await stage.sandbox.wait_for(shows_thought)

    stage.vendor.script(grows(text, gates={text.index("</think>"): is_seen}), grows(text))
    asked = await stage.mention()
    assert await stage.answers("general", asked) == [ANSWER.rstrip()]
    later = await stage.mention("and again?")
    assert await stage.answers("general", later) == [ANSWER.rstrip()]
    written = [str(call.arguments) for call in stage.calls("chat.postMessage", "chat.update")]
    assert any("secret" in one for one in written), "the first thought was shown before its end was known"
    assert len(stage.calls("chat.delete")) == 0
    assert not shows_thought()


async def test_call_that_no_tool_was_offered_for_ends_in_a_sentence(stage: Stage) -> None:
    call = '<tool_call>{"name": "delete_all", "arguments": {}}</tool_call>'
    stage.vendor.script(VendorResponse(speech.chat(speech.deltas_of(call, 3)), pause_s=PACE_S))
    [answer] = await stage.answers("general", await stage.mention())
    assert "tool_call" not in answer
    assert "tool" in answer
