"""What a place keeps for its people, memories and schedules, held to a model through calls in any order.

The model knows no SQL and no transaction: it is lists and what the docstrings promise. Two rules of a full place are
the bot's own functions (`has_room`, `Rule`), which have tables of their own.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from bot.core.caps import DAY_S
from bot.core.conversation import Question, ThreadKey
from bot.core.job import End
from bot.core.memory import RememberOutcome, RememberResult, has_room
from bot.core.outbox import OutboxKind
from bot.core.schedules import (
    DAY_TOKENS,
    GRACE_S,
    MAX_FAILURES,
    MAX_IN_CHANNEL,
    RUN_TOKENS,
    PauseReason,
    Proposal,
    Rule,
    UnusableRule,
    run_id,
)
from bot.errors import EndReason
from bot.store import Stores
from bot.store.schema import HALF_A_YEAR_S, jobs
from tests.clocks import ManualClock
from tests.contracts.stores import by

CHANNELS = ["C1", "D1"]
PEOPLE = ["U1", "U2", "U3"]
TEXTS = ["Tea", "Milk", "Salt", "Rice", "世" * 1_300, "界" * 1_300]
BEGIN = datetime(2026, 3, 27, 9, 10, tzinfo=UTC).timestamp()
"""Two days before Berlin's clocks change, at a time at which a daily rule has just been due."""
RULES = [
    Rule("UTC", "0 9 * * *"),
    Rule("Europe/Berlin", "30 2 * * *"),
    Rule("UTC", "*/30 * * * *"),
]
LATER_S = [60.0, 1_800.0, GRACE_S, GRACE_S + 60.0, DAY_S, 2.5 * DAY_S]
ENDS = [EndReason.STALLED, EndReason.WHOLE, EndReason.STOPPED, EndReason.DENIED]

channels = st.sampled_from(["C1", "C1", "C1", "D1"])
people = st.sampled_from(PEOPLE)
texts = st.sampled_from(TEXTS)
few = st.integers(0, 3)


class Places(RuleBasedStateMachine):
    """The store, with what its subclass is about."""

    database_url: str

    def __init__(self) -> None:
        super().__init__()
        self.runner, self.clock = asyncio.Runner(), ManualClock(BEGIN)
        self.store = self.runner.run(Stores.open(self.database_url, "w1", self.clock))
        self.runner.run(self.store.erasure.erase())

    def teardown(self) -> None:
        self.runner.run(self.store.close())
        self.runner.close()


@dataclass(frozen=True)
class Note:
    number: int
    text: str
    user_id: str
    ts: str
    is_proposed: bool
    is_private: bool
    renewed_at: float
    changed_by: str = ""


