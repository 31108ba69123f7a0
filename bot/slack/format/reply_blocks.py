"""A page of a reply as Block Kit: a `markdown` block, lines about the answer below it, buttons, and a preview text.

Slack refuses an edit that removes the last `rich_text` of a message (block_mismatch), and it makes no `rich_text` of a
`markdown` block that has only headings and tables. So lines about the answer are `rich_text`, and a page without a
paragraph always has one.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bot.core import texts
from bot.core.choices import value_of
from bot.core.job import End
from bot.core.reply.actions import ActionResponse, ReplyAction, Vote
from bot.core.reply.markdown.bare_urls import with_ascii_hosts
from bot.core.reply.markdown.escaping import mrkdwn, unlinked
from bot.core.reply.markdown.extent import has_paragraph
from bot.core.reply.markdown.render import rendered
from bot.core.reply.markdown.slack_files import without_schemes
from bot.core.reply.messages import PageView
from bot.core.reply.pages import Pages
from bot.core.reply.preview import beginning, first_words
from bot.core.reply.sources import plain_list, shown_sources
from bot.core.stream import Citation
from bot.core.tool_calls import Decided
from bot.core.tools import escaped
from bot.errors import EndReason
from bot.slack.format import approval_blocks, blockkit
from bot.slack.format.blockkit import Json
from bot.slack.format.payload import json_objects

_NOT_ANSWER = ("actions", "context_actions", "context")
"""Blocks that are no part of the answer."""
_NOTE_LINE = "about-answer-"
"""Begins the block_id of a line about the answer. Slack keeps our block_ids, and no block of an answer has one."""
PLAIN_BYTES = 3_800
"""In UTF-8; chat.update takes 4,000 bytes of text."""
LABEL_CHARS = 75
"""Slack's limit for the text of a button."""
_NOTICE_CHARS = 300
_PLAIN_TRANSCRIPT_CHARS = 200
"""Plain text isn't folded."""
ACTIVITY_CHARS = 150


def message(view: PageView) -> Json:
    """Returns the arguments of chat.postMessage and chat.update that show the view.

    `blocks` is always there: an empty list removes what an earlier call showed.
    """
    if view.plain:
        return {"text": _plain(view), "blocks": []}
    text = rendered(view.markdown, growing=view.growing, open_files=view.open_files)
    blocks = _heard(view)
    # Slack refuses an empty block: everything so far may still be held back, as half a link is.
    if text.strip():
        blocks.append(blockkit.markdown(text))
    return {"text": short_text(view), "blocks": [*blocks, *_below(view, text)]}


def _heard(view: PageView) -> list[Json]:
    """Returns what is said in the question's recordings, in which nothing is markup.

    Slack folds a long section. The same block_id in each edit keeps it open where a reader has opened it.
    """
    if not view.transcript:
        return []
    section = blockkit.section(blockkit.plain_text(without_schemes(texts.heard(view.transcript))))
    return [{**section, "block_id": f"{_NOTE_LINE}transcript"}]


def blocks_below(view: PageView) -> list[Json]:
    """Returns the blocks below a page that a stream carries: everything but the Markdown."""
    return _below(view, rendered(view.markdown, growing=view.growing))


def _below(view: PageView, text: str) -> list[Json]:
    decided = _decided(view.end.decided) if view.end else ""
    lines = [line for line in (_note(view), decided, _footer(view)) if line]
    if not lines and not has_paragraph(text):
        lines = [_last_line(view)]
    return [
        *_choices(view),
        *_source_list(view.end.sources if view.end and view.markdown.strip() else ()),
        *_note_lines(*lines),
        *_asks(view),
        *_buttons(view),
    ]


def action_message(response: ActionResponse) -> Json:
    """Returns chat.postEphemeral's arguments: a sentence, and below it as much Markdown as one message holds."""
    markdown, note = _first_page(response.markdown)
    above, *below = _note_lines(*filter(None, (response.sentence, note)))
    text = blockkit.markdown(rendered(markdown, growing=False))
    blocks = [above, text, *_source_list(response.sources), *below]
    return {"text": mrkdwn(response.sentence), "blocks": blocks}


