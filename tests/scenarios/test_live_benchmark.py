"""What benchmarks.live counts as seen: edits, native streams, statuses, and ends that are posted again."""

import math
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from benchmarks import live
from benchmarks.freshness import Lags, ShownWords, lags
from benchmarks.readers import Place, Readers
from bot.core.actions import ReplyAction
from bot.slack import blockkit
from slack_sandbox.server import Sandbox
from tests.clocks import ManualClock
from tests.scenarios.conftest import manifest

GENERAL = "C0GENERAL"
WORDS = 4
TEXT = [f"w{number} " for number in range(1, WORDS + 1)]


class QuestionThread:
    """A question's thread, in which a test plays the app and lets time pass, and the times of its model's words."""

    def __init__(self, sandbox: Sandbox, readers: Readers, place: Place, clock: ManualClock) -> None:
        self.web = AsyncWebClient(token=sandbox.bot_token, base_url=sandbox.api_url)
        self.team_id = sandbox.team_id
        self.channel, self.ts = self.place = place
        self.clock = clock
        self._readers, self._asked_at_s = readers, clock.now_s
        self.sent_at_s: list[float] = []

    def model_sends(self, words: int) -> None:
        self.sent_at_s += [self.clock.now_s] * words

    async def post(self, text: str) -> str:
        return str((await self.web.chat_postMessage(channel=self.channel, thread_ts=self.ts, text=text))["ts"])

    async def update(self, ts: str, text: str) -> None:
        await self.web.chat_update(channel=self.channel, ts=ts, text=text)

    def lags(self) -> Lags:
        readers, place = self._readers, self.place
        sign_at_s = readers.sign_at_s.get(place, math.inf)
        return lags(self._asked_at_s, self.sent_at_s, readers.histories[place], sign_at_s, readers.stops[place])


async def asked(sandbox: Sandbox, clock: ManualClock) -> QuestionThread:
    readers = Readers(sandbox.workspace)
    return QuestionThread(sandbox, readers, (GENERAL, await sandbox.say("ada", GENERAL, "why?")), clock)


@pytest.fixture
async def thread() -> AsyncIterator[QuestionThread]:
    clock = ManualClock(0.0)
    async with Sandbox(manifest=manifest("manifest.agent.json"), monotonic=clock.monotonic) as sandbox:
        yield await asked(sandbox, clock)


async def test_edited_answer(thread: QuestionThread) -> None:
    ts = await thread.post("Thinking…")
    thread.model_sends(2)
    thread.clock.now_s += 0.1
    await thread.update(ts, "w1 w2")
    thread.model_sends(2)
    await thread.update(ts, "w1 w2 w3 w4")
    figures = thread.lags()
    assert figures.complete
    assert 0.1 <= figures.first_word_s < 0.5
    assert 0 <= figures.final_s < 0.4
    assert figures.doubled_s == 0


async def test_stream_that_grows_by_appends(thread: QuestionThread) -> None:
    started = await thread.web.chat_startStream(
        channel=GENERAL, thread_ts=thread.ts, recipient_user_id="U0ADA", recipient_team_id=thread.team_id
    )
    for word in TEXT:
        thread.model_sends(1)
        thread.clock.now_s += 0.1
        await thread.web.chat_appendStream(channel=GENERAL, ts=started["ts"], markdown_text=word)
    stale_s = thread.lags().staleness_s
    await thread.web.chat_stopStream(channel=GENERAL, ts=started["ts"])
    figures = thread.lags()
    assert figures.complete
    assert 0 < figures.staleness_s == stale_s < 0.4, "each append counts, and the stop shows no more words"


async def test_status_counts_as_a_placeholder_and_not_as_first_words(thread: QuestionThread) -> None:
    await thread.web.assistant_threads_setStatus(channel_id=GENERAL, thread_ts=thread.ts, status="is thinking…")
    thread.clock.now_s += 0.3
    thread.model_sends(WORDS)
    thread.clock.now_s += 0.2
    await thread.post("".join(TEXT))
    figures = thread.lags()
    assert figures.placeholder_s < 0.3
    assert figures.first_word_s >= 0.2


async def test_end_that_is_posted_again_is_seen_at_once_and_whole_after_the_deletion(thread: QuestionThread) -> None:
    ts = await thread.post("w1 w2")
    thread.model_sends(WORDS)
    await thread.post("".join(TEXT))
    doubled = thread.lags()
    assert not doubled.complete
    assert doubled.staleness_s < 0.4, "readers have all words, although some twice"
    thread.clock.now_s += 0.3
    await thread.web.chat_delete(channel=GENERAL, ts=ts)
    figures = thread.lags()
    assert figures.complete
    assert figures.final_s < 0.3
    assert figures.doubled_s >= 0.3


