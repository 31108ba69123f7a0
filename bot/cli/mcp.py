"""`typist mcp`: lists the tools of MCP servers, and lets an admin agree to tools that are new or have changed."""

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bot import logs, settings
from bot.cli import EXIT_FAILED, Subcommand
from bot.cli.admin import names_of
from bot.core.tool_calls import owner_of
from bot.errors import SettingsError
from bot.settings import Settings

if TYPE_CHECKING:
    from bot.core.tool_calls import AllowedTool, Pin
    from bot.mcp.definitions import ListedTool
    from bot.store import Stores

LIST, AGREE, REVOKE = "list", "agree", "revoke"
WORKER = "mcp"
"""This process's name among the workers. It claims no jobs."""


@dataclass(frozen=True)
class SeenTool:
    """A tool as its server describes it now, and what was agreed to."""

    listed: "ListedTool"
    agreed: "Pin | None"
    """None if nobody has agreed to any."""
    is_first: bool
    """Whether no process has offered its server's tools yet: the first list counts as agreed."""

    @property
    def state(self) -> str:
        """One word for the list."""
        if self.agreed is None:
            return "first" if self.is_first else "new"
        if self.agreed.definition_hash != self.listed.hash:
            return "changed"
        return "agreed" if self.agreed.by_admin else "seen"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the three actions with their options."""
    parser.set_defaults(tools=[], yes=False)
    actions = parser.add_subparsers(dest="action", metavar="[list|agree|revoke]")
    actions.add_parser(LIST, help="list the tools (default)")
    agree = actions.add_parser(AGREE, help="agree to new and changed tools, so that models may call them")
    agree.add_argument("tools", nargs="+", metavar="TOOL", help="as the list names it, or srv__* for all of a server")
    agree.add_argument("--yes", action="store_true", help="don't ask for confirmation")
    revoke = actions.add_parser(REVOKE, help="make the calls of always allowed tools ask again")
    revoke.add_argument("tools", nargs="+", metavar="TOOL", help="as the list names it")


def run(env: Mapping[str, str], options: argparse.Namespace) -> int:
    """Lists or agrees, and returns the exit code. Raises StoreError, SettingsError."""
    ours = settings.read(env)
    logs.set_up_quietly(ours.log_level, ours.log_format)
    if not ours.mcp.servers:
        raise SettingsError(["BOT_MCP_CONFIG is not set, so there are no MCP servers. See docs/mcp.md."])
    if options.action == REVOKE:
        return asyncio.run(_revoke(ours, options.tools))
    return asyncio.run(_run(ours, options.tools, yes=options.yes))


async def _revoke(ours: Settings, names: Sequence[str]) -> int:
    from bot.clock import SystemClock
    from bot.store import Stores

    stores = await Stores.open(ours.database_url, WORKER, SystemClock())
    try:
        allowed = {allowed.tool for allowed in await stores.approvals.allowed()}
        if unknown := [name for name in names if name not in allowed]:
            raise SettingsError([f"Not always allowed anywhere: {', '.join(unknown)}. `typist mcp` lists what is."])
        for name in dict.fromkeys(names):
            channels = await stores.approvals.revoke([name])
            print(f"{name}: revoked in {channels} channel{'' if channels == 1 else 's'}. Its calls ask again.")
    finally:
        await stores.close()
    return 0


async def _run(ours: Settings, names: Sequence[str], *, yes: bool) -> int:
    from bot.clock import SystemClock
    from bot.core.tool_calls import Pin
    from bot.store import Stores

    stores = await Stores.open(ours.database_url, WORKER, SystemClock())
    try:
        seen, down = await _seen(ours, stores)
        if not names:
            allowed = await stores.approvals.allowed()
            ids = [id_ for one in allowed for id_ in (one.channel_id, one.by) if id_]
            _print_list(ours, seen, down, allowed, await names_of(ours, ids) if ids else {})
            return 0
        if unknown := [pattern for pattern in names if not _fitting(seen, pattern)]:
            why = "".join(f" {server} is down: {reason}." for server, reason in down.items())
            raise SettingsError([f"No server lists {', '.join(unknown)}.{why} `typist mcp` lists all tools."])
        for name in dict.fromkeys(tool for pattern in names for tool in _fitting(seen, pattern)):
            if not yes and not _confirmed(name, seen[name]):
                print("No further tools were agreed to.", file=sys.stderr)
                return EXIT_FAILED
            await stores.tool_pins.agree(name, Pin(seen[name].listed.hash, seen[name].listed.canonical))
            print(f"{name}: agreed. It is offered from the next question on.")
    finally:
        await stores.close()
    return 0


async def _seen(ours: Settings, stores: "Stores") -> tuple[dict[str, SeenTool], dict[str, str]]:
    """Returns the tools by name, and why servers are down, by server."""
    from bot.clock import SystemClock
    from bot.mcp.definitions import offered_names
    from bot.mcp.server import ServerDown, open_servers

    listed: dict[str, ListedTool] = {}
    down = {}
    async with open_servers(ours.mcp.servers, SystemClock()) as servers:
        tools = [server.tools() for server in servers.by_name.values()]
        for name, result in zip(ours.mcp.names, await asyncio.gather(*tools, return_exceptions=True), strict=True):
            if isinstance(result, ServerDown):
                down[name] = str(result)
            elif isinstance(result, BaseException):
                raise result
            else:
                listed.update(offered_names(name, result))
    agreed = await stores.tool_pins.read(listed)
    known = await stores.tool_pins.listed(ours.mcp.names)
    return {name: SeenTool(tool, agreed.get(name), owner_of(name) not in known) for name, tool in listed.items()}, down


def _print_list(
    ours: Settings,
    seen: Mapping[str, SeenTool],
    down: Mapping[str, str],
    allowed: "Sequence[AllowedTool]",
    names: Mapping[str, str],
) -> None:
    """Prints the tools, why servers are down, and which tools admins always allow. `names`: of people and channels."""
    for name, tool in seen.items():
        rule = ours.mcp.rules.rule_for(name)
        print(f"{tool.state:8} {rule.permission:6} {'reads ' if rule.read_only else 'writes'} {name}")
    for server, reason in down.items():
        print(f"{server} is down: {reason}")
    if unagreed := [name for name, tool in seen.items() if tool.state in ("new", "changed")]:
        print(f"\nNew and changed tools are not offered. Read and agree: typist mcp agree {' '.join(unagreed)}")
    if unread := [name for name, tool in seen.items() if tool.state in ("first", "seen")]:
        print(
            "\nWhere these tools are offered, calls that may change something always ask, until you read and agree: "
            f"typist mcp agree {' '.join(unread)}"
        )
    if allowed:
        print("\nAlways allowed. To make their calls ask again: typist mcp revoke TOOL")
    for one in allowed:
        now = seen.get(one.tool)
        state = "" if now and now.listed.hash == one.definition_hash else ", for an earlier definition"
        since = datetime.fromtimestamp(one.at, UTC)
        channel, admin = (f"{id_} {names.get(id_, '')}".rstrip() for id_ in (one.channel_id, one.by))
        print(f"{channel:12} {one.tool} by {admin or 'an erased admin'} on {since:%Y-%m-%d}{state}")


def _fitting(seen: Mapping[str, SeenTool], pattern: str) -> list[str]:
    """Returns the tools that a pattern of the configuration's form fits: server__tool, or server__*."""
    prefix = pattern.removesuffix("*")
    return [name for name in seen if name == pattern or (pattern.endswith("__*") and name.startswith(prefix))]


