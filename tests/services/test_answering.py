"""One attempt at a job: what is recorded at each of its ends, with a real database and a manual clock."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
import sqlalchemy as sa

from bot.core import texts
from bot.core.conversation import File, Job, Message, Prompt, Question, ThreadKey
from bot.core.inbound.files import OpenedFile
from bot.core.inbound.tokens import TokenEstimate
from bot.core.inbound.triage import Identity
from bot.core.job import EndReason
from bot.core.lease import Lease
from bot.core.limits.access import AccessRules, UserKind
from bot.core.outbox import OutboxKind
from bot.core.reply.draft import Draft
from bot.core.reply.state import Ending, Shown
from bot.core.stream import Completion, FinishReason, StreamEvent, Usage
from bot.errors import Failure, ProviderError
from bot.ports.clock import SystemClock
from bot.services.access_control import AccessControl
from bot.services.answering import RECORD_RETRIES_S, AnswerAttempt, Answering, Cancellation
from bot.services.assistant_pane import AssistantPane
from bot.services.metrics import JobLife
from bot.services.prompt_builder import PromptBuilder, PromptSettings
from bot.services.quota import Quota
from bot.services.worker import Capacity, Worker
from bot.store import Stores
from bot.store.schema import jobs

BEGAN_S = 1_000_000.0
MODEL = "openai/gpt-6-luna"
ME = Identity("T1", "UBOT", "BBOT", "typist")
QUESTION = Question(ThreadKey("T1", "C1", "999990.000000"), "999990.000000", "U1", "Why?")
DONE = Completion(MODEL, FinishReason.STOP, Usage(10, 2))


@dataclass
class InstantClock(SystemClock):
    """A clock whose sleeps advance its time and return at once."""

    now_s: float = BEGAN_S
    sleeps: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.now_s

    def monotonic(self) -> float:
        return self.now_s

    async def sleep(self, delay_s: float) -> None:
        self.sleeps.append(delay_s)
        self.now_s += delay_s
        await asyncio.sleep(0)


@dataclass
class Model:
    """Streams the test's events, and ends once `may_end` is set. `speaks` is set after the last event."""

    events: Sequence[StreamEvent] = ("Because.", DONE)
    error: ProviderError | None = None
    model: str = MODEL
    names: tuple[str, ...] = (MODEL,)
    prompts: list[Prompt] = field(default_factory=list)
    speaks: asyncio.Event = field(default_factory=asyncio.Event)
    may_end: asyncio.Event = field(default_factory=asyncio.Event)
    hung_up: bool = False

    def led_by(self, model: str | None, prompt: Prompt) -> "Model":
        return self

    async def stream(self, prompt: Prompt) -> AsyncGenerator[StreamEvent, None]:
        self.prompts.append(prompt)
        try:
            for event in self.events:
                yield event
            self.speaks.set()
            await self.may_end.wait()
            if self.error is not None:
                raise self.error
        finally:
            self.hung_up = True


@dataclass
class MemoryReply:
    """A reply in memory, which records its calls."""

    draft: Draft
    may_finish: asyncio.Event
    shown: Shown = field(default_factory=Shown)
    page_ts: tuple[str, ...] = ("999991.000000",)
    edits: int = 3
    gone: bool = False
    unshown: bool = False
    leftover: OutboxKind | None = None
    ending: Ending | None = None
    """The ending that `finish` was called with."""
    is_left: bool = False

    def append(self, delta: str) -> None:
        self.draft.append(delta)

    async def finish(self, ending: Ending) -> None:
        self.ending = ending
        await self.may_finish.wait()

    async def leave(self) -> None:
        self.is_left = True


@dataclass
class MemoryReplies:
    """Opens replies once `may_open` is set; each begins with `shown` and `leftover`."""

    shown: Shown = field(default_factory=Shown)
    leftover: OutboxKind | None = None
    gone: bool = False
    opened: list[MemoryReply] = field(default_factory=list)
    opening: int = 0
    may_open: asyncio.Event = field(default_factory=asyncio.Event)
    may_finish: asyncio.Event = field(default_factory=asyncio.Event)

    async def open(self, draft: Draft, *, status_shown: bool = False, until: float = 0.0) -> MemoryReply:
        self.opening += 1
        await self.may_open.wait()
        reply = MemoryReply(draft, self.may_finish, self.shown, leftover=self.leftover, gone=self.gone)
        self.opened.append(reply)
        return reply

    async def post_placeholder(self, job: Job, until: float) -> None:
        raise AssertionError(f"job {job.id} is not queued")

    def abandon(self, job_id: int) -> None:
        return


