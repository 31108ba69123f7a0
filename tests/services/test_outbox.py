"""What becomes of an outbox entry after each try, with a manual clock."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest

from bot.core.calls import CallState, Decision, RecordedCall, Step
from bot.core.job import ANSWER_ROLES, Checkpoint, End, Job, MessageRole, RecordedMessage, ts_of
from bot.core.notifications import DueNotification
from bot.core.outbox import (
    COPY_ROLES,
    MAX_TRIES,
    OUTBOX_HOLD_S,
    TRY_TIMEOUT_S,
    OutboxEntry,
    OutboxKind,
    ReplyTarget,
    wait_s,
)
from bot.errors import EndReason, RateLimited, Refusal, Refused, StoreError
from bot.logs import PrivateFormatter
from bot.reply.answer import Answer
from bot.reply.messages import Life, VisibleReply
from bot.reply.outbox_sender import SideMessage
from bot.services.outbox import CHECK_INTERVAL_S, DECISIONS_TIMEOUT_S, MAX_ENTRIES, RETRY_DELAY_S, Outbox
from bot.slack.json_values import Payload
from slack_sandbox.testing.processes import WITHIN_S as TEST_WITHIN_S
from tests.clocks import InstantClock, turns
from tests.core.conversations import recorded_pages
from tests.pictures import below
from tests.services.answering import QUESTION, Accounts, MemoryReplies, MemoryReply, ReplyState
from tests.services.parts import having, stores_of, workspace_of

PAGE_TS = "999991.000000"
WHOLE = End(EndReason.WHOLE)
ENDED = Job(1, QUESTION, 1, messages=recorded_pages(PAGE_TS), checkpoint=Checkpoint("Because.", end=WHOLE))
ENDED = replace(ENDED, record=ENDED.answer_record(WHOLE, "Because."))
FAILED = Refused("chat.delete", "timeout", Refusal.TRANSIENT)


def entry(kind: OutboxKind = OutboxKind.REPLY, tries: int = 1, **more: Any) -> OutboxEntry:
    return OutboxEntry(7, kind, 0.0, tries, 1, 0, QUESTION, (PAGE_TS,), **more)


def reply(shows: ReplyTarget = ReplyTarget.NO_PLACEHOLDER, tries: int = 1) -> OutboxEntry:
    return entry(OutboxKind.REPLY, tries, target=shows)


READY = entry(OutboxKind.SIDE_MESSAGES, mention_due_at=1.0)
ASKS = entry(OutboxKind.SIDE_MESSAGES, mention_due_at=1.0, waits_until=9.0)
MENTIONED = RecordedMessage("6.9", MessageRole.MENTION), RecordedMessage("6.8", MessageRole.LINK)
GONE = ["delete 6.8", "delete 6.9"]
POSTED_TS = "999999.000000"


@dataclass
class Entries:
    """The entries that each look finds, and what became of them."""

    found: list[list[OutboxEntry] | Exception] = field(default_factory=list)
    jobs: list[Job | None] = field(default_factory=list)
    limits: list[int] = field(default_factory=list)
    became: list[float | None] = field(default_factory=list)
    """The delay of an entry that is postponed; None of a complete one."""
    beside: list[RecordedMessage] = field(default_factory=list)
    """What was recorded of messages beside a reply, in order."""
    gone_ts: list[str] = field(default_factory=list)
    pages: list[Sequence[str]] = field(default_factory=list)

    async def claim_due(self, limit: int) -> list[OutboxEntry]:
        self.limits.append(limit)
        if not self.found:
            await asyncio.Event().wait()
        found = self.found.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    async def complete(self, entry: OutboxEntry) -> None:
        self.became.append(None)

    async def record_posting(self, entry: OutboxEntry, message: RecordedMessage) -> bool:
        self.beside.append(message)
        return True

    async def record_posted(self, entry: OutboxEntry, message: RecordedMessage) -> None:
        self.beside.append(message)

    async def record_deleted(self, entry: OutboxEntry, messages: Sequence[RecordedMessage]) -> None:
        self.gone_ts += [message.ts for message in messages]

    async def postpone(self, entry: OutboxEntry, delay_s: float) -> None:
        self.became.append(delay_s)

    async def unshown_end(self, entry: OutboxEntry) -> Job | None:
        return self.jobs.pop(0)

    async def job_awaiting_approval(self, entry: OutboxEntry) -> Job | None:
        return self.jobs.pop(0)

    async def record_messages(self, entry: OutboxEntry, messages: Sequence[RecordedMessage]) -> None:
        self.pages.append(ts_of(messages, *ANSWER_ROLES))


@dataclass
class Sender:
    """Slack, which clears a placeholder as the test says."""

    error: Exception | None = None
    answers: bool = True
    made: list[str] = field(default_factory=list)
    still: Callable[[], bool] = bool

    async def clear(self, entry: OutboxEntry) -> None:
        self.made.append("clear")
        if self.error:
            raise self.error
        if not self.answers:
            await asyncio.Event().wait()

    async def delete(self, entry: OutboxEntry) -> None:
        self.made.append("delete")

    async def delete_if_unanswered(self, entry: OutboxEntry) -> bool:
        self.made.append("remove")
        return self.answers

    async def offer(self, entry: OutboxEntry) -> None:
        self.made.append("offer")

    async def unrecorded_messages(self, entry: OutboxEntry, roles: Collection[MessageRole]) -> Mapping[str, Payload]:
        return {}

    async def post_side_message(self, entry: OutboxEntry, message: SideMessage, still: Callable[[], bool]) -> str:
        self.made.append(f"post {message.role}")
        self.still = still
        return POSTED_TS

    async def delete_side_messages(self, entry: OutboxEntry, ts: Collection[str]) -> None:
        self.made += [f"delete {one}" for one in sorted(ts)]


@dataclass
class CanvasCalls:
    """The calls about canvases and tables, beside the sender's."""

    made: list[str]

    async def copy(self, entry: OutboxEntry, still: Callable[[], bool]) -> None:
        self.made.append(f"copy: {entry.kind}")

    async def delete(self, entry: OutboxEntry) -> None:
        self.made.append("delete canvases")


