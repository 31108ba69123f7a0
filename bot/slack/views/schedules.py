"""Renders schedules: the list, the modal in which people change them, notices about runs, and App Home's blocks. Pure.

A schedule's words were written by a model, so they aren't treated as markup. A button's value is a schedule ID, which
isn't trusted. When somebody clicks the button, the schedule is looked up and the person's rights are checked.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from bot.core import texts
from bot.core.actions import ReplyAction
from bot.core.conversation import escape, is_direct_message
from bot.core.schedules import PauseReason, Rule, Run, RunReport, Schedule, Weekly, zone_of
from bot.core.unposted import MessageQuestion
from bot.slack import plain
from bot.slack.blockkit import (
    Json,
    actions,
    button,
    checkboxes,
    checked_options,
    confirm,
    context,
    divider,
    field_values,
    initial_view,
    input_field,
    modal,
    mrkdwn,
    number_input,
    plain_text,
    read_only_modal,
    rich_text_quote,
    section,
    text_area,
    text_line,
    time_picker,
)
from bot.slack.json_values import json_objects
from bot.slack.posted_questions import MODAL_PREFIX, RUN_PREFIX
from bot.slack.views.modal import Modal
from slack_markdown.extent import counted_chars
from slack_markdown.links import without_schemes
from slack_markdown.render import beginning

MAX_LISTED = 20
"""Maximum number of schedules per channel. A person can have more in total."""
WORDS_LIMITS = (300, 150, 75, 30, 10)
"""Lengths to which the words of schedules in a list can be cut. The first one with which the list fits is used."""
LIST_CHARS = 13_000
"""Maximum length of a list. Slack accepts 13,200 characters in a message; for views, the limit hasn't been measured."""
MAX_AT_HOME = 5
AT_HOME_CHARS = 150
_ID = "change_schedule"

_PLACE = re.compile("(?:[CDG][A-Z0-9]{1,40})?")
_VIEW_ID = re.compile("[A-Z0-9]{0,40}")
_SCHEDULE_ID = re.compile("[0-9]{1,18}")


class ScheduleAction(StrEnum):
    """The action_id of a schedule's button. The value of such a button is a schedule ID."""

    LIST = "schedules"
    """The value of this button is a channel ID instead, or "" for the person's own schedules."""
    CHANGE = "schedule_change"
    RUN = "schedule_run"
    PAUSE = "schedule_pause"
    RESUME = "schedule_resume"
    STOP = "schedule_stop"
    RESTORE = "schedule_restore"
    DETAILS = "schedule_details"


class ScheduleField(StrEnum):
    WORDS = "words"
    DAYS = "days"
    """Cron weekdays, separated by commas."""
    TIME = "time"
    OTHER = "other"
    """Replaces DAYS and TIME. Contains five cron fields or a single time, optionally followed by a time zone."""
    ONLY_IF_CHANGED = "only_if_changed"
    ONLY_IF = "only_if"
    RUN_TOKENS = "run_tokens"
    DAY_TOKENS = "day_tokens"


@dataclass(frozen=True, slots=True)
class ListPlace:
    channel_id: str
    """The channel whose schedules are listed, or "" for all of a person's own schedules."""
    view_id: str


@dataclass(frozen=True, slots=True)
class SubmittedSchedule:
    schedule_id: int
    place: ListPlace | None
    entered: Mapping[ScheduleField, str]
    """Entries in the fields that were changed. Other fields keep their current values, which somebody else might have
    changed in the meantime."""


@dataclass(frozen=True, slots=True)
class ScheduleList:
    channel_id: str
    schedules: Sequence[Schedule]
    reader_id: str
    is_admin: bool
    outcome: str = ""
    """The result of the reader's last action, as mrkdwn."""

    def can_change(self, schedule: Schedule) -> bool:
        return self.is_admin or schedule.user_id == self.reader_id


