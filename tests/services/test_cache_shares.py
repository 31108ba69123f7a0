"""How much of its prompts a vendor's cache can serve, of conversations as people have them, by each vendor's rule.

The prompts are those of PromptBuilder, and the requests those of the APIs. Whoever changes a prompt sees here what that
costs. A share is what is read of all input; what isn't read costs up to 1.25 times its price, and what is read a tenth.

`python -m tests.services.test_cache_shares` prints the shares of all cases, and what requests that think longer in a
mixed thread cost, by how the effort is sent.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from bot.core.beginnings import PrefixHash
from bot.core.calls import CallState, RecordedCall, Step
from bot.core.channels import Channel, ChannelType
from bot.core.conversation import Message, Question, RecordedReply, ThreadKey
from bot.core.job import Job
from bot.core.prompt import DEFAULT_SYSTEM_PROMPT
from bot.core.steps import items_of, with_steps
from bot.core.surfaces import AppContext, pane_context_line
from bot.models import anthropic, openai
from bot.models.api import Api
from bot.models.events import Opaque, ToolCall
from bot.models.parameters import WEB, EffortLevels, OptionalParameter
from bot.models.prompt import ASKERS, OURS, Effort, OfferedTools, Prompt, TokenEstimate, ToolDefinition
from bot.models.setup import RequestOptions
from bot.reply.answer import Answer
from bot.services.prompt_builder import PromptBuilder, PromptSettings
from bot.services.standalone import InMemoryConversation
from tests.clocks import InstantClock
from tests.contracts.cache_rules import (
    BYTES_PER_TOKEN,
    AnthropicRule,
    CacheRule,
    DeepSeekRule,
    OlderOpenAIRule,
    OpenAIRule,
    beginnings,
    blocks_of,
    tokens,
)
from tests.services.parts import ME

pytestmark = pytest.mark.wide

QUESTION_TOKENS, ANSWER_TOKENS, RESULT_TOKENS = 60, 250, 250
STEPS, THREADS, QUESTIONS = 8, 20, 10
OPTIONS = RequestOptions(max_output_tokens=16_384)
ASKED_AT = 1_764_000_000.0
PEOPLE = "UADA", "UGRACE", "UALAN"
MESSAGE_EFFORT = {OptionalParameter.MESSAGE_EFFORT}
NOBODY: Any = None


@dataclass(frozen=True)
class Vendor:
    api: Api
    rule: Callable[[], CacheRule]


AT_BEDROCK = anthropic.MessagesApi(NOBODY, OPTIONS, "bedrock")
AT_BEDROCK.caches_requests = False
AT_BEDROCK.optional_parameters -= WEB

VENDORS: Mapping[str, Vendor] = {
    "Anthropic": Vendor(anthropic.MessagesApi(NOBODY, OPTIONS), AnthropicRule),
    "Bedrock, Vertex": Vendor(AT_BEDROCK, AnthropicRule),
    "OpenAI >= 5.6": Vendor(openai.ResponsesApi(NOBODY, OPTIONS, "openai"), OpenAIRule),
    "OpenAI < 5.6": Vendor(openai.ResponsesApi(NOBODY, OPTIONS, "openai"), OlderOpenAIRule),
    "DeepSeek": Vendor(openai.ChatApi(NOBODY, OPTIONS, "openai", None), DeepSeekRule),
}


def text_of(count: int, about: object) -> str:
    """Returns a text of so many tokens that no other one begins with."""
    return f"{about}: ".ljust(count * BYTES_PER_TOKEN, "x")


def tools_of(count: int) -> tuple[ToolDefinition, ...]:
    schema = {"type": "object", "properties": {}}
    described = [text_of(count // 10 - 25, f"tool {number}") for number in range(10)]
    return tuple(
        ToolDefinition(f"srv__tool_{number}", text, schema, str(number), OURS) for number, text in enumerate(described)
    )


@dataclass
class Place:
    """A conversation in Slack with the bot, as Slack and the database have it."""

    thread: ThreadKey
    messages: list[Message] = field(default_factory=list)
    replies: dict[str, RecordedReply] = field(default_factory=dict)
    open_channel: str = ""

    @property
    def channel(self) -> Channel:
        return Channel(ChannelType.PUBLIC, f"channel-{self.thread.channel_id.lower()}", "Launches", "What we launch")

    def builder(self) -> PromptBuilder:
        facts = [pane_context_line(AppContext("C1"), self.open_channel.lower())] if self.open_channel else []
        names = {one: one.lower() for one in PEOPLE}
        conversation = InMemoryConversation(self.messages, self.replies, names, facts=facts, place=self.channel, me=ME)
        settings = PromptSettings(DEFAULT_SYSTEM_PROMPT, history_tokens=100_000)
        return PromptBuilder(conversation, settings, TokenEstimate(("openai/m",)), InstantClock())

    async def ask(self, at: float, words: str, tools: tuple[ToolDefinition, ...], user_id: str = "UADA") -> Prompt:
        """Returns the prompt of a question, which is answered."""
        ts = f"{at:.6f}"
        question = Question(self.thread, ts, user_id, words)
        self.messages.append(question.as_message())
        job = Job(len(self.messages), question, 1, asked_at=at)
        async with AsyncExitStack() as memory:
            built = await self.builder().build(Answer(job), memory, OfferedTools(tools), lambda _: None)
        answer = Message("T1", self.thread.channel_id, f"{at + 1:.6f}", "Shown.", user_id=ME.user_id, bot_id=ME.bot_id)
        self.messages.append(answer)
        said = text_of(ANSWER_TOKENS, f"answer {at}")
        self.replies[answer.ts] = RecordedReply(said, ASKERS, user_id, ts, built.note)
        return built.prompt


Requests = list[tuple[Prompt, Sequence[Step]]]


async def thread(tools: int = 0, first: int = QUESTION_TOKENS, *, pane: bool = False) -> Requests:
    """Returns the prompts of ten questions. `pane`: beside the last ones, another channel is open each time."""
    place = Place(ThreadKey("T1", "D1" if pane else "C1", f"{ASKED_AT:.6f}"))
    prompts = []
    for number in range(QUESTIONS):
        place.open_channel = f"C{number}" if pane else ""
        words = text_of(QUESTION_TOKENS if number else first, f"question {number}")
        prompts.append(await place.ask(ASKED_AT + 60 * number, words, tools_of(tools) if tools else ()))
    return [(prompt, ()) for prompt in prompts]


async def mixed_thread(first: int) -> Requests:
    """Returns the prompts of ten questions by three people. One of them has each answer think longer."""
    place = Place(ThreadKey("T1", "C1", f"{ASKED_AT:.6f}"))
    prompts = []
    for number in range(QUESTIONS):
        words = text_of(QUESTION_TOKENS if number else first, f"question {number}")
        asker = PEOPLE[number % len(PEOPLE)]
        prompts.append(await place.ask(ASKED_AT + 60 * number, words, (), asker))
        if asker == PEOPLE[-1]:
            prompts.append(replace(prompts[-1], effort=Effort.THOROUGH))
    return [(prompt, ()) for prompt in prompts]


async def threads(tools: int) -> Requests:
    """Returns the prompts of twenty threads of one question, each in another channel."""
    prompts = []
    for number in range(THREADS):
        at = ASKED_AT + 60 * number
        place = Place(ThreadKey("T1", f"C{number}", f"{at:.6f}"))
        prompts.append(await place.ask(at, text_of(QUESTION_TOKENS, f"question {number}"), tools_of(tools)))
    return [(prompt, ()) for prompt in prompts]


async def loop(calls: int) -> Requests:
    """Returns the prompts of an answer whose model takes eight steps with so many calls each, and then answers."""
    [(prompt, _)] = (await thread(tools=2_000))[:1]
    steps: list[Step] = []
    requests: Requests = [(prompt, ())]
    for step_no in range(STEPS):
        asked = [ToolCall(at, f"call_{step_no}_{at}", "srv__tool_0", {"query": f"{at}"}) for at in range(calls)]
        own = [
            Opaque("anthropic", {"type": "tool_use", "id": call.call_id, "name": call.name, "input": {}})
            for call in asked
        ]
        own = [Opaque("anthropic", {"type": "thinking", "thinking": "", "signature": text_of(50, step_no)}), *own]
        made = [
            RecordedCall(
                step_no,
                at,
                call.call_id,
                call.name,
                {},
                "0",
                CallState.DONE,
                result=text_of(RESULT_TOKENS, call.call_id),
            )
            for at, call in enumerate(asked)
        ]
        prefix_hash = str(PrefixHash(with_steps(prompt, steps, (), ME.user_id)))
        steps.append(Step(step_no, 0, items_of([*own, *asked]), "m", tuple(made), ASKERS, prefix_hash=prefix_hash))
        requests.append((prompt, tuple(steps)))
    return requests


CASES: Mapping[str, tuple[Callable[[], Any], int]] = {
    "10 questions, no tools": (thread, 75),
    "first message of 2,000 tokens": (lambda: thread(first=2_000), 86),
    "tools of 10,000": (lambda: thread(tools=10_000), 89),
    "the same, another channel beside the pane each time": (lambda: thread(tools=10_000, pane=True), 89),
    "tool loop, 8 steps of 1 call": (lambda: loop(1), 83),
    "8 steps of 4 calls": (lambda: loop(4), 81),
    "8 steps of 12 calls": (lambda: loop(12), 80),
    "20 threads of one question, tools of 10,000": (lambda: threads(10_000), 92),
    "three people, one of whom presses Think longer": (lambda: mixed_thread(10_000), 85),
}
"""Each with the share that a cache could serve, in percent."""
IN_REQUESTS = "Bedrock, Vertex", "OpenAI < 5.6"
"""They don't take the effort in a message, so their requests have it, and a cache keeps each level by itself."""
LESS = {
    # DeepSeek finds what two requests have in common from the third one on.
    ("20 threads of one question, tools of 10,000", "DeepSeek"): 89,
    **{("three people, one of whom presses Think longer", name): 76 for name in IN_REQUESTS},
}
BELOW = 3
"""How many points a share may be below that."""


