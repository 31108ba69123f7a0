"""What becomes of commands about memories, of a model's proposals, and of a modal with a place's memories."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from bot.core import texts
from bot.core.calls import NO_SUCH_TOOL, CallResult, CallState, ToolUse
from bot.core.channel_settings import SettingsPlace
from bot.core.conversation import Question, ThreadKey
from bot.core.job import Job, Notice, NoticeKind, sentence_notice
from bot.core.memory import MAX_CHARS, MAX_MEMORIES, TOOLS, Memory
from bot.core.surfaces import CommandResponse
from bot.core.texts.access import Denial
from bot.errors import Refusal, Refused
from bot.models.prompt import OfferedTools
from bot.services.access_control import SHORT_LOOKUP_TIMEOUT_S
from bot.services.answer_attempt import CommandResult
from bot.services.memory import MEMBER_CHECK_TIMEOUT_S, MemoryCommands
from bot.slack.blockkit import Json
from bot.slack.views.memory import MEMORY, SubmittedMemories
from bot.slack.views.modal import sentence_modal
from bot.store import Stores
from tests.services.parts import workspace_of

HERE, DIRECT, GROUP = ("T1", "C1"), ("T1", "D1"), ("T1", "G1")
TASK = Question(ThreadKey("T1", "C1", "10.0"), "11.0", "UADA", "<@UBOT> remember: <@UBEN> deploys")
BASE = "https://typist.example/archives/C1/p"
HOOK = "https://hooks.example/1"
NAMES = {"UADA": "Ada", "UBEN": "Ben", "C1": "general", "G1": "mpdm-ada--ben-1"}


@dataclass
class Slack:
    """Slack, where Ada is in #general and has the direct message D1, and says who may change memories."""

    is_private_: bool | None = False
    denied: Denial | None = None
    refused: Refused | None = None
    opened: list[tuple[str, Json, bool]] = field(default_factory=list)
    responses: list[tuple[str, CommandResponse]] = field(default_factory=list)
    checked: list[tuple[Question, float, bool]] = field(default_factory=list)
    """Whose access was checked, how long Slack had for it, and whether a press waited."""

    async def denial(
        self, question: Question, *, now_within_s: float, members_only: bool, is_press: bool
    ) -> Denial | None:
        assert members_only
        self.checked.append((question, now_within_s, is_press))
        return self.denied

    async def with_admin_names(self, refusal: str) -> str:
        return f"{refusal} Ask Grace."

    async def is_private(self, channel_id: str) -> bool | None:
        return self.is_private_

    async def names(self, ids: Sequence[str], *, in_channel: str) -> Mapping[str, str]:
        return {id_: NAMES[id_] for id_ in ids if id_ in NAMES}

    async def link_base(self, channel_id: str, ts: str) -> str:
        return BASE

    async def user_in_direct_message(self, channel_id: str) -> str:
        if self.refused:
            raise self.refused
        return "UADA" if channel_id == "D1" else "UBEN"

    async def channels_of(self, user_id: str, types: str) -> Sequence[str]:
        if self.refused:
            raise self.refused
        return ["C1", "G1"] if (user_id, types) == ("UADA", "public_channel,private_channel,mpim") else []

    async def open(self, trigger_id: str, view: Json, *, in_modal: bool) -> None:
        self.opened.append((trigger_id, view, in_modal))

    async def respond_to_command(self, response_url: str, response: CommandResponse) -> None:
        self.responses.append((response_url, response))


@dataclass
class Stage:
    stores: Stores
    slack: Slack = field(default_factory=Slack)

    def __post_init__(self) -> None:
        slack: Any = self.slack
        workspace = workspace_of(users=slack, surfaces=slack, channel_reader=slack)
        self.remembering = MemoryCommands(self.stores, workspace, slack)

    async def keep(self, *texts: str, place: tuple[str, str] = HERE, is_private: bool = False) -> Sequence[Memory]:
        """Has a place remember this; returns all of its memories."""
        for number, text in enumerate(texts, start=1):
            asked = replace(TASK, thread=ThreadKey(*place, "1.5"), ts=f"{number}.5", user_id="UBEN")
            await self.stores.memories.remember(asked, text, is_private=is_private)
        return await self.stores.memories.of_place(place)

    async def told(
        self, text: str, *earlier: str, version: int = 0, place: tuple[str, str] = HERE
    ) -> CommandResult | None:
        """Has messages carried out, the last one first."""
        thread = ThreadKey(*place, "10.0")
        questions = [replace(TASK, thread=thread, ts=f"{11 + at}.0", text=said) for at, said in enumerate(earlier)]
        asked = replace(TASK, thread=thread, ts="21.0", text=text)
        return await self.remembering.carry_out(Job(1, asked, 1, version=version, earlier_questions=tuple(questions)))

    async def texts(self, place: tuple[str, str] = HERE) -> Sequence[str]:
        return [memory.text for memory in await self.stores.memories.of_place(place)]


