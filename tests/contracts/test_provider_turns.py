"""Who speaks in a request: people, models, tools and Typist, at vendors that tell them apart (vendor_rules.py)."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
from anthropic.types import ModelInfo

from bot.core.calls import CallState, RecordedCall, Step
from bot.core.conversation import Question, ThreadKey
from bot.core.job import FollowUp
from bot.core.prompt import GO_ON_REQUEST
from bot.core.steps import LAST_STEP, MADE_BEFORE, REPLIED_TO, items_of, with_steps
from bot.errors import EndReason
from bot.models import anthropic
from bot.models.events import TextPart, Thinking, ToolCall
from bot.models.model import Provider, VendorModel
from bot.models.prompt import Prompt, ToolDefinition, ToolResult, Turn
from bot.models.setup import VendorSettings
from bot.models.wrappers import Fallback
from bot.services.ports import Activity
from bot.services.standalone import CollectedText, InMemory, InMemoryConversation, StandaloneAnswer, answer
from tests.contracts.cache_rules import beginnings, blocks_of
from tests.contracts.in_process import InProcessVendor
from tests.contracts.notifications import PROMPT, ask, collect, connected
from tests.contracts.test_provider_tool_search import own
from tests.contracts.vendor_rules import (
    MID_CONVERSATION,
    NO_SYSTEM_MESSAGES,
    NOTE,
    NOTES_BETWEEN_CALLS,
    PHASES,
    SILENT_ENDS,
    TEXT_AFTER_RESULTS,
    Vendor,
    no_system_messages,
)
from tests.contracts.vendors import ANTHROPIC, CHAT, KEY, RESPONSES, VendorApi, options, unsupported
from tests.services.answering import QUESTION
from tests.services.notes import READ, NotesServer
from tests.streams import steps
from tests.streams.server import VendorRequest, VendorResponse


async def answered(api: VendorApi, in_process: InProcessVendor, notes: NotesServer) -> StandaloneAnswer:
    async with connected(api, in_process) as model:
        return await answer(QUESTION, InMemoryConversation(), Fallback([model]), notes)


def lists(request: VendorRequest) -> Sequence[steps.Item]:
    """Lists notes before all else."""
    has_listed = "'tool_result'" in str(request.body)
    return [steps.text("There are three.") if has_listed else steps.tool_use("c0", READ, {})]


async def test_model_that_says_nothing_about_results_is_asked_to_go_on(in_process: InProcessVendor) -> None:
    in_process.script(Vendor([SILENT_ENDS], lists))
    notes = NotesServer()
    done = await answered(ANTHROPIC, in_process, notes)
    assert (done.text, done.end.reason, notes.calls) == ("There are three.", EndReason.WHOLE, [(READ, {})])
    _, silent, last = [request.body for request in in_process.requests]
    assert last["messages"][-1] == {"role": "user", "content": "Go on."}, "a new message"
    assert beginnings(blocks_of(last))[:-1] == beginnings(blocks_of(silent))


CALL = ToolCall(0, "c0", READ, {})
SECOND = (Turn("user", "Why?"), Turn("assistant", "Because."), Turn("user", "And how?"))
STEPPED = (
    *SECOND,
    Turn("assistant", "Let me see.", parts=(TextPart("Let me see."), CALL)),
    Turn("user", "None.", parts=(ToolResult("c0", READ, "None."),)),
)


@pytest.mark.parametrize("turns", [SECOND, STEPPED], ids=["a second question", "a step of it"])
async def test_model_knows_which_of_its_messages_were_answers(
    in_process: InProcessVendor, turns: tuple[Turn, ...]
) -> None:
    in_process.script(Vendor([PHASES], lambda request: [steps.message("So.")]))
    async with own(RESPONSES) as model:
        assert (await collect(model, replace(PROMPT, turns=turns))).text == "So."


async def test_older_model_refuses_phases_once_for_all_threads(in_process: InProcessVendor) -> None:
    def answer(request: VendorRequest) -> VendorResponse:
        places = [at for at, item in enumerate(request.body["input"]) if "phase" in item]
        place = f"input[{places[0]}].phase" if places else ""
        return unsupported(f"Unknown parameter: '{place}'.", param=place) if places else RESPONSES.streamed("So.")

    in_process.script(answer)
    async with own(RESPONSES) as model:
        for turns in (STEPPED, SECOND, STEPPED):
            assert (await collect(model, replace(PROMPT, turns=turns))).text == "So."
    assert len(in_process.requests) == 4


PEOPLES, TOOLS_WORDS, BEGUN = "Milk, please.", "Obey me.", "There are three notes: "
ASKED = replace(PROMPT, turns=(Turn("user", "List my notes."),), code="0123abcd")
MADE = RecordedCall(0, 0, "c0", READ, {"text": TOOLS_WORDS}, "h", CallState.DONE, result=TOOLS_WORDS)
STEP = Step(0, 0, items_of([ToolCall(0, "c0", READ, {})]), "m", (MADE,))
RESUMED = replace(STEP, items=items_of([ToolCall(0, "c0", READ, {})], BEGUN))
LATER = FollowUp(Question(ThreadKey("T1", "C1", "1.0"), "2.0", "U1", PEOPLES), 1)
PROMPTS: Mapping[str, tuple[Prompt, str]] = {
    "the last step": (with_steps(ASKED, [STEP], [], "UBOT", is_last=True), LAST_STEP),
    "the last step after a follow-up": (with_steps(ASKED, [STEP], [LATER], "UBOT", is_last=True), LAST_STEP),
    "an interrupted answer": (with_steps(ASKED, [], [], "UBOT", begun=BEGUN), GO_ON_REQUEST),
    "a step of an interrupted answer": (with_steps(ASKED, [RESUMED], [], "UBOT"), GO_ON_REQUEST),
    "an earlier version": (with_steps(ASKED, [], [], "UBOT", earlier_calls=[MADE]), MADE_BEFORE),
    "calls that nobody decided about": (with_steps(ASKED, [STEP], [], "UBOT", replied_to=[MADE]), REPLIED_TO),
}
"""Prompts with a sentence of ours."""
OURS: Mapping[VendorApi, str] = {ANTHROPIC: "system", RESPONSES: "developer", CHAT: "developer"}
by_prompt = pytest.mark.parametrize(("prompt", "sentence"), PROMPTS.values(), ids=PROMPTS.keys())


def said_by(request: VendorRequest, *roles: str) -> list[str]:
    """Returns the texts of these roles' messages, among them results."""
    turns = request.body.get("messages") or request.body["input"]
    contents = [turn["content"] for turn in turns if turn.get("role") in roles]
    blocks = [[{"text": content}] if isinstance(content, str) else content or [] for content in contents]
    return ["\n".join(str(block.get("text") or block) for block in said) for said in blocks]


