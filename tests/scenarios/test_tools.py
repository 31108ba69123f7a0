"""Tools over real sockets: what is shown meanwhile, the word "stop", the edit budget. For more: test_approvals.py."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from bot.core import texts
from bot.core.actions import ReplyAction
from bot.core.calls import Decision
from bot.core.caps import parse_caps
from bot.core.steps import EDITED, MIN_CHARS
from bot.models.prompt import CALL_TIMEOUT_S
from bot.services import tool_calls
from bot.settings import Settings
from slack_sandbox.server import Sandbox
from slack_sandbox.workspace import Message
from tests.scenarios.answers import press, reply
from tests.scenarios.conftest import Stage, buttons, running, says, shown
from tests.scenarios.surfaces import home_with
from tests.scenarios.tools import ADD_MILK, Notes, asking, by_results, calls, ended, results_in, values_of
from tests.streams import speech
from tests.streams.server import ResponseEnd, VendorResponse, VendorServer

pytestmark = [pytest.mark.skips_waits, pytest.mark.bot(on_disk=True, admins=frozenset({"U0GRACE"}))]


USED_UP = "Your quota of 24 tokens per day is used up."
CAPPED = {"caps": parse_caps("user/day=24tokens")}
"""Two steps use more than that: each has 12 tokens of input."""


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
async def stage(sandbox: Sandbox, vendor: VendorServer, settings: Settings, notes: Notes) -> AsyncIterator[Stage]:
    vendor.script(ADD_MILK)
    async with running(settings, tools=notes):
        yield Stage(sandbox, vendor)


async def asking_about(stage: Stage, asked: str, values: list[str]) -> Message:
    def asks() -> list[Message]:
        return [message for message in stage.bots("general", asked) if values_of(message) == values]

    return (await stage.sandbox.wait_for(asks))[0]


async def test_placeholder_says_which_tool_runs_and_that_the_model_thinks_then(stage: Stage, notes: Notes) -> None:
    notes.may_list.clear()
    stage.vendor.script(by_results(calls("", ("notes__list", {})), VendorResponse(ending=ResponseEnd.HANG)))
    asked = await stage.mention("list them all")
    message = await reply(stage, asked, "Using notes: List…")
    notes.may_list.set()
    await reply(stage, asked, texts.answers.THINKING)
    await press(stage, message, ReplyAction.STOP)
    await ended(stage, asked)


@pytest.mark.parametrize("words", ["Noted, ", "Noted, with care and in full. " * 20], ids=["few words", "many words"])
async def test_answer_that_breaks_after_its_calls_goes_on_without_repeating_them(
    stage: Stage, notes: Notes, words: str
) -> None:
    broken = VendorResponse(speech.chat([words])[:2], ending=ResponseEnd.CUT)
    responses = [calls("", ("notes__add", {"text": "Milk"})), broken, broken, says("that is all.")]
    stage.vendor.script(*responses)
    asked = await stage.mention("note milk")
    await press(stage, await asking(stage, asked), ReplyAction.APPROVE)
    message = await ended(stage, asked)
    kept = words if len(words) > MIN_CHARS else ""
    assert shown(message).splitlines()[0] == f"{kept}that is all."
    assert notes.written == [{"text": "Milk"}]


async def test_asker_finds_the_call_in_home_and_changes_its_text_before_approving_it(
    stage: Stage, notes: Notes
) -> None:
    asked = await stage.mention("note milk")
    message = await asking(stage, asked)
    at_home = await home_with(stage, "ada", texts.home.WAITING_FOR_YOU)
    assert f"/archives/C0GENERAL/p{message.ts.replace('.', '')}?thread_ts={asked}&cid=C0GENERAL|" in at_home
    assert await press(stage, message, ReplyAction.EDIT) is None
    assert await stage.sandbox.client("ada").submit({"argument-0": "Oat milk"}) == {}
    assert "\nApproved with changes by Ada\n" in shown(await ended(stage, asked))
    assert notes.written == [{"text": "Oat milk"}]
    [read] = results_in(stage.vendor.requests[-1])
    assert read == EDITED.format(arguments='{"text": "Oat milk"}', result=notes.result)


async def test_calls_of_a_step_are_one_card_that_one_press_approves(stage: Stage, notes: Notes) -> None:
    both = calls("I'll note both.", ("notes__add", {"text": "Milk"}), ("notes__add", {"text": "Bread"}))
    stage.vendor.script(by_results(both, says("Noted."), says("Noted.")))
    asked = await stage.mention("note both")
    message = await asking(stage, asked)
    details = [ReplyAction.ARGUMENTS] * 2
    assert buttons(message) == [*details, ReplyAction.APPROVE, ReplyAction.DENY, ReplyAction.STOP]
    assert "notes.add" not in str(message.blocks)
    assert await press(stage, message, ReplyAction.APPROVE) is None
    assert "2 calls approved by Ada" in shown(await ended(stage, asked))
    assert notes.written == [{"text": "Milk"}, {"text": "Bread"}]


async def test_first_of_several_decisions_is_acknowledged_and_loses_its_buttons(stage: Stage, notes: Notes) -> None:
    both = calls("I'll note both.", ("notes__add", {"text": "Milk"}), ("notes__add", {"text": "Bread"}))
    stage.vendor.script(by_results(both, says("Noted."), says("Noted one.")))
    asked = await stage.mention("note both")
    message = await asking(stage, asked)
    milk, bread = values_of(message)
    assert " Ada can press a button or write what to do instead until " in shown(message), "others read along"
    assert await press(stage, message, ReplyAction.DENY, value=milk) == texts.approvals.OTHERS_WAIT
    message = await asking_about(stage, asked, [bread])
    assert shown(message).startswith("I'll note both.")
    lines = shown(message).splitlines()
    denied, milk_line, bread_line = (
        next(at for at, line in enumerate(lines) if words in line)
        for words in (texts.approvals.DECISIONS[Decision.DENIED], "Milk", "Bread")
    )
    assert milk_line < denied < bread_line, "the other call keeps its place"
    assert await press(stage, message, ReplyAction.APPROVE, value=milk) == texts.approvals.NOTHING_TO_DECIDE
    assert await press(stage, message, ReplyAction.APPROVE, value=bread) is None
    message = await ended(stage, asked)
    assert shown(message).startswith("I'll note both.\n\nNoted one.\n1 call denied by Ada · 1 call approved by Ada\n")
    assert len(stage.bots("general", asked)) == 1
    assert notes.written == [{"text": "Bread"}]


async def test_call_below_a_full_page_can_be_approved(stage: Stage, notes: Notes) -> None:
    text = " ".join(f"word{number}" for number in range(1_430))
    assert 11_000 < len(text) < 11_800, "it fills a page"
    asked_for = [("notes__add", {"text": f"{word} " * 150}) for word in ("Milk", "Bread")]
    stage.vendor.script(by_results(calls(text, *asked_for), says("?"), says("Noted.")))
    asked = await stage.mention("note both")
    message = await asking(stage, asked)
    assert [page.ts for page in stage.bots("general", asked)][-1] == message.ts
    for value in values_of(message):
        await press(stage, message, ReplyAction.APPROVE, value=value)
    message = await ended(stage, asked)
    assert "Noted." in shown(message)
    assert " ".join(shown(page) for page in stage.bots("general", asked)).startswith(text[:9_000])
    assert len(notes.written) == 2


LISTS = calls("Looking.", ("notes__list", {}))
LISTS_SILENTLY = calls("", ("notes__list", {}))


@pytest.mark.parametrize(
    ("answer", "changed", "text", "offered"),
    [
        (LISTS, {}, f"Looking.\n\nLooking.\n\nLooking.\n{texts.answers.STEP_LIMIT}", ReplyAction.CONTINUE),
        (LISTS_SILENTLY, {}, texts.answers.STEP_LIMIT_WITHOUT_TEXT, ReplyAction.REGENERATE),
        (LISTS, CAPPED, f"Looking.\n\nLooking.\n{USED_UP}", ReplyAction.REGENERATE),
        (LISTS_SILENTLY, CAPPED, USED_UP, ReplyAction.REGENERATE),
    ],
    ids=["steps", "steps, no text", "quota", "quota, no text"],
)
@pytest.mark.long(after_row=1)
async def test_limit_in_the_middle_of_an_answer_leaves_its_text_and_says_what_to_do(
    sandbox: Sandbox,
    vendor: VendorServer,
    settings: Settings,
    notes: Notes,
    answer: VendorResponse,
    changed: dict[str, Any],
    text: str,
    offered: ReplyAction,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bot.services.steps.MAX_STEPS", 3)
    vendor.script(lambda request: answer)
    async with running(replace(settings, **changed), tools=notes):
        stage = Stage(sandbox, vendor)
        message = await ended(stage, await stage.mention("list them all"))
    assert shown(message).startswith(text)
    assert buttons(message)[0] == offered
    assert notes.listed == 2


async def test_tool_that_does_not_answer_in_time_is_shown_running_and_costs_only_its_result(
    stage: Stage, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tool_calls, "CANCEL_NOTICE_S", 3.0 - CALL_TIMEOUT_S)
    notes.may_list.clear()
    stage.vendor.script(by_results(LISTS, says("It did not answer.")))
    asked = await stage.mention("list them all")
    await reply(stage, asked, "Using notes: List…")
    message = await ended(stage, asked)
    assert shown(message).startswith("Looking.\n\nIt did not answer.")
    assert stage.prompts()[-1][-1]["content"] == "The tool did not answer within 60 s."
    await press(stage, message, ReplyAction.DETAILS)
    assert "`notes.list`: failed" in str(stage.sandbox.workspace.ephemerals[-1].sent_blocks)


async def test_stream_stays_open_while_a_tool_reads_and_ends_where_one_asks(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings, notes: Notes
) -> None:
    stage = Stage(sandbox, vendor)
    looks, writes = "First I look at the list. ", "Then I note it. "
    vendor.script(
        by_results(calls(looks, ("notes__list", {})), calls(writes, ("notes__add", {"text": "Milk"})), says("Noted."))
    )
    async with running(replace(settings, carrier="stream"), tools=notes):
        asked = await stage.mention("list them, note milk")
        question = await asking(stage, asked)
        await press(stage, question, ReplyAction.APPROVE)
        message = await ended(stage, asked)
    assert [call.ok for call in sandbox.calls if call.method == "chat.startStream"] == [True]
    words = [line.strip() for line in shown(message).splitlines() if line.strip()]
    assert words[:3] == [looks.strip(), writes.strip(), "Noted."]
    assert notes.written == [{"text": "Milk"}]
    assert stage.bots("general", asked) == [message], "one answer is one message"
