"""Renders questions that the bot posts for users, because an app can't post as another user. Pure.

These are questions from modals, emoji reactions, choices and suggested prompts, and the posts of scheduled runs. The
block_id identifies the asker, so history attributes the question to the asker.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from bot.core import texts
from bot.core.conversation import Message, escape, unescape, with_names
from bot.core.unposted import MessageQuestion, QuotedMessage, emoji_of, is_suggested, quote_in_post
from bot.slack import blockkit, plain
from bot.slack.blockkit import (
    PIECE_CHARS,
    Json,
    context,
    plain_text,
    rich_text_quote,
)
from bot.slack.json_values import json_objects
from bot.slack.text import block_text, message_text
from slack_markdown.growing_text import join_halves
from slack_markdown.links import without_schemes


def shorten_quote(quote: str, size: Callable[[str], int], limit: int) -> str:
    while size(quote) > limit:
        quote = quote[: len(quote) * 9 // 10].rstrip("\u200d") + "…"
    return quote


_ASKER_PREFIX = "asked-by-"
_CHOICE_PREFIX = "chosen-by-"
_REACTION_PREFIX = "reacted-by-"
RUN_PREFIX = "scheduled-by-"
MODAL_PREFIX = "asked-in-"
MAX_QUOTE_CHARS = 9_000
"""Maximum length of a quote, including entities. Slack accepts 13,200 characters per message, of which the question
takes up to 3,000."""


def quote_of(message: Message, response_url: str, names: Mapping[str, str]) -> QuotedMessage:
    """Returns a message as a question quotes it. `names`: user and channel names, keyed by ID."""
    thread_ts = message.thread_ts or message.ts
    whole = join_halves(with_names(message.full_text, names).strip())
    quote = shorten_quote(whole, lambda quote: len(escape(quote)), MAX_QUOTE_CHARS)
    return QuotedMessage(message.channel_id, message.ts, thread_ts, quote, response_url)


def posted_question(question: MessageQuestion, *, elsewhere: bool) -> Json:
    """Returns chat.postMessage's arguments for a question. `elsewhere`: whether the question is posted in the asker's
    direct message.

    A question asked with an emoji shows only the emoji, because the asker didn't write the question's words. Nothing in
    the message links to a Slack file, because the asker could refer to a file that the readers can't open. The intro's
    block_id identifies the modal, so that a retry finds the message.
    """
    asker = f"<@{question.user_id}>"
    intro, block = texts.shortcut.asks_about_this(asker), _ASKER_PREFIX
    if is_suggested(question.view_id):
        intro = texts.shortcut.asker_line(asker)
    elif elsewhere:
        intro = texts.shortcut.asks_about_message_in(asker, f"<#{question.about.channel_id}>")
    elif question.about.offered_by is not None:
        intro, block = texts.shortcut.chosen_by(asker), _CHOICE_PREFIX
    blocks = [context(blockkit.mrkdwn(intro), f"{MODAL_PREFIX}{question.view_id}")]
    if quote := quote_in_post(question.about, elsewhere=elsewhere):
        parts = [plain_text(part) for part in _split_quote(without_schemes(quote))]
        blocks.append({**context(parts[0], f"{_ASKER_PREFIX}{question.user_id}-about"), "elements": parts})
    if emoji := emoji_of(question.view_id):
        reaction = f":{emoji}:"
        blocks.append(context(blockkit.mrkdwn(reaction), f"{_REACTION_PREFIX}{question.user_id}"))
        return plain.message(blocks)
    text = without_schemes(question.text)
    blocks.append(rich_text_quote(text, f"{block}{question.user_id}"))
    return plain.message(blocks)


def _split_quote(quote: str) -> Iterator[str]:
    while len(quote) > PIECE_CHARS:
        at = quote.rfind("\n", PIECE_CHARS // 2, PIECE_CHARS)
        at = PIECE_CHARS if at < 0 else at
        yield quote[:at]
        quote = quote[at:].removeprefix("\n")
    yield quote


def modal_id_of(message: Mapping[str, Any]) -> str | None:
    """Returns the ID of the modal in which a question that the bot posted was asked, or None if there was no modal."""
    ids = (str(block.get("block_id", "")) for block in json_objects(message, "blocks"))
    return next((id_.removeprefix(MODAL_PREFIX) for id_ in ids if id_.startswith(MODAL_PREFIX)), None)


def parse_posted_question(message: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """Returns the asker, the words and the quote (core/conversation.py) of a posted question, or None if a message
    isn't one."""
    blocks = json_objects(message, "blocks")
    for mark, own_words in ((_CHOICE_PREFIX, texts.shortcut.MY_CHOICE), (RUN_PREFIX, texts.schedules.SCHEDULED_TASK)):
        if by_model := next((block for block in blocks if _has_prefix(block, mark)), None):
            return str(by_model["block_id"]).removeprefix(mark), own_words, message_text(_text_of(by_model))
    parts = [block for block in blocks if _has_prefix(block, _ASKER_PREFIX)]
    if reaction := next((block for block in blocks if _has_prefix(block, _REACTION_PREFIX)), None):
        user_id, words = str(reaction["block_id"]).removeprefix(_REACTION_PREFIX), texts.settings.REACTION_QUESTION
    elif parts:
        last = parts.pop()
        user_id, words = str(last["block_id"]).removeprefix(_ASKER_PREFIX), message_text(_text_of(last))
    else:
        return None
    quoted = ["\n".join(f"&gt; {line}" for line in _text_of(part).splitlines()) for part in parts]
    return user_id, words, message_text("\n\n".join(quoted))


def _has_prefix(block: Mapping[str, Any], prefix: str) -> bool:
    return str(block.get("block_id", "")).startswith(prefix)


def _text_of(block: Mapping[str, Any]) -> str:
    """Returns a block's text. Slack turns emoji and URLs in a rich_text into separate elements."""
    if block.get("type") == "rich_text":
        return block_text(block)
    # Slack doesn't document whether it returns plain text escaped, so the text is unescaped and escaped once.
    elements = json_objects(block, "elements")
    return "\n".join(escape(unescape(str(element.get("text", "")))) for element in elements)
