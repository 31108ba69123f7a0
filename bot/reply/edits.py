"""Shows a page of an answer as a message that is edited as the page grows, whatever Slack refuses. Pure.

Slack may refuse a page in one form and take it in another. There are three forms:

1. full, with blocks;
2. plain text, without blocks and on short pages;
3. later: the outbox shows the answer's end.

A refused form never stops the model. One rule holds for each refusal of a page whose message and channel exist. Slack
has to say twice in a row that one of them is gone.

- The page is sent again, in the same form or in the next one. A refusal that is about the form leads on at once.
  Others may pass, or be about anything: only several in a row lead on. An unknown error name counts as two: against
  it another form may help, and against an outage only time does.
- What is refused in plain text as well goes to a new message, in the full form. So does a message that can't be edited.
- Once plain text succeeds, the full form is tried again, and later after twice as many edits each time: the refusal
  may have passed, or the text may have changed. The answer's end is tried in any case, because it has buttons.

The waits between tries grow, and only minutes of refusals end them (bot/pacing/retry.py). An answer that has
ended needs no such wait where only an admin can help: then the outbox has more time.
"""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

from bot.core.job import MessageRole
from bot.errors import Refusal
from bot.pacing.carriers import STREAM_BYTES
from bot.reply.look import DEFAULT_LOOK, ReplyLook
from bot.reply.messages import AfterRefusal, Begin, Change, PageView
from slack_markdown.pages import PAGE_BYTES

PLAIN_BYTES = 3_300
"""A page without blocks, in UTF-8. chat.update accepts 4,000 bytes of text, and a notice may follow the page."""
PLAIN_AT, REPLACED_AT = 10, 14
"""Weighted refusals in a row at which the next form is tried."""
REPLACED_AGAIN_AT = 4
"""Weighted refusals in a row at which a message is replaced in a reply that has had a replacement before."""
MAX_REPLACED = 2
"""Replacements while a reply grows, because each one notifies the thread. The final one isn't counted."""
MAX_REPLACED_IN_ALL = 5
"""Replacements of one reply in all: the new messages may be refused as well."""
ABOUT_FORM = (Refusal.TOO_LONG, Refusal.UNREADABLE, Refusal.LINK_BLOCKED)
WEIGHT = {Refusal.TRANSIENT: 1, Refusal.UNKNOWN: 2, **dict.fromkeys(ABOUT_FORM, 2)}
"""What each refusal counts that another form or time may end."""
CONFLICT_WEIGHT = 5
"""What an edit counts that Slack refuses because the message still grows. The third in a row has it replaced."""
UNEDITABLE = (Refusal.UNEDITABLE, Refusal.FORBIDDEN, Refusal.STREAM_OPEN, Refusal.STREAM_CLOSED)
"""Refusals after which a page is posted as a new message, and its old message is deleted."""


@dataclass(frozen=True, slots=True)
class Post(Begin):
    """Posts a page as a new message."""

    unanswered: ClassVar[MessageRole] = MessageRole.POSTING


@dataclass(frozen=True, slots=True)
class Update(Change):
    """Edits a page's message."""

    view: PageView


