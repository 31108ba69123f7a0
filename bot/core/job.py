"""The life of a job: its states, the events that change them, and the reasons it ends.

A job is a question as stored in the database. All state rules are in this module. The SQL in bot/store implements them,
and tests check that SQL against the table below.

States ------ `state_of` derives the state from three columns: `status` (unposted, queued, running, awaiting_approval or
ended), `attempts` (the number of claims) and `end_reason`.

- UNPOSTED jobs are questions that the bot hasn't posted yet (unposted.py). They have neither ts nor thread, so they
  can't be found, stopped or edited, and don't block other questions. The outbox posts them: POST gives a job its
  message, and the job is queued like any other. An open modal without a question is an UNPOSTED job without text. A run
  with a rule in words (silence.py) is first queued without a message. SPEAK makes it UNPOSTED again.
- QUEUED jobs have never been claimed. Slack shows at most a placeholder, so a queued job can join a batch, and Stop
  ends it immediately.
- RELEASED jobs are queued too, but Slack already shows part of an answer or an earlier version. RELEASED jobs are
  claimed first in their thread, and never batched. Stop only stores a request, because the next attempt must finish the
  reply.
- RUNNING jobs belong to one worker. The database allows one running job per thread.
- AWAITING_APPROVAL jobs wait until a person approves a tool call (core/calls.py). They belong to no worker and don't
  count toward concurrency limits.
- ENDED, BATCHED, DENIED and UNBEGUN jobs are over. ENDED jobs had an attempt, and UNBEGUN jobs ended without an
  attempt. A BATCHED job is answered by a later job. The asker of a DENIED job has no access.
- ABSENT jobs have no row: they were never asked, or were erased. IDs aren't reused, so late writes have no effect.

A job is *live* from its message until it is over. A live job that has been claimed is *begun*: a worker is writing its
answer, or will continue it.

Approvals --------- A worker that needs an approval shows the request in the reply and releases the job with WAIT. The
decision on the last requested call (DECIDE) or the deadline (EXPIRE) moves the job to RELEASED, and the next attempt
continues from the recorded steps. STOP, DELETE_QUESTION and an EDIT that changes the question also make the job
RELEASED, because a worker must then update the reply. A WAIT after one of these events, or without an undecided call,
has no effect: a person can decide before the worker releases the job.

A job that awaits approval doesn't block its thread: later questions are claimed and answered. If its asker writes to
Typist in the thread instead of deciding, the calls are denied, the answer ends, and the message is a new question.

Messages while tools run ------------------------ Messages that an asker writes while a model works in steps are queued
like any other question. Before each additional step, the worker adds them to the running answer (BATCH), and the model
reads them next. Other people's questions, and questions with files, wait for their turn. `joined_step` is the step at
which the model first read a question, so that a worker taking over builds the same prompts.

Attempts and leases ------------------- Each claim starts an attempt. All later writes include the worker and the
attempt (bot/store/rows.py), so a worker that was paused while its job was taken over can no longer change anything.
After each heartbeat, a worker treats its jobs as its own for only a few seconds (lease.py), half as long as other
workers wait before they take over. An attempt that dies or is released is recorded as a turn with the reason
INTERRUPTED and its usage so far. The job stays live, and the next attempt continues from the checkpoint. After three
interruptions, a job ends with INTERRUPTED_TOO_OFTEN.

Versions -------- An answer can be rewritten in the same messages: by Regenerate, by Continue, and by an edit to a begun
question. Every rewrite increments `version`. A `Wish` stores the options that a person chose for a version, and also
applies when an edit restarts that version. If the database has a newer version than an attempt, the attempt's
checkpoints are void, its heartbeat reports that it must restart, and its FINISH becomes RELEASE. A stop takes
precedence over an edit: a stopped attempt ends even if it is outdated.

Batches ------- A person's consecutive queued questions in a thread are answered together. The newest is claimed. The
earlier ones become BATCHED, and their `answered_with` refers to it. If the newest question is deleted, they return to
the queue.

Requests -------- Only the worker that runs a job can end its answer in Slack. Other processes therefore store a request
in the job's row, and the worker receives it with its next heartbeat: `stop_requested`, `erase_requested` (the row is
deleted when the job ends), or a higher `version`. `answer_deleted` is a separate flag: the content is gone, but the
usage is kept.

Erasure ------- Erasing a job immediately deletes its row and all rows that refer to it. A running job is stopped first,
and FINISH deletes it. Retention clears the content of finished jobs without changing their state.

The outbox ---------- Slack calls that remain once a job is over (clearing a placeholder, mentioning askers, showing an
end that Slack rejected) are written to the outbox in the transaction that ends the job. Any process then makes these
calls, at least once (outbox.py). An outbox entry about a reply waits while a worker writes the reply, and a job isn't
claimed while its entry is being handled, so two processes never write to one reply. The outbox never changes a job's
state.
"""  # prose: the one place for all rules about states

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum, auto

