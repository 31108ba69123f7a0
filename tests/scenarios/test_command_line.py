"""`python -m bot` as a process: its output, how it ends, and its exit codes."""

import asyncio
import re
import signal
import tomllib
from base64 import b64decode
from datetime import datetime
from pathlib import Path

import pytest

from bot import __version__
from bot.core import texts
from bot.errors import EndReason
from bot.settings import pip_install_command
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.processes import WITHIN_S, output, wait_for_line
from tests.forked import forked_bot, forked_command
from tests.processes import REPOSITORY, bot_process
from tests.scenarios.conftest import Stage, asking, connected, says
from tests.streams import speech, steps
from tests.streams.server import ResponseEnd, VendorResponse, VendorServer, refusal

ONE_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


async def test_ask_streams_the_answer_and_writes_usage_to_stderr(tmp_path: Path, vendor: VendorServer) -> None:
    events = speech.chat(["The first ", "half,", " and the rest."])
    vendor.script(VendorResponse(events[:3], ending=ResponseEnd.HANG))
    # From nothing: the other tests fork a process that has imported the bot.
    async with bot_process(tmp_path, "ask", "why?", env=asking(vendor)) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        assert await asyncio.wait_for(process.stdout.readexactly(15), WITHIN_S) == b"The first half,"
        assert process.returncode is None
    vendor.script(says("The whole answer."))
    code, out, err = await forked_command(tmp_path, "ask", "why?", env=asking(vendor))
    assert (code, out) == (0, "The whole answer.\n")
    for part in ("test · 12 tokens in, 5 out", "first token after", "price unknown"):
        assert part in err
    assert "openai" not in err, "the model may run anywhere"


@pytest.mark.parametrize(
    ("arguments", "piped", "question"),
    [
        (["why?"], b"", "why?"),
        (["why", "is", "it?"], b"", "why is it?"),
        (["what is notes.txt"], b"", "what is notes.txt"),
        ([], b"piped in\n", "piped in"),
        (["explain this:"], b"piped in\n", "explain this:\n\npiped in"),
        ([" "], b"\xef\xbb\xbfcaf\xe9\r\n", "caf\ufffd"),
        (["caf\udce9", "\u00e9?"], b"", "caf\ufffd \u00e9?"),
        (["is", "a<b", "&amp;", "<@U1>?"], b"", "is a<b &amp; <@U1>?"),
    ],
)
async def test_ask_reads_the_question_from_arguments_or_stdin_or_both(
    tmp_path: Path, vendor: VendorServer, arguments: list[str], piped: bytes, question: str
) -> None:
    await forked_command(tmp_path, "ask", *arguments, env=asking(vendor), piped=piped)
    content = vendor.requests[0].body["messages"][-1]["content"]
    said = re.fullmatch(
        r"\[\w{8} is the code of .*\]\n\n\[\w{8} at .*\]\n(.*)\n\n"
        r"\[\w{8} note\]\nIt is now (\w+) ([-\d]+) \d\d:\d\d UTC[^)]*\.\n\[\w{8} end\]",
        content,
        re.DOTALL,
    )
    assert said, content
    assert said[1] == question
    assert f"{datetime.fromisoformat(said[3]):%A}" == said[2]


@pytest.mark.long
async def test_ask_reads_the_files_that_words_name(tmp_path: Path, vendor: VendorServer) -> None:
    (tmp_path / "notes.txt").write_text("Quince is 7.")
    image = b64decode(ONE_PIXEL)
    (tmp_path / "pixel.png").write_bytes(image)
    (tmp_path / "docs").mkdir()
    named = ["Compare", "notes.txt", "docs", str(tmp_path / "pixel.png"), "main.py?"]
    code, _, err = await forked_command(tmp_path, "ask", *named, env=asking(vendor))
    shown, text = vendor.requests[0].body["messages"][-1]["content"]
    parts = ("Compare docs main.py?\n", "(Attached: notes.txt)\n```txt\nQuince is 7.\n```", "(Attached: pixel.png)")
    assert all(f"]\n{part}\n[" in text["text"] for part in parts), text["text"]
    assert shown["image_url"]["url"] == f"data:image/png;base64,{ONE_PIXEL}"
    assert (code, err.splitlines()[0]) == (0, "Reading notes.txt, pixel.png.")


async def test_ask_names_files_of_one_name_apart_if_the_model_does_not_take_them(
    tmp_path: Path, vendor: VendorServer
) -> None:
    named = ["a/pixel.png", "b/pixel.png"]
    for name in named:
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b64decode(ONE_PIXEL))
    refused = refusal(400, {"error": {"message": "This model does not support image input"}})
    vendor.script(refused, VendorResponse(speech.chat(["Yes."])))
    _, _, err = await forked_command(tmp_path, "ask", "compare", *named, env=asking(vendor))
    left_out = [f"pixel.png ({number}) (this model can't look at images)" for number in ("1st", "2nd")]
    assert err.splitlines()[-1] == f"Not read: {', '.join(left_out)}."


