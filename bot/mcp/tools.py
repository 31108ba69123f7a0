"""Finds and calls the MCP tools that a question can use. New and changed tools are left out until an admin approves
them."""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

from bot.core import texts
from bot.core.calls import (
    MAY_HAVE_CHANGED,
    SIGN_IN,
    AvailableTools,
    CallResult,
    CallState,
    Pin,
    ServerTools,
    ToolUse,
    object_schema,
    result_for_model,
    tool_owner,
    tools_within_limits,
)
from bot.core.channel_settings import ChannelSettings
from bot.core.conversation import Question
from bot.errors import StoreError
from bot.mcp import sentences
from bot.mcp.config import McpSetup, ToolRules
from bot.mcp.definitions import ListedTool, offered_names
from bot.mcp.server import LISTED_FOR_S, McpServer, McpServers, ServerDown
from bot.models.prompt import DEFINITION, OURS, OfferedTools, Permission, ToolDefinition, ToolRule

OFFERED_WITHIN_S = 5.0
"""The time for which an answer waits for the tools of a server that is starting. A later answer might get them."""
MAX_NAMES_CHARS = 2_000
NOT_SIGNED_IN = "The person isn't signed in to this server."

log = logging.getLogger(__name__)


def convert_tools(listed: Iterable[tuple[str, ListedTool, bool]], rules: ToolRules, timeout_s: float) -> ServerTools:
    """Returns a server's tools in the form in which they are offered to models. `listed`: each tool's name, and whether
    an admin has approved it."""
    definitions, left_out = [], []
    for name, tool, is_by_admin in listed:
        rule = rules.rule_for(name)
        if rule.permission is Permission.DENY:
            continue
        if tool.is_too_large or tool.is_broken:
            left_out.append(name)
            continue
        described = (name, tool.offered_description, tool.offered_parameters, tool.hash)
        prepare = tool.original_arguments if tool.original_names else None
        origins = OURS if is_by_admin else DEFINITION
        definitions.append(ToolDefinition(*described, origins, rule, timeout_s, prepare=prepare))
    return ServerTools(tuple(definitions), tuple(left_out))


class OwnAccounts(Protocol):
    async def asker_server(self, question: Question, name: str) -> McpServer | None:
        """Returns the server connected as the asker, or None if the asker has no usable account. Raises ServerDown,
        StoreError."""
        ...

    def missing_scope(self, question: Question, server: str) -> str | None:
        """Returns the scope that the asker must grant before calls work, "" if none is missing, or None if there is no
        connection."""
        ...

    async def account_problem(self, server: str) -> str:
        """Returns the reason nobody can sign in to a server, phrased to complete a sentence, or "" if people can sign
        in."""
        ...


def sign_in_tool(servers: Sequence[str], missing_scopes: Mapping[str, str]) -> ToolDefinition:
    """Returns the tool with which a model proposes a sign-in. `missing_scopes`: servers that need a sign-in, with the
    missing scopes."""
    # The hash doesn't depend on the servers, because a call is waiting while its asker signs in to one of them.
    return ToolDefinition(
        SIGN_IN,
        "Asks the person to sign in to a server with their own account. Its tools are there after that. Use it only "
        "if the question needs what that server has.",
        object_schema({"server": {"type": "string", "enum": list(servers)}}, ("server",)),
        SIGN_IN,
        OURS,
        ToolRule(Permission.ASK),
        prepare=partial(_requested_server, missing_scopes),
        is_dispensable=True,
    )


def _requested_server(missing_scopes: Mapping[str, str], arguments: Mapping[str, Any]) -> Mapping[str, Any] | str:
    server = arguments.get("server")
    if not isinstance(server, str) or server not in missing_scopes:
        return "The person needn't sign in there now: try its tools again."
    return {"server": server} | ({"scope": missing_scopes[server]} if missing_scopes[server] else {})


