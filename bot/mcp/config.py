"""Reads the file at BOT_MCP_CONFIG, which lists servers in the format that MCP clients share, and rules for their
tools.

    {
    "mcpServers": {
    "time": {"command": "mcp-server-time", "args": ["--local-timezone", "UTC"]},
    "github": {"type": "http", "url": "https://…/mcp", "headers": {"Authorization": "Bearer ${GITHUB_TOKEN}"}}
    },
    "deny": ["github__delete_file"], "ask": [], "allow": ["time__*"],
    "readOnly": ["time__*", "github__list_issues"],
    "directMessages": ["time"]
    }

Other clients' files work if they are plain JSON. Typist uses the keys of these files where possible, and lists the keys
that it doesn't use in `McpSetup.notes`. A key that belongs to another client never allows a call. Only `allow` and
admins can do that.

Each channel's settings list the servers that can be used in it. Direct messages have no such settings, because nobody
but the person in a direct message could open them. Instead, the file lists the servers for all direct messages.

Any value in a server's configuration can contain a secret. Therefore, errors refer to a position in the file without
quoting values, and reprs omit values.
"""

import json
import re
import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar, TypeVar
from urllib.parse import urlsplit

from dotenv import dotenv_values

from bot.core.calls import NOT_IN_TOOL_NAMES, SEPARATOR, full_tool_name, tool_owner
from bot.core.unseen import escape_unseen
from bot.errors import SettingsError
from bot.identity import placeholders
from bot.models.prompt import CALL_TIMEOUT_S, Permission, ToolRule
from bot.text import RepeatedKey, unique_members

MAX_MESSAGE_BYTES = 8_000_000
"""Maximum size of a single line, event or body. The images that most tools return fit, although Typist doesn't pass
them on."""
TOO_LONG = f"exceeded the {MAX_MESSAGE_BYTES} byte limit"
"""A phrase that occurs in every error about a message that is too long. The SDK uses the same phrase for events."""
MAX_SERVER_NAME_CHARS = 32
MAX_SERVERS = 10
"""Maximum number of servers. A field in Slack can have at most 10 checkboxes."""

MAX_TIMEOUT_S = 600.0
"""Maximum timeout. While an answer waits for its calls, it occupies one of Typist's slots."""

T = TypeVar("T")

