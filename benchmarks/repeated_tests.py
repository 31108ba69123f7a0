"""Runs `make test` several times, at the end alongside busy loops, to find tests that fail by chance.

    make test-repeatedly

Each run starts without the examples that Hypothesis saved in earlier runs. The exit code is the number of failed runs.
The output of a failed run is kept in a file whose path is printed.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

MAX_RUN_S = 3600
"""A run that takes longer has failed: its whole process group is killed."""
BUSY = "import os, sys\nparent = int(sys.argv[1])\nwhile os.getppid() == parent: pass"
"""Ends by itself if its parent is killed."""


def run(number: int, busy_loops: int) -> bool:
    """Runs `make test` beside so many busy loops and returns whether it passed. Prints its time and its summary."""
    log = Path(tempfile.mkstemp(prefix=f"make-test-{number}-", suffix=".log")[1])
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hypothesis-") as examples, log.open("w") as output:
        busy = [subprocess.Popen([sys.executable, "-c", BUSY, str(os.getpid())]) for _ in range(busy_loops)]
        tests = subprocess.Popen(
            ["make", "test"],  # noqa: S607 - the reader's own make
            env={**os.environ, "HYPOTHESIS_STORAGE_DIRECTORY": examples},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = tests.wait(MAX_RUN_S)
        except subprocess.TimeoutExpired:
            code = -signal.SIGKILL
        finally:
            with suppress(ProcessLookupError):
                os.killpg(tests.pid, signal.SIGKILL)
            for process in (tests, *busy):
                process.kill()
                process.wait()
    summaries = [line for line in log.read_text().splitlines() if " passed" in line or " failed" in line]
    beside = f", beside {busy_loops} busy loops" if busy_loops else ""
    result = f"failed (exit code {code}, {log})" if code else "passed"
    print(f"run {number}{beside} {result}: {' '.join(summaries[-1:])}, {time.monotonic() - began:.0f} s", flush=True)
    if code == 0:
        log.unlink()
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
