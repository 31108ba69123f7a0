"""Authorization servers as companies run them: as recorded, slow, with their habits, and as admins trust them."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from aiohttp import web

from bot.accounts import oauth, sign_in_servers
from bot.accounts.connections import Connections
from bot.accounts.oauth import AuthorizationServer, Client, SignInFailed, discover, exchange_code
from bot.accounts.sign_in_servers import SLOW, SignInServers
from bot.accounts.vault import Vault
from bot.core.asks import ApprovalPlace
from bot.core.calls import SIGN_IN
from bot.core.conversation import Question, ThreadKey
from bot.mcp.config import HttpTransport, McpSetup, ServerConfig, SignInConfig
from bot.mcp.server import open_servers
from bot.mcp.tools import McpTools
from bot.slack.views.sign_in import SIGN_IN_MODAL
from bot.store import Stores
from tests.clocks import ManualClock
from tests.contracts.test_accounts import ADA, CALL, KEY, sign_ins, signed_in
from tests.mcp.flood import served
from tests.mcp.sign_in_server import DEVICE_GRANT, sign_in_server

# Recorded documents. What each server says of itself; nothing else is answered.

S256: Mapping[str, Any] = {"code_challenge_methods_supported": ["S256"]}


def endpoints(at: str, authorize: str = "/authorize", token: str = "/token", **more: Any) -> Mapping[str, Any]:
    return {
        "authorization_endpoint": f"{at}{authorize}",
        "token_endpoint": f"{at}{token}",
        "response_types_supported": ["code"],
        **more,
    }


@dataclass(frozen=True)
class Recorded:
    """A server's documents, by where they were found, and what follows without and with an admin's statements."""

    url: str
    named: str
    metadata: Mapping[str, Any]
    key: str = ""
    """The key that a refusal names; "" if nobody is refused."""
    stated: SignInConfig = field(default_factory=SignInConfig)


JIRA, TENANT = "https://auth.atlassian.com", "https://auth.atlassian.com/VCeDsk8ZHncYF1g234fKtc4lNipbBhu3"
ENTRA = "https://login.microsoftonline.com/36a71206-0015-4845-a10b-02a03ed530bd"
SLACK = endpoints("https://slack.com", "/oauth/v2_user/authorize", "/api/oauth.v2.user.access", **S256)
RECORDED = {
    # atlassian/atlassian-mcp-server#148, #205; July 2026.
    "Jira": Recorded(
        "https://mcp.atlassian.com/v1/mcp/authv2",
        TENANT,
        {"issuer": JIRA, **endpoints(JIRA, token="/oauth/token", **S256)},
        "oauth.issuer to https://auth.atlassian.com ",
        SignInConfig(issuer=JIRA),
    ),
    # github/github-mcp-server#2901; July 2026.
    "GitHub": Recorded(
        "https://api.githubcopilot.com/mcp/",
        "https://github.com/login/oauth",
        {
            "issuer": "https://github.com/login/oauth",
            **endpoints("https://github.com/login/oauth", token="/access_token", **S256),
        },
    ),
    # openai/codex#40885; August 2026.
    "GitLab": Recorded(
        "https://gitlab.com/api/v4/mcp",
        "https://gitlab.com",
        {
            "issuer": "https://gitlab.com",
            **endpoints("https://gitlab.com/oauth", revocation_endpoint="https://gitlab.com/oauth/revoke", **S256),
        },
    ),
    "Notion": Recorded(
        "https://mcp.notion.com/mcp",
        "https://mcp.notion.com",
        {
            "issuer": "https://mcp.notion.com",
            **endpoints("https://mcp.notion.com", revocation_endpoint="https://mcp.notion.com/token"),
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
            "code_challenge_methods_supported": ["plain", "S256"],
        },
    ),
    "Linear": Recorded(
        "https://mcp.linear.app/mcp",
        "https://mcp.linear.app",
        {"issuer": "https://mcp.linear.app", **endpoints("https://mcp.linear.app", **S256)},
    ),
    "Sentry": Recorded(
        "https://mcp.sentry.dev/mcp",
        "https://mcp.sentry.dev",
        {
            "issuer": "https://mcp.sentry.dev",
            **endpoints("https://mcp.sentry.dev/oauth", scopes_supported=["org:read", "event:write"]),
            "code_challenge_methods_supported": ["plain", "S256"],
        },
    ),
    # modelcontextprotocol/csharp-sdk#741, punkpeye/mcp-remote#217; 2026.
    "Entra ID": Recorded(
        "https://mcp.example/mcp",
        f"{ENTRA}/v2.0",
        {
            "issuer": f"{ENTRA}/v2.0",
            **endpoints(f"{ENTRA}/oauth2/v2.0", device_authorization_endpoint=f"{ENTRA}/oauth2/v2.0/devicecode"),
            "response_types_supported": ["code", "id_token", "code id_token"],
        },
        "oauth.pkce to true ",
        SignInConfig("ours", uses_pkce=True, sends_resource=False, host="localhost"),
    ),
    "Google": Recorded(
        "https://mcp.example/mcp",
        "https://accounts.google.com/",
        {
            "issuer": "https://accounts.google.com",
            "authorization_endpoint": "https://accounts.google.com/o/oauth2/v2/auth",
            "token_endpoint": "https://oauth2.googleapis.com/token",
            "device_authorization_endpoint": "https://oauth2.googleapis.com/device/code",
            "revocation_endpoint": "https://oauth2.googleapis.com/revoke",
            "response_types_supported": ["code", "token"],
            "code_challenge_methods_supported": ["plain", "S256"],
        },
        "oauth.tokenHost to oauth2.googleapis.com ",
        SignInConfig("ours", token_host="oauth2.googleapis.com"),
    ),
    # librefang/librefang#4665; May 2026.
    "Slack": Recorded(
        "https://mcp.slack.com/mcp",
        "https://mcp.slack.com",
        {"issuer": "https://slack.com", **SLACK},
        "oauth.issuer to https://slack.com ",
        SignInConfig("ours", issuer="https://slack.com"),
    ),
    # CommandCodeAI/command-code#610; August 2026.
    "Slack, later": Recorded(
        "https://mcp.slack.com/mcp",
        "https://mcp.slack.com",
        {"issuer": "https://mcp.slack.com", **SLACK},
        "oauth.tokenHost to slack.com ",
        SignInConfig("ours", token_host="slack.com"),
    ),
}


@pytest.fixture
def recordings(monkeypatch: pytest.MonkeyPatch, recorded: Recorded) -> None:
    """Answers with what was recorded, as nobody asks the servers themselves."""
    resource = {"resource": recorded.url.removesuffix("/"), "authorization_servers": [recorded.named]}

    async def send(method: str, url: str, server_url: str, *_: Any, **request: Any) -> oauth._Response:
        is_metadata = "oauth-authorization-server" in url or "openid-configuration" in url
        said = resource if "oauth-protected-resource" in url else recorded.metadata if is_metadata else {}
        status = 401 if url == server_url else 200
        return oauth._Response(status, json.dumps(said).encode(), httpx2.Response(status))

    async def check(url: str, server_url: str) -> None:
        oauth.check_url_form(url, server_url)

    monkeypatch.setattr(oauth, "_send", send)
    monkeypatch.setattr(oauth, "check_url", check)


@pytest.mark.usefixtures("recordings")
@pytest.mark.parametrize("recorded", RECORDED.values(), ids=RECORDED.keys())
async def test_recorded_server_is_used_by_the_law_or_as_its_admin_states(recorded: Recorded) -> None:
    if recorded.key:
        with pytest.raises(SignInFailed) as failed:
            await discover(recorded.url)
        assert f"set {recorded.key}for the server in BOT_MCP_CONFIG" in str(failed.value)
    at = await discover(recorded.url, recorded.stated)
    assert (at.issuer.removesuffix("/"), at.token_endpoint) == (
        recorded.metadata["issuer"],
        recorded.metadata["token_endpoint"],
    )
    link = urlsplit(oauth.authorization_url(at, Client("ours"), "http://127.0.0.1/", "state", "challenge"))
    assert ("resource" in parse_qs(link.query)) == recorded.stated.sends_resource


AT = AuthorizationServer("https://a.test", "https://a.test/in?tenant=7", "https://a.test/t", "", "", "", False)


def linked(client_id: str = "ours", scope: str = "") -> str:
    return oauth.authorization_url(replace(AT, scope=scope), Client(client_id), "http://127.0.0.1/", "s", "c")


@pytest.mark.parametrize(
    ("scope", "prompt"), [("read", None), ("read offline_access", ["consent"]), ("read offline_access_log", None)]
)
def test_access_while_a_person_is_away_is_asked_for_with_their_consent(scope: str, prompt: list[str] | None) -> None:
    asked = parse_qs(urlsplit(linked(scope=scope)).query)
    assert (asked["scope"], asked.get("prompt"), asked["tenant"]) == ([scope], prompt, ["7"])


def test_link_is_no_longer_than_slack_takes() -> None:
    room_chars = oauth.MAX_LINK_CHARS - len(linked(""))
    assert len(linked("x" * room_chars)) == oauth.MAX_LINK_CHARS == 3_000
    with pytest.raises(SignInFailed, match="too long for Slack"):
        linked("x" * (room_chars + 1))


LYING = Recorded("https://evil.example/mcp", "https://evil.example", {})


@pytest.mark.usefixtures("recordings")
@pytest.mark.parametrize(
    "recorded",
    [
        # A server that claims to be the trusted one, and has codes and tokens sent to itself.
        replace(LYING, metadata={"issuer": JIRA, **endpoints("https://evil.example", **S256)}),
        replace(
            LYING, metadata={"issuer": JIRA, **endpoints(JIRA, **S256), "token_endpoint": "https://evil.example/t"}
        ),
    ],
)
async def test_trust_in_an_issuer_sends_no_code_elsewhere(recorded: Recorded) -> None:
    with pytest.raises(SignInFailed, match=r"has codes sent to https://evil\.example"):
        await discover(recorded.url, SignInConfig(issuer=JIRA))


@pytest.mark.usefixtures("recordings")
@pytest.mark.parametrize(
    "recorded",
    [
        replace(
            LYING,
            metadata={
                "issuer": "https://evil.example",
                **endpoints("https://evil.example", **S256),
                "revocation_endpoint": "https://other.example/",
                "device_authorization_endpoint": "https://other.example/",
            },
        )
    ],
)
async def test_endpoint_elsewhere_that_a_sign_in_does_without_is_left_out(recorded: Recorded) -> None:
    at = await discover(recorded.url)
    assert (at.revocation_endpoint, at.device_authorization_endpoint) == ("", "")


@dataclass
class Slow:
    """A server whose metadata or registration come when `may_answer` is set."""

    hangs_at: str
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[ServerConfig]:
        async with served(self.answer) as url:
            try:
                yield ServerConfig("slow", HttpTransport(f"{url}/mcp"))
            finally:
                self.may_answer.set()

    async def answer(self, request: web.Request) -> web.Response:
        url = f"http://{request.host}"
        self.asked.append(request.path)
        if request.path == self.hangs_at:
            await self.may_answer.wait()
        if request.path == "/register":
            return web.json_response({"client_id": f"client-{len(self.asked)}"}, status=201)
        if request.path == "/.well-known/oauth-authorization-server":
            said = {"issuer": url, **endpoints(url), "registration_endpoint": f"{url}/register", **S256}
            return web.json_response(said)
        challenge = {"WWW-Authenticate": f'Bearer resource_metadata="{url}/none"'}
        return web.Response(status=401 if request.path == "/mcp" else 404, headers=challenge)


@asynccontextmanager
async def with_tools(stores: Stores, clock: ManualClock, *servers: ServerConfig) -> AsyncIterator[McpTools]:
    names = tuple(server.name for server in servers)
    setup = McpSetup(servers, direct_message_servers=names)
    held = Connections(sign_ins(stores, *servers), {server.name: server for server in servers}, clock)
    async with open_servers(servers, clock) as running:
        yield McpTools(setup, running, stores.tool_pins.pin, stores.channel_settings.read, held)
    await held.close()


QUESTION = Question(ThreadKey("T1", "D1", None), "1.0", "U1", "who?")


async def test_server_that_hangs_takes_no_sign_in_away_and_costs_one_question_its_time(
    timed: Stores, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sign_in_servers, "OFFERED_WITHIN_S", 3.0)
    slow = Slow("/.well-known/oauth-authorization-server")
    async with (
        sign_in_server() as jira,
        slow.running() as hanging,
        with_tools(timed, clock, hanging, jira.config) as tools,
    ):
        for _ in range(3):
            offered = await tools.definitions(QUESTION)
            [sign_in] = [tool for tool in offered.definitions if tool.name == SIGN_IN]
            assert sign_in.parameters["properties"]["server"]["enum"] == ["jira"]
            assert "Their servers do answer" in offered.missing_note
            clock.now_s += 1
        assert slow.asked.count(slow.hangs_at) == 1


async def test_registration_that_takes_longer_than_a_question_waits_is_made_once(
    timed: Stores, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sign_in_servers, "OFFERED_WITHIN_S", 0.2)
    slow = Slow("/register")
    async with slow.running() as server:
        servers = SignInServers(timed.accounts, Vault([KEY]), [server], clock)
        assert await servers.account_problem("slow") == SLOW
        # A question that is given up takes nothing with it.
        given_up = asyncio.create_task(servers.account_problem("slow"))
        await asyncio.sleep(0)
        given_up.cancel()
        slow.may_answer.set()
        _, client = await servers.find("slow")
        assert await servers.account_problem("slow") == ""
        assert slow.asked.count("/register") == 1
        assert client.id.startswith("client-")
        servers.close()


async def test_what_is_known_of_a_server_counts_while_it_is_looked_up_again(
    timed: Stores, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow("")
    async with slow.running() as server:
        servers = SignInServers(timed.accounts, Vault([KEY]), [server], clock)
        assert await servers.account_problem("slow") == ""
        clock.now_s += sign_in_servers.DISCOVERY_KEPT_S + 1
        monkeypatch.setattr(sign_in_servers, "OFFERED_WITHIN_S", 0.1)
        slow.hangs_at = "/.well-known/oauth-authorization-server"
        assert await servers.account_problem("slow") == ""
        servers.close()


async def test_server_that_does_not_answer_in_time_is_asked_again_in_a_minute(
    timed: Stores, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow("/.well-known/oauth-authorization-server")
    async with slow.running() as server:
        servers = SignInServers(timed.accounts, Vault([KEY]), [server], clock)
        with monkeypatch.context() as patched:
            patched.setattr(sign_in_servers, "DISCOVERED_WITHIN_S", 0.2)
            assert await servers.account_problem("slow") == SLOW
        slow.may_answer.set()
        assert await servers.account_problem("slow") == SLOW
        clock.now_s += sign_in_servers.FAILURE_KEPT_S + 1
        assert await servers.account_problem("slow") == ""
        servers.close()


@pytest.mark.parametrize(
    ("reads", "methods", "tries"),
    [
        ("form", ("client_secret_basic", "client_secret_post"), ["header", "form", "form"]),
        ("header", ("client_secret_post", "client_secret_basic"), ["header", "header"]),
        ("form", ("client_secret_basic",), None),
    ],
)
async def test_client_that_is_refused_is_sent_once_more_by_the_other_way_that_the_server_names(
    reads: str, methods: tuple[str, ...], tries: list[str] | None
) -> None:
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        form = await request.post()
        seen.append("form" if "client_secret" in form else "header" if "Authorization" in request.headers else "none")
        if seen[-1] != reads:
            return web.json_response({"error": "invalid_client"}, status=401)
        return web.json_response({"access_token": "canary", "token_type": "bearer"})

    async with served(answer) as url:
        at = AuthorizationServer(url, "", url, "", url, "", sends_issuer=False, secret_methods=methods)
        client = Client(f"client of {url}", "canary", "client_secret_basic")
        for _ in range(2):
            if tries is None:
                with pytest.raises(SignInFailed):
                    await exchange_code(at, client, "http://127.0.0.1/", "code", "verifier", url)
            else:
                await exchange_code(at, client, "http://127.0.0.1/", "code", "verifier", url)
    assert seen == (tries or ["header", "header"])


async def test_sign_in_for_a_wanted_scope_asks_for_it_beside_what_was_granted(timed: Stores) -> None:
    async with sign_in_server() as jira:
        ours = sign_ins(timed, jira.config)
        await signed_in(ours, jira)
        links = await ours.begin(ADA, CALL, "write read delete")
        assert parse_qs(urlsplit(links.url).query)["scope"] == ["read write delete"]
        await ours.close()


BOTH = {
    "grant_types_supported": ["authorization_code", "refresh_token", DEVICE_GRANT],
    "device_authorization_endpoint": "/device_authorization",
}
PLACE = ApprovalPlace("C1", None, "1.0", "value")


async def test_person_may_confirm_a_code_where_the_server_has_a_page_and_codes(timed: Stores) -> None:
    async with sign_in_server(says=BOTH) as jira:
        ours = sign_ins(timed, jira.config)
        links = await ours.begin(ADA, CALL)
        view = json.dumps(SIGN_IN_MODAL.build("jira", place=PLACE, with_code=False, **vars_of(links)))
        assert links.user_code
        assert links.user_code in view
        assert view.index("/authorize") < view.index("/device?user_code")
        [device] = jira.people.devices.values()
        device.agreed = "ada"
        assert await ours.complete(ADA, CALL, None) == ""
        assert (await ours.access_token(ADA) or "").startswith("canary-access-ada")
        # And the other way, in the same modal.
        await signed_in(ours, jira)
        await ours.close()


def vars_of(links: Any) -> dict[str, str]:
    return {name: getattr(links, name) for name in ("url", "device_url", "user_code")}


async def test_server_that_gives_no_code_in_time_leaves_the_address_to_paste(timed: Stores) -> None:
    async with sign_in_server(says={**BOTH, "device_authorization_endpoint": "/nothing"}) as jira:
        ours = sign_ins(timed, jira.config)
        links = await ours.begin(ADA, CALL)
        assert (bool(links.url), links.user_code) == (True, "")
        view = json.dumps(SIGN_IN_MODAL.build("jira", place=PLACE, with_code=False, **vars_of(links)))
        assert urlsplit(links.url).netloc in view
        await ours.close()
