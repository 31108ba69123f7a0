"""A question that Slack was told we have is answered, whole and once, whatever dies; in the same messages."""

import asyncio
import re
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.core import texts
from bot.core.inbound.prompt import RESUME_REQUEST
from bot.core.reply.resuming import NOTHING_MISSING, SHORTEST_CHARS
from bot.ports.clock import SystemClock
from bot.store import Stores
from bot.store.engine import create_engine
from bot.store.schema import checkpoints
from sandbox.server import Sandbox
from sandbox.workspace import Message
from tests.forked import Forked, forked_bot
from tests.processes import said
from tests.scenarios.conftest import Stage, connected, footer, growing, says, shown
from tests.streams import speech
from tests.streams.server import Answer, Ending, Seen, VendorServer

LONG = "".join(f"word{number} " for number in range(80))
PACE_S = 0.02
"""For four characters: the long answer takes some 3 s."""


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
"""Each of its words is there once, in order."""
WORD = re.compile(r"word(\d{3})")
HALF = speech.chat(speech.tokens(LONG))[:60]
"""The first words of the long answer; then nothing for as long as the vendor is listened to."""


@dataclass
class Fleet:
    """Bot processes that share a database, on one stage."""

    stage: Stage
    folder: Path
    env: dict[str, str]
    stack: AsyncExitStack

    async def start(self, **env: str) -> Forked:
        """One more, once it is connected."""
        process = await self.stack.enter_async_context(forked_bot(self.folder, "run", env={**self.env, **env}))
        await said(process.stdout, "is connected to Slack")
        return process

    async def visible(self, asked: str, words: str) -> Message:
        """The reply to a question, as soon as it shows these words."""
        found = await self.stage.sandbox.wait_for(
            lambda: [message for message in self.stage.bots("general", asked) if words in shown(message)]
        )
        return found[0]

    async def asked_the_model(self, times: int) -> None:
        """As soon as the model was asked so often."""
        await asyncio.wait_for(self.stage.vendor.request(times - 1), 40)


@pytest.fixture
async def fleet(sandbox: Sandbox, vendor: VendorServer, tmp_path: Path, database_url: str) -> AsyncIterator[Fleet]:
    vendor.script(says(LONG, pause_s=PACE_S))
    async with AsyncExitStack() as stack:
        env = {**connected(sandbox, vendor), "DATABASE_URL": database_url}
        yield Fleet(Stage(sandbox, vendor), tmp_path, env, stack)


def shown_texts(fleet: Fleet, message: Message) -> list[str]:
    """What readers saw of a message, one after the other."""
    revisions = fleet.stage.sandbox.revisions("general", message.ts)
    return [block["text"] for each in revisions for block in each.sent_blocks if block["type"] == "markdown"]


def never_a_step_back(seen: list[str]) -> bool:
    """Each text goes on where the one before ended."""
    return all(later.startswith(earlier) for earlier, later in pairwise(seen))


async def test_after_a_crash_a_restart_goes_on_in_the_same_message(fleet: Fleet) -> None:
    process = await fleet.start()
    asked = await fleet.stage.mention()
    reply = await fleet.visible(asked, "word9 ")
    process.kill()
    await process.wait()
    await fleet.start()
    assert await fleet.stage.answers("general", asked) == [LONG.rstrip()]
    assert [message.ts for message in fleet.stage.bots("general", asked)] == [reply.ts]
    assert never_a_step_back(shown_texts(fleet, reply))


async def test_after_a_crash_another_process_goes_on_within_three_seconds(fleet: Fleet) -> None:
    first = await fleet.start()
    fleet.stage.vendor.script(Answer(HALF, ending=Ending.HANG), says(LONG, pause_s=PACE_S))
    asked = await fleet.stage.mention()
    reply = await fleet.visible(asked, "word9 ")
    await fleet.start()
    first.kill()
    loop = asyncio.get_running_loop()
    died = loop.time()
    await fleet.asked_the_model(2)
    assert loop.time() - died < 6.0
    assert await fleet.stage.answers("general", asked) == [LONG.rstrip()]
    assert never_a_step_back(shown_texts(fleet, reply))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_crash_before_a_placeholder_is_on_record_leaves_no_second_message(fleet: Fleet) -> None:
    process = await fleet.start()
    fleet.stage.sandbox.faults.start("slow", method="chat.postMessage", times=1, delay_s=2.0)
    asked = await fleet.stage.mention()
    await fleet.stage.sandbox.wait_for(lambda: fleet.stage.bots("general", asked))
    process.kill()
    await process.wait()
    await fleet.start()
    assert await fleet.stage.answers("general", asked) == [LONG.rstrip()]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_who_was_paused_while_another_took_over_neither_edits_nor_finishes(fleet: Fleet) -> None:
    paused = await fleet.start()
    fleet.stage.vendor.script(Answer(HALF, ending=Ending.HANG), says(LONG, pause_s=PACE_S))
    asked = await fleet.stage.mention()
    reply = await fleet.visible(asked, "word9 ")
    await fleet.start()
    paused.send_signal(signal.SIGSTOP)
    await fleet.asked_the_model(2)
    assert await fleet.stage.answers("general", asked) == [LONG.rstrip()]
    edits = len(shown_texts(fleet, reply))
    paused.send_signal(signal.SIGCONT)
    assert paused.stderr is not None
    await said(paused.stderr, ": canceled: lost")
    asked_next = await fleet.stage.mention("next?")
    await fleet.stage.answers("general", asked_next)
    assert len(shown_texts(fleet, reply)) == edits
    assert never_a_step_back(shown_texts(fleet, reply))


