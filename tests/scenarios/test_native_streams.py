"""Answers that native streams carry: they grow by appends, and end like any other, whatever fails."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from pathlib import Path

import pytest

from benchmarks.carried import force
from bot.core import texts
from bot.core.access import UserKind
from bot.core.actions import ReplyAction
from slack_sandbox.faults import FaultSettings
from slack_sandbox.server import Sandbox
from slack_sandbox.web_api.http import CallRecord
from slack_sandbox.workspace import Message
from tests.scenarios.answers import reply
from tests.scenarios.conftest import PACE_S, Stage, buttons, footer, growing, grows, shown
from tests.scenarios.fleet import Fleet, fleet_of
from tests.streams.server import VendorRequest, VendorResponse, VendorServer

pytestmark = pytest.mark.bot(carrier="stream")

TEXT = "".join(f"word{number} " for number in range(120))
PAGES = "\n\n".join(" ".join(f"p{number}w{word}" for word in range(60)) for number in range(40))
"""An answer for which one stream has no room."""
START, APPEND, STOP = "chat.startStream", "chat.appendStream", "chat.stopStream"


@pytest.fixture
def streams(stage: Stage) -> Stage:
    stage.vendor.script(grows(TEXT))
    return stage


@pytest.fixture
async def fleet(sandbox: Sandbox, vendor: VendorServer, sqlite_url: str, tmp_path: Path) -> AsyncIterator[Fleet]:
    async with fleet_of(Stage(sandbox, vendor), tmp_path, sqlite_url) as fleet:
        yield fleet


def has_appended(stage: Stage, times: int) -> bool:
    return len(stage.calls(APPEND)) >= times


async def only(stage: Stage, asked: str, channel: str = "general") -> Message:
    """The only message of the reply, once it has ended."""

    def ended() -> list[Message]:
        messages = stage.bots(channel, asked)
        return messages if len(messages) == 1 and footer(messages[0]) and not growing(messages[0]) else []

    return (await stage.sandbox.wait_for(ended))[0]


def shows_words(stage: Stage, channel: str, asked: str) -> bool:
    return any("word3 " in shown(message) for message in stage.bots(channel, asked))


@pytest.mark.skips_waits
async def test_stream_carries_an_answer_and_ends_it_with_footer_and_buttons(streams: Stage) -> None:
    appended = [partial(streams.sandbox.wait_for, partial(has_appended, streams, times)) for times in (1, 2)]
    streams.vendor.script(grows(TEXT, gates={TEXT.index("word80"): appended[0], TEXT.index("word110"): appended[1]}))
    asked = await streams.mention()
    message = await only(streams, asked)
    assert shown(message) == TEXT.rstrip()
    assert footer(message) == "test"
    assert ReplyAction.REGENERATE in buttons(message)
    assert (len(streams.calls(START)), len(streams.calls(STOP))) == (1, 1)
    assert len(streams.calls("chat.update")) == 0
    assert len(streams.calls(APPEND)) >= 2
    assert (len(streams.calls("chat.postMessage")), len(streams.calls("chat.delete"))) == (0, 0), (
        "one answer is one message"
    )


@pytest.mark.skips_waits
@pytest.mark.bot(carrier=None)
async def test_three_answers_at_once_are_one_edited_message_each(stage: Stage) -> None:
    done = asyncio.Event()
    stage.vendor.script(grows(TEXT, gates={TEXT.index("word80"): done.wait}))
    threads = [await stage.mention(channel=channel) for channel in CHANNELS]
    for channel, asked in zip(CHANNELS, threads, strict=True):
        await stage.sandbox.wait_for(partial(shows_words, stage, channel, asked))
    done.set()
    for channel, asked in zip(CHANNELS, threads, strict=True):
        assert shown(await only(stage, asked, channel)) == TEXT.rstrip()
    assert (len(stage.calls(START)), len(stage.calls("chat.postMessage")), len(stage.calls("chat.delete"))) == (0, 3, 0)


CHANNELS = ("general", "random", "project-x")
FAULTS: tuple[tuple[str, FaultSettings], ...] = (
    ("drop_request", {}),
    ("lose_response", {"done": True}),
    ("stream_timeout", {"done": True}),
    ("internal_error", {}),
    ("unknown_error", {}),
    ("refuse", {"error": "not_allowed"}),
    ("refuse", {"error": "msg_too_long"}),
    ("close_stream", {}),
    ("slow", {"delay_s": 1.0}),
)
PLACES = {
    "start": (START, 0),
    "first append": (APPEND, 5),
    "middle append": (APPEND, 40),
    "late append": (APPEND, 75),
    "stop": (STOP, 99),
}
"""Calls of a stream: their methods, and a word that each one carries."""
CASES = [(name, settings, place) for name, settings in FAULTS for place in PLACES]


def word_of(case: int, number: int) -> str:
    """A word of a case's answer, like no word of another case. An append may end with it, so no space follows."""
    return f"c{case}w{number}"


