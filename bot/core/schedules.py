"""Schedules: tasks that Typist runs in a channel at set times, on behalf of the person who created them. Pure.

A rule is a single time, or a five-field cron expression in an IANA time zone, so 09:00 stays 09:00 when clocks change.
Clock changes work as in Debian's cron:

- A rule for certain times, such as `30 2 * * *`, is due once a day. If an hour is repeated, the rule is due the first
  time. If its time is skipped, the rule is due right after the clocks change.
- A rule whose minutes or hours begin with `*`, such as `*/15 * * * *`, uses wall-clock time. Skipped times have no run,
  and repeated times have two.

cronsim is used only to parse the fields and iterate over wall times, because it misses due times in zones where clocks
change by half an hour (Australia/Lord_Howe). Each due time runs at most once (bot/store/schedules.py). If several due
times were missed, only the newest one runs, and only within GRACE_S.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from functools import cache
from importlib import resources
from typing import Any
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from bot.core import texts
from bot.core.caps import DAY_S, Amount
from bot.core.closings import has_question_mark
from bot.core.conversation import Question, is_direct_message, plain_command, plain_words
from bot.core.notifications import Notification
from bot.core.silence import MAX_RULE_CHARS
from bot.core.triage import STOPS_WORK, Identity
from bot.errors import StoredEnum

RUN_RULE = (
    "You do a task at a scheduled time. The task is attached to the message. Nobody is there to ask back: do it with "
    "what you can read, and say what is missing. To see what happened here, call read_channel with `since`. You can't "
    "search Slack."
)
MEMBER_GAP_MINUTES = 60
ADMIN_GAP_MINUTES = 5
"""Minimum interval between two runs of a Typist admin's schedule."""
MAX_IN_CHANNEL = 20
MAX_PER_MEMBER = 10
"""Maximum number of schedules that one member can have in a channel, so that other members can create some too."""
GRACE_S = 3600.0
LATE_S = 120.0
MAX_WORDS_CHARS = 1000
MAX_FAILURES = 3
RUN_TOKENS = 100_000
DAY_TOKENS = 300_000
"""Default limits on tokens for one run (RUN_TOKENS) and for all runs in a UTC day (DAY_TOKENS)."""
MAX_AHEAD_S = 5 * 366 * DAY_S
_FIELDS = 5
_MAX_CRON_CHARS = 200
_MAX_DAY_CHARS = len("2026-12-24")
_STEP = re.compile(r"/(\d+)", re.ASCII)
_MAX_STEPS = (60, 24, 31, 12, 6)
_MAX_CLOCK_SHIFT = timedelta(hours=3)
"""An upper bound: no zone sets its clocks back by this much."""
_MINUTE = timedelta(minutes=1)
_ANY_DAY = datetime(2026, 1, 1)
_RUN_PREFIX = "schedule"
_TYPED_TIME = re.compile(r"(\d{4}-\S+(?:\s+\d\S*)?)(?:\s+([^\W\d_].*))?")
_CLOCK = re.compile(
    r"(\d{4}-\d\d-\d\d)[,T\s]\s*(?:at\s+)?(\d{1,2})(?::(\d\d))?(?:\s*([ap])\.?m\b\.?)?(?!\d)", re.ASCII | re.I
)
"""Matches a day and a time of day as people write them, such as "2026-12-24 at 9:00 PM"."""
_DAY_AND_TIME = re.compile(
    r"(sun(?:day)?|mon(?:day)?|tue(?:sday)?|wed(?:nesday)?|thu(?:rsday)?|fri(?:day)?|sat(?:urday)?)\s+"
    r"(\d{1,2}):(\d\d)(?:\s+(\S.*))?",
    re.ASCII | re.I,
)
_WORD = re.compile(r"\w+")
_MIN_STEM, _MAX_STEM = 3, 5
_OPTIONAL_HERE = r"(?:\s+(?:here|in\s+here|in\s+this\s+channel))?"
_ASKS_FOR_LIST = re.compile(
    r"(?:what(?:'?s|\s+is)\s+scheduled|(?:what|which)\s+schedules\s+(?:are\s+there|do\s+you\s+have)|"
    rf"(?:list|show)(?:\s+me)?(?:\s+all)?(?:\s+(?:the|your))?\s+schedules){_OPTIONAL_HERE}"
)
_STOPS_NUMBER = re.compile(
    rf"(?:stop|cancel|delete|remove)\s+(?:the\s+)?schedule\s+(?:(?:number|no\.?|nr\.?)\s+)?#?(\d{{1,9}}){_OPTIONAL_HERE}",
    re.ASCII,
)
_VERBS = {"summary": ("summarize", "summarise"), "reminder": ("remind",)}
"""Verbs in schedules that match the noun in a command."""
_ZONE = re.compile(r"(?!Factory\b)[A-Z][\w+-]*(?:/[\w+-]+)*", re.ASCII)
"""Matches a zone that means the same on every machine, such as Europe/Berlin, Japan or UTC. The database also has the
machine-specific `localtime`, `posixrules` and `Factory`, and copies below `posix/` and `right/`."""


