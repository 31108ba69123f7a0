"""Reads canvases for the channel-reading tool (history.py)."""

import secrets
from collections.abc import Mapping
from typing import Any

from bot.core.calls import READ_CHANNEL, CallResult, CallState, result_for_model
from bot.core.canvases import linked_canvas
from bot.core.conversation import Question
from bot.slack.canvases import Canvases
from files_to_markdown.document import Document

PARAMETERS = {
    "canvas": {"type": "string", "description": "The ID of a canvas: returns its text instead"},
    "about": {"type": "boolean", "description": "true: returns the channel's topic and purpose instead"},
}
NOT_READABLE = "This canvas can't be read here. Say so."  # prose: for the model


class ChannelPages:
    """Reads what a channel shows besides messages."""

    def __init__(self, canvases: Canvases) -> None:
        self._canvases = canvases

    async def result(self, question: Question, arguments: Mapping[str, Any]) -> CallResult | None:
        """Returns the result of a call that asks for something other than messages, or None. Never raises because of
        a canvas."""
        canvas_id = str(arguments.get("canvas") or "")
        if not canvas_id:
            return None
        canvas = (await self._canvases.read([linked_canvas(canvas_id)], question))[canvas_id]
        if not isinstance(canvas.content, Document):
            return CallResult.failed(NOT_READABLE)
        return unstored_result(f"# {canvas.file.name}\n\n{canvas.content.text}")


def unstored_result(text: str) -> CallResult:
    """Returns a result of the channel-reading tool that isn't recorded. People edit the text, so a process that takes
    over the job reads it again."""
    return CallResult(CallState.DONE, result_for_model(text, READ_CHANNEL, secrets.token_hex(8)), can_be_stored=False)
