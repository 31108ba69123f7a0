"""Files that people share in Slack."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from bot.core.conversation import File
from bot.core.inbound.files import OpenedFile


class Files(Protocol):
    """Reads files."""

    def reading(self, files: Sequence[File]) -> AbstractAsyncContextManager[Mapping[str, OpenedFile]]:
        """Returns the content of each file, by id, or why it can't be read; never raises because of a file.

        The memory that the contents take counts as used until the context ends.
        """
        ...
