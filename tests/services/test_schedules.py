"""Buttons and forms of schedules: what they change, who may use them, and where the outcome is shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bot.core import texts
from bot.core.access import AccessRules, UserKind
from bot.core.actions import ActionResponse
from bot.core.conversation import ThreadKey
from bot.core.schedules import DAY_TOKENS, MAX_WORDS_CHARS, RUN_TOKENS, PauseReason, Proposal, Rule, Schedule, Weekly
from bot.core.texts.access import Denial
from bot.errors import Refusal, Refused
from bot.services.access_control import AccessControl
from bot.services.notifications import Notifier
from bot.services.schedules import SchedulePress, Schedules
from bot.slack.blockkit import Json
from bot.slack.views.modal import sentence_modal
from bot.slack.views.schedules import (
    CHANGE_SCHEDULE,
    ListPlace,
    ScheduleAction,
    ScheduleField,
    ScheduleList,
    SubmittedSchedule,
    schedules_modal,
)
from bot.store import Stores
from tests.services.answering import Accounts
from tests.services.notified import told_directly
from tests.services.parts import workspace_of

WEEKDAYS = Proposal("Sum up.", Rule("UTC", "30 22 * * 1-5"))
TOKYO = ZoneInfo("Asia/Tokyo")
"""Ada's zone, where weekdays at 22:30 of UTC are the next days at 7:30."""
IN_LIST = ListPlace("C1", "V1")
IN_THREAD = ThreadKey("T1", "C1", "10.0")
HOOK = "https://hooks.example/1"