async def stop_by_a_button(thread: QuestionThread, ts: str) -> None:
    blocks = [blockkit.markdown("w1"), blockkit.actions([blockkit.button(ReplyAction.STOP, "Stop")])]
    await thread.web.chat_update(channel=GENERAL, ts=ts, text="w1", blocks=blocks)


async def stop_by_a_status(thread: QuestionThread, ts: str) -> None:
    status = "is writing… Reply “stop” to stop me"
    await thread.web.assistant_threads_setStatus(channel_id=GENERAL, thread_ts=thread.ts, status=status)


async def stop_by_slack(thread: QuestionThread, ts: str) -> None:
    await thread.web.agents_sessions_setStatus(channel_id=GENERAL, thread_ts=thread.ts, status="processing")


@pytest.mark.parametrize("shows_stop", [stop_by_a_button, stop_by_a_status, stop_by_slack])
async def test_time_without_a_way_to_stop_the_answer_ends_with_a_button_a_status_or_slacks_own(
    thread: QuestionThread, shows_stop: Callable[[QuestionThread, str], Awaitable[None]]
) -> None:
    thread.model_sends(WORDS)
    ts = await thread.post("w1")
    thread.clock.now_s += 0.2
    await shows_stop(thread, ts)
    thread.clock.now_s += 0.3
    await thread.update(ts, "".join(TEXT))
    assert 0.2 <= thread.lags().unstoppable_s < 0.4


@pytest.mark.parametrize(
    "texts", [["w1 w2 w3"], ["w1 w2 w4 w3"], ["w1 w2 w3 w4", "w4"], ["w1 w2 w3 w4", "w1 w2 w3 w4"]]
)
async def test_answer_that_is_not_whole_and_once_is_broken(thread: QuestionThread, texts: list[str]) -> None:
    thread.model_sends(WORDS)
    for text in texts:
        await thread.post(text)
    assert not thread.lags().complete


def test_answer_in_two_messages_is_read_as_far_as_it_has_no_gap() -> None:
    history = [ShownWords(1.0, "1", (1, 2)), ShownWords(3.0, "2", (3, 4))]
    figures = lags(0.0, [0.0, 0.0, 0.0, 0.0], history)
    assert (figures.first_word_s, figures.final_s) == (1.0, 3.0)
    assert figures.staleness_s == pytest.approx((0.5 + 4.0) / 3)


def measured(answers: list[Lags], limited: Counter[str]) -> live.LiveResult:
    return live.LiveResult(answers, limited, Counter(), len(answers), len(answers), 0.1, 1)


def test_missed_targets_and_rate_limits_are_listed() -> None:
    slow = Lags(0.2, 0.6, 1.3, 0.2, 0.0, complete=True)
    result = measured([slow] * 8, Counter({"chat.update": 2}))
    assert live.misses(live.rows(1)["8"], "auto", "generous", result) == [
        "8, generous posts, auto: first p95 is 0.60, 100% over its target of 0.3",
        "8, generous posts, auto: stale is 1.30, 100% over its target of 0.65",
        "8, generous posts, auto: 2 calls of chat.update got 429; none may",
    ]


def test_strict_rule_for_posts_may_cost_a_few_429s_of_posts() -> None:
    row, on_time = live.rows(1)["one-channel"], Lags(0.4, 8.0, 9.5, 0.2, 0.0, complete=True)
    one, two = Counter({"chat.startStream": 1}), Counter({"chat.startStream": 1, "chat.postMessage": 1})
    assert live.misses(row, "auto", "strict", measured([on_time] * 20, one)) == []
    assert live.misses(row, "auto", "strict", measured([on_time] * 20, two)) == [
        "one-channel, strict posts, auto: 2 posts got 429; at most 1 may"
    ]


def test_further_messages_for_an_answer_are_a_miss() -> None:
    on_time = Lags(0.1, 0.1, 0.1, 0.1, 0.0, complete=True)
    result = replace(measured([on_time] * 20, Counter()), messages=30)
    [missed] = live.misses(live.rows(1)["20"], "auto", "strict", result)
    assert missed == "20, strict posts, auto: messages is 1.50, 50% over its target of 1"
