"""The steps of an answer: what is recorded of each, what its thread's status says, and who goes on with the job."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import pytest
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families

from bot.core import texts
from bot.core.beginnings import PrefixHash
from bot.core.calls import Decision, tool_label
from bot.core.caps import parse_caps
from bot.core.conversation import Question
from bot.core.job import Checkpoint, Job
from bot.core.outbox import OutboxKind
from bot.core.steps import MADE_BEFORE
from bot.core.surfaces import Visibility
from bot.errors import EndReason, ProviderError
from bot.models.events import SEARCH_RESULT_TOKENS, Loading, Searching, StreamEvent, Thinking, Usage
from bot.models.prices import ModelPrices
from bot.models.prompt import ASKERS, WEB, Permission, Prompt, ToolRule, WebSearch
from bot.reply.answer import Answer
from bot.reply.messages import Life
from bot.services.answer_attempt import AnswerAttempt
from bot.services.pane import AssistantPane, Signs
from bot.store import Stores
from bot.store.rows import messages_of
from bot.store.schema import charges
from bot.telemetry_sdk import open_sdk
from slack_sandbox.testing.processes import WITHIN_S
from tests.clocks import InstantClock, turns
from tests.recorded_calls import newest_calls
from tests.services.answering import BEGAN_S, MESSAGES, MODEL, MODEL_NAME, QUESTION, AnsweringStage, MemoryModel
from tests.services.notes import (
    ANSWER,
    LIST,
    MILK,
    RULES,
    WRITE,
    NotesServer,
    StepModel,
    alone,
    answered,
    asking,
    decide,
    ended,
    hand_over,
    prompts_of,
    staged,
    take_over,
    waiting,
)
from tests.services.parts import having
from tests.services.test_tool_calls import LONG

EDITED = replace(QUESTION, text="Why not?")
UNASKED = {**RULES, WRITE: ToolRule(Permission.ALLOW)}
"""Rules by which writes need no approval."""


@pytest.mark.parametrize(
    ("written", "recorded"),
    [
        (("One.", "Two."), ["One.", "One.\n\nTwo."]),
        (("", "Two."), ["", "Two."]),
        (("One.", "", "Three."), ["One.", "One.", "One.\n\nThree."]),
    ],
)
async def test_text_of_each_step_begins_a_paragraph_below_the_text_before_it(
    written: Sequence[str], recorded: Sequence[str]
) -> None:
    *lists, last = written
    left = await alone(NotesServer(), *(asking(LIST, text=text) for text in lists), asking(MILK, text=last), ANSWER)
    assert [left.answered.text[: step.chars] for step in left.records.steps] == recorded
    assert left.answered.text == recorded[-1]


async def test_step_of_a_continued_answer_follows_the_answer_so_far() -> None:
    so_far = "Begun, but not ended.\n\n"
    job = Job(1, QUESTION, 1, continued_text=so_far, checkpoint=Checkpoint(so_far))
    whole = await alone(NotesServer(), asking(LIST, text="More."), ANSWER, asked=job)
    [step] = whole.records.steps
    assert whole.answered.text == f"{so_far}More.\n\nAll done."
    assert whole.answered.text[: step.chars] == f"{so_far}More."


async def test_step_has_the_origins_that_the_model_had_read_and_a_write_after_a_search_is_asked_about() -> None:
    server = NotesServer(UNASKED)
    [step] = (await alone(server, (Searching("milk"), *asking(MILK)), ANSWER)).records.steps
    assert (step.origins, server.calls) == (ASKERS | WEB, [])


async def test_step_that_an_edit_outdates_is_not_gone_on_with() -> None:
    async with staged(NotesServer(), asking(LIST), ANSWER) as stage:
        assert isinstance(stage.model, StepModel)
        stage.model.meanwhile = lambda: stage.stores.question_queue.edit(EDITED, "999991.000000")
        await ended(stage)
        row = await stage.row()
    outdated, answered = stage.replies.opened
    assert (outdated.end, outdated.is_abandoned) == (None, True)
    assert (row.version, row.end_reason) == (1, EndReason.WHOLE)
    assert [prompt.turns[1:] == () for prompt in prompts_of(stage)] == [True, True, False]
    assert "Why not?" in prompts_of(stage)[1].turns[0].text
    assert answered.end is not None


async def test_text_on_record_with_its_step_is_not_recorded_again() -> None:
    tools = NotesServer(held=True)
    async with staged(tools, asking(LIST), ANSWER) as stage:
        await tools.begun.wait()
        assert stage.attempts[0].answer.text == "Let me see."
        assert stage.attempts[0].answer.piece_to_record() is None
        tools.may_end.set()
        await ended(stage)


@dataclass
class InterruptedStep(StepModel):
    """Streams some text of a step, and never ends that request."""

    text: str = LONG
    after: int = 1
    """How many requests end before that one."""

    async def stream(self, prompt: Prompt) -> AsyncGenerator[StreamEvent, None]:
        if len(self.prompts) == self.after:
            self.prompts.append(prompt)
            yield self.text
            await asyncio.Event().wait()
        async for event in super().stream(prompt):
            yield event


async def test_take_over_in_the_middle_of_a_later_step_goes_on_in_the_same_paragraph() -> None:
    async with staged(NotesServer(), asking(LIST), ("the end.", *ANSWER[-1:]), model=InterruptedStep) as stage:
        await stage.until(lambda: any(LONG in attempt.answer.text for attempt in stage.attempts), "it has written")
        await take_over(stage)
    assert stage.attempts[-1].answer.text == f"Let me see.\n\n{LONG}the end."


async def test_step_with_less_text_than_an_earlier_attempt_left_stays_whole_after_an_approval() -> None:
    model = partial(InterruptedStep, text="I'll look for it. Then", after=0)
    async with staged(NotesServer(), asking(MILK), ANSWER, model=model) as stage:
        await stage.until(lambda: any(attempt.answer.text for attempt in stage.attempts), "it has written")
        await take_over(stage, Decision.APPROVED)
    assert [attempt.answer.text for attempt in stage.attempts][1:] == ["Let me see.", "Let me see.\n\nAll done."]


@dataclass
class FailingAfterTools(StepModel):
    """Fails after its first step: one request after another in these ways, and the rest as the last one."""

    failures: Sequence[EndReason | None] = ()
    """None: the request doesn't fail."""

    async def stream(self, prompt: Prompt) -> AsyncGenerator[StreamEvent, None]:
        failure = self.failures[min(len(self.prompts), len(self.failures)) - 1] if self.prompts else None
        async for event in super().stream(prompt):
            if failure:
                raise ProviderError(failure, MODEL)
            yield event


