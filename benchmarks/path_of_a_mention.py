"""Lists the functions that one mention passes, in order, and how often the path turns back.

Functions of bot/, handlers/ and the libraries count. A mention asks in a channel, in the bot that runs in this process,
on the sandbox. A function counts once, where the mention first passes it. A module is a room: the path turns back where
a function is in a room that was left before. What runs beside the mention, such as heartbeats, is left out: only the
tasks of the handler, of the worker's claims, of the attempt and of the edit scheduler count.

Run: python -m benchmarks.path_of_a_mention. Python 3.11 has no sys.monitoring, so this uses sys.setprofile.
"""

import asyncio
import sys
from collections import Counter
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from bot.clock import SystemClock
from slack_sandbox.server import Sandbox
from tests.scenarios.conftest import Stage, running, says, settings_of
from tests.streams.server import VendorServer

ROOT = Path(__file__).parent.parent
BEGINS = ("Worker._claim", "EditScheduler._send_due_calls")
"""Functions whose tasks began before the mention, and go on with it."""
PARTS = {
    "all": ("handlers", "bot", "files_to_markdown", "slack_markdown"),
    "handlers, services, reply, store": ("handlers", "bot.services", "bot.reply", "bot.store"),
    "handlers, services": ("handlers", "bot.services"),
}
"""The packages that are counted together. The last ones decide what happens; the others show, record, or are pure."""

_on_path: ContextVar[bool] = ContextVar("_on_path", default=False)


@dataclass
class Passage:
    """The functions that were passed, each once and in order, as (module, qualified name)."""

    functions: dict[tuple[str, str], None] = field(default_factory=dict)

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if event != "call":
            return
        module, name = frame.f_globals.get("__name__", ""), frame.f_code.co_qualname
        if not module.startswith(tuple(f"{package}." for package in PARTS["all"])) or name.endswith(">"):
            return
        if module.startswith("handlers.") or name in BEGINS:
            _on_path.set(True)
        if _on_path.get():
            self.functions[module, name] = None


def returns(functions: Sequence[tuple[str, str]]) -> int:
    """Returns how often the path goes into a room that it has left."""
    rooms = [module for module, _ in functions]
    seen: set[str] = set()
    count = 0
    for before, room in zip(("", *rooms), rooms, strict=False):
        count += room != before and room in seen
        seen.add(room)
    return count


async def passed() -> list[tuple[str, str]]:
    """Returns the functions that a mention passes in a process that has answered one before."""
    async with Sandbox() as sandbox, VendorServer() as vendor:
        vendor.script(*(says("It is so because of that.") for _ in range(2)))
        stage = Stage(sandbox, vendor)
        async with running(settings_of(sandbox, vendor), SystemClock()):
            await stage.answers("general", await stage.mention())
            passage = Passage()
            sys.setprofile(passage)
            try:
                await stage.answers("general", await stage.mention())
            finally:
                sys.setprofile(None)
    return list(passage.functions)


def main() -> None:
    """Prints the path and its figures."""
    functions = asyncio.run(passed())
    for module, name in functions:
        print(f"{module}: {name}")
    by_package = Counter(".".join(module.split(".")[:2]) for module, _ in functions)
    print(", ".join(f"{package} {count}" for package, count in by_package.most_common()))
    for part, packages in PARTS.items():
        of_part = [function for function in functions if function[0].startswith(packages)]
        print(f"{part}: {len(of_part)} functions, {returns(of_part)} returns")


if __name__ == "__main__":
    main()
