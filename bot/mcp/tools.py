"""The tools of all MCP servers: who may use which, and that none is new or changed since an admin agreed."""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bot.core.calls import (
    MAY_HAVE_CHANGED,
    CallResult,
    CallState,
    Pin,
    PlaceTools,
    ServerTools,
    as_data,
    owner_of,
    tools_together,
)
from bot.core.channel_settings import ChannelSettings
from bot.core.conversation import Question
from bot.errors import StoreError
from bot.mcp.config import McpSetup, ToolRules
from bot.mcp.definitions import (
    CALL_DENIED,
    DATABASE_AWAY,
    DEFINITION_CHANGED,
    DOWN_LATE,
    LATE,
    SERVER_DOWN,
    TOOLS_LATE,
    TOOLS_LEFT_OUT,
    TOOLS_MISSING,
    ListedTool,
    offered_names,
)
from bot.mcp.server import LISTED_FOR_S, McpServer, McpServers, ServerDown
from bot.models.prompt import OURS, TOOL, Offered, Permission, ToolDefinition

OFFERED_WITHIN_S = 5.0
"""How long an answer waits for the tools of a server that is just starting. A later answer may have them."""
MAX_NAMES_CHARS = 2_000
"""How much a model reads of the names of tools that it doesn't have."""

log = logging.getLogger(__name__)


def tools_of(listed: Iterable[tuple[str, ListedTool, bool]], rules: ToolRules, timeout_s: float) -> ServerTools:
    """Returns what models may have of a server's tools, each with its name and whether an admin has agreed to it."""
    definitions, left_out = [], []
    for name, tool, is_by_admin in listed:
        rule = rules.rule_for(name)
        if rule.permission is Permission.DENY:
            continue
        if tool.is_too_large or tool.is_broken:
            left_out.append(name)
            continue
        described = (name, tool.offered_description, tool.offered_parameters, tool.hash)
        definitions.append(ToolDefinition(*described, OURS if is_by_admin else TOOL, rule, timeout_s))
    return ServerTools(tuple(definitions), tuple(left_out))


