"""Tools of MCP servers as models are offered them: names, hashes, and text that hides nothing."""

import json
import re
from dataclasses import replace
from math import inf, nan

import pytest

from bot.mcp.config import ToolRules
from bot.mcp.definitions import MAX_SCHEMA_CHARS, ListedTool, offered_names
from bot.mcp.schemas import MAX_DESCRIPTION_CHARS
from bot.mcp.tools import convert_tools
from bot.models.prompt import DEFINITION, OURS, Permission, ToolRule

pytestmark = pytest.mark.wide

SCHEMA = {"type": "object", "properties": {"a": {"type": "string", "description": "Which."}}}


def listed(name: str, description: str = "Does it.", **more: object) -> ListedTool:
    return ListedTool(name, description, {**SCHEMA, **more})


class TestNames:
    @pytest.mark.parametrize(
        ("tools", "names"),
        [
            (["add"], ["srv__add"]),
            (["files/read.all"], ["srv__files_read_all"]),
            (["read all", "read_all"], ["srv__read_all", "srv__read_all_…"]),
            (["read all", "read.all"], ["srv__read_all_…", "srv__read_all_…"]),
            (["add", "add"], ["srv__add"]),
            (["a" * 59], ["srv__" + "a" * 59]),
            (["a" * 57 + ".b"], ["srv__" + "a" * 57 + "_b"]),
            (["a" * 58 + ".b"], ["srv__" + "a" * 50 + "_…"]),
            (["a" * 70], ["srv__" + "a" * 50 + "_…"]),
            (["a" * 70, "a" * 71], ["srv__" + "a" * 50 + "_…"] * 2),
            (["ä", "ö"], ["srv____…", "srv____…"]),
        ],
    )
    def test_names_are_valid_and_no_two_are_alike(self, tools: list[str], names: list[str]) -> None:
        for order in (tools, tools[::-1]):
            named = offered_names("srv", map(listed, order))
            assert len(named) == len(set(tools))
            assert sorted(re.sub("_[0-9a-f]{8}$", "_…", name) for name in named) == sorted(names)
            assert all(re.fullmatch("[a-zA-Z0-9_-]{1,64}", name) for name in named)

    def test_exact_name_is_never_taken_by_another_tool(self) -> None:
        exact = listed("drop_table")
        for order in ([exact, listed("drop.table")], [listed("drop.table"), exact]):
            assert offered_names("srv", order)["srv__drop_table"] is exact


class TestHash:
    def test_hash_depends_on_all_that_a_model_reads_and_on_nothing_else(self) -> None:
        one = listed("add")
        changes = [listed("sub"), listed("add", "Does it!"), listed("add", title="x"), replace(one, title="x")]
        assert len({one.hash, *(tool.hash for tool in changes)}) == 5
        reordered = ListedTool("add", "Does it.", dict(reversed(SCHEMA.items())))
        assert reordered.hash == one.hash

    def test_hidden_characters_change_the_hash(self) -> None:
        assert listed("add", "Does it.\u200b").hash != listed("add").hash


class TestText:
    def test_description_is_visible_and_capped(self) -> None:
        description = listed("add", "a\u202eb\U000e0041\U000e0042" + "x" * 10_000).offered_description
        assert description.startswith("a\ufffdb\ufffdxxx")
        assert len(description) == MAX_DESCRIPTION_CHARS

    def test_prose_of_parameters_is_visible_and_their_values_stay(self) -> None:
        text = {"type": "string", "description": "x\u200by", "enum": ["\u200b"]}
        tool = ListedTool("add", "", {"type": "object", "properties": {"description": text}})
        seen = {"type": "string", "description": "x\ufffdy", "enum": ["\u200b"]}
        assert tool.offered_parameters == {"type": "object", "properties": {"description": seen}}

    def test_tool_is_too_large_beyond_the_longest_schema(self) -> None:
        chars = MAX_SCHEMA_CHARS - len(json.dumps(listed("add", default=[""]).offered_parameters))
        assert not listed("add", default=["x" * chars]).is_too_large
        assert listed("add", default=["x" * (chars + 1)]).is_too_large

    def test_tool_with_huge_parameters_is_too_large(self) -> None:
        assert listed("add", default=["x" * MAX_SCHEMA_CHARS]).is_too_large
        assert listed("add", anyOf=[{"properties": {"b": {"enum": ["x" * MAX_SCHEMA_CHARS]}}}]).is_too_large
        # The prose is capped, so it makes no tool too large.
        assert not listed("add", description="x" * MAX_SCHEMA_CHARS).is_too_large


def test_models_are_offered_what_no_rule_denies_and_know_who_agreed_to_it() -> None:
    known = [("raw__add", listed("add"), True), ("raw__sub", listed("sub"), False), ("raw__drop", listed("drop"), True)]
    rules = ToolRules(deny=frozenset({"raw__drop"}), allow=frozenset({"raw__sub"}), read_only=frozenset({"raw__add"}))
    offered = convert_tools(known, rules, 7.5)
    assert [(one.name, one.origins, one.rule, one.timeout_s) for one in offered.definitions] == [
        ("raw__add", OURS, ToolRule(Permission.ASK, read_only=True), 7.5),
        ("raw__sub", DEFINITION, ToolRule(Permission.ALLOW), 7.5),
    ]
    assert [one.definition_hash for one in offered.definitions] == [tool.hash for _, tool, _ in known[:2]]
    assert offered.left_out == ()


