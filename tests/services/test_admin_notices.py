"""What Typist admins are told: once over all processes and restarts, and only what is so."""

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bot.core import texts
from bot.core.caps import DAY_S, HOUR_S
from bot.core.outbox import wait_s
from bot.errors import EndReason, RateLimited, Refusal, Refused
from bot.mcp.config import HttpTransport, ServerConfig
from bot.mcp.remedies import down_sentences
from bot.mcp.sentences import DOWN_CLOSED, DOWN_HEADER_REFUSED
from bot.models.events import Completion, FinishReason
from bot.models.prompt import TokenEstimate
from bot.services.admin_notices import (
    CHECK_INTERVAL_S,
    CONFIRM_S,
    DOWN_NOTICE_S,
    RECOVERY_DELAY_S,
    AdminNotices,
    ModelNotices,
    OtherConnections,
    Outages,
    ServerNotices,
)
from bot.store import Stores
from tests.clocks import SteppedClock
from tests.services.notified import Recipients

pytestmark = pytest.mark.wide

MODELS = ("openai/a", "openai/b", "anthropic/c")
WEB = ServerConfig("web", HttpTransport("https://web.example/mcp", {"Authorization": "Bearer x"}))
KEY, CREDIT = EndReason.BAD_KEY, EndReason.OUT_OF_CREDIT


class Admins(Recipients):
    def sentences(self) -> list[str]:
        """Returns what the admins read, which is the same for both, and forgets it."""
        read, self.read = self.read, []
        ones, twos = ([sentence for admin, sentence in read if admin == one] for one in ("U1", "U2"))
        assert ones == twos
        return ones


@dataclass
class Server:
    """One MCP server, of which a process knows this."""

    problem: str | None = None
    tries: int = 0

    async def problems(self) -> dict[str, str]:
        return {} if self.problem is None else {"web": self.problem}

    def retry(self, server: str, every_s: float) -> None:
        self.tries += 1


@dataclass(frozen=True)
class Process:
    outages: Outages
    models: ModelNotices
    servers: ServerNotices | None

    def on_result(self, model: str, result: EndReason | Completion | None) -> None:
        self.models.on_result(model, result)

    async def check(self) -> None:
        await self.models.check()
        if self.servers:
            await self.servers.check()
        await self.outages.check()


class Processes:
    def __init__(self, folder: Path) -> None:
        self.clock = SteppedClock()
        self.admins = Admins()
        self._url = f"sqlite:///{folder}/typist.db"
        self.stores: list[Stores] = []

    async def start(self, servers: Server | None = None) -> Process:
        store = await Stores.open(self._url, f"w{len(self.stores)}", self.clock)
        self.stores.append(store)
        notices = self.notices(store)
        outages = Outages(notices, self.clock, MODELS)
        models = ModelNotices(notices, outages, TokenEstimate(MODELS), self.clock)
        return Process(outages, models, ServerNotices(outages, servers, [WEB]) if servers else None)

    def notices(self, store: Stores) -> AdminNotices:
        return AdminNotices(store.notifications, "T1", ["U2", "U1"])

    async def check(self, *refusals: Process, for_s: float = CHECK_INTERVAL_S) -> list[str]:
        """Returns what the admins read while these processes check, all at once, for some time."""
        for _ in range(math.ceil(for_s / CHECK_INTERVAL_S)):
            await asyncio.gather(*(each.check() for each in refusals))
            await asyncio.gather(*(self.admins.get_due(store) for store in self.stores[-2:]))
            self.clock.now_s += CHECK_INTERVAL_S
        return self.admins.sentences()


@pytest.fixture
async def processes(tmp_path: Path) -> AsyncIterator[Processes]:
    processes = Processes(tmp_path)
    yield processes
    for store in processes.stores:
        await store.close()


def refused(failure: EndReason, model: str = "openai/a") -> list[str]:
    return [texts.models.model_refused(failure, model)]


