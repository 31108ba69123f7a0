"""Schedules as Block Kit: Slack takes the largest ones, and nothing in a schedule's words is markup."""

import json
from dataclasses import replace

import pytest

from bot.core import texts
from bot.core.actions import ReplyAction
from bot.core.caps import Amount
from bot.core.schedules import MAX_WORDS_CHARS, PauseReason, Rule, RunReport, Schedule, Weekly
from bot.slack.blockkit import Json, field_values, home, initial_view
from bot.slack.views.schedules import (
    CHANGE_SCHEDULE,
    MAX_AT_HOME,
    MAX_LISTED,
    ListPlace,
    ScheduleAction,
    ScheduleField,
    ScheduleList,
    home_schedule_blocks,
    run_line,
    run_notice,
    schedules_modal,
)
from slack_sandbox.blocks.elements import interactive
from slack_sandbox.blocks.rules import check_blocks
from slack_sandbox.blocks.view_rules import check_view

LONGEST = f"{','.join(map(str, range(0, 60, 2)))} {','.join(map(str, range(24)))} * * *"
SCHEDULE = Schedule(
    1,
    "T1",
    "C1",
    "U1",
    ("<!channel> *&* `x` " * 80)[:MAX_WORDS_CHARS],
    Rule("America/Argentina/ComodRivadavia", LONGEST),
    only_if_changed=True,
    run_tokens=999_999_999,
    day_tokens=999_999_999,
    next_at=1_796_000_000.0,
    last_at=None,
    failures=0,
    pause_reason=None,
    created_at=1_795_000_000.0,
    usage=Amount(999_999_999, 9_999.0),
)
PAUSED = [replace(SCHEDULE, next_at=None, pause_reason=reason) for reason in PauseReason]
DONE = replace(SCHEDULE, rule=Rule("Asia/Kolkata", at=1_796_000_000.0), next_at=None)


def listed(*schedules: Schedule, channel_id: str = "C1", reader_id: str = "U1") -> Json:
    numbered = [replace(schedule, id=number) for number, schedule in enumerate(schedules)]
    return schedules_modal(ScheduleList(channel_id, numbered, reader_id, is_admin=False, outcome="Saved."))


@pytest.mark.parametrize("channel_id", ["C1", ""])
def test_slack_takes_the_longest_list(channel_id: str) -> None:
    view = listed(*[SCHEDULE] * (MAX_LISTED + 5), channel_id=channel_id)
    check_view(view, "modal")
    check_view(listed(*[replace(SCHEDULE, words="&" * MAX_WORDS_CHARS)] * MAX_LISTED, channel_id=channel_id), "modal")
    check_view(home(home_schedule_blocks([SCHEDULE] * 30)), "home")


@pytest.mark.parametrize("left_out", [0, 1, 7])
def test_list_and_home_say_how_many_schedules_they_leave_out(left_out: int) -> None:
    *_, in_list = listed(*[SCHEDULE] * (MAX_LISTED + left_out))["blocks"]
    *_, at_home, _ = home_schedule_blocks([SCHEDULE] * (MAX_AT_HOME + left_out))
    assert (texts.schedules.more_schedules(left_out) in str(in_list)) is (left_out > 0)
    assert (texts.home.more_channels(left_out) in str(at_home)) is (left_out > 0)


@pytest.mark.parametrize("schedule", [SCHEDULE, DONE, *PAUSED])
def test_slack_takes_each_state(schedule: Schedule) -> None:
    check_view(listed(schedule), "modal")
    for weekly in (Weekly("0,1,2,3,4,5,6", "09:00"), None):
        check_view(CHANGE_SCHEDULE.build(schedule, ListPlace("C1", "V1"), weekly, "Asia/Kolkata"), "modal")
    if schedule.pause_reason:
        check_blocks(run_notice(schedule, RunReport(1, 0.0))["blocks"])
        skipped = run_notice(replace(schedule, pause_reason=None), RunReport(1, 0.0, schedule.pause_reason))
        check_blocks(skipped["blocks"])
        assert texts.schedules.SKIP_REASONS[schedule.pause_reason] in skipped["text"]


@pytest.mark.parametrize(
    ("schedule", "others"),
    [
        (SCHEDULE, [ScheduleAction.PAUSE]),
        (DONE, []),
        *((schedule, [ScheduleAction.RESUME]) for schedule in PAUSED),
    ],
)
def test_creator_alone_has_the_buttons_that_fit_the_state(schedule: Schedule, others: list[ScheduleAction]) -> None:
    buttons = [element["action_id"] for _, element in interactive(listed(schedule)["blocks"])]
    assert buttons == [ScheduleAction.CHANGE, *others, ScheduleAction.RUN, ScheduleAction.STOP]
    assert list(interactive(listed(schedule, reader_id="U2")["blocks"])) == []


