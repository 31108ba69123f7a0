"""What /typist is asked and what it answers. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from bot.core.entities import escape
from bot.core.limits.caps import Amount, Cap, Period
from bot.slack.format.modals import MENTION_ONLY, MODEL, SYSTEM_PROMPT

SETTINGS_OF: Mapping[str, str] = {"model": MODEL, "prompt": SYSTEM_PROMPT, "mention-only": MENTION_ONLY}
"""The subcommands that open the settings, and the field that each begins with."""
USAGE, HELP = "usage", "help"

WHAT_I_DO = (
    "Mention me in a channel, or write to me directly: I answer in the thread and read what was said in it, with its "
    "images, PDFs and text files. Ask about any message by *Ask Typist about this* in its menu."
)
COMMANDS = (
    "`/typist model`, `prompt` and `mention-only` open the settings of the place where you write them; "
    "`/typist usage` says what you used, and your limits."
)
NOT_YOURS = (
    "Who made this channel may change its settings, and those whom whoever runs this bot has named. "
    "If I am not in the channel yet, invite me first: I can't see who made it."
)
SAVED = "Saved: it is in force from the next question on."
ELSEWHERE = "I can't write in that thread, and so I answer in our direct message."
NO_LIMITS = "No limits are set for you."


def subcommand(text: str) -> str:
    """The first word of what follows /typist; nothing is a call for help."""
    words = text.split()
    return words[0].lower() if words else HELP


def help_text(asked: str) -> str:
    """What can be asked; and that this can't be, where it was something else."""
    unknown = "" if asked == HELP else f"I do not know `/typist {escape(asked)}`. "
    return f"{unknown}{WHAT_I_DO}\n{COMMANDS}"


def use_text(spent: Mapping[Period, Amount], caps: Sequence[Cap]) -> str:
    """What somebody used so far, and what they may."""
    names = {Period.DAY: "Today", Period.MONTH: "This month"}
    lines = [f"*{names[period]}* (UTC): {amount_text(spent[period])}" for period in Period]
    lines += [f"{cap}: {part_used(cap, spent[cap.window.period])}% used" for cap in caps]
    return "\n".join(lines if caps else [*lines, NO_LIMITS])


def amount_text(amount: Amount) -> str:
    """1,234 tokens, $0.02; without a price where none is known."""
    cost = f", ${amount.cost_usd:,.2f}" if amount.cost_usd >= 0.005 else ""
    return f"{amount.tokens:,} tokens{cost}"


def part_used(cap: Cap, spent: Amount) -> int:
    """In percent, 100 at most."""
    return min(100, int(100 * cap.used_by(spent) / cap.limit))


def said(text: str, footer: str = "") -> dict[str, Any]:
    """A message for one person alone: mrkdwn, and a quiet line below it."""
    blocks: list[dict[str, Any]] = [{"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}]
    if footer:
        blocks.append({"type": "context", "elements": [{"type": "plain_text", "text": footer}]})
    return {"text": text, "blocks": blocks}
