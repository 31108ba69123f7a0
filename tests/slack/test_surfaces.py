"""Questions that the bot posts for people, as they are found again in Slack, and responses that Slack refuses."""

import logging
from dataclasses import replace

import pytest

from bot.core.actions import ActionResponse
from bot.core.conversation import ThreadKey
from bot.core.job import MessageQuestion, QuotedMessage
from tests.clocks import InstantClock
from tests.slack.workspaces import connected_workspace


async def test_post_of_somebody_else_is_never_taken_for_a_posted_question() -> None:
    async with connected_workspace(InstantClock(), subscribed=frozenset()) as (sandbox, workspace):
        root = await sandbox.say("grace", "general", "One")
        about = QuotedMessage("C0GENERAL", root, root, "One", "")
        question = MessageQuestion(sandbox.team_id, "V1", "U0ADA", about, "Why?", 0.0)
        _, ts = await workspace.surfaces.post_question(question, lambda: True, elsewhere=False)
        posted = sandbox.workspace.message("C0GENERAL", ts)
        assert await workspace.surfaces.find_question(question, 0.0) == ts
        sandbox.workspace.change(replace(posted, user_id="U0GRACE"), announced=False)
        assert await workspace.surfaces.find_question(question, 0.0) is None


@pytest.mark.parametrize("has_url", [True, False], ids=["its response_url is gone", "they are not in the channel"])
@pytest.mark.parametrize("markdown", ["", "- one"])
async def test_response_that_slack_refuses_is_only_logged(
    has_url: bool, markdown: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected_workspace(InstantClock(), subscribed=frozenset()) as (sandbox, workspace):
        gone = f"{sandbox.api_url.removesuffix('/api/')}/gone" if has_url else ""
        response = ActionResponse("Too late.", markdown)
        with caplog.at_level(logging.WARNING):
            thread = ThreadKey(sandbox.team_id, "C0NOWHERE", None)
            await workspace.surfaces.respond_to_action(thread, "U0ADA", gone, response)
        assert ("response not sent" if has_url else "not shown in the thread") in caplog.text
