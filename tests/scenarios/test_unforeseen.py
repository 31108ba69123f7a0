"""Each Slack method that Typist calls × each unexpected response × once, for 20 s, and until the job ends.

Each case has its own channel and person, and only their calls fail. Cases of a method run side by side in one bot, over
real sockets, while waits are skipped (tests/fast.py). `python -m tests.scenarios.test_unforeseen` prints the table
of unforeseen.md, and the tests hold that page to it.
"""

import asyncio
import json
import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from bot import app
from bot.core import texts
from bot.core.actions import ReplyAction
from bot.slack import search
from bot.wiring import Bot
from slack_sandbox.files import Share, UploadedFile
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.gate import rounds
from slack_sandbox.web_api.budgets import WINDOW_S
from slack_sandbox.web_api.http import METHODS
from slack_sandbox.workspace import Channel, Message, User
from tests.fast import FastClock, run_fast
from tests.scenarios.conftest import ROOT, Stage, buttons, growing, manifest, settings_of, shown
from tests.scenarios.outages import CODE, CODE_LINES, until
from tests.streams import speech, steps
from tests.streams.server import VendorRequest, VendorResponse, VendorServer

PAGE = Path(__file__).with_name("unforeseen.md")

KINDS = {
    "an unknown error": "unknown_error",
    "408 as text": "stream_timeout",
    "200 as HTML": "html_200",
    "200 and empty": "empty_200",
    "200 with a list": "list_200",
    "no answer": "no_answer",
    "connection cut": "drop_request",
}
LASTING = ONCE, FOR_20_S, FOR_EVER = "once", "for 20 s", "until the job ends"
WHOLE, LATER, PART = "complete", "complete, after Slack recovers", "incomplete, with a notice"
DELETED, DENIED = "deleted", "denied, with a reason for the asker"
NEXT = "and then?"
TEXT = "word " * 60


@dataclass
class PersonCase:
    """One person in a channel of their own, whose calls of one method fail."""

    stage: Stage = field(repr=False)
    bot: Bot = field(repr=False)
    method: str
    kind: str
    lasts: str
    number: int
    root: str = ""
    faulty: str = field(default="", init=False)
    """The ts or user whose calls fail; empty for all calls of the case."""
    complete_during_the_fault: bool = field(default=False, init=False)
    """Whether the complete answer was shown while the calls still failed."""

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
        return self.dm if self.method in IN_A_DM else self.channel

    @property
    def replies(self) -> list[Message]:
        return self.stage.bots(self.place, None if self.method == "conversations.history" else self.root)

    def begin(self, about: str = "") -> None:
        times = 1 if self.lasts == ONCE else None
        about = about or (self.user if self.method in ABOUT_A_PERSON else self.place)
        self.stage.sandbox.faults.start(KINDS[self.kind], method=self.method, match_text=about, times=times)
        self.faulty = about

    def end_fault(self) -> None:
        self.stage.sandbox.faults.stop(KINDS[self.kind], self.faulty)

    def met_the_fault(self) -> bool:
        return any(
            call.method == self.method and not call.ok and self.faulty in str(call.arguments)
            for call in self.stage.sandbox.calls
        )

    async def say(self, text: str, root: str | None = None) -> str:
        mention = "" if self.method in IN_A_DM else "@typist "
        return await self.stage.sandbox.say(self.user, self.place, f"{mention}{text}", root)

    async def ended(self) -> list[Message]:
        """Waits until no message of the reply is growing, and returns its messages."""

        def are_whole() -> list[Message]:
            replies = self.replies
            return replies if replies and not any(map(growing, replies)) else []

        return await until(are_whole, f"the end of {self}")


async def asks(case: PersonCase) -> None:
    case.begin()
    case.root = await case.say("why?")


async def asks_in_a_thread(case: PersonCase) -> None:
    case.begin()
    case.root = await case.stage.sandbox.say(case.user, case.place, "Some context.")
    await case.say("why?", case.root)


async def names_a_channel(case: PersonCase) -> None:
    case.begin()
    case.root = await case.say(f"what is <#{case.channel}> about?")


async def names_a_person(case: PersonCase) -> None:
    case.begin()
    case.root = await case.say(f"who is <@{case.user}>?")


