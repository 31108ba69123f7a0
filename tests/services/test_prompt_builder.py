"""What a prompt is built of: what a conversation shows, what is on record, and what the channel has set.

While the database is away, the channel's settings are read four times, then the prompt does without them.
"""

from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from bot.core.beginnings import BuiltPrompt
from bot.core.channel_settings import ChannelSettings, Length, prompt_version
from bot.core.channels import Channel, ChannelType
from bot.core.conversation import Message, Question, RecordedReply, ThreadKey
from bot.core.job import Job, Wish
from bot.core.prompt import LENGTH_RULES, MARKS_EXPLAINED
from bot.errors import StoreError
from bot.models.prompt import (
    ASKERS,
    INSTRUCTIONS,
    OTHERS,
    OURS,
    Effort,
    OfferedTools,
    Origins,
    Permission,
    TokenEstimate,
    ToolDefinition,
    ToolRule,
    WebSearch,
)
from bot.reply.answer import Answer
from bot.services.prompt_builder import PromptBuilder, PromptSettings
from bot.services.standalone import InMemoryConversation
from tests.clocks import InstantClock
from tests.core.conversations import recorded_pages
from tests.services.parts import ME

ROOT, TS = "1000.000100", "2000.000200"
THREAD = ThreadKey("T1", "C1", ROOT)
QUESTION = Question(THREAD, TS, "UADA", "And why?")
JOB = Job(1, QUESTION, 1, asked_at=float(TS))
ASKED = Message("T1", "C1", TS, "And why?", thread_ts=ROOT, user_id="UADA")
BARE = Question(ThreadKey("T1", "C1", "1.0"), "1.0", "U1", f"<@{ME.user_id}>")


@dataclass(frozen=True)
class Away(InMemoryConversation):
    """A channel that lets nobody read it, whose settings are in a database that is away for some reads."""

    failures: int = 0
    reads: list[Question] = field(default_factory=list)

    async def channel(self, question: Question) -> ChannelSettings:
        self.reads.append(question)
        if len(self.reads) <= self.failures:
            raise StoreError("away")
        return ChannelSettings(read_channel=False)


@pytest.mark.parametrize(
    ("failures", "reads", "as_set"), [(0, 1, True), (1, 2, True), (3, 4, True), (4, 4, False)], ids=str
)
async def test_settings_are_read_four_times_before_the_prompt_does_without(
    failures: int, reads: int, as_set: bool
) -> None:
    away = Away(failures=failures, me=ME)
    settings = PromptSettings("", 8_000, reads_channel=True)
    builder = PromptBuilder(away, settings, TokenEstimate(("openai/m",)), InstantClock())
    assert await builder.includes_earlier_posts(BARE) is not as_set
    assert len(away.reads) == reads


def builder_of(conversation: InMemoryConversation, **settings: Any) -> PromptBuilder:
    of_all = PromptSettings("You are a colleague.", 8_000, **settings)
    return PromptBuilder(conversation, of_all, TokenEstimate(("openai/m",)), InstantClock(float(TS)))


async def built(conversation: InMemoryConversation, job: Job = JOB, **settings: Any) -> BuiltPrompt:
    async with AsyncExitStack() as memory:
        builder = builder_of(conversation, **settings)
        return await builder.build(Answer(job), memory, OfferedTools(), lambda _: None)


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
    conversation = InMemoryConversation(shown, recorded if is_on_record else {}, me=ME)
    said = said_in(await built(conversation, replace(JOB, version=1, messages=recorded_pages(own))))
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
    asked = await built(InMemoryConversation(settings=channel), replace(JOB, wish=wish), web_search=search)
    assert asked.prompt.web_search is (search if has_search else None)
    assert (asked.prompt.effort, asked.model) == (effort, model)


DEFAULT = "You are a colleague."
BRIEF, FULL = LENGTH_RULES[Length.BRIEF], LENGTH_RULES[Length.FULL]
RHYME = ChannelSettings(system_prompt="Rhyme.")


