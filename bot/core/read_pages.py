"""Pages of messages that a model has read with a tool. An answer's footer shows the number of messages. Pure."""

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from bot.core.calls import READ_CHANNEL
from bot.core.prompt import local_time

_HEAD = re.compile(
    rf"The result of {READ_CHANNEL} stands .*\n<\w+>\n(\d+) messages? since ([\d-]+) \S+, times in (\S+)\n", re.ASCII
)


def page_heading(messages: int, oldest: datetime) -> str:
    """Returns the first line of a page: the number of messages and the time of the oldest."""
    counted = f"{messages} {'message' if messages == 1 else 'messages'}"
    return f"{counted} since {oldest:%Y-%m-%d %H:%M}, times in {oldest.tzinfo or UTC}"


def count_messages_read(results: Iterable[str], asked_at: float, now: float) -> tuple[int, date, date | None] | None:
    """Returns the number of messages read, the oldest message's day, and the question's day (or None if that isn't
    today). Returns None if none of the results is a stored page. Days are in the asker's time zone, and times in
    seconds since the epoch."""
    heads = [found for result in results if (found := _HEAD.match(result))]
    if not heads:
        return None
    zone = _zone(heads[0][3])
    asked_on = local_time(asked_at, zone).date()
    today = asked_on if local_time(now, zone).date() == asked_on else None
    return sum(int(head[1]) for head in heads), min(date.fromisoformat(head[2]) for head in heads), today


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ValueError, LookupError, OSError):
        # Another machine with other zones might have written the page.
        return None