async def shares_a_file(case: PersonCase) -> None:
    sandbox = case.stage.sandbox
    file = sandbox.files.add(case.user, UploadedFile("notes.md", b"All is well."))
    case.begin(file.id)
    case.root = sandbox.workspace.next_ts()
    file.shares.append(Share(case.channel, case.root, None))
    stub = {"id": file.id, "mode": "file_access", "file_access": "check_file_info"}
    text = f"<@{sandbox.bot_user_id}> what is it?"
    sandbox.workspace.post(Message(case.channel, case.root, case.user, text, files=(stub,), subtype="file_share"))


async def asks_for_code(case: PersonCase) -> None:
    case.begin()
    case.root = await case.say("code?")


async def asks_for_code_by_name(case: PersonCase) -> None:
    case.root = await case.say("code?")
    case.begin(case.root)


async def edits_the_question(case: PersonCase) -> None:
    case.begin()
    case.root = await case.say("why?")
    await case.ended()
    await case.stage.sandbox.edit(case.place, case.root, "@typist why not?")


async def deletes_the_answer(case: PersonCase) -> None:
    case.root = await case.say("code?" if case.method == "files.delete" else "why?")
    if case.method == "files.delete":
        await until(lambda: any(message.files for message in case.replies), "a file")
    file_ids = [file["id"] for message in case.replies for file in message.files]
    case.begin(file_ids[0] if case.method == "files.delete" else "")
    [page] = await until(
        lambda: [message for message in case.replies if ReplyAction.DELETE in buttons(message)], "the buttons"
    )
    await case.stage.sandbox.client(case.user).press(case.place, page.ts, ReplyAction.DELETE.value)


async def asks_for_a_search(case: PersonCase) -> None:
    case.begin(f"launch-{case.number:03}")
    case.root = await case.say(f"when is launch-{case.number:03}?")


async def opens_the_home(case: PersonCase) -> None:
    case.begin()
    case.stage.sandbox.client(case.user).open_tab("home")
    case.root = await case.say("why?")


async def opens_the_messages(case: PersonCase) -> None:
    case.begin()
    case.stage.sandbox.client(case.user).open_tab("messages")
    case.root = await case.say("why?")


async def opens_the_settings(case: PersonCase) -> None:
    case.begin()
    await case.stage.sandbox.client(case.user).command(case.dm, "/typist model")
    case.root = await case.say("why?")


@dataclass(frozen=True)
class Way:
    """How to make the bot call a method, with which app and which settings."""

    begins: Callable[[PersonCase], Coroutine[Any, Any, None]]
    manifest: str = "manifest.json"
    text: str = TEXT
    settings: Mapping[str, Any] = field(default_factory=dict)
    is_scarce: bool = False
    """The bot calls it only while its budget has room: few cases run side by side, and each must meet its fault."""

    @property
    def at_once(self) -> int:
        return 7 if self.is_scarce else len(KINDS) * 3


AGENT = "manifest.agent.json"
STREAMED = Way(asks, settings={"carrier": "stream"}, is_scarce=True)
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
    "assistant.threads.setSuggestedPrompts": Way(opens_the_messages, AGENT),
    "agents.sessions.setStatus": Way(asks, AGENT),
    "agents.sessions.rename": Way(asks, AGENT, is_scarce=True),
    "chat.startStream": STREAMED,
    "chat.appendStream": STREAMED,
    "chat.stopStream": STREAMED,
    search.METHOD: Way(asks_for_a_search, AGENT, settings={"slack_search": True}, is_scarce=True),
}
AT_THE_START = {"auth.test", "apps.connections.open"}
"""Methods called before anyone asks. tests/scenarios/test_start.py covers them."""
IN_CHECKS = {"apps.manifest.create", "apps.manifest.export", "bots.info"}
"""Methods called only by `typist check` and `typist init`: tests/scenarios/test_check.py and test_init.py."""
CANVASES = {"canvases.access.set", "canvases.create", "canvases.delete", "canvases.getContent"}
BESIDE_ANSWERS = {
    "api.test",
    "assistant.threads.setTitle",
    search.INFO,
    "chat.getPermalink",
    "conversations.list",
    "conversations.members",
    "pins.list",
    "reactions.add",
    "usergroups.list",
    "users.conversations",
    "users.list",
    "views.push",
    "views.update",
    *CANVASES,
}
"""Methods whose failure leaves a feature out: tests/services/test_operations.py, tests/slack/test_users.py,
tests/slack/test_channel_reader.py, tests/slack/test_search.py, tests/scenarios/test_assistant_pane.py,
tests/scenarios/test_canvases.py, tests/scenarios/test_answer_canvases.py, tests/scenarios/test_catching_up.py,
tests/scenarios/test_app_home.py, tests/scenarios/test_schedules.py, tests/scenarios/test_follow_ups.py,
tests/scenarios/test_access.py, tests/scenarios/test_names_in_reports.py."""
IN_EACH_RUN = ("chat.postMessage", "chat.update", "conversations.replies", "conversations.history")
IN_A_DM = {method for method, way in WAYS.items() if way.manifest == AGENT} | {"conversations.history"}
ABOUT_A_PERSON = {"users.info", "views.publish"}


