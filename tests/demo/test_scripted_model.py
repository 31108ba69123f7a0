"""The scripted model through an OpenAI client over HTTP: what it says to the cards' questions, and to all others."""

import json
import re
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import openai
import pytest
import pytest_asyncio
from openai.types.chat import ChatCompletion

from bot.core import choices, texts
from bot.core.conversation import File, ThreadKey
from bot.core.files import OpenedFile, Transcript, file_label
from bot.core.prompt import GO_ON as REQUEST_TO_GO_ON
from bot.core.prompt import PromptMarks
from bot.core.texts.files import Unread
from bot.models.events import ToolCall
from demo.models import GO_ON
from demo.scenes import CHOICE_TOOL, LAUNCH, NOTE_TOOL, READ_TOOL, SCENES, Scene
from demo.script import LIMIT_TOKENS
from demo.scripted_model import ScriptedModel
from files_to_markdown.document import Document
from slack_sandbox.sample_workspace import Post

STREAMING, LONG, FILE, VOICE, _, BUSY, READING, SCHEDULE, _, CHOICES, CALL, _ = SCENES
SCRIPTED = "This is a **scripted answer**: no model is connected"


@pytest_asyncio.fixture
async def model() -> AsyncIterator[ScriptedModel]:
    async with ScriptedModel(GO_ON, tokens_per_s=10_000) as model:
        yield model


@pytest_asyncio.fixture
async def client(model: ScriptedModel) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=model.base_url, api_key="none is needed", max_retries=0) as client:
        yield client


def question_of(scene: Scene) -> str:
    return next(iter(scene.scripts))


def messages(turns: Sequence[str], *further: dict[str, Any]) -> list[dict[str, Any]]:
    """The system prompt, the user's and the model's turns one after the other, and further messages."""
    roles = ("user", "assistant")
    spoken = [{"role": roles[at % 2], "content": turn} for at, turn in enumerate(turns)]
    return [{"role": "system", "content": "Be brief."}, *spoken, *further]


async def asked(
    client: openai.AsyncOpenAI, *turns: str, further: Sequence[dict[str, Any]] = (), tool: str = ""
) -> ChatCompletion:
    """The response as a whole. `tool`: the only one that is offered."""
    body: dict[str, Any] = {"model": ScriptedModel.model, "messages": messages(turns, *further)}
    if tool:
        body["tools"] = [{"type": "function", "function": {"name": tool, "parameters": {"type": "object"}}}]
    return await client.post("/chat/completions", body=body, cast_to=ChatCompletion)


async def said(client: openai.AsyncOpenAI, *turns: str) -> str:
    return (await asked(client, *turns)).choices[0].message.content or ""


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.title)
@pytest.mark.long(after_row=4)
async def test_each_scenes_questions_get_the_scenes_answer_however_the_bot_frames_them(
    model: ScriptedModel, client: openai.AsyncOpenAI, scene: Scene
) -> None:
    forms = ("{}", "[0123abcd-0123 grace]\n{}", "hello\n\n{}", "{}\n\n[0123abcd file]\n(Attached: a.bin)")
    for number, form in enumerate(forms, start=1):
        for question in scene.all_scripts:
            frame_text = form.format(question)
            attempt = f"*Attempt {number}*\n\n" if number > 1 else ""
            assert (await said(client, frame_text)).startswith(attempt + scene.all_scripts[question](frame_text)[:300])
            assert model.knows([frame_text])


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.title)
def test_answers_read_like_real_ones_and_leave_the_explanation_to_the_note(scene: Scene) -> None:
    answers = " ".join(script(question) for question, script in scene.all_scripts.items())
    assert not re.search(r"script|Typist|sandbox|token|this answer|below", answers.replace("notice below", ""))
    # Beside several answers, meters stand in place of a note.
    assert (len(scene.scripts) > 1 and not scene.note) or 25 < len(scene.note.split()) < 60


@pytest.mark.parametrize(
    "turns",
    [
        ("why?",),
        (f"Please: {question_of(STREAMING).lower()}",),
        (f"{question_of(STREAMING)} And why?",),
        (f"[0123abcd-0123 grace]\n{BUSY.replies[1].words}\n\n[0123abcd-4567 ada]\nand why?",),
        (question_of(STREAMING), "The scripted answer.", "and why?"),
        ("why?", "Because", REQUEST_TO_GO_ON),
    ],
)
async def test_every_other_question_is_answered_by_one_text(
    model: ScriptedModel, client: openai.AsyncOpenAI, turns: tuple[str, ...]
) -> None:
    assert not model.knows(turns)
    assert (await said(client, *turns)).startswith(SCRIPTED)


async def test_answer_names_the_question_its_words_and_the_turns_before(client: openai.AsyncOpenAI) -> None:
    text = await said(client, "Hello", "Hi", "What is\nGrüße, 世界 👋🏽?")
    assert "> What is\n> Grüße, 世界 👋🏽?" in text
    assert "| Words in your question | 5 |\n| Turns before it | 2 |" in text


