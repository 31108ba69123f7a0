"""Answers whose model uses tools: which calls are made, which are asked about, and that none is made twice."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import sqlalchemy as sa

from bot.core import choices, texts
from bot.core.access import UserKind
from bot.core.actions import ReplyAction
from bot.core.asks import MAX_ARGUMENT_CHARS
from bot.core.calls import APPROVAL_S, RESULT_NOT_STORED, CallResult, CallState, Decision, RecordedCall, ToolUse
from bot.core.conversation import Question, ThreadKey
from bot.core.job import Job
from bot.core.prompt import GO_ON, GO_ON_REQUEST, LAST_TEXT_RULE
from bot.core.steps import DROPPED
from bot.errors import EndReason, StoreError
from bot.models.events import Opaque, StreamEvent, ToolCall
from bot.models.prompt import (
    CALL_TIMEOUT_S,
    OURS,
    READ_ONLY_RULE,
    OfferedTools,
    Permission,
    Prompt,
    ToolDefinition,
    ToolResult,
    ToolRule,
)
from bot.services import tool_calls
from bot.services.standalone import InMemory
from bot.services.tool_calls import (
    EXPIRE_EVERY_S,
    NO_ARGUMENTS,
    NOT_A_MEMBER,
    JobChanged,
    Toolbox,
    ToolCalls,
    expire_approvals,
)
from bot.store.calls import RecordedCalls
from bot.store.schema import jobs
from bot.store.usage import Meter
from slack_sandbox.testing.processes import WITHIN_S
from tests.clocks import InstantClock
from tests.recorded_calls import newest_calls
from tests.services.answering import MODEL_NAME, QUESTION
from tests.services.notes import (
    ANSWER,
    LIST,
    MILK,
    READ,
    RULES,
    WRITE,
    NotesServer,
    StepModel,
    alone,
    answered,
    asking,
    decide,
    ended,
    prompts_of,
    resumed,
    staged,
    statuses,
    take_over,
    waiting,
)

pytestmark = pytest.mark.wide

NO_PORTS: Any = None
LONG = "word " * 100 + "\n\n"
"""So long that an attempt that takes over goes on after it."""


@dataclass
class InterruptedModel(StepModel):
    """The same, after a first request that never ends after some text."""

    async def stream(self, prompt: Prompt) -> AsyncGenerator[StreamEvent, None]:
        if not self.prompts:
            self.prompts.append(prompt)
            yield LONG
            await asyncio.Event().wait()
        async for event in super().stream(prompt):
            yield event


def results_in(prompt: Prompt) -> list[str]:
    return [part.text for turn in prompt.turns for part in turn.parts if isinstance(part, ToolResult)]


@pytest.fixture
def notes() -> NotesServer:
    return NotesServer()


async def test_read_only_tool_is_called_unasked_and_the_next_step_reads_its_result(notes: NotesServer) -> None:
    stage = await alone(notes, asking(LIST), ANSWER)
    assert notes.calls == [(READ, {})]
    assert notes.asked_by == {("U1", ""), ("U1", "first")}
    first, second = prompts_of(stage)
    assert [tool.name for tool in first.tools] == [READ, WRITE, choices.TOOL_NAME]
    assert first.system.endswith(LAST_TEXT_RULE)
    assert results_in(second) == ["notes__list returned."]
    [step] = [turn for turn in second.turns if turn.role == "assistant"]
    assert Opaque("openai", {"type": "reasoning", "encrypted_content": "secret"}) in step.parts
    assert LIST in step.parts


async def test_oldest_results_are_dropped_from_requests_and_stay_on_record(notes: NotesServer) -> None:
    notes.result = "note " * 400
    stage = await alone(notes, *[asking(LIST)] * 4, ANSWER, history_tokens=500)
    recorded = stage.calls
    first, *_, last = [results_in(prompt) for prompt in prompts_of(stage)[1:]]
    assert first == [notes.result]
    assert last == [DROPPED, *[notes.result] * 3]
    assert [call.result for call in recorded] == [notes.result] * 4


async def test_reply_says_which_tool_runs_and_sums_up_at_the_end(notes: NotesServer) -> None:
    stage = await answered(notes, asking(LIST), ANSWER)
    [reply] = stage.replies.opened
    assert reply.activities == ["Using notes: List…", ""]
    assert reply.end is not None
    assert (reply.end.footer, ReplyAction.DETAILS in reply.end.buttons) == (f"{MODEL_NAME} · 1 tool", True)


@pytest.mark.parametrize(
    ("text", "notice"), [("Let me see.", texts.answers.STEP_LIMIT), ("", texts.answers.STEP_LIMIT_WITHOUT_TEXT)]
)
async def test_model_that_never_stops_asking_for_tools_reaches_the_step_limit(
    notes: NotesServer, text: str, notice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.services.steps.MAX_STEPS", 3)
    stage = await alone(notes, asking(LIST, text=text))
    end = stage.answered.end
    assert (end.reason, [one.text for one in end.notices]) == (EndReason.STEP_LIMIT, [notice])
    assert {"requests": len(prompts_of(stage)), "calls": len(notes.calls)} == {"requests": 3, "calls": 2}
    assert "last step" in prompts_of(stage)[-1].turns[-1].instruction


@pytest.mark.parametrize(
    ("description", "max_bytes"),
    [("", 23_000), ("word " * 1_000, 13_000), ("word " * 100_000, 12_000)],
    ids=["no definitions to speak of", "long definitions", "definitions that would take it all"],
)
async def test_definitions_leave_less_room_for_the_conversation(
    notes: NotesServer, description: str, max_bytes: int
) -> None:
    notes.description = description
    stage = await alone(notes, ANSWER, asked=replace(QUESTION, text="why? " * 20_000))
    [prompt] = prompts_of(stage)
    assert max_bytes - 500 <= len(prompt.turns[-1].text) <= max_bytes + 100


@pytest.mark.parametrize(
    ("call", "result", "more", "read", "on_record"),
    [
        (ToolCall(0, "1", "no__such", {}), "", {}, "There is no tool named 'no__such'.", None),
        (ToolCall(0, "1", READ, None, '{"text": '), "", {}, f'{NO_ARGUMENTS} {{"text": ', None),
        (LIST, "A secret.", {"can_be_stored": False}, "A secret.", (CallState.DONE, RESULT_NOT_STORED, False)),
        (LIST, "No note.", {"is_error": True}, "No note.", (CallState.DONE, "No note.", True)),
    ],
    ids=["unknown tool", "broken arguments", "not to be stored", "the tool's own error"],
)
async def test_model_reads_what_came_of_a_call(
    notes: NotesServer,
    call: ToolCall,
    result: str,
    more: dict[str, Any],
    read: str,
    on_record: tuple[CallState, str, bool] | None,
) -> None:
    """`on_record` is None if no call is made: what the model reads is on record as a failure."""
    notes.result, notes.more = result, more
    stage = await alone(notes, asking(call), ANSWER)
    [kept], is_made = stage.calls, on_record is not None
    assert (results_in(prompts_of(stage)[1]), len(notes.calls)) == ([read], is_made)
    assert (kept.state, kept.result, kept.result_is_error) == (on_record or (CallState.FAILED, read, False))
    [part] = [part for turn in prompts_of(stage)[1].turns for part in turn.parts if isinstance(part, ToolResult)]
    assert part.is_error is (not is_made or kept.result_is_error)


async def test_more_calls_than_a_message_can_ask_about_are_refused(notes: NotesServer) -> None:
    calls = [replace(LIST, index=index) for index in range(10)]
    stage = await alone(notes, asking(*calls), ANSWER)
    assert len(notes.calls) == 8
    assert sum("was not made" in result for result in results_in(prompts_of(stage)[1])) == 2


@pytest.mark.parametrize("permission", [Permission.ASK, Permission.ALLOW])
@pytest.mark.parametrize(
    ("arguments", "is_too_long"),
    [
        ({"text": "x" * (MAX_ARGUMENT_CHARS - len('{\n  "text": ""\n}'))}, False),
        ({"text": "x" * (MAX_ARGUMENT_CHARS + 1 - len('{\n  "text": ""\n}'))}, True),
        ({"text": "\u200b" * (MAX_ARGUMENT_CHARS // 6)}, True),
    ],
    ids=["longest", "too long", "too long once its invisible characters are escaped"],
)
async def test_arguments_that_nobody_could_read_whole_are_not_asked_about(
    notes: NotesServer, arguments: dict[str, Any], is_too_long: bool, permission: Permission
) -> None:
    notes.rules = {WRITE: ToolRule(permission)}
    [call] = (await alone(notes, asking(replace(MILK, arguments=arguments)), ANSWER)).calls
    if permission is Permission.ALLOW:
        assert call.state is CallState.DONE, "nobody has to read them"
    else:
        assert call.state is (CallState.FAILED if is_too_long else CallState.ASKED)
        assert ("too long to be approved" in call.result) is is_too_long


async def test_waiting_job_belongs_to_no_worker_and_shows_the_arguments(notes: NotesServer) -> None:
    async with staged(notes, asking(MILK), ANSWER) as stage:
        await waiting(stage)
        row = await stage.row()
    assert (row.worker, notes.calls) == (None, [])
    [ask] = stage.replies.opened[0].asks
    assert (ask.tool, ask.arguments) == ("notes.add", '{\n  "text": "Milk"\n}')
    assert not ask.can_allow_always, "the asker is no admin"
    assert stage.replies.opened[0].is_abandoned


async def test_reply_of_the_asker_denies_the_call_and_is_answered_below(notes: NotesServer) -> None:
    async with staged(notes, asking(MILK)) as stage:
        await waiting(stage)
        assert isinstance(stage.model, StepModel)
        stage.model.steps = (ANSWER,)
        await stage.stores.question_queue.enqueue("Ev2", replace(QUESTION, ts="999995.000000", text="Bread instead"))
        stage.worker.wake()
        await ended(stage)
        async with stage.stores.database.engine.connect() as connection:
            ends = (await connection.scalars(sa.select(jobs.c.end_reason).order_by(jobs.c.id))).all()
    assert notes.calls == []
    assert ends == ["stopped", "whole"]
    last = prompts_of(stage)[-1].turns[-1]
    assert "Bread instead" in last.text
    assert "instead of deciding about calls" in last.instruction


async def test_question_of_another_person_is_answered_while_the_job_waits(notes: NotesServer) -> None:
    async with staged(notes, asking(MILK), ANSWER) as stage:
        await waiting(stage)
        assert isinstance(stage.model, StepModel)
        stage.model.steps = (ANSWER,)
        taken = await stage.stores.question_queue.enqueue("Ev2", replace(QUESTION, ts="999995.000000", user_id="U2"))
        assert taken is not None
        assert not taken.needs_placeholder
        stage.worker.wake()
        await stage.until(lambda: len(stage.reports) == 1, "the other answer has ended")
        states = await statuses(stage)
    assert states == ["awaiting_approval", "ended"]


async def test_call_that_nobody_decided_about_expires_with_a_sentence(notes: NotesServer) -> None:
    async with staged(notes, asking(MILK), ANSWER) as stage:
        await waiting(stage)
        assert await stage.stores.approvals.expire() == 0
        stage.clock.now_s += APPROVAL_S
        assert await stage.stores.approvals.expire() == 1
        stage.worker.wake()
        await ended(stage)
    assert notes.calls == []
    assert stage.replies.opened[-1].end is not None
    assert stage.replies.opened[-1].end.notice.startswith(texts.approvals.expired_text(["call"]))


async def test_call_is_not_made_if_its_definition_changed_after_it_was_shown(notes: NotesServer) -> None:
    left = await alone(notes, asking(MILK), ANSWER)
    notes.definition_hash = "second"
    stage = await resumed(left, notes, asking(MILK), ANSWER)
    assert notes.calls == []
    assert "has changed" in results_in(prompts_of(stage)[0])[0]


class AllowedAlways(InMemory):
    """Records in a channel where an admin always allows the tool that writes, as it was first defined."""

    async def always_allowed(self, thread: ThreadKey) -> Mapping[str, str]:
        return {WRITE: "first"}


@pytest.mark.parametrize(("definition_hash", "calls"), [("first", 1), ("second", 0)])
async def test_always_allowed_tool_is_called_unasked_until_its_definition_changes(
    notes: NotesServer, definition_hash: str, calls: int
) -> None:
    notes.definition_hash = definition_hash
    await alone(notes, asking(MILK), ANSWER, records=AllowedAlways())
    assert len(notes.calls) == calls


@pytest.mark.parametrize(
    ("steps", "calls"),
    [((asking(MILK),), [(WRITE, {"text": "Milk"})]), ((asking(LIST), asking(MILK)), [(READ, {})])],
    ids=["before anything untrusted was read", "after a tool's result"],
)
async def test_allowed_write_runs_unasked_only_before_anything_untrusted_was_read(
    notes: NotesServer, steps: tuple[tuple[StreamEvent, ...], ...], calls: list[Any]
) -> None:
    notes.rules = {**RULES, WRITE: ToolRule(Permission.ALLOW)}
    await alone(notes, *steps, ANSWER)
    assert notes.calls == calls


@pytest.mark.parametrize(
    ("rules", "from_bot", "kind", "names"),
    [
        (RULES, False, UserKind.MEMBER, [READ, WRITE, choices.TOOL_NAME]),
        (RULES, False, UserKind.GUEST, [READ, choices.TOOL_NAME]),
        (RULES, False, UserKind.EXTERNAL, [READ, choices.TOOL_NAME]),
        (RULES, True, UserKind.MEMBER, [READ]),
        ({}, False, UserKind.MEMBER, [choices.TOOL_NAME]),
        ({}, True, UserKind.MEMBER, []),
    ],
)
async def test_only_members_get_tools_that_write_and_only_people_get_choices(
    rules: dict[str, ToolRule], from_bot: bool, kind: UserKind, names: list[str]
) -> None:
    """A bot gets neither, whatever Slack says of its account."""
    async with staged(NotesServer(rules), ANSWER) as stage:
        stage.accounts.kind_of_all = kind
        offer = await stage.answering.steps.tool_calls.offer(
            Job(1, replace(QUESTION, is_from_bot=from_bot), attempts=1)
        )
    assert [tool.name for tool in offer.definitions] == names


@pytest.mark.parametrize("kind", [UserKind.GUEST, UserKind.EXTERNAL, None])
async def test_write_is_not_made_unless_slack_says_then_that_its_asker_is_a_member(
    notes: NotesServer, kind: UserKind | None
) -> None:
    notes.rules = {**RULES, WRITE: ToolRule(Permission.ALLOW)}
    async with staged(notes, asking(MILK), asking(LIST), ANSWER) as stage:
        stage.accounts.kind_at_calls = lambda: kind
        await ended(stage)
    assert notes.calls == [(READ, {})], "reading needs no member"
    assert results_in(prompts_of(stage)[1]) == [NOT_A_MEMBER]


@pytest.mark.parametrize(
    ("call", "calls", "result"),
    [(LIST, 2, "notes__list returned."), (MILK, 1, "It isn't known whether this call was made")],
    ids=["read-only", "writing"],
)
async def test_call_that_was_under_way_at_a_take_over_is_repeated_only_if_read_only(
    call: ToolCall, calls: int, result: str
) -> None:
    notes = NotesServer({**RULES, WRITE: ToolRule(Permission.ALLOW)}, held=True)
    async with staged(notes, asking(call), ANSWER) as stage:
        await notes.begun.wait()
        notes.may_end.set()
        await take_over(stage)
    assert len(notes.calls) == calls
    assert results_in(prompts_of(stage)[-1])[0].startswith(result)
    assert len(prompts_of(stage)) == 2, "the recorded step is not asked for again"


async def test_later_steps_and_attempts_read_what_was_written_before_and_after_an_interruption(
    notes: NotesServer,
) -> None:
    step = asking(MILK, text="The end.")
    async with staged(notes, step, asking(LIST), ANSWER, model=InterruptedModel) as stage:
        await stage.until(lambda: any(attempt.answer.text for attempt in stage.attempts), "the model has written")
        await take_over(stage, Decision.APPROVED)
    told = [sum(turn.instruction == GO_ON_REQUEST for turn in prompt.turns) for prompt in prompts_of(stage)]
    assert told == [0, 1, 1, 1], "once, however many steps follow"
    begun = [("assistant", LONG.strip()), ("user", GO_ON), ("assistant", "The end.")]
    for prompt in prompts_of(stage)[2:]:
        assert [(turn.role, turn.text) for turn in prompt.turns[1:4]] == begun


@pytest.mark.parametrize("rules", [RULES, {}], ids=["others are there", "none is there"])
async def test_model_reads_which_tools_it_does_not_have_now(rules: dict[str, ToolRule]) -> None:
    stage = await alone(NotesServer(rules, missing="Tools of github can't be reached now."), ANSWER)
    [prompt] = prompts_of(stage)
    assert "Tools of github can't be reached now.\n[" in prompt.turns[-1].text


@dataclass
class BrokenServer(NotesServer):
    """A server whose calls end as `ending` says."""

    ending: Callable[[], Awaitable[CallResult]] | None = None

    async def call(self, use: ToolUse) -> CallResult:
        assert self.ending
        return await self.ending()


async def unanswered() -> CallResult:
    await asyncio.Event().wait()
    raise AssertionError("nothing sets it")


async def broken() -> CallResult:
    raise RuntimeError("a secret of the server")


async def lost() -> CallResult:
    return CallResult(CallState.UNKNOWN, "The connection was lost.")


@pytest.mark.parametrize(
    ("call", "state", "read"),
    [(MILK, CallState.UNKNOWN, "may or may not have happened. {failure}"), (LIST, CallState.FAILED, "{failure}")],
    ids=["writing", "read-only"],
)
@pytest.mark.parametrize(
    ("ending", "failure"),
    [
        (lost, "The connection was lost."),
        (unanswered, "The tool did not answer within 60 s."),
        (broken, "The tool failed."),
    ],
    ids=["lost", "unanswered", "broken"],
)
async def test_call_whose_end_is_not_known_may_have_been_made_if_it_writes(
    monkeypatch: pytest.MonkeyPatch,
    ending: Callable[[], Awaitable[CallResult]],
    failure: str,
    call: ToolCall,
    state: CallState,
    read: str,
) -> None:
    monkeypatch.setattr(tool_calls, "CANCEL_NOTICE_S", 0.05 - CALL_TIMEOUT_S)
    server = BrokenServer({**RULES, WRITE: ToolRule(Permission.ALLOW)}, ending=ending)
    stage = await alone(server, asking(call), ANSWER)
    [recorded] = stage.calls
    assert recorded.state is state
    assert read.format(failure=failure) in results_in(prompts_of(stage)[1])[0]


class LongServer(NotesServer):
    """Its calls take twice their limit, and tell of their progress meanwhile."""

    async def call(self, use: ToolUse) -> CallResult:
        for _ in range(60):
            await asyncio.sleep(0.02)
            use.on_progress()
        return CallResult(CallState.DONE, "Done.")


async def test_call_that_makes_progress_goes_on_behind_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool_calls, "CANCEL_NOTICE_S", 0.6 - CALL_TIMEOUT_S)
    stage = await alone(LongServer(RULES), asking(LIST), ANSWER)
    [recorded] = stage.calls
    assert (recorded.state, recorded.result) == (CallState.DONE, "Done.")


class UnheardCommits(RecordedCalls):
    """Records of which each first beginning of a call is committed, but its answer is lost."""

    async def begin_call(self, job: Job, call: RecordedCall) -> bool:
        await super().begin_call(job, call)
        return await super().begin_call(job, call)


@pytest.mark.parametrize(
    ("call", "made", "state"),
    [(MILK, [], CallState.UNKNOWN), (LIST, [(READ, {})], CallState.DONE)],
    ids=["writing", "read-only"],
)
async def test_write_that_began_by_a_commit_that_was_not_heard_of_is_not_made(
    notes: NotesServer, call: ToolCall, made: list[Any], state: CallState
) -> None:
    notes.rules = {**RULES, WRITE: ToolRule(Permission.ALLOW)}
    async with staged(notes, asking(call), ANSWER) as stage:
        stores = stage.stores
        stage.change(records=UnheardCommits(stores.database, stores._worker, Meter(None, ())))
        await ended(stage)
        [recorded] = await newest_calls(stores, 1)
    assert (notes.calls, recorded.state) == (made, state)


async def test_no_call_begins_once_a_stop_is_requested(notes: NotesServer) -> None:
    async with staged(notes, asking(MILK), ANSWER) as stage:
        call = await waiting(stage)
        stage.worker.stop()
        assert await decide(stage, call, Decision.APPROVED)
        [job] = await stage.stores.worker_queue.claim(1)
        assert await stage.stores.question_queue.request_stop(job.id)
        calls = stage.answering.steps.tool_calls
        with pytest.raises(JobChanged):
            await calls.make_calls(job, 0, await calls.offer(job), lambda _: None)
    assert notes.calls == []


async def test_stop_during_a_call_ends_the_answer() -> None:
    notes = NotesServer(held=True)
    async with staged(notes, asking(LIST), ANSWER) as stage:
        await notes.begun.wait()
        stage.worker.stop_answer(1)
        await ended(stage)
        row = await stage.row()
    assert row.end_reason == EndReason.STOPPED
    assert len(prompts_of(stage)) == 1


async def test_what_the_asker_writes_while_a_tool_runs_is_read_at_the_next_step() -> None:
    notes = NotesServer(held=True)
    async with staged(notes, asking(LIST), ANSWER) as stage:
        await notes.begun.wait()
        await stage.stores.question_queue.enqueue("Ev2", replace(QUESTION, ts="999995.000000", text="Only the newest"))
        await stage.stores.question_queue.enqueue("Ev3", replace(QUESTION, ts="999996.000000", user_id="U2"))
        notes.may_end.set()
        await stage.until(lambda: len(prompts_of(stage)) >= 2, "the next step is asked for")
        async with stage.stores.database.engine.connect() as connection:
            ends = (await connection.scalars(sa.select(jobs.c.end_reason).order_by(jobs.c.id))).all()
    assert prompts_of(stage)[1].turns[-1].text.endswith("Only the newest")
    assert ends[1:] == ["batched", None], "another person's question is answered in its turn"


def test_call_beside_choices_keeps_a_reason_of_its_own() -> None:
    offered = ToolCall(0, "call_1", choices.TOOL_NAME, {"question": "Which?", "choices": ["This"]})
    calls = offered, ToolCall(1, "call_2", "notes__gone", {})
    first, second = ToolCalls(NO_PORTS).plan(calls, 0, tool_calls.Offer(has_choices=True), OURS)
    assert "call no other tool in the same step" in first.result
    assert second.result == "There is no tool named 'notes__gone'."


@pytest.mark.parametrize(
    ("rule", "own", "agreed", "is_private", "state"),
    [
        (READ_ONLY_RULE, False, "", False, CallState.READY),
        (READ_ONLY_RULE, True, "", False, CallState.ASKED),
        (READ_ONLY_RULE, True, "", True, CallState.READY),
        (READ_ONLY_RULE, True, "notes", False, CallState.READY),
        (READ_ONLY_RULE, True, "other", False, CallState.ASKED),
        (ToolRule(Permission.ASK, read_only=True), True, "notes", False, CallState.ASKED),
        (ToolRule(Permission.ALLOW), True, "notes", False, CallState.ASKED),
        (ToolRule(Permission.ALLOW), True, "notes", True, CallState.READY),
        (ToolRule(Permission.DENY), True, "notes", True, CallState.DENIED),
    ],
)
def test_agreement_to_own_account_is_for_reading_calls_of_its_server(
    rule: ToolRule, own: bool, agreed: str, is_private: bool, state: CallState
) -> None:
    tool = ToolDefinition("notes__list", "", {}, rule=rule, uses_own_account=own)
    offer = tool_calls.Offer({tool.name: tool}, is_private=is_private, agreed_servers=frozenset({agreed}))
    [planned] = ToolCalls(NO_PORTS).plan([ToolCall(0, "call_1", tool.name, {})], 0, offer, OURS)
    assert planned.state is state


@dataclass
class NamedTools:
    """Has these tools; each returns the owner's name."""

    owner: str
    names: tuple[str, ...]
    calls: list[str] = field(default_factory=list)

    async def definitions(self, question: Question) -> OfferedTools:
        return OfferedTools(tuple(ToolDefinition(name, "", {}) for name in self.names))

    async def call(self, use: ToolUse) -> CallResult:
        self.calls.append(use.tool)
        return CallResult(CallState.DONE, self.owner)


