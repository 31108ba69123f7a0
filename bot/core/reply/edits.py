"""Edits: a page is posted as a message, which is edited as the page grows. Pure.

Slack may refuse a page in one form and take it in another. There are three forms:

1. full, with blocks;
2. plain text, without blocks and on short pages;
3. later: the outbox shows the answer's end.

A refused form never stops the model. One rule holds for each refusal of a page whose message and channel exist:

- The page is sent again, in the same form or in the next one. A refusal that is about the form leads on at once.
  Others may pass, or be about anything: only several in a row lead on. An unknown error name counts as two: against
  it another form may help, and against an outage only time does.
- What is refused in plain text as well goes to a new message, in the full form. So does a message that can't be edited.
- Once plain text succeeds, the full form is tried again, and later after twice as many edits each time: the refusal
  may have passed, or the text may have changed. The answer's end is tried in any case, because it has buttons.

The waits between tries grow, and only minutes of refusals end them (bot/slack/retry_policy.py). An answer that has
ended needs no such wait where only an admin can help: then the outbox has more time.
"""

import math
from dataclasses import dataclass

from bot.core.reply.messages import Begin, Carrier, Change, PageView, ReplyMessage, Verdict, Wanted
from bot.core.reply.pages import PAGE_BYTES
from bot.core.reply.streams import MAX_CONFLICTS, open_stream
from bot.errors import Refusal

PLAIN_BYTES = 3_300
"""A page without blocks, in UTF-8. chat.update accepts 4,000 bytes of text, and a notice may follow the page."""
PLAIN_AT, REPLACED_AT = 10, 14
"""Weighted refusals in a row at which the next form is tried."""
REPLACED_AGAIN_AT = 4
"""The same for a new message, in a reply that has had one before."""
MAX_REPLACED = 2
"""Replacements while a reply grows, because each one notifies the thread. The final one isn't counted."""
MAX_REPLACED_IN_ALL = 5
"""Replacements of one reply in all: the new messages may be refused as well."""
ABOUT_FORM = (Refusal.TOO_LONG, Refusal.UNREADABLE, Refusal.LINK_BLOCKED)
WEIGHT = {Refusal.TRANSIENT: 1, Refusal.UNKNOWN: 2, **dict.fromkeys(ABOUT_FORM, 2)}
"""What each refusal counts that another form or time may end."""
UNEDITABLE = (Refusal.UNEDITABLE, Refusal.FORBIDDEN, Refusal.STREAM_OPEN, Refusal.STREAM_CLOSED)
"""Refusals of an edit after which a new message takes the old one's place."""


@dataclass(frozen=True, slots=True)
class Post(Begin):
    """Posts a page as a new message."""


@dataclass(frozen=True, slots=True)
class PostStopButton(Post):
    """Posts the Stop button of a page whose carrier has no buttons, below it: the page's own buttons take its place."""


@dataclass(frozen=True, slots=True)
class Update(Change):
    """Edits a page's message."""

    view: PageView


class Edits:
    """The Carrier of all pages of a reply that no other one has."""

    has_buttons = True
    page_bytes = PAGE_BYTES
    needs = (Update,)
    is_over = False

    def __init__(self) -> None:
        self.plain_from: float = math.inf
        """Pages from here on are sent as plain text."""
        self._plain_for = 0
        """After so many plain pages, the full form is tried again. 0: Slack has not refused it since it took it."""
        self._plain_shown = 0
        """Plain pages that Slack has taken since it refused the full form."""
        self._refusals = 0
        """Weighted refusals in a row."""
        self._replaced = 0
        self.links_are_blocked = False
        """Slack takes no links to files in Slack there."""
        self._conflicts = 0
        """How often Slack refused an edit because the message still grows."""

    @property
    def is_full(self) -> bool:
        """Whether Slack has refused no form, or has accepted the full one since."""
        return not self._plain_for

    def first_call(self, wanted: Wanted) -> Post:
        return Post(wanted.question, wanted.page, wanted.view)

    def next_call(self, wanted: Wanted, message: ReplyMessage) -> Update | None:
        # While the reply grows, an edit that fails may end in one more new message.
        if message.shown == wanted.view or not (wanted.ended or self._replaced < MAX_REPLACED):
            return None
        return Update(wanted.question, wanted.page, message.ts, wanted.view)

    def release(self, wanted: Wanted, ts: str, *, is_page: bool) -> None:
        """Returns None: a posted message holds nothing."""

    def filled(self, call: Begin | Change) -> Begin | Change:
        return call

    def leave(self, now: float) -> None:
        """Does nothing: edits can go on forever."""

    def limited(self, call: Begin | Change) -> None:
        """Does nothing: the call waits."""

    def confirmed(self, call: Begin | Change) -> None:
        self._refusals = 0
        if call.view is None or not call.view.plain:
            self._plain_for = 0 if self.plain_from == math.inf else self._plain_for
            return
        self._plain_shown += 1
        if self._plain_shown >= self._plain_for or call.view.end is not None:
            self.plain_from = math.inf

    def refused(self, call: Begin | Change, reason: Refusal) -> Verdict | Carrier | None:
        is_edit = isinstance(call, Update)
        if is_edit and reason is Refusal.STREAM_OPEN and self._conflicts < MAX_CONFLICTS:
            self._conflicts += 1
            return open_stream(call.page)
        if reason.is_gone:
            return Verdict.GONE
        if is_edit and reason in UNEDITABLE:
            return self._replace()
        if reason is Refusal.LINK_BLOCKED and not self.links_are_blocked:
            self.links_are_blocked = True
            return None
        return self._next_form(call, reason) if reason in WEIGHT else Verdict.LATER

    def _next_form(self, call: Begin | Change, reason: Refusal) -> Verdict | None:
        """Chooses the form for a page that Slack has refused in one, and may take."""
        is_plain = call.view is not None and call.view.plain
        is_tried_again = self._plain_for > 0 and reason is not Refusal.TRANSIENT
        if not is_plain and (is_tried_again or reason in ABOUT_FORM):
            self._become_plain(call.page)
            return None
        is_edit = isinstance(call, Update)
        self._refusals += WEIGHT[reason]
        if self._refusals >= (REPLACED_AGAIN_AT if is_edit and self._replaced else REPLACED_AT):
            self._refusals = self._plain_for = 0
            self.plain_from = math.inf
            return self._replace() if is_edit else None
        if self._refusals >= PLAIN_AT and not is_plain:
            self._become_plain(call.page)
        return None

    def _become_plain(self, page: int) -> None:
        self.plain_from = min(self.plain_from, page)
        self._plain_for = max(1, 2 * self._plain_for)
        self._plain_shown = 0

    def _replace(self) -> Verdict:
        self._replaced += 1
        return Verdict.REPLACE if self._replaced <= MAX_REPLACED_IN_ALL else Verdict.LATER
