"""Reads the tool calls that a model writes in its text, in the forms of the templates of open models. Pure.

The forms have few ingredients: a JSON object with a name and arguments, or the arguments behind a name; tags with a
name and tags for parameters; Gemma's `call:name{key:<|"|>text<|"|>}`; calls as Python writes them. What stands between
them doesn't matter.
"""

import ast
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from bot.models.prompt import ToolDefinition
from bot.text import unique_members

MAX_CALL_CHARS = 100_000
"""The longest text that is read for calls."""
MAX_PYTHON_CHARS = 10_000
MAX_WRITTEN = 100
"""So many calls are read."""
MAX_FAILURES = 20
"""After so many braces without JSON behind them, no more are tried."""

_NAME_KEYS = ("name", "tool", "tool_name", "function_name", "recipient_name", "function")
_ARGUMENT_KEYS = ("arguments", "parameters", "args", "params", "input", "tool_input", "kwargs")
_ANY_MARK = re.compile(r"<[^<>\n]{0,80}>|\[/?[A-Z][A-Z_ ]{2,30}\]")
_WORD = re.compile(r"[A-Za-z_][\w.:-]{0,200}")
_NO_NAMES = {"json", "function", "functions", "commentary", "to", "call", "code", "assistant", "analysis", "tool"}
_NAMED_TAG = re.compile(
    r"<[^<>\s=/]{0,20} ?\b(?:function|invoke)(?:\s{0,3}=\s{0,3}|\s{1,3}name=)[\"']?([\w.:-]{1,200})[\"']?"
    r"(?:[^<>\n{(]{0,80}>|(?=\s?[{(]))"
)
_PARAMETER = re.compile(
    r"<[^<>\s=/]{0,20} ?\bparam(?:eter)?(?:\s{0,3}=\s{0,3}|\s{1,3}name=)[\"']?([\w.:-]{1,200})[\"']?([^<>\n]{0,80})>"
)
_PARAMETER_END = re.compile(r"</[^<>\n]{0,20}\bparam(?:eter)?>")
_CALL_END = re.compile(r"</[^<>\n]{0,20}\b(?:function|invoke|tool_?calls?)>")
"""Ends a parameter whose own end is missing."""
_CHILD_TAG = re.compile(r"<(/?)([A-Za-z_][\w-]{0,60})>")
_NAME_CHILD = re.compile(r"<(?:tool_)?name>\s{0,9}([\w.:-]{1,200})\s{0,9}</(?:tool_)?name>")
_CDATA = re.compile(r"\s*<!\[CDATA\[(.*)\]\]>\s*", re.DOTALL)
_KEY_TAG = re.compile(r"<[^<>\s/]{0,20}arg_key[^<>\s]{0,20}>|<\|tool_arg:start\|>")
_KEY_AND_VALUE = re.compile(
    r"\s*([\w.-]{1,200})\s*(?:</[^<>\s]{0,20}arg_key[^<>\s]{0,20}>\s*(?:<[^<>]{0,40}type>[^<>]{0,40}</[^<>]{0,40}type>\s*)?"
    r"<[^<>\s]{0,20}arg_value[^<>\s]{0,20}>|<\|tool_arg:value\|>)"
)
_VALUE_END = re.compile(r"</[^<>\s]{0,20}arg_value[^<>\s]{0,20}>|<\|tool_arg:end\|>")
_CALL_TAG = re.compile(r"<[^<>\s/]{0,20}tool_call(?:[:|]?\w{1,12})?\|?>")
_GEMMA = re.compile(r"\bcall:([\w.-]{1,200})\s{0,9}(?=\{)")
_BARE_KEY = re.compile(r"([{,]\s*)([A-Za-z_][\w-]{0,100})\s*:")
_FENCE = re.compile(r"(`{3,20})[^\n`]{0,40}\n")
_OBJECT = re.compile(r"\{|\[(?=\s*[{\]])")
_CALL_BEGINS = re.compile(r"\s*(?:[{\[<]|```|[\w.:-]{1,200}\s*[{(<\[\n])")
_DECODER = json.JSONDecoder(object_pairs_hook=unique_members)

