"""Presses, with a real database and a manual clock: who may decide and when, and what is shown of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import pytest
import sqlalchemy as sa

from bot.core import choices, texts
from bot.core.access import AccessRules, UserKind
from bot.core.actions import CONFIRMED, MORE, WISHES, ActionResponse, Press, ReplyAction
from bot.core.asks import MAX_ARGUMENT_CHARS, SHOWN_ARGUMENT_CHARS, ApprovalPlace, button_value
from bot.core.audit import arguments_hash
from bot.core.calls import CallState, Decision, Pin, RecordedCall, tool_owner
from bot.core.conversation import ThreadKey
from bot.core.job import AnswerRecord, End, Job, StepEstimate, Wish
from bot.core.outbox import OutboxKind
from bot.core.picture import CANVAS_MIN_CHARS, picture
from bot.core.texts.access import Denial
from bot.core.usage import DownReason
from bot.errors import EndReason, RateLimited, Refusal, Refused, StoreError
from bot.mcp.definitions import ListedTool
from bot.models.events import ToolCall
from bot.models.prompt import Permission, ToolRule
from bot.services.access_control import AccessControl
from bot.services.notifications import Notifier
from bot.services.presses import DOUBLE_PRESS_S, LOOKUP_DELAY_S, MAX_RECORD_LOOKUPS
from bot.services.reply_actions import ReplyActions
from bot.slack.views.arguments import EditedCall
from bot.store import Stores
from bot.store.answers import RecordedAnswers
from bot.store.schema import feedback, jobs, outbox_entries
from tests.clocks import InstantClock
from tests.core.conversations import recorded_pages
from tests.recorded_calls import newest_calls
from tests.services.answering import MODEL, QUESTION, Accounts, AnsweringStage, MemoryReplies
from tests.services.notes import (
    ANSWER,
    LIST,
    MILK,
    READ,
    RULES,
    WRITE,
    NotesServer,
    asking,
    ended,
    staged,
)
from tests.services.parts import having, workspace_of
from tests.services.presses import MemorySurfaces, actions_on

pytestmark = pytest.mark.wide

END = End(EndReason.WHOLE)
PAGE_TS = "999991.000000"
STOP = Press(ReplyAction.STOP, QUESTION.thread, PAGE_TS, QUESTION.user_id)


@dataclass
class BusyClock(InstantClock):
    """A clock whose sleeps last until something else is done."""

    meanwhile: Callable[[], Awaitable[None]] | None = None

    async def sleep(self, delay_s: float) -> None:
        await super().sleep(delay_s)
        if self.meanwhile:
            await self.meanwhile()


@pytest.fixture
async def stores(stores: Stores) -> Stores:
    await stores.question_queue.enqueue("Ev1", QUESTION)
    return stores


def actions_of(stores: Stores, clock: BusyClock) -> ReplyActions:
    return actions_on(AnsweringStage(stores, clock))


async def under_way(stores: Stores) -> Job:
    """Claims the question; returns its job, whose reply is on record."""
    [job] = await stores.worker_queue.claim(1)
    await stores.worker_queue.record_messages(job, recorded_pages(PAGE_TS))
    return job


async def test_press_waits_for_the_record_of_its_message(stores: Stores) -> None:
    [job] = await stores.worker_queue.claim(1)
    clock = BusyClock(meanwhile=lambda: stores.worker_queue.record_messages(job, recorded_pages(PAGE_TS)))
    assert await actions_of(stores, clock).perform(STOP) is None
    assert (await stores.worker_queue.heartbeat({job: StepEstimate()})).ids_to_stop == {job.id}


async def test_message_that_is_not_on_record_in_time_is_unknown(stores: Stores) -> None:
    clock = BusyClock()
    assert await actions_of(stores, clock).perform(STOP) == ActionResponse(texts.actions.ANSWER_UNKNOWN)
    assert clock.sleeps == [LOOKUP_DELAY_S] * (MAX_RECORD_LOOKUPS - 1)


async def test_press_that_needs_an_end_waits_for_it(stores: Stores) -> None:
    job = await under_way(stores)

    async def finish() -> None:
        await stores.worker_queue.finish(job, END, "Because.")

    clock = BusyClock(meanwhile=finish)
    assert await actions_of(stores, clock).perform(replace(STOP, action=ReplyAction.REGENERATE)) is None
    assert clock.sleeps == [LOOKUP_DELAY_S]


async def test_press_that_needs_an_end_is_refused_if_there_is_none_in_time(stores: Stores) -> None:
    await under_way(stores)
    clock = BusyClock()
    refused = await actions_of(stores, clock).perform(replace(STOP, action=ReplyAction.REGENERATE))
    assert refused == ActionResponse(texts.actions.ANSWER_UNFINISHED)
    assert clock.sleeps == [LOOKUP_DELAY_S] * (MAX_RECORD_LOOKUPS - 1)


@pytest.mark.parametrize(
    ("answer", "action", "later_s"),
    [
        ("The Earth is", ReplyAction.CONTINUE, DOUBLE_PRESS_S),
        ("The Earth is", ReplyAction.REGENERATE_WITH, -2 * DOUBLE_PRESS_S),
        ("", ReplyAction.REGENERATE, DOUBLE_PRESS_S),
    ],
)
async def test_second_press_of_a_double_press_of_stop_says_that_it_has_no_effect(
    stores: Stores, answer: str, action: ReplyAction, later_s: float
) -> None:
    """Another process receives the second one. A press by a clock that was set back counts, too."""

    async def effects() -> int:
        async with stores.database.engine.connect() as connection:
            votes = (await connection.execute(sa.select(feedback))).all()
        return len(votes) + len(await stores.worker_queue.claim(1))

    job = await under_way(stores)
    assert await actions_of(stores, BusyClock()).perform(STOP) is None
    await stores.worker_queue.finish(job, End(EndReason.STOPPED, model=MODEL), answer)
    clock = BusyClock(stores.clock.now() + DOUBLE_PRESS_S / 2)
    others = actions_of(stores, clock)
    second = replace(STOP, action=action, value="up")
    assert (await others.perform(second), await effects()) == (ActionResponse(texts.actions.JUST_STOPPED), 0)
    clock.now_s += later_s
    await others.perform(second)
    assert await effects() == 1


PRESSED_IN: Mapping[str, End | None] = {
    "growing": None,
    "whole": replace(END, model=MODEL),
    "stopped": End(EndReason.STOPPED, model=MODEL),
    "cut": End(EndReason.LENGTH_LIMIT, model=MODEL),
    "a command": End(EndReason.COMMAND),
    "offered": End(EndReason.OFFERED),
}


@pytest.mark.parametrize("later_s", [0.1, 0.4, 0.6, 1.0, 2.9])
@pytest.mark.parametrize("end", PRESSED_IN.values(), ids=PRESSED_IN)
async def test_every_press_within_three_seconds_has_an_effect_or_a_response(
    stores: Stores, end: End | None, later_s: float
) -> None:
    """Each action of each answer is pressed, whether it is shown or not; a double press, too."""
    clock = BusyClock()
    actions = actions_of(stores, clock)
    for number, action in enumerate(ReplyAction):
        thread = replace(QUESTION.thread, thread_ts=f"1.{number:06d}")
        await stores.question_queue.enqueue(f"Ev {action}", replace(QUESTION, thread=thread, ts=f"2.{number:06d}"))
        job = next(job for job in await stores.worker_queue.claim(9) if job.question.thread == thread)
        await stores.worker_queue.record_messages(job, recorded_pages(f"3.{number:06d}"))
        if end:
            await stores.worker_queue.finish(job, end, "| a |\n| - |\n" + "| 1 |\n" * 3)
        clock.now_s = stores.clock.now() + later_s
        press = Press(action, thread, f"3.{number:06d}", QUESTION.user_id, "up")
        stops_again = action is ReplyAction.STOP and end is None
        for is_enough in (False, stops_again):
            before, response = await state_of_all(stores), await actions.perform(press)
            is_answered = response is not None and response.sentence
            assert is_answered or before != await state_of_all(stores) or is_enough, action


async def state_of_all(stores: Stores) -> list[Any]:
    """Returns what the database has of answers and of what Slack will show."""
    async with stores.database.engine.connect() as connection:
        return [(await connection.execute(sa.select(table))).all() for table in (jobs, outbox_entries, feedback)]


@pytest.mark.parametrize(("action", "wish"), WISHES.items())
@pytest.mark.parametrize("value", ["", "thorough", "fast", "'; drop table jobs"])
async def test_button_and_not_its_value_says_what_is_wanted_of_the_next_version(
    stores: Stores, action: ReplyAction, wish: Wish, value: str
) -> None:
    # Long enough for every button.
    await stores.worker_queue.finish(await under_way(stores), End(EndReason.STEP_LIMIT), "x" * CANVAS_MIN_CHARS)
    assert await actions_of(stores, BusyClock()).perform(replace(STOP, action=action, value=value)) is None
    [again] = await stores.worker_queue.claim(1)
    assert (again.version, again.wish) == (1, wish)


def test_every_button_for_another_version_is_the_askers_alone() -> None:
    assert WISHES.keys() <= texts.actions.ONLY_ASKER.keys()


@pytest.mark.parametrize(
    ("action", "value"),
    [
        (ReplyAction.FEEDBACK, ""),
        (ReplyAction.FEEDBACK, "'; drop table jobs"),
    ],
)
async def test_value_that_no_button_has_is_refused(stores: Stores, action: ReplyAction, value: str) -> None:
    await stores.worker_queue.finish(await under_way(stores), replace(END, model=MODEL), "Because.")
    press = replace(STOP, action=action, value=value)
    assert await actions_of(stores, BusyClock()).perform(press) == ActionResponse(texts.actions.UNKNOWN_BUTTON)
    assert await stores.worker_queue.claim(1) == []


def press_of(call: RecordedCall, action: ReplyAction = ReplyAction.APPROVE, user_id: str = "U1", **more: Any) -> Press:
    return Press(action, QUESTION.thread, PAGE_TS, user_id, button_value(call, 0), **more)


@asynccontextmanager
async def asked_about(
    *calls: ToolCall, rules: Mapping[str, ToolRule] = RULES, access: AccessRules | None = None, **question: Any
) -> AsyncIterator[tuple[AnsweringStage, ReplyActions, list[RecordedCall]]]:
    async with staged(NotesServer(rules), asking(*calls), ANSWER, question=replace(QUESTION, **question)) as stage:
        accounts, stores = stage.accounts, stage.stores
        if access:
            control = AccessControl(
                access, accounts, Notifier(stores, workspace_of(ephemeral=accounts)), frozenset({"UADMIN"})
            )
            stage.change(access_control=control)
        await ended(stage, "awaiting_approval")
        async with stores.database.engine.begin() as connection:
            await connection.execute(
                sa.update(jobs).values(messages=[asdict(page) for page in recorded_pages(PAGE_TS)])
            )
        yield stage, actions_on(stage), list(await newest_calls(stores, 1))


async def test_decision_wakes_the_worker_once_it_is_the_last() -> None:
    async with asked_about(MILK, replace(MILK, index=1)) as (stage, actions, [first, second]):
        assert await actions.perform(press_of(first)) == ActionResponse(texts.approvals.OTHERS_WAIT)
        assert await actions.perform(press_of(second, ReplyAction.DENY)) is None
        await ended(stage)
        assert [call.state for call in await newest_calls(stage.stores, 1)] == [CallState.DONE, CallState.DENIED]


@pytest.mark.parametrize(
    ("action", "in_modal", "refused"),
    [
        (ReplyAction.APPROVE, False, True),
        (ReplyAction.ALLOW_ALWAYS, False, True),
        (ReplyAction.DENY, False, False),
        (ReplyAction.APPROVE, True, False),
        (ReplyAction.ALLOW_ALWAYS, True, False),
    ],
)
async def test_cut_arguments_are_approved_only_where_they_are_shown_whole(
    action: ReplyAction, in_modal: bool, refused: bool
) -> None:
    long = replace(MILK, arguments={"text": "Milk " * SHOWN_ARGUMENT_CHARS})
    async with asked_about(long) as (stage, actions, [call]):
        response = await actions.perform(press_of(call, action, "UADMIN", in_modal=in_modal))
        assert (response == ActionResponse(texts.approvals.SHOW_ALL_FIRST)) is refused
        [now] = await newest_calls(stage.stores, 1)
        assert (now.decision is None) is refused


@pytest.mark.parametrize(
    ("action", "tools"), [(ReplyAction.APPROVE, []), (ReplyAction.DENY, []), (ReplyAction.ALLOW_ALWAYS, [WRITE])]
)
async def test_approval_of_one_call_allows_no_other(action: ReplyAction, tools: list[str]) -> None:
    async with asked_about(MILK) as (stage, actions, [call]):
        await actions.perform(press_of(call, action, "UADMIN"))
        allowed = await stage.stores.approvals.allowed_tools()
    assert [one.tool for one in allowed] == tools


GUESTS_TOO = AccessRules(extra_kinds=frozenset({UserKind.GUEST}))


def edited(call: RecordedCall, typed: Mapping[int, str]) -> EditedCall:
    place = ApprovalPlace(QUESTION.thread.channel_id, QUESTION.thread.thread_ts, PAGE_TS, button_value(call, 0))
    return EditedCall(place, typed, ["argument-0"])


@pytest.mark.parametrize(
    ("typed", "decision", "made_with"),
    [
        ({0: "Bread"}, Decision.EDITED, {"text": "Bread", "count": 2}),
        ({0: ""}, Decision.EDITED, {"text": "", "count": 2}),
        ({}, Decision.APPROVED, {"text": "Milk", "count": 2}),
        ({1: "3", 7: "x"}, Decision.APPROVED, {"text": "Milk", "count": 2}),
    ],
)
async def test_call_is_made_once_with_the_texts_that_its_approver_has_changed(
    typed: dict[int, str], decision: Decision, made_with: dict[str, object]
) -> None:
    counted = replace(MILK, arguments={"text": "Milk", "count": 2})
    async with asked_about(counted) as (stage, actions, [call]):
        assert await actions.perform(press_of(call, ReplyAction.EDIT)) is None
        assert surfaces_of(actions).modals == [edited(call, {}).place]
        assert await actions.decisions.approve_edited("U1", edited(call, typed)) == ""
        assert (
            await actions.decisions.approve_edited("U1", edited(call, {0: "Beer"})) == texts.approvals.NOTHING_TO_DECIDE
        )
        await ended(stage)
        [now] = await newest_calls(stage.stores, 1)
        assert isinstance(stage.tools, NotesServer)
        assert stage.tools.calls == [(WRITE, made_with)]
    assert (now.state, now.decision, now.decided_by, now.arguments) == (CallState.DONE, decision, "U1", made_with)


async def test_required_text_is_never_sent_empty() -> None:
    async with asked_about(MILK) as (stage, actions, [call]):
        schema = {"required": ["text"], "properties": {"text": {"type": "string"}}}
        pin = Pin(call.definition_hash, ListedTool("add", "", schema, "").canonical_json)
        await stage.stores.tool_pins.pin(tool_owner(call.tool), {call.tool: pin})
        for emptied in ("", "  \n"):
            refused = await actions.decisions.approve_edited("U1", edited(call, {0: emptied}))
            assert refused == {"argument-0": texts.approvals.REQUIRED}
        [now] = await newest_calls(stage.stores, 1)
        assert now.decision is None
        assert await actions.decisions.approve_edited("U1", edited(call, {0: "Bread"})) == ""


async def test_changed_call_is_bound_to_what_its_approver_has_submitted() -> None:
    async with asked_about(MILK, replace(MILK, index=1)) as (stage, actions, [call, _]):
        assert await actions.decisions.approve_edited("U1", edited(call, {0: "Bread"})) == ""
        [now, _] = await newest_calls(stage.stores, 1)
        assert (now.state, now.binding) == (CallState.READY, replace(call, arguments={"text": "Bread"}).binding)
        assert await actions.perform(press_of(call)) == ActionResponse(texts.approvals.NOTHING_TO_DECIDE)
        [noted] = [line for line in await stage.stores.audit.page(1, 100) if line["kind"] == "decision"]
    assert (noted["decision"], noted["arguments_sha256"]) == ("edited", arguments_hash({"text": "Bread"}))


@pytest.mark.parametrize(
    ("user_id", "kind", "typed", "refused"),
    [
        ("U2", UserKind.MEMBER, {0: "Bread"}, "Only @U1 or a Typist admin can decide on this."),
        ("U1", UserKind.GUEST, {0: "Bread"}, texts.access.Denial.NOT_A_MEMBER),
        (
            "U1",
            UserKind.MEMBER,
            {0: "&" * MAX_ARGUMENT_CHARS},
            texts.approvals.edited_too_long(MAX_ARGUMENT_CHARS),
        ),
    ],
)
async def test_change_that_is_refused_leaves_the_call_waiting(
    user_id: str, kind: UserKind, typed: dict[int, str], refused: str
) -> None:
    async with asked_about(MILK, access=GUESTS_TOO) as (stage, actions, [call]):
        stage.accounts.kind_of_all = kind
        assert await actions.decisions.approve_edited(user_id, edited(call, typed)) == refused
        [now] = await newest_calls(stage.stores, 1)
    assert (now.state, now.decision, now.arguments) == (CallState.ASKED, None, {"text": "Milk"})


@pytest.mark.parametrize(
    ("call", "user_id", "response"),
    [
        (LIST, "U1", texts.approvals.NOTHING_TO_DECIDE),
        (replace(MILK, arguments={"text": "a\u200bb"}), "U1", texts.approvals.NOTHING_TO_DECIDE),
        (MILK, "U2", texts.actions.only_asker("U1", texts.actions.ONLY_ASKER["edit"])),
    ],
    ids=["without arguments", "hidden characters", "another person"],
)
async def test_only_who_may_approve_is_shown_fields_and_only_for_texts(
    call: ToolCall, user_id: str, response: str
) -> None:
    rules = {READ: ToolRule(Permission.ASK, read_only=True), WRITE: ToolRule(Permission.ASK)}
    async with asked_about(call, rules=rules) as (_, actions, [asked]):
        assert await actions.perform(press_of(asked, ReplyAction.EDIT, user_id)) == ActionResponse(response)
    assert surfaces_of(actions).modals == []


@pytest.mark.parametrize(
    ("tool", "action", "refused"),
    [
        (WRITE, ReplyAction.APPROVE, True),
        (WRITE, ReplyAction.ALLOW_ALWAYS, True),
        (WRITE, ReplyAction.DENY, False),
        (READ, ReplyAction.APPROVE, False),
    ],
)
async def test_only_members_approve_what_may_change_something(tool: str, action: ReplyAction, refused: bool) -> None:
    rules = {READ: ToolRule(Permission.ASK, read_only=True), WRITE: ToolRule(Permission.ASK)}
    async with asked_about(replace(MILK, name=tool), rules=rules, access=GUESTS_TOO) as (stage, actions, [call]):
        stage.accounts.kind_of_all = UserKind.GUEST
        response = await actions.perform(press_of(call, action, "UADMIN"))
        assert response == (ActionResponse(texts.access.Denial.NOT_A_MEMBER) if refused else None)
        [now] = await newest_calls(stage.stores, 1)
        assert (now.decision is None) is refused


async def test_slack_is_asked_once_who_presses() -> None:
    asked: list[str] = []

    def kind() -> UserKind:
        asked.append("now")
        return UserKind.MEMBER

    async with asked_about(MILK) as (stage, actions, [call]):
        stage.accounts.kind_at_calls = kind
        await actions.perform(press_of(call))
        [now] = await newest_calls(stage.stores, 1)
    assert (now.decision, asked) == (Decision.APPROVED, ["now"])


@pytest.mark.parametrize("action", [ReplyAction.ARGUMENTS, ReplyAction.APPROVE, ReplyAction.ALLOW_ALWAYS])
async def test_calls_are_shown_to_and_allowed_by_those_who_have_access_themselves_now(action: ReplyAction) -> None:
    bots_too = AccessRules(extra_kinds=frozenset({UserKind.BOT}))
    # A bot's tools only read.
    rules = {READ: ToolRule(Permission.ASK, read_only=True)}
    async with asked_about(LIST, rules=rules, access=bots_too, is_from_bot=True) as (stage, actions, [call]):
        stage.accounts.kind_at_calls = lambda: UserKind.GUEST
        assert await actions.perform(press_of(call, action, "UADMIN")) == ActionResponse(Denial.GUEST)
        [now] = await newest_calls(stage.stores, 1)
    assert (now.decision, surfaces_of(actions).modals) == (None, [])


@pytest.mark.parametrize(
    ("user_id", "decision", "can_approve"),
    [("U1", None, True), ("UADMIN", None, True), ("U2", None, False), ("U1", Decision.DENIED, False)],
)
async def test_modal_with_arguments_offers_approval_only_while_it_may_be_given(
    user_id: str, decision: Decision | None, can_approve: bool
) -> None:
    async with asked_about(MILK, replace(MILK, index=1)) as (stage, actions, [call, _]):
        if decision:
            assert await stage.stores.approvals.decide(1, 0, call, decision, "U1")
        assert await actions.perform(press_of(call, ReplyAction.ARGUMENTS, user_id)) is None
    place = ApprovalPlace("C1", QUESTION.thread.thread_ts, PAGE_TS, button_value(call, 0))
    assert surfaces_of(actions).modals == [place if can_approve else None]


@pytest.mark.parametrize("action", [ReplyAction.APPROVE, ReplyAction.ALLOW_ALWAYS, ReplyAction.ARGUMENTS])
async def test_press_that_names_no_call_does_nothing(action: ReplyAction) -> None:
    async with asked_about(MILK) as (stage, actions, [call]):
        forged = replace(press_of(call, action, "UADMIN"), value=f"{button_value(call, 0)}0")
        assert await actions.perform(forged) == ActionResponse(texts.approvals.NOTHING_TO_DECIDE)
        [now] = await newest_calls(stage.stores, 1)
    assert (now.decision, surfaces_of(actions).modals) == (None, [])


@pytest.mark.parametrize(
    ("action", "state"),
    [(ReplyAction.APPROVE, CallState.DONE), (ReplyAction.DENY, CallState.DENIED)],
)
async def test_one_press_decides_about_all_calls_of_a_card(action: ReplyAction, state: CallState) -> None:
    async with asked_about(MILK, replace(MILK, index=1)) as (stage, actions, calls):
        both = replace(press_of(calls[0], action), value=" ".join(button_value(call, 0) for call in calls))
        assert await actions.perform(replace(both, user_id="U2")) == ActionResponse(
            texts.actions.only_asker("U1", texts.actions.ONLY_ASKER[action])
        )
        assert await actions.perform(both) is None
        await ended(stage)
        assert [call.state for call in await newest_calls(stage.stores, 1)] == [state, state]
        assert await actions.perform(both) == ActionResponse(texts.approvals.NOTHING_TO_DECIDE)


async def test_press_about_several_calls_is_refused_for_those_that_it_cannot_name() -> None:
    async with asked_about(MILK, replace(MILK, index=1)) as (stage, actions, [first, second]):
        forged = replace(press_of(first), value=f"{button_value(first, 0)} {button_value(second, 0)}0")
        assert await actions.perform(forged) == ActionResponse(texts.approvals.NOTHING_TO_DECIDE)
        assert [call.decision for call in await newest_calls(stage.stores, 1)] == [Decision.APPROVED, None]


async def test_first_of_several_decisions_about_a_call_counts_and_the_others_read_that_there_is_none() -> None:
    async with asked_about(MILK, replace(MILK, index=1)) as (_, actions, [call, _]):
        at_once = await asyncio.gather(*(actions.perform(press_of(call)) for _ in range(4)))
        responses = [*at_once, await actions.perform(press_of(call, ReplyAction.DENY))]
    assert responses.count(ActionResponse(texts.approvals.OTHERS_WAIT)) == 1
    assert responses.count(ActionResponse(texts.approvals.NOTHING_TO_DECIDE)) == 4


async def test_details_are_those_of_the_calls_for_people_with_access() -> None:
    async with asked_about(MILK) as (stage, actions, [call]):
        await actions.perform(press_of(call))
        await ended(stage)
        details = await actions.perform(press_of(call, ReplyAction.DETAILS, "U2"))
        stage.accounts.kind_at_calls = lambda: UserKind.GUEST
        assert await actions.perform(press_of(call, ReplyAction.DETAILS, "U2")) == ActionResponse(Denial.GUEST)
    assert details is not None
    assert (details.sentence, '"text": "Milk"' in details.markdown) == (texts.approvals.TOOLS_USED, True)


CHOOSES = End(EndReason.WHOLE, choices=("Tea", "Coffee"))
CHOSEN = Press(ReplyAction.CHOOSE, QUESTION.thread, PAGE_TS, "U2", choices.button_value(0, 1))


async def asked_as(stores: Stores) -> list[tuple[str, str, str, str]]:
    """Returns the questions that are still to be posted: their ID, who asks, the text, and the page that offers it."""
    unposted = sa.select(jobs).where(jobs.c.status == "unposted")
    async with stores.database.engine.connect() as connection:
        rows = (await connection.execute(unposted)).all()
    return [(row.asked_as, row.user_id, row.text, row.unposted["about"]["ts"]) for row in rows]


async def test_choice_is_asked_once_in_the_name_of_whoever_presses_first(stores: Stores) -> None:
    await stores.worker_queue.finish(await under_way(stores), CHOOSES, "Which?")
    actions = actions_of(stores, BusyClock())
    at_once = await asyncio.gather(actions.perform(CHOSEN), actions.perform(replace(CHOSEN, user_id="U3")))
    assert [*at_once] == [None, ActionResponse(texts.actions.ALREADY_CHOSEN)]
    assert await asked_as(stores) == [("choice:1:0", "U2", "Coffee", PAGE_TS)]


@pytest.mark.parametrize(
    ("value", "kind", "sentence"),
    [
        (choices.button_value(0, 2), UserKind.MEMBER, texts.actions.BUTTON_OUTDATED),
        (choices.button_value(1, 1), UserKind.MEMBER, texts.actions.BUTTON_OUTDATED),
        (choices.button_value(0, 1), UserKind.GUEST, Denial.GUEST),
    ],
    ids=["no such choice", "another version", "denied"],
)
async def test_choice_is_refused_if_it_is_not_offered_or_its_presser_has_no_access(
    stores: Stores, value: str, kind: UserKind, sentence: str
) -> None:
    await stores.worker_queue.finish(await under_way(stores), CHOOSES, "Which?")
    actions = actions_on(AnsweringStage(stores, BusyClock(), accounts=Accounts(kind_of_all=kind)))
    assert await actions.perform(replace(CHOSEN, value=value)) == ActionResponse(sentence)
    assert await asked_as(stores) == []


async def test_deleted_answer_is_stopped(stores: Stores) -> None:
    job = await under_way(stores)
    assert await actions_of(stores, BusyClock()).perform(replace(STOP, action=ReplyAction.DELETE)) is None
    assert (await stores.worker_queue.heartbeat({job: StepEstimate()})).ids_to_stop == {job.id}


async def test_of_two_presses_at_once_one_regenerates_the_answer(stores: Stores) -> None:
    await stores.worker_queue.finish(await under_way(stores), END, "Because.")
    actions = actions_of(stores, BusyClock())
    again = replace(STOP, action=ReplyAction.REGENERATE)
    responses = await asyncio.gather(actions.perform(again), actions.perform(again))
    assert sorted(responses, key=bool) == [None, ActionResponse(texts.actions.ANSWER_UNFINISHED)]


async def test_word_stop_that_comes_twice_stops_once_and_is_never_a_question(stores: Stores) -> None:
    actions = actions_of(stores, BusyClock())
    [job] = await stores.worker_queue.claim(1)
    assert not await actions.stops.stop_by_message(QUESTION.thread, "U2", "999995.000000"), "not the asker's"
    assert not await actions.stops.stop_by_message(QUESTION.thread, "U1", QUESTION.ts), "the question itself"
    assert await actions.stops.stop_by_message(QUESTION.thread, "U1", "999995.000000")
    assert (await stores.worker_queue.heartbeat({job: StepEstimate()})).ids_to_stop == {job.id}
    await stores.worker_queue.finish(job, replace(END, reason=EndReason.STOPPED), "")
    assert await actions.stops.stop_by_message(QUESTION.thread, "U1", "999995.000000"), "Slack's second event"
    assert not await actions.stops.stop_by_message(QUESTION.thread, "U1", "999996.000000"), "there is nothing to stop"


async def test_stop_outside_of_threads_ends_the_askers_answer_in_a_thread_if_it_is_the_only_one(
    stores: Stores,
) -> None:
    actions, queue = actions_of(stores, BusyClock()), stores.question_queue
    at_root = replace(QUESTION.thread, thread_ts=None)
    other = replace(QUESTION, thread=replace(QUESTION.thread, thread_ts="7.000000"), ts="7.000000")
    assert not await actions.stops.stop_by_message(at_root, "U1", "999991.000000"), "no answer is begun"
    await queue.enqueue("Ev2", other)
    jobs = await stores.worker_queue.claim(2)
    assert not await actions.stops.stop_by_message(at_root, "U1", "999992.000000"), "which of two?"
    await stores.worker_queue.finish(jobs[0], END, "")
    assert not await actions.stops.stop_by_message(at_root, "U2", "999993.000000"), "not the asker's"
    elsewhere = replace(at_root, channel_id="C2")
    assert not await actions.stops.stop_by_message(elsewhere, "U1", "999994.000000"), "not in this channel"
    assert not await actions.stops.stop_by_message(at_root, "U1", "6.000000"), "before the question"
    assert await actions.stops.stop_by_message(at_root, "U1", "999995.000000")
    assert (await stores.worker_queue.heartbeat({jobs[1]: StepEstimate()})).ids_to_stop == {jobs[1].id}
    assert await actions.stops.stop_by_message(at_root, "U1", "999995.000000"), "Slack's second event"


@pytest.mark.parametrize(
    ("user_id", "sentences"), [("U1", []), ("U2", [texts.actions.only_asker("U1", texts.actions.ONLY_ASKER["stop"])])]
)
async def test_slacks_stop_counts_once_and_a_refused_one_is_told(
    stores: Stores, user_id: str, sentences: list[str]
) -> None:
    actions = actions_of(stores, BusyClock())
    [job] = await stores.worker_queue.claim(1)
    for _ in range(2):
        await actions.stops.stop_session(QUESTION.thread, user_id, "Ev9")
    assert [response.sentence for response in surfaces_of(actions).responses] == sentences
    assert (await stores.worker_queue.heartbeat({job: StepEstimate()})).ids_to_stop == (
        {job.id} if user_id == "U1" else set()
    )


@pytest.mark.parametrize("error", [StoreError("away"), RateLimited("m", 1.0), Refused("m", "e", Refusal.TRANSIENT)])
async def test_failed_press_is_told(stores: Stores, error: Exception) -> None:
    class Away(RecordedAnswers):
        async def answer_in_message(self, thread: ThreadKey, message_ts: str) -> AnswerRecord | None:
            raise error

    actions = actions_of(stores, BusyClock())
    presses = replace(actions.presses, stores=having(stores, recorded_answers=Away(stores.database)))
    actions = replace(actions, presses=presses)
    await actions.on_press(STOP)
    assert surfaces_of(actions).responses == [ActionResponse(texts.actions.ACTION_FAILED)]


async def test_previous_version_is_shown_in_place(stores: Stores) -> None:
    await stores.worker_queue.finish(await under_way(stores), END, "Because.")
    await stores.question_queue.regenerate(1)
    await stores.worker_queue.finish(await under_way(stores), END, "For a reason.")
    actions = actions_of(stores, BusyClock())
    assert await actions.perform(replace(STOP, action=ReplyAction.NEXT)) == ActionResponse(
        texts.actions.BUTTON_OUTDATED
    )
    assert await actions.perform(replace(STOP, action=ReplyAction.PREVIOUS)) is None
    [entry] = await stores.outbox.claim_due(9)
    shown = await stores.outbox.unshown_end(entry)
    assert shown
    assert (entry.kind, shown.checkpoint.text) == (OutboxKind.REPLY, "Because.")
    assert await actions.perform(replace(STOP, action=ReplyAction.CANVAS)) == ActionResponse(
        texts.actions.BUTTON_OUTDATED
    )


async def test_what_a_question_said_before_it_became_a_command_isnt_answered_again(stores: Stores) -> None:
    await stores.worker_queue.finish(await under_way(stores), END, "Because.")
    assert await stores.question_queue.edit(replace(QUESTION, text="remember: tea", is_command=True), "9.0")
    await stores.worker_queue.finish(await under_way(stores), End(EndReason.COMMAND), "")
    actions = actions_of(stores, BusyClock())
    assert await actions.perform(replace(STOP, action=ReplyAction.PREVIOUS)) is None
    [entry] = await stores.outbox.claim_due(9)
    shown = await stores.outbox.unshown_end(entry)
    assert shown
    assert shown.record
    below = picture(shown.record)
    assert (below.notice, below.buttons) == (
        texts.answers.QUESTION_EDITED,
        (ReplyAction.NEXT, ReplyAction.FEEDBACK, ReplyAction.DELETE),
    )
    again = replace(STOP, action=ReplyAction.REGENERATE)
    assert await actions.perform(again) == ActionResponse(texts.actions.BUTTON_OUTDATED)


@pytest.mark.parametrize(
    ("kind", "can_write", "sentence"),
    [
        (UserKind.MEMBER, True, texts.canvases.BEGUN),
        (UserKind.GUEST, True, Denial.GUEST),
        (UserKind.MEMBER, False, texts.canvases.FORBIDDEN),
    ],
)
async def test_answer_is_saved_for_an_asker_with_access_if_the_app_may_write_canvases(
    stores: Stores, kind: UserKind, can_write: bool, sentence: str
) -> None:
    await stores.worker_queue.finish(await under_way(stores), END, "Because. " * CANVAS_MIN_CHARS)
    stage = AnsweringStage(stores, BusyClock(), accounts=Accounts(kind_of_all=kind))
    stage.workspace.canvases.can_write = can_write
    actions = actions_on(stage)
    assert await actions.perform(replace(STOP, action=ReplyAction.CANVAS)) == ActionResponse(sentence)
    async with stores.database.engine.connect() as connection:
        kinds = set(await connection.scalars(sa.select(outbox_entries.c.kind)))
    assert (OutboxKind.MAKE_CANVAS in kinds) is (sentence == texts.canvases.BEGUN)


ASKS_WHY = ActionResponse(
    texts.actions.THANKS_NOT_HELPED,
    follow_ups={f"feedback_reason-{reason}": label for reason, label in texts.actions.DOWN_REASONS.items()},
    value=PAGE_TS,
)
VOTE = replace(STOP, action=ReplyAction.FEEDBACK, user_id="U2", value="down")
REASON = replace(VOTE, action=ReplyAction.FEEDBACK_REASON, value="too_long")


@pytest.mark.parametrize(
    ("value", "response"), [("up", ActionResponse(texts.actions.THANKS_HELPED)), ("down", ASKS_WHY)]
)
@pytest.mark.parametrize("end", [replace(END, model=MODEL), End(EndReason.INTERRUPTED_TOO_OFTEN)])
async def test_vote_is_on_record_for_the_presser(
    stores: Stores, value: str, response: ActionResponse, end: End
) -> None:
    job = await under_way(stores)
    await stores.worker_queue.finish(job, end, "Because.")
    actions = actions_of(stores, BusyClock())
    assert await actions.perform(replace(VOTE, value=value)) == response
    assert await votes(stores) == [(job.id, "U2", 1 if value == "up" else -1, None)]


async def test_delete_in_a_menu_asks_first(stores: Stores) -> None:
    await stores.worker_queue.finish(await under_way(stores), END, "Because.")
    actions, delete = actions_of(stores, BusyClock()), replace(STOP, action=ReplyAction.DELETE)
    asks = await actions.perform(replace(delete, value=MORE))
    assert asks == ActionResponse(
        texts.actions.delete_answer("Why?"), follow_ups={"delete-confirmed": texts.actions.DELETE}, value=PAGE_TS
    )
    gone = ActionResponse(texts.actions.ANSWER_DELETED, replaces_response=True)
    assert await actions.perform(replace(delete, value=CONFIRMED)) == gone
    assert await actions.perform(replace(delete, value=MORE)) == ActionResponse(texts.actions.ANSWER_DELETED)


async def votes(stores: Stores) -> list[tuple[Any, ...]]:
    async with stores.database.engine.connect() as connection:
        rows = (await connection.execute(sa.select(feedback))).all()
    return [(row.job_id, row.user_id, row.value, row.reason) for row in rows]


@pytest.mark.parametrize("reason", DownReason)
async def test_reason_is_on_record_for_who_gave_it(stores: Stores, reason: DownReason) -> None:
    job = await under_way(stores)
    await stores.worker_queue.finish(job, replace(END, model=MODEL), "Because.")
    actions = actions_of(stores, BusyClock())
    await actions.perform(VOTE)
    # A version that is written meanwhile is not the one that they mean.
    await actions.perform(replace(STOP, action=ReplyAction.REGENERATE))
    response = await actions.perform(replace(REASON, value=reason))
    assert response == ActionResponse(texts.actions.REASON_NOTED[reason], replaces_response=True)
    assert await votes(stores) == [(job.id, "U2", -1, reason)]


async def test_reason_needs_a_thumb_down_that_still_stands(stores: Stores) -> None:
    job = await under_way(stores)
    await stores.worker_queue.finish(job, replace(END, model=MODEL), "Because.")
    actions = actions_of(stores, BusyClock())
    await actions.perform(VOTE)
    await actions.perform(REASON)
    await actions.perform(replace(VOTE, value="up"))
    gone = ActionResponse(texts.actions.NO_LONGER_DOWN, replaces_response=True)
    for user_id in ("U2", "U3"):
        assert await actions.perform(replace(REASON, user_id=user_id)) == gone
    assert await votes(stores) == [(job.id, "U2", 1, None)]
    assert await actions.perform(replace(REASON, value="ugly")) == ActionResponse(texts.actions.UNKNOWN_BUTTON)


async def test_regenerated_answer_that_is_queued_gets_the_placeholder_of_its_next_version(stores: Stores) -> None:
    job = await under_way(stores)
    await stores.worker_queue.finish(job, END, "Because.")
    await stores.question_queue.enqueue("Ev2", replace(QUESTION, ts="999995.000000"))
    await stores.worker_queue.claim(1)
    actions = actions_of(stores, BusyClock())
    posted = PostedPlaceholders()
    actions.worker.workspace = having(actions.workspace, scheduler=posted)
    assert await actions.perform(replace(STOP, action=ReplyAction.REGENERATE)) is None
    await posted.begun.wait()
    [queued] = posted.jobs
    assert (queued.id, queued.version, queued.page_ts) == (job.id, 1, (PAGE_TS,))


@dataclass
class PostedPlaceholders(MemoryReplies):
    """Replies that keep the queued jobs whose placeholders they post."""

    jobs: list[Job] = field(default_factory=list)
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    async def post_placeholder(self, job: Job) -> None:
        self.jobs.append(job)
        self.begun.set()


def surfaces_of(actions: ReplyActions) -> MemorySurfaces:
    surfaces: object = actions.workspace.surfaces
    assert isinstance(surfaces, MemorySurfaces)
    return surfaces
