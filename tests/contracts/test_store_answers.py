"""Answers on record: replies of threads, versions, origins, choices, and what is kept beside them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import pytest
import sqlalchemy as sa

from bot.core.caps import CapWindow, Period, Scope, ScopeIds
from bot.core.choices import question_id
from bot.core.conversation import NO_NOTE, File, Note, RecordedReply, ThreadKey
from bot.core.job import (
    POSTING,
    AnswerRecord,
    Checkpoint,
    End,
    Job,
    MessageRole,
    Notice,
    NoticeKind,
    Piece,
    RecordedMessage,
    State,
    Status,
    Wish,
    sentence_notice,
)
from bot.core.outbox import OUTBOX_HOLD_S, OutboxEntry, OutboxKind
from bot.core.picture import picture
from bot.core.unposted import QuotedMessage
from bot.core.usage import DownReason, Thumb
from bot.errors import EndReason
from bot.models.events import Citation, Usage
from bot.models.prices import ModelPrices
from bot.models.prompt import ASKERS, OTHERS, OURS, UNKNOWN, Origin, Origins
from bot.store import Stores
from bot.store.canvases import AnswerCanvas
from bot.store.rows import end_of, end_values
from bot.store.schema import canvases, checkpoints, jobs, outbox_entries
from bot.store.usage import thumbs
from tests.charged_turns import CHARGED_TURNS
from tests.clocks import ManualClock
from tests.contracts.databases import Process
from tests.contracts.stores import (
    DONE,
    SAID,
    STEPPED,
    THREAD,
    YES,
    answered,
    apart,
    asked,
    asking_step,
    begun,
    count,
    enqueued,
    one,
    texts_of,
)
from tests.core.conversations import recorded_pages


async def test_outcome_is_recorded_with_its_usage(store: Stores) -> None:
    job = await begun(store)
    await store.worker_queue.finish(job, DONE, YES)
    async with store.database.engine.begin() as connection:
        turn = (await connection.execute(CHARGED_TURNS)).one()
        job_row = (await connection.execute(sa.select(jobs.c.status, jobs.c.end_reason))).one()
    assert tuple(job_row) == (Status.ENDED, EndReason.WHOLE)
    assert (turn.job_id, turn.answer, turn.model) == (job.id, YES, "scripted/echo")
    assert (turn.end_reason, turn.input_tokens, turn.output_tokens) == (EndReason.WHOLE, 10, 20)
    assert turn.cached_input_tokens == 5


async def test_versions_are_swapped_one_by_one(store: Stores) -> None:
    await enqueued(store, asked(1))
    answers = ("First.", "Second.", "", "Third.")
    for number, answer in enumerate(answers):
        if number:
            assert await store.question_queue.regenerate(1)
        job = await one(store)
        await store.worker_queue.record_messages(job, recorded_pages("5.1"))
        end = End(EndReason.WHOLE, sentence_notice(f"Notice {number}."), "a footer", model="openai/test", effort="fast")
        assert await store.worker_queue.finish(job, end, answer)
    seen = []
    for to_next in (False, False, False, True, True, True):
        await store.recorded_answers.switch_version(job.id, to_next=to_next)
        shown = await store.recorded_answers.answer_of_job(THREAD, job.id)
        assert shown
        seen.append((shown.text, shown.has_previous, shown.has_next))
        assert texts_of(await store.recorded_answers.replies(THREAD)) == {"5.1": shown.text}
        for entry in await store.outbox.claim_due(9):
            assert entry.kind is OutboxKind.REPLY
            to_show = await store.outbox.unshown_end(entry)
            assert to_show
            assert to_show.checkpoint.end
            assert to_show.record
            assert (to_show.checkpoint.text, to_show.checkpoint.end.effort) == (shown.text, "fast")
            notice = f"Notice {('First.', 'Second.', '', 'Third.').index(shown.text)}."
            assert to_show.checkpoint.end.notices == sentence_notice(notice)
            assert (to_show.record.has_previous, to_show.record.has_next) == seen[-1][1:]
            await store.outbox.complete(entry)
    first, second, third = ("First.", False, True), ("Second.", True, True), ("Third.", True, False)
    assert seen == [second, first, first, second, third, third]


async def test_new_version_is_shown_whichever_was_shown_before(store: Stores) -> None:
    await enqueued(store, asked(1))
    for answer in ("First.", "Second."):
        job = await one(store)
        assert await store.worker_queue.finish(job, End(EndReason.WHOLE), answer)
        await store.recorded_answers.switch_version(job.id, to_next=False)
        assert await store.question_queue.regenerate(job.id)
    job = await one(store)
    assert await store.worker_queue.finish(job, End(EndReason.WHOLE), "Third.")
    shown = await store.recorded_answers.answer_of_job(THREAD, job.id)
    assert shown
    assert (shown.text, shown.has_next) == ("Third.", False)
    assert await store.outbox.claim_due(9) == []


async def test_buttons_of_an_answer_act_on_nothing_once_its_question_is_denied(store: Stores) -> None:
    await enqueued(store, asked(1))
    job = await one(store)
    await store.worker_queue.record_messages(job, recorded_pages("5.1"))
    assert await store.worker_queue.finish(job, End(EndReason.WHOLE), "Yes.")
    found = [
        await store.recorded_answers.answer_in_message(THREAD, "5.1"),
        await store.recorded_answers.answer_of_job(THREAD, job.id),
    ]
    assert all(found)
    assert await store.question_queue.regenerate(job.id)
    assert await store.worker_queue.finish(
        await one(store), End(EndReason.DENIED, sentence_notice("Ask your admin.")), ""
    )
    assert await store.recorded_answers.answer_in_message(THREAD, "5.1") is None
    assert await store.recorded_answers.answer_of_job(THREAD, job.id) is None


async def claimed_again(store: Stores, **written: object) -> Wish:
    """Returns the wish of an ended job's next version, whose columns another process has written."""
    async with store.database.engine.begin() as connection:
        await connection.execute(sa.update(jobs).values(status=Status.QUEUED.value, end_reason=None, **written))
    return (await one(store)).wish


