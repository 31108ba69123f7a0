"""Edits: a page is posted as a message, which is edited as the page grows. Pure.

Slack may refuse a page in one form and take it in another. The forms are tried in this order:

1. the full form, with blocks;
2. plain text, without blocks and on short pages;
3. a new message in place of one that can't be edited, in the full form;
4. the outbox, which shows the answer's end later.

A refusal that names its reason leads on at once: a page that is too long, or whose blocks are invalid, becomes plain
and stays so, and a message that can't be edited is replaced. Other refusals may pass by themselves, or be about the
page's size, its blocks, or the one message. So the same call is tried again, and only several refusals in a row lead
on. An unknown error name counts as two: against it another form may help, and against an outage only time does.

Once plain text succeeds, the full form is tried once more. An outage may have ended in the meantime, and the reply
would stay without formatting and buttons.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

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
WEIGHT = {Refusal.UNKNOWN: 2, Refusal.TRANSIENT: 1}
UNEDITABLE = (Refusal.UNEDITABLE, Refusal.FORBIDDEN, Refusal.STREAM_OPEN, Refusal.STREAM_CLOSED)
"""Refusals of an edit after which a new message takes the old one's place."""


class Form(Enum):
    """The form in which pages are sent."""

    FULL = auto()
    PLAIN = auto()
    """Slack has refused the full form."""
    FULL_AGAIN = auto()
    """Slack has taken the plain form, and the full one is tried once more."""
    STAYS_PLAIN = auto()


_AFTER_SUCCESS: Mapping[Form, Form] = {Form.PLAIN: Form.FULL_AGAIN, Form.FULL_AGAIN: Form.FULL}
"""The form that follows once Slack has taken a page in another one."""


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
        self._form = Form.FULL
        self._plain_page = 0
        """The first page that is plain in a plain form."""
        self._refusals = 0
        """Weighted refusals in a row."""
        self._replaced = 0
        self._conflicts = 0
        """How often Slack refused an edit because the message still grows."""

    @property
    def plain_from(self) -> float:
        """Pages from here on are sent as plain text."""
        return math.inf if self._form in (Form.FULL, Form.FULL_AGAIN) else self._plain_page

    @property
    def is_full(self) -> bool:
        """Whether Slack has refused no form, or has accepted the full one since."""
        return self._form is Form.FULL

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
        self._form = _AFTER_SUCCESS.get(self._form, self._form)

    def refused(self, call: Begin | Change, reason: Refusal) -> Verdict | Carrier | None:
        is_edit = isinstance(call, Update)
        if is_edit and reason is Refusal.STREAM_OPEN and self._conflicts < MAX_CONFLICTS:
            self._conflicts += 1
            return open_stream(call.page)
        if reason.may_pass:
            return self._escalated(call, reason)
        if reason.is_gone:
            return Verdict.GONE
        if is_edit and reason in UNEDITABLE:
            return self._replace()
        if reason in (Refusal.TOO_LONG, Refusal.UNREADABLE) and call.page < self.plain_from:
            self._plain_page = call.page
            self._form = Form.STAYS_PLAIN
            return None
        return Verdict.UNSHOWN

    def _escalated(self, call: Begin | Change, reason: Refusal) -> Verdict | None:
        """Chooses the next form after a refusal that names no reason."""
        if self._form is Form.FULL_AGAIN:
            self._form = Form.STAYS_PLAIN
            return None
        is_edit = isinstance(call, Update)
        self._refusals += WEIGHT[reason]
        if self._refusals >= (REPLACED_AGAIN_AT if is_edit and self._replaced else REPLACED_AT):
            self._refusals = 0
            self._form = Form.FULL if self._form is Form.PLAIN else self._form
            return self._replace() if is_edit else None
        if self._refusals >= PLAIN_AT:
            self._plain_page = int(min(self.plain_from, call.page))
            self._form = Form.PLAIN if self._form is Form.FULL else self._form
        return None

    def _replace(self) -> Verdict:
        self._replaced += 1
        return Verdict.REPLACE if self._replaced <= MAX_REPLACED_IN_ALL else Verdict.UNSHOWN
