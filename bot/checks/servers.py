"""Checks of MCP servers: each server is started or reached, and lists its tools."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from bot.checks.report import Finding, ok, warn
from bot.clock import Clock
from bot.core.calls import MAX_DEFINITIONS_CHARS, MAX_TOOLS, ServerTools, tools_within_limits
from bot.mcp.config import HttpTransport, McpSetup
from bot.mcp.remedies import UNTIL_FIXED, down_sentences
from bot.mcp.sentences import DOWN_NO_ANSWER, DOWN_SIGN_IN
from bot.models.prompt import ToolDefinition

if TYPE_CHECKING:
    from bot.mcp.definitions import ListedTool

MCP_WITHIN_S = 11.0
"""Time limit for listing a server's tools. It is long enough even for a server that ignores the newest protocol."""
CHECKED_WITHIN_S = MCP_WITHIN_S + 10.0
"""Time limit for a check, which also closes the connection or finds out how people sign in."""


async def check_sign_ins(read_secrets: Callable[[], Awaitable[Sequence[str] | None]], keys: Sequence[str]) -> Finding:
    """Reports how many accounts BOT_SECRET_KEYS can decrypt, and how many need an older key. `read_secrets`: returns
    all secrets."""
    secrets = await read_secrets()
    if not secrets:
        return ok("Nobody is signed in to an MCP server.")
    # Imported here because it loads cryptography.
    from bot.accounts.vault import Vault

    places = [Vault(keys).key_index(secret) if keys else None for secret in secrets]
    if lost := places.count(None):
        return warn(
            f"BOT_SECRET_KEYS can't decrypt {lost} of {len(secrets)} sign-ins to MCP servers.",
            "Add the previous key to BOT_SECRET_KEYS, after the newest one and a comma. If it is lost, these people "
            "have to sign in again. Typist will ask them when they need it.",
        )
    older = len(secrets) - places.count(0)
    still = f" An older key is still needed for {older} until they are used again." if older else ""
    return ok(f"BOT_SECRET_KEYS can decrypt all sign-ins to MCP servers: {len(secrets)}.{still}")


