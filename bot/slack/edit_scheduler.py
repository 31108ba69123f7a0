"""The one place that talks to Slack about replies: one loop sends the most urgent call of all live ones."""

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Protocol

from bot.core.conversation import Job
from bot.core.job import Piece
from bot.core.lease import Lease
from bot.core.outbox import OutboxKind
from bot.core.pacing import Urgency
from bot.core.reply.draft import Draft
from bot.core.reply.state import Call, Ending, Post, Reply, Shown, Update, Upload
from bot.errors import RateLimited, Refusal, Refused, StoreError, trace_of
from bot.ports import Clock
from bot.slack.client import only_while
from bot.slack.rate_budget import RateBudget
from bot.slack.reply_transport import NOT_SHARED, ReplyTransport, method_of
from bot.slack.scheduled_reply import GIVE_UP_S, ScheduledReply, back_off_s

IN_FLIGHT = 4
"""Calls of one method under way at once."""
CALL_S = 60.0
"""For one call with all that belongs to it: looking for a lost post, or sending files and looking for them."""
FINDS = 3
"""Tries to find a lost post; then the page is posted again, because a message twice is better than none."""
SWEEP_S = 20.0
RECOVER_S = 60.0
"""Then a reply goes on from what is on record of it."""
QUIET_S = 110.0
"""Slack takes a status away after two minutes."""
LAST_CALLS_S = 0.8
"""For calls under way when the process ends; where one is not known to have arrived, the next process looks."""
UNSURE_S = 0.1
"""How soon to look again whether our jobs are still ours."""

WRITE_AHEAD_S = 1.0
"""So long the database may take to keep a text that is about to be shown."""
AWAY_S = 3.0
"""After it did not, texts are shown that it does not have."""

log = logging.getLogger(__name__)


class Record(Protocol):
    """What the editor needs of the Store. Each raises StoreError."""

    async def record_pages(self, job_id: int, page_ts: Sequence[str]) -> None:
        """Keeps which messages show a job's reply."""
        ...

    async def checkpoint(self, pieces: Mapping[Job, Piece]) -> None:
        """Keeps what texts have grown by."""
        ...


class EditedReply:
    """The LiveReply port: text in, edits out when the pace allows."""

    def __init__(self, editor: "EditScheduler", slot: ScheduledReply, draft: Draft, shown: Shown) -> None:
        self.shown = shown
        self._draft = draft
        self._editor = editor
        self._slot = slot

    @property
    def gone(self) -> bool:
        return self._slot.reply.gone

    @property
    def unshown(self) -> bool:
        return self._slot.reply.unshown

    @property
    def leftover(self) -> OutboxKind | None:
        return self._slot.reply.leftover

    @property
    def edits(self) -> int:
        return self._slot.calls

    @property
    def page_ts(self) -> tuple[str, ...]:
        return self._slot.reply.page_ts

    def append(self, delta: str) -> None:
        self._draft.append(delta)
        self._slot.reply.append(delta)
        # The editor may sleep until a status would be gone.
        was_quiet, self._slot.quiet_until = self._slot.quiet_until > -math.inf, -math.inf
        if was_quiet or not self._slot.dirty:
            self._editor.touch(self._slot)

    async def finish(self, ending: Ending) -> None:
        self._slot.finish(ending)
        self._slot.quiet_until = self._slot.not_before = -math.inf
        self._editor.touch(self._slot)
        await self._slot.settled.wait()
        if self._slot.begun and not self._slot.reply.unshown:
            await self._editor.sweep(self._slot)

    async def leave(self) -> None:
        self._editor.abandon(self._slot.job_id)
        await self._slot.settled.wait()


