"""The life of a job: its states, the events that change them, and the reasons it ends.

A job is a question as stored in the database, from arrival to end. All state rules are in this module. The SQL in
bot/store implements them, and tests/contracts/test_store_states.py checks it against the table below.

States
------
The database stores `status` (unposted, queued, running, awaiting_approval or ended), `attempts` (the number of claims)
and `end_reason`. `state_of` derives the state from all three, because a status means something else before the first
attempt than after it.

- UNPOSTED jobs are questions that the bot hasn't posted yet (unposted.py). They have neither ts nor thread, so they
  can't be found, stopped or edited, and don't block other questions. The outbox posts them: POST gives a job its
  message, and the job is queued like any other. An open modal without a question yet has such a job without text.
- QUEUED jobs were never claimed. The answer has at most a placeholder, so a queued job can join a batch, and Stop ends
  it immediately.
- RELEASED jobs are queued too, but an attempt has begun the answer, or Slack shows an earlier version. They are claimed
  first in their thread, and aren't batched. Stop only stores a request, because the next attempt must finish the reply.
- RUNNING jobs belong to one worker. The database allows one running job per thread.
- AWAITING_APPROVAL jobs wait until a person approves a tool call (core/calls.py). They belong to no worker and don't
  count toward concurrency limits.
- ENDED, BATCHED, DENIED and UNBEGUN jobs are over. ENDED jobs had an attempt, and UNBEGUN jobs ended without one. A
  BATCHED job is answered by a later job. The asker of a DENIED job has no access.
- ABSENT jobs have no row: they were never asked, or were erased. IDs aren't reused, so late writes find nothing.

A job is *live* from its message until it is over. A live job that has been claimed is *begun*: a worker is writing its
answer, or will continue it.

Approvals
---------
A worker that needs a person's approval shows the request in the reply and releases the job with WAIT. The decision on
the last requested call (DECIDE) or the decision deadline (EXPIRE) makes the job RELEASED, and the next attempt
continues from the recorded steps. The same happens for every event that needs a worker to write the reply: STOP,
DELETE_QUESTION, and an EDIT that changes the question, because the new version no longer needs the approval. A WAIT
after one of these has no effect, and neither does a WAIT without an undecided call, because the decision can come
first.

A job that awaits approval doesn't block its thread: later questions are claimed and answered in the meantime. If its
asker writes to Typist in the thread instead of deciding, the calls are denied, the answer ends, and the message is a
separate question that is answered below.

Messages while tools run
------------------------
Messages that an asker writes while a model works in steps are queued like any question. Before each further step, the
worker adds such questions to the running answer (BATCH), and the model reads them next. Other people's questions, and
questions with files, are answered in their turn. `joined_step` is the step at which the model first read a question, so
that a worker taking over builds the same prompts.

Attempts and leases
-------------------
Each claim starts an attempt. Worker and attempt together fence all later writes (bot/store/rows.py): a paused worker
whose job was taken over can't change anything. A worker considers its jobs its own for only a few seconds after each
heartbeat (lease.py), half as long as other workers wait before they take over. An attempt that dies or is released
counts as a turn with the reason INTERRUPTED and its usage so far. The job stays live, and the next attempt continues
from the checkpoint. After three interruptions, a job ends with INTERRUPTED_TOO_OFTEN.

Versions
--------
An answer can be rewritten in the same messages: by Regenerate, by Continue, and by an edit to a begun question. Every
rewrite raises `version`. A `Wish` stores a person's requests for a version; a begun answer keeps its wish when an edit
restarts it. An attempt knows which version it answers. If the database has a newer one, the attempt's checkpoints are
void, its heartbeat reports that the worker must restart, and its FINISH becomes RELEASE. A stop takes precedence over
an edit: a stopped attempt ends even if it is outdated.

Batches
-------
A person's questions that are queued one after another in a thread are answered together. The newest is claimed. The
earlier ones become BATCHED and refer to it in `answered_with`. If the newest question is deleted, the others return to
the queue.

Requests
--------
Some events can't change a running job's state, because only its worker can end the answer in Slack. Such an event
stores a request that reaches the worker with its heartbeat: `stop_requested`, `erase_requested` (the row is deleted
when the job ends), or a raised `version`. `answer_deleted` is another flag beside the state: the content is gone, and
the usage stays.

Erasure
-------
Erasing a job immediately deletes its row and all rows that refer to it, except while it is running: it is stopped
first, and FINISH deletes it. Retention clears the content of finished jobs and doesn't change their state.

The outbox
----------
Slack calls that remain once a job is over (clearing a placeholder, mentioning askers, showing an end that Slack
rejected) are written to the outbox in the transaction that ends the job. Any process then makes these calls, at least
once (outbox.py). An outbox entry about a reply waits while a worker writes the reply, and no worker claims the job
while a process is handling the entry, so two processes never write one reply. The outbox never changes a job's state.
"""  # prose: the one place for all rules about states

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum, auto

