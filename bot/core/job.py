"""The life of a job: its states, the events that move it, and why it ends.

A job is a question as the database keeps it, from its arrival to its end. All rules about its states are on this page;
the SQL in bot/store carries them out, and tests/contracts/test_store_states.py holds it to the table below.

States
------
The database keeps three columns, and `state_of` reads the state from them: `status` (unposted, queued, running,
awaiting_approval or ended), `attempts` (how often the job was claimed) and `end_reason`. The same status means two
things before and after the first attempt, so the state says which. A column for the state would have to agree with
these three at each claim.

- UNPOSTED jobs are questions by the message shortcut, an emoji, a choice or a suggested prompt, before the bot has
  posted them (unposted.py). They have neither ts nor thread, so nobody finds, stops or edits them, and
  they block nobody. The outbox posts them: POST gives a job its message, and it is queued like any other. A modal that
  is open, and asks nothing yet, has such a job without text.
- QUEUED jobs were never claimed. Nothing of the answer exists but perhaps a placeholder, so a queued job may join a
  batch, and Stop ends it on the spot.
- RELEASED jobs are queued as well, but an attempt has begun the answer, or an earlier version of it stands in Slack.
  They go first in their thread, alone. Stop only leaves a request: the next attempt must finish the reply.
- RUNNING jobs belong to one worker. The database allows one running job per thread.
- AWAITING_APPROVAL jobs wait until a person approves a tool call (core/calls.py). They belong to no worker and
  take no room.
- ENDED, BATCHED, DENIED and UNBEGUN jobs are over. ENDED had an attempt; UNBEGUN ended without one; the answer to a
  BATCHED job is a later job's; the asker of a DENIED job has no access.
- ABSENT jobs have no row: they were never asked, or were erased. Ids are not reused, so late writes find nothing.

Two predicates recur everywhere. A job is *live* from its message until it is over. It is *begun* while it is live and
an attempt has taken it: somebody writes its answer, or will go on with it.

Approvals
---------
A worker that needs a person's approval shows the question in the reply and gives the job up with WAIT. The decision
about the last call that was asked for (DECIDE), or the end of the time to decide (EXPIRE), makes the job RELEASED, and
the next attempt goes on from the recorded steps. So does whatever needs a worker to write the reply: STOP,
DELETE_QUESTION, and an EDIT that changes the question, whose new version has no use for the approval. A WAIT that comes
after one of these has no effect, and neither has one without a call that is still to be decided: the decision may be
faster than the worker.

Such a job blocks nobody. Later questions of its thread are claimed and answered while it waits; once it is RELEASED, it
goes first again. If its asker writes to Typist in the thread instead of deciding, that is a decision: the calls are
denied, the answer ends where it is, and the message is a question of its own, which is answered below.

Messages while tools run
------------------------
What an asker writes while a model works in steps is queued like any question. Before each further step, the worker
takes such questions along (BATCH): the model reads them next, and the running answer is theirs. Questions of other
people, and questions with files, are answered in their turn. `joined_step` says at which step the model first read a
question, so that a take-over builds the same prompts.

Attempts and leases
-------------------
Each claim starts an attempt. Worker and attempt together fence all later writes (bot/store/rows.py): a worker
that was paused while another one took its job over changes nothing. A worker sends heartbeats, and considers its jobs
its own only for a few seconds after each (lease.py), half as long as the others wait before they take over. An
attempt that dies or is released counts as a turn with the reason INTERRUPTED and its usage so far. The job lives on,
and the next attempt continues from the checkpoint. A job that was interrupted three times ends with
INTERRUPTED_TOO_OFTEN.

Versions
--------
An answer can be written again in the same messages: Regenerate, Continue, and an edit of a question that is begun. Each
raises `version`. What a person wants of a version is its `Wish`; a begun answer keeps that when an edit starts it over.
An attempt knows the version that it answers. When the database has a newer one, the attempt's checkpoints are void, its
heartbeat tells the worker to start over, and its FINISH becomes RELEASE: the turn is kept, and the job is done again. A
stop counts more than an edit: a stopped attempt ends even if it is outdated.

Batches
-------
A person's questions that are queued behind each other in a thread are answered together. The newest is claimed, and
those before it become BATCHED and name it in `answered_with`. If the newest question is deleted, the others return to
the queue.

Requests
--------
Some events cannot move a running job, because only its worker may end the answer in Slack. They leave a request beside
the state, which reaches the worker with its heartbeat: `stop_requested`, `erase_requested` (the row goes when the job
ends), and a raised `version`. `answer_deleted` is another mark beside the state: the texts are gone, the usage stays.

Erasure
-------
Erasing removes rows at once, with all rows that refer to them. Running jobs are the exception: they are stopped first,
and FINISH removes them. Retention empties texts of jobs that are over, and changes no state.

The outbox
----------
The calls to Slack that remain once a job is over (a placeholder to clear, askers to mention, an end that Slack did not
accept) are written to the outbox in the transaction that ends the job, and made at least once by any process
(outbox.py). An entry about a reply waits while a worker writes it, and no worker claims the job while a process has the
entry in hand, so two processes never write one reply. The outbox moves no job.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum, auto

from bot.core.calls import RecordedCall, Step
from bot.core.conversation import NO_NOTE, Note, Question
from bot.errors import EndReason
from bot.models.events import Citation, Usage
from bot.models.prompt import UNKNOWN, Effort, Origins


class Status(StrEnum):
    """The part of a job's state in the column `status`."""

    UNPOSTED = "unposted"
    QUEUED = "queued"
    RUNNING = "running"
    AWAITING_APPROVAL = "awaiting_approval"
    ENDED = "ended"