def read_and_sent(
    vendor: Vendor, requests: Requests, parameters: Collection[OptionalParameter] | None = None
) -> list[tuple[int, int]]:
    """Returns how many tokens of each request are read, and how many it has. `parameters`: None means all."""
    rule, found = vendor.rule(), []
    parameters = vendor.api.optional_parameters if parameters is None else parameters
    for prompt, steps in requests:
        sent, level = with_steps(prompt, steps, (), ME.user_id), EffortLevels().level(prompt.effort)
        body = vendor.api.body("m", sent, parameters, 16_384, level)
        found.append((rule.read(body), tokens(beginnings(blocks_of(body))[-1])))
    return found


def share(name: str, requests: Requests) -> float:
    """Returns the share that is read of all input of these requests, in percent."""
    parameters = VENDORS[name].api.optional_parameters - (MESSAGE_EFFORT if name in IN_REQUESTS else set())
    read, sent = map(sum, zip(*read_and_sent(VENDORS[name], requests, parameters), strict=True))
    return 100 * read / sent


def think_longer_costs(name: str, requests: Requests) -> list[str]:
    """Returns, by how the effort is sent, the cost of those requests that think longer, as uncached input tokens."""
    vendor, lines = VENDORS[name], []
    everything = vendor.api.optional_parameters
    for how, parameters in (("request", everything - MESSAGE_EFFORT), ("message", everything | MESSAGE_EFFORT)):
        found = read_and_sent(vendor, requests, parameters)
        costs = [
            1.25 * (sent - read) + 0.1 * read
            for (prompt, _), (read, sent) in zip(requests, found, strict=True)
            if prompt.effort is Effort.THOROUGH
        ]
        all_of_it = 100 * sum(read for read, _ in found) / sum(sent for _, sent in found)
        numbers = ", ".join(f"{cost:,.0f}" for cost in costs)
        lines.append(f"{name}, effort in the {how}: {numbers} tokens; {all_of_it:.0f}% of the thread read")
    return lines


