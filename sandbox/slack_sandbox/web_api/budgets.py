"""Slack's rate limits on calls to each method within any 60 seconds, and on posts to each channel. Calls are counted
when they arrive.

The documented limit on posts per channel is only "about one a second, and short bursts", so there are two rules.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate

WINDOW_S = 60.0
_TIER_1, _TIER_2, _TIER_3, _TIER_4 = 1, 20, 50, 100

# Calls per minute that Slack guarantees: its documented tiers, and the limits of methods without a tier.
FLOORS: Mapping[str, int] = {
    "agents.sessions.rename": _TIER_3,
    "agents.sessions.setStatus": _TIER_3,
    "api.test": _TIER_4,
    "apps.connections.open": 60,
    "apps.manifest.create": _TIER_1,
    "assistant.search.context": 10,
    "assistant.search.info": _TIER_2,
    "assistant.threads.setStatus": 600,
    "assistant.threads.setSuggestedPrompts": _TIER_3,
    "assistant.threads.setTitle": _TIER_3,
    "auth.test": 600,
    "blocks.validate": _TIER_4,
    "canvases.access.set": _TIER_3,
    "canvases.create": _TIER_2,
    "canvases.delete": _TIER_3,
    "canvases.getContent": _TIER_3,
    "chat.appendStream": _TIER_4,
    "chat.delete": _TIER_3,
    "chat.getPermalink": 300,
    "chat.postEphemeral": _TIER_4,
    "chat.postMessage": 300,
    "chat.scheduleMessage": _TIER_3,
    "chat.startStream": _TIER_2,
    "chat.stopStream": _TIER_2,
    "chat.update": _TIER_3,
    "conversations.history": _TIER_3,
    "conversations.info": _TIER_3,
    "conversations.join": _TIER_3,
    "conversations.list": _TIER_2,
    "conversations.members": _TIER_4,
    "conversations.open": _TIER_3,
    "conversations.replies": _TIER_3,
    "files.completeUploadExternal": _TIER_4,
    "files.delete": _TIER_3,
    "files.getUploadURLExternal": _TIER_4,
    "files.info": _TIER_4,
    "pins.add": _TIER_2,
    "pins.list": _TIER_2,
    "reactions.add": _TIER_3,
    "reactions.get": _TIER_3,
    "reactions.remove": _TIER_2,
    "team.info": _TIER_3,
    "users.conversations": _TIER_3,
    "users.info": _TIER_4,
    "users.list": _TIER_2,
    "usergroups.list": _TIER_2,
    "users.lookupByEmail": _TIER_3,
    "users.profile.get": _TIER_4,
    "views.open": _TIER_3,
    "views.publish": _TIER_4,
    "views.push": _TIER_4,
    "views.update": _TIER_4,
}


@dataclass(frozen=True)
class PostRule:
    burst: int
    window_s: float | None
    """The time for which a post counts. If None, one post stops counting every second."""
    methods: frozenset[str]

    def counted_until_s(self, posts: Iterable[float]) -> list[float]:
        """Returns, in order, the times when these posts stop counting."""
        if self.window_s is not None:
            return [at_s + self.window_s for at_s in posts]
        return list(accumulate(posts, lambda back_s, at_s: max(back_s, at_s) + 1.0, initial=0.0))[1:]


GENEROUS = PostRule(10, None, frozenset({"chat.postMessage"}))
STRICT = PostRule(5, 5.0, frozenset({"chat.postMessage", "chat.startStream"}))
POST_RULES: Mapping[str, PostRule] = {"generous": GENEROUS, "strict": STRICT}


@dataclass
class Budgets:
    """Counts calls of each method against its limit, and posts against the limit of their channel."""

    limits: Mapping[str, int] = field(default_factory=dict)
    """Limits that override those in FLOORS."""
    posts: PostRule = GENEROUS
    monotonic: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._limits = {**FLOORS, **self.limits}
        self._spent: dict[str, deque[float]] = {method: deque() for method in self._limits}
        self.called: set[str] = set()
        self._posts: dict[str, list[tuple[float, str]]] = {}
        """The posts of the last minute, by channel: time and method."""

    def spend(self, method: str, channel: str = "") -> int | None:
        """Counts a call and returns None, or returns the seconds for Retry-After without counting it."""
        self.called.add(method)
        now_s = self.monotonic()
        wait_s = self._window_wait_s(method, now_s)
        if method in self.posts.methods:
            wait_s = max(wait_s, self._channel_wait_s(channel, now_s))
        if wait_s > 0:
            return max(1, math.ceil(wait_s))
        if method in self._spent:
            self._spent[method].append(now_s)
        if any(method in rule.methods for rule in POST_RULES.values()):
            recent = [post for post in self._posts.get(channel, ()) if post[0] > now_s - WINDOW_S]
            self._posts[channel] = [*recent, (now_s, method)]
        return None

    def used(self) -> dict[str, tuple[int, int]]:
        """Returns the number of calls in the last minute and the limit, by method."""
        now_s = self.monotonic()
        return {method: (len(self._window(method, now_s)), limit) for method, limit in self._limits.items()}

    def used_in_channels(self) -> dict[str, tuple[int, int]]:
        """Returns, for each channel with recent posts, the number of posts counted toward the burst limit, and the
        limit."""
        now_s, burst = self.monotonic(), self.posts.burst
        counting = {channel: len(self._counting_until_s(channel, now_s)) for channel in self._posts}
        return {channel: (min(used, burst), burst) for channel, used in counting.items() if used}

    def _window(self, method: str, now_s: float) -> deque[float]:
        spent = self._spent[method]
        while spent and spent[0] <= now_s - WINDOW_S:
            spent.popleft()
        return spent

    def _window_wait_s(self, method: str, now_s: float) -> float:
        if method not in self._spent:
            return 0.0
        window, limit = self._window(method, now_s), self._limits[method]
        if len(window) < limit:
            return 0.0
        return window[0] + WINDOW_S - now_s if limit else WINDOW_S

    def _counting_until_s(self, channel: str, now_s: float) -> list[float]:
        posts = [at_s for at_s, method in self._posts.get(channel, ()) if method in self.posts.methods]
        return [back_s for back_s in self.posts.counted_until_s(posts) if back_s > now_s]

    def _channel_wait_s(self, channel: str, now_s: float) -> float:
        counting = self._counting_until_s(channel, now_s)
        excess = len(counting) - self.posts.burst
        return counting[excess] - now_s if excess >= 0 else 0.0
