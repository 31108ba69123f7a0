"""The process that reads one document, or converts one image, from its bytes to JSON.

It is called as `python -m files_to_markdown.child KIND`. For an image, two more arguments are the maximum pixels of the
longer side and the maximum bytes of a PNG.

The resource limits are set before it reads anything. Once the document and the libraries are in memory, it gives up the
rights to open files and start processes. Some system calls would still work because they don't need an open file, such
as those that take a path or access another process. So it also gives up everything that Landlock covers (isolation.py).
On a kernel without Landlock, code that a document injects into a library can still remove or truncate files that its
user can write. A nonzero exit code means that the document is damaged or too large (process.py).
"""

import base64
import gc
import importlib
import json
import os
import resource
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from types import FrameType
from xml.parsers.expat import errors

from files_to_markdown import charsets, formats, isolation
from files_to_markdown.document import (
    CPU_S,
    MAX_DOCUMENT_BYTES,
    MAX_IMAGE_BYTES,
    MEMORY_BYTES,
    OUT_OF_MEMORY,
    Format,
    Obstacle,
    TimeIsUp,
    Unreadable,
)

_OFFICE = ("mammoth", "python_calamine", "striprtf.striprtf", "xml.dom.expatbuilder")
_LIBRARIES: Mapping[Format, Sequence[str]] = {
    Format.ARCHIVE: _OFFICE,
    Format.FLAT_ODF: (),
    Format.OFFICE_XML: _OFFICE,
    Format.OLE: ("python_calamine", "striprtf.striprtf", "files_to_markdown.outlook"),
    Format.RTF: ("striprtf.striprtf",),
    Format.PDF: ("pypdfium2",),
    Format.IMAGE: (
        "files_to_markdown.images",
        *(f"PIL.{name}ImagePlugin" for name in ("Avif", "Bmp", "Gif", "Jpeg", "Mpo", "Png", "Ppm", "Tiff", "WebP")),
    ),
}
"""The libraries that each format needs. All other formats are text, whose charset might have to be guessed."""
_MAIL = (
    b"Content-Type: multipart/mixed; boundary=b\n\n"
    b"--b\nContent-Transfer-Encoding: base64\n\nYQ==\n--b\nContent-Transfer-Encoding: x-uuencode\n\nbegin 644 a\n"
    b"--b\nContent-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nYQ==\n"
    b"--b\nContent-Disposition: attachment; filename*=utf-8''a\nContent-Transfer-Encoding: quoted-printable\n\na\n"
    b"--b--\n"
)
"""A mail that is read first, because `email` imports its modules on demand."""

_NARROW = "__substg1.0_1000001E".encode("utf-16-le")
"""The name of an Outlook message's text in a charset that might not be declared."""
_NO_MEMORY_FOR_XML = errors.codes[errors.XML_ERROR_NO_MEMORY]


def main() -> None:
    _lower_limit(resource.RLIMIT_FSIZE, 0)
    _lower_limit(resource.RLIMIT_CPU, CPU_S)
    _lower_limit(resource.RLIMIT_AS, MEMORY_BYTES)
    _volunteer_for_oom_killer()
    # Another document may be read at the same time. /proc/self no longer belongs to this user.
    isolation.hide_memory()
    kind = Format(sys.argv[1])
    content = sys.stdin.buffer.read(MAX_DOCUMENT_BYTES)
    _load_modules(kind, content)
    isolation.deny_files()
    _lower_limit(resource.RLIMIT_NPROC, 0)
    _lower_limit(resource.RLIMIT_NOFILE, 0)
    _raise_before_cpu_limit()
    try:
        # The process is short-lived, and until then reference cycles are small compared with live memory.
        gc.disable()
        said = _result_json(kind, content)
    except Unreadable as error:
        said = {"refusal": error.refusal}
    except TimeIsUp:
        said = {"refusal": Obstacle.TOO_LARGE}
    except Exception as error:
        if isinstance(error, MemoryError) or getattr(error, "code", None) == _NO_MEMORY_FOR_XML:
            # Exits immediately, because raising SystemExit also needs memory.
            os._exit(OUT_OF_MEMORY)
        said = {"refusal": Obstacle.DAMAGED}
    signal.signal(signal.SIGXCPU, signal.SIG_IGN)
    sys.stdout.buffer.write(json.dumps(said, ensure_ascii=False).encode(errors="replace"))
    sys.stdout.buffer.flush()


def _result_json(kind: Format, content: bytes) -> dict[str, object]:
    """Returns the document or the image as JSON. Raises Unreadable, or any error of the libraries."""
    if kind is not Format.IMAGE:
        return asdict(formats.read(kind, content))
    from files_to_markdown import images

    media_type, packed, has_more = images.convert_first_page(content, *map(int, sys.argv[2:4]))
    other_pages: list[tuple[str, bytes]] = []
    if has_more:
        other_pages, has_more = images.convert_further_pages(content, MAX_IMAGE_BYTES - len(packed))
    pages = [
        {"media_type": kind, "base64": base64.b64encode(page).decode(), "has_more": False}
        for kind, page in ((media_type, packed), *other_pages)
    ]
    return {**pages[0], "has_more": has_more, "other_pages": pages[1:]}


def _lower_limit(limit: int, maximum: int) -> None:
    """Lowers a resource limit permanently. If the system refuses, an OSError ends the process."""
    _, allowed = resource.getrlimit(limit)
    maximum = maximum if allowed == resource.RLIM_INFINITY else min(maximum, allowed)
    # macOS doesn't limit the address space.
    with suppress(ValueError):
        resource.setrlimit(limit, (maximum, maximum))


def _raise_before_cpu_limit() -> None:
    """Schedules TimeIsUp one second before the CPU time limit, so that the beginning of a document can still be
    returned."""
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    signal.signal(signal.SIGXCPU, _on_cpu_limit)
    resource.setrlimit(resource.RLIMIT_CPU, (max(1, most - 1), most))


def _on_cpu_limit(_signal: int, _frame: FrameType | None) -> None:
    """Handles the signal that comes before the CPU limit. If a library swallows the exception, the kernel kills the
    process later."""
    raise TimeIsUp


def _volunteer_for_oom_killer() -> None:
    """Makes the kernel's OOM killer choose this process rather than its parent."""
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")


def _load_modules(kind: Format, content: bytes) -> None:
    """Imports all modules that open files, which won't be possible later."""
    for library in _LIBRARIES.get(kind, ()):
        # formats.py reports what can't be read without a library.
        with suppress(ModuleNotFoundError):
            importlib.import_module(library)
    charsets.load_codecs()
    if kind not in _LIBRARIES or (kind is Format.OLE and _NARROW in content):
        charsets.load_detector(content)
    if kind in (Format.ARCHIVE, Format.MAIL, Format.OFFICE_XML, Format.OLE):
        formats.read(Format.MAIL, _MAIL)


if __name__ == "__main__":
    main()
