"""Decides which shared files a model can read and in what form, and tells readers about the others. Pure.

A file's type is determined from its bytes, because the type that Slack reports can be wrong. Only files of types that
are never text are rejected without being read. Each answer in a thread reads the same files again, so readers are told
only once that a file couldn't be read.

The text of files can use at most half of BOT_HISTORY_TOKENS. This limit counts the text of text files, of documents
(documents/document.py), and of PDFs for models that don't support PDFs. Images and PDFs themselves don't count, because
one PDF would use up the limit.
"""

import html
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from types import MappingProxyType

from bot.core import texts
from bot.core.canvases import CANVAS_LINK, CANVAS_MENTION, is_canvas, linked_canvas
from bot.core.conversation import File
from bot.core.prompt import NAME_CHARS, CountTokens, PromptMarks, PromptMessage, without_middle
from bot.core.texts.files import Unread
from bot.errors import FileFault
from bot.models.prompt import FILE, MAX_TRANSCRIPT_CHARS, PDF, Media, Sound, hidden_note
from files_to_markdown.document import Document, LeftOut, Obstacle, Part
from files_to_markdown.kind import is_pdf
from slack_markdown.escaping import fence_code

MAX_FILES = 5
MAX_FILE_BYTES = 20 * 2**20
MAX_BYTES = 50 * 2**20
"""The maximum size of all files in one answer."""
MAX_FILES_LISTED = 6
NO_REFUSALS: Mapping[str, FileFault] = MappingProxyType({})


REFUSED = {
    Obstacle.KIND: Unread.KIND,
    Obstacle.OLD_FORMAT: Unread.OLD_FORMAT,
    Obstacle.NOT_INSTALLED: Unread.EXTRA,
    Obstacle.DAMAGED: Unread.DAMAGED,
    Obstacle.PROTECTED: Unread.PROTECTED,
    Obstacle.TOO_LARGE: Unread.TOO_LARGE,
    Obstacle.TOO_SLOW: Unread.BUSY,
    Obstacle.TOO_MANY_PIXELS: Unread.TOO_MANY_PIXELS,
}


REASONS_BY_FAULT = {
    FileFault.FILE: Unread.REFUSED,
    FileFault.TOO_LARGE: Unread.TOO_LARGE_FOR_MODEL,
    FileFault.TOGETHER: Unread.TOO_MUCH_FOR_MODEL,
}


@dataclass(frozen=True, slots=True)
class Transcript:
    text: str = field(repr=False)


Content = str | Document | Transcript | Media | Unread
"""A file's text (raw, as Markdown, or transcribed), an image or PDF, or the reason it wasn't read."""


@dataclass(frozen=True, slots=True)
class OpenedFile:
    file: File
    content: Content
    truncated: bool = False
    number: int = 0
    """The file's number among files with the same name, starting at 1, or 0 if the name is unique."""

    @property
    def name(self) -> str:
        name = short_name(self.file.name)
        return texts.files.numbered_name(name, self.number) if self.number else name


HEIC = "image/heic"
_MAGIC = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"II*\0": "image/tiff",
    b"MM\0*": "image/tiff",
}
_READABLE_IMAGE = re.compile(r"image/(?:png|jpe?g|gif|webp|svg|avif|tiff?|(?:x-)?(?:ms-)?bmp)")
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
# The bytes decide for all other types, and for document names.
_NEVER_TEXT = re.compile(
    r"(?:audio|video|font)/|application/(?:zip|gzip|java-archive|vnd\.(?:slack|rar|android)"
    r"|x-(?:7z|bzip|compress|gtar|gzip|iso9660|rar|tar\b|xz|zip|zstd|apple-diskimage|msdownload|sharedlib|executable))"
)
_DOCUMENTS = frozenset(
    (
        *("docx", "docm", "dotx", "doc", "odt", "fodt", "rtf", "pptx", "pptm", "ppsx", "potx", "ppt", "odp", "fodp"),
        *("xlsx", "xlsm", "xltx", "xls", "xlsb", "ods", "fods", "csv", "tsv", "html", "htm", "xhtml", "pdf", "epub"),
        *("eml", "emlx", "mbox", "mht", "mhtml", "msg", "ics", "vcf", "txt", "log", "md", "ts", "bat"),
    )
)
"""Document extensions. Their MIME types vary widely: application/x-msexcel, or video/mp2t for ts."""
_IMAGES = frozenset(("png", "jpg", "jpeg", "gif", "webp", "heic", "tif", "tiff", "bmp"))
_BIDI_CONTROLS = dict.fromkeys(map(ord, "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"))
"""Characters that reverse the reading direction of a name and the following text."""
_SIGN_IN = re.compile(rb"<title>[^<]*\bSlack</title>|class=\"signin|/signin\b", re.IGNORECASE)


