"""Signs people in to MCP servers: creates the link to a server's page, handles the pasted URL or code, and refreshes
tokens afterwards."""

import asyncio
import hashlib
import json
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

from mcp.client.auth.oauth2 import PKCEParameters

from bot.accounts import oauth
from bot.accounts.oauth import AuthorizationServer, Client, SignInFailed, Tokens
from bot.accounts.sign_in_servers import MODAL_REQUEST_WITHIN_S, SignInServers
from bot.accounts.vault import Vault
from bot.clock import Clock, keep_trying
from bot.core import texts
from bot.core.conversation import Question
from bot.core.notifications import Notification
from bot.core.sign_in_urls import CODE_LETTERS
from bot.mcp.config import ServerConfig
from bot.slack.notices import notification
from bot.store.accounts import REFRESH_S, Accounts, Owner
from bot.telemetry import OFF, Telemetry

REFRESH_EARLY_S = 60.0
"""Tokens are refreshed this long before they expire, or after half of their lifetime, because calls take time and
clocks differ."""
REFRESH_CHECK_S = 0.1
CLOSE_WITHIN_S = 2.0
SIGN_OUT_TRIES = 3
MAX_REVOKING = 8
POLL_FOR_S = 120.0
"""The time for which Typist polls the server after a person says that they have confirmed a code."""
SLOW_DOWN_STEP_S = 5
_CODE_CHARS = 8

log = logging.getLogger(__name__)

IsWaiting = Callable[[], Awaitable[bool]]
"""Returns whether a call or a schedule is still waiting for the sign-in."""


@dataclass(frozen=True, slots=True)
class _Account:
    at: AuthorizationServer
    client: Client
    tokens: Tokens = field(repr=False)
    ends_at: float | None

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> "_Account":
        at = AuthorizationServer(**{**content["at"], "secret_methods": tuple(content["at"]["secret_methods"])})
        return cls(at, Client(**content["client"]), Tokens(**content["tokens"]), content["ends_at"])

    @classmethod
    def pending(cls, content: Mapping[str, Any]) -> "_Account":
        return cls.of({**content, "tokens": {"access_token": ""}, "ends_at": None})


@dataclass(frozen=True, slots=True)
class SignInLinks:
    url: str = field(repr=False)
    """The URL of the page that redirects back with a code, or ""."""
    device_url: str = field(default="", repr=False)
    """The URL of the page where people only confirm `user_code`, or ""."""
    user_code: str = field(default="", repr=False)


async def _always_waiting() -> bool:
    return True


