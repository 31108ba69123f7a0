"""Who may have which conversation read to them: the table in docs/admins/security.md, from what the tool does.

`python -m tests.slack.test_reading_rights` prints it. Each cell is what the tool does against the sandbox: a message is
asked for by its link.
"""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bot.core.conversation import Question, ThreadKey
from tests.slack.test_channel_reader import SECRET, ReaderStage, link_to, reader_stage

PAGE = Path(__file__).parents[2] / "docs" / "admins" / "security.md"
YES, NO = "yes", "–"
ASKERS = {
    "a member": "ada",
    "a guest": "edith",
    "a single-channel guest": "mary",
    "a person of another organization": "emmy",
    "another bot": "ada",
}
PLACES = {
    "public channel": "general",
    "with guests": "random",
    "private": "project-x",
    "Slack Connect": "partners",
    "direct message": "D",
    "group message": "C0MPDM",
}
OTHERS = ("archived", "left by Typist")
ASKED = [
    *(("a member", place) for place in PLACES),
    ("a guest", "with guests"),
    ("a guest", "Slack Connect"),
    ("a single-channel guest", "with guests"),
    ("a person of another organization", "Slack Connect"),
    ("another bot", "public channel"),
    ("another bot", "private"),
]
HEAD = ("Who asks, and where", *PLACES, *OTHERS)


def channel_of(stage: ReaderStage, place: str, asker: str) -> str:
    """Returns the id of a place. The direct message is the asker's own."""
    if place == "direct message":
        return stage.sandbox.dm(asker)
    return stage.sandbox.workspace.channel(PLACES[place]).id


async def links_to_all(stage: ReaderStage) -> dict[str, str]:
    """Says something in each place; returns the links. The direct message is somebody else's."""
    workspace, links = stage.sandbox.workspace, {}
    archived = replace(workspace.channel("general"), id="C0ARCHIVED", name="archived", members=["U0ADA"])
    left = replace(archived, id="C0LEFT", name="left", members=["U0ADA", "U0ALAN", stage.sandbox.bot_user_id])
    workspace.channels |= {archived.id: archived, left.id: left}
    channels = {place: channel_of(stage, place, "alan") for place in PLACES}
    for place, channel_id in (channels | dict(zip(OTHERS, ("C0ARCHIVED", "C0LEFT"), strict=True))).items():
        writer = "alan" if "U0ALAN" in workspace.channels[channel_id].members else "ada"
        ts = await stage.sandbox.say(writer, channel_id, SECRET)
        links[place] = link_to(channel_id, ts)
    archived.archived = True
    left.members.remove(stage.sandbox.bot_user_id)
    return links


async def cells(stage: ReaderStage, asker: str, asked_in: str, links: dict[str, str]) -> list[str]:
    """Returns which places are read to somebody who asks in a place."""
    user = ASKERS[asker]
    here = channel_of(stage, asked_in, user)
    ts = await stage.sandbox.say(user, here, "@typist catch me up")
    question = Question(ThreadKey(stage.sandbox.team_id, here, ts), ts, f"U0{user.upper()}", "")
    question = replace(question, is_from_bot=asker == "another bot")
    found = []
    for place, link in links.items():
        is_own = place == asked_in
        result = await stage.read(question, link=link_to(here, ts) if is_own else link)
        found.append(YES if (not result.is_error if is_own else SECRET in result.text) else NO)
    return found


async def table(stage: ReaderStage) -> str:
    links = await links_to_all(stage)
    rows: list[Sequence[str]] = [HEAD, ["---"] * len(HEAD)]
    for asker, asked_in in ASKED:
        where = {"public channel": "a public channel", "with guests": "a channel with guests"}
        where |= {"private": "a private channel", "direct message": "a direct message"}
        where |= {"group message": "a group message"}
        rows.append([f"{asker}, in {where.get(asked_in, asked_in)}", *await cells(stage, asker, asked_in, links)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


async def test_table_in_the_docs_is_what_the_tool_does() -> None:
    async with reader_stage() as stage:
        assert await table(stage) in PAGE.read_text("utf-8")


async def main() -> None:
    async with reader_stage() as stage:
        sys.stdout.write(f"{await table(stage)}\n")


if __name__ == "__main__":
    asyncio.run(main())
