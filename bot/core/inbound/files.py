"""Files that people share: which of them a model can read, in what form, and how people learn of the others.

The bytes decide what a file is, because Slack's type may be wrong. Only types that are never text are refused unread.

Text files take at most half of BOT_HISTORY_TOKENS. Images and PDFs don't count there, because one PDF would fill it.
Each answer in a thread reads the same files again, so readers learn once that a file couldn't be read.
"""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from bot.core import texts
from bot.core.conversation import File, Media, Prompt, Turn
from bot.core.reply.markdown.escaping import fenced

MAX_FILES = 5
MAX_FILE_BYTES = 20 * 2**20
MAX_BYTES = 50 * 2**20
"""The limit for all files of one answer."""
MAX_NAMED = 6
_NAME_CHARS = 80
_CHECKED_CHARS = 100_000


class Unread(Enum):
    """Why a file was not read. The value stands in parentheses after its name."""

    KIND = texts.FILE_TYPE
    DAMAGED = texts.FILE_DAMAGED
    TOO_MANY_PIXELS = texts.FILE_TOO_MANY_PIXELS
    TOO_BIG = texts.FILE_TOO_BIG
    TOO_MUCH = texts.FILES_TOO_BIG
    TOO_MANY = texts.TOO_MANY_FILES
    SCOPE = texts.FILE_SCOPE_MISSING
    EXTERNAL = texts.FILE_EXTERNAL
    DELETED = texts.FILE_DELETED
    HIDDEN = texts.FILE_HIDDEN
    NO_ACCESS = texts.FILE_NO_ACCESS
    FAILED = texts.FILE_FAILED
    TOO_SLOW = texts.FILE_TOO_SLOW
    MODEL = texts.FILE_NOT_FOR_MODEL


Content = str | Media | Unread
"""A file's text, an image or a PDF, or why it was not read."""


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A file and its content."""

    file: File
    """As Slack describes it now."""
    content: Content
    truncated: bool = False
    """Whether the middle of its text is left out."""

    @property
    def name(self) -> str:
        return display_name(self.file)


IMAGES = ("image/png", "image/jpeg", "image/webp")
PDF = "application/pdf"
_MAGIC = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif"}
# Never read as text; for all other types, the bytes decide. Slack serves canvases as a page of its own.
_NEVER_TEXT = re.compile(
    r"(?:audio|video|font)/|image/(?!png|jpe?g|gif|webp|svg)"
    r"|application/(?:zip|gzip|x-|vnd\.(?:slack|ms-|openxml|oasis|apple|google|rar)|msword|java-archive)"
)
_TEXT_AFTER_X = re.compile(r"application/x-(?:sh|yaml|toml|ndjson|sql|tex|python|perl|ruby|php|javascript|httpd-php)")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")
_BIDI_CONTROLS = dict.fromkeys(map(ord, "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"))
"""Characters that would reverse the reading direction of a name and of the text after it."""
_SIGN_IN = re.compile(rb"<title>[^<]*\bSlack</title>|class=\"signin|/signin\b", re.IGNORECASE)


def display_name(file: File) -> str:
    """Returns the file's name on one line; a long name loses its middle."""
    name = " ".join(file.name.translate(_BIDI_CONTROLS).split()).replace("`", "'")
    return name if len(name) <= _NAME_CHARS else f"{name[:50]}…{name[-25:]}"


def reason_not_to_read(file: File) -> Unread | None:
    """Returns why Slack's description of a file rules out reading it, None if it does not."""
    if file.mode in ("tombstone", "external", "hidden_by_limit"):
        return {"tombstone": Unread.DELETED, "external": Unread.EXTERNAL}.get(file.mode, Unread.HIDDEN)
    if file.access in ("access_denied", "file_not_found"):
        return Unread.NO_ACCESS if file.access == "access_denied" else Unread.DELETED
    if _NEVER_TEXT.match(file.mimetype) and not _TEXT_AFTER_X.match(file.mimetype):
        return Unread.KIND
    return None


