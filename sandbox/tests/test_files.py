"""File uploads, downloads and descriptions, through the real SDK and HTTP."""

import json
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import aiohttp
import pytest
from slack_sdk.web.async_client import AsyncWebClient

from slack_sandbox.faults import FaultSettings
from slack_sandbox.files import UploadedFile
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.requests import error_name, error_response
from slack_sandbox.workspace import Json
from tests.conftest import SdkApp

GENERAL = "C0GENERAL"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(200)


async def open_upload(web: AsyncWebClient, content: bytes, filename: str = "notes.md", **fields: str) -> Json:
    answer = await web.files_getUploadURLExternal(filename=filename, length=len(content), **fields)
    return {"id": answer["file_id"], "url": answer["upload_url"]}


async def upload_file(web: AsyncWebClient, session: aiohttp.ClientSession, content: bytes, **fields: str) -> str:
    upload = await open_upload(web, content, **fields)
    async with session.post(upload["url"], data=content) as answer:
        assert (answer.status, await answer.text()) == (200, f"OK - {len(content)}")
    return str(upload["id"])


async def share_file(sandbox: Sandbox, upload: UploadedFile) -> Json:
    ts = await sandbox.share("ada", "general", "@bot look", [upload])
    return sandbox.workspace.message(GENERAL, ts).files[0]


async def download_file(session: aiohttp.ClientSession, url: str, token: str) -> tuple[int, str, bytes]:
    async with session.get(url, headers={"Authorization": f"Bearer {token}"}, allow_redirects=False) as answer:
        return answer.status, answer.content_type, await answer.read()


# ---- uploads by the app


async def test_uploaded_file_is_posted_in_its_thread(sandbox: Sandbox, web: AsyncWebClient, app: SdkApp) -> None:
    await app.connect()
    root = await sandbox.say("ada", "general", "@bot write it down")
    answer = await web.files_upload_v2(
        channel=GENERAL, thread_ts=root, content="# Title\n\nText\n", filename="answer.md", initial_comment="All of it:"
    )
    (message,) = await sandbox.wait_for(lambda: sandbox.workspace.replies(GENERAL, root))
    (file,) = message.files
    assert (message.subtype, message.text, message.user_id) == ("file_share", "All of it:", sandbox.bot_user_id)
    assert (file["id"], file["title"], file["mode"]) == (answer["file"]["id"], "answer.md", "snippet")
    event = (await app.events(3))[-1]
    assert (event["subtype"], event["thread_ts"], event["files"][0]["id"]) == ("file_share", root, file["id"])
    assert answer["file"]["shares"] == {}  # Slack posts the message after this response.
    info = await web.files_info(file=file["id"])
    assert info["file"]["shares"]["public"][GENERAL][0] | {"ts": 0} == {
        "ts": 0,
        "thread_ts": root,
        "channel_name": "general",
        "team_id": sandbox.team_id,
    }


async def test_upload_accepts_a_form(sandbox: Sandbox, web: AsyncWebClient, session: aiohttp.ClientSession) -> None:
    upload = await open_upload(web, PNG, "a.png")
    form = aiohttp.FormData()
    form.add_field("filename", PNG, filename="a.png", content_type="image/png")
    async with session.post(upload["url"], data=form) as answer:
        assert answer.status == 200
    await web.files_completeUploadExternal(files=[{"id": upload["id"], "title": "A"}], channel_id=GENERAL)
    assert sandbox.files.get(upload["id"]).content == PNG


@pytest.mark.slack(share_delay_s=2.0)
async def test_message_with_a_file_comes_later_than_the_response(
    sandbox: Sandbox, web: AsyncWebClient, session: aiohttp.ClientSession
) -> None:
    files = [{"id": await upload_file(web, session, b"x"), "title": "t"}]
    before_s = time.monotonic()
    await web.files_completeUploadExternal(files=files, channel_id=GENERAL)  # type: ignore[arg-type]
    assert sandbox.messages("general") == []
    await sandbox.wait_for(lambda: sandbox.messages("general"))
    assert time.monotonic() - before_s >= 2.0