@pytest.mark.parametrize(
    ("word", "content", "problem"),
    [
        ("./missing.txt", None, "./missing.txt: No such file or directory."),
        ("nope.docx", None, "nope.docx: No such file or directory. If you only mean its name, put the whole question"),
        ("plans/Nope.PDF", None, "plans/Nope.PDF: No such file or directory."),
        ("../", None, "../: Is a directory."),
        ("./docs", None, "./docs: Is a directory."),
        ("parts.zip", b"PK\x03\x04" + bytes(60), "Not read: parts.zip (damaged)."),
        ("just_20_mb.zip", b"PK\x03\x04".ljust(20 * 2**20), "Not read: just_20_mb.zip (damaged)."),
        ("large.txt", b"a" * (20 * 2**20 + 1), "Not read: large.txt (larger than 20 MB)."),
    ],
)
@pytest.mark.long(after_row=2)
async def test_ask_says_why_it_does_not_read_a_file(
    tmp_path: Path, vendor: VendorServer, word: str, content: bytes | None, problem: str
) -> None:
    (tmp_path / "docs").mkdir()
    if content is not None:
        (tmp_path / word).write_bytes(content)
    code, _, err = await forked_command(tmp_path, "ask", word, env=asking(vendor))
    assert (code, problem in err, vendor.requests) == (2, True, [])


@pytest.mark.parametrize("arguments", [[], ["--no-stream"]], ids=["streamed", "at once"])
async def test_ask_says_that_an_answer_was_cut_off(tmp_path: Path, vendor: VendorServer, arguments: list[str]) -> None:
    cut = [chunk.replace(b'"stop"', b'"length"') for chunk in speech.chat(["Once upon"])]
    vendor.script(VendorResponse(cut))
    code, out, err = await forked_command(tmp_path, "ask", "why?", *arguments, env=asking(vendor))
    assert (code, out) == (1, "Once upon\n")
    assert err.splitlines()[-1] == ("The answer was cut off at the limit of 8,192 tokens (BOT_MAX_OUTPUT_TOKENS).")


FOUND = (
    steps.SERVER_SEARCH,
    steps.SEARCH_RESULT,
    steps.text("It streams.", ("https://example.com/typist", "Typist"), ("javascript:alert(1)", "No")),
    steps.text(" Into Slack.", ("https://docs.slack.dev/apis", "\x1b[2J"), ("https://example.com/typist", "Again")),
)


@pytest.mark.parametrize("arguments", [[], ["--no-stream"]], ids=["streamed", "at once"])
@pytest.mark.long
async def test_ask_searches_the_web_and_lists_its_sources(
    tmp_path: Path, vendor: VendorServer, arguments: list[str]
) -> None:
    vendor.script(VendorResponse(steps.messages(*FOUND, searches=1)))
    anthropic = {"ANTHROPIC_BASE_URL": vendor.url, "ANTHROPIC_API_KEY": "key", "BOT_MODELS": "anthropic/m"}
    env = {**anthropic, "BOT_WEB_SEARCH": "example.com,slack.dev"}
    _, out, err = await forked_command(tmp_path, "ask", "why?", *arguments, env=env)
    assert out == (
        "It streams. Into Slack.\n\nSources\n1. https://example.com/typist\n2. https://docs.slack.dev/apis\n"
    )
    assert "m · 1 search · " in err
    assert vendor.requests[0].body["tools"][0]["allowed_domains"] == ["example.com", "slack.dev"]


@pytest.mark.long
async def test_ask_without_streaming_prints_no_part_of_an_answer_that_fails(
    tmp_path: Path, vendor: VendorServer
) -> None:
    vendor.script(VendorResponse(speech.chat(["Half"])[:2], ending=ResponseEnd.CUT))
    _, out, _ = await forked_command(tmp_path, "ask", "why?", "--no-stream", env=asking(vendor))
    assert out == ""


@pytest.mark.long
async def test_ctrl_c_closes_the_vendors_stream_and_ends_the_process(tmp_path: Path, vendor: VendorServer) -> None:
    vendor.script(VendorResponse(speech.chat(["Once"])[:2], ending=ResponseEnd.HANG))
    async with forked_bot(tmp_path, "ask", "why?", env=asking(vendor)) as process:
        await asyncio.wait_for(process.stdout.readexactly(4), WITHIN_S)
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), WITHIN_S) == -signal.SIGINT
        await asyncio.wait_for(vendor.requests[0].hung_up.wait(), WITHIN_S)
        assert b"Traceback" not in await process.stderr.read()


