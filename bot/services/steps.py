"""Runs the steps of an answer: calls the model and makes its tool calls until there are no more.

Each step is one model request with its own reservation and usage; an answer has at most MAX_STEPS. A step is recorded
before its calls are made (services/tool_calls.py). The next request contains the results and anything the askers have
written meanwhile. A process that takes over continues from the recorded steps with their original prompt
(core/beginnings.py), and doesn't ask a model for those steps again. If a call needs approval, the attempt releases the
job until someone decides (core/job.py). Offering choices ends the answer (core/choices.py).

If a model fails after its first word, and another request might succeed, the attempt releases the job with the text so
far, as if the process had died, and the next attempt continues the text. The first time, the next attempt starts at
once; the second time, after a delay during which Stop, edits and handovers work as usual. After a third failure, the
answer ends with its text, a notice and Continue. Failures before the first word are retried elsewhere if another
request might help (models/wrappers.py).
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, replace
from functools import cached_property, partial

from bot.core import texts
from bot.core.beginnings import BuiltPrompt, PrefixHash, latest_beginning, serialize_prompt, with_new_tools
from bot.core.calls import SIGN_IN_RESULTS, CallState, Decision, Step, card_types
from bot.core.choices import Choices
from bot.core.conversation import without_bot_mention
from bot.core.job import End, sentence_notice
from bot.core.silence import TOOL_NAME as SILENCE
from bot.core.silence import Silence, requested_silence
from bot.core.steps import (
    Seam,
    cut_to_fit,
    items_of,
    with_request_to_continue,
    with_steps,
    without_oldest_results,
)
from bot.core.written_ids import PARTIAL_ID, WRITTEN_ID, with_names, written_ids
from bot.errors import EndReason, ProviderError
from bot.models.events import (
    MAX_SEARCHES,
    Completion,
    FinishReason,
    Loading,
    Retrying,
    Searching,
    StreamEvent,
    Thinking,
)
from bot.models.model import Models, Provider
from bot.models.prompt import AGREED, ASKERS, OfferedTools, Prompt, TokenEstimate, ToolResult, room_for_results
from bot.reply.answer import Answer, CurrentStep
from bot.services.answer_attempt import AnswerAttempt, GivenUp, Phase
from bot.services.ports import ConversationSource, Output, PlainActivity, Ports, RunningTool
from bot.services.prompt_builder import PromptBuilder, PromptSettings
from bot.services.tool_calls import JobChanged, Offer, ToolCalls

MAX_STEPS = 16
"""Maximum model requests per answer. Each use of tools needs another request, which sends the results."""
CONTINUE_AFTER_S = (0.0, 5.0)
"""Delays before an answer continues after the first and second failure of its model. A third failure ends the answer.
"""
TAKES_LONG_S = 10.0
"""Time without text from the model after which the placeholder mentions the delay, once per answer."""

MAX_NAMED_IDS = 20
"""Maximum number of IDs in a step's text whose names are looked up."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Steps:
    ports: Ports
    models: Models
    prompt_settings: PromptSettings
    estimate: TokenEstimate
    has_buttons: bool = True

    @cached_property
    def prompt_builder(self) -> PromptBuilder:
        return PromptBuilder(self.ports.conversation, self.prompt_settings, self.estimate, self.ports.clock)

    @cached_property
    def tool_calls(self) -> ToolCalls:
        return ToolCalls(self.ports, self.has_buttons)

    async def ask(self, attempt: AnswerAttempt, shown: Output) -> End:
        """Asks the model until it stops calling tools, and returns the `End`. Raises GivenUp and JobChanged."""
        questions = (attempt.job.question, *attempt.job.earlier_questions)
        me = self.ports.conversation.me.user_id
        is_asked = any(question.files or without_bot_mention(question.text, me) for question in questions)
        if not (is_asked or await self.prompt_builder.includes_earlier_posts(attempt.job.question)):
            return End(EndReason.NOTHING_ASKED, sentence_notice(texts.answers.HELP))
        if any(question.had_sign_in for question in questions):
            return End(EndReason.NOTHING_ASKED, sentence_notice(texts.accounts.PASTED_IN_MESSAGE))
        offer = await self.tool_calls.offer(attempt.job)
        attempt.tools_notice = offer.notice

        async def build_and_ask(window_tokens: int | None) -> End:
            async with AsyncExitStack() as memory:
                built = await self.prompt_builder.build(
                    attempt.answer, memory, OfferedTools(offer.definitions, offer.missing), shown.show, window_tokens
                )
                return await self.ask_with_prompt(attempt, built, offer, shown, window_tokens)

        try:
            return await build_and_ask(None)
        except ProviderError as error:
            window_tokens = error.window_tokens
            has_begun = attempt.step is not None and attempt.step.has_text
            has_results = bool(attempt.answer.steps)
            if has_begun or not self.prompt_builder.is_shorter_for(window_tokens, has_results=has_results):
                raise
            log.info("model %s has a window of %s tokens, asking with less", error.model, window_tokens)
        # The calls of earlier steps have been made and recorded, and must not be made again.
        return await build_and_ask(window_tokens)

    async def ask_with_prompt(
        self,
        attempt: AnswerAttempt,
        built: BuiltPrompt,
        offer: Offer,
        shown: Output,
        window_tokens: int | None = None,
    ) -> End:
        """Asks the model with this prompt, and makes its calls until there are no more. Raises GivenUp and JobChanged.
        `window_tokens`: the model's window, if it has rejected a longer prompt."""
        attempt.built = built
        await shown.begin(attempt.answer)
        provider = self.models.starting_with(built.model, built.prompt)
        records, job = self.ports.records, attempt.job
        keep_trying = self.tool_calls.keep_trying
        is_follow_up = not (*job.earlier_questions, job.question)[0].begins_thread
        earlier_calls = await keep_trying(lambda: records.earlier_calls(job)) if job.version else ()
        offer = replace(offer, has_written=bool(earlier_calls))
        replied_to = (
            await keep_trying(lambda: records.calls_denied_by_reply(job)) if offer.by_name and is_follow_up else ()
        )
        answer = attempt.answer
        begun = answer.step_text
        while True:
            steps: Sequence[Step] = ()
            if answer.steps:
                await self._make_calls(attempt, offer, shown)
                if unseen := shown.unseen_end():
                    return unseen
                if left := card_types(answer.steps[-1].calls, Decision.REPLIED):
                    notice = sentence_notice(texts.approvals.replied_instead_text(left))
                    return End(EndReason.STOPPED, notice, model=answer.steps[-1].model)
                if any(call.result in SIGN_IN_RESULTS for call in answer.steps[-1].calls):
                    offer = replace(await self.tool_calls.offer(job), has_written=offer.has_written)
                    prompt = replace(built.prompt, tools=with_new_tools(built.prompt.tools, offer.definitions))
                    attempt.built = built = replace(built, prompt=prompt)
                # Includes questions that arrived while calls were being made.
                answer.follow_ups += await keep_trying(partial(records.take_follow_ups, job, len(answer.steps)))
                steps = self._fit_steps(answer.steps, built.prompt, window_tokens)
            is_last = len(answer.steps) + 1 >= MAX_STEPS
            step_prompt = with_steps(
                built.prompt,
                steps=steps,
                follow_ups=answer.follow_ups,
                bot_user_id=self.ports.conversation.me.user_id,
                earlier_calls=earlier_calls,
                replied_to=replied_to,
                begun=begun,
                is_last=is_last,
            )
            step = await self._ask_model(attempt, step_prompt, provider, shown, resumed=begun)
            if isinstance(step, End):
                return step
            ended = _end_of_step(attempt, offer, step, shown, is_last=is_last)
            if isinstance(ended, End):
                return ended
            offer = ended
            if attempt.silent_step == len(answer.steps):
                step_prompt = with_request_to_continue(step_prompt)
            await self._record_step(attempt, step, offer, begun, built, step_prompt)
            begun = ""

    def _fit_steps(self, steps: Sequence[Step], prompt: Prompt, window_tokens: int | None) -> list[Step]:
        estimate = self.estimate
        window = estimate.smallest_window(window_tokens)
        history_tokens, prompt_tokens = self.prompt_settings.history_tokens, estimate.prompt_tokens(prompt)
        limit_tokens = room_for_results(history_tokens, window, prompt_tokens)
        kept = without_oldest_results(steps, estimate.tokens, limit_tokens)
        return cut_to_fit(kept, estimate.tokens, limit_tokens) if window else kept

    async def _make_calls(self, attempt: AnswerAttempt, offer: Offer, shown: Output) -> None:
        """Makes the last step's calls, or asks for approval. Raises GivenUp, JobChanged and NotShown."""
        step = attempt.answer.steps[-1]
        if all(call.state.is_over for call in step.calls):
            return
        calls = await self.tool_calls.make_calls(
            attempt.job, step.step_no, offer, lambda activity: shown.show(RunningTool(activity))
        )
        if any(call.state is CallState.ASKED for call in calls):
            await shown.ask(calls)
            return
        shown.show(PlainActivity.THINKING)
        attempt.answer.on_calls_made(calls)

    async def _record_step(
        self,
        attempt: AnswerAttempt,
        step: CurrentStep,
        offer: Offer,
        begun: str,
        built: BuiltPrompt,
        step_prompt: Prompt,
    ) -> None:
        """Records a step with its calls and usage. Raises JobChanged. `step_prompt` begins with `built`."""
        answer = attempt.answer
        completion = _completion(step)
        step_no = len(answer.steps)
        asked = _text_of_asker(answer, built.prompt)
        calls = self.tool_calls.plan(step.calls, step_no, offer, answer.origins, asked, answer.steps)
        items = items_of(step.parts, begun)
        beginning = serialize_prompt(built)
        is_known = beginning == latest_beginning(answer.steps)
        begins = "" if is_known else beginning, str(PrefixHash(step_prompt))
        piece = answer.unrecorded_piece
        done = Step(step_no, piece.chars, items, completion.model, calls, answer.origins, *begins)
        end = attempt.with_usage(End(EndReason.STEPPED, model=completion.model, usage=completion.usage))
        records = self.ports.records
        if not await self.tool_calls.keep_trying(lambda: records.record_step(attempt.job, done, end, piece)):
            raise JobChanged
        answer.on_recorded(piece)
        # An attempt might end without ending a job, because it is given up while a call awaits approval.
        attempt.on_step_recorded(done, end.usage, self.ports.spending.cost_usd(end))
        self.ports.telemetry.count_cost(end.model, self.ports.spending.cost_usd(end))

    async def _ask_model(
        self, attempt: AnswerAttempt, prompt: Prompt, provider: Provider, shown: Output, *, resumed: str
    ) -> CurrentStep | End:
        """Reserves quota, asks the model for one step and shows its text. Returns the step, or an `End` if nobody can
        see the answer. `resumed`: this step's text from an earlier attempt."""
        input_tokens = self.estimate.prompt_tokens(prompt)
        searches = MAX_SEARCHES if prompt.web_search else 0
        await self.ports.spending.reserve(attempt.job, input_tokens, searches, prompt.effort)
        answer = attempt.answer
        answer.origins |= prompt.origins
        step = attempt.step = CurrentStep(provider.model, input_tokens)
        text = _StepText(answer, shown, self.ports.conversation, is_new=bool(answer.steps) and not resumed)
        taking_long = asyncio.get_running_loop().call_later(TAKES_LONG_S, shown.show, PlainActivity.TAKING_LONG)
        try:
            # Only a model that has called tools can be asked to continue.
            stream = _events(attempt, prompt, provider) if answer.steps else provider.stream(prompt)
            async with aclosing(stream) as events:
                async for event in events:
                    match event:
                        case Thinking(progress="") | Searching(query="", done=True):
                            pass
                        case Loading() | Retrying() | Thinking() | Searching():
                            shown.show(event)
                    if delta := attempt.receive(event, self.ports.clock.monotonic()):
                        await text.receive(delta)
                    if unseen := shown.unseen_end():
                        return unseen
        except ProviderError as error:
            has_answer = bool(answer.continues_step or answer.steps) and bool(answer.text.strip())
            if error.reason is not EndReason.EMPTY or not has_answer:
                await self._give_up_if_resumable(attempt, error, shown)
                raise
            # The model had nothing to add to the recorded text, so that text is complete.
            step.completion = Completion(error.model, FinishReason.STOP, None)
        finally:
            taking_long.cancel()
        await text.end()
        if (completion := step.completion) is not None:
            model = completion.asked_model or completion.model
            if self.estimate.learn(model, prompt, completion.usage, completion.window_tokens):
                cut = "BOT_HISTORY_TOKENS and BOT_MAX_OUTPUT_TOKENS are cut to fit it"
                log.warning("model %s has a window of %s tokens: %s", model, completion.window_tokens, cut)
        return step

    async def _give_up_if_resumable(self, attempt: AnswerAttempt, error: ProviderError, shown: Output) -> None:
        """Waits and raises GivenUp if another attempt can continue the answer. Returns if the failure ends the
        answer."""
        interruptions = attempt.job.interruptions
        has_begun = attempt.step is not None and attempt.step.has_text
        if not (error.is_temporary and has_begun) or interruptions >= len(CONTINUE_AFTER_S):
            return
        wait_s = CONTINUE_AFTER_S[interruptions]
        log.warning("model %s failed: %s %s, going on in %.0f s", error.model, error.reason, error.detail, wait_s)
        if wait_s:
            shown.show(Retrying(wait_s))
            await self.ports.clock.sleep(wait_s)
        raise GivenUp(Phase.INTERRUPTED)


