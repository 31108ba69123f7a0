"""Accounts at MCP servers, on both databases and over real HTTP: sign-ins, refreshes, and what lies about them."""

import asyncio
import gc
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import sqlalchemy as sa
from aiohttp import web
from mcp.shared.auth import OAuthClientInformationFull
from pydantic import AnyUrl

from bot.accounts import connections, oauth, sign_in_servers
from bot.accounts.connections import Connections
from bot.accounts.oauth import (
    AuthorizationServer,
    Client,
    SignInFailed,
    Tokens,
    configured_client_id,
    discover,
    exchange_code,
    refresh,
    request_device_code,
)
from bot.accounts.sign_ins import SignIns
from bot.accounts.vault import Vault
from bot.core import texts
from bot.core.calls import SIGN_IN, ToolUse
from bot.core.conversation import Question, ThreadKey
from bot.core.schedules import Proposal, Rule
from bot.errors import StoreError
from bot.mcp.config import HttpTransport, McpSetup, ServerConfig, SignInConfig
from bot.mcp.server import open_servers
from bot.mcp.tools import NOT_SIGNED_IN, McpTools
from bot.services.operations import Probes, serving
from bot.store import Stores, schema
from bot.store.accounts import REFRESH_S, Owner, read_secrets
from tests.clocks import InstantClock, ManualClock, SteppedClock
from tests.contracts.databases import Process, dump_of
from tests.mcp.flood import served
from tests.mcp.sign_in_server import BY_DEVICE, Device, SignInServer, sign_in_server

OLD_KEY, KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", "YWJjZGVmZ2hpamFiY2RlZmdoaWphYmNkZWZnaGlqYWI="
ADA, CALL = Owner("T1", "U1", "jira"), "7 0.0.0.abc"
ASKED = Question(ThreadKey("T1", "D1", None), "1.0", "U1", "who?")


@pytest.fixture
async def jira() -> AsyncIterator[SignInServer]:
    async with sign_in_server() as server:
        yield server


def sign_ins(
    stores: Stores,
    *servers: ServerConfig,
    keys: tuple[str, ...] = (KEY,),
    revoked: Callable[[Owner], None] = lambda _: None,
) -> SignIns:
    return SignIns(stores.accounts, keys, servers, stores.clock, on_revocation=revoked)


async def signed_in(ours: SignIns, jira: SignInServer, owner: Owner = ADA, person: str = "ada") -> None:
    address = await jira.visit((await ours.begin(owner, CALL)).url, person)
    assert await ours.entry_problem(owner, CALL, address) == ""
    assert await ours.complete(owner, CALL, address) == ""


async def test_address_is_for_its_person_server_and_call_alone(timed: Stores, jira: SignInServer) -> None:
    ours = sign_ins(timed, jira.config, replace(jira.config, name="other"))
    address = await jira.visit((await ours.begin(ADA, CALL)).url)
    stranger, elsewhere, other = replace(ADA, user_id="U2"), replace(ADA, team_id="T2"), replace(ADA, server="other")
    for owner, call in ((stranger, CALL), (elsewhere, CALL), (other, CALL), (ADA, "8 0.0.0.abc"), (ADA, "schedule 7")):
        is_others = owner.server == "other"
        refused = texts.accounts.NOT_THE_ADDRESS if is_others else texts.accounts.ADDRESS_IS_OLD
        assert await ours.entry_problem(owner, call, address) == refused
        assert await ours.complete(owner, call, address) == texts.accounts.ADDRESS_IS_OLD
        assert await ours.access_token(owner) is None
    # It's still good for the person themselves.
    assert await ours.complete(ADA, CALL, address) == ""
    assert await ours.access_token(ADA) == "canary-access-ada-2"


async def test_address_works_once_within_ten_minutes_and_for_the_newest_link(
    timed: Stores, clock: ManualClock, jira: SignInServer
) -> None:
    ours = sign_ins(timed, jira.config)
    first = await jira.visit((await ours.begin(ADA, CALL)).url)
    second = await jira.visit((await ours.begin(ADA, CALL)).url)
    assert await ours.complete(ADA, CALL, first) == texts.accounts.ADDRESS_IS_OLD
    clock.now_s += 601
    assert await ours.complete(ADA, CALL, second) == texts.accounts.ADDRESS_IS_OLD
    third = await jira.visit((await ours.begin(ADA, CALL)).url)
    assert [await ours.complete(ADA, CALL, third) for _ in range(2)] == ["", texts.accounts.ADDRESS_IS_OLD]


CHANGES: Sequence[tuple[Callable[[str], str], str]] = [
    (lambda address: address.replace("127.0.0.1", "127.0.0.2"), texts.accounts.NOT_THE_ADDRESS),
    (lambda address: address.replace("47823", "47824"), texts.accounts.NOT_THE_ADDRESS),
    (lambda address: address.replace("/callback-jira", "/callback"), texts.accounts.NOT_THE_ADDRESS),
    (lambda address: address.replace("/callback-jira", "/callback-other"), texts.accounts.NOT_THE_ADDRESS),
    (lambda address: address.replace("/callback", "/callback-x"), texts.accounts.NOT_THE_ADDRESS),
    (lambda address: address.replace("http:", "https:"), texts.accounts.NOT_THE_ADDRESS),
    (lambda address: address.replace("http://", "http://ada@"), texts.accounts.NOT_THE_ADDRESS),
    (lambda address: f"{address}&code=other", texts.accounts.NOT_THE_ADDRESS),
    (lambda address: "what is open?", texts.accounts.NOT_THE_ADDRESS),
    (lambda address: "http://[", texts.accounts.NOT_THE_ADDRESS),
    (lambda address: f"{address.partition('?')[0]}?code=x", texts.accounts.ADDRESS_IS_OLD),
    (lambda address: address.replace("code=", "error=access_denied&x="), texts.accounts.DENIED_THERE),
    (lambda address: address.replace("code=", "error="), texts.accounts.browser_error_text("")),
    (lambda address: f" {address.removeprefix('http://')}\n", ""),
]


async def test_only_the_address_to_which_a_sign_in_leads_is_used(timed: Stores, jira: SignInServer) -> None:
    ours = sign_ins(timed, jira.config)
    for change, sentence in CHANGES:
        address = change(await jira.visit((await ours.begin(ADA, CALL)).url))
        assert await ours.entry_problem(ADA, CALL, address) == sentence, address
        assert bool(await ours.complete(ADA, CALL, address)) == bool(sentence), address


async def test_address_of_another_issuer_gets_no_token(timed: Stores, jira: SignInServer) -> None:
    ours = sign_ins(timed, jira.config)
    address = await jira.visit((await ours.begin(ADA, CALL)).url)
    said = await ours.complete(ADA, CALL, f"{address}&iss=https://other.example")
    assert said == texts.accounts.sign_in_failed("jira", "the URL is from another server")
    assert not jira.people.access


PUBLIC = "https://typist.example"


def public(server: ServerConfig) -> ServerConfig:
    assert isinstance(server.transport, HttpTransport)
    sign_in = replace(server.transport.sign_in, public_url=PUBLIC)
    return replace(server, transport=replace(server.transport, sign_in=sign_in))


async def test_code_of_typists_page_completes_a_sign_in_once_for_its_person_and_call(
    process: Process, clock: ManualClock, jira: SignInServer
) -> None:
    config = public(jira.config)
    begins, serves = [sign_ins(await process(name, clock), config) for name in ("w1", "w2")]
    link = (await begins.begin(ADA, CALL)).url
    address = await jira.visit(link)
    page, _, query = address.partition("?")
    assert page == f"{PUBLIC}/oauth/callback-jira"
    # The browser reaches any process, and a person may load the page again.
    sentence, code = await serves.on_redirect(query, "jira")
    assert sentence == texts.accounts.TYPE_CODE
    assert await begins.on_redirect(query, "jira") == (texts.accounts.TYPE_CODE, code)
    for other in (f"{query}x", query.replace("code=", "code=x")):
        assert await begins.on_redirect(other, "jira") == (texts.accounts.LINK_IS_OLD, "")
    state = query.rpartition("state=")[2]
    # Who forwards a link to a victim knows it and its state, but not what the victim's browser shows.
    entered = [(ADA, CALL, wrong) for wrong in ("", link, state, address, query, "BCDF-GHJK", "A" * 3_000)]
    entered += [(replace(ADA, user_id="U2"), CALL, code), (replace(ADA, team_id="T2"), CALL, code), (ADA, "8 0", code)]
    for owner, call, entry in entered:
        assert await begins.entry_problem(owner, call, entry) == texts.accounts.CODE_IS_WRONG
        assert await begins.complete(owner, call, entry) == texts.accounts.CODE_IS_WRONG
    assert not jira.people.access
    typed = f" {code[:4].lower()}-{code[4:]}\n"
    assert await begins.entry_problem(ADA, CALL, typed) == ""
    assert [await begins.complete(ADA, CALL, typed) for _ in range(2)] == ["", texts.accounts.CODE_IS_WRONG]
    assert await begins.on_redirect(query, "jira") == (texts.accounts.LINK_IS_OLD, "")
    assert (await begins.access_token(ADA) or "").startswith("canary-access-ada")


