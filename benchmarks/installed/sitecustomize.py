"""Has slack_sdk's clients of any bot call SLACK_API_URL. Python imports it at its start, from PYTHONPATH."""

import contextlib
import os
from typing import Any

from slack_sdk.web.base_client import BaseClient

clients: list[Any] = [BaseClient]
with contextlib.suppress(ImportError):
    # Needs aiohttp, which a bot in threads may lack.
    from slack_sdk.web.async_base_client import AsyncBaseClient

    clients.append(AsyncBaseClient)
for client in clients:
    client.__init__.__defaults__ = tuple(
        os.environ["SLACK_API_URL"] if value == client.BASE_URL else value for value in client.__init__.__defaults__
    )
