"""Tables of an answer as files: whoever reads the answer gets them, in its thread, and Delete takes them away."""

import asyncio

import pytest

from bot.core import texts
from bot.core.actions import ReplyAction
from bot.settings import Settings
from slack_sandbox.files import File, UploadedFile
from slack_sandbox.workspace import Message
from tests.core.test_tables import rows_of
from tests.scenarios.answers import answered, press
from tests.scenarios.conftest import Stage, says
from tests.streams.server import VendorServer

pytestmark = [pytest.mark.skips_waits, pytest.mark.bot(on_disk=True)]

TABLE = "# Sales\n\n| Region | Sum |\n| --- | ---: |\n| North | 10 |\n| =1+1 | -5 |\n| *East* | 7 |\n"


@pytest.fixture
def vendor(vendor: VendorServer) -> VendorServer:
    vendor.script(says(TABLE))
    return vendor


def stored(stage: Stage) -> list[File]:
    return [file for file in stage.sandbox.files.all_files() if file.name.endswith(".xlsx")]


async def until_recorded(stage: Stage, message: Message) -> None:
    """Presses until the file is on record, which is a moment after it is shown."""
    for _ in range(100):
        if await press(stage, message, ReplyAction.TABLES) == texts.actions.TABLES_EXIST:
            return
        await asyncio.sleep(0.05)
    pytest.fail("the file isn't recorded")


async def test_reader_downloads_a_table_and_delete_takes_it_away(stage: Stage, settings: Settings) -> None:
    asked, message = await answered(stage, settings)
    assert await press(stage, message, ReplyAction.TABLES, "grace") == texts.actions.TABLES_BEGUN
    [file] = await stage.sandbox.wait_for(lambda: stored(stage))
    shown = await stage.sandbox.wait_for(lambda: [m for m in stage.bots("general", asked) if m.files])
    assert (file.title, rows_of(file.content)) == (
        "sales.xlsx",
        [["Region", "Sum"], ["North", 10], ["=1+1", -5], ["East", 7]],
    )
    assert [message.thread_ts for message in shown] == [asked]
    await until_recorded(stage, message)
    await press(stage, message, ReplyAction.DELETE, "ada")
    await stage.sandbox.wait_for(lambda: not stage.bots("general", asked))
    assert not stored(stage)


async def test_app_that_may_share_no_files_says_what_is_missing(stage: Stage, settings: Settings) -> None:
    _, message = await answered(stage, settings)
    stage.sandbox.faults.start("refuse", method="files.getUploadURLExternal", error="missing_scope")
    assert await press(stage, message, ReplyAction.TABLES) == texts.actions.TABLES_BEGUN
    told = stage.sandbox.workspace.ephemerals
    assert await stage.sandbox.wait_for(lambda: [one for one in told if one.text == texts.actions.TABLES_FORBIDDEN])


async def test_table_is_shared_once_however_often_people_press(stage: Stage, settings: Settings) -> None:
    asked, message = await answered(stage, settings)
    clients = [stage.sandbox.client(name) for name in ("ada", "grace")]
    await asyncio.gather(*(client.press("general", message.ts, ReplyAction.TABLES) for client in clients * 15))
    await stage.sandbox.wait_for(lambda: [m for m in stage.bots("general", asked) if m.files])
    await until_recorded(stage, message)
    assert len(stored(stage)) == 1
    method = "files.completeUploadExternal"
    assert len([call for call in stage.sandbox.calls if call.method == method]) == 1


@pytest.mark.bot(allow_users=frozenset({"U0ADA"}))
async def test_person_without_access_has_no_table_posted(stage: Stage, settings: Settings) -> None:
    _, message = await answered(stage, settings)
    denied = await press(stage, message, ReplyAction.TABLES, "grace")
    assert denied not in (None, texts.actions.TABLES_BEGUN)
    assert await press(stage, message, ReplyAction.TABLES) == texts.actions.TABLES_BEGUN


async def test_persons_file_with_our_name_stays_when_the_answer_is_deleted(stage: Stage, settings: Settings) -> None:
    asked, message = await answered(stage, settings)
    names = [f"sales-{asked}.xlsx", f"answer-{asked}.md", f"code-1-{asked}.py"]
    theirs = [UploadedFile(name, b"mine") for name in names]
    await stage.sandbox.share("grace", "general", "Mine.", theirs, asked)
    await press(stage, message, ReplyAction.DELETE)
    await stage.sandbox.wait_for(lambda: not stage.bots("general", asked))
    assert {file.name for file in stage.sandbox.files.all_files()} == set(names)
    assert not [call for call in stage.sandbox.calls if call.method == "files.delete"]
