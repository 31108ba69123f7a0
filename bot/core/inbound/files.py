"""Files that people share: which of them a model can read, in what form, and how people learn of the others.

The bytes decide what a file is, because Slack's type may be wrong. Only types that are never text are refused unread.

Texts take at most half of BOT_HISTORY_TOKENS: those of text files, of documents (core/documents.py), and of PDFs for
models that don't take PDFs. Images and PDFs themselves don't count there, because one PDF would fill it.
Each answer in a thread reads the same files again, so readers learn once that a file couldn't be read.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import chain

from bot.core import texts
from bot.core.conversation import File, Media, Prompt, Turn
from bot.core.documents import Document, Kind, LeftOut, Part, Refusal
from bot.core.inbound.recordings import is_recording
from bot.core.reply.markdown.escaping import fenced

MAX_FILES = 5
MAX_FILE_BYTES = 20 * 2**20
MAX_BYTES = 50 * 2**20
"""The limit for all files of one answer."""
MAX_NAMED = 6
_NAME_CHARS = 80


class Unread(Enum):
    """Why a file was not read. The value stands in parentheses after its name."""

    KIND = texts.FILE_TYPE
    DAMAGED = texts.FILE_DAMAGED
    PROTECTED = texts.FILE_PROTECTED
    TOO_LARGE = texts.FILE_TOO_LARGE
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
    CANVAS_SCOPE = texts.CANVAS_SCOPE_MISSING
    CANVAS_NOT_SHARED = texts.CANVAS_NOT_SHARED
    CANVAS_NOT_FOUND = texts.CANVAS_NOT_FOUND
    CLIP_UNHEARD = texts.CLIP_NOT_TRANSCRIBED
    UNHEARD = texts.AUDIO_NOT_TRANSCRIBED
    NOT_HEARD = texts.TRANSCRIPTION_FAILED


REFUSED = {
    Refusal.KIND: Unread.KIND,
    Refusal.DAMAGED: Unread.DAMAGED,
    Refusal.PROTECTED: Unread.PROTECTED,
    Refusal.TOO_LARGE: Unread.TOO_LARGE,
    Refusal.TOO_MANY_PIXELS: Unread.TOO_MANY_PIXELS,
}


@dataclass(frozen=True, slots=True)
class Transcript:
    """What is said in a recording."""

    text: str = field(repr=False)


Content = str | Document | Transcript | Media | Unread
"""A file's text, as it is, as Markdown or as heard, an image or a PDF, or why it was not read."""


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
        return short_name(self.file.name)


IMAGES = ("image/png", "image/jpeg", "image/webp")
PDF = "application/pdf"
_MAGIC = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif"}
_ARCHIVE, _OLE, _RTF = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"{\\rtf"
_WORD = "application/msword"
"""Slack's type of .doc, which has no reader. But many programs give RTF, HTML and newer documents that name."""
_HTML = re.compile(rb"<(?:!doctype\s+html|html|body)[\s>]", re.IGNORECASE)
"""A whole page. What has none of these is a template, and of use as it is."""
_HTML_HEAD_BYTES = 1_024
_FLAT_ODF = re.compile(rb"(?:\xef\xbb\xbf)?(?:<\?xml[^>]{0,200}>)?\s{0,20}<office:document\s")
CANVAS = "application/vnd.slack-docs"
CHECK_FILE_INFO = "check_file_info"
"""Slack's access of a file that only files.info describes. Of a canvas, it also says where the canvas is shared."""
_CANVAS_LINK = re.compile(
    r"(?<![\w./-])(?:https://)?[\w.-]{1,100}\.slack(?:-gov)?\.com/docs/[TE][A-Z0-9]{1,30}/(F[A-Z0-9]{1,30})\b"
)
_CANVAS_MENTION = "(Canvas {id})"
_MENTIONED_CANVAS = re.compile(r"\(Canvas (F[A-Z0-9]{1,30})\)")
# Never read; for all other types, the bytes decide.
_NEVER_TEXT = re.compile(
    r"(?:audio|video|font)/|image/(?!png|jpe?g|gif|webp|svg)"
    r"|application/(?:zip|gzip|x-|vnd\.(?:slack|ms-(?!excel|(?:word|powerpoint)\.)|apple|google|rar)|java-archive)"
)
_TEXT_AFTER_X = re.compile(r"application/x-(?:sh|yaml|toml|ndjson|sql|tex|python|perl|ruby|php|javascript|httpd-php)")
_BIDI_CONTROLS = dict.fromkeys(map(ord, "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"))
"""Characters that would reverse the reading direction of a name and of the text after it."""
_SIGN_IN = re.compile(rb"<title>[^<]*\bSlack</title>|class=\"signin|/signin\b", re.IGNORECASE)