@dataclass
class DueSchedules:
    """Schedules, of which none is due, or which can't be read."""

    failure: Exception | None = None
    looks: int = 0

    async def begin_due(self, limit: int) -> int:
        self.looks += 1
        if self.failure:
            raise self.failure
        return 0


class NothingDue:
    """Notifications, none of which is due."""

    async def claim_due(self, limit: int, kinds: Collection[str]) -> list[DueNotification]:
        return []


class NoRuns:
    """Runs of schedules, of which as many may begin as there are."""

    def max_runs_to_begin(self) -> int:
        return 1


@dataclass
class QuestionPosts:
    """Posts of questions, each of which has to be tried again after this time."""

    wait_s: float | None = None
    under_way: asyncio.Event = field(default_factory=asyncio.Event)
    can_post: asyncio.Event = field(default_factory=asyncio.Event)

    async def post(self, entry: OutboxEntry) -> float | None:
        self.under_way.set()
        await self.can_post.wait()
        return self.wait_s


@dataclass
class Stage:
    entries: Entries = field(default_factory=Entries)
    sender: Sender = field(default_factory=Sender)
    replies: MemoryReplies = field(default_factory=MemoryReplies)
    clock: InstantClock = field(default_factory=InstantClock)
    question_posts: QuestionPosts = field(default_factory=QuestionPosts)
    schedules: DueSchedules = field(default_factory=DueSchedules)

    def __post_init__(self) -> None:
        canvases = CanvasCalls(self.sender.made)
        entries = {"outbox": self.entries, "notifications": NothingDue()}
        stores = stores_of(**entries, schedules=self.schedules, clock=self.clock)
        slack = {"outbox_sender": self.sender, "scheduler": self.replies, "users": Accounts()}
        workspace = workspace_of(**slack, canvases=SimpleNamespace(can_write=False))
        unused: Any = None
        doubles: Any = (canvases, dict.fromkeys(COPY_ROLES, canvases), self.question_posts, NoRuns())
        self.outbox = Outbox(stores, workspace, (), unused, {}, *doubles)
        self.replies.may_open.set()
        self.replies.may_finish.set()

    async def look(self) -> None:
        """Looks until nothing more is found, and lets what begins go as far as it can."""
        running = asyncio.create_task(self.outbox.run())
        async with asyncio.timeout(TEST_WITHIN_S):
            while self.entries.found or len(self.entries.limits) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0)
        await turns()
        running.cancel()
        await asyncio.wait((running,))


