"""Decides the form in which a page is posted or edited, and changes the form if Slack rejects it. Pure.

Slack might reject a page in one form and accept it in another. There are three forms:

1. full, with blocks;
2. plain text, without blocks and on short pages;
3. later, when the outbox shows the answer's end.

A rejected form never stops the model. These rules apply whenever Slack rejects a page whose message and channel still
exist. (A message or channel is treated as gone only if Slack reports that twice in a row.)

- After a refusal about the form, the next form is tried at once. Other refusals might be temporary, so the page is sent
  again, and its form changes only after several refusals in a row. An error with an unknown name counts as two
  refusals, because another form might help, whereas during an outage only waiting helps.
- A page that is also refused as plain text, or whose message can't be edited, is posted as a new message in the full
  form.
- Once plain text succeeds, the full form is tried again, because the refusal might have been temporary or the text
  might have changed. Before each subsequent try, there are twice as many edits as before the previous one. The full
  form is always tried for the answer's end, which has buttons.

The delays between tries grow, and the reply is abandoned only after minutes of rejections (bot/retry.py). If the answer
has ended and only an admin can fix the problem, the reply is abandoned at once, because the outbox retries for longer.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

from bot.core.job import MessageRole
from bot.errors import Refusal
from bot.reply.messages import AfterRefusal, Begin, Change, PageView
from bot.reply.style import DEFAULT_STYLE, ReplyStyle
from slack_markdown.pages import PAGE_BYTES
from slack_pacing.carriers import STREAM_BYTES

PLAIN_BYTES = 3_300
"""Maximum UTF-8 size of a page without blocks. chat.update accepts 4,000 bytes, and a notice can follow the page."""
PLAIN_TEXT_WEIGHT, REPLACEMENT_WEIGHT = 10, 14
"""Weights of consecutive refusals after which plain text is tried, and after which the message is replaced."""
NEXT_REPLACEMENT_WEIGHT = 4
"""The weight after which another message is replaced, if one in the same reply has already been replaced."""
MAX_REPLACEMENTS_WHILE_GROWING = 2
"""Maximum number of replacements while a reply grows, because each new message notifies the thread."""
MAX_REPLACEMENTS = 5
"""Maximum number of replacements in one reply, because Slack can refuse the new messages too."""
FORM_REFUSALS = (Refusal.TOO_LONG, Refusal.UNREADABLE, Refusal.LINK_BLOCKED)
REFUSAL_WEIGHTS = {Refusal.TRANSIENT: 1, Refusal.UNKNOWN: 2, **dict.fromkeys(FORM_REFUSALS, 2)}
"""Weights of refusals that might be resolved by another form, or by waiting."""
CONFLICT_WEIGHT = 5
"""The weight of a refusal that Slack gives because the message is still streaming. After three in a row, the message is
replaced."""
UNEDITABLE = (Refusal.UNEDITABLE, Refusal.FORBIDDEN, Refusal.STREAM_OPEN, Refusal.STREAM_CLOSED)
"""Refusals after which a page is posted as a new message and its old message is deleted."""


@dataclass(frozen=True, slots=True)
class Post(Begin):
    pending_role: ClassVar[MessageRole] = MessageRole.POSTING


@dataclass(frozen=True, slots=True)
class Update(Change):
    view: PageView


class Edits:
    def __init__(self, first_short_page: int | None = None, style: ReplyStyle = DEFAULT_STYLE) -> None:
        self.style = style
        self.first_short_page: float = math.inf if first_short_page is None else first_short_page
        """The first page that is limited to a stream's size."""
        self.first_plain_page: float = math.inf
        self._plain_shown = 0
        """The number of plain pages that Slack has accepted since it last accepted the full form."""
        self._refusals = 0
        self._is_reported_gone = False
        self._replacements = 0

    def page_limits(self, page: int, page_chars: int) -> tuple[int, int]:
        """Returns the maximum number of characters and bytes on a page. `page_chars`: the maximum in the full form."""
        if page >= self.first_plain_page:
            return min(page_chars, PLAIN_BYTES), PLAIN_BYTES
        return page_chars, STREAM_BYTES if page >= self.first_short_page else PAGE_BYTES

    def shorten_if_full(self, page: int, markdown: str) -> None:
        if len(markdown) > STREAM_BYTES:
            self.first_short_page = min(self.first_short_page, page)

    @property
    def has_refusals(self) -> bool:
        """Whether Slack has refused the full form since it last accepted it, or a message was replaced."""
        return self._was_refused or self._replacements > 0

    def can_edit(self, *, ended: bool) -> bool:
        """Returns whether a message can be edited. While a reply grows, the only alternative to an edit that keeps
        failing is another new message."""
        return ended or self._replacements < MAX_REPLACEMENTS_WHILE_GROWING

    def on_confirmed(self, call: Begin | Change) -> None:
        self._refusals, self._is_reported_gone = 0, False
        if call.view is None or not call.view.plain:
            self._plain_shown = 0 if self.first_plain_page == math.inf else self._plain_shown
            return
        self._plain_shown += 1
        # True after 1, 3, 7 … plain pages, so that the number of pages between tries doubles.
        if (self._plain_shown + 1).bit_count() == 1 or call.view.end is not None:
            self.first_plain_page = math.inf

    def on_refused(self, call: Begin | Change, reason: Refusal) -> AfterRefusal | None:
        """Returns a refused call's effect on the reply, or None if the page should be sent again."""
        is_edit = isinstance(call, Update)
        if is_edit and reason is Refusal.STREAM_OPEN and self._refusals + CONFLICT_WEIGHT < REPLACEMENT_WEIGHT:
            self._refusals += CONFLICT_WEIGHT
            return AfterRefusal.STOP
        if reason.is_gone:
            # Slack sometimes reports existing messages as gone, mostly during outages, so an edit has to fail twice in
            # a row.
            is_known, self._is_reported_gone = self._is_reported_gone or not is_edit, True
            return AfterRefusal.GONE if is_known else None
        if is_edit and reason in UNEDITABLE:
            return self._replace_message()
        return self._change_form(call, reason) if reason in REFUSAL_WEIGHTS else AfterRefusal.LATER

    def _change_form(self, call: Begin | Change, reason: Refusal) -> AfterRefusal | None:
        is_plain = call.view is not None and call.view.plain
        if not is_plain and (reason in FORM_REFUSALS or (self._was_refused and reason is not Refusal.TRANSIENT)):
            self.first_plain_page = min(self.first_plain_page, call.page)
            return None
        is_edit = isinstance(call, Update)
        self._refusals += REFUSAL_WEIGHTS[reason]
        if self._refusals >= (NEXT_REPLACEMENT_WEIGHT if is_edit and self._replacements else REPLACEMENT_WEIGHT):
            self._refusals = self._plain_shown = 0
            self.first_plain_page = math.inf
            return self._replace_message() if is_edit else None
        if self._refusals >= PLAIN_TEXT_WEIGHT and not is_plain:
            self.first_plain_page = min(self.first_plain_page, call.page)
        return None

    @property
    def _was_refused(self) -> bool:
        return self.first_plain_page < math.inf or self._plain_shown > 0

    def _replace_message(self) -> AfterRefusal:
        self._replacements += 1
        return AfterRefusal.REPLACE if self._replacements <= MAX_REPLACEMENTS else AfterRefusal.LATER