class State(StrEnum):
    """Where a job is in its life; the module's docstring explains each."""

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
        """Whether an answer is still to come."""
        return self in (State.QUEUED, State.RELEASED, State.RUNNING, State.AWAITING_APPROVAL)


def state_of(status: str, attempts: int, end_reason: str | None) -> State:
    """Returns the state of a job that has these columns."""
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
    """What can happen to a job."""

    ASK = auto()
    """A question that the bot has to post."""
    POST = auto()
    GIVE_UP = auto()
    """The question can't be posted."""
    ENQUEUE = auto()
    CLAIM = auto()
    BATCH = auto()
    """A later question of the thread is claimed and takes this one along, or an answer under way does."""
    UNBATCH = auto()
    """The later question gets no answer."""
    TAKE_OVER = auto()
    """Another worker claims the job of a dead one."""
    RELEASE = auto()
    """Its worker hands it over, or ends an attempt at a version that is outdated."""
    FINISH = auto()
    DENY = auto()
    """Its worker finds that the asker has no access."""
    WAIT = auto()
    """Its worker needs a person's approval, and gives it up."""
    DECIDE = auto()
    """The last of the calls that a person was asked about is approved or denied."""
    EXPIRE = auto()
    """Nobody decided in time."""
    REMOVE = auto()
    """Its worker ends it, after somebody asked to erase it."""
    STOP = auto()
    EDIT = auto()
    DELETE_QUESTION = auto()
    REGENERATE = auto()
    """Somebody pressed Regenerate or Continue."""
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
    # Stop: a begun job needs a worker to end it.
    (State.QUEUED, Event.STOP): State.UNBEGUN,
    (State.RELEASED, Event.STOP): State.RELEASED,
    (State.RUNNING, Event.STOP): State.RUNNING,
    (State.AWAITING_APPROVAL, Event.STOP): State.RELEASED,
    # Edits: a begun job starts over. So does one that has ended, unless others have written in its thread since.
    (State.QUEUED, Event.EDIT): State.QUEUED,
    (State.RELEASED, Event.EDIT): State.RELEASED,
    (State.RUNNING, Event.EDIT): State.RUNNING,
    (State.AWAITING_APPROVAL, Event.EDIT): State.RELEASED,
    (State.BATCHED, Event.EDIT): State.BATCHED,
    (State.ENDED, Event.EDIT): State.RELEASED,
    (State.UNBEGUN, Event.EDIT): State.QUEUED,
    # Deletions of the question.
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
"""Where each event leads. An event that is missing for a state has no effect there."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person wants of a version of an answer, beside what the question says. Stored.

    None of it is in anybody's words, so none of it has to be erased.
    """

    effort: Effort | None = None
    """How much the model is to think; None: as much as in the channel."""
    continues: bool = False
    """The version goes on where the one before it stopped, and the two become one."""