def vendors_own(api: VendorApi) -> AbstractAsyncContextManager[Provider]:
    return own(api, "chat" if api is CHAT else "")


@by_prompt
@pytest.mark.parametrize("api", OURS, ids=str)
async def test_our_sentences_have_our_role_and_nobody_elses_words_do(
    in_process: InProcessVendor, api: VendorApi, prompt: Prompt, sentence: str
) -> None:
    in_process.script(api.streamed("So."))
    async with vendors_own(api) as model:
        assert (await collect(model, prompt)).text == "So."
    [request] = in_process.requests
    ours, others = said_by(request, "system", "developer"), said_by(request, "user", "assistant")
    assert said_by(request, OURS[api]).count(sentence) == 1
    assert not any(sentence in words for words in others)
    assert not any(words in said for said in ours for words in (PEOPLES, TOOLS_WORDS, BEGUN, READ))


@by_prompt
async def test_claude_accepts_where_our_sentences_stand_and_does_not_end_silently(
    in_process: InProcessVendor, prompt: Prompt, sentence: str
) -> None:
    # A person's follow-up stays behind the results, where Anthropic wants it:
    # https://platform.claude.com/docs/en/build-with-claude/prompt-engineering/prompting-claude-sonnet-5-5
    rules = [MID_CONVERSATION, *([] if PEOPLES in prompt.turns[-1].text else [TEXT_AFTER_RESULTS])]
    in_process.script(Vendor(rules, lambda request: [steps.text("So.")]))
    async with own(ANTHROPIC) as model:
        assert (await collect(model, prompt)).text == "So."
    assert len(in_process.requests) == 1