class TestNamesOfParameters:
    @pytest.mark.parametrize(
        ("own", "offered"),
        [
            (["a", "b.c-d_E"], ["a", "b.c-d_E"]),
            # twilio-labs/mcp#49, freee-mcp#15, claude-code#92648: Anthropic refuses a tool for such names.
            (["$filter", "expand[]", "user name"], ["_filter", "expand__", "user_name"]),
            (["$filter", "_filter"], ["_filter_…", "_filter"]),
            (["f[a]", "f{a}"], ["f_a__…", "f_a__…"]),
            (["", "a" * 70, "ü"], ["_…", "a" * 55 + "_…", "_"]),
        ],
    )
    def test_vendors_accept_them_and_the_server_gets_its_own(self, own: list[str], offered: list[str]) -> None:
        tool = ListedTool("add", "", {"properties": dict.fromkeys(own, TEXT), "required": own[:2]})
        schema = tool.offered_parameters
        names = list(schema["properties"])
        assert [re.sub("_[0-9a-f]{8}$", "_…", name) for name in names] == offered
        assert schema["required"] == names[:2]
        assert tool.original_arguments({name: at for at, name in enumerate(names)}) == {
            name: at for at, name in enumerate(own)
        }
        assert tool.original_arguments({"unheard of": 1}) == {"unheard of": 1}
        [definition] = convert_tools([("raw__add", tool, False)], ToolRules(), 30).definitions
        assert (definition.prepare is None) == (own == offered)

    def test_names_that_nobody_accepts_are_read_at_once(self) -> None:
        tool = ListedTool("add", "", {"properties": {f"${number}": TEXT for number in range(100_000)}})
        assert tool.original_arguments({"_99999": 1}) == {"$99999": 1}

    @pytest.mark.long
    def test_references_to_one_large_part_are_read_at_once(self) -> None:
        names = [f"a{number}" for number in range(50_000)]
        whole = {"properties": dict.fromkeys(names, TEXT), "required": names}
        schema = {"allOf": [{"$ref": "#/$defs/a"}] * 50_000, "anyOf": [{"$ref": "#"}] * 50_000, "$defs": {"a": whole}}
        assert ListedTool("add", "", schema).offered_parameters["required"] == names


