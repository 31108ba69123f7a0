"""When a call to Slack may go, and by which budget: edits of messages, or native streams. Pure.

Live replies share a workspace's budget of about 50 edits a minute.

The rule
--------
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

Posts, and starts of streams, also have a budget for each channel (`ChannelPosts`). How many posts a channel takes is
learned: five in five seconds are taken for granted, ten at once are tried.

Carriers
--------
Slack limits edits of messages and native streams separately: 50 edits a minute, and 20 starts, 100 appends and 20 stops
of streams. A reply, or a page of it, is given to one of the two once, when it begins (`choose_carrier`):

- A stream needs a start now, and a stop that no other live stream needs. If one of the two is missing, edits carry.
- Otherwise the carrier is taken that makes all readers wait less. Of n replies that share r calls a second, each gets a
  call every n / r seconds, and its newest words are half of that old on average: n * n / (2 r) for all of them. One
  more reply adds (2 n + 1) / (2 r). `marginal_staleness_s` is that, from what the pacers expect.
- Where both cost the same, a stream carries where Slack shows its own Stop, because it leaves the edits to others.
  Elsewhere edits do: starts are the scarcest calls.

A stream shows its growth to one person only (sandbox/FIDELITY.md), so `may_be_streamed` leaves some out.

What is learned
---------------
What is learned is a value (`Learned`), so that other processes and later ones can go by it. The newest one counts.

docs/contributors/decisions.md has the simulations behind the rule; `python -m benchmarks.pacing` runs this code.
"""

import math
import re
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from itertools import accumulate
from typing import Literal

from bot.core.conversation import Question

WINDOW_S = 60.0
MARGIN_S = 0.05
"""Added to the window, because our clock and Slack's may run differently."""
OTHERS_MARGIN_S = 1.0
"""The margin for other processes' calls, which are recorded before they leave."""
OWN_GAP_S = 0.5
"""Between two edits of one reply. Nobody could read faster edits."""
STEP_GAP_S = 1.0
"""Between two edits of one reply while the model uses tools: quick steps would cost 1.4 edits a second."""
ASK_AGAIN_S = 0.25
"""The longest that a deadline is trusted, because each call and each reply changes the pace."""
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
LEARNED_PART = 0.1
"""Of the guaranteed calls: what progress always keeps, and what each minute without a 429 gives back."""
FINALS_WEIGHT = 2.5
"""The weight of expected finals: a crowd is noticed only while its first questions are answered."""
FINAL_WAIT_S = 1.5
"""A final that would wait longer for an edit is posted as a new message, which Slack shows half a second later."""
CERTAIN_POSTS = 5
"""Posts that a channel takes in as many seconds, a stream's start counted, until Slack says otherwise."""
POST_BURST = 10
"""Posts at once that are tried. Slack's documentation speaks of short bursts, and of one a second."""
POST_GAP_S = 1.0
LATELY_S = 5.0
"""Between 100 and 200 askers within ten seconds, it tells early enough that edits and posts won't do for all."""
LEARNED_FOR_S = 3_600.0
"""How long a 429 keeps longer bursts of posts from being tried."""


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


@dataclass(frozen=True, slots=True)
class Learned:
    """What Slack's answers have taught about a budget."""

    calls: float
    """The calls a minute that progress may use, before quiet minutes raise them; or how many posts are certain."""
    at: float
    """When it was learned."""
    held_until: float
    """After a 429: until then Slack takes no call, or longer bursts of posts aren't tried."""


class LearnedRate:
    """How many calls a minute progress may use, as far as Slack's answers tell; at most those that it guarantees."""

    def __init__(self, guaranteed: int) -> None:
        self._guaranteed = guaranteed
        self.learned: Learned | None = None
        """What the rate follows from; None before the first 429."""

    def at(self, now: float) -> float:
        """Returns the calls a minute that progress may use."""
        if self.learned is None:
            return self._guaranteed
        minutes = max(0.0, now - self.learned.at) // WINDOW_S
        return min(self._guaranteed, self.learned.calls + minutes * LEARNED_PART * self._guaranteed)

    def limited(self, now: float, held_until: float) -> None:
        """Notes a 429, after which Slack takes no call until then."""
        self.learned = Learned(max(self.at(now) / 2, LEARNED_PART * self._guaranteed), now, held_until)


