"""When a call to Slack may go: how a workspace's edits, some 50 a minute, are shared by its live replies.

The rule, in plain words:

1. Never more calls in any 60 s than the budget, as Slack counts them.
2. For each live reply one call is held back, so that an answer that is done is shown as done at once.
3. A few calls are held back for the first words of who asks next: five when someone has just asked, fewer as
   nobody else does, more (ten at most) when many people ask one after the other.
4. First words wait where calls are so scarce that the finals of those who will ask before calls come back are not
   covered: an answer that ended, or was stopped, and still looks alive is worse than one that looks late.
5. The rest is shared by the seconds of answers still to come. `_pace` divides the calls there will be by the
   seconds there will be to show, over the next 10, 20, ... 60 s, and takes the scarcest: at this many edits a
   second for each reply the calls last. A reply's next edit is due when the edits it can hope for, and its
   final, would cut the rest of its life into equal parts.
6. Answers last as recent ones did; one that outlives them is expected to go on for longer and longer, so its
   edits get rarer while the calls that were used early come back.

How it was found, with its figures: docs/decisions.md; `python -m benchmarks.pacing` runs this very code.
"""

import math
from collections import deque
from collections.abc import Hashable, Iterable
from enum import IntEnum

WINDOW_S = 60.0
MARGIN_S = 0.05
"""Added to the window, for clocks that do not run alike."""
OWN_GAP_S = 0.6
"""Between two edits of one reply: more would not be read."""
OTHERS_MARGIN_S = 1.0
"""The same for calls of other processes, which are on record from before they leave (Ledger)."""
NEWLY_UNSEEN_S = 10.0
"""Others that could be seen for so long are newly unseen."""
HELD_S = 2.0
"""Longer than it takes to be told again that others can't be seen."""
ASK_AGAIN_S = 0.25
"""The longest a deadline is trusted, for pace changes with every call and every reply."""
USUAL_LIFE_S = 20.0
"""How long an answer is expected to last before any was seen; it counts as the first one seen."""
REMEMBERED = 20
"""Answers whose average length is the usual one."""
KEPT_AFTER_A_QUESTION = 5
"""Calls kept for newcomers when someone has just asked: a newcomer needs one, and one held for the final."""
KEPT_ALWAYS = 2
KEPT_AT_MOST = 10
FADING_S = 30.0
"""In which what was learned of people asking fades to a third."""
AT_ONCE_S = 0.5
"""Questions closer than this are one event: they do not tell that more will follow."""
OUT_OF_SILENCE = 0.4
"""What a question counts for that comes after a minute without any: it tells less of others to come."""
NEWCOMERS_WEIGHT = 1.5
"""Answers not yet asked for weigh more: they also need calls for first words and finals, and come in crowds."""
HORIZONS_S = (10.0, 20.0, 30.0, 40.0, 50.0, 60.0)
FINALS_HORIZONS_S = (10.0, 20.0, 30.0)
FINALS_WEIGHT = 2.0
"""Finals to come count double: that many people ask is learned while the first of them are answered."""


class Urgency(IntEnum):
    """What a call is for; the smaller goes first."""

    FINAL = 0
    """The whole answer."""
    FIRST = 1
    """A placeholder, or the first words."""
    PROGRESS = 2
    """More of an answer that can be seen already."""


