"""Whether edits or a native stream carry a reply, or a page of it. Pure.

Slack limits edits of messages and native streams separately: 50 edits a minute, and 20 starts, 100 appends and 20 stops
of streams. A reply, or a page of it, is given to one of the two once, when it begins (`choose_carrier`):

- A stream needs a start now, and a stop that no other live stream needs. If one of the two is missing, edits carry.
- Otherwise the carrier is taken that makes all readers wait less. Of n replies that share r calls a second, each gets a
  call every n / r seconds, and its newest words are half of that old on average: n * n / (2 r) for all of them. One
  more reply adds (2 n + 1) / (2 r). `marginal_staleness_s` is that, from what the pacers expect.
- Where both cost the same, a stream carries where Slack shows its own Stop, because it leaves the edits to others.
  Elsewhere edits do: starts are the scarcest calls.

Which questions a stream may answer at all, bot/reply/streams.py says.
"""

from dataclasses import dataclass
from typing import Literal

STREAM_LIFE_S = 240.0
"""After this a stream is stopped, and edits go on. Slack closes a stream after about five minutes."""
STREAM_BYTES = 9_000
"""The most text of a page that a stream carries. Slack takes about 10,000 bytes."""
FRESH_S = 1.0
"""While edits leave an answer's newest words younger than this on average, calls aren't scarce. Two or three answers at
once are that fresh."""

CarrierName = Literal["edit", "stream"]
"""What a reply, or a page of it, travels by: edits of a message, or a native stream."""


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


def choose_carrier(
    edits: CarrierRoom,
    appends: CarrierRoom,
    *,
    spare_starts: int,
    spare_stops: int,
    has_stop: bool = False,
    forced: CarrierName | None = None,
) -> CarrierName:
    """Returns what carries a reply that begins now and may be streamed.

    `spare_stops`: stops beyond one for each live stream. `has_stop`: Slack shows its own Stop in the thread. `forced`:
    the carrier that a test or benchmark wants; a stream carries only if one can start.
    """
    if forced == "edit" or spare_starts <= 0 or spare_stops <= 0:
        return "edit"
    if forced:
        return forced
    gain_s = edits.marginal_staleness_s - appends.marginal_staleness_s
    return "stream" if gain_s > 0 or (has_stop and gain_s == 0) else "edit"