class Conversation:
    """A conversation of the question alone, without files."""

    async def messages(self, question: Question) -> list[Message]:
        return [question.as_message()]

    async def names(self, ids: Sequence[str]) -> Mapping[str, str]:
        return {}

    @asynccontextmanager
    async def reading(self, files: Sequence[File]) -> AsyncIterator[Mapping[str, OpenedFile]]:
        yield {}


@dataclass
class Accounts:
    """The kinds of accounts in Slack, and the sentences that the bot told people."""

    kind_of_all: UserKind = UserKind.MEMBER
    sentences: list[str] = field(default_factory=list)
    refuses_token: bool = False
    """Whether Slack refuses our token when it is asked for a kind."""
    token_refused: bool = False

    def known(self, user_id: str) -> UserKind | None:
        return None

    async def kind(self, user_id: str) -> UserKind | None:
        self.token_refused = self.token_refused or self.refuses_token
        return None if self.token_refused else self.kind_of_all

    async def tell(self, question: Question, sentence: str) -> None:
        self.sentences.append(sentence)


class NoPane:
    """The pane of an app without one."""

    async def suggest(self, *_: object) -> None:
        raise AssertionError("there is no pane")

    set_status = set_title = set_working = suggest


@dataclass
class Stage:
    """A worker with all its real parts but Slack and the model."""

    stores: Stores
    clock: InstantClock
    model: Model = field(default_factory=Model)
    replies: MemoryReplies = field(default_factory=MemoryReplies)
    accounts: Accounts = field(default_factory=Accounts)
    lives: list[JobLife] = field(default_factory=list)
    attempts: list[AnswerAttempt] = field(default_factory=list)

    def __post_init__(self) -> None:
        stores, estimate, conversation = self.stores, TokenEstimate((MODEL,)), Conversation()
        self.answering = Answering(
            jobs=stores.worker_queue,
            replies=self.replies,
            prompt_builder=PromptBuilder(
                recorded=stores.recorded_answers,
                questions=stores.queue,
                channel_settings=stores.channel_settings,
                pane_context=stores.pane_context,
                group_threads=stores.participants,
                history=conversation,
                files=conversation,
                clock=self.clock,
                me=ME,
                settings=PromptSettings("You are a colleague.", 8_000),
                estimate=estimate,
            ),
            models=self.model,
            clock=self.clock,
            me=ME,
            estimate=estimate,
            metrics=self.lives.append,
            access_control=AccessControl(
                AccessRules(), self.accounts, self.accounts, stores.notices, stores.bot_questions
            ),
            token_refused=lambda: self.accounts.token_refused,
            quota=Quota((), (MODEL,), 1_000, stores.usage, stores.notices, self.accounts, self.clock),
            pane=AssistantPane(stores.notices, stores.pane_context, NoPane(), ME, ()),
            done_ping_s=60,
        )
        self.worker = Worker(
            queue=stores.worker_queue,
            waiting=stores.queue,
            replies=self.replies,
            lease=Lease(),
            clock=self.clock,
            capacity=Capacity(10, 5.0),
            answer=self._answer,
            admits=self.answering.access_control.admits,
            token_refused=lambda: self.accounts.token_refused,
        )

    async def _answer(self, attempt: AnswerAttempt) -> None:
        self.attempts.append(attempt)
        await self.answering.answer(attempt)

    async def row(self) -> sa.Row[tuple[object, ...]]:
        """Returns the row of the only job."""
        async with self.stores.database.engine.connect() as connection:
            return (await connection.execute(sa.select(jobs))).one()

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        try:
            async with asyncio.timeout(40):
                while not condition():  # noqa: ASYNC110
                    await asyncio.sleep(0.002)
        except TimeoutError:
            pytest.fail(f"waited 40 s until {what}")

    async def ended(self) -> None:
        await self.until(lambda: bool(self.attempts) and self.worker.live == 0, "the attempt has ended")

    def open_all(self) -> None:
        """Lets Slack accept everything at once, and the model end without a pause."""
        for event in (self.replies.may_open, self.replies.may_finish, self.model.may_end):
            event.set()


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    clock = InstantClock()
    stores = await Stores.open("sqlite://", "w1", clock)
    stage = Stage(stores, clock)
    await stores.queue.enqueue("Ev1", QUESTION)
    running = asyncio.create_task(stage.worker.run())
    yield stage
    stage.worker.stop()
    await stage.worker.hand_over()
    await asyncio.wait((running,))
    await stores.close()