_SERVERS = "mcpServers"
_RULES = ("deny", "ask", "allow", "readOnly")
_IN_DIRECT_MESSAGES = "directMessages"
_TYPE_KEYS = ("type", "transport")
_URL_KEYS = ("url", "httpUrl", "serverUrl")
_DENY_KEYS = ("disabledTools", "excludeTools")
_STDIO_KEYS = ("command", "args", "env", "envFile", "cwd")
_SIGN_IN = "oauth"
_HTTP_KEYS = (*_URL_KEYS, "headers", _SIGN_IN)
_LOOPBACKS = ("127.0.0.1", "localhost", "[::1]")
_FLAG_DEFAULTS = (("pkce", False), ("resource", True))
_SIGN_IN_KEYS = (
    *("clientId", "clientSecret", "scopes", "callbackPort", "callbackHost", "issuer", "tokenHost", "deviceHost"),
    *(key for key, _ in _FLAG_DEFAULTS),
)
_COMMON_KEYS = (*_TYPE_KEYS, *_DENY_KEYS, "timeout", "disabled", "enabled", "protocol")
_APPROVING_KEYS = ("autoApprove", "alwaysAllow", "trust")
_OTHER_TOP_KEYS = ("$schema", "inputs")
_HTTP_TYPES = ("http", "streamablehttp")
_SERVER_NAME = re.compile(rf"(?!.*{SEPARATOR})[A-Za-z0-9-](?:[A-Za-z0-9_-]*[A-Za-z0-9-])?")
_PATTERN = re.compile(rf"(?P<server>.+?){SEPARATOR}(?P<tool>\*|[A-Za-z0-9_-]+)")
_VARIABLE = re.compile(r"\$\{(?:env:)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_ENV_NAME = re.compile(r"[^=\0\ud800-\udfff]+")


@dataclass(frozen=True, slots=True)
class StdioTransport:
    url: ClassVar[str] = ""
    headers: ClassVar[Mapping[str, str]] = {}
    can_need_sign_in: ClassVar[bool] = False
    command: str = field(repr=False)
    args: tuple[str, ...] = field(default=(), repr=False)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The process's environment variables, apart from HOME, LOGNAME, PATH, SHELL, TERM and USER."""
    cwd: str | None = field(default=None, repr=False)


CALLBACK_PATH = "/oauth/callback"
"""The path at BOT_PUBLIC_URL to which sign-ins return. If Typist registers itself, it is followed by `-` and the
server's name."""
DOCUMENT_PATH = "/oauth/client"
"""The path at BOT_PUBLIC_URL to the client metadata documents, one per server, which authorization servers read."""
CALLBACK_PORT = 47823
"""The port of the loopback address to which sign-ins return. No program should be listening on it."""


@dataclass(frozen=True, slots=True)
class SignInConfig:
    client_id: str = ""
    """Typist's client ID, which can be the URL of its client-ID metadata document, or "" if Typist registers itself."""
    client_secret: str = field(default="", repr=False)
    scopes: str = ""
    """Scopes separated by spaces, or "" for the scopes that the server requests. People aren't asked to grant any other
    scopes."""
    port: int = CALLBACK_PORT
    host: str = "127.0.0.1"
    public_url: str = ""
    issuer: str = ""
    """The issuer that an admin trusts, regardless of where its metadata is found, or "" for the issuer in the server's
    metadata."""
    token_host: str = ""
    """Another host that an admin trusts with codes and tokens, in addition to the issuer's host, or ""."""
    device_host: str = ""
    """Another host that an admin trusts with the page where people confirm codes, in addition to the issuer's host, or
    ""."""
    uses_pkce: bool = False
    """Whether an admin has confirmed that the authorization server supports PKCE, although its metadata doesn't say
    so."""
    sends_resource: bool = True
    """Whether requests include the MCP server's URL, as the protocol requires. Entra ID rejects such requests."""

    def redirect_uri(self, server: str) -> str:
        """Returns the URL to which the browser returns after signing in to a server."""
        # A URL for each server, so that a code from one can't be mistaken for another's (RFC 9700, 4.4). If the file
        # sets the client ID, someone has registered the URL without a server name. None is below another, because some
        # authorization servers (GitHub) accept every path below a registered one.
        path = f"-{server}" if server and not self.client_id else ""
        loopback = f"http://{self.host}:{self.port}/callback"
        return f"{self.public_url}{CALLBACK_PATH}{path}" if self.public_url else f"{loopback}{path}"

    def allowed_scopes(self, scopes: str) -> str:
        """Returns those of the given scopes that are listed in the file, or all of them if the file doesn't list
        any."""
        allowed = self.scopes.split()
        return " ".join(scope for scope in scopes.split() if not allowed or scope in allowed)

    def document_url(self, server: str) -> str:
        """Returns the URL of Typist's client-ID metadata document for a server, or "" if there is none."""
        if self.client_id:
            parts = urlsplit(self.client_id)
            is_document = parts.scheme == "https" and len(parts.path) > 1 and not self.client_secret
            return self.client_id if is_document else ""
        path = f"{DOCUMENT_PATH}/{server}" if server else DOCUMENT_PATH
        return f"{self.public_url}{path}.json" if self.public_url.startswith("https:") else ""

    def client_metadata(self, server: str) -> Mapping[str, Any]:
        """Returns Typist's metadata for registering as a client without a secret (RFC 7591)."""
        redirect_uri = self.redirect_uri(server)
        return {
            "client_name": "Typist",
            "redirect_uris": [redirect_uri],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "application_type": "web" if redirect_uri.startswith("https:") else "native",
        }


@dataclass(frozen=True, slots=True)
class HttpTransport:
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    sign_in: SignInConfig = SignInConfig()
    token: str = field(default="", repr=False)
    """The access token for a person's own account, or "" for the account that all askers share."""

    @property
    def can_need_sign_in(self) -> bool:
        """Whether people can be asked to sign in, which is the case if the file has no shared credentials."""
        return "authorization" not in map(str.lower, self.headers)

    @property
    def request_headers(self) -> Mapping[str, str]:
        # Placeholders are filled for each asker (McpServers.as_asked). An own account's token identifies the person.
        sent = {name: value for name, value in self.headers.items() if not placeholders(value)}
        return {**sent, "Authorization": f"Bearer {self.token}"} if self.token else sent


@dataclass(frozen=True, slots=True)
class ServerConfig:
    name: str
    transport: StdioTransport | HttpTransport
    is_legacy: bool = False
    """Whether to connect with `initialize` right away, because the server doesn't respond to anything else."""
    timeout_s: float = CALL_TIMEOUT_S

    @property
    def identity_headers(self) -> Mapping[str, str]:
        """Headers that contain placeholders for the asker's identity."""
        return {name: value for name, value in self.transport.headers.items() if placeholders(value)}


@dataclass(frozen=True, slots=True)
class ToolRules:
    """An admin's rules for tools. Each pattern is either server__tool, or server__* for all of a server's tools."""

    deny: frozenset[str] = frozenset()
    ask: frozenset[str] = frozenset()
    allow: frozenset[str] = frozenset()
    read_only: frozenset[str] = frozenset()

    def rule_for(self, name: str) -> ToolRule:
        """Returns the rule for a tool. Deny overrides ask, ask overrides allow, and asking is the default."""
        names = {name, full_tool_name(tool_owner(name), "*")}
        if names & self.deny:
            permission = Permission.DENY
        elif names & self.ask or not names & self.allow:
            permission = Permission.ASK
        else:
            permission = Permission.ALLOW
        return ToolRule(permission, bool(names & self.read_only))

    def tool_names(self, server: str) -> frozenset[str]:
        patterns = self.deny | self.ask | self.allow | self.read_only
        return frozenset(name for name in patterns if tool_owner(name) == server and not name.endswith("*"))


@dataclass(frozen=True, slots=True)
class McpSetup:
    servers: tuple[ServerConfig, ...] = ()
    rules: ToolRules = ToolRules()
    direct_message_servers: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(server.name for server in self.servers)

    @property
    def identity_placeholders(self) -> dict[str, frozenset[str]]:
        """The placeholders for the asker's identity, keyed by server."""
        sent = {one.name: map(placeholders, one.identity_headers.values()) for one in self.servers}
        return {f"BOT_MCP_CONFIG: {name}": frozenset[str]().union(*headers) for name, headers in sent.items()}


def read_setup(path: Path, env: Mapping[str, str], public_url: str = "") -> McpSetup:
    """Returns the servers and rules in a file, with variables from `env` expanded. Raises SettingsError with all
    problems."""
    problems: list[str] = []
    reader = _Reader(path.name, env, public_url, problems, [], set())
    setup = reader.setup(_read_json(path))
    if problems:
        raise SettingsError(problems)
    return setup


def _read_json(path: Path) -> object:
    try:
        return json.loads(path.read_text("utf-8-sig"), object_pairs_hook=unique_members)
    except FileNotFoundError:
        problem = f"there is no file {path}. Create it, or leave BOT_MCP_CONFIG empty"
    except RepeatedKey as repeated:
        problem = f'{path.name} has "{repeated}" twice in one object. Remove one of them'
    except json.JSONDecodeError as error:
        where = f"{error.msg} in line {error.lineno}, column {error.colno}"
        problem = f"{path.name} is not JSON: {where}. Comments, and commas before }} or ], are not JSON either"
    except (UnicodeDecodeError, RecursionError):
        problem = f"{path.name} is not JSON in UTF-8"
    except ValueError:
        problem = f"{path.name} has a number with too many digits"
    except OSError as error:
        problem = f"{path} can't be read: {error.strerror}"
    # Not chained, because the error can contain the file's text.
    raise SettingsError([f"BOT_MCP_CONFIG: {problem}."]) from None


@dataclass(frozen=True)
class _Reader:
    file: str
    env: Mapping[str, str]
    public_url: str
    problems: list[str]
    notes: list[str]
    denied_tools: set[str]

    def setup(self, content: object) -> McpSetup:
        if not isinstance(content, dict):
            self._add_problem("", "must be an object with mcpServers")
            return McpSetup()
        if "servers" in content and _SERVERS not in content:
            # VS Code's name for it.
            content = {**content, _SERVERS: content["servers"]}
            del content["servers"]
        ours = (_SERVERS, *_RULES, _IN_DIRECT_MESSAGES)
        for key in content.keys() - {*ours, *_OTHER_TOP_KEYS}:
            # A misspelled rule would allow what it should deny.
            self._add_problem("", f'has the unknown key "{_visible_key(key)}". There are {", ".join(ours)}')
        self._note_unused("", content, ours)
        servers = content.get(_SERVERS)
        if not isinstance(servers, dict) or not servers:
            self._add_problem(_SERVERS, "must be an object with at least one server")
            return McpSetup()
        if len(servers) > MAX_SERVERS:
            self._add_problem(
                _SERVERS, f"must have at most {MAX_SERVERS} servers: Slack's settings modal can't show more"
            )
        read = [self._read_server(name, value) for name, value in servers.items()]
        deny, *others = (self._read_patterns(key, content.get(key, []), servers) for key in _RULES)
        rules = ToolRules(deny | self.denied_tools, *others)
        direct = content.get(_IN_DIRECT_MESSAGES, [])
        if not _is_list_of_strings(direct):
            self._add_problem(_IN_DIRECT_MESSAGES, "must be a list of servers")
            direct = []
        for name in direct:
            if name not in servers:
                self._add_problem(_IN_DIRECT_MESSAGES, f'"{name}" is not in mcpServers')
        return McpSetup(tuple(filter(None, read)), rules, tuple(direct), tuple(self.notes))

    def _read_server(self, name: str, value: object) -> ServerConfig | None:
        place = f"{_SERVERS}.{name}"
        if not _SERVER_NAME.fullmatch(name) or len(name) > MAX_SERVER_NAME_CHARS:
            self._add_problem(
                place,
                f"must be named with letters, digits, - and single _ between them, at most {MAX_SERVER_NAME_CHARS}",
            )
        if not isinstance(value, dict):
            self._add_problem(place, "must be an object with command or url")
            return None
        if value.get("disabled") is True or value.get("enabled") is False:
            return None
        transport = self._read_transport(place, value)
        if transport is None:
            return None
        for key in _DENY_KEYS:
            tools = value.get(key, [])
            if _is_list_of_strings(tools):
                self.denied_tools.update(full_tool_name(name, NOT_IN_TOOL_NAMES.sub("_", tool)) for tool in tools)
            else:
                self._add_problem(f"{place}.{key}", "must be a list of tools")
        if value.get("protocol", "legacy") != "legacy":
            self._add_problem(f"{place}.protocol", 'must be "legacy", or be left out')
        return ServerConfig(name, transport, "protocol" in value, self._read_timeout_s(f"{place}.timeout", value))

    def _read_transport(self, place: str, value: Mapping[str, Any]) -> StdioTransport | HttpTransport | None:
        url_key = next((key for key in _URL_KEYS if key in value), "url")
        type_key = next((key for key in _TYPE_KEYS if key in value), "type")
        kind = value.get(type_key, "http" if url_key in value else "stdio")
        if "command" in value and url_key in value:
            self._add_problem(place, f"has both command and {url_key}. Remove one of them")
            return None
        if kind in ("stdio", "local"):
            self._note_unused(place, value, (*_STDIO_KEYS, *_COMMON_KEYS))
            return self._read_stdio_transport(place, value)
        if isinstance(kind, str) and re.sub("[-_]", "", kind).lower() in _HTTP_TYPES:
            self._note_unused(place, value, (*_HTTP_KEYS, *_COMMON_KEYS))
            url = self._read_string(
                f"{place}.{url_key}", value.get(url_key), _is_url, "must be a URL such as https://host/mcp"
            )
            headers = self._read_strings(f"{place}.headers", value.get("headers", {}), _HEADER_NAME, _HEADER.fullmatch)
            return HttpTransport(url, headers, self._read_sign_in(f"{place}.{_SIGN_IN}", value.get(_SIGN_IN, {})))
        wanted = '"http": the transport "sse" is no longer part of MCP' if kind == "sse" else '"stdio" or "http"'
        self._add_problem(f"{place}.{type_key}", f"must be {wanted}")
        return None

    def _read_sign_in(self, place: str, value: object) -> SignInConfig:
        if not isinstance(value, dict):
            self._add_problem(place, 'must be an object such as {"clientId": "…"}')
            return SignInConfig(public_url=self.public_url)
        self._note_unused(place, value, _SIGN_IN_KEYS)
        client_id, secret, token_host, device_host = (
            self._read_string(f"{place}.{key}", value[key], _HEADER.fullmatch) if key in value else ""
            for key in ("clientId", "clientSecret", "tokenHost", "deviceHost")
        )
        issuer = self._read_string(f"{place}.issuer", value["issuer"], _is_url) if "issuer" in value else ""
        pkce, resource = (
            self._read_choice(f"{place}.{key}", value.get(key, usual), (True, False)) for key, usual in _FLAG_DEFAULTS
        )
        host = self._read_choice(f"{place}.callbackHost", value.get("callbackHost", _LOOPBACKS[0]), _LOOPBACKS)
        if secret and not client_id:
            self._add_note(f"{place}.clientSecret", "has no effect without clientId")
        scopes = value.get("scopes", [])
        scopes = scopes.split() if isinstance(scopes, str) else scopes
        if not _is_list_of_strings(scopes):
            self._add_problem(f"{place}.scopes", "must be a list of scopes")
            scopes = []
        port = value.get("callbackPort", CALLBACK_PORT)
        if isinstance(port, bool) or not isinstance(port, int) or not 1_024 <= port <= 65_535:
            self._add_problem(f"{place}.callbackPort", "must be a port from 1,024 to 65,535")
            port = CALLBACK_PORT
        trusted = issuer, token_host, device_host, pkce, resource
        return SignInConfig(client_id, secret, " ".join(scopes), port, host, self.public_url, *trusted)

    def _read_choice(self, place: str, value: T, possible: Sequence[T]) -> T:
        if not any(value is one or (isinstance(one, str) and value == one) for one in possible):
            self._add_problem(place, f"must be {' or '.join(json.dumps(one) for one in possible)}")
            return possible[0]
        return value

    def _read_timeout_s(self, place: str, value: Mapping[str, Any]) -> float:
        seconds = value.get("timeout", CALL_TIMEOUT_S)
        is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        if not (is_number and 0 < seconds <= MAX_TIMEOUT_S):
            self._add_problem(place, f"must be a number of seconds, above 0 and up to {MAX_TIMEOUT_S:g}")
            return CALL_TIMEOUT_S
        return float(seconds)

    def _read_stdio_transport(self, place: str, value: Mapping[str, Any]) -> StdioTransport:
        args = value.get("args", [])
        if not isinstance(args, list):
            self._add_problem(f"{place}.args", "must be a list of strings")
            args = []
        command, *first = self._split_command(f"{place}.command", value.get("command"))
        return StdioTransport(
            command,
            (*first, *(self._read_string(f"{place}.args[{at}]", arg, _is_argument) for at, arg in enumerate(args))),
            self._read_env_file(f"{place}.envFile", value)
            | self._read_strings(f"{place}.env", value.get("env", {}), _ENV_NAME, _is_argument),
            self._read_folder(f"{place}.cwd", value),
        )

    def _split_command(self, place: str, value: object) -> list[str]:
        """Returns a command as a list of words. A string is split like a command line unless it is the name of a
        program."""
        command = self._read_string(place, value, lambda text: text.strip() and _is_argument(text))
        if not isinstance(value, str) or not command or len(command.split()) < 2 or shutil.which(command):
            return [command]
        try:
            # Before variables are expanded, because their values aren't part of the line's syntax.
            parts = shlex.split(value)
        except ValueError:
            self._add_problem(place, "has a quote without its other half. Write the program here, and the rest in args")
            return [command]
        return [self._read_string(place, part, _is_argument) for part in parts]

    def _read_env_file(self, place: str, value: Mapping[str, Any]) -> dict[str, str]:
        if "envFile" not in value:
            return {}
        name = self._read_string(place, value["envFile"], _is_argument)
        try:
            text = Path(name).expanduser().read_text("utf-8-sig")
        except (OSError, ValueError, RuntimeError):
            self._add_problem(place, "names a file that can't be read")
            return {}
        return {key: text for key, text in dotenv_values(stream=StringIO(text), interpolate=False).items() if text}

    def _read_folder(self, place: str, value: Mapping[str, Any]) -> str | None:
        if "cwd" not in value:
            return None
        try:
            folder = Path(self._read_string(place, value["cwd"], _is_argument)).expanduser()
        except RuntimeError:
            folder = Path("~")
        if not folder.is_dir():
            self._add_problem(place, "is not a folder")
        return str(folder)

    def _read_strings(
        self, place: str, value: object, name: re.Pattern[str], is_valid: Callable[[str], object]
    ) -> dict[str, str]:
        if not isinstance(value, dict):
            self._add_problem(place, "must be an object of strings")
            return {}
        for key in value:
            if not name.fullmatch(key):
                self._add_problem(place, "has a name with invalid characters")
        return {key: self._read_string(f"{place}.{key}", text, is_valid) for key, text in value.items()}

    def _read_string(
        self,
        place: str,
        value: object,
        is_valid: Callable[[str], object],
        problem: str = "contains invalid characters, or is empty",
    ) -> str:
        if not isinstance(value, str):
            self._add_problem(place, "must be a string")
            return ""
        unset = [match["name"] for match in _VARIABLE.finditer(value) if self._variable_value(match) is None]
        for name in unset:
            self._add_problem(place, f"needs {name}, which is not set. Set it, or write ${{{name}:-a default}}")
        if "${" in _VARIABLE.sub("", value):
            self._add_problem(place, "has a ${…} that isn't a variable. Write ${NAME} or ${NAME:-a default}")
            return ""
        text = _VARIABLE.sub(lambda match: self._variable_value(match) or "", value)
        if not unset and not is_valid(text):
            self._add_problem(place, problem)
        return text

    def _variable_value(self, match: re.Match[str]) -> str | None:
        """Returns a variable's value or default, or None if it has neither. An empty variable is treated as unset."""
        return self.env.get(match["name"]) or match["default"]

    def _read_patterns(self, key: str, value: Any, servers: Mapping[str, object]) -> frozenset[str]:
        if not _is_list_of_strings(value):
            self._add_problem(key, "must be a list of patterns such as github__list_issues or github__*")
            return frozenset()
        for pattern in value:
            match = _PATTERN.fullmatch(pattern)
            if match is None:
                self._add_problem(key, f'"{pattern}" must be a pattern such as github__list_issues or github__*')
            elif match["server"] not in servers:
                self._add_problem(key, f'"{pattern}" names a server that mcpServers lacks')
        return frozenset(value)

    def _note_unused(self, place: str, value: Mapping[str, Any], known: Sequence[str]) -> None:
        if unused := [key for key in value if key not in known]:
            approving = ". Only allow and readOnly let calls run unasked" if set(unused) & set(_APPROVING_KEYS) else ""
            self._add_note(place, f"has keys without effect: {', '.join(map(_visible_key, unused))}{approving}")

    def _add_note(self, place: str, note: str) -> None:
        self.notes.append(f"BOT_MCP_CONFIG: {self.file}: {place}{' ' if place else ''}{note}.")

    def _add_problem(self, place: str, problem: str) -> None:
        self.problems.append(f"BOT_MCP_CONFIG: {self.file}: {place}{' ' if place else ''}{problem}.")


def _visible_key(key: str) -> str:
    return escape_unseen(key)[:40]


def _is_list_of_strings(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _is_argument(text: str) -> bool:
    """Returns whether a string can be a process argument. Bytes that aren't valid UTF-8 are allowed."""
    try:
        return b"\0" not in text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False


def _is_url(text: str) -> bool:
    if not text.isprintable() or " " in text:
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
