"""Fixtures of the tests of MCP servers."""

from pathlib import Path

import pytest

from tests.clocks import HurriedClock
from tests.mcp.servers import RawServer


@pytest.fixture
def clock() -> HurriedClock:
    return HurriedClock()


@pytest.fixture
def raw(tmp_path: Path) -> RawServer:
    return RawServer(tmp_path / "raw.json")
