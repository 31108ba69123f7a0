"""Decides which tools a model is offered and which calls need approval, and makes each call at most once.

Who can use what
----------------
Tools that can change something are offered only to workspace members. Guests, people from other organizations and bots
get only tools that an admin declared read-only, whatever the rules are. A schedule's run gets only read-only tools that
need no approval. A rule allows a tool, asks a person about each call, or denies the tool. An admin can always allow a
tool in a channel, with its current definition. Right before each call that can change something, Slack is asked again
whether the asker is a member.

A call that can change something is made without asking only if the model has read nothing but the askers' own words
(models/prompt.py): any other text could be an attack that imitates the user. In addition, no earlier version of the
answer may have changed something, so that Regenerate never writes twice by itself.

A call with the asker's own account (bot/accounts) is made without asking only if only the asker reads the answer. If
other people read it, a read-only call is made without asking if the asker has allowed that for the thread or when
creating the schedule, unless the model has read other people's text: messages, a file, a memory, the channel's
instructions. Such text could tell the model what to look for in the account. After results from the account itself, the
arguments must come from the asker or a search (core/asked_values.py). Only the asker can approve a call with their
account. A schedule's run that uses an account can't read the channel.

At most once
------------
A step's calls are recorded before the first call is made, and each call is committed as BEGUN before it is sent. Only
the attempt that owns the job can begin a call (core/calls.py). A call that an earlier attempt began, or whose response
never arrived, is made again if it is read-only. Otherwise, it becomes UNKNOWN, and its result tells the model so.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from bot.clock import Clock, extend_timeout, keep_trying
from bot.core import choices, silence
from bot.core.asked_values import are_from_asker
from bot.core.asks import MAX_ARGUMENT_CHARS, activity_of, can_be_shown, readable_json
from bot.core.calls import (
    HAS_WRITTEN,
    MAX_CALL_S,
    NO_SUCH_TOOL,
    NOT_REQUESTED,
    NOT_YET_ALLOWED,
    READ_CHANNEL,
    REQUIRED_BY_RULE,
    RESULT_NOT_STORED,
    SLACK,
    CallResult,
    CallState,
    RecordedCall,
    Step,
    ToolUse,
    tool_owner,
)
from bot.core.choices import Choices
from bot.core.conversation import Question
from bot.core.job import Job
from bot.errors import StoreError, trace_of
from bot.models.events import ToolCall
from bot.models.prompt import (
    DEFINITION,
    FOUND,
    INSTRUCTIONS,
    OURS,
    READ_ONLY_RULE,
    OfferedTools,
    Origins,
    Permission,
    ReadResult,
    ToolDefinition,
    merge,
    steering_origins,
)
from bot.services.answer_attempt import GivenUp, Phase
from bot.services.ports import Ports, Tools

CANCEL_NOTICE_S = 5.0
"""Time added to a tool's own time limit, so that there is time to notify its server of the cancellation."""
MAX_CALLS = 8
"""Maximum calls of one step, because people decide on them in one message."""

MEMBER_CHECK_TIMEOUT_S = 10.0
"""Time limit for asking Slack whether the asker is a member, before a call that can change something."""
NOT_A_MEMBER = (
    "The call was not made: Slack doesn't say that the asker is a member of the workspace, as it must for this tool."
)
NO_ARGUMENTS = (
    "The call was not made. Its arguments must be a JSON object in which no key comes twice and no integer is larger "
    "than floating-point numbers hold; write such numbers as strings. They were:"
)

T = TypeVar("T")

log = logging.getLogger(__name__)


class JobChanged(GivenUp):
    """The job was lost, stopped or edited. The worker will cancel the attempt soon."""

    def __init__(self) -> None:
        super().__init__(Phase.RESTART)


