"""Definitions of tools that an admin has agreed to: those of a server's first list, or later ones that an admin read.

A row named `server__*` says that the server has listed its tools. No tool has that name.
"""

from collections.abc import Iterable, Mapping

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.tools import Pin, full_name, owner_of
from bot.store import audit
from bot.store.database import Operations, reads, writes
from bot.store.rows import insert_into, put
from bot.store.schema import tool_pins


class ToolPins(Operations):
    """Remembers the definitions of tools, by the tools' names."""

    async def pin(self, server: str, seen: Mapping[str, Pin]) -> Mapping[str, Pin]:
        """Records a server's first list of tools; returns the definitions that the tools in `seen` may have.

        A tool that came later, and that no admin has agreed to, is missing. Of processes that list a server's tools at
        once, one decides.
        """
        marker = full_name(server, "*")
        pinned = await self.read((*seen, marker))
        if marker not in pinned:
            await self._record_first_list(marker, seen)
            pinned = await self.read(seen)
        return {tool: pin for tool, pin in pinned.items() if tool != marker}

    @reads
    async def listed(self, connection: AsyncConnection, servers: Iterable[str]) -> frozenset[str]:
        """Returns the servers whose first list is on record."""
        tools = (await connection.scalars(sa.select(tool_pins.c.tool))).all()
        return frozenset(servers) & {owner_of(tool) for tool in tools}

    @reads
    async def read(self, connection: AsyncConnection, tools: Iterable[str]) -> Mapping[str, Pin]:
        """Returns the definitions that tools may have, without tools that nobody has agreed to."""
        columns = sa.select(tool_pins.c.tool, tool_pins.c.definition_hash, tool_pins.c.definition, tool_pins.c.by_admin)
        rows = await connection.execute(columns.where(tool_pins.c.tool.in_(list(tools))))
        return {row.tool: Pin(row.definition_hash, row.definition, row.by_admin) for row in rows}

    @writes
    async def agree(self, connection: AsyncConnection, tool: str, definition: Pin) -> None:
        """Replaces a tool's definition with one that an admin has read."""
        await put(connection, tool_pins, {"tool": tool}, {**_values(definition), "by_admin": True})
        facts = {"tool": tool, "definition": definition.definition_hash}
        await audit.setting_changed(connection, self._now(), "definition", facts, by="")

    @writes
    async def _record_first_list(self, connection: AsyncConnection, marker: str, seen: Mapping[str, Pin]) -> None:
        # The first to insert the marker wins: on PostgreSQL, others wait here until the insert is committed.
        insert = insert_into(connection, tool_pins).on_conflict_do_nothing()
        marked = insert.values(tool=marker, **_values(Pin("", ""))).returning(tool_pins.c.tool)
        is_first = (await connection.execute(marked)).first() is not None
        # An admin may have agreed to a tool before the first list. That vouches for no other tool.
        of_server = tool_pins.c.tool.startswith(marker.removesuffix("*"), autoescape=True)
        is_known = sa.exists().where(of_server, tool_pins.c.tool != marker)
        if is_first and seen and not await connection.scalar(sa.select(is_known)):
            rows = [{"tool": tool, **_values(definition)} for tool, definition in sorted(seen.items())]
            await connection.execute(insert, rows)


def _values(definition: Pin) -> dict[str, object]:
    return {"definition_hash": definition.definition_hash, "definition": definition.definition}
