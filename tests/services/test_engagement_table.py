"""What happens to each kind of event in each mode, through intake, message edits and the message shortcut.

`python -m tests.services.test_engagement_table` prints the table and the list of docs/admins/channels.md.
"""

import asyncio
import itertools
import re
import textwrap
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from bot.core import texts
from bot.core.access import UserKind
from bot.core.channel_settings import ChannelSettings
from bot.core.conversation import File, Message, ThreadKey
from bot.core.outbox import OutboxKind
from bot.core.surfaces import CommandResponse
from bot.core.texts.access import Denial
from bot.core.triage import Engagement
from bot.core.unposted import MessageQuestion, QuotedMessage
from bot.errors import EndReason
from bot.services.shortcut import MessageShortcut, QuestionPosts
from bot.slack.views.question import SubmittedQuestion
from bot.store import Stores
from bot.store.schema import jobs
from tests.clocks import InstantClock, idle
from tests.services.intake import IntakeStage
from tests.services.parts import ME, workspace_of
from tests.services.presses import MemorySurfaces

pytestmark = pytest.mark.wide

PAGE = Path(__file__).parents[2] / "docs" / "admins" / "channels.md"
IN_EACH_MODE = "These events have the same outcome in every mode:"
ANSWERED, CHANGED, REMOVED, NOTHING = "answered", "starts over", "answer removed", "–"
TOLD = {
    texts.access.with_admins(Denial.GUEST, ["<@UADMIN>"]): "told: no access",
    texts.access.with_admins(Denial.EXTERNAL, ["<@UADMIN>"]): "told: no access",
    texts.access.QUIET_NOW: "quieted",
    texts.access.ALREADY_QUIET: "told: already quiet",
    texts.access.with_admins(texts.access.NOT_YOUR_THREAD, ["<@UADMIN>"]): "told: only the starter can",
}
"""Outcomes, by the sentence that the writer sees."""
QUIET = "quiet thread"
MODES = {
    "mentions": ChannelSettings(engagement=Engagement.MENTIONS),
    "follow-ups": ChannelSettings(engagement=Engagement.FOLLOW_UPS),
    "follow-ups, model is sure": ChannelSettings(engagement=Engagement.FOLLOW_UPS, gate=True),
    "everyone": ChannelSettings(engagement=Engagement.EVERYONE),
    "new posts, follow-ups": ChannelSettings(engagement=Engagement.FOLLOW_UPS, new_posts=True),
    QUIET: ChannelSettings(engagement=Engagement.EVERYONE),
}
ADA, GRACE = "UADA", "UGRACE"
MENTION = f"<@{ME.user_id}> "
PHOTO = (File("F1", "photo.png"),)


@dataclass
class Posts(MemorySurfaces):
    ts: str = ""

    async def post_question(
        self, question: MessageQuestion, still: Callable[[], bool], *, elsewhere: bool
    ) -> tuple[str, str]:
        return question.about.channel_id, self.ts

    async def respond_to_command(self, response_url: str, response: CommandResponse) -> None:
        assert response.content == texts.shortcut.ASKED_IN_THREAD


@dataclass
class Cell:
    """A channel of its own, in which Ada has asked the bot in a thread, and one event follows."""

    stage: IntakeStage
    mode: str
    channel_id: str
    number: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def ts(self) -> str:
        return f"1700000000.{next(self.number):06d}"

    def message(self, user_id: str, text: str, thread_ts: str | None, **changes: Any) -> Message:
        return Message("T1", self.channel_id, self.ts(), text, user_id=user_id, thread_ts=thread_ts, **changes)

    async def take(self, message: Message) -> Message:
        await self.stage.intake.receive(f"Ev {self.channel_id} {next(self.number)}", message)
        return message

    async def say(self, user_id: str, text: str, thread_ts: str | None, **changes: Any) -> Message:
        return await self.take(self.message(user_id, text, thread_ts, **changes))

    async def asked(self) -> str:
        return (await self.say(ADA, MENTION + "why?", None)).ts

    async def joined(self) -> str:
        """Has Ada ask the bot, Grace join them, and Ada ask again; returns the thread."""
        thread = await self.asked()
        await self.say(GRACE, "I see.", thread)
        await self.say(ADA, MENTION + "and then?", thread)
        return thread

    async def settle(self, thread_ts: str | None) -> None:
        """Quiets the thread in that mode, and lets all background work end."""
        if self.mode == QUIET and thread_ts is not None:
            thread = ThreadKey("T1", self.channel_id, thread_ts)
            await self.stage.stores.participants.set_quiet(thread, quiet=True, ts=self.ts())
        await idle()

    async def facts(self) -> dict[str, tuple[str, str | None]]:
        """Returns each question's text, and why it ended, by ts."""
        async with self.stage.stores.database.engine.connect() as connection:
            columns = sa.select(jobs.c.ts, jobs.c.text, jobs.c.end_reason).where(jobs.c.channel_id == self.channel_id)
            return {row.ts: (row.text, row.end_reason) for row in await connection.execute(columns)}


