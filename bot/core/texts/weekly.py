"""Text of the weekly report to Typist admins."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from bot.core.texts import silence
from bot.core.texts.quotas import dollars
from bot.core.texts.words import count, listed

_ALIKE = 0.1
"""The largest relative difference that counts as "about the same"."""
NOT_ANSWERED = {
    "denied": "no access",
    "cap_reached": "over a quota",
    "offered": "offered late",
    "shut_out": "in a closed channel",
}


@dataclass(frozen=True, slots=True)
class Week:
    """A week's figures. `failed` and `unanswered` are counted by EndReason; `thumbs` are 👍 and 👎."""

    questions: int
    people: int
    answers: int
    stopped: int
    failed: Mapping[str, int]
    unanswered: Mapping[str, int]
    thumbs: tuple[int, int]
    reasons: Mapping[str, int]
    disliked: Mapping[str, int]
    """The number of 👎 by channel. "" represents all direct messages, because a single one would identify a person."""
    median_s: float | None
    """The median wait for the first word, in seconds."""
    slowest_s: float | None
    usd: float
    unpriced_tokens: int
    rule_runs: tuple[int, int] = (0, 0)
    """The number of runs with a rule in words, and how many of them posted something."""


def weekly_report(
    first: date,
    this: Week,
    before: Week,
    *,
    signed_out: Mapping[str, int],
    ending: Sequence[str],
    backup_days: int | None,
) -> str:
    """Returns the report in mrkdwn about `this` week, which begins on `first`, compared with the week before.
    `backup_days`: the age of the last `typist backup`, or None if there is none."""
    backup_age = count(backup_days, "day", "days") if backup_days else "less than a day"
    last, since = first + timedelta(6), first - timedelta(7)
    unanswered = {NOT_ANSWERED.get(name, name): number for name, number in this.unanswered.items()}
    places = [f"{number:,} in {f'<#{id_}>' if id_ else 'direct messages'}" for id_, number in this.disliked.items()]
    lines = {
        "Questions": f"{this.questions:,} from {count(this.people, 'person', 'people')}"
        + _comparison(f"{before.questions:,}"),
        "Answers": f"{this.answers:,}, and {this.stopped:,} stopped{_comparison(f'{before.answers:,}')}",
        "With a rule for posting": silence.runs_and_posts(*this.rule_runs) if this.rule_runs[0] else "",
        "Failed": _share_line(this.failed, before.failed, this, before),
        "Without an answer": _share_line(unanswered, before.unanswered, this, before),
        "Feedback": f"{this.thumbs[0]:,} 👍, {this.thumbs[1]:,} 👎{_breakdown(this.reasons)}"
        + _comparison(
            f"{before.thumbs[0]:,} 👍, {before.thumbs[1]:,} 👎",
            *_shares(this.thumbs[1], before.thumbs[1], this, before),
        ),
        "Most 👎": listed(places),
        "First word": _wait_line(this, before),
        "Cost": f"{dollars(this.usd)}{_comparison(dollars(before.usd))}",
        "Tokens without a price": f"{this.unpriced_tokens:,}" if this.unpriced_tokens else "",
        "Last backup": "none with `typist backup`" if backup_days is None else f"{backup_age} ago",
        "Sign-ins that ended": listed([f"{number:,} at {server}" for server, number in signed_out.items()]),
    }
    said = [f"*{label}*: {text}" for label, text in lines.items() if text]
    heading = f"*My week from {first:%B} {first.day} to {last:%B} {last.day} (UTC)*"
    where = f"To see both weeks in your terminal: `typist usage --by week --since {since} --csv`"
    return "\n".join([heading, *said, *ending, where])


def _share_line(now: Mapping[str, int], then: Mapping[str, int], this: Week, before: Week) -> str:
    number, number_then = sum(now.values()), sum(then.values())
    if not number and not number_then:
        return ""
    return f"{number:,}{_breakdown(now)}" + _comparison(f"{number_then:,}", *_shares(number, number_then, this, before))


def _shares(number: int, number_then: int, this: Week, before: Week) -> tuple[float, float] | tuple[()]:
    """Returns both numbers as shares of their weeks' questions, or () if nobody asked in the week before."""
    return (number / this.questions, number_then / before.questions) if before.questions else ()


def _wait_line(this: Week, before: Week) -> str:
    if this.median_s is None or this.slowest_s is None:
        return ""
    text = f"{this.median_s:.1f} s (median), slowest {this.slowest_s:.1f} s"
    then_s = before.median_s
    return text if then_s is None else text + _comparison(f"{then_s:.1f} s", this.median_s, then_s)


def _comparison(text: str, now: float = 0.0, then: float = 0.0) -> str:
    """Returns last week's figure and, if the figures differ, whether this week's is better (lower)."""
    word = "about the same" if abs(now - then) <= _ALIKE * max(now, then) else "better" if now < then else "worse"
    return f"; {text} the week before" + (f" ({word})" if now or then else "")


def _breakdown(numbers: Mapping[str, int]) -> str:
    """Returns numbers with labels, largest first: " (2 too long, 1 wrong)", or "" if there are none."""
    parts = [f"{numbers[name]:,} {name.replace('_', ' ')}" for name in sorted(numbers, key=lambda name: -numbers[name])]
    return f" ({', '.join(parts)})" if parts else ""