def test_table_has_every_method_that_the_bot_calls() -> None:
    source = "".join(path.read_text() for path in (ROOT / "bot").rglob("*.py"))
    elsewhere = AT_THE_START | IN_CHECKS | BESIDE_ANSWERS
    assert {method for method in METHODS if f'"{method}"' in source} == set(WAYS) | elsewhere


def app_of(way: Way) -> Any:
    """Returns the manifest of a way's app, with the scope that its settings need."""
    ours = manifest(way.manifest)
    if "slack_search" in way.settings:
        ours["oauth_config"]["scopes"]["bot"].append("search:read.public")
    return ours


def add_people(sandbox: Sandbox, count: int) -> None:
    """Adds so many people, each with a channel and a direct message."""
    workspace = sandbox.workspace
    bot_id = workspace.bot.id
    for number in range(count):
        case = f"0CASE{number:03}"
        workspace.users[f"U{case}"] = User(f"U{case}", f"case{number}", f"Case {number}", "#64748b")
        workspace.channels[f"C{case}"] = Channel(f"C{case}", f"case-{number}", "channel", [f"U{case}", bot_id])
        workspace.channels[f"D{case}"] = Channel(f"D{case}", f"dm-{number}", "im", [f"U{case}", bot_id], f"U{case}")


def slow_answer(way: Way) -> VendorResponse:
    """Returns a few deltas, slow enough that the text is shown in several edits."""
    size = len(way.text) // 8
    return VendorResponse(speech.chat(speech.deltas_of(way.text, size)), pause_s=1.0)


def answer_to(request: VendorRequest, way: Way) -> VendorResponse:
    """Returns a search if the question is about a launch, and else the way's answer, at once for a next question."""
    last = request.body["messages"][-1]
    if NEXT in str(last["content"]):
        return VendorResponse(speech.chat([way.text]))
    about = re.search(r"launch-\d+", str(last["content"]))
    if last["role"] != "user" or not about:
        return slow_answer(way)
    call = steps.chat_call(index=0, id="call_1", name=search.NAME)
    return VendorResponse(steps.chat(call, *steps.fragments(json.dumps({"query": about[0]}), 0)))


ALL = [(kind, lasts) for lasts, kind in product(LASTING, KINDS)]


def some_of(method: str) -> list[tuple[str, str]]:
    """Returns a third of a method's cases: each kind of fault once, and with the next method for another duration."""
    shift = [*WAYS].index(method)
    return sorted(((kind, LASTING[(place + shift) % 3]) for place, kind in enumerate(KINDS)), key=ALL.index)


async def outcomes(method: str, pairs: Sequence[tuple[str, str]] = ALL) -> dict[tuple[str, str], str]:
    """Returns the outcome of each case, by kind and duration of the fault."""
    way, loop = WAYS[method], asyncio.get_running_loop()
    # So many people at once need more calls than Slack allows one workspace.
    budgets = {"users.info": 1_000}
    sandbox = Sandbox(ack_timeout_s=120.0, budgets=budgets, manifest=app_of(way), monotonic=loop.time)
    async with sandbox, VendorServer() as vendor:
        add_people(sandbox, len(pairs))
        vendor.script(lambda request: answer_to(request, way))
        if way.begins is names_a_person:
            # So many at once would be found in the list.
            sandbox.faults.start("refuse", method="users.list", error="missing_scope")
        settings = replace(settings_of(sandbox, vendor), **way.settings)
        shutdown, ready = app.Shutdown(), loop.create_future()
        running = asyncio.create_task(app.run(settings, shutdown, ready.set_result, FastClock()))
        bot = await ready
        cases = [PersonCase(Stage(sandbox, vendor), bot, method, *pair, number) for number, pair in enumerate(pairs)]
        results: list[str] = []
        try:
            for first in range(0, len(cases), way.at_once):
                some = cases[first : first + way.at_once]
                await run_faults(some, way)
                results += await asyncio.gather(*(outcome(case, way) for case in some))
                if way.is_scarce:
                    assert not [case for case in some if not case.met_the_fault()]
                if some[-1] is not cases[-1]:
                    await asyncio.sleep(WINDOW_S)
            assert not running.done(), "the bot ended during the faults"
        finally:
            shutdown.requested.set()
            await running
    return dict(zip(pairs, results, strict=True))


