"""A model of the store: what it should hold and return, with jobs and entries in plain dicts."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Any

from bot.clock import Clock
from bot.core.calls import APPROVAL_S, CallState, Decision
from bot.core.conversation import Question, ThreadKey
from bot.core.job import (
    MENTION_ROLES,
    NO_WISH,
    POSTING,
    Checkpoint,
    End,
    FollowUp,
    Job,
    MessageRole,
    Piece,
    Pulse,
    RecordedMessage,
    State,
    Status,
    Wish,
    state_of,
)
from bot.core.outbox import (
    BACKOFF,
    OUTBOX_HOLD_S,
    REPLY_EDIT_KINDS,
    TIDY_AFTER_S,
    OutboxEntry,
    OutboxKind,
    ReplyTarget,
    wait_s,
)
from bot.core.triage import MAX_LINES, Line, Participants
from bot.errors import EndReason
from bot.store.claim import LATE_POST_S, PLACEHOLDER_HOLD_S, RESTART_PAUSE_S, RESTARTS_AT_ONCE
from bot.store.workers import SILENCE_S
from tests.core.conversations import recorded_pages


@dataclass(frozen=True)
class Expected:
    question: Question
    status: Status = Status.QUEUED
    end_reason: EndReason | None = None
    worker: str | None = None
    attempts: int = 0
    interruptions: int = 0
    version: int = 0
    page_ts: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    """The texts of attempts that finished, oldest first. One that goes on after another holds both, and that none."""
    end: End | None = None
    wish: Wish = NO_WISH
    answer_deleted: bool = False
    placeholder_due_since: float | None = None
    stop_requested: bool = False
    erase_requested: bool = False
    answered_with: int | None = None
    edited_ts: str = ""
    mention_at: float | None = None
    beside: Mapping[tuple[MessageRole, int], str] = field(default_factory=dict, hash=False)
    """The messages beside its reply, by role and version. One that was perhaps posted unheard has no ts."""
    joined_step: int | None = None
    waits_until: float | None = None
    created_at: float = 0.0
    asked_at: float = 0.0
    started_at: float | None = None
    calls: Mapping[tuple[int, int, int], CallState] = field(default_factory=dict, hash=False)
    """The state of each call, by version, step and index, in the order in which they were recorded."""
    begun: frozenset[tuple[int, int, int]] = frozenset()
    """The calls that were ever begun."""
    of_deleted: frozenset[tuple[int, int, int]] = frozenset()
    """The calls whose steps went when the answer was deleted."""
    pieces: tuple[tuple[int, int, Piece], ...] = ()
    """The text on record of an answer that nobody has ended, with the version and the attempt that wrote each piece."""

    @property
    def checkpoint(self) -> Checkpoint:
        """What the pieces of this version say together: the last attempt that wrote any has the last word."""
        text, end, writer = self.so_far, None, 0
        of_version = [(attempt, piece) for version, attempt, piece in self.pieces if version == self.version]
        for attempt, piece in of_version:
            is_after_gap = piece.start > len(text)
            is_late = attempt == writer and piece.chars < len(text)
            if not is_after_gap and not is_late:
                text, end, writer = text[: piece.start] + piece.text, piece.end or end, attempt
        return Checkpoint(text, end) if of_version else Checkpoint()

    @property
    def so_far(self) -> str:
        return self.answers[-1] if self.wish.continues and self.answers else ""

    @property
    def state(self) -> State:
        return state_of(self.status, self.attempts, self.end_reason)

    @property
    def live(self) -> bool:
        return self.state.is_live

    @property
    def unbegun(self) -> bool:
        return self.state is State.QUEUED

    @property
    def is_asking(self) -> bool:
        """Whether a call of this version is to be decided."""
        return any(key[0] == self.version and state is CallState.ASKED for key, state in self.calls.items())

    @property
    def withdrawn(self) -> bool:
        return not self.question.text


@dataclass(frozen=True)
class Due:
    due_at: float
    tries: int = 0
    id: int | None = None
    changes: int = 0
    is_held: bool = False


class StoreModel:
    """Each method does what the store's method should do, and returns what that should return."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.jobs: dict[int, Expected] = {}
        self.entries: dict[tuple[int, OutboxKind], Due] = {}
        self.seen: set[str] = set()
        self.deleted: set[tuple[str, str, str]] = set()
        """The workspace, channel and ts of messages that were deleted before they arrived."""
        self.shared: dict[ThreadKey, str] = {}
        """The message that first showed that a thread has several participants."""
        self.lines: dict[ThreadKey, dict[str, str]] = {}
        """Who wrote the messages of a thread that are no questions, by ts."""
        self.switched: dict[ThreadKey, tuple[str, bool]] = {}
        """When a thread was last made quiet or not, and which."""
        self.heard_at: dict[str, float] = {}

    def of(self, thread: ThreadKey) -> dict[int, Expected]:
        of_thread = [(key, job) for key, job in self.jobs.items() if job.question.thread == thread]
        return dict(sorted(of_thread, key=lambda item: item[1].question.ts))

    def held_by(self, worker: str) -> list[int]:
        return [key for key, job in self.jobs.items() if (job.status, job.worker) == (Status.RUNNING, worker)]

    def holds(self, worker: str, job: Job) -> bool:
        now = self.jobs.get(job.id)
        return now is not None and (now.status, now.worker, now.attempts) == (Status.RUNNING, worker, job.attempts)

    def standing(self, job_id: int) -> dict[int, Expected]:
        """Returns the questions that are batched with a job."""
        with_it = {key: job for key, job in self.jobs.items() if job.answered_with == job_id and not job.withdrawn}
        return dict(sorted(with_it.items(), key=lambda item: item[1].question.ts))

    def job(self, job_id: int) -> Job:
        job = self.jobs[job_id]
        is_unsure = job.interruptions > 0 or (job.placeholder_due_since is not None and not job.page_ts)
        return Job(
            job_id,
            job.question,
            job.attempts,
            (*recorded_pages(*job.page_ts), *((POSTING,) if is_unsure else ())),
            interruptions=job.interruptions,
            earlier_questions=tuple(b.question for b in self.standing(job_id).values() if b.joined_step is None),
            follow_ups=tuple(
                FollowUp(b.question, b.joined_step) for b in self.standing(job_id).values() if b.joined_step is not None
            ),
            version=job.version,
            wish=job.wish,
            has_previous=job.version > 0 and any(job.answers[: -1 if job.wish.continues else None]),
            continued_text=job.so_far,
            checkpoint=job.checkpoint if job.attempts > 1 else Checkpoint(),
            stop_requested=job.stop_requested,
        )

    def news(self) -> set[tuple[object, ...]]:
        """Returns what other processes should learn at once: jobs to claim, and changes to jobs that they hold."""
        doing = {(key, job) for key, job in self.jobs.items() if job.status is Status.RUNNING}
        to_claim: set[tuple[object, ...]] = {("claim", leader) for leader in self.leaders()}
        return to_claim | {("hear", key, job.stop_requested, job.version) for key, job in doing if job.worker}

    def enqueue(self, event_id: str, question: Question, full: bool, job_id: int | None) -> bool | None:
        """Returns whether the new job is queued, or None for a known or deleted message. `job_id`: the store's ID."""
        others = self.of(question.thread)
        place = question.thread.team_id, question.thread.channel_id, question.ts
        known = question.ts in [job.question.ts for job in others.values()] or event_id in self.seen
        self.seen.add(event_id)
        assert (job_id is None) is (known or place in self.deleted)
        if job_id is None:
            return None
        waits = full or self._is_behind(question)
        self.jobs[job_id] = Expected(question, created_at=self.clock.now(), asked_at=self.clock.now())
        return waits

    def _is_behind(self, question: Question) -> bool:
        return any(
            job.status is Status.RUNNING
            or (job.status is Status.QUEUED and (job.attempts > 0 or job.question.ts < question.ts))
            for job in self.of(question.thread).values()
        )

    def leaders(self) -> list[int]:
        """Returns the job to claim in each idle thread: a released one, or the oldest queued one with a placeholder."""
        leaders = []
        for thread in {job.question.thread for job in self.jobs.values()}:
            jobs = self.of(thread)
            todo = [key for key, job in jobs.items() if job.status is Status.QUEUED]
            todo.sort(key=lambda key: (jobs[key].attempts == 0, jobs[key].question.ts))
            running = any(job.status is Status.RUNNING for job in jobs.values())
            is_free = bool(todo) and self._shown(jobs[todo[0]]) and self._can_restart(jobs[todo[0]])
            if is_free and not running and not self._reply_in_hand(todo[0]):
                leaders.append(todo[0])
        return sorted(leaders)

    def _reply_in_hand(self, job_id: int) -> bool:
        """Whether somebody may be editing the job's reply now."""
        of_reply = [due for kind in REPLY_EDIT_KINDS if (due := self.entries.get((job_id, kind)))]
        return any(self._is_in_hand(due, self.clock.now()) for due in of_reply)

    def _is_in_hand(self, due: Due, now: float) -> bool:
        return due.is_held and 0 < due.due_at - now <= OUTBOX_HOLD_S

    def _shown(self, job: Expected) -> bool:
        since = job.placeholder_due_since
        return since is None or self.clock.now() - since >= PLACEHOLDER_HOLD_S

    def _can_restart(self, job: Expected) -> bool:
        if job.version <= RESTARTS_AT_ONCE or not job.edited_ts or job.started_at is None or job.stop_requested:
            return True
        return self.clock.now() - job.started_at >= RESTART_PAUSE_S

    def claim(self, worker: str, limit: int, claimed: Sequence[Job]) -> None:
        """Raises AssertionError if these jobs are not to be claimed now."""
        taken_over = [job.id for job in claimed if self.jobs[job.id].status is Status.RUNNING]
        ready = dict(map(self._together, self.leaders()[: limit - len(taken_over)]))
        assert [job.id for job in claimed] == sorted(taken_over) + sorted(ready)
        for job_id in (*taken_over, *ready):
            old = self.jobs[job_id]
            new = replace(old, status=Status.RUNNING, worker=worker, attempts=old.attempts + 1)
            new = replace(new, started_at=self.clock.now())
            if job_id in taken_over:
                assert old.worker is not None
                assert self.clock.now() - self.heard_at[old.worker] >= SILENCE_S
                new = replace(new, interruptions=old.interruptions + 1)
            else:
                self.heard_at[worker] = self.clock.now()
            self.jobs[job_id] = new
        for job_id, before in ready.items():
            for earlier_id in before:
                self.jobs[earlier_id] = replace(
                    self.jobs[earlier_id], status=Status.ENDED, end_reason=EndReason.BATCHED, answered_with=job_id
                )
                self._clear(earlier_id)
        assert list(claimed) == [self.job(job.id) for job in claimed]
        assert [job.asked_at for job in claimed] == [self.jobs[job.id].asked_at for job in claimed]
        assert [_calls_in(job) for job in claimed] == [self._recorded_calls(job) for job in claimed]

    def _recorded_calls(self, job: Job) -> list[CallState]:
        """Returns the calls of the steps that the next attempt gets."""
        now = self.jobs[job.id]
        kept = [key for key in now.calls if key[0] == job.version and key not in now.of_deleted]
        return [now.calls[key] for key in kept if job.attempts > 1]

    def _together(self, leader: int) -> tuple[int, list[int]]:
        """Returns the newest job that its asker has queued behind a leader, and the others of the batch."""
        waiting = [
            key for key, job in self.of(self.jobs[leader].question.thread).items() if job.status is Status.QUEUED
        ]
        asker = self.jobs[leader].question.user_id

        def joins(job: Expected) -> bool:
            return job.unbegun and self._shown(job) and job.question.user_id == asker

        group = takewhile(lambda key: joins(self.jobs[key]), waiting)
        *before, newest = [leader] if self.jobs[leader].attempts else group
        return newest, before

    def heartbeat(self, worker: str, claimed: Sequence[Job]) -> Pulse:
        """A stop takes precedence over an edit."""
        if claimed:
            self.heard_at[worker] = self.clock.now()
        ours = {job: self.jobs[job.id] for job in claimed if self.holds(worker, job)}
        to_stop = frozenset(job.id for job, now in ours.items() if now.stop_requested)
        to_restart = frozenset(job.id for job, now in ours.items() if now.version != job.version)
        return Pulse(frozenset(job.id for job in ours), to_stop, to_restart - to_stop)

    def checkpoint(self, worker: str, job: Job, piece: Piece) -> bool:
        """Whether the piece goes on record: only of a job that is the worker's, in the version that it answers."""
        if not self.holds(worker, job) or self.jobs[job.id].version != job.version:
            return False
        self._change(job.id, pieces=(*self.jobs[job.id].pieces, (job.version, job.attempts, piece)))
        return True

    def release(self, worker: str, job: Job, is_interrupted: bool) -> bool:
        if not self.holds(worker, job):
            return False
        interruptions = self.jobs[job.id].interruptions + is_interrupted
        self._change(job.id, status=Status.QUEUED, worker=None, interruptions=interruptions)
        return True

    def finish(self, worker: str, job: Job, end: End, text: str, mention: bool, for_outbox: OutboxKind | None) -> bool:
        if not self.holds(worker, job):
            return False
        now = self.jobs[job.id]
        outdated = now.version != job.version and not now.stop_requested
        text = "" if now.answer_deleted else text
        before = (*now.answers[:-1], "") if job.continued_text and not outdated else now.answers
        self._change(job.id, status=Status.QUEUED if outdated else Status.ENDED, answers=(*before, text))
        self._change(job.id, end_reason=None if outdated else end.reason, end=end)
        self._change(job.id, pieces=())
        is_over = not (outdated or now.erase_requested)
        self._change(job.id, mention_at=None)
        if for_outbox is not OutboxKind.REPLY:
            tried = [kind for kind in REPLY_EDIT_KINDS if (due := self.entries.get((job.id, kind))) and due.tries]
            self._cancel_entries(job.id, *tried)
        if is_over:
            self._tidy(job.id)
        if for_outbox and is_over:
            self._add(job.id, for_outbox, wait_s(0))
        elif is_over and (now.answer_deleted or now.withdrawn or now.version != job.version):
            self._add(job.id, OutboxKind.REPLY)
        is_wanted = mention and not (now.stop_requested or now.answer_deleted)
        if is_wanted and for_outbox in (None, OutboxKind.REPLY) and is_over:
            self._change(job.id, mention_at=self.clock.now())
            self._add(job.id, OutboxKind.SIDE_MESSAGES)
        if now.erase_requested:
            self._remove([job.id])
            self._drop_facts(now.question.thread)
        return not outdated

    def _tidy(self, job_id: int) -> None:
        """Moves the buttons of the answer above this one, and its own if another answer is below it."""
        question = self.jobs[job_id].question
        others = {
            key: job
            for key, job in self.of(question.thread).items()
            if job.attempts and job.answered_with is None and job.end_reason is not EndReason.DENIED
        }
        above = [key for key, job in others.items() if job.status is Status.ENDED and job.question.ts < question.ts]
        is_followed = any(job.question.ts > question.ts for job in others.values())
        for earlier in {*above[-1:], *([job_id] if is_followed else [])}:
            self._add(earlier, OutboxKind.TIDY, TIDY_AFTER_S)

    def delete_answer(self, job_id: int) -> None:
        self._change(job_id, answer_deleted=True, answers=("",) * len(self.jobs[job_id].answers), pieces=())
        self._change(job_id, of_deleted=frozenset(self.jobs[job_id].calls))
        self._change(job_id, mention_at=None)
        self._add(job_id, OutboxKind.REPLY)

    def steps_of(self, job: Job) -> int:
        return 1 + max((step_no for step_no, _ in self.calls_of(job)), default=-1)

    def calls_of(self, job: Job) -> list[tuple[int, int]]:
        calls = self.jobs[job.id].calls if job.id in self.jobs else {}
        return [(step_no, index) for version, step_no, index in calls if version == job.version]

    def _is_current(self, worker: str, job: Job) -> bool:
        return self.holds(worker, job) and self.jobs[job.id].version == job.version

    def record_step(self, worker: str, job: Job, states: Sequence[CallState]) -> bool:
        if not self._is_current(worker, job):
            return False
        step_no = self.steps_of(job)
        calls = {(job.version, step_no, index): state for index, state in enumerate(states)}
        self._change(job.id, calls={**self.jobs[job.id].calls, **calls})
        return True

    def begin_call(self, worker: str, job: Job, key: tuple[int, int]) -> bool:
        """No call of a version begins twice, and none once the job is stopped."""
        if not self._is_current(worker, job) or self.jobs[job.id].stop_requested:
            return False
        if begins := self._move_call(job.id, (job.version, *key), CallState.BEGUN, CallState.READY):
            self._change(job.id, begun=self.jobs[job.id].begun | {(job.version, *key)})
        return begins

    def end_call(self, worker: str, job: Job, key: tuple[int, int], state: CallState) -> bool:
        """A call ends once, in whatever version."""
        if not self.holds(worker, job):
            return False
        return self._move_call(job.id, (job.version, *key), state, CallState.READY, CallState.BEGUN)

    def earlier_calls(self, job: Job) -> list[CallState]:
        """Returns the calls that were begun for earlier versions."""
        now = self.jobs[job.id]
        return [state for key, state in now.calls.items() if key in now.begun and key[0] < job.version]

    def _move_call(self, job_id: int, key: tuple[int, int, int], new: CallState, *old: CallState) -> bool:
        calls = self.jobs[job_id].calls
        if calls.get(key) not in old:
            return False
        self._change(job_id, calls={**calls, key: new})
        return True

    def wait(self, worker: str, job: Job, mention_in_s: float | None) -> bool:
        if not self._is_current(worker, job) or self.jobs[job.id].stop_requested or not self.jobs[job.id].is_asking:
            return False
        self._change(job.id, status=Status.AWAITING_APPROVAL, worker=None, waits_until=self.clock.now() + APPROVAL_S)
        mention_at = None if mention_in_s is None else self.clock.now() + mention_in_s
        self._change(job.id, mention_at=mention_at)
        if mention_in_s is not None:
            self._add(job.id, OutboxKind.SIDE_MESSAGES, min(mention_in_s, BACKOFF.max_s))
            self._change_beside(job.id)
        return True

    def decide(self, job_id: int, key: tuple[int, int, int], decision: Decision, by: str) -> tuple[bool, bool]:
        """Returns whether the decision counts, and whether the job goes on now."""
        job = self.jobs[job_id]
        is_in_time = job.status is Status.AWAITING_APPROVAL and not self._is_late(job)
        is_decidable = (is_in_time or job.status is Status.RUNNING) and not job.stop_requested
        if not is_decidable or job.version != key[0]:
            return False, False
        state = CallState.DENIED if decision is Decision.DENIED else CallState.READY
        decided = self._move_call(job_id, key, state, CallState.ASKED)
        released = not self.jobs[job_id].is_asking and self._decided(job_id)
        if released and by == job.question.user_id:
            self._change(job_id, asked_at=self.clock.now())
        if decided and self.jobs[job_id].status is Status.AWAITING_APPROVAL and not self._reply_in_hand(job_id):
            self._add(job_id, OutboxKind.REPLY)
        return decided, released

    def expire_approvals(self) -> list[int]:
        return [key for key, job in self.jobs.items() if self._is_late(job) and self._deny_all(key)]

    def _is_late(self, job: Expected) -> bool:
        return job.waits_until is not None and job.waits_until <= self.clock.now()

    def deny_by_replies_since(self, job: Job, shown_at: float) -> list[int]:
        """Returns the waiting jobs that go on because of what is queued in their thread since then."""
        queued = [other for other in self.of(job.question.thread).values() if other.status is Status.QUEUED]
        return [key for other in queued if other.created_at > shown_at for key in self.deny_by_reply(other.question)]

    def deny_by_reply(self, question: Question) -> list[int]:
        """Returns the waiting jobs that go on because their asker has asked something else."""
        denied = []
        for key, job in self.of(question.thread).items():
            is_asker = question.user_id == job.question.user_id
            shown_ts = max((job.question.ts, *job.page_ts))
            if job.state is State.AWAITING_APPROVAL and is_asker and shown_ts < question.ts:
                denied += [key] if self._deny_all(key) else []
                self._change(key, asked_at=self.clock.now())
        return denied

    def _deny_all(self, job_id: int) -> bool:
        job = self.jobs[job_id]
        for key in [key for key in job.calls if key[0] == job.version]:
            self._move_call(job_id, key, CallState.DENIED, CallState.ASKED)
        return self._decided(job_id)

    def _decided(self, job_id: int) -> bool:
        """Returns whether the job waited, now that all is decided. The next attempt shows that."""
        return self._release_waiting(job_id) and self._overtake(job_id) is not None

    def _overtake(self, job_id: int) -> bool:
        """Leaves a change to the next attempt; returns whether there was one that nobody had tried."""
        of_reply = {kind: due for kind in REPLY_EDIT_KINDS if (due := self.entries.get((job_id, kind)))}
        free = {kind: due for kind, due in of_reply.items() if not self._is_in_hand(due, self.clock.now())}
        self._cancel_entries(job_id, *free)
        return any(due.tries == 0 for due in free.values())

    def take_follow_ups(self, worker: str, job: Job, step_no: int) -> list[int]:
        if not self._is_current(worker, job) or self.jobs[job.id].stop_requested:
            return []
        asked = self.jobs[job.id].question
        later = {key: other for key, other in self.of(asked.thread).items() if other.question.ts > asked.ts}
        queued = [key for key, other in later.items() if other.status is Status.QUEUED]
        taken = list(
            takewhile(lambda key: self.jobs[key].unbegun and self.jobs[key].question.user_id == asked.user_id, queued)
        )
        for key in taken:
            ended = {"status": Status.ENDED, "end_reason": EndReason.BATCHED, "answered_with": job.id}
            self._change(key, **ended, joined_step=step_no)
            self._clear(key)
        return taken

    def answered_by(self, job_id: int) -> int:
        """Returns the job whose answer a question gets."""
        answered_with = self.jobs[job_id].answered_with
        return job_id if answered_with is None else answered_with

    def request_stop(self, job_id: int) -> bool:
        old = self.jobs[job_id]
        if not old.live:
            return False
        self._change(job_id, stop_requested=True)
        self._release_waiting(job_id)
        if old.unbegun:
            self._change(job_id, status=Status.ENDED, end_reason=EndReason.STOPPED)
            self._clear(job_id)
        return True

    def record_pages(self, worker: str, job: Job, page_ts: tuple[str, ...]) -> None:
        if self.holds(worker, job):
            self._change(job.id, page_ts=page_ts, placeholder_due_since=None)

    def can_post_placeholder(self, question: Question) -> bool:
        before = [job for job in self.of(question.thread).values() if job.question.ts < question.ts]
        return all(job.page_ts for job in before if job.live)

    def begin_placeholder(self, job: Job) -> bool:
        old = self.jobs.get(job.id)
        if old is None or (old.status, old.attempts, old.version) != (Status.QUEUED, job.attempts, job.version):
            return False
        self._change(job.id, placeholder_due_since=self.clock.now())
        return True

    def record_placeholder(self, job: Job, page_ts: tuple[str, ...]) -> None:
        old = self.jobs.get(job.id)
        if old is None or old.attempts != job.attempts or not (old.status is Status.QUEUED or old.attempts == 0):
            return
        self._change(job.id, page_ts=page_ts, placeholder_due_since=None)
        if old.status is not Status.QUEUED:
            self._clear(job.id)

    def edit(self, job_id: int, text: str, edited_ts: str) -> bool:
        """The newest edit wins, in whatever order they arrive."""
        old = self.jobs[job_id]
        if old.state is State.DENIED or old.withdrawn:
            return False
        if edited_ts < old.edited_ts:
            return True
        self._change(job_id, question=replace(old.question, text=text), edited_ts=edited_ts)
        if text == old.question.text:
            return True
        answered_by = job_id if old.answered_with is None else old.answered_with
        if not self._start_over(answered_by) and not old.live:
            self._answer_edited(answered_by)
        return True

    def _answer_edited(self, job_id: int) -> None:
        job = self.jobs.get(job_id)
        if job is None or not self._can_be_regenerated(job):
            return
        thread, ts = job.question.thread, job.question.ts
        lines = self.lines.get(thread, {}).items()
        others_wrote = any(line_ts > ts and writer != job.question.user_id for line_ts, writer in lines)
        if [*self.of(thread)][-1] == job_id and self.shared.get(thread, "") <= ts and not others_wrote:
            self._requeue(job_id)
        elif job.attempts:
            self._add(job_id, OutboxKind.REPLY)

    def _can_be_regenerated(self, job: Expected) -> bool:
        is_over = not job.live and job.state is not State.DENIED and not job.answer_deleted
        return is_over and job.answered_with is None and not job.withdrawn

    def delete_question(self, job_id: int) -> bool:
        old = self.jobs[job_id]
        if old.state is State.DENIED or old.withdrawn:
            return False
        self._change(job_id, question=replace(old.question, text=""))
        if old.answered_with is not None:
            self._change(job_id, end_reason=EndReason.QUESTION_DELETED)
            self._start_over(old.answered_with)
        elif old.unbegun:
            self._change(job_id, status=Status.ENDED, end_reason=EndReason.QUESTION_DELETED, stop_requested=True)
            self._clear(job_id)
        elif old.live:
            self._change(job_id, stop_requested=True)
            self._release_waiting(job_id)
            self._unbatch(job_id)
            self._add(job_id, OutboxKind.REPLY)
        elif not self.standing(job_id):
            self._change(job_id, mention_at=None)
            self._add(job_id, OutboxKind.REPLY)
        return True

    def regenerate(self, job_id: int, wish: Wish, full: bool) -> bool | None:
        """Returns whether the job is queued, or None if it can't be regenerated. The answer is written into the job's
        messages. For an unbegun job, that is its placeholder, if it still exists."""
        old = self.jobs[job_id]
        if not self._can_be_regenerated(old):
            return None
        waits = full or self._is_behind(old.question)
        self._requeue(job_id, replace(old.wish, continues=True) if wish.continues else wish)
        return waits

    def _requeue(self, job_id: int, wish: Wish = NO_WISH) -> None:
        old = self.jobs[job_id]
        since = old.placeholder_due_since if old.attempts == 0 else None
        self._change(job_id, status=Status.QUEUED, end_reason=None, worker=None, wish=wish)
        self._change(job_id, interruptions=0, placeholder_due_since=since)
        self._change(job_id, version=old.version + 1, stop_requested=False, pieces=(), asked_at=self.clock.now())
        self._change(job_id, mention_at=None)
        self._change_beside(job_id)
        self._keep_placeholder(job_id)
        self._rejoin(job_id)

    def erase(self, user_id: str | None, thread: ThreadKey | None) -> int:
        theirs = {
            key: job
            for key, job in self.jobs.items()
            if user_id in (None, job.question.user_id) and thread in (None, job.question.thread)
        }
        for key, job in theirs.items():
            if job.status is Status.RUNNING:
                self._change(key, stop_requested=True, erase_requested=True)
        removed = {key: job for key, job in theirs.items() if job.status is not Status.RUNNING}
        self._remove(removed)
        if thread is None:
            for of_thread in self.lines.values():
                of_thread |= {ts: "" for ts, writer in of_thread.items() if user_id in (None, writer)}
        if user_id is None:
            self._forget(lambda key: thread in (None, key))
        else:
            self._drop_facts(*{job.question.thread for job in removed.values()})
        if user_id is None and thread is None:
            self.seen.clear()
            self.deleted.clear()
        return len(theirs)

    def _drop_facts(self, *threads: ThreadKey) -> None:
        """Forgets what is known of threads that have no job any more."""
        self._forget(lambda key: key in threads and not self.of(key))

    def _forget(self, is_gone: Callable[[ThreadKey], bool]) -> None:
        facts: tuple[dict[ThreadKey, Any], ...] = (self.shared, self.lines, self.switched)
        for of_threads in facts:
            for thread in filter(is_gone, [*of_threads]):
                del of_threads[thread]

    def take_outbox_entries(self, taken: Sequence[OutboxEntry]) -> None:
        """Raises AssertionError if these entries are not the ones that are due."""
        now = self.clock.now()
        due = {
            key: entry
            for key, entry in self.entries.items()
            if entry.due_at <= now and self._is_time_for(*key) and not self._reply_in_hand(key[0])
        }
        ids = {(entry.question.thread, entry.question.ts, entry.about or entry.kind): entry.id for entry in taken}
        for job_id, kind in due:
            question, old = self.jobs[job_id].question, self.entries[job_id, kind]
            entry_id = ids[question.thread, question.ts, kind]
            assert old.id in (None, entry_id)
            self.entries[job_id, kind] = Due(now + OUTBOX_HOLD_S, old.tries + 1, entry_id, old.changes, is_held=True)
        assert list(taken) == sorted((self._entry(*key) for key in due), key=lambda entry: entry.id)

    def _is_time_for(self, job_id: int, kind: OutboxKind) -> bool:
        job = self.jobs[job_id]
        waits = job.state is State.AWAITING_APPROVAL
        return kind is OutboxKind.SIDE_MESSAGES or waits or not job.live

    def _entry(self, job_id: int, kind: OutboxKind) -> OutboxEntry:
        job, due = self.jobs[job_id], self.entries[job_id, kind]
        waits = job.state is State.AWAITING_APPROVAL
        return OutboxEntry(
            id=due.id or 0,
            kind=kind,
            due_at=due.due_at,
            tries=due.tries,
            times_added=due.changes,
            job_id=job_id if job.answered_with is None else job.answered_with,
            version=job.version,
            question=job.question,
            page_ts=job.page_ts,
            target=self._shows(job_id),
            waits_until=job.waits_until if waits else None,
            side_messages=_recorded(job.beside),
            outdated_messages=self._stale(job_id),
            mention_due_at=job.mention_at if self._mentions_now(job_id) else None,
        )

    def _shows(self, job_id: int) -> ReplyTarget:
        job = self.jobs[job_id]
        if job.answer_deleted:
            return ReplyTarget.NOTHING
        if job.state is State.AWAITING_APPROVAL:
            return ReplyTarget.ASKS
        if job.attempts == 0:
            return ReplyTarget.NO_PLACEHOLDER
        return ReplyTarget.UNLESS_FOLLOWED if job.withdrawn and not self.standing(job_id) else ReplyTarget.END

    def _stale(self, job_id: int) -> tuple[RecordedMessage, ...]:
        """The messages beside a reply that aren't true any more."""
        job = self.jobs[job_id]
        is_asked = not job.withdrawn or bool(self.standing(job_id))
        is_ready = is_asked and not job.answer_deleted
        asks = job.state is State.AWAITING_APPROVAL and job.mention_at is None
        return _recorded(
            {
                (role, version): ts
                for (role, version), ts in job.beside.items()
                if not (asks if role is MessageRole.ASK else is_ready and version == job.version)
            }
        )

    def show_beside(self, entry: OutboxEntry, message: RecordedMessage | None, *, is_heard: bool) -> bool | None:
        """Shows an entry's message beside a reply; returns whether the entry is still as it was taken. If the post's
        response is lost, its message has no recorded ts."""
        is_taken = bool(self._as_taken(entry)) if message else None
        if message and is_taken:
            shown = {(message.role, message.version): message.ts if is_heard else ""}
            self._change(entry.job_id, beside={**self.jobs[entry.job_id].beside, **shown})
        if is_heard and entry.job_id in self.jobs:
            gone = [(message.role, message.version, message.ts) for message in entry.outdated_messages]
            shown_yet = self.jobs[entry.job_id].beside
            beside = {place: ts for place, ts in shown_yet.items() if (*place, ts) not in gone}
            self._change(entry.job_id, beside=beside)
        return is_taken

    def complete_outbox_entry(self, entry: OutboxEntry) -> None:
        """An entry that was renewed since stays."""
        for key in self._as_taken(entry):
            if self._is_done_again(key, entry):
                continue
            del self.entries[key]
        if entry.job_id in self.jobs:
            if entry.kind is OutboxKind.SIDE_MESSAGES and entry.mention_due_at == self.jobs[entry.job_id].mention_at:
                self._change(entry.job_id, mention_at=None)
            self._follow_beside(entry.job_id)

    def _follow_beside(self, job_id: int) -> None:
        """Adds an entry for the time from which a message beside a reply is to change, unless that waits for others."""
        job = self.jobs[job_id]
        if (job_id, OutboxKind.SIDE_MESSAGES) in self.entries:
            return
        if self._stale(job_id) or self._mentions_now(job_id):
            self._add(job_id, OutboxKind.SIDE_MESSAGES)
        elif job.state is State.AWAITING_APPROVAL and job.mention_at is not None:
            self.entries[job_id, OutboxKind.SIDE_MESSAGES] = Due(min(job.mention_at, self.clock.now() + BACKOFF.max_s))

    def _mentions_now(self, job_id: int) -> bool:
        job = self.jobs[job_id]
        if job.state is State.AWAITING_APPROVAL:
            return job.mention_at is not None and job.mention_at <= self.clock.now()
        is_shown = (job_id, OutboxKind.REPLY) not in self.entries
        return job.mention_at is not None and not job.live and is_shown and not self._stale(job_id)

    def postpone_outbox_entry(self, entry: OutboxEntry, delay_s: float) -> None:
        for key in self._as_taken(entry):
            if not self._is_done_again(key, entry):
                later = self.clock.now() + delay_s
                self.entries[key] = replace(self.entries[key], due_at=later, is_held=False)

    def _is_done_again(self, key: tuple[int, OutboxKind], entry: OutboxEntry) -> bool:
        """Whether an entry was added again since it was taken; then it is due at once."""
        due = self.entries[key]
        is_again = due.changes != entry.times_added
        if is_again:
            self.entries[key] = Due(self.clock.now(), 0, due.id, due.changes)
        return is_again

    def _as_taken(self, entry: OutboxEntry) -> list[tuple[int, OutboxKind]]:
        """The entry's key, if nobody has taken it since."""
        return [key for key, due in self.entries.items() if (due.id, due.due_at) == (entry.id, entry.due_at)]

    def unshown_end(self, entry: OutboxEntry) -> Job | None:
        """The job with its newest version. That takes no prompt, so no other questions."""
        job = self.jobs.get(entry.job_id)
        if job is None or job.live or job.withdrawn or job.answer_deleted or job.end is None:
            return None
        alone = replace(
            self.job(entry.job_id), earlier_questions=(), follow_ups=(), has_previous=False, continued_text=""
        )
        return replace(alone, checkpoint=Checkpoint(job.answers[-1], job.end))

    def record_shown_pages(self, entry: OutboxEntry, page_ts: tuple[str, ...]) -> None:
        job = self.jobs.get(entry.job_id)
        if job is not None and job.status is not Status.RUNNING and self._as_taken(entry):
            self._change(entry.job_id, page_ts=page_ts)

    def replies(self, thread: ThreadKey) -> dict[str, str]:
        replies: dict[str, str] = {}
        for job in self.of(thread).values():
            replies |= dict.fromkeys((*job.page_ts, *filter(None, job.beside.values())), "")
            replies |= dict.fromkeys(job.page_ts[:1], job.answers[-1] if job.answers else "")
        return replies

    def at_message(self, thread: ThreadKey, user_id: str, ts: str) -> Participants:
        """Other participants are those who wrote before the message. Once known as shared, a thread stays shared."""
        jobs = self.of(thread).values()
        answered = [job.question.ts for job in jobs if job.state is not State.DENIED]
        takes_part = any(asked_ts < ts for asked_ts in answered)
        others_asked = any(job.question.user_id != user_id and job.question.ts < ts for job in jobs)
        is_group = thread in self.shared and self.shared[thread] <= ts
        others = (others_asked or is_group) and any(asked_ts <= ts for asked_ts in answered)
        lines = self._lines_before(thread, ts) if others else ()
        switched_ts, quiet = self.switched.get(thread, ("", False))
        is_quiet = quiet and switched_ts < ts
        return Participants(takes_part, others, others and not is_group, self.starter(thread), is_quiet, lines)

    def mark_group(self, thread: ThreadKey, ts: str, starter: str | None = None) -> None:
        self.shared[thread] = min(ts, self.shared.get(thread, ts))
        if starter is not None:
            self.record_line(thread, starter, thread.thread_ts or "")

    def record_line(self, thread: ThreadKey, user_id: str, ts: str) -> None:
        self.lines.setdefault(thread, {}).setdefault(ts, user_id)

    def starter(self, thread: ThreadKey) -> str:
        """Returns who wrote the first message, or else who asked first."""
        asked = [job.question.user_id for job in self.of(thread).values() if job.state is not State.DENIED]
        return self.lines.get(thread, {}).get(thread.thread_ts or "") or next(iter(asked), "")

    def switch(self, thread: ThreadKey, quiet: bool, ts: str) -> bool:
        """The newest switch counts."""
        is_newest = ts > self.switched.get(thread, ("", False))[0]
        self.switched |= {thread: (ts, quiet)} if is_newest else {}
        return is_newest

    def _lines_before(self, thread: ThreadKey, ts: str) -> tuple[Line, ...]:
        """The last messages before one, and below each question its answer; a denied one has none."""
        by_ts: dict[str, list[Line]] = {at: [Line(writer)] for at, writer in self.lines.get(thread, {}).items()}
        for job in self.of(thread).values():
            asker = job.question.user_id
            answer = [] if job.state is State.DENIED else [Line("", asker)]
            by_ts[job.question.ts] = [Line(asker), *answer]
        return tuple(line for at, lines in sorted(by_ts.items()) if at < ts for line in lines)[-MAX_LINES:]

    def _change(self, job_id: int, **values: object) -> None:
        self.jobs[job_id] = replace(self.jobs[job_id], **values)  # type: ignore[arg-type]

    def _remove(self, job_ids: Iterable[int]) -> None:
        for job_id in job_ids:
            del self.jobs[job_id]
            self._cancel_entries(job_id, *OutboxKind)

    def _start_over(self, job_id: int) -> bool:
        """Returns whether a begun job starts over: it does unless it is about to stop."""
        job = self.jobs.get(job_id)
        if job is None or not job.live or job.unbegun or job.stop_requested:
            return False
        wish = replace(job.wish, continues=False)
        self._change(job_id, version=job.version + 1, pieces=(), asked_at=self.clock.now(), wish=wish)
        self._release_waiting(job_id)
        self._rejoin(job_id)
        return True

    def _rejoin(self, job_id: int) -> None:
        for key, job in self.jobs.items():
            if job.answered_with == job_id and job.joined_step is not None:
                self._change(key, joined_step=0)

    def _release_waiting(self, job_id: int) -> bool:
        """Returns whether the job waited."""
        if not self.jobs[job_id].live:
            return False
        waited = self.jobs[job_id].status is Status.AWAITING_APPROVAL
        if waited:
            self._change(job_id, status=Status.QUEUED, waits_until=None)
        self._change(job_id, mention_at=None)
        self._change_beside(job_id)
        return waited

    def _change_beside(self, job_id: int) -> None:
        if any(role in MENTION_ROLES for role, _ in self.jobs[job_id].beside):
            self._add(job_id, OutboxKind.SIDE_MESSAGES)

    def _unbatch(self, job_id: int) -> None:
        """Queues the questions that were batched with a job, so that they are answered all the same."""
        for key in self.standing(job_id):
            self._change(key, status=Status.QUEUED, end_reason=None, answered_with=None, joined_step=None)
            self._keep_placeholder(key)

    def _keep_placeholder(self, job_id: int) -> None:
        """Keeps a placeholder as the first message of the answer, unless a process may be clearing it now."""
        if not self._overtake(job_id) and self.jobs[job_id].attempts == 0:
            self._change(job_id, page_ts=())

    def _clear(self, job_id: int) -> None:
        job = self.jobs[job_id]
        if job.page_ts:
            self._add(job_id, OutboxKind.REPLY)
        elif job.placeholder_due_since is not None:
            self._add(job_id, OutboxKind.REPLY, LATE_POST_S)

    def _add(self, job_id: int, kind: OutboxKind, in_s: float = 0.0) -> None:
        """An entry that somebody has in hand stays with them."""
        due_at = self.clock.now() + in_s
        old = self.entries.get((job_id, kind))
        if old is None:
            self.entries[job_id, kind] = Due(due_at)
        elif self._is_in_hand(old, due_at):
            self.entries[job_id, kind] = replace(old, changes=old.changes + 1)
        else:
            self.entries[job_id, kind] = replace(old, due_at=due_at, tries=0, changes=old.changes + 1)

    def _cancel_entries(self, job_id: int, *kinds: OutboxKind) -> None:
        for kind in kinds:
            self.entries.pop((job_id, kind), None)


def _recorded(beside: Mapping[tuple[MessageRole, int], str]) -> tuple[RecordedMessage, ...]:
    return tuple(RecordedMessage(ts, role, version) for (role, version), ts in sorted(beside.items()))


def _calls_in(job: Job) -> list[CallState]:
    return [call.state for step in job.steps for call in step.calls]
