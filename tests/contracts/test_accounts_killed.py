"""Ten people's calls with accounts of their own, while two processes die and fail at every write of the store.

They sign in by an address that they paste, by the code of Typist's page, or by one that they confirm at the server.

Tokens end all the time. The authorization server ends a sign-in whose refresh token is used twice, which may happen
only to a person whose process has died between the server's answer and the record of it.
"""

import asyncio
import itertools
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa

from bot.accounts.connections import Connections
from bot.accounts.sign_ins import SignInLinks, SignIns
from bot.core.conversation import Question, ThreadKey
from bot.errors import StoreError
from bot.mcp.config import HttpTransport, SignInConfig
from bot.mcp.server import ServerDown
from bot.models.prices import ModelPrices
from bot.store import Stores
from bot.store.accounts import Owner
from bot.store.schema import oauth_clients
from slack_sandbox.testing.gate import rounds
from tests.clocks import ManualClock
from tests.mcp.sign_in_server import BY_DEVICE, SignInServer, sign_in_server

KEY = "YWJjZGVmZ2hpamFiY2RlZmdoaWphYmNkZWZnaGlqYWI="
PEOPLE, AT_ONCE, CALLS_EACH = 10, 2, rounds(10, 50)
"""People, the questions that each of them has at once, and the calls of each question."""
SIGN_OUT_EVERY = 10
TRIES = 100
WITHIN_S = 30.0
LIVES_S = 130
"""Tokens are refreshed a minute before they end."""
TICK_S, IN_S = 10.0, 0.05
"""How much time passes, and how long it takes."""
WRITES = ("register", "begin", "arrive", "take", "sign_in", "begin_refresh", "end_refresh", "end")
WAYS = ("dies before", "dies after", "fails before", "fails after")
"""What happens to a process at a write: before or after its commit."""
EVERY = 23
MANY_REFRESHES = rounds(1, 4) * PEOPLE
"""A machine that is fast has done before more time passes."""

T = TypeVar("T")


