from pathlib import Path

import pytest

from tests.clocks import HurriedClock
from tests.mcp.servers import PATIENCE_S, RawServer


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives servers the time that they take to list their tools, and to end, beside other work."""
    monkeypatch.setattr("bot.mcp.tools.OFFERED_WITHIN_S", PATIENCE_S)
    for limit in ("server.LIST_WITHIN_S", "server.CLOSE_WITHIN_S", "stdio.KILLED_WITHIN_S"):
        monkeypatch.setattr(f"bot.mcp.{limit}", PATIENCE_S)


@pytest.fixture
def clock() -> HurriedClock:
    return HurriedClock()


@pytest.fixture
def raw(tmp_path: Path) -> RawServer:
    return RawServer(tmp_path / "raw.json")
