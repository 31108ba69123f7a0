"""Text about access and about answers without a mention."""

import re
from collections.abc import Sequence
from enum import StrEnum

from bot.core.texts.words import listed


class Denial(StrEnum):
    """The reason for a denial. The value is the sentence shown to the asker."""

    PERSON = "You don't have access to this bot. Ask your Typist admin."
    CHANNEL = "I'm not available in this channel. Ask your Typist admin."
    GUEST = "Guests don't have access to this bot. Ask your Typist admin."
    EXTERNAL = "People from other organizations don't have access to this bot. Ask your Typist admin."
    BOT = "Other bots don't have access to this bot. Ask your Typist admin."
    UNKNOWN = "I can't check your access right now. Please ask again in a few minutes."
    NOT_A_MEMBER = (
        "Only members of this workspace can approve or deny this. If you are one, please try again in a minute."
    )
    """The asker has access, but only workspace members can make this request."""


SOMEBODY_JOINED = {
    "follow-ups": "Other people have joined the conversation here. Mention me if you want an answer.",
    "everyone": "Other people have joined the conversation here. I'll answer everyone, even without a mention.",
}
SOMEBODY_JOINED_IN_DOUBT = (
    "Other people have joined the conversation here. Mention me if you want an answer. Without a mention, a model will "
    "decide whether a message is for me."
)
STAY_QUIET = "Stay quiet here"
QUIET_NOW = "OK. Mention me when you need me."
ALREADY_QUIET = "I'm already quiet here. Mention me when you need me."
NOT_YOUR_THREAD = "Only the person who started this thread and Typist admins can ask me to stay quiet here."

_YOUR_ADMIN = "your Typist admin"
_ADMINS = re.compile("Typist admins?")


def mentions_an_admin(sentence: str) -> bool:
    return _YOUR_ADMIN in sentence


def with_admins(sentence: str, admins: Sequence[str]) -> str:
    if not admins:
        return sentence
    named = listed(admins, "or")
    if sentence.startswith("Only ") and not mentions_an_admin(sentence):
        return _ADMINS.sub(lambda found: f"{found[0]} ({named})", sentence, count=1)
    return sentence.replace(_YOUR_ADMIN, named)