AGAIN_S = RECOVERY_DELAY_S + 2 * CHECK_INTERVAL_S
A_WORKS, B_WORKS = [texts.models.answers_again("openai/a")], [texts.models.answers_again("openai/b")]


@pytest.mark.parametrize(
    "events",
    [
        [("openai/a", KEY, refused(KEY)), ("openai/a", KEY, []), ("openai/a", None, A_WORKS), ("openai/a", None, [])],
        [
            ("openai/a", CREDIT, refused(CREDIT)),
            ("openai/b", CREDIT, []),
            ("openai/a", None, []),
            ("openai/b", None, B_WORKS),
        ],
        [("openai/a", KEY, refused(KEY)), ("openai/b", None, []), ("openai/a", KEY, []), ("openai/b", None, [])],
        [("openai/a", KEY, refused(KEY)), ("openai/a", CREDIT, refused(CREDIT)), ("openai/a", None, A_WORKS)],
        [
            ("openai/a", KEY, refused(KEY)),
            ("anthropic/c", KEY, refused(KEY, "anthropic/c")),
            ("openai/a", None, A_WORKS),
        ],
        [("openai/a", EndReason.OVERLOADED, []), ("openai/a", EndReason.REFUSED, []), ("openai/a", None, [])],
        [("openai/a", KEY, refused(KEY)), ("openai/a", EndReason.STALLED, []), ("openai/a", KEY, [])],
    ],
    ids=[
        "the key, once and once that it works",
        "one account for two models",
        "a model that the key has no access to, beside one that answers",
        "the key was changed, and the account has no credit",
        "two vendors",
        "failures that say nothing of the key",
        "a failure in between is no answer",
    ],
)
@pytest.mark.long(after_row=3)
async def test_admins_read_once_that_a_vendor_refuses_and_once_that_it_answers(
    processes: Processes, events: Sequence[tuple[str, EndReason | None, list[str]]]
) -> None:
    """Each event is heard by one of two processes in turn, and both have been restarted since the last one."""
    for number, (model, failure, read) in enumerate(events):
        both = [await processes.start(), await processes.start()]
        both[number % 2].on_result(model, failure)
        assert await processes.check(*both, for_s=AGAIN_S) == read, (number, model, failure)


@pytest.mark.parametrize("priced_as", ["openai/x", "openai/a"], ids=["with a price", "without a price"])
async def test_admins_read_once_that_another_model_answers(processes: Processes, priced_as: str) -> None:
    """A gateway that picks a model for each request would fill their direct messages."""
    done = Completion(priced_as, FinishReason.STOP, None, asked_model="openai/a", substitute_model="openai/x")
    for read in ([texts.models.another_model_answers("openai/a", "openai/x", priced_as)], []):
        both = [await processes.start(), await processes.start()]
        for one in both:
            one.on_result("openai/b", Completion("openai/b", FinishReason.STOP, None))
            one.on_result("openai/a", done)
            one.on_result("openai/a", replace(done, substitute_model="openai/y"))
        assert await processes.check(*both, for_s=AGAIN_S) == [f"{one} {texts.models.CHOOSE_ANOTHER}" for one in read]


async def test_admins_read_once_that_a_server_cuts_prompts(processes: Processes) -> None:
    for read in ([texts.models.prompt_truncated_text("openai/a", 6_000, 4_096)], []):
        both = [await processes.start(), await processes.start()]
        for one in both:
            one.models.estimate.cut_prompts["openai/a"] = 6_000, 4_096
        assert await processes.check(*both, for_s=AGAIN_S) == read


async def test_admins_read_once_a_day_that_a_vendor_stopped_answers_for_what_a_model_did(processes: Processes) -> None:
    stopped = [texts.models.actions_stopped("openai/a")]
    for later_s, read in ((0.0, stopped), (0.0, []), (DAY_S, stopped)):
        processes.clock.now_s += later_s
        both = [await processes.start(), await processes.start()]
        for one in both:
            one.on_result("openai/a", EndReason.MISALIGNED)
        assert await processes.check(*both, for_s=2 * CHECK_INTERVAL_S) == read


