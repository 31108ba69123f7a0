"""The file of BOT_MCP_CONFIG: what MCP clients accept is accepted, and every problem is told without a secret."""

import json
from pathlib import Path
from typing import Any

import pytest

from bot import settings
from bot.errors import SettingsError
from bot.mcp.config import HttpTransport, McpSetup, ServerConfig, StdioTransport, ToolRules, read_setup
from bot.models.prompt import Permission, ToolRule

SECRET = "s3cret-value"
TIME = {"command": "mcp-server-time"}
WEB = {"url": "https://web.example/mcp"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mcp.json"


def read(file: Path, content: Any, env: dict[str, str] | None = None) -> McpSetup:
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_setup(file, env or {})


def problems(file: Path, content: Any) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read(file, content, {"TOKEN": SECRET})
    assert SECRET not in str(caught.value)
    start = "BOT_MCP_CONFIG: "
    assert all(problem.startswith(start) and problem.endswith(".") for problem in caught.value.problems)
    return [problem.removeprefix(start).removeprefix("mcp.json: ") for problem in caught.value.problems]


class TestServers:
    def test_servers_in_the_form_of_other_clients(self, file: Path) -> None:
        servers = {
            "time": {"command": "mcp-server-time", "args": ["--local-timezone", "UTC"], "env": {"A": "b"}},
            "typed": {"type": "stdio", "command": "x"},
            "web": {"type": "http", "url": "https://web.example/mcp", "headers": {"X-Key": "k"}},
            "untyped": {"url": "http://127.0.0.1:8000/mcp"},
            "old": {"command": "x", "protocol": "legacy"},
        }
        assert read(file, {"mcpServers": servers}).servers == (
            ServerConfig("time", StdioTransport("mcp-server-time", ("--local-timezone", "UTC"), {"A": "b"})),
            ServerConfig("typed", StdioTransport("x")),
            ServerConfig("web", HttpTransport("https://web.example/mcp", {"X-Key": "k"})),
            ServerConfig("untyped", HttpTransport("http://127.0.0.1:8000/mcp")),
            ServerConfig("old", StdioTransport("x"), legacy=True),
        )

    def test_variables_are_put_in_everywhere(self, file: Path) -> None:
        servers = {
            "time": {"command": "${BIN}/time", "args": ["--${MODE:-quick}"], "env": {"KEY": "${TOKEN}"}},
            "web": {"url": "https://${HOST:-web.example}/mcp", "headers": {"Authorization": "Bearer ${TOKEN}"}},
        }
        env = {"BIN": "/bin", "TOKEN": SECRET, "HOST": ""}
        setup = read(file, {"mcpServers": servers}, env)
        assert [server.transport for server in setup.servers] == [
            StdioTransport("/bin/time", ("--quick",), {"KEY": SECRET}),
            HttpTransport("https://web.example/mcp", {"Authorization": f"Bearer {SECRET}"}),
        ]
        assert SECRET not in repr(setup)
        assert "web.example" not in repr(setup)

    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            ("{", "mcp.json is not JSON: Expecting property name enclosed in double quotes in line 1, column 2."),
            (
                '{"mcpServers": {}, "mcpServers": {}}',
                'mcp.json has "mcpServers" twice in one object. Remove one of them.',
            ),
            ("", "mcp.json is not JSON: Expecting value in line 1, column 1."),
            ('{"mcpServers": {"a": ' + "[" * 100_000, "mcp.json is not JSON in UTF-8."),
            ('{"a": ' + "1" * 5_000 + "}", "mcp.json has a number with too many digits."),
            ("null", "must be an object with mcpServers."),
            ([], "must be an object with mcpServers."),
            ({}, "mcpServers must be an object with at least one server."),
            ({"servers": {"a": TIME}}, 'has the unknown key "servers" (did you mean mcpServers?).'),
            (
                {"mcpServers": {f"s{number}": TIME for number in range(11)}},
                "mcpServers must have at most 10 servers: Slack's settings modal takes no more.",
            ),
        ],
    )
    def test_file_that_cannot_be_used(self, file: Path, content: Any, problem: str) -> None:
        assert problem in problems(file, content)

    @pytest.mark.parametrize(
        ("server", "problem"),
        [
            ("x", "mcpServers.it must be an object with command or url."),
            ({}, "mcpServers.it.command must be a string."),
            ({"comand": "x"}, 'mcpServers.it has the unknown key "comand" (did you mean command?).'),
            ({**TIME, "url": "https://x"}, 'mcpServers.it has the unknown key "command".'),
            (
                {**WEB, "type": "sse"},
                'mcpServers.it.type must be "http": the transport "sse" is no longer part of MCP.',
            ),
            ({**WEB, "type": "ws"}, 'mcpServers.it.type must be "stdio" or "http".'),
            ({"command": " "}, "mcpServers.it.command contains invalid characters, or is empty."),
            ({"command": "\ud800"}, "mcpServers.it.command contains invalid characters, or is empty."),
            ({**TIME, "args": ["\ud800"]}, "mcpServers.it.args[0] contains invalid characters, or is empty."),
            ({**TIME, "env": {"\ud800": "x"}}, "mcpServers.it.env has a name with invalid characters."),
            ({**TIME, "args": "x"}, "mcpServers.it.args must be a list of strings."),
            ({**TIME, "args": [1]}, "mcpServers.it.args[0] must be a string."),
            ({**TIME, "env": ["x"]}, "mcpServers.it.env must be an object of strings."),
            ({**TIME, "protocol": "2024"}, 'mcpServers.it.protocol must be "legacy", or be left out.'),
            ({"url": "ftp://x"}, "mcpServers.it.url must be a URL such as https://host/mcp."),
            ({"url": "https://${TOKEN}\n"}, "mcpServers.it.url must be a URL such as https://host/mcp."),
            (
                {**WEB, "headers": {"A": "${TOKEN}\r\nB: c"}},
                "mcpServers.it.headers.A contains invalid characters, or is empty.",
            ),
            (
                {**WEB, "headers": {"A b": "c"}},
                "mcpServers.it.headers has a name with invalid characters.",
            ),
            (
                {**WEB, "headers": {"A": "${NO}"}},
                "mcpServers.it.headers.A needs NO, which is not set. Set it, or write ${NO:-a default}.",
            ),
            (
                {**TIME, "args": ["${env:TOKEN}"]},
                "mcpServers.it.args[0] has a ${…} that isn't a variable. Write ${NAME} or ${NAME:-a default}.",
            ),
        ],
    )
    def test_server_that_cannot_be_used(self, file: Path, server: Any, problem: str) -> None:
        assert problem in problems(file, {"mcpServers": {"it": server}})

    @pytest.mark.parametrize("name", ["", "a__b", "_a", "a_", "a b", "a.b", "ä", "x" * 33])
    def test_name_that_tools_cannot_begin_with(self, file: Path, name: str) -> None:
        [problem] = problems(file, {"mcpServers": {name: TIME}})
        assert "must be named with letters, digits" in problem

    def test_all_problems_are_told_at_once(self, file: Path) -> None:
        assert len(problems(file, {"mcpServers": {"a": {}, "b": {"url": "x"}}, "allow": ["c__*"]})) == 3


