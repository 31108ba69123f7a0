"""Both carriers under any faults: the edit scheduler and the message transport on the sandbox's Web API.

Everything runs in simulated time and without HTTP: `SandboxClient` calls the sandbox's methods directly. The sandbox
counts the budgets.
"""

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.core.conversation import Question, ThreadKey
from bot.core.job import POSTING, Checkpoint, End, Job
from bot.core.lease import Lease
from bot.errors import EndReason, RateLimited, Refusal, Refused
from bot.reply.answer import Answer
from bot.reply.delivery import MessageTransport
from bot.reply.posted import PostedReplies
from bot.reply.scheduler import EditScheduler, ScheduledReply
from bot.slack.client import PacedClient, SlackClient
from bot.slack.refusals import reason_of
from bot.slack.users import Users
from slack_pacing.budget import RateBudget
from slack_pacing.carriers import CarrierName
from slack_pacing.tests.ledgers import LoneLedger
from slack_pacing.tests.simulated_time import run_simulated
from slack_sandbox.server import Sandbox
from slack_sandbox.testing import manifests
from slack_sandbox.web_api import streams
from slack_sandbox.workspace import Message, SlackError
from tests.reply.schedules import KindsInMemory, RecordsInMemory
from tests.simulated_time import SimulatedClock

pytestmark = pytest.mark.wide

LATENCY_S = 0.06
WITHIN_S = 600.0
WORD = re.compile(r"w\d+x")
GENERAL = "C0GENERAL"


class CallFault(Enum):
    LOST_REQUEST = auto()
    LOST_RESPONSE = auto()
    RATE_LIMIT = auto()
    CLOSE = auto()
    """Slack closes the stream before the call."""
    REFUSE = auto()
    UNKNOWN = auto()
    SLOW = auto()


class SandboxClient(SlackClient):
    """The sandbox's Web API without HTTP. Calls of replies meet `faults` by their number."""

    def __init__(self, sandbox: Sandbox, faults: dict[int, CallFault]) -> None:
        self.sandbox = sandbox
        self.api_url = "https://slack.example/api/"
        self.faults = faults
        self.calls = 0
        self.over_budget: list[str] = []
        self._posted = lambda channel_id, thread_ts, is_stream: None

    async def call(self, method: str, **arguments: Any) -> dict[str, Any]:
        fault = None
        if method.startswith("chat."):
            fault, self.calls = self.faults.get(self.calls), self.calls + 1
        await asyncio.sleep(20.0 if fault is CallFault.SLOW else LATENCY_S)
        if fault is CallFault.LOST_REQUEST:
            raise Refused(method, "lost request", Refusal.TRANSIENT)
        if fault is CallFault.RATE_LIMIT:
            raise RateLimited(method, 5.0)
        if fault is CallFault.UNKNOWN:
            raise Refused(method, "flux_capacitor_drained", Refusal.UNKNOWN)
        if fault is CallFault.REFUSE and method in streams.METHODS:
            raise Refused(method, "not_allowed", Refusal.FORBIDDEN)
        if fault is CallFault.CLOSE and "ts" in arguments:
            streams.close(self.sandbox._web.app, arguments["channel"], arguments["ts"])
        answer = self._run(method, {name: value for name, value in arguments.items() if value is not None})
        await asyncio.sleep(LATENCY_S)
        if fault is CallFault.LOST_RESPONSE:
            raise Refused(method, "lost response", Refusal.TRANSIENT)
        return answer

    def _run(self, method: str, arguments: dict[str, Any]) -> dict[str, Any]:
        web = self.sandbox._web
        try:
            known = web.authorize(method, arguments, f"Bearer {self.sandbox.bot_token}")
            return {"ok": True, **web.run(method, known, arguments)}
        except SlackError as error:
            if error.error == "ratelimited":
                self.over_budget.append(method)
                raise RateLimited(method, float(error.fields["retry_after_s"])) from error
            raise Refused(method, error.error, reason_of(error.error)) from error


