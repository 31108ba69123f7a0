"""Startup: the bot waits for an unavailable Slack; an invalid token ends the process with one sentence."""

import asyncio
import json
import logging
import re
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from bot import __version__, app
from bot.clock import SystemClock
from bot.core import texts
from bot.errors import SlackSetupError
from bot.settings import Settings
from bot.slack import client as slack_client
from bot.slack.manifest import OPTIONAL_SCOPES, app_manifest
from bot.slack.socket import CONNECTIONS, STEADY_S, WATCH_S
from bot.store import Stores
from slack_sandbox.faults import FaultSettings
from slack_sandbox.files import UploadedFile
from slack_sandbox.server import Sandbox
from slack_sandbox.setup import Setup
from slack_sandbox.testing.processes import WITHIN_S, wait_for_line
from slack_sandbox.web_api.http import METHODS as METHODS_OF_SLACK
from tests.forked import forked_bot, forked_command
from tests.processes import own_port
from tests.scenarios.answers import reply
from tests.scenarios.conftest import Stage, connected, grows, running, says, settings_of
from tests.scenarios.surfaces import ephemerals
from tests.slack_process import SlackProcess
from tests.streams.server import VendorRequest, VendorResponse, VendorServer, refusal

METHODS = {"auth.test": "SLACK_BOT_TOKEN", "apps.connections.open": "SLACK_APP_TOKEN"}
"""Which token each method is called with."""
PASSING: dict[str, tuple[str, FaultSettings]] = {
    "a rate limit": ("rate_limit", {"retry_after_s": 1}),
    "HTTP 500": ("error_500", {}),
    "a proxy's page": ("html_200", {}),
    "a connection that is cut": ("drop_request", {}),
}
"""Which failures may pass is in tests/slack/test_refusals.py."""
AT_ONCE_S = 20.0
"""More than a loaded machine needs, and less than BOT_DRAIN_S."""
BAD = ["invalid_auth", "token_revoked", "token_expired", "account_inactive", "not_allowed_token_type", "missing_scope"]


