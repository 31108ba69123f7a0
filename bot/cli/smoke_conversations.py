"""The conversations of `typist smoke`: real models answer in memory, with the loop that answers in Slack.

Each answer's price is estimated first. Questions whose answers might exceed the limit aren't asked.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

from bot.checks.report import CheckStatus, Finding
from bot.core.calls import CallResult, CallState, Decision, ToolUse, result_for_model
from bot.core.conversation import File, Message, Question, RecordedReply, ThreadKey
from bot.core.files import OpenedFile, unread_notice
from bot.core.job import Checkpoint, End, Job
from bot.core.steps import starting_text
from bot.core.triage import Identity
from bot.errors import CapReached, EndReason, ProviderError
from bot.models.events import Completion, FinishReason, Usage
from bot.models.prices import ModelPrices
from bot.models.prompt import OURS, Effort, OfferedTools, Permission, ToolDefinition, ToolRule
from bot.models.registry import VENDORS, open_models, vendor_settings
from bot.models.setup import ModelSetup
from bot.services.answer_attempt import GivenUp, Phase
from bot.services.ports import Tools
from bot.services.prompt_builder import PromptSettings
from bot.services.standalone import (
    HISTORY_TOKENS,
    CollectedText,
    InMemory,
    InMemoryConversation,
    StandaloneAnswer,
    answer,
)
from bot.slack.files import FileContents

WITHIN_S = 300.0
"""Time limit for a conversation, including waits for an overloaded vendor."""
OUTPUT_TOKENS = 500
"""Assumed output and thinking tokens per request, for the price estimate."""
ME = Identity("TSMOKE", "UTYPIST", "BTYPIST", "Typist")
EMPTY = InMemoryConversation(me=ME)
CHANNEL, ASKER = "CSMOKE", "UADA"
SHELVES = 350
"""Length of a list that takes about 5,000 tokens, because some models cache nothing below 4,096."""
READ_SHARE = 0.5
"""Minimum share of a repeated prompt that must be read from the cache. Vendors count cached tokens in steps."""
NUMBERS = 90
CUT_CHARS = 500
"""The length at which an answer is cut off. Shorter answers would restart (core/steps.py)."""
FILES = Path(__file__).with_name("smoke_files")
"""A folder with an image of a red square, and a PDF with the line `The code is 4711.`"""
CODE, NOTE_NUMBER = "4711", "7319"
_NOTE = ToolDefinition(
    "smoke__note",
    "Notes down a text, and returns the number of the note.",
    {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
    "1",
    OURS,
)
_LONG_SCHEMA = {
    "type": "object",
    "properties": {f"field_{n}": {"type": "string", "description": "Text." * 4} for n in range(24)},
}
_OTHER_TOOLS = tuple(
    ToolDefinition(f"smoke__{verb}_{noun}", f"{verb.title()}s a {noun}.", _LONG_SCHEMA, f"{verb} {noun}", OURS)
    for verb in ("create", "rename", "share", "list", "delete")
    for noun in ("invoice", "meeting", "contract", "shipment", "budget", "ticket")
)
"""Enough tools that OpenAI and Claude search for the right one instead of reading all definitions."""


@dataclass(frozen=True, slots=True)
class SmokeResult:
    model: str
    conversation: str
    status: CheckStatus
    message: str
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    usd: float
    seconds: float

    def lines(self) -> list[str]:
        read = f", {self.cached_input_tokens:,} of them from the cache" if self.cached_input_tokens else ""
        used = f"{self.input_tokens:,} tokens in{read}, {self.output_tokens:,} out · ${self.usd:.4f}"
        spent = f" · {used} · {self.seconds:.1f} s" if self.input_tokens else ""
        fix = "See Nightly model tests in Typist's docs (operate.md)." if self.status is CheckStatus.FAIL else ""
        return Finding(self.status, f"{self.model} {self.conversation}: {self.message}{spent}", fix).lines()


class _ConversationFailed(Exception):
    """A conversation failed. The exception's text is shown to the person who runs the command."""


def _expect(is_right: bool, message: str) -> None:
    if not is_right:
        raise _ConversationFailed(message)