def short_name(name: str) -> str:
    """Returns a name of anybody's choice on one line; a long one loses its middle."""
    name = " ".join(name.translate(_BIDI_CONTROLS).split()).replace("`", "'")
    return name if len(name) <= _NAME_CHARS else f"{name[:50]}…{name[-25:]}"


def reason_not_to_read(file: File) -> Unread | None:
    """Returns why Slack's description of a file rules out reading it, None if it does not."""
    if file.mode in ("tombstone", "external", "hidden_by_limit"):
        return {"tombstone": Unread.DELETED, "external": Unread.EXTERNAL}.get(file.mode, Unread.HIDDEN)
    if file.access in ("access_denied", "file_not_found"):
        return Unread.NO_ACCESS if file.access == "access_denied" else Unread.DELETED
    if is_canvas(file) or is_recording(file):
        return None
    if _NEVER_TEXT.match(file.mimetype) and not _TEXT_AFTER_X.match(file.mimetype):
        return Unread.KIND
    return None


def is_canvas(file: File) -> bool:
    """Whether Slack describes the file as a canvas, whose text only canvases.getContent gives."""
    return file.mimetype == CANVAS or file.filetype == "quip"


def canvas_mention(canvas_id: str) -> str:
    """Returns the words that stand for a canvas in a message's text, where Slack names only its id."""
    return _CANVAS_MENTION.format(id=canvas_id)


def linked_canvases(text: str) -> Iterator[File]:
    """Yields the canvases that a message's text links or mentions. Anybody can write an id, so its access is checked.

    Their names stay unknown until then: the title of a canvas may be as private as its content.
    """
    seen = set()
    for found in chain(_CANVAS_LINK.finditer(text), _MENTIONED_CANVAS.finditer(text)):
        if found[1] not in seen:
            seen.add(found[1])
            yield File(found[1], texts.CANVAS_UNNAMED, CANVAS, access=CHECK_FILE_INFO)


def reason_not_heard(file: File) -> Unread:
    """Returns why a recording isn't heard where no model transcribes. Slack can be asked to transcribe its clips."""
    return Unread.CLIP_UNHEARD if file.is_clip else Unread.UNHEARD


def choose_files(files: Iterable[File], *, hears: bool = False) -> tuple[list[File], dict[str, OpenedFile]]:
    """Returns the files to read, and the others with the reason, by id; files that come first are chosen first.

    `hears`: whether a model transcribes recordings.
    """
    wanted: dict[str, File] = {}
    unread: dict[str, OpenedFile] = {}
    for file in files:
        if file.id in wanted or file.id in unread:
            continue
        reason = reason_not_to_read(file) or (Unread.TOO_MANY if len(wanted) == MAX_FILES else None)
        if is_recording(file) and not (hears or file.captions_url) and file.transcript is None:
            reason = reason_not_heard(file)
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


def document_kind(file: File, content: bytes) -> Kind | None:
    """Returns how a file is read as a document; None if it is a text, a medium, or nothing that can be read."""
    if content.startswith(_ARCHIVE):
        return Kind.ARCHIVE
    if content.startswith(_OLE):
        # A document of Word may contain a workbook, which isn't what was shared.
        return Kind.OLE if file.mimetype != _WORD else None
    if content.startswith(_RTF):
        return Kind.RTF
    if _FLAT_ODF.match(content):
        return Kind.FLAT_ODF
    extension = file.name.rpartition(".")[2].lower()
    if extension in ("csv", "tsv") or file.mimetype in ("text/csv", "text/tab-separated-values"):
        return Kind.CSV
    if extension == "eml" or file.mimetype == "message/rfc822":
        return Kind.MAIL
    is_page = extension in ("html", "htm", "xhtml") or file.mimetype in ("text/html", "application/xhtml+xml")
    return Kind.HTML if is_page and _HTML.search(content[:_HTML_HEAD_BYTES]) else None