@dataclass
class Plan:
    """Says which writes fail: the first of each kind in each way, and then some, in turn."""

    made: Counter[str] = field(default_factory=Counter)
    failed: Counter[tuple[str, str]] = field(default_factory=Counter)

    def unfailed(self) -> list[tuple[str, str]]:
        """Returns which of the writes that there were have not failed in which way."""
        return [write for write in itertools.product(self.made, WAYS) if not self.failed[write]]

    def way(self, write: str) -> str:
        number = self.made[write]
        self.made[write] += 1
        if number >= len(WAYS) and number % EVERY:
            return ""
        way = WAYS[(number if number < len(WAYS) else number // EVERY) % len(WAYS)]
        self.failed[write, way] += 1
        return way


class Process:
    """One process's part in accounts, which dies at some of its writes."""

    def __init__(self, stores: Stores, jira: SignInServer, plan: Plan) -> None:
        self.stores, self._plan = stores, plan
        for write in WRITES:
            setattr(stores.accounts, write, partial(self._write, write, getattr(stores.accounts, write)))
        self.sign_ins = SignIns(stores.accounts, (KEY,), (jira.config,), stores.clock)
        setattr(self.sign_ins, "_refresh_tokens", partial(self._refresh_tokens, self.sign_ins._refresh_tokens))  # noqa: B010
        self.connections = Connections(self.sign_ins, {"jira": jira.config}, stores.clock)
        self.refreshing: Counter[Owner] = Counter()
        self.spending: set[Owner] = set()
        """Whose refresh tokens may be spent, with the new ones not on record."""
        self.dead = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self, work: Coroutine[Any, Any, T]) -> tuple[T | None, bool]:
        """Returns what work returns, and whether it has come to its end: the process may fail or die."""
        if self.dead.is_set():
            work.close()
            return None, False
        task = asyncio.create_task(work)
        self._tasks.add(task)
        await asyncio.wait([task])
        self._tasks.discard(task)
        if task.cancelled() or isinstance(task.exception(), StoreError | ServerDown):
            return None, False
        return task.result(), True

    async def die(self) -> None:
        self.dead.set()
        works = [*self._tasks, *self.sign_ins._tasks]
        for task in works:
            task.cancel()
        await asyncio.gather(*works, return_exceptions=True)
        await self.connections.close()
        await self.stores.close()

    @contextmanager
    def _refreshes(self, owner: Owner) -> Iterator[None]:
        self.refreshing[owner] += 1
        try:
            yield
        finally:
            self.refreshing[owner] -= 1

    async def _refresh_tokens(
        self, refresh: Callable[..., Awaitable[None]], owner: Owner, *arguments: Any, **options: Any
    ) -> None:
        self.spending.add(owner)
        with self._refreshes(owner):
            await refresh(owner, *arguments, **options)
        self.spending.discard(owner)

    async def _write(self, name: str, write: Callable[..., Awaitable[T]], *arguments: Any, **options: Any) -> T:
        if name == "begin_refresh":
            with self._refreshes(arguments[0]):
                return await self._in_some_way(name, partial(write, **options), *arguments)
        return await self._in_some_way(name, partial(write, **options), *arguments)

    async def _in_some_way(self, name: str, write: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        way = self._plan.way(name)
        await self._meet(way, "before")
        result = await write(*arguments)
        await self._meet(way, "after")
        return result

    async def _meet(self, way: str, when: str) -> None:
        if way == f"dies {when}":
            self.dead.set()
            await asyncio.Event().wait()
        if way == f"fails {when}":
            raise StoreError("a write is made to fail")


@dataclass
class Person:
    owner: Owner
    is_signed_in: bool = False
    """Whether they must not be asked to sign in."""
    may_have_lost: bool = False
    """Whether a process has died since then while it refreshed their tokens."""
    losses: int = 0
    """How often one has."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass
class World:
    """Two processes, each with another in its place when it dies."""

    url: str
    jira: SignInServer
    plan: Plan = field(default_factory=Plan)
    clock: ManualClock = field(default_factory=ManualClock)
    processes: list[Process] = field(default_factory=list)
    people: list[Person] = field(
        default_factory=lambda: [Person(Owner("T1", f"U{number}", "jira")) for number in range(PEOPLE)]
    )
    _page: asyncio.Lock = field(default_factory=asyncio.Lock)

    @asynccontextmanager
    async def alive(self) -> AsyncIterator[None]:
        self.processes = [await self._begun(f"w{place}") for place in range(2)]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._keep(place)) for place in range(2)]
            tasks.append(group.create_task(self._let_time_pass()))
            yield
            for task in tasks:
                task.cancel()
        for process in self.processes:
            await process.die()

    async def call(self, person: Person, number: int) -> None:
        thread = ThreadKey("T1", "C1", f"{number % 3}.0")
        question = Question(thread, f"{number}.1", person.owner.user_id, "who?")
        for attempt in range(TRIES):
            found, went_well = await self._found(number + attempt, question)
            if found == f"You are {person.owner.user_id}.":
                return
            assert "You are" not in (found or ""), found
            if went_well and found is None:
                await self._sign_in(person, attempt + number, question)
            await asyncio.sleep(IN_S)
        raise AssertionError(f"{person} isn't answered: {found}")

    async def sign_out(self, person: Person, number: int) -> None:
        async with person.lock:
            person.is_signed_in = False
            process = self._process(number)
            await process.run(process.sign_ins.sign_out(person.owner))

    def _process(self, number: int) -> Process:
        return self.processes[number % 2]

    async def _found(self, number: int, question: Question) -> tuple[str | None, bool]:
        """Returns what the tool says to the asker, None if they must sign in; and whether that has come to its end."""
        process = self._process(number)

        async def found() -> str | None:
            async with asyncio.timeout(WITHIN_S):
                server = await process.connections.asker_server(question, "jira")
                if server is None:
                    return None
                return (await server.call("whoami", {}, timeout_s=WITHIN_S, read_only=True))[0].text

        return await process.run(found())

    async def _sign_in(self, person: Person, number: int, question: Question) -> None:
        async with person.lock:
            found, went_well = await self._found(number, question)
            if found is not None or not went_well:
                return
            assert not person.is_signed_in or person.may_have_lost, f"{person} is asked to sign in again"
            person.is_signed_in = False
            here, there, call = self._process(number), self._process(number + 1), f"{number} {question.ts}"
            opened, _ = await here.run(here.sign_ins.begin(person.owner, call))
            if opened is None:
                return
            entered = await self._agree(person, opened, number)
            # They press once more where nothing has come of it.
            presses = [await one.run(one.sign_ins.complete(person.owner, call, entered)) for one in (there, here)]
            said = "" if "" in [said for said, _ in presses] else None
            person.is_signed_in = said == ""
            person.may_have_lost &= not person.is_signed_in

    async def _agree(self, person: Person, links: SignInLinks, number: int) -> str | None:
        """Has a person agree on the server's page; returns what they enter in the modal, None after a device code."""
        if links.user_code:
            [device] = [one for one in self.jira.people.devices.values() if one.user_code == links.user_code]
            device.agreed = person.owner.user_id
            return None
        async with self._page:
            address = await self.jira.visit(links.url, person.owner.user_id)
        if not self._process(number).sign_ins.has_code_page("jira"):
            return address
        # They reload a page that fails.
        for reloads in range(3):
            process = self._process(number + reloads)
            shown, _ = await process.run(process.sign_ins.on_redirect(address.partition("?")[2], "jira"))
            if shown is not None:
                return shown[1]
        return ""

    async def _begun(self, name: str) -> Process:
        stores = await Stores.open(self.url, name, self.clock, prices=ModelPrices())
        if self.plan.made["register"] < len(WAYS):
            async with stores.database.begin_write() as connection:
                await connection.execute(sa.delete(oauth_clients))
        return Process(stores, self.jira, self.plan)

    async def _keep(self, place: int) -> None:
        for life in itertools.count():
            process = self.processes[place]
            await process.dead.wait()
            for person in self.people:
                if person.owner in process.spending:
                    person.may_have_lost, person.losses = True, person.losses + 1
            await process.die()
            self.processes[place] = await self._begun(f"w{place}-{life}")

    async def _let_time_pass(self) -> None:
        while True:
            await asyncio.sleep(IN_S)
            # Processes that live end their refreshes in their time.
            if not any(process.refreshing.total() for process in self.processes if not process.dead.is_set()):
                self.clock.now_s += TICK_S


PUBLIC = SignInConfig(public_url="https://typist.example")
MADE_BY_ALL = {*WRITES} - {"arrive"}


@pytest.mark.parametrize(
    ("sign_in", "says", "made"),
    [
        pytest.param(SignInConfig(), None, MADE_BY_ALL, id="pasted address", marks=pytest.mark.long),
        pytest.param(PUBLIC, None, {*WRITES}, id="code of Typist's page", marks=pytest.mark.long),
        pytest.param(SignInConfig(), BY_DEVICE, {*WRITES}, id="confirmed code"),
    ],
)
@pytest.mark.long
async def test_each_person_acts_with_their_own_account_whichever_write_fails(
    postgresql_url: str,
    caplog: pytest.LogCaptureFixture,
    sign_in: SignInConfig,
    says: Mapping[str, Any] | None,
    made: set[str],
) -> None:
    caplog.set_level(logging.DEBUG, "bot")

    async def ask(person: Person, lane: int) -> None:
        for number in range(CALLS_EACH):
            await world.call(person, number + lane)
            if lane == 0 and number % SIGN_OUT_EVERY == SIGN_OUT_EVERY - 1:
                await world.sign_out(person, number)

    async with sign_in_server(says=says) as server_of_jira:
        transport = server_of_jira.config.transport
        assert isinstance(transport, HttpTransport)
        config = replace(server_of_jira.config, transport=replace(transport, sign_in=sign_in))
        jira = replace(server_of_jira, config=config)
        jira.people.lives_s = LIVES_S
        world = World(postgresql_url, jira)
        async with asyncio.timeout(300), world.alive(), asyncio.TaskGroup() as group:
            for person, lane in itertools.product(world.people, range(AT_ONCE)):
                group.create_task(ask(person, lane))

    plan, server = world.plan, jira.people
    assert ({*plan.made}, plan.unfailed()) == (made, [])
    refreshed = {one for one in server.reused if one.startswith("canary-refresh")}
    assert {*server.reused} == refreshed
    reused = Counter(token.split("-")[2] for token in refreshed)
    assert [person for person in world.people if reused[person.owner.user_id] > person.losses] == []
    assert len(server.spent) == len(set(server.spent)) > MANY_REFRESHES
    logged = "\n".join(map(logging.Formatter().format, caplog.records))
    assert not [line for line in logged.splitlines() if "canary" in line or "never retrieved" in line]
