"""Each Slack method that Typist calls × each unexpected response × once, for 20 s, and until the job ends.

Each case has its own channel and person, and only their calls fail. All cases of a method run side by side in one bot,
over real sockets, while waits are skipped (tests/fast.py). `python -m tests.scenarios.test_unforeseen` prints the table
of docs/unforeseen.md.
"""

import asyncio
import json
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from itertools import product
from typing import Any, TypeVar

import pytest

from bot import app
from bot.core import texts
from bot.core.reply.actions import ReplyAction
from sandbox.files import Upload
from sandbox.server import Sandbox
from sandbox.web_api import METHODS
from sandbox.workspace import Channel, Message, User
from tests.fast import FastClock, run_fast
from tests.scenarios.conftest import ROOT, Stage, buttons, growing, manifest, settings_of, shown
from tests.streams import speech
from tests.streams.server import Answer, VendorServer

KINDS = {
    "an unknown error": "unknown_error",
    "408 as text": "stream_timeout",
    "200 as HTML": "html_200",
    "200 and empty": "empty_200",
    "200 with a list": "list_200",
    "no answer": "no_answer",
    "connection cut": "drop_request",
}
ONCE, FOR_20_S, FOR_EVER = "once", "for 20 s", "until the job ends"
WHOLE, LATER, PART = "complete", "complete, after Slack recovers", "incomplete, with a notice"
GONE, TOLD = "deleted", "denied, with a reason for the asker"
CODE_LINES = 420
TEXT = "word " * 60
CODE = "```python\n" + "".join(f"print({n})  # a line of the code\n" for n in range(CODE_LINES)) + "```"
MOST_S = 600.0
"""More than the bot takes to end an answer that can't be shown, and to show it when Slack is back."""

T = TypeVar("T")


async def until(predicate: Callable[[], T], what: object) -> T:
    """Looks now and then, because each look keeps the time from running."""
    for _ in range(int(MOST_S)):
        if found := predicate():
            return found
        await asyncio.sleep(1)
    raise AssertionError(f"{what} did not come to pass within {MOST_S:.0f} s")


@dataclass
class Case:
    """One person in a channel of their own, whose calls of one method are broken."""

    stage: Stage = field(repr=False)
    bot: app.Bot = field(repr=False)
    method: str
    kind: str
    lasts: str
    number: int
    root: str = ""
    broken: str = field(default="", init=False)
    """What the calls that are broken are about."""
    said_by_then: bool = field(default=False, init=False)
    """The whole answer was shown while the fault was on."""

    @property
    def user(self) -> str:
        return f"U0CASE{self.number:03}"

    @property
    def channel(self) -> str:
        return f"C0CASE{self.number:03}"

    @property
    def dm(self) -> str:
        return f"D0CASE{self.number:03}"

    @property
    def place(self) -> str:
        """Where the question is asked."""
        return self.dm if self.method in IN_A_DM else self.channel

    @property
    def replies(self) -> list[Message]:
        return self.stage.bots(self.place, None if self.method == "conversations.history" else self.root)

    @property
    def whispers(self) -> list[Message]:
        """What they alone were shown."""
        return [each for each in self.stage.sandbox.workspace.ephemerals if each.ephemeral_to == self.user]

    def begin(self, about: str = "") -> None:
        """Breaks the calls that concern this case."""
        times = 1 if self.lasts == ONCE else None
        about = about or (self.user if self.method in ABOUT_A_PERSON else self.place)
        self.stage.sandbox.faults.start(KINDS[self.kind], method=self.method, containing=about, times=times)
        self.broken = about

    def mend(self) -> None:
        self.stage.sandbox.faults.stop(KINDS[self.kind], self.broken)

    async def say(self, text: str, root: str | None = None) -> str:
        mention = "" if self.method in IN_A_DM else "@typist "
        return await self.stage.sandbox.say(self.user, self.place, f"{mention}{text}", root)

    async def ended(self) -> list[Message]:
        """The reply's messages, once none of them grows."""

        def are_whole() -> list[Message]:
            found = self.replies
            return found if found and not any(map(growing, found)) else []

        return await until(are_whole, f"the end of {self}")


async def asks(case: Case) -> None:
    case.begin()
    case.root = await case.say("why?")


async def asks_in_a_thread(case: Case) -> None:
    case.begin()
    case.root = await case.stage.sandbox.say(case.user, case.place, "Some context.")
    await case.say("why?", case.root)


async def names_a_channel(case: Case) -> None:
    case.begin()
    case.root = await case.say(f"what is <#{case.channel}> about?")


async def names_a_person(case: Case) -> None:
    case.begin()
    case.root = await case.say(f"who is <@{case.user}>?")


