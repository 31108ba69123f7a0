"""In which form a reply's pages are sent, as Slack refuses them. Pure.

Slack says of some pages that they are too long, or that it can't read their blocks: such a form isn't tried again.

Of other refusals nobody knows the reason. They may pass by themselves, or be about the page's size, its blocks, or the
one message. So the ladder tries one after the other: the same call again, smaller pages, plain text, and at last a new
message in place of the old one, in the full form again. Then it begins anew, until the editor gives the reply up.

Once a reduced form got through, the full form is tried once more: an outage may have ended meanwhile, and the reply
would have lost its formatting and its buttons to it. If the full form is refused again, the reduced form stays.

An error whose name Typist doesn't know climbs faster than an outage (HTTP 5xx, a lost connection, no JSON), because a
new form may help against the one and only waiting helps against the other.
"""

import math
from dataclasses import dataclass
from enum import IntEnum

from bot.core.reply.pages import PAGE_BYTES
from bot.errors import Refusal

PLAIN_BYTES = 3_300
"""Of a page without blocks, in UTF-8: chat.update takes 4,000 bytes of text, and a sentence may stand below it."""
SMALLEST_PAGE_CHARS = 1_000
SMALLER_PAGE_CHARS = 3_000
"""Where nobody knows why Slack refuses a page."""
SMALLER_AT, PLAIN_AT, REPLACED_AT = 6, 10, 14
"""Heights on the ladder, in weighted refusals in a row."""
REPLACED_AGAIN_AT = 4
"""A reply whose message had to be replaced once tries less before the next time."""
MOST_REPLACED = 2
"""Messages that take the place of others while the reply grows: each one notifies the thread. The final one is not
counted."""
MOST_REPLACED_IN_ALL = 5
"""Where the new messages can't be edited either, and what became of their posts is not known."""
WEIGHT = {Refusal.UNKNOWN: 2, Refusal.TRANSIENT: 1}


class Form(IntEnum):
    """How a page is sent."""

    FULL = 0
    SMALLER = SMALLER_AT
    PLAIN = PLAIN_AT


@dataclass(slots=True)
class FormLadder:
    """Told what became of each post and update; says in which form the next one goes."""

    form: Form = Form.FULL
    replaced: int = 0
    """How often a new message took the place of one that can't be edited."""
    _most_chars: float = math.inf
    """A page's, as far as Slack said that it was too long."""
    _must_be_plain: bool = False
    """Slack said that it can't read the blocks."""
    _height: int = 0
    _reduced: Form = Form.FULL
    """The form that got through where the full one did not."""
    _stays: bool = False
    """The reduced form stays: the full one was refused again."""

    @property
    def plain(self) -> bool:
        """Pages are sent without blocks."""
        return self._must_be_plain or self.form is Form.PLAIN

    @property
    def is_reduced(self) -> bool:
        """The full form was refused, and has not got through since."""
        return self.form is not Form.FULL or self._reduced is not Form.FULL

    @property
    def may_edit(self) -> bool:
        """Whether a reply that still grows may have its messages edited, and so replaced."""
        return self.replaced < MOST_REPLACED

    def page_chars(self, full_chars: int) -> int:
        """Returns how much a page may hold; `full_chars`: in the full form."""
        most = min(full_chars, self._most_chars)
        if self.plain:
            most = min(most, PLAIN_BYTES)
        elif self.form is Form.SMALLER:
            most = min(most, SMALLER_PAGE_CHARS)
        return int(most)

    @property
    def page_bytes(self) -> int:
        """How much a page may hold in UTF-8."""
        return PLAIN_BYTES if self.plain else PAGE_BYTES

    def condemned(self, reason: Refusal, page_chars: int) -> bool:
        """Slack said what is wrong with a page of so many characters; returns whether another form is left."""
        if reason is Refusal.TOO_LONG and page_chars > SMALLEST_PAGE_CHARS:
            self._most_chars = page_chars // 2
            return True
        if reason in (Refusal.UNREADABLE, Refusal.TOO_LONG) and not self._must_be_plain:
            self._must_be_plain = True
            return True
        return False

    def refused(self, reason: Refusal, *, editing: bool) -> bool:
        """Climbs; returns whether a new message is to take the place of the one that can't be edited."""
        if self._reduced is not Form.FULL and self.form is Form.FULL:
            self.form, self._stays, self._height = self._reduced, True, self._reduced
            return False
        self._height += WEIGHT[reason]
        if self._height >= (REPLACED_AGAIN_AT if editing and self.replaced else REPLACED_AT):
            self.form = self._reduced
            self._height = self.form
            return editing
        if self._height >= PLAIN_AT:
            self.form = Form.PLAIN
        elif self._height >= SMALLER_AT:
            self.form = max(self.form, Form.SMALLER)
        return False

    def worked(self) -> None:
        """A post or an update got through in the present form."""
        self._height = self.form
        if self.form is Form.FULL:
            self._reduced = Form.FULL
        elif not self._stays:
            self._reduced, self.form = self.form, Form.FULL
