"""Reads the tool calls that a model writes in its text, in the forms of the templates of open models. Pure.

The forms have few ingredients: a JSON object with a name and arguments, or the arguments behind a name; tags with a
name and tags for parameters; Gemma's `call:name{key:<|"|>text<|"|>}`; calls as Python writes them. What stands between
them doesn't matter.
"""

import ast
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.models.prompt import ToolDefinition
from bot.text import unique_members

MAX_CALL_CHARS = 100_000
"""The longest text that is read for calls."""
MAX_PYTHON_CHARS = 10_000
MAX_FAILURES = 20
"""After so many braces without JSON behind them, no more are tried."""

_NAME_KEYS = ("name", "tool", "tool_name", "function_name", "recipient_name", "function")
_ARGUMENT_KEYS = ("arguments", "parameters", "args", "params", "input", "tool_input", "kwargs")
_ANY_MARK = re.compile(r"<[^<>\n]{0,80}>|\[/?[A-Z][A-Z_ ]{2,30}\]")
_WORD = re.compile(r"[A-Za-z_][\w.:-]{0,200}")
_NO_NAMES = {"json", "function", "functions", "commentary", "to", "call", "code", "assistant", "analysis", "tool"}
_NAMED_TAG = re.compile(
    r"<[^<>\s=/]{0,20}\b(?:function|invoke)(?:=|\s+name=)[\"']?([\w.:-]{1,200})[\"']?[^<>\n]{0,80}>"
)
_PARAMETER = re.compile(r"<[^<>\s=/]{0,20}\bparameter(?:=|\s+name=)[\"']?([\w.:-]{1,200})[\"']?([^<>\n]{0,80})>")
_PARAMETER_END = re.compile(r"</[^<>\n]{0,20}\bparameter>")
_KEY_TAG = "<arg_key>"
_KEY_AND_VALUE = re.compile(r"\s*([\w.-]{1,200})\s*</arg_key>\s*<arg_value>")
_GEMMA = re.compile(r"\bcall:([\w.-]{1,200})\s{0,9}(?=\{)")
_BARE_KEY = re.compile(r"([{,]\s*)([A-Za-z_][\w-]{0,100})\s*:")
_FENCED = re.compile(r"\s*(`{3,})[^\n`]{0,40}\n(?P<code>.*?)\n?[ \t]*\1\s*", re.DOTALL)
_OBJECT = re.compile(r"\{|\[(?=\s*[{\]])")
_CALL_BEGINS = re.compile(r"\s*(?:[{\[<]|```|[\w.:-]{1,200}\s*[{(<\[\n])")
_DECODER = json.JSONDecoder(object_pairs_hook=unique_members)

Tools = Mapping[str, ToolDefinition]


@dataclass(frozen=True, slots=True)
class WrittenCall:
    """A call as a model has written it."""

    name: str
    arguments: object = field(repr=False)
    """A JSON text, or an object."""


def looks_like_call(written: str) -> bool:
    """Returns whether what follows the mark of a call begins as a call does, so that it can't be meant for readers."""
    return _CALL_BEGINS.match(_ANY_MARK.sub(" ", written[:400], count=1)) is not None


def read_calls(written: str, tools: Tools, *, is_whole: bool = False) -> list[WrittenCall]:
    """Returns the calls of a text, in order; none if it can't be read.

    `tools`: those that are offered, whose names tell what stands before an object. `is_whole`: the text has no mark of
    a call, so that nothing but a JSON object with a name and arguments, or a list of them, counts.
    """
    if len(written) > MAX_CALL_CHARS:
        return []
    try:
        if is_whole:
            return _whole(written)
        for read in (_tagged, _with_keys, _gemma, _json, _python):
            if calls := list(read(written, tools)):
                return calls
    except RecursionError:
        pass
    return []


def _whole(written: str) -> list[WrittenCall]:
    fenced = _FENCED.fullmatch(written)
    try:
        value = _DECODER.decode((fenced["code"] if fenced else written).strip())
    except ValueError:
        return []
    objects = value if isinstance(value, list) else [value]
    calls = [call for one in objects if (call := _call_in(one, needs_arguments=True))]
    return calls if len(calls) == len(objects) else []


def _call_in(value: Any, *, needs_arguments: bool = False) -> WrittenCall | None:
    """Returns the call that a JSON object is, if it has a name."""
    if not isinstance(value, dict):
        return None
    if isinstance(inner := value.get("function"), dict):
        value = inner
    name = next((value[key] for key in _NAME_KEYS if isinstance(value.get(key), str)), "")
    argument_key = next((key for key in _ARGUMENT_KEYS if key in value), None)
    if not name or (argument_key is None and (needs_arguments or len(value) > 1)):
        return None
    arguments = value[argument_key] if argument_key else {}
    return WrittenCall(_plain(name), {} if arguments is None else arguments)