async def test_page_takes_what_a_browser_brings_once_and_in_time(
    timed: Stores, clock: ManualClock, jira: SignInServer
) -> None:
    ours = sign_ins(timed, public(jira.config))
    query = (await jira.visit((await ours.begin(ADA, CALL)).url)).partition("?")[2]
    state = query.rpartition("state=")[2]
    for wrong in ("", "x", f"state={state}", f"{query}&state=x", f"{query}&code=x", "code=x&state=x", "&" * 8_000):
        assert await ours.on_redirect(wrong, "jira") == (texts.accounts.LINK_IS_OLD, ""), wrong
    assert await ours.on_redirect(f"error=access_denied&state={state}", "jira") == (texts.accounts.NOT_GRANTED, "")
    assert await ours.on_redirect(f"error=server_error&state={state}", "jira") == (
        texts.accounts.browser_error_text("its authorization server failed (server_error)"),
        "",
    )
    # A server that isn't in the file anymore, and a Typist that has lost its address.
    for other in (sign_ins(timed), sign_ins(timed, jira.config)):
        assert await other.on_redirect(query, "jira") == (texts.accounts.LINK_IS_OLD, "")
    # Another server's page, and the one of clients that somebody has registered (RFC 9700, 4.4).
    for named in ("", "other"):
        assert await ours.on_redirect(query, named) == (texts.accounts.LINK_IS_OLD, "")
    first, code = await ours.on_redirect(query, "jira")
    assert first == texts.accounts.TYPE_CODE
    clock.now_s += 601
    assert await ours.complete(ADA, CALL, code) == texts.accounts.CODE_IS_WRONG
    late = (await jira.visit((await ours.begin(ADA, CALL)).url)).partition("?")[2]
    clock.now_s += 601
    assert await ours.on_redirect(late, "jira") == (texts.accounts.LINK_IS_OLD, "")


async def test_page_of_another_issuer_gets_no_token_and_no_secret_is_in_clear(
    timed: Stores, jira: SignInServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "bot")
    ours = sign_ins(timed, public(jira.config))
    query = (await jira.visit((await ours.begin(ADA, CALL)).url)).partition("?")[2]
    refused = texts.accounts.browser_error_text(texts.accounts.FROM_ANOTHER_SERVER), ""
    assert await ours.on_redirect(f"{query}&iss=https://other.example", "jira") == refused
    dump, state = await dump_of(timed), query.rpartition("state=")[2]
    assert not jira.people.access
    _, code = await ours.on_redirect(query, "jira")
    assert await ours.complete(ADA, CALL, code) == "", "somebody else's address leaves the sign-in as it is"
    shown = [dump, *map(logging.Formatter().format, caplog.records)]
    assert not [one for one in shown for word in ("canary", state, code) if word in one]


async def test_pasted_address_of_another_issuer_leaves_the_sign_in_as_it_is(timed: Stores, jira: SignInServer) -> None:
    ours = sign_ins(timed, jira.config)
    address = await jira.visit((await ours.begin(ADA, CALL)).url)
    pasted = await ours.complete(ADA, CALL, f"{address}&iss=https://other.example")
    assert pasted == texts.accounts.sign_in_failed("jira", texts.accounts.FROM_ANOTHER_SERVER)
    assert await ours.complete(ADA, CALL, address) == ""


@pytest.mark.parametrize(
    "stated", ["https://a.example", "https://a.example/", " https://A.example:443 ", "HTTPS://a.example/"]
)
def test_issuer_is_the_same_however_its_url_is_written(stated: str) -> None:
    assert oauth.is_same_issuer(stated, "https://a.example/")
    assert not oauth.is_same_issuer(stated, "https://a.example/tenant")


@pytest.mark.long(after_row=1)
async def test_two_processes_spend_each_refresh_token_once(
    process: Process, clock: ManualClock, jira: SignInServer
) -> None:
    first, second = [sign_ins(await process(name, clock), jira.config) for name in ("w1", "w2")]
    owners = [replace(ADA, user_id=f"U{number}") for number in range(3)]
    for owner in owners:
        await signed_in(first, jira, owner, owner.user_id)
    for _ in range(3):
        clock.now_s += 3_600
        asked = [(owner, ours) for owner in owners for ours in (first, second) * 3]
        tokens = await asyncio.gather(*(ours.access_token(owner) for owner, ours in asked))
        for (owner, _ours), token in zip(asked, tokens, strict=True):
            assert token is not None
            held = jira.people.access[token]
            assert held.subject == owner.user_id
        assert len(set(tokens)) == len(owners)
    assert len(jira.people.spent) == len(set(jira.people.spent)) == 3 * len(owners)


async def test_refused_token_is_refreshed_and_a_refused_refresh_ends_the_account(
    timed: Stores, jira: SignInServer
) -> None:
    ours = sign_ins(timed, jira.config)
    await signed_in(ours, jira)
    token = await ours.access_token(ADA)
    assert token is not None
    assert await ours.access_token(ADA) == token
    new = await ours.access_token(ADA, token)
    assert new not in (None, token)
    jira.people.refresh.clear()
    assert await ours.access_token(ADA, str(new)) is None
    assert await timed.accounts.by_server("T1", "U1") == {}


async def is_told(stores: Stores) -> None:
    """Checks that Ada is told once that her sign-in has ended."""
    [one] = await stores.notifications.claim_due(9, ())
    assert (one.recipient, one.content["text"]) == ("U1", texts.accounts.sign_in_ended("jira"))
    await stores.notifications.complete(one)


async def test_person_is_told_once_that_a_server_did_not_renew_their_sign_in(
    process: Process, clock: ManualClock, jira: SignInServer
) -> None:
    stores = [await process(name, clock) for name in ("w1", "w2")]
    both = [sign_ins(one, jira.config) for one in stores]
    await stores[0].question_queue.enqueue("Ev1", ASKED)
    await signed_in(both[0], jira)
    clock.now_s += 3_600
    jira.people.is_down = True
    with pytest.raises(SignInFailed):
        await both[0].access_token(ADA, "", ASKED)
    assert await stores[0].outbox.claim_due(9) == []
    jira.people.is_down = False
    jira.people.refresh.clear()
    assert await asyncio.gather(*(ours.access_token(ADA, "", ASKED) for ours in both * 3)) == [None] * 6
    await is_told(stores[1])
    # Where a schedule pauses for it, its notice says so.
    await signed_in(both[0], jira)
    clock.now_s += 3_600
    jira.people.refresh.clear()
    assert not any(await asyncio.gather(*(ours.is_signed_in(ADA) for ours in both * 3)))
    # A sign-out tells nobody.
    await signed_in(both[0], jira)
    assert await both[1].sign_out(ADA)
    assert await both[0].access_token(ADA, "", ASKED) is None
    assert await stores[0].outbox.claim_due(9) == []
    for ours in both:
        await ours.close()


@pytest.mark.parametrize("commits", [False, True])
async def test_person_is_told_of_an_ended_sign_in_although_a_process_died_as_it_recorded_the_end(
    process: Process, clock: ManualClock, jira: SignInServer, commits: bool
) -> None:
    dying, other = [await process(name, clock) for name in ("w1", "w2")]
    end = dying.accounts.delete_account

    async def dies(*arguments: Any, **options: Any) -> bool:
        if commits:
            await end(*arguments, **options)
        raise asyncio.CancelledError

    setattr(dying.accounts, "delete_account", dies)  # noqa: B010
    await other.question_queue.enqueue("Ev1", ASKED)
    await signed_in(sign_ins(dying, jira.config), jira)
    clock.now_s += 3_600
    jira.people.refresh.clear()
    with pytest.raises(asyncio.CancelledError):
        await sign_ins(dying, jira.config).access_token(ADA, "", ASKED)
    clock.now_s += 31
    assert await sign_ins(other, jira.config).access_token(ADA, "", ASKED) is None
    await is_told(other)