def schedules_modal(listed: ScheduleList) -> Json:
    by_length = (_rows(listed, room) for room in WORDS_LIMITS)
    blocks = next((blocks for blocks in by_length if _chars(blocks) <= LIST_CHARS), _rows(listed, WORDS_LIMITS[-1]))
    metadata = json.dumps({"channel_id": listed.channel_id})
    return {**read_only_modal(texts.schedules.SCHEDULES, blocks), "private_metadata": metadata}


def _chars(node: Any) -> int:
    """Returns the total length of the text in blocks, counted as Slack does, including buttons and their dialogs."""
    if not isinstance(node, dict):
        return sum(map(_chars, node)) if isinstance(node, list) else 0
    own = counted_chars(node["text"]) if isinstance(node.get("text"), str) else 0
    return own + sum(map(_chars, node.values()))


def _rows(listed: ScheduleList, words_chars: int) -> list[Json]:
    blocks = [section(mrkdwn(f"*{listed.outcome}*")), divider()] if listed.outcome else []
    if not listed.schedules:
        nothing = texts.schedules.NOTHING_HERE if listed.channel_id else texts.schedules.NO_SCHEDULES_OF_YOURS
        blocks.append(section(plain_text(nothing)))
    for number, schedule in enumerate(listed.schedules[:MAX_LISTED]):
        whose = texts.schedules.created_by(f"<@{schedule.user_id}>") if listed.channel_id else _where(schedule)
        blocks += [divider()] if number else []
        blocks.append(section(plain_text(_words(schedule, words_chars))))
        blocks.append(context(mrkdwn(" · ".join([*_timing_lines(schedule), whose, *_terms_lines(schedule)]))))
        blocks += [_buttons(schedule)] if listed.can_change(schedule) else []
    if (more := len(listed.schedules) - MAX_LISTED) > 0:
        blocks.append(context(plain_text(texts.schedules.more_schedules(more))))
    return blocks


def list_place_of(view: Mapping[str, Any]) -> ListPlace:
    return _parse_list_place(json.loads(view["private_metadata"])["channel_id"], view["id"])


def parse_schedule_id(value: str) -> int:
    if not _SCHEDULE_ID.fullmatch(value):
        raise ValueError("schedule")
    return int(value)


def schedule_id_in_button(value: str) -> int | None:
    """Returns the schedule ID in the value of a sign-in button, or None if the button belongs to a call in an
    answer."""
    return int(value) if _SCHEDULE_ID.fullmatch(value) else None


def listed_channel_id(value: str) -> str:
    return _parse_list_place(value, "").channel_id


def _parse_list_place(channel_id: str, view_id: str) -> ListPlace:
    if not (_PLACE.fullmatch(channel_id) and _VIEW_ID.fullmatch(view_id)):
        raise ValueError("place")
    return ListPlace("" if is_direct_message(channel_id) else channel_id, view_id)


def list_button(channel_id: str) -> Json:
    """Returns the button that lists a channel's schedules, or the person's own schedules if `channel_id` is ""."""
    return button(ScheduleAction.LIST, texts.schedules.SCHEDULES, channel_id)


def home_schedule_blocks(schedules: Sequence[Schedule]) -> list[Json]:
    if not schedules:
        return []
    blocks = [section(mrkdwn(f"*{texts.schedules.YOUR_SCHEDULES}*"))]
    for schedule in schedules[:MAX_AT_HOME]:
        blocks.append(section(plain_text(_words(schedule, AT_HOME_CHARS))))
        blocks.append(context(mrkdwn(" · ".join([*_timing_lines(schedule), _where(schedule), *_counts(schedule)]))))
    if (more := len(schedules) - MAX_AT_HOME) > 0:
        blocks.append(context(plain_text(texts.home.more_channels(more))))
    return [*blocks, actions([list_button("")])]