from bot.core.calls import RecordedCall, Step
from bot.core.conversation import NO_NOTE, Note, Question
from bot.errors import EndReason
from bot.models.events import Citation, Usage
from bot.models.prompt import UNKNOWN, Effort, Origins


class Status(StrEnum):
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
    """Someone asks a question that the bot has to post."""
    POST = auto()
    GIVE_UP = auto()
    ENQUEUE = auto()
    CLAIM = auto()
    BATCH = auto()
    """A later question in the thread is claimed, or a running answer covers this question too."""
    UNBATCH = auto()
    """The later question won't be answered."""
    TAKE_OVER = auto()
    """Another worker claims a dead worker's job."""
    RELEASE = auto()
    """The worker hands over the job, or ends an attempt at an outdated version."""
    FINISH = auto()
    DENY = auto()
    WAIT = auto()
    """The worker needs a person's approval and releases the job."""
    DECIDE = auto()
    EXPIRE = auto()
    REMOVE = auto()
    """The worker ends the job after an erasure was requested."""
    STOP = auto()
    EDIT = auto()
    DELETE_QUESTION = auto()
    REGENERATE = auto()
    """Someone clicks Regenerate or Continue."""
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
"""The next state for each state and event. Events that aren't listed for a state have no effect there."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A person's requests for a version of an answer. Without user-written text, it needs no erasure."""

    effort: Effort | None = None
    """The thinking effort, or None for the channel's setting."""
    continues: bool = False
    """Whether the version continues the stopped one before it, so that the two become one answer."""


NO_WISH = Wish()


@dataclass(frozen=True, slots=True)
class EnqueueResult:
    job_id: int
    needs_placeholder: bool
    """Whether the question has to wait, because another job in its thread goes first or no worker had room."""
    attempts: int = 0
    """The number of earlier claims. The placeholder is valid until the next claim."""


class NoticeKind(StrEnum):
    """The subject of a notice below an answer. The value is stored."""

    SAID = "said"
    """The way the answer ended, or the outcome of a command or call."""
    UNPARSED = "unparsed"
    """A tool call or reasoning that a server left in the text."""
    EXPIRED = "expired"
    """No person decided on a call in time."""
    UNREAD = "unread"
    """Files that the model didn't get."""
    REMEMBERED = "remembered"
    """A new memory, which might have been forgotten since."""
    FORGOTTEN = "forgotten"
    """A memory that was removed by a message; it might have been restored since."""
    SCHEDULED = "scheduled"
    """A schedule that was created or changed; it might have been stopped since."""
    STOPPED = "stopped"
    """A schedule that was stopped by a message; it might have been restored since."""


@dataclass(frozen=True, slots=True)
class Notice:
    kind: NoticeKind
    text: str = field(repr=False)
    number: int = 0
    """The schedule number for SCHEDULED and STOPPED, or the memory number for FORGOTTEN."""