@pytest.mark.parametrize(
    ("lives_s", "keeps_access", "later_s", "refreshes"),
    [
        (1, False, 0, 0),
        (30, False, 14, 0),
        (30, False, 16, 1),
        (1, False, 1, 1),
        (1, True, 9, 1),
        (0, False, 9, 0),
        (-5, False, 9, 0),
        (10**400, False, 9, 0),
        (None, False, 10**9, 0),
    ],
)
@pytest.mark.long(after_row=3)
async def test_token_is_refreshed_at_most_once_however_soon_it_ends(
    timed: Stores,
    clock: ManualClock,
    jira: SignInServer,
    lives_s: int | None,
    keeps_access: bool,
    later_s: int,
    refreshes: int,
) -> None:
    jira.people.lives_s, jira.people.keeps_access = lives_s, keeps_access
    ours = sign_ins(timed, jira.config)
    await signed_in(ours, jira)
    clock.now_s += later_s
    token = await ours.access_token(ADA)
    assert token is not None
    assert len(jira.people.spent) == refreshes
    assert (
        await ours.access_token(ADA, token) == token if keeps_access else await ours.access_token(ADA, token) != token
    )
    assert len(jira.people.spent) == refreshes + 1


async def test_change_of_an_account_is_told_for_what_shows_it(
    timed: Stores, clock: ManualClock, jira: SignInServer
) -> None:
    changed = list[str]()
    ours = SignIns(timed.accounts, (KEY,), [jira.config], clock, on_change=changed.append)
    await signed_in(ours, jira)
    assert changed == ["U1"]
    clock.now_s += 3_600
    jira.people.refresh.clear()
    assert await ours.access_token(ADA) is None, "the sign-in has ended"
    assert changed == ["U1"] * 2
    await signed_in(ours, jira)
    assert await ours.sign_out(ADA)
    assert changed == ["U1"] * 4


async def test_refresh_that_may_work_later_keeps_the_account(
    timed: Stores, clock: ManualClock, jira: SignInServer
) -> None:
    ours = sign_ins(timed, jira.config)
    await signed_in(ours, jira)
    clock.now_s += 3_600
    jira.people.is_down = True
    with pytest.raises(SignInFailed, match="HTTP 500"):
        await ours.access_token(ADA)
    jira.people.is_down = False
    assert await ours.access_token(ADA) is not None


@pytest.mark.skips_waits
async def test_refresh_is_given_up_before_another_process_may_begin_one(
    timed: Stores, clock: ManualClock, jira: SignInServer
) -> None:
    ours = sign_ins(timed, jira.config)
    await signed_in(ours, jira)
    clock.now_s += 3_600
    jira.people.refresh_takes_s = REFRESH_S / 2
    with pytest.raises(SignInFailed, match=r"127\.0\.0\.1 doesn't answer"):
        await ours.access_token(ADA)


@pytest.fixture
async def held(timed: Stores, clock: ManualClock, jira: SignInServer) -> AsyncIterator[Connections]:
    connections = Connections(sign_ins(timed, jira.config), {"jira": jira.config}, clock)
    yield connections
    await connections.close()


async def whoami(held: Connections, question: Question = ASKED) -> str:
    server = await held.asker_server(question, "jira")
    assert server is not None
    result, _ = await server.call("whoami", {}, timeout_s=10, read_only=True)
    return result.text


