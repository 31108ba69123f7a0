"""Marks of chat templates leave an answer's beginning and end, and nothing that an answer quotes is lost or acts.

Reported as sglang#36285, TensorRT-LLM#9256 and joplin#16595 (channels), llama.cpp#6903 and ollama#3759 (stop tokens),
lmstudio-bug-tracker#2013 and omlx#1028 (Gemma's thoughts), mlx-lm#1663 (Apertus).
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.prompt import PromptMarks
from bot.core.texts.models import error_text
from bot.errors import EndReason
from bot.models.events import FinishReason, Thinking
from bot.models.model import Vendor
from bot.models.prompt import ToolDefinition
from bot.models.registry import VENDORS
from bot.models.setup import VendorSettings, has_only_vendor_models
from bot.models.template_marks import TemplateMarks, unparsed_content
from tests.contracts.in_process import InProcessVendor
from tests.contracts.notifications import PROMPT, ask, collect
from tests.contracts.vendors import ANTHROPIC, APIS, CHAT, KEY, RESPONSES, VendorApi, options
from tests.streams import speech
from tests.streams.server import VendorResponse

READ = ToolDefinition("read_channel", "Reads", {"type": "object", "properties": {"limit": {"type": "integer"}}})
OFFERING = replace(PROMPT, tools=(READ,))
CODE = "db3cc688"
FOUR = "The answer is four."


def read(deltas: Sequence[str], *, whole: bool = True, is_expected: bool = True) -> str:
    marks = TemplateMarks(CODE)
    marks.is_expected = is_expected
    results = [*map(marks.add, deltas), marks.end(is_complete=whole)]
    return "".join(result for result in results if isinstance(result, str))


def cut(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


SIZES = pytest.mark.parametrize("size", [1, 3, 1000])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello", "Hello"),
        ("  Hello", "  Hello"),
        ("<think>a < b</think>\n\nHello", "Hello"),
        ("\n<think>\na\n</think>Hello", "Hello"),
        ("<think></think>\n\n<think>more</think>Hello", "Hello"),
        ("[THINK]a[/THINK]Hello", "Hello"),
        ("<thinking>a</think></thinking>Hello", "Hello"),
        ("<seed:think>a</seed:think>Hello", "Hello"),
        ("<reasoning>a</reasoning>Hello", "Hello"),
        ("<REASONING_SCRATCHPAD>a</REASONING_SCRATCHPAD>Hello", "Hello"),
        ("◁think▷a◁/think▷Hello", "Hello"),
        ("<think>a</think>\n<answer>Hello</answer>", "Hello"),
        ("<think>a</think>\n<answer>Hello</answer><|im_end|>", "Hello"),
        ("<|begin_of_thought|>a<|end_of_thought|>\n\n<|begin_of_solution|>Hello<|end_of_solution|>", "Hello"),
        ("<|START_THINKING|>a<|END_THINKING|><|START_RESPONSE|>Hello<|END_RESPONSE|>", "Hello"),
        ("<think>never closed", ""),
        ("<THINK>a</THINK>\nHello", "Hello"),
        ("<Think>a</think>Hello", "Hello"),
        ("<think>a</thinking>Hello", "Hello"),
        ('<think duration="3">a</think>Hello', "Hello"),
        ("<think >a</think >Hello", "Hello"),
        ("<think/>Hello", "Hello"),
        ("<think>\n\n</think>\n\nHello", "Hello"),
        ("<think:6124c78e>a</think:6124c78e>Hello", "Hello"),
        ("<ifm|think_fast>a</ifm|think_fast>Hello", "Hello"),
        ("<mm:think>a</mm:think>Hello", "Hello"),
        ("<longcat_think>a</longcat_think>Hello", "Hello"),
        ("<internal_monologue>a</internal_monologue>Hello", "Hello"),
        ("<seed:think>a<seed:cot_budget_reflect>b</seed:cot_budget_reflect></seed:think>Hello", "Hello"),
        ("<|inner_prefix|>a<|inner_suffix|>Hello<|assistant_end|>", "Hello"),
        ("<|think:start|>a<|think:end|>Hello<|im:end|>", "Hello"),
        ("<|plamo:begin_think:plamo|>a<|plamo:end_think:plamo|>Hello<|plamo:tag|>", "Hello"),
        (
            "<|message_model|><|content_thinking|>a<|end_message|><|message_model|><|content_text|>Hello<|end_message|>",
            "Hello",
        ),
        (
            "<|start|>assistant to=self<|message|>a<|eom|><|start|>assistant to=user<|message|>Hello<|eot|>",
            "Hello",
        ),
        ("<think>a</think>\n<response>Hello</response>", "Hello"),
        # What stands behind the answer's first word is text.
        ("Hello.\n<think>a</think>\nBye.", "Hello.\n<think>a</think>\nBye."),
        ("Hello.\n<think>is how it begins.", "Hello.\n<think>is how it begins."),
        ("Secret.</think>Hello", "Secret.</think>Hello"),
        ("A lone ` stands here.\n<think>a</think>", "A lone ` stands here.\n<think>a</think>"),
        # The answer is XML.
        ("<reason>late</reason>", "<reason>late</reason>"),
        ("<analysis>\n<item/>\n</analysis>", "<analysis>\n<item/>\n</analysis>"),
        ("<answer>4</answer>", "<answer>4</answer>"),
        (
            "<details>\n<summary>More</summary>\nText\n</details>",
            "<details>\n<summary>More</summary>\nText\n</details>",
        ),
        ("&lt;think&gt;a&lt;/think&gt; it goes", "&lt;think&gt;a&lt;/think&gt; it goes"),
        ("<think about it>", "<think about it>"),
        ("<thinking_budget>5</thinking_budget>", "<thinking_budget>5</thinking_budget>"),
        ("Use <think>so</think>.", "Use <think>so</think>."),
        ("<think>a</think>It writes <think>b</think>.", "It writes <think>b</think>."),
        ("<thin air", "<thin air"),
        ("<thin", "<thin"),
        ("<table>", "<table>"),
        ("[TH", "[TH"),
    ],
)
@SIZES
def test_reasoning_that_an_answer_begins_with_is_no_part_of_it(text: str, expected: str, size: int) -> None:
    assert read(cut(text, size)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "<|channel|>analysis<|message|>Secret plan.<|end|><|start|>assistant<|channel|>final<|message|>"
            "The answer is four.<|return|>",
            FOUR,
        ),
        (
            "<|start|>assistant<|channel|>analysis<|message|>S<|end|><|start|>assistant<|channel|>commentary<|message|>"
            "Let me see.<|end|><|start|>assistant<|channel|>final<|message|>The answer is four.",
            f"Let me see.\n\n{FOUR}",
        ),
        (
            "<|channel|>analysis<|message|>S<|end|><|start|>assistant<|channel|>final <|constrain|>json<|message|>"
            "The answer is four.",
            FOUR,
        ),
        ("<|channel>thought\nSecret plan.\n<channel|>The answer is four.<turn|>", FOUR),
        ("<|channel>thought\n<channel|>The answer is four.", FOUR),
        ("<|think|>Secret<|end|><|begin|>assistant<|content|>The answer is four.<|end|>", FOUR),
        ("The answer is four.<|im_end|>", FOUR),
        ("The answer is four.</s>", FOUR),
        ("The answer is four.<|eot_id|>", FOUR),
        ("The answer is four.<|endoftext|>", FOUR),
        ("The answer is four.<|a_token_of_next_year|>", FOUR),
        ("The answer is four.\n<end_of_turn>", f"{FOUR}\n"),
        ("The answer is four.<｜end▁of▁sentence｜>", FOUR),
        ("```python\nprint(4)\n```<|im_end|>", "```python\nprint(4)\n```"),
        ("<|im_start|>assistant\nThe answer is four.<|im_end|>", FOUR),
        ("<|start_header_id|>assistant<|end_header_id|>\n\nThe answer is four.", FOUR),
        ("<s>The answer is four.</s>", FOUR),
        ("<s> The answer is four.</s>", FOUR),
        ("<start_of_turn>model\nThe answer is four.<end_of_turn>", FOUR),
        ("The answer is four.<|eot_id|><|end_of_text|>\n", FOUR),
        ("The answer is four.[|endofturn|]", FOUR),
        ("[|assistant|]The answer is four.", FOUR),
        ("]~b]ai\nThe answer is four.[e~[", FOUR),
        ("The answer is four.<EOS_TOKEN>", FOUR),
        ("The answer is four.<unused5><reserved_106>", FOUR),
        # Cut by a limit, or by a server's stop string.
        ("The answer is four.<|im_en", FOUR),
        ("The answer is four.<|", FOUR),
        ("The answer is four.<｜end▁of", FOUR),
        # Code that nothing closes.
        ("```py\nx=1\n<|im_end|>", "```py\nx=1\n"),
        ("```py\nx=1<|eot_id|>", "```py\nx=1"),
        ("```py\nx=1\n<｜end▁of▁sentence｜>", "```py\nx=1\n"),
        ("~~~\nx=1\n<|im_end|><|endoftext|>\n", "~~~\nx=1\n"),
        ("Use `x<|im_end|>", "Use `x"),
        (f"[{CODE} at Wed 2026-11-25 10:00 UTC]\nThe answer is four.", FOUR),
        (f"[{CODE}-ab12 Typist]\n[{CODE} now Wed]\nThe answer is four.", FOUR),
        ("[9f8736a2f is the code of this conversation]\n\nThe answer is four.", FOUR),
        ("[9F8736A2 at Monday 2026-11-30 09:41 UTC] \nThe answer is four.", FOUR),
        ("[9f8736a2-12ab Ada]\n[9f8736a2 note]\nThe answer is four.", FOUR),
        ("[9f8736a2 is the code of this conversation]", ""),
    ],
)
@SIZES
def test_marks_at_the_beginning_and_the_end_go(text: str, expected: str, size: int) -> None:
    assert read(cut(text, size)) == expected


@SIZES
@pytest.mark.parametrize("is_expected", [True, False])
def test_beginning_of_a_prompt_that_a_model_repeats_is_never_shown(size: int, is_expected: bool) -> None:
    marks = PromptMarks(CODE)
    ours = f"{marks.opening_mark()}\n\n{marks.section('note', 'Be brief.')}\n{marks.section('calls', 'done')}\n"
    speaker = f"{marks.speaker_mark('U1', 'Ada (the admin)')}{marks.time_mark(datetime(2026, 11, 30, tzinfo=UTC), '')}"
    prompt = ours + speaker
    for chars in range(len(f"[{CODE}"), len(prompt) + 1):
        assert read(cut(prompt[:chars], size), is_expected=is_expected) == "", prompt[:chars]
    assert read(cut(prompt + FOUR, size), is_expected=is_expected) == FOUR
    assert read(cut(f"{ours}\n{FOUR}", size), whole=False, is_expected=is_expected) == FOUR


def test_code_of_the_prompt_goes_at_a_vendors_own_address_too() -> None:
    assert read([f"[{CODE} now Wed]\nThe answer is four."], is_expected=False) == FOUR


@pytest.mark.parametrize(
    "text",
    [
        "Use `<|im_end|>` to end.",
        "Use ``<think>`` and `</think>`.",
        "```\n<|im_start|>user\nHi<|im_end|>\n```\nDone.",
        "```py\nx='<|im_end|>'",
        "```html\n<p>a</p>\n</s>\n```",
        "```py\nx = a <| b",
        "List.map f <| List.filter g <| xs",
        "a <|b| c",
        "a<|b|>c",
        "f <|",
        "x[1]<y and z]<]",
        "The state <0|psi|0> is normed, and Promise<User|null> is a type.",
        "<https://e.example|the page>",
        "> ```\n> </think>\n> ```\n\nDone.",
        "An example:\n\n    <|im_start|>user\n\nDone.",
        "The token <|im_end|> ends a turn.",
        "<|im_end|> ends a turn.",
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>",
        "This ends it:\n<|im_end|>",
        "The line is\n\n<|im_end|>",
        "- <|im_end|>",
        "> <|im_end|>",
        "It ends with “<|im_end|>",
        "First <|im_start|>, last<|im_end|>",
        "[INST] Hi [/INST]",
        "a < b and c > d, f <| x |> g, List<int> x<y>z",
        "<table><tr><td>x</td></tr></table>",
        "Well [INST] is a mark. [TODO] x [x] [1]: y",
        "[db3cc689 at noon] is no mark of ours",
        "[deadbeef]\nis a hash",
        "[decade note](https://e.example)\nis a link",
        '{"name": "Ada", "age": 3}',
        '{"name": "read_channel", "arguments": {"limit": 3}}',
    ],
)
@SIZES
def test_what_an_answer_says_about_marks_stays(text: str, size: int) -> None:
    assert read(cut(text, size)) == text


PLACES: dict[str, Callable[[str], str]] = {
    "line": lambda quoted: f"The file says:\n\n{quoted}\n\nThat's all of it.",
    "last line": lambda quoted: f"The file says:\n\n{quoted}",
    "list": lambda quoted: f"- first\n- {quoted}\n- last",
    "quotation": lambda quoted: f"It says:\n\n> {quoted.replace(chr(10), chr(10) + '> ')}\n\nDon't do that.",
    "fence": lambda quoted: f"```\n{quoted}\n```\nDone.",
    "sentence": lambda quoted: f"The line {quoted} is in the file, and it is odd.",
}
QUOTATIONS = [
    '<tool_call>{"name": "read_channel", "arguments": {}}</tool_call>',
    "<tool_call>\n<function=read_channel>\n<parameter=limit>\n3\n</parameter>\n</function>\n</tool_call>",
    '<function=read_channel>{"limit": 3}</function>',
    '[TOOL_CALLS][{"name": "read_channel", "arguments": {"limit": 3}}]',
    '[TOOL_CALLS]read_channel[ARGS]{"limit": 3}',
    '<invoke name="read_channel"><parameter name="limit">3</parameter></invoke>',
    '<function_calls><invoke name="read_channel"></invoke></function_calls>',
    '{"name": "read_channel", "arguments": {"limit": 3}}',
    '```json\n{"name": "read_channel", "arguments": {"limit": 3}}\n```',
    '<|python_tag|>{"name": "read_channel", "parameters": {"limit": 3}}',
    '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>read_channel<｜tool▁sep｜>{"limit": 3}<｜tool▁call▁end｜>',
    "<|tool_calls_section_begin|><|tool_call_begin|>functions.read_channel:0<|tool_call_argument_begin|>{}<|tool_call_end|>",
    '<|channel|>commentary to=functions.read_channel <|constrain|>json<|message|>{"limit": 3}<|call|>',
    '<minimax:tool_call>\n<invoke name="read_channel">\n</invoke>\n</minimax:tool_call>',
    "<|tool_call_start|>[read_channel(limit=3)]<|tool_call_end|>",
    "[read_channel(limit=3)]",
    'functools[{"name": "read_channel", "arguments": {}}]',
    "</think>",
    "<think>",
    "<think>The plan.</think>",
    "[THINK]The plan.[/THINK]",
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>",
    "[INST] Hi [/INST]",
    "<tool_response>42</tool_response>",
    "<|eot_id|>",
    "<|channel|>analysis<|message|>The plan.<|end|><|start|>assistant<|channel|>final<|message|>Hi<|return|>",
    "<start_of_turn>model\nHi<end_of_turn>",
    "</s>",
]
OWN_URLS = {
    "responses": "https://api.openai.com/v1",
    "chat": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com",
}


def at_own_address(api: VendorApi) -> Vendor:
    """Connects as if to the vendor's own address."""
    settings = VendorSettings(KEY, OWN_URLS[api.name], api.name)
    return VENDORS["anthropic" if api is ANTHROPIC else "openai"].connect("echo", settings, options())


