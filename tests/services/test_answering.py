"""One attempt at a job: what is recorded at each of its ends, with a real database and a manual clock."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import sqlalchemy as sa

from bot.core import choices, texts
from bot.core.access import UserKind
from bot.core.actions import ReplyAction
from bot.core.canvases import CANVAS_RULE
from bot.core.caps import parse_caps
from bot.core.channel_settings import ChannelSettings
from bot.core.conversation import File, ThreadKey
from bot.core.files import OpenedFile, unread_notice
from bot.core.job import Checkpoint, End, Job, RecordedMessage, StepEstimate, sentence_notice
from bot.core.outbox import OutboxKind
from bot.core.picture import Picture
from bot.core.steps import MIN_CHARS
from bot.core.surfaces import Visibility
from bot.core.texts.files import Unread
from bot.errors import EndReason, ProviderError
from bot.models.events import (
    Citation,
    Completion,
    FinishReason,
    Retrying,
    Searching,
    StreamEvent,
    Thinking,
    ToolCall,
    Usage,
)
from bot.models.prices import ModelPrices
from bot.models.prompt import ASKERS, OURS, Effort
from bot.reply.answer import HIDDEN_TOKENS_PER_S, Answer
from bot.reply.messages import Life, VisibleReply
from bot.services.answer_attempt import AnswerAttempt, Phase
from bot.services.steps import CONTINUE_AFTER_S
from bot.store import Stores
from bot.store.rows import messages_of
from bot.store.schema import jobs
from bot.store.worker_queue import WorkerQueue
from slack_sandbox.testing.processes import WITHIN_S
from tests.charged_turns import CHARGED_TURNS
from tests.clocks import InstantClock, turns, until
from tests.core.conversations import recorded_pages
from tests.services.answering import (
    BEGAN_S,
    DONE,
    MESSAGES,
    MODEL,
    MODEL_NAME,
    PAGES,
    QUESTION,
    AnsweringStage,
    MemoryReplies,
    MemoryReply,
)
from tests.services.parts import ME, having


@asynccontextmanager
async def one_question(clock: InstantClock) -> AsyncIterator[AnsweringStage]:
    """Yields a stage with one question, whose worker doesn't run."""
    stores = await Stores.open("sqlite://", "w1", clock)
    await stores.question_queue.enqueue("Ev1", QUESTION)
    yield AnsweringStage(stores, clock)
    await stores.close()


@pytest.fixture
async def stage() -> AsyncIterator[AnsweringStage]:
    """A stage whose worker runs. The test opens what Slack and the model do."""
    async with one_question(InstantClock(BEGAN_S)) as stage:
        running = asyncio.create_task(stage.worker.run())
        yield stage
        stage.worker.stop()
        await stage.worker.hand_over()
        await asyncio.wait((running,))


@pytest.fixture
async def alone() -> AsyncIterator[AnsweringStage]:
    """A stage whose worker does not run. Slack and the model answer at once."""
    async with one_question(InstantClock(BEGAN_S)) as stage:
        stage.open_all()
        yield stage


async def opening(stage: AnsweringStage) -> None:
    await stage.until(lambda: stage.replies.opening == 1, "the placeholder is being posted")


async def writing(stage: AnsweringStage) -> None:
    """Lets the reply open and finish, and waits until the model has written."""
    stage.replies.may_open.set()
    stage.replies.may_finish.set()
    await stage.model.speaks.wait()


async def with_life(stage: AnsweringStage) -> None:
    await stage.until(lambda: bool(stage.reports), "the answer has ended")


async def turns_of(stage: AnsweringStage) -> Sequence[sa.Row[Any]]:
    async with stage.stores.database.engine.connect() as connection:
        return (await connection.execute(CHARGED_TURNS)).all()


async def rename_jobs(stage: AnsweringStage, name: str, new_name: str) -> None:
    async with stage.stores.database.engine.begin() as connection:
        await connection.execute(sa.text(f"ALTER TABLE {name} RENAME TO {new_name}"))


async def test_stop_while_the_end_is_being_shown_leaves_the_answer_whole(stage: AnsweringStage) -> None:
    stage.replies.may_open.set()
    stage.model.may_end.set()
    await stage.until(lambda: any(reply.end for reply in stage.replies.opened), "the end is being shown")
    stage.worker.stop_answer(stage.attempts[0].job.id)
    await turns()
    stage.replies.may_finish.set()
    await stage.ended()
    row = await stage.row()
    assert (row.status, row.end_reason) == ("ended", EndReason.WHOLE)
    assert not stage.replies.opened[0].is_abandoned, "the end was shown to its end"


async def test_stop_while_the_model_writes_ends_the_answer_with_its_text_so_far(stage: AnsweringStage) -> None:
    await writing(stage)
    stage.worker.stop_answer(stage.attempts[0].job.id)
    await stage.ended()
    assert stage.model.hung_up, "the stream must be closed, so that the vendor stops billing"
    assert (await stage.row()).end_reason == EndReason.STOPPED
    assert seen(stage.replies.opened[0].end) == words(EndReason.STOPPED, footer=MODEL_NAME)
    [report] = stage.reports
    assert report.end.usage is not None, "what the model wrote counts by estimate"
    assert report.end.usage.output_tokens > 0