@pytest.mark.parametrize(
    ("error", "tries", "became"),
    [
        (None, 1, None),
        (Refused("chat.delete", "message_not_found", Refusal.MESSAGE_GONE), 1, None),
        (Refused("chat.delete", "token_revoked", Refusal.TOKEN_GONE), 3, wait_s(3)),
        (FAILED, 3, wait_s(3)),
        (ValueError("a bug"), 3, wait_s(3)),
        (RateLimited("chat.delete", 1.0), 3, wait_s(3, was_rate_limited=True)),
        (TimeoutError(), 3, wait_s(3, was_rate_limited=True)),
        (FAILED, MAX_TRIES - 1, wait_s(MAX_TRIES - 1)),
        (FAILED, MAX_TRIES, wait_s(MAX_TRIES)),
        (Refused("chat.delete", "is_archived", Refusal.CHANNEL_GONE), 3, wait_s(3)),
    ],
    ids=str,
)
async def test_failed_entry_is_tried_again_unless_that_is_no_use(
    error: Exception | None, tries: int, became: float | None
) -> None:
    assert wait_s(3) != wait_s(3, was_rate_limited=True)
    stage = Stage(Entries([[reply(tries=tries)]]), Sender(error))
    await stage.look()
    assert stage.entries.became == [became]


async def test_log_lines_of_an_entry_have_its_job(caplog: pytest.LogCaptureFixture) -> None:
    caplog.handler.setFormatter(PrivateFormatter("%(message)s"))
    entries = [replace(reply(), id=number, job_id=10 + number) for number in (1, 2)]
    await Stage(Entries([entries]), Sender(FAILED)).look()
    begins = [line.partition(" (")[0] for line in caplog.text.splitlines()]
    assert sorted(begins) == ["job 11: outbox entry 1", "job 12: outbox entry 2"]


@pytest.mark.parametrize(
    ("entry", "calls"),
    [
        (reply(ReplyTarget.NO_PLACEHOLDER), ["clear"]),
        (reply(ReplyTarget.NOTHING), ["delete", "delete canvases"]),
        (replace(reply(ReplyTarget.NOTHING), side_messages=MENTIONED), ["delete", "delete canvases", *GONE]),
        (
            replace(reply(ReplyTarget.UNLESS_FOLLOWED), side_messages=MENTIONED),
            ["remove", "delete canvases", *GONE],
        ),
        (READY, ["post mention"]),
        (ASKS, ["post ask"]),
        (replace(READY, side_messages=MENTIONED, outdated_messages=MENTIONED[:1], mention_due_at=None), ["delete 6.9"]),
        (replace(ASKS, side_messages=MENTIONED, outdated_messages=MENTIONED), ["delete 6.9", "post ask"]),
        (
            entry(
                OutboxKind.SIDE_MESSAGES,
                side_messages=MENTIONED,
                outdated_messages=MENTIONED,
                target=ReplyTarget.NOTHING,
            ),
            GONE,
        ),
        (entry(OutboxKind.SIDE_MESSAGES, side_messages=MENTIONED, outdated_messages=MENTIONED[1:]), []),
        (entry(OutboxKind.MAKE_CANVAS), ["copy: make_canvas"]),
        (entry(OutboxKind.SHARE_TABLES), ["copy: share_tables"]),
    ],
)
async def test_calls_follow_from_what_an_entry_has_of_the_record(entry: OutboxEntry, calls: list[str]) -> None:
    stage = Stage(Entries([[entry]], [waiting(False)]))
    await stage.look()
    assert (stage.sender.made, stage.entries.became) == (calls, [None])
    assert stage.entries.gone_ts == [message.ts for message in entry.side_messages if f"delete {message.ts}" in calls]


@pytest.mark.parametrize(("entry", "role"), [(READY, MessageRole.MENTION), (ASKS, MessageRole.ASK)])
async def test_mention_is_on_record_before_and_after_it_is_posted(entry: OutboxEntry, role: MessageRole) -> None:
    stage = Stage(Entries([[entry]], [waiting(False)]))
    await stage.look()
    assert stage.entries.beside == [RecordedMessage("", role), RecordedMessage(POSTED_TS, role)]


async def test_nobody_is_reminded_of_what_is_decided_meanwhile() -> None:
    stage = Stage(Entries([[ASKS]], [None]))
    await stage.look()
    assert (stage.sender.made, stage.entries.became) == ([], [None])