async def test_each_person_calls_with_their_own_account_over_a_connection_that_is_closed_later(
    timed: Stores, clock: ManualClock, jira: SignInServer, held: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MAX_OPEN", 2)
    asked = {
        name: replace(ASKED, thread=ThreadKey("T1", f"D{name}", None), user_id=name) for name in ("U1", "U2", "U3")
    }
    assert await held.asker_server(asked["U1"], "jira") is None
    assert await held.asker_server(asked["U1"], "other") is None
    for name in asked:
        await signed_in(sign_ins(timed, jira.config), jira, replace(ADA, user_id=name), name)

    async def call(name: str) -> None:
        assert await whoami(held, asked[name]) == f"You are {name}."

    await asyncio.gather(*(call(name) for name in [*asked] * 5))
    clock.now_s += 60
    await call("U3")
    assert [held.missing_scope(question, "jira") for question in asked.values()].count("") == 2
    clock.now_s += 301
    await call("U2")
    assert [held.missing_scope(question, "jira") for question in asked.values()] == [None, "", None]


@pytest.fixture
async def tools(timed: Stores, clock: ManualClock, jira: SignInServer, held: Connections) -> AsyncIterator[McpTools]:
    """Yields the tools of a server that everybody in direct messages may use, once they are signed in."""
    setup = McpSetup((jira.config,), direct_message_servers=("jira",))
    async with open_servers(setup.servers, clock) as servers:
        yield McpTools(setup, servers, timed.tool_pins.pin, timed.channel_settings.read, held)


async def test_call_with_an_own_account_is_made_with_no_other(
    timed: Stores, jira: SignInServer, tools: McpTools
) -> None:
    ours = sign_ins(timed, jira.config)
    await signed_in(ours, jira)
    [tool] = [tool for tool in (await tools.definitions(ASKED)).definitions if tool.name == "jira__whoami"]
    use = ToolUse(ASKED, tool.name, tool.definition_hash, {}, timeout_s=30, uses_own_account=tool.uses_own_account)
    assert "You are ada." in (await tools.call(use)).text
    await ours.sign_out(ADA)
    await ours.close()
    assert (await tools.call(use)).text == NOT_SIGNED_IN


@pytest.mark.parametrize("asker", ["a person", "a bot", "a run"])
async def test_sign_in_is_offered_to_people_who_are_there(tools: McpTools, asker: str) -> None:
    question = replace(ASKED, is_from_bot=asker == "a bot", schedule_id=7 if asker == "a run" else None)
    await tools.definitions(question)
    offered = [tool.name for tool in (await tools.definitions(question)).definitions]
    assert offered == ([SIGN_IN] if asker == "a person" else [])


async def test_call_that_is_about_to_begin_has_its_connection_while_tokens_are_refreshed(
    timed: Stores, clock: ManualClock, jira: SignInServer, held: Connections
) -> None:
    await signed_in(sign_ins(timed, jira.config), jira)
    before = await held.asker_server(ASKED, "jira")
    clock.now_s += 3_600
    after = await held.asker_server(ASKED, "jira")
    assert before is not after
    for server in (before, after):
        assert server is not None
        assert (await server.call("whoami", {}, timeout_s=10, read_only=True))[0].text == "You are ada."


async def test_server_that_does_not_name_where_people_sign_in_is_asked_and_its_tokens_are_refreshed(
    timed: Stores, clock: ManualClock
) -> None:
    async with sign_in_server(names_where=False) as jira:
        ours, setup = sign_ins(timed, jira.config), McpSetup((jira.config,), direct_message_servers=("jira",))
        held = Connections(ours, {"jira": jira.config}, clock)
        async with open_servers(setup.servers, clock) as servers:
            tools = McpTools(setup, servers, timed.tool_pins.pin, timed.channel_settings.read, held)
            offered = await tools.definitions(ASKED)
            assert ([tool.name for tool in offered.definitions], offered.missing_note) == ([SIGN_IN], "")
            await signed_in(ours, jira)
            for _ in range(2):
                assert await whoami(held) == "You are ada."
                jira.people.access.clear()
                assert "HTTP 401" in await whoami(held)
        await held.close()


async def test_account_that_the_server_ended_is_asked_for_again(
    timed: Stores, jira: SignInServer, held: Connections
) -> None:
    await signed_in(sign_ins(timed, jira.config), jira)
    assert await whoami(held) == "You are ada."
    jira.people.access.clear()
    refused = await whoami(held)
    assert "HTTP 401" in refused
    assert "canary" not in refused
    # The refresh token is still good.
    assert await whoami(held) == "You are ada."
    jira.people.access.clear()
    jira.people.refresh.clear()
    await whoami(held)
    assert await held.asker_server(ASKED, "jira") is None


async def test_signing_out_revokes_tokens_where_the_server_can(timed: Stores, jira: SignInServer) -> None:
    revoked = list[Owner]()
    ours = sign_ins(timed, jira.config, revoked=revoked.append)
    await signed_in(ours, jira)
    await signed_in(ours, jira, replace(ADA, user_id="U2"), "grace")
    assert await ours.sign_out(ADA)
    await ours.close()
    assert await ours.access_token(ADA) is None
    assert [token.subject for token in jira.people.access.values()] == ["grace"]
    assert [token.subject for token in jira.people.refresh.values()] == ["grace"]
    assert revoked == [ADA]
    # Once more, and for a server that isn't in the file anymore.
    assert await ours.sign_out(ADA)
    gone = replace(ADA, server="gone")
    await timed.accounts.sign_in(gone, "secret", "")
    assert await ours.sign_out(gone)
    assert await timed.accounts.by_server("T1", "U1") == {}
    assert revoked == [ADA]


async def test_admins_see_how_many_are_signed_in_and_the_audit_names_who_signed_them_out(
    timed: Stores, jira: SignInServer
) -> None:
    ours = sign_ins(timed, jira.config, replace(jira.config, name="other"))
    owners = [ADA, replace(ADA, user_id="U2"), replace(ADA, server="other"), replace(ADA, team_id="T2")]
    for owner in owners:
        await signed_in(ours, jira, owner)
    assert await timed.accounts.counts_by_server("T1") == {"jira": 2, "other": 1}
    assert await timed.accounts.owners(server="other") == owners[2:3]
    assert await timed.accounts.owners(user_id="U2") == owners[1:2]
    assert len(await timed.accounts.owners()) == len(owners)
    assert await ours.sign_out(owners[1], "U0ADMIN")
    await ours.close()
    async with timed.database.begin_read() as connection:
        entries = (await connection.execute(sa.select(schema.audit_entries))).all()
    *_, last = [row for row in entries if "account" in repr(row)]
    assert (last.by_id, last.user_id) == ("U0ADMIN", "U2")
    assert not [row for row in entries if "canary" in repr(row)]


WORDS, HOURLY = "List my open tickets.", Rule("UTC", "0 * * * *")


async def test_run_has_the_account_that_its_schedules_creator_agreed_to(
    timed: Stores, jira: SignInServer, held: Connections
) -> None:
    ours, place = sign_ins(timed, jira.config), ThreadKey("T1", "C1", "1.0")
    for user_id in ("U1", "U2"):
        await signed_in(ours, jira, replace(ADA, user_id=user_id), user_id)
    schedules = timed.schedules
    agreed = Proposal(WORDS, HOURLY, accounts=("jira",))
    with_account = await schedules.create("T1", "C1", "U1", agreed)
    without = await schedules.create("T1", "C1", "U1", replace(agreed, accounts=()))
    theirs = await schedules.create("T1", "C1", "U2", agreed)
    asked = Question(place, "1.0", "U1", "who?", schedule_id=with_account)
    cases = [
        (asked, True),
        (replace(asked, schedule_id=without), False),
        (replace(asked, schedule_id=theirs), False),
        (replace(asked, schedule_id=999), False),
        (replace(asked, user_id="U2"), False),
        (replace(asked, thread=replace(place, team_id="T2")), False),
    ]
    for question, has_account in cases:
        assert (await held.asker_server(question, "jira") is not None) is has_account, question

    async def change(by: str, proposal: Proposal) -> bool:
        assert await schedules.change("T1", with_account, by, proposal, 1_000, 2_000)
        return await held.asker_server(asked, "jira") is not None

    # Others may change when a run comes, but not what the account does.
    assert await change("U0ADMIN", Proposal(WORDS, Rule("UTC", "30 * * * *")))
    assert not await change("U0ADMIN", Proposal("List all salaries.", HOURLY, accounts=("jira",)))
    assert not await change("U0ADMIN", Proposal(WORDS, HOURLY, accounts=("jira",)))
    assert await change("U1", agreed)
    assert not await change("U1", replace(agreed, accounts=()))


async def test_account_that_cannot_be_renewed_now_is_asked_for_later(
    timed: Stores, clock: ManualClock, jira: SignInServer
) -> None:
    ours = sign_ins(timed, jira.config)
    assert not await ours.is_signed_in(ADA)
    await signed_in(ours, jira)
    assert await ours.is_signed_in(ADA)
    assert not await ours.is_signed_in(replace(ADA, server="gone"))
    clock.now_s += 3_600
    jira.people.is_down = True
    with pytest.raises(TimeoutError, match="HTTP 500"):
        await ours.is_signed_in(ADA)
    jira.people.is_down = False
    jira.people.refresh.clear()
    assert not await ours.is_signed_in(ADA)


async def test_database_has_no_secret_in_clear(timed: Stores, jira: SignInServer) -> None:
    ours = sign_ins(timed, jira.config)
    link = (await ours.begin(ADA, CALL)).url
    assert "canary" not in await dump_of(timed)
    address = await jira.visit(link)
    assert await ours.complete(ADA, CALL, address) == ""
    await ours.begin(ADA, CALL)
    dump = await dump_of(timed)
    state = address.rpartition("state=")[2]
    assert not [word for word in ("canary", state, *jira.people.clients) if word in dump]


async def named(server: SignInServer) -> ServerConfig:
    """Has a server know a client with a secret; returns the configuration that names it."""
    given = SignInConfig("typist-at-work", "canary-secret")
    await server.people.register_client(
        OAuthClientInformationFull(
            client_id=given.client_id,
            client_secret=given.client_secret,
            token_endpoint_auth_method="client_secret_basic",
            redirect_uris=[AnyUrl(given.redirect_uri("jira"))],
            scope="read",
        )
    )
    assert isinstance(server.config.transport, HttpTransport)
    return replace(server.config, transport=replace(server.config.transport, sign_in=given))


async def test_no_secret_is_in_a_debug_log_or_a_repr(timed: Stores, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "bot")
    async with sign_in_server() as jira:
        config = await named(jira)
        ours = sign_ins(timed, config)
        link = (await ours.begin(ADA, CALL)).url
        async with timed.database.begin_read() as connection:
            under_way = await connection.scalar(sa.select(schema.sign_ins.c.secret))
        assert isinstance(config.transport, HttpTransport)
        labels = ADA.team_id, ADA.user_id, ADA.server, config.transport.url
        content = Vault([KEY]).decrypt(labels, str(under_way))
        assert content is not None
        address = await jira.visit(link)
        assert await ours.complete(ADA, CALL, f"{address}&iss=https://other.example")
        await signed_in(ours, jira)
        held = Connections(ours, {"jira": config}, timed.clock)
        await whoami(held)
        jira.people.is_down = True
        with pytest.raises(SignInFailed) as failed:
            await ours.access_token(ADA, str(await ours.access_token(ADA)))
        opened = ours._decrypt_account(ADA, await timed.accounts.secret(ADA))
        assert opened is not None
        assert opened.tokens.access_token.startswith("canary")
        ours_now = [one for one in gc.get_objects() if type(one).__module__.startswith(("bot.accounts", "bot.mcp"))]
        assert opened in ours_now
        shown = [*map(logging.Formatter().format, caplog.records), repr(failed.value), *map(repr, ours_now)]
        state = address.rpartition("state=")[2]
        assert not [one for one in shown for word in ("canary", state, content["verifier"]) if word in one]
        await held.close()


async def test_use_encrypts_with_the_newest_key_and_no_secret_opens_for_another(
    timed: Stores, jira: SignInServer
) -> None:
    old = sign_ins(timed, jira.config, keys=(OLD_KEY,))
    await signed_in(old, jira)
    token = await old.access_token(ADA)
    rotated, newest = sign_ins(timed, jira.config, keys=(KEY, OLD_KEY)), sign_ins(timed, jira.config)
    assert await newest.access_token(ADA) is None
    assert await timed.accounts.begin_refresh(ADA, (await timed.database.read(read_secrets))[0])
    assert await rotated.access_token(ADA) == token
    assert await newest.access_token(ADA) is None, "the process that refreshes the tokens has to find its secret again"
    assert await timed.accounts.end_refresh(ADA, *[(await timed.database.read(read_secrets))[0]] * 2)
    assert await rotated.access_token(ADA) == token
    assert await newest.access_token(ADA) == token
    assert await old.access_token(ADA) is None
    moved = replace(jira.config, transport=HttpTransport("http://127.0.0.1:9/mcp"))
    assert await sign_ins(timed, moved).access_token(ADA) is None
    secret = await timed.accounts.secret(ADA)
    assert secret
    await timed.accounts.sign_in(replace(ADA, user_id="U2"), secret, "")
    assert await rotated.access_token(replace(ADA, user_id="U2")) is None


def test_vault_opens_for_its_owner_alone() -> None:
    secret = Vault([KEY]).encrypt(["T1", "U1"], {"token": "canary"})
    assert "canary" not in secret
    assert Vault([OLD_KEY, KEY]).decrypt(["T1", "U1"], secret) == {"token": "canary"}
    assert Vault([KEY]).decrypt(["T1", "U2"], secret) is None
    assert Vault([OLD_KEY]).decrypt(["T1", "U1"], secret) is None


async def test_erased_person_has_no_account_and_no_sign_in(timed: Stores, jira: SignInServer) -> None:
    ours = sign_ins(timed, jira.config)
    for owner in (ADA, replace(ADA, user_id="U2")):
        await signed_in(ours, jira, owner, owner.user_id)
    address = await jira.visit((await ours.begin(ADA, CALL)).url)
    await timed.erasure.erase(user_id="U1")
    assert await ours.access_token(ADA) is None
    assert await ours.complete(ADA, CALL, address) == texts.accounts.ADDRESS_IS_OLD
    assert await ours.access_token(replace(ADA, user_id="U2")) is not None


async def test_typist_registers_again_after_a_week(
    timed: Stores, jira: SignInServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await sign_ins(timed, jira.config).servers.account_problem("jira") == ""
    jira.people.clients.clear()
    # The age is that of the ciphertext.
    monkeypatch.setattr(sign_in_servers, "REGISTERED_FOR_S", -1)
    ours = sign_ins(timed, jira.config)
    await signed_in(ours, jira)
    monkeypatch.undo()
    assert await sign_ins(timed, jira.config).servers.account_problem("jira") == ""
    assert len(jira.people.clients) == 1


async def test_typist_registers_again_once_a_server_says_that_it_forgot_it(
    process: Process, clock: ManualClock, jira: SignInServer
) -> None:
    """codex#29630, pi-mcp-adapter#90: its page would refuse each further sign-in."""
    finds_out, other = [sign_ins(await process(name, clock), jira.config) for name in ("w1", "w2")]
    await signed_in(finds_out, jira)
    assert await other.servers.account_problem("jira") == ""
    forgotten = [*jira.people.clients]
    jira.people.clients.clear()
    clock.now_s += 3_600
    assert await finds_out.access_token(ADA) is None
    for ours in (finds_out, other):
        await signed_in(ours, jira)
    [registered] = jira.people.clients
    assert registered not in forgotten
    # A server may forget it between its page and the code.
    address = await jira.visit((await other.begin(ADA, CALL)).url)
    jira.people.clients.clear()
    assert "(invalid_client)" in await other.complete(ADA, CALL, address)
    for ours in (other, finds_out):
        await signed_in(ours, jira)
    assert len(jira.people.clients) == 1


async def test_typist_registers_once_and_uses_what_the_file_names(timed: Stores, jira: SignInServer) -> None:
    for _ in range(2):
        assert await sign_ins(timed, jira.config).servers.account_problem("jira") == ""
    assert len(jira.people.clients) == 1
    async with sign_in_server(registers=False) as closed:
        problem = await sign_ins(timed, closed.config).servers.account_problem("jira")
        assert problem == "its authorization server registers nobody: set oauth.clientId in BOT_MCP_CONFIG"
        config = await named(closed)
        assert "canary" not in repr(config)
        await signed_in(sign_ins(timed, config), closed)


DOCUMENT, OURS = f"{PUBLIC}/oauth/client.json", f"{PUBLIC}/oauth/client/jira.json"


@pytest.mark.parametrize(
    ("reads", "registers", "config", "client_id"),
    [
        (True, True, SignInConfig(public_url=PUBLIC), OURS),
        (True, False, SignInConfig(DOCUMENT, public_url=PUBLIC), DOCUMENT),
        (True, True, SignInConfig("ours", public_url=PUBLIC), "ours"),
        (True, True, SignInConfig(DOCUMENT, "with a secret"), DOCUMENT),
        (False, True, SignInConfig(public_url=PUBLIC), ""),
        (False, True, SignInConfig(DOCUMENT), ""),
        (False, False, SignInConfig(DOCUMENT), DOCUMENT),
        (True, True, SignInConfig(public_url="http://127.0.0.1:8080"), ""),
        (True, True, SignInConfig("https://ours"), "https://ours"),
        (True, True, SignInConfig(), ""),
    ],
)
def test_document_is_typists_id_where_the_server_reads_it(
    reads: bool, registers: bool, config: SignInConfig, client_id: str
) -> None:
    register = "https://x.test/register" if registers else ""
    at = AuthorizationServer("i", "a", "t", register, "r", "", sends_issuer=False, has_client_documents=reads)
    assert configured_client_id(at, config, "jira") == client_id


async def test_server_reads_the_document_that_typist_serves_and_registers_nobody(timed: Stores) -> None:
    says = {"client_id_metadata_document_supported": True, "registration_endpoint": None}
    async with sign_in_server(says=says) as jira, serving("127.0.0.1", 0, Probes(), public_url=PUBLIC) as port:
        jira.people.documents_at = f"http://127.0.0.1:{port}"
        ours = sign_ins(timed, public(jira.config))
        _, code = await ours.on_redirect(
            (await jira.visit((await ours.begin(ADA, CALL)).url)).partition("?")[2], "jira"
        )
        assert await ours.complete(ADA, CALL, code) == ""
        [token] = jira.people.access.values()
        assert (token.client_id, token.subject) == (OURS, "ada")
        assert not jira.people.clients
        refused = await ours.access_token(ADA)
        assert await ours.access_token(ADA, str(refused)) not in (None, refused)


async def by_device(ours: SignIns, jira: SignInServer, owner: Owner = ADA) -> Device:
    links = await ours.begin(owner, CALL)
    [device] = [one for one in jira.people.devices.values() if one.user_code == links.user_code]
    assert (links.url, links.device_url.endswith(f"/device?user_code={device.user_code}")) == ("", True)
    return device


@pytest.fixture
async def devices() -> AsyncIterator[SignInServer]:
    async with sign_in_server(says=BY_DEVICE) as server:
        yield server


async def test_confirmed_code_signs_in_once_and_the_server_is_asked_as_slowly_as_it_wants(
    process: Process, devices: SignInServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "bot")
    clock = InstantClock()
    first, second = [sign_ins(await process(name, clock), devices.config) for name in ("w1", "w2")]
    device = await by_device(first, devices)
    for owner, call in ((replace(ADA, user_id="U2"), CALL), (replace(ADA, team_id="T2"), CALL), (ADA, "8 0")):
        assert await second.complete(owner, call, None) == texts.accounts.CONFIRM_AGAIN
    assert await first.complete(ADA, CALL, device.user_code) == texts.accounts.ADDRESS_IS_OLD
    device.says, device.agreed = ["authorization_pending", "slow_down", "authorization_pending"], "ada"
    # The process that gets the press may be another one, and both buttons may be pressed at once.
    both = await asyncio.gather(first.complete(ADA, CALL, None), second.complete(ADA, CALL, None))
    assert sorted(both) == ["", texts.accounts.STILL_ASKING]
    assert clock.sleeps == [7, 12, 12]
    assert await first.complete(ADA, CALL, None) == texts.accounts.CONFIRM_AGAIN
    token = await second.access_token(ADA)
    assert devices.people.access[str(token)].subject == "ada"
    assert await second.access_token(ADA, str(token)) not in (None, token)
    assert not [word for word in ("canary", device.user_code) if word in caplog.text]


async def test_code_that_nobody_confirms_ends_in_a_sentence_within_two_minutes(
    process: Process, devices: SignInServer
) -> None:
    clock = InstantClock()
    ours = sign_ins(await process("w1", clock), devices.config)
    await by_device(ours, devices)
    dead, clock.now_s = clock.now_s, clock.now_s
    assert await ours.complete(ADA, CALL, None) == texts.accounts.CONFIRM_AGAIN
    assert 120 <= clock.now_s - dead <= 127
    # A press of Sign in gives a new code, even if a process died while it asked for the old one.
    (await by_device(ours, devices)).agreed = "ada"
    assert await ours.complete(ADA, CALL, None) == ""
    (await by_device(ours, devices)).agreed = "ada"
    clock.now_s += 601
    assert await ours.complete(ADA, CALL, None) == texts.accounts.CONFIRM_AGAIN


@pytest.mark.parametrize(("takes_effect", "said"), [(False, ""), (True, texts.accounts.CONFIRM_AGAIN)])
async def test_tokens_for_a_confirmed_code_are_on_record_or_revoked_when_a_write_fails(
    process: Process, devices: SignInServer, takes_effect: bool, said: str
) -> None:
    stores = await process("w1", InstantClock())
    ours, take = sign_ins(stores, devices.config), stores.accounts.take_sign_in
    failures = [StoreError("a write is made to fail")]

    async def fails_once(*arguments: Any) -> str | None:
        if not failures:
            return await take(*arguments)
        if takes_effect:
            await take(*arguments)
        raise failures.pop()

    setattr(stores.accounts, "take_sign_in", fails_once)  # noqa: B010
    (await by_device(ours, devices)).agreed = "ada"
    assert await ours.complete(ADA, CALL, None) == said
    token = await ours.access_token(ADA)
    assert {*devices.people.access} == ({token} if token else set())
    assert bool(token) == (not takes_effect)


@pytest.mark.parametrize(
    ("status", "refusal", "why"),
    [
        (400, "access_denied", "access was not granted there"),
        (200, "access_denied", "access was not granted there"),
        (400, "expired_token", "the code is too old"),
        (400, "invalid_grant", "the code is too old, or used already"),
        (400, "invalid_target", oauth.error_meaning("invalid_target")),
        (400, "unauthorized_client", oauth.error_meaning("unauthorized_client")),
        (400, "consent_required", oauth.error_meaning("consent_required")),
        (200, "invalid_code", "the code is too old, or used already"),
        (400, "canary-error", "its authorization server refuses (HTTP 400)"),
        (200, "canary-error", "its authorization server refuses (HTTP 200)"),
    ],
)
@pytest.mark.long(after_row=4)
async def test_code_that_is_refused_ends_at_once(
    process: Process, devices: SignInServer, status: int, refusal: str, why: str
) -> None:
    clock, devices.people.refuses_with = InstantClock(), status
    ours = sign_ins(await process("w1", clock), devices.config)
    (await by_device(ours, devices)).says = ["authorization_pending", refusal]
    refused = texts.accounts.sign_in_failed("jira", why)
    assert await ours.complete(ADA, CALL, None) == refused
    assert await ours.complete(ADA, CALL, None) == texts.accounts.CONFIRM_AGAIN
    assert clock.sleeps == [7]


@pytest.mark.parametrize(
    ("has_tokens", "said"),
    [(False, ""), (True, texts.accounts.sign_in_failed("jira", "the code is too old, or used already"))],
)
async def test_press_after_a_process_died_while_it_asked_ends_in_what_the_server_says(
    process: Process, devices: SignInServer, has_tokens: bool, said: str
) -> None:
    clock = SteppedClock()
    stores = await process("w1", clock)
    dying, other = [sign_ins(one, devices.config) for one in (stores, await process("w2", clock))]
    device = await by_device(dying, devices)

    async def dies(*_: Any) -> None:
        raise asyncio.CancelledError

    setattr(stores.accounts, "take_sign_in", dies)  # noqa: B010
    device.agreed = "ada" if has_tokens else None
    asking = asyncio.create_task(dying.complete(ADA, CALL, None))
    if not has_tokens:
        await clock.slept.get()
        asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    device.agreed = "ada"
    assert await other.complete(ADA, CALL, None) == texts.accounts.STILL_ASKING
    clock.advance(131)
    assert await other.complete(ADA, CALL, None) == said


async def test_new_code_and_erasure_end_the_wait_for_the_old_one(process: Process, devices: SignInServer) -> None:
    clock = SteppedClock()
    stores = await process("w1", clock)
    ours = sign_ins(stores, devices.config)
    for end in (lambda: ours.begin(ADA, CALL), lambda: stores.erasure.erase(user_id="U1")):
        old = await by_device(ours, devices)
        asking = asyncio.create_task(ours.complete(ADA, CALL, None))
        await clock.slept.get()
        await end()
        old.agreed = "ada"
        clock.advance(7)
        assert await asking == texts.accounts.CONFIRM_AGAIN
        assert not devices.people.access


async def test_server_is_asked_no_longer_once_nothing_waits_for_the_sign_in(
    process: Process, devices: SignInServer
) -> None:
    clock = SteppedClock()
    ours = sign_ins(await process("w1", clock), devices.config)
    device, looks = await by_device(ours, devices), iter([True, False])
    device.says = ["authorization_pending", "unasked"]

    async def still() -> bool:
        return next(looks)

    asking = asyncio.create_task(ours.complete(ADA, CALL, None, still))
    await clock.slept.get()
    device.agreed = "ada"
    clock.advance(7)
    assert await asking == texts.accounts.CONFIRM_AGAIN
    assert device.says == ["unasked"]


async def test_token_that_comes_when_nothing_waits_anymore_is_revoked(process: Process, devices: SignInServer) -> None:
    revoked, looks = list[Owner](), iter([True, False])
    ours = sign_ins(await process("w1", InstantClock()), devices.config, revoked=revoked.append)
    (await by_device(ours, devices)).agreed = "ada"

    async def still() -> bool:
        return next(looks)

    assert await ours.complete(ADA, CALL, None, still) == texts.accounts.CONFIRM_AGAIN
    assert devices.people.issued > 1
    assert (revoked, devices.people.access, devices.people.refresh) == ([ADA], {}, {})
    assert await ours.access_token(ADA) is None


async def test_person_is_signed_out_of_servers_whose_account_is_gone_or_cannot_be_opened(
    timed: Stores, jira: SignInServer
) -> None:
    both = jira.config, replace(jira.config, name="other")
    ours, with_other_key = sign_ins(timed, *both), sign_ins(timed, *both, keys=(OLD_KEY,))
    await signed_in(ours, jira)
    assert await ours.servers_signed_out_of("T1", "U1", ("jira", "other", "gone")) == ["other", "gone"]
    assert await ours.servers_signed_out_of("T1", "U2", ("jira",)) == ["jira"]
    assert await with_other_key.servers_signed_out_of("T1", "U1", ("jira",)) == ["jira"]


ELSEWHERE = (
    "its authorization server has codes confirmed at https://docs.example. If that is right, set oauth.deviceHost to "
    "docs.example for the server in BOT_MCP_CONFIG"
)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"verification_uri": "http://evil.example/"}, "its metadata names an address without HTTPS"),
        ({"verification_uri_complete": "http://evil.example/"}, "its metadata names an address without HTTPS"),
        ({"verification_uri": "javascript:x"}, "its authorization server's answer can't be read"),
        ({"verification_uri": "https://docs.example/device"}, ELSEWHERE),
        ({"verification_uri_complete": "https://docs.example/device?code=A-B"}, ELSEWHERE),
        ({"verification_uri": None, "verification_url": "https://docs.example/device"}, ELSEWHERE),
        ({"user_code": "A B"}, "its authorization server's answer can't be read"),
        ({"user_code": "x" * 41}, "its authorization server's answer can't be read"),
        ({"device_code": ""}, "its authorization server's answer can't be read"),
    ],
)
async def test_device_code_that_lies_is_not_shown(said: Mapping[str, Any], why: str) -> None:
    with pytest.raises(SignInFailed) as failed:
        await device_of(said)
    assert str(failed.value) == why


