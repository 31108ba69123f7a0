"""The log: no question, no answer and no token is written to it, whichever library logs the record.

Two rules apply to every record, including those of libraries that nobody has reviewed:

- Our records are written from the chosen level on. Records of libraries are written from WARNING on, whatever their
  loggers' levels say (OPENAI_LOG=debug sets one), and are cut before the first character that may introduce a value.
- An exception is logged by its type and traceback. Only exceptions in KEPT keep their message.
"""

import logging
import re
import sys
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import TextIO

from bot.errors import TypistError

OURS = ("bot", "handlers")
BOLT = "slack_bolt"
"""Its records count from ERROR on. It warns about a token that it gets twice, which is intended."""
KEPT = (TypistError, OSError)
"""Exceptions whose messages contain no text of users: our own and the operating system's."""
_VALUES = re.compile(r"""[:({\[<="'`\n]""")

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def set_up(level: str, stream: TextIO = sys.stderr) -> None:
    """Sets up logging to the stream, of our records from this level on."""
    ours = getattr(logging, level.upper())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(PrivateFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.addFilter(lambda record: record.levelno >= _threshold(record.name, ours))
    logging.basicConfig(level=max(logging.WARNING, ours), handlers=[handler], force=True)
    for name in OURS:
        logging.getLogger(name).setLevel(ours)


def _threshold(name: str, ours: int) -> int:
    library = name.partition(".")[0]
    return ours if library in OURS else max(logging.ERROR if library == BOLT else logging.WARNING, ours)


class PrivateFormatter(logging.Formatter):
    """Formats a record without values that may be secret or a user's text."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the record's line and its exception's traceback."""
        private = logging.makeLogRecord(record.__dict__)
        library = record.name.partition(".")[0]
        if library not in OURS:
            private.msg = _VALUES.split(str(record.msg), maxsplit=1)[0].rstrip()
            private.args = None
        elif isinstance(record.args, tuple):
            private.args = tuple(_named(arg) if isinstance(arg, BaseException) else arg for arg in record.args)
        if library == BOLT and record.exc_info and record.exc_info[1]:
            private.msg = f"{private.msg}: {_named(record.exc_info[1])}"
            private.exc_info = None
        # Another handler may have cached its own text of the exception in the record.
        private.exc_text = None
        return super().format(private)

    def formatException(self, ei: ExcInfo) -> str:  # noqa: N802
        """Returns the tracebacks of the exception and its causes, the first cause first."""
        return "\n".join(_places(error) for error in reversed(list(_chain(ei[1]))))


def _named(error: BaseException) -> str:
    """Returns the exception's type, or its message if that may be logged."""
    name = type(error).__name__
    return str(error) or name if isinstance(error, KEPT) else name


def _places(error: BaseException) -> str:
    """Returns the exception's traceback, whose source lines contain no values, and its type."""
    places = "".join(traceback.format_tb(error.__traceback__))
    last_line = f"{type(error).__name__}: {error}" if isinstance(error, KEPT) else type(error).__name__
    return f"{places}{last_line}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
