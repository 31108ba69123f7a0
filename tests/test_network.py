"""The route to a URL, by the variables that curl, Go and OpenSSL read."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import httpx2
import pytest

from bot import network
from bot.errors import SettingsError
from bot.network import Route, reason_of, remedy, route_to

SLACK = "https://slack.com/api/"
PROXY = "http://proxy.example:3128"
DIRECTLY = Route()
EXEMPT = Route(variable="NO_PROXY")
BY_HTTPS = Route(PROXY, "HTTPS_PROXY")

ROUTES: list[tuple[str, Mapping[str, str], str, Route]] = [
    ("no variable", {}, SLACK, DIRECTLY),
    ("https", {"HTTPS_PROXY": PROXY}, SLACK, BY_HTTPS),
    ("in small letters", {"https_proxy": PROXY}, SLACK, BY_HTTPS),
    ("small letters come first", {"https_proxy": PROXY, "HTTPS_PROXY": "http://other.example"}, SLACK, BY_HTTPS),
    ("an empty one is not set", {"https_proxy": " ", "HTTPS_PROXY": PROXY}, SLACK, BY_HTTPS),
    ("a socket", {"HTTPS_PROXY": PROXY}, "wss://wss-primary.slack.com/link/?ticket=1", BY_HTTPS),
    ("an open socket", {"HTTP_PROXY": PROXY}, "ws://slack.example/link/", Route(PROXY, "HTTP_PROXY")),
    ("http is another scheme", {"HTTP_PROXY": PROXY}, SLACK, DIRECTLY),
    ("https is another scheme", {"HTTPS_PROXY": PROXY}, "http://models.example/v1", DIRECTLY),
    ("all, https", {"ALL_PROXY": PROXY}, SLACK, Route(PROXY, "ALL_PROXY")),
    ("all, http", {"all_proxy": PROXY}, "http://models.example/v1", Route(PROXY, "ALL_PROXY")),
    ("the exact one before all", {"ALL_PROXY": "http://other.example", "HTTPS_PROXY": PROXY}, SLACK, BY_HTTPS),
    ("all, exported", {"ALL_PROXY": PROXY, "HTTPS_PROXY": PROXY}, SLACK, Route(PROXY, "ALL_PROXY")),
    ("without a scheme", {"HTTPS_PROXY": "proxy.example:3128"}, SLACK, BY_HTTPS),
    ("with a slash", {"HTTPS_PROXY": f"{PROXY}/"}, SLACK, Route(f"{PROXY}/", "HTTPS_PROXY")),
    ("a scheme in capitals", {"HTTPS_PROXY": PROXY.upper()}, SLACK, Route(PROXY.upper(), "HTTPS_PROXY")),
    ("in IPv6", {"HTTPS_PROXY": "http://[::1]:1"}, SLACK, Route("http://[::1]:1", "HTTPS_PROXY")),
    ("an international name", {"HTTPS_PROXY": "http://höst:1"}, SLACK, Route("http://höst:1", "HTTPS_PROXY")),
    ("over TLS", {"HTTPS_PROXY": "https://proxy.example"}, SLACK, Route("https://proxy.example", "HTTPS_PROXY")),
    ("loopback", {"ALL_PROXY": PROXY}, "http://127.0.0.1:11434/v1", DIRECTLY),
    ("loopback in IPv6", {"ALL_PROXY": PROXY}, "http://[::1]:11434/v1", DIRECTLY),
    ("localhost", {"ALL_PROXY": PROXY}, "http://localhost:11434/v1", DIRECTLY),
    (
        "a loopback address that a SOCKS proxy isn't asked for",
        {"ALL_PROXY": "socks5://p"},
        "http://localhost",
        DIRECTLY,
    ),
]
EXCEPTIONS: list[tuple[str, str, bool]] = [
    # NO_PROXY, the address, whether it is reached directly.
    ("*", SLACK, True),
    ("slack.com", SLACK, True),
    ("SLACK.com", "https://Slack.Com./api/", True),
    ("slack.com", "https://files.slack.com/x", True),
    (".slack.com", "https://files.slack.com/x", True),
    (".slack.com", SLACK, True),
    ("*.slack.com", "https://files.slack.com/x", True),
    ("slack.com", "https://notslack.com/", False),
    ("slack.com", "https://slack.com.evil.example/", False),
    ("com", SLACK, True),
    ("models.example, slack.com", SLACK, True),
    ("models.example slack.com", SLACK, True),
    (" , ,slack.com,", SLACK, True),
    ("", SLACK, False),
    ("models.example", SLACK, False),
    ("slack.com:443", SLACK, True),
    ("slack.com:8443", SLACK, False),
    ("models.example:8000", "http://models.example:8000/v1", True),
    ("models.example:80", "http://models.example/v1", True),
    ("https://slack.com/", SLACK, True),
    ("10.0.0.5", "http://10.0.0.5:8000/v1", True),
    ("10.0.0.5:8000", "http://10.0.0.5:8000/v1", True),
    ("10.0.0.5:9000", "http://10.0.0.5:8000/v1", False),
    ("10.0.0.0/8", "http://10.20.30.40/v1", True),
    ("10.0.0.0/8", "http://11.0.0.1/v1", False),
    ("10.0.0.7/8", "http://10.20.30.40/v1", True),
    ("10.0.0.0/8", "http://models.example/v1", False),
    ("fd00::/8", "http://[fd12::7]:8000/v1", True),
    ("fd12::7", "http://[fd12::7]:8000/v1", True),
    ("[fd12::7]:8000", "http://[fd12::7]:8000/v1", True),
    ("[fd12::7]:9000", "http://[fd12::7]:8000/v1", False),
    ("10.0.0.0/99", "http://10.0.0.1/v1", False),
    ("slack.com:port", SLACK, True),
]


@pytest.mark.parametrize(("env", "url", "route"), [case[1:] for case in ROUTES], ids=[case[0] for case in ROUTES])
def test_variables_lead_to_a_proxy_or_directly(env: Mapping[str, str], url: str, route: Route) -> None:
    assert route_to(url, env) == route


@pytest.mark.parametrize(("exempt", "url", "is_direct"), EXCEPTIONS)
def test_no_proxy_names_what_is_reached_directly(exempt: str, url: str, is_direct: bool) -> None:
    route = route_to(url, {"ALL_PROXY": PROXY, "NO_PROXY": exempt})
    assert route == (EXEMPT if is_direct else Route(PROXY, "ALL_PROXY"))


UNUSABLE = [
    "socks5://proxy.example:1080",
    "SOCKS5://proxy.example",
    "http://",
    "http://:",
    "http:///",
    "http://proxy.example:port",
    "http://p:0",
    "http://p:99999",
    "http://p:1:2",
    "http://[::1",
    "http://::1]",
    "http://[::1]p:1",
    "http://[p]:1",
    "http://pro xy:1",
    "http://p\ty:1",
    "http://p|y:1",
    "http://..:1",
    "http://1.2.3.999:1",
    f"http://{'p' * 64}:1",
    "http://pass/word@p:1",
    "http://pass#word@p:1",
    "http://pass?word@p:1",
    "http://p/proxy.pac",
    "a b://p:1",
    "http:/p:1",
]


@pytest.mark.parametrize("value", UNUSABLE)
def test_proxy_that_cannot_be_used_is_named_by_its_variable_without_its_value(value: str) -> None:
    for shown in (value, value.replace("//", "//user:geheim@", 1)):
        with pytest.raises(SettingsError, match=r"^HTTPS_PROXY ") as raised:
            route_to(SLACK, {"HTTPS_PROXY": shown})
        assert "geheim" not in str(raised.value)


def test_password_is_neither_shown_nor_in_a_repr() -> None:
    route = route_to(SLACK, {"HTTPS_PROXY": "http://typist:geheim@proxy.example:3128"})
    assert route.proxy == "http://typist:geheim@proxy.example:3128"
    assert route.displayed_proxy == "proxy.example:3128"
    assert "geheim" not in repr(route)


def test_libraries_without_an_argument_read_what_env_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*network.VARIABLES, *map(str.lower, network.VARIABLES), "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE"):
        # Set first, so that the test's end removes it.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CA_BUNDLE", "/own.pem")
    # As Docker Compose sets a variable that has no value.
    monkeypatch.setenv("HTTPS_PROXY", "")
    network.export_settings(
        {"ALL_PROXY": PROXY, "NO_PROXY": "models.example", "SSL_CERT_FILE": "/ca.pem", "SLACK_BOT_TOKEN": "x"}
    )
    assert os.environ["HTTPS_PROXY"] == os.environ["HTTP_PROXY"] == PROXY
    assert os.environ["NO_PROXY"] == "models.example"
    assert os.environ["REQUESTS_CA_BUNDLE"] == "/ca.pem"
    assert os.environ["AWS_CA_BUNDLE"] == "/own.pem"
    assert "SLACK_BOT_TOKEN" not in os.environ


def test_reason_that_is_a_problem_of_the_settings_fits_into_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://proxy.example")
    assert reason_of(TimeoutError(), SLACK).endswith("Set one of http or https")


def test_failure_that_is_not_the_ways_has_no_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    assert reason_of(TimeoutError(), SLACK) == ""
    assert reason_of(httpx2.ReadError("reset"), SLACK) == ""
    assert reason_of(httpx2.ConnectError("refused"), "http://127.0.0.1:9/") == ""


async def test_a_connection_that_does_not_open_is_told_by_host_and_in_the_systems_words() -> None:
    said = {
        "http://user:geheim@127.0.0.1:9/path?secret": "127.0.0.1:9: Connection refused",
        "http://no-such-host.invalid/": "no-such-host.invalid: ",
    }
    async with aiohttp.ClientSession() as session:
        for url, reason in said.items():
            with pytest.raises(aiohttp.ClientError) as raised:
                await session.get(url)
            assert reason_of(raised.value, url).startswith(reason)
            assert "geheim" not in reason_of(raised.value, url)
            assert not reason_of(raised.value, "").startswith(":")


async def test_proxy_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:geheim@127.0.0.1:9")
    reason = "the proxy 127.0.0.1:9 (HTTPS_PROXY) can't be reached"
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError) as raised:
            await session.get(SLACK, proxy=network.proxy_of(SLACK))
    assert reason_of(raised.value, SLACK) == reason
    async with httpx2.AsyncClient(proxy=network.proxy_of(SLACK)) as client:
        with pytest.raises(httpx2.TransportError) as refused:
            await client.get(SLACK)
    assert reason_of(ExceptionGroup("of a task", [refused.value]), SLACK) == reason


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 Established\r\n\r\nno TLS at all",
        b"SSH-2.0-OpenSSH_9.6\r\n",
    ],
    ids=["it closes the connection", "it answers itself", "something else is behind it", "it is no proxy"],
)
async def test_proxy_that_leads_nowhere_is_told_from_one_that_is_not_there(
    answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with answering(answer) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:geheim@127.0.0.1:{port}")
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientError) as raised:
                await session.get(SLACK, proxy=network.proxy_of(SLACK))
    proxy = f"the proxy 127.0.0.1:{port} (HTTPS_PROXY)"
    assert reason_of(raised.value, SLACK) == f"the connection to slack.com through {proxy} failed"


async def test_server_that_ends_each_connection_is_told() -> None:
    async with answering(b"") as port, aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError) as raised:
            await session.get(f"http://127.0.0.1:{port}/secret")
        assert reason_of(raised.value, f"http://127.0.0.1:{port}/secret") == f"127.0.0.1:{port} ended the connection"


@pytest.mark.parametrize("sent", [b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 9_000 + b"\r\n\r\n"])
async def test_server_whose_answer_cannot_be_read_as_http_is_told(sent: bytes) -> None:
    async with answering(sent) as port, aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError) as raised:
            await session.get(f"http://127.0.0.1:{port}/secret")
        assert reason_of(raised.value, f"http://127.0.0.1:{port}/secret") == (
            f"127.0.0.1:{port} gives an answer that can't be read as HTTP"
        )


async def test_server_without_tls_is_told() -> None:
    async with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port, aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError) as raised:
            await session.get(f"https://127.0.0.1:{port}/secret")
        assert reason_of(raised.value, f"https://127.0.0.1:{port}/secret").startswith(f"127.0.0.1:{port}: TLS failed (")


@asynccontextmanager
async def answering(data: bytes) -> AsyncIterator[int]:
    """Yields the port of a server that reads once, writes this, and closes the connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65_536)
        writer.write(data)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


