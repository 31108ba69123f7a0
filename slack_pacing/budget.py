"""Slack's budgets for a workspace's calls, paced in this process and counted in a ledger for all processes."""

import logging
import math
from collections.abc import AsyncIterator, Callable, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache, partial
from typing import Any

from slack_pacing.carriers import CarrierName, CarrierRoom, choose_carrier
from slack_pacing.clock import Clock, LoopClock
from slack_pacing.ledger import POSTS_PREFIX, Ledger, LedgerUnavailable, SingleProcess
from slack_pacing.pacer import RECENT_QUESTIONS_S, CallsLeft, Pacer, Urgency
from slack_pacing.posts import ChannelPosts
from slack_pacing.rates import ASK_AGAIN_S, LearnedLimit

CALLS_PER_MINUTE = {
    "chat.update": 50,
    "chat.postMessage": 240,
    "chat.getPermalink": 240,
    "chat.postEphemeral": 100,
    "chat.delete": 50,
    "chat.startStream": 20,
    "chat.appendStream": 100,
    "chat.stopStream": 20,
    "conversations.replies": 50,
    "conversations.history": 50,
    "conversations.info": 50,
    "canvases.access.set": 50,
    "canvases.create": 20,
    "canvases.delete": 50,
    "canvases.getContent": 50,
    "files.completeUploadExternal": 100,
    "files.delete": 50,
    "reactions.add": 50,
    "users.conversations": 50,
    "users.info": 100,
    "users.list": 20,
    "views.publish": 100,
    "agents.sessions.rename": 50,
    "agents.sessions.setStatus": 50,
    "assistant.search.context": 10,
    "assistant.search.info": 20,
    "assistant.threads.setStatus": 600,
    "assistant.threads.setTitle": 50,
    "assistant.threads.setSuggestedPrompts": 50,
}
"""Based on the tiers in Slack's documentation. Slack allows several hundred posts and permalinks a minute, but these
numbers stay lower."""
REPLIES = "chat.update"
FIRST_WORDS = "chat.postMessage"
STARTS, APPENDS, STOPS = "chat.startStream", "chat.appendStream", "chat.stopStream"
POSTS = frozenset({"chat.postMessage", STARTS, "files.completeUploadExternal"})
"""Methods that show a new message in a channel. It isn't known whether Slack counts all of them as posts."""
ONCE_PER_REPLY = frozenset({STARTS, STOPS})
"""Methods that each reply calls once. The call is reserved, so it never waits for other replies' calls."""
WITHOUT_RESERVE = frozenset({APPENDS})
"""Methods for which no calls are reserved, because replies begin and end with other methods."""
DEFAULT_RETRY_AFTER_S = 30.0
"""The wait after a 429 without a readable Retry-After header."""
WATCH_INTERVAL_S = 1.0
CHANNEL_POSTS = "posts in a channel"
"""The key for the learned budget for posts in a channel. All other budgets are keyed by method."""

Paces = Callable[[str], float]
"""Returns how many calls of a method each live reply can make per second."""

log = logging.getLogger(__name__)


def retry_after_s(error: BaseException) -> float | None:
    """Returns how long Slack wants callers to wait, in seconds, or None if the error isn't a rate limit.

    Reads the error's `retry_after_s` or, if it doesn't have one, the response of a slack_sdk SlackApiError with status
    429.
    """
    wait_s = getattr(error, "retry_after_s", None)
    if isinstance(wait_s, int | float):
        return float(wait_s)
    response: Any = getattr(error, "response", None)
    if getattr(response, "status_code", None) != 429:
        return None
    stated = str(response.headers.get("Retry-After", ""))
    return float(stated) if stated.isdecimal() else DEFAULT_RETRY_AFTER_S


