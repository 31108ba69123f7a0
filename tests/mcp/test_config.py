"""The file of BOT_MCP_CONFIG: what MCP clients accept is accepted, and every problem is told without a secret."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot import settings
from bot.core.calls import PROPOSALS
from bot.errors import SettingsError
from bot.mcp.config import (
    MAX_SERVERS,
    HttpTransport,
    McpSetup,
    ServerConfig,
    SignInConfig,
    StdioTransport,
    ToolRules,
    read_setup,
)
from bot.models.prompt import Permission, ToolRule

SECRET = "s3cret-value"
TIME = {"command": "mcp-server-time"}
WEB = {"url": "https://web.example/mcp"}
NO_KEY = "Expecting property name enclosed in double quotes"
COMMA = (
    f"{NO_KEY} in line 1, column 19."
    if sys.version_info < (3, 13)
    else "Illegal trailing comma before end of object in line 1, column 18."
)
NOT_JSON = "Comments, and commas before } or ], are not JSON either."
KEYS = "There are mcpServers, deny, ask, allow, readOnly, directMessages."


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
    def test_as_many_servers_as_slacks_modal_takes(self, file: Path) -> None:
        assert len(read(file, {"mcpServers": {f"s{number}": TIME for number in range(MAX_SERVERS)}}).servers) == 10

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
            ServerConfig("old", StdioTransport("x"), is_legacy=True),
        )

    def test_how_people_sign_in(self, file: Path) -> None:
        oauth = {"clientId": "typist", "clientSecret": "${TOKEN}", "scopes": ["read", "write"], "callbackPort": 8123}
        url = "https://web.example/mcp"
        servers = {"web": {"url": url, "oauth": oauth}, "text": {"url": url, "oauth": {"scopes": "a b"}}}
        setup = read(file, {"mcpServers": servers}, {"TOKEN": SECRET})
        sign_in = SignInConfig("typist", SECRET, "read write", 8123)
        assert setup.notes == ()
        assert [server.transport for server in setup.servers] == [
            HttpTransport(url, sign_in=sign_in),
            HttpTransport(url, sign_in=SignInConfig(scopes="a b")),
        ]
        # Somebody has registered the client that the file names, with the address without the server's name.
        assert sign_in.redirect_uri("web") == "http://127.0.0.1:8123/callback"
        assert SignInConfig().redirect_uri("web") == "http://127.0.0.1:47823/callback-web"
        assert SECRET not in repr(setup)

    def test_what_an_admin_states_of_an_authorization_server(self, file: Path) -> None:
        stated = {
            "issuer": "https://auth.example",
            "tokenHost": "api.example",
            "deviceHost": "d.example",
            "pkce": True,
            "resource": False,
        }
        servers = {"web": {"url": "https://x.example", "oauth": {**stated, "callbackHost": "localhost"}}}
        [server] = read(file, {"mcpServers": servers}).servers
        assert isinstance(server.transport, HttpTransport)
        sign_in = server.transport.sign_in
        assert (sign_in.issuer, sign_in.token_host) == ("https://auth.example", "api.example")
        assert sign_in.device_host == "d.example"
        assert (sign_in.uses_pkce, sign_in.sends_resource) == (True, False)
        assert sign_in.redirect_uri("web") == "http://localhost:47823/callback-web"

    @pytest.mark.parametrize(
        ("sign_in", "redirect_uri", "document_url"),
        [
            (SignInConfig(), "http://127.0.0.1:47823/callback-web", ""),
            (SignInConfig(host="[::1]", port=8123), "http://[::1]:8123/callback-web", ""),
            (SignInConfig("typist", public_url="https://b.example"), "https://b.example/oauth/callback", ""),
            (SignInConfig(public_url="http://b.example"), "http://b.example/oauth/callback-web", ""),
            (
                SignInConfig(public_url="https://b.example"),
                "https://b.example/oauth/callback-web",
                "https://b.example/oauth/client/web.json",
            ),
            (
                SignInConfig("https://c.example/typist", public_url="https://b.example"),
                "https://b.example/oauth/callback",
                "https://c.example/typist",
            ),
            (SignInConfig("https://c.example/typist", SECRET), "http://127.0.0.1:47823/callback", ""),
            (SignInConfig("https://c.example/"), "http://127.0.0.1:47823/callback", ""),
            (SignInConfig("http://c.example/typist"), "http://127.0.0.1:47823/callback", ""),
        ],
        ids=str,
    )
    def test_typist_is_known_by_the_address_that_a_sign_in_leads_back_to(
        self, sign_in: SignInConfig, redirect_uri: str, document_url: str
    ) -> None:
        assert (sign_in.redirect_uri("web"), sign_in.document_url("web")) == (redirect_uri, document_url)
        told = sign_in.client_metadata("web")
        kind = "web" if redirect_uri.startswith("https:") else "native"
        assert (told["redirect_uris"], told["application_type"]) == ([redirect_uri], kind)

    def test_server_without_a_name_has_addresses_without_one(self) -> None:
        sign_in = SignInConfig(public_url="https://b.example")
        assert sign_in.redirect_uri("") == "https://b.example/oauth/callback"
        assert sign_in.document_url("") == "https://b.example/oauth/client.json"

    @pytest.mark.parametrize("port", [1_024, 65_535])
    def test_sign_in_leads_back_to_any_port_that_needs_no_rights(self, file: Path, port: int) -> None:
        [server] = read(file, {"mcpServers": {"web": {**WEB, "oauth": {"callbackPort": port}}}}).servers
        assert isinstance(server.transport, HttpTransport)
        assert server.transport.sign_in.redirect_uri("web") == f"http://127.0.0.1:{port}/callback-web"

    @pytest.mark.parametrize("port", [1_023, 65_536, "8123", True])
    def test_sign_in_leads_back_to_no_other_port(self, file: Path, port: object) -> None:
        content = {"mcpServers": {"web": {**WEB, "oauth": {"callbackPort": port}}}}
        assert problems(file, content) == ["mcpServers.web.oauth.callbackPort must be a port from 1,024 to 65,535."]

    def test_secret_without_a_client_id_is_noted(self, file: Path) -> None:
        servers = {"web": {"url": "https://web.example/mcp", "oauth": {"clientSecret": SECRET}}}
        (note,) = read(file, {"mcpServers": servers}).notes
        assert note.endswith("mcpServers.web.oauth.clientSecret has no effect without clientId.")

    def test_problems_of_how_people_sign_in(self, file: Path) -> None:
        wrong = {"clientId": 7, "scopes": [7], "callbackPort": 80, "issuer": "jira", "pkce": "yes", "resource": 0}
        wrong |= {"tokenHost": "", "callbackHost": "evil.example"}
        servers = {"web": {"url": "https://x.example", "oauth": wrong}, "off": {"url": "https://x.example", "oauth": 1}}
        assert problems(file, {"mcpServers": servers}) == [
            "mcpServers.web.oauth.clientId must be a string.",
            "mcpServers.web.oauth.tokenHost contains invalid characters, or is empty.",
            "mcpServers.web.oauth.issuer contains invalid characters, or is empty.",
            "mcpServers.web.oauth.pkce must be true or false.",
            "mcpServers.web.oauth.resource must be true or false.",
            'mcpServers.web.oauth.callbackHost must be "127.0.0.1" or "localhost" or "[::1]".',
            "mcpServers.web.oauth.scopes must be a list of scopes.",
            "mcpServers.web.oauth.callbackPort must be a port from 1,024 to 65,535.",
            'mcpServers.off.oauth must be an object such as {"clientId": "…"}.',
        ]

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
            (
                "{",
                f"mcp.json is not JSON: {NO_KEY} in line 1, column 2. {NOT_JSON}",
            ),
            (
                '{"mcpServers": {}, "mcpServers": {}}',
                'mcp.json has "mcpServers" twice in one object. Remove one of them.',
            ),
            ("", f"mcp.json is not JSON: Expecting value in line 1, column 1. {NOT_JSON}"),
            ('{"mcpServers": {"a": ' + "[" * 100_000, "mcp.json is not JSON in UTF-8."),
            ('{"a": ' + "1" * 5_000 + "}", "mcp.json has a number with too many digits."),
            ("null", "must be an object with mcpServers."),
            ([], "must be an object with mcpServers."),
            ({}, "mcpServers must be an object with at least one server."),
            ({"mcpServers": ["a"]}, "mcpServers must be an object with at least one server."),
            ({"mcpServer": {"a": TIME}}, f'has the unknown key "mcpServer". {KEYS}'),
            ({"mcpServers": {"a": TIME}, "k" * 41: 1}, f'has the unknown key "{"k" * 40}". {KEYS}'),
            ('{"mcpServers": {}} // {', f"mcp.json is not JSON: Extra data in line 1, column 20. {NOT_JSON}"),
            ('{"mcpServers": {},}', f"mcp.json is not JSON: {COMMA} {NOT_JSON}"),
            (
                {"mcpServers": {f"s{number}": TIME for number in range(11)}},
                "mcpServers must have at most 10 servers: Slack's settings modal can't show more.",
            ),
        ],
    )
    def test_file_that_cannot_be_used(self, file: Path, content: Any, problem: str) -> None:
        assert problem in problems(file, content)

    def test_file_that_is_no_text_is_told(self, file: Path) -> None:
        file.write_bytes(b"{\xff}")
        with pytest.raises(SettingsError) as caught:
            read_setup(file, {})
        assert caught.value.problems == ["BOT_MCP_CONFIG: mcp.json is not JSON in UTF-8."]

    def test_file_that_cannot_be_opened_is_told_in_the_systems_words(self, file: Path) -> None:
        file.mkdir()
        with pytest.raises(SettingsError) as caught:
            read_setup(file, {})
        assert caught.value.problems == [f"BOT_MCP_CONFIG: {file} can't be read: Is a directory."]

    @pytest.mark.parametrize(
        ("server", "problem"),
        [
            ("x", "mcpServers.it must be an object with command or url."),
            ({}, "mcpServers.it.command must be a string."),
            ({"comand": "x"}, "mcpServers.it.command must be a string."),
            ({**TIME, "url": "https://x"}, "mcpServers.it has both command and url. Remove one of them."),
            ({**TIME, "httpUrl": "https://x"}, "mcpServers.it has both command and httpUrl. Remove one of them."),
            ({"serverUrl": "x"}, "mcpServers.it.serverUrl must be a URL such as https://host/mcp."),
            (
                {"command": "prog '--arg"},
                "mcpServers.it.command has a quote without its other half. Write the program here, and the rest in "
                "args.",
            ),
            ({**TIME, "cwd": "/no/such/folder"}, "mcpServers.it.cwd is not a folder."),
            ({**TIME, "cwd": __file__}, "mcpServers.it.cwd is not a folder."),
            ({**TIME, "cwd": 1}, "mcpServers.it.cwd must be a string."),
            ({**TIME, "envFile": "/no/such/file"}, "mcpServers.it.envFile names a file that can't be read."),
            ({**TIME, "envFile": sys.executable}, "mcpServers.it.envFile names a file that can't be read."),
            ({**TIME, "disabledTools": "all"}, "mcpServers.it.disabledTools must be a list of tools."),
            *(
                (
                    {**TIME, "timeout": timeout},
                    "mcpServers.it.timeout must be a number of seconds, above 0 and up to 600.",
                )
                for timeout in ("60", 0, -1, True, None, 601, 60_000, 1e400)
            ),
            (
                {**WEB, "type": "sse"},
                'mcpServers.it.type must be "http": the transport "sse" is no longer part of MCP.',
            ),
            ({**WEB, "type": "ws"}, 'mcpServers.it.type must be "stdio" or "http".'),
            ({"url": "https://"}, "mcpServers.it.url must be a URL such as https://host/mcp."),
            ({"url": "https://x:0"}, "mcpServers.it.url must be a URL such as https://host/mcp."),
            ({"url": "https://x:65536"}, "mcpServers.it.url must be a URL such as https://host/mcp."),
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
                {**WEB, "headers": {"A": "${NO} ${NEITHER}"}},
                "mcpServers.it.headers.A needs NEITHER, which is not set. Set it, or write ${NEITHER:-a default}.",
            ),
            (
                {**TIME, "args": ["${input:TOKEN}"]},
                "mcpServers.it.args[0] has a ${…} that isn't a variable. Write ${NAME} or ${NAME:-a default}.",
            ),
        ],
    )
    def test_server_that_cannot_be_used(self, file: Path, server: Any, problem: str) -> None:
        assert problem in problems(file, {"mcpServers": {"it": server}})

    @pytest.mark.parametrize(("more", "timeout_s"), [({}, 60), ({"timeout": 0.5}, 0.5), ({"timeout": 600}, 600)])
    def test_timeout_is_in_seconds(self, file: Path, more: dict[str, Any], timeout_s: float) -> None:
        [server] = read(file, {"mcpServers": {"it": {**TIME, **more}}}).servers
        assert server.timeout_s == timeout_s

    @pytest.mark.parametrize(
        ("server", "transport"),
        [
            ({"transport": "stdio", **TIME}, StdioTransport("mcp-server-time")),
            ({"type": "local", **TIME}, StdioTransport("mcp-server-time")),
            ({"transport": "streamable_http", **WEB}, HttpTransport("https://web.example/mcp")),
            ({"type": "streamableHttp", **WEB}, HttpTransport("https://web.example/mcp")),
            ({"httpUrl": "https://web.example/mcp"}, HttpTransport("https://web.example/mcp")),
            ({"serverUrl": "https://web.example/mcp"}, HttpTransport("https://web.example/mcp")),
            ({"command": "${env:PROG}", "args": ["${env:MODE:-quick}"]}, StdioTransport("a b", ("quick",))),
            ({"command": "prog --arg 'a b'", "args": ["c"]}, StdioTransport("prog", ("--arg", "a b", "c"))),
            ({"command": "prog --key ${PROG}"}, StdioTransport("prog", ("--key", "a b"))),
            ({"command": "{folder}/my prog"}, StdioTransport("{folder}/my prog")),
            ({**TIME, "cwd": "{folder}"}, StdioTransport("mcp-server-time", cwd="{folder}")),
            (
                {**TIME, "envFile": "{folder}/its.env", "env": {"B": "own"}},
                StdioTransport("mcp-server-time", env={"A": "x y", "B": "own"}),
            ),
        ],
        ids=str,
    )
    def test_keys_of_other_clients_are_obeyed(
        self, file: Path, server: Any, transport: StdioTransport | HttpTransport
    ) -> None:
        folder = file.parent
        (folder / "its.env").write_text("A='x y'\nB=2\nC=\nD\n")
        (folder / "my prog").write_text("")
        (folder / "my prog").chmod(0o700)
        content = json.dumps({"mcpServers": {"it": server}}).replace("{folder}", str(folder))
        setup = read(file, content, {"PROG": "a b"})
        if isinstance(transport, StdioTransport):
            cwd = transport.cwd and transport.cwd.format(folder=folder)
            transport = replace(transport, command=transport.command.format(folder=folder), cwd=cwd)
        assert ([it.transport for it in setup.servers], setup.notes) == ([transport], ())

    @pytest.mark.parametrize("off", [{"disabled": True}, {"enabled": False}], ids=str)
    def test_server_that_is_switched_off_is_left_out(self, file: Path, off: dict[str, bool]) -> None:
        servers = {"off": {"command": "${UNSET}", **off}, "on": {**TIME, "disabled": False, "enabled": True}}
        setup = read(file, {"mcpServers": servers, "allow": ["off__*"], "directMessages": ["off"]})
        assert (setup.names, setup.notes) == (("on",), ())

    def test_keys_without_effect_are_named_once_and_allow_nothing(self, file: Path) -> None:
        approving = {"autoApprove": ["write"], "alwaysAllow": ["*"], "trust": True}
        servers = {"it": {**TIME, **approving, "description": "x", "dev": {}, "heders": {}}, "web": {**WEB, "env": {}}}
        setup = read(file, {"servers": servers, "inputs": [], "$schema": "x"})
        assert setup.notes == (
            "BOT_MCP_CONFIG: mcp.json: has keys without effect: inputs, $schema.",
            "BOT_MCP_CONFIG: mcp.json: mcpServers.it has keys without effect: autoApprove, alwaysAllow, trust, "
            "description, dev, heders. Only allow and readOnly let calls run unasked.",
            "BOT_MCP_CONFIG: mcp.json: mcpServers.web has keys without effect: env.",
        )
        assert setup.rules == ToolRules()

    def test_tools_that_another_client_takes_away_are_denied(self, file: Path) -> None:
        servers = {"it": {**TIME, "disabledTools": ["drop it"], "excludeTools": ["write"]}}
        assert read(file, {"mcpServers": servers}).rules.deny == {"it__drop_it", "it__write"}

    @pytest.mark.parametrize("name", ["a", "0", "-a_b-", "x" * 32])
    def test_name_that_tools_can_begin_with(self, file: Path, name: str) -> None:
        assert read(file, {"mcpServers": {name: TIME}}).names == (name,)

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

    def test_single_tools_of_a_server_are_named_by_each_rule(self) -> None:
        assert self.RULES.tool_names("git") == {"git__push", "git__commit", "git__log"}
        assert self.RULES.tool_names("time") == {"time__now"}

    @pytest.mark.parametrize(
        ("rules", "problem"),
        [
            ({"alow": []}, f'has the unknown key "alow". {KEYS}'),
            ({"deny": "time__*"}, "deny must be a list of patterns such as github__list_issues or github__*."),
            ({"ask": ["time"]}, 'ask "time" must be a pattern such as github__list_issues or github__*.'),
            ({"ask": ["time__get*"]}, 'ask "time__get*" must be a pattern such as github__list_issues or github__*.'),
            ({"allow": ["tme__*"]}, 'allow "tme__*" names a server that mcpServers lacks.'),
            ({"directMessages": ["tme"]}, 'directMessages "tme" is not in mcpServers.'),
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
        assert settings.changed_settings(ours) == {"BOT_MCP_CONFIG": str(file)}

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
        with pytest.raises(SettingsError, match=f"the server {name} has the same name as Typist's own tool"):
            settings.read({"BOT_MCP_CONFIG": str(file), variable: "on"})

    @pytest.mark.parametrize("name", PROPOSALS)
    def test_server_cannot_have_the_name_of_a_tool_that_proposes(self, file: Path, name: str) -> None:
        file.write_text(json.dumps({"mcpServers": {name: TIME}}))
        with pytest.raises(SettingsError, match=f"the server {name} has the same name as Typist's own tool"):
            settings.read({"BOT_MCP_CONFIG": str(file)})