@pytest.fixture
def stage(stores: Stores) -> Stage:
    return Stage(stores)


def remembered(place: str, number: int = 1) -> tuple[Notice, ...]:
    return (Notice(NoticeKind.REMEMBERED, texts.memory.remembered_notice(place, number)),)


@pytest.mark.parametrize(
    ("place", "named"),
    [
        (HERE, "#general"),
        (("T1", "C2"), texts.memory.THIS_CHANNEL),
        (GROUP, texts.memory.THIS_CHANNEL),
        (DIRECT, texts.memory.OUR_DIRECT_MESSAGE),
    ],
    ids=["channel", "channel without a name", "group message", "direct message"],
)
async def test_place_is_named_for_which_something_is_remembered(
    stage: Stage, place: tuple[str, str], named: str
) -> None:
    assert await stage.told("remember: <@UBEN> deploys", place=place) == CommandResult(remembered(named))
    [memory] = await stage.stores.memories.of_place(place)
    assert (memory.text, memory.user_id, memory.ts, memory.is_proposed) == ("<@UBEN> deploys", "UADA", "21.0", False)
    [(asked, within_s, is_press)] = stage.slack.checked
    assert (asked.user_id, asked.thread.place, within_s, is_press) == ("UADA", place, MEMBER_CHECK_TIMEOUT_S, False)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("remember:", texts.memory.REMEMBER_WHAT),
        ("remember: is it Tuesday?", texts.memory.REMEMBER_NO_QUESTION),
        ("remember: ONE!", texts.memory.already_remembered(1)),
        ("forget everything", texts.memory.FORGET_WHICH),
        ("forget 4", texts.memory.nothing_to_forget(4)),
    ],
)
async def test_command_that_changes_nothing_is_answered_with_a_sentence(stage: Stage, text: str, sentence: str) -> None:
    await stage.keep("one", "two")
    assert await stage.told(text) == CommandResult(sentence_notice(sentence))
    assert await stage.texts() == ["one", "two"]


@pytest.mark.parametrize(
    ("is_private", "was"),
    [(False, "@Ben knows"), (True, ""), (None, "")],
    ids=["as then", "other readers", "unknown"],
)
async def test_what_was_forgotten_is_said_to_the_readers_that_were_told_it(
    stage: Stage, is_private: bool | None, was: str
) -> None:
    await stage.keep("one", "<@UBEN> knows")
    stage.slack.is_private_ = is_private
    sentence = texts.memory.forgotten_notice(2, was)
    assert await stage.told("forget 2") == CommandResult((Notice(NoticeKind.FORGOTTEN, sentence, 2),))
    assert await stage.texts() == ["one"]


async def test_full_place_names_its_oldest_memory(stage: Stage) -> None:
    await stage.keep(*(f"fact {number}" for number in range(MAX_MEMORIES)))
    done = await stage.told("remember: one more", "forget 1", "remember: the last")
    assert done is not None
    assert [notice.text for notice in done.notices] == [
        texts.memory.forgotten_notice(1, "fact 0"),
        texts.memory.remembered_notice("#general", MAX_MEMORIES + 1),
        texts.memory.memory_full(2),
    ]


@pytest.mark.parametrize("text", ["remember: tea", "what do you remember?", "forget 1"])
@pytest.mark.parametrize(
    ("denied", "sentence"),
    [(Denial.NOT_A_MEMBER, texts.memory.ONLY_MEMBERS_REMEMBER), (Denial.PERSON, Denial.PERSON)],
)
async def test_whoever_may_not_use_memory_reads_why(stage: Stage, text: str, denied: Denial, sentence: str) -> None:
    await stage.keep("one")
    stage.slack.denied = denied
    assert await stage.told(text) == CommandResult(sentence_notice(sentence))
    assert await stage.texts() == ["one"]


async def test_while_slack_does_not_say_who_reads_a_place_nothing_is_remembered_or_listed(stage: Stage) -> None:
    await stage.keep("one")
    stage.slack.is_private_ = None
    for text in ("remember: tea", "what do you remember?"):
        assert await stage.told(text) == CommandResult(sentence_notice(texts.memory.MEMORY_UNAVAILABLE))
    assert await stage.texts() == ["one"]