_PART_OF_CALL = re.compile(r"\bcall [^<>\n]{0,200}?\btool=\"([\w.:-]{1,200})\"[^<>\n]{0,80}<\|sep\|>")
_PART_OF_ARGUMENT = re.compile(
    r"<\|open\|>argument [^<>\n]{0,200}?\bkey=\"([^\"<>\n]{1,200})\"([^<>\n]{0,80})<\|sep\|>"
)
_FRAME = re.compile(r"\]<\]\w{1,30}\[>\[")
_LAST_TOKENS = re.compile(r"(?:\s{0,9}(?:<[|｜][^<>\s]{1,40}[|｜]>|</s>)){1,4}\s{0,9}\Z")
_NAMED_BEFORE = re.compile(
    r"(?:(?:commentary\s{1,3})?to=(?P<to>[\w.:-]{1,200})\s{0,3}(?:json|code)?|(?P<args>[\w.:-]{1,200})\[ARGS\]"
    r"|functools)\s{0,3}(?=[{\[])"
)
_MAYBE_TO = re.compile(r"(?:commentary\s{1,3})?to=[\w.:-]{0,200}\s{0,3}[a-z]{0,4}\s{0,3}")
_PYTHON_LIST = re.compile(r"\[\s{0,9}([\w.]{1,200})\(")
_MAYBE_PYTHON_LIST = re.compile(r"\[\s{0,9}[\w.]{0,200}")
_TOOL_FENCES = ("```tool_code\n", "```tool_call\n", "```tool_calls\n")
_LITERALS = {"null": None, "true": True, "false": False}

Definitions = Mapping[str, ToolDefinition]


@dataclass(frozen=True, slots=True)
class WrittenCall:
    """A call as a model has written it."""

    name: str
    arguments: object = field(repr=False)
    """A JSON text, or an object."""


def begins_call(head: str, tools: Definitions) -> bool | None:
    """Returns whether a text may be nothing but a call that no mark shows; None if not, False if that isn't known yet.

    A JSON object is no such form.
    """
    if found := _NAMED_BEFORE.match(head):
        name = found["to"] or found["args"]
        return True if name is None or _plain(name) in tools else None
    if found := _PYTHON_LIST.match(head):
        return True if _tool_of(found[1], tools) else None
    if head.startswith(_TOOL_FENCES):
        return True
    is_maybe = any(begin.startswith(head) for begin in (*_TOOL_FENCES, "functools[", "commentary to="))
    is_maybe = is_maybe or any(f"{name}[ARGS]".startswith(head) for name in tools)
    return False if is_maybe or _MAYBE_TO.fullmatch(head) or _MAYBE_PYTHON_LIST.fullmatch(head) else None


def looks_like_call(written: str) -> bool:
    """Returns whether what follows the mark of a call begins as a call does, so that it can't be meant for readers."""
    return _CALL_BEGINS.match(_ANY_MARK.sub(" ", written[:400], count=1)) is not None


def read_calls(written: str, tools: Definitions, *, is_whole: bool = False) -> list[WrittenCall]:
    """Returns the calls of a text, in order; none if it can't be read.

    `tools`: those that are offered, whose names tell what stands before an object. `is_whole`: the text has no mark of
    a call, so that nothing but a JSON object with a name and arguments, or a list of them, counts.
    """
    if len(written) > MAX_CALL_CHARS:
        return []
    try:
        if is_whole:
            return _whole(_LAST_TOKENS.sub("", written), tools)
        written = _FRAME.sub("", written)
        for read in (_tagged, _with_keys, _with_children, _with_parts, _gemma, _json, _python, _bare):
            if calls := list(islice(read(written, tools), MAX_WRITTEN)):
                return calls
    except RecursionError:
        pass
    return []