STANDARD = SignInConfig()


async def device_of(said: Mapping[str, Any], config: SignInConfig = STANDARD) -> tuple[str, int]:
    usual = {"device_code": "c", "user_code": "A-B", "verification_uri": "{url}/device", "expires_in": 9}
    told = {name: value for name, value in {**usual, **said}.items() if name != "verification_uri" or value}
    async with describing({"/": told}) as url:
        at = replace(token_server(url), device_authorization_endpoint=url)
        device = await request_device_code(at, Client("typist"), url, config)
    return device.urls[0].removeprefix(url), device.interval


@pytest.mark.parametrize(
    ("said", "page", "interval_s"),
    [
        ({}, "/device", 5),
        ({"verification_uri_complete": None, "interval": 0}, "/device", 0),
        ({"verification_uri_complete": "{url}/device?code=A-B", "interval": 60}, "/device?code=A-B", 60),
        # What it needn't say counts as left out if it can't be meant.
        ({"verification_uri_complete": "", "interval": 61}, "/device", 5),
    ],
)
async def test_code_is_confirmed_on_the_page_that_has_it_already_if_there_is_one(
    said: Mapping[str, Any], page: str, interval_s: int
) -> None:
    assert await device_of(said) == (page, interval_s)


@pytest.mark.parametrize("config", [SignInConfig(device_host="127.0.0.1"), SignInConfig(token_host="127.0.0.1")])
async def test_code_is_confirmed_at_a_host_that_an_admin_states(config: SignInConfig) -> None:
    page = "https://127.0.0.1/device"
    assert await device_of({"verification_uri": None, "verification_url": page}, config) == (page, 5)
    with pytest.raises(SignInFailed):
        await device_of({"verification_uri_complete": "https://127.0.0.1:8443/device"}, config)


