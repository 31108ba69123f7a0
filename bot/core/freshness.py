"""How fresh a growing answer is for its reader: when its words came, and when Slack showed them. Pure.

`staleness_s` is the mean age of the oldest word that the model has written and the reader can't see, from the first
word to the moment at which all are visible. The age grows from the arrival of a word until a call shows it, so its sum
over time is known exactly from the times of arrivals and calls.

Arrivals are kept for the words that aren't shown, to a tenth of a second, and coarser for an answer of which nothing is
shown for long. What a native stream holds back of its last words (reply/markdown/stable.py) counts as shown.
"""

from dataclasses import dataclass, field

ARRIVALS_S = 0.1
"""Words that come within this time count as one arrival."""
MAX_ARRIVALS = 16
"""If there are more, every other one joins the one before it."""


@dataclass(slots=True)
class Freshness:
    """The delays of one attempt's answer. Times are by the monotonic clock.

    `chars`: the characters of the answer so far. Those with which the attempt begins are not its words.
    """

    chars: int = 0
    _arrivals: list[tuple[int, float]] = field(default_factory=list)
    """Words that aren't shown: where in the text they begin, and when they came. The oldest comes first."""
    _joins: bool = False
    """Whether the next words may join the last arrival."""
    _first_at: float | None = None
    _first_shown_at: float | None = None
    _all_shown_at: float | None = None
    _age_sum: float = 0.0
    """The age of the oldest word that isn't shown, summed over the time until `_summed_until`."""
    _summed_until: float = 0.0
    _ended_at: float | None = None
    _end_shown_at: float | None = None

    def wrote(self, chars: int, now: float) -> None:
        """Notes words of the model."""
        if self._first_at is None:
            self._first_at = self._summed_until = now
        if not (self._joins and self._arrivals and now < self._arrivals[-1][1] + ARRIVALS_S):
            self._arrivals.append((self.chars, now))
            self._joins = True
            if len(self._arrivals) > MAX_ARRIVALS:
                del self._arrivals[1::2]
        self.chars += chars

    def leaves(self) -> None:
        """Notes that a call leaves with the words so far."""
        self._joins = False

    def shows(self, chars: int, now: float) -> None:
        """Notes that Slack shows so many characters of the answer."""
        if not self._arrivals or chars <= self._arrivals[0][0]:
            return
        self._sum_up(now)
        if self._first_shown_at is None:
            self._first_shown_at = now
        while len(self._arrivals) > 1 and self._arrivals[1][0] <= chars:
            del self._arrivals[0]
        if chars >= self.chars:
            self._arrivals.clear()
            self._all_shown_at = now

    def ends(self, now: float) -> None:
        """Notes that the answer's end is known."""
        self._ended_at = now

    def shows_end(self, now: float) -> None:
        """Notes that Slack did a call after the answer's end. The last one shows the end."""
        if self._ended_at is not None:
            self._end_shown_at = now

    def _sum_up(self, now: float) -> None:
        oldest_at = self._arrivals[0][1]
        begin = max(self._summed_until, oldest_at)
        self._age_sum += ((now - oldest_at) ** 2 - (begin - oldest_at) ** 2) / 2
        self._summed_until = now

    @property
    def first_word_delay_s(self) -> float | None:
        """From the model's first word to the first one that Slack shows; None if it shows none."""
        if self._first_at is None or self._first_shown_at is None:
            return None
        return self._first_shown_at - self._first_at

    @property
    def staleness_s(self) -> float | None:
        """The mean staleness; None if Slack doesn't show all words."""
        if self._first_at is None or self._arrivals or self._all_shown_at is None:
            return None
        lasted_s = self._all_shown_at - self._first_at
        return self._age_sum / lasted_s if lasted_s > 0 else 0.0

    @property
    def final_lag_s(self) -> float | None:
        """From the answer's end to the last call that shows it; None if there was none."""
        if self._ended_at is None or self._end_shown_at is None:
            return None
        return self._end_shown_at - self._ended_at
