"""Builds the files attached to an answer.

- `answer.md` contains the whole answer if it is too long for messages. The end of the answer is also shown below the
  file.
- `code-1.py` and so on contain code blocks that are too long for one message.
- `sales.xlsx` contains the table below the heading "Sales", and is sent only when a reader asks for it.

File extensions come from a fixed list. The only part of a file name that the model chooses is the words of a heading.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from bot.core import texts
from bot.core.tables import workbooks
from slack_markdown.blocks import BlockParser, LeafKind, code_content, fences_after
from slack_markdown.pages import FITTING_CHARS, NO_OPENING, SENTENCE_END, Opening, Page, Pages

END_CHARS = 3_000
"""Approximate length of the end of a long answer that is shown below the file: a screen or two."""
FEW_SENTENCES_CHARS = 200
MAX_CODE_FILES = 5
MAX_TABLE_FILES = 10
MAX_STEPS = 5_000
"""Maximum number of parsing steps in a search for code. Lines, enclosing lists and quotes, headings and fences are
steps."""

_HEADING_OR_FENCE = re.compile(r"^[ \t]*(?:(#{1,6}[ \t]+\S)|(?:```|~~~).*)", re.MULTILINE)
_FENCE = re.compile(r"^[ \t]*(?:```|~~~).*", re.MULTILINE)

FileKey = tuple[str, int]
"""A file's name and size in bytes, which identify the file in Slack."""

_EXTENSIONS = {
    "bash": "sh", "c": "c", "c#": "cs", "c++": "cpp", "console": "sh", "cpp": "cpp", "cs": "cs", "csharp": "cs",
    "css": "css", "csv": "csv", "dart": "dart", "diff": "diff", "elixir": "ex", "go": "go", "golang": "go",
    "graphql": "graphql", "haskell": "hs", "hcl": "tf", "html": "html", "ini": "ini", "java": "java",
    "javascript": "js", "js": "js", "json": "json", "jsx": "jsx", "kotlin": "kt", "kt": "kt", "latex": "tex",
    "lua": "lua", "markdown": "md", "md": "md", "patch": "diff", "perl": "pl", "php": "php",
    "powershell": "ps1", "proto": "proto", "protobuf": "proto", "py": "py", "python": "py", "r": "r",
    "rb": "rb", "rs": "rs", "ruby": "rb", "rust": "rs", "scala": "scala", "scss": "scss", "sh": "sh",
    "shell": "sh", "sql": "sql", "svelte": "svelte", "swift": "swift", "terraform": "tf", "tex": "tex",
    "toml": "toml", "ts": "ts", "tsx": "tsx", "typescript": "ts", "vue": "vue", "xml": "xml", "yaml": "yaml",
    "yml": "yaml", "zsh": "sh",
}  # fmt: skip
"""File extensions, keyed by the first word of an info string. All other words result in `.txt`, because a model might
have invented them."""


@dataclass(frozen=True, slots=True)
class AttachedFile:
    """A file to attach. `name` contains the question's ts and identifies the file. People see `title`."""

    name: str
    title: str
    content: bytes = field(repr=False)

    @property
    def key(self) -> FileKey:
        return self.name, len(self.content)


@dataclass(frozen=True, slots=True)
class FileMessage:
    ts: str
    file_ids: tuple[str, ...]
    files: frozenset[FileKey]


def answer_file(text: str, question_ts: str) -> AttachedFile:
    return AttachedFile(f"answer-{question_ts}.md", "answer.md", _encode(text))


def code_files(text: str, question_ts: str) -> list[AttachedFile]:
    page = Pages()
    blocks = [(info_string, content) for info_string, content in _code_blocks(text) if not page.fits(content)]
    files = []
    for number, (info_string, content) in enumerate(blocks[:MAX_CODE_FILES], 1):
        language = info_string.split()[0].lower() if info_string.strip() else ""
        extension = _EXTENSIONS.get(language, "txt")
        files.append(
            AttachedFile(f"code-{number}-{question_ts}.{extension}", f"code-{number}.{extension}", _encode(content))
        )
    return files


def table_files(text: str, question_ts: str) -> list[AttachedFile]:
    return [
        AttachedFile(f"{title.removesuffix('.xlsx')}-{question_ts}.xlsx", title, content)
        for title, content in workbooks(text)[:MAX_TABLE_FILES]
    ]


def file_keys(files: Iterable[AttachedFile]) -> frozenset[FileKey]:
    return frozenset(file.key for file in files)


def is_file_of_question(file_name: str, question_ts: str) -> bool:
    return file_name.rpartition(".")[0].endswith(f"-{question_ts}")


@dataclass(frozen=True, slots=True)
class EndOfAnswer:
    page: Page
    left_out: str
    """The notice to show above the file about text that only the file contains, or "" if messages show the whole
    answer."""


def end_of_answer(text: str, first: Page, limit_chars: int, limit_bytes: int) -> EndOfAnswer:
    """Returns the end of an answer that fits on a page with these limits. `first`: the next page, without its text. If
    all of the remaining text fits on that page, returns it. Otherwise, the end begins at a heading or a paragraph, so
    that people can read the conclusion."""
    rest = text[first.start :]
    if len(rest) <= limit_chars:
        pages = Pages(limit_chars, limit_bytes, first, max_full_pages=1)
        pages.append(rest)
        pages.finish()
        if not pages.full_pages:
            return EndOfAnswer(pages.growing_page, "")
    page = _end_page(text, first.start, limit_chars, limit_bytes)
    return EndOfAnswer(page, left_out_notice(text[first.start : page.start]))


