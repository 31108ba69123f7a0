"""Answers that Slack never gave: what is missing or of another type counts as what Slack doesn't say."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web

from bot.core.conversation import File, Question, ThreadKey
from bot.core.triage import Identity
from bot.core.unposted import MessageQuestion, QuotedMessage
from bot.errors import RateLimited, Refused
from bot.reply.attachments import AttachedFile
from bot.reply.delivery import MessageTransport
from bot.reply.messages import Upload
from bot.reply.posted import PostedReplies
from bot.reply.workspace import Workspace
from bot.slack.client import SlackClient, new_session
from bot.slack.users import ChannelReaders
from slack_pacing.tests.ledgers import LoneLedger
from tests.fast import FastClock
from tests.mcp.flood import served
from tests.mutations import mutations
from tests.reply.schedules import KindsInMemory, RecordsInMemory
from tests.slack.workspaces import nothing_open

ME = Identity("T1", "U0BOT", "B0BOT", "typist")
IN_THREAD = Question(ThreadKey("T1", "C1", "1.0"), "2.0", "U1", "Why?")
IN_DM = Question(ThreadKey("T1", "D1", None), "2.0", "U1", "Why?")
METADATA = {
    "event_type": "typist_reply",
    "event_payload": {"question_ts": "2.0", "version": 1, "page": 0, "shown_chars": 4, "end": ""},
}
FILE = {"id": "F1", "name": "answer-2.0.md", "size": 3, "mode": "tombstone", "permalink": "https://a.example"}
PERSON = {"id": "U1", "team_id": "T1", "real_name": "Ada", "profile": {"display_name": "ada"}}
ANSWER: Mapping[str, Any] = {
    "ok": True,
    "messages": [
        {"ts": "1.0", "user": "U1", "text": "One", "thread_ts": "1.0", "edited": {"ts": "1.1"}, "files": [FILE]},
        {"ts": "2.1", "user": "U0BOT", "bot_id": "B0BOT", "text": "Two", "metadata": METADATA, "blocks": []},
        {"ts": "2.2", "user": "U0BOT", "bot_id": "B0BOT", "files": [FILE]},
    ],
    "has_more": False,
    "channel": {"id": "C1", "name": "general", "creator": "U1", "is_mpim": True},
    "user": PERSON | {"enterprise_user": {"teams": ["T1"]}},
    "members": ["U1"],
    "file": FILE | {"url_private": "", "channels": ["C1"]},
    "content": "Text",
    "response_metadata": {"next_cursor": ""},
    "upload_url": "not an address",
    "file_id": "F1",
}
"""What any method may answer: each takes its own part of it."""


UPLOAD = Upload(IN_THREAD, (AttachedFile("answer-2.0.md", "Answer", b"All"),))
FROM_SLACK = (Refused, RateLimited, TimeoutError)
FILE_OF_MESSAGE = File("F1", "notes.md", access="check_file_info")
CANVAS = File("F1", "Plan", filetype="quip", access="check_file_info")
QUESTION_ABOUT = MessageQuestion("T1", "V1", "U1", QuotedMessage("C1", "1.0", "1.0", "One", ""), "Why?", 0.0)


@dataclass
class OddSlack:
    workspace: Workspace
    posted: PostedReplies
    transport: MessageTransport
    readers: ChannelReaders
    answer: Any = None


@asynccontextmanager
async def odd_slack() -> AsyncIterator[OddSlack]:
    async def answered(_: web.Request) -> web.Response:
        return web.json_response(slack.answer)

    clock = FastClock()
    async with served(answered) as url, new_session() as session:
        client = SlackClient("xoxb-1", f"{url}/", session)
        ledger, records = LoneLedger(), RecordsInMemory()
        workspace = Workspace(
            ME,
            client,
            ledger=ledger,
            worker_queue=records,
            account_kinds=KindsInMemory(clock),
            open_now=nothing_open,
            clock=clock,
        )
        posted = PostedReplies(workspace.paced, ME.user_id)
        transport = MessageTransport(client, workspace.paced, posted, workspace.users)
        slack = OddSlack(workspace, posted, transport, ChannelReaders(workspace.paced, workspace.users))
        yield slack


async def read_file(slack: OddSlack) -> object:
    async with slack.workspace.files.reading([FILE_OF_MESSAGE], "U0ADA") as opened:
        return opened


READERS: Mapping[str, tuple[tuple[str, ...], Callable[[OddSlack], Awaitable[object]]]] = {
    "a thread": (("messages", "has_more"), lambda slack: slack.workspace.history.messages(IN_THREAD)),
    "a direct message": (("messages", "has_more"), lambda slack: slack.workspace.history.messages(IN_DM)),
    "one message": (("messages",), lambda slack: slack.workspace.history.message("T1", "C1", "1.0")),
    "a reply's messages": (("messages", "has_more"), lambda slack: slack.posted.deletions(IN_THREAD)),
    "a reply's streams": (("messages",), lambda slack: slack.posted.find_streams(IN_THREAD)),
    "a reply's files": (("messages",), lambda slack: slack.posted.find_files(IN_THREAD, ["F1"])),
    "a posted question": (("messages",), lambda slack: slack.workspace.surfaces.find_question(QUESTION_ABOUT, 0.0)),
    "a person's kind": (("user",), lambda slack: slack.workspace.users.kind("U1", now_within_s=5.0)),
    "names": (("user", "channel"), lambda slack: slack.workspace.users.names(["U1", "C1"])),
    "all people": (("members", "response_metadata"), lambda slack: slack.workspace.users.wait_for_listed(("U1",))),
    "a channel's creator": (("channel",), lambda slack: slack.workspace.surfaces.creator("C1")),
    "a channel's readers": (
        ("channel", "members", "response_metadata"),
        lambda slack: slack.readers.has_only_insiders(ThreadKey("T1", "C1", "1.0")),
    ),
    "a file": (("file",), read_file),
    "a canvas": (("file", "content"), lambda slack: slack.workspace.canvases.read([CANVAS], IN_THREAD)),
    "a canvas's address": (("file",), lambda slack: slack.workspace.canvases.link("F1")),
    "a canvas's people": (
        ("channel", "members"),
        lambda slack: slack.workspace.canvases.share("F1", IN_THREAD.thread, "U1"),
    ),
    "an upload": (("upload_url", "file_id"), lambda slack: slack.transport.files.stage(UPLOAD)),
}


@pytest.mark.wide
@pytest.mark.skips_waits
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.long(after_row=5)
async def test_answer_of_any_shape_is_read_or_refused(reader: str) -> None:
    parts, read = READERS[reader]
    failed: dict[str, str] = {}
    async with odd_slack() as slack:
        for name, answer in mutations({part: ANSWER[part] for part in parts}):
            slack.answer = {**_without(parts), **answer}
            try:
                await read(slack)
            except FROM_SLACK:
                pass
            except Exception as error:
                failed[name] = repr(error)
    assert not failed


def _without(parts: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in ANSWER.items() if name not in parts}