KNOWN, SERVER = "/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-authorization-server"
RESOURCE = {"resource": "{url}/mcp", "authorization_servers": ["{url}"]}
AUTHORIZATION = {
    "issuer": "{url}",
    "authorization_endpoint": "{url}/authorize",
    "token_endpoint": "{url}/token",
    "code_challenge_methods_supported": ["S256"],
}


@asynccontextmanager
async def describing(
    pages: Mapping[str, object], challenge: str = "", to_get: int = 401, to_post: int = 401
) -> AsyncIterator[str]:
    """Yields the URL of a server with these pages in JSON, whose {url} is its own. At /mcp, it refuses everybody."""

    async def answer(request: web.Request) -> web.Response:
        own = f"http://{request.host}"
        if request.path in pages:
            page = json.dumps(pages[request.path]).replace("{url}", own)
            return web.Response(text=page, content_type="application/json")
        if request.path != "/mcp":
            return web.Response(status=404)
        status = to_get if request.method == "GET" else to_post
        told = {"WWW-Authenticate": challenge.replace("{url}", own)} if challenge and status == 401 else {}
        return web.Response(status=status, headers=told)

    async with served(answer) as url:
        yield url


TAKES_CODES = (
    "its authorization server, {url}, has codes sent to https://other.example. If that is right, set oauth.tokenHost "
    "to other.example for the server in BOT_MCP_CONFIG"
)
NO_METADATA = "its authorization server has no metadata (RFC 8414)"


