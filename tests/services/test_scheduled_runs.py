"""Scheduled runs: how many begin while people may ask, which are posted, and who hears why one is not."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import pytest

from bot.core.access import UserKind
from bot.core.conversation import Question, ThreadKey
from bot.core.outbox import OutboxEntry
from bot.core.schedules import RUN_REPORT, PauseReason, Proposal, Rule, RunReport, Schedule
from bot.core.texts.access import Denial
from bot.errors import Refusal, Refused
from bot.services.scheduled_runs import CACHE_S, ScheduledRuns
from bot.services.tool_calls import MEMBER_CHECK_TIMEOUT_S
from bot.slack.views.schedules import run_notice
from bot.store import Stores
from bot.store.accounts import Owner
from bot.store.schedules import ScheduleStore
from slack_pacing.budget import RateBudget
from slack_pacing.tests.ledgers import LoneLedger
from tests.clocks import InstantClock, ManualClock
from tests.services.parts import having, workspace_of


@pytest.mark.parametrize(
    ("method", "used", "runs"),
    [("users.info", 0, 1), ("users.info", 49, 1), ("users.info", 50, 0), ("chat.postMessage", 120, 0)],
)
def test_runs_leave_half_of_a_minutes_calls_to_people(method: str, used: int, runs: int) -> None:
    clock = ManualClock()
    budget = RateBudget(LoneLedger(), clock)
    unused: Any = None
    scheduled = ScheduledRuns(unused, workspace_of(budget=budget), unused, unused, unused)
    for number in range(used):
        budget.on_send(method, clock.monotonic(), None, f"C{number}")
        budget.on_end(method, f"C{number}")
    assert scheduled.max_runs_to_begin() == runs
    clock.now_s += 61
    assert scheduled.max_runs_to_begin() == 1


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        (None, PauseReason.MISSED),
        (Refusal.TRANSIENT, PauseReason.MISSED),
        (Refusal.TOKEN_GONE, PauseReason.MISSED),
        (Refusal.FORBIDDEN, PauseReason.FORBIDDEN),
        (Refusal.CHANNEL_GONE, PauseReason.PLACE_GONE),
    ],
)
async def test_run_that_cannot_be_posted_is_skipped_for_what_hinders_it(
    stores: Stores, refusal: Refusal | None, reason: PauseReason
) -> None:
    schedule_id = await stores.schedules.create("T1", "C1", "U1", Proposal("Sum up.", Rule("UTC", "0 9 * * *")))
    assert await stores.schedules.run_now("T1", schedule_id, "U1")
    [entry] = await stores.outbox.claim_due(9)
    unused: Any = None
    await ScheduledRuns(stores, unused, unused, unused, unused).skip_run(entry, refusal)
    assert (await stores.schedules.run(entry.job_id), await reasons(stores)) == (None, [reason])


async def reasons(stores: Stores) -> list[str]:
    """Returns why runs are skipped, of which people are told."""
    told = await stores.notifications.claim_due(9, (RUN_REPORT,))
    return [one.content["skip_reason"] for one in told]


ANY_HOUR = Proposal("Sum up.", Rule("UTC", "0 9 * * *"), accounts=("jira", "wiki"))


@dataclass
class Place:
    """Slack, the servers and the quotas, as they are for the creator of a schedule."""

    kind_: UserKind | None = UserKind.MEMBER
    denied: Denial | None = None
    is_there: bool | Refused = True
    is_used_up: bool = False
    signed_out: str = ""
    has_news_: bool = True
    asked: list[tuple[object, ...]] = field(default_factory=list)
    """What Slack was asked, of which the order doesn't matter."""

    async def kind(self, user_id: str, *, now_within_s: float, max_age_s: float) -> UserKind | None:
        self.asked.append((user_id, now_within_s, max_age_s))
        return self.kind_

    async def denial(self, question: Question) -> Denial | None:
        self.asked.append((question,))
        return self.denied

    async def is_in_channel(self, user_id: str, channel_id: str) -> bool:
        self.asked.append((user_id, channel_id))
        if isinstance(self.is_there, Refused):
            raise self.is_there
        return self.is_there

    async def is_below_caps(self, question: Question) -> bool:
        return not self.is_used_up

    async def is_signed_in(self, owner: Owner) -> bool:
        assert owner in (Owner("T1", "U1", "jira"), Owner("T1", "U1", "wiki"))
        return owner.server != self.signed_out

    async def servers_signed_out_of(self, schedule: Schedule) -> Sequence[str]:
        return [self.signed_out]

    async def has_news(self, channel_id: str, since: float) -> bool:
        self.asked.append((channel_id, since))
        return self.has_news_

    @property
    def sign_ins(self) -> "Place":
        return self

    def runs(self, stores: Stores) -> ScheduledRuns:
        here: Any = self
        return ScheduledRuns(stores, workspace_of(users=here, surfaces=here), here, here, here)


async def due(stores: Stores, proposal: Proposal = ANY_HOUR, channel_id: str = "C1") -> tuple[Schedule, OutboxEntry]:
    """Returns a schedule, and the outbox entry of its run that is due."""
    clock = stores.database.clock
    assert isinstance(clock, InstantClock)
    schedule_id = await stores.schedules.create("T1", channel_id, "U1", proposal)
    clock.now_s += 61
    assert await stores.schedules.run_now("T1", schedule_id, "U1")
    [entry] = await stores.outbox.claim_due(9)
    return await read(stores, schedule_id), entry


GONE = Refused("conversations.members", "channel_not_found", Refusal.CHANNEL_GONE)


