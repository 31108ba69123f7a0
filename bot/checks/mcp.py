"""The checks of `typist check` that concern MCP servers. Each starts or reaches a server and lists its tools."""

import asyncio

from bot.checks import check_texts
from bot.checks.report import Check, ok, warn
from bot.clock import Clock
from bot.mcp.config import ServerConfig, StdioTransport, ToolRules
from bot.mcp.definitions import DOWN_NO_ANSWER, offered_names
from bot.mcp.server import ServerDown, open_servers

WITHIN_S = 11.0
"""Longer than a server takes that ignores the newest protocol, and shorter than the bound of any check."""


def check_id(server: str) -> str:
    """Returns the id of a server's check."""
    return f"mcp.{server}"


async def check_server(config: ServerConfig, rules: ToolRules, clock: Clock) -> Check:
    """Lists a server's tools with their rules. Rules and tools that have no effect are a warning."""
    line = check_id(config.name)
    async with open_servers([config], clock) as servers:
        try:
            async with asyncio.timeout(WITHIN_S):
                named = offered_names(config.name, await servers.by_name[config.name].tools())
        except (ServerDown, TimeoutError) as error:
            is_process = isinstance(config.transport, StdioTransport)
            fix = check_texts.MCP_PROCESS_FIX if is_process else check_texts.MCP_HTTP_FIX
            return warn(line, check_texts.mcp_down(config.name, str(error) or DOWN_NO_ANSWER), fix)
    tools = {}
    for name in named:
        rule = rules.rule_for(name)
        tools[name] = check_texts.mcp_rule(rule.permission, rule.read_only)
    if missing := sorted(rules.named_tools(config.name) - named.keys()):
        return warn(line, check_texts.mcp_no_tool(config.name, missing), check_texts.mcp_no_tool_fix(sorted(named)))
    if large := sorted(name for name, tool in named.items() if tool.is_too_large):
        return warn(line, check_texts.mcp_large(config.name, large), check_texts.MCP_LARGE_FIX)
    return ok(line, check_texts.mcp(config.name, tools))