class Edits:
    """Decides which form the pages of a reply have, and what follows where Slack refuses to post or edit one.

    `short_from`: the first page that holds no more than a stream carries, if there is one.
    """

    def __init__(self, short_from: int | None = None, look: ReplyLook = DEFAULT_LOOK) -> None:
        self.look = look
        self.short_from: float = math.inf if short_from is None else short_from
        """Pages from here on hold no more than a stream carries."""
        self.plain_from: float = math.inf
        """Pages from here on are sent as plain text."""
        self._plain_shown = 0
        """Plain pages that Slack has taken since it last took the full form."""
        self._refusals = 0
        """Weighted refusals in a row."""
        self._is_missed = False
        """Whether Slack has just said of a message that it, or its channel, is gone."""
        self._replaced = 0

    def limits(self, page: int, page_chars: int) -> tuple[int, int]:
        """Returns the most characters and bytes of a page. `page_chars`: of one in the full form."""
        if page >= self.plain_from:
            return min(page_chars, PLAIN_BYTES), PLAIN_BYTES
        return page_chars, STREAM_BYTES if page >= self.short_from else PAGE_BYTES

    def last_form_begins(self, pages: int) -> int | None:
        """Returns where among so many pages the last one begins that isn't full; None if all are."""
        begins = [page for page in (self.short_from, self.plain_from) if page < pages]
        return int(max(begins)) if begins else None

    def formed(self, view: PageView, page: int) -> PageView:
        """Returns a page's view in the page's form."""
        if page < self.plain_from and page < self.short_from:
            return view
        return replace(view, plain=page >= self.plain_from, for_stream=page >= self.short_from)

    def shorten_if_full(self, page: int, markdown: str) -> None:
        """Has a page that is full become short: beside its text, it shows calls that a person decides about."""
        if len(markdown) > STREAM_BYTES:
            self.short_from = min(self.short_from, page)

    @property
    def had_refusals(self) -> bool:
        """Whether Slack has refused the full form since it last took it, or a message of the reply was replaced."""
        return self._was_refused or self._replaced > 0

    def may_edit(self, *, ended: bool) -> bool:
        """Whether a message may be edited: while a reply grows, an edit that fails may end in one more new message."""
        return ended or self._replaced < MAX_REPLACED

    def on_confirmed(self, call: Begin | Change) -> None:
        """Notes that Slack posted or edited a page."""
        self._refusals, self._is_missed = 0, False
        if call.view is None or not call.view.plain:
            self._plain_shown = 0 if self.plain_from == math.inf else self._plain_shown
            return
        self._plain_shown += 1
        # After 1, 3, 7 … plain pages: after twice as many each time.
        if (self._plain_shown + 1).bit_count() == 1 or call.view.end is not None:
            self.plain_from = math.inf

    def on_refused(self, call: Begin | Change, reason: Refusal) -> AfterRefusal | None:
        """Notes that Slack refused a call; returns what follows from that, None if another call does."""
        is_edit = isinstance(call, Update)
        if is_edit and reason is Refusal.STREAM_OPEN and self._refusals + CONFLICT_WEIGHT < REPLACED_AT:
            self._refusals += CONFLICT_WEIGHT
            return AfterRefusal.STOP
        if reason.is_gone:
            # Slack has been seen to miss what is there, above all in outages. So an edit has to fail twice.
            is_known, self._is_missed = self._is_missed or not is_edit, True
            return AfterRefusal.GONE if is_known else None
        if is_edit and reason in UNEDITABLE:
            return self._replace()
        return self._next_form(call, reason) if reason in WEIGHT else AfterRefusal.LATER

    def _next_form(self, call: Begin | Change, reason: Refusal) -> AfterRefusal | None:
        """Chooses the form for a page that Slack has refused in one, and may take."""
        is_plain = call.view is not None and call.view.plain
        if not is_plain and (reason in ABOUT_FORM or (self._was_refused and reason is not Refusal.TRANSIENT)):
            self.plain_from = min(self.plain_from, call.page)
            return None
        is_edit = isinstance(call, Update)
        self._refusals += WEIGHT[reason]
        if self._refusals >= (REPLACED_AGAIN_AT if is_edit and self._replaced else REPLACED_AT):
            self._refusals = self._plain_shown = 0
            self.plain_from = math.inf
            return self._replace() if is_edit else None
        if self._refusals >= PLAIN_AT and not is_plain:
            self.plain_from = min(self.plain_from, call.page)
        return None

    @property
    def _was_refused(self) -> bool:
        """Whether Slack has refused the full form since it last took it."""
        return self.plain_from < math.inf or self._plain_shown > 0

    def _replace(self) -> AfterRefusal:
        self._replaced += 1
        return AfterRefusal.REPLACE if self._replaced <= MAX_REPLACED_IN_ALL else AfterRefusal.LATER