from bot.core.calls import RecordedCall, Step
from bot.core.conversation import NO_NOTE, Note, Question
from bot.errors import EndReason, StoredEnum
from bot.models.events import Citation, Usage
from bot.models.prompt import UNKNOWN, Effort, Origins


class Status(StoredEnum, unknown="ended"):
    UNPOSTED = "unposted"
    QUEUED = "queued"
    RUNNING = "running"
    AWAITING_APPROVAL = "awaiting_approval"
    ENDED = "ended"


class State(StrEnum):
    ABSENT = auto()
    UNPOSTED = auto()
    QUEUED = auto()
    RELEASED = auto()
    RUNNING = auto()
    AWAITING_APPROVAL = auto()
    ENDED = auto()
    UNBEGUN = auto()
    BATCHED = auto()
    DENIED = auto()

    @property
    def is_live(self) -> bool:
        return self in (State.QUEUED, State.RELEASED, State.RUNNING, State.AWAITING_APPROVAL)


def state_of(status: str, attempts: int, end_reason: str | None) -> State:
    match status:
        case Status.UNPOSTED:
            return State.UNPOSTED
        case Status.RUNNING:
            return State.RUNNING
        case Status.AWAITING_APPROVAL:
            return State.AWAITING_APPROVAL
        case Status.QUEUED:
            return State.RELEASED if attempts else State.QUEUED
    match end_reason:
        case EndReason.BATCHED:
            return State.BATCHED
        case EndReason.DENIED:
            return State.DENIED
    return State.ENDED if attempts else State.UNBEGUN


class Event(StrEnum):
    ASK = auto()
    """A question that the bot has to post was asked."""
    POST = auto()
    GIVE_UP = auto()
    ENQUEUE = auto()
    CLAIM = auto()
    BATCH = auto()
    """A later question in the thread was claimed, or a running answer now also answers this question."""
    UNBATCH = auto()
    """The later question won't be answered."""
    TAKE_OVER = auto()
    RELEASE = auto()
    """The worker hands over the job, or ends an outdated attempt."""
    FINISH = auto()
    SPEAK = auto()
    """A run without a message has finished its work, and its answer must be posted."""
    DENY = auto()
    WAIT = auto()
    DECIDE = auto()
    EXPIRE = auto()
    REMOVE = auto()
    STOP = auto()
    EDIT = auto()
    DELETE_QUESTION = auto()
    REGENERATE = auto()
    ERASE = auto()


