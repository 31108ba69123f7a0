"""Messages, their edits and deletions, on their way to the queue, with a real database."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import sqlalchemy as sa

from bot.core import texts
from bot.core.access import UserKind
from bot.core.channel_settings import ChannelSettings
from bot.core.conversation import File, Message, Question, ThreadKey
from bot.core.job import End, StepEstimate
from bot.core.outbox import MAX_TRIES, OutboxKind
from bot.core.triage import Engagement
from bot.errors import EndReason, RateLimited
from bot.services.engagement import QuietPress
from bot.services.intake import THANKS_REACTION, SharedTokens
from bot.store import Stores
from bot.store.schema import outbox_entries
from tests.clocks import idle
from tests.services.answering import QUESTION
from tests.services.intake import IntakeStage, SureGate, queued

MENTION = Message("T1", "C1", "1.000100", "<@UBOT> why?", user_id="U1")


@pytest.fixture
def stage(stores: Stores) -> IntakeStage:
    return IntakeStage(stores)


async def test_token_for_a_search_is_kept_before_any_worker_can_claim_the_question(stage: IntakeStage) -> None:
    await stage.intake.receive("Ev1", MENTION, "a token")
    assert (stage.tokens.kept, await queued(stage.stores)) == ([("a token", 0)], 1)


async def test_denied_question_leaves_no_token(stage: IntakeStage) -> None:
    stage.accounts.kind_of_all = UserKind.GUEST
    await stage.intake.receive("Ev1", MENTION, "a token")
    assert (stage.tokens.kept, await queued(stage.stores)) == ([], 0)


async def test_denied_question_is_a_line_of_its_thread(stage: IntakeStage) -> None:
    """What somebody writes next may be spoken to its writer."""
    reply = replace(MENTION, thread_ts=MENTION.ts)
    await stage.intake.receive("Ev1", MENTION)
    await stage.intake.receive("Ev2", replace(reply, ts="2.0", text="I know", user_id="U2"))
    stage.accounts.kind_of_all = UserKind.GUEST
    await stage.intake.receive("Ev3", replace(reply, ts="3.0", user_id="U3"))
    seen = await stage.stores.participants.participants_at(reply.thread, "U1", "4.0")
    assert [line.writer_id for line in seen.lines] == ["U1", "", "U2", "U3"]


@pytest.mark.parametrize(
    ("before", "after", "asked"),
    [
        ("why?", "<@UBOT> why?", 1),
        ("<@UBOT> why?", "<@UBOT> why?", 0),
        ("<@UBOT> why?", "<@UBOT> why not?", 0),
        ("<@UBOT> why?", "why?", 0),
    ],
    ids=["added mention", "same words", "other words", "removed mention"],
)
async def test_edit_asks_only_if_it_adds_the_mention(stage: IntakeStage, before: str, after: str, asked: int) -> None:
    """The message is no question so far, for example because its asker was denied then."""
    await stage.edits.on_message_edited("Ev1", replace(MENTION, text=before), replace(MENTION, text=after), "2.0")
    assert await queued(stage.stores) == asked


@pytest.mark.parametrize(
    ("other", "needs_mention"),
    [
        (Message("T1", "C1", "2.0", "I know", thread_ts="1.000100", user_id="U2"), True),
        (Message("T1", "C1", "2.0", "", thread_ts="1.000100", user_id="U2", subtype="channel_join"), False),
        (Message("T1", "C1", "2.0", "Built.", thread_ts="1.000100", user_id="UCI", bot_id="BCI"), False),
    ],
    ids=["a person", "a person who joined", "an app"],
)
async def test_only_what_people_write_makes_them_participants(
    stage: IntakeStage, other: Message, needs_mention: bool
) -> None:
    await stage.intake.receive("Ev1", MENTION)
    await stage.intake.receive("Ev2", other)
    await stage.intake.receive("Ev3", replace(MENTION, ts="3.0", thread_ts="1.000100", text="and then?"))
    assert await queued(stage.stores) == (1 if needs_mention else 2)


ASKED = "1.000100"


@pytest.mark.parametrize(
    ("engagement", "gate", "has_model", "sentence"),
    [
        (Engagement.FOLLOW_UPS, True, True, texts.access.SOMEBODY_JOINED_IN_DOUBT),
        (Engagement.FOLLOW_UPS, True, False, texts.access.SOMEBODY_JOINED[Engagement.FOLLOW_UPS]),
        (Engagement.FOLLOW_UPS, False, True, texts.access.SOMEBODY_JOINED[Engagement.FOLLOW_UPS]),
        (Engagement.EVERYONE, True, True, texts.access.SOMEBODY_JOINED[Engagement.EVERYONE]),
    ],
)
async def test_starter_reads_when_somebody_joins_whether_a_model_decides_in_doubt(
    stage: IntakeStage, engagement: Engagement, gate: bool, has_model: bool, sentence: str
) -> None:
    stage = stage if has_model else IntakeStage(stage.stores, gate=None)
    await stage.stores.channel_settings.write("T1", "C1", ChannelSettings(engagement=engagement, gate=gate))
    await stage.intake.receive("Ev1", MENTION)
    await stage.intake.receive("Ev2", Message("T1", "C1", "2.0", "I know", thread_ts=ASKED, user_id="U2"))
    await idle()
    assert stage.accounts.sentences == [sentence]


@pytest.mark.parametrize(
    ("user_id", "sentence", "quiet"),
    [
        ("U1", texts.access.QUIET_NOW, True),
        ("UADMIN", texts.access.QUIET_NOW, True),
        ("U2", texts.access.with_admins(texts.access.NOT_YOUR_THREAD, ["<@UADMIN>"]), False),
    ],
)
async def test_button_quiets_a_thread_for_its_starter_and_admins(
    stage: IntakeStage, user_id: str, sentence: str, quiet: bool
) -> None:
    """A press can be forged, so it doesn't matter who saw the button."""
    await stage.intake.receive("Ev1", MENTION)
    thread = ThreadKey("T1", "C1", ASKED)
    await stage.quiet.on_press(QuietPress(thread, user_id, "2.000000", "https://hooks.example/1"))
    assert [response.sentence for response in stage.surfaces.responses] == [sentence]
    assert (await stage.stores.participants.participants_at(thread, "U1", "3.000000")).is_quiet is quiet


