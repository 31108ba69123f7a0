"""The page's routes: state, live updates, actions, and protection against other sites."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from slack_sandbox.files import UploadedFile
from slack_sandbox.server import Sandbox, find_port
from slack_sandbox.testing.processes import WITHIN_S
from slack_sandbox.workspace import Channel, Json
from tests.conftest import ManualTime, SdkApp

GENERAL = "C0GENERAL"
PNG = b"\x89PNG\r\n\x1a\n"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>document.title = "run"</script></svg>'


class UpdateStream:
    """The page's stream of updates."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def next(self, event: str) -> Any:
        """Returns the data of the next event with this name. Skips other events."""
        async with asyncio.timeout(WITHIN_S):
            name = ""
            while line := (await self._response.content.readline()).decode():
                field, _, value = line.rstrip("\n").partition(": ")
                if field == "event":
                    name = value
                elif field == "data" and name == event:
                    return json.loads(value)
        raise AssertionError("the stream has ended")


@pytest.fixture
async def updates(sandbox: Sandbox, session: aiohttp.ClientSession) -> AsyncIterator[UpdateStream]:
    async with listening(sandbox, session) as updates:
        yield updates


@asynccontextmanager
async def listening(sandbox: Sandbox, session: aiohttp.ClientSession) -> AsyncIterator[UpdateStream]:
    async with session.get(f"{sandbox.url}/sandbox/events") as response:
        await response.content.readline()
        yield UpdateStream(response)


async def state(sandbox: Sandbox, session: aiohttp.ClientSession) -> Any:
    async with session.get(f"{sandbox.url}/sandbox/state") as answer:
        return await answer.json()


async def post(sandbox: Sandbox, session: aiohttp.ClientSession, path: str, body: Json) -> Any:
    async with session.post(f"{sandbox.url}/sandbox/{path}", json=body) as answer:
        return await answer.json()


async def test_members_of_the_workspace_can_join_public_channels_and_guests_cannot(
    sandbox: Sandbox, session: aiohttp.ClientSession, updates: UpdateStream
) -> None:
    channels = (
        Channel("C0EMPTY", "empty", "channel", []),
        Channel("C0OLD", "old", "channel", [], archived=True),
        Channel("C0SECRET", "secret", "group", []),
    )
    sandbox.workspace.channels.update({channel.id: channel for channel in channels})
    for user, channel in (("edith", "empty"), ("emmy", "empty"), ("grace", "old"), ("grace", "secret")):
        refused = await post(sandbox, session, "join", {"user_id": user, "channel": channel})
        assert refused["error"] in ("channel_not_found", "is_archived")
    assert await post(sandbox, session, "join", {"user_id": "grace", "channel": "empty"}) == {"ok": True}
    assert [channel.members for channel in channels] == [["U0GRACE"], [], []]
    assert await updates.next("members") == {"channel": "C0EMPTY", "members": ["U0GRACE"]}


