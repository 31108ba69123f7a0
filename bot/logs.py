"""How the log is written: nothing of what people ask or models answer, and no token, whatever library logs it.

Two rules hold for every record, also for those of libraries that nobody has looked at:

- Ours are written from the chosen level on. Others are written from warnings on, whatever their loggers' levels say
  (OPENAI_LOG=debug sets one), and only up to the first mark after which values stand.
- An exception is told by its type and by where it was raised. Only those whose words are known keep them.
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
"""Warns of tokens that it is given in two ways, which is how it is to be, and shows a traceback when Slack is away."""
KEPT = (TypistError, OSError)
"""Exceptions whose words hold no text of people: ours, and the operating system's."""
_VALUES = re.compile(r"""[:({\[<="'`\n]""")

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def set_up(level: str, stream: TextIO = sys.stderr) -> None:
    """Has all records written to the stream, ours from this level on."""
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
    """Writes a record without what others may have put into it."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's line, and the places of its exception."""
        told = logging.makeLogRecord(record.__dict__)
        library = record.name.partition(".")[0]
        if library not in OURS:
            told.msg, told.args = _VALUES.split(str(record.msg), maxsplit=1)[0].rstrip(), None
        elif isinstance(record.args, tuple):
            told.args = tuple(_named(each) if isinstance(each, BaseException) else each for each in record.args)
        if library == BOLT and record.exc_info and record.exc_info[1]:
            told.msg, told.exc_info = f"{told.msg}: {_named(record.exc_info[1])}", None
        # Another handler may have left its own telling in the record.
        told.exc_text = None
        return super().format(told)

    def formatException(self, ei: ExcInfo) -> str:  # noqa: N802
        """The exception and what led to it, the first one first."""
        return "\n".join(_places(error) for error in reversed(list(_chain(ei[1]))))


def _named(error: BaseException) -> str:
    """What kind of exception it is; what it says, where that is known."""
    name = type(error).__name__
    return str(error) or name if isinstance(error, KEPT) else name


def _places(error: BaseException) -> str:
    """Where it was raised; source lines hold no values."""
    places = "".join(traceback.format_tb(error.__traceback__))
    said = f"{type(error).__name__}: {error}" if isinstance(error, KEPT) else type(error).__name__
    return f"{places}{said}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
