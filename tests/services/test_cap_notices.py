"""Notices of caps: which admins are told at which try, and what their chart shows, with a real record."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import pytest

from bot.core import texts
from bot.core.limits.caps import DAY_S, DAYS_IN_CHART, Amount, CapNotice, parse_caps
from bot.core.outbox import OutboxEntry, OutboxKind
from bot.errors import RateLimited, Refusal, Refused, TypistError
from bot.services.cap_notices import CapNotices
from bot.store import Stores
from tests.clocks import InstantClock
from tests.services.answering import QUESTION


@dataclass
class DirectMessages:
    """Slack, which answers the next notice to some admins with an error."""

    errors: dict[str, TypistError] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    charts: list[tuple[str, Sequence[tuple[str, float]]]] = field(default_factory=list)
    """The unit and the days of each."""

    async def tell_admin(
        self, user_id: str, sentence: str, unit: str, daily: Sequence[tuple[str, float]], still: Callable[[], bool]
    ) -> None:
        if error := self.errors.pop(user_id, None):
            raise error
        self.told.append(user_id)
        self.charts.append((unit, daily))


@pytest.fixture
async def stores(stores: Stores) -> Stores:
    await stores.queue.enqueue("Ev1", QUESTION)
    return stores


def notices_of(stores: Stores, slack: DirectMessages) -> CapNotices:
    sender: Any = slack
    return CapNotices(stores.notices, stores.usage, sender, stores.database.clock, ("UC", "UA", "UB"))


def entry(cap: str) -> OutboxEntry:
    [parsed] = parse_caps(cap)
    about = str(CapNotice(parsed, QUESTION.user_id, 80, "2023-11"))
    return OutboxEntry(7, OutboxKind.TELL_ADMINS, 0.0, 1, 1, 0, QUESTION, (), about=about)


@pytest.mark.parametrize(
    ("error", "is_tried_again"),
    [
        (RateLimited("chat.postMessage", 1.0), True),
        (Refused("chat.postMessage", "timeout", Refusal.TRANSIENT), True),
        (Refused("chat.postMessage", "token_revoked", Refusal.TOKEN_GONE), True),
        (Refused("chat.postMessage", "channel_not_found", Refusal.CHANNEL_GONE), False),
    ],
    ids=str,
)
async def test_admin_whom_slack_refuses_holds_up_nobody_and_the_others_are_told_once(
    stores: Stores, error: TypistError, is_tried_again: bool
) -> None:
    slack = DirectMessages({"UB": error})
    notices = notices_of(stores, slack)
    with pytest.raises(type(error)) if is_tried_again else nullcontext():
        await notices.send(entry("user/day=100tokens"), bool)
    assert slack.told == ["UA", "UC"]
    for _ in range(2):
        await notices.send(entry("user/day=100tokens"), bool)
    assert slack.told == ["UA", "UC", *(["UB"] if is_tried_again else [])]


@pytest.mark.parametrize(
    ("cap", "unit", "first", "last"),
    [("user/day=100tokens", texts.TOKENS_UNIT, 70, 90), ("user/day=1usd", texts.DOLLARS_UNIT, 0.25, 0.5)],
)
async def test_chart_shows_two_weeks_in_the_caps_unit(
    stores: Stores, cap: str, unit: str, first: float, last: float
) -> None:
    clock = stores.database.clock
    assert isinstance(clock, InstantClock)
    await stores.usage.count(QUESTION, Amount(70, 0.25), ())
    clock.now_s += (DAYS_IN_CHART - 1) * DAY_S
    await stores.usage.count(QUESTION, Amount(90, 0.5), ())
    slack = DirectMessages()
    await notices_of(stores, slack).send(entry(cap), bool)
    shown, daily = slack.charts[0]
    assert (shown, [used for _, used in daily]) == (unit, [first, *[0] * (DAYS_IN_CHART - 2), last])
