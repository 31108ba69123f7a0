"""What servers respond, well-formed or not: a result as the text that a model reads, and a list as its tools.

A server that says so is in test_server.py, once for each kind.
"""

import json

import pytest
from mcp_types import CallToolResult, InitializeResult, ListToolsResult
from mcp_types.version import LATEST_HANDSHAKE_VERSION

from bot.mcp.config import ToolRules
from bot.mcp.definitions import ListedTool, offered_names
from bot.mcp.responses import readable_result, result_text
from bot.mcp.tools import convert_tools
from tests.mcp.servers import Json, text_result


def read(result: Json) -> CallToolResult:
    """Returns a result of a call as the SDK takes it."""
    return CallToolResult.model_validate(readable_result(result), by_name=False)


def listed(tools: object, **beside: object) -> list[ListedTool]:
    page = ListToolsResult.model_validate(readable_result({"tools": tools, **beside}), by_name=False)
    return [ListedTool.from_sdk(tool) for tool in page.tools]


def introduction(about: Json) -> InitializeResult:
    """Returns what a server says of itself as the SDK takes it."""
    return InitializeResult.model_validate(readable_result(about), by_name=False)


def part(**fields: object) -> Json:
    return {"content": [fields]}


def texts(*said: str) -> Json:
    return {"content": [{"type": "text", "text": text} for text in said]}


