"""Finds a model server on this machine: Ollama, LM Studio or llama.cpp, each on its default port.

Requests go only to 127.0.0.1, without a proxy, and redirects aren't followed. All servers are queried at the same time,
so a search takes at most `ANSWER_WITHIN_S`, whatever is listening on these ports.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp

ANSWER_WITHIN_S = 0.8
_MAX_BYTES = 1_000_000
_NO_CHAT = ("embed", "rerank", "whisper", "tts", "bge-", "clip", "stable-diffusion")
"""Parts of model names that identify models that don't write answers."""


@dataclass(frozen=True, slots=True)
class Server:
    """A program that serves models with OpenAI's API."""

    name: str
    port: int

    @property
    def base_url(self) -> str:
        """The base URL for an OpenAI client."""
        return f"http://127.0.0.1:{self.port}/v1"


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A running server, and the model to call."""

    server: Server
    model: str


SERVERS = (Server("Ollama", 11434), Server("LM Studio", 1234), Server("llama.cpp", 8080))
"""The servers to look for. The first one that is found is used."""


async def find_server(servers: Sequence[Server] = SERVERS) -> RunningServer | None:
    """Returns the first server that is running and has a model that writes answers, or None."""
    async with aiohttp.ClientSession(trust_env=False) as session:
        models = await asyncio.gather(*(_model_of(session, server) for server in servers))
    running = (RunningServer(server, model) for server, model in zip(servers, models, strict=True) if model)
    return next(running, None)


async def _model_of(session: aiohttp.ClientSession, server: Server) -> str | None:
    """Returns the server's first model that writes answers, or None if there is none or another program uses the
    port."""
    try:
        async with (
            asyncio.timeout(ANSWER_WITHIN_S),
            session.get(f"{server.base_url}/models", allow_redirects=False) as response,
        ):
            if response.status != 200:
                return None
            return _choose(json.loads(await _body(response)))
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
        return None


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """Returns the response's body. Raises ValueError if the body is too long to be a list of models."""
    body = b""
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _MAX_BYTES:
            raise ValueError("too long")
    return body


def _choose(listed: object) -> str | None:
    models = listed.get("data") if isinstance(listed, dict) else None
    if not isinstance(models, list):
        return None
    names = [model["id"] for model in models if isinstance(model, dict) and isinstance(model.get("id"), str)]
    return next((name for name in names if name and not any(part in name.lower() for part in _NO_CHAT)), None)