def text_of(case: int) -> str:
    """The answer of a case. Its last word is complete only once the answer is, so the stop carries it."""
    return " ".join(word_of(case, number) for number in range(100))


def call_at(case: int, place: str) -> tuple[str, str]:
    """The method of the call at a place, and the word that tells it from other calls of that method."""
    method, number = PLACES[place]
    return method, word_of(case, number)


def calls_with(sandbox: Sandbox, method: str, word: str) -> list[CallRecord]:
    return [call for call in sandbox.calls if call.method == method and word in str(call.arguments)]


def says_once(
    sandbox: Sandbox, text: str, pace_s: float, conditions: Mapping[str, Callable[[], object]]
) -> VendorResponse:
    """Returns an answer that goes on before each of these words only once the word's condition is true.

    On a busy machine, words would pile up otherwise, and leave with an earlier or a later call than they should.
    """
    return grows(
        text, pace_s, {text.index(word): partial(sandbox.wait_for, condition) for word, condition in conditions.items()}
    )


def answering(sandbox: Sandbox, place: str) -> Callable[[VendorRequest], VendorResponse]:
    """Returns a script of the cases' answers, in which the call at a place carries the word that `PLACES` names."""

    def answer_to(request: VendorRequest) -> VendorResponse:
        messages = request.body["messages"]
        case = int(re.findall(r"case (\d+)\.", str(messages))[-1])
        text = text_of(case)
        if messages[-2]["role"] == "assistant":
            # A take-over asks for what comes after the recorded words.
            return grows(text[len(messages[-2]["content"].rstrip()) :], PACE_S)
        conditions = {word_of(case, 5): lambda: calls_with(sandbox, *call_at(case, "start"))}
        method, number = PLACES[place]
        if method == APPEND:
            conditions[word_of(case, number + 10)] = lambda: calls_with(sandbox, *call_at(case, place))
        return says_once(sandbox, text, PACE_S, conditions)

    return answer_to


def asker(case: int) -> str:
    """Who asks: somebody else where a start is refused, because Typist remembers that for a person and a channel."""
    return "grace" if CASES[case][2] == "start" else "ada"


def spoil(sandbox: Sandbox, case: int) -> None:
    name, settings, place = CASES[case]
    method, word = call_at(case, place)
    placed: FaultSettings = {**settings, "method": method, "times": 1, "match_text": word}
    sandbox.faults.start(name, **placed)


@pytest.mark.skips_waits
@pytest.mark.parametrize(
    "cases",
    [
        pytest.param(range(start, len(CASES), 5), id=place, marks=() if place == "middle append" else pytest.mark.long)
        for start, place in enumerate(PLACES)
    ],
)
@pytest.mark.bot(max_concurrent_per_user=100)
@pytest.mark.long
async def test_reader_ends_with_the_whole_answer_once_whatever_fails_in_a_stream(
    stage: Stage, sandbox: Sandbox, vendor: VendorServer, cases: range
) -> None:
    vendor.script(answering(sandbox, CASES[cases[0]][2]))
    asked = {}
    for at, case in enumerate(cases):
        channel = CHANNELS[at % len(CHANNELS)]
        asked[case] = channel, await stage.mention(f"case {case}.", channel, asker(case))
        spoil(sandbox, case)
    for case, (channel, ts) in asked.items():
        message = await only(stage, ts, channel)
        assert shown(message) == text_of(case), CASES[case]
        assert ReplyAction.REGENERATE in buttons(message), CASES[case]
    assert len(stage.calls(START)) == len(cases)
    assert not [call for call in sandbox.calls if call.error == "ratelimited"]
    assert not [name for name, *_ in FAULTS if sandbox.faults.active(name)], "each fault has met its call"


@pytest.mark.skips_waits
async def test_stream_is_stopped_by_a_reply_as_the_status_says(streams: Stage) -> None:
    ended = asyncio.Event()
    streams.vendor.script(grows(TEXT, gates={TEXT.index("word100"): ended.wait}))
    asked = await streams.mention()
    await reply(streams, asked, "word3 ")
    await streams.sandbox.wait_for(
        lambda: streams.sandbox.workspace.status("C0GENERAL", asked) == texts.statuses.STATUS_WRITING
    )
    assert "Reply “stop”" in texts.statuses.STATUS_WRITING
    await streams.sandbox.say("ada", "general", "stop", asked)
    message = await only(streams, asked)
    ended.set()
    assert footer(message).endswith("stopped")
    assert TEXT.startswith(shown(message))