@dataclass(eq=False)
class McpTools:
    setup: McpSetup
    servers: McpServers
    pin: Callable[[str, Mapping[str, Pin]], Awaitable[Mapping[str, Pin]]]
    channel_settings: Callable[[str, str], Awaitable[ChannelSettings]]
    accounts: OwnAccounts | None = None
    _logged_left_out: set[tuple[str, ...]] = field(default_factory=set, init=False)
    _quarantined: dict[str, set[tuple[str, str]]] = field(default_factory=dict, init=False)
    """The tools in each server's most recent list that aren't offered, with their hashes."""
    _sign_in_problems: dict[str, str] = field(default_factory=dict, init=False)
    """For each server that has required a sign-in, the reason nobody can sign in to it, or "" if people can."""

    async def definitions(self, question: Question) -> OfferedTools:
        """Returns the tools of the servers that the question's channel can use. Leaves out servers that aren't
        available within seconds."""
        servers = await self._usable_servers(question)
        place = await self._combined_tools(servers, OFFERED_WITHIN_S, question)
        wanted = {one.name: self.accounts and self.accounts.missing_scope(question, one.name) for one in servers}
        own = [name for name, scope in wanted.items() if scope is not None]
        asking = [server.name for server in servers if server.needs_sign_in and server.name not in own]
        # Even with their own account, because the server might have ended it.
        unsigned = [name for name, why in place.down_reasons.items() if why == sentences.DOWN_SIGN_IN]
        asking += [name for name in (*unsigned, *(one for one in own if wanted[one])) if name not in asking]
        # There is nobody to sign in.
        is_alone = question.is_from_bot or question.schedule_id is not None
        reachable = await self._servers_with_sign_in(asking) if asking and not is_alone else []
        waiting = {name: wanted[name] or "" for name in reachable}
        named = list(dict.fromkeys((*waiting, *own)))
        sign_in = (sign_in_tool(named, waiting),) if named else ()
        late = [name for name, why in place.down_reasons.items() if why in sentences.LATE]
        closed = [name for name in unsigned if name not in waiting]
        down = [name for name in place.down_reasons if name not in (*late, *waiting, *closed)]
        absent = ((sentences.TOOLS_MISSING, down), (sentences.TOOLS_LATE, late), (sentences.TOOLS_CLOSED, closed))
        missing = [sentence.format(servers=", ".join(names)) for sentence, names in absent if names]
        left_out = [name for name in place.down_reasons if name not in waiting]
        if place.left_out:
            missing.append(sentences.TOOLS_LEFT_OUT.format(tools=", ".join(place.left_out)[:MAX_NAMES_CHARS]))
        notice = texts.answers.servers_left_out(left_out) if left_out else ""
        return OfferedTools((*sign_in, *place.offered), " ".join(missing), notice)

    async def problems(self) -> dict[str, str]:
        """Returns, for each server that has been used, the reason it is down, or "" if it works. A server that nobody
        can sign in to counts as down."""
        await self._servers_with_sign_in([name for name, problem in self._sign_in_problems.items() if problem])
        found = {name: server.problem for name, server in self.servers.by_name.items()} | self._sign_in_problems
        return {name: problem for name, problem in found.items() if problem is not None}

    def retry(self, server: str, min_interval_s: float) -> None:
        self.servers.by_name[server].retry(min_interval_s)

    async def place_tools(self, names: Sequence[str], within_s: float) -> AvailableTools:
        """Returns the tools that a channel has from these servers. Slow servers, and servers that people sign in to,
        aren't reported as down."""
        place = await self._combined_tools(
            [server for name, server in self.servers.by_name.items() if name in names], within_s
        )
        down = {name: why for name, why in place.down_reasons.items() if why not in sentences.LATE}
        unsigned = [name for name, why in down.items() if why == sentences.DOWN_SIGN_IN]
        try:
            async with asyncio.timeout(within_s):
                sign_in = await self._servers_with_sign_in(unsigned)
        except TimeoutError:
            sign_in = unsigned
        down |= dict.fromkeys(unsigned, sentences.DOWN_NO_SIGN_IN)
        return replace(
            place,
            down_reasons={name: down[name] for name in down if name not in sign_in},
            sign_in_servers=tuple(sign_in),
        )

    async def call(self, use: ToolUse) -> CallResult:
        """Calls a tool once if the question's channel can use it and its definition is the one that was approved.
        `use.timeout_s` limits the total time for reaching the server, checking its list of tools, and making the call.
        Progress restarts the timeout."""
        until = self.servers.clock.monotonic() + use.timeout_s
        if use.tool == SIGN_IN:
            return await self._account_result(use)
        rule = self.setup.rules.rule_for(use.tool)
        usable = {server.name: server for server in await self._usable_servers(use.question)}
        server = usable.get(tool_owner(use.tool))
        if server is None or rule.permission is Permission.DENY:
            return CallResult.failed(sentences.CALL_DENIED)
        try:
            async with asyncio.timeout(use.timeout_s):
                if use.uses_own_account:
                    own = await self._asker_server(server, use.question)
                    if own is server:
                        return CallResult.failed(NOT_SIGNED_IN)
                    server = own
                # The server might have changed the definition since a person approved the call.
                agreed = await self._approved_tools(server, LISTED_FOR_S if rule.read_only else 0.0)
        except (ServerDown, StoreError, TimeoutError):
            return CallResult.failed(sentences.SERVER_DOWN)
        if use.tool not in agreed or agreed[use.tool][0].hash != use.definition_hash:
            return CallResult.failed(sentences.DEFINITION_CHANGED)
        listed = agreed[use.tool][0]
        left_s = until - self.servers.clock.monotonic()
        result, by_server = await server.call(
            listed.name, use.arguments, timeout_s=left_s, read_only=rule.read_only, on_progress=use.on_progress
        )
        log.info("MCP tool %s: %s", use.tool, result.outcome)
        if not by_server:
            return result
        text = await asyncio.to_thread(result_for_model, result.text, use.tool, secrets.token_hex(8))
        if result.outcome is CallState.DONE and result.is_error and not rule.read_only:
            text += f"\n{MAY_HAVE_CHANGED}"
        return CallResult(result.outcome, text, result.is_error)

    async def _account_result(self, use: ToolUse) -> CallResult:
        name = str(use.arguments.get("server"))
        shared = next((server for server in await self._usable_servers(use.question) if server.name == name), None)
        try:
            if shared is None or await self._asker_server(shared, use.question) is shared:
                return CallResult.failed(NOT_SIGNED_IN)
        except (ServerDown, StoreError):
            return CallResult.failed(NOT_SIGNED_IN)
        return CallResult(CallState.DONE, texts.accounts.signed_in_message(name))

    async def _servers_with_sign_in(self, names: Sequence[str]) -> list[str]:
        if self.accounts is None:
            return []
        problems = await asyncio.gather(*map(self.accounts.account_problem, names), return_exceptions=True)
        for name, problem in zip(names, problems, strict=True):
            if isinstance(problem, BaseException) and not isinstance(problem, StoreError):
                raise problem
            if not isinstance(problem, BaseException):
                self._sign_in_problems[name] = problem
        return [name for name, problem in zip(names, problems, strict=True) if problem == ""]

    async def _ready_server(self, shared: McpServer, within_s: float, question: Question | None) -> McpServer:
        server = await self._asker_server(shared, question)
        try:
            await server.wait_until_ready(within_s)
        except ServerDown:
            if server is shared or not server.needs_sign_in:
                raise
            # The server refuses the token before it expires, and refreshing it might help.
            server = await self._asker_server(shared, question)
            await server.wait_until_ready(within_s)
        return server

    async def _asker_server(self, server: McpServer, question: Question | None) -> McpServer:
        """Returns a server connected with the asker's own account, or else the shared server. Raises ServerDown,
        StoreError."""
        if self.accounts is None or question is None or question.is_from_bot:
            return server
        return await self.accounts.asker_server(question, server.name) or server

    async def _usable_servers(self, question: Question) -> list[McpServer]:
        """Returns the servers that a question's channel can use, or no servers if the database is unavailable."""
        thread = question.thread
        if thread.in_direct_message:
            names: Sequence[str] = self.setup.direct_message_servers
        else:
            try:
                names = (await self.channel_settings(thread.team_id, thread.channel_id)).mcp_servers
            except StoreError as error:
                log.error("MCP: channel settings not read, no tools: %s", error)
                return []
        return [await self.servers.connected_as_asker(name) for name in self.servers.by_name if name in names]

    async def _combined_tools(
        self, servers: Sequence[McpServer], within_s: float, question: Question | None = None
    ) -> AvailableTools:
        """Returns the servers' tools, up to the limits. Logs which tools were left out, but only once."""
        offers = await asyncio.gather(*(self._offered_tools(server, within_s, question) for server in servers))
        place = tools_within_limits(offer for offer in offers if isinstance(offer, ServerTools))
        if place.left_out and place.left_out not in self._logged_left_out:
            self._logged_left_out.add(place.left_out)
            log.warning(
                "MCP: tools too many, too large or described wrongly: not_offered=%s", ", ".join(place.left_out)
            )
        why = {server.name: offer for server, offer in zip(servers, offers, strict=True) if isinstance(offer, str)}
        return replace(place, down_reasons=why)

    async def _offered_tools(self, server: McpServer, within_s: float, question: Question | None) -> ServerTools | str:
        try:
            async with asyncio.timeout(within_s):
                shared, server = server, await self._ready_server(server, within_s, question)
                agreed = await self._approved_tools(server)
        except TimeoutError:
            why = server.start_failure or sentences.DOWN_LATE
        except ServerDown as error:
            why = str(error)
        except StoreError as error:
            log.error("MCP server %s: no tools available: %s", server.name, error)
            return sentences.DATABASE_UNAVAILABLE
        else:
            known = [(name, tool, pin.is_admin_approved) for name, (tool, pin) in agreed.items()]
            named = offered_names(server.name, await server.tools())
            known += [(name, tool, False) for name, tool in named.items() if tool.is_broken]
            tools = convert_tools(known, self.setup.rules, server.timeout_s)
            definitions = (replace(tool, uses_own_account=server is not shared) for tool in tools.definitions)
            return replace(tools, definitions=tuple(definitions))
        log.info("MCP server %s: no tools available: %s", server.name, why)
        return why

    async def _approved_tools(
        self, server: McpServer, max_age_s: float = LISTED_FOR_S
    ) -> dict[str, tuple[ListedTool, Pin]]:
        """Returns a server's approved tools with their pins. Leaves out tools that are new or have changed."""
        listed = offered_names(server.name, await server.tools(max_age_s))
        named = {name: tool for name, tool in listed.items() if not tool.is_broken}
        pins = await self.pin(server.name, {name: Pin(tool.hash, tool.canonical_json) for name, tool in named.items()})
        agreed = {
            name: (tool, pins[name])
            for name, tool in named.items()
            if name in pins and pins[name].definition_hash == tool.hash
        }
        quarantined = {(name, tool.hash) for name, tool in named.items() if name not in agreed}
        for name, _ in sorted(quarantined - self._quarantined.get(server.name, set())):
            log.warning("MCP tool %s is new or has changed, and isn't offered until an admin agrees: typist mcp", name)
        self._quarantined[server.name] = quarantined
        return agreed
