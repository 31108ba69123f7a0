"""`typist mcp`: lists the tools of MCP servers, and lets an admin agree to new and changed tools."""

import argparse
import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING

from bot import logs, settings
from bot.checks.servers import MCP_WITHIN_S
from bot.cli import EXIT_FAILED, Subcommand
from bot.cli.connections import open_stores
from bot.cli.names import names_of
from bot.cli.terminal import confirm, print_note
from bot.core.calls import full_tool_name, tool_owner
from bot.errors import SettingsError
from bot.mcp.config import ServerConfig, StdioTransport
from bot.mcp.sentences import DOWN_NO_ANSWER, DOWN_SIGN_IN
from bot.settings import Settings

if TYPE_CHECKING:
    from bot.core.calls import AllowedTool, Pin
    from bot.mcp.definitions import ListedTool
    from bot.mcp.server import McpServer
    from bot.store import Stores

MAX_NAMED = 5
LIST, AGREE, REVOKE = "list", "agree", "revoke"


@dataclass(frozen=True)
class ToolState:
    listed: "ListedTool"
    agreed: "Pin | None"
    is_first: bool
    """Whether no process has offered this server's tools yet. A server's first tool list counts as agreed."""

    @property
    def state(self) -> str:
        if self.agreed is None:
            return "first" if self.is_first else "new"
        if self.agreed.definition_hash != self.listed.hash:
            return "changed"
        return "agreed" if self.agreed.is_admin_approved else "seen"


def _add_mcp_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(tools=[], yes=False)
    actions = parser.add_subparsers(dest="action", metavar="[list|agree|revoke]")
    actions.add_parser(LIST, help="list the tools (default)")
    agree = actions.add_parser(AGREE, help="agree to new and changed tools so that models can call them")
    agree.add_argument(
        "tools", nargs="+", metavar="TOOL", help=("a tool's name in the list, or 'srv__*' for all of a server's tools")
    )
    agree.add_argument("--yes", action="store_true", help="don't ask for confirmation")
    revoke = actions.add_parser(REVOKE, help="require approval again for always allowed tools")
    revoke.add_argument("tools", nargs="+", metavar="TOOL", help="a tool's name in the list")


def _run_mcp(env: Mapping[str, str], options: argparse.Namespace) -> int:
    ours = settings.read(env)
    logs.set_up_quietly(ours.log_level, ours.log_format)
    if not ours.mcp.servers:
        raise SettingsError(["BOT_MCP_CONFIG isn't set, so there are no MCP servers. See tools.md in Typist's docs."])
    if options.action == REVOKE:
        return asyncio.run(_revoke_tools(ours, options.tools))
    return asyncio.run(_agree_to_tools(ours, options.tools, yes=options.yes) if options.tools else _list_tools(ours))


async def _revoke_tools(ours: Settings, names: Sequence[str]) -> int:
    async with open_stores(ours) as stores:
        allowed = {allowed.tool for allowed in await stores.approvals.allowed_tools()}
        if unknown := [name for name in names if name not in allowed]:
            raise SettingsError(
                [f"Not always allowed anywhere: {', '.join(unknown)}. `typist mcp` lists the always allowed tools."]
            )
        for name in dict.fromkeys(names):
            channels = await stores.approvals.revoke([name])
            where = f"{channels} channel{'' if channels == 1 else 's'}"
            print(f"{name}: revoked in {where}. Typist will ask about its calls again.")
    return 0


async def _list_tools(ours: Settings) -> int:
    async with open_stores(ours) as stores:
        seen, down = await _tool_states(ours, stores)
        allowed = await stores.approvals.allowed_tools()
    ids = [id_ for one in allowed for id_ in (one.channel_id, one.admin_id) if id_]
    _print_list(ours, seen, down, allowed, await names_of(ours, ids) if ids else {})
    return EXIT_FAILED if set(down.values()) - {DOWN_SIGN_IN} else 0


async def _agree_to_tools(ours: Settings, names: Sequence[str], *, yes: bool) -> int:
    from bot.core.calls import Pin

    async with open_stores(ours) as stores:
        seen, down = await _tool_states(ours, stores)
        if unknown := [pattern for pattern in names if not _matching_tools(seen, pattern)]:
            why = "".join(f" {server} is down: {reason}." for server, reason in down.items())
            raise SettingsError([f"No server lists {', '.join(unknown)}.{why} `typist mcp` lists all tools."])
        for name in dict.fromkeys(tool for pattern in names for tool in _matching_tools(seen, pattern)):
            if not yes and not confirm("Models will read this. Agree?", "agree", _describe_change(name, seen[name])):
                print_note("You didn't agree to any more tools.")
                return EXIT_FAILED
            await stores.tool_pins.approve(name, Pin(seen[name].listed.hash, seen[name].listed.canonical_json))
            print(f"{name}: agreed. Models will be offered this tool from the next question on.")
    return 0


