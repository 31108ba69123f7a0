"""A Slack export as the sandbox's workspace: what is read, what search finds, and what is never shown."""

import io
import json
import struct
import zipfile
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from slack_sdk.web.async_client import AsyncWebClient

from slack_sandbox.export.archive import ExportError
from slack_sandbox.export.entries import MISSING_ROOT, ts_text
from slack_sandbox.export.opened import Export, open_export
from slack_sandbox.server import Sandbox
from slack_sandbox.testing import manifests
from slack_sandbox.text.words import words_of
from slack_sandbox.workspace import Json, Message
from tests.exports import (
    ADA,
    ALAN,
    DAY,
    DIRECT,
    GENERAL,
    GRACE,
    KOELN,
    PRIVATE,
    TOKEN,
    channel,
    export,
    packed,
    person,
    said,
    ts,
)

ALERT = {
    "type": "message",
    "subtype": "bot_message",
    "text": "",
    "ts": ts(50),
    "bot_id": "B07PAGER001",
    "username": "pagerhook",
    "attachments": [{"title": "High error rate", "fields": [{"title": "Host", "value": "ingest-eu-3"}]}],
}
DEPLOYMENT = {
    "type": "message",
    "user": ADA,
    "text": "Deployment",
    "ts": ts(51),
    "blocks": [{"type": "section", "fields": [{"type": "mrkdwn", "text": "*Reason*\nTimeouts in readings"}]}],
}
SNIPPET = said(
    52,
    GRACE,
    "",
    files=[
        {
            "id": "F07SNIPPET1",
            "name": "calibration.py",
            "mode": "snippet",
            "preview": "OFFSET_KELVIN = -0.37",
            "url_private": f"https://files.slack.com/files-pri/T07-F07/calibration.py?t={TOKEN}",
        }
    ],
)


def opened(general: Iterable[Any] = (), **more: Any) -> Export:
    return open_export(packed(export(general, **more)))


@asynccontextmanager
async def served(opened: Export) -> AsyncIterator[tuple[Sandbox, AsyncWebClient]]:
    manifest = manifests.agent()
    manifest["oauth_config"]["scopes"]["bot"].append("search:read.public")
    async with Sandbox(export=opened, manifest=manifest) as sandbox:
        yield sandbox, AsyncWebClient(sandbox.bot_token, base_url=sandbox.api_url)


async def history(web: AsyncWebClient, **arguments: Any) -> list[Json]:
    response = await web.conversations_history(channel=GENERAL, **arguments)
    return list(response["messages"])


async def found(sandbox: Sandbox, web: AsyncWebClient, query: str) -> list[str]:
    """Returns the ts of the search results, best first."""
    token = sandbox.panes.action_tokens.issue(sandbox.workspace.user(ADA).id)
    response = await web.api_call("assistant.search.context", data={"query": query, "action_token": token})
    return [hit["message_ts"] for hit in response["results"]["messages"]]


async def page_of(sandbox: Sandbox, **query: str) -> Json:
    url = f"{sandbox.url}/sandbox/messages"
    async with aiohttp.ClientSession() as session, session.get(url, params=query) as response:
        return dict(await response.json())


async def test_history_has_the_export_newest_first_and_what_is_said_since() -> None:
    async with served(opened([said(2, GRACE, "second"), said(1, ADA, "first")])) as (sandbox, web):
        assert not sandbox.deliveries
        await sandbox.say("ada", "general", "now")
        assert [message["text"] for message in await history(web)] == ["now", "second", "first"]
        assert [message["text"] for message in await history(web, limit=1)] == ["now"]
        assert [message["text"] for message in await history(web, latest=ts(2))] == ["first"]


