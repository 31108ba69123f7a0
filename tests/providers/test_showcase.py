"""The sandbox's showcase: which questions a script answers, what it says, and what goes to the models."""

from contextlib import aclosing
from dataclasses import replace

import pytest

from bot.core.conversation import File, Prompt, ToolDefinition, ToolResult, Turn
from bot.core.inbound.files import OpenedFile, Unread, file_label
from bot.core.inbound.prompt import CONTINUE_REQUEST, RESUME_REQUEST
from bot.core.stream import Completion, FinishReason, StreamEvent, ToolCall
from bot.providers.fallback import Fallback
from bot.providers.scenes import SCENES, Scene
from bot.providers.scripted import Scripted
from bot.providers.showcase import LIMIT_TOKENS, MODEL, Showcase
from tests.providers.scripts import END, ScriptedProvider
from tests.simulated_time import SimulatedClock, run_simulated

STREAMING, LONG, FILE, _, CALL = SCENES


def question_of(scene: Scene) -> str:
    return next(iter(scene.scripts))


def prompt(*texts: str) -> Prompt:
    """The user's and the model's turns, one after the other."""
    roles = ("user", "assistant")
    return Prompt("Be brief.", tuple(Turn(roles[at % 2], text) for at, text in enumerate(texts)), "a conversation")  # type: ignore[arg-type]


def showcase() -> Showcase:
    return Showcase(Fallback([ScriptedProvider(("The model's answer.", END), model="openai/m")]), SimulatedClock())


def heard(showcase: Showcase, asked: Prompt) -> tuple[str, Completion]:
    """What is answered, and how it ends."""

    async def hear() -> tuple[str, Completion]:
        provider = showcase.led_by(None, asked)
        async with aclosing(provider.stream(asked)) as stream:
            events = [event async for event in stream]
        completion = events.pop()
        assert isinstance(completion, Completion)
        assert completion.model == provider.model
        return "".join(map(str, events)), completion

    return run_simulated(hear())


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.title)
def test_each_scenes_questions_are_answered_by_an_answer_that_says_it_is_scripted(scene: Scene) -> None:
    for question in scene.scripts:
        for asked in (
            question,
            f"[0123abcd-0123 grace]\n{question}",
            f"hello\n\n{question}",
            f"{question}\n\n[0123abcd file]\n(Attached: a.bin)",
        ):
            answer, completion = heard(showcase(), prompt(asked))
            assert answer.startswith(f"> *Scripted answer: shows {scene.shows}. No model wrote it.*\n\n")
            assert completion.model == MODEL


@pytest.mark.parametrize(
    "asked",
    [
        prompt("why?"),
        prompt(f"Please: {question_of(STREAMING).lower()}"),
        prompt(f"{question_of(STREAMING)} And why?"),
        prompt(question_of(STREAMING), "The scripted answer.", "and why?"),
        prompt("why?", "Because", CONTINUE_REQUEST),
    ],
)
def test_everything_else_goes_to_the_models(asked: Prompt) -> None:
    assert heard(showcase(), asked) == ("The model's answer.", END)


def test_long_answer_stops_at_its_limit_and_continues_where_it_stopped() -> None:
    ours, question = showcase(), question_of(LONG)
    begun, completion = heard(ours, prompt(question))
    assert (completion.finish_reason, completion.usage and completion.usage.output_tokens) == (
        FinishReason.LENGTH,
        LIMIT_TOKENS,
    )
    rest, completion = heard(ours, prompt(question, begun.strip(), CONTINUE_REQUEST))
    assert completion.finish_reason is FinishReason.STOP
    assert (begun + rest).endswith(LONG.scripts[question](question))


def test_interrupted_answer_goes_on_where_the_text_on_record_ends() -> None:
    ours, question = showcase(), question_of(STREAMING)
    whole, _ = heard(ours, prompt(question))
    for chars in (200, 500, len(whole) - 1):
        rest, _ = heard(ours, prompt(question, whole[:chars], RESUME_REQUEST))
        assert whole[:chars].rstrip() + rest == whole


