"""A worker with all its real parts but Slack and the model, and one question to answer."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from bot.core.access import AccessRules, UserKind
from bot.core.asks import ApprovalCard
from bot.core.calls import RecordedCall
from bot.core.conversation import File, Message, Question, ThreadKey
from bot.core.files import OpenedFile
from bot.core.job import End, Job, MessageRole, RecordedMessage
from bot.core.outbox import OutboxKind
from bot.core.picture import Picture
from bot.core.surfaces import Visibility
from bot.core.texts.files import Unread
from bot.core.texts.models import OWN_NAMES
from bot.models.events import Completion, FinishReason, StreamEvent, Usage
from bot.models.prices import ModelPrices
from bot.models.prompt import Prompt, TokenEstimate
from bot.reply.answer import Answer, Freshness
from bot.reply.messages import Life, VisibleReply
from bot.services.access_control import AccessControl
from bot.services.answer_attempt import AnswerAttempt, AttemptReport
from bot.services.answering import Answering, AnswerSettings
from bot.services.memory import MemoryCommands
from bot.services.notifications import Notifier
from bot.services.pane import AssistantPane, Signs, ThreadStatuses
from bot.services.ports import Ports, Tools
from bot.services.prompt_builder import PromptSettings
from bot.services.quota import Quota
from bot.services.schedules import Schedules
from bot.services.slack_conversation import SlackConversation
from bot.services.steps import Steps
from bot.services.transcripts import Transcription
from bot.services.worker import Worker
from bot.slack.blockkit import Json
from bot.slack.canvases import Canvases
from bot.slack.files import Files, Transcribe
from bot.slack.history import History
from bot.slack.surfaces import EphemeralMessages, Pane
from bot.slack.users import KIND_WITHIN_S, Profile, Users
from bot.store import Stores
from bot.store.schema import jobs
from tests.clocks import InstantClock, until
from tests.core.conversations import recorded_pages
from tests.services.parts import having, workspace_of

BEGAN_S = 1_000_000.0
MODEL = "openai/gpt-6-luna"
MODEL_NAME = "gpt-6-luna"
QUESTION = Question(ThreadKey("T1", "C1", "999990.000000"), "999990.000000", "U1", "Why?")
DONE = Completion(MODEL, FinishReason.STOP, Usage(10, 2))
PAGES = recorded_pages("999991.000000")
MESSAGES = (*PAGES, RecordedMessage("999991.000001", MessageRole.REPLACED))
"""What Slack shows of each reply at an AnsweringStage."""


@dataclass
class MemoryModel:
    """Streams the test's events, and ends once `may_end` is set. `speaks` is set after the last event."""

    events: Sequence[StreamEvent] = ("Because.", DONE)
    error: Exception | None = None
    scripts: list[tuple[Sequence[StreamEvent], Exception | None]] = field(default_factory=list)
    """The events and errors of the first requests. All others have those above."""
    model: str = MODEL
    names: tuple[str, ...] = (MODEL,)
    prompts: list[Prompt] = field(default_factory=list)
    led: list[str | None] = field(default_factory=list)
    speaks: asyncio.Event = field(default_factory=asyncio.Event)
    may_end: asyncio.Event = field(default_factory=asyncio.Event)
    hung_up: bool = False

    def starting_with(self, model: str | None, prompt: Prompt) -> "MemoryModel":
        self.led.append(model)
        return self

    async def stream(self, prompt: Prompt) -> AsyncGenerator[StreamEvent, None]:
        self.prompts.append(prompt)
        events, error = self.scripts.pop(0) if self.scripts else (self.events, self.error)
        try:
            for event in events:
                yield event
            self.speaks.set()
            await self.may_end.wait()
            if error is not None:
                raise error
        finally:
            self.hung_up = True


@dataclass
class ReplyState:
    initial: VisibleReply = field(default_factory=VisibleReply)
    recorded_messages: tuple[RecordedMessage, ...] = PAGES
    life: Life = Life.GROWING
    outbox_kind: OutboxKind | None = None
    is_withheld: bool = False

    @property
    def is_gone(self) -> bool:
        return self.life in (Life.GONE, Life.SHUT_OUT)

    @property
    def is_unshown(self) -> bool:
        return self.life is Life.UNSHOWN