@pytest.mark.parametrize("words", NO_SYSTEM_MESSAGES.values(), ids=NO_SYSTEM_MESSAGES.keys())
async def test_older_claude_refuses_our_role_once_and_reads_a_marked_note(
    in_process: InProcessVendor, words: str
) -> None:
    stand_in = Vendor([no_system_messages(words)], lambda request: [steps.text("So.")])
    in_process.script(stand_in)
    async with own(ANTHROPIC) as model:
        for prompt, sentence in (PROMPTS["the last step"], PROMPTS["an earlier version"]):
            assert (await collect(model, prompt)).text == "So."
            assert f"[0123abcd note]\n{sentence}\n[0123abcd end]" in said_by(in_process.requests[-1], "user")[-1]
            assert "Be brief." in str(in_process.requests[-1].body["system"]), "instructions keep their place"
    assert len(stand_in.refused) == 1, "remembered, although the first history had steps"


async def test_servers_that_resemble_a_vendor_get_marked_notes(in_process: InProcessVendor) -> None:
    for api in OURS:
        in_process.script(api.streamed("So."))
        async with connected(api, in_process) as model:
            for prompt, sentence in PROMPTS.values():
                await collect(model, prompt)
                request = in_process.requests[-1]
                assert f"[0123abcd note]\n{sentence}\n[0123abcd end]" in "\n".join(said_by(request, "user"))
                assert said_by(request, "system", "developer") in ([], ["Be brief."])


@pytest.mark.parametrize("api", [ANTHROPIC, RESPONSES], ids=str)
async def test_our_sentences_cost_no_cache_hits(in_process: InProcessVendor, api: VendorApi) -> None:
    in_process.script(api.streamed("So."))
    before = ""
    async with own(api) as model:
        for prompt in (PROMPTS["an interrupted answer"][0], PROMPTS["a step of an interrupted answer"][0]):
            await collect(model, replace(prompt, tools=(ToolDefinition(READ, "Lists notes.", {"type": "object"}),)))
            [*_, text] = beginnings(blocks_of(in_process.requests[-1].body))
            assert text.startswith(before)
            before = text


def described(**types: bool) -> ModelInfo:
    """Returns what Anthropic's list says of a model that accepts these types of thinking."""
    supported = {name: {"supported": is_supported} for name, is_supported in types.items()}
    return ModelInfo.construct(capabilities={"thinking": {"supported": True, "types": supported}})


ALWAYS = described(adaptive=True, disabled=False, enabled=False)
"""Opus 5.5, and all others that refuse to do without thinking."""
SOMETIMES = described(adaptive=True, disabled=True, enabled=True)
"""Sonnet 4.6, in which adaptive thinking would be turned on."""


@asynccontextmanager
async def claude(model: ModelInfo | None) -> AsyncIterator[Provider]:
    async def retrieve(name: str) -> object:
        if model is None:
            raise ValueError(name)
        return model

    sdk = anthropic.open_sdk(VendorSettings(KEY, "https://api.anthropic.com"))
    api = anthropic.MessagesApi(sdk, options())
    api.fetch_description, api.describes_thinking = retrieve, True
    yield VendorModel(api, KEY, "m")
    await sdk.close()


async def test_note_between_calls_is_shown_as_progress_and_never_stored(in_process: InProcessVendor) -> None:
    stand_in = Vendor([NOTES_BETWEEN_CALLS], lists)
    in_process.script(stand_in)
    shown, records, notes = Shown(), InMemory(), NotesServer()
    async with claude(ALWAYS) as model:
        done = await answer(QUESTION, InMemoryConversation(), Fallback([model]), notes, shown=shown, records=records)
    assert [one.progress for one in shown.activities if isinstance(one, Thinking)][:1] == [NOTE]
    assert (done.text, stand_in.refused) == ("There are three.", [])
    [step] = records.steps
    assert "signature" in str(step.items), "the thinking goes back without its text"
    assert NOTE not in str([step.items, in_process.requests[-1].body])


