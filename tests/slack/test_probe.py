"""`typist probe-slack` in the sandbox, and in a sandbox that responds differently to everything."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import IO, Any

import pytest
from aiohttp import ClientSession, web

from bot.checks.report import CheckStatus
from bot.cli.probe_slack import Terminal
from bot.cli.smoke_conversations import SmokeResult
from bot.clock import SystemClock
from bot.errors import SettingsError
from bot.slack.client import SlackClient, new_session
from bot.slack.manifest import app_manifest
from slack_probe import report as reports
from slack_probe.bench import OPENING, Bench
from slack_probe.checks import CHECKS, GROUPS, Check, Observed
from slack_probe.expectations import EXPECTED
from slack_probe.report import Report, run_checks
from slack_sandbox.blocks import newer_rules
from slack_sandbox.server import Sandbox
from slack_sandbox.web_api.budgets import PostRule
from slack_sandbox.workspace import Channel, Json

pytestmark = pytest.mark.skips_waits

CHANNEL = "C0PROBE12345"
BUDGETS = {"blocks.validate": 1_000, "chat.delete": 1_000}


@dataclass(eq=False)
class Person:
    """Who runs the command: sees what is asked, unless it differs, and sends a message in the pane."""

    sandbox: Sandbox
    differs: bool = False
    asked: list[str] = field(default_factory=list)

    async def __call__(self, question: str) -> bool | None:
        self.asked.append(question)
        if "pane" in question:
            await self._open_pane()
        # The only question that "no" is expected for.
        return ("button" in question) is self.differs

    async def _open_pane(self) -> None:
        client, dm = self.sandbox.client("U0ADA"), self.sandbox.dm("U0ADA")
        if self.differs:
            self.sandbox.emit({"type": "message", "channel": dm, "user": "U0ADA", "text": "secret words", "ts": "1.0"})
            return
        client.open_tab("messages")
        client.look_at("C0GENERAL")
        await self.sandbox.say("U0ADA", dm, "secret words")


@dataclass(eq=False)
class Differing:
    """A server before the sandbox, whose responses differ in each fact that a check observes."""

    sandbox: Sandbox
    posts: int = 0

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        app = web.Application(client_max_size=2**24)
        app.router.add_post("/api/{method}", self._handle)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        async with ClientSession() as self.session:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/api/"
        await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.Response:
        method, form = request.match_info["method"], dict(await request.post())
        if refusal := self._refusal(method, str(form)):
            headers = {"Retry-After": "1"} if refusal == "ratelimited" else {}
            return web.json_response({"ok": False, "error": refusal}, status=429 if headers else 200, headers=headers)
        headers = {"Authorization": request.headers["Authorization"]}
        async with self.session.post(f"{self.sandbox.api_url}{method}", data=form, headers=headers) as response:
            body: Json = await response.json()
            scopes = f"{response.headers.get('X-OAuth-Scopes', '')},search:read.im"
        if method == "chat.update" and body.get("error") == "block_mismatch":
            body = {"ok": True}
        for message in body.get("messages") or ():
            message |= {"attachments": [{"from_url": "https://docs.slack.dev/"}]}
            message.pop("blocks", None)
        return web.json_response(body, headers={"X-OAuth-Scopes": scopes})

    def _refusal(self, method: str, form: str) -> str:
        """Returns an error where the sandbox accepts a call."""
        if method == "chat.postMessage" and "Burst, post" in form:
            self.posts += 1
            return "ratelimited" if self.posts <= 13 else ""
        if (method == "chat.update" and "Edit " in form) or (method == "chat.appendStream" and "Append" in form):
            return "ratelimited"
        if method == "chat.update" and form.count("rich_text'") + form.count('"rich_text"') and "Other" in form:
            return "block_mismatch"
        if method == "chat.startStream" and "T0PARTNERS" in form:
            return "not_allowed"
        if method == "blocks.validate":
            return "invalid_blocks"
        return {"assistant.threads.setStatus": "not_allowed", "chat.postEphemeral": "user_not_in_channel"}.get(
            method, ""
        )


@asynccontextmanager
async def slack(**options: Any) -> AsyncIterator[Sandbox]:
    time = asyncio.get_running_loop().time
    async with Sandbox(manifest=app_manifest(agent=True), budgets=BUDGETS, monotonic=time, **options) as sandbox:
        members = ["U0ADA", "U0GRACE", "U0EMMY", sandbox.bot_user_id]
        sandbox.workspace.channels[CHANNEL] = Channel(CHANNEL, "typist-probe", "channel", members, creator="U0ADA")
        yield sandbox


async def smoke(status: CheckStatus = CheckStatus.OK) -> Sequence[SmokeResult]:
    return [SmokeResult("openai/private-name", "question", status, "secret words", 1, 0, 1, 0.0, 0.0)]


@asynccontextmanager
async def bench_at(sandbox: Sandbox, api_url: str, person: Person, channel: str = CHANNEL) -> AsyncIterator[Bench]:
    async with new_session() as session:
        bot, app = (SlackClient(token, api_url, session) for token in (sandbox.bot_token, sandbox.app_token))
        status = CheckStatus.FAIL if person.differs else CheckStatus.OK
        yield Bench(bot, app, SystemClock(), channel, person, lambda: smoke(status))


async def report_of(sandbox: Sandbox, groups: Sequence[str] = tuple(GROUPS)) -> Report:
    report = Report()
    async with bench_at(sandbox, sandbox.api_url, Person(sandbox)) as bench:
        await run_checks(bench, groups, report)
    return report


def test_each_expectation_belongs_to_a_check_and_has_a_source() -> None:
    assert {key.partition(".")[0] for key in EXPECTED} == {check.id for check in CHECKS}
    assert all(row.source and row.question for row in EXPECTED.values())
    assert {check.group for check in CHECKS} == set(GROUPS)


async def test_sandbox_is_as_expected_and_keeps_no_message() -> None:
    async with slack() as sandbox:
        report = await report_of(sandbox)
        assert report.missing == {}
        assert {key: one.value for key, one in report.observed.items()} == {
            key: row.observed for key, row in EXPECTED.items()
        }
        assert (report.different(), report.remaining, report.is_complete) == ({}, 0, True)
        assert sandbox.messages(CHANNEL) == []
        posted = {call.channel for call in sandbox.calls if call.method in ("chat.postMessage", "chat.startStream")}
        assert posted == {CHANNEL}


async def test_each_difference_is_reported() -> None:
    async with slack(posts=PostRule(1_000, None, frozenset())) as sandbox:
        person, report = Person(sandbox, differs=True), Report()
        async with Differing(sandbox).serve() as url, bench_at(sandbox, url, person) as bench:
            await run_checks(bench, list(GROUPS), report)
        assert set(EXPECTED) - set(report.different()) == set()
        assert (report.missing, sandbox.messages(CHANNEL)) == ({}, [])
        lines = report.markdown("today").splitlines()
    assert [line for line in lines if line.startswith("| =")] == []
    assert len([line for line in lines if line.startswith("| **≠**")]) == len(EXPECTED)


@pytest.mark.parametrize("differs", [False, True])
async def test_report_has_no_names_text_ids_or_tokens(differs: bool) -> None:
    async with slack() as sandbox:
        person, report = Person(sandbox, differs=differs), Report()
        async with (
            Differing(sandbox).serve() as url,
            bench_at(sandbox, url if differs else sandbox.api_url, person) as bench,
        ):
            await run_checks(bench, list(GROUPS), report)
        private = [CHANNEL, sandbox.bot_token, sandbox.app_token, *sandbox.workspace.users, "secret", "private-name"]
        private += [one.name for one in sandbox.workspace.users.values() if one.bot_id is None]
    shown = report.markdown("today")
    assert [word for word in private if re.search(rf"\b{re.escape(word)}\b", shown)] == []


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        ("no U0123456789 here", "no … here"),
        ("for xoxb-1-2-abc and xapp-1-A", "for … and …"),
        ("see https://a.example/x?y=1 now", "see … now"),
        ("at 1764000000.000100, <@U1>", "at …, …"),
        ("a|b\nc", "a\\|b c"),
    ],
)
def test_secrets_in_details_are_left_out(error: str, shown: str) -> None:
    report = Report({"forms.all": Observed("all", "invalid_view", error)})
    assert f"| invalid_view: {shown} |" in report.markdown("today")


async def test_forms_that_slack_refuses_are_listed_with_their_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newer_rules, "CHART_TITLE", 3)
    async with slack() as sandbox:
        sandbox.faults.start("rate_limit", method="blocks.validate", times=2, retry_after_s=1)
        report = await report_of(sandbox, ["forms"])
    assert report.observed["forms.all"] == Observed(
        "all",
        "invalid_message",
        "answer: a chart: /blocks/1/title must be less than 4 characters<br>"
        "notice about a quota: /blocks/1/title must be less than 4 characters",
    )
    assert report.missing == {}


async def test_slack_that_validates_nothing_is_asked_once() -> None:
    async with slack() as sandbox:
        sandbox.faults.start("refuse", method="blocks.validate", error="unknown_method")
        report = await report_of(sandbox, ["forms"])
        assert len([call for call in sandbox.calls if call.method == "blocks.validate"]) == 1
    assert report.observed["forms.all"].value == "unknown_method"


async def broken(bench: Bench) -> AsyncIterator[Observed]:
    yield Observed("all", "accepted")
    raise ValueError("secret words")


async def test_broken_check_keeps_its_observations_and_ends_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "CHECKS", [Check("forms", "forms", broken), *CHECKS[1:]])
    async with slack() as sandbox:
        report = await report_of(sandbox, ["forms"])
    assert {"forms.all", "search.private"} == set(report.observed)
    assert report.missing["forms"].startswith("error: ValueError at ")
    assert "secret" not in str(report.missing)
    assert not report.is_complete


@pytest.mark.parametrize("lost", ["lose_response", "internal_error"])
async def test_post_whose_response_was_lost_is_deleted(lost: str) -> None:
    async with slack() as sandbox:
        sandbox.faults.start(lost, method="chat.postMessage", times=1, match_text="A reply.", done=True)
        report = await report_of(sandbox, ["threads"])
        assert "ephemeral" in report.missing
        assert (report.remaining, sandbox.messages(CHANNEL)) == (0, [])


async def test_message_that_cannot_be_deleted_is_counted() -> None:
    async with slack() as sandbox:
        sandbox.faults.start("refuse", method="chat.delete", error="cant_delete_message")
        report = await report_of(sandbox, ["forms"])
    assert (report.remaining, report.is_complete) == (1, False)
    assert "1 messages couldn't be deleted." in report.markdown("today")


async def test_interrupted_checks_delete_their_posts() -> None:
    async with slack() as sandbox:
        running = asyncio.create_task(report_of(sandbox, ["bursts", "threads"]))
        await sandbox.wait_for(lambda: [call for call in sandbox.calls if "Burst, post" in str(call.arguments)])
        await sandbox.wait_for(lambda: [call for call in sandbox.calls if call.method == "chat.startStream"])
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert sandbox.messages(CHANNEL) == []


async def test_calls_are_limited_and_posts_deleted_after_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slack_probe.bench.MAX_CALLS", 40)
    async with slack() as sandbox:
        report = await report_of(sandbox, ["forms", "bursts"])
        assert sandbox.messages(CHANNEL) == []
    assert set(report.missing.values()) == {"limit of 40 calls"}


async def test_time_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "WITHIN_S", 30.0)
    async with slack() as sandbox:
        report = await report_of(sandbox, ["forms", "bursts", "threads"])
        assert sandbox.messages(CHANNEL) == []
    assert report.observed.keys() >= {"forms.all", "posts.1"}
    assert report.missing["ephemeral"] == "limit of time"


@pytest.mark.parametrize(
    ("channel", "problem"),
    [("C0GENERAL", "must begin with typist-probe"), ("C0EMPTY", "Join the channel yourself")],
)
async def test_other_channels_are_rejected_before_a_post(channel: str, problem: str) -> None:
    async with slack() as sandbox:
        bot = sandbox.bot_user_id
        sandbox.workspace.channels["C0EMPTY"] = Channel("C0EMPTY", "typist-probe-2", "channel", [bot, "U0EMMY"])
        async with bench_at(sandbox, sandbox.api_url, Person(sandbox), channel) as bench:
            with pytest.raises(SettingsError, match=problem):
                await run_checks(bench, list(GROUPS), Report())
        assert OPENING not in json.dumps([call.arguments for call in sandbox.calls])


async def test_what_is_not_there_is_not_observed() -> None:
    async with slack() as sandbox:
        sandbox.workspace.channels[CHANNEL].members.remove("U0EMMY")
        sandbox.granted.discard("assistant:write")
        report = await report_of(sandbox, ["threads", "pane"])
    assert report.missing["outsiders"] == "nobody from another organization is in the channel"
    assert report.missing["pane"] == "the app has no pane"
    assert report.observed["statuses.call"] == Observed("call", "accepted", "an app without Agents")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[IO[bytes]]:
    """Returns the other end of a terminal that is stdin."""
    ours, theirs = os.openpty()
    with os.fdopen(ours, "wb", 0) as keyboard, os.fdopen(theirs) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield keyboard


async def test_answers_are_read_line_by_line(terminal: IO[bytes]) -> None:
    asking = Terminal()
    terminal.write(b"y\nNO\n\nmaybe\n")
    assert [await asking.ask("Is it?") for _ in range(4)] == [True, False, None, None]


async def test_open_question_can_be_interrupted(terminal: IO[bytes]) -> None:
    waiting = asyncio.create_task(Terminal().ask("Is it?"))
    await asyncio.sleep(0.1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
