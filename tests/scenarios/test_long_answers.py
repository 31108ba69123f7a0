"""Answers of many pages: only the first pages are posted, the complete text is attached, and crashes lose nothing."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from bot.core import texts
from bot.reply.reply import MAX_PAGES
from slack_sandbox.server import Sandbox
from slack_sandbox.workspace import Message
from tests.clocks import until
from tests.scenarios.conftest import Stage, shown
from tests.scenarios.fleet import Fleet, fleet_of
from tests.streams import speech
from tests.streams.server import ResponseEnd, VendorResponse, VendorServer

CODE = "".join(f"print({number})  # a line of the code\n" for number in range(520))
TABLE = "| Number | Square |\n|---|---|\n" + "".join(
    f"| {n} | {n * n}, which is the number times itself |\n" for n in range(150)
)
PROSE = "".join(f"{n}. Item {n} says something that is worth a line.\n" for n in range(1, 860))
SEVEN_PAGES = f"# Code\n\n```python\n{CODE}```\n\n# Table\n\n{TABLE}\n# List\n\n{PROSE}"
THREE_PAGES = f"# Code\n\n```python\n{CODE}```\n\n# Table\n\n{TABLE[:5_000]}"
CONTINUES = "Continues in answer.md: about "
ATTACHED = f"{texts.answers.END_BELOW_FILE} {texts.answers.CODE_BLOCK_ATTACHED}"


def events(text: str) -> list[bytes]:
    """Returns a stream with deltas of forty characters."""
    return speech.chat(speech.deltas_of(text, 40))


def files(messages: list[Message], sandbox: Sandbox) -> dict[str, str]:
    return {file["title"]: sandbox.files.get(file["id"]).content.decode() for m in messages for file in m.files}


def pages(messages: list[Message]) -> list[Message]:
    return [message for message in messages if not message.files]


async def ended(stage: Stage, asked: str, note: str, timeout_s: float = 120) -> list[Message]:
    """Waits until the last page has this notice and returns the bot's messages."""

    def done() -> list[Message]:
        messages = stage.bots("general", asked)
        return messages if any(shown(message).endswith(note) for message in messages) else []

    return await stage.sandbox.wait_for(done, timeout_s)


@pytest.mark.skips_waits
async def test_first_five_of_seven_pages_are_posted_and_the_end_below_the_whole_answer(stage: Stage) -> None:
    stage.vendor.script(VendorResponse(events(SEVEN_PAGES)))
    asked = await stage.mention()
    messages = await ended(stage, asked, ATTACHED)
    assert any(CONTINUES in shown(message) for message in messages)
    assert len(pages(messages)) == MAX_PAGES + 1
    assert files(messages, stage.sandbox) == {"answer.md": SEVEN_PAGES, "code-1.py": CODE}
    assert messages[-2].files, "they stand below the pages"
    end, *_ = messages[-1].sent_blocks
    assert SEVEN_PAGES.rstrip().endswith(end["text"]), "the end stands below the files"
    assert texts.answers.WRITING_LONG not in str(messages)
    second, *_ = pages(messages)[1].sent_blocks
    assert second["text"].startswith("```python\nprint(")
    refused = [call for call in stage.sandbox.calls if call.error]
    assert not refused


@pytest.mark.skips_waits
@pytest.mark.parametrize(
    ("fault", "method"),
    [
        ("lose_response", "files.completeUploadExternal"),
        pytest.param("drop_request", "files.completeUploadExternal", marks=pytest.mark.long),
        pytest.param("error_500", "files.completeUploadExternal", marks=pytest.mark.long),
        ("drop_request", "files.getUploadURLExternal"),
        pytest.param("rate_limit", "files.completeUploadExternal", marks=pytest.mark.long),
    ],
)
async def test_file_is_attached_once_whatever_fails(stage: Stage, fault: str, method: str) -> None:
    stage.vendor.script(VendorResponse(events(THREE_PAGES)))
    stage.sandbox.faults.start(fault, method=method, times=1, retry_after_s=1)
    asked = await stage.mention()
    messages = await ended(stage, asked, texts.answers.CODE_BLOCK_ATTACHED)
    assert files(messages, stage.sandbox) == {"code-1.py": CODE}
    assert len([message for message in messages if message.files]) == 1