async def test_stop_while_the_model_thinks_in_silence_counts_its_thinking(stage: AnsweringStage) -> None:
    stage.model.events = (Thinking(),)
    await writing(stage)
    stage.clock.now_s += 2.0
    stage.worker.stop_answer(stage.attempts[0].job.id)
    await stage.ended()
    [report] = stage.reports
    assert report.end.usage is not None
    assert report.end.usage.output_tokens >= 2.0 * HIDDEN_TOKENS_PER_S


async def test_stop_before_the_model_is_asked_asks_no_model(stage: AnsweringStage) -> None:
    await opening(stage)
    stage.worker.stop_answer(stage.attempts[0].job.id)
    stage.open_all()
    await stage.ended()
    assert stage.model.prompts == []
    assert (await stage.row()).end_reason == EndReason.STOPPED
    assert seen(stage.replies.opened[0].end) == words(EndReason.STOPPED, texts.answers.STOPPED)


async def test_hand_over_releases_the_job_with_the_text_so_far(stage: AnsweringStage) -> None:
    await writing(stage)
    stage.worker.stop()
    await stage.worker.hand_over()
    assert stage.replies.opened[0].is_abandoned
    row = await stage.row()
    assert (row.status, row.worker, row.end_reason) == ("queued", None, None)
    assert messages_of(row) == MESSAGES
    [job] = await stage.stores.worker_queue.claim(1)
    assert job.checkpoint.text == "Because."
    assert stage.reports == []


async def test_lost_job_is_left_to_the_process_that_took_it_over(stage: AnsweringStage) -> None:
    await writing(stage)
    stage.worker.stop()
    async with stage.stores.database.engine.begin() as connection:
        await connection.execute(sa.update(jobs).values(attempts=2))
    beating = asyncio.create_task(stage.worker.send_heartbeats())
    await stage.ended()
    beating.cancel()
    assert stage.attempts[0].phase is Phase.LOST
    row = await stage.row()
    assert (row.status, row.attempts, row.end_reason) == ("running", 2, None)
    assert stage.replies.opened[0].is_abandoned


async def test_a_question_stays_queued_if_the_token_is_refused_before_the_model_is_asked(stage: AnsweringStage) -> None:
    await opening(stage)
    stage.accounts.token_refused = True
    stage.open_all()
    await stage.ended()
    assert stage.replies.opened[0].is_abandoned
    row = await stage.row()
    assert (stage.model.prompts, row.status, row.interruptions, messages_of(row)) == ([], "queued", 0, MESSAGES)
    stage.worker.wake()
    await turns()
    assert len(stage.attempts) == 1, "nothing is claimed while Slack refuses the token"
    stage.accounts.token_refused = False
    stage.worker.wake()
    await stage.until(lambda: len(stage.attempts) == 2, "the question is claimed again")
    await stage.ended()
    assert (await stage.row()).end_reason == EndReason.WHOLE
    assert len(stage.model.prompts) == 1


async def test_an_asker_whom_slack_does_not_name_because_of_the_token_is_not_denied(stage: AnsweringStage) -> None:
    stage.accounts.refuses_token = True
    await stage.ended()
    assert (await stage.row()).status == "queued"
    assert stage.accounts.sentences == []


async def test_an_answer_goes_on_if_the_token_is_refused_while_the_model_writes(stage: AnsweringStage) -> None:
    await writing(stage)
    stage.accounts.token_refused = True
    stage.open_all()
    await stage.ended()
    assert (await stage.row()).end_reason == EndReason.WHOLE


async def test_a_question_is_queued_again_however_long_the_database_is_away(stage: AnsweringStage) -> None:
    """The process runs on, so that no other one would take the job over."""
    await opening(stage)
    stage.accounts.token_refused = True
    await rename_jobs(stage, "jobs", "jobs_away")
    stage.open_all()
    await stage.until(lambda: len(stage.clock.sleeps) >= 6, "the job could not be released for a while")
    await rename_jobs(stage, "jobs_away", "jobs")
    await stage.ended()
    assert (await stage.row()).status == "queued"


DENIED_GUEST = texts.access.with_admins(texts.access.Denial.GUEST, ["<@UADMIN>"])


async def test_denied_asker_gets_an_explanation_and_no_reply(stage: AnsweringStage) -> None:
    stage.accounts.kind_of_all = UserKind.GUEST
    stage.open_all()
    await stage.ended()
    assert (stage.replies.opening, stage.model.prompts) == (0, [])
    assert (await stage.row()).end_reason == EndReason.DENIED
    await stage.until(lambda: stage.accounts.sentences == [DENIED_GUEST], "the asker reads why")
    await stage.until(lambda: [report.end.reason for report in stage.reports] == [EndReason.DENIED], "it is reported")


