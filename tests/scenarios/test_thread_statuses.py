"""Statuses of channel threads: they say what Typist does, cost no edit, and no answer depends on them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from benchmarks.carried import force
from bot.core import choices, texts
from bot.core.actions import ReplyAction
from bot.reply import scheduler
from bot.services.pane import CHANGE_DELAY_S, ThreadStatuses
from bot.settings import Settings
from slack_sandbox.faults import FaultSettings
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.processes import WITHIN_S
from slack_sandbox.workspace import Message
from tests.scenarios.conftest import Stage, buttons, manifest, running, says, settings_of, shown
from tests.scenarios.fleet import fleet_of
from tests.scenarios.tools import calls as calls_of
from tests.streams import speech
from tests.streams.server import ResponseEnd, VendorResponse, VendorServer

GENERAL = "C0GENERAL"
METHOD = "assistant.threads.setStatus"
SILENT = VendorResponse(ending=ResponseEnd.HANG)


def status(stage: Stage, thread_ts: str, channel: str = GENERAL) -> str | None:
    return stage.sandbox.workspace.status(channel, thread_ts)


async def shows(stage: Stage, thread_ts: str, wanted: str | None) -> None:
    await stage.sandbox.wait_for(lambda: status(stage, thread_ts) == wanted)


def calls(sandbox: Sandbox, method: str = METHOD) -> int:
    return [call.method for call in sandbox.calls].count(method)


def tasks_of(service: type) -> list[asyncio.Task[Any]]:
    return [
        task for task in asyncio.all_tasks() if f"{service.__name__}." in getattr(task.get_coro(), "__qualname__", "")
    ]


async def stop(stage: Stage, asked: str) -> None:
    """Stops an answer, as its status says."""
    await stage.sandbox.say("ada", "general", "stop", asked)
    await stage.answers("general", asked)


@pytest.fixture
async def unposted(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Stage]:
    """A bot whose statuses stand for placeholders, and whose answers come by streams."""
    monkeypatch.setattr(scheduler, "SCARCE_DELAY_S", 600.0)
    vendor.script(says("The whole answer."))
    async with running(replace(settings, carrier="stream")):
        yield Stage(sandbox, vendor)


@pytest.fixture
def with_short_refresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.services.pane.REFRESH_S", 0.4)


@pytest.mark.skips_waits
async def test_status_says_thinking_then_how_to_stop_a_stream_until_the_answer_ends(unposted: Stage) -> None:
    chunks = speech.chat(speech.tokens("Once there was a bot. " * 9))
    thinking, writing = asyncio.Event(), asyncio.Event()
    unposted.vendor.script(VendorResponse(chunks, gates={0: thinking.wait, len(chunks) - 1: writing.wait}))
    asked = await unposted.mention()
    await shows(unposted, asked, texts.statuses.STATUS_THINKING)
    assert unposted.bots("general", asked) == []
    thinking.set()
    await shows(unposted, asked, texts.statuses.STATUS_WRITING)
    writing.set()
    await unposted.answers("general", asked)
    await shows(unposted, asked, None)


@pytest.mark.skips_waits
async def test_message_that_is_edited_says_what_the_model_does_and_no_status_repeats_it(stage: Stage) -> None:
    chunks = speech.chat(speech.tokens("Once there was a bot. " * 9))
    thinking, writing = asyncio.Event(), asyncio.Event()
    stage.vendor.script(VendorResponse(chunks, gates={0: thinking.wait, len(chunks) - 1: writing.wait}))
    asked = await stage.mention()
    [reply] = await stage.sandbox.wait_for(lambda: stage.bots("general", asked))
    assert shown(reply).startswith(texts.answers.THINKING), (
        "nobody knows who sees a status: the placeholder comes at once"
    )
    await shows(stage, asked, None)
    thinking.set()
    await stage.sandbox.wait_for(lambda: texts.answers.WRITING in str(stage.bots("general", asked)[0].blocks))
    await asyncio.sleep(2 * CHANGE_DELAY_S)
    assert status(stage, asked) is None
    writing.set()
    await stage.answers("general", asked)


@pytest.mark.skips_waits
async def test_status_that_is_shown_has_no_task(unposted: Stage) -> None:
    unposted.vendor.script(SILENT)
    threads = [await unposted.mention(f"question {number}?") for number in range(3)]
    for asked in threads:
        await shows(unposted, asked, texts.statuses.STATUS_THINKING)
    async with asyncio.timeout(WITHIN_S):
        await asyncio.gather(*tasks_of(ThreadStatuses))
    for asked in threads:
        await stop(unposted, asked)
        await shows(unposted, asked, None)


WAYS_TO_FAIL: dict[str, tuple[str, FaultSettings]] = {
    "gone": ("no_statuses", {}),
    "broken": ("error_500", {"method": METHOD}),
}


def has_stop(message: Message) -> bool:
    return ReplyAction.STOP.value in buttons(message)


@pytest.mark.skips_waits
@pytest.mark.parametrize(("fault", "settings_of_fault"), WAYS_TO_FAIL.values(), ids=WAYS_TO_FAIL)
async def test_answer_without_a_status_has_a_stop_button_and_no_stream(
    unposted: Stage, fault: str, settings_of_fault: FaultSettings
) -> None:
    """Streams are set, and a placeholder would wait for 600 s where a status stands for it."""
    chunks = speech.chat(speech.tokens("Once there was a bot. " * 9))
    thinking = asyncio.Event()
    unposted.vendor.script(VendorResponse(chunks, gates={0: thinking.wait}, ending=ResponseEnd.HANG))
    unposted.sandbox.faults.start(fault, **settings_of_fault)
    asked = await unposted.mention()
    [placeholder] = await unposted.sandbox.wait_for(lambda: unposted.bots("general", asked))
    assert shown(placeholder).startswith(texts.answers.THINKING)
    assert has_stop(placeholder)
    thinking.set()
    await unposted.sandbox.wait_for(lambda: "there was a bot" in shown(unposted.bots("general", asked)[0]))
    await unposted.sandbox.client("ada").press("general", placeholder.ts, ReplyAction.STOP.value)
    await unposted.answers("general", asked)
    assert calls(unposted.sandbox, "chat.startStream") == 0


@pytest.mark.skips_waits
async def test_stream_whose_status_is_refused_midway_goes_on_as_a_message_with_a_stop_button(
    unposted: Stage, with_short_refresh: None
) -> None:
    unposted.vendor.script(VendorResponse(speech.chat(speech.tokens("Once there was a bot. " * 9)), pause_s=0.2))
    asked = await unposted.mention()
    await shows(unposted, asked, texts.statuses.STATUS_WRITING)
    [stream] = await unposted.sandbox.wait_for(lambda: unposted.bots("general", asked))
    assert not has_stop(stream)
    unposted.sandbox.faults.start("no_statuses")
    await unposted.sandbox.wait_for(lambda: has_stop(unposted.bots("general", asked)[0]))
    await unposted.sandbox.client("ada").press("general", stream.ts, ReplyAction.STOP.value)
    await unposted.answers("general", asked)
    assert calls(unposted.sandbox, "chat.stopStream") == 1


@pytest.mark.skips_waits
async def test_answer_waits_for_no_status(stage: Stage) -> None:
    stage.sandbox.faults.start("slow", method=METHOD, delay_s=120)
    assert await stage.answers("general", await stage.mention(), timeout_s=60) == ["The whole answer."]


@asynccontextmanager
async def agent_sandbox(manifest_json: Any) -> AsyncIterator[Sandbox]:
    async with Sandbox(redelivery_delays_s=(0.0, 1.0, 2.0), manifest=manifest_json) as sandbox:
        yield sandbox


def has_slacks_stop(sandbox: Sandbox, thread_ts: str) -> bool:
    session = sandbox.panes.session(GENERAL, thread_ts)
    return session is not None and session.status == "processing"


@pytest.mark.skips_waits
async def test_agents_thread_has_a_stop_whenever_slack_takes_its_own(vendor: VendorServer) -> None:
    """A queued follow-up begins while the calls that end the answer before it are on their way."""
    vendor.script(says("The whole answer."), SILENT)
    async with agent_sandbox(manifest("manifest.agent.json")) as sandbox, running(settings_of(sandbox, vendor)):
        stage = Stage(sandbox, vendor)
        sandbox.faults.start("slow", method="agents.sessions.setStatus", delay_s=0.3)
        asked = await stage.mention()
        await vendor.request(0)
        await sandbox.say("ada", "general", "@typist and?", asked)
        await vendor.request(1)
        await sandbox.wait_for(lambda: calls(sandbox, "agents.sessions.setStatus") >= 3)
        replies = stage.bots("general", asked)
        assert has_slacks_stop(sandbox, asked) or ReplyAction.STOP.value in buttons(replies[-1])
        sandbox.client("ada").stop("general", asked)
        await stage.answers("general", asked, count=2)


@pytest.mark.skips_waits
async def test_agents_channel_thread_has_slacks_stop_in_place_of_placeholder_and_button(vendor: VendorServer) -> None:
    chunks = speech.chat(speech.tokens("Once there was a bot that wrote. " * 30))[:60]
    thinking = asyncio.Event()
    vendor.script(VendorResponse(chunks, gates={0: thinking.wait}, ending=ResponseEnd.HANG))
    async with agent_sandbox(manifest("manifest.agent.json")) as sandbox, running(settings_of(sandbox, vendor)):
        stage = Stage(sandbox, vendor)
        asked = await stage.mention()
        await sandbox.wait_for(lambda: has_slacks_stop(sandbox, asked))
        assert stage.bots("general", asked) == []
        thinking.set()
        [reply] = await sandbox.wait_for(lambda: stage.bots("general", asked))
        assert "Once" in shown(reply)
        assert buttons(reply) == []
        await vendor.request(0)
        assert (has_slacks_stop(sandbox, asked), calls(sandbox)) == (True, 0), "a status would remove it"
        sandbox.client("ada").stop("general", asked)
        await stage.answers("general", asked)
        await sandbox.wait_for(lambda: sandbox.panes.sessions(GENERAL)[asked].status == "active")
        await shows(stage, asked, None)


@pytest.mark.skips_waits
async def test_agents_session_is_suspended_by_an_answer_that_ends_in_a_choice(vendor: VendorServer) -> None:
    offered = choices.TOOL_NAME, {"question": "Where?", "choices": ["Here", "There"]}
    vendor.script(calls_of("", offered), says("Here it is."))
    async with agent_sandbox(manifest("manifest.agent.json")) as sandbox, running(settings_of(sandbox, vendor)):
        stage = Stage(sandbox, vendor)
        asked = await stage.mention()
        await sandbox.wait_for(lambda: asked in sandbox.panes.sessions(GENERAL))
        await sandbox.wait_for(lambda: sandbox.panes.sessions(GENERAL)[asked].status == "suspended")
        await sandbox.say("ada", "general", "Here.", asked)
        await sandbox.wait_for(lambda: sandbox.panes.sessions(GENERAL)[asked].status == "active")


@pytest.mark.skips_waits
async def test_agents_answer_has_typists_stop_if_slack_shows_none(vendor: VendorServer) -> None:
    app = manifest("manifest.agent.json")
    app["settings"]["event_subscriptions"]["bot_events"].remove("agent_session_stopped")
    vendor.script(SILENT)
    async with agent_sandbox(app) as sandbox, running(settings_of(sandbox, vendor)):
        stage = Stage(sandbox, vendor)
        asked = await stage.mention()
        [reply] = await sandbox.wait_for(lambda: stage.bots("general", asked))
        await sandbox.client("ada").press("general", reply.ts, ReplyAction.STOP.value)
        await stage.answers("general", asked)
        await shows(stage, asked, None)


async def test_process_that_takes_over_replaces_and_removes_the_status(
    sandbox: Sandbox, vendor: VendorServer, tmp_path: Path
) -> None:
    stage = Stage(sandbox, vendor)
    vendor.script(SILENT, says("The whole answer.", pause_s=0.05))
    async with fleet_of(stage, tmp_path, f"sqlite:///{tmp_path}/typist.db") as fleet:
        first = await fleet.start(partial(force, "stream"))
        asked = await stage.mention()
        await shows(stage, asked, texts.statuses.STATUS_THINKING)
        await vendor.request(0)
        await fleet.killed(first)
        assert status(stage, asked) == texts.statuses.STATUS_THINKING, "nobody is left to remove it"
        await fleet.start(partial(force, "stream"))
        assert await stage.answers("general", asked) == ["The whole answer."]
        await shows(stage, asked, None)