async def test_wish_that_a_newer_process_has_written_counts_as_far_as_it_is_known(store: Stores) -> None:
    job = await begun(store)
    assert await store.worker_queue.finish(job, End(EndReason.STEP_LIMIT), "One, t")
    newer = {"effort": "relentless", "continues": True, "tone": "warm"}
    assert await claimed_again(store, version=1, wish=newer) == Wish(continues=True)


async def test_later_prompts_read_which_question_was_answered_and_what_was_said_about_it(store: Stores) -> None:
    note = Note("It is now noon.", OTHERS)
    for number, text in enumerate(("Yes.", "")):
        job = await begun(store, apart(number))
        await store.worker_queue.record_messages(job, recorded_pages("5.1", "5.2"))
        assert await store.worker_queue.finish(job, End(EndReason.WHOLE, model="openai/m", note=note), text)
        replies = await store.recorded_answers.replies(apart(number).thread)
        found = {ts: (reply.question_ts, reply.note) for ts, reply in replies.items()}
        is_kept = {"5.1": (apart(number).ts, note), "5.2": ("", NO_NOTE)}
        assert found == (is_kept if text else {}), "without a text, nothing is left to repeat"


WHOLE_END = End(
    EndReason.LENGTH_LIMIT,
    (Notice(NoticeKind.UNREAD, "Not read."), Notice(NoticeKind.SCHEDULED, "Scheduled.", 3), *sentence_notice("Cut.")),
    "m · searched",
    model="openai/m",
    first_token_s=1.5,
    prompt_version="c0ffee",
    sources=(Citation("https://a.example", "A"), Citation("https://b.example")),
    origins=ASKERS | OTHERS,
    choices=("Staging", "Production"),
    effort="fast",
    note=Note("It is now noon.", OTHERS),
)
"""All that is stored of an end."""


async def test_end_that_another_process_records_is_whole(store: Stores) -> None:
    job = await begun(store)
    await store.worker_queue.release(job, Piece(0, "Yes.", WHOLE_END, WHOLE_END.sources))
    assert (await one(store)).checkpoint == Checkpoint("Yes.", WHOLE_END, WHOLE_END.sources)


@pytest.mark.parametrize("for_outbox", [OutboxKind.REPLY, None], ids=["not shown yet", "shown"])
async def test_end_that_is_shown_later_is_whole(
    timed: Stores, clock: ManualClock, for_outbox: OutboxKind | None
) -> None:
    job = await begun(timed)
    end = WHOLE_END if for_outbox else replace(WHOLE_END, choices=())
    assert await timed.worker_queue.finish(job, end, YES, outbox_kind=for_outbox)
    await timed.participants.record_line(THREAD, "U2", asked(9).ts)
    assert await timed.question_queue.edit(replace(asked(1), text="Why not?"), "9.0")
    clock.now_s += OUTBOX_HOLD_S * 2
    [entry] = await timed.outbox.claim_due(9)
    to_show = await timed.outbox.unshown_end(entry)
    assert to_show is not None
    assert to_show.checkpoint == Checkpoint(YES, end, WHOLE_END.sources)
    assert to_show.record
    record = to_show.record
    assert (record.end, record.undone_notices, record.is_edited) == (end, frozenset({WHOLE_END.notices[1]}), True)


