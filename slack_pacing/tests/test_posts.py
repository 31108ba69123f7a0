"""How soon a channel takes another post, and what is learned of it."""

import math
from collections import defaultdict
from dataclasses import dataclass

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from slack_pacing.posts import CERTAIN_POSTS, LEARNED_FOR_S, POST_BURST, ChannelPosts, PostRule
from slack_pacing.rates import WINDOW_S, LearnedLimit

POST, START = "chat.postMessage", "chat.startStream"


@dataclass(frozen=True)
class ChannelRule:
    """How many posts Slack takes in a channel: `burst` at once and then one a second, or `burst` in as many seconds."""

    burst: int
    in_window: bool

    def takes(self, posts: list[float], now: float) -> bool:
        if self.in_window:
            return sum(at > now - self.burst for at in posts) < self.burst
        return all(number + 1 <= self.burst + (now - at) + 1e-6 for number, at in enumerate(reversed(posts), 1))


GENEROUS, STRICT = ChannelRule(10, in_window=False), ChannelRule(5, in_window=True)


class PostingSlack:
    """A Slack with a rule for posts, and posts that ChannelPosts lets through. Each takes `latency_s`."""

    def __init__(self, rule: ChannelRule, latency_s: float = 0.01) -> None:
        self.posts, self.rule, self.latency_s, self.now = ChannelPosts(), rule, latency_s, 100.0
        self.arrived: dict[str, list[float]] = defaultdict(list)
        self.refused: list[float] = []

    def post(self, channel_id: str) -> bool:
        """Posts if that may go now; returns whether Slack took it."""
        if self.posts.free_at(channel_id, POST, self.now) > self.now:
            return False
        self.posts.on_send(channel_id, self.now)
        self.now += self.latency_s
        arrived = self.arrived[channel_id]
        is_taken = self.rule.takes(arrived, self.now)
        if is_taken:
            arrived.append(self.now)
        else:
            self.refused.append(self.now)
            self.posts.on_rate_limit(channel_id, POST, self.now, 5.0)
        self.posts.on_end(channel_id, self.now)
        return is_taken

    def post_in_turn(self, channel_id: str, count: int) -> list[float]:
        """Makes so many posts as soon as each may go; returns when, rounded to seconds from the first."""
        began, times = self.now, list[float]()
        while len(times) < count:
            self.now = max(self.now, self.posts.free_at(channel_id, POST, self.now))
            if self.post(channel_id):
                times.append(self.now - began)
        return [round(at) for at in times]


@given(st.lists(st.tuples(st.sampled_from(["C1", "C2"]), st.floats(0, 3)), max_size=60))
def test_channel_that_takes_ten_posts_and_one_a_second_never_refuses_one(waits: list[tuple[str, float]]) -> None:
    slack = PostingSlack(GENEROUS)
    for channel_id, wait_s in waits:
        slack.now += wait_s
        slack.post(channel_id)
    assert slack.refused == []


@given(st.lists(st.tuples(st.sampled_from(["C1", "C2"]), st.floats(0, 1)), max_size=120))
@example([("C1", 0.0), *[("C1", 0.99)] * 4, *[("C2", 0.0)] * 5, ("C1", 0.98), ("C1", 0.0), ("C2", 0.0)])
@example(
    [
        *[("C2", 0.0), ("C2", 0.0), ("C1", 0.5625), ("C1", 0.375), ("C2", 0.5), ("C2", 0.5625), ("C2", 0.6875)],
        *[("C1", 0.625), ("C1", 0.6875), ("C1", 0.9375), ("C2", 0.0), ("C2", 0.0), ("C1", 1.0), ("C2", 0.0)],
        *[("C1", 1.0), ("C1", 1.0)],
    ]
)
def test_channel_that_takes_five_posts_in_five_seconds_refuses_one_post_in_all(waits: list[tuple[str, float]]) -> None:
    slack = PostingSlack(STRICT)
    for channel_id, wait_s in waits:
        slack.now += wait_s
        slack.post(channel_id)
    assert len(slack.refused) <= 1


def test_channel_takes_a_burst_at_once_and_then_a_post_a_second() -> None:
    slack = PostingSlack(GENEROUS, latency_s=0.0)
    assert slack.post_in_turn("C1", 13) == [*[0] * 10, 1, 2, 3]
    assert slack.post_in_turn("C2", 1) == [0], "channels don't share a burst"
    slack.now += 10
    assert slack.post_in_turn("C1", 10) == [0] * 10, "a burst comes back with time"


