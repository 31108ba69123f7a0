"""The wish for a canvas: words at the beginning or the end of a question. Pure.

No model decides: "as a canvas" means the same with every vendor, and the answer streams as any other does.
"""

import re
from collections.abc import Iterable

from bot.core.conversation import Question
from bot.core.inbound.mentions import without_address

_AT_BEGINNING = re.compile(r"(?:please[, ]\s*)?as (?:a )?(?:slack )?canvas\s*[:,]", re.IGNORECASE)
_AT_END = re.compile(
    r"(?<!\w)as (?:a )?(?:slack )?canvas[\s,.!?…)]*(?:(?:please|thanks|thank you)[\s.!…)]*)?$", re.IGNORECASE
)
_END_CHARS = 60
"""How many of a question's last characters are looked at."""


def wanted_by(questions: Iterable[Question], bot_user_id: str) -> str:
    """Returns who asks for an answer "as a canvas", at the beginning or the end of a question; "" if nobody does."""
    for question in questions:
        words = without_address(question.own_text, bot_user_id).strip()
        if _AT_BEGINNING.match(words) or _AT_END.search(words, max(0, len(words) - _END_CHARS)):
            return question.user_id
    return ""
