"""What is said in a question's recordings, as it stands above the answer. Pure."""

from collections.abc import Iterable

from bot.core.reply.markdown.extent import counted_chars
from bot.core.tools import visible

MAX_COUNTED_CHARS = 2_800
"""As Slack counts characters in blocks, of which a section takes 3,000. Slack folds a long one behind "See more". The
answer's first page has that much less room."""


def shown_transcript(transcripts: Iterable[str]) -> str:
    """Returns the transcripts, or a beginning that fits, with a mark; "" if nothing is said in any."""
    text = "\n\n".join(filter(None, (" ".join(visible(one).split()) for one in transcripts)))
    chars = len(text)
    while counted_chars(text[:chars]) > MAX_COUNTED_CHARS:
        chars = chars * 9 // 10
    return text if chars == len(text) else f"{text[:chars].rstrip()}…"