SILENT = texts.models.silent_after_tools(MODEL_NAME)
STOPPED = texts.models.actions_stopped_text(MODEL_NAME, {tool_label(LIST.name): 1}, "")
EMPTY, REFUSED = EndReason.EMPTY, EndReason.REFUSED


@pytest.mark.parametrize(
    ("text", "failures", "requests", "answer", "reason", "notice"),
    [
        ("", (EMPTY, None), 3, "All done.", EndReason.WHOLE, ""),
        ("Let me see.", (EMPTY, None), 3, "Let me see.\n\nAll done.", EndReason.WHOLE, ""),
        ("Let me see.", (EMPTY,), 3, "Let me see.", EndReason.WHOLE, ""),
        ("", (EMPTY,), 3, "", EMPTY, SILENT),
        ("", (EMPTY, EndReason.OVERLOADED), 3, "", EMPTY, SILENT),
        ("", (REFUSED,), 2, "", REFUSED, texts.models.model_failure(REFUSED, MODEL_NAME)),
        ("", (EndReason.MISALIGNED,), 2, "", EndReason.MISALIGNED, STOPPED),
        ("", (EMPTY, EndReason.MISALIGNED), 3, "", EndReason.MISALIGNED, STOPPED),
    ],
)
async def test_model_that_writes_nothing_about_results_is_asked_to_go_on_once(
    text: str, failures: Sequence[EndReason | None], requests: int, answer: str, reason: EndReason, notice: str
) -> None:
    notes = NotesServer()
    left = await alone(notes, asking(LIST, text=text), ANSWER, model=partial(FailingAfterTools, failures=failures))
    assert (left.answered.end.reason, left.answered.text) == (reason, answer)
    assert [one.text for one in left.answered.end.notices if one.text] == ([notice] if notice else [])
    assert [prompt.turns[-1].text for prompt in prompts_of(left)][2:] == ["Go on."] * (requests - 2)
    assert (len(prompts_of(left)), len(notes.calls)) == (requests, 1)