class UnusableRule(ValueError):
    """Raised if a schedule can't be created or changed as requested. The exception's message is for the model or the
    person."""


class PauseReason(StoredEnum, unknown="by_person"):
    BY_PERSON = "by_person"
    FAILURES = "failures"
    CAP = "cap"
    NO_ACCESS = "no_access"
    NOT_IN_CHANNEL = "not_in_channel"
    PLACE_GONE = "place_gone"
    FORBIDDEN = "forbidden"
    QUOTA = "quota"
    """A person's, channel's or workspace's quota was used up, either at the schedule's only time or MAX_FAILURES times
    in a row."""
    MISSED = "missed"
    SIGNED_OUT = "signed_out"

    @property
    def is_temporary(self) -> bool:
        """Whether the reason might no longer apply to the next run. In that case, the run is skipped without pausing
        the schedule."""
        return self in (PauseReason.QUOTA, PauseReason.MISSED)


@dataclass(frozen=True, slots=True)
class Rule:
    """The due times of a schedule: either those of `cron` in a time zone, or a single time (`at`)."""

    zone: str
    cron: str = ""
    at: float | None = None
    """The single time in seconds since the epoch, or None if `cron` is set."""

    @property
    def description(self) -> str:
        """The rule in words that fit in the middle of a sentence, such as "weekdays at 9:00 AM (Berlin)"."""
        at, zone = self.at, self.zone
        words = texts.rules.describe_cron(self.cron, zone) if at is None else texts.times.once(self._local(at), zone)
        return texts.schedules.in_zone(words, zone)

    def _local(self, at: float) -> datetime:
        return datetime.fromtimestamp(at, zone_of(self.zone))

    def dates_text(self, times: Sequence[float], now: float) -> str:
        """Formats times in the rule's zone, such as "Friday, November 27 at 9:00 AM, then Monday, November 30"."""
        return texts.times.format_dates([*map(self._local, times)], self._local(now).date(), self.zone)

    def first_day_text(self, after: float) -> str:
        """Returns the first due day, such as "Friday, November 27", or "" if `description` includes it."""
        found = self.due_after(after) if self.at is None else None
        return "" if found is None else texts.times.format_weekday(self._local(found), self._local(after))

    def due_after(self, moment: float) -> float | None:
        """Returns the first due time after a moment, or None. Raises UnusableRule."""
        if self.at is not None:
            return self.at if self.at > moment else None
        zone = zone_of(self.zone)
        best = math.inf
        # A wall time before this one might be repeated.
        for wall in CronSim(self.cron, _wall_time(moment, zone) - _MAX_CLOCK_SHIFT):
            instants = self._instants_at(wall, zone)
            best = min(best, *(instant for instant in instants if instant > moment), math.inf)
            if instants and instants[0] > moment:
                return best
        return best if best < math.inf else None

    def first_due_after(self, moment: float) -> float:
        """Returns the first due time after a moment. Raises UnusableRule if there is no such time."""
        found = self.due_after(moment)
        if found is None:
            raise UnusableRule(texts.schedules.RULE_NEVER_DUE if self.cron else texts.schedules.TIME_HAS_PASSED)
        return found

    def next_times(self, after: float, count: int = 3) -> tuple[float, ...]:
        times: list[float] = []
        while len(times) < count and (next_at := self.due_after(times[-1] if times else after)) is not None:
            times.append(next_at)
        return tuple(times)

    def due_and_next(self, next_at: float, now: float) -> tuple[float | None, float | None]:
        """Returns the due time to run now and the next due time, either of which can be None. `next_at`: the first
        unhandled due time. Raises UnusableRule."""
        if next_at > now:
            return None, next_at
        newest, later = None, self.due_after(math.ceil(max(next_at, now - GRACE_S)) - 1)
        while later is not None and later <= now:
            newest, later = later, self.due_after(later)
        return newest, later

    def _instants_at(self, wall: datetime, zone: ZoneInfo) -> Sequence[float]:
        """Returns the times at which clocks show a wall time: none, one or two, but always one for a rule for certain
        times."""
        minutes, hours = self.cron.split()[:2]
        if minutes.startswith("*") or hours.startswith("*"):
            return _instants_showing(wall, zone)
        while not (instants := _instants_showing(wall, zone)):
            wall += _MINUTE
        return instants[:1]