@pytest.fixture
def ours() -> NamedTools:
    return NamedTools("ours", ("slack__search",))


@pytest.fixture
def theirs() -> NamedTools:
    return NamedTools("theirs", ("github__list", "slack__search", "slack__post", "search"))


async def test_no_other_tool_can_have_the_name_of_ours(ours: NamedTools, theirs: NamedTools) -> None:
    definitions = (await Toolbox({"slack": ours}, theirs).definitions(QUESTION)).definitions
    assert [tool.name for tool in definitions] == ["slack__search", "github__list", "search"]


@pytest.mark.parametrize(
    ("tool", "owner"),
    [
        ("slack__search", "ours"),
        ("slack__post", "ours"),
        ("github__list", "theirs"),
        ("search", "theirs"),
        ("slackish__search", "theirs"),
    ],
)
async def test_call_goes_to_the_tools_that_have_it(ours: NamedTools, theirs: NamedTools, tool: str, owner: str) -> None:
    toolbox = Toolbox({"slack": ours}, theirs)
    assert (await toolbox.call(ToolUse(QUESTION, tool, "", {}, timeout_s=1))).text == owner
    assert ours.calls + theirs.calls == [tool]


@dataclass
class Approvals:
    """What each search finds; then `over` is set."""

    found: list[int | StoreError]
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def expire(self) -> int:
        if not self.found:
            self.over.set()
            await asyncio.Event().wait()
        found = self.found.pop(0)
        if isinstance(found, StoreError):
            raise found
        return found


async def test_search_is_repeated_and_says_what_it_found(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    approvals, clock = Approvals([StoreError("away"), 0, 2]), InstantClock()
    searching = asyncio.create_task(expire_approvals(approvals.expire, clock))
    await asyncio.wait_for(approvals.over.wait(), WITHIN_S)
    searching.cancel()
    assert clock.sleeps == [EXPIRE_EVERY_S] * 3
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "approvals: database unavailable, retrying in 30 s: away",
        "approvals: expired, answers continue without them: 2",
    ]
