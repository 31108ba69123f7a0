"""When a call of one method may go, by its urgency and by what other live replies will need. Pure.

The rule, for edits:

1. In any 60 s, Slack never counts more calls than the budget.
2. One call is held back for each live reply, so that a finished answer is shown as finished at once.
3. A few calls are held back for newcomers' first words: five when someone has just asked, two after a silence, and up
   to ten while many people ask one after the other.
4. First words wait if calls are so scarce that the finals of the next askers would not be covered. An answer that has
   ended and still looks alive is worse than one that looks late.
5. The remaining calls are spread over the seconds of answers still to come. `pace` divides the calls that will be
   available by the seconds that have to be covered, over the next 10, 20, ... 60 s, and takes the smallest result: at
   this many edits a second for each reply, the calls last. A reply's next edit is due when its expected edits and its
   final would cut the rest of its life into equal parts.
6. An answer is expected to last as long as recent ones did. One that lasts longer is expected to go on ever longer, so
   its edits get rarer while the calls that it used early come back.
7. The budget is the number of calls that Slack guarantees, and what progress may use of it is learned. A 429 halves
   that; finals and first words still get all that the minute has left. Each minute without a 429 raises it again.
8. Where a minute's posts and edits can't carry first words and ends for all, an answer with a status begins late, and
   comes as one message at its end (`CallsLeft`).
"""

import math
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from enum import IntEnum

from bot.pacing.rates import ASK_AGAIN_S, OTHERS_MARGIN_S, WINDOW_S, Learned, LearnedRate, RateWindow

OWN_GAP_S = 0.5
"""Between two edits of one reply. Nobody could read faster edits."""
STEP_GAP_S = 1.0
"""Between two edits of one reply while the model uses tools: quick steps would cost 1.4 edits a second."""
USUAL_LIFE_S = 20.0
"""How long an answer is expected to last before any has ended; it counts as one that has."""
REMEMBERED = 20
"""The number of recent answers whose average life is the usual one."""
KEPT_AFTER_A_QUESTION = 5
"""Calls kept for newcomers when someone has just asked. Each newcomer needs one, and one held back for the final."""
KEPT_ALWAYS = 2
KEPT_AT_MOST = 10
FADING_S = 30.0
"""Within this, the expected number of askers fades to a third."""
AT_ONCE_S = 0.5
"""Questions closer together than this count as one, because they don't predict more."""
OUT_OF_SILENCE = 0.1
"""The weight of a question after a minute of silence, because it predicts less."""
NEWCOMERS_WEIGHT = 1.5
"""The weight of expected answers: they also need calls for first words and finals, and come in crowds."""
HORIZONS_S = (10.0, 20.0, 30.0, 40.0, 50.0, 60.0)
FINALS_WEIGHT = 2.5
"""The weight of expected finals: a crowd is noticed only while its first questions are answered."""
FINAL_WAIT_S = 1.5
"""A final that would wait longer for an edit is posted as a new message, which Slack shows half a second later."""
LATELY_S = 5.0
"""Between 100 and 200 askers within ten seconds, it tells early enough that edits and posts won't do for all."""


class Urgency(IntEnum):
    """The urgency of a call. The smallest goes first."""

    FINAL = 0
    """The end of an answer."""
    FIRST = 1
    """A placeholder, or an answer's first words."""
    PROGRESS = 2
    """More of an answer that is visible already."""
    STEP = 3
    """What the model does, and what it writes in between."""
    QUEUED = 4
    """A queued question's placeholder, by the rule of first words. Answers go first: they end, and it waits."""


def is_posted_again(waiting_since: float, edit_at: float, post_at: float) -> bool:
    """Returns whether a final is shown by a new message, because edits are spent for longer than it can wait.

    `waiting_since`: when it could have been sent but for the budget. `edit_at`, `post_at`: when either may go.
    """
    return edit_at > waiting_since + FINAL_WAIT_S and post_at < edit_at


