"""Text about alerts, which apps post in channels."""

from bot.core.texts.words import count


def limit_reached(runs_a_day: int) -> str:
    return (
        f"I've looked into {count(runs_a_day, 'alert', 'alerts')} in this channel within 24 hours, which is the limit. "
        "I'll skip new alerts until one of those is a day old."
    )
