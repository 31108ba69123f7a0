"""An MCP server of the SDK to which people sign in, with the SDK's own authorization server, over real HTTP."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import uvicorn
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.middleware.bearer_auth import RequireAuthMiddleware
from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    AuthorizationParams,
    OAuthAuthorizationServerProvider,
    RefreshToken,
    construct_redirect_uri,
)
from mcp.server.auth.routes import build_metadata
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions, RevocationOptions
from mcp.server.mcpserver import MCPServer
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from pydantic import AnyHttpUrl, AnyUrl
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from bot.mcp.config import HttpTransport, ServerConfig

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
BY_DEVICE: Mapping[str, Any] = {
    "authorization_endpoint": None,
    "response_types_supported": [],
    "grant_types_supported": [DEVICE_GRANT, "refresh_token"],
    "code_challenge_methods_supported": None,
    "device_authorization_endpoint": "/device_authorization",
}
"""The metadata of a server that knows device codes alone."""


@dataclass
class Device:
    """A sign-in by a device code, and what the person said on the server's page."""

    user_code: str
    client_id: str
    resource: str
    agreed: str | None = None
    """Who agreed."""
    is_denied: bool = False
    says: list[str] = field(default_factory=list)
    """What the server says first, in place of the truth."""


_is_revoking: ContextVar[bool] = ContextVar("_is_revoking", default=False)


@dataclass
class People(OAuthAuthorizationServerProvider[AuthorizationCode, RefreshToken, AccessToken]):
    """Signs `person` in without a question. Tokens rotate; a second refresh with one ends all tokens of its sign-in."""

    person: str = "ada"
    lives_s: int | None = 3_600
    clients: dict[str, OAuthClientInformationFull] = field(default_factory=dict)
    codes: dict[str, AuthorizationCode] = field(default_factory=dict)
    access: dict[str, AccessToken] = field(default_factory=dict)
    refresh: dict[str, RefreshToken] = field(default_factory=dict)
    spent: list[str] = field(default_factory=list)
    """The refresh tokens that were used."""
    reused: list[str] = field(default_factory=list)
    """Those that were used for a refresh once more, and codes that were. A spent token may be revoked: a person signs
    out meanwhile."""
    sign_ins: dict[str, str] = field(default_factory=dict)
    """By token: the code from which it comes."""
    issued: int = 0
    keeps_access: bool = False
    """Whether a refresh gives the access token of before."""
    is_down: bool = False
    """Whether refreshes fail."""
    refresh_takes_s: float = 0.0
    devices: dict[str, Device] = field(default_factory=dict)
    refuses_with: int = 400
    """The HTTP status of what the server says to who asks with a device code."""
    interval_s: int = 7
    """How often a client may ask whether a person has confirmed a code."""
    documents_at: str = ""
    """Who serves the documents of clients whose ID is an address; any host's, as there is no DNS."""

    async def get_client(self, client_id: str) -> OAuthClientInformationFull | None:
        if self.documents_at and client_id.startswith("https://"):
            address = urlsplit(client_id)
            async with httpx2.AsyncClient(trust_env=False) as browser:
                url = f"{self.documents_at}{address.path}"
                document = (await browser.get(url, headers={"host": address.netloc})).json()
            assert document["client_id"] == client_id
            return OAuthClientInformationFull(**document, scope="read")
        return self.clients.get(client_id)

    async def register_client(self, client_info: OAuthClientInformationFull) -> None:
        self.clients[client_info.client_id] = client_info

    async def authorize(self, client: OAuthClientInformationFull, params: AuthorizationParams) -> str:
        code = self._new("code", self.person)
        self.codes[code] = AuthorizationCode(
            code=code,
            scopes=params.scopes or [],
            expires_at=9e9,
            client_id=client.client_id,
            code_challenge=params.code_challenge,
            redirect_uri=params.redirect_uri,
            redirect_uri_provided_explicitly=True,
            resource=params.resource,
            subject=self.person,
        )
        return construct_redirect_uri(str(params.redirect_uri), code=code, state=params.state)

    async def load_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: str
    ) -> AuthorizationCode | None:
        if authorization_code in self.sign_ins.values():
            self.reused.append(authorization_code)
        return self.codes.get(authorization_code)

    async def exchange_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: AuthorizationCode
    ) -> OAuthToken:
        del self.codes[authorization_code.code]
        return self._token(client, authorization_code, authorization_code.scopes, authorization_code.code)

    async def load_refresh_token(self, client: OAuthClientInformationFull, refresh_token: str) -> RefreshToken | None:
        if refresh_token in self.spent and not _is_revoking.get():
            self.reused.append(refresh_token)
            for token, code in self.sign_ins.items():
                if code == self.sign_ins[refresh_token]:
                    self.access.pop(token, None)
                    self.refresh.pop(token, None)
        return self.refresh.get(refresh_token)

    async def exchange_refresh_token(
        self, client: OAuthClientInformationFull, refresh_token: RefreshToken, scopes: list[str]
    ) -> OAuthToken:
        await asyncio.sleep(self.refresh_takes_s)
        if self.is_down:
            raise RuntimeError("down")
        self.spent.append(refresh_token.token)
        del self.refresh[refresh_token.token]
        return self._token(client, refresh_token, scopes, self.sign_ins[refresh_token.token])

    async def load_access_token(self, token: str) -> AccessToken | None:
        return self.access.get(token)

    async def revoke_token(self, token: AccessToken | RefreshToken) -> None:
        self.access.pop(token.token, None)
        self.refresh.pop(token.token, None)

    async def device_authorization(self, request: Request) -> Response:
        """Begins a sign-in by a device code, as RFC 8628 says."""
        form = await request.form()
        code = self._new("device", "nobody")
        self.devices[code] = Device(f"USER-{self.issued}", str(form["client_id"]), str(form["resource"]))
        page = f"{request.base_url}device?user_code={self.devices[code].user_code}"
        return JSONResponse(
            {
                "device_code": code,
                "user_code": self.devices[code].user_code,
                "verification_uri": f"{request.base_url}device",
                "verification_uri_complete": page,
                "expires_in": 600,
                "interval": self.interval_s,
            }
        )

    def device_token(self, form: Mapping[str, str]) -> Response:
        """Gives the tokens for a device code, once."""
        if form["device_code"] in self.sign_ins.values():
            self.reused.append(form["device_code"])
        device = self.devices.get(form["device_code"])
        if device is None or device.client_id != form["client_id"]:
            return JSONResponse({"error": "invalid_grant"}, self.refuses_with)
        if device.says:
            return JSONResponse({"error": device.says.pop(0)}, self.refuses_with)
        if device.is_denied:
            return JSONResponse({"error": "access_denied"}, self.refuses_with)
        if device.agreed is None:
            return JSONResponse({"error": "authorization_pending"}, self.refuses_with)
        del self.devices[form["device_code"]]
        code = AuthorizationCode(
            code=form["device_code"],
            scopes=["read"],
            expires_at=9e9,
            client_id=device.client_id,
            code_challenge="",
            redirect_uri=AnyUrl("http://127.0.0.1"),
            redirect_uri_provided_explicitly=False,
            resource=device.resource,
            subject=device.agreed,
        )
        token = self._token(self.clients[device.client_id], code, code.scopes, code.code)
        return JSONResponse(token.model_dump(mode="json", exclude_none=True))

    def _token(
        self,
        client: OAuthClientInformationFull,
        by: AuthorizationCode | RefreshToken,
        scopes: list[str],
        code: str,
    ) -> OAuthToken:
        assert by.subject
        access, refresh = self._new("access", by.subject), self._new("refresh", by.subject)
        if self.keeps_access:
            access = next((token for token in self.access if self.sign_ins[token] == code), access)
        self.sign_ins |= {access: code, refresh: code}
        held: dict[str, Any] = {
            "client_id": client.client_id,
            "scopes": scopes,
            "resource": by.resource,
            "subject": by.subject,
        }
        self.access[access] = AccessToken(token=access, **held)
        self.refresh[refresh] = RefreshToken(token=refresh, **held)
        return OAuthToken(
            access_token=access, refresh_token=refresh, expires_in=self.lives_s, scope=" ".join(scopes) or None
        )

    def _new(self, kind: str, person: str) -> str:
        self.issued += 1
        return f"canary-{kind}-{person}-{self.issued}"


