"""Headers with the asker's identity: their values, and who never gets them."""

from collections.abc import Mapping, Sequence

import httpx2
import pytest
from aiohttp import web

from bot.identity import ASKER, Asker, fill_placeholders, identifying_client
from tests.mcp.flood import served

VALUES = {"asker.id": "U0ADA", "asker.email": "zoë%@exämple.org", "asker.hash": "", "channel.id": "C1\r\nX-Admin: yes"}


class Recorded(list[tuple[str, Sequence[str]]]):
    def __init__(self, values: Mapping[str, str] = VALUES) -> None:
        self._values = values
        ASKER.set(Asker(self.values, self.record))

    async def values(self) -> Mapping[str, str]:
        return self._values

    async def record(self, receiver: str, sent: Sequence[str]) -> None:
        self.append((receiver, sent))


@pytest.mark.parametrize(
    ("header", "sent", "recorded"),
    [
        ("{asker.id}", "U0ADA", ["asker.id"]),
        ("user {asker.id} in {asker.id}", "user U0ADA in U0ADA", ["asker.id"]),
        ("{asker.email}", "zo%C3%AB%25@ex%C3%A4mple.org", ["asker.email"]),
        ("{channel.id}", "C1%0D%0AX-Admin: yes", ["channel.id"]),
        ("{asker.hash}", None, None),
        ("{asker.id} {asker.hash}", None, None),
        ("{asker.ID} {user} ${HOME}", "{asker.ID} {user} ${HOME}", None),
    ],
)
async def test_value_that_a_header_cannot_hold_is_encoded_and_an_unknown_one_leaves_the_header_out(
    header: str, sent: str | None, recorded: list[str] | None
) -> None:
    there = Recorded()
    assert await fill_placeholders({"X": header}, "gateway") == ({} if sent is None else {"X": sent})
    assert there == ([("gateway", recorded)] if recorded else [])


async def test_without_an_asker_no_header_is_sent() -> None:
    ASKER.set(None)
    assert await fill_placeholders({"X": "{asker.id}", "Y": "y"}, "gateway") == {"Y": "y"}


@pytest.mark.parametrize(("is_gateway", "seen"), [(True, "U0ADA"), (False, None)])
async def test_vendors_own_server_never_gets_the_identity(is_gateway: bool, seen: str | None) -> None:
    got = []

    async def respond(request: web.Request) -> web.Response:
        got.append((request.headers.get("X-User"), request.headers["X-Team"]))
        return web.Response()

    there = Recorded()
    headers = {"X-User": "{asker.id}", "X-Team": "ours"}
    async with served(respond) as url, identifying_client(httpx2.AsyncClient, is_gateway=is_gateway)() as client:
        await client.get(url, headers=headers)
    assert got == [(seen, "ours")]
    assert there == ([("127.0.0.1", ["asker.id"])] if is_gateway else [])
