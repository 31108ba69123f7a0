"""Makes the calls to Slack that the outbox has left over: deletes replies, mentions the asker, and tells admins.

A mention is posted once: a second try looks in Slack for the message of the first, which is known by its metadata.
"""

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

from bot.core import texts
from bot.core.conversation import ANSWERED_SUBTYPES
from bot.core.outbox import OutboxEntry
from bot.errors import Refusal, Refused
from bot.reply.delivery import MessageTransport
from bot.reply.messages import Delete
from bot.reply.posted import PostedReplies
from bot.slack import plain
from bot.slack.blockkit import remark
from bot.slack.client import only_while
from bot.slack.json_values import Payload
from bot.slack.notices import cap_notice_blocks
from bot.slack.posted_questions import asked_in
from bot.slack.surfaces import ThreadPoster
from bot.text import object_in

log = logging.getLogger(__name__)

PING_EVENT = "typist_ping"
ASK_EVENT = "typist_ask"
CANVAS_EVENT = "typist_canvas"


class OutboxSender:
    """Makes an outbox entry's calls to Slack. Each method raises RateLimited and Refused.

    `bot_user_id`: Typist's own user.
    """

    def __init__(
        self,
        transport: MessageTransport,
        posted: PostedReplies,
        threads: ThreadPoster,
        bot_user_id: str,
    ) -> None:
        self._transport = transport
        self._posted = posted
        self._threads = threads
        self._bot_user_id = bot_user_id

    async def clear(self, entry: OutboxEntry) -> None:
        """Deletes the reply's messages; searches for them if none are on record."""
        question = entry.question
        recorded = [Delete(question, ts) for ts in entry.page_ts]
        await self._delete(recorded or await self._posted.late_messages(question, ()))

    async def delete(self, entry: OutboxEntry) -> None:
        """Deletes the reply's messages and files; those too far back to be found are on record.

        The first try deletes those on record in any case: Slack may not list a message that was just posted.
        """
        nearby, is_all = await self._posted.deletions(entry.question)
        is_complete = is_all and entry.tries > 1
        far_back = set() if is_complete else set(entry.page_ts) - {call.ts for call in nearby}
        await self._delete([*nearby, *(Delete(entry.question, ts) for ts in sorted(far_back)), *_beside(entry)])

    async def remove(self, entry: OutboxEntry) -> bool:
        """Deletes the messages of a reply and its files, unless a person wrote after the question; returns whether.

        Their message may refer to it. So may a question that we posted for them, as a choice below the reply does.
        """
        messages = await self._posted.messages_since(entry.question)
        if any(self._is_by_person(message) for message in messages if message["ts"] > entry.question.ts):
            return False
        await self._delete([*await self._posted.late_messages(entry.question, ()), *_beside(entry)])
        return True

    async def post_canvas(self, entry: OutboxEntry, version: int, link: str, still: Callable[[], bool]) -> str:
        """Shows the conversation a link to an answer's canvas; returns the ts of the message.

        Sends nothing if an earlier try has done so, or once `still()` is False.
        """
        metadata = _metadata(CANVAS_EVENT, replace(entry, version=version))
        if ts := await self._earlier(entry, metadata):
            return ts
        sentence = texts.answers.canvas_made(f"<{link}>")
        return await self._post(entry, still, text=sentence, blocks=remark(sentence), metadata=metadata)

    async def delete_link(self, entry: OutboxEntry, ts: str) -> None:
        """Deletes the message with the link to an answer's canvas."""
        await self._delete([Delete(entry.question, ts)])

    async def mention(self, entry: OutboxEntry, still: Callable[[], bool]) -> str | None:
        """Mentions the asker because their answer is complete; returns the ts of the message, None if it has none.

        Sends nothing if an earlier try has done so, or once `still()` is False: another process may have the entry.
        """
        metadata = _metadata(PING_EVENT, entry)
        if ts := await self._earlier(entry, metadata):
            return ts
        return await self._post(entry, still, text=texts.answers.answer_ready(_mention(entry)), metadata=metadata)

    async def ask_approval(self, entry: OutboxEntry, kinds: Collection[str], still: Callable[[], bool]) -> str:
        """Mentions the asker because cards of these kinds wait for them; returns the ts of the message.

        Sends nothing if an earlier try has done so for the same approval, or once `still()` is False. A mention that
        asked for an earlier approval goes first.
        """
        metadata = _metadata(ASK_EVENT, entry, waits_until=str(entry.waits_until))
        if ts := await self._earlier(entry, metadata):
            return ts
        await self.clear_ask(entry)
        sentence = texts.approvals.still_asks(_mention(entry), kinds)
        blocks = remark(sentence)
        return await self._post(entry, still, text=sentence, blocks=blocks, metadata=metadata)

    async def clear_ask(self, entry: OutboxEntry) -> None:
        """Deletes the message that mentioned the asker because of an approval, or of an answer that isn't there.

        An earlier try may have posted one without hearing of it.
        """
        gone = {entry.ask_ts} if entry.ask_ts else set[str]()
        if entry.tries > 1:
            messages = await self._posted.messages_since(entry.question)
            gone |= {str(message["ts"]) for message in messages if _mentions(message, entry)} - {entry.mention_ts}
        await self._delete([Delete(entry.question, ts) for ts in sorted(gone)])

    async def tell_admin(
        self, user_id: str, sentence: str, unit: str, daily: Sequence[tuple[str, float]], still: Callable[[], bool]
    ) -> None:
        """Sends a notice about a cap, in mrkdwn, to an admin's direct message, with a chart of the last days' usage.

        Slack doesn't take charts in all workspaces yet: one that refuses it gets the sentence alone.
        """
        with only_while(still):
            try:
                await self._threads.post(user_id, None, **plain.message(cap_notice_blocks(sentence, unit, daily)))
            except Refused as refused:
                if refused.reason is not Refusal.UNREADABLE:
                    raise
                log.warning("notice about a cap sent without its chart: %s", refused)
                await self._threads.post(user_id, None, **plain.message(cap_notice_blocks(sentence, unit, ())))

    async def tell(self, user_id: str, sentence: str, still: Callable[[], bool] = lambda: True) -> None:
        """Sends a sentence to a person's direct message, unless `still()` is False by then."""
        with only_while(still):
            await self._threads.post(user_id, None, text=sentence, blocks=remark(sentence))

    async def _earlier(self, entry: OutboxEntry, metadata: Payload) -> str | None:
        """Returns the ts of the message that an earlier try has posted."""
        messages = await self._posted.messages_since(entry.question) if entry.tries > 1 else ()
        return next((str(message["ts"]) for message in messages if message.get("metadata") == metadata), None)

    async def _post(self, entry: OutboxEntry, still: Callable[[], bool], **message: Any) -> str:
        thread = entry.question.thread
        with only_while(still):
            _, ts = await self._threads.post(thread.channel_id, thread.thread_ts, **message)
        return ts

    def _is_by_person(self, message: Payload) -> bool:
        if message.get("user") == self._bot_user_id:
            return asked_in(message) is not None
        is_other = message.get("user") is not None and not message.get("bot_id")
        return is_other and message.get("subtype") in ANSWERED_SUBTYPES

    async def _delete(self, calls: Sequence[Delete]) -> None:
        for call in calls:
            try:
                await self._transport.senders.files.delete_paced(call)
            except Refused as error:
                if not error.reason.is_for_good:
                    raise


def _beside(entry: OutboxEntry) -> list[Delete]:
    """Returns the deletion of the message that says that the answer is ready, if there is one."""
    return [Delete(entry.question, entry.mention_ts)] if entry.mention_ts else []


def _mentions(message: Payload, entry: OutboxEntry) -> bool:
    """Whether a message mentioned an entry's asker."""
    metadata = object_in(message.get("metadata"))
    is_of_question = object_in(metadata.get("event_payload")).get("question_ts") == entry.question.ts
    return is_of_question and metadata.get("event_type") in (PING_EVENT, ASK_EVENT)


def _mention(entry: OutboxEntry) -> str:
    return f"<@{entry.question.user_id}>"


def _metadata(event: str, entry: OutboxEntry, **more: str) -> Payload:
    payload = {"question_ts": entry.question.ts, "version": entry.version, **more}
    return {"event_type": event, "event_payload": payload}
