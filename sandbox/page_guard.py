"""What every address of the page shares: only this machine's own page is let in, and what it sends is JSON."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from sandbox.workspace import Json, SlackError

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def guarded(handler: Handler) -> Handler:
    """Lets in only this server's own page: by its name (no DNS rebinding), and no POST from elsewhere."""

    async def guarded(request: web.Request) -> web.StreamResponse:
        if request.url.host not in ("127.0.0.1", "localhost"):
            raise web.HTTPForbidden(text="This page is for this machine only.")
        origin = request.headers.get("Origin")
        if origin is not None and origin != f"http://{request.host}":
            raise web.HTTPForbidden(text="Only the sandbox's own page may do this.")
        try:
            response = await handler(request)
        except SlackError as error:
            response = web.json_response({"ok": False, "error": error.error}, status=400)
        if not response.prepared:
            response.headers.update(HEADERS)
        return response

    return guarded


async def body(request: web.Request) -> Json:
    """What the page sends. Raises SlackError where it is no JSON object."""
    # A form from another site can't be JSON without asking first; so nothing else is taken.
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="Send JSON.")
    try:
        said = await request.json()
    except ValueError:
        raise SlackError("invalid_json") from None
    if not isinstance(said, dict):
        raise SlackError("json_not_object")
    return said


def strings(said: Json, *keys: str) -> list[str]:
    """The values of these keys, each a text with something in it. Raises SlackError."""
    values = [said.get(key) for key in keys]
    if not all(isinstance(value, str) and value.strip() for value in values):
        raise SlackError(
            "no_text" if "text" in keys and not str(said.get("text") or "").strip() else "invalid_arguments"
        )
    return [str(value) for value in values]


def done(**fields: str) -> web.Response:
    """An answer to the page."""
    return web.json_response({"ok": True, **fields})