@pytest.mark.parametrize(
    ("event", "kind", "expected"),
    [
        ("Slack says it", UserKind.MEMBER, EndReason.WHOLE),
        ("Slack says it", UserKind.GUEST, EndReason.DENIED),
        ("Slack never says it", None, EndReason.DENIED),
        ("stop", UserKind.MEMBER, EndReason.STOPPED),
        ("the question is deleted", UserKind.MEMBER, EndReason.STOPPED),
        ("edit", UserKind.MEMBER, EndReason.WHOLE),
    ],
)
async def test_question_waits_in_sight_until_slack_says_who_asked(
    stage: AnsweringStage, monkeypatch: pytest.MonkeyPatch, event: str, kind: UserKind | None, expected: EndReason
) -> None:
    monkeypatch.setattr("bot.services.answering.UNSEEN_CHECK_TIMEOUT_S", 0.0)
    stage.accounts.is_slow, stage.accounts.kind_of_all = True, kind
    stage.open_all()
    await stage.until(lambda: bool(stage.attempts), "the job is claimed")
    await stage.until(
        lambda: any(texts.answers.CHECKING_ACCESS in one.activities for one in stage.replies.opened), "it says so"
    )
    attempt = stage.attempts[0]
    if event == "stop":
        stage.worker.stop_answer(attempt.job.id)
    elif event == "the question is deleted":
        await stage.stores.question_queue.delete(QUESTION.thread.team_id, QUESTION.thread.channel_id, QUESTION.ts)
        stage.worker.stop_answer(attempt.job.id)
    elif event == "edit":
        await stage.stores.question_queue.edit(replace(QUESTION, text="Why not?"), "999995.000000")
        stage.worker.cancel(attempt.job.id, Phase.RESTART)
        stage.accounts.tells.set()
    else:
        stage.accounts.tells.set()
    await with_life(stage)
    row = await stage.row()
    assert row.end_reason == expected
    assert len(stage.model.prompts) == (expected is EndReason.WHOLE)
    assert stage.accounts.sentences == [], "the reply says it"


PART = "A sentence of an answer that is long enough to go on after it. " * 8 + "\n\n"
assert len(PART) > MIN_CHARS


async def test_failed_requests_that_are_charged_count_beside_the_one_that_answered(stage: AnsweringStage) -> None:
    lost = (Thinking(400), Retrying(0.5, is_charged=True), Thinking(4_000), Retrying(1.0))
    stage.model.events = (*lost, "Because.", Completion(MODEL, FinishReason.STOP, Usage(10, 2)))
    stage.open_all()
    await stage.ended()
    [report] = stage.reports
    assert report.end.usage is not None
    assert (report.end.usage.input_tokens > 10, report.end.usage.output_tokens) == (True, 100 + 2)
    assert stage.replies.opened[0].activities == [texts.models.TRYING_AGAIN, ""]


def interrupted_at(reason: EndReason, *parts: str) -> list[tuple[Sequence[StreamEvent], Exception | None]]:
    """Returns what the model does: after each part it fails, and then it completes the answer."""
    scripts: list[tuple[Sequence[StreamEvent], Exception | None]]
    scripts = [((part,), ProviderError(reason, MODEL)) for part in parts]
    return [*scripts, (("The end.", DONE), None)]


@pytest.mark.parametrize("reason", [reason for reason in EndReason if reason.is_temporary])
async def test_answer_whose_model_fails_midway_goes_on_at_once_and_once_more_after_a_wait(
    stage: AnsweringStage, reason: EndReason
) -> None:
    stage.model.scripts = interrupted_at(reason, PART, "It goes on.\n\n")
    stage.open_all()
    await with_life(stage)
    rows = await turns_of(stage)
    assert [row.end_reason for row in rows] == ["interrupted", "interrupted", "whole"]
    assert rows[-1].answer == f"{PART}It goes on.\n\nThe end."
    assert all(row.input_tokens and row.output_tokens for row in rows), "each request is charged, once"
    assert stage.clock.sleeps.count(CONTINUE_AFTER_S[1]) == 1
    assert [bool(reply.activities) for reply in stage.replies.opened] == [False, True, False]
    [_, *others] = stage.model.prompts
    assert [PART.strip() in prompt.turns[-2].text for prompt in others] == [True, True]
    assert [reply.is_abandoned for reply in stage.replies.opened] == [True, True, False]


async def test_third_failure_midway_ends_the_answer_with_its_text_and_continue(stage: AnsweringStage) -> None:
    stage.model.scripts = interrupted_at(EndReason.CUT, PART, "It goes on.\n\n", "And on.")
    stage.open_all()
    await with_life(stage)
    assert [row.end_reason for row in await turns_of(stage)] == ["interrupted", "interrupted", "cut"]
    end = stage.replies.opened[-1].end
    assert end is not None
    assert end.notice == texts.models.model_failure(EndReason.CUT, MODEL_NAME, goes_on=True)
    assert "Continue" in end.notice
    assert ReplyAction.CONTINUE in end.buttons
    assert (await turns_of(stage))[-1].answer == f"{PART}It goes on.\n\nAnd on."


async def test_interrupted_short_text_is_written_again(stage: AnsweringStage) -> None:
    stage.model.scripts = [(("Beca",), ProviderError(EndReason.CUT, MODEL)), (("Because.", DONE), None)]
    stage.open_all()
    await with_life(stage)
    assert (await turns_of(stage))[-1].answer == "Because."
    assert stage.model.prompts[0] == stage.model.prompts[1]


class HeldJob(InstantClock):
    """A clock whose wait before an answer goes on lasts."""

    def __init__(self) -> None:
        super().__init__(BEGAN_S)
        self.waits = asyncio.Event()

    async def sleep(self, delay_s: float) -> None:
        if delay_s == CONTINUE_AFTER_S[1]:
            self.waits.set()
            await asyncio.Event().wait()
        await super().sleep(delay_s)


