"""Slack's budgets for a workspace's calls: paced here, and counted in the database with other processes' calls."""

import logging
import math
from collections.abc import AsyncIterator, Callable, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache, partial

from bot.clock import Clock
from bot.errors import RateLimited, StoreError
from bot.pacing.carriers import CarrierRoom
from bot.pacing.ledger import POSTS_IN, Ledger
from bot.pacing.pacer import LATELY_S, CallsLeft, Pacer, Urgency
from bot.pacing.posts import ChannelPosts
from bot.pacing.rates import ASK_AGAIN_S, Learned

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
"""By Slack's documented tiers. Posts and permalinks may be several hundred a minute; this stays well below."""
REPLIES = "chat.update"
"""The method whose budget live replies share, unless they use others."""
FIRST_WORDS = "chat.postMessage"
APPENDS = "chat.appendStream"
POSTS = frozenset({"chat.postMessage", "chat.startStream", "files.completeUploadExternal"})
"""What shows a new message in a channel. Whether Slack counts all of them as posts isn't known."""
ONE_FOR_EACH = frozenset({"chat.startStream", "chat.stopStream"})
"""A reply that uses these makes one call of each. That is held back for it, so it waits for no other reply's."""
HOLDS_NOTHING_BACK = frozenset({APPENDS})
"""Replies that use these begin and end with calls of other methods."""
FOLLOW_S = 1.0
IN_CHANNEL = "posts in a channel"
"""The budget of a channel's posts, among those that are learned. Other budgets have their method's name."""

Paces = Callable[[str], float]
"""Returns how many edits a second each live reply can have, by method."""

log = logging.getLogger(__name__)


