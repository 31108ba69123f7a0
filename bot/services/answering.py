"""Answering: one attempt at a job, from its claim to an end that Slack shows and the database has.

`Answering.answer` has the main path on one screen:

1. Access control. A denied asker gets no reply; the job ends. If one is there already, it says so.
2. The reply is opened: a placeholder, or what an earlier attempt left in Slack. If the end is already on record or
   shown, nothing is asked again; only the missing half is done.
3. The prompt is built, tokens are reserved from the quota, and the model is asked. Its deltas are appended to the
   reply, which the edit scheduler shows at its own pace. A model that asks for tools takes further steps.
4. The reply is finished: it returns when Slack shows the whole text, or never will.
5. The end is recorded, however long the database is away. The outbox does what Slack did not accept.

Steps
-----
`_take_steps` is the loop of a model that uses tools, at most MAX_STEPS requests for an answer. Each request has its
own reservation and its own usage. A step that asks for tools is recorded before any of its calls is made
(services/tool_calls.py). Then its calls are made, and the next request has their results and whatever the askers have
written meanwhile. A take-over continues from the recorded steps: no model is asked for them again. Where a call needs a
person's approval, the reply asks for it, and the attempt gives the job up until the decision (core/job.py). A model
that offers choices has ended its answer (core/choices.py).

How an attempt ends
-------------------
Every attempt that ends the answer has one `End`, which is recorded before readers see it. `_end` makes it of whatever
happens in step 3: a completion, an error of the model, a used-up cap, a deleted reply, a stop.

A model that fails after its first word, so that another request may succeed, interrupts the answer like the death of
the process: the attempt releases the job with the text so far, and the next attempt goes on after it. It does so at
once, and once more after a wait, during which Stop, edits and a hand-over work as ever. Then the answer ends with its
text, a notice and Continue. Failures before the first word never come here while another request may help
(models/wrappers.py).

An attempt that is canceled for another reason than a stop ends nothing. It leaves Slack as it is. If the process ends
or the question was edited, it releases the job with the text so far; if another process has taken the job over, it
writes nothing (`Cancellation`). If Slack refuses the bot token and the model has not been asked, the attempt cancels
itself and releases the job, which is claimed again when the token works.

A stop cancels the attempt during step 3 only (`Phase`). Earlier, or if it comes with the claim, it is noted and ends
the attempt before the model is asked. Later the answer is complete and its end is being shown, so the stop has no
effect: a cancellation at that moment would leave a job that nobody ends.

An error that nobody expected ends the job as INTERNAL_ERROR, and the outbox shows that. It is never left running.

Usage
-----
A vendor reports usage with the completion. An attempt without one is estimated, from the moment at which the
model is asked. A request that failed before its first word is not counted, unless such failures are charged
(EndReason.is_charged_without_text).
"""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, replace
from functools import partial

from bot.core import texts
from bot.core.access import Denial
from bot.core.calls import APPROVAL_S, Step, asks_of
from bot.core.choices import Choices
from bot.core.conversation import without_address
from bot.core.files import wanted_by
from bot.core.job import End, Job
from bot.core.outbox import OutboxKind
from bot.core.pacing import may_be_streamed
from bot.core.steps import Seam, calls_made, fixed_text, items_of, kept_text, were_replied_to, with_room, with_steps
from bot.errors import CapReached, EndReason, NothingAsked, NotShown, ProviderError, StoreError, TypistError, trace_of
from bot.models.events import MAX_SEARCHES, Completion, FinishReason, Retrying, Searching, StreamEvent, Usage
from bot.models.model import Models, Provider
from bot.models.prompt import Effort, Prompt
from bot.reply.answer import Answer, Freshness, StepUnderWay
from bot.reply.scheduler import ScheduledReply, show_end
from bot.reply.workspace import Workspace
from bot.services.access_control import AccessControl
from bot.services.answer_attempt import AnswerAttempt, Cancellation, Phase
from bot.services.loops import insist
from bot.services.metrics import JobLife, Metrics, Times, waited_s
from bot.services.pane import AssistantPane
from bot.services.prompt_builder import PromptBuilder
from bot.services.quota import Quota
from bot.services.tool_calls import NotOurs, Offer, ToolCalls
from bot.store import Stores