@pytest.mark.parametrize("api", APIS, ids=str)
@pytest.mark.parametrize("is_own", [True, False], ids=["own address", "other address"])
@pytest.mark.long(after_row=2)
async def test_quoted_marks_and_calls_are_text(in_process: InProcessVendor, api: VendorApi, is_own: bool) -> None:
    """28 quotations in six places: no tool runs, nothing is lost, the end is complete, and the next answer is shown."""
    client = at_own_address(api) if is_own else api.connect(in_process.url)
    model = client.model("m")
    wrong = {}
    for quoted in QUOTATIONS:
        for place, put in PLACES.items():
            text = put(quoted)
            in_process.script(api.streamed(*cut(text, 7)))
            received = await collect(model, OFFERING)
            ended = (received.error, received.calls, [done.finish_reason for done in received.completions])
            if received.text != text or ended != (None, [], [FinishReason.STOP]):
                wrong[quoted, place] = received.text
        in_process.script(api.streamed("Hello", " there!"))
        assert (await collect(model, OFFERING)).deltas == ["Hello", " there!"], "shown as it comes"
    await client.aclose()
    assert len(QUOTATIONS) == 28
    assert wrong == {}


@pytest.mark.parametrize(
    "text", ["<think>a</think>Hi", "<|im_start|>assistant\nHi<|im_end|>", "Hi</s>", "Hi<|eot_id|>"]
)
@pytest.mark.parametrize("api", APIS, ids=str)
async def test_no_mark_is_looked_for_at_a_vendors_own_address(
    in_process: InProcessVendor, api: VendorApi, text: str
) -> None:
    in_process.script(api.streamed(*cut(text, 3)))
    client = at_own_address(api)
    assert (await collect(client.model("m"), OFFERING)).text == text
    await client.aclose()
    assert (await ask(api, in_process, api.streamed(*cut(text, 3)), prompt=OFFERING)).text == "Hi"