@pytest.mark.skips_waits
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("fault", "options"), PASSING.values(), ids=PASSING)
async def test_temporary_failure_is_logged_and_waited_out(
    sandbox: Sandbox,
    vendor: VendorServer,
    caplog: pytest.LogCaptureFixture,
    method: str,
    fault: str,
    options: FaultSettings,
) -> None:
    sandbox.faults.start(fault, **(options | FaultSettings(method=method, times=1)))
    with caplog.at_level(logging.WARNING):
        async with running(settings_of(sandbox, vendor)):
            stage = Stage(sandbox, vendor)
            assert await stage.answers("general", await stage.mention()) == ["The whole answer."]
    (line,) = [record.getMessage() for record in caplog.records if "not connected yet" in record.getMessage()]
    assert method in line
    assert re.search(r"Next try in 1 s\.$", line)
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.skips_waits
async def test_a_missing_scope_is_a_warning_and_the_bot_answers(
    sandbox: Sandbox, vendor: VendorServer, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.granted -= {"files:read", "commands"}
    with caplog.at_level(logging.WARNING):
        async with running(settings_of(sandbox, vendor)):
            stage = Stage(sandbox, vendor)
            assert await stage.answers("general", await stage.mention()) == ["The whole answer."]
    (line,) = [record.getMessage() for record in caplog.records if "setup: " in record.getMessage()]
    assert "commands (the slash command and the message shortcut don't work)" in line
    assert "files:read (shared files aren't read)" in line
    assert "api.slack.com/apps" in line
    assert [call.method for call in sandbox.calls].count("auth.test") == 1


@pytest.mark.skips_waits
async def test_database_of_another_workspace_is_logged_at_the_start(
    sandbox: Sandbox, vendor: VendorServer, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    theirs = await Stores.open(database_url, "w1", SystemClock())
    await theirs.listening.record_message_time("T0OTHER", 1_795_471_200.0)
    await theirs.close()
    with caplog.at_level(logging.WARNING):
        async with running(replace(settings_of(sandbox, vendor), database_url=database_url)):
            pass
    (line,) = [record.getMessage() for record in caplog.records if "setup: " in record.getMessage()]
    assert "database has data from T0OTHER (last used on 2026-11-23)" in line


@pytest.mark.skips_waits
async def test_what_an_admin_declined_is_left_out_and_named_once(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.granted -= OPTIONAL_SCOPES
    stage = Stage(sandbox, vendor)
    with caplog.at_level(logging.INFO):
        async with running(replace(settings, admins=frozenset({"U0ADA"}))):
            files = [UploadedFile("notes.txt", b"We ship on Friday.")]
            asked = await sandbox.share("ada", "general", "<@U0BOT> write it as a canvas", files)
            assert (await stage.answers("general", asked))[0].startswith("The whole answer.")
            await sandbox.wait_for(lambda: ("U0ADA", texts.canvases.FORBIDDEN) in ephemerals(stage))
            await sandbox.react("ada", "general", asked, "eyes")
            ada = sandbox.client("ada")
            await ada.command("general", "/typist mentions")
            assert ada.modal
            assert "reaction" not in [block.get("block_id") for block in ada.modal.blocks]
            assert await ada.submit({"system_prompt": "Be brief."}) == {}
    named = [record.getMessage() for record in caplog.records if "reactions:read" in record.getMessage()]
    assert len(named) == 1
    assert "Without optional scopes: canvases:read (shared and linked canvases aren't read); " in named[0]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert not any(delivery.payload["event"]["type"] == "reaction_added" for delivery in sandbox.deliveries)
    refused = {call.method for call in sandbox.calls if call.error == "missing_scope"}
    assert refused == set()


@pytest.mark.skips_waits
async def test_a_clock_that_is_wrong_is_a_warning_and_a_good_set_up_is_none(
    vendor: VendorServer, caplog: pytest.LogCaptureFixture
) -> None:
    for ahead_s, lines in ((0.0, 0), (120.0, 1)):
        caplog.clear()
        async with Sandbox(manifest=app_manifest(), setup=Setup(clock_ahead_s=ahead_s)) as sandbox:
            with caplog.at_level(logging.WARNING):
                async with running(settings_of(sandbox, vendor)):
                    pass
        assert sum("clock is about 120 s behind" in record.getMessage() for record in caplog.records) == lines
        assert len(caplog.records) == lines


@pytest.mark.parametrize(("method", "variable"), METHODS.items())
@pytest.mark.parametrize("error", BAD)
async def test_invalid_token_ends_the_start_with_one_sentence(
    sandbox: Sandbox, vendor: VendorServer, method: str, variable: str, error: str
) -> None:
    sandbox.faults.start("refuse", method=method, error=error)
    with pytest.raises(SlackSetupError, match=rf"{variable} \({error}\)\. .*api\.slack\.com"):
        await app.run(settings_of(sandbox, vendor), app.Shutdown(), lambda _: None)


@pytest.mark.slack(setup=Setup(is_organization=True))
async def test_token_of_an_organization_ends_the_start(sandbox: Sandbox, vendor: VendorServer) -> None:
    """With it, Slack would say of each member that they belong to another workspace."""
    with pytest.raises(SlackSetupError, match=r"SLACK_BOT_TOKEN belongs to an organization .*Install the app in one"):
        await app.run(settings_of(sandbox, vendor), app.Shutdown(), lambda _: None)


@pytest.mark.parametrize("token", ["SLACK_BOT_TOKEN", "SLACK_APP_TOKEN"])
async def test_process_with_an_invalid_token_says_so_and_exits_1(
    tmp_path: Path, sandbox: Sandbox, vendor: VendorServer, token: str
) -> None:
    env = {**connected(sandbox, vendor), token: f"{'xoxb' if 'BOT' in token else 'xapp'}-wrong"}
    code, out, err = await forked_command(tmp_path, "run", env=env)
    assert (code, out) == (1, "")
    (line,) = err.splitlines()
    assert line.startswith(f"typist: Slack doesn't accept {token} (invalid_auth).")


def _slack_env(api_url: str) -> dict[str, str]:
    return {**SlackProcess(None, api_url).env}  # type: ignore[arg-type]


@asynccontextmanager
async def silent_server() -> AsyncIterator[str]:
    """Yields the URL of a server that accepts connections and never answers, like a machine that hangs."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/api/"


async def test_waiting_start_is_unhealthy_and_ends_at_once_on_sigterm(
    tmp_path: Path, sandbox: Sandbox, vendor: VendorServer
) -> None:
    port = own_port()
    sandbox.faults.start("error_500", method="apps.connections.open")
    env = {**connected(sandbox, vendor), "BOT_HEALTH_PORT": str(port), "BOT_DRAIN_S": "60"}
    async with forked_bot(tmp_path, "run", env=env) as process:
        await wait_for_line(process.stderr, "not connected yet")
        status, health = await _health(port)
        assert (status, health["ok"], health["slack"]) == (503, False, 0)
        assert "Slack can't be reached" in str(health["problem"])
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(AT_ONCE_S):
            assert await process.wait() == 0


async def test_start_names_a_model_that_does_not_exist_and_answers_meanwhile(
    tmp_path: Path, sandbox: Sandbox, vendor: VendorServer
) -> None:
    looked_up = asyncio.Event()

    def answer(request: VendorRequest) -> VendorResponse:
        if request.method == "POST":
            return says("The whole answer.")
        missing = refusal(404, {"error": {"message": "no such model", "code": "model_not_found"}})
        return replace(missing, gates={0: looked_up.wait})

    vendor.script(answer)
    vendor.has_all_models = False
    stage = Stage(sandbox, vendor)
    async with forked_bot(tmp_path, "run", env=connected(sandbox, vendor)) as process:
        await wait_for_line(process.stdout, "is connected to Slack")
        assert await stage.answers("general", await stage.mention()) == ["The whole answer."]
        looked_up.set()
        await wait_for_line(process.stderr, "setup: model.openai/test: openai/test doesn't exist")


async def test_start_without_any_response_ends_at_once_on_sigterm(tmp_path: Path, vendor: VendorServer) -> None:
    port = own_port()
    async with silent_server() as api_url:
        env = {**_slack_env(api_url), "OPENAI_BASE_URL": f"{vendor.url}/v1", "BOT_MODELS": "openai/test"}
        async with forked_bot(tmp_path, "run", env={**env, "BOT_HEALTH_PORT": str(port)}) as process:
            while True:
                try:
                    status, health = await _health(port)
                    break
                except aiohttp.ClientError:
                    await asyncio.sleep(0.05)
            assert (status, health["database"]) == (503, "Typist is starting: the database is not open yet.")
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(AT_ONCE_S):
                assert await process.wait() == 0
            err = await process.stderr.read()
    assert b"Traceback" not in err
    assert b"Unclosed" not in err


async def test_draining_process_is_alive_but_not_ready(tmp_path: Path, sandbox: Sandbox, vendor: VendorServer) -> None:
    port = own_port()
    stage = Stage(sandbox, vendor)
    vendor.script(grows("word " * 60, gates={100: asyncio.Event().wait}))
    env = {**connected(sandbox, vendor), "BOT_HEALTH_PORT": str(port), "BOT_DRAIN_S": "600"}
    async with forked_bot(tmp_path, "run", env=env) as process:
        await wait_for_line(process.stdout, "is connected to Slack")
        assert (await _health(port))[0] == 200
        asked = await stage.mention()
        await reply(stage, asked, "word")
        process.send_signal(signal.SIGTERM)
        await wait_for_line(process.stderr, "stopping: live=1")
        status, health = await _health(port)
        assert (status, health["live"], health["problem"]) == (503, 1, "Typist is shutting down.")
        assert (await _health(port, "/healthz"))[0] == 200
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(WITHIN_S):
            assert await process.wait() == 0


async def _health(port: int, path: str = "/readyz") -> tuple[int, dict[str, object]]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as response:
        return response.status, json.loads(await response.text())


@pytest.fixture
def with_frequent_token_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slack_client, "CHECK_INTERVAL_S", 0.1)
    monkeypatch.setattr(slack_client, "LOOK_AGAIN_S", 0.1)
    monkeypatch.setattr("bot.slack.socket.LOOK_AGAIN_S", 0.5)


@pytest.mark.skips_waits
@pytest.mark.usefixtures("with_frequent_token_checks")
async def test_revoked_bot_token_is_logged_once_and_unhealthy(
    sandbox: Sandbox, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    port = own_port()
    async with running(replace(settings, health_at=("127.0.0.1", port))):
        assert (await _health(port))[0] == 200
        sandbox.faults.start("refuse", method="auth.test", error="token_revoked")
        seen = len(sandbox.calls)
        await sandbox.wait_for(lambda: len(sandbox.calls) >= seen + 4)
        status, health = await _health(port)
        assert status == 503
        assert str(health["problem"]).startswith("Slack doesn't accept SLACK_BOT_TOKEN (token_revoked).")
        assert len([record for record in caplog.records if "token_revoked" in record.getMessage()]) == 1
        sandbox.faults.stop("refuse")
        seen = len(sandbox.calls)
        await sandbox.wait_for(lambda: len(sandbox.calls) >= seen + 2)
        assert (await _health(port))[0] == 200


@pytest.mark.skips_waits
async def test_question_asked_while_the_bot_token_is_revoked_is_answered_once_when_it_works_again(
    sandbox: Sandbox,
    vendor: VendorServer,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The question itself finds out: its calls are refused long before the next look at the token."""
    monkeypatch.setattr(slack_client, "CONFIRM_DELAY_S", 0.3)

    def looks() -> int:
        return sum(call.method == "auth.test" for call in sandbox.calls)

    with caplog.at_level(logging.WARNING):
        async with running(settings):
            stage = Stage(sandbox, vendor)
            # The watch waits for a minute already: the next look at the token comes because of a refused call.
            monkeypatch.setattr(slack_client, "CHECK_INTERVAL_S", 0.5)
            monkeypatch.setattr(slack_client, "LOOK_AGAIN_S", 0.5)
            sandbox.faults.start("refuse", method=None, error="token_revoked")
            first, before = await stage.mention(), looks()
            await sandbox.wait_for(lambda: looks() > before)
            second = await stage.mention("and why that?")
            await sandbox.wait_for(lambda: all(delivery.acked_at_s for delivery in sandbox.deliveries))
            seen = looks()
            await sandbox.wait_for(lambda: looks() > seen + 1)
            assert (vendor.requests, stage.bots("general", first), stage.bots("general", second)) == ([], [], [])
            sandbox.faults.stop("refuse")
            answers = [*await stage.answers("general", first), *await stage.answers("general", second)]
    assert answers == ["The whole answer."] * 2
    assert len(vendor.requests) == 2
    assert sum("SLACK_BOT_TOKEN (token_revoked)" in line for line in caplog.messages) == 1
    assert sum("Questions stay queued" in line for line in caplog.messages) == 1


@pytest.mark.skips_waits
@pytest.mark.bot(admins=frozenset({"U0GRACE"}))
async def test_admin_reads_in_a_direct_message_that_a_model_ends_soon(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bot looks within an hour of its start, and its own answers go on."""
    monkeypatch.setattr("bot.checks.daily.HOUR_S", 60.0)
    ends = datetime.now(UTC).date() + timedelta(days=20)
    model = {"id": "test", "object": "model", "created": 1, "owned_by": "x", "shutdown_date": ends.isoformat()}

    def answer(request: VendorRequest) -> VendorResponse:
        if request.path.endswith("/models/test"):
            return VendorResponse([json.dumps(model).encode()], content_type="application/json")
        return says("The whole answer.")

    vendor.has_all_models = False
    vendor.script(answer)
    stage, direct = Stage(sandbox, vendor), sandbox.dm("grace")
    async with running(settings):
        (message,) = await sandbox.wait_for(lambda: stage.bots(direct), 600)
        retires = f"openai/test retires on {ends:%B} {ends.day}, {ends.year}."
        assert message.text == f"{retires} Choose another model in BOT_MODELS before then."
        assert await stage.answers("general", await stage.mention()) == ["The whole answer."]
        assert len(stage.bots(direct)) == 1


@pytest.mark.skips_waits
async def test_revoked_app_token_is_reported_and_not_retried_in_a_tight_loop(
    sandbox: Sandbox, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    port = own_port()

    def tried() -> int:
        return sum(call.method == "apps.connections.open" for call in sandbox.calls)

    async with running(replace(settings, health_at=("127.0.0.1", port))):
        sandbox.faults.start("refuse", method="apps.connections.open", error="token_revoked")
        before = tried()
        sandbox.faults.start("drop_socket")
        await sandbox.wait_for(lambda: tried() == before + 2)
        # Each connection is tried once, and never again while other connections change.
        await asyncio.sleep(3 * WATCH_S)
        assert tried() == before + 2
        status, health = await _health(port)
        assert (status, health["slack"]) == (503, 0)
        assert str(health["problem"]).startswith("Slack doesn't accept SLACK_APP_TOKEN (token_revoked).")
    assert [record for record in caplog.records if "SLACK_APP_TOKEN (token_revoked)" in record.getMessage()]


@pytest.mark.skips_waits
@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("too_many_websockets", "Stop the other processes"),
        pytest.param("link_disabled", "Turn Socket Mode on", marks=pytest.mark.long),
    ],
)
@pytest.mark.long
async def test_connections_that_end_after_hello_are_opened_ever_more_rarely(
    sandbox: Sandbox,
    vendor: VendorServer,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    reason: str,
    advice: str,
) -> None:
    stage, port = Stage(sandbox, vendor), own_port()

    def opened_at() -> list[float]:
        return [call.at_monotonic_s for call in sandbox.calls if call.method == "apps.connections.open"]

    async with running(replace(settings, health_at=("127.0.0.1", port))):
        sandbox.faults.start("end_after_hello", error=reason)
        sandbox.faults.start("refresh")
        await asyncio.sleep(STEADY_S)
        before = len(opened_at())
        await asyncio.sleep(4 * STEADY_S)
        assert len(opened_at()) - before <= CONNECTIONS * 5
        status, health = await _health(port)
        assert (status, health["slack"]) == (503, 0)
        assert f"({reason}). " in str(health["problem"])
        assert advice in str(health["problem"])
        sandbox.faults.stop_all()
        await asyncio.sleep(3 * STEADY_S)
        status, health = await _health(port)
        assert (status, health["slack"], health.get("problem")) == (200, 2, None)
        await stage.answers("general", await stage.mention())
    assert sum(reason in record.getMessage() for record in caplog.records) == 1


@pytest.mark.skips_waits
@pytest.mark.long
async def test_connections_that_are_cut_every_20_s_are_away_for_10_s_at_most(
    sandbox: Sandbox, settings: Settings
) -> None:
    clock = asyncio.get_running_loop().time
    async with running(settings):
        for _ in range(8):
            await asyncio.sleep(20)
            sandbox.faults.start("drop_socket")
            cut_at = clock()
            await sandbox.wait_for(lambda: not sandbox.sockets.connections)
            await sandbox.wait_for(lambda: len(sandbox.sockets.connections) == CONNECTIONS)
            assert clock() - cut_at < STEADY_S - 20 + 3


@pytest.mark.skips_waits
async def test_connection_is_opened_again_after_a_failure_of_a_kind_that_nobody_foresaw(
    sandbox: Sandbox, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses = iter(["wss://[", "wss://\ud800/"])
    method = METHODS_OF_SLACK["apps.connections.open"]
    odd = replace(method, run=lambda app, args: {"url": next(addresses, None) or method.run(app, args)["url"]})
    async with running(settings):
        monkeypatch.setitem(METHODS_OF_SLACK, "apps.connections.open", odd)
        sandbox.faults.start("drop_socket")
        await sandbox.wait_for(lambda: not sandbox.sockets.connections)
        await sandbox.wait_for(lambda: len(sandbox.sockets.connections) == CONNECTIONS)
    assert next(addresses, None) is None


@pytest.mark.skips_waits
async def test_rate_limit_on_reconnecting_is_respected(sandbox: Sandbox, settings: Settings) -> None:
    def tried() -> list[float]:
        return [call.at_monotonic_s for call in sandbox.calls if call.method == "apps.connections.open"]

    async with running(settings):
        sandbox.faults.start("rate_limit", method="apps.connections.open", times=2, retry_after_s=3)
        before = len(tried())
        sandbox.faults.start("drop_socket")
        await sandbox.wait_for(lambda: len(sandbox.sockets.connections) == 2 and len(tried()) == before + 4)
        first, _, third, _ = tried()[before:]
        assert third - first >= 3


async def test_start_and_stop_have_a_line_in_the_log(
    sandbox: Sandbox, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "bot.app"):
        async with running(settings):
            pass
    assert [record.getMessage() for record in caplog.records if record.name == "bot.app"] == [
        f"started: typist={__version__} team={sandbox.team_id}",
        "stopping: live=0",
    ]
