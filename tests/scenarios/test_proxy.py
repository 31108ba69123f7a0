"""A company's network: nothing but the proxy leads to Slack and to the model, and TLS is the company's own.

The proxy is proxy.py, with a user and a password. It alone knows the names of the test, so a request that goes out
directly fails.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import date
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from urllib.parse import urlsplit

import pytest
import trustme

from bot import network
from bot.checks.registry import run_all
from bot.checks.report import CheckStatus
from bot.core import texts
from bot.errors import Refused
from bot.mcp.config import HttpTransport, ServerConfig
from bot.mcp.server import ServerDown
from bot.mcp.streamable_http import http_client
from bot.models.lookups import LookupOutcome
from bot.models.registry import VENDORS
from bot.models.setup import VendorSettings
from bot.settings import Settings
from bot.slack.client import SlackClient, new_session
from bot.telemetry_sdk import open_sdk
from slack_sandbox.files import UploadedFile
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.processes import WITHIN_S, inherited_environment
from tests.clocks import until
from tests.contracts.notifications import collect
from tests.contracts.vendors import ANTHROPIC, CHAT, VendorApi
from tests.mcp.servers import running as running_server
from tests.processes import REPOSITORY
from tests.scenarios.conftest import Stage, manifest, running, says
from tests.streams.server import VendorResponse, VendorServer

SLACK, MODEL = "slack.example", "model.example"
USER, PASSWORD = "typist", "p%40ss"
LOOK_S = 0.05


class SlackBehindTls(Sandbox):
    """A sandbox that gives its addresses as Slack does: by a name, with TLS."""

    tls_port = 0

    @property
    def url(self) -> str:
        return f"https://{SLACK}:{self.tls_port}"

    def _socket_url(self) -> str:
        address = urlsplit(super()._socket_url())
        return f"wss://{SLACK}:{self.tls_port}{address.path}?{address.query}"


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError, asyncio.CancelledError):
        while piece := await reader.read(2**16):
            # As a reverse proxy does: the sandbox serves nobody who calls it by another name.
            writer.write(piece.replace(f"Host: {SLACK}".encode(), b"Host: 127.0.0.1"))
            await writer.drain()
    writer.close()


@asynccontextmanager
async def behind_tls(port: int, context: SSLContext) -> AsyncIterator[int]:
    """Yields a port that speaks TLS for another one."""

    opened: list[asyncio.StreamWriter] = []
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (task := asyncio.current_task()) is not None:
            connections.add(task)
        opened.append(writer)
        behind, to_behind = await asyncio.open_connection("127.0.0.1", port)
        opened.append(to_behind)
        await asyncio.gather(_forward(reader, to_behind), _forward(behind, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in opened:
            # To close it would take a word of the proxy, which may come when this test's loop has ended.
            # Before Python 3.11.3, what has been closed twice can't.
            with suppress(AttributeError):
                writer.transport.abort()
        await asyncio.gather(*connections)


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SSLContext:
    """The company's certificate authority, and servers' certificates by it."""
    issued = trustme.CA()
    context = SSLContext(PROTOCOL_TLS_SERVER)
    issued.issue_cert(SLACK, MODEL).configure_cert(context)
    issued.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    return context


@pytest.fixture
def proxy_port(tmp_path: Path) -> Iterator[int]:
    port_file = tmp_path / "port"
    arguments = ["--port", "0", "--port-file", str(port_file), "--num-workers", "1", "--num-acceptors", "1"]
    options = ["--plugins", "tests.proxy_names.NamesOfExample", "--basic-auth", f"{USER}:p@ss"]
    env = {**inherited_environment(), "PYTHONPATH": str(REPOSITORY)}
    proxy = subprocess.Popen(
        [sys.executable, "-m", "proxy", *arguments, *options], env=env, cwd=tmp_path, stdout=subprocess.DEVNULL
    )
    try:
        for _ in range(int(WITHIN_S / LOOK_S)):
            if proxy.poll() is not None or (port_file.exists() and port_file.read_text().strip()):
                break
            time.sleep(LOOK_S)
        yield int(port_file.read_text())
    finally:
        proxy.terminate()
        proxy.wait(WITHIN_S)


@pytest.fixture
async def slack(authority: SSLContext) -> AsyncIterator[SlackBehindTls]:
    slack = SlackBehindTls(manifest=manifest(), monotonic=asyncio.get_running_loop().time)
    async with slack, behind_tls(slack.port, authority) as port:
        slack.tls_port = port
        yield slack


@pytest.fixture
async def settings(slack: SlackBehindTls, vendor: VendorServer, authority: SSLContext) -> AsyncIterator[Settings]:
    async with behind_tls(urlsplit(vendor.url).port or 0, authority) as port:
        yield Settings(
            slack_bot_token=slack.bot_token,
            slack_app_token=slack.app_token,
            slack_api_url=f"{slack.url}/api/",
            vendors={"openai": VendorSettings(base_url=f"https://{MODEL}:{port}/v1")},
            models=("openai/test",),
            database_url="sqlite://",
        )


@pytest.fixture
def in_company(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, proxy_port: int, authority: SSLContext
) -> Iterator[None]:
    monkeypatch.setenv("HTTPS_PROXY", f"http://{USER}:{PASSWORD}@localhost:{proxy_port}")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    network.tls.cache_clear()
    yield
    network.tls.cache_clear()


@pytest.mark.usefixtures("in_company")
async def test_everything_goes_through_the_proxy(
    slack: SlackBehindTls, vendor: VendorServer, settings: Settings
) -> None:
    """The Web API, sockets, a file's download and upload, a response_url, and the model."""
    vendor.script(says("```\n" + "A long line of code.\n" * 2_000 + "```"))
    stage = Stage(slack, vendor)
    async with running(settings):
        ts = await slack.share(
            "ada", "general", "@typist why?", [UploadedFile("note.txt", b"The secret word is heron.")]
        )
        await slack.wait_for(lambda: not stage.is_processing("general", ts) and stage.bots("general", ts), 40)
        await slack.wait_for(lambda: stage.calls("files.completeUploadExternal"), 40)
        assert "heron" in str(stage.prompts())
        ada = slack.client("ada")
        await ada.command("general", "/typist mentions")
        await ada.submit({"engagement": "mentions"})
        await slack.wait_for(lambda: slack.responses.received, 20)