async def rename_jobs(stage: Stage, name: str, new_name: str) -> None:
    async with stage.stores.database.engine.begin() as connection:
        await connection.execute(sa.text(f"ALTER TABLE {name} RENAME TO {new_name}"))


# Stop.


async def test_stop_while_the_end_is_being_shown_leaves_the_answer_whole(stage: Stage) -> None:
    stage.replies.may_open.set()
    stage.model.may_end.set()
    await stage.until(lambda: any(reply.ending for reply in stage.replies.opened), "the end is being shown")
    stage.worker.stop_answer(stage.attempts[0].job.id)
    await asyncio.sleep(0.02)
    stage.replies.may_finish.set()
    await stage.ended()
    row = await stage.row()
    assert (row.status, row.end_reason) == ("ended", EndReason.WHOLE)
    assert not stage.replies.opened[0].is_left, "the end was shown to its end"


async def test_stop_while_the_model_writes_ends_the_answer_with_its_text_so_far(stage: Stage) -> None:
    stage.replies.may_open.set()
    stage.replies.may_finish.set()
    await stage.model.speaks.wait()
    stage.worker.stop_answer(stage.attempts[0].job.id)
    await stage.ended()
    assert stage.model.hung_up, "the stream must be closed, so that the vendor stops billing"
    assert (await stage.row()).end_reason == EndReason.STOPPED
    assert stage.replies.opened[0].ending == Ending("", EndReason.STOPPED, MODEL)
    [life] = stage.lives
    assert life.usage is not None, "what the model wrote counts by estimate"
    assert life.usage.output_tokens > 0


async def test_stop_before_the_model_is_asked_asks_no_model(stage: Stage) -> None:
    await stage.until(lambda: stage.replies.opening == 1, "the placeholder is being posted")
    stage.worker.stop_answer(stage.attempts[0].job.id)
    stage.open_all()
    await stage.ended()
    assert stage.model.prompts == []
    assert (await stage.row()).end_reason == EndReason.STOPPED
    assert stage.replies.opened[0].ending == Ending(texts.STOPPED, EndReason.STOPPED)


# Attempts that end before their job.


async def test_hand_over_releases_the_job_with_the_text_so_far(stage: Stage) -> None:
    stage.replies.may_open.set()
    await stage.model.speaks.wait()
    stage.worker.stop()
    await stage.worker.hand_over()
    assert stage.replies.opened[0].is_left
    row = await stage.row()
    assert (row.status, row.worker, row.end_reason) == ("queued", None, None)
    [job] = await stage.stores.worker_queue.claim(1)
    assert job.checkpoint.text == "Because."
    assert stage.lives == []


async def test_lost_job_is_left_to_the_process_that_took_it_over(stage: Stage) -> None:
    stage.replies.may_open.set()
    await stage.model.speaks.wait()
    stage.worker.stop()
    async with stage.stores.database.engine.begin() as connection:
        await connection.execute(sa.update(jobs).values(attempts=2))
    beating = asyncio.create_task(stage.worker.stay_alive())
    await stage.ended()
    beating.cancel()
    assert stage.attempts[0].cancellation is Cancellation.LOST
    row = await stage.row()
    assert (row.status, row.attempts, row.end_reason) == ("running", 2, None)
    assert stage.replies.opened[0].is_left