async def test_thread_spans_days_and_its_broadcast_is_in_the_channel_once() -> None:
    root = said(1, ADA, "root")
    replies = [
        said(3, GRACE, "in both", thread_ts=ts(1), subtype="thread_broadcast"),
        said(2, GRACE, "reply", thread_ts=ts(1)),
    ]
    files = {f"general/{DAY}": [root], "general/2026-10-06.json": replies}
    async with served(opened(files=files)) as (_, web):
        assert [message["text"] for message in await history(web)] == ["in both", "root"]
        thread = await web.conversations_replies(channel=GENERAL, ts=ts(1))
        assert [message["text"] for message in thread["messages"]] == ["root", "reply", "in both"]
        assert thread["messages"][0]["reply_count"] == 2


async def test_reply_without_its_root_stands_below_a_mark() -> None:
    async with served(opened([said(2, ADA, "47 minutes", thread_ts=ts(1))])) as (_, web):
        thread = await web.conversations_replies(channel=GENERAL, ts=ts(1))
        assert [message["text"] for message in thread["messages"]] == [MISSING_ROOT, "47 minutes"]


@pytest.mark.parametrize(
    ("entry", "user_id", "name"),
    [
        (said(1, "U07OUTSIDE1", "hi", user_profile={"real_name": "Emmy Noether"}), "U07OUTSIDE1", "Emmy Noether"),
        (said(1, "U07GHOST001", "hi"), "U07GHOST001", "U07GHOST001"),
        (ALERT, "B07PAGER001", "pagerhook"),
        ({"text": "by nobody", "ts": ts(1)}, "U0UNKNOWN", "Unknown"),
        ({"text": "", "ts": ts(1), "subtype": "file_comment", "comment": {"user": GRACE}}, GRACE, "Grace"),
    ],
    ids=["outsider", "without a profile", "integration", "nobody", "comment"],
)
async def test_every_writer_has_an_account(entry: Json, user_id: str, name: str) -> None:
    async with served(opened([entry])) as (sandbox, _):
        [message] = sandbox.workspace.messages(GENERAL)
        assert (message.user_id, sandbox.workspace.users[message.user_id].real_name) == (user_id, name)


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("which HOST had the errors?", ALERT["ts"]),
        ("timeouts", DEPLOYMENT["ts"]),
        ("offset calibration", SNIPPET["ts"]),
        ("measurement of the drawings", ts(1)),
        ("Gärtnereien", ts(2)),
        ("北", ts(3)),
    ],
    ids=["attachment", "blocks", "snippet", "other forms", "German", "no spaces"],
)
async def test_any_word_of_a_message_finds_it(query: str, place: str) -> None:
    texts = [said(1, ADA, "I measured the drawing"), said(2, GRACE, "Die Gärtnerei will mehr"), said(3, ADA, "東北")]
    async with served(opened([*texts, ALERT, DEPLOYMENT, SNIPPET])) as (sandbox, web):
        assert (await found(sandbox, web, query))[0] == place


async def test_more_and_rarer_words_come_first_and_what_is_said_since_is_found() -> None:
    small_talk = [said(number, GRACE, "the build is back") for number in range(10, 30)]
    entries = [said(1, ADA, "the battery"), said(2, ADA, "battery of the sensor"), *small_talk]
    async with served(opened(entries)) as (sandbox, web):
        assert (await found(sandbox, web, "the sensor battery"))[:2] == [ts(2), ts(1)]
        new = await sandbox.say("ada", "general", "battery of the new sensor: CR123A")
        assert (await found(sandbox, web, "sensor CR123A"))[0] == new
        await sandbox.delete("general", ts(2))
        assert ts(2) not in await found(sandbox, web, "sensor battery")


async def test_search_names_each_message_of_an_integration_as_the_message_does() -> None:
    cron = ALERT | {"ts": ts(53), "username": "cron", "text": "Backup", "attachments": []}
    async with served(opened([ALERT, cron])) as (sandbox, web):
        arguments = {"query": "backup", "action_token": sandbox.panes.action_tokens.issue(ADA)}
        response = await web.api_call("assistant.search.context", data=arguments)
        assert [hit["author_name"] for hit in response["results"]["messages"]] == ["cron"]