@dataclass(frozen=True)
class SignInServer:
    """A running server, and who signs in to it."""

    config: ServerConfig
    people: People

    async def visit(self, link: str, person: str = "ada") -> str:
        """Signs a person in on the server's page; returns the address of the page that doesn't open."""
        self.people.person = person
        async with httpx2.AsyncClient(trust_env=False) as browser:
            answer = await browser.get(link)
        assert answer.status_code == 302, answer.text
        return answer.headers["location"]


def _tell_revocations_apart(app: Starlette) -> None:
    """Lets `People` know which tokens are loaded to be revoked: the SDK asks for them as it does for a refresh."""
    [route] = [one for one in app.routes if isinstance(one, Route) and one.path == "/revoke"]
    revoke: Any = route.app

    async def marked(scope: Scope, receive: Receive, send: Send) -> None:
        _is_revoking.set(True)
        await revoke(scope, receive, send)

    route.app = marked


def _checked_route(app: Starlette) -> Route:
    """Returns the route whose requests the SDK checks for a token."""
    [route] = [one for one in app.routes if isinstance(one, Route) and isinstance(one.app, RequireAuthMiddleware)]
    return route


async def _read_ahead(scope: Scope, receive: Receive) -> tuple[bytes, Receive]:
    """Returns a request's body, and what receives it once more."""
    body = await Request(scope, receive).body()
    sent = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Any:
        return sent.pop() if sent else await receive()

    return body, again


def _only_calls_need_a_token(app: Starlette) -> None:
    """Lets anybody list tools: all but calls goes past the SDK's check."""
    route = _checked_route(app)
    checked: Any = route.app

    async def open_but_for_calls(scope: Scope, receive: Receive, send: Send) -> None:
        body, again = await _read_ahead(scope, receive)
        inner: ASGIApp = checked if b'"tools/call"' in body else checked.app
        await inner(scope, again, send)

    route.app = open_but_for_calls