async def test_answer_streams_word_by_word_at_its_pace_with_its_usage(
    model: ScriptedModel, client: openai.AsyncOpenAI
) -> None:
    whole = await asked(client, "why?", "Because.", "and why?")
    model.tokens_per_s = 1_000
    began_s = time.monotonic()
    chunks = [
        chunk
        async for chunk in await client.chat.completions.create(
            model=model.model, messages=cast(Any, messages(("why?", "Because.", "and why?"))), stream=True
        )
    ]
    deltas = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices[0].delta.content]
    assert time.monotonic() - began_s >= len(deltas) / 1_000
    assert "".join(deltas).replace(" (no. 2)", "") == whole.choices[0].message.content
    assert all(len(delta.split()) == 1 for delta in deltas[:-1])
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert chunks[-1].usage
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (6, len(deltas))


async def test_long_answer_stops_at_its_limit_and_continues_where_it_stopped(client: openai.AsyncOpenAI) -> None:
    question = question_of(LONG)
    begun = await asked(client, question)
    assert begun.choices[0].finish_reason == "length"
    assert begun.usage
    assert begun.usage.completion_tokens == LIMIT_TOKENS
    text = begun.choices[0].message.content or ""
    rest = await asked(client, question, text.strip(), REQUEST_TO_GO_ON)
    assert rest.choices[0].finish_reason == "stop"
    assert (text + (rest.choices[0].message.content or "")).endswith(LONG.scripts[question](question))


@pytest.mark.parametrize("question", [question_of(STREAMING), "why?"], ids=["scene", "other"])
async def test_interrupted_answer_goes_on_where_the_text_on_record_ends(
    client: openai.AsyncOpenAI, question: str
) -> None:
    whole = await said(client, question)
    for chars in (200, 500, len(whole) - 1):
        rest = await said(client, question, whole[:chars], REQUEST_TO_GO_ON)
        assert whole[:chars].rstrip() + rest == whole


@pytest.mark.parametrize(
    ("question", "numbered"),
    [(question_of(STREAMING), "*Attempt 2*\n\n## Finding"), ("why?", "**scripted answer** (no. 2): no model")],
)
async def test_answer_that_is_regenerated_is_visibly_another(
    client: openai.AsyncOpenAI, question: str, numbered: str
) -> None:
    first, second = [await said(client, question) for _ in range(2)]
    assert numbered not in first
    assert numbered in second


async def test_attempts_are_counted_in_each_thread(client: openai.AsyncOpenAI) -> None:
    def asked_in(thread: str) -> list[dict[str, Any]]:
        begin = PromptMarks.for_thread(ThreadKey("T1", "C1", thread)).opening_mark()
        return [{"role": "user", "content": f"{begin}\n\n{question_of(STREAMING)}"}]

    answers = [
        (await client.post("/chat/completions", body={"messages": asked_in(thread)}, cast_to=ChatCompletion))
        .choices[0]
        .message.content
        for thread in ("1.0", "1.0", "2.0")
    ]
    assert [str(text).startswith("*Attempt") for text in answers] == [False, True, False]


async def test_totals_come_from_the_files_text_in_the_prompt(client: openai.AsyncOpenAI) -> None:
    table = "| day | asked |\n|---|---|\n| Monday | 7 |\n| Tuesday | 5 | 9 |\n| Sunday |\n| Monday | none |"
    label = file_label(OpenedFile(File("F1", "mine.csv"), Document(table)))
    text = await said(client, f"{question_of(FILE)}\n\n{label}")
    assert "the 4 rows of `mine.csv`" in text
    assert "| **Total** | **12** |" in text
    assert "**Monday** has the most asked: 7." in text


async def test_words_of_a_clip_come_from_its_transcript_in_the_prompt(client: openai.AsyncOpenAI) -> None:
    clip = File("F1", "mine.m4a", is_clip=True)
    heard = file_label(OpenedFile(clip, Transcript("What day is it?")))
    assert "You said: “What day is it?”" in await said(client, f"{question_of(VOICE)}\n\n{heard}")
    assert VOICE.file
    assert VOICE.file.transcript
    clips = file_label(OpenedFile(clip, Transcript(VOICE.file.transcript)))
    assert "Measure these three" in await said(client, f"{question_of(VOICE)}\n\n{clips}")
    unheard = file_label(OpenedFile(clip, Unread.CLIP_UNHEARD))
    assert "couldn't hear the clip" in await said(client, f"{question_of(VOICE)}\n\n{unheard}")


async def test_file_that_was_not_read_is_not_answered_as_if_it_were(client: openai.AsyncOpenAI) -> None:
    label = file_label(OpenedFile(File("F1", "mine.csv"), Unread.FAILED))
    assert "couldn't read the file" in await said(client, f"{question_of(FILE)}\n\n{label}")


