"""Log records are written without secrets and user text, whichever module logs them."""

import ast
import io
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot import logs
from bot.errors import StoreError

COUNTED = re.compile(r"%[\d.]*[df] (?:[a-z]+ )?[a-z]{2,}s\b")
"""A number before a plural, which is wrong for 1."""


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """Yields everything that is logged during the test at BOT_LOG_LEVEL=debug, with all loggers at DEBUG."""
    root, before = logging.getLogger(), (logging.getLogger().level, logging.getLogger().handlers[:])
    levels = {name: logging.getLogger(name).level for name in (*logs.OURS, "foreign.library", "slack_bolt", "asyncio")}
    for handler in before[1]:
        root.removeHandler(handler)
    stream = io.StringIO()
    logs.set_up("debug", stream)
    for name in levels:
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield stream
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    root.handlers[:], root.level = before[1], before[0]


def fails(error: Exception) -> Exception:
    try:
        raise error
    except Exception as raised:
        return raised


def test_own_record_is_written_unchanged(written: io.StringIO) -> None:
    logging.getLogger("bot.services.worker").debug("job %d: canceled: %s", 7, "handover")
    assert written.getvalue().endswith("DEBUG bot.services.worker: job 7: canceled: handover\n")


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO])
def test_library_records_below_warning_are_not_written(written: io.StringIO, level: int) -> None:
    logging.getLogger("foreign.library").log(level, "POST %s", {"text": "secret"})
    assert written.getvalue() == ""


@pytest.mark.parametrize(
    ("message", "args", "expected"),
    [
        ("Failed to connect (error: %s); Retrying...", ("secret",), "Failed to connect"),
        ("Failed to send: secret", (), "Failed to send"),
        ("Task exception was never retrieved\nfuture: <Task secret>", (), "Task exception was never retrieved"),
        ("Executing %s took %.3f seconds", ("secret", 1.0), "Executing %s took %.3f seconds"),
        ("got 'secret' for it", (), "got"),
        ("{'text': 'secret'}", (), ""),
    ],
)
def test_librarys_warning_is_written_without_its_values(
    written: io.StringIO, message: str, args: tuple[object, ...], expected: str
) -> None:
    logging.getLogger("foreign.library").warning(message, *args)
    assert written.getvalue().partition("WARNING ")[2] == f"foreign.library: {expected}\n"


def test_exception_is_written_as_type_and_place(written: io.StringIO) -> None:
    try:
        try:
            dict[str, str]()["secret"]
        except KeyError as error:
            raise ValueError("of secret words") from error
    except ValueError:
        logging.getLogger("bot.services.answering").exception("job %d broke", 7)
        logging.getLogger("asyncio").exception("Task exception was never retrieved")
    log = written.getvalue()
    assert log.count("\nKeyError\n") == log.count("\nValueError\n") == 2
    assert "test_logs.py" in log
    assert "of secret words" not in log.replace('raise ValueError("of secret words")', "")


def test_exception_argument_is_written_as_its_type(written: io.StringIO) -> None:
    log = logging.getLogger("bot.services.worker")
    log.error("placeholder not posted: %s", ValueError("secret"))
    log.error("placeholder not posted: %s", StoreError("The database can't be used."))
    log.error("placeholder not posted: %s", ConnectionRefusedError(111, "Connection refused"))
    described = [line.partition("not posted: ")[2] for line in written.getvalue().splitlines()]
    assert described == ["ValueError", "The database can't be used.", "[Errno 111] Connection refused"]


def test_bolts_errors_are_one_line(written: io.StringIO) -> None:
    bolt = logging.getLogger("slack_bolt.AsyncApp")
    bolt.warning("As you gave a token, it is used")
    bolt.error("Failed to run listener function (error: secret)", exc_info=fails(KeyError("secret")))
    line = written.getvalue().partition("ERROR ")[2]
    assert line == "slack_bolt.AsyncApp: Failed to run listener function: KeyError\n"


def messages(path: Path) -> Iterator[str | None]:
    """Yields the message of each log call in a module; None for one that isn't a constant."""
    for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match call:
            case ast.Call(
                func=ast.Attribute(value=ast.Name("log"), attr="log"), args=[_, ast.Constant(str(message)), *_]
            ):
                yield message
            case ast.Call(func=ast.Attribute(value=ast.Name("log")), args=[ast.Constant(str(message)), *_]):
                yield message
            case ast.Call(func=ast.Attribute(value=ast.Name("log"))):
                yield None


@pytest.mark.parametrize("package", logs.OURS)
def test_log_messages_are_constants_without_counted_plurals(package: str) -> None:
    paths = (Path(__file__).parents[1] / package).rglob("*.py")
    found = {(path.name, message) for path in paths for message in messages(path)}
    assert found
    assert not {(name, message) for name, message in found if message is None or COUNTED.search(message)}
