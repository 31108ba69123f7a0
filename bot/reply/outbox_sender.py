"""Makes the outbox's calls to Slack: deletes replies, and posts separate messages.

A separate message is posted only once. Before it is posted, it is recorded without a ts. If a later try finds such a
record, it looks for the message in Slack by its metadata.
"""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from bot.core import texts
from bot.core.conversation import ANSWERED_SUBTYPES
from bot.core.job import MessageRole, RecordedMessage
from bot.core.outbox import OutboxEntry
from bot.errors import Refused
from bot.reply.delivery import ReplyFiles
from bot.reply.messages import Delete
from bot.reply.posted import PostedReplies
from bot.slack.blockkit import Json, remark
from bot.slack.client import PacedClient, only_while
from bot.slack.json_values import Payload
from bot.slack.plain import text_of
from bot.slack.posted_questions import parse_posted_question
from bot.text import object_in

log = logging.getLogger(__name__)

MENTION_EVENT = "typist_ping"
ASK_EVENT = "typist_ask"
CANVAS_EVENT = "typist_canvas"
COPY_EVENT = "typist_channel_copy"
_EVENTS: Mapping[MessageRole, str] = {
    MessageRole.MENTION: MENTION_EVENT,
    MessageRole.ASK: ASK_EVENT,
    MessageRole.LINK: CANVAS_EVENT,
    MessageRole.CHANNEL_COPY: COPY_EVENT,
}


@dataclass(frozen=True, slots=True)
class SideMessage:
    role: MessageRole
    version: int
    text: str
    metadata: Payload
    blocks: Sequence[Json] | None = None
    """The blocks, if this is a CHANNEL_COPY."""

    def as_recorded(self, ts: str = "") -> RecordedMessage:
        return RecordedMessage(ts, self.role, self.version)


def ready_message(entry: OutboxEntry) -> SideMessage:
    return _side_message(entry, MessageRole.MENTION, texts.answers.answer_ready(_asker_mention(entry)))


def approval_reminder(entry: OutboxEntry, kinds: Collection[str]) -> SideMessage:
    sentence = texts.approvals.reminder(_asker_mention(entry), kinds)
    return _side_message(entry, MessageRole.ASK, sentence, waits_until=str(entry.waits_until))


def link_message(entry: OutboxEntry, version: int, link: str) -> SideMessage:
    return _side_message(replace(entry, version=version), MessageRole.LINK, texts.answers.canvas_made(f"<{link}>"))


def copy_message(entry: OutboxEntry, version: int, blocks: Sequence[Json]) -> SideMessage:
    copied = _side_message(replace(entry, version=version), MessageRole.CHANNEL_COPY, text_of(blocks))
    return replace(copied, blocks=blocks)


def _side_message(entry: OutboxEntry, role: MessageRole, text: str, **more: str) -> SideMessage:
    payload = {"question_ts": entry.question.ts, "version": entry.version, **more}
    metadata = {"event_type": _EVENTS[role], "event_payload": payload}
    return SideMessage(role, entry.version, text, metadata)


def _message_options(message: SideMessage) -> Payload:
    match message.role:
        case MessageRole.MENTION:
            return {}
        case MessageRole.CHANNEL_COPY:
            return {"blocks": message.blocks, "reply_broadcast": True}
    return {"blocks": remark(message.text)}


def _asker_mention(entry: OutboxEntry) -> str:
    return f"<@{entry.question.user_id}>"


class OutboxSender:
    """Makes an outbox entry's calls to Slack. Methods raise RateLimited and Refused."""

    def __init__(self, client: PacedClient, posted: PostedReplies, files: ReplyFiles) -> None:
        self._client = client
        self._posted = posted
        self._files = files

    async def clear(self, entry: OutboxEntry) -> None:
        """Deletes the reply's recorded messages, or searches for them if none are recorded."""
        question = entry.question
        recorded = [Delete(question, ts) for ts in entry.page_ts]
        await self._delete(recorded or await self._posted.late_messages(question, ()))

    async def delete(self, entry: OutboxEntry) -> None:
        """Deletes the reply's messages and files. Messages that Slack's list doesn't include are taken from the record.
        The first try deletes all recorded messages, because Slack might not list a new message yet."""
        nearby, is_all = await self._posted.deletions(entry.question)
        is_complete = is_all and entry.tries > 1
        far_back = set() if is_complete else set(entry.page_ts) - {call.ts for call in nearby}
        await self._delete([*nearby, *(Delete(entry.question, ts) for ts in sorted(far_back))])

    async def delete_if_unanswered(self, entry: OutboxEntry) -> bool:
        """Deletes a reply and its files. Returns False if a person wrote after the question."""
        messages = await self._posted.messages_since(entry.question)
        if any(self._is_by_person(message) for message in messages if message["ts"] > entry.question.ts):
            return False
        await self._delete(await self._posted.late_messages(entry.question, ()))
        return True

    async def unrecorded_messages(self, entry: OutboxEntry, roles: Collection[MessageRole]) -> Mapping[str, Payload]:
        """Returns the metadata, by ts, of separate messages that have these roles but no recorded ts."""
        if all(message.ts for message in entry.side_messages if message.role in roles):
            return {}
        recorded_ts = {message.ts for message in entry.side_messages}
        events = [_EVENTS[role] for role in roles if role in _EVENTS]
        found = {}
        for message in await self._posted.messages_since(entry.question):
            metadata = object_in(message.get("metadata"))
            is_of_question = object_in(metadata.get("event_payload")).get("question_ts") == entry.question.ts
            is_known = message["ts"] in recorded_ts or not self._posted.is_own(message)
            if is_of_question and metadata.get("event_type") in events and not is_known:
                found[str(message["ts"])] = metadata
        return found

    async def post_side_message(
        self, entry: OutboxEntry, message: SideMessage, is_still_ours: Callable[[], bool]
    ) -> str:
        """Posts a separate message and returns its ts. Sends nothing if `is_still_ours()` is False."""
        thread = entry.question.thread
        with only_while(is_still_ours):
            _, ts = await self._client.post(
                thread.channel_id,
                thread.thread_ts,
                text=message.text,
                metadata=message.metadata,
                **_message_options(message),
            )
        return ts

    async def delete_side_messages(self, entry: OutboxEntry, ts: Collection[str]) -> None:
        has_files = any(one.role is MessageRole.TABLES and one.ts in ts for one in entry.side_messages)
        nearby = (await self._posted.deletions(entry.question))[0] if has_files else ()
        with_files = {call.ts: call for call in nearby}
        await self._delete([with_files.get(one, Delete(entry.question, one)) for one in sorted(ts)])

    def _is_by_person(self, message: Payload) -> bool:
        if self._posted.is_own(message):
            return parse_posted_question(message) is not None
        is_other = message.get("user") is not None and not message.get("bot_id")
        return is_other and message.get("subtype") in ANSWERED_SUBTYPES

    async def _delete(self, calls: Sequence[Delete]) -> None:
        for call in calls:
            try:
                await self._files.delete(call)
            except Refused as error:
                if not error.reason.is_permanent:
                    raise