@dataclass(eq=False)
class _Conversation:
    """One conversation with a model, and the total usage of its answers. The model is opened again for every answer, so
    an answer doesn't depend on anything that was learned about the model earlier."""

    setup: ModelSetup
    prices: ModelPrices
    system_prompt: str
    remaining_usd: float
    started_at: float = field(default_factory=time.time)
    """The first message's time in seconds since the epoch, which identifies the conversation's thread."""
    usage: Usage = field(default_factory=Usage)
    usd: float = 0.0
    requests: int = 1

    def price_usd(self, usage: Usage, answering_model: str | None = None) -> float:
        """Returns the price of usage. Raises CapReached for an unknown price, because no limit could be enforced."""
        [model] = self.setup.models
        model = answering_model or model
        usd = self.prices.cost_usd(model, usage, time.time())
        if usd is None:
            raise CapReached(
                f"Skipped: {model} has no price, so the limit can't be enforced. Add a price to the BOT_PRICES file; "
                "for your own server, it can be 0."
            )
        return usd

    def cost_usd(self, end: End) -> float:
        return self.price_usd(end.usage or Usage(), end.model)

    async def reserve(self, job: Job, input_tokens: int, web_searches: int = 0, effort: Effort = Effort.NORMAL) -> None:
        """Raises CapReached if the conversation's remaining requests might cost more than the remaining budget."""
        usd = self.requests * self.price_usd(Usage(input_tokens, OUTPUT_TOKENS, cache_write_tokens=input_tokens))
        if usd > self.remaining_usd:
            remaining_usd = max(0.0, self.remaining_usd)
            raise CapReached(
                f"Skipped: this might cost ${usd:.4f}, and the limit leaves ${remaining_usd:.4f}. Raise --limit."
            )

    def question(self, text: str, after_s: float = 0.0, files: tuple[File, ...] = ()) -> Question:
        thread = ThreadKey(ME.team_id, CHANNEL, f"{self.started_at:.6f}")
        return Question(thread, f"{self.started_at + after_s:.6f}", ASKER, f"<@{ME.user_id}> {text}", files)

    async def answer(
        self,
        asked: Question | Job,
        conversation: InMemoryConversation = EMPTY,
        tools: Tools | None = None,
        *,
        requests: int = 1,
        **ports: Any,
    ) -> tuple[StandaloneAnswer, Completion]:
        """Returns an answer, and how its last request ended. Raises CapReached and ProviderError. `requests`: the
        number of requests that the conversation still needs. `ports`: the records and the output to use instead of the
        defaults."""
        self.requests, settings = requests, PromptSettings(self.system_prompt, HISTORY_TOKENS)
        async with open_models(self.setup) as models:
            answered = await answer(asked, conversation, models, tools, spending=self, settings=settings, **ports)
        self.usage, self.usd = self.usage + answered.used.usage, self.usd + (answered.used.usd or 0.0)
        answered.raise_for_error()
        return answered, answered.completion or Completion(self.setup.models[0], FinishReason.PAUSED, None)


async def _words(talk: _Conversation) -> str:
    answered, end = await talk.answer(talk.question("What is 17 plus 25? Write only the number."))
    is_right = "42" in answered.text and end.finish_reason is FinishReason.STOP
    _expect(is_right, "The answer to 17 plus 25 isn't 42, or it didn't end.")
    return "Answered."