MAX_STEPS = 16
"""Requests to a model for one answer. Each use of tools takes another one, which sends their results."""
MAX_INTERRUPTIONS = 3
GO_ON_AFTER_S = (0.0, 5.0)
"""How long an answer waits before it goes on, after each interruption by its model. After the last one it ends."""
SHOWN_FROM_S = 0.6
"""A shorter wait for the model needs no sentence."""
CHECKED_AGAIN_WITHIN_S = 3.0
"""How long a queued question waits for Slack to say whether its asker still has access."""

_LIMIT_NOTICES = {EndReason.LENGTH_LIMIT: texts.LENGTH_LIMIT, EndReason.STEP_LIMIT: texts.STEP_LIMIT}
_REASONS: Mapping[type[TypistError], EndReason] = {
    CapReached: EndReason.CAP_REACHED,
    NotShown: EndReason.NOT_SHOWN,
    NothingAsked: EndReason.NOTHING_ASKED,
}

log = logging.getLogger(__name__)


class _TokenRefused(Exception):
    """Slack refuses the bot token, and the model has not been asked."""


class _NeedsApproval(Exception):
    """The reply asks a person to approve calls."""


class _Interrupted(Exception):
    """The model failed after its first word, and another attempt goes on."""


class _StepReply:
    """Shows one step of a model in the reply: its work, and its text as it joins the text of earlier steps."""

    def __init__(self, answer: Answer, reply: ScheduledReply, *, is_new: bool) -> None:
        """`is_new`: the step begins a paragraph of its own; else it continues the text so far."""
        so_far = answer.text
        self._reply = reply
        self._seam = Seam("") if is_new else Seam(so_far, answer.cut_off)
        self._gap = "\n\n" if is_new and so_far.strip() else ""
        self._shows_activity = False

    def receive(self, delta: str) -> bool:
        """Shows text of the model; returns whether there is any that can be shown."""
        text = self._seam.join(delta)
        self._append(text)
        return bool(text)

    def show_activity(self, activity: str) -> None:
        """Shows what the model is doing, until it writes."""
        self._reply.show_activity(activity)
        self._shows_activity = True

    def end(self) -> None:
        """Shows the text that was held back."""
        self._append(self._seam.rest())

    def _append(self, text: str) -> None:
        if not text:
            return
        if self._shows_activity:
            self._reply.show_activity("")
            self._shows_activity = False
        self._reply.append(self._gap + text)
        self._gap = ""


@dataclass(frozen=True)
class AnswerSettings:
    """The settings that answers depend on."""

    results_tokens: int
    """The most tokens of tools' results in a request, beside those that the model hasn't read yet."""
    done_mention_s: int
    """Askers who have waited longer than this are mentioned when the answer is complete or needs their approval.

    0: never."""
    model_names: texts.ModelNames