async def test_buttons_find_all_that_is_on_record_of_an_answer(timed: Stores, clock: ManualClock) -> None:
    job = await begun(timed)
    ended = End(EndReason.STEP_LIMIT, model="openai/m", prompt_version="old", sources=(Citation("https://a.example"),))
    assert await timed.worker_queue.finish(job, ended, "First.")
    first_at = clock.now_s
    clock.now_s += 7
    assert await timed.question_queue.regenerate(job.id)
    again = await one(timed)
    growing = AnswerRecord(job.id, asked(1), State.RUNNING, version=1, text="First.", end=ended, ended_at=first_at)
    assert await timed.recorded_answers.answer_of_job(THREAD, job.id) == growing
    messages = (*recorded_pages("5.1", "5.2", version=1), RecordedMessage("5.3", MessageRole.FILE, 1))
    await timed.worker_queue.record_messages(again, messages)
    assert await timed.worker_queue.finish(again, replace(WHOLE_END, reason=EndReason.STOPPED), "Second.")
    newest = replace(
        growing,
        state=State.ENDED,
        messages=messages,
        text="Second.",
        end=replace(WHOLE_END, reason=EndReason.STOPPED),
        ended_at=clock.now_s,
        has_previous=True,
        undone_notices=frozenset({WHOLE_END.notices[1]}),
    )
    assert await timed.recorded_answers.answer_in_message(THREAD, "5.2") == newest
    await timed.recorded_answers.switch_version(job.id, to_next=False)
    before = replace(growing, state=State.ENDED, messages=messages, has_next=True)
    assert await timed.recorded_answers.answer_in_message(THREAD, "5.3") == before
    apart_from_it = {"team_id": "T2"}, {"channel_id": "C2"}, {"thread_ts": "1.5"}
    for elsewhere in (replace(THREAD, **other) for other in apart_from_it):
        assert await timed.recorded_answers.answer_in_message(elsewhere, "5.2") is None
        assert await timed.recorded_answers.answer_of_job(elsewhere, job.id) is None


async def test_answer_that_is_being_written_is_found_by_its_thread_until_the_event_is_handled(store: Stores) -> None:
    async def found(event_id: str = "Ev9", thread: ThreadKey = THREAD) -> int | None:
        answer = await store.recorded_answers.unfinished_answer(thread, event_id)
        return answer.job_id if answer else None

    job_id = await enqueued(store, asked(1))
    assert await found() is None, "nobody has begun it"
    job = await one(store)
    assert (await found(), await found(thread=replace(THREAD, thread_ts="1.5"))) == (job_id, None)
    assert not await store.recorded_answers.is_event_handled("Ev9")
    for _ in range(2):
        await store.recorded_answers.record_handled_event("Ev9")
    assert await store.recorded_answers.is_event_handled("Ev9")
    assert (await found(), await found("Ev8")) == (None, job_id)
    assert await store.recorded_calls.record_step(job, asking_step(), STEPPED, SAID)
    assert await store.recorded_calls.wait_for_decisions(job, None, None, store.clock.now())
    assert await found("Ev8") == job_id, "it waits for a decision"
    assert await store.question_queue.request_stop(job_id)
    assert await store.worker_queue.finish(await one(store), DONE, YES)
    assert await found("Ev8") is None


async def test_only_one_answer_that_is_written_for_a_person_in_a_channel_is_meant(store: Stores) -> None:
    async def found(user_id: str = "U1", place: ThreadKey = THREAD) -> int | None:
        answer = await store.recorded_answers.only_unfinished_answer(user_id, place)
        return answer.job_id if answer else None

    assert await found() is None
    job = await begun(store, asked(1))
    elsewhere = replace(THREAD, thread_ts="1.5")
    assert (await found(), await found(place=elsewhere), await found("U2")) == (job.id, job.id, None)
    assert [await found(place=replace(THREAD, **at)) for at in ({"team_id": "T2"}, {"channel_id": "C2"})] == [None] * 2
    await enqueued(store, asked(2, elsewhere))
    assert await found() == job.id, "nobody has begun the other one"
    other = await one(store)
    assert await found() is None, "it may mean either"
    assert await store.worker_queue.finish(job, DONE, YES)
    assert await found() == other.id