SCHEMA_OF_A = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
GOOD: Json = {"name": "good", "description": "Does it.", "inputSchema": SCHEMA_OF_A}
REPAIRED: dict[str, tuple[Json, Json]] = {
    "no inputSchema": ({"name": "it"}, {}),
    "null": ({"name": "it", "inputSchema": None}, {}),
    "an empty list": ({"name": "it", "inputSchema": []}, {}),
    "no type": ({"name": "it", "inputSchema": {"properties": {}}}, {"properties": {}}),
    "properties as a list": ({"name": "it", "inputSchema": {"type": "object", "properties": []}}, {"properties": {}}),
    "null as properties": ({"name": "it", "inputSchema": {"type": "object", "properties": None}}, {"properties": {}}),
    "properties as a list, deeper": (
        {"name": "it", "inputSchema": {"properties": {"a": {"type": "object", "properties": []}}}},
        {"properties": {"a": {"type": "object", "properties": {}}}},
    ),
    "required as a text": ({"name": "it", "inputSchema": {"required": "a"}}, {"required": ["a"]}),
    "required as a boolean": ({"name": "it", "inputSchema": {"required": True}}, {}),
    "required with a number": ({"name": "it", "inputSchema": {"required": ["a", 5]}}, {"required": ["a"]}),
    "two types": ({"name": "it", "inputSchema": {"type": ["object", "null"]}}, {}),
    "an empty list as data": (
        {"name": "it", "inputSchema": {"default": {"properties": []}}},
        {"default": {"properties": []}},
    ),
    "an annotation that is a word": ({**GOOD, "name": "it", "annotations": "read-only"}, SCHEMA_OF_A),
    "a hint that is a word": ({**GOOD, "name": "it", "annotations": {"readOnlyHint": "maybe"}}, SCHEMA_OF_A),
    "an icon without src": ({**GOOD, "name": "it", "icons": [{"mimeType": "image/png"}]}, SCHEMA_OF_A),
    "a description as a list": ({**GOOD, "name": "it", "description": ["a"]}, SCHEMA_OF_A),
    "a title as a number": ({**GOOD, "name": "it", "title": 5}, SCHEMA_OF_A),
    "_meta as a list": ({**GOOD, "name": "it", "_meta": []}, SCHEMA_OF_A),
    "_meta as ours": ({**GOOD, "name": "it", "_meta": {"typist/broken": True}}, SCHEMA_OF_A),
    "outputSchema as a text": ({**GOOD, "name": "it", "outputSchema": "x"}, SCHEMA_OF_A),
}
BROKEN: dict[str, tuple[object, str]] = {
    "a number as a name": ({**GOOD, "name": 5}, "tool-2-of-its-list"),
    "no name": ({"inputSchema": {"type": "object"}}, "tool-2-of-its-list"),
    "a text as a schema": ({"name": "it", "inputSchema": "x"}, "it"),
    "a schema of a text": ({"name": "it", "inputSchema": {"type": "string"}}, "it"),
    "two types without an object": ({"name": "it", "inputSchema": {"type": ["string", "null"]}}, "it"),
    "properties as a list of something": ({"name": "it", "inputSchema": {"properties": ["a"]}}, "it"),
    "no object": ("it", "tool-2-of-its-list"),
    "null": (None, "tool-2-of-its-list"),
}


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (text_result("Hi."), "Hi."),
        ({**text_result("No."), "isError": True}, "No."),
        ({**text_result("Hi."), "tools": ["a"], "protocolVersion": 1}, "Hi."),
        ({"content": []}, "(The tool returned nothing.)"),
        (
            part(type="image", data="AAAA", mimeType="image/png"),
            "[left out: image (image/png, 3 bytes), which Typist doesn't pass on]",
        ),
        (
            part(type="audio", data="AAAA", mimeType="audio/wav"),
            "[left out: audio (audio/wav, 3 bytes), which Typist doesn't pass on]",
        ),
        (
            part(type="resource_link", uri="https://evil.example/?q=1", name="more"),
            "[link to more: https://evil.example/?q=1]",
        ),
        (
            part(type="resource_link", uri="a:b", name="q3.pdf", title="Third quarter", description="12 pages."),
            "[link to q3.pdf (Third quarter): a:b]\n12 pages.",
        ),
        (part(type="resource_link", uri="a:b", name="q3.pdf", title="q3.pdf"), "[link to q3.pdf: a:b]"),
        (part(type="resource", resource={"uri": "file:///a", "text": "A."}), "[contents of file:///a]\nA."),
        (
            part(type="resource", resource={"uri": "file:///a", "blob": "AAAA"}),
            "[left out: file file:///a (of an unknown type, 3 bytes), which Typist doesn't pass on]",
        ),
        (
            part(type="resource", resource={"blob": "AAAA"}),
            "[left out: file (of an unknown type, 3 bytes), which Typist doesn't pass on]",
        ),
        # LibreChat#15601: a text that comes in base64.
        (
            part(type="resource", resource={"uri": "a:b", "blob": "PGEvPg==", "mimeType": "image/svg+xml; charset=x"}),
            "[contents of a:b]\n<a/>",
        ),
        (
            part(type="resource", resource={"uri": "a:b", "blob": "eyJhIjogMX0=", "mimeType": "application/ld+JSON"}),
            '[contents of a:b]\n{"a": 1}',
        ),
        (
            part(type="resource", resource={"uri": "a:b", "blob": "YTogMQ", "mimeType": "application/yaml"}),
            "[contents of a:b]\na: 1",
        ),
        (
            part(type="resource", resource={"uri": "file:///a", "blob": "w6QK", "mimeType": "text/plain"}),
            "[contents of file:///a]\nä\n",
        ),
        (
            part(type="resource", resource={"uri": "a:b", "blob": "/wD/", "mimeType": "application/json"}),
            "[left out: file a:b (application/json, 3 bytes), which Typist doesn't pass on]",
        ),
        ({"content": [], "structuredContent": {"a": 1}}, '{"a": 1}'),
        ({**text_result("Two."), "structuredContent": {"n": 2}}, 'Two.\n\n{"n": 2}'),
        ({**text_result('{ "n": 2 }'), "structuredContent": {"n": 2}}, '{ "n": 2 }'),
        ({**text_result("[1, 2]"), "structuredContent": ["é", 2]}, '[1, 2]\n\n["é", 2]'),
        ({**text_result('{"b": 1, "a": [2]}'), "structuredContent": {"a": [2], "b": 1}}, '{"b": 1, "a": [2]}'),
        ({**text_result("["), "structuredContent": {"n": "é"}}, '[\n\n{"n": "é"}'),
        ({**text_result("Hi."), "structuredContent": {"result": "Hi."}}, "Hi."),
        ({**text_result("5"), "structuredContent": {"result": 5}}, "5"),
        ({**text_result("5"), "structuredContent": {"result": "5"}}, "5"),
        ({**text_result("5"), "structuredContent": {"result": 5, "more": 6}}, '5\n\n{"result": 5, "more": 6}'),
        ({**texts("1", "2"), "structuredContent": {"result": ["1", "2"]}}, "1\n\n2"),
        ({**texts("1", "2"), "structuredContent": {"result": [1, 2]}}, "1\n\n2"),
        ({**text_result("5"), "structuredContent": {"result": 6}}, '5\n\n{"result": 6}'),
        ({"structuredContent": {"n": 2}}, '{"n": 2}'),
        ({"content": "no list"}, "no list"),
        ({**text_result("Hi."), "_meta": [], "isError": "no"}, "Hi."),
        ({"content": None}, "(The tool returned nothing.)"),
        # Of what is of an unknown kind, the model reads the JSON.
        ({"content": [{"type": "json", "json": {"é": 1}}]}, '{"type": "json", "json": {"é": 1}}'),
        (
            {"content": [{"type": "json", "json": ["é 1"] * 900}]},
            json.dumps({"type": "json", "json": ["é 1"] * 900}, ensure_ascii=False),
        ),
        # Each part has what can be read of it.
        (part(type="markdown", text="M" * 3_000), "M" * 3_000),
        (part(type="resource", resource={"text": "T" * 3_000}), "T" * 3_000),
        (part(type="resource_link", uri="a:b"), "[link to a:b: a:b]"),
        (
            part(type="image", data="A" * 4_000, annotations={"priority": 5}),
            "[left out: image (of an unknown type, 3,000 bytes), which Typist doesn't pass on]",
        ),
        (
            part(type="resource", resource={"uri": "a:b", "blob": "w7_Dvw", "mimeType": "Text/Plain"}),
            "[contents of a:b]\nÿÿ",
        ),
        ({**text_result(" \n"), "isError": True}, "(The tool failed, and gave no reason.)"),
        ({"content": [], "isError": True}, "(The tool failed, and gave no reason.)"),
        ({"isError": True}, "(The tool failed, and gave no reason.)"),
        ({**text_result("No."), "isError": "true"}, "No."),
        ({"output": "Found."}, '{"output": "Found."}'),
        ({"content": [], "output": "Found."}, "(The tool returned nothing.)"),
        ({"_meta": {"a": 1}}, "(The tool returned nothing.)"),
    ],
)
def test_result_of_each_kind_is_read_as_text(result: Json, text: str) -> None:
    taken = read(result)
    assert (result_text(taken), taken.is_error) == (text, result.get("isError") in (True, "true"))


