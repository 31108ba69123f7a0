"""The ports of the answering loop, implemented with Slack and SQL, or in memory (standalone.py).

`Steps` runs the loop, `PromptBuilder` builds its prompts, and `ToolCalls` makes its calls. None of them imports Slack
or SQL. While the database is away, operations raise StoreError if their docstrings say so.
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
from bot.core.conversation import File, Note, Question, ThreadKey
from bot.core.files import OpenedFile
from bot.core.job import End, FollowUp, Job, Piece
from bot.core.memory import SentMemories
from bot.core.prompt import Conversation, CountTokens, Marks, PromptMessage
from bot.core.triage import Identity
from bot.models.events import Retrying, Searching
from bot.models.prompt import Effort, Offered
from bot.reply.answer import Answer
from bot.telemetry import OFF, Telemetry


class Records(Protocol):
    """Records the steps and calls of answers. All operations raise StoreError."""

    async def record(self, job: Job, step: Step, end: End, piece: Piece | None) -> bool:
        """Records a step before any of its calls is made, with its usage and the answer's text up to its end.

        Returns False if another attempt has the job.
        """
        ...

    async def calls(self, job: Job, step_no: int) -> tuple[RecordedCall, ...]:
        """Returns the calls of a step as they are now."""
        ...

    async def begin(self, job: Job, call: RecordedCall) -> bool:
        """Records that a READY call is about to be made; returns False if it must not be."""
        ...

    async def end(self, job: Job, call: RecordedCall) -> bool:
        """Records a call's end, with its state and result; returns False if it is over, or the job is lost."""
        ...

    async def take_follow_ups(self, job: Job, step_no: int) -> tuple[FollowUp, ...]:
        """Returns the asker's new questions, which the step with this number includes."""
        ...

    async def made_before(self, job: Job) -> tuple[RecordedCall, ...]:
        """Returns the calls of earlier versions of the answer that may have changed something."""
        ...

    async def replied_to(self, job: Job) -> tuple[RecordedCall, ...]:
        """Returns the calls of the asker's answer before, if they asked this question instead of approving any."""
        ...

    async def always_allowed(self, thread: ThreadKey) -> Mapping[str, str]:
        """Returns the tools that an admin always allows in a thread's channel, with the definitions' hashes."""
        ...

    async def allowed_in_thread(self, question: Question) -> frozenset[str]:
        """Returns the servers at which the asker allowed calls with their own account in this thread."""
        ...


@dataclass(frozen=True, slots=True)
class People:
    """Names and time zones of people and channels in a conversation, by ID."""

    names: Mapping[str, str]
    zones: Mapping[str, ZoneInfo]


class ConversationSource(Protocol):
    """Reads the conversation of a question, and facts about its channel and its asker."""

    @property
    def me(self) -> Identity:
        """The bot."""
        ...

    async def channel(self, question: Question) -> ChannelSettings:
        """Returns the settings of the question's channel. Raises StoreError."""
        ...

    async def is_member(self, question: Question, *, now_within_s: float | None = None) -> bool:
        """Returns whether the asker can have tools called that change something. `now_within_s`: as in Users.kind."""
        ...

    async def read(self, job: Job, *, posts_before: bool) -> Conversation:
        """Returns a question's conversation; `posts_before`: the last posts of its channel instead."""
        ...

    async def people(self, question: Question, ids: Sequence[str]) -> People:
        """Returns the names of people and channels, and the time zones of people and the asker."""
        ...

    async def memories(
        self, question: Question, marks: Marks, count_tokens: CountTokens, limit_tokens: int
    ) -> SentMemories:
        """Returns the text before all messages: memories that everybody who reads the answer can see."""
        ...

    async def note(self, job: Job, lines: Sequence[str]) -> Note:
        """Returns the prompt's note about this question only, which ends with these lines."""
        ...

    async def files(
        self, job: Job, messages: Sequence[PromptMessage], memory: AsyncExitStack, show: Callable[["Activity"], None]
    ) -> Mapping[str, OpenedFile]:
        """Returns the conversation's files by id. Their contents count as used memory until `memory` closes."""
        ...

    async def keep_transcripts(self, job: Job, files: Sequence[File]) -> None:
        """Records what is said in files that came since the last answer."""
        ...


class Tools(Protocol):
    """Offers tools and calls them."""

    async def definitions(self, question: Question) -> Offered:
        """Returns the tools that may be used to answer a question, within seconds; unavailable tools are left out.

        Tools that an admin denies, and tools whose definition has changed since an admin agreed to it, are missing too.
        """
        ...

    async def call(self, use: ToolUse) -> CallResult:
        """Calls a tool once, and never again. It must have been decided about already: only DENY is checked here.

        The call fails before it leaves if `definitions` wouldn't offer the tool with this hash. A call of a tool that
        isn't declared read-only is UNKNOWN if nobody knows whether it happened.
        """
        ...


class Spending(Protocol):
    """Limits what answers use."""

    async def reserve(self, job: Job, input_tokens: int, web_searches: int = 0, effort: Effort = Effort.NORMAL) -> None:
        """Returns when a request can be sent. Raises CapReached."""
        ...

    def cost_usd(self, end: End) -> float | None:
        """Returns what an end's usage has cost; None if nobody knows."""
        ...


@dataclass(frozen=True)
class Ports:
    """The ports that all answers of a process share. An Output belongs to one attempt."""

    records: Records
    conversation: ConversationSource
    tools: Tools | None
    """None if there are none."""
    spending: Spending
    clock: Clock
    telemetry: Telemetry = OFF


class Doing(Enum):
    """What is being done for an answer."""

    THINKING = auto()
    """The model thinks. It ends what was shown before."""
    LISTENING = auto()
    """A recording is being transcribed."""
    TAKING_LONG = auto()
    """The model hasn't written anything for long."""


@dataclass(frozen=True, slots=True)
class Running:
    """A tool is being called."""

    tool: str
    """Its name for readers."""


@dataclass(frozen=True, slots=True)
class TranscriptTexts:
    """What is said in recordings."""

    transcripts: Sequence[str]


Activity = Doing | Running | TranscriptTexts | Searching | Retrying
"""Activities that an output can show until the next text or activity."""


class Output(Protocol):
    """Where the text of one attempt at an answer goes."""

    async def begin(self, answer: Answer) -> None:
        """Gets ready for the text of an answer, right before its model is asked. Raises GivenUp."""
        ...

    def append(self, text: str) -> None:
        """Adds text to the answer, and shows it."""
        ...

    def show(self, activity: Activity) -> None:
        """Shows what is being done."""
        ...

    async def ask(self, calls: Sequence[RecordedCall]) -> None:
        """Asks a person about those calls of a step that need it. Raises GivenUp once somebody has to decide.

        Returns if nobody can be asked, because nobody sees the answer. Raises NotShown.
        """
        ...

    def unseen_end(self) -> End | None:
        """Returns the end of an answer that nobody can see anymore, or None. Raises NotShown and Stuck."""
        ...
