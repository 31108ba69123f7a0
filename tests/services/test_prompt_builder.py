"""What a prompt is built of: what Slack shows, what is on record, and what the channel has set.

While the database is away, a part is read four times, then the prompt does without it.
"""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from bot.core.channel_settings import ChannelSettings
from bot.core.conversation import Message, Question, RecordedReply, ThreadKey
from bot.core.job import Checkpoint, Job, Wish
from bot.core.memory import Memory
from bot.errors import StoreError
from bot.models.prompt import OTHERS, OURS, Effort, Offered, Origins, TokenEstimate, WebSearch
from bot.reply.answer import Answer
from bot.services.answer_attempt import BuiltPrompt
from bot.services.prompt_builder import RESTART_WITHIN_S, PromptBuilder, PromptSettings
from bot.services.transcripts import Transcription
from tests.clocks import InstantClock
from tests.core.conversations import recorded_pages
from tests.services.parts import ME, stores_of, workspace_of

BARE = Question(ThreadKey("T1", "C1", "1.0"), "1.0", "U1", f"<@{ME.user_id}>")


@dataclass
class Away:
    """The settings of a channel that lets nobody read it, in a database that is away for some reads."""

    failures: int
    reads: int = 0

    async def read(self, team_id: str, channel_id: str) -> ChannelSettings:
        self.reads += 1
        if self.reads <= self.failures:
            raise StoreError("away")
        return ChannelSettings(read_channel=False)


@pytest.mark.parametrize(
    ("failures", "reads", "as_set"), [(0, 1, True), (1, 2, True), (3, 4, True), (4, 4, False)], ids=str
)
async def test_settings_are_read_four_times_before_the_prompt_does_without(
    failures: int, reads: int, as_set: bool
) -> None:
    away, nobody = Away(failures), Any
    stores = stores_of(channel_settings=away, clock=InstantClock())
    settings = PromptSettings("", 8_000, reads_channel=True)
    transcription = Transcription(stores, None, nobody)  # type: ignore[arg-type]
    builder = PromptBuilder(stores, workspace_of(), settings, TokenEstimate(("openai/m",)), transcription)
    assert await builder.reads_posts_before(BARE) is not as_set
    assert away.reads == reads


ROOT, TS, NEXT = "1000.000100", "2000.000200", "3000.000300"
THREAD = ThreadKey("T1", "C1", ROOT)
QUESTION = Question(THREAD, TS, "UADA", "And why?")
JOB = Job(1, QUESTION, 1, asked_at=float(TS))
ASKED = Message("T1", "C1", TS, "And why?", thread_ts=ROOT, user_id="UADA")
MEMORY = Memory(1, 1, "We deploy on Tuesdays.", "UBEN", ROOT, ROOT, "", False, False, 1_763_640_000.0)
NOBODY: Any = None


