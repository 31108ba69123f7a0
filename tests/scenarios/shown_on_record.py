"""What Slack shows of answers that have ended, compared with what follows from the record, block by block."""

import asyncio
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from bot.core.actions import ReplyAction
from bot.core.job import ANSWER_ROLES, ts_of
from bot.core.picture import picture, refusal
from bot.errors import EndReason
from bot.reply import blocks
from bot.reply.messages import PageView
from bot.store import Stores, answers, side_messages
from bot.store.rows import messages_of
from bot.store.schema import jobs, outbox_entries
from slack_sandbox.blocks.elements import interactive
from slack_sandbox.workspace import Message
from tests.contracts.stores import count
from tests.scenarios.conftest import Stage
from tests.scenarios.tools import GENERAL

QUIET_LOOKS = 200
"""A second apart: a call that failed may wait for minutes in a process, and no record says so."""
GIVE_UP_S = 900


@dataclass
class Shown:
    """The bot's messages in #general beside its record. `store`: the bot's database."""

    stage: Stage
    store: Stores
    compared: int = 0

    def messages(self) -> list[Message]:
        workspace = self.stage.sandbox.workspace
        return [one for one in workspace.messages(GENERAL) if one.user_id == self.stage.sandbox.bot_user_id]

    async def quiet(self) -> None:
        """Waits until nothing is left to do; calls that wait for a person are denied."""
        looks = 0
        for _ in range(GIVE_UP_S):
            # One at a time: what is pressed may change other messages.
            for message in [one for one in self.messages() if _is_deniable(one)][:1]:
                await self.stage.sandbox.client("ada").press("general", message.ts, ReplyAction.DENY)
            await self.stage.delivered()
            is_quiet = not (await count(self.store, outbox_entries) or await self._live())
            looks = looks + 1 if is_quiet else 0
            if looks == QUIET_LOOKS:
                return
            await asyncio.sleep(1)
        raise AssertionError(f"not quiet after {GIVE_UP_S} s: {await self._live()}")

    async def _live(self) -> list[Any]:
        async with self.store.database.engine.connect() as connection:
            live = sa.select(jobs.c.id, jobs.c.status).where(jobs.c.status != "ended")
            return list((await connection.execute(live)).all())

    async def check(self) -> None:
        there = {message.ts: message for message in self.messages()}
        explained: set[str] = set()
        async with self.store.database.engine.connect() as connection:
            rows = (await connection.execute(sa.select(jobs))).all()
            beside_jobs = await side_messages.messages_of_jobs(connection, [row.id for row in rows])
            for row in rows:
                pages = ts_of(messages_of(row), *ANSWER_ROLES)
                posted = [message.ts for message in beside_jobs[row.id]]
                explained |= {row.ts, *pages, *posted}
                # The question was deleted before the first message of its reply came, if the reply is gone.
                if row.answer_deleted or row.end_reason == EndReason.REPLY_GONE:
                    assert not there.keys() & {*pages, *posted}, f"job {row.id} is deleted"
                elif row.attempts and row.text and (job := await answers.finished_job(connection, row)):
                    assert there.keys() >= {*pages, *posted}, f"job {row.id} lacks messages, or has an unheard post"
                    assert job.record
                    shown = picture(job.record, optional=[ReplyAction.CANVAS]).with_names(self._names(), [])
                    view = PageView(job.checkpoint.text, end=shown, version=row.version)
                    self._compare(row.id, there[pages[-1]], view)
                    for action in _actions(there[pages[-1]]) & set(ReplyAction):
                        assert refusal(ReplyAction(action), job.record, row.user_id, ()) is None, f"job {row.id}"
        assert there.keys() <= explained, f"unexplained: {[there[ts] for ts in there.keys() - explained]}"

    def _compare(self, job_id: int, message: Message, view: PageView) -> None:
        self.compared += 1
        expected = blocks.message(replace(view, plain=not message.sent_blocks))
        assert [*message.sent_blocks] == expected["blocks"], f"job {job_id}"

    def _names(self) -> dict[str, str]:
        return {user.id: user.real_name for user in self.stage.sandbox.workspace.users.values()}


def _actions(message: Message) -> set[str]:
    return {str(element["action_id"]).partition("-")[0] for _, element in interactive(message.blocks)}


def _is_deniable(message: Message) -> bool:
    return ReplyAction.DENY in _actions(message)