class RateBudget:
    """Decides when a workspace's calls can be sent. The pacers set the time, and the ledger grants the call.

    `ledger`: counts the calls of all processes. By default, this is the only process. `clock`: by default, the event
    loop's clock. `calls_per_minute`: budgets by method that differ from CALLS_PER_MINUTE. Methods that are in neither
    aren't paced.
    """

    def __init__(
        self,
        ledger: Ledger | None = None,
        clock: Clock | None = None,
        calls_per_minute: Mapping[str, int] | None = None,
    ) -> None:
        self._ledger = ledger or SingleProcess()
        self._clock = clock or LoopClock()
        self._pacers = {
            method: Pacer(calls, has_reserve=method not in WITHOUT_RESERVE)
            for method, calls in {**CALLS_PER_MINUTE, **(calls_per_minute or {})}.items()
        }
        self._posts = ChannelPosts()
        self._learned_budgets: dict[str, Pacer | ChannelPosts] = {**self._pacers, CHANNEL_POSTS: self._posts}
        self._known_at: dict[str, float] = {}
        """The time at which each budget's newest recorded value was learned. Empty until recorded values have been
        read, so that this process's initial assumptions aren't recorded."""
        self._live: dict[Hashable, tuple[float, tuple[str, ...]]] = {}
        """The time at which each live reply was opened, and the methods that it still uses."""
        self._denied_until: dict[str, float] = {}
        """The time, by method, at which to ask the ledger again after it has denied a call."""
        self._unsent: list[str] = []
        """Calls that the ledger has counted but that were never sent. They are kept until they are given back, because
        an unsent stop of a stream would otherwise delay the end of another answer by a minute."""
        self._is_ledger_away = False

    def on_reply_opened(self, key: Hashable, *, posts_first_words: bool = False) -> None:
        """Reserves a call for a final edit. `posts_first_words`: whether the first words are a new message instead of
        an edit."""
        now = self._clock.monotonic()
        self._live[key] = now, (REPLIES,)
        self._pacers[REPLIES].on_reply_opened(key, now, posts_first_words=posts_first_words)

    def on_reply_closed(self, key: Hashable) -> None:
        since, methods = self._live.pop(key)
        now = self._clock.monotonic()
        for method in methods:
            self._pacers[method].on_reply_closed(key, now)
        if APPENDS not in methods:
            # A stream ends before its reply does.
            self._pacers[APPENDS].record_lifetime(now - since)

    def set_methods(self, key: Hashable, methods: Sequence[str]) -> None:
        """Records the methods that a live reply still uses, and reserves a call of each method that needs one."""
        if key not in self._live or self._live[key][1] == tuple(methods):
            return
        since, before = self._live[key]
        self._live[key] = since, tuple(methods)
        for method in before:
            if method not in methods:
                self._pacers[method].on_reply_left(key)
        for method in methods:
            if method not in before:
                self._pacers[method].on_reply_joined(key, since, self._clock.monotonic())

    def carrier_room(self, method: str, key: Hashable) -> CarrierRoom:
        """Returns how much capacity a method has left for a live reply that starts to use it or already does."""
        pacer, now = self._pacers[method], self._clock.monotonic()
        return CarrierRoom(pacer.count_live_except(key), pacer.newcomers_gap_s(now, own_key=key))

    def choose_carrier(
        self, key: Hashable, *, has_stop: bool = False, forced_carrier: CarrierName | None = None
    ) -> CarrierName:
        """Returns whether to show a live reply, or a page of it, that starts now with edits or as a native stream."""
        return choose_carrier(
            self.carrier_room(REPLIES, key),
            self.carrier_room(APPENDS, key),
            spare_starts=self.spare_calls(STARTS),
            spare_stops=self.spare_calls(STOPS),
            has_stop=has_stop,
            forced_carrier=forced_carrier,
        )

    def spare_calls(self, method: str) -> int:
        now = self._clock.monotonic()
        return self._pacers[method].spare_calls(now) if self._denied_until.get(method, now) <= now else 0

    def is_half_free(self, *methods: str) -> bool:
        """Returns whether more than half of a minute's calls of each method are spare, which leaves enough for
        people."""
        return all(2 * self.spare_calls(method) > CALLS_PER_MINUTE[method] for method in methods)

    def paces(self, now: float) -> Paces:
        """Returns the paces at one point in time, for use with many replies. They are cached, because computing them is
        slow."""
        return cache(lambda method: self._pacers[method].pace(now))

    def ready_at(self, method: str, now: float, urgency: Urgency, key: Hashable, paces: Paces | None = None) -> float:
        """Returns the time at which a call can be sent. A time that isn't after `now` means immediately. `paces`: the
        paces at `now`."""
        if method in ONCE_PER_REPLY:
            urgency = Urgency.FINAL
        pace = partial(paces or self.paces(now), method)
        return max(self._pacers[method].ready_at(now, urgency, key, pace), self._denied_until.get(method, now))

    def calls_left(self, now: float, replies_without_message: int) -> CallsLeft:
        """Returns the calls that are left for live replies. `replies_without_message`: the number of replies that have
        a status but no message yet."""
        edits, since = self._pacers[REPLIES], now - RECENT_QUESTIONS_S
        recent_answers = sum(at > since for at, _ in self._live.values()) + edits.count_others_opened_since(since)
        posts, deletions = (self._pacers[method].calls_free_within_life(now) for method in (FIRST_WORDS, "chat.delete"))
        return CallsLeft(
            posts,
            edits.calls_free_within_life(now),
            deletions,
            edits.live_replies,
            replies_without_message,
            recent_answers,
            edits.usual_life_s,
        )

    def should_start_late(self, key: Hashable, now: float, left: CallsLeft) -> bool:
        return left.should_start_late(now - self._live[key][0])

    def post_ready_at(self, method: str, channel_id: str, now: float, extra_posts: int = 0) -> float:
        """Returns the time at which the channel has room for a call and `extra_posts` more posts."""
        return self._posts.free_at(channel_id, method, now, extra_posts) if method in POSTS else now

    def final_at(self, method: str, now: float, finals_ahead: int) -> float:
        return max(self._pacers[method].final_at(now, finals_ahead), self._denied_until.get(method, now))

    def on_send(self, method: str, now: float, key: Hashable, channel_id: str = "") -> None:
        """Counts a call as in flight before the ledger is asked. `channel_id`: the channel that the call posts to."""
        self._pacers[method].on_send(now, key)
        if method in ONCE_PER_REPLY and key in self._live:
            # The call is now counted itself, so it is no longer reserved.
            self.set_methods(key, [other for other in self._live[key][1] if other != method])
        if method in POSTS:
            self._posts.on_send(channel_id, now)

    def on_end(self, method: str, channel_id: str = "") -> None:
        now = self._clock.monotonic()
        self._pacers[method].on_end(now)
        if method in POSTS:
            self._posts.on_end(channel_id, now)

    def on_withdrawn(self, method: str, channel_id: str = "", *, was_granted: bool = False) -> None:
        """Records that a call counted by `on_send` was never sent. `was_granted`: whether `take_call` had granted
        it."""
        self._pacers[method].on_withdrawn()
        if method in POSTS:
            self._posts.on_withdrawn(channel_id)
        if was_granted and not self._is_ledger_away:
            self._unsent += [method, *([POSTS_PREFIX + channel_id] if method in POSTS else [])]

    def on_rate_limit(self, method: str, retry_after_s: float, channel_id: str = "") -> None:
        """Records a 429. A 429 for a post delays the channel's posts and, if other channels' posts are refused too, the
        whole method."""
        now = self._clock.monotonic()
        if method not in POSTS or self._posts.on_rate_limit(channel_id, method, now, retry_after_s):
            self._pacers[method].on_rate_limit(now, retry_after_s)

    async def take_call(self, method: str, channel_id: str = "") -> bool:
        """Takes a call from the budget of all processes, where it then counts as sent. Returns whether the call was
        granted. While the ledger is unavailable, this process decides alone, and other processes don't find out about
        the call. Hardly any calls are sent then, because a reply's text has to be recorded first."""
        if method in POSTS and not await self._take_post(channel_id):
            return False
        granted = await self._reserve_call(method, self._pacers[method].calls_per_minute)
        now = self._clock.monotonic()
        if not granted:
            self._denied_until[method] = now + ASK_AGAIN_S
        # Another process might have received a 429 in the meantime.
        can_send = granted and not self._pacers[method].must_wait(now)
        if not can_send and not self._is_ledger_away:
            self._unsent += [*([method] if granted else []), *([POSTS_PREFIX + channel_id] if method in POSTS else [])]
        return can_send

    async def _take_post(self, channel_id: str) -> bool:
        rule = self._posts.rule(self._clock.monotonic())
        try:
            reservation = await self._ledger.reserve_post(channel_id, rule)
        except LedgerUnavailable as error:
            log.debug("posts: shared budget unavailable, counting only this process's posts: %s", error)
            return True
        self._learn(reservation.learned)
        now = self._clock.monotonic()
        # A 429 might have shown in the meantime that Slack doesn't allow the burst that this grant relied on.
        granted = reservation.is_granted and (self._posts.rule(now).can_try_more or not rule.can_try_more)
        self._posts.on_shared_calls(channel_id, now, reservation.other_processes.call_ages_s, denied=not granted)
        if reservation.is_granted and not granted:
            self._unsent.append(POSTS_PREFIX + channel_id)
        return granted

    @asynccontextmanager
    async def paced_call(
        self,
        method: str,
        channel_id: str = "",
        *,
        key: Hashable = None,
        urgency: Callable[[], Urgency] | None = None,
    ) -> AsyncIterator[None]:
        """Waits until a call can be sent, and counts it. Methods without a budget don't wait.

        `key`: the live reply that the call is for, if any. `urgency`: called each time before the call waits (default:
        FINAL). If a rate limit error is raised inside the block (`retry_after_s`), later calls wait as long as Slack
        asks.
        """
        if method not in self._pacers:
            yield
            return
        while True:
            now = self._clock.monotonic()
            ready_at = self.ready_at(method, now, urgency() if urgency else Urgency.FINAL, key)
            ready_at = max(ready_at, self.post_ready_at(method, channel_id, now))
            if ready_at <= now:
                self.on_send(method, now, key, channel_id)
                granted = False
                try:
                    granted = await self.take_call(method, channel_id)
                finally:
                    if not granted:
                        self.on_withdrawn(method, channel_id)
                if granted:
                    break
            wait_s = max(0.0, ready_at - now)
            await self._clock.sleep(wait_s if key is None else min(wait_s, ASK_AGAIN_S))
        try:
            yield
        except Exception as error:
            if (retry_after := retry_after_s(error)) is not None:
                self.on_rate_limit(method, retry_after, channel_id)
            raise
        finally:
            self.on_end(method, channel_id)

    async def watch(self) -> None:
        """Tracks other processes' calls while replies are live, and records what this process learns. Runs until
        canceled."""
        try:
            try:
                # Read what earlier processes have learned. If the ledger is unavailable, the first reservation reads
                # it.
                self._learn((await self._ledger.reserve(REPLIES, 0)).learned)
            except LedgerUnavailable as error:
                log.debug("learned budgets not read yet: %s", error)
            while True:
                await self._clock.sleep(WATCH_INTERVAL_S)
                await self._record_learned()
                await self._give_back()
                if self._live:
                    await self._reserve_call(REPLIES, 0)
        finally:
            await self._record_learned()
            await self._give_back()

    async def _give_back(self) -> None:
        unsent, self._unsent = self._unsent, []
        try:
            if unsent:
                await self._ledger.give_back(unsent)
        except LedgerUnavailable as error:
            self._unsent += unsent
            log.debug("calls that never left not given back yet: %s", error)

    async def _record_learned(self) -> None:
        try:
            for budget in list(self._known_at):
                own = self._learned_budgets[budget].learned
                if own is not None and own.learned_at > self._known_at[budget]:
                    await self._ledger.record_learned(budget, own)
                    self._known_at[budget] = own.learned_at
        except LedgerUnavailable as error:
            log.debug("learned budgets not recorded yet: %s", error)

    def _learn(self, recorded: Mapping[str, LearnedLimit]) -> None:
        """Adopts recorded values that are newer than this process's own."""
        is_first = not self._known_at
        if is_first:
            self._known_at = dict.fromkeys(self._learned_budgets, -math.inf)
        for budget in self._learned_budgets.keys() & recorded.keys():
            own, learned = self._learned_budgets[budget].learned, recorded[budget]
            if own is None or is_first or learned.learned_at > own.learned_at:
                self._learned_budgets[budget].learn(learned, self._clock.monotonic())
                self._known_at[budget] = learned.learned_at

    async def _reserve_call(self, method: str, calls_per_minute: int) -> bool:
        pacer = self._pacers[method]
        try:
            reservation = await self._ledger.reserve(method, calls_per_minute, with_live=method == REPLIES)
        except LedgerUnavailable as error:
            log.debug("%s: shared budget unavailable, counting only this process's calls: %s", method, error)
            self._is_ledger_away = True
            return pacer.is_within_budget(self._clock.monotonic())
        self._is_ledger_away = False
        self._learn(reservation.learned)
        others = reservation.other_processes
        pacer.on_shared_calls(self._clock.monotonic(), others.call_ages_s, others.live_ages_s)
        return reservation.is_granted
