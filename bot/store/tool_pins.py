"""Definitions of tools that an admin has agreed to: the first one that was seen, or a later one that an admin read."""

from collections.abc import Iterable, Mapping

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.ports.clock import Clock
from bot.ports.tool_pins import Pin
from bot.store.database import Database
from bot.store.rows import insert_into
from bot.store.schema import tool_pins


class SqlToolPins:
    """Implements the port ToolPins."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def pin(self, seen: Mapping[str, Pin]) -> Mapping[str, Pin]:
        """Records the definitions of tools that were never seen before; returns what these tools may have now."""
        pinned = await self._database.read(read, seen)
        if pinned.keys() >= seen.keys():
            return pinned
        return await self._database.write(pin, seen, self._clock.now())

    async def read(self, tools: Iterable[str]) -> Mapping[str, Pin]:
        """Returns the definitions that tools may have, without tools that were never seen."""
        return await self._database.read(read, tools)

    async def agree(self, tool: str, definition: Pin) -> None:
        """Replaces a tool's definition with one that an admin has read."""
        await self._database.write(agree, tool, definition, self._clock.now())


async def read(connection: AsyncConnection, tools: Iterable[str]) -> dict[str, Pin]:
    """Returns the definitions that tools may have, without tools that were never seen."""
    columns = sa.select(tool_pins.c.tool, tool_pins.c.definition_hash, tool_pins.c.definition)
    rows = await connection.execute(columns.where(tool_pins.c.tool.in_(list(tools))))
    return {row.tool: Pin(row.definition_hash, row.definition) for row in rows}


async def pin(connection: AsyncConnection, seen: Mapping[str, Pin], now: float) -> dict[str, Pin]:
    """Records what isn't on record; returns what is then. Of processes that see a tool at once, the first decides."""
    row = insert_into(connection, tool_pins).on_conflict_do_nothing()
    await connection.execute(row, [_values(tool, definition, now) for tool, definition in sorted(seen.items())])
    return await read(connection, seen)


async def agree(connection: AsyncConnection, tool: str, definition: Pin, now: float) -> None:
    """Replaces a tool's definition."""
    values = _values(tool, definition, now)
    row = insert_into(connection, tool_pins).values(values)
    await connection.execute(row.on_conflict_do_update(index_elements=list(tool_pins.primary_key), set_=values))


def _values(tool: str, definition: Pin, now: float) -> dict[str, object]:
    return {
        "tool": tool,
        "definition_hash": definition.definition_hash,
        "definition": definition.definition,
        "agreed_at": now,
    }
