"""Fixtures for scenarios: the bot, connected over real sockets to a sandbox and to a scripted vendor."""

import asyncio
import builtins
import json
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot import app
from bot.clock import Clock, SystemClock
from bot.core import texts
from bot.core.actions import VOTES, ReplyAction
from bot.core.caps import DAY_S
from bot.errors import TypistError
from bot.models.setup import VendorSettings
from bot.services import presses
from bot.settings import Settings
from bot.store import Stores
from bot.wiring import Bot
from handlers import actions
from slack_markdown.escaping import JOINER
from slack_pacing.carriers import CarrierName
from slack_sandbox.blocks.elements import interactive
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.plugin import marked_options
from slack_sandbox.web_api.http import CallRecord
from slack_sandbox.workspace import Message
from tests.fast import FastClock
from tests.marked import untimed
from tests.scenarios.everyday import EVERYDAY
from tests.streams import speech
from tests.streams.server import VendorResponse, VendorServer

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
MODEL_NAMES = ("test", "other", "scripted", "gpt-6.1-sol", "gpt-6-luna")
"""What readers see of the models that scenarios ask."""
FOOTER = re.compile(
    rf"((fell back to|answered by) )?({'|'.join(MODEL_NAMES)})( · thorough[^·]*)?( · (stopped|incomplete))?"
    "|stopped|incomplete"
)
CARRIER: CarrierName = "edit"
"""Most scenarios look at each edit of one message. test_native_streams.py has the other carrier."""
EACH_CARRIER = [pytest.param(carrier, marks=pytest.mark.bot(carrier=carrier)) for carrier in ("edit", "stream")]
DELTA_CHARS, PACE_S = 16, 0.03
"""The length of the deltas of `grows`, and the pause after each: about 500 characters a second."""
AT_ONCE_CHARS = 100
"""The length of the deltas of an answer that comes at once: each delta costs a millisecond of work."""
GROWING = (
    texts.answers.THINKING,
    texts.answers.CHECKING_ACCESS,
    texts.answers.TRANSCRIBING,
    texts.answers.WRITING,
    texts.answers.QUEUED,
    texts.models.TRYING_AGAIN,
    texts.models.TAKES_LONG,
    texts.models.LOADING,
)
ACTIVITY = re.compile(r"^[A-Z]\w+ing .*…$", re.M)
"""The line of a tool or a search that is under way."""
_TRACED = re.compile(r"\b([A-Z]\w+) at [\w/]+\.py:\d")
WITHIN_A_DAY_S = 20.0
"""How long before the next day, UTC, no scenario begins that would fail if the day ended meanwhile."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the scenarios as wide that everyday.py doesn't name."""
    for item in items:
        if item.path.is_relative_to(HERE):
            name = item.name.partition("[")[0]
            if name not in EVERYDAY.get(item.path.relative_to(HERE).as_posix(), ()):
                item.add_marker(pytest.mark.wide)


def manifest(name: str = "manifest.json") -> Any:
    """Returns the manifest with which README.md has the app created in Slack."""
    return json.loads((ROOT / name).read_text())


def says(text: str, pause_s: float = 0.0) -> VendorResponse:
    """Returns a vendor's complete answer with this text: in tokens with a pause after each, or at once."""
    return VendorResponse(
        speech.chat(speech.tokens(text) if pause_s else speech.deltas_of(text, AT_ONCE_CHARS)), pause_s=pause_s
    )


Gate = Callable[[], Awaitable[object]]