@dataclass
class SchedulerProcess:
    client: SandboxClient
    records: RecordsInMemory
    ledger: LoneLedger
    setting: CarrierName | None
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    lease: Lease = field(default_factory=Lease)
    scheduler: EditScheduler = field(init=False)

    def start(self) -> None:
        clock = SimulatedClock()
        budget = RateBudget(self.ledger, clock)
        paced = PacedClient(self.client, budget, clock)
        posted = PostedReplies(paced, self.client.sandbox.bot_user_id)
        users = Users(paced, self.client.sandbox.team_id, KindsInMemory(clock))
        transport = MessageTransport(self.client, paced, posted, users)
        self.scheduler = EditScheduler(transport, budget, self.lease, clock, self.records, self.setting)
        self.tasks = [asyncio.create_task(loop()) for loop in (self.scheduler.run, self._beat)]

    async def _beat(self) -> None:
        while True:
            self.lease.renew(asyncio.get_running_loop().time())
            await asyncio.sleep(1.0)

    async def crash(self) -> None:
        """Ends the process in the middle of its calls. What has reached Slack stays."""
        self.scheduler.lease = Lease()
        calls = list(self.scheduler._tasks)
        for task in (*self.tasks, *calls):
            task.cancel()
        await asyncio.gather(*self.tasks, *calls, return_exceptions=True)


@dataclass(frozen=True)
class StoryStep:
    """What happens next to one of the answers."""

    reply: int
    text: str
    pause_s: float


@dataclass(frozen=True)
class Story:
    """Answers, and what happens while they are shown."""

    replies: int
    steps: tuple[StoryStep, ...]
    faults: dict[int, CallFault]
    crash_at: frozenset[int]
    """Steps before which the process dies."""
    stopped: frozenset[int]
    setting: CarrierName | None
    slack_stops: bool


def numbered(pieces: Iterable[str]) -> list[str]:
    """Returns the pieces with a different word in each place for one."""
    numbers = iter(range(1_000_000))
    return [re.sub("W", lambda _: f"w{next(numbers)}x", piece) for piece in pieces]


PIECES = st.lists(
    st.sampled_from(
        [
            *("W ", "W W W ", "**W** ", "\n\n", "*W", " W* ", "`W` ", "[W](https://a.example/) ", "- W\n", "## W\n\n"),
            *(
                "\n```\nW\nW\n```\n",
                "\n```\nW ",
                "\n\n| W | W |\n| --- | --- |\n| W | W |\n\n",
                "<!channel> W ",
                "世界 W ",
            ),
            *("W" * 30 + " ", "W " * 60, "\n\n" + ("W " * 16 + ".\n\n") * 40),
        ]
    ),
    min_size=1,
    max_size=5,
)


@st.composite
def stories(draw: st.DrawFn) -> Story:
    replies = draw(st.integers(1, 3))
    count = draw(st.integers(6, 20))
    texts = numbered("".join(draw(PIECES)) for _ in range(count))
    steps = [
        StoryStep(draw(st.integers(0, replies - 1)), text, draw(st.sampled_from([1.0, 0.0, 0.7, 3.0, 40.0])))
        for text in texts
    ]
    faults = draw(st.dictionaries(st.integers(0, 12), st.sampled_from(list(CallFault)), min_size=2, max_size=5))
    return Story(
        replies,
        tuple(steps),
        faults,
        draw(st.frozensets(st.integers(1, count), max_size=2)),
        draw(st.frozensets(st.integers(0, replies - 1))),
        draw(st.sampled_from(["stream", None])),
        draw(st.booleans()),
    )