def run_notice(schedule: Schedule, report: RunReport, signed_out: Sequence[str] = ()) -> Json:
    """Returns chat.postMessage's arguments for a notice that a run was skipped or a schedule was paused. `signed_out`:
    servers for which sign-ins are missing."""
    if report.has_caused_pause(schedule):
        return _pause_notice(schedule, signed_out)
    next_time = "" if schedule.next_at is None else texts.times.token(schedule.next_at)
    sentence = texts.schedules.run_skipped(texts.times.token(report.due_at), report.skip_reason, next_time)
    words = context(plain_text(_words(schedule, WORDS_LIMITS[0])))
    return plain.message([section(mrkdwn(sentence)), words])


def _pause_notice(schedule: Schedule, signed_out: Sequence[str]) -> Json:
    place = "" if is_direct_message(schedule.channel_id) else f"<#{schedule.channel_id}>"
    why = (
        texts.schedules.sign_in_ended_reason(signed_out)
        if signed_out
        else texts.schedules.PAUSE_REASONS[schedule.pause_reason or ""]
    )
    sentence = texts.schedules.schedule_paused(why, f"<@{schedule.user_id}>", place)
    words = section(plain_text(_words(schedule, WORDS_LIMITS[0])))
    number, buttons = str(schedule.id), []
    if signed_out:
        buttons.append(button(ReplyAction.SIGN_IN, texts.accounts.SIGN_IN, number, primary=True))
    at_due_time = PauseReason.MISSED, PauseReason.QUOTA, PauseReason.SIGNED_OUT
    if schedule.rule.at is not None and schedule.pause_reason in at_due_time:
        buttons.append(button(ScheduleAction.RUN, texts.schedules.RUN_NOW, number))
    elif not signed_out:
        buttons.append(button(ScheduleAction.RESUME, texts.schedules.RESUME, number))
    stop = stop_button(schedule.id, texts.schedules.STOP_SCHEDULE)
    return plain.message([section(mrkdwn(sentence)), words, actions([*buttons, stop])])


def run_line(schedule: Schedule, names: Mapping[str, str], *, is_late: bool, block_id: str) -> Json:
    """Returns the line in a run's post that shows its creator and rule, with a Stop button. `names`: user names, keyed
    by ID. A one-time run is a reminder, so its line mentions the creator and has no Stop button."""
    creator, changer = (escape(names.get(id_, id_)) for id_ in (schedule.user_id, schedule.changed_by))
    is_once = schedule.rule.at is not None
    creator = f"<@{schedule.user_id}>" if is_once and not is_direct_message(schedule.channel_id) else creator
    rule = "" if is_once else texts.words.sentence_case(schedule.rule.description)
    text = mrkdwn(texts.schedules.scheduled_by(creator, rule, changer, is_late=is_late))
    stop = {} if is_once else {"accessory": stop_button(schedule.id, texts.schedules.STOP_SCHEDULE)}
    return {**section(text), **stop, "block_id": block_id}


def posted_run(question: MessageQuestion, run: Run, names: Mapping[str, str], *, is_late: bool) -> Json:
    """Returns chat.postMessage's arguments for a run. The line's block_id identifies the run. `names`: keyed by user
    ID."""
    text = without_schemes(question.text)
    line = run_line(run.schedule, names, is_late=is_late, block_id=f"{MODAL_PREFIX}{question.view_id}")
    quote = rich_text_quote(text, f"{RUN_PREFIX}{question.user_id}")
    return plain.message([quote, line])


def restated_run(message: Mapping[str, Any], schedule_id: int, stopped_by: str) -> Json:
    """Returns a run's post that shows who stopped the schedule. If `stopped_by` is "", the post has its Stop button
    again."""
    *quote, line = json_objects(message, "blocks")
    text = line["text"]["text"].partition(texts.schedules.STOPPED_BY)[0]
    text += texts.schedules.STOPPED_BY + escape(stopped_by) if stopped_by else ""
    stop = {} if stopped_by else {"accessory": stop_button(schedule_id, texts.schedules.STOP_SCHEDULE)}
    return plain.message([*map(dict, quote), {**section(mrkdwn(text)), **stop, "block_id": line["block_id"]}])


