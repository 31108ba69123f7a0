"""Fixtures for the contracts of providers, and the mark of all contracts."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest

from bot.models.api import Api
from tests.contracts.in_process import InProcessVendor
from tests.streams.server import VendorServer

HERE = Path(__file__).parent
IN_MAKE_TEST = "test_erasure_leaves_no_trace_of_what_it_erases_and_all_else[file"
"""It names a text column that erasure forgets, within a second."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the contracts as wide: `make test-touched` runs them after a change to the module they are named after."""
    for item in items:
        if item.path.is_relative_to(HERE) and not item.name.startswith(IN_MAKE_TEST):
            item.add_marker(pytest.mark.wide)


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
