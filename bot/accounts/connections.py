"""Manages connections to MCP servers with people's own accounts. They are opened when needed, limited in number, and
closed when unused."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bot.accounts.oauth import SignInFailed
from bot.accounts.sign_ins import SignIns
from bot.clock import Clock
from bot.core.conversation import Question
from bot.mcp.config import HttpTransport, ServerConfig
from bot.mcp.server import McpServer, ServerDown
from bot.store.accounts import Owner

MAX_OPEN = 50
UNUSED_S = 300.0
JUST_USED_S = 30.0
"""The time for which a connection stays open after its last use even if too many are open, because a call might be
about to begin."""


@dataclass(slots=True)
class _Connection:
    server: McpServer
    token: str = field(repr=False)
    used_at: float


class Connections:
    def __init__(self, sign_ins: SignIns, servers: Mapping[str, ServerConfig], clock: Clock) -> None:
        self._sign_ins = sign_ins
        self._servers = servers
        self._clock = clock
        self._open: dict[Owner, _Connection] = {}
        """Open connections, least recently used first."""
        self._closing_tasks: dict[asyncio.Task[None], McpServer] = {}

    async def account_problem(self, server: str) -> str:
        """Returns why nobody can sign in to a server, phrased to complete a sentence, or "" if people can sign in."""
        return (
            await self._sign_ins.servers.account_problem(server)
            if server in self._sign_ins.servers.transports
            else "its credentials are shared"
        )

    async def asker_server(self, question: Question, name: str) -> McpServer | None:
        """Returns the server connected as the asker, or None if the asker has no usable account. Raises ServerDown,
        StoreError."""
        if name not in self._sign_ins.servers.transports:
            return None
        owner = Owner(question.thread.team_id, question.user_id, name)
        schedule_id, accounts = question.schedule_id, self._sign_ins.accounts
        if schedule_id is not None and not await accounts.allows_schedule(owner, schedule_id):
            return None
        held = self._open.get(owner)
        refused = held.token if held is not None and held.server.needs_sign_in else ""
        try:
            token = await self._sign_ins.access_token(owner, refused, question)
        except SignInFailed as error:
            raise ServerDown(str(error)) from None
        # Another question might have changed it in the meantime.
        held = self._open.pop(owner, None)
        if held is not None and held.token != token:
            # A call might be about to begin with tokens that have just been refreshed.
            self._close(held, after_s=0.0 if token is None else JUST_USED_S)
            held = None
        if token is None:
            return None
        held = held or _Connection(self._connect(name, token), token, 0.0)
        held.used_at = self._clock.monotonic()
        self._open[owner] = held
        self._close_unused()
        return held.server

    def missing_scope(self, question: Question, server: str) -> str | None:
        """Returns the scope that the asker must grant before calls work, "" if none is missing, or None if there is no
        connection."""
        held = self._open.get(Owner(question.thread.team_id, question.user_id, server))
        return None if held is None else held.server.missing_scope

    async def close(self) -> None:
        servers = *(held.server for held in self._open.values()), *self._closing_tasks.values()
        self._open.clear()
        await asyncio.gather(self._sign_ins.close(), *(server.close() for server in servers))
        for closing in self._closing_tasks:
            closing.cancel()

    async def run(self) -> None:
        while True:
            await self._clock.sleep(UNUSED_S / 5)
            self._close_unused()

    def _connect(self, name: str, token: str) -> McpServer:
        config = self._servers[name]
        assert isinstance(config.transport, HttpTransport)
        return McpServer(replace(config, transport=replace(config.transport, token=token)), self._clock)

    def _close_unused(self) -> None:
        now = self._clock.monotonic()
        for owner, held in list(self._open.items()):
            limit_s = JUST_USED_S if len(self._open) > MAX_OPEN else UNUSED_S
            if now - held.used_at > limit_s:
                self._close(self._open.pop(owner))

    def _close(self, held: _Connection, after_s: float = 0.0) -> None:
        async def retire() -> None:
            await self._clock.sleep(after_s)
            await held.server.retire()

        task = asyncio.create_task(retire())
        self._closing_tasks[task] = held.server
        task.add_done_callback(self._closing_tasks.pop)
