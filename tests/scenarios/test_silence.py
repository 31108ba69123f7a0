"""Schedules and new posts with a rule in words: the work comes first, and only an answer is posted."""

import pytest

from bot.core.channel_settings import ChannelSettings
from bot.core.schedules import Proposal, Rule
from bot.core.silence import TOOL_NAME
from bot.slack.views.schedules import ScheduleAction
from bot.store import Stores
from slack_sandbox.workspace import TEAM_ID
from tests.clocks import until_read
from tests.scenarios.conftest import Stage, says
from tests.scenarios.test_read_channel import reads
from tests.scenarios.test_schedule_runs import AT, WORDS, answers, created, posted, posts, run, stored
from tests.scenarios.test_schedules import modal_text, press_in_list
from tests.scenarios.tools import GENERAL, by_results, calls

pytestmark = [
    pytest.mark.skips_waits,
    pytest.mark.usefixtures("with_frequent_looks"),
    pytest.mark.bot(on_disk=True),
]

RULE = "something changed"
RULED = Proposal(WORDS, Rule("UTC", f"0 {AT:%-H} * * *"), only_if=RULE)
REASON = "Nobody has written since the last run."
SILENT = calls("", (TOOL_NAME, {"reason": REASON}))
NEWS = "Grace is waiting for an answer."


async def over(store: Stores, schedule_id: int, runs: int) -> None:
    async def are() -> bool:
        return (await stored(store, schedule_id)).runs == runs

    await until_read(are, f"the end of run {runs}")


async def test_run_posts_only_what_is_worth_it_and_the_list_says_why_not(stage: Stage, another_process: Stores) -> None:
    schedule = await created(another_process, RULED)
    stage.vendor.script(by_results(reads(), SILENT))
    await run(another_process, schedule)
    await over(another_process, schedule.id, 1)
    assert posts(stage) == []
    assert not stage.calls("chat.postMessage", "assistant.threads.setStatus")
    assert f"Post only if this rule applies: {RULE}" in str(stage.vendor.requests[0].body["messages"])

    stage.vendor.script(by_results(reads(), says(NEWS)))
    await run(another_process, schedule)
    post = await posted(stage)
    [answer] = await answers(stage, post)
    assert answer.startswith(NEWS)
    assert len(stage.calls("chat.postMessage")) == 2, "its post, and its whole answer"
    await over(another_process, schedule.id, 2)

    ada = stage.sandbox.client("ada")
    await ada.command("general", "/typist schedules")
    assert "2 runs, 1 with a post" in modal_text(ada)
    await press_in_list(stage, ada, ScheduleAction.DETAILS, REASON)


async def test_failed_run_is_posted(stage: Stage, another_process: Stores) -> None:
    schedule = await created(another_process, RULED)
    stage.vendor.script(SILENT, SILENT, says(NEWS))
    await run(another_process, schedule)
    [answer] = await answers(stage, await posted(stage))
    assert answer.startswith(NEWS), "no work, so no silence"
    await over(another_process, schedule.id, 1)
    assert (await stored(another_process, schedule.id)).posts == 1


async def test_new_posts_follow_the_rule_and_mentions_do_not(stage: Stage, another_process: Stores) -> None:
    await another_process.channel_settings.write(TEAM_ID, GENERAL, ChannelSettings(new_posts=True, only_if=RULE))
    stage.vendor.script(by_results(reads(), SILENT))
    quiet = await stage.sandbox.say("grace", "general", "Lunch at noon")
    await stage.sandbox.wait_for(lambda: len(stage.vendor.requests) == 2)
    stage.vendor.script(by_results(reads(), says(NEWS)))
    asked = await stage.sandbox.say("grace", "general", "Who can review my change?")
    [answer] = await stage.answers("general", asked)
    assert answer.startswith(NEWS)
    stage.vendor.script(says("Because."))
    assert await stage.answers("general", await stage.mention()) == ["Because."]
    assert stage.bots("general", quiet) == []
