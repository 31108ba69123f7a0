"""Who may ask, and who is answered without a mention."""

import re
from collections.abc import Sequence

from bot.core.texts.words import listed

DENIED_USER = "You don't have access to this bot. Ask your Typist admin."
DENIED_CHANNEL = "I'm not available in this channel. Ask your Typist admin."
DENIED_GUEST = "Guests don't have access to this bot. Ask your Typist admin."
DENIED_EXTERNAL = "People from other organizations don't have access to this bot. Ask your Typist admin."
DENIED_BOT = "Other bots don't have access to this bot. Ask your Typist admin."
DENIED_UNKNOWN = "I can't check your access right now. Please ask again in a few minutes."

SOMEBODY_JOINED = {
    "follow-ups": (
        "Someone else has joined this thread. "
        "Without a mention, I only answer the person I answered last, until someone else writes."
    ),
    "everyone": "Someone else has joined this thread. I answer everyone here, also without a mention.",
}
"""By Engagement."""
SOMEBODY_JOINED_IN_DOUBT = (
    "Someone else has joined this thread. "
    "Without a mention, I answer the person I answered last, until someone else writes. "
    "A model decides whether other messages are questions to me."
)
STAY_QUIET = "Stay quiet here"
_UNTIL_MENTIONED = "until the person who started it, or a Typist admin, mentions me."
QUIET_NOW = f"OK. I now answer only mentions in this thread, {_UNTIL_MENTIONED}"
ALREADY_QUIET = f"I'm already quiet: I answer only mentions in this thread, {_UNTIL_MENTIONED}"
NOT_YOUR_THREAD = "Only the person who started this thread and Typist admins can ask me to stay quiet here."

_YOUR_ADMIN = "your Typist admin"
_ADMINS = re.compile("Typist admins?")


def names_an_admin(sentence: str) -> bool:
    """Whether a sentence sends people to their Typist admin."""
    return _YOUR_ADMIN in sentence


def naming_admins(sentence: str, admins: Sequence[str]) -> str:
    """Returns a sentence that names the admins of whom it speaks. `admins`: their names or mentions."""
    if not admins:
        return sentence
    named = listed(admins, "or")
    if sentence.startswith("Only ") and not names_an_admin(sentence):
        return _ADMINS.sub(lambda found: f"{found[0]} ({named})", sentence, count=1)
    return sentence.replace(_YOUR_ADMIN, named)
