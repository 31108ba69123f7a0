"""The bot's rule for giving replies to edits or native streams (bot/core/pacing.py), for simulations.

`python -m benchmarks.pacing` runs it. A stream's start shows first words, its appends more, its stop the end. Ends that
edits can't show in time are posted again. Placeholders and such posts share what three channels take.

Not simulated: the cap on a stream's text, its five minutes, and that only one person sees it grow.
"""

from collections import deque
from collections.abc import Hashable

from bot.core.pacing import CarrierRoom, ChannelPosts, Pacer, Urgency, choose_carrier, is_posted_again

EDITS, STARTS, APPENDS, STOPS, POSTS, DELETES = 50, 20, 100, 20, 240, 50
CHANNELS = 3
AGAIN_S = 0.05


class CarrierBudgets:
    """All budgets of a workspace. The simulation asks them as it asks a Pacer."""

    def __init__(self, *, streams: bool = True, has_stop: bool = False) -> None:
        self._may_stream = streams
        self._has_stop = has_stop
        """Whether Slack shows its own Stop. Elsewhere, a reply that edits keep fresh has a placeholder."""
        self._with_placeholder: set[Hashable] = set()
        self._edits, self._appends = Pacer(EDITS), Pacer(APPENDS, holds_back=False)
        self._starts, self._stops = Pacer(STARTS), Pacer(STOPS)
        self._posts, self._deletes, self._in_channel = Pacer(POSTS), Pacer(DELETES), ChannelPosts()
        self._streams: set[Hashable] = set()
        self._started: set[Hashable] = set()
        self._live_edits = 0
        self._waiting: dict[Hashable, float] = {}
        """Ends that wait for an edit, and since when."""
        self._flying: deque[list[Pacer]] = deque()
        self._next: dict[Hashable, list[Pacer]] = {}
        """What each reply's call, once it may go, counts against."""

    def opened(self, key: int, now: float) -> None:
        is_fresh = CarrierRoom(self._live_edits, self._edits.newcomers_gap_s(now)).is_fresh
        # Elsewhere, a thread's status stands for the placeholder, so first words are a post and no edit.
        if not self._may_stream or (is_fresh and not self._has_stop):
            self._with_placeholder.add(key)
            self._post(key, now)
        if self._may_stream and self._is_streamed(now):
            self._streams.add(key)
            for pacer in (self._appends, self._starts, self._stops):
                pacer.joined(key, now, now)
        else:
            self._live_edits += 1
            self._edits.opened(key, now, posts_first_words=key not in self._with_placeholder)

    def _is_streamed(self, now: float) -> bool:
        carrier = choose_carrier(
            CarrierRoom(self._live_edits, self._edits.newcomers_gap_s(now)),
            CarrierRoom(len(self._streams), self._appends.newcomers_gap_s(now)),
            # Streams that are chosen and not started hold their starts.
            spare_starts=self._starts.spare(now),
            spare_stops=self._stops.spare(now),
            has_stop=self._has_stop,
        )
        return carrier == "stream"

    def closed(self, key: int, now: float) -> None:
        if key in self._streams:
            self._streams.remove(key)
            for pacer in (self._appends, self._stops):
                pacer.closed(key, now)
            if key not in self._started:
                self._starts.closed(key, now)
        else:
            self._live_edits -= 1
            self._edits.closed(key, now)

    def ready_at(self, now: float, urgency: Urgency, key: int) -> float:
        if key not in self._streams:
            return self._edit_at(now, urgency, key)
        if key not in self._started:
            return self._ask(self._starts, now, Urgency.FINAL, key)
        if urgency is Urgency.FINAL:
            return self._ask(self._stops, now, Urgency.FINAL, key)
        return self._ask(self._appends, now, Urgency.PROGRESS, key)

    def sent(self, now: float, key: int) -> None:
        pacers = self._next.pop(key)
        for pacer in pacers:
            pacer.sent(now, key)
        if self._starts in pacers:
            self._started.add(key)
            self._starts.closed(key, now)
        if self._posts in pacers:
            self._post(key, now)
        self._waiting.pop(key, None)
        self._flying.append(pacers)

    def answered(self, now: float) -> None:
        for pacer in self._flying.popleft():
            pacer.answered(now)

    def _post(self, key: int, now: float) -> None:
        self._in_channel.sent(_channel(key), now)
        self._in_channel.answered(_channel(key), now)

    def _edit_at(self, now: float, urgency: Urgency, key: int) -> float:
        if urgency is Urgency.FIRST and key not in self._with_placeholder:
            at = self._ask(self._posts, now, Urgency.FINAL, key)
            return max(at, self._in_channel.free_at(_channel(key), "chat.postMessage", now))
        if urgency is not Urgency.FINAL:
            return self._ask(self._edits, now, urgency, key)
        waiting_since = self._waiting.setdefault(key, now)
        edit_at = self._edits.final_at(now, list(self._waiting).index(key))
        if edit_at <= now:
            return self._ask(self._edits, now, urgency, key)
        # The old message may be deleted later than the new one is posted.
        post_at = max(self._posts.final_at(now, 0), self._in_channel.free_at(_channel(key), "chat.postMessage", now))
        if is_posted_again(waiting_since, edit_at, post_at) and post_at <= now:
            self._next[key] = [self._posts, self._deletes]
            return now
        return now + AGAIN_S

    def _ask(self, pacer: Pacer, now: float, urgency: Urgency, key: int) -> float:
        self._next[key] = [pacer]
        return pacer.ready_at(now, urgency, key)


def _channel(key: int) -> str:
    return str(key % CHANNELS)