class MemoryMachine(Places):
    """Memories of two places. A message is one of four, so that it says things again."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: dict[str, list[Note]] = {channel: [] for channel in CHANNELS}
        self.used: dict[str, set[int]] = {channel: set() for channel in CHANNELS}
        """The numbers that older lists may have."""

    @initialize(texts=st.lists(texts, min_size=2, max_size=6, unique=True))
    def begin(self, texts: list[str]) -> None:
        for number, text in enumerate(texts):
            self.remember("C1", number % 4, PEOPLE[number % 3], text, private=False, proposed=number % 2 == 1)

    @rule(channel=channels, number=few, user=people, text=texts, private=st.booleans(), proposed=st.booleans())
    def remember(self, channel: str, number: int, user: str, text: str, *, private: bool, proposed: bool) -> None:
        question = _question(channel, number, user)
        fresh: dict[str, Any] = {"is_private": private, "renewed_at": self.clock.now_s}
        here = self.notes[channel]
        earlier = None if proposed else next((n for n in here if n.ts == question.ts and not n.is_proposed), None)
        same = [one for one in here if one.text == text]
        after = [*(one.text for one in here if one is not earlier), text]
        found = self.runner.run(self.store.memories.remember(question, text, is_private=private, is_proposed=proposed))
        if (earlier or not same) and not self._fits(here, after):
            assert found == RememberResult(RememberOutcome.FULL, here[0].number)
        elif earlier:
            assert found == RememberResult(RememberOutcome.NEW, earlier.number)
            self._replace(channel, replace(earlier, text=text, changed_by="", **fresh))
        elif same:
            assert found.outcome is RememberOutcome.KNOWN
            [renewed] = [one for one in same if one.number == found.number]
            self._replace(channel, replace(renewed, **fresh))
        else:
            assert found.outcome is RememberOutcome.NEW
            assert found.number not in self.used[channel]
            assert all(one.number < found.number for one in here)
            self.used[channel].add(found.number)
            here.append(Note(found.number, text, user, question.ts, proposed, **fresh))

    @rule(channel=channels, at=few, text=texts)
    def say_again(self, channel: str, at: int, text: str) -> None:
        """Edits a message that has said something, after somebody else has changed what it said."""
        said = [one for one in self.notes[channel] if not one.is_proposed]
        for one in said[at : at + 1]:
            at = self.notes[channel].index(one)
            self.change(channel, "U9", {at: "Changed."}, set())
            self.remember(channel, int(one.ts[-1]), one.user_id, text, private=False, proposed=False)

    @rule(channel=channels, at=few, user=people)
    def forget(self, channel: str, at: int, user: str) -> None:
        number = next((one.number for one in self.notes[channel][at:]), 99)
        forgotten = self.runner.run(self.store.memories.forget(("T1", channel), number, user))
        assert (forgotten is not None) == self._keep(channel, lambda one: one.number != number)

    @rule(channel=channels, number=few, user=people)
    def take_back(self, channel: str, number: int, user: str) -> None:
        question = _question(channel, number, user)
        taken = self.runner.run(self.store.memories.take_back(question, user))
        assert taken == self._keep(channel, lambda one: one.is_proposed or one.ts != question.ts)

    @rule(channel=channels, number=few)
    def delete_message(self, channel: str, number: int) -> None:
        ts = _question(channel, number, "U1").ts
        self.runner.run(self.store.question_queue.delete("T1", channel, ts))
        self._keep(channel, lambda one: one.ts != ts)

    @rule(channel=channels, user=people, changes=st.dictionaries(few, st.sampled_from(["", *TEXTS])), kept=st.sets(few))
    def change(self, channel: str, user: str, changes: dict[int, str], kept: set[int]) -> None:
        """Changes and keeps memories by their place in the list."""
        here = self.notes[channel]
        ids = [memory.id for memory in self.runner.run(self.store.memories.of_place(("T1", channel)))]
        texts = {ids[at]: text for at, text in changes.items() if at < len(ids)}
        keeps = [ids[at] for at in kept if at < len(ids)]
        after = [changes.get(at, one.text) for at, one in enumerate(here)]
        done = self.runner.run(
            self.store.memories.change(("T1", channel), user, texts, keeps, is_private=channel == "D1")
        )
        assert done == self._fits(here, list(filter(None, after)))
        if done:
            fresh: dict[str, Any] = {"is_private": channel == "D1", "renewed_at": self.clock.now_s}
            for at, one in enumerate(list(here)):
                if changes.get(at):
                    self._replace(channel, replace(one, text=changes[at], changed_by=user, **fresh))
                elif at in kept and at not in changes:
                    self._replace(channel, replace(one, **fresh))
            gone = {one.number for at, one in enumerate(here) if changes.get(at) == ""}
            self._keep(channel, lambda one: one.number not in gone)

    @rule(user=st.sampled_from(["U3", "U4"]))
    def erase(self, user: str) -> None:
        self.runner.run(self.store.erasure.erase(user_id=user))
        for channel in CHANNELS:
            self._keep(channel, lambda one: user not in (one.user_id, one.changed_by))
            self.used[channel] = {one.number for one in self.notes[channel]}

    @rule(part=st.sampled_from([0.1, 0.6]))
    def grow_old(self, part: float) -> None:
        self.clock.now_s += part * HALF_A_YEAR_S
        self.runner.run(self.store.erasure.expire(0))
        for channel in CHANNELS:
            self._keep(channel, lambda one: one.renewed_at >= self.clock.now_s - HALF_A_YEAR_S)
            self.used[channel] = {one.number for one in self.notes[channel]}

    @invariant()
    def agree(self) -> None:
        for channel, notes in self.notes.items():
            found = self.runner.run(self.store.memories.of_place(("T1", channel)))
            assert [(m.number, m.text, m.user_id, m.ts, m.is_proposed, m.is_private, m.changed_by) for m in found] == [
                (n.number, n.text, n.user_id, n.ts, n.is_proposed, n.is_private, n.changed_by) for n in notes
            ]

    def _replace(self, channel: str, note: Note) -> None:
        self.notes[channel] = [note if one.number == note.number else one for one in self.notes[channel]]

    def _keep(self, channel: str, stays: Callable[[Note], bool]) -> bool:
        """Removes the other notes; returns whether there were some."""
        before = self.notes[channel]
        self.notes[channel] = [one for one in before if stays(one)]
        return len(self.notes[channel]) < len(before)

    @staticmethod
    def _fits(here: list[Note], after: list[str]) -> bool:
        before = [one.text for one in here]
        grows = sum(len(t.encode()) for t in after) > sum(len(t.encode()) for t in before)
        return not before or not grows or has_room(after)


class ScheduleMachine(Places):
    """Schedules of one channel. Processes look late, and again and again; runs end later, all alike."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = count()
        self.standing: dict[int, tuple[Rule, float | None, PauseReason | None, int]] = {}
        """The rule, the next time, why it is paused, and the failures in a row, by id."""
        self.due: set[str] = set()
        """The run of each due time that was begun, or skipped."""
        self.open: dict[str, int] = {}
        """The runs that aren't posted yet, with their schedules."""

    @initialize()
    def begin(self) -> None:
        for number, when in enumerate(RULES):
            self._create(when, PEOPLE[number % 3])
        self.create_once(600.0, "U1")

    @rule(when=st.sampled_from(RULES), user=people)
    def create(self, when: Rule, user: str) -> None:
        self._create(when, user)

    @rule(in_s=st.sampled_from([600.0, 5_000.0]), user=people)
    def create_once(self, in_s: float, user: str) -> None:
        self._create(Rule("UTC", at=self.clock.now_s + in_s), user)

    def _create(self, when: Rule, user: str) -> None:
        proposal = Proposal(f"Summarize {next(self.numbers)}.", when)
        here = self._standing()
        try:
            id_ = self.runner.run(self.store.schedules.create("T1", "C1", user, proposal))
        except UnusableRule:
            assert here >= MAX_IN_CHANNEL
        else:
            assert here < MAX_IN_CHANNEL
            self.standing[id_] = when, when.due_after(self.clock.now_s), None, 0

    def _standing(self) -> int:
        return sum(next_at is not None or paused is not None for _, next_at, paused, _ in self.standing.values())

    @rule(number=few, when=st.sampled_from(RULES))
    def change(self, number: int, when: Rule) -> None:
        if (id_ := self._one(number)) is None:
            return
        before, next_at, paused, failures = self.standing[id_]
        proposal = Proposal(f"Summarize {next(self.numbers)}.", when)
        comes_back = next_at is None and paused is None and before != when
        has_room = self._standing() < MAX_IN_CHANNEL
        try:
            assert self.runner.run(self.store.schedules.change("T1", id_, "U1", proposal, RUN_TOKENS, DAY_TOKENS))
        except UnusableRule:
            assert comes_back
            assert not has_room
            return
        assert has_room or not comes_back
        if before != when and not paused:
            next_at = when.due_after(self.clock.now_s)
        self.standing[id_] = when, next_at, paused, failures

    @rule(number=few)
    def pause(self, number: int) -> None:
        if (id_ := self._one(number)) is None:
            return
        when, _, paused, failures = self.standing[id_]
        done = self.runner.run(self.store.schedules.pause("T1", id_, PauseReason.BY_PERSON, "U1"))
        assert done == (paused is None)
        self.standing[id_] = when, None, paused or PauseReason.BY_PERSON, failures
        self.open = {run: of for run, of in self.open.items() if of != id_ or not done}

    @rule(number=few)
    def pause_and_resume(self, number: int) -> None:
        self.pause(number)
        self.resume(number)

    @rule(number=few)
    def resume(self, number: int) -> None:
        if (id_ := self._one(number)) is None:
            return
        when, _, paused, _ = self.standing[id_]
        may = paused is not None and when.due_after(self.clock.now_s) is not None
        resumed = self.runner.run(self.store.schedules.resume("T1", id_, "U1"))
        assert resumed == (when.due_after(self.clock.now_s) if may else None)
        if may:
            self.standing[id_] = when, when.due_after(self.clock.now_s), None, 0

    @rule(number=few)
    def stop(self, number: int) -> None:
        if (id_ := self._one(number)) is not None:
            assert self.runner.run(self.store.schedules.stop("T1", id_, "U1"))
            del self.standing[id_]
            self.open = {run: of for run, of in self.open.items() if of != id_}
        assert not self.runner.run(self.store.schedules.stop("T1", 10**9, "U1"))

    @rule(later_s=st.sampled_from(LATER_S))
    def time_passes(self, later_s: float) -> None:
        """What is due begins, once however often processes look."""
        self.clock.now_s += later_s
        now, begun = self.clock.now_s, 0
        for id_, (when, next_at, paused, failures) in self.standing.items():
            if next_at is None or next_at > now:
                continue
            newest: float | None = None
            later: float | None = next_at
            while later is not None and later <= now:
                newest = later if later >= now - GRACE_S else newest
                later = when.due_after(later)
            run = run_id(id_, next_at if newest is None else newest)
            if newest is not None:
                begun += 1
                self.open[run] = id_
            self.due.add(run)
            missed = PauseReason.MISSED if newest is None and later is None else None
            self.standing[id_] = when, later, missed or paused, failures
        assert self.runner.run(self._looked()) == begun

    @precondition(lambda self: self.open)
    @rule(end=st.sampled_from(ENDS))
    def runs_end(self, end: EndReason) -> None:
        """Each run that is due is posted, and ends alike."""
        ended = self.runner.run(self._ended(end))
        assert sorted(ended) == sorted(self.open.values())
        self.open = {}
        for id_ in ended:
            when, next_at, paused, failures = self.standing[id_]
            failures = 0 if end.is_answer else failures + end.is_failure
            pausing = PauseReason.NO_ACCESS if end is EndReason.DENIED else None
            if pausing is None and not end.is_answer and failures >= MAX_FAILURES:
                pausing = PauseReason.FAILURES
            if pausing is not None and next_at is not None:
                next_at, paused = None, pausing
            self.standing[id_] = when, next_at, paused, failures

    @rule(end=st.sampled_from(ENDS), days=st.integers(1, MAX_FAILURES))
    def days_pass(self, end: EndReason, days: int) -> None:
        for _ in range(days):
            self.time_passes(DAY_S)
            self.runs_end(end)

    @invariant()
    def agree(self) -> None:
        found = self.runner.run(self.store.schedules.all("T1"))
        assert {one.id: (one.rule, one.next_at, one.pause_reason, one.failures) for one in found} == self.standing
        made = self.runner.run(self._runs())
        assert {run for run, _ in made} <= self.due
        assert sorted(run for run, is_open in made if is_open) == sorted(self.open)

    async def _looked(self) -> int:
        return sum([await self.store.schedules.begin_due() for _ in range(2)])

    async def _ended(self, end: EndReason) -> list[int]:
        """Has each run that is due posted, claimed and ended; returns their schedules."""
        posted = []
        for entry in await self.store.outbox.claim_due(100):
            run = await self.store.schedules.run(entry.job_id)
            if run is not None and entry.kind is OutboxKind.POST_QUESTION:
                ts = f"{run.due_at:.0f}.{entry.job_id:06d}"
                question = Question(ThreadKey("T1", "C1", ts), ts, run.schedule.user_id, run.schedule.words)
                await self.store.question_queue.enqueue(f"view {entry.job_id}", question, job_id=entry.job_id)
                posted.append(run.schedule.id)
            await self.store.outbox.complete(entry)
        while claimed := await self.store.worker_queue.claim(100):
            for job in claimed:
                assert await self.store.worker_queue.finish(job, End(end), "")
        return posted

    async def _runs(self) -> list[tuple[str, bool]]:
        """Returns the runs on record, each with whether it waits to be posted."""
        async with self.store.database.begin_read() as connection:
            of_schedules = sa.select(jobs.c.asked_as, jobs.c.unposted).where(jobs.c.schedule_id.is_not(None))
            rows = (await connection.execute(of_schedules)).all()
        return [(row.asked_as, row.unposted is not None and "skipped" not in row.unposted) for row in rows]

    def _one(self, number: int) -> int | None:
        """Returns one of the schedules, rather one that has failed."""
        found = sorted(self.standing, key=lambda id_: (-self.standing[id_][3], id_))
        return found[number % len(found)] if found else None


def _question(channel: str, number: int, user: str) -> Question:
    return replace(by(user, number), thread=ThreadKey("T1", channel, None))


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.long)])
@pytest.mark.parametrize("machine", [MemoryMachine, ScheduleMachine])
@pytest.mark.long
def test_calls_in_any_order_agree_with_the_model(
    request: pytest.FixtureRequest, machine: type[Places], database: str
) -> None:
    url = "sqlite://" if database == "sqlite" else request.getfixturevalue("postgresql_url")
    run_state_machine_as_test(
        type("DatabaseMachine", (machine,), {"database_url": url}),
        settings=settings(
            max_examples=max(6 if database == "sqlite" else 3, settings().max_examples // 10),
            stateful_step_count=30,
            suppress_health_check=list(HealthCheck),
        ),
    )
