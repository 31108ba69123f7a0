"""Tables of an answer as files: whoever reads the answer gets them, in its thread, and Delete takes them away."""

import pytest

from bot.core import texts
from bot.core.actions import ReplyAction
from bot.settings import Settings
from slack_sandbox.files import File
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
    return [file for file in stage.sandbox.files.stored() if file.name.endswith(".csv")]


async def test_reader_downloads_a_table_and_delete_takes_it_away(stage: Stage, settings: Settings) -> None:
    asked, message = await answered(stage, settings)
    assert await press(stage, message, ReplyAction.TABLES, "grace") is None
    [file] = await stage.sandbox.wait_for(lambda: stored(stage))
    shown = await stage.sandbox.wait_for(lambda: [m for m in stage.bots("general", asked) if m.files])
    assert (file.title, rows_of(file.content)) == (
        "sales.csv",
        [["Region", "Sum"], ["North", "10"], ["'=1+1", "-5"], ["East", "7"]],
    )
    assert [message.thread_ts for message in shown] == [asked]
    await press(stage, message, ReplyAction.DELETE, "ada")
    await stage.sandbox.wait_for(lambda: not stage.bots("general", asked))
    assert not stored(stage)


async def test_app_that_may_share_no_files_says_what_is_missing(stage: Stage, settings: Settings) -> None:
    _, message = await answered(stage, settings)
    stage.sandbox.faults.start("refuse", method="files.getUploadURLExternal", error="missing_scope")
    assert await press(stage, message, ReplyAction.TABLES) == texts.actions.TABLES_FORBIDDEN