async def test_model_that_calls_a_tool_when_asked_to_go_on_is_asked_no_second_time() -> None:
    notes, model = NotesServer(), partial(FailingAfterTools, failures=(EMPTY, None, EMPTY))
    left = await alone(notes, asking(LIST, text=""), asking(replace(LIST, call_id="call_2"), text=""), model=model)
    assert (left.answered.end.reason, len(prompts_of(left)), len(notes.calls)) == (EMPTY, 4, 2)
    _, silent, asked, later = [prompt.turns for prompt in prompts_of(left)]
    assert (asked[:-1], later[: len(silent)]) == (silent, silent)
    assert not any(turn.text == "Go on." for turn in later)
    assert left.records.steps[-1].prefix_hash != str(PrefixHash(replace(prompts_of(left)[1], turns=silent)))


async def test_new_version_is_told_which_calls_an_earlier_one_has_made_and_writes_nothing_unasked() -> None:
    async with staged(NotesServer(UNASKED), asking(MILK), ANSWER) as stage:
        await ended(stage)
        await stage.stores.question_queue.regenerate(1)
        stage.worker.wake()
        await waiting(stage)
    told = [MADE_BEFORE in prompt.turns[0].instruction for prompt in prompts_of(stage)]
    assert told == [False, False, True]


@pytest.mark.parametrize(
    ("life", "end_reason"), [(Life.UNSHOWN, EndReason.NOT_SHOWN), (Life.GONE, EndReason.REPLY_GONE)]
)
async def test_reply_that_slack_no_longer_shows_asks_nobody(life: Life, end_reason: EndReason) -> None:
    async with staged(NotesServer(), asking(MILK), ANSWER) as stage:

        async def refuse() -> None:
            stage.replies.opened[0].reply.life = life

        stage.replies.when_asked = refuse
        await ended(stage)
        row = await stage.row()
    assert (row.end_reason, len(prompts_of(stage))) == (end_reason, 1)


async def test_session_of_an_answer_says_whether_an_approval_is_waited_for() -> None:
    async with staged(NotesServer(), asking(MILK), ANSWER) as stage:
        stage.pane.has_sessions = True
        stage.answering.workspace.me = replace(stage.answering.workspace.me, has_pane=True)
        await waiting(stage)
        await stage.until(lambda: len(stage.pane.ended) == 1, "the first session has ended")
        assert await stage.stores.question_queue.request_stop(1)
        stage.worker.wake()
        await ended(stage)
        await stage.until(lambda: len(stage.pane.ended) == 2, "the second session has ended")
    assert stage.pane.ended == [True, False]


async def test_process_that_ends_while_a_reply_asks_leaves_the_job_to_the_person_who_decides() -> None:
    async with staged(NotesServer(), asking(MILK), ANSWER) as stage:
        handing_over = []

        async def end_process() -> None:
            handing_over.append(asyncio.create_task(hand_over(stage)))
            await turns()

        stage.replies.when_abandoned = end_process
        await waiting(stage)
        await handing_over[0]


@pytest.mark.parametrize("is_deleted", [False, True], ids=["stopped", "question deleted"])
async def test_stop_of_a_job_that_waits_goes_with_its_claim(is_deleted: bool) -> None:
    """No heartbeat brings it: the worker here sends none."""
    async with staged(NotesServer(), asking(MILK, text="I'll note it."), ANSWER) as stage:
        await waiting(stage)
        assert stage.replies.opened[0].is_abandoned
        assert messages_of(await stage.row()) == MESSAGES
        queue, thread = stage.stores.question_queue, QUESTION.thread
        if is_deleted:
            assert await queue.delete(thread.team_id, thread.channel_id, QUESTION.ts)
        else:
            assert await queue.request_stop(1)
        stage.worker.wake()
        await ended(stage)
        row = await stage.row()
    _, last = stage.replies.opened
    assert last.end is not None
    assert (row.attempts, row.end_reason, last.end.reason) == (2, "stopped", EndReason.STOPPED)
    assert len(prompts_of(stage)) == 1


async def test_job_whose_calls_are_decided_while_the_reply_asks_goes_on() -> None:
    async with staged(NotesServer(), asking(MILK), ANSWER) as stage:

        async def approve() -> None:
            [call] = await newest_calls(stage.stores, 1)
            assert await decide(stage, call, Decision.APPROVED)

        stage.replies.when_asked = approve
        await ended(stage)
        row = await stage.row()
    assert (row.attempts, row.end_reason) == (2, EndReason.WHOLE)