@dataclass
class Place:
    """A thread in Slack and in the database, with its channel."""

    shown: Sequence[Message] = (ASKED,)
    replies_: Mapping[str, RecordedReply] = field(default_factory=dict)
    settings: ChannelSettings = field(default_factory=ChannelSettings)
    memories: Sequence[Memory] = ()
    is_private_: bool | None = False
    error: StoreError | None = None
    edits: list[tuple[Question, str]] = field(default_factory=list)
    groups: list[tuple[ThreadKey, str, str | None]] = field(default_factory=list)
    clock: InstantClock = field(default_factory=lambda: InstantClock(float(TS)))
    may_write = False

    async def messages(self, question: Question) -> Sequence[Message]:
        return self.shown

    async def replies(self, thread: ThreadKey, before_ts: str) -> Mapping[str, RecordedReply]:
        assert (thread, before_ts) == (THREAD, TS)
        return self.replies_

    async def read(self, team_id: str, channel_id: str) -> ChannelSettings:
        assert (team_id, channel_id) == ("T1", "C1")
        return self.settings

    async def of(self, place: tuple[str, str]) -> Sequence[Memory]:
        assert place == ("T1", "C1")
        return self.memories

    async def is_private(self, channel_id: str) -> bool | None:
        return self.is_private_

    async def names(self, ids: Sequence[str], *, in_channel: str) -> Mapping[str, str]:
        return {id_: id_.removeprefix("U").title() for id_ in ids}

    def zones(self, ids: Sequence[str]) -> Mapping[str, Any]:
        return {}

    async def mark_group(self, thread: ThreadKey, since_ts: str, starter: str | None) -> None:
        if self.error:
            raise self.error
        self.groups.append((thread, since_ts, starter))

    async def edit(self, question: Question, edited_ts: str) -> None:
        if self.error:
            raise self.error
        self.edits.append((question, edited_ts))

    def builder(self, **settings: Any) -> PromptBuilder:
        parts = ("channel_settings", "recorded_answers", "memories", "participants", "question_queue", "schedules")
        stores = stores_of(clock=self.clock, **dict.fromkeys(parts, self))
        workspace = workspace_of(history=self, users=self, canvases=self)
        transcription = Transcription(stores, None, NOBODY)
        of_all = PromptSettings("You are a colleague.", 8_000, **settings)
        return PromptBuilder(stores, workspace, of_all, TokenEstimate(("openai/m",)), transcription)

    async def built(self, job: Job = JOB, **settings: Any) -> BuiltPrompt:
        async with AsyncExitStack() as memory:
            return await self.builder(**settings).build(Answer(job), memory, Offered(), lambda _: None)


def said_in(built: BuiltPrompt) -> str:
    return "\n".join(turn.text for turn in built.prompt.turns)


def ours(ts: str, text: str) -> Message:
    return Message("T1", "C1", ts, text, thread_ts=ROOT, user_id=ME.user_id, bot_id=ME.bot_id)


@pytest.mark.parametrize("is_on_record", [True, False])
async def test_new_version_reads_earlier_answers_as_recorded_and_no_earlier_version_of_its_own(
    is_on_record: bool,
) -> None:
    earlier, own = "1500.000100", "2500.000100"
    first = replace(ASKED, ts=ROOT, text="Why?")
    recorded = {earlier: RecordedReply("As recorded.", OURS, "UADA", ROOT), own: RecordedReply("Its first version.")}
    shown = [first, ours(earlier, "Shown."), ASKED, ours(own, "Its first version.")]
    place = Place(shown, recorded if is_on_record else {})
    said = said_in(await place.built(replace(JOB, version=1, messages=recorded_pages(own))))
    assert ("As recorded." in said, "Shown." in said) == (is_on_record, not is_on_record)
    assert "first version" not in said


@pytest.mark.parametrize(
    ("channel", "wish", "has_search", "effort", "model"),
    [
        (ChannelSettings(), Wish(), True, Effort.NORMAL, None),
        (ChannelSettings("openai/o", web_search=True, effort=Effort.FAST), Wish(), True, Effort.FAST, "openai/o"),
        (ChannelSettings(web_search=False), Wish(effort=Effort.THOROUGH), False, Effort.THOROUGH, None),
        (ChannelSettings(effort=Effort.FAST), Wish(effort=Effort.THOROUGH), True, Effort.THOROUGH, None),
    ],
)
async def test_channel_chooses_model_search_and_effort_but_for_what_the_asker_wished(
    channel: ChannelSettings, wish: Wish, has_search: bool, effort: Effort, model: str | None
) -> None:
    search = WebSearch()
    built = await Place(settings=channel).built(replace(JOB, wish=wish), web_search=search)
    assert built.prompt.web_search is (search if has_search else None)
    assert (built.prompt.effort, built.model) == (effort, model)


@pytest.mark.parametrize(
    ("own", "system", "origins"),
    [("", "You are a colleague.", OURS), ("Rhyme.", "Rhyme.", OTHERS)],
)
async def test_instructions_of_a_channel_are_others_words(own: str, system: str, origins: Origins) -> None:
    built = await Place(settings=ChannelSettings(system_prompt=own)).built()
    assert (built.prompt.system.startswith(system), built.prompt.system_origins) == (True, origins)