async def test_people_live_where_the_visitor_does(sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
    away = sandbox.workspace.users["U0ALAN"]
    sandbox.workspace.users["U0ALAN"] = replace(away, tz="Asia/Tokyo")
    for zone in ("America/Los_Angeles", "Mars/Olympus", "../../etc/passwd", ""):
        await post(sandbox, session, "zone", {"zone": zone})
    zones = {user.name: user.tz for user in sandbox.workspace.users.values()}
    assert (zones["ada"], zones["alan"], zones["bot"]) == ("America/Los_Angeles", "Asia/Tokyo", "Etc/UTC")


async def test_state_has_the_bot_people_channels_messages_budgets_and_faults(
    sandbox: Sandbox, session: aiohttp.ClientSession, web: AsyncWebClient
) -> None:
    sandbox.set_note("scripted")
    root = await sandbox.say("ada", "general", "@bot *hi* <b>")
    blocks = [{"type": "markdown", "text": "**so**"}]
    await web.chat_postMessage(channel=GENERAL, text="so", blocks=blocks, thread_ts=root)
    await web.reactions_add(channel=GENERAL, timestamp=root, name="eyes")
    loaded = await state(sandbox, session)
    names = {"name": "bot", "real_name": "Bot"}
    assert loaded["bot"] == {"user_id": "U0BOT", **names, "connected": False, "note": "scripted"}
    assert [(person["name"], person["role"]) for person in loaded["people"]] == [
        ("ada", "owner"),
        ("grace", "admin"),
        ("alan", "member"),
        ("edith", "guest"),
        ("mary", "single-channel guest"),
        ("emmy", "external"),
        ("katherine", "deactivated"),
        ("deploys", "app"),
    ]
    assert {channel["type"] for channel in loaded["channels"]} == {"channel", "group", "im", "mpim"}
    question, answer = loaded["messages"]
    mention = '<span class="mention" data-user="U0BOT">@Bot</span>'
    assert question["html"] == f"<p>{mention} <strong>hi</strong> &lt;b&gt;</p>"
    assert (question["reply_count"], question["reactions"]) == (1, [{"name": "eyes", "users": ["U0BOT"]}])
    assert (answer["thread_ts"], answer["is_bot"], answer["text"]) == (root, True, "so")
    assert "<strong>so</strong>" in answer["html"]
    assert {"method": "chat.update", "used": 0, "limit": 50, "called": False} in loaded["budgets"]
    assert {fault["name"] for fault in loaded["faults"]} >= {"rate_limit", "slow", "drop_socket", "refresh"}


async def test_page_receives_changed_and_deleted_messages(
    sandbox: Sandbox, updates: UpdateStream, web: AsyncWebClient
) -> None:
    ts = (await web.chat_postMessage(channel=GENERAL, text="…"))["ts"]
    assert (await updates.next("message"))["text"] == "…"
    for text in ("a", "ab", "abc"):
        await web.chat_update(channel=GENERAL, ts=ts, text=text)
    update = await updates.next("message")
    while update["text"] != "abc":
        update = await updates.next("message")
    assert update["edited"] is False
    await web.chat_delete(channel=GENERAL, ts=ts)
    assert await updates.next("deleted") == {"channel": GENERAL, "ts": ts}


async def test_page_receives_the_new_reply_count(sandbox: Sandbox, updates: UpdateStream) -> None:
    root = await sandbox.say("ada", "general", "root")
    for count in range(3):
        update = await updates.next("message")
        while (update["ts"], update["reply_count"]) != (root, count):
            update = await updates.next("message")
        await sandbox.say("grace", "general", "reply", root)


async def test_page_receives_status_budgets_faults_and_bot_state(
    sandbox: Sandbox, updates: UpdateStream, web: AsyncWebClient, app: SdkApp
) -> None:
    root = await sandbox.say("ada", "general", "question")
    await web.assistant_threads_setStatus(channel_id=GENERAL, thread_ts=root, status="is thinking…")
    assert await updates.next("status") == {"channel": GENERAL, "thread_ts": root, "text": "is thinking…"}
    sandbox.faults.start("slow", times=2)
    (slow,) = [fault for fault in await updates.next("faults") if fault["name"] == "slow"]
    assert (slow["on"], slow["remaining"]) == (True, 2)
    sandbox.faults.stop("slow")
    await app.connect()
    assert (await updates.next("bot"))["connected"] is True
    used = {budget["method"]: budget["used"] for budget in await updates.next("budgets")}
    assert used["assistant.threads.setStatus"] == 1


async def test_page_receives_the_end_of_an_expired_status(
    sandbox: Sandbox, updates: UpdateStream, web: AsyncWebClient, clock: ManualTime
) -> None:
    root = await sandbox.say("ada", "general", "question")
    await web.assistant_threads_setStatus(channel_id=GENERAL, thread_ts=root, status="is thinking…")
    await updates.next("status")
    clock.now_s += 120
    assert await updates.next("status") == {"channel": GENERAL, "thread_ts": root, "text": ""}


async def test_slow_page_is_disconnected(sandbox: Sandbox, updates: UpdateStream) -> None:
    for _ in range(600):
        sandbox.faults.start("slow")
    with pytest.raises(AssertionError, match="ended"):
        await updates.next("never")


async def test_person_posts_edits_and_deletes(sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
    posted = await post(sandbox, session, "say", {"user_id": "U0ADA", "channel": GENERAL, "text": "@bot hi"})
    assert sandbox.messages("general")[0].text == "<@U0BOT> hi"
    message = {"channel": GENERAL, "ts": posted["ts"]}
    assert await post(sandbox, session, "edit", {**message, "text": "hello"}) == {"ok": True}
    assert sandbox.messages("general")[0].edited_ts is not None
    assert await post(sandbox, session, "delete", message) == {"ok": True}
    assert sandbox.messages("general") == []


@pytest.mark.parametrize(
    ("path", "body", "error"),
    [
        ("say", {"user_id": "U0ADA", "channel": GENERAL, "text": " "}, "no_text"),
        ("say", {"user_id": "U0ADA", "channel": "C0NOWHERE", "text": "x"}, "channel_not_found"),
        ("say", {"user_id": "U0ALAN", "channel": "C0MPDM", "text": "x"}, "not_in_channel"),
        ("say", {"channel": GENERAL, "text": "x"}, "invalid_arguments"),
        ("edit", {"channel": GENERAL, "ts": "1", "text": "x"}, "message_not_found"),
        ("fault", {"name": "earthquake", "on": True}, "unknown_fault"),
        ("fault", {"name": "refuse", "on": True, "times": "many"}, "invalid_arguments"),
    ],
)
async def test_refused_action_has_an_error_name(
    sandbox: Sandbox, session: aiohttp.ClientSession, path: str, body: Json, error: str
) -> None:
    assert await post(sandbox, session, path, body) == {"ok": False, "error": error}


async def test_people_cannot_change_the_bots_messages(
    sandbox: Sandbox, session: aiohttp.ClientSession, web: AsyncWebClient
) -> None:
    message = {"channel": GENERAL, "ts": (await web.chat_postMessage(channel=GENERAL, text="mine"))["ts"]}
    assert (await post(sandbox, session, "edit", {**message, "text": "x"}))["error"] == "cant_update_message"
    assert (await post(sandbox, session, "delete", message))["error"] == "cant_delete_message"


async def test_page_starts_and_stops_a_fault(sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
    await post(sandbox, session, "fault", {"name": "rate_limit", "on": True})
    assert sandbox.faults.active("rate_limit") is not None
    await post(sandbox, session, "fault", {"name": "rate_limit", "on": False})
    assert sandbox.faults.active("rate_limit") is None


async def test_page_sets_a_faults_settings(sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
    settings = {"method": "users.info", "times": 2, "error": "no_such_thing", "done": True}
    assert await post(sandbox, session, "fault", {"name": "refuse", "on": True, **settings}) == {"ok": True}
    fault = sandbox.faults.active("refuse")
    assert fault is not None
    assert {key: getattr(fault, key) for key in settings} == settings
    assert fault.detail == "users.info, no_such_thing, the call takes effect"


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Origin": "http://evil.example"}, "{}", 403),
        ({"Origin": "null"}, "{}", 403),
        ({"Host": "evil.example"}, "{}", 403),
        ({"Content-Type": "text/plain"}, "{}", 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, "text=x", 415),
    ],
)
async def test_requests_from_other_sites_are_refused(
    sandbox: Sandbox, session: aiohttp.ClientSession, headers: dict[str, str], body: str, status: int
) -> None:
    url, headers = f"{sandbox.url}/sandbox/say", {"Content-Type": "application/json", **headers}
    async with session.post(url, headers=headers, data=body) as answer:
        assert answer.status == status


async def test_page_has_a_strict_content_security_policy(sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
    async with session.get(sandbox.url) as answer:
        assert (answer.status, answer.content_type) == (200, "text/html")
        policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize(("name", "status"), [("app.js", 200), ("index.html", 404), ("..%2Froutes.py", 404)])
async def test_only_files_of_the_page_are_served(
    sandbox: Sandbox, session: aiohttp.ClientSession, name: str, status: int
) -> None:
    async with session.get(f"{sandbox.url}/static/{name}") as answer:
        assert answer.status == status


async def test_port_in_use_is_skipped(sandbox: Sandbox) -> None:
    assert find_port(sandbox.port) > sandbox.port


async def answers(sandbox: Sandbox, session: aiohttp.ClientSession) -> list[tuple[str, dict[str, int], int]]:
    """Returns the text, calls by method and failed calls of each answer, newest first."""
    entries = (await state(sandbox, session))["answers"]
    calls = [{call["method"]: call["count"] for call in answer["calls"]} for answer in entries]
    return [(answer["text"], counts, answer["failed"]) for answer, counts in zip(entries, calls, strict=True)]


async def test_calls_are_counted_for_the_answer_that_they_are_for(
    sandbox: Sandbox, session: aiohttp.ClientSession, web: AsyncWebClient
) -> None:
    first = await sandbox.say("ada", "general", "first?")
    second = await sandbox.say("grace", "general", "second?")
    posted = {}
    for root in (first, second):
        posted[root] = (await web.chat_postMessage(channel=GENERAL, text="…", thread_ts=root))["ts"]
        await web.conversations_replies(channel=GENERAL, ts=root)
    for text in ("a", "ab"):
        await web.chat_update(channel=GENERAL, ts=posted[first], text=text)
    sandbox.faults.start("refuse", method="chat.update", times=1, error="cant_update_message")
    with pytest.raises(SlackApiError):
        await web.chat_update(channel=GENERAL, ts=posted[second], text="a")
    await web.users_info(user="U0ADA")
    await web.conversations_info(channel=GENERAL)
    read = {"chat.postMessage": 1, "conversations.replies": 1}
    assert await answers(sandbox, session) == [
        ("second?", {**read, "chat.update": 1}, 1),
        ("first?", {**read, "chat.update": 2}, 0),
    ]


async def test_message_whose_metadata_names_an_earlier_question_is_counted_for_it(
    sandbox: Sandbox, session: aiohttp.ClientSession, web: AsyncWebClient
) -> None:
    asked = await sandbox.say("ada", sandbox.dm("ada"), "first?")
    await sandbox.say("ada", sandbox.dm("ada"), "second?")
    metadata = {"event_type": "page", "event_payload": {"question_ts": asked, "page": 1}}
    await web.chat_postMessage(channel=sandbox.dm("ada"), text="page 1", metadata=metadata)
    await web.chat_postMessage(channel=sandbox.dm("ada"), text="placeholder")
    once = {"chat.postMessage": 1}
    assert await answers(sandbox, session) == [("second?", once, 0), ("first?", once, 0)]


async def test_calls_of_the_newest_answers_are_kept(
    sandbox: Sandbox, session: aiohttp.ClientSession, web: AsyncWebClient
) -> None:
    for number in range(60):
        asked = await sandbox.say("ada", "general", f"question {number}?")
        await web.assistant_threads_setStatus(channel_id=GENERAL, thread_ts=asked, status="is thinking…")
    shown = [text for text, _, _ in await answers(sandbox, session)]
    assert shown == [f"question {number}?" for number in range(59, 51, -1)]


async def test_person_adds_and_removes_a_reaction(sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
    ts = await sandbox.say("grace", "general", "hello")
    reaction = {"user_id": "U0ADA", "channel": GENERAL, "ts": ts, "name": "eyes"}
    for add, refused in ((True, "already_reacted"), (False, "no_reaction")):
        assert await post(sandbox, session, "react", {**reaction, "add": add}) == {"ok": True}
        (message,) = (await state(sandbox, session))["messages"]
        assert message["reactions"] == ([{"name": "eyes", "users": ["U0ADA"]}] if add else [])
        assert await post(sandbox, session, "react", {**reaction, "add": add}) == {"ok": False, "error": refused}


async def test_all_faults_are_switched_off_at_once(sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
    for name in ("rate_limit", "slow"):
        await post(sandbox, session, "fault", {"name": name, "on": True})
    assert await post(sandbox, session, "stop_faults", {}) == {"ok": True}
    assert [fault["name"] for fault in (await state(sandbox, session))["faults"] if fault["on"]] == []


@pytest.mark.parametrize(
    ("upload", "content_type", "disposition"),
    [
        (UploadedFile("a.png", PNG), "image/png", "inline"),
        (UploadedFile("a.svg", SVG), "application/octet-stream", "attachment"),
        (UploadedFile("a.html", b"<script>1</script>"), "text/plain", "attachment"),
        (UploadedFile("a.pdf", b"%PDF"), "application/octet-stream", "attachment"),
        (UploadedFile("a.png", SVG, "text/html"), "application/octet-stream", "attachment"),
    ],
)
async def test_executable_content_is_only_saved(
    sandbox: Sandbox, session: aiohttp.ClientSession, upload: UploadedFile, content_type: str, disposition: str
) -> None:
    file = sandbox.files.add("U0ADA", upload)
    url = f"{sandbox.url}/sandbox/files/{file.id}"
    async with session.get(url) as answer:
        assert (answer.status, answer.content_type) == (200, content_type)
        assert answer.headers["Content-Disposition"].startswith(disposition)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    async with session.get(url, headers={"Host": "evil.example"}) as answer:
        assert answer.status == 403


@pytest.mark.parametrize(
    ("query", "content_type", "body", "status"),
    [
        ("user_id=U0ADA&name=a.txt", "text/plain", b"x", 415),
        ("user_id=U0NOBODY&name=a.txt", "application/octet-stream", b"x", 400),
        ("user_id=U0ADA&name=", "application/octet-stream", b"x", 400),
        ("user_id=U0ADA&name=a.txt", "application/octet-stream", b"", 400),
    ],
)
async def test_invalid_upload_is_refused(
    sandbox: Sandbox, session: aiohttp.ClientSession, query: str, content_type: str, body: bytes, status: int
) -> None:
    url, headers = f"{sandbox.url}/sandbox/upload?{query}", {"Content-Type": content_type}
    async with session.post(url, data=body, headers=headers) as answer:
        assert answer.status == status