async def test_only_members_have_private_channels_and_no_search_finds_them() -> None:
    secret = {
        f"people/{DAY}": [said(1, ADA, "the salary band")],
        f"{DIRECT}/{DAY}": [said(2, ADA, "the tooling salary")],
    }
    lists = {
        "groups.json": [channel(PRIVATE, "people", [ADA])],
        "dms.json": [{"id": DIRECT, "members": [ADA, GRACE]}],
    }
    async with served(opened(files=secret | lists)) as (sandbox, web):
        assert await found(sandbox, web, "salary") == []
        assert sandbox.workspace.channels[PRIVATE].members == [ADA, sandbox.bot_user_id]
        # Apps can't be in a direct message between two people.
        assert sandbox.workspace.channels[DIRECT].members == [ADA, GRACE]


async def test_deleted_and_former_texts_stay_hidden() -> None:
    changed = {"type": "message", "subtype": "message_changed", "ts": ts(2), "previous": {"text": "code 4471"}}
    deleted = {"type": "message", "hidden": True, "ts": ts(3), "previous": {"text": "code 4471"}, "text": "code 4471"}
    async with served(opened([said(1, ADA, "hello"), changed, deleted])) as (sandbox, web):
        assert [message["text"] for message in await history(web)] == ["hello"]
        assert await found(sandbox, web, "4471") == []
        assert sandbox.export is not None
        assert sandbox.export.report.counts["hidden"] == 2


async def test_no_token_of_a_files_address_is_left_anywhere() -> None:
    address = f"https://files.slack.com/files-pri/T07-F07/plan.png?t={TOKEN}"
    pictured = said(
        1,
        ADA,
        f"see <{address}|the plan> {TOKEN}",
        files=[{"id": "F07PLAN0001", "name": "plan.png", "url_private": address, "thumb_360": address}],
        attachments=[{"text": address, "image_url": address, "files": [{"id": "F1", "url_private": address}]}],
        blocks=[{"type": "image", "image_url": address, "alt_text": address}],
    )
    async with served(opened([pictured, SNIPPET])) as (sandbox, web):
        shown = json.dumps([await history(web), await page_of(sandbox, channel=GENERAL)])
        token = sandbox.panes.action_tokens.issue(ADA)
        arguments = {"query": "plan calibration", "action_token": token}
        shown += str((await web.api_call("assistant.search.context", data=arguments)).data)
        assert "plan.png" in shown
        assert "xoxe" not in shown
        assert "files.slack.com" not in shown


async def test_file_has_its_name_and_says_that_it_is_not_in_the_export() -> None:
    files = [{"id": "F07PLAN0001", "name": "plan.pdf", "size": 9}, {"id": "F07GONE0001", "mode": "tombstone"}, {}]
    async with served(opened([said(1, ADA, "here", files=files)])) as (sandbox, _):
        [message] = (await page_of(sandbox, channel=GENERAL))["messages"]
        kept, gone = message["files"]
        assert (kept["name"], kept["is_absent"], kept["url"]) == ("plan.pdf", True, "")
        assert gone["deleted"]


async def test_page_loads_a_channel_from_its_end() -> None:
    entries = [said(number, ADA, f"number {number}") for number in range(1, 121)]
    entries += [said(200 + number, GRACE, "reply", thread_ts=ts(120)) for number in range(30)]
    async with served(opened(entries)) as (sandbox, _):
        newest = await page_of(sandbox, channel=GENERAL)
        roots = [message for message in newest["messages"] if not message["thread_ts"]]
        assert [roots[0]["text"], roots[-1]["text"], len(roots)] == ["number 71", "number 120", 50]
        assert (roots[-1]["reply_count"], len(newest["messages"])) == (30, 70)
        before = await page_of(sandbox, channel=GENERAL, before=newest["oldest"])
        oldest = await page_of(sandbox, channel=GENERAL, before=before["oldest"])
        assert [page["has_more"] for page in (newest, before, oldest)] == [True, True, False]
        assert len(oldest["messages"]) == 20
        thread = await page_of(sandbox, channel=GENERAL, thread=ts(201))
        assert len(thread["messages"]) == 31


