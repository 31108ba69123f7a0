"""The message shortcut finds a post whose answer was lost, also one that shows late, and never posts twice."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from bot.core.conversation import Question
from bot.core.inbound.triage import Identity
from bot.core.message_question import QUESTION_HOLD_S, MessageQuestion, QuotedMessage
from bot.errors import RateLimited, Refusal, Refused
from bot.services.message_shortcut import LOOKS, MAX_LOOKS, MessageShortcut
from tests.clocks import InstantClock

ABOUT = QuotedMessage("C1", "1.000100", "1.000100", "Deploys are frozen.", "https://hooks.example/1")
LOST = Refused("chat.postMessage", "timeout", Refusal.TRANSIENT)
LIMITED = RateLimited("conversations.replies", 1.0)


@dataclass
class Records:
    """One question, which this process holds."""

    clock: InstantClock
    tries: int
    completed: list[str] = field(default_factory=list)
    postponed: list[float | None] = field(default_factory=list)

    async def begin(self, team_id: str, view_id: str, user_id: str, about: QuotedMessage, text: str) -> MessageQuestion:
        now = self.clock.now()
        due_at = now + QUESTION_HOLD_S
        return MessageQuestion(team_id, view_id, user_id, about, text, now, due_at, self.tries, False, None, False)

    async def complete(self, question: MessageQuestion) -> None:
        self.completed.append(question.view_id)

    async def postpone(self, question: MessageQuestion, delay_s: float | None) -> None:
        self.postponed.append(delay_s)


@dataclass
class Posts:
    """Slack, whose answers to a post and to each look are given."""

    answer: tuple[str, str] | Exception
    looks: list[str | Exception | None]
    made: int = 0

    async def post_question(
        self, question: MessageQuestion, still: Callable[[], bool], *, elsewhere: bool
    ) -> tuple[str, str]:
        self.made += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def find_question(self, question: MessageQuestion, since: float) -> str | None:
        seen = self.looks.pop(0)
        if isinstance(seen, Exception):
            raise seen
        return seen


@dataclass
class Asked:
    """An intake that keeps what it is given."""

    questions: list[Question] = field(default_factory=list)

    async def enqueue(self, event_id: str, question: Question) -> None:
        self.questions.append(question)


async def asked(
    tries: int, answer: tuple[str, str] | Exception, looks: Sequence[str | Exception | None]
) -> tuple[Posts, list[str], Records, InstantClock]:
    """Asks a question; returns Slack, the ts of what was queued, the records and the clock."""
    clock = InstantClock()
    records, posts, intake = Records(clock, tries), Posts(answer, list(looks)), Asked()
    doubles: Any = (records, posts, intake, clock, Identity("T1", "U0BOT", "B0BOT", "typist"))
    shortcut = MessageShortcut(*doubles)
    await shortcut.ask("U1", "V1", ABOUT, "Until when?")
    return posts, [question.ts for question in intake.questions], records, clock


@pytest.mark.parametrize(
    ("looks", "sleeps_s"),
    [
        (["2.000200"], []),
        ([None, "2.000200"], [LOOKS.wait_s(1)]),
        ([LIMITED, "2.000200"], [LOOKS.wait_s(1)]),
        ([LIMITED, None, LIMITED, "2.000200"], [LOOKS.wait_s(1), LOOKS.wait_s(2), LOOKS.wait_s(3)]),
    ],
    ids=["at once", "late", "after a refusal", "late, between refusals"],
)
@pytest.mark.parametrize(
    ("tries", "posts_made"), [(1, 1), (2, 0)], ids=["its answer was lost", "by an earlier process"]
)
async def test_post_that_is_found_is_queued_and_not_made_again(
    looks: Sequence[str | Exception | None], sleeps_s: Sequence[float], tries: int, posts_made: int
) -> None:
    posts, queued, records, clock = await asked(tries, LOST, looks)
    assert (posts.made, queued, records.completed, records.postponed) == (posts_made, ["2.000200"], ["V1"], [])
    assert (clock.sleeps, posts.looks) == (list(sleeps_s), [])


async def test_post_is_made_again_only_once_slack_has_said_twice_that_there_is_none() -> None:
    posts, queued, _, _ = await asked(2, ("C1", "3.000300"), [LIMITED, None, None])
    assert (posts.made, queued, posts.looks) == (1, ["3.000300"], [])


async def test_post_is_not_made_again_while_slack_does_not_say() -> None:
    posts, queued, records, _ = await asked(2, ("C1", "3.000300"), [LIMITED] * MAX_LOOKS)
    assert (posts.made, queued, records.completed) == (0, [], [])
    assert records.postponed == [8.0]
