"""What conversations leave behind: no counter and no collection of a long-lived object grows with each of them."""

import asyncio
import gc
from collections import Counter, deque
from itertools import pairwise
from types import ModuleType

import pytest

from slack_sandbox.server import Sandbox
from tests.fast import run_fast
from tests.scenarios.conftest import Stage, manifest, running, settings_of
from tests.scenarios.test_each_call_fails_once import Count, converse, model
from tests.scenarios.tools import Notes
from tests.streams.server import VendorServer

OURS = ("bot.", "handlers.", "slack_markdown.", "files_to_markdown.")
ROUNDS, SETTLES_S = 3, 120.0
"""Each round is two conversations, and the time in which what is done meanwhile is forgotten."""
MAY_GROW = {
    "WorkerLiveness._beats": "a clock",
    "WorkerQueue._handed_out": "jobs that waited for an approval, up to MAX_HANDED_OUT",
}


def _attributes(thing: object) -> dict[str, object]:
    slots = (name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ()))
    return {name: getattr(thing, name, None) for name in slots} | getattr(thing, "__dict__", {})


def sizes() -> Counter[str]:
    """Returns how many objects of ours there are, by class, and how large their counters and collections are."""
    gc.collect()
    found: Counter[str] = Counter()
    for thing in gc.get_objects():
        kind = type(thing)
        if isinstance(thing, (type, ModuleType)) or not str(kind.__module__).startswith(OURS):
            continue
        found[kind.__qualname__] += 1
        for name, value in _attributes(thing).items():
            if isinstance(value, dict | list | set) or (isinstance(value, deque) and value.maxlen is None):
                found[f"{kind.__qualname__}.{name}"] += len(value)
            elif type(value) is int and name.startswith("_"):
                found[f"{kind.__qualname__}.{name}"] += value
    return found


async def sizes_after_each_round() -> list[Counter[str]]:
    loop, notes, found = asyncio.get_running_loop(), Notes(), []
    sandbox = Sandbox(ack_timeout_s=120.0, manifest=manifest(), monotonic=loop.time)
    async with sandbox, VendorServer() as vendor:
        vendor.script(model(Count()))
        async with running(settings_of(sandbox, vendor), tools=notes) as bot:
            for _ in range(ROUNDS):
                for _ in range(2):
                    await converse(Stage(sandbox, vendor), bot, notes)
                await asyncio.sleep(SETTLES_S)
                found.append(sizes())
    return found


@pytest.mark.long
def test_conversations_leave_nothing_behind_that_grows() -> None:
    rounds = run_fast(sizes_after_each_round())
    grown = {
        name: [sizes[name] for sizes in rounds]
        for name in rounds[-1]
        if all(before[name] < after[name] for before, after in pairwise(rounds))
    }
    assert grown.keys() == MAY_GROW.keys(), grown
