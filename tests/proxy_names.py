"""A plugin of proxy.py: the proxy alone knows the names that end in `.example`, and they are this machine."""

from proxy.common.types import HostPort
from proxy.http.proxy import HttpProxyBasePlugin


class NamesOfExample(HttpProxyBasePlugin):
    """Resolves the names of the test."""

    def resolve_dns(self, host: str, port: int) -> tuple[str | None, HostPort | None]:
        return ("127.0.0.1" if host.endswith(".example") else None), None
