"""Crash recovery: an acknowledged question gets one complete answer, in the same messages, whatever dies."""

import asyncio
import re
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from bot.clock import SystemClock
from bot.core import texts
from bot.core.prompt import GO_ON_REQUEST, NOTHING_MISSING
from bot.store import Stores, workers
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.processes import WITHIN_S, wait_for_line
from slack_sandbox.workspace import Message
from tests.scenarios.conftest import Stage, footer, growing, grows, says, shown
from tests.scenarios.fleet import Fleet, fleet_of
from tests.streams import speech
from tests.streams.server import ResponseEnd, VendorRequest, VendorResponse, VendorServer

LONG = "".join(f"word{number} " for number in range(80))
QUICK_S = 0.01
"""Pause after each delta of the answer in Markdown, which is four times as long."""

SECTIONS = [
    "# word000 word001\n\n",
    "".join(f"word{n:03} " for n in range(2, 60)) + "\n\n",
    "| word060 | word061 |\n| --- | --- |\n"
    + "".join(f"| word{n:03} | word{n + 1:03} |\n" for n in range(62, 110, 2))
    + "\n",
    "```python\n" + "".join(f"word{n} = word{n + 1}\n" for n in range(110, 160, 2)) + "```\n\n",
    "".join(f"- word{n}\n" for n in range(160, 190)),
]
MARKDOWN = "".join(SECTIONS)
"""An answer whose words are all different, so that lost and doubled words are noticed."""
WORD = re.compile(r"word(\d{3})")
UNFINISHED = VendorResponse(speech.chat(speech.tokens(LONG))[:60], ending=ResponseEnd.HANG)
"""The first part of the long answer. The stream then stays silent until the bot hangs up."""


@pytest.fixture
async def fleet(sandbox: Sandbox, vendor: VendorServer, tmp_path: Path, database_url: str) -> AsyncIterator[Fleet]:
    vendor.script(UNFINISHED, grows(LONG))
    async with fleet_of(Stage(sandbox, vendor), tmp_path, database_url) as fleet:
        yield fleet


@contextmanager
def database_away(folder: Path) -> Iterator[None]:
    """Locks the database of SQLite, so that no process reads or writes it."""
    with closing(sqlite3.connect(folder / "typist.db", isolation_level=None)) as away:
        away.execute("BEGIN EXCLUSIVE")
        yield
        away.execute("COMMIT")


def shown_texts(fleet: Fleet, message: Message) -> list[str]:
    revisions = fleet.stage.sandbox.revisions("general", message.ts)
    return [block["text"] for revision in revisions for block in revision.sent_blocks if block["type"] == "markdown"]


def never_shrinks(seen: list[str]) -> bool:
    return all(later.startswith(earlier) for earlier, later in pairwise(seen))


async def test_restart_after_a_crash_continues_in_the_same_message(fleet: Fleet) -> None:
    process = await fleet.start()
    asked = await fleet.stage.mention()
    reply = await fleet.visible(asked, "word9 ")
    await fleet.killed(process)
    await fleet.start()
    assert await fleet.stage.answers("general", asked) == [LONG.rstrip()]
    assert [message.ts for message in fleet.stage.bots("general", asked)] == [reply.ts]
    assert never_shrinks(shown_texts(fleet, reply))


def trust_silence() -> None:
    """Lets this process take silent processes for alive, so that it must notice a death by itself."""
    workers.SILENCE_S = 3600.0


@pytest.mark.parametrize("database_url", [pytest.param("sqlite", marks=pytest.mark.long), "postgresql"], indirect=True)
async def test_another_process_takes_over_from_a_crashed_one_before_its_lease_ends(fleet: Fleet) -> None:
    first = await fleet.start()
    asked = await fleet.stage.mention()
    reply = await fleet.visible(asked, "word9 ")
    await fleet.start(trust_silence)
    first.kill()
    await fleet.asked_the_model(2)
    assert await fleet.stage.answers("general", asked) == [LONG.rstrip()]
    assert never_shrinks(shown_texts(fleet, reply))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_crash_before_a_placeholder_is_recorded_leaves_no_second_message(fleet: Fleet) -> None:
    process = await fleet.start()
    fleet.stage.vendor.script(grows(LONG))
    fleet.stage.sandbox.faults.start("no_answer", method="chat.postMessage", times=1, done=True)
    asked = await fleet.stage.mention()
    await fleet.stage.sandbox.wait_for(lambda: fleet.stage.bots("general", asked))
    await fleet.killed(process)
    await fleet.start()
    assert await fleet.stage.answers("general", asked) == [LONG.rstrip()]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_process_paused_during_a_take_over_neither_edits_nor_finishes(fleet: Fleet) -> None:
    paused = await fleet.start()
    asked = await fleet.stage.mention()
    reply = await fleet.visible(asked, "word9 ")
    await fleet.start()
    paused.send_signal(signal.SIGSTOP)
    await fleet.asked_the_model(2)
    assert await fleet.stage.answers("general", asked) == [LONG.rstrip()]
    edits = len(shown_texts(fleet, reply))
    paused.send_signal(signal.SIGCONT)
    assert paused.stderr is not None
    await wait_for_line(paused.stderr, ": attempt canceled: lost")
    asked_next = await fleet.stage.mention("next?")
    await fleet.stage.answers("general", asked_next)
    assert len(shown_texts(fleet, reply)) == edits
    assert never_shrinks(shown_texts(fleet, reply))


