"""Finds files that are embedded in text as base64 or base 16, such as the pictures in a page.

Models can't use such files, and a single picture is as long as a book. So a long run of such characters is replaced by
a few words, and the file is reported as left out.
"""

import re

MIN_CHARS = 2_000
"""Minimum length of a file. Shorter runs stay, because people ask about keys, certificates and signatures."""
_LETTERS = r"(?:[A-Za-z0-9+/_-]++|\\/|%2[BbFf])"
r"""Matches part of a run. JSON strings can escape `/` as `\/`, and URLs can encode `+` and `/`."""
_RUN = re.compile(
    rf"(?<![A-Za-z0-9+/])(?=(?:[A-Za-z0-9+/_-]|\\/|%2[BbFf]){{60}}){_LETTERS}+"
    rf"(?:(?:(?:\\r)?\\n|\r?\n)[ \t]{{0,40}}{_LETTERS}+(?!{_LETTERS})(?=[\r\n\\\"'<>=]|\Z))*(?:=|%3[Dd]){{0,2}}"
)
"""Matches a run. Its lines end with a line break, or with the escape for one in a JSON string. A line of words isn't
included."""
_DIGIT, _LETTER = re.compile(r"[0-9]"), re.compile(r"[A-Za-z]")
_SAMPLE_CHARS = 500
_WINDOW_CHARS = 20_000
_BEGINNING_CHARS = 180
"""Maximum length of the beginning that identifies a run."""


def without_embedded_files(text: str, max_chars: int | None = None) -> tuple[str, int]:
    """Replaces each embedded file in a text with a few words. Returns the new text and the number of files.
    `max_chars`: the maximum length of the text to process and return."""
    pieces, chars, at, count = list[str](), 0, 0, 0
    while at < len(text) and (max_chars is None or chars < max_chars):
        begun = _RUN.search(text, at, at + _WINDOW_CHARS + _BEGINNING_CHARS)
        run = _RUN.match(text, begun.start()) if begun else None
        end = run.end() if run else min(at + _WINDOW_CHARS, len(text))
        piece = text[at:end]
        if run and _is_encoded_file(run):
            piece = f"{text[at : run.start()]}({len(run[0]):,} characters of an embedded file)"
            count += 1
        pieces.append(piece)
        chars, at = chars + len(piece), end
    return "".join(pieces)[:max_chars], count


def _is_encoded_file(run: re.Match[str]) -> bool:
    """Returns whether a run is long and has both letters and digits. Numbers, for example, have only digits, and gene
    sequences only letters.
    """
    sample = run[0][:_SAMPLE_CHARS]
    return len(run[0]) >= MIN_CHARS and _DIGIT.search(sample) is not None and _LETTER.search(sample) is not None
