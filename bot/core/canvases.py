"""Canvases in conversations: canvas files, links to canvases, and requests for an answer in a canvas. Pure."""

import re
from collections.abc import Iterable

from bot.core import texts
from bot.core.conversation import CHECK_FILE_INFO, File, Question, without_bot_mention

CANVAS = "application/vnd.slack-docs"
CANVAS_LINK = re.compile(
    r"(?<![\w./-])(?:https://)?[\w.-]{1,100}\.slack(?:-gov)?\.com/docs/[TE][A-Z0-9]{1,30}/(F[A-Z0-9]{1,30})\b"
)
CANVAS_RULE = (
    "The reader asks for a canvas, and your answer is saved as one: write the document itself, beginning with its "
    "heading, and say nothing about the canvas."
)
_MENTION_FORMAT = "(Canvas {id})"
CANVAS_MENTION = re.compile(r"\(Canvas (F[A-Z0-9]{1,30})\)")


def is_canvas(file: File) -> bool:
    return file.mimetype == CANVAS or file.filetype == "quip"


def linked_canvas(canvas_id: str) -> File:
    """Returns a canvas whose access is checked before it is read. Until then, it has no name, because its title might
    be private."""
    return File(canvas_id, texts.canvases.UNNAMED, mimetype=CANVAS, access=CHECK_FILE_INFO)


def canvas_mention(canvas_id: str) -> str:
    """Returns a placeholder for a canvas, which is later replaced with the canvas's name. Slack provides only the
    ID."""
    return _MENTION_FORMAT.format(id=canvas_id)


_AT_BEGINNING = re.compile(r"(?:please[, ]\s*)?as (?:a )?(?:slack )?canvas\s*[:,]", re.IGNORECASE)
_AT_END = re.compile(
    r"(?<!\w)as (?:a )?(?:slack )?canvas[\s,.!?…)]*(?:(?:please|thanks|thank you)[\s.!…)]*)?$", re.IGNORECASE
)


def canvas_requester(questions: Iterable[Question], bot_user_id: str) -> str:
    """Returns the user ID of the person who asks for the answer "as a canvas" at the beginning or end of a question, or
    "" if nobody does."""
    for question in questions:
        words = without_bot_mention(question.own_text, bot_user_id).strip()
        # In a long question, only the last characters are checked.
        if _AT_BEGINNING.match(words) or _AT_END.search(words, max(0, len(words) - 60)):
            return question.user_id
    return ""
