"""Tool calls: which tools a model is offered, which calls need a person, and each call made at most once.

Who may use what
----------------
Tools that may change something are offered to members of the workspace only: guests, people of other organizations and
bots get tools that an admin declared read-only, whatever the rules say. A rule allows a tool, asks a person about each
call, or denies it. An admin may always allow a tool in a channel, as it is defined now. Right before each call
that may change something, Slack is asked again whether the asker is a member.

A call that may change something is made unasked only if the model has read nothing but the askers' own words
(core/trust.py), whatever rule allows it: any other text may be an attack that writes as if it were the user.

At most once
------------
A step's calls are on record before the first of them is made, and each is committed as BEGUN before it leaves. Only the
attempt that holds the job can do that (core/tool_calls.py). A call that an earlier attempt began is made again if it is
read-only; any other is UNKNOWN, and the model is told so. The same goes for a call whose answer never came.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from bot.clock import Clock
from bot.core import choices
from bot.core.choices import Choices
from bot.core.conversation import Job, Question, ToolDefinition
from bot.core.limits.access import UserKind
from bot.core.reply.approvals import MAX_ARGUMENT_CHARS, can_be_read, readable
from bot.core.stream import ToolCall
from bot.core.tool_calls import CallState, RecordedCall
from bot.core.tools import NOT_KEPT, CallOutcome, CallResult, Permission, ToolRule, label_of
from bot.core.trust import Origins, read_more_than_askers
from bot.errors import trace_of
from bot.services.insisting import insist
from bot.services.toolbox import Tools
from bot.slack.users import Users
from bot.store.recorded_calls import RecordedCalls
from bot.telemetry import OFF, Telemetry

CALL_TIMEOUT_S = 60.0
ANSWER_WITHIN_S = CALL_TIMEOUT_S + 5.0
"""Longer than the tools' own limit, which tells the server that the call is canceled."""
MAX_CALLS = 8
"""The most calls of one step: people decide about them in one message."""

MEMBER_WITHIN_S = 10.0
"""How long a call that may change something waits for Slack to say that its asker is a member."""
NOT_A_MEMBER = (
    "The call was not made: Slack doesn't say that the asker is a member of the workspace, as it must for this tool."
)
NO_ARGUMENTS = (
    "The call was not made. Its arguments must be a JSON object in which no key comes twice and no integer is larger "
    "than floating-point numbers hold; write such numbers as strings. They were:"
)

T = TypeVar("T")

log = logging.getLogger(__name__)


class NotOurs(Exception):
    """The job was lost, stopped or edited: nothing more may be called. The worker cancels the attempt soon."""


@dataclass(frozen=True, slots=True)
class Offer:
    """The tools that an attempt may use, as they were defined when it began."""

    by_name: Mapping[str, ToolDefinition] = field(default_factory=dict)
    """Those that are called. Choices aren't: they end the answer."""
    always: frozenset[tuple[str, str]] = frozenset()
    """The tools that an admin always allows in the channel, with the hashes of their definitions."""
    choices: bool = False
    """Whether the model may offer choices (core/choices.py)."""

    @property
    def definitions(self) -> tuple[ToolDefinition, ...]:
        """The tools in the order in which the model reads them."""
        return (*self.by_name.values(), *((choices.DEFINITION,) if self.choices else ()))

    def choices_in(self, calls: Sequence[ToolCall]) -> Choices | None:
        """Returns the choices that a step offers, which end the answer; None if it offers none."""
        offered = choices.offered(calls) if self.choices else ""
        return offered if isinstance(offered, Choices) else None