async def test_press_is_answered_while_the_database_is_away(stage: IntakeStage) -> None:
    await stage.stores.database.engine.dispose()
    async with stage.stores.database.engine.begin() as connection:
        await connection.execute(sa.text("DROP TABLE IF EXISTS quiet_threads"))
        await connection.execute(sa.text("DROP TABLE IF EXISTS jobs"))
    await stage.quiet.on_press(QuietPress(ThreadKey("T1", "C1", ASKED), "U1", "2.0", "https://hooks.example/1"))
    assert [response.sentence for response in stage.surfaces.responses] == [texts.actions.ACTION_FAILED]


THANKS = [("3.0", THANKS_REACTION)]


@pytest.mark.parametrize(
    ("answer", "text", "changes", "asked", "reactions"),
    [
        ("Because.", "thank you!", {}, 1, THANKS),
        ("Because.", "<@UBOT> thanks", {}, 1, THANKS),
        ("Because.", "ok :+1:", {}, 1, []),
        ("Because.", "thanks <@U2>", {}, 1, []),
        ("Because.", "thanks, and how?", {}, 2, []),
        ("Because.", "thanks", {"files": (File("F1", "a.png"),)}, 2, []),
        ("Because.", "<@UBOT> thanks", {"thread_ts": None}, 2, []),
        ("Because.", "<@UBOT> thanks", {"thread_ts": "0.5"}, 2, []),
        ("Because.", "awesome, staging is green", {}, 2, []),
        ("Shall I?", "ok", {}, 2, []),
        ("Shall I?", "no thanks", {}, 1, THANKS),
        (None, "thanks", {}, 1, THANKS),
        (None, "ok", {}, 1, []),
    ],
)
async def test_closing_of_a_thread_gets_no_answer(
    stage: IntakeStage,
    answer: str | None,
    text: str,
    changes: dict[str, Any],
    asked: int,
    reactions: list[tuple[str, str]],
) -> None:
    await stage.intake.receive("Ev1", MENTION)
    if answer is not None:
        [job] = await stage.stores.worker_queue.claim(1)
        await stage.stores.worker_queue.finish(job, End(EndReason.WHOLE), answer)
    message = Message("T1", "C1", "3.0", text, thread_ts=ASKED, user_id="U1")
    await stage.intake.receive("Ev2", replace(message, **changes))
    await idle()
    assert (await queued(stage.stores), stage.surfaces.reactions) == (asked, reactions)