@pytest.mark.parametrize(
    ("url", "is_own"),
    [
        ("", True),
        ("https://api.openai.com/v1", True),
        ("https://eu.api.openai.com/v1", True),
        ("https://api.anthropic.com", True),
        ("https://generativelanguage.googleapis.com/v1beta/openai/", True),
        # gpt-oss and DeepSeek's models answer there, too.
        ("https://team.openai.azure.com/openai/v1/", False),
        ("https://bedrock-runtime.eu-central-1.amazonaws.com/openai/v1", False),
        ("https://europe-west1-aiplatform.googleapis.com", False),
        ("http://127.0.0.1:8000/v1", False),
        ("https://gateway.example.com/api.openai.com/v1", False),
        ("https://notopenai.com/v1", False),
        ("https://openrouter.ai/api/v1", False),
    ],
)
def test_vendors_own_address_is_known_by_its_host(url: str, is_own: bool) -> None:
    assert has_only_vendor_models(url) is is_own


CALLS = [
    '<tool_call>{"name": "read_channel", "arguments": {"limit": 3}}</tool_call>',
    '<tool_call>\n{"name": "read_channel", "arguments": {"limit": 3}}\n</tool_call>',
    '[TOOL_CALLS]read_channel{"limit": 3}',
    '[TOOL_CALLS] [{"name":"read_channel","arguments":{"limit": 3}}]',
    '[TOOL_CALLS]read_channel[CALL_ID]abc[ARGS]{"limit": 3}',
    '<function=read_channel>{"limit": 3}</function>',
    "<tool_call>\n<function=read_channel>\n<parameter=limit>\n3\n</parameter>\n</function>\n</tool_call>",
    '<|python_tag|>{"name": "read_channel", "parameters": {"limit": 3}}',
    '<|tool_call|>[{"name": "read_channel", "arguments": {"limit": 3}}]<|/tool_call|>',
    "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>read_channel\n```json\n"
    '{"limit": 3}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜><｜end▁of▁sentence｜>',
    '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>read_channel<｜tool▁sep｜>{"limit": 3}<｜tool▁call▁end｜>',
    '<｜DSML｜function_calls>\n<｜DSML｜invoke name="read_channel">\n<｜DSML｜parameter name="limit" string="false">3'
    "</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>",
    '<minimax:tool_call>\n<invoke name="read_channel">\n<parameter name="limit">3</parameter>\n</invoke>\n'
    "</minimax:tool_call>",
    "<tool_call>read_channel\n<arg_key>limit</arg_key>\n<arg_value>3</arg_value>\n</tool_call>",
    "<|tool_calls_section_begin|><|tool_call_begin|>functions.read_channel:0<|tool_call_argument_begin|>"
    '{"limit": 3}<|tool_call_end|><|tool_calls_section_end|>',
    "<|channel|>analysis<|message|>x<|end|><|start|>assistant<|channel|>commentary to=functions.read_channel "
    '<|constrain|>json<|message|>{"limit": 3}<|call|>',
    '<|start|>assistant to=functions.read_channel<|channel|>commentary json<|message|>{"limit": 3}<|call|>',
    "<|tool_call>call:read_channel{limit:3}<tool_call|>",
    "<start_function_call>call:read_channel{limit:3}<end_function_call>",
    "<|tool_call_start|>[read_channel(limit=3)]<|tool_call_end|>",
    '<|START_ACTION|>[{"tool_call_id": "0", "tool_name": "read_channel", "parameters": {"limit": 3}}]<|END_ACTION|>',
    '<|tools_prefix|>[{"read_channel": {"limit": 3}}]<|tools_suffix|>',
    '<TOOLCALL>[{"name": "read_channel", "arguments": {"limit": 3}}]</TOOLCALL>',
    '<think>x</think>\n<tool_call>{"name": "read_channel", "arguments": {"limit": 3}}</tool_call><|im_end|>',
]


