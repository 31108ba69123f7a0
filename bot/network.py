"""Network access: proxies and trusted certificates.

A company might allow access to the internet only through a proxy, and might inspect TLS with its own certificate
authority. The variables for this are curl's (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY) and OpenSSL's
(SSL_CERT_FILE, SSL_CERT_DIR). HTTP libraries interpret them differently: slack_sdk ignores NO_PROXY, aiohttp has no
proxy for wss, httpx2 doesn't support networks in NO_PROXY, and botocore ignores ALL_PROXY. Every client in this process
therefore uses `proxy_of` and `tls`, and doesn't read variables. The clouds' credential libraries don't accept a proxy
as an argument, so `export_settings` completes the variables that these libraries read.

The rules are curl's and two of Go's: loopback addresses are always reached directly, and NO_PROXY can contain networks
(10.0.0.0/8). Hostnames aren't resolved to match a network.
"""

import errno
import ipaddress
import os
import re
import ssl
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from bot import __version__
from bot.errors import SettingsError

if TYPE_CHECKING:
    import httpx2

USER_AGENT = f"typist/{__version__}"
"""Typist's user agent for MCP servers and their authorization servers. Some firewalls refuse a library's default."""
VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""curl's and OpenSSL's variables. The proxy variables are also read in lowercase."""
NO_PROXY = "NO_PROXY"
_CERTIFICATE_FOLDER = "SSL_CERT_DIR"
_CERTIFICATES = ("SSL_CERT_FILE", _CERTIFICATE_FOLDER)
_PROXIES = {
    "https": ("HTTPS_PROXY", "ALL_PROXY"),
    "wss": ("HTTPS_PROXY", "ALL_PROXY"),
    "http": ("HTTP_PROXY", "ALL_PROXY"),
    "ws": ("HTTP_PROXY", "ALL_PROXY"),
}
_PORTS = {"https": 443, "wss": 443, "http": 80, "ws": 80}
_BUNDLES = ("REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE")
"""Variables of botocore, and of requests, which Google's and Microsoft's libraries use."""
_UNTRUSTED = {2, 18, 19, 20, 21}
"""OpenSSL's error codes for certificates that weren't issued by a trusted authority."""
_PROXY_ERRORS = ("ClientHttpProxyError", "ClientProxyConnectionError", "ProxyError", "ConnectError", "ConnectTimeout")
"""Names of aiohttp's, httpx2's and requests' error classes for a proxy that refuses a request or is unreachable. The
classes aren't imported."""
_NO_CONNECTION = ("ClientConnectorError", "ClientConnectorDNSError", "ClientOSError", "ServerDisconnectedError")
"""Names of error classes for a connection that didn't open, or was closed before the response. They are aiohttp's,
which the vendors' SDKs use here as well."""
_NO_HTTP = "ClientResponseError"
"""aiohttp's error class for a response that can't be read as HTTP. Its subclasses are for other errors."""
_REACHED = (0, errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN)
_PROXY_AUTHENTICATION_REQUIRED = 407
_DNS_SAYS = "DNS says: "
_REPLACES = "It replaces the system's certificates, so Slack and the vendors need the public authorities there, too."
_REMEDIES = {
    ") can't be reached": "Check that the proxy runs, and its address in this variable.",
    ") refuses to connect, with ": "Have the proxy let this host through, or exempt it with NO_PROXY.",
    "doesn't take the user and the password": "Correct the proxy's user and password in this variable.",
    "wants a user and a password": "Set the proxy's user and password in this variable.",
    " through the proxy ": "Check that the proxy lets this host and port through, or exempt the host with NO_PROXY.",
    " lacks its authority": f"Add the authority of this server, or of the proxy, to that path. {_REPLACES}",
    " isn't trusted": "Set SSL_CERT_FILE to a file in PEM with the authority of this server, or of the proxy, and the "
    f"public authorities. {_REPLACES}",
    "the certificate of ": "Have the server's certificate renewed, or correct the host in {address}.",
    "TLS failed (": "Check {address}: at this port, the server may speak http instead of https.",
    " ended the connection": "Check the port in {address}, and firewalls on the way: something closes connections.",
    "can't be read as HTTP": "Check the port in {address}: something else than this server may listen there.",
    _DNS_SAYS: "Check the host's name in {address}, and this machine's DNS.",
    os.strerror(errno.ECONNREFUSED): "Check that the server runs, and the port in {address}.",
    **dict.fromkeys(
        map(os.strerror, (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT)),
        "Check this machine's network, and firewalls on the way.",
    ),
}
"""Remedies, by words that occur in a reason from `reason_of`. The first match is used."""