class ServerChecks:
    """Checks each MCP server separately, and then the tools that models get in places that use several servers."""

    def __init__(
        self, setup: McpSetup, clock: Clock, price: Callable[[Sequence[ToolDefinition]], str], *, has_keys: bool
    ) -> None:
        self._setup = setup
        self._price = price
        self._has_keys = has_keys
        self._clock = clock
        self._tools: dict[str, ServerTools] = {}

    async def check_server(self, name: str) -> Finding:
        """Lists a server's tools with their rules. Warns about rules and tools without effect."""
        # Imported here because they need the SDK, which is large.
        from bot.mcp.definitions import offered_names
        from bot.mcp.server import ServerDown, open_servers
        from bot.mcp.tools import convert_tools

        config = next(config for config in self._setup.servers if config.name == name)
        async with open_servers([config], self._clock) as servers:
            try:
                async with asyncio.timeout(MCP_WITHIN_S):
                    named = offered_names(config.name, await servers.by_name[config.name].tools())
            except (ServerDown, TimeoutError) as error:
                if isinstance(config.transport, HttpTransport) and servers.by_name[config.name].needs_sign_in:
                    found = await self._sign_in_finding(
                        config.name, config.transport, is_named=str(error) == DOWN_SIGN_IN
                    )
                    if found is not None:
                        return found
                return warn(*down_sentences(config, str(error) or DOWN_NO_ANSWER))
        rules = self._setup.rules
        tools = convert_tools(((name, tool, False) for name, tool in named.items()), rules, config.timeout_s)
        self._tools[config.name] = tools
        if problems := _tool_problems(config.name, named, tools, rules.tool_names(config.name)):
            messages, fixes = zip(*problems, strict=True)
            return warn("\n".join(messages), " ".join(fixes))
        count = f"{len(named)} {'tool' if len(named) == 1 else 'tools'}"
        priced = self._price_text(tools.definitions)
        by_name = ((name, rules.rule_for(name)) for name in named)
        shown = (f"{name}: {rule.permission}{', read-only' if rule.read_only else ''}" for name, rule in by_name)
        return ok(f"{config.name}: the MCP server lists {count}{priced}.", *shown)

    def _price_text(self, definitions: Sequence[ToolDefinition]) -> str:
        price = self._price(definitions) if definitions else ""
        return f", {price}" if price else ""

    async def _sign_in_finding(self, server: str, transport: HttpTransport, *, is_named: bool) -> Finding | None:
        """Reports whether people can sign in to a server, and what is missing. Registers nothing. `is_named`:
        whether the server reports that people can sign in. Returns None if the server reports nothing and people
        can't sign in."""
        from bot.accounts.oauth import SignInFailed, configured_client_id, discover

        try:
            at = await discover(transport.url, transport.sign_in)
        except SignInFailed as error:
            if not is_named:
                return None
            return warn(
                f"{server}: people must sign in, but nobody can: {error}.",
                "Fix this problem, or set an Authorization header for the server in BOT_MCP_CONFIG, with a token "
                f"that its vendor issues for programs. Typist's docs have recipes (tools.md). {UNTIL_FIXED}",
            )
        client_id = configured_client_id(at, transport.sign_in, server)
        must = f"{server}: people must sign in at {at.issuer},"
        if not (at.registration_endpoint or client_id):
            redirect_uri = replace(transport.sign_in, client_id="x").redirect_uri(server)
            return warn(
                f"{must} which doesn't let Typist register itself.",
                f"Register Typist at {at.issuer} with the redirect URL {redirect_uri}, and set oauth.clientId (and "
                "clientSecret, if there is one) for the server in BOT_MCP_CONFIG. Or set an Authorization header.",
            )
        if not self._has_keys:
            return warn(
                f"{must} and BOT_SECRET_KEYS isn't set.",
                "Set BOT_SECRET_KEYS to the output of `openssl rand -base64 32 | tr '+/' '-_'` and keep it: if it is "
                "lost, everybody has to sign in again. Or set an Authorization header for all askers.",
            )
        known = f"Typist's client ID there is {client_id}" if client_id else "Typist registers itself there"
        how = "They confirm a code from Slack there."
        if at.authorization_endpoint:
            with_code = "people enter the code shown there"
            then = with_code if transport.sign_in.public_url else "people paste the URL of that page, which won't open"
            how = f"Sign-in ends at {transport.sign_in.redirect_uri(server)}, and {then}."
        return ok(f"{server}: people sign in at {at.issuer}. {known}. {how}")

    async def check_places(
        self, read_servers: Callable[[], Awaitable[Mapping[str, Collection[str]] | None]]
    ) -> Finding:
        """Reports how many tools a model is offered in direct messages and in channels, from all servers together.
        `read_servers`: returns the servers of channels that have chosen servers. If no channel has chosen any, all
        servers are checked together."""
        channels = {f"channel {channel_id}": names for channel_id, names in (await read_servers() or {}).items()}
        places: dict[str, Collection[str]] = {"direct messages": self._setup.direct_message_servers}
        places |= channels or {"a channel with all MCP servers": self._setup.names}
        alike: dict[tuple[str, ...], list[str]] = {}
        for place, chosen_names in places.items():
            servers = tuple(name for name in self._setup.names if name in chosen_names and name in self._tools)
            alike.setdefault(servers, []).append(place)
        most: Sequence[ToolDefinition] = ()
        problems = []
        for servers, named in alike.items():
            together = tools_within_limits(self._tools[name] for name in servers)
            most = max(most, together.offered, key=len)
            # A server's own line lists tools that are left out by themselves.
            alone = {tool for name in servers for tool in self._tools[name].left_out}
            if too_many := [tool for tool in together.left_out if tool not in alone]:
                problems.append(_left_out_text(named, together.counts, too_many))
        if problems:
            return warn(
                "\n".join(problems),
                f"All servers in a channel together are limited to {MAX_TOOLS} tools and {MAX_DEFINITIONS_CHARS:,} "
                "characters of tool definitions. Deny unneeded tools in the BOT_MCP_CONFIG file, or choose "
                "fewer servers for the channel.",
            )
        offered = f"one channel has at most {len(most)} of their tools{self._price_text(most)}"
        return ok(f"MCP servers: {offered}. The maximum is {MAX_TOOLS}.")


def _tool_problems(
    server: str, named: "Mapping[str, ListedTool]", tools: ServerTools, ruled: Collection[str]
) -> list[tuple[str, str]]:
    problems = []
    if missing := sorted(ruled - named.keys()):
        problems.append(
            (
                f"{server}: BOT_MCP_CONFIG has rules for tools that the MCP server doesn't list: {', '.join(missing)}.",
                f"Correct or remove these rules. The server lists {', '.join(sorted(named)) or 'no tools'}.",
            )
        )
    ask = "Ask the server's maintainers"
    if broken := sorted(name for name in tools.left_out if named[name].is_broken):
        said = (
            f"{server}: the server's definitions of these tools are invalid, so the tools are left out: "
            f"{', '.join(broken)}."
        )
        problems.append((said, f"{ask} to correct these tools' names and inputSchema, or deny them."))
    if too_large := sorted(set(tools.left_out) - set(broken)):
        said = f"{server}: the parameters of these tools are too large for models: {', '.join(too_large)}."
        problems.append((said, f"{ask} for shorter schemas, or deny these tools."))
    if cut := sorted(tool.name for tool in tools.definitions if named[tool.name].is_cut):
        said = f"{server}: models only read the beginning of these tools' descriptions: {', '.join(cut)}."
        problems.append((said, f"{ask} for shorter descriptions, or deny these tools."))
    return problems


def _left_out_text(places: Sequence[str], counts: Mapping[str, int], left_out: Sequence[str]) -> str:
    """Lists the tools that are left out, once for all places with the same servers. `counts`: the number of tools by
    server."""
    servers = ", ".join(f"{server} has {count}" for server, count in counts.items())
    named = ", ".join([*places[:5], *([f"{more} more"] if (more := len(places) - 5) > 0 else [])])
    return f"{named}: more tools than models can be offered ({servers}). Left out: {', '.join(left_out)}."