@pytest.mark.parametrize("written", CALLS)
@pytest.mark.parametrize("api", APIS, ids=str)
@pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])
async def test_answer_that_is_only_a_call_stays_text_and_says_so(
    in_process: InProcessVendor, api: VendorApi, written: str, streaming: bool
) -> None:
    answer = api.streamed(*cut(written, 5)) if streaming else api.whole(written)
    received = await ask(api, in_process, answer, prompt=OFFERING)
    assert (received.calls, received.end) == ([], FinishReason.STOP)
    assert received.completions[0].unparsed == "call"
    assert "read_channel" in received.text
    assert received.text in written


@pytest.mark.parametrize(
    "written",
    [
        '{"name": "read_channel", "arguments": {"limit": 3}}',
        "<tool_call> is how a call begins.",
        "<table><tr><td>tool</td></tr></table>",
        "[1, 2]",
    ],
)
async def test_other_answers_say_nothing_of_a_parser(in_process: InProcessVendor, written: str) -> None:
    received = await ask(CHAT, in_process, CHAT.streamed(written), prompt=OFFERING)
    assert (received.text, received.completions[0].unparsed) == (written, "")
    without_tools = await ask(CHAT, in_process, CHAT.streamed(CALLS[0]))
    assert (without_tools.text, without_tools.completions[0].unparsed) == (CALLS[0], "")


