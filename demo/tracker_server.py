"""The demo's tracker: an MCP server over HTTP that people sign in to, with its own authorization server.

It has tasks for three people, and shows each of them only their own. The sign-in page asks which of them you are but
doesn't ask for a password. Everything is kept in memory. It implements a small part of the protocols (MCP 2025-11-25;
OAuth 2.1 with PKCE, RFC 7591, 7636, 8414, 9207, 9728) instead of using the SDK, which would import a second web server.
"""

import hashlib
import hmac
import json
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any, Final, Self
from urllib.parse import urlencode

from aiohttp import web

from demo.notes_server import INVALID_PARAMS, UNKNOWN_METHOD, VERSION

HOST: Final = "127.0.0.1"
SCOPE: Final = "tasks:read"
LIVES_S: Final = 3_600
TASKS: Final[Mapping[str, tuple[str, ...]]] = {
    "Ada": ("Read the draft of the post", "Take a new screenshot for the docs"),
    "Grace": ("Publish the pricing page", "Answer support about old exports"),
    "Alan": ("Repeat the load test with 12 workers",),
}
TOOL: Final = {
    "name": "my_tasks",
    "title": "List my tasks",
    "description": "Lists the tasks of the person who is signed in.",
    "inputSchema": {"type": "object", "properties": {}},
    "annotations": {"readOnlyHint": True},
}
_CLOSE_TIMEOUT_S: Final = 0.1
_PAGE: Final = """\
<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Sign in to Tracker</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:26em;margin:3em auto;padding:0 1em}}
button{{font:inherit;display:block;width:100%;margin:.5em 0;padding:.6em}}</style>
<h1>Tracker</h1>
<p><b>{client}</b> wants to read your tasks. This page is part of the sandbox, on this machine. Who are you?</p>
<form method="post">{fields}{buttons}</form>
<p>The next page can't be opened. Copy its address, and paste it in Slack.</p></html>
"""


@dataclass(frozen=True, slots=True)
class _Grant:
    """A person's consent, which a code or a refresh token represents."""

    person: str
    client_id: str
    redirect_uri: str
    challenge: str


