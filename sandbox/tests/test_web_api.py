"""Tokens, scopes, budgets, faults and records of Web API calls."""

import asyncio
import json
import time
from email.utils import parsedate_to_datetime

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from slack_sandbox.faults import FaultSettings
from slack_sandbox.server import Sandbox
from slack_sandbox.setup import Setup
from slack_sandbox.testing import manifests
from slack_sandbox.testing.requests import error_name, error_of, error_response
from tests.conftest import ManualTime

GENERAL = "C0GENERAL"


@pytest.mark.parametrize("method", ["conversations.replies", "conversations.info", "users.info", "chat.getPermalink"])
async def test_method_that_reads_takes_no_json(sandbox: Sandbox, session: aiohttp.ClientSession, method: str) -> None:
    ts = await sandbox.say("ada", "general", "hi")
    arguments = {"channel": "C0GENERAL", "ts": ts, "message_ts": ts, "user": "U0ADA"}
    headers = {"Authorization": f"Bearer {sandbox.bot_token}"}
    async with session.post(f"{sandbox.api_url}{method}", headers=headers, json=arguments) as refused:
        assert (await refused.json())["error"] == "invalid_arguments"
    async with session.post(f"{sandbox.api_url}{method}", headers=headers, data=arguments) as taken:
        assert (await taken.json())["ok"]


async def test_auth_test_returns_the_bots_identity(sandbox: Sandbox, web: AsyncWebClient) -> None:
    answer = await web.auth_test()
    assert (answer["user_id"], answer["bot_id"], answer["team_id"]) == ("U0BOT", "B0BOT", "T0SANDBOX")
    assert "chat:write" in answer.headers["X-OAuth-Scopes"]


@pytest.mark.parametrize(
    ("token", "method", "error"),
    [
        ("", "auth.test", "not_authed"),
        ("xoxb-wrong", "auth.test", "invalid_auth"),
        ("app", "auth.test", "not_allowed_token_type"),
        ("bot", "apps.connections.open", "not_allowed_token_type"),
        ("bot", "apps.manifest.export", "not_allowed_token_type"),
        ("config", "auth.test", "not_allowed_token_type"),
        ("bot", "chat.sing", "not_in_this_sandbox"),
    ],
)
async def test_call_requires_the_right_token(
    sandbox: Sandbox, session: aiohttp.ClientSession, token: str, method: str, error: str
) -> None:
    token = getattr(sandbox.tokens, token, token)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with session.post(sandbox.api_url + method, headers=headers) as answer:
        assert (answer.status, (await answer.json())["error"]) == (200, error)


@pytest.mark.parametrize(
    ("method", "channel", "needed"),
    [
        ("chat.postMessage", GENERAL, "chat:write"),
        ("conversations.history", GENERAL, "channels:history"),
        ("conversations.history", "C0PROJECTX", "groups:history"),
    ],
)
@pytest.mark.slack(scopes=frozenset({"im:history"}))
async def test_call_requires_a_scope(web: AsyncWebClient, method: str, channel: str, needed: str) -> None:
    response = await error_response(web.api_call(method, params={"channel": channel, "text": "x"}))
    assert (response["error"], response["needed"]) == ("missing_scope", needed)


@pytest.mark.parametrize(
    ("sandbox", "token", "method", "error"),
    [
        ({"setup": Setup(bot_token_error="token_revoked")}, "bot", "chat.postMessage", "token_revoked"),
        ({"setup": Setup(app_token_error="invalid_auth")}, "app", "apps.connections.open", "invalid_auth"),
        ({"setup": Setup(config_token_error="token_expired")}, "config", "apps.manifest.export", "token_expired"),
        ({"setup": Setup(app_token_scopes=frozenset())}, "app", "apps.connections.open", "missing_scope"),
        ({"setup": Setup(post_error="restricted_action")}, "bot", "chat.postMessage", "restricted_action"),
    ],
    indirect=["sandbox"],
)
async def test_app_that_is_set_up_wrongly_is_refused(
    sandbox: Sandbox, web: AsyncWebClient, token: str, method: str, error: str
) -> None:
    web.token = getattr(sandbox.tokens, token)
    assert await error_of(web, method, channel=GENERAL, text="x", app_id="A0BOT") == error


