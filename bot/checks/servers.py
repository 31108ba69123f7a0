"""The checks of `typist check` that concern MCP servers: each is started or reached, and lists its tools."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace

from bot.checks import check_texts
from bot.checks.report import Check, CheckStatus, ok, warn
from bot.clock import Clock
from bot.core.calls import MAX_DEFINITIONS_CHARS, MAX_TOOLS, ServerTools, tools_together
from bot.mcp.config import HttpTransport, McpSetup, ServerConfig, StdioTransport
from bot.models.prompt import ToolDefinition

log = logging.getLogger(__name__)

MCP_WITHIN_S = 11.0
"""Longer than a server takes that ignores the newest protocol, and shorter than the bound of any check."""


def server_check_id(server: str) -> str:
    """Returns the id of a server's check."""
    return f"mcp.{server}"


MCP_PLACES = "mcp"
SIGN_INS = "sign_ins"


def check_sign_ins(secrets: Sequence[str], keys: Sequence[str]) -> Check:
    """Counts the accounts that BOT_SECRET_KEYS opens, and those for which an older key has to stay."""
    if not secrets:
        return ok(SIGN_INS, check_texts.NO_SIGN_INS)
    # Only now: it imports cryptography.
    from bot.accounts.vault import Vault

    places = [Vault(keys).key_of(secret) if keys else None for secret in secrets]
    if lost := places.count(None):
        return warn(SIGN_INS, check_texts.sign_ins_lost(lost, len(secrets)), check_texts.SIGN_INS_FIX)
    return ok(SIGN_INS, check_texts.sign_ins(len(secrets), len(secrets) - places.count(0)))


def log_sign_ins(secrets: Sequence[str], keys: Sequence[str]) -> None:
    """Logs at the start that accounts are lost, as `typist check` would say it."""
    check = check_sign_ins(secrets, keys)
    if check.status is CheckStatus.WARN:
        log.warning("%s %s", check.message, check.fix)