@dataclass(frozen=True, slots=True)
class CallsLeft:
    """What a minute has left for all live answers, to decide whether one of them may begin before its end."""

    posts: int
    edits: int
    deletions: int
    """Posts, edits and deletions that are free, or come back before an answer that begins now ends."""
    live: int
    """Answers that edits carry."""
    unbegun: int
    """Live answers without a message, whose status is the sign."""
    asked_lately: int
    """Answers that began within LATELY_S. As many are expected to follow."""
    usual_s: float
    """How long an answer usually lasts."""

    def begins_late(self, age_s: float) -> bool:
        """Returns whether an answer of this age has to wait with its first words, because ends may need their calls.

        An answer that has begun needs an edit for its end. Where edits are spent, it needs a second post, and the first
        is deleted. The others need a post. Once half of an answer's usual life is over, its first words aren't worth a
        second post.
        """
        posted_again = self.live - self.unbegun - self.edits
        if posted_again < 0:
            return self.posts < self.unbegun
        posts = self.unbegun + self.asked_lately + max(0, self.live + self.asked_lately - self.edits)
        return posts > self.posts or posted_again >= self.deletions or age_s > self.usual_s / 2


class Pacer:
    """Paces the calls of one method in one workspace.

    Callers pass in the time, and results are times, by the monotonic clock. `key` identifies a reply. A method without
    open replies is only held to its budget.

    `calls_per_minute`: what Slack guarantees. `holds_back`: whether calls are held back for finals and first words.
    Appends to a stream need none, because a stream starts and stops with calls of other methods.
    """

    def __init__(self, calls_per_minute: int = 50, *, holds_back: bool = True) -> None:
        self._holds_back = holds_back
        self.calls_per_minute = calls_per_minute
        self._rate = LearnedRate(calls_per_minute)
        self._window = RateWindow(calls_per_minute)
        self._opened_at: dict[Hashable, float] = {}
        self._others_opened_at: list[float] = []
        self._others_newest = -math.inf
        self._edited_at: dict[Hashable, float] = {}
        self._lives_s = deque([USUAL_LIFE_S], maxlen=REMEMBERED)
        self._not_before = -math.inf
        self._asked = 0.0
        self._asked_at = -math.inf
        self._last_opened_at = -math.inf
        self._newcomers_post = False
        """Whether the last reply's first words needed no call."""

    def on_reply_opened(self, key: Hashable, now: float, *, posts_first_words: bool = False) -> None:
        """Notes that a reply begins. From now on a call is held back for its final edit.

        `posts_first_words`: no call is needed for its first words. So the next askers are expected to need none.
        """
        self._opened_at[key] = self._edited_at[key] = now
        self._newcomers_post = posts_first_words
        if not posts_first_words:
            self._learn_of_a_question(now)

    def on_reply_closed(self, key: Hashable, now: float) -> None:
        """Notes that a reply's final edit is shown, or that the reply was given up."""
        self.record_lifetime(now - self._opened_at[key])
        self.on_reply_left(key)

    def record_lifetime(self, life_s: float) -> None:
        """Notes how long a reply has lived, whatever methods it used in the end."""
        self._lives_s.append(life_s)

    def on_reply_joined(self, key: Hashable, since: float, now: float) -> None:
        """Notes that a reply which began with calls of another method goes on with this one's."""
        self._opened_at[key], self._edited_at[key] = since, now
        if not self._holds_back:
            # Replies only ever join this method, so this is how it learns how many people ask.
            self._learn_of_a_question(now)

    def on_reply_left(self, key: Hashable) -> None:
        """Notes that a reply goes on with calls of another method."""
        del self._opened_at[key], self._edited_at[key]

    def ready_at(self, now: float, urgency: Urgency, key: Hashable, pace: Callable[[], float] | None = None) -> float:
        """Returns when a call may go if that is not later than now, otherwise a finite time to ask again.

        Ask only for a reply that has something to show and no call in flight. The result holds for one call, and only
        until something is sent, answered, opened or closed.

        `pace`: returns the pace at this time, if the caller asks about many replies and works it out once for them all.
        """
        if now < self._not_before:
            return self._not_before
        if urgency is Urgency.FINAL:
            return self._window.free_at(now, 1)
        if urgency in (Urgency.FIRST, Urgency.QUEUED):
            ready_at = self._window.free_at(now, self.live + 1)
            return ready_at if ready_at > now or self._covers_finals(now) else now + ASK_AGAIN_S
        own_gap_s = STEP_GAP_S if urgency is Urgency.STEP else OWN_GAP_S
        gap_s = self.gap_s(key, now, pace() if pace else self.pace(now))
        due = self._edited_at.get(key, -math.inf) + max(own_gap_s, gap_s)
        has_room = self.room(now) > 0
        return now if has_room and due <= now else min(max(due, now + OWN_GAP_S / 10), now + ASK_AGAIN_S)

    def final_at(self, now: float, ahead: int) -> float:
        """Returns when a final can go behind so many others, as far as is known: no sooner than that.

        Calls in flight count for a minute.
        """
        return max(self._not_before, self._window.free_at(now, ahead + 1, unknown_s=WINDOW_S))

    def newcomers_gap_s(self, now: float, besides: Hashable = None) -> float:
        """Returns the time between two edits that a reply which begins now can expect.

        `besides`: that reply, if it is live already.
        """
        newcomers = 0 if besides in self._opened_at else 1
        return max(OWN_GAP_S, 1 / (self.pace(now, newcomers=newcomers, restarting=besides) + 1 / self.usual_s))

    def pace(self, now: float, newcomers: int = 0, restarting: Hashable = None) -> float:
        """Returns how many edits a second each reply can have until calls run out in any horizon.

        `newcomers`: replies that begin now, besides the live ones. `restarting`: a live one that begins now.
        """
        room = self.room(now) - (newcomers if self._holds_back else 0)
        ours = (now if key == restarting else at for key, at in self._opened_at.items())
        opened_at = (*ours, *self._others_opened_at, *[now] * newcomers)
        usual_s, asking = self.usual_s, self._asking(now)
        rests_s = [_rest_s(now - since, usual_s) for since in opened_at]
        paces = []
        for horizon_s in HORIZONS_S:
            expected = NEWCOMERS_WEIGHT * asking * horizon_s / FADING_S
            seconds = sum(min(rest_s, horizon_s) for rest_s in rests_s) + expected * min(usual_s, horizon_s / 2)
            paces.append((room + self._window.back_by(now + horizon_s)) / max(seconds, 1.0))
        return max(0.0, min(paces))

    def live_besides(self, key: Hashable) -> int:
        """Returns how many other replies use this method's calls, in all processes."""
        return self.live - 1 if key in self._opened_at else self.live

    @property
    def live(self) -> int:
        """How many replies use this method's calls, in all processes."""
        return len(self._opened_at) + len(self._others_opened_at)

    def free_in_a_life(self, now: float) -> int:
        """Returns how many calls are free now, or are known to come back before an answer that begins now ends."""
        return self._window.free(now) + self._window.back_by(now + self.usual_s)

    def others_since(self, then: float) -> int:
        """Returns how many replies of other processes have begun since then."""
        return sum(at > then for at in self._others_opened_at)

    def spare(self, now: float) -> int:
        """Returns how many calls may go now, beyond one for each live reply."""
        return self._window.free(now) - self.live if now >= self._not_before else 0

    def on_send(self, now: float, key: Hashable) -> None:
        """Notes that a call is being sent."""
        self._window.on_send()
        if key in self._edited_at:
            self._edited_at[key] = now

    def on_end(self, now: float) -> None:
        """Notes that a sent call has ended, with any outcome."""
        self._window.on_end(now)

    def on_withdrawn(self) -> None:
        """Notes that a call that `on_send` counted was never sent."""
        self._window.on_withdrawn()

    def on_shared(self, now: float, call_ages_s: Iterable[float], live_ages_s: Iterable[float]) -> None:
        """Notes what other processes do within the budget: the ages of their calls and of their live replies."""
        self._window.set_others(now - age_s + WINDOW_S + OTHERS_MARGIN_S for age_s in call_ages_s)
        self._others_opened_at = [now - age_s for age_s in live_ages_s]
        newest = max(self._others_opened_at, default=-math.inf)
        if newest > self._others_newest + AT_ONCE_S:
            self._others_newest = newest
            self._learn_of_a_question(now)

    def fits(self, now: float) -> bool:
        """Returns whether the sent calls are within the budget, as far as is known."""
        return self._window.free(now) >= 0

    def on_rate_limit(self, now: float, retry_after_s: float) -> None:
        """Notes a 429. Somebody else uses this budget too, so the whole minute counts as used.

        A 429 that arrives before an earlier one's Retry-After has passed says nothing new about the budget.
        """
        if now >= self._not_before:
            self._rate.on_rate_limit(now, now + retry_after_s)
        self._not_before = max(self._not_before, now + retry_after_s)
        self._window.fill(now, since=now)

    def is_held(self, now: float) -> bool:
        """Returns whether a 429 holds every call back."""
        return now < self._not_before

    @property
    def learned(self) -> Learned | None:
        """What the calls of progress follow from; None before the first 429."""
        return self._rate.learned

    def learn(self, learned: Learned, now: float) -> None:
        """Takes over what another process has learned, and does as if its 429 were ours."""
        self._rate.learned = learned
        self._not_before = max(self._not_before, learned.held_until)
        if learned.held_until > learned.at:
            self._window.fill(now, since=learned.at)

    def _learn_of_a_question(self, now: float) -> None:
        self._last_opened_at = now
        since_s = now - self._asked_at
        if since_s >= AT_ONCE_S:
            self._asked = self._asking(now) + (1 if since_s < WINDOW_S else OUT_OF_SILENCE)
            self._asked_at = now

    def gap_s(self, key: Hashable, now: float, pace: float) -> float:
        """Returns the time between two edits of a reply, given its pace and the final at the end of its life.

        Where there are fewer edits than replies, some get one in the middle of their rest, which is worth most there,
        unless newcomers need edits for their first words.
        """
        rest_s = _rest_s(now - self._opened_at.get(key, now), self.usual_s)
        gap_s = 1 / (pace + 1 / rest_s)
        return min(gap_s, rest_s / 2) if self._newcomers_post else gap_s

    def room(self, now: float) -> float:
        """Returns how many free calls progress may use: those that are not held back."""
        closed_by_429 = self.calls_per_minute - self._rate.at(now)
        if not self._holds_back:
            return self._window.free(now) - closed_by_429
        fading = math.exp(-(now - self._last_opened_at) / FADING_S)
        by_silence = KEPT_ALWAYS + (KEPT_AFTER_A_QUESTION - KEPT_ALWAYS) * fading
        for_newcomers = min(KEPT_AT_MOST, by_silence + self._asking(now))
        return self._window.free(now) - closed_by_429 - self.live - for_newcomers

    def _covers_finals(self, now: float) -> bool:
        """Returns whether all finals still go at once after one more call, those of the next askers included."""
        room = self._window.free(now) - self.live - 1
        asking = FINALS_WEIGHT * self._asking(now)
        return all(
            room + self._window.back_by(now + horizon_s) >= math.floor(asking * horizon_s / FADING_S)
            for horizon_s in HORIZONS_S[:3]
        )

    def _asking(self, now: float) -> float:
        """Returns how many people are expected to ask in the next 30 s: as many as recently."""
        return self._asked * math.exp(-(now - self._asked_at) / FADING_S)

    @property
    def usual_s(self) -> float:
        """How long recent replies have lived on average."""
        return sum(self._lives_s) / len(self._lives_s)


def _rest_s(age_s: float, usual_s: float) -> float:
    """Returns how much longer a reply is expected to live: to the usual length, and past that ever longer."""
    return max(1.0, usual_s - age_s, 2 * age_s - 0.85 * usual_s)