@pytest.mark.parametrize("is_private", [False, True])
async def test_list_hides_what_was_told_to_other_readers(stage: Stage, is_private: bool) -> None:
    assert await stage.told("what do you remember?") == CommandResult(sentence_notice(texts.memory.NOTHING_REMEMBERED))
    await stage.keep("<@UBEN> knows", is_private=is_private)
    await stage.keep("known", "told to others", is_private=not is_private)
    one, two = await stage.stores.memories.of_place(HERE)
    await stage.stores.memories.change(HERE, "UADA", {one.id: "<@UBEN> knew"}, (), is_private=is_private)
    stage.slack.is_private_ = is_private
    day = "November 14, 2023"
    changed = texts.memory.memory_attribution("Ben", day, "Ada", is_proposed=False)
    as_said = texts.memory.memory_attribution("Ben", day, "", is_proposed=False)
    lines = [
        texts.memory.memory_line(1, "@Ben knew", changed, f"{BASE}15"),
        texts.memory.memory_line(2, texts.memory.HIDDEN, as_said, f"{BASE}25?thread_ts=1.5&cid=C1"),
    ]
    assert two.number == 2
    expected = CommandResult(sentence_notice(texts.memory.MEMORIES_HIDDEN[is_private]), "\n".join(lines))
    assert await stage.told("what do you remember?") == expected


async def test_one_answer_has_what_all_commands_of_a_batch_have_done_and_none_beside_a_question(stage: Stage) -> None:
    done = await stage.told("forget 1", "remember: one", "remember: two")
    assert done == CommandResult(
        (
            Notice(NoticeKind.SENTENCE, texts.memory.remembered_notice("#general", 1)),
            Notice(NoticeKind.SENTENCE, texts.memory.remembered_notice("#general", 2)),
            Notice(NoticeKind.FORGOTTEN, texts.memory.forgotten_notice(1, "one"), 1),
        )
    )
    assert await stage.told("remember: three", "why?") is None
    assert await stage.texts() == ["two"]


@pytest.mark.parametrize(
    ("text", "version", "left"),
    [("why?", 1, []), ("remember: why?", 1, []), ("remember: three", 1, ["three"]), ("why?", 0, ["two"])],
)
async def test_edited_message_takes_back_what_it_no_longer_says(
    stage: Stage, text: str, version: int, left: Sequence[str]
) -> None:
    await stage.told("remember: two")
    await stage.told(text, version=version)
    assert await stage.texts() == left


@pytest.mark.parametrize(("place", "is_direct"), [(HERE, False), (DIRECT, True)])
async def test_model_proposes_a_memory_for_whoever_asked_there(
    stage: Stage, place: tuple[str, str], is_direct: bool
) -> None:
    asked = replace(TASK, thread=ThreadKey(*place, "10.0"))
    tool, other = TOOLS[is_direct], TOOLS[not is_direct]
    assert await stage.remembering.definitions(asked) == OfferedTools((tool,))
    assert await stage.remembering.definitions(replace(asked, schedule_id=1)) == OfferedTools()
    use = ToolUse(asked, tool.name, tool.definition_hash, {"text": "<@UBEN> & co."}, 9.0)
    for wrong in (
        replace(use, tool="forget"),
        replace(use, definition_hash=f"{other.definition_hash}x"),
        replace(use, question=replace(asked, schedule_id=1)),
    ):
        assert await stage.remembering.call(wrong) == CallResult.failed(NO_SUCH_TOOL)
    sentence = texts.memory.remembered_notice(texts.memory.OUR_DIRECT_MESSAGE if is_direct else "#general", 1)
    assert await stage.remembering.call(use) == CallResult(CallState.DONE, sentence, item_no=1)
    [memory] = await stage.stores.memories.of_place(place)
    assert (memory.text, memory.is_proposed) == ("&lt;@UBEN&gt; &amp; co.", True)
    known = texts.memory.already_remembered(1)
    assert await stage.remembering.call(use) == CallResult(CallState.DONE, known), "nothing was made that can be undone"


PLACE = SettingsPlace("C1", HOOK)


@pytest.mark.parametrize("in_modal", [False, True])
async def test_memories_are_shown_in_a_modal_or_why_not(stage: Stage, in_modal: bool) -> None:
    async def opened() -> str:
        if in_modal:
            await stage.remembering.open_on_settings("UADA", "trigger", PLACE)
            return ""
        return await stage.remembering.open("UADA", "trigger", PLACE)

    async def says(sentence: str) -> None:
        assert await opened() == ("" if in_modal else sentence)
        shown = [("trigger", sentence_modal(sentence, texts.memory.MEMORY_TITLE), True)] if in_modal else []
        assert stage.slack.opened == shown
        stage.slack.opened.clear()

    await says(texts.memory.NOTHING_REMEMBERED)
    memories = await stage.keep("one", "two")
    stage.slack.is_private_ = None
    await says(texts.memory.MEMORY_UNAVAILABLE)
    stage.slack.is_private_ = True
    assert await opened() == ""
    view = MEMORY.build(PLACE, memories, BASE, is_private=True)
    assert stage.slack.opened == [("trigger", view, in_modal)]
    nowhere = Question(ThreadKey("T1", "C1", None), "", "UADA", "")
    assert stage.slack.checked == [(nowhere, SHORT_LOOKUP_TIMEOUT_S, True)] * 3