async def test_ask_reports_a_failure_with_its_reason_and_without_the_key(tmp_path: Path, vendor: VendorServer) -> None:
    key = "sk-proj-abcdefghijklmnop"
    vendor.script(refusal(401, {"error": {"message": f"Incorrect API key provided: {key}"}}))
    env = {**asking(vendor), "OPENAI_API_KEY": key, "BOT_LOG_LEVEL": "debug"}
    code, out, err = await forked_command(tmp_path, "ask", "why?", env=env)
    assert (code, out) == (1, "")
    assert texts.models.model_failure(EndReason.BAD_KEY, "test") in err
    assert "Incorrect API key provided" in err
    assert key not in err


@pytest.mark.long
async def test_ask_where_nothing_listens_says_so_at_once_and_gives_up_soon(tmp_path: Path) -> None:
    env = {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "BOT_MODELS": "openai/test"}
    async with forked_bot(tmp_path, "ask", "why?", env=env) as process:
        first = await asyncio.wait_for(process.stderr.readline(), WITHIN_S)
        assert first.decode() == "No answer yet: 127.0.0.1:9: Connection refused. Trying again…\n"
        assert process.returncode is None
        code = await asyncio.wait_for(process.wait(), WITHIN_S)
        *_, sentence, reason = (await process.stderr.read()).decode().splitlines()
    assert (code, sentence) == (1, f"typist: {texts.models.model_failure(EndReason.UNREACHABLE, 'test')}")
    assert reason == "typist: The reason: 127.0.0.1:9: Connection refused"


@pytest.mark.parametrize(
    ("arguments", "env", "sentences"),
    [
        (["run"], {}, ["SLACK_BOT_TOKEN is not set. Get it at api.slack.com/apps", "SLACK_APP_TOKEN is not set"]),
        ([], {"SLACK_BOT_TOKEN": "xoxb-1", "OPENAI_API_KEY": "k"}, ["SLACK_APP_TOKEN is not set"]),
        (["ask", "why?"], {}, ["No model is configured"]),
        (["ask"], {"OPENAI_API_KEY": "k"}, ["No question given"]),
        (["sandbox"], {"BOT_WELCOMES": "on"}, ["did you mean BOT_WELCOME?"]),
        (["sandbox", "--manifest", "missing.json"], {}, ["missing.json: No such file or directory."]),
    ],
)
@pytest.mark.long(after_row=3)
async def test_invalid_arguments_are_reported_and_exit_2(
    tmp_path: Path, arguments: list[str], env: dict[str, str], sentences: list[str]
) -> None:
    code, out, err = await forked_command(tmp_path, *arguments, env=env)
    assert (code, out) == (2, "")
    assert all(sentence in err for sentence in sentences)
    assert len(err.splitlines()) <= 3


@pytest.mark.parametrize(("argument", "words"), [("--version", f"typist {__version__}"), ("--help", "local Slack")])
async def test_help_and_version_are_printed(tmp_path: Path, argument: str, words: str) -> None:
    code, out, _ = await forked_command(tmp_path, argument, env={})
    assert words in out
    assert code == 0


@pytest.mark.long
async def test_installed_command_is_named_typist(tmp_path: Path) -> None:
    """Tests a script as pip writes it, which calls the function named in [project.scripts]."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    module, _, function = project["scripts"]["typist"].partition(":")
    (tmp_path / "typist").write_text(f"import sys\nfrom {module} import {function}\nsys.exit({function}())\n")
    async with bot_process(tmp_path, "--help", program=["typist"]) as process:
        out, _ = await output(process)
    assert (process.returncode, out.splitlines()[0]) == (0, "usage: typist [-h] [--version] command ...")
    async with bot_process(tmp_path, "ask", "why?", program=["typist"]) as process:
        _, err = await output(process)
    assert (process.returncode, "typist: No model is configured" in err) == (2, True)


@pytest.mark.parametrize("package", ["slack_sandbox", "pygments"])
@pytest.mark.long
async def test_sandbox_without_its_packages_says_how_to_install_them(tmp_path: Path, package: str) -> None:
    (tmp_path / f"{package}.py").write_text(f"raise ModuleNotFoundError(name='{package}')\n")
    async with bot_process(tmp_path, "sandbox") as process:
        _, err = await output(process)
    assert process.returncode == 2
    assert err.splitlines() == [
        f"typist: The sandbox needs the package {package}. Install it in a clone: {pip_install_command()} --editable ."
    ]


async def test_sigterm_lets_a_live_answer_end_and_exits_0(
    tmp_path: Path, sandbox: Sandbox, vendor: VendorServer
) -> None:
    vendor.script(says("word " * 60, pause_s=0.02))
    stage = Stage(sandbox, vendor)
    async with bot_process(tmp_path, "run", env=connected(sandbox, vendor)) as process:
        await wait_for_line(process.stdout, "is connected to Slack")
        asked = await stage.mention()
        await vendor.request(0)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), WITHIN_S) == 0
    assert await stage.answers("general", asked, timeout_s=1) == [("word " * 60).rstrip()]
    assert (tmp_path / "typist.db").exists()