@dataclass(frozen=True)
class ToolCalls:
    """Decides about the calls of a model's steps and makes them. `tools`: None if there are none."""

    tools: Tools | None
    records: RecordedCalls
    users: Users
    clock: Clock
    telemetry: Telemetry = OFF
    offers_choices: bool = False
    """Whether models may offer choices to people."""

    async def offer(self, job: Job) -> Offer:
        """Returns the tools that the question's channel and asker may use. A bot presses no buttons."""
        question = job.question
        may_choose = self.offers_choices and not question.from_bot
        definitions = await self.tools.definitions(question) if self.tools else ()
        if not definitions:
            return Offer(choices=may_choose)
        if not await self._may_write(question):
            definitions = tuple(tool for tool in definitions if tool.rule.read_only)
        always = await self.insist(lambda: self.records.always_allowed(question.thread))
        return Offer({tool.name: tool for tool in definitions}, frozenset(always.items()), may_choose)

    async def _may_write(self, question: Question) -> bool:
        kind = UserKind.BOT if question.from_bot else await self.users.kind(question.user_id)
        return kind is UserKind.MEMBER

    async def _may_write_now(self, question: Question) -> bool:
        """Returns whether the asker is a member at this moment: they may have become a guest while the call waited."""
        if question.from_bot:
            return False
        return await self.users.kind(question.user_id, now_within_s=MEMBER_WITHIN_S) is UserKind.MEMBER

    def planned(
        self, calls: Sequence[ToolCall], step_no: int, offer: Offer, origins: Origins
    ) -> tuple[RecordedCall, ...]:
        """Returns a step's calls, each ready, to be asked about, or refused. `origins`: what the model had read."""
        nothing_offered = choices.offered(calls) if offer.choices else ""
        planned = [self._planned(call, index, step_no, offer, origins) for index, call in enumerate(calls)]
        return tuple(
            replace(call, result=str(nothing_offered)) if nothing_offered and call.tool == choices.NAME else call
            for call in planned
        )

    def _planned(self, call: ToolCall, index: int, step_no: int, offer: Offer, origins: Origins) -> RecordedCall:
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
        )
        if definition is None:
            return replace(planned, result=f"There is no tool named {call.name!r}.")
        if call.arguments is None:
            return replace(planned, result=f"{NO_ARGUMENTS} {call.raw_arguments}")
        if index >= MAX_CALLS:
            return replace(planned, result=f"At most {MAX_CALLS} calls can be made in one step. This one was not made.")
        if definition.rule.permission is Permission.DENY:
            return replace(planned, state=CallState.DENIED, result="An admin denies this tool. The call was not made.")
        if _is_unasked(definition.rule, (call.name, definition.definition_hash) in offer.always, origins):
            return replace(planned, state=CallState.READY)
        if not can_be_read(readable(planned.arguments)):
            too_long = f"The arguments are too long to be approved: at most {MAX_ARGUMENT_CHARS} characters."
            return replace(planned, result=too_long)
        return replace(planned, state=CallState.ASKED)

    async def make(self, job: Job, step_no: int, offer: Offer, show: Callable[[str], None]) -> tuple[RecordedCall, ...]:
        """Makes the calls of a recorded step that may be made; returns all of them, as they are then.

        `show` is told the name of each tool that runs. Results that may not be stored are in what is returned, and
        nowhere else. Raises NotOurs.
        """
        unstored: dict[tuple[int, int], str] = {}
        for call in await self.insist(lambda: self.records.calls(job, step_no)):
            if call.state is CallState.READY or (call.state is CallState.BEGUN and call.read_only):
                result = await self._make(job, call, offer, show)
                if result and not result.may_be_stored:
                    unstored[call.key] = result.text
            elif call.state is CallState.BEGUN:
                await self._end(job, replace(call, state=CallState.UNKNOWN))
        made = await self.insist(lambda: self.records.calls(job, step_no))
        return tuple(replace(call, result=unstored.get(call.key, call.result)) for call in made)

    async def _make(self, job: Job, call: RecordedCall, offer: Offer, show: Callable[[str], None]) -> CallResult | None:
        """Makes a call and records its end; returns its result, None if it wasn't made."""
        definition = offer.by_name.get(call.tool)
        if definition is None or definition.definition_hash != call.definition_hash:
            changed = "The tool has changed since the call was decided about. The call was not made."
            await self._end(job, replace(call, state=CallState.DENIED, result=changed))
            return None
        if not call.read_only and not await self._may_write_now(job.question):
            await self._end(job, replace(call, state=CallState.DENIED, result=NOT_A_MEMBER))
            return None
        if not await self.insist(lambda: self.records.begin(job, call)):
            # The job is lost, stopped or edited. Or a commit that was not heard of has begun the call.
            now = await self.insist(lambda: self.records.calls(job, call.step_no))
            is_begun = now[call.index].state is CallState.BEGUN
            if not (is_begun and await self._end(job, replace(call, state=CallState.UNKNOWN))):
                raise NotOurs
            return None
        show(label_of(call.tool))
        result = await self._call(job, call)
        state = {CallOutcome.DONE: CallState.DONE, CallOutcome.FAILED: CallState.FAILED}.get(result.outcome)
        if state is None:
            state = CallState.FAILED if call.read_only else CallState.UNKNOWN
        text = result.text if result.may_be_stored else NOT_KEPT
        await self._end(job, replace(call, state=state, result=text, result_is_error=result.is_error))
        return result

    async def _call(self, job: Job, call: RecordedCall) -> CallResult:
        """Makes a call; one that isn't answered in time, or fails unexpectedly, may have been made."""
        assert self.tools is not None
        log.info("calling %s", call.tool)
        try:
            with self.telemetry.tool_call(call.tool):
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    return await self.tools.call(
                        job.question, call.tool, call.definition_hash, call.arguments, timeout_s=CALL_TIMEOUT_S
                    )
        except TimeoutError:
            log.warning("%s did not answer in time", call.tool)
            return CallResult(CallOutcome.UNKNOWN, "The tool did not answer in time.", is_error=True)
        except Exception as error:
            log.error("call of %s failed: %s", call.tool, trace_of(error))
            return CallResult(CallOutcome.UNKNOWN, "The tool failed.", is_error=True)

    async def _end(self, job: Job, call: RecordedCall) -> bool:
        return await self.insist(lambda: self.records.end(job, call))

    async def insist(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Returns the operation's result, however long the database is away."""
        return await insist(operation, self.clock, "tool calls not recorded")


def _is_unasked(rule: ToolRule, is_always_allowed: bool, origins: Origins) -> bool:
    """Whether a call may be made unasked. `origins`: what the model had read when it asked for the call."""
    if rule.permission is Permission.ALLOW and rule.read_only:
        return True
    is_allowed = rule.permission is Permission.ALLOW or is_always_allowed
    return is_allowed and not read_more_than_askers(origins)
