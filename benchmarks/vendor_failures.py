"""Plans the failures of a model's vendor on a bad day, based on a seed. Pure: no I/O, no clock.

Some requests are refused, or break before or after the first word. Now and then the whole vendor is away: it refuses
every request, and breaks some of the answers under way. A question's nth request draws the same failure in each run.

The constants are what Typist promises to ride out. Within them, each question must get its whole answer.
"""

import math
import random
from collections import defaultdict
from dataclasses import dataclass, field
from enum import StrEnum

FAILED_SHARE = 0.06
"""The share of requests that fail before the first word."""
BROKEN_SHARE = 0.07
"""The share of requests that break after it."""
MAX_IN_SUCCESSION = 2
"""The most failures of a question's requests without a word in between, unless the vendor is away."""
MAX_BREAKS = 2
"""The most breaks of an answer after its first word."""
OUTAGE_EVERY_S = 60.0
OUTAGE_S = (5.0, 15.0)
"""How long the vendor is away, from and to."""
FIRST_OUTAGE_S = 10.0
"""In each period, the vendor is there for so long at first."""
OUTAGE_BREAKS_SHARE = 0.5
"""The share of the answers under way that break when the vendor goes away."""


class Failure(StrEnum):
    """How a request fails. A number is an HTTP status, without a Retry-After."""

    REQUEST_TIMEOUT = "408"
    CONFLICT = "409"
    FAILED_DEPENDENCY = "424"
    TOO_MANY_REQUESTS = "429"
    SERVER_ERROR = "500"
    UNAVAILABLE = "503"
    NO_RESPONSE = "no response"
    """The connection is closed before the response."""
    CUT = "cut"
    """The connection is closed in the middle of the response."""
    ERROR_EVENT = "error event"
    """The response is a stream that ends with an error."""
    STALL = "stall"
    """Nothing but pings comes."""

    @property
    def is_refusal(self) -> bool:
        """Whether no stream begins."""
        return self not in BREAKS


BREAKS = (Failure.CUT, Failure.ERROR_EVENT, Failure.STALL)
AT_FIRST = (*(failure for failure in Failure if failure not in BREAKS), Failure.CUT, Failure.ERROR_EVENT)
"""Failures before the first word."""
AWAY = (Failure.SERVER_ERROR, Failure.UNAVAILABLE, Failure.TOO_MANY_REQUESTS, Failure.NO_RESPONSE)


@dataclass(frozen=True)
class PlannedFailure:
    """The failure of one request."""

    failure: Failure
    place: float = 0.0
    """The share of its text that comes before. 0: it fails before the first word."""


@dataclass(frozen=True)
class Outage:
    """A time in which the vendor is away, in monotonic seconds."""

    began_s: float
    ended_s: float
    failure: Failure
    """How it refuses requests."""


@dataclass
class _Luck:
    """What has happened to the requests for one answer."""

    requests: int = 0
    in_succession: int = 0
    """Failures since the last word."""
    since_s: float = 0.0
    """When the first of them happened."""
    breaks: int = 0


@dataclass
class VendorFailures:
    """Decides which requests fail, from `began_s` on for `for_s` seconds."""

    seed: int
    began_s: float
    """In monotonic seconds."""
    for_s: float = math.inf
    _lucks: defaultdict[int, _Luck] = field(default_factory=lambda: defaultdict(_Luck))
    """By question number."""

    def of_request(self, number: int, at_s: float) -> PlannedFailure | None:
        """Returns how the next request for a question's answer fails; None if it doesn't."""
        luck = self._lucks[number]
        luck.requests += 1
        planned = self._drawn(number, luck, at_s)
        if planned is None or planned.place:
            luck.in_succession = 0
        if planned is not None:
            luck.since_s = luck.since_s if luck.in_succession else at_s
            luck.in_succession += 1
            luck.breaks += planned.place > 0
        return planned

    def breaks(self, number: int, since_s: float, at_s: float) -> bool:
        """Returns whether the vendor has gone away since a request, and breaks the answer under way."""
        outage, luck = self.outage(at_s), self._lucks[number]
        if outage is None or since_s >= outage.began_s or luck.breaks >= MAX_BREAKS:
            return False
        if random.Random(f"{self.seed} {number} {outage.began_s - self.began_s}").random() >= OUTAGE_BREAKS_SHARE:
            return False
        luck.breaks += 1
        luck.in_succession, luck.since_s = 1, at_s
        return True

    def outage(self, at_s: float) -> Outage | None:
        """Returns the outage at a time, if there is one."""
        period = int((at_s - self.began_s) // OUTAGE_EVERY_S)
        rng = random.Random(f"{self.seed} outage {period}")
        takes_s = rng.uniform(*OUTAGE_S)
        # Afterwards, the vendor is there for as long as it may have been away.
        begins_s = rng.uniform(FIRST_OUTAGE_S, OUTAGE_EVERY_S - takes_s - OUTAGE_S[1])
        began_s = self.began_s + period * OUTAGE_EVERY_S + begins_s
        outage = Outage(began_s, min(began_s + takes_s, self.began_s + self.for_s), rng.choice(AWAY))
        return outage if outage.began_s <= at_s < outage.ended_s else None

    def _drawn(self, number: int, luck: _Luck, at_s: float) -> PlannedFailure | None:
        outage = self.outage(at_s)
        is_patient = luck.in_succession < MAX_IN_SUCCESSION
        if outage is not None:
            # One that failed twice before the outage has no patience left for all of it.
            return PlannedFailure(outage.failure) if is_patient or luck.since_s >= outage.began_s else None
        if not is_patient or at_s >= self.began_s + self.for_s:
            return None
        rng = random.Random(f"{self.seed} {number} {luck.requests}")
        drawn = rng.random()
        if drawn < FAILED_SHARE:
            return PlannedFailure(rng.choice(AT_FIRST))
        if drawn < FAILED_SHARE + BROKEN_SHARE and luck.breaks < MAX_BREAKS:
            return PlannedFailure(rng.choice(BREAKS), 1 - rng.random())
        return None