def _wall_time(moment: float, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(moment, zone).replace(tzinfo=None, fold=0)


def _instants_showing(wall: datetime, zone: ZoneInfo) -> list[float]:
    both = {wall.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1)}
    return sorted(instant for instant in both if _wall_time(instant, zone) == wall)


def zone_of(name: str) -> ZoneInfo:
    try:
        if not _ZONE.fullmatch(name):
            raise ValueError(name)
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise UnusableRule(texts.schedules.UNKNOWN_ZONE) from None


@cache
def _zones_by_lowercase_name() -> Mapping[str, str]:
    """Returns IANA time zones keyed by lowercase name, both in IANA's spelling and in the form that Typist shows."""
    names = (resources.files("tzdata") / "zones").read_text("utf-8").split()
    counts = Counter(map(texts.rules.city, names))
    shown = {city: name for name in names if counts[city := texts.rules.city(name)] == 1}
    known = shown | {name: name for name in names}
    return {_normalized_zone(text): name for text, name in known.items()}


def _normalized_zone(zone: str) -> str:
    return " ".join(zone.casefold().replace("_", " ").split())


def valid_rule(zone: str, now: float, *, cron: str = "", at: str = "", min_gap_minutes: int) -> Rule:
    """Returns a rule with the values that a model or person wrote. `at`: an ISO time, in the zone unless it has an
    offset. Raises UnusableRule."""
    cron, at, zone = (
        " ".join(cron.upper().split()),
        at.strip(),
        _zones_by_lowercase_name().get(_normalized_zone(zone), zone),
    )
    if bool(cron) == bool(at):
        raise UnusableRule(texts.schedules.RULE_OR_TIME)
    _check_zone(zone)
    rule = Rule(zone, at=_parse_time(at, zone, now)) if at else Rule(zone, cron)
    if rule.cron:
        _check_cron(rule.cron, min_gap_minutes)
    rule.first_due_after(now)
    return rule


def _check_zone(name: str) -> None:
    """Raises UnusableRule for an abbreviation such as EST, which has no daylight saving time. UTC is allowed."""
    # The author means a region with daylight saving time.
    midsummer, midwinter = (datetime(2026, month, 1, tzinfo=zone_of(name)) for month in (7, 1))
    is_fixed = midsummer.utcoffset() == midwinter.utcoffset() != timedelta(0)
    if is_fixed and name == midwinter.tzname():
        raise UnusableRule(texts.schedules.UNKNOWN_ZONE)