@dataclass(frozen=True, slots=True)
class Offer:
    by_name: Mapping[str, ToolDefinition] = field(default_factory=dict)
    """Tools that can be called, except for offering choices, which ends the answer."""
    always_allowed: frozenset[tuple[str, str]] = frozenset()
    """Names and definition hashes of tools that an admin always allows in the channel."""
    has_choices: bool = False
    missing: str = ""
    """A sentence for the model about unavailable tools, or ""."""
    notice: str = ""
    """A sentence for the asker about unavailable tools, or ""."""
    is_private: bool = False
    agreed_servers: frozenset[str] = frozenset()
    """Servers where the asker has agreed to read-only calls with their own account in answers that others read."""
    is_held: bool = False
    """Whether the model can end without an answer (core/silence.py)."""
    refusals: Mapping[str, str] = field(default_factory=dict)
    """Results of calls that would have ended the answer, by tool."""
    has_written: bool = False
    """Whether an earlier version of the answer might have changed something. If so, calls that might change something
    need approval."""

    @property
    def definitions(self) -> tuple[ToolDefinition, ...]:
        held = (silence.DEFINITION,) if self.is_held else ()
        return (*self.by_name.values(), *((choices.DEFINITION,) if self.has_choices else ()), *held)

    def choices_in(self, calls: Sequence[ToolCall]) -> Choices | None:
        offered = choices.offered_choices(calls) if self.has_choices else ""
        return offered if isinstance(offered, Choices) else None


class Toolbox:
    """Combines all tools. `own`: Typist's tools by owner, or by name without an owner. `others` can't replace `own`."""

    def __init__(self, own: Mapping[str, Tools], others: Tools | None) -> None:
        self._own_tools = own
        self._other_tools = others

    async def definitions(self, question: Question) -> OfferedTools:
        own = [await tools.definitions(question) for tools in self._own_tools.values()]
        ours = [definition for offered in own for definition in offered.definitions]
        others = await self._other_tools.definitions(question) if self._other_tools else OfferedTools()
        theirs = (tool for tool in others.definitions if tool_owner(tool.name) not in self._own_tools)
        return replace(others, definitions=(*ours, *theirs))

    async def call(self, use: ToolUse) -> CallResult:
        tools = self._own_tools.get(tool_owner(use.tool), self._other_tools)
        if tools is None:
            return CallResult.failed(NO_SUCH_TOOL)
        return await tools.call(use)


