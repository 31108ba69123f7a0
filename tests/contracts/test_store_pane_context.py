"""The channel that a person has open beside the assistant pane."""

from bot.store import Stores
from bot.store.pane_context import KEPT_S
from bot.store.schema import pane_contexts
from tests.clocks import ManualClock
from tests.contracts.stores import count


async def test_newest_pane_context_of_each_person_is_kept(store: Stores) -> None:
    await store.pane_context.write("T1", "U1", "C1")
    await store.pane_context.write("T1", "U1", "C2")
    await store.pane_context.write("T1", "U2", "C3")
    assert [await store.pane_context.read("T1", user_id) for user_id in ("U1", "U2", "U3")] == ["C2", "C3", ""]
    await store.pane_context.write("T1", "U1", "")
    assert await store.pane_context.read("T1", "U1") == ""


async def test_erased_person_has_no_pane_context(store: Stores) -> None:
    await store.pane_context.write("T1", "U1", "C1")
    await store.pane_context.write("T1", "U2", "C1")
    await store.erasure.erase(user_id="U1")
    assert [await store.pane_context.read("T1", user_id) for user_id in ("U1", "U2")] == ["", "C1"]
    await store.erasure.erase()
    assert await count(store, pane_contexts) == 0


async def test_old_pane_context_is_ignored_and_removed(database_url: str) -> None:
    clock = ManualClock()
    store = await Stores.open(database_url, "w1", clock)
    await store.pane_context.write("T1", "U1", "C1")
    clock.now_s += KEPT_S
    assert await store.pane_context.read("T1", "U1") == ""
    await store.erasure.expire(0)
    assert await count(store, pane_contexts) == 0
    await store.close()
