"""The OAuth client for authorization servers. It discovers them, registers Typist, and exchanges codes and refresh
tokens for tokens.

Metadata isn't trusted. It must state the server's own issuer and PKCE with S256, its code and token endpoints must be
on the issuer's origin, and its URLs must use HTTPS. For servers that don't comply, an admin can configure what to trust
(`SignInConfig`). URLs must not point to a private network unless the MCP server itself is in one. Redirects aren't
followed. Errors quote only the origin of a server's URL, because the rest might contain a secret.
"""

import asyncio
import ipaddress
import json
import re
import socket
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import httpx2
from mcp.client.auth.utils import (
    build_oauth_authorization_server_metadata_discovery_urls,
    build_protected_resource_metadata_discovery_urls,
    get_client_metadata_scopes,
)
from mcp.shared.auth import (
    OAuthClientInformationFull,
    OAuthMetadata,
    ProtectedResourceMetadata,
)
from mcp.shared.auth_utils import check_resource_allowed, resource_url_from_server_url
from pydantic import AnyHttpUrl, BaseModel, Field, TypeAdapter, ValidationError

from bot import network
from bot.errors import TypistError
from bot.mcp.challenges import challenge_values
from bot.mcp.config import SignInConfig

WITHIN_S = 10.0
REGISTER_WITHIN_S = 30.0
"""Time limit for registering Typist. It is long because a registration is lost if its response arrives too late."""
MAX_BYTES = 256_000
MAX_SERVERS_TRIED = 3
"""Maximum number of authorization servers, and of metadata URLs, to try for one MCP server."""
MAX_URL_CHARS = 1_000
MAX_LINK_CHARS = 3_000
"""Maximum length of a link's URL. Slack rejects longer ones."""
MAX_SCOPE_CHARS = 1_000
"""Maximum length of a list of scopes. If a server's list is longer, Typist doesn't request any scopes, and the server
chooses them."""
MAX_LISTED = 200
"""Maximum length of a list in a server's document. Longer lists are ignored."""
MAX_LIFETIME_S = 10 * 365 * 24 * 3600
_OK = (200, 201)
_GRANTS = ["authorization_code", "refresh_token"]
_DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
PENDING, SLOW_DOWN, DENIED = "authorization_pending", "slow_down", "access_denied"
_IPV4_PREFIXES = (b"\0\x64\xff\x9b", b"\0\0\0\0")
"""Prefixes of IPv6 addresses that end in an IPv4 address."""
_TRANSIENT_ERRORS = ("temporarily_unavailable", "server_error", SLOW_DOWN)
_TRANSIENT_STATUSES = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
_ERROR_MEANINGS = {
    DENIED: "access was not granted there",
    "expired_token": "the code is too old",
    "invalid_grant": "the code is too old, or used already",
    "invalid_code": "the code is too old, or used already",
    "code_already_used": "the code is too old, or used already",
}
"""User-facing meanings of errors, each phrased to complete a sentence."""
_REFUSALS = {
    "invalid_request": "can't read the request",
    "invalid_client": "doesn't know Typist's client ID or secret",
    "unauthorized_client": "doesn't let Typist's client ID sign people in",
    "unsupported_grant_type": "doesn't offer this way to sign in",
    "unsupported_response_type": "doesn't offer this way to sign in",
    "invalid_scope": "rejects the scopes, which a Typist admin can set in oauth.scopes",
    "invalid_target": "rejects the MCP server as a resource, which a Typist admin can leave out with oauth.resource",
    "invalid_redirect_uri": "rejects Typist's redirect address",
    "invalid_client_metadata": "rejects Typist's registration",
    "invalid_software_statement": "registers only programs that it knows",
    "unapproved_software_statement": "registers only programs that it knows",
    "server_error": "failed",
    "temporarily_unavailable": "is overloaded or being maintained",
    "login_required": "wants you to sign in there again",
    "interaction_required": "wants you to do something there",
    "account_selection_required": "wants you to choose an account there",
    "consent_required": "needs consent, perhaps from an administrator there",
}
"""Meanings of errors from authorization servers, each worded as a predicate. The errors are defined in RFC 6749
(4.1.2.1, 5.2), RFC 7591 (3.2.2), RFC 8707 (2) and OpenID Connect Core (3.1.2.6), read on 2026-11-30."""
_SCOPE = re.compile(r"[!#-\[\]-~]+")
"""A single scope (RFC 6749, 3.3)."""
_BEARER_TYPES = ("", "bearer", "n_a", "user")
"""Token types that are treated as bearer tokens. Slack returns `user`, and RFC 8693 defines N_A."""
_WITH_SECRET = ("client_secret_basic", "client_secret_post")
_STANDARD = SignInConfig()
_accepted_methods: dict[tuple[str, str], str] = {}
"""The method of sending the client secret that worked after another method was rejected, keyed by issuer and client
ID."""
_ADDRESS = TypeAdapter(AnyHttpUrl)
M = TypeVar("M", bound=BaseModel)


