"""Where missed questions are looked for, with which calls, and which of them are answered or offered an answer."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from bot.core.conversation import Message, Question, ThreadKey
from bot.core.sign_in_urls import SignInUrls
from bot.errors import EndReason, RateLimited, Refusal, Refused
from bot.reply.posted import METADATA_EVENT
from bot.services.catching_up import (
    BUDGET_POLL_S,
    CONVERSATION_TYPES,
    LOOK_S,
    MAX_AGE_TO_ANSWER_S,
    MAX_OFFERS,
    MAX_PAGES,
    PAGE_MESSAGES,
    RECENT_S,
    RESERVED_CALLS,
    CatchUp,
)
from bot.slack.history import History
from bot.slack.json_values import Payload
from bot.store import Stores
from bot.store.listening import MARGIN_S, Tally, read_reports
from tests.clocks import InstantClock, turns, until_read
from tests.services.parts import ME, workspace_of

NOW = 1_700_100_000.0
AWAY_S = 10_000.0
OLDEST = NOW - AWAY_S - MARGIN_S
HISTORY, REPLIES, LIST = "conversations.history", "conversations.replies", "users.conversations"
NOTHING: Payload = {"messages": []}
BEFORE = f"{OLDEST - 50:.6f}"
"""The ts of a thread that began before the time in question."""

Answers = Mapping[str, Sequence[Payload | Exception]]
"""What Slack answers in turn, by type of conversations, channel, or channel and thread. Of others it has nothing."""


class OneLook(InstantClock):
    """The time of the first look, which is never over. Other sleeps return at once."""

    async def sleep(self, delay_s: float) -> None:
        if delay_s == LOOK_S:
            await asyncio.Event().wait()
        await super().sleep(delay_s)


@dataclass
class ScriptedSlack:
    """Slack with given answers and, before each call, given calls that are left in the minute."""

    clock: InstantClock
    answers: dict[str, list[Payload | Exception]] = field(default_factory=dict)
    spares: list[int] = field(default_factory=list)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    @property
    def budget(self) -> "ScriptedSlack":
        return self

    def spare_calls(self, method: str) -> int:
        return self.spares.pop(0) if self.spares else RESERVED_CALLS + 1

    async def call(self, method: str, **arguments: Any) -> Payload:
        self.calls.append((method, arguments))
        place = arguments["types"] if method == LIST else arguments["channel"]
        left = self.answers.get(f"{place} {arguments.get('ts', '')}".strip())
        answer = left.pop(0) if left else NOTHING
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def read(self) -> list[str]:
        """The conversations and threads that were read, in their order."""
        return [
            f"{arguments['channel']} {arguments.get('ts', '')}".strip()
            for method, arguments in self.calls
            if method != LIST
        ]


@dataclass
class Absence:
    """A bot that heard nothing for AWAY_S, and hears again now."""

    stores: Stores
    clock: OneLook
    taken: list[tuple[str, bool]] = field(default_factory=list)
    """The ts of the questions that were taken, and whether each is offered an answer."""

    def __post_init__(self) -> None:
        self.slack = ScriptedSlack(self.clock)
        slack: Any = self.slack
        history = History(slack, ME.bot_id, SignInUrls())
        self.workspace = workspace_of(paced=slack, history=history)

    async def receive(self, event_id: str, message: Message, *, offer_first: bool) -> bool:
        """Takes a question, unless its text says that it is known."""
        assert event_id == f"catch-up {message.channel_id} {message.ts}"
        self.taken.append((message.ts, offer_first))
        return "known" not in message.text

    async def asked_before(self, question: Question) -> None:
        await self.stores.question_queue.enqueue(f"Ev{question.ts}", question)

    async def caught_up(self, answers: Answers, hours: int = 12, *, is_over: bool = True) -> Tally | None:
        """Has the bot catch up; returns what it has done, None if it goes on later."""
        self.slack.answers = {place: list(of_place) for place, of_place in answers.items()}
        await self.stores.listening.record_message_time(ME.team_id, NOW - AWAY_S)
        intake: Any = self
        running = asyncio.create_task(CatchUp(self.stores, self.workspace, intake, lambda: NOW, hours).run())
        reports = await until_read(self._reports, "the end", look_s=0.002) if is_over else await self._later()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return reports[0].tally if reports else None

    async def _later(self) -> list[Any]:
        await turns()
        return await self._reports()

    async def _reports(self) -> list[Any]:
        async with self.stores.database.engine.connect() as connection:
            return await read_reports(connection)


@pytest.fixture
async def absence() -> AsyncIterator[Absence]:
    clock = OneLook(NOW)
    stores = await Stores.open("sqlite://", "w1", clock)
    yield Absence(stores, clock)
    await stores.close()


def said(at: float, text: str = f"<@{ME.user_id}> why?", user: str = "U1", **more: object) -> Payload:
    return {"ts": f"{at:.6f}", "user": user, "text": text, **more}


def ours(at: float, end: EndReason | str, question_at: float) -> Payload:
    page = {"question_ts": f"{question_at:.6f}", "version": 1, "page": 1, "shown_chars": 8, "end": end}
    metadata = {"event_type": METADATA_EVENT, "event_payload": page}
    return said(at, "Because.", ME.user_id, bot_id=ME.bot_id, metadata=metadata)


def of_channel(*messages: Payload, **more: object) -> Answers:
    listed: Payload = {"channels": [{"id": "C1"}]}
    return {"public_channel": [listed], "C1": [{"messages": [*messages[::-1]], **more}]}


async def test_places_of_recent_questions_are_read_first_and_then_what_the_bot_is_in_by_type(absence: Absence) -> None:
    absence.clock.now_s = NOW - RECENT_S
    await absence.asked_before(Question(ThreadKey("T1", "C7", None), "1.0", "U1", "too long ago"))
    absence.clock.now_s = NOW
    began_later = f"{OLDEST + 50:.6f}"
    for channel_id, thread_ts, ts in (("C1", BEFORE, NOW - 3), ("C2", began_later, NOW - 2), ("D1", None, NOW - 4)):
        await absence.asked_before(Question(ThreadKey("T1", channel_id, thread_ts), f"{ts:.6f}", "U1", "Why?"))
    of_type: dict[str, list[Payload | Exception]] = {
        "im": [{"channels": [{"id": "D1"}, {"id": "D2"}]}],
        "mpim": [Refused(LIST, "missing_scope", Refusal.FORBIDDEN)],
        "private_channel": [{"channels": [{"id": "G1"}, {}]}],
        "public_channel": [
            {"channels": [{"id": "C1"}, {"id": "C3"}], "response_metadata": {"next_cursor": "more"}},
            {"channels": [{"id": "C4"}]},
        ],
    }
    assert await absence.caught_up(of_type) == Tally(looked_at=8)
    assert absence.slack.read == ["C2", "C1", f"C1 {BEFORE}", "D1", "D2", "G1", "C3", "C4"]
    every = {"exclude_archived": True, "limit": PAGE_MESSAGES}
    assert [call for call in absence.slack.calls if call[0] == LIST] == [
        *[(LIST, {"types": kind, "cursor": None, **every}) for kind in CONVERSATION_TYPES],
        (LIST, {"types": "public_channel", "cursor": "more", **every}),
    ]


@pytest.mark.parametrize(("hours", "oldest"), [(12, OLDEST), (1, NOW - 3_600)])
async def test_pages_go_back_in_a_conversation_and_on_in_a_thread(absence: Absence, hours: int, oldest: float) -> None:
    await absence.asked_before(Question(ThreadKey("T1", "C1", BEFORE), f"{NOW - 3:.6f}", "U1", "Why?"))
    pages: Answers = {
        "C1": [{"messages": [said(NOW - 1), said(NOW - 2)], "has_more": True}, {"messages": [said(NOW - 4)]}],
        f"C1 {BEFORE}": [
            {"messages": [said(OLDEST - 50), said(NOW - 6)], "has_more": True},
            {"messages": [said(NOW - 5)]},
        ],
    }
    assert await absence.caught_up(pages, hours) == Tally(looked_at=2, answered=5)
    assert [ts for ts, _ in absence.taken] == [f"{NOW - ago_s:.6f}" for ago_s in (4, 2, 1, 6, 5)]
    every = {"channel": "C1", "limit": PAGE_MESSAGES, "include_all_metadata": True}
    since = f"{oldest:.6f}"
    assert [call for call in absence.slack.calls if call[0] != LIST] == [
        (HISTORY, {**every, "oldest": since}),
        (HISTORY, {**every, "oldest": since, "latest": f"{NOW - 2:.6f}"}),
        (REPLIES, {**every, "oldest": since, "ts": BEFORE}),
        (REPLIES, {**every, "oldest": f"{NOW - 6:.6f}", "ts": BEFORE}),
    ]


@pytest.mark.parametrize(
    ("pages", "has_more", "read", "unread"),
    [(MAX_PAGES, False, MAX_PAGES, 0), (MAX_PAGES, True, MAX_PAGES, 1), (MAX_PAGES + 1, False, MAX_PAGES, 1)],
)
async def test_conversation_with_more_than_five_pages_counts_as_unread(
    absence: Absence, pages: int, has_more: bool, read: int, unread: int
) -> None:
    numbers = range(1, 1 + pages)
    answers: Sequence[Payload] = [
        {"messages": [said(NOW - number)], "has_more": number < pages or has_more} for number in numbers
    ]
    listed: Answers = {"public_channel": [{"channels": [{"id": "C1"}]}]}
    assert await absence.caught_up({**listed, "C1": answers}) == Tally(1, unread, read)
    assert absence.slack.read == ["C1"] * read


async def test_page_without_anything_new_is_the_last(absence: Absence) -> None:
    again = {"messages": [said(NOW - 1)], "has_more": True}
    assert await absence.caught_up({"im": [{"channels": [{"id": "D1"}]}], "D1": [again] * 3}) == Tally(1, 0, 1)
    assert absence.slack.read == ["D1", "D1"]


ROOT = NOW - 90
THREAD = {"thread_ts": f"{ROOT:.6f}"}
BEGUN = {**THREAD, "latest_reply": f"{NOW - 10:.6f}"}


@pytest.mark.parametrize(
    ("message", "taken"),
    [
        (said(OLDEST), None),
        (said(OLDEST + 0.5), True),
        (said(NOW - MAX_AGE_TO_ANSWER_S - 0.5), True),
        (said(NOW - MAX_AGE_TO_ANSWER_S), False),
        (said(NOW - 1), False),
        (said(NOW - 1, "why?"), None),
        (said(NOW - 1, f"<@{ME.user_id}> stop"), None),
        (said(NOW - 1, bot_id="B9"), None),
        (said(NOW - 1, user="USLACKBOT"), None),
        (said(NOW - 1, user=ME.user_id, bot_id=ME.bot_id), None),
        ({**said(ROOT), **THREAD, "latest_reply": f"{OLDEST:.6f}"}, False),
    ],
)
async def test_persons_mention_is_answered_within_two_hours_and_then_offered_an_answer(
    absence: Absence, message: Payload, taken: bool | None
) -> None:
    tally = await absence.caught_up(of_channel(message))
    assert absence.taken == ([] if taken is None else [(message["ts"], taken)])
    assert tally == Tally(1, 0, int(taken is False), int(taken is True))


@pytest.mark.parametrize(
    ("replies", "taken"),
    [
        ([], [(ROOT, False)]),
        ([said(NOW - 20, "And?")], [(ROOT, False)]),
        ([said(NOW - 20, "And?"), said(NOW - 10, "Because.", "U2")], [(ROOT, True)]),
        ([said(NOW - 20, "Because.", "U2", bot_id="B9")], [(ROOT, False)]),
        ([said(NOW - 20, "Because.", "U2"), said(NOW - 10)], [(NOW - 10, False), (ROOT, True)]),
        ([ours(NOW - 20, EndReason.WHOLE, ROOT)], []),
        ([ours(NOW - 20, EndReason.WHOLE, ROOT), said(NOW - 10)], [(NOW - 10, False)]),
        ([ours(NOW - 20, EndReason.OFFERED, ROOT)], [(ROOT, True)]),
        ([ours(NOW - 20, "", ROOT)], [(ROOT, True)]),
        ([ours(NOW, EndReason.WHOLE, ROOT)], []),
        ([ours(NOW + 1, EndReason.WHOLE, ROOT)], [(ROOT, False)]),
    ],
)
async def test_replies_decide_about_a_mention_that_began_a_thread(
    absence: Absence, replies: Sequence[Payload], taken: Sequence[tuple[float, bool]]
) -> None:
    root = said(ROOT, **BEGUN)
    thread: Answers = {f"C1 {ROOT:.6f}": [{"messages": [root, *({**reply, **THREAD} for reply in replies)]}]}
    await absence.caught_up({**of_channel(root, said(NOW - 5, "why?")), **thread})
    assert absence.taken == [(f"{at:.6f}", offered) for at, offered in taken]
    assert absence.slack.read == ["C1", f"C1 {ROOT:.6f}"]


async def test_mention_in_a_thread_that_mentions_nobody_at_its_root_is_found_last(absence: Absence) -> None:
    root = said(ROOT, "Look.", "U2", **BEGUN)
    also_in_channel = said(NOW - 30, "Nice.", **THREAD)
    thread: Answers = {f"C1 {ROOT:.6f}": [{"messages": [root, said(NOW - 10, **THREAD)]}]}
    tally = await absence.caught_up({**of_channel(root, also_in_channel, said(NOW - 20, "known")), **thread})
    assert absence.slack.read == ["C1", f"C1 {ROOT:.6f}"]
    assert absence.taken == [(f"{NOW - 10:.6f}", False)]
    assert tally == Tally(looked_at=2, answered=1)


async def test_direct_message_needs_no_mention_and_what_intake_knows_is_not_counted(absence: Absence) -> None:
    messages = [said(NOW - 1, "why?"), said(NOW - 2, "known"), said(NOW - 8_000, "known"), said(NOW - 9_000, "what?")]
    tally = await absence.caught_up({"im": [{"channels": [{"id": "D1"}]}], "D1": [{"messages": messages}]})
    assert tally == Tally(looked_at=1, answered=1, offered=1)
    offered = [(messages[3]["ts"], True), (messages[2]["ts"], True)]
    assert absence.taken == [(messages[1]["ts"], False), (messages[0]["ts"], False), *offered]


async def test_each_person_is_offered_answers_to_their_newest_questions_the_oldest_first(absence: Absence) -> None:
    at = [NOW - 9_000 + number for number in range(MAX_OFFERS + 2)]
    of_person = [said(at_s, user="U1") for at_s in at[1:]]
    listed: Answers = {"im": [{"channels": [{"id": "D1"}]}], "public_channel": [{"channels": [{"id": "C1"}]}]}
    in_channel = [*of_person[1::2], said(at[0], user="U2")]
    places: Answers = {"D1": [{"messages": of_person[::2]}], "C1": [{"messages": in_channel}]}
    tally = await absence.caught_up({**listed, **places})
    assert absence.taken == [(f"{at_s:.6f}", True) for at_s in (at[0], *at[2:])]
    assert tally == Tally(looked_at=2, offered=MAX_OFFERS + 1)


@pytest.mark.parametrize(
    ("refused", "unread"),
    [
        (Refused(HISTORY, "not_in_channel", Refusal.FORBIDDEN), 1),
        (Refused(HISTORY, "channel_not_found", Refusal.CHANNEL_GONE), 1),
        (Refused(HISTORY, "token_revoked", Refusal.TOKEN_GONE), None),
        (Refused(HISTORY, "fatal_error", Refusal.TRANSIENT), None),
    ],
    ids=str,
)
async def test_conversation_that_slack_never_gives_is_unread_and_any_other_is_read_later(
    absence: Absence, refused: Refused, unread: int | None
) -> None:
    listed: Answers = {"im": [{"channels": [{"id": "D1"}, {"id": "D2"}]}]}
    places: Answers = {"D1": [refused] * 3, "D2": [{"messages": [said(NOW - 1)]}]}
    tally = await absence.caught_up({**listed, **places}, is_over=unread is not None)
    assert absence.taken == [(f"{NOW - 1:.6f}", False)]
    assert tally == (None if unread is None else Tally(2, unread, 1))


@pytest.mark.parametrize("reason", [Refusal.TOKEN_GONE, Refusal.TRANSIENT])
async def test_nothing_is_read_before_slack_lists_the_conversations(absence: Absence, reason: Refusal) -> None:
    listed: Answers = {"im": [{"channels": [{"id": "D1"}]}], "mpim": [Refused(LIST, "error", reason)] * 3}
    assert await absence.caught_up(listed, is_over=False) is None
    assert absence.slack.read == []


async def test_nothing_is_looked_for_where_it_is_turned_off(absence: Absence) -> None:
    assert await absence.caught_up({}, hours=0) == Tally()
    assert absence.slack.calls == []


async def test_live_answers_have_the_last_calls_of_a_minute_and_the_next_ones_after_a_429(absence: Absence) -> None:
    absence.slack.spares = [RESERVED_CALLS, RESERVED_CALLS - 1, RESERVED_CALLS + 1]
    limited = RateLimited(LIST, 7.0)
    assert await absence.caught_up({"im": [limited, {"channels": []}]}) == Tally()
    assert absence.clock.sleeps == [BUDGET_POLL_S, BUDGET_POLL_S, 2 * limited.retry_after_s, limited.retry_after_s]
    assert [arguments["types"] for _, arguments in absence.slack.calls] == ["im", *CONVERSATION_TYPES]