@pytest.mark.parametrize("wait_s", [None, 8.0])
async def test_question_is_posted_again_when_its_poster_says(wait_s: float | None) -> None:
    stage = Stage(Entries([[entry(OutboxKind.POST_QUESTION)]]), question_posts=QuestionPosts(wait_s))
    stage.question_posts.can_post.set()
    await stage.look()
    assert stage.entries.became == [wait_s]


async def test_entry_that_was_just_added_is_begun_at_once_and_ends_before_the_process_does() -> None:
    stage = Stage(Entries([[entry(OutboxKind.POST_QUESTION)]]))
    stage.outbox.check_now()
    ending = asyncio.create_task(stage.outbox.end(TEST_WITHIN_S))
    async with asyncio.timeout(TEST_WITHIN_S):
        await stage.question_posts.under_way.wait()
        assert not ending.done()
        stage.question_posts.can_post.set()
        await ending
    assert stage.entries.became == [None]


async def test_end_of_the_process_waits_for_no_entry_for_long() -> None:
    stage = Stage(Entries([[entry(OutboxKind.POST_QUESTION)]]))
    stage.outbox.check_now()
    await stage.outbox.end(0.05)
    assert stage.entries.became == []


async def test_looks_at_once_take_no_more_entries_than_there_is_room_for() -> None:
    stage = Stage(Entries([[entry(OutboxKind.POST_QUESTION)] * MAX_ENTRIES]))
    for _ in range(2):
        stage.outbox.check_now()
        await stage.question_posts.under_way.wait()
    assert stage.entries.limits == [MAX_ENTRIES]


async def test_reply_that_stays_keeps_its_canvases() -> None:
    stage = Stage(Entries([[reply(ReplyTarget.UNLESS_FOLLOWED)]], [ENDED]), Sender(answers=False))
    await stage.look()
    [shown] = stage.replies.opened
    assert (stage.sender.made, shown.end) == (["remove"], below(End(EndReason.WHOLE), "Because."))


@pytest.mark.parametrize("entry", [READY, ASKS])
async def test_process_that_was_paused_tells_nobody(entry: OutboxEntry) -> None:
    stage = Stage(Entries([[entry]], [waiting(False)]))
    await stage.look()
    assert stage.sender.still()
    stage.clock.now_s += TRY_TIMEOUT_S
    assert TRY_TIMEOUT_S < OUTBOX_HOLD_S
    assert not stage.sender.still()


async def test_no_more_entries_are_taken_than_there_is_room_for() -> None:
    stage = Stage(Entries([[reply()] * 3, [reply()], []]), Sender(answers=False))
    await stage.look()
    assert stage.entries.limits == [
        MAX_ENTRIES,
        MAX_ENTRIES - 3,
        MAX_ENTRIES - 4,
        MAX_ENTRIES - 4,
    ]


@pytest.mark.parametrize("error", [StoreError("away"), ValueError("a bug")], ids=str)
async def test_outbox_looks_again_after_a_failure(error: Exception) -> None:
    stage = Stage(Entries([error, [reply()]]))
    await stage.look()
    assert (stage.clock.sleeps[:2], stage.entries.became) == ([RETRY_DELAY_S, CHECK_INTERVAL_S], [None])


@pytest.mark.parametrize(
    ("on_record", "for_outbox", "recorded", "became"),
    [
        (PAGE_TS, None, [], None),
        ("999990.500000", None, [(PAGE_TS,)], None),
        (PAGE_TS, OutboxKind.REPLY, [], wait_s(1)),
    ],
    ids=["shown now", "shown in another message", "not shown"],
)
async def test_end_is_shown_until_slack_has_taken_it(
    on_record: str, for_outbox: OutboxKind | None, recorded: list[Any], became: float | None
) -> None:
    job = replace(ENDED, messages=recorded_pages(on_record))
    stage = Stage(
        Entries([[reply(ReplyTarget.END)]], [job]),
        replies=MemoryReplies(ReplyState(VisibleReply(), outbox_kind=for_outbox)),
    )
    await stage.look()
    [shown] = stage.replies.opened
    assert shown.end == below(End(EndReason.WHOLE), "Because.")
    assert shown.is_abandoned
    assert (stage.entries.pages, stage.entries.became) == (recorded, [became])