@pytest.mark.parametrize(
    ("is_private", "is_read"),
    [(False, True), (True, False), (None, False)],
    ids=["as said", "other readers", "unknown"],
)
async def test_memories_are_read_where_their_readers_are_those_they_were_told_to(
    is_private: bool | None, is_read: bool
) -> None:
    built = await Place(memories=[MEMORY], is_private_=is_private).built()
    assert ("1. Ben (2025-11-20): We deploy on Tuesdays." in said_in(built)) is is_read
    assert built.memories == int(is_read)


@pytest.mark.parametrize(
    ("shown", "is_edit"),
    [
        (ASKED, False),
        (replace(ASKED, edited_ts=NEXT), False),
        (replace(ASKED, edited_ts=NEXT, attached="A preview"), False),
        (replace(ASKED, text="And who?"), False),
        (replace(ASKED, edited_ts=NEXT, text="And who?"), True),
        (replace(ASKED, edited_ts=NEXT, text="And why? Now!"), True),
        (replace(ASKED, edited_ts=NEXT, text="And who?", attached="A preview"), True),
        (replace(ASKED, edited_ts=NEXT, text="And who?", ts=NEXT), False),
    ],
    ids=["as asked", "the same words", "a preview", "no edit", "other words", "more words", "both", "another message"],
)
@pytest.mark.parametrize(
    ("left", "error"),
    [("Because. " * 99, None), ("Because. " * 99, StoreError("away")), ("", None)],
    ids=["goes on", "away", "begins"],
)
async def test_answer_to_other_words_waits_for_its_restart_once_the_edit_is_on_record(
    shown: Message, is_edit: bool, left: str, error: StoreError | None
) -> None:
    place = Place([shown], error=error)
    await place.built(replace(JOB, checkpoint=Checkpoint(left)))
    is_recorded = is_edit and left != "" and error is None
    edited = replace(QUESTION, text=shown.whole, attached_chars=shown.attached_chars)
    assert place.edits == ([(edited, NEXT)] if is_recorded else [])
    assert place.clock.sleeps == ([RESTART_WITHIN_S] if is_recorded else [])


@pytest.mark.parametrize(
    ("messages", "group"),
    [
        ([ASKED], None),
        ([replace(ASKED, ts=ROOT), ASKED], None),
        ([replace(ASKED, ts=ROOT, user_id="UBEN"), ASKED], (THREAD, TS, "UBEN")),
        ([replace(ASKED, ts=ROOT), replace(ASKED, ts="1500.0", user_id="UBEN"), ASKED], (THREAD, "1500.0", "UADA")),
        ([replace(ASKED, ts=ROOT, user_id="UAPP", bot_id="B9"), ASKED], None),
        (
            [replace(ASKED, ts=ROOT, user_id="UAPP", bot_id="B9"), replace(ASKED, ts="1500.0", user_id="UBEN"), ASKED],
            (THREAD, TS, None),
        ),
    ],
    ids=["alone", "the asker began it", "another began it", "another joined", "an app began it", "two below an app"],
)
async def test_thread_of_several_people_is_on_record_with_who_began_it(
    messages: Sequence[Message], group: tuple[ThreadKey, str, str | None] | None
) -> None:
    place = Place(messages)
    assert "And why?" in said_in(await place.built())
    assert place.groups == ([group] if group else [])
    assert "And why?" in said_in(await Place(messages, error=StoreError("away")).built())


@pytest.mark.parametrize(
    ("window_tokens", "known_tokens", "has_results", "is_shorter"),
    [
        (None, None, True, False),
        (10_666, None, False, True),
        (10_667, None, False, False),
        (10_667, None, True, True),
        (10_666, 10_666, True, False),
        (10_667, 10_666, True, False),
        (10_000, 10_666, False, True),
        (100_000, 50_000, True, False),
        (50_000, 100_000, False, False),
        (50_000, 100_000, True, True),
    ],
)
def test_prompt_is_shorter_for_a_window_that_leaves_less_room_than_the_one_that_is_known(
    window_tokens: int | None, known_tokens: int | None, has_results: bool, is_shorter: bool
) -> None:
    builder = Place().builder()
    builder.estimate.window_tokens = known_tokens
    assert builder.is_shorter_for(window_tokens, has_results=has_results) is is_shorter