class RateBudget:
    """Decides when a workspace's calls may go: the pacers name a time, and the ledger grants the call.

    The pacers learn how many Slack takes, and the ledger brings that to other processes and later ones.
    """

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._pacers = {
            method: Pacer(calls, holds_back=method not in HOLDS_NOTHING_BACK)
            for method, calls in CALLS_PER_MINUTE.items()
        }
        self._posts = ChannelPosts()
        self._learners: dict[str, Pacer | ChannelPosts] = {**self._pacers, IN_CHANNEL: self._posts}
        self._known_at: dict[str, float] = {}
        """When the newest lesson of each budget was learned that is on record. Empty until the record was read: before
        that, what this process assumes is no news."""
        self._live: dict[Hashable, tuple[float, tuple[str, ...]]] = {}
        """When each live reply was opened, and the methods that it still uses."""
        self._denied_until: dict[str, float] = {}
        """By method: the ledger denied a call, so it isn't asked again before this."""
        self._unsent: list[str] = []
        """What the ledger has counted although it never left, until it is given back: a stop of a stream that counts
        for nothing would keep the end of another answer from leaving for a minute."""
        self._is_ledger_away = False

    def on_reply_opened(self, key: Hashable, *, posts_first_words: bool = False) -> None:
        """Notes that a reply begins: one call is held back for its final edit.

        `posts_first_words`: a new message shows its first words, and no edit.
        """
        now = self._clock.monotonic()
        self._live[key] = now, (REPLIES,)
        self._pacers[REPLIES].on_reply_opened(key, now, posts_first_words=posts_first_words)

    def on_reply_closed(self, key: Hashable) -> None:
        """Notes that a reply needs no more calls."""
        since, methods = self._live.pop(key)
        now = self._clock.monotonic()
        for method in methods:
            self._pacers[method].on_reply_closed(key, now)
        if APPENDS not in methods:
            # A stream is over before its reply is.
            self._pacers[APPENDS].record_lifetime(now - since)

    def uses(self, key: Hashable, methods: Sequence[str]) -> None:
        """Notes which methods a live reply still uses: a call of each is held back for it, if it needs one."""
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

    def room(self, method: str, key: Hashable) -> CarrierRoom:
        """Returns what a method has left for a live reply that begins to use it now, or uses it already."""
        pacer, now = self._pacers[method], self._clock.monotonic()
        return CarrierRoom(pacer.live_besides(key), pacer.newcomers_gap_s(now, besides=key))

    def spare(self, method: str) -> int:
        """Returns how many calls of a method may go now, beyond one for each live reply that uses it."""
        now = self._clock.monotonic()
        return self._pacers[method].spare(now) if self._denied_until.get(method, now) <= now else 0

    def paces(self, now: float) -> Paces:
        """Returns the paces at one time, for questions about many replies before anything changes.

        Each takes as many steps as there are live replies, so it is worked out once, and only if it is needed.
        """
        return cache(lambda method: self._pacers[method].pace(now))

    def ready_at(self, method: str, now: float, urgency: Urgency, key: Hashable, paces: Paces | None = None) -> float:
        """Returns when a call may go; not later than now means at once. `paces`: those at this time."""
        if method in ONE_FOR_EACH:
            urgency = Urgency.FINAL
        pace = partial(paces or self.paces(now), method)
        return max(self._pacers[method].ready_at(now, urgency, key, pace), self._denied_until.get(method, now))

    def calls_left(self, now: float, unbegun: int) -> CallsLeft:
        """Returns what is left for live replies. `unbegun`: those without a message, whose status is the sign."""
        edits, since = self._pacers[REPLIES], now - LATELY_S
        asked_lately = sum(at > since for at, _ in self._live.values()) + edits.others_since(since)
        posts, deletions = (self._pacers[method].free_in_a_life(now) for method in (FIRST_WORDS, "chat.delete"))
        return CallsLeft(posts, edits.free_in_a_life(now), deletions, edits.live, unbegun, asked_lately, edits.usual_s)

    def begins_late(self, key: Hashable, now: float, left: CallsLeft) -> bool:
        """Returns whether a live reply without a message waits with its first words, maybe to its end."""
        return left.begins_late(now - self._live[key][0])

    def post_at(self, method: str, channel_id: str, now: float, kept: int = 0) -> float:
        """Returns when a call may go as far as its channel is concerned, and leave room for `kept` more posts there."""
        return self._posts.free_at(channel_id, method, now, kept) if method in POSTS else now

    def final_at(self, method: str, now: float, ahead: int) -> float:
        """Returns when a final can go behind so many others, as far as is known: no sooner than that."""
        return max(self._pacers[method].final_at(now, ahead), self._denied_until.get(method, now))

    def on_send(self, method: str, now: float, key: Hashable, channel_id: str = "") -> None:
        """Notes that a call is in flight, from asking the ledger on. `channel_id`: where it posts, if it does."""
        self._pacers[method].on_send(now, key)
        if method in ONE_FOR_EACH and key in self._live:
            # The call counts itself now, and no longer by being held back.
            self.uses(key, [other for other in self._live[key][1] if other != method])
        if method in POSTS:
            self._posts.on_send(channel_id, now)

    def on_end(self, method: str, channel_id: str = "") -> None:
        """Notes that a sent call has ended, with any outcome."""
        now = self._clock.monotonic()
        self._pacers[method].on_end(now)
        if method in POSTS:
            self._posts.on_end(channel_id, now)

    def on_withdrawn(self, method: str, channel_id: str = "", *, was_granted: bool = False) -> None:
        """Notes that a call that `on_send` counted was never sent. `was_granted`: by `take`."""
        self._pacers[method].on_withdrawn()
        if method in POSTS:
            self._posts.on_withdrawn(channel_id)
        if was_granted and not self._is_ledger_away:
            self._unsent += [method, *([POSTS_IN + channel_id] if method in POSTS else [])]

    def on_rate_limit(self, method: str, retry_after_s: float, channel_id: str = "") -> None:
        """Notes that Slack answered 429 to a sent call.

        The 429 of a post holds back its channel, and the method only if other channels are refused, too.
        """
        now = self._clock.monotonic()
        if method not in POSTS or self._posts.on_rate_limit(channel_id, method, now, retry_after_s):
            self._pacers[method].on_rate_limit(now, retry_after_s)

    async def take(self, method: str, channel_id: str = "") -> bool:
        """Takes a call from the budget of all processes; returns whether it was granted.

        The call counts as sent already. While the ledger is away, this process's own knowledge decides, and no other
        process learns of the call. Nearly none leaves then: a reply's text has to be on record first.
        """
        if method in POSTS and not await self._take_post(channel_id):
            return False
        granted = await self._ask(method, self._pacers[method].calls_per_minute)
        now = self._clock.monotonic()
        if not granted:
            self._denied_until[method] = now + ASK_AGAIN_S
        # Another process may have got a 429 meanwhile.
        may_leave = granted and not self._pacers[method].is_held(now)
        if not may_leave and not self._is_ledger_away:
            self._unsent += [*([method] if granted else []), *([POSTS_IN + channel_id] if method in POSTS else [])]
        return may_leave

    async def _take_post(self, channel_id: str) -> bool:
        """Takes a post from a channel's budget."""
        rule = self._posts.rule(self._clock.monotonic())
        try:
            reservation = await self._ledger.reserve_post(channel_id, rule)
        except StoreError as error:
            log.debug("posts: shared budget unavailable, counting only this process's posts: %s", error)
            return True
        self._learn(reservation.learned)
        now = self._clock.monotonic()
        # A 429 may have taught meanwhile that the burst by which this was granted isn't taken.
        granted = reservation.granted and (self._posts.rule(now).may_try or not rule.may_try)
        self._posts.on_shared(channel_id, now, reservation.others.call_ages_s, denied=not granted)
        if reservation.granted and not granted:
            self._unsent.append(POSTS_IN + channel_id)
        return granted

    @asynccontextmanager
    async def turn(self, method: str, channel_id: str = "") -> AsyncIterator[None]:
        """Waits until a call that isn't a live reply's may go, and counts it; a method without a budget goes at once.

        `channel_id`: where it posts, if it does. After a RateLimited that is raised inside, later calls wait for as
        long as Slack says.
        """
        if method not in CALLS_PER_MINUTE:
            yield
            return
        while True:
            now = self._clock.monotonic()
            ready_at = self.ready_at(method, now, Urgency.FINAL, None)
            ready_at = max(ready_at, self.post_at(method, channel_id, now))
            if ready_at <= now and await self._taken(method, now, channel_id):
                break
            await self._clock.sleep(max(0.0, ready_at - now))
        try:
            yield
        except RateLimited as error:
            self.on_rate_limit(method, error.retry_after_s, channel_id)
            raise
        finally:
            self.on_end(method, channel_id)

    async def _taken(self, method: str, now: float, channel_id: str) -> bool:
        self.on_send(method, now, None, channel_id)
        granted = False
        try:
            granted = await self.take(method, channel_id)
        finally:
            if not granted:
                self.on_withdrawn(method, channel_id)
        return granted

    async def watch(self) -> None:
        """Follows other processes' calls while replies are live, until canceled, and records what is learned."""
        try:
            try:
                # What earlier processes have learned. If the ledger is away, the first reservation reads it.
                self._learn((await self._ledger.reserve(REPLIES, 0)).learned)
            except StoreError as error:
                log.debug("learned budgets not read yet: %s", error)
            while True:
                await self._clock.sleep(FOLLOW_S)
                await self._record_learned()
                await self._give_back()
                if self._live:
                    await self._ask(REPLIES, 0)
        finally:
            await self._record_learned()
            await self._give_back()

    async def _give_back(self) -> None:
        unsent, self._unsent = self._unsent, []
        try:
            if unsent:
                await self._ledger.give_back(unsent)
        except StoreError as error:
            self._unsent += unsent
            log.debug("calls that never left not given back yet: %s", error)

    async def _record_learned(self) -> None:
        try:
            for budget in list(self._known_at):
                own = self._learners[budget].learned
                if own is not None and own.at > self._known_at[budget]:
                    await self._ledger.record_learned(budget, own)
                    self._known_at[budget] = own.at
        except StoreError as error:
            log.debug("learned budgets not recorded yet: %s", error)

    def _learn(self, recorded: Mapping[str, Learned]) -> None:
        """Takes over what is on record, if it is newer than what this process knows."""
        is_first = not self._known_at
        if is_first:
            self._known_at = dict.fromkeys(self._learners, -math.inf)
        for budget in self._learners.keys() & recorded.keys():
            own, learned = self._learners[budget].learned, recorded[budget]
            if own is None or is_first or learned.at > own.at:
                self._learners[budget].learn(learned, self._clock.monotonic())
                self._known_at[budget] = learned.at

    async def _ask(self, method: str, calls_per_minute: int) -> bool:
        pacer = self._pacers[method]
        try:
            reservation = await self._ledger.reserve(method, calls_per_minute, with_live=method == REPLIES)
        except StoreError as error:
            log.debug("%s: shared budget unavailable, counting only this process's calls: %s", method, error)
            self._is_ledger_away = True
            return pacer.fits(self._clock.monotonic())
        self._is_ledger_away = False
        self._learn(reservation.learned)
        others = reservation.others
        pacer.on_shared(self._clock.monotonic(), others.call_ages_s, others.live_ages_s)
        return reservation.granted
