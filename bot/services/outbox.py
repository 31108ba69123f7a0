"""Runs the outbox: makes Slack calls that aren't part of a live reply, each at least once (core/outbox.py).

The outbox also sends notifications (services/notifications.py) and checks every second whether a schedule is due,
because posting a run is an outbox entry, too (bot/store/schedules.py).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol, TypeVar

from bot.core.asks import approval_cards
from bot.core.calls import card_types
from bot.core.job import MENTION_ROLES, SIDE_ROLES
from bot.core.notifications import DueNotification
from bot.core.outbox import MAX_TRIES, TRY_TIMEOUT_S, OutboxEntry, OutboxKind, ReplyTarget, wait_s
from bot.core.picture import picture
from bot.errors import NotShown, RateLimited, Refused, StoreError, Stuck, trace_of
from bot.logs import of_job
from bot.reply.answer import Answer
from bot.reply.delivery import update
from bot.reply.messages import Life
from bot.reply.outbox_sender import approval_reminder, ready_message
from bot.reply.scheduler import show_end
from bot.reply.workspace import Workspace
from bot.services.canvas_writer import CanvasWriter
from bot.services.notifications import Notifier, Writer
from bot.services.scheduled_runs import ScheduledRuns
from bot.services.shortcut import QuestionPosts
from bot.services.side_messages import AnswerCopier, update_side_messages
from bot.store import Stores
from slack_pacing.budget import REPLIES

CHECK_INTERVAL_S = 1.0
MAX_ENTRIES = 20
RETRY_DELAY_S = 5.0
"""Pause after a failed check."""
DECISIONS_TIMEOUT_S = 5.0
"""Time limit for showing decisions. Until then, the job can't be claimed."""

Entry = TypeVar("Entry", bound=OutboxEntry | DueNotification, contravariant=True)
Found = TypeVar("Found")

log = logging.getLogger(__name__)


class Entries(Protocol[Entry]):
    async def complete(self, entry: Entry) -> None: ...

    async def postpone(self, entry: Entry, delay_s: float) -> None: ...