async def test_at_sigterm_what_does_not_end_in_time_goes_on_in_another_process(fleet: Fleet) -> None:
    leaving = await fleet.start(BOT_DRAIN_S="1")
    fleet.stage.vendor.script(Answer(HALF, ending=Ending.HANG), says(LONG, pause_s=PACE_S))
    asked = await fleet.stage.mention()
    reply = await fleet.visible(asked, "word9 ")
    await fleet.start()
    leaving.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(leaving.wait(), 40) == 0
    assert await fleet.stage.answers("general", asked) == [LONG.rstrip()]
    assert [message.ts for message in fleet.stage.bots("general", asked)] == [reply.ts]
    assert never_a_step_back(shown_texts(fleet, reply))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_three_interrupted_attempts_end_with_the_part_and_a_sentence(fleet: Fleet) -> None:
    events = speech.chat(speech.tokens("Half an answer. "))
    fleet.stage.vendor.script(Answer(events[:-3], ending=Ending.HANG))
    asked = ""
    for attempt in range(3):
        process = await fleet.start()
        asked = asked or await fleet.stage.mention()
        await fleet.asked_the_model(attempt + 1)
        await fleet.visible(asked, "Half an answer.")
        process.kill()
        await process.wait()
    await fleet.start()
    assert await fleet.stage.answers("general", asked) == [f"Half an answer.\n{texts.INTERRUPTED}"]
    assert len(fleet.stage.vendor.requests) == 3


async def test_two_processes_answer_each_question_once_and_each_thread_in_order(fleet: Fleet) -> None:
    fleet.stage.vendor.script(lambda seen: says(f"To {' and '.join(asked_in(seen))}.", pause_s=0.05))
    for _ in range(2):
        await fleet.start()
    threads = [await fleet.stage.mention(f"q{n}-0") for n in range(4)]
    for follow_up in range(1, 4):
        for n, asked in enumerate(threads):
            await fleet.stage.sandbox.say("ada", "general", f"@typist q{n}-{follow_up}", asked)
    for n, asked in enumerate(threads):
        answers = await fleet.stage.sandbox.wait_for(partial(whole, fleet, asked, f"q{n}-3"), 40)
        said = " and ".join(answer.removeprefix("To ").rstrip(".") for answer in answers)
        assert said == " and ".join(f"q{n}-{number}" for number in range(4))
    assert not [
        call for call in fleet.stage.sandbox.calls if call.error == "ratelimited" and call.method == "chat.update"
    ]


def whole(fleet: Fleet, asked: str, last: str) -> list[str]:
    """The answers in a thread, once the last question has its own and none is growing."""
    messages = fleet.stage.bots("general", asked)
    answers = [shown(message) for message in messages]
    return answers if last in str(answers) and not any(map(growing, messages)) else []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_beyond_what_a_process_answers_at_once_questions_wait_with_a_sign(fleet: Fleet) -> None:
    fleet.stage.vendor.script(says("word " * 60, pause_s=PACE_S))
    await fleet.start(BOT_MAX_CONCURRENT="1")
    first = await fleet.stage.mention("first?")
    await fleet.stage.sandbox.wait_for(lambda: fleet.stage.bots("general", first))
    second = await fleet.stage.mention("second?")
    (waiting,) = await fleet.stage.sandbox.wait_for(lambda: fleet.stage.bots("general", second))
    assert growing(waiting)
    assert texts.QUEUED in shown(waiting)
    for asked in (first, second):
        assert await fleet.stage.answers("general", asked) == [("word " * 60).rstrip()]


