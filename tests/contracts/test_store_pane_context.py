"""What somebody looks at beside the pane, and what the workspace's models took."""

from dataclasses import replace

from bot.core.limits.caps import Amount
from bot.core.stream import Usage
from bot.ports.clock import SystemClock
from bot.store import Stores
from bot.store.pane_context import KEPT_S
from bot.store.schema import pane_contexts
from tests.contracts.stores import DONE, apart, count, enqueued

pytest_plugins = ["tests.contracts.databases"]


class ToldClock(SystemClock):
    time_s = 1_700_000_000.0

    def now(self) -> float:
        return self.time_s


async def test_the_newest_look_counts_for_each_person(store: Stores) -> None:
    await store.pane_context.write("T1", "U1", "C1")
    await store.pane_context.write("T1", "U1", "C2")
    await store.pane_context.write("T1", "U2", "C3")
    assert [await store.pane_context.read("T1", user_id) for user_id in ("U1", "U2", "U3")] == ["C2", "C3", ""]
    await store.pane_context.write("T1", "U1", "")
    assert await store.pane_context.read("T1", "U1") == ""


async def test_who_is_forgotten_looks_at_nothing(store: Stores) -> None:
    await store.pane_context.write("T1", "U1", "C1")
    await store.pane_context.write("T1", "U2", "C1")
    await store.erasure.erase(user_id="U1")
    assert [await store.pane_context.read("T1", user_id) for user_id in ("U1", "U2")] == ["", "C1"]
    await store.erasure.erase()
    assert await count(store, pane_contexts) == 0


async def test_a_look_of_long_ago_is_no_look_and_is_dropped(database_url: str) -> None:
    clock = ToldClock()
    store = await Stores.open(database_url, "w1", clock)
    await store.pane_context.write("T1", "U1", "C1")
    clock.time_s += KEPT_S
    assert await store.pane_context.read("T1", "U1") == ""
    await store.erasure.expire(0)
    assert await count(store, pane_contexts) == 0
    await store.close()


async def test_what_models_took_is_added_up_for_the_workspace(store: Stores) -> None:
    for number, model in enumerate(("openai/gpt-6-luna", "openai/gpt-6-luna", "own/model")):
        await enqueued(store, apart(number))
        [job] = await store.worker_queue.claim(1)
        await store.worker_queue.finish(job, replace(DONE, model=model, usage=Usage(1_000_000, 0)))
    used = await store.usage.used_by_model("T1", 0.0)
    assert {model: amount.tokens for model, amount in used.items()} == {
        "openai/gpt-6-luna": 2_000_000,
        "own/model": 1_000_000,
    }
    assert used["own/model"] == Amount(1_000_000, 0.0)
    assert used["openai/gpt-6-luna"].cost_usd > 0
    assert await store.usage.used_by_model("T2", 0.0) == {}
    assert await store.usage.used_by_model("T1", 1e12) == {}