async def shares_a_file(case: Case) -> None:
    sandbox = case.stage.sandbox
    file = sandbox.files.add(case.user, Upload("notes.md", b"All is well."))
    case.begin(file.id)
    case.root = sandbox.workspace.next_ts()
    stub = {"id": file.id, "mode": "file_access", "file_access": "check_file_info"}
    text = f"<@{sandbox.bot_user_id}> what is it?"
    sandbox.workspace.post(Message(case.channel, case.root, case.user, text, files=(stub,), subtype="file_share"))


async def asks_for_code(case: Case) -> None:
    case.begin()
    case.root = await case.say("code?")


async def asks_for_code_by_name(case: Case) -> None:
    case.root = await case.say("code?")
    case.begin(case.root)


async def edits_the_question(case: Case) -> None:
    case.begin()
    case.root = await case.say("why?")
    await case.ended()
    await case.stage.sandbox.edit(case.place, case.root, "@typist why not?")


async def deletes_the_answer(case: Case) -> None:
    case.root = await case.say("code?" if case.method == "files.delete" else "why?")
    if case.method == "files.delete":
        await until(lambda: any(message.files for message in case.replies), "a file")
    file_ids = [each["id"] for message in case.replies for each in message.files]
    case.begin(file_ids[0] if case.method == "files.delete" else "")
    [page] = await until(lambda: [each for each in case.replies if ReplyAction.DELETE in buttons(each)], "the buttons")
    await case.stage.sandbox.client(case.user).press(case.place, page.ts, ReplyAction.DELETE.value)


async def opens_the_home(case: Case) -> None:
    case.begin()
    case.stage.sandbox.client(case.user).open_tab("home")
    case.root = await case.say("why?")


async def opens_the_messages(case: Case) -> None:
    case.begin()
    case.stage.sandbox.client(case.user).open_tab("messages")
    case.root = await case.say("why?")


async def opens_the_settings(case: Case) -> None:
    case.begin()
    await case.stage.sandbox.client(case.user).command(case.dm, "/typist model")
    case.root = await case.say("why?")


@dataclass(frozen=True)
class Way:
    """How a method comes to be called, and by which app."""

    begins: Callable[[Case], Coroutine[Any, Any, None]]
    manifest: str = "manifest.json"
    text: str = TEXT


AGENT = "manifest.agent.json"
WAYS: dict[str, Way] = {
    "chat.postMessage": Way(asks),
    "chat.update": Way(asks),
    "chat.delete": Way(deletes_the_answer),
    "chat.postEphemeral": Way(edits_the_question),
    "conversations.replies": Way(asks_in_a_thread),
    "conversations.history": Way(asks),
    "conversations.info": Way(names_a_channel),
    "users.info": Way(names_a_person),
    "files.info": Way(shares_a_file),
    "files.getUploadURLExternal": Way(asks_for_code_by_name, text=CODE),
    "files.completeUploadExternal": Way(asks_for_code, text=CODE),
    "files.delete": Way(deletes_the_answer, text=CODE),
    "views.publish": Way(opens_the_home),
    "views.open": Way(opens_the_settings),
    "assistant.threads.setStatus": Way(asks, AGENT),
    "assistant.threads.setTitle": Way(asks, AGENT),
    "assistant.threads.setSuggestedPrompts": Way(opens_the_messages, AGENT),
    "agents.sessions.setStatus": Way(asks, AGENT),
}
AT_THE_START = {"auth.test", "apps.connections.open"}
"""Called before anybody asks: tests/scenarios/test_start.py has their table."""
IN_A_DM = {method for method, way in WAYS.items() if way.manifest == AGENT} | {"conversations.history"}
ABOUT_A_PERSON = {"users.info", "views.publish"}


def test_the_table_has_all_methods_that_the_bot_calls() -> None:
    source = "".join(path.read_text() for path in (ROOT / "bot").rglob("*.py"))
    assert {method for method in METHODS if f'"{method}"' in source} == set(WAYS) | AT_THE_START


def settle(sandbox: Sandbox, count: int) -> None:
    """So many people, each with a channel and a direct message."""
    workspace = sandbox.workspace
    bot_id = workspace.bot.id
    for number in range(count):
        case = f"0CASE{number:03}"
        workspace.users[f"U{case}"] = User(f"U{case}", f"case{number}", f"Case {number}", "#64748b")
        workspace.channels[f"C{case}"] = Channel(f"C{case}", f"case-{number}", "channel", [f"U{case}", bot_id])
        workspace.channels[f"D{case}"] = Channel(f"D{case}", f"dm-{number}", "im", [f"U{case}", bot_id], f"U{case}")