class SignInFailed(TypistError):
    """An authorization server rejected a request or can't be used. `str()` returns the rest of a sentence about the
    server. `is_final`: whether the refresh token is no longer valid. `is_client_forgotten`: whether the server no
    longer knows Typist."""

    def __init__(self, why: str, *, is_final: bool = False, is_client_forgotten: bool = False) -> None:
        super().__init__(why)
        self.is_final = is_final
        self.is_client_forgotten = is_client_forgotten


@dataclass(frozen=True, slots=True)
class Client:
    id: str
    secret: str = field(default="", repr=False)
    method: str = "none"
    """OAuth's name for the method of sending the client secret."""


@dataclass(frozen=True, slots=True)
class AuthorizationServer:
    """An MCP server's authorization server, as described by its metadata. Missing strings are ""."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    registration_endpoint: str
    resource: str
    """The MCP server's resource identifier for token requests, or "" if requests must not include it."""
    scope: str
    sends_issuer: bool
    secret_methods: tuple[str, ...] = ()
    revocation_endpoint: str = ""
    """The endpoint for revoking tokens (RFC 7009)."""
    has_client_documents: bool = False
    """Whether a client ID can be the URL of a metadata document."""
    device_authorization_endpoint: str = ""
    """The endpoint for requesting codes that people confirm (RFC 8628). If there is no `authorization_endpoint`, this
    is the only way to sign in."""


@dataclass(frozen=True, slots=True)
class Tokens:
    access_token: str = field(repr=False)
    refresh_token: str = field(default="", repr=False)
    lifetime_s: float | None = None
    scope: str = ""


class _Metadata(OAuthMetadata):
    # Servers without grant types that need it leave it out (RFC 8414).
    authorization_endpoint: AnyHttpUrl | None = None  # type: ignore[assignment]
    device_authorization_endpoint: AnyHttpUrl | None = None


class DeviceCode(BaseModel):
    """A code that a person confirms on the server's page (RFC 8628)."""

    device_code: str = Field(min_length=1, max_length=4_000, repr=False)
    user_code: str = Field(pattern="^[!-~]{1,40}$", repr=False)
    verification_uri: AnyHttpUrl | None = None
    verification_url: AnyHttpUrl | None = None
    """Google's name for `verification_uri`:
    https://developers.google.com/identity/protocols/oauth2/limited-input-device"""
    verification_uri_complete: AnyHttpUrl | None = Field(default=None, repr=False)
    interval: int = Field(default=5, ge=0, le=60)

    @property
    def urls(self) -> list[str]:
        """URLs of the server's page. If the server supports a URL that includes the code, it comes first."""
        pages = (self.verification_uri_complete, self.verification_uri, self.verification_url)
        return [str(page) for page in pages if page is not None]


class _Tokens(BaseModel):
    access_token: str = ""
    token_type: str = ""
    expires_in: int = 0
    refresh_token: str = ""
    scope: str = ""
    authed_user: "_Tokens | None" = None
    """The person's token in the response of Slack's oauth.v2.access, next to the bot token (docs.slack.dev, read on
    2026-11-30)."""


class _Refusal(BaseModel):
    # Some servers send a refusal with HTTP 200. An empty error isn't a refusal.
    error: str = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class _Response:
    status: int
    body: bytes = field(repr=False)
    raw: httpx2.Response = field(repr=False)