class McpTools:
    """The tools of MCP servers."""

    def __init__(
        self,
        setup: McpSetup,
        servers: McpServers,
        pin: Callable[[str, Mapping[str, Pin]], Awaitable[Mapping[str, Pin]]],
        channel_settings: Callable[[str, str], Awaitable[ChannelSettings]],
    ) -> None:
        self._setup = setup
        self._servers = servers.by_name
        self._pin = pin
        self._channel_settings = channel_settings
        self._left_out: set[tuple[str, ...]] = set()
        """Which tools were too many, as far as the log says so."""
        self._quarantined: dict[str, set[tuple[str, str]]] = {}
        """By server: the tools that are not offered, with their hashes, as of its last list."""

    async def definitions(self, question: Question) -> Offered:
        """Returns the tools of the servers that the channel may use, as far as they can be had within seconds."""
        place = await self._together(await self._servers_of(question), OFFERED_WITHIN_S)
        late = [name for name, why in place.down.items() if why in LATE]
        down = [name for name in place.down if name not in late]
        sentences = ((TOOLS_MISSING, down), (TOOLS_LATE, late))
        missing = [sentence.format(servers=", ".join(names)) for sentence, names in sentences if names]
        if place.left_out:
            missing.append(TOOLS_LEFT_OUT.format(tools=", ".join(place.left_out)[:MAX_NAMES_CHARS]))
        return Offered(place.offered, " ".join(missing))

    async def of_servers(self, names: Sequence[str], within_s: float) -> PlaceTools:
        """Returns the tools of a place that uses these servers. One that only takes longer isn't called down."""
        place = await self._together([server for name, server in self._servers.items() if name in names], within_s)
        return replace(place, down={name: why for name, why in place.down.items() if why not in LATE})

    async def call(
        self,
        question: Question,
        tool: str,
        definition_hash: str,
        arguments: Mapping[str, Any],
        *,
        version: int = 0,
        timeout_s: float,
    ) -> CallResult:
        """Calls a tool once, if the question's channel may use it and its definition is the agreed one."""
        rule = self._setup.rules.rule_for(tool)
        server = self._servers.get(owner_of(tool))
        if server is None or rule.permission is Permission.DENY or server not in await self._servers_of(question):
            return CallResult.failed(CALL_DENIED)
        try:
            async with asyncio.timeout(timeout_s):
                # A person may have approved the call for a definition that the server has changed since.
                agreed = await self._agreed(server, LISTED_FOR_S if rule.read_only else 0.0)
        except (ServerDown, StoreError, TimeoutError):
            return CallResult.failed(SERVER_DOWN)
        if tool not in agreed or agreed[tool][0].hash != definition_hash:
            return CallResult.failed(DEFINITION_CHANGED)
        listed = agreed[tool][0]
        result, by_server = await server.call(listed.name, arguments, timeout_s=timeout_s, read_only=rule.read_only)
        log.info("MCP tool %s: %s", tool, result.outcome)
        if not by_server:
            return result
        text = as_data(result.text, tool, secrets.token_hex(8))
        if result.outcome is CallState.DONE and result.is_error and not rule.read_only:
            text += f"\n{MAY_HAVE_CHANGED}"
        return CallResult(result.outcome, text, result.is_error)

    async def _servers_of(self, question: Question) -> list[McpServer]:
        """Returns the servers that a question's channel may use; none if the database stays away."""
        thread = question.thread
        if thread.in_direct_message:
            names: Sequence[str] = self._setup.in_direct_messages
        else:
            try:
                names = (await self._channel_settings(thread.team_id, thread.channel_id)).mcp_servers
            except StoreError as error:
                log.error("MCP: channel settings not read, no tools: %s", error)
                return []
        return [server for name, server in self._servers.items() if name in names]

    async def _together(self, servers: Sequence[McpServer], within_s: float) -> PlaceTools:
        """Returns what servers offer together, and says once in the log what is too much."""
        offers = await asyncio.gather(*(self._offer(server, within_s) for server in servers))
        place = tools_together(offer for offer in offers if isinstance(offer, ServerTools))
        if place.left_out and place.left_out not in self._left_out:
            self._left_out.add(place.left_out)
            log.warning(
                "MCP: tools too many, too large or described wrongly: not_offered=%s", ", ".join(place.left_out)
            )
        why = {server.name: offer for server, offer in zip(servers, offers, strict=True) if isinstance(offer, str)}
        return replace(place, down=why)

    async def _offer(self, server: McpServer, within_s: float) -> ServerTools | str:
        """Returns the tools of a server that may be offered, or why it has none now."""
        try:
            async with asyncio.timeout(within_s):
                await server.ready(within_s)
                agreed = await self._agreed(server)
        except TimeoutError:
            why = DOWN_LATE
        except ServerDown as error:
            why = str(error)
        except StoreError as error:
            log.error("MCP server %s: no tools available: %s", server.name, error)
            return DATABASE_AWAY
        else:
            known = [(name, tool, pin.by_admin) for name, (tool, pin) in agreed.items()]
            named = offered_names(server.name, await server.tools())
            known += [(name, tool, False) for name, tool in named.items() if tool.is_broken]
            return tools_of(known, self._setup.rules, server.timeout_s)
        log.info("MCP server %s: no tools available: %s", server.name, why)
        return why

    async def _agreed(self, server: McpServer, max_age_s: float = LISTED_FOR_S) -> dict[str, tuple[ListedTool, Pin]]:
        """Returns a server's tools and their pins, without those that are new or have changed since an admin agreed.

        The server has listed them in the last so many seconds. Its first list counts as agreed.
        """
        listed = offered_names(server.name, await server.tools(max_age_s))
        named = {name: tool for name, tool in listed.items() if not tool.is_broken}
        pins = await self._pin(server.name, {name: Pin(tool.hash, tool.canonical) for name, tool in named.items()})
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
