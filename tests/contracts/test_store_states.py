"""Calls by several workers in any order, compared with a model of the store and the table of a job's states."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import count

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from bot.core.answer import Answer
from bot.core.conversation import Job, Question, ThreadKey
from bot.core.job import End, Event, Piece, Spent, State, Status
from bot.core.outbox import BACKOFF, EDITS_REPLY, OutboxEntry, OutboxKind, wait_s
from bot.core.tool_calls import APPROVAL_S, CallState, Decision
from bot.errors import EndReason
from bot.store import Stores
from bot.store.liveness.failure_detector import LEASE_S
from bot.store.schema import checkpoints, jobs, metadata, outbox_entries
from tests.clocks import ManualClock
from tests.contracts.store_model import StoreModel
from tests.contracts.stores import CALL, STEPPED, asking_step, texts_of
from tests.contracts.transitions import assert_moved, states
from tests.core.conversations import recorded_pages

THREADS = [
    ThreadKey("T1", "C1", "1700000000.000000"),
    ThreadKey("T1", "D1", None),
    ThreadKey("T2", "D1", None),
]
WORKERS = ["w1", "w2", "w3"]
PEOPLE = ["U1", "U2"]
ENDS = [EndReason.WHOLE, EndReason.CUT, EndReason.STOPPED, EndReason.DENIED, EndReason.CAP_REACHED]
DELTAS = ["One ", "two, three. ", "A long part. " * 40]
"""An attempt goes on from where a long text ended, and begins a short one again."""
CALL_STATES = [CallState.READY, CallState.ASKED]
POSTS = (OutboxKind.MENTION_ASKERS, OutboxKind.ASK_APPROVAL)
MAX_ROUNDS = 40
"""Rounds within which all questions must end. An edited or unbatched job takes another round."""

threads = st.sampled_from(THREADS)
workers = st.sampled_from(WORKERS)
few = st.integers(0, 9)
NO_PIECES: Mapping[Job, Piece] = {}


class Machine(RuleBasedStateMachine):
    """The store of several workers, beside the model of what it should hold."""

    database_url: str
    claims = Bundle("claims")
    """Pairs of a job and the worker that claimed it. The worker may have lost it since."""
    taken = Bundle("taken")
    """Outbox entries that a worker took. Others may have taken them since."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = ManualClock()
        self.model = StoreModel(self.clock)
        self.posts = count(1)
        self.states: dict[int, State] = {}
        """The state of all jobs after the last call that may have changed one."""
        self.answers: dict[tuple[int, int], Answer] = {}
        """The answer of each attempt, by job and attempt."""
        self.sent: dict[tuple[int, int], list[Piece]] = {}
        """The pieces that each attempt has sent to the database."""
        self.on_record: dict[tuple[int, int], str] = {}
        """The text that a writer knows to be on record, by job and version."""

    @initialize(target=claims, begun=st.sets(threads, min_size=1))
    def open(self, begun: set[ThreadKey]):  # type: ignore[no-untyped-def]
        """Some questions are being answered already: from there on, more happens in as many calls."""
        self.listener = self.runner.run(Stores.open(self.database_url, "listener", self.clock))
        self.stores = {name: Stores(self.listener.database.engine, name, self.clock) for name in WORKERS}
        self.runner.run(self._empty())
        for number, thread in enumerate(sorted(begun, key=THREADS.index)):
            self.enqueue(WORKERS[0], number, thread, number, full=False)
        return multiple(*((WORKERS[0], job) for job in self._claim(WORKERS[0], len(begun))))

    async def _empty(self) -> None:
        async with self.listener.database.engine.begin() as connection:
            for table in reversed(metadata.sorted_tables):
                await connection.execute(sa.delete(table))

    def teardown(self) -> None:
        try:
            self._finish_all_jobs()
        finally:
            self.runner.run(self.listener.close())
            self.runner.close()

    def _finish_all_jobs(self) -> None:
        """Lets one remaining worker end each question and complete each entry."""
        worker = WORKERS[0]
        for _ in range(MAX_ROUNDS):
            if not any(job.live for job in self.model.jobs.values()):
                break
            self.clock.now_s += 2
            if any(job.state is State.AWAITING_APPROVAL for job in self.model.jobs.values()):
                self.expire_approvals(worker, late=True)
            for job in self._claim(worker, 100):
                self.finish((worker, job), EndReason.WHOLE, "", ping=False)
            self._beat(worker, held := [self.model.job(job_id) for job_id in self.model.held_by(worker)])
            for job in held:
                self.finish((worker, job), EndReason.WHOLE, "", ping=False)
        assert not any(job.live for job in self.model.jobs.values())
        self.clock.now_s += 2 * BACKOFF.max_s
        for entry in self._take_outbox_entries(worker):
            self.complete_outbox_entry(entry, worker)
        self.invariants_hold()
        assert not self.model.entries
        assert not any(job.pieces for job in self.model.jobs.values()), "a text is kept that nobody needs"

    @contextmanager
    def _notified(self) -> Iterator[None]:
        """Checks that other processes are notified of a worker's changes, if the database can notify."""
        self.runner.run(self.listener.worker_queue.wait(0))
        before = self.model.news()
        yield
        if self.database_url.startswith("postgresql") and self.model.news() - before:
            self.runner.run(asyncio.wait_for(self.listener.worker_queue.wait(60), 20))

    @contextmanager
    def _moving(self, *also: Event) -> Iterator[dict[int, Event]]:
        """Checks against the table how jobs change state in the block.

        The block records which event happened to which job; events in `also` may happen to others.
        """
        happened: dict[int, Event] = {}
        yield happened
        before, self.states = self.states, self.runner.run(states(self.listener))
        assert_moved(before, self.states, happened, also)

    @rule(worker=workers, event=st.integers(0, 30), thread=threads, number=few, full=st.booleans())
    def enqueue(self, worker: str, event: int, thread: ThreadKey, number: int, full: bool) -> None:
        question = Question(thread, f"1700000000.00000{number}", PEOPLE[number % 2], f"Question {number}")
        with self._notified(), self._moving() as happened:
            taken = self.runner.run(self.stores[worker].queue.enqueue(f"Ev{event}", question, full=full))
            if taken:
                happened[taken.job_id] = Event.ENQUEUE
            waits = self.model.enqueue(f"Ev{event}", question, full, taken.job_id if taken else None)
            if taken:
                happened |= dict.fromkeys(self.model.deny_by_reply(question), Event.DECIDE)
        assert (taken and taken.needs_placeholder) == waits

    @rule(seconds=st.sampled_from([0.3, 1.0, 5.0, 11.0]))
    def pass_time(self, seconds: float) -> None:
        self.clock.now_s += seconds

    @rule(target=claims, worker=workers, limit=st.integers(0, 4))
    def claim(self, worker: str, limit: int):  # type: ignore[no-untyped-def]
        return multiple(*((worker, job) for job in self._claim(worker, limit)))

    @rule(target=claims, watcher=workers, silent=st.sets(workers, min_size=1))
    def watch(self, watcher: str, silent: set[str]):  # type: ignore[no-untyped-def]
        """One worker polls each second; some others are silent. After the lease, the silent ones have no jobs."""
        claimed = []
        for _ in range(int(LEASE_S) + 2):
            self.clock.now_s += 1
            for worker in WORKERS:
                if worker not in silent - {watcher}:
                    self._beat(worker, [self.model.job(job_id) for job_id in self.model.held_by(worker)])
            claimed += [(watcher, job) for job in self._claim(watcher, 100)]
        assert not [job_id for worker in silent - {watcher} for job_id in self.model.held_by(worker)]
        return multiple(*claimed)

    def _claim(self, worker: str, limit: int) -> list[Job]:
        running = {key for key, job in self.model.jobs.items() if job.state is State.RUNNING}
        with self._moving(Event.BATCH) as happened:
            claimed = self.runner.run(self.stores[worker].worker_queue.claim(limit))
            happened |= {job.id: Event.TAKE_OVER if job.id in running else Event.CLAIM for job in claimed}
        self.model.claim(worker, limit, claimed)
        for job in claimed:
            assert job.checkpoint.text.startswith(self.on_record.get((job.id, job.version), ""))
        return claimed

    @rule(worker=workers, some=st.lists(claims, max_size=4))
    def heartbeat(self, worker: str, some: list[tuple[str, Job]]) -> None:
        self._beat(worker, [job for _, job in some])

    def _beat(self, worker: str, claimed: list[Job], pieces: Mapping[Job, Piece] = NO_PIECES) -> None:
        pulse = self.runner.run(self.stores[worker].worker_queue.heartbeat(dict.fromkeys(claimed, Spent()), pieces))
        assert pulse == self.model.heartbeat(worker, claimed)
        for job, piece in pieces.items():
            self._recorded(worker, job, piece)

    @rule(claim=claims, delta=st.sampled_from(DELTAS), beats=st.booleans(), heard=st.booleans())
    def write(self, claim: tuple[str, Job], delta: str, beats: bool, heard: bool) -> None:
        """An attempt's text grows and goes on record; its worker may not hear of that, and sends it again."""
        worker, job = claim
        answer = self._answer(job)
        answer.append(delta)
        if piece := answer.piece():
            if beats:
                self._beat(worker, [job], {job: piece})
            else:
                self.runner.run(self.stores[worker].worker_queue.checkpoint({job: piece}))
                self._recorded(worker, job, piece)
            if heard:
                answer.recorded(piece)

    @rule(claim=claims, number=few)
    def write_late(self, claim: tuple[str, Job], number: int) -> None:
        """A piece comes once more, after others: its first transaction was held up."""
        worker, job = claim
        if sent := self.sent.get((job.id, job.attempts)):
            piece = sent[number % len(sent)]
            self.runner.run(self.stores[worker].worker_queue.checkpoint({job: piece}))
            self.model.checkpoint(worker, job, piece)

    def _answer(self, job: Job) -> Answer:
        return self.answers.setdefault((job.id, job.attempts), Answer(job))

    def _recorded(self, worker: str, job: Job, piece: Piece) -> None:
        if self.model.checkpoint(worker, job, piece):
            self.sent.setdefault((job.id, job.attempts), []).append(piece)
            self.on_record[job.id, job.version] = self._answer(job).text[: piece.chars]

    @rule(claim=claims)
    def release(self, claim: tuple[str, Job]) -> None:
        worker, job = claim
        piece = self._answer(job).piece()
        with self._notified(), self._moving() as happened:
            released = self.runner.run(self.stores[worker].worker_queue.release(job, piece))
            if piece:
                self._recorded(worker, job, piece)
            assert released is self.model.release(worker, job)
            happened |= {job.id: Event.RELEASE} if released else {}

    @rule(claim=claims, calls=st.lists(st.sampled_from(CALL_STATES), min_size=1, max_size=2), waits=st.booleans())
    def take_step(self, claim: tuple[str, Job], calls: list[CallState], waits: bool) -> None:
        """A model asks for tools. If a person has to approve some of the calls, the worker gives the job up."""
        worker, job = claim
        step_no = self.model.steps_of(job)
        made = [replace(CALL, step_no=step_no, index=index, state=state) for index, state in enumerate(calls)]
        answer = self._answer(job)
        written = job.so_far + "".join(earlier.text for earlier in answer.steps)
        answer.append("I'll note it. ")
        step = replace(asking_step(*made, step_no=step_no), text=answer.text[len(written) :])
        piece = answer.piece()
        assert piece is not None
        recorded = self.runner.run(self.stores[worker].recorded_calls.record(job, step, STEPPED, piece))
        assert recorded is self.model.record_step(worker, job, calls)
        if recorded:
            self._recorded(worker, job, piece)
            answer.recorded(piece)
            answer.steps.append(step)
        if waits:
            self.wait(claim, 0.0)

    @rule(claim=claims, mention_in_s=st.sampled_from([None, 0.0, 60.0]))
    def wait(self, claim: tuple[str, Job], mention_in_s: float | None) -> None:
        worker, job = claim
        with self._notified(), self._moving() as happened:
            mention_at = None if mention_in_s is None else self.clock.now() + mention_in_s
            waits = self.runner.run(self.stores[worker].recorded_calls.wait(job, None, mention_at))
            assert waits is self.model.wait(worker, job, mention_in_s)
            happened |= {job.id: Event.WAIT} if waits else {}

    @rule(claim=claims, number=few)
    def begin_call(self, claim: tuple[str, Job], number: int) -> None:
        """A call is begun by the worker that holds the job, at most once."""
        worker, job = claim
        if calls := self.model.calls_of(job):
            key = sorted(calls)[number % len(calls)]
            call = replace(CALL, step_no=key[0], index=key[1])
            begun = self.runner.run(self.stores[worker].recorded_calls.begin(job, call))
            assert begun is self.model.begin_call(worker, job, key)

    @rule(worker=workers, number=few, index=few, decision=st.sampled_from([Decision.APPROVED, Decision.DENIED]))
    def decide(self, worker: str, number: int, index: int, decision: Decision) -> None:
        if (job_id := self._one(number)) is not None and (calls := self.model.jobs[job_id].calls):
            version, *key = sorted(calls)[index % len(calls)]
            call = replace(CALL, step_no=key[0], index=key[1])
            with self._notified(), self._moving() as happened:
                decided = self.runner.run(
                    self.stores[worker].approvals.decide(job_id, version, call, decision, PEOPLE[0])
                )
                expected, released = self.model.decide(job_id, (version, key[0], key[1]), decision)
                assert decided is expected
                happened |= {job_id: Event.DECIDE} if released else {}

    @rule(worker=workers, late=st.booleans())
    def expire_approvals(self, worker: str, late: bool) -> None:
        self.clock.now_s += APPROVAL_S if late else 0.0
        with self._notified(), self._moving() as happened:
            count = self.runner.run(self.stores[worker].approvals.expire())
            expired = self.model.expire_approvals()
            assert count == len(expired)
            happened |= dict.fromkeys(expired, Event.EXPIRE)

    @rule(claim=claims)
    def take_follow_ups(self, claim: tuple[str, Job]) -> None:
        worker, job = claim
        with self._notified(), self._moving() as happened:
            step_no = self.model.steps_of(job)
            taken = self.runner.run(self.stores[worker].recorded_calls.take_follow_ups(job, step_no))
            expected = self.model.take_follow_ups(worker, job, step_no)
            assert [follow_up.question for follow_up in taken] == [
                self.model.jobs[job_id].question for job_id in expected
            ]
            happened |= dict.fromkeys(expected, Event.BATCH)

    @rule(claim=claims, reason=st.sampled_from(ENDS), answer=st.text(), ping=st.booleans())
    def finish(self, claim: tuple[str, Job], reason: EndReason, answer: str, ping: bool) -> None:
        self._finish(claim, End(reason), answer.replace("\0", ""), ping)

    @rule(
        target=taken,
        claim=claims,
        reason=st.sampled_from(ENDS),
        ping=st.booleans(),
        before=st.sampled_from(["nothing", "an edit", "an erasure"]),
    )
    def fail_to_show(self, claim: tuple[str, Job], reason: EndReason, ping: bool, before: str):  # type: ignore[no-untyped-def]
        """Slack does not take an answer's end, and the outbox shows it when it is due."""
        worker, job = claim
        if job.id in self.model.jobs and before == "an edit":
            self.edit(worker, sorted(self.model.jobs).index(job.id), "Why at all?", 9)
        elif job.id in self.model.jobs and before == "an erasure":
            self.erase(worker, None, self.model.jobs[job.id].question.thread, 1)
        answer = self._answer(job)
        self._finish(claim, End(reason, "A notice."), answer.text, ping, OutboxKind.SHOW_END)
        self.clock.now_s += wait_s(0)
        return multiple(*self._take_outbox_entries(worker))

    def _finish(
        self, claim: tuple[str, Job], end: End, text: str, ping: bool, for_outbox: OutboxKind | None = None
    ) -> None:
        worker, job = claim
        with self._notified(), self._moving(Event.UNBATCH) as happened:
            if self.model.holds(worker, job):
                happened[job.id] = self._end_of(job, end.reason)
            queue = self.stores[worker].worker_queue
            ended = self.runner.run(queue.finish(job, end, text, ping=ping, for_outbox=for_outbox))
            if for_outbox:
                self.model.checkpoint(worker, job, Piece(0, text, end))
            assert ended is self.model.finish(worker, job, end, text, ping, for_outbox)

    def _end_of(self, job: Job, reason: EndReason) -> Event:
        """Returns which event the end of an attempt is for a job that it holds."""
        now = self.model.jobs[job.id]
        if now.version != job.version and not now.stop_requested:
            return Event.RELEASE
        if now.erase_requested:
            return Event.REMOVE
        return Event.DENY if reason is EndReason.DENIED else Event.FINISH

    @rule(worker=workers, number=few)
    def request_stop(self, worker: str, number: int) -> None:
        if (job_id := self._one(number)) is not None:
            with self._notified(), self._moving() as happened:
                stopped = self.runner.run(self.stores[worker].queue.request_stop(job_id))
                assert stopped is self.model.request_stop(job_id)
                happened |= {job_id: Event.STOP} if stopped else {}

    @rule(worker=workers, thread=threads, is_late=st.booleans())
    def announce(self, worker: str, thread: ThreadKey, is_late: bool) -> None:
        """Records the placeholders of a thread's queued questions, perhaps after they were claimed."""
        for job_id, job in self.model.of(thread).items():
            waits = job.status is Status.QUEUED or job.attempts == 0
            if job.placeholder_due_since is not None and (waits or is_late):
                unclaimed = Job(job_id, job.question, job.attempts - (0 if waits else 1))
                page_ts = (f"1800000000.{job_id:06d}",)
                with self._notified(), self._moving():
                    records = self.stores[worker].worker_queue
                    self.runner.run(records.record_placeholder(unclaimed, recorded_pages(*page_ts)))
                    self.model.record_placeholder(unclaimed, page_ts)

    @rule(claim=claims, pages=st.integers(0, 3))
    def record_pages(self, claim: tuple[str, Job], pages: int) -> None:
        worker, job = claim
        page_ts = tuple(f"17000001{job.id:02d}.00000{page}" for page in range(pages))
        with self._notified(), self._moving():
            self.runner.run(self.stores[worker].worker_queue.record_messages(job, recorded_pages(*page_ts)))
            self.model.record_pages(worker, job, page_ts)

    @rule(worker=workers, number=few, text=st.sampled_from(["Why?", "Why not?"]), edit=few)
    def edit(self, worker: str, number: int, text: str, edit: int) -> None:
        """Edits arrive in any order. A question that is edited back has its first text again."""
        if (job_id := self._one(number)) is None:
            return
        old = self.model.jobs[job_id].question
        text, edited_ts = (f"Question {old.ts[-1]}" if edit % 3 == 0 else text), f"18.{edit}"
        edited = Question(old.thread, old.ts, old.user_id, text)
        with self._notified(), self._moving() as happened:
            known = self.runner.run(self.stores[worker].queue.edit(edited, edited_ts))
            answered_by = self.model.answered_by(job_id)
            before = self.model.jobs.get(answered_by)
            assert known is self.model.edit(job_id, text, edited_ts)
            if before is not None and before.state is State.AWAITING_APPROVAL:
                # An edit that changes nothing leaves a waiting job where it is.
                happened |= {answered_by: Event.EDIT} if self.model.jobs[answered_by].state is not before.state else {}
            elif known:
                happened[job_id] = Event.EDIT

    @rule(worker=workers, number=few)
    def delete_question(self, worker: str, number: int) -> None:
        if (job_id := self._one(number)) is not None:
            question = self.model.jobs[job_id].question
            place = question.thread.team_id, question.thread.channel_id, question.ts
            with self._notified(), self._moving(Event.UNBATCH) as happened:
                known = self.runner.run(self.stores[worker].queue.delete(*place))
                assert known is self.model.delete_question(job_id)
                happened |= {job_id: Event.DELETE_QUESTION} if known else {}
                answered_by = self.model.answered_by(job_id)
                if answered_by != job_id and self.states.get(answered_by) is State.AWAITING_APPROVAL and known:
                    # The answer that had taken the question along starts over.
                    happened |= {answered_by: Event.EDIT} if self.model.jobs[answered_by].status == "queued" else {}

    @rule(worker=workers, number=few, full=st.booleans())
    def regenerate(self, worker: str, number: int, full: bool) -> None:
        if (job_id := self._one(number)) is not None:
            with self._notified(), self._moving() as happened:
                again = self.runner.run(self.stores[worker].queue.regenerate(job_id, full=full))
                assert (again and again.needs_placeholder) == self.model.regenerate(job_id, full)
                happened |= {job_id: Event.REGENERATE} if again else {}

    @rule(worker=workers, user_id=st.sampled_from([None, *PEOPLE]), thread=st.sampled_from([None, *THREADS]), sure=few)
    def erase(self, worker: str, user_id: str | None, thread: ThreadKey | None, sure: int) -> None:
        """Everything is erased only now and then."""
        if user_id or thread or sure == 0:
            theirs = [
                key
                for key, job in self.model.jobs.items()
                if user_id in (None, job.question.user_id) and thread in (None, job.question.thread)
            ]
            with self._notified(), self._moving(Event.UNBATCH) as happened:
                happened |= dict.fromkeys(theirs, Event.ERASE)
                erased = self.runner.run(self.stores[worker].erasure.erase(user_id=user_id, thread=thread))
                assert erased == self.model.erase(user_id, thread)

    @rule(target=taken, worker=workers)
    def take_outbox_entries(self, worker: str):  # type: ignore[no-untyped-def]
        return multiple(*self._take_outbox_entries(worker))

    def _take_outbox_entries(self, worker: str) -> list[OutboxEntry]:
        result = self.runner.run(self.stores[worker].outbox.take(100))
        self.model.take_outbox_entries(result)
        return result

    @rule(entry=taken, worker=workers)
    def complete_outbox_entry(self, entry: OutboxEntry, worker: str) -> None:
        posted_ts = f"1900000000.{next(self.posts):06d}" if entry.kind in POSTS else None
        self.runner.run(self.stores[worker].outbox.complete(entry, posted_ts))
        self.model.complete_outbox_entry(entry, posted_ts)

    @rule(entry=taken, worker=workers)
    def postpone_outbox_entry(self, entry: OutboxEntry, worker: str) -> None:
        self.runner.run(self.stores[worker].outbox.postpone(entry, wait_s(entry.tries)))
        self.model.postpone_outbox_entry(entry, wait_s(entry.tries))

    @rule(entry=taken, worker=workers, pages=few)
    def record_shown_pages(self, entry: OutboxEntry, worker: str, pages: int) -> None:
        """The process that took the entry has edited the reply, perhaps in new messages."""
        if entry.kind in EDITS_REPLY:
            page_ts = tuple(f"17000002{entry.job_id:02d}.00000{page}" for page in range(pages))
            self.runner.run(self.stores[worker].outbox.record_messages(entry, recorded_pages(*page_ts)))
            self.model.record_shown_pages(entry, page_ts)

    @rule(entry=taken, worker=workers)
    def read_unshown_end(self, entry: OutboxEntry, worker: str) -> None:
        """The worker that took the entry reads what to show. Another one may have taken it since, or it may be gone."""
        if entry.kind is OutboxKind.SHOW_END:
            assert self.runner.run(self.stores[worker].outbox.unshown_end(entry)) == self.model.unshown_end(entry)

    @rule(worker=workers, thread=threads)
    def read(self, worker: str, thread: ThreadKey) -> None:
        replies = self.runner.run(self.stores[worker].recorded_answers.replies(thread))
        assert texts_of(replies) == self.model.replies(thread)

    @rule(worker=workers, thread=threads, user_id=st.sampled_from(PEOPLE), number=st.sampled_from([*range(10), 99]))
    def join(self, worker: str, thread: ThreadKey, user_id: str, number: int) -> None:
        """Someone else writes between the questions or after them. Slack may deliver the message again."""
        ts = f"1700000000.{number:06d}"
        result = self.runner.run(self.stores[worker].participants.at_message(thread, user_id, ts))
        assert result == self.model.join(thread, user_id, ts)

    @invariant()
    def invariants_hold(self) -> None:
        """Checks that no deleted text remains, no entry is without its job, and no thread has two answers at once."""
        status, texts, due, growing = self.runner.run(self._records())
        assert status == {key: job.status for key, job in self.model.jobs.items()}
        assert texts == {key: job.question.text for key, job in self.model.jobs.items()}
        assert due == {key: (entry.due_at, entry.tries) for key, entry in self.model.entries.items()}
        assert growing == {key for key, job in self.model.jobs.items() if job.pieces}
        doing = [job.question.thread for job in self.model.jobs.values() if job.status is Status.RUNNING]
        assert len(doing) == len(set(doing))

    async def _records(
        self,
    ) -> tuple[dict[int, str], dict[int, str], dict[tuple[int, str], tuple[float, int]], set[int]]:
        async with self.listener.database.engine.begin() as connection:
            rows = (await connection.execute(sa.select(jobs))).all()
            due = (await connection.execute(sa.select(outbox_entries))).all()
            growing = set((await connection.scalars(sa.select(checkpoints.c.job_id))).all())
        listed = {(entry.job_id, entry.kind): (entry.due_at, entry.tries) for entry in due}
        return {row.id: row.status for row in rows}, {row.id: row.text for row in rows}, listed, growing

    def _one(self, number: int) -> int | None:
        known = sorted(self.model.jobs)
        return known[number % len(known)] if known else None


@pytest.mark.hypothesis
@pytest.mark.parametrize("database", ["memory", "postgresql"])
def test_calls_in_any_order_agree_with_the_model(request: pytest.FixtureRequest, database: str) -> None:
    url = "sqlite://" if database == "memory" else request.getfixturevalue("postgresql_url")
    machine = type("DatabaseMachine", (Machine,), {"database_url": url})
    run_state_machine_as_test(
        machine,
        settings=settings(
            # An example is 30 calls, and takes as long as a hundred examples of most other tests.
            max_examples=max(3, settings().max_examples // 10),
            stateful_step_count=30,
            suppress_health_check=list(HealthCheck),
        ),
    )