@pytest.mark.slack(setup=Setup(clock_ahead_s=600, lists_scopes=False))
async def test_headers_contain_the_clock_and_the_scopes(web: AsyncWebClient) -> None:
    headers = (await web.auth_test()).headers
    assert "X-OAuth-Scopes" not in headers
    assert 590 < parsedate_to_datetime(headers["Date"]).timestamp() - time.time() <= 600


async def test_bots_info_names_the_bots_app(web: AsyncWebClient) -> None:
    bot = (await web.bots_info(bot="B0BOT"))["bot"]
    assert (bot["app_id"], bot["user_id"]) == ("A0BOT", "U0BOT")


@pytest.mark.slack(manifest={**manifests.classic(), "_metadata": {"major_version": 2}})
async def test_exported_manifest_contains_what_slack_adds(sandbox: Sandbox, web: AsyncWebClient) -> None:
    web.token = sandbox.config_token
    exported = (await web.apps_manifest_export(app_id="A0BOT"))["manifest"]
    assert await error_name(web.apps_manifest_export(app_id="A0OTHER")) == "app_not_found"
    assert exported.pop("settings") == {**manifests.classic()["settings"], "is_mcp_enabled": False}
    assert exported == {key: value for key, value in manifests.classic().items() if key != "settings"}


@pytest.mark.slack(budgets={"apps.manifest.create": 9})
async def test_app_is_created_from_a_manifest_that_follows_the_rules(sandbox: Sandbox, web: AsyncWebClient) -> None:
    web.token = sandbox.config_token
    wrong: tuple[str, ...] = ("no JSON", "[" * 2_000, "[]", json.dumps({**manifests.classic(), "surprise": 1}))
    for text in wrong:
        assert await error_name(web.apps_manifest_create(manifest=text)) == "invalid_manifest"
    created = await web.apps_manifest_create(manifest=json.dumps(manifests.classic()))
    assert created["app_id"] == "A0NEW1"
    assert set(created["credentials"]) == {"client_id", "client_secret", "verification_token", "signing_secret"}
    exported = (await web.apps_manifest_export(app_id="A0NEW1"))["manifest"]
    assert exported["display_information"] == manifests.classic()["display_information"]
    assert (await web.apps_manifest_create(manifest=json.dumps(manifests.classic())))["app_id"] == "A0NEW2"


async def test_one_app_a_minute_is_created(sandbox: Sandbox, web: AsyncWebClient) -> None:
    web.token = sandbox.config_token
    await web.apps_manifest_create(manifest=json.dumps(manifests.classic()))
    assert await error_name(web.apps_manifest_create(manifest=json.dumps(manifests.classic()))) == "ratelimited"


@pytest.mark.slack(manifest=manifests.classic(app_home={"home_tab_enabled": True, "messages_tab_enabled": False}))
async def test_direct_messages_are_refused_without_a_messages_tab(sandbox: Sandbox, web: AsyncWebClient) -> None:
    for channel in ("U0ADA", sandbox.dm("ada")):
        assert await error_of(web, "chat.postMessage", channel=channel, text="x") == "messages_tab_disabled"


@pytest.mark.parametrize(("body", "error"), [("{", "invalid_json"), ("[]", "json_not_object")])
async def test_body_must_be_a_json_object(
    sandbox: Sandbox, session: aiohttp.ClientSession, body: str, error: str
) -> None:
    headers = {"Authorization": f"Bearer {sandbox.bot_token}", "Content-Type": "application/json"}
    async with session.post(sandbox.api_url + "auth.test", headers=headers, data=body) as answer:
        assert (await answer.json())["error"] == error