NO_WISH = Wish()


@dataclass(frozen=True, slots=True)
class Enqueued:
    """A question is in the queue."""

    job_id: int
    needs_placeholder: bool
    """Whether the question is queued: another job of its thread is before it, or there was no room."""
    attempts: int = 0
    """How often the job was claimed before. The placeholder counts until the next claim."""


class NoticeKind(StrEnum):
    """What a sentence below an answer is about. Stored."""

    SAID = "said"
    """How the answer ended, or what came of a command or a call."""
    UNPARSED = "unparsed"
    """A call or reasoning that a server left in the text."""
    EXPIRED = "expired"
    """Nobody decided in time about a call."""
    UNREAD = "unread"
    """Files that the model didn't get."""
    REMEMBERED = "remembered"
    """A memory was made: it may be forgotten since."""
    FORGOTTEN = "forgotten"
    """A memory was removed by words: it may be back since."""
    SCHEDULED = "scheduled"
    """A schedule was created or changed: it may be stopped since."""
    STOPPED = "stopped"
    """A schedule was stopped by words: it may stand again since."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence about an answer, below its text."""

    kind: NoticeKind
    text: str = field(repr=False)
    about: int = 0
    """The schedule of a SCHEDULED or STOPPED notice, the number of a FORGOTTEN one's memory."""


def said(sentence: str) -> tuple[Notice, ...]:
    """Returns the notices of an end that has this sentence alone; none for ""."""
    return (Notice(NoticeKind.SAID, sentence),) if sentence else ()


@dataclass(frozen=True, slots=True)
class End:
    """How an attempt ended an answer: facts, recorded with the last of its text.

    What Slack shows of them follows from these and from the rest of the record (core/picture.py).
    """

    reason: EndReason
    notices: tuple[Notice, ...] = ()
    footer: str = ""
    """The line that names the model, if there is text."""
    model: str | None = None
    usage: Usage | None = None
    """The usage that the vendor reported, or else an estimate; None if no model was asked."""
    estimated_step: int | None = None
    """The number of the step whose usage is an estimate. It doesn't count if that step is on record (Spent)."""
    first_token_s: float | None = None
    prompt_version: str | None = None
    """The version of the model's system prompt (core/channel_settings.py)."""
    sources: Sequence[Citation] = ()
    """The web pages that the answer cites."""
    origins: Origins = UNKNOWN
    """What the model had read (models/prompt.py)."""
    choices: tuple[str, ...] = field(default=(), repr=False)
    """What readers can press below it (core/choices.py)."""
    effort: str = ""
    """How much the model was asked to think about it. Of one that can't think longer, it is as much as possible."""
    note: Note = NO_NOTE
    """What the prompt said about the question alone, which later prompts repeat."""