def test_answer_that_is_regenerated_is_visibly_another_attempt() -> None:
    ours, asked = showcase(), prompt(question_of(STREAMING))
    assert [heard(ours, asked)[0].split(":")[0] for _ in range(3)] == [
        "> *Scripted answer",
        "> *Scripted answer, attempt 2",
        "> *Scripted answer, attempt 3",
    ]
    scripted = Scripted(SimulatedClock())

    async def answer() -> str:
        return "".join([str(event) async for event in scripted.stream(asked)])

    assert not run_simulated(answer()).startswith("Attempt")
    assert run_simulated(answer()).startswith("Attempt 2. This is a **scripted answer**")


def test_totals_come_from_the_files_text_in_the_prompt() -> None:
    label = file_label(OpenedFile(File("F1", "mine.csv"), "day,asked\nMonday,7\nTuesday,5,9\nSunday\nMonday,none\n"))
    answer, _ = heard(showcase(), prompt(f"{question_of(FILE)}\n\n{label}"))
    assert "`mine.csv`: 4 rows" in answer
    assert "| **Total** | **12** |" in answer


def test_file_that_was_not_read_is_not_answered_as_if_it_were() -> None:
    label = file_label(OpenedFile(File("F1", "mine.csv"), Unread.FAILED))
    assert "did not reach the prompt" in heard(showcase(), prompt(f"{question_of(FILE)}\n\n{label}"))[0]


def offered(*turns: Turn) -> Prompt:
    """A prompt with the scene's question and the sandbox's tool, and with turns after it."""
    assert CALL.call is not None
    tool = ToolDefinition(CALL.call.tool, "Adds a note.", {"type": "object"})
    return replace(prompt(question_of(CALL)), turns=(Turn("user", question_of(CALL)), *turns), tools=(tool,))


def steps(showcase: Showcase, *asked: Prompt) -> list[list[StreamEvent]]:
    """The events of an answer's steps."""

    async def hear() -> list[list[StreamEvent]]:
        provider = showcase.led_by(None, asked[0])
        return [[event async for event in provider.stream(step)] for step in asked]

    return run_simulated(hear())


@pytest.mark.parametrize(("is_error", "says"), [(False, "You approved the call"), (True, "The server added no note.")])
def test_scene_with_a_tool_asks_for_its_call_and_then_tells_how_it_ended(is_error: bool, says: str) -> None:
    assert CALL.call is not None
    result = ToolResult("call_1", CALL.call.tool, "What came back.", is_error)
    first, second = steps(showcase(), offered(), offered(Turn("assistant", ""), Turn("user", "", parts=(result,))))
    assert first[-2:] == [
        ToolCall(0, "call_1", CALL.call.tool, CALL.call.arguments),
        Completion(MODEL, FinishReason.TOOLS, first[-1].usage if isinstance(first[-1], Completion) else None),
    ]
    rest = "".join(event for event in second if isinstance(event, str))
    assert says in rest
    assert "What came back." in rest


def test_scene_with_a_tool_says_so_where_the_tool_is_not_offered() -> None:
    answer, completion = heard(showcase(), prompt(question_of(CALL)))
    assert "I can't use the tool:" in answer
    assert completion.finish_reason is FinishReason.STOP


@pytest.mark.parametrize("models_use_tools", [True, False])
def test_model_that_is_too_small_for_tools_is_offered_none(models_use_tools: bool) -> None:
    model = ScriptedProvider(("The model's answer.", END), model="openai/m")
    asked = replace(offered(), turns=(Turn("user", "why?"),))
    steps(Showcase(Fallback([model]), SimulatedClock(), models_use_tools=models_use_tools), asked)
    assert [len(heard.tools) for heard in model.prompts] == [1 if models_use_tools else 0]
