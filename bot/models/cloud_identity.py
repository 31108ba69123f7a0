"""The identity of this process at a cloud, as the cloud's own library finds it.

The libraries of AWS and Google block, for minutes if a token service hangs, and the SDKs call them in the threads that
the whole process shares, with DNS among others: a few questions would hold up everything else. So the library is asked
before each request, once for all requests that wait, in a thread of its own, and nobody waits longer than WITHIN_S.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

WITHIN_S = 20.0
"""The longest wait for credentials. They mostly take milliseconds, or are there already."""
ENTRA_SCOPE = "https://ai.azure.com/.default"
GOOGLE_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


class Blocking:
    """Credentials that a library finds and renews while it blocks."""

    def __init__(self, find: Callable[[], Any]) -> None:
        """`find` returns credentials that are good now, at once if it has some."""
        self._find = find
        self._finding: asyncio.Future[Any] | None = None

    async def find(self) -> Any:
        """Returns credentials that are good now. Raises the library's errors, and TimeoutError."""
        if self._finding is None or self._finding.done():
            self._finding = _in_own_thread(self._find)
        async with asyncio.timeout(WITHIN_S):
            return await asyncio.shield(self._finding)


class Entra:
    """The identity at Microsoft Entra ID, whose library doesn't block."""

    def __init__(self) -> None:
        # Of the extra azure.
        from azure.identity.aio import DefaultAzureCredential, get_bearer_token_provider

        self._credential = DefaultAzureCredential()
        self._provide = get_bearer_token_provider(self._credential, ENTRA_SCOPE)

    async def token(self) -> str:
        """Returns a token, which the library keeps until it expires. Raises the library's errors, and TimeoutError."""
        async with asyncio.timeout(WITHIN_S):
            return await self._provide()

    async def aclose(self) -> None:
        """Closes the connections for tokens."""
        await self._credential.close()


def aws(region: str) -> Blocking:
    """Returns the identity at AWS, for requests to a region."""
    session: Any = None
    is_absent = False

    def find() -> None:
        nonlocal session, is_absent
        # Of the extra bedrock.
        import boto3

        session = session or boto3.Session(region_name=region)
        # One search is enough, because it may take seconds. If there is nothing, the SDK says so, or uses a key of
        # Bedrock's own. It has a session of its own, and finds there what was found here.
        credentials = None if is_absent else session.get_credentials()
        is_absent = credentials is None
        if credentials is not None:
            credentials.get_frozen_credentials()

    return Blocking(find)


def google() -> Blocking:
    """Returns the identity at Google; find() returns credentials for the SDK."""
    found: list[Any] = []

    def find() -> Any:
        # Of the extra vertex.
        import google.auth
        from google.auth.transport.requests import Request

        if not found:
            credentials, _ = google.auth.default(scopes=[GOOGLE_SCOPE])
            found.append(credentials)
        if not found[0].valid:
            found[0].refresh(Request())
        return found[0]

    return Blocking(find)


def _in_own_thread(function: Callable[[], Any]) -> asyncio.Future[Any]:
    """Returns the future of a function's result. At the process's end its thread is left alone."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()
    # Nobody may be left to hear of an error.
    future.add_done_callback(lambda done: done.cancelled() or done.exception())

    def settle(result: Any, error: Exception | None) -> None:
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def run() -> None:
        result, error = None, None
        try:
            result = function()
        except Exception as raised:
            error = raised
        # The loop may be closed by now.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="credentials", daemon=True).start()
    return future