@pytest.mark.parametrize(
    ("channel", "channel_id", "begins", "ends", "version", "origins"),
    [
        (ChannelSettings(), "C1", DEFAULT, MARKS_EXPLAINED, DEFAULT, OURS),
        (ChannelSettings(length=Length.BRIEF), "C1", DEFAULT, BRIEF, f"{DEFAULT}\n\n{BRIEF}", OURS),
        (RHYME, "C1", "Rhyme.", MARKS_EXPLAINED, "Rhyme.", INSTRUCTIONS),
        (replace(RHYME, length=Length.FULL), "C1", "Rhyme.", FULL, f"Rhyme.\n\n{FULL}", INSTRUCTIONS),
        (RHYME, "D1", "Rhyme.", MARKS_EXPLAINED, "Rhyme.", OURS),
    ],
)
async def test_instructions_of_a_channel_are_others_words_and_a_version_of_their_own(
    channel: ChannelSettings, channel_id: str, begins: str, ends: str, version: str, origins: Origins
) -> None:
    job = replace(JOB, question=replace(QUESTION, thread=replace(THREAD, channel_id=channel_id)))
    asked = await built(InMemoryConversation(settings=channel), job)
    system = asked.prompt.system
    assert (system[: len(begins)], system[-len(ends) :], asked.prompt.system_origins) == (begins, ends, origins)
    assert asked.prompt_version == prompt_version(version)


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
    builder = builder_of(InMemoryConversation())
    builder.estimate.window_tokens = known_tokens
    assert builder.is_shorter_for(window_tokens, has_results=has_results) is is_shorter


OPS = Channel(ChannelType.PUBLIC, "ops", "Deploys", "We ship on Tuesdays")
ACTS = OfferedTools((ToolDefinition("notes__add", "", {}, "1", OURS, ToolRule(Permission.ALLOW)),))


async def test_changed_topic_is_new_text_at_the_end_and_the_beginning_stays() -> None:
    first = Job(1, replace(QUESTION, thread=replace(THREAD, thread_ts=TS)), 1, asked_at=float(TS))
    asked = await built(InMemoryConversation(place=OPS, me=ME), first)
    [before] = [turn.text for turn in asked.prompt.turns]
    assert before.startswith(f"[{asked.prompt.code} is the code of this conversation in the public channel #ops]\n")
    assert "> Topic: Deploys\n> Purpose: We ship on Tuesdays\n" in before
    answer = ours("2100.000100", "Because.")
    replies = {answer.ts: RecordedReply("Because.", ASKERS, "UADA", TS, asked.note)}
    later = replace(first, question=replace(first.question, ts="3000.000200"), asked_at=3000.0)
    for topic, is_new in (("Deploys", False), ("Alerts", True)):
        place = replace(OPS, topic=topic)
        conversation = InMemoryConversation([ASKED, answer], replies, place=place, me=ME)
        said = [turn.text for turn in (await built(conversation, later)).prompt.turns]
        assert said[0] == before
        assert ("> Topic: Alerts\n" in said[-1], "Topic" in said[-1]) == (is_new, is_new)


@pytest.mark.parametrize(("tools", "origins"), [(OfferedTools(), ASKERS | OTHERS), (ACTS, ASKERS)], ids=["none", "one"])
async def test_topic_is_others_words_and_left_out_where_a_tool_could_act(tools: OfferedTools, origins: Origins) -> None:
    async with AsyncExitStack() as memory:
        builder = builder_of(InMemoryConversation(place=OPS, me=ME))
        job = replace(JOB, question=replace(QUESTION, thread=replace(THREAD, thread_ts=TS)))
        asked = await builder.build(Answer(job), memory, tools, lambda _: None)
    assert (asked.prompt.origins, "Tuesdays" in said_in(asked)) == (origins, origins >= OTHERS)
    assert "#ops]" in said_in(asked)