@pytest.mark.usefixtures("in_company")
async def test_mcp_servers_are_reached_the_same_way(slack: SlackBehindTls) -> None:
    statuses: list[int] = []

    def answered(status: int, has_session: bool, needs_sign_in: bool) -> None:
        statuses.append(status)
        assert not has_session

    async with http_client(slack.url, {}, answered) as client:
        response = await client.post(f"{slack.url}/api/api.test", json={"id": 1, "method": "ping"})
    assert statuses == [200]
    assert response.json()["ok"] is True


@pytest.mark.usefixtures("in_company")
async def test_spans_reach_a_collector_the_same_way(settings: Settings, vendor: VendorServer) -> None:
    vendor.script(VendorResponse([b""], content_type="application/x-protobuf"))
    url = f"{settings.vendors['openai'].base_url}/traces"
    with open_sdk(with_metrics=False, traces_url=url) as telemetry, telemetry.tool_call("notes__list"):
        pass
    await until(lambda: [request.path for request in vendor.requests] == ["/v1/traces"], "the span")


@pytest.mark.usefixtures("in_company")
async def test_check_goes_the_same_way_and_says_so(settings: Settings) -> None:
    report = await run_all(settings, None)
    found = {check.id: check for check in report.checks}
    assert found["slack.socket_mode"].status is CheckStatus.OK
    assert found["model.openai/test"].status is CheckStatus.OK
    assert "slack.example" in found["network"].text
    assert PASSWORD not in str(report)