async def discover(server_url: str, config: SignInConfig = _STANDARD) -> AuthorizationServer:
    challenge = await _unauthorized_response(server_url)
    own = resource_url_from_server_url(server_url)
    # A value that isn't a URL is ignored.
    named = [
        str(address) for one in challenge_values(challenge.headers, "resource_metadata") if (address := _parse_url(one))
    ]
    urls = (*named[:MAX_SERVERS_TRIED], *build_protected_resource_metadata_discovery_urls(None, server_url))
    known = await _first_document(urls, server_url, ProtectedResourceMetadata, partial(_resource_problem, own))
    # By the first version of the protocol, a server without metadata is its own authorization server.
    itself = f"{urlsplit(own).scheme}://{urlsplit(own).netloc}"
    resource = known or ProtectedResourceMetadata.model_validate({"resource": own, "authorization_servers": [itself]})
    metadata = await _authorization_server_metadata(resource, server_url, config)
    if metadata is None and known is None:
        raise SignInFailed("it doesn't say where people sign in (RFC 9728)")
    if metadata is None:
        raise SignInFailed("its authorization server has no metadata (RFC 8414)")
    has_code_flow = _has_code_flow(metadata)
    challenged = next(iter(challenge_values(challenge.headers, "scope")), None)
    wanted = get_client_metadata_scopes(challenged, resource, metadata, client_grant_types=_GRANTS)
    trusted = partial(_trusted_endpoint, metadata, config)
    has_codes = not has_code_flow or _DEVICE_GRANT in (metadata.grant_types_supported or (_DEVICE_GRANT,))
    return AuthorizationServer(
        str(metadata.issuer),
        str(metadata.authorization_endpoint) if has_code_flow else "",
        str(metadata.token_endpoint),
        str(metadata.registration_endpoint or ""),
        str(resource.resource) if config.sends_resource else "",
        config.scopes or distinct_scopes(wanted or ""),
        bool(metadata.authorization_response_iss_parameter_supported),
        tuple(metadata.token_endpoint_auth_methods_supported or ("client_secret_basic",)),
        trusted(metadata.revocation_endpoint),
        bool(metadata.client_id_metadata_document_supported),
        trusted(metadata.device_authorization_endpoint) if has_codes else "",
    )


def distinct_scopes(text: str) -> str:
    """Returns the scopes in a space-separated list without duplicates, or "" if there are too many."""
    scopes = text.split(" ") if len(text) <= MAX_SCOPE_CHARS else ()
    return " ".join(dict.fromkeys(filter(_SCOPE.fullmatch, scopes)))


def _origin(url: object) -> str:
    parts = urlsplit(str(url))
    return f"{parts.scheme}://{parts.netloc}"[:200]


def _origins_of(*hosts: str) -> list[str]:
    return [f"https://{host.lower()}" for host in hosts if host]


def _trusted_endpoint(metadata: _Metadata, config: SignInConfig, endpoint: AnyHttpUrl | None) -> str:
    """Returns an endpoint from the metadata if it is on the issuer's origin or a configured host, or "" otherwise."""
    # Otherwise, a server could send people to another server's page and receive its codes (RFC 9700, 4.4).
    trusted_origins = (_origin(metadata.issuer), *_origins_of(config.token_host))
    return str(endpoint) if endpoint is not None and _origin(endpoint) in trusted_origins else ""


def _parse_url(text: str) -> AnyHttpUrl | None:
    with suppress(ValidationError):
        return _ADDRESS.validate_python(text)
    return None


def _resource_problem(server_resource: str, resource: ProtectedResourceMetadata) -> str:
    is_own = check_resource_allowed(requested_resource=server_resource, configured_resource=str(resource.resource))
    return "" if is_own else "its metadata is that of another server"


async def _authorization_server_metadata(
    resource: ProtectedResourceMetadata, server_url: str, config: SignInConfig
) -> _Metadata | None:
    """Returns the metadata of the first authorization server that can be used, or None if there isn't one. Raises the
    first SignInFailed."""
    problem: SignInFailed | None = None
    for issuer in map(str, resource.authorization_servers[:MAX_SERVERS_TRIED]):
        urls = build_oauth_authorization_server_metadata_discovery_urls(issuer, server_url)
        try:
            metadata = await _first_document(urls, server_url, _Metadata, partial(_sign_in_problem, issuer, config))
            if metadata is not None:
                await _check_endpoints(metadata, server_url)
                return metadata
        except SignInFailed as error:
            problem = problem or error
    if problem is not None:
        raise problem
    return None


def is_same_issuer(issuer: str, other_issuer: str) -> bool:
    """Returns whether two URLs identify the same issuer, with or without a trailing slash (RFC 8414, 3.1)."""
    parsed = _parse_url(issuer.strip())
    return parsed is not None and str(parsed).removesuffix("/") == other_issuer.removesuffix("/")


