"""Shows where the CPU of a reply goes: `python -m benchmarks.cpu_profile [--carrier edit|stream] [--replies 5]`.

The bot runs in a process of its own under cProfile, and answers one question after the other with 600 words at 40 a
second. A first answer isn't counted. The profile is read by the package that a function belongs to: what Python's own
modules do for one, such as asyncio or json, stands by itself. A profiler makes small functions look dearer than they
are, so shares count, and milliseconds are those of the process without it.
"""

import argparse
import asyncio
import cProfile
import json
import os
import pstats
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path, PurePath

from benchmarks.carried import force
from benchmarks.live import EDITS_A_MINUTE, FIRST_WORD_S, ROOT, WORDS, WORDS_PER_S
from benchmarks.numbered_model import NumberedModel, question
from benchmarks.process import running
from benchmarks.readers import Readers
from bot.__main__ import main as run_typist
from sandbox.server import Sandbox

WITHIN_S = 120.0
BETWEEN_S = 1.0
WRITTEN_WITHIN_S = 5.0
MIN_SHARE = 0.01
KNOWN = ("asyncio", "json", "email", "logging")
"""Folders of Python's own modules that stand by themselves."""


@dataclass(frozen=True)
class Measured:
    """The CPU of some replies, and the profile of their process."""

    cpu_ms: float
    """Of one reply."""
    seconds: Mapping[str, float]
    """In functions of each package, by the profiler's own time."""


async def answered(carrier: str, replies: int, *, profile: Path | None) -> float:
    """Returns the CPU time of one reply, in milliseconds."""
    arguments = ["-m", "benchmarks.carried", carrier, "run"]
    if profile is not None:
        arguments = ["-m", "benchmarks.cpu_profile", "--bot", str(profile), "--carrier", carrier]
    manifest = json.loads((ROOT / "manifest.json").read_text())
    async with (
        Sandbox(manifest=manifest, budgets={"chat.update": EDITS_A_MINUTE}) as sandbox,
        NumberedModel(WORDS_PER_S, FIRST_WORD_S) as model,
        running(arguments, sandbox, model.url) as process,
    ):
        await sandbox.wait_for_bot()
        readers, cpu_s = Readers(sandbox.workspace), 0.0
        for number in range(replies + 1):
            if number == 1:
                cpu_s = process.cpu_s()
            asked = await sandbox.say("ada", "general", f"@typist {question(number, WORDS)}")
            give_up_s = time.monotonic() + WITHIN_S
            while not readers.see_all_of(("C0GENERAL", asked), WORDS):
                if time.monotonic() > give_up_s:
                    raise TimeoutError(f"question {number} was not answered within {WITHIN_S:.0f} s")
                await asyncio.sleep(0.2)
            await asyncio.sleep(BETWEEN_S)
        cpu_s = process.cpu_s() - cpu_s
        if profile is not None:
            os.kill(process.pid, signal.SIGUSR1)
            await asyncio.sleep(WRITTEN_WITHIN_S)
        return cpu_s * 1_000 / replies


def run_bot(carrier: str, profile: Path) -> None:
    """Runs the bot under the profiler, which writes at SIGUSR1."""
    profiler = cProfile.Profile()

    def write(*_: object) -> None:
        profiler.disable()
        profiler.dump_stats(profile)

    signal.signal(signal.SIGUSR1, write)
    force(carrier)
    sys.argv = [sys.argv[0], "run"]
    profiler.enable()
    run_typist()


def by_package(profile: Path) -> dict[str, float]:
    """Returns the seconds in functions of each package, callees left out."""
    seconds = defaultdict[str, float](float)
    for package, own_s in _own_times(profile):
        seconds[package] += own_s
    return seconds


def _own_times(profile: Path) -> Iterator[tuple[str, float]]:
    stats = pstats.Stats(str(profile)).stats  # type: ignore[attr-defined]
    for (file, _, name), (_, _, own_s, _, _) in stats.items():
        if "select" in name or "poll" in name:
            # The process waits there.
            continue
        yield _package(file, name), own_s


def _package(file: str, name: str) -> str:
    parts = PurePath(file).parts
    if "site-packages" in parts:
        return parts[parts.index("site-packages") + 1].removesuffix(".py")
    for ours in ("bot", "handlers"):
        if ours in parts:
            after = parts[parts.index(ours) :]
            return "/".join(after[:2]).removesuffix(".py")
    if file == "~":
        return "built-in functions"
    folder = PurePath(file).parent.name
    return f"Python: {folder if folder in KNOWN else 'other modules'}"


async def measure(carrier: str, replies: int) -> Measured:
    """Measures the CPU without a profiler, and then the shares with it."""
    with tempfile.TemporaryDirectory() as folder:
        profile = Path(folder) / "profile"
        cpu_ms = await answered(carrier, replies, profile=None)
        await answered(carrier, replies, profile=profile)
        return Measured(cpu_ms, by_package(profile))


def main() -> None:
    parser = argparse.ArgumentParser(description="Shows where the CPU of a reply goes.")
    parser.add_argument("--carrier", choices=("edit", "stream"), default="edit")
    parser.add_argument("--replies", type=int, default=5)
    parser.add_argument("--bot", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bot is not None:
        run_bot(options.carrier, options.bot)
        return
    measured = asyncio.run(measure(options.carrier, options.replies))
    whole_s = sum(measured.seconds.values())
    print(f"CPU of a reply of {WORDS} words: {measured.cpu_ms:.0f} ms")
    for package, seconds in sorted(measured.seconds.items(), key=itemgetter(1), reverse=True):
        if seconds >= MIN_SHARE * whole_s:
            print(f"{seconds / whole_s:6.1%}  {package}")


if __name__ == "__main__":
    main()
