"""Fixtures for the contracts of providers."""

from collections.abc import AsyncIterator

import pytest

from tests.streams.server import VendorServer


@pytest.fixture
async def vendor() -> AsyncIterator[VendorServer]:
    async with VendorServer() as server:
        yield server
