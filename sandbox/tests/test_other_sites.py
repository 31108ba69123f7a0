"""A web page that a developer visits can't use the sandbox, even if it knows the tokens. Tested in a real Chromium."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlencode, urlsplit

import pytest
from aiohttp import web
from playwright.async_api import Page, expect

from slack_sandbox.files import UploadedFile
from slack_sandbox.server import HOST, Sandbox
from slack_sandbox.testing.browser import Visit, browser, visit

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.long]
__all__ = ["browser", "visit"]

FETCH = """([url, body]) => fetch(url, {method: "POST", mode: "no-cors", body, credentials: "include"})
    .then(() => "sent", () => "failed")"""
IMAGE = """url => new Promise(done => {
    const image = new Image();
    image.onload = () => done("shown");
    image.onerror = () => done("failed");
    image.src = url;
})"""
SOCKET = """url => new Promise(done => {
    const socket = new WebSocket(url);
    socket.onmessage = message => done(message.data);
    socket.onerror = () => done("failed");
})"""
FORM = """([url, fields]) => new Promise(done => {
    const frame = Object.assign(document.createElement("iframe"), {name: "frame"});
    document.body.appendChild(frame);
    const form = document.body.appendChild(document.createElement("form"));
    Object.assign(form, {method: "POST", action: url, target: "frame"});
    for (const [name, value] of Object.entries(fields)) {
        form.appendChild(Object.assign(document.createElement("input"), {name, value}));
    }
    frame.onload = () => done("loaded");
    setTimeout(() => done("not loaded"), 5000);
    form.submit();
})"""


@asynccontextmanager
async def other_site() -> AsyncIterator[int]:
    """Serves an empty page at a free port, for all hostnames of this machine."""

    async def empty(request: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>Elsewhere</title><body>", content_type="text/html")

    app = web.Application()
    app.add_routes([web.get("/", empty)])
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def attack(page: Page, sandbox: Sandbox, address: str) -> list[int]:
    """Tries to post, read and connect from a page, using a URL of the sandbox; returns the HTTP statuses."""
    statuses = list[int]()
    # Playwright doesn't report the WebSocket handshake as a response.
    page.on("response", lambda response: statuses.append(response.status))
    call = {"token": sandbox.bot_token, "channel": "C0GENERAL", "text": "Reset your password"}
    file = sandbox.files.add("U0ADA", UploadedFile("a.txt", b"secret"))
    upload = sandbox.files.open_upload("b.txt", 1, "", "")
    response_url = sandbox.responses.issue_url("C0GENERAL", "U0ADA")
    post = f"{address}/api/chat.postMessage"

    await page.evaluate(FETCH, [post, urlencode(call)])
    await page.evaluate(FETCH, [f"{address}/api/apps.connections.open", urlencode({"token": sandbox.app_token})])
    await page.evaluate(FETCH, [address + urlsplit(response_url).path, '{"text": "x"}'])
    await page.evaluate(FETCH, [address + urlsplit(upload["upload_url"]).path, "x"])
    await page.evaluate(FETCH, [f"{address}/sandbox/say", "{}"])
    assert await page.evaluate(IMAGE, f"{post}?{urlencode(call)}") == "failed"
    assert await page.evaluate(IMAGE, f"{address}/sandbox/files/{file.id}") == "failed"
    assert await page.evaluate(IMAGE, f"{address}/files-pri/T0SANDBOX-{file.id}/a.txt") == "failed"
    socket = f"{address}/link/?ticket={sandbox.sockets.issue_ticket()}".replace("http", "ws", 1)
    assert await page.evaluate(SOCKET, socket) == "failed"
    await page.evaluate(FORM, [post, call])
    return statuses


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost"])
async def test_other_site_can_neither_post_nor_read_nor_connect(visit: Visit, host: str) -> None:
    async with Sandbox() as sandbox, other_site() as port:
        before = len(sandbox.messages("general"))
        page = await visit(f"http://{host}:{port}/")
        assert await attack(page, sandbox, sandbox.url) == [403] * 9
        assert (len(sandbox.calls), len(sandbox.messages("general"))) == (0, before)
        assert not sandbox.sockets.connections


async def test_name_that_is_rebound_to_the_sandbox_is_refused(visit: Visit) -> None:
    async with other_site() as port:
        page = await visit(f"http://evil.example:{port}/")
    # Now the name and the port lead to the sandbox, so for the browser both belong to the page's own site.
    async with Sandbox(port=port) as sandbox:
        before = len(sandbox.messages("general"))
        assert await attack(page, sandbox, f"http://evil.example:{port}") == [403] * 9
        for path in ("/", "/sandbox/state", "/api/conversations.history?channel=C0GENERAL"):
            assert await page.evaluate("path => fetch(path).then(answer => answer.status)", path) == 403
        assert (len(sandbox.calls), len(sandbox.messages("general"))) == (0, before)
        assert not sandbox.sockets.connections


async def test_link_on_another_site_opens_the_page(visit: Visit) -> None:
    async with Sandbox() as sandbox, other_site() as port:
        page = await visit(f"http://evil.example:{port}/")
        await page.evaluate("url => { location.href = url }", sandbox.url)
        await expect(page.get_by_role("heading", name="general").first).to_be_visible()
