"""Which budget carries a reply: edits of a message, or a native stream. Pure.

Slack limits the two separately: 50 edits a minute, and 20 starts, 100 appends and 20 stops of streams. A reply, or a
page of it, is given to a carrier once, when it begins:

- A stream needs a start now, and a stop that no other live stream needs. If one of the two is missing, edits carry.
- Otherwise the carrier is taken that makes all readers wait less. Of n replies that share r calls a second, each gets a
  call every n / r seconds, and its newest words are half of that old on average: n * n / (2 r) for all of them. One
  more reply adds (2 n + 1) / (2 r). `marginal_staleness_s` is that, from what the pacers expect.
- Where both cost the same, a stream carries where Slack shows its own Stop, because it leaves the edits to others.
  Elsewhere edits do: starts are the scarcest calls.

A stream shows its growth to one person only (docs/sandbox-fidelity.md), so `may_be_streamed` leaves some out.
docs/decisions.md has the rules that were compared; `python -m benchmarks.pacing` runs this code.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from bot.core.conversation import Question

STREAM_LIFE_S = 240.0
"""After this a stream is stopped, and edits go on. Slack closes a stream after about five minutes."""
STREAM_BYTES = 9_000
"""The most text of a page that a stream carries. Slack takes about 10,000 bytes."""
FRESH_S = 1.0
"""While edits leave an answer's newest words younger than this on average, calls aren't scarce. Two or three answers at
once are that fresh."""

_PERSON = re.compile(r"[UW][A-Z0-9]+")


class CarrierKind(StrEnum):
    """What a reply, or a page of it, travels by."""

    EDITS = "edits"
    STREAM = "stream"


@dataclass(frozen=True, slots=True)
class CarrierRoom:
    """What a carrier has left for a reply that begins now."""

    live: int
    """The replies that it carries."""
    gap_s: float
    """The time between two of its calls for the newcomer, as far as can be expected."""

    @property
    def is_fresh(self) -> bool:
        """Whether the newcomer's newest words would be fresh: they are half a gap old on average."""
        return self.gap_s / 2 <= FRESH_S

    @property
    def marginal_staleness_s(self) -> float:
        """How much one more reply adds to the staleness of all replies on this carrier, in seconds."""
        return self.gap_s * (2 * self.live + 1) / (2 * (self.live + 1))


class CarrierSetting(StrEnum):
    """What may carry replies. Only tests and benchmarks choose other than AUTO."""

    AUTO = "auto"
    EDIT = "edit"
    STREAM = "stream"
    """A stream wherever one can start."""


def may_be_streamed(question: Question, *, is_alone: bool) -> bool:
    """Returns whether Slack lets a stream answer a question, and all of its readers see the stream grow.

    `is_alone`: the asker is the only person in the thread. In a channel only the recipient sees a stream grow.
    """
    thread = question.thread
    is_by_person = not question.from_bot and bool(_PERSON.fullmatch(question.user_id))
    return thread.thread_ts is not None and is_by_person and (thread.in_direct_message or is_alone)


def choose_carrier(
    edits: CarrierRoom,
    appends: CarrierRoom,
    *,
    spare_starts: int,
    spare_stops: int,
    has_stop: bool = False,
    setting: CarrierSetting = CarrierSetting.AUTO,
) -> CarrierKind:
    """Returns what carries a reply that begins now and may be streamed.

    `spare_stops`: stops beyond one for each live stream. `has_stop`: Slack shows its own Stop in the thread.
    """
    if setting is CarrierSetting.EDIT or spare_starts <= 0 or spare_stops <= 0:
        return CarrierKind.EDITS
    if setting is CarrierSetting.STREAM:
        return CarrierKind.STREAM
    gain_s = edits.marginal_staleness_s - appends.marginal_staleness_s
    return CarrierKind.STREAM if gain_s > 0 or (has_stop and gain_s == 0) else CarrierKind.EDITS