@dataclass(frozen=True)
class Answering:
    """Answers jobs. One instance serves a process; an attempt's state is in its AnswerAttempt."""

    stores: Stores
    workspace: Workspace
    prompt_builder: PromptBuilder
    models: Models
    metrics: Metrics
    access_control: AccessControl
    quota: Quota
    pane: AssistantPane
    tool_calls: ToolCalls
    settings: AnswerSettings

    async def answer(self, attempt: AnswerAttempt) -> None:
        """Runs an attempt. Then the job has ended in Slack and on record, or another attempt can continue it."""
        reply = None
        try:
            denial = await self._denial(attempt)
            if denial is not None and not attempt.job.page_ts:
                await self._deny(attempt, denial)
                return
            job = attempt.job
            has_message = bool(job.page_ts)
            signs = await self.pane.begin(job.question, is_first=job.attempts == 1, has_message=has_message)
            reply = await self.workspace.scheduler.open(attempt.answer, sign=signs.sign, has_stop=signs.stop)
            if (on_record := attempt.job.checkpoint.end) is not None:
                await self._complete_end(attempt, reply, on_record)
                return
            end = self._close(attempt, await self._end(attempt, reply, denial))
            await show_end(reply, end, self.workspace.users)
            await self._record_shown_end(attempt, reply)
        except asyncio.CancelledError:
            await self._leave(attempt, reply)
        except _NeedsApproval:
            await self._wait_for_decision(attempt, reply)
        except _Interrupted:
            attempt.cancellation = Cancellation.INTERRUPTED
            await self._leave(attempt, reply)
        except NotOurs:
            log.info("answer stopped or question edited during tool calls")
            attempt.cancellation = Cancellation.RESTART
            await self._leave(attempt, reply)
        except _TokenRefused:
            log.warning("job queued again because Slack refuses the bot token")
            attempt.cancellation = Cancellation.TOKEN_REFUSED
            await self._leave(attempt, reply)
        except Exception as error:
            log.error("unexpected error, ending the job: %s", trace_of(error))
            await self._end_with_internal_error(attempt, reply)
        finally:
            self.pane.end(attempt.job.question, asks=attempt.cancellation is Cancellation.AWAITING_APPROVAL)

    async def _denial(self, attempt: AnswerAttempt) -> Denial | None:
        """Returns why the asker has no access now. Raises _TokenRefused.

        The asker of a queued question had access when its placeholder was posted. They lose it if Slack says so, not if
        Slack is silent. An answer that has begun goes on, but Slack is asked again before it changes anything.
        """
        question = attempt.job.question
        if not attempt.job.page_ts:
            denial = await self.access_control.denial(question)
            if denial is not None and self.workspace.token_refused():
                # Slack may only have refused to say who the asker is.
                raise _TokenRefused
            return denial
        if attempt.job.attempts > 1:
            return None
        denial = await self.access_control.denial(question, now_within_s=CHECKED_AGAIN_WITHIN_S)
        return None if denial is Denial.UNKNOWN else denial

    async def _deny(self, attempt: AnswerAttempt, denial: Denial) -> None:
        """Ends a job without a reply; its asker is told."""
        self.access_control.tell(attempt.job.question, denial)
        attempt.answer.close(End(EndReason.DENIED))
        await self._record(attempt, None)

    async def _complete_end(self, attempt: AnswerAttempt, reply: ScheduledReply, on_record: End) -> None:
        """Shows the end that an earlier attempt reached, unless it is shown."""
        if reply.shown.is_end_shown:
            await reply.leave()
        else:
            await show_end(reply, on_record, self.workspace.users)
        await self._record_shown_end(attempt, reply)

    async def _end(self, attempt: AnswerAttempt, reply: ScheduledReply, denial: Denial | None) -> End:
        """Asks the model if nothing forbids it; returns how the answer ended. Raises _TokenRefused."""
        if denial is not None:
            return End(EndReason.DENIED, denial)
        if attempt.phase is Phase.STOP_ASKED:
            return _stopped(attempt)
        if attempt.job.interruptions >= MAX_INTERRUPTIONS:
            return End(EndReason.INTERRUPTED_TOO_OFTEN, texts.interrupted(goes_on=_has_text(attempt)))
        try:
            return await self._stream(attempt, reply)
        except (_TokenRefused, _NeedsApproval, _Interrupted, NotOurs):
            raise
        except TypistError as error:
            return _failed(attempt, error, self.settings.model_names)
        except asyncio.CancelledError:
            attempt.heard_until(self.stores.clock.monotonic())
            if attempt.cancellation is not Cancellation.STOPPED:
                raise
            return _stopped(attempt)
        except Exception as error:
            log.error("unexpected error, ending the job: %s", trace_of(error))
            return End(EndReason.INTERNAL_ERROR, texts.INTERNAL_ERROR)
        finally:
            attempt.phase = Phase.ENDING

    async def _stream(self, attempt: AnswerAttempt, reply: ScheduledReply) -> End:
        """Builds the prompt and asks the model."""
        if attempt.job.offered:
            return End(EndReason.OFFERED, texts.offer_after_absence(attempt.job.question.ts))
        attempt.phase = Phase.STREAMING
        questions = (attempt.job.question, *attempt.job.earlier)
        me = self.workspace.me.user_id
        is_asked = any(question.files or without_address(question.text, me) for question in questions)
        if not (is_asked or await self.prompt_builder.reads_posts_before(attempt.job.question)):
            return End(EndReason.NOTHING_ASKED, texts.HELP)
        offer = await self.tool_calls.offer(attempt.job)
        async with AsyncExitStack() as memory:
            listening = partial(self._show_listening, attempt, reply)
            built = await self.prompt_builder.build(attempt.answer, memory, offer.definitions, listening)
            if built.transcripts:
                reply.show_transcripts(built.transcripts)
            attempt.opened = built.opened
            attempt.prompt_version = built.prompt_version
            attempt.effort = built.prompt.effort
            if attempt.effort is Effort.THOROUGH:
                attempt.earlier_usd = await self.quota.earlier_usd(attempt.job)
            provider = self.models.led_by(built.model, built.prompt)
            return await self._take_steps(attempt, built.prompt, offer, provider, reply)

    def _show_listening(self, attempt: AnswerAttempt, reply: ScheduledReply, is_listening: bool) -> None:
        """Says that a recording is being transcribed, which takes seconds, until that is over."""
        reply.show_activity(texts.TRANSCRIBING if is_listening else "")
        status = texts.STATUS_LISTENING if is_listening else texts.STATUS_THINKING
        self.pane.show_status(attempt.job.question, status)

    async def _take_steps(
        self, attempt: AnswerAttempt, prompt: Prompt, offer: Offer, provider: Provider, reply: ScheduledReply
    ) -> End:
        """Asks the model, and makes its calls, until it asks for no more.

        Raises _TokenRefused, _NeedsApproval and NotOurs.
        """
        if self.workspace.token_refused():
            raise _TokenRefused
        records, job = self.stores.recorded_calls, attempt.job
        await self._allow_stream(job)
        made_before = await self.tool_calls.insist(lambda: records.made_before(job))
        replied_to = await self.tool_calls.insist(lambda: records.replied_to(job)) if offer.by_name else ()
        continued = partial(with_steps, prompt, made_before=made_before, replied_to=replied_to)
        answer = attempt.answer
        begun = answer.text[len(fixed_text(job)) :]
        while True:
            await self._make_calls(attempt, offer, reply)
            if answer.steps and reply.gone:
                return End(EndReason.REPLY_GONE)
            if answer.steps and were_replied_to(answer.steps[-1].calls):
                return End(EndReason.STOPPED, texts.REPLIED_INSTEAD, model=answer.steps[-1].model)
            await self._take_follow_ups(attempt)
            step_no = len(answer.steps)
            is_last = step_no + 1 >= MAX_STEPS
            kept = with_room(answer.steps, self.prompt_builder.estimate.tokens, self.settings.results_tokens)
            steps = kept, answer.follow_ups, self.workspace.me.user_id
            step_prompt = continued(*steps, begun=begun, is_last=is_last)
            step = await self._ask_model(attempt, step_prompt, provider, reply, resumed=begun)
            if step is None:
                return End(EndReason.REPLY_GONE)
            if asked_back := offer.choices_in(step.calls):
                return _asking_back(answer, step, asked_back, reply)
            if not step.calls or is_last:
                return _completed(answer, step)
            await self._record_step(attempt, step, offer, begun)
            begun = ""

    async def _make_calls(self, attempt: AnswerAttempt, offer: Offer, reply: ScheduledReply) -> None:
        """Makes the calls of the last step. Asks about none if the reply is gone. Raises _NeedsApproval and NotOurs."""
        job, answer = attempt.job, attempt.answer
        if not answer.steps:
            return
        step = answer.steps[-1]
        calls = await self.tool_calls.make(job, step.step_no, offer, partial(self._show_tool, attempt, reply))
        if asks := asks_of(calls, job.version, self.access_control.admins, self.stores.clock.now() + APPROVAL_S):
            await reply.ask(asks)
            if reply.gone:
                # Nobody sees the buttons.
                return
            if reply.unshown:
                raise NotShown
            raise _NeedsApproval
        reply.show_activity("")
        self.pane.show_status(job.question, texts.STATUS_THINKING)
        answer.made(calls)

    async def _take_follow_ups(self, attempt: AnswerAttempt) -> None:
        """Adds the questions that came while calls were made."""
        job, answer, records = attempt.job, attempt.answer, self.stores.recorded_calls
        step_no = len(answer.steps)
        if answer.steps:
            answer.follow_ups += await self.tool_calls.insist(lambda: records.take_follow_ups(job, step_no))

    async def _record_step(self, attempt: AnswerAttempt, step: StepUnderWay, offer: Offer, begun: str) -> None:
        """Records a step that asks for tools, with its calls and its usage. Raises NotOurs."""
        answer = attempt.answer
        completion = _completion(step)
        step_no = len(answer.steps)
        written = kept_text(attempt.job) + "".join(earlier.text for earlier in answer.steps)
        calls = self.tool_calls.planned(step.calls, step_no, offer, answer.origins)
        items = items_of(step.parts, begun)
        recorded = Step(step_no, answer.text[len(written) :], items, completion.model, calls, answer.origins)
        end = attempt.counted(End(EndReason.STEPPED, model=completion.model, usage=completion.usage))
        piece = answer.piece()
        records = self.stores.recorded_calls
        if not await self.tool_calls.insist(lambda: records.record(attempt.job, recorded, end, piece)):
            raise NotOurs
        if piece:
            answer.recorded(piece)
        attempt.step_recorded(recorded, end.usage, self._cost_usd(end))
        self._count_charge(end)

    async def _ask_model(
        self, attempt: AnswerAttempt, prompt: Prompt, provider: Provider, reply: ScheduledReply, *, resumed: str
    ) -> StepUnderWay | None:
        """Reserves the quota and appends the text of one step to the reply; returns None if the reply is gone.

        `resumed`: what an earlier attempt left of this step.
        """
        input_tokens = self.prompt_builder.estimate.prompt_tokens(prompt)
        await self.quota.reserve(attempt.job, input_tokens, MAX_SEARCHES if prompt.web_search else 0)
        answer = attempt.answer
        step = attempt.step_began(provider.model, input_tokens, prompt.origins)
        shown = _StepReply(answer, reply, is_new=bool(answer.steps) and not resumed)
        try:
            async with aclosing(provider.stream(prompt)) as events:
                async for event in events:
                    self._receive(attempt, event, shown)
                    if reply.gone:
                        return None
                    if reply.unshown:
                        raise NotShown
        except ProviderError as error:
            has_answer = bool(answer.resumes or answer.steps) and bool(answer.text.strip())
            if error.reason is not EndReason.EMPTY or not has_answer:
                await self._interrupt(attempt, error, shown)
                raise
            # The model had nothing to add: the text on record is complete.
            step.completion = Completion(error.model, FinishReason.STOP, None)
        shown.end()
        if step.completion is not None and step.completion.usage is not None:
            self.prompt_builder.estimate.learn(step.completion.model, prompt, step.completion.usage)
        return step

    def _receive(self, attempt: AnswerAttempt, event: StreamEvent, shown: _StepReply) -> None:
        """Shows an event of the model's stream."""
        match event:
            case Searching():
                self._show_search(attempt, shown, event)
            case Retrying(wait_s=wait_s) if wait_s >= SHOWN_FROM_S:
                self._show_retry(attempt, shown)
        if shown.receive(attempt.receive(event, self.stores.clock.monotonic())):
            self.pane.show_status(attempt.job.question, texts.STATUS_WRITING)

    async def _interrupt(self, attempt: AnswerAttempt, error: ProviderError, shown: _StepReply) -> None:
        """Raises _Interrupted, after a wait, if the answer may go on; returns if the failure ends it."""
        interruptions = attempt.job.interruptions
        has_begun = attempt.step is not None and attempt.step.has_text
        if not (error.may_pass and has_begun) or interruptions >= len(GO_ON_AFTER_S):
            return
        wait_s = GO_ON_AFTER_S[interruptions]
        log.warning("model %s failed: %s %s, going on in %.0f s", error.model, error.reason, error.detail, wait_s)
        if wait_s:
            self._show_retry(attempt, shown)
            await self.stores.clock.sleep(wait_s)
        raise _Interrupted

    def _show_retry(self, attempt: AnswerAttempt, shown: _StepReply) -> None:
        """Says that the model failed and is asked again, until there is text."""
        shown.show_activity(texts.TRYING_AGAIN)
        self.pane.show_status(attempt.job.question, texts.STATUS_TRYING_AGAIN)

    def _show_search(self, attempt: AnswerAttempt, shown: _StepReply, search: Searching) -> None:
        """Says what is searched for, until there is text."""
        if search.query or not search.done:
            shown.show_activity(texts.searching(search.query))
            self.pane.show_status(attempt.job.question, texts.status_searching(search.query))

    def _show_tool(self, attempt: AnswerAttempt, reply: ScheduledReply, tool: str) -> None:
        """Says which tool runs, until all calls of the step are made."""
        reply.show_activity(texts.running(tool))
        self.pane.show_status(attempt.job.question, texts.status_running(tool))

    async def _allow_stream(self, job: Job) -> None:
        """Lets a native stream carry the reply if all its readers would see it grow."""
        question = job.question
        thread = question.thread
        is_alone = False
        if may_be_streamed(question, is_alone=True) and not thread.in_direct_message:
            try:
                is_alone = not (await self.stores.participants.at_message(thread, question.user_id, question.ts)).others
            except StoreError as error:
                log.warning("participants not read, the answer won't be streamed: %s", error)
        # A stream can't begin with a line of ours.
        if may_be_streamed(question, is_alone=is_alone) and not job.is_late:
            self.workspace.scheduler.allow_stream(job)

    async def _wait_for_decision(self, attempt: AnswerAttempt, reply: ScheduledReply | None) -> None:
        """Gives the job up until the calls that the reply asks about are decided.

        If the decision was faster, or somebody stopped or edited the question, the job is released instead.
        """
        attempt.cancellation = Cancellation.RESTART
        if reply is not None:
            await reply.leave()
        records = self.stores.recorded_calls
        piece = attempt.answer.piece()
        mention_at = attempt.job.asked_at + self.settings.done_mention_s if self.settings.done_mention_s else None
        await self.tool_calls.insist(lambda: self._record_messages(attempt.job, reply))
        if await self.tool_calls.insist(lambda: records.wait(attempt.job, piece, mention_at)):
            attempt.cancellation = Cancellation.AWAITING_APPROVAL
            log.info("awaiting approval")
        else:
            await self._release(attempt, reply)

    async def _record_shown_end(self, attempt: AnswerAttempt, reply: ScheduledReply) -> None:
        """Records an end that Slack shows, reports its metrics, and warns the asker about a quota that runs out."""
        end = attempt.answer.end
        if await self._record(attempt, reply, reply.for_outbox) and end is not None:
            self._report(attempt, end, reply)
            if end.usage is not None:
                self.quota.warn(attempt.job.question)

    def _report(self, attempt: AnswerAttempt, end: End, reply: ScheduledReply | None) -> None:
        """Reports the metrics of an attempt that ended its job."""
        total_s = self.stores.clock.monotonic() - attempt.claimed_at
        times = Times(waited_s(attempt.job, self.stores.clock.now() - total_s), total_s, attempt.first_token_s)
        self._count_charge(end)
        used = attempt.used.plus(end.usage, self._cost_usd(end))
        whole = replace(end, usage=used.usage) if end.usage else end
        is_shown = reply is not None and not (reply.gone or reply.unshown)
        freshness = reply.freshness if reply is not None and is_shown else Freshness()
        self.metrics(JobLife.of(attempt.job, whole, times, used.usd, reply.calls if reply else 0, freshness))

    def _close(self, attempt: AnswerAttempt, end: End) -> End:
        cost_usd = self._cost_usd(attempt.counted(end))
        return attempt.close(
            end,
            cost_usd,
            self.settings.model_names,
            has_canvases=self.workspace.canvases.may_write,
        )

    def _count_charge(self, end: End) -> None:
        """Counts what a step has cost. The attempt may end no job: it is given up while a call waits for a person."""
        self.workspace.telemetry.charged(end.model, self._cost_usd(end))

    def _cost_usd(self, end: End) -> float | None:
        return (
            self.quota.prices.cost_usd(end.model, end.usage, self.stores.clock.now())
            if end.model and end.usage
            else None
        )

    async def _end_with_internal_error(self, attempt: AnswerAttempt, reply: ScheduledReply | None) -> None:
        """Ends the job on record after an unexpected error, and has the outbox show that."""
        end = self._close(attempt, End(EndReason.INTERNAL_ERROR, texts.INTERNAL_ERROR))
        if reply is not None:
            await reply.leave()
        if await self._record(attempt, reply, OutboxKind.SHOW_END):
            self._report(attempt, end, reply)

    async def _record(
        self, attempt: AnswerAttempt, reply: ScheduledReply | None, for_outbox: OutboxKind | None = None
    ) -> bool:
        """Records the end, however long the database is away; returns False if the job is no longer ours."""
        job, text, end = attempt.job, attempt.answer.text, attempt.answer.end
        assert end is not None, "the answer was closed"
        asked = (job.question, *job.earlier, *(later.question for later in attempt.answer.follow_ups))
        is_document = end.reason is EndReason.WHOLE and bool(text.strip()) and not end.choices
        canvas_for = wanted_by(asked, self.workspace.me.user_id) if is_document else ""

        async def record() -> bool:
            await self._record_messages(job, reply)
            waited_s = self.stores.clock.now() - job.asked_at
            mention = end.reason.is_answer and 0 < self.settings.done_mention_s < waited_s
            return await self.stores.worker_queue.finish(
                job, end, text, mention=mention, for_outbox=for_outbox, canvas_for=canvas_for
            )

        return await insist(record, self.stores.clock, "end not recorded", Exception)

    async def _record_messages(self, job: Job, reply: ScheduledReply | None) -> None:
        if reply is not None and reply.messages:
            await self.stores.worker_queue.record_messages(job, reply.messages)

    async def _leave(self, attempt: AnswerAttempt, reply: ScheduledReply | None) -> None:
        """Leaves Slack as it is, and releases the job with the text so far unless another process has it."""
        if reply is not None:
            await reply.leave()
        match attempt.cancellation:
            case Cancellation.HANDOVER:
                try:
                    await self._record_messages(attempt.job, reply)
                    await self.stores.worker_queue.release(attempt.job, attempt.answer.piece(), attempt.spent)
                except StoreError as error:
                    log.error("job not released, another process takes it over later: %s", error)
            case Cancellation.RESTART | Cancellation.TOKEN_REFUSED | Cancellation.INTERRUPTED:
                await self._release(attempt, reply)

    async def _release(self, attempt: AnswerAttempt, reply: ScheduledReply | None) -> None:
        """Releases the job, however long the database is away: nobody takes it over while this process runs."""
        job = attempt.job
        is_interrupted = attempt.cancellation is Cancellation.INTERRUPTED

        async def release() -> bool:
            await self._record_messages(job, reply)
            piece, spent = attempt.answer.piece(), attempt.spent
            return await self.stores.worker_queue.release(job, piece, spent, is_interrupted=is_interrupted)

        await insist(release, self.stores.clock, "job not released")