def _parse_time(text: str, zone: str, now: float) -> float:
    in_zone = zone_of(zone)
    try:
        time = datetime.fromisoformat(text)
        at = (time if time.tzinfo else time.replace(tzinfo=in_zone)).timestamp()
    except (ValueError, OverflowError):
        raise UnusableRule(texts.schedules.UNREADABLE_TIME) from None
    if len(text) <= _MAX_DAY_CHARS:
        # The parser reads it as midnight, when nobody wants to be reminded.
        raise UnusableRule(texts.schedules.TIME_OF_DAY_MISSING)
    if at <= now:
        raise UnusableRule(texts.schedules.TIME_HAS_PASSED)
    if at > now + MAX_AHEAD_S:
        raise UnusableRule(texts.schedules.TIME_TOO_FAR)
    return float(math.floor(at))


def _check_cron(cron: str, min_gap_minutes: int) -> None:
    """Raises UnusableRule for invalid fields and for a rule that is due too often."""
    if len(cron) > _MAX_CRON_CHARS or len(cron.split()) != _FIELDS:
        raise UnusableRule(texts.schedules.FIVE_FIELDS)
    parsed = _parse_cron(cron)
    if parsed is None:
        *others, month, weekday = cron.split()
        has_no_such_day = month != "*" and _parse_cron(" ".join([*others, "*", weekday])) is not None
        raise UnusableRule(texts.schedules.RULE_NEVER_DUE if has_no_such_day else texts.schedules.FIVE_FIELDS)
    if _expects_steps_to_continue(cron, parsed):
        raise UnusableRule(texts.schedules.STEPS_BEGIN_AGAIN)
    if not (parsed.days >= set(range(1, 32)) or _runs_every_day_of_week(parsed)):
        raise UnusableRule(texts.schedules.DAYS_OR_WEEKDAYS)
    if _gap_minutes(parsed) < min_gap_minutes:
        raise UnusableRule(texts.schedules.rule_too_often(min_gap_minutes))


def _parse_cron(cron: str) -> CronSim | None:
    try:
        parsed = CronSim(cron, _ANY_DAY)
        parsed.explain()
    except (CronSimError, ValueError, LookupError):
        return None
    return parsed


def _expects_steps_to_continue(cron: str, parsed: CronSim) -> bool:
    """Returns whether a step seems meant to continue across hours, days, weeks or months, although cron restarts it
    there. The next due times of such a rule can look right: for `0 9 */14 * 2`, they can be two weeks apart three times
    in a row."""
    steps = [[int(step) for step in _STEP.findall(of_field)] for of_field in cron.split()]
    is_too_long = any(step > most for of_field, most in zip(steps, _MAX_STEPS, strict=True) for step in of_field)
    return is_too_long or any(step % 7 == 0 or not _runs_every_day_of_week(parsed) for step in steps[2])


def _runs_every_day_of_week(parsed: CronSim) -> bool:
    return {day % 7 for day in parsed.weekdays if isinstance(day, int)} == set(range(7))


def _gap_minutes(parsed: CronSim) -> int:
    """Returns the shortest interval between two due times of a rule that is due every day."""
    of_day = sorted(60 * hour + minute for hour in parsed.hours for minute in parsed.minutes)
    next_day = of_day[0] + 24 * 60
    return min(later - earlier for earlier, later in zip(of_day, [*of_day[1:], next_day], strict=True))


@dataclass(frozen=True, slots=True)
class Weekly:
    days: str
    """Comma-separated cron weekdays, in order. 0 is Sunday."""
    time: str

    @property
    def cron(self) -> str:
        """The five cron fields. Raises UnusableRule if days or the time are missing."""
        if not (self.days and self.time):
            raise UnusableRule(texts.schedules.DAYS_AND_TIME)
        hour, _, minute = self.time.partition(":")
        fields = [field.removeprefix("0") or "0" for field in (minute, hour)]
        return " ".join([*fields, "* *", "*" if self.days == "0,1,2,3,4,5,6" else self.days])