def choose_files(files: Iterable[File]) -> tuple[list[File], dict[str, OpenedFile]]:
    """Returns the files to read, and the others with the reason, by id; files that come first are chosen first."""
    wanted: dict[str, File] = {}
    unread: dict[str, OpenedFile] = {}
    for file in files:
        if file.id in wanted or file.id in unread:
            continue
        reason = reason_not_to_read(file) or (Unread.TOO_MANY if len(wanted) == MAX_FILES else None)
        if reason:
            unread[file.id] = OpenedFile(file, reason)
        else:
            wanted[file.id] = file
    return list(wanted.values()), unread


def is_sign_in_page(file: File, content_type: str, content: bytes) -> bool:
    """Whether Slack answered with its sign-in page: if the scope is missing, it does so with HTTP 200."""
    if not content_type.startswith("text/html"):
        return False
    is_page = file.mimetype.startswith("text/html") or file.filetype == "html"
    return not is_page or _SIGN_IN.search(content[:4096]) is not None


def detect_media_type(content: bytes) -> str:
    """Returns the MIME type of an image or a PDF by its first bytes, "" for anything else."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    if b"%PDF-" in content[:1024]:
        return PDF
    return next((mimetype for magic, mimetype in _MAGIC.items() if content.startswith(magic)), "")


def decode_text(content: bytes) -> str | None:
    """Returns the text in a file's bytes, None if they hold no text."""
    for encoding in ("utf-16",) if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "cp1252"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        return None if "\0" in text or _CONTROLS.search(text, 0, _CHECKED_CHARS) else text.replace("\r\n", "\n")
    return None


def file_label(file: OpenedFile) -> str:
    """Returns a file's text for the model, which stands below the message that it came with."""
    name, content = file.name, file.content
    if isinstance(content, Unread):
        return f"(Attached, but not shown to you: {name}, {content.value})"
    if isinstance(content, Media):
        return f"(Attached: {name})"
    if not content.strip():
        return f"(Attached: {name}, which is empty)"
    return f"(Attached: {name})\n{fenced(content.rstrip(), _language(name))}"


def unread_notice(files: Iterable[OpenedFile], left_out: Collection[str] = ()) -> str:
    """Returns a sentence that tells people which files were not read and why, "" if all were.

    `left_out`: names of media that the model was not given.
    """
    unread = []
    for file in files:
        if isinstance(file.content, Unread):
            unread.append(texts.file_not_read(file.name, file.content.value))
        elif file.truncated:
            unread.append(texts.middle_not_read(file.name))
        elif isinstance(file.content, Media) and file.content.name in left_out:
            unread.append(texts.file_not_read(file.name, Unread.MODEL.value))
    return texts.files_not_read(unread[:MAX_NAMED], max(0, len(unread) - MAX_NAMED)) if unread else ""


def without_media(prompt: Prompt, keep: Callable[[Media], bool]) -> tuple[Prompt, tuple[str, ...]]:
    """Returns the prompt with a remark in place of each medium that `keep` rejects, and the names of those media."""
    left_out: list[str] = []
    turns = []
    for turn in prompt.turns:
        sent = tuple(media for media in turn.media if keep(media))
        removed = [media.name for media in turn.media if media not in sent]
        left_out += removed
        remarks = "".join(f"\n\n(You can't be shown {name}.)" for name in removed)
        turns.append(replace(turn, text=turn.text + remarks, media=sent) if removed else turn)
    return replace(prompt, turns=tuple(turns)), tuple(left_out)


def newest_media_within(turns: Sequence[Turn], max_bytes: int) -> Collection[Media]:
    """Returns the newest media that together take at most `max_bytes`, in base64 as they are sent."""
    newest: set[Media] = set()
    for turn in reversed(turns):
        for media in turn.media:
            if len(media.base64) <= max_bytes:
                newest.add(media)
                max_bytes -= len(media.base64)
    return newest


def _language(name: str) -> str:
    """Returns a fence's info string: the name's extension, if it looks like one."""
    extension = name.rpartition(".")[2].lower()
    return extension if re.fullmatch(r"[a-z0-9+#-]{1,12}", extension) and extension != name.lower() else ""