def short_name(name: str) -> str:
    """Returns a user-chosen name on one line. The middle of a long name is left out."""
    name = " ".join(name.translate(_BIDI_CONTROLS).split()).replace("`", "'")
    return name if len(name) <= NAME_CHARS else f"{name[:50]}…{name[-25:]}"


def has_document_name(name: str) -> bool:
    """Returns whether a name has the extension of a document or image that can be read."""
    return "." in name and name.rpartition(".")[2].lower() in _DOCUMENTS | _IMAGES


def reason_unreadable(file: File) -> Unread | None:
    """Returns why a file can't be read according to Slack's description, or None if it might be readable."""
    if file.mode in ("tombstone", "external", "hidden_by_limit"):
        return {"tombstone": Unread.DELETED, "external": Unread.EXTERNAL}.get(file.mode, Unread.HIDDEN)
    if file.access in ("access_denied", "file_not_found"):
        return Unread.NO_ACCESS if file.access == "access_denied" else Unread.DELETED
    if is_canvas(file) or is_recording(file):
        return None
    if _extension(file) in _DOCUMENTS:
        return None
    if file.mimetype.startswith("image/"):
        return None if _READABLE_IMAGE.match(file.mimetype) else Unread.IMAGE_KIND
    return Unread.KIND if _NEVER_TEXT.match(file.mimetype) else None


def preview_of(file: File, content: object) -> File | None:
    """Returns Slack's copy of an image whose type or size isn't supported, or None if there is no copy."""
    if content not in (Unread.IMAGE_KIND, Unread.TOO_MANY_PIXELS, Unread.TOO_BIG) or not file.preview_url:
        return None
    return replace(file, mimetype="", access="", url=file.preview_url, preview_url="")


def _extension(file: File) -> str:
    return file.name.rpartition(".")[2].lower()


def reason_not_transcribed(file: File) -> Unread:
    """Returns why a recording has no transcript. People can ask Slack for transcripts of clips, but not of other
    recordings."""
    return Unread.CLIP_UNHEARD if file.is_clip else Unread.UNHEARD


def choose_files(files: Iterable[File], *, reads_recordings: bool = False) -> tuple[list[File], dict[str, OpenedFile]]:
    """Returns the files to read, oldest first, and reasons for all others. `reads_recordings`: whether a model
    supports recordings."""
    wanted: dict[str, File] = {}
    unread: dict[str, OpenedFile] = {}
    for file in files:
        if file.id in wanted or file.id in unread:
            continue
        reason = reason_unreadable(file)
        reason = (None if preview_of(file, reason) else reason) or (
            Unread.TOO_MANY if len(wanted) == MAX_FILES else None
        )
        if is_recording(file) and not (reads_recordings or file.captions_url) and file.transcript is None:
            reason = reason_not_transcribed(file)
        if reason:
            unread[file.id] = OpenedFile(file, reason)
        else:
            wanted[file.id] = file
    return list(wanted.values()), unread


def is_sign_in_page(file: File, content_type: str, content: bytes) -> bool:
    """Returns whether Slack sent its sign-in page instead of the file. If a scope is missing, Slack does so with HTTP
    200."""
    if not content_type.startswith("text/html"):
        return False
    is_page = file.mimetype.startswith("text/html") or file.filetype == "html"
    return not is_page or _SIGN_IN.search(content[:4096]) is not None


