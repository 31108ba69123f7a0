"""What is said in a question's recordings, as it stands above the answer. Pure."""

from collections.abc import Iterable

from bot.core.reply.markdown.extent import counted_chars
from bot.core.tools import visible

MAX_COUNTED_CHARS = 2_800
"""As Slack counts characters in blocks, of which a section takes 3,000. Slack folds a long one behind "See more". The
answer's first page has that much less room."""
_READ_CHARS = 10_000
"""How much of each transcript is read: several times what is shown."""


def shown_transcript(transcripts: Iterable[str]) -> str:
    """Returns the transcripts, or a beginning that fits, with a mark; "" if nothing is said in any."""
    whole = list(transcripts)
    text = "\n\n".join(filter(None, (" ".join(visible(one[:_READ_CHARS]).split()) for one in whole)))
    chars = len(text)
    while counted_chars(text[:chars]) > MAX_COUNTED_CHARS:
        chars = chars * 9 // 10
    is_whole = chars == len(text) and all(len(one) <= _READ_CHARS for one in whole)
    return text if is_whole else f"{text[:chars].rstrip()}…"