def action_text(response: ActionResponse) -> str:
    """Returns the same without blocks, for a response_url: it takes no Markdown."""
    markdown, note = _first_page(response.markdown)
    lines = response.sentence, with_ascii_hosts(markdown), note, plain_list(shown_sources(response.sources))
    return mrkdwn("\n\n".join(filter(None, lines)))


def _first_page(markdown: str) -> tuple[str, str]:
    """Returns as much of a text as one message holds, and a sentence about the rest."""
    pages = Pages(max_full=1)
    pages.append(markdown)
    first, *more = [*pages.full, pages.growing]
    return first.markdown, texts.PREVIOUS_VERSION_CUT if more else ""


def answer_of(message: Mapping[str, Any]) -> Json:
    """Returns a message of a reply with only the answer's blocks, in the blocks that Slack made of them."""
    answers = [block for block in json_objects(message, "blocks") if not _is_not_answer(block)]
    return {"text": "" if message.get("blocks") else message.get("text", ""), "blocks": answers}


def _is_not_answer(block: Mapping[str, Any]) -> bool:
    return block.get("type") in _NOT_ANSWER or str(block.get("block_id", "")).startswith(_NOTE_LINE)


def short_text(view: PageView) -> str:
    """Returns the text for notifications and screen readers: the first words without Markdown's marks."""
    words = with_ascii_hosts(first_words(view.markdown, growing=view.growing))
    return mrkdwn(words or beginning(view.notice, _NOTICE_CHARS)) or (
        mrkdwn(_growing(view)) if view.live else _last_line(view)
    )


def _buttons(view: PageView) -> list[Json]:
    """Returns the buttons of the reply's last page; other pages have none.

    A press is looked up by its message, so that no value needs to be trusted.
    """
    if view.live and view.has_stop:
        return []
    if view.live:
        return [blockkit.actions([blockkit.button(ReplyAction.STOP, texts.STOP)])]
    answered = bool(view.markdown.strip())
    end = view.end
    if end is None or end.reason is EndReason.DENIED:
        return []
    if not answered and end.reason in (EndReason.WHOLE, EndReason.NOTHING_ASKED):
        return []
    buttons = [blockkit.button(ReplyAction.REGENERATE, texts.REGENERATE)]
    if answered:
        buttons.append(blockkit.overflow(ReplyAction.REGENERATE_WITH, texts.EFFORTS))
    if answered and end.reason.is_continuable:
        buttons.insert(0, blockkit.button(ReplyAction.CONTINUE, texts.CONTINUE))
    if end.has_previous:
        buttons.append(blockkit.button(ReplyAction.PREVIOUS, texts.PREVIOUS))
    if end.has_details:
        buttons.append(blockkit.button(ReplyAction.DETAILS, texts.DETAILS))
    if end.offers_canvas:
        buttons.append(blockkit.button(ReplyAction.CANVAS, texts.CANVAS))
    icons = [*([_feedback()] if answered else []), _delete_button()]
    return [blockkit.actions(buttons), blockkit.context_actions(icons)]


def offer(sentence: str, label: str, action_id: str, value: str = "") -> list[Json]:
    """Returns a sentence, and a button that does what the sentence is about."""
    button = blockkit.button(action_id, label, value)
    return [blockkit.section(blockkit.mrkdwn(sentence)), blockkit.actions([button])]


def remark(sentence: str) -> list[Json]:
    """Returns a sentence of mrkdwn in a message of its own, which is no part of the answer."""
    return [{**blockkit.section(blockkit.mrkdwn(sentence)), "block_id": f"{_NOTE_LINE}remark"}]


def _asks(view: PageView) -> list[Json]:
    """Returns each call that a person decides about: the tool, its arguments, and its buttons or decision."""
    return [
        block
        for number, ask in enumerate(view.asks)
        for block in approval_blocks.in_reply(ask, f"{_NOTE_LINE}ask-{number}")
    ]


def _choices(view: PageView) -> list[Json]:
    """Returns the buttons of what readers can choose. The answer has a list of it; a press is about its place there."""
    if view.end is None or not view.end.choices:
        return []
    buttons = [
        blockkit.button(f"{ReplyAction.CHOOSE}-{index}", _label(choice), value_of(view.version, index))
        for index, choice in enumerate(view.end.choices)
    ]
    return [blockkit.actions(buttons)]