@pytest.mark.parametrize("event", ["stop", "edit", "end of the process"])
async def test_stop_edit_and_hand_over_end_the_wait_to_go_on(event: str) -> None:
    clock = HeldJob()
    async with one_question(clock) as stage:
        stage.model.scripts = interrupted_at(EndReason.SERVER_ERROR, PART, "It goes on.\n\n")
        stage.open_all()
        running = asyncio.create_task(stage.worker.run())
        await asyncio.wait_for(clock.waits.wait(), WITHIN_S)
        job_id, written = stage.attempts[0].job.id, f"{PART}It goes on.\n\n"
        if event == "edit":
            await stage.stores.question_queue.edit(replace(QUESTION, text="Why not?"), "999995.000000")
            stage.worker.cancel(job_id, Phase.RESTART)
        elif event == "stop":
            stage.worker.stop_answer(job_id)
        if event != "end of the process":
            await with_life(stage)
            last = (await turns_of(stage))[-1]
            expected = ("whole", "The end.") if event == "edit" else ("stopped", written)
            assert (last.end_reason, last.answer) == expected
        stage.worker.stop()
        await asyncio.wait((running,))
        if event == "end of the process":
            await stage.worker.hand_over()
            [job] = await stage.stores.worker_queue.claim(1)
            assert (job.checkpoint.text, job.interruptions) == (written, 1)


async def test_end_that_slack_did_not_accept_goes_to_the_outbox(alone: AnsweringStage) -> None:
    alone.replies.state.outbox_kind = OutboxKind.REPLY
    await attempt_at(alone)
    end = await unshown_end(alone)
    assert end is not None
    assert (end.reason, (await turn(alone)).answer) == (EndReason.WHOLE, "Because.")


@pytest.mark.parametrize(
    ("asked", "life", "recorded", "told"),
    [
        ({}, Life.SHUT_OUT, (), [texts.answers.not_posted("C1")]),
        ({}, Life.SHUT_OUT, PAGES, []),
        ({}, Life.GONE, (), []),
        ({"is_from_bot": True}, Life.SHUT_OUT, (), []),
        ({"schedule_id": 1}, Life.SHUT_OUT, (), []),
        ({"thread": ThreadKey("T1", "D1", None)}, Life.SHUT_OUT, (), []),
    ],
    ids=["nothing posted", "a message is left", "deleted", "by a bot", "a schedule's run", "in the direct message"],
)
async def test_person_is_told_where_nothing_of_the_answer_could_be_posted(
    alone: AnsweringStage,
    asked: dict[str, Any],
    life: Life,
    recorded: tuple[RecordedMessage, ...],
    told: list[str],
) -> None:
    alone.replies.state.life, alone.replies.state.recorded_messages = life, recorded
    await attempt_at(alone, lambda job: replace(job, question=replace(job.question, **asked)))
    due = await alone.stores.notifications.claim_due(5, ())
    assert [(one.recipient, one.content["text"]) for one in due] == [("U1", sentence) for sentence in told]
    assert await alone.stores.outbox.claim_due(5) == []


async def test_end_is_recorded_once_an_unavailable_database_is_back(stage: AnsweringStage) -> None:
    stage.replies.may_open.set()
    stage.model.may_end.set()
    await stage.until(lambda: any(reply.end for reply in stage.replies.opened), "the end is being shown")
    await rename_jobs(stage, "jobs", "away")
    stage.clock.sleeps.clear()
    stage.replies.may_finish.set()
    await stage.until(lambda: len(stage.clock.sleeps) > 4, "its record was tried again")
    await rename_jobs(stage, "away", "jobs")
    await stage.ended()
    assert stage.clock.sleeps[:5] == [0.5, 1.0, 2.0, 4.0, 5.0]
    assert (await stage.row()).end_reason == EndReason.WHOLE
    assert len(stage.reports) == 1