class RateWindow:
    """Counts the calls of a sliding minute.

    Slack counts a call when it arrives, somewhere between `sent` and `answered`. Here it counts from `sent` until 60 s
    after `answered`, so no 60 s at Slack hold more calls than the budget.
    """

    def __init__(self, calls_per_minute: int) -> None:
        self._calls_per_minute = calls_per_minute
        self._in_flight = 0
        self._back_at: deque[float] = deque()
        self._others_back_at: deque[float] = deque()

    def free(self, now: float) -> int:
        """Returns how many calls may go now."""
        for back_at in (self._back_at, self._others_back_at):
            while back_at and back_at[0] <= now:
                back_at.popleft()
        used = self._in_flight + len(self._back_at) + len(self._others_back_at)
        return self._calls_per_minute - used

    def back_by(self, then: float) -> int:
        """Returns how many calls are known to come back until then."""
        return sum(back_at <= then for back_at in (*self._back_at, *self._others_back_at))

    def free_at(self, now: float, wanted: int, unknown_s: float = ASK_AGAIN_S) -> float:
        """Returns when so many calls are free; if that isn't known yet, `unknown_s` from now."""
        missing = wanted - self.free(now)
        if missing <= 0:
            return now
        known = sorted((*self._back_at, *self._others_back_at))
        return known[missing - 1] if missing <= len(known) else now + unknown_s

    def sent(self) -> None:
        """Counts a call from now on."""
        self._in_flight += 1

    def answered(self, now: float) -> None:
        """Counts a call that was `sent` for 60 s more."""
        self._in_flight -= 1
        self._back_at.append(now + WINDOW_S + MARGIN_S)

    def withdrawn(self) -> None:
        """Takes back a call that was `sent`, because it never left."""
        self._in_flight -= 1

    def others(self, back_at: Iterable[float]) -> None:
        """Replaces the known times at which other processes' calls come back."""
        self._others_back_at = deque(sorted(back_at))

    def fill(self, now: float, since: float) -> None:
        """Counts every free call as used by somebody else, evenly over the minute before `since`."""
        others = self.free(now)
        returns = [since + WINDOW_S * (i + 1) / others for i in range(others)]
        self._back_at = deque(sorted([*self._back_at, *returns]))


@dataclass(frozen=True, slots=True)
class PostRule:
    """How many posts one channel takes, as far as Slack's answers tell."""

    certain: int = CERTAIN_POSTS
    """The channel takes so many posts in as many seconds."""
    may_try: bool = True
    """Whether more may be tried: a burst of POST_BURST and then one a second."""

    def certain_at(self, posts: Sequence[float], now: float) -> float:
        """Returns when a channel with posts at these times, oldest first, certainly takes another one."""
        if len(posts) < self.certain:
            return now
        return max(now, posts[-self.certain] + self.certain * POST_GAP_S + MARGIN_S)

    def free_at(self, posts: Sequence[float], now: float) -> float:
        """Returns when another post may go, whether that is certain or tried."""
        certain_at = self.certain_at(posts, now)
        if not self.may_try or certain_at <= now:
            return certain_at
        counting_until = accumulate(posts, lambda until, at: max(until, at) + POST_GAP_S, initial=-math.inf)
        counting = [until for until in counting_until if until > now]
        excess = len(counting) - POST_BURST
        return now if excess < 0 else min(certain_at, counting[excess])

    def accepted(self, posts: Sequence[float], now: float) -> "PostRule":
        """Returns the rule after Slack has accepted the last of these posts."""
        certain = self.certain
        # n + 1 posts in n seconds would be one too many for a channel that takes n in as many. That it isn't one which
        # takes fewer has to be known first: such a channel may take more in a longer time.
        while certain < POST_BURST and _within(posts, now, certain * POST_GAP_S - MARGIN_S) > certain:
            certain += 1
        return replace(self, certain=certain)

    def refused(self, posts: Sequence[float], now: float) -> "PostRule":
        """Returns the rule after Slack has refused another post than these."""
        if self.certain_at(posts, now) > now:
            return replace(self, may_try=False)
        fewer = [n for n in range(2, self.certain) if _within(posts, now, n * POST_GAP_S + MARGIN_S) >= n]
        return PostRule(max(fewer), may_try=False) if fewer else self


def _within(posts: Sequence[float], now: float, last_s: float) -> int:
    return sum(at > now - last_s for at in posts)