async def _events(attempt: AnswerAttempt, prompt: Prompt, provider: Provider) -> AsyncGenerator[StreamEvent, None]:
    """Yields the model's events. A model that writes nothing about tool results is asked to continue, once per
    answer."""
    silent: ProviderError | None = None
    while True:
        try:
            async with aclosing(provider.stream(prompt)) as events:
                async for event in events:
                    yield event
            return
        except ProviderError as error:
            step, has_results = attempt.step, any(isinstance(part, ToolResult) for part in prompt.turns[-1].parts)
            if silent and step and not step.has_text and error.reason is not EndReason.MISALIGNED:
                # What the calls did matters more to the asker than why the second request failed.
                if not error.is_charged(has_output=step.has_thought):
                    step.clear_request_usage()
                raise silent from error
            if error.reason is not EndReason.EMPTY or not has_results or attempt.silent_step is not None:
                raise
            silent = error
        attempt.silent_step, prompt = len(attempt.answer.steps), with_request_to_continue(prompt)
        log.info("model %s wrote nothing after its calls, asking it to continue", provider.model)
        yield Retrying(is_charged=True)


class _StepText:
    def __init__(self, answer: Answer, shown: Output, conversation: ConversationSource, *, is_new: bool) -> None:
        self._shown = shown
        self._seam = Seam("") if is_new else Seam(answer.text, answer.text_to_rewrite)
        self._gap = "\n\n" if is_new and answer.text.strip() else ""
        self._look_up = partial(conversation.people, answer.job.question)
        self._names: dict[str, str] = {}
        self._before = self._held = ""

    async def receive(self, delta: str) -> None:
        """Shows the model's text once it is clear how the text connects to the text before it."""
        text = self._held + self._seam.join(delta)
        self._held = PARTIAL_ID.search(text)[0]  # type: ignore[index]
        await self._append(text.removesuffix(self._held))

    async def end(self) -> None:
        await self._append(self._held + self._seam.finish())

    async def _append(self, text: str) -> None:
        if text:
            whole, at = self._before + text, len(self._before)
            shown = await self._with_names(whole) if WRITTEN_ID.search(whole, at) else whole
            self._before = text[-1]
            self._shown.append(self._gap + shown[at:])
            self._gap = ""

    async def _with_names(self, text: str) -> str:
        new = set(written_ids(text)) - self._names.keys()
        if new and len(self._names) + len(new) <= MAX_NAMED_IDS:
            self._names |= dict.fromkeys(new, "") | dict((await self._look_up(sorted(new))).names)
        return with_names(text, self._names)