async def test_answer_that_outlasts_the_drain_is_handed_over(fleet: Fleet) -> None:
    leaving = await fleet.start(BOT_DRAIN_S="1")
    asked = await fleet.stage.mention()
    reply = await fleet.visible(asked, "word9 ")
    await fleet.start()
    leaving.send_signal(signal.SIGTERM)
    # Else another process takes it over later, and counts an interruption.
    await wait_for_line(leaving.stderr, "attempt canceled: handover")
    assert await asyncio.wait_for(leaving.wait(), WITHIN_S) == 0
    assert await fleet.stage.answers("general", asked) == [LONG.rstrip()]
    assert [message.ts for message in fleet.stage.bots("general", asked)] == [reply.ts]
    assert never_shrinks(shown_texts(fleet, reply))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_three_interruptions_end_the_job_with_its_part_and_a_notice(fleet: Fleet) -> None:
    events = speech.chat(speech.tokens("Half an answer. "))
    fleet.stage.vendor.script(VendorResponse(events[:-3], ending=ResponseEnd.HANG))
    asked = ""
    for attempt in range(3):
        process = await fleet.start()
        asked = asked or await fleet.stage.mention()
        await fleet.asked_the_model(attempt + 1)
        await fleet.visible(asked, "Half an answer.")
        await fleet.killed(process)
    await fleet.start()
    assert await fleet.stage.answers("general", asked) == [f"Half an answer.\n{texts.models.interrupted(goes_on=True)}"]
    assert len(fleet.stage.vendor.requests) == 3


async def test_stop_by_another_process_reaches_the_owner_and_keeps_the_text(fleet: Fleet, database_url: str) -> None:
    await fleet.start()
    asked = await fleet.stage.mention()
    await fleet.visible(asked, "word9 ")
    other = await Stores.open(database_url, "another", SystemClock())
    assert await other.question_queue.request_stop(1)
    await asyncio.wait_for(fleet.stage.vendor.requests[0].hung_up.wait(), WITHIN_S)
    await other.close()
    (text,) = await fleet.stage.answers("general", asked)
    assert text.startswith("word0 word1 ")
    assert footer(fleet.stage.bots("general", asked)[0]) == "test · stopped"