@dataclass(slots=True)
class _Channel:
    """The posts of the last minute in one channel."""

    in_flight: int = 0
    answered: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)
    """Other processes' posts."""
    refused_until: dict[str, float] = field(default_factory=dict)
    """By method: until when Slack's Retry-After keeps calls back, after a 429."""
    denied_until: float = -math.inf
    """The database has denied a post, and isn't asked again before this."""

    def is_refused(self, now: float) -> bool:
        """Returns whether any method is held back by a 429."""
        return any(until > now for until in self.refused_until.values())

    def posts(self, now: float) -> list[float]:
        """Returns when the posts of the last minute arrived, oldest first. Those in flight arrive now."""
        known = sorted(at for at in (*self.answered, *self.others) if at > now - WINDOW_S)
        return [*known, *[now] * self.in_flight]


class ChannelPosts:
    """Tells how soon each channel takes another post, and learns how many of them Slack takes.

    What is learned in one channel holds for all of them. A number of posts that Slack has not taken yet is tried by one
    post at a time, so that a wrong guess costs one 429. After a 429, nothing is tried for an hour.
    """

    def __init__(self) -> None:
        self._learned = Learned(CERTAIN_POSTS, at=-math.inf, held_until=-math.inf)
        self._channels: dict[str, _Channel] = {}
        self._trying: str | None = None
        """The channel of the post in flight that Slack may refuse."""

    @property
    def learned(self) -> Learned:
        """What the rule follows from."""
        return self._learned

    def learn(self, learned: Learned, now: float) -> None:
        """Takes over what another process has learned."""
        self._learned = learned

    def rule(self, now: float) -> PostRule:
        """Returns what is known of all channels."""
        return PostRule(int(self._learned.calls), may_try=self._learned.held_until <= now)

    def free_at(self, channel_id: str, method: str, now: float, kept: int = 0) -> float:
        """Returns when a post may go and leave room for `kept` more; a time to ask again if that isn't known."""
        rule = self.rule(now)
        channel = self._channels.get(channel_id) or _Channel()
        posts = [*channel.posts(now), *[now] * kept]
        free_at = max(rule.free_at(posts, now), channel.refused_until.get(method, now), channel.denied_until)
        is_tried = free_at <= now < rule.certain_at(posts, now)
        return now + ASK_AGAIN_S if is_tried and (self._trying is not None or channel.in_flight) else free_at

    def sent(self, channel_id: str, now: float) -> None:
        """Counts a post from now on."""
        for known in self._channels.values():
            known.answered = [at for at in known.answered if at > now - WINDOW_S]
        self._channels = {
            id_: known for id_, known in self._channels.items() if known.posts(now) or known.is_refused(now)
        }
        channel = self._channels.setdefault(channel_id, _Channel())
        if self.rule(now).certain_at(channel.posts(now), now) > now:
            self._trying = channel_id
        channel.in_flight += 1

    def answered(self, channel_id: str, now: float) -> None:
        """Notes that a post which was `sent` has ended, however it ended."""
        channel = self._channels[channel_id]
        channel.in_flight -= 1
        channel.answered.append(now)
        if self._trying == channel_id:
            self._trying = None
            certain = self.rule(now).accepted(channel.posts(now), now).certain
            if certain > self._learned.calls:
                self._learned = replace(self._learned, calls=certain, at=now)

    def withdrawn(self, channel_id: str) -> None:
        """Takes back a post that was `sent`, because it never left."""
        self._channels[channel_id].in_flight -= 1
        self._trying = None if self._trying == channel_id else self._trying

    def limited(self, channel_id: str, method: str, now: float, retry_after_s: float) -> bool:
        """Notes a 429 of a post in flight; returns whether other channels are refused, too.

        Then the 429 isn't the channel's, but the workspace's.
        """
        channel = self._channels.setdefault(channel_id, _Channel())
        before = channel.posts(now)[:-1]
        rule = self.rule(now).refused(before, now)
        held_until = self._learned.held_until if rule.may_try else now + LEARNED_FOR_S
        self._learned = Learned(rule.certain, now, held_until)
        self._trying = None if self._trying == channel_id else self._trying
        channel.refused_until[method] = max(channel.refused_until.get(method, now), now + retry_after_s)
        return any(other.is_refused(now) for other in self._channels.values() if other is not channel)

    def shared(self, channel_id: str, now: float, ages_s: Iterable[float], *, denied: bool) -> None:
        """Notes the ages of other processes' posts in a channel, and whether the database denied ours."""
        channel = self._channels[channel_id]
        channel.others = [now - age_s + OTHERS_MARGIN_S for age_s in ages_s]
        channel.denied_until = now + ASK_AGAIN_S if denied else -math.inf


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

    def opened(self, key: Hashable, now: float, *, posts_first_words: bool = False) -> None:
        """Notes that a reply begins. From now on a call is held back for its final edit.

        `posts_first_words`: no call is needed for its first words. So the next askers are expected to need none.
        """
        self._opened_at[key] = self._edited_at[key] = now
        self._newcomers_post = posts_first_words
        if not posts_first_words:
            self._learn_of_a_question(now)

    def closed(self, key: Hashable, now: float) -> None:
        """Notes that a reply's final edit is shown, or that the reply was given up."""
        self.lived(now - self._opened_at[key])
        self.left(key)

    def lived(self, life_s: float) -> None:
        """Notes how long a reply has lived, whatever methods it used in the end."""
        self._lives_s.append(life_s)

    def joined(self, key: Hashable, since: float, now: float) -> None:
        """Notes that a reply which began with calls of another method goes on with this one's."""
        self._opened_at[key], self._edited_at[key] = since, now
        if not self._holds_back:
            # Replies only ever join this method, so this is how it learns how many people ask.
            self._learn_of_a_question(now)

    def left(self, key: Hashable) -> None:
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
        gap_s = self._gap_s(key, now, pace() if pace else self.pace(now))
        due = self._edited_at.get(key, -math.inf) + max(own_gap_s, gap_s)
        has_room = self._room(now) > 0
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
        room = self._room(now) - (newcomers if self._holds_back else 0)
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

    def sent(self, now: float, key: Hashable) -> None:
        """Notes that a call leaves for Slack."""
        self._window.sent()
        if key in self._edited_at:
            self._edited_at[key] = now

    def answered(self, now: float) -> None:
        """Notes that a call which was `sent` has ended, however it ended."""
        self._window.answered(now)

    def withdrawn(self) -> None:
        """Notes that a call which was `sent` never left."""
        self._window.withdrawn()

    def shared(self, now: float, call_ages_s: Iterable[float], live_ages_s: Iterable[float]) -> None:
        """Notes what other processes do within the budget: the ages of their calls and of their live replies."""
        self._window.others(now - age_s + WINDOW_S + OTHERS_MARGIN_S for age_s in call_ages_s)
        self._others_opened_at = [now - age_s for age_s in live_ages_s]
        newest = max(self._others_opened_at, default=-math.inf)
        if newest > self._others_newest + AT_ONCE_S:
            self._others_newest = newest
            self._learn_of_a_question(now)

    def fits(self, now: float) -> bool:
        """Returns whether the calls that were `sent` are within the budget, as far as is known."""
        return self._window.free(now) >= 0

    def limited(self, now: float, retry_after_s: float) -> None:
        """Notes a 429. Somebody else uses this budget too, so the whole minute counts as used.

        A 429 that arrives before an earlier one's Retry-After has passed says nothing new about the budget.
        """
        if now >= self._not_before:
            self._rate.limited(now, now + retry_after_s)
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

    def _gap_s(self, key: Hashable, now: float, pace: float) -> float:
        """Returns the time between two edits of a reply, given its pace and the final at the end of its life.

        Where there are fewer edits than replies, some get one in the middle of their rest, which is worth most there,
        unless newcomers need edits for their first words.
        """
        rest_s = _rest_s(now - self._opened_at.get(key, now), self.usual_s)
        gap_s = 1 / (pace + 1 / rest_s)
        return min(gap_s, rest_s / 2) if self._newcomers_post else gap_s

    def _room(self, now: float) -> float:
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


STREAM_LIFE_S = 240.0
"""After this a stream is stopped, and edits go on. Slack closes a stream after about five minutes."""
STREAM_BYTES = 9_000
"""The most text of a page that a stream carries. Slack takes about 10,000 bytes."""
FRESH_S = 1.0
"""While edits leave an answer's newest words younger than this on average, calls aren't scarce. Two or three answers at
once are that fresh."""

_PERSON = re.compile(r"[UW][A-Z0-9]+")


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
