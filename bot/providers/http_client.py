"""Posts requests to a vendor's API over kept connections.

The vendors' SDKs would do this too. They are not used because of what they import: Anthropic's takes 43 MB and 2,900
modules, OpenAI's 22 MB, for an URL, a header and a JSON body. Everything else they offer (retries, typed events, their
own decoders) Typist does itself, as it has to. tests/contracts/test_provider_requests.py compares the requests of both.
"""

import asyncio
import io
import json
from collections.abc import Mapping
from typing import Any

import aiohttp

from bot import __version__
from bot.providers.failures import ErrorResponse

# No read timeout: a model may think for long, and pings would keep a read alive that stalls. stall.py limits silence.
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5.0)
_MAX_CONNECTIONS = 1000
# Follow-up questions come within a minute or two: a kept connection saves them the handshakes.
_KEEPALIVE_S = 120.0


class HttpClient:
    """One connection pool for one base URL."""

    def __init__(self, base_url: str, headers: Mapping[str, str]) -> None:
        self.base_url = base_url.rstrip("/")
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_MAX_CONNECTIONS, keepalive_timeout=_KEEPALIVE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={
                "Accept": "application/json",
                "Content-Type": "application/json",
                "User-Agent": f"typist/{__version__}",
                **headers,
            },
            timeout=_TIMEOUT,
            # Proxies are set by HTTPS_PROXY and NO_PROXY.
            trust_env=True,
        )

    async def post(self, path: str, body: Mapping[str, Any]) -> aiohttp.ClientResponse:
        """Returns the response as soon as its headers are here. The caller closes it, which ends a stream early.

        Raises ErrorResponse for a status of 400 or more, and the transport's errors.
        """
        data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        # A file-like body is sent in pieces: images make it many megabytes, and other streams must go on meanwhile.
        response = await self._session.post(f"{self.base_url}{path}", data=io.BytesIO(data))
        if response.status < 400:
            return response
        try:
            text = await response.text(errors="replace")
        finally:
            response.close()
        raise ErrorResponse(response.status, response.headers, _parsed(text))

    async def aclose(self) -> None:
        """Closes all connections, those of live answers too."""
        await self._session.close()
        # aiohttp closes TLS connections in the loop's next turn.
        await asyncio.sleep(0)


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text