@pytest.mark.parametrize(("done_mention_s", "kinds"), [(60, [OutboxKind.SIDE_MESSAGES]), (0, [])])
async def test_asker_is_mentioned_once_a_call_has_waited_long_for_their_approval(
    done_mention_s: int, kinds: list[OutboxKind]
) -> None:
    async with staged(NotesServer(), asking(MILK), ANSWER) as stage:
        settings = replace(stage.answering.settings, done_mention_s=done_mention_s)
        stage.answering = replace(stage.answering, settings=settings)
        await waiting(stage)
        stage.clock.now_s = BEGAN_S + 59.0
        assert await stage.stores.outbox.claim_due(5) == []
        stage.clock.now_s = BEGAN_S + 61.0
        assert [entry.kind for entry in await stage.stores.outbox.claim_due(5)] == kinds


async def test_charge_of_each_step_is_counted_also_before_an_approval() -> None:
    with open_sdk(with_metrics=True, traces_url="") as telemetry:
        async with staged(NotesServer(), asking(LIST), asking(MILK), ANSWER) as stage:
            workspace = having(stage.workspace, telemetry=telemetry)
            stage.change(workspace=workspace, telemetry=telemetry)
            assert await decide(stage, await waiting(stage), Decision.APPROVED)
            await ended(stage)
            [report] = stage.reports
            used = sa.select(charges.c.model, charges.c.input_tokens, charges.c.output_tokens).order_by(charges.c.id)
            async with stage.stores.database.engine.connect() as connection:
                steps = (await connection.execute(used)).all()
        assert telemetry.scrape
        families = list(text_string_to_metric_families(telemetry.scrape().decode()))
    samples = [sample for family in families for sample in family.samples]
    [counted] = [sample.value for sample in samples if sample.name == "typist_cost_usd_total"]
    usd = [ModelPrices().cost_usd(model, Usage(*tokens), BEGAN_S) or 0.0 for model, *tokens in steps]
    assert len(usd) == 3
    assert (report.cost_usd, counted) == pytest.approx((usd[-1], sum(usd)))


BEGUN = "999980.000000"
"""The first message of a thread, before the question."""


@pytest.mark.parametrize(
    ("channel_id", "thread_ts", "group", "uses_all", "streamed"),
    [
        ("C1", BEGUN, "nobody else", False, [1]),
        ("C1", BEGUN, "nobody else", True, [1]),
        ("C1", BEGUN, "others", False, []),
        ("C1", BEGUN, "unknown", False, []),
        ("C1", QUESTION.ts, "unknown", False, [1]),
        ("D1", BEGUN, "others", False, [1]),
        ("D1", None, "nobody else", False, []),
    ],
    ids=["alone", "with tools and search", "in a group", "not known", "in a new thread", "in the pane", "without one"],
)
async def test_answer_is_streamed_only_if_all_readers_see_it_grow(
    channel_id: str, thread_ts: str | None, group: str, uses_all: bool, streamed: list[int]
) -> None:
    thread = replace(QUESTION.thread, channel_id=channel_id, thread_ts=thread_ts)
    tools = NotesServer(RULES if uses_all else {})
    async with staged(tools, ANSWER, question=replace(QUESTION, thread=thread)) as stage:
        stage.replies.may_open.clear()
        let_search(stage, WebSearch() if uses_all else None)
        if group == "others":
            await stage.stores.participants.mark_group(thread, "999989.000000")
        if group == "unknown":
            async with stage.stores.database.engine.begin() as connection:
                await connection.execute(sa.text("ALTER TABLE group_threads RENAME TO away"))
        stage.replies.may_open.set()
        await ended(stage)
        row = await stage.row()
    assert (row.end_reason, stage.replies.streamed) == (EndReason.WHOLE, streamed)


def let_search(stage: AnsweringStage, web_search: WebSearch | None) -> None:
    stage.change(prompt_settings=replace(stage.answering.steps.prompt_settings, web_search=web_search))


@pytest.mark.parametrize(
    ("web_search", "most_tokens"), [(None, 0), (WebSearch(), SEARCH_RESULT_TOKENS)], ids=["no search", "search"]
)
async def test_quota_is_reserved_for_what_a_search_may_find(web_search: WebSearch | None, most_tokens: int) -> None:
    reserved: list[int] = []
    async with staged(NotesServer({}), ANSWER) as stage:
        assert isinstance(stage.model, StepModel)

        async def look() -> None:
            async with stage.stores.database.engine.connect() as connection:
                reserved.extend(await connection.scalars(sa.select(charges.c.reserved_tokens)))

        stage.model.meanwhile = look
        let_search(stage, web_search)
        quota = replace(stage.answering.quota, caps=parse_caps("user/day=1000000tokens"))
        stage.change(quota=quota, spending=quota)
        await ended(stage)
    [tokens] = reserved
    assert most_tokens < tokens < most_tokens + 2_000


