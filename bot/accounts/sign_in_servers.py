"""The servers to which people sign in: their authorization servers, and Typist's registrations there."""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from bot.accounts import oauth
from bot.accounts.oauth import AuthorizationServer, Client, SignInFailed
from bot.accounts.vault import Vault
from bot.clock import Clock
from bot.mcp.config import HttpTransport, ServerConfig
from bot.store.accounts import Accounts

KNOWN_FOR_S = 3_600.0
"""How long an authorization server's metadata is trusted."""
REGISTERED_FOR_S = 7 * 24 * 3600
"""Typist registers itself again after so long: a server that has forgotten it may say so only to people, on its page.

A registration that ends sooner is used for KNOWN_FOR_S alone."""
FAILED_FOR_S = 60.0
"""How long Typist waits before it asks again about a server to which nobody could sign in."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a server for a while: where people sign in and as which client, or why they can't."""

    until: float
    found: tuple[AuthorizationServer, Client] | None = None
    problem: str = ""


class SignInServers:
    """Looks servers up, registers Typist where it has to be, and remembers both."""

    def __init__(self, accounts: Accounts, vault: Vault, servers: Iterable[ServerConfig], clock: Clock) -> None:
        self._accounts = accounts
        self._vault = vault
        self._clock = clock
        self.transports = {
            server.name: server.transport
            for server in servers
            if isinstance(server.transport, HttpTransport) and server.transport.may_want_sign_in
        }
        """How the servers are reached, by name."""
        self._known: dict[str, _Known] = {}
        self._learning: dict[str, asyncio.Lock] = {}

    async def problem(self, server: str) -> str:
        """Returns why nobody can sign in to a server, as the rest of a sentence; "" if people can."""
        return (await self._learned(server)).problem

    async def find(self, server: str) -> tuple[AuthorizationServer, Client]:
        """Returns where people sign in to a server, and what Typist is there. Raises SignInFailed, StoreError."""
        known = await self._learned(server)
        if known.found is not None and await self._is_replaced(server, *known.found):
            self._known.pop(server, None)
            known = await self._learned(server)
        if known.found is None:
            raise SignInFailed(known.problem)
        return known.found

    async def forget(self, server: str, at: AuthorizationServer, client: Client) -> None:
        """Has Typist registered again before the next sign-in: the server doesn't know this client anymore.

        Raises StoreError.
        """
        labels = _labels(at, self.transports[server])
        secret = await self._accounts.client(*labels)
        if secret and self._vault.opened(labels, secret) == asdict(client):
            await self._accounts.register(*labels, "")

    async def _is_replaced(self, server: str, at: AuthorizationServer, client: Client) -> bool:
        """Returns whether another registration is on record than the one that is known here, or its end."""
        transport = self.transports[server]
        labels = _labels(at, transport)
        secret = None if oauth.known_by(at, transport.sign_in) else await self._accounts.client(*labels)
        return secret is not None and self._vault.opened(labels, secret) != asdict(client)

    async def _learned(self, server: str) -> _Known:
        """Returns what is known of a server. Old knowledge is renewed first."""
        async with self._learning.setdefault(server, asyncio.Lock()):
            known = self._known.get(server)
            if known is None or known.until <= self._clock.monotonic():
                known = self._known[server] = await self._learn(self.transports[server])
                if known.problem:
                    log.warning("MCP server %s: nobody can sign in: %s", server, known.problem)
            return known

    async def _learn(self, transport: HttpTransport) -> _Known:
        config = transport.sign_in
        try:
            at = await oauth.discovered(transport.url, config.scopes)
            if client_id := oauth.known_by(at, config):
                client = oauth.given(at, client_id, config.client_secret)
            else:
                client = await self._client(at, transport)
        except SignInFailed as error:
            return _Known(self._clock.monotonic() + FAILED_FOR_S, problem=str(error))
        return _Known(self._clock.monotonic() + KNOWN_FOR_S, (at, client))

    async def _client(self, at: AuthorizationServer, transport: HttpTransport) -> Client:
        """Returns Typist's registration: the one on record, or else a new one. Raises SignInFailed, StoreError."""
        labels = _labels(at, transport)
        secret = await self._accounts.client(*labels)
        content = self._vault.opened(labels, secret, REGISTERED_FOR_S) if secret else None
        if content is not None:
            return Client(**content)
        if not at.registration_endpoint:
            raise SignInFailed("its authorization server registers nobody: set oauth.clientId in BOT_MCP_CONFIG")
        client, ends_at = await oauth.registered(at, transport.sign_in.metadata, transport.url)
        if ends_at is None or ends_at > self._clock.now() + REGISTERED_FOR_S:
            await self._accounts.register(*labels, self._vault.sealed(labels, asdict(client)))
        return client


def _labels(at: AuthorizationServer, transport: HttpTransport) -> tuple[str, str]:
    """Returns what a registration is for."""
    return at.issuer, at.device_authorization_endpoint or transport.sign_in.redirect_uri