def as_weekly(rule: Rule, zone: str, now: float) -> Weekly | None:
    """Converts a rule to days and a time in a reader's time zone, or returns None if that isn't possible."""
    parsed = CronSim(rule.cron, _ANY_DAY) if rule.cron else None
    due_at = rule.due_after(now)
    if parsed is None or due_at is None:
        return None
    days = {day % 7 for day in parsed.weekdays if isinstance(day, int)}
    is_any_day = parsed.days >= set(range(1, 32)) and len(parsed.months) == 12
    has_nth = not all(isinstance(day, int) for day in parsed.weekdays)
    if not is_any_day or has_nth or len(parsed.hours) * len(parsed.minutes) > 1:
        return None
    there, here = (datetime.fromtimestamp(due_at, zone_of(name)) for name in (rule.zone, zone))
    later_days = (here.date() - there.date()).days
    return Weekly(",".join(map(str, sorted((day + later_days) % 7 for day in days))), f"{here:%H:%M}")


def parse_rule(text: str, zone: str, now: float, *, min_gap_minutes: int) -> Rule:
    """Parses a rule that a person typed: a single time or five cron fields, optionally with a zone. Raises
    UnusableRule."""
    if once := _TYPED_TIME.fullmatch(_CLOCK.sub(_to_24_hour_clock, text, count=1)):
        return valid_rule(once[2] or zone, now, at=once[1], min_gap_minutes=min_gap_minutes)
    fields = text.split(None, _FIELDS)
    if len(fields) < _FIELDS:
        raise UnusableRule(texts.schedules.TIME_OR_FIELDS)
    named = fields.pop() if len(fields) > _FIELDS else zone
    return valid_rule(named, now, cron=" ".join(fields), min_gap_minutes=min_gap_minutes)


def parse_weekly_rule(text: str) -> Rule:
    """Parses a weekday, a time and an optional zone (default UTC), such as "mon 9:00 Europe/Berlin". Raises
    ValueError."""
    problem = "must be a day of the week and a time, and optionally a time zone"
    if typed := _DAY_AND_TIME.fullmatch(text):
        day, hour, minute, zone = typed.groups()
        try:
            return valid_rule(zone or "UTC", 0.0, cron=f"{int(minute)} {int(hour)} * * {day[:3]}", min_gap_minutes=0)
        except UnusableRule as error:
            if str(error) == texts.schedules.UNKNOWN_ZONE:
                problem = f"has a time zone that doesn't exist, {zone!r}. Write a day, a time and a zone"
    raise ValueError(f"{problem}, such as mon 9:00 (in UTC) or fri 16:00 Europe/Berlin")


def _to_24_hour_clock(typed: re.Match[str]) -> str:
    hour, half = int(typed[2]), (typed[4] or "").casefold()
    if half and 1 <= hour <= 12:
        hour = hour % 12 + (12 if half == "p" else 0)
    return f"{typed[1]} {hour:02}:{typed[3] or '00'}"


@dataclass(frozen=True, slots=True)
class Proposal:
    words: str = field(repr=False)
    rule: Rule
    only_if_changed: bool = False
    """Whether a run ends silently, without calling a model, if the channel has no new messages."""
    accounts: tuple[str, ...] = ()
    only_if: str = field(default="", repr=False)
    """The rule in words that decides whether a run's answer is worth posting (core/silence.py), or ""."""

    @property
    def arguments(self) -> dict[str, Any]:
        rule, at = self.rule, self.rule.at
        when = {"cron": rule.cron} if at is None else {"at": datetime.fromtimestamp(at, zone_of(rule.zone)).isoformat()}
        own: dict[str, Any] = {"accounts": list(self.accounts)} if self.accounts else {}
        own |= {"only_if": self.only_if} if self.only_if else {}
        return {"words": self.words, **when, "zone": rule.zone, "only_if_changed": self.only_if_changed, **own}

    def is_same_as(self, other: "Proposal") -> bool:
        """Returns whether two proposals do the same thing at the same times, however their rules are written."""
        mine, theirs = (
            (
                " ".join(one.words.split()).casefold(),
                one.rule.description,
                one.rule.zone,
                one.only_if_changed,
                one.accounts,
                one.only_if.casefold(),
            )
            for one in (self, other)
        )
        return mine == theirs


