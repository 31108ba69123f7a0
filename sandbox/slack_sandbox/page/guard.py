"""The check for every route of the sandbox, and helper functions for the page's routes."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from slack_sandbox.workspace import Json, SlackError

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def refuse_other_sites(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Accepts only requests from programs on this machine and from the sandbox's own page, on every route.

    The host must be local, to prevent DNS rebinding, and the origin must be the sandbox. For image requests, browsers
    don't send an Origin header, but they do send `Sec-Fetch-Site`: https://www.w3.org/TR/fetch-metadata/. Links to the
    page are allowed.
    """
    if request.url.host not in ("127.0.0.1", "localhost"):
        raise web.HTTPForbidden(text="The sandbox is available only on this machine, as 127.0.0.1 or localhost.")
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
    is_link = request.path == "/" and request.headers.get("Sec-Fetch-Mode") == "navigate"
    if origin not in (None, f"http://{request.host}") or (site in ("cross-site", "same-site") and not is_link):
        raise web.HTTPForbidden(text="Other sites can't send requests to the sandbox.")
    return await handler(request)


def for_page(handler: Handler) -> Handler:
    """Wraps a handler: adds the page's headers, and turns SlackErrors into HTTP 400."""

    async def handled(request: web.Request) -> web.StreamResponse:
        try:
            response = await handler(request)
        except SlackError as error:
            response = web.json_response({"ok": False, "error": error.error}, status=400)
        if not response.prepared:
            response.headers.update(HEADERS)
        return response

    return handled


async def body(request: web.Request) -> Json:
    """Returns the request's JSON object. Raises SlackError if the body isn't a JSON object."""
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
    """Returns the values of these keys. Raises SlackError unless each is a non-blank string."""
    values = [data.get(key) for key in keys]
    if not all(isinstance(value, str) and value.strip() for value in values):
        raise SlackError(
            "no_text" if "text" in keys and not str(data.get("text") or "").strip() else "invalid_arguments"
        )
    return [str(value) for value in values]


def done(**fields: str) -> web.Response:
    return web.json_response({"ok": True, **fields})
