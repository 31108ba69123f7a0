"""Measures time and disk space needed for the first answer, installed in three ways: python -m benchmarks.install

uvx runs the wheel in dist/, a clone of the newest commit runs `make run`, and buildah loads the image in dist/, which
runs in a chroot instead of a container. `make dist` builds both files. Each run has its own empty HOME and caches. When
the showcase is open, a person asks the question of its first card over HTTP. The run ends with the complete answer.

Prints the seconds until the page and the answer appear, and the disk space that is then in use: medians of `--runs`,
with their range. The time includes downloading packages, but not the wheel and the image, which are already here.
A run without an answer fails, after ten minutes at the latest. --ways uvx,clone,image
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
import venv
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import aiohttp

from bot import __version__
from slack_sandbox.testing.processes import inherited_environment
from tests.containers import buildah, mounted
from tests.processes import REPOSITORY

DIST = REPOSITORY / "dist"
WITHIN_S = 600.0
_READY = re.compile(r"Typist's sandbox is at (http://127\.0\.0\.1:\d+)")
_LOOK_S = 0.1
_STOPS_WITHIN_S = 30.0
_INDEX_VARIABLES = ("PIP_", "UV_", "SSL_CERT_")
"""Prefixes of the environment variables with which installers reach the package index."""


@dataclass(frozen=True)
class Run:
    page_s: float
    answer_s: float
    disk_mb: float


@dataclass(frozen=True)
class Home:
    """A folder that is empty at first: a run's HOME, temporary folder and work folder."""

    folder: Path
    uvx: str

    @property
    def env(self) -> Mapping[str, str]:
        index = {name: value for name, value in os.environ.items() if name.startswith(_INDEX_VARIABLES)}
        own = {"HOME": str(self.folder), "TMPDIR": str(self.folder), "PATH": os.environ["PATH"]}
        return {
            **inherited_environment(),
            **{name: value for name, value in index.items() if "CACHE" not in name},
            **own,
        }

    @asynccontextmanager
    async def running(self, *command: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """Starts a command. At the end of the block, ends it and its children."""
        process = await asyncio.create_subprocess_exec(
            *command, cwd=self.folder, env=self.env, start_new_session=True, stdout=asyncio.subprocess.PIPE
        )
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                async with asyncio.timeout(_STOPS_WITHIN_S):
                    await process.communicate()
            except TimeoutError:
                os.killpg(process.pid, signal.SIGKILL)


def _uvx(home: Home) -> AbstractAsyncContextManager[asyncio.subprocess.Process]:
    return home.running(home.uvx, "--quiet", "--from", str(_built("typist-*-py3-none-any.whl")), "typist")


def _clone(home: Home) -> AbstractAsyncContextManager[asyncio.subprocess.Process]:
    return home.running("sh", "-c", f"git clone --quiet '{REPOSITORY}' typist && cd typist && exec make run")


@asynccontextmanager
async def _image(home: Home) -> AsyncIterator[asyncio.subprocess.Process]:
    storage = ("--root", str(home.folder / "images"), "--runroot", str(home.folder / "run"))
    name = f"localhost/typist:{__version__}"
    archive = f"docker-archive:{_built('typist-*-image.tar')}"
    await asyncio.to_thread(buildah, *storage, "pull", "--quiet", archive)
    with mounted(name, home.folder / "data", *storage) as container:
        command = (*container.config["Entrypoint"], "python", "-m", "bot", "sandbox")
        # Here, the init isn't the first process. Nothing outside reaches the sandbox.
        env = {"TINI_SUBREAPER": "1", "SLACK_SANDBOX_LISTEN_ON": "127.0.0.1"}
        async with container.running(*command, env=env) as process:
            yield process
            process.send_signal(signal.SIGTERM)
            with suppress(TimeoutError):
                async with asyncio.timeout(_STOPS_WITHIN_S):
                    await process.communicate()


WAYS: Mapping[str, Callable[[Home], AbstractAsyncContextManager[asyncio.subprocess.Process]]] = {
    "uvx": _uvx,
    "clone": _clone,
    "image": _image,
}


def _built(pattern: str) -> Path:
    """Returns a file in dist/."""
    files = sorted(DIST.glob(pattern))
    if not files:
        raise SystemExit(f"dist/ has no {pattern}. Run `make dist` first.")
    return files[-1]


async def install(way: str, home: Home) -> Run:
    """Installs Typist in a new home, and asks the first card's question."""
    began_s = time.monotonic()
    async with asyncio.timeout(WITHIN_S), WAYS[way](home) as process, aiohttp.ClientSession() as session:
        url = await _page(process)
        async with session.get(url) as page:
            page.raise_for_status()
        page_s = time.monotonic() - began_s
        await _answer(session, url)
        return Run(page_s, time.monotonic() - began_s, _disk_mb(home.folder))


async def _page(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    while line := (await process.stdout.readline()).decode():
        if found := _READY.search(line):
            return found[1]
    raise AssertionError("the process ended before its page was ready")


async def _answer(session: aiohttp.ClientSession, url: str) -> None:
    """Asks the first card's question, as the page does, and waits until its answer has its last controls."""
    async with session.get(f"{url}/sandbox/state") as response:
        state = await response.json()
    channel, person, card = state["channels"][0], state["people"][0], state["guide"]["cards"][0]
    text = f"@{state['bot']['name']} {card['questions'][0]}"
    said = {"user_id": person["id"], "channel": channel["id"], "text": text}
    async with session.post(f"{url}/sandbox/say", json=said) as response:
        asked = (await response.json())["ts"]
    query = {"channel": channel["id"], "thread": asked}
    while True:
        async with session.get(f"{url}/sandbox/messages", params=query) as response:
            messages = (await response.json())["messages"]
        if any(message["is_bot"] and "Regenerate" in message["html"] for message in messages):
            return
        await asyncio.sleep(_LOOK_S)


def _disk_mb(folder: Path) -> float:
    """Returns what a folder's files take on disk. Files with several names count once, and mounted ones don't."""
    files = (path.lstat() for path in folder.rglob("*"))
    own = {file.st_ino: file.st_blocks for file in files if file.st_dev == folder.stat().st_dev}
    return sum(own.values()) * 512 / 1e6


def _installed_uvx(folder: Path) -> str:
    """Returns the path of uvx, which is installed if this machine doesn't have it."""
    if found := shutil.which("uvx"):
        return found
    venv.create(folder, with_pip=True)
    subprocess.run((str(folder / "bin/pip"), "install", "--quiet", "uv"), check=True, timeout=WITHIN_S)
    return str(folder / "bin/uvx")


def _row(way: str, runs: Sequence[Run]) -> str:
    columns = ([run.page_s for run in runs], [run.answer_s for run in runs], [run.disk_mb for run in runs])
    return f"{way:6}" + "".join(f"{median(some):8.0f} ({min(some):.0f} to {max(some):.0f})" for some in columns)


def main() -> int:
    """Measures the ways in turn, prints a table, and returns how many runs failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.install")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--ways", type=lambda text: text.split(","), default=[*WAYS])
    options = parser.parse_args()
    done: dict[str, list[Run]] = {way: [] for way in options.ways}
    failures = 0
    with tempfile.TemporaryDirectory() as tools:
        uvx = _installed_uvx(Path(tools)) if "uvx" in done else ""
        for way in (way for _ in range(options.runs) for way in done):
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
                try:
                    run = asyncio.run(install(way, Home(Path(folder), uvx)))
                except (AssertionError, TimeoutError, subprocess.SubprocessError, aiohttp.ClientError) as error:
                    failures += 1
                    print(f"{way}: no answer: {type(error).__name__} {error}", flush=True)
                    continue
            done[way].append(run)
            print(f"{way}: page {run.page_s:.1f} s, answer {run.answer_s:.1f} s, {run.disk_mb:.0f} MB", flush=True)
    print("way      page, s      answer, s      disk, MB")
    print(*(_row(way, runs) for way, runs in done.items() if runs), sep="\n")
    print("load at the end: {:.1f}, {:.1f}, {:.1f}".format(*os.getloadavg()), f"on {os.cpu_count()} cores")
    return failures


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main())