async def retry_after(web: AsyncWebClient, method: str, **arguments: str) -> int | None:
    try:
        await web.api_call(method, params=arguments)
    except SlackApiError as error:
        if error.response.status_code != 429 or error.response["error"] != "ratelimited":
            raise
        return int(error.response.headers["Retry-After"])
    return None


@pytest.mark.slack(budgets={"users.info": 3})
async def test_budget_applies_to_every_sliding_minute(clock: ManualTime, web: AsyncWebClient) -> None:
    answers = []
    for at_s in (0, 20, 40, 41.5, 60, 61, 80):
        clock.now_s = 1_000 + at_s
        answers.append(await retry_after(web, "users.info", user="U0ADA"))
    assert answers == [None, None, None, 19, None, 19, None]


@pytest.mark.slack(budgets={"users.info": 1})
async def test_methods_have_separate_budgets(web: AsyncWebClient) -> None:
    assert await retry_after(web, "users.info", user="U0ADA") is None
    assert await retry_after(web, "conversations.info", channel=GENERAL) is None
    assert await retry_after(web, "users.info", user="U0ADA") == 60


async def test_chat_update_is_limited_to_50_a_minute(web: AsyncWebClient) -> None:
    posted = await web.chat_postMessage(channel=GENERAL, text="0")
    edit = {"channel": GENERAL, "ts": posted["ts"], "text": "x"}
    waits = [await retry_after(web, "chat.update", **edit) for _ in range(51)]
    assert waits == [None] * 50 + [60]


async def test_posts_in_one_channel_are_limited_to_one_a_second_after_a_burst(
    clock: ManualTime, web: AsyncWebClient
) -> None:
    async def post(channel: str = GENERAL) -> int | None:
        return await retry_after(web, "chat.postMessage", channel=channel, text="x")

    assert [await post() for _ in range(11)] == [None] * 10 + [1]
    assert await post("C0RANDOM") is None
    clock.now_s += 1
    assert [await post(), await post()] == [None, 1]


async def test_strict_rule_takes_five_posts_and_starts_in_any_five_seconds(
    clock: ManualTime, sandbox: Sandbox, web: AsyncWebClient
) -> None:
    thread = await web.chat_postMessage(channel=GENERAL, text="x")
    start = {"thread_ts": thread["ts"], "recipient_user_id": "U0ADA", "recipient_team_id": sandbox.team_id}

    async def post(channel: str = GENERAL) -> int | None:
        return await retry_after(web, "chat.postMessage", channel=channel, text="x")

    async def stream() -> int | None:
        return await retry_after(web, "chat.startStream", channel=GENERAL, **start)

    sandbox.faults.start("strict_posts")
    assert [await stream(), await post(), await post(), await stream()] == [None] * 4
    assert [await post(), await stream()] == [5, 5]
    assert await post("C0RANDOM") is None
    clock.now_s += 4.9
    assert await post() == 1, "no post comes back before five seconds have passed"
    clock.now_s += 0.1
    assert [await post() for _ in range(6)] == [None] * 5 + [5]
    sandbox.faults.stop("strict_posts")
    assert await post() is None


FAULTS: list[tuple[str, FaultSettings, tuple[int, str | None]]] = [
    ("rate_limit", {"retry_after_s": 9}, (429, "ratelimited")),
    ("error_500", {}, (500, None)),
    ("internal_error", {}, (200, "internal_error")),
    ("refuse", {}, (200, "cant_update_message")),
    ("refuse", {"error": "edit_window_closed"}, (200, "edit_window_closed")),
    ("refuse", {"error": "message_not_found"}, (200, "message_not_found")),
]