def test_burst_that_one_channel_refuses_is_tried_in_no_channel_for_an_hour() -> None:
    slack = PostingSlack(STRICT)
    assert slack.post_in_turn("C1", 12) == [*[0] * 5, *[5] * 5, *[10] * 2]
    assert slack.post_in_turn("C2", 12) == [*[0] * 5, *[5] * 5, *[10] * 2]
    assert len(slack.refused) == 1
    slack.now += LEARNED_FOR_S
    slack.post_in_turn("C2", 6)
    assert len(slack.refused) == 2


def test_fewer_posts_than_are_certain_are_learned_from_a_refusal() -> None:
    slack = PostingSlack(ChannelRule(3, in_window=True))
    assert slack.post_in_turn("C1", 4) == [0, 0, 0, 5]
    assert slack.post_in_turn("C2", 6) == [0, 0, 0, 3, 3, 3]
    assert len(slack.refused) == 1


def test_only_one_post_at_a_time_tries_a_longer_burst() -> None:
    posts = ChannelPosts()
    for channel_id in ("C1", "C2"):
        for _ in range(CERTAIN_POSTS):
            assert posts.free_at(channel_id, POST, 1.0) == 1.0
            posts.on_send(channel_id, 1.0)
    assert posts.free_at("C1", POST, 1.0) > 1.0, "the posts in flight may be refused"
    for _ in range(CERTAIN_POSTS):
        posts.on_end("C1", 1.0)
        posts.on_end("C2", 1.0)
    assert posts.free_at("C1", POST, 1.0) == 1.0
    posts.on_send("C1", 1.0)
    assert [posts.free_at(channel_id, POST, 1.0) for channel_id in ("C1", "C2", "C3")] == [1.25, 1.25, 1.0]
    posts.on_withdrawn("C1")
    assert posts.free_at("C2", POST, 1.0) == 1.0
    posts.on_send("C2", 1.0)
    posts.on_end("C2", 1.0)
    assert posts.free_at("C1", POST, 1.0) == 1.0
    posts.on_send("C1", 1.0)
    assert posts.free_at("C2", POST, 1.0) == 1.0, "six posts are certain now, so this isn't tried in C1"


@pytest.mark.parametrize("ends", ["withdrawn", "limited", "answered"])
def test_post_in_another_channel_ends_no_trial(ends: str) -> None:
    posts = ChannelPosts()
    for channel_id in ("C1", "C2"):
        for _ in range(CERTAIN_POSTS):
            posts.on_send(channel_id, 1.0)
            posts.on_end(channel_id, 1.0)
    posts.on_send("C1", 1.0)
    posts.on_send("C3", 1.0)
    if ends == "withdrawn":
        posts.on_withdrawn("C3")
    elif ends == "limited":
        posts.on_rate_limit("C3", POST, 1.0, 5.0)
    else:
        posts.on_end("C3", 1.0)
    assert posts.free_at("C2", POST, 1.0) == 1.25


def test_429_holds_back_its_method_in_its_channel_as_long_as_the_longest_says() -> None:
    posts = ChannelPosts()
    for retry_after_s in (7.0, 5.0):
        posts.on_send("C1", 1.0)
        assert not posts.on_rate_limit("C1", START, 1.0, retry_after_s)
        posts.on_end("C1", 1.0)
    assert [posts.free_at(*call, 1.0) for call in (("C1", START), ("C1", POST), ("C2", START))] == [8.0, 1.0, 1.0]


def test_429_is_the_workspaces_while_another_channel_is_refused() -> None:
    posts, answers = ChannelPosts(), []
    for channel_id, now in (("C1", 1.0), ("C1", 2.0), ("C2", 3.0), ("C3", 20.0)):
        posts.on_send(channel_id, now)
        answers.append(posts.on_rate_limit(channel_id, POST, now, 5.0))
        posts.on_end(channel_id, now)
    assert answers == [False, False, True, False]


def test_start_leaves_room_for_posts_that_are_kept() -> None:
    posts = ChannelPosts()
    for _ in range(POST_BURST - 2):
        posts.on_send("C1", 1.0)
        posts.on_end("C1", 1.0)
    assert [posts.free_at("C1", START, 1.0, kept) for kept in (0, 1, 2)] == [1.0, 1.0, 2.0]


