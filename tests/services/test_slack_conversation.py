"""What a prompt reads of Slack and of the database, and what is recorded on the way: edits, and who takes part."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from bot.core.beginnings import BuiltPrompt
from bot.core.channel_settings import ChannelSettings
from bot.core.channels import Channel
from bot.core.conversation import Message, Question, RecordedReply, ThreadKey
from bot.core.job import Checkpoint, Job
from bot.core.memory import Memory
from bot.errors import StoreError
from bot.models.prompt import OfferedTools, TokenEstimate
from bot.reply.answer import Answer
from bot.services.prompt_builder import PromptBuilder, PromptSettings
from bot.services.slack_conversation import RESTART_TIMEOUT_S, SlackConversation
from bot.services.transcripts import Transcription
from tests.clocks import InstantClock
from tests.services.parts import stores_of, workspace_of

ROOT, TS, NEXT = "1000.000100", "2000.000200", "3000.000300"
THREAD = ThreadKey("T1", "C1", ROOT)
QUESTION = Question(THREAD, TS, "UADA", "And why?")
JOB = Job(1, QUESTION, 1, asked_at=float(TS))
ASKED = Message("T1", "C1", TS, "And why?", thread_ts=ROOT, user_id="UADA")
MEMORY = Memory(1, 1, "We deploy on Tuesdays.", "UBEN", ROOT, ROOT, "", False, False, 1_763_640_000.0)
NOBODY: Any = None


@dataclass
class Place:
    shown: Sequence[Message] = (ASKED,)
    memories: Sequence[Memory] = ()
    is_private_: bool | None = False
    channel_: Channel | None = None
    error: StoreError | None = None
    edits: list[tuple[Question, str]] = field(default_factory=list)
    groups: list[tuple[ThreadKey, str, str | None]] = field(default_factory=list)
    clock: InstantClock = field(default_factory=lambda: InstantClock(float(TS)))
    can_write = False

    async def messages(self, question: Question) -> Sequence[Message]:
        return self.shown

    async def replies(self, thread: ThreadKey, before_ts: str) -> Mapping[str, RecordedReply]:
        assert (thread, before_ts) == (THREAD, TS)
        return {}

    async def read(self, team_id: str, channel_id: str) -> ChannelSettings:
        assert (team_id, channel_id) == ("T1", "C1")
        return ChannelSettings()

    async def of_place(self, place: tuple[str, str]) -> Sequence[Memory]:
        assert place == ("T1", "C1")
        return self.memories

    async def is_private(self, channel_id: str) -> bool | None:
        return self.is_private_

    async def channel(self, channel_id: str) -> Channel | None:
        return self.channel_

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

    def builder(self) -> PromptBuilder:
        parts = ("channel_settings", "recorded_answers", "memories", "participants", "question_queue")
        stores = stores_of(clock=self.clock, **dict.fromkeys(parts, self))
        workspace = workspace_of(history=self, users=self, canvases=self)
        conversation = SlackConversation(stores, workspace, Transcription(stores, None, NOBODY))
        return PromptBuilder(conversation, PromptSettings("", 8_000), TokenEstimate(("openai/m",)), self.clock)

    async def built(self, job: Job = JOB) -> BuiltPrompt:
        async with AsyncExitStack() as memory:
            return await self.builder().build(Answer(job), memory, OfferedTools(), lambda _: None)


def said_in(built: BuiltPrompt) -> str:
    return "\n".join(turn.text for turn in built.prompt.turns)


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
    assert built.memory_count == int(is_read)


@pytest.mark.parametrize(
    ("shown", "is_edit"),
    [
        (ASKED, False),
        (replace(ASKED, edited_ts=NEXT), False),
        (replace(ASKED, edited_ts=NEXT, attached_text="A preview"), False),
        (replace(ASKED, text="And who?"), False),
        (replace(ASKED, edited_ts=NEXT, text="And who?"), True),
        (replace(ASKED, edited_ts=NEXT, text="And why? Now!"), True),
        (replace(ASKED, edited_ts=NEXT, text="And who?", attached_text="A preview"), True),
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
    edited = replace(QUESTION, text=shown.full_text, attached_chars=shown.attached_chars)
    assert place.edits == ([(edited, NEXT)] if is_recorded else [])
    assert place.clock.sleeps == ([RESTART_TIMEOUT_S] if is_recorded else [])


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