@pytest.mark.parametrize(
    ("channel_id", "user_id", "denied", "refusal", "sentence"),
    [
        ("C1", "UADA", None, None, ""),
        ("G1", "UADA", None, None, ""),
        ("D1", "UADA", None, None, ""),
        ("C1", "UADA", Denial.PERSON, None, Denial.PERSON),
        ("C1", "UBEN", None, None, texts.memory.NOT_IN_CHANNEL),
        ("C2", "UADA", None, None, texts.memory.NOT_IN_CHANNEL),
        ("D1", "UBEN", None, None, texts.memory.NOT_YOUR_DIRECT_MESSAGE),
        ("D2", "UADA", None, None, texts.memory.NOT_YOUR_DIRECT_MESSAGE),
        ("D3", "UADA", None, Refusal.CHANNEL_GONE, texts.memory.NOT_YOUR_DIRECT_MESSAGE),
        ("D3", "UADA", None, Refusal.FORBIDDEN, None),
    ],
)
async def test_only_who_is_in_a_place_sees_and_changes_its_memories(
    stage: Stage, channel_id: str, user_id: str, denied: Denial | None, refusal: Refusal | None, sentence: str | None
) -> None:
    [memory] = await stage.keep("one", place=("T1", channel_id))
    place = SettingsPlace(channel_id, "")
    stage.slack.denied = denied
    stage.slack.refused = Refused("conversations.info", "refused", refusal) if refusal else None
    submitted = SubmittedMemories(place, {memory.id: "two"}, [memory.id], keeps_hidden=False)
    if sentence is None:
        for call in (
            stage.remembering.open(user_id, "trigger", place),
            stage.remembering.save(user_id, submitted),
        ):
            with pytest.raises(Refused):
                await call
        return
    assert await stage.remembering.open(user_id, "trigger", place) == sentence
    assert await stage.remembering.save(user_id, submitted) == (f"{sentence} Ask Grace." if sentence else "")
    assert await stage.texts(("T1", channel_id)) == (["one"] if sentence else ["two"])
    assert stage.slack.responses == []


async def test_modal_changes_removes_and_keeps_what_it_showed(stage: Stage) -> None:
    one, two, three, four = await stage.keep("one", "two", "three", "four", is_private=True)
    await stage.stores.memories.change(HERE, "UBEN", {}, [one.id], is_private=False)
    changed = {one.id: "&amp;" * MAX_CHARS, two.id: ""}
    listed = [one.id, two.id, three.id]
    assert await stage.remembering.save("UADA", SubmittedMemories(PLACE, changed, listed, keeps_hidden=True)) == ""
    assert [(memory.number, memory.text, memory.changed_by, memory.is_private) for memory in await stage.keep()] == [
        (1, "&amp;" * MAX_CHARS, "UADA", False),
        (3, "three", "", False),
        (4, "four", "", True),
    ]
    assert four.number == 4
    assert stage.slack.responses == [(HOOK, CommandResponse(texts.memory.MEMORY_SAVED))]
    assert await stage.remembering.save("UADA", SubmittedMemories(PLACE, {}, [four.id], keeps_hidden=False)) == ""
    assert [memory.is_private for memory in await stage.keep()] == [False, False, True]


@pytest.mark.parametrize(
    ("changed", "is_private", "sentence"),
    [
        ({1: "&amp;" * (MAX_CHARS + 1)}, False, texts.memory.memory_too_long(MAX_CHARS + 1, MAX_CHARS)),
        ({1: "x"}, None, texts.memory.MEMORY_UNAVAILABLE),
        (dict.fromkeys(range(1, 10), "あ" * MAX_CHARS), False, texts.memory.NO_ROOM_FOR_CHANGES),
    ],
    ids=["too long", "unknown readers", "no room"],
)
async def test_modal_that_cannot_be_saved_says_why(
    stage: Stage, changed: Mapping[int, str], is_private: bool | None, sentence: str
) -> None:
    before = [f"fact {number}" for number in range(9)]
    ids = {memory.number: memory.id for memory in await stage.keep(*before)}
    stage.slack.is_private_ = is_private
    submitted = SubmittedMemories(PLACE, {ids[number]: text for number, text in changed.items()}, [*ids.values()], True)
    assert await stage.remembering.save("UADA", submitted) == sentence
    assert await stage.texts() == before
    assert stage.slack.responses == []