@dataclass
class MemoryReply:
    answer: Answer
    may_finish: asyncio.Event
    reply: ReplyState = field(default_factory=ReplyState)
    successful_calls: int = 3
    sent_at: float = 0.0
    freshness: Freshness = field(default_factory=Freshness)
    end: Picture | None = None
    is_abandoned: bool = False

    activities: list[str] = field(default_factory=list)
    transcripts: tuple[str, ...] = ()
    asks: tuple[ApprovalCard, ...] = ()
    when_asked: Callable[[], Awaitable[object]] | None = None
    """Happens before `ask_for_decisions` returns."""
    when_abandoned: Callable[[], Awaitable[object]] | None = None
    """Happens before `abandon` returns."""

    def append(self, delta: str) -> None:
        self.answer.append(delta)

    def start_over(self) -> None:
        self.answer.start_over()

    def show_activity(self, activity: str) -> None:
        self.activities.append(activity)

    def show_transcripts(self, transcripts: Iterable[str]) -> None:
        self.transcripts = tuple(transcripts)

    async def ask_for_decisions(self, asks: tuple[ApprovalCard, ...]) -> None:
        self.asks = asks
        if self.when_asked is not None:
            await self.when_asked()

    async def finish(self, end: End, shown: Picture) -> None:
        self.end = shown
        await self.may_finish.wait()

    async def abandon(self) -> None:
        self.is_abandoned = True
        if self.when_abandoned is not None:
            await self.when_abandoned()


@dataclass
class MemoryReplies:
    """Opens replies once `may_open` is set; each begins with `state`."""

    state: ReplyState = field(default_factory=ReplyState)
    when_asked: Callable[[], Awaitable[object]] | None = None
    when_abandoned: Callable[[], Awaitable[object]] | None = None
    opened: list[MemoryReply] = field(default_factory=list)
    opening: int = 0
    signs: list[Signs] = field(default_factory=list)
    streamed: list[int] = field(default_factory=list)
    """The jobs whose replies a stream may carry."""
    may_open: asyncio.Event = field(default_factory=asyncio.Event)
    may_finish: asyncio.Event = field(default_factory=asyncio.Event)

    async def open(
        self,
        answer: Answer,
        *,
        visibility: Visibility = Visibility.NONE,
        has_stop: bool = False,
        until: float = 0.0,
    ) -> MemoryReply:
        self.opening += 1
        self.signs.append(Signs(visibility, has_stop))
        await self.may_open.wait()
        reply = MemoryReply(answer, self.may_finish, replace(self.state))
        reply.when_asked = self.when_asked
        reply.when_abandoned = self.when_abandoned
        self.opened.append(reply)
        return reply

    def allow_stream(self, job: Job) -> None:
        self.streamed.append(job.id)

    async def post_placeholder(self, job: Job) -> None:
        raise AssertionError(f"job {job.id} is not queued")

    def abandon(self, job_id: int) -> None:
        return


class LoneQuestion(History):
    def __init__(self) -> None:
        """Needs nothing of Slack."""

    async def messages(self, question: Question, before_ts: str | None = None) -> list[Message]:
        return [question.as_message()]


class UnreadFiles(Files):
    """Files of a kind that no model reads."""

    def __init__(self) -> None:
        """Needs nothing of Slack."""

    @asynccontextmanager
    async def reading(
        self, files: Sequence[File], asker: str, *, transcribe: Transcribe | None = None
    ) -> AsyncIterator[Mapping[str, OpenedFile]]:
        yield {file.id: OpenedFile(file, Unread.KIND) for file in files}


class UnreadCanvases(Canvases):
    """Canvases that nobody shares."""

    def __init__(self) -> None:
        """Needs nothing of Slack."""
        self.can_write = True

    async def read(self, canvases: Sequence[File], question: Question) -> Mapping[str, OpenedFile]:
        return {canvas.id: OpenedFile(canvas, Unread.CANVAS_NOT_FOUND) for canvas in canvases}


