"""Compares LiveMessage with bots that edit each message on a timer, in simulated time.

Run: python -m slack_pacing.benchmarks.simulation. Exits with 1 if LiveMessage gets a 429, or takes longer than 1 s to
show the end of an answer.

Each answer begins after 0.3 s and grows by 40 words a second for 15 s. Slack accepts 50 edits in any 60 s. `timer`
edits each message every 0.5 s, like the fallback of vercel/chat (packages/chat/src/thread.ts at 03ad24a5, read on
2026-11-30), and after a 429 waits as long as Slack asks, like Slack's SDKs. `slow timer` edits every 3 s.

staleness: the mean age of the oldest word that isn't shown yet, averaged over an answer's life and then over all
answers.
first, final: the delays of the first word and of the complete answer (95th percentile).
"""

import asyncio
import statistics
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import pairwise

from slack_pacing.budget import RateBudget
from slack_pacing.live import LiveMessage
from slack_pacing.tests.edited_messages import EditedMessages, RateLimited, time_s
from slack_pacing.tests.simulated_time import SimulatedClock, run_simulated

THINK_S, WORDS, WORDS_PER_S = 0.3, 600, 40.0
COUNTS = (1, 3, 8, 20)
MAX_FINAL_S = 1.0
TIMER_S, SLOW_TIMER_S = 0.5, 3.0

Answer = Callable[[EditedMessages, int], Awaitable[None]]
"""Shows the answer with this number in the message with this number."""


def words_at(age_s: float) -> int:
    """Returns how many words the model has written by an answer's age."""
    return max(0, min(WORDS, int((age_s - THINK_S) * WORDS_PER_S + 1e-9)))


def timer(interval_s: float) -> Answer:
    async def answer(slack: EditedMessages, message: int) -> None:
        asked_s, shown = time_s(), 0
        while shown < WORDS:
            await asyncio.sleep(interval_s)
            words = words_at(time_s() - asked_s)
            if words == shown:
                continue
            try:
                await slack.edit(message, str(words))
                shown = words
            except RateLimited as error:
                await asyncio.sleep(error.retry_after_s)

    return answer


def paced() -> Answer:
    budget = RateBudget(clock=SimulatedClock())

    async def answer(slack: EditedMessages, message: int) -> None:
        asked_s = time_s()

        async def show(text: str, is_growing: bool) -> None:
            await slack.edit(message, text)

        async with LiveMessage(budget, show) as live:
            while (words := words_at(time_s() - asked_s)) < WORDS:
                if words:
                    live.write(str(words))
                await asyncio.sleep(1 / WORDS_PER_S)
            live.write(str(WORDS))

    return answer


@dataclass(frozen=True)
class Figures:
    staleness_s: float
    first_s: float
    final_s: float
    refused: int


def figures_of(slack: EditedMessages) -> Figures:
    answers = [[(at, int(text)) for at, text in shown] for shown in slack.shown.values()]
    firsts = [shown[0][0] - THINK_S for shown in answers]
    finals = [shown[-1][0] - THINK_S - WORDS / WORDS_PER_S for shown in answers]
    return Figures(
        statistics.mean(staleness_s(shown) for shown in answers), percentile(firsts), percentile(finals), slack.refused
    )


def staleness_s(shown: list[tuple[float, int]]) -> float:
    """Returns the mean staleness of an answer to a question asked at 0. `shown`: the times, and how many words were
    shown then."""
    area = 0.0
    for (from_s, words), (until_s, _) in pairwise([(THINK_S, 0), *shown]):
        written_s = THINK_S + words / WORDS_PER_S
        area += max(0.0, (until_s - written_s) ** 2 - max(0.0, from_s - written_s) ** 2) / 2
    return area / (shown[-1][0] - THINK_S)


def percentile(values: list[float]) -> float:
    return sorted(values)[max(0, -(-95 * len(values) // 100) - 1)]


def simulate(new: Callable[[], Answer], count: int) -> Figures:
    slack = EditedMessages()

    async def all_answers() -> None:
        answer = new()
        await asyncio.gather(*(answer(slack, number) for number in range(count)))

    run_simulated(all_answers())
    return figures_of(slack)


def main() -> int:
    rules: dict[str, Callable[[], Answer]] = {
        "timer": lambda: timer(TIMER_S),
        "slow timer": lambda: timer(SLOW_TIMER_S),
        "LiveMessage": paced,
    }
    missed = False
    print(f"{'at once':>7}  {'rule':11}  {'staleness':>9}  {'first':>6}  {'final':>6}  429s")
    for count in COUNTS:
        for name, new in rules.items():
            found = simulate(new, count)
            print(
                f"{count:7}  {name:11}  {found.staleness_s:9.2f}  {found.first_s:6.2f}  {found.final_s:6.2f}"
                f"  {found.refused:4}"
            )
            missed = missed or (name == "LiveMessage" and (found.refused > 0 or found.final_s > MAX_FINAL_S))
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