async def _tool_states(ours: Settings, stores: "Stores") -> tuple[dict[str, ToolState], dict[str, str]]:
    """Returns the tools by name, and for each server that is down, the reason."""
    from bot.clock import SystemClock
    from bot.mcp.definitions import offered_names
    from bot.mcp.server import START_WITHIN_S, ServerDown, open_servers

    async def tools_of(server: "McpServer", config: ServerConfig) -> "Sequence[ListedTool]":
        # npx and uvx might have to download a server.
        within_s = START_WITHIN_S if isinstance(config.transport, StdioTransport) else MCP_WITHIN_S
        try:
            async with asyncio.timeout(within_s):
                return await server.tools()
        except TimeoutError:
            raise ServerDown(DOWN_NO_ANSWER) from None

    listed: dict[str, ListedTool] = {}
    down = {}
    print_note(f"Waiting for {', '.join(ours.mcp.names)}. A server has at most {START_WITHIN_S:.0f} s to start.")
    async with open_servers(ours.mcp.servers, SystemClock()) as servers:
        tools = map(tools_of, servers.by_name.values(), ours.mcp.servers)
        for name, result in zip(ours.mcp.names, await asyncio.gather(*tools, return_exceptions=True), strict=True):
            if isinstance(result, ServerDown):
                down[name] = str(result)
            elif isinstance(result, BaseException):
                raise result
            else:
                listed |= {name: tool for name, tool in offered_names(name, result).items() if not tool.is_broken}
    agreed = await stores.tool_pins.read(listed)
    known = await stores.tool_pins.listed_servers(ours.mcp.names)
    return {
        name: ToolState(tool, agreed.get(name), tool_owner(name) not in known) for name, tool in listed.items()
    }, down


def _print_list(
    ours: Settings,
    seen: Mapping[str, ToolState],
    down: Mapping[str, str],
    allowed: "Sequence[AllowedTool]",
    names: Mapping[str, str],
) -> None:
    for name, tool in seen.items():
        rule = ours.mcp.rules.rule_for(name)
        print(f"{tool.state:8} {rule.permission:6} {'reads ' if rule.read_only else 'writes'} {name}")
    for server, tools in groupby(seen, tool_owner) if settings.models_in_use(ours) else ():
        print(f"{server}: {_price(ours, {name: seen[name] for name in tools})}")
    for server, reason in down.items():
        print(f"{server}: {reason}" if reason == DOWN_SIGN_IN else f"{server} is down: {reason}")
    if unagreed := [name for name, tool in seen.items() if tool.state in ("new", "changed")]:
        print(f"\nModels aren't offered new and changed tools. To read and agree to them: {_agreement(seen, unagreed)}")
    if unread := [name for name, tool in seen.items() if tool.state in ("first", "seen")]:
        print(
            "\n"
            "Where these tools are offered, Typist asks before every call that can change something. To read and "
            f"agree to them: {_agreement(seen, unread)}"
        )
    if allowed:
        print("\nAlways allowed. To be asked about calls again: typist mcp revoke TOOL")
    for one in allowed:
        now = seen.get(one.tool)
        state = "" if now and now.listed.hash == one.definition_hash else ", for an earlier definition"
        since = datetime.fromtimestamp(one.allowed_at, UTC)
        channel, admin = (f"{id_} {names.get(id_, '')}".rstrip() for id_ in (one.channel_id, one.admin_id))
        print(f"{channel:12} {one.tool} by {admin or 'an erased admin'} on {since:%Y-%m-%d}{state}")


def _price(ours: Settings, seen: Mapping[str, ToolState]) -> str:
    from bot.clock import SystemClock
    from bot.core import texts
    from bot.mcp.tools import convert_tools
    from bot.models.prices import price_of_tools

    tools = convert_tools(((name, tool.listed, False) for name, tool in seen.items()), ours.mcp.rules, 0.0).definitions
    price = price_of_tools(tools, settings.models_in_use(ours), settings.model_prices(ours), SystemClock().now())
    return texts.settings.tools_price(*price)


def _agreement(seen: Mapping[str, ToolState], names: Sequence[str]) -> str:
    arguments: dict[str, None] = {}
    for name in names:
        pattern = full_tool_name(tool_owner(name), "*")
        fitting = _matching_tools(seen, pattern)
        is_all = len(fitting) > MAX_NAMED and set(fitting) <= set(names)
        arguments[f"'{pattern}'" if is_all else name] = None
    separator = " " if len(arguments) <= MAX_NAMED else " \\\n    "
    return separator.join(["typist mcp agree", *arguments])


def _matching_tools(seen: Mapping[str, ToolState], pattern: str) -> list[str]:
    wanted = re.compile(".*".join(map(re.escape, pattern.split("*"))))
    return [name for name in seen if wanted.fullmatch(name)]


def _describe_change(name: str, tool: ToolState) -> str:
    before = tool.agreed if tool.state == "changed" else None
    until_now = f"{name} before:\n{_definition_text(before.definition)}\n" if before else ""
    return f"{until_now}{name} now:\n{_definition_text(tool.listed.canonical_json)}\n"


def _definition_text(definition: str) -> str:
    name, description, parameters, title = json.loads(definition)
    shown = {"name": name, "title": title, "description": description, "parameters": parameters}
    return json.dumps(shown, indent=2)


MCP = Subcommand(
    "list MCP servers' tools, and agree to new and changed ones",
    "Connects to the servers in BOT_MCP_CONFIG and lists their tools. Models aren't offered a tool that is new since "
    "the server's first list, or whose name, description or parameters have changed, until you agree: typist mcp "
    "agree TOOL. The list ends with the tools that admins always allow in a channel. To be asked about their calls "
    "again: typist mcp revoke TOOL.",
    _run_mcp,
    _add_mcp_arguments,
)
