"""Text about schedules: cards, notices, lists, and reasons for rejecting a rule."""

from collections.abc import Sequence
from datetime import datetime

from bot.core.texts import rules, silence, times
from bot.core.texts.quotas import tokens
from bot.core.texts.words import CardWords, listed, sentence_case

SCHEDULES = "Schedules"
CREATE = "Create"
CHANGE = "Change"
STOP_SCHEDULE = "Stop schedule"
STOP_SCHEDULE_TITLE = "Stop this schedule?"
PROPOSES = {
    "create": ("Create this schedule?", CREATE, "Don't create"),
    "change": ("Change this schedule?", CHANGE, "Don't change"),
    "stop": (STOP_SCHEDULE_TITLE, STOP_SCHEDULE, "Don't stop"),
}
CARDS = {
    "create": CardWords(
        "Creating the schedule…", "I didn't create this schedule", "should I create the schedule above?", "a schedule"
    ),
    "change": CardWords(
        "Changing the schedule…",
        "I didn't change this schedule",
        "should I change the schedule as I proposed above?",
        "a change to a schedule",
    ),
    "stop": CardWords(
        "Stopping the schedule…",
        "I didn't stop this schedule",
        "should I stop the schedule above?",
        "stopping a schedule",
    ),
}
NEXT_TIME = "Next: "
INSTEAD_OF = ", instead of "
NUMBER = "Number"
_POSTS = {
    True: "When it's time, I'll post this, notify you, and answer below it.",
    False: "Each time, I'll post this with your name and answer below it.",
}
"""Sentences about a schedule's runs, keyed by whether there is only one run."""
_READS = "I'll read this conversation, and I won't change anything elsewhere."
_READS_ACCOUNT = (
    "I won't change anything elsewhere. I won't read this conversation either, so that nobody else can steer what I "
    "do with your account."
)
_PAUSES_ITSELF = "I'll pause it if it gets expensive."
"""Explains that a schedule has limits, which its modal shows."""
ONLY_IF_CHANGED = "It will run only if someone has written here since its last run."
ONLY_IF_CHANGED_BY_THEN = "It will run only if someone writes here before then."
ALSO_IF_UNCHANGED = "From now on, it will also run if nobody has written here."
SCHEDULE_GONE = "This schedule was stopped, so it won't run anymore."
NOT_YOUR_SCHEDULE = "Only the person who created this schedule and Typist admins can change it."
NOT_YOUR_SCHEDULES = "I can't confirm that you're in this channel, so I can't show you its schedules."
NOTHING_HERE = (
    "Nothing is scheduled here. To create a schedule, tell me what to do and when, such as “Every weekday at 9, sum "
    "up what happened here since yesterday.”"
)
NO_SCHEDULES_OF_YOURS = (
    "You don't have any. To create one, tell me what to do and when, such as “Every Friday at 4 pm, remind me of my "
    "open questions.”"
)
YOUR_SCHEDULES = "Your schedules"
RUN_NOW = "Run now"
PAUSE = "Pause"
RESUME = "Resume"
REMOVE = "Remove"
REMOVED = "Removed from the list."
STOP_SCHEDULE_QUESTION = "You can't resume it later."
SCHEDULE_STOPPED = "Stopped. It won't run anymore."
RESTORED = "Undone: the schedule continues."
CANT_RESTORE = "I can't undo this anymore. Please ask me to create the schedule again."
SCHEDULE_PRESSED = {
    "schedule_run": "It's running now. Its post and answer will appear in a moment.",
    "schedule_pause": "Paused. Press Resume to run it again.",
    "schedule_resume": "Resumed. It will run at its next scheduled time.",
    "schedule_stop": SCHEDULE_STOPPED,
    "schedule_change": "Saved.",
}
"""Confirmations to show after a click, keyed by ScheduleAction."""
SCHEDULE_UNCHANGED = {
    "schedule_run": "It's already running.",
    "schedule_pause": "It's already paused.",
    "schedule_resume": "It isn't paused, or its time has passed. Press Change to set another time.",
    "schedule_stop": SCHEDULE_GONE,
}
"""Responses to a click that had no effect, keyed by ScheduleAction."""
PAUSE_REASONS = {
    "by_person": "somebody paused it",
    "failures": "its last runs failed",
    "cap": "it has used up its token limit",
    "no_access": "the person who created it no longer has access to me",
    "not_in_channel": "the person who created it is no longer in the channel",
    "place_gone": "I can't post there anymore",
    "forbidden": "Slack doesn't allow me to post there; `typist check` shows admins why",
    "quota": "a quota was used up when it was due",
    "missed": "its time passed before I could run it",
    "signed_out": (
        "the person who created it is no longer signed in to a server that it uses. To sign in, use the button in my "
        "notice in our direct message"
    ),
}
SKIP_REASONS = {
    **PAUSE_REASONS,
    "quota": "a quota is used up",
    "missed": "I couldn't start it within an hour of its scheduled time",
}
ONCE = "Once"
SCHEDULE_OVER = "It has run."
ONLY_IF_SOMETHING_IS_NEW = "only if something is new"


