"""Logging as text or JSON, without questions, answers or tokens, even in libraries' records.

A job's records include the job's ID, which `of_job` sets for a context and for tasks started in it. A task that serves
many jobs must be started in a separate context (contextvars.Context), or it would keep the ID of the job that started
it.

Two rules apply to every record, including those of unreviewed libraries:

- Typist's records are written from the configured level on. Libraries' records are written from WARNING on, regardless
  of their loggers' levels (OPENAI_LOG=debug sets a level), and are cut before the first character that might introduce
  a value. Of their arguments, only numbers and exception types are written.
- An exception is logged with its type and traceback. The message is logged only for Typist's and the operating system's
  exceptions. A library's message can contain a user's text: aiohttp's TimeoutError includes the whole URL.

Text from a vendor or a server, such as an error message, can't start a new line in the log. Repeated warnings and
errors are written less and less often, with the number of repetitions (`Repeats`), so loops don't have to count
failures.
"""

import json
import logging
import math
import re
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import TextIO

from bot.errors import StoreClosed, TypistError, source_path

OURS = ("bot", "handlers", "files_to_markdown")
BOLT = "slack_bolt"
MIN_LEVELS = {BOLT: logging.ERROR, "opentelemetry": logging.ERROR, "psycopg": logging.ERROR, "mcp": logging.CRITICAL}
"""Minimum levels for records of these libraries. For all others, it is WARNING. Bolt warns about receiving a token
twice, which is intended. OpenTelemetry warns at each retry while a collector is unavailable, before it reports lost
spans. Psycopg and MCP's SDK log failures that they also raise."""
_VALUES = re.compile(r"""[:({\[<="'`\n]""")
_VALUES_IN_TEMPLATE = re.compile(r"""[:=](?! ?%[\w.])|(?<!%)\(|[{\[<"'`\n]""")
_CONVERSION = re.compile(r"%(?:\((\w+)\))?[-#0 +]*+\d*+(?:\.\d++)?[a-zA-Z%]")
_BARE = re.compile(r"[\w./:@+-]+", re.ASCII)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
"""Matches characters that could start a line that looks like another record, or move a terminal's cursor."""
FIRST_QUIET_S, MAX_QUIET_S = 60.0, 960.0
MAX_REMEMBERED = 500
current_job: ContextVar[int | None] = ContextVar("current_job", default=None)

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


@contextmanager
def of_job(job_id: int) -> Iterator[None]:
    token = current_job.set(job_id)
    try:
        yield
    finally:
        current_job.reset(token)


def fields(values: Mapping[str, object]) -> Mapping[str, object]:
    """Returns the `extra` argument that adds fields to a log record. Fields that are None are omitted."""
    return {"fields": {name: value for name, value in values.items() if value is not None}}


_format = "text"
log = logging.getLogger(__name__)


def line(sentence: str, *, is_error: bool = True) -> str:
    if _format == "text":
        return f"typist: {sentence}" if is_error else sentence
    level = "ERROR" if is_error else "INFO"
    return JsonFormatter().format(logging.makeLogRecord({"name": "bot", "levelname": level, "msg": sentence}))


def set_up_early(log_format: str) -> None:
    """Logs warnings and errors until `set_up` is called with the configured level."""
    set_up("warning", log_format)
    take_over()