@dataclass(frozen=True, slots=True)
class Route:
    proxy: str | None = field(default=None, repr=False)
    """The proxy's URL, which can contain a password, or None for a direct connection."""
    variable: str = ""

    @property
    def displayed_proxy(self) -> str:
        """The proxy's host and port, without user and password, or "" if there is no proxy."""
        return _displayed_host(urlsplit(self.proxy)) if self.proxy else ""


def route_to(url: str, env: Mapping[str, str] | None = None) -> Route:
    """Returns the route to an http, https, ws or wss URL. `env`: the environment variables, or None for this process's.
    Raises SettingsError."""
    address = urlsplit(url)
    host = (address.hostname or "").rstrip(".")
    if _is_loopback(host):
        return Route()
    env = os.environ if env is None else env
    name, value = next(_set_variables(env, _PROXIES.get(address.scheme, ())), ("", ""))
    if not name:
        return Route()
    if any(value == every for _, every in _set_variables(env, ("ALL_PROXY",))):
        # `export_settings` copies it.
        name = "ALL_PROXY"
    port = address.port or _PORTS[address.scheme]
    _, exempt = next(_set_variables(env, (NO_PROXY,)), ("", ""))
    if any(_is_in_no_proxy(entry, host, port) for entry in re.split(r"[,\s]+", exempt)):
        return Route(variable=NO_PROXY)
    return Route(_parse_proxy(name, value), name)


def proxy_of(url: str) -> str | None:
    """Returns the URL of the proxy for a URL, or None for a direct connection. Raises SettingsError."""
    return route_to(url).proxy


def httpx2_proxy(url: str) -> "httpx2.Proxy | None":
    proxy = proxy_of(url)
    if proxy is None:
        return None
    import httpx2

    # As a header, because aiohttp, which the vendors' SDKs use through httpx2, warns about credentials in other places.
    url_alone = httpx2.URL(proxy).copy_with(username=None, password=None)
    return httpx2.Proxy(url_alone, headers=_authorization(proxy))


def forwarded_headers(url: str) -> dict[str, str]:
    """Returns the proxy's headers for requests to an http URL. Raises SettingsError. An https request goes through a
    tunnel, and the request that opens the tunnel already has these headers. For http, aiohttp (which the vendors' SDKs
    use through httpx2) opens no tunnel and then omits the headers of `httpx2_proxy`."""
    proxy = proxy_of(url) if urlsplit(url).scheme == "http" else None
    return _authorization(proxy) if proxy else {}


def _authorization(proxy: str) -> dict[str, str]:
    import httpx2

    address = httpx2.URL(proxy)
    user = f"{address.username}:{address.password}"
    return {} if user == ":" else {"Proxy-Authorization": f"Basic {b64encode(user.encode()).decode()}"}


@cache
def tls() -> ssl.SSLContext:
    """Returns the trusted certificates, cached because loading them is slow. Raises SettingsError."""
    # Imported late, because `typist --help` doesn't need an HTTP client.
    import httpx2

    name, path = next(_set_variables(os.environ, _CERTIFICATES), ("", ""))
    if name == _CERTIFICATE_FOLDER and not os.path.isdir(path):
        # Otherwise, OpenSSL would silently trust nothing.
        raise SettingsError([f"{_CERTIFICATE_FOLDER} points to {path}, which isn't a folder."])
    try:
        return httpx2.create_ssl_context()
    except ssl.SSLError as error:
        raise SettingsError([f"{name} points to {path}, which has no certificates in PEM."]) from error
    except OSError as error:
        raise SettingsError(
            [f"{name} points to {path}, which can't be read: {os.strerror(error.errno or 0)}."]
        ) from error


def certificates(env: Mapping[str, str] | None = None) -> str | None:
    """Returns the configured file or folder of trusted certificates, or None if the system's are used."""
    named = _set_variables(os.environ if env is None else env, _CERTIFICATES)
    return next((value for _, value in named), None)


def export_settings(env: Mapping[str, str]) -> None:
    for name, value in _set_variables(env, VARIABLES):
        os.environ.setdefault(name, value)
    for _, every in _set_variables(env, ("ALL_PROXY",)):
        for name in ("HTTPS_PROXY", "HTTP_PROXY"):
            if not any(_set_variables(env, (name,))):
                os.environ[name] = every
    if bundle := certificates(env):
        for name in _BUNDLES:
            os.environ.setdefault(name, bundle)


