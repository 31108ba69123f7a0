"""Short messages between the processes of one bot, for what may not be stored."""

from collections.abc import Callable
from typing import Protocol


class ProcessMessages(Protocol):
    """Carries texts from each process to all others that run now. Nothing is stored."""

    async def send(self, text: str) -> None:
        """Sends a text to the other processes, as far as they can be reached; never raises."""
        ...

    def on_message(self, heard: Callable[[str], None]) -> None:
        """Has `heard` called with each text that another process sends from now on."""
        ...
