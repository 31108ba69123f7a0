"""The page at BOT_PUBLIC_URL to which browsers return after a sign-in.

An attacker could send somebody a link to a sign-in for the attacker's own call, and would then be able to use that
person's account. Therefore, the page only shows a code, and nothing happens until the person whose call is waiting
types this code into Slack. The attack works only if the victim gives the attacker the code, just as in sign-ins where
people paste a URL.

Anyone on the internet can open the page. It doesn't show anything from the request, and opening it can do no more than
delay other sign-ins.
"""

import asyncio
import hashlib
import logging
from base64 import b64encode
from collections.abc import Awaitable, Callable
from html import escape

from aiohttp import web

from bot.core import texts
from bot.errors import TypistError
from bot.mcp.config import SignInConfig

WITHIN_S = 3.0
_STYLE = (
    ":root { color-scheme: light dark; font: 1.125rem/1.5 system-ui, sans-serif }"
    "main { max-width: 30rem; margin: 15vh auto; padding: 0 1.25rem }"
    "h1 { font-size: 1.125rem }"
    "strong { font: 600 2rem ui-monospace, monospace; white-space: nowrap }"
)
_STYLE_HASH = b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}
_HEAD = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    f"<title>{texts.accounts.SIGN_IN_TITLE}</title><style>{_STYLE}</style>"
)

log = logging.getLogger(__name__)


class SignInPage:
    """Shows the results of sign-ins. `on_redirect`: given the query and the server's name, returns a text and a
    code."""

    def __init__(self, config: SignInConfig, on_redirect: Callable[[str, str], Awaitable[tuple[str, str]]]) -> None:
        self._config = config
        self._on_redirect = on_redirect
        self._database_lock = asyncio.Lock()
        """Prevents a flood of requests from using up the database connections that answers need."""

    async def on_document_request(self, request: web.Request) -> web.Response:
        """Returns the client-ID metadata document, which is public. Its URL is Typist's client ID."""
        server = request.match_info.get("server", "")
        return web.json_response(
            {"client_id": self._config.document_url(server), **self._config.client_metadata(server)}
        )

    async def on_callback_request(self, request: web.Request) -> web.Response:
        status = 200
        try:
            async with asyncio.timeout(WITHIN_S), self._database_lock:
                sentence, code = await self._on_redirect(
                    request.rel_url.raw_query_string, request.match_info.get("server", "")
                )
        except (TypistError, TimeoutError) as error:
            log.warning("sign-in page: not shown: %s", type(error).__name__)
            status, sentence, code = 503, texts.accounts.TRY_AGAIN, ""
        lines = [escape(sentence)]
        if code:
            lines += [f"<strong>{code[:4]}-{code[4:]}</strong>", escape(texts.accounts.NOT_YOURS)]
        body = "".join(f"<p>{line}" for line in lines)
        text = f"{_HEAD}<main><h1>Typist</h1>{body}</main>"
        return web.Response(text=text, status=status, content_type="text/html", headers=HEADERS)
