"""A database that most tests of this folder use as it is."""

from collections.abc import AsyncIterator

import pytest

from bot.store import Stores
from tests.clocks import InstantClock


@pytest.fixture
async def stores() -> AsyncIterator[Stores]:
    stores = await Stores.open("sqlite://", "w1", InstantClock())
    yield stores
    await stores.close()
