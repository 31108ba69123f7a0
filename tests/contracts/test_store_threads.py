"""What is kept of threads, people and channels beside questions: participants, panes and settings."""

from dataclasses import replace
from enum import Enum

import pytest
import sqlalchemy as sa

from bot.core.channel_settings import ChannelSettings
from bot.core.surfaces import AppContext
from bot.core.triage import MAX_LINES, Engagement, Line
from bot.models.prompt import Effort
from bot.store import Stores
from bot.store.channel_settings import read_chosen_servers
from bot.store.schema import PANE_CONTEXT_KEPT_S, channel_settings, pane_contexts, thread_lines
from bot.store.threads import LINES_KEPT
from tests.changed_settings import CHANGED
from tests.clocks import ManualClock
from tests.contracts.stores import THREAD, asked, count, enqueued

LATER = "1800000000.000000"


async def test_starter_is_no_bot_and_stays_known_however_many_lines_follow(store: Stores) -> None:
    assert await store.participants.starter(THREAD) == ""
    await enqueued(store, replace(asked(1), user_id="U0", is_from_bot=True))
    assert await store.participants.starter(THREAD) == ""
    await enqueued(store, replace(asked(2), user_id="U2"))
    assert await store.participants.starter(THREAD) == "U2"
    await store.participants.mark_group(THREAD, asked(1).ts, "U4")
    for number in range(10, 50):
        await store.participants.record_line(THREAD, "U1", asked(number).ts)
    assert await store.participants.starter(THREAD) == "U4"


async def test_only_the_last_lines_are_kept(store: Stores) -> None:
    await enqueued(store, asked(1))
    for number in range(2, 100):
        await store.participants.record_line(THREAD, f"U{number}", asked(number).ts)
    found = await store.participants.participants_at(THREAD, "U2", LATER)
    assert found.lines == tuple(Line(f"U{number}") for number in range(100 - MAX_LINES, 100))
    assert await count(store, thread_lines) == LINES_KEPT


async def test_thread_is_a_groups_from_the_earliest_message_that_is_known_on(store: Stores) -> None:
    await enqueued(store, asked(1))
    for number in (5, 3, 7):
        await store.participants.mark_group(THREAD, asked(number).ts)
    seen = [await store.participants.participants_at(THREAD, "U1", asked(number).ts) for number in (2, 3, 4)]
    assert [found.has_others for found in seen] == [False, True, True]


async def test_last_switch_of_a_thread_holds_and_each_message_switches_once(store: Stores) -> None:
    switch = store.participants.set_quiet
    switched = [
        await switch(THREAD, quiet=quiet, ts=asked(number).ts)
        for quiet, number in ((True, 3), (True, 3), (False, 2), (False, 4), (True, 3))
    ]
    assert switched == [True, False, False, True, False]
    seen = [await store.participants.participants_at(THREAD, "U1", asked(number).ts) for number in (4, 5)]
    assert [found.is_quiet for found in seen] == [False, False]


async def test_newest_pane_context_of_each_person_is_kept_for_some_time(timed: Stores, clock: ManualClock) -> None:
    async def read() -> list[str]:
        return [(await timed.pane_context.read("T1", user_id)).channel_id for user_id in ("U1", "U2", "U3")]

    for user_id, channel_id in (("U1", "C1"), ("U1", "C2"), ("U2", "C3")):
        await timed.pane_context.write("T1", user_id, AppContext(channel_id, "1.0"))
    assert await read() == ["C2", "C3", ""]
    assert await timed.pane_context.read("T2", "U1") == AppContext()
    await timed.pane_context.write("T2", "U1", AppContext(canvas_id="F1"))
    assert await timed.pane_context.read("T2", "U1") == AppContext(canvas_id="F1")
    await timed.erasure.erase(user_id="U1")
    assert await read() == ["", "C3", ""]
    clock.now_s += PANE_CONTEXT_KEPT_S - 1
    assert await read() == ["", "C3", ""]
    clock.now_s += 1
    assert await read() == ["", "", ""]
    await timed.pane_context.write("T1", "U1", AppContext("C1"))
    await timed.pane_context.write("T1", "U1", AppContext())
    assert await read() == ["", "", ""]
    await timed.erasure.expire(0)
    assert await count(timed, pane_contexts) <= 1, "the old one is removed"
    await timed.erasure.erase()
    assert await count(timed, pane_contexts) == 0


async def test_channel_settings_are_the_last_ones_set(store: Stores) -> None:
    assert await store.channel_settings.read("T1", "C1") == ChannelSettings()
    servers = ("time", "github")
    for settings in (
        ChannelSettings("openai/test", "Rhyme.", Engagement.EVERYONE, new_posts=True, gate=True, mcp_servers=servers),
        ChannelSettings(engagement=Engagement.MENTIONS, web_search=False, read_channel=False),
        *CHANGED.values(),
    ):
        await store.channel_settings.write("T1", "C1", settings)
        assert await store.channel_settings.read("T1", "C1") == settings
    for other in (("T1", "C2"), ("T2", "C1")):
        assert await store.channel_settings.read(*other) == ChannelSettings()


@pytest.mark.parametrize("name", [name for name, value in CHANGED.items() if isinstance(getattr(value, name), Enum)])
async def test_channel_setting_of_a_newer_version_counts_as_not_set(store: Stores, name: str) -> None:
    own = replace(CHANGED[name], system_prompt="Rhyme.")
    await store.channel_settings.write("T1", "C1", own)
    async with store.database.engine.begin() as connection:
        await connection.execute(sa.update(channel_settings).values({name: "newest"}))
    assert await store.channel_settings.read("T1", "C1") == ChannelSettings(system_prompt="Rhyme.")


async def test_channels_with_settings_of_their_own_are_listed(store: Stores) -> None:
    own = ChannelSettings("openai/test", engagement=Engagement.MENTIONS, mcp_servers=("time",), effort=Effort.FAST)
    with_reaction = ChannelSettings(reaction="eyes")
    for team_id, channel_id, settings in (
        ("T1", "C2", own),
        ("T1", "C1", with_reaction),
        ("T1", "C3", own),
        ("T1", "C3", ChannelSettings()),
        ("T1", "D1", own),
        ("T2", "C4", own),
    ):
        await store.channel_settings.write(team_id, channel_id, settings)
    assert await store.channel_settings.read_all("T1") == {"C1": with_reaction, "C2": own}
    async with store.database.begin_read() as connection:
        assert await read_chosen_servers(connection) == {"C2": ("time",), "D1": ("time",), "C4": ("time",)}
