"""Measures the conversion of documents: python -m files_to_markdown.benchmarks.documents

1. For the corpus (benchmarks/document_corpus.py), the share of extracted paragraphs and cells, by format and in total,
   with the median and maximum of the CPU time in seconds and of the peak memory needed to read a document.
2. The same for large generated documents of each type.
3. For hostile documents (benchmarks/hostile_documents.py), the time until each is refused, and the effect on the
   process that requested it: its memory, and delays of its event loop.

Exits with 1 if a format keeps less than 98%, a file takes more than 200 MB, a hostile document is read or takes longer
than 10 s, the loop is late by more than 250 ms, or the memory grows by more than 20 MB.
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

from files_to_markdown.benchmarks.document_corpus import corpus, pieces
from files_to_markdown.benchmarks.hostile_documents import HOSTILE, docx, odf, pptx, xlsx
from files_to_markdown.document import Document, Format
from files_to_markdown.kind import document_kind
from files_to_markdown.process import read_document

MIN_KEPT = 0.98
MAX_REFUSAL_S = 10.0
MAX_LAG_S = 0.25
MAX_PEAK_MB = 200
MAX_GROWTH_MB = 20
_PROBE_S = 0.01
_SELF = (sys.executable, "-m", "files_to_markdown.benchmarks.documents")


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


_PARAGRAPH = "Words of a paragraph that is about as long as a paragraph of a report. " * 5
_ODF_ROW = f"<table:table-row>{'<table:table-cell><text:p>1</text:p></table:table-cell>' * 12}</table:table-row>"
_EXCEL_ROW = f"<Row>{'<Cell><Data>1</Data></Cell>' * 12}</Row>"
LARGE: Mapping[str, Callable[[], bytes]] = {
    "50,000 x 12 cells.xlsx": lambda: xlsx("".join(f"<row>{row}</row>" for row in _rows())),
    "50,000 x 12 cells.csv": lambda: b"".join(b"%d,1,2,3,4,5,6,7,8,9,10,11\n" % row for row in range(50_000)),
    "2,000 paragraphs.docx": lambda: docx(f"<w:p><w:r><w:t>{_PARAGRAPH}</w:t></w:r></w:p>" * 2_000),
    "2 million short paragraphs.docx": lambda: docx("<w:p><w:r><w:t>a</w:t></w:r></w:p>" * 2_000_000),
    "2,000 paragraphs.odt": lambda: odf("text", f"<text:p>{_PARAGRAPH}</text:p>" * 2_000),
    "2,000 paragraphs.pptx": lambda: pptx(f"<a:p><a:r><a:t>{_PARAGRAPH}</a:t></a:r></a:p>" * 2_000),
    "2,000 paragraphs.html": lambda: f"<html>{f'<p>{_PARAGRAPH}</p>' * 2_000}".encode(),
    "100 pages.pdf": _pdf,
    "2,000 paragraphs.odp": lambda: odf("presentation", f"<text:p>{_PARAGRAPH}</text:p>" * 2_000),
    "2,000 paragraphs.rtf": lambda: b"{\\rtf1 " + f"{_PARAGRAPH}\\par ".encode() * 2_000 + b"}",
    "2,000 paragraphs.eml": lambda: b"Subject: a\n\n" + f"{_PARAGRAPH}\n".encode() * 2_000,
    "2,000 paragraphs.ipynb": lambda: json.dumps({"cells": [{"source": _PARAGRAPH}] * 2_000}).encode(),
    "2,000 paragraphs.doc": lambda: (
        '<w:wordDocument xmlns:w="http://schemas.microsoft.com/office/word/2003/wordml"><w:body>'
        f"{f'<w:p><w:r><w:t>{_PARAGRAPH}</w:t></w:r></w:p>' * 2_000}</w:body></w:wordDocument>"
    ).encode(),
    "20,000 x 12 cells.ods": lambda: odf("spreadsheet", f"<table:table>{_ODF_ROW * 20_000}</table:table>"),
    "50,000 x 12 cells.xls": lambda: (
        '<Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet"><Worksheet><Table>'
        f"{_EXCEL_ROW * 50_000}</Table></Worksheet></Workbook>"
    ).encode(),
    "20 MB.log": lambda: b"2026-11-26 12:00:00 INFO a line of a log that somebody shares\n" * 320_000,
    "20 MB in windows-1251.txt": lambda: "Строка журнала, которым кто-то делится\n".encode("cp1251") * 500_000,
}


async def read(name: str, content: bytes) -> tuple[Document | None, float]:
    """Returns a document (or None if it was refused) and the time in seconds."""
    began = time.monotonic()
    kind = document_kind(name, "", content) or (Format.PDF if name.endswith("pdf") else Format.TEXT)
    document = await read_document(kind, content)
    return document if isinstance(document, Document) else None, time.monotonic() - began


def _plain(text: str) -> str:
    return " ".join(text.replace("\\|", "|").replace("<br>", " ").split())


def kept_pieces(name: str, document: Document | None) -> tuple[int, int]:
    """Returns how many of a file's pieces a document has, and how many pieces the file has."""
    text = _plain(document.text) if document else ""
    found = [_plain(piece) in text for piece in pieces(name)]
    return sum(found), len(found)


