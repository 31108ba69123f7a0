"""How notifications are sent: to each recipient once, whatever Slack says and whenever a process dies."""

from typing import Any

import pytest

from bot.core.notifications import Notification
from bot.core.outbox import OUTBOX_HOLD_S, TRY_TIMEOUT_S, wait_s
from bot.errors import RateLimited, Refusal, Refused, TypistError
from bot.slack.blockkit import Json
from bot.store import Stores
from tests.clocks import InstantClock
from tests.services.notified import Recipients

KIND = "of a feature"
SENTENCE = {"text": "A sentence."}


def clock_of(stores: Stores) -> InstantClock:
    clock = stores.database.clock
    assert isinstance(clock, InstantClock)
    return clock


async def write(content: Any) -> dict[str, Json]:
    """Writes the messages of a kind of notification, for three people."""
    return {user_id: {"text": content} for user_id in ("UA", "UB", "UC")}


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
@pytest.mark.parametrize("kind", ["", KIND], ids=["one message", "several recipients"])
async def test_person_whom_slack_refuses_holds_up_nobody_and_is_told_later_if_that_may_succeed(
    stores: Stores, error: TypistError, kind: str, is_tried_again: bool
) -> None:
    slack = Recipients(problems=[error])
    people = [("UA", "A."), ("UB", "A."), ("UC", "A.")]
    content: Any = "A." if kind else {"text": "A."}
    new = [Notification(user_id, "key", content, kind) for user_id in ([""] if kind else ["UA", "UB", "UC"])]
    await stores.notifications.add("T1", *new)
    await slack.get_due(stores, {KIND: write})
    first, *others = people
    assert sorted(slack.read) == others
    clock_of(stores).now_s += wait_s(1, was_rate_limited=True)
    for _ in range(2):
        await slack.get_due(stores, {KIND: write})
        clock_of(stores).now_s += OUTBOX_HOLD_S
    assert slack.read[2:] == ([first] if is_tried_again else [])


@pytest.mark.parametrize("kind", ["", KIND])
async def test_message_whose_response_was_lost_is_looked_for_and_not_sent_again(stores: Stores, kind: str) -> None:
    slack = Recipients(problems=[Refused("chat.postMessage", "timeout", Refusal.TRANSIENT)], loses_responses=True)
    await stores.notifications.add("T1", Notification("" if kind else "UA", "key", "A." if kind else SENTENCE, kind))
    for _ in range(3):
        await slack.get_due(stores, {KIND: write})
        clock_of(stores).now_s += wait_s(3)
    assert len(slack.read) == (3 if kind else 1)


async def test_nobody_is_told_what_is_no_more_to_be_told(stores: Stores) -> None:
    async def nothing(content: Any) -> dict[str, Json]:
        return {}

    slack = Recipients()
    await stores.notifications.add("T1", Notification("", "key", "A.", KIND))
    await slack.get_due(stores, {KIND: nothing})
    clock_of(stores).now_s += OUTBOX_HOLD_S
    await slack.get_due(stores, {KIND: write})
    assert slack.read == []


async def test_process_that_was_paused_tells_nobody(stores: Stores) -> None:
    slack = Recipients()
    await stores.notifications.add("T1", Notification("UA", "key", SENTENCE))
    await slack.get_due(stores)
    assert slack.still()
    clock_of(stores).now_s += TRY_TIMEOUT_S
    assert TRY_TIMEOUT_S < OUTBOX_HOLD_S
    assert not slack.still()