def sentence_notice(sentence: str) -> tuple[Notice, ...]:
    """Returns the notices of an end with only this sentence, or none for ""."""
    return (Notice(NoticeKind.SAID, sentence),) if sentence else ()


@dataclass(frozen=True, slots=True)
class End:
    """The end of an attempt at an answer, recorded with the last part of the text. core/picture.py shows it."""

    reason: EndReason
    notices: tuple[Notice, ...] = ()
    footer: str = ""
    """The line with the model's name, if there is text."""
    model: str | None = None
    usage: Usage | None = None
    """The vendor-reported usage or else an estimate; None if no model was asked."""
    estimated_step: int | None = None
    """The step whose usage is an estimate. The estimate doesn't count if that step is recorded (see Spent)."""
    first_token_s: float | None = None
    prompt_version: str | None = None
    """The version of the model's system prompt (core/channel_settings.py)."""
    sources: Sequence[Citation] = ()
    origins: Origins = UNKNOWN
    """The origins of the content that the model had read (models/prompt.py)."""
    choices: tuple[str, ...] = field(default=(), repr=False)
    effort: str = ""
    """The thinking effort requested from the model, at most the model's highest level."""
    note: Note = NO_NOTE
    """The part of the prompt about this question only, which later prompts repeat."""


@dataclass(frozen=True, slots=True)
class Piece:
    """The next part of a growing answer to record."""

    start: int
    """The offset in the answer, in characters, from which this piece replaces the recorded text."""
    text: str = field(repr=False)
    end: End | None = None
    sources: Sequence[Citation] = ()

    @property
    def chars(self) -> int:
        """The length of the recorded answer in characters, including this piece."""
        return self.start + len(self.text)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The recorded part of an interrupted answer."""

    text: str = field(default="", repr=False)
    end: End | None = None
    """Set if the text is complete and only the end still has to be recorded."""
    sources: Sequence[Citation] = ()


@dataclass(frozen=True, slots=True)
class StepEstimate:
    """Estimated tokens of a step that isn't recorded yet, which count if the attempt is interrupted."""

    input_tokens: int = 0
    output_tokens: int = 0
    model: str | None = None
    step_no: int = 0


@dataclass(frozen=True, slots=True)
class Pulse:
    owned_ids: frozenset[int] = frozenset()
    ids_to_stop: frozenset[int] = frozenset()
    ids_to_restart: frozenset[int] = frozenset()
    """IDs of owned jobs whose question was edited after the claim."""


@dataclass(frozen=True, slots=True)
class FollowUp:
    question: Question
    step_no: int


class MessageRole(StrEnum):
    PAGE = "page"
    FILE = "file"
    REPLACED = "replaced"
    """A message whose page is now shown by a newer message; it has to be deleted."""
    STRAY = "stray"
    """A message that Slack posted at the channel's root because its thread was deleted."""
    POSTING = "posting"
    """A post without a response: Slack might show one or more messages that aren't recorded."""
    STARTING = "starting"
    """A stream start without a response, whose message can't be told apart from others in Slack."""
    MENTION = "mention"
    """A message beside the reply that mentions the asker because the answer is ready."""
    ASK = "ask"
    """A message beside the reply that mentions the asker because a call needs their decision."""
    LINK = "link"
    """A message beside the reply that links to the answer's canvas."""
    TABLES = "tables"
    """A message beside the reply with the answer's tables as files."""


MENTION_ROLES = (MessageRole.MENTION, MessageRole.ASK)
BESIDE_ROLES = (*MENTION_ROLES, MessageRole.LINK, MessageRole.TABLES)
UNANSWERED = (MessageRole.POSTING, MessageRole.STARTING)
READ_ROLES = (MessageRole.PAGE, MessageRole.STRAY)
"""Roles of the reply messages that readers see, except files."""


@dataclass(frozen=True, slots=True)
class RecordedMessage:
    ts: str
    """Empty until Slack has responded to the post."""
    role: MessageRole
    version: int = 0
    for_stream: bool = False
    """Whether the message is a page that is small enough for a stream."""


