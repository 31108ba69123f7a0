"""BOT_LOG_LEVEL=debug writes no question, answer or token into the log, whichever library logs.

The bot runs as a process in which every logger of every library writes at DEBUG, whatever its level is.
"""

import asyncio
import json
import logging
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from bot.core.actions import ReplyAction
from slack_sandbox.files import UploadedFile
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.processes import wait_for_line
from tests.forked import forked_bot
from tests.scenarios.conftest import Stage, connected, shown
from tests.streams import speech
from tests.streams.server import VendorResponse, VendorServer, refusal

KEY = "sk-proj-Zz0123456789abcdefghij"
QUESTION, ANSWER, UPLOAD, NAME, RULES, FOLLOW_UP, EDIT, DIRECT, LOST = (
    "Quokkas",
    "Wombats",
    "Numbats",
    "Bilbies",
    "Dunnarts",
    "Potoroos",
    "Kowaris",
    "Antechinus",
    "Bettongs",
)
"""A word of each text that people write and models answer, which occurs nowhere else."""


def log_everything() -> None:
    logging.Logger.isEnabledFor = lambda self, level: True  # type: ignore[method-assign]


def answer() -> VendorResponse:
    return VendorResponse(speech.chat([f"{ANSWER} ", "dig ", "burrows."]))


def broken_off() -> VendorResponse:
    """Returns an answer that fails in mid-stream with an error that quotes the question, the answer and the key."""
    error = {"error": {"code": 500, "message": f"can't say {ANSWER} of {QUESTION} to {KEY}: '{FOLLOW_UP}'"}}
    return VendorResponse([*speech.chat([f"{ANSWER} "])[:2], f"data: {json.dumps(error)}\n\n".encode()])


async def talk(stage: Stage) -> None:
    """Uses everything that people do with the bot, and causes many failures."""
    sandbox, vendor = stage.sandbox, stage.vendor
    ada = sandbox.client("ada")
    vendor.script(answer())
    asked = await sandbox.share(
        "ada", "general", f"@typist why do {QUESTION} smile?", [UploadedFile(f"{NAME}.txt", f"of {UPLOAD}".encode())]
    )
    await stage.answers("general", asked)
    await ada.press("general", stage.bots("general", asked)[0].ts, f"{ReplyAction.FEEDBACK}-up")
    await ada.press("general", stage.bots("general", asked)[0].ts, ReplyAction.DELETE)
    vendor.script(broken_off())
    for text in (f"@typist and {FOLLOW_UP}?", f"@typist {EDIT[:-1]}?"):
        await sandbox.say("ada", "general", text, thread_ts=asked)
        await sandbox.wait_for(lambda: any(ANSWER in shown(message) for message in stage.bots("general", asked)))
    message = f"Invalid value: {QUESTION} {KEY}"
    vendor.script(refusal(400, {"error": {"message": message}}), VendorResponse([b"{" + ANSWER.encode()]), answer())
    other = await stage.mention(f"what do {QUESTION} eat?")
    await stage.answers("general", other)
    await sandbox.edit("general", other, f"@typist what do {EDIT} eat?")
    await ada.command("general", f"/typist {RULES}")
    await ada.command("general", "/typist prompt")
    await ada.submit({"system_prompt": f"Speak of {RULES}."})
    dm = sandbox.dm("ada")
    ada.open_tab("home")
    await sandbox.say("ada", dm, f"{DIRECT}?")
    await stage.answers(dm, None)
    for fault in ("error_500", "html_200", "text_200", "list_200", "empty_200", "stream_timeout"):
        sandbox.faults.start(fault, times=2)
        lost = await stage.mention(f"{LOST} in {fault}?")
        await stage.answers("general", lost)
    await sandbox.delete("general", other)
    sandbox.faults.start("drop_socket")
    await stage.answers("general", await stage.mention(f"{LOST}?"))


def ended_in_json(written: str) -> list[Mapping[str, object]]:
    """Returns the records of ended attempts. All lines have to be records."""
    records: list[Mapping[str, object]] = [json.loads(line) for line in written.splitlines()]
    return [record for record in records if record["message"] == "attempt ended"]


@pytest.mark.parametrize("log_format", ["text", pytest.param("json", marks=pytest.mark.long)])
async def test_no_user_text_is_logged(
    tmp_path: Path, sandbox: Sandbox, vendor: VendorServer, database_url: str, log_format: str
) -> None:
    env = {
        **connected(sandbox, vendor),
        "OPENAI_API_KEY": KEY,
        "OPENAI_LOG": "debug",
        "BOT_LOG_LEVEL": "debug",
        "BOT_LOG_FORMAT": log_format,
        "DATABASE_URL": database_url,
    }
    async with asyncio.TaskGroup() as tasks, forked_bot(tmp_path, "run", env=env, before=log_everything) as process:
        # In JSON, this line is a record of the log.
        stream = process.stderr if log_format == "json" else process.stdout
        await wait_for_line(stream, "is connected to Slack")
        log = tasks.create_task(process.stderr.read())
        await talk(Stage(sandbox, vendor))
        process.send_signal(signal.SIGTERM)
        await process.wait()
    written = log.result().decode()
    if log_format == "json":
        ended = ended_in_json(written)
        assert any("input_tokens" in record for record in ended)
        assert all("job" in record for record in ended)
        assert '"level": "DEBUG"' in written
    else:
        assert "DEBUG bot." in written
        assert "input_tokens=" in written
    secrets = [KEY, KEY[-8:], sandbox.bot_token, sandbox.app_token]
    texts = [QUESTION, ANSWER, UPLOAD, NAME, RULES, FOLLOW_UP, EDIT, DIRECT, LOST]
    lines = written.lower().splitlines()
    assert [line for word in (*secrets, *texts) for line in lines if word.lower() in line] == []