PIECES = [
    *("<think>", "</think>", "<|im_end|>", "<|channel|>", "analysis", "final", "<|message|>", "<|start|>", "assistant"),
    *("<|im_start|>", "user", "\n", "\n\n", " ", "a", "The answer.", "`", "``", "```", "```json\n", "~~~", "</s>"),
    *("<s>", "[INST]", "[/INST]", *CALLS[:3], "<tool_call>", "</tool_call>", "[TOOL_CALLS]", "read_channel", "{}"),
    *("<|", "<", "[", "|>", "◁think▷", "<|channel>thought\n", "<channel|>", "to=functions.read_channel", " json"),
    *("    ", "- ", "> ", "User:", "\\", f"[{CODE} at x]", "<answer>", "</answer>", "é", "“", "(", "<|end|>"),
    *("<mm:think>", "</ think>", "</think\n>", '<think a="1">', "<think/>", "[|endofturn|]", "]~b]ai\n", "[e~[", "]"),
    *("<|inner_prefix|>", "<|content_thinking|>", "<|end_message|>", "<|message_model|>", "<analysis>", "</analysis>"),
    *(" to=self<|message|>", "commentary<|message|>", "<|im", "</thi", "end.", "<end_of_turn>", "<start_of_turn>", ":"),
]


@given(texts=st.lists(st.sampled_from(PIECES), max_size=14), cuts=st.lists(st.integers(0, 120)), whole=st.booleans())
def test_chunking_makes_no_difference(texts: list[str], cuts: list[int], whole: bool) -> None:
    text = "".join(texts)
    at = sorted({0, *(cut for cut in cuts if cut < len(text)), len(text)})
    deltas = [text[low:high] for low, high in pairwise(at)]
    assert read(deltas, whole=whole) == read([text], whole=whole)