def _plain(name: str) -> str:
    """Returns a tool's name without a template's additions: `functions.name:0`."""
    return re.sub(r":\d+$", "", name.strip()).removeprefix("functions.")


def _json(written: str, tools: Tools) -> Iterator[WrittenCall]:
    """Yields the calls of JSON objects: with a name in them, or before them."""
    at = begin = failures = 0
    while failures < MAX_FAILURES and (begins := _OBJECT.search(written, begin)):
        try:
            value, end = _DECODER.raw_decode(written, begins.start())
        except ValueError:
            failures += 1
            begin = begins.end()
            continue
        before, at, begin = written[at : begins.start()], end, end
        yield from _calls_of(value, before, tools)


def _calls_of(value: Any, before: str, tools: Tools) -> Iterator[WrittenCall]:
    if isinstance(value, list):
        for one in value:
            yield from _calls_of(one, "", tools)
        return
    words = [_plain(word) for word in _WORD.findall(_ANY_MARK.sub(" ", before))]
    named = [word for word in words if word not in _NO_NAMES]
    offered = [word for word in named if word in tools]
    call = _call_in(value)
    [*_, only] = [*value.items()] if isinstance(value, dict) and len(value) == 1 else [("", None)]
    if offered:
        yield WrittenCall(offered[-1], value)
    elif call:
        yield call
    elif only[0] in tools and isinstance(only[1], dict):
        yield WrittenCall(*only)
    elif named:
        yield WrittenCall(named[-1], value)


def _tagged(written: str, tools: Tools) -> Iterator[WrittenCall]:
    """Yields calls whose name is in a tag: `<function=name>`, `<invoke name="name">`."""
    _, *parts = _NAMED_TAG.split(written)
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        name = _plain(name)
        _, *parameters = _PARAMETER.split(body)
        if parameters:
            of_each = zip(parameters[::3], parameters[1::3], parameters[2::3], strict=True)
            values = {key: _value(raw, _type_of(name, key, tools), attributes) for key, attributes, raw in of_each}
            yield WrittenCall(name, values)
        else:
            yield WrittenCall(name, _object_in(body))


def _object_in(body: str) -> object:
    """Returns the JSON of a tag's body: arguments, which may be none."""
    begin, end = body.find("{"), body.rfind("}")
    return body[begin : end + 1] if 0 <= begin < end else {}


def _type_of(name: str, key: str, tools: Tools) -> object:
    properties = tools[name].parameters.get("properties") if name in tools else None
    described = properties.get(key) if isinstance(properties, Mapping) else None
    return described.get("type") if isinstance(described, Mapping) else None


def _value(raw: str, kind: object, attributes: str = "") -> object:
    """Returns a parameter's value: text where the tool, or the tag, says so, else JSON if it can be read as such."""
    ends = _PARAMETER_END.search(raw)
    text = (raw[: ends.start()] if ends else raw).removeprefix("\n").removesuffix("\n")
    if kind == "string" or 'string="true"' in attributes:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _with_keys(written: str, tools: Tools) -> Iterator[WrittenCall]:
    """Yields calls of GLM: a name, then tags for keys and tags for values."""
    if _KEY_TAG not in written:
        return
    for part in written.split("<tool_call>"):
        head, *arguments = part.split(_KEY_TAG)
        names = _WORD.findall(_ANY_MARK.sub(" ", head))
        values = {}
        for argument in arguments:
            if found := _KEY_AND_VALUE.match(argument):
                raw = argument[found.end() :].partition("</arg_value>")[0]
                values[found[1]] = _value(raw, _type_of(_plain(names[-1]) if names else "", found[1], tools))
        if names:
            yield WrittenCall(_plain(names[-1]), values)


def _gemma(written: str, tools: Tools) -> Iterator[WrittenCall]:
    _, *parts = _GEMMA.split(written)
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        pieces = body.replace("<escape>", '<|"|>').split('<|"|>')
        texts = [json.dumps(piece) if at % 2 else _BARE_KEY.sub(r'\1"\2":', piece) for at, piece in enumerate(pieces)]
        try:
            value, _end = _DECODER.raw_decode("".join(texts))
        except ValueError:
            continue
        yield WrittenCall(_plain(name), value)


def _python(written: str, tools: Tools) -> Iterator[WrittenCall]:
    """Yields calls as Python writes them, `[name(key="value")]`, of tools that are offered."""
    code = _ANY_MARK.sub(" ", written).strip()
    if len(code) > MAX_PYTHON_CHARS or "(" not in code:
        return
    try:
        expression = ast.parse(code, mode="eval").body
    except (SyntaxError, ValueError, MemoryError):
        return
    for node in expression.elts if isinstance(expression, ast.List | ast.Tuple) else [expression]:
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            name = name if name in tools else name.removesuffix(".call").removeprefix("functions.")
            try:
                arguments = {word.arg or "": ast.literal_eval(word.value) for word in node.keywords}
            except ValueError:
                continue
            if name in tools and not node.args:
                yield WrittenCall(name, arguments)