async def test_clip_gets_its_transcript_when_a_person_asks_for_it(sandbox: Sandbox) -> None:
    ts = await sandbox.share("ada", "general", "", [UploadedFile("Audio clip (2026-10-09 10:35:15).m4a", b"m4a")])
    (clip,) = sandbox.workspace.message(GENERAL, ts).files
    assert (clip["subtype"], clip["mimetype"], clip["transcription"]) == (
        "slack_audio",
        "audio/mp4",
        {"status": "none"},
    )
    await sandbox.transcribe(clip["id"], "What day is it today?")
    (clip,) = sandbox.workspace.message(GENERAL, ts).files
    preview = {"content": "What day is it today?", "has_more": False}
    assert clip["transcription"] == {"status": "complete", "locale": "en-US", "preview": preview}
    assert [delivery.payload["event"]["type"] for delivery in sandbox.deliveries] == ["message"]


async def test_transcript_of_a_clip_is_whole_in_its_captions(sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
    words = "Ada & Grace <3 " * 40
    ts = await sandbox.share("ada", "general", "", [UploadedFile("Audio clip (1).m4a", b"m4a", transcript=words)])
    (clip,) = sandbox.workspace.message(GENERAL, ts).files
    assert clip["transcription"]["preview"] == {"content": words[:500], "has_more": True}
    assert f"/files-tmb/{sandbox.team_id}-{clip['id']}-" in clip["vtt"]
    status, mimetype, captions = await download_file(session, clip["vtt"], sandbox.bot_token)
    assert (status, mimetype) == (200, "text/vtt")
    assert captions.startswith(b"WEBVTT\n\n1\n00:00:00.000 --> ")
    assert captions.count(b"Ada &amp; Grace &lt;3 ") == 40


async def test_file_is_described_only_where_it_is_shared_with_the_bot(sandbox: Sandbox, web: AsyncWebClient) -> None:
    sandbox.workspace.leave("general", sandbox.bot_user_id)
    file = await share_file(sandbox, UploadedFile("notes.md", b"# Notes"))
    assert await error_name(web.files_info(file=file["id"])) == "file_not_found"
    sandbox.workspace.join("general", sandbox.bot_user_id)
    assert (await web.files_info(file=file["id"]))["file"]["name"] == "notes.md"


async def test_canvas_is_served_as_a_page(sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
    canvas = await share_file(sandbox, UploadedFile("Plan.canvas", b"# Plan <1>"))
    assert (canvas["name"], canvas["mimetype"], canvas["filetype"]) == ("Plan", "application/vnd.slack-docs", "quip")
    assert await download_file(session, canvas["url_private"], sandbox.bot_token) == (
        200,
        "text/html",
        b"<html><head><title>Plan</title></head><body><pre># Plan &lt;1&gt;</pre></body></html>",
    )


@pytest.mark.parametrize("content", [PNG[:-1], PNG + b"x"])
async def test_upload_with_another_length_than_announced_is_refused(
    web: AsyncWebClient, session: aiohttp.ClientSession, content: bytes
) -> None:
    upload = await open_upload(web, PNG, "a.png")
    async with session.post(upload["url"], data=content) as answer:
        assert answer.status == 400
    assert await error_name(web.files_completeUploadExternal(files=[{"id": upload["id"]}])) == "file_not_found"


async def test_several_files_share_one_message_in_each_channel(
    sandbox: Sandbox, web: AsyncWebClient, session: aiohttp.ClientSession
) -> None:
    files = [{"id": await upload_file(web, session, b"x"), "title": "t"} for _ in range(2)]
    await web.files_completeUploadExternal(files=files, channels=["C0GENERAL", "U0ADA"])  # type: ignore[arg-type]
    for channel in ("general", sandbox.dm("ada")):
        (message,) = await sandbox.wait_for(partial(sandbox.messages, channel))
        assert [file["id"] for file in message.files] == [file["id"] for file in files]


async def test_upload_without_a_channel_is_not_posted_and_cannot_be_completed_again(
    sandbox: Sandbox, web: AsyncWebClient, session: aiohttp.ClientSession
) -> None:
    files: list[dict[str, str | None]] = [{"id": await upload_file(web, session, b"x"), "title": "t"}]
    await web.files_completeUploadExternal(files=files)
    assert sandbox.messages("general") == []
    assert await error_name(web.files_completeUploadExternal(files=files, channel_id=GENERAL)) == "file_not_found"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"channel_id": "C0NOWHERE"}, "channel_not_found"),
        ({"channel_id": "U0ADA"}, "invalid_arguments"),
        ({"channel_id": GENERAL, "thread_ts": "nonsense"}, "invalid_thread_ts"),
        ({"channels": "C0GENERAL,C0RANDOM", "thread_ts": "1700000000.000000"}, "invalid_arguments"),
        ({"channels": ",".join(["C0GENERAL"] * 101)}, "channels_limit_exceeded"),
        ({"channel_id": GENERAL, "blocks": [{"type": "nothing"}]}, "invalid_blocks"),
        ({"channel_id": GENERAL, "files": "[]"}, "invalid_arguments"),
        ({"channel_id": GENERAL, "files": '[{"id": "F0NONE"}]'}, "file_not_found"),
    ],
)
async def test_refused_completion_can_be_retried(
    sandbox: Sandbox, web: AsyncWebClient, session: aiohttp.ClientSession, arguments: Json, error: str
) -> None:
    file_id = await upload_file(web, session, b"x")
    files = json.dumps([{"id": file_id, "title": "t"}])
    call = web.api_call("files.completeUploadExternal", json={"files": files, **arguments})
    assert await error_name(call) == error
    assert sandbox.messages("general") == []
    await web.files_completeUploadExternal(files=[{"id": file_id, "title": "t"}], channel_id=GENERAL)


