"""Renders a reply's page as Block Kit: a `markdown` block, lines about the answer, buttons, and plain text.

Slack refuses an edit that removes a message's last `rich_text` (block_mismatch), and doesn't turn a `markdown` block
that only has headings and tables into `rich_text`. Lines about the answer are therefore small print (`context`) only
below a paragraph, and `rich_text` otherwise. A page without a paragraph always has such a line.

While a page grows, its `text` is only the first words, because every edit sends the `text` again. In the last edit, and
in edits that ask for a decision, `text` is the whole page (bot/slack/plain.py).

Blocks keep their block_ids across edits, so clients don't rebuild them: a button keeps the focus, and a click during an
edit counts.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from bot.core import texts
from bot.core.actions import CALL_ACTIONS, DOWN, LABELS, MORE, UP, ReplyAction
from bot.core.calls import DecidedCalls
from bot.core.choices import LABEL_CHARS, button_value, mark_choice, without_choice_list
from bot.core.picture import Picture, allowed_user_ids
from bot.core.unseen import escape_unseen
from bot.errors import EndReason
from bot.reply.charts import has_charts, split_at_charts, without_chart_marks
from bot.reply.messages import PageView
from bot.reply.sources import plain_list, shown_sources
from bot.slack import blockkit
from bot.slack.blockkit import NOTE_LINE, Json
from bot.slack.plain import PLAIN_BYTES, text_of, utf8_bytes
from bot.slack.views.arguments import asks_in_reply
from bot.slack.views.schedules import stop_button
from slack_markdown.escaping import break_links
from slack_markdown.extent import has_paragraph
from slack_markdown.links import with_ascii_hosts, without_schemes
from slack_markdown.render import beginning, first_words, mrkdwn, render_page

MAX_VIEWERS = 20
"""Maximum number of people that a button can be limited to. If more people can click it, everyone sees the button."""
_LIMITED_ACTIONS = (*CALL_ACTIONS, ReplyAction.DELETE)
_NOTICE_CHARS = 300
_PLAIN_TRANSCRIPT_CHARS = 200
ACTIVITY_CHARS = 150
MAX_IN_MENU = 5
"""Slack's limit for the number of items in a menu. If an earlier answer has more actions, the first ones remain
buttons."""
_CONFIRM = blockkit.confirm(
    texts.actions.DELETE_TITLE, texts.actions.DELETE_QUESTION, yes=texts.actions.DELETE, no=texts.actions.KEEP
)
_BUTTONS = {
    **{action: [blockkit.button(action, label)] for action, label in LABELS.items()},
    ReplyAction.FEEDBACK: [
        blockkit.button(f"{ReplyAction.FEEDBACK}-{UP}", "👍", UP, spoken=texts.actions.GOOD_ANSWER),
        blockkit.button(f"{ReplyAction.FEEDBACK}-{DOWN}", "👎", DOWN, spoken=texts.actions.BAD_ANSWER),
    ],
    ReplyAction.DELETE: [blockkit.button(ReplyAction.DELETE, "🗑️", spoken=texts.actions.DELETE, confirm=_CONFIRM)],
}
_ANSWER_NOW = [blockkit.button(ReplyAction.REGENERATE, texts.actions.ANSWER_NOW)]


def message(view: PageView) -> Json:
    """Returns the arguments for chat.postMessage and chat.update. The arguments always include `blocks`, because an
    empty list removes blocks."""
    if view.end is not None and view.end.chosen_choice:
        view = replace(view, markdown=mark_choice(view.markdown, view.end.chosen_choice, texts.shortcut.CHOSEN))
    if view.plain:
        return {"text": _plain_text(view), "blocks": []}
    choices = view.end.choices if view.end else ()
    markdown = without_choice_list(view.markdown, choices) if choices else view.markdown
    is_drawn = view.style.is_full and not view.growing
    pieces = split_at_charts(markdown) if is_drawn else [(without_chart_marks(markdown), None)]
    shown = [(render_page(piece, growing=view.growing, open_files=view.open_files), chart) for piece, chart in pieces]
    blocks = []
    # A notice without an answer already says what happened.
    if view.asked_on and view.markdown.strip():
        blocks.append(blockkit.rich_text_line(view.asked_on, f"{NOTE_LINE}asked"))
    if view.transcript:
        # A section without markup. Slack folds a long section, and the block_id keeps it open if a reader opened it.
        heard = blockkit.section(blockkit.plain_text(without_schemes(texts.answers.transcript_line(view.transcript))))
        blocks.append({**heard, "block_id": f"{NOTE_LINE}transcript"})
    for text, chart in shown:
        # Slack refuses an empty block, and all the text so far might still be held back, as half a link is.
        blocks += [blockkit.markdown(text)] if text.strip() else []
        blocks += [chart] if chart else []
    below = _blocks_below_text(view, "\n\n".join(text for text, _ in shown))
    words = text_of([*blocks, *below]) if view.asks or not view.is_live else ""
    return {
        "text": words or short_text(view),
        "blocks": [*blocks, *_restrict_to_allowed_users([*below, *_buttons(view)], view)],
    }


def blocks_below(view: PageView) -> list[Json]:
    """Returns the blocks below a streamed page's Markdown."""
    below = [*_blocks_below_text(view, render_page(view.markdown, growing=view.growing)), *_buttons(view)]
    return _restrict_to_allowed_users(below, view)


