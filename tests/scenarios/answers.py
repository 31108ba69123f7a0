"""Answers to act on: waiting for their words and their record, and presses of their buttons."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing

import sqlalchemy as sa

from bot.core import texts
from bot.core.actions import ReplyAction
from bot.settings import Settings
from bot.store.database import create_engine
from bot.store.schema import turns
from slack_sandbox.workspace import Message
from tests.charged_turns import CHARGED_TURNS
from tests.clocks import until
from tests.scenarios.conftest import Stage, shown
from tests.streams import speech
from tests.streams.server import VendorResponse


def cut(text: str) -> VendorResponse:
    """Returns an answer that reached its length limit."""
    return VendorResponse([chunk.replace(b'"stop"', b'"length"') for chunk in speech.chat(speech.tokens(text))])


async def rows(settings: Settings, table: sa.Table) -> Sequence[sa.Row[tuple[object, ...]]]:
    """Returns the rows of a table, oldest first; those of turns with their charges."""
    in_order = sa.select(table).order_by(sa.literal_column("rowid"))
    engine = create_engine(settings.database_url)
    try:
        async with engine.connect() as connection:
            return (await connection.execute(CHARGED_TURNS if table is turns else in_order)).all()
    finally:
        await engine.dispose()


async def reply(stage: Stage, asked: str, words: str = "") -> Message:
    def matching() -> list[Message]:
        return [message for message in stage.bots("general", asked) if words in shown(message)]

    return (await stage.sandbox.wait_for(matching))[0]


async def on_record(settings: Settings) -> None:
    """Waits until every job that has ended in Slack has ended in the database, too. A test is quicker than a person."""

    def all_ended() -> bool:
        with closing(sqlite3.connect(settings.database_url.removeprefix("sqlite:///"))) as database:
            live = "select count(*) from jobs where status in ('queued', 'running')"
            return bool(database.execute(live).fetchone() == (0,))

    await until(all_ended, "the record of all answers")


async def answered(stage: Stage, settings: Settings) -> tuple[str, Message]:
    """Asks and returns the question's ts and its complete reply."""
    asked = await stage.mention()
    await stage.answers("general", asked)
    await on_record(settings)
    return asked, stage.bots("general", asked)[0]


async def press(stage: Stage, message: Message, action: str, user: str = "ada", value: str | None = None) -> str | None:
    """Presses a button and returns the ephemeral message to the presser, or None."""
    before = {ephemeral.ts for ephemeral in stage.sandbox.workspace.ephemerals}
    action_id = f"{action}-{value}" if action == ReplyAction.FEEDBACK else action
    assert await stage.sandbox.client(user).press("general", message.ts, action_id, value)
    new = [ephemeral for ephemeral in stage.sandbox.workspace.ephemerals if ephemeral.ts not in before]
    notices = [ephemeral for ephemeral in new if ephemeral.ephemeral_to == f"U0{user.upper()}"]
    assert all(notice.thread_ts == message.thread_ts for notice in notices)
    return notices[0].text if notices else None


async def rate(stage: Stage, asked: str) -> None:
    """Has Ada press 👎 below an answer, and say why."""
    sandbox, ada = stage.sandbox, stage.sandbox.client("ada")
    [reply] = stage.bots("general", asked)
    await ada.press("general", reply.ts, f"{ReplyAction.FEEDBACK}-down")
    [notice] = await sandbox.wait_for(lambda: sandbox.workspace.ephemerals)
    await ada.press("general", notice.ts, f"{ReplyAction.FEEDBACK_REASON}-wrong")
    await sandbox.wait_for(lambda: sandbox.workspace.ephemerals[0].text == texts.actions.REASON_NOTED["wrong"])