@pytest.mark.parametrize(
    ("place", "skipped"),
    [
        (Place(), None),
        (Place(kind_=UserKind.GUEST), PauseReason.NO_ACCESS),
        (Place(denied=Denial.PERSON), PauseReason.NO_ACCESS),
        (Place(is_there=False), PauseReason.NOT_IN_CHANNEL),
        (Place(is_there=GONE), PauseReason.PLACE_GONE),
        (Place(signed_out="jira"), PauseReason.SIGNED_OUT),
        (Place(signed_out="wiki"), PauseReason.SIGNED_OUT),
        (Place(is_used_up=True), PauseReason.QUOTA),
        (Place(is_there=False, signed_out="jira", is_used_up=True), PauseReason.NOT_IN_CHANNEL),
    ],
)
async def test_run_is_posted_unless_something_hinders_it_now(
    stores: Stores, place: Place, skipped: PauseReason | None
) -> None:
    schedule, entry = await due(stores)
    run = await stores.schedules.run(entry.job_id)
    assert run is not None
    admitted = await place.runs(stores).run_to_post(entry)
    assert (admitted, await reasons(stores)) == ((None, [skipped]) if skipped else (run, []))
    stands_for_it = Question(ThreadKey("T1", "C1", None), "", "U1", "", schedule_id=schedule.id)
    assert place.asked[:2] == [("U1", MEMBER_CHECK_TIMEOUT_S, CACHE_S), (stands_for_it,)]
    assert place.asked[2:] == ([] if skipped is PauseReason.NO_ACCESS else [("U1", "C1")])
    assert await place.runs(stores).run_to_post(entry) == admitted, "what is skipped stays so"


@pytest.mark.parametrize(
    ("place", "error"),
    [
        (Place(kind_=None), TimeoutError),
        (Place(denied=Denial.UNKNOWN), TimeoutError),
        (Place(is_there=Refused("conversations.members", "fatal_error", Refusal.TRANSIENT)), Refused),
    ],
)
async def test_run_waits_while_slack_does_not_say_whether_it_may_be_posted(
    stores: Stores, place: Place, error: type[Exception]
) -> None:
    _, entry = await due(stores)
    with pytest.raises(error):
        await place.runs(stores).run_to_post(entry)
    assert await stores.schedules.run(entry.job_id) is not None
    assert await reasons(stores) == []


@pytest.mark.parametrize(("more", "skipped"), [(-1, None), (0, PauseReason.CAP), (1, PauseReason.CAP)])
async def test_run_of_a_day_whose_tokens_are_used_is_skipped(
    stores: Stores, more: int, skipped: PauseReason | None
) -> None:
    _, entry = await due(stores)

    class Used(ScheduleStore):
        async def tokens_used(self, schedule: Schedule, job_id: int) -> tuple[int, int]:
            assert job_id == entry.job_id
            return schedule.day_tokens, schedule.day_tokens + more

    await Place().runs(having(stores, schedules=Used(stores.database))).run_to_post(entry)
    assert await reasons(stores) == ([skipped] if skipped else [])


@pytest.mark.parametrize("only_if_changed", [True, False])
@pytest.mark.parametrize("has_news", [True, False])
async def test_run_only_for_news_is_posted_if_there_are_some_since_the_schedule_began(
    stores: Stores, only_if_changed: bool, has_news: bool
) -> None:
    schedule, entry = await due(stores, Proposal("Sum up.", ANY_HOUR.rule, only_if_changed))
    place = Place(has_news_=has_news)
    admitted = await place.runs(stores).run_to_post(entry)
    assert (admitted is not None) is (has_news or not only_if_changed)
    assert (place.asked[-1] == ("C1", schedule.created_at)) is only_if_changed
    assert await stores.schedules.run(entry.job_id) is not None
    assert await reasons(stores) == []


@pytest.mark.parametrize(
    ("channel_id", "reason", "told"),
    [
        ("C1", PauseReason.MISSED, {"C1": ()}),
        ("C1", PauseReason.CAP, {"C1": (), "U1": ()}),
        ("C1", PauseReason.SIGNED_OUT, {"C1": (), "U1": ("jira",)}),
        ("C1", PauseReason.PLACE_GONE, {"U1": ()}),
        ("D1", PauseReason.MISSED, {"U1": ()}),
        ("D1", PauseReason.SIGNED_OUT, {"U1": ("jira",)}),
    ],
)
async def test_place_reads_why_a_run_is_missing_and_its_creator_of_a_pause(
    stores: Stores, channel_id: str, reason: PauseReason, told: Mapping[str, Sequence[str]]
) -> None:
    schedule, entry = await due(stores, channel_id=channel_id)
    await stores.schedules.skip(schedule, entry.job_id, reason)
    [due_report] = await stores.notifications.claim_due(9, (RUN_REPORT,))
    runs, schedule = Place(signed_out="jira").runs(stores), await read(stores, schedule.id)
    report = RunReport(**due_report.content)
    assert report.skip_reason == reason
    messages = {to: run_notice(schedule, report, servers) for to, servers in told.items()}
    assert await runs.write(due_report.content) == messages
    await stores.schedules.stop("T1", schedule.id, "U1")
    assert await runs.write(due_report.content) == {}, "nobody reads of a schedule that is gone"


async def read(stores: Stores, schedule_id: int) -> Schedule:
    schedule = await stores.schedules.read("T1", schedule_id)
    assert schedule is not None
    return schedule


async def test_nobody_reads_of_a_pause_after_which_the_schedule_was_resumed(stores: Stores) -> None:
    schedule, _ = await due(stores)
    assert await stores.schedules.pause("T1", schedule.id, PauseReason.FAILURES)
    runs, content = Place().runs(stores), asdict(RunReport(schedule.id, 0.0))
    assert [*await runs.write(content)] == ["U1", "C1"]
    assert await stores.schedules.resume("T1", schedule.id, "U1")
    assert await runs.write(content) == {}
