"""Decides when a channel has room for another post or stream. Pure."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate

from slack_pacing.rates import ASK_AGAIN_S, MARGIN_S, OTHERS_MARGIN_S, WINDOW_S, LearnedLimit

CERTAIN_POSTS = 5
"""The number of posts (including starts of streams) that a channel is assumed to allow in as many seconds, until Slack
refuses one."""
POST_BURST = 10
"""The number of simultaneous posts to try. Slack's documentation mentions short bursts, and one post per second."""
POST_GAP_S = 1.0
LEARNED_FOR_S = 3_600.0
"""The time after a 429 in which longer bursts of posts aren't tried."""


@dataclass(frozen=True, slots=True)
class PostRule:
    certain_posts: int = CERTAIN_POSTS
    """The number of posts that the channel certainly allows in as many seconds."""
    can_try_more: bool = True
    """Whether to try more posts: a burst of POST_BURST, and then one a second."""

    def certain_at(self, posts: Sequence[float], now: float) -> float:
        """Returns the time at which a channel certainly allows another post, given the times of its posts, oldest
        first."""
        if len(posts) < self.certain_posts:
            return now
        return max(now, posts[-self.certain_posts] + self.certain_posts * POST_GAP_S + MARGIN_S)

    def free_at(self, posts: Sequence[float], now: float) -> float:
        certain_at = self.certain_at(posts, now)
        if not self.can_try_more or certain_at <= now:
            return certain_at
        counting_until = accumulate(posts, lambda until, at: max(until, at) + POST_GAP_S, initial=-math.inf)
        counting = [until for until in counting_until if until > now]
        excess = len(counting) - POST_BURST
        return now if excess < 0 else min(certain_at, counting[excess])

    def after_success(self, posts: Sequence[float], now: float) -> "PostRule":
        certain = self.certain_posts
        # For a channel that allows n posts in n seconds, n + 1 would be too many. First it has to be certain that the
        # channel doesn't allow fewer, because such a channel might allow more over a longer time.
        while certain < POST_BURST and _count_within(posts, now, certain * POST_GAP_S - MARGIN_S) > certain:
            certain += 1
        return replace(self, certain_posts=certain)

    def after_refusal(self, posts: Sequence[float], now: float) -> "PostRule":
        if self.certain_at(posts, now) > now:
            return replace(self, can_try_more=False)
        fewer = [n for n in range(2, self.certain_posts) if _count_within(posts, now, n * POST_GAP_S + MARGIN_S) >= n]
        return PostRule(max(fewer), can_try_more=False) if fewer else self


def _count_within(posts: Sequence[float], now: float, last_s: float) -> int:
    return sum(at > now - last_s for at in posts)


@dataclass(slots=True)
class _Channel:
    in_flight: int = 0
    posted_at: list[float] = field(default_factory=list)
    others_posted_at: list[float] = field(default_factory=list)
    refused_until: dict[str, float] = field(default_factory=dict)
    """The time, by method, at which calls can be sent again after a 429."""
    denied_until: float = -math.inf
    """The time at which to ask the ledger again after it has denied a post."""

    def is_refused(self, now: float) -> bool:
        return any(until > now for until in self.refused_until.values())

    def posts(self, now: float) -> list[float]:
        """Returns the times of the posts in the last minute, oldest first. Posts in flight count as arriving now."""
        known = sorted(at for at in (*self.posted_at, *self.others_posted_at) if at > now - WINDOW_S)
        return [*known, *[now] * self.in_flight]


class ChannelPosts:
    """Decides when each channel has room for another post, based on a limit that is learned for all channels. A higher
    limit is tried with one post at a time, so that a wrong guess costs only one 429. After a 429, no higher limit is
    tried for an hour."""

    def __init__(self) -> None:
        self.learned = LearnedLimit(CERTAIN_POSTS, learned_at=-math.inf, held_until=-math.inf)
        self._channels: dict[str, _Channel] = {}
        self._trying: str | None = None
        """The channel of the post in flight that tries a higher limit, so Slack might refuse it."""

    def learn(self, learned: LearnedLimit, now: float) -> None:
        self.learned = learned

    def rule(self, now: float) -> PostRule:
        return PostRule(int(self.learned.calls), can_try_more=self.learned.held_until <= now)

    def free_at(self, channel_id: str, method: str, now: float, extra_posts: int = 0) -> float:
        """Returns the time at which a post can be sent with room for `extra_posts` more or, if that isn't known, at
        which to ask again."""
        rule = self.rule(now)
        channel = self._channels.get(channel_id) or _Channel()
        posts = [*channel.posts(now), *[now] * extra_posts]
        free_at = max(rule.free_at(posts, now), channel.refused_until.get(method, now), channel.denied_until)
        is_tried = free_at <= now < rule.certain_at(posts, now)
        return now + ASK_AGAIN_S if is_tried and (self._trying is not None or channel.in_flight) else free_at

    def on_send(self, channel_id: str, now: float) -> None:
        for known in self._channels.values():
            known.posted_at = [at for at in known.posted_at if at > now - WINDOW_S]
        self._channels = {
            id_: known for id_, known in self._channels.items() if known.posts(now) or known.is_refused(now)
        }
        channel = self._channels.setdefault(channel_id, _Channel())
        if self.rule(now).certain_at(channel.posts(now), now) > now:
            self._trying = channel_id
        channel.in_flight += 1

    def on_end(self, channel_id: str, now: float) -> None:
        channel = self._channels[channel_id]
        channel.in_flight -= 1
        channel.posted_at.append(now)
        if self._trying == channel_id:
            self._trying = None
            certain = self.rule(now).after_success(channel.posts(now), now).certain_posts
            if certain > self.learned.calls:
                self.learned = replace(self.learned, calls=certain, learned_at=now)

    def on_withdrawn(self, channel_id: str) -> None:
        self._channels[channel_id].in_flight -= 1
        self._trying = None if self._trying == channel_id else self._trying

    def on_rate_limit(self, channel_id: str, method: str, now: float, retry_after_s: float) -> bool:
        """Records a post's 429. Returns whether other channels are refused, too, which means that the limit is the
        workspace's."""
        channel = self._channels.setdefault(channel_id, _Channel())
        before = channel.posts(now)[:-1]
        rule = self.rule(now).after_refusal(before, now)
        held_until = self.learned.held_until if rule.can_try_more else now + LEARNED_FOR_S
        self.learned = LearnedLimit(rule.certain_posts, now, held_until)
        self._trying = None if self._trying == channel_id else self._trying
        channel.refused_until[method] = max(channel.refused_until.get(method, now), now + retry_after_s)
        return any(other.is_refused(now) for other in self._channels.values() if other is not channel)

    def on_shared_calls(self, channel_id: str, now: float, ages_s: Iterable[float], *, denied: bool) -> None:
        """Records the ages of other processes' posts in a channel, and whether the ledger denied a post."""
        channel = self._channels[channel_id]
        channel.others_posted_at = [now - age_s + OTHERS_MARGIN_S for age_s in ages_s]
        channel.denied_until = now + ASK_AGAIN_S if denied else -math.inf
