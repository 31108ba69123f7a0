"""Opt-in headers that identify the asker to an admin's own gateways and MCP servers, such as `X-User: {asker.email}`.

A worker sets ASKER for the tasks that answer a question. Requests outside these tasks, such as checks, have no asker.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    import httpx2

EMAIL = "asker.email"
PLACEHOLDERS = ("asker.id", EMAIL, "asker.hash", "channel.id")
GATEWAY_HEADERS = {"openai": "OPENAI_CUSTOM_HEADERS", "anthropic": "ANTHROPIC_CUSTOM_HEADERS"}
"""Variables from which the vendors' SDKs read headers, by vendor."""
_PLACEHOLDER = re.compile(r"\{((?:asker|channel)\.[a-z]{1,20})\}")
_PRINTABLE = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")


@dataclass(frozen=True, slots=True)
class Asker:
    values: Callable[[], Awaitable[Mapping[str, str]]] = field(repr=False)
    """Returns the known values by placeholder."""
    record: Callable[[str, Sequence[str]], Awaitable[None]]
    """Records the placeholders whose values are sent to a receiver."""


ASKER: ContextVar[Asker | None] = ContextVar("asker", default=None)


def placeholders(header: str) -> frozenset[str]:
    return frozenset(_PLACEHOLDER.findall(header))


async def fill_placeholders(headers: Mapping[str, str], receiver: str) -> dict[str, str]:
    """Returns headers with their placeholders filled, and records which values are sent. A header with an unknown value
    is left out."""
    asker = ASKER.get()
    values = await asker.values() if asker else {}
    known = {name: text for name, text in headers.items() if all(map(values.get, placeholders(text)))}
    sent = frozenset[str]().union(*map(placeholders, known.values()))
    if asker and sent:
        await asker.record(receiver, sorted(sent))
    # A header can only contain ASCII, and values must not end it. % is encoded so that values are unambiguous.
    encoded = {name: quote(value, safe=_PRINTABLE) for name, value in values.items()}
    return {name: _PLACEHOLDER.sub(lambda match: encoded[match[1]], text) for name, text in known.items()}


def identifying_client(client: "type[httpx2.AsyncClient]", *, is_gateway: bool) -> "type[httpx2.AsyncClient]":
    """Returns a client class that fills placeholders in headers, or removes such headers if the server isn't a
    gateway."""

    class IdentifyingClient(client):  # type: ignore[misc,valid-type]
        async def send(self, request: "httpx2.Request", **more: Any) -> "httpx2.Response":
            wanted = {name: text for name, text in request.headers.items() if placeholders(text)}
            for name in wanted:
                del request.headers[name]
            request.headers.update(await fill_placeholders(wanted, request.url.host) if is_gateway else {})
            response: httpx2.Response = await super().send(request, **more)
            return response

    return IdentifyingClient
