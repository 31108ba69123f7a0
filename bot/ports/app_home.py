"""App Home. Each method raises RateLimited and Refused."""

from typing import Protocol

from bot.core.app_home import HomeView


class AppHomeTab(Protocol):
    """Publishes App Home."""

    async def publish_home(self, user_id: str, view: HomeView) -> None:
        """Shows App Home to one person."""
        ...