TRANSITIONS: Mapping[tuple[State, Event], State] = {
    # Questions that the bot posts.
    (State.ABSENT, Event.ASK): State.UNPOSTED,
    (State.UNPOSTED, Event.ASK): State.UNPOSTED,
    (State.UNPOSTED, Event.POST): State.QUEUED,
    (State.UNPOSTED, Event.GIVE_UP): State.ABSENT,
    (State.ABSENT, Event.ENQUEUE): State.QUEUED,
    # Attempts.
    (State.QUEUED, Event.CLAIM): State.RUNNING,
    (State.RELEASED, Event.CLAIM): State.RUNNING,
    (State.RUNNING, Event.TAKE_OVER): State.RUNNING,
    (State.RUNNING, Event.RELEASE): State.RELEASED,
    (State.RUNNING, Event.FINISH): State.ENDED,
    (State.RUNNING, Event.SPEAK): State.UNPOSTED,
    (State.RUNNING, Event.DENY): State.DENIED,
    (State.RUNNING, Event.REMOVE): State.ABSENT,
    # Approvals.
    (State.RUNNING, Event.WAIT): State.AWAITING_APPROVAL,
    (State.AWAITING_APPROVAL, Event.DECIDE): State.RELEASED,
    (State.AWAITING_APPROVAL, Event.EXPIRE): State.RELEASED,
    # Batches.
    (State.QUEUED, Event.BATCH): State.BATCHED,
    (State.BATCHED, Event.UNBATCH): State.QUEUED,
    # A begun job needs a worker to end it.
    (State.QUEUED, Event.STOP): State.UNBEGUN,
    (State.RELEASED, Event.STOP): State.RELEASED,
    (State.RUNNING, Event.STOP): State.RUNNING,
    (State.AWAITING_APPROVAL, Event.STOP): State.RELEASED,
    # A begun job starts over. So does an ended job, unless other people have written in its thread since.
    (State.QUEUED, Event.EDIT): State.QUEUED,
    (State.RELEASED, Event.EDIT): State.RELEASED,
    (State.RUNNING, Event.EDIT): State.RUNNING,
    (State.AWAITING_APPROVAL, Event.EDIT): State.RELEASED,
    (State.BATCHED, Event.EDIT): State.BATCHED,
    (State.ENDED, Event.EDIT): State.RELEASED,
    (State.UNBEGUN, Event.EDIT): State.QUEUED,
    # The question is deleted.
    (State.QUEUED, Event.DELETE_QUESTION): State.UNBEGUN,
    (State.RELEASED, Event.DELETE_QUESTION): State.RELEASED,
    (State.RUNNING, Event.DELETE_QUESTION): State.RUNNING,
    (State.AWAITING_APPROVAL, Event.DELETE_QUESTION): State.RELEASED,
    (State.BATCHED, Event.DELETE_QUESTION): State.UNBEGUN,
    (State.ENDED, Event.DELETE_QUESTION): State.ENDED,
    (State.UNBEGUN, Event.DELETE_QUESTION): State.UNBEGUN,
    # A new version.
    (State.ENDED, Event.REGENERATE): State.RELEASED,
    (State.UNBEGUN, Event.REGENERATE): State.QUEUED,
    # Erasure.
    (State.UNPOSTED, Event.ERASE): State.ABSENT,
    (State.QUEUED, Event.ERASE): State.ABSENT,
    (State.RELEASED, Event.ERASE): State.ABSENT,
    (State.RUNNING, Event.ERASE): State.RUNNING,
    (State.AWAITING_APPROVAL, Event.ERASE): State.ABSENT,
    (State.ENDED, Event.ERASE): State.ABSENT,
    (State.UNBEGUN, Event.ERASE): State.ABSENT,
    (State.BATCHED, Event.ERASE): State.ABSENT,
    (State.DENIED, Event.ERASE): State.ABSENT,
}
"""The next state for each state and event. All other events have no effect."""


@dataclass(frozen=True, slots=True)
class Wish:
    """The options that a person chose for a new version of an answer. A wish contains no user-written text, so it isn't
    erased."""

    effort: Effort | None = None
    """The thinking effort, or None for the channel's setting."""
    continues: bool = False
    """Whether the version continues a stopped version, as part of the same answer."""


NO_WISH = Wish()


@dataclass(frozen=True, slots=True)
class EnqueueResult:
    job_id: int
    needs_placeholder: bool
    """Whether the question has to wait for another job in its thread or for a free worker."""
    attempts: int = 0
    """The number of claims so far. A later claim makes the placeholder invalid."""


class NoticeKind(StoredEnum, unknown="said"):
    """The subject of a notice below an answer, which is stored in the database."""

    SENTENCE = "said"
    """The answer's end reason, or the outcome of a command or call."""
    UNPARSED = "unparsed"
    """The server left a tool call or reasoning in the text."""
    EXPIRED = "expired"
    UNREAD = "unread"
    """Files or tools that the model wasn't given."""
    REMEMBERED = "remembered"
    """A memory was created. The memory might have been forgotten since."""
    FORGOTTEN = "forgotten"
    """A message removed a memory. The memory might have been restored since."""
    SCHEDULED = "scheduled"
    """A schedule was created or changed. The schedule might have been stopped since."""
    STOPPED = "stopped"
    """A message stopped a schedule. The schedule might have been restored since."""