@pytest.mark.slack(ack_timeout_s=Sandbox.ack_timeout_s)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_answers_pause_and_new_questions_are_redelivered_during_a_database_outage(
    fleet: Fleet, tmp_path: Path
) -> None:
    gone = asyncio.Event()
    fleet.stage.vendor.script(grows(LONG, gates={len(LONG) // 2: gone.wait}), grows(LONG))
    process = await fleet.start()
    asked = await fleet.stage.mention()
    reply = await fleet.visible(asked, "word9 ")
    with database_away(tmp_path):
        gone.set()
        # An edit whose text is on record may have been on its way.
        await wait_for_line(process.stderr, "answers pause")
        before = shown_texts(fleet, reply)
        later = await fleet.stage.mention("later?")
        await fleet.stage.sandbox.wait_for(lambda: len(fleet.stage.sandbox.deliveries[-1].sent_at_s) > 1)
        assert shown_texts(fleet, reply) == before, "Slack shows nothing that the database doesn't have"
    assert await fleet.stage.answers("general", asked) == [LONG.rstrip()]
    assert await fleet.stage.answers("general", later) == [LONG.rstrip()]


AHEAD_CHARS = 64
"""What a model says beyond a word, so that the word isn't withheld as part of an incomplete line."""


def resuming(fleet: Fleet, text: str, *stops: int) -> Callable[[VendorRequest], VendorResponse]:
    """Returns a model that answers with this text, and continues it after the part that the prompt ends with.

    Each of its first requests says a little more than the next of these words, and then stays silent until the bot
    hangs up. The rest is on its way while the word is shown.
    """
    left = list(stops)

    def answer(request: VendorRequest) -> VendorResponse:
        *_, before, last = [turn["content"] for turn in request.body["messages"]]
        so_far = before if GO_ON_REQUEST in last else ""
        assert text.startswith(so_far)
        rest = text[len(so_far) :]
        if not left:
            return grows(rest, QUICK_S)
        word = left.pop(0)
        end = rest.index(f"word{word:03}") + AHEAD_CHARS
        whole = grows(rest[: end + AHEAD_CHARS], QUICK_S, {end: partial(shows_anywhere, fleet, word)})
        return replace(whole, chunks=whole.chunks[:-3], ending=ResponseEnd.HANG)

    return answer


def places(fleet: Fleet, message: Message) -> list[list[int]]:
    """Returns the numbers of the words in each revision of a message."""
    revisions = fleet.stage.sandbox.revisions("general", message.ts)
    return [[int(number) for number in WORD.findall(str(revision.sent_blocks))] for revision in revisions]


async def shows(fleet: Fleet, asked: str, word: int) -> Message:
    """Waits until the reply shows this word or a later one, and returns the reply."""
    matching = await fleet.stage.sandbox.wait_for(
        lambda: [message for message in fleet.stage.bots("general", asked) if last_word(message) >= word]
    )
    return matching[0]


async def shows_anywhere(fleet: Fleet, word: int) -> None:
    """Waits until any message shows this word or a later one."""
    sandbox = fleet.stage.sandbox
    await sandbox.wait_for(
        lambda: any(last_word(message) >= word for message in sandbox.workspace.messages("C0GENERAL"))
    )


def last_word(message: Message) -> int:
    return max(map(int, WORD.findall(str(message.sent_blocks))), default=-1)


async def check_whole(fleet: Fleet, asked: str, reply: Message) -> None:
    """Checks that the answer is completed in the message in which it began, without ever getting shorter."""
    await fleet.stage.sandbox.wait_for(lambda: not any(map(growing, fleet.stage.bots("general", asked))))
    (message,) = fleet.stage.bots("general", asked)
    assert message.ts == reply.ts
    assert shown(message) == MARKDOWN.rstrip()
    seen = places(fleet, message)
    assert all(words == list(range(len(words))) for words in seen), "each revision has the first words of the answer"
    assert [len(words) for words in seen] == sorted(map(len, seen)), "and no fewer than the one before"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("word", [-1, 3, 50, 62, 75, 110, 130, 158, 175], ids=lambda word: f"word {word}")
async def test_answer_killed_at_any_point_continues_without_shrinking(fleet: Fleet, word: int) -> None:
    # Before the first word, the process may be killed before it has asked the model.
    fleet.stage.vendor.script(resuming(fleet, MARKDOWN, *([word] if word >= 0 else [])))
    process = await fleet.start()
    asked = await fleet.stage.mention()
    reply = await shows(fleet, asked, word)
    await fleet.killed(process)
    await fleet.start()
    await check_whole(fleet, asked, reply)


async def test_question_edited_while_no_process_runs_is_answered_from_the_beginning(fleet: Fleet) -> None:
    sandbox = fleet.stage.sandbox
    fleet.stage.vendor.script(resuming(fleet, MARKDOWN, 110))
    process = await fleet.start()
    root = await sandbox.say("ada", "general", "Good morning.")
    asked = await sandbox.say("ada", "general", "@typist old words?", root)
    reply = await shows(fleet, root, 110)
    await fleet.killed(process)
    fleet.stage.vendor.script(says("The new answer."))
    await sandbox.edit("general", asked, "@typist new words?")
    await fleet.start()
    await sandbox.wait_for(
        lambda: [shown(message) for message in fleet.stage.bots("general", root)] == ["The new answer."]
    )
    assert [message.ts for message in fleet.stage.bots("general", root)] == [reply.ts]
    assert not any(GO_ON_REQUEST in str(prompt) for prompt in fleet.stage.prompts())
    assert fleet.stage.prompts()[-1][-1]["content"].endswith("new words?")


@pytest.mark.parametrize("says_so", [NOTHING_MISSING, "", MARKDOWN], ids=["says so", "says nothing", "repeats it"])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_complete_answer_gets_no_additional_text_after_a_crash(fleet: Fleet, says_so: str) -> None:
    hanging = VendorResponse(speech.chat(speech.tokens(MARKDOWN))[:-3], ending=ResponseEnd.HANG)
    fleet.stage.vendor.script(lambda request: says(says_so) if GO_ON_REQUEST in str(request.body) else hanging)
    process = await fleet.start()
    asked = await fleet.stage.mention()
    reply = await shows(fleet, asked, 188)
    await fleet.killed(process)
    await fleet.start()
    await check_whole(fleet, asked, reply)
