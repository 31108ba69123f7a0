"""Decides when calls of one method can be sent, based on their urgency and on other live replies' needs. Pure.

The rules, for edits:

1. Slack never counts more calls than the budget in any 60 s.
2. One call is reserved for each live reply, so that Slack can show the end of an answer at once.
3. Two to ten calls are reserved for the first words of new answers, depending on how recently and how often people have
   asked questions.
4. First words wait if there might not be enough calls for the final edits of the next answers. An answer that has ended
   but still looks live is worse than an answer that appears late.
5. The remaining calls are spread over the remaining seconds of all answers. For each of the next 10, 20, ... 60 s,
   `pace` divides the calls that will be available by the seconds to be covered, and takes the smallest result. A
   reply's next edit is due when its expected edits and its final edit would divide the rest of its life into equal
   parts.
6. An answer is expected to last as long as recent answers. If it takes longer, its expected duration grows with its
   age, so its edits become less frequent.
7. The budget is the number of calls that Slack guarantees, but how many of them progress can use is learned. A 429
   halves this number, and each minute without a 429 raises it again. Final edits and first words can use all remaining
   calls of the minute.
8. If a minute's posts and edits aren't enough for the first words and the ends of all answers, an answer with a status
   starts late and appears as a single message when it ends (`CallsLeft`).
"""

import math
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from enum import IntEnum

from slack_pacing.rates import ASK_AGAIN_S, OTHERS_MARGIN_S, WINDOW_S, LearnedLimit, LearnedRate, RateWindow

OWN_GAP_S = 0.5
"""Minimum time between two edits of a reply. People couldn't read the text any faster."""
STEP_GAP_S = 1.0
"""Minimum time between two edits while the model uses tools. Without it, quick steps would cost 1.4 edits a second."""
USUAL_LIFE_S = 20.0
"""The expected duration of an answer before any has ended. It counts as one answer in the average."""
AVERAGED_ANSWERS = 20
"""The number of recent answers to include in the average duration."""
RESERVED_AFTER_QUESTION = 5
"""The number of calls to reserve for new answers just after a question: one for each answer's first words, and one for
a final edit."""
MIN_RESERVED = 2
MAX_RESERVED = 10
ASKERS_DECAY_S = 30.0
"""The time in which the expected number of askers falls to about a third."""
AT_ONCE_S = 0.5
"""Questions that are closer together than this count as one, because a burst doesn't predict more questions."""
WEIGHT_AFTER_SILENCE = 0.1
"""The weight of a question after a minute of silence, which says less about how many will follow."""
NEWCOMERS_WEIGHT = 1.5
"""The weight of expected answers, which is higher because they also need calls for first words and finals, and arrive
in crowds."""
HORIZONS_S = (10.0, 20.0, 30.0, 40.0, 50.0, 60.0)
FINALS_WEIGHT = 2.5
"""The weight of expected finals, which is higher because a crowd is noticed only once its first questions are being
answered."""
FINAL_WAIT_S = 1.5
"""The longest time that a final edit waits. Otherwise, it is posted as a new message, which Slack shows half a second
later."""
RECENT_QUESTIONS_S = 5.0
"""The period for counting recent questions. It is short so that a crowd of 100 to 200 askers, for which edits and posts
won't suffice, is noticed early."""


class Urgency(IntEnum):
    """The urgency of a call. Calls with lower values are sent first."""

    FINAL = 0
    FIRST = 1
    PROGRESS = 2
    STEP = 3
    """The model's steps, and the text between them."""
    QUEUED = 4
    """A queued question's placeholder. The rule for first words applies to it, too, but answers take precedence because
    they end."""


def should_post_final(waiting_since: float, edit_at: float, post_at: float) -> bool:
    """Returns whether to post a final as a new message because it would wait too long for an edit. `waiting_since`: the
    time at which it could have been sent without the budget. `edit_at`, `post_at`: the times at which an edit and a
    post can be sent."""
    return edit_at > waiting_since + FINAL_WAIT_S and post_at < edit_at


