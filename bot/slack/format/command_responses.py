"""The responses to the slash command, shortcuts and modals as messages, which only one person reads."""

from bot.core import texts
from bot.core.entities import escape
from bot.core.limits.caps import Amount, Period, Scope, UsageToDate
from bot.core.slash_command import CommandResponse, Help
from bot.slack.format.blockkit import Json, context, mrkdwn, plain_text, section


def command_message(response: CommandResponse) -> Json:
    """Returns the message for a command's acknowledgment, or for a response_url."""
    match response.content:
        case Help() as help_asked:
            text = help_text(help_asked)
        case UsageToDate() as usage:
            text = usage_text(usage)
        case str(sentence):
            text = sentence
    blocks = [section(mrkdwn(text))]
    if response.settings:
        blocks.append(context(plain_text(response.settings)))
    return {"text": text, "blocks": blocks}


def help_text(asked: Help) -> str:
    """Returns what Typist can do, in mrkdwn; a subcommand that does not exist is named first."""
    command, subcommand = escape(asked.command), escape(asked.unknown_subcommand)
    unknown = texts.unknown_command(command, subcommand) if subcommand else ""
    return f"{unknown}{texts.WHAT_I_DO}\n{texts.commands(command)}"


def usage_text(usage: UsageToDate) -> str:
    """Returns a person's usage so far and their quotas, in mrkdwn."""
    lines = [texts.usage(period, amount_text(usage.spent[period])) for period in Period]
    has_own = any(cap.window.scope is Scope.USER for cap, _ in usage.caps)
    if not has_own:
        lines.append(texts.SHARED_QUOTAS if usage.caps else texts.NO_QUOTAS)
    # What others use is shown only where it keeps this person from asking.
    shown = [(cap, percent) for cap, percent in usage.caps if cap.window.scope is Scope.USER or percent == 100]
    return "\n".join([*lines, *(texts.quota_usage(str(cap), percent) for cap, percent in shown)])


def amount_text(amount: Amount) -> str:
    """For example "1,234 tokens, $0.02"."""
    return texts.amount(amount.tokens, amount.cost_usd)