def has_optional_parts(view: PageView) -> bool:
    """Returns whether a page has charts, or buttons that only some readers see. Slack might refuse either of them."""
    return has_charts(view.markdown) or bool(view.asker and (view.asks or view.end))


def _restrict_to_allowed_users(blocks: Sequence[Json], view: PageView) -> list[Json]:
    """Limits buttons that decide or delete to the people who can click them. `visible_to_user_ids` is in slack-sdk
    3.48.0 for `button` (read on 2026-11-30). The maximum length of that list isn't documented, so long lists are left
    out. Every click is checked anyway (bot/core/picture.py)."""
    if not (view.asker and view.style.is_full):
        return list(blocks)
    shown = []
    for block in blocks:
        elements = list(block["elements"]) if block["type"] == "actions" else []
        for index, button in enumerate(elements):
            if button["action_id"] not in _LIMITED_ACTIONS:
                continue
            allowed_for = partial(allowed_user_ids, ReplyAction(button["action_id"]), view.asker, view.style.admins)
            values = button.get("value", "").split()
            allowed = [allowed_for(ask) for ask in view.asks if ask.value in values] or [allowed_for()]
            people = sorted({person for one in allowed if one is not None for person in one})
            if None not in allowed and 0 < len(people) <= MAX_VIEWERS:
                elements[index] = {**button, "visible_to_user_ids": people}
        shown.append({**block, "elements": elements} if elements else block)
    return shown


def _blocks_below_text(view: PageView, text: str) -> list[Json]:
    end = view.end
    decided = _decision_line(end.decisions) if end and end.decisions else ""
    has_answer = bool(view.markdown.strip())
    footer = " · ".join(filter(None, (end.footer, end.completeness))) if end and has_answer else ""
    lines = [line for line in (_notice_or_activity(view), decided, footer) if line]
    is_small = has_paragraph(text)
    if not (lines or is_small or view.asks):
        lines = [_closing_line(view)]
    blocks = [_choice_buttons(end.choices, view.version)] if end and end.choices else []
    if end and has_answer and end.sources and (sources := shown_sources(end.sources)):
        links = [(source.url, source.label) for source in sources]
        blocks.append(blockkit.rich_text_links(texts.answers.SOURCES, links, f"{NOTE_LINE}sources"))
    # Sent without markup, so that these lines can't contain mentions or links.
    blocks += [_line_block(break_links(line), number, is_small=is_small) for number, line in enumerate(lines)]
    return [*blocks, *(asks_in_reply(view.asks, f"{NOTE_LINE}ask-") if view.asks else ())]


def _line_block(line: str, number: int, *, is_small: bool) -> Json:
    # Slack shows times in the reader's time zone only in rich text.
    if is_small and len(line) <= blockkit.PIECE_CHARS and not texts.times.TOKEN.search(line):
        return blockkit.context(blockkit.plain_text(line), f"{NOTE_LINE}small-{number}")
    return blockkit.rich_text_line(line, f"{NOTE_LINE}{number}")


def short_text(view: PageView) -> str:
    """Returns a growing page's text for notifications and screen readers: the first words, without Markdown."""
    words = with_ascii_hosts(first_words(view.markdown, growing=view.growing))
    return mrkdwn(words or beginning(view.notice, _NOTICE_CHARS)) or (
        mrkdwn(_activity_text(view)) if view.is_live else _closing_line(view)
    )