async def test_end_is_recorded_after_an_unexpected_error_of_its_record(
    alone: AnsweringStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish, errors = WorkerQueue.finish, [ValueError("unforeseen")]

    async def finish_later(queue: WorkerQueue, *args: Any, **more: Any) -> bool:
        if errors:
            raise errors.pop()
        return await finish(queue, *args, **more)

    monkeypatch.setattr(WorkerQueue, "finish", finish_later)
    await attempt_at(alone)
    assert (await turn(alone)).end_reason == EndReason.WHOLE


async def test_metrics_of_an_answer_have_its_times(stage: AnsweringStage) -> None:
    await opening(stage)
    stage.clock.now_s += 2.0
    await writing(stage)
    stage.clock.now_s += 3.0
    stage.model.may_end.set()
    await stage.ended()
    [report] = stage.reports
    assert (report.waited_s, report.end.first_token_s, report.total_s) == (10.0, 2.0, 5.0)
    assert (report.end.reason, report.end.usage, report.calls) == (EndReason.WHOLE, Usage(10, 2), 3)


# Ends, as readers see them and as they are recorded.


async def attempt_at(stage: AnsweringStage, change: Callable[[Job], Job] = lambda job: job) -> AnswerAttempt:
    """Claims the question's job and runs an attempt at it, as if the job were changed."""
    [job] = await stage.stores.worker_queue.claim(1)
    attempt = AnswerAttempt(Answer(change(job)), stage.clock.monotonic())
    await stage.answering.answer(attempt)
    return attempt


async def turn(stage: AnsweringStage) -> sa.Row[tuple[object, ...]]:
    [row] = await turns_of(stage)
    return row


def end_of(stage: AnsweringStage) -> Picture:
    [reply] = stage.replies.opened
    return seen(reply.end)


def seen(shown: Picture | None) -> Picture:
    """Returns what readers see below an answer, apart from its buttons."""
    assert shown is not None
    return words(shown.reason, shown.notice, shown.footer)


def words(reason: EndReason | None, notice: str = "", footer: str = "") -> Picture:
    return Picture(reason, (notice,), footer)


async def unshown_end(stage: AnsweringStage) -> End | None:
    stage.clock.now_s += 60.0
    [entry] = await stage.stores.outbox.claim_due(5)
    assert entry.kind is OutboxKind.REPLY
    job = await stage.stores.outbox.unshown_end(entry)
    assert job is not None
    return job.checkpoint.end


TEXT = "\n".join(f"Fact {number} is true." for number in range(60))
assert len(TEXT) > MIN_CHARS
LEFT = Checkpoint("Because it is.")


@dataclass(frozen=True)
class Ending:
    """What a model does about a job as `change` makes it, and how the answer ends: on record, and for readers."""

    reason: EndReason
    events: Sequence[StreamEvent] = ("Because.", DONE)
    error: Exception | None = None
    change: Mapping[str, Any] = field(default_factory=dict)
    answer: str = "Because."
    notice: str = ""
    footer: str = MODEL_NAME
    model: str | None = MODEL
    asked: bool = True


def failed(reason: EndReason, model: str = MODEL) -> ProviderError:
    return ProviderError(reason, model)


def completed(model: str = MODEL, finish_reason: FinishReason = FinishReason.STOP, **more: Any) -> Completion:
    return Completion(model, finish_reason, Usage(10, 2), **more)


MENTION = f"<@{ME.user_id}>"


def unasked(reason: EndReason, notice: str, answer: str = "", **change: Any) -> Ending:
    """Returns the end of a job about which no model is asked."""
    return Ending(reason, change=change, answer=answer, notice=notice, footer="", model=None, asked=False)


ENDINGS = {
    "whole": Ending(EndReason.WHOLE),
    "too long": Ending(
        EndReason.LENGTH_LIMIT,
        ("Because.", completed(finish_reason=FinishReason.LENGTH)),
        notice=texts.answers.LENGTH_LIMIT,
    ),
    "another model": Ending(
        EndReason.WHOLE,
        ("Because.", completed("anthropic/claude")),
        footer=texts.models.fell_back("claude"),
        model="anthropic/claude",
    ),
    "refused features": Ending(
        EndReason.WHOLE,
        ("Because.", completed(refused=("tools", "web search"))),
        footer=f"{MODEL_NAME} · answered without tools and web search, which this model doesn't support",
    ),
    "refused model": Ending(
        EndReason.REFUSED,
        ("Because.",),
        failed(EndReason.REFUSED, "openai/other"),
        answer="",
        notice=texts.models.model_failure(EndReason.REFUSED, "other"),
        model="openai/other",
    ),
    "refused model that an earlier attempt had asked": Ending(
        EndReason.REFUSED,
        ("Bec",),
        failed(EndReason.REFUSED),
        {"checkpoint": LEFT},
        answer="",
        notice=texts.models.model_failure(EndReason.REFUSED, MODEL_NAME),
    ),
    "unexpected error": Ending(
        EndReason.INTERNAL_ERROR, ("Because.",), ValueError("unforeseen"), notice=texts.answers.INTERNAL_ERROR
    ),
    "shorter than an earlier attempt's": Ending(
        EndReason.UNEXPECTED,
        ("Bec",),
        failed(EndReason.UNEXPECTED),
        {"checkpoint": LEFT},
        answer="Because it is.",
        notice=texts.models.model_failure(EndReason.UNEXPECTED, MODEL_NAME, goes_on=True),
    ),
    "whole and shorter than an earlier attempt's": Ending(EndReason.WHOLE, change={"checkpoint": LEFT}),
    "stopped with an earlier attempt's text": unasked(
        EndReason.STOPPED, "", "Because it is.", checkpoint=LEFT, stop_requested=True
    ),
    "nothing to add": Ending(
        EndReason.WHOLE, (), failed(EndReason.EMPTY), {"checkpoint": Checkpoint(TEXT)}, answer=TEXT
    ),
    "nothing to add to a few letters": Ending(
        EndReason.EMPTY,
        (),
        failed(EndReason.EMPTY),
        {"checkpoint": Checkpoint("Be")},
        answer="Be",
        notice=texts.models.model_failure(EndReason.EMPTY, MODEL_NAME, goes_on=True),
    ),
    "failed as it went on": Ending(
        EndReason.OVERLOADED,
        (),
        failed(EndReason.OVERLOADED),
        {"checkpoint": Checkpoint(TEXT)},
        answer=TEXT,
        notice=texts.models.model_failure(EndReason.OVERLOADED, MODEL_NAME, goes_on=True),
        footer="",
    ),
    "interrupted too often": unasked(EndReason.INTERRUPTED_TOO_OFTEN, texts.models.interrupted(), interruptions=3),
    "bare mention": unasked(EndReason.NOTHING_ASKED, texts.answers.HELP, question=replace(QUESTION, text=MENTION)),
    "bare mention after a question": Ending(
        EndReason.WHOLE,
        change={
            "question": replace(QUESTION, text=MENTION),
            "earlier_questions": (replace(QUESTION, ts="999989.000000"),),
        },
    ),
    "file alone": Ending(
        EndReason.WHOLE,
        change={"question": replace(QUESTION, text="", files=(File("F1", "chart.png", "image/png"),))},
        notice=unread_notice((OpenedFile(File("F1", "chart.png", "image/png"), Unread.KIND),), ()),
    ),
    "deleted question": unasked(
        EndReason.STOPPED, texts.answers.STOPPED, question=replace(QUESTION, text=""), stop_requested=True
    ),
}


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
async def test_end_is_shown_and_recorded_with_its_text_model_and_notice(alone: AnsweringStage, ending: Ending) -> None:
    alone.model.events, alone.model.error = ending.events, ending.error
    await attempt_at(alone, lambda job: replace(job, **ending.change))
    row = await turn(alone)
    assert (row.end_reason, row.answer, row.model) == (ending.reason.value, ending.answer, ending.model)
    assert end_of(alone) == words(ending.reason, ending.notice, ending.footer)
    assert len(alone.model.prompts) == ending.asked
    assert messages_of(await alone.row()) == MESSAGES


async def test_answer_is_recorded_with_its_usage_times_and_versions(alone: AnsweringStage) -> None:
    attempt = await attempt_at(alone, lambda job: replace(job, has_previous=True))
    row = await turn(alone)
    assert attempt.built is not None
    assert (row.input_tokens, row.output_tokens, row.first_token_s) == (10, 2, 0.0)
    assert row.prompt_version == attempt.built.prompt_version
    [prompt] = alone.model.prompts
    assert [turn.text for turn in prompt.turns][-1].endswith("Why?")
    assert end_of(alone) == words(EndReason.WHOLE, footer=MODEL_NAME)
    assert ReplyAction.PREVIOUS in (alone.replies.opened[0].end or words(EndReason.WHOLE)).buttons


@pytest.mark.parametrize(
    ("life", "reason"),
    [
        (Life.UNSHOWN, EndReason.NOT_SHOWN),
        (Life.GONE, EndReason.REPLY_GONE),
        (Life.SHUT_OUT, EndReason.SHUT_OUT),
    ],
    ids=["refused", "deleted", "channel closed"],
)
async def test_reply_that_slack_no_longer_shows_ends_the_stream(
    alone: AnsweringStage, life: Life, reason: EndReason
) -> None:
    alone.replies.state.life = life
    await attempt_at(alone)
    assert alone.model.hung_up
    row = await turn(alone)
    assert (row.end_reason, row.answer) == (reason, "Because.")
    assert bool(end_of(alone).notice) is (life is not Life.GONE), "nobody reads the end of a deleted reply"


@pytest.mark.parametrize(
    ("took_s", "done_mention_s", "error", "kinds"),
    [
        (59.0, 60, None, []),
        (61.0, 60, None, [OutboxKind.SIDE_MESSAGES]),
        (61.0, 0, None, []),
        (61.0, 60, failed(EndReason.REFUSED), []),
    ],
    ids=["soon", "late", "switched off", "failed"],
)
async def test_askers_are_mentioned_about_an_answer_that_took_long(
    alone: AnsweringStage, took_s: float, done_mention_s: int, error: Exception | None, kinds: list[OutboxKind]
) -> None:
    settings = replace(alone.answering.settings, done_mention_s=done_mention_s)
    alone.answering = replace(alone.answering, settings=settings)
    alone.model.events, alone.model.error = ("Because.", DONE) if error is None else ("Because.",), error
    await attempt_at(alone, lambda job: replace(job, asked_at=alone.clock.now() - took_s))
    assert [entry.kind for entry in await alone.stores.outbox.claim_due(5)] == kinds


@pytest.mark.parametrize(
    ("shown", "is_abandoned"),
    [
        (VisibleReply(), False),
        (VisibleReply(("999991.000000",), shows_end=True), True),
        (VisibleReply(("999991.000002",), shows_end=True, replaced_ts=("999991.000001",)), False),
    ],
    ids=["not shown", "shown", "shown beside a message that it replaced"],
)
async def test_end_on_record_is_shown_if_it_must_be_and_recorded_without_asking_a_model(
    alone: AnsweringStage, shown: VisibleReply, is_abandoned: bool
) -> None:
    end = End(
        EndReason.LENGTH_LIMIT,
        sentence_notice("A notice."),
        "a footer",
        "openai/gpt-6",
        first_token_s=2.5,
        prompt_version="v7",
    )
    async with alone.stores.database.engine.begin() as connection:
        await connection.execute(sa.update(jobs).values(version=1))
    alone.replies.state.initial = shown
    await attempt_at(alone, lambda job: replace(job, version=1, checkpoint=Checkpoint("Because.", end)))
    assert alone.model.prompts == []
    [reply] = alone.replies.opened
    assert (reply.end and seen(reply.end), reply.is_abandoned) == (
        None if is_abandoned else words(end.reason, "A notice.", "a footer"),
        is_abandoned,
    )
    row = await turn(alone)
    assert (row.end_reason, row.answer, row.model) == (EndReason.LENGTH_LIMIT, "Because.", "openai/gpt-6")
    assert (row.first_token_s, row.prompt_version) == (2.5, "v7")


async def test_search_is_named_on_the_placeholder_and_its_sources_are_recorded(alone: AnsweringStage) -> None:
    source = Citation("https://example.com/typist", "Typist")
    searches = (Searching(), Searching("bots", done=True), "Because", Searching("more"), source, " it", " is.")
    alone.model.events = (
        *searches,
        Citation("javascript:alert(1)", "No"),
        Completion(MODEL, FinishReason.STOP, Usage(90_000, 2, web_searches=2)),
    )
    estimate = alone.answering.steps.estimate
    before = estimate.tokens("word " * 100)
    await attempt_at(alone)
    row = await turn(alone)
    assert (row.sources, row.web_searches) == ([["https://example.com/typist", "Typist"]], 2)
    [reply] = alone.replies.opened
    assert reply.activities == [*map(texts.answers.searching, ("", "bots")), "", texts.answers.searching("more"), ""]
    assert reply.end is not None
    assert list(reply.end.sources) == [source]
    assert alone.answering.steps.estimate.tokens("word " * 100) == before, "what a search found is not in the prompt"


@pytest.mark.parametrize(
    ("kind", "before", "text", "attempts", "expected"),
    [
        (UserKind.GUEST, UserKind.MEMBER, "", 1, EndReason.DENIED),
        (None, UserKind.MEMBER, "", 1, EndReason.WHOLE),
        (None, UserKind.GUEST, "", 1, EndReason.DENIED),
        (UserKind.GUEST, UserKind.GUEST, "", 2, EndReason.DENIED),
        (UserKind.GUEST, UserKind.GUEST, "Because it ", 2, EndReason.WHOLE),
    ],
    ids=[
        "lost it while the question was queued",
        "Slack is silent",
        "Slack is silent about a guest",
        "a process died while access was checked",
        "lost it while the answer grew",
    ],
)
async def test_asker_whose_placeholder_is_shown_is_denied_only_if_slack_says_so_first(
    alone: AnsweringStage,
    kind: UserKind | None,
    before: UserKind,
    text: str,
    attempts: int,
    expected: EndReason,
) -> None:
    alone.accounts.kind_at_calls, alone.accounts.kind_of_all = lambda: kind, before
    messages, checkpoint = recorded_pages("999991.000000"), Checkpoint(text)
    await attempt_at(alone, lambda job: replace(job, messages=messages, attempts=attempts, checkpoint=checkpoint))
    shown = end_of(alone)
    assert (shown.reason, len(alone.model.prompts)) == (expected, expected is EndReason.WHOLE)
    assert shown.notice == (texts.access.Denial.GUEST if expected is EndReason.DENIED else "")


@pytest.mark.parametrize(
    ("asked", "earlier", "can_write", "is_told"),
    [
        ("Write it as a canvas.", (), True, True),
        ("Write it as a canvas.", (), False, False),
        ("And a budget.", ("Write it as a canvas.",), True, True),
        ("What is a canvas?", ("And a budget.",), True, False),
    ],
    ids=["asked for", "without the scope", "asked for in its batch", "not asked for"],
)
async def test_model_is_told_of_a_canvas_that_is_asked_for_and_can_be_written(
    alone: AnsweringStage, asked: str, earlier: tuple[str, ...], can_write: bool, is_told: bool
) -> None:
    alone.workspace.canvases.can_write = can_write
    batch = tuple(replace(QUESTION, ts="999989.000000", text=text) for text in earlier)
    await attempt_at(alone, lambda job: replace(job, question=replace(QUESTION, text=asked), earlier_questions=batch))
    [prompt] = alone.model.prompts
    assert (CANVAS_RULE in prompt.turns[-1].text) is is_told


async def test_thorough_answer_shows_what_its_earlier_attempts_have_cost(alone: AnsweringStage) -> None:
    await alone.stores.channel_settings.write("T1", "C1", ChannelSettings(effort=Effort.THOROUGH))
    with_prices = Stores(alone.stores.database.engine, "w1", alone.clock, prices=ModelPrices())
    [job] = await with_prices.worker_queue.claim(1)
    await with_prices.worker_queue.release(job, estimate=StepEstimate(250_000, 50_000, MODEL))
    alone.model.events = ("Because.", Completion(MODEL, FinishReason.STOP, Usage(50_000, 10_000), effort="high"))
    await attempt_at(alone)
    [reply] = alone.replies.opened
    assert reply.end is not None
    assert reply.end.footer == f"{MODEL_NAME} · thorough (high effort), $0.06"


OFFERED = ToolCall(0, "call_1", choices.TOOL_NAME, {"question": "For which month?", "choices": ["May", "June"]})


@pytest.mark.parametrize(
    ("events", "kinds"),
    [
        (("The plan.", DONE), [OutboxKind.MAKE_CANVAS]),
        (("The plan.", replace(DONE, finish_reason=FinishReason.LENGTH)), []),
        (("A plan.", OFFERED, replace(DONE, finish_reason=FinishReason.TOOLS)), []),
    ],
    ids=["whole", "incomplete", "asks back"],
)
async def test_canvas_that_was_asked_for_is_made_of_a_whole_answer(
    alone: AnsweringStage, events: tuple[StreamEvent, ...], kinds: list[OutboxKind]
) -> None:
    alone.model.events = events
    wish = replace(QUESTION, text="Write a plan as a canvas")
    await attempt_at(alone, lambda job: replace(job, question=wish))
    assert [entry.kind for entry in await alone.stores.outbox.claim_due(5)] == kinds


def showing(stage: AnsweringStage, replies: MemoryReplies) -> None:
    stage.change(workspace=having(stage.workspace, scheduler=replies))


def capped(stage: AnsweringStage, caps: str) -> None:
    quota = replace(stage.answering.quota, caps=parse_caps(caps))
    stage.change(quota=quota, spending=quota)


async def test_asker_beyond_a_cap_is_told_and_no_model_is_asked(alone: AnsweringStage) -> None:
    capped(alone, "user/day=10000tokens")
    await attempt_at(alone)
    await alone.stores.question_queue.enqueue("Ev2", replace(QUESTION, ts="999991.000000"))
    alone.replies.opened.clear()
    capped(alone, "user/day=5tokens")
    await attempt_at(alone)
    assert len(alone.model.prompts) == 1
    shown = end_of(alone)
    assert (shown.reason, shown.footer) == (EndReason.CAP_REACHED, "")
    assert "quota" in shown.notice


async def test_asker_is_warned_once_most_of_a_cap_is_used(alone: AnsweringStage) -> None:
    alone.model.events = ("Because.", Completion(MODEL, FinishReason.STOP, Usage(9_500, 2)))
    capped(alone, "user/day=10000tokens")
    await attempt_at(alone)
    [sentence] = await until(lambda: alone.accounts.sentences, "a warning")
    assert "10,000" in sentence


async def test_reported_usage_corrects_the_estimate(alone: AnsweringStage) -> None:
    estimate, text = alone.answering.steps.estimate, "word " * 1_000
    before = estimate.tokens(text)
    alone.model.events = ("Because.", Completion(MODEL, FinishReason.STOP, Usage(100_000, 2)))
    await attempt_at(alone, lambda job: replace(job, question=replace(QUESTION, text=text)))
    assert estimate.tokens(text) > before


async def test_list_that_an_earlier_attempt_left_is_replaced(alone: AnsweringStage) -> None:
    asked = replace(QUESTION, text="<@UBOT> what do you remember?", is_command=True)
    left = Checkpoint("- Milk\n" * 100)
    attempt = await attempt_at(alone, lambda job: replace(job, question=asked, attempts=2, checkpoint=left))
    assert attempt.answer.end is not None
    assert (attempt.answer.end.reason, attempt.answer.text) == (EndReason.COMMAND, "")


class Broken(MemoryReplies):
    """Replies whose opening or whose finishing fails, for a reason that nobody expected."""

    opens = False

    async def open(
        self,
        answer: Answer,
        *,
        visibility: Visibility = Visibility.NONE,
        has_stop: bool = False,
        until: float = 0.0,
    ) -> MemoryReply:
        if not self.opens:
            raise ValueError("unforeseen")
        reply = await super().open(answer)
        self.opened[-1] = BrokenReply(answer, self.may_finish, reply.reply)
        return self.opened[-1]


class BrokenReply(MemoryReply):
    async def finish(self, end: End, shown: Picture) -> None:
        raise ValueError("unforeseen")


async def test_unexpected_error_before_the_reply_is_open_ends_the_job_and_the_outbox_shows_it(
    alone: AnsweringStage,
) -> None:
    showing(alone, Broken())
    await attempt_at(alone)
    assert ((await alone.row()).status, (await turn(alone)).end_reason) == ("ended", EndReason.INTERNAL_ERROR)
    assert await unshown_end(alone) == End(
        EndReason.INTERNAL_ERROR, sentence_notice(texts.answers.INTERNAL_ERROR), origins=OURS
    )


async def test_unexpected_error_while_the_end_is_shown_keeps_the_text_and_the_reply(alone: AnsweringStage) -> None:
    replies = Broken(may_open=alone.replies.may_open)
    replies.opens = True
    showing(alone, replies)
    attempt = await attempt_at(alone)
    assert attempt.built is not None
    row = await turn(alone)
    assert (row.end_reason, row.answer, row.model) == (EndReason.INTERNAL_ERROR, "Because.", MODEL)
    assert messages_of(await alone.row()) == recorded_pages("999991.000000")
    assert replies.opened[0].is_abandoned
    assert await unshown_end(alone) == End(
        EndReason.INTERNAL_ERROR,
        sentence_notice(texts.answers.INTERNAL_ERROR),
        MODEL_NAME,
        model=MODEL,
        first_token_s=0.0,
        prompt_version=attempt.built.prompt_version,
        origins=ASKERS,
    )
