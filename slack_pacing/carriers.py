"""Chooses whether a reply, or a page of it, is shown with edits or as a native stream. Pure.

Slack limits the two separately, to 50 edits a minute, and to 20 starts, 100 appends and 20 stops of streams a minute.
The carrier is chosen once, when the reply or page starts:

- Edits, if a stream can't be started now, or if stopping it would use up a call that another live stream needs.
- Otherwise, the carrier that makes readers wait less in total. If n replies share r calls a second, each gets a call
  every n / r seconds, and its newest text is half that old on average: n * n / (2 r) for all. One more reply adds
  `marginal_staleness_s`: (2 n + 1) / (2 r).
- If both cost the same, a stream where Slack shows its own Stop button (which leaves the edits to other replies), and
  edits elsewhere, because starts are the scarcest calls.

bot/reply/streams.py decides which questions can be answered with a stream in the first place.
"""

from dataclasses import dataclass
from typing import Literal

STREAM_LIFE_S = 240.0
"""The time after which a stream is stopped and edits take over. Slack closes a stream after about five minutes."""
STREAM_BYTES = 9_000
"""Maximum size of a page's text in a stream. Slack accepts about 10,000 bytes."""
FRESH_S = 1.0
"""As long as the newest text is younger than this on average, such as with two or three live answers, calls aren't
scarce."""

CarrierName = Literal["edit", "stream"]


@dataclass(frozen=True, slots=True)
class CarrierRoom:
    live_replies: int
    gap_s: float

    @property
    def is_fresh(self) -> bool:
        """Whether a new reply's text would be fresh. On average, text is half a gap old."""
        return self.gap_s / 2 <= FRESH_S

    @property
    def marginal_staleness_s(self) -> float:
        """The staleness, in seconds, that another reply adds to all replies on this carrier together."""
        return self.gap_s * (2 * self.live_replies + 1) / (2 * (self.live_replies + 1))


def choose_carrier(
    edits: CarrierRoom,
    appends: CarrierRoom,
    *,
    spare_starts: int,
    spare_stops: int,
    has_stop: bool = False,
    forced_carrier: CarrierName | None = None,
) -> CarrierName:
    """Returns the carrier for a reply that starts now and can be streamed. `spare_stops`: the stops that are left
    beyond one for each live stream. `has_stop`: whether Slack shows its own Stop button in the thread.
    `forced_carrier`: the carrier that a test or benchmark requests. Even then, a stream is used only if one can
    start."""
    if forced_carrier == "edit" or spare_starts <= 0 or spare_stops <= 0:
        return "edit"
    if forced_carrier:
        return forced_carrier
    gain_s = edits.marginal_staleness_s - appends.marginal_staleness_s
    return "stream" if gain_s > 0 or (has_stop and gain_s == 0) else "edit"