async def _thread(talk: _Conversation) -> str:
    """Tests caching. Because caching isn't guaranteed, asks a third question if the second reads nothing from the
    cache."""
    shelves = "\n".join(f"On shelf {number} stands box {7 * number + 3}." for number in range(1, SHELVES + 1))
    messages: list[Message] = []
    replies: dict[str, RecordedReply] = {}
    first_tokens, share = 0, 0.0
    for place, shelf in enumerate((12, 30, 41)):
        words = f"Which box stands on shelf {shelf}? Write only its number."
        question = talk.question(words if place else f"{words}\n\n{shelves}", 60.0 * place)
        conversation = InMemoryConversation(messages, replies, me=ME)
        answered, end = await talk.answer(question, conversation, requests=1 if place else 3)
        _expect(str(7 * shelf + 3) in answered.text, "The answer doesn't use the thread's content.")
        if end.usage is None:
            return "Answered two questions in a thread. Its server doesn't report tokens."
        first_tokens = first_tokens or end.usage.input_tokens
        share = end.usage.cached_input_tokens / first_tokens if place else 0.0
        if share >= READ_SHARE:
            break
        shown = Message(ME.team_id, CHANNEL, f"{float(question.ts) + 1:.6f}", answered.text, user_id=ME.user_id)
        messages += [question.as_message(), shown]
        replies[shown.ts] = RecordedReply(answered.text, answered.end.origins, ASKER, question.ts)
    saves = talk.price_usd(Usage(first_tokens, 0, first_tokens)) < talk.price_usd(Usage(first_tokens))
    _expect(
        share >= READ_SHARE or not saves,
        f"The second and third questions in a thread read {share:.0%} of the first one's prompt from the cache, "
        "so threads cost more than they should.",
    )
    return f"Answered two questions in a thread, and read {share:.0%} of the first one's prompt from the cache."


@dataclass(frozen=True)
class _Notes:
    offered: tuple[ToolDefinition, ...] = (_NOTE,)

    async def definitions(self, question: Question) -> OfferedTools:
        return OfferedTools(self.offered)

    async def call(self, use: ToolUse) -> CallResult:
        return CallResult(CallState.DONE, result_for_model(f"Saved as note {NOTE_NUMBER}.", _NOTE.name, "a1b2c3"))


async def _tool(talk: _Conversation) -> str:
    question = talk.question(f'Note down "buy milk" with your tool {_NOTE.name}, then tell me the note\'s number.')
    records, tools = InMemory(), _Notes()
    left, begun = await talk.answer(question, EMPTY, tools, requests=2, records=records)
    calls = [call for step in records.steps for call in step.calls]
    refused = f" Its server refused the request: {begun.refusal}" if begun.refusal else ""
    _expect(
        [call.tool for call in calls] == [_NOTE.name] and bool(calls[0].arguments),
        f"The model didn't call the requested tool exactly once with the right text.{refused}",
    )
    # A person clicks Approve, and a process with other instructions continues.
    records.decide(Decision.APPROVED, ASKER)
    talk.system_prompt += "\n\nBe polite."
    job = Job(1, question, 2, checkpoint=Checkpoint(left.text), steps=records.steps)
    answered, end = await talk.answer(job, EMPTY, tools, records=records)
    _expect(
        end.refusal == begun.refusal,
        f"After an approval in another process, the vendor rejected what the model had sent before: {end.refusal}",
    )
    is_right = NOTE_NUMBER in answered.text and len(records.steps) == 1
    _expect(is_right, "The answer doesn't have the tool's result, or the model called the tool again.")
    return "Called the tool, and continued with its result after an approval in another process."


async def _search(talk: _Conversation) -> str:
    question = talk.question('Note down "buy milk", then tell me the number of the note.')
    records, note = InMemory(), replace(_NOTE, rule=ToolRule(Permission.ALLOW))
    answered, end = await talk.answer(question, EMPTY, _Notes((*_OTHER_TOOLS, note)), requests=2, records=records)
    refused = f" Its server refused the request: {end.refusal}" if end.refusal else ""
    called = [call.tool for step in records.steps for call in step.calls]
    is_right = called == [_NOTE.name] and NOTE_NUMBER in answered.text
    _expect(is_right, f"The model didn't find and call the one right tool among {len(_OTHER_TOOLS) + 1}.{refused}")
    return f"Found the right tool among {len(_OTHER_TOOLS) + 1} and called it."