class ServerChecks:
    """Checks the MCP servers: each alone, and what models are offered where several are used together."""

    def __init__(
        self, setup: McpSetup, clock: Clock, price: Callable[[Sequence[ToolDefinition]], str], *, has_keys: bool
    ) -> None:
        """`price` returns what definitions cost."""
        self._setup = setup
        self._price = price
        self._has_keys = has_keys
        self._clock = clock
        self._tools: dict[str, ServerTools] = {}
        """The tools of the servers that have listed them, by the server's name."""

    async def server(self, config: ServerConfig) -> Check:
        """Lists a server's tools with their rules. Rules and tools that have no effect are a warning."""
        # Only now: they need the extra mcp.
        from bot.mcp.definitions import offered_names
        from bot.mcp.sentences import DOWN_NO_ANSWER, DOWN_SIGN_IN
        from bot.mcp.server import ServerDown, open_servers
        from bot.mcp.tools import tools_of

        line = server_check_id(config.name)
        async with open_servers([config], self._clock) as servers:
            try:
                async with asyncio.timeout(MCP_WITHIN_S):
                    named = offered_names(config.name, await servers.by_name[config.name].tools())
            except (ServerDown, TimeoutError) as error:
                if isinstance(config.transport, HttpTransport) and servers.by_name[config.name].wants_sign_in:
                    found = await self._sign_in(config.name, config.transport, is_named=str(error) == DOWN_SIGN_IN)
                    if found is not None:
                        return found
                is_process = isinstance(config.transport, StdioTransport)
                down = check_texts.mcp_down(config.name, str(error) or DOWN_NO_ANSWER, is_process=is_process)
                return warn(line, *down)
        rules = self._setup.rules
        tools = tools_of(((name, tool, False) for name, tool in named.items()), rules, config.timeout_s)
        self._tools[config.name] = tools
        problems = []
        if missing := sorted(rules.named_tools(config.name) - named.keys()):
            problems.append(check_texts.mcp_no_tool(config.name, missing, sorted(named)))
        broken = sorted(name for name in tools.left_out if named[name].is_broken)
        if broken:
            problems.append((check_texts.mcp_broken(config.name, broken), check_texts.MCP_BROKEN_FIX))
        if too_large := sorted(set(tools.left_out) - set(broken)):
            problems.append((check_texts.mcp_large(config.name, too_large), check_texts.MCP_LARGE_FIX))
        if cut := sorted(tool.name for tool in tools.definitions if named[tool.name].is_cut):
            problems.append((check_texts.mcp_cut(config.name, cut), check_texts.MCP_CUT_FIX))
        if problems:
            messages, fixes = zip(*problems, strict=True)
            return warn(line, "\n".join(messages), " ".join(fixes))
        priced = self._price(tools.definitions) if tools.definitions else ""
        return ok(line, check_texts.mcp(config.name, {name: rules.rule_for(name) for name in named}, priced))

    async def _sign_in(self, server: str, transport: HttpTransport, *, is_named: bool) -> Check | None:
        """Says whether people can sign in to a server, and what is missing. Nothing is registered.

        `is_named`: whether the server says that people can. If not, None if they can't.
        """
        from bot.accounts.oauth import SignInFailed, discovered, known_by

        line = server_check_id(server)
        try:
            at = await discovered(transport.url, transport.sign_in)
        except SignInFailed as error:
            if not is_named:
                return None
            return warn(line, check_texts.mcp_no_sign_in(server, str(error)), check_texts.MCP_SIGN_IN_FIX)
        client_id = known_by(at, transport.sign_in, server)
        if not (at.registration_endpoint or client_id):
            fix = check_texts.mcp_register(at.issuer, replace(transport.sign_in, client_id="x").redirect_uri(server))
            return warn(line, check_texts.mcp_registers_nobody(server, at.issuer), fix)
        if not self._has_keys:
            return warn(line, check_texts.mcp_needs_key(server, at.issuer), check_texts.BOT_KEYS_FIX)
        redirect_uri = transport.sign_in.redirect_uri(server) if at.authorization_endpoint else ""
        with_code = bool(transport.sign_in.public_url)
        return ok(line, check_texts.mcp_sign_in(server, at.issuer, client_id, redirect_uri, with_code=with_code))

    async def places(self, chosen: Callable[[], Awaitable[Mapping[str, Collection[str]]]]) -> Check:
        """Counts the tools that a model is offered in direct messages and in channels, of all servers there.

        `chosen` returns the servers of the channels that use some. Before the first one does, all servers count.
        """
        channels = {check_texts.channel(channel_id): names for channel_id, names in (await chosen()).items()}
        places: dict[str, Collection[str]] = {check_texts.DIRECT_MESSAGES: self._setup.in_direct_messages}
        places |= channels or {check_texts.ALL_SERVERS: self._setup.names}
        alike: dict[tuple[str, ...], list[str]] = {}
        for place, chosen_names in places.items():
            servers = tuple(name for name in self._setup.names if name in chosen_names and name in self._tools)
            alike.setdefault(servers, []).append(place)
        most: Sequence[ToolDefinition] = ()
        problems = []
        for servers, named in alike.items():
            together = tools_together(self._tools[name] for name in servers)
            most = max(most, together.offered, key=len)
            # A server's own line names those that are left out by themselves.
            alone = {tool for name in servers for tool in self._tools[name].left_out}
            if too_many := [tool for tool in together.left_out if tool not in alone]:
                problems.append(check_texts.mcp_too_many(named, together.counts, too_many))
        if problems:
            return warn(MCP_PLACES, "\n".join(problems), check_texts.mcp_too_many_fix(MAX_TOOLS, MAX_DEFINITIONS_CHARS))
        return ok(MCP_PLACES, check_texts.mcp_places(len(most), MAX_TOOLS, self._price(most) if most else ""))