class Telling:
    def __init__(self, story: Story) -> None:
        self.story = story
        manifest = manifests.agent() if story.slack_stops else None
        self.sandbox = Sandbox(manifest=manifest, monotonic=lambda: asyncio.get_running_loop().time())
        self.client = SandboxClient(self.sandbox, story.faults)
        self.records, self.ledger = RecordsInMemory(), LoneLedger()
        self.process = SchedulerProcess(self.client, self.records, self.ledger, story.setting)
        self.model_texts = [""] * story.replies
        self.roots = [self.sandbox.people.say("ada", "general", f"why {n}?") for n in range(story.replies)]
        self.handles: list[ScheduledReply] = []
        self.attempt = 0

    async def run(self) -> None:
        self.process.start()
        await self._open()
        for at, step in enumerate(self.story.steps):
            if at in self.story.crash_at:
                await self._crash()
            self.model_texts[step.reply] += step.text
            self.handles[step.reply].append(step.text)
            await asyncio.sleep(step.pause_s)
        if len(self.story.steps) in self.story.crash_at:
            await self._crash()
        ends = [EndReason.STOPPED if n in self.story.stopped else EndReason.WHOLE for n in range(self.story.replies)]
        await self._finish(ends)
        if any(handle.reply.outbox_kind for handle in self.handles):
            # What the outbox does.
            await self._open()
            await self._finish(ends)
        await self.process.crash()

    async def _finish(self, ends: list[EndReason]) -> None:
        await asyncio.gather(
            *(handle.finish(End(end, footer="model")) for handle, end in zip(self.handles, ends, strict=True))
        )

    async def _crash(self) -> None:
        await self.process.crash()
        self.process = replace(self.process, tasks=[], lease=Lease())
        self.process.start()
        await self._open()

    async def _open(self) -> None:
        self.attempt += 1
        self.handles = []
        for number, root in enumerate(self.roots):
            question = Question(ThreadKey(self.sandbox.team_id, GENERAL, root), root, "U0ADA", "why?")
            messages = self.records.messages.get(number, ())
            # As after a process died.
            messages += (POSTING,) if self.attempt > 1 and POSTING not in messages else ()
            checkpoint = Checkpoint(self.records.texts.get(number, ""))
            job = Job(number, question, self.attempt, messages, checkpoint=checkpoint)
            answer = Answer(job)
            handle = await self.process.scheduler.open(answer, has_stop=self.story.slack_stops)
            self.process.scheduler.allow_stream(job)
            self.handles.append(handle)
            # The model goes on where the record ends.
            if rest := self.model_texts[number][len(answer.text) :]:
                handle.append(rest)

    def messages(self, number: int) -> list[Message]:
        messages = self.sandbox.workspace.replies(GENERAL, self.roots[number])
        return [message for message in messages if message.user_id == self.sandbox.bot_user_id]


def markdown_of(message: Message) -> str:
    return "".join(block["text"] for block in message.sent_blocks if block["type"] == "markdown") or message.text


@settings(suppress_health_check=[HealthCheck.data_too_large])
@given(stories())
@pytest.mark.long
def test_what_was_said_is_shown_once_and_in_order_within_the_budgets(story: Story) -> None:
    check(story)


def test_stream_whose_start_and_stop_got_no_answer_is_recognized_by_escaped_words() -> None:
    others = tuple(StoryStep(1, text, pause_s=1.0) for text in numbered(["W "] * 7))
    asks = StoryStep(0, "<!channel> w7x ", pause_s=1.0)
    lost = dict.fromkeys((5, 6), CallFault.LOST_RESPONSE)
    faults = {1: CallFault.RATE_LIMIT, **lost}
    check(Story(2, (*others, asks), faults, frozenset(), frozenset(), "stream", slack_stops=False))


def test_stream_without_a_letter_whose_start_got_no_answer_is_deleted() -> None:
    table = "\n\n| w{} | w{} |\n| --- | --- |\n| w{} | w{} |\n\n"
    steps = [
        StoryStep(0, "\n```\nw0x ", pause_s=1.0),
        StoryStep(1, table.format("1x", "2x", "3x", "4x"), pause_s=1.0),
        StoryStep(1, "w5x ", pause_s=1.0),
        StoryStep(0, "w6x ", pause_s=1.0),
        *(StoryStep(0, f"w{number}x ", pause_s=0.0) for number in (7, 8)),
        StoryStep(1, "w9x ", pause_s=0.7),
        StoryStep(1, table.format("10x", "11x", "12x", "13x"), pause_s=0.7),
    ]
    lost = dict.fromkeys((2, 10), CallFault.LOST_RESPONSE)
    check(Story(2, tuple(steps), lost, frozenset(), frozenset(), "stream", slack_stops=True))


def check(story: Story) -> None:
    async def bounded() -> None:
        telling = Telling(story)
        async with asyncio.timeout(WITHIN_S + sum(step.pause_s for step in story.steps)):
            await telling.run()
        for number in range(story.replies):
            messages = telling.messages(number)
            words = [word for message in messages for word in WORD.findall(markdown_of(message))]
            assert words == WORD.findall(telling.model_texts[number])
            assert telling.sandbox._web.app.streams == {}, "no stream stays open"
            assert tuple(message.ts for message in messages) == telling.handles[number].reply.page_ts
            ends = [(message.metadata or {})["event_payload"]["end"] for message in messages]
            assert [bool(end) for end in ends] == [False] * (len(messages) - 1) + [True]
        assert telling.client.over_budget == []

    run_simulated(bounded())