@pytest.mark.parametrize(
    ("resource", "server", "why"),
    [
        ({}, {}, ""),
        ({"resource": "https://other.example/mcp"}, {}, "its metadata is that of another server"),
        ({"resource": "{url}/other"}, {}, "its metadata is that of another server"),
        # A server that names no other one may be its own.
        ({"authorization_servers": []}, {}, ""),
        ({"authorization_servers": []}, {"token_endpoint": None}, "it doesn't say where people sign in (RFC 9728)"),
        ({}, {"token_endpoint": None}, NO_METADATA),
        (
            {},
            {"issuer": "https://other.example/x?secret"},
            "the metadata of its authorization server, {url}, names the issuer https://other.example/x. If it is the "
            "right one, set oauth.issuer to https://other.example/x for the server in BOT_MCP_CONFIG",
        ),
        (
            {},
            {"code_challenge_methods_supported": None},
            "its authorization server, {url}, doesn't say that it does PKCE with S256. If it does, set oauth.pkce to "
            "true for the server in BOT_MCP_CONFIG",
        ),
        ({}, {"code_challenge_methods_supported": ["plain"]}, "its authorization server doesn't offer PKCE with S256"),
        ({}, {"authorization_endpoint": None}, "its authorization server offers no sign-in that Typist can do"),
        ({}, {"response_types_supported": ["token"]}, "its authorization server offers no sign-in that Typist can do"),
        ({}, {"device_authorization_endpoint": "http://x.test/"}, "its metadata names an address without HTTPS"),
        ({}, {"revocation_endpoint": "http://x.test/"}, "its metadata names an address without HTTPS"),
        *(
            ({}, {name: f"https://{host}/x", "authorization_endpoint": page}, TAKES_CODES)
            for host in ("other.example",)
            for name, page in (("token_endpoint", "{url}/authorize"), ("device_authorization_endpoint", None))
        ),
        (
            {},
            {"authorization_endpoint": "https://slack.com@evil.example/"},
            "its metadata names an address with a user's name in it",
        ),
        (
            {},
            {"authorization_endpoint": f"{{url}}/{'x' * 1_000}"},
            "its metadata names an address of more than 1,000 characters",
        ),
        ({}, {"authorization_endpoint": "http://x.test/"}, "its metadata names an address without HTTPS"),
        # What it needn't say counts as left out if it can't be read.
        ({}, {"registration_endpoint": "ftp://127.0.0.1/"}, ""),
        ({}, {"registration_endpoint": "", "service_documentation": "/docs", "response_types_supported": None}, ""),
        ({"scopes_supported": "read", "resource_documentation": ""}, {"scopes_supported": {"read": True}}, ""),
        ({"authorization_servers": ["http://169.254.169.254"]}, {}, "its metadata names an address without HTTPS"),
        ({"authorization_servers": ["https://a..b"]}, {}, "the host a..b isn't known"),
        ({"authorization_servers": ["https://a..b", "http://x.test"]}, {}, "the host a..b isn't known"),
        ({"authorization_servers": ["{url}/dead", "{url}"]}, {}, ""),
        ({"authorization_servers": ["{url}/a", "{url}/b", "{url}/c", "{url}"]}, {}, NO_METADATA),
        ({}, {"service_documentation": f"https://x.test/{'x' * 300_000}"}, "127.0.0.1 sends more than 256,000 bytes"),
    ],
)
async def test_metadata_that_lies_is_not_used(resource: Mapping[str, Any], server: Mapping[str, Any], why: str) -> None:
    async with describing({KNOWN: {**RESOURCE, **resource}, SERVER: {**AUTHORIZATION, **server}}) as url:
        if not why:
            assert (await discover(f"{url}/mcp")).issuer == url
            return
        with pytest.raises(SignInFailed) as failed:
            await discover(f"{url}/mcp")
        assert str(failed.value) == why.replace("{url}", url)


ODD = "/tenants/7/mcp-metadata"
NAMED = f'Bearer resource_metadata="{{url}}{ODD}"'


@pytest.mark.parametrize(
    ("to_get", "to_post", "challenge", "known"),
    [
        # vscode#268210, workers-oauth-provider#138: a refusal that names nothing.
        (401, 401, "", KNOWN),
        (401, 401, 'Bearer realm="OAuth", error="invalid_token"', "/.well-known/oauth-protected-resource"),
        (401, 401, NAMED, ODD),
        # A server that has no stream, and says it to a message alone.
        (405, 401, NAMED, ODD),
        (404, 401, NAMED.replace('"', ""), ODD),
        # qwen-code#5343, sentry-mcp#939, mesh-mcp#20: other quotes, two names, and names that lead nowhere.
        (401, 401, NAMED.replace('"', "'"), ODD),
        (401, 401, f'Bearer resource_metadata="{{url}}/none", Basic realm="x", {NAMED}', ODD),
        (401, 401, NAMED.replace("Bearer ", 'Bearer error_description="no \\"resource_metadata=x\\"", '), ODD),
        (401, 401, 'Bearer resource_metadata="http://mcp.example/metadata"', KNOWN),
        (401, 401, 'Bearer resource_metadata="/metadata"', KNOWN),
        (401, 401, 'Bearer resource_metadata="https://[::1/metadata"', KNOWN),
        (401, 401, 'Bearer resource_metadata="https://a..b/metadata"', KNOWN),
        # Of the protocol's first form: the authorization server is at the same host.
        (401, 401, "", ""),
    ],
)
async def test_where_people_sign_in_is_found_by_the_challenge_or_at_a_known_address(
    to_get: int, to_post: int, challenge: str, known: str
) -> None:
    async with describing({known: RESOURCE, SERVER: AUTHORIZATION}, challenge, to_get, to_post) as url:
        at = await discover(f"{url}/mcp")
        assert (at.resource, at.issuer, at.token_endpoint) == (f"{url}/mcp", url, f"{url}/token")


@pytest.mark.parametrize(
    ("first", "second", "changes"),
    [
        # RFC 9728, 3.3 and RFC 8414, 3.3: what is about another one must not be used.
        (KNOWN, "/.well-known/oauth-protected-resource", {"resource": "https://other.example/mcp"}),
        (f"{SERVER}/tenant", "/.well-known/openid-configuration/tenant", {"issuer": "https://other.example"}),
        (f"{SERVER}/tenant", "/tenant/.well-known/openid-configuration", {"code_challenge_methods_supported": None}),
    ],
)
@pytest.mark.parametrize("slash", ["", "/"])
async def test_metadata_that_cannot_be_used_leads_to_the_next_known_address(
    first: str, second: str, changes: Mapping[str, Any], slash: str
) -> None:
    # opencode#50036: with a slash at its end, an issuer has the same metadata.
    resource = {**RESOURCE, "authorization_servers": ["{url}/tenant"]}
    server = {**AUTHORIZATION, "issuer": f"{{url}}/tenant{slash}"}
    said = resource if first == KNOWN else server
    pages = {KNOWN: resource, f"{SERVER}/tenant": server, first: {**said, **changes}, second: said}
    async with describing(pages) as url:
        at = await discover(f"{url}/mcp")
        assert (at.resource, at.issuer) == (f"{url}/mcp", f"{url}/tenant{slash}")


async def test_scope_of_a_challenge_is_not_read_in_its_description() -> None:
    told = 'Bearer error_description="no scope=write here", scope="read files"'
    async with describing({SERVER: AUTHORIZATION}, told) as url:
        assert (await discover(f"{url}/mcp")).scope == "read files"