@dataclass(frozen=True)
class ToolCalls:
    ports: Ports
    has_buttons: bool = True

    async def offer(self, job: Job) -> Offer:
        """Returns the tools that can be used in the question's channel by its asker. A bot can't click buttons."""
        question, thread, conversation = job.question, job.question.thread, self.ports.conversation
        is_run = question.schedule_id is not None
        can_choose = self.has_buttons and not (question.is_from_bot or is_run)
        offered = await self.ports.tools.definitions(question) if self.ports.tools else OfferedTools()
        definitions = offered.definitions
        if any(tool.name == READ_CHANNEL for tool in definitions) and not thread.in_direct_message:
            channel = await self.keep_trying(lambda: conversation.channel(question))
            if channel.read_channel is False:
                definitions = tuple(tool for tool in definitions if tool.name != READ_CHANNEL)
        if not definitions:
            is_held = question.is_held and not is_run
            return Offer(has_choices=can_choose, missing=offered.missing_note, notice=offered.notice, is_held=is_held)
        agreed = frozenset[str]()
        if is_run:
            # During a run, nobody is there to approve a call, and Slack gives no permission to search.
            definitions = tuple(
                tool for tool in definitions if tool.rule == READ_ONLY_RULE and tool_owner(tool.name) != SLACK
            )
            if own := {tool_owner(tool.name) for tool in definitions if tool.uses_own_account}:
                agreed = frozenset(own)
                definitions = tuple(tool for tool in definitions if tool.name != READ_CHANNEL)
        elif not await conversation.is_member(question):
            definitions = tuple(tool for tool in definitions if tool.rule.read_only)
        elif not thread.in_direct_message and any(tool.uses_own_account for tool in definitions):
            agreed = await self.keep_trying(lambda: self.ports.records.servers_allowed_in_thread(question))
        always = await self.keep_trying(lambda: self.ports.records.always_allowed(thread))
        tools = {tool.name: tool for tool in definitions}
        missing, is_private = (offered.missing_note, offered.notice), thread.in_direct_message
        return Offer(tools, frozenset(always.items()), can_choose, *missing, is_private, agreed, question.is_held)

    def plan(
        self,
        calls: Sequence[ToolCall],
        step_no: int,
        offer: Offer,
        origins: Origins,
        asked: str = "",
        steps: Sequence[Step] = (),
    ) -> tuple[RecordedCall, ...]:
        """Returns a step's calls, which are READY, ASKED, or ended without being made. `origins`: the origins of all
        text that the model read. `asked`: the asker's messages. `steps`: earlier steps."""
        nothing_offered = choices.offered_choices(calls) if offer.has_choices else ""
        planned = [
            self._plan_call(call, index, step_no, offer, origins, asked, steps) for index, call in enumerate(calls)
        ]
        refusals = {choices.TOOL_NAME: str(nothing_offered), **offer.refusals}
        return tuple(replace(call, result=refusals.get(call.tool) or call.result) for call in planned)

    def _plan_call(
        self,
        call: ToolCall,
        index: int,
        step_no: int,
        offer: Offer,
        origins: Origins,
        asked: str,
        steps: Sequence[Step],
    ) -> RecordedCall:
        definition = offer.by_name.get(call.name)
        planned = RecordedCall(
            step_no,
            index,
            call.call_id,
            call.name,
            call.arguments or {},
            definition.definition_hash if definition else "",
            CallState.FAILED,
            definition.rule.read_only if definition else False,
            uses_own_account=definition.uses_own_account if definition else False,
        )
        if definition is None:
            return replace(planned, result=f"There is no tool named {call.name!r}.")
        if call.arguments is None:
            return replace(planned, result=f"{NO_ARGUMENTS} {call.raw_arguments}")
        if index >= MAX_CALLS:
            return replace(planned, result=f"At most {MAX_CALLS} calls can be made in one step. This one was not made.")
        if definition.rule.permission is Permission.DENY:
            return replace(planned, state=CallState.DENIED, result="An admin denies this tool. The call was not made.")
        prepared = definition.prepare(planned.arguments) if definition.prepare else planned.arguments
        if isinstance(prepared, str):
            state = CallState.DONE if isinstance(prepared, ReadResult) else CallState.FAILED
            return replace(planned, state=state, result=str(prepared))
        planned = replace(planned, arguments=prepared)
        because = _reasons_to_ask(
            definition, offer, origins, lambda: are_from_asker(prepared, definition, asked, steps)
        )
        if NOT_REQUESTED in because:
            because += tuple(dict.fromkeys(one.tool for step in steps for one in step.calls if one.uses_own_account))
        if not because:
            return replace(planned, state=CallState.READY)
        if not can_be_shown(readable_json(planned.arguments)):
            too_long = f"The arguments are too long to be approved: at most {MAX_ARGUMENT_CHARS} characters."
            return replace(planned, result=too_long)
        return replace(planned, state=CallState.ASKED, approval_reasons=because)

    async def make_calls(
        self, job: Job, step_no: int, offer: Offer, show: Callable[[str], None]
    ) -> tuple[RecordedCall, ...]:
        """Makes a recorded step's ready or approved calls. Returns all of the step's calls in their new state. Raises
        JobChanged. `show`: called with each call's activity. Results that must not be stored are only in the returned
        calls."""
        unstored: dict[tuple[int, int], str] = {}
        for call in await self.keep_trying(lambda: self.ports.records.calls(job, step_no)):
            if call.state in call.startable_states:
                result = await self._make_call(job, call, offer, show)
                if result and not result.can_be_stored:
                    unstored[call.key] = result.text
            elif call.state is CallState.BEGUN:
                await self._record_end(job, replace(call, state=CallState.UNKNOWN))
        made = await self.keep_trying(lambda: self.ports.records.calls(job, step_no))
        return tuple(replace(call, result=unstored.get(call.key, call.result)) for call in made)

    async def _make_call(
        self, job: Job, call: RecordedCall, offer: Offer, show: Callable[[str], None]
    ) -> CallResult | None:
        definition = offer.by_name.get(call.tool)
        if definition is None or definition.definition_hash != call.definition_hash:
            changed = "The tool has changed since the call was decided about. The call was not made."
            await self._record_end(job, replace(call, state=CallState.DENIED, result=changed))
            return None
        # The asker might have become a guest while the call was waiting.
        is_member = self.ports.conversation.is_member
        if not (call.read_only or await is_member(job.question, now_within_s=MEMBER_CHECK_TIMEOUT_S)):
            await self._record_end(job, replace(call, state=CallState.DENIED, result=NOT_A_MEMBER))
            return None
        if not await self.keep_trying(lambda: self.ports.records.begin_call(job, call)):
            # The job is lost, stopped or edited, or an earlier commit whose response was lost has begun the call.
            now = await self.keep_trying(lambda: self.ports.records.calls(job, call.step_no))
            is_begun = now[call.index].state is CallState.BEGUN
            if not (is_begun and await self._record_end(job, replace(call, state=CallState.UNKNOWN))):
                raise JobChanged
            return None
        show(activity_of(call))
        result = await self._call_tool(job, call, definition.timeout_s)
        is_harmless = result.outcome is CallState.UNKNOWN and call.read_only
        state = CallState.FAILED if is_harmless else result.outcome
        text = result.text if result.can_be_stored else RESULT_NOT_STORED
        await self._record_end(
            job, replace(call, state=state, result=text, result_is_error=result.is_error, item_no=result.item_no)
        )
        return result

    async def _call_tool(self, job: Job, call: RecordedCall, timeout_s: float) -> CallResult:
        """Makes a call and returns its result. A call that times out or fails unexpectedly might have been made."""
        assert self.ports.tools is not None
        log.info("calling %s", call.tool)
        limit, until = asyncio.timeout(timeout_s + CANCEL_NOTICE_S), asyncio.get_running_loop().time() + MAX_CALL_S
        try:
            with self.ports.telemetry.tool_call(call.tool):
                async with limit:
                    return await self.ports.tools.call(
                        ToolUse(
                            job.question,
                            call.tool,
                            call.definition_hash,
                            call.arguments,
                            timeout_s,
                            job.version,
                            call.uses_own_account,
                            partial(extend_timeout, limit, timeout_s + CANCEL_NOTICE_S, until + CANCEL_NOTICE_S),
                        )
                    )
        except TimeoutError:
            log.warning("%s did not answer in time", call.tool)
            late = f"The tool did not answer within {timeout_s:g} s."
            return CallResult(CallState.UNKNOWN, late, is_error=True)
        except Exception as error:
            log.error("call of %s failed: %s", call.tool, trace_of(error))
            return CallResult(CallState.UNKNOWN, "The tool failed.", is_error=True)

    async def _record_end(self, job: Job, call: RecordedCall) -> bool:
        return await self.keep_trying(lambda: self.ports.records.end_call(job, call))

    async def keep_trying(self, operation: Callable[[], Awaitable[T]]) -> T:
        return await keep_trying(operation, self.ports.clock, "tool calls not recorded")


