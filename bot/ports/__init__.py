"""What the main path needs of the world. Each port has one contract test, run on all that implement it."""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from bot.core.conversation import File, Job, Message, Prompt, Question, ThreadKey
from bot.core.inbound.channel_settings import ChannelSettings
from bot.core.inbound.files import OpenedFile
from bot.core.inbound.triage import Participants
from bot.core.job import Enqueued, Outcome, Piece, Pulse, Reservation, Spent
from bot.core.limits.access import BotQuestions, UserKind
from bot.core.limits.caps import Amount, Cap, CapRoom, CapWindow, Spender
from bot.core.outbox import Leftover, OutboxEntry, OutboxKind
from bot.core.reply.draft import Draft
from bot.core.reply.state import Ending, Shown
from bot.core.stream import StreamEvent


class Clock(Protocol):
    """The only one who tells the time."""

    def now(self) -> float:
        """Seconds since the epoch, for what is kept."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow, for what is paced and measured."""
        ...

    async def sleep(self, delay_s: float) -> None: ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)


class Provider(Protocol):
    """One model of one vendor."""

    model: str
    """As it is written in settings: openai/gpt-6-luna."""

    def stream(self, prompt: Prompt) -> AsyncGenerator[StreamEvent, None]:
        """Yields the answer's deltas (never empty), Thinking while the model reasons, then one Completion, and ends.

        Raises ProviderError, at any time, when no whole answer comes.
        Close it (contextlib.aclosing) to hang up: only that reaches the vendor and stops the billing.
        """
        ...


class Models(Protocol):
    """The models in use."""

    names: tuple[str, ...]

    def led_by(self, model: str | None) -> Provider:
        """All of them, one behind the other, beginning with this one; a model that is not in use leads nobody."""
        ...


class RateLedger(Protocol):
    """Counts the calls to Slack of all processes that share the database, those of earlier processes too.

    `failed_at`: when the database last failed this process, in whatever it did, by the monotonic clock.
    """

    failed_at: float

    async def reserve(self, method: str, calls_per_minute: int) -> Reservation:
        """Takes one call from the budget, if it has one left; raises StoreError."""
        ...