def terms(servers: Sequence[str], *, is_once: bool) -> str:
    """Describes a schedule's runs on a card, in mrkdwn. `servers`: MCP servers where runs use the creator's account."""
    account = f"*I'll use your own {listed(servers)} account. Everyone here will see what I find.*" if servers else ""
    does = f"{_POSTS[is_once]} {_READS_ACCOUNT if servers else _READS}"
    return "\n".join(filter(None, (account, does, "" if is_once else _PAUSES_ITSELF)))


def with_account(servers: Sequence[str]) -> str:
    return f"with its creator's {', '.join(servers)} account"


def sign_in_needed(servers: str, person: str) -> str:
    return f"{person} must sign in to {servers} first, with the button that I sent in a direct message."


def channel_limit_reached(most: int) -> str:
    return (
        f"This conversation already has {most} schedules, which is the maximum. Stop one in the list of schedules "
        "first."
    )


def member_limit_reached(most: int) -> str:
    return (
        f"You already have {most} schedules in this channel, which is the maximum for one person. Stop one in the list "
        "of schedules first, or ask a Typist admin to create this one."
    )


def in_zone(rule: str, zone: str) -> str:
    return f"{rule} ({rules.city(zone)})"


def proposed_for(cron: str, at: str, zone: str) -> str:
    """Describes when a proposed schedule is due, from its cron fields or ISO time, or returns "" if both are
    missing."""
    words = rules.describe_cron(cron, zone) if cron else times.once(datetime.fromisoformat(at), zone) if at else ""
    return sentence_case(in_zone(words, zone)) if words else ""


def created_notice(number: int, rule: str, first: str) -> str:
    """Reports a new schedule below the answer. `first`: its first day, or "" if the rule includes that day."""
    return f"Created schedule {number}: {_first(rule, first)}."


def changed_notice(number: int, rule: str, first: str, *, is_paused: bool) -> str:
    """Reports a changed schedule below the answer. `first`: see `created_notice`."""
    when = f"{rule}. It stays paused" if is_paused else _first(rule, first)
    return f"Changed schedule {number}: {when}."


def _first(rule: str, first: str) -> str:
    return f"{rule}, next on {first}" if first else rule


def stopped_notice(number: int, rule: str, words: str = "") -> str:
    """Reports a stopped schedule. `words`: its task, or "" below a card that shows it."""
    quoted = f": “{words if words.endswith(('.', '!', '?', '…')) else f'{words}.'}”" if words else "."
    return f"Stopped schedule {number}, {rule}{quoted} It won't run anymore."


def already_scheduled(number: int) -> str:
    return f"That's already scheduled as number {number}."


def nothing_to_stop(number: str) -> str:
    return f"There's no schedule number {number} here. For the list, ask me “What is scheduled here?”"


def schedule_line(number: int, rule: str, first: str, words: str, person: str, *, is_paused: bool) -> str:
    """Returns a schedule's line in the list, as Markdown. `first`: see `created_notice`."""
    when = f"{rule}, paused" if is_paused else _first(rule, first)
    return f"- {sentence_case(when)}: {words} (number {number}, {person})"


def change_by_number(number: int) -> str:
    return f"Tell me what to change, or write “stop schedule {number}”."


def paused_because(reason: str) -> str:
    """Returns the text to show instead of a paused schedule's next time, in mrkdwn. `reason`: a key of
    PAUSE_REASONS."""
    return "*Paused*" if reason == "by_person" else f"*Paused*: {PAUSE_REASONS[reason]}"


def created_by(person: str) -> str:
    return f"created by {person}"


def changed_by(person: str) -> str:
    return f"changed by {person}"


IN_OUR_DIRECT_MESSAGE = "in our direct message"


def posts_in(place: str) -> str:
    return f"in {place}"


def used_this_month(amount: str) -> str:
    return f"{amount} this month"


def scheduled_by(person: str, rule: str, changer: str, *, is_late: bool) -> str:
    """Returns the line to show above a run, in mrkdwn. `rule` and `changer` can be ""."""
    changed = changed_by(changer) if changer else ""
    return " · ".join(filter(None, ("Scheduled by " + person, changed, rule, "later than planned" if is_late else "")))


STOPPED_BY = " · Stopped by "
SOMEONE = "someone"


def schedule_paused(why: str, person: str, place: str) -> str:
    """Tells a channel and a schedule's creator about a pause, in mrkdwn. `place`: "" in a direct message."""
    where = f" in {place}" if place else ""
    return f"I paused a schedule of {person}{where}: {why}."


