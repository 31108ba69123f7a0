"""Finds the authorization servers of MCP servers that people sign in to, and manages Typist's registrations with
them."""

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

DISCOVERY_KEPT_S = 3_600.0
REGISTERED_FOR_S = 7 * 24 * 3600
"""Typist registers again after this time, because a server that has lost the registration might report this only on its
page, where people sign in. A registration that expires sooner is used only for DISCOVERY_KEPT_S."""
FAILURE_KEPT_S = 60.0
"""The time for which a failed discovery is cached."""
OFFERED_WITHIN_S = 5.0
"""The time for which a question waits for the discovery of a server. It doesn't wait if the last discovery took
longer."""
DISCOVERED_WITHIN_S = 30.0
MODAL_REQUEST_WITHIN_S = 1.0
"""The time limit for a request while a person is waiting for a modal, which Slack opens only within 3 s of a click."""
SLOW = "its authorization server hasn't answered yet"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Discovery:
    valid_until: float
    duration_s: float
    found: tuple[AuthorizationServer, Client] | None = None
    problem: str = ""


class SignInServers:
    def __init__(self, accounts: Accounts, vault: Vault, servers: Iterable[ServerConfig], clock: Clock) -> None:
        self._accounts = accounts
        self._vault = vault
        self._clock = clock
        self.transports = {
            server.name: server.transport
            for server in servers
            if isinstance(server.transport, HttpTransport) and server.transport.can_need_sign_in
        }
        self._discovered: dict[str, _Discovery] = {}
        self._discovery_tasks: dict[str, tuple[float, asyncio.Task[_Discovery]]] = {}
        """Running discoveries with their start times, including discoveries that no question is waiting for."""

    async def account_problem(self, server: str) -> str:
        """Returns why nobody can sign in to a server, phrased to complete a sentence, or "" if people can sign in.
        Raises StoreError."""
        known, now = self._discovered.get(server), self._clock.monotonic()
        if known is not None and known.valid_until > now:
            return known.problem
        begun_at, discovery = self._discovery_task(server)
        is_slow = known is not None and known.duration_s >= OFFERED_WITHIN_S
        await asyncio.wait([discovery], timeout=0 if is_slow else max(0, begun_at + OFFERED_WITHIN_S - now))
        if discovery.done():
            return discovery.result().problem
        return SLOW if known is None else known.problem

    def close(self) -> None:
        for _, discovery in self._discovery_tasks.values():
            discovery.cancel()

    async def find(self, server: str) -> tuple[AuthorizationServer, Client]:
        """Returns the authorization server of an MCP server, and the OAuth client that Typist uses with it. Raises
        SignInFailed, StoreError."""
        known = await self._discovery(server)
        if known.found is not None and await self._is_registration_replaced(server, *known.found):
            self._discovered.pop(server, None)
            known = await self._discovery(server)
        if known.found is None:
            raise SignInFailed(known.problem)
        return known.found

    async def client_for_scopes(self, server: str, auth_server: AuthorizationServer, client: Client) -> Client:
        """Returns a client that can request more scopes than Typist has registered for. Returns `client` if it doesn't
        have to be registered for them, or if registering fails."""
        config = self.transports[server].sign_in
        if oauth.configured_client_id(auth_server, config, server) or not auth_server.registration_endpoint:
            return client
        try:
            # Some authorization servers, such as those built with MCP's SDK, only grant scopes that a client registered
            # with.
            async with asyncio.timeout(MODAL_REQUEST_WITHIN_S):
                return await self._registered_client(auth_server, server, auth_server.scope)
        except (SignInFailed, TimeoutError) as error:
            log.info("MCP server %s: not registered for further scopes: %s", server, str(error) or SLOW)
            return client

    async def forget_client(self, server: str, auth_server: AuthorizationServer, client: Client) -> None:
        """Drops a registration that the authorization server has forgotten, so that Typist registers again at the next
        sign-in. Raises StoreError."""
        for scopes in ("", auth_server.scope):
            key = self._registration_key(auth_server, server, scopes)
            secret = await self._accounts.client_secret(*key)
            if secret and self._vault.decrypt(key, secret) == asdict(client):
                await self._accounts.record_client(*key, "")

    async def _is_registration_replaced(self, server: str, auth_server: AuthorizationServer, client: Client) -> bool:
        key = self._registration_key(auth_server, server)
        secret = (
            None
            if oauth.configured_client_id(auth_server, self.transports[server].sign_in, server)
            else await self._accounts.client_secret(*key)
        )
        return secret is not None and self._vault.decrypt(key, secret) != asdict(client)

    async def _discovery(self, server: str) -> _Discovery:
        known = self._discovered.get(server)
        if known is not None and known.valid_until > self._clock.monotonic():
            return known
        return await asyncio.shield(self._discovery_task(server)[1])

    def _discovery_task(self, server: str) -> tuple[float, asyncio.Task[_Discovery]]:
        def on_done(task: asyncio.Task[_Discovery]) -> None:
            self._discovery_tasks.pop(server, None)
            # Nobody might be waiting for it, and asyncio warns about exceptions that nobody retrieves.
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("MCP server %s: sign-ins not offered: %s", server, error)

        if server not in self._discovery_tasks:
            discovery = asyncio.create_task(self._discover(server))
            discovery.add_done_callback(on_done)
            self._discovery_tasks[server] = self._clock.monotonic(), discovery
        return self._discovery_tasks[server]

    async def _discover(self, server: str) -> _Discovery:
        began_at, problem, found = self._clock.monotonic(), "", None
        transport = self.transports[server]
        config = transport.sign_in
        try:
            async with asyncio.timeout(DISCOVERED_WITHIN_S):
                auth_server = await oauth.discover(transport.url, config)
            if client_id := oauth.configured_client_id(auth_server, config, server):
                client = oauth.configured_client(auth_server, client_id, config.client_secret)
            else:
                client = await self._registered_client(auth_server, server)
            found = auth_server, client
        except (SignInFailed, TimeoutError) as error:
            problem = str(error) or SLOW
            log.warning("MCP server %s: nobody can sign in: %s", server, problem)
        now = self._clock.monotonic()
        known = _Discovery(now + (FAILURE_KEPT_S if problem else DISCOVERY_KEPT_S), now - began_at, found, problem)
        self._discovered[server] = known
        return known

    async def _registered_client(self, auth_server: AuthorizationServer, server: str, scopes: str = "") -> Client:
        """Returns Typist's stored registration, or registers Typist. Raises SignInFailed, StoreError. `scopes`: all
        scopes, if the client needs more scopes than usual."""
        key, transport = self._registration_key(auth_server, server, scopes), self.transports[server]
        secret = await self._accounts.client_secret(*key)
        content = self._vault.decrypt(key, secret, REGISTERED_FOR_S) if secret else None
        if content is not None:
            return Client(**content)
        if not auth_server.registration_endpoint:
            raise SignInFailed("its authorization server registers nobody: set oauth.clientId in BOT_MCP_CONFIG")
        client, ends_at = await oauth.register(auth_server, transport.sign_in.client_metadata(server), transport.url)
        if ends_at is None or ends_at > self._clock.now() + REGISTERED_FOR_S:
            await self._accounts.record_client(*key, self._vault.encrypt(key, asdict(client)))
        return client

    def _registration_key(self, auth_server: AuthorizationServer, server: str, scopes: str = "") -> tuple[str, str]:
        """Returns two strings that identify a registration: the issuer, and the redirect URI (or device endpoint) with
        the scopes."""
        redirect_uri = self.transports[server].sign_in.redirect_uri(server)
        place = redirect_uri if auth_server.authorization_endpoint else auth_server.device_authorization_endpoint
        return auth_server.issuer, f"{place} {' '.join(sorted(scopes.split()))}".rstrip()