def spoken(way: Way) -> Answer:
    """A few deltas, over so long that the text is shown in several edits."""
    size = len(way.text) // 8
    return Answer(speech.chat([way.text[at : at + size] for at in range(0, len(way.text), size)]), pause_s=1.0)


async def outcomes(method: str) -> dict[tuple[str, str], str]:
    """What became of the answer, by kind and how long it lasted."""
    way, loop = WAYS[method], asyncio.get_running_loop()
    pairs = list(product(KINDS, (ONCE, FOR_20_S, FOR_EVER)))
    # So many people at once would ask more of Slack than one does.
    budgets = {"users.info": 1_000}
    sandbox = Sandbox(ack_timeout_s=120.0, budgets=budgets, manifest=manifest(way.manifest), monotonic=loop.time)
    async with sandbox, VendorServer() as vendor:
        settle(sandbox, len(pairs))
        vendor.script(spoken(way))
        shutdown, ready = app.Shutdown(), loop.create_future()
        running = asyncio.create_task(app.run(settings_of(sandbox, vendor), shutdown, ready.set_result, FastClock()))
        bot = await ready
        cases = [Case(Stage(sandbox, vendor), bot, method, *pair, number) for number, pair in enumerate(pairs)]
        try:
            await broken(cases, way)
            found = await asyncio.gather(*(outcome(case, way) for case in cases))
            assert not running.done(), "the process lives"
        finally:
            shutdown.requested.set()
            await running
    return dict(zip(pairs, found, strict=True))


async def broken(cases: list[Case], way: Way) -> None:
    """Breaks the calls, and mends them: once nothing is being answered any more, however long that takes."""
    await asyncio.gather(*(way.begins(case) for case in cases))
    await asyncio.sleep(20)
    for case in cases:
        if case.lasts == FOR_20_S:
            case.mend()
    await until(lambda: not cases[0].bot.worker.live, "the end of all answers")
    for case in cases:
        case.said_by_then = is_whole(case, way)
        case.mend()


def is_whole(case: Case, way: Way) -> bool:
    """The text is all there, in messages or in a file, and nothing grows."""
    said = "".join(map(shown, case.replies)).replace("\n", " ")
    has_file = any(each["name"].startswith("code") for message in case.replies for each in message.files)
    is_there = len(re.findall(r"word|print", said)) >= (CODE_LINES if way.text is CODE else 60)
    return (is_there or has_file) and not any(map(growing, case.replies))


async def outcome(case: Case, way: Way) -> str:
    """How the answer ended; the next question in its thread is answered whole."""
    if way.begins is deletes_the_answer:
        await until(
            lambda: not any(texts.ANSWER_READY not in shown(each) for each in case.replies), f"the deletion of {case}"
        )
        found = GONE
    elif way.begins is names_a_person and case.lasts == FOR_EVER:
        # Who can't be told from a guest gets no answer, because guests may not ask here.
        await until(lambda: case.whispers, f"a word to the asker of {case}")
        found = TOLD
    else:
        said = " ".join(map(shown, await case.ended()))
        found = PART if texts.NOT_SHOWN in said else WHOLE if case.said_by_then else LATER
        assert found == PART or is_whole(case, way), json.dumps([case.method, case.kind, case.lasts, said])
    await answered_next(case, way)
    return found


async def answered_next(case: Case, way: Way) -> None:
    before = {message.ts for message in case.replies}
    await case.say("and then?", None if case.method == "conversations.history" else case.root)

    def is_answered() -> bool:
        new = [message for message in case.replies if message.ts not in before]
        said = "".join(map(shown, new))
        return len(re.findall(r"word|print", said)) >= 60 and not any(map(growing, new))

    await until(is_answered, f"the next answer of {case}")


@pytest.mark.parametrize("method", WAYS)
def test_each_answer_ends_whole_or_with_its_part_and_the_next_question_is_answered(method: str) -> None:
    found = run_fast(outcomes(method))
    assert len(found) == len(KINDS) * 3
    assert all(said != PART for (_, lasts), said in found.items() if lasts != FOR_EVER)


def table(found: dict[str, dict[tuple[str, str], str]]) -> str:
    """As docs/unforeseen.md has it."""
    lines = [f"| method | {ONCE} | {FOR_20_S} | {FOR_EVER} |", "|---|---|---|---|"]
    for method, cells in found.items():
        by_time = (
            "; ".join(sorted({said for (_, lasts), said in cells.items() if lasts == time}))
            for time in (ONCE, FOR_20_S, FOR_EVER)
        )
        lines.append(f"| {method} | {' | '.join(by_time)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table({method: run_fast(outcomes(method)) for method in WAYS}))  # noqa: T201
