"""A reply's calls as Slack's chat.* methods, and the messages that a lost answer of Slack's left behind."""

from typing import Any

from bot.core import blocks
from bot.core.conversation import Question
from bot.core.reply import Call, Delete, Post, Shown, Update, View
from bot.slack.budget import Budget
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

    def __init__(self, web: SlackWeb, budget: Budget) -> None:
        self._web = web
        self._budget = budget

    async def send(self, call: Call) -> str:
        """Returns the message's ts."""
        channel = call.question.thread.channel_id
        match call:
            case Post(page=page, view=view):
                answer = await self._web.call(
                    "chat.postMessage",
                    channel=channel,
                    thread_ts=call.question.thread.thread_ts,
                    metadata=_mark(call.question, page, view),
                    # Slack would fetch links to preview them: a known way to leak data through an address.
                    unfurl_links=False,
                    unfurl_media=False,
                    **blocks.message(view),
                )
                return str(answer["ts"])
            case Update(page=page, view=view):
                ended = {"metadata": _mark(call.question, page, view)} if view.ended else {}
                await self._web.call("chat.update", channel=channel, ts=call.ts, **blocks.message(view), **ended)
            case Delete():
                await self._web.call("chat.delete", channel=channel, ts=call.ts)
        return call.ts

    async def delete(self, question: Question, ts: str) -> None:
        """Takes a message away."""
        await self.send(Delete(question, ts))

    async def find(self, post: Post) -> str | None:
        """The message of a post whose answer was lost, if Slack took it."""
        return next((ts for page, ts, _ in await self._marked(post.question) if page == post.page), None)

    async def shown(self, question: Question) -> Shown:
        """What Slack shows of the question's reply."""
        pages: dict[int, tuple[str, dict[str, Any]]] = {}
        for page, ts, message in await self._marked(question):
            pages.setdefault(page, (ts, message))
        held = [pages[page] for page in sorted(pages) if set(range(page)) <= set(pages)]
        return Shown(
            page_ts=tuple(ts for ts, _ in held),
            pages=tuple(blocks.markdown_of(message) for _, message in held),
            ended=any(_payload(message).get("ended") for _, message in held[-1:]),
        )

    async def strays(self, question: Question, page_ts: tuple[str, ...]) -> list[str]:
        """Messages of the reply that are none of its pages: posts that arrived after they were given up."""
        return [ts for _, ts, _ in await self._marked(question) if ts not in page_ts]

    async def _marked(self, question: Question) -> list[tuple[int, str, dict[str, Any]]]:
        """Page, ts and message of all that was posted for a question, oldest first; known by its metadata."""
        thread = question.thread
        look: dict[str, Any] = {
            "channel": thread.channel_id,
            "oldest": question.ts,
            "limit": LOOK_BACK_MESSAGES,
            "include_all_metadata": True,
        }
        method = "conversations.replies" if thread.thread_ts else "conversations.history"
        async with self._budget.spending(method):
            found = await self._web.call(method, ts=thread.thread_ts, **look)
        ours = [each for each in found.get("messages", []) if _payload(each).get("question_ts") == question.ts]
        return sorted(((_payload(each)["page"], each["ts"], each) for each in ours), key=lambda mark: mark[1])


def _mark(question: Question, page: int, view: View) -> dict[str, Any]:
    """Which page of which question's reply a message is: the question's ts is unique in its channel."""
    payload = {"question_ts": question.ts, "page": page, "ended": view.ended}
    return {"event_type": METADATA_EVENT, "event_payload": payload}


def _payload(message: dict[str, Any]) -> dict[str, Any]:
    metadata = message.get("metadata") or {}
    return metadata.get("event_payload") or {} if metadata.get("event_type") == METADATA_EVENT else {}