async def test_question_knows_whether_another_was_being_answered_when_it_was_asked(
    timed: Stores, clock: ManualClock
) -> None:
    first, second = asked(1), replace(asked(2), user_id="U2")
    for question in (first, second):
        await enqueued(timed, question)
    clock.now_s += 9
    assert await timed.worker_queue.finish(await one(timed), DONE, YES)
    at = {name: replace(asked(3), ts=f"{clock.now_s + s:.6f}") for name, s in (("during", -1), ("at", 0), ("after", 1))}
    assert [await timed.recorded_answers.was_answer_in_progress(question) for question in at.values()] == [
        True,
        False,
        False,
    ]
    assert not await timed.recorded_answers.was_answer_in_progress(first), "it has none before it"
    assert not await timed.recorded_answers.was_answer_in_progress(
        replace(at["during"], thread=replace(THREAD, thread_ts="1.5"))
    )


async def test_replies_have_what_later_prompts_read_of_them(store: Stores) -> None:
    job = await answered(store)
    second = await begun(store, replace(asked(2), user_id="U2"))
    await store.worker_queue.record_messages(second, (*recorded_pages("6.1", "6.2"), POSTING))
    assert await store.worker_queue.finish(second, replace(DONE, origins=OTHERS, note=Note("Noon.")), "Second.")
    first = RecordedReply(YES, DONE.origins, "U1", asked(1).ts)
    later = RecordedReply("Second.", OTHERS, "U2", asked(2).ts, Note("Noon."))
    assert await store.recorded_answers.replies(THREAD) == {"5.1": first, "6.1": later, "6.2": RecordedReply("")}
    assert await store.recorded_answers.replies(THREAD, asked(2).ts) == {"5.1": first}
    assert await store.recorded_answers.replies(replace(THREAD, thread_ts="1.5")) == {}
    await store.recorded_answers.delete(job.id, "U1")
    assert (await store.recorded_answers.replies(THREAD))["5.1"].text == ""


async def test_feedback_is_the_last_that_a_person_gave_and_its_reason_is_of_a_thumb_down(
    timed: Stores, clock: ManualClock
) -> None:
    job = await answered(timed)
    about = await timed.recorded_answers.answer_of_job(THREAD, job.id)
    assert about is not None

    async def given() -> list[Thumb]:
        async with timed.database.engine.connect() as connection:
            return sorted(await thumbs(connection, 0.0), key=lambda thumb: thumb.value)

    await timed.recorded_answers.record_feedback(about, "U7", -1)
    assert await timed.recorded_answers.record_reason(job.id, "U7", DownReason.WRONG) == "scripted/echo"
    await timed.recorded_answers.record_feedback(about, "U8", 1)
    assert await timed.recorded_answers.record_reason(job.id, "U8", DownReason.WRONG) is None
    assert await timed.recorded_answers.record_reason(job.id, "U9", DownReason.WRONG) is None
    at = clock.now_s
    down, up = Thumb(at, "U1", "C1", "scripted/echo", -1, DownReason.WRONG), Thumb(at, "U1", "C1", "scripted/echo", 1)
    assert await given() == [down, up]
    clock.now_s += 5
    await timed.recorded_answers.record_feedback(about, "U7", -1)
    assert await given() == [replace(down, at=at + 5, reason=None), up], "a new one has no reason yet"


@pytest.mark.parametrize("reason", [EndReason.REFUSED, EndReason.MISALIGNED])
async def test_refused_questions_are_known_as_refused_until_a_version_is_answered(
    store: Stores, reason: EndReason
) -> None:
    for number in (1, 2):
        await enqueued(store, asked(number))
    job = await one(store)
    assert [question.ts for question in job.earlier_questions] == [asked(1).ts]
    await store.worker_queue.record_messages(job, recorded_pages("5.1"))
    assert await store.worker_queue.finish(job, End(reason, model="openai/test"), "First, take")
    reply = (await store.recorded_answers.replies(THREAD))["5.1"]
    assert (reply.text, reply.refused_ts) == ("", frozenset({asked(1).ts, asked(2).ts}))
    asked_again = await store.recorded_answers.replies(THREAD, asked(2).ts)
    assert not any(reply.refused_ts for reply in asked_again.values()), "a person asks for it again"
    assert await store.question_queue.regenerate(job.id)
    assert await store.worker_queue.finish(await one(store), replace(DONE, model="openai/test"), YES)
    reply = (await store.recorded_answers.replies(THREAD))["5.1"]
    assert (reply.text, reply.refused_ts) == (YES, frozenset())


