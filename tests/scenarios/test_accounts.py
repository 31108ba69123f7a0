"""A member's sign-in to an MCP server, from the question to the answer, and what others can't do with it."""

import asyncio
import gc
import json
import logging
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet

from bot.accounts.sign_ins import SignInLinks, SignIns
from bot.core import texts
from bot.core.actions import ReplyAction
from bot.core.calls import READ_CHANNEL, SCHEDULE, SCOPE_FIRST, SIGN_IN, SIGN_IN_FIRST
from bot.core.schedules import PauseReason
from bot.mcp.config import HttpTransport, McpSetup, SignInConfig, ToolRules
from bot.mcp.sentences import DOWN_NO_SIGN_IN
from bot.settings import Settings
from bot.slack.views.schedules import ScheduleAction
from bot.store import Stores, schema
from bot.store.accounts import Owner
from slack_sandbox.client import Client
from slack_sandbox.server import Sandbox
from slack_sandbox.workspace import TEAM_ID, Message
from tests.contracts.databases import dump_of
from tests.mcp.servers import be_patient
from tests.mcp.sign_in_server import BY_DEVICE, SignInServer, sign_in_server
from tests.processes import own_port
from tests.scenarios.answers import press
from tests.scenarios.conftest import Stage, buttons, running, says, shown
from tests.scenarios.surfaces import home_with
from tests.scenarios.test_schedule_runs import answers, pause_notices, posted, run
from tests.scenarios.tools import asking, by_results, calls, let_use, results_in, tools_in, values_of
from tests.scenarios.tools import ended as ended_in
from tests.streams.server import VendorRequest, VendorResponse, VendorServer

KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
TICKETS = "List my open tickets."
ASKS = by_results(calls("", (SIGN_IN, {"server": "jira"})), calls("", ("jira__whoami", {})), says("Found it."))
pytestmark = [pytest.mark.skips_waits, pytest.mark.bot(on_disk=True)]


@pytest.fixture
async def jira() -> AsyncIterator[SignInServer]:
    async with sign_in_server() as server:
        yield server


@pytest.fixture
async def stage(sandbox: Sandbox, vendor: VendorServer, settings: Settings, jira: SignInServer) -> AsyncIterator[Stage]:
    be_patient()
    vendor.script(ASKS)
    async with running(with_jira(settings, jira)):
        yield Stage(sandbox, vendor)


def with_jira(settings: Settings, jira: SignInServer) -> Settings:
    rules = ToolRules(allow=frozenset(["jira__*"]), read_only=frozenset(["jira__*"]))
    return replace(settings, mcp=McpSetup((jira.config,), rules, ("jira",)), secret_keys=(KEY,))


async def asked_to_sign_in(stage: Stage) -> Message:
    """Asks something in a direct message; returns the reply that wants a sign-in."""
    channel = stage.sandbox.dm("ada")
    await stage.sandbox.say("ada", channel, "what is open?")
    asks = stage.sandbox.wait_for(lambda: [one for one in stage.bots(channel) if ReplyAction.SIGN_IN in buttons(one)])
    return (await asks)[-1]


async def ended(stage: Stage, message: Message) -> Message:
    def over() -> list[Message]:
        answers = stage.bots(message.channel)
        return [one for one in answers if one.ts == message.ts and ReplyAction.DELETE in buttons(one)]

    return (await stage.sandbox.wait_for(over))[0]


async def link_in(stage: Stage, client: Client, message: Message) -> str:
    await client.press(message.channel, message.ts, ReplyAction.SIGN_IN)
    await stage.sandbox.wait_for(lambda: client.modal)
    assert client.modal is not None
    return str(_find(list(client.modal.blocks), "link")["url"])


def _find(value: Any, kind: str) -> Any:
    if isinstance(value, dict):
        if value.get("type") == kind:
            return value
        value = list(value.values())
    found = (_find(one, kind) for one in value) if isinstance(value, list) else ()
    return next(filter(None, found), None)