@pytest.mark.usefixtures("in_company")
async def test_proxy_that_wants_a_password_is_told(
    settings: Settings, proxy_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://localhost:{proxy_port}")
    report = await run_all(settings, None)
    found = {check.id: check.message for check in report.checks}
    wants = f"the proxy localhost:{proxy_port} wants a user and a password (407)"
    assert wants in found["slack.bot_token"]
    assert wants in found["model.openai/test"]


@pytest.fixture(
    params=[
        (f"{USER}:{PASSWORD}@", ""),
        ("", "wants a user and a password (407), as in HTTP_PROXY=http://USER:PASSWORD@HOST:PORT"),
        ("other:geheim@", "doesn't take the user and the password in HTTP_PROXY (407)"),
    ],
    ids=["right", "none", "wrong"],
)
def refused_over_http(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, proxy_port: int) -> str:
    """What the proxy for addresses over http refuses; "" for nothing."""
    user, refusal = request.param
    monkeypatch.setenv("HTTP_PROXY", f"http://{user}localhost:{proxy_port}")
    return f"the proxy localhost:{proxy_port} {refusal}" if refusal else ""


@pytest.mark.parametrize("api", [CHAT, ANTHROPIC], ids=lambda api: api.name)
@pytest.mark.long(after_row=2)
async def test_over_http_a_model_is_reached_with_the_password_or_the_refusal_is_told(
    vendor: VendorServer, refused_over_http: str, api: VendorApi
) -> None:
    vendor.script(api.streamed("The whole answer."))
    model = api.connect(f"http://{MODEL}:{urlsplit(vendor.url).port}")
    received = await collect(model.model("m"))
    await model.aclose()
    if not refused_over_http:
        assert received.text == "The whole answer."
        assert not any("proxy-authorization" in request.headers for request in vendor.requests)
        return
    assert received.error is not None
    assert (received.error.detail, received.error.is_temporary) == (refused_over_http, False)
    assert texts.models.error_text(received.error) == "I can't reach m. Ask your Typist admin to check my log."


async def test_over_http_look_ups_slack_mcp_servers_and_collectors_tell_the_proxys_refusal(
    vendor: VendorServer, refused_over_http: str, caplog: pytest.LogCaptureFixture
) -> None:
    vendor.script(VendorResponse([b"{}"], content_type="application/json"))
    url = f"http://{MODEL}:{urlsplit(vendor.url).port}/"
    async with running_server(ServerConfig("notes", HttpTransport(url))) as server:
        with pytest.raises(ServerDown) as down:
            await server.tools()
    async with new_session() as session:
        with pytest.raises(Refused) as refused:
            await SlackClient("xoxb-1", url, session).identity()
    looked_up = await VENDORS["openai"].look_up(
        "openai", VendorSettings(base_url=url, api_key="sk-1"), "m", date(2026, 11, 26)
    )
    if not refused_over_http:
        assert "proxy" not in f"{down.value} {refused.value} {looked_up.detail}"
        return
    assert (looked_up.outcome, looked_up.detail) == (LookupOutcome.UNREACHABLE, refused_over_http)
    assert str(down.value) == refused_over_http
    assert refused_over_http in str(refused.value)
    with open_sdk(with_metrics=False, traces_url=f"{url}v1/traces") as telemetry, telemetry.tool_call("notes__list"):
        pass
    await until(lambda: f"spans not sent: {refused_over_http}" in caplog.text, "the log's line about spans")


@pytest.mark.usefixtures("in_company")
async def test_certificate_that_is_not_trusted_is_told(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    network.tls.cache_clear()
    report = await run_all(settings, None)
    found = {check.id: check.message for check in report.checks}
    for check, host in (("slack.bot_token", SLACK), ("model.openai/test", MODEL)):
        assert f"the certificate of {host} isn't trusted, and SSL_CERT_FILE isn't set" in found[check]


@pytest.mark.usefixtures("in_company")
async def test_host_in_no_proxy_is_reached_directly(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Directly, the name of the test leads nowhere."""
    monkeypatch.setenv("NO_PROXY", MODEL)
    report = await run_all(settings, None)
    found = {check.id: check for check in report.checks}
    assert found["slack.bot_token"].status is CheckStatus.OK
    assert "can't be reached" in found["model.openai/test"].message