# Where the words that an answer has read come from: another process reads the same.

EACH = [OURS, ASKERS, *(ASKERS | frozenset({origin}) for origin in Origin)]


async def claimed(store: Stores, number: int) -> Job:
    job = await begun(store, apart(number))
    await store.worker_queue.record_messages(job, recorded_pages("5.1"))
    return job


def with_end(reason: EndReason, origins: Origins) -> End:
    return End(reason, model="scripted/echo", origins=origins)


async def read_by_a_later_question(store: Stores, number: int) -> Origins:
    return (await store.recorded_answers.replies(apart(number).thread))["5.1"].origins


async def earlier_answer(first: Stores, second: Stores, number: int, origins: Origins) -> Origins:
    job = await claimed(first, number)
    assert await first.worker_queue.finish(job, with_end(EndReason.WHOLE, origins), "Seen.")
    return await read_by_a_later_question(second, number)


async def regenerated_answer(first: Stores, second: Stores, number: int, origins: Origins) -> Origins:
    job = await claimed(first, number)
    assert await first.worker_queue.finish(job, with_end(EndReason.WHOLE, OURS), "By heart.")
    assert await second.question_queue.regenerate(job.id)
    assert await second.worker_queue.finish(await one(second), with_end(EndReason.WHOLE, origins), "Seen.")
    return await read_by_a_later_question(first, number)


async def continued_answer(first: Stores, second: Stores, number: int, origins: Origins) -> Origins:
    job = await claimed(first, number)
    assert await first.worker_queue.finish(job, with_end(EndReason.STEP_LIMIT, origins), "Seen.")
    assert await second.question_queue.regenerate(job.id, Wish(continues=True))
    return (await one(second)).continued_origins


async def continued_answer_taken_over(first: Stores, second: Stores, number: int, origins: Origins) -> Origins:
    job = await claimed(first, number)
    assert await first.worker_queue.finish(job, with_end(EndReason.STEP_LIMIT, origins), "Seen.")
    assert await first.question_queue.regenerate(job.id, Wish(continues=True))
    assert await first.worker_queue.release(await one(first))
    return (await one(second)).continued_origins


async def step_taken_over(first: Stores, second: Stores, number: int, origins: Origins) -> Origins:
    job, step = await claimed(first, number), replace(asking_step(), origins=origins)
    assert await first.recorded_calls.record_step(job, step, STEPPED, SAID)
    assert await first.worker_queue.release(job)
    [recorded] = (await one(second)).steps
    return recorded.origins


async def end_that_is_shown_after_a_restart(first: Stores, second: Stores, number: int, origins: Origins) -> Origins:
    job = await claimed(first, number)
    assert await first.worker_queue.release(job, Piece(0, "Seen.", with_end(EndReason.WHOLE, origins)))
    end = (await one(second)).checkpoint.end
    return UNKNOWN if end is None else end.origins