@pytest.mark.parametrize(("gate", "has_model", "asked"), [(True, True, 1), (True, False, 2), (False, True, 2)])
async def test_model_decides_about_a_closing_in_doubt(
    stage: IntakeStage, gate: bool, has_model: bool, asked: int
) -> None:
    stage = stage if has_model else IntakeStage(stage.stores, gate=None)
    await stage.stores.channel_settings.write("T1", "C1", ChannelSettings(gate=gate))
    await stage.intake.receive("Ev1", MENTION)
    doubtful = Message("T1", "C1", "3.0", "awesome, staging is green", thread_ts=ASKED, user_id="U1")
    await stage.intake.receive("Ev2", doubtful)
    await idle()
    assert await queued(stage.stores) == asked


@pytest.mark.parametrize("error", [TimeoutError(), RateLimited("m", 1.0)])
async def test_closing_in_doubt_is_answered_if_the_model_cannot_decide(stage: IntakeStage, error: Exception) -> None:
    class Failing(SureGate):
        async def is_closing(self, question: Question) -> bool:
            raise error

    stage = IntakeStage(stage.stores, gate=Failing())
    await stage.stores.channel_settings.write("T1", "C1", ChannelSettings(gate=True))
    await stage.intake.receive("Ev1", MENTION)
    await stage.intake.receive("Ev2", replace(MENTION, ts="3.0", text="awesome, staging is green", thread_ts=ASKED))
    await idle()
    assert await queued(stage.stores) == 2


async def test_closing_is_no_line_between_an_answer_and_a_follow_up(stage: IntakeStage) -> None:
    await stage.intake.receive("Ev1", MENTION)
    await stage.intake.receive("Ev2", Message("T1", "C1", "2.0", "I know", thread_ts=ASKED, user_id="U2"))
    for number, text in enumerate(("<@UBOT> and then?", "thanks", "how long?"), start=3):
        await stage.intake.receive(f"Ev{number}", replace(MENTION, ts=f"{number}.0", text=text, thread_ts=ASKED))
    assert await queued(stage.stores) == 3


async def test_closing_that_is_edited_into_a_question_is_answered(stage: IntakeStage) -> None:
    await stage.intake.receive("Ev1", MENTION)
    thanks = replace(MENTION, ts="3.0", text="thanks", thread_ts=ASKED)
    await stage.intake.receive("Ev2", thanks)
    await stage.edits.on_message_edited("Ev3", thanks, replace(thanks, text="thanks!"), "4.0")
    assert await queued(stage.stores) == 1
    await stage.edits.on_message_edited("Ev4", thanks, replace(thanks, text="thanks, and how?"), "5.0")
    assert await queued(stage.stores) == 2


@pytest.mark.parametrize(
    ("text", "changes", "asked"),
    [
        ("stay quiet", {}, 1),
        ("<@UBOT> please stay quiet.", {}, 1),
        ("be quiet in this thread please", {}, 1),
        ("ok, keep quiet here. Thanks!", {}, 1),
        ("<@UBOT> stay quiet about that", {}, 2),
        ("Stay quiet!", {"user_id": "U2"}, 1),
        ("<@UBOT> stay quiet", {"thread_ts": "0.5"}, 2),
    ],
    ids=["words", "mention", "other verb", "courtesy", "other words", "another person", "a thread without us"],
)
async def test_only_the_very_words_in_a_thread_of_ours_are_no_question(
    stage: IntakeStage, text: str, changes: dict[str, Any], asked: int
) -> None:
    await stage.intake.receive("Ev1", MENTION)
    await stage.intake.receive("Ev2", replace(MENTION, ts="3.000000", text=text, **{"thread_ts": ASKED, **changes}))
    assert await queued(stage.stores) == asked