@pytest.mark.parametrize(
    "result",
    [
        {"supportedVersions": ["2025-06-18"], "content": [], "_meta": {"a": 1}},
        {"resultType": "task", "content": [], "task": {"taskId": "7"}},
    ],
)
def test_result_of_an_unknown_kind_stays_as_it_is(result: Json) -> None:
    assert readable_result(dict(result)) == result


@pytest.mark.parametrize(("definition", "schema"), REPAIRED.values(), ids=REPAIRED.keys())
def test_odd_definition_is_repaired_and_costs_no_other(definition: Json, schema: Json) -> None:
    tools = listed([GOOD, definition, {**GOOD, "name": "last"}])
    assert [(tool.name, tool.is_broken) for tool in tools] == [("good", False), ("it", False), ("last", False)]
    assert tools[1].parameters == {"type": "object", **schema}


@pytest.mark.parametrize(
    ("said", "title"),
    [
        ({}, ""),
        ({"title": "Adds"}, "Adds"),
        ({"annotations": {"title": "Adds"}}, "Adds"),
        ({"title": "Adds", "annotations": {"title": "Sums"}}, "Adds"),
    ],
)
def test_title_is_the_tools_own_or_that_of_its_annotations(said: Json, title: str) -> None:
    assert [tool.title for tool in listed([{**GOOD, **said}])] == [title]