@pytest.mark.parametrize(("name", "settings", "expected"), FAULTS)
async def test_fault_with_a_count_affects_only_its_method(
    sandbox: Sandbox, web: AsyncWebClient, name: str, settings: FaultSettings, expected: tuple[int, str | None]
) -> None:
    ts = (await web.chat_postMessage(channel=GENERAL, text="before"))["ts"]
    sandbox.faults.start(name, method="chat.update", times=2, **settings)  # type: ignore[misc]
    await web.chat_postMessage(channel=GENERAL, text="another method")
    for _ in range(2):
        response = await error_response(web.chat_update(channel=GENERAL, ts=ts, text="after"))
        assert (response.status_code, response.get("error")) == expected
        assert response.headers.get("Retry-After") == ("9" if name == "rate_limit" else None)
    assert sandbox.workspace.message(GENERAL, ts).text == "before"
    await web.chat_update(channel=GENERAL, ts=ts, text="after")


async def test_fault_without_a_count_stays_until_stopped(sandbox: Sandbox, web: AsyncWebClient) -> None:
    sandbox.faults.start("internal_error")
    for _ in range(3):
        assert await error_of(web, "auth.test") == "internal_error"
    sandbox.faults.stop("internal_error")
    await web.auth_test()


RAW: list[tuple[str, tuple[int, str, str]]] = [
    ("stream_timeout", (408, "text/plain", "stream timeout")),
    ("error_500", (500, "text/html", "<html>")),
    ("unavailable", (503, "text/plain", "upstream")),
    ("text_200", (200, "text/plain", "ok")),
    ("html_200", (200, "text/html", "<!DOCTYPE html>")),
    ("empty_200", (200, "application/json", "")),
    ("list_200", (200, "application/json", "[]")),
    ("internal_error", (200, "application/json", '{"ok": false, "error": "internal_error"}')),
    ("unknown_error", (200, "application/json", '{"ok": false, "error": "flux_capacitor_drained"}')),
    ("refuse", (200, "application/json", '{"ok": false, "error": "cant_update_message"}')),
]


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize(("name", "expected"), RAW)
async def test_broken_response_does_not_show_whether_the_call_took_effect(
    sandbox: Sandbox,
    web: AsyncWebClient,
    session: aiohttp.ClientSession,
    name: str,
    expected: tuple[int, str, str],
    done: bool,
) -> None:
    ts = (await web.chat_postMessage(channel=GENERAL, text="before"))["ts"]
    sandbox.faults.start(name, method="chat.update", times=1, done=done)
    headers = {"Authorization": f"Bearer {sandbox.bot_token}"}
    edit = {"channel": GENERAL, "ts": ts, "text": "after"}
    async with session.post(f"{sandbox.api_url}chat.update", headers=headers, json=edit) as answer:
        status, content_type, expected_start = expected
        assert (answer.status, answer.content_type) == (status, content_type)
        text = await answer.text()
        assert text.startswith(expected_start)
        assert bool(text) == bool(expected_start)
    assert sandbox.workspace.message(GENERAL, ts).text == ("after" if done else "before")
    assert sandbox.calls[-1].ok is done


@pytest.mark.parametrize("done", [False, True])
async def test_call_without_a_response_ends_when_the_client_disconnects(
    sandbox: Sandbox, web: AsyncWebClient, done: bool
) -> None:
    web.retry_handlers = []
    ts = (await web.chat_postMessage(channel=GENERAL, text="before"))["ts"]
    sandbox.faults.start("no_answer", times=1, done=done)
    before = len(sandbox.calls)
    call = asyncio.create_task(web.chat_update(channel=GENERAL, ts=ts, text="after"))
    await sandbox.wait_for(lambda: len(sandbox.calls) > before)
    call.cancel()
    await asyncio.wait((call,))
    assert call.cancelled()
    assert sandbox.workspace.message(GENERAL, ts).text == ("after" if done else "before")
    await web.chat_update(channel=GENERAL, ts=ts, text="again")