async def test_message_with_two_events_is_not_a_question_and_then_a_command(stage: IntakeStage) -> None:
    """Slack sends two events for a mention. By the second one, the bot takes part in the thread."""
    message = replace(MENTION, text="<@UBOT> stay quiet", thread_ts="0.500000")
    for event_id in ("Ev1", "Ev2"):
        await stage.intake.receive(event_id, message)
    assert await queued(stage.stores) == 1
    later = await stage.stores.participants.participants_at(message.thread, "U1", "9.000000")
    assert later.has_bot
    assert not later.is_quiet


async def test_stop_that_finds_nothing_to_stop_does_not_stop_its_own_answer(stage: IntakeStage) -> None:
    """By the second event of the mention, the first one's question is being answered."""
    message = replace(MENTION, text="<@UBOT> stop", thread_ts="0.500000")
    await stage.intake.receive("Ev1", message)
    [job] = await stage.stores.worker_queue.claim(1)
    await stage.intake.receive("Ev2", message)
    assert (await stage.stores.worker_queue.heartbeat({job: StepEstimate()})).ids_to_stop == frozenset()


@pytest.mark.parametrize(
    ("text", "stops"), [("<@UBOT> stop", True), ("stop", False), ("<@UBOT> stop the deploy", False)]
)
async def test_stop_outside_of_threads_needs_a_mention_and_nothing_else(
    stage: IntakeStage, text: str, stops: bool
) -> None:
    await stage.intake.receive("Ev1", MENTION)
    [job] = await stage.stores.worker_queue.claim(1)
    for event_id in ("Ev2", "Ev3"):
        await stage.intake.receive(event_id, replace(MENTION, ts="3.000000", text=text))
    assert (await stage.stores.worker_queue.heartbeat({job: StepEstimate()})).ids_to_stop == (
        {job.id} if stops else set()
    )
    assert (await queued(stage.stores) == 2) is ("deploy" in text)


@pytest.mark.parametrize("subtype", ["channel_unarchive", "group_unarchive"])
async def test_outbox_goes_on_in_a_channel_that_was_unarchived(stage: IntakeStage, subtype: str) -> None:
    await stage.intake.receive("Ev1", MENTION)
    [job] = await stage.stores.worker_queue.claim(1)
    end = End(EndReason.SHUT_OUT)
    await stage.stores.worker_queue.finish(job, end, "Half", outbox_kind=OutboxKind.REPLY)
    async with stage.stores.database.engine.begin() as connection:
        await connection.execute(sa.update(outbox_entries).values(tries=MAX_TRIES, due_at=0.0))
    notice = replace(MENTION, ts="3.000000", text="<@U2> un-archived the channel", subtype=subtype)
    await stage.intake.receive("Ev2", replace(notice, channel_id="C2"))
    assert await stage.stores.outbox.claim_due(9) == []
    await stage.intake.receive("Ev3", notice)
    assert [entry.job_id for entry in await stage.stores.outbox.claim_due(9)] == [job.id]
    assert await queued(stage.stores) == 1


@dataclass
class Process:
    """One process: what it keeps, what it tells the others, and what it does with what they tell."""

    kept: list[tuple[str, ...]] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    heard: Callable[[str], None] = field(init=False)

    def __post_init__(self) -> None:
        both: Any = self
        self.shared = SharedTokens(both, both)

    def keep_token(self, *named: str) -> None:
        self.kept.append(named)

    async def send(self, text: str) -> None:
        self.told.append(text)

    def on_message(self, heard: Callable[[str], None]) -> None:
        self.heard = heard


async def test_token_is_kept_in_all_processes_and_words_of_a_later_version_are_ignored() -> None:
    one, other = Process(), Process()
    await one.shared.keep(QUESTION, "a token")
    for text in ('["of a later version", 1]', *one.told):
        other.heard(text)
    assert one.kept == other.kept == [("C1", QUESTION.ts, "a token")]
    assert other.told == []