def _whole(written: str, tools: Definitions) -> list[WrittenCall]:
    if written.startswith(_TOOL_FENCES):
        code = written.partition("\n")[2].strip().removesuffix("```")
        return [*_python(code, tools)] or _whole(code, tools)
    if _PYTHON_LIST.match(written):
        return [*_python(written, tools)]
    if found := _NAMED_BEFORE.match(written):
        name, rest = found["to"] or found["args"], written[found.end() :]
        if name:
            with suppress(ValueError):
                return [WrittenCall(_plain(name), _DECODER.decode(rest.strip()))]
            return []
        written = rest
    code = written.strip()
    if fence := _FENCE.match(code):
        code = code[fence.end() :].removesuffix(fence[1]).strip()
    try:
        value = _DECODER.decode(code)
    except ValueError:
        return []
    if isinstance(value, dict) and isinstance(value.get("tool_calls"), list):
        value = value["tool_calls"]
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


def _json(written: str, tools: Definitions) -> Iterator[WrittenCall]:
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


def _calls_of(value: Any, before: str, tools: Definitions) -> Iterator[WrittenCall]:
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


def _tagged(written: str, tools: Definitions) -> Iterator[WrittenCall]:
    """Yields calls whose name is in a tag: `<function=name>`, `<invoke name="name">`."""
    _, *parts = _NAMED_TAG.split(written)
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        name = _plain(name)
        _, *parameters = _PARAMETER.split(body)
        of_each = zip(parameters[::3], parameters[1::3], parameters[2::3], strict=True)
        values = {key: _value(raw, _type_of(name, key, tools), attributes) for key, attributes, raw in of_each}
        yield WrittenCall(name, values or _object_in(body) or _children(name, body, tools))


def _children(name: str, body: str, tools: Definitions) -> dict[str, object]:
    """Returns parameters that are tags of their own names."""
    values: dict[str, object] = {}
    opened: re.Match[str] | None = None
    for tag in _CHILD_TAG.finditer(body):
        if opened is None:
            opened = None if tag[1] else tag
        elif tag[1] and tag[2] == opened[2]:
            values[tag[2]] = _value(body[opened.end() : tag.start()], _type_of(name, tag[2], tools))
            opened = None
    return values


def _with_children(written: str, tools: Definitions) -> Iterator[WrittenCall]:
    """Yields calls whose name and arguments are tags."""
    _, *parts = _NAME_CHILD.split(written)
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        arguments = [value for key, value in _children("", body, {}).items() if key in _ARGUMENT_KEYS]
        if arguments and isinstance(arguments[0], str):
            yield WrittenCall(_plain(name), _children(_plain(name), arguments[0], tools))
        elif arguments:
            yield WrittenCall(_plain(name), arguments[0])


def _object_in(body: str) -> object:
    """Returns the JSON of a tag's body: arguments, which may be none."""
    begin, end = body.find("{"), body.rfind("}")
    return body[begin : end + 1] if 0 <= begin < end else {}


def _type_of(name: str, key: str, tools: Definitions) -> object:
    properties = tools[name].parameters.get("properties") if name in tools else None
    described = properties.get(key) if isinstance(properties, Mapping) else None
    return described.get("type") if isinstance(described, Mapping) else None


def _value(raw: str, kind: object, attributes: str = "") -> object:
    """Returns a parameter's value: text where the tool, or the tag, says so, else JSON if it can be read as such."""
    ends = _PARAMETER_END.search(raw) or _CALL_END.search(raw)
    text = (raw[: ends.start()] if ends else raw).removeprefix("\n").removesuffix("\n")
    if quoted := _CDATA.fullmatch(text):
        text = quoted[1]
    if kind == "string" or 'string="true"' in attributes:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _with_keys(written: str, tools: Definitions) -> Iterator[WrittenCall]:
    """Yields calls of GLM: a name, then tags for keys and tags for values."""
    if not _KEY_TAG.search(written):
        return
    for part in _CALL_TAG.split(written):
        head, *arguments = _KEY_TAG.split(part)
        names = _WORD.findall(_ANY_MARK.sub(" ", head))
        values = {}
        for argument in arguments:
            if found := _KEY_AND_VALUE.match(argument):
                raw = _VALUE_END.split(argument[found.end() :], maxsplit=1)[0]
                values[found[1]] = _value(raw, _type_of(_plain(names[-1]) if names else "", found[1], tools))
        if names:
            yield WrittenCall(_plain(names[-1]), values)