class Store(Protocol):
    """Remembers questions and answers; each write of a claimed job is fenced by its worker and attempt.

    A method raises StoreError where the database failed, and may then have written nothing.
    A caller that is cancelled breaks nothing off: what was begun is written.
    """

    async def enqueue(self, event_id: str, question: Question, *, full: bool = False) -> Enqueued | None:
        """Takes a question on, durably once this returns; None where event or message was seen before.

        It waits where another job of its thread is before it, its asker has as many under way as one may have, or
        this process is `full`. Who enqueued a job that
        waits shows its asker a sign and records it: for as long, but 10 s at most, the job is not claimed.
        """
        ...

    async def claim(self, limit: int) -> list[Job]:
        """Up to `limit` jobs: those of processes that are gone, then one of each thread with none being done.

        Questions of a thread that wait are answered together: the one written last is claimed, and those before it
        are done with it. What was begun before comes first, alone. Among threads the job that came first leads.
        A person who has as many under way as one may have, in all processes, waits.
        Called about once a second, and after `wait`: who is gone is only known to who looks.
        Let it end: what a claim took though its caller was cancelled stays taken.
        """
        ...

    async def heartbeat(self, claimed: Mapping[Job, Spent], pieces: Mapping[Job, Piece] = ...) -> Pulse:
        """Says, about once a second, that these are still being worked on, and what each has used so far.

        Of answers that have grown, the new pieces of their texts go on record with it.
        """
        ...

    async def checkpoint(self, pieces: Mapping[Job, Piece]) -> None:
        """Puts pieces of answers under way on record, for whoever takes them over; of jobs that are ours, that is."""
        ...

    async def release(self, job: Job, piece: Piece | None = None) -> bool:
        """Hands a claimed job over with the last piece of its text: it is to be done again, by anybody.

        False where it was no longer ours.
        """
        ...

    async def request_stop(self, job_id: int) -> bool:
        """Asks whoever answers it to stop; one that was never begun ends at once. False where it has ended."""
        ...

    async def wait(self, timeout_s: float) -> None:
        """Returns once another process did what may concern this one, or the time is over. A hint, not a fact."""
        ...

    async def record_pages(self, job_id: int, page_ts: Sequence[str]) -> None:
        """Keeps which messages show the job's reply, in order; nothing where another worker has the job.

        The sign of a job that ended while it waited is to be cleared.
        """
        ...

    async def finish(self, job: Job, outcome: Outcome, *, ping: bool = False, leftover: Leftover | None = None) -> bool:
        """Ends the job and keeps its turn; `ping`: its asker is to be told. False where it was no longer ours.

        `leftover`: what Slack did not take goes to the outbox; an end that is to be shown later stays on record for it.

        One that is to be answered again meanwhile is handed over instead, its turn kept.
        """
        ...

    async def may_post_placeholder(self, question: Question) -> bool:
        """Whether all that are before it in its thread have their messages: only then its sign comes below them."""
        ...

    async def participants(self, thread: ThreadKey, user_id: str, ts: str) -> Participants:
        """Who was in a thread when a person wrote a message in it; from then on it is known to be shared, if it is."""
        ...

    async def reserve_tokens(self, job: Job, most: Amount, caps: Sequence[Cap]) -> CapRoom:
        """Sets aside what an answer may use at most, until the job ends, if the caps leave room for it.

        One at a time for a workspace. What was used counts for the day on which the attempt ended.
        """
        ...

    async def spent(self, spender: Spender, windows: Collection[CapWindow]) -> Mapping[CapWindow, Amount]:
        """What was used in each of these that is now; answers under way are not in it."""
        ...

    async def claim_notice(self, team_id: str, user_id: str, notice: str, every_s: float = math.inf) -> bool:
        """Whether a person (or, with "", somebody) is to be told this now; True once in so long, for all processes."""
        ...

    async def bot_questions(self, question: Question) -> BotQuestions:
        """What the question's asker, a bot, and other bots asked of late."""
        ...

    async def mark_group_thread(self, thread: ThreadKey, ts: str) -> None:
        """Keeps that several people write in a thread, since this message."""
        ...

    async def take_outbox_entries(self, limit: int) -> list[OutboxEntry]:
        """What is due; others leave it alone for OUTBOX_HOLD_S, and take it then if it was not done."""
        ...

    async def complete_outbox_entry(self, entry: OutboxEntry, posted_ts: str | None = None) -> None:
        """It is off the list, unless there is new reason for it; `posted_ts`: the message that it left in Slack."""
        ...

    async def postpone_outbox_entry(self, entry: OutboxEntry, delay_s: float) -> None:
        """It failed for now, and is due again then."""
        ...

    async def unshown_end(self, entry: OutboxEntry) -> Job | None:
        """The ended job whose end Slack did not take, with its checkpoint; None where there is nothing to show.

        While the entry is held, nobody claims the job and no other entry about it is taken.
        """
        ...

    async def edit(self, question: Question, edited_ts: str) -> bool:
        """A question has other words now; False where the message was never one, or is not one any more.

        What waits is answered as it is now; what is being answered starts over in its messages, and whoever answers
        it hears so with a heartbeat; of an answer that has ended, another is offered if it is its thread's last.
        """
        ...

    async def delete_question(self, team_id: str, channel_id: str, ts: str) -> bool:
        """A question was deleted: it is not answered any more, and its reply goes if no person wrote after it."""
        ...

    async def regenerate(self, job_id: int, *, continues: bool = False, full: bool = False) -> Enqueued | None:
        """A job that has ended is to be done again in its messages; its answer is kept as an earlier turn.

        `continues`: from where it reached its length limit; the two parts are one answer then. None where it has not
        ended, or has nothing to answer any more. Who waits is shown so, as with `enqueue`.
        """
        ...

    async def replies(self, thread: ThreadKey, before_ts: str | None = None) -> Mapping[str, str]:
        """The bot's own messages in a thread, of its newest 500 questions: ts of each page to what it says.

        `before_ts`: of questions that were asked before.

        The first page's ts has the whole Markdown, later pages and replies without a model's text have "". Those whose
        text is not kept any more are left out.
        """
        ...

    async def channel_settings(self, team_id: str, channel_id: str) -> ChannelSettings:
        """What the channel has for itself, as last set by any process."""
        ...

    async def set_channel_settings(self, team_id: str, channel_id: str, settings: ChannelSettings) -> None:
        """In force with the next question, in all processes."""
        ...

    async def set_pane_context(self, team_id: str, user_id: str, channel_id: str) -> None:
        """Keeps which channel a person looks at beside our pane; "" is none."""
        ...

    async def pane_context(self, team_id: str, user_id: str) -> str:
        """The channel that a person looked at last, "" where none was told of in the last eight hours."""
        ...

    async def used_by_model(self, team_id: str, since: float) -> Mapping[str, Amount]:
        """What the workspace's answers that ended since then (seconds since the epoch) took, by model."""
        ...

    async def erase(self, *, user_id: str | None = None, thread: ThreadKey | None = None) -> int:
        """Removes questions and answers for good: a person's, a thread's, or all. Returns how many jobs.

        Those being answered are asked to stop, and removed when they end.
        """
        ...

    async def expire(self, before: float) -> int:
        """Empties the texts of what ended before then (seconds since the epoch), and keeps its usage.

        Returns how many texts. Ids of events are kept for an hour, for as long as Slack may send them again.
        """
        ...

    async def ping(self) -> None:
        """Returns if the database answers."""
        ...

    async def close(self) -> None:
        """Ends what was begun. Jobs that are still ours are others' to take over."""
        ...


