"""Text of the weekly report to Typist admins."""

from collections.abc import Mapping, Sequence
from datetime import date

from bot.core.texts.quotas import dollars
from bot.core.texts.words import count, listed

NOT_ANSWERED = {
    "denied": "no access",
    "cap_reached": "over a quota",
    "offered": "offered late",
    "shut_out": "in a closed channel",
}


def weekly_report(
    first: date,
    last: date,
    since: date,
    *,
    questions: int,
    people: int,
    answers: int,
    stopped: int,
    failed: Mapping[str, int],
    unanswered: Mapping[str, int],
    thumbs: tuple[int, int],
    reasons: Mapping[str, int],
    disliked: Mapping[str, int],
    waits_s: Sequence[float],
    usd: tuple[float, float],
    unpriced_tokens: int,
    signed_out: Mapping[str, int],
    ending: Sequence[str],
) -> str:
    """Returns the report in mrkdwn.

    `failed`, `unanswered`: by EndReason. `disliked`: 👎 by channel, and by "" for all direct messages, each of which
    would identify a person. `waits_s`: the median and longest wait for the first word, if there are any. `usd`: the
    cost of this week and of the week before. `since`: the first day of the week before.
    """
    places = [f"{number:,} in {f'<#{id_}>' if id_ else 'direct messages'}" for id_, number in disliked.items()]
    lines = {
        "Questions": f"{questions:,}{' from ' if people else ''}{count(people, 'person', 'people')}",
        "Answers": f"{answers:,}, and {stopped:,} stopped",
        "Failed": _sum(failed),
        "Without an answer": _sum({NOT_ANSWERED.get(name, name): number for name, number in unanswered.items()}),
        "Feedback": f"{thumbs[0]:,} 👍, {thumbs[1]:,} 👎{_parts(reasons)}",
        "Most 👎": listed(places),
        "First word": ", slowest ".join(f"{wait_s:.1f} s" for wait_s in waits_s),
        "Cost": f"{dollars(usd[0])}; {dollars(usd[1])} the week before",
        "Tokens without a price": f"{unpriced_tokens:,}" if unpriced_tokens else "",
        "Sign-ins that ended": listed([f"{number:,} at {server}" for server, number in signed_out.items()]),
    }
    said = [f"*{label}*: {text}" for label, text in lines.items() if text]
    heading = f"*My week from {first:%B} {first.day} to {last:%B} {last.day} (UTC)*"
    where = f"To see both weeks in your terminal: `typist usage --by week --since {since} --csv`"
    return "\n".join([heading, *said, *ending, where])


def _sum(numbers: Mapping[str, int]) -> str:
    return f"{sum(numbers.values()):,}{_parts(numbers)}" if numbers else ""


def _parts(numbers: Mapping[str, int]) -> str:
    """Returns numbers and their labels, largest first: " (2 too long, 1 wrong)", or "" if there are none."""
    parts = [f"{numbers[name]:,} {name.replace('_', ' ')}" for name in sorted(numbers, key=lambda name: -numbers[name])]
    return f" ({', '.join(parts)})" if parts else ""