def _with_parts(written: str, tools: Definitions) -> Iterator[WrittenCall]:
    """Yields calls of Kimi K3, whose parts are named between tokens."""
    _, *parts = _PART_OF_CALL.split(written)
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        name = _plain(name)
        _, *arguments = _PART_OF_ARGUMENT.split(body)
        values: dict[str, object] = {}
        for key, attributes, rest in zip(arguments[::3], arguments[1::3], arguments[2::3], strict=True):
            raw = rest.partition("<|close|>")[0]
            values[key] = raw if 'type="string"' in attributes else _value(raw, _type_of(name, key, tools))
        yield WrittenCall(name, values)


def _gemma(written: str, tools: Definitions) -> Iterator[WrittenCall]:
    _, *parts = _GEMMA.split(written)
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        pieces = body.replace("<escape>", '<|"|>').split('<|"|>')
        texts = [json.dumps(piece) if at % 2 else _BARE_KEY.sub(r'\1"\2":', piece) for at, piece in enumerate(pieces)]
        try:
            value, _end = _DECODER.raw_decode("".join(texts))
        except ValueError:
            continue
        yield WrittenCall(_plain(name), value)


def _python(written: str, tools: Definitions) -> Iterator[WrittenCall]:
    """Yields calls as Python writes them, `[name(key="value")]`, and objects as it does, of tools that are offered."""
    if len(written) > MAX_PYTHON_CHARS:
        return
    for code in filter(str.strip, _ANY_MARK.split(written)):
        try:
            body = ast.parse(code.strip()).body
        except (SyntaxError, ValueError, MemoryError):
            continue
        for statement in body:
            if isinstance(statement, ast.Expr):
                yield from _python_calls(statement.value, tools)


def _python_calls(node: ast.expr, tools: Definitions) -> Iterator[WrittenCall]:
    if isinstance(node, ast.List | ast.Tuple):
        for one in node.elts:
            yield from _python_calls(one, tools)
    elif isinstance(node, ast.Dict):
        with suppress(ValueError, TypeError):
            call = _call_in(ast.literal_eval(node))
            if call is not None and call.name in tools:
                yield call
    elif isinstance(node, ast.Call):
        name = _tool_of(ast.unparse(node.func), tools)
        if name and not node.args:
            with suppress(ValueError):
                yield WrittenCall(name, {word.arg or "": _literal(word.value) for word in node.keywords})
        elif len(node.args) == 1 and ast.unparse(node.func) == "print":
            yield from _python_calls(node.args[0], tools)


def _literal(node: ast.expr) -> object:
    """Returns a value; also `null` and `true`, which models write as JSON does."""
    if isinstance(node, ast.Name) and node.id in _LITERALS:
        return _LITERALS[node.id]
    return ast.literal_eval(node)


def _tool_of(written: str, tools: Definitions) -> str:
    """Returns the tool that a name in code means; "" if none is offered."""
    names = (written, written.removesuffix(".call").removeprefix("functions."), written.rpartition(".")[2])
    return next((name for name in names if name in tools), "")


def _bare(written: str, tools: Definitions) -> Iterator[WrittenCall]:
    """Yields the call of an offered tool whose name stands alone."""
    name = _plain(_ANY_MARK.sub(" ", written))
    if name in tools:
        yield WrittenCall(name, {})
