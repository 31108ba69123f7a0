"""The ports of the answering loop, implemented with Slack and SQL, or in memory (standalone.py).

`Steps` runs the loop, `PromptBuilder` builds its prompts, and `ToolCalls` makes its calls. None of these classes
depends on Slack or SQL. Operations whose docstrings mention StoreError raise it while the database is unavailable.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol
from zoneinfo import ZoneInfo

from bot.clock import Clock
from bot.core.calls import CallResult, RecordedCall, Step, ToolUse
from bot.core.channel_settings import ChannelSettings
from bot.core.channels import Channel
from bot.core.conversation import File, Note, Question, ThreadKey
from bot.core.files import OpenedFile
from bot.core.job import End, FollowUp, Job, Piece
from bot.core.memory import SentMemories
from bot.core.prompt import Conversation, CountTokens, PromptMarks, PromptMessage
from bot.core.triage import Identity
from bot.models.events import Loading, Retrying, Searching, Thinking
from bot.models.prompt import Effort, OfferedTools
from bot.reply.answer import Answer
from bot.telemetry import OFF, Telemetry


class Records(Protocol):
    """The record of an answer's steps and calls. All operations raise StoreError."""

    async def record_step(self, job: Job, step: Step, end: End, piece: Piece) -> bool: ...

    async def calls(self, job: Job, step_no: int) -> tuple[RecordedCall, ...]: ...

    async def begin_call(self, job: Job, call: RecordedCall) -> bool: ...

    async def end_call(self, job: Job, call: RecordedCall) -> bool: ...

    async def take_follow_ups(self, job: Job, step_no: int) -> tuple[FollowUp, ...]: ...

    async def earlier_calls(self, job: Job) -> tuple[RecordedCall, ...]:
        """Returns the calls of earlier versions of the answer that might have changed something."""
        ...

    async def calls_denied_by_reply(self, job: Job) -> tuple[RecordedCall, ...]:
        """Returns the calls of the asker's previous answer if they asked this question instead of approving a call."""
        ...

    async def always_allowed(self, thread: ThreadKey) -> Mapping[str, str]:
        """Returns definition hashes, by tool name, of tools that an admin always allows in the thread's channel."""
        ...

    async def servers_allowed_in_thread(self, question: Question) -> frozenset[str]:
        """Returns the servers at which the asker allowed calls with their own account in this thread."""
        ...


@dataclass(frozen=True, slots=True)
class People:
    names: Mapping[str, str]
    zones: Mapping[str, ZoneInfo]
    channel: Channel | None = None
    """The question's channel, or None if it is unknown."""


class ConversationSource(Protocol):
    @property
    def me(self) -> Identity: ...

    async def channel(self, question: Question) -> ChannelSettings: ...

    async def is_member(self, question: Question, *, now_within_s: float | None = None) -> bool:
        """Returns whether the asker can use tools that change something. `now_within_s`: as in Users.kind."""
        ...

    async def read(self, job: Job, *, posts_before: bool) -> Conversation:
        """Returns a question's conversation. With `posts_before`, returns the channel's latest posts instead."""
        ...

    async def people(self, question: Question, ids: Sequence[str]) -> People: ...

    async def memories(
        self, question: Question, marks: PromptMarks, count_tokens: CountTokens, limit_tokens: int
    ) -> SentMemories:
        """Returns the prompt's text about memories. Includes only memories that every reader of the answer can see."""
        ...

    async def note(self, job: Job, lines: Sequence[str]) -> Note: ...

    async def files(
        self, job: Job, messages: Sequence[PromptMessage], memory: AsyncExitStack, show: Callable[["Activity"], None]
    ) -> Mapping[str, OpenedFile]:
        """Returns the conversation's files by ID. File contents are counted as used memory until `memory` closes."""
        ...

    async def keep_transcripts(self, job: Job, files: Sequence[File]) -> None: ...


class Tools(Protocol):
    async def definitions(self, question: Question) -> OfferedTools:
        """Returns, within seconds, the tools for answering a question. Excludes unavailable and denied tools, and tools
        whose definition has changed since an admin agreed to it."""
        ...

    async def call(self, use: ToolUse) -> CallResult:
        """Calls a tool at most once. Checks only for DENY, so the call must have been approved already. Fails without
        sending the call if `definitions` no longer offers a tool with this hash. The result is UNKNOWN if the call
        might have been made and the tool isn't declared read-only."""
        ...


class Spending(Protocol):
    async def reserve(self, job: Job, input_tokens: int, web_searches: int = 0, effort: Effort = Effort.NORMAL) -> None:
        """Reserves usage for a request. Returns once the request can be sent. Raises CapReached."""
        ...

    def cost_usd(self, end: End) -> float | None: ...


@dataclass(frozen=True)
class Ports:
    records: Records
    conversation: ConversationSource
    tools: Tools | None
    spending: Spending
    clock: Clock
    telemetry: Telemetry = OFF


class PlainActivity(Enum):
    THINKING = auto()
    """The model is thinking, which replaces any earlier activity."""
    LISTENING = auto()
    TAKING_LONG = auto()


@dataclass(frozen=True, slots=True)
class RunningTool:
    activity: str
    """User-facing text, such as "Creating the schedule…"."""


@dataclass(frozen=True, slots=True)
class TranscriptTexts:
    transcripts: Sequence[str]


Activity = PlainActivity | RunningTool | TranscriptTexts | Searching | Loading | Retrying | Thinking
"""An activity, shown until the next text or activity."""


class Output(Protocol):
    async def begin(self, answer: Answer) -> None:
        """Prepares the display right before the model is asked. Raises GivenUp."""
        ...

    def append(self, text: str) -> None: ...

    def show(self, activity: Activity) -> None: ...

    async def ask(self, calls: Sequence[RecordedCall]) -> None:
        """Asks a person to approve a step's calls. Raises GivenUp, but returns if nobody can see the answer. Raises
        NotShown."""
        ...

    def unseen_end(self) -> End | None:
        """Returns the `End` of an answer that nobody can see anymore, or None if the answer is visible. Raises NotShown
        and Stuck."""
        ...