async def test_snippet_type_takes_precedence_over_the_file_name(
    sandbox: Sandbox, web: AsyncWebClient, session: aiohttp.ClientSession
) -> None:
    code = b"\n".join(b"print(%d)" % number for number in range(9))
    file_id = await upload_file(web, session, code, filename="code.txt", snippet_type="python")
    await web.files_completeUploadExternal(files=[{"id": file_id, "title": "Code"}])
    file = (await web.files_info(file=file_id))["file"]
    assert (file["filetype"], file["pretty_type"], file["mode"]) == ("python", "Python", "snippet")
    assert (file["preview"].count("\n"), file["lines"], file["lines_more"]) == (4, 9, 4)


async def test_deleted_file_leaves_a_tombstone(sandbox: Sandbox, web: AsyncWebClient) -> None:
    answer = await web.files_upload_v2(channel=GENERAL, content="x", filename="a.txt")
    file_id = answer["file"]["id"]
    await sandbox.wait_for(lambda: sandbox.messages("general"))
    await web.files_delete(file=file_id)
    assert sandbox.messages("general")[0].files == ({"id": file_id, "mode": "tombstone"},)
    assert await error_name(web.files_info(file=file_id)) == "file_deleted"
    assert await error_name(web.files_delete(file=file_id)) == "file_deleted"


async def test_bot_cannot_delete_a_persons_file(sandbox: Sandbox, web: AsyncWebClient) -> None:
    file = await share_file(sandbox, UploadedFile("a.txt", b"x"))
    assert await error_name(web.files_delete(file=file["id"])) == "cant_delete_file"


CALLS: list[tuple[str, Callable[[AsyncWebClient], Awaitable[Any]]]] = [
    ("files:write", lambda web: web.files_getUploadURLExternal(filename="a", length=1)),
    ("files:write", lambda web: web.files_completeUploadExternal(files=[{"id": "F0", "title": "t"}])),
    ("files:write", lambda web: web.files_delete(file="F0")),
    ("files:read", lambda web: web.files_info(file="F0")),
]


@pytest.mark.parametrize(("scope", "call"), CALLS)
async def test_missing_scope_error_names_the_revoked_scope(
    sandbox: Sandbox, web: AsyncWebClient, scope: str, call: Callable[[AsyncWebClient], Awaitable[Any]]
) -> None:
    sandbox.granted.discard(scope)
    response = await error_response(call(web))
    assert (response["error"], response["needed"]) == ("missing_scope", scope)
    assert scope not in response["provided"].split(",")


async def test_comment_notifies_people_but_a_title_does_not(sandbox: Sandbox, web: AsyncWebClient) -> None:
    await web.files_upload_v2(channel=GENERAL, content="x", filename="a.md", title="<!here>", initial_comment="all")
    await sandbox.wait_for(lambda: sandbox.messages("general"))
    assert sandbox.workspace.notified == []
    await web.files_upload_v2(channel=GENERAL, content="x", filename="a.md", initial_comment="<!channel> look")
    (notification,) = await sandbox.wait_for(lambda: sandbox.workspace.notified)
    assert notification.control == "<!channel>"


