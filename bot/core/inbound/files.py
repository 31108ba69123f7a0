"""Files that people share: which of them a model can be given and in what form, and how the others are named. Pure."""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from bot.core.conversation import File, Media, Prompt, Turn

MOST_FILES = 5
MOST_FILE_BYTES = 20 * 2**20
MOST_BYTES = 50 * 2**20
"""Of all the files of one answer."""
MOST_NAMED = 6
_NAME_CHARS = 80
_TELLING_CHARS = 100_000


class Unread(Enum):
    """Why a file was not read, as it is told in brackets behind the file's name."""

    KIND = "a kind of file that I can't read"
    DAMAGED = "damaged, or with too many pixels"
    TOO_BIG = "over 20 MB"
    TOO_MUCH = "over 50 MB together with the others"
    TOO_MANY = "I read the five newest"
    SCOPE = "this app lacks the scope files:read"
    EXTERNAL = "kept outside of Slack"
    DELETED = "deleted"
    HIDDEN = "hidden by the limits of this Slack plan"
    NO_ACCESS = "Slack does not let me see it"
    FAILED = "Slack did not deliver it"
    TOO_SLOW = "it took too long to come"
    MODEL = "this model can't look at it"


Read = str | Media | Unread
"""What was found in a file: text, something to look at, or why not."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A file and what was found in it."""

    file: File
    """As Slack tells of it by now."""
    read: Read
    cut: bool = False
    """Text was left out of its middle."""

    @property
    def name(self) -> str:
        return short_name(self.file)


IMAGES = ("image/png", "image/jpeg", "image/webp")
PDF = "application/pdf"
_MAGIC = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif"}
# What is no text, whatever its bytes; of all others they decide. Canvases come as a page of Slack's own.
_NEVER = re.compile(
    r"(?:audio|video|font)/|image/(?!png|jpe?g|gif|webp|svg)"
    r"|application/(?:zip|gzip|x-|vnd\.(?:slack|ms-|openxml|oasis|apple|google|rar)|msword|java-archive)"
)
_TEXT_AFTER_X = re.compile(r"application/x-(?:sh|yaml|toml|ndjson|sql|tex|python|perl|ruby|php|javascript|httpd-php)")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")
_TURNING = dict.fromkeys(map(ord, "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"))
"""What makes a name, and all that follows it, read in another direction."""
_SIGN_IN = re.compile(rb"<title>[^<]*\bSlack</title>|class=\"signin|/signin\b", re.IGNORECASE)


def short_name(file: File) -> str:
    """A file's name on one line; long ones lose their middle."""
    name = " ".join(file.name.translate(_TURNING).split()).replace("`", "'")
    return name if len(name) <= _NAME_CHARS else f"{name[:50]}…{name[-25:]}"


def refused(file: File) -> Unread | None:
    """Why it need not be asked for, from what Slack says of it."""
    if file.mode in ("tombstone", "external", "hidden_by_limit"):
        return {"tombstone": Unread.DELETED, "external": Unread.EXTERNAL}.get(file.mode, Unread.HIDDEN)
    if file.access in ("access_denied", "file_not_found"):
        return Unread.NO_ACCESS if file.access == "access_denied" else Unread.DELETED
    if _NEVER.match(file.mimetype) and not _TEXT_AFTER_X.match(file.mimetype):
        return Unread.KIND
    return None


def chosen(files: Iterable[File]) -> tuple[list[File], dict[str, Opened]]:
    """Of files in the order in which they count, those to be asked for; and why not the others, by id."""
    wanted: dict[str, File] = {}
    unread: dict[str, Opened] = {}
    for file in files:
        if file.id in wanted or file.id in unread:
            continue
        reason = refused(file) or (Unread.TOO_MANY if len(wanted) == MOST_FILES else None)
        if reason:
            unread[file.id] = Opened(file, reason)
        else:
            wanted[file.id] = file
    return list(wanted.values()), unread


def is_sign_in(file: File, content_type: str, content: bytes) -> bool:
    """Whether Slack answered with its page for signing in: it does, with a 200, where the scope is missing."""
    if not content_type.startswith("text/html"):
        return False
    is_page = file.mimetype.startswith("text/html") or file.filetype == "html"
    return not is_page or _SIGN_IN.search(content[:4096]) is not None


def media_type(content: bytes) -> str:
    """What the bytes begin as: an image's or a PDF's type, "" for anything else."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    if b"%PDF-" in content[:1024]:
        return PDF
    return next((named for magic, named in _MAGIC.items() if content.startswith(magic)), "")


def text_of(content: bytes) -> str | None:
    """The text in a file's bytes; None where they hold none."""
    for encoding in ("utf-16",) if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "cp1252"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        return None if "\0" in text or _CONTROLS.search(text, 0, _TELLING_CHARS) else text.replace("\r\n", "\n")
    return None


def label(opened: Opened) -> str:
    """How the model is told of a file, below the message that it came with."""
    name, read = opened.name, opened.read
    if isinstance(read, Unread):
        return f"(Attached, but not shown to you: {name}, {read.value})"
    if isinstance(read, Media):
        return f"(Attached: {name})"
    if not read.strip():
        return f"(Attached: {name}, which is empty)"
    fence = "`" * max(3, *(len(ticks) + 1 for ticks in re.findall(r"`{3,}", read)), 3)
    return f"(Attached: {name})\n{fence}{_language(name)}\n{read.rstrip()}\n{fence}"


def unread_line(opened: Iterable[Opened], left_out: Collection[str] = ()) -> str:
    """One plain sentence for the reader, with the reason for each file; "" where all were read.

    `left_out`: names of media that the model was not given.
    """
    told = []
    for each in opened:
        if isinstance(each.read, Unread):
            told.append(f"{each.name} ({each.read.value})")
        elif each.cut:
            told.append(f"the middle of {each.name} (too long)")
        elif isinstance(each.read, Media) and each.read.name in left_out:
            told.append(f"{each.name} ({Unread.MODEL.value})")
    if len(told) > MOST_NAMED:
        told[MOST_NAMED:] = [f"and {len(told) - MOST_NAMED} more"]
    return f"Not read: {', '.join(told)}." if told else ""


def without(prompt: Prompt, keep: Callable[[Media], bool]) -> tuple[Prompt, tuple[str, ...]]:
    """The prompt for a model that is given only some of its media; of the others it is told. And their names."""
    left_out: list[str] = []
    turns = []
    for turn in prompt.turns:
        kept = tuple(media for media in turn.media if keep(media))
        gone = [media.name for media in turn.media if media not in kept]
        left_out += gone
        said = "".join(f"\n\n(You can't be shown {name}.)" for name in gone)
        turns.append(replace(turn, text=turn.text + said, media=kept) if gone else turn)
    return replace(prompt, turns=tuple(turns)), tuple(left_out)


def fitting(turns: Sequence[Turn], most_bytes: int) -> Collection[Media]:
    """The newest media that together, as they are sent, take no more than so many bytes."""
    kept: set[Media] = set()
    for turn in reversed(turns):
        for media in turn.media:
            if len(media.base64) <= most_bytes:
                kept.add(media)
                most_bytes -= len(media.base64)
    return kept


def _language(name: str) -> str:
    """A fence's info string: the name's extension, where it looks like one."""
    extension = name.rpartition(".")[2].lower()
    return extension if re.fullmatch(r"[a-z0-9+#-]{1,12}", extension) and extension != name.lower() else ""
