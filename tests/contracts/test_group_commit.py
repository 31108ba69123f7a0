"""GroupCommit: what is asked for while a transaction runs shares the next one."""

import asyncio
from collections.abc import Sequence

import pytest

from bot.errors import StoreError
from bot.store.database import MAX_GROUP, GroupCommit
from tests.clocks import WITHIN_S


class Transactions:
    """Doubles numbers, a group at a time, once they may go on."""

    def __init__(self, failure: BaseException | None = None) -> None:
        self.written: list[list[int]] = []
        self.began, self.may_end = asyncio.Event(), asyncio.Event()
        self.failure = failure

    async def write(self, numbers: Sequence[int]) -> Sequence[int]:
        self.written.append(list(numbers))
        self.began.set()
        await self.may_end.wait()
        if self.failure:
            raise self.failure
        return [2 * number for number in numbers]


async def test_items_share_the_transaction_after_the_one_that_runs() -> None:
    transactions = Transactions()
    commit = GroupCommit(transactions.write)
    first = asyncio.create_task(commit.add(1))
    await transactions.began.wait()
    others = [asyncio.create_task(commit.add(number)) for number in (2, 3)]
    await asyncio.sleep(0)
    transactions.may_end.set()
    assert await asyncio.gather(first, *others) == [2, 4, 6]
    assert transactions.written == [[1], [2, 3]]


@pytest.mark.parametrize("failure", [None, StoreError()])
async def test_canceled_caller_neither_takes_its_item_back_nor_disturbs_others(failure: StoreError | None) -> None:
    transactions = Transactions(failure)
    commit = GroupCommit(transactions.write)
    first, second = [asyncio.create_task(commit.add(number)) for number in (1, 2)]
    await transactions.began.wait()
    first.cancel()
    transactions.may_end.set()
    ends = await asyncio.gather(first, second, return_exceptions=True)
    assert [type(end) for end in ends] == [asyncio.CancelledError, StoreError if failure else int]
    await asyncio.gather(commit.add(3), return_exceptions=True)
    assert transactions.written == [[1, 2], [3]], "later ones are written"


async def test_canceled_transaction_leaves_no_caller_waiting() -> None:
    transactions = Transactions(asyncio.CancelledError())
    commit = GroupCommit(transactions.write)
    first = asyncio.create_task(commit.add(1))
    await transactions.began.wait()
    second = asyncio.create_task(commit.add(2))
    await asyncio.sleep(0)
    transactions.may_end.set()
    async with asyncio.timeout(WITHIN_S):
        ends = await asyncio.gather(first, second, return_exceptions=True)
    assert [type(end) for end in ends] == [asyncio.CancelledError] * 2
    transactions.failure = None
    assert await commit.add(3) == 6, "later ones are written"


async def test_transaction_takes_a_limited_number_of_items() -> None:
    transactions = Transactions()
    transactions.may_end.set()
    commit = GroupCommit(transactions.write)
    await asyncio.gather(*map(commit.add, range(2 * MAX_GROUP + 1)))
    assert [len(group) for group in transactions.written] == [MAX_GROUP, MAX_GROUP, 1]