REFUSED, DOWN = ([" ".join(down_sentences(WEB, why))] for why in (DOWN_HEADER_REFUSED, DOWN_CLOSED))
WORKS = [texts.models.answers_again("web")]
HOUR = DOWN_NOTICE_S + 2 * CHECK_INTERVAL_S


@pytest.mark.parametrize(
    "events",
    [
        [(DOWN_HEADER_REFUSED, 0, REFUSED), (DOWN_HEADER_REFUSED, HOUR, []), ("", AGAIN_S, WORKS), ("", AGAIN_S, [])],
        [(DOWN_CLOSED, DOWN_NOTICE_S / 2, []), ("", AGAIN_S, []), (DOWN_CLOSED, DOWN_NOTICE_S / 2, [])],
        [
            (DOWN_CLOSED, DOWN_NOTICE_S / 2, []),
            (None, 0, []),
            (DOWN_CLOSED, DOWN_NOTICE_S / 2, DOWN),
            ("", AGAIN_S, WORKS),
        ],
        [(DOWN_CLOSED, HOUR, DOWN), (DOWN_HEADER_REFUSED, 0, REFUSED), ("", AGAIN_S, WORKS)],
        [(DOWN_CLOSED, HOUR, DOWN), ("", AGAIN_S, WORKS), (DOWN_CLOSED, HOUR, DOWN)],
        [(None, HOUR, []), ("", AGAIN_S, [])],
    ],
    ids=["refused", "down for a while", "down over a restart", "down and refused", "down twice", "never used"],
)
@pytest.mark.long(after_row=3)
async def test_admins_read_once_that_a_server_is_down_and_once_that_it_works(
    processes: Processes, events: Sequence[tuple[str | None, float, list[str]]]
) -> None:
    """One of two processes uses the server, and both are restarted before each event."""
    for number, (problem, for_s, read) in enumerate(events):
        both = [await processes.start(Server(problem if one == number % 2 else None)) for one in range(2)]
        assert await processes.check(*both, for_s=max(for_s, 2 * CHECK_INTERVAL_S)) == read, (number, problem)


async def test_processes_that_hear_it_at_once_tell_once(processes: Processes) -> None:
    many = [await processes.start() for _ in range(4)]
    for each in many:
        each.on_result("openai/a", KEY)
    assert await processes.check(*many, for_s=AGAIN_S) == refused(KEY)
    for each in many:
        each.on_result("openai/a", None)
    assert await processes.check(*many, for_s=AGAIN_S) == A_WORKS


async def test_refusal_that_comes_while_another_one_is_told_is_told_next(processes: Processes) -> None:
    process = await processes.start()
    process.on_result("openai/a", KEY)
    await process.check()
    sending = asyncio.create_task(processes.admins.get_due(processes.stores[0]))
    while not processes.admins.read:  # noqa: ASYNC110 a call, which ends
        await asyncio.sleep(0)
    process.on_result("openai/a", CREDIT)
    await process.check()
    await sending
    assert await processes.check(process, for_s=AGAIN_S) == refused(KEY) + refused(CREDIT)


async def test_vendor_that_refuses_now_and_then_is_told_of_once(processes: Processes) -> None:
    process = await processes.start()
    read = []
    for failure in (KEY, None) * 20:
        process.on_result("openai/a", failure)
        read += await processes.check(process, for_s=RECOVERY_DELAY_S / 4)
    assert read == refused(KEY)
    assert await processes.check(process, for_s=AGAIN_S) == A_WORKS


@pytest.mark.parametrize(
    "problem", [RateLimited("chat.postMessage", 1), Refused("chat.postMessage", "x", Refusal.TRANSIENT)]
)
async def test_message_that_slack_does_not_take_is_sent_later(processes: Processes, problem: Exception) -> None:
    process = await processes.start()
    processes.admins.problems = [problem, problem]
    process.on_result("openai/a", KEY)
    assert await processes.check(process, for_s=wait_s(1)) == []
    assert await processes.check(process, for_s=wait_s(1)) == refused(KEY)


