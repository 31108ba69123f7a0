"""Attachments: the files that go with an answer.

- `answer.md` has the whole answer, if that is too long to read in messages.
- `code-1.py` and so on have the code blocks that are too long for one message.

A file's name never comes from the model, and its extension from a list of ours.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from bot.core import texts
from bot.markdown.blocks import BlockParser, LeafKind, code_content
from bot.markdown.pages import FITTING_CHARS, Pages

MAX_CODE_FILES = 5
MAX_STEPS = 5_000
"""How much of an answer is searched for code: lines, and the lists and quotes that each is in."""

_HEADING_OR_FENCE = re.compile(r"^[ \t]*(?:#{1,6}[ \t]+\S|(`{3,}|~{3,})(.*))", re.MULTILINE)

FileKey = tuple[str, int]
"""A file's name and its size in bytes, by which it is recognized in Slack."""

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
"""A file's extension by the first word of its code's info string.

Code with any other info string becomes `.txt`, because no machine should act on an extension that a model made up.
"""


@dataclass(frozen=True, slots=True)
class AttachedFile:
    """A file to attach. Its name contains the question's ts, by which Typist finds it; its title is for people."""

    name: str
    title: str
    content: bytes = field(repr=False)

    @property
    def key(self) -> FileKey:
        return self.name, len(self.content)


@dataclass(frozen=True, slots=True)
class Attached:
    """A message in Slack that shows files of a reply."""

    ts: str
    file_ids: tuple[str, ...]
    files: frozenset[FileKey]


def whole_answer(text: str, question_ts: str) -> AttachedFile:
    """Returns the file with all of an answer, as the model wrote it."""
    return AttachedFile(f"answer-{question_ts}.md", "answer.md", _encoded(text))


def long_code(text: str, question_ts: str) -> list[AttachedFile]:
    """Returns files with the code blocks of an answer that don't fit on a page, at most `MAX_CODE_FILES`."""
    page = Pages()
    blocks = [(info_string, content) for info_string, content in _code_blocks(text) if not page.fits(content)]
    files = []
    for number, (info_string, content) in enumerate(blocks[:MAX_CODE_FILES], 1):
        language = info_string.split()[0].lower() if info_string.strip() else ""
        extension = _EXTENSIONS.get(language, "txt")
        files.append(
            AttachedFile(f"code-{number}-{question_ts}.{extension}", f"code-{number}.{extension}", _encoded(content))
        )
    return files


def file_keys(files: Iterable[AttachedFile]) -> frozenset[FileKey]:
    """Returns the keys of files."""
    return frozenset(file.key for file in files)


def belongs_to(file_name: str, question_ts: str) -> bool:
    """Whether a file of this name was attached to the answer to a question."""
    return file_name.rpartition(".")[0].endswith(f"-{question_ts}") and file_name.startswith(("answer-", "code-"))


def files_notice(files: tuple[AttachedFile, ...], rest: str) -> str:
    """Returns the notice about the files below an answer's last page, or "" without files.

    `rest`: what of the answer no message shows, but its file.
    """
    has_whole_answer = any(file.title == "answer.md" for file in files)
    sentences = [texts.continues_in_file(_sections(rest), _about(len(rest.split())))] if has_whole_answer else []
    if code_files := len(files) - has_whole_answer:
        sentences.append(texts.CODE_BLOCK_ATTACHED if code_files == 1 else texts.CODE_BLOCKS_ATTACHED)
    return " ".join(sentences)


def _sections(text: str) -> int:
    """Returns how many headings (`# …`) a text has outside of code."""
    count, fence = 0, ""
    for mark in _HEADING_OR_FENCE.finditer(text):
        if fence:
            fence = "" if mark[1] and mark[1].startswith(fence) and not mark[2].strip(f"{fence[0]} \t\r") else fence
        elif mark[1]:
            fence = mark[1]
        else:
            count += 1
    return count


def _about(count: int) -> int:
    """Returns a number with one or two digits that aren't 0."""
    magnitude = 10 ** max(0, len(str(count)) - 2)
    rounded: int = round(count / magnitude) * magnitude
    return rounded


def _code_blocks(text: str) -> Iterator[tuple[str, str]]:
    """Yields the info string and content of each fenced code block that may be long; the last one may still be open.

    Only so much of the text is read as takes `MAX_STEPS`. The file with the whole answer has the rest.
    """
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


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "replace")