Event = Callable[[], Awaitable[object]]
Row = Callable[[Cell], Awaitable[tuple[str | None, Event]]]


def post(text: str, **changes: Any) -> Row:
    async def row(cell: Cell) -> tuple[str | None, Event]:
        return None, lambda: cell.say(ADA, text, None, **changes)

    return row


def reply(text: str, user_id: str = ADA, *, among: bool = False, **changes: Any) -> Row:
    """A reply in a thread with Ada alone, or among several people, where the bot answered Ada last."""

    async def row(cell: Cell) -> tuple[str | None, Event]:
        thread = await (cell.joined() if among else cell.asked())
        return thread, lambda: cell.say(user_id, text, thread, **changes)

    return row


async def late_reply(cell: Cell) -> tuple[str | None, Event]:
    thread = await cell.asked()
    await cell.say(GRACE, "I see.", thread)
    return thread, lambda: cell.say(ADA, "and then?", thread)


async def elsewhere(cell: Cell) -> tuple[str | None, Event]:
    return None, lambda: cell.say(ADA, "and then?", "1600000000.000000")


def by(kind: UserKind) -> Row:
    """The reply of a person of this kind, in a thread of several people."""

    async def row(cell: Cell) -> tuple[str | None, Event]:
        thread = await cell.joined()

        async def event() -> None:
            cell.stage.accounts.kind_of_all = kind
            await cell.say(f"U{kind.name}{cell.channel_id}", "and I?", thread)
            await idle()
            cell.stage.accounts.kind_of_all = UserKind.MEMBER

        return thread, event

    return row


def edit(before: str, after: str, user_id: str = GRACE) -> Row:
    """An edit of a reply among several people."""

    async def row(cell: Cell) -> tuple[str | None, Event]:
        thread = await cell.joined()
        message = await cell.say(user_id, before, thread)
        changed = replace(message, text=after)
        return thread, lambda: cell.stage.edits.on_message_edited(f"Ev {cell.ts()}", message, changed, cell.ts())

    return row


def deletion(text: str) -> Row:
    async def row(cell: Cell) -> tuple[str | None, Event]:
        thread = await cell.joined()
        message = await cell.say(GRACE, text, thread)
        return thread, lambda: cell.stage.edits.on_message_deleted(message)

    return row


def again(text: str) -> Row:
    """An event that Slack delivers again."""

    async def row(cell: Cell) -> tuple[str | None, Event]:
        thread = await cell.joined()
        message = await cell.say(GRACE, text, thread)
        return thread, lambda: cell.take(message)

    return row


async def shortcut(cell: Cell) -> tuple[str | None, Event]:
    thread = await cell.joined()
    stage = cell.stage
    posts = Posts(ts=cell.ts())
    # Nothing is read for a question from a modal.
    workspace = workspace_of(surfaces=posts)
    shortcut = MessageShortcut(stage.stores, workspace, stage.access_control, lambda: None)
    no_runs: Any = None
    question_posts = QuestionPosts(stage.stores, workspace, stage.intake, stage.access_control, no_runs)
    about = QuotedMessage(cell.channel_id, thread, thread, "why?", "https://hooks.example/1")

    async def ask() -> None:
        await shortcut.ask(GRACE, SubmittedQuestion(f"V {cell.channel_id}", about, "and why?"))
        for entry in await stage.stores.outbox.claim_due(100):
            if entry.kind is OutboxKind.POST_QUESTION:
                await question_posts.post(entry)

    return thread, ask


