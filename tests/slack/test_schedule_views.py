"""Schedules as Block Kit: Slack takes the largest ones, and nothing in a schedule's words is markup."""

import json
from dataclasses import replace

import pytest

from bot.core import texts
from bot.core.caps import Amount
from bot.core.schedules import MAX_WORDS_CHARS, PauseReason, Rule, Schedule
from bot.slack.blockkit import Json, home
from bot.slack.schedule_views import (
    MAX_LISTED,
    ListPlace,
    ScheduleAction,
    ScheduleList,
    change_modal,
    pause_notice,
    schedules_at_home,
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
    paused=None,
    created_at=1_795_000_000.0,
    used=Amount(999_999_999, 9_999.0),
)
PAUSED = [replace(SCHEDULE, next_at=None, paused=reason) for reason in PauseReason]
DONE = replace(SCHEDULE, rule=Rule("Asia/Kolkata", at=1_796_000_000.0), next_at=None)


def listed(*schedules: Schedule, channel_id: str = "C1", reader_id: str = "U1") -> Json:
    numbered = [replace(schedule, id=number) for number, schedule in enumerate(schedules)]
    return schedules_modal(ScheduleList(channel_id, numbered, reader_id, is_admin=False, outcome="Saved."))


@pytest.mark.parametrize("channel_id", ["C1", ""])
def test_slack_takes_the_longest_list(channel_id: str) -> None:
    view = listed(*[SCHEDULE] * (MAX_LISTED + 5), channel_id=channel_id)
    check_view(view, "modal")
    assert texts.more_schedules(5) in str(view)
    check_view(listed(*[replace(SCHEDULE, words="&" * MAX_WORDS_CHARS)] * MAX_LISTED, channel_id=channel_id), "modal")
    check_view(home(schedules_at_home([SCHEDULE] * 30)), "home")


@pytest.mark.parametrize("schedule", [SCHEDULE, DONE, *PAUSED])
def test_slack_takes_each_state(schedule: Schedule) -> None:
    check_view(listed(schedule), "modal")
    check_view(change_modal(schedule, ListPlace("C1", "V1")), "modal")
    if schedule.paused:
        check_blocks(pause_notice(schedule)["blocks"])


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


def test_no_word_of_a_schedule_is_markup() -> None:
    blocks = [*listed(SCHEDULE)["blocks"], *schedules_at_home([SCHEDULE]), *pause_notice(PAUSED[0])["blocks"]]
    with_words = [block for block in blocks if "<!channel>" in json.dumps(block)]
    assert len(with_words) == 3
    assert {block["text"]["type"] for block in with_words} == {"plain_text"}
