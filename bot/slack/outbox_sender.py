"""Makes the outbox's calls in Slack: deletes messages, offers another answer, mentions askers."""

from collections.abc import Callable, Sequence
from typing import Any

from bot.core import texts
from bot.core.inbound.triage import ANSWERED_SUBTYPES, Identity
from bot.core.outbox import OutboxEntry
from bot.core.reply.state import Delete
from bot.errors import Refused
from bot.slack.client import SlackClient, only_while
from bot.slack.format import reply_blocks
from bot.slack.rate_budget import RateBudget
from bot.slack.reply_transport import ReplyTransport
from bot.slack.thread_posts import Threads

PING_EVENT = "typist_ping"


class SlackOutboxSender:
    """The Courier port on Slack's Web API; its calls share the budgets of all others."""

    def __init__(
        self, web: SlackClient, poster: ReplyTransport, budget: RateBudget, threads: Threads, me: Identity
    ) -> None:
        self._web = web
        self._poster = poster
        self._budget = budget
        self._threads = threads
        self._me = me

    async def clear(self, entry: OutboxEntry) -> None:
        """Those that are not on record are looked for."""
        question = entry.question
        await self._send([Delete(question, ts) for ts in entry.page_ts] or await self._poster.strays(question, ()))

    async def delete(self, entry: OutboxEntry) -> None:
        """Its pages and files; those that are too far back to be found are on record."""
        found = await self._poster.strays(entry.question, ())
        far_back = set(entry.page_ts) - {each.ts for each in found}
        await self._send([*found, *(Delete(entry.question, ts) for ts in sorted(far_back))])

    async def remove(self, entry: OutboxEntry) -> None:
        """What people wrote after the question may refer to the reply."""
        if not any(map(self._by_person, await self._poster.written_after(entry.question))):
            await self._send(await self._poster.strays(entry.question, ()))

    async def offer(self, entry: OutboxEntry) -> None:
        """The button's value is the job's id: what one alone is shown is no message of the reply."""
        thread = entry.question.thread
        await self._web.call(
            "chat.postEphemeral",
            channel=thread.channel_id,
            user=entry.question.user_id,
            thread_ts=thread.thread_ts,
            text=texts.QUESTION_EDITED,
            blocks=reply_blocks.offer(texts.QUESTION_EDITED, texts.REGENERATE, str(entry.job_id)),
        )

    async def ping(self, entry: OutboxEntry, still: Callable[[], bool]) -> str | None:
        """Looks first whether an earlier try has done it."""
        thread, mark = entry.question.thread, _ping_mark(entry)
        if entry.tries > 1:
            for each in await self._poster.written_after(entry.question):
                if each.get("metadata") == mark:
                    return str(each["ts"])
        people = " ".join(f"<@{user_id}>" for user_id in entry.askers)
        with only_while(still):
            _, ts = await self._threads.post(
                thread.channel_id, thread.thread_ts, text=texts.answer_ready(people), metadata=mark
            )
        return ts

    def _by_person(self, message: dict[str, Any]) -> bool:
        is_other = message.get("user") not in (None, self._me.user_id) and not message.get("bot_id")
        return is_other and message.get("subtype") in ANSWERED_SUBTYPES

    async def _send(self, deletions: Sequence[Delete]) -> None:
        for call in deletions:
            async with self._budget.spending("chat.delete"):
                try:
                    await self._poster.send(call)
                except Refused as refused:
                    if refused.reason.may_pass:
                        raise


def _ping_mark(entry: OutboxEntry) -> dict[str, Any]:
    payload = {"question_ts": entry.question.ts, "version": entry.version}
    return {"event_type": PING_EVENT, "event_payload": payload}