def _reasons_to_ask(
    definition: ToolDefinition, offer: Offer, origins: Origins, is_askers: Callable[[], bool]
) -> tuple[str, ...]:
    """Returns why a call needs approval, or () if it needs none. `origins`: the origins of all text that the model
    read. `is_askers`: returns whether the call's arguments come from the asker."""
    rule = definition.rule
    is_allowed = rule.permission is Permission.ALLOW
    if definition.uses_own_account and not offer.is_private:
        agreed = tool_owner(definition.name) in offer.agreed_servers and rule.read_only
        steering = steering_origins(origins, is_private_read=True) if rule.read_only else OURS
        # A server's own definitions only lead to what the server has anyway.
        others = merge(tool.origins for tool in offer.by_name.values() if tool.server != definition.server)
        found = origins & FOUND | others & DEFINITION
        is_found = rule.read_only and found and not is_askers()
        read = (NOT_REQUESTED, *sorted(found | steering)) if is_found else sorted(steering)
        return (*(() if agreed else (NOT_YET_ALLOWED,)), *(() if is_allowed else (REQUIRED_BY_RULE,)), *read)
    if is_allowed and rule.read_only:
        return ()
    if is_allowed or (definition.name, definition.definition_hash) in offer.always_allowed:
        written = (HAS_WRITTEN,) if offer.has_written else ()
        return (*sorted(steering_origins(origins, is_private_read=False)), *written)
    return (REQUIRED_BY_RULE,) if definition.uses_own_account else (NOT_YET_ALLOWED, *(origins & INSTRUCTIONS))


EXPIRE_EVERY_S = 30.0


async def expire_approvals(expire: Callable[[], Awaitable[int]], clock: Clock) -> None:
    """Denies calls that nobody decided on in time, so that their answers continue. Runs until canceled."""
    while True:
        try:
            if released := await expire():
                log.info("approvals: expired, answers continue without them: %d", released)
        except StoreError as error:
            log.error("approvals: database unavailable, retrying in %.0f s: %s", EXPIRE_EVERY_S, error)
        await clock.sleep(EXPIRE_EVERY_S)
