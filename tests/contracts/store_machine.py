"""Calls by several workers, each compared with a model of the store and with the table of a job's states."""

import asyncio
from collections.abc import Collection, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple, replace
from itertools import count
from typing import Any, TypeVar

import sqlalchemy as sa
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from bot.core.calls import APPROVAL_S, CallState, Decision
from bot.core.conversation import Question, ThreadKey
from bot.core.job import (
    TRANSITIONS,
    End,
    Event,
    Job,
    MessageRole,
    Piece,
    RecordedMessage,
    State,
    Status,
    StepEstimate,
    Wish,
    sentence_notice,
    state_of,
)
from bot.core.outbox import BACKOFF, OutboxEntry, OutboxKind, ReplyTarget, wait_s
from bot.errors import EndReason
from bot.models.prompt import Effort
from bot.reply.answer import Answer
from bot.store import Stores
from bot.store.erasure import QUESTION
from bot.store.schema import (
    charges,
    checkpoints,
    group_threads,
    jobs,
    metadata,
    outbox_entries,
    quiet_threads,
    thread_lines,
)
from bot.store.usage import IS_OPEN
from bot.store.workers import SILENCE_S
from tests.clocks import ManualClock
from tests.contracts.store_model import StoreModel
from tests.contracts.stores import CALL, SAID, STEPPED, asking_step, texts_of
from tests.core.conversations import recorded_pages

T = TypeVar("T")

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
DECISIONS = [Decision.APPROVED, Decision.IN_THREAD, Decision.DENIED]
FACTS = (group_threads, thread_lines, quiet_threads)
"""What is known of threads."""
# Statements that are built once: they run after each call.
STATES = sa.select(jobs.c.id, jobs.c.status, jobs.c.attempts, jobs.c.end_reason)
RECORDED = sa.select(jobs.c.id, jobs.c.status, jobs.c.end_reason, jobs.c.text)
ENTRY = outbox_entries.c
DUE = sa.select(ENTRY.job_id, ENTRY.kind, ENTRY.about, ENTRY.due_at, ENTRY.tries)
BESIDE = sa.union_all(
    sa.select(sa.literal("growing"), checkpoints.c.job_id),
    sa.select(sa.literal("metered"), charges.c.job_id).where(IS_OPEN),
    *(sa.select(sa.literal(table.name), sa.func.count()).select_from(table) for table in FACTS),
)
"""The jobs with texts and with open charges, and how many facts there are of each kind."""
MAX_ROUNDS = 40
"""Rounds within which all questions must end. An edited or unbatched job takes another round."""

threads = st.sampled_from(THREADS)
workers = st.sampled_from(WORKERS)
few = st.integers(0, 9)
numbers = st.sampled_from([*range(10), 99])
writers = st.sampled_from([*PEOPLE, "U3"])
wishes = st.builds(Wish, effort=st.sampled_from([None, *Effort]), continues=st.booleans())
NO_PIECES: Mapping[Job, Piece] = {}


async def states(stores: Stores) -> dict[int, State]:
    async with stores.database.engine.begin() as connection:
        rows = (await connection.execute(STATES)).all()
    return {row.id: state_of(row.status, row.attempts, row.end_reason) for row in rows}