def test_posts_of_other_processes_count_in_their_channel() -> None:
    posts = ChannelPosts()
    posts.on_send("C1", 50.0)
    posts.on_shared_calls("C1", 50.0, [1.0] * (POST_BURST - 1), denied=False)
    posts.on_end("C1", 50.0)
    assert posts.free_at("C1", POST, 50.0) == pytest.approx(51.0)
    posts.on_shared_calls("C1", 50.0, [], denied=True)
    assert posts.free_at("C1", POST, 50.0) == 50.25, "the database is asked again soon"
    posts.on_shared_calls("C1", 50.0, [], denied=False)
    assert posts.free_at("C1", POST, 50.0) == 50.0, "it has room again"


@given(st.lists(st.tuples(st.integers(0, 2), st.floats(0, 1)), max_size=120))
def test_processes_that_share_what_they_learn_are_refused_one_post_in_all(turns: list[tuple[int, float]]) -> None:
    """Each posts in a channel of its own, to a Slack that takes five posts in five seconds."""
    slack, processes = PostingSlack(STRICT), [ChannelPosts() for _ in range(3)]
    for number, wait_s in turns:
        slack.now += wait_s
        slack.posts = processes[number]
        newest = max((posts.learned for posts in processes), key=lambda learned: learned.learned_at)
        slack.posts.learn(newest, slack.now)
        slack.post(f"C{number}")
    assert len(slack.refused) <= 1


def test_burst_that_another_process_was_allowed_needs_no_trial() -> None:
    theirs, ours = PostingSlack(GENEROUS), ChannelPosts()
    theirs.post_in_turn("C1", POST_BURST)
    ours.learn(theirs.posts.learned, 200.0)
    for _ in range(POST_BURST):
        assert ours.free_at("C2", POST, 200.0) == 200.0
        ours.on_send("C2", 200.0)


@pytest.mark.parametrize(("last_at", "learned"), [(4.9, LearnedLimit(6, 4.9, -math.inf)), (4.97, None)])
def test_longer_burst_is_news_and_a_post_that_adds_nothing_is_none(
    last_at: float, learned: LearnedLimit | None
) -> None:
    """Six posts in 4.97 s may be five in five seconds."""
    posts = ChannelPosts()
    before = posts.learned
    for now in (0.0,) * CERTAIN_POSTS + (last_at,):
        assert posts.free_at("C1", POST, now) == now
        posts.on_send("C1", now)
        posts.on_end("C1", now)
    assert posts.learned == (learned or before)


@pytest.mark.parametrize(
    ("before", "learned"),
    [
        (0, LearnedLimit(CERTAIN_POSTS, 1.0, -math.inf)),
        (3, LearnedLimit(3, 1.0, 1.0 + LEARNED_FOR_S)),
        (CERTAIN_POSTS, LearnedLimit(CERTAIN_POSTS, 1.0, 1.0 + LEARNED_FOR_S)),
    ],
    ids=["not explained by our posts", "fewer than were certain", "a trial"],
)
def test_refusal_after_so_many_posts_teaches(before: int, learned: LearnedLimit) -> None:
    posts = ChannelPosts()
    for _ in range(before):
        posts.on_send("C1", 1.0)
        posts.on_end("C1", 1.0)
    posts.on_send("C1", 1.0)
    posts.on_rate_limit("C1", POST, 1.0, 5.0)
    assert posts.learned == learned


def test_shorter_burst_that_a_refusal_taught_is_exceeded_only_by_trials_after_an_hour() -> None:
    posts = ChannelPosts()
    posts.learn(LearnedLimit(3, learned_at=100.0, held_until=100.0 + LEARNED_FOR_S), 100.0)
    assert posts.rule(LEARNED_FOR_S) == PostRule(3, can_try_more=False)
    assert posts.rule(LEARNED_FOR_S + 100.0) == PostRule(3, can_try_more=True)


def test_channels_without_posts_in_the_last_minute_are_forgotten() -> None:
    posts = ChannelPosts()
    for number in range(1_000):
        posts.on_send(f"C{number}", float(number))
        posts.on_end(f"C{number}", float(number))
    assert len(posts._channels) <= WINDOW_S + 1
