"""What Slack says a file is, from its name: mimetype, filetype and pretty_type."""

import mimetypes
from dataclasses import dataclass
from pathlib import PurePath

SNIPPET_BYTES = 1_000_000
"""Text up to here is a snippet, which Slack shows; a larger one is a file as any other."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Slack's three names of a kind of file; `is_text` where Slack shows it as a snippet."""

    mimetype: str
    filetype: str
    pretty_type: str
    is_text: bool = False


def _code(filetype: str, pretty_type: str) -> Kind:
    return Kind("text/plain", filetype, pretty_type, is_text=True)


# By extension. Code is text/plain whatever its language, as in Slack.
_KINDS = {
    "c": _code("c", "C"),
    "cpp": _code("cpp", "C++"),
    "css": _code("css", "CSS"),
    "csv": Kind("text/csv", "csv", "CSV", is_text=True),
    "docx": Kind("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx", "Word Document"),
    "gif": Kind("image/gif", "gif", "GIF"),
    "go": _code("go", "Go"),
    "heic": Kind("image/heic", "heic", "HEIC"),
    "html": Kind("text/html", "html", "HTML", is_text=True),
    "java": _code("java", "Java"),
    "jpeg": Kind("image/jpeg", "jpg", "JPEG"),
    "jpg": Kind("image/jpeg", "jpg", "JPEG"),
    "js": _code("javascript", "JavaScript"),
    "json": Kind("application/json", "json", "JSON", is_text=True),
    "log": _code("text", "Plain Text"),
    "md": Kind("text/markdown", "markdown", "Markdown (raw)", is_text=True),
    "mp4": Kind("video/mp4", "mp4", "MPEG 4 Video"),
    "pdf": Kind("application/pdf", "pdf", "PDF"),
    "png": Kind("image/png", "png", "PNG"),
    "py": _code("python", "Python"),
    "rs": _code("rust", "Rust"),
    "sh": _code("shell", "Shell"),
    "sql": _code("sql", "SQL"),
    "svg": Kind("image/svg+xml", "svg", "SVG"),
    "toml": _code("toml", "TOML"),
    "ts": _code("typescript", "TypeScript"),
    "txt": _code("text", "Plain Text"),
    "webp": Kind("image/webp", "webp", "WebP"),
    "xml": _code("xml", "XML"),
    "yaml": _code("yaml", "YAML"),
    "yml": _code("yaml", "YAML"),
    "zip": Kind("application/zip", "zip", "Zip"),
}
SNIPPET_TYPES = {kind.filetype: kind for kind in _KINDS.values() if kind.is_text}


def kind_of(name: str, mimetype: str = "", snippet_type: str = "") -> Kind:
    """A snippet's type counts before the name, and a mimetype that was given before the one we know."""
    known = SNIPPET_TYPES.get(snippet_type) or _KINDS.get(PurePath(name).suffix[1:].lower())
    if known is None:
        guessed = mimetype or mimetypes.guess_type(name)[0] or "application/octet-stream"
        return Kind(guessed, "binary", "Binary")
    return Kind(mimetype or known.mimetype, known.filetype, known.pretty_type, known.is_text)