async def run_faults(cases: list[PersonCase], way: Way) -> None:
    """Makes the calls fail and ends the faults, some of them only after nothing is being answered any more."""
    await asyncio.gather(*(way.begins(case) for case in cases))
    await asyncio.sleep(20)
    for case in cases:
        if case.lasts == FOR_20_S:
            case.end_fault()
    await until(lambda: not cases[0].bot.worker.live, "the end of all answers")
    for case in cases:
        case.complete_during_the_fault = is_whole(case, way)
        case.end_fault()


def is_whole(case: PersonCase, way: Way) -> bool:
    """Returns whether the complete text is there, in messages or in a file, and nothing is growing."""
    text = "".join(map(shown, case.replies)).replace("\n", " ")
    has_file = any(file["name"].startswith("code") for message in case.replies for file in message.files)
    is_there = len(re.findall(r"word|print", text)) >= (CODE_LINES if way.text is CODE else 60)
    return (is_there or has_file) and not any(map(growing, case.replies))


async def outcome(case: PersonCase, way: Way) -> str:
    """Returns how the answer ended, after checking that the next question in the thread is answered."""
    if way.begins is deletes_the_answer:
        await until(
            lambda: not any(texts.answers.ANSWER_READY not in shown(message) for message in case.replies),
            f"the deletion of {case}",
        )
        result = DELETED
    elif way.begins is names_a_person and case.lasts == FOR_EVER:
        # An asker who might be a guest gets no answer, because guests may not ask here.
        said = texts.access.Denial.UNKNOWN
        await until(lambda: said in " ".join(map(shown, case.replies)), f"a denial for the asker of {case}")
        result = DENIED
    else:
        text = " ".join(map(shown, await case.ended()))
        result = PART if texts.answers.NOT_SHOWN in text else WHOLE if case.complete_during_the_fault else LATER
        assert result == PART or is_whole(case, way), json.dumps([case.method, case.kind, case.lasts, text])
    await answered_next(case, way)
    return result


async def answered_next(case: PersonCase, way: Way) -> None:
    before = {message.ts for message in case.replies}
    await case.say(NEXT, None if case.method == "conversations.history" else case.root)

    def is_answered() -> bool:
        new = [message for message in case.replies if message.ts not in before]
        text = "".join(map(shown, new))
        return len(re.findall(r"word|print", text)) >= 60 and not any(map(growing, new))

    await until(is_answered, f"the next answer of {case}")


@pytest.mark.parametrize(
    "method", [pytest.param(method, marks=() if method in IN_EACH_RUN else pytest.mark.long) for method in WAYS]
)
@pytest.mark.long(after_row=1)
def test_each_answer_ends_and_the_next_question_is_answered(method: str) -> None:
    results = run_fast(outcomes(method, rounds(some_of(method), ALL)))
    assert len(results) == len(KINDS) * rounds(1, 3)
    assert all(result != PART for (_, lasts), result in results.items() if lasts != FOR_EVER)
    # Which of a cell's outcomes happen depends on times.
    (said,) = re.findall(rf"^\| {re.escape(method)} \| (.*) \|$", PAGE.read_text(), re.MULTILINE)
    for lasts, cell in zip(LASTING, said.split(" | "), strict=True):
        assert by_time(results, lasts) <= set(cell.split("; "))


def row(method: str, results: dict[tuple[str, str], str]) -> str:
    """Formats a method's row of unforeseen.md."""
    return f"| {method} | {' | '.join('; '.join(sorted(by_time(results, lasts))) for lasts in LASTING)} |"


def by_time(results: dict[tuple[str, str], str], lasts: str) -> set[str]:
    """Returns the outcomes of the responses that last that long."""
    return {result for (_, each), result in results.items() if each == lasts}


if __name__ == "__main__":
    print(f"| method | {ONCE} | {FOR_20_S} | {FOR_EVER} |\n|---|---|---|---|")  # noqa: T201
    for each in WAYS:
        print(row(each, run_fast(outcomes(each))))  # noqa: T201