def measure(path: Path) -> dict[str, Any]:
    """Reads a file, and prints the resources that this process has used. Each file therefore needs its own process."""
    document, _ = asyncio.run(read(path.name, path.read_bytes()))
    kept, of = kept_pieces(path.name, document) if path.name in corpus() else (int(document is not None), 1)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"kept": kept, "of": of, "cpu_s": used.ru_utime + used.ru_stime, "peak_mb": used.ru_maxrss / 1024}


def measure_in_subprocess(path: Path) -> dict[str, Any]:
    ran = subprocess.run([*_SELF, "read", str(path)], stdout=subprocess.PIPE, text=True, check=True)
    row: dict[str, Any] = json.loads(ran.stdout)
    return row


def report_kept(folder: Path) -> bool:
    """Prints a line for each format of the corpus and each large file. Returns whether enough pieces are kept in every
    format and file.
    """
    kept = of = files = 0
    is_fine = True
    print("format  files  kept          CPU s: median  worst  peak MB: median  worst")
    paths = sorted((folder / "corpus").iterdir())
    for extension in sorted({path.suffix for path in paths}):
        rows = [measure_in_subprocess(path) for path in paths if path.suffix == extension]
        got, all_ = sum(row["kept"] for row in rows), sum(row["of"] for row in rows)
        seconds, peaks_mb = [row["cpu_s"] for row in rows], [row["peak_mb"] for row in rows]
        is_fine = is_fine and got / all_ >= MIN_KEPT and max(peaks_mb) <= MAX_PEAK_MB
        kept, of, files = kept + got, of + all_, files + len(rows)
        used = f"{median(seconds):13.2f}  {max(seconds):5.2f}  {median(peaks_mb):15.0f}  {max(peaks_mb):5.0f}"
        print(f"{extension[1:]:6}  {len(rows):5}  {got:4}/{all_:4} {got / all_:4.0%}  {used}")
    print(f"all     {files:5}  {kept}/{of} {kept / of:.1%}\n")
    for name in LARGE:
        row = measure_in_subprocess(folder / "large" / name)
        is_fine = is_fine and row["kept"] == 1 and row["peak_mb"] <= MAX_PEAK_MB
        print(f"{name:32} {row['cpu_s']:5.2f} s, peak {row['peak_mb']:4.0f} MB{'' if row['kept'] else ', REFUSED'}")
    return is_fine


def write_hostile_documents(folder: Path) -> None:
    large = {name: make_one() for name, make_one in LARGE.items()}
    hostile = {str(number): make_one() for number, make_one in enumerate(HOSTILE.values())}
    known = {name: content for name, content in corpus().items() if name[0].isdigit()}
    for kind, files in {"corpus": known, "large": large, "hostile": hostile}.items():
        (folder / kind).mkdir()
        for name, content in files.items():
            (folder / kind / name).write_bytes(content)


async def report_hostile(folder: Path) -> bool:
    """Prints a line for each hostile document. Returns whether all documents are refused in time, without side
    effects.
    """
    late_s = [0.0]
    before_mb = _memory_mb()
    probe = asyncio.create_task(_probe(late_s))
    is_fine, slowest_s = True, 0.0
    for number, name in enumerate(HOSTILE):
        document, took_s = await read(name, (folder / "hostile" / str(number)).read_bytes())
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
    match arguments:
        case ["read", path]:
            print(json.dumps(measure(Path(path))))
        case ["make", folder]:
            write_hostile_documents(Path(folder))
        case _:
            with tempfile.TemporaryDirectory() as folder:
                # In a separate process, because creating them takes more memory than reading them.
                subprocess.run([*_SELF, "make", folder], check=True)
                is_fine = report_kept(Path(folder))
                return 0 if asyncio.run(report_hostile(Path(folder))) and is_fine else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