LONG = [
    "<",
    "<|x|>",
    "<|xx|>",
    "`a`",
    "</ ",
    "]",
    "[|x|]",
    "<think>a</think>",
    "\n<think>a",
    "<analysis>a",
    " ",
    "<|",
    "[a",
]


@pytest.mark.parametrize("unit", LONG)
@pytest.mark.parametrize("before", ["", "<think>", "<|think|>", "<|channel|>commentary<|message|>", "Hi "])
def test_long_delta_does_not_hold_the_event_loop(unit: str, before: str) -> None:
    text = before + unit * (32_768 // len(unit))
    took_s = []
    for _ in range(3):
        began = time.thread_time()
        read([text])
        took_s.append(time.thread_time() - began)
    assert min(took_s) < 0.05
    assert read([text]) == read(cut(text, 1000))


def test_thought_is_a_sign_of_work() -> None:
    marks = TemplateMarks()
    marks.is_expected = True
    assert marks.add("<think>") == Thinking(7)
    assert marks.add("a plan") == Thinking(6)
    assert marks.add("</think>Hi") == "Hi"


class TestReasoning:
    """Reasoning is never part of the answer, and it shows that the model is working."""

    @pytest.mark.parametrize("api", [RESPONSES, CHAT], ids=str)
    @pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])
    async def test_reasoning_in_tags_is_not_in_the_answer(
        self, in_process: InProcessVendor, api: VendorApi, streaming: bool
    ) -> None:
        deltas = ["<th", "ink>\nA greet", "ing.", "</think>", "\n\n", "Hello", " there!"]
        received = await ask(api, in_process, api.streamed(*deltas) if streaming else api.whole("".join(deltas)))
        assert received.text == "Hello there!"

    @pytest.mark.parametrize(
        ("api", "name", "thought"),
        [
            (RESPONSES, "openai_responses_only_reasoning", 2),
            # Any chunk during thinking counts as a sign of it, including the one with the finish reason.
            (CHAT, "llama_cpp_chat_unclosed", 5),
            (ANTHROPIC, "anthropic_only_thinking", 4),
        ],
        ids=str,
    )
    async def test_reasoning_without_an_answer_is_a_failure(
        self, in_process: InProcessVendor, api: VendorApi, name: str, thought: int
    ) -> None:
        received = await ask(api, in_process, VendorResponse([speech.documented(name)]))
        assert (received.text, received.failure, received.thought) == ("", EndReason.ONLY_THOUGHT, thought)
        assert received.error is not None
        assert "while thinking" in error_text(received.error)

    async def test_reasoning_is_removed_without_streaming(self, in_process: InProcessVendor) -> None:
        whole = json.loads(speech.responses_whole("Hello"))
        thought = [{"type": "reasoning_text", "text": "A greeting."}]
        whole["output"].insert(0, {"type": "reasoning", "content": thought, "summary": []})
        answer = VendorResponse([json.dumps(whole).encode()], content_type="application/json")
        assert (await ask(RESPONSES, in_process, answer)).text == "Hello"