def take_over() -> None:
    """Logs warnings and uncaught exceptions, which Python would otherwise print to stderr."""

    def on_warning(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        log.warning("Python warns: kind=%s at=%s:%d", category.__name__, source_path(filename), lineno)

    def on_thread_failure(failed: threading.ExceptHookArgs) -> None:
        log.error("thread failed", exc_info=failed.exc_value)

    def on_unraisable(failed: "sys.UnraisableHookArgs") -> None:
        log.error("error ignored while an object was removed", exc_info=failed.exc_value)

    def on_process_failure(_: type[BaseException], error: BaseException, _trace: TracebackType | None) -> None:
        log.critical("process failed", exc_info=error)

    sys.excepthook = on_process_failure
    warnings.showwarning = on_warning
    threading.excepthook = on_thread_failure
    sys.unraisablehook = on_unraisable


@dataclass(slots=True)
class _Repetition:
    written_at: float
    quiet_s: float
    left_out: int = 0


class Repeats(logging.Filter):
    def __init__(self) -> None:
        super().__init__()
        self._repetitions: dict[tuple[object, ...], _Repetition] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        key = record.name, str(record.msg), str(record.args), str(_fields(record)), current_job.get()
        said = self._repetitions.pop(key, None) or _Repetition(-math.inf, FIRST_QUIET_S)
        self._repetitions[key] = said
        if len(self._repetitions) > MAX_REMEMBERED:
            del self._repetitions[next(iter(self._repetitions))]
        passed_s = record.created - said.written_at
        if passed_s < said.quiet_s:
            said.left_out += 1
            return False
        record.repeated = said.left_out
        said.quiet_s = min(2 * said.quiet_s, MAX_QUIET_S) if said.left_out else FIRST_QUIET_S
        said.written_at, said.left_out = record.created, 0
        return True


class _Handler(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Reports that a record can't be written. By default, Python would print its arguments, which might be a user's
        text."""
        # The stream itself might have failed.
        with suppress(OSError, ValueError):
            self.stream.write(f"{line(f'record not written: logger={record.name}')}\n")
            self.flush()


def set_up(level: str, log_format: str = "text", stream: TextIO = sys.stderr) -> None:
    """Sets up logging to the stream: Typist's records from this level on, as "text" or "json"."""
    global _format
    _format = log_format
    ours = getattr(logging, level.upper())
    handler = _Handler(stream)
    text = PrivateFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(JsonFormatter() if log_format == "json" else text)
    handler.addFilter(_lower_at_shutdown)
    handler.addFilter(lambda record: record.levelno >= _threshold(record.name, ours))
    handler.addFilter(Repeats())
    logging.basicConfig(level=max(logging.WARNING, ours), handlers=[handler], force=True)
    for name in OURS:
        logging.getLogger(name).setLevel(ours)


def _lower_at_shutdown(record: logging.LogRecord) -> bool:
    """Logs a failure caused by this process ending at INFO, because another process continues the work."""
    if any(isinstance(arg, StoreClosed) for arg in record.args or ()):
        record.levelno, record.levelname = logging.INFO, "INFO"
    return True


def set_up_quietly(level: str, log_format: str) -> None:
    """Sets up logging for a command with human-readable output: only errors, unless a level is set."""
    set_up("error" if level == "info" else level, log_format)


def _threshold(name: str, ours: int) -> int:
    library = name.partition(".")[0]
    return ours if library in OURS else max(MIN_LEVELS.get(library, logging.WARNING), ours)


class PrivateFormatter(logging.Formatter):
    """Formats records without values that might be secrets or users' text."""

    def format(self, record: logging.LogRecord) -> str:
        private = self._without_values(record)
        job_id = current_job.get()
        job = "" if job_id is None else f"job {job_id}: "
        values = {name: str(value) for name, value in _fields(record).items()}
        pairs = " ".join(
            f"{name}={text if _BARE.fullmatch(text) else json.dumps(text)}" for name, text in values.items()
        )
        message = _CONTROLS.sub(" ", private.getMessage())
        private.msg = f"{job}{message}{': ' if pairs else ''}{pairs}{_repetition_suffix(record)}"
        private.args = None
        return super().format(private)

    def _without_values(self, record: logging.LogRecord) -> logging.LogRecord:
        private = logging.makeLogRecord(record.__dict__)
        library = record.name.partition(".")[0]
        if library not in OURS:
            private.msg = _redact_library_message(str(record.msg), record.args)
            private.args = None
        elif isinstance(record.args, tuple):
            private.args = tuple(_error_text(arg) if isinstance(arg, BaseException) else arg for arg in record.args)
        if library == BOLT and record.exc_info and record.exc_info[1]:
            private.msg = f"{private.msg}: {_error_text(record.exc_info[1])}"
            private.exc_info = None
        # Another handler might have cached its own text of the exception in the record.
        private.exc_text = None
        return private

    def formatException(self, ei: ExcInfo) -> str:  # noqa: N802
        """Returns the tracebacks of the exception and its causes, starting with the first cause."""
        return "\n".join(_traceback_lines(error) for error in reversed(list(_exception_chain(ei[1]))))


class JsonFormatter(PrivateFormatter):
    def format(self, record: logging.LogRecord) -> str:
        private = self._without_values(record)
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        entry: dict[str, object] = {"time": at, "level": record.levelname, "logger": record.name}
        if (job_id := current_job.get()) is not None:
            entry["job"] = job_id
        entry |= {"message": private.getMessage(), **_fields(record)}
        if repeated := getattr(record, "repeated", 0):
            entry["repeated"] = repeated
        if private.exc_info:
            entry["exception"] = self.formatException(private.exc_info)
        # In ASCII, because stderr replaces characters missing from its encoding with something that isn't JSON.
        return json.dumps(entry)


def _fields(record: logging.LogRecord) -> Mapping[str, object]:
    return getattr(record, "fields", {})


def _repetition_suffix(record: logging.LogRecord) -> str:
    repeated = getattr(record, "repeated", 0)
    return f" (and {repeated} more since the last such line)" if repeated else ""


def _redact_library_message(message: str, args: tuple[object, ...] | Mapping[str, object] | None) -> str:
    """Returns a library's message without values that might be a user's text. "…" replaces an omitted argument."""
    if not args:
        return _VALUES.split(message, maxsplit=1)[0].rstrip()
    template = _VALUES_IN_TEMPLATE.split(message, maxsplit=1)[0].rstrip()
    values = iter(() if isinstance(args, Mapping) else args)

    def redacted(found: re.Match[str]) -> str:
        if found[0].endswith("%"):
            return "%"
        value = args.get(found[1] or "") if isinstance(args, Mapping) else next(values, None)
        if isinstance(value, BaseException):
            return type(value).__name__
        return f"{value:g}" if isinstance(value, float) else str(value) if isinstance(value, int) else "…"

    return _CONVERSION.sub(redacted, template)


def _error_text(error: BaseException) -> str:
    name = type(error).__name__
    return str(error) or name if _is_loggable(error) else name


def _traceback_lines(error: BaseException) -> str:
    stack = traceback.extract_tb(error.__traceback__)
    for frame in stack:
        frame.filename = source_path(frame.filename)
    places = "".join(stack.format())
    last_line = f"{type(error).__name__}: {error}" if _is_loggable(error) else type(error).__name__
    return f"{places}{last_line}"


def _is_loggable(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno is not None or type(error).__module__.partition(".")[0] in ("builtins", *OURS)
    return isinstance(error, TypistError)


def _exception_chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
