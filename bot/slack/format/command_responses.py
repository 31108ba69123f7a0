"""The responses to the slash command, shortcuts, modals and buttons as messages, which only one person reads."""

import re

from bot.core import texts
from bot.core.actions import ActionResponse
from bot.core.caps import Amount, Period, Scope, UsageToDate
from bot.core.conversation import escape
from bot.core.surfaces import CommandResponse, Help
from bot.markdown.escaping import unlinked
from bot.markdown.links import with_ascii_hosts
from bot.markdown.pages import Pages
from bot.markdown.preview import mrkdwn as escaped
from bot.markdown.render import rendered
from bot.slack.format import blockkit
from bot.slack.format.blockkit import Json, context, mrkdwn, plain_text, section

_MENTION = re.compile(r"&lt;@([UW][A-Z0-9]+)>")
"""As escaping leaves it."""


def command_message(response: CommandResponse) -> Json:
    """Returns the message for a command's acknowledgment, or for a response_url."""
    match response.content:
        case Help() as help_asked:
            # A subcommand that doesn't exist is named first.
            command, subcommand = escape(help_asked.command), escape(help_asked.unknown_subcommand)
            unknown = texts.unknown_command(command, subcommand) if subcommand else ""
            text = f"{unknown}{texts.WHAT_I_DO}\n{texts.commands(command)}"
        case UsageToDate() as usage:
            text = usage_text(usage)
        case str(sentence):
            text = sentence
    blocks = [section(mrkdwn(text))]
    if response.settings:
        blocks.append(context(plain_text(response.settings)))
    return {"text": text, "blocks": blocks}


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


def action_message(response: ActionResponse) -> Json:
    """Returns chat.postEphemeral's arguments: a sentence, and below it as much Markdown as one message holds."""
    markdown, note = _first_page(response.markdown)
    lines = {"sentence": response.sentence, "note": note}
    above, *below = [blockkit.rich_text_line(unlinked(line), block_id) for block_id, line in lines.items() if line]
    text = blockkit.markdown(rendered(markdown, growing=False))
    return {"text": escaped(response.sentence), "blocks": [above, text, *below]}


def action_text(response: ActionResponse) -> str:
    """Returns the same without blocks, for a response_url: it takes no Markdown."""
    markdown, note = _first_page(response.markdown)
    # Our own sentence may name the admins. Nobody is notified: only the presser sees it.
    sentence = _MENTION.sub(r"<@\1>", escaped(response.sentence))
    more = "\n\n".join(filter(None, (with_ascii_hosts(markdown), note)))
    return "\n\n".join(filter(None, (sentence, escaped(more))))


def _first_page(markdown: str) -> tuple[str, str]:
    """Returns as much of a text as one message holds, and a sentence about the rest."""
    pages = Pages(max_full=1)
    pages.append(markdown)
    first, *more = [*pages.full, pages.growing]
    return first.markdown, texts.REST_LEFT_OUT if more else ""


def offer(sentence: str, label: str, action_id: str, value: str = "") -> list[Json]:
    """Returns a sentence, and a button that does what the sentence is about."""
    return [section(mrkdwn(sentence)), blockkit.actions([blockkit.button(action_id, label, value)])]
