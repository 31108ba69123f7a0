"""Finds files embedded in text as base64 or base 16, such as the pictures of a page.

Models can't use such files, and a single picture is as long as a book. So a few words replace a long run of such
characters, and the file is reported as left out.
"""

import re

MIN_CHARS = 2_000
"""Minimum length. Shorter runs stay, because people ask about keys, certificates and signatures."""
_LETTERS = r"(?:[A-Za-z0-9+/_-]++|\\/|%2[BbFf])"
r"""JSON strings can escape `/` as `\/`, and URLs can encode `+` and `/`."""
_RUN = re.compile(
    rf"(?<![A-Za-z0-9+/])(?=(?:[A-Za-z0-9+/_-]|\\/|%2[BbFf]){{60}}){_LETTERS}+"
    rf"(?:(?:(?:\\r)?\\n|\r?\n)[ \t]{{0,40}}{_LETTERS}+(?!{_LETTERS})(?=[\r\n\\\"'<>=]|\Z))*(?:=|%3[Dd]){{0,2}}"
)
"""Lines end with a line break or its escape in a JSON string. A line of words has neither and isn't included."""
_DIGIT, _LETTER = re.compile(r"[0-9]"), re.compile(r"[A-Za-z]")
_SAMPLE_CHARS = 500
_WINDOW_CHARS = 20_000
_BEGINNING_CHARS = 180
"""Maximum length of the beginning by which a run is found."""


def without_embedded(text: str, max_chars: int | None = None) -> tuple[str, int]:
    """Returns a text with a few words instead of each embedded file, and the number of files. `max_chars`: the rest of
    the text isn't processed or returned."""
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
    """Returns whether a run is long and has letters and digits. Numbers have only digits, and gene sequences have only
    letters.
    """
    sample = run[0][:_SAMPLE_CHARS]
    return len(run[0]) >= MIN_CHARS and _DIGIT.search(sample) is not None and _LETTER.search(sample) is not None
