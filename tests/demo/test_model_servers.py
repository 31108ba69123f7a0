"""The search for model servers on this machine, over real HTTP."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp import web

from bot.models.setup import VendorSettings
from bot.settings import Settings
from demo.local_model import unavailable_reason
from demo.model_servers import RunningServer, Server, find_server
from demo.models import choose_model
from demo.scripted_model import ScriptedModel

IN_TIME_S = 3.0
"""What a program here may take to answer, beside other work."""
Serve = Callable[..., Awaitable[Server]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
async def serve(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Serve]:
    """Starts a program that answers /v1/models."""
    monkeypatch.setattr("demo.model_servers.ANSWER_WITHIN_S", IN_TIME_S)
    async with AsyncExitStack() as stack:

        async def serving(name: str, handler: Handler) -> Server:
            app = web.Application()
            app.add_routes([web.get("/v1/models", handler)])
            runner = web.AppRunner(app, shutdown_timeout=0.1)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            return Server(name, runner.addresses[0][1])

        yield serving


def lists(*names: str) -> Handler:
    return says({"object": "list", "data": [{"id": name, "object": "model"} for name in names]})


def says(body: Any) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        return web.json_response(body)

    return handle


async def hangs(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(30)
    return web.Response()


async def sends_html(request: web.Request) -> web.StreamResponse:
    return web.Response(text="<html>Some other program</html>", content_type="text/html")


async def sends_elsewhere(request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("http://127.0.0.1:1/v1/models")


async def sends_too_much(request: web.Request) -> web.StreamResponse:
    return web.Response(text="[" + " " * 2_000_000 + "]")


async def test_first_server_with_a_model_is_chosen(serve: Serve) -> None:
    first = await serve("first", lists())
    second = await serve("second", lists("nomic-embed-text:latest", "qwen/qwen4-8b", "gemma4"))
    third = await serve("third", lists("llama4"))
    assert await find_server([first, second, third]) == RunningServer(second, "qwen/qwen4-8b")


@pytest.mark.parametrize(
    "handler",
    [
        sends_html,
        sends_elsewhere,
        sends_too_much,
        *map(says, ([], {}, {"data": None}, {"data": [None, {"id": 7}, {"id": ""}]}, {"data": [{"id": "bge-m3"}]})),
    ],
)
async def test_another_program_on_the_port_is_no_model_server(serve: Serve, handler: Handler) -> None:
    assert await find_server([await serve("other", handler)]) is None


async def test_search_does_not_wait_for_servers_that_hang(serve: Serve) -> None:
    servers = [await serve("hangs", hangs), await serve("hangs, too", hangs), await serve("found", lists("llama4"))]
    started = time.monotonic()
    assert await find_server([*servers, Server("closed", 1)]) == RunningServer(servers[2], "llama4")
    assert time.monotonic() - started < 20


async def test_server_that_is_found_answers_unless_a_model_is_set(serve: Serve) -> None:
    server = await serve("LM Studio", lists("qwen/qwen4-8b"))
    async with AsyncExitStack() as stack:
        scripted = await stack.enter_async_context(ScriptedModel(()))
        local = await choose_model(Settings(), None, stack, scripted, [server])
        keyed = Settings(vendors={"anthropic": VendorSettings("sk-1")})
        set_up = await choose_model(keyed, None, stack, scripted, [server])
        named = await choose_model(Settings(), "scripted", stack, scripted, [server])
        without = await choose_model(Settings(), None, stack, scripted, [])
    assert local.description == f"qwen/qwen4-8b in LM Studio, found on 127.0.0.1:{server.port}"
    assert local.settings.models == ("openai/qwen/qwen4-8b",)
    assert local.settings.vendors["openai"].base_url == f"http://127.0.0.1:{server.port}/v1"
    assert set_up.settings == keyed
    for unreal in (named, without):
        assert (unreal.settings.models, unreal.is_real, unreal.is_toy) == (("openai/scripted",), False, False)
    assert named.settings.vendors["openai"].base_url == scripted.base_url


@pytest.mark.wide
@pytest.mark.skipif(unavailable_reason() is not None, reason=unavailable_reason() or "")
@pytest.mark.long
async def test_bundled_model_is_called_a_toy() -> None:
    async with AsyncExitStack() as stack:
        choice = await choose_model(Settings(), "local", stack, ScriptedModel(()), [])
    assert choice.description == "SmolLM2-135M-Instruct, a toy model, only here to show streaming"
    assert not choice.is_real
