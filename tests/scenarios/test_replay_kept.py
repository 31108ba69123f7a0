"""`typist replay --kept`: the questions of kept tests are asked again, and their answers are checked."""

import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import sqlalchemy as sa

from bot.core.kept_tests import Check, CheckKind
from bot.store import Stores
from bot.store.rows import question_of
from bot.store.schema import audit_entries, jobs
from slack_sandbox.workspace import TEAM_ID
from tests.forked import forked_command
from tests.mcp.servers import be_patient
from tests.scenarios.conftest import says
from tests.scenarios.test_replay import Recorded, erase, with_server, written
from tests.scenarios.test_replay import recorded as recorded
from tests.scenarios.tools import tools_in


def word(value: str) -> Check:
    return Check(CheckKind.WORD, value)


@asynccontextmanager
async def opened(recorded: Recorded) -> AsyncIterator[Stores]:
    store = await recorded.stores()
    try:
        yield store
    finally:
        await store.close()


async def keep(recorded: Recorded, checks: dict[int, Sequence[Check]]) -> None:
    """Keeps answers as tests. `checks`: by the number of the question."""
    async with opened(recorded) as store:
        for number, of_answer in checks.items():
            async with store.database.engine.connect() as connection:
                this = sa.select(jobs).where(jobs.c.text.endswith(f"number {number}?"))
                row = (await connection.execute(this)).one()
            assert await store.kept_tests.keep(row.id, question_of(row), of_answer, "U0ADA")


def number(line: dict[str, Any]) -> int:
    return int(re.findall(r"number (\d)", line["question"])[0])


async def run(recorded: Recorded, *options: str, code: int = 0) -> tuple[list[dict[str, Any]], str]:
    recorded.sandbox.calls.clear()
    found, out, err = await forked_command(
        recorded.folder, "replay", "--kept", *options, env=recorded.env, before=be_patient
    )
    assert (found, written(recorded.sandbox.calls)) == (code, []), err
    return [json.loads(line) for line in out.splitlines()], err


async def test_tests_pass_with_the_unchanged_bot(recorded: Recorded) -> None:
    await keep(recorded, {number: [word(f"test on {number}")] for number in (1, 4, 5)})
    lines, err = await run(recorded, "--direct-messages")
    assert [(number(line), line["passed"], line["failed"]) for line in lines] == [(n, True, []) for n in (1, 4, 5)]
    assert all(line["now"] == line["then"] for line in lines)
    assert recorded.asked() == [1, 4, 5]
    assert "3 tests will ask openai/test, for about $0.0001 and at most $10. Nothing will be posted." in err
    async with opened(recorded) as store, store.database.engine.connect() as connection:
        kinds = await connection.scalars(sa.select(audit_entries.c.kind).where(audit_entries.c.kind == "replay"))
        assert len(kinds.all()) == 2 * 3


async def test_failed_test_is_repeated_twice_and_reported_with_both_answers(recorded: Recorded) -> None:
    await keep(recorded, {1: [word("test on 1"), word("word")], 4: [word("word")], 5: [word("word")]})
    lines, _ = await run(recorded, "--model", "openai/other", code=1)
    assert recorded.asked() == [1, 1, 1, 4], "direct messages are left out"
    failed, passed = lines
    assert (failed["failed"], passed["failed"]) == ([["word", "test on 1"]], [])
    assert failed["then"].startswith("test on 1.")
    assert failed["now"].startswith("other on 1.")
    assert (failed["channel"], failed["end"], failed["model"]) == ("C0GENERAL", "whole", "openai/other")


async def test_answer_that_passes_the_second_time_passes(recorded: Recorded) -> None:
    await keep(recorded, {1: [word("ready")]})
    answers = iter(["Not yet.", "It is ready."])
    recorded.vendor.script(lambda _: says(next(answers)))
    lines, _ = await run(recorded)
    assert [line["now"] for line in lines] == ["It is ready."]


async def test_answer_that_isnt_whole_passes_no_check(recorded: Recorded) -> None:
    await keep(recorded, {1: [Check(CheckKind.MAX_WORDS, "100")]})
    recorded.vendor.script(lambda _: says(""))
    lines, _ = await run(recorded, code=1)
    assert [(line["end"], line["failed"]) for line in lines] == [("empty", [["max_words", "100"]])]


async def test_system_prompt_and_channel_are_chosen(recorded: Recorded) -> None:
    await keep(recorded, {1: [word("word")], 4: [word("word")]})
    (recorded.folder / "prompt.txt").write_text("Speak like a pirate.")
    await run(recorded, "--system-prompt", "prompt.txt", "--channel", "C0RANDOM")
    assert recorded.asked() == [4]
    assert "Speak like a pirate." in str(recorded.vendor.requests[0].body["messages"][0])


async def test_run_stays_within_its_limit(recorded: Recorded) -> None:
    await keep(recorded, {1: [word("word")], 4: [word("word")]})
    lines, err = await run(recorded, "--limit", "0.0001", code=1)
    assert (lines, recorded.asked()) == ([], [])
    assert "Stopped at the limit of $0.0001." in err


async def test_only_tools_that_read_are_offered_and_a_check_knows_which_were_called(recorded: Recorded) -> None:
    raw = await with_server(recorded)
    tools = [Check(CheckKind.TOOL, "raw__list"), Check(CheckKind.TOOL, "raw__add")]
    await keep(recorded, {4: tools})
    lines, _ = await run(recorded, code=1)
    assert [tools_in(request) for request in recorded.vendor.requests[:2]] == [["raw__list"], ["raw__list"]]
    assert {name for name, _ in raw.calls} == {"list"}
    assert "raw__list" in lines[0]["tools"]


async def test_erased_tests_are_not_run_and_expired_text_is_kept(recorded: Recorded) -> None:
    await keep(recorded, {1: [word("word")], 4: [word("word")]})
    await erase(recorded)
    async with opened(recorded) as store:
        await store.erasure.expire(store.clock.now() + 1.0)
    lines, _ = await run(recorded)
    assert [number(line) for line in lines] == [1]


async def test_options_that_have_no_effect_are_refused(recorded: Recorded) -> None:
    _, err = await run(recorded, "--since", "1d", code=2)
    assert "can't be combined with --kept" in err
    found, _, err = await forked_command(recorded.folder, "replay", env=recorded.env)
    assert (found, "typist replay needs --model or --kept." in err) == (2, True)


async def test_other_workspaces_tests_are_not_run(recorded: Recorded) -> None:
    await keep(recorded, {1: [word("word")]})
    async with opened(recorded) as store:
        assert len(await store.kept_tests.all(TEAM_ID)) == 1
        assert await store.kept_tests.all("T2") == []