async def test_a_stop_request_by_another_process_reaches_the_owner_and_what_came_stays(
    fleet: Fleet, database_url: str
) -> None:
    fleet.stage.vendor.script(Answer(HALF, ending=Ending.HANG))
    await fleet.start()
    asked = await fleet.stage.mention()
    await fleet.visible(asked, "word9 ")
    other = await Stores.open(database_url, "another", SystemClock())
    assert await other.queue.request_stop(1)
    await asyncio.wait_for(fleet.stage.vendor.requests[0].hung_up.wait(), 40)
    await other.close()
    (text,) = await fleet.stage.answers("general", asked)
    assert text.startswith("word0 word1 ")
    assert footer(fleet.stage.bots("general", asked)[0]) == "openai/test · stopped"


def asked_in(seen: Seen) -> list[str]:
    """The questions in the last turn of what the vendor was asked."""
    return re.findall(r"q\d-\d", seen.body["messages"][-1]["content"])


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_while_the_database_is_away_answers_go_on_and_new_questions_come_again(
    fleet: Fleet, tmp_path: Path
) -> None:
    await fleet.start()
    asked = await fleet.stage.mention()
    reply = await fleet.visible(asked, "word9 ")
    away = sqlite3.connect(tmp_path / "typist.db", isolation_level=None)
    away.execute("BEGIN EXCLUSIVE")
    before = len(shown_texts(fleet, reply))
    await fleet.stage.sandbox.wait_for(lambda: len(shown_texts(fleet, reply)) > before)
    later = await fleet.stage.mention("later?")
    await fleet.stage.sandbox.wait_for(lambda: len(fleet.stage.sandbox.deliveries[-1].sent_at_s) > 1)
    away.execute("COMMIT")
    away.close()
    assert await fleet.stage.answers("general", asked) == [LONG.rstrip()]
    assert await fleet.stage.answers("general", later, timeout_s=40) == [LONG.rstrip()]


def going_on(text: str, pause_s: float = PACE_S / 2) -> Callable[[Seen], Answer]:
    """A model that says a text, and goes on with it where it is asked to."""

    def answer(seen: Seen) -> Answer:
        *_, before, last = [turn["content"] for turn in seen.body["messages"]]
        if last != RESUME_REQUEST:
            return says(text, pause_s)
        assert text.startswith(before)
        return says(text[len(before) :], pause_s)

    return answer


def places(fleet: Fleet, message: Message) -> list[list[int]]:
    """The numbers of the words that each revision of a message shows."""
    revisions = fleet.stage.sandbox.revisions("general", message.ts)
    return [[int(number) for number in WORD.findall(str(each.sent_blocks))] for each in revisions]


def check_growth(seen: list[list[int]]) -> None:
    """Each revision has the first words, and no fewer of them than the one before."""
    assert all(words == list(range(len(words))) for words in seen)
    assert [len(words) for words in seen] == sorted(len(words) for words in seen)


async def shows(fleet: Fleet, asked: str, word: int) -> Message:
    """The reply, as soon as it shows this word or a later one."""
    found = await fleet.stage.sandbox.wait_for(
        lambda: [each for each in fleet.stage.bots("general", asked) if last_word(each) >= word], 30
    )
    return found[0]


def last_word(message: Message) -> int:
    return max(map(int, WORD.findall(str(message.sent_blocks))), default=-1)


async def check_whole(fleet: Fleet, asked: str, reply: Message) -> None:
    """The answer ends whole in the message in which it began, after no step back."""
    await fleet.stage.sandbox.wait_for(lambda: not any(map(growing, fleet.stage.bots("general", asked))))
    (message,) = fleet.stage.bots("general", asked)
    assert message.ts == reply.ts
    assert shown(message) == MARKDOWN.rstrip()
    check_growth(places(fleet, message))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("word", [-1, 3, 50, 62, 75, 110, 130, 158, 175], ids=lambda word: f"word {word}")
async def test_killed_at_any_moment_it_goes_on_without_a_step_back_and_ends_whole(fleet: Fleet, word: int) -> None:
    fleet.stage.vendor.script(going_on(MARKDOWN))
    process = await fleet.start()
    asked = await fleet.stage.mention()
    reply = await shows(fleet, asked, word)
    process.kill()
    await process.wait()
    await fleet.start()
    await check_whole(fleet, asked, reply)


async def test_killed_again_and_again_it_pays_for_no_text_twice(fleet: Fleet) -> None:
    fleet.stage.vendor.script(going_on(MARKDOWN))
    process = await fleet.start()
    asked = await fleet.stage.mention()
    for word in (75, 140):
        reply = await shows(fleet, asked, word)
        process.kill()
        await process.wait()
        process = await fleet.start()
    await check_whole(fleet, asked, reply)
    first, second, third = fleet.stage.prompts()
    assert [turn["role"] for turn in third] == ["user", "assistant", "user"]
    assert second[1]["content"] == MARKDOWN[: len(second[1]["content"])]
    assert SHORTEST_CHARS < len(second[1]["content"]) < len(third[1]["content"])
    assert [prompt[-1]["content"] for prompt in (second, third)] == [RESUME_REQUEST, RESUME_REQUEST]
    assert len(first) == 1


