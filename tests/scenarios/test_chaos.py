"""A short run of benchmarks/chaos.py: whatever dies, each question is answered whole and once."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.chaos import Run, chaos

SHORT = Run(seed=2, questions=12, threads=6, minutes=0.25, gap_s=0.7, pause_s=(8.5, 10.0), drain_s=3)


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "run",
    [
        pytest.param(SHORT, id="three processes on PostgreSQL"),
        pytest.param(replace(SHORT, engine="sqlite", processes=1), id="one process on SQLite"),
    ],
)
async def test_nothing_is_lost_whatever_breaks(run: Run, tmp_path: Path) -> None:
    report = await chaos(run, tmp_path)
    assert report.found == [], "\n".join((*report.done, *report.found))