@pytest.mark.parametrize(
    ("result", "says"),
    [
        ("<0123>\nNote 1: The export failed on Tuesday.\n</0123>", "Note 1 says:\n\n> The export failed on Tuesday."),
        ("The user denied this call. It was not made.", "I didn't add the note."),
    ],
)
async def test_scene_with_a_tool_asks_for_its_call_and_then_tells_how_it_ended(
    client: openai.AsyncOpenAI, result: str, says: str
) -> None:
    [first] = (await asked(client, question_of(CALL), tool=NOTE_TOOL)).choices
    assert first.finish_reason == "tool_calls"
    assert first.message.tool_calls
    calls = [call.model_dump(exclude_none=True) for call in first.message.tool_calls]
    assert calls[0]["function"] == {"name": NOTE_TOOL, "arguments": '{"text": "The export failed on Tuesday."}'}
    called = {"role": "assistant", "content": first.message.content, "tool_calls": calls}
    answered = {"role": "tool", "tool_call_id": calls[0]["id"], "content": result}
    [second] = (await asked(client, question_of(CALL), further=(called, answered), tool=NOTE_TOOL)).choices
    assert second.finish_reason == "stop"
    assert says in (second.message.content or "")


async def test_scene_with_a_tool_says_so_where_the_tool_is_not_offered(client: openai.AsyncOpenAI) -> None:
    [choice] = (await asked(client, question_of(CALL))).choices
    assert "the server of the tool is still starting" in (choice.message.content or "")
    assert choice.finish_reason == "stop"


def read(posts: Sequence[Post]) -> str:
    """What the tool returns of a channel with these posts."""
    lines = [
        f"{post.person.title()}, Mon 2026-11-23 09:{at:02d}, ts 17640000{at:02d}.000100{', 1 reply' * (at == 1)}, "
        f"https://sandbox.slack.com/archives/C0LAUNCH/p17640000{at:02d}000100\n> {post.words}"
        for at, post in enumerate(posts)
    ]
    head = f"{len(posts)} messages since 2026-11-23 09:00, times in Europe/Berlin"
    return "\n\n".join([f"The result of read_channel is data.\n<f00d>\n{head}", *lines]) + "\n</f00d>"


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (read(LAUNCH.posts), "([Grace, 09:09](https://sandbox.slack.com/archives/C0LAUNCH/p1764000009000100))"),
        (read(LAUNCH.posts[1:]), "I can only sum up #launch"),
        ("There is no message in this range.", "I can only sum up #launch"),
    ],
)
async def test_scene_that_reads_its_channel_links_what_it_read(
    client: openai.AsyncOpenAI, result: str, said: str
) -> None:
    [first] = (await asked(client, question_of(READING), tool=READ_TOOL)).choices
    assert first.message.tool_calls
    [call] = [call.model_dump() for call in first.message.tool_calls]
    called = {"role": "assistant", "content": first.message.content, "tool_calls": [call]}
    answered = {"role": "tool", "tool_call_id": call["id"], "content": result}
    [second] = (await asked(client, question_of(READING), further=(called, answered), tool=READ_TOOL)).choices
    assert said in (second.message.content or "")


async def test_scene_that_asks_back_offers_choices_and_answers_each(
    model: ScriptedModel, client: openai.AsyncOpenAI
) -> None:
    [choice] = (await asked(client, question_of(CHOICES), tool=CHOICE_TOOL)).choices
    assert choice.message.tool_calls
    [call] = [call.model_dump() for call in choice.message.tool_calls]
    function = call["function"]
    offered = choices.offered_choices([ToolCall(0, call["id"], function["name"], json.loads(function["arguments"]))])
    assert isinstance(offered, choices.Choices)
    assert offered.choices == tuple(CHOICES.reply_scripts)
    for chosen in offered.choices:
        pressed = f"{texts.shortcut.MY_CHOICE}\n\n[0123abcd attached]\n{chosen}\n[0123abcd end]"
        assert model.knows([question_of(CHOICES), offered.markdown, pressed])
        [answer] = (await asked(client, question_of(CHOICES), offered.markdown, pressed, tool=CHOICE_TOOL)).choices
        assert answer.finish_reason == "stop"
        assert answer.message.content == CHOICES.reply_scripts[chosen](chosen)


async def test_usage_says_what_a_cache_would_have_read(client: openai.AsyncOpenAI) -> None:
    first, second = f"What is this?{' word' * 1_200}", "And that?"
    cached = []
    for turns in ([first], [first, "An answer.", second], ["Another question"], [f"Not{first}", "An answer.", second]):
        usage = (await asked(client, *turns)).usage
        assert usage
        assert usage.prompt_tokens_details
        cached.append(usage.prompt_tokens_details.cached_tokens)
    # Whole units of what both requests begin with: "Be brief." and the first question.
    assert cached == [0, 1_152, 0, 0]
