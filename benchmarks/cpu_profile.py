"""Shows where a reply's CPU time goes: `python -m benchmarks.cpu_profile [--carrier edit|stream] [--replies 5]`.

The bot runs in a separate process under cProfile, and answers one question after the other with 600 words at 40 words a
second. The first answer isn't counted. The profile is grouped by the package that a function belongs to. Python's own
modules, such as asyncio or json, are listed separately. Because a profiler makes small functions look more expensive
than they are, only the shares come from the profile. The milliseconds come from a process without the profiler.
"""

import argparse
import asyncio
import cProfile
import os
import pstats
import signal
import sys
import tempfile
from collections import defaultdict
from operator import itemgetter
from pathlib import Path, PurePath

from benchmarks.carried import force
from benchmarks.costs import WHOLE_WORDS, by, live_reply_cpu_s
from benchmarks.process import Process
from bot.__main__ import main as run_typist

WRITTEN_WITHIN_S = 5.0
MIN_SHARE = 0.01
KNOWN = ("asyncio", "json", "email", "logging")
"""Folders of Python's own modules that stand by themselves."""


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
    stats = pstats.Stats(str(profile)).stats  # type: ignore[attr-defined]
    for (file, _, name), (_, _, own_s, _, _) in stats.items():
        # The process waits in select and poll.
        if "select" not in name and "poll" not in name:
            seconds[_package(file)] += own_s
    return seconds


def _package(file: str) -> str:
    parts = PurePath(file).parts
    if "site-packages" in parts:
        return parts[parts.index("site-packages") + 1].removesuffix(".py")
    for ours in ("bot", "handlers", "files_to_markdown", "slack_markdown", "slack_pacing"):
        if ours in parts:
            after = parts[parts.index(ours) :]
            return "/".join(after[:2]).removesuffix(".py")
    if file == "~":
        return "built-in functions"
    folder = PurePath(file).parent.name
    return f"Python: {folder if folder in KNOWN else 'other modules'}"


async def _write_profile(process: Process) -> None:
    os.kill(process.pid, signal.SIGUSR1)
    await asyncio.sleep(WRITTEN_WITHIN_S)


async def measure(carrier: str, replies: int) -> tuple[float, dict[str, float]]:
    """Returns the CPU time of a reply in seconds, without a profiler, and the seconds of each package with it."""
    with tempfile.TemporaryDirectory() as folder:
        profile = Path(folder) / "profile"
        cpu_s = await live_reply_cpu_s(by(carrier), replies)
        profiled = ("-m", "benchmarks.cpu_profile", "--bot", str(profile), "--carrier", carrier)
        await live_reply_cpu_s(profiled, replies, at_end=_write_profile)
        return cpu_s, by_package(profile)


def main() -> None:
    parser = argparse.ArgumentParser(description="ReplyTarget where the CPU of a reply goes.")
    parser.add_argument("--carrier", choices=("edit", "stream"), default="edit")
    parser.add_argument("--replies", type=int, default=5)
    parser.add_argument("--bot", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bot is not None:
        run_bot(options.carrier, options.bot)
        return
    cpu_s, by_packages = asyncio.run(measure(options.carrier, options.replies))
    whole_s = sum(by_packages.values())
    print(f"CPU of a reply of {WHOLE_WORDS} words: {cpu_s * 1_000:.0f} ms")
    for package, seconds in sorted(by_packages.items(), key=itemgetter(1), reverse=True):
        if seconds >= MIN_SHARE * whole_s:
            print(f"{seconds / whole_s:6.1%}  {package}")


if __name__ == "__main__":
    main()