def test_only_a_status_of_a_proxys_own_behind_a_proxy_is_its_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://user:geheim@proxy.example:3128")
    refused = "the proxy proxy.example:3128 doesn't take the user and the password in HTTP_PROXY (407)"
    said = [(407, "http://models.example/v1"), (403, "http://models.example/v1"), (407, "http://127.0.0.1:8000/v1")]
    assert [network.refusal(*of) for of in said] == [refused, "", ""]
    assert network.forwarded_headers("http://models.example/v1") == {"Proxy-Authorization": "Basic dXNlcjpnZWhlaW0="}
    assert network.forwarded_headers("https://models.example/v1") == {}
    assert network.forwarded_headers("http://127.0.0.1:8000/v1") == {}


@pytest.fixture
def without_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("code", "said", "reason"),
    [
        (
            20,
            "unable to get local issuer certificate",
            "isn't trusted, and SSL_CERT_FILE isn't set",
        ),
        (18, "self-signed certificate", "isn't trusted, and SSL_CERT_FILE isn't set"),
        (10, "certificate has expired", "isn't valid (certificate has expired)"),
    ],
)
@pytest.mark.usefixtures("without_certificates")
def test_certificate_that_is_not_accepted_is_told(code: int, said: str, reason: str) -> None:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, said
    wrapped = ConnectionError()
    wrapped.__cause__ = error
    assert reason_of(wrapped, SLACK) == f"the certificate of slack.com {reason}"


