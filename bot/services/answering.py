"""Runs one attempt at a job, from its claim until its end is shown in Slack and recorded in the database.

`Answering.answer` is the main path:

1. Access is checked. If the asker is denied, the job ends without a reply; an existing reply shows the denial. If Slack
   takes long to identify the asker, the reply says so.
2. The reply is opened with a placeholder or an earlier attempt's messages. If the end is already shown but not
   recorded, or recorded but not shown, only the missing step is performed.
3. The model is called, step by step (services/steps.py). Its text is appended to the reply, which the edit scheduler
   shows at its own pace.
4. The reply is finished once Slack shows the whole text or never will.
5. The end is recorded, no matter how long the database is unavailable. If Slack rejected anything, the outbox shows it
   later.

Every attempt that ends the answer has one `End`, which is recorded before readers see it. `_ask` creates it from any
outcome of step 3: a completion, a model error, a used-up cap, a deleted reply, or a person's click on Stop. An
unexpected error ends the job as INTERNAL_ERROR, which the outbox shows, so no job stays running.

All other attempts are given up (`Phase`) and leave Slack unchanged. The next attempt continues the answer, either at
once, after a person has approved a call, after Slack accepts the bot token again, or in another process. The given-up
attempt releases the job with the text so far, unless another process already has the job.

Clicking Stop cancels the attempt only during step 3. An earlier click ends the attempt before the model is called. A
later click has no effect, because if an attempt were canceled while its end is being shown, nothing would end its job.

Vendors report usage with the completion. Without a completion, usage is estimated once the model has been called. A
request that failed before its first word counts only if vendors charge for such failures (ProviderError.is_charged).
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from bot.clock import keep_trying, monotonic_began_at
from bot.core import texts
from bot.core.canvases import canvas_requester
from bot.core.job import End, Job, sentence_notice
from bot.core.notifications import Notification
from bot.core.outbox import OutboxKind
from bot.core.picture import picture
from bot.core.texts.access import Denial
from bot.errors import (
    EndReason,
    StoreError,
    trace_of,
)
from bot.models.prompt import OTHERS, Effort
from bot.reply.answer import Freshness
from bot.reply.messages import Life
from bot.reply.scheduler import ScheduledReply, show_end
from bot.reply.workspace import Workspace
from bot.services.access_control import LONG_LOOKUP_TIMEOUT_S, AccessControl
from bot.services.answer_attempt import (
    AnswerAttempt,
    AttemptReport,
    GivenUp,
    Phase,
    result_or_end,
    total_usd,
    waited_s,
)
from bot.services.live_output import LiveOutput
from bot.services.memory import MemoryCommands
from bot.services.pane import AssistantPane
from bot.services.ports import Output
from bot.services.quota import Quota
from bot.services.schedules import Schedules
from bot.services.standalone import CollectedText
from bot.services.steps import Steps
from bot.slack.notices import notification
from bot.store import Stores

MAX_INTERRUPTIONS = 3
UNSEEN_CHECK_TIMEOUT_S = 1.0
"""Maximum time for the access check before a placeholder is shown."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AnswerSettings:
    done_mention_s: int
    """Askers who have waited at least this many seconds are mentioned when the answer is complete or needs approval. 0:
    never."""
    model_names: texts.models.ModelNames


@dataclass(frozen=True, slots=True)
class _Outcome:
    end: End
    for_outbox: OutboxKind | None = None
    notification_to_asker: Notification | None = None
    canvas_for: str = ""