def grows(text: str, pause_s: float = PACE_S, gates: Mapping[int, Gate] = MappingProxyType({})) -> VendorResponse:
    """Returns a vendor's answer that takes several edits. `gates`: what is awaited after so many characters."""
    numbered = {1 + chars // DELTA_CHARS: gate for chars, gate in gates.items()}
    return VendorResponse(speech.chat(speech.deltas_of(text, DELTA_CHARS)), pause_s=pause_s, gates=numbered)


def shown(message: Message) -> str:
    """Returns what a reader sees of a message, without Slack's escapes, footer and buttons."""
    parts = [message.text] if not message.sent_blocks else []
    for block in message.sent_blocks:
        match block["type"]:
            case "markdown":
                parts.append(block["text"])
            case "rich_text" | "context":
                parts += [line for line in _lines(block) if not FOOTER.fullmatch(line)]
    return "\n".join(parts).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def footer(message: Message) -> str:
    blocks = [block for block in message.sent_blocks if block["type"] in ("rich_text", "context")]
    lines = [line for block in blocks for line in _lines(block)]
    return next((line for line in lines if FOOTER.fullmatch(line)), "")


def _lines(block: dict[str, Any]) -> list[str]:
    """Returns a block's lines without the invisible joiners that keep names from becoming links."""
    if block["type"] == "context":
        return [element["text"].replace(JOINER, "") for element in block["elements"]]
    lines = [line for part in block["elements"] for line in (part["elements"] if _is_list(part) else [part])]
    return ["".join(map(_words, line["elements"])).replace(JOINER, "") for line in lines]


def _is_list(part: dict[str, Any]) -> bool:
    return bool(part["type"] == "rich_text_list")


def _words(element: dict[str, Any]) -> str:
    if element["type"] == "date":
        return f"<!date^{element['timestamp']}^{element['format']}|{element['fallback']}>"
    return str(element["text"])


def buttons(message: Message) -> list[str]:
    """Returns the actions of a message's buttons. 👍 and 👎 are one action."""
    action_ids = [element["action_id"] for _, element in interactive(message.blocks)]
    thumb_up, thumb_down = (f"{ReplyAction.FEEDBACK}-{vote}" for vote in VOTES)
    return [ReplyAction.FEEDBACK if one == thumb_up else one for one in action_ids if one != thumb_down]


def growing(message: Message) -> bool:
    """Returns whether a message says that more text follows, or is an open stream."""
    text = shown(message)
    says_so = any(note in text for note in GROWING) or ACTIVITY.search(text) is not None
    return says_so or message.streaming_state == "in_progress"


@dataclass
class Stage:
    """A sandbox and a scripted vendor, with helpers for asking and for reading answers."""

    sandbox: Sandbox
    vendor: VendorServer

    def bots(self, channel: str, thread_ts: str | None = None) -> list[Message]:
        """Returns the bot's messages in a thread, or at a channel's root."""
        return [
            message
            for message in self.sandbox.messages(channel, thread_ts)
            if message.user_id == self.sandbox.bot_user_id
        ]

    async def answers(
        self, channel: str, thread_ts: str | None, count: int = 1, timeout_s: float | None = None
    ) -> list[str]:
        """Waits for exactly `count` bot messages of which none is growing, and returns their text."""

        def ended() -> list[Message]:
            messages = self.bots(channel, thread_ts)
            is_over = not self.is_processing(channel, thread_ts) and not any(map(growing, messages))
            return messages if len(messages) == count and is_over else []

        return [shown(message) for message in await self.sandbox.wait_for(ended, timeout_s)]

    def is_processing(self, channel: str, thread_ts: str | None) -> bool:
        """Whether Slack shows its own Stop in a thread: an agent's answer grows there."""
        channel_id = self.sandbox.workspace.channel(channel).id
        session = self.sandbox.panes.session(channel_id, thread_ts) if thread_ts else None
        return session is not None and session.status == "processing"

    def calls(self, *methods: str) -> list[CallRecord]:
        return [call for call in self.sandbox.calls if call.method in methods]

    async def delivered(self) -> None:
        """Waits until the bot has acknowledged all events."""
        await self.sandbox.wait_for(lambda: all(delivery.acked_at_s for delivery in self.sandbox.deliveries))

    async def settled(self) -> None:
        """Waits for all acknowledgments, then for an answer in #random: what has no answer by then gets none."""
        await self.delivered()
        await self.answers("random", await self.mention("still there?", "random"))

    async def mention(self, text: str = "why?", channel: str = "general", user: str = "ada") -> str:
        """Asks at a channel's root and returns the question's ts."""
        return await self.sandbox.say(user, channel, f"@{self.sandbox.workspace.bot.name} {text}")

    def prompts(self) -> list[list[dict[str, str]]]:
        """Returns the messages of each request to the vendor, without the system prompt and without times."""
        return [[_untimed(message) for message in request.body["messages"][1:]] for request in self.vendor.requests]


def _untimed(message: dict[str, Any]) -> dict[str, Any]:
    content = message.get("content")
    if isinstance(content, str):
        return message | {"content": untimed(content)}
    parts = [part | {"text": untimed(part["text"])} if part["type"] == "text" else part for part in content or ()]
    return message | {"content": parts} if parts else message


def asking(vendor: VendorServer) -> dict[str, str]:
    """Returns the settings for an OpenAI-compatible vendor."""
    return {"OPENAI_BASE_URL": f"{vendor.url}/v1", "BOT_MODELS": "openai/test"}


def connected(sandbox: Sandbox, vendor: VendorServer) -> dict[str, str]:
    """Returns the settings for the vendor and for Slack."""
    slack = {"SLACK_BOT_TOKEN": sandbox.bot_token, "SLACK_APP_TOKEN": sandbox.app_token}
    return {**asking(vendor), **slack, "BOT_SLACK_API_URL": sandbox.api_url}


@asynccontextmanager
async def running(settings: Settings, clock: Clock | None = None, **options: Any) -> AsyncIterator[Bot]:
    """Runs the bot here from connected to drained, by default in the loop's time. `options`: of `app.run`."""
    shutdown, ready = app.Shutdown(), asyncio.Event()
    bots: list[Bot] = []

    def connected(bot: Bot) -> None:
        bots.append(bot)
        ready.set()

    task = asyncio.create_task(app.run(settings, shutdown, connected, clock or FastClock(), **options))
    is_ready = asyncio.create_task(ready.wait())
    await asyncio.wait((task, is_ready), return_when=asyncio.FIRST_COMPLETED)
    is_ready.cancel()
    try:
        if task.done():
            task.result()
        yield bots[0]
    finally:
        shutdown.requested.set()
        await task


@pytest.fixture
def one_day() -> None:
    """Waits for the next day, UTC, if it is close: quotas begin anew with it, in the middle of a scenario."""
    if (left_s := DAY_S - time.time() % DAY_S) < WITHIN_A_DAY_S:
        time.sleep(left_s)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.long)])