async def _files(talk: _Conversation) -> str:
    contents = {File(name, name): (FILES / name).read_bytes() for name in ("square.png", "code.pdf")}
    opened = [
        OpenedFile(file, await FileContents().convert(file, content, ASKER)) for file, content in contents.items()
    ]
    conversation = InMemoryConversation(opened={one.file.id: one for one in opened}, me=ME)
    asked = "Which color has the square, and which code has the PDF? Write only both."
    answered, end = await talk.answer(talk.question(asked, files=tuple(contents)), conversation)
    vendor = talk.setup.models[0].partition("/")[0]
    notice = unread_notice(opened, end.left_out, end.refused_files)
    # At other servers, models might not see images, and get the text of PDFs.
    is_fine = not notice or not VENDORS[vendor].accepts_pdfs(vendor_settings(vendor, talk.setup))
    _expect(is_fine, notice + (f" The vendor said: {end.refusal}" if end.refusal else ""))
    is_right = CODE in answered.text and ("square.png" in end.left_out or "red" in answered.text.lower())
    _expect(is_right, "The answer doesn't include what the picture and the PDF show.")
    return notice or "Saw the picture and read the PDF."


class _HangUp(CollectedText):
    def append(self, text: str) -> None:
        so_far = self.answer.text if self.answer else ""
        super().append(text[: CUT_CHARS - len(so_far)])
        if len(so_far + text) >= CUT_CHARS:
            raise GivenUp(Phase.LOST)


async def _cut(talk: _Conversation) -> str:
    question = talk.question(
        f"Write the numbers from 1 to {NUMBERS}, each with its square, one a line, such as `3: 9`. Write nothing else."
    )
    left, _ = await talk.answer(question, requests=3, shown=_HangUp())
    _expect(len(left.text) >= CUT_CHARS, "The answer was too short to be cut off.")
    job = Job(1, question, 2, checkpoint=Checkpoint(left.text))
    kept = starting_text(job).count("\n")
    answered, _ = await talk.answer(job)
    lines = [(int(number), int(square)) for number, square in re.findall(r"(\d+): *(\d+)", answered.text)]
    _expect(
        lines == [(number, number * number) for number in range(1, NUMBERS + 1)],
        f"An answer that was cut off and continued has {len(lines)} of {NUMBERS} lines, {len(set(lines))} of them "
        "distinct.",
    )
    return f"Continued an answer that was cut off: {kept} of {NUMBERS} lines were kept, and the others followed."


CONVERSATIONS: Mapping[str, Callable[[_Conversation], Awaitable[str]]] = {
    "words": _words,
    "thread": _thread,
    "tool": _tool,
    "files": _files,
    "cut": _cut,
    "search": _search,
}


FIRST = next(iter(CONVERSATIONS))
"""The simplest conversation. If a model doesn't answer it, the others aren't tried."""


async def run_smoke(setup: ModelSetup, prices: ModelPrices, system_prompt: str, limit_usd: float) -> list[SmokeResult]:
    """Runs each conversation with each model, within the limit, and returns the results. Runs each conversation with
    every model before the next conversation, so that an expensive model can't use up the budget."""
    found: list[SmokeResult] = []
    refused: dict[str, EndReason] = {}
    for conversation, model in product(CONVERSATIONS, setup.models):
        if model in refused:
            why = f"Skipped because an earlier conversation failed: {refused[model]}."
            found.append(SmokeResult(model, conversation, CheckStatus.SKIPPED, why, 0, 0, 0, 0.0, 0.0))
            continue
        remaining_usd = limit_usd - sum(one.usd for one in found)
        talk = _Conversation(replace(setup, models=(model,)), prices, system_prompt, remaining_usd)
        status, message = CheckStatus.FAIL, f"No answer within {WITHIN_S / 60:.0f} minutes."
        try:
            async with asyncio.timeout(WITHIN_S):
                message = await CONVERSATIONS[conversation](talk)
            status = CheckStatus.OK
        except CapReached as reached:
            status, message = CheckStatus.SKIPPED, str(reached)
        except _ConversationFailed as wrong:
            message = str(wrong)
        except ProviderError as error:
            message = f"Failed: {error.reason}" + (f" ({error.detail})" if error.detail else "")
            # Waiting for each of the others would take minutes.
            if conversation == FIRST or error.reason is EndReason.RATE_LIMITED:
                refused[model] = error.reason
        except TimeoutError:
            pass
        used, seconds = talk.usage, time.time() - talk.started_at
        tokens = used.input_tokens, used.cached_input_tokens, used.output_tokens
        found.append(SmokeResult(model, conversation, status, message, *tokens, talk.usd, seconds))
    return sorted(found, key=lambda one: setup.models.index(one.model))
