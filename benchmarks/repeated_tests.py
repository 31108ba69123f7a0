"""Runs `make test` several times in a row, the last times beside busy loops, to find tests that fail by chance.

    make test-repeatedly

No run sees the examples that Hypothesis kept of another. Ends with the number of failed runs as its exit code; what a
failed run wrote is kept in a file whose path is printed.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

MAX_RUN_S = 3600
"""A run that takes longer has failed: its whole process group is killed."""
BUSY = "import os, sys\nparent = int(sys.argv[1])\nwhile os.getppid() == parent: pass"
"""Ends by itself if its parent is killed."""


def run(number: int, busy_loops: int) -> bool:
    """Runs `make test` beside so many busy loops and returns whether it passed. Prints its time and its last line."""
    with ExitStack() as stack:
        log = Path(tempfile.mkstemp(prefix=f"make-test-{number}-", suffix=".log")[1])
        examples = stack.enter_context(tempfile.TemporaryDirectory(prefix="hypothesis-"))
        for _ in range(busy_loops):
            busy = stack.enter_context(subprocess.Popen([sys.executable, "-c", BUSY, str(os.getpid())]))
            stack.callback(busy.kill)
        began = time.monotonic()
        with log.open("w") as output, log.open() as written:
            tests = subprocess.Popen(
                ["make", "test"],  # noqa: S607 - the reader's own make
                env={**os.environ, "HYPOTHESIS_STORAGE_DIRECTORY": examples},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                code = tests.wait(MAX_RUN_S)
            except BaseException as error:
                os.killpg(tests.pid, signal.SIGKILL)
                tests.wait()
                if not isinstance(error, subprocess.TimeoutExpired):
                    raise
                code = -signal.SIGKILL
            lines = [line for line in written.read().splitlines() if " passed" in line or " failed" in line]
    summary = lines[-1] if lines else "no summary"
    beside = f", beside {busy_loops} busy loops" if busy_loops else ""
    print(f"run {number}{beside}: {summary}, {time.monotonic() - began:.0f} s", flush=True)
    if code == 0:
        log.unlink()
    else:
        print(f"run {number} failed (exit code {code}): {log}", flush=True)
    return code == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10, help="runs in all (10)")
    parser.add_argument("--busy", type=int, default=3, help="the last ones, beside two busy loops (3)")
    options = parser.parse_args()
    passed = [run(number, 2 if number > options.runs - options.busy else 0) for number in range(1, options.runs + 1)]
    print(f"{passed.count(False)} of {len(passed)} runs failed")
    return min(passed.count(False), 100)


if __name__ == "__main__":
    sys.exit(main())