class LiveReply(Protocol):
    """A reply that is being shown."""

    @property
    def shown(self) -> Shown:
        """What an earlier attempt left in Slack."""
        ...

    @property
    def page_ts(self) -> tuple[str, ...]:
        """The messages that show it, in order."""
        ...

    @property
    def edits(self) -> int:
        """Calls that Slack took to show it: posts and updates."""
        ...

    @property
    def gone(self) -> bool:
        """Its message was deleted, or its channel closed to us: nobody will read on."""
        ...

    @property
    def unshown(self) -> bool:
        """Slack took none of its calls for minutes: no more are made."""
        ...

    @property
    def leftover(self) -> OutboxKind | None:
        """What is left of it for the outbox."""
        ...

    def append(self, delta: str) -> None:
        """The model said more; it is shown when the pace allows."""
        ...

    async def finish(self, ending: Ending) -> None:
        """No more will come; returns when Slack shows all of it, or never will."""
        ...

    async def leave(self) -> None:
        """Leaves it as it is, for another process to go on with; returns when nothing of ours is under way."""
        ...


class Replies(Protocol):
    """Shows replies in Slack, at a pace that all live ones share."""

    async def open(self, draft: Draft, *, quiet: bool = False, until: float = math.inf) -> LiveReply:
        """Begins a job's reply, with a placeholder at once; or goes on with what an earlier attempt left.

        What is appended to the reply is the draft's text from then on.

        `quiet`: something else says that we think, and the placeholder waits two minutes for the first words.
        `until`: nothing is sent later than that, by the monotonic clock.
        """
        ...

    async def announce(self, job: Job, until: float) -> None:
        """Shows the placeholder of a job that must wait; returns once it is on record, or can't be.

        Not later than `until`, by the monotonic clock: another process may have begun the job by then.
        """
        ...

    def abandon(self, job_id: int) -> None:
        """Sends nothing more for a job: it is another process's now."""
        ...


class Files(Protocol):
    """Reads the files that people share in Slack."""

    def reading(self, files: Sequence[File]) -> AbstractAsyncContextManager[Mapping[str, OpenedFile]]:
        """What is in each, by id, or why that can't be said; never raises for a file.

        The memory that they take counts as taken until the context ends.
        """
        ...


class OutboxSender(Protocol):
    """Makes the calls of outbox entries in Slack. Each raises RateLimited and Refused."""

    async def clear(self, entry: OutboxEntry) -> None:
        """Takes the messages of a reply away."""
        ...

    async def delete(self, entry: OutboxEntry) -> None:
        """The same, with its files."""
        ...

    async def remove(self, entry: OutboxEntry) -> None:
        """The same, unless a person wrote after the question."""
        ...

    async def offer(self, entry: OutboxEntry) -> None:
        """Shows the question's writer alone a button for another answer."""
        ...

    async def ping(self, entry: OutboxEntry, still: Callable[[], bool]) -> str | None:
        """Tells the askers once that their answer is whole, while it is `still` ours to do; the message's ts."""
        ...


class History(Protocol):
    """Reads conversations from Slack."""

    async def messages(self, question: Question) -> list[Message]:
        """The messages of the question's conversation, oldest first, as many as are of use.

        What Slack does not give is left out, and the message after it says so (`after_gap`).
        """
        ...

    async def names(self, ids: Sequence[str]) -> Mapping[str, str]:
        """How people and channels are called, by id; without those whom Slack does not tell, and of the first 50."""
        ...


class Users(Protocol):
    """Knows what kind of person somebody is."""

    def known(self, user_id: str) -> UserKind | None:
        """Returns a person's kind if it was looked up recently."""
        ...

    async def kind(self, user_id: str) -> UserKind | None:
        """Returns a person's kind; None where Slack doesn't tell."""
        ...


class EphemeralMessages(Protocol):
    """Tells one person something that nobody else sees."""

    async def tell(self, question: Question, sentence: str) -> None:
        """Shows the question's asker a sentence. Slack may lose it."""
        ...