async def test_names_and_texts_are_drawn_as_data() -> None:
    name = "<img src=x onerror=alert(1)>"
    people = [person(ADA, "ada", profile={"display_name": name})]
    block = {"type": "section", "text": {"type": "mrkdwn", "text": name}}
    entries = [said(1, ADA, name, blocks=[block]), said(2, ADA, f"<@{ADA}>")]
    async with served(opened(entries, people=people)) as (sandbox, _):
        html = "".join(message["html"] for message in (await page_of(sandbox, channel=GENERAL))["messages"])
        assert "<img" not in html
        assert "&lt;img" in html


@pytest.mark.parametrize(
    "block",
    [{}, {"type": "section"}, {"type": 5}, {"type": "rich_text", "elements": [1]}, {"type": "context", "elements": 2}],
)
async def test_block_of_another_form_costs_no_message(block: Json) -> None:
    async with served(opened([said(1, ADA, "still here", blocks=[block]), said(2, ADA, "and this")])) as (sandbox, _):
        html = [message["html"] for message in (await page_of(sandbox, channel=GENERAL))["messages"]]
        assert len(html) == 2
        assert html[1] == "and this"


def test_names_of_folders_are_utf8_without_a_mark_and_may_stand_in_a_folder() -> None:
    files = export(files={f"kunden-köln/{DAY}": [said(1, ADA, "Grüße")]})
    nested = {f"larkfield/{name}": content for name, content in files.items()} | {"__MACOSX/._x": b"", ".DS_Store": b""}
    for each in (files, nested):
        assert len(open_export(packed(each)).indexes[KOELN]) == 1


def test_what_is_left_out_is_counted_and_named() -> None:
    entries = [
        said(1, ADA, "kept"),
        said(1, ADA, "the same time"),
        {"text": "no time"},
        said(9, ADA, "x" * 4_000_000),
        7,
    ]
    files = {"general/2026-10-06.json": b"[{", "general/canvas_in_the_conversation.json": [{}], f"gone/{DAY}": []}
    files |= {"integration_logs.json": [], "general/2026-10.json": [said(3, ADA, "a month")]}
    files |= {f"FC:F07PLAN0001:Plan/{DAY}": [said(4, ADA, "a comment")]}
    report = opened(entries, files=files, people=[*PEOPLE_TWICE]).report
    assert report.messages == 2
    assert list(report.left_out()) == [
        "1 file that can't be read (general/2026-10-06.json)",
        "1 file not read, because Slack doesn't name files like that (general/2026-10.json)",
        "1 folder without a listed conversation (gone)",
        "1 folder with comments on a canvas, which aren't part of a conversation (FC:F07PLAN0001:Plan)",
        "2 entries without a time",
        "1 entry with the same time as another one in its channel",
        "1 text over 40,000 characters, shortened to that length",
        "1 person or channel with an ID that is already used or isn't in Slack's format",
    ]


def test_words_of_ascii_text_are_those_of_any_text() -> None:
    text = "".join(chr(code) + "a1B" for code in range(128)) + " " + "x" * 50
    assert [*words_of(text), "ä"] == words_of(f"{text} ä")


def damaged(offset: int, signature: bytes) -> io.BytesIO:
    """Returns an export with one wrong byte, at this offset from the header of the second day."""
    days = {f"general/{DAY}": [said(1, ADA, "kept")], "general/2026-10-06.json": [said(2, ADA, "damaged")]}
    data = bytearray(packed(export(files=days)).getvalue())
    at = data.find(b"general/2026-10-06.json") if signature == b"PK\x03\x04" else data.rfind(b"general/2026-10-06.json")
    data[data.rfind(signature, 0, at) + offset] ^= 0x10
    return io.BytesIO(bytes(data))