@dataclass
class Accounts(Users, EphemeralMessages):
    """The kinds of accounts in Slack, and the sentences that the bot told people."""

    kind_of_all: UserKind | None = UserKind.MEMBER
    _profiles: dict[str, Profile] = field(default_factory=dict)
    tells: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once Slack says who somebody is, if `is_slow`."""
    is_slow: bool = False
    kind_at_calls: Callable[[], UserKind | None] | None = None
    """What Slack says when it is asked for a kind as of now, if that is something else."""
    sentences: list[str] = field(default_factory=list)
    refuses_token: bool = False
    """Whether Slack refuses our token when it is asked for a kind."""
    token_refused: bool = False
    presses: list[bool] = field(default_factory=list)
    """Of each look-up: whether somebody waits for what they pressed."""

    def known_kind(self, user_id: str, max_age_s: float = 0.0) -> UserKind | None:
        return None

    async def kind(
        self,
        user_id: str,
        *,
        now_within_s: float | None = None,
        max_age_s: float = 0.0,
        within_s: float = KIND_WITHIN_S,
        is_press: bool = False,
    ) -> UserKind | None:
        assert within_s > 0
        self.presses.append(is_press)
        if now_within_s is not None:
            assert user_id
            assert now_within_s > 0
            return self.kind_at_calls() if self.kind_at_calls else self.kind_of_all
        if self.is_slow:
            await self.tells.wait()
        self.token_refused = self.token_refused or self.refuses_token
        return None if self.token_refused else self.kind_of_all

    async def last_known_kind(self, user_id: str) -> UserKind | None:
        return self.kind_of_all

    async def names(self, ids: Sequence[str], *, in_channel: str = "") -> Mapping[str, str]:
        return {}

    def zones(self, ids: Sequence[str]) -> Mapping[str, ZoneInfo]:
        return {}

    async def is_private(self, channel_id: str) -> bool:
        return False

    async def channel(self, channel_id: str) -> None:
        """Knows no channel."""

    async def show_sentence(self, question: Question, sentence: str, blocks: list[Json] | None = None) -> None:
        self.sentences.append(sentence)


class RecordedStatuses(Pane):
    """The pane of an app without one. It keeps the statuses of threads that are sent."""

    def __init__(self) -> None:
        """Needs nothing of Slack."""
        self.sent: asyncio.Queue[str] = asyncio.Queue()
        self.ended: list[bool] = []
        """Of each session that has ended, whether it waits for a person."""

    async def suggest(self, *_: object) -> None:
        raise AssertionError("there is no pane")

    async def set_title(self, thread: ThreadKey, title: str) -> None:
        raise AssertionError("there is no pane")

    async def begin_session(self, thread: ThreadKey) -> bool:
        assert self.has_sessions
        return True

    has_sessions = False

    async def end_session(self, thread: ThreadKey, *, is_waiting: bool = False) -> None:
        assert self.has_sessions
        self.ended.append(is_waiting)

    async def set_status(self, thread: ThreadKey, status: str) -> None:
        self.sent.put_nowait(status)


@dataclass
class AnsweringStage:
    stores: Stores
    clock: InstantClock
    model: MemoryModel = field(default_factory=MemoryModel)
    replies: MemoryReplies = field(default_factory=lambda: MemoryReplies(ReplyState(recorded_messages=MESSAGES)))
    accounts: Accounts = field(default_factory=Accounts)
    pane: RecordedStatuses = field(default_factory=RecordedStatuses)
    tools: Tools | None = None
    history_tokens: int = 8_000
    reports: list[AttemptReport] = field(default_factory=list)
    attempts: list[AnswerAttempt] = field(default_factory=list)
    last_row: sa.Row[tuple[object, ...]] = field(init=False)
    calls: Sequence[RecordedCall] = field(init=False)
    """What was on record at the end (`answered`)."""

    def __post_init__(self) -> None:
        stores = having(self.stores, clock=self.clock)
        self.workspace = workspace = workspace_of(
            is_token_refused=lambda: self.accounts.token_refused,
            scheduler=self.replies,
            history=LoneQuestion(),
            users=self.accounts,
            ephemeral=self.accounts,
            files=UnreadFiles(),
            canvases=UnreadCanvases(),
            pane=self.pane,
        )
        notifier = Notifier(stores, workspace)
        quota = Quota(stores, notifier, (), (MODEL,), 1_000, ModelPrices())
        prompts = PromptSettings("You are a colleague.", self.history_tokens)
        estimate, transcription = TokenEstimate((MODEL,)), Transcription(stores, None, quota)
        access = AccessControl(AccessRules(), self.accounts, notifier, frozenset({"UADMIN"}))
        pane = AssistantPane(stores, workspace, ThreadStatuses(self.pane, self.clock))
        conversation = SlackConversation(stores, workspace, transcription)
        ports = Ports(stores.recorded_calls, conversation, self.tools, quota, self.clock)
        steps = Steps(ports, self.model, prompts, estimate)
        answers = AnswerSettings(done_mention_s=60, model_names=OWN_NAMES)
        self.answering = Answering(
            stores,
            workspace,
            steps,
            self.reports.append,
            access,
            quota,
            pane,
            MemoryCommands(stores, workspace, access),
            Schedules(stores, workspace, access),
            answers,
        )
        self.worker = Worker(stores, workspace, 5.0, self._answer, access.can_be_queued, pane)

    def change(self, **parts: Any) -> None:
        """Has attempts use other parts of answering, of its steps, and of their ports."""
        answering, steps, ports = self.answering, self.answering.steps, self.answering.steps.ports
        of_ports = {name: part for name, part in parts.items() if hasattr(ports, name)}
        of_steps = {name: part for name, part in parts.items() if name == "prompt_settings"}
        of_all = {name: part for name, part in parts.items() if hasattr(answering, name)}
        steps = replace(steps, ports=replace(ports, **of_ports), **of_steps)
        self.answering = replace(answering, steps=steps, **of_all)

    async def _answer(self, attempt: AnswerAttempt) -> None:
        self.attempts.append(attempt)
        await self.answering.answer(attempt)

    async def row(self) -> sa.Row[tuple[object, ...]]:
        async with self.stores.database.engine.connect() as connection:
            return (await connection.execute(sa.select(jobs))).one()

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        await until(condition, what, look_s=0.002)

    async def ended(self) -> None:
        await self.until(lambda: bool(self.attempts) and self.worker.live == 0, "the attempt has ended")

    def open_all(self) -> None:
        """Lets Slack accept everything at once, and the model end without a pause."""
        for event in (self.replies.may_open, self.replies.may_finish, self.model.may_end):
            event.set()