async def test_question_edited_while_no_process_runs_is_answered_from_the_beginning(fleet: Fleet) -> None:
    sandbox = fleet.stage.sandbox
    fleet.stage.vendor.script(going_on(MARKDOWN))
    process = await fleet.start()
    root = await sandbox.say("ada", "general", "Good morning.")
    asked = await sandbox.say("ada", "general", "@typist old words?", root)
    reply = await shows(fleet, root, 110)
    process.kill()
    await process.wait()
    fleet.stage.vendor.script(says("The new answer."))
    await sandbox.edit("general", asked, "@typist new words?")
    await fleet.start()
    await sandbox.wait_for(
        lambda: [shown(each) for each in fleet.stage.bots("general", root)] == ["The new answer."], 25
    )
    assert [message.ts for message in fleet.stage.bots("general", root)] == [reply.ts]
    assert not any(RESUME_REQUEST in str(prompt) for prompt in fleet.stage.prompts())
    assert fleet.stage.prompts()[-1][-1]["content"].endswith("new words?")


async def test_handed_over_it_goes_on_from_its_last_word(fleet: Fleet) -> None:
    half = MARKDOWN[: MARKDOWN.index("| word080")]
    hanging = Answer(speech.chat(speech.tokens(half))[:-3], ending=Ending.HANG)
    resumed = going_on(MARKDOWN)
    fleet.stage.vendor.script(lambda seen: resumed(seen) if "stops" in str(seen.body) else hanging)
    leaving = await fleet.start(BOT_DRAIN_S="1")
    asked = await fleet.stage.mention()
    reply = await shows(fleet, asked, 79)
    await fleet.start()
    leaving.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(leaving.wait(), 40) == 0
    await check_whole(fleet, asked, reply)
    assert fleet.stage.prompts()[1][1] == {"role": "assistant", "content": half.rstrip()}


@pytest.mark.parametrize("says_so", [NOTHING_MISSING, "", MARKDOWN], ids=["says so", "says nothing", "repeats it"])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_of_an_answer_that_lacked_nothing_nothing_is_added(fleet: Fleet, says_so: str) -> None:
    hanging = Answer(speech.chat(speech.tokens(MARKDOWN))[:-3], ending=Ending.HANG)
    fleet.stage.vendor.script(lambda seen: says(says_so) if "stops" in str(seen.body) else hanging)
    process = await fleet.start()
    asked = await fleet.stage.mention()
    reply = await shows(fleet, asked, 188)
    process.kill()
    await process.wait()
    await fleet.start()
    await check_whole(fleet, asked, reply)


async def test_what_lacked_only_its_last_edit_asks_no_model_again(fleet: Fleet, database_url: str) -> None:
    fleet.stage.vendor.script(going_on(MARKDOWN))
    process = await fleet.start()
    asked = await fleet.stage.mention()
    reply = await shows(fleet, asked, 150)
    fleet.stage.sandbox.faults.start("internal_error", method="chat.update")
    await its_end_is_on_record(database_url)
    process.kill()
    await process.wait()
    fleet.stage.sandbox.faults.stop("internal_error")
    await fleet.start()
    await check_whole(fleet, asked, reply)
    assert len(fleet.stage.vendor.requests) == 1


async def its_end_is_on_record(database_url: str) -> None:
    engine = create_engine(database_url)
    ended = sa.select(sa.func.count()).where(sa.cast(checkpoints.c.closing, sa.Text).is_not(None))
    async with asyncio.timeout(40):
        while True:
            async with engine.begin() as connection:
                if await connection.scalar(ended):
                    break
            await asyncio.sleep(0.05)
    await engine.dispose()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_killed_while_the_database_is_away_it_takes_nothing_back(fleet: Fleet, tmp_path: Path) -> None:
    fleet.stage.vendor.script(going_on(MARKDOWN, PACE_S))
    process = await fleet.start()
    asked = await fleet.stage.mention()
    reply = await shows(fleet, asked, 62)
    away = sqlite3.connect(tmp_path / "typist.db", isolation_level=None)
    away.execute("BEGIN EXCLUSIVE")
    before = last_word(fleet.stage.bots("general", asked)[0])
    await shows(fleet, asked, before + 20)
    process.kill()
    await process.wait()
    away.execute("COMMIT")
    away.close()
    await fleet.start()
    await check_whole(fleet, asked, reply)