@dataclass(frozen=True, slots=True)
class Piece:
    """The part of a growing answer that goes on record next."""

    start: int
    """In characters of the answer; the recorded text from here on is replaced."""
    text: str = field(repr=False)
    end: End | None = None
    """How the answer ended; only the last piece has it."""
    sources: Sequence[Citation] = ()
    """The web pages that the answer cites so far."""
    takes_back: bool = False
    """Text of this attempt that is on record is no part of the answer: this is all that the attempt has written."""

    @property
    def chars(self) -> int:
        """How many characters of the answer are on record with this piece."""
        return self.start + len(self.text)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The recorded part of an answer whose attempt was interrupted."""

    text: str = field(default="", repr=False)
    end: End | None = None
    """The text is complete, and only the end's record is missing."""
    sources: Sequence[Citation] = ()
    """The web pages that the text cites."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Estimated tokens that an attempt has used so far for a step: they count if it is interrupted.

    A step's record has its usage, too. So these don't count any more once that step is on record.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    model: str | None = None
    step_no: int = 0
    """The number of the model's step, from 0."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """The answer to a heartbeat."""

    ours: frozenset[int] = frozenset()
    """Ids of the jobs that are still ours."""
    to_stop: frozenset[int] = frozenset()
    """Ids of the jobs among them that somebody asked to stop."""
    to_restart: frozenset[int] = frozenset()
    """Ids of the jobs among them whose question was edited since they were claimed."""


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A question that an answer under way took along."""

    question: Question
    step_no: int
    """The model's step that read it first."""


class MessageRole(StrEnum):
    """What a message of a reply, or beside it, is there for."""

    PAGE = "page"
    FILE = "file"
    REPLACED = "replaced"
    """A newer message shows its page, and it has to be deleted."""
    STRAY = "stray"
    """Slack posted it at the channel's root, because its thread was deleted."""
    POSTING = "posting"
    """A post without an answer: Slack may show a message, or more than one, that isn't on record."""
    STARTING = "starting"
    """A stream's start without an answer, whose message Slack doesn't tell from others."""
    MENTION = "mention"
    """Beside the reply: it mentions the asker, because the answer is ready."""
    ASK = "ask"
    """Beside it: it mentions the asker, because a call waits for them."""
    LINK = "link"
    """Beside it: it links the canvas of the answer."""


MENTION_ROLES = (MessageRole.MENTION, MessageRole.ASK)
BESIDE_ROLES = (*MENTION_ROLES, MessageRole.LINK)
"""Of the messages beside a reply."""
UNANSWERED = (MessageRole.POSTING, MessageRole.STARTING)
READ_ROLES = (MessageRole.PAGE, MessageRole.STRAY)
"""Of the messages that readers see of a reply, apart from its files."""


@dataclass(frozen=True, slots=True)
class RecordedMessage:
    """A message of a reply, or beside it, as it is on record."""

    ts: str
    """Empty while its post has no answer."""
    role: MessageRole
    version: int = 0
    """The version of the answer that it shows, or is about."""
    for_stream: bool = False
    """The message is a page that holds no more than a stream carries."""


POSTING = RecordedMessage("", MessageRole.POSTING)


def ts_of(messages: Sequence[RecordedMessage], *roles: MessageRole) -> tuple[str, ...]:
    """Returns the messages with these roles, in the order of the roles and then of the messages."""
    return tuple(message.ts for role in roles for message in messages if message.role is role)