class SignIns:
    """Signs people in to MCP servers. Several processes can do so at the same time."""

    def __init__(
        self,
        accounts: Accounts,
        keys: Iterable[str],
        servers: Iterable[ServerConfig],
        clock: Clock,
        telemetry: Telemetry = OFF,
        *,
        on_change: Callable[[str], None] = lambda _: None,
        on_revocation: Callable[[Owner], None] = lambda _: None,
    ) -> None:
        """`on_change`: called with the ID of a user who signs in or out in this process. `on_revocation`: called with
        the owner of revoked tokens."""
        self.accounts = accounts
        self._vault = Vault(keys)
        self._clock = clock
        self.servers = SignInServers(accounts, self._vault, servers, clock)
        self._transports = self.servers.transports
        self._tasks: set[asyncio.Task[None]] = set()
        self._telemetry = telemetry
        self._revocation_slots = asyncio.Semaphore(MAX_REVOKING)
        self._on_change = on_change
        self._on_revocation = on_revocation

    async def servers_signed_out_of(self, team_id: str, user_id: str, servers: Iterable[str]) -> list[str]:
        """Returns the servers where a person has no account that can be decrypted. Raises StoreError."""
        owners = [Owner(team_id, user_id, server) for server in servers]
        return [one.server for one in owners if self._decrypt_account(one, await self.accounts.secret(one)) is None]

    async def begin(self, owner: Owner, call: str, scope: str = "") -> SignInLinks:
        """Begins a sign-in for a call, requesting the additional `scope`. Returns the links for the modal. Raises
        SignInFailed, StoreError."""
        at, client = await self.servers.find(owner.server)
        if scope:
            granted = self._decrypt_account(owner, await self.accounts.secret(owner))
            wanted = f"{at.scope} {granted.tokens.scope if granted else ''} {scope}"
            wanted = oauth.distinct_scopes(self._transports[owner.server].sign_in.allowed_scopes(wanted))
            if wanted != at.scope:
                at = replace(at, scope=wanted)
                client = await self.servers.client_for_scopes(owner.server, at, client)
        state, pkce = secrets.token_urlsafe(32), PKCEParameters.generate()
        redirect_uri, url = self._redirect_uri(owner.server), ""
        if at.authorization_endpoint:
            url = oauth.authorization_url(at, client, redirect_uri, state, pkce.code_challenge)
        device = await self._device_code(owner.server, at, client)
        own: dict[str, Any] = {"verifier": pkce.code_verifier} if url else {}
        if device is not None:
            own |= {"device_code": device.device_code, "interval_s": max(device.interval, 1)}
        content = {"at": asdict(at), "client": asdict(client), **own}
        await self.accounts.begin_sign_in(
            _state_hash(state), owner, call, self._vault.encrypt(self._encryption_labels(owner), content)
        )
        return SignInLinks(url, *((device.urls[0], device.user_code) if device else ()))

    async def _device_code(self, server: str, at: AuthorizationServer, client: Client) -> oauth.DeviceCode | None:
        """Requests a code for the person to confirm. Returns None if no code is needed. Raises SignInFailed if only a
        code would work."""
        # The code on Typist's own page is as easy to use, and can't be confirmed on behalf of a stranger.
        if not at.device_authorization_endpoint or (at.authorization_endpoint and self.has_code_page(server)):
            return None
        try:
            async with asyncio.timeout(MODAL_REQUEST_WITHIN_S if at.authorization_endpoint else None):
                transport = self._transports[server]
                return await oauth.request_device_code(at, client, transport.url, transport.sign_in)
        except (SignInFailed, TimeoutError) as error:
            if not at.authorization_endpoint:
                raise
            log.info("MCP server %s: no code to confirm: %s", server, str(error) or "no answer in time")
            return None

    async def _complete_by_code(self, owner: Owner, call: str, is_waiting: IsWaiting) -> str:
        """Signs a person in after they have confirmed a code. Returns the problem, or "" if it worked. Raises
        StoreError."""
        state, secret = await self.accounts.sign_in_for_call(owner, call) or ("", "")
        content = self._vault.decrypt(self._encryption_labels(owner), secret) if secret else None
        if content is None or "device_code" not in content:
            return texts.accounts.CONFIRM_AGAIN
        # One process at a time polls the server, as often as the server allows.
        until = self._clock.now() + POLL_FOR_S
        if content.get("asked_until", 0.0) > self._clock.now():
            return texts.accounts.STILL_ASKING
        ours = _state_hash(secrets.token_urlsafe(32))
        sealed = self._vault.encrypt(self._encryption_labels(owner), {**content, "asked_until": until + oauth.WITHIN_S})
        if not await self.accounts.replace_state(state, ours, sealed):
            return texts.accounts.STILL_ASKING
        known = _Account.pending(content)
        interval_s = content["interval_s"]
        while self._clock.now() < until and await self.accounts.is_pending(ours, owner, call) and await is_waiting():
            try:
                url = self._transports[owner.server].url
                said = await oauth.poll_device_code(known.at, known.client, content["device_code"], url)
            except SignInFailed as error:
                if error.is_final:
                    await self.accounts.take_sign_in(ours, owner, call)
                    return await self._on_failure(owner, known, error)
                said = oauth.SLOW_DOWN
            if isinstance(said, Tokens):
                signed_in = replace(known, tokens=said)
                # Nobody else has these tokens. If the write took effect although it seemed to fail, they are revoked.
                ending = partial(self.accounts.take_sign_in, ours, owner, call)
                if await keep_trying(ending, self._clock, "sign-in not ended") is None or not await is_waiting():
                    await self._revoke_tokens(owner, signed_in)
                    return texts.accounts.CONFIRM_AGAIN
                await self._sign_in(owner, signed_in)
                return ""
            interval_s += SLOW_DOWN_STEP_S if said == oauth.SLOW_DOWN else 0
            await self._clock.sleep(interval_s)
        return texts.accounts.CONFIRM_AGAIN

    def has_code_page(self, server: str) -> bool:
        return bool(self._transports[server].sign_in.public_url)

    async def on_redirect(self, query: str, server: str = "") -> tuple[str, str]:
        """Returns a sentence and a code for Typist's page. When the page is reloaded, returns the same values. Raises
        StoreError."""
        brought = _query_values(query) or {}
        state_hash = _state_hash(brought.get("state", ""))
        # Can't be guessed from the link alone.
        code = self._vault.derive_letters(json.dumps(brought, sort_keys=True), CODE_LETTERS, _CODE_CHARS)
        pending = self.accounts.pending_sign_in
        begun = await pending(state_hash) or await pending(_state_hash(code))
        owner, secret = begun or (None, "")
        if owner is None or not self._returns_to_page(owner.server, server):
            return texts.accounts.LINK_IS_OLD, ""
        content = self._vault.decrypt(self._encryption_labels(owner), secret)
        if content is not None and content.get("brought") == brought:
            return texts.accounts.TYPE_CODE, code
        if content is None or "brought" in content:
            return texts.accounts.LINK_IS_OLD, ""
        # An address from somewhere else must leave the sign-in as it is.
        is_checked = "code" in brought or "iss" in brought
        if is_checked and not _is_from_issuer(brought.get("iss"), _Account.pending(content).at):
            return texts.accounts.browser_error_text(texts.accounts.FROM_ANOTHER_SERVER), ""
        if "code" not in brought:
            return self._redirect_problem(owner, brought, texts.accounts.NOT_GRANTED), ""
        sealed = self._vault.encrypt(self._encryption_labels(owner), {**content, "brought": brought})
        if not await self.accounts.replace_state(state_hash, _state_hash(code), sealed):
            return texts.accounts.LINK_IS_OLD, ""
        return texts.accounts.TYPE_CODE, code

    async def entry_problem(self, owner: Owner, call: str, entry: str) -> str:
        """Returns a sentence that explains why a pasted URL or code can't be used, or "" if it can. Raises
        StoreError."""
        query = self._entered_values(owner, entry)
        if query is None:
            return texts.accounts.NOT_THE_ADDRESS
        if not await self.accounts.is_pending(_state_hash(query.get("state", "")), owner, call):
            return self._expiry_text(owner)
        return "" if "code" in query else self._redirect_problem(owner, query, texts.accounts.DENIED_THERE)

    @staticmethod
    def _redirect_problem(owner: Owner, query: Mapping[str, str], denied: str) -> str:
        """Returns a sentence about the error in a redirect, and logs the error if it is a standard one."""
        meaning = oauth.error_meaning(query.get("error", ""))
        why = meaning or "its page reports an unknown error"
        log.warning("MCP server %s: user %s not signed in: %s", owner.server, owner.user_id, why)
        return denied if query.get("error") == oauth.DENIED else texts.accounts.browser_error_text(meaning)

    async def complete(
        self, owner: Owner, call: str, entry: str | None, is_waiting: IsWaiting = _always_waiting
    ) -> str:
        """Signs a person in with a URL or code, which works only once. Returns the problem, or "" if it worked. Raises
        StoreError. `entry`: the URL or code, or None if the person confirms a code on the server's page. In that
        case, waits for the server, but only while `is_waiting()` returns True.
        """
        if entry is None:
            return await self._complete_by_code(owner, call, is_waiting)
        query = self._entered_values(owner, entry) or {}
        state_hash = _state_hash(query.get("state", ""))
        _, secret = await self.accounts.pending_sign_in(state_hash) or (owner, "")
        content = self._vault.decrypt(self._encryption_labels(owner), secret) if secret else None
        query |= content.get("brought", {}) if content else {}
        if content is None or not query.get("code") or "verifier" not in content:
            return self._expiry_text(owner)
        known = _Account.pending(content)
        if not _is_from_issuer(query.get("iss"), known.at):
            return texts.accounts.sign_in_failed(owner.server, texts.accounts.FROM_ANOTHER_SERVER)
        if await self.accounts.take_sign_in(state_hash, owner, call) is None:
            return self._expiry_text(owner)
        try:
            url = self._transports[owner.server].url
            tokens = await oauth.exchange_code(
                known.at, known.client, self._redirect_uri(owner.server), query["code"], content["verifier"], url
            )
        except SignInFailed as error:
            return await self._on_failure(owner, known, error)
        await self._sign_in(owner, replace(known, tokens=tokens))
        return ""

    async def _on_failure(self, owner: Owner, known: _Account, error: SignInFailed) -> str:
        log.warning("MCP server %s: user %s not signed in: %s", owner.server, owner.user_id, error)
        if error.is_client_forgotten:
            await self.servers.forget_client(owner.server, known.at, known.client)
        return texts.accounts.sign_in_failed(owner.server, str(error))

    async def _sign_in(self, owner: Owner, account: _Account) -> None:
        sealed = self._encrypt_account(owner, account)
        # Nobody else has these tokens.
        recording = f"MCP server {owner.server}: tokens of user {owner.user_id} not recorded"
        await keep_trying(lambda: self.accounts.sign_in(owner, sealed, account.tokens.scope), self._clock, recording)
        log.info("MCP server %s: user %s signed in", owner.server, owner.user_id)
        self._telemetry.count_account_change("signed_in")
        self._on_change(owner.user_id)

    async def is_signed_in(self, owner: Owner) -> bool:
        """Returns whether an account can be used. Raises StoreError. Raises TimeoutError if a later attempt might
        work."""
        try:
            return owner.server in self._transports and await self.access_token(owner) is not None
        except SignInFailed as error:
            raise TimeoutError(f"MCP server {owner.server}: {error}") from None

    async def sign_out(self, owner: Owner, by: str = "") -> bool:
        """Deletes an account and revokes its tokens. Returns False if the account keeps changing. `by`: the ID of the
        admin who signs the owner out, or "" if the owner signs out."""
        for _ in range(SIGN_OUT_TRIES):
            if (secret := await self.accounts.secret(owner)) is None:
                return True
            if await self.accounts.delete_account(owner, secret, "signed_out", by):
                if (account := self._decrypt_account(owner, secret)) is not None:
                    self._run_in_background(self._revoke_tokens(owner, account))
                self._telemetry.count_account_change("signed_out")
                if not by:
                    self._on_change(owner.user_id)
                return True
        return False

    async def access_token(self, owner: Owner, refused_token: str = "", question: Question | None = None) -> str | None:
        """Returns a person's access token, or None if the person is signed out. Refreshes a token that is about to
        expire. `refused_token`: a token that the server no longer accepts. `question`: the question that needs the
        token. Its asker is notified if the sign-in has ended. Raises SignInFailed if the refresh might work later, and
        StoreError."""
        is_renewed = False
        while (secret := await self.accounts.secret(owner)) is not None:
            account = self._decrypt_account(owner, secret)
            if account is None:
                return None
            early_s = min(REFRESH_EARLY_S, (account.tokens.lifetime_s or 0.0) / 2)
            is_good = account.ends_at is None or account.ends_at - early_s > self._clock.now()
            # Once is enough, whatever the server returned.
            if is_renewed or (is_good and account.tokens.access_token != refused_token):
                # Re-encrypts, so that an older key can be removed. A process that refreshes the tokens also does this.
                if self._vault.key_index(secret) and await self.accounts.begin_refresh(owner, secret):
                    await self.accounts.end_refresh(owner, secret, self._vault.reencrypt(secret))
                return account.tokens.access_token
            if not account.tokens.refresh_token:
                await self._end_sign_in(owner, secret)
            elif await self.accounts.begin_refresh(owner, secret):
                await asyncio.shield(self._run_in_background(self._refresh_tokens(owner, secret, account, question)))
                is_renewed = True
            else:
                # Another process is refreshing them. If it dies, its reservation expires.
                await self._clock.sleep(REFRESH_CHECK_S)
        return None

    async def close(self, within_s: float = CLOSE_WITHIN_S) -> None:
        self.servers.close()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=within_s)
            for task in late:
                task.cancel()

    def _run_in_background(self, refresh: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Returns a task that continues even after the answer ends, because the refresh token might already be used
        up."""
        task = asyncio.create_task(refresh)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)
        return task

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        # The answer might be gone, and asyncio warns about exceptions that nobody retrieves.
        if not task.cancelled() and (error := task.exception()) is not None:
            log.debug("refresh failed: %s", type(error).__name__)

    async def _refresh_tokens(self, owner: Owner, secret: str, account: _Account, question: Question | None) -> None:
        try:
            async with asyncio.timeout(REFRESH_S / 2):
                url = self._transports[owner.server].url
                tokens = await oauth.refresh(account.at, account.client, account.tokens, url)
        except (SignInFailed, TimeoutError) as error:
            if isinstance(error, SignInFailed) and error.is_final:
                if error.is_client_forgotten:
                    await self.servers.forget_client(owner.server, account.at, account.client)
                await self._end_sign_in(owner, secret, question)
                return
            await self.accounts.end_refresh(owner, secret, secret)
            raise SignInFailed(str(error) or "its authorization server doesn't answer") from None
        renewed = replace(account, tokens=tokens)
        sealed = self._encrypt_account(owner, renewed)
        recording = f"MCP server {owner.server}: tokens of user {owner.user_id} not recorded"
        is_recorded = await keep_trying(
            lambda: self.accounts.end_refresh(owner, secret, sealed), self._clock, recording
        )
        if not is_recorded and await self.accounts.secret(owner) is None:
            # The person has signed out in the meantime.
            await self._revoke_tokens(owner, renewed)

    async def _revoke_tokens(self, owner: Owner, account: _Account) -> None:
        try:
            async with self._revocation_slots:
                await oauth.revoke(account.at, account.client, account.tokens, self._transports[owner.server].url)
            if account.at.revocation_endpoint:
                self._on_revocation(owner)
        except SignInFailed as error:
            log.warning("MCP server %s: tokens of user %s not revoked: %s", owner.server, owner.user_id, error)

    def _decrypt_account(self, owner: Owner, secret: str | None) -> _Account | None:
        """Returns a decrypted account, or None if there is no account or if its key or server was removed from the
        configuration."""
        if secret is None or owner.server not in self._transports:
            return None
        content = self._vault.decrypt(self._encryption_labels(owner), secret)
        return None if content is None else _Account.of(content)

    async def _end_sign_in(self, owner: Owner, secret: str, question: Question | None = None) -> None:
        """Deletes an account whose tokens are invalid, unless it has changed. Notifies the owner if a question needed
        the account."""
        notice: Notification | None = None
        if question is not None:
            key = f"sign-in ended {owner.server} {question.thread.channel_id}/{question.ts}"
            notice = Notification(owner.user_id, key, notification(texts.accounts.sign_in_ended(owner.server)))
        if await self.accounts.delete_account(owner, secret, "ended", notification=notice):
            log.info("MCP server %s: the sign-in of user %s has ended", owner.server, owner.user_id)
            self._telemetry.count_account_change("ended")
            self._on_change(owner.user_id)

    def _encrypt_account(self, owner: Owner, account: _Account) -> str:
        lifetime_s = account.tokens.lifetime_s
        ends_at = None if lifetime_s is None else self._clock.now() + lifetime_s
        return self._vault.encrypt(self._encryption_labels(owner), asdict(replace(account, ends_at=ends_at)))

    def _encryption_labels(self, owner: Owner) -> tuple[str, ...]:
        # A server that moves doesn't get tokens of its former URL.
        return owner.team_id, owner.user_id, owner.server, self._transports[owner.server].url

    def _entered_values(self, owner: Owner, entry: str) -> dict[str, str] | None:
        """Returns the values in a person's entry in the modal, or None if a pasted URL isn't a redirect from a
        sign-in."""
        if self.has_code_page(owner.server):
            # The browser's values are already stored.
            return {"state": re.sub("[^A-Z]", "", entry.upper()), "code": ""}
        return _redirect_query(entry, self._redirect_uri(owner.server))

    def _expiry_text(self, owner: Owner) -> str:
        return texts.accounts.CODE_IS_WRONG if self.has_code_page(owner.server) else texts.accounts.ADDRESS_IS_OLD

    def _redirect_uri(self, server: str) -> str:
        return self._transports[server].sign_in.redirect_uri(server)

    def _returns_to_page(self, server: str, page_server: str) -> bool:
        """Returns whether sign-ins to a server return to the Typist page that has this name in its path."""
        if server not in self._transports or not self.has_code_page(server):
            return False
        return page_server == ("" if self._transports[server].sign_in.client_id else server)


def _state_hash(state: str) -> str:
    return hashlib.sha256(state.encode("utf-8", "surrogatepass")).hexdigest()


def _redirect_query(url: str, redirect_uri: str) -> dict[str, str] | None:
    """Returns the values in a pasted redirect URL, or None if it's a different URL or contains a value twice."""
    url = url.strip()
    # Some browsers copy it without http://.
    url = url if "://" in url else f"http://{url}"
    try:
        parts, ours = urlsplit(url), urlsplit(redirect_uri)
    except ValueError:
        return None
    is_ours = (parts.scheme, parts.netloc, parts.path) == (ours.scheme, ours.netloc, ours.path)
    return _query_values(parts.query) if is_ours else None


def _query_values(query: str) -> dict[str, str] | None:
    """Returns the values in a redirect's query, or None if it isn't the response to a sign-in or contains a value
    twice."""
    try:
        values = parse_qs(query, max_num_fields=20)
    except ValueError:
        return None
    if any(len(value) > 1 for value in values.values()) or not {"code", "error"} & values.keys():
        return None
    return {name: value for name, [value] in values.items()}


def _is_from_issuer(issuer: str | None, auth_server: AuthorizationServer) -> bool:
    """Returns whether a redirect comes from the expected issuer (RFC 9207)."""
    return not auth_server.sends_issuer if issuer is None else oauth.is_same_issuer(issuer, auth_server.issuer)
