"""Schedules as Block Kit: the list, the modal that changes one, the notice of a pause, and lines for App Home. Pure.

A model wrote a schedule's words, so nothing in them is markup. A button names its schedule, which is looked up when
somebody presses: no value is trusted, and the presser's rights are checked then.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from bot.core import texts
from bot.core.conversation import escape, is_direct
from bot.core.schedules import PauseReason, Rule, Schedule, zone_of
from bot.markdown.extent import counted_chars
from bot.markdown.links import without_schemes
from bot.markdown.render import beginning
from bot.slack.blockkit import (
    Json,
    actions,
    button,
    checkboxes,
    checked,
    confirm,
    context,
    divider,
    input_field,
    modal,
    modal_to_read,
    moment_mrkdwn,
    mrkdwn,
    number_input,
    plain_text,
    section,
    text_area,
    text_line,
    untouched,
    values_of,
)

MAX_LISTED = 20
"""As many as a channel can have. A person's own, in all places, may be more."""
WORDS_ROOMS = (300, 150, 75, 30, 10)
"""How much of a schedule's words a list shows: as much as fits."""
LIST_CHARS = 13_000
"""Slack takes 13,200 characters of text in a message's blocks. Whether that holds for a view, nobody has measured."""
MAX_AT_HOME = 5
AT_HOME_CHARS = 150
CHANGE_SCHEDULE = "change_schedule"
"""The callback id of the modal that changes a schedule."""

_PLACE = re.compile("(?:[CDG][A-Z0-9]{1,40})?")
_VIEW_ID = re.compile("[A-Z0-9]{0,40}")
_SCHEDULE_ID = re.compile("[0-9]{1,18}")


class ScheduleAction(StrEnum):
    """What a button does with schedules. The value is the button's action_id in Slack; its own names a schedule."""

    LIST = "schedules"
    """Its value is a channel, or "" for the presser's own schedules."""
    CHANGE = "schedule_change"
    RUN = "schedule_run"
    PAUSE = "schedule_pause"
    RESUME = "schedule_resume"
    STOP = "schedule_stop"


class ScheduleField(StrEnum):
    """A field of the modal that changes a schedule."""

    WORDS = "words"
    WHEN = "when"
    """Five fields of cron, or one time."""
    ZONE = "zone"
    ONLY_IF_CHANGED = "only_if_changed"
    RUN_TOKENS = "run_tokens"
    DAY_TOKENS = "day_tokens"


@dataclass(frozen=True, slots=True)
class ListPlace:
    """Where a person sees a list of schedules."""

    channel_id: str
    """Whose schedules it has; "" for a person's own, in all places."""
    view_id: str
    """Of its modal."""


@dataclass(frozen=True, slots=True)
class ScheduleList:
    """Schedules as one person sees them."""

    channel_id: str
    """As in ListPlace."""
    schedules: Sequence[Schedule]
    reader_id: str
    is_admin: bool
    outcome: str = ""
    """What the reader's last press did, in mrkdwn."""

    def may_change(self, schedule: Schedule) -> bool:
        """Whether the reader may."""
        return self.is_admin or schedule.user_id == self.reader_id


def schedules_modal(listed: ScheduleList) -> Json:
    """Returns the modal with a list of schedules, with buttons for those that the reader may change."""
    by_room = (_list(listed, room) for room in WORDS_ROOMS)
    blocks = next((blocks for blocks in by_room if _chars(blocks) <= LIST_CHARS), _list(listed, WORDS_ROOMS[-1]))
    metadata = json.dumps({"channel_id": listed.channel_id})
    return {**modal_to_read(texts.SCHEDULES, blocks, close=texts.CLOSE_DETAILS), "private_metadata": metadata}


def _chars(node: Any) -> int:
    """Returns the length of all text in blocks, also that of buttons and their dialogs, as Slack counts it."""
    if not isinstance(node, dict):
        return sum(map(_chars, node)) if isinstance(node, list) else 0
    own = counted_chars(node["text"]) if isinstance(node.get("text"), str) else 0
    return own + sum(map(_chars, node.values()))