async def until_status(stage: AnsweringStage, status: str) -> list[str]:
    """Waits until a status is sent; returns those before it."""
    before = []
    async with asyncio.timeout(WITHIN_S):
        while (sent := await stage.pane.sent.get()) != status:
            before.append(sent)
    return before


@pytest.mark.skips_waits
@pytest.mark.parametrize(
    ("events", "status"),
    [
        ((), texts.statuses.STATUS_THINKING),
        ((), texts.statuses.STATUS_TAKES_LONG),
        ((Thinking(9),), texts.statuses.STATUS_TAKES_LONG),
        ((Loading(),), texts.statuses.STATUS_LOADING),
        ((Loading(), Loading(ended=True)), texts.statuses.STATUS_TAKES_LONG),
        ((Searching(),), texts.statuses.status_searching("")),
        ((Searching("bots"),), texts.statuses.status_searching("bots")),
        ((Thinking(ended=True, progress="Looking for\nPROJ-12."),), "is working: Looking for PROJ-12…"),
        ((Searching("bots"), Searching(done=True)), texts.statuses.status_searching("bots")),
        ((Searching(), Searching("bots", done=True)), texts.statuses.status_searching("bots")),
        ((Searching("bots"), "Because"), texts.statuses.STATUS_WRITING),
        (("Because", Searching("bots")), texts.statuses.status_searching("bots")),
    ],
)
async def test_status_says_what_the_model_does(events: Sequence[StreamEvent], status: str) -> None:
    clock = InstantClock(BEGAN_S)
    stores = await Stores.open("sqlite://", "w1", clock)
    stage = AnsweringStage(stores, clock, MemoryModel((*events, *ANSWER[-1:])))
    stage.replies.may_open.set()
    stage.replies.may_finish.set()
    await stores.question_queue.enqueue("Ev1", QUESTION)
    [job] = await stores.worker_queue.claim(1)
    answering = asyncio.create_task(stage.answering.answer(AnswerAttempt(Answer(job), clock.monotonic())))
    # A thread's first status waits a tenth of a second for the next one.
    assert set(await until_status(stage, status)) <= {texts.statuses.STATUS_THINKING}
    stage.model.may_end.set()
    await answering
    assert await until_status(stage, "") == []
    await stores.close()


@dataclass
class SlowStep(StepModel):
    """Streams the first step at once, and nothing of the second one before `may_end`."""

    async def stream(self, prompt: Prompt) -> AsyncGenerator[StreamEvent, None]:
        if self.prompts:
            self.prompts.append(prompt)
            await self.may_end.wait()
        async for event in super().stream(prompt):
            yield event


@pytest.mark.parametrize("signs", [Signs(), Signs(Visibility.SEEN), Signs(has_stop_button=True)])
async def test_reply_opens_beside_the_signs_that_slack_shows(monkeypatch: pytest.MonkeyPatch, signs: Signs) -> None:
    async def begin(_: AssistantPane, question: Question, *, is_first: bool, has_message: bool) -> Signs:
        assert is_first, "no earlier attempt can have left a session"
        assert not has_message
        return signs

    monkeypatch.setattr(AssistantPane, "begin", begin)
    stage = await answered(NotesServer(), ANSWER)
    assert stage.replies.signs == [signs]


@pytest.mark.skips_waits
async def test_status_names_the_tool_that_runs_and_then_says_that_the_model_thinks() -> None:
    tools = NotesServer(held=True)
    async with staged(tools, asking(LIST), ANSWER, model=SlowStep) as stage:
        stage.model.may_end.clear()
        # A thread's first status waits a tenth of a second for the next one. Beside other load, more time may pass.
        before = await until_status(stage, texts.statuses.status_running("Using notes: List…"))
        assert before == [
            status for status in (texts.statuses.STATUS_THINKING, texts.statuses.STATUS_WRITING) if status in before
        ]
        tools.may_end.set()
        assert await until_status(stage, texts.statuses.STATUS_THINKING) == []
        stage.model.may_end.set()
        await ended(stage)
        assert await until_status(stage, "") == []
