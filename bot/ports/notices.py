"""Notices that are sent at most once in a period, over all processes. Raises StoreError."""

import math
from typing import Protocol


class Notices(Protocol):
    """Says whether a notice is due, and marks it as sent in the same step."""

    async def claim(self, team_id: str, user_id: str, notice: str, every_s: float = math.inf) -> bool:
        """Returns True once within `every_s` for a person and a notice: then the caller sends it.

        An empty `user_id` stands for everybody in the workspace.
        """
        ...