def test_fields_hold_what_the_schedule_has() -> None:
    schedule = replace(SCHEDULE, words="Sing.", only_if_changed=True, run_tokens=5, day_tokens=7)
    weekly = CHANGE_SCHEDULE.build(schedule, None, Weekly("1,3", "09:10"), "UTC")
    assert field_values(initial_view(weekly)) == {
        ScheduleField.WORDS: "Sing.",
        ScheduleField.TIME: "09:10",
        ScheduleField.RUN_TOKENS: "5",
        ScheduleField.DAY_TOKENS: "7",
    }
    other = field_values(initial_view(CHANGE_SCHEDULE.build(schedule, None, None, "UTC")))
    assert ScheduleField.TIME not in other
    assert other[ScheduleField.OTHER].startswith(LONGEST)


def test_change_by_an_admin_is_said_wherever_a_schedule_is_shown() -> None:
    changed = replace(SCHEDULE, changed_by="U9")
    for view in (
        listed(changed),
        home(home_schedule_blocks([changed])),
        CHANGE_SCHEDULE.build(changed, None, None, "UTC"),
    ):
        assert "changed by <@U9>" in str(view)
    line = run_line(changed, {"U1": "Ada", "U9": "Grace & Co"}, is_late=False, block_id="b")
    assert "Scheduled by Ada · changed by Grace &amp; Co · " in str(line)


@pytest.mark.parametrize(
    ("schedule", "who", "has_stop"),
    [
        (DONE, "<@U1>", False),
        (replace(DONE, channel_id="D1"), "Ada", False),
        (SCHEDULE, "Ada", True),
    ],
)
def test_run_at_a_single_time_mentions_its_creator_and_has_nothing_to_stop(
    schedule: Schedule, who: str, has_stop: bool
) -> None:
    line = run_line(schedule, {"U1": "Ada"}, is_late=False, block_id="b")
    check_blocks([line])
    assert line["text"]["text"].startswith(f"Scheduled by {who}{' · ' if has_stop else ''}")
    assert "Once" not in str(line)
    assert ("accessory" in line) is has_stop
    assert ("Stop schedule" in str(line) and "confirm" in str(line)) is has_stop


def test_schedule_that_has_run_is_removed_without_a_question() -> None:
    *_, (_, remove) = interactive(listed(DONE)["blocks"])
    assert (remove["text"]["text"], "confirm" in remove) == (texts.schedules.REMOVE, False)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (SCHEDULE.rule, [ReplyAction.SIGN_IN, ScheduleAction.STOP]),
        # A single time has passed, so it isn't resumed.
        (Rule("UTC", at=9.0), [ReplyAction.SIGN_IN, ScheduleAction.RUN, ScheduleAction.STOP]),
    ],
)
def test_creator_alone_gets_sign_in_below_the_notice_which_says_both(rule: Rule, expected: list[str]) -> None:
    schedule, report = (
        replace(SCHEDULE, rule=rule, pause_reason=PauseReason.SIGNED_OUT, next_at=None),
        RunReport(1, 0.0),
    )
    theirs, others = run_notice(schedule, report, ["jira", "wiki"]), run_notice(schedule, report)
    check_blocks(theirs["blocks"])
    assert [element["action_id"] for _, element in interactive(theirs["blocks"])] == expected
    assert "I paused a schedule of <@U1>" in theirs["text"]
    assert "your sign-in to jira and wiki has ended" in theirs["text"]
    assert ReplyAction.SIGN_IN not in [element["action_id"] for _, element in interactive(others["blocks"])]
    assert texts.schedules.PAUSE_REASONS[PauseReason.SIGNED_OUT] in others["text"]


@pytest.mark.parametrize("reason", PauseReason)
def test_single_time_that_has_passed_is_run_now_and_any_other_schedule_is_resumed(reason: PauseReason) -> None:
    is_past = reason in (PauseReason.MISSED, PauseReason.QUOTA, PauseReason.SIGNED_OUT)
    for rule in (SCHEDULE.rule, DONE.rule):
        message = run_notice(replace(SCHEDULE, rule=rule, pause_reason=reason, next_at=None), RunReport(1, 0.0))
        first, _ = [element["action_id"] for _, element in interactive(message["blocks"])]
        is_run = is_past and rule is DONE.rule
        assert first == (ScheduleAction.RUN if is_run else ScheduleAction.RESUME)


def test_no_word_of_a_schedule_is_markup() -> None:
    blocks = [
        *listed(SCHEDULE)["blocks"],
        *home_schedule_blocks([SCHEDULE]),
        *run_notice(PAUSED[0], RunReport(1, 0.0))["blocks"],
    ]
    with_words = [block for block in blocks if "<!channel>" in json.dumps(block)]
    assert len(with_words) == 3
    assert {block["text"]["type"] for block in with_words} == {"plain_text"}