async def test_menu_of_an_earlier_answer_waits_until_half_of_the_edits_are_free() -> None:
    tidy = replace(reply(ReplyTarget.END), kind=OutboxKind.TIDY)
    stage = Stage(Entries([[tidy]], [None]))
    stage.outbox = replace(stage.outbox, workspace=having(stage.outbox.workspace, budget=BusyBudget()))
    await stage.look()
    assert stage.entries.became == [wait_s(1, was_rate_limited=True)]
    assert stage.entries.jobs == [None], "nothing is read for it"


class BusyBudget:
    """A budget of which less than half is free."""

    def is_half_free(self, *methods: str) -> bool:
        return False


async def test_nothing_is_shown_of_an_answer_that_was_deleted_meanwhile() -> None:
    stage = Stage(Entries([[reply(ReplyTarget.END)]], [None]))
    await stage.look()
    assert (stage.replies.opened, stage.entries.became) == ([], [None])


def waiting(*decided: bool) -> Job:
    """Returns a job with one call for each, some of which are decided."""
    ready: dict[str, Any] = {"state": CallState.READY, "decision": Decision.APPROVED}
    call = RecordedCall(0, 0, "call_1", "notes__add", {}, "first", CallState.ASKED)
    calls = (replace(call, index=index, **ready if is_decided else {}) for index, is_decided in enumerate(decided))
    return replace(ENDED, steps=(Step(0, 0, (), "m", tuple(calls)),))


@pytest.mark.parametrize(
    ("then", "shown"),
    [
        ([waiting(True, False, False)], [True, False, False]),
        ([waiting(True, True, False), waiting(True, True, False)], [True, True, False]),
        ([None], [True, False, False]),
    ],
    ids=["no other", "another meanwhile", "all are decided"],
)
async def test_decisions_that_come_meanwhile_are_shown_too(then: list[Job | None], shown: list[bool]) -> None:
    stage = Stage(Entries([[reply(ReplyTarget.ASKS)]], [waiting(True, False, False), *then]))
    await stage.look()
    [live] = stage.replies.opened
    assert [ask.decision is not None for ask in live.asks] == shown
    assert (live.is_abandoned, stage.entries.jobs, stage.entries.became) == (True, [], [None])


@pytest.mark.parametrize(("on_record", "recorded"), [(PAGE_TS, []), ("999990.500000", [(PAGE_TS,)])])
async def test_message_that_asks_in_place_of_a_lost_one_is_recorded(on_record: str, recorded: list[Any]) -> None:
    job = replace(waiting(True, False), messages=recorded_pages(on_record))
    stage = Stage(Entries([[reply(ReplyTarget.ASKS)]], [job, None]))
    await stage.look()
    assert (stage.entries.pages, stage.entries.became) == (recorded, [None])


async def test_decision_that_no_edit_shows_in_time_is_shown_later() -> None:
    busy = MemoryReplies(ReplyState(VisibleReply(), life=Life.ABANDONED))
    stage = Stage(Entries([[reply(ReplyTarget.ASKS)]], [waiting(True, False), None]), replies=busy)
    await stage.look()
    assert stage.entries.became == [wait_s(1)]


async def test_decisions_are_shown_for_a_while_only() -> None:
    stage = Stage(Entries([[reply(ReplyTarget.ASKS)]], [waiting(True, False, False), waiting(True, True, False)]))

    class SlowReplies(MemoryReplies):
        async def open(self, answer: Answer, **more: Any) -> MemoryReply:
            stage.clock.now_s += DECISIONS_TIMEOUT_S
            return await super().open(answer, **more)

    slow = SlowReplies(may_open=stage.replies.may_open)
    stage.outbox = replace(stage.outbox, workspace=having(stage.outbox.workspace, scheduler=slow))
    await stage.look()
    assert (len(stage.entries.jobs), stage.entries.became) == (1, [wait_s(1)])


@pytest.mark.parametrize("failure", [None, StoreError("The database is away."), RuntimeError()])
async def test_each_look_begins_due_schedules_and_their_failure_holds_up_no_entry(failure: Exception | None) -> None:
    stage = Stage(Entries([[reply()]]), schedules=DueSchedules(failure))
    await stage.look()
    assert stage.schedules.looks >= 1
    assert stage.sender.made == ["clear"]
