"""Files that stand within a text as letters and digits (base64, or base 16), such as the pictures of a page.

A model reads nothing in them, and one picture takes the room of a book. So a long run of such letters gives way to a
few words, and the run counts as left out.
"""

import re

MIN_CHARS = 2_000
"""Shorter runs stay: keys, certificates and signatures are what people ask about."""
_LETTERS = r"(?:[A-Za-z0-9+/_-]++|\\/|%2[BbFf])"
"""Strings of JSON may write `/` as `\\/`, and addresses `+` and `/` by their codes."""
_RUN = re.compile(
    rf"(?<![A-Za-z0-9+/])(?=(?:[A-Za-z0-9+/_-]|\\/|%2[BbFf]){{60}}){_LETTERS}+"
    rf"(?:(?:(?:\\r)?\\n|\r?\n)[ \t]{{0,40}}{_LETTERS}+(?!{_LETTERS})(?=[\r\n\\\"'<>=]|\Z))*(?:=|%3[Dd]){{0,2}}"
)
"""Lines end as in a text, or as a string of JSON writes it. A line of words ends with neither and isn't taken along."""
_DIGIT, _LETTER = re.compile(r"[0-9]"), re.compile(r"[A-Za-z]")
_SAMPLE_CHARS = 500
_WINDOW_CHARS = 20_000
_BEGINNING_CHARS = 180
"""The most that the first letters of a run take, by which it is found."""


def without_embedded(text: str, max_chars: int | None = None) -> tuple[str, int]:
    """Returns a text with a few words in place of each embedded file, and how many there were.

    `max_chars`: the text that follows behind so many characters is left out, and isn't read either.
    """
    pieces, chars, at, count = list[str](), 0, 0, 0
    while at < len(text) and (max_chars is None or chars < max_chars):
        begun = _RUN.search(text, at, at + _WINDOW_CHARS + _BEGINNING_CHARS)
        run = _RUN.match(text, begun.start()) if begun else None
        end = run.end() if run else min(at + _WINDOW_CHARS, len(text))
        piece = text[at:end]
        if run and _is_file(run):
            piece = f"{text[at : run.start()]}({len(run[0]):,} characters of an embedded file)"
            count += 1
        pieces.append(piece)
        chars, at = chars + len(piece), end
    return "".join(pieces)[:max_chars], count


def _is_file(run: re.Match[str]) -> bool:
    """Whether a run is long and has letters and digits: numbers and sequences of genes have one of them."""
    sample = run[0][:_SAMPLE_CHARS]
    return len(run[0]) >= MIN_CHARS and _DIGIT.search(sample) is not None and _LETTER.search(sample) is not None
