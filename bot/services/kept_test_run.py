"""Asks the questions of kept tests again, one by one, and checks the answers, without posting anything."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from bot.core.kept_tests import Check, KeptTest
from bot.errors import CapReached, EndReason
from bot.models.events import Usage
from bot.services.replay import Replay
from bot.store.replays import Given, RecordedQuestion

MAX_TRIES = 3
"""Maximum times that a test is tried before it fails. A model words its answer differently each time."""

log = logging.getLogger(__name__)


async def ask_until_ok(ask: Callable[[], Awaitable[Given]], checks: Sequence[Check]) -> tuple[Given, tuple[Check, ...]]:
    """Asks until an answer passes all checks, up to MAX_TRIES times. Returns the last answer and the checks that it
    fails. An incomplete answer fails all checks."""
    for _ in range(MAX_TRIES):
        now = await ask()
        is_whole = now.end is EndReason.WHOLE
        failed = tuple(check for check in checks if not (is_whole and check.passes(now.text, now.tools)))
        if not failed:
            break
    return now, failed


@dataclass(frozen=True, slots=True)
class TestResult:
    test: KeptTest
    asked: RecordedQuestion
    now: Given
    failed: tuple[Check, ...]

    @property
    def as_json(self) -> dict[str, Any]:
        question = self.asked.job.question
        return {
            "job": self.test.job_id,
            "channel": question.thread.channel_id,
            "passed": not self.failed,
            "failed": [[check.kind, check.value] for check in self.failed],
            "question": question.text,
            "then": self.asked.original.text,
            "now": self.now.text,
            "end": self.now.end,
            "model": self.now.uses[-1].model,
            "tools": self.now.tools,
        }


@dataclass(eq=False)
class KeptTestRun(Replay):
    limit_usd: float = field(kw_only=True)
    spent_usd: float = field(default=0.0, init=False)

    async def estimated_usd(self, tests: Sequence[KeptTest]) -> float:
        """Returns what the tests will cost if each answer uses as many tokens as the kept answer."""
        quota, now = self.answering.quota, self.answering.stores.clock.now()
        uses = await self.replays.uses([test.job_id for test in tests])
        used = [Usage(use.input_tokens or 0, use.output_tokens or 0) for use in uses]
        return sum(quota.prices.cost_usd(quota.models[0], usage, now) or 0.0 for usage in used)

    async def results(self, tests: Sequence[KeptTest]) -> AsyncIterator[TestResult]:
        """Yields the results of tests that can still be run. Raises CapReached and ProviderError."""
        by_job = {test.job_id: test for test in tests}
        async for asked in self.questions(by_job):
            test = by_job[asked.job.id]
            now, failed = await ask_until_ok(partial(self._ask, asked), test.checks)
            log.info("kept test of job %d: failed=%d end=%s", test.job_id, len(failed), now.end)
            yield TestResult(test, asked, now, failed)

    async def _ask(self, asked: RecordedQuestion) -> Given:
        given = await self.ask_again(asked, self._begin)
        self.spent_usd += given.uses[-1].cost_usd or 0.0
        return given

    def _begin(self, most_usd: float) -> None:
        if self.spent_usd + most_usd > self.limit_usd:
            raise CapReached("beyond the limit")
