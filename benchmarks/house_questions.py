"""Measures how many regressions 200 kept tests find, and how often the tests fail for an unchanged bot.

Run: python -m benchmarks.house_questions [--seed 1]

A scripted model words each answer differently and makes mistakes: it mentions numbers that aren't facts, and sometimes
leaves out a link, a call or a question back. The model's facts come from the prompt and from the results of five tools.
Its answers are kept with the preselected checks, as if a person only clicked *Keep*. The bot runs ten times unchanged,
and once with each of 20 regressions, such as a rule or facts cut from the prompt, a tool that is missing or finds
nothing, or another model. A regression is found if more tests fail than in each run of the unchanged bot.

The loop is the same as for real answers (bot/services/standalone.py). Exits with 1 if fewer than 18 regressions are
found, or if more than 5% of an unchanged bot's tests fail.
"""

import argparse
import asyncio
import random
import re
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bot.core.calls import CallResult, CallState, ToolUse
from bot.core.conversation import Question, ThreadKey
from bot.core.kept_tests import Check, proposed_checks
from bot.models.events import Completion, FinishReason, StreamEvent, ToolCall, Usage
from bot.models.prompt import OURS, READ_ONLY_RULE, OfferedTools, Prompt, ToolDefinition, ToolResult
from bot.services.kept_test_run import ask_until_ok
from bot.services.prompt_builder import PromptSettings
from bot.services.standalone import HISTORY_TOKENS, InMemory, InMemoryConversation, answer
from bot.store.replays import Given

MIN_FOUND, MAX_FALSE = 18, 0.05
UNCHANGED_RUNS = 10
TOOLS = ("leave", "expenses", "laptops", "travel", "offices")
TOPICS = 25
"""For each tool, and of each other kind of question."""
BRIEF, BACK, LINKS = "Answer in at most 30 words.", "If a city is missing, ask for it.", "Link to the page."
FACTS = [f"Policy {number} allows {100 + 7 * number} euros." for number in range(TOPICS)]
SYSTEM = "\n".join((BRIEF, BACK, LINKS, *FACTS))
_NUMBER = re.compile(r"(\w+) (\d+)\?")
_MODEL = "scripted/one"
_ASIDES = ("As of 2026,", "In 3 steps:", "Since 1 May,", "For all 12 teams,")
_FILLER = "Please also note that this may change, so it is best to look at the page again before you decide. "


@dataclass(frozen=True)
class Setup:
    """The bot and its model in one run."""

    system: str = SYSTEM
    tools: tuple[str, ...] = TOOLS
    empty: tuple[str, ...] = ()
    """The tools that find nothing."""
    habits: Mapping[str, float] = field(default_factory=dict)
    """The probabilities of mistakes, by name, that differ from the usual ones."""


USUAL = {"no link": 0.02, "no call": 0.02, "no question": 0.02, "wrong number": 0.01, "aside": 0.15, "long": 0.01}


def regressions() -> Mapping[str, Setup]:
    cuts = {rule: SYSTEM.replace(rule, "") for rule in (BRIEF, BACK, LINKS)}
    cuts |= {
        f"facts {part}": "\n".join((BRIEF, BACK, LINKS, *left)) for part, left in (("1", FACTS[6:]), ("2", FACTS[:-6]))
    }
    models = {"long": 0.5, "no call": 0.3, "no link": 0.3, "wrong number": 0.15, "no question": 0.7}
    return {
        **{f"prompt cut: {what}": Setup(system=system) for what, system in cuts.items()},
        **{f"tool gone: {tool}": Setup(tools=tuple(one for one in TOOLS if one != tool)) for tool in TOOLS},
        **{f"nothing found: {tool}": Setup(empty=(tool,)) for tool in TOOLS},
        **{f"other model: {habit}": Setup(habits={habit: often}) for habit, often in models.items()},
    }


def questions() -> Sequence[str]:
    kinds = (*TOOLS, "policy", "city", "nowhere")
    return [f"What about {kind} {number}?" for kind in kinds for number in range(TOPICS)]


@dataclass
class Documents:
    setup: Setup

    async def definitions(self, question: Question) -> OfferedTools:
        shown = {"type": "object", "properties": {"number": {"type": "integer"}}}, "a hash", OURS, READ_ONLY_RULE
        return OfferedTools(
            tuple(ToolDefinition(f"docs__{tool}", f"Searches {tool}.", *shown) for tool in self.setup.tools)
        )

    async def call(self, use: ToolUse) -> CallResult:
        tool, number = use.tool.removeprefix("docs__"), use.arguments["number"]
        if tool in self.setup.empty or number >= TOPICS:
            return CallResult(CallState.DONE, "No results.")
        amount = 1_000 + 13 * number + TOOLS.index(tool)
        return CallResult(CallState.DONE, f"{tool} {number}: {amount} euros, https://wiki.example/{tool}/{number}")