def _words(schedule: Schedule, limit: int) -> str:
    return without_schemes(beginning(schedule.words, limit))


def _timing_lines(schedule: Schedule) -> list[str]:
    rule = schedule.rule
    at = schedule.next_at if rule.at is None else rule.at
    due = "" if at is None else texts.times.token(at, texts.times.DAY_OF_SCHEDULE)
    when = texts.words.sentence_case(rule.description) if rule.at is None else f"{texts.schedules.ONCE}: {due}"
    if schedule.pause_reason:
        state = texts.schedules.paused_because(schedule.pause_reason)
    elif schedule.next_at is None:
        state = texts.schedules.SCHEDULE_OVER
    else:
        state = texts.schedules.next_for_reader(due) if rule.at is None else ""
    changed = texts.schedules.changed_by(f"<@{schedule.changed_by}>") if schedule.changed_by else ""
    return [part for part in (f"{texts.schedules.NUMBER} {schedule.id}", when, changed, state) if part]


def _where(schedule: Schedule) -> str:
    channel_id = schedule.channel_id
    return (
        texts.schedules.IN_OUR_DIRECT_MESSAGE
        if is_direct_message(channel_id)
        else texts.schedules.posts_in(f"<#{channel_id}>")
    )


def _terms_lines(schedule: Schedule) -> list[str]:
    used = texts.schedules.used_this_month(
        texts.quotas.amount_for_members(schedule.usage.tokens, schedule.usage.cost_usd)
    )
    with_account = [texts.schedules.with_account(schedule.accounts)] if schedule.accounts else []
    only_if = [texts.silence.rule_text(escape(schedule.only_if)), *_counts(schedule)] if schedule.only_if else []
    return [
        used,
        *with_account,
        *only_if,
        *([texts.schedules.ONLY_IF_SOMETHING_IS_NEW] if schedule.only_if_changed else []),
    ]


def _counts(schedule: Schedule) -> list[str]:
    return [texts.silence.runs_and_posts(schedule.runs, schedule.posts)] if schedule.runs else []


def silent_runs_modal(schedule: Schedule, silent: Sequence[tuple[float, str]]) -> Json:
    """Returns the modal that lists the due time of each of a schedule's last silent runs, and the reason it was
    silent."""
    blocks = [section(mrkdwn(" · ".join([*_timing_lines(schedule), *_counts(schedule)])))]
    for due_at, reason in silent:
        blocks += [context(mrkdwn(texts.times.token(due_at))), section(plain_text(without_schemes(reason)))]
    return read_only_modal(texts.silence.SILENT_RUNS, blocks)


def _buttons(schedule: Schedule) -> Json:
    value = str(schedule.id)
    buttons = [button(ScheduleAction.CHANGE, texts.schedules.CHANGE, value)]
    if schedule.pause_reason:
        buttons.append(button(ScheduleAction.RESUME, texts.schedules.RESUME, value))
    elif not schedule.is_done:
        buttons.append(button(ScheduleAction.PAUSE, texts.schedules.PAUSE, value))
    if schedule.runs > schedule.posts:
        buttons.append(button(ScheduleAction.DETAILS, texts.actions.DETAILS, value))
    run = button(ScheduleAction.RUN, texts.schedules.RUN_NOW, value)
    label = texts.schedules.REMOVE if schedule.is_done else texts.actions.STOP
    stop = stop_button(schedule.id, label, asks_first=not schedule.is_done)
    return actions([*buttons, run, stop], f"schedule-{schedule.id}")


def stop_button(schedule_id: int, label: str = texts.actions.STOP, *, asks_first: bool = True) -> Json:
    if not asks_first:
        return button(ScheduleAction.STOP, label, str(schedule_id))
    sure = confirm(
        texts.schedules.STOP_SCHEDULE_TITLE,
        texts.schedules.STOP_SCHEDULE_QUESTION,
        yes=texts.actions.STOP,
        no=texts.actions.KEEP,
    )
    return button(ScheduleAction.STOP, label, str(schedule_id), confirm=sure)