@pytest.mark.long
async def test_caches_serve_what_a_prompt_repeats() -> None:
    table, fallen = await table_of_shares()
    assert not fallen, f"shares of input that a cache serves, in percent:\n{table}"


async def table_of_shares() -> tuple[str, int]:
    """Returns the shares of all cases and vendors, and how many of them are too low."""
    lines = [f"{'':54}could  {'  '.join(f'{name:>15}' for name in VENDORS)}"]
    fallen = 0
    for case, (requests_of, could) in CASES.items():
        requests = await requests_of()
        shares = {name: share(name, requests) for name in VENDORS}
        low = {name for name, found in shares.items() if found < LESS.get((case, name), could) - BELOW}
        cells = [f"{found:14.0f}{'!' if name in low else ' '}" for name, found in shares.items()]
        lines.append(f"{case:54}{could:5}  {'  '.join(cells)}")
        fallen += len(low)
    return "\n".join(lines), fallen


@pytest.mark.parametrize("case", [case for case in CASES if "threads" not in case and "Think" not in case])
@pytest.mark.long(after_row=3)
async def test_each_prompt_begins_with_the_bytes_of_the_one_before(case: str) -> None:
    """That is the bar for caches that find a beginning only where an earlier request ended."""
    requests = await CASES[case][0]()
    for vendor in VENDORS.values():
        before = ""
        for prompt, steps in requests:
            sent = with_steps(prompt, steps, (), ME.user_id)
            [*_, text] = beginnings(blocks_of(vendor.api.body("m", sent, vendor.api.optional_parameters, 16_384)))
            assert text.startswith(before)
            before = text


@pytest.mark.parametrize("name", ["Anthropic", "OpenAI >= 5.6"])
async def test_thinking_longer_reads_what_others_have_left_in_the_cache(name: str) -> None:
    requests = await mixed_thread(2_000)
    for (prompt, _), (read, sent) in zip(requests, read_and_sent(VENDORS[name], requests), strict=True):
        if prompt.effort is Effort.THOROUGH:
            assert read > 0.85 * sent


async def _print_figures() -> None:
    lines, requests = [(await table_of_shares())[0]], await mixed_thread(10_000)
    for name in ("Anthropic", "OpenAI >= 5.6"):
        lines += think_longer_costs(name, requests)
    print("\n".join(lines))  # noqa: T201


if __name__ == "__main__":
    asyncio.run(_print_figures())