Way = Callable[[Stores, Stores, int, Origins], Awaitable[Origins]]
WAYS: list[Way] = [
    earlier_answer,
    regenerated_answer,
    continued_answer,
    continued_answer_taken_over,
    step_taken_over,
    end_that_is_shown_after_a_restart,
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.long(after_row=2)
async def test_origins_of_an_answer_are_on_record_for_other_processes(worker: Process, way: Way) -> None:
    first, second = await worker("w1"), await worker("w2")
    assert [await way(first, second, number, origins) for number, origins in enumerate(EACH, 1)] == EACH


# Choices stand as long as their answer does, for any process, and until one of them is asked.

OFFERED = ("Staging", "Production")
ASKING = replace(DONE, choices=OFFERED)
PAGE = "5.1"


async def offering(store: Stores, end: End = ASKING, **options: OutboxKind) -> Job:
    job = await begun(store)
    await store.worker_queue.record_messages(job, recorded_pages(PAGE))
    assert await store.worker_queue.finish(job, end, YES, outbox_kind=options.get("for_outbox"))
    return job


async def standing(store: Stores) -> tuple[str, ...]:
    answer = await store.recorded_answers.answer_in_message(THREAD, PAGE)
    return picture(answer).choices if answer else ()


async def closing(store: Stores) -> list[OutboxEntry]:
    return [entry for entry in await store.outbox.claim_due(10) if entry.kind is OutboxKind.REPLY]


async def posted(store: Stores) -> None:
    [entry] = await store.outbox.claim_due(10)
    await store.question_queue.enqueue("view", asked(2, text="My choice"), job_id=entry.job_id)
    await store.outbox.complete(entry)


@pytest.mark.long(after_row=1)
async def test_choices_wait_for_any_process_and_are_closed_once_one_is_asked(
    process: Process, clock: ManualClock
) -> None:
    store, other = [await process(worker, clock) for worker in ("w1", "w2")]
    job = await offering(store)
    assert await standing(other) == OFFERED
    about = QuotedMessage("C1", PAGE, "1.0", "", "", offered_by=job.id)
    assert await other.unposted_questions.ask("T1", question_id(job.id, 0), "U2", about, "Staging")
    assert not await store.unposted_questions.ask("T1", question_id(job.id, 0), "U3", about, "Production")
    assert await standing(store) == OFFERED, "nothing is posted yet"
    await posted(other)
    assert await standing(store) == ()
    [entry] = await closing(store)
    to_show = await store.outbox.unshown_end(entry)
    assert to_show is not None
    assert to_show.record is not None
    assert (to_show.checkpoint.text, to_show.record.chosen_choice) == (YES, "Staging")
    await store.outbox.complete(entry)
    assert await standing(store) == ()


async def edited(store: Stores, job: Job) -> None:
    await store.question_queue.edit(replace(job.question, text="Why not?"), "6.0")


async def erased(store: Stores, job: Job) -> None:
    await store.erasure.erase(user_id="U1")


async def deleted(store: Stores, job: Job) -> None:
    await store.recorded_answers.delete(job.id, "U1")


async def expired(store: Stores, job: Job) -> None:
    await store.erasure.expire(store.clock.now() + 1)


async def regenerated(store: Stores, job: Job) -> None:
    await store.question_queue.regenerate(job.id)
    again = await one(store)
    assert again.checkpoint.end is None, "the new version starts over"
    await store.worker_queue.finish(again, DONE, YES)


@pytest.mark.parametrize("taken_away", [edited, erased, deleted, expired, regenerated])
async def test_choices_go_with_their_answer(
    timed: Stores, taken_away: Callable[[Stores, Job], Awaitable[None]]
) -> None:
    job = await offering(timed)
    await taken_away(timed, job)
    assert await standing(timed) == ()


async def test_choice_of_an_earlier_version_takes_none_of_the_newest_away(timed: Stores) -> None:
    """Its post may take minutes, and the asker may have pressed Regenerate meanwhile."""
    job = await offering(timed)
    about = QuotedMessage("C1", PAGE, "1.0", "", "", offered_by=job.id)
    assert await timed.unposted_questions.ask("T1", question_id(job.id, 0), "U2", about, "Staging")
    await timed.question_queue.regenerate(job.id)
    assert await timed.worker_queue.finish(await one(timed), ASKING, YES)
    await posted(timed)
    assert (await standing(timed), await closing(timed)) == (OFFERED, [])


async def test_choices_of_an_end_that_is_shown_later_stand(timed: Stores, clock: ManualClock) -> None:
    await offering(timed, for_outbox=OutboxKind.REPLY)
    clock.now_s += OUTBOX_HOLD_S * 2
    [entry] = await timed.outbox.claim_due(10)
    await timed.outbox.complete(entry)
    assert await standing(timed) == OFFERED


async def test_answer_that_offers_nothing_leaves_nothing_to_close(timed: Stores) -> None:
    job = await offering(timed, DONE)
    await edited(timed, job)
    assert await closing(timed) == []


@pytest.mark.parametrize("for_outbox", [None, OutboxKind.REPLY])
@pytest.mark.parametrize("meanwhile", [None, deleted, erased])
async def test_checkpoints_of_an_answer_go_with_its_end(
    timed: Stores, meanwhile: Callable[[Stores, Job], Awaitable[None]] | None, for_outbox: OutboxKind | None
) -> None:
    job = await begun(timed)
    await timed.worker_queue.checkpoint({job: Piece(0, "Because")})
    if meanwhile is not None:
        await meanwhile(timed, job)
    assert await timed.worker_queue.finish(job, ASKING, YES, outbox_kind=for_outbox)
    assert await count(timed, checkpoints) == 0


CANVAS = AnswerCanvas(0, "F0CANVAS")
LINK = RecordedMessage("6.1", MessageRole.LINK)


async def test_wish_is_an_outbox_entry_for_the_person_who_has_it(store: Stores) -> None:
    job = await answered(store)
    assert await store.answer_canvases.request(job.id, 0, "U7")
    [entry] = await store.outbox.claim_due(10)
    assert (entry.kind, entry.job_id, entry.about) == (OutboxKind.MAKE_CANVAS, job.id, "U7")


async def test_entry_of_a_kind_to_come_waits_for_the_version_that_knows_it_and_holds_back_none(store: Stores) -> None:
    job = await answered(store)
    assert await store.answer_canvases.request(job.id, 0, "U7")
    async with store.database.engine.begin() as connection:
        to_come = {"job_id": job.id, "kind": "a_kind_to_come", "about": "", "due_at": 0.0}
        await connection.execute(outbox_entries.insert().values(to_come))
    assert [entry.kind for entry in await store.outbox.claim_due(10)] == [OutboxKind.MAKE_CANVAS]


@pytest.mark.parametrize("is_stopped", [False, True])
async def test_canvas_that_a_question_asks_for_is_due_once_the_answer_is_on_record(
    store: Stores, is_stopped: bool
) -> None:
    job = await begun(store)
    if is_stopped:
        await store.question_queue.request_stop(job.id)
    await store.worker_queue.finish(job, DONE, YES, canvas_for="U1")
    entries = [(entry.kind, entry.about) for entry in await store.outbox.claim_due(10)]
    assert entries == ([] if is_stopped else [(OutboxKind.MAKE_CANVAS, "U1")])


async def test_wishes_of_several_processes_are_one(worker: Process) -> None:
    store, other = await worker("w1"), await worker("w2")
    job = await answered(store)
    wishes = [each.answer_canvases.request(job.id, 0, user) for each in (store, other) for user in ("U7", "U8", "U9")]
    assert all(await asyncio.gather(*wishes))
    assert len(await store.outbox.claim_due(10)) == 1


async def test_canvas_with_a_link_is_not_made_again_and_one_without_is_completed(store: Stores) -> None:
    job = await answered(store)
    assert await store.answer_canvases.record(job.id, CANVAS)
    assert not await store.answer_canvases.record(job.id, AnswerCanvas(0, "F0OTHER"))
    assert await store.answer_canvases.request(job.id, 0, "U7")
    [entry] = await store.outbox.claim_due(10)
    assert await store.outbox.record_posting(entry, replace(LINK, ts=""))
    assert await store.answer_canvases.request(job.id, 0, "U7"), "it may not be posted"
    await store.outbox.record_posted(entry, LINK)
    assert not await store.answer_canvases.request(job.id, 0, "U7")
    assert await store.answer_canvases.request(job.id, 1, "U7")
    assert await store.answer_canvases.of_job(job.id) == [CANVAS]
    await store.answer_canvases.forget(job.id, 0)
    assert await store.answer_canvases.of_job(job.id) == []


async def test_link_that_is_posted_while_its_answer_is_deleted_is_deleted_once_that_is_heard_of(store: Stores) -> None:
    job = await answered(store)
    assert await store.answer_canvases.request(job.id, 0, "U7")
    [entry] = await store.outbox.claim_due(10)
    await store.recorded_answers.delete(job.id, "U1")
    await store.outbox.record_posted(entry, LINK)
    await store.outbox.complete(entry)
    left = {entry.kind: entry.outdated_messages for entry in await store.outbox.claim_due(10)}
    assert left[OutboxKind.SIDE_MESSAGES] == (LINK,)


async def test_canvas_that_is_made_takes_no_mention_that_is_due_from_the_asker(store: Stores) -> None:
    job = await begun(store)
    assert await store.worker_queue.finish(job, DONE, YES, should_mention=True, canvas_for="U1")
    by_kind = {entry.kind: entry for entry in await store.outbox.claim_due(10)}
    await store.outbox.complete(by_kind[OutboxKind.MAKE_CANVAS])
    await store.outbox.postpone(by_kind[OutboxKind.SIDE_MESSAGES], 0.0)
    [entry] = await store.outbox.claim_due(10)
    assert entry.kind is OutboxKind.SIDE_MESSAGES
    assert entry.mention_due_at == by_kind[OutboxKind.SIDE_MESSAGES].mention_due_at is not None


async def test_links_message_is_known_as_no_answer(store: Stores) -> None:
    job = await answered(store)
    assert await store.answer_canvases.request(job.id, 0, "U7")
    [entry] = await store.outbox.claim_due(10)
    await store.outbox.record_posted(entry, LINK)
    assert texts_of(await store.recorded_answers.replies(THREAD)) == {"5.1": "**Yes.**", "6.1": ""}


@pytest.mark.parametrize("is_erased", [True, False])
async def test_canvas_of_an_answer_that_was_deleted_or_erased_is_not_recorded(store: Stores, is_erased: bool) -> None:
    job = await answered(store)
    await (store.erasure.erase() if is_erased else store.recorded_answers.delete(job.id, "U1"))
    assert not await store.answer_canvases.record(job.id, CANVAS)
    assert not is_erased or not await store.answer_canvases.request(job.id, 0, "U7")


async def test_erasure_removes_the_asker_with_the_canvas_and_another_who_wants_it(store: Stores) -> None:
    job = await answered(store)
    await store.answer_canvases.record(job.id, CANVAS)
    await store.answer_canvases.request(job.id, 1, "U7")
    await store.erasure.erase(user_id="U7")
    assert (await count(store, canvases), await count(store, outbox_entries)) == (1, 0)
    await store.erasure.erase(user_id="U1")
    assert await count(store, canvases) == 0


HEARD = End(EndReason.TRANSCRIBED, model="openai/gpt-transcribe", usage=Usage(audio_s=60.0))
CLIP = File("F1", "clip.m4a", user_id="U1", transcript="nul \0 half \ud800 𝄞")
WORDS = {CLIP.id: CLIP.transcript}


async def used_usd(opened: Stores, *records: Sequence[File]) -> float:
    store = Stores(opened.database.engine, "w1", opened.clock, prices=ModelPrices())
    job = await begun(store)
    for record in records:
        assert await store.transcripts.record(job, record, HEARD)
    month = CapWindow(Scope.USER, Period.MONTH)
    used = await store.usage.usage_by_window(ScopeIds("T1", job.question.user_id, "C1"), [month])
    return used[month].cost_usd


async def test_next_attempt_and_later_questions_have_the_transcripts(store: Stores) -> None:
    job = await begun(store)
    assert job.transcripts == {}
    assert await store.transcripts.record(job, [CLIP])
    assert await store.transcripts.record(
        job, [replace(CLIP, transcript="other words"), replace(CLIP, id="F2", transcript="")]
    )
    assert await store.worker_queue.release(job)
    assert (await one(store)).transcripts == {**WORDS, "F2": ""}
    assert await store.transcripts.of_thread(THREAD) == {**WORDS, "F2": ""}
    assert await store.transcripts.of_thread(ThreadKey("T1", "C9", "1.0")) == {}


async def test_transcription_counts_once_even_if_its_commit_was_not_heard_of(store: Stores) -> None:
    assert await used_usd(store, [CLIP], [CLIP]) == pytest.approx(0.0045)


async def test_transcription_that_failed_counts_as_well(store: Stores) -> None:
    assert await used_usd(store, [], [CLIP]) == pytest.approx(0.009)


@pytest.mark.parametrize("is_deleted", [True, False], ids=["deletion", "retention"])
async def test_transcripts_go_with_the_questions_words(store: Stores, is_deleted: bool) -> None:
    job = await begun(store)
    await store.transcripts.record(job, [CLIP])
    await store.worker_queue.finish(job, DONE, "Friday.")
    if is_deleted:
        assert await store.question_queue.delete("T1", "C1", job.question.ts)
    else:
        await store.erasure.expire(before=4e9)
    async with store.database.begin_read() as connection:
        assert (await connection.execute(sa.select(jobs.c.transcripts))).scalars().all() == [{}]


async def test_nothing_is_kept_of_a_question_that_was_deleted_meanwhile(store: Stores) -> None:
    job = await begun(store)
    assert await store.question_queue.delete("T1", "C1", job.question.ts)
    assert await store.transcripts.record(job, [CLIP], HEARD)
    assert await store.transcripts.of_thread(THREAD) == {}


async def test_erased_persons_words_go_from_others_questions(store: Stores) -> None:
    job = await begun(store)
    assert await store.transcripts.record(job, [replace(CLIP, user_id="U9")])
    await store.erasure.erase(user_id="U99")
    assert await store.transcripts.of_thread(THREAD) == WORDS
    await store.erasure.erase(user_id="U9")
    assert await store.transcripts.of_thread(THREAD) == {}


def test_stored_end_can_be_read_by_versions_that_know_fewer_or_more_fields() -> None:
    scheduled = replace(DONE, notices=(Notice(NoticeKind.SCHEDULED, "Scheduled.", 3),), usage=None, origins=OTHERS)
    stored = end_values(scheduled)
    assert end_of({**stored, "of_a_newer_version": 1}, ()) == scheduled
    assert end_of({**stored, "notices": [["of_a_newer_version", "Scheduled.", 0]]}, ()).notices == sentence_notice(
        "Scheduled."
    )
    assert end_values(End(EndReason.WHOLE)).keys() == {"reason", "origins", "choices"}
