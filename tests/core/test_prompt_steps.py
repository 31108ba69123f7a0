"""History is dropped in steps: prompts of a growing conversation begin alike, as vendors' caches need it."""

import random
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.conversation import ThreadKey, Turn
from bot.core.inbound import prompt as prompts
from bot.core.inbound.prompt import MESSAGES_OMITTED, Conversation, PromptMessage
from bot.core.trust import ASKERS, OURS
from tests.core.conversations import ME, message, question

TURNS = 120


def conversation(seed: int) -> list[PromptMessage]:
    """Returns one person's short questions, each with an answer of about 1,500 characters."""
    chance = random.Random(seed)
    messages = []
    for turn in range(TURNS):
        question_chars, answer_chars = chance.lognormvariate(4.6, 1.0), chance.lognormvariate(7.3, 0.7)
        messages.append(PromptMessage("UADA", f"q{turn} " + "x" * int(question_chars), ts=f"{2 * turn}.0"))
        messages.append(PromptMessage(None, f"a{turn} " + "y" * int(answer_chars), ts=f"{2 * turn + 1}.0"))
    return messages


def read_back(messages: list[PromptMessage], look_back: int | None) -> list[PromptMessage]:
    """Returns a whole thread, or the newest messages of a direct message. The last message is the question."""
    if look_back is None:
        return [replace(messages[0], first=True), *messages[1:]]
    newest = messages[-look_back - 1 :]
    return [replace(newest[0], after_gap=True), *newest[1:]] if len(newest) < len(messages) else newest


def turns_of(messages: list[PromptMessage], bytes_per_token: float, limit: int = 16_000) -> tuple[Turn, ...]:
    truncated = prompts.truncate(messages, lambda text: int(len(text) / bytes_per_token) + 4, limit)
    return prompts.build_prompt("be brief", truncated).turns


@pytest.mark.parametrize(
    ("look_back", "limit"),
    [(None, 16_000), (60, 16_000), (60, 100_000)],
    ids=["thread", "direct message", "direct message whose newest messages all fit"],
)
@pytest.mark.parametrize("learning", [0.0, 0.3], ids=["exact", "estimates that change"])
def test_most_prompts_begin_like_the_one_before(look_back: int | None, limit: int, learning: float) -> None:
    same = []
    for seed in range(5):
        messages, chance = conversation(seed), random.Random(seed)
        histories = [read_back(messages[: 2 * turn + 1], look_back) for turn in range(1, TURNS)]
        turns = [turns_of(history, 3.0 + learning * chance.random(), limit) for history in histories]
        trimmed = [pair for pair in pairwise(turns) if any(MESSAGES_OMITTED in turn.text for turn in pair[1][:3])]
        same += [after[: len(before)] == before for before, after in trimmed]
    # Measured: 79%, 79% and 82%. If only the newest that fit were kept: 31%, 31% and 0%.
    assert len(same) > 250
    assert sum(same) / len(same) > 0.7


@given(st.integers(0, 30), st.integers(2, TURNS), st.integers(300, 6_000))
def test_at_most_a_third_more_than_necessary_is_left_out(seed: int, turns: int, limit: int) -> None:
    messages = conversation(seed)[: 2 * turns + 1]
    truncated = prompts.truncate(messages, len, limit)
    assert [message.text for message in truncated[1:]] == [
        message.text for message in messages[len(messages) - len(truncated) + 1 :]
    ]
    before = messages[len(messages) - len(truncated) - 1 : len(messages) - len(truncated)]
    chars = sum(len(message.text) for message in truncated)
    longest = max(len(message.text) for message in messages)
    assert chars <= limit
    assert not before or chars + longest + len(MESSAGES_OMITTED) >= limit - limit // 3 - longest


@given(st.integers(0, 30), st.integers(30, TURNS), st.integers(0, 40))
def test_prompt_does_not_depend_on_how_far_back_the_history_was_read(seed: int, turns: int, cut: int) -> None:
    messages = conversation(seed)[: 2 * turns + 1]
    whole = prompts.truncate(messages, len, 12_000)
    longest = sum(len(message.text) for message in messages[cut:])
    if longest > 12_000:
        part = [replace(messages[cut], after_gap=True), *messages[cut + 1 :]]
        assert [message.text for message in prompts.truncate(part, len, 12_000)] == [message.text for message in whole]


def test_question_of_a_continued_answer_is_never_left_out() -> None:
    for number in range(50):
        messages = [PromptMessage(None, "z" * 500, ts=f"{number}.0"), PromptMessage("UADA", "why?", ts=f"{number}.1")]
        truncated = prompts.truncate(prompts.with_continuation(messages, "so far " * 80, ASKERS), len, 1_000)
        assert "why?" in [message.text for message in truncated]


def test_answer_so_far_keeps_the_origins_that_are_on_record() -> None:
    so_far, request = prompts.with_continuation([], "So far.", ASKERS)
    assert (so_far.origins, request.origins) == (ASKERS, OURS)


def test_questions_that_wait_for_the_answer_stay_although_earlier_messages_were_not_read() -> None:
    for number in range(10, 60):
        waiting = [f"{number}.{at}" for at in range(4)]
        last = question("and?", ts=f"{number}.9", thread_ts="1.0")
        read = [replace(last.as_message(), after_gap=True), *(message(f"why {ts}?", ts=ts) for ts in waiting)]
        messages = prompts.prompt_messages(Conversation(last, read, {}, waiting), ME)
        assert [sent.ts for sent in prompts.truncate(messages, len, 1_000)] == [*waiting, last.ts]


def test_long_first_message_is_cut_the_same_from_turn_to_turn() -> None:
    first = PromptMessage("UADA", "log " * 30_000, first=True, ts="1.0")
    lengths = []
    for turn in range(3, 30):
        messages = [first, *conversation(1)[2 : 2 * turn + 1]]
        lengths.append(len(prompts.truncate(messages, len, 48_000)[0].text))
    assert sum(before == after for before, after in pairwise(lengths)) >= len(lengths) - 5


def test_cache_key_belongs_to_the_conversation_and_contains_no_id() -> None:
    thread = ThreadKey("T0SECRET", "C0SECRET", "1700000000.000100")
    key = prompts.cache_key(thread)
    assert key == prompts.cache_key(ThreadKey("T0SECRET", "C0SECRET", "1700000000.000100"))
    assert key != prompts.cache_key(ThreadKey("T0SECRET", "C0SECRET", None))
    assert len(key) == 32
    assert not any(id_ in key for id_ in ("T0SECRET", "C0SECRET", "1700000000"))
