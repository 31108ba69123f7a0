"""Measures the reading of documents: python -m benchmarks.documents

1. Of the corpus (benchmarks/document_corpus.py), the share of paragraphs and cells that arrive, by format and in all,
   with the seconds and the peak memory of the process that reads them.
2. The same for large documents, made here.
3. Hostile documents (benchmarks/hostile_documents.py): how soon each is refused, and what that does to the process that
   has them read: its memory, and how late its event loop runs.

Exits with 1 if a format keeps less than 98%, a hostile document is read or takes longer than 10 s, the loop is late by
more than 250 ms, or the memory grows by more than 20 MB.
"""

import asyncio
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.document_corpus import corpus, pieces
from benchmarks.hostile_documents import HOSTILE, docx, odf, pptx, xlsx
from bot.core.conversation import File
from bot.core.files import document_kind
from bot.documents.document import Document, Format
from bot.documents.process import read_document

MIN_KEPT = 0.98
MAX_REFUSAL_S = 10.0
MAX_LAG_S = 0.25
MAX_GROWTH_MB = 20
_PROBE_S = 0.01


def _rows() -> Iterator[str]:
    for row in range(50_000):
        yield "".join(f"<c><v>{row * 12 + column}</v></c>" for column in range(12))


def _pdf() -> bytes:
    from pypdfium2 import PdfDocument

    page, book, content = PdfDocument(corpus()["0-libreoffice.pdf"]), PdfDocument.new(), io.BytesIO()
    for _ in range(100):
        book.import_pages(page, [0])
    book.save(content)
    return content.getvalue()


_PARAGRAPH = "Words of a paragraph that goes on for about as long as a paragraph of a report does. " * 5
LARGE: Mapping[str, Callable[[], bytes]] = {
    "50,000 x 12 cells.xlsx": lambda: xlsx("".join(f"<row>{row}</row>" for row in _rows())),
    "50,000 x 12 cells.csv": lambda: b"".join(b"%d,1,2,3,4,5,6,7,8,9,10,11\n" % row for row in range(50_000)),
    "2,000 paragraphs.docx": lambda: docx(f"<w:p><w:r><w:t>{_PARAGRAPH}</w:t></w:r></w:p>" * 2_000),
    "2 million short paragraphs.docx": lambda: docx("<w:p><w:r><w:t>a</w:t></w:r></w:p>" * 2_000_000),
    "2,000 paragraphs.odt": lambda: odf("text", f"<text:p>{_PARAGRAPH}</text:p>" * 2_000),
    "2,000 paragraphs.pptx": lambda: pptx(f"<a:p><a:r><a:t>{_PARAGRAPH}</a:t></a:r></a:p>" * 2_000),
    "2,000 paragraphs.html": lambda: f"<html>{f'<p>{_PARAGRAPH}</p>' * 2_000}".encode(),
    "100 pages.pdf": _pdf,
}


async def read(name: str, content: bytes) -> tuple[Document | None, float]:
    """Returns a document, None if it was refused, and the seconds that this took."""
    began = time.monotonic()
    kind = document_kind(File("F1", name), content) or Format.PDF
    document = await read_document(kind, content)
    return document if isinstance(document, Document) else None, time.monotonic() - began


def _plain(text: str) -> str:
    return " ".join(text.replace("\\|", "|").replace("<br>", " ").split())


def kept_of(name: str, document: Document | None) -> tuple[int, int]:
    """Returns how many of a file's pieces a document has, and how many there are."""
    text = _plain(document.text) if document else ""
    found = [_plain(piece) in text for piece in pieces(name)]
    return sum(found), len(found)


async def measure(names: Mapping[str, bytes]) -> dict[str, Any]:
    """Reads files of one format. Their peak memory counts for this process, so each format has one of its own."""
    seconds, kept, total = [], 0, 0
    for name, content in names.items():
        document, took_s = await read(name, content)
        seconds.append(took_s)
        if name[0].isdigit() and name in corpus():
            got, of = kept_of(name, document)
            kept += got
            total += of
        elif document is None:
            kept = -1
    peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {"files": len(names), "kept": kept, "of": total, "seconds": seconds, "peak_mb": peak_mb}