SLACKS = {
    "id": "U1",
    "access_token": "canary",
    "token_type": "user",
    "scope": "search:read,files:read",
    "expires_in": 43_200,
}


def token_server(url: str) -> AuthorizationServer:
    return AuthorizationServer(url, "", url, url, url, "read", sends_issuer=False)


@pytest.mark.parametrize(
    ("said", "lives_s", "scope"),
    [
        # LibreChat#420: Entra ID says it as a text.
        ({"expires_in": "5250", "token_type": "bearer"}, 5250, "read"),
        ({"expires_in": 3599.5}, None, "read"),
        ({"expires_in": "soon", "token_type": None, "refresh_token": None}, None, "read"),
        ({"expires_in": None, "token_type": "N_A", "scope": ["a"]}, None, "read"),
        ({"token_type": "user", "scope": "a\u0000b write\u00e9 files"}, None, "files"),
        ({"scope": "x" * 65_536}, None, "read"),
        ({"expires_in": 60, "scope": "write"}, 60, "write"),
        # Slack's oauth.v2.access has the bot's token beside the person's, or only the person's.
        ({"access_token": "xoxb", "scope": "commands", "authed_user": SLACKS}, 43_200, "search:read files:read"),
        ({"access_token": None, "ok": True, "authed_user": SLACKS}, 43_200, "search:read files:read"),
        ({"authed_user": {"id": "U1"}}, None, "read"),
    ],
)
async def test_tokens_are_read_whatever_stands_beside_them(
    said: Mapping[str, Any], lives_s: float | None, scope: str
) -> None:
    async def answer(request: web.Request) -> web.Response:
        if request.headers["Accept"] != "application/json":
            # python-sdk#1523: so does GitHub.
            return web.Response(text="access_token=canary", content_type="application/x-www-form-urlencoded")
        return web.json_response({"access_token": "canary", **said})

    async with served(answer) as url:
        tokens = await exchange_code(token_server(url), Client("typist"), "http://127.0.0.1/", "code", "verifier", url)
    assert (tokens.access_token, tokens.refresh_token, tokens.lifetime_s, tokens.scope) == (
        "canary",
        "",
        lives_s,
        scope,
    )


@pytest.mark.parametrize(
    ("said", "why"),
    [
        *(({"access_token": "canary", "token_type": kind}, "can't use") for kind in ("mac", "DPoP", "pop")),
        *(({"access_token": token}, "can't be read") for token in ("", "a\nb", "\u00e9", None, 5)),
    ],
)
async def test_token_that_its_bearer_alone_cannot_use_or_no_header_can_carry_signs_nobody_in(
    said: Mapping[str, Any], why: str
) -> None:
    async with describing({"/": said}) as url:
        with pytest.raises(SignInFailed, match=why):
            await exchange_code(token_server(url), Client("typist"), "http://127.0.0.1/", "code", "verifier", url)


@pytest.mark.parametrize(
    ("status", "body", "is_final"),
    [
        (400, {"error": "invalid_grant"}, True),
        (401, {"error": "invalid_client"}, True),
        (403, {"error": "unauthorized_client", "error_description": "refresh_token is invalid"}, True),
        (200, {"error": "bad_refresh_token"}, True),
        (400, "<h1>Bad request</h1>", True),
        (403, "<h1>Are you a robot?</h1>", False),
        (400, {"error": "temporarily_unavailable"}, False),
        (400, {"error": "server_error"}, False),
        (400, {"error": "slow_down"}, False),
        (408, {"error": "timeout"}, False),
        (429, {"error": "too_many_requests"}, False),
        (500, {"error": "server_error"}, False),
        (503, "", False),
    ],
)
async def test_refusal_ends_a_sign_in_only_if_the_server_says_that_it_is_over(
    status: int, body: object, is_final: bool
) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status, text=body if isinstance(body, str) else json.dumps(body))

    async with served(answer) as url:
        with pytest.raises(SignInFailed) as failed:
            await refresh(token_server(url), Client("typist"), Tokens("old", "canary"), url)
    assert failed.value.is_final == is_final


@pytest.mark.parametrize(
    ("said", "registrations"),
    [
        ({"client_secret": "canary", "client_secret_expires_at": 0}, 1),
        ({"client_secret": "canary", "client_secret_expires_at": 1_700_000_000 + 30 * 24 * 3600}, 1),
        (
            {"client_secret": "canary", "client_secret_expires_at": "never", "client_id_issued_at": 1.5, "contacts": 5},
            1,
        ),
        ({"client_secret_expires_at": 1_700_000_000 + 3_600}, 1),
        # python-sdk#3256: one whose secret ends before Typist registers again.
        ({"client_secret": "canary", "client_secret_expires_at": 1_700_000_000 + 24 * 3600}, 2),
    ],
)
async def test_registration_is_kept_unless_its_secret_ends_soon(
    timed: Stores, said: Mapping[str, Any], registrations: int
) -> None:
    asked = []

    async def answer(request: web.Request) -> web.Response:
        url = f"http://{request.host}"
        if request.method == "POST" and request.path == "/register":
            asked.append(await request.json())
            return web.json_response({"client_id": f"client-{len(asked)}", **said}, status=201)
        if request.path == SERVER:
            metadata = json.dumps({**AUTHORIZATION, "registration_endpoint": "{url}/register"})
            return web.json_response(text=metadata.replace("{url}", url))
        return web.Response(status=401 if request.path == "/mcp" else 404)

    async with served(answer) as url:
        config = ServerConfig("jira", HttpTransport(f"{url}/mcp"))
        for _ in range(2):
            assert await sign_ins(timed, config).servers.account_problem("jira") == ""
    assert len(asked) == registrations


async def test_metadata_of_a_public_server_names_no_private_address(monkeypatch: pytest.MonkeyPatch) -> None:

    async def is_private(host: str) -> bool:
        return host != "mcp.example"

    monkeypatch.setattr(oauth, "is_private", is_private)
    with pytest.raises(SignInFailed, match="private network"):
        await oauth.check_url("https://169.254.169.254/token", "https://mcp.example/mcp")
    await oauth.check_url("https://mcp.example/token", "https://mcp.example/mcp")
    await oauth.check_url("https://10.0.0.1/token", "https://10.0.0.2/mcp")


@pytest.mark.parametrize(
    ("host", "is_private"),
    [
        ("10.0.0.1", True),
        ("100.64.0.1", True),
        ("224.0.0.1", True),
        ("::ffff:10.0.0.1", True),
        ("64:ff9b::10.0.0.1", True),
        ("2002:a00:1::", True),
        ("::10.0.0.1", True),
        ("fec0::1", True),
        ("ff02::1", True),
        ("8.8.8.8", False),
        ("64:ff9b::8.8.8.8", False),
        ("2606:4700::1111", False),
    ],
)
async def test_address_that_leads_into_a_network_is_private(host: str, is_private: bool) -> None:

    assert await oauth.is_private(host) is is_private


async def test_host_of_all_endpoints_is_looked_up_once(monkeypatch: pytest.MonkeyPatch, jira: SignInServer) -> None:

    assert isinstance(jira.config.transport, HttpTransport)
    url, check, checked = jira.config.transport.url, oauth.check_url, list[str]()

    async def counted(address: str, server_url: str) -> None:
        checked.append(address)
        await check(address, server_url)

    monkeypatch.setattr(oauth, "check_url", counted)
    at = await discover(url)
    endpoints = at.authorization_endpoint, at.token_endpoint, at.registration_endpoint, at.revocation_endpoint
    assert len([one for one in checked if one in endpoints]) == 1


@pytest.mark.parametrize(
    ("listed", "wanted", "asked_for"),
    [
        ("read write", "write", "read write"),
        ("read write", "admin write", "read write"),
        ("read", "admin", "read"),
        ("", "write", "read write"),
    ],
)
async def test_sign_in_for_further_scopes_stays_within_the_admins_list_and_registers_once(
    timed: Stores, jira: SignInServer, listed: str, wanted: str, asked_for: str
) -> None:
    assert isinstance(jira.config.transport, HttpTransport)
    listing = replace(jira.config.transport.sign_in, scopes=listed)
    config = replace(jira.config, transport=replace(jira.config.transport, sign_in=listing))
    ours = sign_ins(timed, config)
    await ours.begin(ADA, CALL)
    begun = len(jira.people.clients)
    for _ in range(10):
        link = (await ours.begin(ADA, CALL, wanted)).url
    scopes = parse_qs(urlsplit(link).query)["scope"][0]
    assert set(scopes.split()) == set(asked_for.split())
    assert len(jira.people.clients) - begun == (not listed)
