"""Fixtures for the contracts of providers."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx2
import pytest

from bot.models.api import Api
from tests.contracts.in_process import InProcessVendor
from tests.streams.server import VendorServer


@pytest.fixture
async def vendor() -> AsyncIterator[VendorServer]:
    async with VendorServer() as server:
        yield server


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> InProcessVendor:
    vendor = InProcessVendor()

    async def post(api: Api, body: Mapping[str, Any]) -> httpx2.Response:
        return vendor.post(api, body)

    monkeypatch.setattr(Api, "post", post)
    return vendor