@pytest.mark.parametrize(
    ("offset", "signature"),
    [(0, b"PK\x03\x04"), (26, b"PK\x03\x04"), (75, b"PK\x03\x04"), (16, b"PK\x01\x02"), (44, b"PK\x01\x02")],
    ids=["header", "length of the name", "content", "checksum", "offset"],
)
def test_file_that_is_not_what_the_zip_declares_is_left_out_and_named(offset: int, signature: bytes) -> None:
    read = open_export(damaged(offset, signature))
    assert list(read.report.left_out()) == ["1 file that can't be read (general/2026-10-06.json)"]
    assert [read.load_message(GENERAL, at).text for at in range(len(read.indexes[GENERAL]))] == ["kept"]


PEOPLE_TWICE = [person(ADA, "ada"), person(ADA, "other"), person(GRACE, "grace"), person(ALAN, "alan")]


def test_circle_of_threads_ends() -> None:
    entries = [
        said(1, ADA, "one", thread_ts=ts(2)),
        said(2, ADA, "two", thread_ts=ts(1)),
        said(3, ADA, "root"),
        said(4, ADA, "reply", thread_ts=ts(3)),
        said(5, ADA, "reply to a reply", thread_ts=ts(4)),
    ]
    read = opened(entries).indexes[GENERAL]
    roots = {ts_text(at): ts_text(root) if root else "" for at, root in zip(read.ts, read.roots, strict=True)}
    assert roots == {ts(1): "", ts(2): "", ts(3): "", ts(4): ts(3), ts(5): ts(3)}


def renamed(name: str) -> dict[str, Any]:
    return export(files={name: b"[]"})


def bomb() -> io.BytesIO:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("channels.json", "[]")
        archive.writestr(f"general/{DAY}", b"[" + b" " * 120_000_000 + b"]")
    return out


def twice(name: str) -> io.BytesIO:
    """Returns an export with two files of a name."""
    other = name.replace("a", "b")
    return io.BytesIO(packed(export(files={other: []})).getvalue().replace(other.encode(), name.encode()))


def many_names() -> io.BytesIO:
    """Returns the beginning of a ZIP, and the directory of one with a million files."""
    entry = b"PK\x01\x02" + bytes(24) + b"\x01" + bytes(17) + b"x"
    end = b"PK\x05\x06" + bytes(8) + struct.pack("<IIH", 1_000_000 * len(entry), 0, 0)
    return io.BytesIO(entry * 1_000_000 + end)


def encrypted() -> io.BytesIO:
    data = bytearray(packed(export()).getvalue())
    at = data.find(b"PK\x01\x02")
    data[at + 8] |= 1
    return io.BytesIO(bytes(data))


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (packed(renamed("../../etc/cron.d/x")), "leads outside it"),
        (packed(renamed("/etc/passwd")), "leads outside it"),
        (packed(renamed("C:/x.json")), "leads outside it"),
        (packed(renamed("general\\..\\..\\x")), "leads outside it"),
        (bomb(), "over 100 times"),
        (encrypted(), "password"),
        (io.BytesIO(b"not a zip"), "isn't a ZIP"),
        (io.BytesIO(packed(export()).getvalue()[:-100]), "incomplete"),
        (packed({"notes.json": [], "readme.txt": b""}), "no channels.json"),
        (packed({"channels/general.txt": b"hi"}), "as text"),
        (packed({"teams/one/channels.json": [], "teams/two/channels.json": []}), "several workspaces"),
        (packed(export() | {"teams/one/general/2026-10-05.json": []}), "several workspaces"),
        (packed({f"{folder}/{name}": [] for folder in "ab" for name in export()}), "several exports here, in a, b"),
        (packed(export(files={"channels.json": {}})), "channels.json is damaged"),
        (packed(export(files={"groups.json": b"[{"})), "groups.json is damaged"),
        (packed(export(files={"users.json": b""})), "users.json is damaged"),
        (packed(export(files={"dms.json": b"[" + b"{}," * 5_000_000 + b"{}]"})), "dms.json is damaged"),
        (packed(export(files={"channels.json": [{"id": 7}, 7]})), "any conversations"),
        (packed(export(files={"general/2026-10.json": [said(1, ADA, "")]})), "could be read .general/2026-10.json"),
        (packed(export([{"text": "no time"}])), "no entry has a time"),
        (packed(export(files={f"else/{DAY}": [said(1, ADA, "")]})), "could be read .else"),
        (twice("channels.json"), "twice"),
        (many_names(), "more than 600,000 files"),
    ],
    ids=[
        "climbs",
        "absolute",
        "drive",
        "backslashes",
        "bomb",
        "password",
        "no ZIP",
        "cut off",
        "no export",
        "text",
        "organization",
        "organization with lists at its root",
        "two exports",
        "object",
        "cut list",
        "empty list of people",
        "too many entries",
        "no conversation",
        "months",
        "no times",
        "unlisted",
        "list twice",
        "names",
    ],
)
def test_what_is_no_export_is_refused_in_a_sentence(source: io.BytesIO, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=sentence):
        open_export(source)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("depth", [30, 2_000, 200_000])