async def test_member_signs_in_and_the_same_answer_goes_on_with_their_account(stage: Stage, jira: SignInServer) -> None:
    ada = stage.sandbox.client("ada")
    message = await asked_to_sign_in(stage)
    assert texts.accounts.wants_sign_in("jira") in shown(message)
    address = await jira.visit(await link_in(stage, ada, message))
    assert await ada.submit({"address": address}) == {}
    answer = await ended(stage, message)
    assert shown(answer).startswith("Found it.")
    assert texts.accounts.signed_in_message("jira") in shown(answer)
    results = results_in(stage.vendor.requests[-1])
    assert "You are ada." in results[-1]


async def nothing_tells(caplog: pytest.LogCaptureFixture, vendor: VendorServer, stores: Stores, *secrets: str) -> None:
    """Checks that no debug log, prompt, table or object's repr has a token, a code or another secret in clear."""
    logged = [*map(logging.Formatter().format, (one for one in caplog.records if one.name.startswith("bot.")))]
    ours = [one for one in gc.get_objects() if str(type(one).__module__).startswith(("bot.", "handlers."))]
    shown = [*logged, *(json.dumps(request.body) for request in vendor.requests), await dump_of(stores)]
    assert logged
    assert not [one for one in shown for secret in ("canary", *secrets) if secret in one]
    # Of objects that other tests have left, some speak of canaries, too.
    assert not [
        one for one in map(repr, ours) for secret in ("canary-access", "canary-refresh", *secrets) if secret in one
    ]


async def verifier_in(stores: Stores) -> str:
    """Returns the secret with which the code of the sign-in under way becomes tokens (RFC 7636)."""
    async with stores.database.begin_read() as connection:
        secret = str(await connection.scalar(sa.select(schema.sign_ins.c.secret)))
    verifier: str = json.loads(Fernet(KEY).decrypt(secret))[1]["verifier"]
    return verifier