TEXT, ANY = {"type": "string"}, {"type": "object"}
A_OR_B = {"a": {"properties": {"a": TEXT}, "required": ["a"]}, "b": {"properties": {"b": TEXT}}}
TO_A, TO_B = {"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}


@pytest.mark.parametrize(
    ("schema", "parameters", "required"),
    [
        # github-mcp-server#1548: OpenAI refuses a schema without the list.
        ({}, {}, []),
        # notion-mcp-server#340, claude-code#5973: alternatives at the top.
        ({"anyOf": list(A_OR_B.values())}, {"a": TEXT, "b": TEXT}, []),
        ({"oneOf": list(A_OR_B.values())}, {"a": TEXT, "b": TEXT}, []),
        ({"anyOf": [A_OR_B["a"]], "properties": {"a": {}}}, {"a": {}}, []),
        (
            {"oneOf": [{"required": ["a"]}, {"required": ["b"]}], "properties": {"a": {}, "b": {}}},
            {"a": {}, "b": {}},
            [],
        ),
        ({"anyOf": [TO_A, TO_B], "$defs": A_OR_B}, {"a": TEXT, "b": TEXT}, []),
        ({"allOf": [TO_A, TO_B], "$defs": A_OR_B}, {"a": TEXT, "b": TEXT}, ["a"]),
        ({**TO_A, "$defs": A_OR_B}, {"a": TEXT}, ["a"]),
        ({"anyOf": [{"$ref": "#/$defs/c"}, {"$ref": 7}, "x"]}, {}, []),
        ({"not": {"required": ["a", "b"]}, "properties": {"a": TEXT}}, {"a": TEXT}, []),
        # moltis#747, copilot-cli#4623, mastra#23731: what Gemini and strict servers refuse.
        ({"required": ["a", "x"], "properties": {"a": TEXT}}, {"a": TEXT}, ["a"]),
        ({"properties": {"a": True, "b": False, "c": None, "required": ["a"]}}, {"a": {}}, []),
        ({"enum": [{"a": "x"}], "properties": {"a": TEXT}}, {"a": TEXT}, []),
        # Below the top, all vendors know them.
        ({"properties": {"a": {"anyOf": [TEXT, {"type": "null"}]}}}, {"a": {"anyOf": [TEXT, {"type": "null"}]}}, []),
    ],
)
def test_offered_schema_has_all_parameters_at_its_top(
    schema: dict[str, object], parameters: dict[str, object], required: list[str]
) -> None:
    offered = ListedTool("add", "", {**ANY, **schema}).offered_parameters
    definitions = {key: value for key, value in schema.items() if key == "$defs"}
    assert offered == {**ANY, **definitions, "properties": parameters, **({"required": required} if required else {})}


ARRAY = {"type": "array", "items": {}}


@pytest.mark.parametrize(
    ("schema", "offered"),
    [
        # mcp-digitalocean#265: OpenAI refuses all tools for an array that doesn't say what it holds.
        ({"type": "array"}, ARRAY),
        ({"type": ["array", "null"]}, {"type": ["array", "null"], "items": {}}),
        ({"type": "array", "items": {"type": "array"}}, {"type": "array", "items": ARRAY}),
        ({"anyOf": [{"type": "array"}, None]}, {"anyOf": [ARRAY]}),
        ({"type": "object", "properties": {"b": {"type": "array"}}}, {"type": "object", "properties": {"b": ARRAY}}),
        # Dokploy/mcp#74, ha-mcp#2361, mcp-docling#5, actual-mcp#26, hyperdx#2925: so does Anthropic for what JSON
        # Schema doesn't allow.
        ({"type": "integer", "minimum": 0, "exclusiveMinimum": True}, {"type": "integer", "minimum": 0}),
        ({"type": "int", "title": "N"}, {"title": "N"}),
        ({"type": ["string", "string[]"]}, {}),
        ({"type": "array", "items": [TEXT, TEXT]}, ARRAY),
        ({**TEXT, "description": None, "maxLength": "5", "enum": []}, TEXT),
        ({"enum": ["a", "b", "a"]}, {"enum": ["a", "b"]}),
        # vscode-unify-chat-provider#162
        ({**ANY, "properties": {"b": TEXT, "type": "object"}}, {**ANY, "properties": {"b": TEXT}}),
        ({**TEXT, "minLength": -1, "examples": "x", "contentEncoding": 64}, TEXT),
        ({"type": "number", "multipleOf": 0, "maximum": inf, "default": nan}, {"type": "number"}),
        ({"type": "number", "multipleOf": 0.5, "minimum": -1},) * 2,
        ({**TEXT, "minLength": 0},) * 2,
        ({**TEXT, "anyOf": []}, TEXT),
        ({**TEXT, "anyOf": [False]},) * 2,
        ({**TEXT, "default": [nan], "examples": ["a", inf]}, TEXT),
        ({"type": ["string", "null", "string"]}, {"type": ["string", "null"]}),
        ({"if": "a", "then": TEXT, "dependentRequired": None}, {"then": TEXT}),
        # claude-code#586, fastmcp#3655: what schemas say of themselves, vendors don't take.
        (
            {**TEXT, "$schema": "http://json-schema.org/draft-07/schema#", "$id": "a", "$anchor": 1, "$comment": "x"},
            TEXT,
        ),
        # actual-mcp-server#293, Dokploy/mcp#72, oh-my-pi#2784: nor expressions in another dialect.
        ({**TEXT, "pattern": "^(?!a)"}, {**TEXT, "description": "Matches the regular expression ^(?!a)"}),
        (
            {**TEXT, "description": "Which.", "pattern": r"\p{L}"},
            {**TEXT, "description": "Which.\nMatches the regular expression \\p{L}"},
        ),
        # anytype-mcp#21, stitch#13: nor references that lead nowhere.
        ({"$ref": "#/$defs/b", "description": "Which."}, {"description": "Which."}),
        ({"type": "array", "items": {"$ref": "common.json#/b"}}, ARRAY),
        ({"anyOf": [{"$ref": "#/$defs/a/anyOf/2"}, {"$ref": "#/$defs/a/anyOf/x"}]}, {"anyOf": [{}, {}]}),
        *(({"$ref": known}, {"$ref": known}) for known in ("#", "#/$defs/a", "#/properties/a", "#/%24defs/a")),
        ({"anyOf": [{"$ref": "#/$defs/a/anyOf/1"}, TEXT]}, {"anyOf": [{"$ref": "#/$defs/a/anyOf/1"}, TEXT]}),
        ({"$defs": {"b/~c": TEXT}, "$ref": "#/$defs/a/$defs/b~1~0c"},) * 2,
        ({"$defs": {"b~1c": TEXT}, "$ref": "#/$defs/a/$defs/b~01c"},) * 2,
        # Data is no schema.
        ({"default": {"type": "int", "items": 1}}, {"default": {"type": "int", "items": 1}}),
        ({"default": {"$ref": "#/$defs/b"}},) * 2,
        ({**ANY, "properties": {"$ref": TEXT}},) * 2,
        (
            {"type": "number", "enum": [0.5, 1], "nullable": True},
            {"type": "number", "enum": [0.5, 1], "nullable": True},
        ),
    ],
    ids=str,
)
def test_offered_schema_has_only_what_json_schema_allows(schema: dict[str, object], offered: dict[str, object]) -> None:
    tool = ListedTool("add", "", {**ANY, "properties": {"a": schema}, "$defs": {"a": schema}})
    assert tool.offered_parameters == {**ANY, "properties": {"a": offered}, "$defs": {"a": offered}}
