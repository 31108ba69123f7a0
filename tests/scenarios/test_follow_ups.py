"""Follow-ups in a thread: which ones the bot answers, and what happens to those asked during an answer."""

import asyncio

import pytest

from bot.core.prompt import MESSAGES_OMITTED
from bot.services.intake import THANKS_REACTION
from tests.marked import unmarked
from tests.scenarios.conftest import Stage, grows, says
from tests.scenarios.surfaces import ephemerals, queued_placeholders

pytestmark = pytest.mark.skips_waits


async def unanswered(stage: Stage, user: str, text: str, thread: str) -> None:
    """Writes a message in #general and checks that it gets no answer."""
    before = len(stage.bots("general", thread))
    await stage.sandbox.say(user, "general", text, thread)
    await stage.settled()
    assert len(stage.bots("general", thread)) == before


async def test_once_someone_else_writes_only_the_person_answered_last_needs_no_mention(stage: Stage) -> None:
    asked = await stage.mention("what is it?")
    await stage.answers("general", asked)
    await unanswered(stage, "grace", "I think so, too", asked)
    await unanswered(stage, "ada", "and why?", asked)
    await stage.sandbox.say("ada", "general", "@typist and why?", asked)
    await stage.answers("general", asked, count=2)
    await unanswered(stage, "grace", "and for me?", asked)
    await unanswered(stage, "ada", "for all, I think", asked)
    await stage.sandbox.say("ada", "general", "@typist or not?", asked)
    await stage.answers("general", asked, count=3)
    await stage.sandbox.say("ada", "general", "and tomorrow?", asked)
    await stage.answers("general", asked, count=4)


async def test_message_from_before_the_mention_is_no_follow_up_however_late_slack_delivers_it(stage: Stage) -> None:
    root = await stage.sandbox.say("ada", "general", "We plan a trip.")
    await stage.sandbox.say("ada", "general", "Somewhere warm.", root)
    [delivery] = [d for d in stage.sandbox.deliveries if "Somewhere warm." in str(d.payload)]
    await stage.sandbox.say("ada", "general", "@typist where to?", root)
    await stage.answers("general", root)
    stage.sandbox.redeliver(delivery.event_id)
    await unanswered(stage, "grace", "Somewhere cold.", root)
    assert len(stage.bots("general", root)) == 1


async def test_notice_about_a_second_person_says_until_when_no_mention_is_needed(stage: Stage) -> None:
    asked = await stage.mention("what is it?")
    await stage.answers("general", asked)
    await stage.sandbox.say("alan", "general", "@typist and for me?", asked)
    await stage.answers("general", asked, count=2)
    [notice] = await stage.sandbox.wait_for(lambda: ephemerals(stage))
    assert notice == (
        "U0ADA",
        "Other people have joined the conversation here. Mention me if you want an answer.\n\nButton: Stay quiet here.",
    )
    await stage.sandbox.say("alan", "general", "and tomorrow?", asked)
    await stage.answers("general", asked, count=3)
    await unanswered(stage, "grace", "Interesting!", asked)
    await unanswered(stage, "alan", "and next week?", asked)


async def test_queued_questions_of_two_people_are_answered_one_after_another(stage: Stage) -> None:
    are_queued = asyncio.Event()
    stage.vendor.script(grows("First. " * 40, gates={250: are_queued.wait}), says("To Grace."), says("To Ada."))
    asked = await stage.mention("first?")
    await stage.sandbox.wait_for(lambda: stage.bots("general", asked))
    await stage.sandbox.say("grace", "general", "@typist what of mine?", asked)
    await queued_placeholders(stage, 1, "general", asked)
    await stage.sandbox.say("ada", "general", "@typist and mine?", asked)
    placeholders = await queued_placeholders(stage, 2, "general", asked)
    are_queued.set()
    assert await stage.answers("general", asked, count=3) == [("First. " * 40).rstrip(), "To Grace.", "To Ada."]
    assert [message.ts for message in stage.bots("general", asked)][1:] == placeholders
    later = [unmarked(prompt[-1]["content"]) for prompt in stage.prompts()[1:]]
    assert later == ["Grace: what of mine?", "Ada: and mine?"]


async def test_thanks_get_a_reaction_and_agreement_nothing(stage: Stage) -> None:
    asked = await stage.mention("first?")
    await stage.answers("general", asked)
    thanks = await stage.sandbox.say("ada", "general", "Thanks a lot :pray:", asked)
    await unanswered(stage, "ada", "ok, that worked", asked)

    def reactions() -> list[tuple[str, list[str]]]:
        message = next(one for one in stage.sandbox.messages("general", asked) if one.ts == thanks)
        return [(name, list(users)) for name, users in message.reactions]

    await stage.sandbox.wait_for(lambda: reactions() == [(THANKS_REACTION, [stage.sandbox.bot_user_id])])
    assert len(stage.bots("general", asked)) == 1


async def test_thanks_that_slack_takes_no_reaction_to_are_left_alone(stage: Stage) -> None:
    stage.sandbox.faults.start("refuse", method="reactions.add", error="missing_scope")
    asked = await stage.mention("first?")
    await stage.answers("general", asked)
    await unanswered(stage, "ada", "thanks", asked)
    await stage.sandbox.wait_for(lambda: stage.calls("reactions.add"))
    await stage.sandbox.say("ada", "general", "and now?", asked)
    await stage.answers("general", asked, count=2)


@pytest.mark.long
async def test_question_asked_while_a_long_answer_grows_is_answered_below_all_of_its_pages(stage: Stage) -> None:
    is_queued, long = asyncio.Event(), "A line of the answer.\n\n" * 560
    stage.vendor.script(grows(long, gates={250: is_queued.wait}), says("To Grace."))
    asked = await stage.mention("first?")
    await stage.sandbox.wait_for(lambda: stage.bots("general", asked))
    await stage.sandbox.say("grace", "general", "@typist what of mine?", asked)
    [placeholder] = await queued_placeholders(stage, 1, "general", asked)
    is_queued.set()
    *pages, last = await stage.answers("general", asked, count=3)
    assert last == "To Grace."
    assert "".join(pages).count("A line of the answer.") == 560
    assert placeholder not in [message.ts for message in stage.bots("general", asked)]


@pytest.mark.parametrize("is_readable", [True, False])
async def test_queued_questions_at_a_dms_root_are_answered_together(stage: Stage, is_readable: bool) -> None:
    place, are_queued = stage.sandbox.dm("ada"), asyncio.Event()
    stage.vendor.script(grows("First. " * 40, gates={250: are_queued.wait}), says("To all."))
    await stage.sandbox.say("ada", place, "first?")
    await stage.vendor.request(0)
    if not is_readable:
        stage.sandbox.faults.start("refuse", method="conversations.history", error="missing_scope")
    for number, text in enumerate(("second?", "third?", "fourth?"), start=1):
        await stage.sandbox.say("ada", place, text)
        await queued_placeholders(stage, number, place, None)
    are_queued.set()
    await stage.sandbox.wait_for(lambda: len(stage.bots(place)) == 2)
    assert await stage.answers(place, None, count=2) == [("First. " * 40).rstrip(), "To all."]
    asked = "second?\n\nthird?\n\nfourth?"
    if is_readable:
        assert stage.prompts()[1][-1] == {"role": "user", "content": asked}
    else:
        assert stage.prompts()[1] == [{"role": "user", "content": f"{MESSAGES_OMITTED}\n\n{asked}"}]