def assert_moved(
    before: Mapping[int, State], after: Mapping[int, State], happened: Mapping[int, Event], also: Collection[Event] = ()
) -> None:
    """Asserts that each job changed state as the table defines. `happened`: the event of each job that a call changed.
    `also`: events that the call may cause for other jobs."""
    for job_id in sorted({*before, *after}):
        old, new = before.get(job_id, State.ABSENT), after.get(job_id, State.ABSENT)
        if event := happened.get(job_id):
            assert (old, event) in TRANSITIONS, f"job {job_id}: {event} happened while it was {old}, now it is {new}"
            assert TRANSITIONS[old, event] is new, f"job {job_id}: {event} led from {old} to {new}"
        elif old is not new:
            led = [event for event in also if TRANSITIONS.get((old, event)) is new]
            assert led, f"job {job_id}: from {old} to {new}, by none of {[*also]}"


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
        self.result: object = None
        self.states: dict[int, State] = {}
        """The state of all jobs after the last call that may have changed one."""
        self.answers: dict[tuple[int, int], Answer] = {}
        """The answer of each attempt, by job and attempt."""
        self.sent: dict[tuple[int, int], list[Piece]] = {}
        """The pieces that each attempt has sent to the database."""
        self.on_record: dict[tuple[int, int], str] = {}
        """The text that a writer knows to be on record, by job and version."""
        self.on_record_at: dict[tuple[int, int, int], str] = {}
        """The same at the end of each step, by job, version and step."""

    @initialize(target=claims, begun=st.sets(threads, min_size=1))
    def open(self, begun: set[ThreadKey]):  # type: ignore[no-untyped-def]
        """Some questions are being answered already: from there on, more happens in as many calls."""
        self.listener = self.runner.run(Stores.open(self.database_url, "listener", self.clock))
        self.stores = {name: Stores(self.listener.database.engine, name, self.clock) for name in WORKERS}
        if self.database_url != "sqlite://":
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
            self.close()

    def close(self) -> None:
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
                self.finish((worker, job), EndReason.WHOLE, "", mention=False)
            self._beat(worker, held := [self.model.job(job_id) for job_id in self.model.held_by(worker)])
            for job in held:
                self.finish((worker, job), EndReason.WHOLE, "", mention=False)
        assert not any(job.live for job in self.model.jobs.values())
        self.clock.now_s += 2 * BACKOFF.max_s
        for entry in self._take_outbox_entries(worker):
            self.complete_outbox_entry(entry, worker)
        self.invariants_hold()
        assert not self.model.entries
        assert not any(job.pieces for job in self.model.jobs.values()), "a text is kept that nobody needs"

    def _do(self, call: Coroutine[Any, Any, T]) -> T:
        result = self.runner.run(call)
        self.result = result
        return result

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
        """Checks against the table how jobs change state in the block, which records each job's event; events in `also`
        may happen to others."""
        happened: dict[int, Event] = {}
        yield happened
        before, self.states = self.states, self.runner.run(states(self.listener))
        assert_moved(before, self.states, happened, also)

    @rule(worker=workers, event=st.integers(0, 30), thread=threads, number=few, full=st.booleans())
    def enqueue(self, worker: str, event: int, thread: ThreadKey, number: int, full: bool) -> None:
        question = Question(thread, f"1700000000.00000{number}", PEOPLE[number % 2], f"Question {number}")
        with self._notified(), self._moving() as happened:
            taken = self._do(self.stores[worker].question_queue.enqueue(f"Ev{event}", question, full=full))
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
        for _ in range(int(SILENCE_S) + 2):
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
            claimed = self._do(self.stores[worker].worker_queue.claim(limit))
            happened |= {job.id: Event.TAKE_OVER if job.id in running else Event.CLAIM for job in claimed}
        self.model.claim(worker, limit, claimed)
        for job in claimed:
            is_deleted = self.model.jobs[job.id].answer_deleted
            assert is_deleted or job.checkpoint.text.startswith(self.on_record.get((job.id, job.version), ""))
            for step in job.steps:
                assert job.checkpoint.text[: step.chars] == self.on_record_at[job.id, job.version, step.step_no]
        return claimed

    @rule(worker=workers, some=st.lists(claims, max_size=4))
    def heartbeat(self, worker: str, some: list[tuple[str, Job]]) -> None:
        self._beat(worker, [job for _, job in some])

    def _beat(self, worker: str, claimed: list[Job], pieces: Mapping[Job, Piece] = NO_PIECES) -> None:
        pulse = self._do(self.stores[worker].worker_queue.heartbeat(dict.fromkeys(claimed, StepEstimate()), pieces))
        assert pulse == self.model.heartbeat(worker, claimed)
        for job, piece in pieces.items():
            self._recorded(worker, job, piece)

    @rule(claim=claims, delta=st.sampled_from(DELTAS), beats=st.booleans(), heard=st.booleans())
    def write(self, claim: tuple[str, Job], delta: str, beats: bool, heard: bool) -> None:
        """An attempt's text grows and goes on record; its worker may not hear of that, and sends it again."""
        worker, job = claim
        answer = self.answer_of(job)
        answer.append(delta)
        if piece := answer.piece_to_record():
            if beats:
                self._beat(worker, [job], {job: piece})
            else:
                self._do(self.stores[worker].worker_queue.checkpoint({job: piece}))
                self._recorded(worker, job, piece)
            if heard:
                answer.on_recorded(piece)

    @rule(claim=claims, number=few)
    def write_late(self, claim: tuple[str, Job], number: int) -> None:
        """A piece comes once more, after others: its first transaction was held up."""
        worker, job = claim
        if sent := self.sent.get((job.id, job.attempts)):
            piece = sent[number % len(sent)]
            self._do(self.stores[worker].worker_queue.checkpoint({job: piece}))
            self.model.checkpoint(worker, job, piece)

    def answer_of(self, job: Job) -> Answer:
        return self.answers.setdefault((job.id, job.attempts), Answer(job))

    def _recorded(self, worker: str, job: Job, piece: Piece) -> None:
        if self.model.checkpoint(worker, job, piece):
            self.sent.setdefault((job.id, job.attempts), []).append(piece)
            self.on_record[job.id, job.version] = self.answer_of(job).text[: piece.chars]

    @rule(claim=claims, is_interrupted=st.booleans())
    def release(self, claim: tuple[str, Job], is_interrupted: bool) -> None:
        """The model's failure after its first word counts like the death of a worker."""
        worker, job = claim
        piece = self.answer_of(job).piece_to_record()
        with self._notified(), self._moving() as happened:
            queue = self.stores[worker].worker_queue
            released = self._do(queue.release(job, piece, is_interrupted=is_interrupted))
            if piece:
                self._recorded(worker, job, piece)
            assert released is self.model.release(worker, job, is_interrupted)
            happened |= {job.id: Event.RELEASE} if released else {}

    @rule(
        claim=claims,
        text=st.sampled_from(["", "Hm. ", SAID.text]),
        calls=st.lists(st.sampled_from(CALL_STATES), min_size=1, max_size=2),
        waits=st.booleans(),
    )
    def take_step(self, claim: tuple[str, Job], text: str, calls: list[CallState], waits: bool) -> None:
        """A model asks for tools, perhaps with less text than an earlier attempt left. If a person has to approve some
        of the calls, the worker gives the job up."""
        worker, job = claim
        step_no = self.model.steps_of(job)
        made = [replace(CALL, step_no=step_no, index=index, state=state) for index, state in enumerate(calls)]
        answer = self.answer_of(job)
        answer.append(text)
        piece = answer.unrecorded_piece
        step = replace(asking_step(*made, step_no=step_no), chars=piece.chars)
        recorded = self._do(self.stores[worker].recorded_calls.record_step(job, step, STEPPED, piece))
        assert recorded is self.model.record_step(worker, job, calls)
        if recorded:
            self._recorded(worker, job, piece)
            answer.on_recorded(piece)
            answer.steps.append(step)
            self.on_record_at[job.id, job.version, step_no] = answer.text
        if waits:
            self.wait(claim, 0.0)

    @rule(
        claim=claims, mention_in_s=st.sampled_from([None, 0.0, 60.0]), shown_for_s=st.sampled_from([0.0, 2.0, 1_000.0])
    )
    def wait(self, claim: tuple[str, Job], mention_in_s: float | None, shown_for_s: float = 0.0) -> None:
        """What the asker has written since the calls were shown denies them at once."""
        worker, job = claim
        with self._notified(), self._moving() as happened:
            now = self.clock.now()
            mention_at = None if mention_in_s is None else now + mention_in_s
            waits = self._do(
                self.stores[worker].recorded_calls.wait_for_decisions(job, None, mention_at, now - shown_for_s)
            )
            assert waits is self.model.wait(worker, job, mention_in_s)
            happened |= {job.id: Event.WAIT} if waits else {}
            if waits and job.id in self.model.deny_by_replies_since(job, now - shown_for_s):
                happened[job.id] = Event.RELEASE

    @rule(claim=claims, number=few)
    def begin_call(self, claim: tuple[str, Job], number: int) -> None:
        """A call is begun by the worker that holds the job, at most once."""
        worker, job = claim
        key = self._call_of(job, number)
        call = replace(CALL, step_no=key[0], index=key[1])
        begun = self._do(self.stores[worker].recorded_calls.begin_call(job, call))
        assert begun is self.model.begin_call(worker, job, key)

    def _call_of(self, job: Job, number: int) -> tuple[int, int]:
        """Returns one of a job's calls; the first one of a job that has none isn't on record."""
        calls = sorted(self.model.calls_of(job)) or [(0, 0)]
        return calls[number % len(calls)]

    @rule(claim=claims, number=few, state=st.sampled_from([CallState.DONE, CallState.FAILED]))
    def end_call(self, claim: tuple[str, Job], number: int, state: CallState) -> None:
        """A call ends once, also one whose answer starts over."""
        worker, job = claim
        key = self._call_of(job, number)
        call = replace(CALL, step_no=key[0], index=key[1], state=state, result="Noted")
        ended = self._do(self.stores[worker].recorded_calls.end_call(job, call))
        assert ended is self.model.end_call(worker, job, key, state)

    @rule(claim=claims)
    def read_calls(self, claim: tuple[str, Job]) -> None:
        """A new version knows what an earlier one may have changed."""
        worker, job = claim
        if job.id in self.model.jobs:
            made = self._do(self.stores[worker].recorded_calls.earlier_calls(job))
            assert [call.state for call in made] == self.model.earlier_calls(job)

    @rule(worker=workers, number=few, index=few, decision=st.sampled_from(DECISIONS), by=st.sampled_from(PEOPLE))
    def decide(self, worker: str, number: int, index: int, decision: Decision, by: str) -> None:
        if (job_id := self._one(number)) is not None:
            calls = sorted(self.model.jobs[job_id].calls) or [(self.model.jobs[job_id].version, 0, 0)]
            version, *key = calls[index % len(calls)]
            call = replace(CALL, step_no=key[0], index=key[1])
            with self._notified(), self._moving() as happened:
                approvals = self.stores[worker].approvals
                decided = self._do(approvals.decide(job_id, version, call, decision, by))
                expected, released = self.model.decide(job_id, (version, key[0], key[1]), decision, by)
                assert decided is expected
                happened |= {job_id: Event.DECIDE} if released else {}

    @rule(worker=workers, late=st.booleans())
    def expire_approvals(self, worker: str, late: bool) -> None:
        self.clock.now_s += APPROVAL_S if late else 0.0
        with self._notified(), self._moving() as happened:
            count = self._do(self.stores[worker].approvals.expire())
            expired = self.model.expire_approvals()
            assert count == len(expired)
            happened |= dict.fromkeys(expired, Event.EXPIRE)

    @rule(claim=claims)
    def take_follow_ups(self, claim: tuple[str, Job]) -> None:
        worker, job = claim
        with self._notified(), self._moving() as happened:
            step_no = self.model.steps_of(job)
            taken = self._do(self.stores[worker].recorded_calls.take_follow_ups(job, step_no))
            expected = self.model.take_follow_ups(worker, job, step_no)
            assert [follow_up.question for follow_up in taken] == [
                self.model.jobs[job_id].question for job_id in expected
            ]
            happened |= dict.fromkeys(expected, Event.BATCH)

    @rule(claim=claims, reason=st.sampled_from(ENDS), answer=st.text(), mention=st.booleans())
    def finish(self, claim: tuple[str, Job], reason: EndReason, answer: str, mention: bool) -> None:
        self.end_attempt(claim, End(reason), answer.replace("\0", ""), mention)

    @rule(
        target=taken,
        claim=claims,
        reason=st.sampled_from(ENDS),
        mention=st.booleans(),
        before=st.sampled_from(["nothing", "an edit", "an erasure"]),
    )
    def fail_to_show(self, claim: tuple[str, Job], reason: EndReason, mention: bool, before: str):  # type: ignore[no-untyped-def]
        """Slack does not take an answer's end, and the outbox shows it when it is due."""
        worker, job = claim
        if job.id in self.model.jobs and before == "an edit":
            self.edit(worker, sorted(self.model.jobs).index(job.id), "Why at all?", 9)
        elif job.id in self.model.jobs and before == "an erasure":
            self.erase(worker, None, self.model.jobs[job.id].question.thread, 1)
        answer = self.answer_of(job)
        self.end_attempt(claim, End(reason, sentence_notice("A notice.")), answer.text, mention, OutboxKind.REPLY)
        self.clock.now_s += wait_s(0)
        return multiple(*self._take_outbox_entries(worker))

    def end_attempt(
        self, claim: tuple[str, Job], end: End, text: str, mention: bool, for_outbox: OutboxKind | None = None
    ) -> None:
        worker, job = claim
        with self._notified(), self._moving(Event.UNBATCH) as happened:
            if self.model.holds(worker, job):
                happened[job.id] = self._end_of(job, end.reason)
            queue = self.stores[worker].worker_queue
            ended = self._do(queue.finish(job, end, text, should_mention=mention, outbox_kind=for_outbox))
            assert ended is self.model.finish(worker, job, end, text, mention, for_outbox)

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
                stopped = self._do(self.stores[worker].question_queue.request_stop(job_id))
                assert stopped is self.model.request_stop(job_id)
                happened |= {job_id: Event.STOP} if stopped else {}

    @rule(worker=workers, number=few, versions_ago=st.integers(0, 1))
    def begin_one(self, worker: str, number: int, versions_ago: int) -> None:
        """Begins to post the placeholder of a question, perhaps after it was claimed, ended or was queued again."""
        if (job_id := self._one(number)) is not None:
            self.begin_placeholder(worker, job_id, versions_ago)

    def begin_placeholder(self, worker: str, job_id: int, versions_ago: int = 0) -> bool:
        job = self.model.jobs[job_id]
        attempts = 0 if job.attempts == 0 else job.attempts - (job.status is not Status.QUEUED)
        unclaimed = Job(job_id, job.question, attempts, version=job.version - versions_ago)
        with self._notified(), self._moving():
            begun = self._do(self.stores[worker].worker_queue.begin_placeholder(unclaimed))
            assert begun is self.model.begin_placeholder(unclaimed)
        return begun

    @rule(worker=workers, number=few)
    def read_can_post(self, worker: str, number: int) -> None:
        """Placeholders appear in the order of their questions."""
        if (job_id := self._one(number)) is not None:
            question = self.model.jobs[job_id].question
            can_post = self._do(self.stores[worker].question_queue.can_post_placeholder(question))
            assert can_post is self.model.can_post_placeholder(question)

    @rule(worker=workers, thread=threads, is_late=st.booleans())
    def announce(self, worker: str, thread: ThreadKey, is_late: bool) -> None:
        """Records the placeholders of a thread's queued questions, perhaps after they were claimed."""
        for job_id, job in self.model.of(thread).items():
            waits = job.status is Status.QUEUED or job.attempts == 0
            if job.placeholder_due_since is not None and (waits or is_late):
                self.record_placeholder(worker, job_id, (f"1800000000.{job_id:06d}",))

    def record_placeholder(self, worker: str, job_id: int, page_ts: tuple[str, ...]) -> None:
        """Records a placeholder that a process has posted for a job while nobody had claimed it."""
        job = self.model.jobs[job_id]
        waits = job.status is Status.QUEUED or job.attempts == 0
        unclaimed = Job(job_id, job.question, job.attempts - (0 if waits else 1))
        with self._notified(), self._moving():
            self._do(self.stores[worker].worker_queue.record_placeholder(unclaimed, recorded_pages(*page_ts)))
            self.model.record_placeholder(unclaimed, page_ts)

    @rule(claim=claims, pages=st.integers(0, 3))
    def record_pages(self, claim: tuple[str, Job], pages: int) -> None:
        worker, job = claim
        page_ts = tuple(f"17000001{job.id:02d}.00000{page}" for page in range(pages))
        with self._notified(), self._moving():
            self._do(self.stores[worker].worker_queue.record_messages(job, recorded_pages(*page_ts)))
            self.model.record_pages(worker, job, page_ts)

    @rule(worker=workers, number=few, text=st.sampled_from(["Why?", "Why not?"]), edit=few)
    def edit(self, worker: str, number: int, text: str, edit: int) -> None:
        """Edits arrive in any order. A question that is edited back has its first text again."""
        if (job_id := self._one(number)) is not None:
            first = f"Question {self.model.jobs[job_id].question.ts[-1]}"
            self.edit_at(worker, job_id, first if edit % 3 == 0 else text, f"18.{edit}")

    def edit_at(self, worker: str, job_id: int, text: str, edited_ts: str) -> None:
        old = self.model.jobs[job_id].question
        edited = Question(old.thread, old.ts, old.user_id, text)
        with self._notified(), self._moving() as happened:
            known = self._do(self.stores[worker].question_queue.edit(edited, edited_ts))
            answered_by = self.model.answered_by(job_id)
            before = self.model.jobs.get(answered_by)
            assert known is self.model.edit(job_id, text, edited_ts)
            if before is not None and before.state in (State.AWAITING_APPROVAL, State.ENDED, State.UNBEGUN):
                # An edit that changes nothing leaves a job where it is, and so does one before a later message.
                happened |= {answered_by: Event.EDIT} if self.model.jobs[answered_by].state is not before.state else {}
            elif known:
                happened[job_id] = Event.EDIT

    @rule(worker=workers, number=few)
    def delete_question(self, worker: str, number: int) -> None:
        if (job_id := self._one(number)) is not None:
            question = self.model.jobs[job_id].question
            place = question.thread.team_id, question.thread.channel_id, question.ts
            with self._notified(), self._moving(Event.UNBATCH) as happened:
                known = self._do(self.stores[worker].question_queue.delete(*place))
                assert known is self.model.delete_question(job_id)
                happened |= {job_id: Event.DELETE_QUESTION} if known else {}
                answered_by = self.model.answered_by(job_id)
                if answered_by != job_id and self.states.get(answered_by) is State.AWAITING_APPROVAL and known:
                    # The answer that had taken the question along starts over.
                    happened |= {answered_by: Event.EDIT} if self.model.jobs[answered_by].status == "queued" else {}

    @rule(worker=workers, thread=threads, number=few)
    def delete_early(self, worker: str, thread: ThreadKey, number: int) -> None:
        """Slack delivers a deletion before its message."""
        place = thread.team_id, thread.channel_id, f"1700000000.00000{number}"
        if place[2] not in [job.question.ts for job in self.model.of(thread).values()]:
            assert not self._do(self.stores[worker].question_queue.delete(*place))
            self.model.deleted.add(place)

    @rule(worker=workers, number=few, wish=wishes, full=st.booleans())
    def regenerate(self, worker: str, number: int, wish: Wish, full: bool) -> None:
        if (job_id := self._one(number)) is not None:
            queue = self.stores[worker].question_queue
            with self._notified(), self._moving() as happened:
                again = self._do(queue.regenerate(job_id, wish, full=full))
                assert (again and again.needs_placeholder) == self.model.regenerate(job_id, wish, full)
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
                erased = self._do(self.stores[worker].erasure.erase(user_id=user_id, thread=thread))
                assert erased[QUESTION] == self.model.erase(user_id, thread)

    @rule(target=taken, worker=workers)
    def take_outbox_entries(self, worker: str):  # type: ignore[no-untyped-def]
        return multiple(*self._take_outbox_entries(worker))

    def _take_outbox_entries(self, worker: str) -> list[OutboxEntry]:
        result = self._do(self.stores[worker].outbox.claim_due(100))
        self.model.take_outbox_entries(result)
        return result

    @rule(entry=taken, worker=workers)
    def complete_outbox_entry(self, entry: OutboxEntry, worker: str) -> None:
        if entry.kind is OutboxKind.SIDE_MESSAGES:
            self.show_beside(entry, worker, is_heard=True)
        self._do(self.stores[worker].outbox.complete(entry))
        self.model.complete_outbox_entry(entry)

    @rule(entry=taken, worker=workers)
    def post_unheard(self, entry: OutboxEntry, worker: str) -> None:
        """The process dies before it hears of its post."""
        if entry.kind is OutboxKind.SIDE_MESSAGES and entry.mention_due_at is not None:
            self.show_beside(entry, worker, is_heard=False)

    def show_beside(self, entry: OutboxEntry, worker: str, *, is_heard: bool) -> None:
        store, message = self.stores[worker].outbox, None
        if entry.mention_due_at is not None:
            role = MessageRole.MENTION if entry.waits_until is None else MessageRole.ASK
            message = RecordedMessage(f"1900000000.{next(self.posts):06d}", role, entry.version)
            can_post = self._do(store.record_posting(entry, replace(message, ts="")))
            if can_post and is_heard:
                self._do(store.record_posted(entry, message))
        if is_heard:
            self._do(store.record_deleted(entry, entry.outdated_messages))
        assert self.model.show_beside(entry, message, is_heard=is_heard) == (message and can_post)

    @rule(entry=taken, worker=workers)
    def postpone_outbox_entry(self, entry: OutboxEntry, worker: str) -> None:
        self._do(self.stores[worker].outbox.postpone(entry, wait_s(entry.tries)))
        self.model.postpone_outbox_entry(entry, wait_s(entry.tries))

    @rule(entry=taken, worker=workers, pages=few)
    def record_shown_pages(self, entry: OutboxEntry, worker: str, pages: int) -> None:
        """The process that took the entry has edited the reply, perhaps in new messages."""
        if entry.kind is OutboxKind.REPLY:
            page_ts = tuple(f"17000002{entry.job_id:02d}.00000{page}" for page in range(pages))
            self._do(self.stores[worker].outbox.record_messages(entry, recorded_pages(*page_ts)))
            self.model.record_shown_pages(entry, page_ts)

    @rule(entry=taken, worker=workers)
    def read_unshown_end(self, entry: OutboxEntry, worker: str) -> None:
        """The worker that took the entry reads what to show. Another one may have taken it since, or it may be gone."""
        if entry.kind is OutboxKind.REPLY and entry.target is ReplyTarget.END:
            assert self._do(self.stores[worker].outbox.unshown_end(entry)) == self.model.unshown_end(entry)

    @rule(worker=workers, thread=threads)
    def read(self, worker: str, thread: ThreadKey) -> None:
        replies = self._do(self.stores[worker].recorded_answers.replies(thread))
        assert texts_of(replies) == self.model.replies(thread)

    @rule(worker=workers, number=few)
    def delete_answer(self, worker: str, number: int) -> None:
        if (job_id := self._one(number)) is not None:
            self._do(self.stores[worker].recorded_answers.delete(job_id, PEOPLE[0]))
            self.model.delete_answer(job_id)

    @rule(worker=workers, thread=threads, user_id=writers, number=numbers)
    def at_message(self, worker: str, thread: ThreadKey, user_id: str, number: int) -> None:
        """Someone writes between the questions or after them. Slack may deliver the message again."""
        ts = f"1700000000.{number:06d}"
        found = self._do(self.stores[worker].participants.participants_at(thread, user_id, ts))
        expected = self.model.at_message(thread, user_id, ts)
        assert astuple(found) == astuple(expected)
        if found.begins_group:
            self.runner.run(self.stores[worker].participants.mark_group(thread, ts))
            self.model.mark_group(thread, ts)

    @rule(worker=workers, thread=threads, user_id=writers, number=numbers)
    def record_line(self, worker: str, thread: ThreadKey, user_id: str, number: int) -> None:
        ts = f"1700000000.{number:06d}"
        self._do(self.stores[worker].participants.record_line(thread, user_id, ts))
        self.model.record_line(thread, user_id, ts)

    @rule(worker=workers, thread=threads, number=few, starter=st.sampled_from([None, "", "U3"]))
    def mark_group(self, worker: str, thread: ThreadKey, number: int, starter: str | None) -> None:
        """The messages before the first question showed who else writes in a thread, and who began it."""
        participants, ts = self.stores[worker].participants, f"1700000000.{number:06d}"
        self._do(participants.mark_group(thread, ts, starter))
        self.model.mark_group(thread, ts, starter)
        assert self._do(participants.starter(thread)) == self.model.starter(thread)

    @rule(worker=workers, thread=threads, number=few, quiet=st.booleans())
    def switch(self, worker: str, thread: ThreadKey, number: int, quiet: bool) -> None:
        ts = f"1700000000.{number:06d}"
        is_newest = self._do(self.stores[worker].participants.set_quiet(thread, quiet=quiet, ts=ts))
        assert is_newest is self.model.switch(thread, quiet, ts)

    @invariant()
    def invariants_hold(self) -> None:
        """Checks that no deleted text remains, no entry is without its job, and no thread has two answers at once."""
        status, texts, due, growing, metered, facts = self.runner.run(self._records())
        assert status == {key: (job.status, job.end_reason) for key, job in self.model.jobs.items()}
        assert texts == {key: job.question.text for key, job in self.model.jobs.items()}
        assert due == {key: (entry.due_at, entry.tries) for key, entry in self.model.entries.items()}
        assert growing == {key for key, job in self.model.jobs.items() if job.pieces}
        lines = sum(map(len, self.model.lines.values()))
        assert facts == (len(self.model.shared), lines, len(self.model.switched))
        running = {key: job for key, job in self.model.jobs.items() if job.status is Status.RUNNING}
        # Whoever erases everything erases the ledger, too.
        assert metered <= set(running) <= metered | {key for key, job in running.items() if job.erase_requested}
        doing = [job.question.thread for job in running.values()]
        assert len(doing) == len(set(doing))

    async def _records(
        self,
    ) -> tuple[dict[int, Any], dict[int, str], Mapping[Any, Any], set[int], set[int], tuple[int, ...]]:
        """Returns what is on record: jobs' states and texts, entries, jobs with texts, with open charges, and facts."""
        async with self.listener.database.engine.begin() as connection:
            rows = (await connection.execute(RECORDED)).all()
            due = (await connection.execute(DUE)).all()
            beside = [tuple(row) for row in (await connection.execute(BESIDE)).all()]
        listed = {(entry.job_id, entry.about or entry.kind): (entry.due_at, entry.tries) for entry in due}
        status = {row.id: (row.status, row.end_reason) for row in rows}
        texts = {row.id: row.text for row in rows}
        growing, metered = ({number for kind, number in beside if kind == of} for of in ("growing", "metered"))
        facts = tuple(number for table in FACTS for kind, number in beside if kind == table.name)
        return status, texts, listed, growing, metered, facts

    def _one(self, number: int) -> int | None:
        known = sorted(self.model.jobs)
        return known[number % len(known)] if known else None