def _change_modal(schedule: Schedule, place: ListPlace | None, weekly: Weekly | None, zone: str) -> Json:
    """Returns the modal that changes a schedule. `place`: the list that shows it, or None. `weekly`: the rule in the
    reader's `zone`, or None if the rule doesn't consist of just days and a time."""
    label = texts.schedules.SCHEDULE_LABELS[ScheduleField.WORDS]
    skips = checkboxes(
        {ScheduleField.ONLY_IF_CHANGED: texts.schedules.SKIP_IF_UNCHANGED},
        chosen=(ScheduleField.ONLY_IF_CHANGED,) if schedule.only_if_changed else (),
    )
    labels = {str(day % 7): texts.rules.day_of_week(day) for day in range(1, 8)}
    chosen = tuple(map(str, weekly.days)) if weekly else ()
    other = "" if weekly else rule_as_entered(schedule.rule)
    time_label = texts.schedules.in_zone(texts.schedules.SCHEDULE_LABELS[ScheduleField.TIME], zone)
    fields = [
        _field(ScheduleField.WORDS, text_area(placeholder=label, initial=schedule.words, focus=True), optional=False),
        _field(ScheduleField.DAYS, checkboxes(labels, chosen=chosen)),
        input_field(ScheduleField.TIME, time_label, time_picker(weekly.time if weekly else "")),
        _field(ScheduleField.OTHER, text_line(placeholder="0 9 1 * *", initial=other)),
        _field(ScheduleField.ONLY_IF_CHANGED, skips),
        _field(ScheduleField.ONLY_IF, text_line(placeholder=texts.silence.PLACEHOLDER, initial=schedule.only_if)),
        _tokens_field(ScheduleField.RUN_TOKENS, schedule.run_tokens),
        _tokens_field(ScheduleField.DAY_TOKENS, schedule.day_tokens),
    ]
    return modal(
        _ID,
        texts.schedules.CHANGE_SCHEDULE_TITLE,
        [context(mrkdwn(" · ".join(_timing_lines(schedule)))), *fields],
        {"id": str(schedule.id), "place": asdict(place) if place else None},
    )


def _parse_submission(view: Mapping[str, Any]) -> SubmittedSchedule:
    metadata = json.loads(view["private_metadata"])
    place = _parse_list_place(**metadata["place"]) if metadata["place"] else None
    entered, shown = _entered_values(view), _entered_values(initial_view(view))
    changed = {field: text for field, text in entered.items() if text != shown[field]}
    return SubmittedSchedule(parse_schedule_id(metadata["id"]), place, changed)


def _entered_values(view: Mapping[str, Any]) -> dict[ScheduleField, str]:
    values = field_values(view)
    boxes = {
        field: ",".join(sorted(checked_options(view, field)))
        for field in (ScheduleField.DAYS, ScheduleField.ONLY_IF_CHANGED)
    }
    return {field: values.get(field, "").strip() for field in ScheduleField} | boxes


def rule_as_entered(rule: Rule) -> str:
    """Formats a rule in the form in which people enter it: five cron fields or a single time, followed by the time
    zone."""
    when = rule.cron if rule.at is None else f"{datetime.fromtimestamp(rule.at, zone_of(rule.zone)):%Y-%m-%d %H:%M}"
    return f"{when} {rule.zone}"


def _field(name: ScheduleField, element: Json, *, optional: bool = True) -> Json:
    hint = texts.schedules.SCHEDULE_HINTS.get(name, "")
    return input_field(name, texts.schedules.SCHEDULE_LABELS[name], element, hint=hint, optional=optional)


def _tokens_field(name: ScheduleField, initial: int) -> Json:
    entry = number_input(placeholder=texts.schedules.SCHEDULE_LABELS[name], initial=str(initial), allows_decimals=False)
    return _field(name, entry, optional=False)


CHANGE_SCHEDULE = Modal(_ID, _change_modal, _parse_submission, lambda _: ScheduleField.WORDS)