@pytest.mark.skips_waits
@pytest.mark.parametrize("method", [START, APPEND, STOP])
async def test_rate_limit_delays_a_stream_and_loses_nothing(streams: Stage, method: str) -> None:
    streams.sandbox.faults.start("rate_limit", method=method, times=1, retry_after_s=1)
    asked = await streams.mention()
    assert shown(await only(streams, asked)) == TEXT.rstrip()
    assert len([call for call in streams.sandbox.calls if call.error == "ratelimited"]) == 1


@pytest.mark.skips_waits
async def test_answer_that_exceeds_a_streams_size_goes_on_in_the_next_message(stage: Stage) -> None:
    stage.vendor.script(two_pages(stage))
    asked = await stage.mention()

    def ended() -> list[Message]:
        pages = pages_ended(stage, asked)
        return pages if pages and ReplyAction.STOP not in buttons(pages[0]) else []

    messages = await stage.sandbox.wait_for(ended)
    assert " ".join(shown(message) for message in messages).split() == PAGES.split()
    assert all(len(shown(message).encode()) <= 9_000 for message in messages)
    assert len(stage.calls(START)) >= 2


def two_pages(stage: Stage) -> VendorResponse:
    """Returns an answer whose last paragraph comes once the second page has begun."""
    return says_once(stage.sandbox, PAGES, 0.002, {"p39w0 ": lambda: len(stage.calls(START)) >= 2})


def pages_ended(stage: Stage, asked: str) -> list[Message]:
    """Returns the messages of a reply that has ended, or none."""
    messages = stage.bots("general", asked)
    return messages if messages and footer(messages[-1]) and not any(map(growing, messages)) else []


@pytest.mark.skips_waits
@pytest.mark.bot(allow_also=frozenset({UserKind.EXTERNAL}))
async def test_stream_to_a_person_of_another_organization_names_that_persons_workspace(streams: Stage) -> None:
    asked = await streams.sandbox.say("emmy", "C0PARTNERS", "@typist why?")
    assert shown(await only(streams, asked, "C0PARTNERS")) == TEXT.rstrip()
    assert [(call.ok, call.arguments["recipient_team_id"]) for call in streams.calls(START)] == [(True, "T0PARTNERS")]


@pytest.mark.skips_waits
async def test_person_to_whom_slack_refuses_a_stream_gets_edits_from_then_on(streams: Stage) -> None:
    streams.sandbox.faults.start("refuse", method=START, error="team_not_found")
    for number in (1, 2):
        asked = await streams.mention(f"question {number}")
        assert shown(await only(streams, asked)) == TEXT.rstrip()
    assert len(streams.calls(START)) == 1


@pytest.mark.parametrize("place", PLACES)
async def test_killed_at_any_call_of_a_stream_the_answer_is_whole_and_shown_once(fleet: Fleet, place: str) -> None:
    stage, sandbox = fleet.stage, fleet.stage.sandbox
    stage.vendor.script(answering(sandbox, place))
    process = await fleet.start(partial(force, "stream"))
    method, word = call_at(0, place)
    # The call is done, and its answer never comes.
    sandbox.faults.start("no_answer", method=method, times=1, match_text=word, done=True)
    asked = await stage.mention("case 0.")
    await sandbox.wait_for(lambda: calls_with(sandbox, method, word))
    await fleet.killed(process)
    await fleet.start(partial(force, "stream"))
    message = await only(stage, asked)
    assert shown(message) == text_of(0)
    assert sandbox._web.app.streams == {}


async def test_killed_on_a_streams_second_page_the_first_page_stays_as_it_is(fleet: Fleet) -> None:
    stage, sandbox = fleet.stage, fleet.stage.sandbox
    stage.vendor.script(two_pages(stage))
    process = await fleet.start(partial(force, "stream"))
    sandbox.faults.start("no_answer", method=STOP, times=1, match_text="p39w59")
    asked = await stage.mention()
    await sandbox.wait_for(lambda: calls_with(sandbox, STOP, "p39w59"))
    first = next(message for message in stage.bots("general", asked) if "p0w0 " in shown(message))
    before = shown(first)
    await fleet.killed(process)
    await fleet.start(partial(force, "stream"))
    messages = await sandbox.wait_for(lambda: pages_ended(stage, asked))
    assert len(messages) >= 2
    assert shown(messages[0]) == before
    assert " ".join(map(shown, messages)).split() == PAGES.split()