# Jobs that end without a model.


async def test_a_question_stays_queued_if_the_token_is_refused_before_the_model_is_asked(stage: Stage) -> None:
    await stage.until(lambda: stage.replies.opening == 1, "the placeholder is being posted")
    stage.accounts.token_refused = True
    stage.open_all()
    await stage.ended()
    assert stage.replies.opened[0].is_left
    assert (stage.model.prompts, (await stage.row()).status) == ([], "queued")
    stage.worker.wake()
    await asyncio.sleep(0.02)
    assert len(stage.attempts) == 1, "nothing is claimed while Slack refuses the token"
    stage.accounts.token_refused = False
    stage.worker.wake()
    await stage.until(lambda: len(stage.attempts) == 2, "the question is claimed again")
    await stage.ended()
    assert (await stage.row()).end_reason == EndReason.WHOLE
    assert len(stage.model.prompts) == 1


async def test_an_asker_whom_slack_does_not_name_because_of_the_token_is_not_denied(stage: Stage) -> None:
    stage.accounts.refuses_token = True
    await stage.ended()
    assert (await stage.row()).status == "queued"
    assert stage.accounts.sentences == []


async def test_an_answer_goes_on_if_the_token_is_refused_while_the_model_writes(stage: Stage) -> None:
    stage.replies.may_open.set()
    await stage.model.speaks.wait()
    stage.accounts.token_refused = True
    stage.open_all()
    await stage.ended()
    assert (await stage.row()).end_reason == EndReason.WHOLE


async def test_a_question_is_queued_again_however_long_the_database_is_away(stage: Stage) -> None:
    """The process runs on, so that no other one would take the job over."""
    await stage.until(lambda: stage.replies.opening == 1, "the placeholder is being posted")
    stage.accounts.token_refused = True
    await rename_jobs(stage, "jobs", "jobs_away")
    stage.open_all()
    await stage.until(lambda: len(stage.clock.sleeps) >= 6, "the job could not be released for a while")
    await rename_jobs(stage, "jobs_away", "jobs")
    await stage.ended()
    assert (await stage.row()).status == "queued"


async def test_denied_asker_gets_an_explanation_and_no_reply(stage: Stage) -> None:
    stage.accounts.kind_of_all = UserKind.GUEST
    stage.open_all()
    await stage.ended()
    assert (stage.replies.opening, stage.model.prompts) == (0, [])
    assert (await stage.row()).end_reason == EndReason.DENIED
    await stage.until(lambda: stage.accounts.sentences == [texts.DENIED_GUEST], "the asker reads why")


async def test_question_whose_reply_has_begun_is_not_denied(stage: Stage) -> None:
    stage.replies.may_open.set()
    await stage.model.speaks.wait()
    [attempt] = stage.attempts
    await stage.stores.worker_queue.record_pages(attempt.job.id, ["999991.000000"])
    stage.worker._cancel(attempt.job.id, Cancellation.HANDOVER)
    stage.accounts.kind_of_all = UserKind.GUEST
    await stage.until(lambda: len(stage.attempts) == 2, "the job is claimed again")
    stage.open_all()
    await stage.ended()
    assert (await stage.row()).end_reason == EndReason.WHOLE


async def test_job_that_was_interrupted_too_often_asks_no_model() -> None:
    clock = InstantClock()
    stores = await Stores.open("sqlite://", "w1", clock)
    stage = Stage(stores, clock)
    stage.open_all()
    await stores.queue.enqueue("Ev1", QUESTION)
    [job] = await stores.worker_queue.claim(1)
    await stage.answering.answer(AnswerAttempt(replace(job, interruptions=3), clock.monotonic()))
    assert stage.model.prompts == []
    assert (await stage.row()).end_reason == EndReason.INTERRUPTED_TOO_OFTEN
    assert stage.replies.opened[0].ending == Ending(texts.INTERRUPTED, EndReason.INTERRUPTED_TOO_OFTEN)
    await stores.close()