def _completed(answer: Answer, step: StepUnderWay) -> End:
    """Returns the end of an answer that the model completed, or that has used all its steps."""
    completion = _completion(step)
    reason = EndReason.LENGTH_LIMIT if completion.finish_reason is FinishReason.LENGTH else EndReason.WHOLE
    if step.calls:
        reason = EndReason.STEP_LIMIT
    notice = _LIMIT_NOTICES.get(reason, "")
    if reason is EndReason.STEP_LIMIT and not answer.text.strip():
        # There is nothing to continue, and no button for it.
        notice = texts.STEP_LIMIT_WITHOUT_TEXT
    return End(reason, notice, model=completion.model, usage=completion.usage)


def _asking_back(answer: Answer, step: StepUnderWay, offered: Choices, reply: ScheduledReply) -> End:
    """Shows a question to the reader; returns the end of an answer that offers choices."""
    reply.append(("\n\n" if answer.text.strip() else "") + offered.markdown)
    log.info("choices offered: %d", len(offered.choices))
    completion = _completion(step)
    return End(EndReason.WHOLE, model=completion.model, usage=completion.usage, choices=offered.choices)


def _completion(step: StepUnderWay) -> Completion:
    assert step.completion is not None, "a provider's stream ends with a Completion or an error"
    return step.completion


def _has_text(attempt: AnswerAttempt) -> bool:
    """Whether readers are left with text, of this attempt or of an earlier one."""
    return bool(attempt.answer.kept.strip())


def _stopped(attempt: AnswerAttempt) -> End:
    """Returns the end of a stopped answer. The footer says so below its text; a reply without text needs a sentence."""
    return End(EndReason.STOPPED, "" if _has_text(attempt) else texts.STOPPED)


def _failed(attempt: AnswerAttempt, error: TypistError, names: texts.ModelNames) -> End:
    sentence = texts.for_error(error, names, goes_on=_has_text(attempt))
    if not isinstance(error, ProviderError):
        return End(_REASONS.get(type(error), EndReason.INTERNAL_ERROR), sentence)
    log.warning("model %s failed: %s %s", error.model, error.reason, error.detail)
    step = attempt.step
    if step and not (step.output_chars or error.reason.is_charged_without_text):
        step.charges_nothing()
        attempt.step = step if step.lost != Usage() else None
    if error.reason is EndReason.EMPTY and calls_made(attempt.answer.steps):
        sentence = texts.silent_after_tools(names.of(error.model))
    return End(error.reason, sentence, model=error.model)