@dataclass(frozen=True, slots=True)
class Notice:
    kind: NoticeKind
    text: str = field(repr=False)
    number: int = 0
    """The schedule number for SCHEDULED and STOPPED, or the memory number for FORGOTTEN."""


def sentence_notice(sentence: str) -> tuple[Notice, ...]:
    return (Notice(NoticeKind.SENTENCE, sentence),) if sentence else ()


@dataclass(frozen=True, slots=True)
class End:
    """The end of an attempt, recorded with the last part of its text. core/picture.py displays it."""

    reason: EndReason
    notices: tuple[Notice, ...] = ()
    footer: str = ""
    """The line with the model's name, or "" if there is no text."""
    model: str | None = None
    usage: Usage | None = None
    """Usage reported by the vendor, or an estimate. None if no model was asked."""
    estimated_step: int | None = None
    """The step whose usage is estimated. Once that step is recorded, the estimate no longer counts (see Spent)."""
    first_token_s: float | None = None
    prompt_version: str | None = None
    sources: Sequence[Citation] = ()
    origins: Origins = UNKNOWN
    choices: tuple[str, ...] = field(default=(), repr=False)
    effort: str = ""
    """The requested thinking effort, limited to the model's highest level."""
    note: Note = NO_NOTE
    """The part of the prompt that concerns only this question. Later prompts repeat it."""


@dataclass(frozen=True, slots=True)
class Piece:
    start: int
    """The piece's offset in the answer, in characters. The piece replaces all recorded text from that offset on."""
    text: str = field(repr=False)
    end: End | None = None
    sources: Sequence[Citation] = ()

    @property
    def chars(self) -> int:
        return self.start + len(self.text)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    text: str = field(default="", repr=False)
    end: End | None = None
    """Set if the text is complete and only the end remains to be recorded."""
    sources: Sequence[Citation] = ()


@dataclass(frozen=True, slots=True)
class StepEstimate:
    """Estimated tokens of an unrecorded step, which are charged if the attempt is interrupted."""

    input_tokens: int = 0
    output_tokens: int = 0
    model: str | None = None
    step_no: int = 0


@dataclass(frozen=True, slots=True)
class Pulse:
    owned_ids: frozenset[int] = frozenset()
    ids_to_stop: frozenset[int] = frozenset()
    ids_to_restart: frozenset[int] = frozenset()
    """IDs of the worker's jobs whose question was edited after the claim."""


@dataclass(frozen=True, slots=True)
class FollowUp:
    question: Question
    step_no: int


class MessageRole(StoredEnum, unknown="file"):
    PAGE = "page"
    FILE = "file"
    REPLACED = "replaced"
    """A newer message now shows this message's page, so this one must be deleted."""
    STRAY = "stray"
    """Posted by Slack outside the thread because the thread was deleted."""
    POSTING = "posting"
    """A post without a response: Slack might have posted one or more unrecorded messages."""
    STARTING = "starting"
    """A stream start without a response. Its message can't be recognized in Slack."""
    MENTION = "mention"
    """A separate message that mentions the asker because the answer is ready."""
    ASK = "ask"
    """A separate message that mentions the asker because a call needs a decision."""
    LINK = "link"
    TABLES = "tables"
    CHANNEL_COPY = "channel_copy"
    """A reply with the answer that Slack also shows in the channel."""


MENTION_ROLES = (MessageRole.MENTION, MessageRole.ASK)
SIDE_ROLES = (*MENTION_ROLES, MessageRole.LINK, MessageRole.TABLES, MessageRole.CHANNEL_COPY)
PENDING_ROLES = (MessageRole.POSTING, MessageRole.STARTING)
ANSWER_ROLES = (MessageRole.PAGE, MessageRole.STRAY)
"""Roles of messages with an answer's text."""


@dataclass(frozen=True, slots=True)
class RecordedMessage:
    ts: str
    """The message's ts, or "" until Slack has responded to the post."""
    role: MessageRole
    version: int = 0
    for_stream: bool = False


POSTING = RecordedMessage("", MessageRole.POSTING)