def database_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def with_frequent_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets this process's bot look all the time for what another process has left."""
    monkeypatch.setattr("bot.services.outbox.CHECK_INTERVAL_S", 0.5)
    # PostgreSQL isn't restarted, so a lock that is free belongs to a process that is dead.
    monkeypatch.setattr("bot.store.workers.LOCK_GRACE_S", 0.1)


@pytest.fixture(autouse=True)
def without_double_presses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes no press for a double press: tests press faster than people do."""
    monkeypatch.setattr(presses, "DOUBLE_PRESS_S", 0.0)


@pytest.fixture(autouse=True)
def with_time_for_presses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets presses be acknowledged only once their work is done, however slow the machine is: tests look at it then."""
    monkeypatch.setattr(actions, "WITHIN_S", 15.0)


@pytest.fixture
async def sandbox(request: pytest.FixtureRequest) -> AsyncIterator[Sandbox]:
    """A sandbox in the loop's time, with the options in the marks `slack` of the module and then of the test.

    It waits longer for acknowledgments than Slack does, since other work on the machine may hold up the bot. Waits end
    as soon as a bot in this process has logged an error that nobody foresaw.
    """
    time = asyncio.get_running_loop().time
    patient = {"ack_timeout_s": 20.0, "redelivery_delays_s": (0.0, 1.0, 2.0)}
    options = marked_options(request, **patient, manifest=manifest(), monotonic=time)
    async with Sandbox(**options) as sandbox:
        defects = Defects(sandbox)
        logging.getLogger().addHandler(defects)
        yield sandbox
        logging.getLogger().removeHandler(defects)


class Defects(logging.Handler):
    """Has a sandbox give up all waits once the log has an error that only a defect raises, as bot.errors.trace_of."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(logging.ERROR)
        self._sandbox = sandbox

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[0] if record.exc_info else None
        if found := _TRACED.search(record.getMessage()):
            error = getattr(builtins, found[1], None)
        if error is not None and not issubclass(error, OSError | TypistError):
            self._sandbox.give_up(record.getMessage())


@pytest.fixture
def web(sandbox: Sandbox) -> AsyncWebClient:
    """Returns a client of the Web API with the bot's token."""
    return AsyncWebClient(token=sandbox.bot_token, base_url=sandbox.api_url)


@pytest.fixture
async def another_process(settings: Settings) -> AsyncIterator[Stores]:
    """Yields the bot's database as another process opens it."""
    store = await Stores.open(settings.database_url, "w2", SystemClock())
    yield store
    await store.close()


@pytest.fixture
async def in_bots_time(settings: Settings) -> AsyncIterator[Stores]:
    """Yields the bot's database as another process opens it whose clock has skipped the same waits as the bot's."""
    store = await Stores.open(settings.database_url, "w2", FastClock())
    yield store
    await store.close()


@pytest.fixture
async def vendor() -> AsyncIterator[VendorServer]:
    async with VendorServer() as vendor:
        vendor.has_all_models = True
        vendor.script(says("The whole answer."))
        yield vendor


@pytest.fixture
def settings(request: pytest.FixtureRequest, sandbox: Sandbox, vendor: VendorServer, tmp_path: Path) -> Settings:
    """Returns the bot's settings, changed by the marks `bot` of the module and then of the test."""
    changed: dict[str, Any] = {}
    for mark in reversed(list(request.node.iter_markers("bot"))):
        changed |= mark.kwargs
    if changed.pop("on_disk", False):
        changed["database_url"] = f"sqlite:///{tmp_path}/typist.db"
    return replace(settings_of(sandbox, vendor), **changed)


def settings_of(sandbox: Sandbox, vendor: VendorServer) -> Settings:
    return Settings(
        slack_bot_token=sandbox.bot_token,
        slack_app_token=sandbox.app_token,
        slack_api_url=sandbox.api_url,
        vendors={"openai": VendorSettings(base_url=f"{vendor.url}/v1")},
        models=("openai/test",),
        database_url="sqlite://",
        carrier=CARRIER,
    )


@pytest.fixture
async def stage(sandbox: Sandbox, vendor: VendorServer, settings: Settings) -> AsyncIterator[Stage]:
    async with running(settings):
        yield Stage(sandbox, vendor)


@pytest.fixture
async def with_short_stall_timeout(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Stage]:
    monkeypatch.setattr("bot.models.wrappers.LOADS_WITHIN_S", 2.0)
    async with running(replace(settings, stall_timeout_s=2)):
        yield Stage(sandbox, vendor)
