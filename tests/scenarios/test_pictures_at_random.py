"""Whatever happens below answers, and in whichever order: once things are quiet, Slack shows what is on record.

Each run has a seed, which chooses what people do: they ask, edit, delete, press the buttons that they see, and forget
or stop things elsewhere. Meanwhile Slack refuses edits and native streams for a while, and other processes take over.
Afterwards each message of the bot is compared with what follows from the record (bot/core/picture.py), block by block.

The seed also chooses what carries the answers, the database, and whether two processes run at once.
"""

import asyncio
import itertools
import random
import zlib
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace

import pytest
import sqlalchemy as sa

from bot.core import choices, texts
from bot.core.actions import ReplyAction
from bot.core.calls import REMEMBER, SCHEDULE
from bot.settings import Settings
from bot.slack.views.schedules import ScheduleAction
from bot.store import Stores
from bot.store.schema import memories, schedules
from bot.wiring import Bot
from slack_sandbox.blocks.elements import interactive
from slack_sandbox.faults import SHOWING
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.gate import rounds
from slack_sandbox.workspace import TEAM_ID
from tests.scenarios.conftest import Stage, running, says
from tests.scenarios.shown_on_record import Shown
from tests.scenarios.tools import GENERAL, Notes, calls
from tests.streams.server import VendorRequest, VendorResponse, VendorServer

pytestmark = [
    pytest.mark.skips_waits,
    pytest.mark.bot(admins=frozenset({"U0GRACE"}), drain_s=1, done_mention_s=20),
]

FIRST, EVENTS = 3, 30
SEEDS, SHORT = range(rounds(6, 40)), (1,)
"""The runs, and those among the short tests: in this one, a schedule is stopped before its answer's end."""
WAYS = (
    ("stream", "sqlite", 1),
    ("edit", "sqlite", 1),
    ("edit", "postgresql", 1),
    ("edit", "postgresql", 2),
    ("stream", "postgresql", 2),
)
"""What seeds choose in turn: the carrier, the database, and how many processes run at once."""
LONG = "We ship on Tuesdays. " * 200
TASKS = ("plain", "long", "slow", "noting", "memorizing", "planning", "choosing")
CHANGE_NOTHING = {
    *(ReplyAction.FEEDBACK, ReplyAction.FEEDBACK_REASON, ReplyAction.DETAILS, ReplyAction.TABLES),
    *(ReplyAction.ARGUMENTS, ReplyAction.EDIT, ReplyAction.SIGN_IN),
    *(ReplyAction.ALLOW_ALWAYS, ReplyAction.ALLOW_IN_THREAD),
}
"""Buttons whose press changes nothing that stands below an answer, or what their modals and Approve change, too."""
PRESSED = {*ReplyAction, ScheduleAction.STOP} - CHANGE_NOTHING
WEIGHTS: dict[str, int] = {ReplyAction.DELETE: 1, ReplyAction.DENY: 1, ReplyAction.STOP: 1, ReplyAction.APPROVE: 20}
"""How often people press a button; others: 6."""


def model(request: VendorRequest) -> VendorResponse:
    """Does the task that the newest question names; answers all else."""
    messages, number = request.body["messages"], request.body["messages"][-1:]
    newest = max(place for place, message in enumerate(messages) if message["role"] == "user")
    if newest < len(messages) - 1:
        # Slowly: something may happen between an approval and the answer's end.
        return says("That is done, and all is well.", pause_s=1.0)
    words = str(number[0]["content"])
    task = next((task for task in TASKS if f"task {task}" in words and texts.shortcut.MY_CHOICE not in words), "plain")
    match task:
        case "long":
            return says(LONG)
        case "slow":
            return says("word " * 60, pause_s=0.5)
        case "noting":
            return calls("I'll note it.", ("notes__add", {"text": "Milk"}))
        case "memorizing":
            return calls("", (REMEMBER, {"text": f"Fact {zlib.crc32(words.encode()) % 1000}."}))
        case "planning":
            return calls("", (SCHEDULE, {"words": "Sum it up.", "cron": "0 9 * * 1-5"}))
        case "choosing":
            return calls("I can.", (choices.TOOL_NAME, {"question": "Which?", "choices": ["Staging", "Production"]}))
    return says("Because.")