async def recorded_answer(database: Path) -> str:
    with closing(sqlite3.connect(database)) as connection:
        answers = "SELECT answer FROM turns WHERE answer <> ''"
        # Another process writes this database.
        ((answer,),) = await until(lambda: connection.execute(answers).fetchall(), "a recorded answer")
    return str(answer)


@pytest.fixture
async def fleet(sandbox: Sandbox, vendor: VendorServer, tmp_path: Path) -> AsyncIterator[Fleet]:
    async with fleet_of(Stage(sandbox, vendor), tmp_path, f"sqlite:///{tmp_path}/typist.db") as fleet:
        yield fleet


async def test_pages_left_by_a_crash_are_recovered_as_text(
    fleet: Fleet, sandbox: Sandbox, vendor: VendorServer, tmp_path: Path
) -> None:
    left = SEVEN_PAGES[: SEVEN_PAGES.index("| 140 |")].rstrip()
    vendor.script(
        VendorResponse(events(left)[:-3], ending=ResponseEnd.HANG),
        VendorResponse(events("")[:-3], ending=ResponseEnd.CUT),
    )
    stage = Stage(sandbox, vendor)
    process = await fleet.start()
    asked = await stage.mention()
    await sandbox.wait_for(lambda: "| 139 |" in str(stage.bots("general", asked)))
    before = [shown(message) for message in stage.bots("general", asked)]
    await fleet.killed(process)
    await fleet.start()
    cut = f"was lost before the answer was complete. Press Continue. {texts.answers.CODE_BLOCK_ATTACHED}"
    messages = await ended(stage, asked, cut)
    assert [shown(page) for page in pages(messages)][:-1] == before[:-1]
    assert await recorded_answer(tmp_path / "typist.db") == left
    assert files(messages, sandbox) == {"code-1.py": CODE}


async def test_crash_between_file_and_last_edit_leaves_one_file_and_no_second_request(
    fleet: Fleet, sandbox: Sandbox, vendor: VendorServer
) -> None:
    vendor.script(VendorResponse(events(SEVEN_PAGES)))
    # The bot asks Slack whether the file is shared yet. It is killed during that call.
    sandbox.faults.start("slow", method="conversations.replies", times=1, delay_s=2.0)
    stage = Stage(sandbox, vendor)
    process = await fleet.start()
    asked = await stage.mention()
    await sandbox.wait_for(lambda: files(stage.bots("general", asked), sandbox))
    await fleet.killed(process)
    await fleet.start()
    messages = await ended(stage, asked, ATTACHED)
    assert any(CONTINUES in shown(message) for message in messages)
    await sandbox.wait_for(lambda: len(stage.bots("general", asked)) == MAX_PAGES + 2)
    assert files(stage.bots("general", asked), sandbox) == {"answer.md": SEVEN_PAGES, "code-1.py": CODE}
    assert len(vendor.requests) == 1
    assert len(pages(messages)) == MAX_PAGES + 1


async def test_crash_between_last_post_and_its_record_loses_no_text_of_many_pages(
    fleet: Fleet, sandbox: Sandbox, vendor: VendorServer, tmp_path: Path
) -> None:
    vendor.script(VendorResponse(events(SEVEN_PAGES)))
    stage = Stage(sandbox, vendor)
    process = await fleet.start()
    asked = await stage.mention()
    await sandbox.wait_for(lambda: files(stage.bots("general", asked), sandbox))
    sandbox.faults.start("lose_response", method="chat.postMessage")
    await ended(stage, asked, ATTACHED)
    await fleet.killed(process)
    sandbox.faults.stop("lose_response")
    await fleet.start()
    assert await recorded_answer(tmp_path / "typist.db") == SEVEN_PAGES
    assert len(vendor.requests) == 1
    assert len(pages(stage.bots("general", asked))) == MAX_PAGES + 1
