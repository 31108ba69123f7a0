"""Reads canvases and pins for the channel-reading tool (history.py).

A model gets titles and URLs first. It reads a canvas or a pinned file by its ID, and a pinned message like any other
message.
"""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bot.core.calls import READ_CHANNEL, CallResult, CallState, result_for_model
from bot.core.canvases import linked_canvas
from bot.core.conversation import Question
from bot.core.files import file_label
from bot.core.texts.files import Unread
from bot.models.prompt import Media
from bot.slack.canvases import Canvases
from bot.slack.client import PacedClient
from bot.slack.files import Files
from bot.slack.json_values import Payload, json_object, json_objects, messages_in, string
from files_to_markdown.document import Document

_ABOUT = {False: "topic and purpose", True: "topic, purpose, canvases and pins"}
_TEXT_OF = {False: "The ID of a canvas", True: "The ID of a canvas or of a pinned file"}
NOT_READABLE = "This canvas or file can't be read here. Say so."  # prose: for the model
CANVASES = "Canvases in tabs, whose text `canvas` returns:"
OTHER_TABS = "Tabs that can't be read here: {count}"


def page_parameters(*, reads_tabs: bool) -> Mapping[str, Any]:
    """Returns the parameters of the channel-reading tool for everything except messages."""
    about = f"true: returns the channel's {_ABOUT[reads_tabs]} instead"
    return {
        "canvas": {"type": "string", "description": f"{_TEXT_OF[reads_tabs]}: returns its text instead"},
        "about": {"type": "boolean", "description": about},
    }


class ChannelPages:
    """Reads the content that a channel shows besides messages. `reads_tabs`: whether to list canvases and pins."""

    def __init__(self, client: PacedClient, canvases: Canvases, files: Files, *, reads_tabs: bool) -> None:
        self._client = client
        self._canvases = canvases
        self._files = files
        self.reads_tabs = reads_tabs

    async def canvas_result(self, question: Question, arguments: Mapping[str, Any]) -> CallResult | None:
        """Returns the result of a tool call that asks for a canvas or file, or None for any other call. Never raises an
        exception because of one that can't be read."""
        canvas_id = str(arguments.get("canvas") or "")
        if not canvas_id:
            return None
        canvas = (await self._canvases.read([linked_canvas(canvas_id)], question))[canvas_id]
        if isinstance(canvas.content, Document):
            return unstored_result(f"# {canvas.file.name}\n\n{canvas.content.text}")
        if not self.reads_tabs or canvas.content is not Unread.KIND:
            return CallResult.failed(NOT_READABLE)
        # The conversation's readers can open it, but it isn't a canvas.
        async with self._files.reading([canvas.file], question.user_id) as opened:
            file = opened[canvas_id]
        content = file.content.text_alternative if isinstance(file.content, Media) else file.content
        if content is None or isinstance(content, Unread):
            return CallResult.failed(NOT_READABLE)
        return unstored_result(file_label(replace(file, content=content)))

    async def tab_lines(self, channel: Payload, question: Question) -> list[str]:
        """Returns the canvases in a channel's tabs, or [] if there are none. `channel`: Slack's channel object."""
        properties = json_object(channel, "properties")
        # Slack lists a channel's own canvas in one of two places, or in both.
        tabs = (json_object(tab, "data") for tab in json_objects(properties, "tabs"))
        listed = (string(canvas, "file_id") for canvas in (json_object(properties, "canvas"), *tabs))
        ids = list(dict.fromkeys(filter(None, listed)))
        described = await asyncio.gather(*(self._canvases.title_and_link(id_, question) for id_ in ids))
        lines = [f"> {title}, ID {id_}, {link}" for id_, (title, link) in zip(ids, described, strict=True) if title]
        others = [OTHER_TABS.format(count=len(ids) - len(lines))] if len(lines) < len(ids) else []
        return [*([CANVASES] if lines else []), *lines, *others]

    async def pinned_messages(self, channel_id: str) -> Sequence[Payload]:
        """Returns a channel's pinned messages, newest pin first. Raises RateLimited and Refused."""
        items = json_objects(await self._client.call("pins.list", channel=channel_id), "items")
        return messages_in({"messages": [json_object(item, "message") for item in items]})


def unstored_result(text: str) -> CallResult:
    """Returns a result of the channel-reading tool that isn't recorded. People edit the text, so a process that takes
    over the job reads it again."""
    return CallResult(CallState.DONE, result_for_model(text, READ_CHANNEL, secrets.token_hex(8)), can_be_stored=False)