class TestRules:
    RULES = ToolRules(
        deny=frozenset({"git__push"}),
        ask=frozenset({"git__commit", "time__*"}),
        allow=frozenset({"git__*", "time__now"}),
        read_only=frozenset({"git__log", "time__*"}),
    )

    @pytest.mark.parametrize(
        ("name", "rule"),
        [
            ("git__push", ToolRule(Permission.DENY)),
            ("git__commit", ToolRule(Permission.ASK)),
            ("git__log", ToolRule(Permission.ALLOW, read_only=True)),
            ("git__anything", ToolRule(Permission.ALLOW)),
            ("time__now", ToolRule(Permission.ASK, read_only=True)),
            ("web__get", ToolRule(Permission.ASK)),
            ("gi__t__log", ToolRule(Permission.ASK)),
        ],
    )
    def test_deny_comes_before_ask_and_ask_before_allow(self, name: str, rule: ToolRule) -> None:
        assert self.RULES.rule_for(name) == rule

    @pytest.mark.parametrize(
        ("rules", "problem"),
        [
            ({"alow": []}, 'has the unknown key "alow" (did you mean allow?).'),
            ({"deny": "time__*"}, "deny must be a list of patterns such as github__list_issues or github__*."),
            ({"ask": ["time"]}, 'ask "time" must be a pattern such as github__list_issues or github__*.'),
            ({"ask": ["time__get*"]}, 'ask "time__get*" must be a pattern such as github__list_issues or github__*.'),
            ({"allow": ["tme__*"]}, 'allow "tme__*" names a server that mcpServers lacks (did you mean time?).'),
            ({"directMessages": ["tme"]}, 'directMessages "tme" is not in mcpServers (did you mean time?).'),
            ({"directMessages": [["time"]]}, "directMessages must be a list of servers."),
            ({"directMessages": "time"}, "directMessages must be a list of servers."),
        ],
    )
    def test_rule_that_cannot_be_used(self, file: Path, rules: Any, problem: str) -> None:
        assert problems(file, {"mcpServers": {"time": TIME}, **rules}) == [problem]


class TestSettings:
    def test_settings_have_the_servers_and_show_the_file_only(self, file: Path) -> None:
        file.write_text(json.dumps({"mcpServers": {"web": {**WEB, "headers": {"A": "${TOKEN}"}}}}))
        ours = settings.read({"BOT_MCP_CONFIG": str(file), "TOKEN": SECRET})
        assert ours.mcp.names == ("web",)
        assert SECRET not in repr(ours)
        assert settings.in_force(ours) == {"BOT_MCP_CONFIG": str(file)}

    def test_missing_file_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError) as caught:
            settings.read({"BOT_MCP_CONFIG": str(tmp_path / "no.json")})
        missing = f"BOT_MCP_CONFIG: there is no file {tmp_path}/no.json. Create it, or leave BOT_MCP_CONFIG empty."
        assert caught.value.problems == [missing]

    @pytest.mark.parametrize(
        ("name", "variable"), [("slack", "BOT_SLACK_SEARCH"), ("read_channel", "BOT_READ_CHANNEL")]
    )
    def test_server_cannot_have_the_name_of_a_tool_of_typists_own(self, file: Path, name: str, variable: str) -> None:
        file.write_text(json.dumps({"mcpServers": {name: TIME}}))
        assert settings.read({"BOT_MCP_CONFIG": str(file), variable: "off"}).mcp.names == (name,)
        with pytest.raises(SettingsError, match=f"the server {name} has the name of Typist's own tool"):
            settings.read({"BOT_MCP_CONFIG": str(file), variable: "on"})

    def test_missing_extra_is_told(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file.write_text(json.dumps({"mcpServers": {"time": TIME}}))
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(SettingsError, match=r"needs the extra mcp. Install it: pip install 'mcp<3,>=2.3'"):
            settings.read({"BOT_MCP_CONFIG": str(file)})
