"""Compares rules for giving replies to edits or native streams, by simulation; bot/core/pacing.py is one of them.

`python -m benchmarks.pacing` runs it. A stream's start shows first words, its appends more, its stop the end. Ends that
edits can't show in time are posted again. Placeholders and such posts share what three channels take.

Not simulated: the cap on a stream's text, its five minutes, and that only one person sees it grow.
"""

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from bot.core.pacing import Carrier, CarrierRoom, ChannelPosts, Pacer, Urgency, choose_carrier, is_posted_again

EDITS, STARTS, APPENDS, STOPS, POSTS, DELETES = 50, 20, 100, 20, 240, 50
CHANNELS = 3
AGAIN_S = 0.05


@dataclass(frozen=True)
class Prospect:
    """What a rule knows when it gives a reply to a carrier."""

    edits: CarrierRoom
    appends: CarrierRoom
    spare_appends: int
    spare_starts: int
    spare_stops: int


CarrierRule = Callable[[Prospect], Carrier]


def only_edits(prospect: Prospect) -> Carrier:
    return "edit"


def streams_while_they_start(prospect: Prospect) -> Carrier:
    has_room = prospect.spare_starts > 0 and prospect.spare_stops > 0
    return "stream" if has_room else "edit"


def streams_with_four_appends_each(prospect: Prospect) -> Carrier:
    """The rule of the model that preceded this one: four appends must be left beyond one for each live stream."""
    has_appends = prospect.spare_appends - prospect.appends.live >= 4
    return streams_while_they_start(prospect) if has_appends else "edit"


def shorter_gap(prospect: Prospect) -> Carrier:
    """What is better for the newcomer alone."""
    is_shorter = prospect.appends.gap_s < prospect.edits.gap_s
    return streams_while_they_start(prospect) if is_shorter else "edit"


def least_marginal_staleness(prospect: Prospect) -> Carrier:
    """The bot's rule where Slack shows its own Stop."""
    return _chosen(prospect, has_stop=True)


def edits_while_fresh(prospect: Prospect) -> Carrier:
    """The bot's rule elsewhere: its Stop button needs a message below a stream."""
    return _chosen(prospect, has_stop=False)


def _chosen(prospect: Prospect, *, has_stop: bool) -> Carrier:
    starts, stops = prospect.spare_starts, prospect.spare_stops
    return choose_carrier(prospect.edits, prospect.appends, spare_starts=starts, spare_stops=stops, has_stop=has_stop)


class CarrierBudgets:
    """All budgets of a workspace, under one rule; the simulation asks it as it asks a Pacer."""

    def __init__(
        self,
        rule: CarrierRule,
        *,
        posts_first_words: bool = False,
        unless_fresh: bool = False,
        streamed_of: int = 1,
        stop_below: bool = False,
    ) -> None:
        self._rule = rule
        self._streamed_of = streamed_of
        """Of so many replies, one may be streamed: a stream shows its growth to one person only."""
        self._stop_below = stop_below
        """Slack shows no Stop: a message below a stream has the button."""
        self._posts_first_words = posts_first_words
        """A thread's status stands for the placeholder, so first words are a post and no edit."""
        self._unless_fresh = unless_fresh
        """The same, but only where edits wouldn't keep a reply fresh."""
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
        has_placeholder = not self._posts_first_words or (self._unless_fresh and is_fresh)
        if has_placeholder:
            self._with_placeholder.add(key)
            self._post(key, now)
        prospect = Prospect(
            CarrierRoom(self._live_edits, self._edits.newcomers_gap_s(now)),
            CarrierRoom(len(self._streams), self._appends.newcomers_gap_s(now)),
            self._appends.spare(now),
            # Streams that are chosen and not started hold their starts.
            self._starts.spare(now),
            self._stops.spare(now),
        )
        if key % self._streamed_of == 0 and self._rule(prospect) == "stream":
            self._streams.add(key)
            for pacer in (self._appends, self._starts, self._stops):
                pacer.joined(key, now, now)
        else:
            self._live_edits += 1
            self._edits.opened(key, now, posts_first_words=not has_placeholder)

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
            if self._stop_below:
                self._post(key, now)
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
