"""Files that stand within a text as letters and digits (base64, or base 16), such as the pictures of a page.

A model reads nothing in them, and one picture takes the room of a book. So a long run of such letters gives way to a
few words, and the run counts as left out.
"""

import re

MIN_CHARS = 2_000
"""Shorter runs stay: keys, certificates and signatures are what people ask about."""
_RUN = re.compile(
    r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/_-]{60,}+"
    r"(?:(?:(?:\\r)?\\n|\r?\n)[ \t]{0,40}[A-Za-z0-9+/_-]{1,4000}+(?=[\r\n\\\"'<>=]|\Z))*={0,2}"
)
"""Lines end as in a text, or as a string of JSON writes it. A line of words ends with neither and isn't taken along."""
_DIGIT, _LETTER = re.compile(r"[0-9]"), re.compile(r"[A-Za-z]")
_SAMPLE_CHARS = 500


def without_embedded(text: str) -> tuple[str, int]:
    """Returns a text with a few words in place of each embedded file, and how many there were."""
    count = 0

    def replaced(found: re.Match[str]) -> str:
        nonlocal count
        run = found[0]
        if len(run) < MIN_CHARS or not _is_file(run[:_SAMPLE_CHARS]):
            return run
        count += 1
        return f"({len(run):,} characters of an embedded file)"

    return _RUN.sub(replaced, text), count


def _is_file(sample: str) -> bool:
    """Whether a run has letters and digits: numbers and sequences of genes have one of them."""
    return _DIGIT.search(sample) is not None and _LETTER.search(sample) is not None