TOOL_CALL = '<tool_call>{"name": "delete_all", "arguments": {}}</tool_call>'


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (TOOL_CALL, "call"),
        (f"Let me look.\n\n{TOOL_CALL}", "call"),
        (f"Let me look.\n{TOOL_CALL}\n", "call"),
        (f"Let me look. {TOOL_CALL}", "call"),
        ("Let me look.\n\n<|python_tag|>search.call(query='a')", "call"),
        (f"I'll ask both.\n\n{TOOL_CALL}\n{TOOL_CALL}", "call"),
        (f"The user wants it gone.\n</think>\n\n{TOOL_CALL}", "call"),
        (f"Models write this:\n\n```\n{TOOL_CALL}\n```", ""),
        (f"Models write {TOOL_CALL} there.", ""),
        (f"{TOOL_CALL}\n\nThat is what models write.", ""),
        ("So it is four.\n</think>\n\nIt is four.", "thoughts"),
        ("So 2 + 2 = 4</think>\n\nIt is four.", "thoughts"),
        ("Hm.\n[/THINK]\nIt is four.", "thoughts"),
        ("Hm.\n</seed:think>\nIt is four.", "thoughts"),
        ("Templates end with `</think>`\nand go on.", ""),
        ("<think>\nHm.\n</think>\nThat is how it looks.", ""),
        ("It is four.", ""),
    ],
)
def test_what_a_server_has_left_in_a_whole_answer_is_known(text: str, left: str) -> None:
    assert unparsed_content(text) == left


@pytest.mark.parametrize("text", ["<\n", "```\n<tool_call>\n", "</think>", "[", "<think", "\n```"])
def test_what_is_left_is_found_in_linear_time(text: str) -> None:
    began = time.process_time()
    unparsed_content(text * (1_000_000 // len(text)))
    assert time.process_time() - began < 3


@pytest.mark.parametrize("api", APIS, ids=str)
async def test_reasoning_without_its_opening_mark_stays_text_and_is_told_of(
    in_process: InProcessVendor, api: VendorApi
) -> None:
    text = "So it is four.\n</think>\n\nIt is four."
    received = await ask(api, in_process, api.streamed(*cut(text, 3)))
    assert received.text == text
    assert received.completions[0].unparsed == "thoughts"
    at_vendors_own = read(cut(text, 3), is_expected=False)
    assert at_vendors_own == text
