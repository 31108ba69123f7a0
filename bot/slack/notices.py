"""Renders welcome messages, and responses to commands and buttons, which only one person can see. Pure."""

import re

from bot.core import texts
from bot.core.actions import ActionResponse
from bot.core.caps import UsageToDate
from bot.core.conversation import escape
from bot.core.surfaces import CommandResponse, Help
from bot.core.unseen import escape_unseen
from bot.slack import blockkit, plain
from bot.slack.blockkit import Json, actions, button, context, mrkdwn, plain_text, remark, section
from bot.slack.quotas import usage_text
from slack_markdown.escaping import break_links
from slack_markdown.links import with_ascii_hosts
from slack_markdown.pages import Pages
from slack_markdown.render import mrkdwn as escaped
from slack_markdown.render import render_page


def notification(sentence: str) -> Json:
    """Returns chat.postMessage's arguments for an mrkdwn sentence that Slack always shows in full (`expand`)."""
    return {"text": sentence, "blocks": [block | {"expand": True} for block in remark(sentence)]}


SUGGESTION = "suggestion"
"""Action ID prefix of a suggested prompt's button. It is followed by a dash and the prompt's number."""


def welcome(greeting: str, seen: str) -> Json:
    """Returns chat.postMessage's arguments for a welcome message. It isn't marked as an answer, because a reply to it
    begins a conversation."""
    return plain.message([*remark(greeting), suggestion_row(), context(mrkdwn(seen))])


def suggestion_row() -> Json:
    buttons = [
        button(f"{SUGGESTION}-{number}", label, label) for number, label in enumerate(texts.welcome.PANE_SUGGESTIONS)
    ]
    return actions(buttons, block_id=SUGGESTION)


_MENTION = re.compile(r"&lt;@([UW][A-Z0-9]+)>")


def command_message(response: CommandResponse) -> Json:
    match response.content:
        case Help() as help_asked:
            # The first line mentions an unknown subcommand.
            command, subcommand = escape(help_asked.command), escape(help_asked.unknown_subcommand)
            unknown = texts.commands.unknown_command(command, subcommand) if subcommand else ""
            text = f"{unknown}{texts.commands.command_list(command)}\n{texts.commands.WHAT_I_DO}"
        case UsageToDate() as usage:
            text = usage_text(usage)
        case str(sentence):
            text = sentence
    blocks = [section(mrkdwn(text))]
    if response.settings:
        blocks.append(context(mrkdwn(response.settings)))
    return plain.message(blocks)


def action_message(response: ActionResponse) -> Json:
    markdown, note = _first_page(response.markdown)
    lines = {"sentence": response.sentence, "note": note}
    above, *below = [blockkit.rich_text_line(break_links(line), block_id) for block_id, line in lines.items() if line]
    text = blockkit.markdown(render_page(markdown, growing=False))
    return plain.message([above, text, *below])


def action_text(response: ActionResponse) -> str:
    """Returns an action's response as text, because a response_url doesn't support Markdown blocks."""
    markdown, note = _first_page(response.markdown)
    # Our own sentence can mention admins without notifying them, because only the person who clicked can see it.
    sentence = _MENTION.sub(r"<@\1>", escaped(response.sentence))
    more = "\n\n".join(filter(None, (with_ascii_hosts(markdown), note)))
    return "\n\n".join(filter(None, (sentence, escaped(more))))


def copy_of_answer(markdown: str, sent_by: str) -> list[Json]:
    """Returns blocks with the first page of an answer, below the name of the person who sent it to the channel."""
    first, note = _first_page(markdown)
    lines = texts.notify.sent_by(sent_by), texts.notify.REST_IN_THREAD if note else ""
    above, *below = [blockkit.rich_text_line(break_links(line), f"copy-{at}") for at, line in enumerate(lines) if line]
    return [above, blockkit.markdown(render_page(first, growing=False)), *below]


def passed_on(heading: str, text: str) -> Json:
    """Returns chat.postMessage's arguments for a text that the asker has seen on a card, below a heading in mrkdwn. The
    text looks the same as on the card: Slack formats nothing in it."""
    quote = blockkit.rich_text_quote(break_links(escape_unseen(text)), "passed-on")
    return plain.message([section(mrkdwn(heading)), quote])


def follow_up_blocks(response: ActionResponse) -> list[Json]:
    buttons = [button(action_id, label, response.value) for action_id, label in response.follow_ups.items()]
    return [section(plain_text(response.sentence)), actions(buttons)]


def _first_page(markdown: str) -> tuple[str, str]:
    pages = Pages(max_full_pages=1)
    pages.append(markdown)
    first, *more = [*pages.full_pages, pages.growing_page]
    return first.markdown, texts.actions.REST_LEFT_OUT if more else ""


def offer(sentence: str, label: str, action_id: str, value: str = "") -> list[Json]:
    return [section(mrkdwn(sentence)), blockkit.actions([blockkit.button(action_id, label, value)])]