def _sign_in_problem(issuer: str, config: SignInConfig, metadata: _Metadata) -> str:
    named = str(metadata.issuer)
    if not is_same_issuer(config.issuer or issuer, named):
        at, found = _redacted_url(issuer), _redacted_url(named)
        hint = _config_hint(f"it is the right one, set oauth.issuer to {found}")
        return f"the metadata of its authorization server, {at}, names the issuer {found}. {hint}"
    has_code_flow = _has_code_flow(metadata)
    if not has_code_flow and metadata.device_authorization_endpoint is None:
        return "its authorization server offers no sign-in that Typist can do"
    if has_code_flow and "S256" not in (metadata.code_challenge_methods_supported or ()):
        # An explicit list overrides the admin's setting.
        if metadata.code_challenge_methods_supported:
            return "its authorization server doesn't offer PKCE with S256"
        if not config.uses_pkce:
            silent = f"its authorization server, {_redacted_url(named)}, doesn't say that it does PKCE with S256"
            return f"{silent}. {_config_hint('it does, set oauth.pkce to true')}"
    needed = metadata.token_endpoint if has_code_flow else metadata.device_authorization_endpoint
    for endpoint in (metadata.token_endpoint, needed):
        if not _trusted_endpoint(metadata, config, endpoint):
            elsewhere = f"its authorization server, {_redacted_url(named)}, has codes sent to {_origin(endpoint)}"
            host = urlsplit(str(endpoint)).netloc[:200]
            return f"{elsewhere}. {_config_hint(f'that is right, set oauth.tokenHost to {host}')}"
    return ""


def _redacted_url(url: str) -> str:
    return f"{_origin(url)}{urlsplit(url).path}"[:200].removesuffix("/")


def _config_hint(condition: str) -> str:
    return f"If {condition} for the server in BOT_MCP_CONFIG"


async def _check_endpoints(metadata: _Metadata, server_url: str) -> None:
    endpoints = (
        metadata.issuer,
        metadata.authorization_endpoint,
        metadata.token_endpoint,
        metadata.registration_endpoint,
        metadata.revocation_endpoint,
        metadata.device_authorization_endpoint,
    )
    addresses = [str(one) for one in endpoints if one is not None]
    for address in addresses:
        check_url_form(address, server_url)
    for address in {urlsplit(one)[:2]: one for one in addresses[1:]}.values():
        await check_url(address, server_url)


async def _unauthorized_response(server_url: str) -> httpx2.Response:
    response = await _send("GET", server_url, server_url, headers={"accept": "text/event-stream"})
    # Some servers require a sign-in only for messages, not for opening a stream.
    if response.status != HTTPStatus.UNAUTHORIZED:
        accepted = {"accept": "application/json, text/event-stream"}
        ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        response = await _send("POST", server_url, server_url, headers=accepted, json=ping)
    return response.raw


def _has_code_flow(metadata: _Metadata) -> bool:
    grants = metadata.grant_types_supported
    is_granted = grants is None or "authorization_code" in grants
    return metadata.authorization_endpoint is not None and "code" in metadata.response_types_supported and is_granted


async def register(
    server: AuthorizationServer, metadata: Mapping[str, Any], server_url: str
) -> tuple[Client, float | None]:
    """Registers Typist with `metadata` (RFC 7591). Returns the client, and the time at which its secret expires (in
    seconds since 1970) or None."""
    request = {**metadata, "scope": server.scope} if server.scope else dict(metadata)
    if not server.authorization_endpoint:
        request |= {"grant_types": [_DEVICE_GRANT, "refresh_token"], "response_types": []}
    elif server.device_authorization_endpoint:
        request |= {"grant_types": [*_GRANTS, _DEVICE_GRANT]}
    response = await _send("POST", server.registration_endpoint, server_url, REGISTER_WITHIN_S, json=request)
    if response.status not in _OK:
        raise SignInFailed(_reason(response, "refuses to register Typist"))
    client = _parse(OAuthClientInformationFull, response.body)
    if client is None:
        raise SignInFailed("its authorization server's answer to the registration can't be read")
    secret = client.client_secret or ""
    method = client.token_endpoint_auth_method or _secret_method(server)
    ends_at = client.client_secret_expires_at if secret else None
    return Client(client.client_id, secret, method if secret else "none"), ends_at or None


