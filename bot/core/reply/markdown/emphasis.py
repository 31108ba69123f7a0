"""Where Slack does not read `*` and `**` as CommonMark does: beside CJK letters, and around bare addresses.

What works was not measured by anybody, so the plainest thing is done: white space between a letter and the mark, and no
mark where an address begins or ends what is emphasised.
"""

import re

HAIR_SPACE = "\u200a"
"""White space by every reading, and hardly to be seen."""
CJK = re.compile(
    "[\u1100-\u11ff\u2e80-\u2fdf\u3005-\u3007\u3031-\u3035\u3041-\u318f\u31a0-\u31ff\u3400-\u9fff"
    "\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\uff66-\uffdc\U00020000-\U0003ffff]"
)
"""Letters of Chinese, Japanese and Korean."""

_ADDRESS = re.compile(r"<?https?://", re.IGNORECASE)
_BEGUN = re.compile(r"h|ht|htt|https?:?/?|https?://.*", re.IGNORECASE)
_LAST_WORD = re.compile(r"(?<!\S)[*_~(\[{\"'<]*(\S+)$")
_WORD_CHARS = 1_000


def begins_address(text: str, start: int) -> bool:
    """Whether a bare address begins there."""
    return bool(_ADDRESS.match(text, start))


def last_address(text: str, end: int, *, begun: bool = False) -> int:
    """Where the bare address begins that ends there; 0 where none does. `begun`: it may go on."""
    start = max(0, end - _WORD_CHARS)
    if not begun and text.rfind("://", start, end) < 0:
        return 0
    word = _LAST_WORD.search(text, start, end)
    if word and (_BEGUN.fullmatch(word[1]) if begun else _ADDRESS.match(word[1])):
        return word.start(1)
    return 0