@dataclass
class WordingModel:
    """Answers from the prompt and from results, in other words each time."""

    setup: Setup
    random: random.Random
    model: str = _MODEL
    names: tuple[str, ...] = (_MODEL,)

    def starting_with(self, model: str | None, prompt: Prompt) -> "WordingModel":
        return self

    async def stream(self, prompt: Prompt) -> AsyncGenerator[StreamEvent, None]:
        asked = _NUMBER.findall(next(turn.text for turn in reversed(prompt.turns) if _NUMBER.search(turn.text)))[-1]
        kind, number = asked[0], int(asked[1])
        results = [part.text for turn in prompt.turns for part in turn.parts if isinstance(part, ToolResult)]
        result = results[0] if results else ""
        tool = "docs__leave" if kind == "nowhere" else f"docs__{kind}"
        offered = {one.name for one in prompt.tools}
        if not result and tool in offered and not self._slips("no call"):
            yield ToolCall(0, "call_1", tool, {"number": number + TOPICS if kind == "nowhere" else number})
            yield Completion(_MODEL, FinishReason.TOOLS, Usage(20, 2))
            return
        yield self._said(kind, number, prompt.system, result)
        yield Completion(_MODEL, FinishReason.STOP, Usage(20, 20))

    def _slips(self, habit: str) -> bool:
        return self.random.random() < self.setup.habits.get(habit, USUAL[habit])

    def _said(self, kind: str, number: int, system: str, result: str) -> str:
        choose = self.random.choice
        if kind == "city" and BACK in system and not self._slips("no question"):
            return choose(("Which city do you mean?", "Happy to help. What city is it for?", "In which city?"))
        known = re.search(
            rf"Policy {number} allows (\d+)" if kind == "policy" else r"(\d+) euros",
            system if kind == "policy" else result,
        )
        if known is None:
            text = choose(
                ("I couldn't find that.", "Sorry, I don't know.", "I found nothing about it.", "I can't find it.")
            )
        else:
            amount = int(known[1]) + (self._slips("wrong number") * 50)
            shown = choose((f"{amount:,}", f"{amount}", f"**{amount}**"))
            text = choose(
                ("It's {} euros.", "You get {} euros for it.", "The limit is {} euros.", "Up to {} euros are fine.")
            )
            text = text.format(shown)
        if self._slips("aside"):
            text = f"{choose(_ASIDES)} {text[0].lower()}{text[1:]}"
        link = re.search(r"https://[^\s'\"]+", result)
        if link and LINKS in system and not self._slips("no link"):
            text += choose((" See {}.", " Source: <{}>", " [The page]({}) has more.")).format(link[0])
        return text + " " + _FILLER * self.random.randint(2, 5) if BRIEF not in system or self._slips("long") else text


async def ask(text: str, setup: Setup, rng: random.Random) -> tuple[Given, InMemory]:
    records = InMemory()
    question = Question(ThreadKey("T1", "D1", None), "1.0", "UADA", text)
    told = PromptSettings(setup.system, HISTORY_TOKENS)
    models = WordingModel(setup, rng)
    said = await answer(question, InMemoryConversation(), models, Documents(setup), records=records, settings=told)
    tools = tuple(call.tool for step in records.steps for call in step.calls if call.state is CallState.DONE)
    return Given(said.text, said.end.reason, None, (), tools), records


async def failures(kept: Mapping[str, Sequence[Check]], setup: Setup, rng: random.Random) -> list[str]:
    failed = []
    for text, checks in kept.items():

        async def again(text: str = text) -> Given:
            return (await ask(text, setup, rng))[0]

        if (await ask_until_ok(again, checks))[1]:
            failed.append(text)
    return failed


async def keep(rng: random.Random) -> Mapping[str, Sequence[Check]]:
    """Returns the checks of each question. People keep only good answers."""
    kept, good = {}, replace(Setup(), habits=dict.fromkeys(USUAL, 0.0) | {"aside": USUAL["aside"]})
    for text in questions():
        given, records = await ask(text, good, rng)
        calls = [call for step in records.steps for call in step.calls]
        proposed, preselected = proposed_checks(given.text, calls)
        kept[text] = proposed[:preselected]
    return kept


async def measure(seed: int) -> tuple[float, int]:
    """Prints a line for each run. Returns the share of false alarms and the number of regressions that were found."""
    rng = random.Random(seed)
    kept = await keep(rng)
    unchanged = [len(await failures(kept, Setup(), rng)) for _ in range(UNCHANGED_RUNS)]
    share = sum(unchanged) / (UNCHANGED_RUNS * len(kept))
    print(f"{len(kept)} tests; failures of the unchanged bot: {unchanged}, {share:.1%}")
    found = 0
    for name, setup in regressions().items():
        failed = len(await failures(kept, setup, rng))
        found += failed > max(unchanged)
        print(f"{'found' if failed > max(unchanged) else 'MISSED':7}{failed:4} failed  {name}")
    print(f"{found} of {len(regressions())} regressions found")
    return share, found


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    share, found = asyncio.run(measure(parser.parse_args().seed))
    return int(found < MIN_FOUND or share > MAX_FALSE)


if __name__ == "__main__":
    sys.exit(main())