async def test_member_types_the_code_of_typists_page_where_browsers_reach_it(
    sandbox: Sandbox,
    vendor: VendorServer,
    settings: Settings,
    jira: SignInServer,
    another_process: Stores,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    be_patient()
    vendor.script(ASKS)
    port = own_port()
    url = f"http://127.0.0.1:{port}"
    assert isinstance(jira.config.transport, HttpTransport)
    transport = replace(jira.config.transport, sign_in=SignInConfig(public_url=url))
    ours = with_jira(settings, replace(jira, config=replace(jira.config, transport=transport)))
    async with running(replace(ours, public_url=url, health_at=("127.0.0.1", port))):
        stage, ada = Stage(sandbox, vendor), sandbox.client("ada")
        message = await asked_to_sign_in(stage)
        address = await jira.visit(await link_in(stage, ada, message))
        async with aiohttp.ClientSession() as browser:
            async with browser.get(address) as page:
                shown_there = await page.text()
            async with browser.get(address) as again:
                assert await again.text() == shown_there
        [code] = re.findall("[A-Z]{4}-[A-Z]{4}", shown_there)
        assert await ada.submit({"address": "BCDF-GHJK"}) == {"address": texts.accounts.CODE_IS_WRONG}
        secrets = address.rpartition("state=")[2], code, code.replace("-", ""), await verifier_in(another_process)
        await nothing_tells(caplog, vendor, another_process, *secrets)
        assert await ada.submit({"address": code}) == {}
        assert shown(await ended(stage, message)).startswith("Found it.")
        await nothing_tells(caplog, vendor, another_process, *secrets)
        async with aiohttp.ClientSession() as admin, admin.get(f"http://localhost:{port}/metrics") as metrics:
            counted = await metrics.text()
        assert 'typist_accounts_total{change="signed_in"} 1.0' in counted
        # Only the gauge of servers has their names, once the process has read which ones work.
        others = "\n".join(line for line in counted.splitlines() if not line.startswith("typist_mcp_server_up{"))
        assert not [secret for secret in ("canary", "jira", "U0ADA", *secrets) if secret in others]
        assert texts.accounts.signed_in_message("jira") in shown(await ended(stage, message))
    results = results_in(vendor.requests[-1])
    assert "You are ada." in results[-1]


async def test_member_confirms_a_code_at_a_server_that_leads_nowhere(
    sandbox: Sandbox,
    vendor: VendorServer,
    settings: Settings,
    another_process: Stores,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    be_patient()
    vendor.script(ASKS)
    async with sign_in_server(says=BY_DEVICE) as jira, running(with_jira(settings, jira)):
        stage, ada = Stage(sandbox, vendor), sandbox.client("ada")
        jira.people.interval_s = 1
        message = await asked_to_sign_in(stage)
        link = await link_in(stage, ada, message)
        [device] = jira.people.devices.values()
        assert link.endswith(f"user_code={device.user_code}")
        assert ada.modal is not None
        assert texts.accounts.device_code_instructions(device.user_code) in json.dumps(ada.modal.blocks)
        assert await ada.submit({}) == {}, "Slack waits until the person has confirmed"
        device.agreed = "ada"
        assert shown(await ended(stage, message)).startswith("Found it.")
        await nothing_tells(caplog, vendor, another_process, device.user_code)


async def test_not_now_ends_the_wait_for_a_code_that_is_confirmed_later(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings
) -> None:
    vendor.script(by_results(calls("", (SIGN_IN, {"server": "jira"})), says("Then without it.")))
    async with sign_in_server(says=BY_DEVICE) as jira, running(with_jira(settings, jira)):
        stage, ada = Stage(sandbox, vendor), sandbox.client("ada")
        # Longer than the press may take.
        jira.people.interval_s = 30
        message = await asked_to_sign_in(stage)
        await link_in(stage, ada, message)
        assert await ada.submit({}) == {}
        await ada.press(message.channel, message.ts, ReplyAction.DENY)
        assert shown(await ended(stage, message)).startswith("Then without it.")
        [notice] = await sandbox.wait_for(lambda: sandbox.workspace.ephemerals)
        assert (notice.ephemeral_to, notice.text) == ("U0ADA", texts.accounts.NOTHING_WAITS)
        assert not jira.people.access


async def test_server_whose_tools_anybody_may_list_asks_at_the_call(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings
) -> None:
    be_patient()
    whoami = calls("", ("jira__whoami", {}))
    vendor.script(by_results(whoami, calls("", (SIGN_IN, {"server": "jira"})), whoami, says("Found it.")))
    async with sign_in_server(lists_openly=True) as jira, running(with_jira(settings, jira)):
        stage, ada = Stage(sandbox, vendor), sandbox.client("ada")
        message = await asked_to_sign_in(stage)
        first, refused = vendor.requests[-2:]
        assert SIGN_IN not in json.dumps(first.body["tools"])
        assert SIGN_IN in json.dumps(refused.body["tools"])
        assert await ada.submit({"address": await jira.visit(await link_in(stage, ada, message))}) == {}
        assert shown(await ended(stage, message)).startswith("Found it.")
        results = results_in(vendor.requests[-1])
        assert results[0] == SIGN_IN_FIRST
        assert "You are ada." in results[-1]


async def test_person_whose_sign_in_lacks_a_scope_signs_in_again_with_it(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings
) -> None:
    be_patient()
    whoami, sign_in = calls("", ("jira__whoami", {})), calls("", (SIGN_IN, {"server": "jira"}))
    vendor.script(by_results(sign_in, whoami, sign_in, whoami, says("Found it.")))
    async with sign_in_server(scope_of_calls="write") as jira, running(with_jira(settings, jira)):
        stage, ada = Stage(sandbox, vendor), sandbox.client("ada")
        message = await asked_to_sign_in(stage)
        first = values_of(message, ReplyAction.SIGN_IN)
        assert await ada.submit({"address": await jira.visit(await link_in(stage, ada, message))}) == {}

        def asking_again() -> list[Message]:
            return [
                one for one in stage.bots(message.channel) if values_of(one, ReplyAction.SIGN_IN) not in ([], first)
            ]

        (message,) = await sandbox.wait_for(asking_again)
        assert await ada.submit({"address": await jira.visit(await link_in(stage, ada, message))}) == {}
        assert shown(await ended(stage, message)).startswith("Found it.")
        results = results_in(vendor.requests[-1])
        assert results[1] == SCOPE_FIRST
        assert "You are ada." in results[-1]


async def test_many_presses_of_sign_in_at_once_open_one_modal(
    stage: Stage, another_process: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    await let_use(another_process, "jira")
    usual, may_open, begun = SignIns.begin, asyncio.Event(), list[Owner]()

    async def opened(self: SignIns, owner: Owner, call: str, scope: str = "") -> SignInLinks:
        begun.append(owner)
        await may_open.wait()
        return await usual(self, owner, call, scope)

    monkeypatch.setattr(SignIns, "begin", opened)
    ada = stage.sandbox.client("ada")
    card = await asking(stage, await stage.mention("what is open?"))
    presses = [asyncio.create_task(ada.press(card.channel, card.ts, ReplyAction.SIGN_IN)) for _ in range(20)]
    await stage.sandbox.wait_for(lambda: sum(one.done() for one in presses) == 19)
    may_open.set()
    await asyncio.gather(*presses)
    assert ada.modal is not None
    assert len(begun) == 1


async def test_forged_press_that_approves_without_a_sign_in_is_refused(stage: Stage) -> None:
    message = await asked_to_sign_in(stage)
    stage.vendor.script(by_results(calls("", (SIGN_IN, {"server": "jira"})), says("Then without it.")))
    [value] = values_of(message, ReplyAction.SIGN_IN)
    ada, told = stage.sandbox.client("ada"), stage.sandbox.workspace.ephemerals
    for forged in (ReplyAction.ALLOW_IN_THREAD, ReplyAction.APPROVE):
        assert await ada.press(message.channel, message.ts, forged, value)
        assert (await stage.sandbox.wait_for(lambda: told))[-1].text == texts.approvals.NOTHING_TO_DECIDE
    await ada.press(message.channel, message.ts, ReplyAction.DENY, value)
    answer = await ended(stage, message)
    assert shown(answer).startswith("Then without it.")
    assert texts.accounts.signed_in_message("jira") not in shown(answer)
    assert "jira__whoami" not in tools_in(stage.vendor.requests[-1])


@pytest.mark.bot(admins=frozenset(["U0GRACE"]))
async def test_call_in_a_channel_asks_the_accounts_owner_alone(
    stage: Stage, jira: SignInServer, another_process: Stores
) -> None:
    await let_use(another_process, "jira")
    ada = stage.sandbox.client("ada")
    asked = await stage.mention("what is open?")
    signing_in = await asking(stage, asked)
    assert await press(stage, signing_in, ReplyAction.SIGN_IN, "grace") == texts.actions.only_asker_agrees("U0ADA")
    address = await jira.visit(await link_in(stage, ada, signing_in))
    assert await ada.submit({"address": address}) == {}
    wanted = stage.sandbox.wait_for(lambda: [one for one in stage.bots("general", asked) if "Whoami?" in shown(one)])
    [calling] = await wanted
    assert texts.approvals.acts_as(["jira"], is_asker=True).strip() in shown(calling)
    assert ReplyAction.ALLOW_ALWAYS not in buttons(calling)
    for action in (ReplyAction.APPROVE, ReplyAction.ARGUMENTS):
        assert await press(stage, calling, action, "grace") == texts.approvals.ONLY_ACCOUNTS_OWNER
    assert await press(stage, calling, ReplyAction.APPROVE) is None
    answer = await ended_in(stage, asked)
    assert shown(answer).startswith("Found it.")
    results = results_in(stage.vendor.requests[-1])
    assert "You are ada." in results[-1]
    # What Ada's account found is in no prompt of another person's question, and Grace has no tool of Ada's.
    stage.vendor.script(says("Nothing."))
    await stage.sandbox.say("grace", "general", "@typist and mine?", thread_ts=asked)
    await stage.answers("general", asked, 2)
    last = stage.vendor.requests[-1]
    assert "You are ada" not in json.dumps(last.body)
    assert "jira__whoami" not in tools_in(last)


async def test_admin_may_deny_a_call_with_anothers_account(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings, jira: SignInServer, another_process: Stores
) -> None:
    vendor.script(ASKS)
    async with running(replace(with_jira(settings, jira), admins=frozenset(["U0GRACE"]))):
        stage, ada = Stage(sandbox, vendor), sandbox.client("ada")
        await let_use(another_process, "jira")
        asked = await stage.mention("what is open?")
        await ada.submit({"address": await jira.visit(await link_in(stage, ada, await asking(stage, asked)))})
        wanted = sandbox.wait_for(lambda: [one for one in stage.bots("general", asked) if "Whoami?" in shown(one)])
        assert await press(stage, (await wanted)[0], ReplyAction.DENY, "grace") is None
        await ended_in(stage, asked)
        assert "You are ada" not in json.dumps(vendor.requests[-1].body)


def runs_with_account(request: VendorRequest) -> VendorResponse:
    """Proposes a schedule that needs the asker's account, and in its runs asks Jira who they are."""
    results = results_in(request)
    if "every weekday" in json.dumps(request.body["messages"][-1]):
        return calls("", (SCHEDULE, {"words": TICKETS, "cron": "0 9 * * 1-5", "accounts": ["jira"]}))
    return says(f"I read: {results[-1]}") if results else calls("", ("jira__whoami", {}))


async def has_signed_in(stores: Stores, jira: SignInServer, user_id: str = "U0ADA", team_id: str = TEAM_ID) -> SignIns:
    """Signs a person in to Jira beside the bot."""
    ours, owner = SignIns(stores.accounts, (KEY,), (jira.config,), stores.clock), Owner(team_id, user_id, "jira")
    assert await ours.complete(owner, "1 x", await jira.visit((await ours.begin(owner, "1 x")).url)) == ""
    return ours


@pytest.mark.bot(on_disk=True, admins=frozenset({"U0GRACE"}))
@pytest.mark.usefixtures("with_frequent_looks")
async def test_schedule_runs_with_its_creators_account_until_the_sign_in_ends(
    stage: Stage, jira: SignInServer, another_process: Stores
) -> None:
    await let_use(another_process, "jira")
    ours = await has_signed_in(another_process, jira)
    stage.vendor.script(runs_with_account)
    asked = await stage.mention("every weekday, list my tickets")
    card = await asking(stage, asked)
    assert "I'll use your own jira account. Everyone here will see what I find." in shown(card)
    assert await press(stage, card, ReplyAction.APPROVE, "grace") == texts.actions.only_asker_agrees("U0ADA")
    assert await press(stage, card, ReplyAction.APPROVE) is None
    assert "Created schedule" in shown(await ended_in(stage, asked))
    [schedule] = await another_process.schedules.all(TEAM_ID)
    await run(another_process, schedule)
    assert "You are ada." in (await answers(stage, await posted(stage)))[0]
    assert READ_CHANNEL not in json.dumps(stage.vendor.requests[-1].body["tools"])
    # The server has ended the sign-in: this run learns it, and the next one isn't made.
    jira.people.access.clear()
    jira.people.refresh.clear()
    await run(another_process, schedule)
    assert "You are" not in (await answers(stage, await posted(stage, 2)))[0]
    await run(another_process, schedule)
    in_channel, _ = await pause_notices(stage, "general", stage.sandbox.dm("ada"))
    assert texts.schedules.PAUSE_REASONS[PauseReason.SIGNED_OUT] in in_channel.text
    assert buttons(in_channel) == [ScheduleAction.RESUME, ScheduleAction.STOP]
    refused = texts.schedules.sign_in_needed("jira", "<@U0ADA>")
    for user in ("ada", "grace"):
        assert await press(stage, in_channel, ScheduleAction.RESUME, user, str(schedule.id)) == refused
    await has_signed_in(another_process, jira)
    resumed = texts.schedules.SCHEDULE_PRESSED[ScheduleAction.RESUME]
    assert await press(stage, in_channel, ScheduleAction.RESUME, value=str(schedule.id)) == resumed
    await ours.close()


async def test_member_signs_out_where_they_see_their_accounts(stage: Stage, jira: SignInServer) -> None:
    ada = stage.sandbox.client("ada")
    message = await asked_to_sign_in(stage)
    await ada.command(message.channel, "/typist accounts")
    assert ada.modal is None
    await ada.submit({"address": await jira.visit(await link_in(stage, ada, message))})
    await ended(stage, message)
    assert texts.accounts.YOUR_ACCOUNTS in await home_with(stage, "ada", "jira, since ")
    grace = stage.sandbox.client("grace")
    await grace.command("general", "/typist accounts")
    assert grace.modal is None
    await ada.command(message.channel, "/typist accounts")
    assert ada.modal is not None
    [boxes] = ada.modal.blocks
    [option] = boxes["element"]["options"]
    assert option["text"]["text"].startswith("jira, since ")
    assert option["text"]["text"].endswith(" (read)")
    assert await ada.submit({"kept": ["jira"]}) == {}
    assert jira.people.access
    await ada.command(message.channel, "/typist accounts")
    assert await ada.submit({"kept": []}) == {}
    out = texts.accounts.signed_out_message("jira")
    await stage.sandbox.wait_for(lambda: [one for one in stage.bots(stage.sandbox.dm("ada")) if one.text == out])
    await stage.sandbox.wait_for(lambda: not jira.people.access and not jira.people.refresh)
    await asked_to_sign_in(stage)


@pytest.mark.bot(admins=frozenset(["U0GRACE"]))
async def test_owner_allows_reading_for_a_thread_until_they_sign_out(
    stage: Stage, jira: SignInServer, in_bots_time: Stores
) -> None:
    await let_use(in_bots_time, "jira")
    ours = await has_signed_in(in_bots_time, jira)
    await has_signed_in(in_bots_time, jira, "U0ALAN")
    whoami = calls("", ("jira__whoami", {}))
    stage.vendor.script(by_results(whoami, whoami, says("Found it.")))
    asked = await stage.mention("what is open?")
    calling = await asking(stage, asked)
    for user in ("grace", "alan"):
        refused = await press(stage, calling, ReplyAction.ALLOW_IN_THREAD, user)
        assert refused == texts.approvals.ONLY_ACCOUNTS_OWNER
    assert await press(stage, calling, ReplyAction.ALLOW_IN_THREAD) is None
    # The second call isn't asked about.
    assert texts.approvals.decision_text("call", "in_thread", 1, "Ada", is_only_one=True) in shown(
        await ended_in(stage, asked)
    )
    results = results_in(stage.vendor.requests[-1])
    assert ["You are ada." in result for result in results] == [True, True]

    async def reads_unasked(number: int, user: str = "ada") -> bool:
        """Asks once more; returns whether the answer ends without an approval."""
        await stage.sandbox.say(user, "general", "@typist and now?", thread_ts=asked)

        def newest() -> list[Message]:
            newer = [one for one in stage.bots("general", asked) if buttons(one)][number - 1 :]
            return [one for one in newer if {ReplyAction.DENY, ReplyAction.DELETE} & {*buttons(one)}]

        [answer] = await stage.sandbox.wait_for(newest)
        if ReplyAction.DENY not in buttons(answer):
            return True
        assert await press(stage, answer, ReplyAction.DENY, user) is None
        return False

    assert await reads_unasked(2)
    elsewhere = await stage.mention("what is open?")
    assert await press(stage, await asking(stage, elsewhere), ReplyAction.DENY) is None
    assert await ours.sign_out(Owner(TEAM_ID, "U0ADA", "jira"))
    await has_signed_in(in_bots_time, jira)
    assert not await reads_unasked(3)
    assert not await reads_unasked(4, "alan")
    await ours.close()


@pytest.mark.bot(admins=frozenset(["U0GRACE"]))
async def test_admin_sees_how_many_are_signed_in_and_signs_everybody_out(
    stage: Stage, jira: SignInServer, another_process: Stores
) -> None:
    for user_id in ("U0ADA", "U0ALAN"):
        await has_signed_in(another_process, jira, user_id)
    await has_signed_in(another_process, jira, "U0ADA", "T0OTHER")
    ada, grace = stage.sandbox.client("ada"), stage.sandbox.client("grace")
    await ada.command("general", "/typist accounts")
    assert ada.modal is not None
    assert "Everybody" not in json.dumps(ada.modal.blocks)
    await grace.command("general", "/typist accounts")
    assert grace.modal is not None
    [boxes] = grace.modal.blocks
    assert boxes["element"]["options"][0]["text"]["text"] == "jira: 2 people"
    assert not [word for word in ("U0ADA", "Ada", "canary") if word in json.dumps(boxes)]
    assert await grace.submit({"everybody": ["jira"]}) == {}
    # A forged form of somebody who isn't an admin.
    ada.modal.content["blocks"] = [boxes]
    assert await ada.submit({"everybody": []}) == {}
    assert len(jira.people.access) == 3
    await grace.command("general", "/typist accounts")
    assert await grace.submit({"everybody": []}) == {}
    done = texts.accounts.everybody_signed_out("jira", 2, 0)
    told = stage.sandbox.dm("grace")
    await stage.sandbox.wait_for(lambda: [one for one in stage.bots(told) if done in one.text])
    await stage.sandbox.wait_for(lambda: len(jira.people.access) == len(jira.people.refresh) == 1)
    assert await another_process.accounts.counts_by_server(TEAM_ID) == {}
    assert await another_process.accounts.counts_by_server("T0OTHER") == {"jira": 1}


async def test_address_in_a_message_is_used_for_nothing_and_never_read_again(
    stage: Stage, jira: SignInServer, another_process: Stores
) -> None:
    ada = stage.sandbox.client("ada")
    message = await asked_to_sign_in(stage)
    address = await jira.visit(await link_in(stage, ada, message))
    await ada.close()

    async def says_here(sentence: str, channel: str, thread: str | None = None) -> None:
        await stage.sandbox.wait_for(lambda: [one for one in stage.bots(channel, thread) if sentence in shown(one)])

    await stage.sandbox.say("ada", message.channel, f"here: {address}")
    await says_here(texts.accounts.PASTED_IN_MESSAGE, message.channel)
    assert not jira.people.access
    stage.vendor.script(by_results(calls("", (READ_CHANNEL, {})), says("I see.")))
    await stage.sandbox.say("ada", message.channel, "and now?")
    await says_here("I see.", message.channel)
    await stage.sandbox.say("ada", message.channel, f"what does {texts.accounts.SIGN_IN_URL_REMOVED} mean?")
    await stage.sandbox.wait_for(lambda: sum("I see." in shown(one) for one in stage.bots(message.channel)) == 2)
    await stage.sandbox.say("ada", message.channel, f"remember that my page is {address}")
    await says_here("Remembered", message.channel)
    # Another person's post, and an edited question.
    await stage.sandbox.say("grace", "general", f"here: {address}")
    asked = await stage.mention("what was said?")
    await says_here("I see.", "general", asked)
    await stage.sandbox.edit("general", asked, f"@typist what is {address}?")
    await says_here(texts.accounts.PASTED_IN_MESSAGE, "general", asked)
    await stage.sandbox.say("grace", "general", "@typist and what is it?", thread_ts=asked)
    await says_here("I see.", "general", asked)
    requests, gone = [json.dumps(request.body) for request in stage.vendor.requests], texts.accounts.SIGN_IN_URL_REMOVED
    # Only the prompt of a new thread, before the channel is read, has none.
    assert [gone in request for request in requests][-5:] == [True, False, True, True, True]
    dump = await dump_of(another_process)
    assert f"my page is {gone}" in dump
    assert not [one for one in (*requests, dump) if "canary" in one]


async def test_person_reads_why_a_sign_in_failed_and_may_try_again(stage: Stage, jira: SignInServer) -> None:
    ada = stage.sandbox.client("ada")
    message = await asked_to_sign_in(stage)
    address = await jira.visit(await link_in(stage, ada, message))
    jira.people.codes.clear()
    assert await ada.submit({"address": address}) == {}
    [notice] = await stage.sandbox.wait_for(lambda: stage.sandbox.workspace.ephemerals)
    refused = "the code is too old, or used already"
    assert (notice.ephemeral_to, notice.text) == ("U0ADA", texts.accounts.sign_in_failed("jira", refused))
    assert await ada.submit({"address": await jira.visit(await link_in(stage, ada, message))}) == {}
    await ended(stage, message)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ((KEY,), "I'll ask each person to sign in to jira when they first need it."),
        ((), texts.settings.server_down("jira", DOWN_NO_SIGN_IN)),
    ],
    ids=["people can sign in", "nobody can"],
)
async def test_settings_call_a_server_broken_only_if_nobody_can_sign_in(
    sandbox: Sandbox,
    vendor: VendorServer,
    settings: Settings,
    jira: SignInServer,
    another_process: Stores,
    keys: tuple[str, ...],
    said: str,
) -> None:
    be_patient()
    vendor.script(says("Hi."))
    await let_use(another_process, "jira")
    with_keys = replace(with_jira(settings, jira), secret_keys=keys, admins=frozenset({"U0GRACE"}))
    async with running(with_keys):
        stage, grace = Stage(sandbox, vendor), sandbox.client("grace")
        # An answer waits until the server has been asked, and a modal doesn't.
        await stage.answers("general", await stage.mention())
        await grace.command("general", "/typist model")
        assert grace.modal is not None
        below = [block["elements"][0]["text"] for block in grace.modal.blocks if block["type"] == "context"]
        assert [text for text in below if "jira" in text] == [said]
        assert "HTTP 401" not in str(below)


async def test_reading_that_a_found_text_asks_for_asks_the_owner_and_says_why(
    stage: Stage, jira: SignInServer, in_bots_time: Stores
) -> None:
    await let_use(in_bots_time, "jira")
    ours = await has_signed_in(in_bots_time, jira)
    whoami, salary = calls("", ("jira__whoami", {})), calls("", ("jira__whoami", {"of": "salary"}))
    stage.vendor.script(by_results(whoami, salary, says("Found it.")))
    asked = await stage.mention("what is open?")
    assert await press(stage, await asking(stage, asked), ReplyAction.ALLOW_IN_THREAD) is None
    [calling] = await stage.sandbox.wait_for(
        lambda: [one for one in stage.bots("general", asked) if "salary" in shown(one)]
    )
    assert texts.approvals.asking_reasons_text(("not_asked", "found"), ["“Whoami” (jira)"]).strip() in shown(calling)
    assert {ReplyAction.APPROVE, ReplyAction.ALLOW_IN_THREAD} & {*buttons(calling)} == {ReplyAction.APPROVE}
    assert await press(stage, calling, ReplyAction.DENY) is None
    await ended_in(stage, asked)
    await ours.close()
