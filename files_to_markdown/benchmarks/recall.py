"""Measures how many words of other people's files are extracted: python -m files_to_markdown.benchmarks.recall
FOLDER...

Each folder contains other people's office files, such as a checkout of the tests of pandoc, python-docx or Apache POI.
The text is compared with the raw XML, that is, with the text nodes of a document's parts, regardless of their meaning.
These include hidden and repeated text, and the strings of a workbook, but not its numbers. A word counts once per file.
For each format, prints the number of files read, the share of words found in total, in the median file and in the worst
file; then the files that lose the most words.
"""

import asyncio
import io
import re
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import NamedTuple
from xml.etree import ElementTree

from files_to_markdown.document import Document
from files_to_markdown.kind import document_kind
from files_to_markdown.process import read_document

AT_ONCE = 2
MAX_WORST = 10
_PARTS: Mapping[str, str] = {
    "docx": r"word/(?:document|footnotes|endnotes|comments|header\d*|footer\d*)\.xml",
    "pptx": r"ppt/(?:slides/slide|notesSlides/notesSlide)\d+\.xml",
    "xlsx": r"xl/(?:sharedStrings|worksheets/sheet\d+)\.xml",
    **dict.fromkeys(("odt", "ods", "odp"), r"content\.xml"),
}
_ENDS = frozenset(("p", "h", "tab", "br", "cr", "s", "line-break", "tc", "si", "is", "note", "title", "desc"))
_MARK = re.compile(r"\\|~~|<br>|\*\*|[_^]")
_WORD = re.compile(r"[^\W_]+")


class Recall(NamedTuple):
    """The number of words in a file's XML, and the words that are missing from its text."""

    name: str
    seen: int
    missing: frozenset[str]
    left_out: str

    @property
    def share(self) -> float:
        return 1 - len(self.missing) / self.seen if self.seen else 1.0


def bare_words(extension: str, content: bytes) -> frozenset[str]:
    pieces: list[str] = []
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for name in archive.namelist():
            if re.fullmatch(_PARTS[extension], name):
                pieces += _texts(ElementTree.fromstring(archive.read(name)), is_all=extension.startswith("od"))  # noqa: S314
    return frozenset(_WORD.findall("".join(pieces).casefold()))


def _texts(element: ElementTree.Element, *, is_all: bool) -> Iterator[str]:
    for event in element.iter():
        name = event.tag.rpartition("}")[2] if isinstance(event.tag, str) else ""
        if name in _ENDS:
            yield " "
        if is_all or name == "t":
            yield event.text or ""
        if is_all:
            yield event.tail or ""


async def recall_of(path: Path, content: bytes, turn: asyncio.Semaphore) -> Recall | str:
    """Returns the words that a file loses, or the reason why it isn't compared, such as damaged XML or a refusal by the
    library."""
    async with turn:
        try:
            seen = bare_words(path.suffix[1:].lower(), content)
        except Exception as error:
            return f"no XML: {type(error).__name__}"
        kind = document_kind(path.name, "", content)
        document = await read_document(kind, content) if kind else None
    if not isinstance(document, Document):
        return f"refused: {document}"
    # Marks can occur within a word, such as those of a superscript, or between two.
    missing = seen.difference(*(_WORD.findall(_MARK.sub(by, document.text).casefold()) for by in ("", " ")))
    return Recall(path.name, len(seen), missing, ", ".join(f"{one.count} {one.part}" for one in document.left_out))


async def recalls(files: Mapping[Path, bytes]) -> list[Recall | str]:
    turn = asyncio.Semaphore(AT_ONCE)
    return await asyncio.gather(*(recall_of(path, content, turn) for path, content in files.items()))


def main(folders: list[str]) -> None:
    paths = sorted(path for folder in folders for path in Path(folder).rglob("*") if path.suffix[1:].lower() in _PARTS)
    read = asyncio.run(recalls({path: path.read_bytes() for path in paths}))
    print("format  files   read        words found of seen   median    worst")
    for extension in sorted({path.suffix.lower() for path in paths}):
        rows = [one for path, one in zip(paths, read, strict=True) if path.suffix.lower() == extension]
        if compared := [one for one in rows if isinstance(one, Recall) and one.seen]:
            seen = sum(one.seen for one in compared)
            found = seen - sum(len(one.missing) for one in compared)
            shares = [one.share for one in compared]
            counts = f"{len(rows):5}  {len(compared):5}  {found:9}/{seen:9} {found / seen:6.1%}"
            print(f"{extension[1:]:6}  {counts}  {median(shares):7.1%}  {min(shares):7.1%}")
    worst = sorted((one for one in read if isinstance(one, Recall) and one.missing), key=lambda one: one.share)
    for one in worst[:MAX_WORST]:
        shown = " ".join(word[:20] for word in sorted(one.missing)[:8])
        print(f"{one.share:6.1%} of {one.seen} words, {one.name}: {shown} (named: {one.left_out or 'nothing'})")
    for reason in sorted({one for one in read if isinstance(one, str)}):
        print(f"{reason}: {sum(one == reason for one in read)}")


if __name__ == "__main__":
    main(sys.argv[1:])
