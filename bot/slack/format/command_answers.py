"""What /typist is asked and what it answers. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from bot.core import texts
from bot.core.entities import escape
from bot.core.limits.caps import Amount, Cap, Period
from bot.slack.format.modals import MENTION_ONLY, MODEL, SYSTEM_PROMPT

SETTINGS_OF: Mapping[str, str] = {"model": MODEL, "prompt": SYSTEM_PROMPT, "mention-only": MENTION_ONLY}
"""The subcommands that open the settings, and the field that each begins with."""
USAGE, HELP = "usage", "help"


def subcommand(text: str) -> str:
    """The first word of what follows /typist; nothing is a call for help."""
    words = text.split()
    return words[0].lower() if words else HELP


def help_text(asked: str) -> str:
    """Explains what people can ask for; where they asked for something else, it says that first."""
    unknown = "" if asked == HELP else texts.unknown_command(escape(asked))
    return f"{unknown}{texts.WHAT_I_DO}\n{texts.COMMANDS}"


def use_text(spent: Mapping[Period, Amount], caps: Sequence[Cap]) -> str:
    """A person's usage so far, and their quotas."""
    lines = [texts.usage(period, amount_text(spent[period])) for period in Period]
    lines += [texts.quota_usage(str(cap), cap.percent_used(spent[cap.window.period])) for cap in caps]
    return "\n".join(lines if caps else [*lines, texts.NO_QUOTAS])


def amount_text(amount: Amount) -> str:
    """For example "1,234 tokens, $0.02"."""
    return texts.amount(amount.tokens, amount.cost_usd)


def said(text: str, footer: str = "") -> dict[str, Any]:
    """A message for one person alone: mrkdwn, and a quiet line below it."""
    blocks: list[dict[str, Any]] = [{"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}]
    if footer:
        blocks.append({"type": "context", "elements": [{"type": "plain_text", "text": footer}]})
    return {"text": text, "blocks": blocks}
