"""Measures the first minute of a new user: `make run` in a fresh clone, until the first word of an answer streams.

Run: python -m benchmarks.first_minute [--cache DIR]. It needs git, make, Chromium and a package registry, and takes
a minute. The clone and its home are empty temporary folders; only pip's cache is shared, so a first run with a cold
cache takes longer. Exits with 1 if the target is missed.
"""

import argparse
import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.async_api import async_playwright, expect

from tests.browser import ARGUMENTS, find_chromium

ROOT = Path(__file__).parent.parent
TARGET_S = 60.0
GIVE_UP_S = 300.0
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")
FIRST_WORDS = "Scripted answer"
PASSED_ON = re.compile(r"PIP_|HTTPS?_PROXY|NO_PROXY|SSL_CERT|REQUESTS_CA", re.IGNORECASE)
"""How this machine reaches its package registry."""


def environment(home: Path, cache: str) -> dict[str, str]:
    """Returns the environment of a new user: an empty home, no keys, and the commands that the README names."""
    passed_on = {name: value for name, value in os.environ.items() if PASSED_ON.match(name)}
    return {**passed_on, "HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PIP_CACHE_DIR": cache}


def pip_cache() -> str:
    """Returns the folder of pip's cache."""
    command = [sys.executable, "-m", "pip", "cache", "dir"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


async def measure(folder: Path, cache: str) -> tuple[float, float]:
    """Returns the seconds from `make run` to the page's address, and to the first streamed word."""
    started_s = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        "make",
        "run",
        cwd=folder / "typist",
        env=environment(folder / "home", cache),
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(GIVE_UP_S):
            address = await _address(process)
            served_s = time.monotonic() - started_s
            await _press_first_card(address)
            return served_s, time.monotonic() - started_s
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        await process.wait()


async def _address(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    while line := (await process.stdout.readline()).decode():
        print("  " + line.rstrip(), flush=True)
        if match := ADDRESS.search(line):
            return match[0]
    raise SystemExit("make run ended without an address.")


async def _press_first_card(address: str) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        page = await browser.new_page()
        await page.goto(address)
        await page.locator(".card").first.click()
        answer = page.get_by_role("region", name="Thread").locator(".message").last
        await expect(answer).to_contain_text(FIRST_WORDS, timeout=30_000)
        await browser.close()


def main() -> int:
    parser = argparse.ArgumentParser(description="From make run to the first streamed word.")
    parser.add_argument("--cache", default=None, help="pip's cache (default: pip's own)")
    cache = parser.parse_args().cache or pip_cache()
    if find_chromium() is None or shutil.which("make") is None:
        raise SystemExit("This benchmark needs make and Chromium.")
    with tempfile.TemporaryDirectory(prefix="first-minute-") as folder:
        Path(folder, "home").mkdir()
        subprocess.run(["git", "clone", "--quiet", str(ROOT), f"{folder}/typist"], check=True)  # noqa: S607
        served_s, streamed_s = asyncio.run(measure(Path(folder), cache))
    verdict = "ok" if streamed_s <= TARGET_S else "MISSED"
    print(f"make run to the page's address {served_s:.0f} s, to the first streamed word {streamed_s:.0f} s: {verdict}")
    return 0 if streamed_s <= TARGET_S else 1


if __name__ == "__main__":
    sys.exit(main())
