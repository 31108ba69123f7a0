"""Runs kept tests at a weekly time and after a change, and tells Typist admins about failures (BOT_HOUSE_QUESTIONS).

Each channel's model, prompt and tools have a version. After a run, the versions of its channels are recorded as tested,
so a change is tested once across all processes. A run that was cut short is repeated RETRY_S after its start.
"""

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from bot.core import texts
from bot.core.caps import DAY_S, HOUR_S
from bot.core.channel_settings import ChannelSettings
from bot.core.conversation import Question, ThreadKey, escape, message_link, unescape, without_bot_mention
from bot.core.kept_tests import KeptTest
from bot.core.schedules import Rule
from bot.errors import CapReached
from bot.services.admin_notices import AdminNotices
from bot.services.answering import Answering
from bot.services.kept_test_run import KeptTestRun, TestResult
from bot.services.replay import ReadOnlyTools
from slack_markdown.render import beginning

CHECK_INTERVAL_S = HOUR_S / 4
RETRY_S = 4 * HOUR_S
LIMIT_USD = 10.0
MAX_LISTED_FAILURES = 3
"""Maximum number of failures in a message, whose text Slack limits to 3,000 characters."""
_EXCERPT_CHARS = 120
_KEY_PREFIX, _STARTED_KEY = "house questions", "house questions begun"

log = logging.getLogger(__name__)


@dataclass(eq=False)
class HouseQuestions:
    rule: Rule
    answering: Answering
    admins: AdminNotices
    _next_at: float = field(default=0.0, init=False)

    async def check(self) -> None:
        """Runs the tests that are due. Raises StoreError, RateLimited and ProviderError."""
        stores, team_id = self.answering.stores, self.admins.team_id
        now, known = stores.clock.now(), stores.notifications
        if now < self._next_at:
            return
        self._next_at = min(now + CHECK_INTERVAL_S, self.rule.first_due_after(now))
        if not (tests := await stores.kept_tests.all(team_id)):
            return
        due_at = max(at for at in self.rule.next_times(now - 8 * DAY_S, 2) if at <= now)
        weekly = f"{_KEY_PREFIX} {due_at:.0f}"
        settings = await stores.channel_settings.read_all(team_id)
        versions = {
            channel_id: await self._version(channel_id, settings.get(channel_id, ChannelSettings()))
            for channel_id in {test.channel_id for test in tests}
        }
        if await known.is_known(team_id, "", weekly):
            tested = {one: await known.is_known(team_id, "", key) for one, key in versions.items()}
            tests = [test for test in tests if not tested[test.channel_id]]
        if not tests or not await known.claim(team_id, "", _STARTED_KEY, RETRY_S):
            return
        await self._run(tests)
        for key in {weekly, *(versions[test.channel_id] for test in tests)}:
            await known.claim(team_id, "", key)
        await known.withdraw(team_id, "", _STARTED_KEY)

    async def _version(self, channel_id: str, settings: ChannelSettings) -> str:
        """Returns a key that changes with a channel's model, prompt or tools."""
        answering, place = self.answering, ThreadKey(self.admins.team_id, channel_id, None)
        tools = answering.steps.ports.tools
        offered = (await ReadOnlyTools(tools).definitions(Question(place, "", "", ""))).definitions if tools else ()
        prompt = settings.system_prompt or answering.steps.prompt_settings.system_prompt
        version = [channel_id, settings.model, answering.quota.models, prompt, settings.length, settings.effort]
        version += sorted(f"{tool.name} {tool.definition_hash}" for tool in offered)
        return f"{_KEY_PREFIX} {hashlib.sha256(json.dumps(version).encode()).hexdigest()}"

    async def _run(self, tests: Sequence[KeptTest]) -> None:
        run = KeptTestRun(self.answering, {}, has_tools=True, limit_usd=LIMIT_USD)
        failed, count = list[TestResult](), 0
        log.info("kept tests begin: tests=%d", len(tests))
        stopped = ""
        try:
            async for result in run.results(tests):
                count += 1
                failed += [result] if result.failed else []
        except CapReached:
            stopped = texts.kept_tests.cost_limit_reached(LIMIT_USD)
        if failed or stopped:
            lines = [await self._failure_line(result) for result in failed[:MAX_LISTED_FAILURES]]
            notice = f"{_KEY_PREFIX} failed {self.answering.stores.clock.now():.0f}"
            await self.admins.send(notice, texts.kept_tests.run_report(len(failed), count, lines, stopped))

    async def _failure_line(self, result: TestResult) -> str:
        """Returns a failed test's line, with text only from public channels: admins might not see other channels."""
        workspace, question = self.answering.workspace, result.asked.job.question
        thread = question.thread
        base = await workspace.channel_reader.link_base(thread.channel_id, question.ts)
        link = message_link(base, thread.channel_id, question.ts, thread.thread_ts)
        if await workspace.users.is_private(thread.channel_id) is not False:
            return texts.kept_tests.private_failure(link, len(result.failed))
        checks = [texts.kept_tests.check_text(check.kind, escape(check.value)) for check in result.failed]
        words = unescape(without_bot_mention(question.text, workspace.me.user_id))
        said = words, result.asked.original.text, result.now.text
        return texts.kept_tests.failed_test_line(link, checks, *map(_excerpt, said))


def _excerpt(text: str) -> str:
    return escape(beginning(" ".join(text.split()), _EXCERPT_CHARS))