def _list(listed: ScheduleList, words_chars: int) -> list[Json]:
    blocks = [section(mrkdwn(f"*{listed.outcome}*")), divider()] if listed.outcome else []
    if not listed.schedules:
        nothing = texts.NO_SCHEDULES_HERE if listed.channel_id else texts.NO_SCHEDULES_OF_YOURS
        blocks.append(section(plain_text(nothing)))
    for number, schedule in enumerate(listed.schedules[:MAX_LISTED]):
        whose = texts.created_by(f"<@{schedule.user_id}>") if listed.channel_id else _place(schedule)
        blocks += [divider()] if number else []
        blocks.append(section(plain_text(_words(schedule, words_chars))))
        blocks.append(context(mrkdwn(" · ".join([*_when(schedule), whose, *_terms(schedule)]))))
        blocks += [_buttons(schedule)] if listed.may_change(schedule) else []
    if (more := len(listed.schedules) - MAX_LISTED) > 0:
        blocks.append(context(plain_text(texts.more_schedules(more))))
    return blocks


def list_place(view: Mapping[str, Any]) -> ListPlace:
    """Returns which list a person uses. Raises ValueError."""
    return _place_of(json.loads(view["private_metadata"])["channel_id"], view["id"])


def schedule_id(value: str) -> int:
    """Returns the schedule that the value of a button names. Raises ValueError for one that no schedule has."""
    if not _SCHEDULE_ID.fullmatch(value):
        raise ValueError("schedule")
    return int(value)


def list_channel(value: str) -> str:
    """Returns the channel that the value of a button for a list names. Raises ValueError."""
    return _place_of(value, "").channel_id


def _place_of(channel_id: str, view_id: str) -> ListPlace:
    if not (_PLACE.fullmatch(channel_id) and _VIEW_ID.fullmatch(view_id)):
        raise ValueError("place")
    return ListPlace("" if is_direct(channel_id) else channel_id, view_id)


def list_button(channel_id: str) -> Json:
    """Returns the button that lists a channel's schedules, or with "" the presser's own."""
    return button(ScheduleAction.LIST, texts.SCHEDULES, channel_id)


def schedules_at_home(schedules: Sequence[Schedule]) -> list[Json]:
    """Returns App Home's part about a person's schedules; nothing if there are none."""
    if not schedules:
        return []
    blocks = [section(mrkdwn(f"*{texts.YOUR_SCHEDULES}*"))]
    for schedule in schedules[:MAX_AT_HOME]:
        blocks.append(section(plain_text(_words(schedule, AT_HOME_CHARS))))
        blocks.append(context(mrkdwn(" · ".join([*_when(schedule), _place(schedule)]))))
    if (more := len(schedules) - MAX_AT_HOME) > 0:
        blocks.append(context(plain_text(texts.more_channels(more))))
    return [*blocks, actions([list_button("")])]


def pause_notice(schedule: Schedule) -> Json:
    """Returns the arguments of chat.postMessage that tell of a paused schedule: the place, or its creator."""
    place = "" if is_direct(schedule.channel_id) else f"<#{schedule.channel_id}>"
    sentence = texts.schedule_paused(schedule.paused or "", f"<@{schedule.user_id}>", place)
    words = section(plain_text(_words(schedule, WORDS_ROOMS[0])))
    is_over = schedule.paused is PauseReason.MISSED
    goes_on = (ScheduleAction.RUN, texts.RUN_NOW) if is_over else (ScheduleAction.RESUME, texts.RESUME)
    buttons = actions([button(*goes_on, str(schedule.id)), _stop(schedule)])
    return {"text": sentence, "blocks": [section(mrkdwn(sentence)), words, buttons]}


def run_line(schedule: Schedule, creator: str, *, is_late: bool, block_id: str) -> Json:
    """Returns the line of a run's post that says whose it is and why it comes, with Stop. `creator` is a name."""
    text = mrkdwn(texts.scheduled_by(escape(creator), _rule(schedule.rule), is_late=is_late))
    return {**section(text), "accessory": _stop(schedule), "block_id": block_id}


def _words(schedule: Schedule, limit: int) -> str:
    return without_schemes(beginning(schedule.words, limit))


def _rule(rule: Rule) -> str:
    return texts.in_zone(rule.explained, rule.zone) if rule.cron else texts.ONCE


def _when(schedule: Schedule) -> list[str]:
    """Returns a schedule's rule, and what comes next, in mrkdwn."""
    if schedule.paused:
        state = texts.paused_because(schedule.paused)
    elif schedule.next_at is None:
        state = texts.SCHEDULE_OVER
    else:
        in_utc = texts.time_in_utc(datetime.fromtimestamp(schedule.next_at, UTC))
        state = texts.NEXT_TIME + moment_mrkdwn(schedule.next_at, texts.TIME_FORMAT, in_utc)
    return [_rule(schedule.rule), state]


def _place(schedule: Schedule) -> str:
    channel_id = schedule.channel_id
    return texts.IN_OUR_DIRECT_MESSAGE if is_direct(channel_id) else texts.posts_in(f"<#{channel_id}>")


