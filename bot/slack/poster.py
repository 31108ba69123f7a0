"""A reply's calls as Slack's chat.* methods, and the messages that a lost answer of Slack's left behind."""

from typing import Any

from bot.core import blocks
from bot.core.reply import Call, Delete, Post, Update
from bot.slack.web import SlackWeb

METADATA_EVENT = "typist_reply"
LOOK_BACK_MESSAGES = 200


def method_of(call: Call) -> str:
    """Slack's method for a call: budgets are counted by it."""
    match call:
        case Post():
            return "chat.postMessage"
        case Update():
            return "chat.update"
        case Delete():
            return "chat.delete"


class Poster:
    """Sends calls; raises RateLimited and Refused."""

    def __init__(self, web: SlackWeb) -> None:
        self._web = web

    async def send(self, call: Call) -> str:
        """Returns the message's ts."""
        channel = call.question.thread.channel_id
        match call:
            case Post():
                answer = await self._web.call(
                    "chat.postMessage",
                    channel=channel,
                    thread_ts=call.question.thread.thread_ts,
                    metadata={"event_type": METADATA_EVENT, "event_payload": _mark(call)},
                    # Slack would fetch links to preview them: a known way to leak data through an address.
                    unfurl_links=False,
                    unfurl_media=False,
                    **blocks.message(call.view),
                )
                return str(answer["ts"])
            case Update():
                await self._web.call("chat.update", channel=channel, ts=call.ts, **blocks.message(call.view))
            case Delete():
                await self._web.call("chat.delete", channel=channel, ts=call.ts)
        return call.ts

    async def find(self, post: Post) -> str | None:
        """The message of a post whose answer was lost, if Slack took it; found by its metadata."""
        thread = post.question.thread
        look: dict[str, Any] = {
            "channel": thread.channel_id,
            "oldest": post.question.ts,
            "limit": LOOK_BACK_MESSAGES,
            "include_all_metadata": True,
        }
        if thread.thread_ts:
            found = await self._web.call("conversations.replies", ts=thread.thread_ts, **look)
        else:
            found = await self._web.call("conversations.history", **look)
        for message in found.get("messages", []):
            metadata = message.get("metadata") or {}
            if metadata.get("event_type") == METADATA_EVENT and metadata.get("event_payload") == _mark(post):
                return str(message["ts"])
        return None


def _mark(post: Post) -> dict[str, Any]:
    """Which page of which question's reply a message is: the question's ts is unique in its channel."""
    return {"question_ts": post.question.ts, "page": post.page}
