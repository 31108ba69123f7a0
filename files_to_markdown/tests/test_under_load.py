"""Many documents read at once, next to two busy loops, have the same result as on a quiet machine or are too slow."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from files_to_markdown.benchmarks.document_corpus import corpus
from files_to_markdown.benchmarks.hostile_documents import HOSTILE
from files_to_markdown.document import Document, Format, Obstacle
from files_to_markdown.kind import document_kind
from files_to_markdown.process import read_document

LOOPS = 2
LOOP = "import time; ends = time.monotonic() + 300\nwhile time.monotonic() < ends: pass"
QUICK = ("protected", "cut off", "not well-formed", "no office file", "binary", "damaged", "entity")
"""Refused documents whose names begin like this are fast, so none is too slow."""


@contextmanager
def busy_loops() -> Iterator[None]:
    with ExitStack() as stack:
        for _ in range(LOOPS):
            loop = stack.enter_context(subprocess.Popen([sys.executable, "-c", LOOP]))
            stack.callback(loop.kill)
        yield


async def read(name: str, content: bytes) -> Document | Obstacle:
    return await read_document(document_kind(name, "", content) or Format.PDF, content)


@pytest.mark.long
async def test_document_ends_as_it_should_or_as_too_slow_while_the_machine_is_busy() -> None:
    documents = {name: content for name, content in corpus().items() if name.startswith(("0-", "protected"))}
    documents |= {f"refused {name}": make() for name, make in HOSTILE.items() if name.startswith(QUICK)}
    alone = {name: await read(name, content) for name, content in documents.items()}
    with busy_loops():
        crowded = await asyncio.gather(*(read(name, content) for name, content in documents.items()))
    outcomes = dict(zip(documents, crowded, strict=True))
    slow = [name for name, outcome in outcomes.items() if outcome is Obstacle.TOO_SLOW]
    assert {name: outcome for name, outcome in outcomes.items() if name not in slow} == {
        name: outcome for name, outcome in alone.items() if name not in slow
    }
    assert len(slow) < len(documents) / 10, slow
    reasons = {outcome for outcome in alone.values() if isinstance(outcome, Obstacle)}
    assert {Obstacle.PROTECTED, Obstacle.DAMAGED, Obstacle.KIND} <= reasons
