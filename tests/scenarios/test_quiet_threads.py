""" "Stay quiet" in a thread, by words or by the button that its starter gets when somebody joins."""

import pytest

from bot.core import texts
from bot.services.engagement import STAY_QUIET
from tests.scenarios.conftest import Stage
from tests.scenarios.surfaces import ephemerals

pytestmark = [pytest.mark.skips_waits, pytest.mark.bot(engagement="everyone", admins=frozenset({"U0GRACE"}))]

JOINED = f"{texts.access.SOMEBODY_JOINED['everyone']}\n\nButton: {texts.access.STAY_QUIET}."


async def says(stage: Stage, user: str, text: str, thread: str) -> None:
    """Writes in a thread of #general, and waits until the bot has taken or ignored it."""
    await stage.sandbox.say(user, "general", text, thread)
    await stage.delivered()


async def told(stage: Stage, *expected: tuple[str, str]) -> None:
    await stage.sandbox.wait_for(lambda: ephemerals(stage) == list(expected))


async def test_thread_is_quieted_by_words_until_its_starter_mentions_the_bot(stage: Stage) -> None:
    asked = await stage.mention("what is it?")
    await stage.answers("general", asked)
    await says(stage, "ada", "@typist stay quiet, please!", asked)
    await told(stage, ("U0ADA", texts.access.QUIET_NOW))
    await says(stage, "ada", "and why?", asked)
    await says(stage, "alan", "@typist and for me?", asked)
    await stage.answers("general", asked, count=2)
    await says(stage, "alan", "and tomorrow?", asked)
    await says(stage, "ada", "@typist and you?", asked)
    await stage.answers("general", asked, count=3)
    await says(stage, "alan", "and now?", asked)
    await stage.answers("general", asked, count=4)
    assert [message.text for message in stage.sandbox.workspace.ephemerals] == [texts.access.QUIET_NOW]
    answered = ["what is it?", "and for me?", "and you?", "and now?"]
    last = [prompt[-1]["content"] for prompt in stage.prompts()]
    assert [text.endswith(question) for text, question in zip(last, answered, strict=True)] == [True] * 4, last


async def test_button_quiets_the_thread_that_somebody_joined(stage: Stage) -> None:
    asked = await stage.mention("what is it?")
    await stage.answers("general", asked)
    await says(stage, "alan", "and for me?", asked)
    await stage.answers("general", asked, count=2)
    await told(stage, ("U0ADA", JOINED))
    [notice] = stage.sandbox.workspace.ephemerals
    assert notice.thread_ts == asked
    assert await stage.sandbox.client("ada").press("general", notice.ts, STAY_QUIET)
    await told(stage, ("U0ADA", texts.access.QUIET_NOW))
    before = len(stage.bots("general", asked))
    await says(stage, "alan", "anybody?", asked)
    still = await stage.mention("still there?", channel="random")
    await stage.answers("random", still)
    assert len(stage.bots("general", asked)) == before