def _label(choice: str) -> str:
    return choice if len(choice) <= LABEL_CHARS else f"{choice[: LABEL_CHARS - 1]}…"


def _decided(decided: Sequence[Decided]) -> str:
    """Returns who decided about the answer's calls; "" if nobody did."""
    is_only_one = [one.calls for one in decided] == [1]
    return " · ".join(
        texts.decided(
            one.decision, one.calls, escaped(" ".join(one.name.split())) or texts.SOMEBODY, is_only_one=is_only_one
        )
        for one in decided
    )


def _feedback() -> Json:
    return blockkit.feedback_buttons(
        ReplyAction.FEEDBACK,
        positive=blockkit.feedback_button("👍", Vote.UP, texts.GOOD_ANSWER),
        negative=blockkit.feedback_button("👎", Vote.DOWN, texts.BAD_ANSWER),
    )


def _delete_button() -> Json:
    confirm = blockkit.confirm(texts.DELETE_TITLE, texts.DELETE_QUESTION, yes=texts.DELETE, no=texts.KEEP)
    return blockkit.icon_button(ReplyAction.DELETE, "trash", texts.DELETE, confirm)


def _note_lines(*lines: str) -> list[Json]:
    """Returns lines about the answer, in which nothing can be a mention or a link."""
    return [blockkit.rich_text_line(unlinked(line), f"{_NOTE_LINE}{number}") for number, line in enumerate(lines)]


def _source_list(sources: Sequence[Citation]) -> list[Json]:
    """Returns the list of sources, whose links say where they lead."""
    links = [(source.url, source.label) for source in shown_sources(sources)]
    return [blockkit.rich_text_links(texts.SOURCES, links, f"{_NOTE_LINE}sources")] if links else []


def _footer(view: PageView) -> str:
    """Returns the model's name, and whether the answer is incomplete if no notice says so."""
    if view.end is None or not view.markdown.strip():
        return ""
    return " · ".join(filter(None, (view.end.footer, _completeness(view.end))))


def _completeness(end: End) -> str:
    """Returns the word for an incomplete answer; "" if it is complete."""
    if end.reason.is_stop:
        return texts.FOOTER_STOPPED
    is_limited = end.reason in (EndReason.LENGTH_LIMIT, EndReason.STEP_LIMIT)
    return texts.FOOTER_INCOMPLETE if is_limited or end.reason.is_failure else ""


def _note(view: PageView) -> str:
    return view.notice or (_growing(view) if view.growing else "")


def _growing(view: PageView) -> str:
    if view.asks:
        return texts.ASKING
    if view.activity:
        return beginning(view.activity, ACTIVITY_CHARS)
    if view.markdown.strip():
        return texts.WRITING
    return texts.QUEUED if view.queued else texts.THINKING


def _plain(view: PageView) -> str:
    """Returns the page as plain text, with as much of the notice as fits."""
    text = with_ascii_hosts(view.markdown.rstrip())
    note = _asks_plainly(view) or _note(view)
    if view.end is not None:
        note = "\n\n".join(filter(None, (plain_list(shown_sources(view.end.sources)), note or _completeness(view.end))))
    while note and _bytes(plain := mrkdwn("\n\n".join(filter(None, (text, note))))) > PLAIN_BYTES:
        note = beginning(note, len(note) // 2) if len(note) > 2 else ""
    plain = plain if note else mrkdwn(text) or _last_line(view)
    heard = mrkdwn(texts.heard(beginning(view.transcript, _PLAIN_TRANSCRIPT_CHARS))) if view.transcript else ""
    with_heard = "\n\n".join(filter(None, (heard, plain)))
    return with_heard if _bytes(with_heard) <= PLAIN_BYTES else plain


def _asks_plainly(view: PageView) -> str:
    """Returns the sentence for calls that can't be approved, because the page has no buttons."""
    tools = list(dict.fromkeys(unlinked(ask.tool) for ask in view.asks if ask.decision is None))
    return texts.asking_without_buttons(tools) if tools else ""


def _last_line(view: PageView) -> str:
    """Returns the line of a page that would have nothing but headings and tables."""
    return texts.CONTINUED_BELOW if view.end is None else texts.END_OF_ANSWER


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