def reason_of(error: BaseException, url: str) -> str:
    """Returns the network failure that caused an error, phrased to complete a sentence, or "" if it has another cause.
    Includes the host, but no path or password."""
    try:
        route = route_to(url)
    except SettingsError as problem:
        return str(problem).removesuffix(".")
    causes = list(_causes(error))
    host = urlsplit(url).hostname or ""
    # The certificate is the server's, even behind a proxy. aiohttp's own error has no code; the system's has one.
    refused = (cause for cause in causes if isinstance(cause, ssl.SSLCertVerificationError))
    if with_code := next((cause for cause in refused if hasattr(cause, "verify_code")), None):
        return _certificate_problem(with_code, host)
    if route.proxy is None:
        address = urlsplit(url)
        return _tls_problem(causes, address) or _connection_problem(causes, address) or _http_problem(causes, address)
    if status := next(filter(None, map(_status_of_proxy, causes)), 0):
        return _refusal_text(route, status)
    if not any(type(cause).__name__ in (*_PROXY_ERRORS, *_NO_CONNECTION, _NO_HTTP) for cause in causes):
        return ""
    if any(_is_unreachable(cause) for cause in causes):
        return f"the proxy {route.displayed_proxy} ({route.variable}) can't be reached"
    return f"the connection to {host} through the proxy {route.displayed_proxy} ({route.variable}) failed"


def remedy(reason: str, url_setting: str) -> str:
    """Returns the remedy for a reason from `reason_of`, or "" if there is none. `url_setting`: the setting that
    contains the URL."""
    return next((fix for words, fix in _REMEDIES.items() if words in reason), "").replace("{address}", url_setting)


def needs_password(error: BaseException) -> bool:
    """Returns whether a proxy refused a request because it requires a different user and password."""
    return any(_status_of_proxy(cause) == _PROXY_AUTHENTICATION_REQUIRED for cause in _causes(error))


def refusal(status: int, url: str) -> str:
    """Returns the meaning of a status that only proxies send, phrased to complete a sentence, or "" for all other
    statuses."""
    if status != _PROXY_AUTHENTICATION_REQUIRED:
        return ""
    with suppress(SettingsError):
        route = route_to(url)
        if route.proxy is not None:
            return _refusal_text(route, status)
    return ""


def _status_of_proxy(error: BaseException) -> int:
    status = getattr(error, "status", None)
    if type(error).__name__ not in _PROXY_ERRORS:
        return _PROXY_AUTHENTICATION_REQUIRED if status == _PROXY_AUTHENTICATION_REQUIRED else 0
    # httpx2's message begins with the status, and that of requests quotes it.
    found = None if isinstance(status, int) else re.search(r"(?:^|connection failed: )(\d{3})\b", str(error))
    return status if isinstance(status, int) else int(found[1]) if found else 0


def _is_unreachable(error: BaseException) -> bool:
    return isinstance(error, OSError) and not isinstance(error, ssl.SSLError) and (error.errno or 0) not in _REACHED


def _tls_problem(causes: Iterable[BaseException], address: SplitResult) -> str:
    """Returns OpenSSL's message about a TLS failure, which might mean a port without TLS, or "" for other errors."""
    for cause in causes:
        # aiohttp's own error has no reason; the system's has one.
        if isinstance(cause, ssl.SSLError) and (reason := getattr(cause, "reason", None)):
            return f"{_displayed_host(address)}: TLS failed ({reason.replace('_', ' ').lower()})"
    return ""


def _connection_problem(causes: Iterable[BaseException], address: SplitResult) -> str:
    """Returns the system's message about a connection that didn't open or was closed, or "" for another error."""
    for cause in causes:
        is_in_way = type(cause).__name__ in _NO_CONNECTION or _is_unreachable(cause)
        if is_in_way and isinstance(cause, OSError) and cause.errno:
            # The resolver's codes are negative, with messages of their own.
            said = os.strerror(cause.errno) if cause.errno > 0 else f"{_DNS_SAYS}{cause.strerror}"
            return f"{_displayed_host(address)}: {said}" if address.hostname else said
    is_over = address.hostname and any(type(cause).__name__ in _NO_CONNECTION for cause in causes)
    return f"{_displayed_host(address)} ended the connection" if is_over else ""