def configured_client_id(server: AuthorizationServer, config: SignInConfig, server_name: str) -> str:
    """Returns the configured client ID for a server, or "" if Typist registers itself with that server."""
    document_url = config.document_url(server_name)
    if server.has_client_documents and document_url and server.authorization_endpoint:
        return document_url
    # A document is useless to a server that doesn't read it.
    return "" if document_url and server.registration_endpoint else config.client_id


def configured_client(server: AuthorizationServer, client_id: str, secret: str) -> Client:
    return Client(client_id, secret, _secret_method(server) if secret else "none")


def _secret_method(server: AuthorizationServer) -> str:
    return "client_secret_post" if "client_secret_basic" not in server.secret_methods else "client_secret_basic"


def authorization_url(
    server: AuthorizationServer, client: Client, redirect_uri: str, state: str, challenge: str
) -> str:
    """Returns the URL of the page where a person signs in. Raises SignInFailed if the URL is too long for Slack."""
    parameters = {
        "response_type": "code",
        "client_id": client.id,
        "redirect_uri": redirect_uri,
        "state": state,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    if server.resource:
        parameters["resource"] = server.resource
    if server.scope:
        parameters["scope"] = server.scope
        if "offline_access" in server.scope.split():
            parameters["prompt"] = "consent"
    url = str(httpx2.URL(server.authorization_endpoint).copy_merge_params(parameters))
    if len(url) > MAX_LINK_CHARS:
        raise SignInFailed("the address of its sign-in page is too long for Slack")
    return url


async def exchange_code(
    server: AuthorizationServer, client: Client, redirect_uri: str, code: str, verifier: str, server_url: str
) -> Tokens:
    """Exchanges a code for tokens. Raises SignInFailed."""
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "code_verifier": verifier,
        "resource": server.resource,
    }
    return _read_tokens(await _post_as_client(server, server.token_endpoint, client, form, server_url), server.scope)


async def request_device_code(
    server: AuthorizationServer, client: Client, server_url: str, config: SignInConfig = _STANDARD
) -> DeviceCode:
    form = {"scope": server.scope, "resource": server.resource}
    response = await _post_as_client(server, server.device_authorization_endpoint, client, form, server_url)
    if response.status not in _OK:
        raise SignInFailed(_reason(response))
    device = _parse(DeviceCode, response.body)
    if device is None or not device.urls:
        raise SignInFailed("its authorization server's answer can't be read")
    # Otherwise, a server could have people confirm a code of another server's, and receive that server's tokens.
    for page in device.urls:
        check_url_form(page, server_url)
        if _origin(page) not in (_origin(server.issuer), *_origins_of(config.token_host, config.device_host)):
            hint = _config_hint(f"that is right, set oauth.deviceHost to {urlsplit(page).netloc[:200]}")
            raise SignInFailed(f"its authorization server has codes confirmed at {_origin(page)}. {hint}")
        await check_url(page, server_url)
    return device


async def poll_device_code(server: AuthorizationServer, client: Client, code: str, server_url: str) -> Tokens | str:
    """Returns the tokens for a device code, or RFC 8628's error name if the code hasn't been confirmed yet. Raises
    SignInFailed."""
    form = {"grant_type": _DEVICE_GRANT, "device_code": code, "resource": server.resource}
    response = await _post_as_client(server, server.token_endpoint, client, form, server_url)
    refusal = _parse(_Refusal, response.body)
    if refusal is not None and refusal.error in (PENDING, SLOW_DOWN):
        return refusal.error
    return _read_tokens(response, server.scope)


async def refresh(server: AuthorizationServer, client: Client, tokens: Tokens, server_url: str) -> Tokens:
    """Returns new tokens in exchange for a refresh token, which might be invalid afterwards. Raises SignInFailed."""
    form = {"grant_type": "refresh_token", "refresh_token": tokens.refresh_token, "resource": server.resource}
    new = _read_tokens(await _post_as_client(server, server.token_endpoint, client, form, server_url), tokens.scope)
    return new if new.refresh_token else replace(new, refresh_token=tokens.refresh_token)


async def revoke(server: AuthorizationServer, client: Client, tokens: Tokens, server_url: str) -> None:
    """Revokes tokens if the server supports it. Raises SignInFailed."""
    for token in filter(None, (tokens.refresh_token, tokens.access_token) if server.revocation_endpoint else ()):
        response = await _post_as_client(server, server.revocation_endpoint, client, {"token": token}, server_url)
        if response.status == HTTPStatus.BAD_REQUEST and not client.secret:
            # Servers built with MCP's SDK require this field even for clients without a secret.
            with_secret = {"token": token, "client_secret": ""}
            response = await _post_as_client(server, server.revocation_endpoint, client, with_secret, server_url)
        if response.status not in _OK:
            raise SignInFailed(_reason(response))