def parse_proposal(arguments: Mapping[str, Any], zone: str, now: float, *, min_gap_minutes: int) -> Proposal:
    """Returns the proposal in a model's arguments. Raises UnusableRule. `zone`: the default zone."""
    names = "words", "cron", "at", "zone", "only_if"
    words, cron, at, named, only_if = (arguments.get(name) or "" for name in names)
    if not all(isinstance(value, str) for value in (words, cron, at, named, only_if)):
        raise UnusableRule(texts.schedules.RULE_OR_TIME)
    words = words.strip()
    if not words or len(words) > MAX_WORDS_CHARS:
        raise UnusableRule(texts.schedules.schedule_words(MAX_WORDS_CHARS))
    rule = valid_rule(named or zone, now, cron=cron, at=at, min_gap_minutes=min_gap_minutes)
    servers = arguments.get("accounts")
    servers = [servers] if isinstance(servers, str) else servers
    accounts = tuple(sorted({*map(str, servers)})) if isinstance(servers, list) else ()
    only_if = valid_only_if(only_if)
    return Proposal(words, rule, arguments.get("only_if_changed") is True, accounts, only_if)


def valid_only_if(text: str) -> str:
    """Returns a rule in words on one line. Raises UnusableRule."""
    rule = " ".join(text.split())
    if len(rule) > MAX_RULE_CHARS:
        raise UnusableRule(texts.silence.rule_too_long(MAX_RULE_CHARS))
    return rule


@dataclass(frozen=True, slots=True)
class Schedule:
    id: int
    team_id: str
    channel_id: str
    user_id: str
    words: str = field(repr=False)
    rule: Rule
    only_if_changed: bool
    run_tokens: int
    day_tokens: int
    next_at: float | None
    """The next due time, or None if the schedule is paused or its only time has passed."""
    last_at: float | None
    failures: int
    pause_reason: PauseReason | None
    created_at: float
    changed_by: str = ""
    """The ID of the admin who made the last change, or "" if no admin did."""
    accounts: tuple[str, ...] = ()
    usage: Amount = field(default=Amount())
    only_if: str = field(default="", repr=False)
    runs: int = 0
    """The number of ended runs that had a rule in words."""
    posts: int = 0
    """The number of those runs that posted something."""

    @property
    def is_done(self) -> bool:
        return self.next_at is None and self.pause_reason is None

    @property
    def as_proposal(self) -> Proposal:
        return Proposal(self.words, self.rule, self.only_if_changed, self.accounts, self.only_if)


@dataclass(frozen=True, slots=True)
class AwaitedSignIn:
    """A schedule that was paused because its creator's sign-in ended."""

    schedule: Schedule
    server: str
    scope: str = ""

    @property
    def name(self) -> str:
        return f"schedule {self.schedule.id}"

    @property
    def person(self) -> str:
        return self.schedule.user_id


@dataclass(frozen=True, slots=True)
class ScheduleCommand:
    """A command that needs no model: to stop a schedule in this channel, or to list all of its schedules."""

    number: int = 0
    """The number of the schedule to stop, or 0 if the schedule is identified by words or the command lists
    schedules."""
    about: tuple[str, ...] = ()
    is_own: bool = False
    """Whether the person wrote "my", which excludes other people's schedules."""

    def find_schedule(self, here: Sequence[Schedule], user_id: str = "") -> Schedule | None:
        """Returns the schedule that a command refers to, or None if there is no such schedule or several match."""
        if self.number:
            return next((one for one in here if one.id == self.number), None)
        theirs = [one for one in here if not self.is_own or one.user_id == user_id]
        alike = [one for one in theirs if self._matches(one, _is_similar)]
        return alike[0] if len(alike) == 1 and self._matches(alike[0], _is_same_word) else None

    def _matches(self, schedule: Schedule, is_same: Callable[[str, str], bool]) -> bool:
        known = [*_WORD.findall(f"{schedule.words} {schedule.rule.description}".casefold()), "schedule", "task"]
        return all(any(is_same(word, other) for other in known) for word in self.about)