def file_label(file: OpenedFile) -> str:
    """Returns a file's text for the model, which stands below the message that it came with."""
    name, content = file.name, file.content
    if isinstance(content, Unread):
        return f"(Attached, but not shown to you: {name}, {content.value})"
    if isinstance(content, Media):
        return f"(Attached: {name})"
    if isinstance(content, Document):
        return f"(Attached: {name})\n{document_label(content)}"
    if isinstance(content, Transcript):
        return _transcript_label(file.file, name, content.text.strip())
    if not content.strip():
        return f"(Attached: {name}, which is empty)"
    return f"(Attached: {name})\n{fenced(content.rstrip(), _language(name))}"


def _transcript_label(file: File, name: str, text: str) -> str:
    """Returns what is said in a recording. A clip may be all that a question consists of."""
    if not text:
        return f"(Attached: {name}, a recording in which nothing is said)"
    about = "If the message has no words of its own, answer these. " if file.is_clip else ""
    return f"(Attached: {name}, a recording. {about}This is said in it:)\n{text}"


def document_label(document: Document) -> str:
    """Returns a document's text for the model, and what it leaves out."""
    without = ", ".join(_phrase(part) for part in document.left_out)
    about = f"(As Markdown{f', without {without}' if without else ''})"
    text = document.text.strip()
    return f"{about}\n{fenced(text, 'markdown')}" if text else f"{about}\n(It has no text.)"


def unread_notice(files: Collection[OpenedFile], left_out: Collection[str] = ()) -> str:
    """Returns sentences that tell people which files, and what of others, was not read and why; "" if all was.

    `left_out`: names of media that the model was not given.
    """
    unread = [phrase for file in files for phrase in _not_read(file, left_out)]
    only_text = [file.name for file in files if _text_in_place(file.content, left_out)]
    sentences = [texts.only_text_read(only_text)] if only_text else []
    if unread:
        sentences.append(texts.files_not_read(unread[:MAX_NAMED], max(0, len(unread) - MAX_NAMED)))
    return " ".join(sentences)


def _not_read(file: OpenedFile, left_out: Collection[str]) -> Iterator[str]:
    """Yields what of one file was not read."""
    read = file.content
    if isinstance(read, Unread):
        yield texts.file_not_read(file.name, read.value)
        return
    if isinstance(read, Media):
        if read.name not in left_out:
            return
        if (text := _text_in_place(read, left_out)) is None:
            yield texts.file_not_read(file.name, Unread.MODEL.value)
            return
        read = text
    if isinstance(read, Document):
        ends = [part for part in read.left_out if part.part is Part.END]
        if parts := [_phrase(part) for part in read.left_out if part not in ends]:
            yield texts.parts_not_read(parts, file.name)
        if ends:
            yield texts.end_not_read(file.name)
    if file.truncated:
        yield texts.middle_not_read(file.name)


def _text_in_place(content: object, left_out: Collection[str]) -> Document | None:
    """Returns the text that the model got in place of a medium, None if it got none."""
    if not isinstance(content, Media) or content.name not in left_out or content.alternative is None:
        return None
    return content.alternative if content.alternative.text.strip() else None


def _phrase(left_out: LeftOut) -> str:
    """Returns what a document's text leaves out, in words."""
    names = [short_name(name) for name in left_out.names]
    return texts.END if left_out.part is Part.END else texts.left_out(left_out.part.value, left_out.count, names)


def without_media(prompt: Prompt, keep: Callable[[Media], bool]) -> tuple[Prompt, tuple[str, ...]]:
    """Returns the prompt with a remark in place of each medium that `keep` rejects, and the names of those media."""
    left_out: list[str] = []
    turns = []
    for turn in prompt.turns:
        sent = tuple(media for media in turn.media if keep(media))
        removed = [media for media in turn.media if media not in sent]
        left_out += [media.name for media in removed]
        remarks = "".join(f"\n\n{_remark(media)}" for media in removed)
        turns.append(replace(turn, text=turn.text + remarks, media=sent) if removed else turn)
    return replace(prompt, turns=tuple(turns)), tuple(left_out)


def not_shown(name: str) -> str:
    """Returns the remark about a medium that a model can't be shown."""
    return f"(You can't be shown {name}.)"


def _remark(media: Media) -> str:
    """Returns what stands in place of a medium: a PDF's text, if it has one."""
    text = media.alternative.text if media.alternative else ""
    return text or not_shown(media.name)


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
