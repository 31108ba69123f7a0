"""Marks of chat templates never appear in the answer, in the forms of open models, however the text is cut into deltas.

Reported as vllm#17144 and sglang#36285 (no opening tag), TensorRT-LLM#9256 and joplin#16595 (channels), llama.cpp#6903
and ollama#3759 (stop tokens), ollama-vscode#20 and vllm#30651 (calls as text), vllm#22975 (no outer tag),
lmstudio-bug-tracker#2013 and omlx#1028 (Gemma's thoughts), pi#368 and mlx-lm#1416 (MiniMax's calls), aiope#119 (DSML),
mlx-lm#1663 (Apertus).
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.texts import for_error
from bot.errors import EndReason
from bot.models.events import FinishReason, TakenBack, Thinking
from bot.models.prompt import ToolDefinition
from bot.models.template_marks import TemplateMarks
from tests.contracts.notifications import PROMPT, ask, collect, connected
from tests.contracts.vendors import ANTHROPIC, APIS, CHAT, RESPONSES, VendorApi
from tests.streams import speech
from tests.streams.server import VendorResponse, VendorServer

READ = ToolDefinition(
    "read_channel", "Reads", {"type": "object", "properties": {"limit": {"type": "integer"}, "q": {"type": "string"}}}
)
CODE = "db3cc688"
FOUR = "The answer is four."


@dataclass(frozen=True)
class Read:
    """What came of a text."""

    text: str
    calls: tuple[tuple[str, object], ...] = ()
    has_unusable_call: bool = False
    starts_within_thought: bool = False


def read(
    deltas: Sequence[str],
    *,
    tools: Mapping[str, ToolDefinition] | None = None,
    within_thought: bool = False,
    whole: bool = True,
    has_calls: bool = False,
) -> Read:
    marks = TemplateMarks({READ.name: READ} if tools is None else tools, CODE)
    if within_thought:
        marks.withhold()
    text = ""
    for result in (*_added(marks, deltas), marks.end(is_complete=whole, has_calls=has_calls)):
        if isinstance(result, TakenBack):
            text = result.text
        elif isinstance(result, str):
            text += result
    calls = [(call.name, _value(call.arguments)) for call in marks.calls]
    return Read(text, tuple(calls), marks.has_unusable_call, marks.starts_within_thought)


def _added(marks: TemplateMarks, deltas: Sequence[str]) -> Iterator[str | Thinking | TakenBack]:
    for delta in deltas:
        yield marks.add(delta)
        while marks.is_behind:
            yield marks.go_on()


def _value(arguments: object) -> object:
    return json.loads(arguments) if isinstance(arguments, str) else arguments


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
            "<|open|>think<|sep|>a<|close|>think<|sep|><|open|>response<|sep|>Hello<|close|>response<|sep|>"
            "<|close|>message<|sep|>",
            "Hello",
        ),
        (
            "<|start|>assistant to=self<|message|>a<|eom|><|start|>assistant to=user<|message|>Hello<|eot|>",
            "Hello",
        ),
        ("<think>a</think>\n<response>Hello</response>", "Hello"),
        # Between two parts of the answer.
        ("Hello.\n<think>a</think>\nBye.", "Hello.\n\nBye."),
        ("Hello.\n\n<think>\na\n</think>\n\nBye.", "Hello.\n\nBye."),
        ("Hello.<think>a</think>Bye.", "Hello.\n\nBye."),
        ("Hello.\n<think>is how it begins.", "Hello.\n<think>is how it begins."),
        ("So:\n<task>\n<think>a</think>\n</task>", "So:\n<task>\n<think>a</think>\n</task>"),
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
def test_reasoning_between_marks_is_no_part_of_the_answer(text: str, expected: str, size: int) -> None:
    assert read(cut(text, size)).text == expected


@pytest.mark.parametrize(
    "text",
    [
        "The user wants X. Secret plan.</think>The answer is four.",
        "Secret.\n</think>\n\nThe answer is four.",
        "Secret. </thinking> The answer is four.",
        "秘密。</think>The answer is four.",
        "Secret.[/THINK]The answer is four.",
        "Secret.◁/think▷The answer is four.",
        "Secret.\n<channel|>The answer is four.",
        "Secret.<|end_of_thought|>\n\n<|begin_of_solution|>The answer is four.",
        "Secret. [BEGIN FINAL RESPONSE]The answer is four.",
        "Secret.</THINK>The answer is four.",
        "Secret.\n</ think>\nThe answer is four.",
        "Secret.\n</think\n>\nThe answer is four.",
        "Secret.</seed:think>The answer is four.",
        "Secret.</inner_thoughts>The answer is four.",
        "Secret.</think>more</think>The answer is four.",
        "Secret.<|close|>think<|sep|><|open|>response<|sep|>The answer is four.",
        "Secret.\n</think>\n\n<response>The answer is four.</response>",
        "An odd ` in it.\n\nSecret.</think>The answer is four.",
    ],
)
@SIZES
@pytest.mark.parametrize("within_thought", [False, True])
def test_text_before_a_closing_mark_alone_is_taken_back(text: str, size: int, within_thought: bool) -> None:
    assert read(cut(text, size), within_thought=within_thought) == Read(FOUR, starts_within_thought=True)


@pytest.mark.parametrize(
    ("text", "whole", "expected"),
    [
        ("Hello", True, Read("Hello")),
        ("a long thought", False, Read("", starts_within_thought=True)),
        ("<think>a</think>Hello", True, Read("Hello", starts_within_thought=True)),
        ("All of it is here.</think>", True, Read("All of it is here.", starts_within_thought=True)),
    ],
)
def test_model_known_for_it_is_withheld_until_the_mark_or_the_end(text: str, whole: bool, expected: Read) -> None:
    assert read([text], within_thought=True, whole=whole) == expected


def test_withheld_text_is_not_shown_before_the_mark() -> None:
    marks = TemplateMarks({})
    marks.withhold()
    assert not any(isinstance(marks.add(delta), str) for delta in cut("Secret plan.", 1))
    assert marks.add("</think>Hello") == "Hello"


def test_reasoning_in_its_own_field_lets_text_through_at_once() -> None:
    marks = TemplateMarks({})
    marks.withhold()
    marks.reasoning_is_separate()
    assert marks.add("Hello") == "Hello"


def test_thought_before_a_call_is_taken_back() -> None:
    assert read(["I should look.</think>"], has_calls=True).text == ""
    assert read(["I should look.</think>"]).text == "I should look."


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
        ("analysis<|message|>S<|end|><|start|>assistant<|channel|>final<|message|>The answer is four.", FOUR),
        ("analysisWe need it.assistantfinalThe answer is four.", FOUR),
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
        ("assistant\n\nThe answer is four.", FOUR),
        ("<s>The answer is four.</s>", FOUR),
        ("[INST] The answer is four.", FOUR),
        ("<start_of_turn>model\nThe answer is four.<end_of_turn><start_of_turn>user\nAnd five?", FOUR),
        ("The answer is four.<|im_end|><|im_start|>user\nMore?<|im_end|><|im_start|>assistant\nYes.", FOUR),
        ("The answer is four.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nMore?", FOUR),
        ("The answer is four.</s>[INST] More? [/INST] Yes.", FOUR),
        ("The answer is four.<|endoftext|>Human: More?\n\nAssistant: Yes.", FOUR),
        ("The answer is four.<|end|><|user|>\nMore?", FOUR),
        ("The answer is four.<｜end▁of▁sentence｜><｜User｜>More?", FOUR),
        ("The answer is four.[|endofturn|]", FOUR),
        ("[|assistant|]The answer is four.", FOUR),
        ("The answer is four.<EOS_TOKEN>", FOUR),
        ("The answer is four.<unused5><reserved_106>", FOUR),
        ("The answer is <|begin_of_box|>four<|end_of_box|>.", FOUR),
        ("assistantanalysisWe need it.assistantfinalThe answer is four.", FOUR),
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
    ],
)
@SIZES
def test_marks_go(text: str, expected: str, size: int) -> None:
    assert read(cut(text, size)) == Read(expected)


@pytest.mark.parametrize(
    "text",
    [
        "Use `<|im_end|>` to end.",
        "Use ``<think>`` and `</think>`.",
        "```\n<|im_start|>user\nHi<|im_end|>\n```\nDone.",
        "```py\nx='<|im_end|>'",
        "```html\n<p>a</p>\n</s>",
        "```py\nx = a <| b",
        "List.map f <| List.filter g <| xs",
        "a <|b| c",
        "a<|b|>c",
        "f <|",
        "Use <function=name> for it.",
        'In XML:\n<function name="main">\n<body/>\n</function>\nDone.',
        "x[1]<y and z]<]",
        "The state <0|psi|0> is normed, and Promise<User|null> is a type.",
        "<https://e.example|the page>",
        "read_channel is a tool, and [read_channel(1)] is a list.",
        "<tools>\n<tool>hammer</tool>\n</tools>",
        "<tool_use>is a tag</tool_use>",
        "It uses <tool_call> tags around JSON.",
        "```tool_code\nprint(1)\n```",
        "[name(limit=3)] is a list",
        "commentary to=the text",
        "to=you",
        "functools[0]",
        "> ```\n> </think>\n> ```\n\nDone.",
        "An example:\n\n    <|im_start|>user\n\nDone.",
        "The token <|im_end|> ends a turn.",
        'The token "<|im_end|>" ends a turn.',
        "The tag </think> closes it.",
        "a < b and c > d, f <| x |> g, List<int> x<y>z",
        "<table><tr><td>x</td></tr></table>",
        "Well [INST] is a mark. [TODO] x [x] [1]: y",
        "[db3cc689 at noon] is no mark of ours",
        'Hermes writes <tool_call>{"name": "read_channel", "arguments": {}}</tool_call> to call it.',
        'Write `<tool_call>{"name": "read_channel", "arguments": {}}</tool_call>` for it.',
        '```xml\n<tool_call>{"name": "read_channel", "arguments": {}}</tool_call>\n```',
        "<tool_call>\nis how a call begins, and this explains it.",
        '```json\n{"name": "Ada", "arguments": 1}\n```',
        '{"name": "Ada", "age": 3}',
        '{"id": 3, "x": [1]}',
        '{"name": "read_channel", "arguments": {}}\n\nThat is how.',
    ],
)
@SIZES
def test_what_explains_marks_stays(text: str, size: int) -> None:
    assert read(cut(text, size)) == Read(text)


CALLS = [
    '<tool_call>{"name": "read_channel", "arguments": {"limit": 3}}</tool_call>',
    '<tool_call>\n{"name": "read_channel", "arguments": {"limit": 3}}\n</tool_call>\n<tool_response>made up',
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


# Known by a mark, where the server's parser is another model's, or the model has forgotten a part.
MORE_CALLS = [
    "<function=read_channel>\n<parameter=limit>\n3\n</parameter>\n</function>\n</tool_call>",
    "<tool_call>\n<function=read_channel>\n<parameter=limit>\n3\n</function>\n</tool_call>",
    "<tool_call>\n<function = read_channel>\n<parameter = limit>\n3\n</parameter>\n</function>\n</tool_call>",
    '<think>\nI look.\n<tool_call>\n{"name": "read_channel", "arguments": {"limit": 3}}\n</tool_call>',
    "<tool_call>\n{'name': 'read_channel', 'arguments': {'limit': 3}}\n</tool_call>",
    '<functioncall>{"name": "read_channel", "arguments": {"limit": 3}}</functioncall>',
    "<longcat_tool_call>read_channel\n<longcat_arg_key>limit</longcat_arg_key>\n<longcat_arg_value>3</longcat_arg_value>\n"
    "</longcat_tool_call>",
    "<tool_calls:6124c78e><tool_call:6124c78e>read_channel\n<arg_key:6124c78e>limit</arg_key:6124c78e>\n"
    "<arg_value:6124c78e>3</arg_value:6124c78e>\n</tool_call:6124c78e></tool_calls:6124c78e>",
    "<ifm|tool_calls><ifm|tool_call>read_channel\n<ifm|arg_key>limit</ifm|arg_key><ifm|arg_type>integer</ifm|arg_type>"
    "<ifm|arg_value>3</ifm|arg_value></ifm|tool_call></ifm|tool_calls>",
    "<|tool_call:start|>read_channel\n<|tool_arg:start|>limit<|tool_arg:value|>3<|tool_arg:end|>\n<|tool_call:end|>",
    '<｜｜DSML｜｜tool_calls>\n<｜｜DSML｜｜invoke name="read_channel">\n'
    '<｜｜DSML｜｜parameter name="limit" string="false">3'
    "</｜｜DSML｜｜parameter>\n</｜｜DSML｜｜invoke>\n</｜｜DSML｜｜tool_calls>",
    '<｜DSML｜ tool_calls>\n<｜DSML｜ invoke name="read_channel">\n<｜DSML｜ parameter name="limit" string="false">3'
    "</｜DSML｜ parameter>\n</｜DSML｜ invoke>\n</｜DSML｜ tool_calls>",
    ']<]minimax[>[<tool_call>\n]<]minimax[>[<invoke name="read_channel">\n]<]minimax[>[<limit>3]<]minimax[>[</limit>\n'
    "]<]minimax[>[</invoke>\n]<]minimax[>[</tool_call>",
    "<function_calls>\n<invoke>\n<tool_name>read_channel</tool_name>\n<parameters>\n<limit>3</limit>\n</parameters>\n"
    "</invoke>\n</function_calls>",
    '<function name="read_channel"><param name="limit"><![CDATA[3]]></param></function>',
    '<|message_model|>read_channel<|content_invoke_tool_json|>{"name":"read_channel","args":{"limit":3}}<|end_message|>',
    '<|open|>tools<|sep|><|open|>call tool="read_channel" index="0"<|sep|>'
    '<|open|>argument key="limit" type="number"<|sep|>'
    "3<|close|>argument<|sep|><|close|>call<|sep|><|close|>tools<|sep|>",
    '<|inner_prefix|>look<|tools_prefix|>[{"read_channel": {"limit": 3}}]<|tools_suffix|>',
    '<function=read_channel{"limit": 3}</function>',
    '<function=read_channel {"limit": 3}></function>',
    "<|tool_call_start|>[read_channel(limit=3)]<|tool_call_end|>I look.",
    "<function_calls>read_channel(limit=3)</function_calls>",
    '<tools>\n{"name": "read_channel", "arguments": {"limit": 3}}\n</tools>',
    '<tool_use>{"name": "read_channel", "input": {"limit": 3}}</tool_use>',
    '<tool_use>\n<name>read_channel</name>\n<arguments>{"limit": 3}</arguments>\n</tool_use>',
]
# Known by the whole text alone.
WHOLE_CALLS = [
    '{"name": "read_channel", "arguments": {"limit": 3}}',
    '[{"name": "read_channel", "parameters": {"limit": 3}}]',
    '```json\n{"name": "read_channel", "arguments": {"limit": 3}}\n```',
    '{"type": "function", "function": {"name": "read_channel", "arguments": "{\\"limit\\": 3}"}}',
    '{"name": "read_channel", "parameters": {"limit": 3}}<|eot_id|>',
    '{"tool_calls": [{"name": "read_channel", "arguments": {"limit": 3}}]}',
    "[read_channel(limit=3)]",
    'functools[{"name": "read_channel", "arguments": {"limit": 3}}]',
    'read_channel[ARGS]{"limit": 3}',
    "```tool_code\nread_channel(limit=3)\n```",
    "```tool_code\nprint(default_api.read_channel(limit=3))\n```",
    '```tool_call\n{"name": "read_channel", "arguments": {"limit": 3}}\n```',
    'commentary to=functions.read_channel json{"limit": 3}',
    'analysisWe look.assistantcommentary to=functions.read_channel json{"limit": 3}',
    'to=functions.read_channel<|channel|>commentary json<|message|>{"limit": 3}<|call|>',
]


@pytest.mark.parametrize("text", [*CALLS, *MORE_CALLS, *WHOLE_CALLS])
@SIZES
def test_written_call_of_an_offered_tool_is_a_call(text: str, size: int) -> None:
    assert read(cut(text, size)) == Read("", (("read_channel", {"limit": 3}),))


@pytest.mark.parametrize("text", CALLS)
def test_written_call_where_no_tool_is_offered_is_no_answer(text: str) -> None:
    assert read(cut(text, 2), tools={}) == Read("", has_unusable_call=True)


@pytest.mark.parametrize("text", [*CALLS, *MORE_CALLS])
@pytest.mark.parametrize("behind", ["", "\nThe channel says hello."])
def test_text_before_a_written_call_stays_and_text_behind_it_goes(text: str, behind: str) -> None:
    read_text = read(cut(f"I'll look.\n\n{text}{behind}", 1))
    assert read_text == Read("I'll look.\n\n", (("read_channel", {"limit": 3}),))


@pytest.mark.parametrize("text", WHOLE_CALLS)
def test_what_has_no_mark_is_a_call_only_as_the_whole_text(text: str) -> None:
    assert read(cut(f"I'll look.\n\n{text}", 1)).calls == ()


def test_call_after_reasoning_that_no_mark_opens_is_a_call() -> None:
    read_text = read(cut('I look.</think>\n{"name": "read_channel", "arguments": {"limit": 3}}', 1))
    assert read_text == Read("", (("read_channel", {"limit": 3}),), starts_within_thought=True)


def test_text_values_stay_text() -> None:
    text = "<function=read_channel><parameter=q>3</parameter><parameter=limit>3</parameter></function>"
    gemma = '<|tool_call>call:read_channel{q:<|"|>a, {b}: "c"<|"|>,limit:3}<tool_call|>'
    assert read([text]).calls == (("read_channel", {"q": "3", "limit": 3}),)
    assert read([gemma]).calls == (("read_channel", {"q": 'a, {b}: "c"', "limit": 3}),)


@pytest.mark.parametrize(
    "text",
    [
        CALLS[0] + "\n" + CALLS[0],
        "<function_calls>read_channel(limit=3)\nread_channel(limit=3)</function_calls>",
        "<|tool_call_start|>[read_channel(limit=3), read_channel(limit=3)]<|tool_call_end|>",
        '[TOOL_CALLS]read_channel[ARGS]{"limit": 3}[TOOL_CALLS]read_channel[ARGS]{"limit": 3}',
    ],
)
def test_several_calls_are_all_read(text: str) -> None:
    assert read([text]).calls == (("read_channel", {"limit": 3}),) * 2


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("<tool_call>read_channel</tool_call>", {}),
        ("<tool_call>read_channel\n</tool_call>", {}),
        ("<function_calls>read_channel(limit=3, q=null)</function_calls>", {"limit": 3, "q": None}),
        ('<function name="read_channel"><param name="q"><![CDATA[a\nb]]></param></function>', {"q": "a\nb"}),
        (
            "<function=read_channel><parameter=q>a </function> <b>b</b></parameter></function>",
            {"q": "a </function> <b>b</b>"},
        ),
        (f"<tool_call>{'<a>' * 20_000}", None),
        ("<tools>read_channel(</tools>", None),
    ],
)
def test_arguments_are_those_that_were_written(text: str, arguments: object) -> None:
    assert read([text]).calls == (() if arguments is None else (("read_channel", arguments),))


PIECES = [
    *("<think>", "</think>", "<|im_end|>", "<|channel|>", "analysis", "final", "<|message|>", "<|start|>", "assistant"),
    *("<|im_start|>", "user", "\n", "\n\n", " ", "a", "The answer.", "`", "``", "```", "```json\n", "~~~", "</s>"),
    *("<s>", "[INST]", "[/INST]", *CALLS[:3], "<tool_call>", "</tool_call>", "[TOOL_CALLS]", "read_channel", "{}"),
    *("<|", "<", "[", "|>", "◁think▷", "<|channel>thought\n", "<channel|>", "to=functions.read_channel", " json"),
    *("    ", "- ", "> ", "User:", "\\", f"[{CODE} at x]", "<answer>", "</answer>", "é", "“", "(", "assistantfinal"),
    *("<mm:think>", "</ think>", "</think\n>", '<think a="1">', "<think/>", "[|endofturn|]", "]<]minimax[>[", "]"),
    *("<|inner_prefix|>", "<|content_thinking|>", "<|end_message|>", "<|message_model|>", "<tools>", "</tools>"),
    *(
        "<function=read_channel",
        "<analysis>",
        "</analysis>",
        "to=self<|message|>",
        "commentary to=functions.read_channel",
    ),
    *(
        "[read_channel(limit=3)]",
        "```tool_code\n",
        "[ARGS]",
        "<|im",
        "</thi",
        "end.",
        "<|open|>",
        "think<|sep|>",
        "<|close|>",
    ),
]
LONG = [
    "<",
    "<|x|>",
    "`a`",
    "<tool_call>a b c</tool_call> ",
    "\n```\n",
    "</ ",
    "]",
    "[|x|]",
    "<|open|>a",
    "\n<think>a",
    "<analysis>a</analysis>",
    "<tools>{",
    "<function=a{",
    "```\n<|ab|>\n",
]


@pytest.mark.parametrize("unit", LONG)
def test_long_delta_is_read_in_steps(unit: str) -> None:
    """No step of one delta of 64 kB holds the event loop, and marks that nest in no way need no deeper stack."""
    marks = TemplateMarks({READ.name: READ}, CODE)
    text = unit * (65_536 // len(unit))
    began = time.thread_time()
    marks.add(text)
    steps_s = [time.thread_time() - began]
    while marks.is_behind:
        began = time.thread_time()
        marks.go_on()
        steps_s.append(time.thread_time() - began)
    assert sorted(steps_s)[-3:][0] < 0.05, "one or two may have met the garbage collection"
    assert read([text]) == read(cut(text, 1000))


TEXTS = st.lists(st.sampled_from(PIECES), max_size=14)


@given(texts=TEXTS, cuts=st.lists(st.integers(0, 120)), within_thought=st.booleans(), whole=st.booleans())
def test_chunking_makes_no_difference(texts: list[str], cuts: list[int], within_thought: bool, whole: bool) -> None:
    text = "".join(texts)
    at = sorted({0, *(cut for cut in cuts if cut < len(text)), len(text)})
    deltas = [text[low:high] for low, high in pairwise(at)]
    in_pieces = read(deltas, within_thought=within_thought, whole=whole)
    assert in_pieces == read([text], within_thought=within_thought, whole=whole)


class TestProvider:
    """The same through each API, over real HTTP."""

    @pytest.mark.parametrize("api", APIS, ids=str)
    @pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])
    async def test_thought_without_an_opening_mark_is_taken_back_and_then_withheld(
        self, vendor: VendorServer, api: VendorApi, streaming: bool
    ) -> None:
        deltas = ["Secret", " plan.", "</th", "ink>", "\n\nHello", " there!"]
        answer = api.streamed(*deltas) if streaming else api.whole("".join(deltas))
        plain = api.streamed("Hello", " there!")
        vendor.script(answer, answer, plain, plain)
        async with connected(api, vendor) as provider:
            first, second, third, fourth = [await collect(provider) for _ in range(4)]
        assert [one.text for one in (first, second, third, fourth)] == ["Hello there!"] * 4
        assert first.taken_back == (["Secret plan."] if streaming else [])
        assert second.taken_back == []
        assert not any("Secret" in delta for delta in second.deltas)
        # A model that stops doing it is shown at once again.
        assert (len(third.deltas), len(fourth.deltas)) == (1, 2)

    @pytest.mark.parametrize("api", APIS, ids=str)
    async def test_written_call_is_made_as_any_other(self, vendor: VendorServer, api: VendorApi) -> None:
        prompt = replace(PROMPT, tools=(READ,))
        received = await ask(api, vendor, api.streamed("I'll look.\n", *cut(CALLS[0], 5)), prompt=prompt)
        assert received.end is FinishReason.TOOLS
        assert received.text == "I'll look.\n"
        assert [(call.name, call.arguments) for call in received.calls] == [("read_channel", {"limit": 3})]

    @pytest.mark.parametrize("api", APIS, ids=str)
    @pytest.mark.parametrize("before", ["", "I'll look.\n"])
    async def test_written_call_that_cannot_be_made_ends_in_a_sentence(
        self, vendor: VendorServer, api: VendorApi, before: str
    ) -> None:
        received = await ask(api, vendor, api.streamed(before + CALLS[0]))
        assert (received.text, received.failure) == (before, EndReason.WROTE_CALL)
        assert received.error is not None
        assert "can't call tools" in for_error(received.error)


class TestReasoning:
    """Reasoning is never part of the answer, and it shows that the model is working."""

    @pytest.mark.parametrize("api", [RESPONSES, CHAT], ids=str)
    @pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])
    async def test_reasoning_in_tags_is_not_in_the_answer(
        self, vendor: VendorServer, api: VendorApi, streaming: bool
    ) -> None:
        deltas = ["<th", "ink>\nA greet", "ing.", "</think>", "\n\n", "Hello", " there!"]
        received = await ask(api, vendor, api.streamed(*deltas) if streaming else api.whole("".join(deltas)))
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
        self, vendor: VendorServer, api: VendorApi, name: str, thought: int
    ) -> None:
        received = await ask(api, vendor, VendorResponse([speech.documented(name)]))
        assert (received.text, received.failure, received.thought) == ("", EndReason.ONLY_THOUGHT, thought)
        assert received.error is not None
        assert "while thinking" in for_error(received.error)

    async def test_reasoning_is_removed_without_streaming(self, vendor: VendorServer) -> None:
        whole = json.loads(speech.responses_whole("Hello"))
        thought = [{"type": "reasoning_text", "text": "A greeting."}]
        whole["output"].insert(0, {"type": "reasoning", "content": thought, "summary": []})
        answer = VendorResponse([json.dumps(whole).encode()], content_type="application/json")
        assert (await ask(RESPONSES, vendor, answer)).text == "Hello"
