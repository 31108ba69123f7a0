"""App Home. Each method raises RateLimited and Refused."""

from typing import Protocol

from bot.core.app_home import HomeView
from bot.core.limits.access import Denial


class AppHomeTab(Protocol):
    """Publishes App Home."""

    async def publish_home(self, user_id: str, content: HomeView | Denial) -> None:
        """Shows App Home to one person, or why they have no access."""
        ...
