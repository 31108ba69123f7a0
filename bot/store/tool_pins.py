"""Definitions of tools that an admin has agreed to: those of a server's first list, or later ones that an admin read.

A row named `server__*` says that the server has listed its tools. No tool has that name.
"""

from collections.abc import Iterable, Mapping

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.clock import Clock
from bot.core.tools import Pin, full_name, owner_of
from bot.store.database import Database
from bot.store.rows import insert_into
from bot.store.schema import tool_pins


class ToolPins:
    """Implements the port ToolPins."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def pin(self, server: str, seen: Mapping[str, Pin]) -> Mapping[str, Pin]:
        """Records a server's first list of tools; returns the definitions that the tools in `seen` may have.

        A tool that came later, and that no admin has agreed to, is missing.
        """
        marker = _marker_of(server)
        pinned = await self._database.read(read, (*seen, marker))
        if marker not in pinned:
            pinned = await self._database.write(pin, server, seen, self._clock.now())
        return {tool: pin for tool, pin in pinned.items() if tool != marker}

    async def listed(self, servers: Iterable[str]) -> frozenset[str]:
        """Returns the servers whose first list is on record."""
        return await self._database.read(listed, servers)

    async def read(self, tools: Iterable[str]) -> Mapping[str, Pin]:
        """Returns the definitions that tools may have, without tools that nobody has agreed to."""
        return await self._database.read(read, tools)

    async def agree(self, tool: str, definition: Pin) -> None:
        """Replaces a tool's definition with one that an admin has read."""
        await self._database.write(agree, tool, definition, self._clock.now())


async def read(connection: AsyncConnection, tools: Iterable[str]) -> dict[str, Pin]:
    """Returns the definitions that tools may have, without tools that nobody has agreed to."""
    columns = sa.select(tool_pins.c.tool, tool_pins.c.definition_hash, tool_pins.c.definition, tool_pins.c.by_admin)
    rows = await connection.execute(columns.where(tool_pins.c.tool.in_(list(tools))))
    return {row.tool: Pin(row.definition_hash, row.definition, row.by_admin) for row in rows}


async def pin(connection: AsyncConnection, server: str, seen: Mapping[str, Pin], now: float) -> dict[str, Pin]:
    """Records a server's first list; returns what is on record then. Of processes that list it at once, one decides."""
    # The first to insert the marker wins: on PostgreSQL, others wait here until the insert is committed.
    insert = insert_into(connection, tool_pins).on_conflict_do_nothing()
    marker = insert.values(_values(_marker_of(server), Pin("", ""), now)).returning(tool_pins.c.tool)
    of_server = tool_pins.c.tool.startswith(full_name(server, ""), autoescape=True)
    is_known = sa.exists().where(of_server, tool_pins.c.tool != _marker_of(server))
    is_first = (await connection.execute(marker)).first() is not None
    # An admin may have agreed to a tool before the first list. That vouches for no other tool.
    if is_first and seen and not await connection.scalar(sa.select(is_known)):
        await connection.execute(insert, [_values(tool, definition, now) for tool, definition in sorted(seen.items())])
    return await read(connection, seen)


async def listed(connection: AsyncConnection, servers: Iterable[str]) -> frozenset[str]:
    """Returns the servers whose first list is on record."""
    tools = (await connection.scalars(sa.select(tool_pins.c.tool))).all()
    return frozenset(servers) & {owner_of(tool) for tool in tools}


async def agree(connection: AsyncConnection, tool: str, definition: Pin, now: float) -> None:
    """Replaces a tool's definition."""
    values = {**_values(tool, definition, now), "by_admin": True}
    row = insert_into(connection, tool_pins).values(values)
    await connection.execute(row.on_conflict_do_update(index_elements=list(tool_pins.primary_key), set_=values))


def _values(tool: str, definition: Pin, now: float) -> dict[str, object]:
    return {
        "tool": tool,
        "definition_hash": definition.definition_hash,
        "definition": definition.definition,
        "agreed_at": now,
    }


def _marker_of(server: str) -> str:
    return full_name(server, "*")