def _text_of_asker(answer: Answer, prompt: Prompt) -> str:
    job = answer.job
    asked = (*job.earlier_questions, job.question, *(follow_up.question for follow_up in answer.follow_ups))
    before = [turn.text for turn in prompt.turns if turn.role == "user" and not turn.origins - (ASKERS | AGREED)]
    return "\n".join([*before, *(one.own_text if one.schedule_id is None else one.text for one in asked)])


def _offer_choices(answer: Answer, step: CurrentStep, offered: Choices, shown: Output) -> End:
    """Shows the model's question. Returns the end of an answer that offers choices."""
    shown.append(("\n\n" if answer.text.strip() else "") + offered.markdown)
    log.info("choices offered: %d", len(offered.choices))
    completion = _completion(step)
    return End(EndReason.WHOLE, model=completion.model, usage=completion.usage, choices=offered.choices)


def _end_of_step(
    attempt: AnswerAttempt, offer: Offer, step: CurrentStep, shown: Output, *, is_last: bool
) -> End | Offer:
    """Returns the answer's end if this is its last step, or otherwise the tools for the next step."""
    if step.calls and (asked_back := offer.choices_in(step.calls)):
        return _offer_choices(attempt.answer, step, asked_back, shown)
    completion, reason, notice = _completion(step), EndReason.WHOLE, ""
    silent = _silence_in(attempt, offer, step) if offer.is_held and step.calls else ""
    if isinstance(silent, Silence):
        reason, notice = EndReason.SILENT, silent.reason
    elif step.calls and not is_last:
        return replace(offer, refusals={SILENCE: silent}) if silent else offer
    elif step.calls:
        # Continue isn't offered if the answer has no text.
        has_text = bool(attempt.answer.text.strip())
        notice = texts.answers.STEP_LIMIT if has_text else texts.answers.STEP_LIMIT_WITHOUT_TEXT
        reason = EndReason.STEP_LIMIT
    elif completion.finish_reason is FinishReason.LENGTH:
        reason, notice = EndReason.LENGTH_LIMIT, texts.answers.LENGTH_LIMIT
    return End(reason, sentence_notice(notice), model=completion.model, usage=completion.usage)


def _silence_in(attempt: AnswerAttempt, offer: Offer, step: CurrentStep) -> Silence | str:
    answer = attempt.answer
    return requested_silence(
        step.calls,
        answer.calls,
        attempt.searches,
        # Without tools, all that can be read is the message.
        needs_work=bool(offer.by_name),
        has_text=step.has_text,
        is_joined=bool(answer.follow_ups or attempt.job.earlier_questions),
        is_cut=_completion(step).finish_reason is FinishReason.LENGTH,
    )


def _completion(step: CurrentStep) -> Completion:
    assert step.completion is not None, "a provider's stream ends with a Completion or an error"
    return step.completion
