"""`python -m bot usage`: answers, tokens and dollars, including those whose texts have expired."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.core.conversation import Question
from bot.core.job import End, StepEstimate
from bot.errors import EndReason
from bot.models.events import Usage
from bot.models.prices import ModelPrices
from bot.store import Stores
from bot.store.schema import feedback
from tests.clocks import ManualClock
from tests.contracts.stores import apart, enqueued
from tests.forked import forked_command

MODEL = "openai/gpt-6.1-sol"
FIRST_DAY = 1_800_000_000.0
ANSWER = "Because."
USAGE = Usage(100_000, 10_000, web_searches=2)
ANSWERED = End(EndReason.WHOLE, model=MODEL, usage=USAGE, first_token_s=0.5)
UNPRICED = replace(ANSWERED, model="openai/my-own", usage=Usage(100, 10), first_token_s=1.5)
FAILED = End(EndReason.CUT, model=MODEL, usage=Usage(100_000, 0), first_token_s=1.0)
CAPPED = End(EndReason.CAP_REACHED)
REFUSED = End(EndReason.DENIED)


async def use(store: Stores, question: Question, end: End) -> int:
    job_id = await enqueued(store, question)
    [job] = await store.worker_queue.claim(1)
    assert await store.worker_queue.finish(job, end, ANSWER)
    return job_id


@pytest.fixture(params=["sqlite_url", pytest.param("postgresql_url", marks=pytest.mark.long)])
async def used(request: pytest.FixtureRequest) -> str:
    """Returns a database with two days of usage, a month ago, whose texts are gone."""
    url: str = request.getfixturevalue(request.param)
    clock = ManualClock()
    clock.now_s = FIRST_DAY
    store = await Stores.open(url, "w1", clock, prices=ModelPrices())
    liked = await use(store, apart(1), ANSWERED)
    await use(store, replace(apart(2), user_id="U2"), UNPRICED)
    clock.now_s += 86_400
    await use(store, apart(3), FAILED)
    for number, end in ((4, CAPPED), (5, REFUSED)):
        await use(store, apart(number), end)
    await enqueued(store, apart(6))
    [job] = await store.worker_queue.claim(1)
    await store.worker_queue.release(job, estimate=StepEstimate(50_000, 0, MODEL))
    [job] = await store.worker_queue.claim(1)
    await store.worker_queue.finish(job, ANSWERED, ANSWER)
    values = {"job_id": liked, "user_id": "U9", "model": MODEL, "value": 1, "at": clock.now(), "reason": None}
    async with store.database.engine.begin() as connection:
        await connection.execute(
            sa.insert(feedback), [values, {**values, "user_id": "U8", "value": -1, "reason": "too_long"}]
        )
    clock.now_s += 40 * 86_400
    await store.erasure.expire(clock.now())
    await store.close()
    return url


async def report(folder: Path, url: str, *arguments: str) -> str:
    code, out, err = await forked_command(folder, "usage", *arguments, env={"DATABASE_URL": url})
    assert (code, err) == (0, "")
    return out


COLUMNS = (
    "answers input_tokens output_tokens web_searches cost_usd unpriced_tokens median_first_token_s "
    "failures questions people stopped unanswered slowest_first_token_s failed_cut failed_overloaded"
)
LINES = {
    "day": {
        "2027-01-15": "2 100100 10010 2 0.320000 110 1.00 0 2 2 0 0 1.50 0 0",
        "2027-01-16": "1 250000 10000 2 0.620000 0 0.75 1 4 1 0 2 1.00 1 0",
    },
    "week": {
        "2027-01-15": "3 350100 20010 4 0.940000 110 0.75 1 6 2 0 2 1.50 1 0",
    },
    "user": {
        "U1": "2 350000 20000 4 0.940000 0 0.50 1 5 1 0 2 1.00 1 0",
        "U2": "1 100 10 0 0.000000 110 1.50 0 1 1 0 0 1.50 0 0",
    },
    "model": {
        MODEL: "2 350000 20000 4 0.940000 0 0.50 1 3 1 0 0 1.00 1 0",
        "openai/my-own": "1 100 10 0 0.000000 110 1.50 0 1 1 0 0 1.50 0 0",
    },
}


async def test_usage_is_added_up_by_the_requested_column(used: str, tmp_path: Path) -> None:
    for by, lines in LINES.items():
        out = await report(tmp_path, used, "--by", by, "--since", "2027-01-01", "--csv")
        rows = [row for row in csv.DictReader(io.StringIO(out)) if row["answers"] != "0"]
        assert {row[by]: " ".join(row[name] for name in COLUMNS.split()) for row in rows} == lines
    thumbs = csv.DictReader(io.StringIO(await report(tmp_path, used, "--by", "user", "--since", "2027-01-01", "--csv")))
    columns = ("thumbs_up", "thumbs_down", "wrong", "too_long", "not_meant")
    assert [[row[name] for name in columns] for row in thumbs] == [["1", "1", "0", "1", "0"], ["0"] * 5]


async def test_day_leaves_out_earlier_usage(used: str, tmp_path: Path) -> None:
    out = await report(tmp_path, used, "--since", "2027-01-16")
    assert "2027-01-15" not in out
    assert "2027-01-16" in out
    assert "nothing" not in out.lower()
    assert "No answers since 2027-02-01." in await report(tmp_path, used, "--since", "2027-02-01")


async def test_table_has_a_total_and_names_what_has_no_price(used: str, tmp_path: Path) -> None:
    lines = (await report(tmp_path, used, "--by", "user", "--since", "2027-01-01")).splitlines()
    columns = "user questions answers input output searches USD first token failures +1"
    assert lines[1].split() == f"{columns} -1 wrong too long not meant".split()
    unpriced = ["U2", "1", "1", "100", "10", "0", "0.00", "1.50", "s", "0", "0", "0", "0", "0", "0"]
    assert lines[-3].split() == unpriced
    totals = ["all", "6", "3", "350,100", "20,010", "4", "0.9400", "0.75", "s", "1", "1", "1", "0", "1", "0"]
    assert lines[-2].split() == totals
    assert lines[-1] == "110 tokens have no known price and aren't included in USD."
    assert len({len(line) for line in lines[1:-1]}) == 1