def detect_media_type(content: bytes) -> str:
    """Returns the MIME type of an image or PDF from its first bytes, or "" for other types."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    if content[4:8] == b"ftyp":
        return "image/avif" if b"avi" in content[8:40] else HEIC if content[8:12] in _HEIC_BRANDS else ""
    if content[:2] == b"BM" and content[6:10] == bytes(4):
        return "image/bmp"
    otherwise = PDF if is_pdf(content) else ""
    return next((mimetype for magic, mimetype in _MAGIC.items() if content.startswith(magic)), otherwise)


def file_label(file: OpenedFile) -> str:
    """Returns the text that tells the model about a file, to be added after the message that shared the file."""
    name, content = file.name, file.content
    if isinstance(content, Unread):
        return f"(Attached, but not shown to you: {name}, {content.value})"
    if isinstance(content, Media):
        shown = f"the first {len(content.other_pages) + 1} pages" if content.other_pages else "the first page or frame"
        pages = f", whose {len(content.other_pages) + 1} pages are images" if content.other_pages else ""
        return f"(Attached: {name}{f', of which you see {shown} only' if content.is_first else pages})"
    if isinstance(content, Document):
        return f"(Attached: {name})\n{format_document(content, _language(file.file.name))}"
    if isinstance(content, Transcript):
        text = content.text.strip()
        if not text:
            return f"(Attached: {name}, a recording in which nothing is said)"
        # A clip can be the entire question.
        about = "If the message has no words of its own, answer these. " if file.file.is_clip else ""
        return f"(Attached: {name}, a recording. {about}This is said in it:)\n{text}"
    if not content.strip():
        return f"(Attached: {name}, which is empty)"
    return f"(Attached: {name})\n{fence_code(content.rstrip(), _language(file.file.name))}"


def _language(name: str) -> str:
    extension = name.rpartition(".")[2].lower()
    is_language = re.fullmatch(r"[a-z0-9+#-]{1,12}", extension) and extension != name.lower()
    return extension if is_language else ""


def format_document(document: Document, language: str = "") -> str:
    """Formats a document for the model: its text, with a note about omitted parts. `language`: the language of the code
    block around the text."""
    without = ", ".join(_omission_phrase(part) for part in document.left_out)
    guess = f"; its charset is a guess: {document.guessed_charset}" if document.guessed_charset else ""
    form, language = ("As Markdown", "markdown") if document.is_markdown else ("As text", language)
    about = f"({form}{f', without {without}' if without else ''}{guess})\n"
    if not document.is_markdown and not without and not guess:
        about = ""
    text = document.text.strip()
    return f"{about}{fence_code(text, language)}" if text else f"{about}(It has no text.)"


def unread_notice(
    files: Collection[OpenedFile], left_out: Collection[str] = (), refused: Mapping[str, FileFault] = NO_REFUSALS
) -> str:
    """Returns sentences about unread files and parts of files, with reasons, or "" if everything was read. `left_out`:
    names of media that weren't sent to the model. `refused`: media that the vendor refused, with reasons."""
    unread = [phrase for file in files for phrase in _unread_phrases(file, left_out, refused)]
    only_text = [file.name for file in files if _substitute_text(file.content, left_out)]
    sentences = [texts.files.only_text_read(only_text)] if only_text else []
    read = [(file.name, file.content) for file in files]
    scans = ((name, scan) for name, scan in read if isinstance(scan, Media) and scan.name not in left_out)
    sentences += [
        texts.files.pages_seen(name, len(scan.other_pages) + 1)
        for name, scan in scans
        if scan.other_pages and not scan.is_first
    ]
    guesses = [(name, content.guessed_charset) for name, content in read if isinstance(content, Document)]
    if guessed := [guess for guess in guesses if guess[1]]:
        sentences.append(texts.files.charset_guessed(guessed))
    if unread:
        sentences.append(texts.files.files_not_read(unread[:MAX_FILES_LISTED], len(unread[MAX_FILES_LISTED:])))
    return " ".join(sentences)


def _refusal_reason(read: Media, refused: Mapping[str, FileFault]) -> str:
    if fault := refused.get(read.name):
        return REASONS_BY_FAULT[fault].value
    return texts.files.IMAGE_NOT_FOR_MODEL if read.media_type.startswith("image/") else texts.files.SCAN_NOT_FOR_MODEL


def _unread_phrases(file: OpenedFile, left_out: Collection[str], refused: Mapping[str, FileFault]) -> Iterator[str]:
    read = file.content
    if isinstance(read, Unread):
        yield texts.files.file_not_read(file.name, read.value)
        return
    if isinstance(read, Media):
        if read.name not in left_out:
            if read.is_first:
                yield texts.files.first_pictures_read(file.name, len(read.other_pages) + 1)
            return
        if (text := _substitute_text(read, left_out)) is None:
            yield texts.files.file_not_read(file.name, _refusal_reason(read, refused))
            return
        read = text
    if isinstance(read, Document):
        ends = [part for part in read.left_out if part.part in (Part.MIDDLE, Part.END)]
        if parts := [_omission_phrase(part) for part in read.left_out if part not in ends]:
            yield texts.files.parts_not_read(parts, file.name)
        for part in ends:
            yield texts.files.too_long(_omission_phrase(part), file.name)
    if file.truncated:
        yield texts.files.too_long(texts.files.MIDDLE, file.name)