def page_ts(messages: Sequence[RecordedMessage]) -> tuple[str, ...]:
    """Returns the messages that readers see of a reply, apart from its files: its pages come first."""
    return ts_of(messages, *READ_ROLES)


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """An answer as it is recorded, in the version that readers see. It can change after the end.

    What Slack shows below the answer, and what can be pressed there, follows from it (core/picture.py).
    """

    job_id: int
    question: Question
    state: State
    is_deleted: bool = False
    """Somebody deleted the answer."""
    messages: tuple[RecordedMessage, ...] = ()
    version: int = 0
    """The newest version."""
    text: str = field(default="", repr=False)
    end: End | None = None
    """How the version ended; None if none has. While a newer version is written, text and end are the older one's."""
    ended_at: float | None = None
    """When the end was recorded, in seconds since the epoch."""
    is_emptied: bool = False
    """The version's text was removed from the database, but not from Slack."""
    waits_until: float | None = None
    """Until when the answer awaits an approval; None if it awaits none."""
    calls: Sequence[RecordedCall] = ()
    """The version's tool calls; while a newer version is written, those of the newer one."""
    has_previous: bool = False
    """There is an earlier version."""
    has_next: bool = False
    """There is a later version."""
    has_acted: bool = False
    """The newest version did what can't be done again."""
    is_edited: bool = False
    """The question was edited after this version had begun to answer it."""
    undone: frozenset[Notice] = frozenset()
    """The notices about memories and schedules that no longer hold, because somebody has undone what they say."""
    over: frozenset[int] = frozenset()
    """Which of its schedules have run at their single time."""
    chosen: str | None = field(default=None, repr=False)
    """Which of its choices somebody has pressed; None: nobody has."""

    @property
    def is_expired(self) -> bool:
        """Whether the question was removed from the database."""
        return not self.question.text and not self.question.files

    @property
    def is_whole(self) -> bool:
        """Whether the answer has ended, and is whole."""
        reason = self.end.reason if self.end and not (self.is_deleted or self.state.is_live) else None
        return reason is EndReason.WHOLE and bool(self.text.strip())


@dataclass(frozen=True, slots=True)
class Job:
    """A question as its worker claimed it. core/job.py explains attempts and versions."""

    id: int
    question: Question
    attempts: int
    """The number of claims, including this one; with the worker's name, it fences later writes."""
    messages: tuple[RecordedMessage, ...] = ()
    """The messages of its reply on record; its pages come first, in order. POSTING is among them if a process died."""
    interruptions: int = 0
    """The number of earlier attempts whose process died or was paused for too long."""
    so_far: str = field(default="", repr=False)
    """The answer so far, if this version continues one that was stopped or reached its length limit."""
    sources: Sequence[Citation] = ()
    """The web pages that the answer so far cites."""
    so_far_origins: Origins = UNKNOWN
    """What the answer so far had read."""
    has_previous: bool = False
    """An earlier version of the answer is on record, which this version does not continue."""
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    """The text that earlier attempts at this version recorded."""
    earlier: tuple[Question, ...] = ()
    """The earlier questions of its batch, which share its answer."""
    follow_ups: tuple[FollowUp, ...] = ()
    """The later questions that it took along."""
    steps: tuple[Step, ...] = field(default=(), repr=False, compare=False)
    """The steps of this version that earlier attempts recorded."""
    version: int = 0
    """How often the answer was started over. What Slack shows of an earlier version is replaced."""
    wish: Wish = NO_WISH
    """What somebody wants of this version."""
    transcripts: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    """What is said in recordings that came with its question, by the files' ids."""
    asked_at: float = field(default=0.0, compare=False)
    """Since when the asker waits, in seconds since the epoch: for this version, or since they decided about a call."""
    stop_requested: bool = False
    """Somebody stopped it before it was claimed: its attempt asks nobody, and ends the reply."""
    offered: bool = False
    """This version is an offer to answer: the question was found late, or others have replied to it."""
    is_late: bool = field(default=False, compare=False)
    """Its asker has waited for LATE_S, such as in an outage, so the answer begins with when the question was asked."""
    record: AnswerRecord | None = field(default=None, compare=False)
    """The answer's record, if the job has ended and its end is to be shown."""
    moves_down: bool = field(default=False, compare=False)
    """Its placeholder stands above pages of an answer ahead of it, so its reply begins with a new message."""

    @property
    def page_ts(self) -> tuple[str, ...]:
        """The messages on record that readers see of its reply, apart from its files."""
        return page_ts(self.messages)

    @property
    def has_begun(self) -> bool:
        """Whether an earlier attempt at this version has asked a model, so that its asker had access."""
        return bool(self.checkpoint.text or self.checkpoint.end or self.steps)

    def ended(self, end: End, text: str, calls: Sequence[RecordedCall] = ()) -> AnswerRecord:
        """Returns the record of the job's answer as it ends."""
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
"""An answer that begins later says when its question was asked."""