def _is_similar(word: str, other: str) -> bool:
    shorter, longer = sorted((word, other), key=len)
    return len(shorter) >= _MIN_STEM and longer.startswith(shorter[:_MAX_STEM])


def _is_same_word(word: str, other: str) -> bool:
    """Returns whether two words are the singular and plural of a noun, or a noun and its verb."""
    word, other = _singular(word), _singular(other)
    return word == other or other in _VERBS.get(word, ())


def _singular(word: str) -> str:
    return f"{word[:-3]}y" if word.endswith("ies") else word if word.endswith("ss") else word.removesuffix("s")


def schedule_command(question: Question, me: Identity) -> ScheduleCommand | None:
    """Returns the command in a message, or None if a model must read the message."""
    said = plain_words(question, me.user_id)
    words = plain_command(said, me.user_id, me.name)
    if _ASKS_FOR_LIST.fullmatch(words):
        return ScheduleCommand()
    if has_question_mark(said):
        return None
    if numbered := _STOPS_NUMBER.fullmatch(words):
        return ScheduleCommand(int(numbered[1]))
    named = STOPS_WORK.fullmatch(words)
    return ScheduleCommand(about=tuple(named["about"].split()), is_own=named["whose"] == "my") if named else None


@dataclass(frozen=True, slots=True)
class Run:
    schedule: Schedule
    due_at: float
    previous_due_at: float | None

    @property
    def since(self) -> float:
        return self.schedule.created_at if self.previous_due_at is None else self.previous_due_at

    def temporary_place(self, job_id: int) -> tuple[str, str]:
        """Returns the channel and a ts that no message or other run has, for a run that works before it posts."""
        return self.schedule.channel_id, f"{int(self.due_at)}.{job_id % 1_000_000:06}"

    @property
    def only_if(self) -> str:
        return self.schedule.only_if

    def is_late(self, now: float) -> bool:
        return now - self.due_at > LATE_S


RUN_REPORT = "run"


@dataclass(frozen=True, slots=True)
class RunReport:
    """A report to people about a run that was skipped or has paused its schedule."""

    schedule_id: int
    due_at: float
    skip_reason: str = ""
    """The PauseReason for skipping the run, or "" if the run took place."""

    def has_caused_pause(self, schedule: Schedule) -> bool:
        """Returns whether the schedule is still paused because this run was skipped or has ended."""
        return schedule.pause_reason is not None and self.skip_reason in ("", schedule.pause_reason)

    @property
    def notification(self) -> Notification:
        return Notification("", run_id(self.schedule_id, self.due_at), asdict(self), RUN_REPORT)


def run_id(schedule_id: int, due_at: float) -> str:
    """Returns the view_id of a run's question. Milliseconds distinguish runs that people start in the same second."""
    return f"{_RUN_PREFIX}:{schedule_id}:{f'{due_at:.3f}'.removesuffix('.000')}"


def due_at_of_run(view_id: str) -> float:
    return float(view_id.rpartition(":")[2])


def max_schedules(user_id: str, channel_id: str, admins: frozenset[str]) -> int:
    return MAX_IN_CHANNEL if user_id in admins or is_direct_message(channel_id) else MAX_PER_MEMBER


def can_change(schedule: Schedule, user_id: str, admins: frozenset[str]) -> bool:
    return user_id == schedule.user_id or user_id in admins


def min_gap_minutes(user_id: str, admins: frozenset[str]) -> int:
    return ADMIN_GAP_MINUTES if user_id in admins else MEMBER_GAP_MINUTES


def run_times_text(run: Run) -> str:
    rule, zone = run.schedule.rule, zone_of(run.schedule.rule.zone)
    due, last = (datetime.fromtimestamp(at, zone).isoformat(timespec="minutes") for at in (run.due_at, run.since))
    before = "The run before was" if run.previous_due_at is not None else "There was no run before: it was created"
    return f"This run is due at {due}, by the rule: {rule.description}. {before} at {last}."