@dataclass(frozen=True)
class Outbox:
    stores: Stores
    workspace: Workspace
    admins: Collection[str]
    notifier: Notifier
    writers: Mapping[str, Writer]
    canvas_writer: CanvasWriter
    copiers: Mapping[OutboxKind, AnswerCopier]
    question_posts: QuestionPosts
    runs: ScheduledRuns
    _running: set[asyncio.Task[None]] = field(default_factory=set, init=False)
    _checks: set[asyncio.Task[bool]] = field(default_factory=set, init=False)

    async def run(self) -> None:
        """Processes entries until canceled. Entries in progress are then repeated by another process."""
        try:
            while True:
                await self.stores.clock.sleep(CHECK_INTERVAL_S if await self._start_due_entries() else RETRY_DELAY_S)
        finally:
            under_way = (*self._checks, *self._running)
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    def check_now(self) -> None:
        look = asyncio.create_task(self._start_due_entries())
        self._checks.add(look)
        look.add_done_callback(self._checks.discard)

    async def end(self, within_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await asyncio.gather(*self._checks)
                await asyncio.gather(*map(asyncio.shield, self._running))

    async def _start_due_entries(self) -> bool:
        """Starts a task for each due entry, or none while Slack rejects the token. Returns False if the database is
        unavailable."""
        free = MAX_ENTRIES - len(self._running)
        if free <= 0 or self.workspace.is_token_refused():
            return True
        await self._try_check("schedules", partial(self.stores.schedules.begin_due, self.runs.max_runs_to_begin()))
        taken = await self._try_check("outbox", partial(self.stores.outbox.claim_due, free))
        if taken is None:
            return False
        for entry in taken:
            with of_job(entry.job_id):
                self._start_entry(entry, self.stores.outbox)
        due = partial(self.stores.notifications.claim_due, free - len(taken), self.writers)
        for notification in await self._try_check("notifications", due) or ():
            self._start_entry(notification, self.stores.notifications)
        return True

    def _start_entry(self, entry: Entry, entries: Entries[Entry]) -> None:
        task = asyncio.create_task(self._run_entry(entry, entries))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _try_check(self, name: str, check: Callable[[], Awaitable[Found]]) -> Found | None:
        try:
            return await check()
        except StoreError as error:
            log.error("%s: database unavailable, retrying in %.0f s: %s", name, RETRY_DELAY_S, error)
        except Exception as error:
            log.error("%s: entries not read, retrying in %.0f s: %s", name, RETRY_DELAY_S, trace_of(error))
        return None

    async def _run_entry(self, entry: Entry, entries: Entries[Entry]) -> None:
        """Tries an entry. Then marks it as complete, schedules its next try, or gives it up after MAX_TRIES."""
        try:
            is_tidy = entry.kind == OutboxKind.TIDY
            must_wait = is_tidy and not self.workspace.budget.is_half_free(REPLIES)
            delay_s = wait_s(entry.tries, was_rate_limited=True) if must_wait else await self._try_entry(entry)
            if delay_s is None:
                await entries.complete(entry)
                return
            await entries.postpone(entry, delay_s)
            if entry.tries >= MAX_TRIES:
                log.error("%s: set aside until its channel or Slack is back: tries=%d", entry, entry.tries)
        except StoreError as error:
            log.error("%s: outcome not recorded, retrying: %s", entry, error)
        except Exception as error:
            log.error("%s: outcome not recorded, retrying: %s", entry, trace_of(error))

    async def _try_entry(self, entry: OutboxEntry | DueNotification) -> float | None:
        """Tries an entry. Returns the delay before the next try, or None if the entry is complete. Slack calls finish
        within TRY_TIMEOUT_S, so a try that takes longer must have been waiting for rate limits."""
        was_rate_limited = False
        try:
            if isinstance(entry, OutboxEntry) and entry.kind is OutboxKind.POST_QUESTION:
                return await self.question_posts.post(entry)
            async with asyncio.timeout(TRY_TIMEOUT_S):
                await self._make_calls(entry)
            return None
        except Refused as refused:
            log.warning("%s: %s", entry, refused)
            if refused.reason.is_permanent:
                return None
        except (RateLimited, TimeoutError) as error:
            log.warning("%s: rate limited, retrying: %s", entry, str(error) or "timeout")
            was_rate_limited = True
        except NotShown:
            log.warning("%s: not shown, retrying later", entry)
        except Stuck as stuck:
            log.error("%s: given up: %s", entry, stuck)
            return None
        except Exception as error:
            log.error("%s: failed, retrying later: %s", entry, trace_of(error))
        return wait_s(entry.tries, was_rate_limited=was_rate_limited)

    async def _make_calls(self, entry: OutboxEntry | DueNotification) -> None:
        until = self.stores.clock.monotonic() + TRY_TIMEOUT_S

        def is_in_time() -> bool:
            """Returns False if the process was paused for so long that another process might have made the call."""
            return self.stores.clock.monotonic() < until

        if isinstance(entry, DueNotification):
            await self.notifier.send(entry, self.writers.get(entry.kind), is_in_time)
            return
        match entry.kind:
            case OutboxKind.REPLY | OutboxKind.TIDY:
                await self._show_reply(entry, until)
            case OutboxKind.SIDE_MESSAGES:
                await self._update_mention(entry, is_in_time)
            case OutboxKind.RESTATE_RUN:
                await self.runs.restate(entry)
            case _:
                await self.copiers[entry.kind].copy(entry, is_in_time)

    async def _show_reply(self, entry: OutboxEntry, until: float) -> None:
        match entry.target:
            case ReplyTarget.NOTHING:
                await self.workspace.outbox_sender.delete(entry)
                await self._clear_side_messages(entry)
            case ReplyTarget.NO_PLACEHOLDER:
                await self.workspace.outbox_sender.clear(entry)
            case ReplyTarget.UNLESS_FOLLOWED:
                if await self.workspace.outbox_sender.delete_if_unanswered(entry):
                    await self._clear_side_messages(entry)
                else:
                    await self._show_end(entry, until)
            case ReplyTarget.ASKS:
                await self._show_decisions(entry)
            case ReplyTarget.END:
                await self._show_end(entry, until)

    async def _clear_side_messages(self, entry: OutboxEntry) -> None:
        await self.canvas_writer.delete(entry)
        gone = replace(entry, outdated_messages=entry.side_messages)
        await update_side_messages(self.stores, self.workspace, gone, None, SIDE_ROLES)

    async def _update_mention(self, entry: OutboxEntry, is_in_time: Callable[[], bool]) -> None:
        """Mentions the asker if a mention is due, and deletes outdated messages next to the reply."""
        wanted = None
        if entry.mention_due_at is not None and entry.waits_until is None:
            wanted = ready_message(entry)
        elif entry.mention_due_at is not None and (job := await self.stores.outbox.job_awaiting_approval(entry)):
            wanted = approval_reminder(entry, card_types(job.steps[-1].calls, None))
        # Their writers handle canvas links and files as long as the answer exists.
        roles = SIDE_ROLES if entry.target is ReplyTarget.NOTHING else MENTION_ROLES
        await update_side_messages(self.stores, self.workspace, entry, wanted, roles, is_in_time)

    async def _show_end(self, entry: OutboxEntry, until: float) -> None:
        """Shows an ended answer as recorded, in the reply's messages, and deletes extra messages."""
        job = await self.stores.outbox.unshown_end(entry)
        if job is None or job.record is None or (end := job.record.end) is None:
            return
        shown = picture(job.record, optional=self.workspace.optional_actions)
        if entry.kind is OutboxKind.TIDY:
            # An edit, because a new message below later answers would notify people.
            users = self.workspace.users
            admins = users.admins_to_name(self.admins)
            shown = shown.with_names(await users.names(shown.user_ids_to_name(admins)), admins)
            if edit := self.workspace.scheduler.end_edit(job, end, shown):
                await update(self.workspace.paced, edit)
            return
        live = await self.workspace.scheduler.open(Answer(job), until=until)
        try:
            await show_end(live, end, shown, self.workspace.users, self.admins)
        finally:
            await live.abandon()
        if live.reply.recorded_messages != job.messages:
            await self.stores.outbox.record_messages(entry, live.reply.recorded_messages)
        if live.reply.outbox_kind is not None:
            raise NotShown

    async def _show_decisions(self, entry: OutboxEntry) -> None:
        """Updates a reply that still has undecided calls with the decisions so far, including any that arrive
        meanwhile. Raises NotShown if rate limits allowed no edit in time."""
        until = self.stores.clock.monotonic() + DECISIONS_TIMEOUT_S
        shown = None
        job = before = await self.stores.outbox.job_awaiting_approval(entry)
        if before is None:
            return
        person = await self.workspace.asker_name_in_channel(before.question)
        asks = partial(
            approval_cards, until=entry.waits_until, person=person, is_admin=before.question.user_id in self.admins
        )
        live = await self.workspace.scheduler.open(Answer(before), until=until)
        try:
            while (
                job
                and self.stores.clock.monotonic() < until
                and (newest := asks(job.steps[-1].calls, job.version)) != shown
            ):
                await live.ask_for_decisions(newest)
                shown = newest
                job = await self.stores.outbox.job_awaiting_approval(entry)
            is_shown = shown is not None and live.reply.life is not Life.ABANDONED
        finally:
            await live.abandon()
        if live.reply.recorded_messages != before.messages:
            await self.stores.outbox.record_messages(entry, live.reply.recorded_messages)
        if not is_shown:
            raise NotShown