def _want_scope_at_calls(app: Starlette, people: People, wanted: str) -> None:
    """Refuses calls with a token that lacks a scope, and names it (RFC 6750)."""
    route = _checked_route(app)
    usual: Any = route.app
    refusal = Response("No", 403, {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{wanted}"'})

    async def checked(scope: Scope, receive: Receive, send: Send) -> None:
        body, again = await _read_ahead(scope, receive)
        token = people.access.get(Request(scope).headers.get("authorization", "").removeprefix("Bearer "))
        lacks = b'"tools/call"' in body and token is not None and wanted not in token.scopes
        await (refusal if lacks else usual)(scope, again, send)

    route.app = checked


def _name_nothing(app: Starlette) -> None:
    """Leaves refusals without the address at which people sign in."""
    route = _checked_route(app)
    usual: Any = route.app

    async def bare(scope: Scope, receive: Receive, send: Send) -> None:
        async def without(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    (name, value) for name, value in message["headers"] if name != b"www-authenticate"
                ]
            await send(message)

        await usual(scope, receive, without)

    route.app = bare


def _say(app: Starlette, auth: AuthSettings, says: Mapping[str, Any]) -> None:
    """Replaces what the SDK's authorization server says of itself; None leaves a field out."""
    assert auth.client_registration_options
    assert auth.revocation_options
    usual = build_metadata(auth.issuer_url, None, auth.client_registration_options, auth.revocation_options)
    usual_said = usual.model_dump(mode="json", exclude_none=True)
    said = {**usual_said, **says}
    if path := said.get("device_authorization_endpoint"):
        said["device_authorization_endpoint"] = f"{str(auth.issuer_url).rstrip('/')}{path}"

    async def metadata(_: Request) -> JSONResponse:
        return JSONResponse({name: value for name, value in said.items() if value is not None})

    app.router.routes.insert(0, Route("/.well-known/oauth-authorization-server", metadata))


def _take_device_codes(app: Starlette, people: People, *, alone: bool) -> None:
    """Adds what the SDK's authorization server lacks: codes that people confirm (RFC 8628). `alone`: nothing else."""
    [route] = [one for one in app.routes if isinstance(one, Route) and one.path == "/token"]
    usual: Any = route.app

    async def token(scope: Scope, receive: Receive, send: Send) -> None:
        body, again = await _read_ahead(scope, receive)
        form = dict(parse_qsl(body.decode()))
        answer = people.device_token(form) if form["grant_type"] == DEVICE_GRANT else usual
        await answer(scope, again, send)

    async def register(request: Request) -> Response:
        asked = await request.json()
        assert (asked["grant_types"], asked["response_types"]) == ([DEVICE_GRANT, "refresh_token"], [])
        client = OAuthClientInformationFull(**asked, client_id=f"device-client-{len(people.clients)}")
        await people.register_client(client)
        return JSONResponse(client.model_dump(mode="json", exclude_none=True), 201)

    route.app = token
    if alone:
        app.router.routes.insert(0, Route("/register", register, methods=["POST"]))
    app.router.routes.insert(0, Route("/device_authorization", people.device_authorization, methods=["POST"]))


@asynccontextmanager
async def sign_in_server(
    name: str = "jira",
    *,
    registers: bool = True,
    lists_openly: bool = False,
    says: Mapping[str, Any] | None = None,
    names_where: bool = True,
    scope_of_calls: str = "",
) -> AsyncIterator[SignInServer]:
    """Yields a server that says who calls.

    `registers`: whether clients may register themselves. `lists_openly`: whether only calls need a sign-in. `says`:
    what its authorization server's metadata says instead. `names_where`: whether a refusal names where people sign in.
    `scope_of_calls`: what calls need beside what signs in.
    """
    people = People()
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        auth = AuthSettings(
            issuer_url=AnyHttpUrl(url),
            resource_server_url=AnyHttpUrl(f"{url}/mcp"),
            client_registration_options=ClientRegistrationOptions(enabled=registers),
            revocation_options=RevocationOptions(enabled=True),
            required_scopes=["read"],
            validate_token_resource=True,
        )
        server = MCPServer("people", auth_server_provider=people, auth=auth)

        @server.tool()
        async def whoami() -> str:
            """Says who you are."""
            token = get_access_token()
            return f"You are {token.subject if token else 'nobody'}."

        app = server.streamable_http_app()
        _tell_revocations_apart(app)
        if says:
            _say(app, auth, says)
        if says and "device_authorization_endpoint" in says:
            _take_device_codes(app, people, alone="authorization_endpoint" in says)
        if lists_openly:
            _only_calls_need_a_token(app)
        if not names_where:
            _name_nothing(app)
        if scope_of_calls:
            _want_scope_at_calls(app, people, scope_of_calls)
        config = uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=0)
        running = uvicorn.Server(config)
        task = asyncio.create_task(running._serve([listening]))
        try:
            yield SignInServer(ServerConfig(name, HttpTransport(f"{url}/mcp")), people)
        finally:
            running.should_exit = True
            await task