async def test_connection_is_refused_while_slack_is_unavailable(sandbox: Sandbox, web: AsyncWebClient) -> None:
    sandbox.faults.start("unavailable", times=1)
    await web.auth_test()
    assert (await error_response(web.apps_connections_open(app_token=sandbox.app_token))).status_code == 503
    assert (await web.apps_connections_open(app_token=sandbox.app_token))["url"]


@pytest.mark.parametrize(("name", "expected_text"), [("drop_request", "before"), ("lose_response", "after")])
async def test_lost_connection_does_not_show_whether_the_call_took_effect(
    sandbox: Sandbox, web: AsyncWebClient, name: str, expected_text: str
) -> None:
    web.retry_handlers = []
    ts = (await web.chat_postMessage(channel=GENERAL, text="before"))["ts"]
    sandbox.faults.start(name, times=1)
    with pytest.raises(aiohttp.ClientError):
        await web.chat_update(channel=GENERAL, ts=ts, text="after")
    assert sandbox.workspace.message(GENERAL, ts).text == expected_text


async def test_slow_call_does_not_delay_other_calls(sandbox: Sandbox, web: AsyncWebClient) -> None:
    sandbox.faults.start("slow", method="users.info", delay_s=2.0)
    started_s = time.monotonic()
    slow = asyncio.create_task(web.users_info(user="U0ADA"))
    await web.auth_test()
    assert not slow.done()
    await slow
    assert time.monotonic() - started_s >= 2.0


async def test_calls_are_recorded(sandbox: Sandbox, web: AsyncWebClient, clock: ManualTime) -> None:
    posted = await web.chat_postMessage(channel=GENERAL, text="one")
    clock.now_s += 5
    await error_response(web.chat_update(channel=GENERAL, ts="1700000000.000000", text="two"))
    done, failed = sandbox.calls
    assert (done.method, done.ok, done.channel, done.ts) == ("chat.postMessage", True, GENERAL, posted["ts"])
    assert (failed.method, failed.error, failed.at_monotonic_s) == ("chat.update", "message_not_found", 1_005)
    assert failed.arguments["text"] == "two"


async def test_wait_for_returns_soon_after_what_is_no_change_here(sandbox: Sandbox) -> None:
    done: list[bool] = []
    asyncio.get_running_loop().call_later(0.01, done.append, True)
    assert await sandbox.wait_for(lambda: done) == [True]


async def test_wait_for_returns_after_a_change_or_times_out(sandbox: Sandbox, web: AsyncWebClient) -> None:
    waiting = asyncio.create_task(sandbox.wait_for(lambda: sandbox.messages("general")))
    await web.chat_postMessage(channel=GENERAL, text="there")
    assert (await waiting)[0].text == "there"
    with pytest.raises(TimeoutError, match=r"waited 0\.02 s for .*; newest messages:\n.*there"):
        await sandbox.wait_for(lambda: False, timeout_s=0.02)


async def test_wait_for_ends_early_where_nothing_happens_any_more(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slack_sandbox.server._LOOK_S", 0.01)
    monkeypatch.setattr("slack_sandbox.server._QUIET_S", 0.05)
    with pytest.raises(TimeoutError, match=r"until nothing had happened here for 0\.05 s"):
        await sandbox.wait_for(lambda: False)
    with pytest.raises(TimeoutError, match=r"waited 0\.2 s"):
        await sandbox.wait_for(lambda: False, timeout_s=0.2)


async def test_wait_for_ends_at_once_when_a_test_gives_up(sandbox: Sandbox) -> None:
    waiting = asyncio.create_task(sandbox.wait_for(lambda: False))
    await asyncio.sleep(0)
    sandbox.give_up("the app has failed")
    for wait in (waiting, sandbox.wait_for(lambda: False)):
        with pytest.raises(TimeoutError, match=r"gave up \(the app has failed\)"):
            await wait
    assert await sandbox.wait_for(lambda: True)