def sign_in_ended_reason(servers: Sequence[str]) -> str:
    return f"your sign-in to {listed(servers)} has ended. Sign in, and I'll resume it"


def resumed_message(number: int, rule: str, next_time: str) -> str:
    return f"You're signed in, and I resumed your schedule {number}, {rule}. {next_for_reader(next_time)}."


def next_for_reader(next_time: str) -> str:
    """Returns the next time in the reader's time zone, to show next to a rule in another time zone. `next_time`: a date
    token."""
    return f"{NEXT_TIME}{next_time} (your time)"


ONLY_CREATOR_SIGNS_IN = "Only the person who created this schedule can sign in for it."
WAITS_FOR_NO_SIGN_IN = "This schedule is no longer waiting for a sign-in."
SIGNED_IN_TOO_LATE = "You're signed in, but this schedule's time has passed. Press Run now to run it."


def run_skipped(due: str, reason: str, next_time: str) -> str:
    """Returns the text to post instead of a skipped run, in mrkdwn. `next_time`: "" if there is none."""
    skipped = f"I skipped the run scheduled for {due}: {SKIP_REASONS[reason]}."
    return f"{skipped} {NEXT_TIME}{next_time}" if next_time else skipped


CHANGE_SCHEDULE_TITLE = "Change schedule"
SCHEDULE_LABELS = {
    "words": "What I should do",
    "days": "Days",
    "time": "Time",
    "other": "Other",
    "only_if_changed": "Nothing new",
    "only_if": silence.LABEL,
    "run_tokens": "Token limit for one run",
    "day_tokens": "Token limit per day",
}
SCHEDULE_HINTS = {
    "only_if": silence.HINT,
    "other": (
        "Instead of days and a time, enter one time, such as 2026-12-10 09:00, or five cron fields (minute, hour, "
        "day, month, weekday): 0 9 1 * * is the 1st of each month at 9:00. You can add a time zone, such as "
        "Europe/Berlin."
    ),
    "day_tokens": "Days begin at 00:00 UTC. I'll pause the schedule when it has used up its token limit.",
}
DAYS_AND_TIME = "Choose days and a time, or fill in Other."
NOT_BOTH = "Choose days and a time, or fill in Other, but not both."
TOKENS_NOT_A_NUMBER = "Please enter a whole number from 1 to 999,999,999."
SKIP_IF_UNCHANGED = "Skip a run if nobody has written here since the last one"


def only_admins_allow_tokens(limit: int) -> str:
    return f"Please use at most {limit:,}. Only Typist admins can allow more."


def more_schedules(number: int) -> str:
    return f"… and {number:,} more. To see a channel's schedules, list them there."


RULE_OR_TIME = "Enter either a rule or one time."
TIME_OR_FIELDS = "Enter one time, such as 2026-12-24 09:00, or five cron fields, such as 0 9 * * MON-FRI."
FIVE_FIELDS = (
    "Write the rule as five cron fields, such as 0 9 * * MON-FRI. Ranges must be ascending. For example, write "
    "FRI,SAT,SUN, or 0 22-23,0-5 * * *. A rule can mean the last weekday of a month (0 9 LW * *), but not the first."
)
STEPS_BEGIN_AGAIN = (
    "A rule can't mean every other week or every 90 minutes, because steps restart every hour, day, week and month. "
    "Choose every week (0 9 * * TUE) or some weeks of a month (0 9 * * TUE#1,TUE#3). Days of the month also work."
)
DAYS_OR_WEEKDAYS = (
    "A rule can't combine days of the month with weekdays: it would run on both. The first Monday of each month is 0 "
    "9 * * MON#1, and the last Friday is 0 9 * * 5L."
)
RULE_NEVER_DUE = "This rule will never run. Check its day and month."
UNKNOWN_ZONE = "I don't know this time zone. Use a name such as Europe/Berlin."
UNREADABLE_TIME = "I can't read this time. Check that the day exists, and use a format such as 2026-12-24T09:00."
TIME_OF_DAY_MISSING = "The time is missing. Enter a day and a time, such as 2026-12-24 09:00."
TIME_HAS_PASSED = "This time has passed. Choose a later one."
TIME_TOO_FAR = "This is more than five years ahead. Choose an earlier time."
SCHEDULED_TASK = "My scheduled task:"
"""Precedes a task in the prompt. Only this phrase counts as written by the asker, because a model wrote the task."""


def schedule_used_up(most: int, *, in_day: bool) -> str:
    period = "day" if in_day else "run"
    return f"This schedule has used up its limit of {tokens(most)} per {period}, so I paused it."


def rule_too_often(minutes: int) -> str:
    often = "hour" if minutes == 60 else f"{minutes} minutes"
    return f"This rule would run too often. It can run at most once every {often}."


def schedule_words(chars: int) -> str:
    return f"Describe what to do in each run, in up to {chars:,} characters."
