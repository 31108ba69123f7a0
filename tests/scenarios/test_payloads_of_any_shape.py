"""Slack's payloads change without notice: the bot acknowledges each, whatever its shape, and goes on answering."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from slack_sandbox.testing import payloads
from tests.mutations import mutations
from tests.scenarios.conftest import Stage

pytestmark = pytest.mark.skips_waits

PAYLOADS = Path(payloads.__file__).parent
SAMPLES = sorted(path for kind in ("events", "interactivity") for path in (PAYLOADS / kind).glob("*"))


def kind_of(sample: Path) -> str:
    if sample.parent.name == "events":
        return "events_api"
    return "slash_commands" if sample.stem == "slash_command" else "interactive"


def sent(kind: str, depth: int) -> Iterator[tuple[str, Any]]:
    """Yields each sample, and each mutation that no earlier sample of its type has shown.

    `depth`: the values down to here are changed. Our own parsers are given all others in tests/slack/test_payloads.py.
    """
    seen = set()
    for sample in SAMPLES:
        if kind_of(sample) != kind:
            continue
        # Nothing is sent to Slack's own hosts.
        payload = json.loads(sample.read_text().replace("https://", "http://127.0.0.1:9/"))
        type_ = payload.get("event", payload).get("type")
        yield sample.stem, payload
        for name, mutation in mutations(payload, depth):
            if (type_, name) not in seen:
                seen.add((type_, name))
                yield f"{sample.stem}: {name}", mutation


@pytest.mark.parametrize("depth", [1, pytest.param(2, marks=pytest.mark.long)])
@pytest.mark.parametrize("kind", ["events_api", "interactive", "slash_commands"])
@pytest.mark.long(after_row=1)
async def test_every_payload_is_acknowledged(
    stage: Stage, kind: str, depth: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    not_acknowledged = []
    for name, payload in sent(kind, depth):
        # On a busy machine, a connection may end meanwhile. What makes the bot leave one out does so each time.
        for _ in range(2):
            await stage.sandbox.wait_for(lambda: stage.sandbox.sockets.connections)
            if await stage.sandbox.sockets.ask(kind, payload) is not None:
                break
        else:
            not_acknowledged.append(name)
    assert not_acknowledged == []
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []
    assert await stage.answers("general", await stage.mention()) == ["The whole answer."]