class TrackerServer:
    """Serves requests within an `async with` block."""

    def __init__(self) -> None:
        self.url = ""
        """The URL of the MCP endpoint."""
        self._issuer = ""
        self._clients: dict[str, dict[str, Any]] = {}
        self._grants: dict[str, _Grant] = {}
        """Grants by code or refresh token."""
        self._people: dict[str, str] = {}
        """People by access token."""

    @property
    def signed_in(self) -> list[str]:
        """The people with a valid access token, once for each token."""
        return list(self._people.values())

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.add_routes(
            [
                web.get("/.well-known/oauth-protected-resource/mcp", self._resource),
                web.get("/.well-known/oauth-authorization-server", self._metadata),
                web.post("/register", self._register),
                web.get("/authorize", self._ask_who),
                web.post("/authorize", self._authorize),
                web.post("/token", self._token),
                web.post("/revoke", self._revoke),
                web.post("/mcp", self._answer_message),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_CLOSE_TIMEOUT_S)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, 0).start()
        self._issuer = f"http://{HOST}:{self._runner.addresses[0][1]}"
        self.url = f"{self._issuer}/mcp"
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._runner.cleanup()

    async def _resource(self, request: web.Request) -> web.Response:
        about = {"resource": self.url, "authorization_servers": [self._issuer], "scopes_supported": [SCOPE]}
        return web.json_response(about)

    async def _metadata(self, request: web.Request) -> web.Response:
        paths = {"authorization": "authorize", "token": "token", "registration": "register", "revocation": "revoke"}
        return web.json_response(
            {
                "issuer": self._issuer,
                **{f"{name}_endpoint": f"{self._issuer}/{path}" for name, path in paths.items()},
                "response_types_supported": ["code"],
                "grant_types_supported": ["authorization_code", "refresh_token"],
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["none"],
                "authorization_response_iss_parameter_supported": True,
            }
        )

    async def _register(self, request: web.Request) -> web.Response:
        client = {**await request.json(), "client_id": secrets.token_urlsafe()}
        self._clients[client["client_id"]] = client
        return web.json_response(client, status=201)

    async def _ask_who(self, request: web.Request) -> web.Response:
        """Returns the page that asks a person who they are."""
        asked = request.query
        client = self._clients.get(asked.get("client_id", ""))
        if client is None or asked.get("redirect_uri") not in client["redirect_uris"]:
            return web.Response(status=400, text="This link is of another run of the sandbox. Ask for a new one.")
        names = ("client_id", "redirect_uri", "state", "code_challenge")
        hidden = '<input type="hidden" name="{}" value="{}">'
        page = _PAGE.format(
            client=escape(str(client.get("client_name", ""))),
            fields="".join(hidden.format(name, escape(asked.get(name, ""))) for name in names),
            buttons="".join(f'<button name="person" value="{name}">Continue as {name}</button>' for name in TASKS),
        )
        return web.Response(text=page, content_type="text/html")

    async def _authorize(self, request: web.Request) -> web.Response:
        """Redirects the browser back with a code."""
        form = {name: str(value) for name, value in (await request.post()).items()}
        client = self._clients.get(form.get("client_id", ""))
        if client is None or form.get("redirect_uri") not in client["redirect_uris"] or form.get("person") not in TASKS:
            return web.Response(status=400, text="This form is of another run of the sandbox.")
        code = secrets.token_urlsafe()
        self._grants[code] = _Grant(form["person"], form["client_id"], form["redirect_uri"], form["code_challenge"])
        back = urlencode({"code": code, "state": form["state"], "iss": self._issuer})
        raise web.HTTPFound(f"{form['redirect_uri']}?{back}")

    async def _token(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        is_refresh = form.get("grant_type") == "refresh_token"
        grant = self._grants.pop(form.get("refresh_token" if is_refresh else "code", ""), None)
        if grant is None or not (is_refresh or _is_from_same_client(grant, form)):
            return web.json_response({"error": "invalid_grant"}, status=400)
        access, refresh = secrets.token_urlsafe(), secrets.token_urlsafe()
        self._people[access], self._grants[refresh] = grant.person, grant
        lives = {"token_type": "Bearer", "expires_in": LIVES_S, "scope": SCOPE}
        return web.json_response({"access_token": access, "refresh_token": refresh, **lives})

    async def _revoke(self, request: web.Request) -> web.Response:
        token = str((await request.post()).get("token", ""))
        self._people.pop(token, None)
        self._grants.pop(token, None)
        return web.Response()

    async def _answer_message(self, request: web.Request) -> web.Response:
        """Answers one MCP message."""
        person = self._people.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if person is None:
            where = f"{self._issuer}/.well-known/oauth-protected-resource/mcp"
            challenge = f'Bearer resource_metadata="{where}", scope="{SCOPE}"'
            return web.Response(status=401, headers={"WWW-Authenticate": challenge})
        message = await request.json()
        if "id" not in message:
            return web.Response(status=202)
        answer = _result_or_error(person, message["method"], message.get("params") or {})
        return web.json_response({"jsonrpc": "2.0", "id": message["id"], **answer})


def _is_from_same_client(grant: _Grant, form: Mapping[str, str]) -> bool:
    """Returns whether a code was sent by the client that requested it (RFC 7636)."""
    digest = urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest()).rstrip(b"=")
    is_same_client = (form.get("client_id"), form.get("redirect_uri")) == (grant.client_id, grant.redirect_uri)
    return is_same_client and hmac.compare_digest(digest, grant.challenge.encode())


def _result_or_error(person: str, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a request's result or error."""
    match method:
        case "initialize":
            about = {"name": "tracker", "version": "1"}
            return {"result": {"protocolVersion": VERSION, "capabilities": {"tools": {}}, "serverInfo": about}}
        case "tools/list":
            return {"result": {"tools": [TOOL]}}
        case "tools/call" if params.get("name") == TOOL["name"]:
            text = json.dumps({"person": person, "tasks": TASKS[person]})
            return {"result": {"content": [{"type": "text", "text": text}]}}
        case "tools/call":
            return {"error": {"code": INVALID_PARAMS, "message": "There is only my_tasks."}}
    return {"error": {"code": UNKNOWN_METHOD, "message": f"There is no method {method}."}}
