"""The files that go with an answer: the whole of one that is too long to read in messages, and its longest code."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from bot.core import texts
from bot.core.reply.markdown import block_parser
from bot.core.reply.markdown.block_parser import BlockKind
from bot.core.reply.pages import Pages

MOST_CODE_FILES = 5

Key = tuple[str, int]
"""What a file is known by in Slack: its name and its size in bytes."""

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
"""By the first word after a fence. Others are txt: no machine should act on a name that a model made up."""


@dataclass(frozen=True, slots=True)
class AttachedFile:
    """A file to be attached. Its name says of which answer it is, for us; its title is for people."""

    name: str
    title: str
    content: bytes = field(repr=False)

    @property
    def key(self) -> Key:
        return self.name, len(self.content)


@dataclass(frozen=True, slots=True)
class Attached:
    """A message of Slack's that shows files of a reply."""

    ts: str
    file_ids: tuple[str, ...]
    files: frozenset[Key]


def whole(text: str, question_ts: str) -> AttachedFile:
    """All of an answer, as the model wrote it."""
    return AttachedFile(f"answer-{question_ts}.md", "answer.md", _bytes(text))


def code(text: str, question_ts: str) -> list[AttachedFile]:
    """The blocks of code that do not fit on a page, the first few."""
    page = Pages()
    blocks = [(info, block) for info, block in _blocks(text) if not page.fits(block)]
    files = []
    for number, (info, block) in enumerate(blocks[:MOST_CODE_FILES], 1):
        extension = _EXTENSIONS.get(info.split()[0].lower() if info.strip() else "", "txt")
        files.append(
            AttachedFile(f"code-{number}-{question_ts}.{extension}", f"code-{number}.{extension}", _bytes(block))
        )
    return files


def keys(files: Iterable[AttachedFile]) -> frozenset[Key]:
    """What the files are known by."""
    return frozenset(file.key for file in files)


def is_of(name: str, question_ts: str) -> bool:
    """Whether a file of this name is one of the answer to the question."""
    return name.rpartition(".")[0].endswith(f"-{question_ts}") and name.startswith(("answer-", "code-"))


def sentence(files: tuple[AttachedFile, ...]) -> str:
    """What the last page says of them; "" where there are none."""
    has_whole = any(file.title == "answer.md" for file in files)
    match has_whole, len(files) - has_whole:
        case _, 0:
            return texts.WHOLE_ANSWER_ATTACHED if has_whole else ""
        case True, _:
            return texts.WHOLE_ANSWER_AND_CODE_ATTACHED
        case _, 1:
            return texts.CODE_BLOCK_ATTACHED
    return texts.CODE_BLOCKS_ATTACHED


def _blocks(text: str) -> Iterator[tuple[str, str]]:
    """Info string and content of each block of code; the last one may still be open."""
    for leaf in block_parser.scan(text, partial=False).leaves:
        if leaf.kind is BlockKind.FENCE:
            indent, info = text[leaf.lines[0].content : leaf.lines[0].end].split(leaf.fence, 1)
            content = block_parser.code(text, leaf).replace("\r", "").rstrip("\n") + "\n"
            yield info, re.sub(rf"^ {{0,{len(indent)}}}", "", content, flags=re.MULTILINE)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")