def measured(what: str, key: str) -> dict[str, Any]:
    """Measures a format of the corpus, or a large document, in a process of its own."""
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.documents", what, key], stdout=subprocess.PIPE, text=True, check=True
    )
    row: dict[str, Any] = json.loads(ran.stdout)
    return row


def report_kept() -> bool:
    """Prints a line for each format of the corpus. Returns whether all keep enough."""
    kept = of = files = 0
    is_fine = True
    print("format  files  kept          median s  max s  peak MB")
    for extension in sorted({name.rpartition(".")[2] for name in corpus() if name[0].isdigit()}):
        row = measured("corpus", extension)
        share = row["kept"] / row["of"]
        is_fine = is_fine and share >= MIN_KEPT
        kept, of, files = kept + row["kept"], of + row["of"], files + row["files"]
        times = f"{median(row['seconds']):8.2f}  {max(row['seconds']):5.2f}"
        counts = f"{row['files']:5}  {row['kept']:4}/{row['of']:4} {share:4.0%}"
        print(f"{extension:6}  {counts}  {times}  {row['peak_mb']:7.0f}")
    print(f"all     {files:5}  {kept}/{of} {kept / of:.1%}\n")
    for name in LARGE:
        row = measured("large", name)
        is_fine = is_fine and row["kept"] == 0
        print(f"{name:24} {row['seconds'][0]:5.2f} s, peak {row['peak_mb']:4.0f} MB")
    return is_fine


async def report_hostile(folder: Path) -> bool:
    """Prints a line for each hostile document. Returns whether all are refused in time, with nothing else affected."""
    late_s = [0.0]
    before_mb = _memory_mb()
    probe = asyncio.create_task(_probe(late_s))
    is_fine, slowest_s = True, 0.0
    for number, name in enumerate(HOSTILE):
        document, took_s = await read(name, (folder / str(number)).read_bytes())
        slowest_s = max(slowest_s, took_s)
        is_refused = document is None and took_s <= MAX_REFUSAL_S
        is_fine = is_fine and is_refused
        print(f"{name:24} {'refused' if is_refused else 'NOT REFUSED'} after {took_s:4.1f} s")
    probe.cancel()
    growth_mb = _memory_mb() - before_mb
    print(
        f"{len(HOSTILE)} documents, slowest {slowest_s:.1f} s; loop late by at most {max(late_s) * 1000:.0f} ms; ",
        end="",
    )
    print(f"memory grew by {growth_mb:.0f} MB")
    return is_fine and max(late_s) <= MAX_LAG_S and growth_mb <= MAX_GROWTH_MB


async def _probe(late_s: list[float]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due_s = loop.time() + _PROBE_S
        await asyncio.sleep(_PROBE_S)
        late_s[0] = max(late_s[0], loop.time() - due_s)


def _memory_mb() -> float:
    fields = Path("/proc/self/status").read_text().split("VmRSS:")[1]
    return int(fields.split()[0]) / 1024


def main(arguments: list[str]) -> int:
    """Measures everything, or what `measured` asks for."""
    match arguments:
        case ["corpus", extension]:
            wanted = {name: file for name, file in corpus().items() if name[0].isdigit()}
            print(json.dumps(asyncio.run(measure({n: f for n, f in wanted.items() if n.endswith(f".{extension}")}))))
        case ["large", name]:
            print(json.dumps(asyncio.run(measure({name: LARGE[name]()}))))
        case ["make", folder]:
            for number, make in enumerate(HOSTILE.values()):
                (Path(folder) / str(number)).write_bytes(make())
        case _:
            is_fine = report_kept()
            with tempfile.TemporaryDirectory() as folder:
                # In a process of its own, because making them takes more memory than reading them.
                subprocess.run([sys.executable, "-m", "benchmarks.documents", "make", folder], check=True)
                is_fine = asyncio.run(report_hostile(Path(folder))) and is_fine
            return 0 if is_fine else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