def ts_of(messages: Sequence[RecordedMessage], *roles: MessageRole) -> tuple[str, ...]:
    return tuple(message.ts for role in roles for message in messages if message.role is role)


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """The record of an answer in the version that readers see. The record can change after the answer's end."""

    job_id: int
    question: Question
    state: State
    is_deleted: bool = False
    messages: tuple[RecordedMessage, ...] = ()
    version: int = 0
    text: str = field(default="", repr=False)
    end: End | None = None
    """The end of the version, or None. While a newer version is being written, the text and end belong to the older
    one."""
    ended_at: float | None = None
    is_emptied: bool = False
    """Whether the text was removed from the database but not from Slack."""
    waits_until: float | None = None
    calls: Sequence[RecordedCall] = ()
    """The version's tool calls or, while a newer version is being written, the newer version's."""
    has_previous: bool = False
    has_next: bool = False
    has_acted: bool = False
    """Whether the newest version did something that can't be repeated."""
    is_edited: bool = False
    """Whether the question was edited after this version began."""
    is_followed: bool = False
    """Whether a later answer in the conversation has begun, even if it was deleted."""
    undone_notices: frozenset[Notice] = frozenset()
    finished_schedules: frozenset[int] = frozenset()
    chosen_choice: str | None = field(default=None, repr=False)

    @property
    def is_expired(self) -> bool:
        return not self.question.text and not self.question.files

    @property
    def is_whole(self) -> bool:
        reason = self.end.reason if self.end and not (self.is_deleted or self.state.is_live) else None
        return reason is EndReason.WHOLE and bool(self.text.strip())


@dataclass(frozen=True, slots=True)
class Job:
    """A question as claimed by its worker. The module docstring explains attempts and versions."""

    id: int
    question: Question
    attempts: int
    """The number of claims, including this one. Together with the worker, it identifies the attempt in later writes."""
    messages: tuple[RecordedMessage, ...] = ()
    """The messages of the reply, pages first. A POSTING message means that a process died while posting."""
    interruptions: int = 0
    """The number of attempts whose process died or was paused for too long."""
    continued_text: str = field(default="", repr=False)
    """The text of a stopped or cut-off version that this version continues."""
    sources: Sequence[Citation] = ()
    continued_origins: Origins = UNKNOWN
    """Origins of the content that the model had read when it wrote `continued_text`."""
    has_previous: bool = False
    """Whether an earlier version exists that this one doesn't continue."""
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    earlier_questions: tuple[Question, ...] = ()
    follow_ups: tuple[FollowUp, ...] = ()
    steps: tuple[Step, ...] = field(default=(), repr=False, compare=False)
    version: int = 0
    """The number of restarts. In Slack, each version overwrites the previous one's messages."""
    wish: Wish = NO_WISH
    transcripts: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    asked_at: float = field(default=0.0, compare=False)
    """The time at which the asker started waiting for this version or decided on a call, in seconds since the epoch."""
    stop_requested: bool = False
    """Whether the job was stopped before it was claimed. The attempt then only ends the reply."""
    is_offer: bool = False
    """Whether this version only offers an answer, because the question was found late or others have replied to it."""
    is_late: bool = field(default=False, compare=False)
    """Whether the asker has waited for LATE_S, for example because of an outage. The answer then states when the
    question was asked."""
    record: AnswerRecord | None = field(default=None, compare=False)
    must_move_down: bool = field(default=False, compare=False)
    """Whether the placeholder is above pages of an earlier answer. The reply then begins with a new message."""

    @property
    def page_ts(self) -> tuple[str, ...]:
        return ts_of(self.messages, *ANSWER_ROLES)

    @property
    def has_begun(self) -> bool:
        """Whether a model has already been asked for this version. If so, the asker had access at that time."""
        return bool(self.checkpoint.text or self.checkpoint.end or self.steps)

    def answer_record(self, end: End, text: str, calls: Sequence[RecordedCall] = ()) -> AnswerRecord:
        return AnswerRecord(
            self.id,
            self.question,
            State.ENDED,
            version=self.version,
            text=text,
            end=end,
            calls=calls,
            has_previous=self.has_previous,
        )


LATE_S = 1_800.0
"""The delay after which an answer states when the question was asked."""