async def test_end_that_slack_already_shows_is_recorded_and_asks_no_model(stage: Stage) -> None:
    stage.replies.shown = Shown(("999991.000000",), 8, "Because.", EndReason.WHOLE)
    stage.open_all()
    await stage.ended()
    assert (stage.model.prompts, stage.replies.opened[0].ending) == ([], None)
    assert (await stage.row()).end_reason == EndReason.WHOLE
    assert await stage.stores.recorded_answers.replies(QUESTION.thread) == {"999991.000000": "Because."}


# Failing replies and models.


async def test_deleted_reply_ends_the_stream(stage: Stage) -> None:
    stage.replies.gone = True
    stage.replies.may_open.set()
    stage.replies.may_finish.set()
    await stage.ended()
    assert stage.model.hung_up
    assert (await stage.row()).end_reason == EndReason.REPLY_GONE


@pytest.mark.parametrize(
    ("events", "failure", "is_charged"),
    [
        ((), Failure.OVERLOADED, False),
        (("Because",), Failure.OVERLOADED, True),
        (("Because",), Failure.CUT, True),
        ((), Failure.STALLED, True),
    ],
)
async def test_failed_model_is_charged_for_the_text_that_it_began(
    stage: Stage, events: Sequence[StreamEvent], failure: Failure, is_charged: bool
) -> None:
    stage.model.events, stage.model.error = events, ProviderError(failure, MODEL)
    stage.open_all()
    await stage.ended()
    assert (await stage.row()).end_reason == failure.value
    [life] = stage.lives
    assert (life.usage is not None) is is_charged


async def test_end_that_slack_did_not_accept_goes_to_the_outbox(stage: Stage) -> None:
    stage.replies.leftover = OutboxKind.SHOW_END
    stage.open_all()
    await stage.ended()
    stage.clock.now_s += 60.0
    [entry] = await stage.stores.outbox.take(5)
    assert entry.kind is OutboxKind.SHOW_END
    job = await stage.stores.outbox.unshown_end(entry)
    assert job is not None
    assert job.checkpoint.closing is not None
    assert (job.checkpoint.text, job.checkpoint.closing.end_reason) == ("Because.", EndReason.WHOLE)


# The record.


async def test_end_is_recorded_once_an_unavailable_database_is_back(stage: Stage) -> None:
    stage.replies.may_open.set()
    stage.model.may_end.set()
    await stage.until(lambda: any(reply.ending for reply in stage.replies.opened), "the end is being shown")
    await rename_jobs(stage, "jobs", "away")
    stage.clock.sleeps.clear()
    stage.replies.may_finish.set()
    await stage.until(lambda: len(stage.clock.sleeps) > len(RECORD_RETRIES_S), "its record was tried again")
    await rename_jobs(stage, "away", "jobs")
    await stage.ended()
    assert stage.clock.sleeps[:5] == [*RECORD_RETRIES_S, RECORD_RETRIES_S[-1]]
    assert (await stage.row()).end_reason == EndReason.WHOLE
    assert len(stage.lives) == 1


@pytest.mark.parametrize(("took_s", "kinds"), [(59.0, []), (61.0, [OutboxKind.MENTION_ASKERS])])
async def test_askers_are_mentioned_after_a_long_wait(stage: Stage, took_s: float, kinds: list[OutboxKind]) -> None:
    stage.replies.may_open.set()
    stage.replies.may_finish.set()
    await stage.model.speaks.wait()
    stage.clock.now_s += took_s
    stage.model.may_end.set()
    await stage.ended()
    assert [entry.kind for entry in await stage.stores.outbox.take(5)] == kinds


async def test_metrics_of_an_answer_have_its_times(stage: Stage) -> None:
    await stage.until(lambda: stage.replies.opening == 1, "the placeholder is being posted")
    stage.clock.now_s += 2.0
    stage.replies.may_open.set()
    stage.replies.may_finish.set()
    await stage.model.speaks.wait()
    stage.clock.now_s += 3.0
    stage.model.may_end.set()
    await stage.ended()
    [life] = stage.lives
    assert (life.times.waited_s, life.times.first_token_s, life.times.total_s) == (10.0, 2.0, 5.0)
    assert (life.end_reason, life.usage, life.edits) == (EndReason.WHOLE, Usage(10, 2), 3)
