"""A short run of benchmarks/chaos.py: under random faults, each question gets one complete answer."""

import os
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from benchmarks.chaos import Run, chaos
from tests.forked import ForkedBot, forked_bot

SHORT = Run(
    seed=2,
    questions=12,
    threads=6,
    minutes=0.25,
    gap_s=0.7,
    pause_s=(8.5, 10.0),
    drain_s=3,
    posts="strict",
    schedules=4,
)
SHORT_ALONE = replace(SHORT, engine="sqlite", processes=1, pause_s=(2.0, 3.0), stall_timeout_s=7, posts="generous")
"""Nobody takes over from the only process, so its pauses may be short, and what counts as a stall as well."""
SHORT_WITH_TOOLS = replace(SHORT_ALONE, seed=4, questions=5, threads=3, minutes=0.08, tools=True)
"""Three of the five questions have calls."""


def write_log(file: Path) -> None:
    os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), 2)


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "run",
    [
        pytest.param(SHORT, id="three processes on PostgreSQL", marks=pytest.mark.long),
        pytest.param(SHORT_ALONE, id="one process on SQLite", marks=pytest.mark.long),
        pytest.param(SHORT_WITH_TOOLS, id="one process with tools on SQLite"),
    ],
)
@pytest.mark.long
async def test_random_faults_lose_no_answer(run: Run, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:

        async def spawn(folder: Path, env: Mapping[str, str], log: Path) -> ForkedBot:
            return await stack.enter_async_context(forked_bot(folder, "run", env=env, before=partial(write_log, log)))

        report = await chaos(run, tmp_path, spawn)
    assert report.violations == [], "\n".join((*report.events, *report.violations))