def _substitute_text(content: object, left_out: Collection[str]) -> Document | None:
    if not isinstance(content, Media) or content.name not in left_out or content.text_alternative is None:
        return None
    return content.text_alternative if content.text_alternative.text.strip() else None


def _omission_phrase(left_out: LeftOut) -> str:
    names = [short_name(name) for name in left_out.names]
    fixed = {
        Part.MIDDLE: texts.files.MIDDLE,
        Part.END: texts.files.END,
        Part.BINARY_SHEET: texts.files.BINARY_SHEET,
        Part.OLD_SHEET: texts.files.OLD_SHEET,
    }.get(left_out.part)
    return fixed or texts.files.omitted_parts(left_out.part.value, left_out.count, names)


MAX_CAPTIONS_BYTES = 500_000
_CUE_TIMES = re.compile(r"(?:\d+:)?\d\d:\d\d[.,]\d{3}[ \t]+-->")
_TAG = re.compile(r"<[^<>]*>")
_QUICKTIME = b"qt  "


def is_recording(file: File) -> bool:
    return file.is_clip or file.mimetype.startswith("audio/")


def supported_sound(content: bytes) -> Sound | None:
    """Returns a recording if its first bytes indicate a format that models support, otherwise None."""
    extension, media_type = _sound_format(content)
    return Sound(f"clip.{extension}", media_type, content) if extension else None


def _sound_format(content: bytes) -> tuple[str, str]:
    # Slack's video clips have the same format.
    if content[4:8] == b"ftyp" and content[8:12] != _QUICKTIME:
        return "m4a", "audio/mp4"
    if content.startswith(b"\x1a\x45\xdf\xa3") and b"webm" in content[:64]:
        return "webm", "audio/webm"
    if content.startswith(b"RIFF") and content[8:12] == b"WAVE":
        return "wav", "audio/wav"
    if content.startswith(b"OggS"):
        return "ogg", "audio/ogg"
    if content.startswith(b"fLaC"):
        return "flac", "audio/flac"
    # These bits begin AAC unless the two bits of an MPEG layer are set.
    is_mpeg_frame = len(content) > 1 and content[0] == 0xFF and content[1] & 0xE0 == 0xE0 and content[1] & 0x06 != 0
    return ("mp3", "audio/mpeg") if content.startswith(b"ID3") or is_mpeg_frame else ("", "")


def captions_text(content: bytes) -> str | None:
    """Returns the text of WebVTT captions, or None for other content. https://www.w3.org/TR/webvtt1/"""
    text = content[:MAX_CAPTIONS_BYTES].decode("utf-8-sig", "replace").replace("\r\n", "\n").replace("\r", "\n")
    if not re.match(r"WEBVTT(?:[ \t\n]|$)", text):
        return None
    words = (word for line in _cue_lines(text) for word in html.unescape(_TAG.sub("", line)).split())
    return " ".join(words)[:MAX_TRANSCRIPT_CHARS]


def _cue_lines(text: str) -> Iterator[str]:
    is_cue = False
    for line in text.split("\n"):
        if not line.strip():
            is_cue = False
        elif _CUE_TIMES.match(line):
            is_cue = True
        elif is_cue:
            yield line


def files_newest_first(messages: Sequence[PromptMessage]) -> list[File]:
    return [file for message in reversed(messages) for file in message.files]


def with_linked_canvases(messages: Sequence[PromptMessage]) -> list[PromptMessage]:
    """Adds the canvases that messages link to. Links in our own messages are ignored, because they only repeat an
    answer. A link to a file that was shared in the conversation counts as sharing it again. Anyone can write an ID, so
    access is checked later.
    """
    shared = {file.id: file for message in messages for file in message.files}
    with_linked: list[PromptMessage] = []
    for message in messages:
        own = {file.id for file in message.files}
        found = chain(CANVAS_LINK.finditer(message.text), CANVAS_MENTION.finditer(message.text))
        ids = (id_ for id_ in dict.fromkeys(match[1] for match in found) if id_ not in own)
        linked = (shared.get(id_) or linked_canvas(id_) for id_ in ids)
        # One more than can be read, so that readers are told about it. A message has room for thousands.
        files = (*message.files, *islice(linked, MAX_FILES + 1)) if message.speaker_id else message.files
        with_linked.append(replace(message, files=files))
    return with_linked