class RateWindow:
    """Counts the calls of a sliding minute.

    Slack counts a call when it arrives there, somewhere between `sent` and `answered`: so it is counted here from
    the one until 60 s after the other, and no 60 s at Slack hold more calls than the budget.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._in_flight = 0
        self._back_at: deque[float] = deque()
        self._others_back_at: deque[float] = deque()

    def free(self, now: float) -> int:
        """Calls that may go now."""
        for back_at in (self._back_at, self._others_back_at):
            while back_at and back_at[0] <= now:
                back_at.popleft()
        return self._budget - self._in_flight - len(self._back_at) - len(self._others_back_at)

    def back_by(self, then: float) -> int:
        """Calls known to come back until then."""
        return sum(back_at <= then for back_at in (*self._back_at, *self._others_back_at))

    def free_at(self, now: float, wanted: int) -> float:
        """When so many calls are free, as far as is known; else a time to ask again."""
        missing = wanted - self.free(now)
        if missing <= 0:
            return now
        known = sorted((*self._back_at, *self._others_back_at))
        return known[missing - 1] if missing <= len(known) else now + ASK_AGAIN_S

    def sent(self) -> None:
        self._in_flight += 1

    def answered(self, now: float) -> None:
        self._in_flight -= 1
        self._back_at.append(now + WINDOW_S + MARGIN_S)

    def withdrawn(self) -> None:
        """What was `sent` did not leave."""
        self._in_flight -= 1

    def others(self, back_at: Iterable[float]) -> None:
        """When the calls of other processes come back, as far as is known now."""
        self._others_back_at = deque(sorted(back_at))

    def hold_others(self, until: float) -> None:
        """Their calls come back to them, not to us, while it is not known what they do."""
        self._others_back_at = deque(max(back_at, until) for back_at in self._others_back_at)

    def set_aside(self, now: float, calls: int) -> None:
        """Takes so many of the free calls as used by others, evenly over the last minute."""
        returns = [now + WINDOW_S * (i + 1) / calls for i in range(calls)]
        self.others([*self._others_back_at, *returns])

    def fill(self, now: float) -> None:
        """Someone else used what looked free: takes it as used evenly over the last minute."""
        others = self.free(now)
        returns = [now + WINDOW_S * (i + 1) / others for i in range(others)]
        self._back_at = deque(sorted([*self._back_at, *returns]))


class Pacer:
    """One for a method in a workspace. It is told the time (seconds that only grow) and answers with deadlines.

    `key` is whatever stands for one reply. A method that no reply is opened for is held to its budget alone.
    """

    def __init__(self, calls_per_minute: int = 50) -> None:
        self._window = RateWindow(calls_per_minute)
        self._opened_at: dict[Hashable, float] = {}
        self._others_opened_at: list[float] = []
        self._others_newest = -math.inf
        self._edited_at: dict[Hashable, float] = {}
        self._unseen_at = -math.inf
        self._lives_s = deque([USUAL_LIFE_S], maxlen=REMEMBERED)
        self._not_before = -math.inf
        self._asked = 0.0
        self._asked_at = -math.inf
        self._last_opened_at = -math.inf

    def opened(self, key: Hashable, now: float) -> None:
        """A reply begins: from here on a call is held back for its final."""
        self._opened_at[key] = self._edited_at[key] = now
        self._learn_of_a_question(now)

    def closed(self, key: Hashable, now: float) -> None:
        """Its final is shown, or it was given up."""
        self._lives_s.append(now - self._opened_at.pop(key))
        del self._edited_at[key]

    def ready_at(self, now: float, urgency: Urgency, key: Hashable) -> float:
        """When a call may go: at once if not later than now, else the time to ask again, always finite.

        Ask only for a reply that has something to show and no call in flight. The answer holds for one call, and
        until something is sent, answered, opened or closed.
        """
        if now < self._not_before:
            return self._not_before
        live = self._live()
        if urgency is Urgency.FINAL:
            return self._window.free_at(now, 1)
        if urgency is Urgency.FIRST:
            ready_at = self._window.free_at(now, live + 1)
            return ready_at if ready_at > now or self._covers_finals(now) else now + ASK_AGAIN_S
        due = self._edited_at.get(key, -math.inf) + max(OWN_GAP_S, self._gap_s(key, now))
        has_room = self._window.free(now) - live > self._kept(now)
        return now if has_room and due <= now else min(max(due, now + OWN_GAP_S / 10), now + ASK_AGAIN_S)

    def sent(self, now: float, key: Hashable) -> None:
        """A call leaves for Slack."""
        self._window.sent()
        if key in self._edited_at:
            self._edited_at[key] = now

    def answered(self, now: float) -> None:
        """A call that was sent has ended, in whatever way."""
        self._window.answered(now)

    def withdrawn(self) -> None:
        """A call that was `sent` did not leave: another process took the last one."""
        self._window.withdrawn()

    def shared(self, now: float, call_ages_s: Iterable[float], live_ages_s: Iterable[float]) -> None:
        """What other processes do within the same budget: their calls of the last minute, and their live replies."""
        self._window.others(now - age_s + WINDOW_S + OTHERS_MARGIN_S for age_s in call_ages_s)
        self._others_opened_at = [now - age_s for age_s in live_ages_s]
        newest = max(self._others_opened_at, default=-math.inf)
        if newest > self._others_newest + AT_ONCE_S:
            self._others_newest = newest
            self._learn_of_a_question(now)

    def unseen(self, now: float) -> None:
        """What other processes do can't be seen: leaves them what they have, and their share of what is free.

        To be told at least once a second, for as long as that lasts.
        """
        if self._others_opened_at and now >= self._unseen_at + NEWLY_UNSEEN_S:
            share = len(self._others_opened_at) / self._live()
            self._window.set_aside(now, math.ceil(max(0, self._window.free(now)) * share))
        self._unseen_at = now
        self._window.hold_others(now + HELD_S)

    def fits(self, now: float) -> bool:
        """Whether the calls that were sent are within the budget, as far as is known."""
        return self._window.free(now) >= 0

    def limited(self, now: float, retry_after_s: float) -> None:
        """Slack answered 429, so somebody else spends of this budget too: waits, and takes the minute as full."""
        self._not_before = max(self._not_before, now + retry_after_s)
        self._window.fill(now)

    def _learn_of_a_question(self, now: float) -> None:
        self._last_opened_at = now
        since_s = now - self._asked_at
        if since_s >= AT_ONCE_S:
            self._asked = self._asking(now) + (1 if since_s < WINDOW_S else OUT_OF_SILENCE)
            self._asked_at = now

    def _gap_s(self, key: Hashable, now: float) -> float:
        """Between two edits of a reply: its pace, and the final that comes for free at the end of its life."""
        rest_s = self._rest_s(now - self._opened_at.get(key, now))
        return 1 / (self._pace(now) + 1 / rest_s)

    def _pace(self, now: float) -> float:
        """Edits a second for each reply that the calls suffice for, whichever horizon they are scarcest in."""
        room = self._window.free(now) - self._live() - self._kept(now)
        opened_at = (*self._opened_at.values(), *self._others_opened_at)
        rests_s = [self._rest_s(now - since) for since in opened_at]
        usual_s, asking = self._usual_s(), self._asking(now)
        paces = []
        for horizon_s in HORIZONS_S:
            newcomers = NEWCOMERS_WEIGHT * asking * horizon_s / FADING_S
            seconds = sum(min(rest_s, horizon_s) for rest_s in rests_s) + newcomers * min(usual_s, horizon_s / 2)
            paces.append((room + self._window.back_by(now + horizon_s)) / max(seconds, 1.0))
        return max(0.0, min(paces))

    def _live(self) -> int:
        return len(self._opened_at) + len(self._others_opened_at)

    def _kept(self, now: float) -> float:
        """Calls held back for the first words of who asks next."""
        fading = math.exp(-(now - self._last_opened_at) / FADING_S)
        by_silence = KEPT_ALWAYS + (KEPT_AFTER_A_QUESTION - KEPT_ALWAYS) * fading
        return min(KEPT_AT_MOST, by_silence + self._asking(now))

    def _covers_finals(self, now: float) -> bool:
        """Whether a call can be spent and all finals still go at once, those of who asks next as well."""
        room, asking = self._window.free(now) - self._live() - 1, FINALS_WEIGHT * self._asking(now)
        return all(
            room + self._window.back_by(now + horizon_s) >= math.floor(asking * horizon_s / FADING_S)
            for horizon_s in FINALS_HORIZONS_S
        )

    def _asking(self, now: float) -> float:
        """How many people are expected to ask in the next 30 s: as many as of late."""
        return self._asked * math.exp(-(now - self._asked_at) / FADING_S)

    def _usual_s(self) -> float:
        return sum(self._lives_s) / len(self._lives_s)

    def _rest_s(self, age_s: float) -> float:
        """How much longer a reply is expected to live: to the usual length; past that, ever longer."""
        usual_s = self._usual_s()
        return max(1.0, usual_s - age_s, 2 * age_s - 0.85 * usual_s)
