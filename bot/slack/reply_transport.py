"""A reply's calls as Slack's chat.* methods, and the messages that a lost answer of Slack's left behind."""

import logging
from collections.abc import Collection, Sequence
from itertools import takewhile
from typing import Any

from bot.core.conversation import Job, Question
from bot.core.inbound.mentions import with_names
from bot.core.reply import attachments
from bot.core.reply.attachments import Attached
from bot.core.reply.state import Call, Delete, End, Post, Shown, Update, Upload, View
from bot.errors import RateLimited, Refusal, Refused
from bot.ports import Clock
from bot.slack.client import SlackClient
from bot.slack.format import reply_blocks
from bot.slack.format.message_text import body_of
from bot.slack.rate_budget import RateBudget

METADATA_EVENT = "typist_reply"
LOOK_BACK_MESSAGES = 200
FILES_WITHIN_S = 600.0
"""So soon after an answer's last page its files are there."""
SHARE = "files.completeUploadExternal"
NOT_SHARED = "not_shared"
"""Our own name for it."""
LOOK_FOR_FILES_S = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Slack shares files after it has answered, and sometimes never (paradigmxyz/centaur#311): so we look."""

log = logging.getLogger(__name__)


def method_of(call: Call) -> str:
    """Slack's method for a call: budgets are counted by it."""
    match call:
        case Post():
            return "chat.postMessage"
        case Update():
            return "chat.update"
        case Upload():
            return SHARE
        case Delete():
            return "chat.delete"


class ReplyTransport:
    """Sends calls, uploads in two steps; raises RateLimited and Refused."""

    def __init__(self, web: SlackClient, budget: RateBudget, clock: Clock) -> None:
        self._web = web
        self._budget = budget
        self._clock = clock

    async def send(self, call: Post | Update | Delete) -> str:
        """Returns the message's ts."""
        channel = call.question.thread.channel_id
        match call:
            case Post(page=page, view=view):
                _, ts = await self._web.post(
                    channel=channel,
                    thread_ts=call.question.thread.thread_ts,
                    metadata=_mark(call.question, page, view),
                    # Slack would fetch links to preview them: a known way to leak data through an address.
                    unfurl_links=False,
                    unfurl_media=False,
                    **reply_blocks.message(view),
                )
                return ts
            case Update(page=page, view=view):
                mark = _mark(call.question, page, view)
                await self._web.call(
                    "chat.update", channel=channel, ts=call.ts, metadata=mark, **reply_blocks.message(view)
                )
            case Delete():
                await self._delete_files(call.file_ids)
                await self._web.call("chat.delete", channel=channel, ts=call.ts)
        return call.ts

    async def stage(self, upload: Upload) -> list[str]:
        """Sends the files' bytes, which nobody sees yet; returns the files' ids."""
        ids = []
        for file in upload.files:
            method = "files.getUploadURLExternal"
            opened = await self._web.call(method, filename=file.name, length=len(file.content))
            if not (opened.get("upload_url") and opened.get("file_id")):
                raise Refused(method, "no address", Refusal.TRANSIENT)
            await self._web.send_bytes(opened["upload_url"], file.content)
            ids.append(str(opened["file_id"]))
        return ids

    async def share(self, upload: Upload, ids: Sequence[str], *, again: bool) -> str:
        """Shows them below the pages; returns their message's ts, "" where Slack does not let us look for it.

        `again`: Slack may have done it before, and then refuses it now, because a file is shared only once.
        """
        thread = upload.question.thread
        files = [{"id": id_, "title": file.title} for id_, file in zip(ids, upload.files, strict=True)]
        try:
            await self._web.call(SHARE, channel_id=thread.channel_id, thread_ts=thread.thread_ts, files=files)
        except Refused as error:
            if not again or error.reason.may_pass:
                raise
        looked = False
        for delay_s in LOOK_FOR_FILES_S:
            await self._clock.sleep(delay_s)
            try:
                if (ts := await self.find_files(upload.question, ids)) is not None:
                    return ts
                looked = True
            except (RateLimited, Refused) as error:
                log.warning("whether files are shared is not known yet: %s", error)
                if isinstance(error, Refused) and error.reason is Refusal.MESSAGE_GONE:
                    await self._take_back(upload.question, ids)
                    raise
        if looked:
            raise Refused(SHARE, NOT_SHARED, Refusal.TRANSIENT)
        return ""

    async def _take_back(self, question: Question, ids: Sequence[str]) -> None:
        """Files whose thread was deleted are not to stand at the channel's root."""
        await self._delete_files(tuple(ids))
        for each in _attached(question, await self._messages_at_root(question)):
            if set(ids) & set(each.file_ids):
                await self.send(Delete(question, each.ts))

    async def find(self, post: Post, orphans: Collection[str]) -> str | None:
        """The message of a post whose answer was lost, if Slack took it; none that it was to take the place of."""
        question = post.question
        try:
            pages = _pages(question, await self._messages(question))
        except Refused as refused:
            if refused.reason is not Refusal.MESSAGE_GONE:
                raise
            # The thread was deleted, so a post of ours is at the channel's root.
            for each in _pages(question, await self._messages_at_root(question)):
                raise Refused(refused.method, refused.error, Refusal.ASTRAY, str(each["ts"])) from refused
            raise
        return next((each["ts"] for each in pages if _page(each) == post.page and each["ts"] not in orphans), None)

    async def find_files(self, question: Question, ids: Sequence[str]) -> str | None:
        """The message with these files, if Slack has shared them."""
        attached = _attached(question, await self._messages(question))
        return next((each.ts for each in attached if set(ids) <= set(each.file_ids)), None)

    async def shown(self, job: Job) -> Shown:
        """What Slack shows of a job's reply; of an earlier version, only where.

        The Store knows most of its messages, also those that are too far back to be found here.
        """
        messages, is_all = await self._read(job.question)
        if job.page_ts and not is_all:
            around, _ = await self._read(job.question, _long_after(job.page_ts[-1]))
            messages = list({each["ts"]: each for each in (*around, *messages)}.values())
        pages = _held(job, messages, is_all=is_all)
        ours = list(takewhile(lambda page: _version(job, page) == job.version, pages.values()))
        chars, text = _shown_text(job, ours)
        return Shown(
            page_ts=tuple(pages),
            chars=chars,
            text=text,
            ended=_end(ours[-1]) if ours and len(ours) == len(pages) else None,
            outdated=bool(pages) and not ours,
            attached=tuple(_attached(job.question, messages)),
        )

    async def strays(self, question: Question, kept: tuple[str, ...]) -> list[Delete]:
        """What takes away messages that are not to be kept: those of calls that arrived after they were given up."""
        try:
            messages = await self._messages(question)
        except Refused as refused:
            if refused.reason is not Refusal.MESSAGE_GONE:
                raise
            messages = await self._messages_at_root(question)
        pages = [Delete(question, each["ts"]) for each in _pages(question, messages)]
        files = [Delete(question, each.ts, each.file_ids) for each in _attached(question, messages)]
        return [each for each in (*pages, *files) if each.ts not in kept]

    async def _delete_files(self, file_ids: tuple[str, ...]) -> None:
        """Deleted, a file leaves its message behind, and a message its file."""
        for file_id in file_ids:
            try:
                async with self._budget.spending("files.delete"):
                    await self._web.call("files.delete", file=file_id)
            except Refused as error:
                if error.reason.may_pass:
                    raise

    async def written_after(self, question: Question) -> list[dict[str, Any]]:
        """What was written in its conversation since the question, oldest first."""
        return [each for each in await self._messages(question) if each["ts"] > question.ts]

    async def _messages(self, question: Question) -> list[dict[str, Any]]:
        """What was written in its conversation since the question, oldest first."""
        return (await self._read(question))[0]

    async def _messages_at_root(self, question: Question) -> list[dict[str, Any]]:
        """What was written beside all threads since the question, oldest first."""
        return (await self._written_since(question, "conversations.history"))[0]

    async def _read(self, question: Question, until_ts: str = "") -> tuple[list[dict[str, Any]], bool]:
        """The same as _messages, and whether that is all.

        Of more than we look back, Slack gives the newest in a direct message: `until_ts` has it give older ones.
        """
        thread_ts = question.thread.thread_ts
        until = {"latest": until_ts} if until_ts else {}
        if thread_ts is None:
            return await self._written_since(question, "conversations.history", **until)
        return await self._written_since(question, "conversations.replies", ts=thread_ts, **until)

    async def _written_since(self, question: Question, method: str, **where: str) -> tuple[list[dict[str, Any]], bool]:
        look: dict[str, Any] = {
            "channel": question.thread.channel_id,
            "oldest": question.ts,
            "limit": LOOK_BACK_MESSAGES,
            "include_all_metadata": True,
        }
        async with self._budget.spending(method):
            found = await self._web.call(method, **where, **look)
        messages = sorted(found.get("messages", []), key=lambda message: str(message["ts"]))
        return messages, not found.get("has_more")


def _mark(question: Question, page: int, view: View) -> dict[str, Any]:
    """Which page of which question's reply a message is: the question's ts is unique in its channel."""
    place = {"question_ts": question.ts, "version": view.version, "page": page, "shown_chars": view.end_chars}
    # `ended` alone is what earlier versions of Typist read.
    end = {"ended": view.ended is not None, "end": view.ended or ""}
    return {"event_type": METADATA_EVENT, "event_payload": {**place, **end}}


def _payload(message: dict[str, Any]) -> dict[str, Any]:
    metadata = message.get("metadata") or {}
    return metadata.get("event_payload") or {} if metadata.get("event_type") == METADATA_EVENT else {}


def _pages(question: Question, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages with its pages, known by their metadata."""
    return [each for each in messages if _payload(each).get("question_ts") == question.ts]


def _page(message: dict[str, Any]) -> int:
    return int(_payload(message)["page"])


def _held(job: Job, messages: list[dict[str, Any]], *, is_all: bool) -> dict[str, dict[str, Any]]:
    """The messages of a job's reply by their ts, page by page: those on record, then those that are not."""
    there = {message["ts"]: message for message in messages}
    known = takewhile(lambda ts: ts in there or not is_all, job.page_ts)
    held = {ts: there.get(ts, {}) for ts in known}
    for message in _pages(job.question, messages):
        if _page(message) == len(held):
            held.setdefault(message["ts"], message)
    return held


def _long_after(ts: str) -> str:
    """When no message of the same reply comes any more; files come last."""
    return f"{float(ts) + FILES_WITHIN_S:.6f}"


def _version(job: Job, page: dict[str, Any]) -> int:
    """Of the answer that a message shows. One that was not found shows this one if something of it is on record."""
    unknown = job.version if job.version == 0 or job.checkpoint.text else job.version - 1
    return int(_payload(page).get("version", 0)) if _payload(page) else unknown


def _shown_text(job: Job, pages: list[dict[str, Any]]) -> tuple[int, str]:
    """How much of the answer these messages show, and its text: as it is on record, or as it can be read in Slack.

    A database that was away has less on record than Slack shows, and one that was an earlier version's has nothing.
    """
    on_record = job.checkpoint.text
    if not pages:
        return 0, on_record
    if not _payload(pages[-1]):
        return len(on_record), on_record
    read = "\n\n".join(with_names(body_of(reply_blocks.answer_of(page)), {}).strip() for page in pages)
    chars = int(_payload(pages[-1]).get("shown_chars", len(read)))
    return chars, on_record if chars <= len(on_record) else read


def _end(message: dict[str, Any]) -> End | None:
    payload = _payload(message)
    return End(payload.get("end") or End.WHOLE) if payload.get("ended") else None


def _attached(question: Question, messages: list[dict[str, Any]]) -> list[Attached]:
    """The messages with its files, known by their names."""
    found = []
    for message in messages:
        files = [each for each in message.get("files") or [] if attachments.is_of(each.get("name") or "", question.ts)]
        if files:
            keys = frozenset((each["name"], int(each.get("size") or 0)) for each in files)
            found.append(Attached(message["ts"], tuple(each["id"] for each in files), keys))
    return found
