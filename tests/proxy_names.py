"""A plugin of proxy.py: the proxy alone knows the names that end in `.example`, and they are this machine."""

from proxy.common.types import HostPort
from proxy.http.parser import HttpParser
from proxy.http.proxy import HttpProxyBasePlugin

LENGTH = b"Content-Length"


class NamesOfExample(HttpProxyBasePlugin):
    """Resolves the names of the test."""

    def resolve_dns(self, host: str, port: int) -> tuple[str | None, HostPort | None]:
        return ("127.0.0.1" if host.endswith(".example") else None), None

    def before_upstream_connection(self, request: HttpParser) -> HttpParser:
        # Under a name in other letters, proxy.py sends a second one.
        if request.headers and (found := request.headers.get(LENGTH.lower())):
            request.headers[LENGTH.lower()] = (LENGTH, found[1])
        return request