def _buttons(view: PageView) -> list[Json]:
    """Returns the buttons of the reply's last page. A click is looked up by its message, so the buttons' values don't
    have to be trusted."""
    undecided = [ask for ask in view.asks if ask.decision is None]
    if view.is_live and (view.has_stop or (undecided and all(ask.is_proposal for ask in undecided))):
        return []
    if view.is_live:
        return [blockkit.actions(_BUTTONS[ReplyAction.STOP], f"{NOTE_LINE}stop")]
    end = view.end or Picture()
    labeled = {**_BUTTONS, ReplyAction.REGENERATE: _ANSWER_NOW} if end.reason is EndReason.OFFERED else _BUTTONS
    stop = [stop_button(end.schedule_id, texts.schedules.STOP_SCHEDULE)] if end.schedule_id else []
    labels = [action for action in end.buttons if action in LABELS]
    in_menu = labels[-MAX_IN_MENU:] if end.has_menu else [one for one in labels if one is ReplyAction.KEEP_TEST]
    row = stop + [button for action in end.buttons if action not in in_menu for button in labeled[action]]
    row += [blockkit.overflow(MORE, {action: LABELS[action] for action in in_menu})] if in_menu else []
    return [blockkit.actions(row, f"{NOTE_LINE}buttons")] if row else []


def _choice_buttons(choices: Sequence[str], version: int) -> Json:
    """Returns a button for each choice. The value is the choice's index in the answer's list."""
    labels = [one if len(one) <= LABEL_CHARS else f"{one[: LABEL_CHARS - 1]}…" for one in choices]
    buttons = [
        blockkit.button(f"{ReplyAction.CHOOSE}-{index}", label, button_value(version, index))
        for index, label in enumerate(labels)
    ]
    return blockkit.actions(buttons, f"{NOTE_LINE}choices")


def _decision_line(decided: Sequence[DecidedCalls]) -> str:
    is_only_one = [one.calls for one in decided] == [1]
    said = (
        texts.approvals.decision_text(
            one.kind,
            one.decision,
            one.calls,
            escape_unseen(" ".join(one.name.split())) or texts.approvals.SOMEBODY,
            is_only_one=is_only_one,
        )
        for one in decided
    )
    return " · ".join(dict.fromkeys(said))


def _notice_or_activity(view: PageView) -> str:
    """Returns the notice, or the model's activity if Slack doesn't show it next to its own Stop button."""
    growing = _activity_text(view) if view.growing and not view.asks else ""
    return view.notice or ("" if view.has_stop and growing == texts.answers.WRITING else growing)


def _activity_text(view: PageView) -> str:
    if view.activity:
        return beginning(view.activity, ACTIVITY_CHARS)
    if view.markdown.strip():
        return texts.answers.WRITING
    return texts.answers.QUEUED if view.queued else view.style.thinking


def _plain_text(view: PageView) -> str:
    text = mrkdwn(with_ascii_hosts(without_chart_marks(view.markdown).rstrip()))
    if view.asked_on and text:
        text = f"{view.asked_on}\n\n{text}"
    note = _pending_calls_text(view) or _notice_or_activity(view)
    if view.end is not None:
        note = "\n\n".join(filter(None, (plain_list(shown_sources(view.end.sources)), note or view.end.completeness)))
    while note and utf8_bytes(plain := "\n\n".join(filter(None, (text, _with_times(mrkdwn(note)))))) > PLAIN_BYTES:
        note = beginning(note, len(note) // 2) if len(note) > 2 else ""
    plain = plain if note else text or _closing_line(view)
    # Plain text has only the transcript's first words, because Slack doesn't fold it.
    heard = (
        mrkdwn(texts.answers.transcript_line(beginning(view.transcript, _PLAIN_TRANSCRIPT_CHARS)))
        if view.transcript
        else ""
    )
    with_heard = "\n\n".join(filter(None, (heard, plain)))
    return with_heard if utf8_bytes(with_heard) <= PLAIN_BYTES else plain


def _with_times(escaped: str) -> str:
    return texts.times.TOKEN.sub(lambda token: texts.times.token(int(token[1])), escaped)


def _pending_calls_text(view: PageView) -> str:
    asked = [(ask.kind, break_links(ask.question)) for ask in view.asks if ask.decision is None]
    return texts.approvals.asking_without_buttons(asked) if asked else ""


def _closing_line(view: PageView) -> str:
    """Returns the additional line for a page that has only headings and tables."""
    return texts.answers.CONTINUED_BELOW if view.end is None else texts.answers.END_OF_ANSWER
