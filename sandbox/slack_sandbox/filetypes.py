"""Slack's file types by file name: mimetype, filetype and pretty_type."""

import mimetypes
from dataclasses import dataclass
from pathlib import PurePath

SNIPPET_BYTES = 1_000_000
"""The largest text that Slack stores and shows as a snippet. Larger text is an ordinary file."""


@dataclass(frozen=True, slots=True)
class FileType:
    """Slack's three names for a file type. `is_text`: Slack shows such files as snippets."""

    mimetype: str
    filetype: str
    pretty_type: str
    is_text: bool = False


def _code(filetype: str, pretty_type: str) -> FileType:
    return FileType("text/plain", filetype, pretty_type, is_text=True)


# By extension. Slack reports code in any language as text/plain.
_FILE_TYPES = {
    "c": _code("c", "C"),
    "canvas": FileType("application/vnd.slack-docs", "quip", "Canvas"),
    "cpp": _code("cpp", "C++"),
    "css": _code("css", "CSS"),
    "csv": FileType("text/csv", "csv", "CSV", is_text=True),
    "docx": FileType(
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx", "Word Document"
    ),
    "gif": FileType("image/gif", "gif", "GIF"),
    "go": _code("go", "Go"),
    "heic": FileType("image/heic", "heic", "HEIC"),
    "html": FileType("text/html", "html", "HTML", is_text=True),
    "java": _code("java", "Java"),
    "jpeg": FileType("image/jpeg", "jpg", "JPEG"),
    "jpg": FileType("image/jpeg", "jpg", "JPEG"),
    "js": _code("javascript", "JavaScript"),
    "json": FileType("application/json", "json", "JSON", is_text=True),
    "log": _code("text", "Plain Text"),
    "m4a": FileType("audio/mp4", "m4a", "MPEG-4 audio"),
    "md": FileType("text/markdown", "markdown", "Markdown (raw)", is_text=True),
    "mp4": FileType("video/mp4", "mp4", "MPEG 4 Video"),
    "pdf": FileType("application/pdf", "pdf", "PDF"),
    "png": FileType("image/png", "png", "PNG"),
    "pptx": FileType(
        "application/vnd.openxmlformats-officedocument.presentationml.presentation", "pptx", "PowerPoint Presentation"
    ),
    "py": _code("python", "Python"),
    "rs": _code("rust", "Rust"),
    "sh": _code("shell", "Shell"),
    "sql": _code("sql", "SQL"),
    "svg": FileType("image/svg+xml", "svg", "SVG"),
    "toml": _code("toml", "TOML"),
    "ts": _code("typescript", "TypeScript"),
    "txt": _code("text", "Plain Text"),
    "webp": FileType("image/webp", "webp", "WebP"),
    "xls": FileType("application/vnd.ms-excel", "xls", "Excel Spreadsheet"),
    "xlsx": FileType("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx", "Excel Spreadsheet"),
    "xml": _code("xml", "XML"),
    "yaml": _code("yaml", "YAML"),
    "yml": _code("yaml", "YAML"),
    "zip": FileType("application/zip", "zip", "Zip"),
}
SNIPPET_TYPES = {kind.filetype: kind for kind in _FILE_TYPES.values() if kind.is_text}


def file_type(name: str, mimetype: str = "", snippet_type: str = "") -> FileType:
    """Returns a file's type. A snippet type takes precedence over the name, and a given mimetype over the known
    mimetype."""
    known = SNIPPET_TYPES.get(snippet_type) or _FILE_TYPES.get(PurePath(name).suffix[1:].lower())
    if known is None:
        guessed = mimetype or mimetypes.guess_type(name)[0] or "application/octet-stream"
        return FileType(guessed, "binary", "Binary")
    return FileType(mimetype or known.mimetype, known.filetype, known.pretty_type, known.is_text)
