"""The queue: questions become jobs, are queued, posted by the bot, stopped and regenerated."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import sqlalchemy as sa

from bot.core.access import MAX_BOT_QUESTIONS_AN_HOUR, MAX_BOT_QUESTIONS_IN_A_ROW
from bot.core.conversation import File, Question, ThreadKey
from bot.core.job import TRANSITIONS, End, EnqueueResult, Event, FollowUp, Job, State, StepEstimate
from bot.core.outbox import OUTBOX_HOLD_S, OutboxEntry, OutboxKind
from bot.core.unposted import MessageQuestion, QuotedMessage
from bot.errors import EndReason
from bot.store import Stores
from bot.store.erasure import UNPOSTED_KEPT_S
from bot.store.schema import checkpoints, jobs, outbox_entries, steps
from slack_sandbox.testing.processes import WITHIN_S
from tests.charged_turns import CHARGED_TURNS
from tests.clocks import LateClock, ManualClock
from tests.contracts.databases import Process
from tests.contracts.store_machine import states
from tests.contracts.stores import (
    DONE,
    OTHER_THREAD,
    SAID,
    STEPPED,
    THREAD,
    YES,
    apart,
    asked,
    asking_step,
    begun,
    by,
    count,
    delete_question,
    enqueued,
    one,
    unclaimed,
)
from tests.core.conversations import recorded_pages

EDITED = replace(asked(1), text="Why not?")


async def in_order_of_writing(store: Stores) -> list[int]:
    async with store.database.engine.begin() as connection:
        return list((await connection.scalars(sa.select(jobs.c.id).order_by(jobs.c.id))).all())


class TestEnqueue:
    async def test_question_becomes_a_job_unchanged(self, store: Stores) -> None:
        file = File("F1", "a\0b \ud83d ☃.png", "image/png", "png", "hosted", "visible", "https://files.slack.com/F1")
        words = "<@UBOT> héllo 👩‍👩‍👧 {%s} :id 'quoted'"
        question = replace(asked(1, text=words), files=(file, File("F2", "b")))
        taken = await store.question_queue.enqueue("Ev1", question)
        [job] = await store.worker_queue.claim(10)
        assert taken == EnqueueResult(job.id, needs_placeholder=False)
        assert job == Job(job.id, question, attempts=1)

    @pytest.mark.parametrize(
        ("pages", "placeholder", "moves_down"),
        [
            (("5.1", "5.3"), "5.2", True),
            (("5.1",), "5.2", False),
            ((), "5.2", False),
            (("5.1", "5.3"), "", False),
        ],
        ids=["below a page", "below all pages", "no pages", "no placeholder"],
    )
    async def test_claim_says_whether_the_answer_ahead_has_pages_below_the_placeholder(
        self, store: Stores, pages: tuple[str, ...], placeholder: str, moves_down: bool
    ) -> None:
        await enqueued(store, asked(1))
        ahead = await one(store)
        taken = await store.question_queue.enqueue("Ev2", replace(asked(2), user_id="U2"))
        assert taken is not None
        if placeholder:
            queued = unclaimed(taken, asked(2))
            await store.worker_queue.record_placeholder(queued, recorded_pages(placeholder))
        await store.worker_queue.record_messages(ahead, recorded_pages(*pages))
        await store.worker_queue.finish(ahead, DONE, YES)
        job = await one(store)
        assert (job.question.ts, job.must_move_down) == (asked(2).ts, moves_down)

    async def test_last_words_before_a_message_are_those_of_the_newest_answer(self, store: Stores) -> None:
        async def last_words(number: int) -> str | None:
            return await store.participants.last_answer(THREAD, asked(number).ts)

        job = await begun(store, asked(1))
        assert (await last_words(1), await last_words(2)) == (None, "")
        await store.worker_queue.finish(job, DONE, "First.")
        assert await last_words(2) == "First."
        await enqueued(store, asked(2))
        await enqueued(store, asked(3))
        assert await last_words(4) == ""
        # Both share one answer.
        await store.worker_queue.finish(await one(store), DONE, "Second?")
        assert (await last_words(2), await last_words(3), await last_words(4)) == ("First.", "Second?", "Second?")
        await store.question_queue.enqueue("EvOffered", asked(5), offered=True)
        await store.worker_queue.finish(await one(store), End(EndReason.OFFERED), "")
        assert await last_words(6) is None

    async def test_waiting_questions_are_counted_over_all_teams(self, store: Stores) -> None:
        for place in (ThreadKey("T1", "C1", None), ThreadKey("T2", "C1", None), ThreadKey("T2", "C2", None)):
            await store.question_queue.enqueue(f"Ev {place}", asked(1, place))
        assert await store.question_queue.count_queued() == 3
        assert len(await store.worker_queue.claim(1)) == 1
        assert await store.question_queue.count_queued() == 2

    async def test_exactly_one_of_two_simultaneous_twin_events_is_taken(self, worker: Process) -> None:
        stores = [await worker("w1"), await worker("w2")]
        for number in range(20):
            twins = await asyncio.gather(
                stores[0].question_queue.enqueue(f"EvA{number}", asked(number)),
                stores[number % 2].question_queue.enqueue(f"EvB{number}", asked(number)),
            )
            assert sum(twin is not None for twin in twins) == 1

    async def test_characters_that_databases_refuse_are_replaced(self, store: Stores) -> None:
        job = await begun(store, asked(1, text="a\0b \ud83d c \ud83d\ude00"))
        assert job.question.text == "a\ufffdb \ufffd c 😀"


class TestManyAtOnce:
    async def test_simultaneous_events_have_the_same_results_as_single_ones(self, store: Stores) -> None:
        """More than one batch of events: twins, repeated events, threads with an order, a process at its limit."""
        arrivals: list[tuple[str, Question]] = []
        for number in range(150):
            arrivals += [(f"EvA{number}", apart(number)), (f"EvB{number}", apart(number))]
        arrivals += [("EvA0", asked(1, OTHER_THREAD)), ("Ev1", asked(2)), ("Ev2", asked(1)), ("Ev3", asked(3))]
        taken = await asyncio.gather(*(store.question_queue.enqueue(*arrival) for arrival in arrivals))
        assert [result is not None for result in taken[:300]] == [True, False] * 150
        assert not any(result.needs_placeholder for result in taken[:300] if result)
        assert taken[300] is None
        assert [result and result.needs_placeholder for result in taken[301:]] == [False, False, True]
        ids = await in_order_of_writing(store)
        assert ids == sorted(result.job_id for result in taken if result)

    async def test_simultaneous_questions_wait_for_what_is_before_them_and_for_room(self, worker: Process) -> None:
        store = await worker("w1", max_per_user=2)
        questions = [asked(1), asked(3), asked(2), apart(4), apart(5), by("U2", 6)]
        taken = await asyncio.gather(*(store.question_queue.enqueue(question.ts, question) for question in questions))
        assert [result and result.needs_placeholder for result in taken] == [False, True, True, False, True, False]

    @pytest.mark.long(after_row=1)
    async def test_thousand_simultaneous_events_are_all_taken(self, process: Process) -> None:
        store = await process("w1")
        taken = await asyncio.gather(
            *(store.question_queue.enqueue(f"Ev{number}", apart(number)) for number in range(1000))
        )
        assert len({result.job_id for result in taken if result}) == 1000

    async def test_processes_with_the_same_events_in_any_order_do_not_block_each_other(
        self, on_server: Process
    ) -> None:
        stores = [await on_server(name) for name in ("w1", "w2", "w3")]
        numbers = list(range(300))
        orders = (numbers, numbers[::-1], numbers[150:] + numbers[:150])

        async def enqueue_all(store: Stores, order: Sequence[int]) -> list[EnqueueResult | None]:
            return await asyncio.gather(
                *(store.question_queue.enqueue(f"Ev{number}", apart(number)) for number in order)
            )

        async with asyncio.timeout(WITHIN_S):
            taken = await asyncio.gather(*map(enqueue_all, stores, orders))
        ids = [result.job_id for results in taken for result in results if result]
        assert len(ids) == len(set(ids)) == 300


class TestBots:
    """Questions of bots, which may be answering our answers."""

    async def test_bots_hourly_limit_holds_for_questions_at_once_in_two_processes(self, worker: Process) -> None:
        stores = [await worker("w1"), await worker("w2")]
        questions = [replace(apart(number), user_id="B1", is_from_bot=True) for number in range(100)]
        taken = await asyncio.gather(
            *(
                stores[number % 2].question_queue.enqueue(f"Ev{number}", question)
                for number, question in enumerate(questions)
            )
        )
        assert len([job for job in taken if job]) == MAX_BOT_QUESTIONS_AN_HOUR
        one_more = replace(apart(200), user_id="B1", is_from_bot=True)
        elsewhere = replace(one_more.thread, team_id="T2")
        person = replace(apart(201), user_id="B1")
        for number, other in enumerate((replace(one_more, user_id="B2"), replace(one_more, thread=elsewhere), person)):
            assert await stores[0].question_queue.enqueue(f"Ev20{number}", other), "it has its own limit, or none"

    async def test_bots_limit_begins_again_after_an_hour(self, worker: Process) -> None:
        clock = ManualClock()
        store = await worker("w1", clock)
        questions = [replace(apart(number), user_id="B1", is_from_bot=True) for number in range(22)]
        taken = [
            await store.question_queue.enqueue(f"Ev{number}", question)
            for number, question in enumerate(questions[:21])
        ]
        assert [bool(job) for job in taken] == [True] * MAX_BOT_QUESTIONS_AN_HOUR + [False]
        clock.now_s += 3_599
        assert not await store.question_queue.enqueue("Ev21", questions[21])
        clock.now_s += 1
        assert await store.question_queue.enqueue("Ev22", questions[21])

    async def test_bots_ask_only_so_often_in_a_row_in_a_thread_also_at_once(self, store: Stores) -> None:
        bots = [replace(asked(number), user_id=f"B{number}", is_from_bot=True) for number in range(10)]
        taken = await asyncio.gather(*(store.question_queue.enqueue(f"Ev{bot.ts}", bot) for bot in bots))
        assert len([job for job in taken if job]) == MAX_BOT_QUESTIONS_IN_A_ROW
        assert await store.question_queue.enqueue("Ev19", replace(bots[9], thread=OTHER_THREAD, ts=asked(19).ts))
        assert await store.question_queue.enqueue("Ev20", asked(20))
        assert await store.question_queue.enqueue("Ev21", replace(asked(21), user_id="B1", is_from_bot=True)), (
            "a person asked since"
        )

    async def test_bots_message_that_two_events_bring_counts_once(self, store: Stores) -> None:
        bots = [replace(asked(number), user_id="B1", is_from_bot=True) for number in range(MAX_BOT_QUESTIONS_IN_A_ROW)]
        taken = await asyncio.gather(
            *(store.question_queue.enqueue(f"Ev{bot.ts} {event}", bot) for bot in bots for event in "ab")
        )
        assert [job is not None for job in taken] == [True, False] * MAX_BOT_QUESTIONS_IN_A_ROW


FILE = File("F1", "a.txt")


async def test_message_that_is_no_question_can_be_neither_edited_nor_deleted_nor_regenerated(store: Stores) -> None:
    assert not await store.question_queue.edit(EDITED, "2.0")
    assert not await delete_question(store, 1)
    assert not await store.question_queue.regenerate(12345)


@pytest.mark.parametrize(
    ("text", "files", "ended", "is_question"),
    [("Why?", (), True, True), ("", (FILE,), True, True), ("", (), False, True), ("", (), True, False)],
    ids=["words", "a file", "empty and queued", "empty and ended"],
)
async def test_message_with_words_or_files_is_a_question_and_an_empty_one_only_until_it_ends(
    store: Stores, text: str, files: tuple[File, ...], ended: bool, is_question: bool
) -> None:
    await enqueued(store, replace(asked(1), text=text, files=files))
    if ended:
        assert await store.worker_queue.finish(await one(store), DONE, YES)
    assert await store.question_queue.edit(EDITED, "2.0") is is_question
    assert await delete_question(store, 1) is is_question
    assert not await store.question_queue.edit(EDITED, "3.0"), "it is deleted"


async def test_deleted_question_leaves_no_file_to_answer_about(store: Stores) -> None:
    job_id = await enqueued(store, replace(asked(1), text="", files=(FILE,)))
    assert await store.worker_queue.finish(await one(store), DONE, YES)
    assert await delete_question(store, 1)
    assert await store.question_queue.regenerate(job_id) is None


@pytest.mark.parametrize(
    ("changes", "restarts"),
    [({"files": (FILE,)}, True), ({"attached_chars": 2}, False), ({"had_sign_in": True}, False)],
    ids=["files", "where the words end", "what was removed"],
)
async def test_edit_of_files_restarts_the_answer_and_all_of_an_edit_is_stored(
    store: Stores, changes: dict[str, Any], restarts: bool
) -> None:
    job = await begun(store)
    assert await store.recorded_calls.record_step(job, asking_step(), STEPPED, SAID)
    assert await store.question_queue.edit(replace(asked(1), **changes), "2.0")
    assert (await store.worker_queue.heartbeat({job: StepEstimate()})).ids_to_restart == (
        {job.id} if restarts else set()
    )
    left = [await count(store, table) for table in (checkpoints, steps)]
    assert left == ([0, 0] if restarts else [1, 1])
    assert await store.worker_queue.release(job)
    assert (await one(store)).question == replace(asked(1), **changes)


@pytest.mark.parametrize(
    ("follow_up", "is_taken"),
    [
        (asked(2), True),
        (replace(asked(2), files=(FILE,)), False),
        (replace(asked(2), is_from_bot=True), False),
        (replace(asked(2), had_sign_in=True), False),
    ],
    ids=["plain", "with a file", "by a bot", "with the address of a sign-in"],
)
async def test_running_answer_takes_along_only_plain_questions(
    store: Stores, follow_up: Question, is_taken: bool
) -> None:
    job = await begun(store)
    await enqueued(store, follow_up)
    assert await store.recorded_calls.take_follow_ups(job, 1) == ((FollowUp(follow_up, 1),) if is_taken else ())
    assert await store.worker_queue.finish(job, DONE, YES)
    assert [left.question for left in await store.worker_queue.claim(9)] == ([] if is_taken else [follow_up])


async def test_batched_question_has_a_turn_without_usage(store: Stores) -> None:
    first = await enqueued(store, asked(1))
    await begun(store, asked(2))
    async with store.database.begin_read() as connection:
        [turn] = (await connection.execute(CHARGED_TURNS)).all()
    assert (turn.job_id, turn.end_reason, turn.answer, turn.input_tokens) == (first, "batched", "", None)


ABOUT = QuotedMessage("C1", "1.3", "1.1", "It failed", "https://slack.example/r")
POSTED = Question(ThreadKey("T1", "C1", "1.1"), "2.2", "U1", "Why?\n\n> It failed", attached_chars=11)


@dataclass
class Stage:
    store: Stores
    clock: LateClock

    async def ask(self, text: str = "Why?", user_id: str = "U1", about: QuotedMessage = ABOUT) -> bool:
        return await self.store.unposted_questions.ask("T1", "V1", user_id, about, text)

    async def entries(self) -> list[OutboxEntry]:
        return await self.store.outbox.claim_due(9)

    async def taken(self) -> OutboxEntry:
        [entry] = await self.entries()
        assert entry.kind is OutboxKind.POST_QUESTION
        return entry

    async def question(self) -> MessageQuestion:
        """Takes the entry, and returns the question that it has posted."""
        question = await self.store.unposted_questions.read(await self.taken())
        assert question
        return question

    async def work_and_speak(self, entry: OutboxEntry) -> None:
        """Has a run without a message work, and then post its answer."""
        held = replace(POSTED, schedule_id=1, is_held=True)
        await self.post(entry, held)
        [job] = await self.store.worker_queue.claim(1)
        # The stage asks a person's question, and only a run's post comes after its work.
        await self.store.worker_queue.release(replace(job, question=held), posts_answer=True)

    async def post(self, entry: OutboxEntry, question: Question = POSTED) -> bool:
        return await self.store.question_queue.enqueue("view V1", question, job_id=entry.job_id) is not None


@pytest.fixture
async def stage(worker: Process) -> Stage:
    clock = LateClock()
    return Stage(await worker("w1", clock), clock)


async def test_question_is_asked_posted_given_up_and_erased_as_in_the_table(stage: Stage) -> None:
    happen: dict[Event, Callable[[], Awaitable[object]]] = {
        Event.ASK: stage.ask,
        Event.POST: lambda: stage.post(entries[0]),
        Event.GIVE_UP: lambda: stage.store.unposted_questions.give_up(entries[0]),
        Event.ERASE: lambda: stage.store.erasure.erase(user_id="U1"),
        Event.SPEAK: lambda: stage.work_and_speak(entries[0]),
    }
    rows = {row: after for row, after in TRANSITIONS.items() if State.UNPOSTED in (row[0], after)}
    for (state, event), after in rows.items():
        if state in (State.UNPOSTED, State.RUNNING):
            await stage.ask()
        entries = await stage.entries()
        await happen[event]()
        assert list((await states(stage.store)).values()) == [after] * (after is not State.ABSENT)
        await stage.store.erasure.erase()


async def test_simultaneous_submissions_ask_one_question(stage: Stage) -> None:
    assert sorted(await asyncio.gather(*(stage.ask() for _ in range(5)))) == [False] * 4 + [True]
    asked_at = stage.store.clock.now()
    question = await stage.question()
    assert question == MessageQuestion("T1", "V1", "U1", ABOUT, "Why?", question.created_at)
    assert asked_at - 60 < question.created_at <= asked_at
    assert await stage.store.unposted_questions.ask("T2", "V1", "U1", ABOUT, "Why?"), "another workspace's modal"


async def test_first_asker_and_first_text_stay(stage: Stage) -> None:
    await stage.ask()
    assert not await stage.ask("Why not?", "U2")
    question = await stage.question()
    assert (question.user_id, question.text) == ("U1", "Why?")


async def test_draft_keeps_the_whole_message_until_its_modal_is_submitted(stage: Stage) -> None:
    whole = replace(ABOUT, quote="It failed " * 800)
    for _ in range(2):
        await stage.store.unposted_questions.draft("T1", "V1", "U1", whole)
    assert await stage.entries() == [], "nobody has asked yet"
    assert await stage.ask()
    question = await stage.question()
    assert (question.about, question.text) == (whole, "Why?")
    await stage.store.unposted_questions.draft("T1", "V1", "U1", ABOUT)
    assert not await stage.ask()


async def test_question_that_is_not_posted_is_in_no_thread(stage: Stage) -> None:
    await stage.store.unposted_questions.draft("T1", "V1", "U1", ABOUT)
    assert await stage.store.participants.starter(POSTED.thread) == ""
    assert await stage.ask()
    assert await stage.store.participants.starter(POSTED.thread) == ""
    assert await stage.post(await stage.taken())
    assert await stage.store.participants.starter(POSTED.thread) == "U1"


async def test_unposted_question_is_posted_by_one_process_at_a_time(stage: Stage) -> None:
    await stage.ask()
    first = await stage.taken()
    assert await stage.entries() == []
    stage.clock.ahead_s = OUTBOX_HOLD_S + 1
    taken = [entry for some in await asyncio.gather(*(stage.entries() for _ in range(3))) for entry in some]
    assert [entry.tries for entry in taken] == [2]
    records = stage.store.unposted_questions
    assert not await records.record_direct_post(first, has_begun=True), "an earlier holder records nothing"
    await records.give_up(first)
    for begun_there in (True, False):
        assert await records.record_direct_post(taken[0], has_begun=begun_there)
        question = await records.read(taken[0])
        assert question is not None
        assert question.has_begun_direct_post is begun_there


async def test_posted_question_is_queued_once_as_its_askers_words(stage: Stage) -> None:
    await stage.ask()
    entry = await stage.taken()
    assert sorted(await asyncio.gather(*(stage.post(entry) for _ in range(3)))) == [False, False, True]
    assert await stage.store.unposted_questions.read(entry) is None
    [job] = await stage.store.worker_queue.claim(9)
    assert (job.id, job.question) == (entry.job_id, POSTED)
    assert not await stage.ask("Why not?"), "it is asked once, also after its post"


async def test_posted_question_waits_behind_earlier_ones_of_its_thread(stage: Stage) -> None:
    await stage.ask()
    entry = await stage.taken()
    await enqueued(stage.store, replace(asked(1), thread=POSTED.thread, ts="2.0"))
    taken = await stage.store.question_queue.enqueue("view V1", POSTED, job_id=entry.job_id)
    assert taken
    assert taken.needs_placeholder


async def test_unposted_question_holds_up_nobody(stage: Stage) -> None:
    await stage.ask(about=replace(ABOUT, thread_ts="1.1"))
    taken = await stage.store.question_queue.enqueue("Ev1", replace(POSTED, ts="1.5"))
    assert taken
    assert not taken.needs_placeholder
    assert [job.id for job in await stage.store.worker_queue.claim(9)] == [taken.job_id]
    assert await stage.store.question_queue.count_queued() == 0


async def test_question_that_is_given_up_can_be_asked_again_by_anybody(stage: Stage) -> None:
    await stage.ask()
    entry = await stage.taken()
    await stage.store.unposted_questions.give_up(entry)
    assert await count(stage.store, outbox_entries) == 0
    assert not await stage.post(entry)
    assert await stage.ask("Why not?", "U2")
    question = await stage.question()
    assert (question.user_id, question.text) == ("U2", "Why not?")


async def test_question_that_was_left_unsure_is_taken_once_its_post_is_known(stage: Stage) -> None:
    await stage.ask()
    entry = await stage.taken()
    await stage.store.outbox.complete(entry)
    assert not await stage.ask(), "it may have been posted"
    await stage.store.unposted_questions.record_post("T1", "V1", "D1", "2.2")
    question = await stage.question()
    assert question.posted_message == ("D1", "2.2")


async def test_event_about_a_post_leaves_it_to_the_process_that_has_the_question(stage: Stage) -> None:
    await stage.ask()
    entry = await stage.taken()
    await stage.store.unposted_questions.record_post("T1", "V1", "C1", "2.2")
    assert await stage.entries() == []
    assert await stage.post(entry)
    await stage.store.unposted_questions.record_post("T1", "V1", "C1", "2.2")
    assert (await states(stage.store))[entry.job_id] is State.QUEUED


async def test_no_text_about_a_posted_question_is_kept_beside_it(stage: Stage) -> None:
    await stage.ask()
    await stage.post(await stage.taken())
    async with stage.store.database.engine.begin() as connection:
        assert await connection.scalar(sa.select(jobs.c.unposted)) is None


@pytest.mark.parametrize("text", ["Why?", ""], ids=["never posted", "draft of a closed modal"])
async def test_unposted_question_expires_after_a_day(stage: Stage, text: str) -> None:
    if text:
        await stage.ask(text)
    else:
        await stage.store.unposted_questions.draft("T1", "V1", "U1", ABOUT)
    for ahead_s, left in ((UNPOSTED_KEPT_S - 1, 1), (UNPOSTED_KEPT_S + 1, 0)):
        stage.clock.ahead_s = ahead_s
        await stage.store.erasure.expire(0.0)
        assert await count(stage.store, jobs) == left


@pytest.mark.parametrize(
    ("of", "is_left"),
    [
        ({"user_id": "U1"}, False),
        ({"user_id": "U2"}, True),
        ({"thread": POSTED.thread}, False),
        ({"thread": ThreadKey("T1", "C1", "9.9")}, True),
        ({"thread": ThreadKey("T2", "C1", "1.1")}, True),
        ({"thread": POSTED.thread, "user_id": "U2"}, True),
        ({}, False),
    ],
    ids=str,
)
async def test_erasure_removes_unposted_questions(stage: Stage, of: dict[str, str], is_left: bool) -> None:
    await stage.ask()
    await stage.store.erasure.erase(**of)  # type: ignore[arg-type]
    assert await count(stage.store, jobs) == await count(stage.store, outbox_entries) == int(is_left)