def _end_page(text: str, first: int, limit_chars: int, limit_bytes: int) -> Page:
    chars = min(END_CHARS, limit_chars)
    while True:
        start, code = _start_of_end(text, first, chars)
        opening = Opening(code) if len(code) <= limit_chars // 4 else NO_OPENING
        pages = Pages(limit_chars, limit_bytes, Page("", opening, start), max_full_pages=5)
        pages.append(text[start:].rstrip())
        pages.finish()
        if pages.is_complete or chars <= 1:
            return pages.growing_page
        chars = min(chars // 2, pages.growing_page.start - start)


def _start_of_end(text: str, first: int, chars: int) -> tuple[int, str]:
    """Returns the position where about the last `chars` characters of a text start, and the lines that open a code
    block there, or "".

    The start is after the page `first`, and is the first of these positions that exists:
    1. a heading or, without one, a paragraph, if at least a third of the characters follow;
    2. the beginning of a paragraph longer than `chars`, up to twice as long;
    3. a heading or paragraph followed by a few sentences;
    4. a line, a sentence or a word.
    """
    end = len(text.rstrip())
    earliest, latest = max(end - chars, first), end - chars // 3
    at = _line_start(text, max(earliest - chars, first))
    fences: tuple[str, ...] = ()
    # The limit does no harm, because only absurd text has this many fences.
    for mark in islice(_FENCE.finditer(text, 0, at), MAX_STEPS):
        fences = fences_after(mark[0], fences)
    line_at: tuple[int, str] | None = None
    paragraph, late, is_after_blank = -1, -1, False
    while at <= max(latest, end - FEW_SENTENCES_CHARS):
        next_at = _line_start(text, at + 1)
        found = _HEADING_OR_FENCE.match(text, at, next_at)
        is_heading = not fences and found is not None and bool(found[1])
        is_paragraph = not fences and is_after_blank and not text[at].isspace()
        if at > latest:
            late = at if late < 0 and (is_heading or is_paragraph) else late
        elif at > earliest and is_heading:
            return at, ""
        else:
            line_at = (at, _opening_fences(fences)) if at > earliest and line_at is None else line_at
            # The first paragraph within the last `chars` characters, or else the last paragraph before them.
            paragraph = at if is_paragraph and paragraph <= earliest else paragraph
        is_after_blank = text[at:next_at].isspace()
        if found:
            fences = fences_after(found[0], fences)
        at = next_at
    if paragraph >= 0 or late >= 0:
        return (paragraph if paragraph >= 0 else late), ""
    if line_at is None and (sentence := SENTENCE_END.search(text, earliest, latest)):
        line_at = sentence.end(), ""
    return line_at or (text.find(" ", earliest) + 1 or earliest, _opening_fences(fences))


def _opening_fences(fences: Iterable[str]) -> str:
    return "".join(f"{fence}\n" for fence in fences)


def _line_start(text: str, at: int) -> int:
    """Returns the position of the first line that begins at or after `at`, or the text's end if there is none."""
    return at if at <= 0 or at > len(text) or text[at - 1] == "\n" else text.find("\n", at) + 1 or len(text)


def left_out_notice(text: str) -> str:
    return texts.answers.continues_in_file(_heading_count(text), _rounded_count(len(text.split()))) if text else ""


def files_notice(files: tuple[AttachedFile, ...], is_only_end: bool) -> str:
    """Returns the notice about an answer's files. `is_only_end`: whether the last page shows only the end of the
    answer."""
    has_whole_answer = any(file.title == "answer.md" for file in files)
    about_answer = texts.answers.END_BELOW_FILE if is_only_end else texts.answers.WHOLE_ANSWER_ATTACHED
    sentences = [about_answer] if has_whole_answer else []
    if code_files := len(files) - has_whole_answer:
        sentences.append(texts.answers.CODE_BLOCK_ATTACHED if code_files == 1 else texts.answers.CODE_BLOCKS_ATTACHED)
    return " ".join(sentences)


def _heading_count(text: str) -> int:
    """Returns the number of headings (`# …`) outside code, or 0 if there are too many to count."""
    count = 0
    fences: tuple[str, ...] = ()
    for number, mark in enumerate(_HEADING_OR_FENCE.finditer(text)):
        if number == MAX_STEPS:
            return 0
        count += bool(mark[1]) and not fences
        fences = fences_after(mark[0], fences)
    return count


def _rounded_count(count: int) -> int:
    magnitude = 10 ** max(0, len(str(count)) - 2)
    rounded: int = round(count / magnitude) * magnitude
    return rounded


def _code_blocks(text: str) -> Iterator[tuple[str, str]]:
    """Yields the info string and content of each long fenced code block, until `MAX_STEPS` is reached. The last block
    can be unclosed."""
    parser = BlockParser(text)
    steps = 0
    for line in parser.lines(join_code=True):
        parser.parse_line(line)
        steps += 1 + len(parser.containers)
        if steps > MAX_STEPS:
            break
    for leaf in parser.blocks.leaf_blocks:
        if leaf.kind is LeafKind.FENCED_CODE and leaf.lines[-1].end - leaf.lines[0].end > FITTING_CHARS:
            indent, info_string = text[leaf.lines[0].content : leaf.lines[0].end].split(leaf.fence, 1)
            content = code_content(text, leaf).replace("\r", "").rstrip("\n") + "\n"
            yield info_string, re.sub(rf"^ {{0,{len(indent)}}}", "", content, flags=re.MULTILINE)


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "replace")