ROWS: dict[str, Row] = {
    "a post that mentions the bot": post(MENTION + "why?"),
    "a post": post("How do I log in?"),
    "a post that begins with another person's name": post(f"<@{GRACE}> lunch?"),
    "a post with a file and text": post("It fails", files=PHOTO, subtype="file_share"),
    "a post with only a file": post("", files=PHOTO, subtype="file_share"),
    "a reply in a thread without the bot": elsewhere,
    "a reply that mentions the bot": reply(MENTION + "and I?", GRACE, among=True),
    "the asker's reply in a thread with only the bot": reply("and then?"),
    "the asker's reply right after the bot's answer": reply("and then?", among=True),
    "the asker's reply after another person's reply": late_reply,
    "another person's reply": reply("and I?", GRACE, among=True),
    "a reply that begins with another person's name": reply(f"<@{GRACE}> and you?"),
    "a reply that is also sent to the channel": reply("and then?", subtype="thread_broadcast"),
    "a file without text in a thread with only the bot": reply("", files=PHOTO, subtype="file_share"),
    "a file without text in a thread with several people": reply("", among=True, files=PHOTO, subtype="file_share"),
    "an edit that adds a mention": edit(f"<@{ADA}> and I?", f"<@{ADA}> and I? {MENTION}"),
    "an edit that adds words to a question": edit(MENTION + "and I?", MENTION + "and I, today?"),
    "an edit that adds words to a message without an answer": edit(f"<@{ADA}> look", f"<@{ADA}> look here"),
    "an edit that removes another person's name": edit(f"<@{ADA}> and you?", "and you?"),
    "an edit that removes the mention": edit(MENTION + "and I?", "and I?"),
    "the deletion of a question": deletion(MENTION + "and I?"),
    "the deletion of a message without an answer": deletion(f"<@{ADA}> look"),
    "another bot's reply": reply("Built.", "UCI", bot_id="BCI", among=True),
    "a guest's reply": by(UserKind.GUEST),
    "an outsider's reply": by(UserKind.EXTERNAL),
    "the message shortcut": shortcut,
    "the redelivery of a question": again(MENTION + "and I?"),
    "the redelivery of a message without an answer": again(f"<@{ADA}> look"),
    '"stay quiet" from the person who started the thread': reply("stay quiet", among=True),
    '"stay quiet" from another person': reply("stay quiet", GRACE, among=True),
    "a direct message": post("why?", channel_type="im"),
}


async def outcome(cell: Cell, row: Row) -> str:
    thread_ts, event = await row(cell)
    await cell.settle(thread_ts)
    before, told = await cell.facts(), len(cell.stage.accounts.sentences)
    await event()
    await idle()
    after, sentences = await cell.facts(), cell.stage.accounts.sentences[told:]
    if after.keys() - before.keys():
        return ANSWERED
    if any(reason == EndReason.QUESTION_DELETED for _, reason in after.values()):
        return REMOVED
    if after != before:
        return CHANGED
    return TOLD[sentences[0]] if sentences else NOTHING


async def column(mode: str) -> list[str]:
    stores = await Stores.open("sqlite://", "w1", InstantClock())
    try:
        stage, outcomes = IntakeStage(stores), []
        for number, row in enumerate(ROWS.values()):
            cell = Cell(stage, mode, f"C{number}")
            await stores.channel_settings.write("T1", cell.channel_id, MODES[mode])
            outcomes.append(await outcome(cell, row))
        return outcomes
    finally:
        await stores.close()


def printed(columns: dict[str, list[str]]) -> str:
    """Formats the table of docs/admins/channels.md, and the list of events whose outcome doesn't depend on the mode."""
    lines = [f"| event | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    others: dict[str, list[str]] = {}
    for event, cells in zip(ROWS, zip(*columns.values(), strict=True), strict=True):
        if len(set(cells)) == 1:
            others.setdefault(cells[0], []).append(event)
        else:
            lines.append(f"| {event} | {' | '.join(cells)} |")
    listed = [f"- *{outcome}*: {'; '.join(events)}" for outcome, events in others.items()]
    return "\n".join(
        [*lines, "", IN_EACH_MODE, "", *(textwrap.fill(item, 120, subsequent_indent="  ") for item in listed)]
    )


def documented(mode: str) -> dict[str, str]:
    page = PAGE.read_text()
    lines = (line for line in page.splitlines() if line.startswith("|"))
    heads, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    said = {row[0]: row[heads.index(mode)] for row in rows}
    listed = page.partition(f"{IN_EACH_MODE}\n\n")[2].replace("\n  ", " ")
    for outcome, events in re.findall(r"^- \*(.+?)\*: (.+)$", listed, re.MULTILINE):
        said |= dict.fromkeys(events.split("; "), outcome)
    return said


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.long(after_row=2)
async def test_each_event_does_what_the_page_says(mode: str) -> None:
    assert documented(mode) == dict(zip(ROWS, await column(mode), strict=True))


async def main() -> None:
    print(printed({mode: await column(mode) for mode in MODES}))  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main())
