"""What models charge."""

from typing import Protocol

from bot.core.stream import Usage


class Prices(Protocol):
    """Knows the prices of models. It never waits, and never fails."""

    def cost_usd(self, model: str, usage: Usage, at: float) -> float | None:
        """Returns the charge for a usage at that time (seconds since the epoch), None if it is unknown.

        Prices may depend on one request's input, so the requests that the usage sums up are priced one by one.
        """
        ...
