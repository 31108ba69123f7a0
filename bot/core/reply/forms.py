"""Which form a page is sent in after Slack has refused others. Pure.

Some refusals name their reason: the page is too long, or its blocks are invalid. That form is never tried again.

Other refusals name none. They may pass by themselves, or be about the page's size, its blocks, or the one message. So
each refusal in a row escalates, and the forms are tried in this order:

1. the same call again;
2. smaller pages;
3. plain text, without blocks;
4. a new message in place of the old one, in the full form.

Then escalation starts over, until the edit scheduler gives the reply up.

Once a reduced form succeeds, the full form is tried once more. An outage may have ended in the meantime, and the reply
would stay without formatting and buttons. If the full form is refused again, the reduced form stays.

An unknown error name escalates twice as fast as an outage (HTTP 5xx, a lost connection, no JSON): another form may help
against the first, and only time helps against the second.
"""

import math
from dataclasses import dataclass
from enum import IntEnum

from bot.core.reply.pages import PAGE_BYTES
from bot.errors import Refusal

PLAIN_BYTES = 3_300
"""A page without blocks, in UTF-8. chat.update accepts 4,000 bytes of text, and a notice may follow the page."""
SMALLEST_PAGE_CHARS = 1_000
SMALLER_PAGE_CHARS = 3_000
"""A page in the smaller form, which is tried when Slack names no reason."""
SMALLER_AT, PLAIN_AT, REPLACED_AT = 6, 10, 14
"""Weighted refusals in a row at which each form is tried."""
REPLACED_AGAIN_AT = 4
"""The same, for an edit of a reply whose message was replaced before."""
MOST_REPLACED = 2
"""Replacements while a reply grows, because each one notifies the thread. The final one isn't counted."""
MOST_REPLACED_IN_ALL = 5
"""Replacements of one reply in all: the new messages may be refused as well."""
WEIGHT = {Refusal.UNKNOWN: 2, Refusal.TRANSIENT: 1}


class Form(IntEnum):
    """How a page is sent."""

    FULL = 0
    SMALLER = SMALLER_AT
    PLAIN = PLAIN_AT


@dataclass(slots=True)
class FormFallback:
    """Records the result of each post and update, and chooses the form of the next one."""

    form: Form = Form.FULL
    replaced: int = 0
    """How often messages were replaced by new ones."""
    _most_chars: float = math.inf
    """Half of the shortest page that Slack called too long."""
    _must_be_plain: bool = False
    """Slack said that the blocks are invalid."""
    _escalation: int = 0
    _reduced: Form = Form.FULL
    """The form that succeeded after the full one was refused."""
    _stays: bool = False
    """The full form was refused again, so the reduced form stays."""

    @property
    def plain(self) -> bool:
        """Whether pages are sent without blocks."""
        return self._must_be_plain or self.form is Form.PLAIN

    @property
    def is_reduced(self) -> bool:
        """Whether the full form was refused and has not succeeded since."""
        return self.form is not Form.FULL or self._reduced is not Form.FULL

    @property
    def may_edit(self) -> bool:
        """Whether a growing reply may still be edited: an edit may end in a replacement."""
        return self.replaced < MOST_REPLACED

    def page_chars(self, full_chars: int) -> int:
        """Returns the longest page in characters; `full_chars` is that of the full form."""
        most = min(full_chars, self._most_chars)
        if self.plain:
            most = min(most, PLAIN_BYTES)
        elif self.form is Form.SMALLER:
            most = min(most, SMALLER_PAGE_CHARS)
        return int(most)

    @property
    def page_bytes(self) -> int:
        """The longest page in bytes of UTF-8."""
        return PLAIN_BYTES if self.plain else PAGE_BYTES

    def rejected(self, reason: Refusal, page_chars: int) -> bool:
        """Records a refusal that names its reason, of a page this long; returns whether another form is left."""
        if reason is Refusal.TOO_LONG and page_chars > SMALLEST_PAGE_CHARS:
            self._most_chars = page_chars // 2
            return True
        if reason in (Refusal.UNREADABLE, Refusal.TOO_LONG) and not self._must_be_plain:
            self._must_be_plain = True
            return True
        return False

    def escalated(self, reason: Refusal, *, editing: bool) -> bool:
        """Records a refusal without a reason; returns whether the message has to be replaced by a new one."""
        if self._reduced is not Form.FULL and self.form is Form.FULL:
            self.form, self._stays, self._escalation = self._reduced, True, self._reduced
            return False
        self._escalation += WEIGHT[reason]
        if self._escalation >= (REPLACED_AGAIN_AT if editing and self.replaced else REPLACED_AT):
            self.form = self._reduced
            self._escalation = self.form
            return editing
        if self._escalation >= PLAIN_AT:
            self.form = Form.PLAIN
        elif self._escalation >= SMALLER_AT:
            self.form = max(self.form, Form.SMALLER)
        return False

    def succeeded(self) -> None:
        """Records that a post or an update succeeded in the current form."""
        self._escalation = self.form
        if self.form is Form.FULL:
            self._reduced = Form.FULL
        elif not self._stays:
            self._reduced, self.form = self.form, Form.FULL