# ---- files from people


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("Plan A.png", PNG, ("image/png", "png", "PNG", "hosted")),
        ("paper.pdf", b"%PDF-1.7", ("application/pdf", "pdf", "PDF", "hosted")),
        ("run.py", b"print(1)", ("text/plain", "python", "Python", "snippet")),
        ("data.csv", b"a,b", ("text/csv", "csv", "CSV", "snippet")),
        (
            "plan.xlsx",
            b"PK\x03\x04",
            (
                "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
                "xlsx",
                "Excel Spreadsheet",
                "hosted",
            ),
        ),
        ("big.log", b"x" * 1_000_001, ("text/plain", "text", "Plain Text", "hosted")),
        ("thing", b"\x00", ("application/octet-stream", "binary", "Binary", "hosted")),
    ],
)
async def test_shared_file_is_described_and_can_be_downloaded(
    sandbox: Sandbox,
    session: aiohttp.ClientSession,
    app: SdkApp,
    name: str,
    content: bytes,
    expected: tuple[str, str, str, str],
) -> None:
    await app.connect()
    await share_file(sandbox, UploadedFile(name, content))
    event = (await app.events(1))[0]
    (file,) = event["files"]
    assert (event["type"], file["name"], file["size"]) == ("app_mention", name, len(content))
    assert (file["mimetype"], file["filetype"], file["pretty_type"], file["mode"]) == expected
    for key in ("url_private", "url_private_download"):
        assert await download_file(session, file[key], sandbox.bot_token) == (200, expected[0], content)
    assert {download.sent_bytes for download in sandbox.files.downloads} == {len(content)}


@pytest.mark.parametrize(("token", "revoked_scope"), [("xoxb-wrong", ""), ("", ""), ("bot", "files:read")])
async def test_download_without_token_or_scope_is_redirected_to_a_sign_in_page(
    sandbox: Sandbox, session: aiohttp.ClientSession, token: str, revoked_scope: str
) -> None:
    file = await share_file(sandbox, UploadedFile("a.png", PNG))
    sandbox.granted.discard(revoked_scope)
    token = getattr(sandbox.tokens, token, token)
    assert (await download_file(session, file["url_private_download"], token))[0] == 302
    headers = {"Authorization": f"Bearer {token}"}
    async with session.get(file["url_private_download"], headers=headers) as answer:
        assert (answer.status, answer.content_type, answer.url.path) == (200, "text/html", "/signin")
        assert b"Sign in" in await answer.read()


FAULTS: list[tuple[str, FaultSettings, int, int]] = [
    ("file_redirect", {"location": "http://127.0.0.1:9/elsewhere"}, 302, 0),
    ("file_refused", {"status": 404}, 404, 0),
    ("file_larger", {"more_bytes": 100_000}, 200, 100_000 + len(PNG)),
    ("file_slow", {"delay_s": 0.01}, 200, len(PNG)),
]


@pytest.mark.parametrize(("name", "settings", "status", "size_bytes"), FAULTS)
async def test_download_fault_applies_once(
    sandbox: Sandbox, session: aiohttp.ClientSession, name: str, settings: FaultSettings, status: int, size_bytes: int
) -> None:
    file = await share_file(sandbox, UploadedFile("a.png", PNG))
    sandbox.faults.start(name, times=1, **settings)  # type: ignore[misc]
    answer = await download_file(session, file["url_private_download"], sandbox.bot_token)
    assert (answer[0], len(answer[2])) == (status, size_bytes)
    assert await download_file(session, file["url_private_download"], sandbox.bot_token) == (200, "image/png", PNG)


async def test_client_can_close_the_connection_of_an_endless_download(
    sandbox: Sandbox, session: aiohttp.ClientSession
) -> None:
    file = await share_file(sandbox, UploadedFile("a.png", PNG))
    sandbox.faults.start("file_larger", times=1, more_bytes=10**12)
    headers = {"Authorization": f"Bearer {sandbox.bot_token}"}
    async with session.get(file["url_private"], headers=headers) as answer:
        assert answer.headers.get("Content-Length") is None
        await answer.content.readexactly(1_000_000)
    assert sandbox.files.downloads[-1].sent_bytes < 100_000_000
