"""Previous and Next: everybody sees the version that was chosen, in the answer's own messages."""

import pytest

from bot.core.actions import MORE, ReplyAction
from bot.settings import Settings
from slack_sandbox.workspace import Message
from tests.scenarios.answers import answered, on_record, press, reply
from tests.scenarios.conftest import Stage, buttons, footer, says, shown

pytestmark = [pytest.mark.skips_waits, pytest.mark.bot(on_disk=True)]

FIRST = "The **first** answer, with `<!channel>` and [a link](https://example.com/a)."


async def answered_twice(stage: Stage, settings: Settings, first: str = FIRST) -> Message:
    stage.vendor.script(says(first), says("The second."), says("The third."))
    asked, _ = await answered(stage, settings)
    await press(stage, stage.bots("general", asked)[-1], ReplyAction.REGENERATE)
    message = await reply(stage, asked, "The second.")
    await stage.answers("general", asked)
    await on_record(settings)
    return message


async def test_versions_are_swapped_in_the_answers_message(stage: Stage, settings: Settings) -> None:
    message = await answered_twice(stage, settings)
    asked = str(message.thread_ts)
    assert await press(stage, message, ReplyAction.PREVIOUS) is None
    first = await reply(stage, asked, "The **first** answer")
    assert (first.ts, footer(first)) == (message.ts, "test")
    assert [ReplyAction.NEXT in buttons(first), ReplyAction.PREVIOUS in buttons(first)] == [True, False]
    assert not stage.sandbox.workspace.ephemerals
    await stage.sandbox.say("ada", "general", "@typist and then?", asked)
    await stage.answers("general", asked, count=2)
    assert stage.prompts()[-1][1]["content"] == FIRST, "a model reads what people see"
    await stage.sandbox.wait_for(lambda: MORE in buttons(stage.bots("general", asked)[0]))
    assert await press(stage, first, MORE, value=ReplyAction.NEXT) is None
    second = await reply(stage, asked, "The second.")
    assert [option in str(second.blocks) for option in ("'next'", "'previous'")] == [False, True]
    assert stage.sandbox.workspace.notified == []


@pytest.mark.long
async def test_version_of_many_messages_comes_back_whole_and_goes_again(stage: Stage, settings: Settings) -> None:
    long = "".join(f"{number}: line of the first answer\n" for number in range(600))
    message = await answered_twice(stage, settings, long)
    asked = str(message.thread_ts)
    assert await press(stage, message, ReplyAction.PREVIOUS) is None
    whole = await stage.sandbox.wait_for(
        lambda: [text] if long.rstrip() in (text := "\n".join(map(shown, stage.bots("general", asked)))) else []
    )
    assert whole
    last = stage.bots("general", asked)[-1]
    await stage.sandbox.wait_for(lambda: ReplyAction.NEXT in buttons(stage.bots("general", asked)[-1]))
    assert await press(stage, last, ReplyAction.NEXT) is None
    await stage.sandbox.wait_for(lambda: [*map(shown, stage.bots("general", asked))] == ["The second."])