@pytest.mark.parametrize(("definition", "name"), BROKEN.values(), ids=BROKEN.keys())
def test_broken_definition_is_left_out_and_costs_no_other(definition: object, name: str) -> None:
    tools = listed([GOOD, definition, {**GOOD, "name": "last"}])
    assert [(tool.name, tool.is_broken) for tool in tools] == [("good", False), (name, True), ("last", False)]
    known = [(f"raw__{tool.name}", tool, False) for tool in tools]
    offered = convert_tools(known, ToolRules(), 30)
    assert [tool.name for tool in offered.definitions] == ["raw__good", "raw__last"]
    assert offered.left_out == (f"raw__{name}",)


@pytest.mark.parametrize(
    ("tools", "beside", "names"),
    [
        ([GOOD], {"nextCursor": 2}, ["good", "tools-after-1-of-its-list"]),
        ([GOOD], {"nextCursor": {"page": 2}}, ["good", "tools-after-1-of-its-list"]),
        ([GOOD], {"nextCursor": ""}, ["good"]),
        ([GOOD], {"nextCursor": None}, ["good"]),
        ([GOOD], {"ttlMs": "soon", "_meta": "x"}, ["good"]),
        (None, {}, []),
        ({"good": GOOD}, {}, ["tools-after-0-of-its-list"]),
        ("good", {}, ["tools-after-0-of-its-list"]),
    ],
)
def test_odd_list_holds_the_tools_that_can_be_read_and_names_what_is_missing(
    tools: object, beside: Json, names: list[str]
) -> None:
    found = listed(tools, **beside)
    assert [tool.name for tool in found] == names
    assert [tool.name for tool in found if tool.is_broken] == [name for name in names if name != "good"]


@pytest.mark.parametrize("version", ["2026-07-28", "2024-10-07", "DRAFT-2025-v2", "", 1, None])
def test_server_that_begins_as_older_versions_do_is_taken_whichever_version_it_names(version: object) -> None:
    """rust-sdk#1209, mcp-k8s-go#40: the newest version, which has no such beginning, and one that isn't any."""
    said = introduction({"protocolVersion": version, "capabilities": {}, "serverInfo": {}})
    assert said.protocol_version == LATEST_HANDSHAKE_VERSION


@pytest.mark.parametrize(
    "about",
    [
        {"capabilities": []},
        {"capabilities": {"tools": True, "prompts": None}},
        {"capabilities": {"tools": []}, "serverInfo": None},
        {"serverInfo": {"name": "raw"}},
        {"serverInfo": {"name": "raw", "version": 1}, "instructions": 5},
        {"serverInfo": None, "capabilities": None},
        {"protocolVersion": "2024-11-05"},
    ],
    ids=str,
)
def test_what_a_server_says_of_itself_is_taken_whatever_it_is(about: Json) -> None:
    said = introduction({"protocolVersion": "2024-11-05", **about})
    assert said.protocol_version == "2024-11-05"


def test_names_and_capabilities_of_a_server_are_its_own() -> None:
    about = {"serverInfo": {"name": "raw", "version": "1.2", "title": "Raw"}, "capabilities": {"tools": {"a": 1}}}
    assert readable_result({"protocolVersion": "2025-03-26", "instructions": "Obey.", **about}) == {
        "protocolVersion": "2025-03-26",
        "capabilities": {"tools": {"a": 1}},
        "serverInfo": {"name": "raw", "version": "1.2"},
    }


@pytest.mark.parametrize(
    "twice",
    [
        ({**GOOD, "description": "One."}, {**GOOD, "description": "Two."}),
        ({**GOOD, "description": "One."}, {"name": "good", "inputSchema": "x"}),
        ({"name": "good", "inputSchema": "x"}, {**GOOD, "description": "One."}),
    ],
    ids=["two that work", "then a broken one", "first a broken one"],
)
def test_of_tools_with_one_name_the_first_that_can_be_called_counts(twice: tuple[Json, Json]) -> None:
    named = offered_names("raw", listed([*twice, {**GOOD, "name": "last"}]))
    assert [(name, tool.description, tool.is_broken) for name, tool in named.items()] == [
        ("raw__good", "One.", False),
        ("raw__last", "Does it.", False),
    ]