class Slack(Accounts):
    """Slack, in which Ada and Ben are in #general, and which keeps what it shows."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[tuple[str, Json, bool]] = []
        self.updated: list[tuple[str, Json]] = []
        self.responses: list[tuple[ThreadKey, str, str, ActionResponse]] = []
        self.refused: Refused | None = None

    async def names(self, ids: Sequence[str], *, in_channel: str = "") -> Mapping[str, str]:
        return {id_: "Ada" for id_ in ids if id_ == "UADA"}

    def zones(self, ids: Sequence[str]) -> Mapping[str, ZoneInfo]:
        return {id_: TOKYO for id_ in ids if id_ == "UADA"}

    async def is_in_channel(self, user_id: str, channel_id: str) -> bool:
        if self.refused:
            raise self.refused
        return (channel_id, user_id) in (("C1", "UADA"), ("C1", "UBEN"))

    async def open(self, trigger_id: str, view: Json, *, in_modal: bool = False) -> None:
        self.opened.append((trigger_id, view, in_modal))

    async def update(self, view_id: str, view: Json) -> None:
        self.updated.append((view_id, view))

    async def respond_to_action(self, *shown: Any) -> None:
        self.responses.append(shown)


@dataclass
class SignIns:
    """The servers to which people must sign in again."""

    signed_out: Sequence[str] = ()

    async def servers_signed_out_of(self, team_id: str, user_id: str, servers: Sequence[str]) -> Sequence[str]:
        assert (team_id, user_id) == ("T1", "UADA")
        return [server for server in servers if server in self.signed_out]


@dataclass
class Stage:
    stores: Stores
    slack: Slack = field(default_factory=Slack)
    sign_ins: Any = field(default_factory=SignIns)

    def __post_init__(self) -> None:
        slack: Any = self.slack
        workspace = workspace_of(users=slack, surfaces=slack)
        self.access = AccessControl(AccessRules(), slack, Notifier(self.stores, workspace), frozenset({"UADMIN"}))
        self.schedules = Schedules(self.stores, workspace, self.access, self.sign_ins)

    async def created(self, proposal: Proposal = WEEKDAYS, channel_id: str = "C1", user_id: str = "UADA") -> Schedule:
        return await self.now(await self.stores.schedules.create("T1", channel_id, user_id, proposal))

    async def now(self, schedule_id: int) -> Schedule:
        schedule = await self.stores.schedules.read("T1", schedule_id)
        assert schedule is not None
        return schedule

    async def press(
        self, action: ScheduleAction, schedule: Schedule, user_id: str = "UADA", place: ListPlace | None = IN_LIST
    ) -> None:
        await self.schedules.on_press(SchedulePress(action, user_id, "trigger", schedule.id, place=place))


@pytest.fixture
def stage(stores: Stores) -> Stage:
    return Stage(stores)


Entered = Mapping[ScheduleField, str]


@pytest.mark.parametrize(
    ("entered", "changes"),
    [
        ({}, {}),
        ({ScheduleField.WORDS: "x" * MAX_WORDS_CHARS}, {"words": "x" * MAX_WORDS_CHARS}),
        ({ScheduleField.ONLY_IF_CHANGED: "only_if_changed"}, {"only_if_changed": True}),
        ({ScheduleField.RUN_TOKENS: str(RUN_TOKENS)}, {"run_tokens": RUN_TOKENS}),
        ({ScheduleField.RUN_TOKENS: "1"}, {"run_tokens": 1}),
        ({ScheduleField.DAY_TOKENS: str(DAY_TOKENS - 1)}, {"day_tokens": DAY_TOKENS - 1}),
        ({ScheduleField.DAYS: "1,3"}, {"rule": Rule(TOKYO.key, "30 7 * * 1,3")}),
        ({ScheduleField.TIME: "09:05"}, {"rule": Rule(TOKYO.key, "5 9 * * 2,3,4,5,6")}),
        ({ScheduleField.OTHER: "0 9 1 * *"}, {"rule": Rule(TOKYO.key, "0 9 1 * *")}),
        ({ScheduleField.OTHER: "0 9 1 * * Europe/Berlin"}, {"rule": Rule("Europe/Berlin", "0 9 1 * *")}),
    ],
)
async def test_form_changes_what_a_person_entered_and_nothing_else(
    stage: Stage, entered: Entered, changes: Mapping[str, Any]
) -> None:
    before = await stage.created(replace(WEEKDAYS, accounts=("jira",)))
    assert await stage.schedules.change("UADA", SubmittedSchedule(before.id, IN_LIST, entered)) == {}
    after = await stage.now(before.id)
    assert after == replace(before, next_at=after.next_at, **changes)
    assert after.next_at == after.rule.due_after(stage.stores.clock.now())


NOT_A_NUMBER = texts.schedules.TOKENS_NOT_A_NUMBER
TOO_LONG = texts.schedules.schedule_words(MAX_WORDS_CHARS)


@pytest.mark.parametrize("user_id", ["UADA", "UADMIN"])
@pytest.mark.parametrize(
    ("entered", "problem", "may_admin"),
    [
        ({ScheduleField.WORDS: ""}, TOO_LONG, False),
        ({ScheduleField.WORDS: "x" * (MAX_WORDS_CHARS + 1)}, TOO_LONG, False),
        ({ScheduleField.RUN_TOKENS: "0"}, NOT_A_NUMBER, False),
        ({ScheduleField.RUN_TOKENS: "1_000"}, NOT_A_NUMBER, False),
        ({ScheduleField.DAY_TOKENS: "1000000000"}, NOT_A_NUMBER, False),
        (
            {ScheduleField.RUN_TOKENS: str(RUN_TOKENS + 1)},
            texts.schedules.only_admins_allow_tokens(RUN_TOKENS),
            True,
        ),
        (
            {ScheduleField.DAY_TOKENS: str(DAY_TOKENS + 1)},
            texts.schedules.only_admins_allow_tokens(DAY_TOKENS),
            True,
        ),
        ({ScheduleField.OTHER: "*/30 * * * *"}, texts.schedules.rule_too_often(60), True),
        ({ScheduleField.OTHER: "0 9 1 * *", ScheduleField.DAYS: "1"}, texts.schedules.NOT_BOTH, False),
        ({ScheduleField.DAYS: ""}, texts.schedules.DAYS_AND_TIME, False),
    ],
)
async def test_wrong_field_is_named_and_only_admins_widen_limits(
    stage: Stage, user_id: str, entered: Entered, problem: str, may_admin: bool
) -> None:
    before = await stage.created()
    problems = await stage.schedules.change(user_id, SubmittedSchedule(before.id, IN_LIST, entered))
    [first, *_] = entered
    is_saved = may_admin and user_id == "UADMIN"
    assert problems == ({} if is_saved else {ScheduleField.TIME if first is ScheduleField.DAYS else first: problem})
    after = await stage.now(before.id)
    assert (after == before) is not is_saved
    assert after.changed_by == ("UADMIN" if is_saved else "")


async def test_limit_that_an_admin_widened_stays_open_to_its_creator(stage: Stage) -> None:
    created = await stage.created()
    for user_id, tokens, is_saved in (
        ("UADMIN", RUN_TOKENS + 2, True),
        ("UADA", RUN_TOKENS + 3, False),
        ("UADA", RUN_TOKENS + 2, True),
        ("UADA", 5, True),
        ("UADA", RUN_TOKENS, True),
        ("UADA", RUN_TOKENS + 1, False),
    ):
        entered = SubmittedSchedule(created.id, None, {ScheduleField.RUN_TOKENS: str(tokens)})
        assert (await stage.schedules.change(user_id, entered) == {}) is is_saved


@pytest.mark.parametrize(
    ("user_id", "kind", "refusal"),
    [
        ("UBEN", UserKind.MEMBER, texts.schedules.NOT_YOUR_SCHEDULE),
        ("UADA", UserKind.GUEST, Denial.GUEST),
        ("UADMIN", UserKind.GUEST, Denial.GUEST),
    ],
)
async def test_whoever_may_not_change_a_schedule_reads_why(
    stage: Stage, user_id: str, kind: UserKind, refusal: str
) -> None:
    created = await stage.created()
    stage.slack.kind_of_all = kind
    submitted = SubmittedSchedule(created.id, IN_LIST, {ScheduleField.WORDS: "Be rude."})
    refused = await stage.access.with_admin_names(refusal)
    assert await stage.schedules.change(user_id, submitted) == {ScheduleField.WORDS: refused}
    for action in (ScheduleAction.RUN, ScheduleAction.PAUSE, ScheduleAction.STOP, ScheduleAction.CHANGE):
        await stage.press(action, created, user_id, place=None)
    said = sentence_modal(stage.access.with_admin_mentions(refusal), texts.schedules.SCHEDULES)
    assert stage.slack.opened == [("trigger", said, False)] * 4
    assert await stage.now(created.id) == created


async def test_press_changes_a_schedule_once_and_the_list_shows_the_outcome(stage: Stage) -> None:
    created = await stage.created()
    pressed, unchanged = texts.schedules.SCHEDULE_PRESSED, texts.schedules.SCHEDULE_UNCHANGED
    for user_id, action, outcome, paused in (
        ("UADA", ScheduleAction.RUN, pressed[ScheduleAction.RUN], None),
        ("UADA", ScheduleAction.RUN, unchanged[ScheduleAction.RUN], None),
        ("UADA", ScheduleAction.RESUME, unchanged[ScheduleAction.RESUME], None),
        ("UADA", ScheduleAction.PAUSE, pressed[ScheduleAction.PAUSE], PauseReason.BY_PERSON),
        ("UADA", ScheduleAction.PAUSE, unchanged[ScheduleAction.PAUSE], PauseReason.BY_PERSON),
        ("UADA", ScheduleAction.RESUME, pressed[ScheduleAction.RESUME], None),
    ):
        await stage.press(action, created, user_id)
        now = await stage.now(created.id)
        assert now.pause_reason is paused
        view = schedules_modal(ScheduleList("C1", [now], user_id, is_admin=False, outcome=outcome))
        assert stage.slack.updated.pop() == ("V1", view)
    await stage.press(ScheduleAction.STOP, created)
    empty = ScheduleList("C1", [], "UADA", is_admin=False)
    for outcome in (pressed[ScheduleAction.STOP], texts.schedules.SCHEDULE_GONE):
        assert stage.slack.updated.pop() == ("V1", schedules_modal(replace(empty, outcome=outcome)))
        await stage.press(ScheduleAction.PAUSE, created)
    assert (stage.slack.opened, stage.slack.responses) == ([], [])


async def test_run_that_may_end_unseen_says_so(stage: Stage) -> None:
    created = await stage.created(replace(WEEKDAYS, only_if_changed=True))
    await stage.press(ScheduleAction.RUN, created, place=None)
    outcome = f"{texts.schedules.SCHEDULE_PRESSED[ScheduleAction.RUN]} {texts.schedules.ONLY_IF_CHANGED}"
    assert stage.slack.opened == [("trigger", sentence_modal(outcome, texts.schedules.SCHEDULES), False)]


@pytest.mark.parametrize(
    ("action", "sentence", "undoes"),
    [
        (ScheduleAction.PAUSE, texts.schedules.SCHEDULE_PRESSED[ScheduleAction.PAUSE], False),
        (ScheduleAction.STOP, texts.schedules.SCHEDULE_PRESSED[ScheduleAction.STOP], True),
    ],
)
async def test_press_below_a_run_is_answered_there_and_a_stop_can_be_undone(
    stage: Stage, action: ScheduleAction, sentence: str, undoes: bool
) -> None:
    await stage.created(channel_id="C2")
    created = await stage.created()
    press = SchedulePress(action, "UADA", "trigger", created.id, thread=IN_THREAD, message_ts="11.0", response_url=HOOK)
    await stage.schedules.on_press(press)
    below = ({ScheduleAction.RESTORE.value: texts.memory.UNDO}, f"{created.id} 11.0") if undoes else ()
    response = ActionResponse(sentence, "", *below)
    assert stage.slack.responses == [(IN_THREAD, "UADA", HOOK, response)]
    undo = replace(press, action=ScheduleAction.RESTORE)
    await stage.schedules.on_press(undo)
    await stage.schedules.on_press(undo)
    restored = ActionResponse(texts.schedules.RESTORED, replaces_response=True)
    assert [shown[3] for shown in stage.slack.responses[1:]] == [restored, restored], "it is told what is true now"


async def test_change_opens_the_fields_as_their_reader_has_them(stage: Stage) -> None:
    created = await stage.created()
    weekly = Weekly("2,3,4,5,6", "07:30")
    for in_modal in (False, True):
        press = SchedulePress(ScheduleAction.CHANGE, "UADA", "trigger", created.id, place=IN_LIST, in_modal=in_modal)
        await stage.schedules.on_press(press)
        view = CHANGE_SCHEDULE.build(created, IN_LIST, weekly, TOKYO.key)
        assert stage.slack.opened.pop() == ("trigger", view, in_modal)
    assert stage.slack.updated == []


@pytest.mark.parametrize(
    ("user_id", "channel_id", "listed"),
    [
        ("UADA", "C1", ("C1", ["here", "bens"])),
        ("UADA", "D1", ("", ["here", "elsewhere"])),
        ("UADA", "", ("", ["here", "elsewhere"])),
        ("UBEN", "D2", ("", ["bens"])),
        ("UADA", "C2", None),
        ("UADMIN", "C1", None),
    ],
)
async def test_people_see_the_schedules_of_their_channels_and_their_own(
    stage: Stage, user_id: str, channel_id: str, listed: tuple[str, Sequence[str]] | None
) -> None:
    for words, place, creator in (("here", "C1", "UADA"), ("elsewhere", "C2", "UADA"), ("bens", "C1", "UBEN")):
        await stage.created(replace(WEEKDAYS, words=words), place, creator)
    everything = {one.words: one for one in await stage.stores.schedules.all("T1")}
    refusal = await stage.schedules.open(user_id, channel_id, "trigger")
    await stage.schedules.on_press(
        SchedulePress(ScheduleAction.LIST, user_id, "another", channel_id=channel_id, in_modal=True)
    )
    if listed is None:
        said = sentence_modal(texts.schedules.NOT_YOUR_SCHEDULES, texts.schedules.SCHEDULES)
        assert (refusal, stage.slack.opened) == (texts.schedules.NOT_YOUR_SCHEDULES, [("another", said, False)])
        await stage.press(ScheduleAction.PAUSE, everything["here"], user_id, ListPlace(channel_id, "V1"))
        said = sentence_modal(texts.schedules.SCHEDULE_PRESSED[ScheduleAction.PAUSE], texts.schedules.SCHEDULES)
        assert stage.slack.updated == [("V1", said)], "a forged list has nothing of a place that isn't theirs"
        return
    view = schedules_modal(ScheduleList(listed[0], [everything[words] for words in listed[1]], user_id, False))
    assert (refusal, stage.slack.opened) == ("", [("trigger", view, False), ("another", view, True)])


@pytest.mark.parametrize("reason", [Refusal.CHANNEL_GONE, Refusal.TRANSIENT])
async def test_list_whose_members_slack_does_not_tell_is_not_shown(stage: Stage, reason: Refusal) -> None:
    stage.slack.refused = Refused("conversations.members", "refused", reason)
    if reason is Refusal.CHANNEL_GONE:
        assert await stage.schedules.open("UADA", "C1", "trigger") == texts.schedules.NOT_YOUR_SCHEDULES
    else:
        with pytest.raises(Refused):
            await stage.schedules.open("UADA", "C1", "trigger")
    assert stage.slack.opened == []
    created = await stage.created()
    await stage.press(ScheduleAction.PAUSE, created)
    sentence = texts.schedules.SCHEDULE_PRESSED[ScheduleAction.PAUSE]
    assert stage.slack.updated == [("V1", sentence_modal(sentence, texts.schedules.SCHEDULES))]


async def paused_by(stage: Stage, reason: PauseReason) -> Schedule:
    created = await stage.created(replace(WEEKDAYS, accounts=("jira", "wiki")))
    await stage.stores.schedules.pause("T1", created.id, reason)
    return await stage.now(created.id)


@pytest.mark.parametrize(
    ("reason", "user_id", "kind", "why_not"),
    [
        (PauseReason.SIGNED_OUT, "UADA", UserKind.MEMBER, None),
        (PauseReason.SIGNED_OUT, "UADMIN", UserKind.MEMBER, texts.schedules.ONLY_CREATOR_SIGNS_IN),
        (PauseReason.BY_PERSON, "UADA", UserKind.MEMBER, texts.schedules.WAITS_FOR_NO_SIGN_IN),
        (PauseReason.SIGNED_OUT, "UADA", UserKind.GUEST, Denial.GUEST),
    ],
)
async def test_creator_alone_signs_in_for_a_schedule_that_waits_for_it(
    stage: Stage, reason: PauseReason, user_id: str, kind: UserKind, why_not: str | None
) -> None:
    paused = await paused_by(stage, reason)
    stage.sign_ins.signed_out, stage.slack.kind_of_all = ("wiki", "jira"), kind
    waiting = await stage.schedules.awaited_sign_in(paused.id, user_id)
    if why_not is not None:
        assert waiting == why_not
        return
    assert not isinstance(waiting, str)
    assert (waiting.person, waiting.server, waiting.name) == ("UADA", "jira", f"schedule {paused.id}")
    still, go_on = stage.schedules.is_signed_out, stage.schedules.resume_after_sign_in
    assert await still(waiting.schedule) is True
    stage.sign_ins.signed_out = ("wiki",)
    assert await go_on(waiting.schedule) == texts.schedules.sign_in_needed("wiki", "<@UADA>")
    await stage.press(ScheduleAction.RESUME, paused, place=None)
    assert (await stage.now(paused.id)).pause_reason is PauseReason.SIGNED_OUT, "nobody else has signed in for it"
    stage.sign_ins.signed_out = ()
    assert await go_on(waiting.schedule) == ""
    now = await stage.now(paused.id)
    assert (now.pause_reason, await still(waiting.schedule)) == (None, False)
    assert now.next_at is not None
    told = texts.schedules.resumed_message(now.id, now.rule.description, texts.times.token(now.next_at))
    assert await told_directly(stage.stores) == [("UADA", told)]
    await stage.press(ScheduleAction.PAUSE, now)
    assert await go_on(waiting.schedule) == texts.schedules.WAITS_FOR_NO_SIGN_IN
    assert (await stage.now(paused.id)).pause_reason is PauseReason.BY_PERSON


async def test_schedule_of_a_person_who_signed_in_elsewhere_is_resumed_at_the_press(stage: Stage) -> None:
    paused = await paused_by(stage, PauseReason.SIGNED_OUT)
    assert await stage.schedules.awaited_sign_in(paused.id, "UADA") == ""
    assert (await stage.now(paused.id)).pause_reason is None
    assert await stage.schedules.awaited_sign_in(paused.id + 1, "UADA") == texts.schedules.SCHEDULE_GONE