def error_meaning(error: str) -> str:
    """Returns the meaning of a standard error phrased to complete a sentence. Returns "" for any other error, because
    it might contain secrets."""
    refusal = f"its authorization server {_REFUSALS[error]} ({error})" if error in _REFUSALS else ""
    return _ERROR_MEANINGS.get(error, refusal)


def _reason(response: _Response, otherwise: str = "refuses") -> str:
    """Returns why a request was rejected, phrased to complete a sentence. If the response has no standard error, its
    HTTP status is the reason."""
    refusal = _parse(_Refusal, response.body)
    meaning = error_meaning(refusal.error) if refusal is not None else ""
    return meaning or f"its authorization server {otherwise} (HTTP {response.status})"


def _read_tokens(response: _Response, scope: str) -> Tokens:
    """Returns the tokens in a response. `scope`: used if the response doesn't state a scope. Raises SignInFailed."""
    refusal = _parse(_Refusal, response.body)
    if refusal is not None or response.status not in _OK:
        # Except for these, OAuth errors mean that the code, token or client is invalid, with any status: GitHub uses
        # 200, Atlassian 403. So do 400 and 401 without an error.
        is_transient = refusal is not None and (
            refusal.error in _TRANSIENT_ERRORS or response.status in _TRANSIENT_STATUSES
        )
        is_final = response.status in (400, 401) or (refusal is not None and response.status < 500)
        raise SignInFailed(
            _reason(response),
            is_final=is_final and not is_transient,
            is_client_forgotten=refusal is not None and refusal.error == "invalid_client",
        )
    token = _parse(_Tokens, response.body)
    token = token.authed_user if token and token.authed_user and token.authed_user.access_token else token
    if token is None or not re.fullmatch("[ -~]+", token.access_token):
        raise SignInFailed("its authorization server's answer can't be read")
    if token.token_type.strip().lower() not in _BEARER_TYPES:
        raise SignInFailed("its authorization server gives tokens of a type that Typist can't use", is_final=True)
    # Some servers return 0 if they don't know.
    lifetime_s = min(max(token.expires_in, 0), MAX_LIFETIME_S) or None
    return Tokens(
        token.access_token, token.refresh_token, lifetime_s, distinct_scopes(token.scope.replace(",", " ")) or scope
    )


async def _post_as_client(
    server: AuthorizationServer, url: str, client: Client, form: Mapping[str, str], server_url: str
) -> _Response:
    """Posts a form. If the server rejects one method of sending the client secret, tries the other. Raises
    SignInFailed."""
    key = server.issuer, client.id
    client = replace(client, method=_accepted_methods.get(key, client.method)) if client.secret else client
    response = await _post_form(client, url, form, server_url)
    other = next((one for one in _WITH_SECRET if one in server.secret_methods and one != client.method), "")
    if not (other and client.secret and _refuses_client(response)):
        return response
    again = await _post_form(replace(client, method=other), url, form, server_url)
    if _refuses_client(again):
        return response
    _accepted_methods[key] = other
    return again


def _refuses_client(response: _Response) -> bool:
    refusal = _parse(_Refusal, response.body)
    return refusal.error == "invalid_client" if refusal else response.status == HTTPStatus.UNAUTHORIZED