def readable_file_ids(shared: Sequence[PromptMessage], opened: Mapping[str, OpenedFile]) -> frozenset[str]:
    """Returns the IDs of files that all readers can open: `shared` files, and `opened` ones that were read."""
    readable = {file_id for file_id, file in opened.items() if not isinstance(file.content, Unread)}
    return frozenset(readable | {file.id for message in shared for file in message.files})


def with_numbered_names(files: Mapping[str, OpenedFile], messages: Sequence[PromptMessage]) -> dict[str, OpenedFile]:
    in_order = dict.fromkeys(file.id for message in messages for file in message.files if file.id in files)
    counts = Counter(
        file.name for file in files.values() if file.name not in (texts.files.FILE_UNNAMED, texts.canvases.UNNAMED)
    )
    seen = Counter[str]()
    apart = dict(files)
    for file_id in in_order:
        file = files[file_id]
        if counts[file.name] <= 1:
            continue
        seen[file.name] += 1
        file = replace(file, number=seen[file.name])
        content = file.content
        apart[file_id] = replace(file, content=replace(content, name=file.name)) if isinstance(content, Media) else file
    return apart


def file_ids_since_answer(messages: Sequence[PromptMessage]) -> Iterator[str]:
    """Yields the IDs of files shared since the bot's last answer, which already reported all earlier files."""
    for message in reversed(messages):
        if message.speaker_id is None:
            return
        yield from (file.id for file in message.files)


def truncate_files(
    files: Mapping[str, OpenedFile], count_tokens: CountTokens, limit_tokens: int, pdf_tokens: int = 0
) -> dict[str, OpenedFile]:
    """Cuts the text of files to a total number of tokens, starting with the last file. `pdf_tokens`: the limit for the
    text of PDFs, which is sent only if there are too many pages. 0 means no separate limit, because one of the models
    that might answer doesn't support PDFs."""
    truncated: dict[str, OpenedFile] = {}
    for file_id, file in files.items():
        if (text := file_text(file)) is not None:
            is_apart = pdf_tokens and isinstance(file.content, Media)
            size, limit = count_tokens(text), pdf_tokens if is_apart else limit_tokens
            if size > limit:
                chars = len(text) * max(0, limit) // size
                file = _with_text(file, without_middle(text, chars))
            limit_tokens -= 0 if is_apart else min(size, limit)
        truncated[file_id] = file
    return truncated


def file_text(file: OpenedFile) -> str | None:
    content = file.content.text_alternative if isinstance(file.content, Media) else file.content
    if isinstance(content, Document | Transcript):
        return content.text
    return content if isinstance(content, str) else None


def _with_text(file: OpenedFile, text: str) -> OpenedFile:
    content = file.content
    if isinstance(content, Media) and content.text_alternative:
        content = replace(content, text_alternative=replace(content.text_alternative, text=text))
    else:
        content = replace(content, text=text) if isinstance(content, Document | Transcript) else text
    return replace(file, content=content, truncated=True)


def attach_files(messages: Sequence[PromptMessage], files: Mapping[str, OpenedFile]) -> list[PromptMessage]:
    with_files: list[PromptMessage] = []
    shown: set[str] = set()
    for message in reversed(messages):
        new = [files[file.id] for file in message.files if file.id not in shown]
        shown |= {file.id for file in message.files}
        labels = [message.marks.section("file", label) if message.marks else label for label in map(file_label, new)]
        own = message.text.removeprefix(message.header)
        text = message.header + "\n\n".join([own, *labels]).strip()
        found = (file.content for file in new if isinstance(file.content, Media))
        media = tuple(_with_replacement_text(page, message.marks) for medium in found for page in _pages_of(medium))
        origins = message.origins | FILE if new else message.origins
        with_files.append(replace(message, text=text, media=media, origins=origins))
    return with_files[::-1]


def _pages_of(media: Media) -> Iterator[Media]:
    """Yields an image or PDF and its other pages, all with the same name so that they are counted as one file."""
    yield replace(media, other_pages=())
    yield from (replace(page, name=media.name) for page in media.other_pages)


def _with_replacement_text(media: Media, marks: PromptMarks | None) -> Media:
    """Returns an image or PDF with replacement text for models that don't support it."""
    label, pages = hidden_note(media.name), 0
    if media.text_alternative is not None and media.text_alternative.text.strip():
        label = f"(Instead of {media.name}, which you can't be shown:)\n{format_document(media.text_alternative)}"
        pages = media.text_alternative.pages
    return replace(media, text_alternative=Document(marks.section("file", label) if marks else label, pages=pages))
