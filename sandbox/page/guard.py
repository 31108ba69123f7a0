"""Access checks and JSON helpers for the page's routes."""

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
    """Returns a handler that accepts only requests from the sandbox's own page.

    The host name must be local, against DNS rebinding; the origin must be the sandbox itself.
    """

    async def guarded(request: web.Request) -> web.StreamResponse:
        if request.url.host not in ("127.0.0.1", "localhost"):
            raise web.HTTPForbidden(text="The sandbox's page is available only on this machine.")
        origin = request.headers.get("Origin")
        if origin is not None and origin != f"http://{request.host}":
            raise web.HTTPForbidden(text="Only the sandbox's own page may send this request.")
        try:
            response = await handler(request)
        except SlackError as error:
            response = web.json_response({"ok": False, "error": error.error}, status=400)
        if not response.prepared:
            response.headers.update(HEADERS)
        return response

    return guarded


async def body(request: web.Request) -> Json:
    """Returns the request's JSON object. Raises SlackError if the body isn't one."""
    # Other sites' forms can't send JSON without a preflight request.
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="Send JSON.")
    try:
        data = await request.json()
    except ValueError:
        raise SlackError("invalid_json") from None
    if not isinstance(data, dict):
        raise SlackError("json_not_object")
    return data


def strings(data: Json, *keys: str) -> list[str]:
    """Returns the values of these keys. Raises SlackError unless each is a string that isn't blank."""
    values = [data.get(key) for key in keys]
    if not all(isinstance(value, str) and value.strip() for value in values):
        raise SlackError(
            "no_text" if "text" in keys and not str(data.get("text") or "").strip() else "invalid_arguments"
        )
    return [str(value) for value in values]


def done(**fields: str) -> web.Response:
    """Returns a successful response with these fields."""
    return web.json_response({"ok": True, **fields})