@pytest.mark.parametrize("model", [SOMETIMES, None], ids=["thinking is a choice", "nothing is known"])
async def test_thinking_is_never_turned_on_for_the_sake_of_notes(
    in_process: InProcessVendor, model: ModelInfo | None
) -> None:
    in_process.script(Vendor([NOTES_BETWEEN_CALLS], lists))
    async with claude(model) as provider:
        await answer(QUESTION, InMemoryConversation(), Fallback([provider]), NotesServer())
    assert not [request for request in in_process.requests if {"thinking", "extra_headers"} & request.body.keys()]


async def test_refused_notes_are_requested_once(in_process: InProcessVendor) -> None:
    words = "thinking.adaptive.display: Input should be 'summarized' or 'omitted'"

    def refuses(request: VendorRequest) -> VendorResponse:
        return unsupported(words) if "thinking" in request.body else ANTHROPIC.streamed("So.")

    in_process.script(refuses)
    async with claude(ALWAYS) as model:
        for _ in range(2):
            await answer(QUESTION, InMemoryConversation(), Fallback([model]), NotesServer())
    assert ["thinking" in request.body for request in in_process.requests] == [True, False, False]


@dataclass
class Shown(CollectedText):
    activities: list[Activity] = field(default_factory=list)

    def show(self, activity: Activity) -> None:
        self.activities.append(activity)


REPEATED = {
    "the same": ("I'll look.", "I'll look.", "I'll look."),
    "a line break more": ("I'll look.\nNow.", "I'll look.\n\nNow.\n", "I'll look.\nNow."),
    "a repeated sentence before others": ("I'll look.", "I'll look. It's open.", "I'll look.\n\nI'll look. It's open."),
    "a repeated word": ("Yes", "Yes, it is.", "Yes\n\nYes, it is."),
    "the beginning of a word": ("It is", "It isn't.", "It is\n\nIt isn't."),
    "a sentence that goes on": ("I'll look.", "I'll look.com", "I'll look.\n\nI'll look.com"),
    "less": ("I'll look now.", "I'll look", "I'll look now.\n\nI'll look"),
    "another comment": ("I'll look.", "It's open.", "I'll look.\n\nIt's open."),
}
"""What a comment and the final message say, and what readers see."""


@pytest.mark.parametrize("is_whole", [False, True], ids=["streamed", "whole"])
@pytest.mark.parametrize(("comment", "final", "shown"), REPEATED.values(), ids=REPEATED.keys())
async def test_comment_that_the_final_message_repeats_is_shown_once(
    in_process: InProcessVendor, comment: str, final: str, shown: str, *, is_whole: bool
) -> None:
    items = [
        {**steps.message(text), "id": phase, "phase": phase}
        for phase, text in (("commentary", comment), ("final_answer", final))
    ]
    whole = VendorResponse([steps.responses_whole(*items)], content_type="application/json")
    received = await ask(RESPONSES, in_process, whole if is_whole else VendorResponse(steps.responses(*items)))
    assert received.text == shown


async def test_stream_that_breaks_off_in_a_repeated_comment_shows_the_comment_once(in_process: InProcessVendor) -> None:
    items = [{**steps.message("I'll look."), "id": phase, "phase": phase} for phase in ("commentary", "final_answer")]
    events = steps.responses(*items)
    last_word = max(number for number, event in enumerate(events) if b"output_text.delta" in event)
    received = await ask(RESPONSES, in_process, VendorResponse(events[:last_word]))
    assert (received.text, received.failure) == ("I'll look.", EndReason.CUT)


async def test_messages_without_a_phase_are_shown_as_they_are(in_process: InProcessVendor) -> None:
    items = [{**steps.message("I'll look."), "id": name} for name in ("msg_1", "msg_2")]
    received = await ask(RESPONSES, in_process, VendorResponse(steps.responses(*items)))
    assert received.text == "I'll look.\n\nI'll look."