@dataclass(frozen=True, slots=True)
class CallsLeft:
    """The calls left in a minute for all live answers, which determine whether an answer can show text before it
    ends."""

    posts: int
    edits: int
    deletions: int
    """`posts`, `edits` and `deletions` count calls that are free now or will be before an answer that starts now
    ends."""
    live_replies: int
    replies_without_message: int
    """The number of live answers that show only a status and no message yet."""
    recent_answers: int
    """The number of answers that started in the last RECENT_QUESTIONS_S. The same number is expected to follow."""
    usual_life_s: float

    def should_start_late(self, age_s: float) -> bool:
        """Returns whether an answer of this age should delay its first words, because the ends of answers might need
        the calls. Ending an answer that has a message takes an edit, or a second post and a deletion. Ending any other
        answer takes a post. After half of the usual duration, first words aren't worth a second post."""
        posted_again = self.live_replies - self.replies_without_message - self.edits
        if posted_again < 0:
            return self.posts < self.replies_without_message
        posts = (
            self.replies_without_message
            + self.recent_answers
            + max(0, self.live_replies + self.recent_answers - self.edits)
        )
        return posts > self.posts or posted_again >= self.deletions or age_s > self.usual_life_s / 2


class Pacer:
    """Paces the calls of one method in one workspace. Times are on the monotonic clock, and `key` identifies a reply.
    `calls_per_minute`: the number that Slack guarantees. `has_reserve`: whether calls are reserved for finals and first
    words. Appending to a stream doesn't need this, because other methods start and stop streams."""

    def __init__(self, calls_per_minute: int = 50, *, has_reserve: bool = True) -> None:
        self._has_reserve = has_reserve
        self.calls_per_minute = calls_per_minute
        self._rate = LearnedRate(calls_per_minute)
        self._window = RateWindow(calls_per_minute)
        self._opened_at: dict[Hashable, float] = {}
        self._others_opened_at: list[float] = []
        self._others_newest = -math.inf
        self._edited_at: dict[Hashable, float] = {}
        self._lives_s = deque([USUAL_LIFE_S], maxlen=AVERAGED_ANSWERS)
        self._not_before = -math.inf
        self._askers = 0.0
        self._asked_at = -math.inf
        self._last_opened_at = -math.inf
        self._newcomers_post = False
        """Whether the last reply didn't need a call for its first words."""

    def on_reply_opened(self, key: Hashable, now: float, *, posts_first_words: bool = False) -> None:
        """Reserves a call for a final edit. `posts_first_words`: whether first words don't need a call, now and for
        newcomers."""
        self._opened_at[key] = self._edited_at[key] = now
        self._newcomers_post = posts_first_words
        if not posts_first_words:
            self._count_question(now)

    def on_reply_closed(self, key: Hashable, now: float) -> None:
        self.record_lifetime(now - self._opened_at[key])
        self.on_reply_left(key)

    def record_lifetime(self, life_s: float) -> None:
        self._lives_s.append(life_s)

    def on_reply_joined(self, key: Hashable, since: float, now: float) -> None:
        """Records that a reply that started with another method now continues with this one."""
        self._opened_at[key], self._edited_at[key] = since, now
        if not self._has_reserve:
            # Replies can only join this method, so joining shows how many people are asking.
            self._count_question(now)

    def on_reply_left(self, key: Hashable) -> None:
        del self._opened_at[key], self._edited_at[key]

    def ready_at(self, now: float, urgency: Urgency, key: Hashable, pace: Callable[[], float] | None = None) -> float:
        """Returns a time that isn't after `now` if a call can be sent, otherwise the time at which to ask again. Call
        it only for a reply that has something to show and no call in flight. The result is valid for a single call,
        until any `on_…` method is called. `pace`: the pace at `now`, for callers that compute it once for many
        replies."""
        if now < self._not_before:
            return self._not_before
        if urgency is Urgency.FINAL:
            return self._window.free_at(now, 1)
        if urgency in (Urgency.FIRST, Urgency.QUEUED):
            ready_at = self._window.free_at(now, self.live_replies + 1)
            return ready_at if ready_at > now or self._covers_finals(now) else now + ASK_AGAIN_S
        own_gap_s = STEP_GAP_S if urgency is Urgency.STEP else OWN_GAP_S
        gap_s = self.gap_s(key, now, pace() if pace else self.pace(now))
        due = self._edited_at.get(key, -math.inf) + max(own_gap_s, gap_s)
        has_room = self.progress_calls(now) > 0
        return now if has_room and due <= now else min(max(due, now + OWN_GAP_S / 10), now + ASK_AGAIN_S)

    def final_at(self, now: float, finals_ahead: int) -> float:
        """Returns the earliest time for a final edit after `finals_ahead` others. Calls in flight count for a
        minute."""
        return max(self._not_before, self._window.free_at(now, finals_ahead + 1, unknown_wait_s=WINDOW_S))

    def newcomers_gap_s(self, now: float, own_key: Hashable = None) -> float:
        """Returns the expected time between two edits of a reply that starts now. `own_key`: the reply's key, if it is
        already live."""
        newcomers = 0 if own_key in self._opened_at else 1
        return max(OWN_GAP_S, 1 / (self.pace(now, newcomers=newcomers, restarting_key=own_key) + 1 / self.usual_life_s))

    def pace(self, now: float, newcomers: int = 0, restarting_key: Hashable = None) -> float:
        """Returns the edits per second that each reply can make without using up the calls in any horizon. `newcomers`:
        the number of replies that start now, in addition to the live ones. `restarting_key`: a live reply to treat as
        starting now."""
        room = self.progress_calls(now) - (newcomers if self._has_reserve else 0)
        ours = (now if key == restarting_key else at for key, at in self._opened_at.items())
        opened_at = (*ours, *self._others_opened_at, *[now] * newcomers)
        usual_life_s, asking = self.usual_life_s, self._expected_askers(now)
        rests_s = [_remaining_s(now - since, usual_life_s) for since in opened_at]
        paces = []
        for horizon_s in HORIZONS_S:
            expected = NEWCOMERS_WEIGHT * asking * horizon_s / ASKERS_DECAY_S
            seconds = sum(min(rest_s, horizon_s) for rest_s in rests_s) + expected * min(usual_life_s, horizon_s / 2)
            paces.append((room + self._window.calls_returning_by(now + horizon_s)) / max(seconds, 1.0))
        return max(0.0, min(paces))

    def count_live_except(self, key: Hashable) -> int:
        return self.live_replies - 1 if key in self._opened_at else self.live_replies

    @property
    def live_replies(self) -> int:
        return len(self._opened_at) + len(self._others_opened_at)

    def calls_free_within_life(self, now: float) -> int:
        """Returns how many calls are free now or will return before an answer that starts now ends."""
        return self._window.free_calls(now) + self._window.calls_returning_by(now + self.usual_life_s)

    def count_others_opened_since(self, since: float) -> int:
        return sum(at > since for at in self._others_opened_at)

    def spare_calls(self, now: float) -> int:
        """Returns how many calls can be sent now if one is kept for each live reply."""
        return self._window.free_calls(now) - self.live_replies if now >= self._not_before else 0

    def on_send(self, now: float, key: Hashable) -> None:
        self._window.on_send()
        if key in self._edited_at:
            self._edited_at[key] = now

    def on_end(self, now: float) -> None:
        self._window.on_end(now)

    def on_withdrawn(self) -> None:
        self._window.on_withdrawn()

    def on_shared_calls(self, now: float, call_ages_s: Iterable[float], live_ages_s: Iterable[float]) -> None:
        self._window.set_other_calls(now - age_s + WINDOW_S + OTHERS_MARGIN_S for age_s in call_ages_s)
        self._others_opened_at = [now - age_s for age_s in live_ages_s]
        newest = max(self._others_opened_at, default=-math.inf)
        if newest > self._others_newest + AT_ONCE_S:
            self._others_newest = newest
            self._count_question(now)

    def is_within_budget(self, now: float) -> bool:
        return self._window.free_calls(now) >= 0

    def on_rate_limit(self, now: float, retry_after_s: float) -> None:
        """Records a 429 and counts the whole minute as used, because something else uses this budget too."""
        # A 429 before an earlier one's Retry-After has passed adds no information about the budget.
        if now >= self._not_before:
            self._rate.on_rate_limit(now, now + retry_after_s)
        self._not_before = max(self._not_before, now + retry_after_s)
        self._window.fill(now, since=now)

    def must_wait(self, now: float) -> bool:
        return now < self._not_before

    @property
    def learned(self) -> LearnedLimit | None:
        return self._rate.learned

    def learn(self, learned: LearnedLimit, now: float) -> None:
        """Adopts what another process has learned, as if this process had received the 429."""
        self._rate.learned = learned
        self._not_before = max(self._not_before, learned.held_until)
        if learned.held_until > learned.learned_at:
            self._window.fill(now, since=learned.learned_at)

    def _count_question(self, now: float) -> None:
        self._last_opened_at = now
        since_s = now - self._asked_at
        if since_s >= AT_ONCE_S:
            self._askers = self._expected_askers(now) + (1 if since_s < WINDOW_S else WEIGHT_AFTER_SILENCE)
            self._asked_at = now

    def gap_s(self, key: Hashable, now: float, pace: float) -> float:
        """Returns the time between two edits of a reply, in seconds. If there are fewer edits than replies, some
        replies are edited once, in the middle of their remaining life, unless new replies need those edits for their
        first words."""
        rest_s = _remaining_s(now - self._opened_at.get(key, now), self.usual_life_s)
        gap_s = 1 / (pace + 1 / rest_s)
        return min(gap_s, rest_s / 2) if self._newcomers_post else gap_s

    def progress_calls(self, now: float) -> float:
        closed_by_429 = self.calls_per_minute - self._rate.calls_at(now)
        if not self._has_reserve:
            return self._window.free_calls(now) - closed_by_429
        fading = math.exp(-(now - self._last_opened_at) / ASKERS_DECAY_S)
        by_silence = MIN_RESERVED + (RESERVED_AFTER_QUESTION - MIN_RESERVED) * fading
        for_newcomers = min(MAX_RESERVED, by_silence + self._expected_askers(now))
        return self._window.free_calls(now) - closed_by_429 - self.live_replies - for_newcomers

    def _covers_finals(self, now: float) -> bool:
        """Returns whether all finals, even those for the next askers, can still be sent at once after one more call."""
        room = self._window.free_calls(now) - self.live_replies - 1
        asking = FINALS_WEIGHT * self._expected_askers(now)
        return all(
            room + self._window.calls_returning_by(now + horizon_s) >= math.floor(asking * horizon_s / ASKERS_DECAY_S)
            for horizon_s in HORIZONS_S[:3]
        )

    def _expected_askers(self, now: float) -> float:
        """Returns how many people are expected to ask in the next 30 s, which is as many as have asked recently."""
        return self._askers * math.exp(-(now - self._asked_at) / ASKERS_DECAY_S)

    @property
    def usual_life_s(self) -> float:
        return sum(self._lives_s) / len(self._lives_s)


def _remaining_s(age_s: float, usual_life_s: float) -> float:
    """Returns a reply's expected remaining duration. Up to the usual duration, it gets shorter, and after that longer
    and longer."""
    return max(1.0, usual_life_s - age_s, 2 * age_s - 0.85 * usual_life_s)