def _terms(schedule: Schedule) -> list[str]:
    used = texts.used_this_month(texts.amount(schedule.used.tokens, schedule.used.cost_usd))
    return [used, *([texts.ONLY_IF_SOMETHING_IS_NEW] if schedule.only_if_changed else [])]


def _buttons(schedule: Schedule) -> Json:
    value = str(schedule.id)
    buttons = [button(ScheduleAction.CHANGE, texts.CHANGE, value)]
    if schedule.paused:
        buttons.append(button(ScheduleAction.RESUME, texts.RESUME, value))
    elif not schedule.is_done:
        buttons.append(button(ScheduleAction.PAUSE, texts.PAUSE, value))
    run = button(ScheduleAction.RUN, texts.RUN_NOW, value)
    return actions([*buttons, run, _stop(schedule)], f"schedule-{schedule.id}")


def _stop(schedule: Schedule) -> Json:
    sure = confirm(texts.STOP_SCHEDULE_TITLE, texts.STOP_SCHEDULE_QUESTION, yes=texts.STOP, no=texts.KEEP)
    return button(ScheduleAction.STOP, texts.STOP, str(schedule.id), confirm=sure)


def change_modal(schedule: Schedule, place: ListPlace | None) -> Json:
    """Returns the modal that changes a schedule. `place`: the list that shows it, None if none does."""
    label = texts.SCHEDULE_LABELS[ScheduleField.WORDS]
    words = text_area(ScheduleField.WORDS, placeholder=label, initial=schedule.words, focus=True)
    skips = checkboxes(
        ScheduleField.ONLY_IF_CHANGED,
        {ScheduleField.ONLY_IF_CHANGED: texts.SKIP_IF_UNCHANGED},
        chosen=(ScheduleField.ONLY_IF_CHANGED,) if schedule.only_if_changed else (),
        focus=False,
    )
    fields = [
        _field(ScheduleField.WORDS, words),
        _line_field(ScheduleField.WHEN, when_of(schedule.rule)),
        _line_field(ScheduleField.ZONE, schedule.rule.zone),
        _field(ScheduleField.ONLY_IF_CHANGED, skips, optional=True),
        _tokens_field(ScheduleField.RUN_TOKENS, schedule.run_tokens),
        _tokens_field(ScheduleField.DAY_TOKENS, schedule.day_tokens),
    ]
    return modal(
        CHANGE_SCHEDULE,
        texts.CHANGE_SCHEDULE_TITLE,
        [context(mrkdwn(" · ".join(_when(schedule)))), *fields],
        submit=texts.SAVE,
        close=texts.CANCEL,
        private_metadata=json.dumps({"id": str(schedule.id), "place": asdict(place) if place else None}),
    )


def submitted_change(view: Mapping[str, Any]) -> tuple[int, ListPlace | None, dict[ScheduleField, str]]:
    """Returns which schedule a person changes, the list that shows it, and what they changed. Raises ValueError."""
    metadata = json.loads(view["private_metadata"])
    place = _place_of(**metadata["place"]) if metadata["place"] else None
    entered, shown = _entered(view), _entered(untouched(view))
    changed = {field: text for field, text in entered.items() if text != shown[field]}
    return schedule_id(metadata["id"]), place, changed


def _entered(view: Mapping[str, Any]) -> dict[ScheduleField, str]:
    values = values_of(view)
    boxes = "".join(checked(view, ScheduleField.ONLY_IF_CHANGED))
    fields = {field: values.get(field, "").strip() for field in ScheduleField}
    return fields | {ScheduleField.ONLY_IF_CHANGED: boxes}


def when_of(rule: Rule) -> str:
    """Returns a rule as people write it: five fields, or one time in its zone."""
    return rule.cron if rule.at is None else f"{datetime.fromtimestamp(rule.at, zone_of(rule.zone)):%Y-%m-%d %H:%M}"


def _field(name: ScheduleField, element: Json, *, optional: bool = False) -> Json:
    hint = texts.SCHEDULE_HINTS.get(name, "")
    return input_field(name, texts.SCHEDULE_LABELS[name], element, hint=hint, optional=optional)


def _line_field(name: ScheduleField, initial: str) -> Json:
    return _field(name, text_line(name, placeholder=texts.SCHEDULE_LABELS[name], initial=initial, focus=False))


def _tokens_field(name: ScheduleField, initial: int) -> Json:
    entry = number_input(name, placeholder=texts.SCHEDULE_LABELS[name], initial=str(initial), decimals=False)
    return _field(name, entry)