@dataclass
class Machine:
    """People, Slack and processes, as one seed has them. `store`: the bot's database. `processes`: run at once."""

    stage: Stage
    settings: Settings
    store: Stores
    chooser: random.Random
    processes: int = 1
    asked: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    _running: list[AbstractAsyncContextManager[Bot]] = field(default_factory=list)

    @property
    def shown(self) -> Shown:
        return Shown(self.stage, self.store)

    async def run(self) -> None:
        """Goes through the events, and waits until things are quiet."""
        try:
            for _ in range(self.processes):
                await self.start()
            for _ in range(FIRST):
                self.events.append(f"ask{await self.ask()}")
            for _ in range(EVENTS):
                await self.happen()
                await asyncio.sleep(self.chooser.choice((0.0, 0.0, 0.5, 3.0, 3.0, 20.0)))
            self.stage.sandbox.faults.stop("internal_error")
            await self.shown.quiet()
            await self.shown.check()
        finally:
            while self._running:
                await self.stop()

    async def start(self) -> None:
        process = running(self.settings, tools=Notes())
        await process.__aenter__()
        self._running.append(process)

    async def stop(self) -> None:
        await self._running.pop(0).__aexit__(None, None, None)

    async def happen(self) -> None:
        events = {
            self.ask: 4,
            self.press: 16,
            self.edit: 2,
            self.delete_question: 1,
            self.others_write: 2,
            self.stop_schedule: 1,
            self.forget: 1,
            self.outage: 2,
            self.restart: 1,
        }
        [event] = self.chooser.choices([*events], [*events.values()])
        self.events.append(f"{event.__name__}{await event()}")

    async def ask(self) -> str:
        task = self.chooser.choice(TASKS)
        if self.chooser.random() < 0.1:
            words = f"remember that tea number {len(self.asked)} is green"
        else:
            words = f"task {task} {len(self.asked)}"
        self.asked.append(await self.stage.mention(words))
        return f" {words}"

    async def press(self) -> str:
        offered = [
            (message, action, WEIGHTS.get(action, 6))
            for message in self.shown.messages()
            for _, element in interactive(message.blocks)
            if (action := str(element["action_id"])).partition("-")[0] in PRESSED
        ]
        if not offered:
            return " nothing"
        [(message, action, _)] = self.chooser.choices(offered, [weight for *_, weight in offered])
        user = self.chooser.choice(("ada", "ada", "grace"))
        await self.stage.sandbox.client(user).press("general", message.ts, action)
        said = f" {action} at {message.ts} by {user}"
        if action == ReplyAction.APPROVE and self.chooser.random() < 0.7:
            # What is approved may be undone before the answer's end.
            await asyncio.sleep(2)
            said += f", forget{await self.forget()}, stop{await self.stop_schedule()}"
        return said

    async def edit(self) -> str:
        return await self._change("edit")

    async def delete_question(self) -> str:
        return await self._change("delete")

    async def _change(self, what: str) -> str:
        if not self.asked:
            return " nothing"
        ts = self.chooser.choice(self.asked)
        if what == "delete":
            self.asked.remove(ts)
            await self.stage.sandbox.delete("general", ts)
            return f" {ts}"
        words = f"task {self.chooser.choice(TASKS)} edited {len(self.events)}"
        await self.stage.sandbox.edit("general", ts, f"@typist {words}")
        return f" {ts} {words}"

    async def others_write(self) -> str:
        if not self.asked:
            return " nothing"
        ts = self.chooser.choice(self.asked)
        await self.stage.sandbox.say("alan", "general", "I see.", ts)
        return f" {ts}"

    async def stop_schedule(self) -> str:
        numbers = await self._numbers(schedules.c.id)
        for number in numbers[:1]:
            await self.store.schedules.stop(TEAM_ID, number, "U0GRACE")
        return f" {numbers[:1]}"

    async def forget(self) -> str:
        numbers = await self._numbers(memories.c.number)
        for number in numbers[:1]:
            await self.store.memories.forget((TEAM_ID, GENERAL), number, "U0GRACE")
        return f" {numbers[:1]}"

    async def _numbers(self, column: sa.Column[int]) -> list[int]:
        async with self.store.database.engine.connect() as connection:
            return list((await connection.scalars(sa.select(column))).all())

    async def outage(self) -> str:
        faults, has_one = self.stage.sandbox.faults, self.chooser.random() < 0.5
        faults.start("internal_error", method=SHOWING) if has_one else faults.stop("internal_error")
        if has_one and self.chooser.random() < 0.2:
            await asyncio.sleep(240)
        return f" {has_one}"

    async def restart(self) -> str:
        await self.stop()
        await self.start()
        return ""


@pytest.fixture
def settings(settings: Settings, database_url: str) -> Settings:
    return replace(settings, database_url=database_url)


RUNS = [
    pytest.param(
        seed,
        database,
        processes,
        marks=[pytest.mark.bot(carrier=carrier), *(() if seed in SHORT else (pytest.mark.long,))],
        id=f"{seed}-{carrier}-{database}-{processes}",
    )
    for seed, (carrier, database, processes) in zip(SEEDS, itertools.cycle(WAYS))
]


@pytest.mark.parametrize(("seed", "database_url", "processes"), RUNS, indirect=["database_url"])
@pytest.mark.long
async def test_slack_shows_what_is_on_record_once_things_are_quiet(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings, in_bots_time: Stores, seed: int, processes: int
) -> None:
    vendor.script(model)
    machine = Machine(Stage(sandbox, vendor), settings, in_bots_time, random.Random(seed), processes)
    try:
        await machine.run()
    except AssertionError as error:
        raise AssertionError("\n".join((f"seed {seed}: {error}", *machine.events))) from error