async def test_deep_json_costs_at_most_its_own_day(depth: int) -> None:
    deep = '{"type":"section","text":' * depth + "1" + "}" * depth
    day = json.dumps([said(1, ADA, "deep")])[:-2].encode() + f',"blocks":[{deep}]}}]'.encode()
    files = {f"general/{DAY}": day, "general/2026-10-06.json": [said(2, ADA, "next day")]}
    async with served(opened(files=files)) as (sandbox, _):
        assert "next day" in str(await page_of(sandbox, channel=GENERAL))


def anywhere(number: int) -> bool:
    return True


def test_several_processes_read_the_same_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {f"C07MANY{number:03d}": f"many-{number}" for number in range(12)}
    lists = [channel(channel_id, name, [ADA]) for channel_id, name in names.items()]
    days: Mapping[str, Any] = {
        f"{name}/{DAY}": [said(number, ADA, f"{name} number {number} Gärtnerei{number}") for number in range(1, 40)]
        for name in names.values()
    }
    path = tmp_path / "export.zip"
    path.write_bytes(packed(export(files={"channels.json": lists, **days})).getvalue())
    alone = open_export(path)
    monkeypatch.setattr("slack_sandbox.export.opened._ALONE_BYTES", 0)
    monkeypatch.setattr("slack_sandbox.export.opened._BATCH_BYTES", 10_000)
    read: list[tuple[int, int]] = []
    together = open_export(path, progress=lambda done, total: read.append((done, total)))
    assert len(read) > 2
    assert read[-1][0] == read[-1][1]
    assert together.report == alone.report
    assert {key: list(one.ts) for key, one in together.indexes.items()} == {
        key: list(one.ts) for key, one in alone.indexes.items()
    }
    queries = (["many", "7", "number", "13"], ["gärtnereien"])
    for words in queries:
        assert together.words.scores(words, anywhere) == alone.words.scores(words, anywhere)
    assert len(alone.words.scores(queries[1], anywhere)) == 12 * 39
    [best, *_] = sorted(alone.words.scores(queries[0], anywhere).items(), key=lambda score: -score[1])
    assert alone.place_of(best[0]) == ("C07MANY007", ts(13))


def test_link_to_the_own_workspace_leads_into_the_sandbox() -> None:
    link = f"https://larkfield.slack.com/archives/{GENERAL}/p1791190001000001"
    other = "https://else.slack.com/archives/C07OTHER001/p1791190001000001"
    read = opened([said(1, ADA, f"<{link}> <{other}>")])
    message: Message = read.load_message(GENERAL, 0)
    assert f"https://sandbox.slack.com/archives/{GENERAL}/" in message.text
    assert other in message.text