def _http_problem(causes: Iterable[BaseException], address: SplitResult) -> str:
    """Returns the rest of a sentence about a response that isn't HTTP, which another service might have sent, or "" for
    other errors."""
    is_unreadable = address.hostname and any(type(cause).__name__ == _NO_HTTP for cause in causes)
    return f"{_displayed_host(address)} gives an answer that can't be read as HTTP" if is_unreadable else ""


def _refusal_text(route: Route, status: int) -> str:
    proxy = f"the proxy {route.displayed_proxy}"
    if status != _PROXY_AUTHENTICATION_REQUIRED:
        return f"{proxy} ({route.variable}) refuses to connect, with the status {status}"
    if _authorization(route.proxy or ""):
        return f"{proxy} doesn't take the user and the password in {route.variable} (407)"
    return f"{proxy} wants a user and a password (407), as in {route.variable}=http://USER:PASSWORD@HOST:PORT"


def _certificate_problem(error: ssl.SSLCertVerificationError, host: str) -> str:
    if error.verify_code in _UNTRUSTED:
        name, path = next(_set_variables(os.environ, _CERTIFICATES), ("", ""))
        if name:
            return f"the certificate of {host} isn't trusted: {name}={path} lacks its authority"
        return f"the certificate of {host} isn't trusted, and SSL_CERT_FILE isn't set"
    return f"the certificate of {host} isn't valid ({error.verify_message})"


def _causes(error: BaseException) -> Iterator[BaseException]:
    left: list[object] = [error]
    seen: set[int] = set()
    while left:
        cause = left.pop(0)
        if not isinstance(cause, BaseException) or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        inner = cause.exceptions if isinstance(cause, BaseExceptionGroup) else ()
        # aiohttp stores the system's error about a certificate in an attribute.
        left += [*inner, cause.__cause__, cause.__context__, getattr(cause, "certificate_error", None)]


def _set_variables(env: Mapping[str, str], names: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yields the variables that have a value. As with curl, lowercase names take precedence."""
    for name in names:
        if value := env.get(name.lower(), "").strip() or env.get(name, "").strip():
            yield name, value


def _parse_proxy(name: str, value: str) -> str:
    url = value if "://" in value else f"http://{value}"
    scheme = re.match(r"([a-z][a-z\d+.-]*)://", url, re.ASCII | re.IGNORECASE)
    if scheme and scheme[1].lower() not in ("http", "https"):
        raise SettingsError(
            [f"{name} names a proxy of the kind {scheme[1]}, which Typist can't use. Set one of http or https."]
        )
    if not scheme or not _has_only_host(url):
        raise SettingsError(
            [f"{name} must be http://HOST:PORT, or http://USER:PASSWORD@HOST:PORT with / as %2F, # as %23, ? as %3F."]
        )
    return url


def _has_only_host(url: str) -> bool:
    """Returns whether a URL has a host and nothing after the port, so that all HTTP libraries see the same host."""
    # Imported late, as in `tls`.
    import httpx2

    try:
        address = urlsplit(url)
        host = address.hostname or ""
        httpx2.URL(url)
        host.encode("idna")
        is_host = bool(re.fullmatch(r"[\w.:%-]+", host)) and address.port != 0
    except (ValueError, httpx2.InvalidURL):
        return False
    return is_host and url.isprintable() and not (address.path.rstrip("/") or address.query or address.fragment)


def _displayed_host(address: SplitResult) -> str:
    host = address.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{address.port}" if address.port else host


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = _parse_ip(host)
    return address is not None and address.is_loopback


def _parse_ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_in_no_proxy(entry: str, host: str, port: int) -> bool:
    """Returns whether a NO_PROXY entry covers a host. An entry is *, a name (which includes its subdomains), an IP
    address or a network."""
    if entry == "*":
        return True
    name, only_port = _split_port(entry.rpartition("://")[2].rstrip("/"))
    if not name or only_port not in (None, port):
        return False
    if (address := _parse_ip(host)) is not None:
        try:
            return address in ipaddress.ip_network(name, strict=False)
        except ValueError:
            return False
    name = name.lower().removeprefix("*").removeprefix(".").rstrip(".")
    return host == name or host.endswith(f".{name}")


def _split_port(entry: str) -> tuple[str, int | None]:
    if bracketed := re.fullmatch(r"\[([^\]]*)\](?::(\d+))?", entry):
        return bracketed[1], int(bracketed[2]) if bracketed[2] else None
    if entry.count(":") == 1:
        name, _, port = entry.partition(":")
        return name, int(port) if port.isdecimal() else None
    return entry, None
