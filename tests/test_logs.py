"""Log records are written without secrets and user text, whichever module logs them."""

import ast
import asyncio
import io
import json
import logging
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import logs
from bot.clock import SystemClock, keep_trying, try_briefly
from bot.errors import StoreError
from bot.store import Stores
from bot.store.database import create_engine

pytestmark = pytest.mark.wide

PAIRS = re.compile(r'ended: model=("(?:[^"\\]|\\.)*"|[^\s"=]+) calls=9')
COUNTED = re.compile(r"%[\d.]*[df] (?:[a-z]+ )?[a-z]{2,}s\b")
"""A number before a plural, which is wrong for 1."""


@pytest.fixture
def written(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """Yields everything that is logged during the test at BOT_LOG_LEVEL=debug, with all loggers at DEBUG."""
    root, before = logging.getLogger(), (logging.getLogger().level, logging.getLogger().handlers[:])
    levels = {name: logging.getLogger(name).level for name in (*logs.OURS, "foreign.library", "slack_bolt", "asyncio")}
    for handler in before[1]:
        root.removeHandler(handler)
    stream = io.StringIO()
    logs.set_up("debug", getattr(request, "param", "text"), stream)
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
    logging.getLogger("bot.services.worker").debug("attempt canceled: %s", "handover")
    assert written.getvalue().endswith("DEBUG bot.services.worker: attempt canceled: handover\n")


async def test_work_that_the_end_of_the_process_cuts_off_is_no_error(written: io.StringIO) -> None:
    store = Stores(create_engine("sqlite+aiosqlite:///:memory:"), "w1", SystemClock())
    await store.close()
    for work in (keep_trying, try_briefly):
        trying = asyncio.create_task(
            work(lambda: store.memories.of_place(("T1", "C1")), store.clock, "memories not read")
        )
        with suppress(TimeoutError):
            await asyncio.wait_for(trying, 0.1)
    lines = [line for line in written.getvalue().splitlines() if "memories not read" in line]
    assert [line.split()[2] for line in lines] == ["INFO", "INFO"], lines
    assert "the store is closed, because this process is ending" in lines[0]


def test_record_has_the_job_that_it_is_written_for(written: io.StringIO) -> None:
    log = logging.getLogger("bot.services.worker")
    with logs.of_job(7):
        log.info("attempt canceled: %s", "handover")
        with logs.of_job(8):
            logging.getLogger("foreign.library").warning("slow")
    log.info("waiting")
    lines = [line.partition(": ")[2] for line in written.getvalue().splitlines()]
    assert lines == ["job 7: attempt canceled: handover", "job 8: slow", "waiting"]


@given(value=st.text(min_size=1))
def test_any_value_of_a_field_is_read_back_from_one_line(value: str) -> None:
    record = logging.makeLogRecord({"name": "bot.tests", "msg": "ended", **logs.fields({"model": value, "calls": 9})})
    line = logs.PrivateFormatter().format(record)
    pairs = PAIRS.fullmatch(line)
    assert len(line.splitlines()) == 1
    assert pairs is not None
    assert (json.loads(pairs[1]) if pairs[1].startswith('"') else pairs[1]) == value


@pytest.mark.parametrize(
    "words",
    [
        "500 Internal\r\n\r\nServer got itself in trouble",
        "no\n2026-11-27 10:00:00,000 INFO bot.app: stopping",
        "\x1b[2J\x1b[31mred",
        "a\u2028b\u2029c\x85d\x0be",
    ],
)
def test_words_of_others_stay_within_their_records_line(written: io.StringIO, words: str) -> None:
    logging.getLogger("bot.services.answering").warning("model %s failed: %s", "m", words)
    line = written.getvalue().removesuffix("\n")
    assert len(line.splitlines()) == 1
    assert line.isprintable()


@pytest.mark.parametrize("written", ["json"], indirect=True)
def test_json_record_is_one_object_with_its_job_and_fields(written: io.StringIO) -> None:
    with logs.of_job(7):
        logging.getLogger("bot.services.answer_attempt").info(
            "attempt ended", extra=logs.fields({"calls": 9, "model": None})
        )
    logging.getLogger("foreign.library").error("Failed: secret", exc_info=fails(KeyError("secret\nsecret")))
    ours, foreign = (json.loads(line) for line in written.getvalue().splitlines())
    assert datetime.fromisoformat(ours.pop("time")).utcoffset() == timedelta(0)
    assert ours == {
        "level": "INFO",
        "logger": "bot.services.answer_attempt",
        "job": 7,
        "message": "attempt ended",
        "calls": 9,
    }
    assert (foreign["message"], foreign["exception"].splitlines()[-1]) == ("Failed", "KeyError")
    assert "job" not in foreign
    assert "secret" not in written.getvalue()


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
        ("Executing %s took %.3f seconds", ("secret", 1.5), "Executing … took 1.5 seconds"),
        (
            "Failed to export %s batch code: %s, reason: %s",
            ("traces", 401, "secret"),
            "Failed to export … batch code: 401, reason: …",
        ),
        ("Failed to export %s batch code: %s", ("traces", None), "Failed to export … batch code: …"),
        ("Failed to export %s batch due to timeout, max", ("secret",), "Failed to export … batch due to timeout, max"),
        ("%d of %5.1f%% failed: %r", (2, 7.25, KeyError("secret")), "2 of 7.25% failed: KeyError"),
        ("%(size)d bytes of %(name)s", ({"size": 9, "name": "secret"},), "9 bytes of …"),
        ("%s failed with secret='%s'", (TimeoutError(), "secret"), "TimeoutError failed with secret"),
        ("100% of it", (), "100% of it"),
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
        logging.getLogger("bot.services.answering").exception("an answer broke")
        logging.getLogger("asyncio").exception("Task exception was never retrieved")
    log = written.getvalue()
    assert log.count("\nKeyError\n") == log.count("\nValueError\n") == 2
    assert 'File "tests/test_logs.py", line ' in log
    assert str(Path(__file__).parent) not in log
    assert "of secret words" not in log.replace('raise ValueError("of secret words")', "")


def test_exception_argument_is_written_as_its_type(written: io.StringIO) -> None:
    log = logging.getLogger("bot.services.worker")
    log.error("placeholder not posted: %s", ValueError("secret"))
    log.error("placeholder not posted: %s", StoreError("The database can't be used."))
    log.error("placeholder not posted: %s", ConnectionRefusedError(111, "Connection refused"))
    described = [line.partition("not posted: ")[2] for line in written.getvalue().splitlines()]
    assert described == ["ValueError", "The database can't be used.", "[Errno 111] Connection refused"]


def test_librarys_error_of_the_systems_kind_is_written_as_its_type(written: io.StringIO) -> None:
    error = aiohttp.ConnectionTimeoutError("Connection timeout to host wss://slack.example/link/?ticket=secret")
    assert isinstance(error, OSError)
    logging.getLogger("bot.slack.socket").warning("not connected: %s", error)
    try:
        raise error
    except OSError:
        logging.getLogger("asyncio").exception("Task exception was never retrieved")
    assert "secret" not in written.getvalue()
    assert "not connected: ConnectionTimeoutError\n" in written.getvalue()
    assert written.getvalue().endswith("\nConnectionTimeoutError\n")


def test_retries_of_spans_are_not_written_but_their_loss_is(written: io.StringIO) -> None:
    exporter = logging.getLogger("opentelemetry.exporter.otlp")
    exporter.warning("Transient error %s encountered", "secret")
    exporter.error("Failed to export %s batch code: %s, reason: %s", "traces", 503, "secret")
    line = written.getvalue().partition("ERROR ")[2]
    assert "WARNING" not in written.getvalue()
    assert line == "opentelemetry.exporter.otlp: Failed to export … batch code: 503, reason: …\n"


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


def test_repeated_warning_is_written_ever_more_seldom_with_its_count(written: io.StringIO) -> None:
    """A loop that fails each second for eight minutes wrote 482 equal lines."""
    log, at = logging.getLogger("bot.services.worker"), 1_764_000_000.0
    for second in range(480):
        for reason in ("no route", f"reason {second}"):
            record = log.makeRecord(log.name, logging.ERROR, "", 0, "jobs not claimed: %s", (reason,), None)
            record.created = at + second
            log.handle(record)
    lines = [line for line in written.getvalue().splitlines() if "no route" in line]
    counts = [re.findall(r"and (\d+) more", line) for line in lines]
    assert counts == [[], ["59"], ["119"], ["239"]]
    assert written.getvalue().count("reason ") == 480


@pytest.mark.parametrize("written", ["json"], indirect=True)
def test_sentence_for_stderr_has_the_logs_format(written: io.StringIO) -> None:
    error, said = json.loads(logs.line("It ends.")), json.loads(logs.line("Nothing was deleted.", is_error=False))
    assert [(entry["level"], entry["message"]) for entry in (error, said)] == [
        ("ERROR", "It ends."),
        ("INFO", "Nothing was deleted."),
    ]
    logs.set_up("debug", "text", written)
    assert logs.line("It ends.") == "typist: It ends."
    assert logs.line("Nothing was deleted.", is_error=False) == "Nothing was deleted."


@pytest.mark.parametrize("written", ["json"], indirect=True)
def test_json_is_valid_in_any_encoding_of_stderr(written: io.StringIO) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), "latin-1", errors="backslashreplace", write_through=True)
    logs.set_up("info", "json", stream)
    said = "Привет 🎈 \x85\u2028 \udc80"
    logging.getLogger("bot.cli.run").info("%s", said)
    (line,) = stream.buffer.getvalue().decode().splitlines()
    assert json.loads(line)["message"] == said