@dataclass(frozen=True)
class Answering:
    stores: Stores
    workspace: Workspace
    steps: Steps
    report_attempt: Callable[[AttemptReport], None]
    access_control: AccessControl
    quota: Quota
    pane: AssistantPane
    memory_commands: MemoryCommands
    schedules: Schedules
    settings: AnswerSettings

    async def answer(self, attempt: AnswerAttempt) -> None:
        """Runs one attempt at a job: checks access, opens the reply, calls the model, and shows how the answer ended.
        Afterwards, the job has ended in Slack and in the database, or another attempt can continue it."""
        checking = asyncio.create_task(self._denial(attempt.job))
        try:
            await self._record(attempt, await self._outcome(attempt, checking))
        except asyncio.CancelledError:
            await self._give_up(attempt)
        except GivenUp as given_up:
            attempt.phase = given_up.phase
            log.info("attempt given up: %s", given_up.phase.name.lower())
            if attempt.phase is Phase.AWAITING_APPROVAL:
                await self._wait_for_decision(attempt)
            else:
                await self._give_up(attempt)
        finally:
            checking.cancel()
            offers = attempt.answer.end is not None and bool(attempt.answer.end.choices)
            awaits = offers or attempt.phase is Phase.AWAITING_APPROVAL
            self.pane.end(attempt.job.question, asks=awaits)

    async def _outcome(self, attempt: AnswerAttempt, checking: asyncio.Task[Denial | None]) -> _Outcome:
        try:
            return await self._show_outcome(attempt, checking)
        except GivenUp:
            raise
        except Exception as error:
            log.error("unexpected error, ending the job: %s", trace_of(error))
            attempt.phase = Phase.ENDING
            failed = End(EndReason.INTERNAL_ERROR, sentence_notice(texts.answers.INTERNAL_ERROR))
            end = attempt.finish(failed, self.stores.clock.now(), None, self.settings.model_names)
            if attempt.live is not None:
                await attempt.live.abandon()
            if attempt.job.question.is_held:
                raise GivenUp(Phase.WORKED) from error
            return _Outcome(end, OutboxKind.REPLY)

    async def _show_outcome(self, attempt: AnswerAttempt, checking: asyncio.Task[Denial | None]) -> _Outcome:
        job = attempt.job
        await asyncio.wait((checking,), timeout=UNSEEN_CHECK_TIMEOUT_S)
        if checking.done() and (denial := checking.result()) and not job.page_ts:
            self.access_control.explain_denial(job.question, denial)
            return _Outcome(attempt.answer.finish(End(EndReason.DENIED)))
        if job.question.is_held:
            return await self._work_unseen(attempt, checking)
        signs = await self.pane.begin(job.question, is_first=job.attempts == 1, has_message=bool(job.page_ts))
        visibility, has_stop = signs.sign, signs.has_stop_button
        live = await self.workspace.scheduler.open(attempt.answer, visibility=visibility, has_stop=has_stop)
        attempt.live = live
        recorded = job.checkpoint.end
        end = recorded or await self._finish(attempt, await self._ask(attempt, live, checking))
        if recorded and live.reply.initial.is_end_shown:
            await live.abandon()
        else:
            record = job.answer_record(end, attempt.answer.text, attempt.answer.calls)
            shown = picture(record, optional=self.workspace.optional_actions)
            await show_end(live, end, shown, self.workspace.users, self.access_control.admins)
        unposted = _unposted_notification(job, live) if live.reply.is_gone else None
        return _Outcome(end, live.reply.outbox_kind, unposted, self._canvas_requester(attempt, end))

    async def _work_unseen(self, attempt: AnswerAttempt, checking: asyncio.Task[Denial | None]) -> _Outcome:
        """Calls the model without opening a reply. Returns a silent or stopped end. Raises GivenUp after any other end,
        which the next attempt then shows."""
        end = await self._finish(attempt, await self._ask(attempt, None, checking))
        if end.reason is EndReason.SILENT or end.reason.is_stop:
            return _Outcome(end)
        raise GivenUp(Phase.WORKED)

    def _canvas_requester(self, attempt: AnswerAttempt, end: End) -> str:
        job, answer = attempt.job, attempt.answer
        if end.reason is not EndReason.WHOLE or not answer.text.strip() or end.choices:
            return ""
        asked = (job.question, *job.earlier_questions, *(later.question for later in answer.follow_ups))
        return canvas_requester(asked, self.workspace.me.user_id)

    async def _denial(self, job: Job) -> Denial | None:
        """Returns why the asker is denied access, or None if they have access. Raises GivenUp. Once an answer has
        begun, access is checked only before the answer changes something."""
        if job.has_begun:
            return None
        if job.page_ts and job.attempts == 1:
            denial = await self.access_control.denial_when_claimed(job.question)
        else:
            denial = await self.access_control.denial(job.question, within_s=LONG_LOOKUP_TIMEOUT_S)
        if denial is not None and self.workspace.is_token_refused():
            # The denial might only mean that Slack refused to identify the asker.
            raise GivenUp(Phase.TOKEN_REFUSED)
        return denial

    async def _ask(
        self, attempt: AnswerAttempt, live: ScheduledReply | None, checking: asyncio.Task[Denial | None]
    ) -> End:
        """Calls the model unless access is denied, the answer was stopped or the question is a command. Returns the
        `End`. Raises GivenUp."""
        if attempt.phase is Phase.STOP_ASKED:
            return _stopped_end(attempt)
        attempt.phase = Phase.STREAMING
        names, admins = self.settings.model_names, self.access_control.admins
        output: Output = CollectedText()
        if live is not None:
            output = LiveOutput(self.stores, self.workspace, self.pane, attempt.job, live, admins)
        try:
            if forbidden := await result_or_end(attempt, self._end_without_model(attempt, live, checking), names):
                return forbidden
            return await result_or_end(attempt, self.steps.ask(attempt, output), names)
        except asyncio.CancelledError:
            attempt.count_thinking_until(self.stores.clock.monotonic())
            if attempt.phase is not Phase.STOPPED:
                raise
            return _stopped_end(attempt)

    async def _end_without_model(
        self, attempt: AnswerAttempt, live: ScheduledReply | None, checking: asyncio.Task[Denial | None]
    ) -> End | None:
        """Returns the `End` of an answer that needs no model, or None if a model must be called. Raises GivenUp."""
        if live is not None and not checking.done():
            live.show_activity(texts.answers.CHECKING_ACCESS)
        if denial := await checking:
            return End(EndReason.DENIED, sentence_notice(denial))
        if attempt.job.interruptions >= MAX_INTERRUPTIONS:
            return End(
                EndReason.INTERRUPTED_TOO_OFTEN,
                sentence_notice(texts.models.interrupted(goes_on=attempt.has_text)),
            )
        if attempt.job.is_offer:
            return End(EndReason.OFFERED, sentence_notice(texts.answers.late_offer(attempt.job.question.ts)))
        done = None
        # The question might have been a command before it was edited.
        if attempt.job.question.is_command or attempt.job.version:
            done = await self.memory_commands.carry_out(attempt.job) or await self.schedules.carry_out(attempt.job)
        if done is None or live is None:
            return None
        if attempt.answer.text:
            # The text is an earlier attempt's list.
            live.start_over()
        if done.listing:
            live.append(done.listing)
            attempt.answer.origins |= OTHERS
        return End(EndReason.COMMAND, done.notices)

    async def _wait_for_decision(self, attempt: AnswerAttempt) -> None:
        """Puts the job on hold until the pending calls are decided. Releases the job instead if no call is pending, or
        if someone stopped or edited the question."""
        attempt.phase, live = Phase.RESTART, attempt.live
        # The last call shows the pending calls, and a person can reply before Slack responds to it.
        shown_at = monotonic_began_at(self.stores.clock) + max(attempt.claimed_at, live.sent_at if live else 0.0)
        if live is not None:
            await live.abandon()
        records = self.stores.recorded_calls
        piece = attempt.answer.piece_to_record()
        mention_at = attempt.job.asked_at + self.settings.done_mention_s if self.settings.done_mention_s else None
        await self.steps.tool_calls.keep_trying(lambda: self._record_messages(attempt))
        if await self.steps.tool_calls.keep_trying(
            lambda: records.wait_for_decisions(attempt.job, piece, mention_at, shown_at)
        ):
            attempt.phase = Phase.AWAITING_APPROVAL
        else:
            await self._give_up(attempt)

    def _report(self, attempt: AnswerAttempt, end: End) -> None:
        live = attempt.live
        total_s = self.stores.clock.monotonic() - attempt.claimed_at
        waiting_s = waited_s(attempt.job, self.stores.clock.now() - total_s)
        cost_usd = self.quota.cost_usd(end)
        self.workspace.telemetry.count_cost(end.model, cost_usd)
        used = attempt.used.plus(end.usage, cost_usd)
        whole = replace(end, usage=used.usage if end.usage else None, first_token_s=attempt.first_token_s)
        is_shown = live is not None and not (live.reply.is_gone or live.reply.is_unshown)
        freshness = live.freshness if live is not None and is_shown else Freshness()
        calls = live.successful_calls if live else 0
        self.report_attempt(AttemptReport(attempt.job, whole, waiting_s, total_s, used.usd, calls, freshness))

    async def _finish(self, attempt: AnswerAttempt, end: End) -> End:
        attempt.phase = Phase.ENDING
        usd = None
        if attempt.effort is Effort.THOROUGH:
            # A thorough answer's footer shows the cost of the whole answer.
            earlier_usd = attempt.used.usd if attempt.job.attempts == 1 else await self.quota.earlier_usd(attempt.job)
            usd = total_usd(self.quota.cost_usd(attempt.with_usage(end)), earlier_usd)
        return attempt.finish(end, self.stores.clock.now(), usd, self.settings.model_names)

    async def _record(self, attempt: AnswerAttempt, ended: _Outcome) -> None:
        """Records an end, retrying for as long as the database is unavailable. Reports the end if the job still belongs
        to this worker."""
        job, end = attempt.job, ended.end

        async def record() -> bool:
            await self._record_messages(attempt)
            waited_s = self.stores.clock.now() - job.asked_at
            is_awaited = job.question.schedule_id is None
            mention = is_awaited and end.reason.is_answer and 0 < self.settings.done_mention_s < waited_s
            return await self.stores.worker_queue.finish(
                job,
                end,
                attempt.answer.text,
                should_mention=mention,
                outbox_kind=ended.for_outbox,
                notification=ended.notification_to_asker,
                canvas_for=ended.canvas_for,
            )

        if await keep_trying(record, self.stores.clock, "end not recorded", Exception):
            self._report(attempt, end)
            if end.usage is not None:
                self.quota.warn(job.question)

    async def _record_messages(self, attempt: AnswerAttempt) -> None:
        if attempt.live is not None and attempt.live.reply.recorded_messages:
            await self.stores.worker_queue.record_messages(attempt.job, attempt.live.reply.recorded_messages)

    async def _give_up(self, attempt: AnswerAttempt) -> None:
        """Leaves Slack unchanged, and releases the job with the text so far unless another process has it."""
        if attempt.live is not None:
            await attempt.live.abandon()

        async def release() -> None:
            await self._record_messages(attempt)
            piece, phase, spent = attempt.answer.piece_to_record(), attempt.phase, attempt.spent
            how = {"is_interrupted": phase is Phase.INTERRUPTED, "posts_answer": phase is Phase.WORKED}
            await self.stores.worker_queue.release(attempt.job, piece, spent, **how)

        match attempt.phase:
            case Phase.HANDOVER:
                try:
                    await release()
                except StoreError as error:
                    log.info("job not released, so another process will take it over in a few seconds: %s", error)
            case Phase.RESTART | Phase.TOKEN_REFUSED | Phase.INTERRUPTED | Phase.WORKED:
                # Retries however long the database is unavailable, because no process takes the job over while this one
                # runs.
                await keep_trying(release, self.stores.clock, "job not released")


def _unposted_notification(job: Job, live: ScheduledReply) -> Notification | None:
    """Returns a notification for an asker whose reply couldn't be posted in its channel, or None if it could."""
    question, channel_id = job.question, job.question.thread.channel_id
    is_persons = not (question.is_from_bot or question.schedule_id is not None or question.thread.in_direct_message)
    if not is_persons or live.reply.life is not Life.SHUT_OUT or live.reply.recorded_messages:
        return None
    key = f"not posted {job.id}.{job.version} {question.thread}"
    return Notification(question.user_id, key, notification(texts.answers.not_posted(channel_id)))


def _stopped_end(attempt: AnswerAttempt) -> End:
    """Returns the `End` of a stopped answer. If the answer is empty, the end has a sentence; otherwise, it has only the
    footer."""
    return End(EndReason.STOPPED, sentence_notice("" if attempt.has_text else texts.answers.STOPPED))