class EditScheduler:
    """One for a workspace: all its replies share the workspace's budgets.

    Nothing is sent while the lease is not sure: another process may have taken our replies over.
    `record` is told the messages of a job's reply whenever a page was posted, and of each text before Slack shows it:
    what Slack shows can't be read back from there, because it stores a translation.
    """

    def __init__(self, poster: ReplyTransport, budget: RateBudget, lease: Lease, clock: Clock, record: Record) -> None:
        self._poster = poster
        self._budget = budget
        self._lease = lease
        self._clock = clock
        self._record = record
        self._away_until = -math.inf
        self._slots: list[ScheduledReply] = []
        self._in_flight: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()

    async def open(self, draft: Draft, *, quiet: bool = False, until: float = math.inf) -> EditedReply:
        """Begins a reply, or goes on with what an earlier attempt left; a placeholder goes out at once.

        `quiet`: the pane's status says so for now, and would be gone with the first post.
        `until`: nothing is sent later than that.
        """
        job = draft.job
        shown = Shown(job.page_ts, outdated=job.version > 0)
        if job.begun and (job.attempts > 1 or not job.page_ts):
            shown = await self._recover(job)
        slot = ScheduledReply(
            job.id, Reply(job.question, shown, version=job.version), draft, begun=job.begun, until=until
        )
        slot.reply.append(draft.text)
        if quiet and not shown.page_ts:
            slot.quiet_until = self._clock.monotonic() + QUIET_S
        self._budget.opened(slot)
        self._slots.append(slot)
        self.touch(slot)
        return EditedReply(self, slot, draft, shown)

    async def announce(self, job: Job, until: float) -> None:
        """Shows the placeholder of a reply that begins later; returns once it is on record, or can't be."""
        shown = Shown(job.page_ts, outdated=True)
        slot = ScheduledReply(job.id, Reply(job.question, shown, waiting=True, version=job.version), until=until)
        self._slots.append(slot)
        self.touch(slot)
        await slot.settled.wait()

    def abandon(self, job_id: int) -> None:
        """Sends nothing more for a job's reply: it is another process's now."""
        for slot in [slot for slot in self._slots if slot.job_id == job_id]:
            slot.abandoned = True
            if not slot.in_flight:
                self._let_go(slot)

    async def sweep(self, slot: ScheduledReply) -> None:
        """Deletes messages that a post left behind which arrived after it was given up."""
        question = slot.reply.question
        try:
            async with asyncio.timeout(SWEEP_S):
                for stray in await self._poster.strays(question, slot.reply.page_ts + slot.reply.file_ts):
                    await self._poster.send(stray)
        except (RateLimited, Refused, TimeoutError) as error:
            log.warning("job %d: strays were not looked for: %s", slot.job_id, error or "it took too long")
        except Exception as error:
            log.error("job %d: strays were not looked for: %s", slot.job_id, trace_of(error))

    def touch(self, slot: ScheduledReply) -> None:
        """A reply has something to show."""
        slot.dirty = True
        self._wake.set()

    async def run(self) -> None:
        """Sends until cancelled; a call under way is let end, but not one that still waits for its turn."""
        try:
            while True:
                self._wake.clear()
                await self._pause(self._send_what_is_due())
        finally:
            if self._tasks:
                _, late = await asyncio.wait(self._tasks, timeout=LAST_CALLS_S)
                for task in late:
                    task.cancel()
                await asyncio.gather(*late, return_exceptions=True)
            for slot in [slot for slot in self._slots if slot.abandoned]:
                self._let_go(slot)

    async def _recover(self, job: Job) -> Shown:
        """What Slack shows; what is on record where Slack does not tell it within minutes."""
        try:
            async with asyncio.timeout(RECOVER_S):
                return await self._read_back(job)
        except (Refused, TimeoutError) as error:
            log.warning("job %d: what Slack shows is not known: %s", job.id, error or "it took too long")
        except Exception as error:
            log.error("job %d: what Slack shows is not known: %s", job.id, trace_of(error))
        return _on_record(job)

    async def _read_back(self, job: Job) -> Shown:
        failures = 0
        while True:
            try:
                return await self._poster.shown(job)
            except RateLimited as error:
                log.warning("%s", error)
                await self._clock.sleep(error.retry_after_s)
            except Refused as error:
                if not error.reason.may_pass:
                    raise
                log.warning("job %d: %s", job.id, error)
                await self._clock.sleep(back_off_s(failures))
                failures += 1

    def _send_what_is_due(self) -> float:
        """Starts each call whose time has come; returns when to look again."""
        while True:
            now = self._clock.monotonic()
            if self._slots and not self._lease.sure(now):
                return now + UNSURE_S
            due, again_at = self._most_urgent(now)
            if due is None:
                return again_at
            slot, call = due
            slot.in_flight, slot.dirty = True, False
            self._in_flight[method_of(call)] += 1
            self._budget.sent(method_of(call), now, slot)
            task = asyncio.create_task(self._send(slot, call))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pause(self, until: float) -> None:
        timeout_s = None if until == math.inf else max(0.0, until - self._clock.monotonic())
        try:
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()
        except TimeoutError:
            return

    def _most_urgent(self, now: float) -> tuple[tuple[ScheduledReply, Call] | None, float]:
        """Finals, then first words, then the stalest; else the time at which something may go."""
        best: tuple[tuple[int, float], ScheduledReply, Call] | None = None
        again_at = math.inf
        for slot in [each for each in self._slots if each.dirty and not each.in_flight]:
            call = slot.due(now)
            if call is None:
                if slot.is_over:
                    self._let_go(slot)
                continue
            urgency, method = _urgency(slot.reply, call), method_of(call)
            if self._in_flight[method] >= IN_FLIGHT:
                continue
            ready_at = max(self._budget.ready_at(method, now, urgency, slot), slot.not_before, slot.quiet_until)
            if slot.reply.ended and ready_at > now + GIVE_UP_S:
                # A rate limit of so long: the outbox can wait for its end, the thread can't.
                self._give_up(slot)
            elif ready_at > now:
                again_at = min(again_at, ready_at, slot.until)
            elif best is None or (urgency, slot.last_sent) < best[0]:
                best = ((urgency, slot.last_sent), slot, call)
        return (None if best is None else (best[1], best[2])), again_at

    async def _send(self, slot: ScheduledReply, call: Call) -> None:
        try:
            done = await self._tried(slot, call)
            self._wake.set()
            if done and (slot.reply.announced or not isinstance(call, Update | Upload)):
                await self._keep(slot)
        except Exception as error:
            log.error("job %d: %s", slot.job_id, trace_of(error))
            slot.reply.unshown = True
        finally:
            slot.in_flight = False
        self._after(slot)

    async def _tried(self, slot: ScheduledReply, call: Call) -> bool:
        """Sends the call if it is still ours to send; whether Slack did it."""
        method, left = method_of(call), False
        try:
            await self._write_ahead(slot)
            if await self._budget.take(method) and self._is_ours(slot):
                left = True
                with only_while(lambda: self._is_ours(slot)):
                    async with asyncio.timeout(CALL_S):
                        await self._sent(slot, call)
                slot.worked()
                return True
        except RateLimited as error:
            self._limited(slot, method, error)
        except Refused as error:
            self._refused(slot, call, error)
        except TimeoutError:
            self._refused(slot, call, Refused(method, "TimeoutError", Refusal.TRANSIENT))
        except Exception as error:
            log.error("job %d: a call of %s failed in an unforeseen way: %s", slot.job_id, method, trace_of(error))
            self._refused(slot, call, Refused(method, type(error).__name__, Refusal.UNKNOWN))
        finally:
            self._in_flight[method] -= 1
            if left:
                self._budget.answered(method)
                slot.last_sent = self._clock.monotonic()
            else:
                self._budget.withdrawn(method)
        return False

    async def _write_ahead(self, slot: ScheduledReply) -> None:
        """Has the text kept before Slack shows it; a database that is away does not hold it up."""
        piece = slot.draft.piece() if slot.draft else None
        if slot.draft is None or piece is None or self._clock.monotonic() < self._away_until:
            return
        try:
            async with asyncio.timeout(WRITE_AHEAD_S):
                await self._record.checkpoint({slot.draft.job: piece})
            slot.draft.recorded(piece)
        except (StoreError, TimeoutError) as error:
            log.warning("texts are shown that are not on record: %s", str(error) or "the database does not answer")
            self._away_until = self._clock.monotonic() + AWAY_S

    def _is_ours(self, slot: ScheduledReply) -> bool:
        """The last look before a call leaves: another process may have taken over what we thought ours."""
        now = self._clock.monotonic()
        slot.abandoned = slot.abandoned or now >= slot.until
        return not slot.abandoned and self._lease.sure(now)

    async def _sent(self, slot: ScheduledReply, call: Call) -> None:
        """Sends, unless an earlier post of the same page turns out to have arrived."""
        if isinstance(call, Upload):
            await self._attach(slot, call)
            return
        if isinstance(call, Post) and slot.lost_post:
            found = await self._found(slot, call)
            slot.lost_post, slot.finds = False, 0
            if found is not None:
                slot.reply.found(found)
                return
        slot.reply.confirmed(call, await self._poster.send(call))

    async def _found(self, slot: ScheduledReply, post: Post) -> str | None:
        """The message of a post whose answer was lost; raises Refused while another search may find it."""
        try:
            return await self._poster.find(post, slot.reply.orphans)
        except Refused as refused:
            slot.finds += 1
            if refused.reason in (Refusal.ASTRAY, Refusal.MESSAGE_GONE):
                raise
            if refused.reason.may_pass and slot.finds < FINDS:
                raise
            log.warning("job %d: whether a page was posted can't be known: %s", slot.job_id, refused)
            return None

    async def _attach(self, slot: ScheduledReply, upload: Upload) -> None:
        """Files take a while to send: whether the reply is still ours is looked at again before they show.

        Once sent they are shared until Slack has done it, and not sent again: so they come once.
        """
        again = slot.staged is not None and slot.staged[0] == upload
        if slot.staged is None or not again:
            slot.staged = upload, await self._poster.stage(upload)
        ids = slot.staged[1]
        ts = await self._poster.find_files(upload.question, ids) if again else None
        if ts is None and self._is_ours(slot):
            ts = await self._poster.share(upload, ids, again=again)
        if ts is not None:
            slot.reply.confirmed(upload, ts)

    async def _keep(self, slot: ScheduledReply) -> None:
        """Has the reply's messages recorded; an answer goes on without, too."""
        try:
            await self._record.record_pages(slot.job_id, slot.reply.page_ts)
        except StoreError as error:
            log.error("job %d: its messages are not on record yet: %s", slot.job_id, error)
        except Exception as error:
            log.error("job %d: its messages are not on record yet: %s", slot.job_id, trace_of(error))

    def _limited(self, slot: ScheduledReply, method: str, error: RateLimited) -> None:
        log.warning("%s", error)
        if error.method == method:
            self._budget.limited(method, error.retry_after_s)
        else:
            # Another one that belongs to it: the search for a lost post, or the upload of a file.
            slot.not_before = self._clock.monotonic() + error.retry_after_s
        self._failed(slot)

    def _refused(self, slot: ScheduledReply, call: Call, error: Refused) -> None:
        log.warning("job %d: %s", slot.job_id, error)
        if error.reason is Refusal.ASTRAY:
            slot.reply.went_astray(error.ts)
            return
        slot.reply.refused(call, error.reason)
        if error.reason.may_pass:
            slot.lost_post = slot.lost_post or isinstance(call, Post)
            if error.error == NOT_SHARED:
                slot.staged = None
            slot.wait(self._clock.monotonic())
            self._failed(slot)

    def _failed(self, slot: ScheduledReply) -> None:
        """Gives a reply up whose calls have all been refused for minutes."""
        if slot.failed(self._clock.monotonic()):
            self._give_up(slot)

    def _give_up(self, slot: ScheduledReply) -> None:
        log.error("job %d: Slack does not take its reply; the outbox tries again later", slot.job_id)
        slot.reply.give_up()
        slot.failures, slot.failing_since = 0, math.inf
        if not slot.in_flight:
            self._after(slot)

    def _after(self, slot: ScheduledReply) -> None:
        """Lets go of a reply that needs nothing more; else looks at it again."""
        if slot.is_over:
            self._let_go(slot)
        self.touch(slot)

    def _let_go(self, slot: ScheduledReply) -> None:
        if slot.settled.is_set():
            return
        self._slots.remove(slot)
        if not slot.reply.waiting:
            self._budget.closed(slot)
        slot.settled.set()


def _urgency(reply: Reply, call: Call) -> Urgency:
    if reply.ended:
        return Urgency.FINAL
    if isinstance(call, Update) and reply.begun:
        return Urgency.PROGRESS
    return Urgency.FIRST


def _on_record(job: Job) -> Shown:
    """What Slack shows of a reply, as far as the Store can tell: each text is kept before it is shown."""
    text = job.checkpoint.text
    return Shown(job.page_ts, len(text), text, outdated=job.version > 0 and not text)