async def test_admin_who_is_gone_holds_up_nobody(processes: Processes) -> None:
    process = await processes.start()
    processes.admins.problems = [Refused("chat.postMessage", "user_not_found", Refusal.MESSAGE_GONE)]
    process.on_result("openai/a", KEY)
    await process.check()
    for _ in range(2):
        await processes.admins.get_due(processes.stores[0])
        processes.clock.now_s += wait_s(2)
    assert processes.admins.read == [("U2", *refused(KEY))]


@dataclass
class App:
    """The connections of an app, as hellos tell of them, and the processes of the database."""

    clock: SteppedClock
    count: int = 2
    living: int = 1
    recounts: int = 0
    counted_at: float = 0.0

    said: int = 2

    def hello(self, count: int) -> None:
        self.count = self.said = count
        self.counted_at = self.clock.now_s

    def recount(self) -> None:
        self.recounts += 1
        self.hello(self.count)

    async def names(self) -> list[str]:
        return [f"w{number}" for number in range(self.living)]


@pytest.fixture
async def app(processes: Processes) -> App:
    return App(processes.clock)


async def watch(processes: Processes, app: App, *, began: OtherConnections | None = None) -> OtherConnections:
    await processes.start()
    admins = processes.notices(processes.stores[-1])
    return began or OtherConnections(lambda: (app.said, app.counted_at), app.recount, app.names, admins, app.clock)


async def looked(
    processes: Processes, app: App, others: OtherConnections, for_s: float, each_s: float = CHECK_INTERVAL_S
) -> list[str]:
    for _ in range(math.ceil(for_s / each_s)):
        await others.check()
        await processes.admins.get_due(processes.stores[-1])
        app.clock.now_s += each_s
    return processes.admins.sentences()


@pytest.mark.parametrize(
    ("count", "living", "is_fault"),
    [
        (0, 1, False),
        (2, 1, False),
        (4, 2, False),
        pytest.param(3, 2, False, marks=pytest.mark.long),
        pytest.param(10, 5, False, marks=pytest.mark.long),
        (3, 1, True),
        pytest.param(4, 1, True, marks=pytest.mark.long),
        (6, 2, True),
    ],
)
@pytest.mark.long(after_row=2)
async def test_connections_beyond_those_of_the_database_are_told_once_a_day(
    processes: Processes, app: App, count: int, living: int, *, is_fault: bool
) -> None:
    app.living = living
    for _ in range(2):
        watching = await watch(processes, app)
        app.hello(count)
        read = await looked(processes, app, watching, 3 * CONFIRM_S)
        assert read == ([texts.quotas.OTHER_CONNECTIONS] if is_fault and len(processes.stores) == 1 else [])
    app.clock.now_s += DAY_S
    app.hello(2 * living)
    assert await looked(processes, app, watching, 3 * CONFIRM_S) == []
    app.hello(2 * living + 1)
    assert await looked(processes, app, watching, 3 * CONFIRM_S) == [texts.quotas.OTHER_CONNECTIONS], "on another day"


async def test_connection_that_only_counts_for_a_while_is_no_fault(processes: Processes, app: App) -> None:
    """After a refresh, or a deployment: its own hello shows that nobody else is there, at the price of one renewal."""
    watching = await watch(processes, app)
    app.hello(3)
    assert await looked(processes, app, watching, CONFIRM_S) == []
    app.count = 2
    assert await looked(processes, app, watching, HOUR_S) == []
    assert app.recounts == 1


@pytest.mark.long
async def test_fault_that_stays_is_counted_once_an_hour(processes: Processes, app: App) -> None:
    watching = await watch(processes, app)
    app.hello(4)
    await looked(processes, app, watching, 4 * HOUR_S, each_s=60)
    assert 4 <= app.recounts <= 5