def _confirmed(name: str, tool: SeenTool) -> bool:
    """Shows what changed and asks at the terminal. Raises SettingsError where there is none."""
    if not sys.stdin.isatty():
        raise SettingsError(["There is no terminal to confirm at. Use --yes to agree without confirmation."])
    if tool.state == "changed" and tool.agreed is not None:
        print(f"{name} until now:\n{_pretty(tool.agreed.definition)}")
    print(f"{name} now:\n{_pretty(tool.listed.canonical)}")
    print("Models read this. Agree? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _pretty(definition: str) -> str:
    """Returns a definition on several lines, in ASCII: what a terminal would hide or obey shows as an escape."""
    name, description, parameters, title = json.loads(definition)
    shown = {"name": name, "title": title, "description": description, "parameters": parameters}
    return json.dumps(shown, indent=2)


SUBCOMMAND = Subcommand(
    "list the tools of MCP servers, and agree to new and changed ones",
    "Connects to the servers in BOT_MCP_CONFIG and lists their tools. A tool that is new since a server's "
    "first list, or whose name, description or parameters have changed, is not offered to models until you agree: "
    "typist mcp agree TOOL. Below them stand the tools that admins always allow in a channel: their calls ask again "
    "after typist mcp revoke TOOL.",
    run,
    add_arguments,
)