async def _post_form(client: Client, url: str, form: Mapping[str, str], server_url: str) -> _Response:
    form = {name: value for name, value in form.items() if value or name not in ("resource", "scope")}
    data, headers = {**form, "client_id": client.id}, dict[str, str]()
    if client.method == "client_secret_basic":
        pair = f"{quote(client.id, safe='')}:{quote(client.secret, safe='')}"
        headers["authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
    elif client.secret:
        data["client_secret"] = client.secret
    return await _send("POST", url, server_url, data=data, headers=headers)


async def _first_document(
    urls: Iterable[str], server_url: str, kind: type[M], problem_of: Callable[[M], str]
) -> M | None:
    """Returns the first document for which `problem_of` returns "", or None if no URL has a document. Otherwise, raises
    SignInFailed with the first problem."""
    problem: SignInFailed | None = None
    for url in urls:
        try:
            response = await _send("GET", url, server_url)
            found = _parse(kind, response.body) if response.status in _OK else None
            if found is not None and (why := problem_of(found)):
                raise SignInFailed(why)
        except SignInFailed as error:
            problem = problem or error
        else:
            if found is not None:
                return found
    if problem is not None:
        raise problem
    return None


def _parse(kind: type[M], body: bytes) -> M | None:
    """Parses a JSON document as a model, ignoring optional fields that are invalid. Returns None if the document can't
    be parsed."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    named = kind.model_fields.keys() & (content if isinstance(content, dict) else ())
    known = {name: content[name] for name in named if content[name] is not None}
    known = {name: value for name, value in known.items() if not isinstance(value, list) or len(value) <= MAX_LISTED}
    try:
        return kind.model_validate(known)
    except ValidationError as error:
        unreadable = {part for one in error.errors(include_input=False) for part in one["loc"][:1]}
    try:
        return kind.model_validate({name: value for name, value in known.items() if name not in unreadable})
    except ValidationError:
        return None


async def _send(method: str, url: str, server_url: str, within_s: float = WITHIN_S, **request: Any) -> _Response:
    """Sends a request and reads the response's body up to a limit. Raises SignInFailed."""
    host = urlsplit(url).hostname
    timeout = httpx2.Timeout(within_s)
    try:
        async with (
            asyncio.timeout(within_s),
            httpx2.AsyncClient(
                timeout=timeout, verify=network.tls(), proxy=network.httpx2_proxy(url), trust_env=False
            ) as client,
        ):
            # DNS can also take long.
            if url != server_url:
                await check_url(url, server_url)
            client.headers.update({"accept-encoding": "identity", "user-agent": network.USER_AGENT})
            # Otherwise, GitHub responds with a form.
            client.headers["accept"] = "application/json"
            async with client.stream(method, url, **request) as response:
                return _Response(response.status_code, await _limited_body(response), response)
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, TimeoutError) as error:
        why = network.reason_of(error, url) or f"{host} doesn't answer"
    # Not chained: the error might contain the URL.
    raise SignInFailed(why)


async def _limited_body(response: httpx2.Response) -> bytes:
    if response.headers.get("content-type", "").startswith("text/event-stream"):
        return b""
    body = b""
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MAX_BYTES:
            raise SignInFailed(f"{response.url.host} sends more than {MAX_BYTES:,} bytes")
    return body


def check_url_form(url: str, server_url: str) -> None:
    """Raises SignInFailed if a URL isn't allowed in metadata, or if its host is easy to mistake for another."""
    address, server = urlsplit(url), urlsplit(server_url)
    is_local = server.scheme == "http" and _is_loopback(address.hostname or "") and _is_loopback(server.hostname or "")
    if address.scheme != "https" and not is_local:
        raise SignInFailed("its metadata names an address without HTTPS")
    if "@" in address.netloc:
        raise SignInFailed("its metadata names an address with a user's name in it")
    if len(url) > MAX_URL_CHARS:
        raise SignInFailed(f"its metadata names an address of more than {MAX_URL_CHARS:,} characters")


async def check_url(url: str, server_url: str) -> None:
    """Raises SignInFailed if `check_url_form` rejects a URL, or if its host is in a private network but the MCP server
    isn't."""
    check_url_form(url, server_url)
    host, own = urlsplit(url).hostname or "", urlsplit(server_url).hostname or ""
    if host == own or network.proxy_of(url) or not await is_private(host):
        return
    if not await is_private(own):
        raise SignInFailed("its metadata names an address in a private network")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def is_private(host: str) -> bool:
    """Returns whether a host resolves to an address that isn't on the public internet. Raises SignInFailed."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise SignInFailed(f"the host {host} isn't known") from None
    return any(not _is_public(str(address[0]).partition("%")[0]) for *_, address in found)


def _is_public(address: str) -> bool:
    """Returns whether an IP address is on the public internet. An IPv4 address inside an IPv6 address must be public,
    too."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv4Address):
        return ip.is_global and not ip.is_multicast
    # Network translators (RFC 6052), 6to4 (RFC 3056) and IPv4-compatible addresses.
    packed = ip.packed
    held = packed[2:6] if packed[:2] == b"\x20\x02" else packed[12:] if packed[:4] in _IPV4_PREFIXES else b""
    is_own = ip.is_global and not (ip.is_multicast or ip.is_site_local)
    return is_own and (not held or _is_public(str(ipaddress.IPv4Address(held))))