POSTING = RecordedMessage("", MessageRole.POSTING)


def ts_of(messages: Sequence[RecordedMessage], *roles: MessageRole) -> tuple[str, ...]:
    return tuple(message.ts for role in roles for message in messages if message.role is role)


def page_ts(messages: Sequence[RecordedMessage]) -> tuple[str, ...]:
    return ts_of(messages, *READ_ROLES)


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """The record of an answer, in the version that readers see. The record can change after the end."""

    job_id: int
    question: Question
    state: State
    is_deleted: bool = False
    messages: tuple[RecordedMessage, ...] = ()
    version: int = 0
    text: str = field(default="", repr=False)
    end: End | None = None
    """The end of the version, or None. While a newer version is being written, text and end are those of the older one.
    """
    ended_at: float | None = None
    is_emptied: bool = False
    """Whether the version's text was removed from the database but not from Slack."""
    waits_until: float | None = None
    """The approval deadline, or None if the answer isn't awaiting approval."""
    calls: Sequence[RecordedCall] = ()
    """The version's tool calls, or the newer version's while that is being written."""
    has_previous: bool = False
    has_next: bool = False
    has_acted: bool = False
    """Whether the newest version did something that can't be repeated."""
    is_edited: bool = False
    """Whether the question was edited after this version began to answer it."""
    undone_notices: frozenset[Notice] = frozenset()
    finished_schedules: frozenset[int] = frozenset()
    """IDs of the answer's one-time schedules that have run."""
    chosen_choice: str | None = field(default=None, repr=False)

    @property
    def is_expired(self) -> bool:
        """Whether the question was removed from the database."""
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
    """The number of claims, including this one. With the worker's name, it fences later writes."""
    messages: tuple[RecordedMessage, ...] = ()
    """The recorded messages of the reply, pages first. Includes a POSTING message if a process died while posting."""
    interruptions: int = 0
    """The number of earlier attempts whose process died or was paused for too long."""
    continued_text: str = field(default="", repr=False)
    """The text to continue, if this version continues one that was stopped or reached its length limit."""
    sources: Sequence[Citation] = ()
    continued_origins: Origins = UNKNOWN
    """The origins of the content that the model had read while writing `continued_text`."""
    has_previous: bool = False
    """Whether there is an earlier version that this one doesn't continue."""
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    earlier_questions: tuple[Question, ...] = ()
    follow_ups: tuple[FollowUp, ...] = ()
    steps: tuple[Step, ...] = field(default=(), repr=False, compare=False)
    version: int = 0
    """The number of times the answer was restarted. An earlier version's messages are overwritten in Slack."""
    wish: Wish = NO_WISH
    transcripts: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    """The words of recordings attached to the question, by file ID."""
    asked_at: float = field(default=0.0, compare=False)
    """When the asker started waiting for this version, or decided on a call, in seconds since the epoch."""
    stop_requested: bool = False
    """Whether the job was stopped before it was claimed. The attempt then ends the reply without asking a model."""
    is_offer: bool = False
    """Whether this version only offers to answer, because the question was found late or others have replied to it."""
    is_late: bool = field(default=False, compare=False)
    """Whether the asker has waited for LATE_S, as in an outage. The answer then begins with the time of the question.
    """
    record: AnswerRecord | None = field(default=None, compare=False)
    """The answer's record, if the job has ended and its end has to be shown."""
    must_move_down: bool = field(default=False, compare=False)
    """Whether the placeholder is above pages of an earlier answer, so that the reply begins with a new message."""

    @property
    def page_ts(self) -> tuple[str, ...]:
        return page_ts(self.messages)

    @property
    def has_begun(self) -> bool:
        """Whether an earlier attempt at this version has asked a model, which means that the asker had access."""
        return bool(self.checkpoint.text or self.checkpoint.end or self.steps)

    def ended(self, end: End, text: str, calls: Sequence[RecordedCall] = ()) -> AnswerRecord:
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
"""Answers that begin after this delay state when the question was asked."""
