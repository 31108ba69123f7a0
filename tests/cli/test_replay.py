"""The record of a replay: what was spent, and what may be asked yet."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bot.cli.replay import Folder
from bot.errors import CapReached

OF = {"model": "openai/other", "system_prompt": "", "since": 20_000}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    folder = Folder(tmp_path, OF, 1.0)
    yield folder
    folder._record.close()


def answer(usd: float, text: str = "Because.") -> dict[str, Any]:
    return {"usd": usd, "text": text}


def test_record_tells_what_was_asked_and_judged_and_what_all_of_it_has_cost(folder: Folder) -> None:
    folder.add(1, then=answer(8.0), now=answer(0.25))
    folder.add(2, then=answer(8.0), now=answer(0.125), judge={"usd": 0.0625})
    folder.add(3, then=answer(8.0), now=answer(0.0, " \n"))
    folder.add(4, at_most_usd=0.5)
    folder.add(5, at_most_usd=0.0)
    assert folder.spent_usd == 0.25 + 0.125 + 0.0625 + 0.5
    assert [number for number in range(1, 7) if folder.has(number)] == [1, 2, 3, 4]
    assert [number for number in range(1, 7) if folder.lacks_verdict(number)] == [1]


def test_requests_may_reach_the_limit_together_and_none_may_pass_it(folder: Folder) -> None:
    folder.begin(1, 0.25)
    folder.begin(2, 0.25)
    # With its second request.
    folder.begin(2, 0.75)
    with pytest.raises(CapReached):
        folder.begin(3, 0.0625)
    assert (folder.spent_usd, folder.has(3)) == (1.0, False)