@pytest.mark.usefixtures("without_certificates")
@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_no_remedy_asks_for_certificates_that_are_already_set(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "/etc/company")
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = 20, "unable to get local issuer certificate"
    reason = reason_of(error, SLACK)
    assert reason == f"the certificate of slack.com isn't trusted: {name}=/etc/company lacks its authority"
    assert "Set SSL_CERT_FILE" not in remedy(reason, "X_URL")


def test_causes_that_lead_in_a_circle_are_read_once() -> None:
    first, second = OSError(), asyncio.CancelledError()
    first.__context__, second.__context__ = second, first
    assert reason_of(first, SLACK) == ""


@pytest.mark.parametrize(
    ("variable", "name", "problem"),
    [
        ("SSL_CERT_FILE", "no.pem", "can't be read: No such file or directory."),
        ("SSL_CERT_FILE", "", "can't be read: Is a directory."),
        ("SSL_CERT_FILE", "key.pem", "has no certificates in PEM."),
        ("SSL_CERT_DIR", "no", "isn't a folder."),
        ("SSL_CERT_DIR", "key.pem", "isn't a folder."),
    ],
)
def test_certificates_that_cannot_be_loaded_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, name: str, problem: str
) -> None:
    (tmp_path / "key.pem").write_text("-----BEGIN PRIVATE KEY-----\n")
    for other in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(variable, str(tmp_path / name))
    network.tls.cache_clear()
    with pytest.raises(SettingsError) as caught:
        network.tls()
    assert caught.value.problems == [f"{variable} points to {tmp_path / name}, which {problem}"]


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("the proxy 127.0.0.1:9 (HTTPS_PROXY) can't be reached", "Check that the proxy runs"),
        ("the proxy a:1 (HTTPS_PROXY) refuses to connect, with the status 403", "Have the proxy let this host through"),
        ("the proxy a:1 doesn't take the user and the password in HTTPS_PROXY (407)", "Correct the proxy's user"),
        ("the proxy a:1 wants a user and a password (407), as in X", "Set the proxy's user"),
        ("the connection to slack.com through the proxy a:1 (HTTPS_PROXY) failed", "Check that the proxy lets"),
        ("the certificate of slack.com isn't trusted, and SSL_CERT_FILE isn't set", "and the public authorities"),
        ("the certificate of slack.com isn't trusted: SSL_CERT_FILE=a lacks its authority", "Add the authority"),
        ("the certificate of slack.com isn't valid (certificate has expired)", "renewed, or correct the host in X_URL"),
        ("127.0.0.1:80: TLS failed (wrong version number)", "Check X_URL: at this port, the server may speak http"),
        ("127.0.0.1:80 ended the connection", "Check the port in X_URL"),
        ("127.0.0.1:80 gives an answer that can't be read as HTTP", "Check the port in X_URL"),
        ("localhost:80: DNS says: Name or service not known", "Check the host's name in X_URL"),
        ("127.0.0.1:80: Connection refused", "Check that the server runs, and the port in X_URL"),
        ("127.0.0.1:80: No route to host", "Check this machine's network"),
    ],
)
def test_each_cause_has_its_own_remedy(reason: str, words: str) -> None:
    assert words in remedy(reason, "X_URL")


def test_what_is_not_about_the_way_has_no_remedy_here() -> None:
    assert remedy("HTTP 503", "X_URL") == ""


async def test_a_refused_connection_is_named_in_the_systems_words_by_each_client() -> None:
    url = "http://127.0.0.1:9/secret"
    with pytest.raises(httpx2.ConnectError) as raised:
        async with httpx2.AsyncClient() as client:
            await client.get(url)
    assert reason_of(raised.value, url) == "127.0.0.1:9: Connection refused"
